//! A journal whose lines stand in a storage first and in a local file afterwards.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{
    super::{
        lock::host_name,
        reader::{ReadError, Reader},
        writer::{Journal, JournalError, LocalFile, Storage},
    },
    Identity, Remote, RemoteError, Trail, Writer,
    courier::Courier,
};
use crate::{clock::wall_now, run::Event};

/// The file in a session's directory that says who this directory is to a storage.
const WRITER: &str = "writer.json";

/// Storage first, then the local file.
pub struct Replica {
    courier: Courier,
    local: LocalFile,
    /// What the storage has and the local file could not take yet.
    behind: Vec<u8>,
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica").field("local", &self.local).finish_non_exhaustive()
    }
}

impl Replica {
    /// Takes up the log of a storage for the engine of a session's directory, completing the local file `path`.
    ///
    /// # Errors
    /// [`RemoteError::Lost`] when another directory's engine has the log; anything else that makes it unusable.
    pub async fn take_up(remote: &Remote, writer: &Writer, path: &Path) -> Result<(Journal, Vec<Event>), RemoteError> {
        let (trail, events) = Trail::whole(remote).await?;
        if let Some(other) = trail.writer().filter(|last| last.id != writer.id) {
            return Err(RemoteError::Lost(other.clone()));
        }
        complete(remote, path, trail.lines())?;
        // From here on nobody else can have written without this being noticed.
        remote.claim(trail.read(), writer).await?;
        let courier = Courier::start(remote.clone(), writer.clone(), trail.read() + 1).map_err(RemoteError::Copy)?;
        let mut reader = Reader::open(path)?;
        for event in reader.by_ref() {
            event?;
        }
        let replica = |local| -> Box<dyn Storage> { Box::new(Self { courier, local, behind: Vec::new() }) };
        let (journal, _) = Journal::resume_on(reader, replica).map_err(|error| match error {
            JournalError::Read(error) => RemoteError::Local(error),
            JournalError::Io { source, .. } => RemoteError::Copy(source),
        })?;
        Ok((journal, events))
    }
}

impl Storage for Replica {
    fn append(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.courier.deliver(bytes)?;
        // It has happened: the local copy may follow later, and at the latest when the log is taken up again.
        let start = offset - self.behind.len() as u64;
        self.behind.extend_from_slice(bytes);
        match self.local.append(start, &self.behind) {
            Ok(()) => self.behind.clear(),
            Err(error) => tracing::warn!(%error, bytes = self.behind.len(), "the local copy of the journal is behind"),
        }
        Ok(())
    }

    fn cut(&mut self, _offset: u64) -> io::Result<()> {
        // What the storage did not acknowledge never reached the local file.
        Ok(())
    }

    fn check(&mut self) -> io::Result<()> {
        self.courier.check()
    }
}

/// Copies a local journal to a storage that holds none, for `writer` to go on there. Returns the number of its events.
///
/// # Errors
/// [`RemoteError::Taken`], or anything that makes either of them unusable.
pub async fn upload(remote: &Remote, identity: &Identity, writer: &Writer, path: &Path) -> Result<u64, RemoteError> {
    let mut reader = Reader::open(path)?;
    for event in reader.by_ref() {
        event?;
    }
    let mut lines = fs::read(path).map_err(RemoteError::Copy)?;
    lines.truncate(usize::try_from(reader.bytes()).unwrap_or(usize::MAX));
    remote.begin(identity, writer).await?;
    let (trail, events) = Trail::whole(remote).await?;
    if trail.writer().is_some_and(|last| last.id == writer.id) && events.is_empty() {
        remote.write_lines(trail.read() + 1, writer, &lines).await?;
    } else if trail.lines() != lines {
        return Err(RemoteError::Diverged(remote.url().to_owned()));
    }
    Ok(reader.seq())
}

/// Brings the local file to what the storage holds.
fn complete(remote: &Remote, path: &Path, lines: &[u8]) -> Result<(), RemoteError> {
    let local = match fs::read(path) {
        Ok(local) => local,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(ReadError::Io { path: path.to_owned(), source }.into()),
    };
    // A tail without its end was never acknowledged to anybody.
    let whole = local.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if lines.get(..whole) != Some(&local[..whole]) {
        return Err(RemoteError::Diverged(remote.url().to_owned()));
    }
    let write = || -> io::Result<()> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.set_len(whole as u64)?;
        file.write_all_at(&lines[whole..], whole as u64)?;
        file.sync_all()?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().map_err(RemoteError::Copy)
}

impl Writer {
    /// Who the engine of this directory is; made up and kept the first time.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn of(directory: &Path) -> io::Result<Self> {
        let path = directory.join(WRITER);
        match fs::read(&path) {
            Ok(json) => {
                let known: Self = serde_json::from_slice(&json)?;
                return Ok(Self { pid: std::process::id(), ..known });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let (host, pid) = (host_name(), std::process::id());
        let unlike = format!("{host}\0{}\0{}\0{pid}", directory.display(), wall_now().as_nanosecond());
        let writer = Self { id: hex::encode(&Sha256::digest(unlike)[..16]), host, pid };
        let draft: PathBuf = path.with_extension("tmp");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(&serde_json::to_vec(&writer)?)?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        Ok(writer)
    }
}
