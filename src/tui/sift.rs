//! The journal as it is looked through: which events are shown, and which one is under the cursor.

use crate::{
    run::{Actor, Event, Finding, Outcome, Standing, State, VerdictKind, What, describe},
    tui::{keymap::View, ui::Ui},
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
            | What::LeakChanged { who: Some(_), .. }
            | What::FindingChanged {
                finding: Finding { standing: Standing::ActionRequired | Standing::Unknown, .. },
                ..
            }
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
            | What::LeakChanged { .. }
            | What::OpeningCounted { .. }
            | What::ClosingCounted { .. }
            | What::SourceChanged { .. }
            | What::PreflightTaken { .. }
            | What::FindingChanged { .. }
    )
}

/// One line of the log, as it is searched and shown.
pub(super) fn log_line(event: &Event) -> String {
    format!("{} {}", event.by.name(), describe(event))
}

/// The cockpit knows the newest events by itself. Nearer than this to the oldest that it has, older ones are read: more
/// than any terminal has lines, so that scrolling does not stop for it.
const NEAR: usize = 120;
/// How many older events are read at first; then twice as many, and so on.
const FIRST: usize = 500;
/// How many are kept at most: some megabytes.
const MOST: usize = 16_000;

/// Events older than those that the state keeps, read from the journal while somebody looks that far back.
#[derive(Debug, Default)]
pub(super) struct Past {
    events: Vec<Event>,
    /// How many were asked for; the answer has not come.
    asked: Option<usize>,
    /// There are no more to be had: not here, or not readable.
    ended: bool,
}

impl Past {
    /// Takes an answer in.
    pub(super) fn take(&mut self, events: Vec<Event>) {
        let asked = self.asked.take().unwrap_or(0);
        self.ended = events.len() < asked || asked >= MOST;
        self.events = events;
    }

    /// There is no answer to be had.
    pub(super) const fn give_up(&mut self) {
        self.asked = None;
        self.ended = true;
    }

    /// Whether an answer is waited for.
    pub(super) const fn asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Number of the oldest event that is at hand, from 1.
    pub(super) fn oldest(&self, state: &State) -> u64 {
        self.events.first().or(state.log.front()).map_or(1, |event| event.seq)
    }
}

/// The older events that somebody looks for now: before which number, and how many. None: enough are at hand.
pub(super) fn wanted(state: &State, ui: &mut Ui) -> Option<(u64, usize)> {
    if ui.view != View::Journal {
        ui.past = Past::default();
        return None;
    }
    let before = state.log.front()?.seq;
    // The state has let go of some since: those are read as well.
    let gap = ui.past.events.last().map_or(0, |event| before.saturating_sub(event.seq + 1));
    if ui.past.asked.is_some() || (gap == 0 && (ui.past.ended || ui.past.oldest(state) == 1)) {
        return None;
    }
    let above = found(state, ui).len().saturating_sub(ui.scroll);
    if above > NEAR && gap == 0 {
        return None;
    }
    let had = ui.past.events.len();
    let count = match usize::try_from(gap).unwrap_or(MOST) {
        0 => (2 * had).clamp(FIRST, MOST),
        gap => (had + gap).min(MOST),
    };
    ui.past.asked = Some(count);
    Some((before, count))
}

/// The events that are shown, oldest first: of these kinds, with all of the words.
pub(super) fn found<'a>(state: &'a State, ui: &'a Ui) -> Vec<&'a Event> {
    let words: Vec<String> = ui.search.split_whitespace().map(str::to_lowercase).collect();
    let matches = |event: &&Event| {
        ui.kinds.shows(event)
            && (words.is_empty() || {
                let line = log_line(event).to_lowercase();
                words.iter().all(|word| line.contains(word))
            })
    };
    let known = state.log.front().map_or(u64::MAX, |event| event.seq);
    let older = ui.past.events.iter().filter(|event| event.seq < known);
    older.chain(&state.log).filter(matches).collect()
}

/// The event under the cursor, which rests on the newest.
pub(super) fn under_cursor<'a>(state: &'a State, ui: &'a Ui) -> Option<&'a Event> {
    let found = found(state, ui);
    let last = found.len().checked_sub(1)?;
    found.get(last - ui.scroll.min(last)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::fixture::Fixture;

    /// A session of more events than the state keeps, and all of them.
    fn long() -> (Fixture, Vec<Event>) {
        let mut fixture = Fixture::new("sandbox");
        let mut all: Vec<_> = fixture.snapshot.state.log.iter().cloned().collect();
        for number in 0..1_400 {
            fixture.person(What::Noted { text: format!("note {number}") });
            all.extend(fixture.snapshot.state.log.back().cloned());
        }
        (fixture, all)
    }

    fn answer(fixture: &mut Fixture, all: &[Event], (before, count): (u64, usize)) {
        let older: Vec<_> = all.iter().filter(|event| event.seq < before).cloned().collect();
        fixture.ui.past.take(older[older.len().saturating_sub(count)..].to_vec());
    }

    #[test]
    fn whoever_scrolls_back_is_shown_what_the_state_has_let_go() {
        let (mut fixture, all) = long();
        assert_eq!(wanted(&fixture.snapshot.state, &mut fixture.ui), None);
        fixture.ui.view = View::Journal;
        assert_eq!(wanted(&fixture.snapshot.state, &mut fixture.ui), None, "the newest are at hand");
        assert!(fixture.text((120, 40)).contains("500 events, 903 older"), "{}", fixture.text((120, 40)));
        fixture.ui.scroll = 400;
        let asked = wanted(&fixture.snapshot.state, &mut fixture.ui).unwrap();
        assert_eq!(asked, (904, 500));
        assert_eq!(wanted(&fixture.snapshot.state, &mut fixture.ui), None, "asked once");
        assert!(fixture.text((120, 40)).contains("500 events, reading older"));
        let under = under_cursor(&fixture.snapshot.state, &fixture.ui).unwrap().seq;
        answer(&mut fixture, &all, asked);
        assert_eq!(under_cursor(&fixture.snapshot.state, &fixture.ui).unwrap().seq, under, "the cursor stays");
        assert_eq!(wanted(&fixture.snapshot.state, &mut fixture.ui), None);
        fixture.ui.scroll = 19_999;
        let asked = wanted(&fixture.snapshot.state, &mut fixture.ui).unwrap();
        assert_eq!(asked, (904, 1_000));
        answer(&mut fixture, &all, asked);
        assert_eq!(wanted(&fixture.snapshot.state, &mut fixture.ui), None, "there is nothing older");
        let found = found(&fixture.snapshot.state, &fixture.ui);
        assert!(found.iter().map(|event| event.seq).eq(1..=1_403));
    }

    #[test]
    fn a_search_reads_on_until_the_beginning() {
        let (mut fixture, all) = long();
        (fixture.ui.view, fixture.ui.search) = (View::Journal, "NOTE 700".into());
        let mut asked = 0;
        while let Some(question) = wanted(&fixture.snapshot.state, &mut fixture.ui) {
            answer(&mut fixture, &all, question);
            asked += 1;
        }
        assert_eq!(asked, 2);
        assert_eq!(found(&fixture.snapshot.state, &fixture.ui).len(), 1);
        assert!(fixture.text((120, 40)).contains("1 of 1403: everything with `NOTE 700`"));
        // What the state lets go meanwhile is not missed.
        for number in 0..40 {
            fixture.person(What::Noted { text: format!("later {number}") });
        }
        assert_eq!(wanted(&fixture.snapshot.state, &mut fixture.ui), Some((944, 943)));
        fixture.ui.view = View::Cockpit;
        assert_eq!(wanted(&fixture.snapshot.state, &mut fixture.ui), None);
        assert_eq!(fixture.ui.past.oldest(&fixture.snapshot.state), 944);
    }
}
