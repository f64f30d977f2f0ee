//! Graphs of the metrics: small multiples that share one stretch of time, and one of them on the whole screen.

use jiff::Timestamp;
use ratatui::{
    buffer::Buffer,
    layout::{Margin, Rect},
};

use super::{
    Pane, Pen, Role, Scene, frame, framed, outline, padded,
    reading::{self, Graph, graphs, newest, stale},
    scroll_keys, text, titles, word,
};
use crate::{
    plan::{Metric, Side, Unit},
    run::VerdictKind,
    tui::{
        chart::{Chart, Rule, Series, runs},
        keymap::View,
        model,
    },
};

/// Least height of a chart with its frame.
const LEAST: u16 = 7;

/// How many charts there are beside and below each other in the cockpit; None: no room for any.
fn shape(area: Rect, graphs: usize) -> Option<(usize, usize)> {
    if graphs == 0 || area.height < LEAST {
        return None;
    }
    let columns = match area.width {
        0..48 => 1,
        48..72 => 2,
        72..140 => 3,
        _ => 4,
    };
    let columns = columns.min(graphs);
    Some((columns, usize::from(area.height / LEAST).min(graphs / columns).max(1)))
}

/// The borders of all charts of the cockpit.
pub(super) fn outlines(scene: &Scene<'_>, area: Rect, focused: bool, buf: &mut Buffer) {
    let shape = shape(area, model::graphs(scene.plan()).len()).filter(|_| !scene.ui.zoom);
    for place in shape.map_or_else(|| vec![area], |shape| places(area, shape)) {
        outline(scene, place, focused, buf);
    }
}

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) {
    let all = graphs(scene);
    let focused = scene.ui.focus == Pane::Graphs;
    if let Some(graph) = all.get(selected(scene, all.len())).filter(|_| scene.ui.zoom) {
        alone(scene, graph, area, buf);
        return;
    }
    let Some(shape) = shape(area, all.len()) else {
        let inside = frame(scene, Pane::Graphs, area, &[word(Role::Text, "Graphs")], &[], buf);
        let words = if all.is_empty() { "the plan has no [[metric]]: nothing to draw" } else { "z shows the graphs" };
        Pen::new(buf, scene.theme, inside).gap(1).put(Role::Dim, words);
        return;
    };
    grid(scene, &all, area, shape, focused, buf);
}

pub(super) fn render_all(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) {
    let all = graphs(scene);
    let Some(one) = all.get(selected(scene, all.len())) else {
        let inside = framed(scene, area, &[word(Role::Text, "Graphs")], &[], buf);
        Pen::new(buf, scene.theme, inside).gap(1).put(Role::Dim, "the plan has no [[metric]]: nothing to draw");
        return;
    };
    if scene.ui.zoom {
        outline(scene, area, true, buf);
        alone(scene, one, area, buf);
        return;
    }
    let columns = match area.width {
        0..100 => 1,
        100..150 => 2,
        _ => 3,
    };
    let rows = all.len().div_ceil(columns).min(usize::from(area.height / LEAST).max(1));
    places(area, (columns, rows)).into_iter().for_each(|place| outline(scene, place, false, buf));
    grid(scene, &all, area, (columns, rows), true, buf);
}

/// The graph that keys act on.
fn selected(scene: &Scene<'_>, graphs: usize) -> usize {
    scene.ui.graph.min(graphs.saturating_sub(1))
}

/// As many charts as there is room for, the selected one among them; all with the same margin, so that they align.
fn grid(scene: &Scene<'_>, all: &[Graph<'_>], area: Rect, shape: (usize, usize), focused: bool, buf: &mut Buffer) {
    let (columns, rows) = shape;
    let here = selected(scene, all.len());
    let first = if focused { (here / columns).saturating_sub(rows - 1) * columns } else { 0 };
    let last = all.len().saturating_sub(columns * rows).next_multiple_of(columns);
    let first = first.min(last);
    let marks = marks(scene);
    let shown = || all[first..].iter().zip(places(area, shape));
    let charts: Vec<_> = shown().map(|(graph, _)| chart(scene, graph, &marks)).collect();
    let gutter = charts.iter().map(Chart::labels_width).max().unwrap_or(0);
    for (index, ((graph, place), chart)) in shown().zip(charts).enumerate() {
        let here = focused && first + index == here;
        draw(scene, graph, &Chart { gutter, ..chart }, place, here, buf);
    }
    legend(scene, area, buf);
    let hidden = all.len().saturating_sub(columns * rows);
    if hidden > 0 {
        let key = if scene.ui.view == View::Graphs { scroll_keys(scene.theme) } else { "2" };
        let line = Rect { x: area.x + 1, y: area.bottom() - 1, width: area.width.saturating_sub(2), height: 1 };
        Pen::new(buf, scene.theme, line).right(Role::Warn, &format!(" +{hidden} more: {key} "));
    }
}

/// On the lower border of all charts: which line is which side's.
fn legend(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) {
    let line = Rect { x: area.x + 1, y: area.bottom() - 1, width: area.width.saturating_sub(2), height: 1 };
    let mut pen = Pen::new(buf, scene.theme, line);
    pen.gap(1);
    for of in [Side::Old, Side::New] {
        let (role, sign) = reading::side(scene, of);
        pen.put(role, &format!(" {sign} {} ", scene.plan().sides.get(of).label));
    }
}

/// Charts beside and below each other; neighbours share borders.
fn places(area: Rect, (columns, rows): (usize, usize)) -> Vec<Rect> {
    let cells = (0..rows).flat_map(|row| (0..columns).map(move |column| (column, row)));
    let place = |(column, row)| {
        let (left, width) = share(area.width, columns, column);
        let (top, height) = share(area.height, rows, row);
        Rect { x: area.x + left, y: area.y + top, width, height }
    };
    cells.map(place).collect()
}

/// Place and length of one of several parts of a length that overlap by one.
fn share(length: u16, parts: usize, index: usize) -> (u16, u16) {
    let parts = u16::try_from(parts).unwrap_or(1).max(1);
    let index = u16::try_from(index).unwrap_or(0);
    let edge = |number: u16| {
        let at = u32::from(length - 1) * u32::from(number) / u32::from(parts);
        u16::try_from(at).unwrap_or(0)
    };
    (edge(index), edge(index + 1) - edge(index) + 1)
}

/// A chart in its frame, with the values in the title.
fn draw(scene: &Scene<'_>, graph: &Graph<'_>, chart: &Chart<'_>, area: Rect, here: bool, buf: &mut Buffer) {
    let name = match graph.verdict(scene) {
        Some(VerdictKind::Breach) => word(Role::Bad, format!("{} {}", scene.theme.glyphs.warn, graph.name)),
        _ => word(Role::Text, graph.name),
    };
    titles(scene.theme, area, here, &[name], &reading::values(scene, graph, chart.blind), buf);
    plot(scene, chart, area.inner(Margin::new(1, 1)), buf);
}

fn plot(scene: &Scene<'_>, chart: &Chart<'_>, area: Rect, buf: &mut Buffer) {
    if chart.series.iter().all(|series| series.runs.is_empty()) {
        Pen::new(buf, scene.theme, area).gap(1).put(Role::Dim, "no data in this time: not green");
        return;
    }
    chart.render(buf, scene.theme, area);
}

fn chart<'a>(scene: &'a Scene<'a>, graph: &Graph<'_>, marks: &'a [(f64, String)]) -> Chart<'a> {
    let span = span(scene);
    let limits = graph.guardrails.iter().filter_map(|guardrail| reading::limit(scene, guardrail));
    let rules = reading::baseline(scene, graph).map(|value| Rule { value, limit: false }).into_iter();
    Chart {
        series: graph.metrics.iter().map(|metric| line(scene, metric, span)).collect(),
        span,
        until: scene.now,
        tz: scene.tz,
        rules: rules.chain(limits.map(|value| Rule { value, limit: true })).collect(),
        marks,
        cross: scene.ui.cross.map(|at| across(scene, at, span)),
        blind: graph.blind(scene),
        unit: graph.metrics.first().map_or(Unit::Count, |metric| metric.unit),
        gutter: 0,
    }
}

fn span(scene: &Scene<'_>) -> f64 {
    model::span(scene.snapshot, scene.ui.range, scene.now).as_secs_f64()
}

/// Seconds from the left edge.
fn across(scene: &Scene<'_>, at: Timestamp, span: f64) -> f64 {
    at.duration_since(scene.now).as_secs_f64() + span
}

fn line(scene: &Scene<'_>, metric: &Metric, span: f64) -> Series {
    let period = f64::from(metric.period);
    // A datum tells about its period; it is drawn at the end of it, when it could be known.
    let points = reading::data(scene, metric).iter().map(|datum| (across(scene, datum.at, span) + period, datum.value));
    let role = reading::side(scene, metric.side).0;
    Series { role, dotted: metric.side == Side::Old, runs: runs(points.filter(|(at, _)| *at >= 0.0), period) }
}

/// Where steps acted on the world: the number of the step, and `R` before it for an undo.
fn marks(scene: &Scene<'_>) -> Vec<(f64, String)> {
    let span = span(scene);
    let mut marks = Vec::new();
    for (index, step) in scene.state().steps.iter().enumerate() {
        for attempt in step.attempts.iter().filter(|attempt| attempt.acts()) {
            let back = attempt.direction == crate::run::Direction::Back;
            let label = if back { format!("R{}", index + 1) } else { (index + 1).to_string() };
            marks.push((across(scene, attempt.started_at, span), label));
        }
    }
    marks.sort_by(|a, b| a.0.total_cmp(&b.0));
    marks
}

/// One graph on all of an area: the chart, and below it every number that belongs to it.
fn alone(scene: &Scene<'_>, graph: &Graph<'_>, area: Rect, buf: &mut Buffer) {
    let marks = marks(scene);
    let chart = chart(scene, graph, &marks);
    draw_title(scene, graph, &chart, area, buf);
    let inside = padded(area.inner(Margin::new(1, 1)));
    let lines = u16::try_from(graph.metrics.len() + graph.guardrails.len() + 2).unwrap_or(u16::MAX);
    let lines = lines.min(inside.height.saturating_sub(LEAST));
    plot(scene, &chart, Rect { height: inside.height - lines, ..inside }, buf);
    let below = Rect { y: inside.bottom() - lines, height: lines, ..inside };
    numbers(scene, graph, &mut Pen::new(buf, scene.theme, below));
    legend(scene, area, buf);
}

fn draw_title(scene: &Scene<'_>, graph: &Graph<'_>, chart: &Chart<'_>, area: Rect, buf: &mut Buffer) {
    let all = model::graphs(scene.plan()).len();
    let place = format!("  {} of {all}", selected(scene, all) + 1);
    let name = [word(Role::Text, graph.name), word(Role::Dim, place)];
    titles(scene.theme, area, true, &name, &reading::values(scene, graph, chart.blind), buf);
}

/// Columns of the numbers: now, under the crosshair, least, mean and most of the time shown.
const NUMBER: usize = 10;

fn numbers(scene: &Scene<'_>, graph: &Graph<'_>, pen: &mut Pen<'_>) {
    let title = pen.width().saturating_sub(NUMBER * 5).clamp(8, 44);
    pen.line().cell(Role::Dim, "", title);
    let cross = scene.ui.cross.map_or_else(String::new, |at| text::minute(at, scene.tz));
    for head in ["now", &cross, "least", "mean", "most"] {
        pen.cell_right(Role::Dim, head, NUMBER);
    }
    pen.line();
    for metric in &graph.metrics {
        let (role, sign) = reading::side(scene, metric.side);
        pen.put(role, sign).gap(1).cell(Role::Text, &metric.title, title - 2);
        let shown = |value: Option<f64>| {
            value.map_or_else(|| scene.theme.glyphs.dash.to_owned(), |value| text::value(metric.unit, value))
        };
        let (least, mean, most) = statistics(scene, metric);
        let cross = scene.ui.cross.map(|at| reading::at_time(scene, metric, at).map(|datum| datum.value));
        pen.cell_right(role, &shown(newest(scene, metric).map(|datum| datum.value)), NUMBER);
        pen.cell_right(Role::Focus, &cross.map(shown).unwrap_or_default(), NUMBER);
        for value in [least, mean, most] {
            pen.cell_right(Role::Text, &shown(value), NUMBER);
        }
        pen.line();
    }
    for guardrail in &graph.guardrails {
        let known = scene.telemetry().verdicts.get(&guardrail.id).map(|verdict| verdict.kind);
        let counts = crate::run::active(scene.state(), guardrail);
        let (role, words) = match known {
            Some(VerdictKind::Breach) => (Role::Bad, "BREACH"),
            Some(VerdictKind::Holding) => (Role::Good, "within bounds"),
            _ if counts => (Role::Warn, "blind"),
            _ => (Role::Dim, "does not count yet"),
        };
        pen.put(Role::Bad, scene.theme.glyphs.limit).gap(1).put(Role::Text, &guardrail.title).gap(1);
        let lasting = text::clock(guardrail.lasting);
        let bound = reading::bound(scene, graph, guardrail);
        pen.put(Role::Dim, &format!("bad {bound} for {lasting}: ")).put(role, words).line();
    }
}

/// Least, mean and most of the time shown.
fn statistics(scene: &Scene<'_>, metric: &Metric) -> (Option<f64>, Option<f64>, Option<f64>) {
    let span = span(scene);
    let shown = reading::data(scene, metric).iter().filter(|datum| across(scene, datum.at, span) >= 0.0);
    let values: Vec<f64> = shown.map(|datum| datum.value).collect();
    let count = u32::try_from(values.len()).ok().filter(|count| *count > 0).map(f64::from);
    let least = values.iter().copied().reduce(f64::min);
    let most = values.iter().copied().reduce(f64::max);
    (least, count.map(|count| values.iter().sum::<f64>() / count), most)
}

/// Columns for the age of the oldest value that is shown.
const AGE: usize = 9;

pub(super) fn strip(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    // The newest value of the new side, else of the old one; whose it is stands before the first of each.
    let (mut said, mut oldest) = (None, None);
    for graph in graphs(scene) {
        let metric = graph.metrics.iter().rev().find_map(|metric| Some((metric, newest(scene, metric)?)));
        let (role, words) = match (metric, graph.verdict(scene)) {
            (None, _) => (Role::Dim, "no data".to_owned()),
            (Some((metric, datum)), Some(VerdictKind::Breach)) => {
                (Role::Bad, format!("{} {}", scene.theme.glyphs.warn, text::value(metric.unit, datum.value)))
            }
            (Some((metric, _)), _) if stale(scene, metric) => (Role::Warn, "blind".to_owned()),
            (Some((metric, datum)), _) => (Role::Text, text::value(metric.unit, datum.value)),
        };
        let of = metric.map(|(metric, _)| metric.side).filter(|side| said != Some(*side));
        let label = of.map_or("", |side| scene.plan().sides.get(side).label.as_str());
        let columns = text::width(graph.name) + text::width(&words) + text::width(label) + 4;
        if columns + AGE > pen.left() {
            continue;
        }
        let at = metric.map(|(_, datum)| datum.at);
        oldest = oldest.into_iter().chain(at).min();
        if let Some(side) = of {
            said = Some(side);
            pen.put(reading::side(scene, side).0, label).gap(1);
        }
        pen.put(Role::Dim, graph.name).gap(1).put(role, &words).gap(2);
    }
    if let Some(at) = oldest {
        pen.right(Role::Dim, &format!("{} old ", text::brief(text::since(at, scene.now))));
    }
}
