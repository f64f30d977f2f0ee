//! The real client against a receiver on loopback.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::State as Shared, http::StatusCode, routing::post};
use serde_json::Value;

use tokio::sync::Semaphore;

use super::{
    Lane, Notifier, NotifyError, QUEUE, lane,
    post::{Webhook, deliver},
    text::{Message, Teller},
};
use crate::{
    plan::{Notify, NotifyFormat, Topic, load, sandbox_placeholders},
    run::{Actor, Event, Operator, State, VerdictKind, What},
};

const PAUSE: Duration = Duration::from_millis(5);

/// What came, and what is to be answered next (then 200).
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<Value>>>,
    answers: Arc<Mutex<Vec<StatusCode>>>,
}

async fn hear(Shared(receiver): Shared<Receiver>, axum::Json(body): axum::Json<Value>) -> (StatusCode, &'static str) {
    receiver.got.lock().unwrap().push(body);
    let answer = receiver.answers.lock().unwrap().pop();
    (answer.unwrap_or(StatusCode::OK), "no\u{1b}[2J way")
}

impl Receiver {
    async fn start(answers: &[StatusCode]) -> (Self, String) {
        let receiver = Self::default();
        receiver.answers.lock().unwrap().extend(answers.iter().rev());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/T0/secret", listener.local_addr().unwrap());
        let app = Router::new().route("/T0/secret", post(hear)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (receiver, url)
    }

    fn got(&self) -> Vec<Value> {
        self.got.lock().unwrap().clone()
    }
}

fn notify(format: NotifyFormat) -> Notify {
    let events = Topic::ALL.map(|(_, topic)| topic).to_vec();
    let template = "[{plan} {environment}] {text} ({by}) {x}".to_owned();
    Notify { id: "team".into(), url_env: "TEAM".into(), format, events, template }
}

fn message(text: &str) -> Message {
    let plan = load(include_str!("../../config/acme-shop.toml"), "p", "sandbox", &sandbox_placeholders()).unwrap();
    Message { text: text.into(), missed: 2, ..Teller::new(&plan).test_message() }
}

fn webhook(format: NotifyFormat, url: &str) -> Webhook {
    Webhook::of(&notify(format), Some(url.to_owned()), true).unwrap().hurried(PAUSE)
}

#[tokio::test]
async fn slack_gets_a_text_that_calls_nobody() {
    let (receiver, url) = Receiver::start(&[]).await;
    deliver(&webhook(NotifyFormat::Slack, &url), &message("<!channel> & {by}")).await.unwrap();
    let text = "[acme-shop sandbox] &lt;!channel&gt; &amp; {by} (2 before it were dropped) (cutover) {x}";
    assert_eq!(receiver.got(), [serde_json::json!({ "text": text })]);
}

#[tokio::test]
async fn programs_get_every_field() {
    let (receiver, url) = Receiver::start(&[]).await;
    deliver(&webhook(NotifyFormat::Json, &url), &message("done")).await.unwrap();
    let got = receiver.got().remove(0);
    for field in crate::plan::NOTIFY_FIELDS {
        assert!(got[field].is_string(), "{field}: {got}");
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_is_refused_is_not() {
    let (receiver, url) = Receiver::start(&[StatusCode::BAD_GATEWAY, StatusCode::TOO_MANY_REQUESTS]).await;
    deliver(&webhook(NotifyFormat::Slack, &url), &message("a")).await.unwrap();
    assert_eq!(receiver.got().len(), 3);
    let (receiver, url) = Receiver::start(&[StatusCode::FORBIDDEN]).await;
    let error = deliver(&webhook(NotifyFormat::Slack, &url), &message("a")).await.unwrap_err();
    assert_eq!(error.to_string(), "failed to post to the webhook: it answered 403 no way");
    assert_eq!(receiver.got().len(), 1);
    let (receiver, url) = Receiver::start(&[StatusCode::BAD_GATEWAY; 9]).await;
    assert!(deliver(&webhook(NotifyFormat::Slack, &url), &message("a")).await.is_err());
    assert_eq!(receiver.got().len(), 5);
}

/// A webhook that answers only as often as it is let.
async fn start_slow() -> (Receiver, Arc<Semaphore>, String) {
    let (receiver, let_go) = (Receiver::default(), Arc::new(Semaphore::new(0)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/T0/secret", listener.local_addr().unwrap());
    let (theirs, gate) = (receiver.clone(), Arc::clone(&let_go));
    let answer = move |body: axum::Json<Value>| async move {
        gate.acquire().await.unwrap().forget();
        hear(Shared(theirs), body).await
    };
    let app = Router::new().route("/T0/secret", post(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (receiver, let_go, url)
}

fn held(seq: u64) -> Event {
    let by = Actor::Operator(Operator::new(1, "ann", 1));
    Event { seq, at: jiff::Timestamp::UNIX_EPOCH, by, what: What::HoldRaised { reason: format!("number {seq}") } }
}

#[tokio::test]
async fn a_webhook_that_does_not_answer_delays_nobody_and_hears_how_many_it_missed() {
    let plan = load(include_str!("../../config/acme-shop.toml"), "p", "sandbox", &sandbox_placeholders()).unwrap();
    let (slow, let_go, slow_url) = start_slow().await;
    let (prompt, prompt_url) = Receiver::start(&[]).await;
    let start = |url: &str| lane(&notify(NotifyFormat::Slack), webhook(NotifyFormat::Slack, url), |_, _| {});
    let lanes: Vec<Lane> = vec![start(&slow_url), start(&prompt_url)];
    let mut notifier = Notifier { teller: Teller::new(&plan), lanes };
    let state = State::default();
    // One is on its way, as many as the queue holds wait, and three are too many.
    notifier.tell(&state, &held(0));
    until(|| notifier.lanes[0].queue.capacity() == QUEUE).await;
    let many = u64::try_from(QUEUE).unwrap() + 3;
    for seq in 1..=many {
        // No await: nothing here waits for a webhook, and both queues fill.
        notifier.tell(&state, &held(seq));
    }
    until(|| prompt.got().len() > QUEUE).await;
    assert!(slow.got().is_empty());
    let_go.add_permits(Semaphore::MAX_PERMITS / 2);
    until(|| slow.got().len() > QUEUE).await;
    notifier.tell(&state, &held(many + 1));
    until(|| slow.got().len() > QUEUE + 1).await;
    let texts: Vec<String> = slow.got().iter().map(|body| body["text"].to_string()).collect();
    let numbers: Vec<bool> = (0..).zip(&texts).map(|(seq, text)| text.contains(&format!("number {seq}"))).collect();
    assert!(numbers[..=QUEUE].iter().all(|it| *it), "in order: {texts:?}");
    let last = texts.last().unwrap();
    assert!(last.contains("(3 before it were dropped)") && last.contains(&format!("number {}", many + 1)), "{last}");
}

#[tokio::test]
async fn messages_keep_their_distance() {
    let (receiver, url) = Receiver::start(&[]).await;
    let webhook = Webhook::of(&notify(NotifyFormat::Slack), Some(url), true).unwrap();
    let begun = crate::clock::monotonic();
    for text in ["a", "b", "c"] {
        deliver(&webhook, &message(text)).await.unwrap();
    }
    assert!(begun.elapsed() >= Duration::from_secs(2), "faster than one a second");
    assert_eq!(receiver.got().len(), 3);
}

/// Waits, wall time, for as long as a loaded machine may take.
async fn until(mut satisfied: impl FnMut() -> bool) {
    let begun = crate::clock::monotonic();
    while !satisfied() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never came");
        tokio::time::sleep(PAUSE).await;
    }
}

#[tokio::test]
async fn errors_never_hold_the_url_and_a_sandbox_stays_on_loopback() {
    let gone = webhook(NotifyFormat::Slack, "http://127.0.0.1:1/T0/secret");
    let error = deliver(&gone, &message("a")).await.unwrap_err();
    assert!(matches!(error, NotifyError::Unreachable(_)) && !error.to_string().contains("secret"), "{error}");
    let of =
        |url: Option<&str>, sandbox| Webhook::of(&notify(NotifyFormat::Slack), url.map(str::to_owned), sandbox).err();
    assert!(matches!(of(Some("https://hooks.example.com/x"), true), Some(NotifyError::NotLoopback)));
    assert!(of(Some("https://hooks.example.com/x"), false).is_none());
    assert!(matches!(of(None, false), Some(NotifyError::NoVariable(_))));
    assert!(matches!(of(Some("ftp://secret"), false), Some(NotifyError::BadUrl(name)) if name == "TEAM"));
}

#[test]
fn people_are_told_what_they_asked_for_and_the_end_of_a_breach_only_after_one() {
    let plan = load(include_str!("../../config/acme-shop.toml"), "p", "sandbox", &sandbox_placeholders()).unwrap();
    let mut teller = Teller::new(&plan);
    let state = State::default();
    let mut told = |what: What| {
        let by = Actor::Operator(Operator::new(1, "ann\u{7}", 1));
        let event = Event { seq: 1, at: jiff::Timestamp::UNIX_EPOCH, by, what };
        teller.message(&state, &event).map(|message| (message.topic, message.text))
    };
    let verdict = |verdict| What::VerdictChanged { guardrail: "errors".into(), verdict, value: Some(3.0) };
    assert_eq!(told(verdict(VerdictKind::Holding)), None);
    assert_eq!(told(verdict(VerdictKind::Breach)).unwrap().0, Topic::Breaches);
    assert_eq!(told(verdict(VerdictKind::Holding)).unwrap().0, Topic::Breaches);
    assert_eq!(told(verdict(VerdictKind::Holding)), None);
    let held = told(What::HoldRaised { reason: "look\u{1b}[2J".into() }).unwrap();
    assert_eq!(held.0, Topic::Holds);
    assert!(!held.1.contains(char::is_control), "{held:?}");
    assert_eq!(told(What::Noted { text: "x".into() }), None);
}
