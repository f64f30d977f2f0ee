//! The databases' metrics: replication lag in bytes and seconds, and how much a side has written.
//!
//! A lag of 0 while replication is dead must not read as green: while anything that must live does not, no lag is told
//! at all, so that guardrails on it turn blind by the age of their data, and the source says what is dead.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::task::JoinSet;

use super::{
    metrics::Board,
    task::{Context, Pace, Source, keep_alive},
};
use crate::{
    plan::{DatabaseMeasure, Metric, MetricSource, Side},
    run::{Datum, Trouble, TroubleKind},
    world::{
        postgres::{Lsn, Motion, Replication},
        trouble,
    },
};

/// Between two rounds, by the wall, however fast the session runs.
const ROUND_WALL: Duration = Duration::from_millis(500);
/// How far back the publisher's places are remembered, session time: a lag beyond it is told as this long.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
/// Places that are remembered; beyond that every second one is forgotten.
const PLACES: usize = 4096;
/// A count of errors is measured against the one so long ago, session time.
const ERRORS_OF: Duration = Duration::from_secs(60);

/// Starts the loop that the plan's metrics need.
pub(super) fn spawn(tasks: &mut JoinSet<()>, context: &Arc<Context>, board: &Arc<Board>) {
    if measured(context).next().is_some() {
        let board = Arc::clone(board);
        keep_alive(tasks, context, "postgres:rounds", Vec::new(), move |context| rounds(context, Arc::clone(&board)));
    }
}

/// The metrics of the databases and what each measures.
fn measured(context: &Context) -> impl Iterator<Item = (&Metric, DatabaseMeasure)> {
    context.plan.metrics.iter().filter_map(|metric| match metric.source {
        MetricSource::Postgres { postgres } => Some((metric, postgres)),
        MetricSource::Stat { .. } | MetricSource::Ratio { .. } | MetricSource::Queue { .. } => None,
    })
}

const fn is_lag(measure: DatabaseMeasure) -> bool {
    matches!(measure, DatabaseMeasure::LagBytes | DatabaseMeasure::LagSeconds)
}

async fn rounds(context: Arc<Context>, board: Arc<Board>) {
    let (mut lag_source, mut write_source) =
        (Source::new("postgres:replication", &context), Source::new("postgres:writes", &context));
    let (mut lag, shortest) = (Lag::default(), measured(&context).map(|(metric, _)| metric.period).min());
    let pace = Pace { session: Duration::from_secs(u64::from(shortest.unwrap_or(10))), wall: ROUND_WALL };
    let usual = pace.wall(context.clock);
    loop {
        let mut pause = usual;
        if measured(&context).any(|(_, measure)| is_lag(measure)) {
            match lag_round(&context, &mut lag).await {
                Ok((bytes, seconds)) => {
                    give(&context, &board, |_, measure| match measure {
                        DatabaseMeasure::LagBytes => Some(bytes),
                        DatabaseMeasure::LagSeconds => Some(seconds),
                        DatabaseMeasure::WrittenBytes | DatabaseMeasure::WrittenRows => None,
                    });
                    lag_source.well().await;
                }
                Err(trouble) => pause = lag_source.ill_within(trouble, usual * 2).await,
            }
        }
        match written(&context).await {
            Ok(sides) => {
                give(&context, &board, |metric, measure| value(&sides, metric.side, measure));
                if !sides.is_empty() {
                    write_source.well().await;
                }
            }
            Err(trouble) => pause = write_source.ill_within(trouble, usual * 2).await,
        }
        tokio::time::sleep(pause).await;
    }
}

/// Hands over one datum of each metric that `value` knows.
fn give(context: &Context, board: &Board, value: impl Fn(&Metric, DatabaseMeasure) -> Option<f64>) {
    let at = context.clock.now();
    let data = measured(context).filter_map(|(metric, measure)| {
        // A datum stands for the period that ends now.
        let begun = at.checked_sub(Duration::from_secs(u64::from(metric.period))).ok()?;
        Some((metric.id.clone(), vec![Datum { at: begun, value: value(metric, measure)? }]))
    });
    let series = data.collect();
    board.merge(&series).into_iter().for_each(|sample| context.out.sample(sample));
    board.fresh.notify_one();
}

/// Bytes and seconds that the new side is behind.
async fn lag_round(context: &Context, lag: &mut Lag) -> Result<(f64, f64), Trouble> {
    let replication = context.world.postgres()?.replication().await?;
    let unexpected = |reason: &str| trouble("postgres:replication", TroubleKind::Unexpected, reason);
    lag.take(context.clock.now(), &replication).map_err(|reason| unexpected(&reason))
}

/// How far writing has come on the sides that a metric counts.
async fn written(context: &Context) -> Result<Vec<(Side, Motion)>, Trouble> {
    let mut sides = Vec::new();
    for side in [Side::Old, Side::New] {
        if measured(context).any(|(metric, measure)| !is_lag(measure) && metric.side == side) {
            sides.push((side, context.world.postgres()?.side(side).motion().await?));
        }
    }
    Ok(sides)
}

#[expect(clippy::cast_precision_loss, reason = "a graph has no 53 bits")]
fn value(sides: &[(Side, Motion)], side: Side, measure: DatabaseMeasure) -> Option<f64> {
    let motion = &sides.iter().find(|(known, _)| *known == side)?.1;
    match measure {
        DatabaseMeasure::WrittenBytes => Some(motion.lsn.0 as f64),
        DatabaseMeasure::WrittenRows => Some(motion.rows as f64),
        DatabaseMeasure::LagBytes | DatabaseMeasure::LagSeconds => None,
    }
}

/// What the lag is told from.
#[derive(Debug, Default)]
struct Lag {
    /// Where the publisher stood, oldest first.
    places: VecDeque<(Timestamp, Lsn)>,
    /// Errors that the subscription had counted.
    errors: VecDeque<(Timestamp, i64)>,
}

impl Lag {
    /// Takes in a look; gives bytes and seconds, or why there is no lag to speak of.
    fn take(&mut self, now: Timestamp, replication: &Replication) -> Result<(f64, f64), String> {
        let errors = replication.subscription.as_ref().and_then(|subscription| subscription.errors);
        self.errors.extend(errors.map(|count| (now, count)));
        while self.errors.get(1).is_some_and(|(at, _)| age(*at, now) >= ERRORS_OF) {
            self.errors.pop_front();
        }
        if let Some(slot) = &replication.slot {
            self.remember(now, slot.now, slot.confirmed);
        }
        if let Some(reason) = replication.stalled(self.errors.front().map(|(_, count)| *count)) {
            return Err(reason);
        }
        let slot = replication.slot.as_ref().ok_or("there is no replication slot")?;
        if let Some(table) = replication.unknown.first() {
            return Err(format!("{table} is published and not subscribed to: refresh the subscription"));
        }
        #[expect(clippy::cast_precision_loss, reason = "a graph has no 53 bits")]
        let bytes = slot.now.since(slot.confirmed) as f64;
        // The publisher left the place that the subscriber has reached at the first look that was beyond it.
        let left = self.places.iter().find(|(_, place)| *place > slot.confirmed);
        Ok((bytes, left.map_or(0.0, |(at, _)| age(*at, now).as_secs_f64())))
    }

    fn remember(&mut self, now: Timestamp, place: Lsn, confirmed: Lsn) {
        if self.places.back().is_none_or(|(_, last)| *last < place) {
            self.places.push_back((now, place));
        }
        // What is confirmed is past, but for the last of it.
        while self.places.get(1).is_some_and(|(at, place)| *place <= confirmed || age(*at, now) > REMEMBERED) {
            self.places.pop_front();
        }
        if self.places.len() > PLACES {
            let kept = self.places.iter().step_by(2).copied().collect();
            self.places = kept;
        }
    }
}

fn age(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(at)).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::postgres::{Slot, Subscription};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn look(now: u64, confirmed: u64, errors: i64) -> Replication {
        Replication {
            slot: Some(Slot { active: true, confirmed: Lsn(confirmed), now: Lsn(now), wal_status: "reserved".into() }),
            subscription: Some(Subscription { enabled: true, working: true, silent: Some(1.0), errors: Some(errors) }),
            copying: Vec::new(),
            unknown: Vec::new(),
        }
    }

    #[test]
    fn seconds_count_from_when_the_publisher_left_the_place_that_was_reached() {
        let mut lag = Lag::default();
        for (second, now, confirmed, expected) in [
            (0, 100, 100, (0.0, 0.0)),
            (10, 200, 100, (100.0, 0.0)),
            (20, 300, 100, (200.0, 10.0)),
            (30, 300, 200, (100.0, 10.0)),
            (40, 300, 250, (50.0, 20.0)),
            (50, 300, 300, (0.0, 0.0)),
        ] {
            assert_eq!(lag.take(at(second), &look(now, confirmed, 0)), Ok(expected), "{second}");
        }
    }

    #[test]
    fn a_lag_of_nothing_is_not_told_while_replication_is_dead() {
        let mut lag = Lag::default();
        let idle = look(100, 100, 0);
        let off = Subscription { enabled: false, ..idle.subscription.clone().unwrap() };
        let gone = Subscription { working: false, ..idle.subscription.clone().unwrap() };
        let inactive = Slot { active: false, ..idle.slot.clone().unwrap() };
        for (dead, word) in [
            (Replication { subscription: Some(off), ..idle.clone() }, "disabled"),
            (Replication { subscription: Some(gone), ..idle.clone() }, "worker is gone"),
            (Replication { subscription: None, ..idle.clone() }, "no subscription"),
            (Replication { slot: Some(inactive), ..idle.clone() }, "inactive"),
            (Replication { slot: None, ..idle.clone() }, "no replication slot"),
            (Replication { unknown: vec!["public.late".into()], ..idle.clone() }, "public.late"),
        ] {
            let reason = lag.take(at(0), &dead).unwrap_err();
            assert!(reason.contains(word), "{word}: {reason}");
        }
        assert_eq!(lag.take(at(1), &idle), Ok((0.0, 0.0)));
    }

    #[test]
    fn rising_errors_are_a_row_that_cannot_be_applied_until_they_stop() {
        let mut lag = Lag::default();
        assert!(lag.take(at(0), &look(100, 100, 3)).is_ok(), "errors of long ago");
        assert!(lag.take(at(5), &look(200, 100, 4)).unwrap_err().starts_with("1 errors of applying"));
        assert!(lag.take(at(50), &look(200, 200, 4)).is_err());
        assert!(lag.take(at(70), &look(200, 200, 4)).is_ok());
    }
}
