//! Whether the engine can be heard, and since when not.

use std::time::Instant;

use super::App;
use crate::{
    clock::wall_now,
    session::{
        Taken,
        message::{Snapshot, ToCockpit},
    },
    tui::model::Lost,
};

impl App {
    /// The command that starts an engine that does not run.
    pub(super) fn restart(&self) -> Option<String> {
        self.lost.as_ref().and_then(|lost| lost.restart.clone())
    }

    /// It can be heard.
    pub(super) fn came_up(&mut self, snapshot: &Snapshot) {
        self.heard = Some(snapshot.clock.at_wall(wall_now()));
        self.lost = None;
        self.ui.heard();
    }

    /// It cannot: what is shown is as of when it was heard last.
    pub(super) fn went_down(&mut self, reason: String, restart: Option<String>, now: Instant) {
        let lost = Lost { reason, since: self.heard.unwrap_or_else(wall_now), restart };
        self.ui.lost(lost.words());
        self.lost = Some(lost);
        self.soon(now);
    }

    /// Something came from it, or the refusal of what it cannot be asked.
    pub(super) fn message(&mut self, message: ToCockpit, now: Instant) {
        let Some(follower) = self.follower.as_mut() else { return };
        if self.lost.is_none() {
            self.heard = Some(follower.snapshot().clock.at_wall(wall_now()));
        }
        match follower.take(message) {
            Taken::Missed => self.link.resync(),
            Taken::Reply { result: Err(refusal), .. } => {
                self.ui.refused(refusal.0, now);
                self.soon(now);
            }
            Taken::Reply { .. } | Taken::Followed => {}
        }
    }
}
