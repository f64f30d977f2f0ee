//! What a graph says in numbers: newest or under the crosshair, how old, and what it is measured against.

use std::time::Duration;

use jiff::Timestamp;

use super::{Role, Scene, Word, text, word};
use crate::{
    plan::{Bound, Guardrail, Metric, Side, Threshold},
    run::{Datum, VerdictKind},
    tui::model,
};

/// Metrics that share a chart.
pub(super) struct Graph<'a> {
    pub(super) name: &'a str,
    pub(super) metrics: Vec<&'a Metric>,
    pub(super) guardrails: Vec<&'a Guardrail>,
}

/// All graphs, those with a guardrail first.
pub(super) fn graphs<'a>(scene: &Scene<'a>) -> Vec<Graph<'a>> {
    let plan = scene.plan();
    let graph = |name: &'a str| {
        let mut metrics: Vec<_> = plan.metrics.iter().filter(|metric| metric.graph == name).collect();
        // The old side is drawn first, so that the new one lies on top.
        metrics.sort_by_key(|metric| metric.side);
        let guardrails = plan.guardrails.iter().filter(|g| metrics.iter().any(|m| m.id == g.metric)).collect();
        Graph { name, metrics, guardrails }
    };
    model::graphs(plan).into_iter().map(graph).collect()
}

impl Graph<'_> {
    /// Both sides are on it.
    pub(super) fn both(&self) -> bool {
        let has = |side| self.metrics.iter().any(|metric| metric.side == side);
        has(Side::Old) && has(Side::New)
    }

    /// The gravest verdict of its guardrails that is known.
    pub(super) fn verdict(&self, scene: &Scene<'_>) -> Option<VerdictKind> {
        let known = |guardrail: &&Guardrail| scene.telemetry().verdicts.get(&guardrail.id).map(|verdict| verdict.kind);
        let kinds: Vec<_> = self.guardrails.iter().filter_map(known).collect();
        let grave = [VerdictKind::Breach, VerdictKind::Blind, VerdictKind::Holding];
        grave.into_iter().find(|kind| kinds.contains(kind))
    }

    /// Nothing on it is to be trusted. A guardrail that does not count yet may be blind for a good reason: nothing
    /// arrives on the new side.
    pub(super) fn blind(&self, scene: &Scene<'_>) -> bool {
        let blind = |guardrail: &&Guardrail| {
            let verdict = scene.telemetry().verdicts.get(&guardrail.id).map(|verdict| verdict.kind);
            verdict == Some(VerdictKind::Blind) && crate::run::active(scene.state(), guardrail)
        };
        self.guardrails.iter().any(blind) || self.metrics.iter().all(|metric| stale(scene, metric))
    }
}

/// Colour and sign of a side's line.
pub(super) const fn side(scene: &Scene<'_>, side: Side) -> (Role, &'static str) {
    match side {
        Side::Old => (Role::Old, scene.theme.glyphs.dotted),
        Side::New => (Role::New, scene.theme.glyphs.solid),
    }
}

/// Values for the title: the newest with their age, or those under the crosshair.
pub(super) fn values(scene: &Scene<'_>, graph: &Graph<'_>, blind: bool) -> Vec<Word> {
    let both = graph.both();
    let cross = scene.ui.cross;
    let read = |metric: &Metric| cross.map_or_else(|| newest(scene, metric), |at| at_time(scene, metric, at));
    let shown = |metric: &&Metric| match read(metric) {
        Some(datum) if both => Some(text::axis(metric.unit, datum.value)),
        Some(datum) => Some(text::value(metric.unit, datum.value)),
        None => cross.map(|_| scene.theme.glyphs.dash.to_owned()),
    };
    let short = |age: Duration| text::brief(age).replace(' ', "");
    let aged = |metric: &Metric| newest(scene, metric).map(|datum| age(scene, metric, datum));
    // A side that fell silent, beside one that did not, has an age of its own.
    let silent = |metric: &Metric| !blind && cross.is_none() && stale(scene, metric);
    let (silenced, told): (Vec<&Metric>, Vec<&Metric>) = graph.metrics.iter().partition(|metric| silent(metric));
    let values: Vec<_> = told.iter().filter_map(|metric| Some((*metric, shown(metric)?))).collect();
    // A unit that all of them have is said once, behind the last.
    let unit = |text: &str| text.split_once(' ').map(|(_, unit)| unit.to_owned());
    let last = values.last().and_then(|(_, text)| unit(text));
    let ages = told.iter().filter_map(|metric| aged(metric));
    let age = ages.max().filter(|_| cross.is_none()).map(short);
    let mut words = Vec::new();
    // The last words give way first: what is blind must say so before it says what it was.
    words.extend(age.iter().filter(|_| blind).map(|age| word(Role::Warn, format!("blind {age}"))));
    for (index, (metric, text)) in values.iter().enumerate() {
        let (role, sign) = side(scene, metric.side);
        let role = if blind && cross.is_none() { Role::Dim } else { role };
        let again = index + 1 < values.len() && last.is_some() && unit(text) == last;
        let text = if again { text.split(' ').next().unwrap_or(text) } else { text };
        let gap = if words.is_empty() { "" } else { " " };
        words.push(word(role, if both { format!("{gap}{sign}{text}") } else { format!("{gap}{text}") }));
    }
    words.extend(cross.map(|at| word(Role::Focus, format!(" at {}", text::minute(at, scene.tz)))));
    words.extend(age.filter(|_| !blind).map(|age| word(Role::Dim, format!(" {age}"))));
    let was = |metric: &&Metric| {
        let (value, age) = (shown(metric)?, short(aged(metric)?));
        let value = value.split(' ').next().unwrap_or(&value).to_owned();
        Some(word(Role::Dim, format!(" {}{value} ({age})", side(scene, metric.side).1)))
    };
    words.extend(silenced.iter().filter_map(was));
    words
}

/// The newest datum of a metric.
pub(super) fn newest(scene: &Scene<'_>, metric: &Metric) -> Option<Datum> {
    data(scene, metric).last().copied()
}

/// Everything that is known of a metric, ordered by time.
pub(super) fn data<'a>(scene: &Scene<'a>, metric: &Metric) -> &'a [Datum] {
    scene.telemetry().metrics.get(&metric.id).map_or(&[][..], Vec::as_slice)
}

/// The datum that tells about a moment: drawn there, or so near that the line goes through it (data up to one and a half
/// periods apart are joined). None: a gap.
pub(super) fn at_time(scene: &Scene<'_>, metric: &Metric, at: Timestamp) -> Option<Datum> {
    let period = i64::from(metric.period);
    let drawn = |datum: &Datum| datum.at.as_second() + period;
    let near = |datum: &&Datum| (drawn(datum) - at.as_second()).abs();
    data(scene, metric).iter().min_by_key(near).filter(|datum| near(datum) * 4 <= period * 3).copied()
}

/// Age of a datum, from the end of the period that it covers.
pub(super) fn age(scene: &Scene<'_>, metric: &Metric, datum: Datum) -> Duration {
    text::since(datum.at, scene.now).saturating_sub(Duration::from_secs(u64::from(metric.period)))
}

/// A service is a few periods behind at most; older than that tells nothing about now.
pub(super) fn stale(scene: &Scene<'_>, metric: &Metric) -> bool {
    let limit = scene.snapshot.clock.fresh(Duration::from_secs(u64::from(metric.period) * 5));
    newest(scene, metric).is_none_or(|datum| age(scene, metric, datum) > limit)
}

/// The limit in the metric's unit, once it is known.
pub(super) fn limit(scene: &Scene<'_>, guardrail: &Guardrail) -> Option<f64> {
    let known = scene.telemetry().verdicts.get(&guardrail.id).and_then(|verdict| verdict.threshold);
    known.or_else(|| match guardrail.threshold {
        Threshold::Absolute(value) => Some(value),
        Threshold::Relative(factor) => scene.state().baseline.get(&guardrail.metric).map(|base| base * factor),
    })
}

/// What was normal before the first act that customers notice.
pub(super) fn baseline(scene: &Scene<'_>, graph: &Graph<'_>) -> Option<f64> {
    graph.metrics.iter().find_map(|metric| scene.state().baseline.get(&metric.id)).copied()
}

/// `above 2.0 %`.
pub(super) fn bound(scene: &Scene<'_>, graph: &Graph<'_>, guardrail: &Guardrail) -> String {
    let word = if guardrail.bound == Bound::Above { "above" } else { "below" };
    let unit = graph.metrics.iter().find(|metric| metric.id == guardrail.metric).map(|metric| metric.unit);
    match limit(scene, guardrail).zip(unit) {
        Some((limit, unit)) => format!("{word} {}", text::value(unit, limit)),
        None => format!("{word} a baseline that is not captured yet"),
    }
}
