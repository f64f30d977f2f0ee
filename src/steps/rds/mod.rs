//! `rds.*`: what takes minutes, followed from status to status.
//!
//! | file | kinds |
//! |---|---|
//! | `restore` | `rds.restore-snapshot`, and its undo |
//! | `snapshot` | `rds.snapshot` |
//! | `promote` | `rds.promote-replica` |
//! | `switchover` | `rds.switchover` |

mod promote;
mod restore;
mod snapshot;
mod switchover;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{StepContext, done, reversal, single, unexpected, unreadable};
use crate::{
    plan::RdsKind,
    run::{Change, Observation, Outcome, Preview, RdsChange, Trouble, TroubleKind, clock_text},
    world::{rds::Instance, trouble},
};

/// Between two looks, session time.
const LOOK: Duration = Duration::from_secs(5);
/// An estimate never claims to be done: only RDS says so.
const NEARLY: f64 = 0.97;

pub(super) async fn preview(
    context: &StepContext,
    kind: &RdsKind,
    forward: bool,
    applied: &[Change],
) -> Result<Preview, Trouble> {
    context.world.aws().confirm_account().await?;
    if !forward {
        return restore::preview_back(context, applied).await;
    }
    match kind {
        RdsKind::RestoreSnapshot { instance, snapshot, max_age, target } => {
            restore::preview(context, (instance, snapshot.as_deref()), *max_age, target).await
        }
        RdsKind::Snapshot { instance, prefix } => snapshot::preview(context, instance, prefix).await,
        RdsKind::PromoteReplica { replica, max_lag } => promote::preview(context, replica, *max_lag).await,
        RdsKind::Switchover { deployment, limit } => switchover::preview(context, deployment, *limit).await,
    }
}

pub(super) async fn apply(context: &StepContext, change: &RdsChange, token: &str) -> Outcome {
    if let Err(trouble) = context.world.aws().confirm_account().await {
        return Outcome::Failed { trouble };
    }
    match change {
        RdsChange::Restored { snapshot, target, to: true, .. } => {
            restore::apply(context, snapshot, target, token).await
        }
        RdsChange::Restored { target, to: false, .. } => restore::remove(context, &target.instance).await,
        RdsChange::Snapshot { instance, snapshot } => snapshot::apply(context, instance, snapshot, token).await,
        RdsChange::Promoted { replica, .. } => promote::apply(context, replica).await,
        RdsChange::Switched { deployment, limit, .. } => switchover::apply(context, deployment, *limit).await,
    }
}

pub(super) async fn observe(context: &StepContext, change: &RdsChange) -> Observation {
    match change {
        RdsChange::Restored { target, to, .. } => restore::observe(context, &target.instance, *to).await,
        RdsChange::Snapshot { snapshot, .. } => snapshot::observe(context, snapshot).await,
        RdsChange::Promoted { replica, source } => promote::observe(context, replica, source.as_deref()).await,
        RdsChange::Switched { deployment, .. } => switchover::observe(context, deployment).await,
    }
}

/// What a look at something shows that takes its time.
enum Look {
    /// It is over, in one line.
    Done(String),
    /// RDS gave it up and left everything as before: why.
    PutBack(String),
    /// It will not be over by itself, and what was sent stands: why.
    Broken(String),
    /// It goes on: its status in RDS's words, and what is done of it (0 to 1) where RDS says that.
    Going(String, Option<f64>),
}

/// What is followed to its end.
enum Awaited<'a> {
    /// An instance that is made of a snapshot.
    Restored(&'a str),
    /// An instance that is deleted.
    Removed(&'a str),
    /// A snapshot.
    Taken(&'a str),
    /// A replica that is promoted.
    Alone(&'a str),
    /// A deployment; whether it was seen to have left its first status.
    Switched(&'a str, bool),
}

impl Awaited<'_> {
    async fn look(&mut self, context: &StepContext) -> Result<Look, Trouble> {
        match self {
            Self::Restored(id) => restore::look(context, id).await,
            Self::Removed(id) => restore::look_away(context, id).await,
            Self::Taken(id) => snapshot::look(context, id).await,
            Self::Alone(id) => promote::look(context, id).await,
            Self::Switched(id, begun) => switchover::look(context, id, begun).await,
        }
    }

    const fn subject(&self) -> &str {
        match self {
            Self::Restored(id) | Self::Removed(id) | Self::Taken(id) | Self::Alone(id) | Self::Switched(id, _) => id,
        }
    }
}

/// Looks until it is over, saying each new status and how far it is against the planned duration.
async fn follow(context: &StepContext, call: &str, mut awaited: Awaited<'_>) -> Outcome {
    let begun = context.clock.now();
    let mut told = String::new();
    loop {
        let spent = context.clock.now().duration_since(begun);
        match awaited.look(context).await {
            Ok(Look::Done(summary)) => return done(summary),
            Ok(Look::PutBack(reason)) => {
                return Outcome::Failed { trouble: trouble(call, TroubleKind::Refused, &reason) };
            }
            Ok(Look::Broken(reason)) => {
                return Outcome::InDoubt { trouble: trouble(call, TroubleKind::Unexpected, &reason) };
            }
            Ok(Look::Going(status, exact)) => {
                if status != told {
                    context.output(format!("{}: {status} after {}", awaited.subject(), clock_text(spent)));
                }
                let (words, fraction) = estimate(spent, context.step.expected, exact);
                context.progress(format!("{status}, {words}"), Some(fraction));
                told = status;
            }
            // What was accepted goes on without being looked at.
            Err(trouble) => {
                let (words, fraction) = estimate(spent, context.step.expected, None);
                context.progress(format!("cannot be read: {}; {words}", trouble.reason), Some(fraction));
            }
        }
        if !context.pause(LOOK).await {
            return Outcome::Stopped;
        }
    }
}

/// How far something is, 0 to 1, and what is left of the planned duration in words. `exact`: what RDS says is done.
fn estimate(spent: SignedDuration, planned: Duration, exact: Option<f64>) -> (String, f64) {
    let planned = SignedDuration::try_from(planned).unwrap_or(SignedDuration::MAX);
    let share = spent.as_secs_f64() / planned.as_secs_f64().max(1.0);
    let words = if spent <= planned {
        format!("about {} left of {}", clock_text(planned - spent), clock_text(planned))
    } else {
        format!("{} longer than planned", clock_text(spent - planned))
    };
    (words, exact.unwrap_or(share).clamp(0.0, NEARLY))
}

/// The instance, which must exist.
async fn existing(context: &StepContext, id: &str) -> Result<Instance, Trouble> {
    let found = context.world.rds().instance(id).await?;
    found.ok_or_else(|| unexpected(context, &format!("there is no instance {id}")))
}

/// The instance, which must exist and take commands.
async fn ready(context: &StepContext, id: &str) -> Result<Instance, Trouble> {
    let found = existing(context, id).await?;
    if found.available() {
        return Ok(found);
    }
    Err(unexpected(context, &format!("{id} should be available and is {}", found.status)))
}

/// A line of what was read.
fn fact(label: &str, value: impl Into<String>) -> (String, String) {
    (label.to_owned(), value.into())
}

/// What a person wants to know of an instance, in one line.
fn about(instance: &Instance) -> String {
    let storage = instance.storage.map_or_else(String::new, |size| format!(", {size} GiB"));
    format!("{}, {}{storage}", instance.class, instance.engine)
}

/// How old something is, in words that change once a minute.
fn age(context: &StepContext, at: Timestamp) -> (SignedDuration, String) {
    let age = context.clock.now().duration_since(at).max(SignedDuration::ZERO);
    let words = match (age.as_hours() / 24, age.as_hours() % 24, age.as_mins() % 60) {
        (0, 0, minutes) => format!("{minutes} min old"),
        (0, hours, minutes) => format!("{hours} h {minutes} min old"),
        (days, hours, _) => format!("{days} d {hours} h old"),
    };
    (age, words)
}

/// The labels that tell later whose work something is; none of them is secret.
fn tags<'a>(context: &'a StepContext, token: &'a str) -> [(&'static str, &'a str); 4] {
    let (plan, step) = (&context.plan, &context.step);
    [
        ("cutover:plan", &plan.name),
        ("cutover:environment", &plan.environment.name),
        ("cutover:step", &step.id.0),
        ("cutover:attempt", token),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_counts_down_and_says_when_it_was_wrong() {
        let of = |spent, exact| estimate(SignedDuration::from_secs(spent), Duration::from_secs(600), exact);
        assert_eq!(of(150, None), ("about 7:30 left of 10:00".to_owned(), 0.25));
        assert_eq!(of(150, Some(0.5)), ("about 7:30 left of 10:00".to_owned(), 0.5));
        assert_eq!(of(660, None), ("1:00 longer than planned".to_owned(), NEARLY));
        assert_eq!(of(0, Some(1.0)).1, NEARLY, "100 percent is not yet available");
    }
}
