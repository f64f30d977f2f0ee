//! What watching costs: `cargo bench --bench watching`. Prints CPU as a share of one core, and whether the budgets hold;
//! the exit code says the latter. One part alone: `cargo bench --bench watching -- shares` (or `curves`, `engine`).
//!
//! The world is a `cutover sandbox` in a process of its own, so that only our side is counted.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    dead_code,
    reason = "a program that measures"
)]

#[path = "support/metrics.rs"]
mod metrics;
#[path = "terminal/pty.rs"]
mod pty;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use cutover::{
    cli::sandbox_variables,
    clock::Clock,
    journal::SessionDir,
    plan::{Check, Plan, RecordType, Resolver, load},
    run::Target,
    sandbox::Endpoints,
    watch,
    world::{World, dns},
};
use metrics::metrics;
use pty::{Link, Program, cpu, status};

/// How often each kind is asked, a second.
const RATE: u64 = 100;
/// How long each is observed.
const OBSERVED: Duration = Duration::from_secs(6);
/// How often ours and its peer take turns; medians count.
const ROUNDS: usize = 3;

fn main() -> ExitCode {
    let chosen: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |part: &str| chosen.is_empty() || chosen.iter().any(|word| word == part);
    let mut holds = true;
    if wanted("shares") || wanted("curves") {
        let sandbox = Sandbox::start();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        if wanted("shares") {
            holds &= runtime.block_on(shares(&sandbox));
        }
        if wanted("curves") {
            holds &= runtime.block_on(curves(&sandbox));
        }
        runtime.shutdown_background();
    }
    if wanted("engine") {
        holds &= engine();
    }
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A figure with its budget; true if it holds.
fn told(what: &str, value: f64, unit: &str, budget: f64) -> bool {
    let word = if value <= budget { "holds" } else { "BROKEN" };
    println!("{what:<44} {value:>8.2} {unit:<6} budget {budget:>6.2}  {word}");
    value <= budget
}

struct Sandbox {
    child: Child,
    at: Endpoints,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sandbox {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        let mut child = command.args(["sandbox", "--json"]).stdout(Stdio::piped()).spawn().expect("a sandbox");
        let out = child.stdout.take().expect("its output");
        let mut json = serde_json::Deserializer::from_reader(out).into_iter::<Endpoints>();
        let at = json.next().expect("endpoints").expect("endpoints as JSON");
        Self { child, at }
    }

    /// The sample plan in this sandbox.
    fn plan(&self) -> Plan {
        let given = sandbox_variables(&self.at, &SessionDir::new(""));
        let source = include_str!("../config/acme-shop.toml");
        load(source, "acme-shop.toml", "sandbox", &given).expect("the sample plan is valid: a test holds it")
    }
}

/// Does something so many times a second, as an engine's watches do on the thread that is theirs, and tells the share of a
/// core that it takes, percent.
async fn share<F>(one: impl Fn() -> F + Send + 'static) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let watching = tokio::spawn(async move {
        one().await;
        let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / RATE));
        let (before, begun) = (cpu(std::process::id()), Instant::now());
        while begun.elapsed() < OBSERVED {
            ticks.tick().await;
            tokio::spawn(one());
        }
        let spent = cpu(std::process::id()) - before;
        spent.as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0
    });
    watching.await.expect("nothing panics")
}

async fn shares(sandbox: &Sandbox) -> bool {
    println!("a share of one core at {RATE} a second on loopback");
    let plan = sandbox.plan();
    let world = World::connect(&plan, Clock::real()).await.expect("clients");
    let https = Arc::new(plan.checks.iter().find(|check| check.id == "health").expect("the check").clone());
    let plain = format!("http://shop.example.test:{}/health", sandbox.at.old_origin.http.port());
    let http = Arc::new(Check { url: plain, ca_file: None, min_certificate: None, ..(*https).clone() });
    let run = |check: &Arc<Check>| {
        let (world, check) = (world.clone(), Arc::clone(check));
        move || {
            let (world, check) = (world.clone(), Arc::clone(&check));
            async move { drop(world.checker().run(&check, Target::Old).await) }
        }
    };
    let resolver = sandbox.at.resolvers.iter().find(|each| each.name == "honest").expect("the resolver").addr;
    let probe = move || async move {
        drop(dns::probe(resolver, "shop.example.test", RecordType::A, dns::ProbeOptions::resolver()).await);
    };
    let (open, secure) = (direct(sandbox, false), direct(sandbox, true));
    let http_peer = ["oha", "--no-tui", "--disable-keepalive", "-q", "100", "-z", "9s", &open];
    let https_peer = ["oha", "--no-tui", "--disable-keepalive", "--insecure", "-q", "100", "-z", "9s", &secure];
    let questions = tempfile::NamedTempFile::new().expect("room for a question");
    std::fs::write(&questions, "shop.example.test A\n").expect("room for a question");
    let (port, file) = (resolver.port().to_string(), questions.path().display().to_string());
    let dns_peer = ["dnsperf", "-s", "127.0.0.1", "-p", &port, "-Q", "100", "-l", "9", "-d", &file];
    let mut turns: [Turns; 3] = Default::default();
    for round in 1..=ROUNDS {
        println!("round {round} of {ROUNDS}");
        turns[0].take(share(run(&http)).await, beside(&http_peer));
        turns[1].take(share(run(&https)).await, beside(&https_peer));
        turns[2].take(share(probe).await, beside(&dns_peer));
    }
    let [mut http, mut https, mut dns] = turns;
    http.told("HTTP check, fresh connection", "oha", 6.0)
        & https.told("HTTPS check, fresh connection", "oha", 10.0)
        & dns.told("DNS probe", "dnsperf", 2.5)
}

/// Shares of a core that were measured in turn, percent.
#[derive(Default)]
struct Turns {
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

impl Turns {
    fn take(&mut self, ours: f64, theirs: Option<f64>) {
        self.ours.push(ours);
        self.theirs.extend(theirs);
    }

    /// Medians beside each other; true if ours holds its budget.
    fn told(&mut self, what: &str, peer: &str, budget: f64) -> bool {
        let ours = median(&mut self.ours);
        let holds = told(what, ours, "%", budget);
        if self.theirs.is_empty() {
            println!("    {peer:<40} is not installed: left out");
        } else {
            let theirs = median(&mut self.theirs);
            println!("    {peer:<40} {theirs:>8.2} %      ours is x{:.2}", ours / theirs);
        }
        holds
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The old side by its address, for programs that cannot be told another host.
fn direct(sandbox: &Sandbox, secure: bool) -> String {
    let origin = sandbox.at.old_origin;
    if secure { format!("https://{}/health", origin.https) } else { format!("http://{}/health", origin.http) }
}

/// What a peer takes for the same at the same rate, percent of a core; None: this machine does not have it.
fn beside(argv: &[&str]) -> Option<f64> {
    let started = Command::new(argv[0]).args(&argv[1..]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = started.ok()?;
    std::thread::sleep(Duration::from_secs(2));
    let (before, begun) = (cpu(child.id()), Instant::now());
    std::thread::sleep(Duration::from_secs(5));
    let share = (cpu(child.id()) - before).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0;
    let _ = child.kill();
    let _ = child.wait();
    Some(share)
}

/// The samplers with so many checks, probes or metrics: CPU of each a second must not grow with their number.
async fn curves(sandbox: &Sandbox) -> bool {
    println!("\nmicroseconds of CPU a second for each, all samplers running");
    let empty =
        Plan { checks: Vec::new(), metrics: Vec::new(), guardrails: Vec::new(), runners: Vec::new(), ..sandbox.plan() };
    let quiet = Plan { records: Vec::new(), ..empty.clone() };
    let health = sandbox.plan().checks.into_iter().find(|check| check.id == "health").expect("the check");
    let honest = empty.dns.resolvers[0].clone();
    let checks = |count: usize| {
        let check = |place| Check { id: format!("check-{place}"), ..health.clone() };
        Plan { checks: (0..count).map(check).collect(), ..quiet.clone() }
    };
    let probes = |count: usize| {
        let resolver = |place| Resolver { name: format!("resolver-{place}"), ..honest.clone() };
        let mut plan = empty.clone();
        plan.records.truncate(1);
        plan.dns.resolvers = (0..count).map(resolver).collect();
        plan
    };
    let metrics = |count: usize| Plan { metrics: metrics(count), ..quiet.clone() };
    let mut linear = true;
    linear &= curve("check (three targets every 10 s)", checks).await;
    linear &= curve("probe (every 5 s)", probes).await;
    linear & curve("metric (every 30 s)", metrics).await
}

async fn curve(what: &str, plan: impl Fn(usize) -> Plan) -> bool {
    let mut each = Vec::new();
    for count in [1, 10, 100, 1_000] {
        each.push((count, watched(plan(count)).await.as_secs_f64() * 1e6 / count as f64));
    }
    let row = each.iter().fold(String::new(), |mut row, (count, cost)| {
        let _ = write!(row, "  {count}: {cost:.0}");
        row
    });
    // From ten on: a single one carries what all share.
    let linear = each[3].1 <= each[1].1 * 1.25;
    println!("{what:<44}{row}  {}", if linear { "linear" } else { "GROWS" });
    linear
}

/// CPU of a second with all samplers of a plan at work, after they have begun.
async fn watched(plan: Plan) -> Duration {
    let clock = Clock::real();
    let world = World::connect(&plan, clock).await.expect("clients");
    let (sender, mut findings) = tokio::sync::mpsc::channel(4096);
    let (_baseline, receiver) = tokio::sync::watch::channel(BTreeMap::new());
    let before = cpu(std::process::id());
    let handle = watch::start(Arc::new(plan), world, clock, sender, receiver, clock.now());
    let over = tokio::time::sleep(Duration::from_secs(10));
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = &mut over => break,
            Some(_) = findings.recv() => {}
        }
    }
    drop(handle);
    (cpu(std::process::id()) - before) / 10
}

/// The whole engine with 500 metrics, 200 checks and 200 probes.
fn engine() -> bool {
    println!("\nthe engine with 500 metrics, 200 checks on three targets every 10 s, and 200 probes every 5 s");
    let state = tempfile::tempdir().expect("a directory for the session");
    let home = state.path().display().to_string();
    let plan = state.path().join("large.toml");
    std::fs::write(&plan, large()).expect("room for the plan");
    let env: Vec<_> = ["XDG_STATE_HOME", "XDG_RUNTIME_DIR"].map(|name| (name.to_owned(), home.clone())).into();
    let argv = [env!("CARGO_BIN_EXE_cutover"), "rehearse", "--speed", "1", "--plan", &plan.display().to_string()];
    let mut screen = Program::start(&argv.map(str::to_owned), &env, Link::LOCAL);
    let shown = screen.until(Duration::from_secs(30), |text| text.contains("Interlock"));
    assert!(shown.is_some(), "the rehearsal did not begin:\n{}", screen.text());
    screen.quit("q");
    let pids = pty::carrying(&format!("XDG_STATE_HOME={home}"));
    let engine = pids.iter().copied().find(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).nth(1) == Some(b"engine")
    });
    let engine = engine.expect("an engine");
    std::thread::sleep(Duration::from_secs(20));
    let (before, begun) = (cpu(engine), Instant::now());
    std::thread::sleep(Duration::from_secs(20));
    let share = (cpu(engine) - before).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0;
    let peak = status(engine, "VmHWM") / 1024.0;
    let holds = told("CPU", share, "%", 5.0) & told("peak memory", peak, "MiB", 40.0);
    pty::end(&pids);
    holds
}

/// The sample plan with many more of everything that is watched. Its resolvers are one of the sandbox's, many times.
fn large() -> String {
    let mut plan = include_str!("../config/acme-shop.toml").replace("check_every = \"30s\"", "check_every = \"10s\"");
    for place in 12..200 {
        let _ = write!(
            plan,
            "\n[[check]]\nid = \"check-{place}\"\nurl = \"${{shop_url}}/health\"\nevery = \"10s\"\nca_file = \"${{ca_file}}\"\n"
        );
    }
    for place in 12..500 {
        let _ = write!(
            plan,
            "\n[[metric]]\nid = \"metric-{place}\"\nside = \"new\"\nunit = \"count\"\nnamespace = \"AWS/SQS\"\n\
             name = \"ApproximateNumberOfMessagesVisible\"\nstat = \"Maximum\"\ndimensions = {{ QueueName = \"acme-shop-jobs\" }}\n"
        );
    }
    for place in 2..22 {
        let _ = write!(
            plan,
            "\n[[record]]\nid = \"record-{place}\"\nzone = \"${{zone}}\"\nzone_id = \"${{zone_id}}\"\nname = \"n{place}.${{zone}}\"\n\
             old = {{ type = \"CNAME\", ttl = 1800, value = \"${{shop_target}}\" }}\n\
             new = {{ type = \"CNAME\", ttl = 60, value = \"${{alb}}\" }}\n"
        );
    }
    plan
}
