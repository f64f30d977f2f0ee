//! Who may do what: roles, their limits, settings and privileges, and the connections that stand.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{database::HEARTBEAT, table::TABLES};
use crate::sandbox::faults::Side;

/// The role that the operator's tools use.
pub(in crate::sandbox) const OPERATOR: &str = "cutover";
/// The role of web, worker and scheduler on both sides.
pub(super) const APP: &str = "acme_app";
/// A tool of another team. It reads; that it may write, nobody remembers.
pub(super) const REPORTS: &str = "acme_reports";
/// The role of the replication connection.
pub(super) const REPLICATION: &str = "replicator";
/// The setting that makes new transactions read-only.
pub(super) const READ_ONLY: &str = "default_transaction_read_only";

/// What a role may do to a table.
pub(super) const PRIVILEGES: [&str; 5] = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"];

/// Settings by name, as `ALTER ROLE ... SET` and `ALTER DATABASE ... SET` leave them.
pub(super) type Settings = BTreeMap<String, String>;

/// One role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) oid: i64,
    pub(super) name: &'static str,
    pub(super) superuser: bool,
    pub(super) replication: bool,
    pub(super) login: bool,
    /// -1: no limit.
    pub(super) connection_limit: i64,
    /// `ALTER ROLE ... SET`.
    pub(super) settings: Settings,
    /// `ALTER ROLE ... IN DATABASE ... SET`, which wins.
    pub(super) settings_here: Settings,
    /// (table, privilege) pairs that were granted.
    pub(super) granted: BTreeSet<(&'static str, &'static str)>,
}

impl Role {
    fn new(oid: i64, name: &'static str, privileges: &[&'static str]) -> Self {
        let pairs = TABLES.iter().flat_map(|(table, _)| privileges.iter().map(move |privilege| (*table, *privilege)));
        Self {
            oid,
            name,
            superuser: false,
            replication: false,
            login: true,
            connection_limit: -1,
            settings: Settings::new(),
            settings_here: Settings::new(),
            granted: pairs.collect(),
        }
    }

    /// Whether the role may do this to the table.
    pub(super) fn may(&self, table: &str, privilege: &str) -> bool {
        self.superuser || self.granted.iter().any(|granted| *granted == (table, privilege))
    }
}

/// Tables on which something can be granted.
pub(super) fn grantable() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|(table, _)| *table).chain([HEARTBEAT])
}

/// The roles as the cutover finds them. The new side was restored closed: the app may read there and not write.
pub(super) fn roles(side: Side) -> Vec<Role> {
    let write: &[&str] = match side {
        Side::Old => &["SELECT", "INSERT", "UPDATE", "DELETE"],
        Side::New => &["SELECT"],
    };
    let operator = Role { superuser: true, replication: true, ..Role::new(10, OPERATOR, &PRIVILEGES) };
    let replicator = Role { replication: true, ..Role::new(16_386, REPLICATION, &["SELECT"]) };
    vec![operator, Role::new(16_384, APP, write), Role::new(16_385, REPORTS, write), replicator]
}

/// What holds a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Client {
    Web,
    Worker,
    Scheduler,
    Reports,
}

impl Client {
    pub(super) const fn role(self) -> &'static str {
        match self {
            Self::Reports => REPORTS,
            _ => APP,
        }
    }

    /// `application_name`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Web => "puma",
            Self::Worker => "sidekiq",
            Self::Scheduler => "clockwork",
            Self::Reports => "metabase",
        }
    }
}

/// One connection of the app. Its settings are those that held when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backend {
    pub(super) pid: i32,
    pub(super) client: Client,
    pub(super) started: Timestamp,
    /// When it last began a statement.
    pub(super) active: Timestamp,
    pub(super) read_only: bool,
}

/// Why a write did not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No connection: refused or none open.
    NoConnection,
    /// The connection's transactions are read-only.
    ReadOnly,
    /// The role may not write the table.
    Denied,
    /// The primary key is taken.
    Duplicate,
}
