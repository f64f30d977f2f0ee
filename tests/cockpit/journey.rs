//! A whole cutover by hand, there and back, with the permissions that `cutover iam` writes and no other; leaving the screen,
//! coming back, and an engine that dies on the way.

use std::time::Duration;

use cutover::run::{Answer, Phase};
use serde_json::Value;

use super::{
    hands::{drive, end, roll_back},
    home::Home,
    truth::assert_agreement,
};

const WIDE: (u16, u16) = (160, 48);
const SPEED: &str = "120";
const SOON: Duration = Duration::from_secs(60);

#[test]
fn by_hand_to_the_brink_and_back_and_the_world_is_as_before() {
    let home = Home::new();
    let mut screen = home.rehearse(&["--speed", SPEED], WIDE);
    home.grant_the_least();
    let (records, runners) = (home.record_sets(), home.runners());
    drive(&home, &mut screen, "the drain", |status| {
        status.state.step(&"drain".into()).unwrap().phase == Phase::Running
    });

    // The screen goes, the run stays: the drain goes on without anybody looking.
    let engine = home.engine();
    screen.press("q");
    assert!(screen.exit().success());
    screen.assert_given_back();
    home.wait("nobody is attached", SOON, |status| status.state.operators.is_empty());
    assert_eq!(home.engine(), engine, "the engine is another one");
    let mut screen = home.open(&["join", "--role", "driver"], (120, 40));
    screen.wait_for("Drain the old TTL");

    drive(&home, &mut screen, "the maintenance page", |status| {
        status.state.step(&"freeze".into()).unwrap().phase == Phase::Done
    });

    // The engine dies; the cockpit starts another one, which knows everything and repeats nothing.
    assert!(home.kill_engine());
    home.wait("another engine runs", SOON, |status| status.live && status.state.driver().is_some());
    assert_ne!(home.engine(), engine);

    let brink = "retire-old-web".into();
    drive(&home, &mut screen, "the brink", |status| {
        status.state.current().is_some_and(|step| step.id == brink) && status.state.gate.is_none()
    });
    agrees_with_route53(&home, Answer::New);
    assert_ne!(home.record_sets(), records);

    roll_back(&home, &mut screen);
    drive(&home, &mut screen, "everything undone", |status| status.state.rolled_back);
    assert_eq!(home.record_sets(), records, "the record sets are not as before");
    assert_eq!(home.runners(), runners, "what runs is not as before");
    agrees_with_route53(&home, Answer::Old);
    let compared = assert_agreement(&home);
    assert!(compared.acts >= 20 && compared.engines == 2, "{compared:?}");
    home.verify();
    end(&home, &mut screen);
    screen.assert_given_back();
    home.verify();
}

#[test]
fn by_hand_to_the_very_end() {
    let home = Home::new();
    let mut screen = home.rehearse(&["--speed", SPEED], WIDE);
    home.grant_the_least();
    drive(&home, &mut screen, "the end", |status| status.state.complete());
    let all = home.status().plan.steps.len();
    screen.wait_for(&format!("{all}/{all}"));
    let compared = assert_agreement(&home);
    assert!(compared.acts >= 11 && compared.intents == compared.acts, "{compared:?}");
    agrees_with_route53(&home, Answer::New);
    end(&home, &mut screen);
    home.verify();
    let status = home.json(&["status", "--json"]);
    assert_eq!((&status["complete"], &status["ended"]), (&Value::Bool(true), &Value::Bool(true)));
}

/// `status --json`, the authority as the engine sees it, and Route 53 itself say the same.
fn agrees_with_route53(home: &Home, answer: Answer) {
    home.wait("the authority seen so", SOON, |status| {
        status.summary().records.iter().all(|record| record.authority == Some(answer))
    });
    let status = home.json(&["status", "--json"]);
    let word = serde_json::to_value(answer).unwrap();
    let said = status["records"].as_array().unwrap();
    assert!(!said.is_empty() && said.iter().all(|record| record["authority"] == word), "{said:?}");
    let sets = home.record_sets();
    let target = |answer| match answer {
        Answer::New => "alb-1.us-east-1.elb.amazonaws.com",
        _ => "herokudns.test",
    };
    for record in said {
        let name = format!("<Name>{}.</Name>", record["name"].as_str().unwrap().trim_end_matches('.'));
        let of_name: Vec<_> = sets.split("<ResourceRecordSet>").filter(|set| set.contains(&name)).collect();
        assert!(!of_name.is_empty() && of_name.iter().all(|set| set.contains(target(answer))), "{of_name:?}");
    }
}
