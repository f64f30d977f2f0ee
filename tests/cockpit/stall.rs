//! An engine that stands still: the screen says so, and what was pressed meanwhile is not acted on when it goes on.

use std::{thread, time::Duration};

use rustix::process::{Signal, kill_process};

use super::{
    hands::drive,
    home::Home,
    terminal::{PATIENCE, Terminal, key},
};

const NEXT: &str = "lower-ttl";

fn arm(home: &Home, screen: &mut Terminal) {
    screen.wait_for("[Enter] arm");
    screen.until_read();
    screen.press(key::ENTER);
    home.wait("its gate is armed", PATIENCE, |status| status.state.gate.is_some());
    screen.wait_for("[e]");
    screen.until_read();
}

#[test]
fn what_is_pressed_while_the_engine_stands_still_passes_no_gate() {
    let home = Home::new();
    let mut screen = home.rehearse(&["--speed", "20"], (120, 40));
    home.grant_the_least();
    drive(&home, &mut screen, "a step that changes something", |status| {
        let state = &status.state;
        state.gate.is_none() && state.current().is_some_and(|step| step.id == NEXT.into() && !step.phase.in_flight())
    });
    arm(&home, &mut screen);
    let engine = home.engine().unwrap();
    kill_process(engine, Signal::STOP).unwrap();
    screen.press(key::CONSENT);
    screen.wait_for("the engine did not answer");
    kill_process(engine, Signal::CONT).unwrap();
    home.wait("its gate is closed again", PATIENCE, |status| status.state.gate.is_none());
    thread::sleep(Duration::from_secs(1));
    let status = home.status();
    assert!(status.state.step(&NEXT.into()).unwrap().attempts.is_empty(), "it was begun: {:#?}", status.summary());
    // The person is still there, and what is pressed now counts.
    arm(&home, &mut screen);
    screen.press(key::CONSENT);
    home.wait("it was begun", PATIENCE, |status| !status.state.step(&NEXT.into()).unwrap().attempts.is_empty());
    home.verify();
}
