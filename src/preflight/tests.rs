//! Needs and policies of the sample plan.

mod least;
mod session;
mod stage;
mod staged;

use std::collections::BTreeSet;

use super::*;
use crate::plan::{Plan, load, sandbox_placeholders};

const SAMPLE: &str = include_str!("../../config/acme-shop.toml");

fn sample(environment: &str) -> Plan {
    load(SAMPLE, "acme-shop.toml", environment, &sandbox_placeholders())
        .unwrap_or_else(|e| panic!("{}", e.render(false)))
}

fn actions(policy: &Policy) -> BTreeSet<String> {
    let statements = policy.document["Statement"].as_array().unwrap();
    let actions = statements.iter().flat_map(|statement| statement["Action"].as_array().unwrap());
    actions.map(|action| action.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_sample_plan_needs_this_and_no_more() {
    let policy = driver(&sample("production"), None);
    insta::assert_snapshot!("driver", serde_json::to_string_pretty(&policy.document).unwrap());
    assert_eq!(policy.remarks, Vec::<String>::new());
}

#[test]
fn a_viewer_reads_and_does_nothing() {
    let journal = JournalPlace::parse("s3://acme-runs/cutovers/one").unwrap();
    let policy = viewer(&sample("production"), Some(&journal));
    insta::assert_snapshot!("viewer", serde_json::to_string_pretty(&policy.document).unwrap());
    for action in actions(&policy) {
        let verb = action.split_once(':').unwrap().1;
        assert!(["Get", "List", "Describe"].iter().any(|begin| verb.starts_with(begin)), "{action}");
    }
}

#[test]
fn no_statement_grants_a_change_on_everything() {
    let policy = driver(&sample("production"), None);
    for statement in policy.document["Statement"].as_array().unwrap() {
        let everything = statement["Resource"].as_array().unwrap().iter().any(|arn| arn == "*");
        for action in statement["Action"].as_array().unwrap().iter().filter_map(|action| action.as_str()) {
            let verb = action.split_once(':').unwrap().1;
            let reads = ["Get", "List", "Describe"].iter().any(|begin| verb.starts_with(begin));
            assert!(reads || !everything, "{action} on everything");
            assert!(!action.contains('*'), "{action}");
        }
    }
}

#[test]
fn the_way_back_is_needed_by_itself() {
    let needs = needs(&sample("production"));
    let back: BTreeSet<_> = needs.iter().filter(|need| need.way == Way::Back).map(|need| need.action).collect();
    for action in ["route53:ChangeResourceRecordSets", "ecs:UpdateService", "rds:DeleteDBInstance", "ecs:RunTask"] {
        assert!(back.contains(action), "{action} is missing from {back:?}");
    }
    let delete = needs.iter().find(|need| need.action == "rds:DeleteDBInstance").unwrap();
    assert_eq!(delete.why, "step `restore`");
    let resource = "arn:aws:rds:us-east-1:123456789012:db:acme-shop-scratch";
    assert_eq!(delete.resources, BTreeSet::from([resource.to_owned()]), "and nothing else may be deleted");
}

#[test]
fn names_are_normalized_as_route_53_documents() {
    let mut plan = sample("production");
    plan.records.iter_mut().for_each(|record| record.old.name = "*.Ex_ä.example.com.".into());
    let needs = needs(&plan);
    let change = needs.iter().find(|need| need.action == "route53:ChangeResourceRecordSets").unwrap();
    let names = &change.conditions[0].values;
    assert_eq!(names, &BTreeSet::from(["\\052.ex_\\303\\244.example.com".to_owned()]));
}

#[test]
fn what_would_make_the_policy_smaller_is_said() {
    let mut plan = sample("production");
    (plan.aws.account, plan.preflight) = (None, None);
    plan.aws.region = "cn-north-1".into();
    let policy = driver(&plan, JournalPlace::parse("s3://bucket").as_ref());
    for words in ["aws.account", "preflight.task_roles", "preflight.log_groups"] {
        assert!(policy.remarks.iter().any(|remark| remark.contains(words)), "{words}: {:?}", policy.remarks);
    }
    let text = policy.document.to_string();
    assert!(text.contains("arn:aws-cn:ecs:cn-north-1:*:service/acme/web"), "{text}");
    assert!(text.contains("arn:aws-cn:s3:::bucket/*") && text.contains("s3:PutObject"));
    assert!(!viewer(&plan, JournalPlace::parse("s3://bucket").as_ref()).document.to_string().contains("PutObject"));
    for wrong in ["https://bucket", "s3://", "s3://bu cket/x", "s3://bucket/a*"] {
        assert_eq!(JournalPlace::parse(wrong), None, "{wrong}");
    }
}
