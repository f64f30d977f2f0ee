//! The log on disk: hash chain, fsync, lock, replay.
//!
//! # Format
//!
//! `journal.jsonl` is UTF-8, one JSON object a line, each line ended by one LF, one line an event:
//!
//! ```text
//! {"v":1,"seq":7,"prev":"<64 hex>","event":{"seq":7,"at":"...","by":...,"what":...},"hash":"<64 hex>"}
//! ```
//!
//! - `v` is the [`VERSION`] of this format and stands first, so that any later format can be told from this one.
//! - `seq` counts 1, 2, 3, ... without a gap and is the event's own number.
//! - `prev` is the `hash` of the line before; 64 zeros on the first line.
//! - `hash` is the lower-case hex SHA-256 over the line's own bytes from its first `{` up to, and without, the last
//!   `,"hash":"`. These are all bytes but the last 75 (LF not counted), so no parser is needed to check it, and `prev`
//!   is among them, which makes the chain.
//!
//! Another program checks a journal in three lines of shell an entry; the last line shows the digest that must stand
//! in the line's `hash` and in the next line's `prev`:
//!
//! ```text
//! while IFS= read -r line; do printf '%s' "${line%,\"hash\":*}" | sha256sum; done < journal.jsonl
//! ```
//!
//! # Reading
//!
//! A tail that a crash left behind (no LF, or JSON that stops short on the very last line) was never acknowledged: it
//! is cut and reported. Anything worse is refused with its line and byte offset; a journal of a newer version is
//! refused with both numbers.
//!
//! # Writing
//!
//! [`Journal::append`] returns once the lines are on disk. If it fails, nothing happened: whatever reached the file is
//! cut before anything else is written. Several events of one call are one write, but a crash can keep only the first
//! of them, so every prefix of what the engine appends must be a state that it can go on from.
//!
//! # Elsewhere
//!
//! [`remote`] keeps the same lines in object storage, where they are the authority and the lock; it says why.

mod layout;
mod line;
mod lock;
mod print;
mod reader;
pub mod remote;
mod writer;

pub use layout::{Layout, LayoutError, SessionDir};
pub use line::{Flaw, VERSION};
pub use lock::{Holder, Lock, LockError, host_name};
pub use print::{PrintError, line, print_for_people, print_for_programs};
pub use reader::{ReadError, Reader, Report, Torn, verify};
pub use writer::{AppendError, Journal, JournalError, LocalFile, Storage};

#[cfg(test)]
mod tests;
