//! What happened: the one ordered list that everything is folded from.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    change::{Change, Preview},
    finding::{Finding, Standing},
    gate::{ConditionId, Evidence},
    guardrail::VerdictKind,
    interlock::Cell,
    operator::Operator,
    phase::Direction,
    rehearsal::Rehearsal,
};
use crate::plan::{GateLevel, Role, Side, StepId};

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// 1, 2, 3, ... without a gap.
    pub seq: u64,
    /// Session time.
    pub at: Timestamp,
    /// Who caused it.
    pub by: Actor,
    /// What happened.
    pub what: What,
}

/// Who caused an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Actor {
    /// The engine itself.
    Engine,
    /// A person at a cockpit.
    Operator(Operator),
}

impl Actor {
    /// How the actor is shown.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Engine => "engine",
            Self::Operator(operator) => &operator.name,
        }
    }
}

/// What an attached person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seat {
    /// Looks.
    Viewer,
    /// Acts; one at a time.
    Driver,
    /// Confirms two-person gates.
    Confirmer,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// The first event of every journal.
    SessionStarted {
        /// Session id.
        session: String,
        /// Plan name.
        plan: String,
        /// Environment name.
        environment: String,
        /// [`crate::plan::Plan::hash`].
        plan_hash: String,
        /// Ids of the steps, in plan order.
        steps: Vec<StepId>,
        /// How long a gate must have been looked at before its second key counts, session time.
        dwell: Duration,
        /// How long an armed gate stays open, session time.
        patience: Duration,
    },
    /// What the newest finished session of the same plan took, read when this one began.
    Rehearsed(Rehearsal),
    /// An engine took over: the first of a session, or after a crash.
    EngineStarted {
        /// Process id.
        pid: u32,
        /// Host name.
        host: String,
        /// Program version.
        version: String,
    },
    /// A cockpit attached.
    Attached {
        /// Its seat.
        seat: Seat,
    },
    /// A cockpit went away.
    Detached,
    /// The actor is now in this seat (a driver who was there becomes a viewer).
    SeatTaken {
        /// The seat.
        seat: Seat,
    },
    /// The exact change of a step was read from the world and differs from what was known.
    Previewed {
        /// The step.
        step: StepId,
        /// Forward or back.
        direction: Direction,
        /// The change.
        preview: Preview,
    },
    /// The change could not be read.
    PreviewFailed {
        /// The step.
        step: StepId,
        /// Forward or back.
        direction: Direction,
        /// Why.
        trouble: Trouble,
    },
    /// A gate was armed.
    Armed {
        /// The step.
        step: StepId,
        /// Forward or back.
        direction: Direction,
        /// What the second key must match; unique in the session.
        gate: u64,
        /// What must be done to pass.
        level: GateLevel,
        /// What was seen.
        evidence: Evidence,
    },
    /// The armed gate closed without an act.
    Disarmed {
        /// Why, and what changed.
        reason: String,
    },
    /// The driver typed a two-person gate's name; it waits for the second person.
    Typed,
    /// The gate is passed. The world is read once more before the intent.
    Consented {
        /// The second person of a two-person gate.
        second: Option<Operator>,
    },
    /// The write-ahead entry: this change is about to be sent.
    Intended {
        /// The step.
        step: StepId,
        /// Forward or back.
        direction: Direction,
        /// 1, 2, ... per step.
        attempt: u32,
        /// Part of the attempt, from 0.
        part: u32,
        /// Parts in all.
        parts: u32,
        /// How long to stay there afterwards.
        bake: Duration,
        /// Same token, same effect.
        token: String,
        /// What is sent.
        change: Change,
    },
    /// A new engine took up a read-only attempt that the old one had begun.
    Resumed {
        /// The step.
        step: StepId,
    },
    /// A part of an attempt ended.
    Ended {
        /// The step.
        step: StepId,
        /// How.
        outcome: Outcome,
    },
    /// The world was read to tell whether an attempt took effect.
    Observed {
        /// The step.
        step: StepId,
        /// What it showed.
        observation: Observation,
    },
    /// What an attempt had sent took effect after all, after the world had shown that it had not: an answer that was lost,
    /// and a request that was not.
    Arrived {
        /// The step.
        step: StepId,
    },
    /// A person decided what an attempt in doubt did.
    Resolved {
        /// The step.
        step: StepId,
        /// True: it took effect.
        done: bool,
        /// Why the person believes so.
        reason: String,
    },
    /// A person goes on without a step.
    Skipped {
        /// The step.
        step: StepId,
        /// Why.
        reason: String,
    },
    /// An item of a manual step was ticked or unticked.
    Ticked {
        /// The step.
        step: StepId,
        /// Index of the item, from 0.
        item: u32,
        /// Ticked or not.
        done: bool,
    },
    /// A person went past a condition of a gate.
    Overridden {
        /// The step.
        step: StepId,
        /// Which condition.
        condition: ConditionId,
        /// Why.
        reason: String,
    },
    /// A person holds the run.
    HoldRaised {
        /// Why.
        reason: String,
    },
    /// The person's hold is over.
    HoldReleased,
    /// A person wrote something down.
    Noted {
        /// The words.
        text: String,
    },
    /// Rollback began: from here on only undos run.
    RollbackStarted {
        /// Why.
        reason: String,
    },
    /// Rollback is over: everything that was applied is undone, or a person turned forward again.
    RollbackEnded {
        /// True: nothing applied is left.
        complete: bool,
    },
    /// The values that relative guardrails are measured against.
    BaselineCaptured {
        /// Metric id to value.
        values: BTreeMap<String, f64>,
    },
    /// A guardrail's verdict changed.
    VerdictChanged {
        /// Guardrail id.
        guardrail: String,
        /// The verdict.
        verdict: VerdictKind,
        /// The value that it was given for.
        value: Option<f64>,
    },
    /// A check's verdict changed on one target.
    CheckChanged {
        /// Check id.
        check: String,
        /// Where it was asked.
        target: Target,
        /// None: no answer is known.
        passing: Option<bool>,
        /// Why it does not pass.
        reason: Option<String>,
    },
    /// What a resolver answers for a record changed in kind.
    ResolverChanged {
        /// Record id.
        record: String,
        /// Resolver name, or `authority`.
        resolver: String,
        /// What it answers.
        answer: Answer,
    },
    /// A cell of the interlock matrix changed.
    RunnerChanged {
        /// The side.
        side: Side,
        /// The role.
        role: Role,
        /// What is observed.
        cell: Cell,
    },
    /// Where the counter of what the new side writes stood just before the new side was opened to customers or writers.
    OpeningCounted {
        /// Metric id.
        metric: String,
        /// Its newest value.
        value: f64,
    },
    /// Where it stood just after the new side was closed to them again, which is what going back has lost.
    ClosingCounted {
        /// Metric id.
        metric: String,
        /// Its first value that was counted after the closing.
        value: f64,
    },
    /// Somebody writes to a database that is closed to the application's roles, or does not any more.
    LeakChanged {
        /// Whose database.
        side: Side,
        /// Who, and into which tables; None: nobody is seen to.
        who: Option<String>,
    },
    /// A source of truth could not be read, or can be again.
    SourceChanged {
        /// Which (`cloudwatch`, `heroku`, `route53`, ...).
        source: String,
        /// None: all is well again.
        trouble: Option<Trouble>,
    },
    /// The first look of the preflight in this session.
    PreflightTaken {
        /// Everything that it found.
        findings: Vec<Finding>,
    },
    /// A later look of the preflight found something otherwise.
    FindingChanged {
        /// What it found.
        finding: Finding,
        /// How it stood before; None: it was not known.
        was: Option<Standing>,
    },
    /// For how long no request has reached the old side, in the steps that the plan asks about.
    SilenceChanged {
        /// The longest demanded time that is fulfilled, else zero; None: it is not measured.
        lasting: Option<Duration>,
    },
    /// When something ends was seen for the first time, or changed.
    ExpirySeen {
        /// What ends.
        of: Expiring,
        /// The host that shows the certificate.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// When; None: it does not, or does not say.
        until: Option<Timestamp>,
    },
    /// The session is over; nothing more will happen in it.
    SessionEnded,
}

/// What ends and takes the way forward or the way back with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expiring {
    /// The AWS credentials of the engine: after them nothing can be undone either.
    Credentials,
    /// The key that Heroku is called with.
    HerokuKey,
    /// A certificate of the old side: it is not renewed once DNS has left.
    OldCertificate,
    /// A certificate of the new side.
    NewCertificate,
}

/// Where a check was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// The name, as customers resolve it.
    Live,
    /// The old side's own address.
    Old,
    /// The new side's own address.
    New,
}

/// The kind of a resolver's answer for a moving record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The old side.
    Old,
    /// The old side, and its TTL is above what the authority gives.
    OldStretched,
    /// The old side at TTL 0, again and again.
    OldStale,
    /// The new side.
    New,
    /// Neither.
    Other,
    /// A negative answer.
    Negative,
    /// No answer.
    Silent,
}

/// Why something outside could not be done or read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The call, e.g. `route53:ChangeResourceRecordSets`.
    pub call: String,
    /// What was answered, cleaned of control characters.
    pub reason: String,
    /// What kind.
    pub kind: TroubleKind,
    /// When it is tried again, session time; None: when a person asks.
    pub next_try: Option<Timestamp>,
}

/// What kind of trouble, so that the remedy can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TroubleKind {
    /// Too many requests.
    Throttled,
    /// Credentials missing, expired or not allowed.
    Credentials,
    /// No connection, or no answer in time.
    Unreachable,
    /// The service said no.
    Refused,
    /// An answer that cannot be right.
    Garbled,
    /// The world is not as the plan expects.
    Unexpected,
}

/// How a part of an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It was accepted.
    Done {
        /// When the change was in sync everywhere (Route 53 INSYNC), session time.
        in_sync: Option<Timestamp>,
        /// One line for people.
        summary: String,
    },
    /// It is known to have had no effect.
    Failed {
        /// Why.
        trouble: Trouble,
    },
    /// Nobody knows: the answer was lost.
    InDoubt {
        /// Why.
        trouble: Trouble,
    },
    /// The operator stopped it.
    Stopped,
}

/// What the world shows of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "observed", rename_all = "kebab-case")]
pub enum Observation {
    /// As after the change.
    Done,
    /// As before the change.
    NotDone {
        /// What was seen.
        seen: String,
    },
    /// As after the change, which is to be put back on the way back; but what belongs to it is not done, and the next
    /// attempt does it.
    Unfinished {
        /// What is left to do.
        left: String,
    },
    /// Neither, or it could not be read.
    Unknown {
        /// Why.
        reason: String,
    },
}
