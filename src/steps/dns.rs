//! `dns.lower-ttl`, `dns.switch`, `dns.raise-ttl`: which record sets they want, stage by stage.

use std::time::Duration;

use super::{
    StepContext,
    records::{show, standing},
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

/// The parts that remain, each from what the one before leaves.
pub(super) async fn preview(context: &StepContext, applied: &[Change]) -> Result<Preview, Trouble> {
    let records = records(context)?;
    let zone_id = records.first().map(|record| record.zone_id.clone()).unwrap_or_default();
    let wanted: Vec<_> = records.iter().map(|record| (record.name(), kinds(record))).collect();
    let now = standing(context, &zone_id, &wanted).await?;
    let origin = match applied.first() {
        Some(Change::Records { before, .. }) => before.clone(),
        _ => expected(context, &records, &now)?,
    };
    let steps = stages(context, &records, &origin);
    let last = steps.last().map_or(&now, |(sets, _)| sets);
    if same(&now, last) {
        let change = Change::Records { zone_id, before: now.clone(), after: now };
        return Ok(super::single(change, true));
    }
    let behind = steps.iter().position(|(sets, _)| same(&now, sets)).map_or(0, |index| index + 1);
    if behind == 0 && !same(&now, &origin) {
        let reason = format!("it should stand as this step left it, and is {}", show(&now));
        return Err(unexpected(context, &reason));
    }
    // In the spelling and order that was consented to, not in Route 53's: the world is the same.
    let start = behind.checked_sub(1).map_or(&origin, |last| &steps[last].0).clone();
    let parts = steps[behind..].iter().scan(start, |before, (after, bake)| {
        let change = Change::Records {
            zone_id: zone_id.clone(),
            before: std::mem::replace(before, after.clone()),
            after: after.clone(),
        };
        Some(Part { change, bake: *bake })
    });
    Ok(Preview { parts: parts.collect(), facts: facts(&records) })
}

fn records(context: &StepContext) -> Result<Vec<Record>, Trouble> {
    let named = context.step.kind.records().iter().filter_map(|id| context.plan.record(id)).cloned();
    let named: Vec<_> = named.collect();
    let one_zone = named.windows(2).all(|pair| pair[0].zone_id == pair[1].zone_id);
    if one_zone {
        Ok(named)
    } else {
        Err(unexpected(context, "its records are not of one zone: one batch cannot hold them"))
    }
}

/// The types that a record may have before, during and after its move.
fn kinds(record: &Record) -> Vec<RecordType> {
    vec![record.old.kind, record.new.kind]
}

/// What stands now, if it is what the plan expects before this step: the target to the letter, whatever the TTL of the
/// plan's own steps has become.
fn expected(context: &StepContext, records: &[Record], now: &[RecordSet]) -> Result<Vec<RecordSet>, Trouble> {
    for record in records {
        let wanted = context.plan.expected_before(&context.step.id, &record.id).unwrap_or_else(|| record.old.clone());
        let found: Vec<_> = now.iter().filter(|set| set.name == record.name()).cloned().collect();
        let arrived = found.len() == 1 && same(&found, std::slice::from_ref(&record.new));
        let as_planned = found.len() == 1 && alike(&found[0], &wanted);
        if !as_planned && !arrived {
            let reason =
                format!("{} should be `{wanted}` and is `{}`", record.name().trim_end_matches('.'), show(&found));
            return Err(unexpected(context, &reason));
        }
    }
    Ok(now.to_vec())
}

/// The same answer, whatever its TTL.
fn alike(one: &RecordSet, other: &RecordSet) -> bool {
    canonical(&one.with_ttl(0)) == canonical(&other.with_ttl(0))
}

/// What stands after each part, and how long to stay there.
fn stages(context: &StepContext, records: &[Record], origin: &[RecordSet]) -> Vec<(Vec<RecordSet>, Duration)> {
    match &context.step.kind {
        Kind::DnsLowerTtl { ttl, .. } | Kind::DnsRaiseTtl { ttl, .. } => {
            vec![(origin.iter().map(|set| set.with_ttl(*ttl)).collect(), Duration::ZERO)]
        }
        Kind::DnsSwitch { stages, .. } => {
            let weighted = stages.iter().map(|stage| (weigh(records, origin, *stage), stage.bake));
            let whole = records.iter().map(|record| record.new.clone()).collect();
            weighted.chain([(whole, Duration::ZERO)]).collect()
        }
        _ => Vec::new(),
    }
}

/// Weighted siblings need one TTL: the new side's.
fn weigh(records: &[Record], origin: &[RecordSet], stage: Stage) -> Vec<RecordSet> {
    let pairs = records.iter().filter_map(|record| {
        let old = origin.iter().find(|set| set.name == record.name())?;
        let old = record.new.ttl.map_or_else(|| old.clone(), |ttl| old.with_ttl(ttl));
        let new = record.new.with_weight(NEW_SIBLING, stage.percent);
        Some([old.with_weight(OLD_SIBLING, 100_u8.saturating_sub(stage.percent)), new])
    });
    pairs.flatten().collect()
}

fn facts(records: &[Record]) -> Vec<(String, String)> {
    let zones = records.first().map(|record| ("zone".to_owned(), format!("{} ({})", record.zone_name, record.zone_id)));
    zones.into_iter().collect()
}
