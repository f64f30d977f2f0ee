//! One loop: requests, reports, findings and time go in; events, acts and samples come out.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{
    executor::{Executor, Job},
    health::{Expiries, Silence},
    scribe::{Scribe, SubmitError},
    stall::{Stall, too_late},
    telemetry::Telemetry,
};
use crate::{
    clock::Clock,
    notify::Notifier,
    plan::{Class, Plan, StepId},
    run::{
        Actor, Ask, Direction, Effect, Event, Operator, Phase, Refusal, Report, Request, Sample, Trouble, TroubleKind,
        What, closing, counter, due, effect, observe, opens, recovery, reread,
    },
    session::{Hub, Inbound},
    steps::Health,
    watch::{Finding, WatchHandle},
};

/// How often time passes, wall time: armed gates are looked at again, bakes end, previews are refreshed.
const TICK: Duration = Duration::from_millis(250);
/// How often the exact change of what may come next is read again, session time.
const PREVIEW_EVERY: Duration = Duration::from_secs(10);
/// And at most this often, wall time.
const PREVIEW_AT_MOST: Duration = Duration::from_secs(1);
/// While its calls are throttled it is read after twice, four times, ... this power of two times as long.
const SLOWEST: u32 = 3;
/// How often the world is asked again about an attempt in doubt, session time.
const OBSERVE_EVERY: Duration = Duration::from_secs(15);

/// The sole owner of the state.
pub(super) struct Coordinator {
    pub(super) plan: Arc<Plan>,
    pub(super) clock: Clock,
    pub(super) scribe: Scribe,
    pub(super) hub: Hub,
    pub(super) executor: Executor,
    pub(super) watches: WatchHandle,
    /// What the watches see, for steps that wait.
    pub(super) health: tokio::sync::watch::Sender<Health>,
    /// When a request last reached the old side; None: its traffic is not measured.
    pub(super) silence: Silence,
    /// When the first certificate of each side ends.
    pub(super) expiries: Expiries,
    /// The metric that counts what the new side writes, with its newest value.
    pub(super) counted: Option<(String, f64)>,
    /// Values that relative guardrails are judged against.
    pub(super) baseline: tokio::sync::watch::Sender<std::collections::BTreeMap<String, f64>>,
    pub(super) telemetry: Telemetry,
    /// Who is told what happens.
    pub(super) notifier: Notifier,
    pub(super) timers: Timers,
    pub(super) stall: Stall,
}

/// When things were last done, wall time.
#[derive(Debug, Default)]
pub(super) struct Timers {
    preview: Option<std::time::Instant>,
    /// Steps whose change could not be read because of too many calls: how often in a row, and when it may be read again.
    throttled: std::collections::BTreeMap<StepId, (u32, std::time::Instant)>,
    observe: Option<std::time::Instant>,
    /// What goes next by itself was looked at.
    reread: Option<std::time::Instant>,
    /// The journal could not be written when last tried: why, and since when by the wall clock.
    journal_trouble: Option<(String, jiff::Timestamp)>,
    /// What everybody was told of it.
    told: Option<String>,
}

/// Everything that the loop listens to.
pub(super) struct Inputs {
    pub(super) people: mpsc::Receiver<Inbound>,
    pub(super) findings: mpsc::Receiver<Finding>,
    pub(super) jobs: mpsc::Receiver<Job>,
}

impl Coordinator {
    /// Runs until the session ends. `first` are the events of this engine's start: what they ask for is done now, and
    /// what nobody can know is read from the world.
    pub(super) async fn run(mut self, mut inputs: Inputs, first: Vec<Event>) {
        let resumed = first.iter().filter(|event| matches!(event.what, What::Resumed { .. }));
        let resumed = resumed.filter_map(|event| effect(&self.plan, self.scribe.state(), event));
        for effect in resumed.chain(recovery(self.scribe.state())).collect::<Vec<_>>() {
            self.act(effect);
        }
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        while !self.scribe.state().ended && self.writes() {
            tokio::select! {
                biased;
                Some(inbound) = inputs.people.recv() => self.person(inbound),
                Some(job) = inputs.jobs.recv() => self.job(job),
                Some(finding) = inputs.findings.recv() => self.finding(finding),
                _ = tick.tick() => self.tick(),
            }
            self.turn();
        }
    }

    /// The loop turns. After it stood still, whoever looks again decides again, also about what was consented to and has
    /// not been sent.
    fn turn(&mut self) {
        if let Some(stood) = self.stall.turn(crate::clock::monotonic()) {
            self.report(Report::Stood(stood));
            self.stall.reads_on(crate::clock::monotonic());
        }
    }

    /// Whether this engine still has the journal. One that has lost it acts no more; its cockpits are told by whom.
    fn writes(&mut self) -> bool {
        match self.scribe.check() {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(reason = %chain(&error), "another engine acts: this one ends");
                false
            }
        }
    }

    fn person(&mut self, inbound: Inbound) {
        // Before whatever waited while it stood still: that somebody has gone meanwhile is no reason of a gate's end.
        self.turn();
        match inbound {
            // Somebody who came while it stood still, and has gone again.
            Inbound::Attached { reply, .. } if reply.is_closed() => {}
            // The other end may be gone by now: then nobody wants the answer.
            Inbound::Attached { operator, seat, reply } => {
                let seated = self.submit(Actor::Operator(operator), Ask::Report(Report::Attached(seat)));
                let _ = reply.send(seated.map(drop));
            }
            Inbound::Detached { operator } => self.report_by(Actor::Operator(operator), Report::Detached),
            Inbound::Request { operator, request, reply } => {
                let _ = reply.send(self.request(operator, request));
            }
            Inbound::Pulse { reply } => {
                let _ = reply.send(Ok(()));
            }
        }
    }

    fn request(&mut self, operator: Operator, request: Request) -> Result<(), Refusal> {
        let harmless =
            matches!(request, Request::Hold { .. } | Request::Disarm | Request::Stop { .. } | Request::Note { .. });
        if let Some(stood) = self.stall.meanwhile(crate::clock::monotonic()).filter(|_| !harmless) {
            let seconds = stood.as_secs();
            return Err(Refusal(format!("the engine stood still for {seconds} s: look, then press it again")));
        }
        let events = self.submit(Actor::Operator(operator), Ask::Person(request.clone()))?;
        // What needs no event: a look, a question, a stop of something that is on its way.
        match request {
            Request::Look { step, direction } => self.look(&step, direction),
            Request::Observe { step } => {
                if let Some(effect) = observe(self.scribe.state(), &step) {
                    self.act(effect);
                }
            }
            Request::Stop { step } if events == 0 => self.executor.stop(&step),
            Request::BeginRollback { .. } => self.stop_readers(),
            _ => {}
        }
        Ok(())
    }

    /// A rollback waits for nothing that only reads.
    fn stop_readers(&self) {
        let reading = |step: &&crate::run::StepState| {
            let sends = step.attempt().is_some_and(|a| a.parts.iter().any(|part| !part.change.is_nothing()));
            step.phase == Phase::Running && !sends
        };
        for step in self.scribe.state().steps.iter().filter(reading) {
            self.executor.stop(&step.id);
        }
    }

    fn job(&mut self, job: Job) {
        self.turn();
        match job {
            // Read before it stood still: what is due is read again once everything else that waited is known.
            Job::Report(Report::Reread { .. }) if self.stall.meanwhile(crate::clock::monotonic()).is_some() => {}
            Job::Report(Report::Previewed { step, direction, result: Err(trouble) }) => {
                let trouble = self.tried_again(&step, trouble);
                self.report(Report::Previewed { step, direction, result: Err(trouble) });
            }
            Job::Report(report) => {
                if let Report::Previewed { step, .. } = &report {
                    self.timers.throttled.remove(step);
                }
                self.report(report);
            }
            Job::Sample(sample) => self.sample(sample),
        }
    }

    /// Says when the change of a step is read again, which is later and later while the calls are too many.
    fn tried_again(&mut self, step: &StepId, trouble: Trouble) -> Trouble {
        let usual = self.clock.to_wall(PREVIEW_EVERY).max(PREVIEW_AT_MOST);
        let now = self.clock.now();
        let wait = if trouble.kind == TroubleKind::Throttled {
            let times = self.timers.throttled.get(step).map_or(0, |(times, _)| *times) + 1;
            let told = trouble.next_try.and_then(|at| Duration::try_from(at.duration_since(now)).ok());
            let own = usual.saturating_mul(1 << times.min(SLOWEST));
            let wait = told.map_or(own, |told| self.clock.to_wall(told).max(usual));
            self.timers.throttled.insert(step.clone(), (times, crate::clock::monotonic() + wait));
            wait
        } else {
            self.timers.throttled.remove(step);
            usual
        };
        let at = now + jiff::SignedDuration::try_from(self.clock.to_session(wait)).unwrap_or_default();
        self.sample(Sample::NextTry { of: step.to_string(), at });
        Trouble { next_try: Some(at), ..trouble }
    }

    fn finding(&mut self, finding: Finding) {
        match finding {
            Finding::Report(report) => self.report(report),
            Finding::Sample(sample) => {
                self.silence.hear(&self.plan, &sample);
                if let Sample::Metric { metric, data } = &sample
                    && counter(&self.plan).is_some_and(|(known, _)| known.id == *metric)
                {
                    self.counted = data.last().map(|datum| (metric.clone(), datum.value));
                    if let Some(value) = closing(&self.plan, self.scribe.state(), metric, data) {
                        self.report(Report::Closing { metric: metric.clone(), value });
                    }
                }
                if let Some(report) = self.expiries.hear(&self.plan, &sample) {
                    self.report(report);
                }
                self.sample(sample);
            }
        }
    }

    fn sample(&self, sample: Sample) {
        self.telemetry.write(&sample);
        self.hub.sample(sample);
    }

    fn report(&mut self, report: Report) {
        self.report_by(Actor::Engine, report);
    }

    fn report_by(&mut self, by: Actor, report: Report) {
        if let Err(refusal) = self.submit(by, Ask::Report(report)) {
            tracing::debug!(%refusal, "a report led to nothing");
        }
    }

    /// Decides, writes down, tells everybody, and only then acts. Returns the number of events.
    fn submit(&mut self, by: Actor, ask: Ask) -> Result<usize, Refusal> {
        let asked = crate::clock::monotonic();
        let result = self.scribe.submit(by, ask);
        let took = crate::clock::monotonic().duration_since(asked);
        match result {
            Ok(events) => {
                let count = events.len();
                if count > 0 {
                    self.journal_is(None);
                }
                self.happened(events, took);
                Ok(count)
            }
            Err(SubmitError::Refused(refusal)) => Err(refusal),
            Err(error) => {
                let reason = chain(&error);
                tracing::error!(%reason, "not written, so not done");
                self.journal_is(Some(reason.clone()));
                Err(Refusal(format!("not written, so not done: {reason}")))
            }
        }
    }

    /// Tells everybody since when nothing can be written, and how much waits for it.
    fn journal_is(&mut self, trouble: Option<String>) {
        let since = self.timers.journal_trouble.as_ref().map(|(_, since)| *since);
        self.timers.journal_trouble = trouble.map(|reason| (reason, since.unwrap_or_else(crate::clock::wall_now)));
        let told = self.timers.journal_trouble.as_ref().map(|(reason, since)| {
            let waiting = match self.scribe.waiting() {
                0 => "nothing waits to be written".to_owned(),
                1 => "1 report waits to be written".to_owned(),
                many => format!("{many} reports wait to be written"),
            };
            format!("since {} ({waiting}): {reason}", since.strftime("%H:%M:%SZ"))
        });
        if self.timers.told != told {
            self.timers.told.clone_from(&told);
            self.sample(Sample::JournalTrouble { reason: told });
        }
    }

    /// Everybody is told of all events before any of them leads to another: a log is told in its order. `took`: to be
    /// written, wall time.
    fn happened(&mut self, events: Vec<Event>, took: Duration) {
        for event in &events {
            tracing::info!(seq = event.seq, by = event.by.name(), "{}", crate::run::describe(event));
            if let Err(error) = self.hub.publish(event) {
                tracing::error!(%error, "the cockpits' fold differs from the engine's");
            }
        }
        for event in &events {
            self.notifier.tell(self.scribe.state(), event);
            if let Some(effect) = effect(&self.plan, self.scribe.state(), event) {
                match too_late(&effect, took) {
                    Some(report) => self.report(report),
                    None => self.act(effect),
                }
            }
            self.after(event);
        }
    }

    /// What else an event means for the engine's own parts.
    fn after(&mut self, event: &Event) {
        match &event.what {
            What::Armed { step, .. } => self.capture_baseline(&step.clone()),
            What::Intended { direction: Direction::Forward, change, .. } if opens(&self.plan, change) => self.count(),
            What::BaselineCaptured { values } => drop(self.baseline.send(values.clone())),
            What::Observed { .. }
            | What::Arrived { .. }
            | What::Ended { .. }
            | What::RollbackStarted { .. }
            | What::Skipped { .. } => {
                // What may come next has changed: read it at once.
                self.timers.preview = None;
            }
            _ => {}
        }
    }

    /// The baseline is what metrics were before the first act that customers notice: a freeze before the switch would
    /// make everything look fast.
    fn capture_baseline(&mut self, step: &StepId) {
        let noticed = self.plan.step(step).is_some_and(|step| step.kind.class() == Class::Destructive);
        if noticed && self.scribe.state().baseline.is_empty() {
            self.report(Report::Baseline(self.watches.baseline_values()));
        }
    }

    /// What is written from here on is lost by going back: the count begins where the counter stands now.
    fn count(&mut self) {
        let counter = self.counted.clone();
        if let Some((metric, value)) = counter {
            self.report(Report::Opening { metric, value });
        }
    }

    fn act(&self, effect: Effect) {
        self.executor.run(effect, self.scribe.state());
    }

    fn look(&self, step: &StepId, direction: Direction) {
        self.executor.preview(step, direction, self.scribe.state());
    }

    fn tick(&mut self) {
        self.turn();
        if self.scribe.waiting() > 0 {
            match self.scribe.catch_up() {
                Ok(written) => {
                    self.journal_is(None);
                    written.into_iter().for_each(|(_, events)| self.happened(events, Duration::ZERO));
                }
                Err(error) => self.journal_is(Some(chain(&error))),
            }
        }
        self.report(Report::Passed);
        let now = self.clock.now();
        self.go_on(now);
        self.report(Report::Silence(self.silence.fulfilled(&self.plan, now)));
        self.health.send_replace(self.silence.health(&self.plan, self.scribe.state()));
        if self.is_due(self.timers.preview, PREVIEW_EVERY) {
            self.timers.preview = Some(crate::clock::monotonic());
            self.refresh();
        }
        if self.is_due(self.timers.observe, OBSERVE_EVERY) {
            self.timers.observe = Some(crate::clock::monotonic());
            // What is being verified has a look under way, unless that was lost: then this is another. What was seen not
            // to have taken effect may have been on its way for longer than anybody waits.
            let unknown = |step: &&crate::run::StepState| {
                matches!(step.phase, Phase::Verifying | Phase::InDoubt) || step.may_arrive()
            };
            let doubted = self.scribe.state().steps.iter().filter(unknown);
            for effect in doubted.filter_map(|step| observe(self.scribe.state(), &step.id)) {
                self.act(effect);
            }
        }
    }

    /// Looks at the world for what goes next by itself: parts that are due, and what was consented to if the look at it
    /// could not be written down. While nothing can be, not as often: what is sent at last was read just before.
    fn go_on(&mut self, now: jiff::Timestamp) {
        if self.stall.meanwhile(crate::clock::monotonic()).is_some() {
            return;
        }
        let again = self.is_due(self.timers.reread, Duration::ZERO);
        if again {
            self.timers.reread = Some(crate::clock::monotonic());
        }
        let rests = self.timers.journal_trouble.is_some() && !again;
        let parts = due(&self.plan, self.scribe.state(), now).filter(|_| !rests);
        // One that is under way already is not begun twice.
        let consented = reread(self.scribe.state()).filter(|_| again);
        for effect in parts.chain(consented) {
            self.act(effect);
        }
    }

    fn is_due(&self, last: Option<std::time::Instant>, every: Duration) -> bool {
        let every = self.clock.to_wall(every).max(PREVIEW_AT_MOST);
        last.is_none_or(|last| crate::clock::monotonic().duration_since(last) >= every)
    }

    /// Too many calls are not answered by more of them. A person who looks is heard in any case.
    fn may_read(&self, step: &StepId) -> bool {
        self.timers.throttled.get(step).is_none_or(|(_, until)| crate::clock::monotonic() >= *until)
    }

    /// Reads the exact change of everything that may be armed now or is armed.
    fn refresh(&self) {
        let state = self.scribe.state();
        for step in &state.steps {
            let phase = state.phase(&self.plan, &step.id);
            let forward = match phase {
                Phase::Ready => true,
                Phase::Failed | Phase::Undone => state.needs_met(&self.plan, &step.id),
                Phase::Armed | Phase::Accepted => {
                    state.gate.as_ref().is_some_and(|gate| gate.direction == Direction::Forward)
                }
                _ => false,
            };
            if forward && state.rollback.is_none() && self.may_read(&step.id) {
                self.look(&step.id, Direction::Forward);
            }
        }
        if state.rollback.is_some()
            && let Some(step) = state.next_undo()
            && self.may_read(&step.id)
        {
            self.look(&step.id, Direction::Back);
        }
    }
}

/// An error with its causes, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}
