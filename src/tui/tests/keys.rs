//! Keyboards against the real `decide`: what opens a gate, and what never does.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use jiff::SignedDuration;

use super::desk::Desk;
use crate::{
    run::{Actor, Phase, Request, What},
    tui::{
        fixture::Fixture,
        form::{About, Form},
        gate::Stroke,
        keymap::CONSENT,
        theme::{Depth, Theme},
        ui::{Intent, Overlay, Painted},
    },
};

#[test]
fn a_person_who_looks_and_presses_its_key_passes_a_confirm_gate() {
    let mut desk = Desk::new("unfreeze");
    desk.arm();
    desk.rest(900);
    desk.press(KeyCode::Char(CONSENT));
    assert!(!desk.passed(), "nothing goes before it is sure that nothing follows");
    desk.rest(60);
    assert!(desk.passed());
    desk.reread();
    assert!(desk.snapshot().state.steps.iter().any(|step| step.phase.in_flight()));
}

#[test]
fn a_person_who_types_the_name_passes_a_type_gate() {
    let mut desk = Desk::new("switch-shop");
    desk.arm();
    desk.rest(900);
    desk.write("switch shop.example.tesx", 90);
    desk.press(KeyCode::Backspace);
    desk.rest(80);
    desk.write("t", 80);
    desk.press(KeyCode::Enter);
    desk.rest(60);
    assert!(desk.passed(), "{}", desk.slip());
    assert!(desk.snapshot().state.gate.as_ref().is_some_and(|gate| gate.consented));
}

#[test]
fn a_step_that_only_reads_starts_with_enter_and_keys_go_on_as_usual() {
    let mut desk = Desk::new("watch");
    desk.press(KeyCode::Enter);
    desk.rest(60);
    desk.reread();
    assert!(desk.snapshot().state.steps.iter().any(|step| step.phase == Phase::Running));
    desk.press(KeyCode::Char('?'));
    assert!(matches!(desk.fixture.ui.overlay, Some(Overlay::Help(_))));
}

#[test]
fn a_key_before_the_change_could_be_read_disarms() {
    let mut desk = Desk::new("unfreeze");
    desk.arm();
    desk.rest(300);
    desk.press(KeyCode::Char(CONSENT));
    desk.rest(2_000);
    assert!(!desk.armed() && !desk.passed());
    assert!(desk.slip().contains("before the change could be read"), "{}", desk.slip());
}

#[test]
fn a_key_between_asking_and_opening_disarms() {
    let mut desk = Desk::new("unfreeze");
    desk.press(KeyCode::Enter);
    // The engine is slow: the key comes while nothing is known yet.
    let request = loop {
        desk.at += Duration::from_millis(5);
        if let Some(Intent::Send(request)) = desk.fixture.ui.release(desk.at).pop() {
            break request;
        }
    };
    desk.press(KeyCode::Char(CONSENT));
    desk.ask(request);
    desk.rest(2_000);
    assert!(!desk.armed() && !desk.passed());
    assert!(desk.slip().contains("before the gate was on the screen"), "{}", desk.slip());
}

#[test]
fn the_wrong_key_the_wrong_name_and_escape_disarm() {
    let mut desk = Desk::new("unfreeze");
    for code in [KeyCode::Char('n'), KeyCode::Enter, KeyCode::Esc, KeyCode::Char('Y')] {
        desk.arm();
        desk.rest(1_000);
        desk.press(code);
        desk.rest(1_000);
        assert!(!desk.armed() && !desk.passed(), "{code:?}");
    }
    let mut desk = Desk::new("switch-shop");
    desk.arm();
    desk.rest(1_000);
    desk.write("switch api.example.test", 70);
    desk.press(KeyCode::Enter);
    desk.rest(1_000);
    assert!(!desk.armed() && !desk.passed());
    assert_eq!(desk.slip(), "typed `switch api.example.test`, wanted `switch shop.example.test`");
}

#[test]
fn the_rest_of_a_name_is_no_command_when_the_world_has_closed_the_gate() {
    let mut desk = Desk::new("switch-shop");
    desk.arm();
    desk.rest(1_000);
    desk.write("switch shop.ex", 90);
    desk.apply(&Actor::Engine, vec![What::Disarmed { reason: "web on the old side is now off".into() }]);
    let intents = desk.fixture.ui.follow(&desk.fixture.snapshot, desk.at);
    desk.act(intents);
    let sent = desk.sent.len();
    // In here are the keys that hold, go past a condition, and would show the people.
    desk.write("ample.testhoRw", 90);
    desk.press(KeyCode::Enter);
    desk.rest(300);
    assert!(desk.fixture.ui.overlay.is_none() && desk.sent.len() == sent, "a letter of the name was a command");
    desk.rest(1_000);
    desk.press(KeyCode::Char('h'));
    assert!(matches!(desk.fixture.ui.overlay, Some(Overlay::Form(_))), "after a pause keys are keys again");
}

#[test]
fn after_a_wrong_key_what_is_typed_on_is_no_command_either() {
    let mut desk = Desk::new("unfreeze");
    desk.arm();
    desk.rest(1_000);
    let sent = desk.sent.len();
    desk.write("maintenance off acme-shop", 120);
    desk.press(KeyCode::Enter);
    desk.rest(300);
    assert!(!desk.armed() && desk.fixture.ui.overlay.is_none(), "a letter of the name was a command");
    assert!(desk.sent[sent..].iter().all(|request| matches!(request, Request::Disarm)), "{:?}", &desk.sent[sent..]);
    // Esc is never part of a name: keys are keys again at once.
    desk.press(KeyCode::Esc);
    desk.rest(60);
    desk.press(KeyCode::Char('h'));
    assert!(matches!(desk.fixture.ui.overlay, Some(Overlay::Form(_))));
}

#[test]
fn a_slow_typist_is_waited_for_and_told_how_many_keys_did_nothing() {
    let mut desk = Desk::new("switch-shop");
    desk.arm();
    desk.rest(1_000);
    desk.write("switch shop.ex", 1_200);
    desk.apply(&Actor::Engine, vec![What::Disarmed { reason: "web on the old side is now off".into() }]);
    let intents = desk.fixture.ui.follow(&desk.fixture.snapshot, desk.at);
    desk.act(intents);
    let sent = desk.sent.len();
    desk.write("Rhq", 1_200);
    assert!(desk.fixture.ui.overlay.is_none() && desk.sent.len() == sent, "a letter of the name was a command");
    for size in [(160, 48), (120, 40), (80, 24)] {
        let screen = desk.fixture.text(size);
        assert!(screen.contains("3 keys ignored: the gate has closed"), "{screen}");
        assert!(screen.contains("web on the old side is now off"), "{screen}");
    }
    desk.rest(900);
    desk.press(KeyCode::Char('h'));
    assert!(matches!(desk.fixture.ui.overlay, Some(Overlay::Form(_))), "two seconds are a pause");
}

#[test]
fn what_is_pasted_without_brackets_opens_sends_and_leaves_nothing() {
    for text in ["quit", "hold", "R", "notes lTuQ?", "Rollback"] {
        let mut desk = Desk::new("unfreeze");
        desk.fixture.ui.range = 5;
        let sent = desk.sent.len();
        for (index, c) in text.chars().enumerate() {
            let key = KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
            // All of one read, but the first letter may have come in a read of its own.
            let alone = index == 0 && c == 'q';
            desk.stroke(&Stroke { key, at: desk.at, alone });
        }
        desk.rest(1_000);
        assert!(desk.fixture.ui.overlay.is_none() && desk.sent.len() == sent, "{text}");
        assert_eq!(desk.fixture.ui.range, 5, "{text}: the screen was left");
        assert!(desk.fixture.text((80, 24)).contains("as if pasted: nothing was opened"), "{text}");
    }
    let mut desk = Desk::new("unfreeze");
    desk.fixture.ui.range = 5;
    desk.press(KeyCode::Char('q'));
    desk.rest(60);
    assert_ne!(desk.fixture.ui.range, 5, "q alone leaves");
}

#[test]
fn a_gate_that_is_not_on_the_screen_any_more_opens_for_no_key() {
    let mut desk = Desk::new("unfreeze");
    desk.arm();
    desk.rest(1_000);
    // The terminal has become too small: nothing but a sentence is on it.
    desk.fixture.ui.painted(Painted::default(), desk.at);
    desk.press(KeyCode::Char(CONSENT));
    desk.rest(60);
    assert!(!desk.passed() && !desk.armed(), "a key opened what nobody could see");
}

#[test]
fn pasted_and_machine_typed_text_disarms() {
    let mut desk = Desk::new("switch-shop");
    desk.arm();
    desk.rest(1_000);
    desk.paste("switch shop.example.test\r");
    desk.rest(100);
    assert!(!desk.armed() && !desk.passed());
    desk.rest(1_000);
    desk.arm();
    desk.rest(1_000);
    desk.write("switch shop.example.test", 4);
    desk.press(KeyCode::Enter);
    desk.rest(1_000);
    assert!(!desk.armed() && !desk.passed());
}

#[test]
fn the_first_key_of_a_burst_does_not_count_either() {
    let mut desk = Desk::new("unfreeze");
    desk.arm();
    desk.rest(1_000);
    desk.press(KeyCode::Char(CONSENT));
    desk.rest(3);
    desk.press(KeyCode::Char('e'));
    desk.rest(1_000);
    assert!(!desk.armed() && !desk.passed());
    // And so for the key that arms.
    let before = desk.sent.len();
    desk.press(KeyCode::Enter);
    desk.rest(3);
    desk.press(KeyCode::Char('x'));
    desk.rest(1_000);
    assert!(!desk.sent[before..].iter().any(|request| matches!(request, Request::Arm { .. })));
}

#[test]
fn a_repeated_key_counts_for_nothing() {
    let mut desk = Desk::new("unfreeze");
    desk.arm();
    desk.rest(1_000);
    let key = KeyEvent::new_with_kind(KeyCode::Char(CONSENT), KeyModifiers::NONE, KeyEventKind::Repeat);
    desk.stroke(&Stroke { key, at: desk.at, alone: true });
    desk.rest(1_000);
    assert!(desk.armed() && !desk.passed());
}

#[test]
fn enter_right_after_the_screen_changed_arms_nothing() {
    let mut desk = Desk::new("unfreeze");
    desk.press(KeyCode::Char('['));
    desk.rest(60);
    desk.press(KeyCode::Char(']'));
    desk.rest(100);
    desk.press(KeyCode::Enter);
    desk.rest(200);
    assert!(!desk.armed());
    desk.rest(500);
    desk.arm();
}

#[test]
fn rolling_back_wants_a_second_key_that_is_not_hurried() {
    let mut desk = Desk::new("unfreeze");
    let begun = |desk: &Desk| desk.snapshot().state.rollback.is_some();
    desk.press(KeyCode::Char('R'));
    desk.rest(200);
    desk.press(KeyCode::Char(CONSENT));
    desk.rest(1_000);
    assert!(!begun(&desk));
    desk.press(KeyCode::Char('R'));
    desk.rest(1_000);
    desk.press(KeyCode::Char('R'));
    desk.rest(1_000);
    assert!(!begun(&desk), "the same key twice is no decision");
    desk.press(KeyCode::Char('R'));
    desk.rest(1_000);
    desk.press(KeyCode::Char(CONSENT));
    desk.rest(100);
    assert!(begun(&desk));
}

#[test]
fn a_form_takes_no_pasted_word_and_no_pasted_enter() {
    let mut desk = Desk::new("unfreeze");
    desk.press(KeyCode::Char('s'));
    desk.rest(50);
    desk.paste("unfreeze");
    desk.press(KeyCode::Enter);
    desk.rest(50);
    assert!(matches!(&desk.fixture.ui.overlay, Some(Overlay::Form(form)) if form.text(0).is_empty()));
    desk.write("skip unfreeze", 60);
    desk.press(KeyCode::Enter);
    desk.rest(60);
    desk.write("because", 60);
    desk.press(KeyCode::Enter);
    desk.rest(60);
    assert!(desk.sent.iter().any(|request| matches!(request, Request::Skip { reason, .. } if reason == "because")));
}

#[test]
fn what_is_under_a_form_does_not_count_as_seen() {
    let mut desk = Desk::new("switch-shop");
    let theme = Theme::new(Depth::Mono, false);
    assert!(desk.fixture.draw(theme, (120, 40)).1.step.is_some());
    desk.fixture.ui.overlay = Some(Overlay::Form(Form::new(About::Note, "")));
    assert_eq!(desk.fixture.draw(theme, (120, 40)).1.step, None);
}

/// xorshift64*: the same keys every time.
struct Dice(u64);

impl Dice {
    const fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % sides
    }
}

fn random_press(desk: &mut Desk, dice: &mut Dice) {
    let arrows = [KeyCode::Up, KeyCode::Down, KeyCode::Left, KeyCode::Right];
    let pick = |dice: &mut Dice| match dice.roll(20) {
        0..6 => KeyCode::Enter,
        6..9 => KeyCode::Char(CONSENT),
        9..12 => arrows[usize::try_from(dice.roll(4)).unwrap()],
        12 => KeyCode::Tab,
        13 => KeyCode::Esc,
        14 => KeyCode::Char(' '),
        _ => KeyCode::Char(char::from(b'!' + u8::try_from(dice.roll(94)).unwrap())),
    };
    match dice.roll(12) {
        0 => desk.paste(["e", "\r", "shop.example.test\r", "unfreeze\ne\n"][usize::try_from(dice.roll(4)).unwrap()]),
        1 => {
            for _ in 0..=dice.roll(6) {
                let key = KeyEvent::new(pick(dice), KeyModifiers::NONE);
                desk.stroke(&Stroke { key, at: desk.at, alone: false });
            }
        }
        _ => {
            let code = pick(dice);
            desk.press(code);
        }
    }
}

#[test]
fn two_hundred_random_sessions_pass_no_gate() {
    for session in 0..200u64 {
        let mut desk = Desk::new(if session % 2 == 0 { "unfreeze" } else { "switch-shop" });
        let mut dice = Dice(session + 1);
        for _ in 0..500 {
            random_press(&mut desk, &mut dice);
            let gap = dice.roll(600);
            desk.rest(gap);
        }
        assert!(!desk.passed(), "session {session}: {:?}", desk.sent);
        let acted = |what: &What| matches!(what, What::Intended { change, .. } if !change.is_nothing());
        let before = desk.snapshot().state.log.iter().filter(|event| event.by == Actor::Engine && acted(&event.what));
        let known = Fixture::acts_before(if session % 2 == 0 { "unfreeze" } else { "switch-shop" });
        assert_eq!(before.count(), known, "session {session}");
    }
}

#[test]
fn arrows_read_the_graphs_and_esc_takes_the_crosshair_away() {
    let mut desk = Desk::new("drain");
    desk.press(KeyCode::Char('2'));
    desk.rest(200);
    for _ in 0..3 {
        desk.press(KeyCode::Left);
        desk.rest(200);
    }
    let at = desk.fixture.ui.cross.expect("a crosshair");
    desk.press(KeyCode::Right);
    desk.rest(200);
    let step = desk.fixture.ui.cross.expect("still there").duration_since(at);
    assert_eq!(step, SignedDuration::from_secs(30), "a datum a key on a range of 30 minutes");
    for _ in 0..3 {
        desk.press(KeyCode::Right);
        desk.rest(200);
    }
    assert_eq!(desk.fixture.ui.cross, None, "past the newest datum there is nothing to read");
    desk.press(KeyCode::Left);
    desk.rest(200);
    desk.press(KeyCode::Down);
    desk.rest(200);
    desk.press(KeyCode::Esc);
    desk.rest(200);
    assert_eq!((desk.fixture.ui.cross, desk.fixture.ui.graph), (None, 1));
    assert_eq!(desk.fixture.ui.view, crate::tui::keymap::View::Graphs);
    assert!(desk.sent.is_empty());
}

#[test]
fn the_journal_jumps_to_its_moment_on_the_graphs() {
    let mut desk = Desk::new("drain");
    let sent = desk.sent.len();
    desk.press(KeyCode::Char('7'));
    desk.rest(200);
    for _ in 0..4 {
        desk.press(KeyCode::Up);
        desk.rest(200);
    }
    let chosen = crate::tui::sift::under_cursor(&desk.fixture.snapshot.state, &desk.fixture.ui).unwrap().clone();
    assert!(chosen.seq < desk.snapshot().state.seq);
    desk.press(KeyCode::Enter);
    desk.rest(200);
    assert_eq!(desk.fixture.ui.view, crate::tui::keymap::View::Graphs);
    assert_eq!(desk.fixture.ui.cross, Some(chosen.at));
    // Enter once more means nothing there, and no gate was armed.
    desk.press(KeyCode::Enter);
    desk.rest(200);
    assert_eq!((desk.sent.len(), desk.snapshot().state.gate.as_ref()), (sent, None));
}

#[test]
fn the_key_that_copies_passes_no_gate() {
    let mut desk = Desk::new("unfreeze");
    let y = Stroke { key: KeyEvent::new(KeyCode::Char('y'), KeyModifiers::NONE), at: desk.at, alone: true };
    let intents = desk.fixture.ui.stroke(Some(&desk.fixture.snapshot), &y);
    assert!(matches!(intents[..], [Intent::Copy]), "y copies");
    desk.arm();
    desk.rest(900);
    desk.press(KeyCode::Char('y'));
    desk.rest(60);
    assert!(!desk.armed() && !desk.passed());
    assert!(desk.slip().contains("y was pressed, not e"), "{}", desk.slip());
}

#[test]
fn a_key_that_was_taken_is_said_to_be_taken_and_what_happens_now() {
    let mut desk = Desk::new("unfreeze");
    desk.fixture.ui.guide = desk.fixture.ui.guide.toggled();
    desk.arm();
    desk.rest(900);
    desk.press(KeyCode::Char(CONSENT));
    desk.rest(60);
    assert!(desk.passed());
    for size in [(160, 48), (120, 40), (80, 24)] {
        let screen = desk.fixture.text(size);
        assert!(screen.contains("ACCEPTED") && !screen.contains("ARMED"), "{screen}");
        assert!(screen.contains("read once more; if it is as shown, it is sent"), "{screen}");
        assert!(!screen.contains("Enter arms") && screen.contains("nothing more to press"), "{screen}");
    }
    desk.reread();
    assert!(!desk.fixture.text((120, 40)).contains("ACCEPTED"), "it runs");
}
