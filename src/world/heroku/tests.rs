//! Against servers that answer wrongly, late or not at all.

use super::*;
use crate::world::testing::{Manner, nobody, server};

async fn app(manner: Manner) -> (Heroku, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let (address, requests) = server(manner).await;
    (client(address), requests)
}

fn client(address: std::net::SocketAddr) -> Heroku {
    let base = Url::parse(&format!("http://{address}/")).unwrap();
    Heroku::with_key("acme-shop", base, Some("s3cret-key"), Clock::real()).unwrap()
}

#[tokio::test]
async fn a_change_is_sent_as_the_api_wants_it() {
    let answer = r#"{"name":"acme-shop","maintenance":true}"#;
    let (heroku, mut requests) = app(Manner::answer(200, "RateLimit-Remaining: 4499\r\n", answer)).await;
    heroku.set_maintenance(true).await.unwrap();
    let request = requests.recv().await.unwrap().to_lowercase();
    assert!(request.starts_with("patch /apps/acme-shop http/1.1\r\n"), "{request}");
    assert!(request.contains("accept: application/vnd.heroku+json; version=3\r\n"));
    assert!(request.contains("authorization: bearer s3cret-key\r\n"));
    assert!(request.ends_with(r#"{"maintenance":true}"#));
    assert_eq!(heroku.remaining(), Some(4499));
}

#[tokio::test]
async fn a_lost_answer_is_in_doubt_and_a_refusal_is_not() {
    let limit = r#"{"id":"rate_limit","message":"Your account reached the API rate limit"}"#;
    let cases = [
        (Manner::Close, true, TroubleKind::Unreachable),
        (Manner::answer(500, "", "oops"), true, TroubleKind::Refused),
        (Manner::answer(200, "", "<html>\u{1b}[31m"), true, TroubleKind::Garbled),
        (Manner::answer(200, "", r#"{"maintenance":false}"#), true, TroubleKind::Garbled),
        (Manner::Raw(b"\x00\x01garbage\r\n\r\n".to_vec()), true, TroubleKind::Garbled),
        (Manner::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{\"main".to_vec()), true, TroubleKind::Garbled),
        (Manner::answer(429, "", limit), false, TroubleKind::Throttled),
        (
            Manner::answer(401, "", r#"{"id":"unauthorized","message":"Invalid credentials"}"#),
            false,
            TroubleKind::Credentials,
        ),
        (Manner::answer(422, "", r#"{"id":"invalid_params","message":"no"}"#), false, TroubleKind::Refused),
        (Manner::answer(301, "location: http://192.0.2.1/\r\n", ""), false, TroubleKind::Garbled),
    ];
    for (manner, in_doubt, kind) in cases {
        let (heroku, mut requests) = app(manner.clone()).await;
        let failure = heroku.set_maintenance(true).await.unwrap_err();
        assert_eq!((failure.in_doubt, failure.trouble.kind), (in_doubt, kind), "{manner:?}: {failure}");
        assert!(!failure.to_string().contains(['\u{1b}', '\0']), "{failure}");
        assert!(requests.recv().await.is_some());
        assert!(requests.try_recv().is_err(), "sent once: {manner:?}");
    }
}

#[tokio::test]
async fn the_api_is_left_alone_for_as_long_as_it_wants() {
    let limit = r#"{"id":"rate_limit","message":"Your account reached the API rate limit"}"#;
    let (heroku, mut requests) = app(Manner::answer(429, "Retry-After: 1\r\n", limit)).await;
    let trouble = heroku.formation().await.unwrap_err();
    assert_eq!(trouble.reason, "rate_limit: Your account reached the API rate limit; asked to wait 1 s");
    assert!(trouble.next_try.is_some_and(|at| at > Clock::real().now()), "{trouble:?}");
    assert!(requests.recv().await.is_some());
    // What reads is answered here, in the same words; only an act goes out, once, for a person wants it.
    let again = heroku.maintenance().await.unwrap_err();
    assert_eq!((again.call.as_str(), again.kind), ("heroku:app", TroubleKind::Throttled));
    assert_eq!(again.reason, trouble.reason);
    assert!(again.next_try.is_some() && requests.try_recv().is_err(), "asked all the same");
    let act = heroku.set_maintenance(true).await.unwrap_err();
    assert!(!act.in_doubt && act.trouble.next_try.is_some());
    assert!(requests.recv().await.is_some() && requests.try_recv().is_err());
    tokio::time::sleep(Duration::from_millis(1100)).await;
    heroku.formation().await.unwrap_err();
    assert!(requests.recv().await.is_some(), "never asked again");
}

#[tokio::test]
async fn what_could_not_be_sent_had_no_effect() {
    let failure = client(nobody()).set_maintenance(true).await.unwrap_err();
    assert_eq!((failure.in_doubt, failure.trouble.kind), (false, TroubleKind::Unreachable));
    let (address, mut requests) = server(Manner::Close).await;
    let base = Url::parse(&format!("http://{address}/")).unwrap();
    let failure =
        Heroku::with_key("acme-shop", base, None, Clock::real()).unwrap().set_maintenance(true).await.unwrap_err();
    assert_eq!((failure.in_doubt, failure.trouble.kind), (false, TroubleKind::Credentials));
    assert!(requests.try_recv().is_err());
}

#[tokio::test]
async fn the_answer_of_a_scaling_must_show_it() {
    let list =
        r#"[{"type":"web","quantity":2,"size":"standard-2x"},{"type":"worker","quantity":1,"size":"standard-2x"}]"#;
    let wanted = |quantity| BTreeMap::from([("worker".to_owned(), quantity)]);
    let (heroku, mut requests) = app(Manner::answer(200, "", list)).await;
    heroku.scale(&wanted(1)).await.unwrap();
    let request = requests.recv().await.unwrap();
    assert!(request.ends_with(r#"{"updates":[{"quantity":1,"type":"worker"}]}"#), "{request}");
    let failure = heroku.scale(&wanted(0)).await.unwrap_err();
    assert!(failure.in_doubt, "{failure}");
    assert_eq!(heroku.formation().await.unwrap()["web"].quantity, 2);
}

#[test]
fn the_key_is_never_shown() {
    let base = Url::parse("https://api.heroku.com").unwrap();
    let heroku = Heroku::with_key("acme-shop", base, Some("s3cret-key"), Clock::real()).unwrap();
    assert!(!format!("{heroku:?}").contains("s3cret"));
}

#[test]
fn a_key_does_not_travel_in_the_clear_nor_out_of_the_sandbox() {
    let plan = |api: &str| plan::Heroku { app: "acme-shop".into(), api: Some(api.into()) };
    assert!(matches!(
        Heroku::connect(&plan("http://api.example.com"), false, Clock::real()),
        Err(ConnectError::InTheClear(_))
    ));
    assert!(matches!(
        Heroku::connect(&plan("https://api.heroku.com"), true, Clock::real()),
        Err(ConnectError::NotLoopback(_))
    ));
    assert!(Heroku::connect(&plan("http://127.0.0.1:9"), true, Clock::real()).is_ok());
    assert!(Heroku::connect(&plan("http://[::1]:9"), true, Clock::real()).is_ok());
}

#[test]
fn netrc_gives_the_password_of_its_machine() {
    let text =
        "machine git.heroku.com\n  login a\n  password wrong\nmachine api.heroku.com\n  login b\n  password right\n";
    assert_eq!(netrc_password(text, "api.heroku.com").as_deref(), Some("right"));
    assert_eq!(netrc_password(text, "example.com"), None);
    assert_eq!(netrc_password("default login x password y", "api.heroku.com"), None);
    assert_eq!(
        netrc_password("machine api.heroku.com login password password p", "api.heroku.com").as_deref(),
        Some("p")
    );
}

#[tokio::test]
async fn the_end_of_the_own_key_is_told_and_no_other() {
    let of = |token: &str, left: &str| format!(r#"{{"access_token":{{"token":"{token}","expires_in":{left}}}}}"#);
    let until = async |status, body: &str| app(Manner::answer(status, "", body)).await.0.key_until().await;
    let all = format!("[{},{{\"access_token\":null}},{}]", of("another", "5"), of("s3cret-key", "3600"));
    let left = until(200, &all).await.unwrap().unwrap().duration_since(Clock::real().now()).as_secs();
    assert!((3590..=3600).contains(&left), "{left}");
    for (status, body) in [
        (200, format!("[{}]", of("s3cret-key", "null"))),
        (200, format!("[{}]", of("another", "5"))),
        (403, r#"{"id":"forbidden","message":"You do not have access"}"#.to_owned()),
    ] {
        assert_eq!(until(status, &body).await, Ok(None), "{body}");
    }
    for (status, kind) in [(500, TroubleKind::Refused), (401, TroubleKind::Credentials)] {
        assert_eq!(until(status, "").await.unwrap_err().kind, kind, "no answer is not a key without an end");
    }
}
