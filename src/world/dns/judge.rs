//! What a resolver's answer means for a record that moves: which side, and whether the resolver keeps to TTLs.

use std::net::IpAddr;

use jiff::Timestamp;

use super::{DnsError, ProbeAnswer, Rcode};
use crate::{
    plan::{Record, RecordSet, RecordType},
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

/// What tells a side: the names and addresses that only its answers contain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// CNAME targets: lower-case, with the trailing dot.
    pub names: Vec<String>,
    /// Addresses. An alias answers with those of its target, which load balancers change: collect all that were seen.
    pub addresses: Vec<IpAddr>,
}

impl Marks {
    /// What can be told from the plan alone. The addresses behind an alias have to be looked up and added.
    #[must_use]
    pub fn of(set: &RecordSet) -> Self {
        let (addresses, names): (Vec<_>, Vec<_>) =
            set.values.iter().map(|v| (v.parse().ok(), v)).partition(|v| v.0.is_some());
        Self {
            names: names.into_iter().map(|(_, name)| name.to_ascii_lowercase()).collect(),
            addresses: addresses.into_iter().filter_map(|(address, _)| address).collect(),
        }
    }

    fn on(&self, answer: &ProbeAnswer) -> bool {
        answer.chain.iter().any(|hop| self.names.contains(&hop.value))
            || answer.addresses().iter().any(|address| self.addresses.contains(address))
    }
}

/// What a record's answers are measured against.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expectation {
    /// The old side's marks.
    pub old: Marks,
    /// The new side's marks.
    pub new: Marks,
    /// TTL in seconds that the authority gives now; None: not known yet.
    pub authority_ttl: Option<u32>,
}

/// Judges the answers of one resolver for one record, in their order.
///
/// A resolver that serves stale (RFC 8767) answers the old value once more and the new one to the next question, so a
/// finding counts only when it is seen twice in a row; until then the answer is plainly old.
#[derive(Debug, Clone, Copy, Default)]
pub struct Judge {
    suspected: Option<Answer>,
}

impl Judge {
    /// The kind of this answer.
    pub fn judge(&mut self, expected: &Expectation, outcome: &Result<ProbeAnswer, DnsError>) -> Answer {
        let found = kind(expected, outcome);
        let finding = matches!(found, Answer::OldStale | Answer::OldStretched).then_some(found);
        let repeated = finding.is_some() && finding == self.suspected;
        self.suspected = finding;
        if finding.is_none() || repeated { found } else { Answer::Old }
    }
}

/// An answer that says that the server could not tell (SERVFAIL, REFUSED) is none.
fn kind(expected: &Expectation, outcome: &Result<ProbeAnswer, DnsError>) -> Answer {
    let Ok(answer) = outcome else { return Answer::Silent };
    match answer.rcode {
        Rcode::NoError if answer.chain.is_empty() => Answer::Negative,
        Rcode::NxDomain => Answer::Negative,
        Rcode::NoError if expected.old.on(answer) => old_kind(expected, answer),
        Rcode::NoError if expected.new.on(answer) => Answer::New,
        Rcode::NoError => Answer::Other,
        _ => Answer::Silent,
    }
}

fn old_kind(expected: &Expectation, answer: &ProbeAnswer) -> Answer {
    match (record_ttl(answer), expected.authority_ttl) {
        (Some(0), given) if given != Some(0) => Answer::OldStale,
        (Some(left), Some(given)) if left > given => Answer::OldStretched,
        _ => Answer::Old,
    }
}

/// The TTL of the moving record itself, which is the first hop.
fn record_ttl(answer: &ProbeAnswer) -> Option<u32> {
    answer.chain.first().map(|hop| hop.ttl)
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
    use crate::world::dns::Hop;

    const OLD: &str = "acme.herokudns.test.";

    fn record(values: &[&str]) -> RecordSet {
        RecordSet {
            name: "shop.example.test.".into(),
            kind: RecordType::Cname,
            ttl: Some(60),
            values: values.iter().map(|&value| value.to_owned()).collect(),
            alias: None,
            weighted: None,
        }
    }

    fn expected() -> Expectation {
        Expectation {
            old: Marks::of(&record(&[OLD])),
            new: Marks::of(&record(&["127.0.2.1", "127.0.2.2"])),
            authority_ttl: Some(60),
        }
    }

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
    fn sides_are_told_by_names_and_addresses() {
        let cases = [
            (answer(Rcode::NoError, &[(40, OLD), (20, "127.0.1.1")]), Answer::Old),
            (answer(Rcode::NoError, &[(60, "127.0.2.2")]), Answer::New),
            (answer(Rcode::NoError, &[(60, "127.0.3.3")]), Answer::Other),
            (answer(Rcode::NoError, &[]), Answer::Negative),
            (answer(Rcode::NxDomain, &[]), Answer::Negative),
            (answer(Rcode::ServFail, &[]), Answer::Silent),
            (silence(), Answer::Silent),
        ];
        for (outcome, kind) in cases {
            assert_eq!(Judge::default().judge(&expected(), &outcome), kind, "{outcome:?}");
        }
    }

    #[test]
    fn a_finding_counts_when_it_is_repeated() {
        let (zero, long) = (answer(Rcode::NoError, &[(0, OLD)]), answer(Rcode::NoError, &[(599, OLD)]));
        let new = answer(Rcode::NoError, &[(60, "127.0.2.1")]);
        let mut judge = Judge::default();
        let mut says = |outcome| judge.judge(&expected(), outcome);
        assert_eq!([says(&zero), says(&zero), says(&zero)], [Answer::Old, Answer::OldStale, Answer::OldStale]);
        assert_eq!([says(&long), says(&new), says(&long)], [Answer::Old, Answer::New, Answer::Old]);
        assert_eq!(says(&long), Answer::OldStretched);
    }

    #[test]
    fn a_ttl_of_zero_is_no_finding_where_the_authority_gives_zero() {
        let expected = Expectation { authority_ttl: Some(0), ..expected() };
        let zero = answer(Rcode::NoError, &[(0, OLD)]);
        let mut judge = Judge::default();
        assert_eq!([judge.judge(&expected, &zero), judge.judge(&expected, &zero)], [Answer::Old, Answer::Old]);
    }

    #[test]
    fn a_sample_tells_what_was_said_or_why_nothing() {
        let said = answer(Rcode::NoError, &[(40, OLD), (90, "127.0.1.1")]);
        let shown = sample("shop", "honest", Timestamp::UNIX_EPOCH, Answer::Old, &said);
        assert_eq!((shown.ttl, shown.chain_ttl, shown.target.as_str()), (Some(40), Some(90), "127.0.1.1"));
        assert_eq!(shown.chain[0], "shop.example.test. CNAME 40 acme.herokudns.test.");
        let shown = sample("shop", "dead", Timestamp::UNIX_EPOCH, Answer::Silent, &silence());
        assert_eq!((shown.rcode.as_str(), shown.ttl, shown.chain.len()), ("timeout", None, 0));
    }
}
