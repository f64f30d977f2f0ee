//! Reading a journal, as a resume, a viewer or a verifier does: one pass, one parse a line, one line in memory.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::Serialize;

use super::line::{Flaw, LineError, Tip, VERSION, decode};
use crate::run::Event;

/// Why a journal is not believed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("failed to read the journal {path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An entry is wrong. What stands before it is sound; a person must decide what to do.
    #[error("failed to read the journal {path}: entry on line {line}, byte {offset}: {flaw}")]
    Flawed {
        /// Which.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Byte offset of the line's start.
        offset: u64,
        /// What is wrong.
        #[source]
        flaw: Flaw,
    },
    /// A newer program wrote it: use that one.
    #[error(
        "failed to read the journal {path}: line {line} has format version {found}, and this program knows versions up to {VERSION}"
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// The version found.
        found: u32,
    },
}

/// A tail that a crash left behind, or a write that is just under way in another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Torn {
    /// Byte offset at which the good lines end.
    pub offset: u64,
    /// Bytes behind it.
    pub bytes: u64,
}

/// The events of a journal in order, each checked against the chain. Ends at the first error.
#[derive(Debug)]
pub struct Reader {
    pub(super) path: PathBuf,
    pub(super) tip: Tip,
    input: BufReader<File>,
    buffer: Vec<u8>,
    lines: u64,
    torn: Option<Torn>,
    ended: bool,
}

impl Reader {
    /// Opens a journal file for reading. Takes no lock: a viewer may read while an engine writes.
    ///
    /// # Errors
    /// [`ReadError::Io`] when it cannot be opened.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, ReadError> {
        let path = path.into();
        let file = File::open(&path).map_err(|source| ReadError::Io { path: path.clone(), source })?;
        let input = BufReader::with_capacity(256 * 1024, file);
        Ok(Self { path, tip: Tip::start(), input, buffer: Vec::new(), lines: 0, torn: None, ended: false })
    }

    /// The torn tail, once the iterator has ended.
    #[must_use]
    pub const fn torn(&self) -> Option<Torn> {
        self.torn
    }

    /// Hash of the last line that was read, in hex; zeros before the first.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.tip.hash
    }

    /// Number of the last event that was read; 0 before the first.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.tip.seq
    }

    /// Bytes of the lines that were read.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.tip.bytes
    }

    fn read_event(&mut self) -> Result<Option<Event>, ReadError> {
        self.buffer.clear();
        let read = self.input.read_until(b'\n', &mut self.buffer).map_err(|source| self.io(source))?;
        let Some(line) = self.buffer.strip_suffix(b"\n") else {
            self.torn = (read > 0).then_some(Torn { offset: self.tip.bytes, bytes: read as u64 });
            return Ok(None);
        };
        self.lines += 1;
        match decode(&mut self.tip, line) {
            Ok(event) => Ok(Some(event)),
            Err(LineError::Short(_)) if self.at_end()? => {
                self.torn = Some(Torn { offset: self.tip.bytes, bytes: read as u64 });
                Ok(None)
            }
            Err(LineError::Newer(found)) => Err(ReadError::Newer { path: self.path.clone(), line: self.lines, found }),
            Err(LineError::Short(error)) => Err(self.flawed(Flaw::Garbled(error))),
            Err(LineError::Flawed(flaw)) => Err(self.flawed(flaw)),
        }
    }

    fn at_end(&mut self) -> Result<bool, ReadError> {
        match self.input.fill_buf() {
            Ok(rest) => Ok(rest.is_empty()),
            Err(source) => Err(self.io(source)),
        }
    }

    fn io(&self, source: io::Error) -> ReadError {
        ReadError::Io { path: self.path.clone(), source }
    }

    fn flawed(&self, flaw: Flaw) -> ReadError {
        ReadError::Flawed { path: self.path.clone(), line: self.lines, offset: self.tip.bytes, flaw }
    }
}

impl Iterator for Reader {
    type Item = Result<Event, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.read_event().transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

/// What a check of a whole journal found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Sound entries.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Hash of the last entry: whoever noted it knows later that nothing before it was changed.
    pub hash: String,
    /// When the first event happened, session time.
    pub first: Option<Timestamp>,
    /// When the last event happened, session time.
    pub last: Option<Timestamp>,
    /// A tail that was never acknowledged.
    pub torn: Option<Torn>,
}

/// Checks every line of a journal file.
///
/// # Errors
/// The first thing that makes the journal unbelievable, with its place.
pub fn verify(path: &Path) -> Result<Report, ReadError> {
    let mut reader = Reader::open(path)?;
    let (mut first, mut last) = (None, None);
    for event in reader.by_ref() {
        let at = event?.at;
        first.get_or_insert(at);
        last = Some(at);
    }
    let Tip { seq, hash, bytes } = reader.tip;
    Ok(Report { events: seq, bytes, hash, first, last, torn: reader.torn })
}
