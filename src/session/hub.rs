//! Where engine and cockpits meet: one fold, one lock, a bounded queue for each cockpit.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{Notify, Semaphore, mpsc, oneshot},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    frame::{TO_COCKPIT_MAX, encode},
    message::{Snapshot, Telemetry, ToCockpit},
};
use crate::{
    clock::{Clock, until_the_second_turns},
    plan::{Plan, StepId},
    run::{Event, Illegal, Operator, Refusal, Request, Sample, Seat, State},
};

/// How many messages wait for a cockpit before it is given a snapshot instead.
pub(super) const QUEUE: usize = 1024;
/// When so many wait, they go without waiting for further company: one answer of CloudWatch is 500 of them.
const CROWD: usize = QUEUE / 4;
/// How many requests of one cockpit may be unanswered or have an unread answer; further ones wait in the socket.
pub(super) const REPLIES: usize = 16;
/// How long a measurement waits for company at most, session time: a cockpit that wakes once for many costs a fraction.
/// Whatever a person waits for goes at once, and takes along what waits.
const COMPANY: Duration = Duration::from_secs(1);
/// The least of it, wall time, where a session runs faster than the wall.
const LEAST: Duration = Duration::from_millis(200);
/// How many messages of cockpits wait for the engine; further ones wait in their connections.
const INBOUND: usize = 64;

/// What cockpits want of the engine. The engine answers each `reply`; dropping one is a refusal.
#[derive(Debug)]
pub enum Inbound {
    /// A cockpit is here and would like a seat. A refusal turns it away.
    Attached {
        /// Who.
        operator: Operator,
        /// The seat it would like.
        seat: Seat,
        /// To be answered after the attachment was published.
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    /// A cockpit that was attached is gone.
    Detached {
        /// Who.
        operator: Operator,
    },
    /// A person asks for something.
    Request {
        /// Who.
        operator: Operator,
        /// For what; its texts have no control characters.
        request: Request,
        /// To be answered after the events that it led to were published.
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    /// Somebody waits for what is true now. It is told once the engine's own loop has turned: an engine that is kept
    /// waiting, by its disk say, is heard by nobody, however well its socket answers.
    Pulse {
        /// To be answered at once.
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
}

/// Shared by the engine, which publishes, and the server, which serves. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    board: Mutex<Board>,
    inbound: mpsc::Sender<Inbound>,
    connections: AtomicU64,
    closing: CancellationToken,
}

/// The fold that snapshots are taken of, and who waits for what.
#[derive(Debug)]
struct Board {
    clock: Clock,
    plan: Plan,
    state: State,
    telemetry: Telemetry,
    lanes: BTreeMap<u64, Lane>,
}

/// What waits for one cockpit.
#[derive(Debug)]
struct Lane {
    you: Operator,
    queue: VecDeque<Queued>,
    /// It has missed something: a snapshot goes first, and until then no news are queued.
    behind: bool,
    /// Something waits.
    ready: Arc<Notify>,
    /// Something waits that a person may be waiting for.
    urgent: Arc<Notify>,
    replies: Arc<Semaphore>,
}

#[derive(Debug)]
enum Queued {
    News(Bytes),
    Reply(Bytes),
}

/// What a connection writes next.
struct Due {
    snapshot: Option<Box<Snapshot>>,
    frames: Vec<Bytes>,
}

impl Hub {
    /// A hub that stands at `state`, and what its cockpits want.
    #[must_use]
    pub fn new(plan: Plan, clock: Clock, state: State) -> (Self, mpsc::Receiver<Inbound>) {
        let (inbound, receiver) = mpsc::channel(INBOUND);
        let board = Board { clock, plan, state, telemetry: Telemetry::default(), lanes: BTreeMap::new() };
        let shared = Shared {
            board: Mutex::new(board),
            inbound,
            connections: AtomicU64::new(1),
            closing: CancellationToken::new(),
        };
        (Self { shared: Arc::new(shared) }, receiver)
    }

    /// Tells everyone what happened. Call it in order, for every event, once it is on disk. Never blocks for a cockpit.
    ///
    /// # Errors
    /// [`Illegal`] when the event does not follow the last one: a fault of the caller, and nobody was told.
    pub fn publish(&self, event: &Event) -> Result<(), Illegal> {
        let mut board = self.board();
        board.state.apply(event)?;
        board.tell(true, || ToCockpit::Event(Box::new(event.clone())));
        Ok(())
    }

    /// Tells everyone what was measured.
    pub fn sample(&self, sample: Sample) {
        let mut board = self.board();
        board.tell(!sample.is_measured(), || ToCockpit::Sample(sample.clone()));
        board.telemetry.take(sample);
    }

    /// Everything as of now, addressed to nobody (connection 0).
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.board().snapshot(Operator::new(0, "", 0))
    }

    /// How many cockpits are attached.
    #[must_use]
    pub fn attached(&self) -> usize {
        self.board().lanes.len()
    }

    /// Ends the service: each cockpit still gets what waits for it, then its connection closes and
    /// [`super::Server::run`] returns.
    pub fn close(&self) {
        self.shared.closing.cancel();
    }

    pub(super) async fn closed(&self) {
        self.shared.closing.cancelled().await;
    }

    /// Who beside the engine's own user may enter.
    pub(super) fn access(&self) -> Option<crate::plan::Access> {
        self.board().plan.access.clone()
    }

    /// Tells everyone which step somebody looks at. Of an unknown step nothing is told.
    pub(super) fn looking(&self, conn: u64, step: StepId) {
        let mut board = self.board();
        let known = board.lanes.contains_key(&conn) && board.plan.step(&step).is_some();
        if known && board.telemetry.looks_at(conn) != Some(&step) {
            board.tell(false, || ToCockpit::Looking { conn, step: step.clone() });
            board.telemetry.look(conn, Some(step));
        }
    }

    pub(super) fn sandboxed(&self) -> bool {
        self.board().plan.environment.kind == crate::plan::EnvironmentKind::Sandbox
    }

    /// A connection number that no other connection of this engine has.
    pub(super) fn next_connection(&self) -> u64 {
        self.shared.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks the engine and waits for its answer.
    pub(super) async fn ask(
        &self,
        inbound: impl FnOnce(oneshot::Sender<Result<(), Refusal>>) -> Inbound,
    ) -> Result<(), Refusal> {
        let gone = || Refusal("the engine is going away".into());
        let (reply, answer) = oneshot::channel();
        self.shared.inbound.send(inbound(reply)).await.map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Waits until the engine's loop turns. An engine that goes away has nothing more to add to what is known of it.
    pub(super) async fn pulse(&self) {
        let _ = self.ask(|reply| Inbound::Pulse { reply }).await;
    }

    pub(super) async fn tell_gone(&self, operator: Operator) {
        // The engine that does not listen any more needs not know.
        let _ = self.shared.inbound.send(Inbound::Detached { operator }).await;
    }

    /// Opens the lane of a cockpit; it begins as one that has missed everything. Returns its budget of replies.
    pub(super) fn join(&self, you: Operator) -> Arc<Semaphore> {
        let replies = Arc::new(Semaphore::new(REPLIES));
        let (conn, budget) = (you.conn, Arc::clone(&replies));
        let (ready, urgent) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let lane = Lane { you, queue: VecDeque::new(), behind: true, ready, urgent, replies };
        self.board().lanes.insert(conn, lane);
        budget
    }

    pub(super) fn leave(&self, conn: u64) {
        let mut board = self.board();
        board.lanes.remove(&conn);
        board.telemetry.look(conn, None);
    }

    /// A cockpit asks for a snapshot.
    pub(super) fn resync(&self, conn: u64) {
        if let Some(lane) = self.board().lanes.get_mut(&conn) {
            lane.fall_behind();
        }
    }

    /// Queues the answer to a request; never dropped. The caller has taken a permit of the lane's budget for it.
    pub(super) fn reply(&self, conn: u64, id: u64, result: Result<(), Refusal>) {
        let Ok(frame) = encode(&ToCockpit::Reply { id, result }) else { return };
        if let Some(lane) = self.board().lanes.get_mut(&conn) {
            lane.queue.push_back(Queued::Reply(frame));
            lane.wake(true);
        }
    }

    /// Waits for something to write to a cockpit; None: the hub closes and everything was taken.
    pub(super) async fn next(&self, conn: u64) -> Option<Vec<Bytes>> {
        loop {
            let closing = self.shared.closing.is_cancelled();
            let (due, ready, urgent, company) = {
                let mut board = self.board();
                let due = board.take(conn)?;
                let lane = board.lanes.get(&conn)?;
                (due, Arc::clone(&lane.ready), Arc::clone(&lane.urgent), board.clock.to_wall(COMPANY))
            };
            // What takes long, making JSON of a snapshot, is done without the lock.
            let frames: Vec<Bytes> = due.snapshot.into_iter().filter_map(encode_snapshot).chain(due.frames).collect();
            match (frames.is_empty(), closing) {
                (false, _) => return Some(frames),
                (true, true) => return None,
                (true, false) => {}
            }
            let with_company = async {
                ready.notified().await;
                // A cockpit draws when the second turns: what arrives just then costs it no wake of its own.
                sleep(if company < COMPANY { company.max(LEAST) } else { until_the_second_turns() }).await;
            };
            tokio::select! {
                () = urgent.notified() => {}
                () = with_company => {}
                () = self.closed() => {}
            }
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        // A panic while the lock was held can only have come from an allocation: the fold is as good as before.
        self.shared.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    /// Queues news for all cockpits that are not behind; made into JSON once, and only if there are any.
    fn tell(&mut self, urgent: bool, message: impl FnOnce() -> ToCockpit) {
        let mut current = self.lanes.values_mut().filter(|lane| !lane.behind).peekable();
        if current.peek().is_none() {
            return;
        }
        match encode(&message()) {
            Ok(frame) => current.for_each(|lane| lane.push_news(frame.clone(), urgent)),
            Err(error) => tracing::error!(%error, "a message has no JSON"),
        }
    }

    fn take(&mut self, conn: u64) -> Option<Due> {
        let lane = self.lanes.get_mut(&conn)?;
        let behind = std::mem::replace(&mut lane.behind, false);
        let mut answered = 0;
        let frames = lane.queue.drain(..).map(|queued| match queued {
            Queued::News(frame) => frame,
            Queued::Reply(frame) => {
                answered += 1;
                frame
            }
        });
        let frames = frames.collect();
        lane.replies.add_permits(answered);
        let you = lane.you.clone();
        let snapshot = behind.then(|| Box::new(self.snapshot(you)));
        Some(Due { snapshot, frames })
    }

    fn snapshot(&self, you: Operator) -> Snapshot {
        let Self { clock, plan, state, telemetry, .. } = self;
        Snapshot { you, clock: *clock, plan: plan.clone(), state: state.clone(), telemetry: telemetry.clone() }
    }
}

impl Lane {
    fn wake(&self, urgent: bool) {
        if urgent { &self.urgent } else { &self.ready }.notify_one();
    }

    fn push_news(&mut self, frame: Bytes, urgent: bool) {
        if self.queue.len() >= QUEUE {
            self.fall_behind();
        } else {
            self.queue.push_back(Queued::News(frame));
            self.wake(urgent || self.queue.len() >= CROWD);
        }
    }

    fn fall_behind(&mut self) {
        self.queue.retain(|queued| matches!(queued, Queued::Reply(_)));
        self.behind = true;
        self.wake(true);
    }
}

/// A snapshot as a frame. If measurements make it longer than a frame may be, it goes without them: they are lossy.
pub(super) fn encode_snapshot(snapshot: Box<Snapshot>) -> Option<Bytes> {
    let whole = ToCockpit::Snapshot(snapshot);
    match (encode(&whole), whole) {
        (Ok(frame), _) if frame.len() <= TO_COCKPIT_MAX => Some(frame),
        (_, ToCockpit::Snapshot(snapshot)) => {
            let bare = Snapshot { telemetry: Telemetry::default(), ..*snapshot };
            encode(&ToCockpit::Snapshot(Box::new(bare))).ok()
        }
        _ => None,
    }
}
