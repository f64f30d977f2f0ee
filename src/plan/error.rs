//! Everything that is wrong with a plan, each with its place in the file.

use std::{fmt, ops::Range};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::{Serialize, Serializer, ser::SerializeSeq};

use super::{raw::Text, scalar::Fault};

/// A place in the plan file, in bytes.
pub(super) type Span = Range<usize>;

/// Whether a problem forbids to load the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The plan is refused.
    Error,
    /// The plan loads; a person should look.
    Warning,
}

/// One thing that is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether it forbids to load the plan.
    pub severity: Severity,
    /// Where, in bytes from the start of the file.
    pub span: Range<usize>,
    /// Line of the start of the span, from 1.
    pub line: usize,
    /// Column of the start of the span in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// Other places that explain it.
    pub related: Vec<Related>,
}

/// Another place that explains a [`Problem`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// Where, in bytes from the start of the file.
    pub span: Range<usize>,
    /// What is there.
    pub label: String,
}

impl Problem {
    pub(super) fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help = Some(text.into());
        self
    }

    pub(super) fn see(&mut self, span: Span, label: impl Into<String>) -> &mut Self {
        self.related.push(Related { span, label: label.into() });
        self
    }
}

/// All that is wrong with a plan at once, or (beside a plan that loaded) all that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanErrors {
    file: String,
    source: String,
    problems: Vec<Problem>,
}

impl PlanErrors {
    /// The problems in the order of the file.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// How many of this severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }

    /// For people: each problem with file, line, column and the offending lines, errors and warnings in the order of
    /// the file. `color` adds ANSI styles.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let shown: Vec<_> = self.problems.iter().map(|problem| renderer.render(&[self.group(problem)])).collect();
        shown.join("\n\n")
    }

    fn group<'a>(&'a self, problem: &'a Problem) -> Group<'a> {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let related = problem
            .related
            .iter()
            .map(|other| AnnotationKind::Context.span(other.span.clone()).label(other.label.as_str()));
        let snippet = Snippet::source(self.source.as_str())
            .path(self.file.as_str())
            .annotation(AnnotationKind::Primary.span(problem.span.clone()))
            .annotations(related);
        let group = level.primary_title(problem.message.as_str()).element(snippet);
        match &problem.help {
            Some(help) => group.element(Level::HELP.message(help.as_str())),
            None => group,
        }
    }
}

impl fmt::Display for PlanErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.count(Severity::Error);
        write!(f, "failed to load {}: {errors} error{}", self.file, if errors == 1 { "" } else { "s" })?;
        match self.problems.iter().find(|problem| problem.severity == Severity::Error) {
            Some(first) => write!(f, ", first at line {}: {}", first.line, first.message),
            None => Ok(()),
        }
    }
}

impl std::error::Error for PlanErrors {}

/// For programs: a list of `{severity, file, line, column, message, help}`; `help` is null where there is none.
impl Serialize for PlanErrors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Row<'a> {
            severity: Severity,
            file: &'a str,
            line: usize,
            column: usize,
            message: &'a str,
            help: Option<&'a str>,
        }
        let mut rows = serializer.serialize_seq(Some(self.problems.len()))?;
        for Problem { severity, line, column, message, help, .. } in &self.problems {
            let (severity, line, column) = (*severity, *line, *column);
            rows.serialize_element(&Row { severity, file: &self.file, line, column, message, help: help.as_deref() })?;
        }
        rows.end()
    }
}

/// A variable that a string of the file used.
#[derive(Debug, Clone)]
pub(super) struct Use {
    /// Where the string stands.
    pub(super) span: Span,
    /// The variable's name.
    pub(super) name: String,
    /// What it expanded to.
    pub(super) value: String,
    /// Where the file defines it; None: the caller gave it.
    pub(super) definition: Option<Span>,
}

/// Gathers problems while a plan is loaded.
///
/// Rules go on after an error with a fallback value: the plan is not released when anything was reported, so a fallback
/// is never seen, and all errors are found at once.
#[derive(Debug, Default)]
pub(super) struct Report {
    problems: Vec<Problem>,
    /// Variables that were expanded.
    pub(super) uses: Vec<Use>,
    /// Strings that could not be expanded; what rules say about them is only an echo.
    pub(super) unexpanded: Vec<Span>,
    /// Entries of the root that could not be read.
    pub(super) unread: Vec<String>,
    echo: Option<Problem>,
}

impl Report {
    pub(super) fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Problem {
        self.push(Severity::Error, span, message.into())
    }

    pub(super) fn warning(&mut self, span: Span, message: impl Into<String>) -> &mut Problem {
        self.push(Severity::Warning, span, message.into())
    }

    pub(super) fn fault(&mut self, span: Span, fault: Fault) -> &mut Problem {
        let problem = self.error(span, fault.message);
        problem.help = fault.help;
        problem
    }

    fn push(&mut self, severity: Severity, span: Span, message: String) -> &mut Problem {
        let known = self.problems.iter().position(|known| known.span == span && known.message == message);
        let echo = self.unexpanded.contains(&span);
        let problem = Problem { severity, span, line: 0, column: 0, message, help: None, related: Vec::new() };
        if echo {
            return self.echo.insert(problem);
        }
        let at = known.unwrap_or_else(|| {
            self.problems.push(problem);
            self.problems.len() - 1
        });
        &mut self.problems[at]
    }

    /// Whether a section of the file was written but could not be read, which was told.
    pub(super) fn lost(&self, section: &str) -> bool {
        self.unread.iter().any(|unread| unread == section)
    }

    pub(super) fn failed(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// The parsed text; None after an error was reported at its place.
    pub(super) fn read<T>(&mut self, text: &Text, parse: impl FnOnce(&str) -> Result<T, Fault>) -> Option<T> {
        match parse(text.get_ref().as_str()) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.fault(text.span(), fault);
                None
            }
        }
    }

    /// The parsed text, or the default when it was not written (or an error was reported).
    pub(super) fn read_or<T>(
        &mut self,
        text: Option<&Text>,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> T {
        text.and_then(|text| self.read(text, parse)).unwrap_or(default)
    }

    /// Sorts by place, fills in lines and columns, and says which variables had a hand in it.
    pub(super) fn finish(mut self, source: &str, file: &str) -> PlanErrors {
        for problem in &mut self.problems {
            problem.span = clamp(source, &problem.span);
            (problem.line, problem.column) = place(source, problem.span.start);
            let span = problem.span.clone();
            for used in self.uses.iter().filter(|used| used.span == span) {
                explain(problem, used);
            }
        }
        self.problems.sort_by_key(|problem| (problem.span.start, problem.span.end));
        PlanErrors { file: file.to_owned(), source: source.to_owned(), problems: fold(self.problems) }
    }
}

/// A mistake in a variable is told once, however many strings use it: at the first, with the lines of the others.
fn fold(problems: Vec<Problem>) -> Vec<Problem> {
    let mut told: Vec<(Problem, Vec<String>)> = Vec::new();
    for problem in problems {
        let same = |known: &Problem| {
            let explained = !problem.related.is_empty() && known.related == problem.related;
            explained && known.severity == problem.severity && known.message == problem.message
        };
        match told.iter_mut().find(|(known, _)| same(known)) {
            Some((_, lines)) => lines.push(problem.line.to_string()),
            None => told.push((problem, Vec::new())),
        }
    }
    let with_lines = |(mut problem, lines): (Problem, Vec<String>)| {
        if !lines.is_empty() {
            let s = if lines.len() == 1 { "" } else { "s" };
            let others = format!("the same in line{s} {}", lines.join(", "));
            problem.help = Some(problem.help.take().map_or_else(|| others.clone(), |help| format!("{help}; {others}")));
        }
        problem
    };
    told.into_iter().map(with_lines).collect()
}

fn explain(problem: &mut Problem, used: &Use) {
    let Use { name, value, definition, .. } = used;
    let value = super::scalar::quote(value);
    match definition {
        Some(definition) if *definition != problem.span => {
            problem.see(definition.clone(), format!("`${{{name}}}` comes from here"));
        }
        Some(_) => {}
        None => {
            let given = format!("`${{{name}}}` was given as {value}");
            problem.help = Some(problem.help.take().map_or_else(|| given.clone(), |help| format!("{help}; {given}")));
        }
    }
}

/// A span that lies in the file and on its characters' bounds, whatever a parser said.
fn clamp(source: &str, span: &Span) -> Span {
    let start = floor(source, span.start);
    start..floor(source, span.end).max(start)
}

fn floor(source: &str, at: usize) -> usize {
    (0..=at.min(source.len())).rev().find(|&at| source.is_char_boundary(at)).unwrap_or(0)
}

fn place(source: &str, at: usize) -> (usize, usize) {
    let before = &source[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
