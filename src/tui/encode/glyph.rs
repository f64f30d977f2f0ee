//! Cells as a terminal shows them, in sixteen bytes each. Two are compared by their numbers, and what looks the same is
//! the same; a drawn cell holds a text, which takes a call into another crate to read.

use std::collections::HashMap;

use ratatui::{
    buffer::Cell,
    style::{Color, Modifier},
};

use super::style::{DEFAULT, Ink, Marks, Style};

/// What can be seen of a blank besides its background.
const ON_BLANKS: Modifier = Modifier::UNDERLINED.union(Modifier::REVERSED).union(Modifier::CROSSED_OUT);

/// More clusters than this are forgotten, and the screen is sent anew.
const CLUSTERS: usize = 4096;

/// What a cell shows: a character or, with this bit, the number of a cluster; and the columns that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Symbol(u32);

const CLUSTER: u32 = 1 << 31;
/// Columns less one, in the two bits above a character's 21.
const COLUMNS: u32 = 21;
const SPACE: Symbol = Symbol(' ' as u32);

/// A cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Glyph {
    symbol: Symbol,
    pub(super) style: Style,
}

impl Glyph {
    /// A blank that erasing leaves.
    pub(super) const VOID: Self = Self { symbol: SPACE, style: DEFAULT };
    /// What is drawn nowhere: it is not known what the terminal shows.
    pub(super) const UNKNOWN: Self = Self { symbol: Symbol(0xf8ff), style: DEFAULT };

    pub(super) fn of(cell: &Cell, clusters: &mut Clusters) -> Self {
        let symbol = match cell.symbol().as_bytes() {
            // Most of a screen.
            [b' '] | [] if cell.bg == Color::Reset && !cell.modifier.intersects(ON_BLANKS) => return Self::VOID,
            [b' '] | [] => SPACE,
            [byte] => Symbol(u32::from(*byte)),
            // Lines, blocks and braille: nearly all else of a screen, and one column each.
            [0xe2, middle @ (0x94..=0x96 | 0xa0..=0xa3), last] => {
                Symbol(0x2000 | u32::from(middle & 0x3f) << 6 | u32::from(last & 0x3f))
            }
            _ => clusters.symbol(cell.symbol()),
        };
        let style = Style { fg: Ink::of(cell.fg), bg: Ink::of(cell.bg), marks: Marks::of(cell.modifier) };
        if symbol == SPACE { Self { symbol, style }.emptied() } else { Self { symbol, style } }
    }

    /// Whether it would look as it should if it were written in this style.
    pub(super) fn written_in(self, style: Style) -> bool {
        // Of a blank only the background is seen.
        let blank = || self.is_space() && !self.style.marks.any() && self.style.bg == style.bg;
        self.style == style || blank() && !style.marks.modifier().intersects(ON_BLANKS)
    }

    pub(super) fn is_space(self) -> bool {
        self.symbol == SPACE
    }

    /// The same without what is written there: of a blank the foreground shows nothing.
    pub(super) fn emptied(self) -> Self {
        let seen = self.style.marks.modifier().intersects(ON_BLANKS);
        Self { symbol: SPACE, style: if seen { self.style } else { Style { bg: self.style.bg, ..DEFAULT } } }
    }

    /// Whether it is a byte of its own.
    pub(super) const fn is_ascii(self) -> bool {
        self.symbol.0 < 0x80
    }

    /// How many columns it takes.
    pub(super) const fn columns(self) -> u16 {
        (self.symbol.0 >> COLUMNS & 3) as u16 + 1
    }

    /// Appends what is written there.
    pub(super) fn write(self, out: &mut String, clusters: &Clusters) {
        let number = self.symbol.0 & ((1 << COLUMNS) - 1);
        if self.symbol.0 & CLUSTER == 0 {
            out.push(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER));
        } else if let Some(text) = clusters.texts.get(number as usize) {
            out.push_str(text);
        }
    }
}

/// The texts of cells that are more than a character: with marks that combine, or joined.
#[derive(Debug, Default)]
pub(super) struct Clusters {
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Clusters {
    /// Whether it is time to begin anew.
    pub(super) const fn full(&self) -> bool {
        self.texts.len() > CLUSTERS
    }

    fn symbol(&mut self, text: &str) -> Symbol {
        let columns = crate::tui::text::width(text).clamp(1, 4) as u32 - 1;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(one), None) => Symbol(u32::from(one) | columns << COLUMNS),
            _ => Symbol(CLUSTER | self.number(text) | columns << COLUMNS),
        }
    }

    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.texts.len() as u32;
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }
}
