use std::time::Duration;

use jiff::SignedDuration;

use super::{at, fresh, plan, records, set};
use crate::{
    plan::RestoreTarget,
    run::{
        Attempt, Change, Direction, Evidence, Part, Phase, RdsChange, Rehearsal, Session, State, clock_text, forecast,
        point_passed, price,
    },
};

/// Marks a step as done by one attempt that took some seconds, bakes included.
pub(super) fn done(state: &mut State, id: &str, changes: &[(Change, u64)], took: i64) {
    let step = state.steps.iter_mut().find(|step| step.id.0 == id).unwrap();
    step.phase = Phase::Done;
    step.applied = changes.iter().map(|(change, _)| change.clone()).filter(|change| !change.is_nothing()).collect();
    let part = |(change, bake): &(Change, u64)| Part { change: change.clone(), bake: Duration::from_secs(*bake) };
    step.attempts.push(Attempt {
        number: 1,
        direction: Direction::Forward,
        gate: 1,
        by: Vec::new(),
        parts: changes.iter().map(part).collect(),
        evidence: Evidence(String::new()),
        part: u32::try_from(changes.len().saturating_sub(1)).unwrap(),
        token: String::new(),
        in_flight: false,
        observed: true,
        baking_until: None,
        started_at: at(0),
        ended_at: Some(at(took)),
        idle: Duration::ZERO,
        outcome: None,
    });
}

pub(super) fn lowered() -> Change {
    records(&[set(1800, "old.")], &[set(60, "old.")])
}

pub(super) fn switched() -> Vec<(Change, u64)> {
    let half = [set(60, "old.").with_weight("old", 50), set(60, "new.").with_weight("new", 50)];
    vec![(records(&[set(60, "old.")], &half), 600), (records(&half, &[set(90, "new.")]), 0)]
}

#[test]
fn nothing_done_costs_nothing() {
    let plan = plan();
    let price = price(&plan, &fresh(&plan), Some(300));
    assert_eq!((price.undos.len(), price.total), (0, Duration::ZERO));
    assert_eq!(price.no_return.unwrap().0, "farewell");
}

#[test]
fn lowering_a_ttl_moves_nobody_so_going_back_waits_for_no_cache() {
    let plan = plan();
    let mut state = fresh(&plan);
    done(&mut state, "lower", &[(lowered(), 0)], 20);
    let price = price(&plan, &state, Some(300));
    assert_eq!((price.ttl, price.undo_time), (Duration::ZERO, Duration::from_secs(20)));
}

#[test]
fn a_switch_costs_its_undo_without_bakes_and_the_longest_ttl_seen() {
    let plan = plan();
    let mut state = fresh(&plan);
    done(&mut state, "lower", &[(lowered(), 0)], 20);
    done(&mut state, "switch", &switched(), 640);
    let told = price(&plan, &state, None);
    let undos: Vec<_> = told.undos.iter().map(|id| id.0.as_str()).collect();
    assert_eq!(undos, ["switch", "lower"]);
    // 640 s less the bake of 600 s, in two parts: 20 s each, and an undo is one; plus 20 s for the TTL.
    assert_eq!((told.undo_time, told.ttl), (Duration::from_secs(40), Duration::from_secs(90)));
    assert_eq!(told.total, told.undo_time + told.ttl);
    assert_eq!(price(&plan, &state, Some(600)).ttl, Duration::from_secs(600), "a resolver stretches it");
    assert_eq!(price(&plan, &state, Some(10)).ttl, Duration::from_secs(90), "others may have asked just now");
}

#[test]
fn a_restored_instance_is_deleted_sooner_than_it_was_made() {
    let plan = plan();
    let mut state = fresh(&plan);
    let target = RestoreTarget { instance: "copy".into(), ..RestoreTarget::default() };
    let made = RdsChange::Restored { snapshot: "nightly".into(), target, from: false, to: true };
    done(&mut state, "lower", &[(Change::Rds(made), 0)], 900);
    assert_eq!(price(&plan, &state, None).undo_time, Duration::from_secs(90));
}

#[test]
fn the_point_of_no_return_is_named_before_and_after() {
    let plan = plan();
    let mut state = fresh(&plan);
    assert_eq!(point_passed(&plan, &state), None);
    done(&mut state, "farewell", &[(Change::Nothing, 0)], 1);
    let price = price(&plan, &state, None);
    assert_eq!((price.passed.unwrap().0.as_str(), price.no_return), ("farewell", None));
}

#[test]
fn a_forecast_counts_what_is_left_and_what_going_back_would_take() {
    let plan = plan();
    let mut state = fresh(&plan);
    state.session = Some(Session {
        id: "s".into(),
        plan: "acme".into(),
        environment: "sandbox".into(),
        plan_hash: String::new(),
        started_at: at(0),
        dwell: Duration::ZERO,
        patience: Duration::ZERO,
        engines: 1,
        engine: None,
    });
    let told = |state: &State, now| forecast(&plan, state, &price(&plan, state, None), at(now));
    assert_eq!(told(&state, 10).finish, at(410), "four steps of 100 s");
    done(&mut state, "switch", &switched(), 640);
    let after = told(&state, 1000);
    assert_eq!((after.finish, after.window_end), (at(1300), Some(at(3600))));
    assert_eq!(after.latest_abort, Some(at(3600 - 20 - 90)));
    // A rehearsal tells how long steps take and how long their undos; the start must satisfy the plan as well.
    let mut known = state.clone();
    let seconds = Duration::from_secs;
    known.rehearsed = Some(Rehearsal {
        of: "r".into(),
        environment: "staging".into(),
        ended_at: at(0),
        forward: [("lower".into(), seconds(30)), ("scale".into(), seconds(40))].into(),
        back: [("switch".into(), seconds(50))].into(),
    });
    let told_by = told(&known, 1000);
    assert_eq!((told_by.planned, told_by.rehearsed), (seconds(300), Some(seconds(30 + 40 + 100))));
    assert_eq!((told_by.finish, told_by.latest_start), (at(1170), Some(at(3600 - 300))));
    assert_eq!(told_by.latest_abort, Some(at(3600 - 50 - 90)), "the undo took longer in the rehearsal");
    // One that runs longer than planned has nothing left, and does not count backwards.
    let scale = state.steps.iter_mut().find(|step| step.id.0 == "scale").unwrap();
    scale.phase = Phase::Running;
    done(&mut state, "lower", &[(lowered(), 0)], 20);
    let mut running = state.clone();
    let attempt = running.steps[0].attempts[0].clone();
    let scale = running.steps.iter_mut().find(|step| step.id.0 == "scale").unwrap();
    scale.attempts.push(Attempt { ended_at: None, started_at: at(500), ..attempt });
    assert_eq!(told(&running, 530).finish, at(530 + 70 + 100));
    assert_eq!(told(&running, 900).finish, at(900 + 100));
}

#[test]
fn clocks_read_as_people_read_them() {
    for (seconds, text) in
        [(-5, "0 s"), (0, "0 s"), (59, "59 s"), (60, "1:00"), (754, "12:34"), (3600, "1:00:00"), (90_061, "25:01:01")]
    {
        assert_eq!(clock_text(SignedDuration::from_secs(seconds)), text);
    }
}
