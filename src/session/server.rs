//! The engine's end of the socket. It knows nothing of the engine but its [`Hub`].

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt as _};
use tokio::{
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

use super::{
    frame::{TO_COCKPIT_MAX, TO_ENGINE_MAX, codec, decode, encode},
    hub::{Hub, Inbound, encode_snapshot},
    message::{PROTOCOL, ToCockpit, ToEngine},
    peer::admitted,
    socket::{BindError, Bound, bind},
};
use crate::{
    journal::SessionDir,
    plan::Access,
    run::{Operator, Origin, Request, Seat},
};

/// How long a peer may take for its hello, wall time.
const HELLO: Duration = Duration::from_secs(5);
/// How long closing waits for cockpits that do not read, wall time.
const FAREWELL: Duration = Duration::from_secs(1);
/// How often the socket is looked after, wall time.
const LOOK: Duration = Duration::from_millis(500);
/// How many connections there may be at once.
const CONNECTIONS: usize = 64;

/// How much of what a peer says is read ahead while the engine answers.
const AHEAD: usize = 16;

type Outgoing = FramedWrite<OwnedWriteHalf, LengthDelimitedCodec>;

/// What a peer says. While the engine is waited for it is read on, so that who has gone is known at once: whoever comes
/// again after an engine that stood still must not find the seat taken by the connection before.
struct Incoming {
    frames: FramedRead<OwnedReadHalf, LengthDelimitedCodec>,
    ahead: VecDeque<io::Result<BytesMut>>,
}

impl Incoming {
    fn new(read: OwnedReadHalf) -> Self {
        Self { frames: FramedRead::new(read, codec(TO_ENGINE_MAX)), ahead: VecDeque::new() }
    }

    /// None: the peer has gone.
    async fn next(&mut self) -> Option<io::Result<BytesMut>> {
        match self.ahead.pop_front() {
            Some(frame) => Some(frame),
            None => self.frames.next().await,
        }
    }

    /// Waits for the engine. None: the peer has gone, and nobody wants the answer.
    async fn meanwhile<T>(&mut self, answer: impl Future<Output = T>) -> Option<T> {
        let mut answer = pin!(answer);
        loop {
            tokio::select! {
                answer = &mut answer => return Some(answer),
                frame = self.frames.next(), if self.ahead.len() < AHEAD => self.ahead.push_back(frame?),
            }
        }
    }
}

/// A bound socket that is not served yet.
#[derive(Debug)]
pub struct Server {
    bound: Bound,
    dir: SessionDir,
    runtime: Option<PathBuf>,
    access: Option<Access>,
    pub(super) hello: Duration,
}

/// What a peer came for.
enum Visit {
    Attach(Seat, Origin),
    Peek,
}

impl Server {
    /// Listens on a session's socket (mode 0600, in a directory of mode 0700) and sets the session's link to it.
    /// `runtime` is usually [`super::runtime_dir`]. The caller holds the session's lock.
    ///
    /// # Errors
    /// [`BindError`] when no place will do.
    pub fn bind(dir: &SessionDir, runtime: Option<&Path>) -> Result<Self, BindError> {
        Self::bind_for(dir, runtime, None)
    }

    /// The same where a plan's `[access]` lets other users in: the socket then stands where its group can reach it
    /// (mode 0660, in a directory of mode 0750), see [`super::shared_sessions`]. The session's own directory stays
    /// private.
    ///
    /// # Errors
    /// As [`Self::bind`], also when there is no such group or this user may not give files to it.
    pub fn bind_for(dir: &SessionDir, runtime: Option<&Path>, access: Option<&Access>) -> Result<Self, BindError> {
        let bound = bind(dir, runtime, access)?;
        let (runtime, access) = (runtime.map(Path::to_owned), access.cloned());
        Ok(Self { bound, dir: dir.clone(), runtime, access, hello: HELLO })
    }

    /// Serves cockpits until [`Hub::close`]. A socket that somebody removed is made again; who is attached stays so.
    pub async fn run(mut self, hub: Hub) {
        let mut visits = JoinSet::new();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = hub.closed() => break,
                _ = look.tick() => self.look_after(),
                Some(_) = visits.join_next(), if !visits.is_empty() => {}
                accepted = self.bound.listener.accept() => match accepted {
                    Ok((stream, _)) if visits.len() < CONNECTIONS => {
                        visits.spawn(serve(stream, hub.clone(), self.hello));
                    }
                    Ok(_) => tracing::warn!("turned a connection away: there are {CONNECTIONS} already"),
                    Err(error) => {
                        // Out of file descriptors, most likely: trying at once would spin.
                        tracing::warn!(%error, "failed to accept a connection");
                        sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
        let all_gone = async { while visits.join_next().await.is_some() {} };
        if timeout(FAREWELL, all_gone).await.is_err() {
            tracing::warn!("closed with cockpits that did not read");
        }
    }

    fn look_after(&mut self) {
        if self.bound.stands() {
            return;
        }
        match bind(&self.dir, self.runtime.as_deref(), self.access.as_ref()) {
            Ok(bound) => {
                tracing::warn!("the socket was gone: it stands again");
                self.bound.replace(bound);
            }
            Err(error) => tracing::warn!(%error, "the socket is gone, and cannot be made again yet"),
        }
    }
}

/// One connection from the kernel's word on who it is to its end.
async fn serve(stream: UnixStream, hub: Hub, patience: Duration) {
    let peer = match admitted(&stream, hub.access().as_ref()) {
        Ok(Some(peer)) => peer,
        // Any other user is told nothing, not even that this is an engine.
        refused => return tracing::warn!(?refused, "refused a connection of another user"),
    };
    let (read, write) = stream.into_split();
    let mut incoming = Incoming::new(read);
    let mut outgoing = FramedWrite::new(write, codec(TO_COCKPIT_MAX));
    let visit = match timeout(patience, incoming.next()).await {
        // Not refused: a cockpit takes that as the last word, and this one may only have been too slow.
        Err(_) => return tracing::warn!("closed a connection on which no hello came"),
        Ok(None) => return,
        Ok(Some(frame)) => understand(frame).and_then(|first| greet(first, hub.sandboxed())),
    };
    let ended = match visit {
        Ok(Visit::Peek) => peek(&hub, &mut outgoing).await,
        Ok(Visit::Attach(seat, origin)) => {
            attend(peer.operator(hub.next_connection(), origin), seat, &hub, incoming, &mut outgoing).await
        }
        Err(reason) => refuse(&mut outgoing, reason).await,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

fn understand(frame: io::Result<BytesMut>) -> Result<ToEngine, String> {
    let frame = frame.map_err(|error| format!("a frame cannot be read: {error}"))?;
    decode(&frame).map_err(|error| format!("a frame is not understood: {error}"))
}

fn greet(first: ToEngine, sandboxed: bool) -> Result<Visit, String> {
    let (protocol, version, visit, autopilot) = match first {
        ToEngine::Hello { protocol, version, seat, autopilot, origin } => {
            (protocol, version, Visit::Attach(seat, origin), autopilot)
        }
        ToEngine::Peek { protocol, version } => (protocol, version, Visit::Peek, false),
        _ => return Err("the first frame must be a hello".to_owned()),
    };
    if protocol != PROTOCOL {
        let ours = env!("CARGO_PKG_VERSION");
        return Err(format!(
            "this engine (cutover {ours}) speaks protocol {PROTOCOL}, and the cockpit (cutover {}) speaks {protocol}: \
             use the program that started the engine",
            cleaned(&version)
        ));
    }
    if autopilot && !sandboxed {
        return Err("the autopilot drives in a sandbox only: a real environment needs a person".to_owned());
    }
    Ok(visit)
}

async fn refuse(outgoing: &mut Outgoing, reason: String) -> io::Result<()> {
    outgoing.send(encode(&ToCockpit::Refused { reason })?).await
}

async fn peek(hub: &Hub, outgoing: &mut Outgoing) -> io::Result<()> {
    hub.pulse().await;
    let frame = encode_snapshot(Box::new(hub.snapshot()));
    outgoing.send(frame.unwrap_or_default()).await
}

async fn attend(
    you: Operator,
    seat: Seat,
    hub: &Hub,
    mut incoming: Incoming,
    outgoing: &mut Outgoing,
) -> io::Result<()> {
    let (conn, operator) = (you.conn, you.clone());
    match incoming.meanwhile(hub.ask(|reply| Inbound::Attached { operator, seat, reply })).await {
        Some(Ok(())) => {}
        Some(Err(refusal)) => return refuse(outgoing, refusal.0).await,
        None => {
            // It may have been seated by now.
            hub.tell_gone(you).await;
            return Ok(());
        }
    }
    let budget = hub.join(you.clone());
    let ended = tokio::select! {
        ended = write_all(conn, hub, outgoing) => ended.map(|()| None),
        complaint = read_all(&you, hub, incoming, &budget) => Ok(complaint),
    };
    hub.leave(conn);
    hub.tell_gone(you).await;
    match ended? {
        // Best effort: whoever sends garbage may not read either.
        Some(reason) => timeout(FAREWELL, refuse(outgoing, reason)).await.unwrap_or(Ok(())),
        None => Ok(()),
    }
}

/// Writes what waits, many frames at once.
async fn write_all(conn: u64, hub: &Hub, outgoing: &mut Outgoing) -> io::Result<()> {
    while let Some(frames) = hub.next(conn).await {
        for frame in frames {
            outgoing.feed(frame).await?;
        }
        SinkExt::<Bytes>::flush(outgoing).await?;
    }
    Ok(())
}

/// Takes requests one after the other until the peer goes (None) or sends what is no request (the complaint).
async fn read_all(you: &Operator, hub: &Hub, mut incoming: Incoming, budget: &Semaphore) -> Option<String> {
    loop {
        // Given back when the answer is on its way: whoever does not read answers asks no more.
        budget.acquire().await.ok()?.forget();
        let (id, request) = loop {
            match understand(incoming.next().await?) {
                Ok(ToEngine::Request { id, request }) => break (id, request),
                Ok(ToEngine::Resync) => {
                    incoming.meanwhile(hub.pulse()).await?;
                    hub.resync(you.conn);
                }
                Ok(ToEngine::Looking { step }) => hub.looking(you.conn, step),
                Ok(_) => return Some("a second hello on one connection".to_owned()),
                Err(reason) => return Some(reason),
            }
        };
        let (operator, request) = (you.clone(), clean(request));
        let result = incoming.meanwhile(hub.ask(|reply| Inbound::Request { operator, request, reply })).await?;
        hub.reply(you.conn, id, result);
    }
}

/// Replaces control characters in what a person wrote: it reaches the journal and other people's terminals. Replaced
/// and not removed, so that a typed name which had some never matches.
fn clean(mut request: Request) -> Request {
    let texts: [Option<&mut String>; 2] = match &mut request {
        Request::Skip { reason, .. } | Request::Hold { reason } | Request::BeginRollback { reason } => {
            [Some(reason), None]
        }
        Request::Override { typed, reason, .. } | Request::Resolve { typed, reason, .. } => [Some(typed), Some(reason)],
        Request::Note { text } => [Some(text), None],
        Request::Confirm { typed, .. } => [typed.as_mut(), None],
        _ => [None, None],
    };
    for text in texts.into_iter().flatten() {
        *text = cleaned(text);
    }
    request
}

fn cleaned(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}
