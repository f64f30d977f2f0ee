use std::time::Duration;

use super::{at, decide::Table, plan};
use crate::{
    plan::{Bound, Consequence, Guardrail, Threshold},
    run::{ConditionId, Datum, Direction, Report, VerdictKind, conditions, judge},
};

const MINUTE: Duration = Duration::from_secs(60);

fn guardrail(bound: Bound, threshold: Threshold) -> Guardrail {
    Guardrail {
        id: "errors".into(),
        title: "5xx".into(),
        metric: "m".into(),
        bound,
        threshold,
        lasting: 3 * MINUTE,
        max_age: 2 * MINUTE,
        consequence: Consequence::Hold,
        after: None,
    }
}

/// One datum a minute from the start on.
fn minutes(values: &[f64]) -> Vec<Datum> {
    values.iter().zip(0..).map(|(value, minute)| Datum { at: at(minute * 60), value: *value }).collect()
}

fn verdict(values: &[f64], now: i64) -> VerdictKind {
    let guardrail = guardrail(Bound::Above, Threshold::Absolute(2.0));
    judge(&guardrail, &minutes(values), MINUTE, None, at(now)).kind
}

#[test]
fn a_breach_must_cover_the_whole_of_lasting() {
    use VerdictKind::{Breach, Holding};
    for (values, expected) in [
        (&[1.0, 3.0, 3.0, 3.0][..], Breach),
        (&[3.0, 3.0, 3.0, 1.0], Holding),
        (&[1.0, 1.0, 3.0, 3.0], Holding),
        (&[3.0, 3.0, 1.0, 3.0], Holding),
        (&[1.0, 1.0, 1.0, 3.0], Holding),
        (&[3.0, 3.0, 3.0, 3.0], Breach),
    ] {
        assert_eq!(verdict(values, 240), expected, "{values:?}");
    }
}

#[test]
fn the_threshold_itself_is_good_on_both_sides() {
    for (bound, worse) in [(Bound::Above, 2.000_001), (Bound::Below, 1.999_999)] {
        let guardrail = guardrail(bound, Threshold::Absolute(2.0));
        let kind = |value| judge(&guardrail, &minutes(&[value; 4]), MINUTE, None, at(240)).kind;
        assert_eq!(kind(2.0), VerdictKind::Holding, "{bound:?}");
        assert_eq!(kind(worse), VerdictKind::Breach, "{bound:?}");
    }
}

#[test]
fn a_value_that_is_no_number_is_not_holding() {
    assert_eq!(verdict(&[f64::NAN; 4], 240), VerdictKind::Blind);
}

#[test]
fn data_go_blind_when_they_are_older_than_allowed_counted_from_the_end_of_their_period() {
    // The last datum covers 180..240; it may be two minutes old.
    assert_eq!(verdict(&[1.0; 4], 360), VerdictKind::Holding);
    assert_eq!(verdict(&[1.0; 4], 361), VerdictKind::Blind);
    assert_eq!(verdict(&[3.0; 4], 361), VerdictKind::Blind, "an old breach tells nothing of now");
    assert_eq!(verdict(&[], 0), VerdictKind::Blind);
}

#[test]
fn a_clock_that_went_back_does_not_panic_and_does_not_blind() {
    assert_eq!(verdict(&[1.0; 4], -3600), VerdictKind::Holding);
}

#[test]
fn relative_thresholds_are_blind_without_a_baseline() {
    let guardrail = guardrail(Bound::Above, Threshold::Relative(1.5));
    let judged = |baseline| judge(&guardrail, &minutes(&[3.0; 4]), MINUTE, baseline, at(240));
    assert_eq!(judged(None).kind, VerdictKind::Blind);
    assert_eq!((judged(Some(2.0)).kind, judged(Some(2.0)).threshold), (VerdictKind::Holding, Some(3.0)));
    assert_eq!(judged(Some(1.9)).kind, VerdictKind::Breach);
}

#[test]
fn a_gap_is_not_read_as_good() {
    let guardrail = guardrail(Bound::Above, Threshold::Absolute(2.0));
    let mut data = minutes(&[3.0, 3.0, 3.0, 3.0]);
    data.remove(1);
    assert_eq!(judge(&guardrail, &data, MINUTE, None, at(240)).kind, VerdictKind::Breach);
}

#[test]
fn a_verdict_says_what_it_rests_on() {
    let guardrail = guardrail(Bound::Above, Threshold::Absolute(2.0));
    let verdict = judge(&guardrail, &minutes(&[1.0, 1.5]), MINUTE, None, at(150));
    assert_eq!((verdict.value, verdict.threshold, verdict.age), (Some(1.5), Some(2.0), Some(Duration::from_secs(30))));
}

#[test]
fn what_held_for_an_engine_that_is_gone_is_not_green_before_the_next_one_has_looked() {
    let mut plan = plan();
    plan.guardrails = vec![guardrail(Bound::Above, Threshold::Absolute(2.0))];
    let mut table = Table::new(plan);
    let saw = |verdict| Report::Verdict { guardrail: "errors".into(), verdict, value: None };
    let restarted = || Report::Started { pid: 2, host: "h".into(), version: "v".into() };
    let told = |table: &Table| {
        let all = conditions(&table.plan, &table.state, &"lower".into(), Direction::Forward, at(table.now));
        let of = all.into_iter().find(|condition| condition.id == ConditionId::Guardrails).unwrap();
        (of.holds, of.blind)
    };
    table.report(saw(VerdictKind::Holding));
    assert_eq!(told(&table), (true, false));
    table.report(restarted());
    assert_eq!(told(&table), (true, true));
    assert_eq!(table.report(saw(VerdictKind::Holding)).len(), 1, "that it holds is news");
    assert_eq!(told(&table), (true, false));
    table.report(saw(VerdictKind::Breach));
    table.report(restarted());
    assert!(!told(&table).0, "what is broken is so until somebody sees that it is not");
}
