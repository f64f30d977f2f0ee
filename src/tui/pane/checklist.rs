//! Everything that people tick off, step by step; above it, what the preflight finds.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pen, Role, Rolled, Scene, framed, padded, rolled, steps::symbol, word};
use crate::{
    run::{self, Standing},
    tui::model::items,
};

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) -> Rolled {
    let (done, all) = tally(scene);
    let role = if done == all { Role::Good } else { Role::Warn };
    let right = [word(role, format!("{done}/{all} ticked"))];
    let inside = framed(scene, area, &[word(Role::Text, "Checklist")], &right, buf);
    rolled(scene, padded(inside), scene.ui.scroll, buf, |pen| all_items(scene, pen, all))
}

fn all_items(scene: &Scene<'_>, pen: &mut Pen<'_>, all: usize) {
    preflight(scene, pen);
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

/// What the preflight finds fault with, before everything else; and that it finds none.
fn preflight(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    let findings = &scene.state().findings;
    if findings.is_empty() {
        return;
    }
    let worst = findings.iter().map(|finding| finding.standing).max();
    let look = |standing: Standing| match standing {
        Standing::Passed => (Role::Good, scene.theme.glyphs.done),
        Standing::Unknown => (Role::Warn, scene.theme.glyphs.unknown),
        Standing::ActionRequired => (Role::Bad, scene.theme.glyphs.fail),
    };
    let (role, glyph) = look(worst.unwrap_or(Standing::Unknown));
    pen.put(role, glyph).put(Role::Strong, " Preflight ").put(role, &run::tally(findings)).line();
    for finding in findings.iter().filter(|finding| finding.standing != Standing::Passed) {
        let (role, glyph) = look(finding.standing);
        pen.gap(2).put(role, glyph).gap(1).wrapped(Role::Text, &format!("{}: {}", finding.title, finding.reason));
        if let Some(remedy) = &finding.remedy {
            pen.gap(4).wrapped(Role::Dim, remedy);
        }
    }
    pen.line();
}

fn tally(scene: &Scene<'_>) -> (usize, usize) {
    let steps = scene.plan().steps.iter();
    steps.fold((0, 0), |(done, all), step| {
        let count = items(scene.plan(), &step.id).len();
        let ticked = scene.state().step(&step.id).map_or(0, |state| state.ticked.len().min(count));
        (done + ticked, all + count)
    })
}
