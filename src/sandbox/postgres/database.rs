//! One database: its tables, its log, who may write, and who is connected.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::{
    access::{self, APP, Backend, Client, READ_ONLY, Refusal, Role, Settings},
    shape::Shape,
    table::{Row, TABLES, Table, Writer},
};
use crate::sandbox::faults::Side;

/// Where the logs begin: the old database has lived for long, the new one since the restore.
const FIRST_LSN: [u64; 2] = [0x1_6b37_4d48, 0x3a00_0028];
/// Bytes of log that a small row makes: heap, index, commit.
const ROW_BYTES: u64 = 232;
/// A record of running transactions: at most every 15 s, and only when something was written since (PostgreSQL's
/// background writer). An idle database writes nothing.
const RUNNING_BYTES: u64 = 56;
const RUNNING_EVERY: SignedDuration = SignedDuration::from_secs(15);
/// A checkpoint, under the same condition.
const CHECKPOINT_BYTES: u64 = 184;
const CHECKPOINT_EVERY: SignedDuration = SignedDuration::from_mins(5);
/// Connections that a web process, a worker and a scheduler keep, and those of the reports tool.
const POOLS: [(Client, u32); 4] = [(Client::Web, 5), (Client::Worker, 4), (Client::Scheduler, 1), (Client::Reports, 1)];

/// Transactions that wrote before the world began.
const FIRST_XID: u64 = 731_204;

/// The table in which the operator's tools leave a sign of life: `id`, `token`, `written_at`. The migration made it.
pub(super) const HEARTBEAT: &str = "cutover_heartbeat";

/// One row of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Beat {
    pub(super) id: i64,
    pub(super) token: String,
    /// Microseconds since the epoch, session time.
    pub(super) at: i64,
}

/// What was written.
#[derive(Debug, Clone)]
pub(super) enum Written {
    /// Into the table at this position.
    Row(usize, Row),
    Beat(Beat),
}

/// One commit, as logical decoding reads it.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// Position behind the commit.
    pub(super) end: u64,
    pub(super) at: Timestamp,
    pub(super) written: Written,
}

/// One database.
#[derive(Debug, Clone)]
pub(super) struct Database {
    pub(super) side: Side,
    pub(super) started: Timestamp,
    pub(super) tables: Vec<Table>,
    pub(super) beats: Vec<Beat>,
    pub(super) lsn: u64,
    pub(super) roles: Vec<Role>,
    /// `ALTER DATABASE ... SET`.
    pub(super) settings: Settings,
    /// -1: no limit.
    pub(super) connection_limit: i64,
    pub(super) shape: Shape,
    pub(super) backends: Vec<Backend>,
    pub(super) commits: u64,
    pub(super) rollbacks: u64,
    /// Numbers that transactions took.
    xids: u64,
    /// What decoding has not yet sent; empty where no slot stands.
    pub(super) log: VecDeque<Change>,
    has_slot: bool,
    next_pid: i32,
    /// Writes are spread over the connections in turn.
    turn: usize,
    dirty: (bool, bool),
    running: Timestamp,
    checkpoint: Timestamp,
}

impl Database {
    pub(super) fn new(side: Side, started: Timestamp) -> Self {
        let is_copy = side == Side::New;
        let micros = started.as_microsecond();
        Self {
            side,
            started,
            tables: (0..TABLES.len()).map(|position| Table::seeded(position, micros, is_copy)).collect(),
            beats: Vec::new(),
            lsn: FIRST_LSN[side as usize],
            roles: access::roles(side),
            settings: Settings::new(),
            connection_limit: -1,
            shape: Shape::default(),
            backends: Vec::new(),
            commits: 0,
            rollbacks: 0,
            xids: 0,
            log: VecDeque::new(),
            has_slot: !is_copy,
            next_pid: 4_100,
            turn: 0,
            dirty: (false, false),
            running: started,
            checkpoint: started,
        }
    }

    pub(super) fn role(&self, name: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.name == name)
    }

    pub(super) fn role_mut(&mut self, name: &str) -> Option<&mut Role> {
        self.roles.iter_mut().find(|role| role.name == name)
    }

    pub(super) fn new_pid(&mut self) -> i32 {
        self.next_pid += 1;
        self.next_pid
    }

    /// Writes to the log.
    pub(super) fn log_bytes(&mut self, bytes: u64) {
        self.lsn += bytes.next_multiple_of(8);
        self.dirty = (true, true);
    }

    /// The background's part of the log.
    pub(super) fn idle(&mut self, now: Timestamp) {
        if self.dirty.0 && now.duration_since(self.running) >= RUNNING_EVERY {
            (self.running, self.dirty.0) = (now, false);
            self.lsn += RUNNING_BYTES;
        }
        if self.dirty.1 && now.duration_since(self.checkpoint) >= CHECKPOINT_EVERY {
            (self.checkpoint, self.dirty.1) = (now, false);
            self.lsn += CHECKPOINT_BYTES;
        }
    }

    /// A change of the catalogue: a transaction and a little of the log, nothing that is replicated.
    pub(super) fn catalogue_changed(&mut self) {
        self.xids += 1;
        self.log_bytes(ROW_BYTES);
    }

    /// What a setting is for new sessions of a role: its own, the database's, or the default.
    pub(super) fn is_read_only_for(&self, role: &str) -> bool {
        let role = self.role(role);
        let here = role.and_then(|role| role.settings_here.get(READ_ONLY));
        let own = here.or_else(|| role?.settings.get(READ_ONLY));
        own.or_else(|| self.settings.get(READ_ONLY)).is_some_and(|value| value == "on" || value == "true")
    }

    /// Whether one more session of the role is let in, when it holds `more` besides those of the app.
    ///
    /// # Errors
    /// PostgreSQL's message and SQLSTATE.
    pub(super) fn admits(&self, role: &str, more: i64) -> Result<(), (&'static str, String)> {
        let Some(role) = self.role(role) else {
            return Err(("28000", format!("role \"{role}\" does not exist")));
        };
        if !role.login {
            return Err(("28000", format!("role \"{}\" is not permitted to log in", role.name)));
        }
        let of_role = self.backends.iter().filter(|backend| backend.client.role() == role.name).count() as i64 + more;
        let full = |limit: i64, held: i64| limit >= 0 && held >= limit && !role.superuser;
        if full(role.connection_limit, of_role) {
            return Err(("53300", format!("too many connections for role \"{}\"", role.name)));
        }
        if full(self.connection_limit, self.backends.len() as i64 + more) {
            return Err(("53300", format!("too many connections for database \"{}\"", super::DATABASE)));
        }
        Ok(())
    }

    /// Opens and closes connections until each client holds as many as its processes want, as far as they are let in.
    pub(super) fn keep_pools(&mut self, now: Timestamp, processes: impl Fn(Client) -> u32) {
        for (client, each) in POOLS {
            let wanted = (processes(client) * each) as usize;
            let held = self.backends.iter().filter(|backend| backend.client == client).count();
            for _ in wanted..held {
                let newest = self.backends.iter().rposition(|backend| backend.client == client);
                newest.map(|newest| self.backends.remove(newest));
            }
            for _ in held..wanted {
                if self.admits(client.role(), 0).is_err() {
                    break;
                }
                let backend = Backend {
                    pid: self.new_pid(),
                    client,
                    started: now,
                    active: now,
                    read_only: self.is_read_only_for(client.role()),
                };
                self.backends.push(backend);
            }
        }
    }

    /// Whether this connection could write the table now.
    fn hindrance(&self, backend: &Backend, table: usize) -> Option<Refusal> {
        let role = self.role(backend.client.role())?;
        if !role.may(self.tables[table].name, "INSERT") {
            return Some(Refusal::Denied);
        }
        backend.read_only.then_some(Refusal::ReadOnly)
    }

    /// The share of a client's inserts that would be refused now, 0 to 1.
    pub(super) fn refused_share(&self, client: Client, table: usize) -> f64 {
        let mine = self.backends.iter().filter(|backend| backend.client == client);
        let (mut all, mut refused) = (0.0, 0.0);
        for backend in mine {
            all += 1.0;
            refused += f64::from(u8::from(self.hindrance(backend, table).is_some()));
        }
        let taken = self.tables[table].has(self.tables[table].sequence.peek());
        if all < 1.0 || taken { 1.0 } else { refused / all }
    }

    /// One insert of a client, over one of its connections.
    pub(super) fn write(
        &mut self,
        client: Client,
        table: usize,
        now: Timestamp,
        by: Writer,
        key: i64,
    ) -> Result<(), Refusal> {
        self.turn += 1;
        let of_client = |(at, backend): (usize, &Backend)| (backend.client == client).then_some(at);
        let mine: Vec<usize> = self.backends.iter().enumerate().filter_map(of_client).collect();
        let Some(&chosen) = mine.get(self.turn % mine.len().max(1)) else { return Err(Refusal::NoConnection) };
        self.backends[chosen].active = now;
        let outcome = match self.hindrance(&self.backends[chosen], table) {
            Some(refusal) => Err(refusal),
            None => self.tables[table].insert(now.as_microsecond(), by, key).map_err(|_| Refusal::Duplicate),
        };
        let row = outcome.inspect_err(|refusal| {
            self.rollbacks += 1;
            // What is refused before it writes takes no number.
            self.xids += u64::from(*refusal == Refusal::Duplicate);
        })?;
        self.commit(now, Written::Row(table, row));
        Ok(())
    }

    /// Writes a sign of life.
    pub(super) fn beat(&mut self, now: Timestamp, beat: Beat) {
        self.beats.retain(|known| known.id != beat.id);
        self.beats.push(beat.clone());
        self.commit(now, Written::Beat(beat));
    }

    fn commit(&mut self, now: Timestamp, written: Written) {
        self.commits += 1;
        self.xids += 1;
        self.log_bytes(ROW_BYTES);
        if self.has_slot {
            self.log.push_back(Change { end: self.lsn, at: now, written });
        }
    }

    /// Applies what was replicated. The new database's log grows as well.
    pub(super) fn apply(&mut self, change: &Change) -> Result<(), Refusal> {
        match &change.written {
            Written::Row(table, row) => self.tables[*table].put(*row).map_err(|_| Refusal::Duplicate)?,
            Written::Beat(beat) => {
                self.beats.retain(|known| known.id != beat.id);
                self.beats.push(beat.clone());
            }
        }
        self.commit(change.at, change.written.clone());
        Ok(())
    }

    /// The transaction that would write next.
    pub(super) const fn next_xid(&self) -> u64 {
        FIRST_XID + self.xids
    }

    /// Ends a connection of the app; whether there was one.
    pub(super) fn terminate(&mut self, pid: i32) -> Option<Backend> {
        let position = self.backends.iter().position(|backend| backend.pid == pid)?;
        Some(self.backends.remove(position))
    }

    /// Whether the app's role can write here at all now.
    pub(super) fn app_writes(&self) -> bool {
        let role = self.role(APP).is_some_and(|role| role.may("orders", "INSERT"));
        role && self.backends.iter().any(|backend| backend.client.role() == APP && !backend.read_only)
    }
}
