//! The sample plan against the sandbox, and each finding staged to fail.

use std::sync::Arc;

use jiff::SignedDuration;

use super::super::{
    facts::Facts,
    gather::{Look, Progress, gather},
    judge::judge,
};
use crate::{
    clock::Clock,
    journal::SessionDir,
    plan::{OtherType, Plan, RecordSet, RecordType, load},
    run::{Finding, Standing, TroubleKind},
    sandbox::{Ports, Sandbox, SandboxConfig, scenario::Scenario, start},
    world::{World, route53::Found, trouble},
};

pub(super) struct Stage {
    pub(super) plan: Arc<Plan>,
    pub(super) world: World,
    _sandbox: Sandbox,
}

impl Stage {
    pub(super) async fn open() -> Self {
        let (clock, scenario) = (Clock::scaled(20.0), Scenario::load("calm").unwrap());
        let sandbox = start(SandboxConfig { clock, scenario, state_dir: None, ports: Ports::default() }).await.unwrap();
        let given = crate::cli::sandbox_variables(sandbox.endpoints(), &SessionDir::new("."));
        let plan =
            load(super::SAMPLE, "acme-shop.toml", "sandbox", &given).unwrap_or_else(|e| panic!("{}", e.render(false)));
        let world = World::connect(&plan, sandbox.endpoints().clock()).await.unwrap();
        Self { plan: Arc::new(plan), world, _sandbox: sandbox }
    }

    pub(super) async fn look(&self, look: Look) -> Facts {
        gather(&self.plan, &self.world, self.world.clock(), look, &Progress::default()).await
    }

    fn iam(&self) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(self.world.aws().act())
    }

    /// The user may do what this policy says, and nothing else.
    pub(super) async fn attach(&self, policy: &serde_json::Value) {
        let put = self.iam().put_user_policy().user_name("sandbox").policy_name("cutover");
        put.policy_document(policy.to_string()).send().await.unwrap();
        let _ = self.iam().delete_user_policy().user_name("sandbox").policy_name("everything").send().await;
    }
}

pub(super) fn wanting(findings: &[Finding]) -> Vec<String> {
    let not_passed = findings.iter().filter(|finding| finding.standing != Standing::Passed);
    not_passed.map(|one| format!("{} {}: {}", one.id, one.standing.word(), one.reason)).collect()
}

#[tokio::test]
async fn the_sandbox_passes_in_all_findings_and_a_quiet_look_in_those_that_stay() {
    let stage = Stage::open().await;
    let whole = judge(&stage.plan, &stage.look(Look::Whole).await);
    assert_eq!(wanting(&whole), Vec::<String>::new());
    let ids: std::collections::BTreeSet<_> = whole.iter().map(|finding| &finding.id).collect();
    assert_eq!(ids.len(), whole.len(), "each id once");
    let resolvers = whole.iter().find(|finding| finding.id == "resolvers").unwrap();
    assert!(resolvers.reason.starts_with("7 of 8 answer") && resolvers.reason.contains("dead"), "{resolvers:?}");
    let quiet = judge(&stage.plan, &stage.look(Look::Quiet { begun: stage.world.clock().now() }).await);
    assert_eq!(wanting(&quiet), Vec::<String>::new());
    let own: Vec<_> = quiet.iter().filter(|finding| !ids.contains(&finding.id)).map(|one| one.id.as_str()).collect();
    assert_eq!(own, ["config-values"], "of its own a quiet look has what is held against the first one");
    assert!(quiet.len() < whole.len() && quiet.iter().any(|finding| finding.id.starts_with("permission:")));
}

#[tokio::test]
async fn what_is_missing_in_the_world_is_found_by_name() {
    let stage = Stage::open().await;
    let config = stage.world.aws().act();
    let secrets = aws_sdk_secretsmanager::Client::new(config);
    secrets.delete_secret().secret_id("acme-shop/STRIPE_SECRET_KEY").send().await.unwrap();
    let findings = judge(&stage.plan, &stage.look(Look::Whole).await);
    let of_web = findings.iter().find(|finding| finding.id == "secrets:web").unwrap();
    assert_eq!(of_web.standing, Standing::ActionRequired);
    assert!(of_web.reason.contains("STRIPE_SECRET_KEY"), "{of_web:?}");
    let all = serde_json::to_string(&findings).unwrap();
    assert!(!all.contains("not-a-secret"), "no value of a config var is ever told");
}

type Change = fn(&mut Facts, &mut Plan);

fn gone(call: &str) -> crate::run::Trouble {
    trouble(call, TroubleKind::Unreachable, "no answer in time")
}

/// What is changed, which finding then fails, and how.
const STAGED: &[(&str, Change, &str, Standing, &str)] = &[
    (
        "another account",
        |_, plan| plan.aws.account = Some("999999999999".into()),
        "identity",
        Standing::ActionRequired,
        "999999999999",
    ),
    (
        "no answer of STS",
        |facts, _| facts.caller = Err(gone("sts:GetCallerIdentity")),
        "identity",
        Standing::Unknown,
        "no answer",
    ),
    (
        "may not simulate",
        |facts, _| facts.permissions[0].decisions = Err(gone("iam:SimulatePrincipalPolicy")),
        "permission:cloudwatch:GetMetricData",
        Standing::Unknown,
        "nobody can say",
    ),
    (
        "a denied action",
        |facts, _| facts.permissions[0].decisions.as_mut().unwrap()[0].allowed = false,
        "permission:cloudwatch:GetMetricData",
        Standing::ActionRequired,
        "cloudwatch:GetMetricData",
    ),
    (
        "credentials that end early",
        |facts, _| facts.credentials_until = Ok(Some(facts.at + SignedDuration::from_mins(100))),
        "credentials",
        Standing::ActionRequired,
        "expire at",
    ),
    (
        "no credentials",
        |facts, _| facts.credentials_until = Err(trouble("aws:credentials", TroubleKind::Credentials, "none")),
        "credentials",
        Standing::ActionRequired,
        "none",
    ),
    (
        "a key of Heroku's that ends early",
        |facts, _| facts.heroku_until = Some(Ok(Some(facts.at + SignedDuration::from_mins(100)))),
        "heroku-credentials",
        Standing::ActionRequired,
        "expire at",
    ),
    (
        "a certificate that ends early",
        |facts, _| {
            let new = facts.checks.iter_mut().filter(|run| run.target == crate::run::Target::New);
            new.for_each(|run| run.certificate_until = Some(run.at + SignedDuration::from_mins(100)));
        },
        "certificate:new:shop.example.test",
        Standing::ActionRequired,
        "expire at",
    ),
    (
        "a failing check",
        |facts, _| {
            let run = facts
                .checks
                .iter_mut()
                .find(|run| run.check == "cart" && run.target == crate::run::Target::New)
                .unwrap();
            (run.passing, run.reason) = (false, Some("status 500".into()));
        },
        "check:cart:new",
        Standing::ActionRequired,
        "status 500",
    ),
    (
        "a record of somebody else",
        |facts, _| facts.records[0].1.as_mut().unwrap()[0].set.values = vec!["else.test.".into()],
        "record:shop",
        Standing::ActionRequired,
        "else.test.",
    ),
    (
        "a record that cannot be read",
        |facts, _| facts.records[0].1 = Err(gone("route53:ListResourceRecordSets")),
        "record:shop",
        Standing::Unknown,
        "no answer",
    ),
    (
        "a stray address",
        |facts, _| facts.records[0].1.as_mut().unwrap().push(found(RecordType::Aaaa, "2001:db8::1")),
        "record:shop",
        Standing::ActionRequired,
        "AAAA",
    ),
    (
        "a routing policy",
        |facts, _| facts.records[1].1.as_mut().unwrap()[0].beyond = Some("a latency routing policy"),
        "batch:api",
        Standing::ActionRequired,
        "latency",
    ),
    (
        "mail beside the CNAME",
        |facts, _| facts.records[1].1.as_mut().unwrap().push(found(RecordType::Other(OtherType::Mx), "10 mx.test.")),
        "batch:api",
        Standing::ActionRequired,
        "MX",
    ),
    (
        "an apex without a way back",
        |facts, plan| {
            let zone = plan.records[0].zone_name.clone();
            plan.records[0].old.name = zone.clone();
            facts.records[0].1.as_mut().unwrap()[0].set.name = zone;
        },
        "batch:shop",
        Standing::ActionRequired,
        "the way back: a CNAME cannot stand at the zone's apex",
    ),
    (
        "a dead authority",
        |facts, _| facts.servers.last_mut().unwrap().negative_ttl = Err(gone("dns:SOA")),
        "server:",
        Standing::ActionRequired,
        "no answer",
    ),
    (
        "as many silent resolvers as others",
        |facts, _| facts.servers[..3].iter_mut().for_each(|server| server.negative_ttl = Err(gone("dns:SOA"))),
        "resolvers",
        Standing::ActionRequired,
        "only 4 of 8 answer",
    ),
    (
        "a resolver that denies the zone",
        |facts, _| facts.servers[1].negative_ttl = Err(trouble("dns:SOA", TroubleKind::Unexpected, "NXDOMAIN")),
        "resolvers",
        Standing::ActionRequired,
        "NXDOMAIN",
    ),
    (
        "no database",
        |facts, _| facts.databases[0].1 = Err(gone("postgres:old")),
        "database:old",
        Standing::Unknown,
        "no answer",
    ),
    ("a standby", |facts, _| db(facts, 1).standby = true, "database:new", Standing::ActionRequired, "standby"),
    (
        "no logical replication",
        |facts, _| db(facts, 0).wal_level = "replica".into(),
        "database:logical",
        Standing::ActionRequired,
        "refuses logical replication",
    ),
    (
        "no slots",
        |facts, _| db(facts, 0).slots = 0,
        "database:logical",
        Standing::ActionRequired,
        "max_replication_slots",
    ),
    (
        "a role that may not replicate",
        |facts, _| (db(facts, 0).replication, db(facts, 0).superuser) = (false, false),
        "database:role",
        Standing::ActionRequired,
        "may not replicate",
    ),
    (
        "a missing primary key",
        |facts, _| db(facts, 0).tables[0].primary_key = false,
        "database:keys",
        Standing::ActionRequired,
        "no primary key",
    ),
    ("an older server", |facts, _| db(facts, 1).version = 120_000, "database:version", Standing::ActionRequired, "12"),
    (
        "an extension that RDS lacks",
        |facts, _| db(facts, 0).extensions.push(extension("timescaledb")),
        "database:extensions",
        Standing::ActionRequired,
        "does not have timescaledb",
    ),
    (
        "a column of one side",
        |facts, _| {
            let schema = &mut db(facts, 0).schema.columns;
            let first = schema.values_mut().next().unwrap();
            first[0].definition = "xml".into();
        },
        "database:schema",
        Standing::ActionRequired,
        "only on the old side",
    ),
    (
        "no instance",
        |facts, _| facts.instances[0].1 = Ok(None),
        "instance:acme-shop",
        Standing::ActionRequired,
        "no such instance",
    ),
    (
        "a broken instance",
        |facts, _| facts.instances[0].1.as_mut().unwrap().as_mut().unwrap().status = "storage-full".into(),
        "instance:acme-shop",
        Standing::ActionRequired,
        "storage-full",
    ),
    (
        "an old snapshot",
        |facts, _| facts.at += SignedDuration::from_hours(72),
        "snapshot:acme-shop",
        Standing::ActionRequired,
        "old",
    ),
    (
        "no snapshot",
        |facts, _| facts.snapshots[0].1 = Ok(Vec::new()),
        "snapshot:acme-shop",
        Standing::ActionRequired,
        "no snapshot",
    ),
    (
        "a process that Heroku has not",
        |facts, _| facts.heroku.as_mut().unwrap().as_mut().unwrap().formation.retain(|name, _| name != "clock"),
        "heroku",
        Standing::ActionRequired,
        "clock",
    ),
    (
        "Scheduler that nobody ticks off",
        |_, plan| plan.steps.retain(|step| !matches!(step.kind, crate::plan::Kind::Manual { .. })),
        "scheduler",
        Standing::ActionRequired,
        "no API",
    ),
    (
        "add-ons that cannot be read",
        |facts, _| facts.heroku.as_mut().unwrap().as_mut().unwrap().addons = Err(gone("heroku:addons")),
        "scheduler",
        Standing::Unknown,
        "no answer",
    ),
    (
        "Heroku away",
        |facts, _| facts.heroku = Some(Err(gone("heroku:formation"))),
        "heroku",
        Standing::Unknown,
        "no answer",
    ),
    (
        "a service that is not there",
        |facts, _| facts.services[1].found = Err(trouble("ecs:DescribeServices", TroubleKind::Unexpected, "MISSING")),
        "service:worker",
        Standing::ActionRequired,
        "MISSING",
    ),
    (
        "a failed deployment",
        |facts, _| facts.services[0].found.as_mut().unwrap().rollout.as_mut().unwrap().state = "FAILED".into(),
        "service:web",
        Standing::ActionRequired,
        "failed",
    ),
    (
        "one definition for two",
        |facts, _| definition(facts, 1).name = "acme-web:42".into(),
        "definitions",
        Standing::ActionRequired,
        "same task definition",
    ),
    (
        "one command for two",
        |facts, _| definition(facts, 1).containers[0].command = definition(facts, 0).containers[0].command.clone(),
        "definitions",
        Standing::ActionRequired,
        "same command",
    ),
    (
        "an image by tag",
        |facts, _| definition(facts, 1).containers[0].image = "acme/shop:latest".into(),
        "image:worker",
        Standing::ActionRequired,
        "by tag",
    ),
    (
        "no health check",
        |facts, _| definition(facts, 2).containers[0].health_check = false,
        "health:scheduler",
        Standing::ActionRequired,
        "has none",
    ),
    (
        "a secret that is not there",
        |facts, _| facts.secrets[0].2.as_mut().unwrap().retain(|name| !name.ends_with("REDIS_URL")),
        "secrets:web",
        Standing::ActionRequired,
        "REDIS_URL",
    ),
    (
        "secrets that may not be listed",
        |facts, _| {
            facts.secrets[0].2 =
                Err(trouble("secretsmanager:ListSecrets", TroubleKind::Credentials, "AccessDeniedException: no"))
        },
        "secrets:secretsmanager:acme-shop/",
        Standing::ActionRequired,
        "secretsmanager:ListSecrets",
    ),
    (
        "a config var without a home",
        |facts, _| facts.heroku.as_mut().unwrap().as_mut().unwrap().config_vars.extend(["NEW_RELIC_KEY".into()]),
        "config-vars",
        Standing::ActionRequired,
        "NEW_RELIC_KEY",
    ),
    (
        "a log group that is not there",
        |facts, _| facts.logs[1].1 = Ok(crate::world::logs::Receiving::Missing),
        "logs:/ecs/acme-worker",
        Standing::ActionRequired,
        "does not exist",
    ),
    (
        "a log group that stays empty",
        |facts, _| facts.logs[0].1 = Ok(crate::world::logs::Receiving::Silent),
        "logs:/ecs/acme-web",
        Standing::ActionRequired,
        "nothing arrives",
    ),
];

fn found(kind: RecordType, value: &str) -> Found {
    let (name, ttl) = ("beside.example.test.".to_owned(), Some(300));
    Found { set: RecordSet { name, kind, ttl, values: vec![value.into()], alias: None, weighted: None }, beyond: None }
}

fn db(facts: &mut Facts, side: usize) -> &mut crate::world::postgres::DatabaseFacts {
    facts.databases[side].1.as_mut().unwrap()
}

fn definition(facts: &mut Facts, service: usize) -> &mut crate::world::tasks::Definition {
    facts.services[service].definition.as_mut().unwrap()
}

fn extension(name: &str) -> crate::world::postgres::Extension {
    crate::world::postgres::Extension { name: name.into(), version: "1.0".into() }
}

#[tokio::test]
async fn each_finding_can_fail_and_says_why_and_what_to_do() {
    let stage = Stage::open().await;
    let facts = stage.look(Look::Whole).await;
    let good = judge(&stage.plan, &facts);
    let mut staged = std::collections::BTreeSet::new();
    for (title, change, id, standing, words) in STAGED {
        let (mut facts, mut plan) = (facts.clone(), (*stage.plan).clone());
        change(&mut facts, &mut plan);
        let findings = judge(&plan, &facts);
        let failed = findings.iter().find(|one| one.id.starts_with(id) && one.standing == *standing);
        let failed = failed.unwrap_or_else(|| panic!("{title}: {:?}", wanting(&findings)));
        assert!(failed.reason.contains(words), "{title}: {failed:?}");
        assert!(failed.remedy.is_some(), "{title}: {failed:?}");
        staged.insert(failed.id.split(':').next().unwrap().to_owned());
    }
    let topics: std::collections::BTreeSet<_> =
        good.iter().map(|finding| finding.id.split(':').next().unwrap().to_owned()).collect();
    assert_eq!(topics.difference(&staged).collect::<Vec<_>>(), Vec::<&String>::new(), "topics that no test lets fail");
}
