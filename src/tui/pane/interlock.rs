//! What runs where: never two runners of one role, never none by accident.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pane, Pen, Role, Rolled, Scene, frame, padded, rolled, scrolled_by, text, word};
use crate::{
    plan::{self, Side, StepId},
    run::{self, Cell, HoldKind, role_word},
};

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) -> Rolled {
    let (role, verdict) = verdict(scene);
    let mut right = vec![word(role, verdict)];
    if let Some(left) = scene.telemetry().heroku.as_ref().and_then(|seen| seen.remaining) {
        let role = if left < super::step::SCARCE { Role::Warn } else { Role::Dim };
        right.push(word(role, format!("  API {left} left")));
    }
    let inside = frame(scene, Pane::Interlock, area, &[word(Role::Text, "Interlock")], &right, buf);
    rolled(scene, padded(inside), scrolled_by(scene, Pane::Interlock), buf, |pen| matrix(scene, pen))
}

fn matrix(scene: &Scene<'_>, pen: &mut Pen<'_>) {
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
            cell(scene, pen, side, role, column);
        }
    }
    pen.line();
    for words in strays(scene) {
        pen.line().wrapped(Role::Bad, &words);
    }
}

fn cell(scene: &Scene<'_>, pen: &mut Pen<'_>, side: Side, role: plan::Role, column: usize) {
    let glyphs = scene.theme.glyphs;
    let doubled = run::doubled(scene.plan(), scene.state()).contains(&role);
    let watched = scene.plan().runners.iter().any(|runner| runner.side == side && runner.role == role);
    let seen = scene.state().runners.get(side, role).or(watched.then_some(Cell::Unknown));
    let leaks = role == plan::Role::Writer && scene.state().leaks.contains_key(&side);
    let strays = misplaced(scene).any(|(there, which, _)| (there, which) == (side, role));
    let gone = missing(scene).contains(&role);
    let (meaning, glyph, words) = match seen {
        None => (Role::Line, glyphs.dash, ""),
        Some(Cell::On) if doubled => (Role::Bad, glyphs.on, " TWO"),
        Some(Cell::On) if strays => (Role::Bad, glyphs.on, " STILL"),
        Some(Cell::On) => (Role::Good, glyphs.on, " on"),
        Some(_) if leaks => (Role::Bad, glyphs.on, " LEAK"),
        Some(Cell::Off) if gone => (Role::Bad, glyphs.off, " NONE"),
        Some(Cell::Off) => (Role::Dim, glyphs.off, " off"),
        Some(Cell::Unknown) => (Role::Warn, glyphs.unknown, " ?"),
    };
    pen.cell(meaning, &format!("{glyph}{words}"), column);
}

/// What is seen running although a step has ended it.
fn misplaced(scene: &Scene<'_>) -> impl Iterator<Item = (Side, plan::Role, StepId)> {
    run::misplaced(scene.plan(), scene.state(), scene.now).into_iter()
}

/// What ran and runs nowhere, although no step meant it to.
fn missing(scene: &Scene<'_>) -> Vec<plan::Role> {
    run::missing(scene.plan(), scene.state(), scene.now)
}

/// What is seen where nothing should be, and what is seen nowhere, a sentence each.
fn strays(scene: &Scene<'_>) -> impl Iterator<Item = String> {
    let strays = scene.holds().iter().filter(|hold| matches!(hold.kind, HoldKind::Stray | HoldKind::Missing(_)));
    strays.map(|hold| format!("{}.", hold.text))
}

/// In a word: the worst that is so. It is ticked only when everything that is watched is known and as it should be.
fn verdict(scene: &Scene<'_>) -> (Role, String) {
    let runners = &scene.state().runners;
    let doubled: Vec<_> = run::doubled(scene.plan(), scene.state()).into_iter().map(role_word).collect();
    if !doubled.is_empty() {
        return (Role::Bad, format!("TWO {}", doubled.join(", ")));
    }
    let missing: Vec<_> = missing(scene).into_iter().map(role_word).collect();
    if !missing.is_empty() {
        return (Role::Bad, format!("NO {}", missing.join(", ")));
    }
    if let Some(side) = scene.state().leaks.keys().next() {
        return (Role::Bad, format!("{} LEAKS", scene.plan().sides.get(*side).label));
    }
    if let Some((side, role, _)) = misplaced(scene).next() {
        return (Role::Bad, format!("{} STILL on {}", role_word(role), scene.plan().sides.get(side).label));
    }
    let watched = scene.plan().runners.iter().map(|runner| (runner.side, runner.role));
    let unknown = watched.filter(|(side, role)| runners.get(*side, *role).unwrap_or_default() == Cell::Unknown).count();
    match (scene.plan().runners.is_empty(), unknown) {
        (true, _) => (Role::Dim, "not watched".into()),
        (_, 0) => (Role::Good, format!("{} in order", scene.theme.glyphs.done)),
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
