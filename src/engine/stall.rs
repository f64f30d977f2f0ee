//! An engine that stood still: stopped, starved, or kept waiting by its disk.
//!
//! What was pressed meanwhile was meant for what the screen showed then. It is not acted on when the engine goes on, by when
//! whoever pressed it may believe that nothing came of it; nor is what had been consented to before and was not sent yet.

use std::time::{Duration, Instant};

use crate::run::{Effect, Outcome, Report, Trouble, TroubleKind};

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

    /// It turns. Some: it had stood still, for so long.
    pub(super) fn turn(&mut self, now: Instant) -> Option<Duration> {
        let gap = now.duration_since(std::mem::replace(&mut self.turned, now));
        if gap <= STILL {
            return None;
        }
        tracing::warn!(?gap, "the engine stood still");
        self.stood = Some((now, gap));
        Some(gap)
    }

    /// For how long it stood still, if what is read now was pressed meanwhile.
    pub(super) fn meanwhile(&self, now: Instant) -> Option<Duration> {
        let (went_on, stood) = self.stood?;
        (now.duration_since(went_on) < READ).then_some(stood)
    }
}

/// What is reported in place of a change that took so long to be written down that it is not sent any more.
pub(super) fn too_late(effect: &Effect, took: Duration) -> Option<Report> {
    let Effect::Apply { step, attempt, part, .. } = effect else { return None };
    let reason = || {
        let seconds = took.as_secs();
        format!("its intent took {seconds} s to be written, so nothing was sent: look, then try it again")
    };
    (took > STILL).then(|| Report::Ended {
        step: step.clone(),
        attempt: *attempt,
        part: *part,
        outcome: Outcome::Failed {
            trouble: Trouble {
                call: "journal".into(),
                reason: reason(),
                kind: TroubleKind::Unexpected,
                next_try: None,
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Change, Direction};

    #[test]
    fn a_change_whose_intent_took_long_to_be_written_is_not_sent() {
        let (step, change) = (crate::plan::StepId::from("freeze"), Change::Nothing);
        let apply = Effect::Apply {
            step: step.clone(),
            direction: Direction::Forward,
            attempt: 1,
            part: 0,
            token: String::new(),
            change: change.clone(),
        };
        assert_eq!(too_late(&apply, Duration::from_secs(2)), None);
        let Some(Report::Ended { outcome: Outcome::Failed { trouble }, .. }) =
            too_late(&apply, Duration::from_secs(25))
        else {
            panic!("it would be sent")
        };
        assert!(trouble.reason.contains("25 s") && trouble.reason.contains("nothing was sent"), "{}", trouble.reason);
        let observe = Effect::Observe { step, attempt: 1, part: 0, change, accepted: true };
        assert_eq!(too_late(&observe, Duration::from_secs(25)), None, "looking is never too late");
    }

    #[test]
    fn what_was_pressed_while_it_stood_still_is_told_from_what_comes_later() {
        let start = crate::clock::monotonic();
        let after = |millis| start + Duration::from_millis(millis);
        let mut stall = Stall::new(start);
        assert!((1..20).all(|turn| stall.turn(after(250 * turn)).is_none()));
        assert_eq!(stall.meanwhile(after(4_800)), None);
        assert_eq!(stall.turn(after(60_000)), Some(Duration::from_millis(55_250)));
        assert_eq!(stall.meanwhile(after(60_100)), Some(Duration::from_millis(55_250)));
        stall.turn(after(60_250));
        assert_eq!(stall.meanwhile(after(60_600)), None);
    }
}
