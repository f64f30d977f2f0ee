//! Planned against actual, on one axis of time; what people made the run wait stands apart.

use std::time::Duration;

use jiff::Timestamp;
use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pen, Role, Scene, framed, padded, steps::symbol, text, word};
use crate::{
    plan::Step,
    run::{Direction, Phase, StepState},
};

const TITLE: usize = 28;

/// The stretch of time that is drawn.
struct Axis {
    from: Timestamp,
    span: f64,
    columns: usize,
}

impl Axis {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=columns")]
    fn column(&self, at: Timestamp) -> usize {
        let share = at.duration_since(self.from).as_secs_f64() / self.span;
        (share.clamp(0.0, 1.0) * self.columns as f64) as usize
    }
}

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) {
    let planned: Duration = scene.plan().steps.iter().map(|step| step.expected).sum();
    let spent: Duration = scene.state().steps.iter().map(|step| step.spent(scene.now)).sum();
    let right = [word(Role::Dim, format!("planned {}, spent {}", text::clock(planned), text::clock(spent)))];
    let inside = padded(framed(scene, area, &[word(Role::Text, "Timeline")], &right, buf));
    let Some(session) = &scene.state().session else {
        Pen::new(buf, scene.theme, inside).put(Role::Dim, "The session has not begun.");
        return;
    };
    let end = scene.forecast.finish.max(scene.forecast.window_end.unwrap_or(scene.now)).max(scene.now);
    let columns = usize::from(inside.width).saturating_sub(TITLE + 29);
    let from = session.started_at;
    let axis = Axis { from, span: text::since(from, end).as_secs_f64().max(60.0), columns };
    let mut pen = Pen::new(buf, scene.theme, inside);
    pen.cell(Role::Dim, "   step", TITLE).cell_right(Role::Dim, "planned", 9).cell_right(Role::Dim, "actual", 9);
    pen.cell_right(Role::Dim, "waited", 9).gap(2).put(Role::Dim, &text::minute(from, scene.tz));
    pen.right(Role::Dim, &text::minute(end, scene.tz)).line();
    let rest = pen.rest();
    let mut pen = Pen::scrolled(buf, scene.theme, rest, scene.ui.scroll);
    let mut ready_at = from;
    let mut ahead = scene.now;
    for (index, step) in scene.plan().steps.iter().enumerate() {
        let Some(state) = scene.state().step(&step.id) else { continue };
        row(scene, &mut pen, (index, step, state), &axis, &mut ready_at, &mut ahead);
    }
    legend(scene, &mut pen);
}

fn row(
    scene: &Scene<'_>,
    pen: &mut Pen<'_>,
    (index, step, state): (usize, &Step, &StepState),
    axis: &Axis,
    ready_at: &mut Timestamp,
    ahead: &mut Timestamp,
) {
    let phase = scene.phase(&step.id);
    let (glyph, role) = symbol(scene.theme.glyphs, phase);
    pen.put(role, glyph).cell_right(Role::Dim, &(index + 1).to_string(), 3).gap(1).cell(
        Role::Text,
        &step.title,
        TITLE - 5,
    );
    pen.cell_right(Role::Dim, &text::clock(step.expected), 9);
    let first = state.attempts.first().map(|attempt| attempt.started_at);
    let last = state.attempts.iter().rev().find(|attempt| attempt.direction == Direction::Forward);
    let spent = state.spent(scene.now);
    let over = spent > step.expected;
    let actual = if first.is_some() { text::clock(spent) } else { String::new() };
    pen.cell_right(if over { Role::Warn } else { Role::Text }, &actual, 9);
    let waited = first.map(|first| text::since(*ready_at, first)).filter(|waited| waited.as_secs() > 0);
    pen.cell_right(Role::Dim, &waited.map(text::clock).unwrap_or_default(), 9).gap(2);
    let start = pen.width() - pen.left();
    pen.column(start + axis.column(scene.now)).put(Role::Line, scene.theme.glyphs.mark);
    for attempt in &state.attempts {
        let ended = attempt.ended_at.unwrap_or(scene.now);
        let role = if attempt.direction == Direction::Back { Role::Warn } else { bar_role(phase) };
        bar(pen, start, axis, (attempt.started_at, ended), role, scene.theme.glyphs.full);
    }
    if let Some(end) = last.and_then(|attempt| attempt.ended_at) {
        *ready_at = end.max(*ready_at);
    }
    if !phase.settled() && !phase.in_flight() {
        let end = ahead.checked_add(step.expected).unwrap_or(*ahead);
        bar(pen, start, axis, (*ahead, end), Role::Dim, scene.theme.glyphs.empty);
        *ahead = end;
    }
    pen.line();
}

const fn bar_role(phase: Phase) -> Role {
    match phase {
        Phase::Done => Role::Good,
        Phase::Failed | Phase::InDoubt => Role::Bad,
        _ => Role::Focus,
    }
}

fn bar(pen: &mut Pen<'_>, start: usize, axis: &Axis, (from, to): (Timestamp, Timestamp), role: Role, glyph: &str) {
    let (first, last) = (axis.column(from), axis.column(to));
    let columns = last.saturating_sub(first).max(1).min(axis.columns.saturating_sub(first).max(1));
    pen.column(start + first.min(axis.columns.saturating_sub(1))).put(role, &glyph.repeat(columns));
}

fn legend(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    let glyphs = scene.theme.glyphs;
    pen.line()
        .put(Role::Line, glyphs.mark)
        .put(Role::Dim, " now   ")
        .put(Role::Good, glyphs.full)
        .put(Role::Dim, " ran   ")
        .put(Role::Dim, glyphs.empty);
    pen.put(Role::Dim, " planned from now, if nobody waits   ");
    pen.put(Role::Dim, "waited: from the end of the step before until somebody started this one").line();
}
