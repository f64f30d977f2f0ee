//! Record sets: read as they stand, sent in one atomic batch, verified at the zone's name servers.

use std::time::Duration;

use super::{StepContext, done, reversal, single, unexpected, unreadable};
use crate::{
    plan::{RecordSet, RecordType, batch},
    run::{Change, Observation, Outcome, Preview, Trouble},
    world::{
        dns::{ProbeOptions, probe},
        route53::same,
    },
};

/// How long a change may be PENDING before it is in doubt, session time. Usually it takes a minute.
const PATIENCE: Duration = Duration::from_secs(900);
/// How long the name servers may lag behind INSYNC, session time.
const LAG: Duration = Duration::from_secs(60);
/// Between two looks at them, session time.
const LOOK: Duration = Duration::from_secs(5);

/// All sets of these names and types as they stand, to the letter, in the order of the names.
pub(super) async fn standing(
    context: &StepContext,
    zone_id: &str,
    wanted: &[(&str, Vec<RecordType>)],
) -> Result<Vec<RecordSet>, Trouble> {
    let mut all = Vec::new();
    for (name, kinds) in wanted {
        let found = context.world.route53().sets(zone_id, name).await?;
        for found in found.into_iter().filter(|found| kinds.contains(&found.set.kind)) {
            if let Some(beyond) = found.beyond {
                let reason = format!("{name} has {beyond}, which cannot be put back: leave it to its owner");
                return Err(unexpected(context, &reason));
            }
            all.push(found.set);
        }
    }
    Ok(all)
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
    let now = standing(context, &zone_id, &wanted).await?;
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
    if changes.is_empty() {
        return done("it was so already");
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
    match in_sync.await {
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
        Ok(now) => now,
        Err(trouble) => return unreadable(&trouble),
    };
    if !same(&now, after) {
        return if same(&now, before) {
            Observation::NotDone { seen: show(&now) }
        } else {
            Observation::Unknown { reason: format!("neither as before nor as after: {}", show(&now)) }
        };
    }
    match served(context, zone_id, after).await {
        Ok(()) => Observation::Done,
        Err(reason) => Observation::Unknown { reason },
    }
}

/// Waits until every authoritative server answers with what stands in the zone.
async fn served(context: &StepContext, zone_id: &str, after: &[RecordSet]) -> Result<(), String> {
    let zone = context.plan.records.iter().find(|record| record.zone_id == zone_id).map(|record| &record.zone_name);
    let Some(zone) = zone else { return Ok(()) };
    let servers =
        context.world.authority(zone).await.map_err(|trouble| format!("{}: {}", trouble.call, trouble.reason))?;
    let started = context.clock.now();
    loop {
        let mut lagging = None;
        for server in &servers {
            for set in after {
                if let Err(reason) = answers(*server, set, after).await {
                    lagging = Some(format!("the zone has it, but {server} {reason}"));
                }
            }
        }
        let Some(reason) = lagging else { return Ok(()) };
        let waited = Duration::try_from(context.clock.now().duration_since(started)).unwrap_or(Duration::ZERO);
        if waited > LAG || !context.pause(LOOK).await {
            return Err(reason);
        }
    }
}

/// Whether a server answers one of the sets of this name. An alias answers with addresses, which only AWS knows.
async fn answers(server: std::net::SocketAddr, set: &RecordSet, after: &[RecordSet]) -> Result<(), String> {
    let answer = probe(server, &set.name, set.kind, ProbeOptions::authority());
    let answer = answer.await.map_err(|error| format!("does not answer: {error}"))?;
    let first = answer.chain.first().ok_or_else(|| format!("answers {} for {}", answer.rcode, set.name))?;
    let siblings = after.iter().filter(|sibling| sibling.name == set.name);
    let good = siblings.clone().any(|sibling| {
        let listed = || sibling.values.iter().any(|value| value.eq_ignore_ascii_case(&first.value));
        first.kind == set.kind && (sibling.alias.is_some() || listed())
    });
    if good { Ok(()) } else { Err(format!("answers {} {} for {}", first.kind, first.value, set.name)) }
}

/// Record sets in one line.
pub(super) fn show(sets: &[RecordSet]) -> String {
    if sets.is_empty() {
        return "no record set".into();
    }
    let each: Vec<_> = sets.iter().map(|set| format!("{} {set}", set.name.trim_end_matches('.'))).collect();
    each.join("; ")
}
