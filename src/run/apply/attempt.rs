//! The fold of one step: how an attempt begins, ends and is observed.

use std::time::Duration;

use jiff::Timestamp;

use super::Illegal;
use crate::run::{
    change::{Change, Part},
    event::{Event, Observation, Outcome, Trouble, TroubleKind, What},
    gate::Gate,
    phase::{Direction, Phase, Trigger},
    state::{Attempt, StepState},
};

impl StepState {
    pub(super) fn go(&mut self, trigger: Trigger, at: Timestamp) -> Result<(), Illegal> {
        let next = self.phase.after(trigger).ok_or_else(|| Illegal::Transition {
            step: self.id.clone(),
            from: self.phase,
            trigger,
        })?;
        if next != self.phase {
            if self.phase == Phase::InDoubt {
                self.waited(self.since, at);
            }
            self.since = Some(at);
        }
        self.phase = next;
        Ok(())
    }

    /// The last attempt only waited for somebody, from the one moment to the other.
    fn waited(&mut self, from: Option<Timestamp>, to: Timestamp) {
        let idle = from.and_then(|from| Duration::try_from(to.duration_since(from)).ok());
        if let (Some(attempt), Some(idle)) = (self.attempts.last_mut(), idle) {
            attempt.idle += idle;
        }
    }

    fn attempt_mut(&mut self) -> Result<&mut Attempt, Illegal> {
        self.attempts.last_mut().ok_or(Illegal::OutOfPlace("an attempt that never began"))
    }

    /// The change that was sent last.
    fn sent(&self) -> Change {
        let part = self.attempt().and_then(|attempt| attempt.parts.get(attempt.part as usize));
        part.map_or(Change::Nothing, |part| part.change.clone())
    }

    /// The change that was sent last does not stand; what it would have changed.
    fn forget_last(&mut self) -> Option<Change> {
        let sent = self.direction == Direction::Forward && !self.sent().is_nothing();
        sent.then(|| self.applied.pop()).flatten()
    }
}

/// Writes down that a change is about to be sent. The first part needs a passed gate; it takes its consent from there.
pub(super) fn intend(state: &mut StepState, gate: Option<Gate>, event: &Event) -> Result<(), Illegal> {
    let What::Intended { direction, attempt, part, change, token, .. } = &event.what else { return Ok(()) };
    if *part == 0 {
        let gate = gate.filter(|gate| gate.direction == *direction);
        let gate = gate.ok_or(Illegal::OutOfPlace("an intent without consent"))?;
        consented(&gate.preview.parts, 0, change)?;
        state.go(Trigger::Intend(*direction), event.at)?;
        state.direction = *direction;
        state.reason = None;
        // An attempt in doubt that is undone instead of settled is over now.
        if let Some(last) = state.attempts.last_mut().filter(|last| last.ended_at.is_none()) {
            last.ended_at = Some(event.at);
        }
        state.attempts.push(begun(*attempt, gate, token, event.at));
        // Where this one begins as the last one was to end, that one has arrived: the way back leads to before it.
        if *direction == Direction::Forward {
            let missed = state.missed.take().filter(|missed| change.begins_after(missed));
            state.applied.extend(missed);
        }
    } else {
        state.go(Trigger::GoOn, event.at)?;
        let current = state.attempt_mut()?;
        if current.in_flight || current.baking_until.is_none() || *part != current.part + 1 {
            return Err(Illegal::OutOfPlace("a part before the one before it was done"));
        }
        consented(&current.parts, *part, change)?;
        // The bake is a part of the change; what comes on top of it is a hold, or nobody there.
        let ripe = current.baking_until;
        current.part = *part;
        current.token.clone_from(token);
        current.in_flight = true;
        current.baking_until = None;
        current.outcome = None;
        state.waited(ripe, event.at);
    }
    state.trouble = None;
    if *direction == Direction::Forward && !change.is_nothing() {
        state.applied.push(change.clone());
    }
    Ok(())
}

/// What is sent is what was consented to, or the journal is not believed.
fn consented(parts: &[Part], part: u32, change: &Change) -> Result<(), Illegal> {
    let same = parts.get(part as usize).is_some_and(|part| part.change == *change);
    if same { Ok(()) } else { Err(Illegal::OutOfPlace("an intent that is not what was consented to")) }
}

fn begun(number: u32, gate: Gate, token: &str, at: Timestamp) -> Attempt {
    Attempt {
        number,
        direction: gate.direction,
        gate: gate.id,
        by: vec![gate.by.name],
        parts: gate.preview.parts,
        evidence: gate.evidence,
        part: 0,
        token: token.to_owned(),
        in_flight: true,
        observed: false,
        baking_until: None,
        started_at: at,
        ended_at: None,
        idle: Duration::ZERO,
        outcome: None,
    }
}

/// Ends a part; returns the change if it is known to have taken effect.
pub(super) fn end(state: &mut StepState, outcome: &Outcome, at: Timestamp) -> Result<Change, Illegal> {
    let sent = state.sent();
    let attempt = state.attempt_mut()?;
    let was_in_flight = std::mem::replace(&mut attempt.in_flight, false);
    attempt.outcome = Some(outcome.clone());
    attempt.observed = false;
    match outcome {
        Outcome::Done { .. } => {
            part_done(state, at, Trigger::Applied)?;
            return Ok(sent);
        }
        Outcome::Failed { trouble } => {
            attempt.ended_at = Some(at);
            state.reason = Some(trouble.reason.clone());
            state.forget_last();
            state.go(Trigger::Fail, at)?;
        }
        // What was on its way when it was stopped may have arrived.
        Outcome::Stopped if was_in_flight && !sent.is_nothing() => {
            state.reason = Some("stopped while a change was on its way".into());
            state.go(Trigger::Doubt, at)?;
        }
        Outcome::Stopped => {
            attempt.ended_at = Some(at);
            // It was stopped in a bake: nothing worked since that began.
            let bake = attempt.parts.get(attempt.part as usize).map_or(Duration::ZERO, |part| part.bake);
            let began = attempt.baking_until.take().and_then(|until| until.checked_sub(bake).ok());
            state.waited(began, at);
            state.reason = Some("stopped by the operator".into());
            state.go(Trigger::Fail, at)?;
        }
        Outcome::InDoubt { trouble } => {
            state.reason = Some(trouble.reason.clone());
            state.go(Trigger::Doubt, at)?;
        }
    }
    Ok(Change::Nothing)
}

/// Takes in what the world showed; returns the change if that is how it is known to have taken effect.
pub(super) fn observe(state: &mut StepState, observation: &Observation, at: Timestamp) -> Result<Change, Illegal> {
    let direction = state.direction;
    let was_in_doubt = state.phase == Phase::InDoubt;
    let attempt = state.attempt_mut()?;
    attempt.in_flight = false;
    attempt.observed = true;
    match observation {
        Observation::Done => {
            state.reason = None;
            part_done(state, at, Trigger::ObservedDone(direction))?;
            if state.phase == Phase::Undone {
                state.applied.clear();
                (state.forward, state.back) = (None, None);
            }
            return Ok(if was_in_doubt { state.sent() } else { Change::Nothing });
        }
        Observation::NotDone { .. } | Observation::Unfinished { .. } => {
            let reason = match observation {
                Observation::Unfinished { left } => format!("it stands and is not finished: {left}"),
                Observation::NotDone { seen } => format!("it did not take effect: {seen}"),
                Observation::Done | Observation::Unknown { .. } => String::new(),
            };
            let attempt = state.attempt_mut()?;
            attempt.ended_at = Some(at);
            // Whatever was answered: the world says otherwise.
            let (call, kind) = ("looked".to_owned(), TroubleKind::Unexpected);
            let trouble = Trouble { call, reason: reason.clone(), kind, next_try: None };
            attempt.outcome = Some(Outcome::Failed { trouble });
            state.reason = Some(reason);
            // What stands is to be put back, whatever is left to do.
            if matches!(observation, Observation::NotDone { .. }) {
                state.missed = state.forget_last();
            }
            state.go(Trigger::ObservedNotDone, at)?;
        }
        Observation::Unknown { reason } => {
            state.reason = Some(reason.clone());
            state.go(Trigger::Doubt, at)?;
        }
    }
    Ok(Change::Nothing)
}

/// What was seen not to have taken effect did after all; returns it. The step stays failed: a person settles it by going
/// forward again, or puts it back.
pub(super) fn arrive(state: &mut StepState, at: Timestamp) -> Result<Change, Illegal> {
    let change = state.missed.take().ok_or(Illegal::OutOfPlace("an arrival of what was not missed"))?;
    state.go(Trigger::Arrived, at)?;
    state.reason = Some("it took effect after all, after it had been seen not to".into());
    state.applied.push(change.clone());
    Ok(change)
}

/// A part is done: bake before the next one, or go on by `last` after the last one.
fn part_done(state: &mut StepState, at: Timestamp, last: Trigger) -> Result<(), Illegal> {
    let attempt = state.attempt_mut()?;
    let more = attempt.part as usize + 1 < attempt.parts.len();
    if more {
        let bake = attempt.parts[attempt.part as usize].bake;
        attempt.baking_until = at.checked_add(bake).ok();
        return state.go(Trigger::GoOn, at);
    }
    if matches!(last, Trigger::ObservedDone(_)) {
        attempt.ended_at = Some(at);
    }
    state.go(last, at)
}
