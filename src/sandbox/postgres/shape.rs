//! What people change of a database's shape in the night: an index, an extension, a table's replica identity, large
//! objects. Enough for somebody to notice it; no data moves.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use super::{access::grantable, sql::SqlError};

/// Installed at the beginning, and their versions.
const INSTALLED: [(&str, &str); 3] = [("pg_stat_statements", "1.10"), ("pgcrypto", "1.3"), ("plpgsql", "1.0")];
/// Those that could be.
const AVAILABLE: [(&str, &str); 3] = [("citext", "1.6"), ("hstore", "1.8"), ("uuid-ossp", "1.1")];

/// A statement that changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shaping {
    /// `CREATE INDEX name ON table (column)`.
    Index(String, String, String),
    /// `DROP INDEX name`.
    NoIndex(String),
    /// `CREATE` (true) or `DROP EXTENSION name`.
    Extension(String, bool),
    /// `ALTER TABLE name REPLICA IDENTITY DEFAULT`, `FULL` or `NOTHING`: its first letter.
    Identity(String, char),
    /// `ALTER TABLE name SET LOGGED` (true) or `UNLOGGED`.
    Logged(String, bool),
    /// `ALTER SYSTEM SET wal_level = value`, as if the server had been started again since.
    WalLevel(String),
}

/// The shape of a database, as far as it can differ from that of the beginning.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// Name to table and column.
    pub(super) indexes: BTreeMap<String, (String, String)>,
    /// Name to version.
    pub(super) extensions: BTreeMap<&'static str, &'static str>,
    /// Tables whose replica identity is not the primary key.
    pub(super) identities: BTreeMap<String, char>,
    pub(super) unlogged: BTreeSet<String>,
    pub(super) wal_level: String,
    /// Their numbers.
    pub(super) large_objects: BTreeSet<i64>,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            indexes: BTreeMap::new(),
            extensions: INSTALLED.into(),
            identities: BTreeMap::new(),
            unlogged: BTreeSet::new(),
            wal_level: "logical".to_owned(),
            large_objects: BTreeSet::new(),
        }
    }
}

/// Every extension that there is: name and version.
pub(super) fn extensions() -> impl Iterator<Item = (&'static str, &'static str)> {
    INSTALLED.into_iter().chain(AVAILABLE)
}

impl Shape {
    /// Carries a statement out; the thing, and its state before and after.
    ///
    /// # Errors
    /// A table, an index or an extension does not exist, or does already.
    pub(super) fn change(&mut self, statement: &Shaping) -> Result<(String, Json), SqlError> {
        let moved = |what: &str, from: Json, to: Json| json!({ what: { "from": from, "to": to } });
        match statement {
            Shaping::Index(name, table, column) => {
                exists(table)?;
                let place = (table.clone(), column.clone());
                if self.indexes.insert(name.clone(), place).is_some() {
                    return Err(SqlError::new("42P07", format!("relation \"{name}\" already exists")));
                }
                Ok((name.clone(), moved("index", Json::Null, json!(table))))
            }
            Shaping::NoIndex(name) => {
                let (table, _) = self.indexes.remove(name).ok_or_else(|| missing("index", name))?;
                Ok((name.clone(), moved("index", json!(table), Json::Null)))
            }
            Shaping::Extension(name, true) => {
                let (known, version) = extensions()
                    .find(|(known, _)| known == name)
                    .ok_or_else(|| SqlError::new("0A000", format!("extension \"{name}\" is not available")))?;
                self.extensions.insert(known, version);
                Ok((name.clone(), moved("extension", Json::Null, json!(version))))
            }
            Shaping::Extension(name, false) => {
                let version = self.extensions.remove(name.as_str()).ok_or_else(|| missing("extension", name))?;
                Ok((name.clone(), moved("extension", json!(version), Json::Null)))
            }
            Shaping::Identity(table, identity) => {
                exists(table)?;
                let before = self.identities.insert(table.clone(), *identity);
                Ok((table.clone(), moved("replicaIdentity", json!(before.unwrap_or('d')), json!(identity))))
            }
            Shaping::Logged(table, logged) => {
                exists(table)?;
                let before = if *logged { !self.unlogged.remove(table) } else { self.unlogged.insert(table.clone()) };
                Ok((table.clone(), moved("logged", json!(before), json!(logged))))
            }
            Shaping::WalLevel(level) => {
                let before = std::mem::replace(&mut self.wal_level, level.clone());
                Ok(("wal_level".to_owned(), moved("wal_level", json!(before), json!(level))))
            }
        }
    }

    /// Makes a large object; its number.
    pub(super) fn make_object(&mut self) -> i64 {
        let number = self.large_objects.last().map_or(32_768, |last| last + 1);
        self.large_objects.insert(number);
        number
    }
}

fn exists(table: &str) -> Result<(), SqlError> {
    let known = grantable().any(|known| known == table);
    if known { Ok(()) } else { Err(SqlError::new("42P01", format!("relation \"{table}\" does not exist"))) }
}

fn missing(what: &str, name: &str) -> SqlError {
    SqlError::new("42704", format!("{what} \"{name}\" does not exist"))
}
