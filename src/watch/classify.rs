//! The pure half of the DNS panel, first part: which side an answer means.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    plan::{Record, RecordSet, RecordType, Side},
    world::dns::{ProbeAnswer, Rcode},
};

/// How long an address stays known after the name last resolved to it: load balancers and routers rotate theirs.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);

/// What one answer means, without regard to its TTL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// One of the sides.
    Side(Side),
    /// Neither; as far as we know.
    Neither,
    /// There is nothing.
    Negative,
    /// The server did not tell (SERVFAIL, REFUSED, ...).
    NoAnswer,
}

/// What a record's two targets are called and where they are.
#[derive(Debug, Default, Clone)]
pub(super) struct Places {
    old: Place,
    new: Place,
}

#[derive(Debug, Default, Clone)]
struct Place {
    /// Names of the target: CNAME values, alias target. Lower-case with the trailing dot.
    names: BTreeSet<String>,
    /// Addresses that the plan itself names.
    fixed: BTreeSet<IpAddr>,
    /// Addresses that the names resolved to, and when last.
    learnt: BTreeMap<IpAddr, Timestamp>,
}

impl Places {
    /// What the plan says of a record.
    pub(super) fn of(record: &Record) -> Self {
        Self { old: Place::of(&record.old), new: Place::of(&record.new) }
    }

    /// The target names of both sides, to be resolved.
    pub(super) fn names(&self) -> impl Iterator<Item = (Side, &str)> {
        let old = self.old.names.iter().map(|name| (Side::Old, name.as_str()));
        old.chain(self.new.names.iter().map(|name| (Side::New, name.as_str())))
    }

    /// Takes in what a side's name resolved to, and forgets what it has not for an hour.
    pub(super) fn learn(&mut self, side: Side, addresses: &[IpAddr], now: Timestamp) {
        let place = self.get_mut(side);
        place.learnt.extend(addresses.iter().map(|address| (*address, now)));
        place.learnt.retain(|_, seen| now.duration_since(*seen) <= REMEMBERED);
    }

    /// Whether both sides' addresses are known: without them [`Means::Neither`] may only mean that we do not know.
    pub(super) fn known(&self) -> bool {
        [&self.old, &self.new].iter().all(|place| place.names.is_empty() || !place.learnt.is_empty())
    }

    /// Which side an answer means. `dangling`: the answer may end in a CNAME, because an authoritative server says
    /// nothing about names outside of its zones.
    ///
    /// Everything that is known in it must belong to one side: the names of its chain, and the addresses that it ends in.
    /// An alias shows addresses only. What leads to both sides, or by the name of one to an address of the other, agrees
    /// with neither.
    pub(super) fn meaning(&self, answer: &ProbeAnswer, dangling: bool) -> Means {
        let addresses = answer.addresses();
        match answer.rcode {
            Rcode::NoError => {}
            Rcode::NxDomain => return Means::Negative,
            _ => return Means::NoAnswer,
        }
        let ends = !dangling || answer.chain.is_empty();
        if ends && addresses.is_empty() {
            return Means::Negative;
        }
        let cnames = answer.chain.iter().filter(|hop| hop.kind == RecordType::Cname);
        let names: Vec<_> = cnames.map(|hop| hop.value.as_str()).collect();
        self.side_of(&names, &addresses).map_or(Means::Neither, Means::Side)
    }

    /// The side that all that is known of these belongs to. What both sides share tells nothing of either.
    fn side_of(&self, names: &[&str], addresses: &[IpAddr]) -> Option<Side> {
        let leads_to = |place: &Place, other: &Place| {
            names.iter().any(|name| place.names.contains(*name) && !other.names.contains(*name))
                || addresses.iter().any(|address| place.has(address) && !other.has(address))
        };
        match (leads_to(&self.old, &self.new), leads_to(&self.new, &self.old)) {
            (true, false) => Some(Side::Old),
            (false, true) => Some(Side::New),
            _ => None,
        }
    }

    const fn get_mut(&mut self, side: Side) -> &mut Place {
        match side {
            Side::Old => &mut self.old,
            Side::New => &mut self.new,
        }
    }
}

impl Place {
    fn of(set: &RecordSet) -> Self {
        let absolute = |name: &str| format!("{}.", name.trim_end_matches('.').to_ascii_lowercase());
        let mut place = Self::default();
        place.names.extend(set.alias.iter().map(|alias| absolute(&alias.target)));
        for value in &set.values {
            match (set.kind, value.parse()) {
                (RecordType::A | RecordType::Aaaa, Ok(address)) => drop(place.fixed.insert(address)),
                (RecordType::Cname, _) => drop(place.names.insert(absolute(value))),
                _ => {}
            }
        }
        place
    }

    fn has(&self, address: &IpAddr) -> bool {
        self.fixed.contains(address) || self.learnt.contains_key(address)
    }
}

/// The TTL that the moving record itself has in this answer, seconds; the shortest of its values.
pub(super) fn own_ttl(answer: &ProbeAnswer, name: &str) -> Option<u32> {
    let name = name.trim_end_matches('.');
    let own = answer.chain.iter().filter(|hop| hop.name.trim_end_matches('.').eq_ignore_ascii_case(name));
    own.map(|hop| hop.ttl).min()
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{plan::Alias, world::dns::Hop};

    const NAME: &str = "shop.example.test.";
    const HEROKU: &str = "acme.herokudns.test.";
    const ALB: &str = "alb-1.elb.test.";

    pub(in crate::watch) fn set(kind: RecordType, ttl: Option<u32>, values: &[&str], alias: Option<&str>) -> RecordSet {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        let alias = alias.map(|target| Alias { target: target.into(), zone_id: "Z".into(), evaluate_health: false });
        RecordSet { name: NAME.into(), kind, ttl, values, alias, weighted: None }
    }

    fn record(old: RecordSet, new: RecordSet) -> Record {
        Record { id: "shop".into(), zone_id: "Z1".into(), zone_name: "example.test.".into(), old, new }
    }

    /// CNAME to Heroku, alias to the load balancer, both resolved.
    fn places() -> Places {
        let old = set(RecordType::Cname, Some(60), &["ACME.herokudns.test"], None);
        let mut places = Places::of(&record(old, set(RecordType::A, None, &[], Some(ALB))));
        places.learn(Side::Old, &[ip("10.0.0.1")], start());
        places.learn(Side::New, &[ip("10.0.1.1"), ip("10.0.1.2")], start());
        places
    }

    fn start() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// `name value` hops; a value that parses as an address is an A.
    pub(in crate::watch) fn answer(rcode: Rcode, hops: &[(&str, u32, &str)]) -> ProbeAnswer {
        let hop = |(name, ttl, value): &(&str, u32, &str)| Hop {
            name: (*name).to_owned(),
            kind: if value.parse::<IpAddr>().is_ok() { RecordType::A } else { RecordType::Cname },
            ttl: *ttl,
            value: (*value).to_owned(),
        };
        let chain = hops.iter().map(hop).collect();
        ProbeAnswer { rcode, authoritative: false, chain, elapsed: Duration::ZERO, negative_ttl: None, via_tcp: false }
    }

    #[test]
    fn meanings() {
        let old = Means::Side(Side::Old);
        let new = Means::Side(Side::New);
        let no = Rcode::NoError;
        for (what, answer, dangling, expected) in [
            ("chain to Heroku", answer(no, &[(NAME, 60, HEROKU), (HEROKU, 20, "10.9.9.9")]), false, old),
            ("alias, all known", answer(no, &[(NAME, 60, "10.0.1.2"), (NAME, 60, "10.0.1.1")]), false, new),
            ("alias, one known", answer(no, &[(NAME, 60, "10.0.1.2"), (NAME, 60, "10.7.7.7")]), false, new),
            ("flattened to the old side", answer(no, &[(NAME, 60, "10.0.0.1")]), false, old),
            ("both at once", answer(no, &[(NAME, 60, "10.0.0.1"), (NAME, 60, "10.0.1.1")]), false, Means::Neither),
            ("a stranger", answer(no, &[(NAME, 60, "192.0.2.1")]), false, Means::Neither),
            (
                "another CNAME to the new side",
                answer(no, &[(NAME, 60, "x.test."), ("x.test.", 5, "10.0.1.1")]),
                false,
                new,
            ),
            (
                "a chain by both names",
                answer(no, &[(NAME, 60, HEROKU), (HEROKU, 20, ALB), (ALB, 20, "10.9.9.9")]),
                false,
                Means::Neither,
            ),
            (
                "one side's name, the other's address",
                answer(no, &[(NAME, 60, HEROKU), (HEROKU, 20, "10.0.1.1")]),
                false,
                Means::Neither,
            ),
            (
                "one side's name, both sides' addresses",
                answer(no, &[(NAME, 60, HEROKU), (HEROKU, 20, "10.0.0.1"), (HEROKU, 20, "10.0.1.1")]),
                false,
                Means::Neither,
            ),
            ("no data", answer(no, &[]), false, Means::Negative),
            ("no data behind the CNAME", answer(no, &[(NAME, 60, HEROKU)]), false, Means::Negative),
            ("the authority's CNAME", answer(no, &[(NAME, 60, HEROKU)]), true, old),
            ("the authority has nothing", answer(no, &[]), true, Means::Negative),
            ("no such name", answer(Rcode::NxDomain, &[(NAME, 60, HEROKU)]), false, Means::Negative),
            ("a failure tells nothing", answer(Rcode::ServFail, &[]), false, Means::NoAnswer),
            ("nor does a refusal", answer(Rcode::Refused, &[]), true, Means::NoAnswer),
        ] {
            assert_eq!(places().meaning(&answer, dangling), expected, "{what}");
        }
    }

    #[test]
    fn addresses_of_the_plan_need_no_learning() {
        let old = set(RecordType::A, Some(60), &["10.0.0.1"], None);
        let new = set(RecordType::A, Some(60), &["10.0.1.1"], None);
        let places = Places::of(&record(old, new));
        assert!(places.known());
        assert_eq!(places.names().count(), 0);
        assert_eq!(places.side_of(&[], &[ip("10.0.1.1")]), Some(Side::New));
    }

    #[test]
    fn a_side_is_unknown_until_its_name_has_resolved_and_addresses_are_forgotten_after_an_hour() {
        let old = set(RecordType::Cname, Some(60), &[HEROKU], None);
        let mut places = Places::of(&record(old, set(RecordType::A, None, &[], Some(ALB))));
        assert_eq!(places.names().collect::<Vec<_>>(), [(Side::Old, HEROKU), (Side::New, ALB)]);
        places.learn(Side::Old, &[ip("10.0.0.1")], start());
        assert!(!places.known());
        places.learn(Side::New, &[ip("10.0.1.1")], start());
        assert!(places.known());
        places.learn(Side::New, &[ip("10.0.1.2")], start() + SignedDuration::from_mins(61));
        assert_eq!(places.side_of(&[], &[ip("10.0.1.1")]), None);
        assert_eq!(places.side_of(&[], &[ip("10.0.1.2")]), Some(Side::New));
    }

    #[test]
    fn the_own_ttl_is_of_the_moving_name_alone() {
        let chain = answer(Rcode::NoError, &[("Shop.example.test.", 41, HEROKU), (HEROKU, 7, "10.0.0.1")]);
        assert_eq!(own_ttl(&chain, "shop.example.test"), Some(41));
        assert_eq!(own_ttl(&answer(Rcode::NoError, &[]), NAME), None);
    }
}
