//! The causal model: requests make latency, errors, CPU, connections and jobs; workers drain the queue.
//!
//! Pure: [`Model::step`] gets what holds now and how much session time passed. Nothing here knows a clock or a socket.

use serde::Serialize;

use super::{faults::Side, scenario::Traffic};

/// Latency of an idle side, milliseconds: (median, 95th percentile).
const IDLE_LATENCY_OLD: (f64, f64) = (58.0, 128.0);
const IDLE_LATENCY_NEW: (f64, f64) = (44.0, 96.0);
/// How much slower a side is whose caches are cold.
const COLD_PENALTY: f64 = 0.7;
/// Seconds of serving that warm the caches.
const WARM_UP: f64 = 150.0;
/// Share of requests that fail on a healthy side.
const BASE_ERRORS: f64 = 0.0002;
/// Beyond this load a side sheds requests instead of getting slower.
const MAX_LOAD: f64 = 0.97;
/// Jobs that are enqueued together, on average.
const BURST: f64 = 20.0;
/// Time constants, seconds: how quickly what is measured follows the load.
const CPU_LAG: f64 = 20.0;
const MEMORY_LAG: f64 = 180.0;

/// What runs on one side now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Processes {
    pub(super) web: u32,
    pub(super) worker: u32,
    pub(super) scheduler: u32,
    /// Web requests are answered 503 before they reach a process; workers go on.
    pub(super) maintenance: bool,
}

/// What holds for one side during a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct SideInput {
    pub(super) processes: Processes,
    /// Share of all requests that arrive here, 0 to 1.
    pub(super) share: f64,
    /// Share of requests that fail by a fault, 0 to 1.
    pub(super) fault_errors: f64,
    /// 1 is normal.
    pub(super) latency_factor: f64,
    /// Share of requests that fail because the database refuses what they write, 0 to 1.
    pub(super) write_errors: f64,
    /// Share of jobs that fail for the same reason and go back to the queue, 0 to 1.
    pub(super) job_errors: f64,
}

/// What one side does now: what its origin answers, and what the metrics say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct SideState {
    /// Requests a second that arrive.
    pub(super) requests: f64,
    /// Share of them that fail, 0 to 1.
    pub(super) error_rate: f64,
    /// The part of it that whoever only reads meets, 0 to 1.
    pub(super) read_error_rate: f64,
    /// Jobs a second that workers here finish.
    pub(super) jobs: f64,
    /// Median latency, milliseconds.
    pub(super) p50_ms: f64,
    /// 95th percentile of the latency, milliseconds.
    pub(super) p95_ms: f64,
    /// Load over capacity; above 1 requests are shed.
    pub(super) load: f64,
    /// Percent of what the web processes may use.
    pub(super) cpu: f64,
    /// Percent of what the web processes may use.
    pub(super) memory: f64,
    /// Every web request is answered 503.
    pub(super) maintenance: bool,
    /// 0 (cold caches) to 1.
    #[serde(skip)]
    warmth: f64,
}

/// What both sides share: one queue, and the load of whoever writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct SharedState {
    /// Percent.
    pub(super) database_cpu: f64,
    /// Jobs that wait.
    pub(super) queue: f64,
    /// Jobs run since the start.
    pub(super) jobs_done: f64,
    /// Seconds during which schedulers ran on both sides at once: every one of their jobs ran twice.
    pub(super) double_scheduler_seconds: f64,
}

/// The state of the model.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) old: SideState,
    pub(super) new: SideState,
    pub(super) shared: SharedState,
    traffic: Traffic,
    noise: Noise,
    /// Session seconds since the model began: drives the slow waves of the load.
    age: f64,
    /// Smoothed random walk around 1.
    mood: f64,
}

impl Model {
    pub(super) fn new(traffic: Traffic, seed: u64) -> Self {
        let warm = SideState { warmth: 1.0, ..SideState::default() };
        Self {
            old: warm,
            new: SideState::default(),
            shared: SharedState::default(),
            traffic,
            noise: Noise(seed),
            age: 0.0,
            mood: 1.0,
        }
    }

    pub(super) fn side(&self, side: Side) -> &SideState {
        match side {
            Side::Old => &self.old,
            Side::New => &self.new,
        }
    }

    /// Random source for whoever samples from the model's distributions.
    pub(super) fn noise(&mut self) -> &mut Noise {
        &mut self.noise
    }

    /// Lets `dt` session seconds pass.
    pub(super) fn step(&mut self, dt: f64, old: &SideInput, new: &SideInput) {
        self.age += dt;
        let pull = approach(dt, 40.0);
        self.mood += (1.0 - self.mood) * pull + 0.03 * self.noise.normal() * pull.sqrt();
        let wave = 1.0 + 0.05 * (self.age / 1700.0).sin() + 0.02 * (self.age / 310.0).sin();
        let demand = (self.traffic.requests_per_second * wave * self.mood).max(0.0);
        self.old.step(dt, demand, old, self.traffic.dyno_capacity, IDLE_LATENCY_OLD);
        self.new.step(dt, demand, new, self.traffic.task_capacity, IDLE_LATENCY_NEW);
        self.share(dt, old, new);
    }

    fn share(&mut self, dt: f64, old: &SideInput, new: &SideInput) {
        let able = |side: &SideInput| f64::from(side.processes.worker) * (1.0 - side.job_errors);
        let (old_able, new_able) = (able(old), able(new));
        let schedulers = old.processes.scheduler.min(new.processes.scheduler);
        let served = self.old.served() + self.new.served();
        let arriving = served * self.traffic.job_share;
        let capacity = (old_able + new_able) * self.traffic.worker_capacity;
        let waiting = self.shared.queue + arriving * dt;
        let done = waiting.min(capacity * dt);
        // A queue that keeps up still holds what arrived in bursts: some times rho / (1 - rho) jobs, as queues of bursts do.
        let busy = if capacity > 0.0 { (arriving / capacity).min(0.95) } else { 0.0 };
        let floor = BURST * busy / (1.0 - busy) * (1.0 + 0.25 * self.noise.normal()).max(0.2);
        let shared = &mut self.shared;
        let keeps_up = capacity > 0.0 && waiting - done < floor;
        shared.queue = if keeps_up { floor } else { waiting - done };
        shared.jobs_done += done;
        let part = done / (dt * (old_able + new_able)).max(f64::MIN_POSITIVE);
        (self.old.jobs, self.new.jobs) = (part * old_able, part * new_able);
        if schedulers > 0 {
            shared.double_scheduler_seconds += dt;
        }
        let cpu = (5.0 + 0.11 * served + 0.5 * done / dt.max(0.001) + 0.6 * self.noise.normal()).clamp(1.0, 100.0);
        shared.database_cpu += (cpu - shared.database_cpu) * approach(dt, CPU_LAG);
    }
}

impl SideState {
    fn step(&mut self, dt: f64, demand: f64, input: &SideInput, capacity_each: f64, idle: (f64, f64)) {
        let capacity = f64::from(input.processes.web) * capacity_each;
        self.requests = demand * input.share;
        self.maintenance = input.processes.maintenance;
        let refused = self.maintenance || capacity <= 0.0;
        self.load = if capacity > 0.0 { self.requests / capacity } else { 0.0 };
        let shed = (1.0 - MAX_LOAD / self.load.max(MAX_LOAD)).clamp(0.0, 1.0);
        let failing = (BASE_ERRORS + input.fault_errors).min(1.0);
        self.read_error_rate = if refused { 1.0 } else { 1.0 - (1.0 - shed) * (1.0 - failing) };
        self.error_rate = 1.0 - (1.0 - self.read_error_rate) * (1.0 - input.write_errors);
        self.warm(dt, capacity, refused);
        self.latency(input.latency_factor, idle, refused);
        let working = if refused { 0.0 } else { self.load.min(1.0) };
        let cpu = if capacity > 0.0 { 3.0 + 68.0 * working * (1.0 + 0.2 * (1.0 - self.warmth)) } else { 0.0 };
        let memory = if capacity > 0.0 { 36.0 + 14.0 * working + 6.0 * self.warmth } else { 0.0 };
        self.cpu += (cpu.min(100.0) - self.cpu) * approach(dt, CPU_LAG);
        self.memory += (memory - self.memory) * approach(dt, MEMORY_LAG);
    }

    /// Caches warm up while requests are served and are lost with the processes.
    fn warm(&mut self, dt: f64, capacity: f64, refused: bool) {
        if capacity <= 0.0 {
            self.warmth = 0.0;
        } else if !refused && self.load > 0.001 {
            self.warmth += (1.0 - self.warmth) * approach(dt, WARM_UP);
        }
    }

    fn latency(&mut self, factor: f64, idle: (f64, f64), refused: bool) {
        let load = self.load.min(MAX_LOAD);
        let crowded = 1.0 + 0.22 * load / (1.0 - load);
        let cold = 1.0 + COLD_PENALTY * (1.0 - self.warmth) * load.min(0.3) / 0.3;
        let slower = factor.max(0.05) * cold;
        // A refusal is quick: the router answers it alone.
        let (p50, p95) =
            if refused { (4.0, 9.0) } else { (idle.0 * slower * crowded.sqrt(), idle.1 * slower * crowded) };
        self.p50_ms = p50;
        self.p95_ms = p95.max(p50 * 1.05);
    }

    /// Requests a second that are answered well.
    pub(super) fn served(&self) -> f64 {
        self.requests * (1.0 - self.error_rate)
    }

    /// One latency drawn from a log-normal distribution with this median and 95th percentile, milliseconds.
    pub(super) fn draw_latency(&self, noise: &mut Noise) -> f64 {
        const Z95: f64 = 1.645;
        let sigma = (self.p95_ms / self.p50_ms.max(0.1)).max(1.0).ln() / Z95;
        self.p50_ms * (sigma * noise.normal()).exp()
    }
}

/// How far a first-order lag with the time constant `lag` goes towards its goal in `dt`, 0 to 1.
pub(super) fn approach(dt: f64, lag: f64) -> f64 {
    1.0 - (-dt / lag).exp()
}

/// A small repeatable source of chance (SplitMix64): a scenario's seed gives the same world every time.
#[derive(Debug, Clone)]
pub(super) struct Noise(pub(super) u64);

impl Noise {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub(super) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Standard normal (Box-Muller).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// A Poisson-distributed count with the given mean.
    pub(super) fn poisson(&mut self, mean: f64) -> f64 {
        if mean > 30.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0);
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.uniform(), 0.0);
        while product > limit {
            product *= self.uniform();
            count += 1.0;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEROKU: Processes = Processes { web: 2, worker: 1, scheduler: 1, maintenance: false };
    const AWS: Processes = Processes { web: 2, worker: 0, scheduler: 0, maintenance: false };

    fn input(processes: Processes, share: f64) -> SideInput {
        SideInput { processes, share, fault_errors: 0.0, latency_factor: 1.0, write_errors: 0.0, job_errors: 0.0 }
    }

    fn after(seconds: u32, old: SideInput, new: SideInput) -> Model {
        let mut model = Model::new(Traffic::default(), 7);
        (0..seconds).for_each(|_| model.step(1.0, &old, &new));
        model
    }

    #[test]
    fn the_calm_world_is_healthy_on_the_side_that_serves() {
        let model = after(900, input(HEROKU, 1.0), input(AWS, 0.0));
        assert!((180.0..250.0).contains(&model.old.requests), "{:?}", model.old);
        assert!((150.0..260.0).contains(&model.old.p95_ms) && model.old.error_rate < 0.001, "{:?}", model.old);
        assert!(model.new.requests < 0.001 && model.new.cpu < 5.0, "{:?}", model.new);
        assert!((2.0..60.0).contains(&model.shared.queue), "{:?}", model.shared);
    }

    #[test]
    fn a_new_side_is_slow_until_its_caches_are_warm() {
        let cold = after(20, input(HEROKU, 0.0), input(AWS, 1.0)).new.p95_ms;
        let warm = after(900, input(HEROKU, 0.0), input(AWS, 1.0)).new.p95_ms;
        assert!(cold > 1.25 * warm, "cold {cold} warm {warm}");
    }

    #[test]
    fn without_workers_the_queue_grows_and_workers_anywhere_drain_it() {
        let no_workers = Processes { worker: 0, ..HEROKU };
        let mut model = after(300, input(no_workers, 1.0), input(AWS, 0.0));
        let full = model.shared.queue;
        assert!(full > 1500.0, "{full}");
        let with_workers = Processes { worker: 3, ..AWS };
        (0..200).for_each(|_| model.step(1.0, &input(no_workers, 0.0), &input(with_workers, 1.0)));
        assert!(model.shared.queue < 100.0, "{}", model.shared.queue);
    }

    #[test]
    fn maintenance_refuses_every_request_but_jobs_go_on() {
        let maintenance = Processes { maintenance: true, ..HEROKU };
        let mut model = after(60, input(Processes { worker: 0, ..HEROKU }, 1.0), input(AWS, 0.0));
        let before = (model.shared.queue, model.shared.jobs_done);
        (0..120).for_each(|_| model.step(1.0, &input(maintenance, 1.0), &input(AWS, 0.0)));
        assert!((model.old.error_rate - 1.0).abs() < f64::EPSILON);
        assert!(model.shared.queue < before.0 && model.shared.jobs_done > before.1);
    }

    #[test]
    fn overload_sheds_and_slows() {
        let one = Processes { web: 1, ..HEROKU };
        let model = after(60, input(one, 1.0), input(AWS, 0.0));
        assert!(model.old.load > 1.1 && model.old.error_rate > 0.1 && model.old.p95_ms > 500.0, "{:?}", model.old);
    }

    #[test]
    fn poisson_counts_have_their_mean() {
        let mut noise = Noise(3);
        for mean in [0.4, 5.0, 80.0] {
            let total: f64 = (0..4000).map(|_| noise.poisson(mean)).sum();
            assert!((total / 4000.0 / mean - 1.0).abs() < 0.05, "{mean}: {total}");
        }
    }
}
