//! Two databases of one name in the two clusters, joined by logical replication, and a plan that names them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use cutover::{
    clock::Clock,
    plan::{Plan, load},
    run::{Change, Direction, Observation, Outcome, Preview, Sample},
    steps::{self, Health, StepContext},
    world::World,
};
use tokio_postgres::{Client, NoTls};
use tokio_util::sync::CancellationToken;

/// Ports of the two clusters, old and new, and of what stands in front of the old one for the cockpit alone.
pub(crate) struct Ports {
    pub(crate) old: u16,
    pub(crate) new: u16,
}

/// The variable is set by `tests/peers/postgres.sh` alone. Without it there is nothing to test against.
pub(crate) fn ports() -> Ports {
    let port = |text: &str| text.parse().unwrap_or_else(|_| panic!("CUTOVER_TEST_POSTGRES names no port: {text}"));
    let value = std::env::var("CUTOVER_TEST_POSTGRES").expect("tests/peers/postgres.sh runs these tests");
    let (old, new) = value.split_once(',').unwrap_or_else(|| panic!("CUTOVER_TEST_POSTGRES is OLD,NEW: {value}"));
    Ports { old: port(old), new: port(new) }
}

pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) ports: Ports,
    pub(crate) plan: Arc<Plan>,
    pub(crate) world: World,
    pub(crate) old: Client,
    pub(crate) new: Client,
    pub(crate) told: Arc<Mutex<Vec<String>>>,
}

/// Sessions of the test's own are named as the cockpit's are: a freeze leaves them alone.
pub(crate) async fn client(port: u16, database: &str, user: &str) -> Client {
    let name = if matches!(user, "operator" | "postgres") { "cutover" } else { "app" };
    let config =
        format!("host=127.0.0.1 port={port} dbname={database} user={user} password=secret application_name={name}");
    let (client, connection) =
        tokio_postgres::connect(&config, NoTls).await.unwrap_or_else(|e| panic!("{user}: {e:?}"));
    tokio::spawn(connection);
    client
}

const TABLES: &str = "
    create table orders (id bigserial primary key, item text not null, state text default 'new');
    create table lines (id int generated always as identity primary key, n text);
    create table cutover_heartbeat (id int primary key, token text, written_at timestamptz);
";

impl Stage {
    /// A fresh pair of databases. `port`: where the cockpit finds the old one, when that is not its own port.
    pub(crate) async fn new(name: &'static str, clock: Clock, port: Option<u16>) -> Self {
        let ports = ports();
        for port in [ports.old, ports.new] {
            let admin = client(port, "postgres", "postgres").await;
            admin.batch_execute(&format!("create database {name} owner operator")).await.unwrap();
            for role in ["shop", "reports"] {
                admin.batch_execute(&format!("create role {name}_{role} login password 'secret'")).await.unwrap();
            }
        }
        let (old, new) = (client(ports.old, name, "operator").await, client(ports.new, name, "operator").await);
        for side in [&old, &new] {
            side.batch_execute(TABLES).await.unwrap();
            let grants = format!(
                "grant select on all tables in schema public to {name}_shop, {name}_reports;
                 grant usage on all sequences in schema public to {name}_shop, {name}_reports"
            );
            side.batch_execute(&grants).await.unwrap();
        }
        let writes = format!("grant insert, update, delete on orders, lines to {name}_shop");
        old.batch_execute(&writes).await.unwrap();
        old.batch_execute(&format!("create publication {name} for all tables")).await.unwrap();
        let from = format!("host=127.0.0.1 port={} dbname={name} user=operator password=secret", ports.old);
        let subscribe = format!("create subscription {name} connection '{from}' publication {name}");
        new.batch_execute(&subscribe).await.unwrap();
        let plan = Arc::new(plan(name, port.unwrap_or(ports.old), ports.new));
        let world = World::connect(&plan, clock).await.unwrap();
        let stage = Self { name, ports, plan, world, old, new, told: Arc::default() };
        stage
            .until("the copy is in step", || async {
                let query = "select count(*) filter (where srsubstate = 'r') from pg_subscription_rel";
                stage.new.query_one(query, &[]).await.unwrap().get::<_, i64>(0) == 3
            })
            .await;
        stage
    }

    pub(crate) fn role(&self, role: &str) -> String {
        format!("{}_{role}", self.name)
    }

    pub(crate) async fn shop(&self) -> Client {
        client(self.ports.old, self.name, &self.role("shop")).await
    }

    /// Waits for what must come true within a minute.
    pub(crate) async fn until<F: Future<Output = bool>>(&self, what: &str, check: impl Fn() -> F) {
        let begun = cutover::clock::monotonic();
        while !check().await {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}: not within a minute; told {:?}", self.told());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }

    pub(crate) fn context(&self, step: &str) -> StepContext {
        let told = Arc::clone(&self.told);
        StepContext {
            plan: Arc::clone(&self.plan),
            step: self.plan.step(&step.into()).unwrap().clone(),
            attempt: 1,
            token: "token".into(),
            earlier: Vec::new(),
            world: self.world.clone(),
            clock: self.world.clock(),
            drained_at: None,
            begun_at: None,
            health: tokio::sync::watch::channel(Health::default()).1,
            stop: CancellationToken::new(),
            tell: Arc::new(move |sample| match sample {
                Sample::Output { line, .. } => told.lock().unwrap().push(line),
                Sample::Progress { text, .. } => told.lock().unwrap().push(text),
                _ => {}
            }),
        }
    }

    pub(crate) async fn preview(&self, step: &str, applied: &[Change]) -> Preview {
        let direction = if applied.is_empty() { Direction::Forward } else { Direction::Back };
        let preview = steps::preview(&self.context(step), direction, applied).await;
        preview.unwrap_or_else(|trouble| panic!("{step}: {trouble:?}"))
    }

    /// Previews, applies and observes a step, forward or (with what was applied) back; gives the change.
    pub(crate) async fn run(&self, step: &str, applied: &[Change]) -> Change {
        let change = self.preview(step, applied).await.parts[0].change.clone();
        let outcome = steps::apply(&self.context(step), &change, "token").await;
        assert!(matches!(outcome, Outcome::Done { .. }), "{step}: {outcome:?}; told {:?}", self.told());
        let seen = steps::observe(&self.context(step), &change, true).await;
        assert_eq!(seen, Observation::Done, "{step}");
        change
    }

    /// Everything that says who may write, to the letter.
    pub(crate) async fn access(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for query in [
            "select 'table ' || relname, array_to_string(array(select unnest(relacl)::text order by 1), ' ') from pg_class \
             where relnamespace = 'public'::regnamespace and relkind = 'r'",
            "select 'role ' || rolname, rolconnlimit::text from pg_roles where rolname like current_database() || '_%'",
            "select 'default ' || setrole::text, setconfig::text from pg_db_role_setting s join pg_database d \
             on d.oid = s.setdatabase where d.datname = current_database()",
        ] {
            for row in self.old.query(query, &[]).await.unwrap() {
                all.insert(row.get(0), row.get(1));
            }
        }
        all
    }
}

fn plan(name: &str, old: u16, new: u16) -> Plan {
    let text = include_str!("plan.toml");
    let ca_file =
        std::env::var("CUTOVER_TEST_POSTGRES_CA").expect("CUTOVER_TEST_POSTGRES_CA names the CA of the new side");
    let given = [("db", name.to_owned()), ("old", old.to_string()), ("new", new.to_string()), ("ca", ca_file)];
    let given = given.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    load(text, "plan.toml", "test", &given).unwrap_or_else(|errors| panic!("{}", errors.render(false)))
}

/// A TCP relay that cuts the connection on which a word passes, before or after it has passed.
pub(crate) mod cut {
    use std::sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    };

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    pub(crate) const OFF: u8 = 0;
    pub(crate) const BEFORE: u8 = 1;
    pub(crate) const AFTER: u8 = 2;

    /// Gives the port and the switch.
    pub(crate) async fn relay(to: u16, word: &'static str) -> (u16, Arc<AtomicU8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mode = Arc::new(AtomicU8::new(OFF));
        let switch = Arc::clone(&mode);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, to, word, Arc::clone(&mode)));
            }
        });
        (port, switch)
    }

    async fn carry(mut client: TcpStream, to: u16, word: &str, mode: Arc<AtomicU8>) {
        let mut server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
        let (mut up, mut down) = ([0; 65536], [0; 65536]);
        loop {
            tokio::select! {
                read = client.read(&mut up) => {
                    let Ok(count @ 1..) = read else { return };
                    let hit = up[..count].windows(word.len()).any(|window| window == word.as_bytes());
                    let cut = if hit { mode.load(Ordering::SeqCst) } else { OFF };
                    if cut == BEFORE { return; }
                    if server.write_all(&up[..count]).await.is_err() { return; }
                    if cut == AFTER {
                        // It arrives and is done; its answer never comes back.
                        let _ = server.read(&mut down).await;
                        return;
                    }
                }
                read = server.read(&mut down) => {
                    let Ok(count @ 1..) = read else { return };
                    if client.write_all(&down[..count]).await.is_err() { return; }
                }
            }
        }
    }
}
