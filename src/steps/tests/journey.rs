//! There and back again.

use super::*;
use crate::world::route53::same;

#[tokio::test]
async fn records_go_there_in_stages_and_come_back_to_the_letter() {
    let stage = Stage::open("calm", 120.0).await;
    let before = [stage.zone("shop").await, stage.zone("api").await];
    let lowered = stage.run("lower-ttl").await;
    assert!(matches!(&lowered[0], Change::Records { before, after, .. } if before.len() == 2 && after.len() == 2));
    assert_eq!([stage.zone("shop").await[0].ttl, stage.zone("api").await[0].ttl], [Some(60); 2]);

    let ctx = stage.ctx("switch-api");
    let parts = preview(&ctx, Direction::Forward, &[]).await.unwrap().parts;
    assert_eq!(parts.iter().map(|part| part.bake.as_secs()).collect::<Vec<_>>(), [120, 120, 0]);
    let mut applied = Vec::new();
    for (done, part) in parts.iter().enumerate() {
        let rest = preview(&ctx, Direction::Forward, &applied).await.unwrap().parts;
        assert_eq!(rest, parts[done..], "what remains is what was consented to");
        stage.done(&ctx, &part.change).await;
        applied.push(part.change.clone());
        let weights: Vec<_> = stage.zone("api").await.into_iter().map(|set| set.weighted.map(|w| w.weight)).collect();
        let expected: &[_] = [&[Some(10), Some(90)][..], &[Some(50), Some(50)], &[None]][done];
        assert!(
            weights.iter().all(|weight| expected.contains(weight)) && weights.len() == expected.len(),
            "{weights:?}"
        );
    }
    let switched = stage.run("switch-shop").await;
    assert!(stage.zone("shop").await[0].alias.is_some(), "the CNAME became an alias in one batch");

    stage.undo("switch-shop", &switched).await;
    stage.undo("switch-api", &applied).await;
    stage.undo("lower-ttl", &lowered).await;
    assert_eq!([stage.zone("shop").await, stage.zone("api").await], before, "to the letter");
    let ledger = stage.ledger().await;
    assert_eq!(ledger.len(), 8, "each change once: {ledger:?}");
}

#[tokio::test]
async fn half_way_through_its_stages_a_switch_can_be_put_back_at_once() {
    let stage = Stage::open("calm", 120.0).await;
    let before = stage.zone("api").await;
    let ctx = stage.ctx("switch-api");
    let parts = preview(&ctx, Direction::Forward, &[]).await.unwrap().parts;
    stage.done(&ctx, &parts[0].change).await;
    // The second stage was meant, but its answer was lost and it never arrived: the way home is still open.
    let meant = [parts[0].change.clone(), parts[1].change.clone()];
    assert!(preview(&ctx, Direction::Forward, &meant).await.is_err());
    stage.undo("switch-api", &meant).await;
    assert_eq!(stage.zone("api").await, before);
}

#[tokio::test]
async fn what_is_already_so_is_said_and_not_sent() {
    let stage = Stage::open("calm", 120.0).await;
    stage.run("lower-ttl").await;
    let again = preview(&stage.ctx("lower-ttl"), Direction::Forward, &[]).await.unwrap();
    assert_eq!(again.facts[0].0, "already so");
    let sent = stage.ledger().await.len();
    stage.done(&stage.ctx("lower-ttl"), &again.parts[0].change).await;
    let off = preview(&stage.ctx("unfreeze"), Direction::Forward, &[]).await.unwrap();
    assert_eq!(off.facts[0].0, "already so");
    stage.done(&stage.ctx("unfreeze"), &off.parts[0].change).await;
    assert_eq!(stage.ledger().await.len(), sent);
}

#[tokio::test]
async fn a_zone_that_is_not_as_the_plan_says_is_refused_with_both() {
    let stage = Stage::open("calm", 120.0).await;
    let record = stage.plan.record("api").unwrap();
    let theirs = RecordSet { values: vec!["somebody.else.test.".into()], ttl: Some(77), ..record.old.clone() };
    let batch = [(crate::plan::Action::Upsert, theirs)];
    stage.world.route53().change(&record.zone_id, &batch, "theirs").await.unwrap();
    for step in ["lower-ttl", "switch-api", "raise-ttl"] {
        let trouble = preview(&stage.ctx(step), Direction::Forward, &[]).await.unwrap_err();
        assert_eq!(trouble.kind, TroubleKind::Unexpected);
        assert!(trouble.reason.contains("should be `CNAME"), "{step}: {}", trouble.reason);
        assert!(trouble.reason.contains("is `api.example.test CNAME 77 somebody.else.test."), "{}", trouble.reason);
    }
    let ours = Change::Records {
        zone_id: record.zone_id.clone(),
        before: vec![record.old.clone()],
        after: vec![record.new.clone()],
    };
    let trouble = preview(&stage.ctx("switch-api"), Direction::Back, std::slice::from_ref(&ours)).await.unwrap_err();
    assert_eq!(trouble.kind, TroubleKind::Unexpected);
    assert!(matches!(observe(&stage.ctx("switch-api"), &ours, false).await, Observation::Unknown { .. }));
}

#[tokio::test]
async fn a_record_that_has_not_switched_keeps_its_lasting_ttl_from_being_raised() {
    let stage = Stage::open("calm", 120.0).await;
    let trouble = preview(&stage.ctx("raise-ttl"), Direction::Forward, &[]).await.unwrap_err();
    assert!(trouble.reason.contains(&stage.plan.record("api").unwrap().new.target()), "{}", trouble.reason);
}

#[tokio::test]
async fn heroku_and_ecs_go_there_and_back() {
    let stage = Stage::open("calm", 120.0).await;
    let mut applied = Vec::new();
    for step in ["freeze", "stop-old-jobs", "start-workers", "start-scheduler"] {
        applied.push((step, stage.run(step).await));
    }
    assert!(stage.world.heroku().unwrap().maintenance().await.unwrap());
    assert_eq!(stage.world.heroku().unwrap().formation().await.unwrap()["worker"].quantity, 0);
    assert!(stage.world.ecs().service("acme", "worker").await.unwrap().settled());
    for (step, changes) in applied.iter().rev() {
        stage.undo(step, changes).await;
    }
    assert!(!stage.world.heroku().unwrap().maintenance().await.unwrap());
    assert_eq!(stage.world.heroku().unwrap().formation().await.unwrap()["worker"].quantity, 1);
    assert_eq!(stage.world.ecs().service("acme", "worker").await.unwrap().running, 0);
    assert_eq!(stage.ledger().await.len(), 10, "worker and clock are noted one by one");
}

#[tokio::test]
async fn what_somebody_else_changed_is_not_put_back_blindly() {
    let stage = Stage::open("calm", 120.0).await;
    let (stopped, started) = (stage.run("stop-old-jobs").await, stage.run("start-workers").await);
    stage.world.heroku().unwrap().scale(&[("worker".to_owned(), 5)].into()).await.unwrap();
    stage.world.ecs().scale("acme", "worker", 9).await.unwrap();
    for (step, applied) in [("stop-old-jobs", &stopped), ("start-workers", &started)] {
        let trouble = preview(&stage.ctx(step), Direction::Back, applied).await.unwrap_err();
        assert_eq!(trouble.kind, TroubleKind::Unexpected, "{step}");
        assert!(trouble.reason.contains("should be") && trouble.reason.contains("and is"), "{}", trouble.reason);
        assert!(matches!(observe(&stage.ctx(step), &applied[0], false).await, Observation::Unknown { .. }));
    }
}

#[tokio::test]
async fn what_does_not_exist_is_named() {
    let stage = Stage::open("calm", 120.0).await;
    let formation = [("worker".to_owned(), 0), ("ghost".to_owned(), 0)].into();
    let ghost = stage.ctx_of("stop-old-jobs", Kind::HerokuScale { formation, old_side_silent: None });
    let trouble = preview(&ghost, Direction::Forward, &[]).await.unwrap_err();
    assert!(trouble.reason.contains("`ghost`"), "{}", trouble.reason);
    let service = Kind::EcsScale { cluster: "acme".into(), service: "ghost".into(), desired: 1 };
    let trouble = preview(&stage.ctx_of("start-workers", service), Direction::Forward, &[]).await.unwrap_err();
    assert!(trouble.reason.contains("acme/ghost is MISSING"), "{}", trouble.reason);
    let trouble = preview(&stage.ctx("freeze"), Direction::Back, &[]).await.unwrap_err();
    assert!(trouble.reason.contains("nothing to put back"));
}

#[tokio::test]
async fn a_previewed_world_is_left_alone() {
    let stage = Stage::open("calm", 120.0).await;
    let before = [stage.zone("shop").await, stage.zone("api").await];
    for step in &stage.plan.steps {
        let _any = preview(&stage.ctx(&step.id.0), Direction::Forward, &[]).await;
    }
    assert!(same(&before.concat(), &[stage.zone("shop").await, stage.zone("api").await].concat()));
    assert_eq!(stage.ledger().await, []);
}

#[tokio::test]
async fn credentials_of_another_account_are_refused_before_anything_is_read_or_sent() {
    let stage = Stage::open("calm", 120.0).await;
    let mut plan = (*stage.plan).clone();
    plan.aws.account = Some("999999999999".into());
    let plan = Arc::new(plan);
    let world = World::connect(&plan, stage.world.clock()).await.unwrap();
    for step in ["lower-ttl", "switch-api", "start-workers"] {
        let change = preview(&stage.ctx(step), Direction::Forward, &[]).await.unwrap().parts[0].change.clone();
        let ctx = StepContext { plan: plan.clone(), world: world.clone(), ..stage.ctx(step) };
        let trouble = preview(&ctx, Direction::Forward, &[]).await.unwrap_err();
        assert_eq!(trouble.kind, TroubleKind::Credentials, "{step}");
        assert!(trouble.reason.contains("the plan wants 999999999999"), "{}", trouble.reason);
        assert!(matches!(stage.apply(&ctx, &change).await, Outcome::Failed { .. }), "{step}");
    }
    assert_eq!(stage.ledger().await, []);
}

#[tokio::test]
async fn both_families_of_one_name_move_as_two_records() {
    let stage = Stage::open("calm", 120.0).await;
    let mut plan = (*stage.plan).clone();
    let zone_id = plan.record("api").unwrap().zone_id.clone();
    let set = |kind, value: &str, ttl| RecordSet {
        name: "dual.example.test.".into(),
        kind,
        ttl: Some(ttl),
        values: vec![value.into()],
        alias: None,
        weighted: None,
    };
    use crate::plan::{
        Action::Create,
        RecordType::{A, Aaaa},
    };
    for (id, kind, old, new) in [("dual4", A, "192.0.2.1", "192.0.2.2"), ("dual6", Aaaa, "2001:db8::1", "2001:db8::2")]
    {
        let record = plan.record("api").unwrap().clone();
        let (old, new) = (set(kind, old, 60), set(kind, new, 60));
        plan.records.push(crate::plan::Record { id: id.into(), old, new, ..record });
    }
    let stages = vec![crate::plan::Stage { percent: 50, bake: Duration::ZERO }];
    let kind = Kind::DnsSwitch { records: vec!["dual4".into(), "dual6".into()], stages };
    plan.steps.iter_mut().find(|step| step.id == "switch-api".into()).unwrap().kind = kind.clone();
    least_privilege(&plan, &stage.world).await;
    for record in &plan.records[2..] {
        stage.world.route53().change(&zone_id, &[(Create, record.old.clone())], "setup").await.unwrap();
    }
    let ctx = StepContext { plan: Arc::new(plan), ..stage.ctx_of("switch-api", kind) };
    let parts = preview(&ctx, Direction::Forward, &[]).await.unwrap().parts;
    let applied: Vec<_> = parts.into_iter().map(|part| part.change).collect();
    for change in &applied {
        stage.done(&ctx, change).await;
    }
    let values = |sets: &[RecordSet]| sets.iter().flat_map(|set| set.values.clone()).collect::<Vec<_>>();
    let Change::Records { after, .. } = &applied[1] else { panic!("{applied:?}") };
    assert_eq!(values(after), ["192.0.2.2", "2001:db8::2"]);
    let back = preview(&ctx, Direction::Back, &applied).await.unwrap().parts[0].change.clone();
    stage.done(&ctx, &back).await;
}
