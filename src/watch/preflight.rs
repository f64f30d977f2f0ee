//! The preflight again, quietly, while the session runs: one call at a time, now and then. What changed in a finding
//! becomes an event.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::task::JoinSet;

use super::task::{Context, Pace, keep_alive};
use crate::{
    preflight::{Look, Progress, gather, judge},
    run::Report,
};

/// Between two looks. A rehearsal runs up to 120 times as fast, and its sandbox answers all of it from one machine.
const PACE: Pace = Pace { session: Duration::from_secs(300), wall: Duration::from_secs(20) };
/// How much of the first interval passes before the first look: an engine that comes up has other things to read.
const AFTER: f64 = 0.1;

/// Starts the loop; `begun` is when the session began.
pub(super) fn spawn(tasks: &mut JoinSet<()>, context: &Arc<Context>, begun: Timestamp) {
    keep_alive(tasks, context, "preflight", Vec::new(), move |context| rounds(context, begun));
}

async fn rounds(context: Arc<Context>, begun: Timestamp) {
    let mut ticks = PACE.ticks(context.clock, AFTER).await;
    let (look, progress) = (Look::Quiet { begun }, Progress::default());
    loop {
        ticks.tick().await;
        // Its future holds every call: on the heap, and not in the loop's own.
        let facts = Box::pin(gather(&context.plan, &context.world, context.clock, look, &progress)).await;
        context.out.report(Report::Preflight(judge(&context.plan, &facts))).await;
    }
}
