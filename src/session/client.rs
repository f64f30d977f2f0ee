//! A cockpit's end of the socket.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

use super::{
    frame::{TO_COCKPIT_MAX, TO_ENGINE_MAX, codec, decode, encode},
    message::{PROTOCOL, Snapshot, ToCockpit, ToEngine},
    origin::origin_here,
    socket::resolve,
};
use crate::{
    plan::StepId,
    run::{Origin, Request, Seat},
};

/// How long an engine may take for its first answer, wall time.
const ANSWER: Duration = Duration::from_secs(10);

/// Why a cockpit did not get in.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens there: the engine is not running (yet, or any more).
    #[error("failed to reach the engine at {path}")]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The engine said no; asking again will not help.
    #[error("failed to attach: {0}")]
    Refused(String),
    /// No engine runs the session, and whoever asks may not start one.
    #[error("no engine runs it")]
    NotRunning {
        /// The command that starts it again.
        restart: String,
    },
    /// The connection broke, or what came is no answer.
    #[error("failed to attach to the engine at {path}")]
    Lost {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        lost: Lost,
    },
}

impl ConnectError {
    /// Whether there is an engine that let this user in all the same: one that stands still, or speaks another protocol.
    #[must_use]
    pub const fn stands(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Lost { lost: Lost::Silent, .. })
    }
}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The engine closed it, or died.
    #[error("the engine closed the connection")]
    Closed,
    /// It did not answer in time.
    #[error("the engine did not answer within {} s", ANSWER.as_secs())]
    Silent,
    /// Reading or writing failed.
    #[error("failed to talk to the engine")]
    Io(#[from] io::Error),
    /// A frame that this program does not understand.
    #[error("failed to understand the engine")]
    Garbled(#[from] serde_json::Error),
}

/// One attached connection.
#[derive(Debug)]
pub struct Client {
    sender: Sender,
    receiver: Receiver,
}

/// The half that asks.
#[derive(Debug)]
pub struct Sender {
    frames: FramedWrite<OwnedWriteHalf, LengthDelimitedCodec>,
    last_id: u64,
}

/// The half that hears.
#[derive(Debug)]
pub struct Receiver {
    frames: FramedRead<OwnedReadHalf, LengthDelimitedCodec>,
}

impl Client {
    /// Attaches to the engine behind a socket or a session's link to it ([`crate::journal::SessionDir::socket`]).
    ///
    /// # Errors
    /// [`ConnectError`]: not running, refused, or broken.
    pub async fn connect(path: &Path, seat: Seat, autopilot: bool) -> Result<(Self, Box<Snapshot>), ConnectError> {
        Self::connect_as(path, seat, autopilot, origin_here(None)).await
    }

    /// The same, with what is known of the person ([`origin_here`]).
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_as(
        path: &Path,
        seat: Seat,
        autopilot: bool,
        origin: Origin,
    ) -> Result<(Self, Box<Snapshot>), ConnectError> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        enter(path, &ToEngine::Hello { protocol: PROTOCOL, version, seat, autopilot, origin }).await
    }

    /// Takes one snapshot without attaching: nobody sees it and nothing is journaled.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn peek(path: &Path) -> Result<Box<Snapshot>, ConnectError> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let (_, snapshot) = enter(path, &ToEngine::Peek { protocol: PROTOCOL, version }).await?;
        Ok(snapshot)
    }

    /// Asks for something; the number that is returned comes back in the reply.
    ///
    /// # Errors
    /// [`Lost`]: whether it arrived is not known.
    pub async fn send(&mut self, request: Request) -> Result<u64, Lost> {
        self.sender.send(request).await
    }

    /// The next message. Cancel-safe: dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Lost`]: nothing more will come.
    pub async fn recv(&mut self) -> Result<ToCockpit, Lost> {
        self.receiver.recv().await
    }

    /// Both halves, to be used apart.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }
}

impl Sender {
    /// As [`Client::send`].
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send(&mut self, request: Request) -> Result<u64, Lost> {
        self.last_id += 1;
        self.send_as(self.last_id, request).await?;
        Ok(self.last_id)
    }

    /// Asks under a number of the caller's choice.
    pub(super) async fn send_as(&mut self, id: u64, request: Request) -> Result<(), Lost> {
        self.write(&ToEngine::Request { id, request }).await
    }

    /// Tells which step the person looks at.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn looking(&mut self, step: StepId) -> Result<(), Lost> {
        self.write(&ToEngine::Looking { step }).await
    }

    /// Asks for a fresh snapshot.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn resync(&mut self) -> Result<(), Lost> {
        self.write(&ToEngine::Resync).await
    }

    async fn write(&mut self, message: &ToEngine) -> Result<(), Lost> {
        self.frames.send(encode(message)?).await.map_err(Lost::from)
    }
}

impl Receiver {
    /// As [`Client::recv`].
    ///
    /// # Errors
    /// As [`Client::recv`].
    pub async fn recv(&mut self) -> Result<ToCockpit, Lost> {
        let frame = self.frames.next().await.ok_or(Lost::Closed)??;
        Ok(decode(&frame)?)
    }
}

async fn enter(path: &Path, hello: &ToEngine) -> Result<(Client, Box<Snapshot>), ConnectError> {
    let path = resolve(path);
    let stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream,
        Err(source) => return Err(ConnectError::Unreachable { path, source }),
    };
    let (read, write) = stream.into_split();
    let mut sender = Sender { frames: FramedWrite::new(write, codec(TO_ENGINE_MAX)), last_id: 0 };
    let mut receiver = Receiver { frames: FramedRead::new(read, codec(TO_COCKPIT_MAX)) };
    // An engine that has no room closes at once; what it may have said before is read even if the hello fails.
    let said = sender.write(hello).await;
    let answer = timeout(ANSWER, receiver.recv()).await.unwrap_or(Err(Lost::Silent));
    match answer {
        Ok(ToCockpit::Snapshot(snapshot)) => Ok((Client { sender, receiver }, snapshot)),
        Ok(ToCockpit::Refused { reason }) => Err(ConnectError::Refused(reason)),
        Ok(_) => Err(ConnectError::Refused("the engine's first answer is no snapshot".into())),
        Err(lost) => Err(ConnectError::Lost { path, lost: said.err().unwrap_or(lost) }),
    }
}
