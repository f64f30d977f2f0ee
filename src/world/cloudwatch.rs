//! CloudWatch metrics: `GetMetricData`, as few calls as the service allows.
//!
//! Source: CloudWatch API reference (2010-08-01), `GetMetricData`, `MetricDataQuery`. Ratios are divided here and not by
//! a metric math expression: their inputs are asked for (and billed) all the same, and so every server that speaks the
//! protocol will do.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use aws_sdk_cloudwatch::{
    Client,
    types::{
        Dimension, MessageData, Metric as WireMetric, MetricDataQuery, MetricDataResult, MetricStat, ScanBy, StatusCode,
    },
};
use aws_smithy_types::DateTime;
use jiff::Timestamp;

use super::{
    aws::Aws,
    clean::clean,
    error::{self, trouble},
};
use crate::{
    plan::{Metric, MetricSource, Unit},
    run::{Datum, Trouble, TroubleKind},
};

/// What one `GetMetricData` call takes.
const MAX_QUERIES: usize = 500;
/// A batch of 500 minute series over a day fits in eight pages; a listing that goes on longer is not believed.
const MAX_PAGES: usize = 100;
const CALL: &str = "cloudwatch:GetMetricData";

/// CloudWatch of the plan's account and region.
#[derive(Debug)]
pub struct CloudWatch {
    client: Client,
    calls: AtomicU64,
    metrics: AtomicU64,
}

/// Metric id to its values as CloudWatch gave them, by the start of their period.
type Raw = BTreeMap<String, BTreeMap<Timestamp, f64>>;

/// What was measured in a span of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fetched {
    /// Metric id to its data in the metric's own unit, ordered by time; only periods that are over. A metric without
    /// data is missing.
    pub series: BTreeMap<String, Vec<Datum>>,
    /// Metric id to the reason why its data may not be all there is.
    pub partial: BTreeMap<String, String>,
    /// What CloudWatch said about whole calls, cleaned.
    pub messages: Vec<String>,
}

impl CloudWatch {
    pub(super) fn new(aws: &Aws) -> Self {
        Self { client: Client::new(aws.read()), calls: AtomicU64::new(0), metrics: AtomicU64::new(0) }
    }

    /// Calls made and metrics asked for so far; the second is what AWS bills.
    pub fn spent(&self) -> (u64, u64) {
        (self.calls.load(Ordering::Relaxed), self.metrics.load(Ordering::Relaxed))
    }

    /// Fetches all of `metrics` between two instants of session time. The inputs of a ratio must be among them.
    ///
    /// # Errors
    /// A call failed; what other calls gave is dropped with it.
    pub async fn fetch(&self, metrics: &[Metric], from: Timestamp, to: Timestamp) -> Result<Fetched, Trouble> {
        let (mut fetched, mut raw) = (Fetched::default(), Raw::new());
        for batch in published(metrics).chunks(MAX_QUERIES) {
            let mut collected = Collected::default();
            self.fetch_batch(batch, (from, to), &mut collected, &mut fetched.messages).await?;
            collected.hand_over(batch, to, &mut raw, &mut fetched);
        }
        let all = metrics.iter().map(|metric| (metric.id.clone(), series(metric, &raw)));
        fetched.series = all.filter(|(_, data)| !data.is_empty()).collect();
        Ok(fetched)
    }

    async fn fetch_batch(
        &self,
        batch: &[&Metric],
        (from, to): (Timestamp, Timestamp),
        collected: &mut Collected,
        messages: &mut Vec<String>,
    ) -> Result<(), Trouble> {
        let periods = || batch.iter().map(|metric| metric.period.max(1));
        let start = floor(from, periods().max().unwrap_or(60));
        let end = floor(to, periods().min().unwrap_or(60));
        if start >= end {
            return Ok(());
        }
        let mut token = None;
        for _ in 0..MAX_PAGES {
            self.calls.fetch_add(1, Ordering::Relaxed);
            if token.is_none() {
                self.metrics.fetch_add(batch.len() as u64, Ordering::Relaxed);
            }
            let request = self.client.get_metric_data().start_time(DateTime::from_secs(start));
            let request = request.end_time(DateTime::from_secs(end)).scan_by(ScanBy::TimestampAscending);
            let request = request.set_metric_data_queries(Some(queries(batch))).set_next_token(token);
            let page = request.send().await.map_err(|error| error::aws(CALL, &error).trouble)?;
            page.metric_data_results().iter().for_each(|result| collected.add(result));
            messages.extend(page.messages().iter().map(text));
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(());
            }
        }
        Err(trouble(CALL, TroubleKind::Garbled, "the pages of an answer do not end"))
    }
}

/// Metrics that CloudWatch publishes; ratios are made of them.
fn published(metrics: &[Metric]) -> Vec<&Metric> {
    metrics.iter().filter(|metric| matches!(metric.source, MetricSource::Stat { .. })).collect()
}

fn queries(batch: &[&Metric]) -> Vec<MetricDataQuery> {
    batch.iter().enumerate().filter_map(|(at, metric)| query(at, metric)).collect()
}

fn query(at: usize, metric: &Metric) -> Option<MetricDataQuery> {
    let MetricSource::Stat { namespace, name, dimensions, stat } = &metric.source else { return None };
    let dimensions = dimensions.iter().map(|(name, value)| Dimension::builder().name(name).value(value).build());
    let wire = WireMetric::builder().namespace(namespace).metric_name(name).set_dimensions(Some(dimensions.collect()));
    let period = i32::try_from(metric.period).unwrap_or(60);
    let stat = MetricStat::builder().metric(wire.build()).period(period).stat(stat).build();
    Some(MetricDataQuery::builder().id(format!("m{at}")).metric_stat(stat).build())
}

/// The data of one call, page by page, by place in the call and start of the period.
#[derive(Default)]
struct Collected {
    values: BTreeMap<usize, BTreeMap<Timestamp, f64>>,
    /// Place to why its last page was not complete.
    partial: BTreeMap<usize, String>,
}

impl Collected {
    fn add(&mut self, result: &MetricDataResult) {
        let place = result.id().and_then(|id| id.strip_prefix('m')).and_then(|at| at.parse().ok());
        let Some(place) = place else { return };
        let pairs = result.timestamps().iter().zip(result.values());
        let pairs = pairs.filter_map(|(at, value)| Some((Timestamp::from_second(at.secs()).ok()?, *value)));
        self.values.entry(place).or_default().extend(pairs.filter(|(_, value)| value.is_finite()));
        match result.status_code() {
            Some(StatusCode::Complete) | None => drop(self.partial.remove(&place)),
            Some(status) => {
                let said: Vec<_> = result.messages().iter().map(text).collect();
                let reason = if said.is_empty() { clean(status.as_str()) } else { said.join("; ") };
                self.partial.insert(place, reason);
            }
        }
    }

    fn hand_over(self, batch: &[&Metric], to: Timestamp, raw: &mut Raw, fetched: &mut Fetched) {
        for (place, mut values) in self.values {
            let Some(metric) = batch.get(place) else { continue };
            // A period that is not over yet shows too little.
            values.retain(|at, _| at.as_second() + i64::from(metric.period) <= to.as_second());
            raw.insert(metric.id.clone(), values);
        }
        let named = self.partial.into_iter().filter_map(|(at, why)| Some((batch.get(at)?.id.clone(), why)));
        fetched.partial.extend(named);
    }
}

/// The data of a metric in its own unit.
fn series(metric: &Metric, raw: &Raw) -> Vec<Datum> {
    let datum = |(at, value)| Datum { at, value };
    match &metric.source {
        MetricSource::Stat { stat, .. } => {
            let summed = metric.unit == Unit::PerSecond && (stat == "Sum" || stat == "SampleCount");
            let divisor = if summed { f64::from(metric.period.max(1)) } else { 1.0 };
            let values = raw.get(&metric.id).into_iter().flatten();
            values.map(|(at, value)| datum((*at, value / divisor))).collect()
        }
        MetricSource::Postgres { .. } | MetricSource::Queue { .. } => Vec::new(),
        MetricSource::Ratio { of, to } => {
            let parts = raw.get(of);
            let wholes = raw.get(to).into_iter().flatten().filter(|(_, whole)| **whole > 0.0);
            // A load balancer publishes no error count while there are no errors: there, missing is 0.
            let share =
                |at: &Timestamp, whole: &f64| 100.0 * parts.and_then(|part| part.get(at)).unwrap_or(&0.0) / whole;
            wholes.map(|(at, whole)| datum((*at, share(at, whole)))).collect()
        }
    }
}

fn text(message: &MessageData) -> String {
    let (code, value) = (message.code().unwrap_or("message"), message.value().unwrap_or_default());
    clean(&format!("{code}: {value}"))
}

/// The start of the period that an instant lies in, in seconds since the epoch.
fn floor(at: Timestamp, period: u32) -> i64 {
    let seconds = at.as_second();
    seconds - seconds.rem_euclid(i64::from(period.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Side;

    fn stat(id: &str, unit: Unit, stat: &str) -> Metric {
        let source = MetricSource::Stat {
            namespace: "AWS/ApplicationELB".into(),
            name: id.into(),
            dimensions: BTreeMap::new(),
            stat: stat.into(),
        };
        Metric { id: id.into(), title: id.into(), graph: id.into(), side: Side::New, unit, source, period: 60 }
    }

    fn ratio(id: &str, of: &str, to: &str) -> Metric {
        Metric { source: MetricSource::Ratio { of: of.into(), to: to.into() }, ..stat(id, Unit::Percent, "Sum") }
    }

    fn raw(series: &[(&str, &[(i64, f64)])]) -> Raw {
        let values = |data: &[(i64, f64)]| data.iter().map(|(second, value)| (at(*second), *value)).collect();
        series.iter().map(|(id, data)| ((*id).to_owned(), values(data))).collect()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_ratio_is_zero_without_errors_and_missing_without_requests() {
        let raw = raw(&[("errors", &[(60, 3.0), (240, 1.0)]), ("requests", &[(60, 600.0), (120, 500.0), (180, 0.0)])]);
        let data = series(&ratio("share", "errors", "requests"), &raw);
        assert_eq!(data, [Datum { at: at(60), value: 0.5 }, Datum { at: at(120), value: 0.0 }]);
        assert_eq!(series(&ratio("share", "errors", "nothing"), &raw), []);
    }

    #[test]
    fn sums_become_rates_and_averages_stay() {
        let raw = raw(&[("requests", &[(60, 600.0)])]);
        assert_eq!(series(&stat("requests", Unit::PerSecond, "Sum"), &raw)[0].value, 10.0);
        assert_eq!(series(&stat("requests", Unit::PerSecond, "Average"), &raw)[0].value, 600.0);
        assert_eq!(series(&stat("requests", Unit::Count, "Sum"), &raw)[0].value, 600.0);
    }

    #[test]
    fn a_period_that_is_not_over_is_left_out() {
        let metric = stat("requests", Unit::PerSecond, "Sum");
        let mut collected = Collected::default();
        let result = MetricDataResult::builder().id("m0").status_code(StatusCode::PartialData);
        let result = result.timestamps(DateTime::from_secs(120)).timestamps(DateTime::from_secs(60));
        collected.add(&result.values(5.0).values(f64::NAN).build());
        collected.add(&MetricDataResult::builder().id("m0").timestamps(DateTime::from_secs(0)).values(7.0).build());
        let (mut fetched, mut raw) = (Fetched::default(), Raw::new());
        collected.partial.insert(0, "PartialData".into());
        collected.hand_over(&[&metric], at(170), &mut raw, &mut fetched);
        assert_eq!(raw["requests"], BTreeMap::from([(at(0), 7.0)]));
        assert_eq!(fetched.partial["requests"], "PartialData");
    }

    #[test]
    fn only_published_metrics_are_asked_for() {
        let metrics = [ratio("share", "errors", "requests"), stat("requests", Unit::PerSecond, "Sum")];
        let asked = queries(&published(&metrics));
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].metric_stat().unwrap().metric().unwrap().metric_name(), Some("requests"));
    }

    #[test]
    fn spans_are_aligned_to_the_period() {
        assert_eq!((floor(at(179), 60), floor(at(179), 300), floor(at(179), 1)), (120, 0, 179));
    }
}
