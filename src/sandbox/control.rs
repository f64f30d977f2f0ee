//! The control port: what the world is really like, for tests, people and `cutover sandbox`. No service of any cloud.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    Endpoints,
    faults::{FaultSpec, Side},
    http::{self, Call, Reply},
    lock,
    world::World,
};

/// Answers `GET /sandbox/endpoints`, `/sandbox/ledger`, `/sandbox/state` and `POST /sandbox/fault`.
pub(super) async fn handle(world: Arc<World>, endpoints: Arc<Endpoints>, call: Call) -> Reply {
    let response = match (&call.method, call.segments().as_slice()) {
        (&Method::GET, ["sandbox", "endpoints"]) => http::json(StatusCode::OK, &*endpoints),
        (&Method::GET, ["sandbox", "ledger"]) => http::json(StatusCode::OK, &world.ledger.entries()),
        (&Method::GET, ["sandbox", "state"]) => http::json(StatusCode::OK, &state(&world)),
        (&Method::POST, ["sandbox", "fault"]) => match serde_json::from_slice::<FaultSpec>(&call.body) {
            Ok(spec) => {
                world.faults.inject(spec, world.clock.now());
                http::json(StatusCode::CREATED, &json!({ "injected": true }))
            }
            Err(error) => http::json(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "error": error.to_string() })),
        },
        _ => http::text(StatusCode::NOT_FOUND, "GET /sandbox/{endpoints,ledger,state} or POST /sandbox/fault\n"),
    };
    Ok(response)
}

fn state(world: &World) -> Value {
    let now = world.clock.now();
    let shared = lock(&world.model).shared;
    let sides = Side::BOTH.map(|side| {
        let processes = world.processes(side, now);
        json!({
            "side": side, "load": world.side(side), "web": processes.web, "worker": processes.worker,
            "scheduler": processes.scheduler, "maintenance": processes.maintenance,
        })
    });
    let services: Vec<Value> = lock(&world.ecs)
        .summary(now)
        .into_iter()
        .map(|(name, desired, running)| json!({ "service": name, "desired": desired, "running": running }))
        .collect();
    let instances: Vec<Value> = lock(&world.rds)
        .summary(now)
        .into_iter()
        .map(|(id, status, source)| json!({ "instance": id, "status": status, "replicates": source }))
        .collect();
    json!({
        "now": now.to_string(), "started": world.started.to_string(), "speed": world.clock.speed(),
        "scenario": world.scenario.about, "sides": sides, "shared": shared, "users": lock(&world.users).states(),
        "ecs": services, "rds": instances, "postgres": lock(&world.databases).summary(),
        "mutations": world.ledger.entries().len(),
    })
}
