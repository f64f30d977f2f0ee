//! The Unix socket between engine and cockpits: messages, server, client.
//!
//! ```text
//! cockpit                                   engine process
//! Follower <- Link <- Client  ===socket===  Server -> Hub --Inbound--> engine
//!                                             ^------- events, samples ----+
//! ```
//!
//! - Frames: a big-endian `u32` length and one JSON value, [`message::ToEngine`] or [`message::ToCockpit`]. At most 64 KiB
//!   towards the engine and 32 MiB towards a cockpit; a longer one ends the connection.
//! - The engine's side lets in the same user, root, and whom the plan's `[access]` names, by the kernel's word
//!   (`SO_PEERCRED`), before a byte is read. What a hello says of its person is claimed, never proven.
//! - Who looks at which step is told to everybody and never journaled.
//! - **No gap, no double.** The [`Hub`] folds each event and queues it for every cockpit under one lock; a snapshot is
//!   taken under the same lock. What follows a snapshot on a connection is exactly what happened after it. Events carry
//!   their number too, so a [`Follower`] drops what it knows and notices what it misses.
//! - **Without the engine.** [`watch_remote`] feeds the same [`Link`] from a journal in object storage: whoever looks on
//!   from another machine sees the same fold, a second later, without what was only measured.
//! - **Nobody blocks the engine.** Each cockpit has a bounded queue. When it is full, what waits in it is dropped, and
//!   the cockpit gets a fresh snapshot as soon as it reads again. Joining is the same thing: a cockpit begins as one that
//!   has missed everything. Replies to requests are never dropped.

mod autopilot;
mod client;
mod follower;
mod frame;
mod hub;
mod link;
pub mod message;
mod origin;
mod peer;
mod server;
mod shared;
mod socket;
mod status;
mod watcher;

pub use autopilot::{DriveError, DriveOptions, drive, next_request};
pub use client::{Client, ConnectError, Lost, Receiver, Sender};
pub use follower::{Changed, Follower, Taken};
pub use hub::{Hub, Inbound};
pub use link::{Link, News};
pub use origin::origin_here;
pub use peer::login_name;
pub use server::Server;
pub use shared::{Shared, shared_sessions};
pub use socket::{BindError, runtime_dir};
pub use status::{Status, StatusError, Summary, recorded, status};
pub use watcher::watch_remote;

#[cfg(test)]
mod tests;
