//! Every kind of step against the sandbox, forward and back, and against what goes wrong there.

mod doubt;
mod journey;
mod rds;
mod readers;
mod tasks;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use tokio::sync::watch;

use super::*;
use crate::{
    plan::{RecordSet, Side, StepId, WriteLock, load},
    sandbox::{Endpoints, Ports, Sandbox, SandboxConfig, ledger::Entry, scenario::Scenario, start},
};

const SAMPLE: &str = include_str!("../../config/acme-shop.toml");
const TOKEN: &str = "test/1.0";

/// A rehearsal: the sandbox, the sample plan, and the real clients.
struct Stage {
    sandbox: Sandbox,
    plan: Arc<Plan>,
    world: World,
    heard: Arc<Mutex<Vec<Sample>>>,
    health: watch::Sender<Health>,
}

impl Stage {
    async fn open(scenario: &str, speed: f64) -> Self {
        Self::with(Scenario::load(scenario).unwrap(), speed).await
    }

    async fn with(scenario: Scenario, speed: f64) -> Self {
        let config = SandboxConfig { clock: Clock::scaled(speed), scenario, state_dir: None, ports: Ports::default() };
        let sandbox = start(config).await.unwrap();
        let given = given(sandbox.endpoints());
        let plan = load(SAMPLE, "acme-shop.toml", "sandbox", &given).unwrap_or_else(|e| panic!("{}", e.render(false)));
        let world = World::connect(&plan, sandbox.endpoints().clock()).await.unwrap();
        least_privilege(&plan, &world).await;
        let health = watch::channel(Health::default()).0;
        Self { sandbox, plan: Arc::new(plan), world, heard: Arc::default(), health }
    }

    fn ctx(&self, step: &str) -> StepContext {
        let heard = Arc::clone(&self.heard);
        StepContext {
            plan: self.plan.clone(),
            step: self.plan.step(&StepId::from(step)).unwrap().clone(),
            attempt: 1,
            token: TOKEN.to_owned(),
            earlier: Vec::new(),
            world: self.world.clone(),
            clock: self.world.clock(),
            drained_at: None,
            begun_at: None,
            health: self.health.subscribe(),
            stop: CancellationToken::new(),
            tell: Arc::new(move |sample| heard.lock().unwrap_or_else(PoisonError::into_inner).push(sample)),
        }
    }

    /// The same step with another kind.
    fn ctx_of(&self, step: &str, kind: Kind) -> StepContext {
        let ctx = self.ctx(step);
        StepContext { step: Step { kind, ..ctx.step.clone() }, ..ctx }
    }

    async fn apply(&self, ctx: &StepContext, change: &Change) -> Outcome {
        apply(ctx, change, TOKEN).await
    }

    /// Previews, applies and observes all parts of a step; gives back what was applied.
    async fn run(&self, step: &str) -> Vec<Change> {
        let ctx = self.ctx(step);
        let parts = preview(&ctx, Direction::Forward, &[]).await.unwrap().parts;
        for part in &parts {
            self.done(&ctx, &part.change).await;
        }
        parts.into_iter().map(|part| part.change).collect()
    }

    async fn done(&self, ctx: &StepContext, change: &Change) {
        let outcome = self.apply(ctx, change).await;
        assert!(matches!(outcome, Outcome::Done { .. }), "{}: {outcome:?}", ctx.step.id);
        assert_eq!(observe(ctx, change, true).await, Observation::Done, "{}", ctx.step.id);
    }

    async fn undo(&self, step: &str, applied: &[Change]) {
        let ctx = self.ctx(step);
        let parts = preview(&ctx, Direction::Back, applied).await.unwrap().parts;
        assert_eq!(parts.len(), 1);
        self.done(&ctx, &parts[0].change).await;
    }

    /// What stands at a name, to the letter.
    async fn zone(&self, record: &str) -> Vec<RecordSet> {
        let record = self.plan.record(record).unwrap();
        let found = self.world.route53().sets(&record.zone_id, record.name()).await.unwrap();
        found.into_iter().map(|found| found.set).collect()
    }

    async fn ledger(&self) -> Vec<Entry> {
        let url = format!("{}/sandbox/ledger", self.sandbox.endpoints().control);
        reqwest::get(url).await.unwrap().json().await.unwrap()
    }

    fn heard(&self) -> Vec<Sample> {
        std::mem::take(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The user may do what `cutover iam` says, and nothing else: the sandbox holds every call against it.
async fn least_privilege(plan: &crate::plan::Plan, world: &World) {
    let iam = aws_sdk_iam::Client::new(world.aws().act());
    let policy = crate::preflight::driver(plan, None).document.to_string();
    let put = iam.put_user_policy().user_name("sandbox").policy_name("cutover").policy_document(policy);
    put.send().await.unwrap();
    // The second time it is gone.
    let _ = iam.delete_user_policy().user_name("sandbox").policy_name("everything").send().await;
}

fn given(endpoints: &Endpoints) -> BTreeMap<String, String> {
    let resolvers: Vec<_> = endpoints.resolvers.iter().map(|one| format!("{}={}", one.name, one.addr)).collect();
    let given = [
        ("authority", endpoints.authority.to_string()),
        ("resolvers", resolvers.join(", ")),
        ("old_address", endpoints.old_origin.https.ip().to_string()),
        ("new_address", endpoints.new_origin.https.ip().to_string()),
        ("http_port", endpoints.new_origin.http.port().to_string()),
        ("https_port", endpoints.new_origin.https.port().to_string()),
        ("old_database", endpoints.old_database.address.ip().to_string()),
        ("new_database", endpoints.new_database.address.ip().to_string()),
        ("database_port", endpoints.old_database.address.port().to_string()),
        ("ca_file", endpoints.ca_pem_path.display().to_string()),
        ("aws_endpoint", endpoints.aws_route53.clone()),
        ("heroku_endpoint", endpoints.heroku.clone()),
        // Beside the certificate, in what the sandbox removes at its end.
        ("directory", endpoints.ca_pem_path.parent().unwrap().display().to_string()),
    ];
    given.into_iter().map(|(name, value)| (format!("sandbox.{name}"), value)).collect()
}

fn reason(outcome: &Outcome) -> (&str, TroubleKind) {
    match outcome {
        Outcome::Failed { trouble } | Outcome::InDoubt { trouble } => (&trouble.reason, trouble.kind),
        other => panic!("{other:?}"),
    }
}
