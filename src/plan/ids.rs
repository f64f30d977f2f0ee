//! The names that a plan gives to its parts, and references to them.

use std::collections::BTreeMap;

use super::{
    error::{Report, Span},
    raw::Text,
    scalar::{quote, slug, suggest},
    tree::{Tree, items, text},
};

/// What a reference may point at; each is an array of tables of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Section {
    Record,
    Check,
    Metric,
    Guardrail,
    Step,
}

impl Section {
    const ALL: [Self; 5] = [Self::Record, Self::Check, Self::Metric, Self::Guardrail, Self::Step];

    const fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Check => "check",
            Self::Metric => "metric",
            Self::Guardrail => "guardrail",
            Self::Step => "step",
        }
    }
}

/// Every id of the file in its section, in the order of the file. Taken from the tree, so that a part with an error in
/// another field is still known to those that refer to it.
#[derive(Debug, Default)]
pub(super) struct Ids(BTreeMap<Section, Vec<(String, Span)>>);

impl Ids {
    /// Collects; reports ids that are no names and ids that are given twice.
    pub(super) fn collect(tree: &Tree<'_>, report: &mut Report) -> Self {
        let mut ids = Self::default();
        for section in Section::ALL {
            for item in items(tree, section.name()) {
                if let Some((id, span)) = text(item.get("id")) {
                    ids.add(section, id, span, report);
                }
            }
        }
        ids
    }

    fn add(&mut self, section: Section, id: &str, span: Span, report: &mut Report) {
        if let Err(fault) = slug(id) {
            report.fault(span.clone(), fault);
        }
        let known = self.0.entry(section).or_default();
        match known.iter().find(|(known, _)| known == id) {
            Some((_, first)) => {
                let message = format!("{} {} is defined twice", section.name(), quote(id));
                report.error(span, message).help("give each its own id").see(first.clone(), "first defined here");
            }
            None => known.push((id.to_owned(), span)),
        }
    }

    /// All ids of a section in the order of the file.
    pub(super) fn all(&self, section: Section) -> impl Iterator<Item = &str> {
        self.0.get(&section).into_iter().flatten().map(|(id, _)| id.as_str())
    }

    /// The id that a text refers to; None after an unknown one was reported.
    pub(super) fn refer(&self, section: Section, text: &Text, report: &mut Report) -> Option<String> {
        let name = text.get_ref().as_str();
        if self.all(section).any(|id| id == name) {
            return Some(name.to_owned());
        }
        let message = format!("unknown {} {}", section.name(), quote(name));
        report.error(text.span(), message).help(suggest(name, self.all(section)));
        None
    }
}
