//! `cutover`: a full-screen terminal cockpit for moving a production system from Heroku to AWS.
//!
//! # The map
//!
//! Everything that happened is one ordered list of [`run::Event`]s. The engine is its only writer; whoever wants to know
//! the truth (a cockpit, a resume, a report) folds that list with [`run::State::apply`].
//!
//! ```text
//! keys -> tui --Command--> engine: run::decide(state, command) -> events -> journal (fsync) -> State::apply
//!                                                                   |-> steps act on the world, only after the write
//! tui <--snapshot, then events as they happen-- session <-- engine
//! ```
//!
//! | room | what lives there | may import |
//! |---|---|---|
//! | [`clock`] | the only caller of `now()` | nothing |
//! | [`plan`] | what the operator wrote, validated; errors point into the file | nothing |
//! | [`run`] | what happened: events, the fold, `decide`, gates, interlock, verdicts, price | plan |
//! | [`journal`] | the log on disk and in object storage: hash chain, fsync, lock, replay | run, plan, clock |
//! | [`world`] | clients of what is outside; real ones only | plan, run (their plain data), clock |
//! | [`steps`] | one file per kind of step: preview, apply, observe, undo | world, run, plan, clock |
//! | [`preflight`] | what the plan needs of AWS; whether the world is as the plan expects it | world, run, plan, clock |
//! | [`watch`] | samplers that turn the world into series and verdicts | preflight, world, run, plan, clock |
//! | [`notify`] | webhooks: who is told what happens | world, run, plan, clock |
//! | [`engine`] | the coordinator, its executor, recovery | steps, watch, notify, journal, session, world, run, plan, clock |
//! | [`session`] | the Unix socket: messages, server, client; where a session stands | journal, run, plan, clock |
//! | [`tui`] | terminal guard, keymap, theme, one file per pane | session, run, plan, clock |
//! | [`sandbox`] | the embedded world for rehearsals, on loopback; knows nothing of the cockpit | clock |
//! | `cli` | arguments; wires the rooms together; the only room that may import all | all |
//!
//! Two programs are made of it: `main.rs` is `cutover`, and `screen.rs` is `cutover-screen`, which the first becomes when
//! it opens a cockpit. It reaches neither the engine nor the SDKs, so that the linker leaves them out (`cli/screen.rs`).
//!
//! `plan` and `run` import no clock, no I/O, no async. `tests/architecture.rs` reads the `use` lines and holds the table.

pub mod cli;
pub mod clock;
pub mod engine;
pub mod journal;
pub mod notify;
pub mod plan;
pub mod preflight;
pub mod run;
pub mod sandbox;
pub mod session;
pub mod steps;
pub mod tui;
pub mod watch;
pub mod world;
