//! The command line: arguments, and the only place where the rooms are wired together.
//!
//! Exit codes: 0 fine; 1 something failed or was found wanting; 2 the command or the plan is invalid; 3 nothing was found
//! wanting, but not everything could be looked at. Machine output
//! goes to stdout, everything else to stderr.

mod args;
mod find;
mod iam;
mod inspect;
mod open;
mod preflight;
mod process;
mod sandbox;
mod screen;
mod shared;
mod status;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use color_eyre::eyre::{Result, WrapErr as _};

use args::{Args, Command};
pub use open::sandbox_variables;

/// Everything went well.
const FINE: ExitCode = ExitCode::SUCCESS;

/// Something failed or was found wanting.
fn wanting() -> ExitCode {
    ExitCode::from(1)
}

/// The command or the plan is invalid.
fn invalid() -> ExitCode {
    ExitCode::from(2)
}

/// The program: reads the arguments and does what they say.
#[must_use]
pub fn main() -> ExitCode {
    to_its_end(program)
}

/// The program that is nothing but a screen: `cutover-screen`, which [`main`] becomes when it opens one.
#[must_use]
pub fn screen_main() -> ExitCode {
    to_its_end(screen::program)
}

/// Runs a program, and says what it fails of.
fn to_its_end(program: fn() -> Result<ExitCode>) -> ExitCode {
    let hooks = color_eyre::config::HookBuilder::default().display_location_section(false).display_env_section(false);
    let plain = color_eyre::config::Theme::new();
    let hooks = if colour() { hooks } else { hooks.theme(plain) };
    hooks.install().and_then(|()| program()).unwrap_or_else(|error| failed(&error))
}

fn program() -> Result<ExitCode> {
    let args = Args::parse();
    let runtime = runtime(workers(&args.command)).wrap_err("failed to start the runtime")?;
    let prints = !matches!(
        args.command,
        Command::Rehearse(_)
            | Command::Run(_)
            | Command::Join(_)
            | Command::Engine { .. }
            | Command::Screen { .. }
            | Command::Sandbox(_)
    );
    match runtime.block_on(dispatch(args.command)) {
        Err(error) if prints && was_enough(&error) => Ok(FINE),
        ended => ended,
    }
}

/// Says what failed and what caused it. No backtrace, whatever the environment asks for: it is for a person who has other
/// things on their mind, and a panic, which is ours, still prints one.
fn failed(error: &color_eyre::Report) -> ExitCode {
    let mut told = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let cause = cause.to_string();
        // Many an error says its cause itself.
        if depth > 0 && told.contains(&cause) {
            continue;
        }
        told += &if depth == 0 { format!("error: {cause}") } else { format!("\n  because: {cause}") };
    }
    say(&told);
    wanting()
}

/// Whoever read our output has closed it, as `head` does when it has enough. An engine that hangs up on us breaks a pipe,
/// too, and that is nothing to be silent about.
fn was_enough(error: &color_eyre::Report) -> bool {
    let broken = error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        let json = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        io.or(json) == Some(std::io::ErrorKind::BrokenPipe)
    });
    broken && nobody_reads(std::io::stdout())
}

/// Whether the other end of our output is gone.
fn nobody_reads(out: impl std::os::fd::AsFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(&out, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&at_once)).is_ok_and(|_| fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP))
}

/// Threads beside the first. A cockpit needs none. An engine has its log on the first, where the disk may keep it waiting,
/// and all that watches and acts on a second; a third would only be woken for what the second could have gone on with. A
/// sandbox is several servers.
const fn workers(command: &Command) -> usize {
    match command {
        Command::Engine { .. } => 1,
        Command::Sandbox(_) => 2,
        _ => 0,
    }
}

fn runtime(workers: usize) -> std::io::Result<tokio::runtime::Runtime> {
    let (single, multi) = (tokio::runtime::Builder::new_current_thread, tokio::runtime::Builder::new_multi_thread);
    let mut builder = if workers > 0 { multi() } else { single() };
    builder.worker_threads(workers.max(1)).enable_all().build()
}

async fn dispatch(command: Command) -> Result<ExitCode> {
    match command {
        Command::Rehearse(args) => open::rehearse(&args).await,
        Command::Run(args) => open::run(&args).await,
        Command::Join(args) => open::join(&args).await,
        Command::Sessions { json } => inspect::sessions(json).await,
        Command::Status { session, socket, json } => status::status(session.as_deref(), socket.as_deref(), json).await,
        Command::Check { plan, env, json } => inspect::check(&plan, env.as_deref(), json),
        Command::Preflight(args) => preflight::preflight(&args).await,
        Command::Iam(args) => iam::iam(&args),
        Command::Journal { session, copy_to: Some(url), .. } => shared::copy_up(session.as_deref(), &url).await,
        Command::Journal { session, json, verify, .. } => inspect::journal(session.as_deref(), json, verify),
        Command::NotifyTest { plan, env } => inspect::notify_test(&plan, &env).await,
        Command::RollbackScript { session } => inspect::rollback_script(session.as_deref()),
        Command::Sandbox(args) => sandbox::serve(&args).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "cutover", &mut std::io::stdout());
            Ok(FINE)
        }
        Command::Engine { dir } => process::engine(&dir).await,
        Command::Screen { opening } => screen::here(&opening).await,
    }
}

/// The text of a plan. None: it cannot be read, which has been said; the command is invalid.
fn read_plan(path: &std::path::Path) -> Option<String> {
    let text = std::fs::read_to_string(path);
    text.inspect_err(|error| say(&format!("failed to read the plan {}: {error}", path.display()))).ok()
}

/// Says something to the person, on stderr. After a hang-up there is nobody left to hear it.
fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn say_unless(silent: bool, text: &str) {
    if !silent {
        say(text);
    }
}

/// Whether stderr takes colours: a terminal, and `NO_COLOR` is not set (<https://no-color.org>).
fn colour() -> bool {
    use std::io::IsTerminal as _;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::nobody_reads;

    #[test]
    fn only_who_has_closed_our_output_had_enough() {
        let (reader, writer) = std::io::pipe().unwrap();
        assert!(!nobody_reads(&writer), "somebody reads: what broke was something else");
        drop(reader);
        assert!(nobody_reads(&writer));
    }
}
