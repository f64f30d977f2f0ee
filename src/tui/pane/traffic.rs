//! Requests at the old side against requests at the new: "done" is silence on the old side.

use std::time::Duration;

use ratatui::{buffer::Buffer, layout::Rect};

use super::{super::pen::filled, Pane, Pen, Role, Scene, frame, padded, reading, text, word};
use crate::plan::{Sides, Unit};

/// The newest datum of each side.
struct Flow {
    old: Option<Rate>,
    new: Option<Rate>,
}

#[derive(Clone, Copy)]
struct Rate {
    /// Requests a second.
    value: f64,
    age: Duration,
    /// It tells nothing about now.
    stale: bool,
}

impl Flow {
    fn rates(&self) -> impl Iterator<Item = Rate> {
        self.old.into_iter().chain(self.new)
    }

    /// Neither tells anything about now.
    fn blind(&self) -> bool {
        self.rates().all(|rate| rate.stale)
    }

    /// Of what tells about now, else of what there is.
    fn age(&self) -> Option<Duration> {
        self.rates().filter(|rate| self.blind() || !rate.stale).map(|rate| rate.age).max()
    }

    /// The side that fell silent beside the other, and how long ago.
    fn silent<'a>(&self, sides: &'a Sides) -> Option<(&'a str, Duration)> {
        let both = [(&sides.old, self.old), (&sides.new, self.new)];
        let of = both.into_iter().find_map(|(side, rate)| Some((side, rate.filter(|rate| rate.stale)?)));
        of.filter(|_| !self.blind()).map(|(side, rate)| (side.label.as_str(), rate.age))
    }

    /// `Heroku 70 m`, behind the age of the other.
    fn silence(&self, sides: &Sides) -> Option<String> {
        self.silent(sides).map(|(label, age)| format!("{label} {}", text::brief(age)))
    }
}

fn flow(scene: &Scene<'_>) -> Option<Flow> {
    let traffic = scene.plan().traffic.as_ref()?;
    let rate = |id: &str| {
        let metric = scene.plan().metrics.iter().find(|metric| metric.id == id)?;
        let datum = reading::newest(scene, metric)?;
        let (age, stale) = (text::since(datum.at, scene.now), reading::stale(scene, metric));
        Some(Rate { value: datum.value, age, stale })
    };
    Some(Flow { old: rate(&traffic.old), new: rate(&traffic.new) })
}

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) {
    let flow = flow(scene);
    let told = |flow: &Flow| {
        let age = text::brief(flow.age()?);
        Some(if flow.blind() {
            word(Role::Warn, format!("blind {age}"))
        } else {
            word(Role::Dim, format!("{age} old"))
        })
    };
    let silence = |flow: &Flow| Some(word(Role::Dim, format!(", {}", flow.silence(&scene.plan().sides)?)));
    let right: Vec<_> = flow.iter().filter_map(told).chain(flow.iter().filter_map(silence)).collect();
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
    match flow.rates().next() {
        None => {
            pen.put(Role::Dim, "no data yet: not green");
        }
        Some(_) if flow.blind() => {
            pen.put(Role::Warn, "blind: this is what was, not what is");
        }
        Some(_) => bar(&mut pen, &flow, columns),
    }
}

/// The share of each side now: one that fell silent has none.
fn bar(pen: &mut Pen<'_>, flow: &Flow, columns: usize) {
    let now = |rate: Option<Rate>| rate.filter(|rate| !rate.stale).map_or(0.0, |rate| rate.value);
    let (old, total) = (now(flow.old), now(flow.old) + now(flow.new));
    if total <= 0.0 {
        pen.put(Role::Dim, "no requests on either side");
        return;
    }
    let share = filled(old / total, columns);
    let (full, light) = (pen.glyphs().full, pen.glyphs().spark[7]);
    pen.put(Role::Old, &full.repeat(share)).put(Role::New, &light.repeat(columns - share));
}

fn rate(rate: Option<Rate>) -> String {
    rate.map_or_else(|| "no data".into(), |rate| text::value(Unit::PerSecond, rate.value))
}

pub(super) fn strip(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    let Some(flow) = flow(scene) else {
        pen.put(Role::Dim, "not watched");
        return;
    };
    let sides = &scene.plan().sides;
    if let Some(age) = flow.age().filter(|_| flow.blind()) {
        pen.put(Role::Warn, &format!("blind {}", text::brief(age))).gap(2);
        let was = format!("was {} {}, {} {}", sides.old.label, rate(flow.old), rate(flow.new), sides.new.label);
        pen.put(Role::Dim, &was);
        return;
    }
    pen.put(Role::Old, &sides.old.label).gap(1).put(Role::Text, &rate(flow.old)).gap(1);
    if flow.rates().any(|rate| rate.value > 0.0 && !rate.stale) {
        bar(pen, &flow, 24);
    }
    pen.gap(1).put(Role::Text, &rate(flow.new)).gap(1).put(Role::New, &sides.new.label);
    if let Some(age) = flow.age() {
        pen.gap(2).put(Role::Dim, &format!("{} old", text::brief(age)));
    }
    if let Some(silence) = flow.silence(sides) {
        pen.put(Role::Dim, &format!(", {silence}"));
    }
}
