//! Both databases as their clients meet them: `tokio-postgres` over the real protocol, and the model behind it.

use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio_postgres::{Client, NoTls, types::Type};

use crate::sandbox::{
    DatabaseEndpoint, Sandbox,
    tests::{control, ledger, sandbox, state_when},
};

async fn open(endpoint: &DatabaseEndpoint, user: &str) -> Result<Client, tokio_postgres::Error> {
    let mut config = tokio_postgres::Config::new();
    let address = endpoint.address;
    config.host(address.ip().to_string()).port(address.port()).user(user).dbname(&endpoint.database);
    let (client, connection) = config.application_name("test").connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn both(sandbox: &Sandbox) -> (Client, Client) {
    let endpoints = sandbox.endpoints();
    let old = open(&endpoints.old_database, "cutover").await.unwrap();
    (old, open(&endpoints.new_database, "cutover").await.unwrap())
}

/// The first column of the first row.
async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

async fn until(mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..200 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not come to pass in ten seconds");
}

fn code(error: &tokio_postgres::Error) -> &str {
    error.code().unwrap().code()
}

async fn inject(sandbox: &Sandbox, fault: Json) {
    let url = format!("{}/sandbox/fault", sandbox.endpoints().control);
    assert_eq!(reqwest::Client::new().post(url).json(&fault).send().await.unwrap().status(), 201);
}

async fn scale(sandbox: &Sandbox, process: &str, quantity: u32) {
    let url = format!("{}/apps/acme-shop/formation/{process}", sandbox.endpoints().heroku);
    let body = json!({ "quantity": quantity });
    let answer = reqwest::Client::new().patch(url).bearer_auth("sandbox").json(&body).send().await.unwrap();
    assert!(answer.status().is_success());
}

const NEXT_XID: &str = "select txid_snapshot_xmax(txid_current_snapshot())";
const CHECKSUM: &str = "select count(*)::int8, coalesce(sum(('x' || substr(md5(row(\"id\", \"placed_by\", \"created_at\")::text), 1, \
                        15))::bit(60)::int8), 0)::text from public.orders where id >= $1 and id < $2";

#[tokio::test]
async fn rows_are_written_and_replicated_and_sequences_are_not() {
    let sandbox = sandbox("calm", 60.0).await;
    let (old, new) = both(&sandbox).await;
    let before = number(&old, "select max(id) from orders").await;
    until(async || number(&new, "select max(id) from orders").await > before + 20).await;
    let sums = async |client: &Client| {
        let typed: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
            [(&(before - 500), Type::INT8), (&(before + 20), Type::INT8)];
        let row = client.query_typed(CHECKSUM, &typed).await.unwrap().remove(0);
        (row.get::<_, i64>(0), row.get::<_, String>(1))
    };
    assert_eq!(sums(&old).await, sums(&new).await);
    assert_eq!(sums(&old).await.0, 520);
    assert!(number(&old, "select last_value from orders_id_seq").await > before);
    let missed = new.query_one("select last_value, is_called from public.\"orders_id_seq\"", &[]).await.unwrap();
    assert_eq!((missed.get::<_, i64>(0), missed.get::<_, bool>(1)), (1, false));
    let slot =
        old.query_one("select active, confirmed_flush_lsn <= pg_current_wal_lsn() from pg_replication_slots", &[]);
    let slot = slot.await.unwrap();
    assert!(slot.get::<_, bool>(0) && slot.get::<_, bool>(1));
}

/// As the way back by hand sets them: only from where they stand.
#[tokio::test]
async fn a_sequence_is_set_only_from_where_it_stands() {
    let sandbox = sandbox("calm", 20.0).await;
    let (_, new) = both(&sandbox).await;
    let set = "select setval('\"public\".\"orders_id_seq\"', 600, true) from \"public\".\"orders_id_seq\" \
               where last_value = 1 and not is_called";
    let back = "select setval('\"public\".\"orders_id_seq\"', 1, false) from \"public\".\"orders_id_seq\" \
                where last_value = 600 and is_called";
    for (statement, rows, stands) in [(back, 0, 1), (set, 1, 600), (set, 0, 600), (back, 1, 1)] {
        assert_eq!(new.query(statement, &[]).await.unwrap().len(), rows, "{statement}");
        assert_eq!(number(&new, "select last_value from orders_id_seq").await, stands);
    }
}

#[tokio::test]
async fn a_heartbeat_goes_round() {
    let sandbox = sandbox("calm", 20.0).await;
    let (old, new) = both(&sandbox).await;
    let beat = "insert into \"public\".\"cutover_heartbeat\" (id, token, written_at) values (1, $1, now()) \
                on conflict (id) do update set token = excluded.token, written_at = excluded.written_at";
    for token in ["one", "two"] {
        assert_eq!(old.execute(beat, &[&token]).await.unwrap(), 1);
        until(async || {
            let arrived = new.query_opt("select token from cutover_heartbeat where id = 1", &[]).await.unwrap();
            arrived.is_some_and(|row| row.get::<_, String>(0) == token)
        })
        .await;
    }
    let twice = "insert into cutover_heartbeat (id, token) values (1, 'three')";
    assert_eq!(code(&old.execute(twice, &[]).await.unwrap_err()), "23505");
    assert_eq!(code(&old.execute("insert into orders (id) values (1)", &[]).await.unwrap_err()), "0A000");
}

#[tokio::test]
async fn a_freeze_stops_the_app_and_its_undo_lets_it_go_on() {
    let sandbox = sandbox("calm", 60.0).await;
    let (old, _) = both(&sandbox).await;
    let freeze = "BEGIN; REVOKE INSERT ON TABLE \"public\".\"orders\" FROM \"acme_app\"; \
                  REVOKE INSERT, UPDATE ON ALL TABLES IN SCHEMA public FROM acme_app; COMMIT;";
    old.batch_execute(freeze).await.unwrap();
    let still = number(&old, NEXT_XID).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(number(&old, NEXT_XID).await, still, "nobody writes any more");
    let state =
        state_when(sandbox.endpoints(), |state| state["sides"][0]["load"]["error_rate"].as_f64() > Some(0.025)).await;
    assert!(state["sides"][0]["load"]["error_rate"].as_f64() > Some(0.025), "what is refused is an error: {state}");
    assert!(state["sides"][0]["load"]["read_error_rate"].as_f64() < Some(0.01), "who reads does not notice");
    old.batch_execute("GRANT INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO acme_app").await.unwrap();
    until(async || number(&old, NEXT_XID).await > still + 10).await;
    let entries = ledger(sandbox.endpoints()).await;
    let undone: Vec<_> = entries.iter().filter(|entry| entry.action == "GRANT").map(|entry| &entry.target).collect();
    let done: Vec<_> = entries.iter().filter(|entry| entry.action == "REVOKE").map(|entry| &entry.target).collect();
    // One privilege on one table each; on the heartbeat's there were none to take.
    assert_eq!((done.len(), undone.len()), (8, 10), "{entries:?}");
    assert!(entries[..8].iter().all(|entry| entry.request_id == entries[0].request_id), "one commit, one request");
    assert_eq!(
        (entries[0].target.as_str(), &entries[0].detail),
        ("old/acme_app/public.orders", &json!({ "INSERT": { "from": true, "to": false } }))
    );
}

#[tokio::test]
async fn a_read_only_default_holds_for_new_sessions_only_and_its_undo_works() {
    let sandbox = sandbox("calm", 60.0).await;
    let (old, _) = both(&sandbox).await;
    old.batch_execute("ALTER DATABASE \"acme_shop\" SET default_transaction_read_only = on").await.unwrap();
    let begun = number(&old, NEXT_XID).await;
    until(async || number(&old, NEXT_XID).await > begun + 5).await;
    let ended = old
        .query_one(
            "select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity where usename = 'acme_app'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(ended.get::<_, i64>(0), 15);
    let still = number(&old, NEXT_XID).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(number(&old, NEXT_XID).await, still, "whoever came back is read-only");
    let fresh = open(&sandbox.endpoints().old_database, "cutover").await.unwrap();
    let undo = "ALTER DATABASE acme_shop RESET default_transaction_read_only";
    assert_eq!(code(&fresh.batch_execute(undo).await.unwrap_err()), "25006");
    fresh.batch_execute("SET default_transaction_read_only = off").await.unwrap();
    fresh.batch_execute(undo).await.unwrap();
    let defaults = fresh.query("select setconfig from pg_db_role_setting", &[]).await.unwrap();
    assert!(defaults.is_empty(), "to the letter as before");
}

#[tokio::test]
async fn a_connection_limit_refuses_whoever_comes_back() {
    let sandbox = sandbox("calm", 60.0).await;
    let (old, _) = both(&sandbox).await;
    old.batch_execute("ALTER ROLE acme_app CONNECTION LIMIT 0").await.unwrap();
    let pids = old.query("select pid from pg_stat_activity where usename = 'acme_app'", &[]).await.unwrap();
    for row in pids {
        let ended =
            old.query_one("select pg_terminate_backend($1)", &[&row.get::<_, i32>(0).to_string()]).await.unwrap();
        assert!(ended.get::<_, bool>(0));
    }
    tokio::time::sleep(Duration::from_millis(600)).await;
    let left = "select count(*) from pg_stat_activity where usename = 'acme_app'";
    assert_eq!(number(&old, left).await, 0);
    let refused = open(&sandbox.endpoints().old_database, "acme_app").await.unwrap_err();
    assert_eq!(code(&refused), "53300");
    old.batch_execute("ALTER ROLE acme_app CONNECTION LIMIT -1").await.unwrap();
    until(async || number(&old, left).await == 15).await;
}

#[tokio::test]
async fn a_transaction_that_is_rolled_back_or_lost_leaves_nothing() {
    let sandbox = sandbox("calm", 1.0).await;
    let (old, _) = both(&sandbox).await;
    let limit = "select rolconnlimit::int8 from pg_roles where rolname = 'acme_app'";
    let begin = "BEGIN; ALTER ROLE acme_app CONNECTION LIMIT 0;";
    old.batch_execute(&format!("{begin} ROLLBACK;")).await.unwrap();
    assert_eq!(number(&old, limit).await, -1);
    let failing = format!("{begin} ALTER ROLE nobody CONNECTION LIMIT 0; COMMIT;");
    assert_eq!(code(&old.batch_execute(&failing).await.unwrap_err()), "42704");
    assert_eq!(code(&old.query_one(limit, &[]).await.unwrap_err()), "25P02");
    old.batch_execute("ROLLBACK").await.unwrap();
    let other = open(&sandbox.endpoints().old_database, "cutover").await.unwrap();
    other.batch_execute(begin).await.unwrap();
    drop(other);
    until(async || number(&old, limit).await == -1).await;
    assert!(ledger(sandbox.endpoints()).await.is_empty());
    inject(&sandbox, json!({ "kind": "lose-answer", "service": "postgres", "operation": "COMMIT", "times": 1 })).await;
    assert!(old.batch_execute(&format!("{begin} COMMIT;")).await.is_err(), "done, and the answer is lost");
    let after = open(&sandbox.endpoints().old_database, "cutover").await.unwrap();
    assert_eq!((number(&after, limit).await, ledger(sandbox.endpoints()).await.len()), (0, 1));
}

#[tokio::test]
async fn another_role_writes_on_after_the_freeze_when_it_leaks() {
    let sandbox = sandbox("leaky-freeze", 60.0).await;
    let (old, _) = both(&sandbox).await;
    old.batch_execute("REVOKE INSERT ON ALL TABLES IN SCHEMA public FROM acme_app").await.unwrap();
    let begun = number(&old, NEXT_XID).await;
    until(async || number(&old, NEXT_XID).await > begun + 10).await;
    let by = old.query_one("select placed_by from orders order by id desc limit 1", &[]).await.unwrap();
    assert_eq!(by.get::<_, String>(0), "reports");
}

#[tokio::test]
async fn a_stall_stops_replication_and_counts_errors_until_it_ends() {
    let sandbox = sandbox("calm", 60.0).await;
    let (old, new) = both(&sandbox).await;
    inject(&sandbox, json!({ "kind": "replication-stall", "for": "2m" })).await;
    let errors = "select apply_error_count from pg_stat_subscription_stats where subname = 'cutover'";
    until(async || number(&new, errors).await > 2).await;
    let behind = "select (pg_current_wal_lsn() - confirmed_flush_lsn)::int8 from pg_replication_slots where not active";
    until(async || old.query_opt(behind, &[]).await.unwrap().is_some_and(|row| row.get::<_, i64>(0) > 50_000)).await;
    let worker = new.query_one("select pid is null from pg_stat_subscription", &[]).await.unwrap();
    assert!(worker.get::<_, bool>(0));
    until(async || old.query_opt(behind, &[]).await.unwrap().is_none()).await;
    until(async || {
        number(&old, "select (pg_current_wal_lsn() - confirmed_flush_lsn)::int8 from pg_replication_slots").await
            < 50_000
    })
    .await;
}

#[tokio::test]
async fn roles_databases_and_statements_that_do_not_exist_are_refused_by_name() {
    let sandbox = sandbox("calm", 1.0).await;
    let endpoint = sandbox.endpoints().old_database.clone();
    assert_eq!(code(&open(&endpoint, "nobody").await.unwrap_err()), "28000");
    let elsewhere = DatabaseEndpoint { database: "elsewhere".to_owned(), ..endpoint.clone() };
    assert_eq!(code(&open(&elsewhere, "cutover").await.unwrap_err()), "3D000");
    let (old, app) = (open(&endpoint, "cutover").await.unwrap(), open(&endpoint, "acme_app").await.unwrap());
    for (sql, expected) in [
        ("select * from nowhere", "42P01"),
        ("select nothing from orders", "42703"),
        ("select no_such(1)", "42883"),
        ("selec 1", "42601"),
        ("select 1 +", "42601"),
        ("drop table orders", "0A000"),
        ("alter role nobody connection limit 0", "42704"),
        ("set no_such = 1", "42704"),
        ("select setval('orders', 5)", "42809"),
        ("select 'x'::int8", "22P02"),
    ] {
        assert_eq!(code(&old.batch_execute(sql).await.unwrap_err()), expected, "{sql}");
    }
    assert_eq!(code(&app.batch_execute("alter role acme_app connection limit 0").await.unwrap_err()), "42501");
    assert!(app.batch_execute("select count(*) from orders").await.is_ok());
    assert!(ledger(sandbox.endpoints()).await.is_empty());
}

#[tokio::test]
async fn forgotten_workers_go_on_writing_to_the_old_side() {
    let sandbox = sandbox("calm", 60.0).await;
    let (old, _) = both(&sandbox).await;
    let newest = "select max(id) from jobs";
    scale(&sandbox, "worker", 0).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    scale(&sandbox, "web", 0).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = number(&old, newest).await;
    scale(&sandbox, "worker", 1).await;
    // What waits in the queue is done although nobody is served.
    until(async || number(&old, newest).await > before).await;
    scale(&sandbox, "worker", 0).await;
    scale(&sandbox, "clock", 0).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let still = number(&old, NEXT_XID).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(number(&old, NEXT_XID).await, still);
    let state = control(sandbox.endpoints(), "state").await;
    assert_eq!(state["postgres"]["mails"]["doubled"], json!(0));
}
