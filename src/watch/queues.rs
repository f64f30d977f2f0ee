//! Queues that are asked themselves: what they say is seconds old, where CloudWatch is minutes late.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use tokio::task::JoinSet;

use super::{
    metrics::Board,
    task::{Context, Pace, Source, keep_alive},
};
use crate::{
    plan::{Metric, MetricSource},
    run::{Datum, Sample},
};

/// Between two questions to one queue, by the wall, however fast the session runs.
const FLOOR: Duration = Duration::from_millis(500);

/// Starts a loop for each queue.
pub(super) fn spawn(tasks: &mut JoinSet<()>, context: &Arc<Context>, board: &Arc<Board>) {
    for metric in &context.plan.metrics {
        let MetricSource::Queue { queue } = &metric.source else { continue };
        let (board, metric, queue) = (Arc::clone(board), Arc::new(metric.clone()), queue.clone());
        keep_alive(tasks, context, format!("sqs:{queue}"), Vec::new(), move |context| {
            follow(context, Arc::clone(&board), Arc::clone(&metric), queue.clone())
        });
    }
}

async fn follow(context: Arc<Context>, board: Arc<Board>, metric: Arc<Metric>, queue: String) {
    let mut source = Source::new(format!("sqs:{queue}"), &context);
    let pace = Pace { session: Duration::from_secs(u64::from(metric.period)), wall: FLOOR };
    loop {
        let pause = match context.world.sqs().depth(&queue).await {
            Ok(value) => {
                // A datum stands for the period that begins at it: this one ends now.
                let at = context.clock.now() - SignedDuration::from_secs(i64::from(metric.period));
                for data in board.add(&metric.id, Datum { at, value }) {
                    context.out.sample(Sample::Metric { metric: metric.id.clone(), data: vec![data] });
                }
                source.well().await;
                pace.wall(context.clock)
            }
            Err(trouble) => source.ill(trouble).await,
        };
        tokio::time::sleep(pause).await;
    }
}
