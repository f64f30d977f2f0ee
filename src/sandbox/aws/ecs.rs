//! ECS (JSON 1.1): services whose tasks take their time to start and to drain, and whose deployments roll. One-off tasks
//! are in `tasks`.

use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    ACCOUNT, AwsError, REGION, elb, string, strings,
    tasks::{self, Jobs},
};
use crate::sandbox::{
    faults::{Trigger, later},
    lock,
    world::World,
};

/// The one cluster.
pub(in crate::sandbox) const CLUSTER: &str = "acme";
/// From asked for to RUNNING: image pull, start, target group health.
const START: Duration = Duration::from_secs(35);
/// Tasks of one service start this much apart.
const STAGGER: Duration = Duration::from_secs(8);
/// From told to stop to gone: connection draining.
const DRAIN: Duration = Duration::from_secs(25);
/// Tasks of a deployment that do not come up before it is given up (the circuit breaker's smallest number).
const BREAKER: u32 = 3;
/// Stopped tasks are forgotten after this time (ECS keeps them for an hour).
const FORGET: Duration = Duration::from_secs(3600);

/// The cluster's services and their tasks.
#[derive(Debug)]
pub(in crate::sandbox) struct Ecs {
    services: Vec<Service>,
    pub(super) jobs: Jobs,
    tasks_ever: u64,
}

#[derive(Debug)]
struct Service {
    name: &'static str,
    desired: u32,
    tasks: Vec<Task>,
    created: Timestamp,
    updated: Timestamp,
    /// Newest first: (when, what).
    events: Vec<(Timestamp, String)>,
    /// Whether the last update was announced as a steady state.
    announced: bool,
    /// The primary one first; a second one while it is being replaced.
    deployments: Vec<Deployment>,
}

/// One version of a service on its way in or out.
#[derive(Debug, Clone)]
struct Deployment {
    number: u32,
    /// `family:revision`.
    definition: String,
    created: Timestamp,
    /// Its tasks do not come up.
    failing: bool,
    /// Those that did not so far.
    failed: u32,
}

#[derive(Debug, Clone)]
struct Task {
    id: String,
    created: Timestamp,
    running: Timestamp,
    stopping: Option<Timestamp>,
    /// [`Deployment::number`].
    deployment: u32,
    /// It never runs: it stops when it should have come up.
    crashes: bool,
}

impl Task {
    fn status(&self, now: Timestamp) -> &'static str {
        match self.stopping {
            Some(stopping) if now >= later(stopping, DRAIN) => "STOPPED",
            Some(_) => "DEACTIVATING",
            None if self.crashes && now >= self.running => "STOPPED",
            None if now >= self.running => "RUNNING",
            None if now >= later(self.created, STAGGER) => "PENDING",
            None => "PROVISIONING",
        }
    }
}

impl Service {
    fn count(&self, now: Timestamp, wanted: &[&str]) -> u32 {
        self.tasks.iter().filter(|task| wanted.contains(&task.status(now))).count() as u32
    }

    fn running(&self, now: Timestamp) -> u32 {
        self.count(now, &["RUNNING"])
    }

    fn is_steady(&self, now: Timestamp) -> bool {
        self.running(now) == self.desired && self.count(now, &["RUNNING", "STOPPED"]) == self.tasks.len() as u32
    }

    /// Forgets old tasks and says when the service became steady.
    fn settle(&mut self, now: Timestamp) {
        self.tasks.retain(|task| task.stopping.is_none_or(|stopping| now < later(stopping, FORGET)));
        self.roll(now);
        if !self.announced && self.is_steady(now) {
            self.announced = true;
            self.event(now, format!("(service {}) has reached a steady state.", self.name));
        }
    }

    fn event(&mut self, now: Timestamp, message: String) {
        self.events.insert(0, (now, message));
        self.events.truncate(100);
    }

    /// Whether a deployment has been given up.
    fn is_broken(&self) -> bool {
        self.deployments[0].failed >= BREAKER
    }

    /// Replaces what runs by another version, or by the same one anew: the old tasks go when all the new ones run.
    fn deploy(&mut self, definition: String, failing: bool, now: Timestamp, next_id: &mut u64) {
        let number = self.deployments[0].number + 1;
        self.deployments.insert(0, Deployment { number, definition, created: now, failing, failed: 0 });
        self.start(self.desired, now, next_id);
        self.event(now, format!("(service {}) has started {} tasks.", self.name, self.desired));
        self.updated = now;
        self.announced = false;
    }

    fn start(&mut self, count: u32, now: Timestamp, next_id: &mut u64) {
        let Deployment { number: deployment, failing: crashes, .. } = self.deployments[0];
        for number in 0..count {
            *next_id += 1;
            let (id, running) = (format!("{:032x}", *next_id), later(now, START + STAGGER * number));
            self.tasks.push(Task { id, created: now, running, stopping: None, deployment, crashes });
        }
    }

    /// Takes a deployment further: counts what did not come up, tries again, gives up; or lets the old version go.
    fn roll(&mut self, now: Timestamp) {
        let number = self.deployments[0].number;
        let of_new = |task: &&Task| task.deployment == number;
        if self.deployments[0].failing && !self.is_broken() {
            let crashed = self.tasks.iter().filter(of_new).filter(|task| task.status(now) == "STOPPED").count() as u32;
            self.deployments[0].failed = crashed;
            if self.is_broken() {
                self.tasks.iter_mut().filter(|task| task.crashes).for_each(|task| task.stopping = Some(now));
                self.event(
                    now,
                    format!(
                        "(service {}) (deployment ecs-svc/{number}) deployment failed: tasks failed to start.",
                        self.name
                    ),
                );
            } else if crashed > 0 && self.tasks.iter().filter(of_new).all(|task| task.status(now) == "STOPPED") {
                let mut next_id = u64::from(number) << 32 | u64::from(crashed);
                self.start(self.desired, now, &mut next_id);
                self.event(now, format!("(service {}) was unable to place a task: its container exited.", self.name));
            }
            return;
        }
        let up = self.tasks.iter().filter(of_new).filter(|task| task.status(now) == "RUNNING").count() as u32;
        if self.deployments.len() > 1 && up >= self.desired && !self.is_broken() {
            let old = self.tasks.iter_mut().filter(|task| task.deployment != number && task.stopping.is_none());
            let stopped = old.map(|task| task.stopping = Some(now)).count();
            if stopped > 0 {
                self.event(now, format!("(service {}) has stopped {stopped} running tasks.", self.name));
            }
            let gone = |task: &&Task| task.deployment != number && task.status(now) != "STOPPED";
            if !self.tasks.iter().any(|task| gone(&task)) {
                self.deployments.truncate(1);
                self.event(now, format!("(service {}) (deployment ecs-svc/{number}) deployment completed.", self.name));
            }
        }
    }

    fn scale(&mut self, desired: u32, now: Timestamp, next_id: &mut u64) {
        let live: Vec<usize> = (0..self.tasks.len()).filter(|&index| self.tasks[index].stopping.is_none()).collect();
        let missing = desired.saturating_sub(live.len() as u32);
        self.start(missing, now, next_id);
        // The newest go first, those that never ran before all.
        for &index in live.iter().skip(desired as usize) {
            self.tasks[index].stopping = Some(now);
        }
        let stopped = live.len().saturating_sub(desired as usize);
        if missing > 0 {
            self.event(now, format!("(service {}) has started {missing} tasks.", self.name));
        }
        if stopped > 0 {
            self.event(now, format!("(service {}) has stopped {stopped} running tasks.", self.name));
        }
        self.desired = desired;
        self.updated = now;
        self.announced = false;
    }
}

impl Ecs {
    /// The cluster as the cutover finds it: web runs, workers and the scheduler wait at zero.
    pub(in crate::sandbox) fn new(now: Timestamp) -> Self {
        let long_ago = now.checked_sub(jiff::SignedDuration::from_hours(48)).unwrap_or(now);
        let mut tasks_ever = 0x5ca1_ab1e;
        let mut service = |name, desired| {
            let mut service = Service {
                name,
                desired: 0,
                tasks: Vec::new(),
                created: long_ago,
                updated: long_ago,
                events: Vec::new(),
                announced: false,
                deployments: vec![Deployment {
                    number: 1,
                    definition: format!("acme-{name}:42"),
                    created: long_ago,
                    failing: false,
                    failed: 0,
                }],
            };
            service.scale(desired, long_ago, &mut tasks_ever);
            service.settle(later(long_ago, START * 2));
            service
        };
        let services = vec![service("web", 2), service("worker", 0), service("scheduler", 0)];
        Self { services, jobs: Jobs::default(), tasks_ever }
    }

    /// How many tasks of a service serve now.
    pub(in crate::sandbox) fn running(&self, name: &str, now: Timestamp) -> u32 {
        self.services.iter().find(|service| service.name == name).map_or(0, |service| service.running(now))
    }

    /// Log streams of the services' tasks that run.
    pub(super) fn streams(&self, now: Timestamp) -> Vec<(String, String, tasks::Lines)> {
        let all = self.services.iter().flat_map(|service| service.tasks.iter().map(move |task| (service, task)));
        let running = all.filter(|(_, task)| task.status(now) == "RUNNING");
        let stream = |(service, task): (&Service, &Task)| {
            let of_task = service.deployments.iter().find(|one| one.number == task.deployment);
            let definition = &of_task.unwrap_or(&service.deployments[0]).definition;
            tasks::service_stream(definition, &task.id, task.running, now)
        };
        running.map(stream).collect()
    }

    /// What the load balancer sees of a service's tasks.
    pub(super) fn targets(&self, name: &str, now: Timestamp) -> Vec<&'static str> {
        let tasks = self.services.iter().filter(|service| service.name == name).flat_map(|service| &service.tasks);
        let state = |task: &Task| match task.status(now) {
            "RUNNING" => Some("healthy"),
            "DEACTIVATING" => Some("draining"),
            "PENDING" => Some("initial"),
            _ => None,
        };
        tasks.filter_map(state).collect()
    }

    /// For the state page: (service, desired, running).
    pub(in crate::sandbox) fn summary(&self, now: Timestamp) -> Vec<(&'static str, u32, u32)> {
        self.services.iter().map(|service| (service.name, service.desired, service.running(now))).collect()
    }

    fn find(&mut self, name: &str) -> Option<&mut Service> {
        let name = short(name);
        self.services.iter_mut().find(|service| service.name == name)
    }
}

/// The last part of an ARN; a name is its own.
pub(super) fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

pub(super) fn arn(kind: &str, rest: &str) -> String {
    format!("arn:aws:ecs:{REGION}:{ACCOUNT}:{kind}/{rest}")
}

/// Carries an operation out.
pub(super) fn serve(world: &World, operation: &str, input: Value, request_id: &str) -> Result<Value, AwsError> {
    let now = world.clock.now();
    let mut ecs = lock(&world.ecs);
    ecs.services.iter_mut().for_each(|service| service.settle(now));
    if operation == "DescribeClusters" {
        return Ok(describe_clusters(&ecs, &input, now));
    }
    if operation == "ListClusters" {
        return Ok(json!({ "clusterArns": [arn("cluster", CLUSTER)] }));
    }
    if operation == "DescribeTaskDefinition" {
        return tasks::describe_definition(&input);
    }
    let cluster = short(string(&input, "cluster"));
    if cluster != CLUSTER {
        // Without a name ECS takes the cluster `default`, which does not exist here.
        return Err(AwsError::bad_request("ClusterNotFoundException", "Cluster not found."));
    }
    match operation {
        "ListServices" => {
            let arns: Vec<_> =
                ecs.services.iter().map(|service| arn("service", &format!("{CLUSTER}/{}", service.name))).collect();
            Ok(json!({ "serviceArns": arns }))
        }
        "DescribeServices" => Ok(describe_services(&mut ecs, &input, now)),
        "UpdateService" => update_service(world, &mut ecs, &input, now, request_id),
        "RunTask" => tasks::run(world, &mut ecs.jobs, &input, now, request_id),
        "StopTask" => tasks::stop(world, &mut ecs.jobs, &input, now, request_id),
        "ListTasks" => list_tasks(&mut ecs, &input, now),
        "DescribeTasks" => Ok(describe_tasks(&ecs, &input, now)),
        other => Err(AwsError::new(
            StatusCode::BAD_REQUEST,
            "UnknownOperationException",
            format!("The sandbox has no operation {other}"),
        )),
    }
}

fn describe_clusters(ecs: &Ecs, input: &Value, now: Timestamp) -> Value {
    let asked = strings(input, "clusters");
    let (known, missing): (Vec<_>, Vec<_>) = asked.iter().partition(|name| short(name) == CLUSTER);
    let count = |statuses: &[&str]| ecs.services.iter().map(|service| service.count(now, statuses)).sum::<u32>();
    let cluster = |_| {
        json!({
            "clusterArn": arn("cluster", CLUSTER), "clusterName": CLUSTER, "status": "ACTIVE",
            "registeredContainerInstancesCount": 0, "activeServicesCount": ecs.services.len(),
            "runningTasksCount": count(&["RUNNING"]), "pendingTasksCount": count(&["PROVISIONING", "PENDING"]),
        })
    };
    let failure = |name: &&String| json!({ "arn": arn("cluster", short(name)), "reason": "MISSING" });
    json!({
        "clusters": known.iter().map(cluster).collect::<Vec<_>>(),
        "failures": missing.iter().map(failure).collect::<Vec<_>>(),
    })
}

fn describe_services(ecs: &mut Ecs, input: &Value, now: Timestamp) -> Value {
    let (mut services, mut failures) = (Vec::new(), Vec::new());
    for name in strings(input, "services") {
        match ecs.find(&name) {
            Some(service) => services.push(service_json(service, now)),
            None => {
                let arn = arn("service", &format!("{CLUSTER}/{}", short(&name)));
                failures.push(json!({ "arn": arn, "reason": "MISSING" }));
            }
        }
    }
    json!({ "services": services, "failures": failures })
}

fn service_json(service: &Service, now: Timestamp) -> Value {
    let (running, pending) = (service.running(now), service.count(now, &["PROVISIONING", "PENDING"]));
    let deployments = (0..service.deployments.len()).map(|index| deployment_json(service, index, now));
    let definition = arn("task-definition", &service.deployments[0].definition);
    let events = service.events.iter().enumerate().map(|(index, (at, message))| {
        json!({ "id": format!("event-{}", service.events.len() - index), "createdAt": seconds(*at), "message": message })
    });
    json!({
        "serviceArn": arn("service", &format!("{CLUSTER}/{}", service.name)), "serviceName": service.name,
        "clusterArn": arn("cluster", CLUSTER), "status": "ACTIVE", "desiredCount": service.desired,
        "runningCount": running, "pendingCount": pending, "launchType": "FARGATE", "taskDefinition": definition,
        "schedulingStrategy": "REPLICA", "createdAt": seconds(service.created),
        "deployments": deployments.collect::<Vec<_>>(),
        "events": events.collect::<Vec<_>>(),
        "loadBalancers": if service.name == "web" {
            json!([{ "targetGroupArn": elb::TARGET_GROUP, "containerName": "web", "containerPort": 3000 }])
        } else {
            json!([])
        },
    })
}

fn deployment_json(service: &Service, index: usize, now: Timestamp) -> Value {
    let deployment = &service.deployments[index];
    let count = |wanted: &[&str]| {
        let own = service.tasks.iter().filter(|task| task.deployment == deployment.number);
        own.filter(|task| wanted.contains(&task.status(now))).count()
    };
    let primary = index == 0;
    let alone = service.deployments.len() == 1;
    let (state, words) = match (deployment.failed >= BREAKER, !primary || (alone && service.is_steady(now))) {
        (true, _) => ("FAILED", "deployment circuit breaker: tasks failed to start"),
        (_, true) => ("COMPLETED", "completed"),
        (_, false) => ("IN_PROGRESS", "in progress"),
    };
    json!({
        "id": format!("ecs-svc/{}", deployment.number), "status": if primary { "PRIMARY" } else { "ACTIVE" },
        "taskDefinition": arn("task-definition", &deployment.definition), "failedTasks": deployment.failed,
        "desiredCount": if primary { service.desired } else { 0 }, "runningCount": count(&["RUNNING"]),
        "pendingCount": count(&["PROVISIONING", "PENDING"]), "launchType": "FARGATE",
        "createdAt": seconds(deployment.created), "updatedAt": seconds(service.updated), "rolloutState": state,
        "rolloutStateReason": format!("ECS deployment ecs-svc/{} {words}.", deployment.number),
    })
}

pub(super) fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

fn update_service(
    world: &World,
    ecs: &mut Ecs,
    input: &Value,
    now: Timestamp,
    request_id: &str,
) -> Result<Value, AwsError> {
    let mut next_id = ecs.tasks_ever;
    let service = ecs
        .find(string(input, "service"))
        .ok_or_else(|| AwsError::bad_request("ServiceNotFoundException", "Service not found."))?;
    if let Some(desired) = input.get("desiredCount").filter(|desired| !desired.is_null()) {
        let desired =
            desired.as_u64().and_then(|desired| u32::try_from(desired).ok()).filter(|desired| *desired <= 100);
        let desired = desired.ok_or_else(|| {
            AwsError::bad_request("InvalidParameterException", "desiredCount must be between 0 and 100")
        })?;
        let before = service.desired;
        service.scale(desired, now, &mut next_id);
        let target = format!("{CLUSTER}/{}", service.name);
        let detail = json!({ "desiredCount": { "from": before, "to": desired } });
        world.ledger.note(now, "ecs", "UpdateService", &target, detail, request_id);
        world.faults.fire(Trigger::EcsUpdate, now);
    }
    let definition = string(input, "taskDefinition");
    let force = input.get("forceNewDeployment").and_then(Value::as_bool) == Some(true);
    if !definition.is_empty() || force {
        let before = service.deployments[0].definition.clone();
        let known = if definition.is_empty() { Some(before.clone()) } else { tasks::revision(definition) };
        let after = known.ok_or_else(tasks::no_definition)?;
        service.deploy(after.clone(), world.faults.fails_rollout(now), now, &mut next_id);
        let target = format!("{CLUSTER}/{}", service.name);
        let detail = json!({ "taskDefinition": { "from": before, "to": after } });
        world.ledger.note(now, "ecs", "UpdateService", &target, detail, request_id);
    }
    let answer = json!({ "service": service_json(service, now) });
    ecs.tasks_ever = next_id;
    Ok(answer)
}

fn list_tasks(ecs: &mut Ecs, input: &Value, now: Timestamp) -> Result<Value, AwsError> {
    let name = string(input, "serviceName");
    if !name.is_empty() && ecs.find(name).is_none() {
        return Err(AwsError::bad_request("ServiceNotFoundException", "Service not found."));
    }
    let wants_stopped = string(input, "desiredStatus") == "STOPPED";
    let started_by = string(input, "startedBy");
    let jobs = ecs.jobs.list(started_by, wants_stopped, now);
    if !started_by.is_empty() {
        return Ok(json!({ "taskArns": jobs }));
    }
    let services = ecs.services.iter().filter(|service| name.is_empty() || service.name == short(name));
    let tasks = services.flat_map(|service| &service.tasks);
    let shown = tasks.filter(|task| (task.status(now) == "STOPPED") == wants_stopped);
    let mut arns: Vec<_> = shown.map(|task| arn("task", &format!("{CLUSTER}/{}", task.id))).collect();
    arns.extend(jobs.into_iter().filter(|_| name.is_empty()));
    Ok(json!({ "taskArns": arns }))
}

fn describe_tasks(ecs: &Ecs, input: &Value, now: Timestamp) -> Value {
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for asked in strings(input, "tasks") {
        let all = ecs.services.iter().flat_map(|service| service.tasks.iter().map(move |task| (service, task)));
        match all.into_iter().find(|(_, task)| task.id == short(&asked)) {
            Some((service, task)) => tasks.push(task_json(service, task, now)),
            None => match ecs.jobs.describe(short(&asked), now) {
                Some(job) => tasks.push(job),
                None => failures.push(json!({ "arn": asked, "reason": "MISSING" })),
            },
        }
    }
    json!({ "tasks": tasks, "failures": failures })
}

fn task_json(service: &Service, task: &Task, now: Timestamp) -> Value {
    let status = task.status(now);
    let of_task = service.deployments.iter().find(|deployment| deployment.number == task.deployment);
    let definition = of_task.unwrap_or(&service.deployments[0]).definition.clone();
    json!({
        "taskArn": arn("task", &format!("{CLUSTER}/{}", task.id)), "clusterArn": arn("cluster", CLUSTER),
        "group": format!("service:{}", service.name), "lastStatus": status,
        "desiredStatus": if task.stopping.is_some() { "STOPPED" } else { "RUNNING" },
        "taskDefinitionArn": arn("task-definition", &definition), "launchType": "FARGATE",
        "healthStatus": if status == "RUNNING" { "HEALTHY" } else { "UNKNOWN" },
        "createdAt": seconds(task.created), "cpu": "512", "memory": "1024",
        "containers": [{ "name": service.name, "lastStatus": status }],
    })
}
