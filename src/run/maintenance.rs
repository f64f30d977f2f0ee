//! Maintenance that a step of the plan has turned on: what customers and checks meet then is meant to be so.

use jiff::{SignedDuration, Timestamp};

use super::{
    change::Change,
    event::Outcome,
    state::{Attempt, State},
};

/// The routers take a while to let requests through again.
const LINGERS: SignedDuration = SignedDuration::from_secs(30);

/// Whether the old side was in maintenance at a moment by a step of the plan, forward or as an undo.
#[must_use]
pub fn in_maintenance(state: &State, at: Timestamp) -> bool {
    maintenance_since(state, at).is_some()
}

/// Since when it has been so; None: it was not.
#[must_use]
pub fn maintenance_since(state: &State, at: Timestamp) -> Option<Timestamp> {
    let turned = |attempt: &Attempt| {
        let failed = matches!(attempt.outcome, Some(Outcome::Failed { .. }));
        let on = attempt.parts.iter().rev().find_map(|part| match part.change {
            Change::Maintenance { to, .. } => Some(to),
            _ => None,
        })?;
        // On from when it is sent, off once that has come through.
        let from = if on { Some(attempt.started_at) } else { attempt.ended_at?.checked_add(LINGERS).ok() }?;
        (!failed && from <= at).then_some((from, on))
    };
    let turns = state.steps.iter().flat_map(|step| &step.attempts).filter_map(turned);
    turns.max_by_key(|(from, _)| *from).filter(|(_, on)| *on).map(|(from, _)| from)
}
