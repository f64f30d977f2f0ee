use super::{plan, records, set};
use crate::{
    plan::{Role, Side},
    run::{Cell, Change, Matrix, Violation, runner_effects},
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
