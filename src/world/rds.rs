//! RDS: instances, their snapshots, read replicas and blue/green deployments.
//!
//! Source: RDS API reference (2014-10-31).

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_rds::{
    Client,
    types::{BlueGreenDeployment, DbInstance, DbSnapshot, Tag},
};
use aws_smithy_types::DateTime;
use jiff::Timestamp;

use super::{
    aws::Aws,
    clean::clean,
    error::{self, Failure, trouble},
};
use crate::{
    plan::RestoreTarget,
    run::{Trouble, TroubleKind},
};

/// RDS of the plan's account and region.
#[derive(Debug)]
pub struct Rds {
    read: Client,
    act: Client,
}

/// An instance as RDS describes it. Text is cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Id, in lower case.
    pub id: String,
    /// `available`, `creating`, `backing-up`, `modifying`, ...
    pub status: String,
    /// Instance class.
    pub class: String,
    /// Engine and its version, e.g. `postgres 15.8`.
    pub engine: String,
    /// GiB.
    pub storage: Option<u32>,
    /// The instance that it replicates: an id, or an ARN in another region.
    pub source: Option<String>,
    /// It has a standby in another zone.
    pub multi_az: bool,
    /// Nobody may delete it.
    pub protected: bool,
    /// `host:port`, once there is one.
    pub endpoint: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Instance {
    /// Whether it takes connections and commands.
    #[must_use]
    pub fn available(&self) -> bool {
        self.status == "available"
    }

    /// Whether its status says that it will not become available by itself.
    #[must_use]
    pub fn broken(&self) -> bool {
        let status = self.status.as_str();
        ["failed", "restore-error", "insufficient-capacity", "storage-full", "stopped"].contains(&status)
            || ["incompatible-", "inaccessible-"].iter().any(|prefix| status.starts_with(prefix))
    }
}

/// A snapshot as RDS describes it. Text is cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Id.
    pub id: String,
    /// The instance that it was taken of.
    pub instance: String,
    /// `available`, `creating`, `failed`, ...
    pub status: String,
    /// `manual`, `automated`, ...
    pub kind: String,
    /// When it was taken; None while it is being taken.
    pub created: Option<Timestamp>,
    /// GiB.
    pub storage: Option<u32>,
    /// Percent that is done, while it is being taken.
    pub percent: Option<u8>,
}

/// A blue/green deployment as RDS describes it. Text is cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Identifier, `bgd-...`.
    pub id: String,
    /// Name.
    pub name: String,
    /// Id of the blue instance.
    pub blue: String,
    /// Id of the green instance.
    pub green: String,
    /// `AVAILABLE`, `SWITCHOVER_IN_PROGRESS`, `SWITCHOVER_COMPLETED`, ...
    pub status: String,
    /// Why, in RDS's own words.
    pub detail: Option<String>,
}

impl Rds {
    pub(super) fn new(aws: &Aws) -> Self {
        Self { read: Client::new(aws.read()), act: Client::new(aws.act()) }
    }

    /// Describes one instance (`DescribeDBInstances`); None: it does not exist.
    ///
    /// # Errors
    /// The call failed.
    pub async fn instance(&self, id: &str) -> Result<Option<Instance>, Trouble> {
        let call = "rds:DescribeDBInstances";
        let answer = match self.read.describe_db_instances().db_instance_identifier(id).send().await {
            Ok(answer) => answer,
            Err(error) if error.as_service_error().is_some_and(|error| error.is_db_instance_not_found_fault()) => {
                return Ok(None);
            }
            Err(error) => return Err(error::aws(call, &error).trouble),
        };
        let found = answer.db_instances().iter().find(|found| found.db_instance_identifier() == Some(id));
        found.map(instance).map(Some).ok_or_else(|| trouble(call, TroubleKind::Garbled, "an answer about another one"))
    }

    /// Describes one snapshot (`DescribeDBSnapshots`); None: it does not exist.
    ///
    /// # Errors
    /// The call failed.
    pub async fn snapshot(&self, id: &str) -> Result<Option<Snapshot>, Trouble> {
        let call = "rds:DescribeDBSnapshots";
        match self.read.describe_db_snapshots().db_snapshot_identifier(id).send().await {
            Ok(answer) => Ok(answer.db_snapshots().iter().map(snapshot).find(|found| found.id == id)),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_db_snapshot_not_found_fault()) => {
                Ok(None)
            }
            Err(error) => Err(error::aws(call, &error).trouble),
        }
    }

    /// All snapshots of an instance, automated and manual (`DescribeDBSnapshots`).
    ///
    /// # Errors
    /// A call failed.
    pub async fn snapshots(&self, instance: &str) -> Result<Vec<Snapshot>, Trouble> {
        let request = self.read.describe_db_snapshots().db_instance_identifier(instance);
        let pages = request.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        let found = pages.map_err(|error| error::aws("rds:DescribeDBSnapshots", &error).trouble)?;
        Ok(found.iter().map(snapshot).filter(|found| found.instance == instance).collect())
    }

    /// The blue/green deployment with this identifier or name (`DescribeBlueGreenDeployments`).
    ///
    /// # Errors
    /// A call failed, or not exactly one deployment is called so (`Unexpected`).
    pub async fn deployment(&self, id_or_name: &str) -> Result<Deployment, Trouble> {
        let call = "rds:DescribeBlueGreenDeployments";
        let request = self.read.describe_blue_green_deployments();
        let pages = request.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        let all = pages.map_err(|error| error::aws(call, &error).trouble)?;
        let mut found = all.iter().map(deployment).filter(|found| found.id == id_or_name || found.name == id_or_name);
        match (found.next(), found.next()) {
            (Some(deployment), None) => Ok(deployment),
            (None, _) => {
                let reason = format!("there is no blue/green deployment {id_or_name}");
                Err(trouble(call, TroubleKind::Unexpected, &reason))
            }
            (Some(first), Some(second)) => {
                let reason = format!("{id_or_name} names {} and {}: use an identifier", first.id, second.id);
                Err(trouble(call, TroubleKind::Unexpected, &reason))
            }
        }
    }

    /// Makes an instance of a snapshot (`RestoreDBInstanceFromDBSnapshot`), in one attempt. It is never reachable from
    /// the internet, and may be deleted.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn restore(&self, snapshot: &str, target: &RestoreTarget, tags: &[(&str, &str)]) -> Result<(), Failure> {
        let groups = (!target.security_groups.is_empty()).then(|| target.security_groups.clone());
        let request = self.act.restore_db_instance_from_db_snapshot();
        let request = request.db_snapshot_identifier(snapshot).db_instance_identifier(&target.instance);
        let request = request.set_db_instance_class(target.class.clone());
        let request = request.set_db_subnet_group_name(target.subnet_group.clone());
        let request = request.set_db_parameter_group_name(target.parameter_group.clone());
        let request = request.set_vpc_security_group_ids(groups).publicly_accessible(false).deletion_protection(false);
        let answer = request.set_tags(Some(wire_tags(tags))).send().await;
        answer.map(drop).map_err(|error| error::aws("rds:RestoreDBInstanceFromDBSnapshot", &error))
    }

    /// Deletes an instance without a final snapshot (`DeleteDBInstance`), in one attempt.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn delete(&self, instance: &str) -> Result<(), Failure> {
        let request = self.act.delete_db_instance().db_instance_identifier(instance);
        let answer = request.skip_final_snapshot(true).delete_automated_backups(true).send().await;
        answer.map(drop).map_err(|error| error::aws("rds:DeleteDBInstance", &error))
    }

    /// Begins a manual snapshot (`CreateDBSnapshot`), in one attempt. RDS refuses an id that exists.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn take(&self, instance: &str, snapshot: &str, tags: &[(&str, &str)]) -> Result<(), Failure> {
        let request = self.act.create_db_snapshot().db_instance_identifier(instance).db_snapshot_identifier(snapshot);
        let answer = request.set_tags(Some(wire_tags(tags))).send().await;
        answer.map(drop).map_err(|error| error::aws("rds:CreateDBSnapshot", &error))
    }

    /// Begins to promote a read replica (`PromoteReadReplica`), in one attempt.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn promote(&self, replica: &str) -> Result<(), Failure> {
        let answer = self.act.promote_read_replica().db_instance_identifier(replica).send().await;
        answer.map(drop).map_err(|error| error::aws("rds:PromoteReadReplica", &error))
    }

    /// Begins to switch a blue/green deployment over (`SwitchoverBlueGreenDeployment`), in one attempt; RDS puts
    /// everything back when it takes longer than `limit`. Gives back the deployment as the answer describes it.
    ///
    /// # Errors
    /// See [`Failure`]; a guardrail of RDS that refuses says so in its message.
    pub async fn switch_over(&self, deployment_id: &str, limit: Duration) -> Result<Option<Deployment>, Failure> {
        let seconds = i32::try_from(limit.as_secs()).unwrap_or(i32::MAX);
        let request = self.act.switchover_blue_green_deployment().blue_green_deployment_identifier(deployment_id);
        let answer = request.switchover_timeout(seconds).send().await;
        let answer = answer.map_err(|error| error::aws("rds:SwitchoverBlueGreenDeployment", &error))?;
        Ok(answer.blue_green_deployment().map(deployment))
    }
}

fn wire_tags(tags: &[(&str, &str)]) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build()).collect()
}

fn text(value: Option<&str>) -> String {
    clean(value.unwrap_or_default())
}

fn instance(found: &DbInstance) -> Instance {
    let endpoint = found.endpoint().and_then(|at| Some(format!("{}:{}", clean(at.address()?), at.port()?)));
    let tag = |tag: &Tag| Some((clean(tag.key()?), text(tag.value())));
    Instance {
        id: text(found.db_instance_identifier()),
        status: text(found.db_instance_status()),
        class: text(found.db_instance_class()),
        engine: clean(&format!("{} {}", text(found.engine()), text(found.engine_version()))),
        storage: found.allocated_storage().and_then(|size| u32::try_from(size).ok()),
        source: found.read_replica_source_db_instance_identifier().filter(|id| !id.is_empty()).map(clean),
        multi_az: found.multi_az() == Some(true),
        protected: found.deletion_protection() == Some(true),
        endpoint,
        tags: found.tag_list().iter().filter_map(tag).collect(),
    }
}

fn snapshot(found: &DbSnapshot) -> Snapshot {
    let time = |time: &DateTime| Timestamp::try_from(std::time::SystemTime::try_from(*time).ok()?).ok();
    Snapshot {
        id: text(found.db_snapshot_identifier()),
        instance: text(found.db_instance_identifier()),
        status: text(found.status()),
        kind: text(found.snapshot_type()),
        created: found.snapshot_create_time().and_then(time),
        storage: found.allocated_storage().and_then(|size| u32::try_from(size).ok()),
        percent: found.percent_progress().and_then(|done| u8::try_from(done).ok()),
    }
}

fn deployment(found: &BlueGreenDeployment) -> Deployment {
    // The members are named by ARN: arn:aws:rds:REGION:ACCOUNT:db:ID.
    let member = |arn: Option<&str>| text(arn.map(|arn| arn.rsplit(':').next().unwrap_or(arn)));
    Deployment {
        id: text(found.blue_green_deployment_identifier()),
        name: text(found.blue_green_deployment_name()),
        blue: member(found.source()),
        green: member(found.target()),
        status: text(found.status()),
        detail: found.status_details().filter(|detail| !detail.is_empty()).map(clean),
    }
}
