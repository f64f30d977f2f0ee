//! The engine: the only process that acts. It owns the state, outlives every screen, and is found again after a crash.
//!
//! | file | what it does |
//! |---|---|
//! | `scribe` | decide, write down, fold: the only writer of the log |
//! | `coordinator` | one loop over requests, reports, findings and time; does what an event's effect says |
//! | `executor` | runs one effect in the world and reports its end |
//! | `health` | what the watches see, for steps that wait |
//! | `telemetry` | keeps what was measured beside the journal, for the report |
//! | `stall` | tells what was pressed while the engine stood still |
//! | `rehearsed` | what the newest finished session of the same plan took |
//! | `boot` | lock, replay or begin, sandbox assertions, sockets; then the loop |

mod boot;
mod coordinator;
mod executor;
mod health;
mod rehearsed;
mod scribe;
mod stall;
mod telemetry;

pub use boot::{EngineError, Setup, serve};
pub use scribe::{Scribe, SubmitError, Written};
