//! An engine that stood still: stopped, starved, or kept waiting by its disk.
//!
//! What was pressed meanwhile was meant for what the screen showed then. It is not acted on when the engine goes on, by when
//! whoever pressed it may believe that nothing came of it.

use std::time::{Duration, Instant};

/// The loop turns several times a second; so long without a turn, wall time, and it stood still.
const STILL: Duration = Duration::from_secs(5);
/// What was pressed meanwhile is read within this, wall time.
const READ: Duration = Duration::from_millis(500);

/// When the engine's loop turned, and when it stood still last.
#[derive(Debug)]
pub(super) struct Stall {
    turned: Instant,
    /// When it went on, and how long it had stood.
    stood: Option<(Instant, Duration)>,
}

impl Stall {
    /// A loop that begins now.
    pub(super) const fn new(now: Instant) -> Self {
        Self { turned: now, stood: None }
    }

    /// It turns.
    pub(super) fn turn(&mut self, now: Instant) {
        let gap = now.duration_since(std::mem::replace(&mut self.turned, now));
        if gap > STILL {
            tracing::warn!(?gap, "the engine stood still");
            self.stood = Some((now, gap));
        }
    }

    /// For how long it stood still, if what is read now was pressed meanwhile.
    pub(super) fn meanwhile(&self, now: Instant) -> Option<Duration> {
        let (went_on, stood) = self.stood?;
        (now.duration_since(went_on) < READ).then_some(stood)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pressed_while_it_stood_still_is_told_from_what_comes_later() {
        let start = crate::clock::monotonic();
        let after = |millis| start + Duration::from_millis(millis);
        let mut stall = Stall::new(start);
        (1..20).for_each(|turn| stall.turn(after(250 * turn)));
        assert_eq!(stall.meanwhile(after(4_800)), None);
        stall.turn(after(60_000));
        assert_eq!(stall.meanwhile(after(60_100)), Some(Duration::from_millis(55_250)));
        stall.turn(after(60_250));
        assert_eq!(stall.meanwhile(after(60_600)), None);
    }
}
