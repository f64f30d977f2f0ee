//! The fold: one event at a time, in order, nothing else.

mod attempt;

use jiff::Timestamp;

use self::attempt::{end, intend, observe};
use super::{
    change::Change,
    drain::Drain,
    event::{Actor, Event, Observation, Outcome, Seat, What},
    gate::{ConditionId, Gate},
    guardrail::VerdictKind,
    interlock::{Cell, LastRead},
    lasting::Ending,
    phase::{Direction, Phase, Trigger},
    state::{
        AnswerState, Away, CheckState, Counted, Disarmed, LOG_LENGTH, ManualHold, Rollback, Session, State, StepState,
        VerdictState,
    },
};
use crate::plan::{RecordSet, Role, Side, StepId};

/// The TTL that Route 53 answers with for an alias to a load balancer, seconds.
///
/// Source: Route 53 developer guide, "Choosing between alias and non-alias records".
pub const ALIAS_TTL: u32 = 60;

/// An event that cannot follow from the log so far: the journal is not believed any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// A number is missing or doubled.
    #[error("event {found} follows event {after}")]
    Gap {
        /// The last good number.
        after: u64,
        /// The number found.
        found: u64,
    },
    /// The table of transitions has no such line.
    #[error("step `{step}` cannot go from {from:?} by {trigger:?}")]
    Transition {
        /// The step.
        step: StepId,
        /// Its phase.
        from: Phase,
        /// What would move it.
        trigger: Trigger,
    },
    /// The plan of this journal has no such step.
    #[error("unknown step `{0}`")]
    UnknownStep(StepId),
    /// The event needs something that the log has not said before.
    #[error("{0}")]
    OutOfPlace(&'static str),
}

impl State {
    /// Folds one event.
    ///
    /// # Errors
    /// [`Illegal`] when the event cannot follow; the state is then unusable and the journal wrong.
    pub fn apply(&mut self, event: &Event) -> Result<(), Illegal> {
        if event.seq != self.seq + 1 {
            return Err(Illegal::Gap { after: self.seq, found: event.seq });
        }
        if self.ended {
            return Err(Illegal::OutOfPlace("an event after the session ended"));
        }
        match &event.what {
            What::SessionStarted { .. }
            | What::EngineStarted { .. }
            | What::Attached { .. }
            | What::Detached
            | What::SeatTaken { .. }
            | What::SessionEnded => self.apply_session(event)?,
            What::Armed { .. } | What::Disarmed { .. } | What::Typed | What::Consented { .. } => {
                self.apply_gate(event)?
            }
            What::Intended { .. }
            | What::Resumed { .. }
            | What::Ended { .. }
            | What::Observed { .. }
            | What::Arrived { .. } => {
                self.apply_attempt(event)?;
            }
            What::Previewed { .. }
            | What::PreviewFailed { .. }
            | What::Resolved { .. }
            | What::Skipped { .. }
            | What::Ticked { .. } => self.apply_step(event)?,
            _ => self.apply_watch(event),
        }
        self.seq = event.seq;
        self.at = Some(event.at);
        self.log.push_back(event.clone());
        if self.log.len() > LOG_LENGTH {
            self.log.pop_front();
        }
        Ok(())
    }

    fn apply_session(&mut self, event: &Event) -> Result<(), Illegal> {
        match &event.what {
            What::SessionStarted { .. } if self.session.is_some() => {
                return Err(Illegal::OutOfPlace("a session that begins twice"));
            }
            What::SessionStarted { session, plan, environment, plan_hash, steps, dwell, patience } => {
                self.session = Some(Session {
                    id: session.clone(),
                    plan: plan.clone(),
                    environment: environment.clone(),
                    plan_hash: plan_hash.clone(),
                    started_at: event.at,
                    dwell: *dwell,
                    patience: *patience,
                    engines: 0,
                    engine: None,
                });
                self.steps = steps.iter().cloned().map(StepState::new).collect();
            }
            What::EngineStarted { pid, host, version } => {
                let session = self.session.as_mut().ok_or(Illegal::OutOfPlace("an engine without a session"))?;
                session.engines += 1;
                session.engine = Some((*pid, host.clone(), version.clone()));
                self.vacate(event.at);
                self.operators.clear();
                // What held was seen by the engine before it: until this one has looked, nobody knows.
                self.verdicts.retain(|_, known| known.kind != VerdictKind::Holding);
            }
            What::Attached { seat } | What::SeatTaken { seat } => self.sit(&event.by, *seat),
            What::Detached => {
                if let Actor::Operator(gone) = &event.by {
                    if self.driver().is_some_and(|driver| driver.conn == gone.conn) {
                        self.vacate(event.at);
                    }
                    self.operators.retain(|(operator, _)| operator.conn != gone.conn);
                }
            }
            _ => self.ended = true,
        }
        Ok(())
    }

    /// The driver goes without having left the seat.
    fn vacate(&mut self, at: Timestamp) {
        if let Some(driver) = self.driver().cloned() {
            self.away = Some(Away { operator: driver, since: at });
        }
    }

    fn sit(&mut self, actor: &Actor, seat: Seat) {
        let Actor::Operator(sitting) = actor else { return };
        self.operators.retain(|(operator, _)| operator.conn != sitting.conn);
        if seat == Seat::Driver {
            self.away = None;
            for (_, theirs) in self.operators.iter_mut().filter(|(_, theirs)| *theirs == Seat::Driver) {
                *theirs = Seat::Viewer;
            }
        }
        self.operators.push((sitting.clone(), seat));
    }

    fn apply_gate(&mut self, event: &Event) -> Result<(), Illegal> {
        match &event.what {
            What::Armed { step, direction, gate, level, evidence } => {
                let Actor::Operator(by) = &event.by else { return Err(Illegal::OutOfPlace("a gate armed by nobody")) };
                if self.gate.is_some() || *gate != self.gates + 1 {
                    return Err(Illegal::OutOfPlace("a gate armed beside another"));
                }
                let state = self.step(step).ok_or_else(|| Illegal::UnknownStep(step.clone()))?;
                let preview =
                    state.preview(*direction).ok_or(Illegal::OutOfPlace("a gate armed without a preview"))?.clone();
                self.gates = *gate;
                self.disarmed = None;
                self.gate = Some(Gate {
                    id: *gate,
                    step: step.clone(),
                    direction: *direction,
                    level: *level,
                    evidence: evidence.clone(),
                    preview,
                    by: by.clone(),
                    armed_at: event.at,
                    typed: false,
                    typed_at: None,
                    consented: false,
                });
            }
            What::Disarmed { reason } => {
                let gate = self.gate.take().ok_or(Illegal::OutOfPlace("no gate to disarm"))?;
                self.disarmed = Some(Disarmed { step: gate.step, at: event.at, reason: reason.clone() });
            }
            What::Typed => {
                let gate = self.gate_mut()?;
                gate.typed = true;
                gate.typed_at = Some(event.at);
            }
            _ => self.gate_mut()?.consented = true,
        }
        Ok(())
    }

    fn gate_mut(&mut self) -> Result<&mut Gate, Illegal> {
        self.gate.as_mut().ok_or(Illegal::OutOfPlace("no gate is armed"))
    }

    fn apply_attempt(&mut self, event: &Event) -> Result<(), Illegal> {
        match &event.what {
            What::Intended { step, direction, .. } => {
                let gate = self.gate.take_if(|gate| gate.step == *step && gate.consented);
                let state = self.find(step)?;
                intend(state, gate, event)?;
                self.rolled_back &= *direction == Direction::Back;
                self.overrides.retain(|(theirs, _)| theirs != step);
            }
            What::Resumed { step } => self.find(step)?.go(Trigger::GoOn, event.at)?,
            What::Ended { step, outcome } => {
                let drained = end(self.find(step)?, outcome, event.at)?;
                self.drain(&drained, in_sync(outcome, event.at));
                self.moved(step);
            }
            What::Observed { step, observation } => {
                self.observed(step, observation, event.at)?;
                self.moved(step);
            }
            What::Arrived { step } => {
                let drained = attempt::arrive(self.find(step)?, event.at)?;
                self.drain(&drained, event.at);
                self.moved(step);
                // Not everything is as before any more.
                self.rolled_back = false;
            }
            _ => {}
        }
        Ok(())
    }

    fn find(&mut self, id: &StepId) -> Result<&mut StepState, Illegal> {
        self.step_mut(id).ok_or_else(|| Illegal::UnknownStep(id.clone()))
    }

    fn observed(&mut self, id: &StepId, observation: &Observation, at: Timestamp) -> Result<(), Illegal> {
        let state = self.find(id)?;
        let drained = observe(state, observation, at)?;
        let undone = state.phase == Phase::Undone;
        self.drain(&drained, at);
        if undone { self.rewind(id, at) } else { Ok(()) }
    }

    /// What was only looked at after a step tells nothing any more once that step is undone: going forward again looks
    /// again. So does what was compared before the new database was opened, as far back as to the closing of the old one:
    /// the new one was written to since.
    fn rewind(&mut self, undone: &StepId, at: Timestamp) -> Result<(), Illegal> {
        let moves = |step: &StepState, of: Side| {
            let sent = step.attempt().map(|last| &last.parts[..]).unwrap_or_default();
            sent.iter().any(|part| matches!(&part.change, Change::WriteAccess { side, .. } if *side == of))
        };
        let here = self.steps.iter().position(|step| step.id == *undone).unwrap_or(self.steps.len());
        let written = self.steps.get(here).is_some_and(|step| moves(step, Side::New));
        let frozen = self.steps.iter().take(here).rposition(|step| moves(step, Side::Old)).filter(|_| written);
        let later = self.steps.iter_mut().skip(frozen.unwrap_or(here) + 1);
        for step in later.filter(|step| step.phase == Phase::Done && step.applied.is_empty()) {
            step.go(Trigger::Rewind, at)?;
            step.ticked.clear();
        }
        Ok(())
    }

    /// The way turns: what could not be read the one way tells nothing of the other.
    fn turned(&mut self) {
        self.steps.iter_mut().for_each(|step| step.trouble = None);
    }

    /// Remembers what caches may still hold after a change of records.
    fn drain(&mut self, change: &Change, in_sync: Timestamp) {
        let Change::Records { before, after, .. } = change else { return };
        for set in before {
            let new_ttl = after.iter().filter(|a| a.name == set.name).map(ttl_of).max().unwrap_or(ALIAS_TTL);
            let found = after.contains(set);
            let mut drain = Drain { in_sync, old_ttl: ttl_of(set), new_ttl, found };
            // What this session lowered itself it knows better than what it finds later, unless it has raised it since.
            let known_so = |known: &Drain| found && known.new_ttl == new_ttl;
            let better = |known: &&Drain| known_so(known) || known.ends_at() > drain.ends_at();
            if let Some(earlier) = self.drains.get(&set.name).filter(better) {
                drain = Drain { new_ttl, ..*earlier };
            }
            self.drains.insert(set.name.clone(), drain);
        }
    }

    fn apply_step(&mut self, event: &Event) -> Result<(), Illegal> {
        match &event.what {
            What::Previewed { step, direction, preview } => {
                let state = self.find(step)?;
                state.trouble = None;
                match direction {
                    Direction::Forward => state.forward = Some(preview.clone()),
                    Direction::Back => state.back = Some(preview.clone()),
                }
            }
            What::PreviewFailed { step, direction, trouble } => {
                let state = self.find(step)?;
                state.trouble = Some(trouble.clone());
                match direction {
                    Direction::Forward => state.forward = None,
                    Direction::Back => state.back = None,
                }
            }
            What::Resolved { step, done, reason } => {
                let seen = reason.clone();
                let observation = if *done { Observation::Done } else { Observation::NotDone { seen } };
                self.observed(step, &observation, event.at)?;
                self.moved(step);
            }
            What::Skipped { step, reason } => {
                let state = self.find(step)?;
                state.go(Trigger::Skip, event.at)?;
                state.reason = Some(reason.clone());
                self.forget_runners();
            }
            What::Ticked { step, item, done } => {
                let ticked = &mut self.find(step)?.ticked;
                if *done {
                    ticked.insert(*item)
                } else {
                    ticked.remove(item)
                };
            }
            _ => {}
        }
        Ok(())
    }

    fn apply_watch(&mut self, event: &Event) {
        let (at, by) = (event.at, event.by.name().to_owned());
        match &event.what {
            What::Overridden { step, condition, .. } => {
                self.overrides.insert((step.clone(), *condition));
            }
            What::HoldRaised { reason } => self.hold = Some(ManualHold { at, by, reason: reason.clone() }),
            What::HoldReleased => self.hold = None,
            What::RollbackStarted { reason } => {
                self.rollback = Some(Rollback { at, by, reason: reason.clone() });
                self.turned();
            }
            What::RollbackEnded { complete } => {
                self.turned();
                self.rollback = None;
                self.rolled_back = *complete;
            }
            What::Rehearsed(rehearsal) => self.rehearsed = Some(rehearsal.clone()),
            What::BaselineCaptured { values } => self.baseline = values.clone(),
            What::VerdictChanged { guardrail, verdict, value } => {
                self.verdicts.insert(guardrail.clone(), VerdictState { kind: *verdict, since: at, value: *value });
            }
            What::CheckChanged { check, target, passing, reason } => {
                self.checks.retain(|known| known.check != *check || known.target != *target);
                let (check, reason) = (check.clone(), reason.clone());
                self.checks.push(CheckState { check, target: *target, passing: *passing, reason, since: at });
            }
            What::ResolverChanged { record, resolver, answer } => {
                self.answers.retain(|known| known.record != *record || known.resolver != *resolver);
                let (record, resolver) = (record.clone(), resolver.clone());
                self.answers.push(AnswerState { record, resolver, answer: *answer, since: at });
            }
            What::SilenceChanged { lasting } => self.silence = *lasting,
            What::ExpirySeen { of, host, until } => {
                self.endings.retain(|known| known.of != *of || known.host != *host);
                self.endings.push(Ending { of: *of, host: host.clone(), until: *until });
                self.endings.sort_by(|one, other| (one.of, &one.host).cmp(&(other.of, &other.host)));
            }
            What::RunnerChanged { side, role, cell } => self.runner_seen(*side, *role, *cell, at),
            What::OpeningCounted { metric, value } => {
                self.opening = Some(Counted { at, metric: metric.clone(), value: *value });
            }
            What::ClosingCounted { metric, value } => {
                self.closing = Some(Counted { at, metric: metric.clone(), value: *value });
            }
            What::LeakChanged { side, who } => self.leak_seen(*side, who.as_ref()),
            What::PreflightTaken { findings } => self.findings.clone_from(findings),
            What::FindingChanged { finding, .. } => {
                match self.findings.iter_mut().find(|known| known.id == finding.id) {
                    Some(known) => known.clone_from(finding),
                    None => self.findings.push(finding.clone()),
                }
            }
            What::SourceChanged { source, trouble } => match trouble {
                Some(trouble) => drop(self.troubles.insert(source.clone(), trouble.clone())),
                None => drop(self.troubles.remove(source)),
            },
            _ => {}
        }
    }
}

impl State {
    /// What a person went past was what ran where then.
    fn runner_seen(&mut self, side: Side, role: Role, cell: Cell, at: Timestamp) {
        let was = self.runners.get(side, role).filter(|was| *was != Cell::Unknown);
        let lost = was.filter(|_| cell == Cell::Unknown).map(|was| LastRead { side, role, was, at });
        if lost.is_some() || cell != Cell::Unknown {
            self.last_read.retain(|known| (known.side, known.role) != (side, role));
            self.last_read.extend(lost);
        }
        self.runners.set(side, role, cell);
        if cell == Cell::On {
            self.ran.insert(role);
        }
        self.forget_runners();
    }

    /// A step has done something, or is known to have, or not to have.
    fn moved(&mut self, step: &StepId) {
        let Some(attempt) = self.step(step).and_then(StepState::attempt).filter(|attempt| attempt.acts()) else {
            return;
        };
        // Had it opened the new side, that would have been counted after it began; replication after it is no loss.
        let failed = attempt.part == 0 && matches!(attempt.outcome, Some(Outcome::Failed { .. }));
        let began = attempt.started_at;
        self.opening.take_if(|opening| failed && opening.at >= began);
        self.forget_runners();
    }

    /// Whether a runner is where it should not be is judged anew once one, or a step that moves them, has changed.
    fn forget_runners(&mut self) {
        self.overrides.retain(|(_, condition)| *condition != ConditionId::Runners);
    }

    fn leak_seen(&mut self, side: Side, who: Option<&String>) {
        match who {
            Some(who) => drop(self.leaks.insert(side, who.clone())),
            None => drop(self.leaks.remove(&side)),
        }
        self.overrides.retain(|(_, condition)| *condition != ConditionId::Leak);
    }
}

const fn in_sync(outcome: &Outcome, at: Timestamp) -> Timestamp {
    match outcome {
        Outcome::Done { in_sync: Some(in_sync), .. } => *in_sync,
        _ => at,
    }
}

fn ttl_of(set: &RecordSet) -> u32 {
    set.ttl.unwrap_or(ALIAS_TTL)
}
