//! Faults: what goes wrong, when, and whether it does so now.

use std::{sync::Mutex, time::Duration};

use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    lock,
    scenario::{duration, optional_duration},
};

/// One of the two sides of a cutover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Heroku.
    Old,
    /// AWS.
    New,
}

impl Side {
    /// Both, old first.
    pub const BOTH: [Self; 2] = [Self::Old, Self::New];
}

/// What may set off a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Trigger {
    /// Route 53 accepted a change of any kind.
    #[serde(rename = "route53.change")]
    Route53Change,
    /// Route 53 accepted a change of where a name points (not of its TTL alone).
    #[serde(rename = "route53.switch")]
    Route53Switch,
    /// A change became INSYNC.
    #[serde(rename = "route53.insync")]
    Route53Insync,
    /// Maintenance mode was switched on or off.
    #[serde(rename = "heroku.maintenance")]
    HerokuMaintenance,
    /// Dynos were scaled.
    #[serde(rename = "heroku.formation")]
    HerokuFormation,
    /// A service's desired count changed.
    #[serde(rename = "ecs.update")]
    EcsUpdate,
    /// Who may do what in a database changed, a sequence was set, or a session was terminated.
    #[serde(rename = "postgres.access")]
    PostgresAccess,
    /// An instance began to be made of a snapshot.
    #[serde(rename = "rds.restore")]
    RdsRestore,
}

/// One fault of a scenario: begins `at` a time after the start or `after` an event, and lasts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "RawFault")]
pub struct FaultSpec {
    /// Session time after the start.
    pub at: Option<Duration>,
    /// The event that sets it off, the first time that it happens.
    pub on: Option<Trigger>,
    /// Session time from the event to the beginning.
    pub after: Option<Duration>,
    /// How long it lasts in session time; without it, to the end.
    pub lasts: Option<Duration>,
    /// How many requests it hits at most.
    pub times: Option<u32>,
    /// What it does.
    pub kind: FaultKind,
}

/// A fault as it is written. Serde cannot refuse unknown fields beside flattened ones, so what belongs to the kind is
/// taken as it comes and read on its own.
#[derive(Deserialize)]
struct RawFault {
    #[serde(default, deserialize_with = "optional_duration")]
    at: Option<Duration>,
    on: Option<Trigger>,
    #[serde(default, deserialize_with = "optional_duration")]
    after: Option<Duration>,
    #[serde(default, rename = "for", deserialize_with = "optional_duration")]
    lasts: Option<Duration>,
    times: Option<u32>,
    #[serde(flatten)]
    kind: serde_json::Map<String, serde_json::Value>,
}

impl TryFrom<RawFault> for FaultSpec {
    type Error = String;

    fn try_from(raw: RawFault) -> Result<Self, String> {
        let kind = FaultKind::deserialize(serde_json::Value::Object(raw.kind)).map_err(|error| error.to_string())?;
        kind.check()?;
        if raw.at.is_some() && raw.on.is_some() {
            return Err("a fault has either `at` or `on`, not both (`after` delays it after `on`)".to_owned());
        }
        if raw.after.is_some() && raw.on.is_none() {
            return Err("`after` needs `on`: the event that it counts from".to_owned());
        }
        let RawFault { at, on, after, lasts, times, .. } = raw;
        Ok(Self { at, on, after, lasts, times, kind })
    }
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FaultKind {
    /// A side answers a share (0 to 1) of its requests with 500.
    HttpErrors {
        /// Which side.
        side: Side,
        /// 0 to 1.
        rate: f64,
    },
    /// A side is slower by a factor.
    Latency {
        /// Which side.
        side: Side,
        /// 1 is normal.
        factor: f64,
    },
    /// A side's metrics are not recorded while it lasts.
    MetricsGap {
        /// Which side; both without it.
        side: Option<Side>,
    },
    /// Changes take this long until INSYNC.
    SlowChange {
        /// Session time.
        #[serde(deserialize_with = "duration")]
        insync: Duration,
    },
    /// A service refuses a share of the requests as too many.
    Throttle {
        /// One of [`SERVICES`].
        service: String,
        /// Only this operation; all without it.
        operation: Option<String>,
        /// 0 to 1.
        share: f64,
        /// How long it wants to be left alone (`Retry-After`), session time; only Heroku's API and the two origins say so.
        #[serde(default, deserialize_with = "optional_duration")]
        retry_after: Option<Duration>,
    },
    /// A service answers with an error and does nothing.
    Error {
        /// As above.
        service: String,
        /// Only this operation; all without it.
        operation: Option<String>,
        /// The HTTP status.
        status: u16,
        /// The service's error code.
        code: String,
    },
    /// A service closes the connection and does nothing.
    Close {
        /// As above.
        service: String,
        /// Only this operation; all without it.
        operation: Option<String>,
    },
    /// A service does what was asked and then closes the connection without an answer.
    LoseAnswer {
        /// As above.
        service: String,
        /// Only this operation; all without it.
        operation: Option<String>,
    },
    /// One-off tasks that are started while it lasts end with this exit code.
    TaskFails {
        /// 1 to 255.
        code: u8,
    },
    /// Deployments that begin while it lasts do not come up.
    RolloutFails,
    /// What is restored of a snapshot ends in `restore-error`.
    RestoreFails,
    /// A switchover is put back, for this reason.
    SwitchoverFails {
        /// What RDS says about it.
        reason: String,
    },
    /// Every AWS service finds the credentials expired.
    ExpiredCredentials,
    /// Replication stops: the new database's apply worker fails at every attempt.
    ReplicationStall,
    /// Another role than the app's goes on writing to the old database.
    LeakyFreeze,
}

/// The services that faults can name.
const SERVICES: &[&str] = &[
    "route53",
    "cloudwatch",
    "ecs",
    "elasticloadbalancing",
    "logs",
    "rds",
    "sqs",
    "sts",
    "heroku",
    "postgres",
    "web.old",
    "web.new",
];

/// Those of them that AWS credentials do not matter to.
const NOT_AWS: &[&str] = &["heroku", "postgres", "web.old", "web.new"];

impl FaultKind {
    fn check(&self) -> Result<(), String> {
        match self {
            Self::HttpErrors { rate: share, .. } | Self::Throttle { share, .. } if !(0.0..=1.0).contains(share) => {
                Err(format!("{share} is not a share between 0 and 1"))
            }
            Self::Latency { factor, .. } if !(0.0..=1000.0).contains(factor) => {
                Err(format!("{factor} is not a factor between 0 and 1000"))
            }
            Self::Throttle { service, .. }
            | Self::Error { service, .. }
            | Self::Close { service, .. }
            | Self::LoseAnswer { service, .. }
                if !SERVICES.contains(&service.as_str()) =>
            {
                Err(format!("there is no service {service:?} (known: {})", SERVICES.join(", ")))
            }
            _ => Ok(()),
        }
    }
}

/// What a request meets before it is carried out.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Obstacle {
    /// With what it says of how long it wants to be left alone, session time.
    Throttled(Option<Duration>),
    Error {
        status: StatusCode,
        code: String,
    },
    Closed,
    Expired,
}

#[derive(Debug)]
struct Fault {
    spec: FaultSpec,
    begins: Option<Timestamp>,
    hits: u32,
    /// Sheds a share evenly instead of by chance: adds up, hits when it passes one.
    shed: f64,
}

impl Fault {
    fn is_active(&self, now: Timestamp) -> bool {
        let Some(begins) = self.begins else { return false };
        let over = self.spec.lasts.is_some_and(|lasts| now >= later(begins, lasts));
        now >= begins && !over && self.spec.times.is_none_or(|times| self.hits < times)
    }
}

/// All faults of the running scenario.
#[derive(Debug)]
pub(super) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(super) fn new(specs: &[FaultSpec], started: Timestamp) -> Self {
        let fault = |spec: &FaultSpec| Fault {
            begins: spec.on.is_none().then(|| later(started, spec.at.unwrap_or_default())),
            spec: spec.clone(),
            hits: 0,
            shed: 0.0,
        };
        Self(Mutex::new(specs.iter().map(fault).collect()))
    }

    /// Adds a fault while the sandbox runs; one without `on` counts its `at` from now.
    pub(super) fn inject(&self, spec: FaultSpec, now: Timestamp) {
        let begins = spec.on.is_none().then(|| later(now, spec.at.unwrap_or_default()));
        lock(&self.0).push(Fault { spec, begins, hits: 0, shed: 0.0 });
    }

    /// Tells the faults that something happened.
    pub(super) fn fire(&self, trigger: Trigger, now: Timestamp) {
        for fault in lock(&self.0).iter_mut().filter(|fault| fault.begins.is_none() && fault.spec.on == Some(trigger)) {
            fault.begins = Some(later(now, fault.spec.after.unwrap_or_default()));
        }
    }

    /// What a request to `service` meets, if anything.
    pub(super) fn before(&self, service: &str, operation: &str, now: Timestamp) -> Option<Obstacle> {
        let mut faults = lock(&self.0);
        faults.iter_mut().filter(|fault| fault.is_active(now)).find_map(|fault| {
            let obstacle = fault.obstacle(service, operation)?;
            fault.hits += 1;
            Some(obstacle)
        })
    }

    /// Whether the answer to a request that was carried out gets lost.
    pub(super) fn loses_answer(&self, service: &str, operation: &str, now: Timestamp) -> bool {
        let mut faults = lock(&self.0);
        let hit = faults.iter_mut().find(|fault| {
            let FaultKind::LoseAnswer { service: of, operation: only } = &fault.spec.kind else { return false };
            fault.is_active(now) && of == service && matches(only.as_deref(), operation)
        });
        hit.map(|fault| fault.hits += 1).is_some()
    }

    /// The share of a side's requests that fail now, 0 to 1.
    pub(super) fn error_rate(&self, of: Side, now: Timestamp) -> f64 {
        self.sum(now, |kind| match kind {
            FaultKind::HttpErrors { side, rate } if *side == of => Some(*rate),
            _ => None,
        })
        .min(1.0)
    }

    /// How many times slower than normal a side is now.
    pub(super) fn latency_factor(&self, of: Side, now: Timestamp) -> f64 {
        self.sum(now, |kind| match kind {
            FaultKind::Latency { side, factor } if *side == of => Some(*factor - 1.0),
            _ => None,
        }) + 1.0
    }

    /// Whether a side's metrics are lost now.
    pub(super) fn loses_metrics(&self, of: Side, now: Timestamp) -> bool {
        self.sum(now, |kind| match kind {
            FaultKind::MetricsGap { side } if side.is_none_or(|side| side == of) => Some(1.0),
            _ => None,
        }) > 0.0
    }

    /// Whether replication is stopped now.
    pub(super) fn stalls_replication(&self, now: Timestamp) -> bool {
        self.sum(now, |kind| matches!(kind, FaultKind::ReplicationStall).then_some(1.0)) > 0.0
    }

    /// Whether another role writes to the old database now.
    pub(super) fn leaks_writes(&self, now: Timestamp) -> bool {
        self.sum(now, |kind| matches!(kind, FaultKind::LeakyFreeze).then_some(1.0)) > 0.0
    }

    /// How long a change takes now, when a fault says so.
    pub(super) fn slow_change(&self, now: Timestamp) -> Option<Duration> {
        lock(&self.0).iter().filter(|fault| fault.is_active(now)).find_map(|fault| match fault.spec.kind {
            FaultKind::SlowChange { insync } => Some(insync),
            _ => None,
        })
    }

    /// The exit code of a one-off task that is started now, when a fault says so.
    pub(super) fn task_exit(&self, now: Timestamp) -> Option<u8> {
        self.hit(now, |kind| if let FaultKind::TaskFails { code } = kind { Some(*code) } else { None })
    }

    /// Whether a deployment that begins now does not come up.
    pub(super) fn fails_rollout(&self, now: Timestamp) -> bool {
        self.hit(now, |kind| matches!(kind, FaultKind::RolloutFails).then_some(())).is_some()
    }

    /// Whether a restore that begins now will fail.
    pub(super) fn fails_restore(&self, now: Timestamp) -> bool {
        self.hit(now, |kind| matches!(kind, FaultKind::RestoreFails).then_some(())).is_some()
    }

    /// Why a switchover that begins now will be put back.
    pub(super) fn fails_switchover(&self, now: Timestamp) -> Option<String> {
        self.hit(now, |kind| match kind {
            FaultKind::SwitchoverFails { reason } => Some(reason.clone()),
            _ => None,
        })
    }

    /// What the first fault does that concerns this one thing, which counts as a hit.
    fn hit<T>(&self, now: Timestamp, of: impl Fn(&FaultKind) -> Option<T>) -> Option<T> {
        let mut faults = lock(&self.0);
        faults.iter_mut().filter(|fault| fault.is_active(now)).find_map(|fault| {
            let found = of(&fault.spec.kind)?;
            fault.hits += 1;
            Some(found)
        })
    }

    fn sum(&self, now: Timestamp, of: impl Fn(&FaultKind) -> Option<f64>) -> f64 {
        lock(&self.0).iter().filter(|fault| fault.is_active(now)).filter_map(|fault| of(&fault.spec.kind)).sum()
    }
}

impl Fault {
    fn obstacle(&mut self, service: &str, operation: &str) -> Option<Obstacle> {
        match &self.spec.kind {
            FaultKind::Throttle { service: of, operation: only, share, retry_after }
                if of == service && matches(only.as_deref(), operation) =>
            {
                self.shed += share;
                let hit = self.shed >= 1.0;
                self.shed -= f64::from(u8::from(hit));
                hit.then_some(Obstacle::Throttled(*retry_after))
            }
            FaultKind::Error { service: of, operation: only, status, code }
                if of == service && matches(only.as_deref(), operation) =>
            {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Some(Obstacle::Error { status, code: code.clone() })
            }
            FaultKind::Close { service: of, operation: only }
                if of == service && matches(only.as_deref(), operation) =>
            {
                Some(Obstacle::Closed)
            }
            FaultKind::ExpiredCredentials if !NOT_AWS.contains(&service) => Some(Obstacle::Expired),
            _ => None,
        }
    }
}

fn matches(only: Option<&str>, operation: &str) -> bool {
    only.is_none_or(|only| only == operation)
}

/// `start` plus `duration`, without overflow.
pub(super) fn later(start: Timestamp, duration: Duration) -> Timestamp {
    let span = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    start.checked_add(span).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
