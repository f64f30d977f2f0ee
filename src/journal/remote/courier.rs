//! Writing the log of a storage: a thread of its own, one object at a time, and a heartbeat when there is nothing to say.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::{FORMAT, HEARTBEAT, Head, Kind, Remote, RemoteError, Writer};
use crate::clock::{monotonic, wall_now};

/// How long a write may take in all, wall time: the engine waits for it.
const WRITE: Duration = Duration::from_secs(5);
/// After a write that failed the next ones fail at once for so long, wall time: people get their answers meanwhile.
const PAUSE: Duration = Duration::from_secs(2);

/// Lines to write, and where to say how it went.
type Parcel = (Vec<u8>, Sender<Result<(), RemoteError>>);

/// The engine's end.
pub(super) struct Courier {
    parcels: Sender<Parcel>,
    lost: Arc<Mutex<Option<Writer>>>,
    /// When the storage last failed, and why.
    failed: Option<(Instant, String)>,
}

/// The thread's end.
struct Post {
    remote: Remote,
    writer: Writer,
    /// The next object.
    next: u64,
    /// Objects of ours that are there although we gave them up.
    void: Vec<u64>,
    lost: Arc<Mutex<Option<Writer>>>,
}

impl Courier {
    /// Goes on behind object `last`, which is the writer's.
    pub(super) fn start(remote: Remote, writer: Writer, last: u64) -> io::Result<Self> {
        let (parcels, waiting) = channel();
        let lost = Arc::default();
        let mut post = Post { remote, writer, next: last + 1, void: Vec::new(), lost: Arc::clone(&lost) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("courier".into()).spawn(move || post.serve(&runtime, &waiting))?;
        Ok(Self { parcels, lost, failed: None })
    }

    /// Writes lines and returns once the storage has them.
    pub(super) fn deliver(&mut self, lines: &[u8]) -> io::Result<()> {
        self.check()?;
        if let Some((at, reason)) = &self.failed
            && monotonic().duration_since(*at) < PAUSE
        {
            return Err(io::Error::other(reason.clone()));
        }
        let (reply, answer) = channel();
        let gone = || io::Error::other("the thread that writes to the storage is gone");
        self.parcels.send((lines.to_vec(), reply)).map_err(|_| gone())?;
        let delivered = answer.recv().map_err(|_| gone())?;
        self.failed = delivered.as_ref().err().map(|error| (monotonic(), with_causes(error)));
        delivered.map_err(io::Error::other)
    }

    /// Fails once somebody else has the log, which a heartbeat may have found.
    pub(super) fn check(&self) -> io::Result<()> {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone();
        lost.map_or(Ok(()), |winner| Err(io::Error::other(RemoteError::Lost(winner))))
    }
}

impl Post {
    fn serve(&mut self, runtime: &tokio::runtime::Runtime, waiting: &Receiver<Parcel>) {
        loop {
            match waiting.recv_timeout(HEARTBEAT) {
                Ok((lines, reply)) => {
                    // An engine that does not wait any more has no use for the answer.
                    let _ = reply.send(self.write(runtime, Kind::Entries, &lines));
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = self.write(runtime, Kind::Heartbeat, &[]) {
                        tracing::warn!(error = %with_causes(&error), "no heartbeat");
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn write(&mut self, runtime: &tokio::runtime::Runtime, kind: Kind, lines: &[u8]) -> Result<(), RemoteError> {
        let place = self.remote.place(self.next);
        let limit = runtime.block_on(async { tokio::time::timeout(WRITE, self.put(kind, lines)).await });
        limit.unwrap_or_else(|_| {
            let source = io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", WRITE.as_secs()));
            let source = object_store::Error::Generic { store: "journal", source: Box::new(source) };
            Err(RemoteError::Storage { what: "write", place, source })
        })
    }

    /// Makes the next object; what of ours stands in the way was given up earlier and is declared void.
    async fn put(&mut self, kind: Kind, lines: &[u8]) -> Result<(), RemoteError> {
        loop {
            let (writer, void) = (self.writer.clone(), self.void.clone());
            let head = Head { v: FORMAT, object: self.next, kind, writer, wall: wall_now(), void };
            let bytes = self.remote.encode(&head, lines)?;
            if self.remote.write(self.next, bytes).await? {
                self.next += 1;
                self.void.clear();
                return Ok(());
            }
            let there = self.remote.object(self.next).await?;
            let there = there.ok_or_else(|| RemoteError::Unbelievable {
                place: self.remote.place(self.next),
                reason: "it stands there and cannot be read".into(),
            })?;
            if there.head == head && there.lines == lines {
                // The storage's client tried again after a lost answer, and found its own.
                self.next += 1;
                self.void.clear();
                return Ok(());
            }
            if there.head.writer.id != self.writer.id {
                *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(there.head.writer.clone());
                return Err(RemoteError::Lost(there.head.writer));
            }
            self.void.push(self.next);
            self.next += 1;
        }
    }
}

/// An error with its causes, on one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}
