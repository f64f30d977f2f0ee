//! Records: each side's set, and all of them beside each other, forward and back.

use super::{
    super::{
        error::Report,
        raw::RawRecord,
        record::{Record, RecordType},
        scalar::{quote, slug},
    },
    Context,
    record::{Place, build as build_set, domain, within, zone_id},
};

pub(super) fn build(context: &Context<'_>, report: &mut Report) -> Vec<Record> {
    let built: Vec<_> = context.raw.record.iter().map(|raw| (raw, record(raw, report))).collect();
    for (index, (raw, record)) in built.iter().enumerate() {
        let Some(record) = record else { continue };
        for (earlier_raw, earlier) in &built[..index] {
            if let Some(earlier) = earlier {
                beside(raw, record, earlier_raw, earlier, report);
            }
        }
    }
    built.into_iter().filter_map(|(_, record)| record).collect()
}

fn record(raw: &RawRecord, report: &mut Report) -> Option<Record> {
    let zone_id = report.read(&raw.zone_id, zone_id);
    let zone = report.read(&raw.zone, domain);
    let name = report.read(&raw.name, domain);
    let (zone, name) = (zone?, name?);
    if !within(&name, &zone) {
        report
            .error(raw.name.span(), format!("{} is not inside its zone {}", quote(&name), quote(&zone)))
            .help(format!("write the whole name, such as `shop.{}`", zone.trim_end_matches('.')))
            .see(raw.zone.span(), "the zone");
    }
    let old = build_set(&Place { name: &name, zone: &zone, batch: "the way back" }, &raw.old, report);
    let new = build_set(&Place { name: &name, zone: &zone, batch: "the switch" }, &raw.new, report);
    let (old, new) = (old?, new?);
    if old == new {
        report
            .error(raw.new.span(), "both sides are the same: there is nothing to switch")
            .help("`old` is what stands there while Heroku serves, `new` when AWS does")
            .see(raw.old.span(), "the old side");
    }
    let id = slug(raw.id.get_ref().as_str()).ok()?;
    Some(Record { id, zone_id: zone_id?, zone_name: zone, old, new })
}

/// Two records of one name: while one is still old and the other new, neither may forbid the other.
fn beside(raw: &RawRecord, record: &Record, earlier_raw: &RawRecord, earlier: &Record, report: &mut Report) {
    if record.name() != earlier.name() {
        return;
    }
    let types = |record: &Record| [record.old.kind, record.new.kind];
    let clash = types(record).into_iter().find(|kind| types(earlier).contains(kind));
    let cname = [record, earlier].iter().any(|record| types(record).contains(&RecordType::Cname));
    let name = quote(record.name());
    if let Some(kind) = clash {
        report
            .error(raw.name.span(), format!("two records of this plan are {name} {kind}"))
            .help("one record is one name and type: put all its values into one")
            .see(earlier_raw.name.span(), "the other");
    } else if cname {
        report
            .error(raw.name.span(), format!("a CNAME cannot stand beside another record: {name} has two"))
            .help("Route 53 would refuse the switch or the way back of one of them: use A and AAAA on both sides")
            .see(earlier_raw.name.span(), "the other");
    }
}
