//! What somebody else does to the world while a session runs: the cockpit holds the run at once and says who runs where.

use std::{fs, thread, time::Duration};

use cutover::{
    journal::Reader,
    plan::Role,
    run::{ConditionId, Direction, Hold, HoldKind, Phase, Standing, What, conditions},
    session::Status,
};
use serde_json::json;

use super::{
    hands::drive,
    home::Home,
    terminal::{LOOK, Terminal, key},
};

const SIZE: (u16, u16) = (160, 48);
const SOON: Duration = Duration::from_secs(60);

fn done(status: &Status, step: &str) -> bool {
    status.state.step(&step.into()).is_some_and(|step| step.phase == Phase::Done)
}

fn held(status: &Status, kind: HoldKind, words: &str) -> bool {
    let held = |hold: &Hold| hold.kind == kind && hold.blocking && hold.text.contains(words);
    status.summary().holds.iter().any(held)
}

fn strays(status: &Status, words: &str) -> bool {
    held(status, HoldKind::Stray, words)
}

/// The gate of a step is shut by this condition.
fn locked(status: &Status, step: &str, by: ConditionId) -> bool {
    let all = conditions(&status.plan, &status.state, &step.into(), Direction::Forward, status.now);
    all.iter().any(|condition| condition.id == by && !condition.holds)
}

/// Presses Enter on the step that the run is at, in vain: the screen says why, and nothing is armed.
fn refused(home: &Home, screen: &mut Terminal, why: &str) {
    screen.press("f");
    screen.wait_for(why);
    thread::sleep(LOOK);
    screen.press(key::ENTER);
    thread::sleep(LOOK);
    assert!(home.status().state.gate.is_none(), "a gate opened:\n{}", screen.text());
}

/// No worker, no clock, no writer runs that a step has stopped, no role runs on both sides or on none, whoever it was.
#[test]
fn a_runner_that_somebody_starts_again_holds_the_run_at_once() {
    let home = Home::new();
    let mut screen = home.rehearse(&["--speed", "120"], SIZE);
    drive(&home, &mut screen, "a first step", |status| done(status, "aws-ready"));
    gone_and_back(&home, &mut screen);
    drive(&home, &mut screen, "the old jobs stopped", |status| done(status, "stop-old-jobs"));
    let nobody = |status: &Status| status.summary().holds.iter().any(|hold| matches!(hold.kind, HoldKind::Missing(_)));
    assert!(!nobody(&home.status()), "a step meant it: between the old side and the new one nobody runs");
    home.scale_heroku("worker", 1);
    home.wait("a worker that runs again", SOON, |status| strays(status, "although `stop-old-jobs` ended it"));
    assert!(locked(&home.status(), "freeze-writes", ConditionId::Runners));
    screen.wait("the worker that runs again", |text| text.contains("worker is seen on Heroku again"));
    refused(&home, &mut screen, "LOCKED runners: worker is seen on Heroku again");
    home.scale_heroku("worker", 0);
    home.wait("no worker", SOON, |status| {
        !strays(status, "worker") && !locked(status, "freeze-writes", ConditionId::Runners)
    });

    // A role that the freeze does not name: privileges taken from the shop do not keep it from writing.
    drive(&home, &mut screen, "writes frozen", |status| done(status, "freeze-writes"));
    home.inject(&json!({ "kind": "leaky-freeze", "for": "40m" }));
    home.wait("a freeze that leaks", SOON, |status| strays(status, "where writes are frozen"));
    assert!(locked(&home.status(), "caught-up", ConditionId::Leak), "not only the opening of writes");
    refused(&home, &mut screen, "LOCKED leak:");
    home.wait("a freeze that holds", SOON, |status| !strays(status, "where writes are frozen"));
    past_it(&home, &mut screen);

    drive(&home, &mut screen, "a scheduler on AWS", |status| done(status, "start-scheduler"));
    home.scale_heroku("clock", 1);
    home.wait("two clocks", SOON, |status| held(status, HoldKind::Doubled(Role::Cron), ""));
    screen.wait("two clocks", |text| text.contains("TWO RUNNERS") && text.contains("two cron runners"));
    home.verify();
}

/// Somebody stops the only clock: nothing goes on until it runs again.
fn gone_and_back(home: &Home, screen: &mut Terminal) {
    home.scale_heroku("clock", 0);
    home.wait("no clock", SOON, |status| held(status, HoldKind::Missing(Role::Cron), "no cron runs on either side"));
    assert!(locked(&home.status(), "migrate", ConditionId::Runners));
    screen.wait("the clock is missed", |text| text.contains("NO RUNNER") && text.contains("NO cron"));
    refused(home, screen, "LOCKED runners: no cron runs on either side");
    home.scale_heroku("clock", 1);
    home.wait("a clock", SOON, |status| !locked(status, "migrate", ConditionId::Runners));
    screen.wait("the clock is back", |text| !text.contains("NO RUNNER") && !text.contains("NO cron"));
}

/// A person knows better, says so with a reason, and goes on for one step.
fn past_it(home: &Home, screen: &mut Terminal) {
    home.scale_heroku("worker", 1);
    home.wait("a worker again", SOON, |status| locked(status, "caught-up", ConditionId::Runners));
    screen.press("f");
    screen.wait_for("[o] go past it");
    screen.press("o");
    screen.wait_for("type runners");
    screen.type_in("runners");
    screen.press(key::ENTER);
    screen.type_in("it empties a queue by hand");
    screen.press(key::ENTER);
    home.wait("gone past", SOON, |status| !locked(status, "caught-up", ConditionId::Runners));
    drive(home, screen, "one step further", |status| done(status, "caught-up"));
    let status = home.status();
    assert!(strays(&status, "worker") && locked(&status, "sync-sequences", ConditionId::Runners), "it counts once");
    let said = Reader::open(home.session().journal()).unwrap().any(|event| match event.unwrap().what {
        What::Overridden { step, condition: ConditionId::Runners, reason } => {
            step.0 == "caught-up" && reason == "it empties a queue by hand"
        }
        _ => false,
    });
    assert!(said, "the journal does not say who went past it, and why");
    home.scale_heroku("worker", 0);
    home.wait("no worker", SOON, |status| !locked(status, "sync-sequences", ConditionId::Runners));
}

/// The preflight looks again while the session runs; then the session is left, and what is left of it is looked at.
#[test]
fn a_finding_that_changes_is_an_event_on_the_screen_and_a_session_that_was_cut_is_found_out() {
    let home = Home::new();
    let mut screen = home.rehearse(&["--speed", "20"], SIZE);
    let standing = |status: &Status, id: &str| {
        status.state.findings.iter().find(|finding| finding.id == id).map(|finding| finding.standing)
    };
    home.wait("a first look", SOON, |status| standing(status, "heroku") == Some(Standing::Passed));
    assert_eq!(standing(&home.status(), "scheduler"), Some(Standing::Passed), "the sample's plan ticks it off");
    home.patch_heroku("config-vars", &json!({ "DATABASE_URL": "postgres://moved.example.test/acme" }));
    home.wait("another database", SOON, |status| standing(status, "config-values") == Some(Standing::ActionRequired));
    screen.press("5");
    screen.wait("what changed", |text| text.contains("DATABASE_URL has another value"));
    assert!(!fs::read_to_string(home.session().journal()).unwrap().contains("moved.example"), "a value is never kept");
    // Heroku makes a release of it, as of a deploy.
    home.wait("another release", SOON, |status| {
        standing(status, "heroku-release") == Some(Standing::ActionRequired)
            && status.summary().holds.iter().any(|hold| {
                let words = "v232, Set DATABASE_URL config vars was released; it was v231, Deploy ";
                hold.kind == HoldKind::Changed && hold.text.starts_with(words)
            })
    });
    home.inject(&json!({
        "kind": "error", "service": "heroku", "operation": "GET /apps/acme-shop/config-vars", "status": 403,
        "code": "This key may not read config vars.", "for": "3h",
    }));
    home.wait("the finding changed", SOON, |status| standing(status, "heroku") == Some(Standing::ActionRequired));
    let changed = Reader::open(home.session().journal()).unwrap().any(|event| match event.unwrap().what {
        What::FindingChanged { finding, was } => {
            finding.id == "heroku" && finding.reason.contains("config-vars") && was == Some(Standing::Passed)
        }
        _ => false,
    });
    assert!(changed, "it is no event");
    screen.press("7");
    screen.wait("the event", |text| text.contains("preflight: Heroku app: ACTION REQUIRED (was passed)"));
    screen.press("5");
    screen.wait("the finding", |text| text.contains("Heroku app: heroku:config-vars"));

    let said = |args: &[&str]| {
        let output = home.run(args);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    assert!(said(&["sessions"]).1.contains("running"));
    screen.press("q");
    screen.exit();
    home.kill_engine();
    let (_, listed) = said(&["sessions"]);
    assert!(listed.contains("no engine since 20"), "{listed}");
    home.verify();
    // The last acknowledged events are taken away, whole lines: the chain alone cannot tell.
    let path = home.session().journal();
    let journal = fs::read_to_string(&path).unwrap();
    let kept = journal.trim_end().rsplit_once('\n').unwrap().0.rsplit_once('\n').unwrap().0.to_owned() + "\n";
    fs::write(&path, kept).unwrap();
    let (code, told) = said(&["journal", "--verify"]);
    assert!(code == Some(1) && told.contains("its end was cut off"), "{told}");
    // What goes to a file holds no colours.
    let (code, told) = said(&["journal", "no-such-session"]);
    assert!(code != Some(0) && !told.contains('\u{1b}'), "{told:?}");
}
