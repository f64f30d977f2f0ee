//! One connection to a database's front: what it has set, its transaction, and the statements that change something.
//!
//! What changes the world goes through here and into the ledger, with what stood there before.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::{
    access::{READ_ONLY, Role, Settings},
    catalog::{Client, View},
    database::{Beat, HEARTBEAT},
    shape::{Shape, Shaping},
    sql::{Effect, Evaluation, Expr, Field, Relation, SqlError, Statement, Whose, describe},
    value::Value,
    wire::Front,
};
use crate::sandbox::{
    faults::{Obstacle, Side, Trigger},
    lock,
    world::World,
};

/// What a statement gives back.
#[derive(Debug)]
pub(super) enum Outcome {
    Rows(Relation),
    Done(&'static str),
    Inserted(usize),
    Begun,
    /// A transaction ended; whether it was committed.
    Ended(bool),
    /// The connection closes without an answer.
    Dropped,
}

/// What access was before a transaction touched it.
#[derive(Debug)]
struct Before {
    roles: Vec<Role>,
    settings: Settings,
    limit: i64,
    shape: Shape,
}

/// A transaction under way.
#[derive(Debug, Default)]
struct Transaction {
    failed: bool,
    before: Option<Before>,
    /// What goes to the ledger when it commits: action, target, detail.
    notes: Vec<(&'static str, String, Json)>,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Session {
    front: Arc<Front>,
    pub(super) pid: i32,
    user: String,
    settings: BTreeMap<String, String>,
    transaction: Option<Transaction>,
}

impl Session {
    pub(super) fn new(front: Arc<Front>, client: &Client) -> Self {
        let settings = BTreeMap::from([("application_name".to_owned(), client.application.clone())]);
        Self { front, pid: client.pid, user: client.user.clone(), settings, transaction: None }
    }

    fn world(&self) -> &World {
        &self.front.world
    }

    fn side(&self) -> Side {
        self.front.side
    }

    /// The database as it is now.
    pub(super) fn view(&self) -> View {
        let now = self.world().clock.now();
        let databases = {
            let mut databases = lock(&self.world().databases);
            databases.catch_up(now);
            databases.clone()
        };
        View {
            databases,
            side: self.side(),
            now,
            pid: self.pid,
            user: self.user.clone(),
            settings: self.settings.clone(),
            clients: self.front.clients(),
        }
    }

    /// The columns that a statement will give; None: it gives no rows.
    ///
    /// # Errors
    /// As PostgreSQL refuses it.
    pub(super) fn describe(&self, statement: &Statement) -> Result<Option<Vec<Field>>, SqlError> {
        match statement {
            Statement::Query(query) => describe(&self.view(), query).map(Some),
            Statement::Show(name) => Ok(Some(vec![(name.clone(), super::value::Kind::Text)])),
            _ => Ok(None),
        }
    }

    /// Carries a statement out.
    ///
    /// # Errors
    /// As PostgreSQL refuses it; a transaction under way has failed then.
    pub(super) fn execute(&mut self, statement: &Statement, parameters: &[Value]) -> Result<Outcome, SqlError> {
        let ends = matches!(statement, Statement::End(_));
        if self.transaction.as_ref().is_some_and(|transaction| transaction.failed) && !ends {
            let message = "current transaction is aborted, commands ignored until end of transaction block";
            return Err(SqlError::new("25P02", message));
        }
        let operation = operation(statement);
        let now = self.world().clock.now();
        let outcome = match self.world().faults.before("postgres", operation, now) {
            Some(Obstacle::Closed) => Ok(Outcome::Dropped),
            Some(Obstacle::Error { code, .. }) => Err(SqlError::new("XX000", code)),
            Some(_) => Err(SqlError::new("53300", "too many clients already")),
            None => self.perform(statement, parameters, now),
        };
        if outcome.is_err()
            && let Some(transaction) = &mut self.transaction
        {
            transaction.failed = true;
        }
        if outcome.is_ok() && self.world().faults.loses_answer("postgres", operation, now) {
            return Ok(Outcome::Dropped);
        }
        outcome
    }

    fn perform(&mut self, statement: &Statement, parameters: &[Value], now: Timestamp) -> Result<Outcome, SqlError> {
        match statement {
            Statement::Query(query) => {
                let view = self.view();
                let run = Evaluation::new(&view, parameters);
                let relation = run.run(query)?;
                for effect in run.effects.take() {
                    self.effect(effect, now)?;
                }
                Ok(Outcome::Rows(relation))
            }
            Statement::Show(name) => {
                let unknown = || SqlError::new("42704", format!("unrecognized configuration parameter \"{name}\""));
                let value = self.view().setting(name).ok_or_else(unknown)?;
                let fields = vec![(name.clone(), super::value::Kind::Text)];
                Ok(Outcome::Rows(Relation { fields, rows: vec![vec![Value::Text(value)]] }))
            }
            Statement::Set(name, value) => self.set(name, value.as_deref()),
            Statement::Begin => {
                self.transaction.get_or_insert_default();
                Ok(Outcome::Begun)
            }
            Statement::End(commit) => Ok(Outcome::Ended(self.end(*commit))),
            Statement::Insert(table, columns, values, upserts) => {
                self.insert(table, columns, values, *upserts, parameters)
            }
            _ => {
                self.may_change(operation(statement))?;
                self.change(statement, now)?;
                Ok(Outcome::Done(operation(statement)))
            }
        }
    }

    fn set(&mut self, name: &str, value: Option<&str>) -> Result<Outcome, SqlError> {
        let name = name.to_lowercase();
        if self.view().setting(&name).is_none() {
            return Err(SqlError::new("42704", format!("unrecognized configuration parameter \"{name}\"")));
        }
        match value {
            Some(value) => self.settings.insert(name, value.to_owned()),
            None => self.settings.remove(&name),
        };
        Ok(Outcome::Done("SET"))
    }

    /// Whether this session may change anything.
    fn may_change(&self, what: &str) -> Result<(), SqlError> {
        let view = self.view();
        if view.setting(READ_ONLY).is_some_and(|value| matches!(value.as_str(), "on" | "true" | "1")) {
            return Err(SqlError::new("25006", format!("cannot execute {what} in a read-only transaction")));
        }
        if !view.role(&Value::text(&*self.user)).is_some_and(|role| role.superuser) {
            return Err(SqlError::new("42501", format!("permission denied for {what}")));
        }
        Ok(())
    }

    /// Ends the transaction; whether it was committed.
    fn end(&mut self, commit: bool) -> bool {
        let Some(transaction) = self.transaction.take() else { return commit };
        let commits = commit && !transaction.failed;
        let now = self.world().clock.now();
        if commits {
            self.note_all(now, transaction.notes);
        } else if let Some(before) = transaction.before {
            let mut databases = lock(&self.world().databases);
            let database = databases.of_mut(self.side());
            database.roles = before.roles;
            database.settings = before.settings;
            database.connection_limit = before.limit;
            database.shape = before.shape;
        }
        commits
    }

    /// What took effect together has one request id.
    fn note_all(&self, now: Timestamp, notes: Vec<(&'static str, String, Json)>) {
        if notes.is_empty() {
            return;
        }
        let request = self.world().request_id();
        for (action, target, detail) in notes {
            self.world().ledger.note(now, "postgres", action, &target, detail, &request);
        }
        self.world().faults.fire(Trigger::PostgresAccess, now);
    }

    /// What stands in the ledger's `target`: the side and the thing.
    fn target(&self, thing: &str) -> String {
        let side = match self.side() {
            Side::Old => "old",
            Side::New => "new",
        };
        format!("{side}/{thing}")
    }

    /// Changes access, in the transaction under way or in one of its own.
    fn change(&mut self, statement: &Statement, now: Timestamp) -> Result<(), SqlError> {
        let (before, changed) = {
            let mut databases = lock(&self.world().databases);
            if let Statement::Subscription(name, enabled) = statement {
                let changed = subscription(&mut databases.link.enabled, self.side(), name, *enabled)?;
                (None, changed)
            } else {
                let database = databases.of_mut(self.side());
                let before = Before {
                    roles: database.roles.clone(),
                    settings: database.settings.clone(),
                    limit: database.connection_limit,
                    shape: database.shape.clone(),
                };
                let changed = super::change::access(database, statement)?;
                database.catalogue_changed();
                (Some(before), changed)
            }
        };
        let action = operation(statement);
        let note = |(thing, detail): (String, Json)| (action, self.target(&thing), detail);
        let notes: Vec<_> = changed.into_iter().map(note).collect();
        match &mut self.transaction {
            Some(transaction) => {
                transaction.notes.extend(notes);
                if transaction.before.is_none() {
                    transaction.before = before;
                }
            }
            None => self.note_all(now, notes),
        }
        Ok(())
    }

    fn effect(&mut self, effect: Effect, now: Timestamp) -> Result<(), SqlError> {
        match effect {
            Effect::Sequence(table, last, called) => {
                self.may_change("setval()")?;
                let (name, before) = {
                    let mut databases = lock(&self.world().databases);
                    let table = &mut databases.of_mut(self.side()).tables[table];
                    let before = std::mem::replace(&mut table.sequence, super::table::Sequence { last, called });
                    (table.sequence_name(), before)
                };
                let detail = json!({ "sequence": {
                    "from": { "value": before.last, "called": before.called }, "to": { "value": last, "called": called },
                } });
                if (before.last, before.called) != (last, called) {
                    let target = self.target(&format!("public.{name}"));
                    self.note_all(now, vec![("setval", target, detail)]);
                }
            }
            Effect::LargeObject(number) => {
                self.may_change("lo_create()")?;
                let (target, detail) = {
                    let mut databases = lock(&self.world().databases);
                    let shape = &mut databases.of_mut(self.side()).shape;
                    let made = number.is_none();
                    let number = number.unwrap_or_else(|| shape.make_object());
                    if !made {
                        shape.large_objects.remove(&number);
                    }
                    (number.to_string(), json!({ "largeObject": { "from": !made, "to": made } }))
                };
                self.note_all(now, vec![("lo_create", self.target(&target), detail)]);
            }
            Effect::Terminate(pid) => {
                if let Some(user) = self.terminate(pid) {
                    let detail = json!({ "terminated": { "from": pid, "to": null } });
                    let target = self.target(&user);
                    self.note_all(now, vec![("pg_terminate_backend", target, detail)]);
                }
            }
        }
        Ok(())
    }

    /// Ends a connection of the app or of the front; whose it was.
    fn terminate(&self, pid: i32) -> Option<String> {
        let of_app = lock(&self.world().databases).of_mut(self.side()).terminate(pid);
        of_app.map(|backend| backend.client.role().to_owned()).or_else(|| self.front.end(pid))
    }

    /// Only the heartbeat's table takes rows: what the shop writes is the model's business.
    fn insert(
        &mut self,
        table: &str,
        columns: &[String],
        values: &[Expr],
        upserts: bool,
        parameters: &[Value],
    ) -> Result<Outcome, SqlError> {
        if table != HEARTBEAT {
            self.view().fields(table)?;
            return Err(SqlError::unspoken(&format!("INSERT into anything but {HEARTBEAT}")));
        }
        self.may_change("INSERT")?;
        let view = self.view();
        let run = Evaluation::new(&view, parameters);
        let values: Vec<Value> = values.iter().map(|value| run.constant(value)).collect::<Result<_, _>>()?;
        let of = |name: &str| -> Option<&Value> {
            columns.iter().position(|column| column == name).and_then(|at| values.get(at))
        };
        let at = of("written_at").map_or(view.now, |value| match value {
            Value::Time(at) => *at,
            _ => view.now,
        });
        let beat = Beat {
            id: of("id").and_then(Value::int).unwrap_or(1),
            token: of("token").map(Value::print).unwrap_or_default(),
            at: at.as_microsecond(),
        };
        let mut databases = lock(&self.world().databases);
        let database = databases.of_mut(self.side());
        if !upserts && database.beats.iter().any(|known| known.id == beat.id) {
            let message = format!("duplicate key value violates unique constraint \"{HEARTBEAT}_pkey\"");
            return Err(SqlError::new("23505", message));
        }
        database.beat(view.now, beat);
        Ok(Outcome::Inserted(1))
    }
}

impl Drop for Session {
    /// A connection that goes leaves nothing half done.
    fn drop(&mut self) {
        self.end(false);
        self.front.forget(self.pid);
    }
}

fn subscription(enabled: &mut bool, side: Side, name: &str, enable: bool) -> Result<Vec<(String, Json)>, SqlError> {
    if side == Side::Old || name != super::link::SLOT {
        return Err(SqlError::new("42704", format!("subscription \"{name}\" does not exist")));
    }
    let before = std::mem::replace(enabled, enable);
    let detail = json!({ "enabled": { "from": before, "to": enable } });
    Ok((before != enable).then(|| (name.to_owned(), detail)).into_iter().collect())
}

/// How a statement is called, in answers, in the ledger and by faults.
fn operation(statement: &Statement) -> &'static str {
    match statement {
        Statement::Query(_) => "SELECT",
        Statement::Begin => "BEGIN",
        Statement::End(true) => "COMMIT",
        Statement::End(false) => "ROLLBACK",
        Statement::Set(..) => "SET",
        Statement::Show(_) => "SHOW",
        Statement::RoleLimit(..) | Statement::RoleLogin(..) | Statement::RoleRight(..) => "ALTER ROLE",
        Statement::Shape(Shaping::Index(..)) => "CREATE INDEX",
        Statement::Shape(Shaping::NoIndex(_)) => "DROP INDEX",
        Statement::Shape(Shaping::Extension(_, true)) => "CREATE EXTENSION",
        Statement::Shape(Shaping::Extension(_, false)) => "DROP EXTENSION",
        Statement::Shape(Shaping::Identity(..) | Shaping::Logged(..)) => "ALTER TABLE",
        Statement::Shape(Shaping::WalLevel(_)) => "ALTER SYSTEM",
        Statement::Default(Whose::Role(_) | Whose::RoleHere(_), ..) => "ALTER ROLE",
        Statement::DatabaseLimit(..) | Statement::Default(Whose::Database, ..) => "ALTER DATABASE",
        Statement::Grants(true, ..) => "GRANT",
        Statement::Grants(false, ..) => "REVOKE",
        Statement::Subscription(..) => "ALTER SUBSCRIPTION",
        Statement::Insert(..) => "INSERT",
    }
}
