//! The `postgres.*` steps and watches against two real clusters; `tests/peers/postgres.sh` starts them and runs this.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may panic as the test itself")]

mod faults;
mod stage;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cutover::{
    clock::Clock,
    plan::{DatabaseAddress, Plan, Side},
    preflight::{Look, Progress, gather, judge},
    run::{Change, Direction, Finding, Observation, Outcome, Standing, TroubleKind, by_hand},
    steps,
    world::World,
};
use stage::{Stage, client};
use tokio::task::JoinSet;

/// Session time runs ten times as fast: the steps look every 200 ms.
fn quick() -> Clock {
    Clock::scaled(10.0)
}

/// Clients that insert until they are refused; each gives the items that were acknowledged and those in doubt.
fn load(port: u16, stage: &Stage, prefix: &str, stop: &Arc<AtomicBool>) -> JoinSet<(Vec<String>, Vec<String>)> {
    let mut writers = JoinSet::new();
    for number in 0..4 {
        let (database, user, stop) = (stage.name, stage.role("shop"), Arc::clone(stop));
        let prefix = format!("{prefix}{number}");
        writers.spawn(async move {
            let (mut acknowledged, mut doubted) = (Vec::new(), Vec::new());
            let client = client(port, database, &user).await;
            for count in 0.. {
                let item = format!("{prefix}-{count}");
                match client.execute("insert into orders (item) values ($1)", &[&item]).await {
                    Ok(_) => acknowledged.push(item),
                    Err(error) if error.as_db_error().is_some() => break,
                    Err(_) => {
                        doubted.push(item);
                        break;
                    }
                }
                if stop.load(Ordering::SeqCst) {
                    break;
                }
            }
            (acknowledged, doubted)
        });
    }
    writers
}

async fn items(client: &tokio_postgres::Client) -> Vec<String> {
    let rows = client.query("select item from orders order by id", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cutover_under_load_loses_no_row_doubles_none_and_goes_back_to_the_letter() {
    let stage = Stage::new("whole", quick(), None).await;
    let before = stage.access().await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = load(stage.ports.old, &stage, "old", &stop);
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.run("caught-up", &[]).await;
    let frozen = stage.run("revoke", &[]).await;
    // The freeze alone has ended the load: nobody told the writers to stop.
    let mut acknowledged = BTreeSet::new();
    let mut doubted = BTreeSet::new();
    while let Some(ended) = writers.join_next().await {
        let (ours, lost) = ended.unwrap();
        assert!(!ours.is_empty());
        acknowledged.extend(ours);
        doubted.extend(lost);
    }
    stage.run("caught-up", &[]).await;
    let refused = steps::preview(&stage.context("open"), Direction::Forward, &[]).await.unwrap_err();
    assert!(refused.reason.contains("sequence public.orders_id_seq"), "a missed sequence: {}", refused.reason);
    let sequences = stage.run("sequences", &[]).await;
    stage.run("compare", &[]).await;
    let opened = stage.run("open", &[]).await;
    // The application writes on the new side: not one duplicate key.
    let mut writers = load(stage.ports.new, &stage, "new", &stop);
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::SeqCst);
    let mut later = BTreeSet::new();
    while let Some(ended) = writers.join_next().await {
        let (ours, lost) = ended.unwrap();
        assert!(!ours.is_empty() && lost.is_empty());
        later.extend(ours);
    }
    let found = items(&stage.new).await;
    let unique: BTreeSet<_> = found.iter().cloned().collect();
    assert_eq!(found.len(), unique.len(), "a row is doubled");
    assert!(acknowledged.is_subset(&unique), "an acknowledged row is lost");
    assert!(later.is_subset(&unique), "a row of the new side is lost");
    let known: BTreeSet<_> = acknowledged.iter().chain(&doubted).chain(&later).cloned().collect();
    assert!(unique.is_subset(&known), "a row that nobody wrote");
    println!("{} rows acknowledged on the old side, {} on the new", acknowledged.len(), later.len());
    // And back: in reverse.
    stage.run("open", &[opened]).await;
    let stays = stage.run("sequences", &[sequences]).await;
    let Change::Sequences { from, to } = &stays else { panic!("{stays:?}") };
    assert_eq!(from["public.orders_id_seq"], to["public.orders_id_seq"], "what was used since is not set back");
    stage.run("revoke", &[frozen]).await;
    assert_eq!(stage.access().await, before);
    let shop = stage.shop().await;
    shop.execute("insert into orders (item) values ('back')", &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_freezes_running_sessions_and_is_put_back_to_the_letter() {
    let stage = Stage::new("methods", quick(), None).await;
    let admin = client(stage.ports.old, "postgres", "postgres").await;
    let role = stage.role("shop");
    admin.batch_execute(&format!("alter role {role} connection limit 17")).await.unwrap();
    admin.batch_execute("alter database methods set default_transaction_read_only = off").await.unwrap();
    stage.old.batch_execute(&format!("grant update (state) on orders to {role} with grant option")).await.unwrap();
    let before = stage.access().await;
    for step in ["revoke", "limit", "read-only"] {
        let shop = stage.shop().await;
        shop.execute("insert into orders (item) values ($1)", &[&step]).await.unwrap();
        // A transaction that has written when the freeze comes may commit or end, and never later than the freeze.
        shop.batch_execute("begin; insert into orders (item) values ('open')").await.unwrap();
        let applied = stage.run(step, &[]).await;
        let rows = items(&stage.old).await.len();
        assert!(shop.batch_execute("commit; insert into orders (item) values ('late')").await.is_err(), "{step}");
        assert_eq!(items(&stage.old).await.len(), rows, "{step}: a row came after the freeze");
        stage.run(step, &[applied]).await;
        assert_eq!(stage.access().await, before, "{step}");
        let shop = stage.shop().await;
        shop.execute("insert into orders (item) values ($1)", &[&step]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_types_puts_a_freeze_back_to_the_letter() {
    let stage = Stage::new("by_hand", quick(), None).await;
    let role = stage.role("shop");
    stage.old.batch_execute(&format!("grant update (state) on orders to {role} with grant option")).await.unwrap();
    let before = stage.access().await;
    let database =
        format!("host=127.0.0.1 port={} dbname={} user=operator password=secret", stage.ports.old, stage.name);
    for step in ["revoke", "limit", "read-only"] {
        let applied = stage.run(step, &[]).await;
        assert_ne!(stage.access().await, before);
        let hand = by_hand(&applied.reversed().unwrap()).unwrap();
        for typed in [Some(hand.act), hand.look].into_iter().flatten() {
            let mut bash = tokio::process::Command::new("bash");
            let ran = bash.args(["-c", &typed]).env("CUTOVER_OLD_DATABASE", &database).output().await.unwrap();
            assert!(ran.status.success(), "{typed}: {}", String::from_utf8_lossy(&ran.stderr));
        }
        assert_eq!(stage.access().await, before, "{step}");
        let seen = steps::observe(&stage.context(step), &applied.reversed().unwrap(), false).await;
        assert_eq!(seen, Observation::Done, "{step}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_undo_of_a_read_only_database_works_for_a_role_that_is_read_only_itself() {
    let stage = Stage::new("thaw", quick(), None).await;
    let applied = stage.run("read-only", &[]).await;
    let next = client(stage.ports.old, stage.name, "operator").await;
    let refused = next.execute("insert into orders (item) values ('x')", &[]).await.unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "25006", "it is read-only for the cockpit's own role, too");
    // Heroku's one credential owns the database and is what the application uses.
    stage.run("read-only", &[applied]).await;
    let again = client(stage.ports.old, stage.name, "operator").await;
    again.execute("insert into orders (item) values ('x')", &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_tells_what_differs() {
    let stage = Stage::new("differs", quick(), None).await;
    stage.old.execute("insert into orders (item) select 'x' || g from generate_series(1, 60000) g", &[]).await.unwrap();
    stage.run("caught-up", &[]).await;
    stage.run("sequences", &[]).await;
    stage.run("compare", &[]).await;
    stage.run("sampled", &[]).await;
    stage.new.execute("update orders set item = 'changed' where id = 59999", &[]).await.unwrap();
    stage
        .new
        .batch_execute("create table only_here (id int primary key); create index late on orders (state)")
        .await
        .unwrap();
    stage
        .new
        .batch_execute(
            "select setval('lines_id_seq', 1, false); insert into lines overriding system value values (7, 'x')",
        )
        .await
        .unwrap();
    for step in ["compare", "sampled"] {
        stage.told.lock().unwrap().clear();
        let change = stage.preview(step, &[]).await.parts[0].change.clone();
        let outcome = steps::apply(&stage.context(step), &change, "token").await;
        let told = stage.told().join("\n");
        assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
        for expected in [
            "public.only_here: only on the new side",
            "only on the new side: public.orders late CREATE INDEX late",
            "public.lines: 0 rows on the old side, 1 on the new",
            "missed: sequence public.lines_id_seq is at 1 comes next, and public.lines.id has 7",
        ] {
            assert!(told.contains(expected), "{expected}\n{told}");
        }
        let differs = if step == "compare" { "as many rows, and some of them differ" } else { "rows with keys from" };
        assert!(told.contains(&format!("public.orders: {differs}")), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn facts_tell_what_a_preflight_must_know() {
    let stage = Stage::new("facts", quick(), None).await;
    stage.old.batch_execute("create table keyless (n int); create extension citext").await.unwrap();
    stage.old.batch_execute("create unlogged table carts (id int); select lo_create(0)").await.unwrap();
    let postgres = stage.world.postgres().unwrap();
    let (old, new) = (postgres.side(Side::Old).facts().await.unwrap(), postgres.side(Side::New).facts().await.unwrap());
    assert_eq!((old.wal_level.as_str(), old.replication, old.standby), ("logical", true, false));
    assert!(old.version >= 150_000 && old.database == "facts" && old.role == "operator");
    let keyless: Vec<_> = old.without_identity().map(cutover::world::postgres::Table::full_name).collect();
    assert_eq!(keyless, ["public.keyless"]);
    assert_eq!(old.missing_on(&new), [("citext".to_owned(), true)]);
    assert_ne!(old.schema.fingerprint(), new.schema.fingerprint());
    assert_eq!(old.schema.differences(&new.schema).0, ["column public.keyless.n integer"]);
    let found = findings(&stage.plan, &stage.world).await;
    let finding = |id: &str| found.get(id).unwrap_or_else(|| panic!("{id}: {found:#?}"));
    for (id, words) in [
        ("database:keys", "no primary key: public.keyless"),
        ("database:schema", "only on the old side: column public.keyless.n integer"),
        ("database:extensions", "not installed: citext"),
        ("database:large-objects", "1 in pg_largeobject, which logical replication does not carry"),
        ("database:unlogged", "their rows are not replicated: public.carts"),
    ] {
        let finding = finding(id);
        assert_eq!(finding.standing, Standing::ActionRequired, "{finding:?}");
        assert!(finding.reason.contains(words) && finding.remedy.is_some(), "{finding:?}");
    }
    let passing = ["old", "new", "logical", "role", "version", "sequences"].map(|what| format!("database:{what}"));
    for id in passing.iter().map(String::as_str) {
        assert_eq!(finding(id).standing, Standing::Passed, "{id}");
    }
    refused(&stage).await;
    // What follows: the delete fails on the publisher, which is why it must be found before.
    stage.old.batch_execute("insert into keyless values (1)").await.unwrap();
    assert!(stage.old.batch_execute("delete from keyless").await.is_err());
    // And the published table that the subscription does not know is named.
    let replication = postgres.replication().await.unwrap();
    assert_eq!(replication.unknown, ["public.keyless"]);
}

/// What a preflight finds, by id.
async fn findings(plan: &Plan, world: &World) -> BTreeMap<String, Finding> {
    let facts = gather(plan, world, world.clock(), Look::Whole, &Progress::default()).await;
    judge(plan, &facts).into_iter().map(|finding| (finding.id.clone(), finding)).collect()
}

/// A server without logical replication, and a role that may not replicate.
async fn refused(stage: &Stage) {
    let plain: u16 = std::env::var("CUTOVER_TEST_POSTGRES_PLAIN").unwrap().parse().unwrap();
    for (id, words, at) in [
        ("database:logical", "wal_level is replica, so Heroku refuses logical replication", Some(plain)),
        ("database:role", "may not replicate", None),
    ] {
        let mut plan = (*stage.plan).clone();
        let old = &mut plan.databases.as_mut().unwrap().old.address;
        if let DatabaseAddress::Parts { port, name, user, .. } = old {
            match at {
                Some(at) => (*port, *name) = (at, "postgres".into()),
                None => *user = stage.role("shop"),
            }
        }
        let found = findings(&plan, &World::connect(&plan, quick()).await.unwrap()).await;
        let finding = found.get(id).unwrap_or_else(|| panic!("{id}: {found:#?}"));
        assert_eq!(finding.standing, Standing::ActionRequired, "{finding:?}");
        assert!(finding.reason.contains(words) && finding.remedy.is_some(), "{finding:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn troubles_are_told_apart() {
    let stage = Stage::new("troubles", quick(), None).await;
    let connect = async |edit: fn(&mut cutover::plan::DatabaseAddress)| {
        let mut plan = (*stage.plan).clone();
        edit(&mut plan.databases.as_mut().unwrap().old.address);
        let world = cutover::world::World::connect(&plan, quick()).await.unwrap();
        world.postgres().unwrap().side(Side::Old).facts().await.unwrap_err()
    };
    use cutover::plan::DatabaseAddress::Parts;
    let refused = connect(|address| {
        if let Parts { port, .. } = address {
            *port = 1
        }
    })
    .await;
    assert_eq!(refused.kind, TroubleKind::Unreachable, "{refused:?}");
    let nobody = connect(|address| {
        if let Parts { user, .. } = address {
            *user = "nobody_here".into()
        }
    })
    .await;
    assert_eq!(nobody.kind, TroubleKind::Credentials, "{nobody:?}");
    let missing = connect(|address| {
        if let Parts { password_env, .. } = address {
            *password_env = Some("CUTOVER_TEST_NO_SUCH".into())
        }
    })
    .await;
    assert_eq!(
        (missing.kind, missing.reason.as_str()),
        (TroubleKind::Credentials, "the environment has no CUTOVER_TEST_NO_SUCH")
    );
    let nowhere = connect(|address| {
        if let Parts { name, .. } = address {
            *name = "no_such_db".into()
        }
    })
    .await;
    assert_eq!(nowhere.kind, TroubleKind::Unexpected, "{nowhere:?}");
    // A role that may not: refused, nothing done, and said so.
    let mut plan = (*stage.plan).clone();
    if let Parts { user, .. } = &mut plan.databases.as_mut().unwrap().old.address {
        *user = stage.role("reports");
    }
    let world = cutover::world::World::connect(&plan, quick()).await.unwrap();
    let stage = Stage { world, ..stage };
    let limit = stage.preview("limit", &[]).await.parts[0].change.clone();
    let outcome = steps::apply(&stage.context("limit"), &limit, "token").await;
    assert!(matches!(&outcome, Outcome::Failed { trouble } if trouble.kind == TroubleKind::Credentials), "{outcome:?}");
    // PostgreSQL only warns of a revocation that revokes nothing.
    let revoke = stage.preview("revoke", &[]).await.parts[0].change.clone();
    let outcome = steps::apply(&stage.context("revoke"), &revoke, "token").await;
    assert!(matches!(&outcome, Outcome::InDoubt { trouble } if trouble.reason.contains("it is not so")), "{outcome:?}");
    let seen = steps::observe(&stage.context("revoke"), &revoke, false).await;
    assert!(matches!(seen, Observation::NotDone { .. }), "{seen:?}");
}
