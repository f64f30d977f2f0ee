//! A caching resolver with a habit.
//!
//! The habits are those that were measured on resolvers in the field: most are honest, some stretch TTLs, some serve
//! stale answers (RFC 8767), some count down to zero and go on with the old value.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hickory_proto::op::ResponseCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    authority::Authority,
    cache::{Cache, RrSet},
    server::{Answering, Reply},
};
use crate::{
    clock::Clock,
    sandbox::zone::{Rcode, RecordType, absolute},
};

/// The longest CNAME chain that is followed before the answer is SERVFAIL.
const MAX_HOPS: usize = 8;

/// TTL of a stale answer, in seconds (RFC 8767, section 4).
const STALE_TTL: u32 = 30;

/// How long after its expiry a record may still be served stale, in seconds (RFC 8767 suggests one to three days).
const STALE_LIMIT: i64 = 86_400;

/// How a resolver behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Habit {
    /// Keeps to TTLs.
    Honest,
    /// Keeps everything for at least so many session seconds, and says so in its TTLs.
    MinimumTtl(u32),
    /// Answers an expired record once more with a TTL of 30 and refreshes it meanwhile (RFC 8767).
    ServeStale,
    /// Honest, after so many milliseconds of the wall clock.
    Slow(u32),
    /// Counts down to TTL 0 and goes on answering the old value for so many session seconds.
    Stubborn(u32),
    /// Takes questions and never answers.
    Dead,
}

impl Habit {
    /// The TTL, in seconds, with which a remembered record set is served now; `None`: the authority has to be asked.
    fn serves(self, set: &RrSet, now: Timestamp) -> Option<u32> {
        let left = set.left(now);
        match self {
            _ if left > 0 => u32::try_from(left).ok(),
            Self::ServeStale if -left <= STALE_LIMIT => Some(STALE_TTL),
            Self::Stubborn(hold) if -left < i64::from(hold) => Some(0),
            _ => None,
        }
    }
}

/// A recursive resolver: a cache in front of the authority.
#[derive(Debug)]
pub struct Resolver {
    name: String,
    authority: Arc<Authority>,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    habit: Habit,
    cache: Cache,
}

impl Resolver {
    pub(super) fn new(name: String, habit: Habit, authority: Arc<Authority>, clock: Clock) -> Self {
        Self { name, authority, clock, state: Mutex::new(State { habit, cache: Cache::default() }) }
    }

    /// Unique among the resolvers of the sandbox.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it behaves now.
    #[must_use]
    pub fn habit(&self) -> Habit {
        self.lock().habit
    }

    /// Changes its ways; what it remembers stays.
    pub fn set_habit(&self, habit: Habit) {
        self.lock().habit = habit;
    }

    /// The IPv4 address that a user behind this resolver gets now, through the same cache as over the wire and without
    /// any waiting. `None`: no such name, no address, or the resolver is dead.
    #[must_use]
    pub fn resolve(&self, name: &str) -> Option<IpAddr> {
        self.delay()?;
        let reply = self.answer_at(name, RecordType::A, self.clock.now());
        reply.records.iter().find(|record| record.rtype == RecordType::A)?.value.parse().ok()
    }

    /// Another cache of the same service, as stand behind one address of a large provider: same habit, own memory. It
    /// does not listen; whoever resolves in process asks it. `seed` tells siblings' ages apart.
    #[must_use]
    pub fn sibling(&self, names: &[String], seed: usize) -> Arc<Self> {
        let sibling = Self::new(self.name.clone(), self.habit(), Arc::clone(&self.authority), self.clock);
        sibling.warm(names, seed);
        Arc::new(sibling)
    }

    /// Asks for these names and lets a part of every TTL pass, another one for each name and each `seed`.
    pub(super) fn warm(&self, names: &[String], seed: usize) {
        let now = self.clock.now();
        for name in names {
            self.answer_at(name, RecordType::A, now);
            self.answer_at(name, RecordType::AAAA, now);
        }
        for (position, set) in self.lock().cache.iter_mut().enumerate() {
            // 37 and 23 are coprime to 80: neighbours differ, and between a tenth and nine tenths are gone.
            let percent = 10 + (seed * 37 + position * 23) % 80;
            let gone = u64::from(set.ttl) * percent as u64 / 100;
            set.since = now.checked_sub(Duration::from_secs(gone)).unwrap_or(now);
        }
    }

    /// What this resolver says at session time `now`.
    pub(super) fn answer_at(&self, name: &str, rtype: RecordType, now: Timestamp) -> Reply {
        let mut state = self.lock();
        let mut reply = Reply { recursion_available: true, ..Reply::error(ResponseCode::ServFail) };
        let mut owner = absolute(name);
        for _ in 0..MAX_HOPS {
            let set = state.find(&self.authority, &owner, rtype, now);
            let target = set.alias_target(rtype).map(absolute);
            reply.records.extend(set.records);
            if let Some(target) = target {
                owner = target;
                continue;
            }
            reply.soa = set.soa;
            reply.rcode = match set.rcode {
                Rcode::NoError => ResponseCode::NoError,
                Rcode::NxDomain => ResponseCode::NXDomain,
                // What a resolver says when nobody who was asked knows the zone.
                Rcode::Refused => ResponseCode::ServFail,
            };
            return reply;
        }
        reply.records.clear();
        reply
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is one assignment: a thread that panicked left nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The record set for one name from the cache, as the habit will have it, or from the authority.
    fn find(&mut self, authority: &Authority, name: &str, rtype: RecordType, now: Timestamp) -> RrSet {
        let Some(set) = self.cache.get(name, rtype) else { return self.refresh(authority, name, rtype, now) };
        let Some(ttl) = self.habit.serves(set, now) else { return self.refresh(authority, name, rtype, now) };
        let (set, expired) = (set.clone().with_ttl(ttl), set.left(now) <= 0);
        if expired && self.habit == Habit::ServeStale {
            self.refresh(authority, name, rtype, now);
        }
        set
    }

    /// Asks the authority and remembers what it said, unless it does not serve the name's zone.
    fn refresh(&mut self, authority: &Authority, name: &str, rtype: RecordType, now: Timestamp) -> RrSet {
        let mut set = RrSet::first_hop(authority.lookup(name, rtype), name, now);
        if set.rcode == Rcode::Refused {
            return set;
        }
        if let Habit::MinimumTtl(least) = self.habit {
            set.ttl = set.ttl.max(least);
        }
        self.cache.put(name, rtype, set.clone());
        let ttl = set.ttl;
        set.with_ttl(ttl)
    }
}

impl Answering for Resolver {
    fn delay(&self) -> Option<Duration> {
        match self.habit() {
            Habit::Dead => None,
            Habit::Slow(milliseconds) => Some(Duration::from_millis(milliseconds.into())),
            _ => Some(Duration::ZERO),
        }
    }

    fn answer(&self, name: &str, rtype: RecordType) -> Reply {
        self.answer_at(name, rtype, self.clock.now())
    }
}
