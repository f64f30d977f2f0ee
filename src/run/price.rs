//! What it would cost to go back, and when that stops fitting the window.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    apply::ALIAS_TTL,
    change::{Change, Part, RdsChange, class::targets},
    loss::Written,
    phase::Phase,
    state::{State, StepState},
};
use crate::plan::{Kind, Plan, RdsKind, Step, StepId};

/// What RDS needs to delete an instance.
const DELETION: Duration = Duration::from_secs(90);

/// The price of rolling back now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Steps that would be undone, in that order.
    pub undos: Vec<StepId>,
    /// Running time of the undos, from what the same steps took going forward.
    pub undo_time: Duration,
    /// The longest TTL that caches may hold of the new side, counted after the undo.
    pub ttl: Duration,
    /// Both together: until the old side serves everybody again.
    pub total: Duration,
    /// The step after which there was no way back, if it is done.
    pub passed: Option<StepId>,
    /// The next step after which there is no way back.
    pub no_return: Option<StepId>,
    /// What would be left behind on the new side; None: the new side was not opened, or no metric counts its writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Written>,
}

/// When the run will be over and until when it can be aborted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// When the last step ends if nobody waits: as rehearsed, or as planned where nothing was rehearsed.
    pub finish: Timestamp,
    /// Running time of what is left, as planned.
    pub planned: Duration,
    /// Running time of what is left, as rehearsed (a step that was not: as planned); None: there was no rehearsal.
    pub rehearsed: Option<Duration>,
    /// The last moment at which what is left still fits the window, by the longer of both; nobody's waiting is in it.
    pub latest_start: Option<Timestamp>,
    /// End of the window, if the plan has one.
    pub window_end: Option<Timestamp>,
    /// The last moment at which a rollback still fits the window.
    pub latest_abort: Option<Timestamp>,
}

/// The price of rolling back now. `cached_ttl`: the longest remaining TTL that a resolver was seen to hold of a record
/// of the new side, seconds (some stretch it).
#[must_use]
pub fn price(plan: &Plan, state: &State, cached_ttl: Option<u32>) -> Price {
    let standing: Vec<_> = state.steps.iter().rev().filter(|step| step.undoable()).collect();
    let undo_time = standing.iter().map(|step| undo_duration(plan, state, step)).sum();
    let seconds = standing.iter().filter_map(|step| moved_ttl(&step.applied)).max();
    let ttl = Duration::from_secs(u64::from(seconds.map_or(0, |ttl| ttl.max(cached_ttl.unwrap_or(0)))));
    Price {
        undos: standing.iter().map(|step| step.id.clone()).collect(),
        undo_time,
        ttl,
        total: undo_time + ttl,
        passed: point_passed(plan, state).cloned(),
        no_return: plan.steps.iter().find(|s| s.point_of_no_return && !settled(state, &s.id)).map(|s| s.id.clone()),
        written: None,
    }
}

/// What going back would take once a step has done these parts, from what it takes `now`; None: they have no undo, or
/// lead past a point of no return.
#[must_use]
pub fn total_after(plan: &Plan, state: &State, id: &StepId, parts: &[Part], now: &Price) -> Option<Duration> {
    let changes: Vec<_> = parts.iter().map(|part| part.change.clone()).collect();
    let last = plan.step(id).is_some_and(|step| step.point_of_no_return);
    if last || now.passed.is_some() {
        return None;
    }
    Change::reversal_of(&changes)?;
    let ttl = moved_ttl(&changes).map_or(Duration::ZERO, |ttl| Duration::from_secs(ttl.into()));
    Some(now.undo_time + undo_time(plan, state, id) + now.ttl.max(ttl))
}

/// The step after which there is no way back, if it is done.
#[must_use]
pub fn point_passed<'a>(plan: &'a Plan, state: &State) -> Option<&'a StepId> {
    let done = |id: &StepId| state.step(id).is_some_and(|step| step.phase == Phase::Done);
    plan.steps.iter().find(|step| step.point_of_no_return && done(&step.id)).map(|step| &step.id)
}

/// When the run will be over, counting durations of what is left and no waiting of people.
#[must_use]
pub fn forecast(plan: &Plan, state: &State, price: &Price, now: Timestamp) -> Forecast {
    let open = || plan.steps.iter().filter(|step| !settled(state, &step.id));
    let planned: Duration = open().map(|step| left_of(step, step.expected, state, now)).sum();
    let rehearsed = state.rehearsed.as_ref().map(|rehearsal| {
        let took = |step: &Step| rehearsal.forward.get(&step.id).copied().unwrap_or(step.expected);
        open().map(|step| left_of(step, took(step), state, now)).sum::<Duration>()
    });
    let left = rehearsed.unwrap_or(planned);
    let started = state.session.as_ref().map(|session| session.started_at);
    let window_end = started.zip(plan.window).and_then(|(start, window)| start.checked_add(window).ok());
    Forecast {
        finish: now.checked_add(left).unwrap_or(Timestamp::MAX),
        planned,
        rehearsed,
        latest_start: window_end.and_then(|end| end.checked_sub(left.max(planned)).ok()),
        window_end,
        latest_abort: window_end.and_then(|end| end.checked_sub(price.total).ok()),
    }
}

fn left_of(step: &Step, takes: Duration, state: &State, now: Timestamp) -> Duration {
    let Some(known) = state.step(&step.id).filter(|s| s.phase.in_flight()) else { return takes };
    let now = known.since.filter(|_| known.phase == Phase::InDoubt).unwrap_or(now);
    takes.saturating_sub(known.attempt().map_or(Duration::ZERO, |attempt| attempt.ran(now)))
}

fn settled(state: &State, id: &StepId) -> bool {
    state.step(id).is_some_and(|step| step.phase.settled())
}

/// How long the undo of a step takes, whether the step has been done yet or not.
pub(super) fn undo_time(plan: &Plan, state: &State, id: &StepId) -> Duration {
    let expected = plan.step(id).map_or(Duration::ZERO, |step| match &step.kind {
        Kind::Rds(RdsKind::RestoreSnapshot { .. }) => DELETION,
        Kind::DnsSwitch { stages, .. } => step.expected.saturating_sub(stages.iter().map(|stage| stage.bake).sum()),
        _ => step.expected,
    });
    let done = state.step(id).filter(|step| !step.applied.is_empty());
    let rehearsed = state.rehearsed.as_ref().and_then(|rehearsal| rehearsal.back.get(id)).copied();
    done.map_or_else(|| expected.max(rehearsed.unwrap_or_default()), |step| undo_duration(plan, state, step))
}

/// An undo takes as long as the same change took going forward (both wait for the same service), and not less than it
/// took in the rehearsal; time in which it stood in doubt or waited for people is not its own. But RDS deletes an instance
/// in a minute or two, however long it took to restore it.
fn undo_duration(plan: &Plan, state: &State, step: &StepState) -> Duration {
    let done = step.attempts.iter().rev().find_map(|attempt| Some((attempt.ended_at?, attempt)));
    // Only the parts that were sent took their time, and only before the last of them a bake ran to its end.
    let measured = done.map(|(end, attempt)| {
        let bakes: Duration = attempt.parts.iter().take(attempt.part as usize).map(|part| part.bake).sum();
        attempt.ran(end).saturating_sub(bakes) / attempt.part.saturating_add(1)
    });
    let here = match step.applied.last() {
        Some(Change::Rds(RdsChange::Restored { .. })) => DELETION,
        _ => measured.unwrap_or_else(|| plan.step(&step.id).map_or(Duration::ZERO, |step| step.expected)),
    };
    let rehearsed = state.rehearsed.as_ref().and_then(|rehearsal| rehearsal.back.get(&step.id)).copied();
    here.max(rehearsed.unwrap_or_default())
}

/// The TTL that caches may hold of what these changes put in place of another target; None if only a TTL changed.
pub(super) fn moved_ttl(applied: &[Change]) -> Option<u32> {
    let Some(Change::Records { before: back, after: now, .. }) = Change::reversal_of(applied) else { return None };
    (targets(&back) != targets(&now)).then(|| back.iter().map(|set| set.ttl.unwrap_or(ALIAS_TTL)).max()).flatten()
}
