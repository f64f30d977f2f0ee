//! The world's state and its heartbeat: every tick users, processes and faults make load, and load makes metrics.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;

use super::{
    aws::{
        ecs::{CLUSTER, Ecs},
        iam::Iam,
        rds::{DATABASE, REPLICA, Rds},
        route53::{self, Changes},
        secrets::Secrets,
    },
    faults::{Faults, Side},
    heroku::App,
    ledger::Ledger,
    lock,
    metrics::{MetricId, Metrics},
    model::{Model, Processes, SideInput, SideState},
    postgres::{Databases, ORDER_SHARE, Work},
    scenario::Scenario,
    traffic::{Shares, Users},
    zone::ZoneStore,
};
use crate::clock::{Clock, monotonic};

/// Wall time between two ticks.
const TICK: Duration = Duration::from_millis(200);
/// The longest session time that one step of the model may span; longer ticks take several.
const MAX_STEP: f64 = 5.0;
/// Latencies drawn per step and side for the histograms.
const DRAWS: u32 = 24;

/// Everything that exists.
#[derive(Debug)]
pub(super) struct World {
    pub(super) clock: Clock,
    pub(super) started: Timestamp,
    pub(super) scenario: Scenario,
    pub(super) zones: ZoneStore,
    pub(super) ledger: Ledger,
    pub(super) faults: Faults,
    pub(super) changes: Mutex<Changes>,
    pub(super) route53_rate: Mutex<Rate>,
    pub(super) ecs: Mutex<Ecs>,
    pub(super) rds: Mutex<Rds>,
    pub(super) iam: Mutex<Iam>,
    pub(super) secrets: Mutex<Secrets>,
    pub(super) heroku: Mutex<App>,
    pub(super) metrics: Mutex<Metrics>,
    pub(super) model: Mutex<Model>,
    pub(super) users: Mutex<Users>,
    pub(super) databases: Mutex<Databases>,
    requests: AtomicU64,
}

impl World {
    pub(super) fn new(clock: Clock, scenario: Scenario, zones: ZoneStore, users: Users) -> Self {
        let now = clock.now();
        Self {
            clock,
            started: now,
            zones,
            ledger: Ledger::default(),
            faults: Faults::new(&scenario.faults, now),
            changes: Mutex::default(),
            route53_rate: Mutex::new(Rate::new(scenario.route53_rate(clock.speed()))),
            ecs: Mutex::new(Ecs::new(now)),
            rds: Mutex::new(Rds::new(now)),
            iam: Mutex::default(),
            secrets: Mutex::default(),
            heroku: Mutex::new(App::new(now)),
            metrics: Mutex::default(),
            model: Mutex::new(Model::new(scenario.traffic.clone(), scenario.seed)),
            users: Mutex::new(users),
            databases: Mutex::new(Databases::new(now, scenario.seed)),
            scenario,
            requests: AtomicU64::new(0),
        }
    }

    /// A new request id, in the form of AWS's.
    pub(super) fn request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        format!("5a4db0c5-0000-4000-8000-{number:012x}")
    }

    /// What one side does now.
    pub(super) fn side(&self, side: Side) -> SideState {
        *lock(&self.model).side(side)
    }

    /// What runs on one side.
    pub(super) fn processes(&self, side: Side, now: Timestamp) -> Processes {
        match side {
            Side::Old => lock(&self.heroku).processes(now),
            Side::New => {
                let ecs = lock(&self.ecs);
                let [web, worker, scheduler] = ["web", "worker", "scheduler"].map(|name| ecs.running(name, now));
                Processes { web, worker, scheduler, maintenance: false }
            }
        }
    }

    /// Makes the history that a world has which did not begin today.
    pub(super) fn live_through_history(&self) {
        let history = self.scenario.metrics.history;
        let begin = self.started.checked_sub(jiff::SignedDuration::try_from(history).unwrap_or_default());
        // Users had no reason to move then, and asking the resolvers of today would tell nothing about it.
        let at_home = Shares { old: 1.0, ..Shares::default() };
        self.advance(begin.unwrap_or(self.started), self.started, |_| at_home);
    }

    /// Ticks until the future is dropped.
    pub(super) async fn run(&self) {
        let mut last = self.started;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = self.clock.now();
            route53::settle(self, now);
            self.advance(last, now, |dt| lock(&self.users).step(dt));
            last = now.max(last);
        }
    }

    /// Lets session time pass from one instant to another; `shares` says which part of all requests goes to the old and
    /// to the new side after so many seconds more.
    fn advance(&self, from: Timestamp, to: Timestamp, shares: impl Fn(f64) -> Shares) {
        let mut at = from;
        while at < to {
            let left = to.duration_since(at).as_secs_f64();
            let dt = left.min(MAX_STEP);
            at = if dt < left { at.checked_add(jiff::SignedDuration::from_secs_f64(dt)).unwrap_or(to) } else { to };
            self.step(at, dt, shares(dt));
        }
    }

    fn step(&self, now: Timestamp, dt: f64, shares: Shares) {
        let mut databases = lock(&self.databases);
        let input = |side, share: f64, shop: f64| SideInput {
            processes: self.processes(side, now.max(self.started)),
            share,
            fault_errors: self.faults.error_rate(side, now),
            latency_factor: self.faults.latency_factor(side, now),
            write_errors: ORDER_SHARE * shop / share.max(f64::MIN_POSITIVE) * databases.refused_orders(side),
            job_errors: databases.refused_jobs(side),
        };
        let old = input(Side::Old, shares.old, shares.old_shop);
        let new = input(Side::New, shares.new, shares.new_shop);
        let mut model = lock(&self.model);
        model.step(dt, &old, &new);
        // The databases begin as the past left them: what happens from here on is written row by row.
        if now <= self.started {
            databases.open_pools(now, [old.processes, new.processes]);
        } else {
            let work = |state: &SideState, input: &SideInput, shop: f64| Work {
                processes: input.processes,
                orders: state.requests * shop / input.share.max(f64::MIN_POSITIVE)
                    * (1.0 - state.read_error_rate)
                    * ORDER_SHARE,
                jobs: state.jobs,
            };
            let works = [work(&model.old, &old, shares.old_shop), work(&model.new, &new, shares.new_shop)];
            databases.step(now, dt, works, self.faults.leaks_writes(now), self.faults.stalls_replication(now));
        }
        let connections = databases.connections(Side::New) as f64;
        drop(databases);
        let mut metrics = lock(&self.metrics);
        if !self.faults.loses_metrics(Side::Old, now) {
            Recorder { now, dt, metrics: &mut metrics }.heroku(&mut model);
        }
        if !self.faults.loses_metrics(Side::New, now) {
            Recorder { now, dt, metrics: &mut metrics }.aws(&mut model, new.processes);
            let mut rds = lock(&self.rds);
            rds.settle(now.max(self.started));
            Recorder { now, dt, metrics: &mut metrics }.rds(&mut model, &rds, connections);
        }
    }
}

/// What a database of so much memory has free, in bytes: a quarter is shared buffers, and every connection takes some.
fn free_memory(gigabytes: f64, connections: f64) -> f64 {
    const GIB: f64 = 1_073_741_824.0;
    const PER_CONNECTION: f64 = 9.0 * 1_048_576.0;
    (gigabytes * GIB * 0.61 - connections * PER_CONNECTION).max(0.02 * gigabytes * GIB)
}

/// Turns the state of the model into datapoints.
struct Recorder<'a> {
    now: Timestamp,
    dt: f64,
    metrics: &'a mut Metrics,
}

impl Recorder<'_> {
    fn heroku(&mut self, model: &mut Model) {
        let id = |name| MetricId::new("Acme/Heroku", name, &[("App", super::heroku::APP)]);
        self.requests(model, Side::Old, [id("RequestCount"), id("Errors5xx"), id("ResponseTime")]);
    }

    fn aws(&mut self, model: &mut Model, processes: Processes) {
        let balancer = |name| MetricId::new("AWS/ApplicationELB", name, &[("LoadBalancer", super::LOAD_BALANCER)]);
        // Without a target the load balancer itself answers 503.
        let errors = if processes.web > 0 { "HTTPCode_Target_5XX_Count" } else { "HTTPCode_ELB_5XX_Count" };
        self.requests(model, Side::New, [balancer("RequestCount"), balancer(errors), balancer("TargetResponseTime")]);
        let service = |name| MetricId::new("AWS/ECS", name, &[("ClusterName", CLUSTER), ("ServiceName", "web")]);
        if processes.web > 0 {
            self.metrics.put(&service("CPUUtilization"), self.now, model.new.cpu);
            self.metrics.put(&service("MemoryUtilization"), self.now, model.new.memory);
        }
        let queue = MetricId::new("AWS/SQS", "ApproximateNumberOfMessagesVisible", &[("QueueName", "acme-shop-jobs")]);
        self.metrics.put(&queue, self.now, model.shared.queue.round());
    }

    fn rds(&mut self, model: &mut Model, rds: &Rds, connections: f64) {
        let database = |name| MetricId::new("AWS/RDS", name, &[("DBInstanceIdentifier", DATABASE)]);
        let (memory, processors) = rds.capacity();
        // The model's load is that of the larger instance.
        let cpu = (model.shared.database_cpu * 4.0 / processors).min(100.0);
        self.metrics.put(&database("DatabaseConnections"), self.now, connections);
        self.metrics.put(&database("CPUUtilization"), self.now, cpu);
        self.metrics.put(&database("FreeableMemory"), self.now, free_memory(memory, connections));
        if rds.replicates() {
            let lag = 0.3 + 0.02 * model.shared.database_cpu * (1.0 + 0.3 * model.noise().normal()).max(0.1);
            let replica = MetricId::new("AWS/RDS", "ReplicaLag", &[("DBInstanceIdentifier", REPLICA)]);
            self.metrics.put(&replica, self.now, lag);
        }
    }

    /// Requests, errors and latencies of one side; nothing at all when no requests flow, as a load balancer does.
    fn requests(&mut self, model: &mut Model, side: Side, [count, errors, latency]: [MetricId; 3]) {
        let state = *model.side(side);
        let noise = model.noise();
        let requests = noise.poisson(state.requests * self.dt);
        if requests < 1.0 {
            return;
        }
        self.metrics.put_count(&count, self.now, requests);
        self.metrics.put_count(&errors, self.now, noise.poisson(requests * state.error_rate).min(requests));
        for _ in 0..DRAWS {
            let seconds = state.draw_latency(noise) / 1000.0;
            self.metrics.put_latency(&latency, self.now, seconds, requests / f64::from(DRAWS));
        }
    }
}

/// A token bucket in wall time.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: f64,
    tokens: f64,
    last: std::time::Instant,
}

impl Rate {
    fn new(per_second: f64) -> Self {
        Self { per_second, tokens: per_second, last: monotonic() }
    }

    /// Takes a token if there is one.
    pub(super) fn take(&mut self) -> bool {
        let now = monotonic();
        let earned = now.duration_since(self.last).as_secs_f64() * self.per_second;
        self.last = now;
        self.tokens = (self.tokens + earned).min(self.per_second);
        let allowed = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(allowed));
        allowed
    }
}
