//! The fields of `rds.*` steps as they are written.

use serde::Deserialize;

use super::{List, Text};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::plan) struct RawRdsRestore {
    pub(in crate::plan) instance: Text,
    pub(in crate::plan) snapshot: Option<Text>,
    pub(in crate::plan) max_age: Option<Text>,
    pub(in crate::plan) to: Text,
    pub(in crate::plan) class: Option<Text>,
    pub(in crate::plan) subnet_group: Option<Text>,
    pub(in crate::plan) parameter_group: Option<Text>,
    pub(in crate::plan) security_groups: Option<List>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::plan) struct RawRdsSnapshot {
    pub(in crate::plan) instance: Text,
    pub(in crate::plan) prefix: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::plan) struct RawRdsPromote {
    pub(in crate::plan) replica: Text,
    pub(in crate::plan) max_lag: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::plan) struct RawRdsSwitchover {
    pub(in crate::plan) deployment: Text,
    pub(in crate::plan) switchover_timeout: Option<Text>,
}
