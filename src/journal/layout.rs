//! Where sessions live on disk, and finding one again.
//!
//! ```text
//! $XDG_STATE_HOME/cutover/      (or ~/.local/state/cutover/)
//!   PLAN/ENVIRONMENT/
//!     engine.lock               who acts here; see [`Lock`]
//!     SESSION/                  mode 0700; the id is the UTC start and four hex digits: 20261123-231015-ab12
//!       journal.jsonl           what happened
//!       telemetry.jsonl         what was measured, for the report; lossy
//!       plan.json               the frozen, validated plan
//!       plan.toml               the plan as written
//!       engine.log              what the engine said
//!       socket                  a link to where the engine listens
//! ```

use std::{
    env,
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::lock::{Holder, Lock, LockError};
use crate::plan::Plan;

/// Why a session was not found or made.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// There is no home directory to derive the place from.
    #[error("failed to find the state directory: set XDG_STATE_HOME or HOME to an absolute path")]
    NoHome,
    /// A file or directory cannot be read or made.
    #[error("failed to use {path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The frozen plan is not one.
    #[error("failed to read the frozen plan {path}")]
    Plan {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A plan or environment name that cannot be a directory.
    #[error("failed to make a directory for `{0}`: use letters, digits, dots, dashes and underscores")]
    Name(String),
    /// Nothing has run yet.
    #[error("failed to find a session: there is none under {0}; `cutover rehearse --guided` begins a first one")]
    None(PathBuf),
    /// No session is called so.
    #[error("failed to find the session `{wanted}` under {root}")]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// Where.
        root: PathBuf,
    },
    /// Several sessions are called so.
    #[error("failed to find one session `{wanted}`: it may be {}", .found.join(" or "))]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// Full ids that it fits.
        found: Vec<String>,
    },
}

/// The directory under which all sessions of this user live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The user's own, by the XDG base directory specification.
    ///
    /// # Errors
    /// [`LayoutError::NoHome`].
    pub fn from_env() -> Result<Self, LayoutError> {
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
        Ok(Self::at(state.ok_or(LayoutError::NoHome)?.join("cutover")))
    }

    /// Another root.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The root that a session lives under.
    #[must_use]
    pub fn around(session: &SessionDir) -> Self {
        Self::at(session.path.ancestors().nth(3).unwrap_or(&session.path))
    }

    /// Makes the directory of a new session. `now` is wall time.
    ///
    /// # Errors
    /// [`LayoutError::Name`] or [`LayoutError::Io`].
    pub fn create(&self, plan: &str, environment: &str, now: Timestamp) -> Result<SessionDir, LayoutError> {
        self.adopt(plan, environment, &new_id(now, std::process::id()))
    }

    /// Makes the directory of a session that began on another machine.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn adopt(&self, plan: &str, environment: &str, id: &str) -> Result<SessionDir, LayoutError> {
        for name in [plan, environment, id] {
            if !is_component(name) {
                return Err(LayoutError::Name(name.to_owned()));
            }
        }
        let dir = SessionDir::new(self.root.join(plan).join(environment).join(id));
        self.make(&dir.path).map_err(|source| LayoutError::Io { path: dir.path.clone(), source })?;
        Ok(dir)
    }

    /// Makes a directory and puts every new entry up to the root's parent on disk.
    fn make(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let above = path.ancestors().skip(1).take_while(|above| above.starts_with(&self.root));
        above.chain(self.root.parent()).try_for_each(|directory| File::open(directory)?.sync_all())
    }

    /// All sessions, oldest first.
    ///
    /// # Errors
    /// [`LayoutError::Io`]; no directory at all is no error but an empty list.
    pub fn list(&self) -> Result<Vec<SessionDir>, LayoutError> {
        let mut found = Vec::new();
        for plan in directories(&self.root)? {
            for environment in directories(&plan)? {
                let sessions = directories(&environment)?.into_iter().map(SessionDir::new);
                found.extend(sessions.filter(|session| is_id(session.id())));
            }
        }
        found.sort_by(|a, b| a.id().cmp(b.id()).then_with(|| a.path.cmp(&b.path)));
        Ok(found)
    }

    /// The sessions of one plan and environment, oldest first.
    ///
    /// # Errors
    /// [`LayoutError::Io`].
    pub fn list_of(&self, plan: &str, environment: &str) -> Result<Vec<SessionDir>, LayoutError> {
        let mut all = self.list()?;
        all.retain(|session| session.plan() == plan && session.environment() == environment);
        Ok(all)
    }

    /// The session with this id, or whose id alone has it in it; None: the newest.
    ///
    /// # Errors
    /// [`LayoutError`]: none, unknown, ambiguous, or unreadable directories.
    pub fn find(&self, wanted: Option<&str>) -> Result<SessionDir, LayoutError> {
        let mut all = self.list()?;
        let Some(wanted) = wanted else {
            return all.pop().ok_or_else(|| LayoutError::None(self.root.clone()));
        };
        let mut fitting: Vec<_> = all.iter().filter(|session| session.id() == wanted).cloned().collect();
        if fitting.is_empty() {
            all.retain(|session| session.id().contains(wanted));
            fitting = all;
        }
        match (fitting.pop(), fitting.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                let found = fitting.iter().chain([&last]).map(|session| session.id().to_owned()).collect();
                Err(LayoutError::Ambiguous { wanted: wanted.to_owned(), found })
            }
            (None, _) => Err(LayoutError::Unknown { wanted: wanted.to_owned(), root: self.root.clone() }),
        }
    }
}

/// The directory of one session: `.../PLAN/ENVIRONMENT/SESSION`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionDir {
    path: PathBuf,
}

impl SessionDir {
    /// Names a session's directory; nothing is made or read.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Session id.
    #[must_use]
    pub fn id(&self) -> &str {
        name_of(Some(&self.path))
    }

    /// Environment name.
    #[must_use]
    pub fn environment(&self) -> &str {
        name_of(self.path.parent())
    }

    /// Plan name.
    #[must_use]
    pub fn plan(&self) -> &str {
        name_of(self.path.ancestors().nth(2))
    }

    /// What happened.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal.jsonl")
    }

    /// What was measured.
    #[must_use]
    pub fn telemetry(&self) -> PathBuf {
        self.path.join("telemetry.jsonl")
    }

    /// What the engine said.
    #[must_use]
    pub fn engine_log(&self) -> PathBuf {
        self.path.join("engine.log")
    }

    /// The link to where the engine listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path.join("socket")
    }

    /// Takes the lock of the session's plan and environment for it.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn lock(&self) -> Result<Lock, LockError> {
        Lock::acquire(self.path.parent().unwrap_or(&self.path), self.id())
    }

    /// The engine that runs the session's plan and environment now, perhaps in another session; None: nobody.
    ///
    /// # Errors
    /// [`LockError::Io`].
    pub fn holder(&self) -> Result<Option<Holder>, LockError> {
        Lock::holder(self.path.parent().unwrap_or(&self.path))
    }

    /// Whether an engine runs this very session now.
    #[must_use]
    pub fn lives(&self) -> bool {
        self.holder().is_ok_and(|holder| holder.is_some_and(|holder| holder.session == self.id()))
    }

    /// Freezes the validated plan (`plan.json`) and its source as written (`plan.toml`), durably.
    ///
    /// # Errors
    /// [`LayoutError::Io`], also when they are frozen already.
    pub fn freeze(&self, plan: &Plan, source: &str) -> Result<(), LayoutError> {
        let path = self.path.join("plan.json");
        let json =
            serde_json::to_vec_pretty(plan).map_err(|source| LayoutError::Plan { path: path.clone(), source })?;
        write_new(&path, &json).map_err(|source| LayoutError::Io { path, source })?;
        let path = self.path.join("plan.toml");
        write_new(&path, source.as_bytes()).map_err(|source| LayoutError::Io { path, source })
    }

    /// The frozen plan.
    ///
    /// # Errors
    /// [`LayoutError::Io`] or [`LayoutError::Plan`].
    pub fn frozen(&self) -> Result<Plan, LayoutError> {
        let path = self.path.join("plan.json");
        let json = fs::read(&path).map_err(|source| LayoutError::Io { path: path.clone(), source })?;
        serde_json::from_slice(&json).map_err(|source| LayoutError::Plan { path, source })
    }
}

fn name_of(path: Option<&Path>) -> &str {
    path.and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default()
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The directories in a directory; a directory that is not there has none.
fn directories(path: &Path) -> Result<Vec<PathBuf>, LayoutError> {
    let read = || -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                found.push(entry.path());
            }
        }
        Ok(found)
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        found => found.map_err(|source| LayoutError::Io { path: path.to_owned(), source }),
    }
}

/// One path component that stays where it is put.
fn is_component(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(plain)
}

/// `20261123-231015-ab12`: the wall's second in UTC, and four hex digits that tell two sessions of one second apart.
fn new_id(now: Timestamp, pid: u32) -> String {
    let digest = Sha256::digest(format!("{}/{pid}", now.as_nanosecond()));
    format!("{}-{}", now.strftime("%Y%m%d-%H%M%S"), hex::encode(&digest[..2]))
}

fn is_id(name: &str) -> bool {
    let shape = |(index, byte): (usize, u8)| match index {
        8 | 15 => byte == b'-',
        16.. => byte.is_ascii_hexdigit(),
        _ => byte.is_ascii_digit(),
    };
    name.len() == 20 && name.bytes().enumerate().all(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: &str) -> Timestamp {
        format!("2026-11-23T23:10:{second}Z").parse().unwrap()
    }

    #[test]
    fn ids_are_sorted_by_time_and_recognised() {
        let id = new_id(at("15"), 7);
        assert!(id.starts_with("20261123-231015-") && is_id(&id), "{id}");
        assert_ne!(id, new_id(at("15"), 8));
        for other in ["engine.lock", "20261123-231015-ab1", "20261123x231015-ab12", "20261123-231015-xyz1"] {
            assert!(!is_id(other), "{other}");
        }
    }

    #[test]
    fn sessions_are_found_by_id_prefix_suffix_or_as_the_newest() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::at(root.path().join("state"));
        assert!(matches!(layout.find(None), Err(LayoutError::None(_))));
        let first = layout.create("acme", "staging", at("15")).unwrap();
        let second = layout.create("acme", "production", at("16")).unwrap();
        fs::create_dir(root.path().join("state/acme/staging/not-a-session")).unwrap();
        assert_eq!(layout.list().unwrap(), [first.clone(), second.clone()]);
        assert_eq!(layout.list_of("acme", "staging").unwrap(), std::slice::from_ref(&first));
        assert_eq!(layout.find(None).unwrap(), second);
        assert_eq!(layout.find(Some(first.id())).unwrap(), first);
        assert_eq!(layout.find(Some("20261123-231015")).unwrap(), first);
        assert_eq!(layout.find(Some(&second.id()[9..])).unwrap(), second);
        assert!(matches!(layout.find(Some("2026")), Err(LayoutError::Ambiguous { found, .. }) if found.len() == 2));
        assert!(matches!(layout.find(Some("1999")), Err(LayoutError::Unknown { .. })));
        assert_eq!((second.plan(), second.environment()), ("acme", "production"));
    }

    #[test]
    fn session_directories_are_private_and_stay_inside() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::at(root.path());
        let dir = layout.create("acme", "staging", at("15")).unwrap();
        assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o700);
        for name in ["", "..", "a/b", ".hidden", "a b"] {
            assert!(matches!(layout.create(name, "staging", at("15")), Err(LayoutError::Name(_))), "{name}");
        }
    }
}
