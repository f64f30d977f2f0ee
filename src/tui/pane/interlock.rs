//! What runs where: never two runners of one role, never none by accident.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pane, Pen, Role, Scene, frame, padded, text, word};
use crate::{
    plan::{self, Side},
    run::{Cell, role_word},
};

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) {
    let (role, verdict) = verdict(scene);
    let right = [word(role, verdict)];
    let inside = frame(scene, Pane::Interlock, area, &[word(Role::Text, "Interlock")], &right, buf);
    let mut pen = Pen::new(buf, scene.theme, padded(inside));
    let sides = &scene.plan().sides;
    let label = text::width(&sides.old.label).max(text::width(&sides.new.label)).min(12) + 2;
    let column = (pen.width().saturating_sub(label) / 4).min(9);
    pen.gap(label);
    for role in plan::Role::ALL {
        pen.cell(Role::Dim, role_word(role), column);
    }
    for (side, color) in [(Side::Old, Role::Old), (Side::New, Role::New)] {
        pen.line().cell(color, &scene.plan().sides.get(side).label, label);
        for role in plan::Role::ALL {
            cell(scene, &mut pen, side, role, column);
        }
    }
}

fn cell(scene: &Scene<'_>, pen: &mut Pen<'_>, side: Side, role: plan::Role, column: usize) {
    let glyphs = scene.theme.glyphs;
    let doubled = scene.state().runners.doubled().any(|doubled| doubled == role);
    let watched = scene.plan().runners.iter().any(|runner| runner.side == side && runner.role == role);
    let seen = scene.state().runners.get(side, role).or(watched.then_some(Cell::Unknown));
    let (meaning, glyph, words) = match seen {
        None => (Role::Line, glyphs.dash, ""),
        Some(Cell::On) if doubled => (Role::Bad, glyphs.on, " TWO"),
        Some(Cell::On) => (Role::Good, glyphs.on, " on"),
        Some(Cell::Off) => (Role::Dim, glyphs.off, " off"),
        Some(Cell::Unknown) => (Role::Warn, glyphs.unknown, " ?"),
    };
    pen.cell(meaning, &format!("{glyph}{words}"), column);
}

fn verdict(scene: &Scene<'_>) -> (Role, String) {
    let runners = &scene.state().runners;
    let doubled: Vec<_> = runners.doubled().map(role_word).collect();
    if !doubled.is_empty() {
        return (Role::Bad, format!("TWO {}", doubled.join(", ")));
    }
    let watched = scene.plan().runners.iter().map(|runner| (runner.side, runner.role));
    let unknown = watched.filter(|(side, role)| runners.get(*side, *role).unwrap_or_default() == Cell::Unknown).count();
    match (scene.plan().runners.is_empty(), unknown) {
        (true, _) => (Role::Dim, "not watched".into()),
        (_, 0) => (Role::Good, "never two: holds".into()),
        (_, unknown) => (Role::Warn, format!("{} unknown", text::count(unknown, "cell"))),
    }
}

pub(super) fn strip(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    for (side, color) in [(Side::Old, Role::Old), (Side::New, Role::New)] {
        let running: Vec<_> = plan::Role::ALL
            .into_iter()
            .filter(|role| scene.state().runners.get(side, *role) == Some(Cell::On))
            .map(role_word)
            .collect();
        let words = if running.is_empty() { "nothing".to_owned() } else { running.join(" ") };
        pen.put(color, &scene.plan().sides.get(side).label).gap(1).put(Role::Text, &words).gap(2);
    }
    let (role, verdict) = verdict(scene);
    pen.right(role, &format!("{verdict} "));
}
