//! The last line: what can be pressed here, made from the table of keys; and what was just said.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    super::keymap::{Binding, CONSENT, Command, Context, TABLE, View, label},
    Pen, Role, Scene, text,
};
use crate::{
    plan::GateLevel,
    run::{Direction, Phase, Seat, hourly_bill},
    tui::{
        form::Decision,
        gate::{Latch, Wants},
        model::{barred, items, seat, unarmable},
        ui::Overlay,
    },
};

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) {
    let mut pen = Pen::new(buf, scene.theme, area);
    if let Some(toast) = &scene.ui.toast {
        let role = if toast.bad { Role::WarnFill } else { Role::InfoFill };
        pen.put(role, &format!(" {} ", toast.text));
        return;
    }
    if let Some(latch) = scene.ui.gate.latch() {
        armed(scene, latch, &mut pen);
        return;
    }
    if let Some(overlay) = &scene.ui.overlay {
        above(scene, overlay, &mut pen);
        return;
    }
    let view = views(scene, pen.width());
    // Each key has a gap behind it.
    let room = pen.width().saturating_sub(text::width(&view));
    pen.gap(1);
    // The way back and the way out are offered in any case: room for them is kept.
    let always = |binding: &&Binding| matches!(binding.command, Command::Rollback | Command::Detach | Command::End);
    let always = |binding: &&Binding| always(binding) && !binding.hint.is_empty() && acts(scene, binding.command);
    let columns =
        |binding: &Binding| text::width(&label(binding, scene.theme.ascii())) + text::width(hint(scene, binding)) + 3;
    let mut kept: usize = TABLE.iter().filter(always).map(columns).sum();
    let mut used = 1;
    for context in scene.ui.contexts() {
        // Keys of a step are the driver's.
        if *context == Context::Step && seat(scene.snapshot) != Seat::Driver {
            continue;
        }
        let offered = TABLE.iter().filter(|binding| binding.context == *context && !binding.hint.is_empty());
        for binding in offered.filter(|binding| acts(scene, binding.command)) {
            let key = label(binding, scene.theme.ascii());
            if always(&binding) {
                kept -= columns(binding);
            }
            if used + columns(binding) + kept > room {
                continue;
            }
            used += columns(binding);
            pen.put(Role::Key, &key).gap(1).put(Role::Dim, hint(scene, binding)).gap(2);
        }
    }
    pen.right(Role::Dim, &view);
}

/// What a key does, in a word.
fn hint(scene: &Scene<'_>, binding: &Binding) -> &'static str {
    let held = scene.state().hold.is_some();
    let step = scene.plan().step(&scene.target.step);
    let starts = scene.target.direction == Direction::Forward && step.is_some_and(|step| step.gate == GateLevel::Start);
    match binding.command {
        Command::Hold if held => "release",
        Command::Arm if starts => "start",
        _ => binding.hint,
    }
}

/// While something lies over the screen, keys belong to it.
fn above(scene: &Scene<'_>, overlay: &Overlay, pen: &mut Pen<'_>) {
    let barred = |about: &Decision| matches!(about, Decision::Rollback(_)) && barred(scene.snapshot).is_some();
    let mut key = |key: &str, does: &str| {
        pen.gap(1).put(Role::Key, key).gap(1).put(Role::Dim, does).gap(1);
    };
    match overlay {
        Overlay::Form(form) => {
            key("Enter", "done");
            if form.fields.len() > 1 {
                key("Tab", "next line");
            }
            key("Esc", "leave it");
        }
        Overlay::Question(question) if barred(&question.about) => key("Esc", "leave it"),
        Overlay::Question(_) => {
            key(&CONSENT.to_string(), "does it");
            key("Esc", "leave it");
            pen.put(Role::Dim, "  any other key leaves it too");
        }
        Overlay::Help(_) | Overlay::Plain(_) | Overlay::Alarms(_) => {
            key(if scene.theme.ascii() { "j k" } else { "↑ ↓" }, "scroll");
            pen.put(Role::Dim, "  any other key closes it");
        }
        Overlay::People => {
            pen.put(Role::Dim, " any key closes it");
        }
    }
}

/// Whether a key does something now: what only says why it does not is not offered.
fn acts(scene: &Scene<'_>, command: Command) -> bool {
    let state = scene.state();
    match command {
        command if command.asks() && (scene.lost.is_some() || state.ended) => false,
        Command::Arm => !scene.ui.gate.cramped() && unarmable(scene.snapshot, &scene.target, scene.now).is_none(),
        Command::Hold => seat(scene.snapshot) != Seat::Viewer,
        Command::Tick => {
            let running = state.step(&scene.target.step).is_some_and(|step| step.phase == Phase::Running);
            running && !items(scene.plan(), &scene.target.step).is_empty()
        }
        // Elsewhere it leads back to the cockpit, as 1 does.
        Command::NextPane => scene.ui.view == View::Cockpit,
        // Before everything is done it is no usual thing to do.
        Command::End => (state.complete() || state.rolled_back) && seat(scene.snapshot) != Seat::Viewer,
        Command::Rollback => state.rollback.is_none() && !state.rolled_back && scene.price().passed.is_none(),
        _ => true,
    }
}

/// While a gate waits for this person, keys mean what it says and nothing else.
fn armed(scene: &Scene<'_>, latch: &Latch, pen: &mut Pen<'_>) {
    pen.gap(1);
    if scene.ui.gate.cramped() {
        pen.put(Role::Warn, "not all of the change is on the screen: nothing passes   ");
        pen.put(Role::Key, "Esc").put(Role::Text, " disarms");
        return;
    }
    match latch.wants() {
        Wants::Key(key) => {
            pen.put(Role::Key, &key.to_string()).put(Role::Strong, " goes on   ");
            pen.put(Role::Text, "any other key disarms");
        }
        Wants::Word(_) => {
            pen.put(Role::Text, "the words, letter by letter, then ").put(Role::Key, "Enter");
            pen.put(Role::Strong, " goes on   ").put(Role::Key, "Esc").put(Role::Text, " disarms");
        }
    }
}

fn views(scene: &Scene<'_>, columns: usize) -> String {
    let current = View::ALL.iter().position(|view| *view == scene.ui.view).unwrap_or(0) + 1;
    if columns < 100 {
        // Which one it is stands in its frame.
        return "1-7 views ".to_owned();
    }
    format!("{}1-7 views  {current} {} ", bill(scene, columns), scene.ui.view.title())
}

/// Beside the graphs, where keys leave room for it: what asking for their data costs.
fn bill(scene: &Scene<'_>, columns: usize) -> String {
    let bill = hourly_bill(scene.plan());
    if scene.ui.view != View::Graphs || bill <= 0.0 || columns < 110 {
        return String::new();
    }
    format!("CloudWatch {bill:.3} USD/h  ")
}
