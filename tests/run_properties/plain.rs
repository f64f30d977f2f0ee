//! The log of these sessions: nothing of it is ever lost.

use cutover::{
    plan::Plan,
    run::{Command, Event, State, decide},
};

use super::sim::{Log, Wrote};

/// A log that never fails.
pub(crate) struct Plain;

impl Log for Plain {
    fn write(&mut self, plan: &Plan, state: &State, command: &Command) -> Wrote {
        let whats = match decide(plan, state, command) {
            Ok(whats) => whats,
            Err(refusal) => {
                assert!(!refusal.0.is_empty());
                return Wrote::Refused;
            }
        };
        let numbered = whats.into_iter().zip(state.seq + 1..);
        let stamped = |(what, seq)| Event { seq, at: command.at, by: command.by.clone(), what };
        Wrote::Events(numbered.map(stamped).collect())
    }
}
