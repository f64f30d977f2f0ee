//! `ecs.scale`: an ECS service's desired count, done when as many tasks run. `ecs.wait-stable`: its newest deployment.

use std::{collections::BTreeSet, time::Duration};

use super::{StepContext, back, done, reversal, single, unexpected, unreadable};
use crate::run::{Change, Observation, Outcome, Preview, Trouble, TroubleKind};

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

/// Follows the newest deployment of each service until it has rolled out and nothing is unhealthy.
pub(super) async fn wait_stable(context: &StepContext, cluster: &str, services: &[String]) -> Outcome {
    let mut told = BTreeSet::new();
    // What happened before is not this step's story.
    for service in services {
        if let Ok(now) = context.world.ecs().service(cluster, service).await {
            told.extend(now.events.into_iter().map(|(id, _)| id));
        }
    }
    loop {
        let mut stable = 0;
        let mut words = Vec::new();
        for service in services {
            match look(context, (cluster, service), &mut told).await {
                Ok(Ok(())) => stable += 1,
                Ok(Err(why)) => words.push(format!("{service}: {why}")),
                Err(trouble) if trouble.kind == TroubleKind::Unexpected => return Outcome::Failed { trouble },
                // One answer that is missing is no failed deployment: the time-out ends what never answers.
                Err(trouble) => words.push(format!("{service}: {}", trouble.reason)),
            }
        }
        if stable == services.len() {
            return done(format!("{}: rolled out and healthy", services.join(", ")));
        }
        let fraction =
            f64::from(u32::try_from(stable).unwrap_or(0)) / f64::from(u32::try_from(services.len()).unwrap_or(1));
        context.progress(words.join("; "), Some(fraction));
        if !context.pause(LOOK).await {
            return Outcome::Stopped;
        }
    }
}

/// Whether a service is as wanted; Err(why not yet). Its new events become lines of output.
async fn look(
    context: &StepContext,
    (cluster, service): (&str, &str),
    told: &mut BTreeSet<String>,
) -> Result<Result<(), String>, Trouble> {
    let now = context.world.ecs().service(cluster, service).await?;
    for (id, words) in &now.events {
        if told.insert(id.clone()) {
            context.output(words.clone());
        }
    }
    let rollout = now.rollout.as_ref();
    if let Some(failed) = rollout.filter(|rollout| rollout.state == "FAILED") {
        let reason = format!("{service} with {}: rollout FAILED: {}", failed.definition, failed.reason);
        return Err(unexpected(context, &reason));
    }
    if now.desired == 0 {
        return Err(unexpected(context, &format!("{service} wants no task: there is nothing to become stable")));
    }
    // A service that another controller deploys has no rollout state: its counts tell.
    let rolled = rollout.is_none_or(|rollout| matches!(rollout.state.as_str(), "" | "COMPLETED"));
    if !rolled || !now.settled() || now.deployments > 1 {
        let state = rollout.map_or_else(|| "deploying".to_owned(), |rollout| rollout.state.clone());
        let failed = rollout.map_or(0, |rollout| rollout.failed);
        let failures = if failed > 0 { format!(", {failed} did not come up") } else { String::new() };
        let counts = format!("{} of {} running, {} pending", now.running, now.desired, now.pending);
        return Ok(Err(format!("{state}, {counts}{failures}")));
    }
    let tasks = context.world.ecs().tasks_of(cluster, service).await?;
    let unhealthy = tasks.iter().filter(|task| task.health == "UNHEALTHY").map(|task| task.id().to_owned());
    let mut ill: Vec<_> = unhealthy.collect();
    for group in &now.target_groups {
        ill.extend(context.world.elb().ill(group).await?);
    }
    Ok(if ill.is_empty() { Ok(()) } else { Err(format!("unhealthy: {}", ill.join(", "))) })
}
