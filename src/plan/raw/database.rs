//! `[databases]` as it is written.

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
