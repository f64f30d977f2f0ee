//! Everything that people tick off, step by step.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pen, Role, Scene, framed, padded, steps::symbol, word};
use crate::tui::model::items;

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) {
    let (done, all) = tally(scene);
    let role = if done == all { Role::Good } else { Role::Warn };
    let right = [word(role, format!("{done}/{all} ticked"))];
    let inside = framed(scene, area, &[word(Role::Text, "Checklist")], &right, buf);
    let mut pen = Pen::scrolled(buf, scene.theme, padded(inside), scene.ui.scroll);
    if all == 0 {
        pen.put(Role::Dim, "The plan has no manual steps: nothing is ticked off by hand.");
        return;
    }
    for (index, step) in scene.plan().steps.iter().enumerate() {
        let items = items(scene.plan(), &step.id);
        let Some(state) = scene.state().step(&step.id).filter(|_| !items.is_empty()) else { continue };
        let (glyph, role) = symbol(scene.theme.glyphs, scene.phase(&step.id));
        pen.put(role, glyph).put(Role::Strong, &format!(" {} {}", index + 1, step.title)).line();
        for (number, item) in items.iter().enumerate() {
            let ticked = state.ticked.contains(&u32::try_from(number).unwrap_or(u32::MAX));
            let mark = if ticked { scene.theme.glyphs.done } else { " " };
            pen.gap(2).put(Role::Dim, "[").put(Role::Good, mark).put(Role::Dim, "] ");
            pen.wrapped(if ticked { Role::Dim } else { Role::Text }, item);
        }
        pen.line();
    }
    pen.put(Role::Dim, "A running step is ticked in the cockpit: ").put(Role::Key, "1").put(Role::Dim, ", then ");
    pen.put(Role::Key, "Space").put(Role::Dim, ".");
}

fn tally(scene: &Scene<'_>) -> (usize, usize) {
    let steps = scene.plan().steps.iter();
    steps.fold((0, 0), |(done, all), step| {
        let count = items(scene.plan(), &step.id).len();
        let ticked = scene.state().step(&step.id).map_or(0, |state| state.ticked.len().min(count));
        (done + ticked, all + count)
    })
}
