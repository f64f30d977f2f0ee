//! What going back loses: what the new side has written since it was opened, until it is closed again.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    change::Change,
    event::Outcome,
    guardrail::Datum,
    phase::Direction,
    price::moved_ttl,
    state::{Attempt, Counted, State, StepState},
};
use crate::plan::{DatabaseMeasure, Kind, Metric, MetricSource, Plan, Side};

/// How long after the closing a count is of the closing, if that is longer than three periods.
const CLOSING: SignedDuration = SignedDuration::from_secs(60);

/// What the new side has written since customers were led there or its database was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// How many; None: it is counted, and nothing was heard since.
    pub amount: Option<u64>,
    /// Rows; else bytes of WAL.
    pub rows: bool,
    /// The count began later: it is more than this.
    pub at_least: bool,
    /// Since when it counts.
    pub since: Timestamp,
    /// When it was counted last; None: not since then.
    pub as_of: Option<Timestamp>,
}

/// The metric that counts what the new side writes. Rows are preferred: people know what a row is.
#[must_use]
pub fn counter(plan: &Plan) -> Option<(&Metric, bool)> {
    let of = |wanted: DatabaseMeasure| {
        let counts =
            |metric: &&Metric| metric.side == Side::New && metric.source == MetricSource::Postgres { postgres: wanted };
        plan.metrics.iter().find(counts)
    };
    let rows = of(DatabaseMeasure::WrittenRows).map(|metric| (metric, true));
    rows.or_else(|| of(DatabaseMeasure::WrittenBytes).map(|metric| (metric, false)))
}

/// What the new side has written since it was opened, from the counters that the plan's metrics of its database are;
/// `data` gives what is known of a metric, ordered by time.
///
/// Where the counter stood at the opening and at the closing is in the journal, so that neither a new engine nor a ring
/// that is full nor an undo changes the number: what was written stays behind also while it is rolled back, and after it.
#[must_use]
pub fn written<'a>(plan: &Plan, state: &State, data: impl Fn(&str) -> &'a [Datum]) -> Option<Written> {
    let (metric, rows) = counter(plan)?;
    let opening = state.opening.as_ref().filter(|opening| opening.metric == metric.id);
    let stands = opened_at(plan, state);
    let since = opening.map(|opening| opening.at).or_else(|| ever_opened_at(plan, state))?;
    let known = until_closed(plan, state, metric, data(&metric.id));
    let counted_at = |datum: &Datum| counted_at(metric, datum);
    let earlier = known.iter().rev().find(|datum| counted_at(datum) <= since).map(|datum| datum.value);
    let earlier = opening.map(|opening| opening.value).or(earlier);
    let closing = closing_of(plan, state, metric).map(|closing| (closing.value, closing.at));
    let newest = known.last().map(|datum| (datum.value, counted_at(datum))).filter(|(_, at)| *at > since);
    let newest = closing.or(newest);
    let begun = earlier.or_else(|| known.first().map(|datum| datum.value));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, not below 0")]
    let amount = newest.zip(begun).and_then(|((value, _), begun)| {
        // A counter that is behind where it began was reset: nobody knows.
        (value >= begun).then_some((value - begun) as u64)
    });
    if stands.is_none() && state.rollback.is_none() && amount == Some(0) {
        return None;
    }
    Some(Written { amount, rows, at_least: earlier.is_none(), since, as_of: newest.map(|(_, at)| at) })
}

/// The count that ends the loss, if the new side was closed again and none was heard since; `data` is what was counted
/// lately, ordered by time. To be reported as [`super::Report::Closing`].
#[must_use]
pub fn closing(plan: &Plan, state: &State, metric: &str, data: &[Datum]) -> Option<f64> {
    let (metric, _) = counter(plan).filter(|(known, _)| known.id == metric)?;
    let closed = awaited_closing(plan, state)?;
    let first = data.iter().find(|datum| counted_at(metric, datum) >= closed)?;
    ends(closed, metric, first).then_some(first.value)
}

/// When the new side was closed, if where its counter stood then is not written down.
pub(super) fn awaited_closing(plan: &Plan, state: &State) -> Option<Timestamp> {
    closed_at(plan, state).filter(|closed| state.closing.as_ref().is_none_or(|known| known.at < *closed))
}

/// The count that was written down when the new side was closed, while it is closed.
fn closing_of<'a>(plan: &Plan, state: &'a State, metric: &Metric) -> Option<&'a Counted> {
    let closed = closed_at(plan, state)?;
    state.closing.as_ref().filter(|closing| closing.metric == metric.id && closing.at >= closed)
}

/// What was counted until it was closed again, and the count that saw the closing: what comes later is replication, and
/// no loss.
fn until_closed<'a>(plan: &Plan, state: &State, metric: &Metric, data: &'a [Datum]) -> &'a [Datum] {
    let Some(closed) = closed_at(plan, state) else { return data };
    let before = data.partition_point(|datum| counted_at(metric, datum) < closed);
    let last = data.get(before).is_some_and(|datum| ends(closed, metric, datum));
    &data[..before + usize::from(last)]
}

/// Whether a count from after the closing is still of the closing.
fn ends(closed: Timestamp, metric: &Metric, datum: &Datum) -> bool {
    let soon = CLOSING.max(SignedDuration::from_secs(metric.period.into()) * 3);
    counted_at(metric, datum).duration_since(closed) <= soon
}

/// A datum begins its period, and was counted at its end.
fn counted_at(metric: &Metric, datum: &Datum) -> Timestamp {
    datum.at.checked_add(SignedDuration::from_secs(metric.period.into())).unwrap_or(Timestamp::MAX)
}

/// Whether a change leads customers or writers to the new side. Where the plan opens the new database by a step of its
/// own, only that does: until then replication alone writes there, and loses nothing.
#[must_use]
pub fn opens(plan: &Plan, change: &Change) -> bool {
    let gated = plan.steps.iter().any(|step| matches!(step.kind, Kind::PostgresOpen { side: Side::New, .. }));
    match change {
        Change::WriteAccess { side: Side::New, to, .. } => to.open(),
        change => !gated && moved_ttl(std::slice::from_ref(change)).is_some(),
    }
}

/// When the first act began that led customers or writers to the new side and still stands.
#[must_use]
pub fn opened_at(plan: &Plan, state: &State) -> Option<Timestamp> {
    let standing = |step: &&StepState| step.applied.iter().any(|change| opens(plan, change));
    let begun = |step: &StepState| step.attempts.iter().map(|attempt| attempt.started_at).min();
    state.steps.iter().filter(standing).filter_map(begun).min()
}

/// When the first act began that led customers or writers to the new side, whether it still stands or was undone.
#[must_use]
pub fn ever_opened_at(plan: &Plan, state: &State) -> Option<Timestamp> {
    let attempts = state.steps.iter().flat_map(|step| &step.attempts);
    attempts.filter(|attempt| opened(plan, attempt)).map(|attempt| attempt.started_at).min()
}

/// When the last act was undone that had opened the new side; None: one stands, or there was none.
#[must_use]
pub fn closed_at(plan: &Plan, state: &State) -> Option<Timestamp> {
    if opened_by(plan, state) > 0 {
        return None;
    }
    let openers = state.steps.iter().filter(|step| step.attempts.iter().any(|a| opened(plan, a)));
    let undos = openers.flat_map(|step| &step.attempts).filter(|attempt| attempt.direction == Direction::Back);
    undos.filter_map(|attempt| attempt.ended_at).max()
}

/// Whether an attempt opened the new side, or may have: one that failed with its first part did not.
fn opened(plan: &Plan, attempt: &Attempt) -> bool {
    let failed = attempt.part == 0 && matches!(attempt.outcome, Some(Outcome::Failed { .. }));
    attempt.direction == Direction::Forward && !failed && attempt.parts.iter().any(|part| opens(plan, &part.change))
}

/// How many changes that opened the new side stand.
pub(super) fn opened_by(plan: &Plan, state: &State) -> usize {
    state.steps.iter().flat_map(|step| &step.applied).filter(|change| opens(plan, change)).count()
}
