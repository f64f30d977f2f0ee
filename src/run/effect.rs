//! What the engine does after an event is on disk: derived from the event, so that it can be proven.

use super::{
    change::Change,
    event::{Event, Outcome, What},
    phase::{Direction, Phase},
    state::State,
};
use crate::plan::{Kind, Plan, StepId};

/// Something to do in the world.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Read the exact change once more; report [`super::Report::Reread`].
    Reread {
        /// The step.
        step: StepId,
        /// Forward or back.
        direction: Direction,
        /// The gate that was passed.
        gate: u64,
        /// The part that would go next, from 0.
        part: u32,
    },
    /// Send the change; report [`super::Report::Ended`].
    Apply {
        /// The step.
        step: StepId,
        /// Forward or back.
        direction: Direction,
        /// Attempt number.
        attempt: u32,
        /// Part index.
        part: u32,
        /// Same token, same effect.
        token: String,
        /// What is sent.
        change: Change,
    },
    /// Read whether the last attempt took effect; report [`super::Report::Observed`].
    Observe {
        /// The step.
        step: StepId,
        /// Attempt number.
        attempt: u32,
        /// Part index.
        part: u32,
        /// The change that was sent last.
        change: Change,
        /// The attempt ended well: all that can be known of what cannot be observed.
        accepted: bool,
    },
}

/// What follows from one event, given the state after it.
#[must_use]
pub fn effect(plan: &Plan, after: &State, event: &Event) -> Option<Effect> {
    match &event.what {
        What::Consented { .. } => reread(after),
        What::Intended { step, direction, attempt, part, token, change, .. } => {
            // A person does a manual step; ticks end it.
            let manual = matches!(plan.step(step)?.kind, Kind::Manual { .. });
            (!manual).then(|| Effect::Apply {
                step: step.clone(),
                direction: *direction,
                attempt: *attempt,
                part: *part,
                token: token.clone(),
                change: change.clone(),
            })
        }
        What::Resumed { step } => {
            let attempt = after.step(step)?.attempt()?;
            Some(Effect::Apply {
                step: step.clone(),
                direction: attempt.direction,
                attempt: attempt.number,
                part: attempt.part,
                token: String::new(),
                change: Change::Nothing,
            })
        }
        What::Ended { step, outcome } => {
            let doubt = matches!(after.step(step)?.phase, Phase::InDoubt | Phase::Verifying);
            let failed = matches!(outcome, Outcome::Failed { .. });
            let manual = matches!(plan.step(step)?.kind, Kind::Manual { .. });
            if doubt && !failed && !manual { observe(after, step) } else { None }
        }
        _ => None,
    }
}

/// The last look at the world before what was consented to is sent; None: nothing was, or it is under way.
#[must_use]
pub fn reread(state: &State) -> Option<Effect> {
    let gate = state.gate.as_ref().filter(|gate| gate.consented)?;
    Some(Effect::Reread { step: gate.step.clone(), direction: gate.direction, gate: gate.id, part: 0 })
}

/// What a new engine does first: it reads the world for everything that it cannot know.
pub fn recovery(after: &State) -> impl Iterator<Item = Effect> {
    let unknown = after.steps.iter().filter(|step| matches!(step.phase, Phase::Verifying | Phase::InDoubt));
    unknown.filter_map(|step| observe(after, &step.id))
}

/// The question whether the last attempt of a step took effect.
#[must_use]
pub fn observe(state: &State, id: &StepId) -> Option<Effect> {
    let attempt = state.step(id)?.attempt()?;
    let part = attempt.parts.get(attempt.part as usize)?;
    let (step, change) = (id.clone(), part.change.clone());
    let accepted = matches!(attempt.outcome, Some(Outcome::Done { .. }));
    Some(Effect::Observe { step, attempt: attempt.number, part: attempt.part, change, accepted })
}
