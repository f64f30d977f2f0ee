//! What is measured, and what a measurement may lead to.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    database::DatabaseMeasure,
    model::{Side, StepId},
};

/// What a number means, so that it is shown in the units people say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// A plain count.
    Count,
    /// Events per second (a sum over a period divided by the period).
    PerSecond,
    /// Percent, 0 to 100.
    Percent,
    /// Seconds as the service reports them; shown as ms or s.
    Seconds,
    /// Bytes; shown as KiB, MiB, GiB.
    Bytes,
}

/// A CloudWatch metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Unique id.
    pub id: String,
    /// What people call it.
    pub title: String,
    /// Metrics with the same graph share one chart (old beside new).
    pub graph: String,
    /// Which side it tells about.
    pub side: Side,
    /// What the shown number means.
    pub unit: Unit,
    /// Where it comes from.
    pub source: MetricSource,
    /// Period in seconds (60 for most services; of a queue, how often it is asked).
    pub period: u32,
}

/// Where a metric comes from: `GetMetricData`, a database, or a queue itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetricSource {
    /// A published metric.
    Stat {
        /// e.g. `AWS/ApplicationELB`.
        namespace: String,
        /// e.g. `RequestCount`.
        name: String,
        /// Dimension names and values.
        dimensions: BTreeMap<String, String>,
        /// `Sum`, `Average`, `Maximum`, `p95`, ...
        stat: String,
    },
    /// The share of one metric in another, in percent (metric math).
    Ratio {
        /// Metric id of the numerator; both must be sums over the same period.
        of: String,
        /// Metric id of the denominator.
        to: String,
    },
    /// A database of the plan, asked directly.
    Postgres {
        /// What is measured.
        postgres: DatabaseMeasure,
    },
    /// Messages that wait in an SQS queue, asked of the queue itself (`GetQueueAttributes`).
    Queue {
        /// Queue name or URL.
        queue: String,
    },
}

/// A threshold and what it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guardrail {
    /// Unique id.
    pub id: String,
    /// What people call it.
    pub title: String,
    /// Metric id it watches.
    pub metric: String,
    /// Which side of the bound is bad.
    pub bound: Bound,
    /// The bound.
    pub threshold: Threshold,
    /// How long the bound must be passed before it is a breach.
    pub lasting: Duration,
    /// Newest datum older than this: blind.
    pub max_age: Duration,
    /// What a breach does.
    pub consequence: Consequence,
    /// It counts from the end of this step on; None: always. Before that it is shown and does nothing.
    pub after: Option<StepId>,
}

/// Which side of a threshold is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// Bad above.
    Above,
    /// Bad below.
    Below,
}

/// A guardrail's threshold, in the metric's own unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Threshold {
    /// This value.
    Absolute(f64),
    /// This many times the baseline captured before the first destructive step.
    Relative(f64),
}

/// What a guardrail's breach does. None of them arms or sends anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consequence {
    /// A banner.
    Warn,
    /// A banner and a hold: nothing goes forward until it is over or overridden.
    Hold,
    /// A banner, a hold, and the rollback pane is proposed.
    ProposeRollback,
}
