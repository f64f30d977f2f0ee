//! What must have lasted, and what must last: silence on the old side, credentials, certificates.

use std::time::Duration;

use super::{at, fresh, plan, step};
use crate::{
    plan::Kind,
    run::{
        Actor, ConditionId, Direction, Event, Expiring, HoldKind, Phase, Session, State, Trouble, TroubleKind, What,
        conditions, holds, lasting, needed, price,
    },
};

fn happen(state: &mut State, what: What) {
    let event = Event { seq: state.seq + 1, at: at(0), by: Actor::Engine, what };
    state.apply(&event).unwrap();
}

#[test]
fn the_old_side_is_scaled_down_only_after_its_silence() {
    let mut plan = plan();
    let formation = [("web".to_owned(), 0)].into();
    let kind = Kind::HerokuScale { formation, old_side_silent: Some(Duration::from_secs(300)) };
    plan.steps.push(step("retire", kind, &[]));
    let mut state = fresh(&plan);
    let silence = |state: &State| {
        let all = conditions(&plan, state, &"retire".into(), Direction::Forward, at(0));
        let found = all.into_iter().find(|condition| condition.id == ConditionId::Silence).unwrap();
        (found.holds, found.detail)
    };
    assert_eq!(silence(&state), (false, "requests at Heroku are not measured".into()), "no data is not silence");
    happen(&mut state, What::SilenceChanged { lasting: Some(Duration::ZERO) });
    assert_eq!(silence(&state), (false, "no request may have reached Heroku for 5:00, and some did".into()));
    happen(&mut state, What::SilenceChanged { lasting: Some(Duration::from_secs(300)) });
    assert_eq!(silence(&state), (true, "no request at Heroku for 5:00".into()));
    happen(&mut state, What::SilenceChanged { lasting: None });
    assert!(!silence(&state).0);
    assert!(ConditionId::Silence.overridable(), "a stray crawler need not keep the old side up for ever");
    let others = conditions(&plan, &state, &"scale".into(), Direction::Forward, at(0));
    assert!(others.iter().all(|condition| condition.id != ConditionId::Silence), "only where it is demanded");
}

#[test]
fn a_server_that_turns_many_checks_away_is_one_trouble_with_all_of_their_names() {
    let plan = plan();
    let mut state = fresh(&plan);
    let mut ill = |source: &str, kind: TroubleKind, next: i64| {
        let (call, reason) = (format!("GET https://{source}/"), "status 429".to_owned());
        let trouble = Some(Trouble { call, reason, kind, next_try: Some(at(next)) });
        happen(&mut state, What::SourceChanged { source: source.into(), trouble });
    };
    for (source, next) in [("web:home new", 40), ("web:cart new", 41), ("web:login new", 42), ("web:home live", 43)] {
        ill(source, TroubleKind::Throttled, next);
    }
    ill("web:health new", TroubleKind::Unexpected, 50);
    ill("heroku", TroubleKind::Throttled, 60);
    let told: Vec<_> = holds(&plan, &state, at(0)).into_iter().map(|hold| (hold.text, hold.source)).collect();
    let one = |source: &str| (format!("{source}: GET https://{source}/: status 429"), Some(source.to_owned()));
    let text = "web: 3 checks new: GET https://web:cart new/: status 429; and so are home, login".to_owned();
    assert_eq!(
        told,
        [one("heroku"), one("web:home live"), (text, Some("web:cart new".to_owned())), one("web:health new"),]
    );
}

#[test]
fn what_ends_before_the_window_and_the_way_back_is_shown_and_blocks_nothing() {
    let plan = plan();
    let mut state = fresh(&plan);
    state.session = Some(Session {
        id: "s".into(),
        plan: plan.name.clone(),
        environment: "sandbox".into(),
        plan_hash: String::new(),
        started_at: at(0),
        dwell: Duration::ZERO,
        patience: Duration::ZERO,
        engines: 1,
        engine: None,
    });
    let told = |state: &State| {
        let found = holds(&plan, state, at(0)).into_iter().filter(|hold| hold.kind == HoldKind::Expiry);
        found.map(|hold| (hold.blocking, hold.text)).collect::<Vec<_>>()
    };
    // The window is an hour, and going back from its end takes as long as the undos of all that can be undone.
    let back = needed(&plan, &state, at(0)).back.as_secs().cast_signed();
    assert!(back > 60, "{back}");
    let sees = |state: &mut State, of, until| happen(state, What::ExpirySeen { of, host: None, until });
    sees(&mut state, Expiring::Credentials, Some(at(3600 + back)));
    assert_eq!(told(&state), []);
    sees(&mut state, Expiring::Credentials, Some(at(3000 + back)));
    let text = "the AWS credentials end 10:00 before the window and the way back after it do";
    assert_eq!(told(&state), [(false, text.to_owned())]);
    for (host, until) in [("b.example.com", 90), ("a.example.com", 60), ("c.example.com", 9_000)] {
        let (of, host) = (Expiring::OldCertificate, Some(host.to_owned()));
        happen(&mut state, What::ExpirySeen { of, host, until: Some(at(until)) });
    }
    assert_eq!(told(&state).len(), 2, "one alarm for all certificates of a side");
    assert!(told(&state)[1].1.ends_with("(a.example.com)"), "the first: {:?}", told(&state));
    state.endings.clear();
    sees(&mut state, Expiring::Credentials, None);
    assert_eq!(told(&state), []);
}

#[test]
fn what_must_last_is_counted_from_the_end_of_the_window_and_not_from_now() {
    let mut plan = plan();
    let mut state = fresh(&plan);
    let planned = needed(&plan, &state, at(0));
    assert_eq!(planned.window_end, at(3600));
    let price_now = price(&plan, &state, None).total;
    assert_eq!(price_now, Duration::ZERO, "nothing was done yet, and still the way back counts");
    // Three undos of 100 s, of which the bake of the switch is none, and the TTL of what was switched.
    assert_eq!(planned.back, Duration::from_secs(100 + 100 + 40 + 60));
    state.step_mut(&"scale".into()).unwrap().phase = Phase::Skipped;
    let expected = plan.step(&"scale".into()).unwrap().expected;
    assert_eq!(needed(&plan, &state, at(0)).back, planned.back - expected, "what was skipped is not undone");
    state.rolled_back = true;
    assert_eq!(needed(&plan, &state, at(0)).until, at(3600), "nothing is left to go back from");
    state.rolled_back = false;
    plan.window = None;
    let all: Duration = plan.steps.iter().map(|step| step.expected).sum();
    assert_eq!(
        needed(&plan, &state, at(0)).window_end,
        at(all.as_secs().cast_signed()),
        "without a window: as expected"
    );
    let first = plan.steps.iter().position(|step| step.id.0 == "switch").unwrap();
    plan.steps[first].point_of_no_return = true;
    assert!(needed(&plan, &state, at(0)).back < planned.back, "nothing goes back from behind it");
}

#[test]
fn everything_that_must_last_is_listed_also_what_nobody_has_seen() {
    let mut plan = plan();
    plan.checks = crate::plan::load(
        include_str!("../../../config/acme-shop.toml"),
        "sample",
        "production",
        &std::collections::BTreeMap::new(),
    )
    .unwrap()
    .checks;
    let mut state = fresh(&plan);
    happen(
        &mut state,
        What::ExpirySeen { of: Expiring::NewCertificate, host: Some("api.example.com".into()), until: Some(at(9)) },
    );
    let told = lasting(&plan, &state);
    let told: Vec<_> = told.iter().map(|one| (one.of, one.host.as_deref(), one.seen, one.until)).collect();
    let (old, new) = (Expiring::OldCertificate, Expiring::NewCertificate);
    let (api, shop) = (Some("api.example.com"), Some("shop.example.com"));
    let wanted =
        [(old, api, false, None), (old, shop, false, None), (new, api, true, Some(at(9))), (new, shop, false, None)];
    assert_eq!(told[..4], wanted);
    assert_eq!(told[4], (Expiring::Credentials, None, false, None));
}
