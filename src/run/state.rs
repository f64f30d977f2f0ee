//! What is true: the fold of the log.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    change::{Change, Part, Preview},
    drain::Drain,
    event::{Answer, Event, Outcome, Seat, Target, Trouble},
    finding::Finding,
    gate::{ConditionId, Evidence, Gate},
    guardrail::VerdictKind,
    interlock::{LastRead, Matrix},
    lasting::Ending,
    operator::Operator,
    phase::{Direction, Phase},
    rehearsal::Rehearsal,
};
use crate::plan::{Plan, Record, Role, Side, StepId};

/// How many events the screen can scroll back through without the journal.
pub const LOG_LENGTH: usize = 500;

/// Everything that the log says, as of its last event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Sequence number of the last event.
    pub seq: u64,
    /// When the last event happened.
    pub at: Option<Timestamp>,
    /// None until the first event.
    pub session: Option<Session>,
    /// What an earlier session of the same plan took; None: there was none on this machine.
    #[serde(default)]
    pub rehearsed: Option<Rehearsal>,
    /// One a step, in plan order.
    pub steps: Vec<StepState>,
    /// The armed gate; at most one.
    pub gate: Option<Gate>,
    /// Gates armed so far; the next gate's id is one more.
    pub gates: u64,
    /// Why the last gate closed without an act, until the next is armed.
    pub disarmed: Option<Disarmed>,
    /// Only undos run.
    pub rollback: Option<Rollback>,
    /// A rollback ran to its end.
    pub rolled_back: bool,
    /// A person holds the run.
    pub hold: Option<ManualHold>,
    /// Who is attached.
    pub operators: Vec<(Operator, Seat)>,
    /// The driver who went away without leaving the seat; None once somebody drives.
    #[serde(default)]
    pub away: Option<Away>,
    /// Observed runners.
    pub runners: Matrix,
    /// What cells of the matrix were when they could not be read any more; one each.
    #[serde(default)]
    pub last_read: Vec<LastRead>,
    /// Roles that have been seen running, on whichever side: one of them that runs nowhere is missed.
    #[serde(default)]
    pub ran: BTreeSet<Role>,
    /// Who writes to a side's database although it is closed to the application's roles.
    #[serde(default)]
    pub leaks: BTreeMap<Side, String>,
    /// Guardrail id to verdict.
    pub verdicts: BTreeMap<String, VerdictState>,
    /// Metric id to baseline.
    pub baseline: BTreeMap<String, f64>,
    /// Where the counter of what the new side writes stood when the new side was opened; it stays after a rollback.
    #[serde(default)]
    pub opening: Option<Counted>,
    /// Where it stood once the new side was closed again; an older one than [`super::closed_at`] tells nothing any more.
    #[serde(default)]
    pub closing: Option<Counted>,
    /// Check verdicts.
    pub checks: Vec<CheckState>,
    /// Resolver answers.
    pub answers: Vec<AnswerState>,
    /// Record name to the TTL that still drains.
    pub drains: BTreeMap<String, Drain>,
    /// For how long at least no request has reached the old side: the longest that a step of the plan demands and that is
    /// fulfilled, else zero. None: it is not measured.
    #[serde(default)]
    pub silence: Option<Duration>,
    /// When everything ends that the run, or the way back, needs; one each of what, and of which host.
    #[serde(default)]
    pub endings: Vec<Ending>,
    /// Sources that cannot be read.
    pub troubles: BTreeMap<String, Trouble>,
    /// What the preflight found, in its order; empty: it has not looked yet.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Conditions that a person went past.
    pub overrides: BTreeSet<(StepId, ConditionId)>,
    /// The newest events, oldest first.
    pub log: VecDeque<Event>,
    /// The session is over.
    pub ended: bool,
}

/// What the session's first events said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Session id.
    pub id: String,
    /// Plan name.
    pub plan: String,
    /// Environment name.
    pub environment: String,
    /// Hash of the frozen plan.
    pub plan_hash: String,
    /// When it began.
    pub started_at: Timestamp,
    /// How long a gate must have been looked at before its second key counts.
    pub dwell: Duration,
    /// How long an armed gate stays open.
    pub patience: Duration,
    /// How many engines have run it; more than 1 after a crash.
    pub engines: u32,
    /// The engine: process id, host, version.
    pub engine: Option<(u32, String, String)>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepState {
    /// Its id.
    pub id: StepId,
    /// Stored phase: never `Ready`, `Armed` nor `Accepted`, which [`State::phase`] derives.
    pub phase: Phase,
    /// Direction of the last attempt.
    pub direction: Direction,
    /// When the phase was entered.
    pub since: Option<Timestamp>,
    /// All attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// The exact change forward, if known.
    pub forward: Option<Preview>,
    /// The exact undo, if known.
    pub back: Option<Preview>,
    /// Why the preview could not be read.
    pub trouble: Option<Trouble>,
    /// Parts that took effect and are not undone, oldest first.
    pub applied: Vec<Change>,
    /// What was sent forward last and was seen not to have taken effect: it may still arrive, and only this knows what
    /// was there before it.
    pub missed: Option<Change>,
    /// Ticked items of a manual step.
    pub ticked: BTreeSet<u32>,
    /// Why it is failed, in doubt or skipped.
    pub reason: Option<String>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// 1, 2, ...
    pub number: u32,
    /// Forward or back.
    pub direction: Direction,
    /// The gate that it passed.
    pub gate: u64,
    /// Who consented.
    pub by: Vec<String>,
    /// What was consented to, all parts.
    pub parts: Vec<Part>,
    /// Evidence that was consented to.
    pub evidence: Evidence,
    /// Index of the part sent last.
    pub part: u32,
    /// Token of the part sent last: what was started with it is found again by it.
    #[serde(default)]
    pub token: String,
    /// The part sent last has not ended.
    pub in_flight: bool,
    /// The world was read for it since its last part ended.
    pub observed: bool,
    /// The next part may go from here on; None: no part waits.
    pub baking_until: Option<Timestamp>,
    /// When its intent was written.
    pub started_at: Timestamp,
    /// When it ended (verified).
    pub ended_at: Option<Timestamp>,
    /// How long of that it stood in doubt, or its next part waited longer than its bake: nobody's work.
    #[serde(default)]
    pub idle: Duration,
    /// How its last part ended.
    pub outcome: Option<Outcome>,
}

/// Why a gate closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disarmed {
    /// Of which step.
    pub step: StepId,
    /// When.
    pub at: Timestamp,
    /// Why, and what changed.
    pub reason: String,
}

/// A rollback under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// When it began.
    pub at: Timestamp,
    /// Who began it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A driver who went away: the connection broke, or the engine died.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Away {
    /// Who.
    pub operator: Operator,
    /// Since when.
    pub since: Timestamp,
}

/// A person's hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManualHold {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Where the counter of what the new side writes stood at a moment that matters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// When.
    pub at: Timestamp,
    /// The metric that counts what is written there.
    pub metric: String,
    /// Where it stood, in the metric's unit.
    pub value: f64,
}

/// A guardrail's verdict as last journaled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerdictState {
    /// The verdict.
    pub kind: VerdictKind,
    /// Since when.
    pub since: Timestamp,
    /// The value it was given for.
    pub value: Option<f64>,
}

/// A check's verdict as last journaled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckState {
    /// Check id.
    pub check: String,
    /// Where it was asked.
    pub target: Target,
    /// None: unknown.
    pub passing: Option<bool>,
    /// Why not.
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// A resolver's answer as last journaled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerState {
    /// Record id.
    pub record: String,
    /// Resolver name, or [`AUTHORITY`].
    pub resolver: String,
    /// What it answers.
    pub answer: Answer,
    /// Since when.
    pub since: Timestamp,
}

/// How the authoritative servers are called beside the resolvers.
pub const AUTHORITY: &str = "authority";

impl StepState {
    /// A step that nobody has touched.
    #[must_use]
    pub const fn new(id: StepId) -> Self {
        Self {
            id,
            phase: Phase::Waiting,
            direction: Direction::Forward,
            since: None,
            attempts: Vec::new(),
            forward: None,
            back: None,
            trouble: None,
            applied: Vec::new(),
            missed: None,
            ticked: BTreeSet::new(),
            reason: None,
        }
    }

    /// The last attempt.
    #[must_use]
    pub fn attempt(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// A staged attempt that waits between two parts.
    #[must_use]
    pub fn baking(&self) -> bool {
        self.phase == Phase::Running && self.attempt().is_some_and(|a| !a.in_flight && a.baking_until.is_some())
    }

    /// The known exact change in a direction.
    #[must_use]
    pub const fn preview(&self, direction: Direction) -> Option<&Preview> {
        match direction {
            Direction::Forward => self.forward.as_ref(),
            Direction::Back => self.back.as_ref(),
        }
    }

    /// What it sent last was seen not to have taken effect, and nothing else was tried since: it is looked at again.
    #[must_use]
    pub fn may_arrive(&self) -> bool {
        let forward = self.attempt().is_some_and(|attempt| attempt.direction == Direction::Forward);
        self.missed.is_some() && forward && matches!(self.phase, Phase::Failed | Phase::Skipped)
    }

    /// The tokens of the attempts before the last one that went the same way and were seen not to have taken effect, back
    /// to the first that was not; oldest first.
    #[must_use]
    pub fn missed_tokens(&self) -> Vec<String> {
        let Some((last, before)) = self.attempts.split_last() else { return Vec::new() };
        let missed = |attempt: &&Attempt| {
            let failed = matches!(attempt.outcome, Some(Outcome::Failed { .. }));
            attempt.observed && failed && attempt.direction == last.direction && attempt.part == last.part
        };
        let mut tokens: Vec<_> = before.iter().rev().take_while(missed).map(|attempt| attempt.token.clone()).collect();
        tokens.reverse();
        tokens
    }

    /// Something that it did to the world stands and can be put back.
    #[must_use]
    pub fn undoable(&self) -> bool {
        Change::reversal_of(&self.applied).is_some()
    }

    /// How long its forward attempts ran, without the time that people took.
    #[must_use]
    pub fn spent(&self, now: Timestamp) -> Duration {
        let forward = self.attempts.iter().filter(|attempt| attempt.direction == Direction::Forward);
        // What stands in doubt does not run.
        let now = self.since.filter(|_| self.phase == Phase::InDoubt).unwrap_or(now);
        forward.map(|attempt| attempt.ran(now)).sum()
    }
}

impl Attempt {
    /// How long it ran, until it ended or until now: bakes are in it, waiting for people is not.
    #[must_use]
    pub fn ran(&self, now: Timestamp) -> Duration {
        let end = self.ended_at.unwrap_or(now);
        let all = Duration::try_from(end.duration_since(self.started_at)).unwrap_or(Duration::ZERO);
        all.saturating_sub(self.idle)
    }

    /// Whether any part of it changes the world.
    #[must_use]
    pub fn acts(&self) -> bool {
        self.parts.iter().any(|part| !part.change.is_nothing())
    }
}

impl State {
    /// The state of a step.
    #[must_use]
    pub fn step(&self, id: &StepId) -> Option<&StepState> {
        self.steps.iter().find(|step| step.id == *id)
    }

    pub(super) fn step_mut(&mut self, id: &StepId) -> Option<&mut StepState> {
        self.steps.iter_mut().find(|step| step.id == *id)
    }

    /// Where a step stands, with `Ready`, `Armed` and `Accepted` derived from its needs and the gate.
    #[must_use]
    pub fn phase(&self, plan: &Plan, id: &StepId) -> Phase {
        let Some(step) = self.step(id) else { return Phase::Waiting };
        let gate = self.gate.as_ref().filter(|gate| gate.step == *id);
        match step.phase {
            _ if gate.is_some_and(|gate| gate.consented) => Phase::Accepted,
            _ if gate.is_some() => Phase::Armed,
            Phase::Waiting if self.needs_met(plan, id) => Phase::Ready,
            phase => phase,
        }
    }

    /// The steps that it needs are done or skipped.
    #[must_use]
    pub fn needs_met(&self, plan: &Plan, id: &StepId) -> bool {
        self.unmet_needs(plan, id).next().is_none()
    }

    /// Steps that it needs and that are neither done nor skipped.
    pub fn unmet_needs<'a>(&'a self, plan: &'a Plan, id: &StepId) -> impl Iterator<Item = &'a StepId> {
        let needs = plan.step(id).map_or(&[][..], |step| &step.needs);
        needs.iter().filter(|need| !self.step(need).is_some_and(|step| step.phase.settled()))
    }

    /// The step that the run is at: in flight, else the first that is not settled.
    #[must_use]
    pub fn current(&self) -> Option<&StepState> {
        let busy = self.steps.iter().find(|step| step.phase.in_flight());
        busy.or_else(|| self.steps.iter().find(|step| !step.phase.settled()))
    }

    /// Where the run is: at what is in flight, at the next undo while it is rolled back, else at the current step.
    #[must_use]
    pub fn here(&self) -> Option<&StepState> {
        let undo = || self.rollback.as_ref().and_then(|_| self.next_undo());
        self.steps.iter().find(|step| step.phase.in_flight()).or_else(undo).or_else(|| self.current())
    }

    /// The next step to undo: the last one in plan order of which something stands.
    #[must_use]
    pub fn next_undo(&self) -> Option<&StepState> {
        self.steps.iter().rev().find(|step| step.undoable())
    }

    /// Everything in the plan is done or skipped.
    #[must_use]
    pub fn complete(&self) -> bool {
        !self.steps.is_empty() && self.steps.iter().all(|step| step.phase.settled())
    }

    /// Who holds a seat.
    pub fn seated(&self, seat: Seat) -> impl Iterator<Item = &Operator> {
        self.operators.iter().filter(move |(_, theirs)| *theirs == seat).map(|(operator, _)| operator)
    }

    /// The driver.
    #[must_use]
    pub fn driver(&self) -> Option<&Operator> {
        self.seated(Seat::Driver).next()
    }

    /// The driver who is away and for whom the seat is still kept; None: it is anybody's. It is kept for as long as a
    /// gate stays open: whoever wants it sooner takes it over explicitly.
    #[must_use]
    pub fn kept_for(&self, now: Timestamp) -> Option<&Away> {
        let patience = self.session.as_ref()?.patience;
        let away = self.away.as_ref().filter(|_| self.driver().is_none())?;
        away.since.checked_add(patience).is_ok_and(|until| now < until).then_some(away)
    }

    /// The evidence that a person who looks at this step now would see; None while the change is not known.
    #[must_use]
    pub fn evidence(&self, id: &StepId, direction: Direction) -> Option<Evidence> {
        let preview = self.step(id)?.preview(direction)?;
        let hash = &self.session.as_ref()?.plan_hash;
        Some(Evidence::of(hash, id, direction, &preview.parts, &self.runners))
    }

    /// What caches may still hold of a record since its TTL was lowered; None: nobody has lowered it in this session.
    #[must_use]
    pub fn drain_of(&self, record: &Record) -> Option<Drain> {
        self.drains.get(record.name()).map(|drain| drain.of(record))
    }

    /// The journaled answer of a resolver for a record.
    #[must_use]
    pub fn answer(&self, record: &str, resolver: &str) -> Option<Answer> {
        self.answers.iter().find(|a| a.record == record && a.resolver == resolver).map(|a| a.answer)
    }

    /// The journaled verdict of a check on a target.
    #[must_use]
    pub fn check(&self, check: &str, target: Target) -> Option<&CheckState> {
        self.checks.iter().find(|c| c.check == check && c.target == target)
    }
}
