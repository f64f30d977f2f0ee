//! What the operator wrote: raw TOML, an environment's overlay of variables, and the validated [`Plan`].
//!
//! ```text
//! text -> tree (every place kept) -> variables expanded -> raw types (serde, unknown fields refused) -> rules -> Plan
//! ```
//!
//! Every stage reports what it finds and goes on, so that [`load`] tells all errors at once, each with its place.
//! Pure: no clock, no I/O, no async.
//!
//! Rejected: deserializing straight into [`Plan`]. serde stops at the first error, an error after substitution would
//! lose its place, and rules that look at two parts of the file would have nowhere to point.

mod database;
mod error;
mod expect;
mod ids;
mod kind;
mod load;
mod metric;
mod model;
mod people;
mod preflight;
mod raw;
mod rds;
mod record;
mod rules;
mod scalar;
#[cfg(test)]
mod tests;
mod tree;
mod vars;

pub use database::{Database, DatabaseAddress, DatabaseMeasure, Databases, SslMode, TableName, WriteLock};
pub use error::{PlanErrors, Problem, Related, Severity};
pub use kind::{Kind, Launch, Stage, TaskSpec};
pub use load::{Checked, check, environments, load, sandbox_placeholders};
pub use metric::*;
pub use model::*;
pub use people::{Access, EVERYONE, NOTIFY_FIELDS, NOTIFY_TEMPLATE, Notify, NotifyFormat, Topic};
pub use preflight::{Preflight, SecretPlace, SecretStore};
pub use rds::{RdsKind, RestoreTarget};
pub use record::{Action, Alias, OtherType, Record, RecordSet, RecordType, Weighted, batch};
