//! The cockpit: what the person at the keyboard sees and presses.
//!
//! ```text
//! terminal -> input -> app -> ui (a key returns an intent) -> app -> session link -> engine
//!                       |
//! session link -> follower (snapshot) -> model (what follows) -> pane/* (draw) -> screen (fewest bytes) -> terminal
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `app`, `app/` | the loop; the only place that acts; what wakes it; what of a frame is kept |
//! | `terminal`, `input`, `screen`, `screen/`, `encode`, `encode/` | the terminal: taken and given back, keys from it, frames to it in the fewest bytes |
//! | `pace` | how much may be on its way to it |
//! | `ui/`, `keymap`, `form` | this screen's own state, and what commands do to it; the one table of keys; questions to the person |
//! | `sift` | the journal as it is looked through |
//! | `alert` | what the terminal is to call for attention about |
//! | `guide` | what a newcomer is told to do next, and why |
//! | `gate` | when a key is a decision and when it is an accident |
//! | `model`, `layout`, `pane/` | what is drawn, where, and each pane |
//! | `theme`, `pen`, `chart`, `text` | how things look |
//! | `offscreen` | the same frames without a terminal, for pictures and benchmarks |
//!
//! Drawing takes a shared reference to everything and returns what of a gate it really showed.

mod alert;
mod app;
mod chart;
mod deaf;
mod encode;
#[cfg(test)]
mod fixture;
mod form;
mod gate;
mod guide;
mod input;
mod keymap;
mod layout;
mod model;
mod offscreen;
mod pace;
mod pane;
mod pen;
mod screen;
mod sift;
mod terminal;
#[cfg(test)]
mod tests;
mod text;
mod theme;
mod ui;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

pub use keymap::CONSENT;
pub use offscreen::{Offscreen, Shown};
pub use theme::{Depth, Palette, Theme, ThemeError};

use crate::session::Link;

/// How a cockpit shows things.
#[derive(Debug, Clone)]
pub struct Options {
    /// Colours and glyphs; see [`Theme::detect`].
    pub theme: Theme,
    /// The zone of all times of day.
    pub tz: TimeZone,
    /// Whether a newcomer is led.
    pub guide: Guidance,
    /// What is said at first; None: nothing.
    pub note: Option<String>,
    /// How the terminal itself calls for attention.
    pub alert: Alert,
    /// Whether the mouse may choose what is looked at; selecting text then needs the terminal's own key for it (Shift).
    pub mouse: bool,
}

/// Whether a newcomer is led through the first rehearsal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Guidance {
    /// No; a key begins it.
    #[default]
    Off,
    /// It is offered.
    Offered,
    /// Yes.
    On,
}

/// How the terminal calls for attention: when a gate waits for this person, the run is held or doubted, or a guardrail
/// is in breach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Alert {
    /// The bell (BEL).
    pub bell: bool,
    /// A notification of the terminal (OSC 9).
    pub osc9: bool,
}

/// Why a cockpit ended. The run goes on in every case but [`Exit::Over`] and [`Exit::Dead`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// The person detached.
    Detached,
    /// The person left a session whose engine does not run; the command that starts it again.
    Dead(String),
    /// The person left a session that is over; what it came to.
    Over(String),
    /// The engine does not want this cockpit.
    Refused(String),
    /// The terminal is gone.
    Hangup,
    /// SIGTERM or SIGINT.
    Terminated,
}

/// Why a cockpit failed.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// Standard input or output is no terminal.
    #[error("failed to open the cockpit: it needs a terminal on standard input and output")]
    NoTerminal,
    /// The terminal does not obey.
    #[error("failed to use the terminal")]
    Terminal(#[source] std::io::Error),
}

/// Opens the cockpit on this terminal and runs it until the person leaves or the terminal goes.
///
/// The terminal is given back in every case, a panic included.
///
/// # Errors
/// [`TuiError`] when there is no terminal, or it fails.
pub async fn run(link: Link, options: Options) -> Result<Exit, TuiError> {
    let guard = terminal::Guard::take(options.mouse)?;
    let app = app::App::new(link, options)?;
    app.run(&guard).await
}
