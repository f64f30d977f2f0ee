//! What all samplers share: where they speak, how fast they go, how they are kept alive, what they say of a source.

use std::{future::Future, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Interval, MissedTickBehavior},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Finding,
    backoff::{jitter, pause},
};
use crate::{
    clock::{Clock, wall_now},
    plan::Plan,
    run::{Report, Sample, Trouble, TroubleKind},
    world::{World, trouble},
};

/// A sampler that has lived this long (session time) since it panicked is well again.
const WELL_AFTER: Duration = Duration::from_secs(60);

/// Between two moments, wall time, at which samplers may begin their work.
const BEAT: Duration = Duration::from_millis(50);

/// What every sampler is given.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) plan: Arc<Plan>,
    pub(super) world: World,
    pub(super) clock: Clock,
    pub(super) out: Out,
}

/// Where samplers speak.
#[derive(Debug, Clone)]
pub(super) struct Out(mpsc::Sender<Finding>);

impl Out {
    pub(super) const fn new(sender: mpsc::Sender<Finding>) -> Self {
        Self(sender)
    }

    /// Lossy: nobody waits for a measurement.
    pub(super) fn sample(&self, sample: Sample) {
        // Full or closed: in both cases there is nobody to be told.
        let _ = self.0.try_send(Finding::Sample(sample));
    }

    /// Waits for room. Nothing is lost but at the end, when nobody listens any more.
    pub(super) async fn report(&self, report: Report) {
        let _ = self.0.send(Finding::Report(report)).await;
    }

    pub(super) async fn reports(&self, reports: impl IntoIterator<Item = Report> + Send) {
        for report in reports.into_iter().collect::<Vec<_>>() {
            self.report(report).await;
        }
    }
}

/// How often something is asked: session time, but never more often than this by the wall.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) session: Duration,
    pub(super) wall: Duration,
}

impl Pace {
    /// The interval by the wall clock.
    pub(super) fn wall(self, clock: Clock) -> Duration {
        clock.to_wall(self.session).max(self.wall)
    }

    /// The interval in session time.
    pub(super) fn session(self, clock: Clock) -> SignedDuration {
        SignedDuration::try_from(clock.to_session(self.wall(clock))).unwrap_or(SignedDuration::MAX)
    }

    /// Ticks from some part (0 to 1) of the first interval on, so that many of one pace are spread over it; all of them on
    /// a common beat, so that a few at a time share what it takes to wake.
    pub(super) async fn ticks(self, clock: Clock, phase: f64) -> Interval {
        let every = self.wall(clock).max(Duration::from_millis(1));
        let spread = every.mul_f64(phase.clamp(0.0, 1.0));
        tokio::time::sleep(spread + until_the_beat(wall_now(), spread)).await;
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }
}

/// What is missing to the next beat after this wait.
fn until_the_beat(now: Timestamp, wait: Duration) -> Duration {
    let since = Duration::try_from(now.duration_since(Timestamp::UNIX_EPOCH)).unwrap_or_default() + wait;
    let over = since.as_nanos() % BEAT.as_nanos();
    BEAT.saturating_sub(Duration::from_nanos(u64::try_from(over).unwrap_or_default()))
}

/// Where the `place`th of `count` stands in an interval, 0 to 1.
pub(super) fn phase(place: usize, count: usize) -> f64 {
    let part = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    part(place) / part(count.max(1))
}

/// Runs a sampler until the set is dropped. When it panics, that is reported as the source `name`, what it vouched for
/// becomes `unknown`, and it begins anew after a pause.
pub(super) fn keep_alive<F>(
    tasks: &mut JoinSet<()>,
    context: &Arc<Context>,
    name: impl Into<String>,
    unknown: Vec<Report>,
    run: impl Fn(Arc<Context>) -> F + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let context = Arc::clone(context);
    let mut source = Source::new(name, &context);
    tasks.spawn(async move {
        loop {
            let mut running = AbortOnDropHandle::new(tokio::spawn(run(Arc::clone(&context))));
            let ended = tokio::select! {
                ended = &mut running => ended,
                () = context.clock.sleep(WELL_AFTER), if source.ill => {
                    source.well().await;
                    running.await
                }
            };
            match ended {
                Err(error) if error.is_panic() => {
                    context.out.reports(unknown.iter().cloned()).await;
                    let reason = panic_text(&*error.into_panic());
                    let trouble = trouble(&source.name, TroubleKind::Unexpected, &format!("a defect: {reason}"));
                    let pause = source.ill(trouble).await;
                    tokio::time::sleep(pause).await;
                }
                // Ended of itself, or the runtime is going down.
                _ => return,
            }
        }
    });
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}

/// What is said of one source of truth.
#[derive(Debug)]
pub(super) struct Source {
    name: String,
    clock: Clock,
    out: Out,
    failures: u32,
    ill: bool,
    told: Option<Option<(String, TroubleKind)>>,
}

impl Source {
    pub(super) fn new(name: impl Into<String>, context: &Context) -> Self {
        let (clock, out) = (context.clock, context.out.clone());
        Self { name: name.into(), clock, out, failures: 0, ill: false, told: None }
    }

    /// It answered. Told once at the beginning, too: an earlier engine may have left it in trouble.
    pub(super) async fn well(&mut self) {
        (self.failures, self.ill) = (0, false);
        self.tell(None).await;
    }

    /// It did not; gives the wall time to wait before the next try. Told again only when the call or the kind of trouble
    /// is another.
    pub(super) async fn ill(&mut self, trouble: Trouble) -> Duration {
        self.ill_within(trouble, Duration::MAX).await
    }

    /// The same, and what is not throttled is not left alone for longer than `longest`, wall time.
    pub(super) async fn ill_within(&mut self, trouble: Trouble, longest: Duration) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.ill = true;
        let floor = Duration::from_millis(250);
        let own = Pace { session: pause(self.failures, trouble.kind, jitter()), wall: floor }.wall(self.clock);
        let own = if trouble.kind == TroubleKind::Throttled { own } else { own.min(longest) };
        // Who says how long to be left alone knows better.
        let now = self.clock.now();
        let told = trouble.next_try.and_then(|at| Duration::try_from(at.duration_since(now)).ok());
        let pause = told.map_or(own, |told| own.max(self.clock.to_wall(told)));
        let at = now + SignedDuration::try_from(self.clock.to_session(pause)).unwrap_or(SignedDuration::MAX);
        self.tell(Some(Trouble { next_try: Some(at), ..trouble })).await;
        self.out.sample(Sample::NextTry { of: self.name.clone(), at });
        pause
    }

    async fn tell(&mut self, trouble: Option<Trouble>) {
        let essence = trouble.as_ref().map(|trouble| (trouble.call.clone(), trouble.kind));
        if self.told.as_ref() == Some(&essence) {
            return;
        }
        self.told = Some(essence);
        self.out.report(Report::Source { source: self.name.clone(), trouble }).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::{
        plan::{self, Side},
        run::{Cell, Report},
    };

    #[test]
    fn what_begins_within_one_beat_begins_together() {
        let at = |millis| Timestamp::from_millisecond(millis).unwrap();
        let wait = Duration::from_millis;
        assert_eq!(until_the_beat(at(1_000_012), wait(20)), wait(18));
        assert_eq!(until_the_beat(at(1_000_031), wait(1)), wait(18), "at 50 ms as well");
        assert_eq!(until_the_beat(at(1_000_000), wait(100)), BEAT);
    }

    /// The sample plan with clients that nobody will call, and what samplers say.
    async fn context(clock: Clock) -> (Arc<Context>, mpsc::Receiver<Finding>) {
        let source = include_str!("../../config/acme-shop.toml");
        let plan = plan::load(source, "sample", "sandbox", &plan::sandbox_placeholders()).unwrap();
        let world = World::connect(&plan, clock).await.unwrap();
        let (sender, findings) = mpsc::channel(16);
        (Arc::new(Context { plan: Arc::new(plan), world, clock, out: Out::new(sender) }), findings)
    }

    async fn next(findings: &mut mpsc::Receiver<Finding>) -> Report {
        loop {
            let finding = tokio::time::timeout(Duration::from_secs(20), findings.recv()).await.unwrap().unwrap();
            if let Finding::Report(report) = finding {
                return report;
            }
        }
    }

    #[tokio::test]
    async fn a_sampler_that_panics_is_told_vouches_for_nothing_and_begins_anew() {
        let (context, mut findings) = context(Clock::scaled(100.0)).await;
        let (mut tasks, runs) = (JoinSet::new(), Arc::new(AtomicU32::new(0)));
        let unknown = Report::Runner { side: Side::Old, role: plan::Role::Worker, cell: Cell::Unknown };
        let counted = Arc::clone(&runs);
        keep_alive(&mut tasks, &context, "test", vec![unknown.clone()], move |_| {
            let run = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                assert!(run > 0, "the first run fails");
                std::future::pending::<()>().await;
            }
        });
        assert_eq!(next(&mut findings).await, unknown);
        let Report::Source { source, trouble: Some(trouble) } = next(&mut findings).await else { panic!("no trouble") };
        assert_eq!((source.as_str(), trouble.reason.as_str()), ("test", "a defect: the first run fails"));
        assert!(trouble.next_try.is_some());
        assert_eq!(next(&mut findings).await, Report::Source { source: "test".into(), trouble: None });
        assert_eq!(runs.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_source_is_told_when_its_state_or_the_kind_of_its_trouble_changes() {
        let (context, mut findings) = context(Clock::real()).await;
        let mut source = Source::new("ecs", &context);
        let trouble = |kind, reason| trouble("ecs:DescribeServices", kind, reason);
        source.well().await;
        source.well().await;
        let first = source.ill(trouble(TroubleKind::Unreachable, "refused")).await;
        let second = source.ill(trouble(TroubleKind::Unreachable, "no answer in time")).await;
        source.ill(trouble(TroubleKind::Credentials, "expired")).await;
        source.well().await;
        assert!(Duration::from_millis(1500) <= first && first <= Duration::from_secs(2), "{first:?}");
        assert!(Duration::from_secs(3) <= second && second <= Duration::from_secs(4), "{second:?}");
        drop((source, context));
        let (mut kinds, mut tries) = (Vec::new(), Vec::new());
        while let Some(finding) = findings.recv().await {
            match finding {
                Finding::Report(Report::Source { trouble, .. }) => kinds.push(trouble.map(|trouble| trouble.kind)),
                Finding::Sample(Sample::NextTry { of, at }) => tries.push((of, at)),
                other => panic!("{other:?}"),
            }
        }
        assert!(tries.len() == 3 && tries.iter().all(|(of, _)| of == "ecs"), "each try is told: {tries:?}");
        assert_eq!(kinds, [None, Some(TroubleKind::Unreachable), Some(TroubleKind::Credentials), None]);
    }

    #[tokio::test]
    async fn who_says_how_long_to_be_left_alone_is_and_only_impatience_has_a_bound() {
        let (context, _findings) = context(Clock::real()).await;
        let (mut source, bound) = (Source::new("heroku", &context), Duration::from_millis(300));
        let next_try = Some(context.clock.now() + SignedDuration::from_secs(40));
        let told = Trouble { next_try, ..trouble("heroku:app", TroubleKind::Throttled, "rate_limit") };
        let pause = source.ill_within(told, bound).await;
        assert!(Duration::from_secs(39) < pause && pause <= Duration::from_secs(40), "{pause:?}");
        let throttled = trouble("ecs:DescribeServices", TroubleKind::Throttled, "Rate exceeded");
        assert!(source.ill_within(throttled, bound).await > Duration::from_secs(5), "the second in a row");
        let away = trouble("ecs:DescribeServices", TroubleKind::Unreachable, "refused");
        assert_eq!(source.ill_within(away, bound).await, bound);
    }

    #[test]
    fn phases_are_spread_over_the_interval() {
        assert_eq!([0, 1, 2, 3].map(|place| phase(place, 4)), [0.0, 0.25, 0.5, 0.75]);
        assert_eq!(phase(0, 0), 0.0);
    }

    #[test]
    fn the_wall_sets_a_floor_to_every_pace() {
        let pace = Pace { session: Duration::from_secs(5), wall: Duration::from_millis(250) };
        assert_eq!(pace.wall(Clock::real()), Duration::from_secs(5));
        let fast = Clock::scaled(120.0);
        assert_eq!(pace.wall(fast), Duration::from_millis(250));
        assert_eq!(pace.session(fast), SignedDuration::from_secs(30));
    }
}
