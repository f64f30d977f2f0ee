//! What reads, and how instances, snapshots and deployments are written. Lists are written as RDS does: an element for
//! the list, and in it one named element for each item ([`super::super::wire::Xml::named`]).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{AwsError, Deployment, ENGINE_VERSION, Instance, Rds, STORAGE, Snapshot, arn, not_found, string};
use crate::sandbox::aws::wire::iso_time;

/// What RDS gives in one page when it is not asked otherwise, and the least that may be asked for.
const PAGE: usize = 100;
const SMALLEST_PAGE: usize = 20;

pub(super) fn instances(rds: &Rds, input: &Value, now: Timestamp) -> Result<Value, AwsError> {
    let id = string(input, "DBInstanceIdentifier").to_lowercase();
    let wanted = filter(input, "db-instance-id");
    let found: Vec<_> = rds
        .instances
        .iter()
        .filter(|one| (id.is_empty() || one.id == id) && (wanted.is_empty() || wanted.contains(&one.id)))
        .map(|one| instance(rds, one, now))
        .collect();
    if found.is_empty() && !id.is_empty() {
        return Err(not_found("DBInstanceNotFound", "DBInstance", &id));
    }
    page(input, "DBInstances", "DBInstance", found)
}

pub(super) fn snapshots(rds: &Rds, input: &Value, now: Timestamp) -> Result<Value, AwsError> {
    let (id, of, kind) =
        (string(input, "DBSnapshotIdentifier"), string(input, "DBInstanceIdentifier"), string(input, "SnapshotType"));
    let any = |wanted: &str, value: &str| wanted.is_empty() || wanted == value;
    let found: Vec<_> = rds
        .snapshots
        .iter()
        .filter(|one| any(id, &one.id) && any(of, &one.instance) && any(kind, one.kind))
        .map(|one| snapshot(one, now))
        .collect();
    if found.is_empty() && !id.is_empty() {
        return Err(not_found("DBSnapshotNotFound", "DBSnapshot", id));
    }
    page(input, "DBSnapshots", "DBSnapshot", found)
}

pub(super) fn deployments(rds: &Rds, input: &Value) -> Result<Value, AwsError> {
    let id = string(input, "BlueGreenDeploymentIdentifier");
    let names = filter(input, "blue-green-deployment-name");
    let named = |one: &Deployment| names.is_empty() || names.iter().any(|name| name == one.name);
    let found = rds.deployments.iter().filter(|one| (id.is_empty() || one.id == id) && named(one));
    let found: Vec<_> = found.map(deployment).collect();
    if found.is_empty() && !id.is_empty() {
        return Err(not_found("BlueGreenDeploymentNotFoundFault", "BlueGreenDeployment", id));
    }
    // Here, as an exception, the items are plain members.
    page(input, "BlueGreenDeployments", "member", found)
}

/// The values of a filter: `Filters.Filter.1.Name=..&Filters.Filter.1.Values.Value.1=..`.
fn filter(input: &Value, name: &str) -> Vec<String> {
    let filters = input.pointer("/Filters/Filter").and_then(Value::as_array).into_iter().flatten();
    let wanted = filters.filter(|one| string(one, "Name") == name);
    let values = wanted.filter_map(|one| one.pointer("/Values/Value")?.as_array()).flatten();
    values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

/// One page of a list, and the marker of the next one.
fn page(input: &Value, list: &str, item: &str, all: Vec<Value>) -> Result<Value, AwsError> {
    let wrong = |what: &str| AwsError::bad_request("InvalidParameterValue", format!("Invalid {what}"));
    let size = match string(input, "MaxRecords") {
        "" => PAGE,
        text => text.parse().ok().filter(|size| (SMALLEST_PAGE..=PAGE).contains(size)).ok_or(wrong("MaxRecords"))?,
    };
    let begin = match string(input, "Marker") {
        "" => 0,
        text => text.parse().map_err(|_| wrong("Marker"))?,
    };
    let more = all.len() > begin + size;
    let shown: Vec<_> = all.into_iter().skip(begin).take(size).collect();
    let marker = if more { json!((begin + size).to_string()) } else { Value::Null };
    Ok(json!({ list: { item: shown }, "Marker": marker }))
}

pub(super) fn instance(rds: &Rds, one: &Instance, now: Timestamp) -> Value {
    let replicas = rds.instances.iter().filter(|other| other.source.as_ref() == Some(&one.id)).map(|other| &other.id);
    let group = |id: &String| json!({ "VpcSecurityGroupId": id, "Status": "active" });
    let status = one.status(now);
    // An instance that is being made has no address yet.
    let endpoint = if status == "creating" {
        Value::Null
    } else {
        let address = format!("{}.c0sandbox.us-east-1.rds.amazonaws.com", one.id);
        json!({ "Address": address, "Port": 5432, "HostedZoneId": "Z2R2ITUGPM61AM" })
    };
    json!({
        "DBInstanceIdentifier": one.id, "DBInstanceClass": one.class, "Engine": "postgres",
        "EngineVersion": ENGINE_VERSION, "DBInstanceStatus": status, "MasterUsername": "acme", "DBName": "acme",
        "Endpoint": endpoint, "AllocatedStorage": STORAGE, "StorageType": "gp3", "StorageEncrypted": true,
        "InstanceCreateTime": iso_time(one.created), "BackupRetentionPeriod": 7,
        "VpcSecurityGroups": {
            "VpcSecurityGroupMembership": one.security_groups.iter().map(group).collect::<Vec<_>>(),
        },
        "DBParameterGroups": { "DBParameterGroup": [{
            "DBParameterGroupName": one.parameter_group, "ParameterApplyStatus": "in-sync",
        }] },
        "DBSubnetGroup": {
            "DBSubnetGroupName": one.subnet_group, "VpcId": "vpc-0acme5h0p", "SubnetGroupStatus": "Complete",
        },
        "AvailabilityZone": "us-east-1a", "MultiAZ": one.multi_az, "PubliclyAccessible": false,
        "DeletionProtection": one.protected, "ReadReplicaSourceDBInstanceIdentifier": one.source,
        "ReadReplicaDBInstanceIdentifiers": { "ReadReplicaDBInstanceIdentifier": replicas.collect::<Vec<_>>() },
        "DBInstanceArn": arn("db", &one.id), "TagList": tags(&one.tags),
    })
}

pub(super) fn snapshot(one: &Snapshot, now: Timestamp) -> Value {
    let whole = one.ready.duration_since(one.begun).as_secs_f64().max(1.0);
    let done = (now.duration_since(one.begun).as_secs_f64() / whole).clamp(0.0, 1.0);
    let ready = now >= one.ready;
    json!({
        "DBSnapshotIdentifier": one.id, "DBInstanceIdentifier": one.instance, "Engine": "postgres",
        "EngineVersion": ENGINE_VERSION, "Status": if ready { "available" } else { "creating" },
        "SnapshotType": one.kind, "AllocatedStorage": STORAGE, "Port": 5432, "Encrypted": true,
        "MasterUsername": "acme", "PercentProgress": (done * 100.0) as u32, "StorageType": "gp3",
        "SnapshotCreateTime": if ready { json!(iso_time(one.ready)) } else { Value::Null },
        "DBSnapshotArn": arn("snapshot", &one.id), "TagList": tags(&one.tags),
    })
}

pub(super) fn deployment(one: &Deployment) -> Value {
    let (source, target) = (arn("db", &one.blue), arn("db", &one.green));
    json!({
        "BlueGreenDeploymentIdentifier": one.id, "BlueGreenDeploymentName": one.name, "Source": source,
        "Target": target, "Status": one.status, "StatusDetails": one.detail, "CreateTime": iso_time(one.created),
        "SwitchoverDetails": { "member": [{
            "SourceMember": source, "TargetMember": target, "Status": one.status,
        }] },
        "Tasks": { "member": [{ "Name": "CREATING_READ_REPLICA_OF_SOURCE", "Status": "COMPLETED" }] },
    })
}

fn tags(tags: &std::collections::BTreeMap<String, String>) -> Value {
    let tag = |(key, value): (&String, &String)| json!({ "Key": key, "Value": value });
    json!({ "Tag": tags.iter().map(tag).collect::<Vec<_>>() })
}
