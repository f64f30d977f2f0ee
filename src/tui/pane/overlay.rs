//! What lies over the screen: forms, and decisions with everything that they rest on.

use ratatui::buffer::Buffer;

use super::{
    Pen, Role, Scene, dialog,
    rollback::{facts, headline},
    text, word,
};
use crate::{
    plan::StepId,
    run::Change,
    tui::form::{About, Decision, Form, Question, Takes},
};

pub(super) fn form(scene: &Scene<'_>, form: &Form, buf: &mut Buffer) {
    let (title, words) = explanation(scene, &form.about);
    let width = 76.min(buf.area.width);
    let wrapped = text::wrap(&words, usize::from(width).saturating_sub(6));
    let height = wrapped.len() + form.fields.len() * 2 + 5;
    let height = u16::try_from(height).unwrap_or(u16::MAX);
    let inside = dialog(scene, (width, height), &[word(Role::Text, title)], buf);
    let mut pen = Pen::new(buf, scene.theme, inside);
    for line in wrapped {
        pen.put(Role::Text, &line).line();
    }
    for (index, field) in form.fields.iter().enumerate() {
        let here = index == form.at;
        pen.line().put(if here { Role::Focus } else { Role::Dim }, &field.label).put(Role::Dim, ": ");
        let shown = tail(field.input.value(), pen.left().saturating_sub(3));
        let wrong =
            matches!(&field.takes, Takes::OneOf(words) if !words.iter().any(|w| w.starts_with(field.input.value())));
        pen.put(if wrong { Role::Bad } else { Role::Strong }, &shown);
        if here {
            pen.put(Role::Focus, scene.theme.glyphs.caret);
        }
        if field.is_complete() && !field.text().is_empty() {
            pen.gap(1).put(Role::Good, scene.theme.glyphs.done);
        }
        pen.line();
    }
    pen.line();
    match &form.complaint {
        Some(complaint) => pen.put(Role::Warn, complaint),
        None => {
            pen.put(Role::Key, "[Enter]").put(Role::Text, " done   ").put(Role::Key, "[Esc]").put(Role::Text, " leave")
        }
    };
}

/// The end of a text that is too long for its line.
fn tail(value: &str, columns: usize) -> String {
    let mut shown = value;
    while text::width(shown) > columns {
        let mut chars = shown.chars();
        chars.next();
        shown = chars.as_str();
    }
    shown.to_owned()
}

fn explanation(scene: &Scene<'_>, about: &About) -> (&'static str, String) {
    match about {
        About::Note => ("Note", "It goes into the journal, with your name and the time.".into()),
        About::Hold => ("Hold", "Nothing goes forward until the hold is released; rolling back stays open.".into()),
        About::Search => ("Search", "Lines of the journal with all of these words; empty shows all.".into()),
        About::Skip(step) => {
            ("Skip", format!("The run goes on as if {step} were done. What it was to change stays as it is."))
        }
        About::Override(_, condition) => {
            let detail = scene.conditions.iter().find(|c| c.id == *condition).map_or("", |c| c.detail.as_str());
            (
                "Go past a condition",
                format!("{} does not hold: {detail}. It counts for the next attempt only.", condition.word()),
            )
        }
        About::Resolve(step) => {
            let reason = scene.state().step(step).and_then(|step| step.reason.clone()).unwrap_or_default();
            ("In doubt", format!("{step}: {reason}. Look at the world before you decide; the run believes you."))
        }
        About::End => (
            "End the session",
            "It is not complete. Nothing more will happen in it; what was changed stays changed.".into(),
        ),
    }
}

/// Draws a decision; true when all that it rests on was visible.
pub(super) fn question(scene: &Scene<'_>, question: &Question, buf: &mut Buffer) -> bool {
    match &question.about {
        Decision::Rollback(reason) => rollback(scene, question, reason, buf),
        about => plain(scene, question, about, buf),
    }
}

fn plain(scene: &Scene<'_>, question: &Question, about: &Decision, buf: &mut Buffer) -> bool {
    let (title, words, deed) = match about {
        Decision::Forward => {
            ("Forward again", "The rollback is left; what is undone stays undone.".to_owned(), "turn forward")
        }
        Decision::Seat => {
            let driver = scene.state().driver().map_or("Nobody", |driver| driver.name.as_str());
            (
                "Driver's seat",
                format!("{driver} drives now. An armed gate closes when the seat changes."),
                "take the seat",
            )
        }
        Decision::Stop(step) => {
            ("Stop", format!("{step} stops as soon as it can. What has been sent may still take effect."), "stop it")
        }
        Decision::Release => {
            let hold = scene.state().hold.as_ref();
            let words = hold.map_or_else(String::new, |hold| format!("Held by {}: {}", hold.by, hold.reason));
            ("Release the hold", words, "release it")
        }
        Decision::End => ("End the session", "Nothing more will happen in it.".to_owned(), "end it"),
        Decision::Rollback(_) => return false,
    };
    let width = 70.min(buf.area.width);
    let wrapped = text::wrap(&words, usize::from(width).saturating_sub(6));
    let height = u16::try_from(wrapped.len() + 4).unwrap_or(u16::MAX);
    let inside = dialog(scene, (width, height), &[word(Role::Text, title)], buf);
    let mut pen = Pen::new(buf, scene.theme, inside);
    for line in wrapped {
        pen.put(Role::Text, &line).line();
    }
    pen.line();
    keys(scene, question, deed, &mut pen);
    !pen.overflown()
}

/// Price first, then the list of undos, then the key.
fn rollback(scene: &Scene<'_>, question: &Question, reason: &str, buf: &mut Buffer) -> bool {
    let undos = scene.price.undos.len();
    let height = u16::try_from(undos * 2 + 12).unwrap_or(u16::MAX);
    let inside = dialog(scene, (84, height), &[word(Role::Bad, "Roll back")], buf);
    let mut pen = Pen::new(buf, scene.theme, inside);
    headline(scene, &mut pen);
    pen.line();
    facts(scene, &mut pen);
    pen.put(Role::Dim, "because ").put(Role::Text, reason).line().line();
    if undos == 0 || scene.price.passed.is_some() {
        pen.put(Role::Key, "[Esc]").put(Role::Text, " back");
        return false;
    }
    pen.put(Role::Dim, "Only undos run from here on, last change first; each has its own gate:").line();
    list_undos(scene, &mut pen);
    pen.line();
    if scene.state().rollback.is_some() {
        pen.put(Role::Warn, "rolling back already: each undo waits for its gate   ").put(Role::Key, "[Esc]");
        return false;
    }
    keys(scene, question, "begin to roll back", &mut pen);
    !pen.overflown()
}

/// The undos, each with what it puts back where there is room for that. What does not fit is counted: the way back must
/// stay open on every screen, and each undo shows its exact change at its own gate.
fn list_undos(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    let undos = &scene.price.undos;
    // The last two lines are the keys' own.
    let room = pen.room().saturating_sub(2);
    let shown = if undos.len() > room { room.saturating_sub(1) } else { undos.len() };
    for (index, id) in undos.iter().take(shown).enumerate() {
        let title = scene.plan().step(id).map_or(id.0.as_str(), |step| step.title.as_str());
        pen.put(Role::Dim, &format!("{:>2}. ", index + 1)).put(Role::Strong, title).line();
        if undos.len() * 2 <= room {
            puts_back(scene, id, pen);
        }
    }
    if shown < undos.len() {
        pen.put(Role::Warn, &format!("    and {} more; the pane Rollback has them all", undos.len() - shown)).line();
    }
}

/// The first row of what an undo puts back.
fn puts_back(scene: &Scene<'_>, id: &StepId, pen: &mut Pen<'_>) {
    let applied = scene.state().step(id).and_then(|step| Change::reversal_of(&step.applied));
    let rows = applied.map(|change| change.rows()).unwrap_or_default();
    let Some(row) = rows.first() else { return };
    let after = if row.after.is_empty() { "(none)" } else { &row.after };
    pen.gap(4).put(Role::Dim, &format!("{} {} ", row.label, scene.theme.glyphs.arrow)).put(Role::Text, after);
    if rows.len() > 1 {
        pen.put(Role::Dim, &format!("  and {} more", rows.len() - 1));
    }
    pen.line();
}

fn keys(scene: &Scene<'_>, question: &Question, deed: &str, pen: &mut Pen<'_>) {
    let early = question.latch.ripe_at().is_none_or(|ripe| scene.instant < ripe);
    pen.put(Role::Key, "[y]").put(Role::Strong, &format!(" {deed}   "));
    pen.put(Role::Key, "[Esc]").put(Role::Text, " leave it   ");
    pen.put(Role::Dim, if early { "read it first" } else { "" });
}
