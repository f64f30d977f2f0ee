//! CloudWatch metrics and the guardrails that are judged by them.
//!
//! Every half period all metrics are asked for. Guardrails are judged by a loop of their own, after each round and on a
//! timer: one whose data stop coming turns blind by their age even while CloudWatch does not answer at all. One loop
//! judges, so that verdicts are told in the order in which they were given.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};

use super::{
    series::{Ring, from},
    task::{Context, Pace, Source, keep_alive},
    verdict::Told,
};
use crate::{
    clock::Clock,
    plan::{Guardrail, MetricSource, Plan},
    run::{Datum, Report, Sample, TroubleKind, Verdict, VerdictKind, judge, metric_round},
    world::{cloudwatch::Fetched, trouble},
};

/// Between two rounds, by the wall, however fast the session runs.
const ROUND_WALL: Duration = Duration::from_millis(200);
/// How often guardrails are judged without new data.
const JUDGE: Pace = Pace { session: Duration::from_secs(5), wall: Duration::from_millis(250) };

/// Metric id to what relative guardrails are measured against.
type Baseline = BTreeMap<String, f64>;

/// What is known of all metrics and guardrails.
#[derive(Debug, Default)]
pub(super) struct Board {
    known: Mutex<Known>,
    /// There are new data.
    pub(super) fresh: Notify,
}

#[derive(Debug, Default)]
struct Known {
    /// By metric id.
    rings: BTreeMap<String, Ring>,
    /// By guardrail id.
    told: Told<String, VerdictKind>,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Known> {
        // Rings are complete after each datum: a panic elsewhere leaves nothing half done.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The median of the last data of each metric that has any.
    pub(super) fn baseline(&self, plan: &Plan, now: Timestamp) -> Baseline {
        let known = self.lock();
        let one = |metric: &crate::plan::Metric| {
            let value = known.rings.get(&metric.id)?.baseline(period(metric.period), now)?;
            Some((metric.id.clone(), value))
        };
        plan.metrics.iter().filter_map(one).collect()
    }

    /// Takes in one datum; gives it back if it is new.
    pub(super) fn add(&self, metric: &str, datum: Datum) -> Vec<Datum> {
        let data = self.lock().rings.entry(metric.to_owned()).or_default().merge(&[datum]);
        self.fresh.notify_one();
        data
    }

    /// Takes in what a round gave; returns what is new in it.
    pub(super) fn merge(&self, series: &BTreeMap<String, Vec<Datum>>) -> Vec<Sample> {
        let mut known = self.lock();
        let fresh = |(metric, data): (&String, &Vec<_>)| {
            let data = known.rings.entry(metric.clone()).or_default().merge(data);
            (!data.is_empty()).then(|| Sample::Metric { metric: metric.clone(), data })
        };
        series.iter().filter_map(fresh).collect()
    }

    /// Judges every guardrail; says which verdicts have changed in kind.
    fn judge(&self, plan: &Plan, baseline: &Baseline, clock: Clock) -> (Vec<Sample>, Vec<Report>) {
        let now = clock.now();
        let mut known = self.lock();
        let verdicts: Vec<_> = plan
            .guardrails
            .iter()
            .map(|guardrail| {
                let length = plan.metrics.iter().find(|metric| metric.id == guardrail.metric).map_or(60, |m| m.period);
                let data = known.rings.get(&guardrail.metric).map(Ring::data).unwrap_or_default();
                let base = plan.baseline_of(&guardrail.metric).and_then(|metric| baseline.get(&metric.id)).copied();
                let max_age = clock.fresh(guardrail.max_age);
                let patient = (guardrail.max_age < max_age).then(|| Guardrail { max_age, ..guardrail.clone() });
                let verdict = judge(patient.as_ref().unwrap_or(guardrail), data, period(length), base, now);
                (guardrail.id.clone(), verdict)
            })
            .collect();
        let changed = verdicts.iter().filter(|(id, verdict)| known.told.news(id.clone(), verdict.kind));
        let reports = changed.map(|(id, verdict)| report(id, *verdict)).collect();
        let sample = |(guardrail, verdict)| Sample::Verdict { guardrail, verdict };
        (verdicts.into_iter().map(sample).collect(), reports)
    }
}

fn report(guardrail: &str, verdict: Verdict) -> Report {
    Report::Verdict { guardrail: guardrail.to_owned(), verdict: verdict.kind, value: verdict.value }
}

fn period(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}

/// Starts the rounds and the timer.
pub(super) fn spawn(
    tasks: &mut JoinSet<()>,
    context: &Arc<Context>,
    board: &Arc<Board>,
    baseline: &watch::Receiver<Baseline>,
) {
    if context.plan.metrics.iter().any(published) {
        let board = Arc::clone(board);
        keep_alive(tasks, context, "cloudwatch:rounds", Vec::new(), move |context| rounds(context, Arc::clone(&board)));
    }
    let blind = |guardrail: &Guardrail| Report::Verdict {
        guardrail: guardrail.id.clone(),
        verdict: VerdictKind::Blind,
        value: None,
    };
    let unknown = context.plan.guardrails.iter().map(blind).collect();
    let (board, baseline) = (Arc::clone(board), baseline.clone());
    keep_alive(tasks, context, "guardrails", unknown, move |context| {
        // What was told before a panic no longer stands.
        board.lock().told = Told::default();
        verdicts(context, Arc::clone(&board), baseline.clone())
    });
}

/// CloudWatch has it, or what it is made of.
const fn published(metric: &crate::plan::Metric) -> bool {
    !matches!(metric.source, MetricSource::Postgres { .. } | MetricSource::Queue { .. })
}

/// Asks for all metrics again and again, see [`metric_round`].
async fn rounds(context: Arc<Context>, board: Arc<Board>) {
    let mut source = Source::new("cloudwatch", &context);
    let metrics = || context.plan.metrics.iter().filter(|metric| published(metric));
    let longest = metrics().map(|metric| metric.period).max().unwrap_or(60);
    let pace = Pace { session: metric_round(&context.plan), wall: ROUND_WALL };
    let mut good = None;
    loop {
        let now = context.clock.now();
        let fetched = context.world.cloudwatch().fetch(&context.plan.metrics, from(longest, good, now), now).await;
        let (calls, metrics) = context.world.cloudwatch().spent();
        context.out.sample(Sample::Spent { calls, metrics });
        let pause = match fetched {
            Ok(fetched) => {
                good = fetched.partial.is_empty().then_some(now).or(good);
                board.merge(&fetched.series).into_iter().for_each(|sample| context.out.sample(sample));
                board.fresh.notify_one();
                tell(&mut source, &fetched, pace.wall(context.clock)).await
            }
            Err(trouble) => source.ill(trouble).await,
        };
        tokio::time::sleep(pause).await;
    }
}

/// A metric that CloudWatch could not give in full is a trouble, but no reason to ask less often for the others.
async fn tell(source: &mut Source, fetched: &Fetched, pace: Duration) -> Duration {
    let Some((metric, reason)) = fetched.partial.first_key_value() else {
        source.well().await;
        return pace;
    };
    let reason = format!("{metric}: {reason}");
    let trouble = trouble("cloudwatch:GetMetricData", TroubleKind::Garbled, &reason);
    source.ill_within(trouble, pace).await
}

async fn verdicts(context: Arc<Context>, board: Arc<Board>, baseline: watch::Receiver<Baseline>) {
    let mut ticks = JUDGE.ticks(context.clock, 0.0).await;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = board.fresh.notified() => {}
        }
        let values = baseline.borrow().clone();
        let (samples, reports) = board.judge(&context.plan, &values, context.clock);
        samples.into_iter().for_each(|sample| context.out.sample(sample));
        context.out.reports(reports).await;
    }
}
