//! The ledger: every mutation that took effect in this world, whether its answer arrived or not.
//!
//! It is what a journal can be checked against: what the cockpit believes it did, and what really happened.

use std::sync::Mutex;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lock;

/// One mutation that took effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts from 1 without gaps.
    pub seq: u64,
    /// Session time.
    pub at: Timestamp,
    /// `route53`, `ecs`, `rds`, `heroku` or `postgres`.
    pub service: String,
    /// The operation (`ChangeResourceRecordSets`, `UpdateService`, `PATCH /apps/acme-shop`).
    pub action: String,
    /// What was changed (`Z0SANDBOX00000000001`, `acme/web`).
    pub target: String,
    /// The change itself, as the service understood it.
    pub detail: Value,
    /// The id that the service gave to the request.
    pub request_id: String,
}

/// Append-only list of [`Entry`]s.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Vec<Entry>>);

impl Ledger {
    /// Notes a mutation.
    pub(super) fn note(&self, at: Timestamp, service: &str, action: &str, target: &str, detail: Value, request: &str) {
        let mut entries = lock(&self.0);
        let seq = entries.len() as u64 + 1;
        entries.push(Entry {
            seq,
            at,
            service: service.to_owned(),
            action: action.to_owned(),
            target: target.to_owned(),
            detail,
            request_id: request.to_owned(),
        });
    }

    /// All entries so far.
    pub(super) fn entries(&self) -> Vec<Entry> {
        lock(&self.0).clone()
    }
}
