//! The validated plan: what every other room may rely on.
//!
//! A [`Plan`] is only made by [`crate::plan::load`]; whoever holds one holds a plan whose references resolve, whose
//! record batches Route 53 would take in both directions, and whose gates are at least as high as their steps demand.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    database::Databases,
    kind::Kind,
    metric::{Guardrail, Metric},
    people::{Access, Notify},
    preflight::Preflight,
    record::Record,
};

/// A step's id as written in the plan, unique in it (lower-case letters, digits and dashes).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub String);

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for StepId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

/// One whole cutover for one environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Short name of the plan (a slug): part of paths and of the lock.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Where it acts.
    pub environment: Environment,
    /// How long the maintenance window is, from the start of the session. None: no window was given.
    pub window: Option<Duration>,
    /// Which AWS account and region.
    pub aws: Aws,
    /// Which Heroku app; None when no step, watch or runner needs it.
    pub heroku: Option<Heroku>,
    /// Both databases; None when no step, watch or runner needs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub databases: Option<Databases>,
    /// The resolvers to watch and the authoritative servers.
    pub dns: Dns,
    /// What a preflight cannot know by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preflight: Option<Preflight>,
    /// The two sides.
    pub sides: Sides,
    /// Record sets that move.
    pub records: Vec<Record>,
    /// Synthetic HTTP checks.
    pub checks: Vec<Check>,
    /// CloudWatch metrics.
    pub metrics: Vec<Metric>,
    /// Thresholds and what they do.
    pub guardrails: Vec<Guardrail>,
    /// What runs where: rows of the interlock matrix.
    pub runners: Vec<Runner>,
    /// Metric ids of the two-sided traffic bar.
    pub traffic: Option<Traffic>,
    /// Which other users of the machine may attach; None: none but root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// Who is told what happens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<Notify>,
    /// The steps in the order of the plan; `needs` only points backwards.
    pub steps: Vec<Step>,
}

impl Plan {
    /// SHA-256 over the canonical JSON of the validated plan, in lower-case hex. Consent is bound to it.
    #[must_use]
    pub fn hash(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        hex::encode(Sha256::digest(&json))
    }

    /// The step with this id.
    #[must_use]
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == *id)
    }

    /// Position of the step in the plan, from 0.
    #[must_use]
    pub fn position(&self, id: &StepId) -> Option<usize> {
        self.steps.iter().position(|step| step.id == *id)
    }

    /// The record with this id.
    #[must_use]
    pub fn record(&self, id: &str) -> Option<&Record> {
        self.records.iter().find(|record| record.id == id)
    }
}

/// The environment a plan was loaded for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Name of the overlay (`production`, `staging`, `sandbox`, or another).
    pub name: String,
    /// What kind of place it is.
    pub kind: EnvironmentKind,
}

/// What kind of place an environment is. Only a sandbox may be driven without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EnvironmentKind {
    /// The real thing.
    Production,
    /// A real world that customers do not see.
    Staging,
    /// The embedded world on loopback.
    Sandbox,
}

/// AWS settings; credentials come the way every AWS tool takes them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aws {
    /// Region, e.g. `us-east-1`.
    pub region: String,
    /// Named profile; None: the default chain.
    pub profile: Option<String>,
    /// Twelve-digit account that the credentials must belong to.
    pub account: Option<String>,
    /// Endpoint of every AWS service (sandbox and peers); None: AWS's own, or `AWS_ENDPOINT_URL_*`.
    pub endpoint: Option<String>,
}

/// Heroku settings; the key comes from `HEROKU_API_KEY` or `~/.netrc`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heroku {
    /// App name or id.
    pub app: String,
    /// Base URL of the Platform API; None: `https://api.heroku.com`.
    pub api: Option<String>,
}

/// Whom to ask about names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// Recursive resolvers of the panel.
    pub resolvers: Vec<Resolver>,
    /// Authoritative servers; empty: looked up from the zone's NS records through the first resolver.
    pub authority: Vec<SocketAddr>,
}

/// A recursive resolver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolver {
    /// How it is shown (`1.1.1.1`, `office`).
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Old or new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Heroku.
    Old,
    /// AWS.
    New,
}

/// The two sides and how to reach each directly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sides {
    /// Heroku.
    pub old: SideInfo,
    /// AWS.
    pub new: SideInfo,
}

impl Sides {
    /// The info of one side.
    #[must_use]
    pub const fn get(&self, side: Side) -> &SideInfo {
        match side {
            Side::Old => &self.old,
            Side::New => &self.new,
        }
    }
}

/// One side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideInfo {
    /// How it is shown (`Heroku`, `AWS`).
    pub label: String,
    /// Host name or IP address that checks connect to for this side alone; the URL keeps its Host and SNI.
    pub address: String,
}

/// A synthetic HTTP check; it is run against the live name and against each side directly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Unique id.
    pub id: String,
    /// What people call it.
    pub title: String,
    /// Absolute `http` or `https` URL.
    pub url: String,
    /// HTTP statuses that pass.
    pub status: Vec<u16>,
    /// Text that the body must contain.
    pub contains: Option<String>,
    /// JSON pointer (RFC 6901) and the value that must stand there.
    pub json: Option<JsonAssertion>,
    /// Slower than this fails.
    pub max_latency: Option<Duration>,
    /// The certificate must last at least this long.
    pub min_certificate: Option<Duration>,
    /// How often it runs, session time.
    pub every: Duration,
    /// Limit of one request.
    pub timeout: Duration,
    /// Trust anchors (PEM) instead of the platform's; None: the platform's.
    pub ca_file: Option<PathBuf>,
}

impl Check {
    /// The host of its URL, with the port where it names one: who shows a certificate.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        authority.rsplit('@').next().unwrap_or(authority)
    }
}

/// What a JSON body must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JsonAssertion {
    /// JSON pointer (RFC 6901), e.g. `/status`.
    pub pointer: String,
    /// The value that must stand there.
    pub equals: serde_json::Value,
}

/// What must run once: a column of the interlock matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Answers requests; both sides may.
    Web,
    /// Drains queues; one side.
    Worker,
    /// Fires schedules; one side.
    Cron,
    /// May write the database; one side.
    Writer,
}

impl Role {
    /// All roles in the order of the matrix.
    pub const ALL: [Self; 4] = [Self::Web, Self::Worker, Self::Cron, Self::Writer];

    /// Whether two running at once is a violation.
    #[must_use]
    pub const fn exclusive(self) -> bool {
        !matches!(self, Self::Web)
    }
}

/// Where one role runs on one side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    /// The column.
    pub role: Role,
    /// The row.
    pub side: Side,
    /// How it is observed.
    pub source: RunnerSource,
}

/// How a runner is observed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunnerSource {
    /// A process type of the Heroku app: on when its quantity is above 0 (and, for web, maintenance is off).
    Heroku {
        /// e.g. `worker`.
        process: String,
    },
    /// An ECS service: on when its running or desired count is above 0.
    Ecs {
        /// Cluster name.
        cluster: String,
        /// Service name.
        service: String,
    },
    /// The application's roles in a database: on while one of them may write (see `world::postgres`).
    Postgres {
        /// Which database.
        database: Side,
    },
}

/// Metric ids of requests per second at each side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// At the old side.
    pub old: String,
    /// At the new side.
    pub new: String,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Unique id.
    pub id: StepId,
    /// What people call it.
    pub title: String,
    /// A line or two from the runbook: why, and what to look at.
    pub note: Option<String>,
    /// What it does.
    pub kind: Kind,
    /// Steps that must be done or skipped first (defaults to the one before).
    pub needs: Vec<StepId>,
    /// Its gate, at least as high as its class demands.
    pub gate: GateLevel,
    /// Planned duration, without the time that people take.
    pub expected: Duration,
    /// An attempt longer than this is stopped and observed.
    pub timeout: Duration,
    /// After this step there is no way back to the old side.
    pub point_of_no_return: bool,
    /// Roles that may run nowhere after this step, because the plan says so.
    pub allow_none: Vec<Role>,
    /// Guardrails and checks must hold before it may be armed.
    pub demands_green: bool,
}

/// How much harm an act can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Changes nothing.
    ReadOnly,
    /// Changes something that can be put back without anybody noticing.
    Reversible,
    /// Customers would notice.
    Destructive,
}

impl Class {
    /// The lowest gate that this class allows.
    #[must_use]
    pub const fn lowest_gate(self) -> GateLevel {
        match self {
            Self::ReadOnly => GateLevel::Start,
            Self::Reversible => GateLevel::Confirm,
            Self::Destructive => GateLevel::Type,
        }
    }
}

/// What a person must do before an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateLevel {
    /// Enter.
    Start,
    /// Arm, then a second distinct key.
    Confirm,
    /// Arm, then type what the act does ([`crate::run::typed_words`]).
    Type,
    /// Typed by the driver and confirmed by a second person with another login.
    Two,
}
