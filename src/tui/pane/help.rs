//! The keys, from their table; what works in the focused pane comes first.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    super::keymap::{Context, TABLE, View, labels},
    Pane, Pen, Role, Rolled, Scene, above, dialog, more, rolled, scroll_keys, text, word,
};

pub(super) fn render(scene: &Scene<'_>, at: usize, buf: &mut Buffer) -> Rolled {
    let size = (buf.area.width.min(100), above(scene, buf.area).height.saturating_sub(2));
    let inside = dialog(scene, size, &[word(Role::Text, "Help")], buf);
    let rolled = rolled(scene, inside, at, buf, |pen| keys(scene, pen));
    let frame = Rect { x: inside.x - 2, y: inside.y - 1, width: inside.width + 4, height: inside.height + 2 };
    more(scene, frame, rolled, scroll_keys(scene.theme), buf);
    rolled
}

fn keys(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    for line in text::wrap(about(scene), pen.width()) {
        pen.put(Role::Text, &line).line();
    }
    let here = scene.ui.contexts();
    let all = [Context::Step, Context::Graphs, Context::Journal, Context::List, Context::Everywhere];
    let elsewhere = all.iter().filter(|context| !here.contains(context));
    for (context, works) in here.iter().map(|c| (c, true)).chain(elsewhere.map(|c| (c, false))) {
        let suffix = if works { "" } else { " (in its pane)" };
        pen.line().put(Role::Strong, context.title()).put(Role::Dim, suffix).line();
        for binding in TABLE.iter().filter(|binding| binding.context == *context) {
            pen.gap(2).cell(Role::Key, &labels(binding, scene.theme.ascii()), 12);
            pen.wrapped(if works { Role::Text } else { Role::Dim }, binding.help);
        }
    }
    pen.line().put(Role::Strong, "Gates").line();
    for line in text::wrap(GATES, pen.width().saturating_sub(2)) {
        pen.gap(2).put(Role::Text, &line).line();
    }
}

const GATES: &str = "Nothing is changed by one key. Enter arms; then look; then the key or the words that the gate asks \
    for. Whatever was typed before the change could be read, pasted text, bursts and repeats never open a gate: they \
    close it. Just before anything is sent the world is read again, and any difference closes the gate and says what \
    changed.";

/// What the focused pane is for.
fn about(scene: &Scene<'_>) -> &'static str {
    match (scene.ui.view, scene.ui.focus) {
        (View::Cockpit, Pane::Steps) => {
            "Steps: all of the plan, with time taken or planned. Arrows look at another step."
        }
        (View::Cockpit, Pane::Step) => {
            "Step: what exactly it changes, what must hold, what going back costs, and what to press. Arrows look at another step; zoomed (z) they scroll what does not fit, and [ and ] go to other steps."
        }
        (View::Cockpit, Pane::Graphs) | (View::Graphs, _) => {
            "Graphs: metrics of both sides (dotted: old). The dashed line is the guardrail, the fine one what was normal; a number at the top is the step that acted there. Arrows choose a graph and move the crosshair, z shows one with all its numbers. Dim is blind: no data is not green."
        }
        (View::Cockpit, Pane::Dns) | (View::Dns, _) => {
            "DNS: what the authority and every resolver answer, and the TTL that is left, counted down here between probes. `stretches`: keeps it longer than it may. `stale`: goes on answering old at TTL 0."
        }
        (View::Cockpit, Pane::Traffic) => {
            "Traffic: requests at each side. The cutover is over when the old side is silent."
        }
        (View::Cockpit, Pane::Interlock) => {
            "Interlock: what is seen running where. Worker, cron and writer never run on both sides; an act that would do so is refused. LEAK: somebody writes although writes are frozen. STILL: it runs although a step ended it. z says who."
        }
        (View::Cockpit, Pane::Checks) | (View::Checks, _) => {
            "Checks: requests against each side's own address and the live name, with latency and the newest runs."
        }
        (View::Cockpit, Pane::Rollback) => {
            "Rollback: what going back takes now. R shows everything and begins it with a second key."
        }
        (View::Cockpit, Pane::Log) | (View::Journal, _) => {
            "Journal: everything that happened, in order, with who did it."
        }
        (View::Checklist, _) => {
            "Checklist: everything that people tick off. Arrows scroll; [ and ] choose a step, Enter goes to it."
        }
        (View::Timeline, _) => {
            "Timeline: planned against actual. People's waiting stands apart from the steps' own time."
        }
    }
}
