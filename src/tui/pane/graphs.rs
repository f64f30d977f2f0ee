//! Graphs of the metrics: small multiples that share one stretch of time.

use std::time::Duration;

use jiff::Timestamp;
use ratatui::{
    buffer::Buffer,
    layout::{Margin, Rect},
};

use super::{Pane, Pen, Role, Scene, frame, framed, outline, text, titles, word};
use crate::{
    plan::{Bound, Guardrail, Metric, Side, Threshold, Unit},
    run::{Datum, VerdictKind},
    tui::{
        chart::{Chart, Series, runs},
        ui::RANGES,
    },
};

/// Least height of a chart with its frame.
const LEAST: u16 = 7;

/// Metrics that share a chart.
struct Graph<'a> {
    name: &'a str,
    metrics: Vec<&'a Metric>,
    guardrail: Option<&'a Guardrail>,
}

/// All graphs in the order of the plan; `urgent`: those with a guardrail first.
fn graphs<'a>(scene: &Scene<'a>, urgent: bool) -> Vec<Graph<'a>> {
    let plan = scene.plan();
    let mut graphs: Vec<Graph<'a>> = Vec::new();
    for metric in &plan.metrics {
        match graphs.iter_mut().find(|graph| graph.name == metric.graph) {
            Some(graph) => graph.metrics.push(metric),
            None => graphs.push(Graph { name: &metric.graph, metrics: vec![metric], guardrail: None }),
        }
    }
    for graph in &mut graphs {
        let mut own = plan.guardrails.iter().filter(|g| graph.metrics.iter().any(|m| m.id == g.metric));
        graph.guardrail = own.find(|g| g.bound == Bound::Above);
        // The old side is drawn first, so that the new one lies on top.
        graph.metrics.sort_by_key(|metric| metric.side);
    }
    if urgent {
        graphs.sort_by_key(|graph| graph.guardrail.is_none());
    }
    graphs
}

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
    let shape = shape(area, graphs(scene, true).len());
    for place in shape.map_or_else(|| vec![area], |shape| places(area, shape)) {
        outline(scene, place, focused, buf);
    }
}

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) {
    let all = graphs(scene, true);
    let focused = scene.ui.focus == Pane::Graphs;
    let Some(shape) = shape(area, all.len()) else {
        let inside = frame(scene, Pane::Graphs, area, &[word(Role::Text, "Graphs")], &[], buf);
        let words = if all.is_empty() { "the plan has no [[metric]]" } else { "z shows the graphs" };
        Pen::new(buf, scene.theme, inside).gap(1).put(Role::Dim, words);
        return;
    };
    let skip = if focused { scene.ui.scroll.min(all.len().saturating_sub(1)) } else { 0 };
    for (graph, place) in all[skip..].iter().zip(places(area, shape)) {
        chart(scene, graph, place, focused, buf);
    }
}

pub(super) fn render_all(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) {
    let all = graphs(scene, false);
    if all.is_empty() {
        let inside = framed(scene, area, &[word(Role::Text, "Graphs")], &[], buf);
        Pen::new(buf, scene.theme, inside).gap(1).put(Role::Dim, "the plan has no [[metric]]: nothing to draw");
        return;
    }
    let columns = match area.width {
        0..100 => 1,
        100..150 => 2,
        _ => 3,
    };
    let rows = all.len().div_ceil(columns).min(usize::from(area.height / LEAST).max(1));
    let skip = (scene.ui.scroll * columns).min(all.len().saturating_sub(columns * rows).next_multiple_of(columns));
    let places = places(area, (columns, rows));
    places.iter().zip(&all[skip..]).for_each(|(place, _)| outline(scene, *place, false, buf));
    for (graph, place) in all[skip..].iter().zip(places) {
        chart(scene, graph, place, false, buf);
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

fn chart(scene: &Scene<'_>, graph: &Graph<'_>, area: Rect, focused: bool, buf: &mut Buffer) {
    let verdict = graph.guardrail.and_then(|guardrail| scene.telemetry().verdicts.get(&guardrail.id));
    let kind = verdict.map(|verdict| verdict.kind);
    // A guardrail that does not count yet may be blind for a good reason: nothing arrives on the new side.
    let counts = graph.guardrail.is_some_and(|guardrail| crate::run::active(scene.state(), guardrail));
    let blind = counts && kind == Some(VerdictKind::Blind) || graph.metrics.iter().all(|metric| stale(scene, metric));
    let name = match kind {
        Some(VerdictKind::Breach) => word(Role::Bad, format!("{} {}", scene.theme.glyphs.warn, graph.name)),
        _ => word(Role::Text, graph.name),
    };
    titles(scene.theme, area, focused, &[name], &values(scene, graph, blind), buf);
    let inside = area.inner(Margin::new(1, 1));
    let span = span(scene);
    let series: Vec<Series> = graph.metrics.iter().map(|metric| line(scene, metric, span)).collect();
    if series.iter().all(|series| series.runs.is_empty()) {
        let words = "no data yet: not green";
        Pen::new(buf, scene.theme, inside).gap(1).put(Role::Dim, words);
        return;
    }
    let unit = graph.metrics.first().map_or(Unit::Count, |metric| metric.unit);
    let label = |value: f64| axis_label(unit, value);
    let marks = marks(scene, span);
    let left = format!("-{}", text::brief(Duration::from_secs_f64(span)));
    let chart = Chart {
        series: &series,
        span,
        limit: limit(scene, graph),
        baseline: graph.metrics.iter().find_map(|metric| scene.state().baseline.get(&metric.id)).copied(),
        marks: &marks,
        edges: (&left, "now"),
        blind,
        label: &label,
    };
    chart.render(buf, scene.theme, inside);
}

/// Without the unit's sign where it is in the title anyway.
fn axis_label(unit: Unit, value: f64) -> String {
    let full = text::value(unit, value);
    full.trim_end_matches("/s").trim_end_matches(" %").to_owned()
}

/// Current values and the age of the newest, for the title.
fn values(scene: &Scene<'_>, graph: &Graph<'_>, blind: bool) -> Vec<super::Word> {
    let mut words = Vec::new();
    let both = graph.metrics.iter().any(|m| m.side == Side::Old) && graph.metrics.iter().any(|m| m.side == Side::New);
    for metric in &graph.metrics {
        let Some(datum) = newest(scene, metric) else { continue };
        let (role, sign) = match metric.side {
            Side::Old => (Role::Old, scene.theme.glyphs.dotted),
            Side::New => (Role::New, scene.theme.glyphs.solid),
        };
        let value = if both { axis_label(metric.unit, datum.value) } else { text::value(metric.unit, datum.value) };
        let gap = if words.is_empty() { "" } else { " " };
        let role = if blind { Role::Dim } else { role };
        words.push(word(role, if both { format!("{gap}{sign}{value}") } else { value }));
    }
    let ages = graph.metrics.iter().filter_map(|metric| Some(age(scene, metric, newest(scene, metric)?)));
    if let Some(age) = ages.max() {
        let role = if blind { Role::Warn } else { Role::Dim };
        let sign = if blind { " blind" } else { "" };
        words.push(word(role, format!("{sign} {}", text::brief(age))));
    }
    words
}

fn newest(scene: &Scene<'_>, metric: &Metric) -> Option<Datum> {
    scene.telemetry().metrics.get(&metric.id)?.last().copied()
}

/// Age of a datum, from the end of the period that it covers.
fn age(scene: &Scene<'_>, metric: &Metric, datum: Datum) -> Duration {
    text::since(datum.at, scene.now).saturating_sub(Duration::from_secs(u64::from(metric.period)))
}

/// A service is a few periods behind at most; older than that tells nothing about now.
fn stale(scene: &Scene<'_>, metric: &Metric) -> bool {
    let limit = Duration::from_secs(u64::from(metric.period) * 5);
    newest(scene, metric).is_none_or(|datum| age(scene, metric, datum) > limit)
}

/// The limit in the metric's unit, once it is known.
fn limit(scene: &Scene<'_>, graph: &Graph<'_>) -> Option<f64> {
    let guardrail = graph.guardrail?;
    let known = scene.telemetry().verdicts.get(&guardrail.id).and_then(|verdict| verdict.threshold);
    known.or_else(|| match guardrail.threshold {
        Threshold::Absolute(value) => Some(value),
        Threshold::Relative(factor) => scene.state().baseline.get(&guardrail.metric).map(|base| base * factor),
    })
}

/// How much time is shown, seconds.
fn span(scene: &Scene<'_>) -> f64 {
    let minutes = RANGES.get(scene.ui.range).copied().unwrap_or(30);
    if minutes > 0 {
        return f64::from(minutes) * 60.0;
    }
    let first = scene.telemetry().metrics.values().filter_map(|data| data.first()).map(|datum| datum.at).min();
    first.map_or(1800.0, |first| text::since(first, scene.now).as_secs_f64().max(300.0))
}

/// Seconds from the left edge.
fn across(scene: &Scene<'_>, at: Timestamp, span: f64) -> f64 {
    at.duration_since(scene.now).as_secs_f64() + span
}

fn line(scene: &Scene<'_>, metric: &Metric, span: f64) -> Series {
    let data = scene.telemetry().metrics.get(&metric.id).map_or(&[][..], Vec::as_slice);
    let period = f64::from(metric.period);
    // A datum tells about its period; it is drawn at the end of it, when it could be known.
    let points = data.iter().map(|datum| (across(scene, datum.at, span) + period, datum.value));
    let role = if metric.side == Side::Old { Role::Old } else { Role::New };
    Series { role, dotted: metric.side == Side::Old, runs: runs(points.filter(|(at, _)| *at >= 0.0), period) }
}

/// Where steps acted on the world: the number of the step, and `R` before it for an undo.
fn marks(scene: &Scene<'_>, span: f64) -> Vec<(f64, String)> {
    let mut marks = Vec::new();
    for (index, step) in scene.state().steps.iter().enumerate() {
        let acts = step.attempts.iter().filter(|attempt| attempt.parts.iter().any(|part| !part.change.is_nothing()));
        for attempt in acts {
            let back = attempt.direction == crate::run::Direction::Back;
            let label = if back { format!("R{}", index + 1) } else { (index + 1).to_string() };
            marks.push((across(scene, attempt.started_at, span), label));
        }
    }
    marks.sort_by(|a, b| a.0.total_cmp(&b.0));
    marks
}

pub(super) fn strip(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    for graph in graphs(scene, true) {
        let verdict = graph.guardrail.and_then(|guardrail| scene.telemetry().verdicts.get(&guardrail.id));
        let kind = verdict.map(|verdict| verdict.kind);
        let metric = graph.metrics.iter().rev().find_map(|metric| Some((metric, newest(scene, metric)?)));
        let (role, words) = match (metric, kind) {
            (None, _) => (Role::Dim, "no data".to_owned()),
            (Some((metric, datum)), Some(VerdictKind::Breach)) => {
                (Role::Bad, format!("{} {}", scene.theme.glyphs.warn, text::value(metric.unit, datum.value)))
            }
            (Some((metric, _)), _) if stale(scene, metric) => (Role::Warn, "blind".to_owned()),
            (Some((metric, datum)), _) => (Role::Text, text::value(metric.unit, datum.value)),
        };
        let columns = text::width(graph.name) + text::width(&words) + 3;
        if columns > pen.left() {
            continue;
        }
        pen.put(Role::Dim, graph.name).gap(1).put(role, &words).gap(2);
    }
}
