//! `watch`: holds for a time with everything holding; a break begins it anew.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{StepContext, done, unexpected};
use crate::run::{Outcome, clock_text};

/// Between two looks, session time.
const LOOK: Duration = Duration::from_secs(2);

pub(super) async fn apply(context: &StepContext, lasting: Duration, old_side_silent: Option<Duration>) -> Outcome {
    let lasting = SignedDuration::try_from(lasting).unwrap_or(SignedDuration::MAX);
    let mut health = context.health.clone();
    let mut since: Option<Timestamp> = None;
    loop {
        let now = context.clock.now();
        let broken = health.borrow_and_update().green.clone().err();
        match (&broken, since) {
            (Some(reason), Some(begun)) => {
                let held = clock_text(now.duration_since(begun));
                context.output(format!("held for {held}, then: {reason}; it begins anew"));
                since = None;
            }
            (None, None) => since = Some(now),
            _ => {}
        }
        let held = since.map_or(SignedDuration::ZERO, |since| now.duration_since(since));
        let noise = old_side_silent.and_then(|wanted| noise(context, wanted));
        if held >= lasting && noise.is_none() {
            return done(format!("everything held for {}", clock_text(held)));
        }
        let text = match (broken, noise) {
            (Some(reason), _) => format!("waits: {reason}"),
            (None, Some(noise)) if held >= lasting => noise,
            _ => format!("holding for {} of {}", clock_text(held), clock_text(lasting)),
        };
        context.progress(text, Some(held.as_secs_f64() / lasting.as_secs_f64().max(1.0)));
        // Woken by every change, so that a break between two looks is not missed.
        tokio::select! {
            changed = health.changed() => if changed.is_err() {
                return Outcome::Failed { trouble: unexpected(context, "nobody watches any more") };
            },
            going = context.pause(LOOK) => if !going {
                return Outcome::Stopped;
            },
        }
    }
}

/// Why the old side is not silent enough yet.
fn noise(context: &StepContext, wanted: Duration) -> Option<String> {
    let silent = context.health.borrow().old_side_silent_for;
    let label = &context.plan.sides.old.label;
    match silent {
        Some(silent) if silent >= wanted => None,
        Some(silent) => {
            let text = |duration| SignedDuration::try_from(duration).map(clock_text).unwrap_or_default();
            Some(format!("{label} silent for {} of {}", text(silent), text(wanted)))
        }
        None => Some(format!("whether {label} is silent is not known")),
    }
}
