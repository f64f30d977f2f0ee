//! Against real servers on loopback, over HTTP and TLS, that answer well, wrongly, late or not at all.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use hickory_proto::{
    op::{Message, MessageType},
    rr,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{
    HandshakeKind, ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{
    plan::SideInfo,
    world::testing::{Manner, nobody, server},
};

const HOST: &str = "shop.example.test";

fn checker(old: &str, new: &str) -> Checker {
    let side = |address: &str| SideInfo { label: address.to_owned(), address: address.to_owned() };
    let seen = [(old, Side::Old), (new, Side::New)].into_iter().filter_map(|(ip, side)| Some((ip.parse().ok()?, side)));
    Checker {
        clock: Clock::real(),
        resolver: None,
        sides: Sides { old: side(old), new: side(new) },
        trusted: Mutex::default(),
        clients: Mutex::default(),
        seen: Mutex::new(seen.collect()),
        urls: Mutex::default(),
        expiries: Mutex::default(),
    }
}

fn check(scheme: &str, port: u16) -> Check {
    Check {
        id: "home".into(),
        title: "Home".into(),
        url: format!("{scheme}://{HOST}:{port}/path"),
        status: vec![200],
        contains: None,
        json: None,
        max_latency: None,
        min_certificate: None,
        every: Duration::from_secs(10),
        timeout: Duration::from_millis(1500),
        ca_file: None,
    }
}

#[tokio::test]
async fn one_side_is_asked_at_its_own_address_with_the_host_of_the_url() {
    let (address, mut requests) = server(Manner::answer(200, "", "Acme")).await;
    let checker = checker("127.0.0.1", "127.0.0.9");
    let sample = checker.run(&check("http", address.port()), Target::Old).await;
    assert_eq!((sample.passing, sample.status, sample.served_by), (true, Some(200), Some(Side::Old)));
    let request = requests.recv().await.unwrap();
    assert!(request.starts_with("GET /path HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: {HOST}:{}\r\n", address.port())), "{request}");
    let sample = checker.run(&check("http", address.port()), Target::New).await;
    assert!(sample.reason.unwrap().starts_with("no connection: "));
}

#[tokio::test]
async fn a_live_answer_is_told_by_the_address_that_served_it() {
    let (address, _requests) = server(Manner::answer(200, "", "Acme")).await;
    let checker = checker("127.0.0.9", "127.0.0.1");
    let live = Check { url: format!("http://localhost:{}/", address.port()), ..check("http", 0) };
    let sample = checker.run(&live, Target::Live).await;
    assert_eq!((sample.passing, sample.served_by), (true, Some(Side::New)), "{sample:?}");
    let literal = Check { url: format!("http://{address}/"), ..check("http", 0) };
    assert!(checker.run(&literal, Target::Live).await.passing);
    assert!(!checker.run(&literal, Target::New).await.passing, "a literal address would bypass the side");
}

#[tokio::test]
async fn whatever_goes_wrong_is_a_reason() {
    let cases = [
        (Manner::answer(503, "", "down"), "status 503, wanted 200"),
        (Manner::answer(302, "location: http://192.0.2.1/\r\n", ""), "status 302, wanted 200"),
        (Manner::Close, "no whole answer: connection closed before message completed"),
        (Manner::Raw(b"\x1b[31mnonsense\r\n\r\n".to_vec()), "no whole answer: invalid HTTP version parsed"),
        (Manner::Silent(Duration::from_secs(9)), "no answer within 1500 ms"),
    ];
    for (manner, reason) in cases {
        let (address, _requests) = server(manner).await;
        let sample = checker("127.0.0.1", "127.0.0.9").run(&check("http", address.port()), Target::Old).await;
        assert_eq!((sample.passing, sample.reason.as_deref()), (false, Some(reason)));
    }
    let sample = checker("127.0.0.1", "127.0.0.9").run(&check("http", nobody().port()), Target::Old).await;
    assert!(sample.reason.unwrap().contains("refused"));
}

#[tokio::test]
async fn a_body_without_end_is_read_up_to_its_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = [0; 1024];
        let _length = socket.read(&mut head).await.unwrap();
        socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while socket.write_all(&[b'x'; 65_536]).await.is_ok() {}
    });
    let sample = checker("127.0.0.1", "127.0.0.9").run(&check("http", port), Target::Old).await;
    assert!(sample.passing, "{sample:?}");
}

/// A TLS server with a certificate that expires in 2030, and the file with its authority's certificate.
async fn tls_server(name: &str) -> (u16, tempfile::NamedTempFile) {
    let (port, file, _) = renewing_server(name).await;
    (port, file)
}

/// The same, with another certificate that it can be told to show from now on. It would resume sessions.
async fn renewing_server(name: &str) -> (u16, tempfile::NamedTempFile, Arc<Renewed>) {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), authority.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let keys = [2030, 2031].map(|year| {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 2);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap().der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Arc::new(CertifiedKey::from_der(vec![certificate], key, &provider).unwrap())
    });
    let shown = Arc::new(Renewed { keys, renewed: AtomicBool::new(false), handshakes: AtomicUsize::new(0) });
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_no_client_auth().with_cert_resolver(Arc::clone(&shown) as _);
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (port, whole) = (listener.local_addr().unwrap().port(), Arc::clone(&shown));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(mut socket) = acceptor.accept(socket).await else { continue };
            if socket.get_ref().1.handshake_kind() == Some(HandshakeKind::Full) {
                whole.handshakes.fetch_add(1, Ordering::Relaxed);
            }
            let mut head = [0; 4096];
            let _length = socket.read(&mut head).await.unwrap();
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            socket.shutdown().await.unwrap();
        }
    });
    (port, file, shown)
}

#[derive(Debug)]
struct Renewed {
    keys: [Arc<CertifiedKey>; 2],
    renewed: AtomicBool,
    /// How often a certificate was shown.
    handshakes: AtomicUsize,
}

impl ResolvesServerCert for Renewed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.keys[usize::from(self.renewed.load(Ordering::Relaxed))]))
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_seen_by_the_next_run_of_a_check() {
    let (port, file, shown) = renewing_server(HOST).await;
    let checker = checker("127.0.0.1", "127.0.0.9");
    let trusted = Check { ca_file: Some(file.path().to_owned()), ..check("https", port) };
    for (renewed, until) in [(false, "2030-01-02"), (true, "2031-01-02")] {
        shown.renewed.store(renewed, Ordering::Relaxed);
        let sample = checker.run(&trusted, Target::Old).await;
        assert!(sample.certificate_until.unwrap().to_string().starts_with(until), "{sample:?}");
        tokio::time::sleep(MOMENT).await;
    }
    // On a busy machine two runs may be a moment apart.
    let mut again = Vec::new();
    for _ in 0..9 {
        let before = shown.handshakes.load(Ordering::Relaxed);
        assert!(checker.run(&trusted, Target::Old).await.passing);
        again.push(shown.handshakes.load(Ordering::Relaxed) - before);
    }
    assert!(again.contains(&0), "at one moment a server need not show its certificate twice: {again:?}");
}

#[tokio::test]
async fn a_name_is_looked_up_once_at_one_moment_and_anew_at_the_next() {
    let (resolver, questions) = resolver().await;
    let (address, _requests) = server(Manner::answer(200, "", "Acme")).await;
    let checker = Checker { resolver: Some(resolver), ..checker("old.example.test", "127.0.0.9") };
    let mut asked = Vec::new();
    for pause in [Duration::ZERO, MOMENT].into_iter().chain([Duration::ZERO; 9]) {
        tokio::time::sleep(pause).await;
        let before = questions.load(Ordering::Relaxed);
        let sample = checker.run(&check("http", address.port()), Target::Old).await;
        assert!(sample.passing, "{sample:?}");
        asked.push(questions.load(Ordering::Relaxed) - before);
    }
    assert_eq!(asked[..2], [2, 2], "A and AAAA");
    assert!(asked.contains(&0), "{asked:?}");
}

/// A resolver that knows every name at 127.0.0.1, and counts what it is asked.
async fn resolver() -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (address, questions) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&questions);
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            counted.fetch_add(1, Ordering::Relaxed);
            let mut message = Message::from_vec(&buffer[..length]).unwrap();
            message.metadata.message_type = MessageType::Response;
            let asked = message.queries[0].clone();
            if asked.query_type() == rr::RecordType::A {
                let address = rr::RData::A(Ipv4Addr::LOCALHOST.into());
                message.insert_answers(vec![rr::Record::from_rdata(asked.name().clone(), 60, address)]);
            }
            socket.send_to(&message.to_vec().unwrap(), from).await.unwrap();
        }
    });
    (address, questions)
}

#[tokio::test]
async fn the_certificate_of_a_side_is_checked_and_its_end_is_told() {
    let (port, file) = tls_server(HOST).await;
    let checker = checker("127.0.0.1", "127.0.0.9");
    let trusted = Check { ca_file: Some(file.path().to_owned()), ..check("https", port) };
    let sample = checker.run(&trusted, Target::Old).await;
    assert!(sample.passing, "{sample:?}");
    assert_eq!(sample.certificate_until.unwrap().to_string(), "2030-01-02T00:00:00Z");
    let demanding = Check { min_certificate: Some(Duration::from_secs(200 * 365 * 86_400)), ..trusted.clone() };
    assert!(checker.run(&demanding, Target::Old).await.reason.unwrap().starts_with("certificate expires in "));
    let missing = Check { ca_file: Some("/nonexistent/ca.pem".into()), ..trusted };
    assert!(checker.run(&missing, Target::Old).await.reason.unwrap().contains("/nonexistent/ca.pem cannot be used"));
}

#[tokio::test]
async fn a_certificate_of_another_name_is_not_believed() {
    let (port, file) = tls_server("other.example.test").await;
    let wrong = Check { ca_file: Some(file.path().to_owned()), ..check("https", port) };
    let reason = checker("127.0.0.1", "127.0.0.9").run(&wrong, Target::Old).await.reason.unwrap();
    assert!(reason.contains("certificate not valid for name"), "{reason}");
}
