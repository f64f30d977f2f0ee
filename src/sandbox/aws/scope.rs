//! What a change is about: the resources and the condition keys that its call is held against, as IAM holds it.
//!
//! Source: Service Authorization Reference, "Actions, resources, and condition keys" of ECS and of RDS. A call that names
//! several resources needs leave for each of them.

use serde_json::Value;

use super::{ACCOUNT, REGION, ecs, iam::Context, string, tasks};

/// The resources of a call that changes something, and the keys of its context; None: only its action is held against.
pub(super) fn of(service: &str, operation: &str, input: &Value) -> Option<(Vec<String>, Context)> {
    match service {
        "ecs" => of_ecs(operation, input),
        "rds" => Some((of_rds(operation, input)?, Context::new())),
        _ => None,
    }
}

fn of_ecs(operation: &str, input: &Value) -> Option<(Vec<String>, Context)> {
    let cluster = ecs::short(string(input, "cluster"));
    let named = |kind: &str, key: &str| vec![ecs::arn(kind, &format!("{cluster}/{}", ecs::short(string(input, key))))];
    let resources = match operation {
        "UpdateService" => named("service", "service"),
        "StopTask" => named("task", "task"),
        "RunTask" => vec![ecs::arn("task-definition", &tasks::revision(string(input, "taskDefinition"))?)],
        _ => return None,
    };
    let within = ("ecs:cluster".to_owned(), vec![ecs::arn("cluster", cluster)]);
    Some((resources, [within].into()))
}

fn of_rds(operation: &str, input: &Value) -> Option<Vec<String>> {
    let arn = |kind: &str, id: &str| format!("arn:aws:rds:{REGION}:{ACCOUNT}:{kind}:{}", id.to_lowercase());
    let named = |kind: &str, key: &str| Some(string(input, key)).filter(|id| !id.is_empty()).map(|id| arn(kind, id));
    let instance = named("db", "DBInstanceIdentifier");
    let snapshot = named("snapshot", "DBSnapshotIdentifier");
    let all = match operation {
        "RestoreDBInstanceFromDBSnapshot" => {
            let groups = [named("subgrp", "DBSubnetGroupName"), named("pg", "DBParameterGroupName")];
            [instance, snapshot].into_iter().chain(groups).collect::<Vec<_>>()
        }
        "CreateDBSnapshot" => vec![instance, snapshot],
        "DeleteDBInstance" | "PromoteReadReplica" => vec![instance],
        "SwitchoverBlueGreenDeployment" => vec![named("deployment", "BlueGreenDeploymentIdentifier")],
        _ => return None,
    };
    Some(all.into_iter().flatten().collect())
}
