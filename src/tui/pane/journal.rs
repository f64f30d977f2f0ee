//! Everything that happened, sifted by kind and words; the cursor rests on the newest and jumps to the graphs.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    Pen, Role, Scene, framed,
    log::{line, meaning},
    text, word,
};
use crate::{
    run::{describe, names_itself},
    tui::sift::{Kinds, found},
};

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) {
    let found = found(scene.state(), scene.ui);
    let inside = framed(scene, area, &[word(Role::Text, "Journal")], &[tally(scene, found.len())], buf);
    let mut pen = Pen::new(buf, scene.theme, inside);
    if found.is_empty() {
        pen.gap(1).put(Role::Dim, "No such event. ").put(Role::Key, "Esc").put(Role::Dim, " shows all again, ");
        pen.put(Role::Key, "v").put(Role::Dim, " other kinds, ").put(Role::Key, "/").put(Role::Dim, " other words.");
        return;
    }
    let lines = usize::from(inside.height);
    let cursor = found.len() - 1 - scene.ui.scroll.min(found.len() - 1);
    // It rests at its end, and scrolls when the cursor reaches the top.
    let first = found.len().saturating_sub(lines).min(cursor);
    let wide = area.width >= 100;
    for (index, event) in found.iter().enumerate().skip(first).take(lines) {
        let here = index == cursor;
        pen.put(Role::Focus, if here { scene.theme.glyphs.focus } else { " " });
        pen.cell_right(if here { Role::Focus } else { Role::Dim }, &event.seq.to_string(), 5);
        if wide {
            line(scene, &mut pen, event, true);
        } else {
            pen.gap(1).put(Role::Dim, &text::time(event.at, scene.tz)).gap(1);
            if !names_itself(event) {
                pen.put(Role::Focus, event.by.name()).gap(1);
            }
            pen.put(meaning(event), &describe(event));
        }
        pen.line();
    }
}

fn tally(scene: &Scene<'_>, found: usize) -> super::Word {
    let (kinds, search) = (scene.ui.kinds, &scene.ui.search);
    let oldest = scene.ui.past.oldest(scene.state());
    let looked = scene.state().seq.saturating_sub(oldest) + 1;
    // What lies before the oldest that is at hand has not been looked at: it must not seem that there is nothing.
    let before = match oldest {
        0 | 1 => String::new(),
        _ if scene.ui.past.asking() => ", reading older".to_owned(),
        oldest => format!(", {} older", oldest - 1),
    };
    if kinds == Kinds::All && search.is_empty() {
        return word(Role::Dim, format!("{}{before}", text::count(found, "event")));
    }
    let with = if search.is_empty() { String::new() } else { format!(" with `{search}`") };
    word(Role::Warn, format!("{found} of {looked}{before}: {}{with}", kinds.word()))
}
