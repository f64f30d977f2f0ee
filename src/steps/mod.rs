//! What each kind of step does: `preview`, `apply`, `observe`; undo is the previewed change reversed.
//!
//! | file | kinds |
//! |---|---|
//! | `records` | what all `dns.*` changes share: reading, sending, verifying record sets |
//! | `served` | whether the zone's name servers answer with what stands in it |
//! | `dns` | `dns.lower-ttl`, `dns.switch`, `dns.raise-ttl`: which record sets they want |
//! | `drain` | `dns.drain` |
//! | `heroku` | `heroku.maintenance`, `heroku.scale` |
//! | `ecs` | `ecs.scale`, `ecs.wait-stable` |
//! | `task` | `ecs.run-task` |
//! | `postgres` | `postgres.*` |
//! | `rds/` | `rds.restore-snapshot`, `rds.snapshot`, `rds.promote-replica`, `rds.switchover` |
//! | `exec` | `exec` |
//! | `checks` | `check.suite` |
//! | `watch` | `watch` |
//!
//! `manual` has no file: a person does it, and ticks end it.

mod checks;
mod dns;
mod drain;
mod ecs;
mod exec;
mod heroku;
mod postgres;
mod rds;
mod records;
mod served;
mod task;
#[cfg(test)]
mod tests;
mod watch;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    plan::{Kind, Plan, Step},
    run::{Change, Direction, Observation, Outcome, Preview, Sample, Trouble, TroubleKind},
    world::{World, trouble},
};

/// What a step works with.
#[derive(Clone)]
pub struct StepContext {
    /// The plan.
    pub plan: Arc<Plan>,
    /// The step.
    pub step: Step,
    /// Number of the attempt, for its output.
    pub attempt: u32,
    /// Token of the part that was sent last; empty: nothing was.
    pub token: String,
    /// Tokens of the attempts right before it that were seen not to have taken effect, oldest first: what they sent may
    /// still arrive.
    pub earlier: Vec<String>,
    /// Everything outside.
    pub world: World,
    /// Session time.
    pub clock: Clock,
    /// When the last honest cache has forgotten the old TTL of the step's records; None: no TTL was lowered.
    pub drained_at: Option<Timestamp>,
    /// When the attempt began, whichever engine began it.
    pub begun_at: Option<Timestamp>,
    /// What the watches see.
    pub health: tokio::sync::watch::Receiver<Health>,
    /// The operator wants it to stop.
    pub stop: CancellationToken,
    /// Takes progress and output.
    pub tell: Arc<dyn Fn(Sample) + Send + Sync>,
}

impl fmt::Debug for StepContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepContext")
            .field("step", &self.step.id)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// What the watches see, as the engine folds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Every guardrail that counts holds and every check passes on the new side; Err says what does not.
    pub green: Result<(), String>,
    /// How long no request has reached the old side, session time; None: it is not measured.
    pub old_side_silent_for: Option<Duration>,
    /// Record id to whether the resolvers agree on it with a drained TTL.
    pub resolvers: BTreeMap<String, Result<(), String>>,
}

impl Default for Health {
    fn default() -> Self {
        Self { green: Err("nothing was measured yet".into()), old_side_silent_for: None, resolvers: BTreeMap::new() }
    }
}

impl StepContext {
    /// Says how far the attempt is. `fraction`: 0 to 1.
    fn progress(&self, text: impl Into<String>, fraction: Option<f64>) {
        #[expect(clippy::cast_possible_truncation, reason = "a fraction for a progress bar")]
        let fraction = fraction.map(|fraction| fraction.clamp(0.0, 1.0) as f32);
        (self.tell)(Sample::Progress { step: self.step.id.clone(), text: text.into(), fraction });
    }

    /// Says a line of output.
    fn output(&self, line: impl Into<String>) {
        (self.tell)(Sample::Output { step: self.step.id.clone(), attempt: self.attempt, line: line.into() });
    }

    /// Sleeps a session duration, at least a fifth of a wall second; false: the operator wants it to stop.
    async fn pause(&self, session: Duration) -> bool {
        let wall = self.clock.to_wall(session).max(Duration::from_millis(200));
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(wall) => true,
        }
    }
}

/// The exact change from the world as it is now. `applied`: what the step has done to the world and not undone; going
/// forward, what remains after it is previewed; going back, its reversal.
///
/// # Errors
/// The world cannot be read, or is not as the plan expects (`Unexpected`, with both).
pub async fn preview(context: &StepContext, direction: Direction, applied: &[Change]) -> Result<Preview, Trouble> {
    let forward = direction == Direction::Forward;
    match &context.step.kind {
        Kind::DnsLowerTtl { .. } | Kind::DnsSwitch { .. } | Kind::DnsRaiseTtl { .. } => {
            if forward {
                dns::preview(context, applied).await
            } else {
                records::preview_back(context, applied).await
            }
        }
        Kind::HerokuMaintenance { on } => heroku::preview_maintenance(context, *on, forward, applied).await,
        Kind::HerokuScale { formation, .. } => heroku::preview_scale(context, formation, forward, applied).await,
        Kind::EcsScale { cluster, service, desired } => {
            ecs::preview(context, (cluster, service), *desired, forward, applied).await
        }
        Kind::EcsRunTask(spec) if forward => task::preview(context, spec).await,
        Kind::EcsRunTask(_) => task::preview_back(context, applied).await,
        Kind::PostgresFreeze { .. } | Kind::PostgresOpen { .. } => match write_lock(&context.step.kind) {
            Some(wanted) => postgres::access::preview(context, wanted, forward, applied).await,
            None => Ok(Preview::single(Change::Nothing)),
        },
        Kind::PostgresSyncSequences { headroom } => {
            postgres::sequences::preview(context, *headroom, forward, applied).await
        }
        Kind::Rds(kind) => rds::preview(context, kind, forward, applied).await,
        Kind::Exec { apply, observe, undo, .. } if forward => {
            exec::preview(context, apply, observe.as_ref(), undo.as_ref())
        }
        Kind::Exec { .. } => exec::preview_back(context, applied),
        Kind::PostgresWaitCaughtUp
        | Kind::PostgresCompare { .. }
        | Kind::Manual { .. }
        | Kind::CheckSuite { .. }
        | Kind::DnsDrain { .. }
        | Kind::EcsWaitStable { .. }
        | Kind::Watch { .. } => Ok(Preview::single(Change::Nothing)),
    }
}

/// What a freeze or an opening is about.
fn write_lock(kind: &Kind) -> Option<postgres::access::Wanted<'_>> {
    match kind {
        Kind::PostgresFreeze { side, method, roles } => {
            Some(postgres::access::Wanted { side: *side, method: *method, roles, open: false })
        }
        Kind::PostgresOpen { side, method, roles } => {
            Some(postgres::access::Wanted { side: *side, method: *method, roles, open: true })
        }
        _ => None,
    }
}

/// Wall time after which a request whose answer was lost has arrived, or never will.
const AFTERMATH: Duration = Duration::from_secs(2);

/// Sends one change, once, and follows it to its end. What only reads does its reading here.
///
/// A change with equal ends sends nothing, and so does an attempt that was stopped before it began. Stopped later, the
/// change may stand: the world must be observed.
pub async fn apply(context: &StepContext, change: &Change, token: &str) -> Outcome {
    if context.stop.is_cancelled() {
        return Outcome::Stopped;
    }
    if change.is_settled() {
        return done("it was so already");
    }
    match change {
        Change::Records { zone_id, before, after } => records::apply(context, zone_id, before, after, token).await,
        Change::Maintenance { to, .. } => heroku::apply_maintenance(context, *to).await,
        Change::Formation { to, .. } => heroku::apply_scale(context, to).await,
        Change::Service { cluster, service, to, .. } => ecs::apply(context, cluster, service, *to).await,
        Change::Task(task) => task::apply(context, task, token).await,
        Change::WriteAccess { side, from, to, .. } => match write_lock(&context.step.kind) {
            Some(wanted) => postgres::access::apply(context, *side, (wanted.method, wanted.roles), from, to).await,
            None => Outcome::Failed { trouble: unexpected(context, "the step is of another kind") },
        },
        Change::Sequences { from, to } => postgres::sequences::apply(context, from, to).await,
        Change::Rds(change) => rds::apply(context, change, token).await,
        Change::Command { argv, .. } => exec::apply(context, argv, token).await,
        Change::Nothing => read(context).await,
    }
}

async fn read(context: &StepContext) -> Outcome {
    match &context.step.kind {
        Kind::CheckSuite { checks, sides, rounds } => checks::apply(context, checks, sides, *rounds).await,
        Kind::DnsDrain { records, .. } => drain::apply(context, records).await,
        Kind::EcsWaitStable { cluster, services } => ecs::wait_stable(context, cluster, services).await,
        Kind::PostgresWaitCaughtUp => postgres::caught_up::apply(context).await,
        Kind::PostgresCompare { tables, sample_above, ranges } => {
            let wanted = postgres::compare::Wanted { tables, sample_above: *sample_above, ranges: *ranges };
            postgres::compare::apply(context, wanted).await
        }
        Kind::Watch { lasting, old_side_silent } => watch::apply(context, *lasting, *old_side_silent).await,
        _ => done("nothing to do"),
    }
}

/// Reads the world to tell whether a change took effect. `accepted`: the attempt ended well, which is all that can be
/// known of what only read and of a command that has no way to be observed.
///
/// Where the answer was lost and the world is still as before, it is read once more after a moment: what was on its way
/// may yet arrive.
pub async fn observe(context: &StepContext, change: &Change, accepted: bool) -> Observation {
    let seen = observe_once(context, change, accepted).await;
    if accepted || change.is_nothing() || !matches!(seen, Observation::NotDone { .. }) {
        return seen;
    }
    tokio::time::sleep(AFTERMATH).await;
    observe_once(context, change, accepted).await
}

async fn observe_once(context: &StepContext, change: &Change, accepted: bool) -> Observation {
    match change {
        Change::Records { zone_id, before, after } => records::observe(context, zone_id, before, after).await,
        Change::Maintenance { from, to, .. } => heroku::observe_maintenance(context, *from, *to).await,
        Change::Formation { from, to, .. } => heroku::observe_scale(context, from, to).await,
        Change::Service { cluster, service, from, to } => ecs::observe(context, cluster, service, *from, *to).await,
        Change::Task(task) => task::observe(context, task, accepted).await,
        Change::WriteAccess { side, from, to, .. } => match write_lock(&context.step.kind) {
            Some(wanted) => postgres::access::observe(context, *side, (wanted.method, wanted.roles), from, to).await,
            None => Observation::Unknown { reason: "the step is of another kind".into() },
        },
        Change::Sequences { from, to } => postgres::sequences::observe(context, from, to).await,
        Change::Rds(change) => rds::observe(context, change).await,
        Change::Command { observe: Some(argv), undoing, .. } => exec::observe(context, argv, *undoing).await,
        Change::Command { .. } | Change::Nothing if accepted => Observation::Done,
        Change::Command { .. } => {
            Observation::Unknown { reason: "the plan gives this command no `observe`: look, and decide with u".into() }
        }
        Change::Nothing => Observation::NotDone { seen: "it only reads, and did not come to its end".into() },
    }
}

/// The world is not as the plan expects.
fn unexpected(context: &StepContext, reason: &str) -> Trouble {
    trouble(context.step.kind.name(), TroubleKind::Unexpected, reason)
}

/// The one change that puts back what was applied.
fn reversal(applied: &[Change]) -> Result<Change, Trouble> {
    let none = || trouble("undo", TroubleKind::Unexpected, "there is nothing to put back");
    Change::reversal_of(applied).ok_or_else(none)
}

fn done(summary: impl Into<String>) -> Outcome {
    Outcome::Done { in_sync: None, summary: summary.into() }
}

/// As after: done. As before: not done. Neither: nobody knows.
fn compare<T: PartialEq>(now: &T, before: &T, after: &T, seen: String) -> Observation {
    if now == after {
        Observation::Done
    } else if now == before {
        Observation::NotDone { seen }
    } else {
        Observation::Unknown { reason: format!("neither as before nor as after: {seen}") }
    }
}

/// The world could not be read.
fn unreadable(trouble: &Trouble) -> Observation {
    Observation::Unknown { reason: format!("{}: {}", trouble.call, trouble.reason) }
}

/// A preview of one change; equal ends are said to be so already.
fn single(change: Change, already: bool) -> Preview {
    let facts = if already { vec![("already so".to_owned(), "nothing will be sent".to_owned())] } else { Vec::new() };
    Preview { facts, ..Preview::single(change) }
}

/// Going back: from what was put there to what was there. Fails if the world has moved on since.
fn back<T: PartialEq + Clone>(
    context: &StepContext,
    now: &T,
    (put, was): (T, T),
    show: impl Fn(&T) -> String,
) -> Result<(T, T), Trouble> {
    if *now == was {
        return Ok((was.clone(), was));
    }
    if *now == put {
        return Ok((put, was));
    }
    let reason = format!("to be put back to {}, it should be {} and is {}", show(&was), show(&put), show(now));
    Err(unexpected(context, &reason))
}
