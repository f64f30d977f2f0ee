//! Runs every check against the live name and each side.
//!
//! Each check on each target has its own rhythm, all of them spread over the interval, and only so many run at once: a
//! side that hangs must not pile up requests, nor the cockpit be the load that brings it down.
//!
//! A verdict becomes failing after two failures in a row and passing after one pass (see [`CheckVerdict`]). A run that
//! does not come back at all makes it unknown.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

use super::{
    task::{Context, Pace, keep_alive, phase},
    verdict::CheckVerdict,
};
use crate::{
    plan::Check,
    run::{Report, Sample, Target},
};

const TARGETS: [Target; 3] = [Target::Live, Target::Old, Target::New];
/// Checks that run at once.
const AT_ONCE: usize = 16;
/// Between two runs of one check on one target, by the wall, however fast the session runs.
const FLOOR: Duration = Duration::from_millis(500);
/// A run that is over its own time-out by this much does not come back.
const GRACE: Duration = Duration::from_secs(5);

/// Starts all checks.
pub(super) fn spawn(tasks: &mut JoinSet<()>, context: &Arc<Context>) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let count = context.plan.checks.len() * TARGETS.len();
    let all = context.plan.checks.iter().flat_map(|check| TARGETS.map(|target| (check, target)));
    for (place, (check, target)) in all.enumerate() {
        let (check, room, phase) = (Arc::new(check.clone()), Arc::clone(&room), phase(place, count));
        let name = format!("check:{}", check.id);
        let unknown = vec![report(&check, target, None, Some("the check cannot be run".into()))];
        keep_alive(tasks, context, name, unknown, move |context| {
            repeat(context, Arc::clone(&check), target, Arc::clone(&room), phase)
        });
    }
}

async fn repeat(context: Arc<Context>, check: Arc<Check>, target: Target, room: Arc<Semaphore>, phase: f64) {
    let mut verdict = CheckVerdict::default();
    let pace = Pace { session: check.every, wall: FLOOR };
    let mut ticks = pace.ticks(context.clock, phase).await;
    loop {
        ticks.tick().await;
        // The semaphore is never closed; if it were, the check would stop and that would be seen as its end.
        let Ok(permit) = room.acquire().await else { return };
        let (passing, reason) = run(&context, &check, target).await;
        drop(permit);
        if let Some(passing) = verdict.see(passing) {
            context.out.report(report(&check, target, passing, reason)).await;
        }
    }
}

/// One run: whether it passed, and why not. None: it did not come back.
async fn run(context: &Context, check: &Check, target: Target) -> (Option<bool>, Option<String>) {
    let Ok(sample) = timeout(check.timeout + GRACE, context.world.checker().run(check, target)).await else {
        return (None, Some(format!("no end after {:?}", check.timeout + GRACE)));
    };
    let told = (Some(sample.passing), sample.reason.clone());
    context.out.sample(Sample::Check(sample));
    told
}

fn report(check: &Check, target: Target, passing: Option<bool>, reason: Option<String>) -> Report {
    Report::Check { check: check.id.clone(), target, passing, reason: reason.filter(|_| passing != Some(true)) }
}
