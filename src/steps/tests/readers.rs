//! What only reads, and commands.

use super::*;
use crate::{clock::monotonic, plan::Class};

#[tokio::test]
async fn a_suite_passes_on_the_new_side_and_names_what_fails() {
    let stage = Stage::open("calm", 60.0).await;
    stage.run("smoke").await;
    let lines =
        stage.heard().into_iter().filter(|one| matches!(one, Sample::Output { line, .. } if line.ends_with("ok")));
    assert_eq!(lines.count(), 24, "12 checks, twice");
    stage.world.heroku().unwrap().set_maintenance(true).await.unwrap();
    let sides = vec![crate::plan::Side::Old, crate::plan::Side::New];
    let checks = vec!["home".to_owned(), "login".to_owned()];
    let both = stage.ctx_of("smoke", Kind::CheckSuite { checks, sides, rounds: 1 });
    let outcome = stage.apply(&both, &Change::Nothing).await;
    let Outcome::Failed { trouble } = &outcome else { panic!("{outcome:?}") };
    assert_eq!((trouble.call.as_str(), trouble.kind), ("checks on Heroku", TroubleKind::Unexpected));
    assert!(trouble.reason.contains("home: status 503, wanted 200"), "{trouble:?}");
    let seen = observe(&both, &Change::Nothing, false).await;
    assert!(matches!(seen, Observation::NotDone { .. }), "{seen:?}");
    let empty = Kind::CheckSuite { checks: Vec::new(), sides: vec![crate::plan::Side::New], rounds: 1 };
    let outcome = stage.apply(&stage.ctx_of("smoke", empty), &Change::Nothing).await;
    assert!(matches!(outcome, Outcome::Failed { .. }), "no check is not a passed one: {outcome:?}");
}

#[tokio::test]
async fn a_drain_waits_out_the_ttl_and_then_for_the_resolvers() {
    let stage = Stage::open("calm", 600.0).await;
    let ctx = stage.ctx("drain");
    let until = ctx.clock.now() + jiff::SignedDuration::from_secs(1800);
    let ctx = StepContext { drained_at: Some(until), ..ctx };
    let agreeing = async {
        stage.health.send_replace(agreed(Err("minimum-600 stretches it".into())));
        tokio::time::sleep(Duration::from_millis(4500)).await;
        stage.health.send_replace(agreed(Ok(())));
        ctx.clock.now()
    };
    let (outcome, agreed_at) = tokio::join!(apply(&ctx, &Change::Nothing, TOKEN), agreeing);
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    assert!(agreed_at > until && ctx.clock.now() >= agreed_at, "neither before the TTL nor before the resolvers");
    let heard = stage.heard();
    assert!(heard.iter().any(|one| matches!(one, Sample::Progress { text, .. } if text.contains("minimum-600"))));
    let fractions: Vec<_> = heard.iter().filter_map(fraction).collect();
    assert!(fractions.len() > 3 && fractions.is_sorted(), "{fractions:?}");
    assert_eq!(observe(&ctx, &Change::Nothing, true).await, Observation::Done);
}

#[tokio::test]
async fn the_bar_of_a_drain_goes_on_where_it_was_when_another_engine_takes_it_up() {
    let stage = Stage::open("calm", 600.0).await;
    let ctx = stage.ctx("drain");
    let now = ctx.clock.now();
    let half_way = StepContext {
        begun_at: Some(now - jiff::SignedDuration::from_secs(1800)),
        drained_at: Some(now + jiff::SignedDuration::from_secs(1800)),
        ..ctx
    };
    let _ = tokio::time::timeout(Duration::from_millis(300), apply(&half_way, &Change::Nothing, TOKEN)).await;
    let first = stage.heard().iter().find_map(fraction);
    assert!(first.is_some_and(|fraction| (0.49..0.7).contains(&fraction)), "{first:?}");
}

fn agreed(verdict: Result<(), String>) -> Health {
    Health { resolvers: ["shop", "api"].map(|id| (id.to_owned(), verdict.clone())).into(), ..Health::default() }
}

#[tokio::test]
async fn resolvers_that_nobody_asked_do_not_agree() {
    let stage = Stage::open("calm", 600.0).await;
    let ctx = stage.ctx("drain");
    let waiting = tokio::time::timeout(Duration::from_secs(1), apply(&ctx, &Change::Nothing, TOKEN)).await;
    assert!(waiting.is_err(), "no data is not green: {waiting:?}");
}

fn fraction(sample: &Sample) -> Option<f32> {
    match sample {
        Sample::Progress { fraction, .. } => *fraction,
        _ => None,
    }
}

#[tokio::test]
async fn a_drain_can_be_stopped() {
    let stage = Stage::open("calm", 1.0).await;
    let ctx = stage.ctx("drain");
    let until = ctx.clock.now() + jiff::SignedDuration::from_hours(1);
    let ctx = StepContext { drained_at: Some(until), ..ctx };
    let stop = ctx.stop.clone();
    let started = monotonic();
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        stop.cancel();
    };
    let (outcome, ()) = tokio::join!(apply(&ctx, &Change::Nothing, TOKEN), stopping);
    assert_eq!(outcome, Outcome::Stopped);
    assert!(started.elapsed() < Duration::from_secs(2));
}

fn good() -> Health {
    Health { green: Ok(()), ..Health::default() }
}

#[tokio::test]
async fn a_watch_starts_anew_after_a_break_however_short() {
    let stage = Stage::open("calm", 60.0).await;
    let ctx = stage.ctx_of("watch", Kind::Watch { lasting: Duration::from_secs(60), old_side_silent: None });
    let started = monotonic();
    let breaking = async {
        stage.health.send_replace(good());
        tokio::time::sleep(Duration::from_millis(650)).await;
        stage.health.send_replace(Health { green: Err("5xx on AWS".into()), ..good() });
        tokio::time::sleep(Duration::from_millis(20)).await;
        stage.health.send_replace(good());
    };
    let (outcome, ()) = tokio::join!(apply(&ctx, &Change::Nothing, TOKEN), breaking);
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    assert!(started.elapsed() >= Duration::from_millis(1650), "a whole minute after the break");
    assert!(stage.heard().iter().any(|one| matches!(one, Sample::Output { line, .. } if line.contains("5xx on AWS"))));
}

#[tokio::test]
async fn a_watch_that_sees_nothing_does_not_end_well_but_can_be_stopped() {
    let stage = Stage::open("calm", 60.0).await;
    let ctx = stage.ctx_of("watch", Kind::Watch { lasting: Duration::from_secs(10), old_side_silent: None });
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        ctx.stop.cancel();
    };
    let (outcome, ()) = tokio::join!(apply(&ctx, &Change::Nothing, TOKEN), stopping);
    assert_eq!(outcome, Outcome::Stopped, "blind for far longer than it should hold");
}

#[tokio::test]
async fn the_old_side_must_be_silent_and_seen_to_be() {
    let stage = Stage::open("calm", 60.0).await;
    let silent = |seconds| Health { old_side_silent_for: Some(Duration::from_secs(seconds)), ..good() };
    let kind = Kind::Watch { lasting: Duration::from_secs(10), old_side_silent: Some(Duration::from_secs(300)) };
    for (health, ends) in [(good(), false), (silent(90), false), (silent(300), true)] {
        let ctx = stage.ctx_of("watch", kind.clone());
        stage.health.send_replace(health);
        let ended = tokio::time::timeout(Duration::from_millis(900), apply(&ctx, &Change::Nothing, TOKEN)).await;
        assert_eq!(ended.is_ok(), ends, "{ended:?}");
    }
}

fn exec(stage: &Stage, script: &str, file: &str, class: Class) -> StepContext {
    let argv = |text: &str| ["sh", "-c", text].map(str::to_owned).to_vec();
    let kind = Kind::Exec {
        apply: argv(script),
        observe: Some(argv(&format!("test -e {file}"))),
        undo: Some(argv(&format!("rm -f {file}"))),
        class,
    };
    stage.ctx_of("lock-deploys", kind)
}

#[tokio::test]
async fn a_command_goes_there_and_back_and_is_observed() {
    let stage = Stage::open("calm", 120.0).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lock").display().to_string();
    let ctx = exec(&stage, &format!("echo $CUTOVER_TOKEN; touch {file}"), &file, Class::Reversible);
    let change = preview(&ctx, Direction::Forward, &[]).await.unwrap().parts[0].change.clone();
    assert!(!std::fs::exists(&file).unwrap(), "a preview runs nothing");
    let seen = observe(&ctx, &change, false).await;
    assert!(matches!(seen, Observation::NotDone { .. }), "{seen:?}");
    stage.done(&ctx, &change).await;
    let expected = "test/1.0";
    assert!(stage.heard().iter().any(|one| matches!(one, Sample::Output { line, .. } if line == expected)));
    let undo = preview(&ctx, Direction::Back, &[change]).await.unwrap().parts[0].change.clone();
    let seen = observe(&ctx, &undo, false).await;
    assert!(matches!(seen, Observation::NotDone { .. }), "the undo is not done while the file is there: {seen:?}");
    stage.done(&ctx, &undo).await;
    assert!(!std::fs::exists(&file).unwrap());
}

#[tokio::test]
async fn a_command_that_fails_half_way_is_in_doubt_unless_it_only_reads() {
    let stage = Stage::open("calm", 120.0).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lock").display().to_string();
    let script = format!("touch {file}; exit 4");
    let ctx = exec(&stage, &script, &file, Class::Reversible);
    let change = preview(&ctx, Direction::Forward, &[]).await.unwrap().parts[0].change.clone();
    let outcome = stage.apply(&ctx, &change).await;
    assert!(matches!(outcome, Outcome::InDoubt { .. }), "{outcome:?}");
    assert_eq!(reason(&outcome).0, "exit code 4");
    assert_eq!(observe(&ctx, &change, false).await, Observation::Done, "half way was far enough");
    let reader = exec(&stage, &script, &file, Class::ReadOnly);
    assert!(matches!(stage.apply(&reader, &change).await, Outcome::Failed { .. }));
}

#[tokio::test]
async fn a_command_without_an_observer_is_known_by_its_end_alone() {
    let stage = Stage::open("calm", 120.0).await;
    let argv = vec!["true".to_owned()];
    let kind = Kind::Exec { apply: argv.clone(), observe: None, undo: None, class: Class::Reversible };
    let ctx = stage.ctx_of("lock-deploys", kind);
    let change = preview(&ctx, Direction::Forward, &[]).await.unwrap().parts[0].change.clone();
    stage.done(&ctx, &change).await;
    assert!(matches!(observe(&ctx, &change, false).await, Observation::Unknown { .. }));
    let failing = vec!["false".to_owned()];
    let half = Change::Command { argv: failing, observe: None, undo: None, undoing: false };
    let outcome = stage.apply(&ctx, &half).await;
    assert!(matches!(outcome, Outcome::InDoubt { .. }), "how far it came nobody knows: {outcome:?}");
    let missing =
        Change::Command { undoing: false, argv: vec!["/nonexistent/program".into()], observe: None, undo: None };
    assert!(matches!(stage.apply(&ctx, &missing).await, Outcome::Failed { .. }));
    let kind =
        Kind::Exec { apply: vec!["no-such-program".into()], observe: None, undo: None, class: Class::Reversible };
    let trouble = preview(&stage.ctx_of("lock-deploys", kind), Direction::Forward, &[]).await.unwrap_err();
    assert!(trouble.reason.contains("no program `no-such-program`"), "{}", trouble.reason);
}
