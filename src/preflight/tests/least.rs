//! The least privilege: with it everything passes, and what is taken away from it is missed by its name.

use std::collections::BTreeSet;

use super::{
    super::{
        gather::{Look, permitted},
        judge::judge,
        needs::{Way, needs},
        policy::{driver, viewer},
    },
    stage::{Stage, wanting},
};
use crate::run::{Standing, TroubleKind};

#[tokio::test]
async fn with_the_generated_policy_all_passes_and_one_permission_less_fails_with_its_name() {
    let stage = Stage::open().await;
    let policy = driver(&stage.plan, None).document;
    stage.attach(&policy).await;
    let mut facts = stage.look(Look::Whole).await;
    let findings = judge(&stage.plan, &facts);
    assert_eq!(wanting(&findings), Vec::<String>::new(), "the policy is enough for every call of the preflight itself");
    for need in needs(&stage.plan) {
        let mut less = policy.clone();
        for statement in less["Statement"].as_array_mut().unwrap() {
            let actions = statement["Action"].as_array_mut().unwrap();
            actions.retain(|action| action != need.action);
            if actions.is_empty() {
                statement["Action"] = serde_json::json!("none:None");
            }
        }
        stage.attach(&less).await;
        facts.permissions = permitted(&stage.plan, &stage.world).await;
        let findings = judge(&stage.plan, &facts);
        let id = format!("permission:{}", need.action);
        let denied = findings.iter().find(|finding| finding.id == id).unwrap();
        if need.action == "iam:SimulatePrincipalPolicy" {
            assert_eq!(denied.standing, Standing::Unknown);
            continue;
        }
        assert_eq!(denied.standing, Standing::ActionRequired, "{denied:?}");
        assert!(denied.reason.contains(need.action) && denied.remedy.as_ref().unwrap().contains(need.action));
        assert!(need.way != Way::Back || denied.reason.contains("to roll back"), "{denied:?}");
        let others = findings.iter().filter(|one| one.id.starts_with("permission:") && one.id != id);
        assert!(others.clone().all(|one| one.standing == Standing::Passed), "{:?}", wanting(&findings));
    }
}

#[tokio::test]
async fn with_the_viewers_policy_all_can_be_watched_and_nothing_be_done() {
    let stage = Stage::open().await;
    let needs = needs(&stage.plan);
    // Whether it is allowed is asked by whoever may ask that, and not by the viewer.
    let mut asked = viewer(&stage.plan, None).document;
    asked["Statement"].as_array_mut().unwrap().push(serde_json::json!({
        "Effect": "Allow", "Action": "iam:SimulatePrincipalPolicy", "Resource": "*"
    }));
    stage.attach(&asked).await;
    let watched: BTreeSet<_> = needs.iter().filter(|need| need.way == Way::Watch).map(|need| need.action).collect();
    let mut refused = 0;
    for permission in permitted(&stage.plan, &stage.world).await {
        let decisions = permission.decisions.unwrap();
        let reads = ["Get", "List", "Describe", "Filter", "Simulate"];
        if watched.contains(permission.action) {
            assert!(decisions.iter().all(|one| one.allowed), "{}: {decisions:?}", permission.action);
        } else if !reads.iter().any(|verb| permission.action.split(':').nth(1).unwrap().starts_with(verb)) {
            assert!(decisions.iter().all(|one| !one.allowed), "{}: {decisions:?}", permission.action);
            refused += 1;
        }
    }
    assert!(refused > 8, "{refused}");
}

#[tokio::test]
async fn a_narrower_zone_name_or_role_is_found_by_its_condition() {
    let stage = Stage::open().await;
    let policy = driver(&stage.plan, None).document.to_string();
    let mut facts = stage.look(Look::Whole).await;
    for (from, to, id) in [
        ("api.example.test", "other.example.test", "permission:route53:ChangeResourceRecordSets"),
        ("\"DELETE\"", "\"NOTHING\"", "permission:route53:ChangeResourceRecordSets"),
        ("cluster/acme", "cluster/else", "permission:ecs:RunTask"),
        ("ecs-tasks.amazonaws.com", "ec2.amazonaws.com", "permission:iam:PassRole"),
        ("role/acme-release-task", "role/else", "permission:iam:PassRole"),
        ("db:acme-shop-scratch", "db:else", "permission:rds:DeleteDBInstance"),
    ] {
        assert!(policy.contains(from), "{from}");
        stage.attach(&serde_json::from_str(&policy.replace(from, to)).unwrap()).await;
        facts.permissions = permitted(&stage.plan, &stage.world).await;
        let findings = judge(&stage.plan, &facts);
        let finding = findings.iter().find(|finding| finding.id == id).unwrap();
        assert_eq!(finding.standing, Standing::ActionRequired, "{from}: {finding:?}");
    }
}

/// Not only what IAM says when it is asked: the services hold each change against it, forward and back.
#[tokio::test]
async fn a_change_on_another_resource_is_refused_by_its_service_and_has_no_effect() {
    let stage = Stage::open().await;
    let policy = driver(&stage.plan, None).document.to_string();
    let (ecs, rds) = (stage.world.ecs(), stage.world.rds());
    for (from, to, action) in [
        ("service/acme/worker", "service/acme/else", "ecs:UpdateService"),
        ("db:acme-shop-scratch", "db:else", "rds:DeleteDBInstance"),
        ("snapshot:", "snapshot:else", "rds:CreateDBSnapshot"),
    ] {
        assert!(policy.contains(from), "{from}");
        stage.attach(&serde_json::from_str(&policy.replace(from, to)).unwrap()).await;
        let refused = match action {
            "ecs:UpdateService" => ecs.scale("acme", "worker", 1).await.unwrap_err(),
            "rds:DeleteDBInstance" => rds.delete("acme-shop-scratch").await.unwrap_err(),
            _ => rds.take("acme-shop", "before-1", &[]).await.unwrap_err(),
        };
        assert!(!refused.in_doubt && refused.trouble.kind == TroubleKind::Credentials, "{action}: {refused}");
        assert!(refused.to_string().contains(action), "{refused}");
    }
    let ledger = format!("{}/sandbox/ledger", stage.sandbox.endpoints().control);
    let ledger: serde_json::Value = reqwest::get(ledger).await.unwrap().json().await.unwrap();
    assert_eq!(ledger, serde_json::json!([]), "nothing was done");
}
