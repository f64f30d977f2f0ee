//! A patient person at the keyboard: looks where the run stands, decides what to do next as the autopilot would, and
//! does it with the keys that the screen asks for.

use std::{thread, time::Duration};

use cutover::{
    clock::monotonic,
    plan::GateLevel,
    run::{Direction, Phase, Request, State},
    session::{Status, next_request},
};

use super::{
    home::Home,
    terminal::{LOOK, Terminal, key},
};

/// A person waits no longer for the run to move, wall time.
const STUCK: Duration = Duration::from_secs(120);
/// How long the answer to a key is waited for.
const ANSWER: Duration = Duration::from_secs(4);
const POLL: Duration = Duration::from_millis(25);

/// Drives by keys until the state satisfies.
pub(crate) fn drive(home: &Home, terminal: &mut Terminal, what: &str, until: impl Fn(&Status) -> bool) {
    let clock = home.clock();
    let mut moved = monotonic();
    let mut before = home.status();
    loop {
        let status = home.status();
        if until(&status) {
            return;
        }
        if standing(&status.state) != standing(&before.state) || running(&status.state) {
            moved = monotonic();
        }
        let screen = terminal.text();
        assert!(moved.elapsed() < STUCK, "stuck before {what}: {:#?}\n{screen}", status.summary());
        assert!(!terminal.ended(), "the cockpit ended before {what}:\n{screen}");
        let driver = status.state.driver().cloned();
        let wanted = driver.and_then(|you| next_request(&status.plan, &status.state, &you, clock.now()));
        match wanted {
            Some(request) => {
                act(terminal, &status, &request);
                await_answer(home, &status);
            }
            None => thread::sleep(POLL),
        }
        before = status;
    }
}

/// Asks for the price of going back, reads it, and begins.
pub(crate) fn roll_back(home: &Home, terminal: &mut Terminal) {
    terminal.press("R");
    terminal.wait_for("[e] begin to roll back");
    terminal.until_read();
    terminal.press(key::CONSENT);
    home.wait("rolling back", ANSWER, |status| status.state.rollback.is_some());
}

/// Ends the session; `complete`: nothing is left open, so that one key decides.
pub(crate) fn end(home: &Home, terminal: &mut Terminal) {
    terminal.press("Q");
    terminal.wait_for("End the session");
    terminal.until_read();
    if terminal.text().contains("type finish acme-shop") {
        terminal.type_in("finish acme-shop");
        terminal.press(key::ENTER);
    } else {
        terminal.press(key::CONSENT);
    }
    terminal.exit();
    assert!(home.status().state.ended, "the session is not over:\n{}", terminal.text());
}

fn act(terminal: &mut Terminal, status: &Status, request: &Request) {
    match request {
        Request::Arm { .. } => {
            terminal.press("f");
            thread::sleep(LOOK);
            terminal.press(key::ENTER);
        }
        Request::Confirm { typed, .. } => confirm(terminal, status, typed.as_deref()),
        Request::Tick { item, .. } => {
            terminal.press("f");
            (0..9).for_each(|_| terminal.press("k"));
            (0..*item).for_each(|_| terminal.press("j"));
            terminal.press(key::SPACE);
        }
        Request::Look { .. } | Request::Observe { .. } => {
            terminal.press("f");
            terminal.press("l");
        }
        other => panic!("no key is known for {other:?}"),
    }
}

fn confirm(terminal: &mut Terminal, status: &Status, typed: Option<&str>) {
    // Enter alone passes a gate of the lowest level: the cockpit confirms what was looked at.
    if status.state.gate.as_ref().is_some_and(|gate| gate.level == GateLevel::Start) {
        return;
    }
    terminal.until_read();
    match typed {
        None => terminal.press(key::CONSENT),
        Some(word) => {
            terminal.type_in(word);
            terminal.press(key::ENTER);
        }
    }
}

fn await_answer(home: &Home, before: &Status) {
    let begun = monotonic();
    while begun.elapsed() < ANSWER && standing(&home.status().state) == standing(&before.state) {
        thread::sleep(POLL);
    }
}

/// What moves when a key was taken.
fn standing(state: &State) -> impl PartialEq + use<> {
    let step = |step: &cutover::run::StepState| {
        let seen = [Direction::Forward, Direction::Back].map(|direction| state.evidence(&step.id, direction));
        (step.phase, step.attempts.len(), step.ticked.len(), seen)
    };
    let gate = state.gate.as_ref().map(|gate| (gate.id, gate.consented));
    (state.steps.iter().map(step).collect::<Vec<_>>(), gate, state.rollback.is_some())
}

/// Something is on its way that takes its own time: a drain, a watch.
fn running(state: &State) -> bool {
    state.steps.iter().any(|step| step.phase.in_flight() && step.phase != Phase::InDoubt)
}
