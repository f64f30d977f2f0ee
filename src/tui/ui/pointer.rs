//! What the mouse does to this screen: it chooses what is looked at, and decides nothing.

use crossterm::event::MouseEventKind;

use super::{Intent, Overlay, Ui, commands::moved};
use crate::{
    session::message::Snapshot,
    tui::{
        keymap::{Command, View},
        model,
        pane::{Pane, Spot},
    },
};

/// Lines that one turn of the wheel moves what is read.
const TURN: usize = 3;

impl Ui {
    /// A press or a turn of the wheel over a spot. While a gate is open, or something is asked, only keys count.
    pub(in crate::tui) fn pointed(
        &mut self,
        snapshot: &Snapshot,
        spot: Option<Spot>,
        kind: MouseEventKind,
    ) -> Vec<Intent> {
        let turned = match kind {
            MouseEventKind::ScrollUp => Some(Command::Up),
            MouseEventKind::ScrollDown => Some(Command::Down),
            _ => None,
        };
        if self.gate.open().is_some() || self.gate.latch().is_some() || self.waiting.disturb() {
            return Vec::new();
        }
        if self.overlay.is_some() {
            self.turn_overlay(turned);
            return Vec::new();
        }
        match (spot, turned) {
            (Some(Spot::Step(index)), None) => {
                self.point(Pane::Steps);
                self.look_at(snapshot, index)
            }
            (Some(Spot::Step(_)), Some(command)) => self.turn(snapshot, Some(Pane::Steps), command),
            (Some(Spot::Pane(pane)), None) => {
                self.point(pane);
                Vec::new()
            }
            (Some(Spot::Pane(pane)), Some(command)) => self.turn(snapshot, Some(pane), command),
            (Some(Spot::View), Some(command)) => self.turn(snapshot, None, command),
            (Some(Spot::View) | None, _) => Vec::new(),
        }
    }

    fn point(&mut self, pane: Pane) {
        if (self.view, self.focus) != (View::Cockpit, pane) {
            self.focus(pane);
        }
    }

    fn turn(&mut self, snapshot: &Snapshot, pane: Option<Pane>, command: Command) -> Vec<Intent> {
        if let Some(pane) = pane {
            self.point(pane);
        }
        // What is chosen goes one by one, what is read by lines.
        let chosen = matches!(pane, Some(Pane::Steps | Pane::Step | Pane::Graphs)) || self.view == View::Graphs;
        let times = if chosen { 1 } else { TURN };
        let travelled = |ui: &mut Self| {
            let target = model::target(snapshot, ui.pinned);
            ui.travel(snapshot, &target, command)
        };
        (0..times).flat_map(|_| travelled(self)).collect()
    }

    fn turn_overlay(&mut self, turned: Option<Command>) {
        let Some(command) = turned else { return };
        let by = |at: usize| (0..TURN).fold(at, |at, _| moved(at, command));
        match &mut self.overlay {
            Some(Overlay::Help(at) | Overlay::Plain(at) | Overlay::Alarms(at)) => *at = by(*at),
            Some(Overlay::Question(question)) => question.scroll = by(question.scroll),
            Some(Overlay::People | Overlay::Form(_)) | None => {}
        }
    }
}
