//! The newest of what happened; it rests at its end.

use std::collections::VecDeque;

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pane, Pen, Role, Scene, frame, text, word};
use crate::run::{Actor, Answer, Event, Outcome, VerdictKind, What, describe};

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) {
    let log = &scene.state().log;
    let scroll = if scene.ui.focus == Pane::Log { scene.ui.scroll.min(log.len().saturating_sub(1)) } else { 0 };
    let right = if scroll > 0 { vec![word(Role::Warn, format!("{scroll} later"))] } else { Vec::new() };
    let inside = frame(scene, Pane::Log, area, &[word(Role::Text, "Log")], &right, buf);
    let mut pen = Pen::new(buf, scene.theme, inside);
    let lines = usize::from(inside.height);
    let wide = inside.width >= 60;
    let newest: Vec<_> = log.iter().rev().skip(scroll).filter(|event| telling(log, event)).take(lines).collect();
    for event in newest.into_iter().rev() {
        line(scene, &mut pen, event, wide);
        pen.line();
    }
}

/// What belongs into a short log: not every look at a change, and not that something is well that never was otherwise.
fn telling(log: &VecDeque<Event>, event: &Event) -> bool {
    let before = || log.iter().take_while(|earlier| earlier.seq < event.seq);
    match &event.what {
        What::Previewed { .. } => false,
        What::CheckChanged { check, target, passing: Some(true) | None, .. } => before().any(|earlier| {
            matches!(&earlier.what, What::CheckChanged { check: c, target: t, passing: Some(false), .. } if c == check && t == target)
        }),
        What::VerdictChanged { guardrail, verdict: VerdictKind::Holding, .. } => before().any(|earlier| {
            matches!(&earlier.what, What::VerdictChanged { guardrail: g, .. } if g == guardrail)
        }),
        What::ResolverChanged { record, resolver, answer: Answer::Old } => before().any(|earlier| {
            matches!(&earlier.what, What::ResolverChanged { record: r, resolver: s, .. } if r == record && s == resolver)
        }),
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
    match log.iter().rev().find(|event| telling(log, event)) {
        Some(event) => {
            pen.put(Role::Dim, &text::time(event.at, scene.tz)).gap(1).put(Role::Text, event.by.name()).gap(1);
            pen.put(meaning(event), &describe(event));
        }
        None => {
            pen.put(Role::Dim, "nothing has happened yet");
        }
    }
}
