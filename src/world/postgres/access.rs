//! Who may write: how it is read, how it is changed, and who still does.
//!
//! **What counts as "may write".** A role may write when its next session could (it may log in, its connection limit and
//! the database's are not 0, it has a privilege that writes on some user table by whatever way, it is not read-only by
//! default, the server is no standby) or when a session that it already has could: privileges taken away hit running
//! sessions at their next statement, but a connection limit does not touch them, and neither does a changed default.
//!
//! A session is bound by a read-only default that is older than itself, and PostgreSQL does not tell how old a default
//! is. So what counts is the first look that saw it ([`Defaults`]): a session that was there by then may write, until it
//! ends; one that came later may not, while it has no transaction that writes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::PoisonError,
};

use super::{
    super::error::{Failure, trouble},
    Lsn, Server,
    session::{Session, boolean, float8, text},
    sql,
};
use crate::{
    plan::{Side, WriteLock},
    run::{Access, Grant, Trouble, TroubleKind, is_on},
};

/// What one role may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ability {
    /// Role and database let it in.
    pub login: bool,
    /// Its connection limit; negative: none.
    pub limit: i64,
    /// The database's.
    pub database_limit: i64,
    /// Limits and privileges do not bind it.
    pub superuser: bool,
    /// User tables in which it may insert, update, delete or truncate.
    pub writable: i64,
    /// Its next session is read-only by default.
    pub read_only: bool,
    /// Its sessions.
    pub sessions: i64,
    /// Of them those with a transaction that has written.
    pub writing: i64,
    /// The server takes no writes.
    pub standby: bool,
    /// Of its sessions those that may be older than the default that makes the next one read-only.
    pub older: i64,
}

impl Ability {
    /// Whether it may write now, by the rule above.
    #[must_use]
    pub const fn may_write(&self) -> bool {
        self.runs_on() > 0 || self.may_begin()
    }

    /// How many of its sessions may write although its next one could not.
    #[must_use]
    pub const fn runs_on(&self) -> i64 {
        if self.standby || self.writable == 0 {
            0
        } else if !self.read_only {
            self.sessions
        } else if self.older > self.writing {
            self.older
        } else {
            self.writing
        }
    }

    /// Its next session could write.
    const fn may_begin(&self) -> bool {
        let let_in = self.login && (self.superuser || (self.limit != 0 && self.database_limit != 0));
        let_in && !self.read_only && self.writable > 0 && !self.standby
    }
}

/// Since when read-only defaults are known to stand, by role (empty: the whole database's): seconds since 1970 on the
/// server's clock. Sessions that began later are bound by them.
#[derive(Debug, Default)]
pub(super) struct Defaults(BTreeMap<String, f64>);

impl Defaults {
    fn since(&self, role: &str) -> Option<f64> {
        self.0.get(role).or_else(|| self.0.get("")).copied()
    }

    /// Takes in a look; looks may be told in another order than they were taken.
    fn seen(&mut self, role: &str, on: bool, at: f64) {
        if !on {
            self.0.retain(|known, since| (known != role && !known.is_empty()) || *since > at);
        } else if self.since(role).is_none_or(|since| at < since) {
            self.0.insert(role.to_owned(), at);
        }
    }
}

/// Sessions of one role and application that are not ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Sessions {
    /// The role.
    pub role: String,
    /// `application_name`, as the client gave it.
    pub application: String,
    /// How many.
    pub count: i64,
    /// Of them those with a transaction that has written.
    pub writing: i64,
    /// When the last of them began a statement: seconds since 1970 on the server's clock.
    pub newest: f64,
}

/// How far writing has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Motion {
    /// Write-ahead log of the whole cluster.
    pub lsn: Lsn,
    /// The next transaction id of the whole cluster: moves only when somebody writes.
    pub next_xid: i64,
    /// Rows written in this database's user tables, some seconds behind.
    pub rows: i64,
}

/// What was written between two looks, although nobody should.
#[derive(Debug, Clone, PartialEq)]
pub struct Leak {
    /// Who: role, application and what speaks against it.
    pub who: Vec<String>,
    /// The same by name alone: role and application.
    pub roles: BTreeSet<String>,
    /// Rows by table.
    pub rows: BTreeMap<String, i64>,
    /// WAL in bytes, of the whole cluster and of the server itself, too.
    pub wal: u64,
}

impl Leak {
    /// Somebody still writes.
    #[must_use]
    pub fn leaks(&self) -> bool {
        !self.who.is_empty() || !self.rows.is_empty()
    }

    /// For people: who, and where.
    #[must_use]
    pub fn words(&self) -> String {
        let tables: Vec<_> = self.rows.iter().map(|(table, rows)| format!("{table} +{rows} rows")).collect();
        let who = if self.who.is_empty() { "unseen".to_owned() } else { self.who.join(", ") };
        let tables = if tables.is_empty() { String::new() } else { format!(" ({})", tables.join(", ")) };
        format!("{who} still writes{tables}")
    }
}

/// A look at everything that moves when somebody writes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Look {
    /// When it began: seconds since 1970 on the server's clock, which is the one that sessions are dated by.
    at: f64,
    motion: Motion,
    tables: BTreeMap<String, i64>,
}

impl Server {
    /// Who may write, in the terms of one method. `roles`: of whom; for a read-only default on the old side the whole
    /// database is told about instead.
    ///
    /// # Errors
    /// A role does not exist (`Unexpected`), or a statement failed.
    pub async fn access(&self, method: WriteLock, roles: &[String]) -> Result<Access, Trouble> {
        let session = self.read().await?;
        match method {
            WriteLock::Revoke => {
                let mut grants = Vec::new();
                for role in roles {
                    grants.extend(self.grants(&session, role).await?);
                }
                grants.sort();
                Ok(Access::Grants { grants })
            }
            WriteLock::ConnectionLimit => {
                let mut limits = BTreeMap::new();
                for role in roles {
                    let row = session.one("limit", sql::LIMIT, &[text(role)]).await?;
                    let row = row.ok_or_else(|| unknown(&session, role))?;
                    limits.insert(role.clone(), session.get("limit", &row, 0)?);
                }
                Ok(Access::Limits { limits })
            }
            WriteLock::ReadOnly => {
                let mut defaults = BTreeMap::new();
                for role in read_only_of(self.side, roles) {
                    let row = session.one("default", sql::READ_ONLY, &[text(&role)]).await?;
                    let value: Option<String> = row.map(|row| session.get("default", &row, 0)).transpose()?;
                    // Later than what it dates: a session that comes between the two is taken for an older one.
                    let at = now(&session).await?;
                    self.defaults().seen(&role, is_on(value.as_deref()), at);
                    defaults.insert(role, value);
                }
                Ok(Access::ReadOnly { defaults })
            }
        }
    }

    async fn grants(&self, session: &Session, role: &String) -> Result<Vec<Grant>, Trouble> {
        let what = "grants";
        if role != "public" && session.one("limit", sql::LIMIT, &[text(role)]).await?.is_none() {
            return Err(unknown(session, role));
        }
        let mut grants = Vec::new();
        for row in session.rows(what, sql::GRANTS, &[text(role)]).await? {
            let field = |place| session.get::<String>(what, &row, place);
            let (schema, table, column, privilege) = (field(0)?, field(1)?, field(2)?, field(3)?);
            let grantable = session.get(what, &row, 4)?;
            // The heartbeat is ours and goes on through the freeze.
            if format!("{schema}.{table}") != self.heartbeat {
                grants.push(Grant { role: role.clone(), schema, table, column, privilege, grantable });
            }
        }
        Ok(grants)
    }

    /// The privileges that an application usually has: insert, update and delete on every user table.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub async fn usual_grants(&self, roles: &[String]) -> Result<Access, Trouble> {
        let mut grants = Vec::new();
        for table in self.tables().await? {
            for role in roles {
                grants.extend(["INSERT", "UPDATE", "DELETE"].map(|privilege| Grant {
                    role: role.clone(),
                    schema: table.schema.clone(),
                    table: table.name.clone(),
                    column: String::new(),
                    privilege: privilege.to_owned(),
                    grantable: false,
                }));
            }
        }
        grants.sort();
        Ok(Access::Grants { grants })
    }

    /// Leads from one access to the other, all at once or not at all, in one attempt.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn change_access(&self, from: &Access, to: &Access) -> Result<(), Failure> {
        let database = self.database().await.map_err(|trouble| Failure { trouble, in_doubt: false })?;
        let statements = sql::access_sql(&database, from, to);
        if statements.is_empty() {
            return Ok(());
        }
        self.act().await?.change("access", &statements).await
    }

    /// The name of the database we are in.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn database(&self) -> Result<String, Trouble> {
        let session = self.read().await?;
        let row = session.one("server", sql::SERVER, &[]).await?;
        let none = || trouble(&session.call("server"), TroubleKind::Garbled, "no answer");
        session.get("server", &row.ok_or_else(none)?, 8)
    }

    /// What a role may do.
    ///
    /// # Errors
    /// There is no such role (`Unexpected`), or it cannot be read.
    pub async fn ability(&self, role: &String) -> Result<Ability, Trouble> {
        let (session, what) = (self.read().await?, "abilities");
        let since = self.defaults().since(role).unwrap_or(f64::MAX);
        let row = session.one(what, sql::ABILITIES, &[text(role), text(&self.heartbeat), float8(&since)]).await?;
        let row = row.ok_or_else(|| unknown(&session, role))?;
        let read_only: String = session.get(what, &row, 5)?;
        let read_only = is_on(Some(&read_only));
        self.defaults().seen(role, read_only, session.get(what, &row, 10)?);
        Ok(Ability {
            login: session.get(what, &row, 0)?,
            limit: session.get(what, &row, 1)?,
            database_limit: session.get(what, &row, 2)?,
            superuser: session.get(what, &row, 3)?,
            writable: session.get(what, &row, 4)?,
            read_only,
            sessions: session.get(what, &row, 6)?,
            writing: session.get(what, &row, 7)?,
            standby: session.get(what, &row, 8)?,
            older: session.get(what, &row, 9)?,
        })
    }

    /// An earlier engine froze these roles by default and proved it: whoever of them is here now came later.
    pub fn was_proven_read_only(&self, roles: &[String]) {
        let mut defaults = self.defaults();
        for role in roles.iter().cloned().chain(read_only_of(self.side, roles)) {
            defaults.0.insert(role, 0.0);
        }
    }

    fn defaults(&self) -> std::sync::MutexGuard<'_, Defaults> {
        self.defaults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Client sessions that are not ours.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn sessions(&self) -> Result<Vec<Sessions>, Trouble> {
        let (session, what) = (self.read().await?, "sessions");
        let rows = session.rows(what, sql::SESSIONS, &[]).await?;
        let one = |row: &tokio_postgres::Row| {
            let application: String = session.get(what, row, 1)?;
            Ok(Sessions {
                role: session.get(what, row, 0)?,
                application: super::super::clean(&application),
                count: session.get(what, row, 2)?,
                writing: session.get(what, row, 3)?,
                newest: session.get(what, row, 4)?,
            })
        };
        rows.iter().map(one).collect()
    }

    /// Ends sessions of a role; `writing`: only those with a transaction that has written. Returns how many.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn end_sessions(&self, role: &String, writing: bool) -> Result<i64, Failure> {
        let session = self.act().await?;
        let row = session.one("terminate", sql::TERMINATE, &[text(role), boolean(&writing)]).await?;
        let ended = row.map(|row| session.get("terminate", &row, 0)).transpose();
        Ok(ended.map_err(|trouble| Failure { trouble, in_doubt: true })?.unwrap_or_default())
    }

    /// How far writing has come.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn motion(&self) -> Result<Motion, Trouble> {
        let (session, what) = (self.read().await?, "motion");
        let row = session.one(what, sql::MOTION, &[]).await?;
        let row = row.ok_or_else(|| trouble(&session.call(what), TroubleKind::Garbled, "no answer"))?;
        let lsn = super::replication::lsn(&session.call(what), session.get(what, &row, 0)?)?;
        Ok(Motion { lsn, next_xid: session.get(what, &row, 1)?, rows: session.get(what, &row, 2)? })
    }

    async fn look(&self) -> Result<Look, Trouble> {
        let (session, what) = (self.read().await?, "writes");
        let at = now(&session).await?;
        let motion = self.motion().await?;
        let rows = session.rows(what, sql::TABLE_WRITES, &[]).await?;
        let tables: Result<BTreeMap<_, _>, Trouble> =
            rows.iter().map(|row| Ok((session.get(what, row, 0)?, session.get(what, row, 1)?))).collect();
        let mut tables = tables?;
        tables.remove(&self.heartbeat);
        Ok(Look { at, motion, tables })
    }

    /// Watches for a time (wall) whether anybody writes, and who.
    ///
    /// Counts of rows lag behind: what was written just before the first look may show up only in the second. So the
    /// first look is taken after a pause in which they settle.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn leak(&self, settle: std::time::Duration, lasting: std::time::Duration) -> Result<Leak, Trouble> {
        tokio::time::sleep(settle).await;
        let before = self.look().await?;
        tokio::time::sleep(lasting).await;
        let (after, sessions) = (self.look().await?, self.sessions().await?);
        let (mut who, mut roles) = (Vec::new(), BTreeSet::new());
        for one in sessions {
            let name = format!("{} ({})", one.role, one.application);
            if one.writing > 0 {
                roles.insert(name);
                who.push(format!(
                    "{} ({}, {} of {} sessions in a writing transaction)",
                    one.role, one.application, one.writing, one.count
                ));
            } else if one.newest >= before.at && after.motion.next_xid > before.motion.next_xid {
                // Something was written somewhere in the cluster, this one was at work, and it could have been it.
                if self.ability(&one.role).await.is_ok_and(|ability| ability.may_write()) {
                    roles.insert(name);
                    who.push(format!("{} ({}, {} sessions)", one.role, one.application, one.count));
                }
            }
        }
        Ok(compare(&before, &after, (who, roles)))
    }
}

/// What the second look shows beyond the first.
fn compare(before: &Look, after: &Look, (who, roles): (Vec<String>, BTreeSet<String>)) -> Leak {
    let written = after.tables.iter().filter_map(|(table, rows)| {
        let risen = rows - before.tables.get(table).copied().unwrap_or_default();
        (risen > 0).then(|| (table.clone(), risen))
    });
    Leak { who, roles, rows: written.collect(), wal: after.motion.lsn.since(before.motion.lsn) }
}

/// Of whom a read-only default tells: the whole database on the old side, so that no role is forgotten; each role on the
/// new, where the apply worker must go on writing.
#[must_use]
pub(super) fn read_only_of(side: Side, roles: &[String]) -> Vec<String> {
    match side {
        Side::Old => vec![String::new()],
        Side::New => roles.to_vec(),
    }
}

/// The server's clock, seconds since 1970.
async fn now(session: &Session) -> Result<f64, Trouble> {
    let row = session.one("writes", sql::NOW, &[]).await?;
    Ok(row.map(|row| session.get("writes", &row, 0)).transpose()?.unwrap_or_default())
}

fn unknown(session: &Session, role: &str) -> Trouble {
    trouble(&session.call("role"), TroubleKind::Unexpected, &format!("there is no role {role}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a role that is read-only by default.
    fn ability(sessions: i64, older: i64, writing: i64) -> Ability {
        Ability {
            login: true,
            limit: -1,
            database_limit: -1,
            superuser: false,
            writable: 3,
            read_only: true,
            sessions,
            writing,
            standby: false,
            older,
        }
    }

    #[test]
    fn an_idle_session_that_may_be_older_than_the_default_may_write() {
        assert!(ability(2, 1, 0).may_write());
        assert!(!ability(2, 0, 0).may_write(), "both came later");
        assert!(ability(2, 0, 1).may_write(), "its own session overrides the default");
        let powerless = Ability { writable: 0, ..ability(2, 1, 0) };
        assert!(!powerless.may_write());
        let limited = Ability { limit: 0, read_only: false, ..ability(2, 0, 0) };
        assert_eq!((limited.may_write(), limited.runs_on()), (true, 2), "a limit does not touch running sessions");
    }

    #[test]
    fn a_default_is_as_old_as_the_first_look_that_saw_it() {
        let mut known = Defaults::default();
        known.seen("shop", true, 20.0);
        known.seen("shop", true, 30.0);
        assert_eq!((known.since("shop"), known.since("jobs")), (Some(20.0), None));
        known.seen("shop", true, 10.0);
        known.seen("shop", false, 5.0);
        assert_eq!(known.since("shop"), Some(10.0), "an earlier look that was told late");
        known.seen("", true, 12.0);
        assert_eq!(known.since("jobs"), Some(12.0), "the whole database's holds for everybody");
        known.seen("shop", false, 40.0);
        assert_eq!((known.since("shop"), known.since("jobs")), (None, None));
    }
}
