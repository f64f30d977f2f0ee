//! Logical replication as both sides show it: caught up, behind, or dead.
//!
//! A lag of 0 bytes is no proof of life: it stays 0 while the subscription is disabled and nobody writes. So everything
//! that must live is looked at each time, and the newest LSN counts only while all of it does.

use std::{fmt, str::FromStr};

use super::{
    super::error::{Failure, trouble},
    Postgres, Server,
    session::text,
    sql,
};
use crate::{
    plan::TableName,
    run::{Trouble, TroubleKind},
};

/// The apply worker must have heard from the publisher within this many seconds: `wal_sender_timeout` is 60, and
/// keepalives come at half of it.
const SILENT: f64 = 90.0;
/// Since when subscriptions count their errors.
const COUNTS_ERRORS: i64 = 150_000;

/// A place in the write-ahead log, in bytes from its beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lsn(pub u64);

impl FromStr for Lsn {
    type Err = ();

    /// `16/B374D848`: two hexadecimal halves.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (high, low) = text.split_once('/').ok_or(())?;
        let half = |text: &str| u32::from_str_radix(text, 16).map(u64::from).map_err(|_| ());
        Ok(Self(half(high)? << 32 | half(low)?))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl Lsn {
    /// Bytes from another place to this one; 0 when it lies behind.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The replication slot on the publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Somebody consumes it.
    pub active: bool,
    /// What the subscriber has confirmed.
    pub confirmed: Lsn,
    /// Where the publisher stands.
    pub now: Lsn,
    /// `lost`: the WAL that it needs is gone, and the copy must be made anew.
    pub wal_status: String,
}

/// The subscription on the subscriber.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// It is enabled.
    pub enabled: bool,
    /// Its apply worker lives.
    pub working: bool,
    /// Seconds since the worker heard from the publisher; None: never.
    pub silent: Option<f64>,
    /// Errors of applying so far; None: this version does not count them.
    pub errors: Option<i64>,
}

/// Both ends at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Replication {
    /// None: there is no such slot.
    pub slot: Option<Slot>,
    /// None: there is no such subscription.
    pub subscription: Option<Subscription>,
    /// Tables of the subscription that are still copied: name and state.
    pub copying: Vec<(String, String)>,
    /// Published tables that the subscription does not know: they need `ALTER SUBSCRIPTION ... REFRESH PUBLICATION`.
    pub unknown: Vec<String>,
}

impl Replication {
    /// Bytes that the subscriber has not confirmed; None while there is no slot.
    #[must_use]
    pub fn behind(&self) -> Option<u64> {
        self.slot.as_ref().map(|slot| slot.now.since(slot.confirmed))
    }

    /// Why nothing will arrive however long one waits. `errors`: how many the subscription had counted when one began to
    /// look; a rising count is a row that cannot be applied, tried again and again.
    #[must_use]
    pub fn stalled(&self, errors: Option<i64>) -> Option<String> {
        let Some(subscription) = &self.subscription else { return Some("there is no subscription".into()) };
        let Some(slot) = &self.slot else { return Some("there is no replication slot".into()) };
        if slot.wal_status == "lost" {
            return Some("the slot has lost WAL that it needs: the copy must be made anew".into());
        }
        if !subscription.enabled {
            return Some("the subscription is disabled".into());
        }
        let risen = subscription.errors.zip(errors).map_or(0, |(now, before)| now - before);
        if risen > 0 {
            let worker = if subscription.working { "" } else { ", the apply worker is gone" };
            return Some(format!("{risen} errors of applying{worker}: see the subscriber's log for the row"));
        }
        if !subscription.working {
            return Some("the apply worker is gone".into());
        }
        if !slot.active {
            return Some("the slot is inactive: nobody consumes it".into());
        }
        match subscription.silent {
            Some(silent) if silent > SILENT => Some(format!("the apply worker has heard nothing for {silent:.0} s")),
            _ => None,
        }
    }

    /// What is not yet there of what the publisher had at `pin`. None: everything is, and every table is in step.
    #[must_use]
    pub fn missing(&self, pin: Lsn) -> Option<String> {
        if let Some(table) = self.unknown.first() {
            let count = self.unknown.len();
            return Some(format!("{count} published tables are not subscribed to ({table}): refresh the subscription"));
        }
        if let Some((table, state)) = self.copying.first() {
            return Some(format!("{} tables are still copied ({table} is in state {state})", self.copying.len()));
        }
        let confirmed = self.slot.as_ref().map_or(Lsn(0), |slot| slot.confirmed);
        let left = pin.since(confirmed);
        (left > 0).then(|| format!("{left} B to {pin}"))
    }
}

impl Postgres {
    /// Slot, subscription and tables, from both sides.
    ///
    /// # Errors
    /// One of the sides cannot be read.
    pub async fn replication(&self) -> Result<Replication, Trouble> {
        let slot = self.old.slot(&self.plan.slot).await?;
        let (subscription, states) = self.new.subscription(&self.plan.subscription).await?;
        let published = self.old.published(&self.plan.publication).await?;
        let known = |table: &String| states.iter().any(|(name, _)| name == table);
        let unknown = published.into_iter().filter(|table| !known(table)).collect();
        let copying = states.into_iter().filter(|(_, state)| state != "r").collect();
        Ok(Replication { slot, subscription, copying, unknown })
    }

    /// Writes a token into the heartbeat on the old side. False: the plan has none.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn beat(&self, token: &str) -> Result<bool, Failure> {
        let Some(TableName { schema, name }) = &self.plan.heartbeat else { return Ok(false) };
        let session = self.old.act().await?;
        session.rows("heartbeat", &sql::heartbeat_write(schema, name), &[text(&token)]).await?;
        Ok(true)
    }

    /// Whether a token has arrived on the new side; true where the plan has no heartbeat.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn beaten(&self, token: &str) -> Result<bool, Trouble> {
        let Some(TableName { schema, name }) = &self.plan.heartbeat else { return Ok(true) };
        let session = self.new.read().await?;
        let row = session.one("heartbeat", &sql::heartbeat_read(schema, name), &[]).await?;
        let found = row.map(|row| session.get::<Option<String>>("heartbeat", &row, 0)).transpose()?.flatten();
        Ok(found.as_deref() == Some(token))
    }
}

impl Server {
    async fn slot(&self, slot: &str) -> Result<Option<Slot>, Trouble> {
        let (session, what) = (self.read().await?, "slot");
        let Some(row) = session.one(what, sql::SLOT, &[text(&slot)]).await? else { return Ok(None) };
        let lsn = |place| lsn(&session.call(what), session.get(what, &row, place)?);
        Ok(Some(Slot {
            active: session.get(what, &row, 0)?,
            confirmed: lsn(1)?,
            now: lsn(2)?,
            wal_status: session.get(what, &row, 4)?,
        }))
    }

    /// The subscription, and each of its tables with its state.
    async fn subscription(&self, name: &str) -> Result<(Option<Subscription>, Vec<(String, String)>), Trouble> {
        let (session, what) = (self.read().await?, "subscription");
        let server = session.one(what, sql::SERVER, &[]).await?;
        let version: i64 = server.map(|row| session.get(what, &row, 0)).transpose()?.unwrap_or_default();
        let query = if version >= COUNTS_ERRORS { sql::SUBSCRIPTION } else { sql::SUBSCRIPTION_BEFORE_15 };
        let Some(row) = session.one(what, query, &[text(&name)]).await? else { return Ok((None, Vec::new())) };
        let (silent, errors): (f64, i64) = (session.get(what, &row, 2)?, session.get(what, &row, 3)?);
        let subscription = Subscription {
            enabled: session.get(what, &row, 0)?,
            working: session.get(what, &row, 1)?,
            silent: (silent >= 0.0).then_some(silent),
            errors: (errors >= 0).then_some(errors),
        };
        let rows = session.rows(what, sql::SUBSCRIBED_TABLES, &[text(&name)]).await?;
        let states: Result<_, Trouble> =
            rows.iter().map(|row| Ok((session.get(what, row, 0)?, session.get(what, row, 1)?))).collect();
        Ok((Some(subscription), states?))
    }

    async fn published(&self, publication: &str) -> Result<Vec<String>, Trouble> {
        let (session, what) = (self.read().await?, "publication");
        let rows = session.rows(what, sql::PUBLISHED_TABLES, &[text(&publication)]).await?;
        rows.iter().map(|row| session.get(what, row, 0)).collect()
    }
}

pub(super) fn lsn(call: &str, text: String) -> Result<Lsn, Trouble> {
    text.parse().map_err(|()| trouble(call, TroubleKind::Garbled, &format!("{text} is not an LSN")))
}
