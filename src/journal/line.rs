//! One line of the journal: an event in its place in the chain.

use std::io::Write as _;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::run::Event;

/// Version of the format that this program writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// How every line of this version begins; what does not is looked at more closely.
const HEAD: &[u8] = b"{\"v\":1,";
/// What stands between the hashed bytes and the hash.
const BEFORE_HASH: &[u8] = b",\"hash\":\"";
/// Bytes after the hashed ones: `,"hash":"`, 64 hex digits, `"}`.
const TAIL: usize = BEFORE_HASH.len() + 64 + 2;

/// Where a journal ends: what the next line builds on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tip {
    /// Sequence number of the last event, 0 before the first.
    pub(super) seq: u64,
    /// Hash of the last line, zeros before the first.
    pub(super) hash: String,
    /// Bytes of all good lines.
    pub(super) bytes: u64,
}

impl Tip {
    /// An empty journal.
    pub(super) fn start() -> Self {
        Self { seq: 0, hash: "0".repeat(64), bytes: 0 }
    }
}

/// What is wrong with a line that is not merely torn.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    /// It is not a journal line at all.
    #[error("it is no journal entry ({0})")]
    Garbled(#[source] serde_json::Error),
    /// Its bytes do not have the hash that it states.
    #[error("its hash does not match its bytes: it was changed after it was written")]
    Hash,
    /// It does not follow from the line before.
    #[error("its `prev` is not the hash of the entry before: entries were removed, added or reordered")]
    Chain,
    /// Its number is not the next one.
    #[error("it has number {found} where {expected} must stand")]
    Gap {
        /// The next number.
        expected: u64,
        /// What stands there.
        found: u64,
    },
}

/// Why a line was not taken.
#[derive(Debug)]
pub(super) enum LineError {
    /// Its JSON ends too early: what a torn write leaves.
    Short(serde_json::Error),
    /// A later program wrote it.
    Newer(u32),
    /// Anything else.
    Flawed(Flaw),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(rename = "v")]
    _version: u32,
    seq: u64,
    prev: &'a str,
    event: Event,
    hash: &'a str,
}

#[derive(Deserialize)]
struct VersionOnly {
    v: u32,
}

/// Adds the event's line, LF included, to `out` and moves the tip behind it.
pub(super) fn encode(tip: &mut Tip, event: &Event, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let start = out.len();
    // The parts are joined by hand because the hash is over the bytes before it. Writing to a Vec cannot fail.
    let _ = write!(out, r#"{{"v":{VERSION},"seq":{},"prev":"{}","event":"#, event.seq, tip.hash);
    serde_json::to_writer(&mut *out, event)?;
    let hash = digest(&out[start..]);
    out.extend_from_slice(BEFORE_HASH);
    out.extend_from_slice(hash.as_bytes());
    out.extend_from_slice(b"\"}\n");
    *tip = Tip { seq: event.seq, hash, bytes: tip.bytes + (out.len() - start) as u64 };
    Ok(())
}

/// Reads a line (without its LF) that must follow the tip, and moves the tip behind it.
pub(super) fn decode(tip: &mut Tip, bytes: &[u8]) -> Result<Event, LineError> {
    check_version(bytes)?;
    let line: Line<'_> = serde_json::from_slice(bytes).map_err(misread)?;
    let body = bytes.len().checked_sub(TAIL).map_or(bytes, |end| &bytes[..end]);
    let sealed = bytes[body.len()..].starts_with(BEFORE_HASH) && digest(body) == line.hash;
    let next = tip.seq + 1;
    let wrong_number = [line.seq, line.event.seq].into_iter().find(|seq| *seq != next);
    let flaw = match wrong_number {
        _ if !sealed => Some(Flaw::Hash),
        Some(found) => Some(Flaw::Gap { expected: next, found }),
        None if line.prev != tip.hash => Some(Flaw::Chain),
        None => None,
    };
    if let Some(flaw) = flaw {
        return Err(LineError::Flawed(flaw));
    }
    *tip = Tip { seq: next, hash: line.hash.to_owned(), bytes: tip.bytes + bytes.len() as u64 + 1 };
    Ok(line.event)
}

fn check_version(bytes: &[u8]) -> Result<(), LineError> {
    if bytes.starts_with(HEAD) {
        return Ok(());
    }
    match serde_json::from_slice::<VersionOnly>(bytes).map_err(misread)?.v {
        newer if newer > VERSION => Err(LineError::Newer(newer)),
        _ => Ok(()),
    }
}

fn misread(error: serde_json::Error) -> LineError {
    if error.is_eof() { LineError::Short(error) } else { LineError::Flawed(Flaw::Garbled(error)) }
}

fn digest(bytes: &[u8]) -> String {
    let mut text = vec![0; 64];
    // 32 bytes are 64 digits, always.
    let _ = hex::encode_to_slice(Sha256::digest(bytes), &mut text);
    String::from_utf8(text).unwrap_or_default()
}
