//! One message to one webhook: at most one a second, tried again with growing pauses, and never with its URL in an error.

use std::time::Duration;

use reqwest::{StatusCode, Url};
use tokio::{sync::Mutex, time::Instant};

use super::text::{Message, body};
use crate::{
    clock::{monotonic, wall_now},
    plan::Notify,
    world::{clean_to, told_to_wait},
};

/// How long a webhook may take to answer, wall time.
const ANSWER: Duration = Duration::from_secs(10);
/// Pause between two messages, wall time: what Slack allows.
const BETWEEN: Duration = Duration::from_secs(1);
/// Pauses before a message is tried again, wall time.
const AGAIN: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(15)];
/// A webhook that asks for a longer pause is not waited for, wall time.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Why a message was not delivered. No text of it holds the URL: that is a secret.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The variable that holds the URL is not set.
    #[error("failed to find the webhook: the variable {0} is not set")]
    NoVariable(String),
    /// What the variable holds is no URL.
    #[error("failed to use the webhook: what the variable {0} holds is no http or https URL")]
    BadUrl(String),
    /// A sandbox talks to loopback only.
    #[error("failed to use the webhook: a sandbox tells nobody but loopback")]
    NotLoopback,
    /// It could not be reached, or did not answer.
    #[error("failed to reach the webhook: {0}")]
    Unreachable(String),
    /// It said no.
    #[error("failed to post to the webhook: it answered {status} {body}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The beginning of its answer, cleaned.
        body: String,
    },
}

/// One webhook, ready to post to.
pub(super) struct Webhook {
    notify: Notify,
    url: Url,
    client: reqwest::Client,
    between: Duration,
    again: [Duration; 4],
    /// When the next message may be sent.
    free: Mutex<Instant>,
}

impl Webhook {
    /// The webhook behind a URL from the environment.
    pub(super) fn of(notify: &Notify, url: Option<String>, sandbox: bool) -> Result<Self, NotifyError> {
        let url = url.filter(|url| !url.is_empty()).ok_or_else(|| NotifyError::NoVariable(notify.url_env.clone()))?;
        let bad = || NotifyError::BadUrl(notify.url_env.clone());
        let url = Url::parse(&url).map_err(|_| bad())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad());
        }
        let loopback = match url.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => return Err(bad()),
        };
        if sandbox && !loopback {
            return Err(NotifyError::NotLoopback);
        }
        // A redirect would carry the message to a place that nobody wrote down.
        let client = reqwest::Client::builder().timeout(ANSWER).redirect(reqwest::redirect::Policy::none());
        let client = client.build().map_err(unreachable_without_url)?;
        let free = Mutex::new(Instant::from_std(monotonic()));
        Ok(Self { notify: notify.clone(), url, client, between: BETWEEN, again: AGAIN, free })
    }

    /// The same with shorter pauses.
    #[cfg(test)]
    pub(super) fn hurried(self, pause: Duration) -> Self {
        Self { between: pause, again: [pause; 4], ..self }
    }
}

fn unreachable_without_url(error: reqwest::Error) -> NotifyError {
    let error = error.without_url();
    let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    NotifyError::Unreachable(clean_to(&text, 200))
}

/// Delivers one message: waits for its turn, and tries again what may pass.
pub(super) async fn deliver(webhook: &Webhook, message: &Message) -> Result<(), NotifyError> {
    let mut free = webhook.free.lock().await;
    tokio::time::sleep_until(*free).await;
    let body = body(&webhook.notify, message);
    let mut pauses = webhook.again.iter();
    let result = loop {
        let (error, asked) = match post(webhook, &body).await {
            Ok(()) => break Ok(()),
            Err(failure) => failure,
        };
        let pause = asked.or_else(|| retryable(&error).then(|| pauses.next().copied()).flatten());
        match pause.filter(|pause| *pause <= LONGEST_PAUSE) {
            // What a webhook asks for counts as one of the tries, so that nothing waits for ever.
            Some(pause) if asked.is_none() || pauses.next().is_some() => tokio::time::sleep(pause).await,
            _ => break Err(error),
        }
    };
    *free = Instant::from_std(monotonic()) + webhook.between;
    result
}

const fn retryable(error: &NotifyError) -> bool {
    match error {
        NotifyError::Unreachable(_) => true,
        NotifyError::Refused { status, .. } => *status == 429 || *status >= 500,
        _ => false,
    }
}

/// One try; with the error the pause that the webhook asked for.
async fn post(webhook: &Webhook, body: &serde_json::Value) -> Result<(), (NotifyError, Option<Duration>)> {
    let answer = webhook.client.post(webhook.url.clone()).json(body).send().await;
    let answer = answer.map_err(|error| (unreachable_without_url(error), None))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let asked = told_to_wait(answer.headers(), wall_now()).filter(|_| status == StatusCode::TOO_MANY_REQUESTS);
    let body = clean_to(&answer.text().await.unwrap_or_default(), 120);
    Err((NotifyError::Refused { status: status.as_u16(), body }, asked))
}
