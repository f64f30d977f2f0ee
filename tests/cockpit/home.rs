//! A place for sessions of its own, and what runs there. Everything it started is gone when it is dropped.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Output},
    thread,
    time::Duration,
};

use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, ResourceRecordSet, RrType};
use cutover::{
    clock::{Clock, monotonic},
    journal::{Layout, SessionDir},
    sandbox::{Endpoints, ledger::Entry},
    session::{Status, status},
};
use portable_pty::CommandBuilder;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::terminal::{PATIENCE, Size, Terminal};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_cutover");
const POLL: Duration = Duration::from_millis(30);
/// The sandbox looks who asks and does not check signatures.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIASANDBOX/20261124/us-east-1/route53/aws4_request";
/// What must not leak in from whoever runs the tests.
const FOREIGN: [&str; 5] = ["NO_COLOR", "AWS_PROFILE", "AWS_ENDPOINT_URL", "HEROKU_API_KEY", "CUTOVER_LOG"];

/// A home, its sessions, and their processes.
pub(crate) struct Home {
    folder: TempDir,
    runtime: Runtime,
    /// What is started.
    pub(crate) program: PathBuf,
}

impl Home {
    /// An empty home.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("cutover-").tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { folder, runtime, program: PROGRAM.into() }
    }

    /// An empty home with a program in it that no other stands beside.
    pub(crate) fn with_program_of_its_own() -> Self {
        let mut home = Self::new();
        let folder = home.path().join("bin");
        fs::create_dir(&folder).unwrap();
        home.program = folder.join("cutover");
        fs::hard_link(PROGRAM, &home.program).or_else(|_| fs::copy(PROGRAM, &home.program).map(drop)).unwrap();
        home
    }

    fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// A file of this home.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Runs the program without a terminal, to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.args(args).env("XDG_STATE_HOME", self.path()).env("XDG_RUNTIME_DIR", self.path());
        FOREIGN.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.output().unwrap()
    }

    /// Its standard output as JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let output = self.run(args);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    /// Opens the program in a terminal.
    pub(crate) fn open(&self, args: &[&str], size: Size) -> Terminal {
        self.open_with(args, size, &[])
    }

    /// The same with more variables.
    pub(crate) fn open_with(&self, args: &[&str], size: Size, variables: &[(&str, &str)]) -> Terminal {
        let mut command = CommandBuilder::new(&self.program);
        command.args(args);
        command.env("XDG_STATE_HOME", self.path());
        command.env("XDG_RUNTIME_DIR", self.path());
        FOREIGN.iter().for_each(|name| command.env_remove(name));
        variables.iter().for_each(|(name, value)| command.env(name, value));
        Terminal::open(command, size)
    }

    /// A cockpit on a rehearsal, as soon as its steps are on the screen.
    pub(crate) fn rehearse(&self, args: &[&str], size: Size) -> Terminal {
        let terminal = self.open(&[&["rehearse"], args].concat(), size);
        terminal.wait_for("AWS environment");
        terminal
    }

    /// All sessions of this home.
    pub(crate) fn sessions(&self) -> Vec<SessionDir> {
        Layout::at(self.path().join("cutover")).list().unwrap()
    }

    /// The only session.
    pub(crate) fn session(&self) -> SessionDir {
        let mut all = self.sessions();
        assert_eq!(all.len(), 1, "{all:?}");
        all.pop().unwrap()
    }

    /// Where the session stands, by its engine or by its journal.
    pub(crate) fn status(&self) -> Status {
        self.runtime.block_on(status(&self.session())).unwrap()
    }

    /// Waits until the session's state satisfies.
    pub(crate) fn wait(&self, what: &str, patience: Duration, mut satisfies: impl FnMut(&Status) -> bool) {
        let begun = monotonic();
        loop {
            let status = self.status();
            if satisfies(&status) {
                return;
            }
            assert!(begun.elapsed() < patience, "never {what}: {:#?}", status.summary());
            thread::sleep(POLL);
        }
    }

    /// Where the sandbox listens.
    pub(crate) fn endpoints(&self) -> Endpoints {
        serde_json::from_slice(&fs::read(self.session().path().join("sandbox.json")).unwrap()).unwrap()
    }

    /// The session's clock: the sandbox's, or the real one.
    pub(crate) fn clock(&self) -> Clock {
        if self.session().path().join("sandbox.json").exists() { self.endpoints().clock() } else { Clock::real() }
    }

    fn get(&self, url: &str) -> String {
        let request = reqwest::Client::new().get(url).header("authorization", SIGNED);
        let get = async { request.send().await?.error_for_status()?.text().await };
        self.runtime.block_on(get).unwrap()
    }

    /// Every mutation that took effect in the sandbox.
    pub(crate) fn ledger(&self) -> Vec<Entry> {
        serde_json::from_str(&self.get(&format!("{}/sandbox/ledger", self.endpoints().control))).unwrap()
    }

    /// What Route 53 answers when it is asked for all record sets of the zone, to the letter.
    pub(crate) fn record_sets(&self) -> String {
        let zone = &self.status().plan.records.first().unwrap().zone_id.clone();
        self.get(&format!("{}/2013-04-01/hostedzone/{zone}/rrset", self.endpoints().aws_route53))
    }

    /// The world's AWS, for somebody else.
    fn aws(&self) -> aws_config::SdkConfig {
        let keys = aws_credential_types::Credentials::new("AKIASOMEBODY", "none", None, None, "test");
        let loader = aws_config::defaults(aws_config::BehaviorVersion::latest()).region("us-east-1");
        let loader = loader.credentials_provider(keys).endpoint_url(self.endpoints().aws_route53);
        self.runtime.block_on(loader.load())
    }

    fn route53(&self) -> aws_sdk_route53::Client {
        aws_sdk_route53::Client::new(&self.aws())
    }

    /// From now on the session may do what `cutover iam` says of the sample plan, and nothing else.
    pub(crate) fn grant_the_least(&self) {
        let output = self.run(&["iam", "config/acme-shop.toml", "--env", "sandbox"]);
        let (iam, policy) = (aws_sdk_iam::Client::new(&self.aws()), String::from_utf8(output.stdout).unwrap());
        let put = iam.put_user_policy().user_name("sandbox").policy_name("cutover").policy_document(policy);
        let delete = iam.delete_user_policy().user_name("sandbox").policy_name("everything");
        self.runtime.block_on(async {
            put.send().await.unwrap();
            delete.send().await.unwrap();
        });
    }

    /// The record set of this name and type.
    pub(crate) fn record_set(&self, zone: &str, name: &str, kind: RrType) -> ResourceRecordSet {
        let listed = self.route53().list_resource_record_sets().hosted_zone_id(zone);
        let listed = self.runtime.block_on(listed.send()).unwrap();
        let mut all = listed.resource_record_sets.into_iter();
        all.find(|set| set.name == name && set.r#type == kind).unwrap()
    }

    /// Somebody changes the zone behind the session's back.
    pub(crate) fn change_record(&self, zone: &str, action: ChangeAction, set: ResourceRecordSet) {
        let change = Change::builder().action(action).resource_record_set(set).build().unwrap();
        let batch = ChangeBatch::builder().changes(change).build().unwrap();
        let change = self.route53().change_resource_record_sets().hosted_zone_id(zone).change_batch(batch);
        self.runtime.block_on(change.send()).unwrap();
    }

    /// Formation, services and maintenance mode of both sides: what runs, without how busy it is.
    pub(crate) fn runners(&self) -> Value {
        let state = self.get(&format!("{}/sandbox/state", self.endpoints().control));
        let state: Value = serde_json::from_str(&state).unwrap();
        let sides = state["sides"].as_array().unwrap().iter().map(|side| {
            serde_json::json!([side["side"], side["web"], side["worker"], side["scheduler"], side["maintenance"]])
        });
        serde_json::json!({ "sides": sides.collect::<Vec<_>>(), "ecs": state["ecs"] })
    }

    /// Makes something go wrong in the sandbox from now on.
    pub(crate) fn inject(&self, fault: &Value) {
        let post = reqwest::Client::new().post(format!("{}/sandbox/fault", self.endpoints().control)).json(fault);
        let sent = self.runtime.block_on(async { post.send().await?.error_for_status() });
        sent.unwrap();
    }

    /// Somebody scales a process type of the Heroku app behind the session's back.
    pub(crate) fn scale_heroku(&self, process: &str, quantity: u32) {
        self.patch_heroku("formation", &serde_json::json!({ "updates": [{ "type": process, "quantity": quantity }] }));
    }

    /// Somebody changes the app by other ways than ours.
    pub(crate) fn patch_heroku(&self, what: &str, body: &serde_json::Value) {
        let url = format!("{}/apps/acme-shop/{what}", self.endpoints().heroku);
        let patch = reqwest::Client::new().patch(url).bearer_auth("somebody").json(body);
        self.runtime.block_on(async { patch.send().await?.error_for_status() }).unwrap();
    }

    /// The process of the engine that runs now.
    pub(crate) fn engine(&self) -> Option<Pid> {
        let holder = self.session().holder().unwrap()?;
        Pid::from_raw(i32::try_from(holder.pid).unwrap())
    }

    /// `kill -9` of the engine, and its end waited for. False: there was none.
    pub(crate) fn kill_engine(&self) -> bool {
        let Some(engine) = self.engine() else { return false };
        let killed = kill_process(engine, Signal::KILL).is_ok();
        let begun = monotonic();
        while self.engine() == Some(engine) {
            assert!(begun.elapsed() < PATIENCE, "the killed engine still holds its lock");
            thread::sleep(Duration::from_millis(2));
        }
        killed
    }

    /// The journal as `cutover journal --verify` sees it: asserts that it is accepted.
    pub(crate) fn verify(&self) {
        let output = self.run(&["journal", "--verify"]);
        assert!(output.status.success(), "{output:?}");
    }

    /// Every process whose environment names this home.
    fn processes(&self) -> Vec<Pid> {
        let mark = format!("XDG_STATE_HOME={}\0", self.path().display());
        let ours = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(&mark)
        };
        let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        all.filter(ours).filter_map(Pid::from_raw).collect()
    }

    /// How many processes of the program run in this home.
    pub(crate) fn running(&self) -> usize {
        self.processes().len()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if thread::panicking() {
            for dir in self.sessions() {
                let log = fs::read_to_string(dir.engine_log()).unwrap_or_default();
                let tail: Vec<_> = log.lines().rev().take(15).collect();
                eprintln!(
                    "the engine of {} said last:\n{}",
                    dir.id(),
                    tail.into_iter().rev().collect::<Vec<_>>().join("\n")
                );
            }
        }
        for process in self.processes() {
            let _ = kill_process(process, Signal::KILL);
        }
    }
}
