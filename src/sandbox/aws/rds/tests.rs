//! RDS as the real SDK meets it: errors by the names that RDS gives them, and states that forbid.

use aws_credential_types::Credentials;
use aws_sdk_rds::{Client, config::Region, error::ProvideErrorMetadata};
use aws_smithy_types::retry::RetryConfig;

use crate::sandbox::{
    Sandbox,
    tests::{control, ledger, sandbox, state_when},
};

fn client(sandbox: &Sandbox) -> Client {
    let config = aws_sdk_rds::Config::builder()
        .behavior_version_latest()
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKIASANDBOX", "secret", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(&sandbox.endpoints().aws_rds);
    Client::from_conf(config.build())
}

macro_rules! code {
    ($call:expr) => {
        $call.send().await.unwrap_err().into_service_error().code().unwrap().to_owned()
    };
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed_has_rds_s_own_names() {
    let sandbox = sandbox("calm", 1.0).await;
    let rds = client(&sandbox);
    let restore = || rds.restore_db_instance_from_db_snapshot().db_instance_identifier("copy");
    let replica = "acme-shop-warehouse";
    let codes = [
        (code!(rds.describe_db_instances().db_instance_identifier("ghost")), "DBInstanceNotFound"),
        (code!(rds.describe_db_snapshots().db_snapshot_identifier("ghost")), "DBSnapshotNotFound"),
        (code!(restore().db_snapshot_identifier("ghost")), "DBSnapshotNotFound"),
        (code!(rds.delete_db_instance().db_instance_identifier("ghost")), "DBInstanceNotFound"),
        (code!(rds.delete_db_instance().db_instance_identifier("acme-shop")), "InvalidParameterCombination"),
        (code!(rds.delete_db_instance().db_instance_identifier(replica)), "InvalidParameterCombination"),
        (code!(rds.promote_read_replica().db_instance_identifier("acme-shop")), "InvalidDBInstanceState"),
        (
            code!(rds.switchover_blue_green_deployment().blue_green_deployment_identifier("bgd-ghost")),
            "BlueGreenDeploymentNotFoundFault",
        ),
    ];
    for (found, expected) in codes {
        assert_eq!(found, expected);
    }
    assert_eq!(ledger(sandbox.endpoints()).await, []);
}

#[tokio::test]
async fn an_instance_goes_from_status_to_status_and_is_busy_meanwhile() {
    let sandbox = sandbox("calm", 60.0).await;
    let rds = client(&sandbox);
    let taken = || rds.create_db_snapshot().db_instance_identifier("acme-shop").db_snapshot_identifier("mine");
    let begun = taken().send().await.unwrap().db_snapshot.unwrap();
    assert_eq!(
        (begun.status(), begun.percent_progress(), begun.snapshot_create_time()),
        (Some("creating"), Some(0), None)
    );
    assert_eq!(code!(taken()), "InvalidDBInstanceState", "it is backing up");
    let restore =
        || rds.restore_db_instance_from_db_snapshot().db_instance_identifier("Copy").db_snapshot_identifier("mine");
    assert_eq!(code!(restore()), "InvalidDBSnapshotState");
    let status = |state: &serde_json::Value, id: &str| {
        let all = state["rds"].as_array().unwrap().clone();
        all.into_iter().find(|one| one["instance"] == id).map(|one| one["status"].as_str().unwrap().to_owned())
    };
    state_when(sandbox.endpoints(), |state| status(state, "acme-shop").as_deref() == Some("available")).await;
    assert_eq!(code!(taken()), "DBSnapshotAlreadyExists");
    let groups = ["sg-1", "sg-2"].map(str::to_owned).to_vec();
    let made = restore().set_vpc_security_group_ids(Some(groups)).send().await.unwrap().db_instance.unwrap();
    assert_eq!((made.db_instance_identifier(), made.endpoint()), (Some("copy"), None), "ids are in lower case");
    assert_eq!(made.vpc_security_groups().len(), 2);
    assert_eq!(code!(restore()), "DBInstanceAlreadyExists");
    let mut seen = Vec::new();
    state_when(sandbox.endpoints(), |state| {
        let now = status(state, "copy").unwrap();
        seen.extend(Some(now.clone()).filter(|now| seen.last() != Some(now)));
        now == "available"
    })
    .await;
    assert_eq!(seen, ["creating", "backing-up", "available"]);
}

#[tokio::test]
async fn pages_of_snapshots_follow_each_other() {
    let sandbox = sandbox("calm", 240.0).await;
    let rds = client(&sandbox);
    let take = async |instance: &str| {
        for number in 0..5 {
            let request = rds.create_db_snapshot().db_instance_identifier(instance);
            let request = request.db_snapshot_identifier(format!("{instance}-{number}"));
            while request.clone().send().await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    };
    tokio::join!(take("acme-shop"), take("acme-shop-warehouse"), take("acme-shop-green-7k2m4q"));
    let pages = rds.describe_db_snapshots().max_records(20).into_paginator().send();
    let pages: Vec<_> = pages.collect::<Result<_, _>>().await.unwrap();
    assert_eq!(pages.iter().map(|page| page.db_snapshots().len()).collect::<Vec<_>>(), [20, 2]);
    assert_eq!(code!(rds.describe_db_snapshots().max_records(5)), "InvalidParameterValue");
    assert_eq!(control(sandbox.endpoints(), "state").await["mutations"], 15);
}
