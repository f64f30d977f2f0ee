//! What people are told of: one cause is one alarm, with what mends it, the gravest first.

use super::{at, fresh, plan};
use crate::{
    plan::EnvironmentKind,
    run::{Actor, Event, HoldKind, State, Trouble, TroubleKind, VerdictKind, What, alarms},
};

fn happen(state: &mut State, what: What) {
    let event = Event { seq: state.seq + 1, at: at(0), by: Actor::Engine, what };
    state.apply(&event).unwrap();
}

fn ill(state: &mut State, source: &str, reason: &str) {
    let (call, kind) = (format!("{source}:Read"), TroubleKind::Credentials);
    let trouble = Some(Trouble { call, reason: reason.into(), kind, next_try: None });
    happen(state, What::SourceChanged { source: source.into(), trouble });
}

#[test]
fn keys_that_were_given_to_the_engine_are_given_anew_by_starting_it() {
    let mut plan = plan();
    plan.environment.kind = EnvironmentKind::Production;
    let mut state = fresh(&plan);
    let session = What::SessionStarted {
        session: "20260308-0200".into(),
        plan: plan.name.clone(),
        environment: "production".into(),
        plan_hash: String::new(),
        steps: plan.steps.iter().map(|step| step.id.clone()).collect(),
        dwell: std::time::Duration::ZERO,
        patience: std::time::Duration::ZERO,
    };
    state.seq = 0;
    happen(&mut state, session);
    happen(&mut state, What::EngineStarted { pid: 4711, host: "bastion".into(), version: "1".into() });
    ill(&mut state, "ecs", "ExpiredToken: The security token included in the request is expired");
    ill(&mut state, "route53", "ExpiredToken: The security token included in the request is expired");
    ill(&mut state, "heroku", "status 403");
    let told: Vec<_> = alarms(&plan, &state, at(0)).into_iter().map(|hold| (hold.kind, hold.text)).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!((told[0].0, told[1].0), (HoldKind::Credentials, HoldKind::Source));
    let text = &told[0].1;
    assert!(text.contains("`kill 4711; cutover join 20260308-0200 --role driver`"), "{text}");
    assert!(
        text.starts_with("ended (ExpiredToken): ") && text.ends_with("until then fail: ecs:Read, route53:Read"),
        "{text}"
    );
    plan.environment.kind = EnvironmentKind::Sandbox;
    assert!(alarms(&plan, &state, at(0))[0].text.contains("in a real night"), "a rehearsal has none to give");
    ill(&mut state, "ecs", "AccessDenied: no such permission");
    ill(&mut state, "route53", "AccessDenied: no such permission");
    assert!(alarms(&plan, &state, at(0)).iter().all(|hold| hold.kind == HoldKind::Source), "a permission is none");
}

#[test]
fn what_cannot_tell_comes_after_what_is_wrong() {
    let plan = plan();
    let mut state = fresh(&plan);
    for guardrail in &plan.guardrails {
        let (guardrail, verdict) = (guardrail.id.clone(), VerdictKind::Blind);
        happen(&mut state, What::VerdictChanged { guardrail, verdict, value: None });
    }
    ill(&mut state, "heroku", "status 503");
    happen(&mut state, What::HoldRaised { reason: "wait".into() });
    let kinds: Vec<_> = alarms(&plan, &state, at(0)).into_iter().map(|hold| hold.kind).collect();
    let blind = (!plan.guardrails.is_empty()).then_some(HoldKind::Blind);
    assert_eq!(kinds, [HoldKind::Manual, HoldKind::Source].into_iter().chain(blind).collect::<Vec<_>>());
}
