//! Variables: `${name}` in any string of the file.
//!
//! Looked up in what the caller gave, then in the environment's own `vars`, then in the top-level `vars`. A variable may
//! use others; a list is joined by commas. `$${` stands for a literal `${`. An option whose variables all expand to
//! nothing is as if it had not been written, so that one file can serve environments that need it and others.

use std::collections::BTreeMap;

use toml::{
    Spanned,
    de::{DeArray, DeValue},
};

use super::{
    error::{Report, Span, Use},
    raw::{Items, List},
    scalar::{Fault, quote, suggest},
    tree::Tree,
};

/// All variables of one environment.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    given: &'a BTreeMap<String, String>,
    defined: BTreeMap<&'a str, (String, Span)>,
}

/// What a `${` leads to.
enum Piece<'t> {
    Literal(&'t str),
    Variable(&'t str),
}

/// Why a string does not expand, and where the reason stands (None: in the string itself).
struct Broken {
    fault: Fault,
    variable: String,
    span: Option<Span>,
}

impl<'a> Scope<'a> {
    /// Later layers win over earlier ones, what was given over all.
    pub(super) fn new(layers: &[&'a BTreeMap<Spanned<String>, List>], given: &'a BTreeMap<String, String>) -> Self {
        let all = layers.iter().flat_map(|layer| layer.iter());
        let defined = all.map(|(name, value)| (name.get_ref().as_str(), (joined(value), value.span()))).collect();
        Self { given, defined }
    }

    /// Expands every string of the tree in place. Reports unknown and circular variables.
    pub(super) fn expand_tree(&self, source: &str, tree: &mut Tree<'_>, report: &mut Report) {
        self.expand_value(source, tree, report);
    }

    /// Returns whether the value shall stay: a string that expanded to nothing shall not.
    fn expand_value(&self, source: &str, value: &mut Tree<'_>, report: &mut Report) -> bool {
        let span = value.span();
        match value.get_mut() {
            DeValue::String(text) if text.contains("${") => {
                let expanded = match self.expand(text, &mut Vec::new()) {
                    Ok(expanded) => expanded,
                    Err(broken) => {
                        report_broken(source, &span, broken, report);
                        report.unexpanded.push(span);
                        return true;
                    }
                };
                self.note_uses(text, &span, report);
                let stays = !expanded.is_empty();
                *text = expanded.into();
                stays
            }
            DeValue::Table(table) => {
                let entries = std::mem::take(table).into_iter();
                let kept = entries.filter_map(|(key, mut value)| {
                    self.expand_value(source, &mut value, report).then_some((key, value))
                });
                *table = kept.collect();
                true
            }
            DeValue::Array(array) => {
                let items = std::mem::replace(array, DeArray::new()).into_iter();
                let kept = items.filter_map(|mut value| self.expand_value(source, &mut value, report).then_some(value));
                *array = kept.collect();
                true
            }
            _ => true,
        }
    }

    fn note_uses(&self, text: &str, span: &Span, report: &mut Report) {
        for piece in pieces(text).into_iter().flatten() {
            let Piece::Variable(name) = piece else { continue };
            let definition = self.defined.get(name).filter(|_| !self.given.contains_key(name));
            let value = self.value(name, &mut Vec::new()).unwrap_or_default();
            let definition = definition.map(|(_, span)| span.clone());
            report.uses.push(Use { span: span.clone(), name: name.to_owned(), value, definition });
        }
    }

    fn expand<'t>(&'t self, text: &'t str, open: &mut Vec<&'t str>) -> Result<String, Broken> {
        let pieces = pieces(text).map_err(|fault| Broken { fault, variable: String::new(), span: None })?;
        let expanded = pieces.into_iter().map(|piece| match piece {
            Piece::Literal(text) => Ok(text.to_owned()),
            Piece::Variable(name) => self.value(name, open),
        });
        expanded.collect()
    }

    fn value<'t>(&'t self, name: &'t str, open: &mut Vec<&'t str>) -> Result<String, Broken> {
        if let Some(value) = self.given.get(name) {
            return Ok(value.clone());
        }
        let broken = |fault| Broken { fault, variable: name.to_owned(), span: None };
        let Some((text, span)) = self.defined.get(name) else {
            let known = self.defined.keys().copied().chain(self.given.keys().map(String::as_str));
            return Err(broken(Fault::new(format!("unknown variable {}", quote(name)), suggest(name, known))));
        };
        if open.contains(&name) {
            let circle = format!("variable {} is defined by itself: {} -> {name}", quote(name), open.join(" -> "));
            return Err(broken(Fault::new(circle, "give one of them a value of its own")));
        }
        open.push(name);
        let value = self
            .expand(text, open)
            .map_err(|broken| Broken { span: Some(broken.span.clone().unwrap_or_else(|| span.clone())), ..broken });
        open.pop();
        value
    }
}

fn joined(value: &List) -> String {
    match value.get_ref() {
        Items::One(text) => text.clone(),
        Items::Many(items) => items.iter().map(|item| item.get_ref().as_str()).collect::<Vec<_>>().join(", "),
    }
}

fn report_broken(source: &str, used_in: &Span, broken: Broken, report: &mut Report) {
    let inner = broken.span.clone().unwrap_or_else(|| used_in.clone());
    // Points at the `${name}` itself where the file spells it literally.
    let spelled = format!("${{{}}}", broken.variable);
    let at = source.get(inner.clone()).and_then(|text| text.find(&spelled)).map(|at| inner.start + at);
    let place = at.map_or(inner, |at| at..at + spelled.len());
    report.fault(place, broken.fault);
}

/// Literals and variables of a string in order.
fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Fault> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            pieces.extend([Piece::Literal(before), Piece::Literal("${")]);
            rest = &rest[at + 2..];
            continue;
        }
        let Some(end) = rest[at..].find('}') else {
            return Err(Fault::new("this `${` is never closed", "write `${name}`, or `$${` for a literal `${`"));
        };
        pieces.extend([Piece::Literal(&rest[..at]), Piece::Variable(&rest[at + 2..at + end])]);
        rest = &rest[at + end + 1..];
    }
    pieces.push(Piece::Literal(rest));
    Ok(pieces)
}
