//! Starts the sandbox: binds every port, wires the rooms, and keeps them alive.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{net::TcpListener, task::JoinSet};

use super::{
    DatabaseEndpoint, Endpoints, HOSTED_ZONE, LOAD_BALANCER_NAME, OriginEndpoint, Ports, ResolverEndpoint,
    SandboxConfig, SandboxError, aws, control,
    dns::{self, DnsConfig, DnsHandles, ResolverInfo},
    faults::Side,
    heroku, http, origin,
    postgres::{self, wire::Front},
    scenario::Scenario,
    tls::Authority,
    traffic::{NEW_ADDRESS, NEW_DATABASE, OLD_ADDRESS, OLD_DATABASE, Users},
    world::World,
    zone::{RecordSet, RecordType, ZoneStore},
};
use crate::clock::{Clock, wall_now};

/// The names that the two sides' certificates are good for.
const OLD_NAMES: &[&str] = &["shop.example.test", "api.example.test", "*.herokudns.test", "*.herokuapp.com"];
const NEW_NAMES: &[&str] = &["shop.example.test", "api.example.test", LOAD_BALANCER_NAME];

/// A running sandbox. It stops when it is dropped.
#[derive(Debug)]
pub struct Sandbox {
    endpoints: Arc<Endpoints>,
    tasks: JoinSet<()>,
    dns: DnsHandles,
    /// Removed at the end when the sandbox made it for itself.
    own_dir: Option<PathBuf>,
}

impl Sandbox {
    /// Where everything listens.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Gives a resolver another habit, at once. False: there is none of this name.
    #[must_use]
    pub fn set_habit(&self, resolver: &str, habit: dns::Habit) -> bool {
        let known = self.dns.resolver(resolver);
        known.map(|known| known.set_habit(habit)).is_some()
    }

    /// Stops everything and waits until the ports are free again.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(dir) = &self.own_dir {
            // Best effort: it lies in the system's temporary directory and holds one public certificate.
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}

/// Starts a sandbox.
///
/// # Errors
/// A port cannot be had, or the certificates cannot be made or written.
pub async fn start(config: SandboxConfig) -> Result<Sandbox, SandboxError> {
    let SandboxConfig { clock, scenario, state_dir, ports } = config;
    let zones = zones(&scenario);
    let dns = dns::start(dns_config(&scenario, ports), zones.clone(), clock).await.map_err(SandboxError::Dns)?;
    let users = Users::new(&scenario.users, &dns);
    let sockets = Sockets::bind(ports).await?;
    let authority = Authority::new(wall_now())?;
    let old_tls = authority.acceptor(OLD_NAMES, scenario.certificates.old_days)?;
    let new_tls = authority.acceptor(NEW_NAMES, scenario.certificates.new_days)?;
    let (ca_pem_path, own_dir) = write_ca(state_dir, &sockets.aws, &authority.pem())?;
    let endpoints = Arc::new(sockets.endpoints(&dns, ca_pem_path, clock)?);
    let world = Arc::new(World::new(clock, scenario, zones, users));
    world.live_through_history();

    let mut tasks = JoinSet::new();
    let Sockets { aws, heroku, control, http: plain, https: secure, postgres } = sockets;
    tasks.spawn(http::serve(aws, None, http::sharing(world.clone(), aws::handle)));
    tasks.spawn(http::serve(heroku, None, http::sharing(world.clone(), heroku::handle)));
    let control_state = (world.clone(), endpoints.clone());
    tasks.spawn(http::serve(control, None, move |call| {
        control::handle(control_state.0.clone(), control_state.1.clone(), call)
    }));
    let origins = [
        (Side::Old, plain.0, None),
        (Side::New, plain.1, None),
        (Side::Old, secure.0, Some(old_tls)),
        (Side::New, secure.1, Some(new_tls)),
    ];
    for (side, listener, tls) in origins {
        let handler = move |world, call| origin::handle(world, side, call);
        tasks.spawn(http::serve(listener, tls, http::sharing(world.clone(), handler)));
    }
    for (side, listener) in [(Side::Old, postgres.0), (Side::New, postgres.1)] {
        tasks.spawn(postgres::wire::serve(listener, Arc::new(Front::new(world.clone(), side))));
    }
    tasks.spawn(async move { world.run().await });
    Ok(Sandbox { endpoints, tasks, dns, own_dir })
}

/// Every TCP port but those of DNS; pairs are (old side, new side).
struct Sockets {
    aws: TcpListener,
    heroku: TcpListener,
    control: TcpListener,
    http: (TcpListener, TcpListener),
    https: (TcpListener, TcpListener),
    postgres: (TcpListener, TcpListener),
}

impl Sockets {
    async fn bind(ports: Ports) -> Result<Self, SandboxError> {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let both = |old: Ipv4Addr, new: Ipv4Addr, port| {
            origin::bind_pair(SocketAddr::from((old, port)), SocketAddr::from((new, port)))
        };
        let pair = |port| both(OLD_ADDRESS, NEW_ADDRESS, port);
        Ok(Self {
            aws: http::bind(loopback(ports.aws)).await?,
            heroku: http::bind(loopback(ports.heroku)).await?,
            control: http::bind(loopback(ports.control)).await?,
            http: pair(ports.http).await?,
            https: pair(ports.https).await?,
            postgres: both(OLD_DATABASE, NEW_DATABASE, ports.postgres).await?,
        })
    }

    fn endpoints(&self, dns: &DnsHandles, ca_pem_path: PathBuf, clock: Clock) -> Result<Endpoints, SandboxError> {
        let url = |listener| address(listener).map(|address| format!("http://{address}"));
        let aws = url(&self.aws)?;
        let resolver = |info: ResolverInfo| ResolverEndpoint { name: info.name, addr: info.addr, habit: info.habit };
        Ok(Endpoints {
            aws_route53: aws.clone(),
            aws_cloudwatch: aws.clone(),
            aws_ecs: aws.clone(),
            aws_rds: aws.clone(),
            aws_sts: aws,
            heroku: url(&self.heroku)?,
            control: url(&self.control)?,
            authority: dns.authority,
            resolvers: dns.resolvers().into_iter().map(resolver).collect(),
            old_origin: OriginEndpoint { http: address(&self.http.0)?, https: address(&self.https.0)? },
            new_origin: OriginEndpoint { http: address(&self.http.1)?, https: address(&self.https.1)? },
            old_database: database(&self.postgres.0)?,
            new_database: database(&self.postgres.1)?,
            ca_pem_path,
            clock_epoch: clock.epoch(),
            clock_speed: clock.speed(),
        })
    }
}

fn database(listener: &TcpListener) -> Result<DatabaseEndpoint, SandboxError> {
    let (database, user) = (postgres::DATABASE.to_owned(), postgres::OPERATOR.to_owned());
    Ok(DatabaseEndpoint { address: address(listener)?, database, user })
}

fn address(listener: &TcpListener) -> Result<SocketAddr, SandboxError> {
    let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    listener.local_addr().map_err(|source| SandboxError::Bind { address: unknown, source })
}

/// Writes the CA certificate into `dir`, or into a new directory of its own, which is given back to be removed.
fn write_ca(dir: Option<PathBuf>, aws: &TcpListener, pem: &str) -> Result<(PathBuf, Option<PathBuf>), SandboxError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| SandboxError::WriteCa { path, source }
    };
    let (dir, own) = match dir {
        Some(dir) => {
            std::fs::create_dir_all(&dir).map_err(failed(&dir))?;
            (dir, None)
        }
        None => {
            // The port is ours alone, and a directory that stands there already is refused, not followed.
            let name = format!("cutover-sandbox-{}-{}", std::process::id(), address(aws)?.port());
            let dir = std::env::temp_dir().join(name);
            std::fs::create_dir(&dir).map_err(failed(&dir))?;
            (dir.clone(), Some(dir))
        }
    };
    let path = dir.join("sandbox-ca.pem");
    std::fs::write(&path, pem).map_err(failed(&path))?;
    Ok((path, own))
}

/// The usual resolvers, as the scenario changes or adds to them.
fn dns_config(scenario: &Scenario, ports: Ports) -> DnsConfig {
    let mut config = DnsConfig::on_port(ports.dns);
    for (name, habit) in &scenario.resolvers {
        if let Some(known) = config.resolvers.iter_mut().find(|info| info.name == *name) {
            known.habit = *habit;
            continue;
        }
        // The usual resolvers stand from 127.0.53.11 on; those of a scenario from .101 on.
        let last = 101 + u8::try_from(config.resolvers.len()).unwrap_or(u8::MAX - 101);
        let addr = SocketAddr::from((Ipv4Addr::new(127, 0, 53, last), ports.dns));
        config.resolvers.push(ResolverInfo { name: name.clone(), addr, habit: *habit });
    }
    config
}

/// The world's names as a cutover finds them.
fn zones(scenario: &Scenario) -> ZoneStore {
    use RecordType::{A, CNAME, MX, NS, SOA, TXT};
    let ttl = u32::try_from(scenario.dns.old_ttl.as_secs()).unwrap_or(u32::MAX);
    let set = RecordSet::simple;
    let zones = ZoneStore::default();
    let soa = ["ns-1.example.test. hostmaster.example.test. 1 7200 900 1209600 300"];
    zones.add_zone(
        "example.test",
        Some(HOSTED_ZONE),
        vec![
            set("example.test", SOA, 900, &soa),
            set("example.test", NS, 172_800, &["ns-1.example.test.", "ns-2.example.test."]),
            set("example.test", MX, 3600, &["10 mail-1.example.test.", "20 mail-2.example.test."]),
            set(
                "example.test",
                TXT,
                3600,
                &["\"v=spf1 include:_spf.example.test -all\"", "\"site-verification=sandbox\""],
            ),
            set("ns-1.example.test", A, 172_800, &["127.0.53.1"]),
            set("ns-2.example.test", A, 172_800, &["127.0.53.1"]),
            set("shop.example.test", CNAME, ttl, &["acme-shop.herokudns.test."]),
            set("api.example.test", CNAME, ttl, &["acme-api.herokudns.test."]),
        ],
    );
    let side = |origin: &str, names: &[&str], address: Ipv4Addr| {
        let soa = [format!("ns.{origin}. hostmaster.{origin}. 1 7200 900 1209600 60")];
        let mut sets = vec![set(origin, SOA, 60, &[&soa[0]]), set(origin, NS, 3600, &[&format!("ns.{origin}.")])];
        sets.extend(names.iter().map(|name| set(name, A, 60, &[&address.to_string()])));
        zones.add_zone(origin, None, sets);
    };
    side("herokudns.test", &["acme-shop.herokudns.test", "acme-api.herokudns.test"], OLD_ADDRESS);
    side("us-east-1.elb.amazonaws.com", &[LOAD_BALANCER_NAME], NEW_ADDRESS);
    zones
}
