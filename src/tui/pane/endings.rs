//! When certificates and credentials end, against the end of the window and the way back from there: always, and not only
//! when it is too early.

use jiff::Timestamp;

use super::{Pen, Role, Scene, text};
use crate::run::{Expiring, Lasting, lasting, needed};

pub(super) fn list(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    pen.line().put(Role::Strong, "Certificates and credentials");
    let session = scene.state().session.as_ref();
    if let Some(needed) = session.map(|session| needed(scene.plan(), scene.state(), session.started_at)) {
        let (until, end) = (end_text(scene, needed.until), text::minute(needed.window_end, scene.tz));
        let back = text::clock(needed.back);
        pen.put(Role::Dim, &format!("  must last to {until} (window to {end}, then {back} for the way back)"));
    }
    pen.line();
    for one in lasting(scene.plan(), scene.state()) {
        row(scene, pen, &one);
    }
}

fn row(scene: &Scene<'_>, pen: &mut Pen<'_>, one: &Lasting) {
    let (glyphs, sides) = (&scene.theme.glyphs, &scene.plan().sides);
    let (role, glyph) = match one.lasts {
        Some(true) => (Role::Good, glyphs.done),
        Some(false) => (Role::Bad, glyphs.fail),
        None => (Role::Warn, glyphs.unknown),
    };
    let (side, label, what) = match one.of {
        Expiring::OldCertificate => (Role::Old, sides.old.label.as_str(), one.host.as_deref().unwrap_or_default()),
        Expiring::NewCertificate => (Role::New, sides.new.label.as_str(), one.host.as_deref().unwrap_or_default()),
        Expiring::Credentials => (Role::Text, "AWS", "credentials"),
        Expiring::HerokuKey => (Role::Text, "Heroku", "credentials"),
    };
    let title = (pen.width() / 3).clamp(12, 32);
    pen.put(role, glyph).gap(1).cell(side, label, 8).cell(Role::Text, what, title).gap(1);
    let Some(until) = one.until else {
        let (role, words) = if one.seen { (Role::Text, "no end is told") } else { (Role::Warn, "not seen yet") };
        pen.put(role, words).line();
        return;
    };
    let words = match one.lasts {
        _ if until <= scene.now => "ended".to_owned(),
        _ => format!("in {}", text::brief(text::since(scene.now, until))),
    };
    pen.cell(Role::Text, &end_text(scene, until), 18).gap(1).cell(Role::Dim, &words, 9);
    if let Some(needed) = one.needed_until.filter(|_| one.lasts == Some(false)) {
        pen.put(Role::Bad, &format!("{} too early", text::clock(text::since(until, needed))));
    }
    pen.line();
}

/// Today a time, later a date as well.
fn end_text(scene: &Scene<'_>, at: Timestamp) -> String {
    let zoned = at.to_zoned(scene.tz.clone());
    let today = scene.now.to_zoned(scene.tz.clone()).date();
    let format = if zoned.date() == today { "%H:%M" } else { "%-d %b %Y %H:%M" };
    zoned.strftime(format).to_string()
}
