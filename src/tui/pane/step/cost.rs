//! What a step costs: what its change means for customers and for the way back, and what going back takes.

use std::time::Duration;

use super::{
    super::{
        Pen, Role, Scene,
        rollback::{headline, written},
        text,
    },
    MARGIN, section,
};
use crate::run::{Change, Direction, StepState, opened_at, opens, total_after};

/// Columns of a pane that has others on both sides.
const NARROW: usize = 60;

/// What its change means for customers and for the way back: a part of what must be seen before it is armed.
pub(super) fn consequences(scene: &Scene<'_>, state: &StepState, pen: &mut Pen<'_>) {
    let back = scene.target.direction == Direction::Back;
    if state.phase.in_flight() || (!back && state.phase.settled()) {
        return;
    }
    let changes = || state.preview(scene.target.direction).into_iter().flat_map(|preview| &preview.parts);
    let old = &scene.plan().sides.old.label;
    let mut said = Vec::new();
    if changes().any(|part| matches!(part.change, Change::Maintenance { from: false, to: true, .. })) {
        said.push(format!("customers of {old} see its maintenance page, until it is off again"));
    }
    let opened = opened_at(scene.plan(), scene.state()).is_some();
    if !back && !opened && changes().any(|part| opens(scene.plan(), &part.change)) {
        // What it has lost already stays lost.
        let too = if scene.price().written.is_some() { " too" } else { "" };
        said.push(format!("going back loses what is written on {} from then on{too}", scene.plan().sides.new.label));
    }
    let last = scene.plan().step(&state.id).is_some_and(|step| step.point_of_no_return);
    if !back && last {
        let passed = scene.price().passed.is_some();
        let first = || format!("NO WAY BACK to {old} with R any more");
        said.push(if passed { "NOTHING PUTS THIS BACK either".to_owned() } else { first() });
    }
    for (index, words) in said.iter().enumerate() {
        if index == 0 {
            section(pen, "then");
        }
        pen.column(MARGIN).wrapped(Role::Warn, words);
    }
}

/// What going back takes and what it loses, then what that is made of, and what it would take after this step.
pub(super) fn price(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    section(pen, "back");
    headline(scene, pen);
    let price = scene.price();
    if price.passed.is_some() {
        pen.line();
        return;
    }
    let dot = scene.theme.glyphs.dot;
    if let Some(words) = written(scene) {
        if text::width(&words) + 3 > pen.left() {
            pen.line().column(MARGIN);
        } else {
            pen.put(Role::Dim, &format!(" {dot} "));
        }
        pen.wrapped(Role::Warn, &words).column(MARGIN - 1);
    }
    if !price.undos.is_empty() {
        let made_of = format!(" ({} {}", text::count(price.undos.len(), "undo"), text::clock(price.undo_time));
        pen.put(Role::Dim, &made_of);
        if !price.ttl.is_zero() {
            pen.put(Role::Dim, &format!(" + TTL {}", text::clock(price.ttl)));
        }
        pen.put(Role::Dim, ")");
    }
    let after = after(scene).map(|after| format!(" {dot} after this {}", text::clock(after)));
    let no_return = price.no_return.as_ref().map(|step| {
        let number = scene.plan().position(step).map_or(0, |index| index + 1);
        format!(" {dot} no return from step {number}")
    });
    // In a narrow pane of the cockpit, where both do not fit on the line, the rollback's own pane beside tells the last.
    let both = after.iter().chain(&no_return).map(|words| text::width(words)).sum::<usize>() <= pen.left();
    let beside = !scene.ui.zoom && pen.width() < NARROW && !both && after.is_some();
    let told = [(Role::Text, after), (Role::Dim, no_return.filter(|_| !beside))];
    for (role, words) in told {
        let Some(words) = words else { continue };
        if text::width(&words) > pen.left() {
            pen.line().column(MARGIN - 1);
        }
        pen.put(role, &words);
    }
    pen.line();
}

/// What going back would take once the step that can be armed has been done.
fn after(scene: &Scene<'_>) -> Option<Duration> {
    let state = scene.state().step(&scene.target.step)?;
    let idle = !state.phase.in_flight() && !state.phase.settled() && !state.undoable();
    let forward = scene.target.direction == Direction::Forward && scene.state().rollback.is_none();
    let parts = state.preview(Direction::Forward).filter(|_| idle && forward)?;
    total_after(scene.plan(), scene.state(), &state.id, &parts.parts, scene.price())
}
