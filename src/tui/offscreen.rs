//! The cockpit without a terminal: what its frames would be. For pictures and benchmarks; it hears no keys but views.

use jiff::{Timestamp, tz::TimeZone};
use ratatui::layout::Rect;

use super::{
    Theme,
    keymap::View,
    model::Scene,
    pane,
    screen::Screen,
    ui::{Overlay, Ui},
};
use crate::{clock::monotonic, session::message::Snapshot};

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The cockpit with all panes.
    Cockpit,
    /// All graphs.
    Graphs,
    /// The journal.
    Journal,
    /// The help over the cockpit.
    Help,
}

/// A screen of a fixed size that remembers what a terminal would show.
#[derive(Debug)]
pub struct Offscreen {
    screen: Screen,
    ui: Ui,
    theme: Theme,
    tz: TimeZone,
}

impl Offscreen {
    /// A screen of so many columns and lines, empty as a terminal is at first.
    #[must_use]
    pub fn new((columns, lines): (u16, u16), theme: Theme, tz: TimeZone) -> Self {
        Self { screen: Screen::new(Rect::new(0, 0, columns, lines)), ui: Ui::new(), theme, tz }
    }

    /// Turns to something else, as a key would; the next frame shows it.
    pub fn show(&mut self, shown: Shown) {
        self.ui.overlay = (shown == Shown::Help).then_some(Overlay::Help(0));
        self.ui.view = match shown {
            Shown::Cockpit | Shown::Help => View::Cockpit,
            Shown::Graphs => View::Graphs,
            Shown::Journal => View::Journal,
        };
    }

    /// The bytes that would bring the terminal from the last frame to this one; `now` is session time.
    pub fn frame(&mut self, snapshot: &Snapshot, now: Timestamp) -> Vec<u8> {
        let scene = Scene::new(snapshot, &self.ui, (self.theme, &self.tz), (now, monotonic()), None);
        let _ = pane::draw(&scene, self.screen.blank());
        self.screen.encode()
    }
}
