//! What a command leads to: events, or a refusal. The only way into the log.

mod engine;
mod operator;

use jiff::Timestamp;

use super::{
    command::{Ask, Command, Refusal},
    conditions::conditions,
    event::{Actor, Operator, Outcome, Seat, What},
    gate::Gate,
    phase::{Direction, Phase},
    state::{State, StepState},
};
use crate::plan::{Plan, StepId};

/// How long a gate must have been on the screen before its second key counts, wall seconds.
pub const DWELL: f64 = 0.7;
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
    match (&command.ask, &command.by) {
        (Ask::Person(request), Actor::Operator(operator)) => desk.request(request, operator),
        (Ask::Person(_), Actor::Engine) => Err(Refusal::new("the engine asks for nothing")),
        (Ask::Report(report), by) => desk.report(report, by),
    }
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

    /// Closes the gate if it is open.
    fn close(&self, reason: &str) -> Option<What> {
        self.armed().map(|_| What::Disarmed { reason: reason.to_owned() })
    }
}

/// A staged attempt that waits between two parts.
fn baking(step: &StepState) -> bool {
    step.phase == Phase::Running && step.attempt().is_some_and(|a| !a.in_flight && a.baking_until.is_some())
}

/// Staged attempts whose bake is over and whose next part may be read and sent; the engine re-reads the world for each.
pub fn due<'a>(plan: &'a Plan, state: &'a State, now: Timestamp) -> impl Iterator<Item = &'a StepId> {
    let over = move |step: &StepState| step.attempt().and_then(|a| a.baking_until).is_some_and(|until| until <= now);
    let green = move |step: &StepState| {
        use super::gate::ConditionId as Id;
        let watched = [Id::Hold, Id::Guardrails, Id::Checks, Id::Order, Id::Interlock];
        let all = conditions(plan, state, &step.id, step.direction, now);
        all.iter().all(|condition| condition.holds || !watched.contains(&condition.id))
    };
    state.steps.iter().filter(move |step| baking(step) && over(step) && green(step)).map(|step| &step.id)
}

const fn stopped(step: StepId) -> What {
    What::Ended { step, outcome: Outcome::Stopped }
}
