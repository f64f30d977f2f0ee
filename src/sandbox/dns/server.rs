//! The wire: UDP and TCP on one port, over hickory's message codec.
//!
//! hickory-server would bring catalogues, zone handlers and a runtime abstraction for what is one match on a question
//! here; both loops together are shorter than its glue.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{self, DNSClass, Name, RData},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::DnsStartError;
use crate::sandbox::zone::{Record, RecordType};

/// The largest UDP answer that is ever sent, in bytes (DNS flag day 2020).
const MAX_PAYLOAD: u16 = 1232;

/// A TCP connection that asks nothing for so long is closed.
const IDLE: Duration = Duration::from_secs(10);

/// How long a loop rests after the system refused it something (no more file descriptors, say).
const REST: Duration = Duration::from_millis(50);

/// What answers on a port.
pub(super) trait Answering: Send + Sync + 'static {
    /// How long an answer takes, by the wall clock; `None`: there is none.
    fn delay(&self) -> Option<Duration>;

    /// The answer to one question in class IN.
    fn answer(&self, name: &str, rtype: RecordType) -> Reply;
}

/// An answer before it is put into a message.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) rcode: ResponseCode,
    pub(super) authoritative: bool,
    pub(super) recursion_available: bool,
    pub(super) records: Vec<Record>,
    pub(super) soa: Option<Record>,
}

impl Reply {
    /// An answer with nothing but a code.
    pub(super) const fn error(rcode: ResponseCode) -> Self {
        Self { rcode, authoritative: false, recursion_available: false, records: Vec::new(), soa: None }
    }
}

/// Listens on `addr`, UDP and TCP on the same port, and serves until `tasks` is dropped. Returns the address with its port.
pub(super) async fn spawn(
    addr: SocketAddr,
    server: Arc<dyn Answering>,
    tasks: &mut JoinSet<()>,
) -> Result<SocketAddr, DnsStartError> {
    let (udp, tcp) = bind(addr).await.map_err(|source| DnsStartError { addr, source })?;
    let bound = tcp.local_addr().map_err(|source| DnsStartError { addr, source })?;
    tasks.spawn(serve_udp(Arc::new(udp), Arc::clone(&server)));
    tasks.spawn(serve_tcp(tcp, server));
    Ok(bound)
}

/// A port that is free for UDP may be taken for TCP: then another one is tried, if it was ours to choose.
async fn bind(addr: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut tries = if addr.port() == 0 { 16 } else { 1 };
    loop {
        let udp = UdpSocket::bind(addr).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) if tries == 1 => return Err(error),
            Err(_) => tries -= 1,
        }
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, server: Arc<dyn Answering>) {
    let mut answers = JoinSet::new();
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        while answers.try_join_next().is_some() {}
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            sleep(REST).await;
            continue;
        };
        let Some(delay) = server.delay() else { continue };
        let (socket, server, query) = (Arc::clone(&socket), Arc::clone(&server), buffer[..length].to_vec());
        answers.spawn(async move {
            wait(delay).await;
            if let Some(reply) = respond(&*server, &query, MAX_PAYLOAD) {
                // Nobody waits for an answer that cannot be sent: the client asks again.
                let _ = socket.send_to(&reply, from).await;
            }
        });
    }
}

async fn serve_tcp(listener: TcpListener, server: Arc<dyn Answering>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            sleep(REST).await;
            continue;
        };
        let server = Arc::clone(&server);
        connections.spawn(async move {
            // The connection ends with its first error; the client sees that, and nobody else needs to.
            let _ = converse(stream, &*server).await;
        });
    }
}

/// A timer's shortest sleep is a millisecond, which would be the slowest part of an answer.
async fn wait(delay: Duration) {
    if !delay.is_zero() {
        sleep(delay).await;
    }
}

/// Two bytes of length before each message (RFC 1035, section 4.2.2).
async fn converse(mut stream: TcpStream, server: &dyn Answering) -> io::Result<()> {
    loop {
        let length = timeout(IDLE, stream.read_u16()).await??;
        let mut query = vec![0; usize::from(length)];
        timeout(IDLE, stream.read_exact(&mut query)).await??;
        let Some(delay) = server.delay() else { continue };
        wait(delay).await;
        let Some(reply) = respond(server, &query, u16::MAX) else { return Ok(()) };
        let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes(), reply.as_slice()].concat()).await?;
    }
}

/// The reply to some bytes, if they deserve one. `room` is what the transport carries at most.
pub(super) fn respond(server: &dyn Answering, bytes: &[u8], room: u16) -> Option<Vec<u8>> {
    let Ok(query) = Message::from_vec(bytes) else { return malformed(bytes) };
    if query.metadata.message_type != MessageType::Query {
        return None;
    }
    let over_tcp = room == u16::MAX;
    let room = if over_tcp { room } else { room.min(query.max_payload()) };
    let message = fill(server, &query);
    let wire = message.to_vec().ok()?;
    if wire.len() <= usize::from(room) { Some(wire) } else { message.truncate().to_vec().ok() }
}

/// FORMERR under the id of what could not be read, unless it was an answer: two servers must not talk to each other.
fn malformed(bytes: &[u8]) -> Option<Vec<u8>> {
    let [high, low, flags, ..] = *bytes else { return None };
    let id = u16::from_be_bytes([high, low]);
    let is_query = flags & 0x80 == 0;
    is_query.then(|| Message::error_msg(id, OpCode::Query, ResponseCode::FormErr).to_vec().ok()).flatten()
}

fn fill(server: &dyn Answering, query: &Message) -> Message {
    let reply = answer(server, query);
    let mut message = Message::response(query.metadata.id, query.metadata.op_code);
    message.add_queries(query.queries.iter().cloned());
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_PAYLOAD);
        message.set_edns(edns);
    }
    message.metadata.recursion_desired = query.metadata.recursion_desired;
    message.metadata.recursion_available = reply.recursion_available;
    message.metadata.authoritative = reply.authoritative;
    let answers: Option<Vec<_>> = reply.records.iter().map(wire_record).collect();
    let authorities: Option<Vec<_>> = reply.soa.iter().map(wire_record).collect();
    if let (Some(answers), Some(authorities)) = (answers, authorities) {
        message.metadata.response_code = reply.rcode;
        message.insert_answers(answers);
        message.insert_authorities(authorities);
    } else {
        // A value that is no valid record data: the zone is broken, not the question.
        message.metadata.response_code = ResponseCode::ServFail;
    }
    message
}

fn answer(server: &dyn Answering, query: &Message) -> Reply {
    let [question] = query.queries.as_slice() else { return Reply::error(ResponseCode::FormErr) };
    if query.version() > 0 {
        return Reply::error(ResponseCode::BADVERS);
    }
    if query.metadata.op_code != OpCode::Query {
        return Reply::error(ResponseCode::NotImp);
    }
    match asked_type(question) {
        Ok(rtype) => server.answer(&question.name.to_ascii(), rtype),
        Err(rcode) => Reply::error(rcode),
    }
}

/// ANY is refused (RFC 8482 allows it), and so are transfers and classes other than IN.
fn asked_type(question: &Query) -> Result<RecordType, ResponseCode> {
    let meta = matches!(question.query_type, rr::RecordType::ANY | rr::RecordType::AXFR | rr::RecordType::IXFR);
    if meta || question.query_class != DNSClass::IN {
        return Err(ResponseCode::Refused);
    }
    question.query_type.to_string().parse().map_err(|()| ResponseCode::NotImp)
}

fn wire_record(record: &Record) -> Option<rr::Record> {
    let rtype = record.rtype.as_str().parse().ok()?;
    let data = RData::try_from_str(rtype, &record.value).ok()?;
    Some(rr::Record::from_rdata(Name::from_ascii(&record.name).ok()?, record.ttl, data))
}
