//! Two hundred sessions of five hundred random keys: letters, Enter, arrows, pastes, bursts and pauses. None acts.

use std::{thread, time::Duration};

use cutover::{
    journal::Reader,
    run::{Phase, What},
};

use super::{
    hands::drive,
    home::Home,
    kills::Dice,
    terminal::{Terminal, key},
};

const SESSIONS: usize = 100;
const KEYS: usize = 500;
/// A step must have been on the screen for so long before Enter arms its gate.
const LOOK: Duration = Duration::from_millis(320);

#[test]
fn random_keys_at_a_gate_that_wants_a_key_cause_no_act() {
    batter("lower-ttl", 1);
}

#[test]
fn random_keys_at_a_gate_that_wants_a_name_cause_no_act() {
    batter("freeze", 2);
}

/// Drives to a step that is ready to be armed, and then leaves the keyboard to chance.
fn batter(step: &str, seed: u64) {
    let home = Home::new();
    let mut screen = home.rehearse(&["--speed", "120"], (120, 40));
    drive(&home, &mut screen, step, |status| {
        let state = &status.state;
        state.phase(&status.plan, &step.into()) == Phase::Ready && state.gate.is_none()
    });
    let ledger = home.ledger();
    let (intents, armed) = (count(&home, is_intent), count(&home, is_armed));
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ seed);
    for session in 0..SESSIONS {
        for _ in 0..KEYS {
            if screen.ended() {
                screen = home.open(&["join", "--role", "driver"], (120, 40));
                screen.wait_for("Steps");
            }
            stroke(&mut screen, &mut dice);
        }
        assert_eq!(count(&home, is_intent), intents, "session {session} acted:\n{}", screen.text());
    }
    assert_eq!(home.ledger(), ledger, "something happened in the world");
    assert!(!home.status().state.ended, "random keys ended the session");
    let armed = count(&home, is_armed) - armed;
    eprintln!("{} sessions of {KEYS} keys at `{step}`: armed {armed} times, never passed", SESSIONS);
    // How often chance arms a gate depends on the machine's pace, so it is told and not asserted.
    home.verify();
}

fn is_intent(what: &What) -> bool {
    matches!(what, What::Intended { .. })
}

fn is_armed(what: &What) -> bool {
    matches!(what, What::Armed { .. })
}

fn count(home: &Home, which: impl Fn(&What) -> bool) -> usize {
    let events = Reader::open(home.session().journal()).unwrap();
    events.filter(|event| which(&event.as_ref().unwrap().what)).count()
}

/// One key, or what comes as one, and mostly no pause. The pauses are shorter than a gate wants to be looked at.
fn stroke(screen: &mut Terminal, dice: &mut Dice) {
    const NAMED: [&str; 12] =
        ["\r", "\r", "\r", "\x1b", "\t", "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[5~", "\x1b[6~", "\x7f"];
    let text = match dice.below(100) {
        0..=54 => char::from(b' ' + u8::try_from(dice.below(95)).unwrap()).to_string(),
        55..=64 => key::CONSENT.to_owned(),
        65..=67 => "\x1b[200~switch shop.example.test\re\x1b[201~".to_owned(),
        68..=69 => "finish acme-shop\r".to_owned(),
        _ => NAMED[usize::try_from(dice.below(12)).unwrap()].to_owned(),
    };
    screen.send(&text);
    if dice.below(300) == 0 {
        // What a person does who means it: close what lies over the step, look, and press Enter alone. Where Enter goes
        // is still a matter of chance, as is what follows.
        [key::ESC, key::ESC, "1", "f"].iter().for_each(|key| screen.press(key));
        thread::sleep(LOOK);
        screen.press(key::ENTER);
    }
    let pause = match dice.below(1000) {
        0 => 350,
        1..=20 => 40,
        21..=180 => 1,
        _ => 0,
    };
    if pause > 0 {
        thread::sleep(Duration::from_millis(pause));
    }
}
