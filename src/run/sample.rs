//! The second, lossy stream: what watches measure between verdicts. Never journaled, kept in rings for the graphs.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    event::{Answer, Target},
    guardrail::{Datum, Verdict},
};
use crate::plan::StepId;

/// One measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "sample", rename_all = "kebab-case")]
pub enum Sample {
    /// New data of a metric, ordered by time; a datum may replace an earlier one of the same instant.
    Metric {
        /// Metric id.
        metric: String,
        /// The data.
        data: Vec<Datum>,
    },
    /// A guardrail as it was judged just now.
    Verdict {
        /// Guardrail id.
        guardrail: String,
        /// The verdict.
        verdict: Verdict,
    },
    /// One run of a check on one target.
    Check(CheckSample),
    /// One probe of one resolver.
    Probe(ProbeSample),
    /// How far an attempt has come.
    Progress {
        /// The step.
        step: StepId,
        /// What it is doing.
        text: String,
        /// 0 to 1; None: cannot be told.
        fraction: Option<f32>,
    },
    /// A line of output of an attempt, cleaned of control characters.
    Output {
        /// The step.
        step: StepId,
        /// Attempt number.
        attempt: u32,
        /// The line.
        line: String,
    },
    /// The Heroku app as it was just read.
    Heroku(HerokuSample),
    /// How many GetMetricData calls were made so far, and metrics asked for (billed a metric).
    Spent {
        /// Calls.
        calls: u64,
        /// Metrics.
        metrics: u64,
    },
    /// A source, or the exact change of a step, that cannot be read is tried again.
    NextTry {
        /// Name of the source, or id of the step.
        of: String,
        /// When, session time.
        at: Timestamp,
    },
    /// The engine cannot write its journal: nothing acts until it can. None: all is well again.
    JournalTrouble {
        /// Why.
        reason: Option<String>,
    },
}

impl Sample {
    /// It was measured by a watch: one of many of its kind, which nobody waits for. The others tell what is under way.
    #[must_use]
    pub const fn is_measured(&self) -> bool {
        !matches!(self, Self::Progress { .. } | Self::Output { .. } | Self::JournalTrouble { .. })
    }
}

/// What the Platform API shows of the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HerokuSample {
    /// When it was read, session time.
    pub at: Timestamp,
    /// Process type, quantity, size, by process type; a size is empty where Heroku names none.
    pub formation: Vec<(String, u32, String)>,
    /// Maintenance mode is on.
    pub maintenance: bool,
    /// The newest release: version and what made it.
    pub release: Option<(u32, String)>,
    /// Calls left in the rate limit of the account (4,500, 75 more each minute).
    pub remaining: Option<u32>,
}

/// One run of a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckSample {
    /// Check id.
    pub check: String,
    /// Where it was asked.
    pub target: Target,
    /// When it ended, session time.
    pub at: Timestamp,
    /// It passed.
    pub passing: bool,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// Time to the end of the body, wall time.
    pub latency: Duration,
    /// Why it did not pass.
    pub reason: Option<String>,
    /// When the certificate expires.
    pub certificate_until: Option<Timestamp>,
    /// Which side answered a live check, told by the address that was connected to.
    pub served_by: Option<crate::plan::Side>,
    /// How long the server wants to be left alone, wall time; only of one that refused because of too many requests or
    /// an overload (429, 503).
    #[serde(default)]
    pub wait: Option<Duration>,
}

/// One probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeSample {
    /// Record id.
    pub record: String,
    /// Resolver name, or [`super::AUTHORITY`].
    pub resolver: String,
    /// When it was answered, session time.
    pub at: Timestamp,
    /// The kind of the answer.
    pub answer: Answer,
    /// What it says (last name or address of the chain), cleaned.
    pub target: String,
    /// Remaining TTL of the moving record, seconds.
    pub ttl: Option<u32>,
    /// Longest remaining TTL of the chain, seconds.
    pub chain_ttl: Option<u32>,
    /// Every hop of the chain: `name kind ttl value`.
    pub chain: Vec<String>,
    /// Response code, e.g. `NOERROR`.
    pub rcode: String,
    /// The authoritative-answer flag was set.
    pub authoritative: bool,
    /// How long it took, wall time.
    pub elapsed: Duration,
}
