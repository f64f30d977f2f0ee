//! Finds what the newest finished session of the same plan took: on this machine, in any environment.

use crate::{
    journal::{Layout, Reader, SessionDir},
    run::{Rehearsal, State},
};

/// So many earlier sessions are looked at; most are unfinished tries of the same day.
const LOOKED_AT: usize = 20;

/// The newest rehearsal. None: there was none, or nothing of it can be read; that is no reason not to begin.
pub(super) fn newest(dir: &SessionDir) -> Option<Rehearsal> {
    let all = Layout::around(dir).list().inspect_err(|error| tracing::warn!(%error, "no rehearsal was read")).ok()?;
    let earlier = all.into_iter().rev().filter(|other| other.plan() == dir.plan() && other.path() != dir.path());
    earlier.take(LOOKED_AT).find_map(|other| measure(&other))
}

fn measure(dir: &SessionDir) -> Option<Rehearsal> {
    let unreadable = |error: &dyn std::fmt::Display| {
        tracing::warn!(session = dir.id(), %error, "the journal of an earlier session was not read");
    };
    let reader = Reader::open(dir.journal()).inspect_err(|error| unreadable(error)).ok()?;
    let mut state = State::default();
    for event in reader {
        let event = event.inspect_err(|error| unreadable(error)).ok()?;
        state.apply(&event).inspect_err(|error| unreadable(error)).ok()?;
    }
    Rehearsal::of(&state)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        journal::Journal,
        plan::{GateLevel, StepId},
        run::{Actor, Change, Direction, Event, Evidence, Observation, Operator, Outcome, Part, Preview, Seat, What},
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    /// One step that reads only: armed at once, begun after `waited` seconds, done after `took` more; then over.
    fn session(waited: i64, took: i64, finished: bool) -> Vec<Event> {
        let ann = Operator::new(1, "ann", 1);
        let step = StepId::from("look");
        let part = Part { change: Change::Nothing, bake: std::time::Duration::ZERO };
        let preview = Preview { parts: vec![part.clone()], facts: Vec::new() };
        let begun = What::SessionStarted {
            session: "earlier".into(),
            plan: "acme".into(),
            environment: "staging".into(),
            plan_hash: "h".into(),
            steps: vec![step.clone()],
            dwell: std::time::Duration::ZERO,
            patience: std::time::Duration::ZERO,
        };
        let armed = What::Armed {
            step: step.clone(),
            direction: Direction::Forward,
            gate: 1,
            level: GateLevel::Start,
            evidence: Evidence("e".into()),
        };
        let intended = What::Intended {
            step: step.clone(),
            direction: Direction::Forward,
            attempt: 1,
            part: 0,
            parts: 1,
            bake: std::time::Duration::ZERO,
            token: "look/1.0".into(),
            change: part.change,
        };
        let done = Outcome::Done { in_sync: None, summary: "looked".into() };
        let person = Actor::Operator(ann);
        let mut all = vec![
            (0, Actor::Engine, begun),
            (0, person.clone(), What::Attached { seat: Seat::Driver }),
            (0, Actor::Engine, What::Previewed { step: step.clone(), direction: Direction::Forward, preview }),
            (0, person.clone(), armed),
            (waited, person, What::Consented { second: None }),
            (waited, Actor::Engine, intended),
            (waited + took, Actor::Engine, What::Ended { step: step.clone(), outcome: done }),
            (waited + took, Actor::Engine, What::Observed { step, observation: Observation::Done }),
        ];
        if finished {
            all.push((waited + took + 600, Actor::Engine, What::SessionEnded));
        }
        let numbered = (1..).zip(all);
        numbered.map(|(seq, (second, by, what))| Event { seq, at: at(second), by, what }).collect()
    }

    fn write(layout: &Layout, environment: &str, second: i64, events: &[Event]) -> SessionDir {
        let dir = layout.create("acme", environment, at(second)).unwrap();
        Journal::create(dir.journal()).unwrap().append(events).unwrap();
        dir
    }

    #[test]
    fn the_newest_finished_session_of_the_plan_is_the_measure_without_what_people_waited() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::at(root.path());
        let first = layout.create("acme", "production", at(0)).unwrap();
        assert_eq!(newest(&first), None, "the first session of all has nothing to compare with");
        write(&layout, "sandbox", 10, &session(500, 70, true));
        write(&layout, "staging", 20, &session(300, 90, true));
        write(&layout, "staging", 30, &session(1, 2, false));
        std::fs::write(layout.create("acme", "staging", at(40)).unwrap().journal(), "no journal").unwrap();
        let found = newest(&first).expect("a rehearsal");
        assert_eq!(found.total(), std::time::Duration::from_secs(90));
        assert_eq!((found.environment.as_str(), found.of.as_str()), ("staging", "earlier"));
        let other = layout.create("other", "production", at(50)).unwrap();
        assert_eq!(newest(&other), None, "another plan measures nothing");
    }
}
