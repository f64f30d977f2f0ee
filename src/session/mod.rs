//! The Unix socket between engine and cockpits: messages, server, client.

pub mod message;
