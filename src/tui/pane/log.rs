//! The newest of what happened; it rests at its end.

use std::collections::{HashSet, VecDeque};

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pane, Pen, Role, Scene, frame, text, word};
use crate::run::{Actor, Answer, Event, Outcome, Target, VerdictKind, What, describe};

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
        let mut lines = text::wrap(&format!("{author} {}", text::clean(&describe(event))), columns);
        lines.truncate(3);
        let height = u16::try_from(lines.len().max(1)).unwrap_or(1).min(bottom - inside.y);
        bottom -= height;
        let area = Rect { y: bottom, height, ..inside };
        entry(&mut Pen::new(buf, scene.theme, area), event, (&time, author), &lines);
        if bottom == inside.y {
            break;
        }
    }
}

/// Time and author; the author is left out where the words name them anyway.
fn margin<'a>(scene: &Scene<'_>, event: &'a Event, wide: bool) -> (String, &'a str) {
    let time = if wide { text::time(event.at, scene.tz) } else { text::minute(event.at, scene.tz) };
    let named = matches!(event.what, What::Attached { .. } | What::Detached | What::SeatTaken { .. });
    match &event.by {
        Actor::Operator(operator) if !named => (time, &operator.name),
        Actor::Engine if wide => (time, "engine"),
        _ => (time, ""),
    }
}

fn entry(pen: &mut Pen<'_>, event: &Event, (time, author): (&str, &str), lines: &[String]) {
    pen.gap(1).put(Role::Dim, time).gap(1);
    let column = pen.width() - pen.left();
    for (index, line) in lines.iter().enumerate() {
        pen.column(column);
        let rest = line.strip_prefix(author).filter(|_| index == 0);
        if rest.is_some() {
            pen.put(if matches!(event.by, Actor::Operator(_)) { Role::Focus } else { Role::Dim }, author);
        }
        pen.put(meaning(event), rest.unwrap_or(line)).line();
    }
}

/// What an event is about, where whether it belongs into a short log depends on what was said of that before.
type Matter<'a> = (&'a str, &'a str, Option<Target>);

/// What belongs into a short log, oldest first: not every look at a change, and not that something is well that never
/// was otherwise.
fn telling(log: &VecDeque<Event>) -> Vec<&Event> {
    let mut known = HashSet::new();
    log.iter().filter(|event| tells(event, &mut known)).collect()
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
        pen.put(Role::Focus, &operator.name).gap(1);
    } else if wide {
        pen.put(Role::Dim, "engine").gap(1);
    }
    pen.put(meaning(event), &describe(event));
}

/// How an event is drawn.
pub(super) const fn meaning(event: &Event) -> Role {
    match &event.what {
        What::Ended { outcome: Outcome::Failed { .. } | Outcome::InDoubt { .. }, .. }
        | What::PreviewFailed { .. }
        | What::VerdictChanged { verdict: VerdictKind::Breach, .. }
        | What::CheckChanged { passing: Some(false), .. }
        | What::SourceChanged { trouble: Some(_), .. } => Role::Bad,
        What::Disarmed { .. }
        | What::HoldRaised { .. }
        | What::RollbackStarted { .. }
        | What::Overridden { .. }
        | What::Skipped { .. }
        | What::VerdictChanged { verdict: VerdictKind::Blind, .. } => Role::Warn,
        What::Observed { .. } | What::RollbackEnded { .. } => Role::Good,
        What::Intended { .. } | What::Armed { .. } | What::Consented { .. } => Role::Strong,
        _ => Role::Text,
    }
}

pub(super) fn strip(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    let log = &scene.state().log;
    match telling(log).pop() {
        Some(event) => {
            pen.put(Role::Dim, &text::time(event.at, scene.tz)).gap(1).put(Role::Text, event.by.name()).gap(1);
            pen.put(meaning(event), &describe(event));
        }
        None => {
            pen.put(Role::Dim, "nothing has happened yet");
        }
    }
}
