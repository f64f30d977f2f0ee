//! The engine and the sandbox are processes of their own: they outlive the screen that started them.

use std::{
    fs::{File, OpenOptions},
    os::unix::{fs::OpenOptionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use color_eyre::eyre::{Result, WrapErr as _, eyre};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use super::{FINE, invalid};
use crate::{
    clock::monotonic,
    engine,
    journal::{Layout, LockError, SessionDir},
    run::{Origin, Seat, outcome},
    session::{Client, ConnectError, message::Snapshot, status},
    world::command::ONE_HEAP,
};

/// How long a process may take to come up, wall time.
const START: Duration = Duration::from_secs(20);
/// How often it is asked whether it is up, wall time.
const POLL: Duration = Duration::from_millis(20);
/// After this long the person is told what is waited for, wall time.
const SILENCE: Duration = Duration::from_secs(1);

/// The program that engines are started from, where this is another one.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
/// Processes that were left to themselves.
static LEFT: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Engines are started from there; the first to say so is heard.
pub(super) fn start_from(program: PathBuf) {
    let _ = PROGRAM.set(program);
}

/// The program that engines are started from.
pub(super) fn program() -> Result<PathBuf> {
    let this = || std::env::current_exe().wrap_err("failed to find this program's own file");
    PROGRAM.get().cloned().map_or_else(this, Ok)
}

/// Processes that this one has started and left to themselves.
pub(super) fn left_alone() -> Vec<u32> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Waits for the ends of processes that this one started when it was another program.
pub(super) fn take_over(children: &[u32]) {
    let known = children.iter().filter_map(|pid| rustix::process::Pid::from_raw(i32::try_from(*pid).ok()?));
    for child in known {
        reap(move || rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty()));
    }
}

/// A thread takes an exit status, so that no zombie stays behind.
fn reap<T>(wait: impl FnOnce() -> T + Send + 'static) {
    // Without a thread there is a zombie, and no other harm.
    let _ = std::thread::Builder::new().name("reaper".into()).spawn(move || drop(wait()));
}

/// Runs the engine in this process: leaves the terminal's session first, so that no hang-up reaches it.
pub(super) async fn engine(dir: &Path) -> Result<ExitCode> {
    leave_terminal();
    log_to_stderr();
    let dir = SessionDir::new(dir);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    // A file that may not grow is a write that fails, and the engine holds; by default it would be the engine's death.
    let _full = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
    let serving = engine::serve(&dir);
    tokio::pin!(serving);
    loop {
        tokio::select! {
            result = &mut serving => return match result {
                Ok(()) => Ok(FINE),
                Err(engine::EngineError::Lock(error @ LockError::Held { .. })) => {
                    tracing::warn!(%error, "another engine acts");
                    Ok(invalid())
                }
                Err(error) => Err(error.into()),
            },
            // What is under way is on disk; the next engine takes it up from there.
            _ = terminate.recv() => return Ok(FINE),
            _ = hang_up.recv() => tracing::info!("a hang-up is not for the engine"),
        }
    }
}

/// A session leader has no controlling terminal: the kernel sends it no hang-up.
pub(super) fn leave_terminal() {
    // Fails only for a process group leader, which has none to lose or was started that way on purpose.
    let _ = rustix::process::setsid();
}

pub(super) fn log_to_stderr() {
    let ours = || Targets::new().with_default(LevelFilter::WARN).with_target("cutover", LevelFilter::INFO);
    let filter = std::env::var("CUTOVER_LOG").ok().and_then(|wanted| wanted.parse().ok()).unwrap_or_else(ours);
    // A line that cannot be written is lost. To complain about it on stderr, which is that very file, is to panic.
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false).log_internal_errors(false);
    // A second subscriber in one process is a test's business.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
}

/// A process did not end by itself: that says nothing against starting it again.
#[derive(Debug, thiserror::Error)]
#[error("failed to start the {what}: it was killed by signal {signal} while it came up")]
struct Killed {
    what: &'static str,
    signal: i32,
}

/// A process of ours in the background, and where it writes what goes wrong.
pub(super) struct Background {
    child: Child,
    what: &'static str,
    log: PathBuf,
}

impl Background {
    /// Starts the program again with other arguments, its output going to `log`.
    fn spawn(what: &'static str, args: &[&std::ffi::OsStr], log: PathBuf) -> Result<Self> {
        let out = open_log(&log)?;
        let err = out.try_clone()?;
        let mut command = Command::new(program()?);
        command.args(args).env(ONE_HEAP.0, ONE_HEAP.1).stdin(Stdio::null()).stdout(out).stderr(err);
        // Endpoints from the environment belong to real worlds; the plan of a sandbox names its own.
        let child = command.spawn().wrap_err_with(|| format!("failed to start the {what}"))?;
        Ok(Self { child, what, log })
    }

    /// Waits until `up` yields something.
    async fn until<T, F>(mut self, mut up: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Option<T>>,
    {
        let begun = monotonic();
        let mut told = false;
        loop {
            if let Some(result) = up().await {
                self.release();
                return Ok(result);
            }
            if let Some(status) = self.child.try_wait()? {
                let killed = status.signal().map(|signal| Killed { what: self.what, signal });
                return Err(killed.map_or_else(|| self.failed(status), Into::into));
            }
            if begun.elapsed() > START {
                let log = self.log.display().to_string();
                return Err(eyre!("the {} did not come up within {} s; see {log}", self.what, START.as_secs()));
            }
            if begun.elapsed() > SILENCE && !told {
                told = true;
                super::say(&format!("waiting for the {} ...", self.what));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn failed(&self, status: ExitStatus) -> color_eyre::Report {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(8).collect();
        let tail: Vec<_> = lines.into_iter().rev().collect();
        eyre!("the {} ended at once ({status}):\n{}\nsee {}", self.what, tail.join("\n"), self.log.display())
    }

    /// Leaves it to itself.
    fn release(mut self) {
        LEFT.lock().unwrap_or_else(PoisonError::into_inner).push(self.child.id());
        reap(move || self.child.wait());
    }
}

fn open_log(path: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    file.wrap_err_with(|| format!("failed to open {}", path.display()))
}

/// Starts a sandbox that serves until its session is over; returns its endpoints.
pub(super) async fn start_sandbox(dir: &SessionDir, scenario: &str, speed: f64) -> Result<crate::sandbox::Endpoints> {
    let file = sandbox_file(dir);
    let speed = speed.to_string();
    let args = ["sandbox", "--scenario", scenario, "--speed", &speed, "--serve-into"];
    let mut args: Vec<&std::ffi::OsStr> = args.iter().map(std::ffi::OsStr::new).collect();
    args.push(file.as_os_str());
    let background = Background::spawn("sandbox", &args, dir.path().join("sandbox.log"))?;
    background.until(|| std::future::ready(sandbox_of(dir))).await
}

/// Where a sandbox says where it listens.
fn sandbox_file(dir: &SessionDir) -> PathBuf {
    dir.path().join("sandbox.json")
}

/// Where the sandbox of a session listens, or did; None: it has none, or none yet.
fn sandbox_of(dir: &SessionDir) -> Option<crate::sandbox::Endpoints> {
    serde_json::from_slice(&std::fs::read(sandbox_file(dir)).ok()?).ok()
}

/// Whether the sandbox of a session runs: it holds its file locked for as long.
pub(super) fn sandbox_lives(dir: &SessionDir) -> bool {
    let locked = |file: File| matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock));
    File::open(sandbox_file(dir)).is_ok_and(locked)
}

/// Starts the session's engine and waits until it answers.
pub(super) async fn start_engine(dir: &SessionDir) -> Result<()> {
    let args = [std::ffi::OsStr::new("engine"), dir.path().as_os_str()];
    let background = Background::spawn("engine", &args, dir.engine_log())?;
    let socket = dir.socket();
    let answers = move || {
        let socket = socket.clone();
        async move { Client::peek(&socket).await.ok().map(drop) }
    };
    background.until(answers).await
}

/// Connects to a session; with `respawn`, an engine that died is started again, which observes and repeats nothing.
pub(super) async fn connect(
    dir: SessionDir,
    (seat, autopilot, origin): (Seat, bool, Origin),
    respawn: bool,
) -> Result<(Client, Box<Snapshot>), ConnectError> {
    let first = Client::connect_as(&dir.socket(), seat, autopilot, origin.clone()).await;
    let Err(ConnectError::Unreachable { .. }) = &first else { return first };
    if dir.lives() {
        return first;
    }
    if let Some(over) = status(&dir).await.ok().filter(|status| status.state.ended) {
        return Err(ConnectError::Refused(format!("the session is over: {}", outcome(&over.plan, &over.state))));
    }
    if !respawn {
        return Err(ConnectError::NotRunning { restart: format!("cutover join {} --role driver", dir.id()) });
    }
    if let Err(error) = start_engine(&dir).await {
        // Killed, or another cockpit's engine was faster: whoever asks again finds it, or starts the next one.
        let again = error.is::<Killed>() || dir.lives();
        return if again { first } else { Err(ConnectError::Refused(format!("{error:#}"))) };
    }
    Client::connect_as(&dir.socket(), seat, autopilot, origin).await
}

/// Where sessions live on this machine.
pub(super) fn layout() -> Result<Layout> {
    Layout::from_env().wrap_err("failed to find a place for sessions")
}
