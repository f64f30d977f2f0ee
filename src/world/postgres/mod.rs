//! Both databases, through one client.

pub mod sql;
