//! Runs every check against the live name and each side.
//!
//! Each check on each target has its own rhythm, all of them spread over the interval, and only so many run at once: a
//! side that hangs must not pile up requests, nor the cockpit be the load that brings it down.
//!
//! A verdict becomes failing after two failures in a row and passing after one pass (see [`CheckVerdict`]). A run that
//! does not come back at all makes it unknown. A server that wants to be left alone (429, or `Retry-After`) is left alone, is
//! a source in trouble, and its check is failing at once: it will not be asked a second time soon.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

use super::{
    task::{Context, Pace, Source, keep_alive, phase},
    verdict::CheckVerdict,
};
use crate::{
    plan::Check,
    run::{CheckSample, Report, Sample, Target, TroubleKind, target_word},
    world::{clean, http::MOMENT, trouble},
};

const TARGETS: [Target; 3] = [Target::Live, Target::Old, Target::New];
/// Checks that run at once.
const AT_ONCE: usize = 16;
/// Between two runs of one check on one target, by the wall, however fast the session runs.
const FLOOR: Duration = Duration::from_millis(500);
const _: () = assert!(FLOOR.as_millis() > MOMENT.as_millis(), "a check would see what it saw the last time");
/// A run that is over its own time-out by this much does not come back.
const GRACE: Duration = Duration::from_secs(5);
/// A server that wants to be left alone for longer is asked all the same, wall time: nobody could see it recover.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

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
    let mut source = Source::new(format!("web:{} {}", check.id, target_word(target)), &context);
    let pace = Pace { session: check.every, wall: FLOOR };
    let mut ticks = pace.ticks(context.clock, phase).await;
    loop {
        ticks.tick().await;
        // The semaphore is never closed; if it were, the check would stop and that would be seen as its end.
        let Ok(permit) = room.acquire().await else { return };
        let sample = run(&context, &check, target).await;
        drop(permit);
        let (passing, reason) = match &sample {
            Some(sample) => (Some(sample.passing), sample.reason.clone()),
            None => (None, Some(format!("no end after {:?}", check.timeout + GRACE))),
        };
        let throttled = sample.as_ref().filter(|sample| is_throttled(sample));
        let news = if throttled.is_some() { verdict.refused() } else { verdict.see(passing) };
        if let Some(passing) = news {
            context.out.report(report(&check, target, passing, reason)).await;
        }
        match throttled {
            None => source.well().await,
            Some(sample) => {
                leave_alone(&context, &mut source, &check, sample).await;
                ticks.reset_immediately();
            }
        }
    }
}

fn is_throttled(sample: &CheckSample) -> bool {
    !sample.passing && (sample.status == Some(429) || sample.wait.is_some())
}

/// Says that a server refused because of too many requests, and waits as long as it wants, or ever longer.
async fn leave_alone(context: &Context, source: &mut Source, check: &Check, sample: &CheckSample) {
    let mut trouble = trouble(
        &format!("GET {}", clean(&check.url)),
        TroubleKind::Throttled,
        sample.reason.as_deref().unwrap_or("too many requests"),
    );
    let wait = sample.wait.map(|wait| context.clock.to_session(wait.min(LONGEST_WAIT)));
    let wait = wait.and_then(|wait| SignedDuration::try_from(wait).ok());
    trouble.next_try = wait.and_then(|wait| context.clock.now().checked_add(wait).ok());
    let pause = source.ill(trouble).await;
    tokio::time::sleep(pause).await;
}

/// One run; None: it did not come back.
async fn run(context: &Context, check: &Check, target: Target) -> Option<CheckSample> {
    let sample = timeout(check.timeout + GRACE, context.world.checker().run(check, target)).await.ok()?;
    context.out.sample(Sample::Check(sample.clone()));
    Some(sample)
}

fn report(check: &Check, target: Target, passing: Option<bool>, reason: Option<String>) -> Report {
    Report::Check { check: check.id.clone(), target, passing, reason: reason.filter(|_| passing != Some(true)) }
}
