//! One night in which nearly everything goes wrong that goes wrong in real cutovers, and what the screen says of each.
//! `tests/failures.rs` is the list of all, and names the tests of those that are staged elsewhere.

use std::{thread, time::Duration};

use aws_sdk_route53::types::{ChangeAction, ResourceRecord, ResourceRecordSet, RrType};
use cutover::{
    cli::sandbox_variables,
    clock::{Clock, wall_now},
    journal::SessionDir,
    plan::{Role, Side},
    run::{Answer, Cell, ConditionId, Direction, Expiring, HoldKind, Phase, conditions},
    sandbox::{Ports, SandboxConfig, scenario::Scenario, start},
    session::Status,
};
use jiff::SignedDuration;
use serde_json::json;

use super::{
    hands::drive,
    home::Home,
    terminal::{LOOK, Terminal, key},
};

const SIZE: (u16, u16) = (160, 48);
const SOON: Duration = Duration::from_secs(60);
const SAMPLE: &str = include_str!("../../config/acme-shop.toml");
const ZONE: &str = "Z0SANDBOX00000000001";

/// Short TTLs, resolvers that keep answers for longer, and a certificate that ends tomorrow.
const NIGHT: &str = r#"
about = "Names and certificates of a bad night"
[dns]
old_ttl = "20m"
[certificates]
old_days = 1
[resolvers]
minimum = { minimum-ttl = 86400 }
stubborn = { stubborn = 3600 }
"#;

/// What the team forgot: to stop the old workers, to set the sequences, to move the API.
const STEPS: [&str; 9] = [
    "lower-ttl",
    "drain",
    "freeze",
    "freeze-writes",
    "open-writes",
    "start-workers",
    "switch-shop",
    "unfreeze",
    "retire-old-web",
];

fn plan() -> String {
    let mut parts = SAMPLE.split("[[step]]\n");
    let head = parts.next().unwrap();
    let kept = parts.filter(|step| STEPS.iter().any(|id| step.starts_with(&format!("id = \"{id}\"\n"))));
    let steps = kept.fold(head.to_owned(), |all, step| all + "[[step]]\n" + step);
    let changed = [
        ("old_ttl = 1800 ", "old_ttl = 1200 "),
        ("window = \"150m\"", "window = \"72h\""),
        ("old_side_silent = \"\" ", "old_side_silent = \"5m\" "),
        ("needs = [\"drain\", \"lock-deploys\", \"safety-snapshot\"]\n", ""),
    ];
    let plan = changed.iter().fold(steps, |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    });
    // Orders are refused on the new side: no guardrail is to keep anybody from what comes after it.
    let plan = plan.replace("consequence = \"propose-rollback\"", "consequence = \"warn\"");
    plan.replace("consequence = \"hold\"", "consequence = \"warn\"").replace("demands_green = true", "")
}

#[test]
fn what_goes_wrong_with_names_and_owners_is_on_the_screen() {
    let home = Home::new();
    let (plan, night) = (home.file("plan.toml", &plan()), home.file("night.toml", NIGHT));
    let mut screen = home.open(&["rehearse", "--plan", &plan, "--scenario", &night, "--speed", "120"], SIZE);
    screen.wait_for("Lower TTL");
    the_old_certificate_ends_before_the_window(&home, &mut screen);
    a_chain_is_as_slow_as_its_longest_ttl(&mut screen);
    a_missing_name_is_remembered(&home, &mut screen);
    route_53_is_busy_and_slow(&home, &mut screen);
    a_ttl_lowered_too_late_locks_the_switch(&home, &mut screen);
    resolvers_stretch_the_ttl(&home, &screen);
    maintenance_mode_leaves_workers_running(&home, &mut screen);
    sequences_were_forgotten(&home, &mut screen);
    both_sides_would_run_one_queue(&home, &mut screen);
    a_failed_switch_leaves_the_old_database_frozen(&home, &mut screen);
    resolvers_serve_stale_answers(&home, &mut screen);
    connections_stay_on_the_old_side(&home, &mut screen);
    a_stray_address_of_the_other_family(&home, &mut screen);
    home.verify();
}

/// A real environment, as far as the program can tell: its AWS, Heroku, databases and names are the sandbox's.
#[test]
fn credentials_end_inside_the_window() {
    let (home, runtime) = (Home::new(), tokio::runtime::Runtime::new().unwrap());
    let scenario = Scenario::load("calm").unwrap();
    let config = SandboxConfig { clock: Clock::real(), scenario, state_dir: None, ports: Ports::default() };
    let sandbox = runtime.block_on(start(config)).unwrap();
    let given = sandbox_variables(sandbox.endpoints(), &SessionDir::new(std::env::temp_dir()));
    let real = SAMPLE.replace("kind = \"sandbox\"", "kind = \"staging\"");
    let plan = given.iter().fold(real, |text, (name, value)| text.replace(&format!("${{{name}}}"), value));
    let plan = home.file("plan.toml", &plan);
    // What somebody logged in for, as single sign-on hands it out.
    let until = (wall_now() + SignedDuration::from_mins(30)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let keys = json!({ "Version": 1, "AccessKeyId": "AKIAHALFANHOUR", "SecretAccessKey": "s", "Expiration": until });
    let keys = home.file("keys.json", &keys.to_string());
    let profile = home.file("config", &format!("[default]\ncredential_process = cat {keys}\n"));
    let variables = [
        ("AWS_CONFIG_FILE", profile.as_str()),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("HEROKU_API_KEY", "sandbox"),
    ];
    let mut look = home.open_with(&["preflight", &plan, "--env", "sandbox"], SIZE, &variables);
    look.wait("that they end", |text| line(text, &["ACTION", "AWS credentials last: they expire at "]).is_some());
    assert_eq!(look.exit().exit_code(), 1);
    let screen = home.open_with(&["run", &plan, "--env", "sandbox"], SIZE, &variables);
    screen.wait("that they end", |text| line(text, &["EXPIRES", "the AWS credentials end ", "renew it"]).is_some());
    runtime.block_on(sandbox.shutdown());
}

fn phase(status: &Status, step: &str) -> Phase {
    status.state.step(&step.into()).unwrap().phase
}

/// The gate of a step is shut by this condition.
fn locked(status: &Status, step: &str, by: ConditionId) -> bool {
    let all = conditions(&status.plan, &status.state, &step.into(), Direction::Forward, status.now);
    all.iter().any(|condition| condition.id == by && !condition.holds)
}

fn held(status: &Status, kind: HoldKind, words: &str) -> bool {
    status.summary().holds.iter().any(|hold| hold.kind == kind && hold.text.contains(words))
}

fn answers(status: &Status, resolver: &str, answer: Answer) -> bool {
    status.state.answers.iter().any(|known| known.resolver == resolver && known.answer == answer)
}

/// A line of the screen with all of these words.
fn line<'a>(text: &'a str, words: &[&str]) -> Option<&'a str> {
    text.lines().find(|line| words.iter().all(|word| line.contains(word)))
}

/// Follows the run to this step, whose pane is then the one that keys mean.
fn look_at(screen: &mut Terminal, title: &str) {
    screen.press("f");
    screen.wait(title, |text| text.contains(&format!("{title} ─")));
}

/// Route 53 refuses the next change.
fn refuse_a_change(home: &Home, status: u16, code: &str) {
    let mut fault =
        json!({ "kind": "error", "service": "route53", "operation": "ChangeResourceRecordSets", "times": 1 });
    (fault["status"], fault["code"]) = (status.into(), code.into());
    home.inject(&fault);
}

/// Opens a form with its key, types the word that it wants and the reason.
fn fill_in(screen: &mut Terminal, opens: &str, lines: &[&str]) {
    screen.press(opens);
    screen.wait_for(&format!("type {}", lines[0]));
    for words in lines {
        screen.type_in(words);
        screen.press(key::ENTER);
    }
}

fn the_old_certificate_ends_before_the_window(home: &Home, screen: &mut Terminal) {
    home.wait("its end", SOON, |status| held(status, HoldKind::Expiry, "the old side's certificates end"));
    screen.wait("its end", |text| line(text, &["EXPIRES", "the old side's certificates end", "renew it"]).is_some());
    screen.wait_for("Heroku certificate to ");
    // What ends late enough is shown as well: both sides, every host, and the credentials of both clouds.
    screen.press("4");
    screen.wait("all ends", |text| {
        let late = |words: &[&str]| line(text, words).is_some_and(|line| !line.contains("too early"));
        line(text, &["Certificates and credentials", "must last to ", "way back"]).is_some()
            && line(text, &["Heroku", "shop.example.test", "too early"]).is_some()
            && line(text, &["Heroku", "api.example.test", "too early"]).is_some()
            && late(&["AWS", "shop.example.test", " d "])
            && late(&["AWS ", "credentials", "no end is told"])
            && late(&["Heroku ", "credentials", " d "])
    });
    let [old, new, aws, heroku] =
        [Expiring::OldCertificate, Expiring::NewCertificate, Expiring::Credentials, Expiring::HerokuKey];
    home.wait("what lasts and what does not", SOON, |status| {
        let lasting = status.summary().lasting.into_iter();
        let lasts: Vec<_> = lasting.map(|one| (one.of, one.host.is_some(), one.seen, one.lasts)).collect();
        let count = |wanted| lasts.iter().filter(|one| **one == wanted).count();
        count((old, true, true, Some(false))) == 2
            && count((new, true, true, Some(true))) == 2
            && [aws, heroku].into_iter().all(|of| count((of, false, true, Some(true))) == 1)
    });
    screen.press("1");
}

/// Every hop with its own TTL, and the longest of them.
fn a_chain_is_as_slow_as_its_longest_ttl(screen: &mut Terminal) {
    screen.press("3");
    screen.wait("every hop", |text| {
        let words = ["honest ", "NOERROR", "shop.example.test. CNAME ", "acme-shop.herokudns.test."];
        text.contains("chain") && line(text, &words).is_some()
    });
}

/// Somebody deletes a name and makes it again: for how long it stays away is told, and that it is not ours.
fn a_missing_name_is_remembered(home: &Home, screen: &mut Terminal) {
    let set = home.record_set(ZONE, "api.example.test.", RrType::Cname);
    home.change_record(ZONE, ChangeAction::Delete, set.clone());
    screen.wait("that it is gone", |text| {
        let gone = line(text, &["authority ", "none", "negative", "NXDOMAIN"]);
        let words: Vec<_> = gone.unwrap_or_default().split_whitespace().skip_while(|word| *word != "none").collect();
        words.get(1).is_some_and(|ttl| ttl.starts_with(|c: char| c.is_ascii_digit()))
    });
    home.change_record(ZONE, ChangeAction::Create, set);
    home.wait("that it is back", SOON, |status| !status.state.answers.iter().any(|one| one.answer == Answer::Negative));
}

/// One change at a time, and minutes until it is in force: neither is taken for done.
fn route_53_is_busy_and_slow(home: &Home, screen: &mut Terminal) {
    refuse_a_change(home, 400, "PriorRequestNotComplete");
    home.inject(&json!({ "kind": "slow-change", "insync": "5m" }));
    screen.press("1");
    drive(home, screen, "the refusal", |status| phase(status, "lower-ttl") == Phase::Failed);
    screen.wait_for("PriorRequestNotComplete");
    drive(home, screen, "the change", |status| phase(status, "lower-ttl") == Phase::Running);
    screen.wait_for(" PENDING for ");
}

/// Nobody wants to wait for the old TTL: the lock of the switch does all the same.
fn a_ttl_lowered_too_late_locks_the_switch(home: &Home, screen: &mut Terminal) {
    drive(home, screen, "the lower TTL", |status| phase(status, "lower-ttl") == Phase::Done);
    let status = home.status();
    assert!(locked(&status, "switch-shop", ConditionId::Drain), "{:#?}", status.state.drains);
    look_at(screen, "Drain the old TTL");
    fill_in(screen, "s", &["skip drain", "it was lowered too late"]);
    home.wait("nobody drains", SOON, |status| phase(status, "drain") == Phase::Skipped);
    screen
        .wait("the countdown", |text| text.contains("shop, api drained in ") || text.contains("api, shop drained in "));
}

fn resolvers_stretch_the_ttl(home: &Home, screen: &Terminal) {
    home.wait("who stretches it", SOON, |status| answers(status, "minimum", Answer::OldStretched));
    screen.wait("who stretches it", |text| line(text, &["minimum", "stretches"]).is_some());
    assert!(locked(&home.status(), "switch-shop", ConditionId::Resolvers));
}

fn maintenance_mode_leaves_workers_running(home: &Home, screen: &mut Terminal) {
    drive(home, screen, "the maintenance page", |status| phase(status, "freeze") == Phase::Done);
    let cell = |status: &Status, role| status.state.runners.get(Side::Old, role);
    home.wait("no web", SOON, |status| cell(status, Role::Web) == Some(Cell::Off));
    assert_eq!(cell(&home.status(), Role::Worker), Some(Cell::On));
    screen.wait("the matrix", |text| line(text, &["Heroku  ", " off ", " on  "]).is_some());
}

/// Writes are not opened onto ids that exist already.
fn sequences_were_forgotten(home: &Home, screen: &mut Terminal) {
    drive(home, screen, "writes frozen", |status| phase(status, "freeze-writes") == Phase::Done);
    home.wait("why not", SOON, |status| held(status, HoldKind::Preview, "run postgres.sync-sequences first"));
    screen.wait("why not", |text| line(text, &["UNREADABLE", "open-writes", "sequence"]).is_some());
    look_at(screen, "Open writes on RDS");
    screen.wait_for("postgres.sync-sequences first");
    fill_in(screen, "s", &["skip open-writes", "not before the sequences are set"]);
    home.wait("going on without it", SOON, |status| phase(status, "open-writes") == Phase::Skipped);
}

fn both_sides_would_run_one_queue(home: &Home, screen: &mut Terminal) {
    home.wait("the interlock", SOON, |status| locked(status, "start-workers", ConditionId::Interlock));
    look_at(screen, "Start workers on ECS");
    screen.wait_for("LOCKED interlock: it would leave two worker runners, one on each side");
    thread::sleep(LOOK);
    screen.press(key::ENTER);
    thread::sleep(LOOK);
    assert!(home.status().state.gate.is_none(), "a gate opened:\n{}", screen.text());
    home.scale_heroku("worker", 0);
    drive(home, screen, "the workers", |status| phase(status, "start-workers") == Phase::Done);
}

/// Customers of the resolver stay on the old side for another while: somebody decides that they may, for one attempt.
fn past_the_resolvers(home: &Home, screen: &mut Terminal) {
    look_at(screen, "Switch the shop");
    screen.wait_for("LOCKED resolvers: minimum old, stretches the TTL");
    fill_in(screen, "o", &["resolvers", "nobody of ours asks it"]);
    home.wait("gone past it", SOON, |status| !locked(status, "switch-shop", ConditionId::Resolvers));
}

/// Nobody can write anywhere, and the screen says so, and how to go back.
fn a_failed_switch_leaves_the_old_database_frozen(home: &Home, screen: &mut Terminal) {
    past_the_resolvers(home, screen);
    refuse_a_change(home, 403, "AccessDenied");
    drive(home, screen, "the refusal", |status| phase(status, "switch-shop") == Phase::Failed);
    let writer = |side| home.status().state.runners.get(side, Role::Writer);
    assert_eq!([Side::Old, Side::New].map(writer), [Some(Cell::Off); 2], "frozen on both sides");
    screen.wait("the failure", |text| text.contains("AccessDenied"));
    screen.wait("both frozen", |text| {
        ["Heroku  ", "AWS  "]
            .iter()
            .all(|side| text.lines().any(|row| row.contains(side) && row.trim_end_matches(['│', ' ']).ends_with("off")))
    });
    screen.press("R");
    screen.wait("the way back", |text| {
        text.contains("[e] begin to roll back") && text.contains(". undo of Freeze writes on")
    });
    screen.press(key::ESC);
}

fn resolvers_serve_stale_answers(home: &Home, screen: &mut Terminal) {
    past_the_resolvers(home, screen);
    drive(home, screen, "the switch", |status| phase(status, "switch-shop") == Phase::Done);
    home.wait("who is stale", SOON, |status| answers(status, "stubborn", Answer::OldStale));
    screen.wait("who is stale", |text| line(text, &["stubborn", "stale"]).is_some());
}

/// The old web is not stopped while anybody still comes to it.
fn connections_stay_on_the_old_side(home: &Home, screen: &mut Terminal) {
    drive(home, screen, "the page off", |status| phase(status, "unfreeze") == Phase::Done);
    home.wait("no silence", SOON, |status| locked(status, "retire-old-web", ConditionId::Silence));
    look_at(screen, "Stop web on Heroku");
    screen.wait_for("LOCKED silence: no request may have reached Heroku for 5:00, and some did");
    screen.wait("the bar", |text| line(text, &["Heroku ", "/s", " AWS"]).is_some());
}

/// A browser that prefers the other family would go where nobody looks.
fn a_stray_address_of_the_other_family(home: &Home, screen: &mut Terminal) {
    let value = ResourceRecord::builder().value("2001:db8::1").build().unwrap();
    let set = ResourceRecordSet::builder().name("shop.example.test.").r#type(RrType::Aaaa).ttl(60);
    home.change_record(ZONE, ChangeAction::Create, set.resource_records(value).build().unwrap());
    home.wait("the stray", SOON, |status| answers(status, cutover::run::AUTHORITY, Answer::Other));
    screen.wait("the stray", |text| line(text, &["authority", "neither"]).is_some());
}
