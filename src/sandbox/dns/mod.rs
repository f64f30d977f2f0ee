//! DNS for real, on loopback: the authoritative server of every zone, and caching resolvers of different habits.
//!
//! All of them speak UDP and TCP, so `dig` and any other client can ask them. The resolvers ask the authority in
//! process, through the code that answers on its socket: so the traffic model can resolve thousands of users' names a
//! second through the same caches that the panel probes, without a socket for each.

mod authority;
mod cache;
mod resolver;
mod server;
#[cfg(test)]
mod tests;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use tokio::task::JoinSet;

use self::authority::Authority;
pub use self::resolver::{Habit, Resolver};
use super::zone::{RecordType, ZoneStore};
use crate::clock::Clock;

/// Where the servers listen.
#[derive(Debug, Clone)]
pub struct DnsConfig {
    /// The authoritative server; port 0 takes a free one.
    pub authority: SocketAddr,
    /// The resolvers; port 0 takes a free one.
    pub resolvers: Vec<ResolverInfo>,
}

/// One resolver as a scenario describes it, and as it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolverInfo {
    /// Unique among the resolvers.
    pub name: String,
    /// Where it listens, UDP and TCP.
    pub addr: SocketAddr,
    /// How it behaves.
    pub habit: Habit,
}

/// The resolvers that a rehearsal has when its scenario says nothing else.
const USUAL: [(&str, Habit); 8] = [
    ("honest", Habit::Honest),
    ("honest-2", Habit::Honest),
    ("honest-3", Habit::Honest),
    ("minimum", Habit::MinimumTtl(60)),
    ("serve-stale", Habit::ServeStale),
    ("slow", Habit::Slow(300)),
    ("stubborn", Habit::Stubborn(900)),
    ("dead", Habit::Dead),
];

impl DnsConfig {
    /// The usual servers, each on an address of its own (the authority on 127.0.53.1, the resolvers from 127.0.53.11 on),
    /// all on this port; 0 takes a free one for each.
    #[must_use]
    pub fn on_port(port: u16) -> Self {
        let at = |last| SocketAddr::from((Ipv4Addr::new(127, 0, 53, last), port));
        let resolver = |((name, habit), last): (&(&str, Habit), u8)| ResolverInfo {
            name: (*name).to_owned(),
            addr: at(last),
            habit: *habit,
        };
        Self { authority: at(1), resolvers: USUAL.iter().zip(11..).map(resolver).collect() }
    }
}

/// Why the servers did not start.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen for DNS on {addr} (UDP and TCP)")]
pub struct DnsStartError {
    /// The address that could not be had.
    pub addr: SocketAddr,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// The running servers. They stop when this is dropped.
#[derive(Debug)]
pub struct DnsHandles {
    /// Where the authoritative server listens.
    pub authority: SocketAddr,
    resolvers: Vec<(SocketAddr, Arc<Resolver>)>,
    _tasks: JoinSet<()>,
}

impl DnsHandles {
    /// The resolvers in the order of the configuration, with the ports and habits that they have now.
    #[must_use]
    pub fn resolvers(&self) -> Vec<ResolverInfo> {
        let info = |(addr, resolver): &(SocketAddr, Arc<Resolver>)| ResolverInfo {
            name: resolver.name().to_owned(),
            addr: *addr,
            habit: resolver.habit(),
        };
        self.resolvers.iter().map(info).collect()
    }

    /// The resolver of this name, for whoever resolves in process. Changing its habit takes effect at once.
    #[must_use]
    pub fn resolver(&self, name: &str) -> Option<Arc<Resolver>> {
        self.resolvers.iter().map(|(_, resolver)| resolver).find(|resolver| resolver.name() == name).cloned()
    }
}

/// Starts the authority over `zones` and the resolvers. Their caches are warm: they hold what is served now, each with
/// some part of its TTL gone, as resolvers do whose users have been asking all day.
///
/// # Errors
/// [`DnsStartError`] when an address cannot be had.
pub async fn start(config: DnsConfig, zones: ZoneStore, clock: Clock) -> Result<DnsHandles, DnsStartError> {
    let names = host_names(&zones);
    let authority = Arc::new(Authority::new(zones));
    let mut tasks = JoinSet::new();
    let mut resolvers = Vec::new();
    let address = server::spawn(config.authority, Arc::clone(&authority) as Arc<_>, &mut tasks).await?;
    for (position, info) in config.resolvers.into_iter().enumerate() {
        let resolver = Arc::new(Resolver::new(info.name, info.habit, Arc::clone(&authority), clock));
        resolver.warm(&names, position);
        let addr = server::spawn(info.addr, Arc::clone(&resolver) as Arc<_>, &mut tasks).await?;
        resolvers.push((addr, resolver));
    }
    Ok(DnsHandles { authority: address, resolvers, _tasks: tasks })
}

/// The names that users ask for: those in hosted zones that have addresses, directly or through a CNAME.
fn host_names(zones: &ZoneStore) -> Vec<String> {
    let sets = zones.hosted_zones().into_iter().filter_map(|(id, ..)| zones.api_sets(&id)).flat_map(|(_, sets)| sets);
    let mut names: Vec<_> = sets
        .filter(|set| matches!(set.rtype, RecordType::A | RecordType::AAAA | RecordType::CNAME))
        .filter(|set| !set.name.starts_with('*'))
        .map(|set| set.name)
        .collect();
    names.dedup();
    names
}
