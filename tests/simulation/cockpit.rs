//! A cockpit at the end of a bad link: it follows what it hears, asks again for what it missed, and acts on what it saw.

use std::collections::VecDeque;

use cutover::{
    clock::Clock,
    plan::Plan,
    run::{Event, Operator, Request, State},
    session::{
        Follower, Taken,
        message::{Snapshot, Telemetry, ToCockpit},
        next_request,
    },
};
use jiff::Timestamp;

use super::Dice;

/// One cockpit.
pub(crate) struct Cockpit {
    pub(crate) you: Operator,
    /// None: not attached.
    follower: Option<Follower>,
    /// On its way to it.
    wire: VecDeque<ToCockpit>,
    /// It has noticed that it missed something, and asks for a snapshot until one comes.
    pub(crate) asks: bool,
}

impl Cockpit {
    pub(crate) fn new(you: Operator) -> Self {
        Self { you, follower: None, wire: VecDeque::new(), asks: true }
    }

    /// The engine sends everything.
    pub(crate) fn send_snapshot(&mut self, plan: &Plan, state: &State) {
        let (plan, state, you) = (plan.clone(), state.clone(), self.you.clone());
        let snapshot = Snapshot { you, clock: Clock::real(), plan, state, telemetry: Telemetry::default() };
        self.wire.push_back(ToCockpit::Snapshot(Box::new(snapshot)));
    }

    /// The engine sends an event; what the link makes of it. True: it got lost.
    pub(crate) fn send(&mut self, event: &Event, dice: &mut Dice) -> bool {
        if self.follower.is_none() && self.wire.is_empty() {
            return false;
        }
        let message = ToCockpit::Event(Box::new(event.clone()));
        match dice.below(40) {
            0 => return true,
            1 => {
                self.wire.push_back(message.clone());
                self.wire.push_back(message);
            }
            2 if !self.wire.is_empty() => {
                let place = dice.below(self.wire.len() as u64);
                self.wire.insert(usize::try_from(place).unwrap(), message);
            }
            _ => self.wire.push_back(message),
        }
        false
    }

    /// One message arrives. True: it shows that something was missed.
    pub(crate) fn hear(&mut self) -> bool {
        let Some(message) = self.wire.pop_front() else { return false };
        match (&mut self.follower, message) {
            (None, ToCockpit::Snapshot(snapshot)) => {
                self.follower = Some(Follower::new(snapshot));
                self.asks = false;
                false
            }
            (None, _) => false,
            (Some(follower), message) => {
                self.asks &= !matches!(message, ToCockpit::Snapshot(_));
                let missed = follower.take(message) == Taken::Missed;
                self.asks |= missed;
                missed
            }
        }
    }

    pub(crate) fn waits(&self) -> bool {
        !self.wire.is_empty()
    }

    /// The link breaks, and everything on it is lost.
    pub(crate) fn lose_link(&mut self) {
        self.follower = None;
        self.wire.clear();
        self.asks = true;
    }

    /// What it shows.
    pub(crate) fn state(&self) -> Option<&State> {
        self.follower.as_ref().map(|follower| &follower.snapshot().state)
    }

    /// What its person would do next, going by what the screen shows.
    pub(crate) fn wants(&self, now: Timestamp) -> Option<Request> {
        let snapshot = self.follower.as_ref()?.snapshot();
        next_request(&snapshot.plan, &snapshot.state, &snapshot.you, now)
    }
}
