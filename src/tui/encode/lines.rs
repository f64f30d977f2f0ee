//! Which lines and cells of a frame must be sent.

use ratatui::{
    buffer::{Buffer, Cell},
    layout::Rect,
};

use super::{Update, alike, same_symbol, wide};

/// A line that is not as it was drawn last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Changed {
    pub(super) y: u16,
    /// It has wide characters, or had.
    pub(super) wide: bool,
}

/// Makes the lines that are not as they were drawn last ready to be sent, and tells which these are. The others cost one
/// comparison: of most frames that is all but a line. Lines that are not among the drawn ones cost none.
pub(super) fn changed(shown: &mut Buffer, next: &mut Buffer, drawn: Option<&[Rect]>) -> Vec<Changed> {
    let here = |y| drawn.is_none_or(|areas| areas.iter().any(|area| (area.top()..area.bottom()).contains(&y)));
    let width = usize::from(next.area.width).max(1);
    let lines = shown.content.chunks_mut(width).zip(next.content.chunks_mut(width));
    let changed = (0..).zip(lines).filter(|(y, _)| here(*y)).filter_map(|(y, (shown, next))| {
        (!same(shown, next)).then(|| {
            let wide = shown.iter().any(wide) || next.iter().any(wide);
            if wide {
                uncover(next);
                unpair(shown, next);
            }
            Changed { y, wide }
        })
    });
    changed.collect()
}

/// Whether a line was drawn the same. It is asked of every line of every frame, and nearly all symbols have one byte.
fn same(a: &[Cell], b: &[Cell]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.fg == b.fg && a.bg == b.bg && a.modifier == b.modifier && same_symbol(a, b))
}

/// What was sent of these lines is shown, as it was drawn.
pub(super) fn take_over(shown: &mut Buffer, next: &mut Buffer, lines: &[Changed]) {
    let width = usize::from(next.area.width);
    for Changed { y, .. } in lines {
        let cells = usize::from(*y) * width..usize::from(*y + 1) * width;
        shown.content[cells.clone()].swap_with_slice(&mut next.content[cells]);
    }
}

/// The cells of a line.
pub(super) fn line(buf: &Buffer, y: u16) -> &[Cell] {
    let width = usize::from(buf.area.width);
    &buf.content[usize::from(y) * width..][..width]
}

/// Takes out wide characters of which another covers the half: what a terminal makes of those depends on the order in
/// which they arrive.
fn uncover(line: &mut [Cell]) {
    for at in 1..line.len() {
        if line[at].symbol() != " " && wide(&line[at - 1]) {
            line[at - 1].set_symbol(" ");
        }
    }
}

/// Where a wide character gives way, its second column must be sent as well: what a terminal leaves there is its own
/// affair.
fn unpair(shown: &mut [Cell], next: &[Cell]) {
    for at in 1..shown.len() {
        if wide(&shown[at - 1]) && !alike(&shown[at - 1], &next[at - 1]) {
            // A character that is drawn nowhere.
            shown[at].set_symbol("\u{f8ff}");
        }
    }
}

/// The cells of a line that must be sent; the second column of a wide character goes with its first.
pub(super) fn updates<'a>(
    Changed { y, wide: some }: Changed,
    shown: &[Cell],
    next: &'a [Cell],
    updates: &mut Vec<Update<'a>>,
) {
    let mut covered = false;
    for ((x, next), shown) in (0..).zip(next).zip(shown) {
        if !std::mem::take(&mut covered) {
            covered = some && wide(next);
            if !alike(shown, next) {
                updates.push(Update::of(x, y, next));
            }
        }
    }
}
