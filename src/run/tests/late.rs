//! What was seen not to have taken effect, and did: an answer that was lost, and a request that was not.

use super::{
    at,
    decide::{Table, lower, part, trouble},
    plan, records, set,
};
use crate::{
    plan::Plan,
    run::{Change, ConditionId, Direction, Observation, Outcome, Phase, Report, Request, What, conditions, price},
};

fn nothing() -> Observation {
    Observation::NotDone { seen: "TTL 1800 s".into() }
}

/// The lowering was sent, its answer was lost, and the world shows nothing of it.
fn missed() -> Table {
    let mut table = Table::new(plan());
    table.start("lower", Direction::Forward, &lower());
    table.end("lower", Outcome::InDoubt { trouble: trouble() });
    table.observe("lower", 1, nothing()).unwrap();
    assert_eq!((table.phase("lower"), price(&table.plan, &table.state, None).undos.len()), (Phase::Failed, 0));
    table
}

fn drains(plan: &Plan, table: &Table, seconds: i64) -> bool {
    let all = conditions(plan, &table.state, &"switch".into(), Direction::Forward, at(seconds));
    all.into_iter().any(|condition| condition.id == ConditionId::Drain && !condition.holds)
}

#[test]
fn a_gate_closes_behind_an_engine_that_stood_still() {
    let stood = || Report::Stood(std::time::Duration::from_secs(9));
    let mut table = Table::new(plan());
    assert_eq!(table.report(stood()), []);
    for consented in [false, true] {
        table.arm("lower", Direction::Forward, &lower());
        if consented {
            table.confirm(None).unwrap();
        }
        let events = table.report(stood());
        let [What::Disarmed { reason }] = &events[..] else { panic!("{events:?}") };
        assert_eq!(reason, "the engine stood still for 9 s");
        assert_eq!(table.phase("lower"), Phase::Ready, "and the look of the consent finds no gate");
    }
}

#[test]
fn what_arrives_late_stands_drains_and_can_be_put_back() {
    let mut table = missed();
    assert_eq!(table.observe("lower", 1, nothing()).unwrap(), [], "it is looked at again and again, in silence");
    table.now = 100;
    assert_eq!(table.observe("lower", 1, Observation::Done).unwrap(), [What::Arrived { step: "lower".into() }]);
    assert!(table.state.step(&"lower".into()).unwrap().reason.as_ref().unwrap().contains("after all"));
    assert_eq!(price(&table.plan, &table.state, None).undos, ["lower".into()]);
    let plan = table.plan.clone();
    assert!(drains(&plan, &table, 1_800) && !drains(&plan, &table, 1_901), "from when it was seen");
    assert!(table.ask(Request::Skip { step: "lower".into(), reason: "as if".into() }).is_err(), "it stands");
    assert!(table.observe("lower", 1, Observation::Done).is_err(), "once");
    // Whoever goes forward again finds it so, and still goes back to before all of it.
    let so = part(records(&[set(60, "old.")], &[set(60, "old.")]), 0);
    table.start("lower", Direction::Forward, &[so]);
    back_to_before(&table);
}

#[test]
fn what_arrives_before_anybody_has_seen_it_is_found_by_the_next_attempt() {
    let mut table = missed();
    table.start("lower", Direction::Forward, &[part(records(&[set(60, "old.")], &[set(60, "old.")]), 0)]);
    back_to_before(&table);
    // As if it had not arrived: the same once more is one change.
    let mut table = missed();
    table.start("lower", Direction::Forward, &lower());
    assert_eq!(table.state.step(&"lower".into()).unwrap().applied, [lower()[0].change.clone()]);
}

fn back_to_before(table: &Table) {
    let applied = &table.state.step(&"lower".into()).unwrap().applied;
    assert_eq!(Change::reversal_of(applied), Some(records(&[set(60, "old.")], &[set(1800, "old.")])));
}

#[test]
fn a_ttl_that_somebody_else_has_lowered_drains_as_the_plan_says() {
    let mut table = Table::new(plan());
    let so = part(records(&[set(60, "old.")], &[set(60, "old.")]), 0);
    table.start("lower", Direction::Forward, std::slice::from_ref(&so));
    let begun = table.now;
    table.end("lower", Outcome::Done { in_sync: None, summary: "it was so already".into() });
    let plan = table.plan.clone();
    assert!(drains(&plan, &table, begun + 1_799) && !drains(&plan, &table, begun + 1_801));
}

#[test]
fn a_ttl_that_was_raised_again_and_lowered_by_somebody_else_drains_anew() {
    let so = part(records(&[set(60, "old.")], &[set(60, "old.")]), 0);
    let ended = || Outcome::Done { in_sync: None, summary: "ok".into() };
    let mut table = Table::new(plan());
    table.start("lower", Direction::Forward, &lower());
    table.end("lower", ended());
    table.observe("lower", 1, Observation::Done).unwrap();
    table.ask(Request::BeginRollback { reason: "why".into() }).unwrap();
    table.start("lower", Direction::Back, &[part(lower()[0].change.reversed().unwrap(), 0)]);
    table.end("lower", ended());
    table.observe("lower", 2, Observation::Done).unwrap();
    table.ask(Request::EndRollback).unwrap();
    table.now = 5_000;
    table.start("lower", Direction::Forward, std::slice::from_ref(&so));
    let begun = table.now;
    table.end("lower", ended());
    let plan = table.plan.clone();
    assert!(drains(&plan, &table, begun + 1_799) && !drains(&plan, &table, begun + 1_801));
}

#[test]
fn what_may_still_arrive_keeps_its_token() {
    let mut table = missed();
    let tokens = |table: &Table| table.state.step(&"lower".into()).unwrap().missed_tokens();
    assert_eq!(tokens(&table), Vec::<String>::new());
    table.start("lower", Direction::Forward, &lower());
    assert_eq!(tokens(&table), ["s/lower/forward/1.0"]);
    table.end("lower", Outcome::InDoubt { trouble: trouble() });
    table.observe("lower", 2, nothing()).unwrap();
    table.start("lower", Direction::Forward, &lower());
    assert_eq!(tokens(&table), ["s/lower/forward/1.0", "s/lower/forward/2.0"]);
    table.end("lower", Outcome::Failed { trouble: trouble() });
    table.start("lower", Direction::Forward, &lower());
    assert_eq!(tokens(&table), Vec::<String>::new(), "the last one was refused: nothing of it arrives");
}
