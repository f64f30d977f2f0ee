//! The sample plan against the sandbox that `cutover rehearse` plays it in: what it names exists there.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may panic as the test itself")]

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudwatch::types::{Dimension, Metric};
use cutover::{
    cli::sandbox_variables,
    clock::Clock,
    journal::SessionDir,
    plan::{Check, Kind, MetricSource, Plan, RunnerSource, Side, load, sandbox_placeholders},
    sandbox::{Endpoints, Ports, Sandbox, SandboxConfig, scenario::Scenario, start},
};

const SAMPLE: &str = include_str!("../config/acme-shop.toml");

async fn world() -> (Sandbox, Plan) {
    let scenario = Scenario::load("calm").unwrap();
    let config = SandboxConfig { clock: Clock::scaled(1.0), scenario, state_dir: None, ports: Ports::default() };
    let sandbox = start(config).await.unwrap();
    let given = given(sandbox.endpoints());
    assert!(given.keys().eq(sandbox_placeholders().keys()), "what a sandbox gives and its placeholders differ");
    let plan =
        load(SAMPLE, "acme-shop.toml", "sandbox", &given).unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    (sandbox, plan)
}

fn given(endpoints: &Endpoints) -> BTreeMap<String, String> {
    sandbox_variables(endpoints, &SessionDir::new(""))
}

async fn aws(plan: &Plan) -> aws_config::SdkConfig {
    aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new(plan.aws.region.clone()))
        .endpoint_url(plan.aws.endpoint.clone().unwrap())
        .credentials_provider(aws_credential_types::Credentials::new("id", "secret", None, None, "test"))
        .load()
        .await
}

#[tokio::test]
async fn the_records_stand_in_the_zone_to_the_letter() {
    let (_sandbox, plan) = world().await;
    let client = aws_sdk_route53::Client::new(&aws(&plan).await);
    for record in &plan.records {
        let listed = client.list_resource_record_sets().hosted_zone_id(&record.zone_id).send().await.unwrap();
        let set = listed.resource_record_sets.iter().find(|set| set.name == record.old.name).unwrap();
        assert_eq!(set.r#type.as_str(), record.old.kind.to_string());
        assert_eq!(set.ttl, record.old.ttl.map(i64::from));
        let values: Vec<_> = set.resource_records().iter().map(|value| value.value.trim_end_matches('.')).collect();
        assert_eq!(values, [record.old.values[0].trim_end_matches('.')]);
    }
}

#[tokio::test]
async fn the_metrics_have_data_or_belong_to_a_balancer_without_traffic() {
    let (_sandbox, plan) = world().await;
    let client = aws_sdk_cloudwatch::Client::new(&aws(&plan).await);
    let known: Vec<Metric> = client.list_metrics().send().await.unwrap().metrics.unwrap_or_default();
    for metric in &plan.metrics {
        let MetricSource::Stat { namespace, name, dimensions, .. } = &metric.source else { continue };
        if namespace == "AWS/ApplicationELB" {
            assert_eq!(dimensions["LoadBalancer"], cutover::sandbox::LOAD_BALANCER);
            continue;
        }
        let pair =
            |one: &Dimension| (one.name().unwrap_or_default().to_owned(), one.value().unwrap_or_default().to_owned());
        let same = |one: &&Metric| {
            let theirs: BTreeMap<_, _> = one.dimensions().iter().map(pair).collect();
            (one.namespace(), one.metric_name(), &theirs) == (Some(namespace.as_str()), Some(name.as_str()), dimensions)
        };
        assert!(known.iter().any(|one| same(&one)), "CloudWatch has no {namespace} {name} {dimensions:?}");
    }
}

#[tokio::test]
async fn the_services_and_processes_exist() {
    let (sandbox, plan) = world().await;
    let url = format!("{}/apps/{}/formation", sandbox.endpoints().heroku, plan.heroku.as_ref().unwrap().app);
    let request = reqwest::Client::new().get(url).bearer_auth("sandbox");
    let answer = request.header("accept", "application/vnd.heroku+json; version=3").send().await.unwrap();
    let formation: serde_json::Value = answer.json().await.unwrap();
    let formation: BTreeSet<_> =
        formation.as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap()).collect();
    let client = aws_sdk_ecs::Client::new(&aws(&plan).await);
    for runner in &plan.runners {
        match &runner.source {
            RunnerSource::Postgres { database } => {
                assert!(!plan.databases.as_ref().unwrap().get(*database).writers.is_empty())
            }
            RunnerSource::Heroku { process } => assert!(formation.contains(process.as_str()), "{process}"),
            RunnerSource::Ecs { cluster, service } => {
                let found = client.describe_services().cluster(cluster).services(service).send().await.unwrap();
                assert_eq!(found.services().len(), 1, "{cluster}/{service}");
            }
        }
    }
    for step in &plan.steps {
        if let Kind::HerokuScale { formation: wanted, .. } = &step.kind {
            assert!(wanted.keys().all(|process| formation.contains(process.as_str())), "{wanted:?}");
        }
    }
}

/// One request of a check to one side, as the plan describes it.
async fn passes(plan: &Plan, check: &Check, side: Side) -> Result<(), String> {
    let url = reqwest::Url::parse(&check.url).unwrap();
    let address = plan.sides.get(side).address.parse().unwrap();
    let target = std::net::SocketAddr::new(address, url.port_or_known_default().unwrap());
    let pem = std::fs::read(check.ca_file.as_ref().unwrap()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
        .redirect(reqwest::redirect::Policy::none())
        .resolve(url.host_str().unwrap(), target)
        .build()
        .unwrap();
    let answer = client.get(url).send().await.map_err(|error| format!("{error:?}"))?;
    let status = answer.status().as_u16();
    let body = answer.text().await.unwrap();
    let json = || serde_json::from_str::<serde_json::Value>(&body).unwrap_or_default();
    let right = check.status.contains(&status)
        && check.contains.as_ref().is_none_or(|text| body.contains(text))
        && check.json.as_ref().is_none_or(|wanted| json().pointer(&wanted.pointer) == Some(&wanted.equals));
    if right { Ok(()) } else { Err(format!("{status} {body}")) }
}

#[tokio::test]
async fn the_checks_pass_on_both_sides() {
    let (_sandbox, plan) = world().await;
    for check in &plan.checks {
        for side in [Side::Old, Side::New] {
            // A healthy side fails two requests in ten thousand: one more try tells that from a wrong check.
            let mut outcome = passes(&plan, check, side).await;
            if outcome.is_err() {
                outcome = passes(&plan, check, side).await;
            }
            assert_eq!(outcome, Ok(()), "{} on {side:?}", check.id);
        }
    }
}

fn cutover(arguments: &[&str]) -> (Option<i32>, serde_json::Value, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cutover"));
    let output = command.args(arguments).env_remove("CUTOVER_SLACK_URL").output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default(), text(&output.stderr))
}

#[test]
fn its_preflight_passes_in_all_findings() {
    let (code, told, stderr) = cutover(&["preflight", "config/acme-shop.toml", "--env", "sandbox", "--json"]);
    let findings = told["findings"].as_array().unwrap_or_else(|| panic!("{stderr}"));
    let open: Vec<_> = findings.iter().filter(|finding| finding["standing"] != "passed").collect();
    assert_eq!((code, &open), (Some(0), &Vec::new()), "{stderr}");
    assert!(findings.len() > 60, "{}", told["tally"]);
    let (code, ..) = cutover(&["preflight", "config/acme-shop.toml", "--env", "nowhere"]);
    assert_eq!(code, Some(2));
}

#[test]
fn its_policy_is_printed_for_the_driver_and_for_those_who_look() {
    let plan = ["iam", "config/acme-shop.toml", "--env", "production"];
    let (code, driver, stderr) = cutover(&plan);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let (_, viewer, _) = cutover(&[&plan[..], &["--viewer", "--journal", "s3://runs/one"]].concat());
    let statements = |policy: &serde_json::Value| policy["Statement"].as_array().unwrap().len();
    assert!(statements(&driver) > statements(&viewer) && viewer.to_string().contains("arn:aws:s3:::runs/one/*"));
    let (code, _, stderr) = cutover(&[&plan[..], &["--journal", "runs"]].concat());
    assert!(code == Some(2) && stderr.contains("s3://BUCKET/PREFIX"), "{stderr}");
}
