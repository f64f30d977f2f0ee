//! A whole cutover and its way back, by keys in a terminal, between servers that nobody here wrote;
//! `tests/peers/cutover.sh` starts them and runs this.
//!
//! | | |
//! |---|---|
//! | `stage` | zone, services and databases as they are before; the authority follows Route 53 |
//! | `shop` | the application on both sides, its customers and workers, and what they were promised |
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may panic as the test itself")]
#![expect(clippy::print_stderr, reason = "a test says what it counted")]

#[path = "../../cockpit/hands.rs"]
mod hands;
#[path = "../../cockpit/home.rs"]
#[expect(dead_code, reason = "the cockpit's own tests use more of it")]
mod home;
mod shop;
mod stage;
#[path = "../../cockpit/terminal.rs"]
#[expect(dead_code, reason = "the cockpit's own tests use more of it")]
mod terminal;

use std::time::Duration;

use cutover::{
    plan::{Role, Side},
    run::{Answer, Cell},
};
use hands::{drive, end, roll_back};
use home::Home;
use stage::{Stage, WAITING};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn a_cutover_on_foreign_servers_loses_no_row_doubles_none_and_goes_back_to_the_letter() {
    let home = Home::new();
    let stage = Stage::new();
    let before = stage.world();
    let plan = home.file("peers.toml", &stage.plan());
    let variables = [("HEROKU_API_KEY", "sandbox")];
    let mut screen = home.open_with(&["run", &plan, "--env", "peers"], (160, 48), &variables);
    screen.wait_for("All is ready");
    screen.press("2");
    let depth = format!(" {WAITING} ");
    screen.wait("how many messages wait", |text| {
        text.lines().any(|line| line.contains("queue") && line.contains(&depth))
    });
    screen.press("1");

    drive(&home, &mut screen, "the end of the watch", |status| {
        status.state.current().is_some_and(|step| step.id == "retire-old-web".into()) && status.state.gate.is_none()
    });
    let switched = stage.world();
    assert_ne!(switched.records, before.records);
    everybody_answers(&home, Answer::New);
    stage.until_customers_reach(Side::New);
    let moved = stage.accounts();
    eprintln!("there: {moved:?}");
    assert!(moved.old.orders > 20 && moved.old.jobs > 5 && moved.new.orders > 5 && moved.new.jobs > 0, "{moved:?}");
    stage.assert_nothing_is_lost_or_doubled();

    // Somebody scales the old workers up behind the cockpit's back: it is seen from the platform, and everybody holds.
    stage.scale_old_workers(1);
    home.wait("two workers are seen", SOON, |status| {
        status.state.runners.get(Side::Old, Role::Worker) == Some(Cell::On)
    });
    screen.wait("the violation", |text| text.contains("HOLD") || text.contains("hold"));
    stage.scale_old_workers(0);
    home.wait("one worker is seen", SOON, |status| {
        status.state.runners.get(Side::Old, Role::Worker) == Some(Cell::Off)
    });

    roll_back(&home, &mut screen);
    drive(&home, &mut screen, "everything undone", |status| status.state.rolled_back);
    assert_eq!(stage.world(), before, "the world is not as before");
    stage.until_customers_reach(Side::Old);
    everybody_answers(&home, Answer::Old);
    let back = stage.accounts();
    eprintln!("back: {back:?}");
    assert!(back.old.orders > moved.old.orders && back.old.jobs > moved.old.jobs, "nobody writes again: {back:?}");
    stage.assert_nothing_is_lost_or_doubled();
    end(&home, &mut screen);
    screen.assert_given_back();
    home.verify();
}

/// The authority and each of the five resolvers.
fn everybody_answers(home: &Home, answer: Answer) {
    home.wait("everybody answers", SOON, |status| {
        status.state.answers.len() == 6 && status.state.answers.iter().all(|one| one.answer == answer)
    });
}
