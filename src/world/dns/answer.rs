//! What a server said, as plain data: every hop of the chain with its TTL, fit to be shown and compared.

use std::{fmt, net::IpAddr, time::Duration};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{Name, RData, Record, rdata::TXT},
};
use serde::{Deserialize, Serialize};

use super::{MAX_HOPS, plan_type};
use crate::plan::RecordType;

/// The answer of one server to one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeAnswer {
    /// The response code.
    pub rcode: Rcode,
    /// The AA flag: the server speaks for the zone, not from a cache.
    pub authoritative: bool,
    /// The CNAME chain in its order, then the records asked for. Records that are not part of it are left out.
    pub chain: Vec<Hop>,
    /// Wall time from the question to the answer, TCP fallback included.
    pub elapsed: Duration,
    /// How many seconds a resolver may remember that there is nothing: min(SOA TTL, SOA MINIMUM), RFC 2308. None: there
    /// is something, or the server sent no SOA.
    pub negative_ttl: Option<u32>,
    /// The UDP answer was truncated; this one came over TCP.
    pub via_tcp: bool,
}

/// One record on the way from the name to the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// Owner name: lower-case, with the trailing dot, escaped to printable ASCII.
    pub name: String,
    /// `CNAME`, or the type asked for.
    pub kind: RecordType,
    /// Seconds that are left at the server that answered.
    pub ttl: u32,
    /// Presentation format without control characters; names lower-case with the trailing dot.
    pub value: String,
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.name, self.kind, self.ttl, self.value)
    }
}

impl ProbeAnswer {
    /// The values at the end of the chain, in the order of the answer.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        let end = self.chain.last().map(|hop| hop.name.as_str());
        self.chain.iter().filter(move |hop| Some(hop.name.as_str()) == end).map(|hop| hop.value.as_str())
    }

    /// The addresses at the end of the chain.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        let is_address = |hop: &&Hop| matches!(hop.kind, RecordType::A | RecordType::Aaaa);
        self.chain.iter().filter(is_address).filter_map(|hop| hop.value.parse().ok()).collect()
    }

    /// Seconds until every hop has been asked for anew: a chain is as slow as its longest TTL. None: an empty answer.
    #[must_use]
    pub fn longest_ttl(&self) -> Option<u32> {
        self.chain.iter().map(|hop| hop.ttl).max()
    }

    /// The name that the answer ends in, when it ends in a CNAME with nothing said about what is behind.
    pub(super) fn dangling(&self) -> Option<&str> {
        let open = self.rcode == Rcode::NoError && self.negative_ttl.is_none();
        self.chain.last().filter(|hop| open && hop.kind == RecordType::Cname).map(|hop| hop.value.as_str())
    }
}

/// A response code (RFC 1035, RFC 6895).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rcode {
    /// The name exists; the answer may be empty all the same.
    NoError,
    /// The server could not read the question.
    FormErr,
    /// The server failed, often because a server behind it did.
    ServFail,
    /// The name does not exist.
    NxDomain,
    /// The server does not do this.
    NotImp,
    /// The server will not answer us.
    Refused,
    /// Another code.
    Other(u16),
}

impl From<ResponseCode> for Rcode {
    fn from(code: ResponseCode) -> Self {
        match code {
            ResponseCode::NoError => Self::NoError,
            ResponseCode::FormErr => Self::FormErr,
            ResponseCode::ServFail => Self::ServFail,
            ResponseCode::NXDomain => Self::NxDomain,
            ResponseCode::NotImp => Self::NotImp,
            ResponseCode::Refused => Self::Refused,
            other => Self::Other(other.into()),
        }
    }
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoError => "NOERROR",
            Self::FormErr => "FORMERR",
            Self::ServFail => "SERVFAIL",
            Self::NxDomain => "NXDOMAIN",
            Self::NotImp => "NOTIMP",
            Self::Refused => "REFUSED",
            Self::Other(code) => return write!(f, "RCODE{code}"),
        })
    }
}

/// Folds a message into plain data; None when its chain loops or is too long.
pub(super) fn read(query: &Message, reply: &Message, elapsed: Duration, via_tcp: bool) -> Option<ProbeAnswer> {
    let chain = chain(query, &reply.answers)?;
    let asked = query.queries.first().map(|question| plan_type(question.query_type));
    let empty = chain.last().is_none_or(|hop| Some(hop.kind) != asked);
    Some(ProbeAnswer {
        rcode: reply.metadata.response_code.into(),
        authoritative: reply.metadata.authoritative,
        chain,
        elapsed,
        negative_ttl: reply.authorities.iter().find_map(negative_ttl).filter(|_| empty),
        via_tcp,
    })
}

/// Walks from the name asked for through the CNAMEs to the records asked for; whatever else was sent is not believed.
fn chain(query: &Message, answers: &[Record]) -> Option<Vec<Hop>> {
    let question = query.queries.first()?;
    let (mut owner, asked) = (&question.name, question.query_type);
    let mut hops = Vec::new();
    while hops.len() <= MAX_HOPS {
        let here = |record: &&Record| record.name == *owner;
        let mut records = answers.iter().filter(here).filter(|record| record.record_type() == asked).peekable();
        if records.peek().is_some() {
            hops.extend(records.map(hop));
            return Some(hops);
        }
        let alias = answers.iter().filter(here).find_map(|record| match &record.data {
            RData::CNAME(target) => Some((record, &target.0)),
            _ => None,
        });
        let Some((record, target)) = alias else { return Some(hops) };
        hops.push(hop(record));
        owner = target;
    }
    None
}

fn hop(record: &Record) -> Hop {
    Hop {
        name: absolute(&record.name),
        kind: plan_type(record.record_type()),
        ttl: ttl(record),
        value: presentation(&record.data),
    }
}

/// RFC 2181, section 8: a TTL with the top bit set counts as zero.
fn ttl(record: &Record) -> u32 {
    if i32::try_from(record.ttl).is_ok() { record.ttl } else { 0 }
}

fn negative_ttl(record: &Record) -> Option<u32> {
    match &record.data {
        RData::SOA(soa) => Some(soa.minimum.min(ttl(record))),
        _ => None,
    }
}

/// Names are compared with the plan and with Route 53, both of which write them like this.
fn absolute(name: &Name) -> String {
    let mut text = name.to_ascii().to_ascii_lowercase();
    if !text.ends_with('.') {
        text.push('.');
    }
    text
}

fn presentation(data: &RData) -> String {
    match data {
        RData::CNAME(name) => absolute(&name.0),
        RData::NS(name) => absolute(&name.0),
        RData::PTR(name) => absolute(&name.0),
        RData::MX(mx) => format!("{} {}", mx.preference, absolute(&mx.exchange)),
        RData::TXT(txt) => quoted(txt),
        other => printable(&other.to_string()),
    }
}

/// `"one" "two"` with everything that is not plain ASCII as `\DDD` (RFC 1035, section 5.1).
fn quoted(txt: &TXT) -> String {
    let string = |bytes: &[u8]| {
        let body: String = bytes.iter().map(|&byte| escaped(byte)).collect();
        format!("\"{body}\"")
    };
    txt.txt_data.iter().map(|bytes| string(bytes)).collect::<Vec<_>>().join(" ")
}

fn escaped(byte: u8) -> String {
    match byte {
        b'"' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\{byte:03}"),
    }
}

/// Only printable ASCII is left: neither control sequences nor marks that turn the direction of the line.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}
