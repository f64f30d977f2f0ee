//! Samplers that turn the world into series and verdicts.
//!
//! Each sampler is a loop that asks, says what it measured on the lossy stream ([`Sample`]), and says what changed in a
//! verdict on the stream that loses nothing ([`Report`]). What decides is pure and stands apart from what asks:
//!
//! | asks | decides | about |
//! |---|---|---|
//! | `metrics` | `series`, [`crate::run::judge`] | CloudWatch and the guardrails |
//! | `databases` | `databases`, [`crate::run::judge`] | replication lag, and what a side has written |
//! | `queues` | as above | SQS queues, asked themselves |
//! | `checks` | `verdict` | HTTP checks against the live name and each side |
//! | `resolvers` | `classify`, `propagation` | what authority and resolvers answer for the records that move |
//! | `runners` | `runners` | what runs where: the interlock matrix |
//! | `leaks` | `leaks` | who writes to the old database while it is closed to the application |
//! | `preflight` | [`crate::preflight::judge`] | what the preflight looks at, again and quietly |
//! | `credentials` | [`crate::run::holds`] | when the AWS credentials end |
//! | `task` | `backoff` | one loop: kept alive, slowed down while its source is in trouble |
//!
//! No data is not green: whatever cannot be read becomes blind, silent or unknown. A source in trouble is reported with
//! the call, the reason and the time of the next try. A sampler that panics is reported, its verdicts become unknown,
//! and it is started again; the engine never hears of it otherwise.
//!
//! Intervals are session time, so that a rehearsal at 120x sees as much as the real thing; but there is a floor by the
//! wall clock to each, below which no amount of speed makes it ask.

mod backoff;
mod checks;
mod classify;
mod credentials;
mod databases;
mod leaks;
mod metrics;
mod preflight;
mod propagation;
mod queues;
mod resolvers;
mod runners;
mod series;
mod task;
mod verdict;

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use self::{
    metrics::Board,
    task::{Context, Out},
};
use crate::{
    clock::Clock,
    plan::Plan,
    run::{Report, Sample},
    world::World,
};

/// What a sampler found.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// A measurement: dropped when the receiver does not keep up.
    Sample(Sample),
    /// A verdict or a source changed, or was seen for the first time: waits for the receiver.
    Report(Report),
}

/// The running samplers. They stop when this is dropped.
#[derive(Debug)]
pub struct WatchHandle {
    plan: Arc<Plan>,
    clock: Clock,
    board: Arc<Board>,
    _tasks: JoinSet<()>,
}

impl WatchHandle {
    /// What relative guardrails are to be measured against, by metric id and in the metric's own unit: the median of the
    /// last ten data. A metric without data of the last 30 periods is left out.
    #[must_use]
    pub fn baseline_values(&self) -> BTreeMap<String, f64> {
        self.board.baseline(&self.plan, self.clock.now())
    }
}

/// Starts all samplers of a plan.
///
/// `baseline` is what relative guardrails are measured against: empty until it was captured. `out` should hold some
/// hundred findings; while it is full, samples are dropped and verdicts wait. `begun` is when the session began.
///
/// Must be called within a tokio runtime.
#[must_use]
pub fn start(
    plan: Arc<Plan>,
    world: World,
    clock: Clock,
    out: mpsc::Sender<Finding>,
    baseline: watch::Receiver<BTreeMap<String, f64>>,
    begun: Timestamp,
) -> WatchHandle {
    let context = Arc::new(Context { plan: Arc::clone(&plan), world, clock, out: Out::new(out) });
    let board = Arc::new(Board::default());
    let mut tasks = JoinSet::new();
    metrics::spawn(&mut tasks, &context, &board, &baseline);
    databases::spawn(&mut tasks, &context, &board);
    queues::spawn(&mut tasks, &context, &board);
    checks::spawn(&mut tasks, &context);
    credentials::spawn(&mut tasks, &context);
    resolvers::spawn(&mut tasks, &context);
    runners::spawn(&mut tasks, &context);
    leaks::spawn(&mut tasks, &context);
    preflight::spawn(&mut tasks, &context, begun);
    WatchHandle { plan, clock, board, _tasks: tasks }
}
