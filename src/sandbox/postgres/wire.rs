//! The PostgreSQL protocol, version 3: startup without a password, simple and extended queries.
//!
//! Nobody is asked for a password: the sandbox listens on loopback and holds no secret. Roles and limits are enforced all
//! the same.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex, OnceLock},
};

use async_trait::async_trait;
use futures_util::{Sink, stream};
use pgwire::{
    api::{
        ClientInfo, ClientPortalStore, METADATA_APPLICATION_NAME, METADATA_DATABASE, METADATA_USER,
        PgWireServerHandlers, Type,
        auth::{self, DefaultServerParameterProvider, StartupHandler},
        portal::{Format, Portal},
        query::{ExtendedQueryHandler, SimpleQueryHandler},
        results::{DataRowEncoder, FieldFormat, FieldInfo, QueryResponse, Response, Tag},
        stmt::QueryParser,
        store::PortalStore,
    },
    error::{ErrorInfo, PgWireError, PgWireResult},
    messages::{PgWireBackendMessage, PgWireFrontendMessage},
};
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};
use tokio_postgres::types::FromSql;

use super::{
    DATABASE,
    catalog::{Client, VERSION},
    session::{Outcome, Session},
    sql::{Field, Relation, SqlError, Statement, statements},
    value::Value,
};
use crate::sandbox::{faults::Side, lock, world::World};

/// The front of one database.
#[derive(Debug)]
pub(in crate::sandbox) struct Front {
    pub(super) world: Arc<World>,
    pub(super) side: Side,
    /// Connections by number, with what ends them.
    open: Mutex<BTreeMap<i32, (Client, Option<AbortHandle>)>>,
}

impl Front {
    pub(in crate::sandbox) fn new(world: Arc<World>, side: Side) -> Self {
        Self { world, side, open: Mutex::default() }
    }

    pub(super) fn clients(&self) -> Vec<Client> {
        lock(&self.open).values().map(|(client, _)| client.clone()).collect()
    }

    pub(super) fn forget(&self, pid: i32) {
        lock(&self.open).remove(&pid);
    }

    /// Ends a connection; whose it was.
    pub(super) fn end(&self, pid: i32) -> Option<String> {
        let (client, handle) = lock(&self.open).remove(&pid)?;
        if let Some(handle) = handle {
            handle.abort();
        }
        Some(client.user)
    }

    fn note_query(&self, pid: i32, query: &str) {
        let now = self.world.clock.now();
        if let Some((client, _)) = lock(&self.open).get_mut(&pid) {
            client.active = now;
            query.clone_into(&mut client.query);
        }
    }

    /// Lets a client in.
    fn admit(&self, user: &str, database: &str, application: &str) -> Result<Client, SqlError> {
        if database != DATABASE {
            return Err(SqlError::new("3D000", format!("database \"{database}\" does not exist")));
        }
        let now = self.world.clock.now();
        let held = self.clients().iter().filter(|client| client.user == user).count() as i64;
        let mut databases = lock(&self.world.databases);
        let database = databases.of_mut(self.side);
        database.admits(user, held).map_err(|(code, message)| SqlError::new(code, message))?;
        Ok(Client {
            pid: database.new_pid(),
            user: user.to_owned(),
            application: application.to_owned(),
            started: now,
            active: now,
            query: String::new(),
        })
    }
}

/// Serves until the future is dropped; its connections die with it.
pub(in crate::sandbox) async fn serve(listener: TcpListener, front: Arc<Front>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A failed accept concerns one client, not the server.
                let Ok((stream, _)) = accepted else { tokio::task::yield_now().await; continue };
                let connection = Arc::new(Connection { front: front.clone(), own: OnceLock::new(), session: Mutex::new(None) });
                let handlers = Handlers(connection.clone());
                // The error is a client that went away, which is all there is to know.
                let handle = connections.spawn(async move { drop(pgwire::tokio::process_socket(stream, None, handlers).await) });
                // It was made just above and is set nowhere else.
                let _ = connection.own.set(handle);
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection, from its startup on.
#[derive(Debug)]
struct Connection {
    front: Arc<Front>,
    own: OnceLock<AbortHandle>,
    session: Mutex<Option<Session>>,
}

/// What the protocol's library calls.
#[derive(Debug, Clone)]
struct Handlers(Arc<Connection>);

impl std::ops::Deref for Handlers {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl PgWireServerHandlers for Handlers {
    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        Arc::new(self.clone())
    }

    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        Arc::new(self.clone())
    }

    fn startup_handler(&self) -> Arc<impl StartupHandler> {
        Arc::new(self.clone())
    }
}

fn told(error: SqlError, severity: &str) -> ErrorInfo {
    let mut info = ErrorInfo::new(severity.to_owned(), error.code.to_owned(), error.message);
    info.hint = error.hint;
    info
}

fn refused(error: SqlError) -> PgWireError {
    PgWireError::UserError(Box::new(told(error, "ERROR")))
}

#[async_trait]
impl StartupHandler for Handlers {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let PgWireFrontendMessage::Startup(startup) = &message else { return Ok(()) };
        auth::protocol_negotiation(client, startup).await?;
        auth::save_startup_parameters_to_metadata(client, startup);
        let of = |name: &str| client.metadata().get(name).cloned().unwrap_or_default();
        let user = of(METADATA_USER);
        let database = Some(of(METADATA_DATABASE)).filter(|name| !name.is_empty()).unwrap_or_else(|| user.clone());
        let admitted = self.front.admit(&user, &database, &of(METADATA_APPLICATION_NAME));
        let admitted = admitted.map_err(|error| PgWireError::UserError(Box::new(told(error, "FATAL"))))?;
        client.set_pid_and_secret_key(admitted.pid, pgwire::messages::startup::SecretKey::I32(admitted.pid));
        *lock(&self.session) = Some(Session::new(self.front.clone(), &admitted));
        let mut parameters = DefaultServerParameterProvider::default();
        parameters.server_version = VERSION.to_owned();
        parameters.is_superuser = user == super::OPERATOR;
        parameters.time_zone = "UTC".to_owned();
        lock(&self.front.open).insert(admitted.pid, (admitted, self.own.get().cloned()));
        auth::finish_authentication(client, &parameters).await
    }
}

impl Connection {
    fn with<T>(&self, use_it: impl FnOnce(&mut Session) -> Result<T, SqlError>) -> Result<T, SqlError> {
        let mut session = lock(&self.session);
        let session = session.as_mut().ok_or_else(|| SqlError::new("08P01", "the session has not begun"))?;
        use_it(session)
    }

    /// Closes the connection without a word.
    async fn drop_out(&self) {
        if let Some(own) = self.own.get() {
            own.abort();
        }
        std::future::pending::<()>().await;
    }
}

impl Handlers {
    /// Sums over whole tables take a while, which is no reason for the rest of the world to wait.
    async fn execute(&self, statement: Statement, parameters: Vec<Value>) -> Result<Outcome, SqlError> {
        let connection = self.0.clone();
        let run = move || connection.with(|session| session.execute(&statement, &parameters));
        let ended = tokio::task::spawn_blocking(run).await;
        ended.unwrap_or_else(|error| Err(SqlError::new("XX000", error.to_string())))
    }
}

#[async_trait]
impl SimpleQueryHandler for Handlers {
    async fn do_query<C>(&self, _: &mut C, query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        if let Some(pid) = lock(&self.session).as_ref().map(|session| session.pid) {
            self.front.note_query(pid, query);
        }
        let mut responses = Vec::new();
        for statement in statements(query).map_err(refused)? {
            match self.execute(statement, Vec::new()).await {
                Ok(Outcome::Dropped) => self.drop_out().await,
                Ok(outcome) => responses.push(response(outcome, &Format::UnifiedText)?),
                Err(error) => {
                    responses.push(Response::Error(Box::new(told(error, "ERROR"))));
                    break;
                }
            }
        }
        Ok(responses)
    }
}

/// A statement that was prepared: what it is, the types of its parameters, and the columns that it gives.
#[derive(Debug, Clone)]
struct Prepared {
    statement: Statement,
    parameters: Vec<Type>,
    fields: Vec<Field>,
}

#[async_trait]
impl QueryParser for Handlers {
    type Statement = Prepared;

    async fn parse_sql<C>(&self, _: &C, sql: &str, types: &[Option<Type>]) -> PgWireResult<Option<Prepared>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let mut all = statements(sql).map_err(refused)?;
        if all.len() > 1 {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(refused(SqlError::new("42601", message)));
        }
        let Some(statement) = all.pop() else { return Ok(None) };
        let fields = self.with(|session| session.describe(&statement)).map_err(refused)?.unwrap_or_default();
        let count = (1..=99).rev().find(|number| sql.contains(&format!("${number}"))).unwrap_or(0);
        let parameters = (0..count).map(|at| types.get(at).cloned().flatten().unwrap_or(Type::TEXT)).collect();
        Ok(Some(Prepared { statement, parameters, fields }))
    }

    fn get_parameter_types(&self, statement: &Prepared) -> PgWireResult<Vec<Type>> {
        Ok(statement.parameters.clone())
    }

    fn get_result_schema(&self, statement: &Prepared, format: Option<&Format>) -> PgWireResult<Vec<FieldInfo>> {
        Ok(schema(&statement.fields, format.unwrap_or(&Format::UnifiedBinary)))
    }
}

#[async_trait]
impl ExtendedQueryHandler for Handlers {
    type Statement = Prepared;
    type QueryParser = Self;

    fn query_parser(&self) -> Arc<Self> {
        Arc::new(self.clone())
    }

    async fn do_query<C>(&self, _: &mut C, portal: &Portal<Prepared>, _: usize) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let prepared = &portal.statement.statement;
        let parameters = parameters(portal).map_err(refused)?;
        match self.execute(prepared.statement.clone(), parameters).await.map_err(refused)? {
            Outcome::Dropped => {
                self.drop_out().await;
                Ok(Response::EmptyQuery)
            }
            outcome => response(outcome, &portal.result_column_format),
        }
    }
}

/// The values that were bound, by their types.
fn parameters(portal: &Portal<Prepared>) -> Result<Vec<Value>, SqlError> {
    let mut all = Vec::new();
    for (at, bytes) in portal.parameters.iter().enumerate() {
        let Some(bytes) = bytes else {
            all.push(Value::Null);
            continue;
        };
        let kind = portal.statement.statement.parameters.get(at).cloned().unwrap_or(Type::TEXT);
        let value = if portal.parameter_format.is_binary(at) { binary(&kind, bytes) } else { text(&kind, bytes) };
        let wrong = || SqlError::new("22P03", format!("incorrect binary data format in bind parameter {}", at + 1));
        all.push(value.ok_or_else(wrong)?);
    }
    Ok(all)
}

fn binary(kind: &Type, bytes: &[u8]) -> Option<Value> {
    Some(match *kind {
        Type::BOOL => Value::Bool(bool::from_sql(kind, bytes).ok()?),
        Type::INT2 => Value::Int(i16::from_sql(kind, bytes).ok()?.into()),
        Type::INT4 => Value::Int(i32::from_sql(kind, bytes).ok()?.into()),
        Type::INT8 => Value::Int(i64::from_sql(kind, bytes).ok()?),
        Type::OID => Value::Int(u32::from_sql(kind, bytes).ok()?.into()),
        Type::FLOAT8 => Value::Float(f64::from_sql(kind, bytes).ok()?),
        Type::PG_LSN => Value::Lsn(u64::from_be_bytes(bytes.try_into().ok()?)),
        _ => Value::Text(std::str::from_utf8(bytes).ok()?.to_owned()),
    })
}

fn text(kind: &Type, bytes: &[u8]) -> Option<Value> {
    let text = Value::Text(std::str::from_utf8(bytes).ok()?.to_owned());
    super::value::Kind::named(kind.name()).map_or(Some(text.clone()), |kind| text.cast(kind))
}

fn schema(fields: &[Field], format: &Format) -> Vec<FieldInfo> {
    let format = |at: usize| match format {
        Format::Individual(codes) => codes.get(at).map_or(FieldFormat::Text, |code| FieldFormat::from(*code)),
        format => format.format_for(at),
    };
    let info = |(at, (name, kind)): (usize, &Field)| FieldInfo::new(name.clone(), None, None, kind.wire(), format(at));
    fields.iter().enumerate().map(info).collect()
}

fn response(outcome: Outcome, format: &Format) -> PgWireResult<Response> {
    Ok(match outcome {
        Outcome::Rows(relation) => Response::Query(rows(&relation, format)?),
        Outcome::Done(tag) => Response::Execution(Tag::new(tag)),
        Outcome::Inserted(count) => Response::Execution(Tag::new("INSERT").with_oid(0).with_rows(count)),
        Outcome::Begun => Response::TransactionStart(Tag::new("BEGIN")),
        Outcome::Ended(committed) => Response::TransactionEnd(Tag::new(if committed { "COMMIT" } else { "ROLLBACK" })),
        Outcome::Dropped => Response::EmptyQuery,
    })
}

fn rows(relation: &Relation, format: &Format) -> PgWireResult<QueryResponse> {
    let schema = Arc::new(schema(&relation.fields, format));
    let mut encoder = DataRowEncoder::new(schema.clone());
    let mut all = Vec::with_capacity(relation.rows.len());
    for row in &relation.rows {
        for value in row {
            encoder.encode_field(value)?;
        }
        all.push(Ok(encoder.take_row()));
    }
    Ok(QueryResponse::new(schema, stream::iter(all)))
}
