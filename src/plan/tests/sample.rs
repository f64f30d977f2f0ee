//! The annotated sample loads everywhere and shows every option.

use std::{collections::BTreeSet, time::Duration};

use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::{DATABASE, ENVIRONMENTS, SAMPLE, given, sample};
use crate::plan::{
    EnvironmentKind, GateLevel, Plan, check, environments,
    raw::{
        RawAccess, RawAlias, RawAws, RawCaughtUp, RawCheck, RawCheckSuite, RawCompare, RawDatabase, RawDatabases,
        RawDns, RawDrain, RawEcsScale, RawEnvironment, RawExec, RawGuardrail, RawHead, RawHeroku, RawHerokuScale,
        RawJson, RawKind, RawMaintenance, RawManual, RawMetric, RawNotify, RawPlan, RawPreflight, RawRdsPromote,
        RawRdsRestore, RawRdsSnapshot, RawRdsSwitchover, RawRecord, RawRunTask, RawRunner, RawSequences, RawSet,
        RawSide, RawSides, RawStage, RawStep, RawSwitch, RawTraffic, RawTtl, RawWaitStable, RawWatch, RawWriteLock,
    },
    tree::fields_of,
};

#[test]
fn the_sample_loads_in_every_environment_without_a_warning() {
    for environment in ENVIRONMENTS {
        match check(SAMPLE, "acme-shop.toml", environment, &given()) {
            Ok(checked) => assert!(checked.warnings.is_empty(), "{}", checked.warnings.render(false)),
            Err(errors) => panic!("{environment}:\n{}", errors.render(false)),
        }
    }
}

#[test]
fn environments_overlay_their_variables() {
    let gate = |plan: &Plan| plan.step(&"switch-shop".into()).unwrap().gate;
    let (production, sandbox) = (sample("production").unwrap(), sample("sandbox").unwrap());
    assert_eq!((gate(&production), gate(&sandbox)), (GateLevel::Two, GateLevel::Type));
    assert_eq!((production.aws.endpoint, production.heroku.unwrap().api), (None, None));
    assert_eq!(production.dns.authority, []);
    assert_eq!(production.dns.resolvers.len(), 4);
    assert_eq!(sandbox.aws.endpoint.as_deref(), Some("http://127.0.0.1:4566"));
    assert_eq!(sandbox.environment.kind, EnvironmentKind::Sandbox);
    assert_eq!(sandbox.dns.resolvers.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["honest", "stubborn"]);
    assert_eq!(sandbox.checks[0].url, "https://shop.example.test:8443/");
    let names = environments(SAMPLE, "acme-shop.toml").unwrap();
    assert_eq!(names.keys().map(String::as_str).collect::<Vec<_>>(), ["production", "sandbox", "staging"]);
}

#[test]
fn a_wrong_variable_is_told_once_with_all_the_lines_that_use_it() {
    let wrong = SAMPLE.replacen("check_every = \"10s\"", "check_every = \"10x\"", 1);
    let errors = check(&wrong, "acme-shop.toml", "production", &given()).unwrap_err();
    let [problem] = errors.problems() else { panic!("{}", errors.render(false)) };
    let users = wrong.lines().filter(|line| line.starts_with("every = \"${check_every}\"")).count();
    let help = problem.help.as_deref().unwrap();
    let (_, lines) = help.split_once("the same in lines ").expect(help);
    assert_eq!(lines.split(", ").count(), users - 1, "{help}");
}

#[test]
fn a_plan_that_names_no_environment_is_no_plan() {
    for text in ["", "title = \"x\"\n", "[[step]]\nkind = \"foo\"\n"] {
        let errors = environments(text, "plan.toml").unwrap_err().render(false);
        assert!(errors.contains("plan.toml:1:1") && errors.contains("[environments.staging]"), "{errors}");
    }
}

#[test]
fn the_rehearsal_takes_little_more_than_an_hour() {
    let plan = sample("sandbox").unwrap();
    let total: Duration = plan.steps.iter().map(|step| step.expected).sum();
    assert!((3300..=5400).contains(&total.as_secs()), "{total:?}");
    assert_eq!(plan.checks.len(), 12);
}

#[test]
fn the_validated_plan_survives_its_journal_form() {
    for environment in ENVIRONMENTS {
        let plan = sample(environment).unwrap();
        let json = serde_json::to_string(&plan).unwrap();
        let back: Plan = serde_json::from_str(&json).unwrap();
        assert_eq!(back, plan);
        assert_eq!(back.hash(), plan.hash());
    }
}

#[test]
fn the_sample_with_databases_loads_without_a_warning() {
    for environment in ["production", "staging"] {
        match check(DATABASE, "database.toml", environment, &given()) {
            Ok(checked) => assert!(checked.warnings.is_empty(), "{}", checked.warnings.render(false)),
            Err(errors) => panic!("{environment}:\n{}", errors.render(false)),
        }
    }
}

/// Keys of every table that stands at a path of a sample; `*` stands for any key, lists are entered.
fn keys_at(path: &[&str]) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for sample in [SAMPLE, DATABASE] {
        let table = DeTable::parse(sample).unwrap();
        gather(&DeValue::Table(table.into_inner()), path, &mut keys);
    }
    keys
}

fn gather(value: &DeValue<'_>, path: &[&str], keys: &mut BTreeSet<String>) {
    match (value, path) {
        (DeValue::Array(items), _) => items.iter().for_each(|item| gather(item.get_ref(), path, keys)),
        (DeValue::Table(table), []) => keys.extend(table.keys().map(|key| key.get_ref().to_string())),
        (DeValue::Table(table), [first, rest @ ..]) => {
            for (_, value) in table.iter().filter(|(key, _)| *first == "*" || key.get_ref() == *first) {
                gather(value.get_ref(), rest, keys);
            }
        }
        _ => {}
    }
}

fn shown<'de, T: Deserialize<'de>>(path: &[&str]) {
    let fields = fields_of::<T>();
    assert!(!fields.is_empty(), "{path:?}");
    let keys = keys_at(path);
    let absent: Vec<_> = fields.iter().filter(|field| !keys.contains(**field)).collect();
    assert!(absent.is_empty(), "the sample does not show {absent:?} at {path:?}");
}

#[test]
fn the_sample_shows_every_option() {
    shown::<RawHead>(&[]);
    shown::<RawPlan>(&[]);
    shown::<RawEnvironment>(&["environments", "*"]);
    shown::<RawAws>(&["aws"]);
    shown::<RawAccess>(&["access"]);
    shown::<RawNotify>(&["notify"]);
    shown::<RawHeroku>(&["heroku"]);
    shown::<RawDatabases>(&["databases"]);
    shown::<RawDatabase>(&["databases", "*"]);
    shown::<RawDns>(&["dns"]);
    shown::<RawPreflight>(&["preflight"]);
    shown::<RawSides>(&["sides"]);
    shown::<RawSide>(&["sides", "*"]);
    shown::<RawRecord>(&["record"]);
    for side in ["old", "new"] {
        shown::<RawSet>(&["record", "*"]);
        assert!(keys_at(&["record", side]).contains("type"));
    }
    shown::<RawAlias>(&["record", "new", "alias"]);
    shown::<RawCheck>(&["check"]);
    shown::<RawJson>(&["check", "json"]);
    shown::<RawMetric>(&["metric"]);
    shown::<RawGuardrail>(&["guardrail"]);
    shown::<RawRunner>(&["runner"]);
    shown::<RawTraffic>(&["traffic"]);
    shown::<RawStep>(&["step"]);
    shown::<RawStage>(&["step", "stages"]);
}

#[test]
fn the_sample_shows_every_kind_of_step_and_its_options() {
    let samples = [SAMPLE, DATABASE].map(|sample| DeTable::parse(sample).unwrap());
    let kinds = fields_of::<RawKind>();
    for kind in kinds {
        let fields = match *kind {
            "manual" => fields_of::<RawManual>(),
            "check.suite" => fields_of::<RawCheckSuite>(),
            "dns.lower-ttl" | "dns.raise-ttl" => fields_of::<RawTtl>(),
            "dns.drain" => fields_of::<RawDrain>(),
            "dns.switch" => fields_of::<RawSwitch>(),
            "heroku.maintenance" => fields_of::<RawMaintenance>(),
            "heroku.scale" => fields_of::<RawHerokuScale>(),
            "ecs.scale" => fields_of::<RawEcsScale>(),
            "ecs.run-task" => fields_of::<RawRunTask>(),
            "ecs.wait-stable" => fields_of::<RawWaitStable>(),
            "rds.restore-snapshot" => fields_of::<RawRdsRestore>(),
            "rds.snapshot" => fields_of::<RawRdsSnapshot>(),
            "rds.promote-replica" => fields_of::<RawRdsPromote>(),
            "rds.switchover" => fields_of::<RawRdsSwitchover>(),
            "watch" => fields_of::<RawWatch>(),
            "postgres.wait-caught-up" => fields_of::<RawCaughtUp>(),
            "postgres.freeze" | "postgres.open" => fields_of::<RawWriteLock>(),
            "postgres.sync-sequences" => fields_of::<RawSequences>(),
            "postgres.compare" => fields_of::<RawCompare>(),
            "exec" => fields_of::<RawExec>(),
            other => panic!("add the fields of `{other}` here"),
        };
        let steps = samples.iter().map(|table| table.get_ref().get("step").unwrap().get_ref().as_array().unwrap());
        let mut keys = BTreeSet::new();
        for step in steps.flat_map(|steps| steps.iter()).filter_map(|step| step.get_ref().as_table()) {
            if step.get("kind").and_then(|kind| kind.get_ref().as_str()) == Some(*kind) {
                keys.extend(step.keys().map(|key| key.get_ref().to_string()));
            }
        }
        let absent: Vec<_> = fields.iter().filter(|field| !keys.contains(**field)).collect();
        assert!(!keys.is_empty() && absent.is_empty(), "no step `{kind}` of the sample shows {absent:?}");
    }
}
