//! What the server tells of itself: roles, databases, settings, sessions, statistics, replication.

use super::{DATABASE_OID, FIRST_TABLE_OID, Listed, OID_STEP, OWNER_OID, SETTINGS, SUBSCRIPTION_OID, View};
use crate::sandbox::{
    faults::Side,
    postgres::{
        DATABASE,
        access::{REPLICATION, Role, Settings},
        database::HEARTBEAT,
        link::{Link, SLOT},
        table::TABLES,
        value::{Kind, Value},
    },
};

use Kind::{Bool, Int4, Int8, Interval, Lsn, Name, Oid, Text, TextArray, Time};

/// The relations of this file.
pub(super) const RELATIONS: &[Listed] = &[
    ("pg_roles", ROLES, roles),
    ("pg_auth_members", &[("roleid", Oid), ("member", Oid), ("admin_option", Bool)], |_| Vec::new()),
    ("pg_database", DATABASES, databases),
    ("pg_db_role_setting", &[("setdatabase", Oid), ("setrole", Oid), ("setconfig", TextArray)], defaults),
    ("pg_settings", &[("name", Text), ("setting", Text), ("reset_val", Text), ("boot_val", Text)], settings),
    ("pg_stat_activity", ACTIVITY, activity),
    ("pg_stat_user_tables", USER_TABLES, user_tables),
    ("pg_stat_all_tables", USER_TABLES, user_tables),
    ("pg_stat_database", STAT_DATABASE, stat_database),
    ("pg_replication_slots", SLOTS, slots),
    ("pg_stat_replication", REPLICATIONS, senders),
    ("pg_subscription", SUBSCRIPTION, subscriptions),
    ("pg_stat_subscription", WORKERS, workers),
    ("pg_stat_subscription_stats", ERRORS, errors),
    ("pg_subscription_rel", SUBSCRIBED, subscribed),
];

const ROLES: &[(&str, Kind)] = &[
    ("oid", Oid),
    ("rolname", Name),
    ("rolsuper", Bool),
    ("rolinherit", Bool),
    ("rolcreaterole", Bool),
    ("rolcreatedb", Bool),
    ("rolcanlogin", Bool),
    ("rolreplication", Bool),
    ("rolbypassrls", Bool),
    ("rolconnlimit", Int4),
    ("rolvaliduntil", Time),
    ("rolconfig", TextArray),
];
const DATABASES: &[(&str, Kind)] = &[
    ("oid", Oid),
    ("datname", Name),
    ("datdba", Oid),
    ("encoding", Int4),
    ("datcollate", Name),
    ("datctype", Name),
    ("daticulocale", Text),
    ("datlocprovider", Text),
    ("datistemplate", Bool),
    ("datallowconn", Bool),
    ("datconnlimit", Int4),
    ("datacl", TextArray),
];
const ACTIVITY: &[(&str, Kind)] = &[
    ("datid", Oid),
    ("datname", Name),
    ("pid", Int4),
    ("usesysid", Oid),
    ("usename", Name),
    ("application_name", Text),
    ("client_addr", Text),
    ("backend_start", Time),
    ("xact_start", Time),
    ("query_start", Time),
    ("state_change", Time),
    ("state", Text),
    ("backend_xid", Int8),
    ("query", Text),
    ("backend_type", Text),
];
const USER_TABLES: &[(&str, Kind)] = &[
    ("relid", Oid),
    ("schemaname", Name),
    ("relname", Name),
    ("n_tup_ins", Int8),
    ("n_tup_upd", Int8),
    ("n_tup_del", Int8),
    ("n_live_tup", Int8),
    ("n_dead_tup", Int8),
];
const STAT_DATABASE: &[(&str, Kind)] = &[
    ("datid", Oid),
    ("datname", Name),
    ("numbackends", Int4),
    ("xact_commit", Int8),
    ("xact_rollback", Int8),
    ("tup_inserted", Int8),
];
const SLOTS: &[(&str, Kind)] = &[
    ("slot_name", Name),
    ("plugin", Name),
    ("slot_type", Text),
    ("datoid", Oid),
    ("database", Name),
    ("temporary", Bool),
    ("active", Bool),
    ("active_pid", Int4),
    ("restart_lsn", Lsn),
    ("confirmed_flush_lsn", Lsn),
    ("wal_status", Text),
];
const REPLICATIONS: &[(&str, Kind)] = &[
    ("pid", Int4),
    ("usename", Name),
    ("application_name", Text),
    ("state", Text),
    ("sent_lsn", Lsn),
    ("write_lsn", Lsn),
    ("flush_lsn", Lsn),
    ("replay_lsn", Lsn),
    ("replay_lag", Interval),
    ("sync_state", Text),
];
const SUBSCRIPTION: &[(&str, Kind)] = &[
    ("oid", Oid),
    ("subdbid", Oid),
    ("subname", Name),
    ("subowner", Oid),
    ("subenabled", Bool),
    ("subslotname", Name),
    ("subpublications", TextArray),
];
const WORKERS: &[(&str, Kind)] = &[
    ("subid", Oid),
    ("subname", Name),
    ("pid", Int4),
    ("relid", Oid),
    ("received_lsn", Lsn),
    ("last_msg_send_time", Time),
    ("last_msg_receipt_time", Time),
    ("latest_end_lsn", Lsn),
    ("latest_end_time", Time),
];
const ERRORS: &[(&str, Kind)] = &[
    ("subid", Oid),
    ("subname", Name),
    ("apply_error_count", Int8),
    ("sync_error_count", Int8),
    ("stats_reset", Time),
];
const SUBSCRIBED: &[(&str, Kind)] = &[("srsubid", Oid), ("srrelid", Oid), ("srsubstate", Text), ("srsublsn", Lsn)];

/// `name=value` of each, or null.
fn config(settings: &Settings) -> Value {
    if settings.is_empty() {
        return Value::Null;
    }
    Value::List(settings.iter().map(|(name, value)| format!("{name}={value}")).collect())
}

fn roles(view: &View) -> Vec<Vec<Value>> {
    let row = |role: &Role| {
        let mut row = vec![Value::Int(role.oid), Value::text(role.name)];
        let flags =
            [role.superuser, true, role.superuser, role.superuser, role.login, role.replication, role.superuser];
        row.extend(flags.map(Value::Bool));
        row.extend([Value::Int(role.connection_limit), Value::Null, config(&role.settings)]);
        row
    };
    view.database().roles.iter().map(row).collect()
}

fn databases(view: &View) -> Vec<Vec<Value>> {
    let mut row = vec![Value::Int(DATABASE_OID), Value::text(DATABASE), Value::Int(OWNER_OID), Value::Int(6)];
    row.extend([Value::text("C.UTF-8"), Value::text("C.UTF-8"), Value::Null, Value::text("c")]);
    row.extend([Value::Bool(false), Value::Bool(true), Value::Int(view.database().connection_limit), Value::Null]);
    vec![row]
}

fn defaults(view: &View) -> Vec<Vec<Value>> {
    let database = view.database();
    let of_roles = database
        .roles
        .iter()
        .flat_map(|role| [(0, role.oid, &role.settings), (DATABASE_OID, role.oid, &role.settings_here)]);
    let all = of_roles.chain([(DATABASE_OID, 0, &database.settings)]);
    let set = all.filter(|(_, _, settings)| !settings.is_empty());
    set.map(|(here, role, settings)| vec![Value::Int(here), Value::Int(role), config(settings)]).collect()
}

fn settings(view: &View) -> Vec<Vec<Value>> {
    let row = |(name, usual): &(&str, &str)| {
        let now = view.setting(name).unwrap_or_default();
        vec![Value::text(*name), Value::Text(now), Value::text(*usual), Value::text(*usual)]
    };
    SETTINGS.iter().map(row).collect()
}

/// One line of `pg_stat_activity`.
fn session(
    view: &View,
    (pid, user, application): (i32, &str, &str),
    times: [jiff::Timestamp; 2],
    query: &str,
) -> Vec<Value> {
    let [started, active] = times;
    let mut row = vec![Value::Int(DATABASE_OID), Value::text(DATABASE), Value::Int(i64::from(pid))];
    row.extend([Value::Int(view.role_oid(user)), Value::text(user), Value::text(application)]);
    row.extend([Value::text("127.0.0.1"), Value::Time(started), Value::Null, Value::Time(active)]);
    let state = if pid == view.pid { "active" } else { "idle" };
    row.extend([Value::Time(active), Value::text(state), Value::Null, Value::text(query)]);
    row.push(Value::text("client backend"));
    row
}

fn activity(view: &View) -> Vec<Vec<Value>> {
    let of_app = view.database().backends.iter().map(|backend| {
        let who = (backend.pid, backend.client.role(), backend.client.name());
        session(view, who, [backend.started, backend.active], "COMMIT")
    });
    let of_front = view.clients.iter().map(|client| {
        let who = (client.pid, client.user.as_str(), client.application.as_str());
        session(view, who, [client.started, client.active], &client.query)
    });
    let mut all: Vec<_> = of_app.chain(of_front).collect();
    let link = &view.databases.link;
    if let Some(sender) = link.sender.filter(|_| view.side == Side::Old) {
        let mut row = session(view, (sender, REPLICATION, SLOT), [link.connected, view.now], "START_REPLICATION");
        row.pop();
        row.push(Value::text("walsender"));
        all.push(row);
    }
    all
}

fn user_tables(view: &View) -> Vec<Vec<Value>> {
    let database = view.database();
    let of_app = database.tables.iter().map(|table| (table.name, table.inserted, table.rows().len()));
    let beats = database.beats.len();
    let all = of_app.chain([(HEARTBEAT, beats as u64, beats)]);
    let row = |(at, (name, inserted, live)): (usize, (&str, u64, usize))| {
        let mut row =
            vec![Value::Int(FIRST_TABLE_OID + at as i64 * OID_STEP), Value::text("public"), Value::text(name)];
        row.extend([inserted as i64, 0, 0, live as i64, 0].map(Value::Int));
        row
    };
    all.enumerate().map(row).collect()
}

fn stat_database(view: &View) -> Vec<Vec<Value>> {
    let database = view.database();
    let inserted: u64 = database.tables.iter().map(|table| table.inserted).sum();
    let sessions = database.backends.len() + view.clients.len();
    let counts = [sessions as u64, database.commits, database.rollbacks, inserted];
    let mut row = vec![Value::Int(DATABASE_OID), Value::text(DATABASE)];
    row.extend(counts.map(|count| Value::Int(count as i64)));
    vec![row]
}

fn slots(view: &View) -> Vec<Vec<Value>> {
    if view.side == Side::New {
        return Vec::new();
    }
    let link = &view.databases.link;
    let pid = link.sender.map_or(Value::Null, |pid| Value::Int(i64::from(pid)));
    let mut row = vec![Value::text(SLOT), Value::text("pgoutput"), Value::text("logical"), Value::Int(DATABASE_OID)];
    row.extend([Value::text(DATABASE), Value::Bool(false), Value::Bool(link.sender.is_some()), pid]);
    row.extend([Value::Lsn(link.confirmed), Value::Lsn(link.confirmed), Value::text("reserved")]);
    vec![row]
}

fn senders(view: &View) -> Vec<Vec<Value>> {
    let link = &view.databases.link;
    let Some(pid) = link.sender.filter(|_| view.side == Side::Old) else { return Vec::new() };
    let lag = Link::lag_seconds(view.database(), view.now);
    let mut row =
        vec![Value::Int(i64::from(pid)), Value::text(REPLICATION), Value::text(SLOT), Value::text("streaming")];
    row.extend([view.database().lsn, link.confirmed, link.confirmed, link.confirmed].map(Value::Lsn));
    row.extend([Value::Float(lag), Value::text("async")]);
    vec![row]
}

fn subscriptions(view: &View) -> Vec<Vec<Value>> {
    if view.side == Side::Old {
        return Vec::new();
    }
    let mut row =
        vec![Value::Int(SUBSCRIPTION_OID), Value::Int(DATABASE_OID), Value::text(SLOT), Value::Int(OWNER_OID)];
    row.extend([Value::Bool(view.databases.link.enabled), Value::text(SLOT), Value::List(vec![SLOT.to_owned()])]);
    vec![row]
}

/// Without a worker PostgreSQL still shows the subscription, with nothing but its name. A living worker hears from the
/// publisher all the time.
fn workers(view: &View) -> Vec<Vec<Value>> {
    if view.side == Side::Old {
        return Vec::new();
    }
    let link = &view.databases.link;
    let mut row = vec![Value::Int(SUBSCRIPTION_OID), Value::text(SLOT)];
    match link.worker {
        Some(pid) => {
            row.extend([Value::Int(i64::from(pid)), Value::Null, Value::Lsn(link.confirmed)]);
            row.extend([
                Value::Time(view.now),
                Value::Time(view.now),
                Value::Lsn(link.confirmed),
                Value::Time(view.now),
            ]);
        }
        None => row.extend([const { Value::Null }; 7]),
    }
    vec![row]
}

fn errors(view: &View) -> Vec<Vec<Value>> {
    if view.side == Side::Old {
        return Vec::new();
    }
    let errors = Value::Int(view.databases.link.errors as i64);
    vec![vec![Value::Int(SUBSCRIPTION_OID), Value::text(SLOT), errors, Value::Int(0), Value::Null]]
}

fn subscribed(view: &View) -> Vec<Vec<Value>> {
    if view.side == Side::Old {
        return Vec::new();
    }
    let row = |at: usize| {
        let table = Value::Int(FIRST_TABLE_OID + at as i64 * OID_STEP);
        vec![Value::Int(SUBSCRIPTION_OID), table, Value::text("r"), Value::Lsn(view.databases.link.confirmed)]
    };
    (0..=TABLES.len()).map(row).collect()
}
