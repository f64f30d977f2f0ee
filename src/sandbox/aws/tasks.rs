//! One-off ECS tasks: they are pulled, run, write lines and end with an exit code, each in its time.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    AwsError,
    ecs::{CLUSTER, arn, seconds, short},
    string, strings,
};
use crate::sandbox::{faults::later, world::World};

/// Families, each with revisions 41 and 42; the container has the name behind the dash.
pub(super) const DEFINITIONS: &[&str] = &["acme-web", "acme-worker", "acme-scheduler", "acme-release"];
/// Revisions of each family that exist.
const REVISIONS: [u32; 2] = [41, 42];
/// From asked for to PENDING.
const PROVISION: Duration = Duration::from_secs(10);
/// From PENDING to RUNNING: the image is pulled.
const PULL: Duration = Duration::from_secs(15);
/// How long a command runs.
const RUN: Duration = Duration::from_secs(40);
/// From its end to STOPPED: the network interface is given back.
const DEPROVISION: Duration = Duration::from_secs(10);
/// From SIGTERM to the end of a command that listens to it.
const TERM: Duration = Duration::from_secs(4);
/// How often a service's task writes a line.
const BEAT: Duration = Duration::from_secs(30);
/// Exit code of a command that SIGTERM has ended.
const TERMINATED: u8 = 143;
/// Tasks are forgotten an hour after they stopped.
const FORGET: Duration = Duration::from_secs(3600);

/// What was written, and when.
pub(super) type Lines = Vec<(Timestamp, String)>;

/// All one-off tasks, oldest first.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Jobs(Vec<Job>);

#[derive(Debug)]
struct Job {
    id: String,
    /// `family:revision`.
    definition: String,
    container: String,
    command: Vec<String>,
    started_by: String,
    client_token: String,
    group: String,
    created: Timestamp,
    /// How its command ends if it is let.
    exit: u8,
    /// When and why it was told to stop.
    stop: Option<(Timestamp, String)>,
}

impl Job {
    fn runs_from(&self) -> Timestamp {
        later(self.created, PROVISION + PULL)
    }

    /// When its command ends: by itself, or told to.
    fn ends(&self) -> Timestamp {
        let alone = later(self.runs_from(), RUN);
        match &self.stop {
            Some((at, _)) if *at < self.runs_from() => *at,
            Some((at, _)) => later(*at, TERM).min(alone),
            None => alone,
        }
    }

    fn stopped(&self) -> Timestamp {
        later(self.ends(), DEPROVISION)
    }

    fn status(&self, now: Timestamp) -> &'static str {
        let told = self.stop.as_ref().is_some_and(|(at, _)| now >= *at);
        match () {
            () if now >= self.stopped() => "STOPPED",
            () if now >= self.ends() => "DEPROVISIONING",
            () if told => "STOPPING",
            () if now >= self.runs_from() => "RUNNING",
            () if now >= later(self.created, PROVISION) => "PENDING",
            () => "PROVISIONING",
        }
    }

    /// None: its command never ran.
    fn exit(&self) -> Option<u8> {
        match &self.stop {
            Some((at, _)) if *at < self.runs_from() => None,
            Some(_) if self.ends() < later(self.runs_from(), RUN) => Some(TERMINATED),
            _ => Some(self.exit),
        }
    }

    /// What it has written until now: when and what.
    fn lines(&self, now: Timestamp) -> Lines {
        let mut lines = script(&self.command, self.exit);
        let every = RUN / u32::try_from(lines.len().max(1)).unwrap_or(1);
        let last = lines.len().saturating_sub(1);
        let at = |index: usize| match index {
            index if index == last => later(self.runs_from(), RUN),
            index => later(self.runs_from(), every * u32::try_from(index).unwrap_or(0)),
        };
        let times: Vec<_> = (0..lines.len()).map(at).collect();
        times.into_iter().zip(lines.drain(..)).filter(|(at, _)| *at <= now && *at <= self.ends()).collect()
    }

    fn json(&self, now: Timestamp) -> Value {
        let status = self.status(now);
        let over = now >= self.ends();
        let mut container = json!({
            "name": self.container, "lastStatus": if over { "STOPPED" } else { status },
            "taskArn": arn("task", &format!("{CLUSTER}/{}", self.id)), "healthStatus": "UNKNOWN",
        });
        let mut task = json!({
            "taskArn": arn("task", &format!("{CLUSTER}/{}", self.id)), "clusterArn": arn("cluster", CLUSTER),
            "group": self.group, "lastStatus": status, "desiredStatus": if over || self.stop.is_some() { "STOPPED" } else { "RUNNING" },
            "taskDefinitionArn": arn("task-definition", &self.definition), "launchType": "FARGATE",
            "startedBy": self.started_by, "createdAt": seconds(self.created), "cpu": "512", "memory": "1024",
            "healthStatus": "UNKNOWN",
        });
        if over {
            task["stoppedReason"] = match &self.stop {
                Some((_, reason)) => json!(reason),
                None => json!("Essential container in task exited"),
            };
            task["stopCode"] = json!(if self.stop.is_some() { "UserInitiated" } else { "EssentialContainerExited" });
            if let Some(exit) = self.exit() {
                container["exitCode"] = json!(exit);
            }
        }
        task["containers"] = json!([container]);
        task
    }
}

/// What a command writes while it runs; its last line tells how it ended.
fn script(command: &[String], exit: u8) -> Vec<String> {
    let text = command.join(" ");
    let mut lines = vec![format!("$ {text}")];
    let steps: &[&str] = if text.contains("migrat") {
        &[
            "== 20261118101500 AddShippedAtToOrders: migrating",
            "-- add_column(:orders, :shipped_at, :datetime)",
            "== 20261118101500 AddShippedAtToOrders: migrated (0.0142s)",
            "== 20261120093000 IndexOrdersOnShippedAt: migrating",
            "-- add_index(:orders, :shipped_at, algorithm: :concurrently)",
        ]
    } else {
        &["booting", "connected to database", "connected to queue"]
    };
    lines.extend(steps.iter().map(|line| (*line).to_owned()));
    lines.push(if exit == 0 { "done".to_owned() } else { format!("failed with exit code {exit}") });
    lines
}

impl Jobs {
    /// ARNs of those that run or, if asked so, have stopped.
    pub(super) fn list(&mut self, started_by: &str, stopped: bool, now: Timestamp) -> Vec<String> {
        self.0.retain(|job| now < later(job.stopped(), FORGET));
        let of = |job: &&Job| started_by.is_empty() || job.started_by == started_by;
        let in_state = |job: &&Job| (now >= job.ends()) == stopped;
        let shown = self.0.iter().filter(of).filter(in_state);
        shown.map(|job| arn("task", &format!("{CLUSTER}/{}", job.id))).collect()
    }

    pub(super) fn describe(&self, id: &str, now: Timestamp) -> Option<Value> {
        self.0.iter().find(|job| job.id == id).map(|job| job.json(now))
    }

    /// Log streams of the one-off tasks: group, stream, lines until now.
    pub(super) fn streams(&self, now: Timestamp) -> Vec<(String, String, Lines)> {
        let begun = self.0.iter().filter(|job| now >= job.runs_from() && job.exit().is_some());
        let stream = |job: &Job| (log_group(&job.definition), stream(&job.container, &job.id), job.lines(now));
        begun.map(stream).collect()
    }
}

fn family(definition: &str) -> &str {
    definition.split(':').next().unwrap_or(definition)
}

fn container_of(definition: &str) -> &str {
    family(definition).trim_start_matches("acme-")
}

fn log_group(definition: &str) -> String {
    format!("/ecs/{}", family(definition))
}

fn stream(container: &str, id: &str) -> String {
    format!("acme/{container}/{id}")
}

/// `family:revision` of a family, a `family:revision` or an ARN, if it exists.
pub(super) fn revision(name: &str) -> Option<String> {
    let name = short(name);
    let (family, revision) = name.split_once(':').map_or((name, None), |(family, revision)| (family, Some(revision)));
    let family = DEFINITIONS.iter().find(|known| **known == family)?;
    let revision = match revision {
        Some(revision) => revision.parse().ok().filter(|revision| REVISIONS.contains(revision))?,
        None => REVISIONS[1],
    };
    Some(format!("{family}:{revision}"))
}

pub(super) fn no_definition() -> AwsError {
    AwsError::bad_request("ClientException", "Unable to describe task definition.")
}

pub(super) fn describe_definition(input: &Value) -> Result<Value, AwsError> {
    let definition = revision(string(input, "taskDefinition")).ok_or_else(no_definition)?;
    let (family, name) = (family(&definition), container_of(&definition));
    let revision: u32 = definition.rsplit(':').next().and_then(|revision| revision.parse().ok()).unwrap_or_default();
    let variable = |name: &str, value: &str| json!({ "name": name, "value": value });
    let secret = |name: &str| json!({ "name": name, "valueFrom": format!("arn:aws:secretsmanager:us-east-1:123456789012:secret:acme-shop/{name}") });
    let secrets = ["DATABASE_URL", "REDIS_URL", "SECRET_KEY_BASE", "STRIPE_SECRET_KEY", "SMTP_PASSWORD"].map(secret);
    let mut container = json!({
        "name": name, "essential": true, "cpu": 0, "command": ["bundle", "exec", name],
        "image": format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/acme-shop@sha256:{:064x}", 0xacce_5500_u64 + u64::from(revision)),
        "environment": [variable("RAILS_ENV", "production"), variable("RAILS_MAX_THREADS", "5")],
        "secrets": secrets,
        "logConfiguration": { "logDriver": "awslogs", "options": {
            "awslogs-group": log_group(&definition), "awslogs-region": "us-east-1", "awslogs-stream-prefix": "acme",
        } },
    });
    if ["worker", "scheduler"].contains(&name) {
        container["healthCheck"] = json!({ "command": ["CMD-SHELL", "test -e tmp/alive"], "interval": 10 });
    }
    if name == "web" {
        container["portMappings"] = json!([{ "containerPort": 3000, "hostPort": 3000, "protocol": "tcp" }]);
        container["healthCheck"] =
            json!({ "command": ["CMD", "curl", "-f", "http://localhost:3000/health"], "interval": 10 });
    }
    Ok(json!({ "taskDefinition": {
        "taskDefinitionArn": arn("task-definition", &definition), "family": family, "revision": revision,
        "status": "ACTIVE", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "512",
        "memory": "1024", "containerDefinitions": [container],
    } }))
}

pub(super) fn run(
    world: &World,
    jobs: &mut Jobs,
    input: &Value,
    now: Timestamp,
    request_id: &str,
) -> Result<Value, AwsError> {
    let invalid = |message: &str| AwsError::bad_request("InvalidParameterException", message);
    let asked = string(input, "taskDefinition");
    let definition =
        revision(asked).ok_or_else(|| AwsError::bad_request("ClientException", "TaskDefinition not found."))?;
    let subnets = strings(&input["networkConfiguration"]["awsvpcConfiguration"], "subnets");
    if subnets.is_empty() {
        return Err(invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified."));
    }
    let token = string(input, "clientToken");
    if let Some(known) = jobs.0.iter().find(|job| !token.is_empty() && job.client_token == token) {
        return Ok(json!({ "tasks": [known.json(now)], "failures": [] }));
    }
    let container = container_of(&definition).to_owned();
    let overrides = input["overrides"]["containerOverrides"].as_array().cloned().unwrap_or_default();
    if let Some(stranger) = overrides.iter().find(|one| string(one, "name") != container) {
        let name = string(stranger, "name");
        return Err(invalid(&format!("Override for container named {name} is not a container in the TaskDefinition.")));
    }
    let command = overrides.first().map(|one| strings(one, "command")).unwrap_or_default();
    let job = Job {
        id: format!("{:032x}", 0x0ddb_a110_u64 << 32 | (jobs.0.len() as u64 + 1)),
        container,
        command: command.clone(),
        started_by: string(input, "startedBy").to_owned(),
        client_token: token.to_owned(),
        group: format!("family:{}", family(&definition)),
        created: now,
        exit: world.faults.task_exit(now).unwrap_or(0),
        stop: None,
        definition: definition.clone(),
    };
    let answer = json!({ "tasks": [job.json(now)], "failures": [] });
    jobs.0.push(job);
    let detail = json!({ "task": { "from": null, "to": command } });
    world.ledger.note(now, "ecs", "RunTask", &format!("{CLUSTER}/{definition}"), detail, request_id);
    Ok(answer)
}

pub(super) fn stop(
    world: &World,
    jobs: &mut Jobs,
    input: &Value,
    now: Timestamp,
    request_id: &str,
) -> Result<Value, AwsError> {
    let id = short(string(input, "task"));
    let job = jobs.0.iter_mut().find(|job| job.id == id);
    let job =
        job.ok_or_else(|| AwsError::bad_request("InvalidParameterException", "The referenced task was not found."))?;
    if job.stop.is_none() && now < job.ends() {
        let detail = json!({ "stop": { "from": job.status(now), "to": "STOPPED" } });
        job.stop = Some((now, string(input, "reason").to_owned()));
        world.ledger.note(now, "ecs", "StopTask", &format!("{CLUSTER}/{}", job.definition), detail, request_id);
    }
    Ok(json!({ "task": job.json(now) }))
}

/// Groups that exist: one a family.
/// What a service's task has written in the last hour, while it runs.
pub(super) fn service_stream(definition: &str, id: &str, since: Timestamp, now: Timestamp) -> (String, String, Lines) {
    let hour_ago = now.checked_sub(jiff::SignedDuration::from_hours(1)).unwrap_or(since);
    let mut lines = Lines::new();
    // On whole periods, so that two looks see the same lines.
    let period = i64::try_from(BEAT.as_secs()).unwrap_or(1);
    let first = since.max(hour_ago).as_second().div_euclid(period) + 1;
    for beat in first..=now.as_second().div_euclid(period) {
        lines.extend(Timestamp::from_second(beat * period).map(|at| (at, "alive".to_owned())));
    }
    (log_group(definition), stream(container_of(definition), id), lines)
}

pub(super) fn log_groups() -> impl Iterator<Item = String> {
    DEFINITIONS.iter().map(|family| log_group(family))
}
