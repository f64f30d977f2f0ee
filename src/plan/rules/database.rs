//! The two databases: where they are, how they are reached, what replicates one into the other.

use std::{net::IpAddr, path::PathBuf};

use toml::Spanned;

use super::{
    super::{
        database::{Database, DatabaseAddress, Databases, SslMode, TableName},
        error::Report,
        model::Side,
        raw::{RawDatabase, Text, split},
        scalar::{Fault, choice, number, quote, words},
    },
    Context,
    world::host,
};

/// What publication, slot and subscription are called unless the plan says otherwise.
const REPLICATION: &str = "cutover";
const PORT: u16 = 5432;
/// PostgreSQL cuts longer names off without a word (NAMEDATALEN).
const LONGEST_NAME: usize = 63;

const SSLMODES: [(&str, SslMode); 3] =
    [("disable", SslMode::Disable), ("require", SslMode::Require), ("verify-full", SslMode::VerifyFull)];

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
