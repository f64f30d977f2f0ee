//! The authoritative side: what the zones serve, as a name server says it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use hickory_proto::op::ResponseCode;

use super::server::{Answering, Reply};
use crate::sandbox::zone::{Answer, Rcode, RecordType, ZoneStore};

/// Answers for every zone of the store.
#[derive(Debug)]
pub(super) struct Authority {
    zones: ZoneStore,
    /// How often a weighted record has been drawn.
    draws: AtomicU64,
}

impl Authority {
    pub(super) const fn new(zones: ZoneStore) -> Self {
        Self { zones, draws: AtomicU64::new(0) }
    }

    /// What the zones serve now.
    pub(super) fn lookup(&self, name: &str, rtype: RecordType) -> Answer {
        self.zones.lookup(name, rtype, spread(self.draws.fetch_add(1, Ordering::Relaxed)))
    }
}

impl Answering for Authority {
    fn delay(&self) -> Option<Duration> {
        Some(Duration::ZERO)
    }

    fn answer(&self, name: &str, rtype: RecordType) -> Reply {
        let answer = self.lookup(name, rtype);
        let rcode = match answer.rcode {
            Rcode::NoError => ResponseCode::NoError,
            Rcode::NxDomain => ResponseCode::NXDomain,
            Rcode::Refused => ResponseCode::Refused,
        };
        let authoritative = answer.rcode != Rcode::Refused;
        Reply { rcode, authoritative, recursion_available: false, records: answer.records, soa: answer.soa }
    }
}

/// Draws that look random and are the same in every rehearsal: the finalizer of SplitMix64 over a counter.
const fn spread(counter: u64) -> u32 {
    let mut bits = counter.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (bits >> 32) as u32
}
