//! The step that is looked at: what exactly it will change, what holds, what going back costs, and what to press.

mod change;
mod cost;

use std::cell::Cell;

use ratatui::{buffer::Buffer, layout::Rect};

use self::{
    change::change,
    cost::{consequences, price},
};
use super::{
    Painted, Pane, Pen, Role, Rolled, Scene, frame, padded, press, rolled, scrolled_by, steps::symbol, text, word,
};
use crate::{
    plan::{Class, GateLevel, Kind, Step, StepId},
    run::{Attempt, Condition, Direction, Outcome, Phase, StepState},
    tui::{gate::Shown, model},
};

/// API calls left that are too few for a long night: the watches need 12 a minute.
pub(super) const SCARCE: u32 = 500;
/// Lines of output that a zoomed step is scrolled through at most.
const OUTPUT: usize = 60;
/// Column where the text of a section begins.
const MARGIN: usize = 8;

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer, painted: &mut Painted) -> Rolled {
    let Some(step) = scene.plan().step(&scene.target.step) else {
        let inside = frame(scene, Pane::Step, area, &[word(Role::Text, "Step")], &[], buf);
        Pen::new(buf, scene.theme, inside).gap(1).put(Role::Dim, "the plan has no steps");
        return Rolled::default();
    };
    let phase = scene.phase(&step.id);
    let (glyph, role) = symbol(scene.theme.glyphs, phase);
    let undo = if scene.target.direction == Direction::Back { "undo of " } else { "" };
    let title = format!("{} {undo}{}", scene.target.index + 1, step.title);
    let back = scene.target.direction == Direction::Back;
    let right = match phase {
        // What it did stands in the world still.
        _ if back && stands(scene, &step.id) => {
            [word(Role::Warn, format!("{} not undone yet", scene.theme.glyphs.waiting))]
        }
        _ => [word(role, format!("{glyph} {}", scene.standing(&step.id, phase)))],
    };
    let inside = padded(frame(scene, Pane::Step, area, &[word(Role::Text, title)], &right, buf));
    let presses = press::lines(scene, step, usize::from(inside.width), true);
    let lines = u16::try_from(presses.len()).unwrap_or(u16::MAX).min(inside.height);
    let body = Rect { height: inside.height - lines, ..inside };
    let bottom = Rect { y: inside.bottom() - lines, height: lines, ..inside };
    // An armed gate speaks in more lines: what would vanish behind them is not visible now either.
    let armed = inside.height.saturating_sub(lines.max(press::armed_lines(scene.gate_level(step))));
    let reads = step.kind.class() == Class::ReadOnly && step.gate == GateLevel::Start;
    let visible = Cell::new(false);
    // Lines of a step that is zoomed are scrolled; else arrows look at other steps.
    let at = if scene.ui.zoom { scrolled_by(scene, Pane::Step) } else { 0 };
    let rolled = rolled(scene, body, at, buf, |pen| visible.set(content(scene, step, pen, usize::from(armed))));
    let whole = visible.get() || reads;
    // The same words but where the change is not seen whole.
    let presses = if whole { presses } else { press::lines(scene, step, usize::from(inside.width), false) };
    press::render(scene, &presses, Pen::new(buf, scene.theme, bottom));
    if rolled.below > 0 && area.width < buf.area.width && lines > 0 {
        // While a gate waits for this person, z alone would close it.
        let key = if scene.ui.gate.latch().is_some() { ": Esc, then z" } else { ": z" };
        let words = format!(" {} more{key} ", rolled.below);
        Pen::new(buf, scene.theme, Rect { height: 1, ..bottom }).right(Role::Warn, &words);
    }
    painted.step = Some(Shown {
        step: step.id.clone(),
        direction: scene.target.direction,
        evidence: scene.state().evidence(&step.id, scene.target.direction),
        whole,
    });
    let gate =
        scene.state().gate.as_ref().filter(|gate| gate.step == step.id && whole && lines == inside.height.min(lines));
    painted.gate = gate.map(|gate| gate.id);
    rolled
}

/// Whether what a step did stands in the world, and nobody has tried to undo it.
pub(super) fn stands(scene: &Scene<'_>, id: &StepId) -> bool {
    let phase = scene.phase(id);
    let last = scene.state().step(id).and_then(|step| step.attempts.last());
    phase == Phase::Done || phase == Phase::Failed && last.is_some_and(|last| last.direction == Direction::Forward)
}

/// Lines that the step would like in a pane of so many columns, borders included.
pub(super) fn lines(scene: &Scene<'_>, columns: u16) -> usize {
    let step = scene.plan().step(&scene.target.step);
    let Some((step, state)) = step.zip(scene.state().step(&scene.target.step)) else { return 0 };
    let presses = press::lines(scene, step, usize::from(columns.saturating_sub(4)), true);
    essential(scene, step, state, columns).1 + presses.len() + 3
}

/// Lines of what it changes, and with what going back costs and what must hold.
fn essential(scene: &Scene<'_>, step: &Step, state: &StepState, columns: u16) -> (usize, usize) {
    let mut pen = Pen::measuring(scene.theme, columns.saturating_sub(4).max(8));
    essence(scene, step, state, &mut pen, false);
    let essence = pen.lines();
    costs(scene, state, &mut pen);
    price(scene, &mut pen);
    needs(scene, state, &mut pen, true);
    (essence, pen.lines())
}

/// Everything above what to press; whether all of the change was visible, and will be
/// when the gate is armed and leaves so many lines.
fn content(scene: &Scene<'_>, step: &Step, pen: &mut Pen<'_>, armed: usize) -> bool {
    let Some(state) = scene.state().step(&step.id) else { return false };
    let columns = u16::try_from(pen.width()).unwrap_or(u16::MAX).saturating_add(4);
    let note = step.note.as_ref().map_or(0, |note| text::wrap(note, pen.width()).len());
    let (least, essential) = essential(scene, step, state, columns);
    let roomy = pen.room() >= essential + note + 2;
    essence(scene, step, state, pen, roomy);
    let whole = !pen.overflown() && least <= armed;
    if roomy {
        pen.line();
    }
    costs(scene, state, pen);
    // Before what must hold: an armed gate, where all of that holds, leaves less room, and never hides the way back.
    price(scene, pen);
    needs(scene, state, pen, false);
    if scene.target.direction == Direction::Forward {
        facts(scene, state, pen);
    }
    heroku(scene, step, pen);
    attempts(scene, state, pen);
    output(scene, step, pen);
    whole
}

/// What it is, how far it is, and what it changes.
fn essence(scene: &Scene<'_>, step: &Step, state: &StepState, pen: &mut Pen<'_>, roomy: bool) {
    meta(scene, step, pen);
    // It was written for the way there.
    let there = scene.target.direction == Direction::Forward;
    if let Some(note) = step.note.as_ref().filter(|_| roomy && there) {
        pen.wrapped(Role::Dim, note);
    }
    if roomy {
        pen.line();
    }
    items(scene, state, pen);
    progress(scene, state, pen);
    change(scene, state, pen);
    consequences(scene, state, pen);
    plight(state, pen);
}

/// An undo that did not come to its end: what is so now, and what a person can type instead.
fn plight(state: &StepState, pen: &mut Pen<'_>) {
    if let Some(plight) = state.plight() {
        section(pen, "failed");
        pen.wrapped(Role::Bad, &plight.world);
        section(pen, "by hand");
        pen.wrapped(Role::Text, &plight.hand.act);
    }
}

fn section(pen: &mut Pen<'_>, title: &str) {
    pen.column(0).cell(Role::Dim, title, MARGIN);
}

fn meta(scene: &Scene<'_>, step: &Step, pen: &mut Pen<'_>) {
    let class = match scene.class(step) {
        // The program reads; what the person does who ticks, nobody here knows.
        _ if matches!(step.kind, Kind::Manual { .. }) => (Role::Text, "by hand"),
        Class::ReadOnly => (Role::Good, "reads only"),
        Class::Reversible => (Role::Text, "reversible"),
        Class::Destructive => (Role::Warn, "DESTRUCTIVE"),
    };
    let gate = match scene.gate_level(step) {
        GateLevel::Start => "Enter starts it",
        GateLevel::Confirm => "gate: a key",
        GateLevel::Type => "gate: typed",
        GateLevel::Two => "gate: two people",
    };
    let no_return = step.point_of_no_return && scene.target.direction == Direction::Forward;
    let takes = format!("~{}", text::clock(step.expected));
    let (kind, gate, takes) = ((Role::Text, step.kind.name()), (Role::Text, gate), (Role::Dim, takes.as_str()));
    // From its beginning, as much as there is room for: what must not be missed comes first.
    let facts =
        if no_return { [(Role::Bad, "NO WAY BACK AFTER THIS"), gate, takes, kind] } else { [kind, class, gate, takes] };
    let dot = format!(" {} ", scene.theme.glyphs.dot);
    for (index, (role, words)) in facts.into_iter().enumerate() {
        let before = if index == 0 { "" } else { &dot };
        if index > 0 && text::width(before) + text::width(words) > pen.left() {
            break;
        }
        pen.put(Role::Dim, before).put(role, words);
    }
    pen.line();
}

/// What a person ticks off.
fn items(scene: &Scene<'_>, state: &StepState, pen: &mut Pen<'_>) {
    let items = model::items(scene.plan(), &state.id);
    let active = state.phase == Phase::Running;
    for (index, item) in items.iter().enumerate() {
        let ticked = state.ticked.contains(&u32::try_from(index).unwrap_or(u32::MAX));
        let here = active && index == scene.ui.item.min(items.len() - 1);
        let mark = if ticked { scene.theme.glyphs.done } else { " " };
        pen.put(Role::Focus, if here { scene.theme.glyphs.focus } else { " " });
        pen.put(Role::Dim, "[").put(Role::Good, mark).put(Role::Dim, "] ");
        let role = if here {
            Role::Strong
        } else if ticked {
            Role::Dim
        } else {
            Role::Text
        };
        pen.wrapped(role, item);
    }
}

/// What a running attempt is doing.
fn progress(scene: &Scene<'_>, state: &StepState, pen: &mut Pen<'_>) {
    if !state.phase.in_flight() {
        return;
    }
    let Some(attempt) = state.attempt() else { return };
    section(pen, "now");
    // A doubt begins later than its attempt.
    let since = state.since.filter(|_| state.phase == Phase::InDoubt).unwrap_or(attempt.started_at);
    let spent = text::clock(text::since(since, scene.now));
    let part = if attempt.parts.len() > 1 {
        format!("part {} of {}, ", attempt.part + 1, attempt.parts.len())
    } else {
        String::new()
    };
    pen.put(Role::Focus, &format!("{part}{} for {spent}", state.phase.word()));
    if let Some(until) = attempt.baking_until {
        let words = if until > scene.now {
            format!(", stays here for another {}", text::clock(text::since(scene.now, until)))
        } else {
            let held = scene.state().hold.is_some();
            if held { ", HELD: goes on once h releases it" } else { ", goes on as soon as everything holds" }.to_owned()
        };
        pen.put(Role::Text, &words);
    }
    pen.line();
    if let Some((words, fraction)) = scene.telemetry().progress.get(&state.id.0) {
        pen.column(MARGIN);
        if let Some(fraction) = fraction {
            pen.bar(Role::Focus, f64::from(*fraction), 20).put(Role::Text, &format!(" {:.0} % ", fraction * 100.0));
        }
        // In a narrow pane what it does has lines of its own: an estimate that is cut off is none.
        if text::width(words) > pen.left() {
            pen.line().column(MARGIN);
        }
        pen.wrapped(Role::Text, words);
    }
}

/// Conditions: what does not hold in full, what holds in short.
fn needs(scene: &Scene<'_>, state: &StepState, pen: &mut Pen<'_>, brief: bool) {
    if state.phase.in_flight() || (state.phase == Phase::Done && scene.target.direction == Direction::Forward) {
        return;
    }
    section(pen, "needs");
    let glyphs = scene.theme.glyphs;
    for condition in scene.conditions().iter().filter(|condition| !condition.holds) {
        pen.column(MARGIN).put(Role::Bad, glyphs.fail).gap(1).cell(Role::Bad, condition.id.word(), 11);
        pen.wrapped(Role::Text, &condition.detail);
    }
    let holding = || scene.conditions().iter().filter(|condition| condition.holds);
    let long = !brief && pen.room() > holding().count() + 1;
    pen.column(MARGIN);
    for condition in holding() {
        let (role, glyph) = match condition {
            Condition { overridden: true, .. } => (Role::Warn, glyphs.skipped),
            Condition { blind: true, .. } => (Role::Warn, glyphs.unknown),
            _ => (Role::Good, glyphs.done),
        };
        let word = condition.id.word();
        if long {
            pen.column(MARGIN).put(role, glyph).gap(1).cell(Role::Text, word, 11);
            let gone_past = if condition.overridden { "gone past: " } else { "" };
            pen.put(Role::Dim, &format!("{gone_past}{}", condition.detail)).line();
            continue;
        }
        let blind = if condition.blind { " (blind)" } else { "" };
        if text::width(word) + text::width(blind) + 4 > pen.left() {
            pen.line().column(MARGIN);
        }
        pen.put(role, glyph).gap(1).put(Role::Text, word).put(Role::Warn, blind).gap(2);
    }
    if !long {
        pen.line();
    }
}

/// What an undo costs besides its change, before everything else; but the way back is never shut for want of room.
fn costs(scene: &Scene<'_>, state: &StepState, pen: &mut Pen<'_>) {
    if scene.target.direction == Direction::Back {
        facts(scene, state, pen);
    }
}

/// What was read from the world besides the change.
fn facts(scene: &Scene<'_>, state: &StepState, pen: &mut Pen<'_>) {
    let facts = state.preview(scene.target.direction).map_or(&[][..], |preview| preview.facts.as_slice());
    // What is on its way is no question any more, and what is read meanwhile is that it is so already.
    let told = match state.phase {
        Phase::Done => scene.target.direction == Direction::Forward,
        phase => matches!(phase, Phase::Undoing | Phase::Verifying),
    };
    if facts.is_empty() || told {
        return;
    }
    section(pen, "seen");
    for (label, value) in facts {
        pen.column(MARGIN).put(Role::Dim, label).gap(1).wrapped(Role::Text, value);
    }
}

fn attempts(scene: &Scene<'_>, state: &StepState, pen: &mut Pen<'_>) {
    if state.attempts.is_empty() && state.reason.is_none() {
        return;
    }
    section(pen, "tried");
    for attempt in state.attempts.iter().rev().take(3) {
        let way = match (attempt.direction, scene.target.direction) {
            (Direction::Back, _) => "undo, ",
            (Direction::Forward, Direction::Back) => "forward, ",
            (Direction::Forward, Direction::Forward) => "",
        };
        let started = text::time(attempt.started_at, scene.tz);
        let by = attempt.by.join(" and ");
        pen.column(MARGIN).put(Role::Dim, &format!("#{} {way}{started} by {by} ", attempt.number));
        let (role, words) = outcome(attempt);
        pen.wrapped(role, &words);
    }
    if let Some(reason) = &state.reason {
        pen.column(MARGIN).wrapped(Role::Warn, reason);
    }
}

fn outcome(attempt: &Attempt) -> (Role, String) {
    match &attempt.outcome {
        None => (Role::Focus, "under way".into()),
        Some(Outcome::Done { summary, .. }) => (Role::Good, summary.clone()),
        Some(Outcome::Failed { trouble }) => (Role::Bad, format!("failed: {}: {}", trouble.call, trouble.reason)),
        Some(Outcome::InDoubt { trouble }) => (Role::Bad, format!("in doubt: {}: {}", trouble.call, trouble.reason)),
        Some(Outcome::Stopped) => (Role::Warn, "stopped".into()),
    }
}

/// What the app looks like, beside the step that changes it, and how often the API may still be asked.
fn heroku(scene: &Scene<'_>, step: &Step, pen: &mut Pen<'_>) {
    let of_heroku = matches!(step.kind, Kind::HerokuScale { .. } | Kind::HerokuMaintenance { .. });
    let Some(seen) = scene.telemetry().heroku.as_ref().filter(|_| of_heroku && pen.room() > 0) else { return };
    section(pen, "app");
    let each = seen.formation.iter().map(|(kind, quantity, size)| format!("{kind} {quantity} x {size}"));
    let each: Vec<_> = each.map(|words| words.trim_end_matches(" x ").to_owned()).collect();
    pen.wrapped(Role::Text, &each.join(", "));
    let mode = if seen.maintenance { "maintenance ON" } else { "maintenance off" };
    let release = seen.release.as_ref().map_or_else(String::new, |(version, what)| format!(", v{version} {what}"));
    let age = text::brief(text::since(seen.at, scene.now));
    pen.column(MARGIN).wrapped(Role::Text, &format!("{mode}{release}, read {age} ago"));
    if let Some(left) = seen.remaining {
        let role = if left < SCARCE { Role::Warn } else { Role::Dim };
        pen.column(MARGIN).put(role, &format!("{left} API calls left, 75 more each minute")).line();
    }
}

/// The newest lines of output that there is room for.
fn output(scene: &Scene<'_>, step: &Step, pen: &mut Pen<'_>) {
    let Some(lines) = scene.telemetry().output.get(&step.id.0) else { return };
    let room = if scene.ui.zoom { pen.room().max(OUTPUT) } else { pen.room() };
    if room < 2 || lines.is_empty() {
        return;
    }
    section(pen, "output");
    for line in &lines[lines.len().saturating_sub(room)..] {
        pen.column(MARGIN).put(Role::Text, line).line();
    }
}

pub(super) fn strip(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    let Some(step) = scene.plan().step(&scene.target.step) else { return };
    let phase = scene.phase(&step.id);
    let (glyph, role) = symbol(scene.theme.glyphs, phase);
    pen.put(role, glyph).put(Role::Strong, &format!(" {} {} ", scene.target.index + 1, step.title));
    pen.put(role, scene.standing(&step.id, phase));
    if let Some(open) = scene.conditions().iter().find(|condition| !condition.holds && !phase.in_flight()) {
        pen.gap(2).put(Role::Dim, &format!("{}: {}", open.id.word(), open.detail));
    }
}
