//! Requests at the old side against requests at the new: "done" is silence on the old side.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{super::pen::filled, Pane, Pen, Role, Scene, frame, padded, reading, text, word};
use crate::plan::{Metric, Unit};

/// Newest value of each side, and the age of the older of both, seconds.
struct Flow {
    old: Option<f64>,
    new: Option<f64>,
    age: Option<std::time::Duration>,
    /// Neither tells anything about now.
    blind: bool,
}

fn flow(scene: &Scene<'_>) -> Option<Flow> {
    let traffic = scene.plan().traffic.as_ref()?;
    let stale = |id: &str| plan_metric(scene, id).is_none_or(|metric| reading::stale(scene, metric));
    let newest = |id: &str| scene.telemetry().metrics.get(id).and_then(|data| data.last()).copied();
    let (old, new) = (newest(&traffic.old), newest(&traffic.new));
    let oldest = [old, new].into_iter().flatten().map(|datum| datum.at).min();
    Some(Flow {
        old: old.map(|datum| datum.value),
        new: new.map(|datum| datum.value),
        age: oldest.map(|at| text::since(at, scene.now)),
        blind: stale(&traffic.old) && stale(&traffic.new),
    })
}

fn plan_metric<'a>(scene: &Scene<'a>, id: &str) -> Option<&'a Metric> {
    scene.plan().metrics.iter().find(|metric| metric.id == id)
}

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) {
    let flow = flow(scene);
    let told = |flow: &Flow| {
        let age = text::brief(flow.age?);
        Some(if flow.blind { word(Role::Warn, format!("blind {age}")) } else { word(Role::Dim, format!("{age} old")) })
    };
    let right: Vec<_> = flow.as_ref().and_then(told).into_iter().collect();
    let inside = frame(scene, Pane::Traffic, area, &[word(Role::Text, "Traffic")], &right, buf);
    let mut pen = Pen::new(buf, scene.theme, padded(inside));
    let Some(flow) = flow else {
        pen.put(Role::Dim, "the plan names no [traffic] metrics");
        return;
    };
    let sides = &scene.plan().sides;
    pen.put(Role::Old, &sides.old.label).gap(1).put(Role::Strong, &rate(flow.old));
    pen.right(Role::New, &format!("{} {}", rate(flow.new), sides.new.label)).line();
    let columns = pen.width();
    match (flow.old, flow.new) {
        (None, None) => {
            pen.put(Role::Dim, "no data yet: not green");
        }
        _ if flow.blind => {
            pen.put(Role::Warn, "blind: this is what was, not what is");
        }
        (old, new) => bar(&mut pen, old.unwrap_or(0.0), new.unwrap_or(0.0), columns),
    }
}

fn bar(pen: &mut Pen<'_>, old: f64, new: f64, columns: usize) {
    let total = old + new;
    if total <= 0.0 {
        pen.put(Role::Dim, "no requests on either side");
        return;
    }
    let share = filled(old / total, columns);
    let (full, light) = (pen.glyphs().full, pen.glyphs().spark[7]);
    pen.put(Role::Old, &full.repeat(share)).put(Role::New, &light.repeat(columns - share));
}

fn rate(value: Option<f64>) -> String {
    value.map_or_else(|| "no data".into(), |value| text::value(Unit::PerSecond, value))
}

pub(super) fn strip(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    let Some(flow) = flow(scene) else {
        pen.put(Role::Dim, "not watched");
        return;
    };
    let sides = &scene.plan().sides;
    if let Some(age) = flow.age.filter(|_| flow.blind) {
        pen.put(Role::Warn, &format!("blind {}", text::brief(age))).gap(2);
        let was = format!("was {} {}, {} {}", sides.old.label, rate(flow.old), rate(flow.new), sides.new.label);
        pen.put(Role::Dim, &was);
        return;
    }
    pen.put(Role::Old, &sides.old.label).gap(1).put(Role::Text, &rate(flow.old)).gap(1);
    let (old, new) = (flow.old.unwrap_or(0.0), flow.new.unwrap_or(0.0));
    if old + new > 0.0 {
        bar(pen, old, new, 24);
    }
    pen.gap(1).put(Role::Text, &rate(flow.new)).gap(1).put(Role::New, &sides.new.label);
    if let Some(age) = flow.age {
        pen.gap(2).put(Role::Dim, &format!("{} old", text::brief(age)));
    }
}
