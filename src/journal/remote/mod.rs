//! The journal in object storage, so that any machine can go on with a session and no two can act at once.
//!
//! ```text
//! s3://bucket/prefix/
//!   session.json                 what the session is: id, plan, clock; made once
//!   log/000000000001.jsonl       numbered without a gap, each made once (`If-None-Match: *`)
//!   log/000000000002.jsonl       first line: who wrote it and why; then lines of the journal, as on disk
//! ```
//!
//! # Why so
//!
//! **The storage is the lock and the authority; the local file is a copy.** An intent is acknowledged by the storage
//! before anything is sent, and by the local file afterwards. The other order would need two acknowledgements to agree
//! after every crash, and the lock would still have to live in the storage: it is the only thing that two machines share.
//! The local copy makes `status`, `journal` and `report` work as ever, and its chain is compared with the storage's.
//!
//! **A number is a lock.** Whoever makes object N has the log up to N; everybody else who tries N is told that it stands
//! there, reads who made it, and stops acting. There is no lease that could run out while an act is on its way, and no
//! clock decides anything: a takeover is a person's, typed, and takes effect by making the next object. Heartbeats
//! only tell that person how long the other engine has been silent.
//!
//! **A lost answer is in doubt here, too.** A write whose answer is lost may stand in the storage, now or in a moment,
//! although the engine was told that nothing happened. The number is then taken: if the bytes are the very ones that are
//! to be written, they are written; if the same engine wrote them in an attempt that it gave up, the next object says in
//! its head that they are void. If that engine dies before, they count: an intent without an act, which the next engine
//! observes like any other.

mod bucket;
mod courier;
mod replica;
mod trail;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use bucket::{Remote, RemoteError, is_remote};
pub use replica::{Replica, upload};
pub use trail::{Step, Trail};

use crate::{clock::Clock, plan::Plan};

/// How often an engine with nothing to write says that it lives, wall time.
pub const HEARTBEAT: std::time::Duration = std::time::Duration::from_secs(15);

/// After so long without a word an engine may be taken over from, wall time.
pub const SILENT: std::time::Duration = std::time::Duration::from_secs(60);

/// Version of what stands in the storage beside the journal's own lines.
const FORMAT: u32 = 1;

/// What a session is, wherever it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// Session id.
    pub session: String,
    /// The frozen, validated plan.
    pub plan: Plan,
    /// The plan as written.
    pub source: String,
    /// The session's clock.
    pub clock: Clock,
}

/// Who writes: an engine's directory on one machine. Two engines of one directory are kept apart by its lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// Unlike any other.
    pub id: String,
    /// Host name.
    pub host: String,
    /// Process id when it wrote.
    pub pid: u32,
}

impl std::fmt::Display for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the engine on {} (process {})", self.host, self.pid)
    }
}

/// Why an object was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// Its writer has the log from here on.
    Claim,
    /// Something happened.
    Entries,
    /// Nothing happened, and its writer lives.
    Heartbeat,
}

/// The first line of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    v: u32,
    object: u64,
    kind: Kind,
    writer: Writer,
    /// The writer's wall clock, for people.
    wall: Timestamp,
    /// Objects of this writer that it had given up when it was told nothing of them: they do not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    void: Vec<u64>,
}

#[cfg(test)]
mod tests;
