//! What crosses the socket: one JSON value a frame, after a versioned hello.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    clock::Clock,
    plan::{Plan, StepId},
    run::{
        CheckSample, Datum, Event, HerokuSample, Operator, Origin, ProbeSample, Refusal, Request, Sample, Seat, State,
        Verdict,
    },
};

/// Version of this protocol. A peer of another version is turned away with a sentence.
pub const PROTOCOL: u32 = 4;

/// From a cockpit to the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "to_engine", rename_all = "kebab-case")]
pub enum ToEngine {
    /// The first frame of a cockpit.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// Program version.
        version: String,
        /// The seat it would like.
        seat: Seat,
        /// It acts without a person; only a sandbox accepts that.
        autopilot: bool,
        /// What it knows of its person; claimed.
        #[serde(default)]
        origin: Origin,
    },
    /// Instead of a hello: asks for one snapshot and goes; nothing is journaled and nobody is attached.
    Peek {
        /// [`PROTOCOL`].
        protocol: u32,
        /// Program version.
        version: String,
    },
    /// A person asks for something.
    Request {
        /// Echoed in the reply.
        id: u64,
        /// For what.
        request: Request,
    },
    /// The step that its person looks at now.
    Looking {
        /// The step.
        step: StepId,
    },
    /// Send a fresh snapshot.
    Resync,
}

/// From the engine to a cockpit: `{"sample": ...}`. With the kind inside, as in [`ToEngine`], every message would be read
/// into a tree of values first, and a cockpit reads a hundred of them a second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToCockpit {
    /// The connection is refused.
    Refused {
        /// Why.
        reason: String,
    },
    /// The first frame after hello, and whenever a slow reader has fallen behind.
    Snapshot(Box<Snapshot>),
    /// Something happened.
    Event(Box<Event>),
    /// Something was measured.
    Sample(Sample),
    /// Somebody looks at another step now.
    Looking {
        /// Whose connection.
        conn: u64,
        /// The step.
        step: StepId,
    },
    /// The answer to a request.
    Reply {
        /// The request's id.
        id: u64,
        /// Accepted or refused.
        result: Result<(), Refusal>,
    },
}

/// Everything a cockpit needs to draw, as of one event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Who the engine takes this cockpit for.
    pub you: Operator,
    /// The session's clock.
    pub clock: Clock,
    /// The frozen plan.
    pub plan: Plan,
    /// The fold.
    pub state: State,
    /// What was measured lately.
    pub telemetry: Telemetry,
}

/// Rings of what was measured lately: the same on both ends of the socket, fed by [`Telemetry::take`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Telemetry {
    /// Metric id to its data, ordered by time.
    pub metrics: BTreeMap<String, Vec<Datum>>,
    /// Guardrail id to its verdict just now.
    pub verdicts: BTreeMap<String, Verdict>,
    /// Check id and target to its newest runs, oldest first.
    pub checks: Vec<(String, Vec<CheckSample>)>,
    /// Newest probe of each record and resolver.
    pub probes: Vec<ProbeSample>,
    /// Step id to what its attempt is doing: text and fraction.
    pub progress: BTreeMap<String, (String, Option<f32>)>,
    /// Step id to the newest lines of output, oldest first.
    pub output: BTreeMap<String, Vec<String>>,
    /// The Heroku app as last read.
    #[serde(default)]
    pub heroku: Option<HerokuSample>,
    /// GetMetricData calls and metrics asked for.
    pub spent: (u64, u64),
    /// Source or step id to when it is tried again, as told last; it may be over.
    #[serde(default)]
    pub next_tries: BTreeMap<String, Timestamp>,
    /// Why the journal cannot be written.
    pub journal_trouble: Option<String>,
    /// Connections and the step that each one's person looks at. No map: JSON's keys are text.
    #[serde(default)]
    pub looking: Vec<(u64, StepId)>,
}

/// How many data a metric keeps: four hours of minutes.
const METRIC_LENGTH: usize = 240;
/// How many runs a check and target keeps.
const CHECK_LENGTH: usize = 60;
/// How many lines of output a step keeps.
const OUTPUT_LENGTH: usize = 200;

impl Telemetry {
    /// Takes a sample in, dropping the oldest where a ring is full.
    pub fn take(&mut self, sample: Sample) {
        match sample {
            Sample::Metric { metric, data } => merge(self.metrics.entry(metric).or_default(), &data),
            Sample::Verdict { guardrail, verdict } => {
                self.verdicts.insert(guardrail, verdict);
            }
            Sample::Check(check) => self.take_check(check),
            Sample::Probe(probe) => self.take_probe(probe),
            Sample::Progress { step, text, fraction } => {
                self.progress.insert(step.0, (text, fraction));
            }
            Sample::Output { step, line, .. } => {
                let lines = self.output.entry(step.0).or_default();
                lines.push(line);
                trim(lines, OUTPUT_LENGTH);
            }
            Sample::Heroku(heroku) => self.heroku = Some(heroku),
            Sample::Spent { calls, metrics } => self.spent = (calls, metrics),
            Sample::NextTry { of, at } => {
                self.next_tries.insert(of, at);
            }
            Sample::JournalTrouble { reason } => self.journal_trouble = reason,
        }
    }

    /// The newest runs of a check on a target, oldest first.
    pub fn check_runs(&self, check: &str, target: crate::run::Target) -> impl DoubleEndedIterator<Item = &CheckSample> {
        let runs = self.checks.iter().find(|(id, _)| id == check).map_or(&[][..], |(_, runs)| runs);
        runs.iter().filter(move |run| run.target == target)
    }

    /// The step that somebody looks at; None: not told.
    #[must_use]
    pub fn looks_at(&self, conn: u64) -> Option<&StepId> {
        self.looking.iter().find(|(theirs, _)| *theirs == conn).map(|(_, step)| step)
    }

    /// Somebody looks at another step, or (None) is gone.
    pub fn look(&mut self, conn: u64, step: Option<StepId>) {
        self.looking.retain(|(theirs, _)| *theirs != conn);
        self.looking.extend(step.map(|step| (conn, step)));
    }

    /// The newest probe of a resolver for a record.
    #[must_use]
    pub fn probe(&self, record: &str, resolver: &str) -> Option<&ProbeSample> {
        self.probes.iter().find(|probe| probe.record == record && probe.resolver == resolver)
    }

    fn take_check(&mut self, sample: CheckSample) {
        let index = self.checks.iter().position(|(id, _)| *id == sample.check).unwrap_or_else(|| {
            self.checks.push((sample.check.clone(), Vec::new()));
            self.checks.len() - 1
        });
        let runs = &mut self.checks[index].1;
        runs.push(sample);
        trim(runs, CHECK_LENGTH * 3);
    }

    fn take_probe(&mut self, sample: ProbeSample) {
        let known = self.probes.iter_mut().find(|p| p.record == sample.record && p.resolver == sample.resolver);
        match known {
            Some(probe) => *probe = sample,
            None => self.probes.push(sample),
        }
    }
}

/// Merges new data into a series: a datum of a known instant replaces the old one.
fn merge(series: &mut Vec<Datum>, data: &[Datum]) {
    for datum in data {
        match series.binary_search_by(|known| known.at.cmp(&datum.at)) {
            Ok(index) => series[index] = *datum,
            Err(index) => series.insert(index, *datum),
        }
    }
    trim(series, METRIC_LENGTH);
}

fn trim<T>(ring: &mut Vec<T>, length: usize) {
    let excess = ring.len().saturating_sub(length);
    ring.drain(..excess);
}
