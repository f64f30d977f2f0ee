//! Synthetic checks: one request each, as a customer would make it, against the live name or one side alone.
//!
//! Each run opens a connection of its own, so that it sees the DNS and the certificate of this moment. What is costly is
//! kept: one TLS configuration for each set of trust anchors. Many checks of one server share a client for a [`MOMENT`],
//! and with it what one of them has just learnt.

mod judge;
mod names;
mod tls;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use reqwest::{Client, Url, redirect, tls::TlsInfo};
use rustls::{ClientConfig, client::Resumption};

use self::{judge::Answer, names::Names};
use super::{
    clean::clean,
    error, lock,
    told_to_wait::{told_to_wait, words},
};
use crate::{
    clock::{Clock, monotonic, wall_now},
    plan::{Check, Plan, Side, Sides},
    run::{CheckSample, Target},
};

/// What is read of a body.
const MAX_BODY: usize = 1 << 20;
/// Addresses of the sides that are remembered, to tell who served a live answer; and certificates that were read.
const MAX_SEEN: usize = 256;

/// Servers whose sessions one client remembers.
const SERVERS: usize = 64;
/// For how long a looked-up address and a verified certificate are as good as new. Shorter than the pause between two
/// runs of one check, however fast the session runs: what a check sees is never what it saw the last time.
pub const MOMENT: Duration = Duration::from_millis(400);

/// A file of certificates that are trusted; None: what the system trusts.
type Anchors = Option<PathBuf>;

/// Runs checks.
#[derive(Debug)]
pub struct Checker {
    clock: Clock,
    resolver: Option<SocketAddr>,
    sides: Sides,
    trusted: Mutex<HashMap<Anchors, ClientConfig>>,
    /// Each with the moment at which it began.
    clients: Mutex<HashMap<(Anchors, Target), (Instant, Client)>>,
    /// Addresses that served direct runs.
    seen: Mutex<HashMap<IpAddr, Side>>,
    /// What the plan's URLs are, and when the certificates that were shown expire: both are read once.
    urls: Mutex<HashMap<String, Url>>,
    expiries: Mutex<HashMap<Vec<u8>, Option<Timestamp>>>,
}

impl Checker {
    pub(super) fn new(plan: &Plan, clock: Clock) -> Self {
        let literal = |side: Side| Some((plan.sides.get(side).address.parse().ok()?, side));
        Self {
            clock,
            resolver: plan.dns.resolvers.first().map(|resolver| resolver.address),
            sides: plan.sides.clone(),
            trusted: Mutex::default(),
            clients: Mutex::default(),
            seen: Mutex::new([Side::Old, Side::New].into_iter().filter_map(literal).collect()),
            urls: Mutex::default(),
            expiries: Mutex::default(),
        }
    }

    /// Runs a check once. Whatever goes wrong is the reason of a sample that does not pass.
    pub async fn run(&self, check: &Check, target: Target) -> CheckSample {
        let started = monotonic();
        let asked = self.ask(check, target).await;
        let latency = monotonic().duration_since(started);
        let at = self.clock.now();
        let (answer, unanswered) = match asked {
            Ok(answer) => (Some(answer), None),
            Err(reason) => (None, Some(reason)),
        };
        let reason = unanswered.or_else(|| judge::reason(check, answer.as_ref()?, latency, at));
        let wait = answer.as_ref().and_then(|answer| answer.wait).filter(|_| reason.is_some());
        let reason = match (reason, wait) {
            (Some(reason), Some(wait)) => Some(format!("{reason}; {}", words(wait))),
            (reason, _) => reason,
        };
        CheckSample {
            check: check.id.clone(),
            target,
            at,
            passing: reason.is_none(),
            status: answer.as_ref().map(|answer| answer.status),
            latency,
            reason,
            certificate_until: answer.as_ref().and_then(|answer| answer.certificate_until),
            wait,
            served_by: answer.and_then(|answer| self.served_by(answer.address?, target)),
        }
    }

    async fn ask(&self, check: &Check, target: Target) -> Result<Answer, String> {
        let url = self.url(&check.url)?;
        if target != Target::Live && !matches!(url.host(), Some(url::Host::Domain(_))) {
            return Err("the URL names an address: one side alone cannot be asked".to_owned());
        }
        let client = self.client(check.ca_file.as_deref(), target)?;
        let failed = |error: reqwest::Error| transport(check.timeout, &error);
        let mut response = client.get(url).timeout(check.timeout).send().await.map_err(failed)?;
        let certificate = response.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate);
        let mut answer = Answer {
            status: response.status().as_u16(),
            body: Vec::new(),
            certificate_until: certificate.and_then(|der| self.expiry(der)),
            address: response.remote_addr().map(|address| address.ip()),
            wait: told_to_wait(response.headers(), wall_now())
                .filter(|_| matches!(response.status().as_u16(), 429 | 503)),
        };
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            let room = MAX_BODY - answer.body.len();
            answer.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if answer.body.len() == MAX_BODY {
                break;
            }
        }
        Ok(answer)
    }

    /// A client that has learnt nothing before this moment. What is under way keeps the one that it began with, and so
    /// hands nothing on to those that come later.
    fn client(&self, ca_file: Option<&Path>, target: Target) -> Result<Client, String> {
        let (anchors, now) = (ca_file.map(Path::to_path_buf), monotonic());
        let tls = self.trusting(&anchors)?;
        let mut clients = lock(&self.clients);
        match clients.get(&(anchors.clone(), target)) {
            Some((since, client)) if now.duration_since(*since) < MOMENT => Ok(client.clone()),
            _ => {
                let client = self.connect(tls, target)?;
                clients.insert((anchors, target), (now, client.clone()));
                Ok(client)
            }
        }
    }

    fn url(&self, text: &str) -> Result<Url, String> {
        let mut urls = lock(&self.urls);
        if let Some(url) = urls.get(text) {
            return Ok(url.clone());
        }
        let url = Url::parse(text).map_err(|error| clean(&format!("the URL cannot be read: {error}")))?;
        urls.insert(text.to_owned(), url.clone());
        Ok(url)
    }

    /// When a certificate expires. Few are shown over and over.
    fn expiry(&self, der: &[u8]) -> Option<Timestamp> {
        let mut expiries = lock(&self.expiries);
        if let Some(expiry) = expiries.get(der) {
            return *expiry;
        }
        if expiries.len() >= MAX_SEEN {
            expiries.clear();
        }
        *expiries.entry(der.to_vec()).or_insert_with(|| expiry(der))
    }

    fn trusting(&self, anchors: &Anchors) -> Result<ClientConfig, String> {
        let mut trusted = lock(&self.trusted);
        if let Some(tls) = trusted.get(anchors) {
            return Ok(tls.clone());
        }
        let tls = tls::config(anchors.as_deref())?;
        trusted.insert(anchors.clone(), tls.clone());
        Ok(tls)
    }

    fn connect(&self, mut tls: ClientConfig, target: Target) -> Result<Client, String> {
        tls.resumption = Resumption::in_memory_sessions(SERVERS);
        let instead = match target {
            Target::Live => None,
            Target::Old => Some(self.sides.old.address.clone()),
            Target::New => Some(self.sides.new.address.clone()),
        };
        Client::builder()
            .user_agent(concat!("cutover/", env!("CARGO_PKG_VERSION"), " (synthetic check)"))
            .dns_resolver(Names { resolver: self.resolver, instead, found: Arc::default() })
            .tls_backend_preconfigured(tls)
            .tls_info(true)
            .pool_max_idle_per_host(0)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .http1_only()
            .build()
            .map_err(|error| clean(&format!("no HTTP client: {}", error::root(&error))))
    }

    /// Remembers who answers where in direct runs, and so tells who answered a live one.
    fn served_by(&self, address: IpAddr, target: Target) -> Option<Side> {
        let mut seen = lock(&self.seen);
        let side = match target {
            Target::Live => return seen.get(&address).copied(),
            Target::Old => Side::Old,
            Target::New => Side::New,
        };
        if seen.len() >= MAX_SEEN {
            seen.clear();
        }
        seen.insert(address, side);
        Some(side)
    }
}

/// When the certificate that the server showed expires.
fn expiry(der: &[u8]) -> Option<Timestamp> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

/// Why no answer came.
fn transport(timeout: Duration, error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {}", judge::span(timeout));
    }
    let cause = error::root(error);
    let what = if error.is_connect() { "no connection" } else { "no whole answer" };
    clean(&format!("{what}: {cause}"))
}

#[cfg(test)]
mod tests;
