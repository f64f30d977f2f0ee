//! Under the header: what nobody may overlook, gravest first.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pen, Role, Rolled, Scene, above, dialog, more, rolled, scroll_keys, text, word};
use crate::{
    plan::{Consequence, Guardrail},
    run::{Gate, HoldKind, breached},
    tui::model::{asks, second_persons},
};

/// One banner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Banner {
    role: Role,
    word: &'static str,
    text: String,
    /// What to do, on the right.
    hint: String,
}

fn banner(role: Role, word: &'static str, text: impl Into<String>, hint: impl Into<String>) -> Banner {
    Banner { role, word, text: text.into(), hint: hint.into() }
}

/// All banners as of now.
pub(super) fn banners(scene: &Scene<'_>) -> Vec<Banner> {
    let state = scene.state();
    let mut all = Vec::new();
    if let Some(lost) = scene.lost {
        let since = text::time(lost.since, scene.tz);
        all.push(match &lost.restart {
            Some(restart) => {
                // First what must be readable on a narrow screen: since when stands in the header.
                let words = format!("{restart} starts it; nothing goes on until then");
                banner(Role::BadFill, "NO ENGINE", words, "")
            }
            None => {
                let words = format!("as of {since}: {}. It is looked for; what you see is old.", lost.reason);
                banner(Role::BadFill, "DISCONNECTED", words, "reconnecting")
            }
        });
    }
    if let Some(reason) = &scene.telemetry().journal_trouble {
        // The cause comes last and must be readable; the path before it is in the engine's log.
        let cause = reason.rsplit(": ").next().unwrap_or(reason);
        let since = reason.split_once(": ").map(|(since, _)| since).filter(|since| since.starts_with("since "));
        let since = since.map_or_else(String::new, |since| format!(" {since}"));
        let words = format!("cannot be written{since}: {cause}");
        all.push(banner(Role::BadFill, "JOURNAL", words, "nothing acts until it can"));
    }
    if let Some(rollback) = &state.rollback {
        let left = text::count(scene.price().undos.len(), "step");
        let words = format!("since {}, {}: {left} to undo", text::time(rollback.at, scene.tz), rollback.reason);
        all.push(banner(Role::WarnFill, "ROLLING BACK", words, "F turns forward again"));
    }
    let (blind, holds): (Vec<_>, Vec<_>) = scene.holds().iter().partition(|hold| hold.kind == HoldKind::Blind);
    all.extend(holds.into_iter().map(|hold| held(scene, hold)));
    all.extend(state.gate.as_ref().and_then(|gate| gate_of(scene, gate)));
    all.extend(late(scene));
    all.extend(blind.into_iter().map(|hold| held(scene, hold)));
    if scene.lost.is_some() {
        // What they say to press or to wait for needs an engine.
        all.iter_mut().skip(1).for_each(|banner| banner.hint.clear());
    }
    all
}

/// What is left does not fit the window any more, even if nobody waits; or the window is over.
fn late(scene: &Scene<'_>) -> Option<Banner> {
    let state = scene.state();
    let over = state.ended || state.complete() || state.rolled_back || state.rollback.is_some();
    let (finish, end) = (scene.forecast().finish, scene.forecast().window_end.filter(|_| !over)?);
    let minute = |at| text::minute(at, scene.tz);
    let words = if scene.now < end {
        format!("what is left ends at {} if nobody waits, the window at {}", minute(finish), minute(end))
    } else {
        format!("the window ended at {}; what is left ends at {} if nobody waits", minute(end), minute(finish))
    };
    (finish > end).then(|| banner(Role::WarnFill, "LATE", words, ""))
}

/// A gate that this person did not arm, or whose second person is awaited: what, since when, from whom.
fn gate_of(scene: &Scene<'_>, gate: &Gate) -> Option<Banner> {
    let own = gate.by.conn == scene.snapshot.you.conn;
    let since = |at| text::clock(text::since(at, scene.now));
    let waits = gate.typed_at.filter(|_| !gate.consented);
    match waits {
        Some(at) if asks(scene.snapshot).is_some() => {
            let words = format!("{} typed {} {} ago", gate.by.name, gate.step, since(at));
            Some(banner(Role::WarnFill, "CONFIRM", words, format!("both read: {}", gate.evidence.words())))
        }
        Some(at) => {
            let whom = second_persons(scene.snapshot, gate);
            let words = format!("{} for {}, {whom}", gate.step, since(at));
            Some(banner(Role::InfoFill, "WAITS", words, gate.evidence.words()))
        }
        None if own => None,
        None => {
            // People's time, as the driver's gate counts it down.
            let ago = text::clock(scene.snapshot.clock.to_wall(text::since(gate.armed_at, scene.now)));
            let step = scene.plan().step(&gate.step).map_or(gate.step.0.as_str(), |step| step.title.as_str());
            let words = format!("{} armed the gate of \"{step}\" {ago} ago", gate.by.name);
            Some(banner(Role::InfoFill, "ARMED", words, ""))
        }
    }
}

fn held(scene: &Scene<'_>, hold: &crate::run::Hold) -> Banner {
    let since =
        hold.since.map_or_else(String::new, |since| format!(" (for {})", text::clock(text::since(since, scene.now))));
    let words = format!("{}{since}", hold.text);
    let (role, hint) = match hold.kind {
        HoldKind::Doubt => (Role::BadFill, "l looks again, u decides".to_owned()),
        HoldKind::Doubled(_) => (Role::BadFill, "stop one side".to_owned()),
        HoldKind::Missing(_) => (Role::BadFill, "start it".to_owned()),
        HoldKind::Stray => (Role::BadFill, "stop it".to_owned()),
        HoldKind::Manual => (Role::WarnFill, "h releases".to_owned()),
        HoldKind::Breach => return breach(scene, &words, hold.blocking),
        HoldKind::Expiry => (Role::WarnFill, "renew it".to_owned()),
        HoldKind::Preview => (Role::WarnFill, next_try(scene, hold, "l looks again")),
        HoldKind::Source => (Role::WarnFill, next_try(scene, hold, "retried by itself")),
        HoldKind::Credentials => (Role::BadFill, String::new()),
        HoldKind::Changed => (Role::WarnFill, String::new()),
        HoldKind::Blind => (Role::InfoFill, String::new()),
    };
    banner(role, hold.kind.word(), words, hint)
}

/// When it is tried again; `else_words` while that is not known, or just now.
fn next_try(scene: &Scene<'_>, hold: &crate::run::Hold, else_words: &str) -> String {
    let next = hold.next_try.filter(|at| *at > scene.now);
    next.map_or_else(|| else_words.to_owned(), |at| format!("next try {}", text::time(at, scene.tz)))
}

/// A breach says value and limit, and proposes what the plan says.
fn breach(scene: &Scene<'_>, words: &str, blocking: bool) -> Banner {
    let guardrails = scene.plan().guardrails.iter().filter(|g| breached(scene.state(), g));
    let guardrail = guardrails.into_iter().find(|g| words.contains(&g.title));
    let text = guardrail.map_or_else(|| words.to_owned(), |guardrail| format!("{words}{}", measured(scene, guardrail)));
    let proposes = guardrail.is_some_and(|g| g.consequence == Consequence::ProposeRollback);
    let hint = if proposes { format!("R rolls back in {}", text::clock(scene.price().total)) } else { String::new() };
    banner(if blocking { Role::BadFill } else { Role::WarnFill }, "BREACH", text, hint)
}

fn measured(scene: &Scene<'_>, guardrail: &Guardrail) -> String {
    let unit = scene.plan().metrics.iter().find(|metric| metric.id == guardrail.metric).map(|metric| metric.unit);
    let verdict = scene.telemetry().verdicts.get(&guardrail.id);
    let (Some(unit), Some(verdict)) = (unit, verdict) else { return String::new() };
    let value = verdict.value.map_or_else(String::new, |value| format!(", {}", text::value(unit, value)));
    let limit = verdict.threshold.map_or_else(String::new, |limit| format!(", limit {}", text::value(unit, limit)));
    format!("{value}{limit}")
}

pub(super) fn render(scene: &Scene<'_>, banners: &[Banner], area: Rect, buf: &mut Buffer) {
    let room = usize::from(area.height);
    let mut pen = Pen::new(buf, scene.theme, area);
    for (index, banner) in banners.iter().take(room).enumerate() {
        let more = if index + 1 == room { banners.len() - room } else { 0 };
        let columns = pen.width();
        let hint = if more > 0 { format!("{}  +{more} more: !", banner.hint) } else { banner.hint.clone() };
        let hint_columns = text::width(&hint) + 2;
        let glyph = scene.theme.glyphs.warn;
        pen.put(banner.role, &format!(" {glyph} {}  ", banner.word));
        let left = pen.left().saturating_sub(hint_columns + 1);
        pen.cell(Role::Text, &banner.text, left).gap(1);
        pen.right(Role::Text, &format!("{hint} "));
        pen.lay(banner.role, 0, columns).line();
    }
}

/// The gravest, a line each, where there is no room for what to do about them.
pub(super) fn brief(scene: &Scene<'_>, banners: &[Banner], area: Rect, buf: &mut Buffer) {
    let mut pen = Pen::new(buf, scene.theme, area);
    for banner in banners.iter().take(usize::from(area.height)) {
        pen.put(banner.role, &format!(" {} {} ", scene.theme.glyphs.warn, banner.word)).gap(1);
        let left = pen.left();
        pen.cell(Role::Text, &banner.text, left).line();
    }
}

/// Every banner with all of its words, over the screen.
pub(super) fn all(scene: &Scene<'_>, at: usize, buf: &mut Buffer) -> Rolled {
    let banners = banners(scene);
    let size = (buf.area.width.min(100), above(scene, buf.area).height.saturating_sub(2));
    let columns = usize::from(size.0).saturating_sub(4);
    let lines = |banner: &Banner| text::wrap(&banner.text, columns).len() + usize::from(!banner.hint.is_empty()) + 2;
    let wanted = banners.iter().map(lines).sum::<usize>().max(1) + 3;
    let size = (size.0, size.1.min(u16::try_from(wanted).unwrap_or(u16::MAX)));
    let inside = dialog(scene, size, &[word(Role::Text, text::count(banners.len(), "alarm"))], buf);
    let rolled = rolled(scene, inside, at, buf, |pen| {
        if banners.is_empty() {
            pen.put(Role::Good, "Nothing stands under the header.").line();
        }
        for banner in &banners {
            pen.put(banner.role, &format!(" {} {} ", scene.theme.glyphs.warn, banner.word)).line();
            pen.wrapped(Role::Text, &banner.text);
            if !banner.hint.is_empty() {
                pen.put(Role::Dim, &banner.hint).line();
            }
            pen.line();
        }
        pen.put(Role::Dim, "any other key goes back");
    });
    let frame = Rect { x: inside.x - 2, y: inside.y - 1, width: inside.width + 4, height: inside.height + 2 };
    more(scene, frame, rolled, scroll_keys(scene.theme), buf);
    rolled
}
