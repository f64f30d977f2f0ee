//! `postgres.wait-caught-up`: until the new side has everything that the old side had when the step began.
//!
//! The place is pinned once. Caught up is: the subscriber has confirmed it, all tables are in step, everything that must
//! live does, and, where the plan has a heartbeat, a row written now has gone through. Waiting for lag and waiting in vain
//! are told apart: the one has a rate and an estimate, the other a reason.

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;

use super::{
    super::{StepContext, done},
    about, bytes,
};
use crate::{
    run::{Outcome, Trouble},
    world::postgres::{Lsn, Postgres, Replication},
};

/// Between two looks, session time.
const LOOK: Duration = Duration::from_secs(2);
/// Looks that a rate is taken from.
const LOOKS: usize = 15;
/// A rising count of errors is forgotten after so many looks without another.
const FORGOTTEN: u32 = 15;

/// How fast the distance shrinks.
#[derive(Debug, Default)]
struct Rate {
    looks: VecDeque<(Timestamp, u64)>,
    most: u64,
}

impl Rate {
    /// Takes in a distance in bytes; gives the share that is behind us, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a share for a progress bar")]
    fn take(&mut self, at: Timestamp, left: u64) -> f64 {
        if self.looks.len() == LOOKS {
            self.looks.pop_front();
        }
        self.looks.push_back((at, left));
        self.most = self.most.max(left);
        if self.most == 0 { 1.0 } else { 1.0 - left as f64 / self.most as f64 }
    }

    /// Bytes a second and how long the rest takes; None: it does not shrink, or too little was seen.
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn estimate(&self) -> Option<(f64, Duration)> {
        let ((begun, most), (now, left)) = (*self.looks.front()?, *self.looks.back()?);
        let elapsed = now.duration_since(begun).as_secs_f64();
        let rate = most.checked_sub(left).filter(|gone| *gone > 0)? as f64 / elapsed;
        let rest = Duration::try_from_secs_f64(left as f64 / rate).ok()?;
        (elapsed > 0.0).then_some((rate, rest))
    }
}

/// What one look showed.
enum Seen {
    Everything,
    Waits(u64, String),
    Stalled(String),
}

pub(in crate::steps) async fn apply(context: &StepContext) -> Outcome {
    let postgres = match context.world.postgres() {
        Ok(postgres) => postgres,
        Err(trouble) => return Outcome::Failed { trouble },
    };
    let pinned = postgres.side(crate::plan::Side::Old).motion().await;
    let pin = match pinned {
        Ok(motion) => motion.lsn,
        Err(trouble) => return Outcome::Failed { trouble },
    };
    let token = format!("{pin} {}", context.clock.now());
    match postgres.beat(&token).await {
        Ok(true) => context.output(format!("pinned {pin} on the old side; a heartbeat follows it")),
        Ok(false) => context.output(format!("pinned {pin} on the old side; the plan has no heartbeat")),
        Err(failure) => return Outcome::Failed { trouble: failure.into() },
    }
    follow(context, postgres, pin, &token).await
}

async fn follow(context: &StepContext, postgres: &Postgres, pin: Lsn, token: &str) -> Outcome {
    let (mut rate, mut errors, mut told) = (Rate::default(), Errors::default(), String::new());
    loop {
        let (text, share) = match look(postgres, pin, token, &mut errors).await {
            Ok(Seen::Everything) => return done(format!("everything up to {pin} has arrived")),
            Ok(Seen::Waits(left, why)) => {
                let share = rate.take(context.clock.now(), left);
                let estimate = rate.estimate().map(|(rate, rest)| {
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]
                    let rate = bytes(rate as u64);
                    format!(", {rate}/s, {}", about(rest))
                });
                (format!("lag {}: {why}{}", bytes(left), estimate.unwrap_or_default()), Some(share))
            }
            Ok(Seen::Stalled(why)) => (format!("stalled: {why}"), None),
            Err(trouble) => (format!("{}: {}", trouble.call, trouble.reason), None),
        };
        // What will not pass by itself is said once in the output, where it stays.
        if share.is_none() && text != told {
            context.output(text.clone());
            told.clone_from(&text);
        }
        context.progress(text, share);
        if !context.pause(LOOK).await {
            return Outcome::Stopped;
        }
    }
}

async fn look(postgres: &Postgres, pin: Lsn, token: &str, errors: &mut Errors) -> Result<Seen, Trouble> {
    let replication = postgres.replication().await?;
    let before = errors.before(&replication);
    if let Some(why) = replication.stalled(before) {
        return Ok(Seen::Stalled(why));
    }
    let left = replication.slot.as_ref().map_or(0, |slot| pin.since(slot.confirmed));
    if let Some(why) = replication.missing(pin) {
        return Ok(Seen::Waits(left, why));
    }
    if !postgres.beaten(token).await? {
        return Ok(Seen::Waits(left, "the heartbeat has not arrived".to_owned()));
    }
    Ok(Seen::Everything)
}

/// What the count of errors is measured against.
#[derive(Debug, Default)]
struct Errors {
    before: Option<i64>,
    last: Option<i64>,
    calm: u32,
}

impl Errors {
    fn before(&mut self, replication: &Replication) -> Option<i64> {
        let now = replication.subscription.as_ref().and_then(|subscription| subscription.errors);
        self.calm = if self.last == now { self.calm.saturating_add(1) } else { 0 };
        self.last = now;
        if self.before.is_none() || self.calm >= FORGOTTEN {
            self.before = now;
        }
        self.before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::postgres::Subscription;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn a_rate_gives_an_estimate_only_while_the_distance_shrinks() {
        let mut rate = Rate::default();
        assert_eq!((rate.take(at(0), 1000), rate.estimate()), (0.0, None));
        assert_eq!(rate.take(at(10), 500), 0.5);
        assert_eq!(rate.estimate(), Some((50.0, Duration::from_secs(10))));
        rate.take(at(20), 2000);
        assert_eq!(rate.estimate(), None, "it grew");
        assert_eq!(Rate::default().take(at(0), 0), 1.0);
    }

    #[test]
    fn errors_count_from_the_first_look_and_are_forgotten_when_they_stop() {
        let with = |count| Replication {
            slot: None,
            subscription: Some(Subscription { enabled: true, working: true, silent: None, errors: Some(count) }),
            copying: Vec::new(),
            unknown: Vec::new(),
        };
        let mut errors = Errors::default();
        assert_eq!(errors.before(&with(7)), Some(7));
        assert_eq!(errors.before(&with(8)), Some(7));
        let last = (0..FORGOTTEN).map(|_| errors.before(&with(8))).last();
        assert_eq!(last, Some(Some(8)));
    }
}
