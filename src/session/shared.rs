//! Where engines listen that let other users in, and finding them.
//!
//! ```text
//! /run/cutover/                  if there is one that this user may write to (mode 1777 or 2775); CUTOVER_RUN_DIR is
//!                                another one; else /tmp
//!   cutover-UID-GROUP/           mode 0750, of the engine's user and the plan's group: nobody else can look into it
//!     SESSION.sock               mode 0660
//! ```
//!
//! Both sides look at the same places, whatever else their environments say, so that two logins over SSH meet.

use std::{
    env, fs, io,
    os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::peer::login_name;

/// An engine's socket that this user can reach, perhaps of another user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// The socket.
    pub path: PathBuf,
    /// Session id, as the socket is called.
    pub session: String,
    /// Login name of the engine's user, by the owner of the socket.
    pub owner: String,
}

/// Every socket in the shared places that this user can see, of the newest session first. Whether somebody still listens
/// there, and whether they let this user in, is told by asking.
#[must_use]
pub fn shared_sessions() -> Vec<Shared> {
    let directories = bases().into_iter().flat_map(|base| entries(&base)).filter(|path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("cutover-"))
    });
    let mut all: Vec<_> = directories.flat_map(|directory| entries(&directory)).filter_map(socket).collect();
    all.sort_by(|a, b| b.session.cmp(&a.session).then_with(|| a.path.cmp(&b.path)));
    all.dedup();
    all
}

/// What a directory holds; one that cannot be read holds nothing for this user.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(directory).into_iter().flatten();
    read.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn socket(path: PathBuf) -> Option<Shared> {
    let found = fs::symlink_metadata(&path).ok()?;
    let session = path.file_stem()?.to_str()?.to_owned();
    let named = path.extension().is_some_and(|end| end == "sock");
    (named && found.file_type().is_socket()).then(|| Shared { session, owner: login_name(found.uid()), path })
}

fn bases() -> Vec<PathBuf> {
    let given = env::var_os("CUTOVER_RUN_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    given.map_or_else(|| vec![PathBuf::from("/run/cutover"), PathBuf::from("/tmp")], |given| vec![given])
}

/// The directory of this user's sockets for a group.
pub(super) fn place(group: &str) -> PathBuf {
    let writable = |base: &&PathBuf| rustix::fs::access(base.as_path(), rustix::fs::Access::WRITE_OK).is_ok();
    let bases = bases();
    let base = bases.iter().find(writable).or(bases.last()).cloned().unwrap_or_default();
    base.join(format!("cutover-{}-{group}", rustix::process::geteuid().as_raw()))
}

/// The id of a group of this machine.
///
/// # Errors
/// When `/etc/group` has no such group.
pub(super) fn group_id(name: &str) -> io::Result<u32> {
    // Lines are `name:password:gid:members` (group(5)).
    let groups = fs::read_to_string("/etc/group")?;
    let found = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok()).flatten()
    });
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no group `{name}` on this machine")))
}

/// Makes the directory, or makes sure that one that stands there is ours, the group's and nobody else's.
pub(super) fn make(directory: &Path, group: u32) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(directory)?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "its directory belongs to another user"));
    }
    let foreign = |_| io::Error::new(io::ErrorKind::PermissionDenied, "this user is not in the plan's group");
    chown(directory, None, Some(group)).map_err(foreign)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o750))
}
