//! Tables: what follows from what, edge by edge. Whole sessions are played in `tests/run_properties`.

mod alarm;
mod bill;
mod change;
mod decide;
mod describe;
mod gate;
mod guardrail;
mod interlock;
mod lasting;
mod late;
mod loss;
mod outcome;
mod people;
mod phase;
mod price;
mod way_back;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Change, State, StepState};
use crate::plan::{
    Aws, Dns, Environment, EnvironmentKind, GateLevel, Kind, Plan, Record, RecordSet, RecordType, Role, Runner,
    RunnerSource, Side, SideInfo, Sides, Stage, Step,
};

fn at(seconds: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn set(ttl: u32, value: &str) -> RecordSet {
    RecordSet {
        name: "shop.example.test.".into(),
        kind: RecordType::Cname,
        ttl: Some(ttl),
        values: vec![value.into()],
        alias: None,
        weighted: None,
    }
}

fn records(before: &[RecordSet], after: &[RecordSet]) -> Change {
    Change::Records { zone_id: "Z1".into(), before: before.to_vec(), after: after.to_vec() }
}

fn step(id: &str, kind: Kind, needs: &[&str]) -> Step {
    Step {
        id: id.into(),
        title: id.into(),
        note: None,
        needs: needs.iter().map(|need| (*need).into()).collect(),
        gate: kind.class().lowest_gate().max(GateLevel::Confirm),
        expected: Duration::from_secs(100),
        timeout: Duration::from_secs(600),
        point_of_no_return: false,
        allow_none: Vec::new(),
        demands_green: false,
        kind,
    }
}

/// Lower the TTL, scale a service up, switch in two parts, and a point of no return.
fn plan() -> Plan {
    let records = || vec!["shop".to_owned()];
    let side = |label: &str| SideInfo { label: label.into(), address: "127.0.0.1".into() };
    let stage = Stage { percent: 10, bake: Duration::from_secs(60) };
    let scale = Kind::EcsScale { cluster: "c".into(), service: "worker".into(), desired: 2 };
    let mut last = step("farewell", Kind::Manual { items: vec!["give it up".into()] }, &["switch"]);
    last.point_of_no_return = true;
    Plan {
        name: "acme".into(),
        title: "Acme".into(),
        environment: Environment { name: "sandbox".into(), kind: EnvironmentKind::Sandbox },
        window: Some(Duration::from_secs(3600)),
        aws: Aws::default(),
        databases: None,
        preflight: None,
        heroku: None,
        dns: Dns::default(),
        sides: Sides { old: side("Heroku"), new: side("AWS") },
        records: vec![Record {
            id: "shop".into(),
            zone_id: "Z1".into(),
            zone_name: "example.test.".into(),
            old: set(1800, "old."),
            new: set(60, "new."),
        }],
        checks: Vec::new(),
        metrics: Vec::new(),
        guardrails: Vec::new(),
        runners: vec![Runner {
            role: Role::Worker,
            side: Side::New,
            source: RunnerSource::Ecs { cluster: "c".into(), service: "worker".into() },
        }],
        traffic: None,
        access: None,
        notify: Vec::new(),
        steps: vec![
            step("lower", Kind::DnsLowerTtl { records: records(), ttl: 60 }, &[]),
            step("scale", scale, &["lower"]),
            step("switch", Kind::DnsSwitch { records: records(), stages: vec![stage] }, &["scale"]),
            last,
        ],
    }
}

/// A state in which nothing has happened yet.
fn fresh(plan: &Plan) -> State {
    State { steps: plan.steps.iter().map(|step| StepState::new(step.id.clone())).collect(), ..State::default() }
}
