//! Who is told what happens: webhooks, Slack-compatible or generic.
//!
//! | file | what it holds |
//! |---|---|
//! | `text` | which events are told, and in which words |
//! | `post` | one message to one webhook: rate, retries, back-off |
//!
//! Telling never blocks the engine: each webhook has a bounded queue and a task of its own, what does not fit is counted
//! and said with the next message, and a webhook that fails is a source in trouble. URLs are secrets: they come from the
//! environment, and nothing that is logged or shown repeats them.

mod post;
#[cfg(test)]
mod tests;
mod text;

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::mpsc;

pub use post::NotifyError;
use post::{Webhook, deliver};
pub use text::{Message, Teller};

use crate::{
    plan::{EnvironmentKind, Notify, Plan, Topic},
    run::{Event, State, Trouble, TroubleKind},
};

/// How many messages wait for a webhook before further ones are dropped.
const QUEUE: usize = 64;

/// Tells every webhook of a plan.
pub struct Notifier {
    teller: Teller,
    lanes: Vec<Lane>,
}

struct Lane {
    topics: Vec<Topic>,
    queue: mpsc::Sender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Notifier {
    /// Starts a task for each webhook of the plan. `trouble` hears of a webhook (by its id) that fails, and of the same
    /// that works again. Must be called inside a tokio runtime.
    ///
    /// A webhook whose variable is not set is in trouble at once; in a sandbox it is just off, and so is one whose URL
    /// does not lead to loopback.
    pub fn start<F>(plan: &Plan, trouble: F) -> Self
    where
        F: Fn(&str, Option<Trouble>) + Clone + Send + Sync + 'static,
    {
        let sandbox = plan.environment.kind == EnvironmentKind::Sandbox;
        let lanes = plan.notify.iter().filter_map(|notify| {
            match Webhook::of(notify, env::var(&notify.url_env).ok(), sandbox) {
                Ok(webhook) => Some(lane(notify, webhook, trouble.clone())),
                Err(error) => {
                    if sandbox {
                        tracing::info!(webhook = notify.id, %error, "nobody is told");
                    } else {
                        trouble(&notify.id, Some(trouble_of(&error)));
                    }
                    None
                }
            }
        });
        Self { lanes: lanes.collect(), teller: Teller::new(plan) }
    }

    /// Tells an event to those who want to know; `state` has it folded already. Never waits.
    pub fn tell(&mut self, state: &State, event: &Event) {
        let Some(message) = self.teller.message(state, event) else { return };
        for lane in self.lanes.iter().filter(|lane| lane.topics.contains(&message.topic)) {
            let missed = lane.dropped.swap(0, Ordering::Relaxed);
            let message = Message { missed, ..message.clone() };
            if lane.queue.try_send(message).is_err() {
                lane.dropped.fetch_add(missed + 1, Ordering::Relaxed);
            }
        }
    }
}

fn lane<F>(notify: &Notify, webhook: Webhook, trouble: F) -> Lane
where
    F: Fn(&str, Option<Trouble>) + Send + 'static,
{
    let (queue, mut waiting) = mpsc::channel::<Message>(QUEUE);
    let id = notify.id.clone();
    tokio::spawn(async move {
        let mut failing = false;
        while let Some(message) = waiting.recv().await {
            match deliver(&webhook, &message).await {
                Ok(()) if !failing => {}
                Ok(()) => trouble(&id, None),
                Err(error) => {
                    tracing::warn!(webhook = id, %error, "a notification was not delivered");
                    trouble(&id, Some(trouble_of(&error)));
                    failing = true;
                    continue;
                }
            }
            failing = false;
        }
    });
    Lane { topics: notify.events.clone(), queue, dropped: Arc::default() }
}

fn trouble_of(error: &NotifyError) -> Trouble {
    let kind = match error {
        NotifyError::Refused { .. } => TroubleKind::Refused,
        NotifyError::Unreachable(_) => TroubleKind::Unreachable,
        NotifyError::NoVariable(_) | NotifyError::NotLoopback | NotifyError::BadUrl(_) => TroubleKind::Unexpected,
    };
    Trouble { call: "webhook".to_owned(), reason: error.to_string(), kind, next_try: None }
}

/// Sends a test message to one webhook of a plan, with the URL from this process's environment.
///
/// # Errors
/// [`NotifyError`]: the variable is not set, or the webhook did not take it.
pub async fn send_test(plan: &Plan, notify: &Notify) -> Result<(), NotifyError> {
    let sandbox = plan.environment.kind == EnvironmentKind::Sandbox;
    let webhook = Webhook::of(notify, env::var(&notify.url_env).ok(), sandbox)?;
    deliver(&webhook, &Teller::new(plan).test_message()).await
}
