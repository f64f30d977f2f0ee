//! One question out, one answer in: UDP first, TCP when the answer does not fit.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use hickory_proto::op::{Message, ResponseCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::{DnsError, answer::printable};

/// Room for a UDP answer: more than we said we take, for servers that do not listen.
const UDP_ROOM: usize = 4096;

pub(super) struct Reply {
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

/// Sends the question and waits for its answer, no longer than `limit` altogether.
pub(super) async fn exchange(server: SocketAddr, query: &Message, limit: Duration) -> Result<Reply, DnsError> {
    let garbled = |reason: String| DnsError::Garbled { server, reason };
    let wire = query.to_vec().map_err(|error| garbled(error.to_string()))?;
    let both = async {
        match over_udp(server, query, &wire, limit).await? {
            Received::Truncated => over_tcp(server, query, &wire).await.map(|received| (received, true)),
            other => Ok((other, false)),
        }
    };
    let outcome = timeout(limit, both).await.map_err(|_| DnsError::Timeout { server, after: limit })?;
    match outcome.map_err(|source| DnsError::Unreachable { server, source })? {
        (Received::Answer(message), via_tcp) => Ok(Reply { message: *message, via_tcp }),
        (Received::Garbled(reason), _) => Err(garbled(reason)),
        (Received::Stray, _) => Err(garbled("it answers another question".to_owned())),
        (Received::Truncated, _) => Err(garbled("it is truncated over TCP, too".to_owned())),
    }
}

/// The question is sent once more after half of the time, because datagrams get lost.
async fn over_udp(server: SocketAddr, query: &Message, wire: &[u8], limit: Duration) -> io::Result<Received> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(wire).await?;
    if let Ok(received) = timeout(limit / 2, receive(&socket, query)).await {
        return received;
    }
    socket.send(wire).await?;
    receive(&socket, query).await
}

async fn receive(socket: &UdpSocket, query: &Message) -> io::Result<Received> {
    let mut buffer = vec![0; UDP_ROOM];
    loop {
        let length = socket.recv(&mut buffer).await?;
        match read(query, &buffer[..length]) {
            Received::Stray => {}
            received => return Ok(received),
        }
    }
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
