//! `rds.restore-snapshot`: a new instance of a snapshot; its undo deletes the one that this step made, and no other.

use std::time::Duration;

use super::{
    Awaited, Look, StepContext, about, age, existing, fact, follow, reversal, single, tags, unexpected, unreadable,
};
use crate::{
    plan::RestoreTarget,
    run::{Change, Observation, Outcome, Preview, RdsChange, Trouble, clock_text},
    world::rds::{Instance, Snapshot},
};

/// Which snapshot an instance was made of: RDS itself does not tell.
const ORIGIN: &str = "cutover:snapshot";

pub(super) async fn preview(
    context: &StepContext,
    (instance, named): (&str, Option<&str>),
    max_age: Duration,
    target: &RestoreTarget,
) -> Result<Preview, Trouble> {
    let (chosen, others) = choose(context, instance, named).await?;
    let standing = context.world.rds().instance(&target.instance).await?;
    if let Some(standing) = &standing {
        ours(context, standing, None)?;
        if !standing.available() {
            let reason = format!("{} exists already and is {}", standing.id, standing.status);
            return Err(unexpected(context, &reason));
        }
    }
    let exists = standing.is_some();
    // One that was made of another snapshot is not what this step would make.
    if let Some(standing) = &standing {
        ours(context, standing, Some(&chosen.id))?;
    }
    let created = chosen.created.ok_or_else(|| unexpected(context, &format!("{} has no time", chosen.id)))?;
    let (old, words) = age(context, created);
    if !exists && Duration::try_from(old).is_ok_and(|old| old > max_age) {
        let limit = jiff::SignedDuration::try_from(max_age).map(clock_text).unwrap_or_default();
        let reason = format!("{} is {words}, and the plan wants it no older than {limit}", chosen.id);
        return Err(unexpected(context, &reason));
    }
    let (snapshot, target) = (chosen.id.clone(), target.clone());
    let change = Change::Rds(RdsChange::Restored { snapshot, target, from: exists, to: true });
    let mut preview = single(change, exists);
    preview.facts.push(fact("snapshot", format!("{words}, {}, of {instance}", chosen.kind)));
    if let Some(size) = chosen.storage {
        preview.facts.push(fact("size", format!("{size} GiB")));
    }
    preview.facts.push(fact("others", format!("{others} more of {instance}")));
    if let Ok(Some(origin)) = context.world.rds().instance(instance).await {
        preview.facts.push(fact(instance, about(&origin)));
    }
    Ok(preview)
}

/// The named snapshot or the newest one that can be restored, and how many others there are.
async fn choose(context: &StepContext, instance: &str, named: Option<&str>) -> Result<(Snapshot, usize), Trouble> {
    let all = context.world.rds().snapshots(instance).await?;
    let usable = || all.iter().filter(|snapshot| snapshot.status == "available" && snapshot.created.is_some());
    let found = match named {
        None => usable().max_by_key(|snapshot| snapshot.created),
        Some(id) => usable().find(|snapshot| snapshot.id == id),
    };
    let found = found.ok_or_else(|| {
        let what = named.map_or_else(|| "an available snapshot".to_owned(), |id| format!("an available snapshot {id}"));
        unexpected(context, &format!("{instance} should have {what}, and has {} others", usable().count()))
    })?;
    Ok((found.clone(), usable().count() - 1))
}

/// Whether this plan's step made the instance, of this snapshot if one is named.
///
/// # Errors
/// It did not: in no case is it touched.
fn ours(context: &StepContext, instance: &Instance, snapshot: Option<&str>) -> Result<(), Trouble> {
    let tag = |key: &str| instance.tags.get(key).map(String::as_str);
    let expected = tags(context, "").into_iter().filter(|(key, _)| *key != "cutover:attempt");
    for (key, value) in expected {
        if tag(key) != Some(value) {
            let found = tag(key).unwrap_or("nothing");
            let reason = format!(
                "{} exists and this step did not make it: its tag {key} should be {value} and is {found}",
                instance.id
            );
            return Err(unexpected(context, &reason));
        }
    }
    match (tag(ORIGIN), snapshot) {
        (found, Some(wanted)) if found != Some(wanted) => {
            let found = found.unwrap_or("another snapshot");
            let reason = format!("{} should be made of {wanted}, and was made of {found}", instance.id);
            Err(unexpected(context, &reason))
        }
        _ => Ok(()),
    }
}

pub(super) async fn preview_back(context: &StepContext, applied: &[Change]) -> Result<Preview, Trouble> {
    let Change::Rds(RdsChange::Restored { snapshot, target, from, to }) = reversal(applied)? else {
        return Err(unexpected(context, "what was applied has no undo"));
    };
    let back = |from, to| {
        let (snapshot, target) = (snapshot.clone(), target.clone());
        single(Change::Rds(RdsChange::Restored { snapshot, target, from, to }), from == to)
    };
    if from == to {
        // It stood there before: it was not made here, and stays.
        return Ok(back(from, to));
    }
    let Some(standing) = context.world.rds().instance(&target.instance).await? else { return Ok(back(false, false)) };
    ours(context, &standing, Some(&snapshot))?;
    if standing.protected {
        let reason = format!("somebody protects {} from deletion: ask, then take the protection off", standing.id);
        return Err(unexpected(context, &reason));
    }
    if standing.status == "deleting" {
        return Err(unexpected(context, &format!("{} is being deleted", standing.id)));
    }
    let mut preview = back(true, false);
    preview.facts.push(fact(&standing.id, format!("{}, {}", about(&standing), standing.status)));
    Ok(preview)
}

pub(super) async fn apply(context: &StepContext, snapshot: &str, target: &RestoreTarget, token: &str) -> Outcome {
    let mut labels = tags(context, token).to_vec();
    labels.push((ORIGIN, snapshot));
    if let Err(failure) = context.world.rds().restore(snapshot, target, &labels).await {
        return failure.outcome();
    }
    let id = &target.instance;
    context.output(format!("{id} is made of {snapshot}"));
    follow(context, "rds:RestoreDBInstanceFromDBSnapshot", Awaited::Restored(id)).await
}

pub(super) async fn look(context: &StepContext, id: &str) -> Result<Look, Trouble> {
    let now = existing(context, id).await?;
    let address = now.endpoint.as_deref().unwrap_or("an address that is not known yet");
    Ok(match now.status.as_str() {
        "available" => Look::Done(format!("{id} is available at {address}")),
        status if now.broken() => Look::Broken(format!("{id} is {status}: its undo deletes it")),
        status => Look::Going(status.to_owned(), None),
    })
}

pub(super) async fn remove(context: &StepContext, id: &str) -> Outcome {
    if let Err(failure) = context.world.rds().delete(id).await {
        return failure.outcome();
    }
    follow(context, "rds:DeleteDBInstance", Awaited::Removed(id)).await
}

pub(super) async fn look_away(context: &StepContext, id: &str) -> Result<Look, Trouble> {
    let now = context.world.rds().instance(id).await?;
    Ok(now.map_or_else(|| Look::Done(format!("{id} is deleted")), |now| Look::Going(now.status, None)))
}

/// Reads whether the instance stands there as wanted. One that was accepted and is on its way is in doubt until it is
/// there: it may fail.
pub(super) async fn observe(context: &StepContext, id: &str, wanted: bool) -> Observation {
    match (context.world.rds().instance(id).await, wanted) {
        (Ok(Some(now)), true) if now.available() => match ours(context, &now, None) {
            Ok(()) => Observation::Done,
            Err(trouble) => Observation::Unknown { reason: trouble.reason },
        },
        (Ok(None), false) => Observation::Done,
        (Ok(None), true) => Observation::NotDone { seen: format!("there is no {id}") },
        (Ok(Some(now)), false) if now.status != "deleting" => {
            Observation::NotDone { seen: format!("{id} is {}", now.status) }
        }
        (Ok(Some(now)), _) => Observation::Unknown { reason: format!("{id} is {}", now.status) },
        (Err(trouble), _) => unreadable(&trouble),
    }
}
