//! The two PostgreSQL databases of a plan and what replicates one into the other.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::model::Side;

/// Both databases and the logical replication from the old to the new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Databases {
    /// Heroku's.
    pub old: Database,
    /// AWS's.
    pub new: Database,
    /// Publication on the old side.
    pub publication: String,
    /// Replication slot on the old side.
    pub slot: String,
    /// Subscription on the new side.
    pub subscription: String,
    /// A table of ours, `(id int primary key, token text, written_at timestamptz)`, on both sides and replicated. None:
    /// no heartbeat is written, and the round trip is not measured.
    pub heartbeat: Option<TableName>,
}

impl Databases {
    /// The database of one side.
    #[must_use]
    pub const fn get(&self, side: Side) -> &Database {
        match side {
            Side::Old => &self.old,
            Side::New => &self.new,
        }
    }

    /// The heartbeat as `schema.table`, or nothing that any table is called.
    #[must_use]
    pub fn heartbeat_name(&self) -> String {
        self.heartbeat.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

/// One database. A password is never part of it: the plan names the environment variable that holds one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Where it is.
    pub address: DatabaseAddress,
    /// How the connection is protected.
    pub sslmode: SslMode,
    /// Trust anchors (PEM) instead of the platform's; None: the platform's.
    pub ca_file: Option<PathBuf>,
    /// Roles by which the application writes: whom a freeze stops and whom the interlock watches.
    pub writers: Vec<String>,
}

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseAddress {
    /// Everything but the password.
    Parts {
        /// Host name or IP address.
        host: String,
        /// TCP port.
        port: u16,
        /// Database name.
        name: String,
        /// Role that the cockpit logs in as.
        user: String,
        /// Environment variable that holds its password; None: no password is sent.
        password_env: Option<String>,
    },
    /// A whole `postgres://` URL in an environment variable, such as Heroku's `DATABASE_URL`.
    Url {
        /// Name of the variable.
        env: String,
    },
}

/// How a connection is protected (libpq's words).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// In the clear; on loopback only.
    Disable,
    /// Encrypted, the server's certificate is not verified: Heroku's are self-signed.
    Require,
    /// Encrypted, certificate and host name verified.
    VerifyFull,
}

/// A table with its schema.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableName {
    /// e.g. `public`.
    pub schema: String,
    /// e.g. `orders`.
    pub name: String,
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// How writes are stopped or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteLock {
    /// Privileges on tables: hits running sessions at their next statement.
    Revoke,
    /// The roles' connection limit: refuses new sessions; running ones are ended.
    ConnectionLimit,
    /// `default_transaction_read_only`: of the whole database on the old side, of the roles on the new (the apply worker
    /// must go on writing there). Running sessions keep their own and are ended; a client may switch it off.
    ReadOnly,
}

/// What is measured of the databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseMeasure {
    /// WAL that the subscriber has not confirmed, in bytes. No datum while replication does not run.
    LagBytes,
    /// How long ago the publisher stood where the subscriber is, in seconds. No datum while replication does not run.
    LagSeconds,
    /// WAL of the metric's side in bytes, a counter.
    WrittenBytes,
    /// Rows inserted, updated and deleted on the metric's side, a counter; some seconds behind.
    WrittenRows,
}
