//! Metrics in any number.

use std::collections::BTreeMap;

use cutover::plan::{Metric, MetricSource, Side, Unit};

/// So many metrics that the sandbox knows.
pub(crate) fn metrics(count: usize) -> Vec<Metric> {
    let metric = |place: usize| Metric {
        id: format!("metric-{place}"),
        title: String::new(),
        graph: String::new(),
        side: Side::New,
        unit: Unit::Count,
        source: MetricSource::Stat {
            namespace: "AWS/SQS".into(),
            name: "ApproximateNumberOfMessagesVisible".into(),
            dimensions: BTreeMap::from([("QueueName".into(), "acme-shop-jobs".into())]),
            stat: "Maximum".into(),
        },
        period: 60,
    };
    (0..count).map(metric).collect()
}
