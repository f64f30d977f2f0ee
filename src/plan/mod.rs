//! What the operator wrote: raw TOML, an environment's overlay, and the validated [`Plan`].
//!
//! Pure: no clock, no I/O, no async.

mod kind;
mod model;
mod record;

pub use kind::{Kind, Stage};
pub use model::*;
pub use record::{Action, Alias, OtherType, Record, RecordSet, RecordType, Weighted, batch};
