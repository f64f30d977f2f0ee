//! Synthetic checks: each on the old side, the new side and the live name.

use std::time::Duration;

use jiff::Timestamp;
use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pane, Pen, Role, Rolled, Scene, frame, framed, padded, rolled, scrolled_by, text, word};
use crate::{
    plan::{Bound, Check, Side, Unit},
    run::{AUTHORITY, Answer, CheckSample, Target, VerdictKind, active, in_maintenance, maintenance_since},
};

/// What the newest runs say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passes,
    Fails,
    /// It meets the maintenance that a step of the plan has turned on.
    Planned,
    /// Never run, or not for so long that nothing can be said.
    Unknown,
}

fn newest<'a>(scene: &Scene<'a>, check: &Check, target: Target) -> Option<&'a CheckSample> {
    scene.telemetry().check_runs(&check.id, target).next_back()
}

fn verdict(scene: &Scene<'_>, check: &Check, target: Target) -> Verdict {
    let Some(run) = newest(scene, check, target) else { return Verdict::Unknown };
    let stale = text::since(run.at, scene.now) > check.every * 4 + check.timeout;
    match (run.passing, stale) {
        (false, false) if planned(scene, run) => Verdict::Planned,
        (false, _) => Verdict::Fails,
        (true, false) => Verdict::Passes,
        (true, true) => Verdict::Unknown,
    }
}

/// What is said of a run that meets the maintenance.
const PLANNED: &str = "503, maintenance as planned";

/// Whether a run met the maintenance page that a step has turned on: at the old side, or where the live name leads there.
fn planned(scene: &Scene<'_>, run: &CheckSample) -> bool {
    let state = scene.state();
    let moved = state.answers.iter().any(|known| known.resolver == AUTHORITY && known.answer == Answer::New);
    let there = match run.target {
        Target::Old => true,
        Target::New => false,
        Target::Live => run.served_by.map_or(!moved, |side| side == Side::Old),
    };
    there && run.status == Some(503) && in_maintenance(state, run.at)
}

/// What customers meet, and what they will meet: the old side counts through the live name, for as long as that leads
/// there. After the switch it may be as dead as it is meant to be.
fn overall(scene: &Scene<'_>, check: &Check) -> Verdict {
    let all = [Target::New, Target::Live].map(|target| verdict(scene, check, target));
    if all.contains(&Verdict::Fails) {
        Verdict::Fails
    } else if all.contains(&Verdict::Unknown) {
        Verdict::Unknown
    } else if all.contains(&Verdict::Planned) {
        Verdict::Planned
    } else {
        Verdict::Passes
    }
}

fn symbol(scene: &Scene<'_>, verdict: Verdict) -> (Role, &'static str) {
    match verdict {
        Verdict::Passes => (Role::Good, scene.theme.glyphs.done),
        Verdict::Fails => (Role::Bad, scene.theme.glyphs.fail),
        Verdict::Planned => (Role::Dim, scene.theme.glyphs.dash),
        Verdict::Unknown => (Role::Warn, scene.theme.glyphs.unknown),
    }
}

/// `12/12 pass`, and how it is meant.
fn tally(scene: &Scene<'_>) -> (Role, String) {
    let all = || scene.plan().checks.iter().map(|check| overall(scene, check));
    let passing = all().filter(|verdict| *verdict == Verdict::Passes).count();
    let planned = all().filter(|verdict| *verdict == Verdict::Planned).count();
    let role = if all().any(|verdict| verdict == Verdict::Fails) {
        Role::Bad
    } else if planned > 0 && passing + planned == scene.plan().checks.len() {
        return (Role::Dim, format!("{passing}/{} pass, {planned} planned", scene.plan().checks.len()));
    } else if passing == scene.plan().checks.len() {
        Role::Good
    } else {
        Role::Warn
    };
    // Once the names have moved the old side counts for nothing any more.
    let answers = &scene.state().answers;
    let mut led = answers.iter().filter(|known| known.resolver == AUTHORITY).peekable();
    let moved = led.peek().is_some() && led.all(|known| known.answer == Answer::New);
    let on = if moved { format!(" on {}", scene.plan().sides.new.label) } else { String::new() };
    (role, format!("{passing}/{} pass{on}", scene.plan().checks.len()))
}

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) -> Rolled {
    let (role, words) = tally(scene);
    let right = [word(role, words)];
    let inside = frame(scene, Pane::Checks, area, &[word(Role::Text, "Checks")], &right, buf);
    rolled(scene, padded(inside), scrolled_by(scene, Pane::Checks), buf, |pen| list(scene, pen))
}

fn list(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    if scene.plan().checks.is_empty() {
        pen.put(Role::Dim, "the plan has no [[check]]").line();
        return;
    }
    let sides = &scene.plan().sides;
    let (value, sparks) = if pen.width() < 38 { (7, 5) } else { (8, 8) };
    let title = pen.width().saturating_sub(2 + value + value + 1 + sparks);
    pen.gap(2 + title)
        .cell_right(Role::Old, &sides.old.label, value)
        .cell_right(Role::New, &sides.new.label, value)
        .line();
    for check in &scene.plan().checks {
        let (role, glyph) = symbol(scene, overall(scene, check));
        pen.put(role, glyph).gap(1).cell(Role::Text, &check.id, title);
        latency(scene, pen, check, Target::Old, value);
        latency(scene, pen, check, Target::New, value);
        pen.gap(1);
        spark(scene, pen, check, Target::New, sparks);
        pen.line();
    }
    if scene.plan().checks.iter().any(|check| verdict(scene, check, Target::Old) == Verdict::Planned) {
        pen.put(Role::Dim, &format!("{}: {PLANNED}", sides.old.label)).line();
    }
    if scene.ui.zoom || pen.room() >= scene.plan().guardrails.len() + 2 {
        guardrails(scene, pen);
    }
}

/// What the guardrails say.
fn guardrails(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    if scene.plan().guardrails.is_empty() {
        return;
    }
    pen.line().put(Role::Strong, "Guardrails").line();
    for guardrail in &scene.plan().guardrails {
        let verdict = scene.telemetry().verdicts.get(&guardrail.id);
        let counts = active(scene.state(), guardrail);
        let kind = verdict.map_or(VerdictKind::Blind, |verdict| verdict.kind);
        let (role, glyph) = match kind {
            VerdictKind::Holding => (Role::Good, scene.theme.glyphs.done),
            VerdictKind::Breach => (Role::Bad, scene.theme.glyphs.fail),
            VerdictKind::Blind => (Role::Warn, scene.theme.glyphs.unknown),
        };
        let unit = scene.plan().metrics.iter().find(|m| m.id == guardrail.metric).map_or(Unit::Count, |m| m.unit);
        let value = verdict.and_then(|verdict| verdict.value).map_or("blind".into(), |value| text::value(unit, value));
        let sign = if guardrail.bound == Bound::Above { "<" } else { ">" };
        let limit = verdict.and_then(|verdict| verdict.threshold);
        let limit = limit.map_or("baseline".into(), |limit| text::value(unit, limit));
        let title = pen.width().saturating_sub(22);
        pen.put(if counts { role } else { Role::Dim }, if counts { glyph } else { scene.theme.glyphs.waiting }).gap(1);
        pen.cell(if counts { Role::Text } else { Role::Dim }, &guardrail.title, title);
        let value_role = if kind == VerdictKind::Holding { Role::Text } else { role };
        pen.cell_right(if counts { value_role } else { Role::Dim }, &value, 9);
        pen.put(Role::Dim, &format!(" {sign} {limit}")).line();
    }
}

/// The newest latency, or what is wrong, aligned to the right.
fn latency(scene: &Scene<'_>, pen: &mut Pen<'_>, check: &Check, target: Target, columns: usize) {
    let (role, words) = match (newest(scene, check, target), verdict(scene, check, target)) {
        (None, _) => (Role::Dim, if columns > 7 { "no data".to_owned() } else { "none".to_owned() }),
        (Some(run), Verdict::Passes) => (Role::Text, text::latency(run.latency)),
        (Some(run), Verdict::Fails) => {
            let status = run.status.map_or_else(|| "fails".to_owned(), |status| status.to_string());
            (Role::Bad, format!("{} {status}", scene.theme.glyphs.fail))
        }
        (Some(_), Verdict::Planned) => (Role::Dim, format!("{} 503", scene.theme.glyphs.dash)),
        (Some(run), Verdict::Unknown) => {
            (Role::Warn, format!("{} {}", scene.theme.glyphs.unknown, text::brief(age(run, scene.now))))
        }
    };
    pen.cell_right(role, &words, columns);
}

fn age(run: &CheckSample, now: Timestamp) -> Duration {
    text::since(run.at, now)
}

/// Latencies of the newest runs, oldest first; a run that failed stands out by its sign.
fn spark(scene: &Scene<'_>, pen: &mut Pen<'_>, check: &Check, target: Target, columns: usize) {
    let runs: Vec<_> = scene.telemetry().check_runs(&check.id, target).rev().take(columns).collect();
    let seconds = || runs.iter().map(|run| run.latency.as_secs_f64());
    // From two thirds of the lowest, so that what differs can be seen; never full, so that lines stay apart.
    let (low, high) = (seconds().fold(f64::MAX, f64::min) * 0.66, seconds().fold(1e-9, f64::max));
    pen.gap(columns - runs.len());
    for run in runs.iter().rev() {
        if run.passing {
            let share = (run.latency.as_secs_f64() - low) / (high - low).max(1e-9);
            let level = super::super::pen::filled(share, 7).clamp(1, 7);
            pen.put(Role::New, scene.theme.glyphs.spark[level - 1]);
        } else {
            pen.put(Role::Bad, scene.theme.glyphs.fail);
        }
    }
}

pub(super) fn render_all(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) -> Rolled {
    let (role, words) = tally(scene);
    let inside = framed(scene, area, &[word(Role::Text, "Checks")], &[word(role, words)], buf);
    let area = padded(inside);
    let title = (usize::from(area.width) / 5).clamp(12, 28);
    let mut pen = Pen::new(buf, scene.theme, area);
    let sides = &scene.plan().sides;
    pen.gap(2).cell(Role::Dim, "check", title);
    pen.cell_right(Role::Old, &sides.old.label, 9).cell_right(Role::New, &sides.new.label, 9);
    pen.cell_right(Role::Text, "live", 9).gap(2).cell(Role::Dim, "served by", 11).cell(Role::Dim, "age", 6);
    pen.put(Role::Dim, "newest runs, and what is wrong").line();
    let rest = pen.rest();
    rolled(scene, rest, scene.ui.scroll, buf, |pen| {
        for check in &scene.plan().checks {
            row(scene, pen, check, title);
        }
        super::endings::list(scene, pen);
        guardrails(scene, pen);
    })
}

fn row(scene: &Scene<'_>, pen: &mut Pen<'_>, check: &Check, title: usize) {
    let (role, glyph) = symbol(scene, overall(scene, check));
    pen.put(role, glyph).gap(1).cell(Role::Strong, &check.title, title);
    for target in [Target::Old, Target::New, Target::Live] {
        latency(scene, pen, check, target, 9);
    }
    let live = newest(scene, check, Target::Live);
    let served = live.and_then(|run| run.served_by);
    let (side_role, side) = match served {
        Some(crate::plan::Side::Old) => (Role::Old, scene.plan().sides.old.label.as_str()),
        Some(crate::plan::Side::New) => (Role::New, scene.plan().sides.new.label.as_str()),
        None => (Role::Dim, "?"),
    };
    pen.gap(2).cell(side_role, side, 11);
    let oldest =
        [Target::Old, Target::New, Target::Live].into_iter().filter_map(|t| newest(scene, check, t)).map(|r| r.at);
    let oldest = oldest.min().map_or_else(String::new, |at| text::brief(text::since(at, scene.now)));
    pen.cell(Role::Dim, &oldest, 6);
    let columns = pen.left().min(24);
    spark(scene, pen, check, Target::New, columns);
    pen.line();
    for target in [Target::Old, Target::New, Target::Live] {
        let Some(reason) = newest(scene, check, target).and_then(|run| run.reason.as_ref()) else { continue };
        let planned = verdict(scene, check, target) == Verdict::Planned;
        let (role, reason) = if planned { (Role::Dim, PLANNED) } else { (Role::Bad, reason.as_str()) };
        pen.gap(2 + title).put(role, &format!("{}: {reason}", crate::run::target_word(target))).line();
    }
}

pub(super) fn strip(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    let (role, words) = tally(scene);
    pen.put(role, &words).gap(2);
    if scene.plan().checks.iter().any(|check| overall(scene, check) == Verdict::Planned) {
        let since = maintenance_since(scene.state(), scene.now);
        let lasts =
            since.map_or_else(String::new, |since| format!(" for {}", text::clock(text::since(since, scene.now))));
        pen.put(Role::Dim, PLANNED).put(Role::Warn, &lasts).gap(2);
    }
    let as_meant = |check: &&Check| matches!(overall(scene, check), Verdict::Passes | Verdict::Planned);
    for check in scene.plan().checks.iter().filter(|check| !as_meant(check)) {
        let (role, glyph) = symbol(scene, overall(scene, check));
        pen.put(role, glyph).gap(1).put(Role::Text, &check.id).gap(1);
    }
}
