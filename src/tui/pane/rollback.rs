//! The way back: its price before it is needed, and the list of undos.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pane, Pen, Role, Scene, frame, padded, text, word};

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) {
    let rolling = scene.state().rollback.is_some();
    let right = if rolling { vec![word(Role::Warn, "ROLLING BACK")] } else { Vec::new() };
    let inside = frame(scene, Pane::Rollback, area, &[word(Role::Text, "Rollback")], &right, buf);
    let mut pen = Pen::new(buf, scene.theme, padded(inside));
    headline(scene, &mut pen);
    pen.line();
    facts(scene, &mut pen);
    for (index, step) in scene.price.undos.iter().enumerate() {
        if pen.room() == 0 {
            break;
        }
        pen.put(Role::Dim, &format!("{}. undo ", index + 1)).put(Role::Text, &step.0).line();
    }
}

/// `[R] 1:15 to Heroku`, or why there is no way back.
pub(super) fn headline(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    let old = &scene.plan().sides.old.label;
    if let Some(step) = &scene.price.passed {
        pen.put(Role::Bad, "no way back").put(Role::Dim, &format!(" since {step}"));
    } else if scene.price.undos.is_empty()
        && let Some(stands) = scene.state().steps.iter().find(|step| !step.applied.is_empty() && !step.undoable())
    {
        pen.put(Role::Warn, "nothing to undo").put(Role::Text, &format!("; {} stands and has no undo", stands.id));
    } else if scene.price.undos.is_empty() {
        pen.put(Role::Good, scene.theme.glyphs.done).put(Role::Text, " nothing to undo: as before");
    } else {
        pen.put(Role::Key, "[R]").put(Role::Strong, &format!(" {} ", text::clock(scene.price.total)));
        pen.put(Role::Text, &format!("to {old}"));
    }
}

/// What the price is made of, and what ends the way back.
pub(super) fn facts(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    let price = &scene.price;
    if !price.undos.is_empty() {
        let undos = format!("{} {}", text::count(price.undos.len(), "undo"), text::clock(price.undo_time));
        pen.put(Role::Dim, &undos);
        if !price.ttl.is_zero() {
            pen.put(Role::Dim, &format!(" + TTL {}", text::clock(price.ttl)));
        }
        pen.line();
    }
    if let Some(words) = written(scene) {
        pen.put(Role::Warn, &words).line();
    }
    if let Some(step) = &price.no_return {
        let number = scene.plan().position(step).map_or(0, |index| index + 1);
        pen.put(Role::Dim, &format!("no return from step {number}")).line();
    }
    if let Some(until) = certificate(scene) {
        let date = until.to_zoned(scene.tz.clone()).strftime("%d %b %Y").to_string();
        let old = &scene.plan().sides.old.label;
        pen.put(Role::Dim, &format!("{old} certificate to {date}")).line();
    }
}

/// What stays behind on the new side.
pub(super) fn written(scene: &Scene<'_>) -> Option<String> {
    let written = scene.price.written?;
    let new = &scene.plan().sides.new.label;
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let amount = match (written.amount, written.rows) {
        (None, true) => return Some(format!("rows on {new}: not known")),
        (None, false) => return Some(format!("writes on {new}: not known")),
        (Some(rows), true) => format!("{rows} rows"),
        (Some(bytes), false) => text::value(crate::plan::Unit::Bytes, bytes as f64),
    };
    let more = if written.at_least { "more than " } else { "" };
    Some(format!("{more}{amount} on {new}"))
}

/// When the old side's certificate ends: it is not renewed once DNS has left.
fn certificate(scene: &Scene<'_>) -> Option<jiff::Timestamp> {
    let runs = scene.telemetry().checks.iter().flat_map(|(_, runs)| runs);
    let old = runs.filter(|run| run.target == crate::run::Target::Old);
    old.filter_map(|run| run.certificate_until).min()
}

pub(super) fn strip(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    headline(scene, pen);
    if !scene.price.undos.is_empty() {
        let undos = text::count(scene.price.undos.len(), "undo");
        pen.put(Role::Dim, &format!("  {undos} + TTL {}", text::clock(scene.price.ttl)));
    }
}
