//! `[databases]` and the `postgres.*` steps as they are written.

use serde::Deserialize;
use toml::Spanned;

use super::{List, Text};

/// `[databases]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::plan) struct RawDatabases {
    pub(in crate::plan) publication: Option<Text>,
    pub(in crate::plan) slot: Option<Text>,
    pub(in crate::plan) subscription: Option<Text>,
    pub(in crate::plan) heartbeat: Option<Text>,
    pub(in crate::plan) old: Spanned<RawDatabase>,
    pub(in crate::plan) new: Spanned<RawDatabase>,
}

/// `[databases.SIDE]`: `host`, `name` and `user`, or `url_env`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::plan) struct RawDatabase {
    pub(in crate::plan) host: Option<Text>,
    pub(in crate::plan) port: Option<Text>,
    pub(in crate::plan) name: Option<Text>,
    pub(in crate::plan) user: Option<Text>,
    pub(in crate::plan) password_env: Option<Text>,
    pub(in crate::plan) url_env: Option<Text>,
    pub(in crate::plan) sslmode: Option<Text>,
    pub(in crate::plan) ca_file: Option<Text>,
    pub(in crate::plan) writers: Option<List>,
}

/// `postgres.wait-caught-up` has no option of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::plan) struct RawCaughtUp {}

/// `postgres.freeze` and `postgres.open`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::plan) struct RawWriteLock {
    pub(in crate::plan) side: Option<Text>,
    pub(in crate::plan) method: Option<Text>,
    pub(in crate::plan) roles: Option<List>,
}

/// `postgres.sync-sequences`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::plan) struct RawSequences {
    pub(in crate::plan) headroom: Option<Text>,
}

/// `postgres.compare`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::plan) struct RawCompare {
    pub(in crate::plan) tables: Option<List>,
    pub(in crate::plan) sample_above: Option<Text>,
    pub(in crate::plan) ranges: Option<Text>,
}
