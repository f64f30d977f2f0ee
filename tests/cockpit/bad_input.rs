//! What bad input gets: a clear error that points at the place, nothing started, nothing lost, no green light.

use std::{thread, time::Duration};

use cutover::{
    journal::Reader,
    run::{Outcome, Phase, Target, TroubleKind, What},
    session::Status,
};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;

use super::{hands::drive, home::Home, terminal::key};

const SIZE: (u16, u16) = (160, 48);
const SAMPLE: &str = include_str!("../../config/acme-shop.toml");
const SOON: Duration = Duration::from_secs(60);

#[test]
fn a_wrong_plan_gets_all_its_errors_and_nothing_is_started() {
    let home = Home::new();
    let wrong = SAMPLE
        .replace("needs = [\"smoke\"]", "needs = [\"smok\"]")
        .replace("lasting = \"10m\"", "lasting = \"10\"")
        .replace("apply = [\"touch\", \"${deploy_lock}\"]", "apply = \"touch ${deploy_lock}\"");
    let plan = home.file("plan.toml", &wrong);
    let output = home.run(&["check", &plan]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for (number, line) in wrong.lines().enumerate() {
        if line.contains("\"smok\"") || line == "lasting = \"10\"" || line.contains("\"touch ${") {
            assert!(said.contains(&format!("{plan}:{}:", number + 1)), "line {} is not named in:\n{said}", number + 1);
            assert!(said.contains(line.trim()), "{line} is not shown in:\n{said}");
        }
    }
    let mut screen = home.open(&["rehearse", "--plan", &plan], SIZE);
    assert_eq!(screen.exit().exit_code(), 2);
    assert!(screen.text().contains("smok"), "{}", screen.text());
    assert!(home.sessions().is_empty(), "a session was begun");
    assert_eq!(home.running(), 0, "something was started");
}

#[test]
fn a_terminal_that_is_too_small_gets_a_plain_sentence() {
    let home = Home::new();
    let mut screen = home.open(&["rehearse"], (20, 5));
    screen.wait_for("q detaches");
    screen.resize((80, 24));
    screen.wait_for("AWS environment");
    screen.press("q");
    assert!(screen.exit().success());
    screen.assert_given_back();
}

/// The engine's files may not grow any more, as on a full disk.
fn fill_disk(engine: Pid, full: bool) {
    let limit = if full { Some(1) } else { None };
    prlimit(Some(engine), Resource::Fsize, Rlimit { current: limit, maximum: None }).unwrap();
}

#[test]
fn what_cannot_be_written_is_not_done() {
    let home = Home::new();
    let mut screen = home.rehearse(&["--speed", "120"], SIZE);
    drive(&home, &mut screen, "lower-ttl", |status| {
        status.state.phase(&status.plan, &"lower-ttl".into()) == Phase::Ready && status.state.gate.is_none()
    });
    let engine = home.engine().unwrap();
    let before = home.ledger();
    fill_disk(engine, true);
    for _ in 0..2 {
        screen.press("f");
        thread::sleep(Duration::from_millis(800));
        screen.press(key::ENTER);
        thread::sleep(Duration::from_millis(900));
        screen.press(key::CONSENT);
    }
    screen.wait("that the journal cannot be written", |text| {
        text.contains("JOURNAL") && text.contains("cannot be written")
    });
    assert_eq!(home.ledger(), before, "something was done");
    assert_eq!(home.engine(), Some(engine), "the engine died of it");
    fill_disk(engine, false);
    drive(&home, &mut screen, "the drain", |status| {
        status.state.step(&"drain".into()).unwrap().phase == Phase::Running
    });
    assert_eq!(home.ledger().len(), before.len() + 1);
    home.verify();
}

#[test]
fn trouble_names_the_call_the_reason_and_the_next_try() {
    let home = Home::new();
    let screen = home.rehearse(&["--speed", "20"], SIZE);
    home.inject(&json!({ "kind": "expired-credentials" }));
    let named = |what: &What| match what {
        What::SourceChanged { trouble: Some(trouble), .. } => {
            trouble.call.starts_with("cloudwatch:") && trouble.reason.contains("xpired") && trouble.next_try.is_some()
        }
        _ => false,
    };
    home.wait("trouble in the journal", SOON, |_| {
        Reader::open(home.session().journal()).unwrap().any(|event| named(&event.unwrap().what))
    });
    screen.wait("the trouble", |text| text.contains("cloudwatch:GetMetricData") && text.contains("xpired"));
    assert!(home.status().live);
}

/// No data is not green, and a lag of nothing is not believed of a replication that stands still.
#[test]
fn what_tells_nothing_any_more_is_blind_and_replication_that_stands_still_is_trouble() {
    let home = Home::new();
    let screen = home.rehearse(&["--speed", "60"], SIZE);
    screen.wait("data", |text| text.contains("5xx %") && !text.contains("blind") && !text.contains("no data in"));
    home.inject(&json!({ "kind": "metrics-gap" }));
    home.inject(&json!({ "kind": "replication-stall" }));
    screen.wait("a replication that stands still", |text| {
        text.contains("TROUBLE  postgres:replication: ") && text.contains("the apply worker is gone")
    });
    assert!(!screen.text().contains("postgres:replication: postgres:"), "said once");
    let blind =
        |text: &str, name: &str| text.lines().any(|line| line.contains(&format!("{name} ")) && line.contains("blind"));
    screen.wait("what is blind", |text| {
        text.contains("no fresh data for")
            && ["5xx %", "requests", "memory %", "lag"].iter().all(|name| blind(text, name))
    });
}

/// What was turned away was not done: it is said so, and a person sends it again, once the API may be asked again.
#[test]
fn an_act_that_is_turned_away_is_not_repeated_by_itself_and_is_done_once() {
    let home = Home::new();
    let mut screen = home.rehearse(&["--speed", "120", "--scenario", "rate-limits"], SIZE);
    let ready = |status: &Status| status.state.phase(&status.plan, &"freeze".into()) == Phase::Ready;
    drive(&home, &mut screen, "freeze", |status| ready(status) && status.state.gate.is_none());
    let before = home.ledger();
    let freeze = |status: &Status| status.state.step(&"freeze".into()).unwrap().clone();
    drive(&home, &mut screen, "the refusal", |status| freeze(status).phase == Phase::Failed);
    let step = freeze(&home.status());
    let Some(Outcome::Failed { trouble }) = step.attempt().and_then(|attempt| attempt.outcome.clone()) else {
        panic!("{:?}", step.attempts)
    };
    assert_eq!((trouble.call.as_str(), trouble.kind), ("heroku:maintenance", TroubleKind::Throttled));
    assert!(trouble.reason.starts_with("rate_limit: ") && trouble.reason.ends_with("asked to wait 5 s"), "{trouble:?}");
    let next_try = trouble.next_try.unwrap();
    screen.wait("why it failed", |text| text.contains("rate_limit: ") && text.contains("asked to wait 5 s"));
    // Nobody touches a key: reads come back by themselves, the act does not.
    home.wait("Heroku read again", SOON, |status| {
        let step = freeze(status);
        let troubles = step.trouble.is_some() || status.state.troubles.contains_key("heroku");
        status.now > next_try && step.forward.is_some() && !troubles
    });
    assert_eq!((freeze(&home.status()).attempts.len(), home.ledger()), (1, before.clone()), "sent by itself");
    drive(&home, &mut screen, "the page", |status| freeze(status).phase == Phase::Done);
    assert_eq!((freeze(&home.status()).attempts.len(), home.ledger().len()), (2, before.len() + 1));
    home.verify();
}

#[test]
fn who_wants_to_be_left_alone_is_and_the_screen_says_until_when() {
    let home = Home::new();
    let mut screen = home.rehearse(&["--speed", "120"], SIZE);
    let ready = |status: &Status| status.state.phase(&status.plan, &"freeze".into()) == Phase::Ready;
    drive(&home, &mut screen, "freeze", |status| ready(status) && status.state.gate.is_none());
    let before = home.ledger();
    // Twelve seconds by the wall.
    for (service, wait) in [("heroku", Some("24m")), ("web.new", Some("24m")), ("ecs", None)] {
        let mut fault = json!({ "kind": "throttle", "service": service, "share": 1.0, "for": "23m" });
        if let Some(wait) = wait {
            fault["retry_after"] = wait.into();
        }
        home.inject(&fault);
    }
    let trouble = |status: &Status, source: &str| {
        let trouble = status.state.troubles.get(source)?;
        (trouble.kind == TroubleKind::Throttled).then(|| trouble.clone())
    };
    home.wait("all three in trouble", SOON, |status| {
        ["heroku", "web:home new", "ecs"].iter().all(|source| trouble(status, source).is_some())
    });
    let status = home.status();
    let heroku = trouble(&status, "heroku").unwrap();
    assert!(heroku.reason.ends_with("asked to wait 12 s"), "{heroku:?}");
    assert!(heroku.next_try.is_some() && trouble(&status, "ecs").unwrap().next_try.is_some());
    let check = status.state.check("home", Target::New).unwrap();
    assert_eq!(check.passing, Some(false), "one refusal was green: it is not asked again soon");
    screen.wait("the reason and the next try", |text| {
        text.contains("heroku:") && text.contains("asked to wait") && text.contains("next try ")
    });
    home.wait("maintenance that cannot be read", SOON, |status| {
        let step = status.state.step(&"freeze".into()).unwrap();
        step.trouble
            .as_ref()
            .is_some_and(|trouble| trouble.kind == TroubleKind::Throttled && trouble.next_try.is_some())
    });
    // Enter, its key: nothing may be armed on what cannot be read.
    for key in ["f", key::ENTER, key::CONSENT] {
        thread::sleep(Duration::from_millis(850));
        screen.press(key);
    }
    assert_eq!(home.ledger(), before, "something was done");
    home.wait("all well again", SOON, |status| status.state.troubles.is_empty());
    drive(&home, &mut screen, "the end of the maintenance step", |status| {
        status.state.step(&"freeze".into()).unwrap().phase == Phase::Done
    });
    let acts = home.ledger().len() - before.len();
    assert_eq!(acts, 1, "the act was sent {acts} times");
    home.verify();
}
