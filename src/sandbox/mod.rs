//! The embedded world for rehearsals: speaks the real wire protocols on loopback and knows nothing of the cockpit.
//!
//! ```text
//! users -> resolvers -> authority <- zone <- Route 53            scenario: faults in time or on an event
//!   |                                                                 |
//!   '-> load on the old or the new side -> model -> metrics <- CloudWatch
//!            |                               |
//!        Heroku, ECS (what runs)         origins (latency, errors as anyone sees them)
//!            '-> rows on the old or the new database; the old one replicates to the new one
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | [`zone`], [`dns`] | record sets in two views; the authoritative server and the resolvers |
//! | `aws/`, `heroku` | the services' APIs |
//! | `traffic`, `model`, `metrics`, `world` | users, load, what is recorded of it, the heartbeat |
//! | `origin`, `tls` | the app on both sides, over HTTP and HTTPS |
//! | `postgres/` | both databases, replication, and a front that speaks PostgreSQL |
//! | [`scenario`], [`faults`] | what the world is like and what goes wrong in it |
//! | [`ledger`], `control` | what really took effect, for tests and people |
//!
//! Everything runs in session time: a scaled clock makes DNS, deployments and metrics as much faster.

mod aws;
mod control;
pub mod dns;
pub mod faults;
mod heroku;
mod http;
pub mod ledger;
mod metrics;
mod model;
mod origin;
mod postgres;
pub mod scenario;
mod start;
mod tls;
mod traffic;
mod world;
pub mod zone;

#[cfg(test)]
mod tests;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::start::{Sandbox, start};
use self::{dns::Habit, scenario::Scenario};
use crate::clock::Clock;

/// The hosted zone of `example.test.`.
pub const HOSTED_ZONE: &str = "Z0SANDBOX00000000001";
/// The load balancer of the new side, as CloudWatch names it.
pub const LOAD_BALANCER: &str = "app/acme-shop/50dc6c495c0c9188";
/// The load balancer's DNS name; an alias to it takes the hosted zone `Z35SXDOTRQ7X7K`.
pub const LOAD_BALANCER_NAME: &str = "alb-1.us-east-1.elb.amazonaws.com";

/// How to start a sandbox.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// Session time. Whoever rehearses in another process joins with [`Endpoints::clock`].
    pub clock: Clock,
    /// What the world is like.
    pub scenario: Scenario,
    /// Where the CA certificate is written; without it, into a directory of its own below the system's temporary one.
    pub state_dir: Option<PathBuf>,
    /// Where to listen.
    pub ports: Ports,
}

/// TCP and UDP ports; 0 takes a free one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ports {
    /// All AWS services, on 127.0.0.1.
    pub aws: u16,
    /// The Heroku Platform API, on 127.0.0.1.
    pub heroku: u16,
    /// The control port, on 127.0.0.1.
    pub control: u16,
    /// The authoritative server and every resolver, each on an address of its own.
    pub dns: u16,
    /// Plain HTTP of both origins.
    pub http: u16,
    /// HTTPS of both origins.
    pub https: u16,
    /// PostgreSQL of both databases.
    pub postgres: u16,
}

/// Where everything listens. Save it as JSON to hand it to another process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Endpoints {
    /// URL of Route 53.
    pub aws_route53: String,
    /// URL of CloudWatch.
    pub aws_cloudwatch: String,
    /// URL of ECS.
    pub aws_ecs: String,
    /// URL of RDS.
    pub aws_rds: String,
    /// URL of STS.
    pub aws_sts: String,
    /// URL of the Heroku Platform API.
    pub heroku: String,
    /// URL of the control port: `GET /sandbox/ledger`, `/sandbox/state`, `/sandbox/endpoints`; `POST /sandbox/fault`.
    pub control: String,
    /// The authoritative name server, UDP and TCP.
    pub authority: SocketAddr,
    /// The resolvers, UDP and TCP.
    pub resolvers: Vec<ResolverEndpoint>,
    /// Heroku's router.
    pub old_origin: OriginEndpoint,
    /// The load balancer. Its ports equal those of the old origin: only the address differs, as in reality.
    pub new_origin: OriginEndpoint,
    /// Heroku Postgres.
    pub old_database: DatabaseEndpoint,
    /// RDS. Its port equals that of the old database.
    pub new_database: DatabaseEndpoint,
    /// The certificate authority that signed the origins' certificates, PEM.
    pub ca_pem_path: PathBuf,
    /// Wall-clock instant at which session time and wall time were equal.
    pub clock_epoch: Timestamp,
    /// Session seconds per wall second.
    pub clock_speed: f64,
}

impl Endpoints {
    /// The sandbox's clock, for another process to share.
    #[must_use]
    pub const fn clock(&self) -> Clock {
        Clock::scaled_from(self.clock_epoch, self.clock_speed)
    }
}

/// One resolver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolverEndpoint {
    /// Unique.
    pub name: String,
    /// UDP and TCP.
    pub addr: SocketAddr,
    /// How it behaves.
    pub habit: Habit,
}

/// One origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginEndpoint {
    /// Plain HTTP.
    pub http: SocketAddr,
    /// HTTPS.
    pub https: SocketAddr,
}

/// One database, over PostgreSQL's protocol. Nobody is asked for a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseEndpoint {
    /// Address and port.
    pub address: SocketAddr,
    /// The database's name.
    pub database: String,
    /// The role of the operator's tools.
    pub user: String,
}

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// No built-in scenario has this name.
    #[error("there is no scenario named {name:?} (known: {known}; or give a path that ends in .toml)")]
    UnknownScenario {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The scenario file cannot be read.
    #[error("failed to read the scenario {}", path.display())]
    ReadScenario {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The scenario's text is wrong.
    #[error("failed to understand the scenario {origin}")]
    ParseScenario {
        /// The file or the built-in name.
        origin: String,
        /// Where and why.
        #[source]
        source: toml::de::Error,
    },
    /// An address cannot be had.
    #[error("failed to listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The name servers did not start.
    #[error("failed to start the name servers")]
    Dns(#[source] dns::DnsStartError),
    /// A certificate could not be made.
    #[error("failed to make the origins' certificates")]
    Certificate(#[source] rcgen::Error),
    /// TLS could not be set up.
    #[error("failed to set up TLS for the origins")]
    Tls(#[source] rustls::Error),
    /// The CA certificate could not be written.
    #[error("failed to write the CA certificate {}", path.display())]
    WriteCa {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Locks a mutex whose data is whole after every statement, so that a panic elsewhere does not poison the world.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
