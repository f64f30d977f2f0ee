//! A world that the steps act on: what stands there, what a preview of it says, what an act does to it.

use std::collections::{BTreeMap, BTreeSet};

use cutover::{
    plan::{Kind, Plan, RdsKind, Record, RecordSet, Role, Side, Step, TaskSpec},
    run::{Cell, Change, Observation, Part, Preview, RdsChange, StepState, Task, Trouble, TroubleKind},
};

use super::plans::{APP, CLUSTER, ZONE};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct World {
    sets: BTreeMap<String, Vec<RecordSet>>,
    maintenance: bool,
    formation: BTreeMap<String, u32>,
    services: BTreeMap<String, u32>,
    /// Commands whose effect stands.
    commands: BTreeSet<String>,
    /// A copy was restored.
    restored: bool,
    snapshots: BTreeSet<String>,
    /// The replica stands alone.
    promoted: bool,
}

pub(crate) fn trouble(reason: &str) -> Trouble {
    Trouble { call: "world".into(), reason: reason.into(), kind: TroubleKind::Unreachable, next_try: None }
}

impl World {
    pub(crate) fn new(plan: &Plan) -> Self {
        let count = |pairs: [(&str, u32); 2]| pairs.map(|(name, count)| (name.to_owned(), count)).into();
        Self {
            sets: plan.records.iter().map(|r| (r.name().to_owned(), vec![r.old.clone()])).collect(),
            maintenance: false,
            formation: count([("web", 2), ("worker", 1)]),
            services: count([("web", 0), ("worker", 0)]),
            commands: BTreeSet::new(),
            restored: false,
            snapshots: BTreeSet::new(),
            promoted: false,
        }
    }

    /// What a step would change now.
    pub(crate) fn forward(&self, plan: &Plan, step: &Step) -> Preview {
        let records = |ids: &[String]| ids.iter().filter_map(|id| plan.record(id)).cloned().collect::<Vec<_>>();
        match &step.kind {
            Kind::EcsRunTask(spec) => Preview::single(Change::Task(Box::new(task(spec)))),
            // The plans of this test have no databases.
            Kind::PostgresWaitCaughtUp
            | Kind::PostgresFreeze { .. }
            | Kind::PostgresOpen { .. }
            | Kind::PostgresSyncSequences { .. }
            | Kind::PostgresCompare { .. }
            | Kind::EcsWaitStable { .. }
            | Kind::Manual { .. }
            | Kind::CheckSuite { .. }
            | Kind::DnsDrain { .. }
            | Kind::Watch { .. } => Preview::single(Change::Nothing),
            Kind::DnsLowerTtl { records: ids, ttl } | Kind::DnsRaiseTtl { records: ids, ttl } => {
                let before = self.standing(&records(ids));
                let after = before.iter().map(|set| set.with_ttl(*ttl)).collect();
                Preview::single(Change::Records { zone_id: ZONE.into(), before, after })
            }
            Kind::DnsSwitch { records: ids, stages } => {
                let stages: Vec<_> = stages.iter().map(|stage| (stage.percent, stage.bake)).collect();
                self.switch(&records(ids), &stages)
            }
            Kind::HerokuMaintenance { on } => {
                Preview::single(Change::Maintenance { app: APP.into(), from: self.maintenance, to: *on })
            }
            Kind::HerokuScale { formation, .. } => {
                let from = formation.keys().map(|process| (process.clone(), self.formation[process])).collect();
                Preview::single(Change::Formation { app: APP.into(), from, to: formation.clone() })
            }
            Kind::EcsScale { service, desired, .. } => {
                let (service, from) = (service.clone(), self.services[service]);
                Preview::single(Change::Service { cluster: CLUSTER.into(), service, from, to: *desired })
            }
            Kind::Rds(kind) => Preview::single(Change::Rds(self.database(kind))),
            Kind::Exec { apply, observe, undo, .. } => {
                let (argv, observe, undo) = (apply.clone(), observe.clone(), undo.clone());
                Preview::single(Change::Command { argv, observe, undo, undoing: false })
            }
        }
    }

    /// What would put a step back: the reversal of what stands of it, from what the world shows now.
    pub(crate) fn back(&self, step: &StepState) -> Preview {
        let mut change = Change::reversal_of(&step.applied).unwrap_or(Change::Nothing);
        match &mut change {
            Change::Records { before, after, .. } => {
                let names: BTreeSet<_> = before.iter().chain(after.iter()).map(|set| set.name.clone()).collect();
                *before = names.iter().flat_map(|name| self.sets[name].clone()).collect();
            }
            Change::Maintenance { from, .. } => *from = self.maintenance,
            Change::Formation { from, .. } => {
                from.iter_mut().for_each(|(process, count)| *count = self.formation[process]);
            }
            Change::Service { service, from, .. } => *from = self.services[service],
            Change::WriteAccess { .. } | Change::Sequences { .. } => {}
            Change::Rds(RdsChange::Restored { from, .. }) => *from = self.restored,
            Change::Nothing | Change::Task(_) | Change::Command { .. } | Change::Rds(_) => {}
        }
        Preview::single(change)
    }

    fn database(&self, kind: &RdsKind) -> RdsChange {
        match kind {
            RdsKind::RestoreSnapshot { target, .. } => {
                let (snapshot, target) = ("nightly".to_owned(), target.clone());
                RdsChange::Restored { snapshot, target, from: self.restored, to: true }
            }
            RdsKind::Snapshot { instance, prefix } => {
                let number = self.snapshots.len() + 1;
                RdsChange::Snapshot { instance: instance.clone(), snapshot: format!("{prefix}-{number}") }
            }
            RdsKind::PromoteReplica { replica, .. } => {
                let source = (!self.promoted).then(|| "db".to_owned());
                RdsChange::Promoted { replica: replica.clone(), source }
            }
            RdsKind::Switchover { .. } => unreachable!("no random plan switches a database over"),
        }
    }

    fn standing(&self, records: &[Record]) -> Vec<RecordSet> {
        records.iter().flat_map(|record| self.sets[record.name()].clone()).collect()
    }

    /// The stages that remain, told from the weights that stand there.
    fn switch(&self, records: &[Record], stages: &[(u8, std::time::Duration)]) -> Preview {
        let now = self.standing(records);
        let share = |set: &RecordSet| match &set.weighted {
            Some(weighted) if weighted.set_identifier == "new" => weighted.weight,
            None if set.values == records[0].new.values => 100,
            _ => 0,
        };
        let reached = now.iter().map(share).max().unwrap_or(0);
        let mut before = now;
        let mut parts = Vec::new();
        for (percent, bake) in stages.iter().filter(|(percent, _)| *percent > reached) {
            let after: Vec<_> = records.iter().flat_map(|record| weighted(record, *percent)).collect();
            parts.push(part(&before, &after, *bake));
            before = after;
        }
        let last: Vec<_> = records.iter().map(|record| record.new.clone()).collect();
        parts.push(part(&before, &last, std::time::Duration::ZERO));
        Preview { parts, facts: Vec::new() }
    }

    pub(crate) fn send(&mut self, change: &Change) {
        match change {
            // The plans of this test have no databases.
            Change::Nothing | Change::WriteAccess { .. } | Change::Sequences { .. } => {}
            Change::Records { before, after, .. } => {
                for set in before.iter().chain(after) {
                    let of_name = after.iter().filter(|other| other.name == set.name).cloned().collect();
                    self.sets.insert(set.name.clone(), of_name);
                }
            }
            Change::Maintenance { to, .. } => self.maintenance = *to,
            Change::Formation { to, .. } => self.formation.extend(to.clone()),
            Change::Service { service, to, .. } => drop(self.services.insert(service.clone(), *to)),
            Change::Task(task) if task.undoing => drop(self.commands.remove("migrate")),
            Change::Task(_) => drop(self.commands.insert("migrate".into())),
            Change::Rds(RdsChange::Restored { to, .. }) => self.restored = *to,
            Change::Rds(RdsChange::Snapshot { snapshot, .. }) => drop(self.snapshots.insert(snapshot.clone())),
            Change::Rds(_) => self.promoted = true,
            Change::Command { argv, .. } if argv[1] == "uncopy" => drop(self.commands.remove("copy")),
            Change::Command { argv, .. } => drop(self.commands.insert(argv[1].clone())),
        }
    }

    /// Whether a change took effect, as far as the world shows it.
    pub(crate) fn observe(&self, change: &Change, accepted: bool) -> Observation {
        let (done, not_done) = match change {
            Change::Nothing | Change::WriteAccess { .. } | Change::Sequences { .. } => (true, false),
            Change::Records { before, after, .. } => (self.shows(after), self.shows(before)),
            Change::Maintenance { from, to, .. } => (self.maintenance == *to, self.maintenance == *from),
            Change::Formation { from, to, .. } => (self.has(to), self.has(from)),
            Change::Service { service, from, to, .. } => {
                (self.services[service] == *to, self.services[service] == *from)
            }
            Change::Task(task) => {
                let done = self.commands.contains("migrate") != task.undoing;
                (done, !done)
            }
            Change::Rds(RdsChange::Restored { from, to, .. }) => (self.restored == *to, self.restored == *from),
            Change::Rds(RdsChange::Snapshot { snapshot, .. }) => {
                let taken = self.snapshots.contains(snapshot);
                (taken, !taken)
            }
            Change::Rds(_) => (self.promoted, !self.promoted),
            Change::Command { observe: None, .. } => (accepted, false),
            Change::Command { argv, .. } => {
                let copied = self.commands.contains("copy");
                let done = copied == (argv[1] == "copy");
                (done, !done)
            }
        };
        match (done, not_done) {
            (true, _) => Observation::Done,
            (_, true) => Observation::NotDone { seen: "as before".into() },
            _ => Observation::Unknown { reason: "neither before nor after".into() },
        }
    }

    fn shows(&self, sets: &[RecordSet]) -> bool {
        let names: BTreeSet<_> = sets.iter().map(|set| &set.name).collect();
        names.into_iter().all(|name| {
            let wanted: BTreeSet<_> = sets.iter().filter(|set| set.name == *name).collect();
            self.sets[name].iter().collect::<BTreeSet<_>>() == wanted
        })
    }

    fn has(&self, counts: &BTreeMap<String, u32>) -> bool {
        counts.iter().all(|(process, count)| self.formation[process] == *count)
    }

    /// As it was before the plan began, except for what cannot be put back.
    pub(crate) fn as_before(&self, plan: &Plan) -> bool {
        let before = Self { commands: self.commands.clone(), snapshots: self.snapshots.clone(), ..Self::new(plan) };
        *self == before && !self.commands.contains("copy") && !self.commands.contains("migrate")
    }

    /// Somebody stops the new side's workers by hand.
    pub(crate) fn stop_new_workers(&mut self) {
        self.services.insert("worker".into(), 0);
    }

    /// The runners as they are.
    pub(crate) fn runners(&self) -> [(Side, Role, Cell); 4] {
        let cell = |running| if running { Cell::On } else { Cell::Off };
        [
            (Side::Old, Role::Web, cell(self.formation["web"] > 0 && !self.maintenance)),
            (Side::New, Role::Web, cell(self.services["web"] > 0)),
            (Side::Old, Role::Worker, cell(self.formation["worker"] > 0)),
            (Side::New, Role::Worker, cell(self.services["worker"] > 0)),
        ]
    }
}

fn task(spec: &TaskSpec) -> Task {
    Task::of(spec, &spec.definition, ("release", "acme@sha256:1"), None)
}

fn part(before: &[RecordSet], after: &[RecordSet], bake: std::time::Duration) -> Part {
    Part { change: Change::Records { zone_id: ZONE.into(), before: before.to_vec(), after: after.to_vec() }, bake }
}

fn weighted(record: &Record, percent: u8) -> [RecordSet; 2] {
    [record.old.with_ttl(60).with_weight("old", 100 - percent), record.new.with_weight("new", percent)]
}
