//! The only writer of the log: decide, write down, fold. Nothing else in the program changes a [`State`].

use std::{collections::VecDeque, sync::Arc};

use crate::{
    clock::Clock,
    journal::{AppendError, Journal},
    plan::Plan,
    run::{Actor, Ask, Command, Event, Illegal, Refusal, Report, State, What, decide},
};

/// How many reports wait while the journal cannot be written. Verdicts that do not fit are said again by their watch.
const BACKLOG: usize = 1000;

/// Why a command did not lead to events.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// It may not be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What cannot be written is not done.
    #[error(transparent)]
    Journal(#[from] AppendError),
    /// `decide` and the fold disagree: a fault of this program, found before anything was written.
    #[error("a decision cannot be folded")]
    Illegal(#[from] Illegal),
}

/// Holds the state and the journal together.
#[derive(Debug)]
pub struct Scribe {
    plan: Arc<Plan>,
    clock: Clock,
    state: State,
    journal: Journal,
    /// Reports that came while the journal could not be written, oldest first: what the executor saw must not be lost.
    backlog: VecDeque<(Actor, Report)>,
}

/// A command and what it led to.
pub type Written = (Command, Vec<Event>);

impl Scribe {
    /// Takes over a journal with the state that it folds to.
    #[must_use]
    pub const fn new(plan: Arc<Plan>, clock: Clock, state: State, journal: Journal) -> Self {
        Self { plan, clock, state, journal, backlog: VecDeque::new() }
    }

    /// The truth as of the last written event.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Decides a command now, writes its events and folds them. The events are on disk when this returns.
    ///
    /// # Errors
    /// See [`SubmitError`]: nothing happened. A report that met a journal failure is kept and said again by
    /// [`Self::catch_up`].
    pub fn submit(&mut self, by: Actor, ask: Ask) -> Result<Vec<Event>, SubmitError> {
        self.submit_at(self.clock.now(), by, ask)
    }

    /// The same at a session time. It never runs backwards in the log, even when the machine's clock is set back.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub fn submit_at(&mut self, now: jiff::Timestamp, by: Actor, ask: Ask) -> Result<Vec<Event>, SubmitError> {
        let command = Command { at: self.state.at.map_or(now, |last| last.max(now)), by, ask };
        let result = self.write(&command);
        if let (Err(SubmitError::Journal(_)), Ask::Report(report)) = (&result, command.ask) {
            // Time passes again by itself, and what was read for an act is not to be believed later: it is read again.
            let keeps = !matches!(report, Report::Passed | Report::Reread { .. });
            if keeps && self.backlog.len() < BACKLOG {
                self.backlog.push_back((command.by, report));
            }
        }
        result
    }

    /// Says again what could not be written, oldest first; stops at the first that still cannot.
    ///
    /// # Errors
    /// [`SubmitError::Journal`] while the journal still cannot be written.
    pub fn catch_up(&mut self) -> Result<Vec<Written>, SubmitError> {
        self.catch_up_at(self.clock.now())
    }

    /// The same at a session time.
    ///
    /// # Errors
    /// As [`Self::catch_up`].
    pub fn catch_up_at(&mut self, now: jiff::Timestamp) -> Result<Vec<Written>, SubmitError> {
        let mut written = Vec::new();
        while let Some((by, report)) = self.backlog.front().cloned() {
            let at = self.state.at.map_or(now, |last| last.max(now));
            let command = Command { at, by, ask: Ask::Report(report) };
            match self.write(&command) {
                Err(SubmitError::Journal(error)) if written.is_empty() => return Err(error.into()),
                Err(SubmitError::Journal(_)) => break,
                Ok(events) => written.push((command, events)),
                // What was true then may no longer be a question.
                Err(_) => {}
            }
            self.backlog.pop_front();
        }
        Ok(written)
    }

    /// How many reports wait to be written.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.backlog.len()
    }

    /// Whether this is still the engine that writes.
    ///
    /// # Errors
    /// [`AppendError::Lost`].
    pub fn check(&mut self) -> Result<(), AppendError> {
        self.journal.check()
    }

    fn write(&mut self, command: &Command) -> Result<Vec<Event>, SubmitError> {
        let decided = decide(&self.plan, &self.state, command)?;
        if decided.is_empty() {
            return Ok(Vec::new());
        }
        let events = self.stamp(command, decided);
        // Folded on a copy first: a log that could not be read back must never be written.
        let mut next = self.state.clone();
        for event in &events {
            next.apply(event)?;
        }
        self.journal.append(&events)?;
        self.state = next;
        Ok(events)
    }

    fn stamp(&self, command: &Command, decided: Vec<What>) -> Vec<Event> {
        let numbered = decided.into_iter().zip(self.state.seq + 1..);
        numbered.map(|(what, seq)| Event { seq, at: command.at, by: command.by.clone(), what }).collect()
    }
}
