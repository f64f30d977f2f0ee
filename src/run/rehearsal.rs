//! What an earlier session of the same plan took, step by step: the measure for this one.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    event::Outcome,
    phase::Direction,
    state::{Attempt, State},
};
use crate::plan::StepId;

/// The running times of a finished session. What people waited is not in them: an attempt runs from its intent to the
/// end of its verification, and a person's thinking lies before the one or after the other; where one of its parts stood
/// in doubt or was held, that is taken off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// The session that was measured.
    pub of: String,
    /// Its environment.
    pub environment: String,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Running time of each step going forward, session time; only steps that ran to their end.
    pub forward: BTreeMap<StepId, Duration>,
    /// Running time of each undo, session time.
    pub back: BTreeMap<StepId, Duration>,
}

impl Rehearsal {
    /// What a session took. None: it is not over, or it did not come to an end of its own (all done, or all undone).
    #[must_use]
    pub fn of(state: &State) -> Option<Self> {
        let session = state.session.as_ref()?;
        let finished = state.ended && (state.complete() || state.rolled_back);
        let forward = measured(state, Direction::Forward);
        (finished && !forward.is_empty()).then(|| Self {
            of: session.id.clone(),
            environment: session.environment.clone(),
            ended_at: state.at.unwrap_or(session.started_at),
            forward,
            back: measured(state, Direction::Back),
        })
    }

    /// All steps together, going forward.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.forward.values().sum()
    }
}

/// The last good attempt of each step. One that was in doubt waited for somebody to look: it measures nothing.
fn measured(state: &State, direction: Direction) -> BTreeMap<StepId, Duration> {
    let good =
        |attempt: &&Attempt| attempt.direction == direction && matches!(attempt.outcome, Some(Outcome::Done { .. }));
    let time = |attempt: &Attempt| attempt.ended_at.map(|end| attempt.ran(end));
    let steps = state.steps.iter();
    steps.filter_map(|step| Some((step.id.clone(), time(step.attempts.iter().rev().find(good)?)?))).collect()
}
