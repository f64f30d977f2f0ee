//! A TTL that was lowered: how long caches may keep what they took before.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::apply::ALIAS_TTL;
use crate::plan::Record;

/// A TTL that was lowered (or a record that was changed) and still lives in caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// When the change was in sync at all authoritative servers.
    pub in_sync: Timestamp,
    /// The TTL that caches may still hold, seconds.
    pub old_ttl: u32,
    /// The TTL in force since, seconds.
    pub new_ttl: u32,
    /// It stood there already when this session looked: who lowered it, and when, is not known.
    pub found: bool,
}

impl Drain {
    /// When the last honest cache has forgotten the old TTL.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        self.in_sync + jiff::SignedDuration::from_secs(i64::from(self.old_ttl))
    }

    /// The same for what the plan says of the record: a TTL that somebody else had lowered may have been lowered just
    /// now, and then caches hold what the plan says that it was.
    #[must_use]
    pub fn of(self, record: &Record) -> Self {
        let planned = record.old.ttl.unwrap_or(ALIAS_TTL);
        let old_ttl = if self.found { self.old_ttl.max(planned) } else { self.old_ttl };
        Self { old_ttl, ..self }
    }
}
