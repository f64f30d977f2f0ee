//! What brings a terminal from what it shows to a frame, in the fewest bytes that every terminal of the xterm family understands.
//!
//! - Cells that look the same are not sent: the foreground of a blank shows nothing.
//! - The cursor goes the shortest way: by line feeds, backspaces and relative moves as well as by address.
//! - Blanks are erased (`EL`, `ECH`) where that is shorter than writing them.
//! - Of a style only the difference is sent, or all of it after a reset, whichever is shorter; and a few lines at a time,
//!   all that has one style is written before the next: to go elsewhere takes half the bytes of another colour.
//!
//! Not used: `REP` (repeat a character), which the Linux console and some multiplexers do not know.

mod glyph;
mod lines;
mod style;

use ratatui::{buffer::Buffer, layout::Rect};

use self::{
    glyph::{Clusters, Glyph},
    lines::{Changed, Grid, Run, changed, runs},
    style::{DEFAULT, Style, decimal, difference},
};

/// So many blanks are written rather than erased: erasing takes five bytes, and four more to go behind them.
const WRITTEN: usize = 9;
/// So many unchanged cells are written again rather than jumped over.
const BRIDGED: u16 = 3;
/// Further down than this the address is shorter than line feeds.
const FEEDS: u16 = 5;
/// So few cells are worth trying two orders.
const FEW: usize = 32;
/// Lines that are written together, style by style: more save bytes, fewer let a slow terminal show whole lines at once.
const BAND: u16 = 4;
/// The same where fewer bytes than this may be sent at once.
const THIN: (u16, usize) = (2, 4096);

/// What the terminal shows, where its cursor is, and how it would write.
#[derive(Debug)]
pub(super) struct Encoder {
    shown: Grid,
    /// The frame at hand.
    wanted: Grid,
    clusters: Clusters,
    out: String,
    pen: Style,
    /// None: it cannot be told.
    cursor: Option<(u16, u16)>,
}

impl Encoder {
    /// A terminal of this size that was just erased.
    pub(super) fn erased(area: Rect) -> Self {
        Self {
            shown: Grid::erased(area),
            wanted: Grid::erased(area),
            clusters: Clusters::default(),
            out: String::new(),
            pen: DEFAULT,
            cursor: None,
        }
    }

    /// Whether so much was shown that the terminal is better erased.
    pub(super) const fn full(&self) -> bool {
        self.clusters.full()
    }

    /// Appends to `out` what brings the terminal from what it shows to the next frame, which is of its size.
    ///
    /// Of the next frame only the lines of `drawn` count, where it is given; the others are shown as they should.
    ///
    /// It ends behind the lines with which `out` is longer than `room`; only what was sent is shown. Lines of `first` come
    /// first, then the highest and the lowest. True: nothing is left.
    pub(super) fn encode(
        &mut self,
        (next, drawn): (&Buffer, Option<&[Rect]>),
        out: &mut String,
        first: Rect,
        room: usize,
    ) -> bool {
        let mut changed = changed((&mut self.shown, &mut self.wanted), next, drawn, &mut self.clusters);
        let mut sent = Vec::with_capacity(if changed.len() > 2 { next.content.len() / 8 } else { FEW });
        changed.iter().for_each(|one| runs(one.y, self.shown.line(one.y), self.wanted.line(one.y), &mut sent));
        self.out = std::mem::take(out);
        let mut whole = true;
        let narrow =
            |run: &Run| self.cells(run).iter().chain(&self.shown.line(run.y)[run.columns()]).all(|c| c.is_ascii());
        if sent.iter().map(Run::len).sum::<usize>() <= FEW && sent.iter().all(narrow) {
            self.write_few(&sent);
        } else {
            let lines = if room < THIN.1 { THIN.0 } else { BAND };
            // What tells where one is and what may be pressed, the highest and the lowest line, stands alone.
            let ends = [sent.first(), sent.last()].map(|run| run.map(|run| run.y));
            let band_of = |y: u16| (ends.contains(&Some(y)), y / lines);
            let mut bands: Vec<_> = sent.chunk_by(|a, b| band_of(a.y) == band_of(b.y)).collect();
            let before = (first.top() / lines)..first.bottom().div_ceil(lines);
            // Of both the shorter is first: nobody waits for a border.
            bands.sort_by_cached_key(|band| {
                let end = ends.contains(&Some(band[0].y));
                let length = if end { band.iter().map(Run::len).sum() } else { 0 };
                (!before.contains(&(band[0].y / lines)), !end, length)
            });
            let mut left = bands.into_iter();
            for band in left.by_ref() {
                let wide = |one: &Changed| one.wide && band_of(one.y) == band_of(band[0].y);
                if changed.iter().any(wide) {
                    self.write(band)
                } else {
                    self.write_band(band)
                }
                if self.out.len() > room {
                    break;
                }
            }
            let left: Vec<_> = left.map(|band| band_of(band[0].y)).collect();
            whole = left.is_empty();
            changed.retain(|one| !left.contains(&band_of(one.y)));
        }
        changed.iter().for_each(|one| self.shown.take_over(one.y, &self.wanted));
        *out = std::mem::take(&mut self.out);
        whole
    }

    fn cells(&self, run: &Run) -> &[Glyph] {
        &self.wanted.line(run.y)[run.columns()]
    }

    /// A few lines, style by style, beginning with the one at hand. Not for wide characters, which take their neighbours
    /// along: lines with such are written from left to right.
    fn write_band(&mut self, band: &[Run]) {
        let mut styles: Vec<(Style, Vec<Run>)> = vec![(self.pen, Vec::with_capacity(band.len()))];
        for run in band {
            // What is erased needs no style of its own.
            let style = run.style.unwrap_or(styles[0].0);
            match styles.iter_mut().find(|(met, _)| *met == style) {
                Some((_, runs)) => runs.push(*run),
                None => styles.push((style, vec![*run])),
            }
        }
        styles.iter().for_each(|(_, runs)| self.write(runs));
    }

    /// A clock and its neighbours: what can be written in the style at hand goes first where that saves a change of style.
    fn write_few(&mut self, runs: &[Run]) {
        let mut by_style = runs.to_vec();
        by_style.sort_by_key(|run| !self.writes(self.cells(run)[0]));
        let (start, before) = (self.out.len(), (self.pen, self.cursor));
        self.write(runs);
        let in_order = (self.out.split_off(start), (self.pen, self.cursor));
        (self.pen, self.cursor) = before;
        self.write(&by_style);
        if in_order.0.len() <= self.out.len() - start {
            self.out.truncate(start);
            self.out.push_str(&in_order.0);
            (self.pen, self.cursor) = in_order.1;
        }
    }

    fn write(&mut self, runs: &[Run]) {
        let mut runs = runs.iter().peekable();
        while let Some(run) = runs.next() {
            let (mut x, y) = (run.x, run.y);
            while x < run.end {
                self.bridge(x, y);
                self.go(x, y);
                let cells = &self.wanted.line(y)[usize::from(x)..];
                let void = cells[0] == Glyph::VOID;
                let same = cells.iter().position(|glyph| (*glyph == Glyph::VOID) != void);
                let end = same.map_or(self.wanted.width(), |same| x + same as u16);
                let from = std::mem::replace(&mut x, end.min(run.end));
                if !void {
                    self.print(from, x, run);
                    continue;
                }
                // All void cells from here to the last that must become so.
                while let Some(more) = runs.next_if(|more| more.y == y && (from..end).contains(&more.x)) {
                    x = x.max(more.end);
                }
                self.clear(if end == self.wanted.width() { end - from } else { x - from }, x - from);
            }
        }
    }

    /// Erases so many blanks from the cursor on, or writes as many as are needed.
    fn clear(&mut self, blanks: u16, needed: u16) {
        let to_end = self.cursor.is_some_and(|(x, _)| x + blanks >= self.wanted.width());
        // Terminals erase with the background that they would write with, some with more than that.
        self.restyle_for(Glyph::VOID);
        if usize::from(needed) <= if to_end { 3 } else { WRITTEN } {
            (0..needed).for_each(|_| self.out.push(' '));
            self.advance(needed);
            return;
        }
        if to_end {
            self.out.push_str("\x1b[K");
        } else {
            self.csi(blanks, 'X');
        }
    }

    /// Over a gap of a few unchanged cells of the same style it is cheaper to write them again than to move.
    fn bridge(&mut self, x: u16, y: u16) {
        let Some((from, row)) = self.cursor else { return };
        if row != y || from >= x || x - from > BRIDGED {
            return;
        }
        let gap = &self.wanted.line(y)[usize::from(from)..usize::from(x)];
        if gap.iter().all(|glyph| glyph.is_ascii() && self.writes(*glyph)) {
            gap.iter().for_each(|glyph| glyph.write(&mut self.out, &self.clusters));
            self.advance(x - from);
        }
    }

    /// Whether a cell written now would look as it should.
    fn writes(&self, glyph: Glyph) -> bool {
        glyph.written_in(self.pen)
    }

    fn restyle_for(&mut self, glyph: Glyph) {
        if !self.writes(glyph) {
            self.restyle(glyph.style);
        }
    }

    fn go(&mut self, x: u16, y: u16) {
        let from = self.cursor.replace((x, y));
        if from == Some((x, y)) {
            return;
        }
        let address = if x == 0 { 3 + digits(y + 1) } else { 4 + digits(y + 1) + digits(x + 1) };
        match from.filter(|(column, row)| {
            let down = y.wrapping_sub(*row);
            down <= FEEDS && usize::from(down) + across(*column, x).cost() < address
        }) {
            Some((column, row)) => {
                (row..y).for_each(|_| self.out.push('\n'));
                self.step(across(column, x));
            }
            None if x == 0 => self.csi(y + 1, 'H'),
            None => {
                self.out.push_str("\x1b[");
                decimal(&mut self.out, y + 1);
                self.out.push(';');
                decimal(&mut self.out, x + 1);
                self.out.push('H');
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Stay => {}
            Step::Return => self.out.push('\r'),
            Step::Back(columns) => (0..columns).for_each(|_| self.out.push('\x08')),
            Step::Left(columns) => self.csi(columns, 'D'),
            Step::Right(columns) => self.csi(columns, 'C'),
        }
    }

    fn csi(&mut self, number: u16, letter: char) {
        self.out.push_str("\x1b[");
        if number != 1 {
            decimal(&mut self.out, number);
        }
        self.out.push(letter);
    }

    /// Writes some cells of a run, none of them void.
    fn print(&mut self, x: u16, end: u16, run: &Run) {
        let cells = usize::from(x)..usize::from(end);
        if !self.wanted.line(run.y)[cells.clone()].iter().all(|glyph| self.writes(*glyph)) {
            self.restyle(run.style.unwrap_or(DEFAULT));
        }
        let cells = &self.wanted.line(run.y)[cells];
        cells.iter().for_each(|glyph| glyph.write(&mut self.out, &self.clusters));
        // Only the last of a run may be wide.
        let columns = cells.last().map_or(0, |glyph| glyph.columns() - 1) + end - x;
        self.advance(columns);
    }

    /// Past the last column a terminal's cursor is wherever it likes.
    fn advance(&mut self, columns: u16) {
        let width = self.wanted.width();
        self.cursor = self.cursor.map(|(x, y)| (x + columns, y)).filter(|(x, _)| *x < width);
    }

    fn restyle(&mut self, to: Style) {
        let from = std::mem::replace(&mut self.pen, to);
        if from == to {
            return;
        }
        if to == DEFAULT {
            self.out.push_str("\x1b[m");
            return;
        }
        let start = self.out.len();
        self.out.push_str("\x1b[");
        difference(&mut self.out, from, to);
        if self.out.ends_with('[') {
            // They differ in what cannot be sent.
            self.out.truncate(start);
            return;
        }
        self.close();
        let length = self.out.len() - start;
        let again = self.out.len();
        self.out.push_str("\x1b[;");
        difference(&mut self.out, DEFAULT, to);
        self.close();
        // The shorter of both stays.
        if self.out.len() - again < length {
            self.out.drain(start..again);
        } else {
            self.out.truncate(again);
        }
    }

    /// Ends a list of style codes, each with its semicolon.
    fn close(&mut self) {
        self.out.pop();
        self.out.push('m');
    }
}

/// A way along a line.
#[derive(Clone, Copy)]
enum Step {
    Stay,
    Return,
    Back(u16),
    Left(u16),
    Right(u16),
}

impl Step {
    /// Bytes that it takes.
    const fn cost(self) -> usize {
        match self {
            Self::Stay => 0,
            Self::Return => 1,
            Self::Back(columns) => columns as usize,
            Self::Left(1) | Self::Right(1) => 3,
            Self::Left(columns) | Self::Right(columns) => 3 + digits(columns),
        }
    }
}

const fn across(from: u16, to: u16) -> Step {
    if from == to {
        Step::Stay
    } else if from < to {
        Step::Right(to - from)
    } else if to == 0 {
        Step::Return
    } else if from - to <= 4 {
        Step::Back(from - to)
    } else {
        Step::Left(from - to)
    }
}

const fn digits(number: u16) -> usize {
    match number {
        0..10 => 1,
        10..100 => 2,
        _ => 3,
    }
}
