//! Which lines and cells of a frame must be sent.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
};

use super::{
    glyph::{Clusters, Glyph},
    style::Style,
};

/// A screen, line by line.
#[derive(Debug, Default)]
pub(super) struct Grid {
    cells: Vec<Glyph>,
    width: usize,
}

impl Grid {
    /// A terminal that was just erased.
    pub(super) fn erased(area: Rect) -> Self {
        Self { cells: vec![Glyph::VOID; area.area() as usize], width: usize::from(area.width) }
    }

    pub(super) fn width(&self) -> u16 {
        u16::try_from(self.width).unwrap_or(u16::MAX)
    }

    pub(super) fn line(&self, y: u16) -> &[Glyph] {
        &self.cells[usize::from(y) * self.width..][..self.width]
    }

    fn line_mut(&mut self, y: u16) -> &mut [Glyph] {
        &mut self.cells[usize::from(y) * self.width..][..self.width]
    }

    /// Takes a line over from another of the same size.
    pub(super) fn take_over(&mut self, y: u16, from: &Self) {
        self.line_mut(y).copy_from_slice(from.line(y));
    }
}

/// A line that is not as the terminal shows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Changed {
    pub(super) y: u16,
    /// It has wide characters, or had.
    pub(super) wide: bool,
}

/// Takes over into `wanted` what was drawn, and tells which lines of it are not as they are shown. Lines that are not among
/// the drawn ones cost nothing.
pub(super) fn changed(
    (shown, wanted): (&mut Grid, &mut Grid),
    next: &Buffer,
    drawn: Option<&[Rect]>,
    clusters: &mut Clusters,
) -> Vec<Changed> {
    let here = |y| drawn.is_none_or(|areas| areas.iter().any(|area| area.contains(Position { x: area.x, y })));
    let lines = (0..).zip(next.content.chunks(usize::from(next.area.width).max(1))).filter(|(y, _)| here(*y));
    let changed = lines.filter_map(|(y, cells)| {
        let (shown, wanted) = (shown.line_mut(y), wanted.line_mut(y));
        wanted.iter_mut().zip(cells).for_each(|(glyph, cell)| *glyph = Glyph::of(cell, clusters));
        (shown != wanted).then(|| {
            let wide = shown.iter().chain(&*wanted).any(|glyph| glyph.columns() > 1);
            if wide {
                uncover(wanted);
                unpair(shown, wanted);
            }
            Changed { y, wide }
        })
    });
    changed.collect()
}

/// Takes out wide characters of which another covers the half: what a terminal makes of those depends on the order in
/// which they arrive.
fn uncover(line: &mut [Glyph]) {
    for at in 1..line.len() {
        if !line[at].is_space() && line[at - 1].columns() > 1 {
            line[at - 1] = line[at - 1].emptied();
        }
    }
}

/// Where a wide character gives way, its second column must be sent as well: what a terminal leaves there is its own
/// affair.
fn unpair(shown: &mut [Glyph], wanted: &[Glyph]) {
    for at in 1..shown.len() {
        if shown[at - 1].columns() > 1 && shown[at - 1] != wanted[at - 1] {
            shown[at] = Glyph::UNKNOWN;
        }
    }
}

/// Neighbours in a line that must be sent and are written in one style; blanks that erasing leaves may be among them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) x: u16,
    pub(super) y: u16,
    /// The column behind it, or behind the first half of a wide character, with which it ends.
    pub(super) end: u16,
    /// None: it is nothing but such blanks.
    pub(super) style: Option<Style>,
}

impl Run {
    pub(super) fn columns(&self) -> std::ops::Range<usize> {
        self.x.into()..self.end.into()
    }

    pub(super) fn len(&self) -> usize {
        self.columns().len()
    }

    /// Whether the cell behind it can be its next.
    fn takes(&self, glyph: Glyph) -> bool {
        glyph == Glyph::VOID || self.style.is_some_and(|style| glyph.written_in(style))
    }
}

/// Appends the runs of a line that must be sent; the second column of a wide character goes with its first.
pub(super) fn runs(y: u16, shown: &[Glyph], wanted: &[Glyph], runs: &mut Vec<Run>) {
    let mut open: Option<Run> = None;
    let mut covered = false;
    for ((x, glyph), shown) in (0..).zip(wanted).zip(shown) {
        if std::mem::replace(&mut covered, glyph.columns() > 1) || glyph == shown {
            continue;
        }
        match &mut open {
            Some(run) if run.end == x && run.takes(*glyph) => run.end += 1,
            _ => {
                let style = (*glyph != Glyph::VOID).then_some(glyph.style);
                runs.extend(open.replace(Run { x, y, end: x + 1, style }));
            }
        }
    }
    runs.extend(open);
}
