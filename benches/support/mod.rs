//! A session for measurements: the sample plan, events as an engine would write them, and a second of live data after
//! another. Everything is decided and folded by the real core; chance comes from a counter, so that runs repeat.

use std::time::Duration;

use cutover::{
    clock::Clock,
    plan::{Plan, Role, Side, load, sandbox_placeholders},
    run::{
        AUTHORITY, Actor, Answer, Ask, Cell, CheckSample, Command, Datum, Event, Operator, ProbeSample, Report, Sample,
        Seat, State, Target, Verdict, VerdictKind, decide,
    },
    session::message::{Snapshot, Telemetry},
};
use jiff::{SignedDuration, Timestamp};

/// The eight resolvers of a measured session.
const RESOLVERS: [&str; 8] =
    ["honest", "honest-2", "honest-3", "minimum", "serve-stale", "slow", "stubborn", "cloudflare"];
/// Where a check is asked.
pub(crate) const TARGETS: [Target; 3] = [Target::Old, Target::New, Target::Live];
/// What happens when: a resolver is asked every 5 s, a check every 10 s, CloudWatch every 30 s.
const PROBE: u64 = 5;
const CHECK: u64 = 10;
const ROUND: u64 = 30;

/// The sample plan with eight resolvers: twelve checks, two records, a dozen metrics.
pub(crate) fn plan() -> Plan {
    let source = include_str!("../../config/acme-shop.toml");
    let resolvers: Vec<_> = (5302..).zip(RESOLVERS).map(|(port, name)| format!("{name}=127.0.0.1:{port}")).collect();
    let mut given = sandbox_placeholders();
    given.insert("sandbox.resolvers".into(), resolvers.join(", "));
    load(source, "acme-shop.toml", "sandbox", &given).expect("the sample plan is valid: a test holds it")
}

/// A session and the time it is in it.
pub(crate) struct Session {
    pub(crate) snapshot: Snapshot,
    pub(crate) now: Timestamp,
    /// Seconds of live data so far.
    second: u64,
}

impl Session {
    /// A session that one driver is attached to, with everything watched seen once, and half an hour of metrics.
    pub(crate) fn new() -> Self {
        let mut session = Self::empty();
        session.begin();
        session.see();
        for _ in 0..60 {
            session.pass();
        }
        session
    }

    /// Nothing has happened yet.
    pub(crate) fn empty() -> Self {
        let now: Timestamp = "2026-03-08T02:00:00Z".parse().expect("a time");
        let you = Operator::new(1, "ann", 1000);
        let snapshot = Snapshot {
            you,
            clock: Clock::scaled_from(now, 1.0),
            plan: plan(),
            state: State::default(),
            telemetry: Telemetry::default(),
        };
        Self { snapshot, now, second: 0 }
    }

    /// The first events of a session: begun, an engine, a driver.
    pub(crate) fn begin(&mut self) -> Vec<Event> {
        let mut events = self.report(Report::Begin { session: "20260308-020000".into(), speed: 1.0 });
        events.extend(self.report(Report::Started { pid: 4711, host: "bastion".into(), version: "0.1.0".into() }));
        let driver = Actor::Operator(self.snapshot.you.clone());
        events.extend(self.command(driver, Report::Attached(Seat::Driver)));
        events
    }

    /// One report of the engine, decided and folded; returns what it led to.
    pub(crate) fn report(&mut self, report: Report) -> Vec<Event> {
        self.command(Actor::Engine, report)
    }

    fn command(&mut self, by: Actor, report: Report) -> Vec<Event> {
        let command = Command { at: self.now, by, ask: Ask::Report(report) };
        step(&self.snapshot.plan, &mut self.snapshot.state, &command)
    }

    /// The first look of all watches.
    fn see(&mut self) {
        for (side, role) in [Side::Old, Side::New].into_iter().flat_map(|s| [Role::Web, Role::Worker].map(|r| (s, r))) {
            let cell = if side == Side::Old || role == Role::Web { Cell::On } else { Cell::Off };
            self.report(Report::Runner { side, role, cell });
        }
        let plan = self.snapshot.plan.clone();
        for (record, resolver) in pairs(&plan) {
            self.report(Report::Resolver { record, resolver, answer: Answer::Old });
        }
        for (check, target) in plan.checks.iter().flat_map(|check| TARGETS.map(|target| (check.id.clone(), target))) {
            self.report(Report::Check { check, target, passing: Some(true), reason: None });
        }
        for guardrail in &plan.guardrails {
            let (guardrail, verdict) = (guardrail.id.clone(), VerdictKind::Holding);
            self.report(Report::Verdict { guardrail, verdict, value: Some(0.5) });
        }
        let minute = self.now.as_second() / 60;
        for metric in &plan.metrics {
            let data = (minute - 40..minute - 1).map(|minute| datum(minute, metric.id.len()));
            self.snapshot.telemetry.take(Sample::Metric { metric: metric.id.clone(), data: data.collect() });
        }
    }

    /// A second passes; returns what was measured in it, which the snapshot has already.
    pub(crate) fn pass(&mut self) -> Vec<Sample> {
        self.second += 1;
        self.now += SignedDuration::from_secs(1);
        let samples = self.measured();
        for sample in &samples {
            self.snapshot.telemetry.take(sample.clone());
        }
        samples
    }

    /// A second passes in which nothing is measured.
    pub(crate) fn tick(&mut self) {
        self.now += SignedDuration::from_secs(1);
    }

    fn measured(&self) -> Vec<Sample> {
        let (plan, second) = (&self.snapshot.plan, self.second);
        let due = |place: usize, every: u64| (place as u64 + second).is_multiple_of(every);
        let checks = plan.checks.iter().flat_map(|check| TARGETS.map(|target| (check.id.as_str(), target)));
        let checks = checks.enumerate().filter(|(place, _)| due(*place, CHECK));
        let probes = pairs(plan).enumerate().filter(|(place, _)| due(*place, PROBE));
        let mut samples: Vec<_> = checks.map(|(place, (id, target))| self.check(id, target, place)).collect();
        samples.extend(probes.map(|(place, (record, resolver))| self.probe(record, resolver, place)));
        if second.is_multiple_of(ROUND) {
            let minute = self.now.as_second() / 60 - 2;
            let metrics = plan
                .metrics
                .iter()
                .map(|metric| Sample::Metric { metric: metric.id.clone(), data: vec![datum(minute, metric.id.len())] });
            samples.extend(metrics);
        }
        if second.is_multiple_of(PROBE) {
            samples.extend(plan.guardrails.iter().map(|guardrail| Sample::Verdict {
                guardrail: guardrail.id.clone(),
                verdict: Verdict {
                    kind: VerdictKind::Holding,
                    value: Some(0.5),
                    threshold: Some(2.0),
                    age: Some(Duration::from_secs(60 + second % 60)),
                },
            }));
        }
        samples
    }

    fn check(&self, id: &str, target: Target, place: usize) -> Sample {
        Sample::Check(CheckSample {
            check: id.to_owned(),
            target,
            at: self.now,
            passing: true,
            status: Some(200),
            latency: Duration::from_millis(60 + self.chance(place) % 40),
            reason: None,
            certificate_until: Some(self.now + SignedDuration::from_hours(24 * 60)),
            served_by: Some(Side::Old),
            wait: None,
        })
    }

    fn probe(&self, record: String, resolver: String, place: usize) -> Sample {
        let authoritative = resolver == AUTHORITY;
        let ttl = if authoritative { 1800 } else { 1800 - u32::try_from(self.second % 1800).unwrap_or(0) };
        Sample::Probe(ProbeSample {
            record,
            resolver,
            at: self.now,
            answer: Answer::Old,
            target: "acme-shop.herokudns.test.".into(),
            ttl: Some(ttl),
            chain_ttl: Some(ttl.min(60)),
            chain: vec![format!("shop.example.test. CNAME {ttl} acme-shop.herokudns.test.")],
            rcode: "NOERROR".into(),
            authoritative,
            elapsed: Duration::from_micros(400 + self.chance(place) % 900),
        })
    }

    fn chance(&self, place: usize) -> u64 {
        (self.second * 31 + place as u64 * 17).wrapping_mul(2_654_435_761) >> 7
    }
}

/// One command through `decide` and the fold.
pub(crate) fn step(plan: &Plan, state: &mut State, command: &Command) -> Vec<Event> {
    let decided = decide(plan, state, command).expect("reports are not refused");
    let numbered = decided.into_iter().zip(state.seq + 1..);
    let events: Vec<_> =
        numbered.map(|(what, seq)| Event { seq, at: command.at, by: command.by.clone(), what }).collect();
    for event in &events {
        state.apply(event).expect("what was decided can be folded");
    }
    events
}

/// What an engine in a troubled night reports, one event each: checks that flap, resolvers that change their mind,
/// guardrails that go blind and see again.
pub(crate) fn trouble(plan: &Plan) -> Vec<Report> {
    let mut reports = Vec::new();
    for flap in [false, true] {
        for (check, target) in plan.checks.iter().flat_map(|check| TARGETS.map(|target| (check.id.clone(), target))) {
            let reason = (!flap).then(|| "status 503, wanted 200".to_owned());
            reports.push(Report::Check { check, target, passing: Some(flap), reason });
        }
        for (record, resolver) in pairs(plan) {
            let answer = if flap { Answer::Old } else { Answer::Silent };
            reports.push(Report::Resolver { record, resolver, answer });
        }
        for guardrail in &plan.guardrails {
            let (guardrail, value) = (guardrail.id.clone(), flap.then_some(0.5));
            let verdict = if flap { VerdictKind::Holding } else { VerdictKind::Blind };
            reports.push(Report::Verdict { guardrail, verdict, value });
        }
    }
    reports
}

fn pairs(plan: &Plan) -> impl Iterator<Item = (String, String)> {
    let servers = || [AUTHORITY].into_iter().chain(RESOLVERS);
    plan.records.iter().flat_map(move |record| servers().map(|server| (record.id.clone(), server.to_owned())))
}

#[expect(clippy::cast_precision_loss, reason = "a wave to look at")]
fn datum(minute: i64, phase: usize) -> Datum {
    let wave = (minute as f64 / 4.0 + phase as f64).sin();
    Datum { at: Timestamp::from_second(minute * 60).expect("a time"), value: 40.0 + wave * 12.0 }
}
