//! Questions to the person: forms with lines of text, and single decisions behind a latch.

use crossterm::event::{Event, KeyCode};
use tui_input::{Input, backend::crossterm::EventHandler};

use super::gate::{Latch, Stroke};
use crate::{
    plan::StepId,
    run::{ConditionId, Operator, Request, Seat, State},
};

/// What a form is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    /// A note.
    Note,
    /// Holding the run.
    Hold,
    /// Going on without a step.
    Skip(StepId),
    /// Going past a condition.
    Override(StepId, ConditionId),
    /// Deciding what a step in doubt did.
    Resolve(StepId),
    /// Ending the session before it is complete.
    End,
    /// Searching the journal.
    Search,
}

/// What a line of a form takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Takes {
    /// Any text but none.
    Words,
    /// Any text, or none.
    Anything,
    /// Exactly one of these, typed by hand.
    OneOf(Vec<String>),
}

/// One line of a form.
#[derive(Debug)]
pub(super) struct Field {
    /// What is asked.
    pub(super) label: String,
    /// What it takes.
    pub(super) takes: Takes,
    /// What has been written.
    pub(super) input: Input,
}

impl Field {
    fn new(label: impl Into<String>, takes: Takes) -> Self {
        Self { label: label.into(), takes, input: Input::default() }
    }

    /// What has been written.
    pub(super) fn text(&self) -> &str {
        self.input.value().trim()
    }

    /// Whether it may be submitted.
    pub(super) fn is_complete(&self) -> bool {
        match &self.takes {
            Takes::Words => !self.text().is_empty(),
            Takes::Anything => true,
            Takes::OneOf(words) => words.iter().any(|word| word == self.text()),
        }
    }

    /// Why it may not be submitted.
    fn complaint(&self) -> String {
        match &self.takes {
            Takes::OneOf(words) => format!("type {}", words.join(" or ")),
            _ => format!("write {}", self.label),
        }
    }

    const fn by_hand(&self) -> bool {
        matches!(self.takes, Takes::OneOf(_))
    }
}

/// A form on the screen.
#[derive(Debug)]
pub(super) struct Form {
    /// What it is about.
    pub(super) about: About,
    /// Its lines, at least one.
    pub(super) fields: Vec<Field>,
    /// The line that is written in.
    pub(super) at: usize,
    /// Why it was not taken.
    pub(super) complaint: Option<String>,
    hurried: u8,
}

/// What a key did to a form.
#[derive(Debug, PartialEq)]
pub(super) enum FormTurn {
    /// It stays.
    Stays,
    /// It is gone.
    Closes,
    /// It is submitted, with this request, if it asks the engine for anything.
    Submits(Option<Request>),
}

impl Form {
    /// A form about something; `plan` is the name of what would be ended.
    pub(super) fn new(about: About, plan: &str) -> Self {
        let typed = |word: &str| Takes::OneOf(vec![word.to_owned()]);
        let fields = match &about {
            About::Note => vec![Field::new("note", Takes::Words)],
            About::Hold => vec![Field::new("why", Takes::Words)],
            About::Search => vec![Field::new("words", Takes::Anything)],
            About::Skip(step) => {
                // Never what the step's gate asks for: typed too early, that may open this by a letter of its own.
                let word = format!("skip {step}");
                vec![Field::new(format!("type {word}"), typed(&word)), Field::new("why", Takes::Words)]
            }
            About::Override(_, condition) => {
                let word = condition.word();
                vec![Field::new(format!("type {word}"), typed(word)), Field::new("why", Takes::Words)]
            }
            About::Resolve(step) => {
                let answers = vec!["done".to_owned(), "not done".to_owned()];
                vec![
                    Field::new("done / not done", Takes::OneOf(answers)),
                    Field::new(format!("type {step}"), typed(&step.0)),
                    Field::new("how you know", Takes::Words),
                ]
            }
            About::End => {
                // Not with `e`: typed where no form is open it would be the consent of a gate.
                let words = format!("finish {plan}");
                vec![Field::new(format!("type {words}"), typed(&words))]
            }
        };
        Self { about, fields, at: 0, complaint: None, hurried: 0 }
    }

    /// Takes a key.
    pub(super) fn stroke(&mut self, stroke: &Stroke) -> FormTurn {
        self.hurried = if stroke.alone { 0 } else { self.hurried.saturating_add(1) };
        self.complaint = None;
        match stroke.key.code {
            KeyCode::Esc => return FormTurn::Closes,
            // Enter inside a paste is a line break, not a decision.
            KeyCode::Enter if !stroke.alone => {
                self.complaint = Some("Enter came right behind another key: press it alone".into());
            }
            KeyCode::Enter => return self.entered(),
            KeyCode::Tab | KeyCode::Down => self.at = (self.at + 1) % self.fields.len(),
            KeyCode::BackTab | KeyCode::Up => self.at = (self.at + self.fields.len() - 1) % self.fields.len(),
            _ => self.write(stroke),
        }
        FormTurn::Stays
    }

    fn write(&mut self, stroke: &Stroke) {
        let hurried = self.hurried;
        let Some(field) = self.fields.get_mut(self.at) else { return };
        if field.by_hand() && hurried >= 2 {
            field.input.reset();
            self.complaint = Some("keys came faster than a person types: type it".into());
            return;
        }
        if field.input.value().len() < 500 || stroke.key.code == KeyCode::Backspace {
            field.input.handle_event(&Event::Key(stroke.key));
        }
    }

    /// Takes pasted text, where text may be pasted.
    pub(super) fn paste(&mut self, text: &str) {
        let Some(field) = self.fields.get_mut(self.at) else { return };
        if field.by_hand() {
            self.complaint = Some("pasted text never counts here: type it".into());
            return;
        }
        let words: Vec<_> = text.split_whitespace().collect();
        let whole = format!("{}{}", field.input.value(), super::text::clean(&words.join(" ")));
        field.input = Input::new(whole.chars().take(500).collect());
    }

    fn entered(&mut self) -> FormTurn {
        if !self.fields.get(self.at).is_some_and(Field::is_complete) {
            self.complaint = self.fields.get(self.at).map(Field::complaint);
            return FormTurn::Stays;
        }
        match self.fields.iter().position(|field| !field.is_complete()) {
            Some(open) => {
                self.at = open;
                FormTurn::Stays
            }
            None => FormTurn::Submits(self.request()),
        }
    }

    /// What has been written in a line.
    pub(super) fn text(&self, field: usize) -> String {
        self.fields.get(field).map(|field| field.text().to_owned()).unwrap_or_default()
    }

    fn request(&self) -> Option<Request> {
        Some(match &self.about {
            About::Note => Request::Note { text: self.text(0) },
            About::Hold => Request::Hold { reason: self.text(0) },
            About::Skip(step) => Request::Skip { step: step.clone(), reason: self.text(1) },
            About::Override(step, condition) => Request::Override {
                step: step.clone(),
                condition: *condition,
                typed: self.text(0),
                reason: self.text(1),
            },
            About::Resolve(step) => Request::Resolve {
                step: step.clone(),
                done: self.text(0) == "done",
                typed: self.text(1),
                reason: self.text(2),
            },
            About::End => Request::End,
            About::Search => return None,
        })
    }
}

/// What a single decision is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Beginning to roll back, for this reason.
    Rollback(String),
    /// Turning forward again.
    Forward,
    /// Taking the driver's seat from whoever has it.
    Seat,
    /// Stopping what runs.
    Stop(StepId),
    /// Releasing the hold.
    Release,
    /// Ending a session that is complete.
    End,
}

/// A decision on the screen, behind a latch.
#[derive(Debug)]
pub(super) struct Question {
    /// What it is about.
    pub(super) about: Decision,
    /// What opens it.
    pub(super) latch: Latch,
    /// Scrolled by so many lines.
    pub(super) scroll: usize,
}

impl Question {
    /// Why there is nothing left to decide; None: there is.
    pub(super) fn outlived(&self, state: &State, you: &Operator) -> Option<String> {
        match &self.about {
            Decision::Rollback(_) if state.rollback.is_some() => Some("it is being rolled back already".into()),
            Decision::Forward if state.rollback.is_none() && !state.rolled_back => {
                Some("it goes forward already".into())
            }
            Decision::Seat if state.driver().is_some_and(|driver| driver.conn == you.conn) => {
                Some("you drive already".into())
            }
            Decision::Stop(step) => {
                let phase = state.step(step).map(|step| step.phase).filter(|phase| !phase.in_flight())?;
                Some(format!("{step} is {} by now", phase.word()))
            }
            Decision::Release if state.hold.is_none() => Some("the hold is released already".into()),
            Decision::End if state.ended => Some("the session is over".into()),
            _ => None,
        }
    }

    /// What is asked of the engine once it is decided.
    pub(super) fn request(&self) -> Request {
        match &self.about {
            Decision::Rollback(reason) => Request::BeginRollback { reason: reason.clone() },
            Decision::Forward => Request::EndRollback,
            Decision::Seat => Request::Sit { seat: Seat::Driver, take: true },
            Decision::Stop(step) => Request::Stop { step: step.clone() },
            Decision::Release => Request::Release,
            Decision::End => Request::End,
        }
    }
}
