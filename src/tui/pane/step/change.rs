//! The exact change of a step, before and after.

use super::{
    super::{Pen, Role, Scene, text},
    MARGIN, section,
};
use crate::run::{Attempt, Direction, Part, Phase, Row, StepState, turn};

/// The exact change: as previewed, as sent, or as it stands.
pub(super) fn change(scene: &Scene<'_>, state: &StepState, pen: &mut Pen<'_>) {
    // An undo of what is in doubt shows what the undo will do, not what was sent.
    let way = scene.target.direction;
    let running = state.attempt().filter(|attempt| state.phase.in_flight() && attempt.direction == way);
    let preview = state.preview(way);
    let (title, parts) = match (running, preview, state.phase) {
        (Some(attempt), _, _) => ("sent", attempt.parts.as_slice()),
        (None, _, Phase::Done) if scene.target.direction == Direction::Forward => {
            ("changed", last_forward(state).map_or(&[][..], |attempt| attempt.parts.as_slice()))
        }
        (None, Some(preview), _) => ("change", preview.parts.as_slice()),
        (None, None, _) => ("change", &[][..]),
    };
    if parts.iter().all(|part| part.change.is_nothing()) {
        if running.is_some() {
            return;
        }
        nothing(scene, state, title, preview.is_none(), pen);
        return;
    }
    section(pen, title);
    let first = parts[0].change.rows();
    for (index, part) in parts.iter().enumerate() {
        if parts.len() > 1 {
            stage(part, index, parts.len(), pen);
        }
        let mut lines = part.change.rows();
        if index > 0 {
            // What the first part has named need not be named again.
            let named = |row: &&mut Row| first.iter().any(|known| known.label == row.label);
            lines.iter_mut().filter(named).for_each(|row| row.label.clear());
        }
        let before = if title == "changed" { "was" } else { "now" };
        rows(scene, &lines, (index == 0).then_some(before), pen);
    }
}

fn last_forward(state: &StepState) -> Option<&Attempt> {
    state.attempts.iter().rev().find(|attempt| attempt.direction == Direction::Forward)
}

fn nothing(scene: &Scene<'_>, state: &StepState, title: &str, unread: bool, pen: &mut Pen<'_>) {
    section(pen, title);
    // What is done has a change to read all the same: its undo.
    let done = state.phase == Phase::Done && scene.target.direction == Direction::Forward;
    match (&state.trouble, unread && !done) {
        (Some(trouble), _) if !turn(scene.plan(), scene.state(), state) => {
            let words = format!("not to be read before its turn: {}: {}", trouble.call, trouble.reason);
            pen.wrapped(Role::Dim, &words);
        }
        (Some(trouble), _) => {
            pen.put(Role::Bad, scene.theme.glyphs.fail).gap(1);
            pen.wrapped(Role::Bad, &format!("cannot be read: {}: {}", trouble.call, trouble.reason));
            pen.column(MARGIN).put(Role::Dim, "l reads it again").line();
        }
        (None, true) => {
            pen.wrapped(Role::Dim, "being read from the world: the exact change stands here before it can be armed");
        }
        (None, false) => {
            pen.put(Role::Text, "nothing: this step reads only").line();
        }
    }
}

fn stage(part: &Part, index: usize, parts: usize, pen: &mut Pen<'_>) {
    let stay = if part.bake.is_zero() { String::new() } else { format!(", then stays {}", text::clock(part.bake)) };
    pen.column(MARGIN).put(Role::Strong, &format!("part {} of {parts}", index + 1)).put(Role::Dim, &stay).line();
}

/// What stands (or stood) there before and what will after, one under the other; words that differ are marked.
fn rows(scene: &Scene<'_>, rows: &[Row], with_before: Option<&str>, pen: &mut Pen<'_>) {
    let longest = |of: fn(&Row) -> &str| rows.iter().map(|row| text::width(of(row))).max().unwrap_or(0);
    let label = longest(|row| &row.label);
    let value = longest(|row| &row.before).max(longest(|row| &row.after));
    // The label has a line of its own where the values would not fit beside it.
    let beside = MARGIN + label + 6 + value <= pen.width();
    let column = if beside { MARGIN + label + 1 } else { MARGIN + 2 };
    for row in rows {
        if !row.label.is_empty() || beside {
            pen.column(MARGIN).put(Role::Text, &row.label);
        }
        if !beside && !row.label.is_empty() {
            pen.line();
        }
        let (before, after) = aligned(&row.before, &row.after, pen.width().saturating_sub(column + 4));
        if let Some(since) = with_before.filter(|_| !row.before.is_empty() || rows.len() == 1) {
            pen.column(column).put(Role::Dim, since).gap(1);
            words(pen, &before, None);
        }
        let sign = if row.before == row.after { "=" } else { scene.theme.glyphs.arrow };
        pen.column(column).cell_right(Role::Strong, sign, 3).gap(1);
        words(pen, &after, Some(&row.before));
    }
}

/// Both with their words in columns, where they have as many words and both fit into a line.
fn aligned(before: &str, after: &str, room: usize) -> (String, String) {
    let (one, other): (Vec<_>, Vec<_>) = (before.split(' ').collect(), after.split(' ').collect());
    let widths: Vec<_> = one.iter().zip(&other).map(|(a, b)| text::width(a).max(text::width(b))).collect();
    let fits = widths.iter().map(|width| width + 1).sum::<usize>() <= room + 1;
    if one.len() != other.len() || one.len() < 2 || !fits {
        return (before.to_owned(), after.to_owned());
    }
    let padded = |words: &[&str]| {
        let cell = |(word, width): (&&str, &usize)| format!("{word}{}", " ".repeat(width - text::width(word)));
        words.iter().zip(&widths).map(cell).collect::<Vec<_>>().join(" ").trim_end().to_owned()
    };
    (padded(&one), padded(&other))
}

/// Writes words over as many lines as they need; those that the other text does not have are marked.
fn words(pen: &mut Pen<'_>, value: &str, other: Option<&str>) {
    let column = pen.width() - pen.left();
    if value.is_empty() {
        pen.put(Role::Dim, "(none)");
    }
    for (index, token) in value.split(' ').enumerate() {
        let new = other.is_some_and(|other| other.split(' ').all(|known| known != token));
        let shown = token.strip_suffix('.').unwrap_or(token);
        if index > 0 && text::width(shown) + 1 > pen.left() {
            pen.line().column(column);
        } else if index > 0 {
            pen.gap(1);
        }
        for (piece, part) in text::wrap(shown, pen.left().max(8)).iter().enumerate() {
            if piece > 0 {
                pen.line().column(column);
            }
            pen.put(if new { Role::Changed } else { Role::Text }, part);
        }
    }
    pen.line();
}
