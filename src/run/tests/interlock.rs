use super::{at, fresh, plan, price::done, records, set, step};
use crate::{
    plan::{Kind, Role, Runner, RunnerSource, Side, WriteLock},
    run::{
        Access, Actor, Cell, Change, ConditionId, Direction, Event, HoldKind, Matrix, Part, Phase, Preview, State,
        Violation, What, conditions, holds, misplaced, missing, runner_effects,
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
    let strays: Vec<_> =
        holds(&plan, &state, at(500)).into_iter().filter(|hold| hold.kind == HoldKind::Stray).collect();
    assert!(strays.len() == 1 && strays[0].blocking && strays[0].text.contains("`stop`"), "{strays:?}");
    done(&mut state, "scale", &[(service(0, 2), 0)], 10);
    state.steps.sort_by_key(|step| step.id.0 == "scale");
    assert_eq!(found(&state, 500), [], "a later step has started it again");
}

/// Worker on both sides: Heroku's is stopped by `stop`, which allows none, and ECS's started by `scale`.
fn moved() -> crate::plan::Plan {
    let mut plan = plan();
    plan.runners.push(Runner {
        role: Role::Worker,
        side: Side::Old,
        source: RunnerSource::Heroku { process: "worker".into() },
    });
    let formation = [("worker".to_owned(), 0)].into();
    let mut stop = step("stop", Kind::HerokuScale { formation, old_side_silent: None }, &[]);
    stop.allow_none = vec![Role::Worker];
    plan.steps.insert(0, stop);
    plan
}

fn seen(state: &mut State, old: Cell, new: Cell) {
    seen_at(state, old, new, 0);
}

fn seen_at(state: &mut State, old: Cell, new: Cell, second: i64) {
    for (side, cell) in [(Side::Old, old), (Side::New, new)] {
        let what = What::RunnerChanged { side, role: Role::Worker, cell };
        state.apply(&Event { seq: state.seq + 1, at: at(second), by: Actor::Engine, what }).unwrap();
    }
}

fn stopped() -> Change {
    Change::Formation {
        app: "acme".into(),
        from: [("worker".to_owned(), 1)].into(),
        to: [("worker".to_owned(), 0)].into(),
    }
}

fn scaled(to: u32) -> Change {
    Change::Service { cluster: "c".into(), service: "worker".into(), from: 2 - to, to }
}

fn done_at(state: &mut State, id: &str, change: Change, seconds: i64) {
    done(state, id, &[(change, 0)], 10);
    state.steps.iter_mut().find(|step| step.id.0 == id).unwrap().since = Some(at(seconds));
}

#[test]
fn a_role_that_ran_and_runs_nowhere_is_missed_unless_a_step_meant_it() {
    let plan = moved();
    let mut state = fresh(&plan);
    let gone = |state: &State, now: i64| missing(&plan, state, at(now));
    seen(&mut state, Cell::Off, Cell::Off);
    assert_eq!(gone(&state, 500), [], "it has never run: nobody misses it");
    seen(&mut state, Cell::On, Cell::Off);
    assert_eq!(gone(&state, 500), []);
    seen(&mut state, Cell::Unknown, Cell::Off);
    assert_eq!(gone(&state, 500), [], "what cannot be seen is not missing");
    seen(&mut state, Cell::Off, Cell::Off);
    assert_eq!(gone(&state, 500), [Role::Worker], "somebody stopped it");
    done_at(&mut state, "stop", stopped(), 1000);
    assert_eq!(gone(&state, 5000), [], "between the old side and the new one nobody runs, and the plan says so");
    done_at(&mut state, "scale", scaled(2), 6000);
    assert_eq!(gone(&state, 6030), [], "it starts: watches look every few seconds");
    assert_eq!(gone(&state, 6500), [Role::Worker], "it was started and has gone");
    let texts: Vec<_> = holds(&plan, &state, at(6500)).into_iter().map(|hold| (hold.kind, hold.blocking)).collect();
    assert_eq!(texts, [(HoldKind::Missing(Role::Worker), true)]);
    // The way back: the new side ends, then the old one begins.
    state.steps.iter_mut().find(|step| step.id.0 == "scale").unwrap().applied.clear();
    assert_eq!(gone(&state, 7000), [], "undone: the step before it meant it");
}

#[test]
fn a_violation_is_not_over_because_nobody_can_see_it_any_more() {
    let plan = moved();
    let texts = |state: &State, now: i64| -> Vec<_> {
        let all = holds(&plan, state, at(now)).into_iter();
        all.map(|hold| (hold.kind, hold.text.ends_with("(as read last: it cannot be read now)"))).collect()
    };
    let mut state = fresh(&plan);
    seen(&mut state, Cell::On, Cell::On);
    assert_eq!(texts(&state, 100), [(HoldKind::Doubled(Role::Worker), false)]);
    seen_at(&mut state, Cell::Unknown, Cell::On, 100);
    assert_eq!(texts(&state, 500), [(HoldKind::Doubled(Role::Worker), true)]);
    // A step has moved it since: nobody knows what is so now.
    done_at(&mut state, "stop", stopped(), 600);
    assert_eq!(texts(&state, 1000), []);

    // It was seen where it was ended, and then no more.
    seen_at(&mut state, Cell::On, Cell::Off, 1000);
    assert_eq!(texts(&state, 1000), [(HoldKind::Stray, false)]);
    seen_at(&mut state, Cell::Unknown, Cell::Off, 1100);
    assert_eq!(texts(&state, 2000), [(HoldKind::Stray, true)]);
    seen_at(&mut state, Cell::Unknown, Cell::Unknown, 2100);
    assert_eq!(texts(&state, 2200), [(HoldKind::Stray, true)], "of the other side nothing follows");
    seen_at(&mut state, Cell::Off, Cell::Off, 2300);
    assert_eq!(texts(&state, 2300), [], "it can be read, and is gone");

    // Read last while the step that ended it was at work: that tells nothing.
    let mut state = fresh(&plan);
    seen(&mut state, Cell::On, Cell::Off);
    done_at(&mut state, "stop", stopped(), 600);
    seen_at(&mut state, Cell::Unknown, Cell::Off, 620);
    assert_eq!(texts(&state, 2000), []);

    // What runs nowhere runs nowhere also when one side cannot be read.
    done_at(&mut state, "scale", scaled(2), 3000);
    seen_at(&mut state, Cell::Off, Cell::Off, 4000);
    assert_eq!(texts(&state, 4000), [(HoldKind::Missing(Role::Worker), false)]);
    seen_at(&mut state, Cell::Off, Cell::Unknown, 4000);
    assert_eq!(texts(&state, 5000), [(HoldKind::Missing(Role::Worker), true)]);
}

#[test]
fn what_was_gone_past_is_asked_anew_once_a_step_has_moved_something() {
    let plan = moved();
    let mut state = fresh(&plan);
    let told = |state: &mut State, what: What| {
        state.apply(&Event { seq: state.seq + 1, at: at(10), by: Actor::Engine, what }).unwrap();
        state.overrides.contains(&("scale".into(), ConditionId::Runners))
    };
    let overridden =
        || What::Overridden { step: "scale".into(), condition: ConditionId::Runners, reason: "they told me".into() };
    assert!(told(&mut state, overridden()));
    assert!(told(&mut state, What::Ticked { step: "scale".into(), item: 0, done: true }), "it moves nothing");
    assert!(!told(&mut state, What::Skipped { step: "stop".into(), reason: "it is off".into() }));
}

#[test]
fn what_people_stop_by_hand_in_a_step_that_allows_it_is_meant_and_so_is_what_was_skipped() {
    let mut plan = moved();
    plan.steps[0].kind = Kind::Manual { items: vec!["stop the worker on its own machine".into()] };
    let mut state = fresh(&plan);
    seen(&mut state, Cell::On, Cell::Off);
    seen(&mut state, Cell::Off, Cell::Off);
    let gone = |state: &State| missing(&plan, state, at(5000));
    assert_eq!(gone(&state), [Role::Worker]);
    for phase in [Phase::Running, Phase::Done, Phase::Skipped] {
        state.steps[0].phase = phase;
        assert_eq!(gone(&state), [], "{phase:?}");
    }
    state.steps[0].phase = Phase::Failed;
    assert_eq!(gone(&state), [Role::Worker], "it was not done");
}

#[test]
fn a_role_with_two_runners_on_a_side_has_ended_there_when_both_have() {
    let mut plan = moved();
    plan.runners.push(Runner {
        role: Role::Worker,
        side: Side::Old,
        source: RunnerSource::Heroku { process: "mailer".into() },
    });
    let mut state = fresh(&plan);
    seen(&mut state, Cell::On, Cell::Off);
    done_at(&mut state, "stop", stopped(), 10);
    assert_eq!(misplaced(&plan, &state, at(500)), [], "the mailer works on, and nobody has stopped it");
    let both = |count| [("worker".to_owned(), count), ("mailer".to_owned(), count)].into();
    done_at(&mut state, "stop", Change::Formation { app: "acme".into(), from: both(1), to: both(0) }, 10);
    assert_eq!(misplaced(&plan, &state, at(500)), [(Side::Old, Role::Worker, "stop".into())]);
}

#[test]
fn nothing_goes_forward_past_a_violation_but_what_mends_it_and_what_a_person_vouches_for() {
    let mut plan = moved();
    plan.steps.push(step("note", Kind::Manual { items: vec!["look".into()] }, &[]));
    let mut state = fresh(&plan);
    seen(&mut state, Cell::On, Cell::Off);
    done_at(&mut state, "stop", stopped(), 0);
    seen(&mut state, Cell::Off, Cell::Off);
    let runners = |state: &State, id: &str, direction: Direction| {
        let all = conditions(&plan, state, &id.into(), direction, at(500));
        let found = all.into_iter().find(|condition| condition.id == ConditionId::Runners);
        found.map(|condition| (condition.holds, condition.detail))
    };
    assert_eq!(runners(&state, "note", Direction::Forward), None, "all as the plan means it");
    seen(&mut state, Cell::On, Cell::Off);
    let why = "worker is seen on Heroku again, although `stop` ended it: stop it there";
    assert_eq!(runners(&state, "note", Direction::Forward), Some((false, why.to_owned())));
    assert_eq!(runners(&state, "stop", Direction::Back), None, "every undo passes");
    let preview = |change| Preview { parts: vec![Part { change, bake: std::time::Duration::ZERO }], facts: Vec::new() };
    state.steps.iter_mut().find(|step| step.id.0 == "note").unwrap().forward = Some(preview(stopped()));
    assert_eq!(runners(&state, "note", Direction::Forward), None, "it is what mends it");
    state.steps.iter_mut().find(|step| step.id.0 == "note").unwrap().forward = None;
    assert!(ConditionId::Runners.overridable() && ConditionId::Leak.overridable());
    state.overrides.insert(("note".into(), ConditionId::Runners));
    assert!(runners(&state, "note", Direction::Forward).unwrap().0, "a person may know better");

    // What was gone past was what ran where then.
    state.steps[0].applied.clear();
    state.steps[0].phase = Phase::Failed;
    seen(&mut state, Cell::Off, Cell::Off);
    let why = "no worker runs on either side, and no step meant it to: start it";
    assert_eq!(runners(&state, "note", Direction::Forward), Some((false, why.to_owned())));
    assert_eq!(runners(&state, "stop", Direction::Forward), None, "after it none may run anyway");
    state.steps.iter_mut().find(|step| step.id.0 == "scale").unwrap().forward = Some(preview(scaled(2)));
    assert_eq!(runners(&state, "scale", Direction::Forward), None, "it starts one");
}

#[test]
fn nothing_goes_forward_while_somebody_writes_where_writes_are_frozen() {
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
    let other = |state: &State, direction| {
        let all = conditions(&plan, state, &"scale".into(), direction, at(0));
        all.into_iter().find(|condition| condition.id == ConditionId::Leak).map(|condition| condition.holds)
    };
    assert_eq!(other(&state, Direction::Forward), Some(false), "not only the opening of writes");
    assert_eq!(other(&state, Direction::Back), None);
    let who = Some("somebody else writes to public.orders".to_owned());
    let event = What::LeakChanged { side: Side::Old, who };
    state.apply(&Event { seq: state.seq + 1, at: at(0), by: Actor::Engine, what: event }).unwrap();
    assert!(!leak(&state).unwrap().holds, "what was gone past was another leak");
}
