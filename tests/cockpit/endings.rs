//! However the cockpit ends, the terminal is given back and the run goes on.

use rustix::process::Signal;

use super::{
    home::Home,
    terminal::{Terminal, key},
};

const SIZE: (u16, u16) = (80, 24);

/// A cockpit on a home of its own.
fn cockpit() -> (Home, Terminal) {
    let home = Home::new();
    let screen = home.rehearse(&[], SIZE);
    (home, screen)
}

/// The engine still answers, and a new cockpit attaches.
pub(super) fn goes_on(home: &Home) {
    assert!(home.status().live, "the engine is gone");
    let mut screen = home.open(&["join"], SIZE);
    screen.wait_for("AWS environment");
    screen.press("q");
    assert!(screen.exit().success());
}

#[test]
fn after_q_and_ctrl_c() {
    let (home, mut screen) = cockpit();
    screen.press("q");
    assert!(screen.exit().success());
    screen.assert_given_back();
    screen.wait_for("the run goes on");
    let mut screen = home.open(&["join"], SIZE);
    screen.wait_for("AWS environment");
    screen.press("\x03");
    assert!(screen.exit().success());
    screen.assert_given_back();
    goes_on(&home);
}

/// How much is on its way to a terminal is known from its answers; one that gives no more of them is written to as before.
#[test]
fn in_a_terminal_that_does_not_answer_any_more() {
    let (home, mut screen) = cockpit();
    screen.fall_mute();
    for _ in 0..20 {
        screen.press("?");
        screen.wait_for("▸Help");
        screen.press(key::ESC);
        screen.wait("the help closed", |text| !text.contains("▸Help"));
    }
    screen.press("q");
    assert!(screen.exit().success());
    screen.assert_given_back();
    goes_on(&home);
}

#[test]
fn after_a_signal() {
    let (home, mut screen) = cockpit();
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        screen.signal(signal);
        screen.exit();
        screen.assert_given_back();
        screen = home.open(&["join"], SIZE);
        screen.wait_for("AWS environment");
    }
    drop(screen);
    goes_on(&home);
}

/// Nothing but the program sets the terminal here, so that what it leaves to a shell can be told from what it takes again.
#[test]
fn after_it_was_stopped_and_continued() {
    let (home, mut screen) = cockpit();
    // Ctrl-Z: the shell gets its terminal, and `fg` brings everything back.
    screen.press("\x1a");
    screen.until_stopped();
    screen.assert_given_back();
    screen.signal(Signal::CONT);
    screen.until_taken();
    screen.wait_for("AWS environment");
    // A stop that leaves no moment for anything: the shell sets the terminal by itself.
    screen.signal(Signal::STOP);
    screen.until_stopped();
    screen.cook();
    assert!(!screen.text().contains("AWS environment"));
    screen.signal(Signal::CONT);
    screen.until_taken();
    screen.wait_for("AWS environment");
    screen.press("q");
    assert!(screen.exit().success());
    screen.assert_given_back();
    goes_on(&home);
}

#[test]
fn after_the_terminal_is_closed() {
    let (home, mut screen) = cockpit();
    screen.hang_up();
    screen.exit();
    goes_on(&home);
}

#[test]
fn after_the_engine_refuses() {
    let (home, mut screen) = cockpit();
    let mut second = home.open(&["join", "--role", "driver"], SIZE);
    second.wait_for("AWS environment");
    second.press("q");
    assert!(second.exit().success());
    second.assert_given_back();
    super::hands::end(&home, &mut screen);
    screen.assert_given_back();
    let over = home.run(&["join"]);
    assert_eq!(over.status.code(), Some(1), "{over:?}");
}

#[test]
fn after_every_size_on_the_way() {
    let (_home, mut screen) = cockpit();
    for size in [(300, 100), (20, 5), (1, 1), (60, 15), (160, 48)] {
        screen.resize(size);
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(!screen.ended(), "it ended at {size:?}");
    }
    screen.wait_for("AWS environment");
    screen.press("q");
    assert!(screen.exit().success());
    screen.assert_given_back();
}

#[test]
fn after_the_engine_died_without_a_cockpit_the_next_rehearsal_is_the_same_one() {
    let (home, mut screen) = cockpit();
    screen.press("q");
    assert!(screen.exit().success());
    assert!(home.kill_engine());
    let screen = home.rehearse(&[], SIZE);
    assert!(home.status().live && home.sessions().len() == 1, "it goes on: {:?}", home.sessions());
    drop(screen);
}
