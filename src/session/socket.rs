//! Where an engine listens.
//!
//! The socket stands in the user's runtime directory, else in the session's own directory, else (a path in a socket
//! address has room for 107 bytes) in a private directory under `/tmp`. The link `SESSION/socket` says where, so that a
//! cockpit finds it whatever its own environment says. With a plan's `[access]` it stands in the shared place instead.
//!
//! Runtime directories are swept when a user's last login ends, and `/tmp` is swept anyway: an engine looks again and
//! again whether its socket still stands, and makes it anew.

use std::{
    env, fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
};

use tokio::net::UnixListener;

use super::shared;
use crate::{journal::SessionDir, plan::Access};

/// Longest path in a socket address on Linux, without its NUL (unix(7)).
const LONGEST_PATH: usize = 107;

/// Why an engine cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on {path}")]
pub struct BindError {
    /// The socket, its directory or its link.
    path: PathBuf,
    /// Why.
    #[source]
    source: io::Error,
}

/// The user's runtime directory (`XDG_RUNTIME_DIR`), if there is one.
#[must_use]
pub fn runtime_dir() -> Option<PathBuf> {
    env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute() && path.is_dir())
}

/// A bound socket; its file and link go with it.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) listener: UnixListener,
    path: PathBuf,
    link: PathBuf,
    /// Device and inode of the socket's file.
    file: (u64, u64),
    /// Another one stands in its place: nothing is left to remove.
    replaced: bool,
}

impl Bound {
    /// Whether a cockpit still finds the way here.
    pub(super) fn stands(&self) -> bool {
        let there = identity(&self.path).is_ok_and(|file| file == self.file);
        there && fs::read_link(&self.link).is_ok_and(|target| target == self.path)
    }

    /// Makes way for another one, at the same path or elsewhere.
    pub(super) fn replace(&mut self, by: Self) {
        self.replaced = true;
        *self = by;
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

impl Drop for Bound {
    fn drop(&mut self) {
        if self.replaced {
            return;
        }
        // Whoever took over in the meantime has replaced the link: it is theirs then.
        if fs::read_link(&self.link).is_ok_and(|target| target == self.path) {
            let _ = fs::remove_file(&self.link);
        }
        let _ = fs::remove_file(&self.path);
    }
}

/// Binds the session's socket. The caller holds the environment's lock: a socket that stands there is a dead engine's.
pub(super) fn bind(dir: &SessionDir, runtime: Option<&Path>, access: Option<&Access>) -> Result<Bound, BindError> {
    match access {
        Some(access) => bind_shared(dir, access),
        None => bind_private(dir, runtime),
    }
}

/// Where the plan's group can reach it. What cannot be had is an error: the plan promises that others may come.
fn bind_shared(dir: &SessionDir, access: &Access) -> Result<Bound, BindError> {
    let path = shared::place(&access.group).join(format!("{}.sock", dir.id()));
    let listening = shared::group_id(&access.group).and_then(|group| {
        path.parent().map_or(Ok(()), |directory| shared::make(directory, group))?;
        let listener = listen_in(&path)?;
        chown(&path, None, Some(group))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660))?;
        Ok(listener)
    });
    match listening {
        Ok(listener) => finish(listener, path, dir.socket()),
        Err(source) => Err(BindError { path, source }),
    }
}

fn bind_private(dir: &SessionDir, runtime: Option<&Path>) -> Result<Bound, BindError> {
    let file = format!("{}.sock", dir.id());
    let private_tmp = || env::temp_dir().join(format!("cutover-{}", rustix::process::geteuid().as_raw()));
    let places = [
        runtime.map(|runtime| runtime.join("cutover").join(&file)),
        Some(dir.path().join("engine.sock")),
        Some(private_tmp().join(&file)),
    ];
    let mut last = None;
    for path in places.into_iter().flatten().filter(|path| path.as_os_str().len() <= LONGEST_PATH) {
        match listen(&path) {
            Ok(listener) => return finish(listener, path, dir.socket()),
            Err(source) => last = Some(BindError { path, source }),
        }
    }
    let too_long = || io::Error::new(io::ErrorKind::InvalidFilename, "every possible path is too long");
    Err(last.unwrap_or_else(|| BindError { path: dir.socket(), source: too_long() }))
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    path.parent().map_or(Ok(()), make_private)?;
    let listener = listen_in(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Binds in a directory that keeps others out until the mode is set.
fn listen_in(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Makes the directory, or makes sure that one that stands there is ours alone (somebody may have put it in `/tmp`).
fn make_private(directory: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(directory)?;
    let ours = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o077 == 0;
    let refusal = || io::Error::new(io::ErrorKind::PermissionDenied, "its directory is open to other users");
    if ours { Ok(()) } else { Err(refusal()) }
}

fn finish(listener: UnixListener, path: PathBuf, link: PathBuf) -> Result<Bound, BindError> {
    // Replaced in one step: a cockpit finds the old link or the new one, never none.
    let fresh = link.with_extension("new");
    let replace = || -> io::Result<()> {
        let _ = fs::remove_file(&fresh);
        symlink(&path, &fresh)?;
        fs::rename(&fresh, &link)
    };
    let file = replace().and_then(|()| identity(&path));
    match file {
        Ok(file) => Ok(Bound { listener, path, link, file, replaced: false }),
        Err(source) => Err(BindError { path: link, source }),
    }
}

/// What to connect to for a path that may be a session's link: the link itself may be too long for an address.
pub(super) fn resolve(path: &Path) -> PathBuf {
    fs::read_link(path).unwrap_or_else(|_| path.to_owned())
}
