//! What a change of a database holds: who may write, and where sequences stand; and the SQL that makes it so.

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

/// A name as SQL takes it: `"order"`, quotes doubled.
#[must_use]
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name in its schema: `"public"."orders"`.
#[must_use]
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", quoted(schema), quoted(name))
}

/// The statements that lead from one access to the other, each ended by `;`. Empty when they are equal. They are sent
/// between `BEGIN;` and `COMMIT;` in one message, so that they hold all or not at all.
///
/// - grants: `REVOKE INSERT, UPDATE ON TABLE "public"."orders" FROM "shop";`, `GRANT ... TO "shop" [WITH GRANT OPTION];`,
///   columns as `UPDATE ("state")`
/// - limits: `ALTER ROLE "shop" CONNECTION LIMIT 0;`
/// - read-only: `ALTER DATABASE "shop" SET default_transaction_read_only = on;`, `ALTER ROLE "shop" IN DATABASE "shop" SET
///   ...;`, or `RESET default_transaction_read_only;`
#[must_use]
pub fn access_sql(database: &str, from: &Access, to: &Access) -> Vec<String> {
    match (from, to) {
        (Access::Grants { grants: from }, Access::Grants { grants: to }) => {
            let lost = from.iter().filter(|grant| !to.contains(grant));
            let won = to.iter().filter(|grant| !from.contains(grant));
            lost.map(revoke).chain(won.map(grant)).collect()
        }
        (Access::Limits { limits: from }, Access::Limits { limits: to }) => {
            let changed = to.iter().filter(|(role, limit)| from.get(*role) != Some(limit));
            changed.map(|(role, limit)| format!("ALTER ROLE {} CONNECTION LIMIT {limit};", quoted(role))).collect()
        }
        (Access::ReadOnly { defaults: from }, Access::ReadOnly { defaults: to }) => {
            let changed = to.iter().filter(|(role, value)| from.get(*role) != Some(value));
            changed.map(|(role, value)| read_only(database, role, value.as_deref())).collect()
        }
        _ => Vec::new(),
    }
}

fn privilege(grant: &Grant) -> String {
    if grant.column.is_empty() {
        grant.privilege.clone()
    } else {
        format!("{} ({})", grant.privilege, quoted(&grant.column))
    }
}

/// `PUBLIC` is a word of SQL, not a role.
fn grantee(role: &str) -> String {
    if role == "public" { "PUBLIC".to_owned() } else { quoted(role) }
}

fn revoke(grant: &Grant) -> String {
    let table = qualified(&grant.schema, &grant.table);
    format!("REVOKE {} ON TABLE {table} FROM {};", privilege(grant), grantee(&grant.role))
}

fn grant(grant: &Grant) -> String {
    let table = qualified(&grant.schema, &grant.table);
    let option = if grant.grantable { " WITH GRANT OPTION" } else { "" };
    format!("GRANT {} ON TABLE {table} TO {}{option};", privilege(grant), grantee(&grant.role))
}

fn read_only(database: &str, role: &str, value: Option<&str>) -> String {
    let whom = if role.is_empty() {
        format!("ALTER DATABASE {}", quoted(database))
    } else {
        format!("ALTER ROLE {} IN DATABASE {}", quoted(role), quoted(database))
    };
    // Only words of PostgreSQL's own stand there; anything else means off, which is its default.
    let value = value.map(|value| if matches!(value, "on" | "true" | "yes" | "1") { "on" } else { "off" });
    match value {
        Some(value) => format!("{whom} SET default_transaction_read_only = {value};"),
        None => format!("{whom} RESET default_transaction_read_only;"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn one(column: &str, privilege: &str, grantable: bool) -> Grant {
        let text = str::to_owned;
        let (schema, table) = (text("public"), text("orders"));
        Grant { role: text("shop"), schema, table, column: text(column), privilege: text(privilege), grantable }
    }

    #[test]
    fn grants_are_taken_and_given_back_one_by_one() {
        let all = Access::Grants { grants: vec![one("", "INSERT", false), one("state", "UPDATE", true)] };
        let none = Access::Grants { grants: Vec::new() };
        assert_eq!(
            access_sql("shop", &all, &none),
            [
                "REVOKE INSERT ON TABLE \"public\".\"orders\" FROM \"shop\";",
                "REVOKE UPDATE (\"state\") ON TABLE \"public\".\"orders\" FROM \"shop\";"
            ]
        );
        assert_eq!(
            access_sql("shop", &none, &all),
            [
                "GRANT INSERT ON TABLE \"public\".\"orders\" TO \"shop\";",
                "GRANT UPDATE (\"state\") ON TABLE \"public\".\"orders\" TO \"shop\" WITH GRANT OPTION;"
            ]
        );
        assert!(access_sql("shop", &all, &all).is_empty());
    }

    #[test]
    fn limits_and_defaults_are_put_back_to_the_letter() {
        let limits = |limit| Access::Limits { limits: BTreeMap::from([("shop".to_owned(), limit)]) };
        assert_eq!(access_sql("shop", &limits(0), &limits(-1)), ["ALTER ROLE \"shop\" CONNECTION LIMIT -1;"]);
        let default = |role: &str, value: Option<&str>| Access::ReadOnly {
            defaults: BTreeMap::from([(role.to_owned(), value.map(str::to_owned))]),
        };
        assert_eq!(
            access_sql("a\"b", &default("", None), &default("", Some("on"))),
            ["ALTER DATABASE \"a\"\"b\" SET default_transaction_read_only = on;"]
        );
        assert_eq!(
            access_sql("d", &default("app", Some("on")), &default("app", None)),
            ["ALTER ROLE \"app\" IN DATABASE \"d\" RESET default_transaction_read_only;"]
        );
    }
}
