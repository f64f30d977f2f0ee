//! The application: web and workers on both sides, each with the database of its own, and customers who find it by DNS.
//! Whatever was acknowledged is remembered, and looked for at the end.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_sdk_cloudwatch::{
    primitives::DateTime,
    types::{Dimension, MetricDatum},
};
use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use cutover::{clock::Clock, plan::Side, world::dns::lookup_addresses};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_postgres::Client;

use super::stage::database;

/// How often each customer orders and each worker works.
const PACE: Duration = Duration::from_millis(150);
const CUSTOMERS: usize = 3;

/// How much was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) orders: usize,
    pub(crate) jobs: usize,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Accounts {
    pub(crate) old: Account,
    pub(crate) new: Account,
}

impl Accounts {
    pub(crate) fn of(&self, side: Side) -> Account {
        match side {
            Side::Old => self.old,
            Side::New => self.new,
        }
    }
}

/// One side's application.
struct Application {
    side: Side,
    port: u16,
    /// Whether the platform lets requests through and runs workers.
    web: AtomicBool,
    worker: AtomicBool,
    requests: AtomicU64,
    orders: Mutex<BTreeSet<String>>,
    jobs: Mutex<BTreeSet<String>>,
}

impl Application {
    fn new(side: Side, port: u16) -> Arc<Self> {
        let (orders, jobs) = (Mutex::default(), Mutex::default());
        let (web, worker) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { side, port, web, worker, requests: AtomicU64::new(0), orders, jobs })
    }

    /// True: the database has acknowledged it.
    async fn write(&self, client: &Client, table: &str, token: &str) -> bool {
        let insert = format!("insert into {table} (token) values ($1)");
        client.execute(&insert, &[&token]).await.is_ok()
    }

    fn account(&self) -> Account {
        Account { orders: self.orders.lock().unwrap().len(), jobs: self.jobs.lock().unwrap().len() }
    }

    async fn client(&self) -> Client {
        database(self.port, "shop", "shop_app", "app").await
    }
}

pub(crate) struct Shop {
    old: Arc<Application>,
    new: Arc<Application>,
    port: u16,
    heroku: String,
}

impl Shop {
    /// Opens both sides and sends customers to whichever DNS names.
    pub(crate) async fn open(
        (old, new): (u16, u16),
        aws: &aws_config::SdkConfig,
        heroku: String,
        resolver: SocketAddr,
    ) -> Self {
        let (old, new) = (Application::new(Side::Old, old), Application::new(Side::New, new));
        tokio::spawn(watch_heroku(Arc::clone(&old), heroku.clone()));
        tokio::spawn(watch_ecs(Arc::clone(&new), aws_sdk_ecs::Client::new(aws)));
        let listener = TcpListener::bind("127.0.0.31:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(serve(Arc::clone(&old), listener));
        tokio::spawn(serve(Arc::clone(&new), TcpListener::bind(("127.0.0.32", port)).await.unwrap()));
        for side in [&old, &new] {
            tokio::spawn(work(Arc::clone(side)));
            tokio::spawn(measure(Arc::clone(side), aws_sdk_cloudwatch::Client::new(aws)));
        }
        for customer in 0..CUSTOMERS {
            tokio::spawn(order(customer, resolver, port, [Arc::clone(&old), Arc::clone(&new)]));
        }
        Self { old, new, port, heroku }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn accounts(&self) -> Accounts {
        Accounts { old: self.old.account(), new: self.new.account() }
    }

    /// Maintenance mode and formation.
    pub(crate) async fn heroku(&self) -> Value {
        platform(&self.heroku).await
    }

    pub(crate) async fn assert_nothing_is_lost_or_doubled(&self) {
        // Rows are on their way for as long as somebody writes: what has been acknowledged by now is what counts.
        for (table, old, new) in
            [("orders", &self.old.orders, &self.new.orders), ("jobs", &self.old.jobs, &self.new.jobs)]
        {
            let (promised_old, promised_new) = (old.lock().unwrap().clone(), new.lock().unwrap().clone());
            for (side, promised) in [(&self.old, &promised_old), (&self.new, &promised_new)] {
                let client = database(side.port, "shop", "operator", "cutover").await;
                let rows = client.query(&format!("select token from {table}"), &[]).await.unwrap();
                let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
                let unique: BTreeSet<_> = found.iter().cloned().collect();
                assert_eq!(found.len(), unique.len(), "a row of {table} is doubled on {:?}", side.side);
                let lost: Vec<_> = promised.difference(&unique).take(5).collect();
                assert!(lost.is_empty(), "lost from {table} on {:?}: {lost:?}", side.side);
                let sequence =
                    format!("select last_value >= coalesce((select max(id) from {table}), 0) from {table}_id_seq");
                let right: bool = client.query_one(&sequence, &[]).await.unwrap().get(0);
                // A side that has never been written to has a sequence that has never been needed.
                assert!(right || promised.is_empty(), "the sequence of {table} on {:?} is behind", side.side);
            }
        }
    }
}

/// The platform itself, not its API: that has a budget, and it is the cockpit's.
async fn platform(control: &str) -> Value {
    let state: Value = reqwest::get(format!("{control}/sandbox/state")).await.unwrap().json().await.unwrap();
    let old = state["sides"].as_array().unwrap().iter().find(|side| side["side"] == "old").unwrap();
    json!({ "maintenance": old["maintenance"], "web": old["web"], "worker": old["worker"], "clock": old["scheduler"] })
}

async fn watch_heroku(side: Arc<Application>, heroku: String) {
    let positive = |value: &Value| value.as_u64().is_some_and(|count| count > 0);
    loop {
        let now = platform(&heroku).await;
        side.web.store(now["maintenance"] == false && positive(&now["web"]), Ordering::SeqCst);
        side.worker.store(positive(&now["worker"]), Ordering::SeqCst);
        tokio::time::sleep(PACE).await;
    }
}

async fn watch_ecs(side: Arc<Application>, ecs: aws_sdk_ecs::Client) {
    loop {
        let found = ecs.describe_services().cluster("peers").services("web").services("worker").send().await.unwrap();
        for service in found.services() {
            let cell = if service.service_name() == Some("web") { &side.web } else { &side.worker };
            cell.store(service.running_count() > 0, Ordering::SeqCst);
        }
        tokio::time::sleep(PACE).await;
    }
}

struct Origin {
    side: Arc<Application>,
    client: Client,
}

async fn serve(side: Arc<Application>, listener: TcpListener) {
    let client = side.client().await;
    let origin = Arc::new(Origin { side, client });
    let routes = Router::new().route("/health", get(health)).route("/orders/{token}", post(take)).with_state(origin);
    axum::serve(listener, routes).await.unwrap();
}

async fn health(State(origin): State<Arc<Origin>>) -> (StatusCode, &'static str) {
    if origin.side.web.load(Ordering::SeqCst) {
        (StatusCode::OK, r#"{"status":"ok"}"#)
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"maintenance"}"#)
    }
}

async fn take(State(origin): State<Arc<Origin>>, Path(token): Path<String>) -> StatusCode {
    let Origin { side, client } = &*origin;
    side.requests.fetch_add(1, Ordering::SeqCst);
    if side.web.load(Ordering::SeqCst) && side.write(client, "orders", &token).await {
        StatusCode::CREATED
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// A customer: asks DNS every time, orders, and remembers who has taken the order.
async fn order(number: usize, resolver: SocketAddr, port: u16, sides: [Arc<Application>; 2]) {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
    for count in 0_u64.. {
        tokio::time::sleep(PACE).await;
        let Ok(addresses) = lookup_addresses(resolver, "shop.cutover.test").await else { continue };
        let Some(address) = addresses.first() else { continue };
        let token = format!("c{number}-{count}");
        let sent = http.post(format!("http://{address}:{port}/orders/{token}")).send().await;
        if sent.is_ok_and(|answer| answer.status() == StatusCode::CREATED) {
            let new = *address == IpAddr::from([127, 0, 0, 32]);
            sides[usize::from(new)].orders.lock().unwrap().insert(token);
        }
    }
}

/// The workers of a side, while its platform runs any.
async fn work(side: Arc<Application>) {
    let client = side.client().await;
    for count in 0_u64.. {
        tokio::time::sleep(PACE).await;
        let token = format!("{:?}-{count}", side.side);
        if side.worker.load(Ordering::SeqCst) && side.write(&client, "jobs", &token).await {
            side.jobs.lock().unwrap().insert(token);
        }
    }
}

/// What a load balancer or a log drain would tell CloudWatch, every few seconds.
async fn measure(side: Arc<Application>, cloudwatch: aws_sdk_cloudwatch::Client) {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let name = if side.side == Side::Old { "old" } else { "new" };
        let count = u32::try_from(side.requests.swap(0, Ordering::SeqCst)).unwrap();
        let dimension = Dimension::builder().name("Side").value(name).build();
        let datum = MetricDatum::builder().metric_name("Requests").dimensions(dimension).value(f64::from(count));
        let datum = datum.timestamp(DateTime::from_secs(Clock::real().now().as_second())).build();
        cloudwatch.put_metric_data().namespace("Peers").metric_data(datum).send().await.unwrap();
    }
}
