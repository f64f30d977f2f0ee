//! Sessions built by hand for tests: real events folded by the real state, numbers from plain formulas, a fixed clock.

mod lasting;
mod plain;
mod rds;

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use ratatui::{buffer::Buffer, layout::Rect};

use self::plain::shape;
pub(super) use self::plain::text_of;
use super::{
    model::{Lost, Scene},
    pane,
    theme::{Depth, Theme},
    ui::{Painted, Ui},
};
use crate::{
    clock::{Clock, monotonic},
    plan::{Kind, Plan, Record, RecordSet, Side, StepId, load, sandbox_placeholders},
    run::{
        AUTHORITY, Actor, Answer, Cell, Change, CheckSample, Datum, Direction, Event, Observation, Operator, Outcome,
        Part, Preview, ProbeSample, Rehearsal, Sample, Seat, State, Target, Trouble, TroubleKind, Verdict, VerdictKind,
        What, misplaced,
    },
    session::message::{Snapshot, Telemetry},
};

/// A session and the time it is.
pub(super) struct Fixture {
    pub(super) snapshot: Snapshot,
    pub(super) now: Timestamp,
    pub(super) ui: Ui,
}

pub(super) fn ann() -> Operator {
    Operator::new(1, "ann", 1000)
}

pub(super) fn plan(environment: &str) -> Plan {
    let source = include_str!("fixture/acme-shop.toml");
    let mut given = sandbox_placeholders();
    let resolvers = "honest=127.0.0.1:5302, isp=127.0.0.1:5303, office=127.0.0.1:5304, stubborn=127.0.0.1:5305, \
        stale=127.0.0.1:5306, slow=127.0.0.1:5307, dead=127.0.0.1:5308";
    given.insert("sandbox.resolvers".into(), resolvers.into());
    let given = if environment == "sandbox" { given } else { std::collections::BTreeMap::new() };
    load(source, "acme-shop.toml", environment, &given).unwrap_or_else(|errors| panic!("{errors}"))
}

impl Fixture {
    /// A session that has just begun; ann drives.
    pub(super) fn new(environment: &str) -> Self {
        let plan = plan(environment);
        let now: Timestamp = "2026-03-08T02:00:00Z".parse().unwrap();
        let started = What::SessionStarted {
            session: "20260308-020000".into(),
            plan: plan.name.clone(),
            environment: environment.into(),
            // Any hash will do, and the real one changes with every field that a plan can have.
            plan_hash: "5eed".repeat(16),
            steps: plan.steps.iter().map(|step| step.id.clone()).collect(),
            dwell: Duration::from_millis(700),
            patience: Duration::from_secs(120),
        };
        let snapshot = Snapshot {
            you: ann(),
            clock: Clock::scaled_from(now, 1.0),
            plan,
            state: State::default(),
            telemetry: Telemetry::default(),
        };
        let mut fixture = Self { snapshot, now, ui: Ui::new() };
        fixture.engine(started);
        fixture.engine(What::EngineStarted { pid: 4711, host: "bastion".into(), version: "0.1.0".into() });
        fixture.person(What::Attached { seat: Seat::Driver });
        fixture
    }

    /// The same plan was rehearsed on staging a week ago.
    pub(super) fn rehearsed(environment: &str) -> Self {
        let mut fixture = Self::new(environment);
        let took = |(index, step): (usize, &crate::plan::Step)| {
            let share = 80 + u32::try_from(index * 7 % 50).unwrap();
            (step.id.clone(), step.expected * share / 100)
        };
        let rehearsal = Rehearsal {
            of: "20260301-210000-c0de".into(),
            environment: "staging".into(),
            ended_at: fixture.now - SignedDuration::from_hours(165),
            forward: fixture.snapshot.plan.steps.iter().enumerate().map(took).collect(),
            back: std::collections::BTreeMap::new(),
        };
        fixture.engine(What::Rehearsed(rehearsal));
        fixture
    }

    pub(super) fn engine(&mut self, what: What) {
        self.apply(Actor::Engine, what);
    }

    pub(super) fn person(&mut self, what: What) {
        self.apply(Actor::Operator(ann()), what);
    }

    pub(super) fn apply(&mut self, by: Actor, what: What) {
        let event = Event { seq: self.snapshot.state.seq + 1, at: self.now, by, what };
        self.snapshot.state.apply(&event).unwrap_or_else(|illegal| panic!("{event:?}: {illegal}"));
    }

    pub(super) fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    pub(super) fn preview(&mut self, step: &str, parts: Vec<Part>) {
        let preview = Preview { parts, facts: Vec::new() };
        self.engine(What::Previewed { step: step.into(), direction: Direction::Forward, preview });
    }

    pub(super) fn arm(&mut self, step: &str) {
        let id = StepId::from(step);
        let level = self.snapshot.plan.step(&id).unwrap().gate;
        let evidence = self.snapshot.state.evidence(&id, Direction::Forward).unwrap();
        let gate = self.snapshot.state.gates + 1;
        self.person(What::Armed { step: id, direction: Direction::Forward, gate, level, evidence });
    }

    pub(super) fn begin(&mut self, step: &str) {
        self.arm(step);
        self.pass(3);
        self.person(What::Consented { second: None });
        let parts = self.snapshot.state.step(&step.into()).unwrap().forward.clone().unwrap().parts;
        self.engine(intent(step, 0, &parts, &parts[0]));
    }

    pub(super) fn end(&mut self, step: &str, outcome: Outcome) {
        self.engine(What::Ended { step: step.into(), outcome });
    }

    pub(super) fn record(&self, id: &str) -> Record {
        self.snapshot.plan.record(id).unwrap().clone()
    }

    /// From the old TTL to the new one, both records.
    pub(super) fn lower_ttl(&self) -> Change {
        let before: Vec<RecordSet> = self.snapshot.plan.records.iter().map(|record| record.old.clone()).collect();
        let after = before.iter().map(|set| set.with_ttl(60)).collect();
        Change::Records { zone_id: "Z0SANDBOX00000000001".into(), before, after }
    }

    /// The three parts of switching the API.
    pub(super) fn switch_api(&self) -> Vec<Part> {
        let api = self.record("api");
        let (old, new) = (api.old.with_ttl(60), api.new);
        let shared = |weight: u8| vec![old.with_weight("old", 100 - weight), new.with_weight("new", weight)];
        let change = |before: Vec<RecordSet>, after: Vec<RecordSet>| Change::Records {
            zone_id: "Z0SANDBOX00000000001".into(),
            before,
            after,
        };
        let bake = Duration::from_secs(120);
        vec![
            Part { change: change(vec![old.clone()], shared(10)), bake },
            Part { change: change(shared(10), shared(50)), bake },
            Part { change: change(shared(50), vec![new.clone()]), bake: Duration::ZERO },
        ]
    }

    pub(super) fn switch_shop(&self) -> Change {
        let shop = self.record("shop");
        Change::Records {
            zone_id: "Z0SANDBOX00000000001".into(),
            before: vec![shop.old.with_ttl(60)],
            after: vec![shop.new],
        }
    }

    /// The whole change of a step, in its parts.
    fn parts_of(&self, id: &StepId) -> Vec<Part> {
        let app = "acme-shop".to_owned();
        let change = match &self.snapshot.plan.step(id).unwrap().kind {
            Kind::DnsSwitch { records, .. } if records[0] == "api" => return self.switch_api(),
            Kind::DnsSwitch { .. } => self.switch_shop(),
            Kind::DnsLowerTtl { .. } => self.lower_ttl(),
            Kind::Exec { apply, undo, .. } => {
                Change::Command { argv: apply.clone(), observe: None, undo: undo.clone(), undoing: false }
            }
            Kind::HerokuMaintenance { on } => Change::Maintenance { app, from: !on, to: *on },
            Kind::HerokuScale { formation, .. } => {
                let from = formation.keys().map(|process| (process.clone(), 1)).collect();
                Change::Formation { app, from, to: formation.clone() }
            }
            Kind::EcsRunTask(spec) => {
                let image = ("release", "123456789012.dkr.ecr.us-east-1.amazonaws.com/acme-shop@sha256:4a5b");
                Change::Task(Box::new(crate::run::Task::of(spec, &spec.definition, image, None)))
            }
            Kind::EcsScale { cluster, service, desired } => {
                Change::Service { cluster: cluster.clone(), service: service.clone(), from: 0, to: *desired }
            }
            Kind::Rds(kind) => Change::Rds(rds::change(kind)),
            _ => Change::Nothing,
        };
        vec![Part { change, bake: Duration::ZERO }]
    }

    /// Previews a step as the engine would.
    pub(super) fn look(&mut self, step: &str) {
        let parts = self.parts_of(&step.into());
        self.preview(step, parts);
    }

    /// Runs everything before a step, and previews the step.
    pub(super) fn to(&mut self, step: &str) {
        self.runners(false);
        let before: Vec<String> = self.snapshot.plan.steps.iter().map(|s| s.id.0.clone()).collect();
        for id in before.iter().take_while(|id| *id != step) {
            let (seconds, summary) = match id.as_str() {
                "aws-ready" => (170, "6 items ticked"),
                "smoke" => (52, "12 checks passed twice on AWS"),
                "drain" => (1_840, "the old TTL has drained, 4 resolvers agree"),
                "lock-deploys" => (1, "exit 0"),
                "restore" => (290, "acme-shop-scratch is available"),
                "safety-snapshot" => (95, "the snapshot is taken; it stays"),
                "freeze" => (9, "maintenance is on"),
                "switch-api" => (40, "INSYNC after 36 s"),
                _ => (33, "INSYNC after 31 s"),
            };
            self.look(id);
            self.begin(id);
            if id == "open-writes" {
                self.engine(What::OpeningCounted { metric: "rows-written".into(), value: 0.0 });
            }
            self.finish(id, seconds, summary);
        }
        if before.iter().take_while(|id| *id != step).any(|id| id == "start-scheduler") {
            self.runners(true);
        }
        // What a step has ended is not seen any more.
        let later = self.now + SignedDuration::from_hours(1);
        for (side, role, _) in misplaced(&self.snapshot.plan, &self.snapshot.state, later) {
            self.engine(What::RunnerChanged { side, role, cell: Cell::Off });
        }
        self.answers(Answer::Old);
        self.measure();
        self.look(step);
    }

    /// A step that is under way comes to its end, part by part.
    fn finish(&mut self, step: &str, seconds: i64, summary: &str) {
        for item in 0..super::model::items(&self.snapshot.plan, &step.into()).len() {
            self.person(What::Ticked { step: step.into(), item: u32::try_from(item).unwrap(), done: true });
        }
        let parts = self.snapshot.state.step(&step.into()).unwrap().attempt().unwrap().parts.clone();
        for (number, part) in (0u32..).zip(&parts) {
            if number > 0 {
                self.pass(120);
                self.engine(intent(step, number, &parts, part));
            }
            self.pass(seconds);
            self.end(step, Outcome::Done { in_sync: Some(self.now), summary: summary.into() });
        }
        self.engine(What::Observed { step: step.into(), observation: Observation::Done });
        self.pass(20);
    }

    /// Runs to the running drain.
    pub(super) fn up_to_drain(&mut self) {
        self.to("drain");
        self.begin("drain");
    }

    pub(super) fn runners(&mut self, moved: bool) {
        let runners: Vec<_> = self.snapshot.plan.runners.iter().map(|runner| (runner.side, runner.role)).collect();
        for (side, role) in runners {
            let on = role == crate::plan::Role::Web || (side == Side::New) == moved;
            self.engine(What::RunnerChanged { side, role, cell: if on { Cell::On } else { Cell::Off } });
        }
    }

    /// One answer of every resolver, with TTLs that differ; a few resolvers have habits.
    pub(super) fn answers(&mut self, answer: Answer) {
        let names: Vec<String> =
            self.snapshot.plan.dns.resolvers.iter().map(|resolver| resolver.name.clone()).collect();
        let records: Vec<Record> = self.snapshot.plan.records.clone();
        for record in &records {
            self.probe(record, AUTHORITY, answer, 60, 3);
            for (index, name) in (0u32..).zip(&names) {
                let kind = match (name.as_str(), answer) {
                    ("dead", _) => Answer::Silent,
                    ("stubborn", Answer::Old) => Answer::OldStretched,
                    ("stale", _) => Answer::OldStale,
                    (_, answer) => answer,
                };
                self.probe(record, name, kind, 60 - index * 7, 2);
            }
        }
    }

    /// Every resolver answers the old value with a TTL that has drained.
    pub(super) fn agree(&mut self) {
        for known in self.snapshot.state.answers.clone() {
            let (record, resolver) = (known.record, known.resolver);
            self.engine(What::ResolverChanged { record, resolver, answer: Answer::Old });
        }
        for probe in &mut self.snapshot.telemetry.probes {
            probe.answer = Answer::Old;
            probe.ttl.get_or_insert(20);
        }
    }

    fn probe(&mut self, record: &Record, resolver: &str, answer: Answer, ttl: u32, ago: i64) {
        let (id, name) = (record.id.clone(), resolver.to_owned());
        self.engine(What::ResolverChanged { record: id.clone(), resolver: name.clone(), answer });
        let set = if answer == Answer::New { &record.new } else { &record.old };
        let silent = answer == Answer::Silent;
        let hop = format!("{} {ttl} {}", set.name, set.target());
        self.snapshot.telemetry.take(Sample::Probe(ProbeSample {
            record: id,
            resolver: name,
            at: self.now - SignedDuration::from_secs(ago),
            answer,
            target: if silent { String::new() } else { set.target() },
            ttl: (!silent).then_some(if answer == Answer::OldStale { 0 } else { ttl }),
            chain_ttl: (!silent).then_some(ttl),
            chain: if silent { Vec::new() } else { vec![hop] },
            rcode: if silent { "no answer".into() } else { "NOERROR".into() },
            authoritative: resolver == AUTHORITY,
            elapsed: Duration::from_millis(3 + u64::from(ttl)),
        }));
    }

    /// Half an hour of metrics, the newest runs of all checks, and the verdicts.
    pub(super) fn measure(&mut self) {
        let metrics: Vec<_> = self.snapshot.plan.metrics.iter().map(|metric| metric.id.clone()).collect();
        let minute_now = self.now.as_second() / 60;
        for metric in metrics {
            // Memory has a gap; it must stay one.
            let there = |minute: &i64| metric != "memory" || minute % 25 > 4;
            let minutes = (minute_now - 40..minute_now - 1).filter(there);
            let data = minutes.map(|minute| Datum {
                at: Timestamp::from_second(minute * 60).unwrap(),
                value: shape(&metric, minute % 1_000),
            });
            let data = data.collect();
            self.snapshot.telemetry.take(Sample::Metric { metric, data });
        }
        self.verdicts();
        self.checks(None);
        if self.snapshot.state.baseline.is_empty() {
            let values = [("new-p95", 0.09), ("db-connections", 60.0)].map(|(id, value)| (id.to_owned(), value));
            self.engine(What::BaselineCaptured { values: values.into() });
        }
    }

    fn verdicts(&mut self) {
        let guardrails: Vec<_> =
            self.snapshot.plan.guardrails.iter().map(|g| (g.id.clone(), g.metric.clone())).collect();
        for (id, metric) in guardrails {
            let value = self.snapshot.telemetry.metrics[&metric].last().map(|datum| datum.value);
            let threshold = match id.as_str() {
                "errors" => 2.0,
                "latency" => 0.27,
                "queue" => 2_000.0,
                "connections" => 180.0,
                "cpu" => 85.0,
                _ => 1.0,
            };
            let verdict = Verdict {
                kind: VerdictKind::Holding,
                value,
                threshold: Some(threshold),
                age: Some(Duration::from_secs(60)),
            };
            self.engine(What::VerdictChanged { guardrail: id.clone(), verdict: VerdictKind::Holding, value });
            self.snapshot.telemetry.take(Sample::Verdict { guardrail: id, verdict });
        }
    }

    /// Runs of all checks; one may fail on the new side.
    pub(super) fn checks(&mut self, failing: Option<&str>) {
        self.snapshot.state.endings = lasting::endings(&self.snapshot.plan, self.now);
        let ids: Vec<String> = self.snapshot.plan.checks.iter().map(|check| check.id.clone()).collect();
        for (number, id) in (0u64..).zip(ids) {
            for target in [Target::Old, Target::New, Target::Live] {
                let bad = failing == Some(id.as_str()) && target != Target::Old;
                self.engine(What::CheckChanged {
                    check: id.clone(),
                    target,
                    passing: Some(!bad),
                    reason: bad.then(|| "503 is not among 200".into()),
                });
                for run in 0..8u64 {
                    let sample = self.check_run(&id, target, (number, run), bad && run > 5);
                    self.snapshot.telemetry.take(Sample::Check(sample));
                }
            }
        }
    }

    fn check_run(&self, id: &str, target: Target, (number, run): (u64, u64), bad: bool) -> CheckSample {
        let side = match target {
            Target::New => 60,
            _ => 85,
        };
        CheckSample {
            check: id.into(),
            target,
            at: self.now - SignedDuration::from_secs(4 + i64::try_from(7 - run).unwrap() * 10),
            passing: !bad,
            status: Some(if bad { 503 } else { 200 }),
            latency: Duration::from_millis(side + number * 9 + (run * 37 + number * 11) % 23),
            reason: bad.then(|| "503 is not among 200".into()),
            certificate_until: Some("2026-05-12T00:00:00Z".parse().unwrap()),
            served_by: Some(Side::Old),
            wait: None,
        }
    }

    /// Errors on the new side, for longer than they may last.
    pub(super) fn breach(&mut self) {
        let data = [0.4, 1.6, 3.1, 3.4].into_iter().zip((1i64..=4).rev());
        let minute_now = self.now.as_second() / 60;
        let data =
            data.map(|(value, ago)| Datum { at: Timestamp::from_second((minute_now - ago) * 60).unwrap(), value });
        self.snapshot.telemetry.take(Sample::Metric { metric: "new-5xx-share".into(), data: data.collect() });
        let kind = VerdictKind::Breach;
        self.engine(What::VerdictChanged { guardrail: "errors".into(), verdict: kind, value: Some(3.4) });
        let verdict = Verdict { kind, value: Some(3.4), threshold: Some(2.0), age: Some(Duration::from_secs(20)) };
        self.snapshot.telemetry.take(Sample::Verdict { guardrail: "errors".into(), verdict });
        self.pass(95);
    }

    /// The undo of a step that was applied.
    pub(super) fn undo_of(&self, step: &StepId) -> Preview {
        let applied = &self.snapshot.state.step(step).unwrap().applied;
        Preview::single(Change::reversal_of(applied).unwrap())
    }

    /// How many acts the journal has before a step.
    pub(super) fn acts_before(step: &str) -> usize {
        let mut fixture = Self::new("sandbox");
        fixture.to(step);
        let acted = |what: &What| matches!(what, What::Intended { change, .. } if !change.is_nothing());
        fixture.snapshot.state.log.iter().filter(|event| acted(&event.what)).count()
    }

    pub(super) fn doubt(&mut self) {
        self.to("switch-shop");
        self.begin("switch-shop");
        self.pass(12);
        let trouble = Trouble {
            call: "route53:ChangeResourceRecordSets".into(),
            reason: "no answer within 10 s".into(),
            kind: TroubleKind::Unreachable,
            next_try: None,
        };
        self.end("switch-shop", Outcome::InDoubt { trouble });
        self.pass(8);
    }

    /// The scene of this moment, drawn; what the frame showed comes with it.
    pub(super) fn draw(&self, theme: Theme, (width, height): (u16, u16)) -> (Buffer, Painted) {
        self.draw_at(theme, (width, height), None, monotonic())
    }

    pub(super) fn draw_at(
        &self,
        theme: Theme,
        (width, height): (u16, u16),
        lost: Option<&Lost>,
        instant: Instant,
    ) -> (Buffer, Painted) {
        let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
        let tz = TimeZone::UTC;
        let scene = Scene::new(&self.snapshot, &self.ui, (theme, &tz), (self.now, instant), lost);
        let painted = pane::draw(&scene, &mut buf);
        (buf, painted)
    }

    /// The text of the screen, line by line.
    pub(super) fn text(&self, size: (u16, u16)) -> String {
        text_of(&self.draw(Theme::new(Depth::Mono, false), size).0)
    }
}

fn intent(step: &str, number: u32, parts: &[Part], part: &Part) -> What {
    What::Intended {
        step: step.into(),
        direction: Direction::Forward,
        attempt: 1,
        part: number,
        parts: u32::try_from(parts.len()).unwrap(),
        bake: part.bake,
        token: format!("{step}/1.{number}"),
        change: part.change.clone(),
    }
}
