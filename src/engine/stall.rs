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

    /// What follows from it is written down, which takes time: what is read from here on counts as pressed meanwhile.
    pub(super) fn reads_on(&mut self, now: Instant) {
        if let Some((went_on, _)) = &mut self.stood {
            *went_on = now;
        }
        self.turned = now;
    }

    /// For how long it stood still, if what is read now was pressed meanwhile.
    pub(super) fn meanwhile(&self, now: Instant) -> Option<Duration> {
        let (went_on, stood) = self.stood?;
        (now.duration_since(went_on) < READ).then_some(stood)
    }
}

/// What is reported in place of a change that took so long to be written down that it is not sent any more. It is looked
/// at as what nobody knows is: what was on its way before it may arrive all the same.
pub(super) fn too_late(effect: &Effect, took: Duration) -> Option<Report> {
    let Effect::Apply { step, attempt, part, change, .. } = effect else { return None };
    if change.is_nothing() || took <= STILL {
        return None;
    }
    let seconds = took.as_secs();
    let reason = format!("its intent took {seconds} s to be written, so it was not sent: look, then try it again");
    let trouble = Trouble { call: "journal".into(), reason, kind: TroubleKind::Unexpected, next_try: None };
    let outcome = Outcome::InDoubt { trouble };
    Some(Report::Ended { step: step.clone(), attempt: *attempt, part: *part, outcome })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Change, Direction};

    #[test]
    fn a_change_whose_intent_took_long_to_be_written_is_not_sent() {
        let apply = |change| Effect::Apply {
            step: "freeze".into(),
            direction: Direction::Forward,
            attempt: 1,
            part: 0,
            token: String::new(),
            change,
        };
        let acts = apply(Change::Maintenance { app: "acme-shop".into(), from: false, to: true });
        let long = Duration::from_secs(25);
        assert_eq!(too_late(&acts, Duration::from_secs(2)), None);
        let Some(Report::Ended { outcome: Outcome::InDoubt { trouble }, .. }) = too_late(&acts, long) else {
            panic!("it would be sent")
        };
        assert!(trouble.reason.contains("25 s") && trouble.reason.contains("not sent"), "{}", trouble.reason);
        assert_eq!(too_late(&apply(Change::Nothing), long), None, "reading is never too late");
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
