//! One connection: how it is made and protected, how long it waits, and what an error of it means.

use std::{path::Path, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};
use tokio_postgres::{
    Client, Config, Row,
    config::{Host, SslMode as Ssl},
    error::SqlState,
    types::{FromSql, ToSql, Type},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    super::{
        ConnectError,
        error::{Failure, root, trouble},
        sandboxed,
    },
    sql,
};
use crate::{
    plan::{Database, DatabaseAddress, Plan, Side, SslMode},
    run::{Trouble, TroubleKind},
};

/// Until the server has let us in, wall time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Beyond the server's own time-out of a statement (see [`sql`]), wall time.
const MARGIN: Duration = Duration::from_secs(5);
/// What the sandbox is shown; it opens nothing.
const SANDBOX_PASSWORD: &str = "sandbox";

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Read,
    Compare,
    Act,
}

impl Purpose {
    const fn first(self) -> &'static str {
        match self {
            Self::Read => sql::SESSION_READ,
            Self::Compare => sql::SESSION_COMPARE,
            Self::Act => sql::SESSION_ACT,
        }
    }

    /// As the first message tells the server.
    const fn statement(self) -> Duration {
        match self {
            Self::Read | Self::Act => Duration::from_secs(15),
            Self::Compare => Duration::from_secs(1800),
        }
    }
}

/// How one database is reached. Holds no secret: the environment is read at each connection, so that a password that is
/// rotated in between does not end the run.
#[derive(Debug)]
pub(super) struct Connector {
    side: Side,
    address: DatabaseAddress,
    sslmode: SslMode,
    ca_file: Option<std::path::PathBuf>,
    sandbox: bool,
}

impl Connector {
    pub(super) fn new(plan: &Plan, side: Side, database: &Database) -> Result<Self, ConnectError> {
        let sandbox = sandboxed(plan);
        let leads_away = match &database.address {
            DatabaseAddress::Url { env } => sandbox.then(|| env.clone()),
            DatabaseAddress::Parts { host, .. } => {
                let local = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
                (sandbox && !local).then(|| host.clone())
            }
        };
        if let Some(place) = leads_away {
            return Err(ConnectError::NotLoopback(place));
        }
        let (address, ca_file) = (database.address.clone(), database.ca_file.clone());
        Ok(Self { side, address, sslmode: database.sslmode, ca_file, sandbox })
    }

    fn call(&self) -> String {
        format!("postgres {}:connect", super::word(self.side))
    }

    pub(super) async fn connect(&self, purpose: Purpose) -> Result<Session, Failure> {
        let call = self.call();
        let config = self.config().map_err(|(kind, reason)| Failure::none_sent(&call, kind, &reason))?;
        let session = tokio::time::timeout(CONNECT_TIMEOUT, self.open(&config, purpose)).await;
        session.unwrap_or_else(|_| Err(Failure::none_sent(&call, TroubleKind::Unreachable, "no connection in time")))
    }

    async fn open(&self, config: &Config, purpose: Purpose) -> Result<Session, Failure> {
        let call = self.call();
        // Until the first statement of a caller nothing was sent that changes anything.
        let refused = |error: &tokio_postgres::Error| Failure { in_doubt: false, ..failure(&call, error) };
        let client = if self.sslmode == SslMode::Disable {
            let (client, connection) = config.connect(tokio_postgres::NoTls).await.map_err(|error| refused(&error))?;
            tokio::spawn(connection);
            client
        } else {
            let tls = tls(self.sslmode, self.ca_file.as_deref())
                .map_err(|reason| Failure::none_sent(&call, TroubleKind::Unexpected, &reason))?;
            let (client, connection) = config.connect(tls).await.map_err(|error| refused(&error))?;
            tokio::spawn(connection);
            client
        };
        client.batch_execute(purpose.first()).await.map_err(|error| refused(&error))?;
        Ok(Session { client, side: self.side, limit: purpose.statement() + MARGIN })
    }

    /// The reason never holds what a variable holds.
    fn config(&self) -> Result<Config, (TroubleKind, String)> {
        let missing = |env: &str| (TroubleKind::Credentials, format!("the environment has no {env}"));
        let mut config = match &self.address {
            DatabaseAddress::Url { env } => {
                let url = std::env::var(env).map_err(|_| missing(env))?;
                let unreadable = || (TroubleKind::Credentials, format!("{env} holds no postgres:// URL"));
                url.parse::<Config>().ok().filter(|config| !config.get_hosts().is_empty()).ok_or_else(unreadable)?
            }
            DatabaseAddress::Parts { host, port, name, user, password_env } => {
                let mut config = Config::new();
                config.host(host).port(*port).dbname(name).user(user);
                match password_env {
                    _ if self.sandbox => drop(config.password(SANDBOX_PASSWORD)),
                    Some(env) => drop(config.password(std::env::var(env).map_err(|_| missing(env))?)),
                    None => {}
                }
                config
            }
        };
        let by_socket = config.get_hosts().iter().any(|host| !matches!(host, Host::Tcp(_)));
        config.ssl_mode(if self.sslmode == SslMode::Disable || by_socket { Ssl::Disable } else { Ssl::Require });
        config.application_name(sql::APPLICATION).connect_timeout(CONNECT_TIMEOUT);
        config.keepalives_idle(Duration::from_secs(10)).tcp_user_timeout(Duration::from_secs(15));
        Ok(config)
    }
}

/// A connection that somebody uses.
#[derive(Debug)]
pub struct Session {
    client: Client,
    side: Side,
    /// For one statement, wall time.
    limit: Duration,
}

/// A parameter and its type.
pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

impl Session {
    /// Whether the connection is still there, as far as is known without asking.
    pub(super) fn lives(&self) -> bool {
        !self.client.is_closed()
    }

    pub(super) fn call(&self, what: &str) -> String {
        format!("postgres {}:{what}", super::word(self.side))
    }

    /// The rows of one statement. `what` is how the call is named to people.
    pub(super) async fn rows(&self, what: &str, text: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Failure> {
        let call = self.call(what);
        let answer = tokio::time::timeout(self.limit, self.client.query_typed(text, parameters)).await;
        let answer = answer.map_err(|_| Failure::lost(&call, TroubleKind::Unreachable, "no answer in time"))?;
        answer.map_err(|error| failure(&call, &error))
    }

    pub(super) async fn one(
        &self,
        what: &str,
        text: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<Row>, Failure> {
        Ok(self.rows(what, text, parameters).await?.into_iter().next())
    }

    /// Statements that hold all or not at all, in one message.
    pub(super) async fn change(&self, what: &str, statements: &[String]) -> Result<(), Failure> {
        let call = self.call(what);
        let text = format!("BEGIN; {} COMMIT;", statements.join(" "));
        let answer = tokio::time::timeout(self.limit, self.client.batch_execute(&text)).await;
        let answer = answer.map_err(|_| Failure::lost(&call, TroubleKind::Unreachable, "no answer in time"))?;
        answer.map_err(|error| failure(&call, &error))
    }

    /// One value of a row by its place.
    pub(super) fn get<'a, T: FromSql<'a>>(&self, what: &str, row: &'a Row, place: usize) -> Result<T, Trouble> {
        row.try_get(place).map_err(|error| {
            let reason = format!("an answer that cannot be read: {}", root(&error));
            trouble(&self.call(what), TroubleKind::Garbled, &reason)
        })
    }
}

pub(super) const fn text(value: &(dyn ToSql + Sync)) -> Parameter<'_> {
    (value, Type::TEXT)
}

pub(super) const fn int8(value: &(dyn ToSql + Sync)) -> Parameter<'_> {
    (value, Type::INT8)
}

pub(super) const fn float8(value: &(dyn ToSql + Sync)) -> Parameter<'_> {
    (value, Type::FLOAT8)
}

pub(super) const fn boolean(value: &(dyn ToSql + Sync)) -> Parameter<'_> {
    (value, Type::BOOL)
}

/// What an error of a statement means. An answer that names an error came from a statement that was rolled back; the
/// exceptions are those by which a server says that it ends the session, perhaps after the commit.
fn failure(call: &str, error: &tokio_postgres::Error) -> Failure {
    let Some(database) = error.as_db_error() else {
        if error.is_closed() {
            return Failure::lost(call, TroubleKind::Unreachable, "the connection was closed before an answer came");
        }
        let reason = root(error);
        return if reason.contains("certificate") || reason.contains("TLS") {
            Failure::lost(call, TroubleKind::Refused, &reason)
        } else {
            Failure::lost(call, TroubleKind::Unreachable, &reason)
        };
    };
    // Details and hints may hold values of rows: they are left out.
    let reason = format!("{} ({})", database.message(), database.code().code());
    match verdict(database.code()) {
        (kind, true) => Failure::lost(call, kind, &reason),
        (kind, false) => Failure::none_sent(call, kind, &reason),
    }
}

/// The kind of trouble by SQLSTATE, and whether the statement may have taken effect.
/// Source: PostgreSQL 15 documentation, appendix A.
fn verdict(code: &SqlState) -> (TroubleKind, bool) {
    let class = code.code().get(..2).unwrap_or_default();
    match code.code() {
        // insufficient_privilege; class 28: invalid authorization.
        "42501" => (TroubleKind::Credentials, false),
        // too_many_connections, cannot_connect_now: it was not let in.
        "53300" => (TroubleKind::Throttled, false),
        "57P03" => (TroubleKind::Unreachable, false),
        // The database or a named object is not there.
        "3D000" | "42P01" | "42704" | "42703" => (TroubleKind::Unexpected, false),
        // query_canceled (time-out), lock_not_available, read_only_sql_transaction and the like: rolled back.
        "57014" => (TroubleKind::Refused, false),
        _ if class == "28" => (TroubleKind::Credentials, false),
        // admin_shutdown, crash_shutdown, idle_session_timeout and connection exceptions: the session has ended.
        _ if class == "57" || class == "08" => (TroubleKind::Unreachable, true),
        // The outcome of a commit is not known.
        "40003" => (TroubleKind::Unreachable, true),
        _ => (TroubleKind::Refused, false),
    }
}

fn tls(mode: SslMode, ca_file: Option<&Path>) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("no TLS: {error}"))?;
    let config = match (mode, ca_file) {
        (SslMode::VerifyFull, Some(path)) => builder.with_root_certificates(anchors(path)?).with_no_client_auth(),
        (SslMode::VerifyFull, None) => {
            // Only fails when another is installed already, which serves as well.
            let _ = CryptoProvider::install_default(aws_lc_rs::default_provider());
            let (tls, _) = MakeRustlsConnect::with_native_certs()
                .map_err(|_| "the platform's trust anchors cannot be read: name a `ca_file`".to_owned())?;
            return Ok(tls);
        }
        (SslMode::Disable | SslMode::Require, _) => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider))).with_no_client_auth()
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

fn anchors(path: &Path) -> Result<RootCertStore, String> {
    let unreadable = |why: String| format!("the trust anchors {} cannot be read: {why}", path.display());
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))? {
        let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
        store.add(certificate).map_err(|error| unreadable(error.to_string()))?;
    }
    if store.is_empty() { Err(unreadable("it holds no certificate".to_owned())) } else { Ok(store) }
}

/// `sslmode=require`: whoever answers is believed, as the plan says in so many words. The handshake is still signed by
/// the key of the certificate that was shown.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_code_says_what_kind_of_trouble_it_is_and_whether_it_may_stand() {
        for (code, kind, in_doubt) in [
            ("28P01", TroubleKind::Credentials, false),
            ("42501", TroubleKind::Credentials, false),
            ("25006", TroubleKind::Refused, false),
            ("57014", TroubleKind::Refused, false),
            ("55P03", TroubleKind::Refused, false),
            ("3D000", TroubleKind::Unexpected, false),
            ("53300", TroubleKind::Throttled, false),
            ("57P01", TroubleKind::Unreachable, true),
            ("57P03", TroubleKind::Unreachable, false),
            ("08006", TroubleKind::Unreachable, true),
        ] {
            assert_eq!(verdict(&SqlState::from_code(code)), (kind, in_doubt), "{code}");
        }
    }
}
