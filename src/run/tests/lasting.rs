//! What must have lasted, and what must last: silence on the old side, credentials, certificates.

use std::time::Duration;

use super::{at, fresh, plan, step};
use crate::{
    plan::Kind,
    run::{
        Actor, ConditionId, Direction, Event, Expiring, HoldKind, Session, State, Trouble, TroubleKind, What,
        conditions, holds,
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
    // The window is an hour, and nothing is to be undone yet.
    happen(&mut state, What::ExpirySeen { of: Expiring::Credentials, until: Some(at(3600)) });
    assert_eq!(told(&state), []);
    happen(&mut state, What::ExpirySeen { of: Expiring::Credentials, until: Some(at(3000)) });
    let text = "the AWS credentials end 10:00 before the window and the way back after it do";
    assert_eq!(told(&state), [(false, text.to_owned())]);
    happen(&mut state, What::ExpirySeen { of: Expiring::OldCertificate, until: Some(at(60)) });
    assert_eq!(told(&state).len(), 2);
    for of in [Expiring::Credentials, Expiring::OldCertificate] {
        happen(&mut state, What::ExpirySeen { of, until: None });
    }
    assert_eq!(told(&state), []);
}
