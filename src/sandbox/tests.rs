//! The sandbox as its clients meet it: over HTTP, HTTPS and DNS, with the clock running fast.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};

use super::{Endpoints, Ports, Sandbox, SandboxConfig, faults::Side, ledger::Entry, scenario::Scenario, start};
use crate::clock::{Clock, monotonic};

pub(super) async fn sandbox(scenario: &str, speed: f64) -> Sandbox {
    let scenario = Scenario::load(scenario).unwrap();
    start(SandboxConfig { clock: Clock::scaled(speed), scenario, state_dir: None, ports: Ports::default() })
        .await
        .unwrap()
}

pub(super) async fn control(endpoints: &Endpoints, path: &str) -> Value {
    reqwest::get(format!("{}/sandbox/{path}", endpoints.control)).await.unwrap().json().await.unwrap()
}

pub(super) async fn ledger(endpoints: &Endpoints) -> Vec<Entry> {
    serde_json::from_value(control(endpoints, "ledger").await).unwrap()
}

/// Asks until `done` or ten wall seconds have passed; gives back the last state.
pub(super) async fn state_when(endpoints: &Endpoints, mut done: impl FnMut(&Value) -> bool) -> Value {
    let began = monotonic();
    loop {
        let state = control(endpoints, "state").await;
        if done(&state) || began.elapsed() > Duration::from_secs(10) {
            return state;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn side(state: &Value, side: Side) -> &Value {
    &state["sides"][side as usize]
}

async fn heroku(endpoints: &Endpoints, method: reqwest::Method, path: &str, body: Option<Value>) -> reqwest::Response {
    let request = reqwest::Client::new()
        .request(method, format!("{}{path}", endpoints.heroku))
        .header("accept", "application/vnd.heroku+json; version=3")
        .bearer_auth("sandbox");
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    request.send().await.unwrap()
}

/// A client that trusts the sandbox and goes to `to` whatever the name says.
fn client(endpoints: &Endpoints, to: SocketAddr) -> reqwest::Client {
    let pem = std::fs::read(&endpoints.ca_pem_path).unwrap();
    reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
        .resolve("shop.example.test", to)
        .build()
        .unwrap()
}

#[tokio::test]
async fn both_origins_answer_http_and_https_with_their_own_certificates() {
    let sandbox = sandbox("calm", 1.0).await;
    let endpoints = sandbox.endpoints();
    for (origin, served_by, name) in [(endpoints.old_origin, "heroku", "old"), (endpoints.new_origin, "aws", "new")] {
        let https = client(endpoints, origin.https);
        let url = format!("https://shop.example.test:{}/health", origin.https.port());
        let response = https.get(url).send().await.unwrap();
        assert_eq!(response.headers()["x-served-by"], served_by);
        let health: Value = response.json().await.unwrap();
        assert_eq!((&health["side"], &health["status"]), (&json!(name), &json!("ok")));
        let http = client(endpoints, origin.http);
        let status = |path| http.get(format!("http://shop.example.test:{}{path}", origin.http.port())).send();
        assert_eq!(status("/checkout").await.unwrap().status(), 200);
        assert_eq!(status("/nothing").await.unwrap().status(), 404);
    }
    assert_eq!(endpoints.old_origin.https.port(), endpoints.new_origin.https.port());
    let wrong_host = reqwest::get(format!("http://{}/", endpoints.old_origin.http)).await.unwrap();
    assert_eq!(wrong_host.status(), 404, "Heroku's router knows only its apps' names");
}

#[tokio::test]
async fn maintenance_mode_refuses_web_requests_and_leaves_workers_running() {
    let sandbox = sandbox("calm", 60.0).await;
    let endpoints = sandbox.endpoints();
    let answer =
        heroku(endpoints, reqwest::Method::PATCH, "/apps/acme-shop", Some(json!({ "maintenance": true }))).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().contains_key("ratelimit-remaining"));
    let url = format!("http://shop.example.test:{}/", endpoints.old_origin.http.port());
    let page = client(endpoints, endpoints.old_origin.http).get(url).send().await.unwrap();
    assert_eq!(page.status(), 503);
    let state = state_when(endpoints, |state| side(state, Side::Old)["load"]["error_rate"] == json!(1.0)).await;
    assert_eq!(side(&state, Side::Old)["load"]["error_rate"], json!(1.0));
    assert_eq!(side(&state, Side::Old)["worker"], json!(1));
    let entries = ledger(endpoints).await;
    assert_eq!(entries[0].detail, json!({ "maintenance": { "from": false, "to": true } }));
}

#[tokio::test]
async fn dynos_scale_by_string_or_number_all_or_nothing_and_boot_in_their_time() {
    let sandbox = sandbox("calm", 4.0).await;
    let endpoints = sandbox.endpoints();
    let scale = |updates: Value| {
        heroku(endpoints, reqwest::Method::PATCH, "/apps/acme-shop/formation", Some(json!({ "updates": updates })))
    };
    let bad = scale(json!([{ "type": "worker", "quantity": "0" }, { "type": "nope", "quantity": 1 }])).await;
    assert_eq!(bad.status(), 404);
    assert!(ledger(endpoints).await.is_empty());
    let good = scale(json!([{ "type": "worker", "quantity": "0" }, { "type": "web", "quantity": 3 }])).await;
    let changed: Value = good.json().await.unwrap();
    assert_eq!((&changed[0]["quantity"], &changed[1]["quantity"]), (&json!(0), &json!(3)));
    let dynos: Value =
        heroku(endpoints, reqwest::Method::GET, "/apps/acme-shop/dynos", None).await.json().await.unwrap();
    let states: Vec<&str> = dynos.as_array().unwrap().iter().map(|dyno| dyno["state"].as_str().unwrap()).collect();
    assert_eq!(states.iter().filter(|state| **state == "starting").count(), 1, "{states:?}");
    let state = state_when(endpoints, |state| side(state, Side::Old)["web"] == json!(3)).await;
    assert_eq!((&side(&state, Side::Old)["web"], &side(&state, Side::Old)["worker"]), (&json!(3), &json!(0)));
    let grown = state_when(endpoints, |state| state["shared"]["queue"].as_f64().unwrap() > 60.0).await;
    assert!(grown["shared"]["queue"].as_f64().unwrap() > 60.0, "without workers the queue grows: {}", grown["shared"]);
}

#[tokio::test]
async fn heroku_refuses_as_heroku_does() {
    let sandbox = sandbox("calm", 1.0).await;
    let endpoints = sandbox.endpoints();
    let anonymous = reqwest::get(format!("{}/apps/acme-shop", endpoints.heroku)).await.unwrap();
    assert_eq!(anonymous.status(), 401);
    assert_eq!(anonymous.json::<Value>().await.unwrap()["id"], "unauthorized");
    let missing = heroku(endpoints, reqwest::Method::GET, "/apps/other", None).await;
    assert_eq!(
        (missing.status().as_u16(), missing.json::<Value>().await.unwrap()["id"].clone()),
        (404, json!("not_found"))
    );
    for collection in ["addons", "config-vars", "releases", "domains", "formation", "dynos", "webhooks"] {
        let answer = heroku(endpoints, reqwest::Method::GET, &format!("/apps/acme-shop/{collection}"), None).await;
        assert!(answer.status().is_success(), "{collection}");
    }
    let worker = heroku(endpoints, reqwest::Method::GET, "/apps/acme-shop/formation/worker", None).await;
    assert_eq!(worker.json::<Value>().await.unwrap()["quantity"], 1);
}

#[tokio::test]
async fn an_injected_fault_reaches_real_answers() {
    let sandbox = sandbox("calm", 1.0).await;
    let endpoints = sandbox.endpoints();
    let fault = json!({ "kind": "http-errors", "side": "new", "rate": 1.0 });
    let client_ = reqwest::Client::new();
    let inject = |fault: Value| client_.post(format!("{}/sandbox/fault", endpoints.control)).json(&fault).send();
    assert_eq!(inject(fault).await.unwrap().status(), 201);
    let page = reqwest::get(format!("http://{}/", endpoints.new_origin.http)).await.unwrap();
    assert_eq!(page.status(), 500);
    assert_eq!(inject(json!({ "kind": "gremlins" })).await.unwrap().status(), 422);
}

#[tokio::test]
async fn endpoints_travel_as_json_and_share_the_clock() {
    let sandbox = sandbox("calm", 20.0).await;
    let text = serde_json::to_string(sandbox.endpoints()).unwrap();
    let there: Endpoints = serde_json::from_str(&text).unwrap();
    assert_eq!(&there, sandbox.endpoints());
    let state = control(&there, "state").await;
    let theirs: jiff::Timestamp = state["now"].as_str().unwrap().parse().unwrap();
    assert!(there.clock().now().duration_since(theirs).as_secs_f64().abs() < 20.0);
    let ca = there.ca_pem_path.clone();
    sandbox.shutdown().await;
    assert!(!ca.exists(), "the sandbox tidies up after itself");
    assert!(reqwest::get(format!("{}/sandbox/state", there.control)).await.is_err());
}
