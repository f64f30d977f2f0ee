//! The first line: what, where, and how much time there is. The environment is told by word, fill and frame.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pen, Role, Scene, rollback::stops_at, text};
use crate::{
    plan::EnvironmentKind,
    run::{Seat, maintenance_since, seat_word},
};

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) {
    let kind = scene.plan().environment.kind;
    let tag = match kind {
        EnvironmentKind::Production => Role::Production,
        EnvironmentKind::Staging => Role::Staging,
        EnvironmentKind::Sandbox => Role::Sandbox,
    };
    let name = scene.plan().environment.name.to_uppercase();
    // Who drives stands on the right; on a narrow screen it gives way to what is too late, and all is said in fewer words.
    let narrow = area.width < 100;
    let name = match kind {
        EnvironmentKind::Production if narrow => format!(" !{name}! "),
        EnvironmentKind::Production => format!(" !! {name} !! "),
        EnvironmentKind::Staging => format!(" {name} "),
        EnvironmentKind::Sandbox if narrow => format!(" {name} "),
        EnvironmentKind::Sandbox => format!(" {name} (nothing real) "),
    };
    let mut pen = Pen::new(buf, scene.theme, area);
    pen.put(Role::Strong, " ").put(Role::Strong, &scene.plan().name).gap(2).put(tag, &name).gap(2);
    let used = area.width as usize - pen.left();
    let (facts, people) = (facts(scene, narrow), people(scene, narrow, area.width >= 140));
    let reserved = text::width(&people.0) + 2;
    let mut left = area.width as usize - used;
    // From the most to the least important; what does not fit is left out, and the order on the screen stays.
    let mut order: Vec<usize> = (0..facts.len()).collect();
    order.sort_by_key(|index| facts[*index].0);
    let mut chosen = vec![false; facts.len()];
    for index in order {
        let (rank, label, value, role) = &facts[index];
        let columns = text::width(label) + usize::from(!label.is_empty()) + text::width(value) + 2;
        // Who drives is told by whatever room there is, where it is somebody else.
        let urgent = narrow && (*rank == 0 || *role == Role::Bad && people.1 == Role::Good);
        if columns + if urgent { 0 } else { reserved } <= left {
            chosen[index] = true;
            left -= columns;
        }
    }
    for (_, label, value, role) in facts.iter().zip(&chosen).filter(|(_, chosen)| **chosen).map(|(fact, _)| fact) {
        if !label.is_empty() {
            pen.put(Role::Dim, label).gap(1);
        }
        pen.put(*role, value).gap(2);
    }
    pen.right(people.1, &format!("{} ", people.0));
    if kind == EnvironmentKind::Production {
        // In production the whole line is filled, so that it cannot be taken for another place.
        let columns = pen.width();
        pen.lay(Role::Production, 0, columns);
    }
}

/// Rank, label, value, role.
type Fact = (u8, &'static str, String, Role);

fn facts(scene: &Scene<'_>, narrow: bool) -> Vec<Fact> {
    let (plan, now) = (scene.plan(), scene.now);
    let arrow = scene.theme.glyphs.arrow;
    let mut facts = vec![
        (8, "", format!("{} {arrow} {} {}", plan.sides.old.label, plan.sides.new.label, plan.aws.region), Role::Text),
        match scene.lost {
            None => (0, "", text::time(now, scene.tz), Role::Strong),
            Some(_) => (0, "as of", text::time(now, scene.tz), Role::Warn),
        },
        (9, "", text::zone(now, scene.tz), Role::Dim),
    ];
    if let Some(session) = &scene.state().session {
        facts.push((
            if narrow { 3 } else { 1 },
            "",
            format!("T+{}", hours(text::since(session.started_at, now))),
            Role::Text,
        ));
    }
    if scene.state().ended {
        facts.push((2, "", "SESSION OVER".into(), Role::WarnFill));
        return facts;
    }
    if let Some(since) = maintenance_since(scene.state(), now) {
        // Customers are kept out: nothing but the time of day is more important.
        let down = text::since(since, now);
        facts.push((0, "down", if narrow { text::brief(down) } else { hours(down) }, Role::Warn));
    }
    if let Some(end) = scene.forecast().window_end {
        facts.push(window(end.duration_since(now), narrow));
    }
    if scene.state().rolled_back {
        facts.push((1, "", "ROLLED BACK".into(), Role::WarnFill));
    } else if scene.state().complete() {
        facts.push((3, "", "COMPLETE".into(), Role::Good));
    } else if scene.state().rollback.is_some() {
        let back = now.checked_add(scene.price().total).unwrap_or(now);
        facts.push(match stops_at(scene) {
            Some(number) => (1, "back", format!("STOPS at undo {number}"), Role::Bad),
            None => (5, "back", format!("~{}", text::minute(back, scene.tz)), Role::Warn),
        });
    } else {
        facts.push((5, "finish", format!("~{}", text::minute(scene.forecast().finish, scene.tz)), Role::Text));
    }
    // There is something to abort, a way back, and a window that it can fit into.
    let open = scene.forecast().window_end.is_some_and(|end| end > now) && scene.price().passed.is_none();
    let open = open && scene.state().rollback.is_none() && !scene.state().rolled_back;
    // Before that, the last moment to begin at which what is left fits the window.
    let (label, moment) = if scene.price().undos.is_empty() {
        ("latest start", scene.forecast().latest_start.filter(|_| !scene.state().complete()))
    } else {
        ("latest abort", scene.forecast().latest_abort)
    };
    if let Some(moment) = moment.filter(|_| open) {
        let passed = moment < now;
        let role = if passed { Role::Bad } else { Role::Text };
        let words = text::minute(moment, scene.tz);
        // Once it has passed nothing on this line is more important but what time it is.
        // On a narrow screen there is room for it beside the window in fewer words.
        let (rank, short) = if narrow && label == "latest abort" { (1, "abort by") } else { (4, label) };
        facts.push(if passed { (0, label, format!("{words} PASSED"), role) } else { (rank, short, words, role) });
    }
    if scene.snapshot.clock.speed() > 1.0 {
        facts.push((6, "time", format!("x{:.0}", scene.snapshot.clock.speed()), Role::Text));
    }
    facts
}

/// What is left of the window. On a narrow screen the last moment to turn back stands beside it: minutes are enough,
/// rounded down.
fn window(left: jiff::SignedDuration, narrow: bool) -> Fact {
    if left.is_negative() {
        return (2, "window over by", hours(left.unsigned_abs()), Role::Bad);
    }
    let minutes = left.as_mins();
    let words = if narrow && minutes >= 10 { format!("{minutes}m") } else { hours(left.unsigned_abs()) };
    (2, "window", words, Role::Text)
}

/// `0:44:07`: in the header always with hours, so that it does not jump.
fn hours(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn people(scene: &Scene<'_>, narrow: bool, wide: bool) -> (String, Role) {
    let mine = super::super::model::seat(scene.snapshot);
    let driver = scene.state().driver();
    let count = scene.state().operators.len().saturating_sub(1);
    let others = if count == 0 { String::new() } else { format!(" +{count}") };
    // A driver wants to know who can confirm; everybody else, who drives.
    let confirmers: Vec<_> = scene.state().seated(Seat::Confirmer).map(|who| who.name.as_str()).collect();
    if mine == Seat::Driver && !confirmers.is_empty() && wide {
        let more = count - confirmers.len();
        let more = if more == 0 { String::new() } else { format!(" +{more}") };
        return (format!("you drive, {} confirms{more}", confirmers.join(", ")), Role::Good);
    }
    match (mine, driver) {
        (Seat::Driver, _) => (format!("you drive{others}"), Role::Good),
        (_, Some(driver)) if narrow => (format!("{} drives", driver.name), Role::Warn),
        (_, None) if narrow => ("nobody drives".to_owned(), Role::Warn),
        (seat, Some(driver)) => (format!("{} drives, you: {}", driver.name, seat_word(seat)), Role::Warn),
        (seat, None) => (format!("nobody drives, you: {}", seat_word(seat)), Role::Warn),
    }
}
