//! RDS (query): instances, snapshots, a read replica and a blue/green deployment, whose changes take their minutes.
//!
//! | file | what it is |
//! |---|---|
//! | `mod` | what exists, and how it gets from status to status in session time |
//! | `acts` | the operations that change something |
//! | `views` | the operations that read, and how things are written |

mod acts;
#[cfg(test)]
mod tests;
mod views;

use std::{collections::BTreeMap, time::Duration};

use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{ACCOUNT, AwsError, REGION, string};
use crate::sandbox::{faults::later, lock, world::World};

/// The instance that both sides work on.
pub(in crate::sandbox) const DATABASE: &str = "acme-shop";
/// Its read replica, for the warehouse.
pub(in crate::sandbox) const REPLICA: &str = "acme-shop-warehouse";
/// The smaller instance that waits to take over, and its deployment.
const GREEN: &str = "acme-shop-green-7k2m4q";
const DEPLOYMENT: &str = "bgd-5q1acmeshop0rightsz";
const DEPLOYMENT_NAME: &str = "acme-shop-right-size";
const ENGINE_VERSION: &str = "15.8";
/// GiB.
const STORAGE: u32 = 100;

/// A restored instance is made, then backed up for the first time.
const CREATING: Duration = Duration::from_secs(210);
const BACKING_UP: Duration = Duration::from_secs(75);
/// A restore that fails does so only after a while.
const FAILING: Duration = Duration::from_secs(120);
/// A snapshot is taken.
const TAKING: Duration = Duration::from_secs(90);
/// A replica is detached, then restarted.
const DETACHING: Duration = Duration::from_secs(60);
const RESTARTING: Duration = Duration::from_secs(30);
const DELETING: Duration = Duration::from_secs(45);
/// Guardrails, the last writes, the names.
const SWITCHING: Duration = Duration::from_secs(50);
/// A switchover that fails is put back after this time.
const GIVING_UP: Duration = Duration::from_secs(25);

/// Everything of RDS.
#[derive(Debug)]
pub(in crate::sandbox) struct Rds {
    instances: Vec<Instance>,
    snapshots: Vec<Snapshot>,
    deployments: Vec<Deployment>,
    /// What will have happened by a time.
    pending: Vec<(Timestamp, Deed)>,
}

#[derive(Debug, Clone)]
struct Instance {
    id: String,
    class: String,
    source: Option<String>,
    multi_az: bool,
    protected: bool,
    subnet_group: String,
    parameter_group: String,
    security_groups: Vec<String>,
    tags: BTreeMap<String, String>,
    created: Timestamp,
    /// Statuses and since when each holds, in order.
    course: Vec<(Timestamp, &'static str)>,
    /// The snapshot that it was made of.
    origin: Option<String>,
}

#[derive(Debug, Clone)]
struct Snapshot {
    id: String,
    instance: String,
    kind: &'static str,
    begun: Timestamp,
    ready: Timestamp,
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
struct Deployment {
    id: &'static str,
    name: &'static str,
    blue: String,
    green: String,
    status: &'static str,
    detail: Option<String>,
    created: Timestamp,
}

/// What ends a change.
#[derive(Debug, Clone)]
enum Deed {
    Alone(String),
    Gone(String),
    Switched(&'static str),
    PutBack(&'static str, String),
}

impl Instance {
    fn status(&self, now: Timestamp) -> &'static str {
        self.course.iter().rev().find(|(since, _)| *since <= now).map_or("creating", |(_, status)| status)
    }

    /// From now on through statuses of these lengths to the last one.
    fn goes(&mut self, now: Timestamp, stages: &[(&'static str, Duration)], last: &'static str) -> Timestamp {
        let mut at = now;
        for (status, lasts) in stages {
            self.course.push((at, status));
            at = later(at, *lasts);
        }
        self.course.push((at, last));
        at
    }
}

impl Rds {
    /// What the cutover finds: the database with a week of daily snapshots, its replica, and a smaller one that waits
    /// to take over.
    pub(in crate::sandbox) fn new(now: Timestamp) -> Self {
        let ago = |hours| now.checked_sub(SignedDuration::from_hours(hours)).unwrap_or(now);
        let instance = |id: &str, class: &str, source: Option<&str>| Instance {
            id: id.to_owned(),
            class: class.to_owned(),
            source: source.map(str::to_owned),
            multi_az: source.is_none(),
            protected: source.is_none(),
            subnet_group: "acme-private".to_owned(),
            parameter_group: "acme-postgres15".to_owned(),
            security_groups: vec!["sg-0acme5h0pdatabase".to_owned()],
            tags: BTreeMap::new(),
            created: ago(24 * 90),
            course: vec![(ago(24 * 90), "available")],
            origin: None,
        };
        let automated = |days: i64| {
            // Taken in the backup window, some hours before the sandbox began.
            let begun = now.checked_sub(SignedDuration::from_mins(5 * 60 + 40 + 24 * 60 * days)).unwrap_or(now);
            Snapshot {
                id: format!("rds:{DATABASE}-{}", begun.strftime("%Y-%m-%d-%H-%M")),
                instance: DATABASE.to_owned(),
                kind: "automated",
                begun,
                ready: later(begun, TAKING),
                tags: BTreeMap::new(),
            }
        };
        let deployment = Deployment {
            id: DEPLOYMENT,
            name: DEPLOYMENT_NAME,
            blue: DATABASE.to_owned(),
            green: GREEN.to_owned(),
            status: "AVAILABLE",
            detail: None,
            created: ago(30),
        };
        Self {
            instances: vec![
                instance(DATABASE, "db.m6g.xlarge", None),
                instance(REPLICA, "db.m6g.large", Some(DATABASE)),
                instance(GREEN, "db.m6g.large", None),
            ],
            snapshots: (0..7).map(automated).collect(),
            deployments: vec![deployment],
            pending: Vec::new(),
        }
    }

    /// Whether the replica still follows.
    pub(in crate::sandbox) fn replicates(&self) -> bool {
        self.instances.iter().any(|instance| instance.id == REPLICA && instance.source.is_some())
    }

    /// What the instance that serves has: GiB of memory, and processors.
    pub(in crate::sandbox) fn capacity(&self) -> (f64, f64) {
        let serves = self.instances.iter().find(|instance| instance.id == DATABASE);
        match serves.map(|instance| instance.class.as_str()) {
            Some("db.m6g.large") => (8.0, 2.0),
            _ => (16.0, 4.0),
        }
    }

    /// For the state page: (instance, status, source).
    pub(in crate::sandbox) fn summary(&self, now: Timestamp) -> Vec<(String, &'static str, Option<String>)> {
        self.instances.iter().map(|one| (one.id.clone(), one.status(now), one.source.clone())).collect()
    }

    /// Lets happen what is due.
    pub(in crate::sandbox) fn settle(&mut self, now: Timestamp) {
        let (due, rest) = std::mem::take(&mut self.pending).into_iter().partition(|(at, _)| *at <= now);
        self.pending = rest;
        let mut due: Vec<(Timestamp, Deed)> = due;
        due.sort_by_key(|(at, _)| *at);
        for (_, deed) in due {
            match deed {
                Deed::Alone(id) => self.find(&id).map(|instance| instance.source = None).unwrap_or_default(),
                Deed::Gone(id) => self.instances.retain(|instance| instance.id != id),
                Deed::Switched(id) => self.switched(id),
                Deed::PutBack(id, reason) => self.put_back(id, reason),
            }
        }
    }

    fn find(&mut self, id: &str) -> Option<&mut Instance> {
        self.instances.iter_mut().find(|instance| instance.id == id)
    }

    fn deployment(&mut self, id: &str) -> Option<&mut Deployment> {
        self.deployments.iter_mut().find(|deployment| deployment.id == id)
    }

    /// The green instance takes the blue one's name; the blue one keeps its data under another.
    fn switched(&mut self, id: &str) {
        let Some(deployment) = self.deployment(id) else { return };
        let (blue, green) = (deployment.blue.clone(), deployment.green.clone());
        let retired = format!("{blue}-old1");
        deployment.status = "SWITCHOVER_COMPLETED";
        (deployment.blue, deployment.green) = (retired.clone(), blue.clone());
        for instance in &mut self.instances {
            if instance.id == blue {
                instance.id.clone_from(&retired);
            } else if instance.id == green {
                instance.id.clone_from(&blue);
            }
        }
    }

    fn put_back(&mut self, id: &str, reason: String) {
        if let Some(deployment) = self.deployment(id) {
            deployment.status = "AVAILABLE";
            deployment.detail = Some(reason);
        }
    }
}

fn arn(kind: &str, id: &str) -> String {
    format!("arn:aws:rds:{REGION}:{ACCOUNT}:{kind}:{id}")
}

fn not_found(code: &str, what: &str, id: &str) -> AwsError {
    AwsError::new(StatusCode::NOT_FOUND, code, format!("{what} {id} not found."))
}

/// Carries an operation out.
pub(super) fn serve(world: &World, operation: &str, input: &Value, request_id: &str) -> Result<Value, AwsError> {
    let now = world.clock.now();
    let mut rds = lock(&world.rds);
    rds.settle(now);
    let act = acts::Act { world, now, input, request_id };
    match operation {
        "DescribeDBInstances" => views::instances(&rds, input, now),
        "DescribeDBSnapshots" => views::snapshots(&rds, input, now),
        "DescribeBlueGreenDeployments" => views::deployments(&rds, input),
        "RestoreDBInstanceFromDBSnapshot" => act.restore(&mut rds),
        "DeleteDBInstance" => act.delete(&mut rds),
        "CreateDBSnapshot" => act.take(&mut rds),
        "PromoteReadReplica" => act.promote(&mut rds),
        "SwitchoverBlueGreenDeployment" => act.switch_over(&mut rds),
        other => {
            let message = format!("Could not find operation {other} for version 2014-10-31");
            Err(AwsError::bad_request("InvalidAction", message))
        }
    }
}
