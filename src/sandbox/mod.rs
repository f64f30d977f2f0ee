//! The embedded world for rehearsals: speaks the real wire protocols on loopback and knows nothing of the cockpit.

pub mod dns;
pub mod zone;
