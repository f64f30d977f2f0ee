//! Programs of the operator: an argument vector, no shell, an environment, a time limit and a way out.
//!
//! A program gets a process group of its own, so that whatever it started ends with it. Its output is cleaned line by
//! line before anybody sees it.

use std::{
    ffi::OsString,
    io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    sync::mpsc,
};

use super::{aws::SANDBOX_KEY, clean::clean_to};
use crate::plan::{EnvironmentKind, Plan};

/// How long a program may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
/// How long output is awaited that a grandchild may still hold open after the program's end.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// A longer line is cut into several, in bytes.
const MAX_LINE: usize = 2000;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By a signal that was not ours.
    Signal(i32),
    /// It was ended because its time was up.
    TimedOut,
    /// It was ended because the operator stopped it.
    Stopped,
}

/// Why a program did not start. It has done nothing.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Nothing to run.
    #[error("failed to run a command: it is empty")]
    Empty,
    /// The system would not start it.
    #[error("failed to start {program}: {source}")]
    Spawn {
        /// The program, cleaned.
        program: String,
        /// Why.
        source: io::Error,
    },
}

/// One heap for all threads of our own processes in the background (mallopt(3), `M_ARENA_MAX`): what one has freed another
/// takes. The operator's programs do not get it.
pub const ONE_HEAP: (&str, &str) = ("MALLOC_ARENA_MAX", "1");

/// What a command finds in its environment besides what this process was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    set: Vec<(String, String)>,
    unset: Vec<&'static str>,
}

impl Environment {
    /// A real environment passes everything on. In a sandbox, commands that talk to AWS or Heroku are led to it: keys,
    /// profiles and endpoints of the real ones are taken away.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        if plan.environment.kind != EnvironmentKind::Sandbox {
            return Self::default();
        }
        let endpoint = plan.aws.endpoint.clone().unwrap_or_default();
        let mut set: Vec<(String, String)> = [
            ("AWS_ACCESS_KEY_ID", SANDBOX_KEY.0),
            ("AWS_SECRET_ACCESS_KEY", SANDBOX_KEY.1),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_REGION", &plan.aws.region),
            ("AWS_DEFAULT_REGION", &plan.aws.region),
            ("AWS_ENDPOINT_URL", &endpoint),
            ("HEROKU_API_KEY", "sandbox"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        let heroku = plan.heroku.as_ref().and_then(|heroku| heroku.api.clone());
        set.extend(heroku.map(|api| ("HEROKU_HOST".to_owned(), api)));
        let unset = vec![
            "AWS_PROFILE",
            "AWS_SESSION_TOKEN",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_ROLE_ARN",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "http_proxy",
            "https_proxy",
        ];
        Self { set, unset }
    }

    /// The same with one more variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.set.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What to run and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// Program and arguments.
    pub argv: &'a [String],
    /// Its environment.
    pub environment: &'a Environment,
    /// Its time limit, wall time.
    pub timeout: Duration,
}

/// Runs a program to its end. `stop` ends it early; `line` gets its output and errors, cleaned, line by line.
///
/// # Errors
/// It could not be started.
pub async fn run(
    job: Job<'_>,
    stop: impl Future<Output = ()>,
    mut line: impl FnMut(String),
) -> Result<Exit, CommandError> {
    let (program, arguments) = job.argv.split_first().ok_or(CommandError::Empty)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    for name in job.environment.unset.iter().chain([&ONE_HEAP.0]) {
        command.env_remove(name);
    }
    command.envs(job.environment.set.iter().map(|(name, value)| (name, value)));
    let spawned = command.spawn();
    let mut child = spawned.map_err(|source| CommandError::Spawn { program: clean_to(program, 200), source })?;
    let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    let mut output = listen(&mut child);
    let exit = {
        let deadline = tokio::time::sleep(job.timeout);
        tokio::pin!(stop, deadline);
        loop {
            tokio::select! {
                Some(text) = output.recv() => line(text),
                status = child.wait() => break ended(status),
                () = &mut stop => break end(&group, &mut child, &mut output, &mut line, Exit::Stopped).await,
                () = &mut deadline => break end(&group, &mut child, &mut output, &mut line, Exit::TimedOut).await,
            }
        }
    };
    drop(group);
    while let Ok(Some(text)) = tokio::time::timeout(LAST_WORDS, output.recv()).await {
        line(text);
    }
    Ok(exit)
}

/// Asks the group to end, and then makes it.
async fn end(
    group: &Group,
    child: &mut Child,
    output: &mut mpsc::Receiver<String>,
    line: &mut impl FnMut(String),
    exit: Exit,
) -> Exit {
    group.signal(Signal::TERM);
    let grace = tokio::time::sleep(GRACE);
    tokio::pin!(grace);
    loop {
        tokio::select! {
            Some(text) = output.recv() => line(text),
            _ = child.wait() => return exit,
            () = &mut grace => {
                group.signal(Signal::KILL);
                drop(child.wait().await);
                return exit;
            }
        }
    }
}

fn ended(status: io::Result<ExitStatus>) -> Exit {
    match status {
        Ok(status) => status.code().map_or_else(|| Exit::Signal(status.signal().unwrap_or(0)), Exit::Code),
        Err(_) => Exit::Signal(0),
    }
}

/// A process group; what is left of it is killed when this goes away, be it because nobody waits any more.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.0 {
            // Fails when everybody is gone already, which is what is wanted.
            let _gone = kill_process_group(leader, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Both outputs as one stream of cleaned lines.
fn listen(child: &mut Child) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(64);
    if let Some(stdout) = child.stdout.take() {
        tokio::spawn(lines(stdout, sender.clone()));
    }
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(lines(stderr, sender));
    }
    receiver
}

async fn lines(mut source: impl AsyncRead + Unpin, sender: mpsc::Sender<String>) {
    let (mut rest, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = source.read(&mut buffer).await {
        rest.extend_from_slice(&buffer[..count]);
        while let Some(length) =
            rest.iter().position(|byte| *byte == b'\n').or((rest.len() > MAX_LINE).then_some(MAX_LINE))
        {
            let line: Vec<u8> = rest.drain(..length).collect();
            if rest.first() == Some(&b'\n') {
                rest.remove(0);
            }
            if sender.send(readable(&line)).await.is_err() {
                return;
            }
        }
    }
    if !rest.is_empty() {
        // Nobody listens any more when this fails.
        let _unheard = sender.send(readable(&rest)).await;
    }
}

fn readable(line: &[u8]) -> String {
    clean_to(&String::from_utf8_lossy(line), MAX_LINE)
}

/// Where the system would find a program: the path itself, or the first executable of that name on `PATH`.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let executable = |path: &Path| {
        let meta = path.metadata().ok()?;
        let may_run = std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o111 != 0;
        (meta.is_file() && may_run).then(|| path.to_path_buf())
    };
    if program.contains('/') {
        return executable(Path::new(program));
    }
    let path: OsString = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find_map(|folder| executable(&folder.join(program)))
}

#[cfg(test)]
mod tests;
