//! Writing a journal: on disk before anything is done.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::{
    line::{Tip, decode, encode},
    reader::{ReadError, Reader, Torn},
    remote::{RemoteError, Writer},
};
use crate::run::Event;

/// Why a journal could not be begun or taken up.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be made, opened or cut.
    #[error("failed to open the journal {path} for writing")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What stands in it is not believed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Why events were not written. In every case none of them happened.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The storage failed (disk full, I/O error). Try again later.
    #[error("failed to write the journal {path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another engine has the journal now: this one must not act any more.
    #[error("failed to write the journal {path}: {winner} has it")]
    Lost {
        /// Which.
        path: PathBuf,
        /// Who.
        winner: Writer,
    },
    /// An event has not the next number: a fault of the caller.
    #[error("failed to write the journal {path}: event {found} where {expected} must stand")]
    Gap {
        /// Which.
        path: PathBuf,
        /// The next number.
        expected: u64,
        /// The event's.
        found: u64,
    },
    /// An event could not be read back as what it is (a number that JSON cannot hold): a fault of the caller.
    #[error("failed to write the journal {path}: event {seq} cannot be read back from its JSON")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The event's number.
        seq: u64,
    },
}

/// Where the bytes of a journal go.
pub trait Storage: Send {
    /// Writes `bytes` at `offset` (always the end of what was acknowledged) and returns once they are on disk.
    ///
    /// # Errors
    /// Any I/O error; some of the bytes may then stand there until [`Storage::cut`].
    fn append(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Removes everything from `offset` on, durably.
    ///
    /// # Errors
    /// Any I/O error.
    fn cut(&mut self, offset: u64) -> io::Result<()>;

    /// Whether this is still the only writer, as far as is known without asking.
    ///
    /// # Errors
    /// Another one has taken over.
    fn check(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file on this machine.
#[derive(Debug)]
pub struct LocalFile(File);

impl Storage for LocalFile {
    fn append(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)?;
        // Data and length: all that a reader needs. The times of the inode may come later.
        self.0.sync_data()
    }

    fn cut(&mut self, offset: u64) -> io::Result<()> {
        self.0.set_len(offset)?;
        self.0.sync_data()
    }
}

/// A journal that is being written. Whoever holds it also holds the environment's [`super::Lock`].
pub struct Journal {
    path: PathBuf,
    storage: Box<dyn Storage>,
    tip: Tip,
    /// A failed append may have left bytes behind the tip.
    dirty: bool,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("path", &self.path).field("tip", &self.tip).finish_non_exhaustive()
    }
}

impl Journal {
    /// Begins an empty journal (mode 0600) that must not exist yet; it and its directory's entry are on disk at return.
    ///
    /// # Errors
    /// [`JournalError::Io`], also when it exists.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, JournalError> {
        let path = path.into();
        let file = create_file(&path).map_err(|source| JournalError::Io { path: path.clone(), source })?;
        Ok(Self::on(path, Box::new(LocalFile(file))))
    }

    /// Begins an empty journal on another storage; `name` is how errors call it.
    #[must_use]
    pub fn on(name: impl Into<PathBuf>, storage: Box<dyn Storage>) -> Self {
        Self { path: name.into(), storage, tip: Tip::start(), dirty: false }
    }

    /// Takes up a journal behind the last event of `reader`, reading what was not read yet, and cuts a torn tail.
    ///
    /// ```no_run
    /// # use cutover::{journal::{Journal, Reader}, run::State};
    /// # fn resume(path: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut state = State::default();
    /// let mut reader = Reader::open(path)?;
    /// for event in reader.by_ref() {
    ///     state.apply(&event?)?;
    /// }
    /// let (journal, torn) = Journal::resume(reader)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`JournalError::Read`] when the journal is not believed; [`JournalError::Io`] when it cannot be opened or cut.
    pub fn resume(reader: Reader) -> Result<(Self, Option<Torn>), JournalError> {
        Self::resume_on(reader, |file| Box::new(file))
    }

    /// The same, with something around the file.
    ///
    /// # Errors
    /// As [`Self::resume`].
    pub fn resume_on(
        mut reader: Reader,
        around: impl FnOnce(LocalFile) -> Box<dyn Storage>,
    ) -> Result<(Self, Option<Torn>), JournalError> {
        for event in reader.by_ref() {
            event?;
        }
        let torn = reader.torn();
        let (path, tip) = (reader.path, reader.tip);
        let open = || -> io::Result<LocalFile> {
            let mut file = LocalFile(OpenOptions::new().write(true).open(&path)?);
            if torn.is_some() {
                file.cut(tip.bytes)?;
            }
            Ok(file)
        };
        match open() {
            Ok(file) => Ok((Self { path, storage: around(file), tip, dirty: false }, torn)),
            Err(source) => Err(JournalError::Io { path, source }),
        }
    }

    /// Number of the last event; 0 in an empty journal.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.tip.seq
    }

    /// Hash of the last line, in hex; zeros in an empty journal.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.tip.hash
    }

    /// Writes events in one write and returns once they are on disk. Blocks for an fsync, some milliseconds.
    ///
    /// # Errors
    /// See [`AppendError`]: none of the events happened, and the journal can be used again.
    pub fn append(&mut self, events: &[Event]) -> Result<(), AppendError> {
        let mut lines = Vec::with_capacity(512 * events.len());
        let mut tip = self.tip.clone();
        for event in events {
            self.encode(&mut tip, event, &mut lines)?;
        }
        self.store(&lines).map_err(|source| self.failed(source))?;
        self.tip = tip;
        Ok(())
    }

    /// Whether this is still the only writer, as far as is known without asking.
    ///
    /// # Errors
    /// [`AppendError::Lost`].
    pub fn check(&mut self) -> Result<(), AppendError> {
        self.storage.check().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> AppendError {
        let path = self.path.clone();
        match source.get_ref().and_then(|error| error.downcast_ref()) {
            Some(RemoteError::Lost(winner)) => AppendError::Lost { path, winner: winner.clone() },
            _ => AppendError::Io { path, source },
        }
    }

    /// Adds an event's line after reading it back: a line that a resume would refuse is never written.
    fn encode(&self, tip: &mut Tip, event: &Event, lines: &mut Vec<u8>) -> Result<(), AppendError> {
        let expected = tip.seq + 1;
        if event.seq != expected {
            return Err(AppendError::Gap { path: self.path.clone(), expected, found: event.seq });
        }
        let mut check = tip.clone();
        let start = lines.len();
        let written = encode(tip, event, lines).is_ok();
        let mut read_back = || decode(&mut check, lines[start..].strip_suffix(b"\n")?).ok();
        if written && read_back().as_ref() == Some(event) {
            return Ok(());
        }
        Err(AppendError::Unreadable { path: self.path.clone(), seq: event.seq })
    }

    fn store(&mut self, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        self.clean()?;
        let stored = self.storage.append(self.tip.bytes, lines);
        if stored.is_err() {
            self.dirty = true;
            // At once, so that a crash from here on does not find what was reported as not happened. If the cut fails
            // too, the next append tries it again first.
            let _ = self.clean();
        }
        stored
    }

    fn clean(&mut self) -> io::Result<()> {
        if self.dirty {
            self.storage.cut(self.tip.bytes)?;
            self.dirty = false;
        }
        Ok(())
    }
}

fn create_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.sync_all()?;
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(file)
}
