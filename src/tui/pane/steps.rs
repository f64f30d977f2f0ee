//! All steps: where each stands, how long it took or will take, and how long people made it wait.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pane, Pen, Role, Scene, frame, text, word};
use crate::{
    plan::Step,
    run::{Phase, StepState},
    tui::theme::Glyphs,
};

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) {
    let right = [word(Role::Dim, progress(scene))];
    let inside = frame(scene, Pane::Steps, area, &[word(Role::Text, "Steps")], &right, buf);
    let lines = usize::from(inside.height);
    let total = scene.plan().steps.len();
    // The step that is looked at stays visible, with what comes next below it.
    let first = (scene.target.index + 3).saturating_sub(lines).min(total.saturating_sub(lines));
    let mut pen = Pen::new(buf, scene.theme, inside);
    for (index, step) in scene.plan().steps.iter().enumerate().skip(first).take(lines) {
        let Some(state) = scene.state().step(&step.id) else { continue };
        line(scene, &mut pen, index, step, state);
    }
}

fn line(scene: &Scene<'_>, pen: &mut Pen<'_>, index: usize, step: &Step, state: &StepState) {
    let phase = scene.phase(&step.id);
    let (glyph, role) = symbol(scene.theme.glyphs, phase);
    let here = index == scene.target.index;
    let cursor = if here { scene.theme.glyphs.focus } else { " " };
    let room = pen.width().saturating_sub(8 + text::width(&step.title));
    let time = time(scene, step, state, phase, room);
    pen.put(Role::Focus, cursor).put(role, glyph).cell_right(Role::Dim, &(index + 1).to_string(), 3).gap(1);
    let title = match phase {
        Phase::Done | Phase::Waiting | Phase::Skipped => {
            if here {
                Role::Strong
            } else {
                Role::Dim
            }
        }
        _ => Role::Strong,
    };
    let columns = pen.left().saturating_sub(text::width(&time) + 2);
    pen.cell(if phase == Phase::Done && !here { Role::Text } else { title }, &step.title, columns);
    pen.right(role_of_time(phase), &format!("{time} ")).line();
}

const fn role_of_time(phase: Phase) -> Role {
    match phase {
        Phase::Failed | Phase::InDoubt => Role::Bad,
        Phase::Running | Phase::Verifying | Phase::Undoing | Phase::Armed => Role::Focus,
        _ => Role::Dim,
    }
}

/// Words where something goes on, if there is room for them; time elsewhere.
fn time(scene: &Scene<'_>, step: &Step, state: &StepState, phase: Phase, room: usize) -> String {
    let spent = || text::clock(state.spent(scene.now));
    let with_word = |time: String| {
        let long = format!("{} {time}", phase.word());
        if text::width(&long) <= room { long } else { time }
    };
    match phase {
        Phase::Waiting => format!("~{}", text::clock(step.expected)),
        Phase::Ready => with_word(format!("~{}", text::clock(step.expected))),
        Phase::Done => spent(),
        Phase::Running | Phase::Verifying | Phase::Undoing => with_word(spent()),
        Phase::Armed | Phase::Failed | Phase::InDoubt | Phase::Skipped | Phase::Undone => phase.word().to_owned(),
    }
}

/// The symbol of a phase, and what it means.
pub(super) const fn symbol(glyphs: &Glyphs, phase: Phase) -> (&'static str, Role) {
    match phase {
        Phase::Waiting => (glyphs.waiting, Role::Dim),
        Phase::Ready => (glyphs.ready, Role::Focus),
        Phase::Armed => (glyphs.armed, Role::Warn),
        Phase::Running => (glyphs.running, Role::Focus),
        Phase::Verifying => (glyphs.verifying, Role::Focus),
        Phase::Done => (glyphs.done, Role::Good),
        Phase::Failed => (glyphs.fail, Role::Bad),
        Phase::InDoubt => (glyphs.unknown, Role::Bad),
        Phase::Skipped => (glyphs.skipped, Role::Warn),
        Phase::Undoing => (glyphs.undoing, Role::Warn),
        Phase::Undone => (glyphs.undone, Role::Warn),
    }
}

fn progress(scene: &Scene<'_>) -> String {
    let done = scene.state().steps.iter().filter(|step| step.phase.settled()).count();
    format!("{done}/{}", scene.plan().steps.len())
}

pub(super) fn strip(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    pen.put(Role::Text, &progress(scene)).gap(1);
    for step in &scene.plan().steps {
        let (glyph, role) = symbol(scene.theme.glyphs, scene.phase(&step.id));
        pen.put(role, glyph);
    }
    let next = scene.plan().steps.get(scene.target.index + 1);
    if let Some(next) = next {
        pen.gap(2).put(Role::Dim, "next ").put(Role::Text, &next.title);
    }
}
