//! The DNS client against the sandbox's servers, over real sockets and in scaled session time.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic as the test itself")]

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use cutover::{
    clock::Clock,
    plan::RecordType as Kind,
    sandbox::{
        dns::{self, DnsConfig, DnsHandles, Habit},
        zone::{RecordSet, RecordType, ZoneStore},
    },
    world::dns::{DnsError, ProbeOptions, Rcode, authoritative_servers, lookup_addresses, probe},
};

const ZONE: &str = "Z1";
const NAME: &str = "shop.example.test";
const TTL: u32 = 300;
const SOA: &str = "ns.example.test. admin.example.test. 1 7200 900 1209600 60";
const OLD: &str = "127.0.1.1";
const NEW: &str = "127.0.2.1";

fn sets(target: &str) -> Vec<RecordSet> {
    vec![
        RecordSet::simple("example.test", RecordType::SOA, 900, &[SOA]),
        RecordSet::simple("example.test", RecordType::NS, 900, &["ns.example.test.", "lame.elsewhere.test."]),
        RecordSet::simple("ns.example.test", RecordType::A, 900, &["127.0.53.1"]),
        RecordSet::simple(NAME, RecordType::CNAME, TTL, &[target]),
    ]
}

/// The shop is served by the old side, and every server runs.
async fn world(clock: Clock) -> (ZoneStore, DnsHandles) {
    let zones = ZoneStore::default();
    zones.add_zone("example.test", Some(ZONE), sets("acme.herokudns.test."));
    let one = |name, address| vec![RecordSet::simple(name, RecordType::A, 20, &[address])];
    zones.add_zone("herokudns.test", None, one("acme.herokudns.test", OLD));
    zones.add_zone("elb.test", None, one("alb-1.elb.test", NEW));
    let handles = dns::start(DnsConfig::on_port(0), zones.clone(), clock).await.unwrap();
    (zones, handles)
}

fn address(handles: &DnsHandles, name: &str) -> SocketAddr {
    handles.resolvers().into_iter().find(|info| info.name == name).unwrap().addr
}

/// The address and the TTL of the name itself, as a resolver answers now.
async fn ask(handles: &DnsHandles, name: &str) -> (String, u32) {
    let answer = probe(address(handles, name), NAME, Kind::A, ProbeOptions::resolver()).await.unwrap();
    (answer.values().next().unwrap().to_owned(), answer.chain[0].ttl)
}

#[tokio::test]
async fn the_authority_answers_with_authority_and_the_resolvers_from_warm_caches() {
    let (_zones, handles) = world(Clock::real()).await;
    let answer = probe(handles.authority, NAME, Kind::A, ProbeOptions::authority()).await.unwrap();
    assert!(answer.authoritative && !answer.via_tcp);
    assert_eq!((answer.chain.len(), answer.chain[0].ttl), (1, TTL), "the CNAME leaves the zone");
    let old: IpAddr = OLD.parse().unwrap();
    assert_eq!(lookup_addresses(handles.authority, NAME).await.unwrap(), [old]);

    let honest = address(&handles, "honest");
    let answer = probe(honest, "SHOP.example.test.", Kind::A, ProbeOptions::resolver()).await.unwrap();
    assert!(!answer.authoritative && answer.chain[0].ttl < TTL && answer.chain[0].ttl > 0);
    assert_eq!(answer.values().collect::<Vec<_>>(), [OLD]);
    assert_eq!(handles.resolver("honest").unwrap().resolve(NAME), Some(old));

    let missing = probe(honest, "nothing.example.test", Kind::A, ProbeOptions::resolver()).await.unwrap();
    assert_eq!((missing.rcode, missing.negative_ttl), (Rcode::NxDomain, Some(60)));
    let servers = authoritative_servers(honest, "example.test").await.unwrap();
    assert_eq!(servers, ["127.0.53.1:53".parse().unwrap()], "a name server without an address is left out");
}

#[tokio::test]
async fn the_dead_time_out_and_the_slow_are_slow() {
    let (_zones, handles) = world(Clock::real()).await;
    let quick = ProbeOptions { timeout: Duration::from_millis(200), ..ProbeOptions::resolver() };
    for name in ["dead", "slow"] {
        let error = probe(address(&handles, name), NAME, Kind::A, quick).await.unwrap_err();
        assert!(matches!(error, DnsError::Timeout { .. }), "{name}: {error}");
    }
    let answer = probe(address(&handles, "slow"), NAME, Kind::A, ProbeOptions::resolver()).await.unwrap();
    assert!(answer.elapsed >= Duration::from_millis(300));
    handles.resolver("dead").unwrap().set_habit(Habit::Honest);
    assert_eq!(ask(&handles, "dead").await.0, OLD);
}

#[tokio::test]
async fn after_a_switch_each_resolver_follows_by_its_own_habit() {
    let clock = Clock::scaled(300.0);
    let (zones, handles) = world(clock).await;
    handles.resolver("stubborn").unwrap().set_habit(Habit::Stubborn(1_000_000));
    handles.resolver("honest-3").unwrap().set_habit(Habit::Stubborn(0));
    let version = zones.stage(ZONE, sets("alb-1.elb.test.")).unwrap();
    zones.publish(ZONE, version);
    let (value, ttl) = ask(&handles, "honest").await;
    assert!(value == OLD && ttl > 0, "{value} {ttl}");

    clock.sleep(Duration::from_secs(TTL.into())).await;
    assert_eq!(ask(&handles, "honest").await.0, NEW);
    assert_eq!(ask(&handles, "honest-3").await.0, NEW);
    assert_eq!(ask(&handles, "stubborn").await, (OLD.to_owned(), 0));
    assert_eq!(ask(&handles, "serve-stale").await, (OLD.to_owned(), 30));
    assert_eq!(ask(&handles, "serve-stale").await.0, NEW);
    assert_eq!(handles.resolver("stubborn").unwrap().resolve(NAME).unwrap().to_string(), OLD);
}

#[tokio::test]
async fn the_servers_stop_with_their_handle() {
    let (_zones, handles) = world(Clock::real()).await;
    let servers = [handles.authority, address(&handles, "honest")];
    drop(handles);
    for server in servers {
        // Aborted tasks let go of their sockets when the runtime gets to them.
        let gone = async { while probe(server, NAME, Kind::A, ProbeOptions::resolver()).await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(5), gone).await.unwrap();
    }
}
