//! How high a gate must be and what must be typed, worked out anew.

use cutover::{
    plan::{GateLevel, Kind, RdsKind, Step},
    run::{Change, Direction, Part, RdsChange},
};

use crate::plans::APP;

/// An undo that takes away what serves is typed, whatever its step is.
pub(super) fn level(step: &Step, direction: Direction, parts: &[Part]) -> GateLevel {
    let lowest = step.kind.class().lowest_gate();
    assert!(step.gate >= lowest, "{} has too low a gate", step.id);
    if direction == Direction::Back && parts.iter().any(|part| is_felt(&part.change)) {
        step.gate.max(GateLevel::Type)
    } else {
        step.gate.max(if direction == Direction::Back { GateLevel::Confirm } else { GateLevel::Start })
    }
}

fn is_felt(change: &Change) -> bool {
    match change {
        Change::Records { before, after, .. } => {
            before.iter().map(cutover::plan::RecordSet::target).ne(after.iter().map(cutover::plan::RecordSet::target))
        }
        Change::Maintenance { from: false, to: true, .. } => true,
        Change::Formation { from, to, .. } => to.iter().any(|(process, count)| *count == 0 && from[process] > 0),
        Change::Service { from, to: 0, .. } => *from > 0,
        Change::WriteAccess { from, to, .. } => from.open() && !to.open(),
        Change::Rds(RdsChange::Restored { from: true, to: false, .. }) => true,
        _ => false,
    }
}

pub(super) fn words(step: &Step, direction: Direction) -> String {
    let forward = direction == Direction::Forward;
    let words = match &step.kind {
        Kind::HerokuMaintenance { on } => {
            return format!("maintenance {} {APP}", if *on == forward { "on" } else { "off" });
        }
        Kind::HerokuScale { formation, .. } => {
            let act = if formation.values().any(|count| *count > 0) { "scale" } else { "stop" };
            formation.keys().fold(act.to_owned(), |words, process| format!("{words} {process}")) + " " + APP
        }
        Kind::EcsScale { service, desired: 0, .. } => format!("stop {service}"),
        Kind::EcsScale { service, .. } => format!("scale {service}"),
        Kind::EcsRunTask(task) => format!("run {}", task.family()),
        Kind::Rds(kind) => {
            let act = match kind {
                RdsKind::RestoreSnapshot { .. } => "restore",
                RdsKind::Snapshot { .. } => "snapshot",
                RdsKind::PromoteReplica { .. } => "promote",
                RdsKind::Switchover { .. } => "switchover",
            };
            format!("{act} {}", kind.subject())
        }
        Kind::DnsSwitch { .. } => "switch r0.example.test".into(),
        Kind::DnsLowerTtl { .. } | Kind::DnsRaiseTtl { .. } => "ttl r0.example.test".into(),
        _ => step.id.0.clone(),
    };
    match (forward, step.point_of_no_return) {
        (false, _) => format!("undo {words}"),
        (true, true) => words + " for good",
        (true, false) => words,
    }
}
