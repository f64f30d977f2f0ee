//! The operations that change something. Each that takes effect is in the ledger.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    AwsError, BACKING_UP, CREATING, DELETING, DETACHING, Deed, FAILING, GIVING_UP, Instance, RESTARTING, Rds,
    SWITCHING, Snapshot, TAKING, not_found, string, views,
};
use crate::sandbox::{
    faults::{Trigger, later},
    world::World,
};

/// One request that would change something.
pub(super) struct Act<'a> {
    pub(super) world: &'a World,
    pub(super) now: Timestamp,
    pub(super) input: &'a Value,
    pub(super) request_id: &'a str,
}

impl Act<'_> {
    fn asked(&self, key: &str) -> &str {
        string(self.input, key)
    }

    fn asked_instance(&self) -> String {
        self.asked("DBInstanceIdentifier").to_lowercase()
    }

    fn flag(&self, key: &str) -> bool {
        self.asked(key) == "true"
    }

    fn tags(&self) -> BTreeMap<String, String> {
        let tags = self.input.pointer("/Tags/Tag").and_then(Value::as_array).into_iter().flatten();
        tags.map(|tag| (string(tag, "Key").to_owned(), string(tag, "Value").to_owned())).collect()
    }

    /// One thing that went from one value to another.
    fn note(&self, action: &str, target: &str, what: &str, (from, to): (Value, Value)) {
        let detail = json!({ what: { "from": from, "to": to } });
        self.world.ledger.note(self.now, "rds", action, target, detail, self.request_id);
    }

    pub(super) fn restore(&self, rds: &mut Rds) -> Result<Value, AwsError> {
        let (id, from) = (self.asked_instance(), self.asked("DBSnapshotIdentifier"));
        let snapshot = rds.snapshots.iter().find(|snapshot| snapshot.id == from);
        let snapshot = snapshot.ok_or_else(|| not_found("DBSnapshotNotFound", "DBSnapshot", from))?;
        if self.now < snapshot.ready {
            let message = format!("The snapshot {from} is not in the available state.");
            return Err(AwsError::bad_request("InvalidDBSnapshotState", message));
        }
        let origin = rds.instances.iter().find(|one| one.id == snapshot.instance).cloned();
        if rds.find(&id).is_some() {
            return Err(AwsError::bad_request("DBInstanceAlreadyExists", "DB instance already exists"));
        }
        let of = |key: &str, usual: Option<String>, fallback: &str| match self.asked(key) {
            "" => usual.unwrap_or_else(|| fallback.to_owned()),
            text => text.to_owned(),
        };
        let groups = self.input.pointer("/VpcSecurityGroupIds/VpcSecurityGroupId").and_then(Value::as_array);
        let groups: Vec<_> = groups.into_iter().flatten().filter_map(|id| id.as_str().map(str::to_owned)).collect();
        let mut made = Instance {
            class: of("DBInstanceClass", origin.map(|one| one.class), "db.m6g.large"),
            source: None,
            multi_az: self.flag("MultiAZ"),
            protected: self.flag("DeletionProtection"),
            subnet_group: of("DBSubnetGroupName", None, "default"),
            parameter_group: of("DBParameterGroupName", None, "default.postgres15"),
            security_groups: if groups.is_empty() { vec!["sg-0default".to_owned()] } else { groups.clone() },
            tags: self.tags(),
            created: self.now,
            course: Vec::new(),
            origin: Some(from.to_owned()),
            id: id.clone(),
        };
        if self.world.faults.fails_restore(self.now) {
            made.goes(self.now, &[("creating", FAILING)], "restore-error");
        } else {
            made.goes(self.now, &[("creating", CREATING), ("backing-up", BACKING_UP)], "available");
        }
        let answer = views::instance(rds, &made, self.now);
        rds.instances.push(made);
        let optional = |key: &str| Some(self.asked(key)).filter(|text| !text.is_empty());
        let to = json!({
            "class": optional("DBInstanceClass"), "parameterGroup": optional("DBParameterGroupName"),
            "securityGroups": groups, "snapshot": from, "subnetGroup": optional("DBSubnetGroupName"),
        });
        self.note("RestoreDBInstanceFromDBSnapshot", &id, "instance", (Value::Null, to));
        self.world.faults.fire(Trigger::RdsRestore, self.now);
        Ok(json!({ "DBInstance": answer }))
    }

    pub(super) fn delete(&self, rds: &mut Rds) -> Result<Value, AwsError> {
        let id = self.asked_instance();
        let now = self.now;
        let known = rds.find(&id).ok_or_else(|| not_found("DBInstanceNotFound", "DBInstance", &id))?;
        if known.protected {
            let message = "Cannot delete protected DB Instance, please disable deletion protection and try again.";
            return Err(AwsError::bad_request("InvalidParameterCombination", message));
        }
        if known.status(now) == "deleting" {
            return Err(wrong_state(known, now));
        }
        if !self.flag("SkipFinalSnapshot") && self.asked("FinalDBSnapshotIdentifier").is_empty() {
            let message = "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.";
            return Err(AwsError::bad_request("InvalidParameterCombination", message));
        }
        let gone = later(now, DELETING);
        known.course.push((now, "deleting"));
        let (known, origin) = (known.clone(), known.origin.clone());
        rds.pending.push((gone, Deed::Gone(id.clone())));
        self.note("DeleteDBInstance", &id, "instance", (json!(origin), Value::Null));
        Ok(json!({ "DBInstance": views::instance(rds, &known, now) }))
    }

    pub(super) fn take(&self, rds: &mut Rds) -> Result<Value, AwsError> {
        let (instance, id) = (self.asked_instance(), self.asked("DBSnapshotIdentifier").to_owned());
        let now = self.now;
        let taken = rds.snapshots.iter().any(|snapshot| snapshot.id == id);
        let known = rds.find(&instance).ok_or_else(|| not_found("DBInstanceNotFound", "DBInstance", &instance))?;
        if known.status(now) != "available" {
            return Err(wrong_state(known, now));
        }
        if taken {
            let message =
                format!("Cannot create the snapshot because a snapshot with the identifier {id} already exists.");
            return Err(AwsError::bad_request("DBSnapshotAlreadyExists", message));
        }
        known.course.push((now, "backing-up"));
        let ready = later(now, TAKING);
        known.course.push((ready, "available"));
        let made = Snapshot {
            id: id.clone(),
            instance: instance.clone(),
            kind: "manual",
            begun: now,
            ready,
            tags: self.tags(),
        };
        let answer = views::snapshot(&made, now);
        rds.snapshots.push(made);
        self.note("CreateDBSnapshot", &id, "snapshot", (Value::Null, json!(instance)));
        Ok(json!({ "DBSnapshot": answer }))
    }

    pub(super) fn promote(&self, rds: &mut Rds) -> Result<Value, AwsError> {
        let id = self.asked_instance();
        let now = self.now;
        let known = rds.find(&id).ok_or_else(|| not_found("DBInstanceNotFound", "DBInstance", &id))?;
        let source = known.source.clone().filter(|_| known.status(now) == "available");
        let source = source.ok_or_else(|| {
            let message =
                "DB Instance is not in a state where it can be promoted: it is no read replica, or not available.";
            AwsError::bad_request("InvalidDBInstanceState", message)
        })?;
        let alone = known.goes(now, &[("modifying", DETACHING), ("rebooting", RESTARTING)], "available");
        let known = known.clone();
        rds.pending.push((alone, Deed::Alone(id.clone())));
        self.note("PromoteReadReplica", &id, "source", (json!(source), Value::Null));
        Ok(json!({ "DBInstance": views::instance(rds, &known, now) }))
    }

    pub(super) fn switch_over(&self, rds: &mut Rds) -> Result<Value, AwsError> {
        let id = self.asked("BlueGreenDeploymentIdentifier");
        let limit = match self.asked("SwitchoverTimeout") {
            "" => Some(300),
            text => text.parse::<u64>().ok().filter(|seconds| (30..=3600).contains(seconds)),
        };
        let limit = limit.map(Duration::from_secs).ok_or_else(|| {
            AwsError::bad_request("InvalidParameterValue", "SwitchoverTimeout must be between 30 and 3600 seconds.")
        })?;
        let known = rds.deployment(id);
        let known = known.ok_or_else(|| not_found("BlueGreenDeploymentNotFoundFault", "BlueGreenDeployment", id))?;
        if known.status != "AVAILABLE" {
            let message =
                format!("Blue Green Deployment {id} is in state {}, and cannot be switched over.", known.status);
            return Err(AwsError::bad_request("InvalidBlueGreenDeploymentStateFault", message));
        }
        known.status = "SWITCHOVER_IN_PROGRESS";
        known.detail = None;
        let (id, blue, green) = (known.id, known.blue.clone(), known.green.clone());
        let answer = views::deployment(known);
        let failing = self.world.faults.fails_switchover(self.now);
        let (after, deed) = match failing {
            Some(reason) => (GIVING_UP, Deed::PutBack(id, reason)),
            None if limit < SWITCHING => {
                let seconds = limit.as_secs();
                (limit, Deed::PutBack(id, format!("The switchover did not finish within {seconds} seconds.")))
            }
            None => (SWITCHING, Deed::Switched(id)),
        };
        rds.pending.push((later(self.now, after), deed));
        self.note("SwitchoverBlueGreenDeployment", id, "serves", (json!(blue), json!(green)));
        Ok(json!({ "BlueGreenDeployment": answer }))
    }
}

fn wrong_state(instance: &Instance, now: Timestamp) -> AwsError {
    let message = format!("Instance {} is not in available state: {}", instance.id, instance.status(now));
    AwsError::bad_request("InvalidDBInstanceState", message)
}
