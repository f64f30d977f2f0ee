//! `[preflight]` as it is written.

use serde::Deserialize;

use super::{List, Text};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::plan) struct RawPreflight {
    pub(in crate::plan) secrets: Option<List>,
    pub(in crate::plan) not_secrets: Option<List>,
    pub(in crate::plan) task_roles: Option<List>,
    pub(in crate::plan) log_groups: Option<List>,
    pub(in crate::plan) log_silence: Option<Text>,
}
