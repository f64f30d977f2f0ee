//! What a change of a database holds: who may write, and where sequences stand.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// Who may write, told in the terms of one method, so that what was found can be put back to the letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "access", rename_all = "kebab-case")]
pub enum Access {
    /// Privileges that write, by role and table.
    Grants {
        /// In order.
        grants: Vec<Grant>,
    },
    /// Connection limit by role; -1: none.
    Limits {
        /// Role to limit.
        limits: BTreeMap<String, i64>,
    },
    /// `default_transaction_read_only` by role in this database; the empty role stands for the whole database. None: it is
    /// not set there.
    ReadOnly {
        /// Role to value.
        defaults: BTreeMap<String, Option<String>>,
    },
}

/// One privilege that writes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Grant {
    /// Who has it (`public`: everybody).
    pub role: String,
    /// Schema of the table.
    pub schema: String,
    /// The table.
    pub table: String,
    /// The column; empty: the whole table.
    pub column: String,
    /// `INSERT`, `UPDATE`, `DELETE` or `TRUNCATE`.
    pub privilege: String,
    /// It may be passed on.
    pub grantable: bool,
}

impl Access {
    /// Whether it lets anybody in of those it tells about.
    #[must_use]
    pub fn open(&self) -> bool {
        match self {
            Self::Grants { grants } => !grants.is_empty(),
            Self::Limits { limits } => limits.values().any(|limit| *limit != 0),
            Self::ReadOnly { defaults } => defaults.values().any(|value| !is_on(value.as_deref())),
        }
    }

    /// Label and value by role and table, for the gate.
    #[must_use]
    pub fn rows(&self) -> BTreeMap<String, String> {
        match self {
            Self::Grants { grants } => {
                let mut rows: BTreeMap<String, String> = BTreeMap::new();
                for grant in grants {
                    let row = rows.entry(format!("{} on {}.{}", grant.role, grant.schema, grant.table)).or_default();
                    let column = if grant.column.is_empty() { String::new() } else { format!("({})", grant.column) };
                    let comma = if row.is_empty() { "" } else { ", " };
                    *row += &format!("{comma}{}{column}", grant.privilege.to_lowercase());
                }
                rows
            }
            Self::Limits { limits } => {
                let limit = |limit: &i64| if *limit < 0 { "none".to_owned() } else { limit.to_string() };
                limits.iter().map(|(role, at)| (format!("{role} connection limit"), limit(at))).collect()
            }
            Self::ReadOnly { defaults } => {
                let whom = |role: &str| if role.is_empty() { "database".to_owned() } else { role.to_owned() };
                let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
                defaults.iter().map(|(role, at)| (format!("{} read-only default", whom(role)), value(at))).collect()
            }
        }
    }
}

/// Whether a setting of PostgreSQL says yes.
#[must_use]
pub fn is_on(value: Option<&str>) -> bool {
    matches!(value, Some("on" | "true" | "yes" | "1"))
}

/// Where a sequence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Its value.
    pub value: i64,
    /// It was given out; false: it comes next.
    pub called: bool,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.called { write!(f, "{}", self.value) } else { write!(f, "{} comes next", self.value) }
    }
}
