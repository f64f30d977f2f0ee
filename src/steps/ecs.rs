//! `ecs.scale`: an ECS service's desired count, done when as many tasks run.

use std::time::Duration;

use super::{StepContext, back, done, reversal, single, unexpected, unreadable};
use crate::run::{Change, Observation, Outcome, Preview, Trouble};

/// Between two looks, session time.
const LOOK: Duration = Duration::from_secs(5);

pub(super) async fn preview(
    context: &StepContext,
    (cluster, service): (&str, &str),
    desired: u32,
    forward: bool,
    applied: &[Change],
) -> Result<Preview, Trouble> {
    context.world.aws().confirm_account().await?;
    let now = context.world.ecs().service(cluster, service).await?.desired;
    let (from, to) = if forward {
        (now, desired)
    } else {
        let Change::Service { from, to, .. } = reversal(applied)? else {
            return Err(unexpected(context, "what was applied is of another kind"));
        };
        back(context, &now, (from, to), u32::to_string)?
    };
    let (cluster, service) = (cluster.to_owned(), service.to_owned());
    Ok(single(Change::Service { cluster, service, from, to }, from == to))
}

pub(super) async fn apply(context: &StepContext, cluster: &str, service: &str, to: u32) -> Outcome {
    if let Err(trouble) = context.world.aws().confirm_account().await {
        return Outcome::Failed { trouble };
    }
    if let Err(failure) = context.world.ecs().scale(cluster, service, to).await {
        return failure.outcome();
    }
    context.output(format!("{cluster}/{service}: {to} desired"));
    let mut told = None;
    loop {
        if let Ok(now) = context.world.ecs().service(cluster, service).await {
            if now.event.is_some() && now.event != told {
                told.clone_from(&now.event);
                context.output(now.event.clone().unwrap_or_default());
            }
            if now.settled() && now.desired == to {
                return done(format!("{cluster}/{service}: {to} running"));
            }
            let done = f64::from(now.running.min(to)) / f64::from(to.max(1));
            context.progress(format!("{} of {to} running, {} pending", now.running, now.pending), Some(done));
        }
        // The count was accepted: what is not known is only whether the tasks come up.
        if !context.pause(LOOK).await {
            return Outcome::Stopped;
        }
    }
}

pub(super) async fn observe(context: &StepContext, cluster: &str, service: &str, from: u32, to: u32) -> Observation {
    match context.world.ecs().service(cluster, service).await {
        Ok(now) if now.desired == to && (now.settled() || from == to) => Observation::Done,
        Ok(now) if now.desired == from && from != to => Observation::NotDone { seen: format!("{from} desired") },
        Ok(now) => Observation::Unknown { reason: format!("{} desired, {} running", now.desired, now.running) },
        Err(trouble) => unreadable(&trouble),
    }
}
