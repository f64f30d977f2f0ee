//! Zone, services and databases as they are before the cutover, on servers that `tests/peers/cutover.sh` has started.

use std::{
    env,
    io::Write as _,
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType};
use cutover::{
    clock::{Clock, monotonic},
    plan::Side,
    sandbox::{Ports, Sandbox, SandboxConfig, scenario::Scenario, start},
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

use super::shop::{Accounts, Shop};

const NAME: &str = "shop.cutover.test";
/// The names that customers do not use, but the cutover does.
const TABLES: &str = "
    create table orders (id bigserial primary key, token text not null);
    create table jobs (id bigserial primary key, token text not null);
    create table cutover_heartbeat (id int primary key, token text, written_at timestamptz);
    grant select on all tables in schema public to shop_app;
    grant usage on all sequences in schema public to shop_app;
";

/// What a rollback must leave as it was.
#[derive(Debug, PartialEq)]
pub(crate) struct World {
    pub(crate) records: Vec<String>,
    pub(crate) services: Vec<String>,
    pub(crate) heroku: Value,
    pub(crate) access: Vec<(String, String)>,
}

pub(crate) struct Stage {
    runtime: Runtime,
    heroku: Sandbox,
    aws: aws_config::SdkConfig,
    zone: String,
    old: tokio_postgres::Client,
    shop: Shop,
}

/// What the script tells, without which there is nothing to test against.
fn told(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run tests/peers/cutover.sh"))
}

fn databases() -> (u16, u16) {
    let ports = told("CUTOVER_TEST_POSTGRES");
    let (old, new) = ports.split_once(',').unwrap();
    (old.parse().unwrap(), new.parse().unwrap())
}

pub(crate) async fn database(port: u16, name: &str, user: &str, of: &str) -> tokio_postgres::Client {
    let config = format!("host=127.0.0.1 port={port} dbname={name} user={user} password=secret application_name={of}");
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

impl Stage {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (heroku, aws, zone, old, shop) = runtime.block_on(async {
            let scenario = Scenario::load("calm").unwrap();
            let config = SandboxConfig { clock: Clock::real(), scenario, state_dir: None, ports: Ports::default() };
            let heroku = start(config).await.unwrap();
            let aws = aws_config::defaults(aws_config::BehaviorVersion::latest())
                .region("us-east-1")
                .endpoint_url(told("CUTOVER_TEST_AWS"))
                .load()
                .await;
            let zone = zone(&aws_sdk_route53::Client::new(&aws)).await;
            services(&aws_sdk_ecs::Client::new(&aws)).await;
            queue(&aws_sdk_sqs::Client::new(&aws)).await;
            let old = replication().await;
            tokio::spawn(follow(aws.clone(), zone.clone()));
            let shop = Shop::open(databases(), &aws, heroku.endpoints().control.clone(), first_resolver()).await;
            (heroku, aws, zone, old, shop)
        });
        let stage = Self { runtime, heroku, aws, zone, old, shop };
        stage.until_customers_reach(Side::Old);
        stage
    }

    /// The plan with this stage's addresses.
    pub(crate) fn plan(&self) -> String {
        let (old, new) = databases();
        let vars = [
            ("aws", told("CUTOVER_TEST_AWS")),
            ("heroku", self.heroku.endpoints().heroku.clone()),
            ("resolvers", told("CUTOVER_TEST_RESOLVERS")),
            ("authority", told("CUTOVER_TEST_AUTHORITY")),
            ("zone", self.zone.clone()),
            ("old_database", old.to_string()),
            ("new_database", new.to_string()),
            ("ca", told("CUTOVER_TEST_POSTGRES_CA")),
            ("port", self.shop.port().to_string()),
        ];
        let vars: Vec<_> = vars.iter().map(|(name, value)| format!("{name} = \"{value}\"\n")).collect();
        format!("{}{}", include_str!("plan.toml"), vars.concat())
    }

    /// The world as its own clients see it.
    pub(crate) fn world(&self) -> World {
        self.runtime.block_on(async {
            let records = record_sets(&aws_sdk_route53::Client::new(&self.aws), &self.zone).await;
            let ecs = aws_sdk_ecs::Client::new(&self.aws);
            let found = ecs.describe_services().cluster("peers");
            let found = found.services("web").services("worker").services("scheduler").send().await.unwrap();
            let mut services: Vec<_> = found
                .services()
                .iter()
                .map(|service| format!("{} {}", service.service_name().unwrap(), service.desired_count()))
                .collect();
            services.sort();
            World {
                records: records.iter().map(|set| format!("{set:?}")).collect(),
                services,
                heroku: self.shop.heroku().await,
                access: self.access().await,
            }
        })
    }

    async fn access(&self) -> Vec<(String, String)> {
        let query = "select relname::text, array_to_string(array(select unnest(relacl)::text order by 1), ' ') \
                     from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1";
        self.old.query(query, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Waits until a customer's request has been served there.
    pub(crate) fn until_customers_reach(&self, side: Side) {
        let (begun, before) = (monotonic(), self.shop.accounts().of(side).orders);
        while self.shop.accounts().of(side).orders < before + 5 {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "no customer reaches {side:?}: {:?}",
                self.shop.accounts()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(crate) fn accounts(&self) -> Accounts {
        self.shop.accounts()
    }

    pub(crate) fn scale_old_workers(&self, quantity: u32) {
        let url = format!("{}/apps/acme-shop/formation/worker", self.heroku.endpoints().heroku);
        let patch = reqwest::Client::new()
            .patch(url)
            .header("accept", "application/vnd.heroku+json; version=3")
            .bearer_auth("sandbox")
            .json(&json!({ "quantity": quantity }));
        self.runtime.block_on(async { patch.send().await.unwrap().error_for_status().unwrap() });
    }

    /// Everything that was acknowledged is on the side that acknowledged it or has followed to the new one, once.
    pub(crate) fn assert_nothing_is_lost_or_doubled(&self) {
        self.runtime.block_on(self.shop.assert_nothing_is_lost_or_doubled());
    }
}

fn first_resolver() -> SocketAddr {
    let all = told("CUTOVER_TEST_RESOLVERS");
    all.split(',').next().unwrap().split_once('=').unwrap().1.parse().unwrap()
}

async fn zone(route53: &aws_sdk_route53::Client) -> String {
    let created = route53.create_hosted_zone().name("cutover.test").caller_reference("peers").send().await.unwrap();
    let zone = created.hosted_zone().unwrap().id().trim_start_matches("/hostedzone/").to_owned();
    let value = ResourceRecord::builder().value("heroku.cutover.test").build().unwrap();
    let set =
        ResourceRecordSet::builder().name(NAME).r#type(RrType::Cname).ttl(20).resource_records(value).build().unwrap();
    let change = Change::builder().action(ChangeAction::Create).resource_record_set(set).build().unwrap();
    let batch = ChangeBatch::builder().changes(change).build().unwrap();
    route53.change_resource_record_sets().hosted_zone_id(&zone).change_batch(batch).send().await.unwrap();
    zone
}

async fn services(ecs: &aws_sdk_ecs::Client) {
    use aws_sdk_ecs::types::ContainerDefinition;
    ecs.create_cluster().cluster_name("peers").send().await.unwrap();
    for (name, desired) in [("web", 2), ("worker", 0), ("scheduler", 0)] {
        let container = ContainerDefinition::builder().name(name).image("shop").build();
        ecs.register_task_definition().family(name).container_definitions(container).send().await.unwrap();
        let create = ecs.create_service().cluster("peers").service_name(name);
        create.task_definition(name).desired_count(desired).send().await.unwrap();
    }
}

/// So many messages that nobody fetches.
pub(crate) const WAITING: usize = 7;

async fn queue(sqs: &aws_sdk_sqs::Client) {
    let url = sqs.create_queue().queue_name("shop-jobs").send().await.unwrap().queue_url.unwrap();
    for _ in 0..WAITING {
        sqs.send_message().queue_url(&url).message_body("job").send().await.unwrap();
    }
}

/// Both databases, the new one subscribed to the old; gives the old one's operator.
async fn replication() -> tokio_postgres::Client {
    let (old, new) = databases();
    for port in [old, new] {
        let admin = database(port, "postgres", "operator", "cutover").await;
        admin.batch_execute("create database shop").await.unwrap();
        admin.batch_execute("create role shop_app login password 'secret'").await.unwrap();
        database(port, "shop", "operator", "cutover").await.batch_execute(TABLES).await.unwrap();
    }
    let publisher = database(old, "shop", "operator", "cutover").await;
    publisher.batch_execute("grant insert, update, delete on orders, jobs to shop_app").await.unwrap();
    publisher.batch_execute("create publication cutover for all tables").await.unwrap();
    let subscriber = database(new, "shop", "operator", "cutover").await;
    let from = format!("host=127.0.0.1 port={old} dbname=shop user=operator password=secret");
    let subscribe = format!("create subscription cutover connection '{from}' publication cutover");
    subscriber.batch_execute(&subscribe).await.unwrap();
    publisher
}

async fn record_sets(route53: &aws_sdk_route53::Client, zone: &str) -> Vec<ResourceRecordSet> {
    let listed = route53.list_resource_record_sets().hosted_zone_id(zone).send().await.unwrap();
    listed.resource_record_sets().iter().filter(|set| set.name().starts_with("shop.")).cloned().collect()
}

/// The authority serves what Route 53 holds, as Route 53's own name servers do.
async fn follow(aws: aws_config::SdkConfig, zone: String) {
    let route53 = aws_sdk_route53::Client::new(&aws);
    let mut served = None;
    loop {
        let sets = record_sets(&route53, &zone).await;
        if served.as_ref() != Some(&sets) {
            update(&sets);
            served = Some(sets);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// One update of the zone (RFC 2136): all record sets of the name, at once.
fn update(sets: &[ResourceRecordSet]) {
    let authority: SocketAddr = told("CUTOVER_TEST_AUTHORITY").parse().unwrap();
    let mut script = format!("server 127.0.0.1 {}\nzone cutover.test.\ndel {NAME}.\n", authority.port());
    for set in sets {
        for record in set.resource_records() {
            let (kind, ttl) = (set.r#type().as_str(), set.ttl().unwrap());
            let value = record.value().trim_end_matches('.');
            script.push_str(&format!("add {NAME}. {ttl} {kind} {value}.\n"));
        }
    }
    script.push_str("send\nquit\n");
    let mut child = Command::new("knsupdate").stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "the authority refused:\n{script}");
}
