//! What differs between two buffers, in the fewest bytes that every terminal of the xterm family understands.
//!
//! - Cells that look the same are not sent: the foreground of a blank shows nothing.
//! - The cursor goes the shortest way: by line feeds, backspaces and relative moves as well as by address.
//! - Blanks are erased (`EL`, `ECH`) where that is shorter than writing them.
//! - Of a style only the difference is sent, or all of it after a reset, whichever is shorter; and a few lines at a time,
//!   all that has one style is written before the next: to go elsewhere takes half the bytes of another colour.
//!
//! Not used: `REP` (repeat a character), which the Linux console and some multiplexers do not know.

mod lines;
mod style;

use ratatui::{
    buffer::{Buffer, Cell},
    layout::Rect,
    style::{Color, Modifier},
};

use self::{
    lines::{Changed, changed, line, take_over, updates},
    style::{DEFAULT, Style, difference},
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

/// What can be seen of a blank besides its background.
const ON_BLANKS: Modifier = Modifier::UNDERLINED.union(Modifier::REVERSED).union(Modifier::CROSSED_OUT);

/// A cell that must be sent: where it stands, and how it looks. A cell tells its symbol by a call into another crate, and
/// what is sent is looked at several times.
#[derive(Debug, Clone, Copy)]
struct Update<'a> {
    x: u16,
    y: u16,
    symbol: &'a str,
    style: Style,
    /// A blank of which only the background is seen.
    blank: bool,
}

impl<'a> Update<'a> {
    fn of(x: u16, y: u16, cell: &'a Cell) -> Self {
        let symbol = cell.symbol();
        let blank = symbol == " " && !cell.modifier.intersects(ON_BLANKS);
        let style = if blank {
            // Its foreground shows nothing.
            Style { bg: cell.bg, ..DEFAULT }
        } else {
            Style { fg: cell.fg, bg: cell.bg, modifier: cell.modifier }
        };
        Self { x, y, symbol, style, blank }
    }

    /// A blank that erasing leaves.
    fn void(&self) -> bool {
        self.blank && self.style.bg == Color::Reset
    }

    /// How many columns it takes.
    fn columns(&self) -> u16 {
        if simple(self.symbol) { 1 } else { u16::try_from(super::text::width(self.symbol).max(1)).unwrap_or(1) }
    }
}

/// Whether two cells look the same.
fn alike(a: &Cell, b: &Cell) -> bool {
    if a.fg == b.fg && a.bg == b.bg && a.modifier == b.modifier {
        return same_symbol(a, b);
    }
    a.bg == b.bg && blank(a) && blank(b)
}

/// Nearly all symbols have one byte, and need not be compared as texts.
fn same_symbol(a: &Cell, b: &Cell) -> bool {
    match (a.symbol().as_bytes(), b.symbol().as_bytes()) {
        ([a], [b]) => a == b,
        ([a1, a2, a3], [b1, b2, b3]) => a3 == b3 && a2 == b2 && a1 == b1,
        (a, b) => a == b,
    }
}

/// A blank of which only the background is seen.
fn blank(cell: &Cell) -> bool {
    !cell.modifier.intersects(ON_BLANKS) && matches!(cell.symbol().as_bytes(), b" ")
}

/// A blank that erasing leaves.
fn void(cell: &Cell) -> bool {
    cell.bg == Color::Reset && blank(cell)
}

fn ascii(cell: &Cell) -> bool {
    cell.symbol().len() == 1
}

/// Letters, and lines, blocks and braille: nearly all of a screen, and one column each.
const fn simple(symbol: &str) -> bool {
    matches!(symbol.as_bytes(), [_] | [0xe2, 0x94..=0x96 | 0xa0..=0xa3, _])
}

fn wide(cell: &Cell) -> bool {
    let symbol = cell.symbol();
    !simple(symbol) && super::text::width(symbol) > 1
}

/// Where the terminal's cursor is and how it would write.
#[derive(Debug)]
pub(super) struct Encoder {
    out: String,
    pen: Style,
    /// None: it cannot be told.
    cursor: Option<(u16, u16)>,
    width: u16,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { out: String::new(), pen: DEFAULT, cursor: None, width: 0 }
    }
}

impl Encoder {
    /// Appends to `out` what brings a terminal from what it shows to the next frame; both are of one size.
    ///
    /// Of the next frame only the lines of `drawn` count, where it is given; the others are shown as they should.
    ///
    /// It ends behind the lines with which `out` is longer than `room`, and takes the lines that were sent over into
    /// `shown`. Lines of `first` come first, then the highest and the lowest. True: nothing is left.
    pub(super) fn encode(
        &mut self,
        (shown, next, drawn): (&mut Buffer, &mut Buffer, Option<&[Rect]>),
        out: &mut String,
        first: Rect,
        room: usize,
    ) -> bool {
        self.width = next.area.width;
        let mut changed = changed(shown, next, drawn);
        let mut cells = Vec::new();
        changed.iter().for_each(|one| updates(*one, line(shown, one.y), line(next, one.y), &mut cells));
        self.out = std::mem::take(out);
        let mut whole = true;
        if cells.len() <= FEW && cells.iter().all(|cell| cell.symbol.len() == 1 && ascii(&shown[(cell.x, cell.y)])) {
            self.write_few(&cells, next);
        } else {
            let lines = if room < THIN.1 { THIN.0 } else { BAND };
            // What tells where one is and what may be pressed, the highest and the lowest line, stands alone.
            let ends = [cells.first(), cells.last()].map(|cell| cell.map(|cell| cell.y));
            let band_of = |y: u16| (ends.contains(&Some(y)), y / lines);
            let mut bands: Vec<_> = cells.chunk_by(|a, b| band_of(a.y) == band_of(b.y)).collect();
            let before = (first.top() / lines)..first.bottom().div_ceil(lines);
            // Of both the shorter is first: nobody waits for a border.
            bands.sort_by_key(|band| {
                let end = ends.contains(&Some(band[0].y));
                (!before.contains(&(band[0].y / lines)), !end, if end { band.len() } else { 0 })
            });
            let mut left = bands.into_iter();
            for band in left.by_ref() {
                let some = |one: &Changed| one.wide && band_of(one.y) == band_of(band[0].y);
                if changed.iter().any(some)
                    && band.iter().any(|cell| cell.columns() > 1 || wide(&shown[(cell.x, cell.y)]))
                {
                    self.write(band, next);
                } else {
                    self.write_band(band, next);
                }
                if self.out.len() > room {
                    break;
                }
            }
            let left: Vec<_> = left.map(|band| band_of(band[0].y)).collect();
            whole = left.is_empty();
            changed.retain(|one| !left.contains(&band_of(one.y)));
        }
        drop(cells);
        take_over(shown, next, &changed);
        *out = std::mem::take(&mut self.out);
        whole
    }

    /// A few lines, style by style, beginning with the one at hand. Not for wide characters, which take their neighbours
    /// along: lines with such are written from left to right.
    fn write_band(&mut self, band: &[Update<'_>], next: &Buffer) {
        let mut styles: Vec<(Style, Vec<Update<'_>>)> = vec![(self.pen, Vec::with_capacity(band.len()))];
        // Where the last cell went: nearly always the next one follows it.
        let (mut place, mut behind) = (0, None);
        for cell in band {
            let follows = behind.replace((cell.x + 1, cell.y)) == Some((cell.x, cell.y));
            if cell.void() {
                // A blank goes with what it follows.
                place = if follows { place } else { 0 };
            } else {
                if styles[place].0 != cell.style {
                    place = styles.iter().position(|(met, _)| *met == cell.style).unwrap_or(styles.len());
                }
                if place == styles.len() {
                    styles.push((cell.style, Vec::with_capacity(32)));
                }
            }
            styles[place].1.push(*cell);
        }
        styles.iter().for_each(|(_, updates)| self.write(updates, next));
    }

    /// A clock and its neighbours: what can be written in the style at hand goes first where that saves a change of style.
    fn write_few(&mut self, updates: &[Update<'_>], next: &Buffer) {
        let mut by_style = updates.to_vec();
        by_style.sort_by_key(|cell| !self.writes(cell));
        let (start, before) = (self.out.len(), (self.pen, self.cursor));
        self.write(updates, next);
        let in_order = (self.out.split_off(start), (self.pen, self.cursor));
        (self.pen, self.cursor) = before;
        self.write(&by_style, next);
        if in_order.0.len() <= self.out.len() - start {
            self.out.truncate(start);
            self.out.push_str(&in_order.0);
            (self.pen, self.cursor) = in_order.1;
        }
    }

    fn write(&mut self, updates: &[Update<'_>], next: &Buffer) {
        let mut updates = updates.iter().copied().peekable();
        while let Some(cell) = updates.next() {
            let Update { x, y, .. } = cell;
            self.bridge(next, x, y);
            self.go(x, y);
            if !cell.void() {
                self.print(&cell);
                continue;
            }
            // All void cells from here to the last that must become so.
            let end = (x..).zip(&line(next, y)[usize::from(x)..]).find(|(_, cell)| !void(cell));
            let end = end.map_or(self.width, |(column, _)| column);
            let mut last = x;
            while let Some(more) = updates.next_if(|more| more.y == y && (x..end).contains(&more.x)) {
                last = last.max(more.x);
            }
            self.clear(&cell, if end == self.width { end - x } else { last - x + 1 }, last - x + 1);
        }
    }

    /// Erases so many blanks from the cursor on, or writes as many as are needed.
    fn clear(&mut self, cell: &Update<'_>, blanks: u16, needed: u16) {
        let to_end = self.cursor.is_some_and(|(x, _)| x + blanks >= self.width);
        if usize::from(needed) <= if to_end { 3 } else { WRITTEN } {
            (0..needed).for_each(|_| self.print(cell));
            return;
        }
        // Terminals erase with the background that they would write with, some with more than that.
        if !self.writes(cell) {
            self.restyle(DEFAULT);
        }
        if to_end {
            self.out.push_str("\x1b[K");
        } else {
            self.csi(blanks, 'X');
        }
    }

    /// Over a gap of a few unchanged cells of the same style it is cheaper to write them again than to move.
    fn bridge(&mut self, next: &Buffer, x: u16, y: u16) {
        let Some((from, row)) = self.cursor else { return };
        if row != y || from >= x || x - from > BRIDGED {
            return;
        }
        let gap = || (from..x).map(|column| Update::of(column, y, &next[(column, y)]));
        if gap().all(|cell| cell.symbol.len() == 1 && self.writes(&cell)) {
            gap().for_each(|cell| self.print(&cell));
        }
    }

    /// Whether a cell written now would look as it should.
    fn writes(&self, cell: &Update<'_>) -> bool {
        let blanks = || cell.style.bg == self.pen.bg && !self.pen.modifier.intersects(ON_BLANKS);
        if cell.blank { blanks() } else { cell.style == self.pen }
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

    fn print(&mut self, cell: &Update<'_>) {
        if !self.writes(cell) {
            self.restyle(cell.style);
        }
        self.out.push_str(cell.symbol);
        let columns = cell.columns();
        // Past the last column a terminal's cursor is wherever it likes.
        self.cursor = self.cursor.map(|(x, y)| (x + columns, y)).filter(|(x, _)| *x < self.width);
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

/// Writes a number. Most of what moves the cursor is numbers, and formatting takes ten times as long.
fn decimal(out: &mut String, number: u16) {
    if number >= 10 {
        decimal(out, number / 10);
    }
    out.push(char::from(b'0' + (number % 10) as u8));
}
