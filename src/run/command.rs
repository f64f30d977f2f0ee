//! What the engine is asked to do, by a person or by its own watches and executor.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    change::Preview,
    event::{Actor, Answer, Expiring, Observation, Outcome, Seat, Target, Trouble},
    finding::Finding,
    gate::{ConditionId, Evidence},
    guardrail::VerdictKind,
    interlock::Cell,
    phase::Direction,
    rehearsal::Rehearsal,
};
use crate::plan::{Role, Side, StepId};

/// A request, stamped with session time and its author by the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Session time.
    pub at: Timestamp,
    /// Who asks.
    pub by: Actor,
    /// For what.
    pub ask: Ask,
}

/// A request: a person's, or one that only the engine may make.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// A person's.
    Person(Request),
    /// The engine's own report of what it saw.
    Report(Report),
}

/// What a person at a cockpit may ask for: the only thing that crosses the socket towards the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Request {
    /// Take a seat. The driver's is given to the first who asks; `take` takes it over.
    Sit {
        /// The seat.
        seat: Seat,
        /// Take it from whoever has it.
        take: bool,
    },
    /// Arm a gate, having seen this.
    Arm {
        /// The step.
        step: StepId,
        /// Forward or back.
        direction: Direction,
        /// The evidence that was on the screen.
        seen: Evidence,
    },
    /// Close the gate.
    Disarm,
    /// The second key or the typed name, or the second person's confirmation.
    Confirm {
        /// The gate that was on the screen.
        gate: u64,
        /// The evidence that was on the screen.
        seen: Evidence,
        /// What was typed; None for a gate that asks for a key only.
        typed: Option<String>,
    },
    /// Stop a running attempt that can be stopped (a bake, a drain, a watch, a command).
    Stop {
        /// The step.
        step: StepId,
    },
    /// Go on without a step.
    Skip {
        /// The step.
        step: StepId,
        /// Why.
        reason: String,
    },
    /// Go past a condition.
    Override {
        /// The step.
        step: StepId,
        /// Which.
        condition: ConditionId,
        /// Its word, typed.
        typed: String,
        /// Why.
        reason: String,
    },
    /// Decide what an attempt in doubt did.
    Resolve {
        /// The step.
        step: StepId,
        /// True: it took effect.
        done: bool,
        /// The step's id, typed.
        typed: String,
        /// Why.
        reason: String,
    },
    /// Read the world again for an attempt in doubt.
    Observe {
        /// The step.
        step: StepId,
    },
    /// Tick or untick an item of a manual step.
    Tick {
        /// The step.
        step: StepId,
        /// Index of the item.
        item: u32,
        /// Ticked or not.
        done: bool,
    },
    /// Hold the run.
    Hold {
        /// Why.
        reason: String,
    },
    /// Release the hold.
    Release,
    /// Write something down.
    Note {
        /// The words.
        text: String,
    },
    /// Begin to roll back.
    BeginRollback {
        /// Why.
        reason: String,
    },
    /// Turn forward again.
    EndRollback,
    /// Read the exact change of a step now.
    Look {
        /// The step.
        step: StepId,
        /// Forward or back.
        direction: Direction,
    },
    /// End the session.
    End,
}

/// What the engine itself saw.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// A new session begins.
    Begin {
        /// Session id.
        session: String,
        /// Wall second in session seconds: scales dwell and patience.
        speed: f64,
    },
    /// What an earlier session of the same plan took.
    Rehearsed(Rehearsal),
    /// This engine takes over.
    Started {
        /// Process id.
        pid: u32,
        /// Host name.
        host: String,
        /// Program version.
        version: String,
    },
    /// A cockpit attached and wants this seat.
    Attached(Seat),
    /// A cockpit went away.
    Detached,
    /// Time passed.
    Passed,
    /// The engine stood still for so long, wall time: whoever looks again decides again.
    Stood(Duration),
    /// The exact change, as read now.
    Previewed {
        /// The step.
        step: StepId,
        /// Forward or back.
        direction: Direction,
        /// The change, or why it could not be read.
        result: Result<Preview, Trouble>,
    },
    /// The exact change, read once more after consent, or before the next part of a staged attempt.
    Reread {
        /// The step.
        step: StepId,
        /// The gate that was passed: an older look opens no newer gate.
        gate: u64,
        /// The part that would go next, from 0.
        part: u32,
        /// The change, or why it could not be read.
        result: Result<Preview, Trouble>,
    },
    /// A part of an attempt ended.
    Ended {
        /// The step.
        step: StepId,
        /// Attempt number.
        attempt: u32,
        /// Part index.
        part: u32,
        /// How.
        outcome: Outcome,
    },
    /// The world was read for an attempt.
    Observed {
        /// The step.
        step: StepId,
        /// Attempt number: what was seen for one attempt says nothing of another.
        attempt: u32,
        /// Part index.
        part: u32,
        /// What it showed.
        observation: Observation,
    },
    /// Current values, for the baseline.
    Baseline(BTreeMap<String, f64>),
    /// A guardrail's verdict.
    Verdict {
        /// Guardrail id.
        guardrail: String,
        /// The verdict.
        verdict: VerdictKind,
        /// The value.
        value: Option<f64>,
    },
    /// A check's verdict.
    Check {
        /// Check id.
        check: String,
        /// Where.
        target: Target,
        /// None: unknown.
        passing: Option<bool>,
        /// Why not.
        reason: Option<String>,
    },
    /// A resolver's answer.
    Resolver {
        /// Record id.
        record: String,
        /// Resolver name.
        resolver: String,
        /// The answer.
        answer: Answer,
    },
    /// A runner was observed.
    Runner {
        /// The side.
        side: Side,
        /// The role.
        role: Role,
        /// The cell.
        cell: Cell,
    },
    /// Who writes to a database that is closed to the application; see [`super::What::LeakChanged`].
    Leak {
        /// Whose database.
        side: Side,
        /// Who, and into which tables; None: nobody is seen to.
        who: Option<String>,
    },
    /// Where a counter stood when the new side was opened; see [`super::What::OpeningCounted`].
    Opening {
        /// Metric id.
        metric: String,
        /// Its newest value.
        value: f64,
    },
    /// Where it stood once the new side was closed again; see [`super::What::ClosingCounted`].
    Closing {
        /// Metric id.
        metric: String,
        /// Its value, counted after the closing.
        value: f64,
    },
    /// Everything that a look of the preflight found.
    Preflight(Vec<Finding>),
    /// For how long no request has reached the old side; see [`super::What::SilenceChanged`].
    Silence(Option<Duration>),
    /// When something ends.
    Expiry {
        /// What ends.
        of: Expiring,
        /// The host that shows the certificate.
        host: Option<String>,
        /// When; None: it does not, or does not say.
        until: Option<Timestamp>,
    },
    /// A source of truth failed or recovered.
    Source {
        /// Which.
        source: String,
        /// None: well.
        trouble: Option<Trouble>,
    },
}

/// Why a request was refused; shown to who asked, never journaled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{0}")]
pub struct Refusal(pub String);

impl Refusal {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}
