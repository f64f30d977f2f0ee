//! `dns.drain`: waits until the old TTL has left every honest cache, and until the resolvers agree.

use std::time::Duration;

use jiff::SignedDuration;

use super::{StepContext, done};
use crate::run::{Outcome, clock_text};

/// Between two looks, session time.
const LOOK: Duration = Duration::from_secs(2);

pub(super) async fn apply(context: &StepContext, records: &[String]) -> Outcome {
    if let Some(until) = context.drained_at {
        // From the beginning of the attempt: another engine that goes on with it does not begin the bar anew.
        let started = context.begun_at.unwrap_or_else(|| context.clock.now());
        let whole = until.duration_since(started).as_secs_f64().max(1.0);
        loop {
            let left = until.duration_since(context.clock.now());
            if left <= SignedDuration::ZERO {
                break;
            }
            let text = format!("the old TTL, with the step's margin, drains for another {}", clock_text(left));
            context.progress(text, Some(1.0 - left.as_secs_f64() / whole));
            if !context.pause(LOOK).await {
                return Outcome::Stopped;
            }
        }
    }
    loop {
        let disagreement = {
            let health = context.health.borrow();
            let unasked = || Err("nobody has asked them yet".to_owned());
            let verdicts = records.iter().map(|id| health.resolvers.get(id).cloned().unwrap_or_else(unasked));
            verdicts.filter_map(Result::err).next()
        };
        let Some(reason) = disagreement else { return done("the old TTL has drained and the resolvers agree") };
        context.progress(format!("drained; the resolvers do not agree yet: {reason}"), Some(1.0));
        if !context.pause(LOOK).await {
            return Outcome::Stopped;
        }
    }
}
