//! The DNS client of the resolver panel and of the `dns.*` steps: one question to one server, and what came of it.
//!
//! Built on hickory's message codec over plain sockets instead of a resolver library. A probe wants exactly one
//! exchange with exactly one server, every hop's TTL as it was on the wire, no cache, no search list and no second
//! server that covers up for the first; all that a resolver library adds would have to be switched off again. A fresh
//! connected socket for each probe costs three system calls, gives a fresh random source port (RFC 5452) and lets the
//! kernel drop datagrams from other senders and report a closed port at once.

mod answer;
mod exchange;
mod sample;
#[cfg(test)]
mod tests;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::future::join_all;
use hickory_proto::{
    ProtoError,
    op::{Edns, Message, Query},
    rr::{self, Name},
};

pub use answer::{Hop, ProbeAnswer, Rcode};
pub use sample::{asked_type, sample};

use crate::{
    clock::monotonic,
    plan::{OtherType, RecordType},
};

/// The longest CNAME chain that is followed (Route 53, Heroku and CDNs need two to four hops).
pub const MAX_HOPS: usize = 8;

/// What a UDP answer may measure, in bytes: what crosses every path unfragmented (DNS flag day 2020).
const MAX_PAYLOAD: u16 = 1232;

/// How to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeOptions {
    /// Limit of the whole probe by the wall clock, TCP fallback included.
    pub timeout: Duration,
    /// The RD flag: set for a resolver, clear for an authoritative server.
    pub recursion: bool,
}

impl ProbeOptions {
    /// Asks a recursive resolver; two seconds.
    #[must_use]
    pub const fn resolver() -> Self {
        Self { timeout: Duration::from_secs(2), recursion: true }
    }

    /// Asks an authoritative server; two seconds.
    #[must_use]
    pub const fn authority() -> Self {
        Self { timeout: Duration::from_secs(2), recursion: false }
    }
}

/// Why there is no answer. An answer with an error code (NXDOMAIN, SERVFAIL) is an answer: see [`ProbeAnswer::rcode`].
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The question itself cannot be asked; a mistake in the plan.
    #[error("failed to put {name:?} into a DNS question")]
    Question {
        /// The name as given.
        name: String,
        /// What is wrong with it.
        #[source]
        source: ProtoError,
    },
    /// A type that has no number here.
    #[error("failed to ask for {name:?}: this record type cannot be asked for")]
    Type {
        /// The name as given.
        name: String,
    },
    /// No way to the server, or nothing listens there.
    #[error("failed to reach the DNS server {server}")]
    Unreachable {
        /// The server asked.
        server: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Silence.
    #[error("failed to get an answer from the DNS server {server} within {after:?}")]
    Timeout {
        /// The server asked.
        server: SocketAddr,
        /// The limit.
        after: Duration,
    },
    /// The server sent something that is not an answer.
    #[error("failed to read the answer of the DNS server {server}: {reason}")]
    Garbled {
        /// The server asked.
        server: SocketAddr,
        /// What is wrong with it, free of control characters.
        reason: String,
    },
    /// A CNAME chain that does not end.
    #[error("failed to follow the CNAME chain of {name}: it loops or has more than {MAX_HOPS} hops")]
    Chain {
        /// Where it began.
        name: String,
    },
    /// The server answered, but with no address.
    #[error("failed to find an address of {name}: {server} answered {rcode}")]
    NoAddress {
        /// The name looked up.
        name: String,
        /// The server asked.
        server: SocketAddr,
        /// What it said.
        rcode: Rcode,
    },
}

impl DnsError {
    /// The reason in one word, where a response code would stand.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Question { .. } | Self::Type { .. } => "bad question",
            Self::Unreachable { .. } => "unreachable",
            Self::Timeout { .. } => "timeout",
            Self::Garbled { .. } => "garbled",
            Self::Chain { .. } => "loop",
            Self::NoAddress { .. } => "no address",
        }
    }
}

/// Asks one server one question over UDP, and again over TCP when the answer was truncated.
///
/// The name may lack the trailing dot; it is always taken as absolute.
///
/// # Errors
/// Everything of [`DnsError`] but `NoAddress`. `Timeout`, `Unreachable` and `Garbled` are findings about the server and
/// worth another try; `Question` and `Type` are not.
pub async fn probe(
    server: SocketAddr,
    name: &str,
    kind: RecordType,
    options: ProbeOptions,
) -> Result<ProbeAnswer, DnsError> {
    let [answer] = probes(server, name, [kind], options).await?;
    answer
}

/// Questions of several types about one name, at once and over one socket.
async fn probes<const N: usize>(
    server: SocketAddr,
    name: &str,
    kinds: [RecordType; N],
    options: ProbeOptions,
) -> Result<[Result<ProbeAnswer, DnsError>; N], DnsError> {
    let mut queries = kinds.map(|_| Message::query());
    for (query, kind) in queries.iter_mut().zip(kinds) {
        *query = question(name, kind, options.recursion)?;
    }
    let started = monotonic();
    let replies = exchange::exchange(server, &queries, options.timeout).await;
    let elapsed = monotonic().duration_since(started);
    Ok(replies.map(|reply| {
        let answer = reply.map(|reply| answer::read(reply.query, &reply.message, elapsed, reply.via_tcp))?;
        answer.ok_or_else(|| DnsError::Chain { name: name.to_owned() })
    }))
}

/// The addresses of a name as a client of this resolver sees them, IPv4 first: what an HTTP check connects to.
///
/// The server may be an authority, too: where its answer ends in a CNAME that leaves its zone, the target is asked for
/// in turn, at most [`MAX_HOPS`] times.
///
/// # Errors
/// As [`probe`], and [`DnsError::NoAddress`] when there is none. A failed AAAA question is no error while there is an
/// IPv4 address, as in every client.
pub async fn lookup_addresses(resolver: SocketAddr, name: &str) -> Result<Vec<IpAddr>, DnsError> {
    let kinds = [RecordType::A, RecordType::Aaaa];
    let [v4, v6] = probes(resolver, name, kinds, ProbeOptions::resolver()).await?;
    let (v4, v6) = tokio::join!(chase(resolver, name, kinds[0], v4), chase(resolver, name, kinds[1], v6));
    let v6 = v6.map(|answer| answer.addresses()).unwrap_or_default();
    let (mut found, rcode) = match v4 {
        Ok(answer) => (answer.addresses(), answer.rcode),
        Err(error) if v6.is_empty() => return Err(error),
        Err(_) => (Vec::new(), Rcode::NoError),
    };
    found.extend(v6);
    if found.is_empty() {
        return Err(DnsError::NoAddress { name: name.to_owned(), server: resolver, rcode });
    }
    Ok(found)
}

/// The zone's authoritative servers, one address of each (IPv4 where there is one) on port 53, sorted.
///
/// # Errors
/// As [`probe`], and [`DnsError::NoAddress`] when the zone has no name server or none of them has an address. Servers
/// whose address cannot be found are left out while others are known.
pub async fn authoritative_servers(resolver: SocketAddr, zone: &str) -> Result<Vec<SocketAddr>, DnsError> {
    let answer = probe(resolver, zone, RecordType::Other(OtherType::Ns), ProbeOptions::resolver()).await?;
    let names: Vec<_> = answer.values().collect();
    let found = join_all(names.iter().map(|name| lookup_addresses(resolver, name))).await;
    let first = |addresses: Vec<IpAddr>| addresses.first().map(|&address| SocketAddr::new(address, 53));
    let mut servers: Vec<_> = found.into_iter().filter_map(Result::ok).filter_map(first).collect();
    servers.sort_unstable();
    servers.dedup();
    if servers.is_empty() {
        return Err(DnsError::NoAddress { name: zone.to_owned(), server: resolver, rcode: answer.rcode });
    }
    Ok(servers)
}

/// Asks again for the target while an answer ends in a CNAME without saying that there is nothing behind.
async fn chase(
    server: SocketAddr,
    name: &str,
    kind: RecordType,
    first: Result<ProbeAnswer, DnsError>,
) -> Result<ProbeAnswer, DnsError> {
    let (mut asked, mut answer) = (vec![name.to_owned()], first?);
    while let Some(target) = answer.dangling().map(str::to_owned) {
        if asked.len() == MAX_HOPS || asked.contains(&target) {
            return Err(DnsError::Chain { name: name.to_owned() });
        }
        answer = probe(server, &target, kind, ProbeOptions::resolver()).await?;
        asked.push(target);
    }
    Ok(answer)
}

/// One question in class IN with a random id. EDNS (RFC 6891) only says how large an answer may be.
fn question(name: &str, kind: RecordType, recursion: bool) -> Result<Message, DnsError> {
    let rtype = wire_type(kind).ok_or_else(|| DnsError::Type { name: name.to_owned() })?;
    let mut owner =
        Name::from_str_relaxed(name).map_err(|source| DnsError::Question { name: name.to_owned(), source })?;
    owner.set_fqdn(true);
    let mut edns = Edns::new();
    edns.set_max_payload(MAX_PAYLOAD);
    let mut message = Message::query();
    message.metadata.recursion_desired = recursion;
    message.add_query(Query::query(owner, rtype)).set_edns(edns);
    Ok(message)
}

const fn wire_type(kind: RecordType) -> Option<rr::RecordType> {
    Some(match kind {
        RecordType::A => rr::RecordType::A,
        RecordType::Aaaa => rr::RecordType::AAAA,
        RecordType::Cname => rr::RecordType::CNAME,
        RecordType::Other(OtherType::Ns) => rr::RecordType::NS,
        RecordType::Other(OtherType::Soa) => rr::RecordType::SOA,
        RecordType::Other(OtherType::Mx) => rr::RecordType::MX,
        RecordType::Other(OtherType::Txt) => rr::RecordType::TXT,
        RecordType::Other(OtherType::Else) => return None,
    })
}

const fn plan_type(rtype: rr::RecordType) -> RecordType {
    match rtype {
        rr::RecordType::A => RecordType::A,
        rr::RecordType::AAAA => RecordType::Aaaa,
        rr::RecordType::CNAME => RecordType::Cname,
        rr::RecordType::NS => RecordType::Other(OtherType::Ns),
        rr::RecordType::SOA => RecordType::Other(OtherType::Soa),
        rr::RecordType::MX => RecordType::Other(OtherType::Mx),
        rr::RecordType::TXT => RecordType::Other(OtherType::Txt),
        _ => RecordType::Other(OtherType::Else),
    }
}
