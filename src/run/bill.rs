//! What CloudWatch bills for watching.

use std::time::Duration;

use crate::plan::{MetricSource, Plan};

/// USD for one metric of a `GetMetricData` call: 0.01 a thousand (CloudWatch pricing, "Metrics requested").
const METRIC: f64 = 0.01 / 1000.0;
/// The period where a plan has no metric, seconds.
const USUAL: u32 = 60;

/// How often all metrics of CloudWatch are asked for, session time: twice in the shortest period, so that no datum waits for long.
#[must_use]
pub fn metric_round(plan: &Plan) -> Duration {
    let published = plan.metrics.iter().filter(|metric| !matches!(metric.source, MetricSource::Postgres { .. }));
    let shortest = published.map(|metric| metric.period).min().unwrap_or(USUAL);
    Duration::from_secs(u64::from(shortest.max(1))) / 2
}

/// What an hour of that costs, USD. A ratio is made of metrics that are asked for anyway.
#[must_use]
pub fn hourly_bill(plan: &Plan) -> f64 {
    let asked = plan.metrics.iter().filter(|metric| matches!(metric.source, MetricSource::Stat { .. })).count();
    let rounds = 3600.0 / metric_round(plan).as_secs_f64();
    rounds * METRIC * f64::from(u32::try_from(asked).unwrap_or(u32::MAX))
}
