//! The samplers against the sandbox at 120 times the speed: what they see, and what they say when they see nothing.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may panic as the test itself")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cutover::{
    cli::sandbox_variables,
    clock::Clock,
    journal::SessionDir,
    plan::{self, Action, Plan, RecordSet, RecordType, Role, Side, WriteLock, batch},
    run::{AUTHORITY, Access, Answer, Cell, Expiring, Report, Sample, Target, Trouble, VerdictKind},
    sandbox::{Ports, Sandbox, SandboxConfig, scenario::Scenario},
    watch::{Finding, WatchHandle, start},
    world::World,
};
use tokio::sync::{mpsc, watch};

/// What stands in the zone: short, so that what drains has drained soon. Seconds.
const OLD_TTL: u32 = 90;
const SPEED: f64 = 120.0;
/// By the wall; ten times what it takes on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A sandbox, its plan and clients, and everything that the samplers have said.
struct Bench {
    _sandbox: Sandbox,
    plan: Arc<Plan>,
    world: World,
    handle: WatchHandle,
    findings: mpsc::Receiver<Finding>,
    _baseline: watch::Sender<BTreeMap<String, f64>>,
    seen: Seen,
}

/// The findings, folded as the engine and the cockpit would.
#[derive(Debug, Default)]
struct Seen {
    answers: BTreeMap<(String, String), Answer>,
    checks: BTreeMap<(String, Target), Option<bool>>,
    cells: BTreeMap<(Side, Role), Cell>,
    verdicts: BTreeMap<String, VerdictKind>,
    troubles: BTreeMap<String, Option<Trouble>>,
    /// Data by metric.
    data: BTreeMap<String, usize>,
    served_by: BTreeMap<String, Option<Side>>,
    spent: (u64, u64),
    leak: Option<String>,
    reports: usize,
}

impl Seen {
    fn take(&mut self, finding: Finding) {
        match finding {
            Finding::Report(report) => {
                self.reports += 1;
                self.report(report);
            }
            Finding::Sample(Sample::Metric { metric, data }) => *self.data.entry(metric).or_default() += data.len(),
            Finding::Sample(Sample::Check(run)) if run.target == Target::Live => {
                self.served_by.insert(run.check, run.served_by);
            }
            Finding::Sample(Sample::Spent { calls, metrics }) => self.spent = (calls, metrics),
            Finding::Sample(_) => {}
        }
    }

    fn report(&mut self, report: Report) {
        match report {
            Report::Resolver { record, resolver, answer } => drop(self.answers.insert((record, resolver), answer)),
            Report::Check { check, target, passing, .. } => drop(self.checks.insert((check, target), passing)),
            Report::Runner { side, role, cell } => drop(self.cells.insert((side, role), cell)),
            Report::Verdict { guardrail, verdict, .. } => drop(self.verdicts.insert(guardrail, verdict)),
            Report::Source { source, trouble } => drop(self.troubles.insert(source, trouble)),
            Report::Leak { side: Side::Old, who } => self.leak = who,
            Report::Preflight(findings) => assert!(!findings.is_empty(), "a look that found nothing"),
            Report::Expiry { of: Expiring::HerokuKey, until, .. } => assert!(until.is_some(), "in a month"),
            Report::Expiry { of, until, .. } => {
                assert_eq!((of, until), (Expiring::Credentials, None), "keys do not end")
            }
            other => panic!("not a sampler's: {other:?}"),
        }
    }

    fn answer(&self, record: &str, resolver: &str) -> Option<Answer> {
        self.answers.get(&(record.to_owned(), resolver.to_owned())).copied()
    }

    fn cell(&self, side: Side, role: Role) -> Option<Cell> {
        self.cells.get(&(side, role)).copied()
    }

    fn trouble(&self, source: &str) -> Option<&Trouble> {
        self.troubles.get(source).and_then(Option::as_ref)
    }

    fn passing(&self, target: Target) -> usize {
        self.checks.iter().filter(|((_, theirs), passing)| *theirs == target && **passing == Some(true)).count()
    }
}

impl Bench {
    async fn new(scenario: &str) -> Self {
        let clock = Clock::scaled(SPEED);
        let mut scenario = Scenario::parse("test", scenario).unwrap();
        scenario.dns.old_ttl = Duration::from_secs(OLD_TTL.into());
        let config = SandboxConfig { clock, scenario, state_dir: None, ports: Ports::default() };
        let sandbox = cutover::sandbox::start(config).await.unwrap();
        let source = include_str!("../config/acme-shop.toml");
        let loaded = plan::load(source, "config/acme-shop.toml", "sandbox", &given(&sandbox));
        let plan = Arc::new(loaded.unwrap_or_else(|errors| panic!("{}", errors.render(false))));
        let world = World::connect(&plan, clock).await.unwrap();
        let (sender, findings) = mpsc::channel(4096);
        let (baseline, receiver) = watch::channel(BTreeMap::new());
        let handle = start(Arc::clone(&plan), world.clone(), clock, sender, receiver, clock.now());
        Self { _sandbox: sandbox, plan, world, handle, findings, _baseline: baseline, seen: Seen::default() }
    }

    /// Takes findings until something is so.
    async fn until(&mut self, what: &str, so: impl Fn(&Seen) -> bool) {
        let all = async {
            while !so(&self.seen) {
                self.seen.take(self.findings.recv().await.unwrap());
            }
        };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            panic!("{what} was never so: {:#?}", self.seen);
        }
    }
}

/// Where the sandbox's services listen, as the plan's variables.
fn given(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let mut given = sandbox_variables(sandbox.endpoints(), &SessionDir::new(""));
    given.insert("old_ttl".into(), OLD_TTL.to_string());
    given
}

#[tokio::test(flavor = "multi_thread")]
async fn a_calm_world_is_seen_as_it_is_and_a_switch_where_it_is_served() {
    let mut bench = Bench::new("[resolvers]\nminimum = { minimum-ttl = 600 }\nstubborn = { stubborn = 900 }\n").await;
    let checks = bench.plan.checks.len();
    bench
        .until("all checks pass on the old side and live", |seen| {
            [Target::Live, Target::Old].iter().all(|target| seen.passing(*target) == checks)
        })
        .await;
    bench
        .until("every resolver has answered or is silent", |seen| {
            ["honest", "honest-2", "honest-3", "slow", AUTHORITY]
                .iter()
                .all(|name| seen.answer("shop", name) == Some(Answer::Old))
                && seen.answer("shop", "dead") == Some(Answer::Silent)
        })
        .await;
    bench
        .until("resolvers that keep answers for too long are found out", |seen| {
            seen.answer("shop", "minimum") == Some(Answer::OldStretched)
                && seen.answer("shop", "stubborn") == Some(Answer::OldStale)
        })
        .await;
    bench
        .until("all runners are known", |seen| {
            seen.cell(Side::Old, Role::Web) == Some(Cell::On)
                && seen.cell(Side::Old, Role::Worker) == Some(Cell::On)
                && seen.cell(Side::New, Role::Worker) == Some(Cell::Off)
        })
        .await;
    bench.until("there are data of the old side", |seen| seen.data.get("old-requests").is_some_and(|n| *n > 10)).await;
    bench
        .until("checks are served by the old side", |seen| seen.served_by.values().all(|by| *by == Some(Side::Old)))
        .await;
    let baseline = bench.handle.baseline_values();
    assert!(baseline["old-requests"] > 1.0, "{baseline:?}");
    assert!(bench.seen.troubles.values().all(Option::is_none), "{:?}", bench.seen.troubles);

    let record = bench.plan.record("shop").unwrap().clone();
    let found = bench.world.route53().sets(&record.zone_id, record.name()).await.unwrap();
    let before: Vec<_> = found.into_iter().map(|found| found.set).collect();
    let change = batch(&before, std::slice::from_ref(&record.new));
    bench.world.route53().change(&record.zone_id, &change, "test").await.unwrap();
    bench
        .until("the honest resolvers and the authority are on the new side", |seen| {
            ["honest", "honest-2", "honest-3", AUTHORITY]
                .iter()
                .all(|name| seen.answer("shop", name) == Some(Answer::New))
        })
        .await;
    bench.until("the shop is served by the new side", |seen| seen.served_by["home"] == Some(Side::New)).await;
    assert_eq!(bench.seen.answer("api", "honest"), Some(Answer::Old));

    let stray = RecordSet { kind: RecordType::Aaaa, ttl: Some(60), values: vec!["2001:db8::1".into()], ..record.old };
    bench.world.route53().change(&record.zone_id, &[(Action::Create, stray)], "stray").await.unwrap();
    bench
        .until("a stray address of the other family is found", |seen| {
            seen.answer("shop", AUTHORITY) == Some(Answer::Other)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_on_after_a_freeze_of_others_is_named() {
    let mut bench = Bench::new("[[fault]]\nkind = \"leaky-freeze\"").await;
    bench.until("the application writes", |seen| seen.cell(Side::Old, Role::Writer) == Some(Cell::On)).await;
    let server = bench.world.postgres().unwrap().side(Side::Old);
    let roles = &bench.plan.databases.as_ref().unwrap().old.writers;
    let open = server.access(WriteLock::Revoke, roles).await.unwrap();
    server.change_access(&open, &Access::Grants { grants: Vec::new() }).await.unwrap();
    bench.until("it does not any more", |seen| seen.cell(Side::Old, Role::Writer) == Some(Cell::Off)).await;
    bench
        .until("who does is named, with the table", |seen| {
            let who = seen.leak.as_deref().unwrap_or_default();
            who.contains("reports") && who.contains("writes to public.orders")
        })
        .await;
    let server = bench.world.postgres().unwrap().side(Side::Old);
    server.change_access(&Access::Grants { grants: Vec::new() }, &open).await.unwrap();
    bench.until("everybody may write again", |seen| seen.leak.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_turns_blind_and_unknown_and_comes_back() {
    let mut bench = Bench::new(
        r#"
        [[fault]]
        at = "10m"
        for = "20m"
        kind = "error"
        service = "cloudwatch"
        status = 500
        code = "InternalFailure"
        [[fault]]
        at = "10m"
        for = "20m"
        kind = "error"
        service = "heroku"
        status = 503
        code = "suspended"
        "#,
    )
    .await;
    let holding = |seen: &Seen| seen.verdicts.get("queue") == Some(&VerdictKind::Holding);
    let heroku = |seen: &Seen| seen.cell(Side::Old, Role::Worker);
    bench.until("all is well", |seen| holding(seen) && heroku(seen) == Some(Cell::On)).await;

    bench
        .until("the sources are in trouble", |seen| {
            seen.trouble("cloudwatch").is_some() && seen.trouble("heroku").is_some()
        })
        .await;
    let trouble = bench.seen.trouble("cloudwatch").unwrap();
    assert_eq!(trouble.call, "cloudwatch:GetMetricData");
    assert!(trouble.next_try.is_some() && !trouble.reason.is_empty(), "{trouble:?}");
    bench
        .until("the guardrail is blind and the cells are unknown", |seen| {
            seen.verdicts.get("queue") == Some(&VerdictKind::Blind) && heroku(seen) == Some(Cell::Unknown)
        })
        .await;
    // What does not depend on them goes on.
    assert_eq!(bench.seen.cell(Side::New, Role::Worker), Some(Cell::Off));
    assert_eq!(bench.seen.answer("shop", "honest"), Some(Answer::Old));

    bench
        .until("all is well again", |seen| {
            let well = |source| seen.troubles.get(source) == Some(&None);
            holding(seen) && heroku(seen) == Some(Cell::On) && well("cloudwatch") && well("heroku")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_handle_stops_every_sampler() {
    let bench = Bench::new("").await;
    let Bench { handle, mut findings, _sandbox, .. } = bench;
    assert!(findings.recv().await.is_some());
    drop(handle);
    let rest = async { while findings.recv().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(5), rest).await.expect("all senders are gone");
}
