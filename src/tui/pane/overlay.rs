//! What lies over the screen: forms, and decisions with everything that they rest on.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    Painted, Pen, Role, Scene, Word, dialog, more,
    rollback::{facts, headline, stops_at},
    rolled, scroll_keys, text, word,
};
use crate::{
    plan::StepId,
    run::{Attempt, Change, Phase, Seat, maintenance_since},
    tui::{
        form::{About, Decision, Form, Question, Takes},
        keymap::CONSENT,
        model::seat,
    },
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
            let title = scene.plan().step(step).map_or("", |step| &step.title);
            let later: Vec<_> = scene.plan().steps.iter().filter(|later| later.needs.contains(step)).collect();
            let later: Vec<_> = later.iter().map(|step| format!("`{}`", step.title)).collect();
            let builds = match later.as_slice() {
                [] => String::new(),
                all => format!(
                    " What builds on it looks at the world itself, and stays locked where it needs what is not there: {}.",
                    all.join(", ")
                ),
            };
            (
                "Skip",
                format!("The run goes on as if `{title}` were done. What it was to change stays as it is.{builds}"),
            )
        }
        About::Override(_, condition) => {
            let detail = scene.conditions().iter().find(|c| c.id == *condition).map_or("", |c| c.detail.as_str());
            (
                "Go past a condition",
                format!("{} does not hold: {detail}. It counts for the next attempt only.", condition.word()),
            )
        }
        About::Resolve(step) => {
            let reason = scene.state().step(step).and_then(|step| step.reason.clone()).unwrap_or_default();
            ("In doubt", format!("{step}: {reason}. Look at the world before you decide; the run believes you."))
        }
        About::End => ("End the session", left_behind(scene)),
    }
}

/// What the world is like for whoever turns forward in a rollback.
fn as_it_is(scene: &Scene<'_>) -> String {
    let count = |phase| scene.state().steps.iter().filter(|step| step.phase == phase).count();
    let (undone, done) = (count(Phase::Undone), count(Phase::Done));
    let mut words = format!("The rollback is left; what is undone stays undone: {}", text::count(undone, "step"));
    words += &format!(". What is done stays done, however long ago: {}.", text::count(done, "step"));
    if maintenance_since(scene.state(), scene.now).is_some() {
        words += &format!(" THE MAINTENANCE PAGE IS ON at {}.", scene.plan().sides.old.label);
    }
    if let Some(written) = super::rollback::written(scene).filter(|_| undone > 0) {
        let old = &scene.plan().sides.old.label;
        words += &format!(" Going back {written}; what is written at {old} since is not there: both differ.");
    }
    words
}

/// What is left in the world when a session ends before it is complete.
fn left_behind(scene: &Scene<'_>) -> String {
    let mut words = "It is not complete. Nothing more will happen in it; what was changed stays changed".to_owned();
    let undos = if scene.price().passed.is_some() { 0 } else { scene.price().undos.len() };
    if undos > 0 {
        words += &format!(": {} stand that could be put back", text::count(undos, "step"));
    }
    words.push('.');
    if maintenance_since(scene.state(), scene.now).is_some() {
        words += &format!(" THE MAINTENANCE PAGE IS ON at {} and stays on.", scene.plan().sides.old.label);
    }
    if undos > 0 {
        words += " `cutover rollback-script` tells the way back as commands.";
    }
    words
}

/// Draws a decision, and tells whether all that it rests on was visible.
pub(super) fn question(scene: &Scene<'_>, question: &Question, buf: &mut Buffer, painted: &mut Painted) {
    match &question.about {
        Decision::Rollback(reason) => rollback(scene, question, reason, buf, painted),
        about => painted.question = plain(scene, question, about, buf),
    }
}

fn plain(scene: &Scene<'_>, question: &Question, about: &Decision, buf: &mut Buffer) -> bool {
    let (title, words, deed) = match about {
        Decision::Forward => ("Forward again", as_it_is(scene), "turn forward"),
        Decision::Seat => {
            let gone = scene.state().away.as_ref().map(|away| {
                let since = text::clock(text::since(away.since, scene.now));
                format!("{} drove and is gone for {since}.", away.operator.name)
            });
            let nobody = || gone.unwrap_or_else(|| "Nobody drives now.".to_owned());
            let driver = scene.state().driver().map_or_else(nobody, |driver| format!("{} drives now.", driver.name));
            (
                "Driver's seat",
                format!("{driver} Everybody is told. An armed gate closes when the seat changes."),
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

/// Price first, then the list of undos, which is scrolled where it does not fit, then what it means and the key.
fn rollback(scene: &Scene<'_>, question: &Question, reason: &str, buf: &mut Buffer, painted: &mut Painted) {
    let undos = scene.price().undos.len();
    let width = 84.min(buf.area.width);
    let foot = foot(scene, question, usize::from(width).saturating_sub(4));
    let lines = u16::try_from(foot.len()).unwrap_or(u16::MAX);
    let height = u16::try_from(undos * 2 + 10).unwrap_or(u16::MAX).saturating_add(lines);
    let inside = dialog(scene, (width, height), &[word(Role::Bad, "Roll back")], buf);
    let lines = lines.min(inside.height);
    let body = Rect { height: inside.height - lines, ..inside };
    let rolled = rolled(scene, body, question.scroll, buf, |pen| price_and_undos(scene, reason, pen));
    let below = Rect { y: body.bottom(), height: lines, ..inside };
    let mut pen = Pen::new(buf, scene.theme, below);
    for line in &foot {
        for (role, words) in line {
            pen.put(*role, words);
        }
        pen.line();
    }
    let all_said = !pen.overflown();
    let frame = Rect { x: inside.x - 2, y: inside.y - 1, width: inside.width + 4, height: inside.height + 2 };
    more(scene, frame, rolled, scroll_keys(scene.theme), buf);
    // The way back must stay open on every screen: each undo shows its exact change at its own gate.
    let possible = undos > 0 && scene.price().passed.is_none() && scene.state().rollback.is_none();
    painted.question = possible && all_said && body.height >= 4;
    painted.reach = Some(rolled.most());
}

fn price_and_undos(scene: &Scene<'_>, reason: &str, pen: &mut Pen<'_>) {
    headline(scene, pen);
    pen.line();
    facts(scene, pen);
    pen.put(Role::Dim, "reason ").wrapped(Role::Text, reason);
    let undos = &scene.price().undos;
    if undos.is_empty() || scene.price().passed.is_some() {
        return;
    }
    if let Some(words) = kept_out(scene, undos) {
        pen.wrapped(Role::Warn, &words);
    }
    pen.line().put(Role::Dim, "Only undos run from here on, last change first; each has its own gate:").line();
    for (index, id) in undos.iter().enumerate() {
        let title = scene.plan().step(id).map_or(id.0.as_str(), |step| step.title.as_str());
        pen.put(Role::Dim, &format!("{:>2}. undo of ", index + 1)).put(Role::Strong, title).line();
        puts_back(scene, id, pen);
    }
}

/// For how long customers would be kept out.
fn kept_out(scene: &Scene<'_>, undos: &[StepId]) -> Option<String> {
    let turns = |to: bool| {
        undos.iter().position(|id| {
            let back = scene.state().step(id).and_then(|step| Change::reversal_of(&step.applied));
            matches!(back, Some(Change::Maintenance { to: mode, .. }) if mode == to)
        })
    };
    let (on, off) = (turns(true)? + 1, turns(false).map(|off| off + 1));
    let until = off.filter(|off| *off > on).map_or_else(|| "on".to_owned(), |off| format!("to undo {off}"));
    Some(format!("customers see the maintenance page from undo {on} {until}"))
}

/// What goes on while this is open, and the keys.
fn foot(scene: &Scene<'_>, question: &Question, columns: usize) -> Vec<Vec<Word>> {
    let mut lines = vec![Vec::new()];
    let esc = |words: &str| vec![word(Role::Key, "[Esc]"), word(Role::Text, words.to_owned())];
    if scene.price().undos.is_empty() || scene.price().passed.is_some() {
        lines.push(esc(" back"));
        return lines;
    }
    let meanwhile = meanwhile(scene);
    lines.extend(text::wrap(&meanwhile, columns).into_iter().map(|line| vec![word(Role::Text, line)]));
    if scene.state().rollback.is_some() {
        let words = word(Role::Warn, "rolling back already: each undo waits for its gate   ");
        lines.push([vec![words], esc("")].concat());
        return lines;
    }
    if seat(scene.snapshot) != Seat::Driver {
        let words = word(Role::Warn, "only the driver begins it: Esc, then t takes the seat   ");
        lines.push([vec![words], esc("")].concat());
        return lines;
    }
    let early = question.latch.ripe_at().is_none_or(|ripe| scene.instant < ripe);
    let deed = match stops_at(scene) {
        Some(1) => " begin what stops at its first undo   ".to_owned(),
        Some(number) => format!(" begin, and STOP at undo {number}   "),
        None => " begin to roll back   ".to_owned(),
    };
    let keys = [word(Role::Key, format!("[{CONSENT}]")), word(Role::Strong, deed)];
    lines.push(
        [keys.to_vec(), esc(" leave it   "), vec![word(Role::Dim, if early { "read it first" } else { "" })]].concat(),
    );
    lines
}

/// Whether the run goes on while somebody reads this, and what becomes of what is under way.
fn meanwhile(scene: &Scene<'_>) -> String {
    let busy = scene.state().steps.iter().find(|step| step.phase.in_flight());
    match busy {
        Some(step) if step.baking() => {
            format!("The run goes on while you read: {} waits at a stage, and {CONSENT} ends it there.", step.id)
        }
        Some(step) if step.phase == Phase::InDoubt && step.undoable() => {
            let id = &step.id;
            format!("{id} is in doubt: its undo comes first and puts back whatever it did; l looks again, u decides.")
        }
        Some(step) if step.phase == Phase::InDoubt => {
            format!("{} is in doubt, and no undo runs before that is decided: l looks again, u decides.", step.id)
        }
        // Going back waits for nothing that only reads.
        Some(step) if step.phase == Phase::Running && !step.attempt().is_some_and(Attempt::acts) => {
            format!("The run goes on while you read: {} only reads, and {CONSENT} stops it.", step.id)
        }
        Some(step) => {
            format!(
                "The run goes on while you read: {} is {}, and undos wait until it ends.",
                step.id,
                step.phase.word()
            )
        }
        None => "Nothing runs while you read; looking at this changes nothing.".to_owned(),
    }
}

/// The first row of what an undo puts back.
fn puts_back(scene: &Scene<'_>, id: &StepId, pen: &mut Pen<'_>) {
    let applied = scene.state().step(id).and_then(|step| Change::reversal_of(&step.applied));
    if let Some(Change::Sequences { to, .. }) = &applied {
        // How many of them were used is read when its turn has come.
        let all = text::count(to.len(), "sequence");
        pen.gap(4).put(Role::Text, &format!("{all}, but for those that were used since")).line();
        return;
    }
    let rows = applied.map(|change| change.rows()).unwrap_or_default();
    let Some(row) = rows.first() else { return };
    let after = if row.after.is_empty() { "(none)" } else { &row.after };
    pen.gap(4).put(Role::Dim, &format!("{} {} ", row.label, scene.theme.glyphs.arrow)).put(Role::Text, after);
    if rows.len() > 1 {
        pen.put(Role::Dim, &format!("  and {}", text::count(rows.len() - 1, "more line")));
    }
    pen.line();
}

fn keys(scene: &Scene<'_>, question: &Question, deed: &str, pen: &mut Pen<'_>) {
    let early = question.latch.ripe_at().is_none_or(|ripe| scene.instant < ripe);
    pen.put(Role::Key, &format!("[{CONSENT}]")).put(Role::Strong, &format!(" {deed}   "));
    pen.put(Role::Key, "[Esc]").put(Role::Text, " leave it   ");
    pen.put(Role::Dim, if early { "read it first" } else { "" });
}
