//! The old and the new origin: they answer HTTP and HTTPS as the app does on each side.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, Method, Response, StatusCode},
};
use serde_json::json;
use tokio::net::TcpListener;

use super::{
    SandboxError,
    faults::{Obstacle, Side},
    http::{self, Call, Dropped, Reply},
    lock,
    world::World,
};

/// The longest time that an answer may take, whatever the model says: a rehearsal waits in wall time.
const MAX_LATENCY: Duration = Duration::from_millis(2500);
/// Binding two addresses to one port may meet a port that is free on one of them only.
const PORT_ATTEMPTS: usize = 32;

/// The hosts that Heroku's router knows; others have no app.
const HEROKU_HOSTS: &[&str] = &[
    "shop.example.test",
    "api.example.test",
    "acme-shop.herokudns.test",
    "acme-api.herokudns.test",
    "acme-shop.herokuapp.com",
];

/// Answers one request to one side.
pub(super) async fn handle(world: Arc<World>, side: Side, call: Call) -> Reply {
    let service = if side == Side::Old { "web.old" } else { "web.new" };
    match world.faults.before(service, call.uri.path(), world.clock.now()) {
        Some(Obstacle::Closed) => return Err(Dropped),
        Some(Obstacle::Error { status, .. }) => return Ok(page(status, "We're sorry, but something went wrong")),
        Some(Obstacle::Throttled(wait)) => {
            let page = page(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");
            return Ok(match wait {
                Some(wait) => http::retry_after(page, world.clock.to_wall(wait)),
                None => page,
            });
        }
        Some(Obstacle::Expired) | None => {}
    }
    let state = world.side(side);
    let processes = world.processes(side, world.clock.now());
    let (latency, chance) = {
        let mut model = lock(&world.model);
        let noise = model.noise();
        (state.draw_latency(noise), noise.uniform())
    };
    tokio::time::sleep(Duration::from_secs_f64(latency.max(0.0) / 1000.0).min(MAX_LATENCY)).await;
    let mut response = if side == Side::Old && !is_known_host(&call) {
        http::text(StatusCode::NOT_FOUND, "There's nothing here, yet.\n")
    } else if processes.maintenance {
        page(StatusCode::SERVICE_UNAVAILABLE, "Offline for Maintenance")
    } else if processes.web == 0 {
        page(StatusCode::SERVICE_UNAVAILABLE, "Service Temporarily Unavailable")
    } else if chance < failing(&world, side, state.read_error_rate, state.maintenance)
        || (call.method == Method::POST && chance < lock(&world.databases).refused_orders(side))
    {
        page(StatusCode::INTERNAL_SERVER_ERROR, "We're sorry, but something went wrong")
    } else {
        app(side, &call)
    };
    let served_by = if side == Side::Old { "heroku" } else { "aws" };
    response.headers_mut().insert("x-served-by", HeaderValue::from_static(served_by));
    Ok(response)
}

/// The chance that the app fails. The model's rate lags maintenance mode by a tick, so it counts only without it.
fn failing(world: &World, side: Side, model_rate: f64, was_maintenance: bool) -> f64 {
    let fault = world.faults.error_rate(side, world.clock.now());
    if was_maintenance || model_rate >= 1.0 { fault } else { model_rate.max(fault) }
}

fn is_known_host(call: &Call) -> bool {
    let host = call.header("host");
    let host = host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
    HEROKU_HOSTS.contains(&host.as_str())
}

fn page(status: StatusCode, title: &str) -> Response<Body> {
    let html =
        format!("<!doctype html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n");
    http::reply(status, "text/html; charset=utf-8", html)
}

/// The app itself: the same release on both sides.
fn app(side: Side, call: &Call) -> Response<Body> {
    let ok = StatusCode::OK;
    match (&call.method, call.segments().as_slice()) {
        (&Method::GET | &Method::HEAD, []) => page(ok, "Acme Shop"),
        (&Method::GET | &Method::HEAD, ["health" | "healthz"]) => {
            http::json(ok, &json!({ "status": "ok", "side": side, "db": "ok", "queue": "ok", "release": "v231" }))
        }
        (&Method::GET | &Method::HEAD, ["login"]) => page(ok, "Log in"),
        (&Method::GET | &Method::HEAD, ["cart"]) => page(ok, "Your cart"),
        (&Method::GET | &Method::HEAD, ["checkout"]) => page(ok, "Checkout"),
        (&Method::GET | &Method::HEAD, ["search"]) => page(ok, "Search results"),
        (&Method::GET | &Method::HEAD, ["products", id]) => page(ok, &format!("Product {}", digits(id))),
        (&Method::GET | &Method::HEAD, ["assets", "app.css"]) => {
            http::reply(ok, "text/css", "body { font-family: sans-serif }\n")
        }
        (&Method::GET | &Method::HEAD, ["robots.txt"]) => http::text(ok, "User-agent: *\nAllow: /\n"),
        (&Method::GET, ["api", "products"]) => {
            http::json(ok, &json!({ "products": [{ "id": 1, "name": "Anvil" }, { "id": 2, "name": "Rocket skates" }] }))
        }
        (&Method::GET, ["api", "orders"]) => http::json(ok, &json!({ "orders": [], "total": 0 })),
        (&Method::POST, ["api", "orders"]) => {
            http::json(StatusCode::CREATED, &json!({ "id": 4711, "status": "accepted" }))
        }
        (&Method::POST, ["webhooks", "payments"]) => http::json(ok, &json!({ "received": true })),
        (&Method::GET | &Method::HEAD, ["admin"]) => {
            let mut response = http::text(StatusCode::FOUND, "");
            response.headers_mut().insert("location", HeaderValue::from_static("/login"));
            response
        }
        _ => page(StatusCode::NOT_FOUND, "The page you were looking for doesn't exist"),
    }
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).take(9).collect()
}

/// Binds the same port on two addresses.
pub(super) async fn bind_pair(old: SocketAddr, new: SocketAddr) -> Result<(TcpListener, TcpListener), SandboxError> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let first = http::bind(old).await?;
        let port = first.local_addr().map_err(|source| SandboxError::Bind { address: old, source })?.port();
        match http::bind(SocketAddr::new(new.ip(), port)).await {
            Ok(second) => return Ok((first, second)),
            Err(error) if old.port() != 0 || attempt == PORT_ATTEMPTS => return Err(error),
            Err(_) => {}
        }
    }
}
