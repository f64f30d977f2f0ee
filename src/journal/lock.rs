//! One engine acts: the lock of a plan and environment on this machine.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// Name of the lock file in an environment's directory.
const FILE: &str = "engine.lock";

/// Why the lock was not given.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another engine has it.
    #[error("failed to lock {path}: {holder}")]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Who has it.
        holder: Holder,
    },
    /// The lock file cannot be made or locked.
    #[error("failed to lock {path}")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Who has the lock, as the lock file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id; 0 when the holder has not written it yet.
    pub pid: u32,
    /// Host name.
    pub host: String,
    /// Session id.
    pub session: String,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { pid, host, session } = self;
        write!(f, "an engine is running session {session} as process {pid} on {host}")
    }
}

/// The right to act on one plan and environment. `flock`: it goes with the process, so a dead engine's lock is free, and
/// it is not handed to commands that the engine starts (the file is close-on-exec).
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the environment's directory, which must exist, for a session.
    ///
    /// # Errors
    /// [`LockError::Held`] with the holder when another engine lives; [`LockError::Io`].
    pub fn acquire(environment: &Path, session: &str) -> Result<Self, LockError> {
        let path = environment.join(FILE);
        let io_error = |source| LockError::Io { path: path.clone(), source };
        let mut file = open(&path).map_err(io_error)?;
        if !take(&file).map_err(io_error)? {
            let holder = read(&mut file).unwrap_or_else(Holder::unknown);
            return Err(LockError::Held { path, holder });
        }
        let holder = Holder { pid: std::process::id(), host: host_name(), session: session.to_owned() };
        write(&mut file, &holder).map_err(io_error)?;
        Ok(Self { _file: file })
    }

    /// Who has the lock of an environment's directory now; None: nobody.
    ///
    /// # Errors
    /// [`LockError::Io`] when an existing lock file cannot be read.
    pub fn holder(environment: &Path) -> Result<Option<Holder>, LockError> {
        let path = environment.join(FILE);
        let held = || -> io::Result<Option<Holder>> {
            let mut file = match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                file => file?,
            };
            match file.try_lock_shared() {
                Ok(()) => Ok(None),
                Err(TryLockError::WouldBlock) => Ok(Some(read(&mut file).unwrap_or_else(Holder::unknown))),
                Err(TryLockError::Error(error)) => Err(error),
            }
        };
        held().map_err(|source| LockError::Io { path, source })
    }
}

impl Holder {
    fn unknown() -> Self {
        Self { pid: 0, host: "this machine".to_owned(), session: "(unknown)".to_owned() }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Tries for a tenth of a second, because [`Lock::holder`] asks by taking a shared lock for an instant.
fn take(file: &File) -> io::Result<bool> {
    for attempt in 0..5 {
        if attempt > 0 {
            std::thread::sleep(Duration::from_millis(25));
        }
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn write(file: &mut File, holder: &Holder) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(serde_json::to_string(holder)?.as_bytes())
}

/// Name of this machine as its kernel knows it; `localhost` when it cannot be read.
#[must_use]
pub fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}
