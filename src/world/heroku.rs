//! The Heroku Platform API: maintenance mode, dyno quantities, the release.
//!
//! Source: Heroku Platform API reference, version 3. The key is read once, from `HEROKU_API_KEY` or `~/.netrc`; it goes
//! into one header that is marked sensitive and nowhere else.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use reqwest::{
    Client, Method, Response, Url,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RANGE},
    redirect,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    ConnectError,
    clean::clean,
    error::{self, Failure},
    is_loopback, lock, loopback,
    told_to_wait::{told_to_wait, words},
};
use crate::{
    clock::{Clock, monotonic, wall_now},
    plan,
    run::{Trouble, TroubleKind},
};

const API: &str = "https://api.heroku.com";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longer answers are not read on.
const MAX_BODY: usize = 1 << 20;
const NO_KEY: &str = "no API key: set HEROKU_API_KEY, or log in with the Heroku CLI (~/.netrc)";

/// One Heroku app.
#[derive(Debug)]
pub struct Heroku {
    app: String,
    base: Url,
    client: Client,
    /// Marked sensitive, so that no `Debug` shows it. None: nobody is logged in.
    key: Option<HeaderValue>,
    /// `RateLimit-Remaining` of the last answer.
    remaining: AtomicU32,
    clock: Clock,
    /// Until when the API wants to be left alone, and the words in which it said so. Only what reads keeps to it by
    /// itself: an act is one call that a person decided on, after a look that was not refused.
    quiet: Mutex<Option<(Instant, String)>>,
}

/// A process type of an app.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Process {
    /// e.g. `web`.
    #[serde(rename = "type")]
    pub kind: String,
    /// How many dynos are wanted.
    pub quantity: u32,
    /// e.g. `standard-1x`.
    #[serde(default)]
    pub size: String,
}

/// The newest release of an app.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Release {
    /// 1, 2, ...
    pub version: u32,
    /// What made it, e.g. `Deploy 41b9cfe`.
    #[serde(default)]
    pub description: String,
}

#[derive(Deserialize)]
struct App {
    maintenance: bool,
}

#[derive(Deserialize)]
struct Complaint {
    #[serde(default)]
    id: String,
    #[serde(default)]
    message: String,
}

impl Heroku {
    pub(super) fn connect(plan: &plan::Heroku, sandbox: bool, clock: Clock) -> Result<Self, ConnectError> {
        let text = plan.api.as_deref().unwrap_or(API);
        if sandbox {
            loopback(plan.api.as_deref())?;
        }
        let base = Url::parse(text).map_err(|_| ConnectError::InTheClear(text.to_owned()))?;
        if base.scheme() != "https" && !is_loopback(&base) {
            return Err(ConnectError::InTheClear(text.to_owned()));
        }
        let key = if sandbox { Some("sandbox".to_owned()) } else { find_key(&base) };
        Self::with_key(&plan.app, base, key.as_deref(), clock)
    }

    fn with_key(app: &str, base: Url, key: Option<&str>, clock: Clock) -> Result<Self, ConnectError> {
        let bearer = |key: &str| {
            let mut value = HeaderValue::from_str(&format!("Bearer {key}")).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        let mut builder = Client::builder()
            .user_agent(concat!("cutover/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            // A redirect would carry the key elsewhere, a retry would send a change twice.
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never());
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(ConnectError::Client)?;
        Ok(Self {
            app: app.to_owned(),
            base,
            client,
            key: key.and_then(bearer),
            remaining: AtomicU32::new(u32::MAX),
            clock,
            quiet: Mutex::default(),
        })
    }

    /// The app's name.
    #[must_use]
    pub fn app(&self) -> &str {
        &self.app
    }

    /// Requests left in the current rate limit; None before the first answer.
    pub fn remaining(&self) -> Option<u32> {
        Some(self.remaining.load(Ordering::Relaxed)).filter(|left| *left != u32::MAX)
    }

    /// Whether maintenance mode is on.
    ///
    /// # Errors
    /// The call failed.
    pub async fn maintenance(&self) -> Result<bool, Trouble> {
        let app: App = self.get("heroku:app", "", None).await?;
        Ok(app.maintenance)
    }

    /// Turns maintenance mode on or off, in one attempt.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn set_maintenance(&self, on: bool) -> Result<(), Failure> {
        let call = "heroku:maintenance";
        let app: App = self.call(call, Method::PATCH, "", None, Some(json!({ "maintenance": on }))).await?;
        if app.maintenance == on {
            Ok(())
        } else {
            Err(Failure::lost(call, TroubleKind::Garbled, "the answer still shows the old mode"))
        }
    }

    /// All process types, by name.
    ///
    /// # Errors
    /// The call failed.
    pub async fn formation(&self) -> Result<BTreeMap<String, Process>, Trouble> {
        let list: Vec<Process> = self.get("heroku:formation", "/formation", Some("type ..; max=1000")).await?;
        Ok(by_name(list))
    }

    /// Sets the quantities of several process types in one request.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn scale(&self, quantities: &BTreeMap<String, u32>) -> Result<(), Failure> {
        let call = "heroku:scale";
        let updates: Vec<_> =
            quantities.iter().map(|(kind, quantity)| json!({ "type": kind, "quantity": quantity })).collect();
        let body = json!({ "updates": updates });
        let list: Vec<Process> = self.call(call, Method::PATCH, "/formation", None, Some(body)).await?;
        let now = by_name(list);
        let wrong =
            quantities.iter().find(|(kind, wanted)| now.get(*kind).map(|found| found.quantity) != Some(**wanted));
        match wrong {
            None => Ok(()),
            Some((kind, wanted)) => {
                let reason = format!("the answer does not show {kind} at {wanted}");
                Err(Failure::lost(call, TroubleKind::Garbled, &reason))
            }
        }
    }

    /// Config vars: a fingerprint of each value by name. The API has no call for names alone; the values that come along
    /// are not kept. A fingerprint is the first 16 bits, in hex, of the SHA-256 of `salt`, name and value: a change is
    /// missed once in 65,536 times, and no guess of a value can be proven by it.
    ///
    /// # Errors
    /// The call failed.
    pub async fn config_vars(&self, salt: &str) -> Result<BTreeMap<String, String>, Trouble> {
        let vars: BTreeMap<String, Option<String>> = self.get("heroku:config-vars", "/config-vars", None).await?;
        let mark = |name: &str, value: &str| {
            let digest = Sha256::digest([salt, name, value].join("\0"));
            hex::encode(&digest[..2])
        };
        let marks = vars.iter().map(|(name, value)| (clean(name), mark(name, value.as_deref().unwrap_or_default())));
        Ok(marks.collect())
    }

    /// What its add-ons are of, e.g. `heroku-postgresql`, `scheduler`.
    ///
    /// # Errors
    /// The call failed.
    pub async fn addon_services(&self) -> Result<BTreeSet<String>, Trouble> {
        #[derive(Deserialize)]
        struct Addon {
            addon_service: Service,
        }
        #[derive(Deserialize)]
        struct Service {
            name: String,
        }
        let all: Vec<Addon> = self.get("heroku:addons", "/addons", Some("id ..; max=1000")).await?;
        Ok(all.into_iter().map(|addon| clean(&addon.addon_service.name)).collect())
    }

    /// When the key ends, session time, give or take a second. None: it does not, or the API does not say: who has only a
    /// part of the rights may not ask.
    ///
    /// The API has no call for one's own key alone. The others that come along are compared and not kept.
    ///
    /// Source: Platform API reference, "OAuth Authorization": `access_token.expires_in` is in seconds from now, or null.
    ///
    /// # Errors
    /// The call failed.
    pub async fn key_until(&self) -> Result<Option<Timestamp>, Trouble> {
        #[derive(Deserialize)]
        struct Authorization {
            access_token: Option<Token>,
        }
        #[derive(Deserialize)]
        struct Token {
            token: String,
            expires_in: Option<i64>,
        }
        let call = "heroku:authorizations";
        self.left_alone(call)?;
        let asked = self.call_at(call, Method::GET, "/oauth/authorizations", Some("id ..; max=1000"), None);
        let forbidden = |trouble: &Trouble| {
            trouble.kind == TroubleKind::Credentials
                && ["forbidden", "status 403"].iter().any(|word| trouble.reason.starts_with(word))
        };
        let all: Vec<Authorization> = match asked.await.map_err(Trouble::from) {
            Ok(all) => all,
            Err(trouble) if forbidden(&trouble) => return Ok(None),
            Err(trouble) => return Err(trouble),
        };
        let own = |token: &Token| {
            let key = self.key.as_ref().and_then(|key| key.to_str().ok()?.strip_prefix("Bearer "));
            key == Some(token.token.as_str())
        };
        let left = all.into_iter().filter_map(|one| one.access_token).find(own).and_then(|token| token.expires_in);
        Ok(left.and_then(|left| self.clock.now().checked_add(SignedDuration::from_secs(left)).ok()))
    }

    /// The newest release. None: nothing was ever deployed.
    ///
    /// # Errors
    /// The call failed.
    pub async fn release(&self) -> Result<Option<Release>, Trouble> {
        let newest = Some("version ..; order=desc, max=1");
        let list: Vec<Release> = self.get("heroku:releases", "/releases", newest).await?;
        Ok(list.into_iter().max_by_key(|release| release.version))
    }

    async fn get<T: DeserializeOwned>(&self, call: &str, path: &str, range: Option<&str>) -> Result<T, Trouble> {
        self.left_alone(call)?;
        self.call(call, Method::GET, path, range, None).await.map_err(Trouble::from)
    }

    async fn call<T: DeserializeOwned>(
        &self,
        call: &str,
        method: Method,
        path: &str,
        range: Option<&str>,
        body: Option<Value>,
    ) -> Result<T, Failure> {
        self.call_at(call, method, &format!("/apps/{}{path}", self.app), range, body).await
    }

    async fn call_at<T: DeserializeOwned>(
        &self,
        call: &str,
        method: Method,
        path: &str,
        range: Option<&str>,
        body: Option<Value>,
    ) -> Result<T, Failure> {
        let no_key = || Failure::none_sent(call, TroubleKind::Credentials, NO_KEY);
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.heroku+json; version=3"));
        headers.insert(AUTHORIZATION, self.key.clone().ok_or_else(no_key)?);
        if let Some(range) = range.and_then(|range| HeaderValue::from_str(range).ok()) {
            headers.insert(RANGE, range);
        }
        let url = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        let mut request = self.client.request(method, url).headers(headers);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let mut answer = request.send().await.map_err(|error| error::http(call, &error.without_url()))?;
        self.count(&answer);
        let text = read(&mut answer).await.map_err(|error| error::http(call, &error.without_url()))?;
        if !answer.status().is_success() {
            return Err(self.heed(complaint(call, answer.status().as_u16(), &text), answer.headers()));
        }
        serde_json::from_slice(&text).map_err(|error| {
            Failure::lost(call, TroubleKind::Garbled, &format!("an answer that cannot be read: {error}"))
        })
    }

    /// Says no in the API's stead while it wants to be left alone.
    fn left_alone(&self, call: &str) -> Result<(), Trouble> {
        let mut quiet = lock(&self.quiet);
        let Some((until, words)) = quiet.as_ref() else { return Ok(()) };
        let left = until.saturating_duration_since(monotonic());
        if left.is_zero() {
            *quiet = None;
            return Ok(());
        }
        Err(Trouble { next_try: self.at_after(left), ..error::trouble(call, TroubleKind::Throttled, words) })
    }

    /// Takes `Retry-After` of a refusal to heart, and says when the next try is.
    fn heed(&self, mut failure: Failure, headers: &HeaderMap) -> Failure {
        let wait = told_to_wait(headers, wall_now()).filter(|_| failure.trouble.kind == TroubleKind::Throttled);
        if let Some(wait) = wait {
            failure.trouble.reason = format!("{}; {}", failure.trouble.reason, words(wait));
            failure.trouble.next_try = self.at_after(wait);
            *lock(&self.quiet) = Some((monotonic() + wait, failure.trouble.reason.clone()));
        }
        failure
    }

    /// The session's time after some wall time.
    fn at_after(&self, wait: Duration) -> Option<Timestamp> {
        self.clock.now().checked_add(SignedDuration::try_from(self.clock.to_session(wait)).ok()?).ok()
    }

    fn count(&self, answer: &Response) {
        let left = answer.headers().get("ratelimit-remaining").and_then(|left| left.to_str().ok()?.parse().ok());
        if let Some(left) = left {
            self.remaining.store(left, Ordering::Relaxed);
        }
    }
}

fn by_name(list: Vec<Process>) -> BTreeMap<String, Process> {
    list.into_iter().map(|process| (process.kind.clone(), process)).collect()
}

async fn read(answer: &mut Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BODY {
            break;
        }
    }
    Ok(body)
}

/// An answer that is not a success. A client error was not carried out; after a server error nobody knows.
fn complaint(call: &str, status: u16, body: &[u8]) -> Failure {
    let said = serde_json::from_slice::<Complaint>(body).ok().filter(|said| !said.id.is_empty());
    let reason = said.map_or_else(|| format!("status {status}"), |said| format!("{}: {}", said.id, said.message));
    match status {
        429 => Failure::none_sent(call, TroubleKind::Throttled, &reason),
        401 | 403 => Failure::none_sent(call, TroubleKind::Credentials, &reason),
        400..=499 => Failure::none_sent(call, TroubleKind::Refused, &reason),
        300..=399 => Failure::none_sent(call, TroubleKind::Garbled, &format!("{reason}: a redirect is not followed")),
        _ => Failure::lost(call, TroubleKind::Refused, &reason),
    }
}

fn find_key(base: &Url) -> Option<String> {
    let key = std::env::var("HEROKU_API_KEY").ok().map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
    key.or_else(|| {
        let named = std::env::var_os("NETRC").map(PathBuf::from);
        let path = named.or_else(|| Some(std::env::home_dir()?.join(".netrc")))?;
        netrc_password(&std::fs::read_to_string(path).ok()?, base.host_str()?)
    })
}

/// The password of a machine in the text of a `.netrc` file.
fn netrc_password(text: &str, machine: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    words.find(|word| *word == "machine").and_then(|_| {
        let mut current = words.next();
        while let Some(word) = words.next() {
            match word {
                "machine" => current = words.next(),
                "default" => current = None,
                "password" if current == Some(machine) => return words.next().map(str::to_owned),
                "login" | "account" | "password" => drop(words.next()),
                _ => {}
            }
        }
        None
    })
}

#[cfg(test)]
mod tests;
