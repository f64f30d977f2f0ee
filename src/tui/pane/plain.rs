//! What has the focus as plain text, without borders: for the clipboard, or to be selected with the mouse.

use ratatui::{
    buffer::Buffer,
    layout::{Margin, Rect},
};

use super::{
    Painted, Pane, Pen, Role, Rolled, Scene,
    reading::{at_time, graphs, newest},
    rolled, text, view,
};
use crate::tui::{keymap::View, sift};

/// Columns and lines of the paper on which it is drawn: wide enough for nothing to be cut.
const PAPER: (u16, u16) = (200, 300);

/// The text, with a line end after each line.
pub(in crate::tui) fn value(scene: &Scene<'_>) -> String {
    match (scene.ui.view, scene.ui.focus) {
        (View::Graphs, _) | (View::Cockpit, Pane::Graphs) => numbers(scene),
        (View::Journal, _) => sift::under_cursor(scene.state(), scene.ui)
            .map_or_else(String::new, |event| format!("{} {} {}\n", event.seq, event.at, sift::log_line(event))),
        _ => drawn(scene),
    }
}

/// Every metric with its newest value, or the one under the crosshair.
fn numbers(scene: &Scene<'_>) -> String {
    let mut lines = String::new();
    for metric in graphs(scene).iter().flat_map(|graph| &graph.metrics) {
        let cross = scene.ui.cross;
        let datum = cross.map_or_else(|| newest(scene, metric), |at| at_time(scene, metric, at));
        let value = datum.map_or_else(|| "no data".to_owned(), |datum| text::value(metric.unit, datum.value));
        let at = cross.or_else(|| datum.map(|datum| datum.at)).unwrap_or(scene.now);
        lines.push_str(&format!("{at} {:?} {}: {value}\n", metric.side, metric.title));
    }
    lines
}

/// The pane or view as it would stand on a very large screen.
fn drawn(scene: &Scene<'_>) -> String {
    let area = Rect::new(0, 0, PAPER.0, PAPER.1);
    let mut paper = Buffer::empty(area);
    if scene.ui.view == View::Cockpit {
        super::render(scene, scene.ui.focus, area, &mut paper, &mut Painted::default());
    } else {
        view(scene, area, &mut paper);
    }
    let inside = area.inner(Margin::new(1, 1));
    let lines: Vec<_> = (inside.top()..inside.bottom()).map(|y| line(&paper, inside, y)).collect();
    // What to press stands behind a rule at the bottom of a step: it is no part of its value.
    let rule = scene.theme.glyphs.base.repeat(20);
    let lines = lines.split(|line| line.trim_start().starts_with(&rule)).next().unwrap_or_default();
    let last = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |index| index + 1);
    lines[..last].iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

fn line(paper: &Buffer, area: Rect, y: u16) -> String {
    let mut line = String::new();
    let mut x = area.left();
    while x < area.right() {
        let symbol = paper[(x, y)].symbol();
        line.push_str(symbol);
        x += u16::try_from(text::width(symbol).max(1)).unwrap_or(1);
    }
    line.trim_end().to_owned()
}

/// The text over the whole screen, from the first column on, so that the terminal's own selection gets nothing else.
pub(super) fn render(scene: &Scene<'_>, at: usize, buf: &mut Buffer) -> Rolled {
    let area = buf.area;
    buf.reset();
    let value = value(scene);
    let body = Rect { height: area.height.saturating_sub(1), ..area };
    let rolled = rolled(scene, body, at, buf, |pen| {
        for line in value.lines() {
            pen.put(Role::Text, line).line();
        }
    });
    let foot = Rect { y: area.bottom().saturating_sub(1), height: area.height.min(1), ..area };
    let more = if rolled.below > 0 { format!("   {} more below", rolled.below) } else { String::new() };
    let words = format!("select with the mouse   arrows scroll   any other key goes back{more}");
    Pen::new(buf, scene.theme, foot).put(Role::Dim, &words);
    rolled
}
