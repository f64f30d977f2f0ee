//! One-off tasks and deployments: lines, exit codes, lost answers, stops, rollouts that fail.

use serde_json::json;

use super::*;
use crate::plan::{Class, TaskSpec};

async fn migration(stage: &Stage) -> (StepContext, Change) {
    first(stage.ctx("migrate")).await
}

async fn first(ctx: StepContext) -> (StepContext, Change) {
    let change = preview(&ctx, Direction::Forward, &[]).await.unwrap().parts[0].change.clone();
    (ctx, change)
}

fn spec(stage: &Stage) -> TaskSpec {
    let Kind::EcsRunTask(spec) = stage.ctx("migrate").step.kind else { panic!("another kind") };
    spec
}

impl Stage {
    async fn fault(&self, fault: serde_json::Value) {
        let url = format!("{}/sandbox/fault", self.sandbox.endpoints().control);
        assert_eq!(reqwest::Client::new().post(url).json(&fault).send().await.unwrap().status(), 201);
    }

    fn lines(&self) -> Vec<String> {
        let line = |sample| if let Sample::Output { line, .. } = sample { Some(line) } else { None };
        self.heard().into_iter().filter_map(line).collect()
    }
}

#[tokio::test]
async fn a_migration_shows_its_lines_and_is_put_back_by_another_task() {
    let stage = Stage::open("calm", 60.0).await;
    let applied = stage.run("migrate").await;
    let lines = stage.lines();
    for wanted in
        ["-- PENDING", "-- RUNNING", "$ bundle exec rails db:migrate", "IndexOrdersOnShippedAt: migrating", "done"]
    {
        assert_eq!(lines.iter().filter(|line| line.contains(wanted)).count(), 1, "{wanted}: {lines:?}");
    }
    let ctx = StepContext { token: "test/back".into(), ..stage.ctx("migrate") };
    let back = preview(&ctx, Direction::Back, &applied).await.unwrap().parts[0].change.clone();
    assert!(matches!(apply(&ctx, &back, "test/back").await, Outcome::Done { .. }));
    assert_eq!(observe(&ctx, &back, true).await, Observation::Done);
    let ledger = stage.ledger().await;
    let commands: Vec<_> = ledger.iter().map(|entry| entry.detail["task"]["to"][3].clone()).collect();
    assert_eq!(commands, [json!("db:migrate"), json!("db:rollback")]);
}

#[tokio::test]
async fn the_preview_shows_image_command_and_names_but_no_value() {
    let stage = Stage::open("calm", 120.0).await;
    let seen = preview(&stage.ctx("migrate"), Direction::Forward, &[]).await.unwrap();
    let rows: Vec<_> =
        seen.parts[0].change.rows().into_iter().map(|row| format!("{}: {}", row.label, row.after)).collect();
    assert_eq!(rows[0], "run: bundle exec rails db:migrate");
    assert_eq!(rows[1], "task: acme-release:42 release");
    assert!(rows[2].starts_with("image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/acme-shop@sha256:"), "{rows:?}");
    assert_eq!(rows[4], "network: subnet-0a1b2c3d4e5f60718 sg-0a1b2c3d4e5f60718");
    let fact = |label: &str| seen.facts.iter().find(|(known, _)| known == label).unwrap().1.clone();
    assert_eq!(fact("env names"), "RAILS_ENV RAILS_MAX_THREADS");
    assert!(fact("secret names").starts_with("DATABASE_URL "));
    assert_eq!(fact("lines"), "/ecs/acme-release acme/release/...");
    let all = format!("{seen:?}");
    assert!(!all.contains("production") && !all.contains("secretsmanager"), "no value: {all}");
    let family =
        stage.ctx_of("migrate", Kind::EcsRunTask(TaskSpec { definition: "acme-release".into(), ..spec(&stage) }));
    let (_, change) = first(family).await;
    assert!(matches!(change, Change::Task(task) if task.definition == "acme-release:42"), "the newest, by its number");
}

#[tokio::test]
async fn what_does_not_exist_is_told_before_the_gate() {
    let stage = Stage::open("calm", 120.0).await;
    for (spec, wanted) in [
        (TaskSpec { definition: "acme-release:7".into(), ..spec(&stage) }, "Unable to describe task definition"),
        (TaskSpec { container: Some("web".into()), ..spec(&stage) }, "no container `web`: release"),
    ] {
        let ctx = stage.ctx_of("migrate", Kind::EcsRunTask(spec));
        let trouble = preview(&ctx, Direction::Forward, &[]).await.unwrap_err();
        assert!(trouble.reason.contains(wanted), "{trouble:?}");
    }
}

#[tokio::test]
async fn the_exit_code_decides_and_a_way_back_stays_open() {
    let stage = Stage::open("calm", 120.0).await;
    stage.fault(json!({ "kind": "task-fails", "code": 3 })).await;
    let (ctx, change) = migration(&stage).await;
    let outcome = stage.apply(&ctx, &change).await;
    assert!(matches!(outcome, Outcome::InDoubt { .. }), "there is an undo: {outcome:?}");
    assert_eq!(reason(&outcome).0, "exit code 3: part of what it does may stand");
    assert!(stage.lines().iter().any(|line| line == "failed with exit code 3"));
    let seen = observe(&ctx, &change, false).await;
    assert!(matches!(&seen, Observation::Unknown { reason } if reason.contains("exit code 3")), "{seen:?}");

    let without = TaskSpec { undo_command: None, ..spec(&stage) };
    let smoke = TaskSpec { class: Class::ReadOnly, ..spec(&stage) };
    for (token, spec) in [("test/without", without), ("test/smoke", smoke)] {
        let ctx = StepContext { token: token.into(), ..stage.ctx_of("migrate", Kind::EcsRunTask(spec)) };
        let (ctx, change) = first(ctx).await;
        let outcome = apply(&ctx, &change, token).await;
        assert!(matches!(outcome, Outcome::Failed { .. }), "{token}: {outcome:?}");
        assert_eq!(reason(&outcome).0, "exit code 3");
        let seen = observe(&ctx, &change, false).await;
        assert_eq!(seen, Observation::NotDone { seen: "exit code 3".into() }, "{token}");
    }
}

#[tokio::test]
async fn a_task_whose_answer_was_lost_is_found_by_its_token() {
    let stage = Stage::open("calm", 60.0).await;
    stage.fault(json!({ "kind": "lose-answer", "service": "ecs", "operation": "RunTask", "times": 1 })).await;
    let (ctx, change) = migration(&stage).await;
    let outcome = stage.apply(&ctx, &change).await;
    assert!(matches!(outcome, Outcome::InDoubt { .. }), "{outcome:?}");
    let seen = observe(&ctx, &change, false).await;
    assert!(matches!(&seen, Observation::Unknown { reason } if reason.contains("is P")), "{seen:?}");
    let stranger = StepContext { token: "test/another".into(), ..ctx.clone() };
    let seen = observe(&stranger, &change, false).await;
    assert!(matches!(&seen, Observation::NotDone { seen } if seen.contains("no task was started")), "{seen:?}");
    tokio::time::sleep(ctx.clock.to_wall(Duration::from_secs(80))).await;
    assert_eq!(observe(&ctx, &change, false).await, Observation::Done);
    assert_eq!(stage.ledger().await.len(), 1, "started once");
}

#[tokio::test]
async fn the_same_token_starts_no_second_task() {
    let stage = Stage::open("calm", 120.0).await;
    let (ctx, change) = migration(&stage).await;
    let Change::Task(task) = &change else { panic!("{change:?}") };
    let arns =
        [ctx.world.ecs().run_task(task, TOKEN).await.unwrap(), ctx.world.ecs().run_task(task, TOKEN).await.unwrap()];
    assert_eq!(arns[0], arns[1]);
    assert_eq!(stage.ledger().await.len(), 1);
}

#[tokio::test]
async fn a_stopped_step_stops_its_task_and_says_what_became_of_it() {
    let stage = Stage::open("calm", 60.0).await;
    let (ctx, change) = migration(&stage).await;
    let stop = ctx.stop.clone();
    let stopping = async {
        // 45 seconds of session time: it runs.
        tokio::time::sleep(Duration::from_millis(750)).await;
        stop.cancel();
    };
    let (outcome, ()) = tokio::join!(apply(&ctx, &change, TOKEN), stopping);
    assert_eq!(outcome, Outcome::Stopped);
    let later = stage.ctx("migrate");
    let seen = observe(&later, &change, false).await;
    assert!(matches!(&seen, Observation::Unknown { reason } if reason.contains("exit code 143")), "{seen:?}");
    let actions: Vec<_> = stage.ledger().await.into_iter().map(|entry| entry.action).collect();
    assert_eq!(actions, ["RunTask", "StopTask"]);
}

#[tokio::test]
async fn logs_that_cannot_be_read_are_said_once_and_decide_nothing() {
    let stage = Stage::open("calm", 120.0).await;
    stage.fault(json!({ "kind": "error", "service": "logs", "status": 400, "code": "AccessDeniedException" })).await;
    stage.run("migrate").await;
    let lines = stage.lines();
    let told: Vec<_> =
        lines.iter().filter(|line| line.contains("its lines cannot be read: logs:GetLogEvents")).collect();
    assert_eq!(told.len(), 1, "{lines:?}");
}

/// By somebody who may: the plan does not deploy, and what it may do is not enough.
async fn deploy(stage: &Stage) {
    let config = stage.world.aws().act();
    let (client, iam) = (aws_sdk_ecs::Client::new(config), aws_sdk_iam::Client::new(config));
    let update = || client.update_service().cluster("acme").service("web").force_new_deployment(true).send();
    assert!(update().await.is_err(), "not with the plan's own policy");
    let all = json!({ "Statement": { "Effect": "Allow", "Action": "*", "Resource": "*" } }).to_string();
    iam.put_user_policy().user_name("sandbox").policy_name("deploys").policy_document(all).send().await.unwrap();
    update().await.unwrap();
    iam.delete_user_policy().user_name("sandbox").policy_name("deploys").send().await.unwrap();
}

#[tokio::test]
async fn waiting_follows_a_rolling_deployment_to_its_end() {
    let stage = Stage::open("calm", 120.0).await;
    let ctx = stage.ctx("web-stable");
    stage.done(&ctx, &Change::Nothing).await;
    assert_eq!(stage.lines(), [] as [String; 0], "what was before is no news");
    deploy(&stage).await;
    let began = ctx.clock.now();
    stage.done(&ctx, &Change::Nothing).await;
    assert!(ctx.clock.now().duration_since(began).as_secs() >= 43, "the new tasks came up first");
    let lines = stage.lines().join("\n");
    assert!(lines.contains("has stopped 2 running tasks") && lines.contains("deployment completed"), "{lines}");
}

#[tokio::test]
async fn a_rollout_that_failed_fails_the_step_with_the_reason() {
    let stage = Stage::open("calm", 120.0).await;
    stage.fault(json!({ "kind": "rollout-fails" })).await;
    deploy(&stage).await;
    let outcome = stage.apply(&stage.ctx("web-stable"), &Change::Nothing).await;
    let Outcome::Failed { trouble } = &outcome else { panic!("{outcome:?}") };
    assert!(trouble.reason.contains("rollout FAILED") && trouble.reason.contains("circuit breaker"), "{trouble:?}");
    assert_eq!(stage.world.ecs().service("acme", "web").await.unwrap().running, 2, "the old tasks still serve");
}

#[tokio::test]
async fn a_service_that_wants_no_task_does_not_become_stable() {
    let stage = Stage::open("calm", 120.0).await;
    let kind = Kind::EcsWaitStable { cluster: "acme".into(), services: vec!["web".into(), "worker".into()] };
    let outcome = stage.apply(&stage.ctx_of("web-stable", kind), &Change::Nothing).await;
    assert!(matches!(&outcome, Outcome::Failed { trouble } if trouble.reason.contains("wants no task")), "{outcome:?}");
}

#[tokio::test]
async fn a_request_that_arrives_late_starts_no_second_task() {
    for late_comes_first in [true, false] {
        let stage = Stage::open("calm", 60.0).await;
        let (ctx, change) = migration(&stage).await;
        let Change::Task(task) = &change else { panic!("another change") };
        // Of the first attempt nothing was seen; what it had sent arrives before the second one, or after it.
        assert!(matches!(observe(&ctx, &change, false).await, Observation::NotDone { .. }));
        let again = StepContext { token: "test/again".into(), earlier: vec![TOKEN.into()], ..ctx.clone() };
        let late = || stage.world.ecs().run_task(task, TOKEN);
        if late_comes_first {
            late().await.unwrap();
        }
        assert!(matches!(apply(&again, &change, "test/again").await, Outcome::Done { .. }));
        if !late_comes_first {
            late().await.unwrap();
        }
        assert_eq!(observe(&again, &change, true).await, Observation::Done);
        assert_eq!(stage.ledger().await.len(), 1, "one migration");
    }
}
