//! Links that break, and the autopilot on them.

use super::*;
use crate::session::message::ToCockpit;

fn link(stage: &Stage, autopilot: bool) -> Link {
    let socket = stage.dir.socket();
    Link::open(move |_| {
        let socket = socket.clone();
        async move { Client::connect(&socket, Seat::Driver, autopilot).await }
    })
}

async fn next(link: &mut Link) -> News {
    tokio::time::timeout(LIMIT, link.recv()).await.unwrap().unwrap()
}

async fn up(link: &mut Link) -> Follower {
    loop {
        match next(link).await {
            News::Up(snapshot) => return Follower::new(snapshot),
            News::Refused { reason } => panic!("{reason}"),
            _ => {}
        }
    }
}

const OPTIONS: DriveOptions = DriveOptions { then_roll_back: true, patience: Duration::from_secs(20) };

#[tokio::test]
async fn the_autopilot_drives_there_and_back() {
    let stage = Stage::new(EnvironmentKind::Sandbox);
    let engine = stage.start();
    drive(&mut link(&stage, true), OPTIONS).await.unwrap();
    let state = engine.state().await;
    assert!(state.rolled_back && state.steps.iter().all(|step| !step.undoable()));
    let intents = state.log.iter().filter_map(|event| match &event.what {
        What::Intended { step, direction, .. } => Some((step.0.as_str(), *direction)),
        _ => None,
    });
    use Direction::{Back, Forward};
    assert_eq!(
        intents.collect::<Vec<_>>(),
        [("call", Forward), ("freeze", Forward), ("scale", Forward), ("scale", Back), ("freeze", Back)]
    );
}

#[tokio::test]
async fn the_autopilot_goes_on_with_the_next_engine() {
    let stage = Stage::new(EnvironmentKind::Sandbox);
    let engine = stage.start();
    let mut link = link(&stage, true);
    let options = DriveOptions { then_roll_back: false, ..OPTIONS };
    let driving = tokio::spawn(async move { drive(&mut link, options).await });
    let frozen = |state: &State| state.step(&"freeze".into()).is_some_and(|step| step.phase == Phase::Done);
    reach(&engine, frozen).await;
    engine.crash();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let engine = stage.start();
    driving.await.unwrap().unwrap();
    let state = engine.state().await;
    assert!(state.complete() && state.session.unwrap().engines == 2);
}

#[tokio::test]
async fn the_autopilot_says_where_it_is_stuck_and_why() {
    let stage = Stage::new(EnvironmentKind::Sandbox);
    let _engine = stage.start();
    let (mut person, mut follower) = stage.join(Seat::Driver).await;
    ask(&mut person, &mut follower, Request::Hold { reason: "lunch".into() }).await.unwrap();
    drop(person);
    let options = DriveOptions { then_roll_back: false, patience: Duration::from_millis(1500) };
    let error = drive(&mut link(&stage, true), options).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, DriveError::Stuck { .. }), "{text}");
    assert!(text.contains("step `call`") && text.contains("lunch"), "{text}");
}

#[tokio::test]
async fn the_autopilot_leaves_the_seat_to_a_person_and_never_gives_up_a_gate_early() {
    let stage = Stage::new(EnvironmentKind::Sandbox);
    let engine = stage.start();
    let (mut person, mut follower) = stage.join(Seat::Driver).await;
    ask(&mut person, &mut follower, Request::Note { text: "mine".into() }).await.unwrap();
    let Snapshot { plan, state, you, .. } = follower.snapshot().clone();
    let (now, other) = (wall_now(), Operator { conn: you.conn + 1, ..you.clone() });
    assert_eq!(next_request(&plan, &state, &other, now), None);
    let look = Request::Look { step: "call".into(), direction: Direction::Forward };
    assert_eq!(next_request(&plan, &state, &you, now), Some(look.clone()));
    ask(&mut person, &mut follower, look).await.unwrap();
    let id = StepId::from("call");
    follow(&mut person, &mut follower, |state| state.evidence(&id, Direction::Forward).is_some()).await;
    // A destructive step's gate: the second key waits for the dwell.
    let mut state = engine.state().await;
    let evidence = state.evidence(&id, Direction::Forward).unwrap();
    let armed_at = now;
    state.gate = Some(Gate {
        typed_at: None,
        id: 1,
        step: "freeze".into(),
        direction: Direction::Forward,
        level: GateLevel::Type,
        evidence: evidence.clone(),
        preview: Preview::single(Change::Nothing),
        by: you.clone(),
        armed_at,
        typed: false,
        consented: false,
    });
    assert_eq!(next_request(&plan, &state, &you, now), None);
    let later = now + jiff::SignedDuration::from_secs(1);
    let typed = Some("maintenance on acme-shop".to_owned());
    assert_eq!(next_request(&plan, &state, &you, later), Some(Request::Confirm { gate: 1, seen: evidence, typed }));
    state.gate.as_mut().unwrap().consented = true;
    assert_eq!(next_request(&plan, &state, &you, later), None);
}

#[tokio::test]
async fn a_link_comes_back_and_keeps_no_request_for_later() {
    let stage = Stage::new(EnvironmentKind::Production);
    let engine = stage.start();
    let mut link = link(&stage, false);
    let before = up(&mut link).await;
    engine.crash();
    while !matches!(next(&mut link).await, News::Down { .. }) {}
    let asked = link.request(Request::Note { text: "into the void".into() }).unwrap();
    loop {
        if let News::Message(ToCockpit::Reply { id, result }) = next(&mut link).await {
            assert_eq!(id, asked);
            break assert!(result.is_err_and(|refusal| refusal.0.contains("no connection")));
        }
    }
    let engine = stage.start();
    let mut after = up(&mut link).await;
    assert!(after.snapshot().state.seq > before.snapshot().state.seq);
    let asked = link.request(Request::Note { text: "here again".into() }).unwrap();
    loop {
        let News::Message(message) = next(&mut link).await else { panic!("it broke again") };
        if let Taken::Reply { id, result } = after.take(message) {
            break assert_eq!((id, result), (asked, Ok(())));
        }
    }
    let state = engine.state().await;
    assert_eq!(after.snapshot().state, state);
    let notes = state.log.iter().filter(|event| matches!(event.what, What::Noted { .. }));
    assert_eq!(notes.count(), 1);
    drop(link);
    reach(&engine, |state| state.operators.is_empty()).await;
}

#[tokio::test]
async fn an_answer_that_is_lost_is_said_to_be_lost() {
    let stage = Stage::new(EnvironmentKind::Production);
    let engine = stage.start();
    let mut link = link(&stage, false);
    up(&mut link).await;
    // The engine takes the request and dies before it answers.
    let busy = engine.core.clone().lock_owned().await;
    let asked = link.request(Request::Note { text: "?".into() }).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    engine.crash();
    drop(busy);
    loop {
        if let News::Message(ToCockpit::Reply { id, result }) = next(&mut link).await {
            assert_eq!(id, asked);
            break assert!(result.is_err());
        }
    }
}

#[tokio::test]
async fn a_refused_link_ends() {
    let stage = Stage::new(EnvironmentKind::Production);
    let _engine = stage.start();
    let mut link = link(&stage, true);
    assert!(matches!(next(&mut link).await, News::Refused { .. }));
    assert!(tokio::time::timeout(LIMIT, link.recv()).await.unwrap().is_none());
}

#[tokio::test]
async fn who_has_taken_the_seat_has_it_at_the_next_engine_too() {
    let stage = Stage::new(EnvironmentKind::Sandbox);
    let engine = stage.start();
    let socket = stage.dir.socket();
    let mut link = Link::open(move |had| {
        let socket = socket.clone();
        async move { Client::connect(&socket, had.unwrap_or(Seat::Viewer), false).await }
    });
    let mine = |follower: &Follower| {
        let snapshot = follower.snapshot();
        snapshot.state.operators.iter().find(|(who, _)| who.conn == snapshot.you.conn).map(|(_, seat)| *seat)
    };
    assert_eq!(mine(&up(&mut link).await), Some(Seat::Viewer));
    assert!(link.sits(Seat::Driver));
    // The link takes what it is told in order: once this is answered, it knows.
    link.request(Request::Note { text: "here".into() }).unwrap();
    while !matches!(next(&mut link).await, News::Message(ToCockpit::Reply { .. })) {}
    engine.crash();
    let _engine = stage.start();
    assert_eq!(mine(&up(&mut link).await), Some(Seat::Driver));
}
