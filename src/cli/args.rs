//! The arguments.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use serde::{Deserialize, Serialize};

use crate::{run::Seat, tui};

/// A full-screen terminal cockpit for moving a production system from Heroku to AWS.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = "Begin with `cutover rehearse --guided`: some minutes on an embedded world, nothing real is touched."
)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Rehearse in the embedded sandbox: world, engine and cockpit in one command
    Rehearse(Rehearse),
    /// Open the cockpit on a plan: start its engine, or attach to the one that runs
    Run(Run),
    /// Attach to a running session
    Join(Join),
    /// List sessions, newest first
    Sessions {
        /// Machine-readable
        #[arg(long)]
        json: bool,
    },
    /// Tell where a session stands
    Status {
        /// Session id, or a unique part of it [default: the newest]
        session: Option<String>,
        /// The socket of an engine, perhaps of another user [default: looked for in the shared places]
        #[arg(long, conflicts_with = "session")]
        socket: Option<PathBuf>,
        /// Machine-readable
        #[arg(long)]
        json: bool,
    },
    /// Validate a plan offline; every error at once, with its place
    Check {
        /// The plan file
        plan: PathBuf,
        /// Only this environment [default: all]
        #[arg(long)]
        env: Option<String>,
        /// Machine-readable
        #[arg(long)]
        json: bool,
    },
    /// Send a test message to every webhook of a plan
    NotifyTest {
        /// The plan file
        plan: PathBuf,
        /// Which of its environments
        #[arg(long)]
        env: String,
    },
    /// Look at the real world before the window, and change nothing: identity, permissions forward and back, records,
    /// databases, task definitions, secrets by name, logs
    #[command(
        after_help = "Exit codes: 0 all passed; 1 action required; 2 the command or the plan is invalid; 3 nothing \
                            to do, but something could not be looked at."
    )]
    Preflight(Preflight),
    /// Print the smallest IAM policy that a plan needs, forward and back
    Iam(Iam),
    /// Print what happened in a session
    Journal {
        /// Session id, or a unique part of it [default: the newest]
        session: Option<String>,
        /// One event a line, as JSON
        #[arg(long)]
        json: bool,
        /// Check the hash chain and the fold instead of printing
        ///
        /// Whatever was altered, inserted, left out or put in another order is found. That whole events at the end were
        /// cut off is found where the engine's log beside the journal tells of them. If that is gone, too, nothing here
        /// can tell: compare the number of events and the hash with the copy in the bucket, or with what was noted.
        #[arg(long)]
        verify: bool,
        /// Copy it to object storage (s3://BUCKET/PREFIX), where any machine can go on with it
        #[arg(long, value_name = "URL", conflicts_with_all = ["json", "verify"])]
        copy_to: Option<String>,
    },
    /// Print the whole way back of a session as AWS CLI, Heroku CLI and SQL commands, from its journal alone
    RollbackScript {
        /// Session id, or a unique part of it [default: the newest]
        session: Option<String>,
    },
    /// Serve the embedded world alone and print its endpoints
    Sandbox(Sandbox),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// The engine of a session: started by the others, not by hand
    #[command(hide = true)]
    Engine {
        /// The session's directory
        dir: PathBuf,
    },
    /// A screen in this program: for the screens of another build, not by hand
    #[command(hide = true)]
    Screen {
        /// What it is opened on
        opening: String,
    },
}

/// `cutover rehearse`
#[derive(Debug, clap::Args)]
pub(super) struct Rehearse {
    /// The plan to rehearse; it must have an environment of kind `sandbox` [default: the built-in sample]
    #[arg(long)]
    pub(super) plan: Option<PathBuf>,
    /// What goes wrong: a built-in scenario's name or a file
    #[arg(long, default_value = "calm")]
    pub(super) scenario: String,
    /// Session seconds per second [default: 20; with --guided: 60]
    #[arg(long, value_parser = speed)]
    pub(super) speed: Option<f64>,
    /// Say at the bottom of the screen what to do next, and why: a first rehearsal in some minutes
    #[arg(long, conflicts_with = "autopilot")]
    pub(super) guided: bool,
    /// Drive without a person (the sandbox only)
    #[arg(long)]
    pub(super) autopilot: bool,
    /// No screen; needs --autopilot
    #[arg(long, requires = "autopilot")]
    pub(super) headless: bool,
    /// With --autopilot: after the end, roll everything back that can be
    #[arg(long, requires = "autopilot")]
    pub(super) and_back: bool,
    #[command(flatten)]
    pub(super) screen: Screen,
}

/// `cutover run`
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// The plan file
    pub(super) plan: PathBuf,
    /// Which of its environments
    #[arg(long)]
    pub(super) env: String,
    /// Begin a new session although an earlier one has not ended
    #[arg(long)]
    pub(super) new: bool,
    /// Keep the journal in object storage (s3://BUCKET/PREFIX), so that another machine can go on with the session
    #[arg(long, value_name = "URL", conflicts_with = "new")]
    pub(super) journal: Option<String>,
    #[command(flatten)]
    pub(super) screen: Screen,
}

/// `cutover join`
#[derive(Debug, clap::Args)]
pub(super) struct Join {
    /// Session id, or a unique part of it [default: the newest]; or where its journal is (s3://BUCKET/PREFIX), to look on
    /// from another machine
    pub(super) session: Option<String>,
    /// The socket of an engine, perhaps of another user [default: looked for in the shared places]
    #[arg(long, conflicts_with = "session")]
    pub(super) socket: Option<PathBuf>,
    /// The seat to take, if it is free
    #[arg(long, value_enum, default_value_t = Role::Viewer)]
    pub(super) role: Role,
    #[command(flatten)]
    pub(super) screen: Screen,
}

/// How the cockpit looks, and who sits at it.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
pub(super) struct Screen {
    /// Draw with ASCII only [default: as the locale allows]
    #[arg(long)]
    pub(super) ascii: bool,
    /// Colours: dark, light, high-contrast, ansi16, mono, or a file such as those in config/themes
    #[arg(long, env = "CUTOVER_THEME", default_value = "dark", value_name = "THEME", value_parser = tui::Palette::load)]
    pub(super) theme: tui::Palette,
    /// Your name, where several people share a login; it is shown as claimed and proves nothing
    #[arg(long = "as", value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Ring the terminal's bell when a gate waits for you, the run is held, or a guardrail is in breach
    #[arg(long)]
    pub(super) bell: bool,
    /// The same as a notification of the terminal (OSC 9)
    #[arg(long)]
    pub(super) osc9: bool,
    /// Take the mouse: a click looks at a pane or a step, the wheel scrolls; text is selected with Shift then. It passes
    /// no gate
    #[arg(long)]
    pub(super) mouse: bool,
}

/// A seat as typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Role {
    /// Looks
    Viewer,
    /// Acts; one at a time
    Driver,
    /// Confirms two-person gates
    Confirmer,
}

impl From<Role> for Seat {
    fn from(role: Role) -> Self {
        match role {
            Role::Viewer => Self::Viewer,
            Role::Driver => Self::Driver,
            Role::Confirmer => Self::Confirmer,
        }
    }
}

/// `cutover preflight`
#[derive(Debug, clap::Args)]
pub(super) struct Preflight {
    /// The plan file
    pub(super) plan: PathBuf,
    /// Which of its environments; a sandbox is started for the look
    #[arg(long)]
    pub(super) env: String,
    /// Machine-readable
    #[arg(long)]
    pub(super) json: bool,
}

/// `cutover iam`
#[derive(Debug, clap::Args)]
pub(super) struct Iam {
    /// The plan file
    pub(super) plan: PathBuf,
    /// Which of its environments
    #[arg(long)]
    pub(super) env: String,
    /// For people who only look
    #[arg(long)]
    pub(super) viewer: bool,
    /// The session's journal is kept there (s3://BUCKET/PREFIX)
    #[arg(long, value_name = "URL")]
    pub(super) journal: Option<String>,
}

/// `cutover sandbox`
#[derive(Debug, clap::Args)]
pub(super) struct Sandbox {
    /// What goes wrong: a built-in scenario's name or a file
    #[arg(long, default_value = "calm")]
    pub(super) scenario: String,
    /// Session seconds per second
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    pub(super) speed: f64,
    /// Machine-readable
    #[arg(long)]
    pub(super) json: bool,
    /// Write the endpoints to this file and detach from the terminal
    #[arg(long, hide = true)]
    pub(super) serve_into: Option<PathBuf>,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "a number such as 20".to_owned())?;
    if (1.0..=1000.0).contains(&speed) { Ok(speed) } else { Err("between 1 and 1000".to_owned()) }
}
