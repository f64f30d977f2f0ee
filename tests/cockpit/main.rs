//! The real program in a real terminal: sandbox, engine and cockpit as processes, keys through a PTY, the screen read
//! back by a terminal emulator. Nothing in here replaces a part of the program.
//!
//! | | |
//! |---|---|
//! | `home` | a place for sessions of its own, and what runs there |
//! | `terminal` | a PTY with the program in it |
//! | `hands` | a patient person at the keyboard |
//! | `truth` | the journal against what really happened in the world |
//! | `journey`, `kills`, `random_keys`, `endings`, `bad_input`, `outside`, `failures`, `programs`, `stall` | the tests |
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may panic as the test itself")]
#![expect(clippy::print_stderr, reason = "a test says what it counted")]

mod bad_input;
mod endings;
mod failures;
mod hands;
mod home;
mod journey;
mod kills;
mod outside;
mod programs;
mod random_keys;
mod stall;
mod terminal;
mod truth;
