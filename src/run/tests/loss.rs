use super::{
    at,
    decide::{Table, done as ended, part, stages, switch_only, trouble},
    fresh, plan,
    price::{done, switched},
    records, set, step,
};
use crate::{
    plan::{DatabaseMeasure, Kind, Metric, MetricSource, Plan, Side, Unit, WriteLock},
    run::{
        Access, Attempt, Change, ConditionId, Counted, Datum, Direction, Observation, Outcome, Part, Phase, Report,
        Request, Rollback, State, What, Written, closing, conditions, written,
    },
};

#[test]
fn what_the_new_side_has_written_counts_from_its_opening() {
    let mut plan = plan();
    let metric = |id: &str, postgres| Metric {
        id: id.into(),
        title: id.into(),
        graph: id.into(),
        side: Side::New,
        unit: Unit::Count,
        source: MetricSource::Postgres { postgres },
        period: 10,
    };
    plan.metrics = vec![metric("wal", DatabaseMeasure::WrittenBytes), metric("rows", DatabaseMeasure::WrittenRows)];
    let data = |second: i64, value: f64| Datum { at: at(second), value };
    // Counted at 10, 110 and 210: replication wrote the first 500 rows.
    let rows = [data(0, 500.0), data(100, 500.0), data(200, 620.0)];
    let mut state = fresh(&plan);
    assert_eq!(written(&plan, &state, |_| &rows), None, "not opened");
    done(&mut state, "switch", &switched(), 30);
    let step = state.steps.iter_mut().find(|step| step.id.0 == "switch").unwrap();
    step.attempts[0].started_at = at(120);
    let known = |amount, at_least, as_of: Option<i64>| {
        Some(Written { amount, rows: true, at_least, since: at(120), as_of: as_of.map(at) })
    };
    assert_eq!(written(&plan, &state, |_| &rows), known(Some(120), false, Some(210)));
    assert_eq!(written(&plan, &state, |_| &rows[..2]), known(None, false, None), "nothing was heard since");
    assert_eq!(written(&plan, &state, |_| &rows[2..]), known(Some(0), true, Some(210)), "the count began later");
    assert_eq!(written(&plan, &state, |_| &[]), known(None, true, None));
    plan.metrics.pop();
    let bytes = written(&plan, &state, |_| &rows).unwrap();
    assert_eq!((bytes.amount, bytes.rows), (Some(120), false));
    plan.metrics.clear();
    assert_eq!(written(&plan, &state, |_| &rows), None);
}

/// A plan that counts rows of the new side, and a session that opened it at 120.
fn opened() -> (Plan, State) {
    let mut plan = plan();
    plan.metrics = vec![Metric {
        id: "rows".into(),
        title: "rows".into(),
        graph: "rows".into(),
        side: Side::New,
        unit: Unit::Count,
        source: MetricSource::Postgres { postgres: DatabaseMeasure::WrittenRows },
        period: 10,
    }];
    let mut state = fresh(&plan);
    done(&mut state, "switch", &switched(), 30);
    state.steps.iter_mut().find(|step| step.id.0 == "switch").unwrap().attempts[0].started_at = at(120);
    state.opening = Some(Counted { at: at(120), metric: "rows".into(), value: 500.0 });
    (plan, state)
}

#[test]
fn what_was_written_stays_lost_while_it_is_rolled_back_and_whoever_began_to_count_later() {
    let (plan, mut state) = opened();
    let data = |second: i64, value: f64| Datum { at: at(second), value };
    let amount = |state: &State, data: &[Datum]| written(&plan, state, |_| data).map(|written| written.amount);
    // A new engine begins with an empty ring: its first datum is no beginning.
    assert_eq!(amount(&state, &[data(200, 620.0)]), Some(Some(120)));
    state.rollback = Some(Rollback { at: at(300), by: "ann".into(), reason: "why".into() });
    let switch = state.steps.iter_mut().find(|step| step.id.0 == "switch").unwrap();
    (switch.phase, switch.applied) = (Phase::Undone, Vec::new());
    let both = [data(200, 620.0), data(300, 650.0)];
    let told = written(&plan, &state, |_| &both).unwrap();
    assert_eq!((told.amount, told.since, told.as_of), (Some(150), at(120), Some(at(310))), "its undo loses none of it");
    (state.rollback, state.rolled_back) = (None, true);
    assert_eq!(amount(&state, &[data(300, 650.0)]), Some(Some(150)));
    assert_eq!(amount(&state, &[data(300, 20.0)]), Some(None), "a counter that was reset tells nothing");
    assert_eq!(amount(&state, &[data(300, 500.0)]), None, "opened, undone, and nobody came");
}

#[test]
fn the_count_ends_with_the_undo_of_what_opened_it_and_is_known_without_a_count_of_the_opening() {
    let (plan, mut state) = opened();
    state.opening = None;
    let data = |second: i64, value: f64| Datum { at: at(second), value };
    // The last datum is of replication that goes on once the old side writes again.
    let all = [data(100, 500.0), data(200, 620.0), data(300, 650.0), data(400, 900.0)];
    let told = |state: &State| written(&plan, state, |_| &all).map(|written| (written.amount, written.since));
    assert_eq!(told(&state), Some((Some(400), at(120))));
    let switch = state.steps.iter_mut().find(|step| step.id.0 == "switch").unwrap();
    let undo = Attempt {
        direction: Direction::Back,
        started_at: at(290),
        ended_at: Some(at(305)),
        ..switch.attempts[0].clone()
    };
    switch.attempts.push(undo);
    (switch.phase, switch.applied) = (Phase::Undone, Vec::new());
    assert_eq!(told(&state), Some((Some(150), at(120))), "what was written until it was closed is there still");
}

#[test]
fn the_count_of_the_closing_is_what_is_lost_whoever_counts_later() {
    let (plan, mut state) = opened();
    let data = |second: i64, value: f64| Datum { at: at(second), value };
    let all = [data(200, 620.0), data(300, 650.0), data(400, 900.0)];
    assert_eq!(closing(&plan, &state, "rows", &all), None, "it is open");
    let switch = state.steps.iter_mut().find(|step| step.id.0 == "switch").unwrap();
    let undo = Attempt {
        direction: Direction::Back,
        started_at: at(290),
        ended_at: Some(at(305)),
        ..switch.attempts[0].clone()
    };
    switch.attempts.push(undo);
    (switch.phase, switch.applied) = (Phase::Undone, Vec::new());
    assert_eq!(closing(&plan, &state, "rows", &all[..1]), None, "counted before it was closed");
    assert_eq!(closing(&plan, &state, "rows", &all[1..]), Some(650.0));
    assert_eq!(closing(&plan, &state, "requests", &all), None, "another metric");
    assert_eq!(closing(&plan, &state, "rows", &all[2..]), None, "an engine that came too late saw replication");
    let told = |state: &State, data: &[Datum]| written(&plan, state, |_| data).map(|told| (told.amount, told.as_of));
    assert_eq!(told(&state, &all[2..]), Some((None, None)), "and says nothing rather than too much");
    state.closing = Some(Counted { at: at(311), metric: "rows".into(), value: 650.0 });
    assert_eq!(closing(&plan, &state, "rows", &all[1..]), None, "it is known");
    for later in [&all[..], &all[2..], &[]] {
        assert_eq!(told(&state, later), Some((Some(150), Some(at(311)))));
    }
    state.closing = Some(Counted { at: at(100), metric: "rows".into(), value: 2.0 });
    assert_eq!(told(&state, &all), Some((Some(150), Some(at(310)))), "that was another closing");
}

#[test]
fn replication_is_no_loss_before_the_new_database_is_opened() {
    let (mut plan, mut state) = opened();
    state.opening = None;
    let rows = [Datum { at: at(100), value: 500.0 }, Datum { at: at(200), value: 620.0 }];
    assert!(written(&plan, &state, |_| &rows).is_some());
    let open = Kind::PostgresOpen { side: Side::New, method: WriteLock::Revoke, roles: vec!["shop".into()] };
    plan.steps.push(step("open", open, &[]));
    assert_eq!(written(&plan, &state, |_| &rows), None, "customers are led there, and their rows go to the old one");
}

#[test]
fn the_count_of_what_is_lost_begins_with_the_first_act_that_opens_the_new_side() {
    let mut table = Table::new(switch_only());
    let count = |value| Report::Opening { metric: "rows".into(), value };
    let begins = |whats: &[What]| matches!(whats, [What::OpeningCounted { .. }]);
    assert!(!begins(&table.report(count(1.0))), "nothing is open");
    table.start("switch", Direction::Forward, &stages());
    assert!(begins(&table.report(count(500.0))), "its intent is written, and it is the first");
    table.end("switch", ended());
    table.now += 60;
    table.reread("switch", 1, &stages()[1..]);
    assert!(!begins(&table.report(count(620.0))), "the first stage opened it");
    table.end("switch", ended());
    table.observe("switch", 1, Observation::Done).unwrap();
    table.ask(Request::BeginRollback { reason: "enough".into() }).unwrap();
    table.start("switch", Direction::Back, &[part(records(&[set(60, "new.")], &[set(60, "old.")]), 0)]);
    table.end("switch", ended());
    let ends = |whats: &[What]| matches!(whats, [What::ClosingCounted { .. }]);
    let closed = |value| Report::Closing { metric: "rows".into(), value };
    assert!(!ends(&table.report(closed(660.0))), "its undo is not seen to be done");
    table.observe("switch", 2, Observation::Done).unwrap();
    assert!(ends(&table.report(closed(660.0))), "it is closed");
    assert!(!ends(&table.report(closed(690.0))), "once");
    table.ask(Request::EndRollback).unwrap();
    table.ask(Request::EndRollback).unwrap_err();
    table.now += 100;
    table.start("switch", Direction::Forward, &stages());
    assert!(!ends(&table.report(closed(690.0))), "it is open again");
    assert!(!begins(&table.report(count(700.0))), "what was written before is lost by going back once more");
}

#[test]
fn an_opening_that_failed_is_not_counted_from() {
    let mut table = Table::new(switch_only());
    let count = |value| Report::Opening { metric: "rows".into(), value };
    let since = |table: &Table| table.state.opening.as_ref().map(|opening| opening.value);
    table.start("switch", Direction::Forward, &stages());
    table.report(count(500.0));
    assert_eq!(since(&table), Some(500.0));
    table.end("switch", Outcome::Failed { trouble: trouble() });
    assert_eq!(since(&table), None, "replication goes on, and loses nothing");
    table.now += 600;
    table.start("switch", Direction::Forward, &stages());
    table.report(count(900.0));
    assert_eq!(since(&table), Some(900.0), "this one opened it");
}

#[test]
fn what_was_compared_before_the_new_side_was_written_to_is_compared_again() {
    let mut plan = plan();
    let (method, roles) = (WriteLock::Revoke, vec!["shop".to_owned()]);
    let look = || Kind::PostgresCompare { tables: Vec::new(), sample_above: 1, ranges: 1 };
    plan.steps = vec![
        step("before", look(), &[]),
        step("freeze", Kind::PostgresFreeze { side: Side::Old, method, roles: roles.clone() }, &[]),
        step("compare", look(), &["freeze"]),
        step("open", Kind::PostgresOpen { side: Side::New, method, roles }, &["compare"]),
    ];
    let limits = |limit| Access::Limits { limits: [("shop".to_owned(), limit)].into() };
    let access = |side, from, to| {
        let (from, to) = (limits(from), limits(to));
        vec![part(Change::WriteAccess { side, database: "shop".into(), from, to }, 0)]
    };
    let mut table = Table::new(plan);
    let attempt = |table: &mut Table, step: &str, direction, parts: &[Part], number| {
        table.start(step, direction, parts);
        table.end(step, ended());
        table.observe(step, number, Observation::Done).unwrap();
    };
    let nothing = [part(Change::Nothing, 0)];
    attempt(&mut table, "before", Direction::Forward, &nothing, 1);
    attempt(&mut table, "freeze", Direction::Forward, &access(Side::Old, -1, 0), 1);
    attempt(&mut table, "compare", Direction::Forward, &nothing, 1);
    attempt(&mut table, "open", Direction::Forward, &access(Side::New, 0, -1), 1);
    table.ask(Request::BeginRollback { reason: "enough".into() }).unwrap();
    attempt(&mut table, "open", Direction::Back, &access(Side::New, -1, 0), 2);
    let phases = ["before", "freeze", "compare", "open"].map(|step| table.state.step(&step.into()).unwrap().phase);
    assert_eq!(phases, [Phase::Done, Phase::Done, Phase::Waiting, Phase::Undone]);
    table.ask(Request::EndRollback).unwrap();
    let seen = conditions(&table.plan, &table.state, &"open".into(), Direction::Forward, at(table.now));
    assert!(seen.iter().any(|condition| condition.id == ConditionId::Needs && !condition.holds), "{seen:?}");
}
