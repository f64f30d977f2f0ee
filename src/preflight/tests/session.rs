//! Every finding that can change while a session runs: somebody else changes the world by its own protocols, a quiet look
//! is taken, and what `decide` makes of it is an event; another one when it is put right. The loop that looks, and a
//! session that shows it, are in `tests/cockpit/outside.rs`.

use std::{collections::BTreeSet, sync::Arc};

use aws_sdk_route53::types::{
    AliasTarget, Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_postgres::NoTls;

use super::{
    super::{gather::Look, judge::judge, policy::driver},
    stage::Stage,
};
use crate::{
    run::{Actor, Ask, Command, Event, Finding, Report, Session, Standing, State, StepState, What, decide},
    sandbox::dns::Habit,
};

/// How the world is changed.
enum Act {
    /// A request to Heroku's API: method, path behind the app, body.
    Heroku(&'static str, &'static str, &'static str),
    /// Statements to the old database.
    Sql(&'static str),
    /// The next request to a service, and to this operation of it, is refused with this status and code.
    Refused(&'static str, &'static str, u16, &'static str),
    /// The next requests for a task definition are: those of one look.
    NoDefinitions(u32),
    /// The policy without one permission.
    Without(&'static str),
    /// The whole policy.
    Allowed,
    /// A resolver's habit.
    Resolver(Habit),
    /// A record set of the API's name, in place of what stands there.
    Api(&'static str),
    /// The shop is moved, and a text stands beside it; and back.
    Shop(bool),
    /// What the worker service runs.
    Worker(&'static str),
    /// A secret is deleted or made.
    Secret(bool),
    /// It is as it was by itself.
    Nothing,
}

use Act::{Allowed, Api, Heroku, NoDefinitions, Nothing, Refused, Resolver, Secret, Shop, Sql, Without, Worker};

const DENIED: &str = "AccessDeniedException";

/// What is done, the finding that changes, words of its reason, and what puts it right; None: nothing can.
const CHANGES: &[(Act, &str, &str, Option<Act>)] = &[
    (Refused("sts", "GetCallerIdentity", 403, "AccessDenied"), "identity", "AccessDenied", Some(Nothing)),
    (Without("ecs:UpdateService"), "permission:ecs:UpdateService", "needed to go forward", Some(Allowed)),
    (Without("rds:DeleteDBInstance"), "permission:rds:DeleteDBInstance", "needed to roll back", Some(Allowed)),
    (Without("logs:FilterLogEvents"), "logs:/ecs/acme-web", "FilterLogEvents", Some(Allowed)),
    (
        Without("secretsmanager:ListSecrets"),
        "secrets:secretsmanager:acme-shop/",
        "secretsmanager:ListSecrets",
        Some(Allowed),
    ),
    (
        Refused("heroku", "GET /oauth/authorizations", 401, "Invalid credentials"),
        "heroku-credentials",
        "authorizations",
        Some(Nothing),
    ),
    (Api("somebody.else.test."), "record:api", "somebody.else.test", Some(Api(""))),
    (Shop(true), "batch:shop", "the way back: a CNAME cannot stand beside TXT", Some(Shop(false))),
    (Resolver(Habit::Dead), "resolvers", "only 1 of 2 answer", Some(Resolver(Habit::Honest))),
    (Refused("postgres", "SELECT", 500, "away"), "database:old", "away", Some(Nothing)),
    (
        Sql("alter system set wal_level = replica"),
        "database:logical",
        "wal_level is replica",
        Some(Sql("alter system set wal_level = logical")),
    ),
    (
        Sql("alter table orders replica identity nothing"),
        "database:keys",
        "public.orders",
        Some(Sql("alter table orders replica identity default")),
    ),
    (
        Sql("create extension citext"),
        "database:extensions",
        "not installed: citext",
        Some(Sql("drop extension citext")),
    ),
    (
        Sql("create index concurrently orders_by_day on orders (created_at)"),
        "database:schema",
        "only on the old side: public.orders orders_by_day",
        Some(Sql("drop index orders_by_day")),
    ),
    (Sql("select lo_create(0)"), "database:large-objects", "1 in pg_largeobject", Some(Sql("select lo_unlink(32768)"))),
    (
        Sql("alter table mails set unlogged"),
        "database:unlogged",
        "public.mails",
        Some(Sql("alter table mails set logged")),
    ),
    (
        Sql("alter role cutover noreplication; alter role cutover nosuperuser"),
        "database:role",
        "cutover may not replicate",
        None,
    ),
    (Refused("rds", "DescribeDBInstances", 403, "AccessDenied"), "instance:", "DescribeDBInstances", Some(Nothing)),
    (Refused("rds", "DescribeDBSnapshots", 403, "AccessDenied"), "snapshot:", "DescribeDBSnapshots", Some(Nothing)),
    (Refused("heroku", "GET /apps/acme-shop/formation", 403, "no"), "heroku", "formation", Some(Nothing)),
    (Refused("heroku", "GET /apps/acme-shop/addons", 403, "no"), "scheduler", "addons", Some(Nothing)),
    (
        Heroku("POST", "releases", r#"{ "slug": "0f", "description": "Deploy 41b9cfe" }"#),
        "heroku-release",
        "v232, Deploy 41b9cfe was released; it was v231",
        None,
    ),
    (
        Heroku("PATCH", "config-vars", r#"{ "SECRET_KEY_BASE": "another" }"#),
        "config-values",
        "SECRET_KEY_BASE has another value",
        Some(Heroku("PATCH", "config-vars", r#"{ "SECRET_KEY_BASE": "not-a-secret" }"#)),
    ),
    (
        Heroku("PATCH", "config-vars", r#"{ "NEW_RELIC_KEY": "x" }"#),
        "config-vars",
        "NEW_RELIC_KEY",
        Some(Heroku("PATCH", "config-vars", r#"{ "NEW_RELIC_KEY": null }"#)),
    ),
    (Refused("ecs", "DescribeServices", 400, DENIED), "service:", DENIED, Some(Nothing)),
    (Worker("acme-web:42"), "definitions", "same task definition", Some(Worker("acme-worker:42"))),
    (NoDefinitions(1), "image:", DENIED, Some(Nothing)),
    (NoDefinitions(4), "health:", "could not tell", Some(Nothing)),
    (Secret(false), "secrets:web", "STRIPE_SECRET_KEY", Some(Secret(true))),
];

/// Findings of a quiet look that the sandbox cannot change, and why.
const FIXED: &[(&str, &str)] = &[
    ("credentials", "its keys have no end; `tests/cockpit/failures.rs` gives some that have"),
    ("server", "its authority cannot be stopped alone; it is asked and judged as the resolvers are"),
    ("database:new", "asked as the old one"),
    ("database:version", "no server changes it while it runs"),
    ("database:sequences", "its tables have theirs from the beginning on, and the plan sets them"),
];

/// A session and what is known of it.
struct Night {
    stage: Stage,
    state: State,
    begun: Timestamp,
    policy: Value,
}

impl Night {
    async fn begin() -> Self {
        let mut stage = Stage::open().await;
        let mut plan = (*stage.plan).clone();
        // Whom nobody waits for: a look takes as long as the slowest.
        plan.dns.resolvers.retain(|resolver| ["honest", "honest-2"].contains(&resolver.name.as_str()));
        stage.plan = Arc::new(plan);
        let begun = stage.world.clock().now();
        let steps = stage.plan.steps.iter().map(|step| StepState::new(step.id.clone())).collect();
        let session = Session {
            id: "night".into(),
            plan: stage.plan.name.clone(),
            environment: "sandbox".into(),
            plan_hash: String::new(),
            started_at: begun,
            dwell: std::time::Duration::ZERO,
            patience: std::time::Duration::ZERO,
            engines: 1,
            engine: None,
        };
        let state = State { steps, session: Some(session), ..State::default() };
        let policy = driver(&stage.plan, None).document;
        stage.attach(&policy).await;
        Self { stage, state, begun, policy }
    }

    /// One quiet look, and the events of it, which the state then knows.
    async fn look(&mut self) -> Vec<What> {
        let facts = self.stage.look(Look::Quiet { begun: self.begun }).await;
        let report = Report::Preflight(judge(&self.stage.plan, &facts));
        let at = self.stage.world.clock().now();
        let command = Command { by: Actor::Engine, at, ask: Ask::Report(report) };
        let events = decide(&self.stage.plan, &self.state, &command).unwrap();
        for what in &events {
            let event = Event { seq: self.state.seq + 1, at, by: Actor::Engine, what: what.clone() };
            self.state.apply(&event).unwrap();
        }
        events
    }

    async fn act(&self, act: &Act) {
        match act {
            Heroku(method, path, body) => {
                let url = format!("{}/apps/acme-shop/{path}", self.stage.sandbox.endpoints().heroku);
                let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
                let body: Value = serde_json::from_str(body).unwrap();
                let sent = reqwest::Client::new().request(method, url).bearer_auth("somebody").json(&body).send().await;
                sent.unwrap().error_for_status().unwrap();
            }
            Sql(statements) => {
                let at = &self.stage.sandbox.endpoints().old_database;
                let mut config = tokio_postgres::Config::new();
                config.host(at.address.ip().to_string()).port(at.address.port()).user(&at.user).dbname(&at.database);
                let (client, connection) = config.connect(NoTls).await.unwrap();
                let connection = tokio::spawn(connection);
                client.batch_execute(statements).await.unwrap();
                connection.abort();
            }
            Refused(service, operation, status, code) => self.refuse((service, operation), *status, code, 1).await,
            NoDefinitions(times) => self.refuse(("ecs", "DescribeTaskDefinition"), 400, DENIED, *times).await,
            Without(action) => {
                let mut less = self.policy.clone();
                for statement in less["Statement"].as_array_mut().unwrap() {
                    statement["Action"].as_array_mut().unwrap().retain(|known| known != action);
                }
                less["Statement"].as_array_mut().unwrap().retain(|one| !one["Action"].as_array().unwrap().is_empty());
                self.stage.attach(&less).await;
            }
            Allowed => self.stage.attach(&self.policy).await,
            Resolver(habit) => assert!(self.stage.sandbox.set_habit("honest-2", *habit)),
            _ => self.somebody(act).await,
        }
    }

    async fn refuse(&self, (service, operation): (&str, &str), status: u16, code: &str, times: u32) {
        let fault = json!({ "kind": "error", "service": service, "operation": operation, "times": times,
            "status": status, "code": code });
        let url = format!("{}/sandbox/fault", self.stage.sandbox.endpoints().control);
        reqwest::Client::new().post(url).json(&fault).send().await.unwrap().error_for_status().unwrap();
    }

    /// Somebody else, who may do everything on AWS.
    async fn somebody(&self, act: &Act) {
        let iam = aws_sdk_iam::Client::new(self.stage.world.aws().act());
        let all = json!({ "Statement": { "Effect": "Allow", "Action": "*", "Resource": "*" } });
        let put = iam.put_user_policy().user_name("sandbox").policy_name("everything");
        put.policy_document(all.to_string()).send().await.unwrap();
        let config = self.stage.world.aws().act();
        match act {
            Api(target) => {
                let old = &self.stage.plan.record("api").unwrap().old;
                let value = if target.is_empty() { old.values[0].as_str() } else { target };
                let batch = [(ChangeAction::Upsert, set(&old.name, RrType::Cname, old.ttl, value))];
                self.change(batch.into()).await;
            }
            Shop(moved) => {
                let record = self.stage.plan.record("shop").unwrap();
                let (old, name) = (&record.old, record.name());
                let alias = record.new.alias.as_ref().unwrap();
                let alias = AliasTarget::builder().dns_name(&alias.target).hosted_zone_id(&alias.zone_id);
                let alias = alias.evaluate_target_health(record.new.alias.as_ref().unwrap().evaluate_health);
                let new =
                    ResourceRecordSet::builder().name(name).r#type(RrType::A).alias_target(alias.build().unwrap());
                let new = new.build().unwrap();
                let old = set(name, RrType::Cname, old.ttl, &old.values[0]);
                let text = set(name, RrType::Txt, Some(60), "\"beside\"");
                let batch = match moved {
                    true => {
                        vec![(ChangeAction::Delete, old), (ChangeAction::Create, new), (ChangeAction::Create, text)]
                    }
                    false => {
                        vec![(ChangeAction::Delete, new), (ChangeAction::Delete, text), (ChangeAction::Create, old)]
                    }
                };
                self.change(batch).await;
            }
            Worker(definition) => {
                let update = aws_sdk_ecs::Client::new(config).update_service().cluster("acme").service("worker");
                update.task_definition(*definition).send().await.unwrap();
            }
            Secret(made) => {
                let (secrets, name) = (aws_sdk_secretsmanager::Client::new(config), "acme-shop/STRIPE_SECRET_KEY");
                if *made {
                    secrets.create_secret().name(name).send().await.unwrap();
                } else {
                    secrets.delete_secret().secret_id(name).send().await.unwrap();
                }
            }
            _ => {}
        }
        self.stage.attach(&self.policy).await;
    }

    async fn change(&self, changes: Vec<(ChangeAction, ResourceRecordSet)>) {
        let change = |(action, set)| Change::builder().action(action).resource_record_set(set).build().unwrap();
        let batch = ChangeBatch::builder().set_changes(Some(changes.into_iter().map(change).collect()));
        let zone = &self.stage.plan.records[0].zone_id;
        let send = aws_sdk_route53::Client::new(self.stage.world.aws().act()).change_resource_record_sets();
        send.hosted_zone_id(zone).change_batch(batch.build().unwrap()).send().await.unwrap();
    }
}

fn set(name: &str, kind: RrType, ttl: Option<u32>, value: &str) -> ResourceRecordSet {
    let value = ResourceRecord::builder().value(value).build().unwrap();
    let set = ResourceRecordSet::builder().name(name).r#type(kind).set_ttl(ttl.map(i64::from));
    set.resource_records(value).build().unwrap()
}

/// The change of a finding in some events.
fn changed<'a>(events: &'a [What], id: &str) -> Option<&'a Finding> {
    events.iter().find_map(|event| match event {
        What::FindingChanged { finding, .. } if finding.id.starts_with(id) => Some(finding),
        _ => None,
    })
}

#[tokio::test]
async fn whatever_somebody_changes_during_the_session_becomes_an_event_and_so_does_its_end() {
    let mut night = Night::begin().await;
    let first = night.look().await;
    let [What::PreflightTaken { findings }] = first.as_slice() else { panic!("{first:?}") };
    let open: Vec<_> = findings.iter().filter(|finding| finding.standing != Standing::Passed).collect();
    assert!(open.is_empty(), "{open:#?}");
    let told: BTreeSet<_> = CHANGES.iter().map(|(_, id, ..)| *id).chain(FIXED.iter().map(|(id, _)| *id)).collect();
    let untold = findings.iter().filter(|finding| {
        let topic = finding.id.split(':').next().unwrap_or_default();
        let topic = if topic == "database" { &finding.id } else { topic };
        !told.iter().any(|id| *id == topic || id.split(':').next() == Some(topic))
    });
    assert_eq!(untold.map(|finding| finding.id.as_str()).collect::<Vec<_>>(), Vec::<&str>::new(), "in neither list");
    assert_eq!(night.look().await, [], "nothing changes by itself");
    for (act, id, words, back) in CHANGES {
        night.act(act).await;
        let events = night.look().await;
        let finding = changed(&events, id).unwrap_or_else(|| panic!("{id}: {events:#?}"));
        assert!(finding.standing != Standing::Passed && finding.reason.contains(words), "{id}: {finding:?}");
        if let Some(back) = back {
            night.act(back).await;
            let events = night.look().await;
            let finding = changed(&events, id).unwrap_or_else(|| panic!("{id}, put right: {events:#?}"));
            assert_eq!(finding.standing, Standing::Passed, "{id}, put right: {finding:?}");
        }
    }
}
