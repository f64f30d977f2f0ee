//! `rds.switchover`: the green instance of a blue/green deployment takes over. Nothing switches it back.
//!
//! Source: RDS user guide, "Switching a blue/green deployment": RDS checks guardrails first, stops writes, and when it
//! cannot finish in time puts everything back. So a deployment that is AVAILABLE again was not switched.

use std::time::Duration;

use super::{Awaited, Look, StepContext, about, fact, follow, single, unexpected, unreadable};
use crate::{
    run::{Change, Observation, Outcome, Preview, RdsChange, Trouble},
    world::rds::Deployment,
};

const AVAILABLE: &str = "AVAILABLE";
const COMPLETED: &str = "SWITCHOVER_COMPLETED";
const FAILED: &str = "SWITCHOVER_FAILED";

pub(super) async fn preview(context: &StepContext, name: &str, limit: Duration) -> Result<Preview, Trouble> {
    let found = context.world.rds().deployment(name).await?;
    let already = found.status == COMPLETED;
    if !already && found.status != AVAILABLE {
        return Err(unexpected(context, &format!("{name} should be {AVAILABLE} and is {}", state(&found))));
    }
    let mut facts = vec![fact("deployment", format!("{}, {}", found.id, state(&found)))];
    for (side, id) in [("blue", &found.blue), ("green", &found.green)] {
        if let Some(instance) = context.world.rds().instance(id).await? {
            facts.push(fact(side, format!("{id}, {}, {}", about(&instance), instance.status)));
        }
    }
    facts.push(fact("meanwhile", "connections drop and writes wait; the names stay"));
    facts.push(fact("afterwards", "writes go to green alone, and nothing switches it back"));
    let Deployment { id: deployment, name, blue, green, .. } = found;
    let change = RdsChange::Switched { deployment, name, blue, green, limit, already };
    let mut preview = single(Change::Rds(change), already);
    preview.facts.extend(facts);
    Ok(preview)
}

fn state(deployment: &Deployment) -> String {
    let detail = deployment.detail.as_ref().map_or_else(String::new, |detail| format!(": {detail}"));
    format!("{}{detail}", deployment.status)
}

pub(super) async fn apply(context: &StepContext, id: &str, limit: Duration) -> Outcome {
    let answer = match context.world.rds().switch_over(id, limit).await {
        Ok(answer) => answer,
        Err(failure) => return failure.outcome(),
    };
    let begun = answer.is_some_and(|answer| answer.status != AVAILABLE);
    follow(context, "rds:SwitchoverBlueGreenDeployment", Awaited::Switched(id, begun)).await
}

pub(super) async fn look(context: &StepContext, id: &str, begun: &mut bool) -> Result<Look, Trouble> {
    let now = context.world.rds().deployment(id).await?;
    let look = match now.status.as_str() {
        COMPLETED => Look::Done(format!("{} is switched over", now.name)),
        FAILED => Look::PutBack(format!("RDS put it back: {}", state(&now))),
        AVAILABLE if *begun => Look::PutBack(format!("RDS put it back: {}", state(&now))),
        status => Look::Going(status.to_owned(), None),
    };
    *begun |= now.status != AVAILABLE;
    Ok(look)
}

pub(super) async fn observe(context: &StepContext, id: &str) -> Observation {
    match context.world.rds().deployment(id).await {
        Ok(now) => match now.status.as_str() {
            COMPLETED => Observation::Done,
            AVAILABLE | FAILED => Observation::NotDone { seen: state(&now) },
            _ => Observation::Unknown { reason: format!("{id} is {}", state(&now)) },
        },
        Err(trouble) => unreadable(&trouble),
    }
}
