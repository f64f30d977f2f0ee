//! Lost answers, refusals, stops: never sent twice, never called what it is not.

use std::net::SocketAddr;

use super::*;
use crate::world::testing::{Manner, nobody, server};

async fn first(stage: &Stage, step: &str) -> (StepContext, Change) {
    let ctx = stage.ctx(step);
    let change = preview(&ctx, Direction::Forward, &[]).await.unwrap().parts[0].change.clone();
    (ctx, change)
}

fn fault(text: &str) -> Scenario {
    Scenario::parse("test.toml", text).unwrap()
}

#[tokio::test]
async fn a_lost_answer_is_in_doubt_and_the_world_tells() {
    let stage = Stage::open("lost-answer", 120.0).await;
    let (ctx, change) = first(&stage, "switch-shop").await;
    let outcome = stage.apply(&ctx, &change).await;
    assert!(matches!(outcome, Outcome::InDoubt { .. }), "{outcome:?}");
    assert_eq!(observe(&ctx, &change, false).await, Observation::Done);
    let ledger = stage.ledger().await;
    assert_eq!(ledger.len(), 1, "sent once: {ledger:?}");
}

#[tokio::test]
async fn a_throttled_change_had_no_effect() {
    let stage = Stage::with(
        fault(
            "[[fault]]\nkind = \"error\"\nservice = \"route53\"\noperation = \"ChangeResourceRecordSets\"\n\
             status = 400\ncode = \"PriorRequestNotComplete\"\ntimes = 1",
        ),
        120.0,
    )
    .await;
    let (ctx, change) = first(&stage, "lower-ttl").await;
    let outcome = stage.apply(&ctx, &change).await;
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    assert_eq!(reason(&outcome).1, TroubleKind::Throttled);
    let seen = observe(&ctx, &change, false).await;
    assert!(matches!(&seen, Observation::NotDone { seen } if seen.contains("CNAME 1800")), "{seen:?}");
    assert_eq!(stage.ledger().await, []);
    stage.done(&ctx, &change).await;
}

#[tokio::test]
async fn servers_that_misbehave_leave_the_right_doubt() {
    let stage = Stage::open("calm", 120.0).await;
    let cases = [
        (Manner::Close, true),
        (Manner::answer(500, "", "oops"), true),
        (Manner::answer(200, "", "garbage"), true),
        (Manner::answer(403, "", ""), false),
    ];
    let database = ["restore", "safety-snapshot", "right-size", "promote-warehouse"];
    for step in ["lower-ttl", "freeze", "stop-old-jobs", "start-workers"].into_iter().chain(database) {
        let (ctx, change) = first(&stage, step).await;
        for (manner, in_doubt) in &cases {
            let (address, mut requests) = server(manner.clone()).await;
            let elsewhere = moved(&ctx, address).await;
            let outcome = stage.apply(&elsewhere, &change).await;
            assert_eq!(matches!(outcome, Outcome::InDoubt { .. }), *in_doubt, "{step} {manner:?}: {outcome:?}");
            assert!(requests.recv().await.is_some() && requests.try_recv().is_err(), "{step}: sent once");
            let seen = observe(&elsewhere, &change, false).await;
            assert!(matches!(seen, Observation::Unknown { .. }), "{step} {manner:?}: {seen:?}");
        }
        let outcome = stage.apply(&moved(&ctx, nobody()).await, &change).await;
        assert!(matches!(outcome, Outcome::Failed { .. }), "{step}: {outcome:?}");
        assert_eq!(reason(&outcome).1, TroubleKind::Unreachable);
    }
    assert_eq!(stage.ledger().await, []);
}

/// The same step with its services elsewhere.
async fn moved(ctx: &StepContext, address: SocketAddr) -> StepContext {
    let mut plan = (*ctx.plan).clone();
    plan.aws.endpoint = Some(format!("http://{address}"));
    if let Some(heroku) = &mut plan.heroku {
        heroku.api = Some(format!("http://{address}"));
    }
    let world = World::connect(&plan, ctx.clock).await.unwrap();
    StepContext { plan: Arc::new(plan), world, ..ctx.clone() }
}

#[tokio::test]
async fn stopped_before_it_was_sent_nothing_is_sent() {
    let stage = Stage::open("calm", 120.0).await;
    for step in ["lower-ttl", "freeze", "start-workers", "lock-deploys", "restore", "right-size"] {
        let (ctx, change) = first(&stage, step).await;
        ctx.stop.cancel();
        assert_eq!(apply(&ctx, &change, TOKEN).await, Outcome::Stopped, "{step}");
    }
    assert_eq!(stage.ledger().await, []);
}

#[tokio::test]
async fn stopped_while_it_spreads_the_change_stands_and_is_seen() {
    let stage = Stage::open("calm", 20.0).await;
    let (ctx, change) = first(&stage, "lower-ttl").await;
    let stop = ctx.stop.clone();
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        stop.cancel();
    };
    let (outcome, ()) = tokio::join!(apply(&ctx, &change, TOKEN), stopping);
    assert_eq!(outcome, Outcome::Stopped);
    let later = stage.ctx("lower-ttl");
    assert_eq!(observe(&later, &change, false).await, Observation::Done);
}

#[tokio::test]
async fn a_service_that_has_not_settled_is_not_done() {
    let stage = Stage::open("calm", 120.0).await;
    let (ctx, change) = first(&stage, "start-workers").await;
    stage.world.ecs().scale("acme", "worker", 2).await.unwrap();
    let early = observe(&ctx, &change, false).await;
    assert!(matches!(early, Observation::Unknown { .. }), "{early:?}");
}

#[tokio::test]
async fn a_lowered_ttl_that_is_not_served_yet_is_not_done() {
    let stage = Stage::open("calm", 2.0).await;
    let (ctx, change) = first(&stage, "lower-ttl").await;
    let Change::Records { zone_id, before, after } = &change else { panic!("{change:?}") };
    let batch = crate::plan::batch(before, after);
    stage.world.route53().change(zone_id, &batch, "elsewhere").await.unwrap();
    // The listing shows it at once; the name servers follow ten wall seconds later.
    let early = tokio::time::timeout(Duration::from_secs(4), observe(&ctx, &change, false)).await;
    assert!(!matches!(early, Ok(Observation::Done)), "{early:?}");
}

#[tokio::test]
async fn name_servers_that_cannot_be_asked_are_not_green() {
    let stage = Stage::open("calm", 120.0).await;
    let (ctx, change) = first(&stage, "lower-ttl").await;
    let mut plan = (*ctx.plan).clone();
    plan.dns.authority = vec![nobody()];
    let world = World::connect(&plan, ctx.clock).await.unwrap();
    let blind = StepContext { plan: Arc::new(plan), world, ..ctx.clone() };
    let outcome = stage.apply(&blind, &change).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "accepted and INSYNC: {outcome:?}");
    assert!(matches!(observe(&blind, &change, true).await, Observation::Unknown { .. }));
    assert_eq!(observe(&ctx, &change, true).await, Observation::Done);
}

#[tokio::test]
async fn a_frozen_database_is_not_done_while_sessions_live_that_the_freeze_did_not_reach() {
    let stage = Stage::open("calm", 60.0).await;
    let roles = vec!["acme_app".to_owned()];
    let kind = Kind::PostgresFreeze { side: Side::Old, method: WriteLock::ReadOnly, roles };
    let ctx = stage.ctx_of("freeze-writes", kind);
    let change = preview(&ctx, Direction::Forward, &[]).await.unwrap().parts[0].change.clone();
    let Change::WriteAccess { from, to, .. } = &change else { panic!("{change:?}") };
    let old = stage.world.postgres().unwrap().side(Side::Old);
    // As an attempt leaves it whose answer is lost.
    old.change_access(from, to).await.unwrap();
    let seen = observe(&ctx, &change, false).await;
    assert!(matches!(&seen, Observation::Unfinished { left } if left.contains("acme_app (")), "{seen:?}");
    let rest = preview(&ctx, Direction::Forward, &[]).await.unwrap();
    assert!(rest.facts.iter().any(|(label, _)| label == "already so"), "{:?}", rest.facts);
    let rest = rest.parts[0].change.clone();
    assert!(!rest.is_settled());
    stage.done(&ctx, &rest).await;
    let ability = old.ability(&"acme_app".to_owned()).await.unwrap();
    assert!(ability.sessions > 0 && !ability.may_write(), "the pools are back, and bound: {ability:?}");
    let back = preview(&ctx, Direction::Back, &[change.clone(), rest]).await.unwrap().parts[0].change.clone();
    assert_eq!(Some(back), change.reversed(), "to where the first attempt found it");
}
