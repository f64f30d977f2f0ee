//! What people see of each other: attached, waiting for one another, gone; and an undo that is left to their hands.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::screens::{armed, snapshot};
use crate::{
    clock::monotonic,
    plan::{GateLevel, StepId},
    run::{
        Actor, Change, Claim, ClaimedBy, Direction, Operator, Origin, Outcome, Preview, Request, Seat, Trouble,
        TroubleKind, What,
    },
    tui::{
        fixture::Fixture,
        gate::Stroke,
        ui::{Intent, Overlay, Ui},
    },
};

fn follow(fixture: &mut Fixture) {
    let snapshot = &fixture.snapshot;
    fixture.ui.gate.follow(&snapshot.plan, &snapshot.state, &snapshot.you, Duration::ZERO);
}

fn bob() -> Operator {
    let origin = Origin {
        claim: Some(Claim { name: "robert".into(), by: ClaimedBy::Key }),
        address: Some("192.0.2.7".into()),
        tty: Some("pts/3".into()),
        ..Origin::default()
    };
    Operator { origin, ..Operator::new(2, "ops (claims robert)", 1001) }
}

/// A two-person gate that ann has typed; bob sits beside her as confirmer, dan looks.
fn typed() -> Fixture {
    let mut fixture = armed("production", "switch-shop");
    fixture.apply(Actor::Operator(bob()), What::Attached { seat: Seat::Confirmer });
    fixture.apply(Actor::Operator(Operator::new(3, "dan", 1002)), What::Attached { seat: Seat::Viewer });
    fixture.pass(9);
    fixture.person(What::Typed);
    fixture.pass(12);
    let looking = &mut fixture.snapshot.telemetry.looking;
    looking.extend([(1, "switch-shop".into()), (2, "switch-shop".into()), (3, "watch".into())]);
    fixture
}

#[test]
fn a_two_person_gate_says_what_is_awaited_from_whom_and_both_read_the_same_words() {
    let mut fixture = typed();
    follow(&mut fixture);
    snapshot("two_waits", &fixture);
    fixture.snapshot.you = bob();
    follow(&mut fixture);
    snapshot("two_confirm", &fixture);
}

#[test]
fn whoever_typed_a_gate_may_withdraw_it_and_who_only_looks_may_not() {
    let mut fixture = typed();
    follow(&mut fixture);
    let key = KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE);
    let stroke = Stroke { key, at: monotonic(), alone: true };
    let sent = fixture.ui.stroke(Some(&fixture.snapshot), &stroke);
    assert_eq!(sent, [Intent::Send(Request::Disarm)]);
    fixture.snapshot.you = Operator::new(3, "dan", 1002);
    let mut theirs = Ui::new();
    assert_eq!(theirs.stroke(Some(&fixture.snapshot), &stroke), []);
}

#[test]
fn everybody_sees_who_is_there_and_a_driver_who_is_gone() {
    let mut fixture = typed();
    follow(&mut fixture);
    fixture.ui.overlay = Some(Overlay::People);
    snapshot("people", &fixture);
    fixture.person(What::Disarmed { reason: "ann went away".into() });
    fixture.person(What::Detached);
    fixture.pass(30);
    fixture.snapshot.you = bob();
    follow(&mut fixture);
    snapshot("people_gone", &fixture);
}

#[test]
fn an_undo_that_failed_says_how_to_finish_it_by_hand() {
    let mut fixture = Fixture::new("sandbox");
    fixture.to("stop-old-jobs");
    fixture.person(What::RollbackStarted { reason: "too slow".into() });
    let (id, direction) = (StepId::from("freeze"), Direction::Back);
    let undo = Change::reversal_of(&fixture.snapshot.state.step(&id).unwrap().applied).unwrap();
    let preview = Preview::single(undo.clone());
    fixture.engine(What::Previewed { step: id.clone(), direction, preview });
    let evidence = fixture.snapshot.state.evidence(&id, direction).unwrap();
    let gate = fixture.snapshot.state.gates + 1;
    fixture.person(What::Armed { step: id.clone(), direction, gate, level: GateLevel::Type, evidence });
    fixture.person(What::Consented { second: None });
    let (token, bake) = ("t".into(), Duration::ZERO);
    let intent = What::Intended { step: id, direction, attempt: 2, part: 0, parts: 1, bake, token, change: undo };
    fixture.engine(intent);
    fixture.pass(3);
    let trouble = Trouble {
        call: "heroku:PATCH /apps/acme-shop".into(),
        reason: "403 forbidden".into(),
        kind: TroubleKind::Refused,
        next_try: None,
    };
    fixture.end("freeze", Outcome::Failed { trouble });
    snapshot("undo_failed", &fixture);
}
