//! What CloudWatch has recorded: one-minute buckets, readable some time after their minute has ended.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use jiff::Timestamp;

/// Seconds of one period: the finest that any of the recorded metrics has.
pub(super) const PERIOD: i64 = 60;
/// Minutes kept: CloudWatch keeps 15 days of them, a rehearsal never lasts one.
const KEPT: usize = 24 * 60;
/// Bins of a latency histogram: logarithmic, from [`FIRST_BIN`] seconds, each [`BIN_RATIO`] times the one before.
const BINS: usize = 120;
const FIRST_BIN: f64 = 0.001;
const BIN_RATIO: f64 = 1.1;

/// Names a metric.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MetricId {
    pub(super) namespace: String,
    pub(super) name: String,
    /// Sorted by name.
    pub(super) dimensions: Vec<(String, String)>,
}

impl MetricId {
    pub(super) fn new(namespace: &str, name: &str, dimensions: &[(&str, &str)]) -> Self {
        let mut dimensions: Vec<_> =
            dimensions.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        dimensions.sort();
        Self { namespace: namespace.to_owned(), name: name.to_owned(), dimensions }
    }
}

/// What one or more minutes hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Bucket {
    count: f64,
    sum: f64,
    min: f64,
    max: f64,
    /// Weights by [`bin`], only for metrics that have percentiles.
    histogram: Vec<f64>,
}

impl Bucket {
    fn add(&mut self, value: f64, weight: f64) {
        self.min = if self.count > 0.0 { self.min.min(value) } else { value };
        self.max = if self.count > 0.0 { self.max.max(value) } else { value };
        self.count += weight;
        self.sum += value * weight;
    }

    fn add_latency(&mut self, seconds: f64, weight: f64) {
        self.add(seconds, weight);
        self.histogram.resize(BINS, 0.0);
        self.histogram[bin(seconds)] += weight;
    }

    fn merge(&mut self, other: &Self) {
        if other.count <= 0.0 {
            return;
        }
        self.min = if self.count > 0.0 { self.min.min(other.min) } else { other.min };
        self.max = if self.count > 0.0 { self.max.max(other.max) } else { other.max };
        self.count += other.count;
        self.sum += other.sum;
        self.histogram.resize(self.histogram.len().max(other.histogram.len()), 0.0);
        self.histogram.iter_mut().zip(&other.histogram).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// A CloudWatch statistic (`Sum`, `Average`, `Minimum`, `Maximum`, `SampleCount`, `pNN.N`); `None` when this metric
    /// cannot have it, as CloudWatch has no percentiles of what was not recorded as single values.
    pub(super) fn statistic(&self, statistic: &str) -> Option<f64> {
        match statistic {
            "Sum" => Some(self.sum),
            "Average" => Some(self.sum / self.count),
            "Minimum" => Some(self.min),
            "Maximum" => Some(self.max),
            "SampleCount" => Some(self.count),
            _ => {
                let percent: f64 = statistic.strip_prefix('p')?.parse().ok()?;
                self.percentile(percent)
            }
        }
    }

    fn percentile(&self, percent: f64) -> Option<f64> {
        let wanted = self.histogram.iter().sum::<f64>() * percent / 100.0;
        let mut seen = 0.0;
        for (index, weight) in self.histogram.iter().enumerate() {
            if *weight > 0.0 && seen + weight >= wanted {
                let into = (wanted - seen) / weight;
                let value = FIRST_BIN * BIN_RATIO.powf(index as f64 + into);
                return Some(value.clamp(self.min, self.max));
            }
            seen += weight;
        }
        None
    }
}

/// Whether CloudWatch knows this statistic at all.
pub(super) fn is_statistic(name: &str) -> bool {
    let percentile =
        || name.strip_prefix('p').and_then(|p| p.parse::<f64>().ok()).is_some_and(|p| (0.0..=100.0).contains(&p));
    matches!(name, "Sum" | "Average" | "Minimum" | "Maximum" | "SampleCount") || percentile()
}

fn bin(seconds: f64) -> usize {
    let index = (seconds.max(FIRST_BIN) / FIRST_BIN).ln() / BIN_RATIO.ln();
    (index as usize).min(BINS - 1)
}

/// All that is recorded.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Per metric, (minute in epoch seconds, bucket), ascending.
    series: BTreeMap<MetricId, VecDeque<(i64, Bucket)>>,
}

impl Metrics {
    /// Records one value.
    pub(super) fn put(&mut self, id: &MetricId, at: Timestamp, value: f64) {
        self.bucket(id, at).add(value, 1.0);
    }

    /// Records `weight` requests of this latency.
    pub(super) fn put_latency(&mut self, id: &MetricId, at: Timestamp, seconds: f64, weight: f64) {
        self.bucket(id, at).add_latency(seconds, weight);
    }

    /// Records `count` events, each of value 1.
    pub(super) fn put_count(&mut self, id: &MetricId, at: Timestamp, count: f64) {
        if count > 0.0 {
            self.bucket(id, at).add(1.0, count);
        }
    }

    fn bucket(&mut self, id: &MetricId, at: Timestamp) -> &mut Bucket {
        let minute = at.as_second().div_euclid(PERIOD) * PERIOD;
        if !self.series.contains_key(id) {
            self.series.insert(id.clone(), VecDeque::new());
        }
        let buckets = self.series.get_mut(id).expect("it was inserted just above");
        if buckets.back().is_none_or(|(last, _)| *last < minute) {
            buckets.push_back((minute, Bucket::default()));
            if buckets.len() > KEPT {
                buckets.pop_front();
            }
        }
        &mut buckets.back_mut().expect("it was pushed just above").1
    }

    /// The metrics that exist.
    pub(super) fn ids(&self) -> impl Iterator<Item = &MetricId> {
        self.series.keys()
    }

    /// Datapoints of `period` seconds (a multiple of 60) whose period begins in `[start, end)`, ascending. A minute can be
    /// read `delay` after its end.
    pub(super) fn read(
        &self,
        id: &MetricId,
        (start, end): (i64, i64),
        period: i64,
        (now, delay): (Timestamp, Duration),
    ) -> Vec<(i64, Bucket)> {
        let readable = now.as_second() - PERIOD - delay.as_secs() as i64;
        let mut points: Vec<(i64, Bucket)> = Vec::new();
        for (minute, bucket) in self.series.get(id).into_iter().flatten() {
            let begins = minute.div_euclid(period) * period;
            if *minute > readable || !(start..end).contains(&begins) {
                continue;
            }
            match points.last_mut() {
                Some((last, merged)) if *last == begins => merged.merge(bucket),
                _ => points.push((begins, bucket.clone())),
            }
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_minute_can_be_read_only_after_its_delay() {
        let id = MetricId::new("N", "M", &[]);
        let mut metrics = Metrics::default();
        metrics.put_count(&id, at(61), 3.0);
        metrics.put_count(&id, at(119), 4.0);
        metrics.put_count(&id, at(121), 9.0);
        let read = |now| metrics.read(&id, (0, 600), 60, (at(now), Duration::from_secs(120)));
        assert!(read(239).is_empty());
        let points = read(240);
        assert_eq!(points.len(), 1);
        assert_eq!((points[0].0, points[0].1.statistic("Sum")), (60, Some(7.0)));
        let long = metrics.read(&id, (0, 600), 300, (at(900), Duration::ZERO));
        assert_eq!((long.len(), long[0].0, long[0].1.statistic("Sum")), (1, 0, Some(16.0)));
    }

    #[test]
    fn percentiles_come_from_the_histogram_and_only_from_there() {
        let id = MetricId::new("N", "Latency", &[("b", "2"), ("a", "1")]);
        assert_eq!(id.dimensions[0].0, "a");
        let mut metrics = Metrics::default();
        (1..=1000).for_each(|ms| metrics.put_latency(&id, at(1), f64::from(ms) / 1000.0, 1.0));
        let points = metrics.read(&id, (0, 60), 60, (at(60), Duration::ZERO));
        let p95 = points[0].1.statistic("p95").unwrap();
        assert!((0.92..0.98).contains(&p95), "{p95}");
        assert_eq!(points[0].1.statistic("Maximum"), Some(1.0));
        metrics.put(&id, at(61), 5.0);
        assert_eq!(metrics.read(&id, (60, 120), 60, (at(200), Duration::ZERO))[0].1.statistic("p95"), None);
        assert!(is_statistic("p99.9") && !is_statistic("p101") && !is_statistic("Median"));
    }
}
