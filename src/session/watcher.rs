//! Following a session without its engine: from the journal in a storage, as a viewer, on any machine.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{
    link::{Link, News},
    message::{Snapshot, Telemetry, ToCockpit},
    peer::login_name,
};
use crate::{
    journal::remote::{HEARTBEAT, Identity, Remote, RemoteError, Step, Trail},
    run::{Operator, Sample, State},
};

/// How often the storage is asked for more, wall time: who attaches shows within a second what everybody sees. Thousands
/// of such requests cost less than a cent.
const ASK: Duration = Duration::from_millis(400);
/// How long a storage that could not be read is left alone, wall time.
const AGAIN: Duration = Duration::from_secs(1);

/// A link that follows the journal of a storage. It shows what is written, not what is measured; its requests are
/// refused.
#[must_use]
pub fn watch_remote(remote: Remote, identity: Identity) -> Link {
    let feed = |news| async move {
        // None: the cockpit is gone.
        let _ = Watcher { remote, identity, news, said: None }.watch().await;
    };
    Link::hearing(feed, "this cockpit follows the journal in the storage and can only look")
}

struct Watcher {
    remote: Remote,
    identity: Identity,
    news: mpsc::Sender<News>,
    /// What was said last of the engine's silence.
    said: Option<String>,
}

impl Watcher {
    async fn watch(mut self) -> Option<()> {
        loop {
            match self.follow().await {
                // Something that was told turned out not to count: from the beginning.
                Ok(gone) => gone?,
                Err(error) => {
                    self.news.send(News::Down { reason: text_of(&error), restart: None }).await.ok()?;
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// Tells everything, and then what follows. Ok(None): the cockpit is gone.
    async fn follow(&mut self) -> Result<Option<()>, RemoteError> {
        let (mut trail, events) = Trail::whole(&self.remote).await?;
        let mut state = State::default();
        for event in &events {
            let reason = |error: crate::run::Illegal| error.to_string();
            state.apply(event).map_err(|error| RemoteError::Unbelievable {
                place: self.remote.url().to_owned(),
                reason: reason(error),
            })?;
        }
        if self.news.send(News::Up(Box::new(self.snapshot(state)))).await.is_err() {
            return Ok(None);
        }
        self.said = None;
        loop {
            match trail.next().await? {
                Step::Void => return Ok(Some(())),
                Step::Events(events) => {
                    for event in events {
                        if self.tell(ToCockpit::Event(Box::new(event))).await.is_none() {
                            return Ok(None);
                        }
                    }
                }
                Step::Nothing => {
                    if self.silence(&trail).await.is_none() {
                        return Ok(None);
                    }
                    tokio::time::sleep(ASK).await;
                }
            }
        }
    }

    /// Says how long nothing was heard of the engine, once that is longer than between two heartbeats and a half.
    async fn silence(&mut self, trail: &Trail) -> Option<()> {
        let age = trail.age().unwrap_or_default();
        let who = trail.writer().map_or_else(|| "the engine".to_owned(), ToString::to_string);
        let words = (age > HEARTBEAT.mul_f64(2.5)).then(|| {
            let minutes = age.as_secs() / 60;
            let since = if minutes == 0 { "less than a minute ago".to_owned() } else { format!("{minutes} min ago") };
            format!("by {who}: it was last heard of {since}")
        });
        if self.said != words {
            self.said.clone_from(&words);
            self.tell(ToCockpit::Sample(Sample::JournalTrouble { reason: words })).await?;
        }
        Some(())
    }

    async fn tell(&self, message: ToCockpit) -> Option<()> {
        self.news.send(News::Message(message)).await.ok()
    }

    fn snapshot(&self, state: State) -> Snapshot {
        let uid = rustix::process::getuid().as_raw();
        let you = Operator::new(0, login_name(uid), uid);
        let Identity { plan, clock, .. } = self.identity.clone();
        Snapshot { you, clock, plan, state, telemetry: Telemetry::default() }
    }
}

fn text_of(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
