//! How high a gate is and what it asks for, each way.

use super::{
    decide::{Table, done, part},
    plan, step,
};
use crate::{
    plan::{Class, GateLevel, Heroku, Kind, Launch, Plan, Side, TaskSpec, WriteLock},
    run::{Access, Change, Direction, Observation, Request, What, typed_words},
};

/// A plan of nothing but these kinds, each a step of its own that needs nothing.
fn plan_of(kinds: &[(&str, Kind)]) -> Plan {
    let steps = kinds.iter().map(|(id, kind)| step(id, kind.clone(), &[])).collect();
    let heroku = Some(Heroku { app: "acme-shop".into(), api: None });
    Plan { steps, heroku, runners: Vec::new(), ..plan() }
}

fn maintenance(from: bool, to: bool) -> Change {
    Change::Maintenance { app: "acme-shop".into(), from, to }
}

fn access(open: bool) -> Access {
    Access::Limits { limits: [("app".to_owned(), if open { -1 } else { 0 })].into() }
}

#[test]
fn an_undo_that_takes_something_away_is_typed_though_its_step_is_not() {
    let service = |from, to| Change::Service { cluster: "c".into(), service: "worker".into(), from, to };
    let writes =
        |from, to| Change::WriteAccess { side: Side::New, database: "shop".into(), from: access(from), to: access(to) };
    let table = [
        (Kind::HerokuMaintenance { on: false }, maintenance(true, false), "maintenance on acme-shop"),
        (
            Kind::EcsScale { cluster: "c".into(), service: "worker".into(), desired: 2 },
            service(0, 2),
            "undo scale worker",
        ),
        (
            Kind::PostgresOpen { side: Side::New, method: WriteLock::ConnectionLimit, roles: vec!["app".into()] },
            writes(false, true),
            "undo it",
        ),
    ];
    for (kind, change, words) in table {
        let mut table = Table::new(plan_of(&[("it", kind.clone())]));
        assert_eq!(table.plan.steps[0].gate, GateLevel::Confirm);
        table.start("it", Direction::Forward, &[part(change.clone(), 0)]);
        table.end("it", done());
        table.observe("it", 1, Observation::Done).unwrap();
        table.ask(Request::BeginRollback { reason: "r".into() }).unwrap();
        let (step, state) = (&table.plan.steps[0], &table.state.steps[0]);
        assert_eq!(state.gate_level(step, Direction::Forward), GateLevel::Confirm);
        assert_eq!(state.gate_level(step, Direction::Back), GateLevel::Type, "before it is looked at: {kind:?}");
        assert_eq!(state.class(step, Direction::Back), Class::Destructive);
        table.arm("it", Direction::Back, &[part(change.reversed().unwrap(), 0)]);
        assert_eq!(table.state.gate.as_ref().unwrap().level, GateLevel::Type);
        let events = table.confirm(None).unwrap();
        assert!(matches!(events[..], [What::Disarmed { .. }]), "one key passed it: {events:?}");
        table.arm("it", Direction::Back, &[part(change.reversed().unwrap(), 0)]);
        let events = table.confirm(Some(words)).unwrap();
        assert!(matches!(events[..], [What::Consented { .. }]), "{events:?}");
    }
}

#[test]
fn an_undo_is_never_gated_lower_than_its_step() {
    let mut table = Table::new(plan_of(&[("page", Kind::HerokuMaintenance { on: true })]));
    table.start("page", Direction::Forward, &[part(maintenance(false, true), 0)]);
    table.end("page", done());
    table.observe("page", 1, Observation::Done).unwrap();
    let (step, state) = (&table.plan.steps[0], &table.state.steps[0]);
    assert_eq!(state.gate_level(step, Direction::Back), GateLevel::Type);
}

#[test]
fn the_words_of_one_act_open_no_other() {
    let records = || vec!["shop".to_owned()];
    let task = TaskSpec {
        cluster: "c".into(),
        definition: "migrate:7".into(),
        container: None,
        command: vec!["rake".into()],
        launch: Launch::Fargate,
        subnets: Vec::new(),
        security_groups: Vec::new(),
        public_ip: false,
        log_group: None,
        undo_command: None,
        class: Class::Destructive,
    };
    let plan = plan_of(&[
        ("page-on", Kind::HerokuMaintenance { on: true }),
        ("stop-jobs", Kind::HerokuScale { formation: [("worker".to_owned(), 0)].into(), old_side_silent: None }),
        ("start-workers", Kind::EcsScale { cluster: "c".into(), service: "worker".into(), desired: 2 }),
        ("switch-shop", Kind::DnsSwitch { records: records(), stages: Vec::new() }),
        ("raise", Kind::DnsRaiseTtl { records: records(), ttl: 300 }),
        ("migrate", Kind::EcsRunTask(task)),
        ("lock-deploys", Kind::Manual { items: vec!["look".into()] }),
    ]);
    let words =
        |direction| -> Vec<String> { plan.steps.iter().map(|step| typed_words(&plan, step, direction)).collect() };
    let (forward, back) = (words(Direction::Forward), words(Direction::Back));
    assert_eq!(
        forward,
        [
            "maintenance on acme-shop",
            "stop worker acme-shop",
            "scale worker",
            "switch shop.example.test",
            "ttl shop.example.test",
            "run migrate",
            "lock-deploys"
        ]
    );
    assert_eq!(back[0], "maintenance off acme-shop");
    assert_eq!(back[3], "undo switch shop.example.test");
    let mut all = [forward, back].concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 14, "{all:?}");
}
