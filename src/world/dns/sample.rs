//! What to ask about a record that moves, and one probe as the cockpit shows it.

use jiff::Timestamp;

use super::{DnsError, ProbeAnswer};
use crate::{
    plan::{Record, RecordType},
    run::{Answer, ProbeSample},
};

/// The type to ask for to see where a record leads: addresses, so that every hop comes along.
#[must_use]
pub const fn asked_type(record: &Record) -> RecordType {
    match (record.old.kind, record.new.kind) {
        (RecordType::Aaaa, _) | (_, RecordType::Aaaa) => RecordType::Aaaa,
        _ => RecordType::A,
    }
}

/// The TTL of the moving record itself, which is the first hop; of an empty answer how long it may be remembered.
fn record_ttl(answer: &ProbeAnswer) -> Option<u32> {
    answer.chain.first().map(|hop| hop.ttl).or(answer.negative_ttl)
}

/// One probe as the cockpit shows it. `at`: session time of the answer.
#[must_use]
pub fn sample(
    record: &str,
    resolver: &str,
    at: Timestamp,
    answer: Answer,
    outcome: &Result<ProbeAnswer, DnsError>,
) -> ProbeSample {
    let said = outcome.as_ref().ok();
    let chain = said.map(|said| said.chain.as_slice()).unwrap_or_default();
    ProbeSample {
        record: record.to_owned(),
        resolver: resolver.to_owned(),
        at,
        answer,
        target: chain.last().map(|hop| hop.value.clone()).unwrap_or_default(),
        ttl: said.and_then(record_ttl),
        chain_ttl: said.and_then(ProbeAnswer::longest_ttl),
        chain: chain.iter().map(ToString::to_string).collect(),
        rcode: outcome.as_ref().map_or_else(|error| error.word().to_owned(), |said| said.rcode.to_string()),
        authoritative: said.is_some_and(|said| said.authoritative),
        elapsed: said.map(|said| said.elapsed).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, time::Duration};

    use super::*;
    use crate::world::dns::{Hop, Rcode};

    const OLD: &str = "acme.herokudns.test.";

    fn answer(rcode: Rcode, values: &[(u32, &str)]) -> Result<ProbeAnswer, DnsError> {
        let hop = |&(ttl, value): &(u32, &str)| Hop {
            name: "shop.example.test.".into(),
            kind: if value.ends_with('.') { RecordType::Cname } else { RecordType::A },
            ttl,
            value: value.into(),
        };
        let chain = values.iter().map(hop).collect();
        let elapsed = Duration::from_millis(3);
        Ok(ProbeAnswer { rcode, authoritative: false, chain, elapsed, negative_ttl: None, via_tcp: false })
    }

    fn silence() -> Result<ProbeAnswer, DnsError> {
        let server = SocketAddr::from(([127, 0, 0, 1], 53));
        Err(DnsError::Timeout { server, after: Duration::from_secs(2) })
    }

    #[test]
    fn a_sample_tells_what_was_said_or_why_nothing() {
        let said = answer(Rcode::NoError, &[(40, OLD), (90, "127.0.1.1")]);
        let shown = sample("shop", "honest", Timestamp::UNIX_EPOCH, Answer::Old, &said);
        assert_eq!((shown.ttl, shown.chain_ttl, shown.target.as_str()), (Some(40), Some(90), "127.0.1.1"));
        assert_eq!(shown.chain[0], "shop.example.test. CNAME 40 acme.herokudns.test.");
        let shown = sample("shop", "dead", Timestamp::UNIX_EPOCH, Answer::Silent, &silence());
        assert_eq!((shown.rcode.as_str(), shown.ttl, shown.chain.len()), ("timeout", None, 0));
        let gone = answer(Rcode::NxDomain, &[]).map(|said| ProbeAnswer { negative_ttl: Some(120), ..said });
        let shown = sample("shop", "honest", Timestamp::UNIX_EPOCH, Answer::Negative, &gone);
        assert_eq!((shown.rcode.as_str(), shown.ttl), ("NXDOMAIN", Some(120)), "how long nothing is remembered");
    }
}
