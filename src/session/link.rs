//! A connection that comes back: what the cockpit's loop talks to.

use std::{
    collections::{BTreeSet, VecDeque},
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, timeout_at},
};

use super::{
    client::{Client, ConnectError, Lost},
    hub::REPLIES,
    message::{Snapshot, ToCockpit},
};
use crate::{
    clock::monotonic,
    journal::{ReadError, Reader},
    plan::StepId,
    run::{Event, Refusal, Request, Seat},
};

/// How many messages wait for the cockpit; further ones wait in the socket, and then the engine makes a snapshot of them.
const NEWS: usize = 256;
/// First and longest time between two tries to connect, wall time.
const WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// An engine that has said nothing for so long is asked for a snapshot; one that does not answer that within as long again
/// is not heard any more, wall time. One that runs has something to say every second or so.
const SILENCE: Duration = Duration::from_secs(5);

/// What a cockpit hears.
#[derive(Debug)]
pub enum News {
    /// Attached, for the first time or again.
    Up(Box<Snapshot>),
    /// From the engine.
    Message(ToCockpit),
    /// Not attached; another try follows by itself. Requests are refused until [`News::Up`].
    Down {
        /// Why.
        reason: String,
        /// The command that starts the engine again; None: it runs, as far as is known, or is started by itself.
        restart: Option<String>,
    },
    /// The engine will not have this cockpit: no further try.
    Refused {
        /// Why.
        reason: String,
    },
    /// What [`Link::past`] asked for, oldest first; empty: there is nothing older.
    Past(Result<Vec<Event>, ReadError>),
}

enum Ask {
    Request { id: u64, request: Request },
    Looking(StepId),
    Sits(Seat),
    Resync,
}

/// A connection that is made again whenever it breaks, in a task of its own; dropping it detaches.
///
/// Every request gets exactly one reply: the engine's, or a refusal when it could not be asked or its answer was lost.
/// A request is never kept for a later connection: what was pressed on an old screen must not act on a new one.
#[derive(Debug)]
pub struct Link {
    news: mpsc::Receiver<News>,
    asks: mpsc::Sender<Ask>,
    last_id: u64,
    task: JoinHandle<()>,
    /// Where else news come from, as long as the task lives.
    aside: mpsc::WeakSender<News>,
    journal: Option<PathBuf>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    /// Connects with `connect` now and whenever the connection breaks; it may start an engine that is not running. It is
    /// given the seat that the person had last ([`Link::sits`]), None at first. Must be called inside a tokio runtime.
    pub fn open<C, F>(connect: C) -> Self
    where
        C: FnMut(Option<Seat>) -> F + Send + 'static,
        F: Future<Output = Result<(Client, Box<Snapshot>), ConnectError>> + Send + 'static,
    {
        let (news_in, news) = mpsc::channel(NEWS);
        let (asks, asks_out) = mpsc::channel(2 * REPLIES);
        let aside = news_in.downgrade();
        let keeper = Keeper { news: news_in, asks: asks_out, pending: BTreeSet::new(), seat: None };
        let task = tokio::spawn(async move {
            // None: the cockpit is gone, and nobody is left to be told.
            let _ = keeper.keep(connect).await;
        });
        Self { news, asks, last_id: 0, task, aside, journal: None }
    }

    /// Hears news of another origin, which nobody can be asked through: `feed` sends them until it ends or the link is
    /// dropped. Must be called inside a tokio runtime.
    pub(super) fn hearing<F>(feed: impl FnOnce(mpsc::Sender<News>) -> F, refusal: &'static str) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (news_in, news) = mpsc::channel(NEWS);
        let (asks, asks_out) = mpsc::channel(2 * REPLIES);
        let aside = news_in.downgrade();
        let mut keeper = Keeper { news: news_in.clone(), asks: asks_out, pending: BTreeSet::new(), seat: None };
        let feeding = feed(news_in);
        let task = tokio::spawn(async move {
            let refusing = async {
                while let Some(ask) = keeper.asks.recv().await {
                    if let Ask::Request { id, .. } = ask {
                        keeper.refuse(id, refusal).await?;
                    }
                }
                Some(())
            };
            tokio::select! {
                () = feeding => {}
                _ = refusing => {}
            }
        });
        Self { news, asks, last_id: 0, task, aside, journal: None }
    }

    /// The same link, with the session's journal on this machine to read the past from.
    #[must_use]
    pub fn with_journal(mut self, journal: PathBuf) -> Self {
        self.journal = Some(journal);
        self
    }

    /// Reads the newest `count` events before number `before` from the journal, without keeping anything waiting; they
    /// come as [`News::Past`]. False: there is no journal here. Must be called inside a tokio runtime.
    pub fn past(&self, before: u64, count: usize) -> bool {
        let (Some(journal), Some(news)) = (self.journal.clone(), self.aside.upgrade()) else { return false };
        tokio::task::spawn_blocking(move || {
            // The cockpit that asked may be gone.
            let _ = news.blocking_send(News::Past(read_past(&journal, before, count)));
        });
        true
    }

    /// Asks for something without waiting; the reply carries the number that is returned.
    ///
    /// # Errors
    /// [`Refusal`] when too many requests wait already; no reply follows.
    pub fn request(&mut self, request: Request) -> Result<u64, Refusal> {
        let id = self.last_id + 1;
        self.asks.try_send(Ask::Request { id, request }).map_err(|_| busy())?;
        self.last_id = id;
        Ok(id)
    }

    /// Tells which step the person looks at. False: it could not be told now.
    #[must_use]
    pub fn looking(&self, step: StepId) -> bool {
        self.asks.try_send(Ask::Looking(step)).is_ok()
    }

    /// Tells which seat the person has, for when the connection has to be made again. False: it could not be told now.
    #[must_use]
    pub fn sits(&self, seat: Seat) -> bool {
        self.asks.try_send(Ask::Sits(seat)).is_ok()
    }

    /// Asks for a fresh snapshot.
    pub fn resync(&self) {
        // If it cannot be asked for now, the next event asks again: it is still missing something.
        let _ = self.asks.try_send(Ask::Resync);
    }

    /// The next news; None: nothing more will come. Cancel-safe.
    pub async fn recv(&mut self) -> Option<News> {
        self.news.recv().await
    }

    /// News that are here already.
    pub fn try_recv(&mut self) -> Option<News> {
        self.news.try_recv().ok()
    }
}

fn read_past(journal: &Path, before: u64, count: usize) -> Result<Vec<Event>, ReadError> {
    let mut events = VecDeque::new();
    for event in Reader::open(journal)? {
        let event = event?;
        if event.seq >= before {
            break;
        }
        if events.len() == count {
            events.pop_front();
        }
        events.push_back(event);
    }
    Ok(events.into())
}

fn busy() -> Refusal {
    Refusal("the engine has not answered the requests before this one yet".into())
}

/// The task behind a link. Its functions return None once the cockpit is gone.
struct Keeper {
    news: mpsc::Sender<News>,
    asks: mpsc::Receiver<Ask>,
    pending: BTreeSet<u64>,
    /// What the person had last.
    seat: Option<Seat>,
}

impl Keeper {
    async fn keep<C, F>(mut self, mut connect: C) -> Option<()>
    where
        C: FnMut(Option<Seat>) -> F,
        F: Future<Output = Result<(Client, Box<Snapshot>), ConnectError>>,
    {
        let mut wait = WAITS.0;
        loop {
            let connecting = connect(self.seat);
            let (reason, restart) = match self.meanwhile(connecting).await? {
                Ok((client, snapshot)) => {
                    wait = WAITS.0;
                    self.tell(News::Up(snapshot)).await?;
                    let lost = self.converse(client).await?;
                    (text_of(&lost), None)
                }
                Err(ConnectError::Refused(reason)) => return self.tell(News::Refused { reason }).await,
                Err(error) => {
                    let text = text_of(&error);
                    let restart = match error {
                        ConnectError::NotRunning { restart } => Some(restart),
                        _ => None,
                    };
                    (text, restart)
                }
            };
            self.tell(News::Down { reason, restart }).await?;
            self.give_up_pending().await?;
            self.meanwhile(sleep(wait)).await?;
            wait = (wait * 2).min(WAITS.1);
        }
    }

    /// Waits for something while not attached, and refuses what is asked for in the meantime.
    async fn meanwhile<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        loop {
            tokio::select! {
                done = &mut future => return Some(done),
                ask = self.asks.recv() => match ask? {
                    Ask::Request { id, .. } => self.refuse(id, "there is no connection to the engine").await?,
                    Ask::Sits(seat) => self.seat = Some(seat),
                    Ask::Looking(_) | Ask::Resync => {}
                },
            }
        }
    }

    /// Carries messages both ways until the connection breaks.
    async fn converse(&mut self, client: Client) -> Option<Lost> {
        let (mut sender, mut receiver) = client.split();
        let silent_at = || Instant::from_std(monotonic() + SILENCE);
        let (mut deadline, mut asked) = (silent_at(), false);
        loop {
            let sent = tokio::select! {
                message = timeout_at(deadline, receiver.recv()) => match message {
                    Ok(Ok(message)) => {
                        (deadline, asked) = (silent_at(), false);
                        self.hear(message).await?;
                        Ok(())
                    }
                    Ok(Err(lost)) => Err(lost),
                    Err(_) if asked => Err(Lost::Silent),
                    Err(_) => {
                        (deadline, asked) = (silent_at(), true);
                        sender.resync().await
                    }
                },
                ask = self.asks.recv() => match ask? {
                    Ask::Resync => sender.resync().await,
                    Ask::Looking(step) => sender.looking(step).await,
                    Ask::Sits(seat) => {
                        self.seat = Some(seat);
                        Ok(())
                    }
                    // The engine reads on only while no more replies than this wait, so sending never blocks for ever.
                    Ask::Request { id, .. } if self.pending.len() >= REPLIES => {
                        self.refuse(id, &busy().0).await?;
                        Ok(())
                    }
                    Ask::Request { id, request } => {
                        self.pending.insert(id);
                        sender.send_as(id, request).await
                    }
                },
            };
            if let Err(lost) = sent {
                return Some(lost);
            }
        }
    }

    async fn hear(&mut self, message: ToCockpit) -> Option<()> {
        if let ToCockpit::Reply { id, .. } = &message {
            self.pending.remove(id);
        }
        self.tell(News::Message(message)).await
    }

    async fn give_up_pending(&mut self) -> Option<()> {
        for id in std::mem::take(&mut self.pending) {
            self.refuse(id, "the connection broke before the answer came: look whether it happened").await?;
        }
        Some(())
    }

    async fn refuse(&self, id: u64, reason: &str) -> Option<()> {
        self.tell(News::Message(ToCockpit::Reply { id, result: Err(Refusal(reason.to_owned())) })).await
    }

    async fn tell(&self, news: News) -> Option<()> {
        self.news.send(news).await.ok()
    }
}

/// An error with its causes, on one line.
fn text_of(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        journal::Journal,
        run::{Actor, What},
    };

    #[tokio::test]
    async fn the_past_is_read_from_the_journal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let note = |seq| {
            let what = What::Noted { text: format!("note {seq}") };
            Event { seq, at: Timestamp::UNIX_EPOCH, by: Actor::Engine, what }
        };
        let events: Vec<_> = (1..=40).map(note).collect();
        Journal::create(&path).unwrap().append(&events).unwrap();
        let link = || Link::hearing(|_| std::future::pending(), "");
        assert!(!link().past(31, 10), "without a journal there is no past");
        let mut link = link().with_journal(path.clone());
        for (before, count, wanted) in [(31, 10, &events[20..30]), (6, 10, &events[..5]), (1, 10, &[])] {
            assert!(link.past(before, count));
            let Some(News::Past(Ok(read))) = link.recv().await else { panic!("no past") };
            assert_eq!(read, wanted);
        }
        std::fs::remove_file(&path).unwrap();
        assert!(link.past(31, 10));
        assert!(matches!(link.recv().await, Some(News::Past(Err(_)))));
    }
}
