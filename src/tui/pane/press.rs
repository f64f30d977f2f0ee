//! What to press, at the bottom of the step's pane: the one place where a gate speaks.

use std::time::{Duration, Instant};

use super::{Pen, Role, Scene, Word, text, word};
use crate::{
    plan::{GateLevel, Kind, RdsKind, Step},
    run::{Direction, Gate, Phase, Seat},
    tui::{
        gate::{Latch, Wants},
        model::seat,
    },
};

/// The lines, each of words; more than fit are wrapped by hand before.
pub(super) fn lines(scene: &Scene<'_>, step: &Step, columns: usize) -> Vec<Vec<Word>> {
    let mut lines = Vec::new();
    let gate = scene.state().gate.as_ref().filter(|gate| gate.step == step.id);
    if let Some(reason) = disarmed(scene, step).filter(|_| gate.is_none()) {
        let wrapped = text::wrap(&format!("disarmed: {reason}"), columns);
        lines.extend(wrapped.into_iter().map(|line| vec![word(Role::Warn, line)]));
    }
    match gate {
        Some(gate) => armed(scene, gate, &mut lines),
        None => lines.extend(idle(scene, step, columns)),
    }
    lines.insert(0, Vec::new());
    lines
}

pub(super) fn render(scene: &Scene<'_>, lines: &[Vec<Word>], mut pen: Pen<'_>) {
    for (index, line) in lines.iter().enumerate() {
        if index == 0 {
            let columns = pen.width();
            pen.put(Role::Line, &scene.theme.glyphs.base.repeat(columns));
        }
        for (role, words) in line {
            pen.put(*role, words);
        }
        pen.line();
    }
}

/// Why the last gate of this step closed: this person's own slip is known more exactly than the engine's words say.
fn disarmed<'a>(scene: &Scene<'a>, step: &Step) -> Option<&'a str> {
    let closed = scene.state().disarmed.as_ref().filter(|disarmed| disarmed.step == step.id)?;
    let own = format!("closed by {}", scene.snapshot.you.name);
    let exact = scene.ui.disarmed.as_deref().filter(|_| closed.reason == own);
    Some(exact.unwrap_or(&closed.reason))
}

/// The verb of the second key.
fn deed(step: &Step, direction: Direction) -> &'static str {
    match (&step.kind, direction) {
        (_, Direction::Back) => "undo it",
        (Kind::DnsSwitch { .. }, _) => "switch DNS",
        (Kind::DnsLowerTtl { .. }, _) => "lower the TTL",
        (Kind::DnsRaiseTtl { .. }, _) => "raise the TTL",
        (Kind::HerokuMaintenance { on: true }, _) => "turn maintenance on",
        (Kind::HerokuMaintenance { on: false }, _) => "turn maintenance off",
        (Kind::HerokuScale { .. } | Kind::EcsScale { .. }, _) => "scale",
        (Kind::Exec { .. } | Kind::EcsRunTask(_), _) => "run it",
        (Kind::PostgresFreeze { .. }, _) => "freeze writes",
        (Kind::PostgresOpen { .. }, _) => "open writes",
        (Kind::PostgresSyncSequences { .. }, _) => "set the sequences",
        (Kind::Rds(kind), _) => rds_deed(kind),
        _ => "do it",
    }
}

const fn rds_deed(kind: &RdsKind) -> &'static str {
    match kind {
        RdsKind::RestoreSnapshot { .. } => "restore it",
        RdsKind::Snapshot { .. } => "take it",
        RdsKind::PromoteReplica { .. } => "promote it for good",
        RdsKind::Switchover { .. } => "switch the database",
    }
}

fn armed(scene: &Scene<'_>, gate: &Gate, lines: &mut Vec<Vec<Word>>) {
    let patience = scene.state().session.as_ref().map_or(Duration::ZERO, |session| session.patience);
    let left = patience.saturating_sub(text::since(gate.armed_at, scene.now));
    let left = scene.snapshot.clock.to_wall(left);
    lines.push(vec![
        word(Role::WarnFill, format!(" {} ARMED ", scene.theme.glyphs.armed)),
        word(Role::Text, format!("  closes in {}", text::clock(left))),
        word(Role::Dim, format!("  by {}, evidence {}", gate.by.name, gate.evidence)),
    ]);
    let step = scene.plan().step(&gate.step);
    match (scene.ui.gate.latch(), gate.consented) {
        (_, true) => lines.push(vec![word(Role::Focus, "confirmed: the world is read once more before it is sent")]),
        (Some(latch), false) => open(scene, latch, step.map_or("do it", |step| deed(step, gate.direction)), lines),
        (None, false) if gate.typed => {
            lines.push(vec![word(
                Role::Warn,
                "typed: now a confirmer with another login must confirm it at their screen",
            )]);
        }
        (None, false) => lines.push(vec![word(Role::Dim, "waits for the one who armed it")]),
    }
}

fn open(scene: &Scene<'_>, latch: &Latch, deed: &str, lines: &mut Vec<Vec<Word>>) {
    let early = too_early(latch, scene.instant);
    match latch.wants() {
        Wants::Key(key) => {
            let read = if early { word(Role::Warn, "read it first") } else { word(Role::Good, "now") };
            lines.push(vec![
                word(Role::Key, format!("[{key}]")),
                word(Role::Strong, format!(" {deed}")),
                word(Role::Dim, "   any other key disarms   "),
                read,
            ]);
        }
        Wants::Word(wanted) => {
            lines.push(vec![
                word(Role::Text, "type "),
                word(Role::Key, wanted.clone()),
                word(Role::Text, " and "),
                word(Role::Key, "[Enter]"),
                word(Role::Strong, format!(" to {deed}")),
            ]);
            let mut line = echo(scene, latch.typed(), wanted);
            line.push(word(Role::Dim, if early { "   read it first" } else { "   Esc disarms" }));
            lines.push(line);
        }
    }
}

fn too_early(latch: &Latch, now: Instant) -> bool {
    latch.ripe_at().is_none_or(|ripe| now < ripe)
}

/// What has been typed, with what is wrong in it marked.
pub(super) fn echo(scene: &Scene<'_>, typed: &str, wanted: &str) -> Vec<Word> {
    let right = typed.chars().zip(wanted.chars()).take_while(|(a, b)| a == b).count();
    let good: String = typed.chars().take(right).collect();
    let bad: String = typed.chars().skip(right).collect();
    let mut words = vec![word(Role::Dim, "> "), word(Role::Good, good)];
    if !bad.is_empty() {
        words.push(word(Role::Bad, format!("{}{bad}", scene.theme.glyphs.fail)));
    }
    words.push(word(Role::Focus, scene.theme.glyphs.caret));
    if typed == wanted {
        words.push(word(Role::Good, format!(" {}", scene.theme.glyphs.done)));
    }
    words
}

fn key(key: &str, does: &str) -> Vec<Word> {
    vec![word(Role::Key, format!("[{key}]")), word(Role::Text, format!(" {does}   "))]
}

/// What can be pressed while no gate is armed.
fn idle(scene: &Scene<'_>, step: &Step, columns: usize) -> Vec<Vec<Word>> {
    let back = scene.target.direction == Direction::Back;
    let phase = scene.phase(&step.id);
    match phase {
        _ if scene.state().ended => {
            return vec![vec![word(Role::Strong, "The session is over. "), word(Role::Key, "[q]")]];
        }
        Phase::Running | Phase::Undoing if matches!(step.kind, Kind::Manual { .. }) && !back => {
            return vec![[key("Space", "tick"), key("x", "stop")].concat()];
        }
        Phase::Running | Phase::Undoing => return vec![key("x", "stop it")],
        Phase::Verifying => return vec![vec![word(Role::Focus, "sent; the world is being read")]],
        Phase::InDoubt if !back => {
            let words = "Nobody knows whether it took effect. ";
            return vec![vec![word(Role::Bad, words)], [key("l", "look again"), key("u", "decide")].concat()];
        }
        Phase::Done if !back => return vec![done(scene)],
        _ => {}
    }
    let mut lines = Vec::new();
    if seat(scene.snapshot) != Seat::Driver {
        lines.push([key("t", "take the driver's seat"), vec![word(Role::Dim, "to arm anything")]].concat());
    }
    match scene.conditions.iter().find(|condition| !condition.holds) {
        Some(open) => {
            let words = format!("LOCKED {}: {}", open.id.word(), open.detail);
            lines.extend(text::wrap(&words, columns).into_iter().map(|line| vec![word(Role::Warn, line)]));
            let mut keys = Vec::new();
            if open.id.overridable() {
                keys.extend(key("o", "go past it"));
            }
            if scene.state().needs_met(scene.plan(), &step.id) && !back {
                keys.extend(key("s", "skip"));
            }
            lines.push(keys);
        }
        None => lines.push(enter(step, phase, back)),
    }
    lines.retain(|line| !line.is_empty());
    lines
}

fn done(scene: &Scene<'_>) -> Vec<Word> {
    let mut words = vec![word(Role::Good, format!("{} done   ", scene.theme.glyphs.done))];
    if scene.state().complete() {
        words.push(word(Role::Strong, "everything is done   "));
        words.extend(key("Q", "end the session"));
    } else if scene.ui.pinned.is_some() {
        words.extend(key("f", "to the step that the run is at"));
    }
    words
}

fn enter(step: &Step, phase: Phase, back: bool) -> Vec<Word> {
    let again = if matches!(phase, Phase::Failed | Phase::Undone | Phase::Skipped) { " again" } else { "" };
    match (step.gate, back) {
        (GateLevel::Start, false) => {
            let start = if matches!(step.kind, Kind::Manual { .. }) { "begin ticking" } else { "start" };
            [key("Enter", &format!("{start}{again}")), vec![word(Role::Dim, "it changes nothing")]].concat()
        }
        (GateLevel::Start | GateLevel::Confirm, _) => {
            let then = word(Role::Dim, "then look, then y");
            [key("Enter", &format!("arm{again}")), vec![then]].concat()
        }
        (GateLevel::Type, _) => {
            [key("Enter", &format!("arm{again}")), vec![word(Role::Dim, "then type the name")]].concat()
        }
        (GateLevel::Two, _) => {
            let then = word(Role::Dim, "then type the name; a second person confirms");
            [key("Enter", &format!("arm{again}")), vec![then]].concat()
        }
    }
}
