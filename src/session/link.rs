//! A connection that comes back: what the cockpit's loop talks to.

use std::{collections::BTreeSet, pin::pin, time::Duration};

use tokio::{sync::mpsc, task::JoinHandle, time::sleep};

use super::{
    client::{Client, ConnectError, Lost},
    hub::REPLIES,
    message::{Snapshot, ToCockpit},
};
use crate::run::{Refusal, Request};

/// How many messages wait for the cockpit; further ones wait in the socket, and then the engine makes a snapshot of them.
const NEWS: usize = 256;
/// First and longest time between two tries to connect, wall time.
const WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

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
    },
    /// The engine will not have this cockpit: no further try.
    Refused {
        /// Why.
        reason: String,
    },
}

enum Ask {
    Request { id: u64, request: Request },
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
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    /// Connects with `connect` now and whenever the connection breaks; it may start an engine that is not running.
    /// Must be called inside a tokio runtime.
    pub fn open<C, F>(connect: C) -> Self
    where
        C: FnMut() -> F + Send + 'static,
        F: Future<Output = Result<(Client, Box<Snapshot>), ConnectError>> + Send + 'static,
    {
        let (news_in, news) = mpsc::channel(NEWS);
        let (asks, asks_out) = mpsc::channel(2 * REPLIES);
        let keeper = Keeper { news: news_in, asks: asks_out, pending: BTreeSet::new() };
        let task = tokio::spawn(async move {
            // None: the cockpit is gone, and nobody is left to be told.
            let _ = keeper.keep(connect).await;
        });
        Self { news, asks, last_id: 0, task }
    }

    /// Hears news of another origin, which nobody can be asked through: `feed` sends them until it ends or the link is
    /// dropped. Must be called inside a tokio runtime.
    pub(super) fn hearing<F>(feed: impl FnOnce(mpsc::Sender<News>) -> F, refusal: &'static str) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (news_in, news) = mpsc::channel(NEWS);
        let (asks, asks_out) = mpsc::channel(2 * REPLIES);
        let mut keeper = Keeper { news: news_in.clone(), asks: asks_out, pending: BTreeSet::new() };
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
        Self { news, asks, last_id: 0, task }
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

fn busy() -> Refusal {
    Refusal("the engine has not answered the requests before this one yet".into())
}

/// The task behind a link. Its functions return None once the cockpit is gone.
struct Keeper {
    news: mpsc::Sender<News>,
    asks: mpsc::Receiver<Ask>,
    pending: BTreeSet<u64>,
}

impl Keeper {
    async fn keep<C, F>(mut self, mut connect: C) -> Option<()>
    where
        C: FnMut() -> F,
        F: Future<Output = Result<(Client, Box<Snapshot>), ConnectError>>,
    {
        let mut wait = WAITS.0;
        loop {
            let reason = match self.meanwhile(connect()).await? {
                Ok((client, snapshot)) => {
                    wait = WAITS.0;
                    self.tell(News::Up(snapshot)).await?;
                    let lost = self.converse(client).await?;
                    text_of(&lost)
                }
                Err(ConnectError::Refused(reason)) => return self.tell(News::Refused { reason }).await,
                Err(error) => text_of(&error),
            };
            self.tell(News::Down { reason }).await?;
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
                    Ask::Resync => {}
                },
            }
        }
    }

    /// Carries messages both ways until the connection breaks.
    async fn converse(&mut self, client: Client) -> Option<Lost> {
        let (mut sender, mut receiver) = client.split();
        loop {
            let sent = tokio::select! {
                message = receiver.recv() => match message {
                    Ok(message) => {
                        self.hear(message).await?;
                        Ok(())
                    }
                    Err(lost) => Err(lost),
                },
                ask = self.asks.recv() => match ask? {
                    Ask::Resync => sender.resync().await,
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
