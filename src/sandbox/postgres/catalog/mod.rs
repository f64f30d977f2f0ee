//! What a statement can ask: tables, catalogues and statistics, all computed from the state as it is.

mod schema;
mod server;

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Databases,
    access::{OPERATOR, Role, grantable},
    database::{Beat, Database, HEARTBEAT},
    sql::{Field, Relation, SqlError},
    table::{Sequence, TABLES},
    value::{Kind, Value},
};
use crate::sandbox::faults::Side;

/// As the sandbox calls itself.
pub(super) const VERSION: &str = "15.8";
/// `server_version_num`.
const VERSION_NUMBER: &str = "150008";
/// The owner of all tables.
pub(super) const OWNER_OID: i64 = 10;
/// Numbers of things: the database, the schema, the subscription; tables from the last one on.
const DATABASE_OID: i64 = 16_400;
const PUBLIC_OID: i64 = 2_200;
const SUBSCRIPTION_OID: i64 = 24_576;
const FIRST_TABLE_OID: i64 = 20_000;
/// Between the numbers of two tables; a sequence and an index come behind their table.
const OID_STEP: i64 = 10;
const SEQUENCE: i64 = 1;
const INDEX: i64 = 2;
/// `pg_class` itself.
const PG_CLASS_OID: i64 = 1_259;
/// Bytes of a row on disk, with its share of the index.
const ROW_BYTES: i64 = 118;

/// A relation of the catalogue: name, columns, and its rows.
type Listed = (&'static str, &'static [(&'static str, Kind)], fn(&View) -> Vec<Vec<Value>>);

/// A connection to the front.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) pid: i32,
    pub(super) user: String,
    pub(super) application: String,
    pub(super) started: Timestamp,
    pub(super) active: Timestamp,
    pub(super) query: String,
}

/// One database as one session sees it, at one instant.
#[derive(Debug)]
pub(super) struct View {
    pub(super) databases: Databases,
    pub(super) side: Side,
    pub(super) now: Timestamp,
    pub(super) pid: i32,
    pub(super) user: String,
    /// What the session has set.
    pub(super) settings: BTreeMap<String, String>,
    /// Connections to the front of this database, with this one.
    pub(super) clients: Vec<Client>,
}

/// Settings that a session begins with and may look at: name, value.
const SETTINGS: &[(&str, &str)] = &[
    ("application_name", ""),
    ("bytea_output", "hex"),
    ("client_encoding", "UTF8"),
    ("client_min_messages", "notice"),
    ("datestyle", "ISO, MDY"),
    ("default_transaction_read_only", "off"),
    ("extra_float_digits", "1"),
    ("idle_in_transaction_session_timeout", "0"),
    ("intervalstyle", "postgres"),
    ("lock_timeout", "0"),
    ("max_connections", "120"),
    ("max_replication_slots", "10"),
    ("max_wal_senders", "10"),
    ("search_path", "\"$user\", public"),
    ("server_encoding", "UTF8"),
    ("server_version", VERSION),
    ("server_version_num", VERSION_NUMBER),
    ("standard_conforming_strings", "on"),
    ("statement_timeout", "0"),
    ("timezone", "UTC"),
    ("transaction_read_only", "off"),
    ("wal_level", "logical"),
];

impl View {
    pub(super) fn database(&self) -> &Database {
        self.databases.of(self.side)
    }

    fn listed(name: &str) -> Option<&'static Listed> {
        schema::RELATIONS.iter().chain(server::RELATIONS).find(|(known, ..)| *known == name)
    }

    /// The columns of a relation.
    ///
    /// # Errors
    /// There is no such relation.
    pub(super) fn fields(&self, name: &str) -> Result<Vec<Field>, SqlError> {
        let field = |(name, kind): (&str, Kind)| (name.to_owned(), kind);
        if let Some((_, columns)) = TABLES.iter().find(|(table, _)| *table == name) {
            return Ok(columns.iter().map(|(name, kind, _)| field((name, *kind))).collect());
        }
        if name == HEARTBEAT {
            return Ok(HEARTBEAT_COLUMNS.map(field).to_vec());
        }
        if self.database().tables.iter().any(|table| table.sequence_name() == name) {
            let columns = [("last_value", Kind::Int8), ("log_cnt", Kind::Int8), ("is_called", Kind::Bool)];
            return Ok(columns.map(field).to_vec());
        }
        match Self::listed(name) {
            Some((_, columns, _)) => Ok(columns.iter().copied().map(field).collect()),
            None => Err(SqlError::new("42P01", format!("relation \"{name}\" does not exist"))),
        }
    }

    /// A relation and its rows.
    ///
    /// # Errors
    /// There is no such relation, or the session's role may not read it.
    pub(super) fn relation(&self, name: &str) -> Result<Relation, SqlError> {
        let fields = self.fields(name)?;
        let database = self.database();
        if let Some(table) = database.tables.iter().find(|table| table.name == name) {
            if !database.role(&self.user).is_some_and(|role| role.may(name, "SELECT")) {
                return Err(SqlError::new("42501", format!("permission denied for table {name}")));
            }
            let rows = table.rows().iter().map(|row| table.columns.iter().map(|(_, _, of)| of(row)).collect());
            return Ok(Relation { fields, rows: rows.collect() });
        }
        if name == HEARTBEAT {
            return Ok(Relation { fields, rows: database.beats.iter().map(beat).collect() });
        }
        if let Some(table) = database.tables.iter().find(|table| table.sequence_name() == name) {
            let Sequence { last, called } = table.sequence;
            return Ok(Relation { fields, rows: vec![vec![Value::Int(last), Value::Int(0), Value::Bool(called)]] });
        }
        let rows = Self::listed(name).map(|(_, _, rows)| rows(self)).unwrap_or_default();
        Ok(Relation { fields, rows })
    }

    /// A setting of this session.
    pub(super) fn setting(&self, name: &str) -> Option<String> {
        let name = name.to_lowercase();
        let (_, usual) = SETTINGS.iter().find(|(known, _)| *known == name)?;
        if name == "wal_level" {
            return Some(self.database().shape.wal_level.clone());
        }
        let of_session = self.settings.get(&name).cloned();
        let of_role = || {
            let database = self.database();
            let role = database.role(&self.user)?;
            let own = role.settings_here.get(&name).or_else(|| role.settings.get(&name));
            own.or_else(|| database.settings.get(&name)).cloned()
        };
        Some(of_session.or_else(of_role).unwrap_or_else(|| (*usual).to_owned()))
    }

    /// A role by name or by number.
    pub(super) fn role(&self, which: &Value) -> Option<&Role> {
        let roles = &self.database().roles;
        match which {
            Value::Int(oid) => roles.iter().find(|role| role.oid == *oid),
            value => roles.iter().find(|role| role.name == value.print()),
        }
    }

    /// A role's number, 0 for PUBLIC.
    pub(super) fn role_oid(&self, name: &str) -> i64 {
        self.database().role(name).map_or(0, |role| role.oid)
    }

    /// Whether a role has a privilege on a relation.
    pub(super) fn may(&self, role: &Value, relation: &Value, privilege: &str) -> bool {
        let relation = relation.int().map_or_else(|| relation.print(), |oid| self.relation_name(oid));
        self.role(role).is_some_and(|role| role.may(&relation, privilege))
    }

    /// The number of a relation by its name, which may be quoted and in its schema.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn relation_oid(&self, name: &str) -> Result<i64, SqlError> {
        let bare = name.rsplit('.').next().unwrap_or(name).trim_matches('"');
        if bare == "pg_class" {
            return Ok(PG_CLASS_OID);
        }
        let found = self.relations().into_iter().find(|(_, known, ..)| known == bare);
        found.map(|(oid, ..)| oid).ok_or_else(|| SqlError::new("42P01", format!("relation \"{bare}\" does not exist")))
    }

    /// The name of a relation by its number.
    pub(super) fn relation_name(&self, oid: i64) -> String {
        let found = self.relations().into_iter().find(|(known, ..)| *known == oid);
        found.map_or_else(|| oid.to_string(), |(_, name, ..)| name)
    }

    /// The sequence with this number, and the position of its table.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn sequence(&self, oid: i64) -> Result<(usize, Sequence), SqlError> {
        let position = usize::try_from((oid - FIRST_TABLE_OID) / OID_STEP).ok();
        let is_sequence = (oid - FIRST_TABLE_OID).rem_euclid(OID_STEP) == SEQUENCE;
        let table = position.filter(|_| is_sequence).and_then(|at| Some((at, self.database().tables.get(at)?)));
        let wrong = || SqlError::new("42809", format!("\"{}\" is not a sequence", self.relation_name(oid)));
        table.map(|(at, table)| (at, table.sequence)).ok_or_else(wrong)
    }

    /// Bytes of a table or an index on disk.
    pub(super) fn relation_bytes(&self, relation: &Value) -> i64 {
        let Some(oid) = relation.int() else { return 0 };
        let position = usize::try_from((oid - FIRST_TABLE_OID) / OID_STEP).ok();
        let rows = position.and_then(|at| self.database().tables.get(at)).map_or(1, |table| table.rows().len());
        (rows as i64 * ROW_BYTES / 8_192 + 1) * 8_192
    }

    /// Bytes of the whole database on disk.
    pub(super) fn database_bytes(&self) -> i64 {
        let tables = (0..TABLES.len() as i64).map(|at| Value::Int(FIRST_TABLE_OID + at * OID_STEP));
        8_000_000 + tables.map(|oid| self.relation_bytes(&oid)).sum::<i64>()
    }

    /// Whether a connection of the app or of the front has this number.
    pub(super) fn has_backend(&self, pid: i32) -> bool {
        self.database().backends.iter().any(|backend| backend.pid == pid)
            || self.clients.iter().any(|client| client.pid == pid)
    }
}

const HEARTBEAT_COLUMNS: [(&str, Kind); 3] = [("id", Kind::Int4), ("token", Kind::Text), ("written_at", Kind::Time)];

fn beat(beat: &Beat) -> Vec<Value> {
    vec![Value::Int(beat.id), Value::text(&*beat.token), Value::time(beat.at)]
}

/// The letters of a role's privileges, as access lists have them.
fn letters(role: &Role, table: &str) -> String {
    let letters = [("INSERT", 'a'), ("SELECT", 'r'), ("UPDATE", 'w'), ("DELETE", 'd'), ("TRUNCATE", 'D')];
    letters
        .into_iter()
        .filter(|(privilege, _)| role.granted.contains(&pair(table, privilege)))
        .map(|(_, letter)| letter)
        .collect()
}

/// A pair as a role's privileges hold it; an unknown table gives one that no role has.
fn pair(table: &str, privilege: &'static str) -> (&'static str, &'static str) {
    (grantable().find(|known| *known == table).unwrap_or_default(), privilege)
}

/// Access list of a table.
fn access_list(database: &Database, table: &str) -> Value {
    let others = database.roles.iter().filter(|role| role.name != OPERATOR);
    let entries = others.map(|role| (role.name, letters(role, table))).filter(|(_, letters)| !letters.is_empty());
    let owner = format!("{OPERATOR}=arwdDxt/{OPERATOR}");
    Value::List(
        [owner].into_iter().chain(entries.map(|(role, letters)| format!("{role}={letters}/{OPERATOR}"))).collect(),
    )
}
