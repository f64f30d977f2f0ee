//! The zones of the sandbox: plain data that Route 53's API writes and the authoritative DNS server reads.
//!
//! Every zone has two views. `api` is what Route 53 lists at once; `served` is what its name servers answer, which
//! follows when a change has propagated. A change is [`ZoneStore::stage`]d (api) and later [`ZoneStore::publish`]ed.

use std::{
    collections::BTreeMap,
    fmt,
    str::FromStr,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// The TTL, in seconds, that Route 53 answers for an alias to a load balancer.
pub const ELB_ALIAS_TTL: u32 = 60;

/// How many hops [`ZoneStore::lookup`] follows before it gives up on a loop.
const MAX_HOPS: usize = 8;

macro_rules! record_types {
    ($($name:ident),+) => {
        /// The record types that Route 53 knows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each variant is the type's own name in DNS")]
        pub enum RecordType { $($name),+ }

        impl RecordType {
            /// Every type, in the order in which they are declared.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The type's name in DNS.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }
        }
    };
}
record_types!(A, AAAA, CAA, CNAME, DS, HTTPS, MX, NAPTR, NS, PTR, SOA, SPF, SRV, SSHFP, SVCB, TLSA, TXT);

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RecordType {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|rtype| rtype.as_str() == text).ok_or(())
    }
}

/// Where an alias points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// Absolute, lower-case, with the trailing dot.
    pub target: String,
    /// The hosted zone of the target: a load balancer's own zone or one of ours.
    pub hosted_zone_id: String,
    /// Kept for the API's sake; the sandbox runs no health checks.
    pub evaluate_target_health: bool,
}

/// One resource record set, as Route 53 holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSet {
    /// Absolute, lower-case, with the trailing dot.
    pub name: String,
    /// Its type.
    pub rtype: RecordType,
    /// Seconds; `None` exactly when this is an alias.
    pub ttl: Option<u32>,
    /// Values in presentation format (`10 mail.example.test.`, `"v=spf1 -all"`); empty exactly when this is an alias.
    pub values: Vec<String>,
    /// Set exactly when this is an alias.
    pub alias: Option<Alias>,
    /// 0 to 255; set exactly when this is one of several weighted siblings.
    pub weight: Option<u64>,
    /// Tells weighted siblings apart.
    pub set_identifier: Option<String>,
}

impl RecordSet {
    /// A simple (unweighted, no alias) record set.
    #[must_use]
    pub fn simple(name: &str, rtype: RecordType, ttl: u32, values: &[&str]) -> Self {
        Self {
            name: absolute(name),
            rtype,
            ttl: Some(ttl),
            values: values.iter().map(|&value| value.to_owned()).collect(),
            alias: None,
            weight: None,
            set_identifier: None,
        }
    }

    /// What makes a record set unique within its zone.
    #[must_use]
    pub fn key(&self) -> (&str, RecordType, Option<&str>) {
        (&self.name, self.rtype, self.set_identifier.as_deref())
    }
}

/// One zone as it stands in one view.
#[derive(Debug, Clone)]
pub struct Zone {
    /// The apex: absolute, lower-case, with the trailing dot.
    pub origin: String,
    /// The hosted zone id when Route 53 hosts it (`Z0SANDBOX00000000001`); `None` for zones that live in DNS alone.
    pub id: Option<String>,
    /// What the API lists.
    api: Vec<RecordSet>,
    /// What the name servers answer.
    served: Vec<RecordSet>,
    /// Staged states that are not served yet, by version.
    pending: BTreeMap<u64, Vec<RecordSet>>,
    version: u64,
}

/// The response code of a [`Answer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rcode {
    /// The name exists (the answer may still be empty).
    NoError,
    /// The name does not exist.
    NxDomain,
    /// No zone here holds the name.
    Refused,
}

/// One resource record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Absolute owner name.
    pub name: String,
    /// Its type.
    pub rtype: RecordType,
    /// Seconds.
    pub ttl: u32,
    /// Presentation format.
    pub value: String,
}

/// What the authoritative server says to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The response code.
    pub rcode: Rcode,
    /// The answer section: a CNAME chain within the zone first, then the records asked for. A CNAME that leaves the zone
    /// is the last record; whoever resolves asks again for its target, as in reality.
    pub records: Vec<Record>,
    /// The zone's SOA, for the authority section of negative answers.
    pub soa: Option<Record>,
}

/// All zones; a cheap handle to shared data.
#[derive(Debug, Clone, Default)]
pub struct ZoneStore(Arc<RwLock<BTreeMap<String, Zone>>>);

impl ZoneStore {
    /// Adds a zone, served at once; replaces one of the same origin.
    pub fn add_zone(&self, origin: &str, id: Option<&str>, sets: Vec<RecordSet>) {
        let origin = absolute(origin);
        let zone = Zone {
            origin: origin.clone(),
            id: id.map(str::to_owned),
            api: sets.clone(),
            served: sets,
            pending: BTreeMap::new(),
            version: 0,
        };
        self.write().insert(origin, zone);
    }

    /// The zones that Route 53 hosts: (id, origin, number of record sets), ordered by origin.
    #[must_use]
    pub fn hosted_zones(&self) -> Vec<(String, String, usize)> {
        let hosted = |zone: &Zone| zone.id.clone().map(|id| (id, zone.origin.clone(), zone.api.len()));
        self.read().values().filter_map(hosted).collect()
    }

    /// The record sets of a hosted zone in the api view; `None` when there is no such zone.
    #[must_use]
    pub fn api_sets(&self, zone_id: &str) -> Option<(String, Vec<RecordSet>)> {
        let zones = self.read();
        let zone = zones.values().find(|zone| zone.id.as_deref() == Some(zone_id))?;
        Some((zone.origin.clone(), zone.api.clone()))
    }

    /// Replaces the api view of a hosted zone; returns the version to [`Self::publish`] later.
    pub fn stage(&self, zone_id: &str, sets: Vec<RecordSet>) -> Option<u64> {
        let mut zones = self.write();
        let zone = zones.values_mut().find(|zone| zone.id.as_deref() == Some(zone_id))?;
        zone.version += 1;
        zone.api.clone_from(&sets);
        zone.pending.insert(zone.version, sets);
        Some(zone.version)
    }

    /// Serves a staged version. Versions overtaken by a newer one that is already served are dropped.
    pub fn publish(&self, zone_id: &str, version: u64) {
        let mut zones = self.write();
        let Some(zone) = zones.values_mut().find(|zone| zone.id.as_deref() == Some(zone_id)) else { return };
        if let Some(sets) = zone.pending.remove(&version) {
            zone.served = sets;
            zone.pending = zone.pending.split_off(&version);
        }
    }

    /// Answers a question from the served view as an authoritative server does: follows CNAMEs within the zone, resolves
    /// aliases, picks one of several weighted siblings by `random`.
    #[must_use]
    pub fn lookup(&self, name: &str, rtype: RecordType, random: u32) -> Answer {
        let name = absolute(name);
        let zones = self.read();
        let Some(zone) = zone_of(&zones, &name) else {
            return Answer { rcode: Rcode::Refused, records: Vec::new(), soa: None };
        };
        let mut records = Vec::new();
        let mut owner = name;
        for _ in 0..MAX_HOPS {
            let found = resolve(&zones, zone, &owner, rtype, random, 0);
            let cname = match found.first() {
                Some(first) if first.rtype == RecordType::CNAME && rtype != RecordType::CNAME => absolute(&first.value),
                _ => {
                    let rcode =
                        if found.is_empty() && !exists(zone, &owner) { Rcode::NxDomain } else { Rcode::NoError };
                    let soa = found.is_empty().then(|| soa_of(zone)).flatten();
                    records.extend(found);
                    return Answer { rcode, records, soa };
                }
            };
            records.extend(found);
            if zone_of(&zones, &cname).is_none_or(|other| other.origin != zone.origin) {
                break;
            }
            owner = cname;
        }
        Answer { rcode: Rcode::NoError, records, soa: None }
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Zone>> {
        // A writer that panicked left whole record sets behind (each update is one assignment): reading on is safe.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Zone>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lower-case with the trailing dot.
#[must_use]
pub fn absolute(name: &str) -> String {
    let mut name = name.to_ascii_lowercase();
    if !name.ends_with('.') {
        name.push('.');
    }
    name
}

/// Whether `name` is `origin` or below it; both absolute.
#[must_use]
pub fn is_within(name: &str, origin: &str) -> bool {
    name == origin || name.strip_suffix(origin).is_some_and(|head| head.ends_with('.'))
}

/// The zone with the longest origin that holds `name`.
fn zone_of<'a>(zones: &'a BTreeMap<String, Zone>, name: &str) -> Option<&'a Zone> {
    zones.values().filter(|zone| is_within(name, &zone.origin)).max_by_key(|zone| zone.origin.len())
}

fn exists(zone: &Zone, name: &str) -> bool {
    zone.served.iter().any(|set| is_within(&set.name, name)) || wildcard_for(zone, name).is_some()
}

/// The wildcard name that answers for `name`, if no such name exists itself.
fn wildcard_for(zone: &Zone, name: &str) -> Option<String> {
    if zone.served.iter().any(|set| is_within(&set.name, name)) {
        return None;
    }
    let (_, parent) = name.split_once('.')?;
    let wildcard = format!("*.{parent}");
    zone.served.iter().any(|set| set.name == wildcard).then_some(wildcard)
}

fn soa_of(zone: &Zone) -> Option<Record> {
    let set = zone.served.iter().find(|set| set.rtype == RecordType::SOA)?;
    let value = set.values.first()?.clone();
    Some(Record { name: zone.origin.clone(), rtype: RecordType::SOA, ttl: set.ttl.unwrap_or(0), value })
}

/// The records of one owner name in one zone, aliases resolved, without following CNAMEs.
fn resolve(
    zones: &BTreeMap<String, Zone>,
    zone: &Zone,
    owner: &str,
    rtype: RecordType,
    random: u32,
    depth: usize,
) -> Vec<Record> {
    let source = wildcard_for(zone, owner).unwrap_or_else(|| owner.to_owned());
    let of_type =
        |wanted| zone.served.iter().filter(|set| set.name == source && set.rtype == wanted).collect::<Vec<_>>();
    let mut siblings = of_type(rtype);
    if siblings.is_empty() {
        siblings = of_type(RecordType::CNAME);
    }
    let Some(set) = pick(&siblings, random) else { return Vec::new() };
    let Some(alias) = &set.alias else {
        let ttl = set.ttl.unwrap_or(0);
        let record = |value: &String| Record { name: owner.to_owned(), rtype: set.rtype, ttl, value: value.clone() };
        return set.values.iter().map(record).collect();
    };
    let Some(target_zone) = zone_of(zones, &alias.target).filter(|_| depth < MAX_HOPS) else { return Vec::new() };
    let elsewhere = target_zone.origin != zone.origin;
    let mut found = resolve(zones, target_zone, &alias.target, set.rtype, random, depth + 1);
    for record in &mut found {
        owner.clone_into(&mut record.name);
        if elsewhere {
            record.ttl = ELB_ALIAS_TTL;
        }
    }
    found
}

/// Picks one of weighted siblings; all weights zero means that all are equal, as Route 53 documents.
fn pick<'a>(siblings: &[&'a RecordSet], random: u32) -> Option<&'a RecordSet> {
    let weight = |set: &&RecordSet| set.weight.unwrap_or(1);
    let total: u64 = siblings.iter().map(weight).sum();
    if total == 0 {
        return siblings.get(random as usize % siblings.len().max(1)).copied();
    }
    let mut left = u64::from(random) % total;
    for set in siblings {
        match left.checked_sub(weight(set)) {
            Some(rest) => left = rest,
            None => return Some(set),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONE: &str = "Z1";

    fn store() -> ZoneStore {
        let store = ZoneStore::default();
        store.add_zone(
            "example.test",
            Some(ZONE),
            vec![
                RecordSet::simple(
                    "example.test",
                    RecordType::SOA,
                    900,
                    &["ns.example.test. admin. 1 7200 900 1209600 60"],
                ),
                RecordSet::simple("shop.example.test", RecordType::CNAME, 1800, &["acme.old.test."]),
                RecordSet::simple("in.example.test", RecordType::CNAME, 30, &["a.b.example.test."]),
                RecordSet::simple("a.b.example.test", RecordType::A, 40, &["127.0.0.9"]),
                RecordSet::simple("*.wild.example.test", RecordType::A, 40, &["127.0.0.8"]),
                alias("example.test", "alb.aws.test."),
                weighted("w.example.test", "old", 1, "127.0.0.1"),
                weighted("w.example.test", "new", 3, "127.0.0.2"),
            ],
        );
        store.add_zone("aws.test", None, vec![RecordSet::simple("alb.aws.test", RecordType::A, 5, &["127.0.2.10"])]);
        store
    }

    fn alias(name: &str, target: &str) -> RecordSet {
        let alias = Alias { target: target.into(), hosted_zone_id: "Z35".into(), evaluate_target_health: false };
        RecordSet { alias: Some(alias), ttl: None, ..RecordSet::simple(name, RecordType::A, 0, &[]) }
    }

    fn weighted(name: &str, id: &str, weight: u64, value: &str) -> RecordSet {
        let set = RecordSet::simple(name, RecordType::A, 60, &[value]);
        RecordSet { weight: Some(weight), set_identifier: Some(id.into()), ..set }
    }

    fn values(answer: &Answer) -> Vec<(&str, u32, &str)> {
        answer.records.iter().map(|r| (r.name.as_str(), r.ttl, r.value.as_str())).collect()
    }

    #[test]
    fn a_cname_out_of_the_zone_ends_the_answer_and_one_inside_is_followed() {
        let out = store().lookup("SHOP.example.test", RecordType::A, 0);
        assert_eq!(values(&out), [("shop.example.test.", 1800, "acme.old.test.")]);
        let inside = store().lookup("in.example.test", RecordType::A, 0);
        assert_eq!(
            values(&inside),
            [("in.example.test.", 30, "a.b.example.test."), ("a.b.example.test.", 40, "127.0.0.9")]
        );
    }

    #[test]
    fn an_alias_answers_its_targets_records_under_its_own_name_with_the_elb_ttl() {
        let answer = store().lookup("example.test", RecordType::A, 0);
        assert_eq!(values(&answer), [("example.test.", 60, "127.0.2.10")]);
    }

    #[test]
    fn weights_pick_in_proportion() {
        let store = store();
        let news =
            (0..400).filter(|&r| store.lookup("w.example.test", RecordType::A, r).records[0].value == "127.0.0.2");
        assert_eq!(news.count(), 300);
    }

    #[test]
    fn missing_names_types_and_zones_are_told_apart() {
        let store = store();
        let missing = store.lookup("nothing.example.test", RecordType::A, 0);
        assert_eq!((missing.rcode, missing.soa.is_some()), (Rcode::NxDomain, true));
        let no_data = store.lookup("b.example.test", RecordType::A, 0);
        assert_eq!((no_data.rcode, no_data.soa.is_some()), (Rcode::NoError, true));
        assert_eq!(store.lookup("example.org", RecordType::A, 0).rcode, Rcode::Refused);
        assert_eq!(
            values(&store.lookup("x.wild.example.test", RecordType::A, 0)),
            [("x.wild.example.test.", 40, "127.0.0.8")]
        );
    }

    #[test]
    fn a_staged_change_is_listed_at_once_and_served_when_published_in_order() {
        let store = store();
        let one = |ttl| vec![RecordSet::simple("shop.example.test", RecordType::A, ttl, &["127.0.0.1"])];
        let (first, second) = (store.stage(ZONE, one(1)).unwrap(), store.stage(ZONE, one(2)).unwrap());
        assert_eq!(store.api_sets(ZONE).unwrap().1, one(2));
        assert_eq!(store.lookup("shop.example.test", RecordType::CNAME, 0).records[0].ttl, 1800);
        store.publish(ZONE, second);
        store.publish(ZONE, first);
        assert_eq!(store.lookup("shop.example.test", RecordType::A, 0).records[0].ttl, 2);
    }
}
