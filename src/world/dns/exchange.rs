//! Questions out, answers in: UDP first, TCP when the answer does not fit.

use std::{io, net::SocketAddr, os::fd::OwnedFd, time::Duration};

use hickory_proto::op::{Message, ResponseCode};
use rustix::{
    buffer::spare_capacity,
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest, unix::AsyncFd},
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{DnsError, answer::printable};
use crate::clock::monotonic;

/// Room for a UDP answer: more than we said we take, for servers that do not listen.
const UDP_ROOM: usize = 4096;

pub(super) struct Reply<'a> {
    pub(super) query: &'a Message,
    pub(super) message: Message,
    pub(super) via_tcp: bool,
}

/// What some bytes are, measured against the question (RFC 5452, section 9.1).
enum Received {
    /// Not an answer to this question: somebody guesses, or an answer comes late.
    Stray,
    /// The right id, too long for UDP.
    Truncated,
    /// The right id, but no DNS message.
    Garbled(String),
    Answer(Box<Message>),
}

/// A question on its way.
struct Asked<'a> {
    query: &'a Message,
    wire: Vec<u8>,
    received: Option<io::Result<Received>>,
    via_tcp: bool,
}

impl<'a> Asked<'a> {
    fn new(query: &'a Message) -> Self {
        let (wire, received) = match query.to_vec() {
            Ok(wire) => (wire, None),
            Err(error) => (Vec::new(), Some(Ok(Received::Garbled(printable(&error.to_string()))))),
        };
        Self { query, wire, received, via_tcp: false }
    }

    fn reply(self, server: SocketAddr, limit: Duration) -> Result<Reply<'a>, DnsError> {
        let garbled = |reason: &str| DnsError::Garbled { server, reason: reason.to_owned() };
        match self.received {
            None => Err(DnsError::Timeout { server, after: limit }),
            Some(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
                Err(DnsError::Timeout { server, after: limit })
            }
            Some(Err(source)) => Err(DnsError::Unreachable { server, source }),
            Some(Ok(Received::Answer(message))) => {
                Ok(Reply { query: self.query, message: *message, via_tcp: self.via_tcp })
            }
            Some(Ok(Received::Garbled(reason))) => Err(garbled(&reason)),
            Some(Ok(Received::Stray)) => Err(garbled("it answers another question")),
            Some(Ok(Received::Truncated)) => Err(garbled("it is truncated over TCP, too")),
        }
    }
}

/// Sends the questions and waits for their answers, no longer than `limit` altogether. Those of one call share a socket,
/// as in the system's own resolver.
pub(super) async fn exchange<const N: usize>(
    server: SocketAddr,
    queries: &[Message; N],
    limit: Duration,
) -> [Result<Reply<'_>, DnsError>; N] {
    let begun = Instant::from_std(monotonic());
    let mut asked = queries.each_ref().map(Asked::new);
    if let Err(error) = over_udp(server, &mut asked, begun, limit).await {
        // What has come before counts.
        for each in asked.iter_mut().filter(|each| each.received.is_none()) {
            each.received = Some(Err(same(&error)));
        }
    }
    for each in asked.iter_mut().filter(|each| matches!(each.received, Some(Ok(Received::Truncated)))) {
        let answer = timeout_at(begun + limit, over_tcp(server, each.query, &each.wire)).await;
        (each.received, each.via_tcp) = (Some(answer.unwrap_or_else(|late| Err(late.into()))), true);
    }
    asked.map(|each| each.reply(server, limit))
}

/// An error for each of those whom it concerns.
fn same(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// What has no answer after half of the time is sent once more, because datagrams get lost.
async fn over_udp(server: SocketAddr, asked: &mut [Asked<'_>], begun: Instant, limit: Duration) -> io::Result<()> {
    let socket = connect(server)?;
    for until in [begun + limit / 2, begun + limit] {
        for each in asked.iter().filter(|each| each.received.is_none()) {
            rustix::net::send(&socket, &each.wire, SendFlags::empty())?;
        }
        if let Ok(received) = timeout_at(until, receive(&socket, asked)).await {
            return received;
        }
    }
    Ok(())
}

/// A socket whose port the system picks as it connects. The runtime watches it for what comes in only: that a new socket
/// can be written to would be one more wake-up for each question.
#[expect(deprecated, reason = "its successor is unsafe, for types whose descriptor may change; an OwnedFd's does not")]
fn connect(server: SocketAddr) -> io::Result<AsyncFd<OwnedFd>> {
    let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::DGRAM, flags, None)?;
    rustix::net::connect(&socket, &server)?;
    AsyncFd::with_interest(socket, Interest::READABLE)
}

/// Takes datagrams until each question has its answer.
async fn receive(socket: &AsyncFd<OwnedFd>, asked: &mut [Asked<'_>]) -> io::Result<()> {
    while asked.iter().any(|each| each.received.is_none()) {
        let datagram = socket.async_io(Interest::READABLE, |socket| {
            let mut datagram = Vec::with_capacity(UDP_ROOM);
            rustix::net::recv(socket, spare_capacity(&mut datagram), RecvFlags::empty())?;
            Ok(datagram)
        });
        let datagram = datagram.await?;
        for each in asked.iter_mut().filter(|each| each.received.is_none()) {
            match read(each.query, &datagram) {
                Received::Stray => {}
                received => each.received = Some(Ok(received)),
            }
        }
    }
    Ok(())
}

/// Two bytes of length before each message (RFC 1035, section 4.2.2).
async fn over_tcp(server: SocketAddr, query: &Message, wire: &[u8]) -> io::Result<Received> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(wire.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), wire].concat()).await?;
    let mut buffer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut buffer).await?;
    Ok(read(query, &buffer))
}

/// The truncated flag is looked at before the message is decoded: some servers cut in the middle of a record.
fn read(query: &Message, bytes: &[u8]) -> Received {
    let [id_high, id_low, flags, ..] = *bytes else { return Received::Stray };
    let is_response = flags & 0x80 != 0;
    if !is_response || u16::from_be_bytes([id_high, id_low]) != query.metadata.id {
        return Received::Stray;
    }
    if flags & 0x02 != 0 {
        return Received::Truncated;
    }
    match Message::from_vec(bytes) {
        Ok(message) if same_question(query, &message) => Received::Answer(Box::new(message)),
        Ok(_) => Received::Stray,
        Err(error) => Received::Garbled(printable(&error.to_string())),
    }
}

/// A server that could not read the question need not repeat it.
fn same_question(query: &Message, reply: &Message) -> bool {
    let unread = matches!(
        reply.metadata.response_code,
        ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::ServFail | ResponseCode::Refused
    );
    reply.queries == query.queries || (reply.queries.is_empty() && unread)
}
