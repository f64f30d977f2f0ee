//! The newest of what happened; it rests at its end.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet, VecDeque},
};

use jiff::SignedDuration;
use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pane, Pen, Role, Scene, frame, text, word};
use crate::run::{
    Actor, Answer, Direction, Event, Finding, Outcome, Standing, Target, VerdictKind, What, describe, in_maintenance,
    names_itself, silent_of_direction, target_word,
};

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) {
    let log = &scene.state().log;
    let scroll = if scene.ui.focus == Pane::Log { scene.ui.scroll.min(log.len().saturating_sub(1)) } else { 0 };
    let right = if scroll > 0 { vec![word(Role::Warn, format!("{scroll} later"))] } else { Vec::new() };
    let inside = frame(scene, Pane::Log, area, &[word(Role::Text, "Log")], &right, buf);
    let wide = inside.width >= 60;
    let last = log.iter().rev().nth(scroll).map_or(0, |event| event.seq);
    let newest = telling(log).into_iter().rev().skip_while(|event| event.seq > last).take(usize::from(inside.height));
    // From the bottom up, each event in as many lines as it needs, three at most.
    let mut bottom = inside.bottom();
    for event in newest {
        let (time, author) = margin(scene, event, wide);
        let columns = usize::from(inside.width).saturating_sub(text::width(&time) + 3);
        let told = format!("{author} {}", text::clean(&words(scene, event)));
        let mut lines = text::wrap(&told, columns);
        lines.truncate(3);
        let height = u16::try_from(lines.len().max(1)).unwrap_or(1).min(bottom - inside.y);
        bottom -= height;
        let area = Rect { y: bottom, height, ..inside };
        entry(&mut Pen::new(buf, scene.theme, area), (event, tone(scene, event)), (&time, author), &lines);
        if bottom == inside.y {
            break;
        }
    }
}

/// Time and author; the author is left out where the words name them anyway.
fn margin<'a>(scene: &Scene<'_>, event: &'a Event, wide: bool) -> (String, &'a str) {
    let time = if wide { text::time(event.at, scene.tz) } else { text::minute(event.at, scene.tz) };
    match &event.by {
        Actor::Operator(operator) if !names_itself(event) => (time, &operator.name),
        Actor::Engine if wide => (time, "engine"),
        _ => (time, ""),
    }
}

fn entry(pen: &mut Pen<'_>, (event, tone): (&Event, Role), (time, author): (&str, &str), lines: &[Cow<'_, str>]) {
    pen.gap(1).put(Role::Dim, time).gap(1);
    let column = pen.width() - pen.left();
    for (index, line) in lines.iter().enumerate() {
        pen.column(column);
        let rest = line.strip_prefix(author).filter(|_| index == 0);
        if rest.is_some() {
            pen.put(if matches!(event.by, Actor::Operator(_)) { Role::Focus } else { Role::Dim }, author);
        }
        pen.put(tone, rest.unwrap_or(line)).line();
    }
}

/// What an event is about, where whether it belongs into a short log depends on what was said of that before.
type Matter<'a> = (&'a str, &'a str, Option<Target>);

/// So many news of one matter in a short log are a thing that flips back and forth: only the newest is told.
const FLAPS: usize = 3;

/// What belongs into a short log, oldest first: not every look at a change, not that something is well that never
/// was otherwise, and not each time that something flips. The journal has all of it.
fn telling(log: &VecDeque<Event>) -> Vec<&Event> {
    let mut known = HashSet::new();
    let told: Vec<_> = log.iter().filter(|event| tells(event, &mut known)).collect();
    let mut later: HashMap<Matter<'_>, usize> = HashMap::new();
    for matter in told.iter().filter_map(|event| matter(event)) {
        *later.entry(matter).or_default() += 1;
    }
    let flaps: HashSet<_> = later.iter().filter(|(_, count)| **count > FLAPS).map(|(matter, _)| *matter).collect();
    let mut newest = Vec::new();
    for event in told {
        if let Some(left) = matter(event).filter(|matter| flaps.contains(matter)).and_then(|m| later.get_mut(&m)) {
            *left -= 1;
            if *left > 0 {
                continue;
            }
        }
        newest.push(event);
    }
    newest
}

/// What a watch says again and again: which thing, seen from where.
fn matter(event: &Event) -> Option<Matter<'_>> {
    match &event.what {
        What::CheckChanged { check, target, .. } => Some(("check", check, Some(*target))),
        What::VerdictChanged { guardrail, .. } => Some(("verdict", guardrail, None)),
        What::ResolverChanged { record, resolver, .. } => Some((record, resolver, None)),
        What::SourceChanged { source, .. } => Some(("source", source, None)),
        _ => None,
    }
}

/// How long news of more weight stand in the one-line log before younger ones of less.
const STANDS: SignedDuration = SignedDuration::from_secs(120);

/// The one that matters most of the newest: what people and steps do and what is bad, before what a watch says that is
/// well again, before what flips back and forth.
fn weightiest<'a>(scene: &Scene<'_>, log: &'a VecDeque<Event>) -> Option<&'a Event> {
    let told = telling(log);
    let newest = told.last()?.at;
    let mut count: HashMap<Matter<'_>, usize> = HashMap::new();
    for matter in log.iter().filter_map(matter) {
        *count.entry(matter).or_default() += 1;
    }
    let weight = |event: &Event| match matter(event) {
        None => 2,
        Some(matter) if count.get(&matter).is_some_and(|count| *count > FLAPS) => 0,
        Some(_) if tone(scene, event) == Role::Bad => 2,
        Some(_) => 1,
    };
    let recent = told.into_iter().filter(|event| newest.duration_since(event.at) <= STANDS);
    recent.max_by_key(|event| (weight(event), event.seq))
}

fn tells<'a>(event: &'a Event, known: &mut HashSet<Matter<'a>>) -> bool {
    match &event.what {
        What::Previewed { .. } => false,
        What::CheckChanged { check, target, passing, .. } => {
            let matter = ("check", check.as_str(), Some(*target));
            if *passing == Some(false) {
                known.insert(matter);
            }
            known.contains(&matter)
        }
        What::VerdictChanged { guardrail, verdict, .. } => {
            !known.insert(("verdict", guardrail, None)) || *verdict != VerdictKind::Holding
        }
        What::ResolverChanged { record, resolver, answer } => {
            !known.insert((record, resolver, None)) || *answer != Answer::Old
        }
        _ => true,
    }
}

/// One event in one line.
pub(super) fn line(scene: &Scene<'_>, pen: &mut Pen<'_>, event: &Event, wide: bool) {
    let time = if wide { text::time(event.at, scene.tz) } else { text::minute(event.at, scene.tz) };
    pen.gap(1).put(Role::Dim, &time).gap(1);
    if let Actor::Operator(operator) = &event.by {
        if !names_itself(event) {
            pen.put(Role::Focus, &operator.name).gap(1);
        }
    } else if wide {
        pen.put(Role::Dim, "engine").gap(1);
    }
    pen.put(tone(scene, event), &words(scene, event));
}

/// A check that fails because a step has turned the maintenance page on.
fn planned(scene: &Scene<'_>, event: &Event) -> bool {
    let What::CheckChanged { target, passing: Some(false), reason: Some(reason), .. } = &event.what else {
        return false;
    };
    *target != Target::New && reason.starts_with("status 503") && in_maintenance(scene.state(), event.at)
}

/// What an event says, as it is meant.
fn words(scene: &Scene<'_>, event: &Event) -> String {
    match &event.what {
        What::CheckChanged { check, target, .. } if planned(scene, event) => {
            format!("check {check} on {}: 503, maintenance as planned", target_word(*target))
        }
        _ => format!("{}{}", undoing(scene, event), describe(event)),
    }
}

/// Said of what tells of an attempt and not which way it went.
fn undoing(scene: &Scene<'_>, event: &Event) -> &'static str {
    let Some(step) = silent_of_direction(event).and_then(|id| scene.state().step(id)) else { return "" };
    let mut attempts = step.attempts.iter().rev();
    let back = attempts.find(|a| a.started_at <= event.at).is_some_and(|a| a.direction == Direction::Back);
    if back { "undo of " } else { "" }
}

/// How an event is drawn, as it is meant.
fn tone(scene: &Scene<'_>, event: &Event) -> Role {
    if planned(scene, event) { Role::Dim } else { meaning(event) }
}

/// How an event is drawn.
pub(super) const fn meaning(event: &Event) -> Role {
    match &event.what {
        What::Ended { outcome: Outcome::Failed { .. } | Outcome::InDoubt { .. }, .. }
        | What::PreviewFailed { .. }
        | What::VerdictChanged { verdict: VerdictKind::Breach, .. }
        | What::CheckChanged { passing: Some(false), .. }
        | What::FindingChanged { finding: Finding { standing: Standing::ActionRequired, .. }, .. }
        | What::LeakChanged { who: Some(_), .. }
        | What::SourceChanged { trouble: Some(_), .. } => Role::Bad,
        What::Disarmed { .. }
        | What::HoldRaised { .. }
        | What::RollbackStarted { .. }
        | What::Overridden { .. }
        | What::Skipped { .. }
        | What::FindingChanged { finding: Finding { standing: Standing::Unknown, .. }, .. }
        | What::VerdictChanged { verdict: VerdictKind::Blind, .. } => Role::Warn,
        What::Observed { .. } | What::RollbackEnded { .. } => Role::Good,
        What::Intended { .. } | What::Armed { .. } | What::Consented { .. } => Role::Strong,
        _ => Role::Text,
    }
}

pub(super) fn strip(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    let log = &scene.state().log;
    match weightiest(scene, log) {
        Some(event) => {
            let author = if names_itself(event) { "" } else { event.by.name() };
            pen.put(Role::Dim, &text::time(event.at, scene.tz)).gap(1);
            if !author.is_empty() {
                pen.put(Role::Text, author).gap(1);
            }
            pen.put(tone(scene, event), &words(scene, event));
        }
        None => {
            pen.put(Role::Dim, "nothing has happened yet");
        }
    }
}
