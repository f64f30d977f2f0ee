//! A sandbox, a session in it, and its engine: the real program under the shim, its calls through proxies.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cutover::{
    cli::sandbox_variables,
    clock::{Clock, monotonic, wall_now},
    engine::Setup,
    journal::{self, Layout, Reader, SessionDir},
    plan::{self, Kind},
    run::{Request, Seat, State},
    sandbox::{self, Endpoints, Ports, Sandbox, SandboxConfig, ledger::Entry, scenario::Scenario},
    session::{Client, ConnectError, Link, Status, message::Snapshot, status},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    proxy::{self, Carrier},
    shim::{Fate, Shim},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cutover");
/// Session seconds per second: what the plan's own times were tried at.
pub(crate) const SPEED: f64 = 120.0;
/// Checks that are left of the sample's twelve.
const CHECKS: [&str; 2] = ["home", "api-health"];
/// The sandbox looks who asks and does not check signatures.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIASANDBOX/20261124/us-east-1/route53/aws4_request";
/// The calm world, whose old TTL drains sooner, and with few customers: days of session time pass, and what they order is
/// compared row by row.
const SCENARIO: &str = "about = 'for many rehearsals'\n[dns]\nold_ttl = '5m'\n[traffic]\nrequests_per_second = 10.0\n";

/// The engine that runs now, if any.
#[derive(Debug, Clone, Default)]
pub(crate) struct Engine(Arc<Mutex<Option<Child>>>);

impl Engine {
    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it lives; one that died is taken leave of.
    pub(crate) fn lives(&self) -> bool {
        let mut slot = self.slot();
        let lives = slot.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none());
        if !lives {
            *slot = None;
        }
        lives
    }

    /// `kill -9`, and its end waited for.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.slot().take() {
            // It may have died a moment ago.
            let _ = child.kill();
            child.wait().unwrap();
        }
    }

    /// Stops it, or lets it go on.
    pub(crate) fn signal(&self, signal: Signal) {
        let slot = self.slot();
        let id = i32::try_from(slot.as_ref().unwrap().id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }
}

/// A session and everything around it.
pub(crate) struct Home {
    folder: TempDir,
    dir: SessionDir,
    endpoints: Endpoints,
    sandbox: Sandbox,
    pub(crate) shim: Arc<Shim>,
    pub(crate) engine: Engine,
    ledger: Vec<Entry>,
    before: (String, Value),
}

impl Home {
    /// A world and a session that waits for its first engine.
    pub(crate) async fn new(fate: Arc<Mutex<dyn Fate>>, carrier: impl FnOnce(Engine) -> Arc<dyn Carrier>) -> Self {
        let folder = tempfile::Builder::new().prefix("cutover-crash-").tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let clock = Clock::scaled(SPEED);
        let scenario = Scenario::parse("crash", SCENARIO).unwrap();
        let state_dir = Some(folder.path().to_owned());
        let sandbox =
            sandbox::start(SandboxConfig { clock, scenario, state_dir, ports: Ports::default() }).await.unwrap();
        let endpoints = sandbox.endpoints().clone();
        let engine = Engine::default();
        let carrier = carrier(engine.clone());
        let aws = proxy::before(&endpoints.aws_route53, Arc::clone(&carrier)).await;
        let heroku = proxy::before(&endpoints.heroku, carrier).await;
        let dir = session(folder.path(), &endpoints, clock, (aws, heroku));
        let shim = Arc::new(Shim::listen(folder.path(), fate));
        let mut home = Self {
            folder,
            dir,
            endpoints,
            sandbox,
            shim,
            engine,
            ledger: Vec::new(),
            before: (String::new(), Value::Null),
        };
        home.before = home.world().await;
        home
    }

    /// The session.
    pub(crate) fn session(&self) -> SessionDir {
        self.dir.clone()
    }

    /// What took effect, as of [`Self::look`].
    pub(crate) fn ledger(&self) -> Vec<Entry> {
        self.ledger.clone()
    }

    /// Reads the ledger of the world as it is now.
    pub(crate) async fn look(&mut self) {
        self.ledger =
            serde_json::from_str(&self.get(&format!("{}/sandbox/ledger", self.endpoints.control)).await).unwrap();
    }

    /// Where the session stands.
    pub(crate) async fn status(&self) -> Status {
        status(&self.dir).await.unwrap()
    }

    /// Asserts that record sets, what runs on both sides, and the command's lock are as before.
    pub(crate) async fn assert_as_before(&self) {
        let now = self.world().await;
        assert_eq!(now.0, self.before.0, "the record sets are not as before");
        assert_eq!(now.1, self.before.1, "what runs is not as before");
    }

    /// Asserts that the names are on AWS, and that everything runs there and nowhere else.
    pub(crate) async fn assert_moved(&self) {
        let (sets, state) = self.world().await;
        let alb = "alb-1.us-east-1.elb.amazonaws.com";
        assert!(sets.matches(alb).count() == 2 && !sets.contains("herokudns"), "the names are not on AWS: {sets}");
        let sides = serde_json::json!([["old", 0, 0, 0, false], ["new", 2, 2, 1, false]]);
        assert_eq!(state["sides"], sides, "what runs is not what the plan leaves running");
        assert_eq!(state["deploy lock"], false, "deploys are still locked");
    }

    async fn world(&self) -> (String, Value) {
        let zone = sandbox::HOSTED_ZONE;
        let sets = self.get(&format!("{}/2013-04-01/hostedzone/{zone}/rrset", self.endpoints.aws_route53)).await;
        let state = self.get(&format!("{}/sandbox/state", self.endpoints.control)).await;
        let state: Value = serde_json::from_str(&state).unwrap();
        let sides = state["sides"].as_array().unwrap().iter().map(|side| {
            serde_json::json!([side["side"], side["web"], side["worker"], side["scheduler"], side["maintenance"]])
        });
        let sides: Vec<_> = sides.collect();
        let lock = fs::exists(self.dir.path().join("deploy.lock")).unwrap();
        (sets, serde_json::json!({ "sides": sides, "ecs": state["ecs"], "deploy lock": lock }))
    }

    /// Turns maintenance mode on or off, past the engine.
    pub(crate) async fn maintenance(&self, on: bool) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let change = client.patch(format!("{}/apps/acme-shop", self.endpoints.heroku));
        let change = change.header("authorization", "Bearer by-hand").json(&serde_json::json!({ "maintenance": on }));
        change.send().await.unwrap().error_for_status().unwrap();
    }

    async fn get(&self, url: &str) -> String {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(url).header("authorization", SIGNED).send().await.unwrap();
        answer.error_for_status().unwrap().text().await.unwrap()
    }

    /// A link that starts an engine whenever there is none; `begins` is told what each new engine finds.
    pub(crate) fn link(&self, begins: impl Fn(State) + Send + Sync + 'static) -> Link {
        let (dir, engine, shim) = (self.dir.clone(), self.engine.clone(), Arc::clone(&self.shim));
        let (folder, begins) = (self.folder.path().to_owned(), Arc::new(begins));
        Link::open(move |_| {
            let (dir, engine, shim) = (dir.clone(), engine.clone(), Arc::clone(&shim));
            let (folder, begins) = (folder.clone(), Arc::clone(&begins));
            async move { connect(&dir, &engine, &shim, &folder, &*begins).await }
        })
    }

    /// Ends the session, whatever dies meanwhile.
    pub(crate) async fn end(&self, link: &mut Link, patience: Duration) {
        let begun = monotonic();
        while !self.status().await.state.ended {
            assert!(begun.elapsed() < patience, "the session never ends");
            let _ = link.request(Request::End);
            while tokio::time::timeout(Duration::from_millis(50), link.recv()).await.is_ok_and(|news| news.is_some()) {}
        }
        self.engine.kill();
    }

    /// What happened last but for what was only watched, for people.
    pub(crate) fn last_words(&self) -> String {
        let watched = ["check ", " answers ", " side: ", "guardrail "];
        let events = Reader::open(self.dir.journal()).unwrap().map_while(Result::ok);
        let told: Vec<_> = events
            .map(|event| journal::line(&event))
            .filter(|line| !watched.iter().any(|word| line.contains(word)))
            .collect();
        told[told.len().saturating_sub(40)..].join("\n")
    }

    /// Stops the world.
    pub(crate) async fn close(self) {
        self.engine.kill();
        self.sandbox.shutdown().await;
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The last handle: a test that fails leaves no engine behind.
        if Arc::strong_count(&self.0) == 1 {
            self.kill();
        }
    }
}

fn session(folder: &Path, endpoints: &Endpoints, clock: Clock, proxies: (String, String)) -> SessionDir {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/acme-shop.toml");
    let source = fs::read_to_string(path).unwrap().replace("old_ttl = 1800 ", "old_ttl = 300 ");
    let layout = Layout::at(folder.join("state"));
    let dir = layout.create("acme-shop", "sandbox", wall_now()).unwrap();
    let mut given = sandbox_variables(endpoints, &dir);
    let ours = [("aws_endpoint", proxies.0), ("heroku_endpoint", proxies.1)];
    given.extend(ours.map(|(name, url)| (format!("sandbox.{name}"), url)));
    let plan = plan::load(&source, path, "sandbox", &given);
    let mut plan = plan.unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    // Several rehearsals run at once, at 120 times the speed: a step that waits for a processor is not overdue.
    plan.steps.iter_mut().for_each(|step| step.timeout *= 10);
    // Nor is what customers feel while it is cut a hundred times what is asked here: every step, every runner and both
    // databases are watched as ever, but one guardrail and two checks are enough.
    plan.guardrails.retain(|guardrail| guardrail.id == "cpu");
    plan.steps.iter_mut().for_each(|step| step.demands_green = false);
    plan.metrics.retain(|metric| ["cpu", "old-requests", "new-requests"].contains(&metric.id.as_str()));
    plan.checks.retain(|check| CHECKS.contains(&check.id.as_str()));
    plan.checks.iter_mut().for_each(|check| (check.every, check.timeout) = (check.every * 4, check.timeout * 4));
    for step in &mut plan.steps {
        if let Kind::CheckSuite { checks, .. } = &mut step.kind {
            checks.retain(|check| CHECKS.contains(&check.as_str()));
        }
    }
    dir.freeze(&plan, &source).unwrap();
    Setup { clock, journal: None }.save(&dir).unwrap();
    dir
}

async fn connect(
    dir: &SessionDir,
    engine: &Engine,
    shim: &Shim,
    folder: &Path,
    begins: &(dyn Fn(State) + Send + Sync),
) -> Result<(Client, Box<Snapshot>), ConnectError> {
    if !engine.lives() {
        let known = status(dir).await.map(|status| status.state).unwrap_or_default();
        if known.ended {
            return Err(ConnectError::Refused("the session is over".into()));
        }
        begins(known);
        let log = fs::File::options().create(true).append(true).open(dir.engine_log()).unwrap();
        let mut command = Command::new(PROGRAM);
        command
            .arg("engine")
            .arg(dir.path())
            .env("XDG_RUNTIME_DIR", folder)
            .env("XDG_STATE_HOME", folder.join("state"));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        shim.under(&mut command);
        *engine.slot() = Some(command.spawn().unwrap());
    }
    loop {
        match Client::connect(&dir.socket(), Seat::Driver, true).await {
            Err(ConnectError::Unreachable { .. }) if engine.lives() => {
                tokio::time::sleep(Duration::from_millis(5)).await
            }
            result => return result,
        }
    }
}
