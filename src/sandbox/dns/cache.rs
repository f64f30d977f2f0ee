//! What a resolver remembers: one record set (or its absence) for each name and type, and since when.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::sandbox::zone::{Answer, Rcode, Record, RecordType};

/// More names than any rehearsal uses; keeps a client that asks for random names from filling the memory.
const MOST_NAMES: usize = 10_000;

/// One record set as the authority gave it, or the fact that there is none.
#[derive(Debug, Clone)]
pub(super) struct RrSet {
    pub(super) rcode: Rcode,
    /// All of one owner and type; empty for a negative answer.
    pub(super) records: Vec<Record>,
    /// Comes with negative answers.
    pub(super) soa: Option<Record>,
    /// Seconds from `since` on.
    pub(super) ttl: u32,
    pub(super) since: Timestamp,
}

impl RrSet {
    /// What an answer says about `name` alone: the first hop. Whatever lies behind a CNAME is asked for in its own right,
    /// as resolvers do that trust a server with its own zones only.
    pub(super) fn first_hop(answer: Answer, name: &str, since: Timestamp) -> Self {
        let records: Vec<_> = answer.records.into_iter().filter(|record| record.name == name).collect();
        let negative = records.is_empty();
        let ttl = if negative {
            answer.soa.as_ref().map_or(0, negative_ttl)
        } else {
            records.iter().map(|record| record.ttl).min().unwrap_or(0)
        };
        let rcode = if negative { answer.rcode } else { Rcode::NoError };
        Self { rcode, records, soa: answer.soa.filter(|_| negative), ttl, since }
    }

    /// Where to go on when this is a CNAME and something else was asked for.
    pub(super) fn alias_target(&self, asked: RecordType) -> Option<&str> {
        let is_alias = |record: &&Record| record.rtype == RecordType::CNAME && asked != RecordType::CNAME;
        self.records.first().filter(is_alias).map(|record| record.value.as_str())
    }

    /// Seconds left; negative since it expired. A part of a second counts as a whole one, so 0 is never left.
    pub(super) fn left(&self, now: Timestamp) -> i64 {
        i64::from(self.ttl) - now.duration_since(self.since).as_secs()
    }

    /// The same records as they are passed on.
    pub(super) fn with_ttl(mut self, ttl: u32) -> Self {
        for record in self.records.iter_mut().chain(&mut self.soa) {
            record.ttl = ttl;
        }
        self
    }

    fn is_cname(&self) -> bool {
        self.records.first().is_some_and(|record| record.rtype == RecordType::CNAME)
    }
}

/// min(SOA TTL, SOA MINIMUM), RFC 2308; MINIMUM is the last field of the SOA.
fn negative_ttl(soa: &Record) -> u32 {
    let minimum = soa.value.split_whitespace().last().and_then(|field| field.parse().ok());
    soa.ttl.min(minimum.unwrap_or(0))
}

/// Record sets by owner name and type.
#[derive(Debug, Default)]
pub(super) struct Cache(BTreeMap<String, BTreeMap<RecordType, RrSet>>);

impl Cache {
    /// What is remembered for a question, expired or not: the type itself, or the CNAME in its place.
    pub(super) fn get(&self, name: &str, rtype: RecordType) -> Option<&RrSet> {
        let sets = self.0.get(name)?;
        sets.get(&rtype).or_else(|| sets.get(&RecordType::CNAME).filter(|set| set.is_cname()))
    }

    /// Remembers the outcome of a question. A CNAME stands alone at its name, so it drives out every other type there;
    /// and whatever else is learnt drives out a CNAME.
    pub(super) fn put(&mut self, name: &str, rtype: RecordType, set: RrSet) {
        if self.0.len() >= MOST_NAMES && !self.0.contains_key(name) {
            self.0.clear();
        }
        let sets = self.0.entry(name.to_owned()).or_default();
        if set.is_cname() {
            sets.clear();
            sets.insert(RecordType::CNAME, set);
        } else {
            sets.retain(|_, other| !other.is_cname());
            sets.insert(rtype, set);
        }
    }

    /// Every record set, by name.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut RrSet> {
        self.0.values_mut().flat_map(BTreeMap::values_mut)
    }
}
