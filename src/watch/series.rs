//! The pure half of the metrics: rings of data, the span that a round asks for, and the baseline.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::run::Datum;

/// Data kept of each metric: a day of minutes.
const KEPT: usize = 24 * 60;
/// Data that a baseline is the median of.
const BASELINE_DATA: usize = 10;
/// A baseline is taken from the newest data only: nothing older than this many periods counts.
const BASELINE_PERIODS: u32 = 30;
/// Periods asked for in each round: late data of the last minutes are asked for again until they have settled.
const USUAL_PERIODS: i64 = 10;
/// Periods asked for at most: what the graphs show at the start, and what is made up after an outage.
const MOST_PERIODS: i64 = 180;

/// The data of one metric, ordered by time, one of each instant.
#[derive(Debug, Default, Clone)]
pub(super) struct Ring(Vec<Datum>);

impl Ring {
    /// Takes in data in any order and returns those that are new or differ from what was known, ordered by time.
    pub(super) fn merge(&mut self, data: &[Datum]) -> Vec<Datum> {
        let mut fresh: Vec<_> = data.iter().copied().filter(|datum| self.take(*datum)).collect();
        fresh.sort_by_key(|datum| datum.at);
        let surplus = self.0.len().saturating_sub(KEPT);
        self.0.drain(..surplus);
        fresh
    }

    fn take(&mut self, datum: Datum) -> bool {
        match self.0.binary_search_by_key(&datum.at, |known| known.at) {
            Ok(place) if self.0[place].value.to_bits() == datum.value.to_bits() => return false,
            Ok(place) => self.0[place] = datum,
            Err(place) => self.0.insert(place, datum),
        }
        true
    }

    /// All data, oldest first.
    pub(super) fn data(&self) -> &[Datum] {
        &self.0
    }

    /// The median of the newest data; None when there are none that are new enough to say how things are now.
    pub(super) fn baseline(&self, period: Duration, now: Timestamp) -> Option<f64> {
        let oldest = now - signed(period * BASELINE_PERIODS);
        let recent = self.0.iter().rev().take(BASELINE_DATA).filter(|datum| datum.at >= oldest);
        median(recent.map(|datum| datum.value).collect())
    }
}

/// The median; of an even number the mean of the middle two. NaN counts as nothing.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|value| !value.is_nan());
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

/// From when on a round asks, given the longest period of its metrics and when the last good round was asked: what was
/// missed since then is made up.
pub(super) fn from(longest: u32, good: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let longest = i64::from(longest.max(1));
    let missed = good.map_or(MOST_PERIODS, |good| now.duration_since(good).as_secs() / longest);
    let asked = missed.saturating_add(USUAL_PERIODS).clamp(USUAL_PERIODS, MOST_PERIODS);
    now - SignedDuration::from_secs(asked * longest)
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn data(values: &[(i64, f64)]) -> Vec<Datum> {
        values.iter().map(|&(minute, value)| Datum { at: at(minute), value }).collect()
    }

    #[test]
    fn late_and_changed_data_are_news_and_the_rest_is_not() {
        let mut ring = Ring::default();
        assert_eq!(ring.merge(&data(&[(2, 2.0), (0, 0.5)])), data(&[(0, 0.5), (2, 2.0)]));
        assert_eq!(ring.merge(&data(&[(0, 0.5), (1, 1.0), (2, 2.5)])), data(&[(1, 1.0), (2, 2.5)]));
        assert_eq!(ring.data(), data(&[(0, 0.5), (1, 1.0), (2, 2.5)]));
    }

    #[test]
    fn medians() {
        for (values, expected) in [
            (vec![], None),
            (vec![3.0], Some(3.0)),
            (vec![9.0, 1.0], Some(5.0)),
            (vec![5.0, 1.0, 100.0], Some(5.0)),
            (vec![f64::NAN, 2.0], Some(2.0)),
        ] {
            assert_eq!(median(values), expected);
        }
    }

    #[test]
    fn a_baseline_is_of_the_last_ten_and_never_of_old_data() {
        let mut ring = Ring::default();
        let many: Vec<_> = (0..40_i32).map(|minute| (i64::from(minute), f64::from(minute))).collect();
        ring.merge(&data(&many));
        let minute = Duration::from_secs(60);
        assert_eq!(ring.baseline(minute, at(41)), Some(34.5));
        assert_eq!(ring.baseline(minute, at(68)), Some(38.5));
        assert_eq!(ring.baseline(minute, at(70)), None);
    }

    #[test]
    fn a_round_asks_again_for_the_last_periods_and_makes_up_for_outages() {
        let now = at(500);
        for (longest, good, expected) in [
            (60, Some(at(499)), at(489)),
            (60, Some(at(440)), at(430)),
            (60, None, at(320)),
            (60, Some(at(0)), at(320)),
            (300, Some(at(499)), at(450)),
            (0, Some(now), now - SignedDuration::from_secs(10)),
        ] {
            assert_eq!(from(longest, good, now), expected, "{longest} {good:?}");
        }
    }

    proptest! {
        #[test]
        fn rings_are_ordered_unique_bounded_and_idempotent(
            batches in prop::collection::vec(prop::collection::vec((0i64..2000, 0.0f64..9.0), 0..300), 1..8),
        ) {
            let mut ring = Ring::default();
            for batch in &batches {
                let batch = data(batch);
                ring.merge(&batch);
                prop_assert!(ring.data().is_sorted_by(|a, b| a.at < b.at));
                prop_assert!(ring.data().len() <= KEPT);
                let known = ring.data().to_vec();
                prop_assert!(ring.merge(&known).is_empty());
            }
        }
    }
}
