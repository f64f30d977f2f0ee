//! What happened and what may happen next: events, their fold, and `decide`.
//!
//! Pure: plain data in, plain data out; no clock, no I/O, no async. The engine asks `decide` what a command leads to,
//! writes the events down, folds them with [`State::apply`], and only then does what [`effects`] says.

mod change;
mod command;
mod event;
mod gate;
mod guardrail;
mod interlock;
mod phase;
mod sample;
mod state;

pub use change::{Change, Part, Preview, Row, side_of};
pub use command::{Ask, Command, Refusal, Report, Request};
pub use event::{Actor, Answer, Event, Observation, Operator, Outcome, Seat, Target, Trouble, TroubleKind, What};
pub use gate::{Condition, ConditionId, Evidence, Gate};
pub use guardrail::{Datum, Verdict, VerdictKind, judge};
pub use interlock::{Cell, Matrix, Violation};
pub use phase::{Direction, Phase, Trigger};
pub use sample::{CheckSample, ProbeSample, Sample};
pub use state::*;
