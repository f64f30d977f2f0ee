//! The world, the bucket, both machines, and one session that they run together.

use std::{
    env, fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cutover::{
    cli::sandbox_variables,
    clock::{Clock, monotonic, wall_now},
    engine::Setup,
    journal::{
        Layout, SessionDir,
        remote::{Identity, Remote, Trail, Writer},
    },
    plan::{self, GateLevel, Kind},
    run::Event,
    sandbox::{self, Endpoints, Ports, Sandbox, SandboxConfig, ledger::Entry, scenario::Scenario},
    session::recorded,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::task::AbortOnDropHandle;

use super::{
    machine::{Common, Machine, give},
    proxy::{self, Carrier, Loss},
    weather::Dice,
    wire::{Line, Wire},
};

/// Session seconds per second.
const SPEED: f64 = 120.0;
/// Of all four people.
pub(crate) const GROUP: &str = "cutover-trial";
/// Drives on the first machine and confirms there; the same on the second.
const PEOPLE: [[&str; 2]; 2] = [["trial-ann", "trial-bob"], ["trial-cal", "trial-dan"]];
/// The calm world, whose old TTL drains sooner, and with few customers: days of session time pass, and what they order is
/// compared row by row.
const SCENARIO: &str = "about = 'for many rehearsals'\n[dns]\nold_ttl = '5m'\n[traffic]\nrequests_per_second = 10.0\n";
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIASANDBOX/20261124/us-east-1/route53/aws4_request";
/// Steps that get a two-person gate beside those that the plan gives one.
const EARLY: [&str; 2] = ["migrate", "lower-ttl"];
const CHECKS: [&str; 2] = ["home", "api-health"];
/// The rest of a rehearsal after the weather has cleared, wall time.
const PATIENCE: Duration = Duration::from_secs(900);

/// One session's everything.
pub(crate) struct Stage {
    folder: TempDir,
    endpoints: Endpoints,
    sandbox: Sandbox,
    pub(crate) machines: [Machine; 2],
    /// Which of them acts.
    pub(crate) acting: usize,
    pub(crate) remote: Remote,
    pub(crate) losses: Arc<Losses>,
    before: Value,
    /// Milliseconds that reading the whole log took, now and then, by nobody's link: what no screen can do without.
    read: Arc<Mutex<Vec<u64>>>,
    reader: AbortOnDropHandle<()>,
}

/// Answers and requests that are lost on the way to the world, one in eight.
pub(crate) struct Losses {
    dice: Mutex<Dice>,
    pub(crate) lost: AtomicUsize,
    calm: std::sync::atomic::AtomicBool,
}

impl Carrier for Losses {
    fn carries(&self, _operation: &str) -> Loss {
        let dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner).below(16);
        if dice > 1 || self.calm.load(Ordering::SeqCst) {
            return Loss::None;
        }
        self.lost.fetch_add(1, Ordering::SeqCst);
        [Loss::Request, Loss::Answer][usize::try_from(dice).unwrap()]
    }

    fn kill(&self) {}
}

/// What is left of a rehearsal.
pub(crate) struct Seen {
    pub(crate) events: Vec<Event>,
    pub(crate) ledger: Vec<Entry>,
    /// The sessions' directories, the one that acted last first.
    pub(crate) dirs: [SessionDir; 2],
    pub(crate) logs: PathBuf,
    /// When a link to the bucket did not carry, microseconds by the wall.
    pub(crate) outages: Vec<(i64, i64)>,
    /// Milliseconds that reading the whole log took.
    pub(crate) read: Vec<u64>,
    pub(crate) lost: usize,
    pub(crate) as_before: bool,
    pub(crate) moved: bool,
}

impl Stage {
    /// A new world, and a session in it that the first machine begins.
    pub(crate) async fn set(back: bool, number: usize, seed: u64) -> Self {
        // Kept if the trial fails: it holds every journal, and what every screen held when.
        let folder =
            tempfile::Builder::new().prefix("cutover-trial-").disable_cleanup(true).tempdir_in("/tmp").unwrap();
        let path = folder.path().to_owned();
        open_to_all(&path, 0o755);
        for (name, mode) in [("logs", 0o1777), ("lock", 0o777)] {
            fs::create_dir(path.join(name)).unwrap();
            open_to_all(&path.join(name), mode);
        }
        fs::copy(env!("CARGO_BIN_EXE_cutover"), path.join("cutover")).unwrap();
        fs::copy(env::current_exe().unwrap(), path.join("trial")).unwrap();
        let clock = Clock::scaled(SPEED);
        let scenario = Scenario::parse("trial", SCENARIO).unwrap();
        let ports = Ports::default();
        let config = SandboxConfig { clock, scenario, state_dir: Some(path.clone()), ports };
        let sandbox = sandbox::start(config).await.unwrap();
        let endpoints = sandbox.endpoints().clone();
        open_to_all(&endpoints.ca_pem_path, 0o644);
        let dice = Mutex::new(Dice::new(seed));
        let losses = Arc::new(Losses { dice, lost: AtomicUsize::new(0), calm: false.into() });
        let url = format!("s3://journals/trial/{}/{number}", std::process::id());
        let remote = Remote::open(&url).await.unwrap();
        let common = Common { folder: path.clone(), url, back };
        let dirs = begin(&path, &endpoints, clock, &losses, &remote).await;
        let [first, second] = dirs;
        let machines = [
            Machine::new("one", PEOPLE[0], bucket_wire().await, first, common.clone()),
            Machine::new("two", PEOPLE[1], bucket_wire().await, second, common),
        ];
        for machine in &machines {
            give(&path.join(machine.name), &machine.user);
            open_to_all(&path.join(machine.name), 0o755);
            open_to_all(&path.join(machine.name).join("run"), 0o1777);
        }
        let mut stage = {
            let read = Arc::default();
            let reader = AbortOnDropHandle::new(tokio::spawn(read_on(remote.clone(), Arc::clone(&read))));
            let before = Value::Null;
            Self { folder, endpoints, sandbox, machines, acting: 0, remote, losses, before, read, reader }
        };
        stage.before = stage.world().await;
        stage.raise();
        stage
    }

    /// Starts what should run and does not.
    pub(crate) fn raise(&mut self) {
        let acting = self.acting;
        self.machines[acting].start_engine();
        for (index, machine) in self.machines.iter_mut().enumerate() {
            machine.open_screens(index == acting);
        }
    }

    /// The other machine takes over, as `cutover run` does once its person has typed the session's name.
    pub(crate) async fn take_over(&mut self) -> bool {
        let next = 1 - self.acting;
        let Ok((trail, _)) = Trail::whole(&self.remote).await else { return false };
        let writer = Writer::of(self.machines[next].dir.path()).unwrap();
        // An answer may be lost on the way: then the bucket knows.
        if self.remote.claim(trail.read(), &writer).await.is_err() && !self.holds(&writer).await {
            return false;
        }
        let [one, two] = &mut self.machines;
        for machine in [one, two] {
            machine.places.clone().iter().for_each(|place| machine.kill_screen(&place.name));
        }
        give(self.machines[next].dir.path(), &self.machines[next].user.clone());
        self.acting = next;
        self.raise();
        true
    }

    /// Whether this machine was the last to write.
    async fn holds(&self, writer: &Writer) -> bool {
        loop {
            if let Ok((trail, _)) = Trail::whole(&self.remote).await {
                return trail.writer().is_some_and(|last| last.id == writer.id);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Whether the session is over, as the machine that acts has written down.
    pub(crate) fn is_over(&self) -> bool {
        recorded(&self.machines[self.acting].dir).is_ok_and(|status| status.state.ended)
    }

    /// Bytes of both machines' journals: grows whenever an engine writes.
    pub(crate) fn written(&self) -> u64 {
        self.machines.iter().filter_map(|machine| fs::metadata(machine.dir.journal()).ok()).map(|file| file.len()).sum()
    }

    /// The journal in the bucket.
    async fn events(&self) -> Vec<Event> {
        Trail::whole(&self.remote).await.unwrap().1
    }

    /// Nothing goes wrong any more: the rehearsal is driven to its end, and everything is looked at.
    pub(crate) async fn clear_up(&mut self) -> Seen {
        self.losses.calm.store(true, Ordering::SeqCst);
        self.machines.iter().for_each(|machine| machine.wire.set(Line::Up));
        fs::write(self.folder.path().join("turn"), "").unwrap();
        let begun = monotonic();
        while !self.is_over() {
            if begun.elapsed() > PATIENCE {
                self.explain().await;
                panic!("the rehearsal never ends");
            }
            self.raise();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let events = self.events().await;
        // Who looks on from the bucket asks once a second.
        tokio::time::sleep(Duration::from_secs(4)).await;
        let world = self.world().await;
        let ledger = self.get(&format!("{}/sandbox/ledger", self.endpoints.control)).await;
        self.machines.iter_mut().for_each(Machine::stop);
        let dirs = [self.acting, 1 - self.acting].map(|index| self.machines[index].dir.clone());
        Seen {
            events,
            ledger: serde_json::from_str(&ledger).unwrap(),
            dirs,
            logs: self.folder.path().join("logs"),
            outages: self.machines.iter().flat_map(|machine| machine.wire.outages()).collect(),
            read: self.read.lock().unwrap().clone(),
            lost: self.losses.lost.load(Ordering::SeqCst),
            as_before: world == self.before,
            moved: !world["sets"].as_str().unwrap().contains("herokudns"),
        }
    }

    async fn explain(&self) {
        let told = self.events().await.iter().map(cutover::journal::line).collect::<Vec<_>>();
        println!("{}", told[told.len().saturating_sub(60)..].join("\n"));
        let log = fs::read_to_string(self.machines[self.acting].dir.engine_log()).unwrap_or_default();
        println!("{}", log.lines().rev().take(20).collect::<Vec<_>>().join("\n"));
    }

    /// Record sets, what runs on both sides, and the command's lock.
    async fn world(&self) -> Value {
        let zone = sandbox::HOSTED_ZONE;
        let sets = self.get(&format!("{}/2013-04-01/hostedzone/{zone}/rrset", self.endpoints.aws_route53)).await;
        let state = self.get(&format!("{}/sandbox/state", self.endpoints.control)).await;
        let state: Value = serde_json::from_str(&state).unwrap();
        let sides = state["sides"].as_array().unwrap().iter().map(|side| {
            serde_json::json!([side["side"], side["web"], side["worker"], side["scheduler"], side["maintenance"]])
        });
        let (sides, lock) = (sides.collect::<Vec<_>>(), self.folder.path().join("lock/deploys").exists());
        serde_json::json!({ "sets": sets, "sides": sides, "ecs": state["ecs"], "lock": lock })
    }

    async fn get(&self, url: &str) -> String {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(url).header("authorization", SIGNED).send().await.unwrap();
        answer.error_for_status().unwrap().text().await.unwrap()
    }

    pub(crate) async fn strike(self) {
        let Self { mut folder, sandbox, machines, reader, .. } = self;
        drop(reader);
        drop(machines);
        sandbox.shutdown().await;
        folder.disable_cleanup(false);
        folder.close().unwrap();
    }
}

/// Freezes the plan on both machines, and makes the session in the bucket for the first.
async fn begin(
    folder: &Path,
    endpoints: &Endpoints,
    clock: Clock,
    losses: &Arc<Losses>,
    remote: &Remote,
) -> [SessionDir; 2] {
    let layout = |machine: &str| Layout::at(folder.join(machine).join("state"));
    let first = layout("one").create("acme-shop", "sandbox", wall_now()).unwrap();
    let second = layout("two").adopt("acme-shop", "sandbox", first.id()).unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/acme-shop.toml");
    let source = fs::read_to_string(path).unwrap();
    let mut given = sandbox_variables(endpoints, &first);
    for (name, upstream) in [("aws_endpoint", &endpoints.aws_route53), ("heroku_endpoint", &endpoints.heroku)] {
        let carrier: Arc<dyn Carrier> = losses.clone();
        given.insert(format!("sandbox.{name}"), proxy::before(upstream, carrier).await);
    }
    let all = PEOPLE.concat().join(", ");
    let ours = [
        ("old_ttl", "300"),
        ("switch_gate", "two"),
        ("group", GROUP),
        ("drivers", &all),
        ("confirmers", &all),
        ("viewers", &all),
        ("deploy_lock", &folder.join("lock/deploys").display().to_string()),
    ];
    given.extend(ours.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let plan = plan::load(&source, path, "sandbox", &given);
    let mut plan = plan.unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    // Many processes share two processors, at 120 times the speed: a step that waits for one is not overdue, and what
    // customers feel while everything is killed is not asked here.
    plan.steps.iter_mut().for_each(|step| (step.timeout, step.demands_green) = (step.timeout * 10, false));
    plan.guardrails.retain(|guardrail| guardrail.id == "cpu");
    plan.metrics.retain(|metric| ["cpu", "old-requests", "new-requests"].contains(&metric.id.as_str()));
    plan.checks.retain(|check| CHECKS.contains(&check.id.as_str()));
    plan.checks.iter_mut().for_each(|check| (check.every, check.timeout) = (check.every * 4, check.timeout * 4));
    for step in &mut plan.steps {
        // Two people are needed early, too: a short trial ends before the freeze.
        if EARLY.contains(&step.id.to_string().as_str()) {
            step.gate = GateLevel::Two;
        }
        if let Kind::CheckSuite { checks, .. } = &mut step.kind {
            checks.retain(|check| CHECKS.contains(&check.as_str()));
        }
    }
    for dir in [&first, &second] {
        dir.freeze(&plan, &source).unwrap();
        Setup { clock, journal: Some(remote.url().to_owned()) }.save(dir).unwrap();
    }
    let identity = Identity { session: first.id().to_owned(), plan, source, clock };
    remote.begin(&identity, &Writer::of(first.path()).unwrap()).await.unwrap();
    [first, second]
}

/// Reads the whole log every few seconds, and writes down how long that takes.
async fn read_on(remote: Remote, read: Arc<Mutex<Vec<u64>>>) {
    loop {
        tokio::time::sleep(Duration::from_secs(4)).await;
        let begun = monotonic();
        if Trail::whole(&remote).await.is_ok() {
            let took = u64::try_from(begun.elapsed().as_millis()).unwrap();
            read.lock().unwrap().push(took);
        }
    }
}

/// A machine's own link to the bucket.
async fn bucket_wire() -> Wire {
    let endpoint = env::var("AWS_ENDPOINT_URL_S3").unwrap_or_else(|_| panic!("run tests/peers/trial.sh"));
    let upstream: SocketAddr = endpoint.trim_start_matches("http://").parse().unwrap();
    Wire::to(upstream).await
}

/// Makes the bucket by S3's own interface.
pub(crate) async fn make_bucket() {
    let endpoint = env::var("AWS_ENDPOINT_URL_S3").unwrap_or_else(|_| panic!("run tests/peers/trial.sh"));
    let signed = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request";
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let begun = monotonic();
    loop {
        let made = client.put(format!("{endpoint}/journals")).header("authorization", signed).send().await;
        if made.is_ok_and(|answer| answer.status().is_success()) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the bucket is never made");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
