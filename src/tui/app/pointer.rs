//! The mouse: what it points at, and nothing that is decided.

use std::time::Instant;

use crossterm::event::MouseEvent;
use ratatui::layout::Position;

use super::{App, Follower, Intent, Options, Scene, pane, wall_now};

impl App {
    pub(super) fn pointed(&mut self, mouse: MouseEvent, now: Instant) -> Vec<Intent> {
        let Some(snapshot) = self.follower.as_ref().map(Follower::snapshot) else { return Vec::new() };
        let Options { theme, tz, .. } = &self.options;
        let times = (snapshot.clock.at_wall(wall_now()), now);
        let scene = Scene::new(snapshot, &self.ui, (*theme, tz), times, self.lost.as_ref());
        let spot = pane::at(&scene, self.screen.area(), Position::new(mouse.column, mouse.row));
        self.ui.pointed(snapshot, spot, mouse.kind)
    }
}
