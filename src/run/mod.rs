//! What happened and what may happen next: events, their fold, and `decide`.
//!
//! Pure: plain data in, plain data out; no clock, no I/O, no async. The engine asks [`decide`] what a command leads to,
//! writes the events down, folds them with [`State::apply`], and only then does what [`effect`] says.
//!
//! | file | what it holds |
//! |---|---|
//! | `event` | the vocabulary of the log |
//! | `operator` | the people: what of them is proven, and what they may do |
//! | `state`, `apply` | what is true, and the fold that makes it so |
//! | `phase` | the one table of transitions |
//! | `command`, `decide/` | what may be asked, and what it leads to |
//! | `gate`, `conditions`, `hold`, `alarm` | evidence and consent; what must hold; what holds the run; what people are told |
//! | `interlock`, `guardrail`, `price`, `loss` | never two, never none; verdicts; the way back, and what it loses |
//! | `finding` | what a preflight found |
//! | `lasting` | what ends by itself while the run, or the way back, still needs it |
//! | `bill` | what CloudWatch bills for watching |
//! | `rehearsal`, `outcome` | what an earlier session of the same plan took; what this one came to |
//! | `change`, `task`, `database`, `effect`, `drain` | the exact change as data; what follows from an event |
//! | `by_hand`, `plight`, `way_back` | a change, an undo that failed, and the whole way back, as commands that a person can type |
//! | `sample` | the lossy stream beside the log |

mod alarm;
mod apply;
mod bill;
mod by_hand;
mod change;
mod command;
mod conditions;
mod database;
mod decide;
mod describe;
mod drain;
mod effect;
mod event;
mod finding;
mod gate;
mod guardrail;
mod hold;
mod interlock;
mod lasting;
mod loss;
mod maintenance;
mod operator;
mod outcome;
mod phase;
mod plight;
mod price;
mod rehearsal;
mod sample;
mod split;
mod state;
mod task;
#[cfg(test)]
mod tests;
mod way_back;

pub use alarm::alarms;
pub use apply::{ALIAS_TTL, Illegal};
pub use bill::{hourly_bill, metric_round};
pub use by_hand::{ByHand, by_hand, command as shell_command};
pub use change::{Change, Part, Preview, RdsChange, Row, side_of};
pub use command::{Ask, Command, Refusal, Report, Request};
pub use conditions::{
    active, answer_word, breached, clock_text, conditions, enough_answer, resolvers_agree, role_word, verdict_word,
};
pub use database::{Access, Grant, Position, access_sql, is_on, qualified, quoted};
pub use decide::{DWELL, PATIENCE, decide, due};
pub use describe::{describe, expiring_word, names_itself, seat_word, side_word, silent_of_direction, target_word};
pub use drain::Drain;
pub use effect::{Effect, effect, observe, recovery, reread};
pub use event::{Actor, Answer, Event, Expiring, Observation, Outcome, Seat, Target, Trouble, TroubleKind, What};
pub use finding::{Finding, RELEASE, Standing, tally};
pub use gate::{Condition, ConditionId, Evidence, Gate, typed_words};
pub use guardrail::{Datum, Verdict, VerdictKind, judge};
pub use hold::{Hold, HoldKind, holds, turn};
pub use interlock::{Cell, LastRead, Matrix, Violation, doubled, effects as runner_effects, misplaced, missing};
pub use lasting::{Ending, Lasting, Needed, lasting, needed};
pub use loss::{Written, closed_at, closing, counter, ever_opened_at, opened_at, opens, written};
pub use maintenance::{in_maintenance, maintenance_since};
pub use operator::{Claim, ClaimedBy, May, Operator, Origin};
pub use outcome::outcome;
pub use phase::{Direction, Phase, Trigger};
pub use plight::Plight;
pub use price::{Forecast, Price, forecast, point_passed, price, total_after};
pub use rehearsal::Rehearsal;
pub use sample::{CheckSample, HerokuSample, ProbeSample, Sample};
pub use split::split;
pub use state::*;
pub use task::{Task, TaskLog, started_by};
pub use way_back::rollback_script;
