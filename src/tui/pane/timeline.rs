//! Planned, rehearsed and actual, on one axis of time; what people made the run wait stands apart.

use std::time::Duration;

use jiff::Timestamp;
use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pen, Role, Rolled, Scene, framed, padded, rolled, steps::symbol, text, word};
use crate::{
    plan::{Step, StepId},
    run::{Direction, Phase, StepState},
};

/// Columns of a duration.
const TIME: usize = 10;

/// The stretch of time that is drawn.
struct Axis {
    from: Timestamp,
    span: f64,
    columns: usize,
}

/// What of one step is drawn beside the others.
struct Row<'a> {
    index: usize,
    step: &'a Step,
    state: &'a StepState,
    /// When it could have begun, and when somebody began it; None: nobody did, and it waits still.
    waited: Option<(Timestamp, Option<Timestamp>)>,
    /// Where it would run if nobody waits from now on.
    ahead: Option<(Timestamp, Timestamp)>,
}

impl Axis {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=columns")]
    fn column(&self, at: Timestamp) -> usize {
        let share = at.duration_since(self.from).as_secs_f64() / self.span;
        (share.clamp(0.0, 1.0) * self.columns as f64) as usize
    }
}

/// How long a step runs: as rehearsed, else as planned.
fn takes(scene: &Scene<'_>, step: &Step) -> Duration {
    rehearsed(scene, &step.id).unwrap_or(step.expected)
}

fn rehearsed(scene: &Scene<'_>, step: &StepId) -> Option<Duration> {
    scene.state().rehearsed.as_ref()?.forward.get(step).copied()
}

/// The rows in the order of the plan, with what people waited and what lies ahead.
fn rows<'a>(scene: &Scene<'a>, from: Timestamp) -> Vec<Row<'a>> {
    let (mut free, mut ahead) = (from, scene.now);
    let mut rows = Vec::new();
    for (index, step) in scene.snapshot.plan.steps.iter().enumerate() {
        let Some(state) = scene.snapshot.state.step(&step.id) else { continue };
        let phase = scene.phase(&step.id);
        let first = state.attempts.first().map(|attempt| attempt.started_at);
        let waits = matches!(phase, Phase::Ready | Phase::Armed | Phase::Accepted);
        let waited = (first.is_some() || waits).then_some((free, first));
        let last = state.attempts.iter().rev().find(|attempt| attempt.direction == Direction::Forward);
        if let Some(end) = last.and_then(|attempt| attempt.ended_at) {
            free = end.max(free);
        }
        // While it is rolled back nothing lies ahead but undos.
        let open = !phase.settled() && !phase.in_flight() && scene.state().rollback.is_none();
        let end = ahead.checked_add(takes(scene, step)).unwrap_or(ahead);
        rows.push(Row { index, step, state, waited, ahead: open.then_some((ahead, end)) });
        if open {
            ahead = end;
        }
    }
    rows
}

fn waiting(scene: &Scene<'_>, row: &Row<'_>) -> Duration {
    row.waited.map_or(Duration::ZERO, |(free, began)| text::since(free, began.unwrap_or(scene.now)))
}

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) -> Rolled {
    let Some(session) = &scene.state().session else {
        let inside = padded(framed(scene, area, &[word(Role::Text, "Timeline")], &[], buf));
        Pen::new(buf, scene.theme, inside).put(Role::Dim, "The session has not begun.");
        return Rolled::default();
    };
    let from = session.started_at;
    let rows = rows(scene, from);
    let waited: Duration = rows.iter().map(|row| waiting(scene, row)).sum();
    let right = [word(Role::Dim, format!("gates waited {}", text::clock(waited)))];
    let inside = padded(framed(scene, area, &[word(Role::Text, "Timeline")], &right, buf));
    let end = scene.forecast().finish.max(scene.forecast().window_end.unwrap_or(scene.now)).max(scene.now);
    let title = if area.width >= 100 { 28 } else { 20 };
    let columns = usize::from(inside.width).saturating_sub(title + TIME * 4 + 2);
    let axis = Axis { from, span: text::since(from, end).as_secs_f64().max(60.0), columns };
    let mut pen = Pen::new(buf, scene.theme, inside);
    pen.cell(Role::Dim, "   step", title);
    for head in ["planned", "rehearsed", "actual", "waited"] {
        pen.cell_right(Role::Dim, head, TIME);
    }
    pen.gap(2).put(Role::Dim, &text::minute(from, scene.tz));
    pen.right(Role::Dim, &text::minute(end, scene.tz)).line();
    let rest = pen.rest();
    rolled(scene, rest, scene.ui.scroll, buf, |pen| {
        for row in &rows {
            numbers(scene, pen, row, title);
            bars(scene, pen, row, &axis);
            pen.line();
        }
        sums(scene, pen, title, waited);
        forecast(scene, pen);
        legend(scene, pen);
    })
}

fn numbers(scene: &Scene<'_>, pen: &mut Pen<'_>, row: &Row<'_>, title: usize) {
    let (glyph, role) = symbol(scene.theme.glyphs, scene.phase(&row.step.id));
    pen.put(role, glyph).cell_right(Role::Dim, &(row.index + 1).to_string(), 3).gap(1);
    pen.cell(Role::Text, &row.step.title, title - 5);
    let spent = row.state.spent(scene.now);
    let before = rehearsed(scene, &row.step.id);
    let begun = !row.state.attempts.is_empty();
    let over = spent > row.step.expected.max(before.unwrap_or_default());
    pen.cell_right(Role::Dim, &text::clock(row.step.expected), TIME);
    pen.cell_right(Role::Dim, &before.map_or_else(|| scene.theme.glyphs.dash.to_owned(), text::clock), TIME);
    let actual = if begun { text::clock(spent) } else { String::new() };
    let late = if begun && over { format!("{}{actual}", scene.theme.glyphs.up) } else { actual };
    pen.cell_right(if over { Role::Warn } else { Role::Text }, &late, TIME);
    let waited = waiting(scene, row);
    pen.cell_right(Role::Dim, &if waited.as_secs() > 0 { text::clock(waited) } else { String::new() }, TIME).gap(2);
}

fn bars(scene: &Scene<'_>, pen: &mut Pen<'_>, row: &Row<'_>, axis: &Axis) {
    let start = pen.width() - pen.left();
    let glyphs = scene.theme.glyphs;
    pen.column(start + axis.column(scene.now)).put(Role::Line, glyphs.mark);
    if let Some((free, began)) = row.waited.filter(|_| waiting(scene, row).as_secs() > 0) {
        bar(pen, start, axis, (free, began.unwrap_or(scene.now)), Role::Dim, glyphs.light);
    }
    for attempt in &row.state.attempts {
        let ended = attempt.ended_at.unwrap_or(scene.now);
        let back = attempt.direction == Direction::Back;
        let role = if back { Role::Warn } else { bar_role(scene.phase(&row.step.id)) };
        let glyph = if back { glyphs.undoing } else { glyphs.full };
        bar(pen, start, axis, (attempt.started_at, ended), role, glyph);
    }
    if let Some(ahead) = row.ahead {
        bar(pen, start, axis, ahead, Role::Dim, glyphs.empty);
    }
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

fn sums(scene: &Scene<'_>, pen: &mut Pen<'_>, title: usize, waited: Duration) {
    let planned: Duration = scene.plan().steps.iter().map(|step| step.expected).sum();
    let spent: Duration = scene.state().steps.iter().map(|step| step.spent(scene.now)).sum();
    let rehearsed = scene.state().rehearsed.as_ref().map(crate::run::Rehearsal::total);
    let rehearsed = rehearsed.map_or_else(|| scene.theme.glyphs.dash.to_owned(), text::clock);
    pen.cell(Role::Text, "     together", title);
    for sum in [text::clock(planned), rehearsed, text::clock(spent), text::clock(waited)] {
        pen.cell_right(Role::Text, &sum, TIME);
    }
    pen.line().line();
}

/// What is left, and until when it may begin and be abandoned.
fn forecast(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    let told = scene.forecast();
    if !scene.state().complete() {
        pen.put(Role::Dim, "left      ").put(Role::Text, &format!("{} as planned", text::clock(told.planned)));
        if let Some(rehearsed) = told.rehearsed {
            pen.put(Role::Text, &format!(", {} as rehearsed", text::clock(rehearsed)));
        }
        pen.put(Role::Dim, "; nobody's waiting is in it").line();
    }
    if let Some(rehearsal) = &scene.state().rehearsed {
        let place = format!("on {}, {}", rehearsal.environment, text::day(rehearsal.ended_at, scene.tz));
        pen.put(Role::Dim, "rehearsed ")
            .put(Role::Text, &place)
            .put(Role::Dim, &format!(" (session {})", rehearsal.of));
    } else {
        pen.put(Role::Dim, "rehearsed ")
            .put(Role::Text, "never to its end on this machine")
            .put(Role::Dim, ": `cutover rehearse`");
    }
    pen.line();
    for (name, at, means) in [
        ("start by  ", told.latest_start, "after that what is left does not fit the window"),
        ("abort by  ", told.latest_abort, "after that going back does not fit the window"),
    ] {
        let Some(at) = at.filter(|_| !scene.state().complete()) else { continue };
        let passed = at < scene.now;
        let role = if passed { Role::Bad } else { Role::Text };
        let words = text::minute(at, scene.tz);
        pen.put(Role::Dim, name).put(role, &if passed { format!("{words} PASSED") } else { words });
        pen.put(Role::Dim, &format!("  {means}")).line();
    }
    pen.line();
}

fn legend(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    let glyphs = scene.theme.glyphs;
    pen.put(Role::Line, glyphs.mark).put(Role::Dim, " now   ").put(Role::Good, glyphs.full).put(Role::Dim, " ran   ");
    pen.put(Role::Warn, glyphs.undoing).put(Role::Dim, " undone   ").put(Role::Dim, glyphs.light);
    pen.put(Role::Dim, " its gate waited for people   ").put(Role::Dim, glyphs.empty);
    pen.put(Role::Dim, " ahead, if nobody waits").line();
}
