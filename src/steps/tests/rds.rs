//! The steps on RDS against the sandbox: there, back, and where RDS or somebody else stands in the way.

use super::*;
use crate::{
    plan::{RdsKind, RestoreTarget},
    run::RdsChange,
};

fn fault(text: &str) -> Scenario {
    Scenario::parse("test.toml", &format!("[[fault]]\n{text}")).unwrap()
}

fn lost(operation: &str) -> Scenario {
    fault(&format!("kind = \"lose-answer\"\nservice = \"rds\"\noperation = \"{operation}\"\ntimes = 1"))
}

async fn change(ctx: &StepContext) -> Change {
    preview(ctx, Direction::Forward, &[]).await.unwrap().parts[0].change.clone()
}

async fn refused(ctx: &StepContext, direction: Direction, applied: &[Change]) -> String {
    let trouble = preview(ctx, direction, applied).await.unwrap_err();
    assert_eq!(trouble.kind, TroubleKind::Unexpected, "{}", trouble.reason);
    trouble.reason
}

/// Observes until nobody is in doubt any more.
async fn settled(ctx: &StepContext, change: &Change) -> Observation {
    for _ in 0..100 {
        match observe(ctx, change, false).await {
            Observation::Unknown { .. } => tokio::time::sleep(Duration::from_millis(100)).await,
            seen => return seen,
        }
    }
    observe(ctx, change, false).await
}

/// Words and fractions of the progress so far.
fn progress(stage: &Stage) -> Vec<(String, f32)> {
    let heard = stage.heard().into_iter();
    heard
        .filter_map(|sample| match sample {
            Sample::Progress { text, fraction, .. } => Some((text, fraction.unwrap())),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn a_copy_is_restored_of_the_newest_snapshot_and_deleted_again() {
    let stage = Stage::open("calm", 120.0).await;
    let ctx = stage.ctx("restore");
    let seen = preview(&ctx, Direction::Forward, &[]).await.unwrap();
    let all = stage.world.rds().snapshots("acme-shop").await.unwrap();
    let newest = all.iter().max_by_key(|snapshot| snapshot.created).unwrap();
    let Change::Rds(RdsChange::Restored { snapshot, target, from: false, to: true }) = &seen.parts[0].change else {
        panic!("{seen:?}")
    };
    assert_eq!((snapshot, target.instance.as_str(), all.len()), (&newest.id, "acme-shop-scratch", 7));
    assert!(seen.facts.iter().any(|(_, value)| value.contains(" min old, automated, of acme-shop")), "{seen:?}");

    let applied = stage.run("restore").await;
    let told = progress(&stage);
    assert!(told.iter().any(|(text, _)| text.starts_with("creating, about ") && text.contains("left of")), "{told:?}");
    assert!(told.iter().any(|(text, _)| text.starts_with("backing-up, ")), "{told:?}");
    assert!(told.windows(2).all(|pair| pair[0].1 <= pair[1].1), "it never goes back: {told:?}");
    let made = stage.world.rds().instance("acme-shop-scratch").await.unwrap().unwrap();
    assert_eq!((made.class.as_str(), made.protected), ("db.m6g.large", false));
    assert_eq!((made.tags["cutover:step"].as_str(), &made.tags["cutover:snapshot"]), ("restore", snapshot));
    assert_eq!(made.tags["cutover:attempt"], TOKEN);

    let again = preview(&ctx, Direction::Forward, &[]).await.unwrap();
    assert_eq!(again.facts[0].0, "already so");
    stage.done(&ctx, &again.parts[0].change).await;
    stage.undo("restore", &again.parts.iter().map(|part| part.change.clone()).collect::<Vec<_>>()).await;
    assert!(stage.world.rds().instance("acme-shop-scratch").await.unwrap().is_some(), "what stood before stays");

    stage.undo("restore", &applied).await;
    assert_eq!(stage.world.rds().instance("acme-shop-scratch").await.unwrap(), None);
    let gone = preview(&ctx, Direction::Back, &applied).await.unwrap();
    assert!(gone.parts[0].change.is_settled());
    assert_eq!(stage.ledger().await.len(), 2, "made once and deleted once");
}

#[tokio::test]
async fn what_this_step_did_not_make_is_neither_used_nor_deleted() {
    let stage = Stage::open("calm", 120.0).await;
    let of = |to: &str| {
        let target = RestoreTarget { instance: to.into(), ..RestoreTarget::default() };
        let kind = RdsKind::RestoreSnapshot {
            instance: "acme-shop".into(),
            snapshot: None,
            max_age: Duration::from_secs(86_400),
            target: target.clone(),
        };
        let snapshot = "rds:some-snapshot".to_owned();
        let made = Change::Rds(RdsChange::Restored { snapshot, target, from: false, to: true });
        (stage.ctx_of("restore", Kind::Rds(kind)), made)
    };
    let (theirs, made) = of("acme-shop-warehouse");
    for direction in [Direction::Forward, Direction::Back] {
        let reason = refused(&theirs, direction, std::slice::from_ref(&made)).await;
        assert!(reason.contains("acme-shop-warehouse exists and this step did not make it"), "{reason}");
    }
    let applied = stage.run("restore").await;
    let (ours, _) = of("acme-shop-scratch");
    let Change::Rds(RdsChange::Restored { target, .. }) = &applied[0] else { panic!("{applied:?}") };
    let other = RdsChange::Restored { snapshot: "another".into(), target: target.clone(), from: false, to: true };
    let reason = refused(&ours, Direction::Back, &[Change::Rds(other)]).await;
    assert!(reason.contains("should be made of another, and was made of rds:acme-shop-"), "{reason}");
    assert_eq!(stage.ledger().await.len(), 1);
}

#[tokio::test]
async fn a_snapshot_that_is_too_old_or_missing_is_refused_with_its_age() {
    let stage = Stage::open("calm", 1.0).await;
    let of = |snapshot: Option<&str>, hours: u64| {
        let target = RestoreTarget { instance: "copy".into(), ..RestoreTarget::default() };
        let (instance, snapshot) = ("acme-shop".into(), snapshot.map(str::to_owned));
        let max_age = Duration::from_secs(3600 * hours);
        stage.ctx_of("restore", Kind::Rds(RdsKind::RestoreSnapshot { instance, snapshot, max_age, target }))
    };
    let reason = refused(&of(None, 5), Direction::Forward, &[]).await;
    assert!(reason.contains("is 5 h 3") && reason.contains("no older than 5:00:00"), "{reason}");
    let reason = refused(&of(Some("rds:acme-shop-1999"), 24), Direction::Forward, &[]).await;
    assert!(reason.contains("should have an available snapshot rds:acme-shop-1999"), "{reason}");
    let all = stage.world.rds().snapshots("acme-shop").await.unwrap();
    let oldest = all.iter().min_by_key(|snapshot| snapshot.created).unwrap();
    let Change::Rds(RdsChange::Restored { snapshot, .. }) = change(&of(Some(&oldest.id), 24 * 8)).await else {
        panic!("another change")
    };
    assert_eq!(snapshot, oldest.id, "the named one, although there are newer ones");
}

#[tokio::test]
async fn a_restore_that_fails_stays_in_doubt_until_its_undo_has_deleted_it() {
    let stage = Stage::open("restore-fails", 120.0).await;
    let ctx = stage.ctx("restore");
    let change = change(&ctx).await;
    let outcome = stage.apply(&ctx, &change).await;
    assert!(matches!(outcome, Outcome::InDoubt { .. }), "what stands there must be put back: {outcome:?}");
    assert!(reason(&outcome).0.contains("restore-error"), "{outcome:?}");
    let seen = observe(&ctx, &change, false).await;
    assert!(matches!(&seen, Observation::Unknown { reason } if reason.contains("restore-error")), "{seen:?}");
    assert!(refused(&ctx, Direction::Forward, &[]).await.contains("exists already and is restore-error"));
    stage.undo("restore", &[change]).await;
    stage.run("restore").await;
}

#[tokio::test]
async fn lost_answers_are_observed_to_their_end_and_nothing_is_sent_twice() {
    let cases = [
        ("restore", "RestoreDBInstanceFromDBSnapshot"),
        ("safety-snapshot", "CreateDBSnapshot"),
        ("promote-warehouse", "PromoteReadReplica"),
        ("right-size", "SwitchoverBlueGreenDeployment"),
    ];
    for (step, operation) in cases {
        let stage = Stage::with(lost(operation), 120.0).await;
        let ctx = stage.ctx(step);
        let change = change(&ctx).await;
        let outcome = stage.apply(&ctx, &change).await;
        assert!(matches!(outcome, Outcome::InDoubt { .. }), "{step}: {outcome:?}");
        let early = observe(&ctx, &change, false).await;
        assert!(matches!(early, Observation::Unknown { .. }), "{step} is under way: {early:?}");
        assert_eq!(settled(&ctx, &change).await, Observation::Done, "{step}");
        assert_eq!(stage.ledger().await.len(), 1, "{step}");
    }
}

#[tokio::test]
async fn what_never_arrived_is_seen_as_not_done() {
    for (step, operation) in [("restore", "RestoreDBInstanceFromDBSnapshot"), ("safety-snapshot", "CreateDBSnapshot")] {
        let closed = format!("kind = \"close\"\nservice = \"rds\"\noperation = \"{operation}\"\ntimes = 1");
        let stage = Stage::with(fault(&closed), 120.0).await;
        let ctx = stage.ctx(step);
        let change = change(&ctx).await;
        assert!(matches!(stage.apply(&ctx, &change).await, Outcome::InDoubt { .. }), "{step}");
        let seen = observe(&ctx, &change, false).await;
        assert!(matches!(seen, Observation::NotDone { .. }), "{step}: {seen:?}");
        stage.done(&ctx, &change).await;
    }
}

#[tokio::test]
async fn each_safety_snapshot_has_a_number_of_its_own_and_stays() {
    let stage = Stage::open("calm", 120.0).await;
    let first = stage.run("safety-snapshot").await;
    let told = progress(&stage);
    assert!(told.iter().any(|(text, done)| text.starts_with("creating, ") && *done > 0.1), "RDS's percent: {told:?}");
    let second = stage.run("safety-snapshot").await;
    let name = |changes: &[Change]| match &changes[0] {
        Change::Rds(RdsChange::Snapshot { snapshot, .. }) => snapshot.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!([name(&first), name(&second)].map(|id| id.replace("acme-shop-before-cutover", "")), ["-1", "-2"]);
    assert_eq!(Change::reversal_of(&first), None, "nothing needs to be put back");
    let kept = stage.world.rds().snapshot(&name(&first)).await.unwrap().unwrap();
    assert_eq!((kept.kind.as_str(), kept.status.as_str()), ("manual", "available"));
    let missing = RdsKind::Snapshot { instance: "ghost".into(), prefix: "x".into() };
    let reason = refused(&stage.ctx_of("safety-snapshot", Kind::Rds(missing)), Direction::Forward, &[]).await;
    assert!(reason.contains("no instance ghost"), "{reason}");
}

#[tokio::test]
async fn a_replica_is_promoted_once_its_lag_is_seen() {
    let stage = Stage::open("calm", 120.0).await;
    let ctx = stage.ctx("promote-warehouse");
    let seen = preview(&ctx, Direction::Forward, &[]).await.unwrap();
    let fact = |label: &str| seen.facts.iter().find(|(known, _)| known == label).unwrap().1.clone();
    assert_eq!(fact("replicates"), "acme-shop");
    assert!(fact("lag").contains(" s at ") && fact("lag").ends_with(" UTC"), "{}", fact("lag"));
    let strict = RdsKind::PromoteReplica { replica: "acme-shop-warehouse".into(), max_lag: Some(Duration::ZERO) };
    let reason = refused(&stage.ctx_of("promote-warehouse", Kind::Rds(strict)), Direction::Forward, &[]).await;
    assert!(reason.contains("should be at most 0 s and is "), "{reason}");

    let applied = stage.run("promote-warehouse").await;
    assert_eq!(Change::reversal_of(&applied), None);
    let alone = stage.world.rds().instance("acme-shop-warehouse").await.unwrap().unwrap();
    assert_eq!((alone.source.as_deref(), alone.available()), (None, true));
    assert_eq!(preview(&ctx, Direction::Forward, &[]).await.unwrap().facts[0].0, "already so");
}

#[tokio::test]
async fn a_lag_that_cannot_be_read_is_not_a_small_one() {
    let blind = fault("kind = \"error\"\nservice = \"cloudwatch\"\nstatus = 400\ncode = \"AccessDenied\"");
    let stage = Stage::with(blind, 120.0).await;
    let reason = refused(&stage.ctx("promote-warehouse"), Direction::Forward, &[]).await;
    assert!(reason.contains("not known: AccessDenied"), "{reason}");
    let any = RdsKind::PromoteReplica { replica: "acme-shop-warehouse".into(), max_lag: None };
    let seen = preview(&stage.ctx_of("promote-warehouse", Kind::Rds(any)), Direction::Forward, &[]).await.unwrap();
    assert!(seen.facts.iter().any(|(_, value)| value.starts_with("not known")), "the plan demands none: {seen:?}");
}

#[tokio::test]
async fn the_smaller_database_takes_over_under_the_same_name() {
    let stage = Stage::open("calm", 120.0).await;
    let applied = stage.run("right-size").await;
    assert!(progress(&stage).iter().any(|(text, _)| text.starts_with("SWITCHOVER_IN_PROGRESS, ")));
    let class = async |id: &str| stage.world.rds().instance(id).await.unwrap().map(|instance| instance.class);
    assert_eq!(class("acme-shop").await.as_deref(), Some("db.m6g.large"));
    assert_eq!(class("acme-shop-old1").await.as_deref(), Some("db.m6g.xlarge"));
    assert_eq!(Change::reversal_of(&applied), None, "nothing switches it back");
    let again = preview(&stage.ctx("right-size"), Direction::Forward, &[]).await.unwrap();
    assert_eq!(again.facts[0].0, "already so");
    let other = RdsKind::Switchover { deployment: "ghost".into(), limit: Duration::from_secs(300) };
    let reason = refused(&stage.ctx_of("right-size", Kind::Rds(other)), Direction::Forward, &[]).await;
    assert!(reason.contains("no blue/green deployment ghost"), "{reason}");
}

#[tokio::test]
async fn a_switchover_that_rds_puts_back_failed_with_its_reason_and_can_be_tried_again() {
    let guardrail = "kind = \"switchover-fails\"\nreason = \"Replica lag is above the limit.\"\ntimes = 1";
    let stage = Stage::with(fault(guardrail), 120.0).await;
    let ctx = stage.ctx("right-size");
    let change = change(&ctx).await;
    let outcome = stage.apply(&ctx, &change).await;
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    assert!(reason(&outcome).0.contains("Replica lag is above the limit"), "{outcome:?}");
    let seen = observe(&ctx, &change, false).await;
    assert!(matches!(&seen, Observation::NotDone { seen } if seen.contains("Replica lag")), "{seen:?}");
    stage.done(&ctx, &change).await;
}

#[tokio::test]
async fn a_switchover_has_only_the_time_that_the_plan_gives_it() {
    let stage = Stage::open("calm", 120.0).await;
    let kind = RdsKind::Switchover { deployment: "acme-shop-right-size".into(), limit: Duration::from_secs(30) };
    let ctx = stage.ctx_of("right-size", Kind::Rds(kind));
    let outcome = stage.apply(&ctx, &change(&ctx).await).await;
    assert!(reason(&outcome).0.contains("within 30 seconds"), "{outcome:?}");
}
