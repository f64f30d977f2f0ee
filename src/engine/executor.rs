//! Runs one effect in the world and reports how it ended. Knows nothing of the log; the coordinator alone decides what
//! a report means.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch as cell};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    plan::{Kind, Plan, Step, StepId},
    run::{Change, Direction, Effect, Outcome, Report, Sample, State, Trouble, TroubleKind},
    steps::{self, Health, StepContext},
    world::World,
};

/// How long a stopped attempt may take to end by itself, wall time.
const GRACE: Duration = Duration::from_secs(5);
/// A sped-up rehearsal shortens no time-out below this, wall time: what a step waits for by the wall (a proof that nobody
/// writes, a slow machine) does not become faster with the session.
const LEAST: Duration = Duration::from_secs(60);

/// What a job has to say.
#[derive(Debug)]
pub(super) enum Job {
    /// Something to decide about.
    Report(Report),
    /// Something to show.
    Sample(Sample),
}

/// What a job is about; at most one of each runs for a step at a time. A look at an earlier attempt that still waits for
/// its answer must not keep anybody from looking at a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Task {
    Preview(Direction),
    /// A gate that closed while its look was under way, and was armed again, has a look of its own.
    Reread {
        gate: u64,
        part: u32,
    },
    Apply,
    Observe {
        attempt: u32,
        part: u32,
    },
}

/// Spawns jobs and remembers what is under way.
pub(super) struct Executor {
    plan: Arc<Plan>,
    world: World,
    clock: Clock,
    health: cell::Receiver<Health>,
    jobs: mpsc::Sender<Job>,
    under_way: Arc<Mutex<HashMap<(StepId, Task), CancellationToken>>>,
}

impl Executor {
    pub(super) fn new(
        plan: Arc<Plan>,
        world: World,
        clock: Clock,
        health: cell::Receiver<Health>,
        jobs: mpsc::Sender<Job>,
    ) -> Self {
        Self { plan, world, clock, health, jobs, under_way: Arc::default() }
    }

    /// Does what an event asked for. Returns at once.
    pub(super) fn run(&self, effect: Effect, state: &State) {
        match effect {
            Effect::Reread { step, direction, gate, part } => self.reread(step, direction, (gate, part), state),
            Effect::Apply { step, direction: _, attempt, part, token, change } => {
                self.apply(step, attempt, part, token, change, state);
            }
            Effect::Observe { step, attempt, part, change, accepted } => {
                self.observe(step, (attempt, part), change, accepted, state);
            }
        }
    }

    /// Reads the exact change of a step for the screen.
    pub(super) fn preview(&self, step: &StepId, direction: Direction, state: &State) {
        let applied = applied(state, step);
        self.spawn(step.clone(), Task::Preview(direction), state, move |context| async move {
            let result = steps::preview(&context, direction, &applied).await;
            Report::Previewed { step: context.step.id.clone(), direction, result }
        });
    }

    /// Asks what a step has under way to stop.
    pub(super) fn stop(&self, step: &StepId) {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stop) = under_way.get(&(step.clone(), Task::Apply)) {
            stop.cancel();
        }
    }

    fn reread(&self, step: StepId, direction: Direction, (gate, part): (u64, u32), state: &State) {
        let applied = applied(state, &step);
        self.spawn(step, Task::Reread { gate, part }, state, move |context| async move {
            let result = steps::preview(&context, direction, &applied).await;
            Report::Reread { step: context.step.id.clone(), gate, part, result }
        });
    }

    fn apply(&self, step: StepId, attempt: u32, part: u32, token: String, change: Change, state: &State) {
        let clock = self.clock;
        self.spawn(step, Task::Apply, state, move |context| async move {
            let limit = limit(context.step.timeout, clock);
            let (id, stop) = (context.step.id.clone(), context.stop.clone());
            let sends = !change.is_nothing();
            let mut applying = Box::pin(steps::apply(&context, &change, &token));
            let outcome = match tokio::time::timeout(limit, &mut applying).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    stop.cancel();
                    // What it was doing may have arrived: only the world can tell.
                    let _ = tokio::time::timeout(GRACE, applying).await;
                    overdue(&context.step, sends)
                }
            };
            Report::Ended { step: id, attempt, part, outcome }
        });
    }

    fn observe(&self, step: StepId, (attempt, part): (u32, u32), change: Change, accepted: bool, state: &State) {
        self.spawn(step, Task::Observe { attempt, part }, state, move |context| async move {
            let observation = steps::observe(&context, &change, accepted).await;
            Report::Observed { step: context.step.id.clone(), attempt, part, observation }
        });
    }

    fn spawn<W, F>(&self, id: StepId, task: Task, state: &State, work: W)
    where
        W: FnOnce(StepContext) -> F + Send + 'static,
        F: Future<Output = Report> + Send + 'static,
    {
        let Some(step) = self.plan.step(&id).cloned() else { return };
        let key = (id, task);
        let stop = CancellationToken::new();
        {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            if under_way.contains_key(&key) {
                return;
            }
            under_way.insert(key.clone(), stop.clone());
        }
        let context = self.context(step, stop, state);
        let (jobs, under_way) = (self.jobs.clone(), Arc::clone(&self.under_way));
        tokio::spawn(async move {
            // Freed also when the work panics: a fault in one step must not block the next look at it.
            let _free = Free { key, under_way };
            let report = work(context).await;
            // The loop is gone only when the engine ends.
            let _ = jobs.send(Job::Report(report)).await;
        });
    }

    fn context(&self, step: Step, stop: CancellationToken, state: &State) -> StepContext {
        let jobs = self.jobs.clone();
        let drained_at = drained_at(&self.plan, &step, state);
        let known = state.step(&step.id);
        let attempt = known.and_then(crate::run::StepState::attempt);
        StepContext {
            earlier: known.map_or_else(Vec::new, crate::run::StepState::missed_tokens),
            plan: Arc::clone(&self.plan),
            attempt: attempt.map_or(0, |attempt| attempt.number),
            token: attempt.map_or_else(String::new, |attempt| attempt.token.clone()),
            step,
            world: self.world.clone(),
            clock: self.clock,
            drained_at,
            begun_at: attempt.map(|attempt| attempt.started_at),
            health: self.health.clone(),
            stop,
            // Progress is lossy: a full queue drops it.
            tell: Arc::new(move |sample| drop(jobs.try_send(Job::Sample(sample)))),
        }
    }
}

struct Free {
    key: (StepId, Task),
    under_way: Arc<Mutex<HashMap<(StepId, Task), CancellationToken>>>,
}

impl Drop for Free {
    fn drop(&mut self) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

fn applied(state: &State, step: &StepId) -> Vec<Change> {
    state.step(step).map_or_else(Vec::new, |step| step.applied.clone())
}

/// When the last honest cache has forgotten the old TTL of the step's records, with the step's margin.
fn drained_at(plan: &Plan, step: &Step, state: &State) -> Option<Timestamp> {
    let margin = if let Kind::DnsDrain { margin, .. } = step.kind { margin } else { Duration::ZERO };
    let records = step.kind.records().iter().filter_map(|id| plan.record(id));
    let ends = records.filter_map(|record| state.drain_of(record)).map(|drain| drain.ends_at()).max()?;
    ends.checked_add(margin).ok()
}

/// The time-out of a step by the wall clock.
fn limit(timeout: Duration, clock: Clock) -> Duration {
    clock.to_wall(timeout).max(timeout.min(LEAST))
}

fn overdue(step: &Step, sends: bool) -> Outcome {
    let limit = jiff::SignedDuration::try_from(step.timeout).map(crate::run::clock_text).unwrap_or_default();
    let trouble = Trouble {
        call: step.id.to_string(),
        reason: format!("not over within {limit}"),
        kind: TroubleKind::Unreachable,
        next_try: None,
    };
    if sends { Outcome::InDoubt { trouble } } else { Outcome::Failed { trouble } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rehearsal_shortens_a_time_out_but_not_below_what_the_work_takes_by_the_wall() {
        let seconds = |timeout, speed| limit(Duration::from_secs(timeout), Clock::scaled(speed)).as_secs();
        // The freeze: two seconds of grace, and three and a half of proof.
        assert_eq!(seconds(300, 120.0), 60);
        assert_eq!(seconds(300, 60.0), 60);
        assert_eq!(seconds(7200, 60.0), 120);
        // What the plan says is what holds where time is real.
        assert_eq!((seconds(300, 1.0), seconds(10, 1.0), seconds(10, 60.0)), (300, 10, 10));
    }
}
