//! What befalls a machine in the middle of a cutover, and engines that die before, inside and after every event and around
//! every call that would change the world. What the sandbox's own ledger says happened is compared with what the journal
//! says. Nothing of the program is replaced, and nothing in it knows of the tests.
//!
//! | | |
//! |---|---|
//! | `shim.c`, `shim` | under the engine: its writes and its clock are what the test wants |
//! | `proxy` | in front of the sandbox's services: sees every call that would change the world, and may lose it |
//! | `points` | every place at which a rehearsal can be cut, each cut once |
//! | `home` | a sandbox, a session, its engine |
//! | `everywhere`, `troubles` | the tests |
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may panic as the test itself")]
#![expect(clippy::print_stderr, reason = "a test says what it counted")]

mod everywhere;
mod home;
mod points;
mod proxy;
mod shim;
mod troubles;
#[path = "../cockpit/truth.rs"]
mod truth;
