//! The Heroku Platform API, version 3: one app with its formation, dynos, add-ons, config vars, releases and domains.
//!
//! Source: the published schema (heroku/platform-api) and what the `heroku` CLI sends, which is laxer than the schema:
//! quantities may be strings.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, Method, Response, StatusCode},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    faults::{Obstacle, Trigger, later},
    http::{self, Call, Dropped, Reply},
    lock,
    model::Processes,
    world::World,
};

/// The one app.
pub(super) const APP: &str = "acme-shop";
const APP_ID: &str = "01234567-89ab-cdef-0123-456789abcdef";
/// A dyno is `starting` this long.
const BOOT: Duration = Duration::from_secs(8);
/// Requests that an account may send at once, and how many come back a minute (Platform API reference, rate limits).
const MAX_TOKENS: f64 = 4500.0;
const TOKENS_PER_MINUTE: f64 = 75.0;

/// The version of the oldest release that is listed.
const FIRST_RELEASE: usize = 229;

/// Names as an app has them; the values are made up and look it.
const CONFIG_VARS: [(&str, &str); 9] = [
    ("DATABASE_URL", "postgres://sandbox:not-a-secret@db.example.test:5432/acme"),
    ("PAPERTRAIL_API_TOKEN", "not-a-secret"),
    ("RAILS_ENV", "production"),
    ("RAILS_MAX_THREADS", "5"),
    ("REDIS_URL", "redis://:not-a-secret@redis.example.test:6379"),
    ("SECRET_KEY_BASE", "not-a-secret"),
    ("SMTP_PASSWORD", "not-a-secret"),
    ("STRIPE_SECRET_KEY", "not-a-secret"),
    ("WEB_CONCURRENCY", "2"),
];

/// The app.
#[derive(Debug)]
pub(super) struct App {
    maintenance: bool,
    formation: Vec<ProcessType>,
    config_vars: BTreeMap<String, String>,
    /// When and what, oldest first.
    releases: Vec<(Timestamp, String)>,
    created: Timestamp,
    updated: Timestamp,
    tokens: f64,
    tokens_at: Timestamp,
}

#[derive(Debug)]
struct ProcessType {
    name: &'static str,
    command: &'static str,
    /// When each of its dynos was started.
    dynos: Vec<Timestamp>,
    updated: Timestamp,
}

impl App {
    pub(super) fn new(now: Timestamp) -> Self {
        let created = now.checked_sub(jiff::SignedDuration::from_hours(24 * 900)).unwrap_or(now);
        let booted = now.checked_sub(jiff::SignedDuration::from_hours(5)).unwrap_or(now);
        let process =
            |name, command, quantity| ProcessType { name, command, dynos: vec![booted; quantity], updated: booted };
        Self {
            maintenance: false,
            formation: vec![
                process("clock", "bundle exec clockwork clock.rb", 1),
                process("web", "bundle exec puma -C config/puma.rb", 2),
                process("worker", "bundle exec sidekiq", 1),
            ],
            config_vars: CONFIG_VARS.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            releases: [229, 230, 231]
                .map(|version: u32| (created, format!("Deploy {:08x}", 0x5eed_0000 + version)))
                .into(),
            created,
            updated: booted,
            tokens: MAX_TOKENS,
            tokens_at: now,
        }
    }

    /// What runs now. Dynos that still start do not serve.
    pub(super) fn processes(&self, now: Timestamp) -> Processes {
        let up = |name| {
            let process = self.formation.iter().find(|process| process.name == name);
            process.map_or(0, |process| {
                process.dynos.iter().filter(|started| now >= later(**started, BOOT)).count() as u32
            })
        };
        Processes { web: up("web"), worker: up("worker"), scheduler: up("clock"), maintenance: self.maintenance }
    }

    /// Makes a release; gives its version.
    fn release(&mut self, now: Timestamp, description: String) -> usize {
        self.releases.push((now, description));
        self.updated = now;
        FIRST_RELEASE + self.releases.len() - 1
    }

    fn take_token(&mut self, now: Timestamp) -> bool {
        let minutes = now.duration_since(self.tokens_at).as_secs_f64().max(0.0) / 60.0;
        self.tokens = (self.tokens + minutes * TOKENS_PER_MINUTE).min(MAX_TOKENS);
        self.tokens_at = now;
        let allowed = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(allowed));
        allowed
    }
}

/// A refusal: status, Heroku's error id, message.
type Refusal = (StatusCode, &'static str, String);

/// Answers one request.
pub(super) async fn handle(world: Arc<World>, call: Call) -> Reply {
    let request_id = world.request_id();
    let operation = format!("{} {}", call.method, call.uri.path());
    let now = world.clock.now();
    let mut retry_after = None;
    let result = match world.faults.before("heroku", &operation, now) {
        Some(Obstacle::Closed) => return Err(Dropped),
        Some(Obstacle::Error { status, code }) => Err((status, "internal_server_error", code)),
        Some(Obstacle::Throttled(wait)) => {
            retry_after = wait;
            Err(rate_limited())
        }
        Some(Obstacle::Expired) => Err(rate_limited()),
        None => admitted(&world, &call, now).and_then(|()| serve(&world, &call, now, &request_id)),
    };
    let response = match result {
        Ok((status, body)) => http::json(status, &body),
        Err((status, id, message)) => http::json(status, &json!({ "id": id, "message": message })),
    };
    if world.faults.loses_answer("heroku", &operation, now) {
        return Err(Dropped);
    }
    let response = match retry_after {
        Some(wait) => http::retry_after(response, world.clock.to_wall(wait)),
        None => response,
    };
    Ok(stamped(&world, response, &request_id))
}

fn rate_limited() -> Refusal {
    let message = "Your account reached the API rate limit. Please wait a few minutes before making new requests";
    (StatusCode::TOO_MANY_REQUESTS, "rate_limit", message.to_owned())
}

fn admitted(world: &World, call: &Call, now: Timestamp) -> Result<(), Refusal> {
    let authorization = call.header("authorization");
    let token = authorization.strip_prefix("Bearer ").unwrap_or_default().trim();
    let basic = authorization.starts_with("Basic ");
    if token.is_empty() && !basic {
        return Err((StatusCode::UNAUTHORIZED, "unauthorized", "Invalid credentials provided.".to_owned()));
    }
    if lock(&world.heroku).take_token(now) { Ok(()) } else { Err(rate_limited()) }
}

fn stamped(world: &World, mut response: Response<Body>, request_id: &str) -> Response<Body> {
    let remaining = lock(&world.heroku).tokens as u64;
    let headers = response.headers_mut();
    headers.insert("ratelimit-remaining", HeaderValue::from(remaining));
    headers.insert("heroku-api-version", HeaderValue::from_static("3"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("request-id", id);
    }
    response
}

fn serve(world: &World, call: &Call, now: Timestamp, request_id: &str) -> Result<(StatusCode, Value), Refusal> {
    let segments = call.segments();
    let (app, rest) = match segments.as_slice() {
        ["account"] => return Ok((StatusCode::OK, json!({ "email": "operator@example.test", "id": APP_ID }))),
        ["account", "rate-limits"] => {
            return Ok((StatusCode::OK, json!({ "remaining": lock(&world.heroku).tokens as u64 })));
        }
        ["oauth", "authorizations"] => return Ok((StatusCode::OK, authorizations_json(world, call, now))),
        ["apps"] => return Ok((StatusCode::OK, json!([app_json(&lock(&world.heroku))]))),
        ["apps", app, rest @ ..] => (*app, rest),
        _ => return Err(not_found()),
    };
    if app != APP && app != APP_ID {
        return Err((StatusCode::NOT_FOUND, "not_found", "Couldn't find that app.".to_owned()));
    }
    match (&call.method, rest) {
        (&Method::GET, []) => Ok((StatusCode::OK, app_json(&lock(&world.heroku)))),
        (&Method::PATCH, []) => set_maintenance(world, call, now, request_id),
        (&Method::PATCH, ["formation"]) => {
            let body = body(call)?;
            let updates = body.get("updates").and_then(Value::as_array).cloned().unwrap_or_default();
            scale(world, &updates, now, request_id).map(|changed| (StatusCode::OK, Value::Array(changed)))
        }
        (&Method::PATCH, ["formation", name]) => {
            let mut update = body(call)?;
            update["type"] = json!(name);
            let mut changed = scale(world, &[update], now, request_id)?;
            Ok((StatusCode::OK, changed.pop().unwrap_or_default()))
        }
        (&Method::POST, ["releases"]) => deploy(world, call, now, request_id),
        (&Method::PATCH, ["config-vars"]) => configure(world, call, now, request_id),
        (&Method::GET, [collection, item @ ..]) => {
            let (status, mut all) = read(world, collection, item, now)?;
            // Clients ask so for the newest one.
            if call.header("range").contains("order=desc")
                && let Some(all) = all.as_array_mut()
            {
                all.reverse();
            }
            Ok((status, all))
        }
        _ => Err(not_found()),
    }
}

fn not_found() -> Refusal {
    (StatusCode::NOT_FOUND, "not_found", "The requested API endpoint was not found. Are you using the right HTTP verb (i.e. `GET` vs. `POST`), and did you specify your intended version with the `Accept` header?".to_owned())
}

fn body(call: &Call) -> Result<Value, Refusal> {
    let invalid = || (StatusCode::BAD_REQUEST, "bad_request", "Unable to parse the request body.".to_owned());
    serde_json::from_slice::<Value>(&call.body).ok().filter(Value::is_object).ok_or_else(invalid)
}

fn read(world: &World, collection: &str, item: &[&str], now: Timestamp) -> Result<(StatusCode, Value), Refusal> {
    let app = lock(&world.heroku);
    let all = match collection {
        "formation" => Value::Array(app.formation.iter().map(formation_json).collect()),
        "dynos" => Value::Array(app.formation.iter().flat_map(|process| dynos_json(process, now)).collect()),
        "addons" => addons_json(),
        "addon-attachments" | "buildpack-installations" | "pipeline-couplings" | "webhooks" | "features" => json!([]),
        "config-vars" => return Ok((StatusCode::OK, json!(app.config_vars))),
        "releases" => releases_json(&app),
        "domains" => domains_json(),
        _ => return Err(not_found()),
    };
    // 206 would say that there is more, and a client would ask for it.
    let [wanted] = item else { return Ok((StatusCode::OK, all)) };
    let version: Option<u64> = wanted.parse().ok();
    let is_it = |one: &&Value| {
        let named = ["id", "name", "type", "hostname"].iter().any(|key| one[*key] == json!(wanted));
        named || version.is_some_and(|version| one["version"] == json!(version))
    };
    let found = all.as_array().and_then(|all| all.iter().find(is_it)).cloned();
    let missing =
        || (StatusCode::NOT_FOUND, "not_found", format!("Couldn't find that {}.", collection.trim_end_matches('s')));
    found.map(|one| (StatusCode::OK, one)).ok_or_else(missing)
}

fn set_maintenance(
    world: &World,
    call: &Call,
    now: Timestamp,
    request_id: &str,
) -> Result<(StatusCode, Value), Refusal> {
    let body = body(call)?;
    let mut app = lock(&world.heroku);
    if let Some(wanted) = body.get("maintenance") {
        let invalid =
            || (StatusCode::UNPROCESSABLE_ENTITY, "invalid_params", "maintenance must be a boolean".to_owned());
        let wanted = wanted.as_bool().ok_or_else(invalid)?;
        let detail = json!({ "maintenance": { "from": app.maintenance, "to": wanted } });
        app.maintenance = wanted;
        app.updated = now;
        world.ledger.note(now, "heroku", "PATCH /apps/acme-shop", APP, detail, request_id);
        world.faults.fire(Trigger::HerokuMaintenance, now);
    }
    Ok((StatusCode::OK, app_json(&app)))
}

/// Sets what is given, and takes away what is null. The ledger holds names alone, as ours must.
fn configure(world: &World, call: &Call, now: Timestamp, request_id: &str) -> Result<(StatusCode, Value), Refusal> {
    let body = body(call)?;
    let mut app = lock(&world.heroku);
    for (name, value) in body.as_object().into_iter().flatten() {
        let before = match value.as_str() {
            Some(value) => app.config_vars.insert(name.clone(), value.to_owned()),
            None => app.config_vars.remove(name),
        };
        let detail = json!({ "set": { "from": before.is_some(), "to": value.is_string() } });
        world.ledger.note(now, "heroku", "PATCH /apps/acme-shop/config-vars", name, detail, request_id);
    }
    let names: Vec<_> = body.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    app.release(now, format!("Set {} config vars", names.join(", ")));
    Ok((StatusCode::OK, json!(app.config_vars)))
}

/// A new release: of a slug (what a deploy comes down to), or an earlier release once more.
fn deploy(world: &World, call: &Call, now: Timestamp, request_id: &str) -> Result<(StatusCode, Value), Refusal> {
    let body = body(call)?;
    let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut app = lock(&world.heroku);
    let description = match (text("slug"), text("release")) {
        (Some(slug), _) => text("description").unwrap_or_else(|| format!("Deploy {slug}")),
        (None, Some(earlier)) => {
            let known = (0..app.releases.len()).map(|place| release_json(&app, place));
            let known = known.into_iter().find(|release| release["id"] == json!(earlier));
            let missing = || (StatusCode::NOT_FOUND, "not_found", "Couldn't find that release.".to_owned());
            format!("Rollback to v{}", known.ok_or_else(missing)?["version"])
        }
        (None, None) => return Err((StatusCode::UNPROCESSABLE_ENTITY, "invalid_params", "Missing slug.".to_owned())),
    };
    let release = app.release(now, description);
    world.ledger.note(now, "heroku", "POST /apps/acme-shop/releases", APP, json!({ "release": release }), request_id);
    Ok((StatusCode::CREATED, release_json(&app, app.releases.len() - 1)))
}

/// The one authorization that there is: of the key that asks.
fn authorizations_json(world: &World, call: &Call, now: Timestamp) -> Value {
    let token = call.header("authorization").strip_prefix("Bearer ").unwrap_or_default().trim().to_owned();
    let until = later(world.started, Duration::from_secs(u64::from(world.scenario.heroku.key_hours) * 3600));
    let left = until.duration_since(now).as_secs().max(0);
    json!([{
        "id": APP_ID, "description": "Heroku CLI login", "scope": ["global"], "client": null, "grant": null,
        "created_at": world.started.to_string(), "updated_at": world.started.to_string(), "session": null,
        "refresh_token": null, "user": { "id": APP_ID, "email": "operator@example.test", "full_name": null },
        "access_token": { "id": APP_ID, "token": token, "expires_in": left },
    }])
}

/// Scales all or nothing.
fn scale(world: &World, updates: &[Value], now: Timestamp, request_id: &str) -> Result<Vec<Value>, Refusal> {
    let mut app = lock(&world.heroku);
    let mut checked = Vec::new();
    for update in updates {
        let name = update["type"].as_str().unwrap_or_default();
        let index = app.formation.iter().position(|process| process.name == name);
        let unknown = || (StatusCode::NOT_FOUND, "not_found", format!("Couldn't find that process type ({name})."));
        checked.push((index.ok_or_else(unknown)?, quantity(&update["quantity"])?));
    }
    let mut changed = Vec::new();
    for (index, quantity) in checked {
        let process = &mut app.formation[index];
        let before = process.dynos.len();
        process.dynos.resize(quantity, now);
        process.updated = now;
        let target = format!("{APP}/{}", process.name);
        let detail = json!({ "quantity": { "from": before, "to": quantity } });
        changed.push(formation_json(process));
        world.ledger.note(now, "heroku", "PATCH /apps/acme-shop/formation", &target, detail, request_id);
    }
    world.faults.fire(Trigger::HerokuFormation, now);
    Ok(changed)
}

/// A quantity: an integer by the schema, a string from the CLI.
fn quantity(value: &Value) -> Result<usize, Refusal> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let invalid = || (StatusCode::UNPROCESSABLE_ENTITY, "invalid_params", format!("Invalid quantity: {value}"));
    number.and_then(|number| usize::try_from(number).ok()).filter(|number| *number <= 100).ok_or_else(invalid)
}

fn app_reference() -> Value {
    json!({ "id": APP_ID, "name": APP })
}

fn app_json(app: &App) -> Value {
    json!({
        "id": APP_ID, "name": APP, "maintenance": app.maintenance,
        "web_url": format!("https://{APP}.herokuapp.com/"), "git_url": format!("https://git.heroku.com/{APP}.git"),
        "region": { "id": "59accabd-516d-4f0e-83e6-6e3757701145", "name": "us" },
        "stack": { "id": "e6f4fc2a-3c5f-4d1b-9c33-a5e3f7e1c8f0", "name": "heroku-24" },
        "build_stack": { "id": "e6f4fc2a-3c5f-4d1b-9c33-a5e3f7e1c8f0", "name": "heroku-24" },
        "owner": { "id": "01234567-0000-0000-0000-456789abcdef", "email": "operator@example.test" },
        "acm": true, "archived_at": null, "buildpack_provided_description": "Ruby", "internal_routing": false,
        "repo_size": 1_048_576, "slug_size": 73_400_320, "space": null, "team": null, "organization": null,
        "created_at": app.created.to_string(), "updated_at": app.updated.to_string(), "released_at": app.created.to_string(),
    })
}

fn formation_json(process: &ProcessType) -> Value {
    json!({
        "id": format!("f0000000-0000-0000-0000-{:012x}", process.name.bytes().map(u64::from).sum::<u64>()),
        "app": app_reference(), "type": process.name, "command": process.command, "quantity": process.dynos.len(),
        "size": "Standard-2X", "dyno_size": { "name": "Standard-2X" },
        "created_at": process.updated.to_string(), "updated_at": process.updated.to_string(),
    })
}

fn dynos_json(process: &ProcessType, now: Timestamp) -> Vec<Value> {
    let dyno = |(index, started): (usize, &Timestamp)| {
        json!({
            "id": format!("d0000000-0000-0000-{:04x}-{:012x}", index, process.name.bytes().map(u64::from).sum::<u64>()),
            "app": app_reference(), "name": format!("{}.{}", process.name, index + 1), "type": process.name,
            "command": process.command, "size": "Standard-2X", "attach_url": null,
            "release": { "id": "e0000000-0000-0000-0000-000000000231", "version": 231 },
            "state": if now >= later(*started, BOOT) { "up" } else { "starting" },
            "created_at": started.to_string(), "updated_at": started.to_string(),
        })
    };
    process.dynos.iter().enumerate().map(dyno).collect()
}

fn addons_json() -> Value {
    let addon = |(number, name, service, plan, vars): (u8, &str, &str, &str, &[&str])| {
        json!({
            "id": format!("a0000000-0000-0000-0000-{number:012}"), "app": app_reference(), "name": name,
            "addon_service": { "id": format!("b0000000-0000-0000-0000-{number:012}"), "name": service },
            "plan": { "id": format!("c0000000-0000-0000-0000-{number:012}"), "name": format!("{service}:{plan}") },
            "config_vars": vars, "state": "provisioned", "provider_id": format!("{number}"), "web_url": null,
        })
    };
    let addons: [(u8, &str, &str, &str, &[&str]); 4] = [
        (1, "postgresql-curved-12345", "heroku-postgresql", "standard-0", &["DATABASE_URL"]),
        (2, "redis-round-23456", "heroku-redis", "premium-0", &["REDIS_URL"]),
        (3, "scheduler-amorphous-34567", "scheduler", "standard", &[]),
        (4, "papertrail-defined-45678", "papertrail", "choklad", &["PAPERTRAIL_API_TOKEN"]),
    ];
    Value::Array(addons.into_iter().map(addon).collect())
}

fn releases_json(app: &App) -> Value {
    Value::Array((0..app.releases.len()).map(|place| release_json(app, place)).collect())
}

fn release_json(app: &App, place: usize) -> Value {
    let (version, (at, description)) = (FIRST_RELEASE + place, &app.releases[place]);
    json!({
        "id": format!("e0000000-0000-0000-0000-{version:012}"), "app": app_reference(), "version": version,
        "description": description, "status": "succeeded", "current": place + 1 == app.releases.len(),
        "created_at": at.to_string(), "updated_at": at.to_string(),
        "user": { "id": "01234567-0000-0000-0000-456789abcdef", "email": "operator@example.test" },
        "slug": { "id": format!("50000000-0000-0000-0000-{version:012}") },
    })
}

fn domains_json() -> Value {
    let domain = |(number, hostname, kind, cname): (u8, &str, &str, Option<&str>)| {
        json!({
            "id": format!("d1000000-0000-0000-0000-{number:012}"), "app": app_reference(), "hostname": hostname,
            "kind": kind, "cname": cname, "status": "succeeded", "acm_status": "cert issued", "acm_status_reason": null,
        })
    };
    let domains = [
        (1, "acme-shop.herokuapp.com", "heroku", None),
        (2, "shop.example.test", "custom", Some("acme-shop.herokudns.test")),
        (3, "api.example.test", "custom", Some("acme-api.herokudns.test")),
    ];
    Value::Array(domains.map(domain).into())
}
