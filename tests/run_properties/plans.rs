//! Random plans, built directly: a few steps of every kind in the order of a real cutover.

use std::{collections::BTreeMap, time::Duration};

use cutover::plan::{
    Aws, Bound, Check, Class, Consequence, Dns, Environment, EnvironmentKind, GateLevel, Guardrail, Heroku, Kind,
    Launch, Plan, RdsKind, Record, RecordSet, RecordType, Resolver, RestoreTarget, Role, Runner, RunnerSource, Side,
    SideInfo, Sides, Stage, Step, StepId, TaskSpec, Threshold,
};
use proptest::prelude::*;

pub(crate) const ZONE: &str = "Z1";
pub(crate) const APP: &str = "acme-shop";
pub(crate) const CLUSTER: &str = "shop";

/// What varies from plan to plan.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// Which of [`catalogue`] are in the plan.
    picked: Vec<bool>,
    /// How much each step's gate is raised above what its class demands.
    raised: Vec<u8>,
    /// The step needs nothing, instead of the one before.
    free: Vec<bool>,
    demands_green: Vec<bool>,
    stages: usize,
    records: usize,
}

pub(crate) fn shape() -> impl Strategy<Value = Shape> {
    let steps = catalogue(0, 1).len();
    let all = |p: f64| prop::collection::vec(prop::bool::weighted(p), steps);
    let raised = prop::collection::vec(prop_oneof![6 => Just(0_u8), 1 => Just(1), 1 => Just(2)], steps);
    (all(0.7), raised, all(0.15), all(0.2), 0..=3_usize, 1..=2_usize).prop_map(
        |(picked, raised, free, demands_green, stages, records)| Shape {
            picked,
            raised,
            free,
            demands_green,
            stages,
            records,
        },
    )
}

/// Id, kind, roles that may run nowhere afterwards, point of no return.
type Entry = (&'static str, Kind, Vec<Role>, bool);

fn catalogue(stages: usize, records: usize) -> Vec<Entry> {
    let records: Vec<String> = (0..records).map(|index| format!("r{index}")).collect();
    let all = || records.clone();
    let argv = |word: &str| vec!["tool".to_owned(), word.to_owned()];
    let formation = |process: &str, count| Kind::HerokuScale {
        formation: BTreeMap::from([(process.to_owned(), count)]),
        old_side_silent: None,
    };
    let service = |name: &str| Kind::EcsScale { cluster: CLUSTER.into(), service: name.into(), desired: 2 };
    let stages = [10, 30, 60][..stages].iter().map(|p| Stage { percent: *p, bake: Duration::from_secs(60) }).collect();
    let plain = |id, kind| (id, kind, Vec::new(), false);
    vec![
        plain("inventory", Kind::Manual { items: vec!["cron".into(), "hooks".into()] }),
        plain("migrate", migration(argv("migrate"), argv("unmigrate"))),
        plain("stable", Kind::EcsWaitStable { cluster: CLUSTER.into(), services: vec!["web".into()] }),
        plain("smoke", Kind::CheckSuite { checks: vec!["home".into()], sides: vec![Side::New], rounds: 1 }),
        plain("restore", restore()),
        plain("lower", Kind::DnsLowerTtl { records: all(), ttl: 60 }),
        plain("drain", Kind::DnsDrain { records: all(), margin: Duration::from_secs(5) }),
        ("workers-off", formation("worker", 0), vec![Role::Worker], false),
        plain("workers-on", service("worker")),
        ("freeze", Kind::HerokuMaintenance { on: true }, vec![Role::Web], false),
        plain(
            "copy",
            Kind::Exec {
                apply: argv("copy"),
                observe: Some(argv("copied")),
                undo: Some(argv("uncopy")),
                class: Class::Destructive,
            },
        ),
        plain("backup", Kind::Rds(RdsKind::Snapshot { instance: "db".into(), prefix: "backup".into() })),
        plain("list", Kind::Exec { apply: argv("list"), observe: None, undo: None, class: Class::ReadOnly }),
        plain("web-on", service("web")),
        plain("switch", Kind::DnsSwitch { records: all(), stages }),
        plain("watch", Kind::Watch { lasting: Duration::from_secs(60), old_side_silent: None }),
        plain("raise", Kind::DnsRaiseTtl { records: vec!["r0".into()], ttl: 300 }),
        ("promote", Kind::Rds(RdsKind::PromoteReplica { replica: "reports".into(), max_lag: None }), Vec::new(), true),
        ("farewell", Kind::Manual { items: vec!["give up the old side".into()] }, Vec::new(), true),
    ]
}

fn migration(command: Vec<String>, undo: Vec<String>) -> Kind {
    Kind::EcsRunTask(TaskSpec {
        cluster: CLUSTER.into(),
        definition: "release:7".into(),
        container: None,
        command,
        launch: Launch::Fargate,
        subnets: vec!["subnet-1".into()],
        security_groups: Vec::new(),
        public_ip: false,
        log_group: None,
        undo_command: Some(undo),
        class: Class::Reversible,
    })
}

fn restore() -> Kind {
    let target = RestoreTarget { instance: "scratch".into(), ..RestoreTarget::default() };
    let max_age = Duration::from_secs(86_400);
    Kind::Rds(RdsKind::RestoreSnapshot { instance: "db".into(), snapshot: None, max_age, target })
}

pub(crate) fn plan(shape: &Shape) -> Plan {
    let mut steps: Vec<Step> = Vec::new();
    for (index, entry) in catalogue(shape.stages, shape.records).into_iter().enumerate() {
        // The switch is what it is all about.
        if shape.picked[index] || entry.0 == "switch" {
            let before = steps.last().filter(|_| !shape.free[index]).map(|step| step.id.clone());
            steps.push(step(entry, before, shape.raised[index], shape.demands_green[index]));
        }
    }
    Plan {
        name: "acme".into(),
        title: "Acme".into(),
        environment: Environment { name: "sandbox".into(), kind: EnvironmentKind::Sandbox },
        window: Some(Duration::from_secs(7200)),
        aws: Aws::default(),
        databases: None,
        preflight: None,
        heroku: Some(Heroku { app: APP.into(), api: None }),
        dns: dns(),
        sides: Sides { old: side("Heroku"), new: side("AWS") },
        records: (0..shape.records).map(record).collect(),
        checks: vec![check()],
        metrics: Vec::new(),
        guardrails: vec![
            guardrail("errors", Consequence::Hold, None),
            guardrail("latency", Consequence::Warn, None),
            guardrail("load", Consequence::ProposeRollback, Some("switch".into())),
        ],
        runners: runners(),
        traffic: None,
        access: None,
        notify: Vec::new(),
        steps,
    }
}

fn step((id, kind, allow_none, point_of_no_return): Entry, before: Option<StepId>, raised: u8, green: bool) -> Step {
    let levels = [GateLevel::Start, GateLevel::Confirm, GateLevel::Type, GateLevel::Two];
    let lowest = levels.iter().position(|level| *level == kind.class().lowest_gate()).unwrap();
    Step {
        id: id.into(),
        title: id.into(),
        note: None,
        needs: before.into_iter().collect(),
        gate: levels[(lowest + usize::from(raised)).min(3)],
        expected: Duration::from_secs(60),
        timeout: Duration::from_secs(600),
        point_of_no_return,
        allow_none,
        demands_green: green,
        kind,
    }
}

fn dns() -> Dns {
    let resolver = |name: &str| Resolver { name: name.into(), address: "127.0.0.1:53".parse().unwrap() };
    Dns { resolvers: vec![resolver("one"), resolver("two"), resolver("three")], authority: Vec::new() }
}

fn side(label: &str) -> SideInfo {
    SideInfo { label: label.into(), address: "127.0.0.1".into() }
}

pub(crate) fn record(index: usize) -> Record {
    let set = |ttl, value: &str| RecordSet {
        name: format!("r{index}.example.test."),
        kind: RecordType::Cname,
        ttl: Some(ttl),
        values: vec![value.to_owned()],
        alias: None,
        weighted: None,
    };
    Record {
        id: format!("r{index}"),
        zone_id: ZONE.into(),
        zone_name: "example.test.".into(),
        old: set(1800, "old.example.net."),
        new: set(60, "new.example.net."),
    }
}

fn check() -> Check {
    Check {
        id: "home".into(),
        title: "home".into(),
        url: "http://r0.example.test/".into(),
        status: vec![200],
        contains: None,
        json: None,
        max_latency: None,
        min_certificate: None,
        every: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
        ca_file: None,
    }
}

fn guardrail(id: &str, consequence: Consequence, after: Option<StepId>) -> Guardrail {
    Guardrail {
        id: id.into(),
        title: id.into(),
        metric: "m".into(),
        bound: Bound::Above,
        threshold: Threshold::Absolute(1.0),
        lasting: Duration::from_secs(60),
        max_age: Duration::from_secs(300),
        consequence,
        after,
    }
}

fn runners() -> Vec<Runner> {
    let heroku = |process: &str| RunnerSource::Heroku { process: process.into() };
    let ecs = |service: &str| RunnerSource::Ecs { cluster: CLUSTER.into(), service: service.into() };
    vec![
        Runner { role: Role::Web, side: Side::Old, source: heroku("web") },
        Runner { role: Role::Web, side: Side::New, source: ecs("web") },
        Runner { role: Role::Worker, side: Side::Old, source: heroku("worker") },
        Runner { role: Role::Worker, side: Side::New, source: ecs("worker") },
    ]
}
