//! Who is attached: what is proven of them and what they claim, from where, in which seat, and what they look at.

use ratatui::buffer::Buffer;

use super::{Pen, Role, Scene, dialog, text, word};
use crate::{
    plan::StepId,
    run::{Operator, Seat, seat_word},
};

pub(super) fn render(scene: &Scene<'_>, buf: &mut Buffer) {
    let people = sorted(scene);
    let away = scene.state().away.as_ref().filter(|_| scene.state().driver().is_none());
    let height = people.len() * 2 + 2 * usize::from(away.is_some()) + 5;
    let size = (buf.area.width.min(92), u16::try_from(height).unwrap_or(u16::MAX));
    let inside = dialog(scene, size, &[word(Role::Text, "People")], buf);
    let mut pen = Pen::new(buf, scene.theme, inside);
    if let Some(away) = away {
        let since = text::clock(text::since(away.since, scene.now));
        let kept = if scene.state().kept_for(scene.now).is_some() { "the seat is kept" } else { "the seat is free" };
        pen.put(Role::Warn, &format!("{} drove and is gone for {since}: {kept}", away.operator.name)).line();
        pen.gap(2).put(Role::Key, "[t]").put(Role::Text, " takes over").line();
    }
    for (who, seat) in people {
        person(scene, who, seat, &mut pen);
    }
    pen.line();
    match &scene.plan().access {
        Some(access) => pen.put(
            Role::Dim,
            &format!(
                "group {}; may drive: {}; may confirm: {}",
                access.group,
                listed(&access.drivers),
                listed(&access.confirmers)
            ),
        ),
        None => pen.put(Role::Dim, "the plan has no [access]: only this user and root may attach"),
    };
}

/// The driver first, then confirmers, then viewers.
fn sorted<'a>(scene: &Scene<'a>) -> Vec<(&'a Operator, Seat)> {
    let mut people: Vec<_> = scene.state().operators.iter().map(|(who, seat)| (who, *seat)).collect();
    people.sort_by_key(|(who, seat)| match seat {
        Seat::Driver => (0, who.conn),
        Seat::Confirmer => (1, who.conn),
        Seat::Viewer => (2, who.conn),
    });
    people
}

fn person(scene: &Scene<'_>, who: &Operator, seat: Seat, pen: &mut Pen<'_>) {
    let you = if who.conn == scene.snapshot.you.conn { " (you)" } else { "" };
    let role = if seat == Seat::Driver { Role::Good } else { Role::Text };
    pen.cell(role, seat_word(seat), 10).put(Role::Strong, &format!("{}{you}", who.name)).gap(2);
    pen.put(Role::Dim, &who.origin.place()).line();
    let login = who.login.filter(|login| *login != who.uid).map(|login| format!(", logged in as uid {login}"));
    let claim = who.origin.claim.as_ref().map(|claim| format!(", claims {} {}", claim.name, claim.by.word()));
    let looks = scene.telemetry().looks_at(who.conn).map(|step| format!(", looks at {}", number(scene, step)));
    let proven = format!("uid {}", who.uid);
    let words = [Some(proven), login, claim, looks].into_iter().flatten().collect::<String>();
    pen.gap(10).put(Role::Dim, &words).line();
}

fn number(scene: &Scene<'_>, step: &StepId) -> String {
    scene.plan().position(step).map_or_else(|| step.to_string(), |at| format!("step {} ({step})", at + 1))
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "nobody else".to_owned() } else { names.join(", ") }
}

/// The others who look at a step, by their names: for the list of steps.
pub(super) fn lookers(scene: &Scene<'_>, step: &StepId) -> String {
    let others = scene.state().operators.iter().filter(|(who, _)| who.conn != scene.snapshot.you.conn);
    let here = others.filter(|(who, _)| scene.telemetry().looks_at(who.conn) == Some(step));
    here.map(|(who, _)| who.name.split(' ').next().unwrap_or_default()).collect::<Vec<_>>().join(" ")
}
