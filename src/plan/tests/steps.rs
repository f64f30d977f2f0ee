//! Defaults of steps, and what a plan lets one expect at each.

use std::time::Duration;

use super::{sample, try_base};
use crate::plan::{Class, GateLevel, Kind, Plan, RecordType, Threshold};

fn base() -> Plan {
    try_base(&[], "test").unwrap_or_else(|errors| panic!("{}", errors.render(false))).plan
}

#[test]
fn a_step_needs_the_one_before_and_the_lowest_gate_of_its_class() {
    let plan = base();
    assert_eq!(plan.steps[0].needs, []);
    for (before, step) in plan.steps.iter().zip(&plan.steps[1..]) {
        assert_eq!(step.needs, std::slice::from_ref(&before.id));
    }
    let gates: Vec<_> = plan.steps.iter().map(|step| step.gate).collect();
    use GateLevel::{Confirm, Start, Type};
    assert_eq!(gates, [Start, Confirm, Start, Type, Type, Confirm, Confirm]);
    assert!(plan.steps.iter().all(|step| step.timeout >= step.expected && !step.point_of_no_return));
}

#[test]
fn a_drain_is_expected_to_take_the_old_ttl_and_its_margin() {
    let drain = base().step(&"drain".into()).unwrap().clone();
    assert_eq!(drain.expected, Duration::from_secs(1800 + 60));
    assert!(drain.timeout > drain.expected * 2);
}

#[test]
fn watches_have_defaults() {
    let plan = base();
    let (check, guardrail) = (&plan.checks[0], &plan.guardrails[0]);
    assert_eq!((check.every.as_secs(), check.timeout.as_secs(), check.status.as_slice()), (10, 5, &[200][..]));
    assert_eq!((guardrail.lasting.as_secs(), guardrail.max_age.as_secs()), (120, 180));
    assert_eq!(guardrail.threshold, Threshold::Absolute(2.0));
    assert_eq!(plan.metrics[0].period, 60);
}

#[test]
fn a_record_is_normalised() {
    let edits = [
        ("name = \"shop.${zone}\"", "name = \"Shop.${zone}.\""),
        ("value = \"shop.herokudns.com\" }", "value = \"Shop.HerokuDNS.com\" }"),
        ("zone_id = \"Z1\"", "zone_id = \"/hostedzone/Z1\""),
    ];
    let plan = try_base(&edits, "test").unwrap_or_else(|errors| panic!("{}", errors.render(false))).plan;
    let record = &plan.records[0];
    assert_eq!(
        (record.name(), record.zone_name.as_str(), record.zone_id.as_str()),
        ("shop.example.com.", "example.com.", "Z1")
    );
    assert_eq!(record.old.values, ["shop.herokudns.com."]);
    assert_eq!(record.new.name, record.old.name);
}

#[test]
fn values_of_a_set_are_sorted() {
    let old = (
        "old = { type = \"CNAME\", ttl = 1800, value = \"shop.herokudns.com\" }",
        "old = { type = \"A\", ttl = 1800, value = [\"192.0.2.9\", \"192.0.2.10\"] }",
    );
    let plan = try_base(&[old], "test").unwrap_or_else(|errors| panic!("{}", errors.render(false))).plan;
    assert_eq!(plan.records[0].old.values, ["192.0.2.10", "192.0.2.9"]);
}

#[test]
fn each_step_expects_what_the_steps_before_it_leave() {
    let plan = base();
    let shown = |step: &str| plan.expected_before(&step.into(), "shop").unwrap().to_string();
    let (heroku, alb) = ("shop.herokudns.com.", "alb.us-east-1.elb.amazonaws.com.");
    assert_eq!(shown("lower"), format!("CNAME 1800 {heroku}"));
    assert_eq!(shown("drain"), format!("CNAME 60 {heroku}"));
    assert_eq!(shown("switch"), format!("CNAME 60 {heroku}"));
    assert_eq!(shown("raise"), format!("CNAME 60 {alb}"));
    assert_eq!(plan.expected_after("shop", &plan.steps).unwrap().to_string(), format!("CNAME 300 {alb}"));
    assert_eq!(plan.expected_before(&"nowhere".into(), "shop"), None);
    assert_eq!(plan.expected_before(&"raise".into(), "other"), None);
}

#[test]
fn an_alias_follows_the_switch() {
    let plan = sample("sandbox").unwrap();
    let set = plan.expected_before(&"unfreeze".into(), "shop").unwrap();
    assert_eq!((set.kind, set.ttl), (RecordType::A, None));
    assert_eq!(set.alias.unwrap().zone_id, "Z35SXDOTRQ7X7K");
}

#[test]
fn an_exec_without_a_class_is_destructive() {
    let kind = "kind = \"manual\"\nitems = [\"look\"]";
    let exec = "kind = \"exec\"\napply = [\"true\"]\nobserve = [\"true\"]\nundo = [\"true\"]";
    let checked = try_base(&[(kind, exec)], "test").unwrap();
    assert!(checked.warnings.is_empty());
    let step = &checked.plan.steps[0];
    assert!(matches!(step.kind, Kind::Exec { class: Class::Destructive, .. }));
    assert_eq!(step.gate, GateLevel::Type);
}

#[test]
fn a_suite_without_a_list_runs_all_checks_on_the_new_side() {
    let kind = "kind = \"manual\"\nitems = [\"look\"]";
    let checked = try_base(&[(kind, "kind = \"check.suite\"")], "test").unwrap();
    let Kind::CheckSuite { checks, sides, rounds } = &checked.plan.steps[0].kind else { panic!("not a suite") };
    assert_eq!((checks.as_slice(), sides.len(), *rounds), (&["home".to_owned()][..], 1, 1));
}

#[test]
fn a_doubled_dollar_is_literal() {
    let checked = try_base(&[("title = \"Base\"", "title = \"$${zone} of ${zone}\"")], "test").unwrap();
    assert_eq!(checked.plan.title, "${zone} of example.com");
}

#[test]
fn the_baseline_of_a_new_metric_is_its_twin_on_the_old_side() {
    let plan = sample("production").unwrap();
    let baseline = |id: &str| plan.baseline_of(id).map(|metric| metric.id.as_str());
    assert_eq!(baseline("new-p95"), Some("old-p95"));
    assert_eq!(baseline("old-p95"), Some("old-p95"));
    assert_eq!(baseline("cpu"), Some("cpu"));
    assert_eq!(baseline("nothing"), None);
}
