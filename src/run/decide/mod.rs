//! What a command leads to: events, or a refusal. The only way into the log.

mod engine;
mod operator;

use jiff::Timestamp;

use super::{
    change::Preview,
    command::{Ask, Command, Refusal},
    conditions::{conditions, role_word},
    describe::side_word,
    effect::Effect,
    event::{Actor, Event, Observation, Outcome, Seat, What},
    gate::{ConditionId as Id, Gate},
    operator::Operator,
    phase::Direction,
    state::{Attempt, State, StepState},
};
use crate::plan::{Plan, StepId};

/// How long a gate must have been on the screen before its second key counts, wall seconds.
pub const DWELL: f64 = 0.7;
/// Faster than this a rehearsal is driven by a program, which waits for no more session time than a person at this speed
/// would. A cockpit holds every person to [`DWELL`] on the wall by itself, whatever the speed.
const READABLE: f64 = 20.0;
/// How long an armed gate stays open, wall seconds.
pub const PATIENCE: f64 = 120.0;

/// Decides one command against the state so far. The events are to be written down, then folded, in order.
///
/// # Errors
/// [`Refusal`] with the reason for the person who asked; the log is as before.
pub fn decide(plan: &Plan, state: &State, command: &Command) -> Result<Vec<What>, Refusal> {
    if state.ended {
        return Err(Refusal::new("this session is over"));
    }
    let desk = Desk { plan, state, at: command.at };
    let events = match (&command.ask, &command.by) {
        (Ask::Person(request), Actor::Operator(operator)) => desk.request(request, operator),
        (Ask::Person(_), Actor::Engine) => Err(Refusal::new("the engine asks for nothing")),
        (Ask::Report(report), by) => desk.report(report, by),
    }?;
    Ok(desk.disarm_if_upset(events))
}

/// A decision in the making.
struct Desk<'a> {
    plan: &'a Plan,
    state: &'a State,
    at: Timestamp,
}

impl Desk<'_> {
    fn step(&self, id: &StepId) -> Result<&StepState, Refusal> {
        self.state.step(id).ok_or_else(|| Refusal::new(format!("the plan has no step `{id}`")))
    }

    fn driver(&self, operator: &Operator) -> Result<(), Refusal> {
        match self.state.driver() {
            Some(driver) if driver.conn == operator.conn => Ok(()),
            Some(driver) => Err(Refusal::new(format!("{} drives; press t to take over", driver.name))),
            None => Err(Refusal::new("nobody drives; press t to take the driver's seat")),
        }
    }

    fn seated(&self, operator: &Operator) -> Result<Seat, Refusal> {
        let seat = self.state.operators.iter().find(|(known, _)| known.conn == operator.conn).map(|(_, seat)| *seat);
        match seat {
            Some(Seat::Viewer) => Err(Refusal::new("you are a viewer; press t to take the driver's seat")),
            Some(seat) => Ok(seat),
            None => Err(Refusal::new("you are not attached")),
        }
    }

    /// The first condition of a gate that does not hold.
    fn obstacle(&self, step: &StepId, direction: Direction) -> Option<String> {
        let all = conditions(self.plan, self.state, step, direction, self.at);
        let open = all.into_iter().find(|condition| !condition.holds)?;
        Some(format!("{}: {}", open.id.word(), open.detail))
    }

    fn armed(&self) -> Option<&Gate> {
        self.state.gate.as_ref()
    }

    /// Evidence that changes closes the gate in the same breath, also when it changes back a moment later.
    fn disarm_if_upset(&self, mut events: Vec<What>) -> Vec<What> {
        let closed = |event: &What| matches!(event, What::Disarmed { .. } | What::Intended { .. });
        if let Some(gate) = self.armed()
            && !events.iter().any(closed)
            && let Some(reason) = events.iter().find_map(|event| upsets(gate, event))
        {
            events.push(What::Disarmed { reason });
        }
        events
    }

    /// In a rollback nothing bakes on, and when nothing is left to undo it is over.
    fn wind_up(&self, mut events: Vec<What>) -> Vec<What> {
        if self.state.rollback.is_none() || events.is_empty() {
            return events;
        }
        let mut after = self.state.clone();
        if !self.fold(&mut after, &events) {
            return events;
        }
        let bakes: Vec<_> = after.steps.iter().filter(|s| s.baking()).map(|s| stopped(s.id.clone())).collect();
        self.fold(&mut after, &bakes);
        events.extend(bakes);
        let acts = |step: &StepState| step.phase.in_flight() && step.attempt().is_some_and(Attempt::acts);
        if after.next_undo().is_none() && !after.steps.iter().any(acts) {
            events.extend(after.gate.map(|_| What::Disarmed { reason: "every undo is done".to_owned() }));
            events.push(What::RollbackEnded { complete: true });
        }
        events
    }

    fn fold(&self, state: &mut State, events: &[What]) -> bool {
        events.iter().all(|what| {
            let event = Event { seq: state.seq + 1, at: self.at, by: Actor::Engine, what: what.clone() };
            state.apply(&event).is_ok()
        })
    }

    /// Closes the gate if it is open.
    fn close(&self, reason: &str) -> Option<What> {
        self.armed().map(|_| What::Disarmed { reason: reason.to_owned() })
    }
}

/// The looks at the world that staged attempts are due for: their bake is over, what must hold holds, and the next part
/// goes if what remains is still what was consented to.
pub fn due<'a>(plan: &'a Plan, state: &'a State, now: Timestamp) -> impl Iterator<Item = Effect> + 'a {
    state.steps.iter().filter(move |step| ripe(plan, state, step, now)).filter_map(|step| {
        let attempt = step.attempt()?;
        let (step, direction) = (step.id.clone(), attempt.direction);
        Some(Effect::Reread { step, direction, gate: attempt.gate, part: attempt.part + 1 })
    })
}

/// Whether the next part of a staged attempt may be looked at and sent.
fn ripe(plan: &Plan, state: &State, step: &StepState, now: Timestamp) -> bool {
    const WATCHED: [Id; 7] = [Id::Hold, Id::Runners, Id::Leak, Id::Guardrails, Id::Checks, Id::Order, Id::Interlock];
    let over = || step.attempt().and_then(|a| a.baking_until).is_some_and(|until| until <= now);
    let green = || {
        let all = conditions(plan, state, &step.id, step.direction, now);
        all.iter().all(|condition| condition.holds || !WATCHED.contains(&condition.id))
    };
    step.baking() && over() && green()
}

/// Why an event takes away what an armed gate rests on.
fn upsets(gate: &Gate, event: &What) -> Option<String> {
    match event {
        What::RunnerChanged { side, role, cell } => {
            Some(format!("{} on the {} side is now {}", role_word(*role), side_word(*side), cell.word()))
        }
        What::Previewed { step, direction, preview } if *step == gate.step && *direction == gate.direction => {
            (preview.parts != gate.preview.parts).then(|| changed_text(&gate.preview, preview))
        }
        What::PreviewFailed { step, direction, trouble } if *step == gate.step && *direction == gate.direction => {
            Some(format!("the change cannot be read: {}: {}", trouble.call, trouble.reason))
        }
        _ => None,
    }
}

/// The first difference between what was seen and what is.
fn changed_text(seen: &Preview, now: &Preview) -> String {
    let rows = |preview: &Preview| -> Vec<_> { preview.parts.iter().flat_map(|part| part.change.rows()).collect() };
    let (was, is) = (rows(seen), rows(now));
    let pair = was.iter().zip(&is).find(|(was, is)| was != is);
    match pair {
        Some((was, is)) if was.before != is.before => {
            format!("{} changed since it was armed: was `{}`, is `{}`", was.label, was.before, is.before)
        }
        Some((was, is)) => format!("{} would now become `{}`, not `{}`", was.label, is.after, was.after),
        None => "the change is no longer the one that was armed".into(),
    }
}

/// What follows from the last tick of a manual step.
fn all_ticked(step: &StepId, items: usize) -> [What; 2] {
    let outcome = Outcome::Done { in_sync: None, summary: format!("{items} items ticked") };
    [What::Ended { step: step.clone(), outcome }, What::Observed { step: step.clone(), observation: Observation::Done }]
}

const fn stopped(step: StepId) -> What {
    What::Ended { step, outcome: Outcome::Stopped }
}
