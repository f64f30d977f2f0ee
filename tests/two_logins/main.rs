//! Several logins of one machine and one engine: who gets in, who may take which seat, and that a two-person gate opens
//! for two logins and never for one. Needs root and the users that `tests/peers/two-logins.sh` makes; that script runs
//! this test, and plain `cargo test` leaves it out.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may panic as the test itself")]

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::PathBuf,
    process::{Command, Output},
    thread,
    time::Duration,
};

use cutover::clock::monotonic;
use portable_pty::CommandBuilder;
use tempfile::TempDir;

#[path = "../cockpit/terminal.rs"]
#[expect(dead_code, reason = "the tests of the cockpit need more of it")]
mod terminal;

use terminal::{Terminal, key};

/// The engine's user, a confirmer, a member of the group whom the plan does not name, and somebody else.
const ANN: &str = "cutover-ann";
const BOB: &str = "cutover-bob";
const DAN: &str = "cutover-dan";
const EVE: &str = "cutover-eve";
const WIDE: (u16, u16) = (160, 48);
/// Longer than a refusal takes.
const LOOK: Duration = Duration::from_millis(1200);
/// How long nothing must happen to believe that it does not.
const NEVER: Duration = Duration::from_secs(2);
/// No gate is open for so long: its time limit is two minutes.
const TOO_LATE: Duration = Duration::from_secs(240);

/// A machine with its users, and a plan whose first step stands behind a two-person gate.
struct Stage {
    folder: TempDir,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("two-logins-").tempdir_in("/tmp").unwrap();
        let stage = Self { folder };
        let open = |path: &PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        open(&stage.path(""), 0o755);
        fs::create_dir(stage.path("run")).unwrap();
        open(&stage.path("run"), 0o1777);
        fs::copy(env!("CARGO_BIN_EXE_cutover"), stage.path("cutover")).unwrap();
        for user in [ANN, BOB, DAN, EVE] {
            fs::create_dir(stage.path(user)).unwrap();
            open(&stage.path(user), 0o700);
            chown(stage.path(user), Some(stage.uid(user)), None).unwrap();
        }
        fs::write(stage.path("plan.toml"), stage.plan()).unwrap();
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the gated step makes.
    fn mark(&self) -> PathBuf {
        self.path(ANN).join("mark")
    }

    fn plan(&self) -> String {
        let sample = include_str!("../../config/acme-shop.toml");
        let mark = self.mark().display().to_string();
        let gated = format!(
            "[[step]]\nid = \"handshake\"\ntitle = \"Handshake\"\nkind = \"exec\"\nclass = \"reversible\"\n\
             apply = [\"touch\", \"{mark}\"]\nobserve = [\"test\", \"-e\", \"{mark}\"]\nundo = [\"rm\", \"{mark}\"]\n\
             gate = \"two\"\n\n[[step]]\nid = \"aws-ready\""
        );
        let access = format!(
            "deploy_lock = \"{mark}.lock\"\ngroup = \"cutover-test\"\ndrivers = \"{ANN}, {BOB}\"\n\
             confirmers = \"{ANN}, {BOB}\"\nviewers = \"{BOB}\""
        );
        let first = "[[step]]\nid = \"aws-ready\"";
        let lock = "deploy_lock = \"${sandbox.directory}/deploy.lock\"";
        assert!(sample.contains(first) && sample.contains(lock), "the sample has changed: change this test with it");
        sample.replace(first, &gated).replace(lock, &access)
    }

    fn uid(&self, user: &str) -> u32 {
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let line = passwd.lines().find(|line| line.starts_with(&format!("{user}:")));
        let line = line.unwrap_or_else(|| panic!("there is no user {user}: run tests/peers/two-logins.sh"));
        line.split(':').nth(2).unwrap().parse().unwrap()
    }

    /// The words that run the program as a user. The kernel's login uid is set as a login would, where that is kept.
    fn words(&self, user: &str, args: &[&str]) -> Vec<String> {
        let login = "[ \"$(cat /proc/self/loginuid)\" = 4294967295 ] || echo \"$0\" > /proc/self/loginuid; exec \"$@\"";
        let (uid, program) = (self.uid(user).to_string(), self.path("cutover").display().to_string());
        let become_user = ["setpriv", "--reuid", user, "--regid", user, "--init-groups"];
        let words = ["sh", "-c", login, &uid].into_iter().chain(become_user).chain([program.as_str()]);
        words.chain(args.iter().copied()).map(str::to_owned).collect()
    }

    fn environment(&self, user: &str) -> [(&'static str, PathBuf); 4] {
        let home = self.path(user);
        [
            ("HOME", home.clone()),
            ("XDG_STATE_HOME", home.clone()),
            ("XDG_RUNTIME_DIR", home),
            ("CUTOVER_RUN_DIR", self.path("run")),
        ]
    }

    /// Runs the program as a user, to its end.
    fn run(&self, user: &str, args: &[&str]) -> Output {
        let words = self.words(user, args);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).envs(self.environment(user)).current_dir("/");
        for name in ["SUDO_USER", "SUDO_UID", "SSH_CONNECTION", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
        command.output().unwrap()
    }

    /// Opens the program in a terminal of a user.
    fn open(&self, user: &str, args: &[&str]) -> Terminal {
        let words = self.words(user, args);
        self.open_words(&words, user, &[])
    }

    fn open_words(&self, words: &[String], user: &str, more: &[(&str, &str)]) -> Terminal {
        let mut command = CommandBuilder::new(&words[0]);
        command.args(&words[1..]);
        command.cwd("/");
        ["SUDO_USER", "SUDO_UID", "SSH_CONNECTION", "NO_COLOR"].iter().for_each(|name| command.env_remove(name));
        self.environment(user).iter().for_each(|(name, value)| command.env(name, value));
        more.iter().for_each(|(name, value)| command.env(name, value));
        Terminal::open(command, WIDE)
    }

    /// The socket of the only session.
    fn socket(&self) -> PathBuf {
        let directory = fs::read_dir(self.path("run")).unwrap().next().unwrap().unwrap().path();
        let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&directory), 0o750, "the directory of the sockets");
        let socket = fs::read_dir(directory).unwrap().next().unwrap().unwrap().path();
        assert_eq!(mode(&socket), 0o660, "the socket");
        socket
    }

    /// Every event so far, as one text.
    fn journal(&self) -> String {
        let output = self.run(ANN, &["journal", "--json"]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Asserts that a key of somebody who may not confirm leaves the gate as it is.
    fn assert_shut(&self, screen: &mut Terminal, who: &str) {
        thread::sleep(LOOK);
        screen.press(key::CONSENT);
        thread::sleep(NEVER);
        assert!(!self.mark().exists(), "{who} passed the gate alone:\n{}", screen.text());
        assert!(!self.journal().contains("\"consented\""), "{who} consented:\n{}", screen.text());
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Everything that was started as somebody names this folder in its environment.
        let mark = format!("CUTOVER_RUN_DIR={}\0", self.path("run").display());
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if String::from_utf8_lossy(&environment).contains(&mark)
                && let Some(pid) = pid.and_then(rustix::process::Pid::from_raw)
            {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

/// The driver's part of the two-person gate.
fn arm_and_type(driver: &mut Terminal) {
    driver.wait_for("arm");
    thread::sleep(LOOK);
    driver.press(key::ENTER);
    driver.wait_for("both read:");
    driver.until_read();
    driver.type_in("handshake");
    driver.press(key::ENTER);
}

/// The words of the evidence after a phrase of a screen.
fn words_after(text: &str, phrase: &str) -> String {
    let rest = text.split(phrase).nth(1).unwrap_or_else(|| panic!("no `{phrase}` on the screen:\n{text}"));
    rest.split_whitespace().take(4).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_two_person_gate_opens_for_two_logins_and_never_for_one() {
    let stage = Stage::new();
    let plan = stage.path("plan.toml").display().to_string();
    let mut ann = stage.open(ANN, &["rehearse", "--plan", &plan, "--speed", "20"]);
    ann.wait_for("Handshake");
    let socket = stage.socket().display().to_string();

    assert_only_the_named_get_in(&stage, &socket);

    // The driver types; nobody else is there.
    arm_and_type(&mut ann);
    ann.wait_for("no confirmer is attached");
    let words = words_after(&ann.text(), "both read: ");

    // One person with two terminals, under a claimed name, or as root by sudo, is still one person.
    let mut again = stage.open(ANN, &["join", "--role", "confirmer"]);
    again.wait_for("Handshake");
    stage.assert_shut(&mut again, "ann's second terminal");
    let mut claims = stage.open(ANN, &["join", "--role", "confirmer", "--as", "bob"]);
    claims.wait_for("Handshake");
    stage.assert_shut(&mut claims, "ann who calls herself bob");
    assert!(stage.journal().contains(&format!("{ANN} (claims bob)")), "the claimed name is not marked");
    let program = stage.path("cutover").display().to_string();
    let as_root = [&program, "join", "--socket", &socket, "--role", "confirmer"].map(|word| word.to_string());
    let uid = stage.uid(ANN).to_string();
    let mut root = stage.open_words(&as_root, EVE, &[("SUDO_USER", ANN), ("SUDO_UID", &uid)]);
    root.wait_for("Handshake");
    stage.assert_shut(&mut root, "ann who became root");
    drop((again, claims, root));

    // Another login finds the session by itself, reads the same words, and passes it with one key.
    let mut bob = stage.open(BOB, &["join", "--role", "confirmer"]);
    bob.wait_for("CONFIRM");
    assert_eq!(words_after(&bob.text(), "both read: "), words);
    assert!(ann.text().contains(&words), "the driver's screen lost its words:\n{}", ann.text());
    bob.until_read();
    bob.press(key::CONSENT);
    ann.wait("the step done", |_| stage.mark().exists());
    let journal = stage.journal();
    let consent = journal.lines().find(|line| line.contains("\"consented\"")).unwrap();
    assert!(consent.contains(BOB), "{consent}");

    // Everybody sees who is there; taking over is explicit, told, and journaled.
    ann.press("w");
    ann.wait_for(BOB);
    ann.wait_for("looks at step");
    ann.press(key::ESC);
    bob.press("t");
    bob.wait_for(&format!("{ANN} drives now"));
    bob.until_read();
    bob.press(key::CONSENT);
    ann.wait_for(&format!("{BOB} has taken over"));
    let taken = stage.journal();
    let taken = taken.lines().find(|line| line.contains("\"seat-taken\"")).unwrap();
    assert!(taken.contains(BOB), "{taken}");
}

#[test]
fn a_second_person_who_comes_too_late_confirms_nothing() {
    let stage = Stage::new();
    let plan = stage.path("plan.toml").display().to_string();
    let mut ann = stage.open(ANN, &["rehearse", "--plan", &plan, "--speed", "20"]);
    ann.wait_for("Handshake");
    let mut bob = stage.open(BOB, &["join", "--role", "confirmer"]);
    bob.wait_for("Handshake");
    arm_and_type(&mut ann);
    bob.wait_for("CONFIRM");
    // Two minutes, and what a loaded machine adds.
    let begun = monotonic();
    while !stage.journal().contains("nobody passed it in time") {
        assert!(begun.elapsed() < TOO_LATE, "it stays open for ever:\n{}", ann.text());
        thread::sleep(LOOK);
    }
    assert!(begun.elapsed() > TOO_LATE / 3, "it was closed before a second person could read it");
    bob.press(key::CONSENT);
    thread::sleep(NEVER);
    assert!(!stage.mark().exists() && !stage.journal().contains("\"consented\""), "too late:\n{}", bob.text());
    // Typed anew it waits anew.
    arm_and_type(&mut ann);
    bob.wait_for("CONFIRM");
    bob.until_read();
    bob.press(key::CONSENT);
    ann.wait("the step done", |_| stage.mark().exists());
}

/// Who is not in the group does not even reach the socket; whom the plan does not name is told nothing.
fn assert_only_the_named_get_in(stage: &Stage, socket: &str) {
    for (user, why) in [(EVE, "Permission denied"), (DAN, "failed to attach to the engine")] {
        let sessions = stage.run(user, &["sessions", "--json"]);
        assert_eq!(String::from_utf8_lossy(&sessions.stdout).trim(), "[]", "{user} sees a session");
        let status = stage.run(user, &["status", "--socket", socket]);
        let said = String::from_utf8_lossy(&status.stderr).into_owned();
        assert!(!status.status.success() && said.contains(why), "{user}: {said}");
        assert!(status.stdout.is_empty(), "{user} was told something");
    }
    let status = stage.run(BOB, &["status", "--socket", socket]);
    assert!(status.status.success(), "{status:?}");
    let sessions = stage.run(BOB, &["sessions"]);
    assert!(String::from_utf8_lossy(&sessions.stdout).contains(&format!("running of {ANN}")), "{sessions:?}");
}
