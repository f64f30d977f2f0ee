use super::{at, fresh, plan, price::done, records, set, step};
use crate::{
    plan::{Kind, Role, Runner, RunnerSource, Side, WriteLock},
    run::{
        Access, Cell, Change, ConditionId, Direction, HoldKind, Matrix, Part, Preview, State, Violation, conditions,
        holds, misplaced, runner_effects,
    },
};

const CELLS: [Cell; 3] = [Cell::On, Cell::Off, Cell::Unknown];

/// The new side is set to `running`; what is wrong then, given what the old side shows.
fn after(role: Role, old: Cell, running: bool, allow_none: &[Role]) -> Vec<Violation> {
    let mut matrix = Matrix::default();
    matrix.set(Side::Old, role, old);
    matrix.set(Side::New, role, Cell::Unknown);
    matrix.after(&[(Side::New, role, running)], allow_none)
}

#[test]
fn never_two_never_none() {
    for role in [Role::Worker, Role::Cron, Role::Writer] {
        assert_eq!(after(role, Cell::On, true, &[]), [Violation::Two(role)]);
        assert_eq!(after(role, Cell::Off, true, &[]), []);
        assert_eq!(after(role, Cell::Unknown, true, &[]), [Violation::Blind(role)]);
        assert_eq!(after(role, Cell::On, false, &[]), []);
        assert_eq!(after(role, Cell::Off, false, &[]), [Violation::None(role)]);
        assert_eq!(after(role, Cell::Unknown, false, &[]), [Violation::Blind(role)]);
    }
}

#[test]
fn web_may_run_twice_but_not_nowhere() {
    assert_eq!(after(Role::Web, Cell::On, true, &[]), []);
    assert_eq!(after(Role::Web, Cell::Unknown, true, &[]), []);
    assert_eq!(after(Role::Web, Cell::Off, false, &[]), [Violation::None(Role::Web)]);
}

#[test]
fn none_is_allowed_only_for_the_named_role_and_two_never() {
    assert_eq!(after(Role::Worker, Cell::Off, false, &[Role::Worker]), []);
    assert_eq!(after(Role::Worker, Cell::Off, false, &[Role::Cron]), [Violation::None(Role::Worker)]);
    assert_eq!(after(Role::Worker, Cell::On, true, &[Role::Worker]), [Violation::Two(Role::Worker)]);
    assert_eq!(after(Role::Worker, Cell::Unknown, false, &[Role::Worker]), []);
}

#[test]
fn only_what_an_act_touches_is_judged_and_both_sides_of_one_act_together() {
    let mut matrix = Matrix::default();
    for side in [Side::Old, Side::New] {
        matrix.set(side, Role::Cron, Cell::On);
    }
    matrix.set(Side::Old, Role::Worker, Cell::On);
    assert_eq!(matrix.after(&[], &[]), []);
    let moved = [(Side::Old, Role::Worker, false), (Side::New, Role::Worker, true)];
    assert_eq!(matrix.after(&moved, &[]), []);
    assert_eq!(matrix.doubled().collect::<Vec<_>>(), [Role::Cron]);
}

#[test]
fn a_side_that_the_plan_does_not_watch_does_not_run() {
    let matrix = Matrix::default();
    assert_eq!(matrix.after(&[(Side::New, Role::Worker, true)], &[]), []);
    assert_eq!(matrix.after(&[(Side::New, Role::Worker, false)], &[]), [Violation::None(Role::Worker)]);
}

#[test]
fn a_change_touches_the_runner_that_it_names_and_no_other() {
    let plan = plan();
    let service = |name: &str, to| Change::Service { cluster: "c".into(), service: name.into(), from: 0, to };
    let effects = |change: &Change| runner_effects(change, &plan.runners);
    assert_eq!(effects(&service("worker", 2)), [(Side::New, Role::Worker, true)]);
    assert_eq!(effects(&service("worker", 0)), [(Side::New, Role::Worker, false)]);
    assert_eq!(effects(&service("web", 2)), []);
    assert_eq!(effects(&records(&[set(60, "a.")], &[set(60, "b.")])), []);
}

#[test]
fn a_matrix_survives_its_json() {
    let mut matrix = Matrix::default();
    for (cell, role) in CELLS.into_iter().zip(Role::ALL) {
        matrix.set(Side::Old, role, cell);
        matrix.set(Side::New, role, cell);
    }
    let json = serde_json::to_string(&matrix).unwrap();
    assert_eq!(serde_json::from_str::<Matrix>(&json).unwrap(), matrix);
}

#[test]
fn what_a_step_has_ended_and_is_seen_later_is_out_of_place() {
    let mut plan = plan();
    let stop = Kind::EcsScale { cluster: "c".into(), service: "worker".into(), desired: 0 };
    plan.steps.push(step("stop", stop, &[]));
    let mut state = fresh(&plan);
    let service = |from, to| Change::Service { cluster: "c".into(), service: "worker".into(), from, to };
    done(&mut state, "stop", &[(service(2, 0), 0)], 10);
    state.steps.iter_mut().find(|step| step.id.0 == "stop").unwrap().since = Some(at(10));
    let found = |state: &State, now: i64| misplaced(&plan, state, at(now));
    assert_eq!(found(&state, 500), [], "not seen");
    state.runners.set(Side::New, Role::Worker, Cell::On);
    assert_eq!(found(&state, 20), [], "watches look every few seconds");
    assert_eq!(found(&state, 500), [(Side::New, Role::Worker, "stop".into())]);
    state.at = Some(at(500));
    let strays: Vec<_> = holds(&plan, &state).into_iter().filter(|hold| hold.kind == HoldKind::Stray).collect();
    assert!(strays.len() == 1 && !strays[0].blocking && strays[0].text.contains("`stop`"), "{strays:?}");
    done(&mut state, "scale", &[(service(0, 2), 0)], 10);
    state.steps.sort_by_key(|step| step.id.0 == "scale");
    assert_eq!(found(&state, 500), [], "a later step has started it again");
}

#[test]
fn writes_are_not_opened_while_somebody_writes_where_they_are_frozen() {
    let mut plan = plan();
    let open = Kind::PostgresOpen { side: Side::New, method: WriteLock::ConnectionLimit, roles: vec!["shop".into()] };
    plan.steps.push(step("open", open, &[]));
    plan.runners.push(Runner {
        role: Role::Writer,
        side: Side::New,
        source: RunnerSource::Postgres { database: Side::New },
    });
    let mut state = fresh(&plan);
    let limit = |limit| Access::Limits { limits: [("shop".to_owned(), limit)].into() };
    let change = Change::WriteAccess { side: Side::New, database: "shop".into(), from: limit(0), to: limit(-1) };
    let preview = Preview { parts: vec![Part { change, bake: std::time::Duration::ZERO }], facts: Vec::new() };
    state.steps.last_mut().unwrap().forward = Some(preview);
    let leak = |state: &State| {
        let all = conditions(&plan, state, &"open".into(), Direction::Forward, at(0));
        all.into_iter().find(|condition| condition.id == ConditionId::Leak)
    };
    assert_eq!(leak(&state), None);
    state.leaks.insert(Side::Old, "reports (cron) writes to public.orders".into());
    let found = leak(&state).unwrap();
    assert!(!found.holds && found.detail.starts_with("reports (cron) writes to public.orders on Heroku"), "{found:?}");
    state.overrides.insert(("open".into(), ConditionId::Leak));
    assert!(leak(&state).unwrap().holds, "a person may know better, typed and with a reason");
}
