//! A machine: a home, an engine when it acts, and the screens of its people.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use cutover::{journal::SessionDir, run::Seat};
use rustix::process::{Pid, Signal, kill_process};

use super::{
    screen::Task,
    wire::{Line, Wire},
};

/// A screen and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) name: String,
    user: String,
    seat: Seat,
}

/// What every process of a session needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    pub(crate) folder: PathBuf,
    pub(crate) url: String,
    pub(crate) back: bool,
}

pub(crate) struct Machine {
    pub(crate) name: &'static str,
    /// Whose engine it is.
    pub(crate) user: String,
    pub(crate) wire: Wire,
    pub(crate) dir: SessionDir,
    pub(crate) engine: Option<Child>,
    pub(crate) places: Vec<Place>,
    pub(crate) screens: BTreeMap<String, Child>,
    common: Common,
}

impl Machine {
    /// A machine with two people, one of whom has two terminals.
    pub(crate) fn new(name: &'static str, people: [&str; 2], wire: Wire, dir: SessionDir, common: Common) -> Self {
        let place = |terminal: &str, user: &str, seat| Place {
            name: format!("{name}-{terminal}"),
            user: user.to_owned(),
            seat,
        };
        let places = vec![
            place("driver", people[0], Seat::Driver),
            place("second-terminal", people[0], Seat::Confirmer),
            place("confirmer", people[1], Seat::Confirmer),
        ];
        let user = people[0].to_owned();
        let run = common.folder.join(name).join("run");
        fs::create_dir_all(&run).unwrap();
        Self { name, user, wire, dir, engine: None, places, screens: BTreeMap::new(), common }
    }

    /// The socket of its engine, where both logins look.
    fn socket(&self) -> PathBuf {
        let directory = format!("cutover-{}-{}", uid(&self.user), super::stage::GROUP);
        self.run_dir().join(directory).join(format!("{}.sock", self.dir.id()))
    }

    fn run_dir(&self) -> PathBuf {
        self.common.folder.join(self.name).join("run")
    }

    fn command(&self, user: &str, words: &[&str]) -> Command {
        // The kernel's login uid is set as a login would, where that is kept.
        let login = "[ \"$(cat /proc/self/loginuid)\" = 4294967295 ] || echo \"$0\" > /proc/self/loginuid; exec \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", login, &uid(user), "setpriv", "--reuid", user, "--regid", user, "--init-groups"]);
        command.args(words).current_dir("/").stdin(Stdio::null());
        for name in ["SUDO_USER", "SUDO_UID", "SSH_CONNECTION", "XDG_RUNTIME_DIR", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
        command
            .env("HOME", self.common.folder.join(self.name))
            .env("CUTOVER_RUN_DIR", self.run_dir())
            .env("AWS_ENDPOINT_URL_S3", format!("http://127.0.0.1:{}", self.wire.port));
        command
    }

    /// Starts the engine if none runs.
    pub(crate) fn start_engine(&mut self) {
        if self.engine_lives() {
            return;
        }
        let log = fs::File::options().create(true).append(true).open(self.dir.engine_log()).unwrap();
        let (program, dir) = (self.common.folder.join("cutover"), self.dir.path().display().to_string());
        let mut command = self.command(&self.user, &[&program.display().to_string(), "engine", &dir]);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.engine = Some(command.spawn().unwrap());
    }

    pub(crate) fn engine_lives(&mut self) -> bool {
        alive(&mut self.engine)
    }

    /// `kill -9`; whether there was one.
    pub(crate) fn kill_engine(&mut self) -> bool {
        let lived = self.engine_lives();
        if let Some(mut child) = self.engine.take() {
            kill(&mut child);
        }
        lived
    }

    /// Opens every screen that is not there: at the engine while it acts, else at the bucket.
    pub(crate) fn open_screens(&mut self, acts: bool) {
        for place in self.places.clone() {
            let lives = self.screens.get_mut(&place.name).is_some_and(|child| child.try_wait().unwrap().is_none());
            if !lives {
                let child = self.open(&place, acts);
                self.screens.insert(place.name.clone(), child);
            }
        }
    }

    fn open(&self, place: &Place, acts: bool) -> Child {
        let socket = self.socket().display().to_string();
        let task = Task {
            way: if acts { socket } else { self.common.url.clone() },
            seat: acts.then_some(place.seat),
            log: self.common.folder.join("logs").join(format!("{}.jsonl", place.name)),
            turn: self.common.folder.join("turn"),
            back: self.common.back,
            eager: place.user == self.user,
        };
        let program = self.common.folder.join("trial").display().to_string();
        let mut command = self.command(&place.user, &[&program]);
        let log = fs::File::options().create(true).append(true).open(self.common.folder.join("screens.log")).unwrap();
        command.env("CUTOVER_TRIAL_SCREEN", serde_json::to_string(&task).unwrap());
        command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    pub(crate) fn kill_screen(&mut self, name: &str) {
        if let Some(mut child) = self.screens.remove(name) {
            kill(&mut child);
        }
    }

    /// Stops a screen's process, or lets it go on: a link that hangs.
    pub(crate) fn signal_screen(&self, name: &str, signal: Signal) {
        if let Some(child) = self.screens.get(name) {
            // It may have ended a moment ago.
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }

    /// Everything that runs here is gone.
    pub(crate) fn stop(&mut self) {
        self.wire.set(Line::Up);
        self.kill_engine();
        for name in self.screens.keys().cloned().collect::<Vec<_>>() {
            self.kill_screen(&name);
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // A trial that fails leaves nothing behind.
        self.stop();
    }
}

fn alive(child: &mut Option<Child>) -> bool {
    child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
}

fn kill(child: &mut Child) {
    // It may have died a moment ago.
    let _ = child.kill();
    child.wait().unwrap();
}

pub(crate) fn uid(user: &str) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with(&format!("{user}:")));
    let line = line.unwrap_or_else(|| panic!("there is no user {user}: run tests/peers/trial.sh"));
    line.split(':').nth(2).unwrap().to_owned()
}

/// Gives a folder and all in it to a user.
pub(crate) fn give(folder: &Path, user: &str) {
    let status = Command::new("chown").arg("-R").arg(format!("{user}:{user}")).arg(folder).status().unwrap();
    assert!(status.success(), "chown {user} {}", folder.display());
}
