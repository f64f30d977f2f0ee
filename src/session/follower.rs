//! The engine's truth, kept up to date in a cockpit.

use jiff::{SignedDuration, Timestamp};

use super::message::{Snapshot, ToCockpit};
use crate::run::Refusal;

/// What changed since the screen was drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changed {
    /// Something happened, or what is under way has come on: a person waits to see it.
    pub state: bool,
    /// Something was measured.
    pub telemetry: bool,
}

impl Changed {
    /// Whether anything is to be drawn.
    #[must_use]
    pub const fn any(self) -> bool {
        self.state || self.telemetry
    }
}

/// What a message was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is in the snapshot now, or was there before.
    Followed,
    /// The answer to a request.
    Reply {
        /// The request's number.
        id: u64,
        /// Accepted or refused.
        result: Result<(), Refusal>,
    },
    /// Something is missing in between: ask for a fresh snapshot ([`super::Link::resync`]).
    Missed,
}

/// A snapshot that follows the messages after it.
#[derive(Debug, Clone)]
pub struct Follower {
    snapshot: Box<Snapshot>,
    changed: Changed,
    /// The least by which an event was younger than the clock here.
    ahead: Option<SignedDuration>,
}

impl Follower {
    /// Begins with a snapshot, all of it to be drawn.
    #[must_use]
    pub const fn new(snapshot: Box<Snapshot>) -> Self {
        Self { snapshot, changed: Changed { state: true, telemetry: true }, ahead: None }
    }

    /// Everything as of the last message.
    #[must_use]
    pub const fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What time it is for the engine: no later than it can be there.
    ///
    /// It is behind this machine's clock where it took up a journal after that clock was set back, by as long as it was
    /// down. What it writes tells by how much.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let here = self.snapshot.clock.now();
        self.ahead.and_then(|ahead| here.checked_sub(ahead).ok()).unwrap_or(here)
    }

    /// Takes a message in. Events that the snapshot has already are passed over.
    pub fn take(&mut self, message: ToCockpit) -> Taken {
        match message {
            ToCockpit::Snapshot(snapshot) => *self = Self::new(snapshot),
            ToCockpit::Event(event) if event.seq <= self.snapshot.state.seq => {}
            ToCockpit::Event(event) => {
                self.changed.state = true;
                let ahead = self.snapshot.clock.now().duration_since(event.at).max(SignedDuration::ZERO);
                self.ahead = Some(self.ahead.map_or(ahead, |least| least.min(ahead)));
                if self.snapshot.state.apply(&event).is_err() {
                    return Taken::Missed;
                }
            }
            ToCockpit::Sample(sample) => {
                self.changed.state |= !sample.is_measured();
                self.changed.telemetry = true;
                self.snapshot.telemetry.take(sample);
            }
            ToCockpit::Looking { conn, step } => {
                self.changed.telemetry = true;
                self.snapshot.telemetry.look(conn, Some(step));
            }
            ToCockpit::Reply { id, result } => return Taken::Reply { id, result },
            // Only ever the last word of a connection, which then closes.
            ToCockpit::Refused { .. } => {}
        }
        Taken::Followed
    }

    /// What changed since this was asked last.
    pub fn changed(&mut self) -> Changed {
        std::mem::take(&mut self.changed)
    }
}
