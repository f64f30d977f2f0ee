//! `rds.snapshot`: a manual snapshot under the first free number. It has no undo and needs none: it stays.

use super::{Awaited, Look, StepContext, about, age, fact, follow, ready, single, tags, unexpected, unreadable};
use crate::{
    run::{Change, Observation, Outcome, Preview, RdsChange, Trouble},
    world::rds::Snapshot,
};

pub(super) async fn preview(context: &StepContext, id: &str, prefix: &str) -> Result<Preview, Trouble> {
    let instance = ready(context, id).await?;
    let known = context.world.rds().snapshots(id).await?;
    let busy = known.iter().find(|snapshot| snapshot.status == "creating");
    if let Some(busy) = busy {
        return Err(unexpected(context, &format!("{} is being taken of {id}: wait for it", busy.id)));
    }
    // The number is the same at every look until somebody takes it: what is consented to is what is sent, and RDS
    // refuses to take a snapshot twice under one id.
    let free = (1_u32..).map(|number| format!("{prefix}-{number}"));
    let mut free = free.filter(|name| known.iter().all(|snapshot| snapshot.id != *name));
    let name = free.next().ok_or_else(|| unexpected(context, &format!("no number is free behind {prefix}")))?;
    let mut preview = single(Change::Rds(RdsChange::Snapshot { instance: id.to_owned(), snapshot: name }), false);
    preview.facts.push(fact(id, about(&instance)));
    let newest = known.iter().filter_map(|snapshot| snapshot.created).max();
    let newest = newest.map_or_else(|| "none yet".to_owned(), |at| age(context, at).1);
    preview.facts.push(fact("newest", newest));
    if !instance.multi_az {
        preview.facts.push(fact("beware", "in a single zone I/O may pause for some seconds"));
    }
    preview.facts.push(fact("undo", "none needed: the snapshot stays until somebody deletes it"));
    Ok(preview)
}

pub(super) async fn apply(context: &StepContext, instance: &str, id: &str, token: &str) -> Outcome {
    if let Err(failure) = context.world.rds().take(instance, id, &tags(context, token)).await {
        return failure.outcome();
    }
    follow(context, "rds:CreateDBSnapshot", Awaited::Taken(id)).await
}

pub(super) async fn look(context: &StepContext, id: &str) -> Result<Look, Trouble> {
    Ok(match context.world.rds().snapshot(id).await? {
        Some(now) if now.status == "available" => Look::Done(taken(&now)),
        Some(now) if now.status == "creating" => {
            Look::Going(now.status, now.percent.map(|percent| f64::from(percent) / 100.0))
        }
        // RDS has accepted it, and may take a moment to know of it everywhere.
        None => Look::Going("accepted".to_owned(), None),
        Some(now) => Look::Broken(format!("{id} is {}", now.status)),
    })
}

fn taken(snapshot: &Snapshot) -> String {
    let size = snapshot.storage.map_or_else(String::new, |size| format!(", {size} GiB"));
    format!("{} is taken{size}; it stays", snapshot.id)
}

pub(super) async fn observe(context: &StepContext, id: &str) -> Observation {
    match context.world.rds().snapshot(id).await {
        Ok(Some(now)) if now.status == "available" => Observation::Done,
        Ok(Some(now)) => Observation::Unknown { reason: format!("{id} is {}", now.status) },
        Ok(None) => Observation::NotDone { seen: format!("there is no snapshot {id}") },
        Err(trouble) => unreadable(&trouble),
    }
}
