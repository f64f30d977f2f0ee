//! The way back: its price before it is needed, and the list of undos.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pane, Pen, Role, Rolled, Scene, frame, padded, rolled, scrolled_by, text, word};
use crate::{
    plan::StepId,
    run::{Change, HoldKind},
};

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) -> Rolled {
    let rolling = scene.state().rollback.is_some();
    let right = if rolling { vec![word(Role::Warn, "ROLLING BACK")] } else { Vec::new() };
    let inside = frame(scene, Pane::Rollback, area, &[word(Role::Text, "Rollback")], &right, buf);
    rolled(scene, padded(inside), scrolled_by(scene, Pane::Rollback), buf, |pen| {
        headline(scene, pen);
        pen.line();
        facts(scene, pen);
        // Once there is no way back, what could be undone is no list to go by.
        let open = scene.price().passed.is_none();
        for (index, step) in scene.price().undos.iter().filter(|_| open).enumerate() {
            pen.put(Role::Dim, &format!("{}. undo ", index + 1)).put(Role::Text, &step.0).line();
        }
    })
}

/// `[R] 1:15 to Heroku`, or why there is no way back.
pub(super) fn headline(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    let old = &scene.plan().sides.old.label;
    if let Some(step) = &scene.price().passed {
        let number = scene.plan().position(step).map_or(0, |index| index + 1);
        let title = scene.plan().step(step).map_or(step.0.as_str(), |step| &step.title);
        pen.put(Role::Bad, "no way back").put(Role::Dim, &format!(" since step {number}, {title}"));
    } else if scene.price().undos.is_empty()
        && let Some(stands) = scene.state().steps.iter().find(|step| !step.applied.is_empty() && !step.undoable())
    {
        pen.put(Role::Warn, "nothing to undo").put(Role::Text, &format!("; {} stands and has no undo", stands.id));
    } else if scene.price().undos.is_empty() {
        let words =
            if scene.state().rolled_back { " rolled back: every undo is done" } else { " nothing to undo: as before" };
        pen.put(Role::Good, scene.theme.glyphs.done).put(Role::Text, words);
    } else {
        if scene.lost.is_none() && scene.state().rollback.is_none() {
            pen.put(Role::Key, "[R]").gap(1);
        }
        pen.put(Role::Strong, &format!("{} ", text::clock(scene.price().total)));
        pen.put(Role::Text, &format!("to {old}"));
        if let Some(number) = stops_at(scene) {
            pen.put(Role::Bad, &format!(", STOPS at undo {number}"));
        }
    }
}

/// What the price is made of, and what ends the way back.
pub(super) fn facts(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    let price = scene.price();
    if price.passed.is_some() {
        return;
    }
    if let Some(words) = stuck(scene) {
        pen.wrapped(Role::Bad, &words);
    }
    if let Some(words) = written(scene) {
        pen.wrapped(Role::Warn, &words);
    }
    if !price.undos.is_empty() {
        let undos = format!("{} {}", text::count(price.undos.len(), "undo"), text::clock(price.undo_time));
        pen.put(Role::Dim, &undos);
        if !price.ttl.is_zero() {
            pen.put(Role::Dim, &format!(" + TTL {}", text::clock(price.ttl)));
        }
        pen.line();
    }
    if let Some(step) = &price.no_return {
        let number = scene.plan().position(step).map_or(0, |index| index + 1);
        pen.put(Role::Dim, &format!("no return from step {number}")).line();
    }
    if let Some(until) = certificate(scene) {
        let date = until.to_zoned(scene.tz.clone()).strftime("%d %b %Y").to_string();
        let old = &scene.plan().sides.old.label;
        pen.wrapped(Role::Dim, &format!("{old} certificate to {date}"));
    }
}

/// Why going back would stop on its way, as far as that is known now.
fn stuck(scene: &Scene<'_>) -> Option<String> {
    let number = stops_at(scene)?;
    let id = &scene.price().undos[number - 1];
    Some(format!("stops at undo {number}, {id}: the AWS credentials have ended"))
}

/// The number of the undo, from 1, that going back would stop at, as far as that is known now.
pub(super) fn stops_at(scene: &Scene<'_>) -> Option<usize> {
    if !scene.holds().iter().any(|hold| hold.kind == HoldKind::Credentials) {
        return None;
    }
    let at_aws = |id: &&StepId| {
        let step = scene.state().step(id);
        step.is_some_and(|step| step.applied.iter().any(Change::is_at_aws))
    };
    scene.price().undos.iter().position(|id| at_aws(&id)).map(|first| first + 1)
}

/// What going back loses: a sentence, because a number alone is taken for anything. A count that is old says so.
pub(super) fn written(scene: &Scene<'_>) -> Option<String> {
    let written = scene.price().written?;
    let new = &scene.plan().sides.new.label;
    // While undos run and after them nothing is going to be lost any more: it is what has stayed there.
    let gone = scene.state().rolled_back || scene.price().undos.is_empty();
    let verb = if gone { "left" } else { "loses" };
    let since = text::minute(written.since, scene.tz);
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let amount = match (written.amount, written.rows) {
        (None, _) => {
            let what = if written.rows { "rows" } else { "data" };
            return Some(format!("{verb} {what} written on {new} since {since}: how many is not known"));
        }
        (Some(1), true) => "1 row".to_owned(),
        (Some(rows), true) => format!("{rows} rows"),
        (Some(bytes), false) => text::value(crate::plan::Unit::Bytes, bytes as f64),
    };
    let more = if written.at_least { "more than " } else { "" };
    // Once it is closed again nothing more comes, however old the count is.
    let grows = crate::run::closed_at(scene.plan(), scene.state()).is_none();
    let age = written.as_of.map(|at| text::since(at, scene.now)).filter(|age| grows && *age > FRESH);
    let age = age.map_or_else(String::new, |age| format!(", counted {} ago", text::brief(age)));
    Some(format!("{verb} {more}{amount} written on {new} since {since}{age}"))
}

/// A count younger than this is as good as now.
const FRESH: std::time::Duration = std::time::Duration::from_secs(180);

/// When the old side's certificate ends: it is not renewed once DNS has left.
fn certificate(scene: &Scene<'_>) -> Option<jiff::Timestamp> {
    let old = scene.state().endings.iter().filter(|ending| ending.of == crate::run::Expiring::OldCertificate);
    old.filter_map(|ending| ending.until).min()
}

pub(super) fn strip(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    headline(scene, pen);
    if scene.price().passed.is_some() {
        return;
    }
    if let Some(words) = written(scene) {
        pen.put(Role::Warn, &format!("  {words}"));
    }
    if !scene.price().undos.is_empty() {
        let undos = text::count(scene.price().undos.len(), "undo");
        pen.put(Role::Dim, &format!("  {undos} + TTL {}", text::clock(scene.price().ttl)));
    }
}
