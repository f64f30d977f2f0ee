//! Everything that happened, with a search; it rests at its end.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    Pen, Role, Scene, framed,
    log::{line, meaning},
    text, word,
};
use crate::{run::Event, tui::ui::log_line};

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) {
    let words: Vec<String> = scene.ui.search.split_whitespace().map(str::to_lowercase).collect();
    let matches = |event: &&Event| {
        let line = log_line(event).to_lowercase();
        words.iter().all(|word| line.contains(word))
    };
    let found: Vec<&Event> = scene.state().log.iter().filter(matches).collect();
    let right = if words.is_empty() {
        word(Role::Dim, text::count(found.len(), "event"))
    } else {
        word(Role::Warn, format!("{} of {} with `{}`", found.len(), scene.state().log.len(), scene.ui.search))
    };
    let inside = framed(scene, area, &[word(Role::Text, "Journal")], &[right], buf);
    let mut pen = Pen::new(buf, scene.theme, inside);
    if found.is_empty() {
        pen.gap(1).put(Role::Dim, "No such line. Esc shows all again.");
        return;
    }
    let lines = usize::from(inside.height);
    let scroll = scene.ui.scroll.min(found.len().saturating_sub(lines));
    let end = found.len() - scroll;
    let wide = area.width >= 100;
    for event in &found[end.saturating_sub(lines)..end] {
        pen.cell_right(Role::Dim, &event.seq.to_string(), 5);
        if wide {
            line(scene, &mut pen, event, true);
        } else {
            pen.gap(1).put(Role::Dim, &text::time(event.at, scene.tz)).gap(1);
            pen.put(Role::Focus, event.by.name()).gap(1).put(meaning(event), &crate::run::describe(event));
        }
        pen.line();
    }
}
