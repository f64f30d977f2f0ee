//! The journal as it is looked through: which events are shown, and which one is under the cursor.

use crate::{
    run::{Actor, Event, Outcome, State, VerdictKind, What, describe},
    tui::ui::Ui,
};

/// Which kinds of events are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kinds {
    /// All.
    #[default]
    All,
    /// Gates, and what was sent to the world.
    Acts,
    /// What people did.
    People,
    /// What went wrong, and what closed or was gone past.
    Trouble,
    /// Verdicts, checks, resolvers, runners, sources.
    Watches,
}

impl Kinds {
    /// The next one, after the last the first.
    pub(super) const fn after(self) -> Self {
        match self {
            Self::All => Self::Acts,
            Self::Acts => Self::People,
            Self::People => Self::Trouble,
            Self::Trouble => Self::Watches,
            Self::Watches => Self::All,
        }
    }

    /// What it is called.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::All => "everything",
            Self::Acts => "acts",
            Self::People => "people",
            Self::Trouble => "trouble",
            Self::Watches => "watches",
        }
    }

    const fn shows(self, event: &Event) -> bool {
        match self {
            Self::All => true,
            Self::Acts => acts(&event.what),
            Self::People => matches!(event.by, Actor::Operator(_)),
            Self::Trouble => troubles(&event.what),
            Self::Watches => watches(&event.what),
        }
    }
}

const fn acts(what: &What) -> bool {
    matches!(
        what,
        What::Armed { .. }
            | What::Disarmed { .. }
            | What::Typed
            | What::Consented { .. }
            | What::Intended { .. }
            | What::Resumed { .. }
            | What::Ended { .. }
            | What::Observed { .. }
            | What::Resolved { .. }
            | What::Skipped { .. }
            | What::Overridden { .. }
            | What::RollbackStarted { .. }
            | What::RollbackEnded { .. }
    )
}

const fn troubles(what: &What) -> bool {
    matches!(
        what,
        What::Ended { outcome: Outcome::Failed { .. } | Outcome::InDoubt { .. } | Outcome::Stopped, .. }
            | What::PreviewFailed { .. }
            | What::Disarmed { .. }
            | What::Overridden { .. }
            | What::Skipped { .. }
            | What::Resolved { .. }
            | What::HoldRaised { .. }
            | What::RollbackStarted { .. }
            | What::VerdictChanged { verdict: VerdictKind::Breach | VerdictKind::Blind, .. }
            | What::CheckChanged { passing: Some(false), .. }
            | What::SourceChanged { trouble: Some(_), .. }
    )
}

const fn watches(what: &What) -> bool {
    matches!(
        what,
        What::BaselineCaptured { .. }
            | What::VerdictChanged { .. }
            | What::CheckChanged { .. }
            | What::ResolverChanged { .. }
            | What::RunnerChanged { .. }
            | What::SourceChanged { .. }
    )
}

/// One line of the log, as it is searched and shown.
pub(super) fn log_line(event: &Event) -> String {
    format!("{} {}", event.by.name(), describe(event))
}

/// The events that are shown, oldest first: of these kinds, with all of the words.
pub(super) fn found<'a>(state: &'a State, ui: &Ui) -> Vec<&'a Event> {
    let words: Vec<String> = ui.search.split_whitespace().map(str::to_lowercase).collect();
    let matches = |event: &&Event| {
        ui.kinds.shows(event)
            && (words.is_empty() || {
                let line = log_line(event).to_lowercase();
                words.iter().all(|word| line.contains(word))
            })
    };
    state.log.iter().filter(matches).collect()
}

/// The event under the cursor, which rests on the newest.
pub(super) fn under_cursor<'a>(state: &'a State, ui: &Ui) -> Option<&'a Event> {
    let found = found(state, ui);
    let last = found.len().checked_sub(1)?;
    found.get(last - ui.scroll.min(last)).copied()
}
