//! Functions: what they give, and of which type.

use super::{
    Field, SqlError, Value,
    eval::{Effect, Evaluation},
    operators,
    syntax::Expr,
};
use crate::sandbox::postgres::{
    access::PRIVILEGES,
    catalog::{OWNER_OID, View},
    value::Kind,
};

const AGGREGATES: &[&str] = &["count", "sum", "avg", "min", "max", "bool_or", "bool_and", "array_agg", "string_agg"];

pub(super) fn is_aggregate(name: &str) -> bool {
    AGGREGATES.contains(&name)
}

/// Whether an aggregate of this very query stands in the expression.
pub(super) fn has_aggregate(expr: &Expr) -> bool {
    match expr {
        Expr::Call(name, arguments, _) => is_aggregate(name) || arguments.iter().any(has_aggregate),
        Expr::Cast(inner, _) | Expr::Not(inner) | Expr::Negative(inner) | Expr::IsNull(inner, _) => {
            has_aggregate(inner)
        }
        Expr::Binary(_, left, right) | Expr::Like(left, right, _) | Expr::Any(_, left, right) => {
            has_aggregate(left) || has_aggregate(right)
        }
        Expr::In(left, items, _) => has_aggregate(left) || items.iter().any(has_aggregate),
        Expr::Case(pairs, otherwise) => {
            pairs.iter().any(|(condition, result)| has_aggregate(condition) || has_aggregate(result))
                || otherwise.as_deref().is_some_and(has_aggregate)
        }
        Expr::Row(items) | Expr::Array(items) => items.iter().any(has_aggregate),
        _ => false,
    }
}

/// Aggregates the arguments of all rows of a group. Rows whose first argument is null do not count.
pub(super) fn aggregate(name: &str, rows: &[Vec<Value>]) -> Result<Value, SqlError> {
    let present: Vec<&Value> = rows.iter().filter_map(|row| row.first()).filter(|value| !value.is_null()).collect();
    let extreme = |wanted: fn(std::cmp::Ordering) -> bool| {
        let mut best = Value::Null;
        for value in &present {
            if best.is_null() || value.compare(&best).is_some_and(wanted) {
                best = (*value).clone();
            }
        }
        best
    };
    Ok(match name {
        "count" => {
            let starred = rows.first().is_some_and(Vec::is_empty);
            Value::Int(if starred { rows.len() } else { present.len() } as i64)
        }
        "min" => extreme(std::cmp::Ordering::is_lt),
        "max" => extreme(std::cmp::Ordering::is_gt),
        "bool_or" if !present.is_empty() => Value::Bool(present.iter().any(|value| value.is_true())),
        "bool_and" if !present.is_empty() => Value::Bool(present.iter().all(|value| value.is_true())),
        "array_agg" if !present.is_empty() => Value::List(present.iter().map(|value| value.print()).collect()),
        "string_agg" if !present.is_empty() => {
            let by = rows.first().and_then(|row| row.get(1)).map(Value::print).unwrap_or_default();
            Value::Text(present.iter().map(|value| value.print()).collect::<Vec<_>>().join(&by))
        }
        "sum" | "avg" if !present.is_empty() => total(name, &present),
        _ => Value::Null,
    })
}

fn total(name: &str, present: &[&Value]) -> Value {
    let whole = |value: &&&Value| matches!(value, Value::Int(_) | Value::Big(_));
    if name == "sum" && present.iter().filter(whole).count() == present.len() {
        let one = |value: &&Value| match value {
            Value::Int(number) => i128::from(*number),
            Value::Big(number) => *number,
            _ => 0,
        };
        return Value::Big(present.iter().map(one).sum());
    }
    let sum: f64 = present.iter().filter_map(|value| value.number()).sum();
    Value::Float(if name == "avg" { sum / present.len() as f64 } else { sum })
}

fn unknown(name: &str) -> SqlError {
    SqlError::new("42883", format!("function {name} does not exist, or not in the sandbox"))
}

/// Types of functions whose type is always the same.
const KINDS: &[(Kind, &[&str])] = &[
    (Kind::Int4, &["length", "pg_backend_pid"]),
    (
        Kind::Int8,
        &[
            "count",
            "pg_database_size",
            "pg_total_relation_size",
            "pg_relation_size",
            "pg_table_size",
            "setval",
            "nextval",
            "lo_create",
            "lo_unlink",
            "txid_snapshot_xmax",
        ],
    ),
    (Kind::Numeric, &["avg", "pg_wal_lsn_diff", "extract"]),
    (Kind::TextArray, &["array_agg", "acldefault"]),
    (
        Kind::Bool,
        &[
            "bool_or",
            "bool_and",
            "pg_is_in_recovery",
            "pg_has_role",
            "has_database_privilege",
            "has_any_column_privilege",
            "has_table_privilege",
            "pg_terminate_backend",
            "pg_table_is_visible",
            "pg_is_other_temp_schema",
            "pg_relation_is_publishable",
        ],
    ),
    (Kind::Lsn, &["pg_current_wal_lsn", "pg_current_wal_flush_lsn", "pg_current_wal_insert_lsn"]),
    (Kind::Time, &["now", "clock_timestamp", "current_timestamp", "pg_postmaster_start_time", "statement_timestamp"]),
    (
        Kind::Name,
        &[
            "current_user",
            "session_user",
            "user",
            "current_database",
            "current_catalog",
            "current_schema",
            "pg_get_userbyid",
            "pg_encoding_to_char",
        ],
    ),
    (
        Kind::Text,
        &[
            "current_setting",
            "format_type",
            "pg_get_expr",
            "split_part",
            "md5",
            "substr",
            "substring",
            "version",
            "lower",
            "upper",
            "replace",
            "concat",
            "pg_get_constraintdef",
            "pg_get_indexdef",
            "array_to_string",
            "obj_description",
            "col_description",
            "shobj_description",
            "quote_ident",
            "string_agg",
            "pg_size_pretty",
            "txid_current_snapshot",
            "pg_get_partkeydef",
        ],
    ),
];

/// The type that a function gives.
pub(super) fn kind(name: &str, arguments: &[Kind]) -> Result<Kind, SqlError> {
    let first = arguments.first().copied().unwrap_or(Kind::Text);
    match name {
        "min" | "max" | "coalesce" | "nullif" | "greatest" | "least" | "abs" | "round" => Ok(first),
        "sum" if first == Kind::Float8 => Ok(first),
        "sum" => Ok(Kind::Numeric),
        _ => {
            let known = KINDS.iter().find(|(_, names)| names.contains(&name));
            known.map(|(kind, _)| *kind).ok_or_else(|| unknown(name))
        }
    }
}

/// Calls a function that gives one value.
pub(super) fn call(run: &Evaluation<'_>, name: &str, values: &[Value]) -> Result<Value, SqlError> {
    let view = run.view;
    let at = |position: usize| values.get(position).unwrap_or(&Value::Null);
    let text = |position: usize| at(position).print();
    if let Some(value) = of_server(view, name) {
        return Ok(value);
    }
    if matches!(name, "setval" | "nextval" | "pg_terminate_backend" | "lo_create" | "lo_unlink") {
        return effect(run, name, values);
    }
    if name == "current_setting" {
        let setting = text(0);
        return view
            .setting(&setting)
            .map(Value::Text)
            .ok_or_else(|| SqlError::new("42704", format!("unrecognized configuration parameter \"{setting}\"")));
    }
    if values.iter().any(Value::is_null) && !matches!(name, "concat" | "pg_get_expr" | "format_type" | "acldefault") {
        return Ok(Value::Null);
    }
    Ok(match name {
        "pg_has_role" => Value::Bool(at(0) == at(1) || view.role(at(0)).is_some_and(|role| role.superuser)),
        "has_database_privilege" => Value::Bool(view.role(at(0)).is_some()),
        "has_any_column_privilege" | "has_table_privilege" => privileges(view, values),
        "pg_total_relation_size" | "pg_relation_size" | "pg_table_size" => Value::Int(view.relation_bytes(at(0))),
        "pg_database_size" => Value::Int(view.database_bytes()),
        "txid_snapshot_xmax" => Value::Int(text(0).split(':').nth(1).and_then(|xid| xid.parse().ok()).unwrap_or(0)),
        "pg_wal_lsn_diff" => operators::binary("-", &lsn(at(0)), &lsn(at(1)))?,
        "extract" => match (text(0).as_str(), at(1)) {
            ("epoch", Value::Time(time)) => Value::Float(time.as_microsecond() as f64 / 1e6),
            ("epoch", value) => Value::Float(value.number().unwrap_or_default()),
            (field, _) => return Err(SqlError::unspoken(&format!("EXTRACT({field})"))),
        },
        "format_type" => Value::Text(type_name(at(0).int().unwrap_or_default())),
        "pg_get_expr" | "pg_get_constraintdef" | "pg_get_indexdef" => view.definition(name, at(0)),
        "pg_get_userbyid" => view.role(at(0)).map_or(Value::Null, |role| Value::text(role.name)),
        "pg_encoding_to_char" => Value::text("UTF8"),
        "pg_table_is_visible" | "pg_relation_is_publishable" => Value::Bool(true),
        "pg_is_other_temp_schema" => Value::Bool(false),
        "obj_description" | "col_description" | "shobj_description" | "pg_get_partkeydef" => Value::Null,
        "acldefault" => Value::List(vec![format!("{0}=arwdDxt/{0}", crate::sandbox::postgres::OPERATOR)]),
        _ => return of_values(name, values),
    })
}

/// What the server tells of itself.
fn of_server(view: &View, name: &str) -> Option<Value> {
    Some(match name {
        "pg_current_wal_lsn" | "pg_current_wal_flush_lsn" | "pg_current_wal_insert_lsn" => {
            Value::Lsn(view.database().lsn)
        }
        "pg_is_in_recovery" => Value::Bool(false),
        "current_user" | "session_user" | "user" => Value::text(&*view.user),
        "current_database" | "current_catalog" => Value::text(crate::sandbox::postgres::DATABASE),
        "current_schema" => Value::text("public"),
        "now" | "clock_timestamp" | "current_timestamp" | "statement_timestamp" => Value::Time(view.now),
        "pg_postmaster_start_time" => Value::Time(view.database().started),
        "pg_backend_pid" => Value::Int(i64::from(view.pid)),
        "version" => Value::text(format!("PostgreSQL {} (the sandbox of a rehearsal)", super::super::catalog::VERSION)),
        "txid_current_snapshot" => Value::Text(format!("{0}:{0}:", view.database().next_xid())),
        _ => return None,
    })
}

fn lsn(value: &Value) -> Value {
    value.clone().cast(Kind::Lsn).unwrap_or(Value::Null)
}

fn effect(run: &Evaluation<'_>, name: &str, values: &[Value]) -> Result<Value, SqlError> {
    let first = values.first().cloned().unwrap_or(Value::Null);
    if name == "pg_terminate_backend" {
        let pid = first.int().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
        let lives = run.view.has_backend(pid);
        if lives {
            run.effects.borrow_mut().push(Effect::Terminate(pid));
        }
        return Ok(Value::Bool(lives));
    }
    if matches!(name, "lo_create" | "lo_unlink") {
        let number = first.int().filter(|_| name == "lo_unlink");
        run.effects.borrow_mut().push(Effect::LargeObject(number));
        return Ok(Value::Int(1));
    }
    let oid = match &first {
        Value::Text(name) => run.view.relation_oid(name)?,
        value => value.int().unwrap_or_default(),
    };
    let (table, sequence) = run.view.sequence(oid)?;
    let (value, called) = if name == "nextval" {
        (sequence.peek(), true)
    } else {
        let value = values.get(1).and_then(Value::int).filter(|value| *value >= 1);
        let value = value.ok_or_else(|| SqlError::new("22003", "setval: value is out of bounds for sequence"))?;
        (value, values.get(2).is_none_or(Value::is_true))
    };
    run.effects.borrow_mut().push(Effect::Sequence(table, value, called));
    Ok(Value::Int(value))
}

/// `(role, relation, 'INSERT, UPDATE')`: whether any of them is granted.
fn privileges(view: &View, values: &[Value]) -> Value {
    let [role, relation, wanted] = values else { return Value::Null };
    let wanted = wanted.print();
    let mut wanted = wanted.split(',').map(str::trim);
    Value::Bool(wanted.any(|privilege| PRIVILEGES.contains(&privilege) && view.may(role, relation, privilege)))
}

/// Functions of their arguments alone.
fn of_values(name: &str, values: &[Value]) -> Result<Value, SqlError> {
    let at = |position: usize| values.get(position).unwrap_or(&Value::Null);
    let text = |position: usize| at(position).print();
    Ok(match name {
        "md5" => Value::Text(format!("{:x}", md5::compute(text(0)))),
        "substr" | "substring" => {
            let begin = at(1).int().unwrap_or(1).max(1) as usize - 1;
            let length = values.get(2).and_then(Value::int).map_or(usize::MAX, |length| length.max(0) as usize);
            Value::Text(text(0).chars().skip(begin).take(length).collect())
        }
        "split_part" => {
            let position = at(2).int().unwrap_or(1).max(1) as usize - 1;
            Value::text(text(0).split(&text(1)).nth(position).unwrap_or_default())
        }
        "length" => Value::Int(text(0).chars().count() as i64),
        "lower" => Value::Text(text(0).to_lowercase()),
        "upper" => Value::Text(text(0).to_uppercase()),
        "replace" => Value::Text(text(0).replace(&text(1), &text(2))),
        "concat" => Value::Text(values.iter().map(Value::print).collect()),
        "quote_ident" => Value::Text(format!("\"{}\"", text(0).replace('"', "\"\""))),
        "array_to_string" => match at(0) {
            Value::List(items) => Value::Text(items.join(&text(1))),
            _ => Value::Null,
        },
        "nullif" => {
            if at(0).compare(at(1)).is_some_and(std::cmp::Ordering::is_eq) {
                Value::Null
            } else {
                at(0).clone()
            }
        }
        "greatest" | "least" => {
            let rows: Vec<_> = values.iter().map(|value| vec![value.clone()]).collect();
            aggregate(if name == "greatest" { "max" } else { "min" }, &rows)?
        }
        "abs" => at(0)
            .number()
            .map_or(Value::Null, |number| Value::Float(number.abs()))
            .cast(Kind::Int8)
            .unwrap_or(Value::Null),
        "round" => at(0).int().map_or(Value::Null, Value::Int),
        "pg_size_pretty" => Value::Text(match at(0).int().unwrap_or_default() {
            bytes if bytes < 10_240 => format!("{bytes} bytes"),
            bytes if bytes < 10_485_760 => format!("{} kB", bytes / 1024),
            bytes => format!("{} MB", bytes / 1_048_576),
        }),
        _ => return Err(unknown(name)),
    })
}

/// The columns of a function that gives rows.
pub(super) fn set_fields(name: &str, alias: &str) -> Result<Vec<Field>, SqlError> {
    let field = |name: &str, kind| (name.to_owned(), kind);
    Ok(match name {
        "unnest" => vec![field(alias, Kind::Text)],
        "generate_series" => vec![field(alias, Kind::Int8)],
        "aclexplode" => vec![
            field("grantor", Kind::Oid),
            field("grantee", Kind::Oid),
            field("privilege_type", Kind::Text),
            field("is_grantable", Kind::Bool),
        ],
        _ => return Err(unknown(name)),
    })
}

/// Calls a function that gives rows.
pub(super) fn set(view: &View, name: &str, values: &[Value]) -> Result<Vec<Vec<Value>>, SqlError> {
    match (name, values) {
        ("generate_series", [from, to]) => {
            let (from, to) = (from.int().unwrap_or_default(), to.int().unwrap_or_default());
            Ok((from..=to.min(from.saturating_add(100_000))).map(|number| vec![Value::Int(number)]).collect())
        }
        ("unnest", [Value::List(items)]) => Ok(items.iter().map(|item| vec![Value::text(item)]).collect()),
        ("aclexplode", [Value::List(items)]) => Ok(items.iter().flat_map(|item| granted(view, item)).collect()),
        ("unnest" | "aclexplode", [Value::Null]) => Ok(Vec::new()),
        _ => Err(unknown(name)),
    }
}

/// One access entry, `role=arwd/owner`, as rows.
fn granted(view: &View, entry: &str) -> Vec<Vec<Value>> {
    let Some((role, rest)) = entry.split_once('=') else { return Vec::new() };
    let letters = rest.split('/').next().unwrap_or_default();
    let grantee = Value::Int(view.role_oid(role));
    let privilege = |letter: char| match letter {
        'a' => Some("INSERT"),
        'r' => Some("SELECT"),
        'w' => Some("UPDATE"),
        'd' => Some("DELETE"),
        'D' => Some("TRUNCATE"),
        'x' => Some("REFERENCES"),
        't' => Some("TRIGGER"),
        _ => None,
    };
    let row = |name| vec![Value::Int(OWNER_OID), grantee.clone(), Value::text(name), Value::Bool(false)];
    letters.chars().filter_map(privilege).map(row).collect()
}

/// A type by its number, as PostgreSQL spells it.
pub(super) fn type_name(oid: i64) -> String {
    match oid {
        16 => "boolean",
        20 => "bigint",
        23 => "integer",
        25 => "text",
        1184 => "timestamp with time zone",
        _ => "???",
    }
    .to_owned()
}
