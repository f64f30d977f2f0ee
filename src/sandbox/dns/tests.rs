//! The habits at exact session times, and the wire at its edges. `tests/dns.rs` asks the same servers over sockets.

use hickory_proto::{
    op::{Edns, Message, MessageType, Query, ResponseCode},
    rr::{self, DNSClass, Name, RData},
};
use jiff::{SignedDuration, Timestamp};

use super::{
    server::{Answering, respond},
    *,
};
use crate::sandbox::zone::{RecordSet, RecordType};

const ZONE: &str = "Z1";
const NAME: &str = "shop.example.test.";
const SOA: &str = "ns.example.test. admin.example.test. 1 7200 900 1209600 120";

fn sets(shop: RecordSet) -> Vec<RecordSet> {
    let texts: Vec<_> = (0..40).map(|n| format!("\"{n:0>60}\"")).collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    vec![
        RecordSet::simple("example.test", RecordType::SOA, 900, &[SOA]),
        RecordSet::simple("example.test", RecordType::NS, 900, &["ns.example.test."]),
        RecordSet::simple("loop.example.test", RecordType::CNAME, 9, &["pool.example.test."]),
        RecordSet::simple("pool.example.test", RecordType::CNAME, 9, &["loop.example.test."]),
        RecordSet::simple("outside.example.test", RecordType::CNAME, 9, &["www.elsewhere.test."]),
        RecordSet::simple("big.example.test", RecordType::TXT, 9, &texts),
        shop,
    ]
}

fn old() -> RecordSet {
    RecordSet::simple(NAME, RecordType::CNAME, 60, &["acme.herokudns.test."])
}

fn new() -> RecordSet {
    RecordSet::simple(NAME, RecordType::A, 60, &["127.0.2.1"])
}

/// The old side is behind a CNAME out of the zone, the new side at an address in it.
fn zones() -> ZoneStore {
    let zones = ZoneStore::default();
    zones.add_zone("example.test", Some(ZONE), sets(old()));
    zones.add_zone(
        "herokudns.test",
        None,
        vec![RecordSet::simple("acme.herokudns.test", RecordType::A, 30, &["127.0.1.1"])],
    );
    zones
}

fn publish(zones: &ZoneStore, shop: RecordSet) {
    let version = zones.stage(ZONE, sets(shop)).unwrap();
    zones.publish(ZONE, version);
}

struct Bench {
    zones: ZoneStore,
    resolver: Resolver,
    start: Timestamp,
}

impl Bench {
    /// A resolver that has just asked for the old value, and a zone that changed right after.
    fn after_the_switch(habit: Habit) -> Self {
        let zones = zones();
        let authority = Arc::new(Authority::new(zones.clone()));
        let bench = Self {
            resolver: Resolver::new("r".into(), habit, authority, Clock::real()),
            start: Clock::real().now(),
            zones,
        };
        assert_eq!(bench.ask(0).0, "127.0.1.1");
        publish(&bench.zones, new());
        bench
    }

    /// The address that is answered so many seconds after the switch, and the TTL of the name itself.
    fn ask(&self, seconds: i64) -> (String, u32) {
        let reply = self.resolver.answer_at(NAME, RecordType::A, self.start + SignedDuration::from_secs(seconds));
        (reply.records.last().unwrap().value.clone(), reply.records[0].ttl)
    }
}

fn old_address(ttl: u32) -> (String, u32) {
    ("127.0.1.1".into(), ttl)
}

fn new_address(ttl: u32) -> (String, u32) {
    ("127.0.2.1".into(), ttl)
}

#[test]
fn an_honest_resolver_is_new_when_the_ttl_has_passed() {
    let bench = Bench::after_the_switch(Habit::Honest);
    assert_eq!(bench.ask(1), old_address(59));
    assert_eq!(bench.ask(59), old_address(1));
    assert_eq!(bench.ask(60), new_address(60));
    assert_eq!(bench.ask(70), new_address(50));
}

#[test]
fn a_chain_is_refreshed_hop_by_hop() {
    let bench = Bench::after_the_switch(Habit::Honest);
    publish(&bench.zones, old());
    let reply = bench.resolver.answer_at(NAME, RecordType::A, bench.start + SignedDuration::from_secs(40));
    let hops: Vec<_> = reply.records.iter().map(|record| (record.rtype, record.ttl)).collect();
    assert_eq!(hops, [(RecordType::CNAME, 20), (RecordType::A, 30)], "the address had to be asked for again at 30");
}

#[test]
fn a_minimum_ttl_stretches_and_shows_it() {
    let bench = Bench::after_the_switch(Habit::MinimumTtl(600));
    assert_eq!(bench.ask(60), old_address(540));
    assert_eq!(bench.ask(599), old_address(1));
    assert_eq!(bench.ask(600), new_address(600));
}

#[test]
fn serve_stale_is_old_once_more_and_then_new() {
    let bench = Bench::after_the_switch(Habit::ServeStale);
    assert_eq!(bench.ask(59), old_address(1));
    assert_eq!(bench.ask(500), old_address(30));
    assert_eq!(bench.ask(501), new_address(59));
    assert_eq!(bench.ask(80_000), new_address(30), "stale, within a day of its expiry");
    assert_eq!(bench.ask(300_000), new_address(60), "too old to be served stale");
}

#[test]
fn a_stubborn_resolver_stays_old_at_ttl_0_until_it_gives_in() {
    let bench = Bench::after_the_switch(Habit::Stubborn(900));
    assert_eq!(bench.ask(59), old_address(1));
    assert_eq!(bench.ask(60), old_address(0));
    assert_eq!(bench.ask(929), old_address(0), "its address expired at 30 and is held as long");
    assert_eq!(bench.ask(960), new_address(60));
}

#[test]
fn a_habit_can_change_at_any_time() {
    let bench = Bench::after_the_switch(Habit::Honest);
    bench.resolver.set_habit(Habit::Stubborn(3600));
    assert_eq!(bench.ask(100), old_address(0));
    bench.resolver.set_habit(Habit::Dead);
    assert_eq!((bench.resolver.resolve(NAME), bench.resolver.delay()), (None, None));
    bench.resolver.set_habit(Habit::Honest);
    assert_eq!(bench.ask(101), new_address(60));
}

#[test]
fn absence_is_remembered_for_the_soas_minimum() {
    let bench = Bench::after_the_switch(Habit::Honest);
    let ask = |seconds| {
        bench.resolver.answer_at("new.example.test", RecordType::A, bench.start + SignedDuration::from_secs(seconds))
    };
    let first = ask(0);
    assert_eq!((first.rcode, first.soa.unwrap().ttl), (ResponseCode::NXDomain, 120));
    publish(&bench.zones, RecordSet::simple("new.example.test", RecordType::A, 60, &["127.0.2.1"]));
    let still = ask(119);
    assert_eq!((still.rcode, still.soa.unwrap().ttl), (ResponseCode::NXDomain, 1));
    assert_eq!((ask(120).rcode, ask(120).records.len()), (ResponseCode::NoError, 1));
}

#[test]
fn a_cname_and_other_types_drive_each_other_out_of_the_cache() {
    let bench = Bench::after_the_switch(Habit::Stubborn(100_000));
    let ask = |rtype, seconds| bench.resolver.answer_at(NAME, rtype, bench.start + SignedDuration::from_secs(seconds));
    assert_eq!(bench.ask(100), old_address(0));
    bench.resolver.set_habit(Habit::Honest);
    assert_eq!(ask(RecordType::AAAA, 101).records.len(), 0, "no AAAA any more: this tells that the CNAME is gone");
    bench.resolver.set_habit(Habit::Stubborn(100_000));
    assert_eq!(bench.ask(102), new_address(60));
    publish(&bench.zones, old());
    bench.resolver.set_habit(Habit::Honest);
    assert_eq!(ask(RecordType::CNAME, 103).records[0].value, "acme.herokudns.test.");
    assert_eq!(bench.ask(104).0, "127.0.1.1", "the CNAME that was learnt replaces the address");
}

#[test]
fn chains_that_lead_nowhere_fail() {
    let bench = Bench::after_the_switch(Habit::Honest);
    for name in ["loop.example.test", "outside.example.test", "elsewhere.test"] {
        let reply = bench.resolver.answer_at(name, RecordType::A, bench.start);
        assert_eq!(reply.rcode, ResponseCode::ServFail, "{name}");
    }
}

#[test]
fn warm_caches_are_part_way_through_their_ttls() {
    let zones = zones();
    let names = host_names(&zones);
    let authority = Arc::new(Authority::new(zones));
    let left = |seed| {
        let resolver = Resolver::new("r".into(), Habit::Honest, Arc::clone(&authority), Clock::real());
        resolver.warm(&names, seed);
        let reply = resolver.answer_at(NAME, RecordType::A, Clock::real().now());
        reply.records.iter().map(|record| record.ttl).collect::<Vec<_>>()
    };
    let (first, second) = (left(0), left(1));
    assert!(
        first[0] > 0 && first[0] < 60 && second[0] > 0 && second[0] < 60 && first[0] != second[0],
        "{first:?} {second:?}"
    );
}

fn wire(edit: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii("Shop.Example.test.").unwrap(), rr::RecordType::A));
    edit(&mut message);
    message.to_vec().unwrap()
}

fn authority_says(query: &[u8], room: u16) -> Message {
    Message::from_vec(&respond(&Authority::new(zones()), query, room).unwrap()).unwrap()
}

#[test]
fn the_authority_says_that_it_is_one_and_ends_where_its_zone_ends() {
    let reply = authority_says(&wire(|_| {}), 1232);
    assert!(reply.metadata.authoritative && !reply.metadata.recursion_available && reply.edns.is_none());
    assert_eq!(reply.queries[0].name.to_ascii(), "Shop.Example.test.", "the question comes back to the letter");
    assert!(matches!(&reply.answers[..], [record] if matches!(record.data, RData::CNAME(_)) && record.ttl == 60));
    let elsewhere = wire(|query| query.queries[0].name = Name::from_ascii("example.org.").unwrap());
    let refused = authority_says(&elsewhere, 1232);
    assert_eq!((refused.metadata.response_code, refused.metadata.authoritative), (ResponseCode::Refused, false));
}

#[test]
fn odd_questions_get_the_code_they_deserve() {
    let code = |bytes: &[u8]| authority_says(bytes, 1232).metadata.response_code;
    assert_eq!(code(&wire(|q| q.queries[0].query_type = rr::RecordType::ANY)), ResponseCode::Refused);
    assert_eq!(code(&wire(|q| q.queries[0].query_type = rr::RecordType::AXFR)), ResponseCode::Refused);
    assert_eq!(code(&wire(|q| q.queries[0].query_class = DNSClass::CH)), ResponseCode::Refused);
    assert_eq!(code(&wire(|q| q.queries[0].query_type = rr::RecordType::Unknown(65_280))), ResponseCode::NotImp);
    assert_eq!(code(&wire(|q| q.queries.clear())), ResponseCode::FormErr);
    assert_eq!(code(b"\x12\x34\x00\x00\x00\x01 garbage"), ResponseCode::FormErr);
    let future = wire(|q| {
        let mut edns = Edns::new();
        edns.set_version(1);
        q.set_edns(edns);
    });
    assert_eq!(u16::from(code(&future)), 16, "BADVERS, which shares its number with BADSIG");
    let answer = wire(|q| q.metadata.message_type = MessageType::Response);
    assert!(respond(&Authority::new(zones()), &answer, 1232).is_none(), "an answer is never answered");
    assert!(respond(&Authority::new(zones()), b"\x12", 1232).is_none());
}

#[test]
fn what_does_not_fit_is_truncated_and_whole_over_tcp() {
    let big = |edns| {
        wire(|query| {
            query.queries = vec![Query::query(Name::from_ascii("big.example.test.").unwrap(), rr::RecordType::TXT)];
            if edns {
                query.set_edns(Edns::new());
            }
        })
    };
    for edns in [false, true] {
        let cut = authority_says(&big(edns), 1232);
        assert_eq!((cut.metadata.truncation, cut.answers.len(), cut.edns.is_some()), (true, 0, edns));
    }
    let whole = authority_says(&big(false), u16::MAX);
    assert_eq!((whole.metadata.truncation, whole.answers.len()), (false, 40));
}

#[test]
fn no_data_and_no_name_carry_the_soa() {
    let no_data = authority_says(
        &wire(|q| q.queries[0] = Query::query(Name::from_ascii("example.test.").unwrap(), rr::RecordType::A)),
        1232,
    );
    assert_eq!((no_data.metadata.response_code, no_data.authorities.len()), (ResponseCode::NoError, 1));
    let no_name = authority_says(&wire(|q| q.queries[0].name = Name::from_ascii("x.example.test.").unwrap()), 1232);
    assert_eq!((no_name.metadata.response_code, no_name.authorities.len()), (ResponseCode::NXDomain, 1));
}
