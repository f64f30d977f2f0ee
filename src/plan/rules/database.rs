//! The two databases: where they are, how they are reached, what replicates one into the other.

use std::{net::IpAddr, path::PathBuf};

use toml::Spanned;

use super::{
    super::{
        database::{Database, DatabaseAddress, DatabaseMeasure, Databases, SslMode, TableName, WriteLock},
        error::Report,
        kind::Kind,
        model::Side,
        raw::{List, RawCompare, RawDatabase, RawSequences, RawStep, RawWriteLock, Text, split},
        scalar::{Fault, choice, number, quote, words},
    },
    Context,
    world::{SIDES, host},
};

/// What publication, slot and subscription are called unless the plan says otherwise.
const REPLICATION: &str = "cutover";
const PORT: u16 = 5432;
/// Values that a sequence is put beyond what is in use: more than a second of the busiest table's inserts.
const HEADROOM: u64 = 1000;
/// Tables with more rows are compared by ranges.
const SAMPLE_ABOVE: u64 = 1_000_000;
const RANGES: u32 = 20;
/// PostgreSQL cuts longer names off without a word (NAMEDATALEN).
const LONGEST_NAME: usize = 63;

const SSLMODES: [(&str, SslMode); 3] =
    [("disable", SslMode::Disable), ("require", SslMode::Require), ("verify-full", SslMode::VerifyFull)];

const METHODS: [(&str, WriteLock); 3] = [
    ("revoke", WriteLock::Revoke),
    ("connection-limit", WriteLock::ConnectionLimit),
    ("read-only", WriteLock::ReadOnly),
];
const MEASURES: [(&str, DatabaseMeasure); 4] = [
    ("lag-bytes", DatabaseMeasure::LagBytes),
    ("lag-seconds", DatabaseMeasure::LagSeconds),
    ("written-bytes", DatabaseMeasure::WrittenBytes),
    ("written-rows", DatabaseMeasure::WrittenRows),
];

pub(super) fn databases(context: &Context<'_>, report: &mut Report) -> Option<Databases> {
    let raw = context.raw.databases.as_ref()?.get_ref();
    let mut called = |text: &Option<Text>| report.read_or(text.as_ref(), REPLICATION.to_owned(), identifier);
    let (publication, subscription) = (called(&raw.publication), called(&raw.subscription));
    let slot = report.read_or(raw.slot.as_ref(), subscription.clone(), slot);
    let heartbeat = raw.heartbeat.as_ref().and_then(|text| report.read(text, table));
    let (old, new) = (database(context, &raw.old, Side::Old, report), database(context, &raw.new, Side::New, report));
    let (old, new) = (old?, new?);
    if old.address == new.address {
        report.error(raw.new.span(), "both sides are the same database").help("name the database of the other side");
    }
    Some(Databases { old, new, publication, slot, subscription, heartbeat })
}

fn database(context: &Context<'_>, raw: &Spanned<RawDatabase>, side: Side, report: &mut Report) -> Option<Database> {
    let address = address(context, raw, report);
    let raw = raw.get_ref();
    let local = match &address {
        Some(DatabaseAddress::Parts { host, .. }) => is_local(host),
        _ => false,
    };
    let usual = if local { SslMode::Disable } else { SslMode::VerifyFull };
    let sslmode = report.read_or(raw.sslmode.as_ref(), usual, |text| choice("an sslmode", &SSLMODES, text));
    let ca_file = raw.ca_file.as_ref().and_then(|text| report.read(text, words)).map(PathBuf::from);
    if let Some(text) = raw.sslmode.as_ref().filter(|_| sslmode == SslMode::Disable && !local) {
        report
            .error(text.span(), "a password and all rows would travel in the clear")
            .help("write `require`, or `verify-full`; `disable` is for loopback");
    }
    if let Some(text) = raw.ca_file.as_ref().filter(|_| sslmode != SslMode::VerifyFull) {
        report
            .error(text.span(), "nothing is verified against this file")
            .help("write `sslmode = \"verify-full\"`, or leave the file out");
    }
    let mut writers: Vec<String> = Vec::new();
    for text in raw.writers.iter().flat_map(split) {
        let Some(role) = report.read(&text, identifier) else { continue };
        if writers.contains(&role) {
            report.error(text.span(), format!("role {} is named twice", quote(&role))).help("leave one of them out");
        }
        // To stop it would stop the cockpit from undoing that.
        if side == Side::Old
            && let Some(DatabaseAddress::Parts { user, .. }) = &address
            && *user == role
        {
            report
                .warning(text.span(), format!("the cockpit logs in as {} itself", quote(&role)))
                .help("a freeze by `connection-limit` would shut the cockpit out: give it a role of its own");
        }
        writers.push(role);
    }
    Some(Database { address: address?, sslmode, ca_file, writers })
}

fn address(context: &Context<'_>, raw: &Spanned<RawDatabase>, report: &mut Report) -> Option<DatabaseAddress> {
    let RawDatabase { host: at, port, name, user, password_env, url_env, .. } = raw.get_ref();
    match (at, name, user, url_env) {
        (Some(at), Some(name), Some(user), None) => {
            let found = report.read(at, host);
            context.must_be_loopback(at, found.as_deref().is_none_or(is_local), report);
            let port = report.read_or(port.as_ref(), PORT, |text| number(1..=u16::MAX, text));
            let password_env = password_env.as_ref().and_then(|text| report.read(text, variable));
            let (name, user) = (report.read(name, identifier), report.read(user, identifier));
            Some(DatabaseAddress::Parts { host: found?, port, name: name?, user: user?, password_env })
        }
        (None, None, None, Some(text)) => {
            if context.sandbox() {
                let message = "a sandbox does not look at the environment";
                report.error(text.span(), message).help("write `host`, `port`, `name` and `user`");
            }
            for extra in [port, password_env].into_iter().flatten() {
                report.error(extra.span(), "the URL says this already").help("leave it out");
            }
            Some(DatabaseAddress::Url { env: report.read(text, variable)? })
        }
        _ => {
            report
                .error(raw.span(), "nothing says where this database is")
                .help("write `host`, `name` and `user`, or `url_env` with the variable that holds a whole URL");
            None
        }
    }
}

/// Reports a step of a database in a plan without databases, and one that names nobody.
pub(super) fn needs(context: &Context<'_>, raw: &RawStep, kind: &Kind, report: &mut Report) {
    if kind.needs_databases() {
        present(context, &raw.id, report);
    }
    if let Kind::PostgresFreeze { roles, .. } | Kind::PostgresOpen { roles, .. } = kind
        && roles.is_empty()
    {
        let help = "write `roles`, or `writers` in `[databases.old]` and `[databases.new]`";
        report.error(raw.id.span(), "this step names no role whose writes it is about").help(help);
    }
}

fn present(context: &Context<'_>, place: &Text, report: &mut Report) {
    if context.raw.databases.is_none() && !report.lost("databases") {
        let help = "add `[databases.old]` and `[databases.new]`";
        report.error(place.span(), "the plan has no `[databases]`").help(help);
    }
}

pub(super) fn freeze(context: &Context<'_>, raw: &RawWriteLock, report: &mut Report) -> Kind {
    let (side, method, roles) = write_lock(context, raw, Side::Old, report);
    Kind::PostgresFreeze { side, method, roles }
}

pub(super) fn open(context: &Context<'_>, raw: &RawWriteLock, report: &mut Report) -> Kind {
    let (side, method, roles) = write_lock(context, raw, Side::New, report);
    Kind::PostgresOpen { side, method, roles }
}

fn write_lock(
    context: &Context<'_>,
    raw: &RawWriteLock,
    usual: Side,
    report: &mut Report,
) -> (Side, WriteLock, Vec<String>) {
    let side = report.read_or(raw.side.as_ref(), usual, |text| choice("a side", &SIDES, text));
    let method = report.read_or(raw.method.as_ref(), WriteLock::Revoke, |text| choice("a method", &METHODS, text));
    let database = context.raw.databases.as_ref().map(|raw| match side {
        Side::Old => raw.get_ref().old.get_ref(),
        Side::New => raw.get_ref().new.get_ref(),
    });
    // Faults of the section's own list are told there.
    let named = |list: &List| split(list).iter().map(|text| text.get_ref().as_str().to_owned()).collect();
    let roles = match &raw.roles {
        Some(list) => split(list).iter().filter_map(|text| report.read(text, identifier)).collect(),
        None => database.and_then(|raw| raw.writers.as_ref()).map(named).unwrap_or_default(),
    };
    (side, method, roles)
}

pub(super) fn sequences(raw: &RawSequences, report: &mut Report) -> Kind {
    let bounds = 0..=1_000_000_000;
    Kind::PostgresSyncSequences {
        headroom: report.read_or(raw.headroom.as_ref(), HEADROOM, |text| number(bounds, text)),
    }
}

pub(super) fn compare(raw: &RawCompare, report: &mut Report) -> Kind {
    let tables = raw.tables.iter().flat_map(split);
    Kind::PostgresCompare {
        tables: tables.filter_map(|text| report.read(&text, table)).collect(),
        sample_above: report.read_or(raw.sample_above.as_ref(), SAMPLE_ABOVE, |text| number(0..=u64::MAX, text)),
        ranges: report.read_or(raw.ranges.as_ref(), RANGES, |text| number(1..=1000, text)),
    }
}

/// What a metric of a database measures.
pub(super) fn measure(context: &Context<'_>, text: &Text, report: &mut Report) -> Option<DatabaseMeasure> {
    present(context, text, report);
    report.read(text, |text| choice("a measure of a database", &MEASURES, text))
}

/// Whose database a runner is observed in.
pub(super) fn watched(context: &Context<'_>, text: &Text, report: &mut Report) -> Option<Side> {
    present(context, text, report);
    let side = report.read(text, |text| choice("a database", &SIDES, text))?;
    let raw = context.raw.databases.as_ref().map(|raw| match side {
        Side::Old => raw.get_ref().old.get_ref(),
        Side::New => raw.get_ref().new.get_ref(),
    });
    if raw.is_some_and(|raw| raw.writers.as_ref().is_none_or(|list| split(list).is_empty())) {
        report
            .error(text.span(), "nobody is known to write there")
            .help("name the application's roles: `writers = [...]` in that database's section");
    }
    Some(side)
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// A name of PostgreSQL: anything that it does not cut off.
pub(super) fn identifier(text: &str) -> Result<String, Fault> {
    let ok = !text.is_empty() && text.len() <= LONGEST_NAME && !text.chars().any(char::is_control);
    let help = format!("write the name as PostgreSQL lists it, 1 to {LONGEST_NAME} bytes");
    if ok { Ok(text.to_owned()) } else { Err(Fault::new(format!("{} is not a name of PostgreSQL", quote(text)), help)) }
}

/// A replication slot has a stricter alphabet (`ReplicationSlotValidateName`).
fn slot(text: &str) -> Result<String, Fault> {
    let ok = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if ok {
        return identifier(text);
    }
    let message = format!("{} is not the name of a replication slot", quote(text));
    Err(Fault::new(message, "use lower-case letters, digits and underscores"))
}

/// `schema.table`, or a table of `public`.
pub(super) fn table(text: &str) -> Result<TableName, Fault> {
    let (schema, name) = text.split_once('.').unwrap_or(("public", text));
    Ok(TableName { schema: identifier(schema)?, name: identifier(name)? })
}

/// The name of an environment variable. A value in its place would be shown and journaled.
fn variable(text: &str) -> Result<String, Fault> {
    let letters = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let ok = !text.is_empty() && text.bytes().all(letters) && !text.starts_with(|c: char| c.is_ascii_digit());
    // What was written may be the secret itself: it is not repeated.
    let message = "this is not the name of an environment variable";
    let help = "write a name such as `OLD_DATABASE_PASSWORD`, never the password itself: a plan is shown and journaled";
    if ok { Ok(text.to_owned()) } else { Err(Fault::new(message, help)) }
}
