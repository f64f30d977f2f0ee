//! Statements that change who may do what. Each gives back what it changed: the thing, and its old and new state.

use serde_json::{Value as Json, json};

use super::{
    DATABASE,
    access::{PRIVILEGES, READ_ONLY, Role, grantable},
    database::Database,
    sql::{SqlError, Statement, Whose},
};

/// What was changed: the thing, and `{ what: { from, to } }`.
type Changed = Vec<(String, Json)>;

/// Carries out `ALTER ROLE`, `ALTER DATABASE`, `GRANT` and `REVOKE`.
///
/// # Errors
/// A role, a database, a table or a setting does not exist.
pub(super) fn access(database: &mut Database, statement: &Statement) -> Result<Changed, SqlError> {
    match statement {
        Statement::RoleLimit(name, limit) => {
            let role = role(database, name)?;
            let before = std::mem::replace(&mut role.connection_limit, *limit);
            Ok(moved(name, "connectionLimit", json!(before), json!(limit)))
        }
        Statement::RoleLogin(name, login) => {
            let role = role(database, name)?;
            let before = std::mem::replace(&mut role.login, *login);
            Ok(moved(name, "login", json!(before), json!(login)))
        }
        Statement::RoleRight(name, superuser, given) => {
            let role = role(database, name)?;
            let (right, word) =
                if *superuser { (&mut role.superuser, "superuser") } else { (&mut role.replication, "replication") };
            let before = std::mem::replace(right, *given);
            Ok(moved(name, word, json!(before), json!(given)))
        }
        Statement::Shape(shaping) => database.shape.change(shaping).map(|changed| vec![changed]),
        Statement::DatabaseLimit(name, limit) => {
            is_this(name)?;
            let before = std::mem::replace(&mut database.connection_limit, *limit);
            Ok(moved(name, "connectionLimit", json!(before), json!(limit)))
        }
        Statement::Default(whose, setting, value) => default(database, whose, setting, value.as_deref()),
        Statement::Grants(gives, privileges, tables, roles) => grants(database, *gives, privileges, tables, roles),
        _ => Ok(Vec::new()),
    }
}

/// Nothing, when nothing moved.
fn moved(thing: &str, what: &str, from: Json, to: Json) -> Changed {
    let mut detail = serde_json::Map::new();
    let same = from == to;
    detail.insert(what.to_owned(), json!({ "from": from, "to": to }));
    if same { Vec::new() } else { vec![(thing.to_owned(), Json::Object(detail))] }
}

fn role<'a>(database: &'a mut Database, name: &str) -> Result<&'a mut Role, SqlError> {
    database.role_mut(name).ok_or_else(|| SqlError::new("42704", format!("role \"{name}\" does not exist")))
}

fn is_this(name: &str) -> Result<(), SqlError> {
    if name == DATABASE {
        return Ok(());
    }
    Err(SqlError::new("3D000", format!("database \"{name}\" does not exist")))
}

fn default(database: &mut Database, whose: &Whose, setting: &str, value: Option<&str>) -> Result<Changed, SqlError> {
    if setting != READ_ONLY {
        return Err(SqlError::unspoken(&format!("a default of {setting}")));
    }
    let (settings, thing) = match whose {
        Whose::Database => (&mut database.settings, DATABASE.to_owned()),
        Whose::Role(name) => (&mut role(database, name)?.settings, name.clone()),
        Whose::RoleHere(name) => (&mut role(database, name)?.settings_here, format!("{DATABASE}/{name}")),
    };
    let before = match value {
        Some(value) => settings.insert(setting.to_owned(), value.to_owned()),
        None => settings.remove(setting),
    };
    Ok(moved(&thing, setting, json!(before), json!(value)))
}

fn grants(
    database: &mut Database,
    gives: bool,
    privileges: &[String],
    tables: &[String],
    roles: &[String],
) -> Result<Changed, SqlError> {
    if let Some(unknown) = tables.iter().find(|name| !grantable().any(|table| table == **name)) {
        return Err(SqlError::new("42P01", format!("relation \"{unknown}\" does not exist")));
    }
    let wanted = |table: &&'static str| tables.is_empty() || tables.iter().any(|one| one == table);
    let mut changed = Vec::new();
    for name in roles {
        let granted = &mut role(database, name)?.granted;
        for table in grantable().filter(wanted) {
            for wanted in privileges {
                let known = PRIVILEGES.into_iter().find(|privilege| privilege == wanted);
                let privilege =
                    known.ok_or_else(|| SqlError::new("42601", format!("unrecognized privilege type \"{wanted}\"")))?;
                let moves =
                    if gives { granted.insert((table, privilege)) } else { granted.remove(&(table, privilege)) };
                if moves {
                    let thing = format!("{name}/public.{table}");
                    changed.extend(moved(&thing, privilege, json!(!gives), json!(gives)));
                }
            }
        }
    }
    Ok(changed)
}
