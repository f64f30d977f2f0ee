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

use std::fmt::Write as _;

use ratatui::{
    buffer::{Buffer, Cell},
    layout::Rect,
    style::{Color, Modifier},
};

use self::lines::{Changed, changed, line, take_over, updates};

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

/// Column, line and what must stand there.
type Update<'a> = (u16, u16, &'a Cell);

/// The style that the terminal would write with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Style {
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

const DEFAULT: Style = Style { fg: Color::Reset, bg: Color::Reset, modifier: Modifier::empty() };

/// How a cell looks: of a blank the foreground shows nothing.
fn style_of(cell: &Cell) -> Style {
    if blank(cell) {
        return Style { bg: cell.bg, ..DEFAULT };
    }
    Style { fg: cell.fg, bg: cell.bg, modifier: cell.modifier }
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

fn wide(cell: &Cell) -> bool {
    let symbol = cell.symbol();
    // Letters, and lines, blocks and braille: nearly all of a screen.
    !matches!(symbol.as_bytes(), [_] | [0xe2, 0x94..=0x96 | 0xa0..=0xa3, _]) && super::text::width(symbol) > 1
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
        if cells.len() <= FEW && cells.iter().all(|(x, y, cell)| ascii(cell) && ascii(&shown[(*x, *y)])) {
            self.write_few(&cells, next);
        } else {
            let lines = if room < THIN.1 { THIN.0 } else { BAND };
            // What tells where one is and what may be pressed, the highest and the lowest line, stands alone.
            let ends = [cells.first(), cells.last()].map(|cell| cell.map(|cell| cell.1));
            let band_of = |y: u16| (ends.contains(&Some(y)), y / lines);
            let mut bands: Vec<_> = cells.chunk_by(|(_, a, _), (_, b, _)| band_of(*a) == band_of(*b)).collect();
            let before = (first.top() / lines)..first.bottom().div_ceil(lines);
            bands.sort_by_key(|band| (!before.contains(&(band[0].1 / lines)), !ends.contains(&Some(band[0].1))));
            let mut left = bands.into_iter();
            for band in left.by_ref() {
                let some = |one: &Changed| one.wide && band_of(one.y) == band_of(band[0].1);
                if changed.iter().any(some) && band.iter().any(|(x, y, cell)| wide(cell) || wide(&shown[(*x, *y)])) {
                    self.write(band, next);
                } else {
                    self.write_band(band, next);
                }
                if self.out.len() > room {
                    break;
                }
            }
            let left: Vec<_> = left.map(|band| band_of(band[0].1)).collect();
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
        for (x, y, cell) in band.iter().copied() {
            let follows = behind.replace((x + 1, y)) == Some((x, y));
            if void(cell) {
                // A blank goes with what it follows.
                place = if follows { place } else { 0 };
            } else {
                let style = style_of(cell);
                if styles[place].0 != style {
                    place = styles.iter().position(|(met, _)| *met == style).unwrap_or(styles.len());
                }
                if place == styles.len() {
                    styles.push((style, Vec::with_capacity(32)));
                }
            }
            styles[place].1.push((x, y, cell));
        }
        styles.iter().for_each(|(_, updates)| self.write(updates, next));
    }

    /// A clock and its neighbours: what can be written in the style at hand goes first where that saves a change of style.
    fn write_few(&mut self, updates: &[Update<'_>], next: &Buffer) {
        let mut by_style = updates.to_vec();
        by_style.sort_by_key(|(_, _, cell)| !self.writes(cell));
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
        while let Some((x, y, cell)) = updates.next() {
            self.bridge(next, x, y);
            self.go(x, y);
            if !void(cell) {
                self.print(cell);
                continue;
            }
            // All void cells from here to the last that must become so.
            let end = (x..).zip(&line(next, y)[usize::from(x)..]).find(|(_, cell)| !void(cell));
            let end = end.map_or(self.width, |(column, _)| column);
            let mut last = x;
            while let Some((column, ..)) = updates.next_if(|(column, row, _)| *row == y && (x..end).contains(column)) {
                last = last.max(column);
            }
            self.clear(cell, if end == self.width { end - x } else { last - x + 1 }, last - x + 1);
        }
    }

    /// Erases so many blanks from the cursor on, or writes as many as are needed.
    fn clear(&mut self, cell: &Cell, blanks: u16, needed: u16) {
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
        let same = |cell: &Cell| cell.symbol().len() == 1 && self.writes(cell);
        if (from..x).all(|column| same(&next[(column, y)])) {
            (from..x).for_each(|column| self.print(&next[(column, y)]));
        }
    }

    /// Whether a cell written now would look as it should.
    fn writes(&self, cell: &Cell) -> bool {
        if (Style { fg: cell.fg, bg: cell.bg, modifier: cell.modifier }) == self.pen {
            return true;
        }
        cell.bg == self.pen.bg && !self.pen.modifier.intersects(ON_BLANKS) && blank(cell)
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

    fn print(&mut self, cell: &Cell) {
        if !self.writes(cell) {
            self.restyle(style_of(cell));
        }
        let symbol = cell.symbol();
        self.out.push_str(symbol);
        let columns = if symbol.len() == 1 { 1 } else { u16::try_from(super::text::width(symbol).max(1)).unwrap_or(1) };
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

const MODIFIERS: [(Modifier, u8, u8); 5] = [
    (Modifier::BOLD, 1, 22),
    (Modifier::DIM, 2, 22),
    (Modifier::ITALIC, 3, 23),
    (Modifier::UNDERLINED, 4, 24),
    (Modifier::REVERSED, 7, 27),
];

/// The codes that change one style into another, each with a semicolon behind it.
fn difference(codes: &mut String, from: Style, to: Style) {
    let removed = from.modifier - to.modifier;
    let mut added = to.modifier - from.modifier;
    for (modifier, _, off) in MODIFIERS {
        if removed.contains(modifier) {
            let _ = write!(codes, "{off};");
        }
    }
    // One code ends both bold and dim.
    if removed.intersects(Modifier::BOLD | Modifier::DIM) {
        added |= to.modifier & (Modifier::BOLD | Modifier::DIM);
    }
    for (modifier, on, _) in MODIFIERS {
        if added.contains(modifier) {
            let _ = write!(codes, "{on};");
        }
    }
    if from.fg != to.fg {
        color(codes, to.fg, 30);
    }
    if from.bg != to.bg {
        color(codes, to.bg, 40);
    }
}

/// Writes the code of a colour; `base` is 30 for the foreground and 40 for the background.
fn color(codes: &mut String, color: Color, base: u8) {
    let dark = |index: u8| base + index;
    let light = |index: u8| base + 60 + index;
    let number = match color {
        Color::Reset => base + 9,
        Color::Black => dark(0),
        Color::Red => dark(1),
        Color::Green => dark(2),
        Color::Yellow => dark(3),
        Color::Blue => dark(4),
        Color::Magenta => dark(5),
        Color::Cyan => dark(6),
        Color::Gray => dark(7),
        Color::DarkGray => light(0),
        Color::LightRed => light(1),
        Color::LightGreen => light(2),
        Color::LightYellow => light(3),
        Color::LightBlue => light(4),
        Color::LightMagenta => light(5),
        Color::LightCyan => light(6),
        Color::White => light(7),
        Color::Indexed(index) => {
            let _ = write!(codes, "{};5;{index};", base + 8);
            return;
        }
        Color::Rgb(r, g, b) => {
            let _ = write!(codes, "{};2;{r};{g};{b};", base + 8);
            return;
        }
    };
    let _ = write!(codes, "{number};");
}
