//! `check.suite`: checks that must pass now, on each side directly.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, stream};

use super::{StepContext, done, unexpected};
use crate::{
    plan::{Check, Side},
    run::{CheckSample, Outcome, Target, TroubleKind},
    world::trouble,
};

/// How many checks run at once.
const AT_ONCE: usize = 6;
/// Between two rounds, session time.
const BETWEEN: Duration = Duration::from_secs(5);

pub(super) async fn apply(context: &StepContext, ids: &[String], sides: &[Side], rounds: u32) -> Outcome {
    let checks: Vec<&Check> = context.plan.checks.iter().filter(|check| ids.contains(&check.id)).collect();
    let all = checks.len() * sides.len() * rounds as usize;
    if all == 0 || checks.len() != ids.len() {
        return Outcome::Failed {
            trouble: unexpected(context, "it names no check, or one that the plan does not have"),
        };
    }
    let mut passed = 0;
    for round in 1..=rounds {
        for side in sides {
            let label = &context.plan.sides.get(*side).label;
            let target = if *side == Side::Old { Target::Old } else { Target::New };
            let runs: Vec<_> = checks.iter().map(|check| context.world.checker().run(check, target).boxed()).collect();
            let mut running = stream::iter(runs).buffer_unordered(AT_ONCE);
            let mut failures = Vec::new();
            loop {
                let sample = tokio::select! {
                    () = context.stop.cancelled() => return Outcome::Stopped,
                    sample = running.next() => sample,
                };
                let Some(sample) = sample else { break };
                context.output(line(&sample, label, round));
                match &sample.reason {
                    Some(reason) => failures.push(format!("{}: {reason}", sample.check)),
                    None => passed += 1,
                }
                #[expect(clippy::cast_precision_loss, reason = "a fraction for a progress bar")]
                context.progress(format!("{passed} of {all} passed"), Some(passed as f64 / all.max(1) as f64));
            }
            if !failures.is_empty() {
                let call = format!("checks on {label}");
                let trouble = trouble(&call, TroubleKind::Unexpected, &failures.join("; "));
                return Outcome::Failed { trouble };
            }
        }
        if round < rounds && !context.pause(BETWEEN).await {
            return Outcome::Stopped;
        }
    }
    done(format!("{all} of {all} passed"))
}

fn line(sample: &CheckSample, label: &str, round: u32) -> String {
    let verdict = sample.reason.as_deref().map_or("ok", |reason| reason);
    format!("round {round}  {label}  {:<16} {:>5} ms  {verdict}", sample.check, sample.latency.as_millis())
}
