//! Logical replication from the old to the new database: a publication, a slot, a subscription and its apply worker.

use jiff::{SignedDuration, Timestamp};

use super::{
    database::{Database, Written},
    table::ORDERS,
};

/// The names that the migration gave them, all alike.
pub(super) const SLOT: &str = "cutover";
/// From commit to applied when nothing else happens, seconds.
const BASE_DELAY: f64 = 0.25;
/// Seconds more at [`FULL_LOAD`].
const LOAD_DELAY: f64 = 1.5;
/// Bytes of log a second that make the apply worker feel it.
const FULL_LOAD: f64 = 10_000.0;
/// A worker that failed is started again after this time (`wal_retrieve_retry_interval`).
const RETRY: SignedDuration = SignedDuration::from_secs(5);

/// What stands between the two databases.
#[derive(Debug, Clone)]
pub(super) struct Link {
    /// Everything before it is applied and flushed on the new side.
    pub(super) confirmed: u64,
    /// The apply worker, while it lives.
    pub(super) worker: Option<i32>,
    /// The walsender on the old side, while the worker lives.
    pub(super) sender: Option<i32>,
    /// When the worker was started.
    pub(super) connected: Timestamp,
    /// When the last message came, data or keep-alive.
    pub(super) last_message: Timestamp,
    /// `apply_error_count`.
    pub(super) errors: u64,
    /// `ALTER SUBSCRIPTION ... DISABLE` makes it false.
    pub(super) enabled: bool,
    retry: Timestamp,
    last: Timestamp,
    /// A fault: every attempt fails.
    pub(super) stalled: bool,
    /// Log position at the last step, and the rate since, bytes a second, smoothed.
    seen: u64,
    rate: f64,
}

impl Link {
    pub(super) fn new(now: Timestamp, lsn: u64) -> Self {
        Self {
            confirmed: lsn,
            worker: Some(4_001),
            sender: Some(4_002),
            connected: now,
            last_message: now,
            errors: 0,
            enabled: true,
            retry: now,
            last: now,
            stalled: false,
            seen: lsn,
            rate: 0.0,
        }
    }

    /// Seconds from commit to applied under the present load.
    fn delay(&self) -> f64 {
        BASE_DELAY + LOAD_DELAY * self.rate / FULL_LOAD
    }

    /// Lets time pass until `now`. A stalled worker fails at every attempt.
    pub(super) fn step(&mut self, now: Timestamp, old: &mut Database, new: &mut Database) {
        let dt = now.duration_since(self.last).as_secs_f64();
        if dt <= 0.0 {
            return;
        }
        self.last = now;
        let rate = old.lsn.saturating_sub(self.seen) as f64 / dt;
        self.seen = old.lsn;
        self.rate += (rate - self.rate) * (1.0 - (-dt / 10.0).exp());
        if !self.enabled {
            (self.worker, self.sender) = (None, None);
            return;
        }
        if now < self.retry {
            return;
        }
        if self.stalled || self.apply(now, old, new).is_err() {
            self.fail(now, dt);
            return;
        }
        if self.worker.is_none() {
            (self.worker, self.sender, self.connected) = (Some(new.new_pid()), Some(old.new_pid()), now);
        }
        self.last_message = now;
    }

    fn apply(&mut self, now: Timestamp, old: &mut Database, new: &mut Database) -> Result<(), super::access::Refusal> {
        while let Some(change) = old.log.front() {
            if now.duration_since(change.at).as_secs_f64() < self.delay() {
                return Ok(());
            }
            new.apply(change)?;
            self.confirmed = change.end;
            old.log.pop_front();
        }
        // Nothing is left: keep-alives carry the position on over what is not decoded.
        self.confirmed = old.lsn;
        Ok(())
    }

    /// One error for every attempt that fits into the step, and none before the retry's time.
    fn fail(&mut self, now: Timestamp, dt: f64) {
        (self.worker, self.sender) = (None, None);
        self.errors += (dt / RETRY.as_secs_f64()).floor().max(1.0) as u64;
        self.retry = now.checked_add(RETRY).unwrap_or(now);
    }

    /// Bytes of the old log that are not applied.
    pub(super) fn lag_bytes(&self, old: &Database) -> u64 {
        old.lsn.saturating_sub(self.confirmed)
    }

    /// Age of the oldest change that is not applied, seconds.
    pub(super) fn lag_seconds(old: &Database, now: Timestamp) -> f64 {
        old.log.front().map_or(0.0, |change| now.duration_since(change.at).as_secs_f64().max(0.0))
    }

    /// Orders that the new side lacks.
    pub(super) fn missing_orders(old: &Database) -> usize {
        old.log.iter().filter(|change| matches!(change.written, Written::Row(ORDERS, _))).count()
    }
}
