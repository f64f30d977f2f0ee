//! All steps: where each stands, how long it took or will take, and how long people made it wait.

use ratatui::{
    buffer::Buffer,
    layout::{Margin, Rect},
};

use super::{Pane, Pen, Role, Scene, frame, text, word};
use crate::{
    plan::{Step, StepId},
    run::{Phase, StepState},
    tui::theme::Glyphs,
};

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) {
    let right = [word(Role::Dim, progress(scene))];
    let inside = frame(scene, Pane::Steps, area, &[word(Role::Text, "Steps")], &right, buf);
    let total = scene.plan().steps.len();
    let (first, shown) = window(scene.target.index, usize::from(inside.height), total);
    let mut pen = Pen::new(buf, scene.theme, inside);
    let hidden = |pen: &mut Pen<'_>, count: usize, side: &str| {
        if count > 0 {
            pen.gap(6).put(Role::Warn, &format!("{count} more {side}")).line();
        }
    };
    hidden(&mut pen, first, "above");
    for (index, step) in scene.plan().steps.iter().enumerate().skip(first).take(shown) {
        let Some(state) = scene.state().step(&step.id) else { continue };
        line(scene, &mut pen, index, step, state);
    }
    hidden(&mut pen, total - first - shown, "below");
}

/// The step that is shown on a line of the screen.
pub(super) fn at(scene: &Scene<'_>, area: Rect, line: u16) -> Option<usize> {
    let inside = area.inner(Margin::new(1, 1));
    let (first, shown) = window(scene.target.index, usize::from(inside.height), scene.plan().steps.len());
    let above = usize::from(first > 0);
    let index = usize::from(line.checked_sub(inside.y)?).checked_sub(above)?;
    (index < shown).then_some(first + index)
}

/// The first step that is shown and how many are: the one that is looked at, with what comes next below it. What does not
/// fit leaves a line that says so.
fn window(here: usize, lines: usize, total: usize) -> (usize, usize) {
    if total <= lines {
        return (0, total);
    }
    let one_mark = lines.saturating_sub(1).max(1);
    let two_marks = lines.saturating_sub(2).max(1);
    if here + 3 <= one_mark {
        return (0, one_mark);
    }
    let first = (here + 3).saturating_sub(two_marks).min(here);
    match first {
        0 => (0, one_mark),
        _ if first + two_marks + 1 >= total => (total - one_mark, one_mark),
        _ => (first, two_marks),
    }
}

/// Columns below which names come before times.
const NARROW: usize = 30;

fn line(scene: &Scene<'_>, pen: &mut Pen<'_>, index: usize, step: &Step, state: &StepState) {
    let phase = scene.phase(&step.id);
    let (glyph, role) = symbol(scene.theme.glyphs, phase);
    let here = index == scene.target.index;
    let cursor = if here { scene.theme.glyphs.focus } else { " " };
    let room = pen.width().saturating_sub(8 + text::width(&step.title));
    // Who else looks at it, if there is room for that beside the time.
    let lookers = super::people::lookers(scene, &step.id);
    let lookers =
        if lookers.is_empty() || text::width(&lookers) + 8 > room { String::new() } else { format!("{lookers} ") };
    let room = room - text::width(&lookers);
    // In a narrow column a name that is told whole says more than how long it takes: that stands in the step's pane.
    let settled = matches!(phase, Phase::Waiting | Phase::Ready | Phase::Done);
    let whole = |time: &String| !settled || pen.width() >= NARROW || text::width(time) <= room;
    let time = Some(time(scene, step, state, phase, room)).filter(whole).unwrap_or_default();
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
    let beside = text::width(&time) + text::width(&lookers);
    let columns = pen.left().saturating_sub(beside + if beside > 0 { 2 } else { 1 });
    pen.cell(if phase == Phase::Done && !here { Role::Text } else { title }, &step.title, columns);
    if !lookers.is_empty() {
        pen.right(Role::Text, &format!("{lookers}{}", " ".repeat(text::width(&time) + 1)));
    }
    pen.right(role_of_time(phase), &format!("{time} ")).line();
}

const fn role_of_time(phase: Phase) -> Role {
    match phase {
        Phase::Failed | Phase::InDoubt => Role::Bad,
        Phase::Running | Phase::Verifying | Phase::Undoing | Phase::Armed | Phase::Accepted => Role::Focus,
        _ => Role::Dim,
    }
}

/// Words where something goes on, if there is room for them; time elsewhere.
fn time(scene: &Scene<'_>, step: &Step, state: &StepState, phase: Phase, room: usize) -> String {
    let spent = || text::clock(state.spent(scene.now));
    let with_word = |time: String| {
        let long = format!("{} {time}", scene.standing(&step.id, phase));
        if text::width(&long) <= room { long } else { time }
    };
    match phase {
        Phase::Waiting => format!("~{}", text::clock(step.expected)),
        Phase::Ready => with_word(format!("~{}", text::clock(step.expected))),
        Phase::Done => spent(),
        Phase::Running | Phase::Verifying | Phase::Undoing => with_word(spent()),
        Phase::Armed | Phase::Accepted | Phase::Failed | Phase::InDoubt | Phase::Skipped | Phase::Undone => {
            scene.standing(&step.id, phase).to_owned()
        }
    }
}

/// The symbol of a phase, and what it means.
pub(super) const fn symbol(glyphs: &Glyphs, phase: Phase) -> (&'static str, Role) {
    match phase {
        Phase::Waiting => (glyphs.waiting, Role::Dim),
        Phase::Ready => (glyphs.ready, Role::Focus),
        Phase::Armed => (glyphs.armed, Role::Warn),
        Phase::Accepted => (glyphs.verifying, Role::Focus),
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
    if let Some((word, title)) = next(scene) {
        pen.gap(2).put(Role::Dim, word).gap(1).put(Role::Text, title);
    }
}

/// What comes after the step that the run is at, whichever is looked at; while it is rolled back, the undo after this one.
fn next<'a>(scene: &'a Scene<'_>) -> Option<(&'static str, &'a str)> {
    let title = |id: &StepId| scene.plan().step(id).map(|step| step.title.as_str());
    if scene.state().rollback.is_none() {
        let steps = &scene.state().steps;
        let here = scene.state().here().and_then(|here| steps.iter().position(|step| step.id == here.id))?;
        let next = steps[here + 1..].iter().find(|step| !step.phase.settled())?;
        return Some(("next", title(&next.id)?));
    }
    let undos = &scene.price().undos;
    let after = undos.iter().position(|id| *id == scene.target.step).map_or(0, |at| at + 1);
    undos.get(after).map_or(Some(("then", "all is as before")), |id| Some(("then undo", title(id)?)))
}

#[cfg(test)]
mod tests {
    use super::window;

    #[test]
    fn the_step_that_is_looked_at_is_always_shown_and_every_line_is_used() {
        for total in 1..30 {
            for lines in 3..32 {
                for here in 0..total {
                    let (first, shown) = window(here, lines, total);
                    assert!((first..first + shown).contains(&here), "{here} of {total} in {lines}");
                    let marks = usize::from(first > 0) + usize::from(first + shown < total);
                    assert_eq!(shown + marks, lines.min(total), "{here} of {total} in {lines}");
                }
            }
        }
    }
}
