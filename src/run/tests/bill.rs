use std::{collections::BTreeMap, time::Duration};

use super::plan;
use crate::{
    plan::{Metric, MetricSource, Side, Unit},
    run::{hourly_bill, metric_round},
};

#[test]
fn ratios_cost_nothing_and_a_shorter_period_more() {
    let mut plan = plan();
    let metric = |source| Metric {
        id: "one".into(),
        title: "one".into(),
        graph: "one".into(),
        side: Side::New,
        unit: Unit::Count,
        source,
        period: 60,
    };
    let stat = || MetricSource::Stat {
        namespace: "AWS/SQS".into(),
        name: "ApproximateNumberOfMessagesVisible".into(),
        dimensions: BTreeMap::new(),
        stat: "Maximum".into(),
    };
    plan.metrics = vec![metric(stat()), metric(MetricSource::Ratio { of: "one".into(), to: "one".into() })];
    assert_eq!(metric_round(&plan), Duration::from_secs(30));
    assert!((hourly_bill(&plan) - 0.0012).abs() < 1e-9, "{}", hourly_bill(&plan));
    plan.metrics[0].period = 10;
    assert!((hourly_bill(&plan) - 0.0072).abs() < 1e-9, "{}", hourly_bill(&plan));
}
