//! Clients of what is outside. There is one implementation of each, the real one: rehearsals and tests change what it
//! talks to, never what it is.
//!
//! | file | what it talks to |
//! |---|---|
//! | `aws` | region, credentials, endpoint, time-outs; reads are retried, mutations are sent once |
//! | [`route53`], [`ecs`] and [`tasks`], [`rds`], [`cloudwatch`], [`logs`], [`iam`], [`secrets`], [`sqs`], [`elb`] | the AWS services |
//! | [`heroku`] | the Heroku Platform API |
//! | [`dns`] | name servers, one question at a time |
//! | [`http`] | the two sides, as a customer sees them |
//! | [`postgres`] | both databases |
//! | [`command`] | programs of the operator |
//! | `told_to_wait` | `Retry-After`, whoever says it |
//! | `error`, `clean` | what went wrong, in the words of a run; text from outside, made fit for a terminal |

mod aws;
mod clean;
pub mod cloudwatch;
pub mod command;
pub mod dns;
pub mod ecs;
pub mod elb;
mod error;
pub mod heroku;
pub mod http;
pub mod iam;
pub mod logs;
pub mod postgres;
pub mod rds;
pub mod route53;
pub mod secrets;
pub mod sqs;
pub mod tasks;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod told_to_wait;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use reqwest::Url;

pub use aws::{Aws, Caller};
pub use clean::{MAX_REASON, clean, clean_to};
pub use error::{Failure, trouble};
pub(crate) use told_to_wait::told_to_wait;

use self::{
    cloudwatch::CloudWatch, command::Environment, ecs::Ecs, elb::Elb, heroku::Heroku, http::Checker, logs::Logs,
    postgres::Postgres, rds::Rds, route53::Route53, sqs::Sqs,
};
use crate::{
    clock::Clock,
    plan::{EnvironmentKind, Plan},
    run::{Trouble, TroubleKind},
};

/// Why the clients of a plan cannot be made. Nothing was called yet.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A sandbox must not leave this machine.
    #[error("failed to use {0:?} for a sandbox: it is not a URL on loopback")]
    NotLoopback(String),
    /// A key must not travel in the clear.
    #[error("failed to use {0:?} for the Heroku API: it must be https, or on loopback")]
    InTheClear(String),
    /// The HTTP client could not be made.
    #[error("failed to make an HTTP client")]
    Client(#[source] reqwest::Error),
}

/// Everything outside, for one plan. A clone is another handle to the same clients.
#[derive(Debug, Clone)]
pub struct World(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    aws: Aws,
    route53: Route53,
    ecs: Ecs,
    rds: Rds,
    cloudwatch: CloudWatch,
    logs: Logs,
    elb: Elb,
    sqs: Sqs,
    heroku: Option<Heroku>,
    postgres: Option<Postgres>,
    checker: Checker,
    environment: Environment,
    resolver: Option<SocketAddr>,
    authority: Vec<SocketAddr>,
}

impl World {
    /// Makes the clients of a plan. Looks for credentials as every AWS tool does, but calls nothing yet.
    ///
    /// # Errors
    /// A sandbox's endpoint is not on loopback, or a client cannot be made.
    pub async fn connect(plan: &Plan, clock: Clock) -> Result<Self, ConnectError> {
        let aws = Aws::connect(plan).await?;
        let heroku = plan.heroku.as_ref().map(|heroku| Heroku::connect(heroku, sandboxed(plan), clock)).transpose()?;
        let postgres = plan.databases.as_ref().map(|databases| Postgres::new(plan, databases)).transpose()?;
        Ok(Self(Arc::new(Inner {
            clock,
            route53: Route53::new(&aws, clock),
            ecs: Ecs::new(&aws),
            rds: Rds::new(&aws),
            cloudwatch: CloudWatch::new(&aws),
            logs: Logs::new(&aws),
            elb: Elb::new(&aws),
            sqs: Sqs::new(&aws),
            heroku,
            postgres,
            checker: Checker::new(plan, clock),
            environment: Environment::of(plan),
            resolver: plan.dns.resolvers.first().map(|resolver| resolver.address),
            authority: plan.dns.authority.clone(),
            aws,
        })))
    }

    /// Session time.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.0.clock
    }

    /// Credentials and account.
    #[must_use]
    pub fn aws(&self) -> &Aws {
        &self.0.aws
    }

    /// Hosted zones.
    #[must_use]
    pub fn route53(&self) -> &Route53 {
        &self.0.route53
    }

    /// Services and their tasks.
    #[must_use]
    pub fn ecs(&self) -> &Ecs {
        &self.0.ecs
    }

    /// Database instances.
    #[must_use]
    pub fn rds(&self) -> &Rds {
        &self.0.rds
    }

    /// Metrics.
    #[must_use]
    pub fn cloudwatch(&self) -> &CloudWatch {
        &self.0.cloudwatch
    }

    /// Lines of tasks.
    #[must_use]
    pub fn logs(&self) -> &Logs {
        &self.0.logs
    }

    /// Load balancers.
    #[must_use]
    pub fn elb(&self) -> &Elb {
        &self.0.elb
    }

    /// Queues.
    #[must_use]
    pub fn sqs(&self) -> &Sqs {
        &self.0.sqs
    }

    /// The Heroku app.
    ///
    /// # Errors
    /// The plan has none.
    pub fn heroku(&self) -> Result<&Heroku, Trouble> {
        let none = || trouble("heroku", TroubleKind::Unexpected, "the plan names no Heroku app");
        self.0.heroku.as_ref().ok_or_else(none)
    }

    /// Both databases.
    ///
    /// # Errors
    /// The plan has none.
    pub fn postgres(&self) -> Result<&Postgres, Trouble> {
        let none = || trouble("postgres", TroubleKind::Unexpected, "the plan names no databases");
        self.0.postgres.as_ref().ok_or_else(none)
    }

    /// Synthetic checks.
    #[must_use]
    pub fn checker(&self) -> &Checker {
        &self.0.checker
    }

    /// What the operator's commands find in their environment.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.0.environment
    }

    /// The authoritative servers of a zone: the plan's, else looked up through its first resolver.
    ///
    /// # Errors
    /// The plan names neither, or the look-up failed.
    pub async fn authority(&self, zone: &str) -> Result<Vec<SocketAddr>, Trouble> {
        if !self.0.authority.is_empty() {
            return Ok(self.0.authority.clone());
        }
        let call = format!("dns:NS {zone}");
        let none = "the plan names no resolver and no authoritative server";
        let resolver = self.0.resolver.ok_or_else(|| trouble(&call, TroubleKind::Unexpected, none))?;
        let found = dns::authoritative_servers(resolver, zone).await;
        found.map_err(|error| trouble(&call, TroubleKind::Unreachable, &error.to_string()))
    }
}

fn sandboxed(plan: &Plan) -> bool {
    plan.environment.kind == EnvironmentKind::Sandbox
}

/// The URL, if it leads to this machine. The last line of defence: the plan's rules ask for it, too.
fn loopback(url: Option<&str>) -> Result<&str, ConnectError> {
    let text = url.unwrap_or_default();
    let local = Url::parse(text).is_ok_and(|url| is_loopback(&url));
    local.then_some(text).ok_or_else(|| ConnectError::NotLoopback(text.to_owned()))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Data behind these locks is replaced whole, so a panic elsewhere cannot have left it half written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
