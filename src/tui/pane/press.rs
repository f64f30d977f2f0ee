//! What to press, at the bottom of the step's pane: the one place where a gate speaks.

use std::time::{Duration, Instant};

use super::{Pen, Role, Scene, Word, step::stands, text, word};
use crate::{
    plan::{Class, GateLevel, Kind, RdsKind, Step},
    run::{Condition, ConditionId, Direction, Gate, Outcome, Phase, Seat, StepState},
    tui::{
        gate::{Latch, Wants},
        keymap::CONSENT,
        model::{overridable, seat, second_persons, withdraws},
    },
};

/// Said where a gate cannot be passed because something hides a part of its change.
const CRAMPED: &str = "not all of it is visible: Esc, then z";

/// The lines, each of words; more than fit are wrapped by hand before. `whole`: all of the change is on the screen; it
/// makes them neither more nor fewer.
pub(super) fn lines(scene: &Scene<'_>, step: &Step, columns: usize, whole: bool) -> Vec<Vec<Word>> {
    let mut lines = Vec::new();
    let gate = scene.state().gate.as_ref().filter(|gate| gate.step == step.id);
    if let Some(reason) = disarmed(scene, step).filter(|_| gate.is_none()) {
        let told = format!("disarmed: {reason}");
        let wrapped = text::wrap(&told, columns);
        lines.extend(wrapped.into_iter().map(|line| vec![word(Role::Warn, line)]));
    }
    match gate {
        _ if scene.lost.is_some() => lines.extend(unheard(scene, columns)),
        Some(gate) => armed(scene, gate, &mut lines),
        None => lines.extend(idle(scene, step, columns, whole)),
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
        (Kind::HerokuMaintenance { on }, _) if *on == (direction == Direction::Forward) => "turn maintenance on",
        (Kind::HerokuMaintenance { .. }, _) => "turn maintenance off",
        (_, Direction::Back) => "undo it",
        (Kind::DnsSwitch { .. }, _) => "switch DNS",
        (Kind::DnsLowerTtl { .. }, _) => "lower the TTL",
        (Kind::DnsRaiseTtl { .. }, _) => "raise the TTL",
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

/// Lines of an armed gate, with the rule above them.
pub(super) const fn armed_lines(level: GateLevel) -> u16 {
    match level {
        GateLevel::Start => 0,
        GateLevel::Confirm => 3,
        GateLevel::Type => 4,
        GateLevel::Two => 5,
    }
}

fn armed(scene: &Scene<'_>, gate: &Gate, lines: &mut Vec<Vec<Word>>) {
    let by = word(Role::Dim, format!("  by {}, evidence {}", gate.by.name, gate.evidence));
    if gate.consented || scene.ui.gate.passing() {
        return accepted(scene, gate, by, lines);
    }
    let patience = scene.state().session.as_ref().map_or(Duration::ZERO, |session| session.patience);
    let left = patience.saturating_sub(text::since(gate.typed_at.unwrap_or(gate.armed_at), scene.now));
    let left = scene.snapshot.clock.to_wall(left);
    lines.push(vec![
        word(Role::WarnFill, format!(" {} ARMED ", scene.theme.glyphs.armed)),
        word(Role::Text, format!("  {} left", text::clock(left))),
        by,
    ]);
    if gate.level == GateLevel::Two {
        // Over the phone: whoever reads other words looks at something else.
        let words = word(Role::Strong, gate.evidence.words());
        lines.push(vec![word(Role::Dim, "both read: "), words]);
    }
    let step = scene.plan().step(&gate.step);
    match scene.ui.gate.latch() {
        Some(latch) => open(scene, latch, step.map_or("do it", |step| deed(step, gate.direction)), lines),
        None if gate.typed => {
            lines.push(vec![word(Role::Warn, format!("typed; {}", second_persons(scene.snapshot, gate)))]);
            if withdraws(scene.snapshot).is_some() {
                lines.push(vec![word(Role::Key, "[Esc]"), word(Role::Text, " withdraws it")]);
            }
        }
        None => lines.push(vec![word(Role::Dim, "waits for the one who armed it")]),
    }
}

/// The key was taken: what has become of it, and what happens now. `by`: whose gate it is.
fn accepted(scene: &Scene<'_>, gate: &Gate, by: Word, lines: &mut Vec<Vec<Word>>) {
    let reads = scene.plan().step(&gate.step).is_some_and(|step| step.kind.class() == Class::ReadOnly);
    let (filled, now) = match (gate.consented, reads) {
        (false, _) => (" YOUR KEY IS TAKEN ", "nothing has been sent yet: the engine is told"),
        (true, true) => (" ACCEPTED ", "it begins once the world has been read again"),
        (true, false) => (" ACCEPTED ", "read once more; if it is as shown, it is sent"),
    };
    lines.push(vec![word(Role::InfoFill, filled), by]);
    lines.push(vec![word(Role::Focus, now)]);
}

fn open(scene: &Scene<'_>, latch: &Latch, deed: &str, lines: &mut Vec<Vec<Word>>) {
    let early = too_early(latch, scene.instant);
    match latch.wants() {
        Wants::Key(key) => {
            let read = match early {
                _ if scene.ui.gate.cramped() => word(Role::Bad, CRAMPED),
                true => word(Role::Warn, "read it first"),
                false => word(Role::Dim, "any other key disarms"),
            };
            lines.push(vec![word(Role::Key, format!("[{key}]")), word(Role::Strong, format!(" {deed}   ")), read]);
        }
        Wants::Word(wanted) => {
            lines.push(vec![
                word(Role::Text, "type "),
                word(Role::Key, wanted.clone()),
                word(Role::Text, " and "),
                word(Role::Key, "[Enter]"),
            ]);
            let mut line = echo(scene, latch.typed(), wanted);
            line.push(match early {
                _ if scene.ui.gate.cramped() => word(Role::Bad, format!("   {CRAMPED}")),
                true => word(Role::Dim, "   read it first"),
                false => word(Role::Dim, "   Esc disarms"),
            });
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

/// What can be pressed while no gate is armed. Who does not drive is told how to come to it, and no keys besides.
fn idle(scene: &Scene<'_>, step: &Step, columns: usize, whole: bool) -> Vec<Vec<Word>> {
    let back = scene.target.direction == Direction::Back;
    let phase = scene.phase(&step.id);
    let drives = seat(scene.snapshot) == Seat::Driver;
    let driver = |keys: Vec<Word>, deed: &str| if drives { keys } else { take_seat(deed) };
    match phase {
        _ if scene.state().ended => {
            return vec![vec![word(Role::Strong, "The session is over. "), word(Role::Key, "[q]")]];
        }
        Phase::Running | Phase::Undoing if matches!(step.kind, Kind::Manual { .. }) && !back => {
            return vec![driver([key("Space", "tick"), key("x", "stop")].concat(), "to tick or stop")];
        }
        Phase::Running | Phase::Undoing => return vec![driver(key("x", "stop it"), "to stop it")],
        Phase::Verifying => return vec![vec![word(Role::Focus, "sent; the world is being read")]],
        Phase::InDoubt if !back => {
            let mut lines = doubt(scene, step, columns);
            lines.push(driver([key("l", "look again"), key("u", "decide")].concat(), "to decide"));
            return lines;
        }
        Phase::Done if !back && !scene.state().rolled_back => return vec![done(scene)],
        _ => {}
    }
    // Rolled back, there is nothing to do but to end it; who wants to may begin again.
    let mut lines = if scene.state().rolled_back { vec![over(scene, "rolled back")] } else { Vec::new() };
    match scene.conditions().iter().find(|condition| !condition.holds) {
        _ if scene.state().rolled_back && !back => {
            lines.push(driver(key("F", "turn forward again"), "to turn forward"))
        }
        _ if phase == Phase::Done && !back => {}
        Some(open) => lines.extend(locked(scene, step, open, columns)),
        None if drives && !whole => lines.push(unseen(scene)),
        None if drives && scene.ui.gate.asking() => {
            lines.push(vec![word(Role::Focus, "Enter is taken: its gate opens")]);
        }
        None if drives => lines.push(enter(step, scene.gate_level(step), phase, back, back && stands(scene, &step.id))),
        None => {}
    }
    if !drives {
        lines.push(take_seat("to arm it"));
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// Nothing can be pressed: what can be done instead.
fn unheard(scene: &Scene<'_>, columns: usize) -> Vec<Vec<Word>> {
    let wrapped = |words: &str| -> Vec<_> {
        text::wrap(words, columns).into_iter().map(|line| vec![word(Role::Warn, line)]).collect()
    };
    match scene.lost.and_then(|lost| lost.restart.as_ref()) {
        // The command on a line of its own, to be copied.
        Some(restart) => [wrapped("No engine runs. From a shell, this starts it again:"), wrapped(restart)].concat(),
        None => wrapped("The engine cannot be heard: keys act again once it is."),
    }
}

/// Enter would be refused: something of the change is not on the screen.
fn unseen(scene: &Scene<'_>) -> Vec<Word> {
    if scene.ui.zoom && scene.ui.scroll > 0 {
        return [key("Home", "see the change from its beginning"), vec![word(Role::Dim, "then Enter arms it")]]
            .concat();
    }
    if scene.ui.zoom {
        return vec![word(Role::Warn, "the change does not fit: make the terminal taller to arm it")];
    }
    [key("z", "see all of the change"), vec![word(Role::Dim, "then Enter arms it")]].concat()
}

fn take_seat(deed: &str) -> Vec<Word> {
    [key("t", "take the driver's seat"), vec![word(Role::Dim, deed)]].concat()
}

/// Why it cannot be armed yet, and what can be done about it: first what opens it, then the ways around.
fn locked(scene: &Scene<'_>, step: &Step, open: &Condition, columns: usize) -> Vec<Vec<Word>> {
    let back = scene.target.direction == Direction::Back;
    let state = scene.state().step(&step.id);
    let unread =
        open.id == ConditionId::Preview && state.is_some_and(|state| state.preview(scene.target.direction).is_none());
    let trouble = state.and_then(|state| state.trouble.as_ref()).filter(|_| unread);
    let words = match trouble {
        None if unread => {
            "Its exact change is being read from the world: Enter arms it as soon as it stands here.".to_owned()
        }
        Some(trouble) => {
            format!(
                "LOCKED: its change cannot be read: {}: {}. It is tried again by itself.",
                trouble.call, trouble.reason
            )
        }
        None => format!("LOCKED {}: {}", open.id.word(), open.detail),
    };
    let role = if unread && trouble.is_none() { Role::Focus } else { Role::Warn };
    let mut lines: Vec<_> = text::wrap(&words, columns).into_iter().map(|line| vec![word(role, line)]).collect();
    if seat(scene.snapshot) != Seat::Driver || (unread && trouble.is_none()) {
        return lines;
    }
    let mut keys = Vec::new();
    if unread {
        keys.extend(key("l", "read it now"));
    }
    if open.id == ConditionId::Hold && scene.state().hold.is_some() {
        keys.extend(key("h", "release it"));
    }
    if let Ok(condition) = overridable(scene.conditions()) {
        let what = if condition == open.id { "it" } else { condition.word() };
        keys.extend(key("o", &format!("go past {what}")));
    }
    let stands = state.is_some_and(StepState::undoable);
    if scene.state().needs_met(scene.plan(), &step.id) && !back && scene.state().hold.is_none() && !stands {
        keys.extend(key("s", "skip"));
    }
    if stands && !back && scene.state().rollback.is_none() && scene.price().passed.is_none() {
        keys.extend(key("R", "go back: a part of it stands"));
    }
    lines.push(keys);
    lines
}

/// Why nobody can say that it is done: in its own words, where there are any.
fn doubt(scene: &Scene<'_>, step: &Step, columns: usize) -> Vec<Vec<Word>> {
    let known = scene.state().step(&step.id);
    let told = matches!(known.and_then(|known| known.attempt()?.outcome.as_ref()), Some(Outcome::InDoubt { .. }));
    // What was seen last, where it has been looked at since.
    let words = match known.and_then(|known| known.reason.as_ref()).filter(|_| told) {
        Some(reason) => format!("IN DOUBT whether it took effect: {reason}"),
        _ => "Nobody knows whether it took effect.".to_owned(),
    };
    text::wrap(&words, columns).into_iter().take(3).map(|line| vec![word(Role::Bad, line)]).collect()
}

fn done(scene: &Scene<'_>) -> Vec<Word> {
    if scene.state().complete() {
        let skipped = scene.state().steps.iter().filter(|step| step.phase == Phase::Skipped).count();
        let words = match skipped {
            0 => "done   everything is done".to_owned(),
            some => format!("done   everything but {}", text::count(some, "skipped step")),
        };
        return over(scene, &words);
    }
    let mut words = vec![word(Role::Good, format!("{} done   ", scene.theme.glyphs.done))];
    if scene.ui.pinned.is_some() {
        words.extend(key("f", "to the step that the run is at"));
    }
    words
}

/// Nothing is left to be done.
fn over(scene: &Scene<'_>, words: &str) -> Vec<Word> {
    let words = word(Role::Good, format!("{} {words}   ", scene.theme.glyphs.done));
    [vec![words], key("Q", "end the session")].concat()
}

fn enter(step: &Step, level: GateLevel, phase: Phase, back: bool, fresh: bool) -> Vec<Word> {
    let again = if !fresh && matches!(phase, Phase::Failed | Phase::Undone | Phase::Skipped) { " again" } else { "" };
    match (level, back) {
        (GateLevel::Start, false) => {
            let (start, reads) = match step.kind {
                Kind::Manual { .. } => ("begin ticking", "nothing is sent by it"),
                _ => ("start", "it changes nothing"),
            };
            [key("Enter", &format!("{start}{again}")), vec![word(Role::Dim, reads)]].concat()
        }
        (GateLevel::Start | GateLevel::Confirm, _) => {
            let then = word(Role::Dim, format!("then look, then {CONSENT}"));
            [key("Enter", &format!("arm{again}")), vec![then]].concat()
        }
        (GateLevel::Type, _) => {
            [key("Enter", &format!("arm{again}")), vec![word(Role::Dim, "then type its words")]].concat()
        }
        (GateLevel::Two, _) => {
            let then = word(Role::Dim, "then type its words; a second person confirms");
            [key("Enter", &format!("arm{again}")), vec![then]].concat()
        }
    }
}
