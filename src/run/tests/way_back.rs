use super::{at, fresh, plan, price::done, price::lowered, price::switched, records, set};
use crate::{
    plan::Alias,
    run::{Change, Phase, Session, State, by_hand, rollback_script},
};

fn session(state: &mut State) {
    state.seq = 42;
    state.at = Some(at(600));
    state.session = Some(Session {
        id: "20260101-000000-abcd".into(),
        plan: "acme".into(),
        environment: "sandbox".into(),
        plan_hash: "hash".into(),
        started_at: at(0),
        dwell: std::time::Duration::ZERO,
        patience: std::time::Duration::ZERO,
        engines: 1,
        engine: None,
    });
}

#[test]
fn the_way_back_reads_from_the_last_change_to_the_first() {
    let mut plan = plan();
    plan.aws.profile = Some("acme production".into());
    plan.aws.account = Some("123456789012".into());
    plan.steps[0].title = "Lower it\nrm -rf /".into();
    let mut state = fresh(&plan);
    session(&mut state);
    done(&mut state, "lower", &[(lowered(), 0)], 20);
    let scaled = Change::Service { cluster: "c".into(), service: "worker".into(), from: 1, to: 2 };
    done(&mut state, "scale", &[(scaled, 0)], 20);
    done(&mut state, "switch", &switched(), 90);
    insta::assert_snapshot!(rollback_script(&plan, &state));
}

#[test]
fn what_is_in_doubt_may_be_refused_and_only_what_is_seen_to_be_done_is_undone() {
    let plan = plan();
    let mut state = fresh(&plan);
    session(&mut state);
    let command = Change::Command {
        argv: vec!["touch".into(), "/tmp/a b".into()],
        observe: Some(vec!["test".into(), "-e".into(), "/tmp/a b".into()]),
        undo: Some(vec!["rm".into(), "/tmp/a b".into()]),
        undoing: false,
    };
    done(&mut state, "scale", &[(command, 0)], 20);
    done(&mut state, "switch", &switched(), 90);
    for step in &mut state.steps[1..3] {
        step.phase = Phase::InDoubt;
        step.reason = Some("its answer\nwas lost".into());
    }
    insta::assert_snapshot!(rollback_script(&plan, &state));
}

#[test]
fn nothing_to_put_back_is_said_and_the_point_of_no_return_bars_the_way() {
    let plan = plan();
    let mut state = fresh(&plan);
    assert!(rollback_script(&plan, &state).ends_with("there is nothing to put back'\n"));
    done(&mut state, "farewell", &[], 1);
    assert!(rollback_script(&plan, &state).contains("exit 1\nfi"));
}

#[test]
fn an_alias_is_put_back_as_route_53_takes_it() {
    let alias = Alias { target: "alb.test.".into(), zone_id: "Z35".into(), evaluate_health: false };
    let moved = crate::plan::RecordSet { ttl: None, values: Vec::new(), alias: Some(alias), ..set(60, "x.") };
    let hand = by_hand(&records(&[set(60, "old.")], &[moved])).unwrap();
    assert!(
        hand.act.contains(r#""AliasTarget":{"DNSName":"alb.test.","EvaluateTargetHealth":false,"HostedZoneId":"Z35"}"#)
    );
    assert!(!hand.act.contains("TTL"), "{}", hand.act);
}
