//! RDS by hand.
//!
//! Source: AWS CLI reference (2), `aws rds`.

use super::{ByHand, command};
use crate::{plan::RestoreTarget, run::change::RdsChange};

pub(super) fn by_hand(change: &RdsChange) -> ByHand {
    match change {
        RdsChange::Restored { snapshot, target, to: true, .. } => restore(snapshot, target),
        RdsChange::Restored { target, .. } => remove(&target.instance),
        RdsChange::Snapshot { instance, snapshot } => {
            let id = ["--db-snapshot-identifier", snapshot.as_str()];
            let of = ["--db-instance-identifier", instance.as_str()];
            let print = ["--query", "DBSnapshot.Status", "--output", "text"];
            ByHand {
                act: command(&[&["aws", "rds", "create-db-snapshot"][..], &of, &id, &print].concat()),
                look: Some(command(&[&["aws", "rds", "describe-db-snapshots"][..], &of].concat())),
                wait: Some(command(&[&["aws", "rds", "wait", "db-snapshot-available"][..], &id].concat())),
                once: true,
            }
        }
        RdsChange::Promoted { replica, .. } => ByHand {
            act: on(
                &["promote-read-replica"],
                replica,
                &["--query", "DBInstance.DBInstanceStatus", "--output", "text"],
            ),
            look: Some(look(replica)),
            wait: Some(on(&["wait", "db-instance-available"], replica, &[])),
            once: true,
        },
        RdsChange::Switched { deployment, limit, .. } => {
            let limit = limit.as_secs().to_string();
            let id = ["--blue-green-deployment-identifier", deployment.as_str()];
            let switch = ["aws", "rds", "switchover-blue-green-deployment", "--switchover-timeout", &limit];
            let print = ["--query", "BlueGreenDeployment.Status", "--output", "text"];
            let statuses = ["--query", "BlueGreenDeployments[].[Status,StatusDetails]", "--output", "text"];
            let describe = ["aws", "rds", "describe-blue-green-deployments"];
            ByHand {
                act: command(&[&switch[..], &id, &print].concat()),
                look: Some(command(&[&describe[..], &id, &statuses].concat())),
                wait: None,
                once: true,
            }
        }
    }
}

fn restore(snapshot: &str, target: &RestoreTarget) -> ByHand {
    let mut options = vec!["--db-snapshot-identifier", snapshot];
    let named = [
        ("--db-instance-class", &target.class),
        ("--db-subnet-group-name", &target.subnet_group),
        ("--db-parameter-group-name", &target.parameter_group),
    ];
    for (option, value) in named {
        options.extend(value.iter().flat_map(|value| [option, value.as_str()]));
    }
    if !target.security_groups.is_empty() {
        options.push("--vpc-security-group-ids");
        options.extend(target.security_groups.iter().map(String::as_str));
    }
    options.extend(["--no-publicly-accessible", "--query", "DBInstance.DBInstanceStatus", "--output", "text"]);
    ByHand {
        act: on(&["restore-db-instance-from-db-snapshot"], &target.instance, &options),
        look: Some(look(&target.instance)),
        wait: Some(on(&["wait", "db-instance-available"], &target.instance, &[])),
        once: true,
    }
}

/// The tags that the look shows say who made it: by hand nothing else keeps a person from deleting another's.
fn remove(instance: &str) -> ByHand {
    let options = ["--skip-final-snapshot", "--delete-automated-backups"];
    let print = ["--query", "DBInstance.DBInstanceStatus", "--output", "text"];
    ByHand {
        act: on(&["delete-db-instance"], instance, &[&options[..], &print].concat()),
        look: Some(look(instance)),
        wait: Some(on(&["wait", "db-instance-deleted"], instance, &[])),
        once: true,
    }
}

fn look(instance: &str) -> String {
    let query =
        "DBInstances[].[DBInstanceStatus,ReadReplicaSourceDBInstanceIdentifier,TagList[].join('=',[Key,Value])]";
    on(&["describe-db-instances"], instance, &["--query", query])
}

fn on(operation: &[&str], instance: &str, options: &[&str]) -> String {
    command(&[&["aws", "rds"], operation, &["--db-instance-identifier", instance], options].concat())
}
