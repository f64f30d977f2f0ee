//! Record sets: read as they stand, sent in one atomic batch, verified at the zone's name servers.

use std::time::Duration;

use super::{StepContext, reversal, served::served, single, unexpected, unreadable};
use crate::{
    plan::{RecordSet, RecordType, batch},
    run::{Change, Observation, Outcome, Preview, Trouble},
    world::route53::same,
};

/// How long a change may be PENDING before it is in doubt, session time. Usually it takes a minute.
const PATIENCE: Duration = Duration::from_secs(900);
/// What stands at some names.
pub(super) struct Standing {
    /// Sets of the types asked for, to the letter, in the order of the names.
    pub(super) sets: Vec<RecordSet>,
    /// All others.
    pub(super) others: Vec<RecordSet>,
}

/// Reads what stands at these names, after making sure that it is the right account's zone.
pub(super) async fn standing(
    context: &StepContext,
    zone_id: &str,
    wanted: &[(&str, Vec<RecordType>)],
) -> Result<Standing, Trouble> {
    context.world.aws().confirm_account().await?;
    let mut standing = Standing { sets: Vec::new(), others: Vec::new() };
    for (name, kinds) in wanted {
        for found in context.world.route53().sets(zone_id, name).await? {
            if !kinds.contains(&found.set.kind) {
                standing.others.push(found.set);
                continue;
            }
            if let Some(beyond) = found.beyond {
                let reason = format!("{name} has {beyond}, which cannot be put back: leave it to its owner");
                return Err(unexpected(context, &reason));
            }
            standing.sets.push(found.set);
        }
    }
    Ok(standing)
}

/// The names of a change with every type that it touches.
fn touched<'a>(before: &'a [RecordSet], after: &'a [RecordSet]) -> Vec<(&'a str, Vec<RecordType>)> {
    let mut names: Vec<(&str, Vec<RecordType>)> = Vec::new();
    for set in before.iter().chain(after) {
        match names.iter_mut().find(|(name, _)| *name == set.name) {
            Some((_, kinds)) => kinds.push(set.kind),
            None => names.push((&set.name, vec![set.kind])),
        }
    }
    names
}

/// The reversal of what was applied, from any of the stages at which the world may stand.
pub(super) async fn preview_back(context: &StepContext, applied: &[Change]) -> Result<Preview, Trouble> {
    let Change::Records { zone_id, before: put, after: was } = reversal(applied)? else {
        return Err(unexpected(context, "what was applied are no record sets"));
    };
    let mut wanted = touched(&put, &was);
    let stages = applied.iter().filter_map(|change| match change {
        Change::Records { after, .. } => Some(after),
        _ => None,
    });
    for set in stages.clone().flatten() {
        if let Some((_, kinds)) = wanted.iter_mut().find(|(name, _)| *name == set.name) {
            kinds.push(set.kind);
        }
    }
    let now = standing(context, &zone_id, &wanted).await?.sets;
    let known = same(&now, &was) || stages.into_iter().any(|stage| same(&now, stage));
    if !known {
        let reason = format!("it should stand as this step left it ({}), and is {}", show(&put), show(&now));
        return Err(unexpected(context, &reason));
    }
    let already = same(&now, &was);
    Ok(single(Change::Records { zone_id, before: now, after: was }, already))
}

pub(super) async fn apply(
    context: &StepContext,
    zone_id: &str,
    before: &[RecordSet],
    after: &[RecordSet],
    token: &str,
) -> Outcome {
    let changes = batch(before, after);
    if let Err(trouble) = context.world.aws().confirm_account().await {
        return Outcome::Failed { trouble };
    }
    context.progress("sending the batch", None);
    let id = match context.world.route53().change(zone_id, &changes, token).await {
        Ok(id) => id,
        Err(failure) => return failure.outcome(),
    };
    context.output(format!("change {id} accepted: {} record sets in one batch", changes.len()));
    let in_sync = context.world.route53().in_sync(&id, PATIENCE, |waited, trouble| {
        let why = trouble.map_or_else(String::new, |trouble| format!("; {}: {}", trouble.call, trouble.reason));
        context.progress(format!("change {id} PENDING for {} s{why}", waited.as_secs()), None);
    });
    // The request is answered, so nothing is lost by stopping here: the change goes on and can be observed.
    let in_sync = tokio::select! {
        in_sync = in_sync => in_sync,
        () = context.stop.cancelled() => return Outcome::Stopped,
    };
    match in_sync {
        Ok(at) => {
            context.progress("INSYNC; verifying at the name servers", None);
            Outcome::Done { in_sync: Some(at), summary: format!("change {id} INSYNC: {}", show(after)) }
        }
        Err(failure) => failure.outcome(),
    }
}

/// What the API lists is the truth; the name servers must follow it.
pub(super) async fn observe(
    context: &StepContext,
    zone_id: &str,
    before: &[RecordSet],
    after: &[RecordSet],
) -> Observation {
    let now = match standing(context, zone_id, &touched(before, after)).await {
        Ok(now) => now.sets,
        Err(trouble) => return unreadable(&trouble),
    };
    if !same(&now, after) {
        return if same(&now, before) {
            Observation::NotDone { seen: show(&now) }
        } else {
            Observation::Unknown { reason: format!("neither as before nor as after: {}", show(&now)) }
        };
    }
    match served(context, zone_id, before, after).await {
        Ok(()) => Observation::Done,
        Err(reason) => Observation::Unknown { reason },
    }
}

/// Record sets in one line.
pub(super) fn show(sets: &[RecordSet]) -> String {
    if sets.is_empty() {
        return "no record set".into();
    }
    let each: Vec<_> = sets.iter().map(|set| format!("{} {set}", set.name.trim_end_matches('.'))).collect();
    each.join("; ")
}
