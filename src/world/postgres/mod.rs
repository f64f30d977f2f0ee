//! Both databases, through one client.
//!
//! | file | what it holds |
//! |---|---|
//! | [`sql`] | every statement that is ever sent |
//! | `session` | a connection: time-outs, TLS, what an error means |
//! | `facts` | what a side is: version, tables, extensions, schema and its fingerprint |
//! | `replication` | slot, subscription, heartbeat: caught up, behind, or dead |
//! | `access` | who may write, how that is changed, and who still does |
//! | `content` | sequences, counts and checksums |
//!
//! A session that reads cannot write: PostgreSQL is told so first of all. What changes something has a connection of its
//! own, is sent once, and is in doubt when the connection is lost.

mod access;
mod content;
mod facts;
mod replication;
mod session;
pub mod sql;

use std::sync::Arc;

pub use access::{Ability, Leak, Motion, Sessions};
pub use content::{Digest, Sequence};
pub use facts::{Column, DatabaseFacts, Extension, Schema, Table};
pub use replication::{Lsn, Replication, Slot, Subscription};
pub use session::Session;

use self::session::{Connector, Purpose};
use super::{ConnectError, error::Failure};
use crate::{
    plan::{Databases, Plan, Side},
    run::Trouble,
};

/// Both databases of a plan.
#[derive(Debug)]
pub struct Postgres {
    plan: Databases,
    old: Server,
    new: Server,
}

/// One database. Sessions that read are shared and made anew when they are lost.
#[derive(Debug)]
pub struct Server {
    side: Side,
    heartbeat: String,
    connector: Connector,
    shared: tokio::sync::Mutex<Option<Arc<Session>>>,
    defaults: std::sync::Mutex<access::Defaults>,
}

/// How a side is called in the name of a call.
const fn word(side: Side) -> &'static str {
    match side {
        Side::Old => "old",
        Side::New => "new",
    }
}

impl Postgres {
    /// Nothing is called yet, and no environment variable is read.
    pub(super) fn new(plan: &Plan, databases: &Databases) -> Result<Self, ConnectError> {
        let server = |side| {
            let connector = Connector::new(plan, side, databases.get(side))?;
            let heartbeat = databases.heartbeat_name();
            Ok(Server { side, heartbeat, connector, shared: Default::default(), defaults: Default::default() })
        };
        Ok(Self { plan: databases.clone(), old: server(Side::Old)?, new: server(Side::New)? })
    }

    /// One side.
    #[must_use]
    pub const fn side(&self, side: Side) -> &Server {
        match side {
            Side::Old => &self.old,
            Side::New => &self.new,
        }
    }

    /// What the plan says of both.
    #[must_use]
    pub const fn plan(&self) -> &Databases {
        &self.plan
    }
}

impl Server {
    /// Which side it is.
    #[must_use]
    pub const fn which(&self) -> Side {
        self.side
    }

    /// The session that all readers share.
    ///
    /// # Errors
    /// No connection, or the server refuses it.
    pub async fn read(&self) -> Result<Arc<Session>, Trouble> {
        let mut shared = self.shared.lock().await;
        if let Some(session) = shared.as_ref().filter(|session| session.lives()) {
            return Ok(Arc::clone(session));
        }
        let session = Arc::new(self.connector.connect(Purpose::Read).await.map_err(Trouble::from)?);
        *shared = Some(Arc::clone(&session));
        Ok(session)
    }

    /// A session of one's own whose statements may take half an hour. It only reads.
    ///
    /// # Errors
    /// As [`Server::read`].
    pub async fn compare(&self) -> Result<Session, Trouble> {
        Ok(self.connector.connect(Purpose::Compare).await?)
    }

    /// A session of one's own that may write, also where the database is read-only by default.
    ///
    /// # Errors
    /// As [`Server::read`]; nothing was sent.
    pub async fn act(&self) -> Result<Session, Failure> {
        self.connector.connect(Purpose::Act).await
    }
}
