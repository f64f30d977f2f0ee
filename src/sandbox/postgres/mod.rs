//! The two databases: what the app writes to them, replication between them, and a PostgreSQL front for each.
//!
//! ```text
//! web, worker, scheduler of the old side -> old database --slot--> subscription -> new database <- those of the new side
//!                                              ^                                       ^
//!                                              '------- wire (sql -> statements) ------'
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `table`, `access`, `database` | rows and sequences; roles and connections; one database |
//! | `shape` | what people change of it: indexes, extensions, replica identities, large objects |
//! | `link` | replication, which carries rows and no sequences |
//! | `sql/` | tokens, syntax, evaluation, functions: the part of SQL that is spoken here |
//! | `catalog` | the views that statistics and catalogues show |
//! | `session`, `change` | one connection: transactions, statements that change something, the ledger |
//! | `wire` | the protocol |
//!
//! Everything that a statement answers comes from this state; nothing is made up for a client.

mod access;
mod catalog;
mod change;
mod database;
mod link;
mod session;
mod shape;
mod sql;
mod table;
mod value;
pub(super) mod wire;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod world_tests;

use jiff::Timestamp;
use serde::Serialize;

pub(super) use self::access::OPERATOR;
use self::{
    access::Client,
    database::Database,
    link::Link,
    table::{JOBS, MAILS, ORDERS, Writer, mail_key},
};
use super::{
    faults::Side,
    model::{Noise, Processes},
};

/// The database's name on both sides.
pub(super) const DATABASE: &str = "acme_shop";
/// Share of the shop's requests that place an order.
pub(super) const ORDER_SHARE: f64 = 0.04;
/// Share of jobs that leave a row; the others leave nothing in the database.
const JOB_ROWS: f64 = 0.25;
/// How often a scheduler sends its digest, seconds, and to how many users.
const DIGEST_EVERY: i64 = 60;
const DIGEST_MAILS: i64 = 12;
/// Rows a second that another role writes when it leaks.
const LEAK_RATE: f64 = 0.5;

/// What one side does to its database during a step.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Work {
    pub(super) processes: Processes,
    /// Orders that are tried, a second.
    pub(super) orders: f64,
    /// Jobs that are done, a second.
    pub(super) jobs: f64,
}

/// Counters of the world outside of any database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Mails {
    /// Mails that users got.
    pub(super) sent: u64,
    /// Those of them that they had got before: two schedulers ran.
    pub(super) doubled: u64,
}

/// What the state page shows of one database.
#[derive(Debug, Serialize)]
pub(super) struct DatabaseState {
    side: Side,
    lsn: String,
    orders: usize,
    connections: usize,
    app_writes: bool,
    refused_orders: u64,
}

/// Both databases and what stands between them.
#[derive(Debug, Clone)]
pub(super) struct Databases {
    old: Database,
    new: Database,
    link: Link,
    mails: Mails,
    /// The newest digest that each side's scheduler sent, and the newest of all.
    digests: [i64; 2],
    refused_orders: [u64; 2],
    noise: Noise,
    now: Timestamp,
}

impl Databases {
    pub(super) fn new(started: Timestamp, seed: u64) -> Self {
        let (old, new) = (Database::new(Side::Old, started), Database::new(Side::New, started));
        let link = Link::new(started, old.lsn);
        Self {
            old,
            new,
            link,
            mails: Mails::default(),
            digests: [0; 2],
            refused_orders: [0; 2],
            noise: Noise(seed ^ 0x0da7_aba5e),
            now: started,
        }
    }

    fn of(&self, side: Side) -> &Database {
        match side {
            Side::Old => &self.old,
            Side::New => &self.new,
        }
    }

    fn of_mut(&mut self, side: Side) -> &mut Database {
        match side {
            Side::Old => &mut self.old,
            Side::New => &mut self.new,
        }
    }

    /// The share of a side's orders that its database would refuse now, 0 to 1.
    pub(super) fn refused_orders(&self, side: Side) -> f64 {
        self.of(side).refused_share(Client::Web, ORDERS)
    }

    /// The share of a side's jobs that fail because their database refuses them, 0 to 1.
    pub(super) fn refused_jobs(&self, side: Side) -> f64 {
        self.of(side).refused_share(Client::Worker, JOBS)
    }

    /// Connections that are open on a side's database.
    pub(super) fn connections(&self, side: Side) -> usize {
        self.of(side).backends.len()
    }

    /// Lets `dt` seconds pass, to `now`. `leaks` and `stalled` are faults: another role writes to the old side; the apply
    /// worker fails.
    pub(super) fn step(&mut self, now: Timestamp, dt: f64, [old, new]: [Work; 2], leaks: bool, stalled: bool) {
        self.now = now;
        self.work(Side::Old, now, dt, old);
        self.work(Side::New, now, dt, new);
        if leaks {
            let count = self.noise.poisson(LEAK_RATE * dt) as u64;
            for _ in 0..count {
                let key = self.key();
                // A refusal is the end of the leak, which is what the freeze is for.
                let _ = self.old.write(Client::Reports, ORDERS, now, "reports", key);
            }
        }
        self.link.stalled = stalled;
        self.link.step(now, &mut self.old, &mut self.new);
        self.old.idle(now);
        self.new.idle(now);
    }

    /// Lets replication go on until `now`, between two steps: who asks sees it as it is, not as it was at the last step.
    fn catch_up(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.link.step(now, &mut self.old, &mut self.new);
    }

    fn key(&mut self) -> i64 {
        (self.noise.next() >> 2) as i64
    }

    /// Lets every process have its connections, before anything is written.
    pub(super) fn open_pools(&mut self, now: Timestamp, [old, new]: [Processes; 2]) {
        self.keep_pools(Side::Old, now, old);
        self.keep_pools(Side::New, now, new);
    }

    fn keep_pools(&mut self, side: Side, now: Timestamp, processes: Processes) {
        let reports = u32::from(side == Side::Old) * 2;
        self.of_mut(side).keep_pools(now, |client| match client {
            Client::Web => processes.web,
            Client::Worker => processes.worker,
            Client::Scheduler => processes.scheduler,
            Client::Reports => reports,
        });
    }

    fn work(&mut self, side: Side, now: Timestamp, dt: f64, work: Work) {
        let Processes { web, worker, scheduler, .. } = work.processes;
        self.keep_pools(side, now, work.processes);
        let by: [Writer; 3] = match side {
            Side::Old => ["heroku web", "heroku worker", "heroku clock"],
            Side::New => ["aws web", "aws worker", "aws scheduler"],
        };
        let orders = if web > 0 { self.noise.poisson(work.orders * dt) as u64 } else { 0 };
        for _ in 0..orders {
            let key = self.key();
            let refused = self.of_mut(side).write(Client::Web, ORDERS, now, by[0], key).is_err();
            self.refused_orders[side as usize] += u64::from(refused);
        }
        let jobs = if worker > 0 { self.noise.poisson(work.jobs * JOB_ROWS * dt) as u64 } else { 0 };
        for _ in 0..jobs {
            let key = self.key();
            // A job whose row is refused goes back to the queue; the model drains it no faster than rows are taken.
            let _ = self.of_mut(side).write(Client::Worker, JOBS, now, by[1], key);
        }
        if scheduler > 0 {
            self.send_digest(side, now, by[2]);
        }
    }

    /// A scheduler notes each mail before it sends it, and looks only into its own notes of the current minute.
    fn send_digest(&mut self, side: Side, now: Timestamp, by: Writer) {
        let digest = now.as_second().div_euclid(DIGEST_EVERY);
        if self.digests[side as usize] >= digest {
            return;
        }
        let was_sent = self.digests.contains(&digest);
        for user in 0..DIGEST_MAILS {
            let key = mail_key(digest, user * 97 + digest % 97);
            if self.of_mut(side).write(Client::Scheduler, MAILS, now, by, key).is_ok() {
                self.digests[side as usize] = digest;
                self.mails.sent += 1;
                self.mails.doubled += u64::from(was_sent);
            }
        }
    }

    /// For the state page.
    pub(super) fn summary(&self) -> serde_json::Value {
        let database = |database: &Database| DatabaseState {
            side: database.side,
            lsn: value::print_lsn(database.lsn),
            orders: database.tables[ORDERS].rows().len(),
            connections: database.backends.len(),
            app_writes: database.app_writes(),
            refused_orders: self.refused_orders[database.side as usize],
        };
        serde_json::json!({
            "databases": [database(&self.old), database(&self.new)],
            "replication": {
                "lag_bytes": self.link.lag_bytes(&self.old), "lag_seconds": Link::lag_seconds(&self.old, self.now),
                "missing_orders": Link::missing_orders(&self.old), "errors": self.link.errors,
                "running": self.link.worker.is_some(),
            },
            "mails": self.mails,
        })
    }
}
