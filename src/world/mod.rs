//! Clients of what is outside. There is one implementation of each, the real one: rehearsals and tests change what it
//! talks to, never what it is.

pub mod dns;
