//! Against servers that lie, garble, truncate, loop and keep silent.

use std::net::Ipv4Addr;

use hickory_proto::{
    op::MessageType,
    rr::{
        RData, Record,
        rdata::{CNAME, SOA, TXT},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
    task::JoinHandle,
};

use super::*;

const NAME: &str = "shop.example.test";
const QUICK: ProbeOptions = ProbeOptions { timeout: Duration::from_millis(400), recursion: true };

/// A UDP server that sends what `reply` makes of each question; it stops with the test's runtime.
async fn responder(reply: impl Fn(Message) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            for bytes in reply(Message::from_vec(&buffer[..length]).unwrap()) {
                socket.send_to(&bytes, from).await.unwrap();
            }
        }
    });
    address
}

fn answering(mut message: Message, answers: Vec<Record>) -> Message {
    message.metadata.message_type = MessageType::Response;
    message.insert_answers(answers);
    message
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn a(owner: &str, ttl: u32, last: u8) -> Record {
    Record::from_rdata(name(owner), ttl, RData::A(Ipv4Addr::new(127, 0, 0, last).into()))
}

fn cname(owner: &str, ttl: u32, target: &str) -> Record {
    Record::from_rdata(name(owner), ttl, RData::CNAME(CNAME(name(target))))
}

fn hops(answer: &ProbeAnswer) -> Vec<(&str, RecordType, u32, &str)> {
    answer.chain.iter().map(|hop| (hop.name.as_str(), hop.kind, hop.ttl, hop.value.as_str())).collect()
}

#[tokio::test]
async fn every_hop_of_the_chain_keeps_its_ttl_and_strangers_are_left_out() {
    let server = responder(|query| {
        let records = vec![
            a("evil.example.org.", 9, 66),
            a("ACME.herokudns.test.", 20, 7),
            cname("shop.example.test.", 1800, "Acme.Herokudns.Test."),
            a("acme.herokudns.test.", 20, 8),
        ];
        vec![answering(query, records).to_vec().unwrap()]
    })
    .await;
    let answer = probe(server, NAME, RecordType::A, QUICK).await.unwrap();
    let expected = [
        ("shop.example.test.", RecordType::Cname, 1800, "acme.herokudns.test."),
        ("acme.herokudns.test.", RecordType::A, 20, "127.0.0.7"),
        ("acme.herokudns.test.", RecordType::A, 20, "127.0.0.8"),
    ];
    assert_eq!(hops(&answer), expected);
    assert_eq!(answer.values().collect::<Vec<_>>(), ["127.0.0.7", "127.0.0.8"]);
    assert_eq!((answer.longest_ttl(), answer.addresses().len(), answer.via_tcp), (Some(1800), 2, false));
}

#[tokio::test]
async fn answers_with_a_wrong_id_question_or_direction_are_passed_over() {
    let server = responder(|query| {
        let right = answering(query.clone(), vec![a("shop.example.test.", 5, 1)]);
        let mut wrong_id = answering(query.clone(), vec![a("shop.example.test.", 5, 66)]);
        wrong_id.metadata.id = query.metadata.id.wrapping_add(1);
        let mut wrong_question = answering(query.clone(), vec![a("other.example.test.", 5, 66)]);
        wrong_question.queries = vec![Query::query(name("other.example.test."), rr::RecordType::A)];
        let echo = query;
        [wrong_id, wrong_question, echo, right].iter().map(|message| message.to_vec().unwrap()).collect()
    })
    .await;
    let answer = probe(server, NAME, RecordType::A, QUICK).await.unwrap();
    assert_eq!(answer.values().collect::<Vec<_>>(), ["127.0.0.1"]);
}

#[tokio::test]
async fn garbage_under_the_right_id_is_told_from_silence() {
    let garbled = responder(|query| {
        let mut bytes = answering(query, vec![a("shop.example.test.", 5, 1)]).to_vec().unwrap();
        let end = bytes.len() - 3;
        bytes.truncate(end);
        vec![bytes]
    })
    .await;
    let error = probe(garbled, NAME, RecordType::A, QUICK).await.unwrap_err();
    assert!(matches!(error, DnsError::Garbled { .. }), "{error}");

    let noise = responder(|query| vec![vec![], vec![0xff; 40], query.metadata.id.to_be_bytes().to_vec()]).await;
    let error = probe(noise, NAME, RecordType::A, QUICK).await.unwrap_err();
    assert!(matches!(error, DnsError::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn a_lost_datagram_is_sent_again_once() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let server = responder(move |query| {
        let lost = first.swap(false, std::sync::atomic::Ordering::Relaxed);
        let answer = answering(query, vec![a("shop.example.test.", 5, 1)]).to_vec().unwrap();
        if lost { vec![] } else { vec![answer] }
    })
    .await;
    let answer = probe(server, NAME, RecordType::A, QUICK).await.unwrap();
    assert!(answer.elapsed >= QUICK.timeout / 2);
}

#[tokio::test]
async fn of_two_questions_over_one_socket_each_gets_its_own_answer_and_the_lost_one_is_asked_again() {
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = std::sync::Arc::clone(&asked);
    let server = responder(move |query| {
        let kind = query.queries[0].query_type();
        let mut heard = heard.lock().unwrap();
        heard.push(kind);
        let first = heard.iter().filter(|known| **known == kind).count() == 1;
        // The A question is lost once; the AAAA question gets no address, and gets it at once.
        match kind {
            rr::RecordType::A if first => Vec::new(),
            rr::RecordType::A => vec![answering(query, vec![a("shop.example.test.", 9, 7)]).to_vec().unwrap()],
            _ => vec![answering(query, Vec::new()).to_vec().unwrap()],
        }
    })
    .await;
    let [v4, v6] = probes(server, NAME, [RecordType::A, RecordType::Aaaa], QUICK).await.unwrap();
    assert_eq!(v4.unwrap().addresses(), [Ipv4Addr::new(127, 0, 0, 7)]);
    assert!(v6.unwrap().chain.is_empty());
    let asked = asked.lock().unwrap().clone();
    assert_eq!(
        asked,
        [rr::RecordType::A, rr::RecordType::AAAA, rr::RecordType::A],
        "what was answered is not asked again"
    );
}

#[tokio::test]
async fn an_answer_counts_though_the_other_never_comes() {
    let server = responder(|query| match query.queries[0].query_type() {
        rr::RecordType::A => vec![answering(query, vec![a("shop.example.test.", 9, 7)]).to_vec().unwrap()],
        _ => Vec::new(),
    })
    .await;
    let [v4, v6] = probes(server, NAME, [RecordType::A, RecordType::Aaaa], QUICK).await.unwrap();
    assert_eq!(v4.unwrap().addresses(), [Ipv4Addr::new(127, 0, 0, 7)]);
    assert!(matches!(v6, Err(DnsError::Timeout { .. })), "{v6:?}");
}

#[tokio::test]
async fn a_closed_port_is_no_time_out() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    drop(socket);
    let error = probe(server, NAME, RecordType::A, QUICK).await.unwrap_err();
    assert!(matches!(error, DnsError::Unreachable { .. }), "{error}");
}

/// UDP says "truncated" with a record cut in the middle; TCP on the same port sends `over_tcp`.
async fn truncating(over_tcp: impl Fn(Message) -> Vec<u8> + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let udp = responder(|query| {
        let mut message = answering(query, vec![a("shop.example.test.", 5, 66)]);
        message.metadata.truncation = true;
        let mut bytes = message.to_vec().unwrap();
        let end = bytes.len() - 13;
        bytes.truncate(end);
        vec![bytes]
    })
    .await;
    let listener = TcpListener::bind(udp).await.unwrap();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut query = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut query).await.unwrap();
        let reply = over_tcp(Message::from_vec(&query).unwrap());
        stream.write_u16(u16::try_from(reply.len()).unwrap()).await.unwrap();
        stream.write_all(&reply).await.unwrap();
    });
    (udp, task)
}

#[tokio::test]
async fn a_truncated_answer_is_fetched_over_tcp() {
    let many = |query| {
        let records = (0..200).map(|last| a("shop.example.test.", 5, last)).collect();
        answering(query, records).to_vec().unwrap()
    };
    let (server, task) = truncating(many).await;
    let answer = probe(server, NAME, RecordType::A, QUICK).await.unwrap();
    assert_eq!((answer.via_tcp, answer.chain.len()), (true, 200));
    task.await.unwrap();
}

#[tokio::test]
async fn a_stranger_over_tcp_is_refused() {
    let (server, _task) = truncating(|mut query| {
        query.metadata.id = query.metadata.id.wrapping_add(1);
        answering(query, vec![]).to_vec().unwrap()
    })
    .await;
    let error = probe(server, NAME, RecordType::A, QUICK).await.unwrap_err();
    assert!(matches!(error, DnsError::Garbled { .. }), "{error}");
}

#[tokio::test]
async fn a_chain_that_loops_ends_in_an_error() {
    let inside = responder(|query| {
        let records = vec![cname("shop.example.test.", 5, "b.test."), cname("b.test.", 5, "shop.example.test.")];
        vec![answering(query, records).to_vec().unwrap()]
    })
    .await;
    let error = probe(inside, NAME, RecordType::A, QUICK).await.unwrap_err();
    assert!(matches!(error, DnsError::Chain { .. }), "{error}");

    // Each answer on its own is fine; only whoever follows them sees the loop, or a chain that never ends.
    for endless in [false, true] {
        let across = responder(move |query| {
            let owner = query.queries[0].name.to_ascii();
            let target = if endless { format!("x{owner}") } else { swap(&owner).to_owned() };
            vec![answering(query, vec![cname(&owner, 5, &target)]).to_vec().unwrap()]
        })
        .await;
        let error = lookup_addresses(across, NAME).await.unwrap_err();
        assert!(matches!(error, DnsError::Chain { .. }), "{error}");
    }
}

fn swap(owner: &str) -> &'static str {
    if owner == "b.test." { "shop.example.test." } else { "b.test." }
}

#[tokio::test]
async fn a_negative_answer_tells_how_long_it_is_remembered() {
    let server = responder(|query| {
        let asked = query.queries[0].clone();
        let mut message = answering(query, vec![]);
        let soa = SOA::new(name("ns.test."), name("admin.test."), 1, 7200, 900, 1_209_600, 60);
        message.add_authority(Record::from_rdata(name("example.test."), 900, RData::SOA(soa)));
        if asked.query_type == rr::RecordType::A {
            message.metadata.response_code = hickory_proto::op::ResponseCode::NXDomain;
        }
        vec![message.to_vec().unwrap()]
    })
    .await;
    let answer = probe(server, NAME, RecordType::A, QUICK).await.unwrap();
    assert_eq!((answer.rcode, answer.negative_ttl, answer.longest_ttl()), (Rcode::NxDomain, Some(60), None));
    let error = lookup_addresses(server, NAME).await.unwrap_err();
    assert!(matches!(error, DnsError::NoAddress { rcode: Rcode::NxDomain, .. }), "{error}");
}

#[tokio::test]
async fn what_a_server_sends_cannot_reach_the_terminal_raw() {
    let server = responder(|query| {
        let owner = query.queries[0].name.clone();
        let text = TXT::from_bytes(vec![b"\x1b]0;owned\x07 \"q\"", "\u{202e}".as_bytes()]);
        vec![answering(query, vec![Record::from_rdata(owner, u32::MAX, RData::TXT(text))]).to_vec().unwrap()]
    })
    .await;
    let answer = probe(server, NAME, RecordType::Other(OtherType::Txt), QUICK).await.unwrap();
    assert_eq!(answer.chain[0].value, r#""\027]0;owned\007 \"q\"" "\226\128\174""#);
    assert_eq!(answer.chain[0].ttl, 0, "RFC 2181: a negative TTL is zero");

    let server = responder(|query| {
        let target = Name::from_labels([b"a\x1b[2Jb".as_slice(), b"test"]).unwrap();
        let record = Record::from_rdata(query.queries[0].name.clone(), 5, RData::CNAME(CNAME(target)));
        vec![answering(query, vec![record]).to_vec().unwrap()]
    })
    .await;
    let answer = probe(server, NAME, RecordType::Cname, QUICK).await.unwrap();
    assert!(answer.chain[0].value.chars().all(|c| c.is_ascii_graphic()), "{}", answer.chain[0].value);
}

#[tokio::test]
async fn names_that_cannot_be_asked_are_the_plans_mistake() {
    let server = "127.0.0.1:9".parse().unwrap();
    let long = "x".repeat(64);
    let error = probe(server, &long, RecordType::A, QUICK).await.unwrap_err();
    assert!(matches!(error, DnsError::Question { .. }), "{error}");
    let error = probe(server, NAME, RecordType::Other(OtherType::Else), QUICK).await.unwrap_err();
    assert!(matches!(error, DnsError::Type { .. }), "{error}");
}
