//! What a side is, as facts for a preflight and for a comparison: nothing is judged here.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::{super::error::trouble, Server, session::Session, sql};
use crate::{
    plan::TableName,
    run::{Trouble, TroubleKind},
};

/// What one side is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// `server_version_num`, e.g. 150008.
    pub version: i64,
    /// `logical` is what a publisher needs.
    pub wal_level: String,
    /// `max_replication_slots`.
    pub slots: i64,
    /// `max_wal_senders`.
    pub senders: i64,
    /// It is a standby and takes no writes at all.
    pub standby: bool,
    /// Whom we are logged in as.
    pub role: String,
    /// That role may replicate: by attribute, or on RDS by membership.
    pub replication: bool,
    /// That role is a superuser.
    pub superuser: bool,
    /// Name of the database.
    pub database: String,
    /// Its size in bytes.
    pub bytes: i64,
    /// Installed extensions.
    pub extensions: Vec<Extension>,
    /// Extensions that could be installed, by name.
    pub available: BTreeSet<String>,
    /// User tables, by schema and name.
    pub tables: Vec<Table>,
    /// Columns, indexes and constraints.
    pub schema: Schema,
    /// How many large objects there are (`pg_largeobject`).
    pub large_objects: i64,
    /// How many sequences.
    pub sequences: i64,
    /// Tables that are not in the write-ahead log, `schema.table`.
    pub unlogged: Vec<String>,
}

/// An installed extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// e.g. `pgcrypto`.
    pub name: String,
    /// e.g. `1.3`.
    pub version: String,
}

/// A user table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Rows as the planner estimates them; -1: never analysed.
    pub rows: i64,
    /// Size with indexes, in bytes.
    pub bytes: i64,
    /// It has a primary key.
    pub primary_key: bool,
    /// Replica identity: `d`, `i`, `f` or `n`.
    pub identity: String,
    /// The column of a primary key of one integer column.
    pub key: Option<String>,
}

impl Table {
    /// `schema.table`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// As the plan would name it.
    #[must_use]
    pub fn table_name(&self) -> TableName {
        TableName { schema: self.schema.clone(), name: self.name.clone() }
    }

    /// Updates and deletes can be replicated; else they fail on the publisher.
    #[must_use]
    pub fn replicates(&self) -> bool {
        match self.identity.as_str() {
            "d" => self.primary_key,
            "i" | "f" => true,
            _ => false,
        }
    }
}

/// A column of a user table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Type, `not null`, default.
    pub definition: String,
}

/// The shape of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    /// `schema.table` to its columns, by name.
    pub columns: BTreeMap<String, Vec<Column>>,
    /// `schema.table name` to the definition of an index or constraint.
    pub objects: BTreeMap<String, String>,
}

impl Schema {
    /// One line for everything that must be equal on both sides.
    fn lines(&self) -> BTreeSet<String> {
        let columns = self.columns.iter().flat_map(|(table, columns)| {
            columns.iter().map(move |column| format!("column {table}.{} {}", column.name, column.definition))
        });
        let objects = self.objects.iter().map(|(name, definition)| format!("{name} {definition}"));
        columns.chain(objects).collect()
    }

    /// The first 12 hex digits of the SHA-256 of all lines: equal on both sides, or the schemas differ.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for line in self.lines() {
            hash.update(line.as_bytes());
            hash.update(b"\n");
        }
        hex::encode(hash.finalize())[..12].to_owned()
    }

    /// What only this side has, and what only the other has.
    #[must_use]
    pub fn differences(&self, other: &Self) -> (Vec<String>, Vec<String>) {
        let (mine, theirs) = (self.lines(), other.lines());
        (mine.difference(&theirs).cloned().collect(), theirs.difference(&mine).cloned().collect())
    }
}

impl DatabaseFacts {
    /// Tables whose updates and deletes would fail on the publisher once they are published.
    pub fn without_identity(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter(|table| !table.replicates())
    }

    /// Extensions of this side that the other has not installed: name, and whether it could be.
    #[must_use]
    pub fn missing_on(&self, other: &Self) -> Vec<(String, bool)> {
        let installed = |name: &str| other.extensions.iter().any(|extension| extension.name == name);
        let missing = self.extensions.iter().filter(|extension| !installed(&extension.name));
        missing.map(|extension| (extension.name.clone(), other.available.contains(&extension.name))).collect()
    }
}

impl Server {
    /// Everything that a preflight asks of a side. Reads only.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn facts(&self) -> Result<DatabaseFacts, Trouble> {
        let session = self.read().await?;
        let what = "facts";
        let server = session.one(what, sql::SERVER, &[]).await?;
        let none = || trouble(&session.call(what), TroubleKind::Garbled, "no answer");
        let row = server.ok_or_else(none)?;
        let left = session.one(what, sql::NOT_CARRIED, &[]).await?.ok_or_else(none)?;
        let (large_objects, sequences) = (session.get(what, &left, 0)?, session.get(what, &left, 1)?);
        let extensions = extensions(&session, sql::EXTENSIONS).await?;
        let available = self::extensions(&session, sql::AVAILABLE_EXTENSIONS).await?;
        Ok(DatabaseFacts {
            version: session.get(what, &row, 0)?,
            wal_level: session.get(what, &row, 1)?,
            slots: session.get(what, &row, 2)?,
            senders: session.get(what, &row, 3)?,
            standby: session.get(what, &row, 4)?,
            role: session.get(what, &row, 5)?,
            replication: session.get(what, &row, 6)?,
            superuser: session.get(what, &row, 7)?,
            database: session.get(what, &row, 8)?,
            bytes: session.get(what, &row, 9)?,
            extensions,
            available: available.into_iter().map(|extension| extension.name).collect(),
            tables: self.tables().await?,
            schema: self.schema().await?,
            large_objects,
            sequences,
            unlogged: unlogged(&session).await?,
        })
    }

    /// User tables but the heartbeat.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn tables(&self) -> Result<Vec<Table>, Trouble> {
        let session = self.read().await?;
        let rows = session.rows("tables", sql::TABLES, &[]).await?;
        let tables: Result<Vec<_>, _> = rows.iter().map(|row| table(&session, row)).collect();
        Ok(tables?.into_iter().filter(|table| table.full_name() != self.heartbeat).collect())
    }

    /// Columns, indexes and constraints, but the heartbeat's.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn schema(&self) -> Result<Schema, Trouble> {
        let session = self.read().await?;
        let mut schema = Schema::default();
        for (objects, text) in [(false, sql::COLUMNS), (true, sql::INDEXES_AND_CONSTRAINTS)] {
            for row in session.rows("schema", text, &[]).await? {
                let field = |place| session.get::<String>("schema", &row, place);
                let table = format!("{}.{}", field(0)?, field(1)?);
                let (name, definition) = (field(2)?, field(3)?);
                if table == self.heartbeat {
                    continue;
                }
                if objects {
                    // An index and the constraint that it serves share their name.
                    let known = schema.objects.entry(format!("{table} {name}")).or_default();
                    *known = format!("{known}{definition};");
                } else {
                    schema.columns.entry(table).or_default().push(Column { name, definition });
                }
            }
        }
        Ok(schema)
    }
}

async fn unlogged(session: &Session) -> Result<Vec<String>, Trouble> {
    let what = "unlogged tables";
    let rows = session.rows(what, sql::UNLOGGED, &[]).await?;
    let name = |row: &tokio_postgres::Row| {
        Ok(format!("{}.{}", session.get::<String>(what, row, 0)?, session.get::<String>(what, row, 1)?))
    };
    rows.iter().map(name).collect()
}

async fn extensions(session: &Session, text: &str) -> Result<Vec<Extension>, Trouble> {
    let what = "extensions";
    let rows = session.rows(what, text, &[]).await?;
    let one = |row: &tokio_postgres::Row| {
        Ok(Extension { name: session.get(what, row, 0)?, version: session.get(what, row, 1)? })
    };
    rows.iter().map(one).collect()
}

fn table(session: &Session, row: &tokio_postgres::Row) -> Result<Table, Trouble> {
    let what = "tables";
    let key: String = session.get(what, row, 6)?;
    Ok(Table {
        schema: session.get(what, row, 0)?,
        name: session.get(what, row, 1)?,
        rows: session.get(what, row, 2)?,
        bytes: session.get(what, row, 3)?,
        primary_key: session.get(what, row, 4)?,
        identity: session.get(what, row, 5)?,
        key: (!key.is_empty()).then_some(key),
    })
}
