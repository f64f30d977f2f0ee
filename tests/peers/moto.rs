//! RDS as somebody else wrote it: our client and steps against moto, which knows promotion and blue/green deployments, and
//! which holds signed calls against the caller's policies.
//!
//! What moto enforces is the action alone: it asks every policy about the resource `*`, and does not know the condition
//! keys of the services. So what `cutover iam` writes is widened to `*` for it; resources and conditions are held by the
//! sandbox (`src/preflight/tests/stage.rs`). It cannot simulate either: the preflight says so, and finds what is missing
//! by the calls that it makes itself.
//!
//! `tests/peers/moto.sh` starts it and names it in `CUTOVER_MOTO`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may panic as the test itself")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use aws_credential_types::Credentials;
use aws_sdk_rds::{Client, config::Region};
use cutover::{
    clock::Clock,
    plan::{Plan, StepId, load},
    preflight::{Look, Progress, driver, gather, judge},
    run::{Change, Direction, Finding, Observation, Outcome, Preview, Standing, TroubleKind},
    steps::{Health, StepContext, apply, observe, preview},
    world::World,
};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const PLAN: &str = r#"
name = "moto"
title = "A peer's RDS"

[environments.peer]
kind = "staging"

[aws]
region = "us-east-1"
endpoint = "${endpoint}"

[vars]
endpoint = ""

[dns]
resolvers = ["127.0.0.1"]

[sides.old]
label = "old"
address = "127.0.0.1"

[sides.new]
label = "new"
address = "127.0.0.1"

[[step]]
id = "snapshot"
title = "Snapshot"
kind = "rds.snapshot"
instance = "shop"
prefix = "before"

[[step]]
id = "restore"
title = "Restore"
kind = "rds.restore-snapshot"
instance = "shop"
to = "shop-scratch"
class = "db.t4g.medium"

[[step]]
id = "switch"
title = "Switch over"
kind = "rds.switchover"
deployment = "right-size"
switchover_timeout = "60s"

[[step]]
id = "promote"
title = "Promote"
kind = "rds.promote-replica"
replica = "warehouse"
"#;

const TOKEN: &str = "session/step/forward/1.0";

/// The peer, a client of its own to prepare it, and ours.
struct Peer {
    direct: Client,
    iam: aws_sdk_iam::Client,
    endpoint: String,
    plan: Arc<Plan>,
    world: World,
}

impl Peer {
    async fn meet() -> Self {
        let endpoint = std::env::var("CUTOVER_MOTO").expect("tests/peers/moto.sh names the peer in CUTOVER_MOTO");
        let given = BTreeMap::from([("endpoint".to_owned(), endpoint.clone())]);
        let plan = load(PLAN, "moto.toml", "peer", &given).unwrap_or_else(|errors| panic!("{}", errors.render(false)));
        let config = aws_sdk_rds::Config::builder()
            .behavior_version_latest()
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("AKIAPEER", "none", None, None, "test"))
            .endpoint_url(endpoint.clone());
        let iam = aws_sdk_iam::Config::builder()
            .behavior_version_latest()
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("AKIAPEER", "none", None, None, "test"))
            .endpoint_url(endpoint.clone());
        let world = World::connect(&plan, Clock::real()).await.unwrap();
        let iam = aws_sdk_iam::Client::from_conf(iam.build());
        Self { direct: Client::from_conf(config.build()), iam, endpoint, plan: Arc::new(plan), world }
    }

    /// From now on every call is held against this policy; None: nothing is.
    async fn enforce(&self, policy: Option<&Value>) {
        self.count("1000000000").await;
        if let Some(policy) = policy {
            let put = self.iam.put_user_policy().user_name("cutover").policy_name("cutover");
            put.policy_document(policy.to_string()).send().await.unwrap();
            self.count("0").await;
        }
    }

    /// How many calls go through before they are held against policies.
    async fn count(&self, calls: &'static str) {
        let url = format!("{}/moto-api/reset-auth", self.endpoint);
        reqwest::Client::new().post(url).body(calls).send().await.unwrap().error_for_status().unwrap();
    }

    async fn preflight(&self) -> Vec<Finding> {
        let facts = gather(&self.plan, &self.world, self.world.clock(), Look::Whole, &Progress::default()).await;
        judge(&self.plan, &facts)
    }

    /// A database, its replica, and a smaller one that waits to take over.
    async fn prepare(&self) {
        let create = self.direct.create_db_instance().db_instance_identifier("shop").engine("postgres");
        let create = create.db_instance_class("db.m6g.xlarge").allocated_storage(100);
        create.master_username("acme").master_user_password("nobody-knows").send().await.unwrap();
        let replica = self.direct.create_db_instance_read_replica().db_instance_identifier("warehouse");
        replica.source_db_instance_identifier("shop").send().await.unwrap();
        let shop = self.direct.describe_db_instances().db_instance_identifier("shop").send().await.unwrap();
        let source = shop.db_instances()[0].db_instance_arn().unwrap();
        let deployment = self.direct.create_blue_green_deployment().blue_green_deployment_name("right-size");
        deployment.source(source).target_db_instance_class("db.m6g.large").send().await.unwrap();
    }

    fn ctx(&self, step: &str) -> StepContext {
        StepContext {
            plan: self.plan.clone(),
            step: self.plan.step(&StepId::from(step)).unwrap().clone(),
            attempt: 1,
            token: TOKEN.into(),
            earlier: Vec::new(),
            world: self.world.clone(),
            clock: self.world.clock(),
            drained_at: None,
            begun_at: None,
            health: watch::channel(Health::default()).1,
            stop: CancellationToken::new(),
            tell: Arc::new(|_| ()),
        }
    }

    async fn preview(&self, step: &str, direction: Direction, applied: &[Change]) -> Preview {
        let seen = preview(&self.ctx(step), direction, applied).await;
        seen.unwrap_or_else(|trouble| panic!("{step}: {}: {}", trouble.call, trouble.reason))
    }

    /// Previews, applies and observes a step, as the engine does; gives back what was applied.
    async fn run(&self, step: &str, direction: Direction, applied: &[Change]) -> Vec<Change> {
        let change = self.preview(step, direction, applied).await.parts[0].change.clone();
        let outcome = apply(&self.ctx(step), &change, TOKEN).await;
        assert!(matches!(outcome, Outcome::Done { .. }), "{step}: {outcome:?}");
        assert_eq!(observe(&self.ctx(step), &change, true).await, Observation::Done, "{step}");
        vec![change]
    }
}

/// A policy without its resources and conditions.
fn widened(policy: &Value) -> Value {
    let mut policy = policy.clone();
    for statement in policy["Statement"].as_array_mut().unwrap() {
        statement["Resource"] = json!("*");
        statement.as_object_mut().unwrap().remove("Condition");
    }
    policy
}

/// The same policy without one action.
fn without(policy: &Value, action: &str) -> Value {
    let mut policy = policy.clone();
    for statement in policy["Statement"].as_array_mut().unwrap() {
        statement["Action"].as_array_mut().unwrap().retain(|known| known != action);
    }
    policy["Statement"].as_array_mut().unwrap().retain(|one| !one["Action"].as_array().unwrap().is_empty());
    policy
}

#[tokio::test]
async fn every_step_on_rds_does_at_a_peer_what_it_does_in_the_sandbox() {
    let peer = Peer::meet().await;
    let nothing = preview(&peer.ctx("snapshot"), Direction::Forward, &[]).await.unwrap_err();
    assert_eq!(nothing.kind, TroubleKind::Unexpected);
    assert!(nothing.reason.contains("no instance shop"), "{}", nothing.reason);
    peer.prepare().await;
    let policy = widened(&driver(&peer.plan, None).document);
    peer.enforce(Some(&policy)).await;

    peer.run("snapshot", Direction::Forward, &[]).await;
    let taken = peer.world.rds().snapshot("before-1").await.unwrap().unwrap();
    assert_eq!((taken.instance.as_str(), taken.status.as_str()), ("shop", "available"));
    let twice = peer.world.rds().take("shop", "before-1", &[]).await.unwrap_err();
    assert!(!twice.in_doubt && twice.trouble.reason.contains("DBSnapshotAlreadyExists"), "{twice}");

    let restored = peer.run("restore", Direction::Forward, &[]).await;
    let copy = peer.world.rds().instance("shop-scratch").await.unwrap().unwrap();
    assert_eq!((copy.class.as_str(), copy.tags["cutover:snapshot"].as_str()), ("db.t4g.medium", "before-1"));
    assert!(peer.preview("restore", Direction::Forward, &[]).await.parts[0].change.is_settled(), "already so");
    peer.run("restore", Direction::Back, &restored).await;
    assert_eq!(peer.world.rds().instance("shop-scratch").await.unwrap(), None);

    peer.run("switch", Direction::Forward, &[]).await;
    let serves = peer.world.rds().instance("shop").await.unwrap().unwrap();
    assert_eq!(serves.class, "db.m6g.large", "the smaller one took over under the same name");
    assert!(peer.preview("switch", Direction::Forward, &[]).await.parts[0].change.is_settled());
    let again = peer.world.rds().deployment("right-size").await.unwrap();
    let again = peer.world.rds().switch_over(&again.id, Duration::from_secs(60)).await.unwrap_err();
    assert!(!again.in_doubt && again.trouble.reason.contains("InvalidBlueGreenDeploymentState"), "{again}");

    let seen = peer.preview("promote", Direction::Forward, &[]).await;
    assert!(seen.facts.iter().any(|(label, _)| label == "lag"), "{seen:?}");
    // moto accepts a promotion and goes on naming the source, which RDS does not: what is not seen is not called done.
    let (change, ctx) = (&seen.parts[0].change, peer.ctx("promote"));
    let stop = ctx.stop.clone();
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        stop.cancel();
    };
    let (outcome, ()) = tokio::join!(apply(&ctx, change, TOKEN), stopping);
    assert_eq!(outcome, Outcome::Stopped, "accepted, and followed until somebody stops it");
    let shown = observe(&peer.ctx("promote"), change, false).await;
    assert!(matches!(&shown, Observation::NotDone { seen } if seen.contains("still replicates")), "{shown:?}");
    one_permission_less_is_named(&peer, &policy).await;
}

async fn one_permission_less_is_named(peer: &Peer, policy: &Value) {
    let findings = peer.preflight().await;
    for finding in &findings {
        let simulated = finding.id.starts_with("permission:");
        let expected = if simulated { Standing::Unknown } else { Standing::Passed };
        assert_eq!(finding.standing, expected, "{finding:?}");
    }
    // Each action by itself: what the preflight reads is named by what it reads, and of no other it says that it is allowed.
    let reads = [("rds:DescribeDBSnapshots", "snapshot:shop"), ("rds:DescribeDBInstances", "instance:warehouse")];
    let all = policy["Statement"].as_array().unwrap().iter().flat_map(|one| one["Action"].as_array().unwrap());
    let all: BTreeSet<_> = all.map(|action| action.as_str().unwrap()).collect();
    assert!(all.len() > 8 && reads.iter().all(|(action, _)| all.contains(action)), "{all:?}");
    for action in all {
        peer.enforce(Some(&without(policy, action))).await;
        let findings = peer.preflight().await;
        let of = |id: &str| findings.iter().find(|finding| finding.id == id);
        let permission = of(&format!("permission:{action}")).unwrap();
        assert!(permission.standing != Standing::Passed && permission.title.contains(action), "{permission:?}");
        if let Some((_, id)) = reads.iter().find(|(known, _)| *known == action) {
            let finding = of(id).unwrap();
            assert_eq!(finding.standing, Standing::ActionRequired, "{finding:?}");
            assert!(finding.remedy.as_ref().unwrap().contains(action), "{finding:?}");
        }
    }
    // A change that is not allowed is refused, by its name, and known to have had no effect.
    peer.enforce(Some(&without(policy, "rds:CreateDBSnapshot"))).await;
    let refused = peer.world.rds().take("shop", "before-2", &[]).await.unwrap_err();
    assert!(!refused.in_doubt && refused.trouble.kind == TroubleKind::Credentials, "{refused}");
    assert!(refused.to_string().contains("rds:CreateDBSnapshot"), "{refused}");
    each_step_and_each_undo_is_refused_by_its_name(peer, policy).await;
    peer.enforce(None).await;
}

/// What is taken away is missed where it is used, on the way there and on the way back, and nothing has happened then.
async fn each_step_and_each_undo_is_refused_by_its_name(peer: &Peer, policy: &Value) {
    let refused = async |step: &str, change: &Change, action: &str| {
        peer.enforce(Some(&without(policy, action))).await;
        let outcome = apply(&peer.ctx(step), change, TOKEN).await;
        let Outcome::Failed { trouble } = &outcome else { panic!("{step} without {action}: {outcome:?}") };
        assert_eq!(trouble.kind, TroubleKind::Credentials, "{trouble:?}");
        assert!(format!("{}: {}", trouble.call, trouble.reason).contains(action), "{trouble:?}");
        peer.enforce(Some(policy)).await;
    };
    let there = peer.preview("restore", Direction::Forward, &[]).await.parts[0].change.clone();
    refused("restore", &there, "rds:RestoreDBInstanceFromDBSnapshot").await;
    assert_eq!(peer.world.rds().instance("shop-scratch").await.unwrap(), None);
    let restored = peer.run("restore", Direction::Forward, &[]).await;
    let back = peer.preview("restore", Direction::Back, &restored).await.parts[0].change.clone();
    refused("restore", &back, "rds:DeleteDBInstance").await;
    assert!(peer.world.rds().instance("shop-scratch").await.unwrap().is_some());
    peer.run("restore", Direction::Back, &restored).await;
    let promote = peer.preview("promote", Direction::Forward, &[]).await.parts[0].change.clone();
    refused("promote", &promote, "rds:PromoteReadReplica").await;
}
