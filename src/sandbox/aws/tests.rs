//! The AWS services as the real SDK meets them.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat};
use aws_sdk_route53::{
    error::ProvideErrorMetadata,
    types::{AliasTarget, Change, ChangeAction, ChangeBatch, ChangeStatus, ResourceRecord, ResourceRecordSet, RrType},
};
use aws_smithy_types::{DateTime, retry::RetryConfig};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::sandbox::{
    Endpoints, HOSTED_ZONE, LOAD_BALANCER, Sandbox,
    tests::{ledger, sandbox, state_when},
};

macro_rules! client {
    ($service:ident, $url:expr) => {
        $service::Client::from_conf(
            $service::Config::builder()
                .behavior_version($service::config::BehaviorVersion::latest())
                .region($service::config::Region::new("us-east-1"))
                .credentials_provider(Credentials::new("AKIASANDBOX", "secret", None, None, "test"))
                .retry_config(RetryConfig::disabled())
                .endpoint_url($url)
                .build(),
        )
    };
}

fn route53(sandbox: &Sandbox) -> aws_sdk_route53::Client {
    client!(aws_sdk_route53, &sandbox.endpoints().aws_route53)
}

fn cname(name: &str, ttl: i64, value: &str) -> ResourceRecordSet {
    let record = ResourceRecord::builder().value(value).build().unwrap();
    ResourceRecordSet::builder().name(name).r#type(RrType::Cname).ttl(ttl).resource_records(record).build().unwrap()
}

fn weighted(name: &str, ttl: i64, value: &str, weight: i64) -> ResourceRecordSet {
    let mut set = cname(name, ttl, value);
    set.weight = Some(weight);
    set.set_identifier = Some(value.to_owned());
    set
}

fn alias(name: &str, rtype: RrType, target: &str, zone: &str) -> ResourceRecordSet {
    let target = AliasTarget::builder().dns_name(target).hosted_zone_id(zone).evaluate_target_health(false);
    ResourceRecordSet::builder().name(name).r#type(rtype).alias_target(target.build().unwrap()).build().unwrap()
}

fn batch(changes: impl IntoIterator<Item = (ChangeAction, ResourceRecordSet)>) -> ChangeBatch {
    let change = |(action, set)| Change::builder().action(action).resource_record_set(set).build().unwrap();
    ChangeBatch::builder().set_changes(Some(changes.into_iter().map(change).collect())).build().unwrap()
}

/// Sends a batch; gives back the change id, or (code, message).
async fn send(sandbox: &Sandbox, batch: ChangeBatch) -> Result<String, (String, String)> {
    let sent =
        route53(sandbox).change_resource_record_sets().hosted_zone_id(HOSTED_ZONE).change_batch(batch).send().await;
    match sent {
        Ok(output) => Ok(output.change_info.unwrap().id),
        Err(error) => {
            let text = |text: Option<&str>| text.unwrap_or("(none)").to_owned();
            Err((text(error.code()), text(error.message())))
        }
    }
}

const OLD: &str = "acme-shop.herokudns.test.";
const ALB: &str = "alb-1.us-east-1.elb.amazonaws.com";
const ALB_ZONE: &str = "Z35SXDOTRQ7X7K";
const SHOP: &str = "shop.example.test.";

#[tokio::test]
async fn route53_lists_zones_and_pages_record_sets() {
    let sandbox = sandbox("calm", 40.0).await;
    let client = route53(&sandbox);
    let zones = client.list_hosted_zones().send().await.unwrap().hosted_zones;
    assert_eq!((zones[0].id.as_str(), zones[0].name.as_str()), ("/hostedzone/Z0SANDBOX00000000001", "example.test."));
    let by_name = client.list_hosted_zones_by_name().dns_name("example.test").send().await.unwrap();
    assert_eq!(by_name.hosted_zones.len(), 1);
    let servers = client.get_hosted_zone().id(HOSTED_ZONE).send().await.unwrap().delegation_set.unwrap().name_servers;
    assert_eq!(servers.len(), 2);
    let mut pages =
        client.list_resource_record_sets().hosted_zone_id(HOSTED_ZONE).max_items(3).into_paginator_manually().await;
    assert_eq!(pages.len(), 8);
    pages.dedup();
    assert_eq!(pages.len(), 8, "no set twice");
    let missing = client.get_hosted_zone().id("ZNOPE").send().await.unwrap_err();
    assert_eq!(missing.code(), Some("NoSuchHostedZone"));
}

trait PaginateManually {
    async fn into_paginator_manually(self) -> Vec<ResourceRecordSet>;
}

impl PaginateManually
    for aws_sdk_route53::operation::list_resource_record_sets::builders::ListResourceRecordSetsFluentBuilder
{
    async fn into_paginator_manually(self) -> Vec<ResourceRecordSet> {
        let (mut all, mut request) = (Vec::new(), self.clone());
        loop {
            let page = request.send().await.unwrap();
            all.extend(page.resource_record_sets);
            if !page.is_truncated {
                return all;
            }
            request = self
                .clone()
                .set_start_record_name(page.next_record_name)
                .set_start_record_type(page.next_record_type)
                .set_start_record_identifier(page.next_record_identifier);
        }
    }
}

#[tokio::test]
async fn a_change_is_pending_until_it_has_spread_and_users_move_later() {
    let sandbox = sandbox("calm", 20.0).await;
    let client = route53(&sandbox);
    let switch = batch([
        (ChangeAction::Delete, cname(SHOP, 1800, OLD)),
        (ChangeAction::Create, alias(SHOP, RrType::A, ALB, ALB_ZONE)),
    ]);
    let id = send(&sandbox, switch).await.unwrap();
    let status = |id: String| async { client.get_change().id(id).send().await.unwrap().change_info.unwrap().status };
    assert_eq!(status(id.clone()).await, ChangeStatus::Pending);
    tokio::time::sleep(Duration::from_millis(1600)).await;
    assert_eq!(status(id).await, ChangeStatus::Insync);
    let share = |state: &Value| state["sides"][1]["load"]["requests"].as_f64().unwrap();
    let before = state_when(sandbox.endpoints(), |_| true).await;
    assert!(share(&before) < 150.0, "resolvers still hold the old TTL: {before}");
    let entries = ledger(sandbox.endpoints()).await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].detail["changes"][1]["alias"]["target"], json!("alb-1.us-east-1.elb.amazonaws.com."));
}

#[tokio::test]
async fn users_move_to_the_new_side_once_ttls_have_drained() {
    let sandbox = sandbox("calm", 400.0).await;
    let switch = ["shop.example.test", "api.example.test"].map(|name| (ChangeAction::Upsert, cname(name, 60, ALB)));
    send(&sandbox, batch(switch)).await.unwrap();
    let requests = |state: &Value, side: usize| state["sides"][side]["load"]["requests"].as_f64().unwrap();
    let state = state_when(sandbox.endpoints(), |state| requests(state, 1) > 20.0 * requests(state, 0)).await;
    assert!(requests(&state, 1) > 20.0 * requests(&state, 0), "{state}");
}

#[tokio::test]
async fn weights_divide_the_users_as_they_say() {
    let sandbox = sandbox("calm", 900.0).await;
    let weighted = batch([
        (ChangeAction::Delete, cname(SHOP, 1800, OLD)),
        (ChangeAction::Create, weighted(SHOP, 60, OLD, 70)),
        (ChangeAction::Create, weighted(SHOP, 60, ALB, 30)),
    ]);
    send(&sandbox, weighted).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut shares = Vec::new();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let state = state_when(sandbox.endpoints(), |_| true).await;
        let groups: Vec<&Value> = state["users"].as_array().unwrap().iter().collect();
        let of = |name: &str| groups.iter().find(|group| group["name"] == name).unwrap()["new"].as_f64().unwrap();
        shares.push((of("homes") + of("phones") + of("offices")) / 3.0);
    }
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    assert!((0.15..0.45).contains(&mean), "{shares:?}");
}

#[tokio::test]
async fn route53_refuses_what_the_real_one_refuses_and_changes_nothing() {
    let sandbox = sandbox("calm", 40.0).await;
    let at_apex = "example.test.";
    let create = |set| batch([(ChangeAction::Create, set)]);
    let refused = [
        (create(cname(SHOP, 60, OLD)), "but it already exists"),
        (batch([(ChangeAction::Delete, cname(SHOP, 60, OLD))]), "the values provided do not match the current values"),
        (batch([(ChangeAction::Delete, cname("x.example.test", 60, OLD))]), "but it was not found"),
        (create(cname(at_apex, 60, OLD)), "is not permitted at apex in zone example.test."),
        (create(alias(SHOP, RrType::A, ALB, ALB_ZONE)), "conflicts with other records"),
        (create(weighted(SHOP, 60, OLD, 1)), "a non-weighted set exists"),
        (create(cname("x.example.org", 60, OLD)), "is not permitted in zone example.test."),
        (create(alias("y.example.test", RrType::A, OLD, ALB_ZONE)), "does not lie within the target zone"),
        (create(alias("y.example.test", RrType::A, OLD, "ZOTHER")), "that target was not found"),
        (
            batch([
                (ChangeAction::Create, weighted("w.example.test", 60, OLD, 1)),
                (ChangeAction::Create, weighted("w.example.test", 30, ALB, 1)),
            ]),
            "weighted sets must contain the same TTL",
        ),
        (batch([(ChangeAction::Upsert, cname(SHOP, 60, "two words."))]), "unsupported characters"),
    ];
    for (batch, expected) in refused {
        let (code, message) = send(&sandbox, batch).await.unwrap_err();
        assert_eq!(code, "InvalidChangeBatch", "{message}");
        assert!(message.contains(expected), "{message:?} does not say {expected:?}");
    }
    let mut alias_with_ttl = alias("y.example.test", RrType::A, ALB, ALB_ZONE);
    alias_with_ttl.ttl = Some(60);
    let mut half_weighted = cname("z.example.test", 60, OLD);
    half_weighted.set_identifier = Some("one".to_owned());
    for set in [alias_with_ttl, half_weighted] {
        let (code, message) = send(&sandbox, create(set)).await.unwrap_err();
        assert_eq!(code, "InvalidInput");
        assert!(message.contains("Expected exactly one of ["), "{message}");
    }
    assert!(ledger(sandbox.endpoints()).await.is_empty(), "a refused batch has no effect at all");
}

#[tokio::test]
async fn route53_allows_an_account_five_requests_a_second() {
    let sandbox = sandbox("calm", 1.0).await;
    let client = route53(&sandbox);
    let mut requests = JoinSet::new();
    (0..20).for_each(|_| _ = requests.spawn(client.list_hosted_zones().send()));
    let answers = requests.join_all().await;
    let codes: Vec<_> = answers.iter().map(|answer| answer.as_ref().err().and_then(|error| error.code())).collect();
    let served = codes.iter().filter(|code| code.is_none()).count();
    assert!((5..15).contains(&served) && codes.contains(&Some("Throttling")), "{codes:?}");
}

#[tokio::test]
async fn a_batch_is_atomic_and_a_simple_set_can_become_weighted_in_one() {
    let sandbox = sandbox("calm", 1.0).await;
    let half_good = batch([
        (ChangeAction::Create, cname("good.example.test", 60, OLD)),
        (ChangeAction::Create, cname(SHOP, 60, OLD)),
    ]);
    send(&sandbox, half_good).await.unwrap_err();
    let to_weighted = batch([
        (ChangeAction::Delete, cname(SHOP, 1800, OLD)),
        (ChangeAction::Create, weighted(SHOP, 60, OLD, 90)),
        (ChangeAction::Create, weighted(SHOP, 60, ALB, 10)),
    ]);
    send(&sandbox, to_weighted).await.unwrap();
    let listed = route53(&sandbox)
        .list_resource_record_sets()
        .hosted_zone_id(HOSTED_ZONE)
        .start_record_name("shop.example.test")
        .send()
        .await
        .unwrap();
    let weights: Vec<_> = listed.resource_record_sets.iter().map(|set| set.weight).collect();
    assert_eq!(weights, [Some(90), Some(10)]);
    assert!(!listed.resource_record_sets.iter().any(|set| set.name.starts_with("good.")));
}

fn query(id: &str, namespace: &str, name: &str, stat: &str, dimensions: &[(&str, &str)]) -> MetricDataQuery {
    let dimensions = dimensions.iter().map(|(name, value)| Dimension::builder().name(*name).value(*value).build());
    let metric = Metric::builder().namespace(namespace).metric_name(name).set_dimensions(Some(dimensions.collect()));
    let stat = MetricStat::builder().metric(metric.build()).period(60).stat(stat).build();
    MetricDataQuery::builder().id(id).metric_stat(stat).build()
}

async fn read_metrics(endpoints: &Endpoints, queries: Vec<MetricDataQuery>) -> Vec<MetricDataResult> {
    let client = client!(aws_sdk_cloudwatch, &endpoints.aws_cloudwatch);
    let now = endpoints.clock().now().as_second();
    let read = client.get_metric_data().set_metric_data_queries(Some(queries));
    let read = read.start_time(DateTime::from_secs(now - 1800)).end_time(DateTime::from_secs(now));
    read.send().await.unwrap().metric_data_results.unwrap()
}

#[tokio::test]
async fn cloudwatch_speaks_cbor_to_the_sdk_late_by_two_minutes_and_only_of_what_flows() {
    let sandbox = sandbox("calm", 1.0).await;
    let endpoints = sandbox.endpoints();
    let balancer = [("LoadBalancer", LOAD_BALANCER)];
    let heroku = [("App", "acme-shop")];
    let results = read_metrics(
        endpoints,
        vec![
            query("old", "Acme/Heroku", "RequestCount", "Sum", &heroku),
            query("late", "Acme/Heroku", "ResponseTime", "p95", &heroku),
            query("new", "AWS/ApplicationELB", "RequestCount", "Sum", &balancer),
            query("cpu", "AWS/ECS", "CPUUtilization", "Average", &[("ClusterName", "acme"), ("ServiceName", "web")]),
        ],
    )
    .await;
    let [old, latency, new, cpu] = results.as_slice() else { panic!("{results:?}") };
    let values = |result: &MetricDataResult| result.values.clone().unwrap_or_default();
    assert!(values(old).len() >= 25 && values(old).iter().all(|count| (9000.0..17000.0).contains(count)), "{old:?}");
    assert!(values(latency).iter().all(|seconds| (0.1..0.4).contains(seconds)), "{latency:?}");
    assert!(values(new).is_empty(), "no requests flow, so the load balancer says nothing");
    assert!(!values(cpu).is_empty());
    let newest = old.timestamps.as_ref().unwrap()[0].secs();
    let age = endpoints.clock().now().as_second() - newest;
    assert!((180..=260).contains(&age), "begun {age} s ago: ended a minute later, readable two minutes after that");
}

#[tokio::test]
async fn cloudwatch_answers_json_and_query_alike() {
    let sandbox = sandbox("calm", 1.0).await;
    let url = &sandbox.endpoints().aws_cloudwatch;
    let send = |target: &'static str, body: String| {
        reqwest::Client::new()
            .post(url)
            .header("authorization", "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/monitoring/aws4_request")
            .header("x-amz-target", target)
            .body(body)
            .send()
    };
    let json =
        send("GraniteServiceVersion20100801.ListMetrics", json!({ "Namespace": "AWS/SQS" }).to_string()).await.unwrap();
    let json: Value = json.json().await.unwrap();
    assert_eq!(json["Metrics"][0]["MetricName"], "ApproximateNumberOfMessagesVisible");
    let xml = send("", "Action=ListMetrics&Version=2010-08-01&Namespace=AWS%2FSQS".to_owned()).await.unwrap();
    let xml = xml.text().await.unwrap();
    assert!(xml.contains("<member><Dimensions><member><Name>QueueName</Name>"), "{xml}");
    let bad = send("", "Action=GetMetricData&Version=2010-08-01".to_owned()).await.unwrap();
    assert_eq!(bad.status(), 400);
    assert!(bad.text().await.unwrap().contains("<Code>ValidationError</Code>"));
}

#[tokio::test]
async fn ecs_scales_in_its_time_and_says_how_far_it_is() {
    let sandbox = sandbox("calm", 60.0).await;
    let client = client!(aws_sdk_ecs, &sandbox.endpoints().aws_ecs);
    let updated = client.update_service().cluster("acme").service("worker").desired_count(2).send().await.unwrap();
    let service = updated.service.unwrap();
    assert_eq!((service.desired_count, service.running_count, service.pending_count), (2, 0, 2));
    let describe = || client.describe_services().cluster("acme").services("worker").services("gone").send();
    let state = state_when(sandbox.endpoints(), |state| state["sides"][1]["worker"] == json!(2)).await;
    assert_eq!(state["sides"][1]["worker"], json!(2));
    let described = describe().await.unwrap();
    let service = &described.services()[0];
    assert_eq!((service.running_count, service.pending_count), (2, 0));
    assert_eq!(service.deployments()[0].rollout_state.as_ref().unwrap().as_str(), "COMPLETED");
    assert!(service.events()[0].message().unwrap().contains("steady state"));
    assert_eq!(described.failures()[0].reason(), Some("MISSING"));
    let tasks = client.list_tasks().cluster("acme").service_name("worker").send().await.unwrap();
    assert_eq!(tasks.task_arns().len(), 2);
    let missing = client.list_services().cluster("nope").send().await.unwrap_err();
    assert_eq!(missing.code(), Some("ClusterNotFoundException"));
    assert_eq!(ledger(sandbox.endpoints()).await[0].detail["desiredCount"], json!({ "from": 0, "to": 2 }));
}

#[tokio::test]
async fn sts_says_who_asks() {
    let sandbox = sandbox("calm", 1.0).await;
    let identity = client!(aws_sdk_sts, &sandbox.endpoints().aws_sts).get_caller_identity().send().await.unwrap();
    assert_eq!((identity.account(), identity.user_id()), (Some("123456789012"), Some("AKIASANDBOX")));
}

#[tokio::test]
async fn a_lost_answer_leaves_the_change_done() {
    let sandbox = sandbox("lost-answer", 1.0).await;
    let lower = batch([(ChangeAction::Upsert, cname(SHOP, 60, OLD))]);
    send(&sandbox, lower).await.unwrap();
    let switch = batch([(ChangeAction::Upsert, cname(SHOP, 60, ALB))]);
    assert_eq!(send(&sandbox, switch.clone()).await.unwrap_err().0, "(none)", "no answer, so no code");
    assert_eq!(ledger(sandbox.endpoints()).await.len(), 2, "and yet it took effect");
    send(&sandbox, switch).await.unwrap();
}

#[tokio::test]
async fn expired_credentials_and_throttling_carry_the_codes_that_clients_look_for() {
    let sandbox = sandbox("throttled-route53", 1.0).await;
    let client = route53(&sandbox);
    let mut codes = Vec::new();
    for _ in 0..5 {
        codes.push(client.list_hosted_zones().send().await.err().and_then(|error| error.code().map(str::to_owned)));
    }
    assert_eq!(codes.iter().filter(|code| code.as_deref() == Some("Throttling")).count(), 4, "{codes:?}");
    let fault = json!({ "kind": "expired-credentials" });
    let url = format!("{}/sandbox/fault", sandbox.endpoints().control);
    reqwest::Client::new().post(url).json(&fault).send().await.unwrap();
    let ecs = client!(aws_sdk_ecs, &sandbox.endpoints().aws_ecs).list_clusters().send().await.unwrap_err();
    assert_eq!(ecs.code(), Some("ExpiredTokenException"));
    let sts = client!(aws_sdk_sts, &sandbox.endpoints().aws_sts).get_caller_identity().send().await.unwrap_err();
    assert_eq!(sts.code(), Some("ExpiredToken"));
}

#[tokio::test]
async fn the_queue_and_the_balancer_tell_what_the_world_is_like() {
    let sandbox = sandbox("calm", 60.0).await;
    let url = &sandbox.endpoints().aws_ecs;
    let sqs = client!(aws_sdk_sqs, url);
    let queue = sqs.get_queue_url().queue_name("acme-shop-jobs").send().await.unwrap().queue_url.unwrap();
    let name = aws_sdk_sqs::types::QueueAttributeName::ApproximateNumberOfMessages;
    let read = sqs.get_queue_attributes().queue_url(&queue).attribute_names(name.clone()).send().await.unwrap();
    let depth: f64 = read.attributes().unwrap()[&name].parse().unwrap();
    assert!((0.0..200.0).contains(&depth) && read.attributes().unwrap().len() == 1, "{depth}");
    let missing = sqs.get_queue_url().queue_name("nope").send().await.unwrap_err().into_service_error();
    assert!(missing.is_queue_does_not_exist(), "{missing:?}");

    let elb = client!(aws_sdk_elasticloadbalancingv2, url);
    let balancers = elb.describe_load_balancers().send().await.unwrap();
    assert_eq!(balancers.load_balancers()[0].dns_name(), Some(ALB));
    let groups = elb.describe_target_groups().send().await.unwrap();
    let group = groups.target_groups()[0].target_group_arn().unwrap();
    let health = elb.describe_target_health().target_group_arn(group).send().await.unwrap();
    let states: Vec<_> = health
        .target_health_descriptions()
        .iter()
        .map(|one| one.target_health().unwrap().state().unwrap().as_str())
        .collect();
    assert_eq!(states, ["healthy", "healthy"]);
    let stranger = elb.describe_target_health().target_group_arn("arn:nope").send().await.unwrap_err();
    assert_eq!(stranger.code(), Some("TargetGroupNotFound"));
}
