//! `dns.lower-ttl`, `dns.switch`, `dns.raise-ttl`: which record sets they want, stage by stage.

use std::time::Duration;

use super::{
    StepContext,
    records::{Standing, show, standing},
    unexpected,
};
use crate::{
    plan::{Kind, Record, RecordSet, RecordType, Stage},
    run::{Change, Part, Preview, Trouble},
    world::route53::{canonical, same},
};

/// Set identifiers of the weighted siblings while a switch goes in stages.
const OLD_SIBLING: &str = "cutover-old";
const NEW_SIBLING: &str = "cutover-new";

/// A record's set as it was found, to the letter, and as the step wants it.
struct Wanted {
    found: RecordSet,
    goal: RecordSet,
}

/// The parts that remain, each from what the one before leaves.
///
/// All parts are made anew from what stood when the step began, not from the listing, whose order and spelling are
/// Route 53's own: so the tail of a staged switch equals what was consented to.
pub(super) async fn preview(context: &StepContext, applied: &[Change]) -> Result<Preview, Trouble> {
    let records = records(context)?;
    let zone_id = records.first().map(|record| record.zone_id.clone()).unwrap_or_default();
    let names: Vec<_> = records.iter().map(|record| (record.name(), kinds(record))).collect();
    let now = standing(context, &zone_id, &names).await?;
    let (origin, stands) = match (applied.first(), applied.last()) {
        (Some(Change::Records { before, .. }), Some(Change::Records { after, .. })) => (before, after),
        _ => (&now.sets, &now.sets),
    };
    let mut parts = parts(context, &records, &zone_id, origin)?;
    if !parts.iter().map(|part| &part.change).take(applied.len()).eq(applied) {
        return Err(unexpected(context, "what was applied is not what this plan applies"));
    }
    if !same(&now.sets, stands) {
        let reason = format!("it should stand as this step left it ({}), and is {}", show(stands), show(&now.sets));
        return Err(unexpected(context, &reason));
    }
    let rest = parts.split_off(applied.len());
    if rest.iter().any(|part| !part.change.is_settled()) {
        return Ok(Preview { parts: rest, facts: facts(&records, &now) });
    }
    let change = Change::Records { zone_id, before: stands.clone(), after: stands.clone() };
    Ok(super::single(change, true))
}

fn records(context: &StepContext) -> Result<Vec<&Record>, Trouble> {
    let ids = context.step.kind.records();
    let named: Vec<_> = ids.iter().filter_map(|id| context.plan.record(id)).collect();
    let one_zone = named.windows(2).all(|pair| pair[0].zone_id == pair[1].zone_id);
    if one_zone && named.len() == ids.len() {
        Ok(named)
    } else {
        Err(unexpected(context, "its records are not of one zone: one batch cannot hold them"))
    }
}

/// The types that a record may have before, during and after its move.
fn kinds(record: &Record) -> Vec<RecordType> {
    vec![record.old.kind, record.new.kind]
}

/// All parts of the step, from the sets that stood when it began.
fn parts(
    context: &StepContext,
    records: &[&Record],
    zone_id: &str,
    origin: &[RecordSet],
) -> Result<Vec<Part>, Trouble> {
    let wanted: Vec<_> = records.iter().map(|record| wanted(context, record, origin)).collect::<Result<_, _>>()?;
    let moved = wanted.iter().all(|wanted| wanted.found == wanted.goal);
    let stages = match &context.step.kind {
        Kind::DnsSwitch { stages, .. } if !moved => stages.as_slice(),
        _ => &[],
    };
    let weighted = stages.iter().map(|stage| {
        let sets: Vec<_> = wanted.iter().flat_map(|wanted| weigh(wanted, *stage)).collect();
        (sets, stage.bake)
    });
    let whole = wanted.iter().map(|wanted| wanted.goal.clone()).collect();
    let mut stands: Vec<_> = wanted.iter().map(|wanted| wanted.found.clone()).collect();
    let part = |(after, bake): (Vec<RecordSet>, Duration)| {
        let before = std::mem::replace(&mut stands, after.clone());
        Part { change: Change::Records { zone_id: zone_id.to_owned(), before, after }, bake }
    };
    Ok(weighted.chain([(whole, Duration::ZERO)]).map(part).collect())
}

/// What the step makes of a record, if it stands as the plan expects.
fn wanted(context: &StepContext, record: &Record, sets: &[RecordSet]) -> Result<Wanted, Trouble> {
    let stands: Vec<_> =
        sets.iter().filter(|set| set.name == record.name() && kinds(record).contains(&set.kind)).cloned().collect();
    let expected = context.plan.expected_before(&context.step.id, &record.id).unwrap_or_else(|| record.old.clone());
    let is =
        |wanted: &RecordSet| stands.first().filter(|found| stands.len() == 1 && alike(context, record, found, wanted));
    let goal = |found: &RecordSet| match &context.step.kind {
        Kind::DnsLowerTtl { ttl, .. } | Kind::DnsRaiseTtl { ttl, .. } => found.with_ttl(*ttl),
        _ => record.new.clone(),
    };
    if let Some(found) = is(&expected) {
        return Ok(Wanted { found: found.clone(), goal: goal(found) });
    }
    // A switch that somebody made already has nothing left to do.
    match is(&record.new).filter(|_| matches!(context.step.kind, Kind::DnsSwitch { .. })) {
        Some(found) => Ok(Wanted { found: found.clone(), goal: found.clone() }),
        None => {
            let name = record.name().trim_end_matches('.');
            Err(unexpected(context, &format!("{name} should be `{expected}` and is `{}`", show(&stands))))
        }
    }
}

/// The same answer, with the expected TTL or another that this plan gives the record (a step may have been skipped).
fn alike(context: &StepContext, record: &Record, found: &RecordSet, wanted: &RecordSet) -> bool {
    let given = context.plan.steps.iter().any(|step| match &step.kind {
        Kind::DnsLowerTtl { records, ttl } | Kind::DnsRaiseTtl { records, ttl } => {
            records.contains(&record.id) && found.ttl == Some(*ttl)
        }
        _ => false,
    });
    let known = found.ttl == wanted.ttl || (found.ttl == record.old.ttl && found.ttl.is_some()) || given;
    known && canonical(&found.with_ttl(0)) == canonical(&wanted.with_ttl(0))
}

/// Weighted siblings need one TTL: the new side's.
fn weigh(wanted: &Wanted, stage: Stage) -> Vec<RecordSet> {
    if wanted.found == wanted.goal {
        return vec![wanted.found.clone()];
    }
    let old = wanted.goal.ttl.map_or_else(|| wanted.found.clone(), |ttl| wanted.found.with_ttl(ttl));
    let new = wanted.goal.with_weight(NEW_SIBLING, stage.percent);
    vec![old.with_weight(OLD_SIBLING, 100_u8.saturating_sub(stage.percent)), new]
}

/// The zone, and addresses at the same names that no record of the step moves: customers go on using them.
fn facts(records: &[&Record], now: &Standing) -> Vec<(String, String)> {
    let zone = records.first().map(|record| ("zone".to_owned(), format!("{} ({})", record.zone_name, record.zone_id)));
    let address = |set: &&RecordSet| matches!(set.kind, RecordType::A | RecordType::Aaaa);
    let stays =
        now.others.iter().filter(address).map(|set| ("stays as it is".to_owned(), show(std::slice::from_ref(set))));
    zone.into_iter().chain(stays).collect()
}
