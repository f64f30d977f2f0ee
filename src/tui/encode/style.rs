//! Styles, and the codes that change one into another (ECMA-48, section 8.3.117, and xterm's extensions).

use ratatui::style::{Color, Modifier};

/// A colour, as a number: that of a named one is its code less 30, others have a byte above their index or components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ink(u32);

const INDEXED: u32 = 1 << 24;
const RGB: u32 = 2 << 24;

impl Ink {
    /// The terminal's own.
    const RESET: Self = Self(9);

    pub(super) const fn of(color: Color) -> Self {
        let number = match color {
            Color::Reset => return Self::RESET,
            Color::Black => 0,
            Color::Red => 1,
            Color::Green => 2,
            Color::Yellow => 3,
            Color::Blue => 4,
            Color::Magenta => 5,
            Color::Cyan => 6,
            Color::Gray => 7,
            Color::DarkGray => 60,
            Color::LightRed => 61,
            Color::LightGreen => 62,
            Color::LightYellow => 63,
            Color::LightBlue => 64,
            Color::LightMagenta => 65,
            Color::LightCyan => 66,
            Color::White => 67,
            Color::Indexed(index) => INDEXED | index as u32,
            Color::Rgb(r, g, b) => RGB | (r as u32) << 16 | (g as u32) << 8 | b as u32,
        };
        Self(number)
    }

    /// Writes its code; `base` is 30 for the foreground and 40 for the background.
    fn write(self, codes: &mut String, base: u16) {
        let [kind, r, g, b] = self.0.to_be_bytes();
        if kind == 0 {
            decimal(codes, base + u16::from(b));
        } else {
            decimal(codes, base + 8);
            codes.push_str(if self.0 < RGB { ";5" } else { ";2" });
            for number in &[r, g, b][if self.0 < RGB { 2 } else { 0 }..] {
                codes.push(';');
                decimal(codes, u16::from(*number));
            }
        }
        codes.push(';');
    }
}

/// Modifiers, in as many bytes as a colour: two cells without a gap in them are compared at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks(u32);

impl Marks {
    pub(super) const fn of(modifier: Modifier) -> Self {
        Self(modifier.bits() as u32)
    }

    pub(super) const fn any(self) -> bool {
        self.0 != 0
    }

    pub(super) const fn modifier(self) -> Modifier {
        Modifier::from_bits_truncate(self.0 as u16)
    }
}

/// The style that the terminal would write with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) fg: Ink,
    pub(super) bg: Ink,
    pub(super) marks: Marks,
}

pub(super) const DEFAULT: Style = Style { fg: Ink::RESET, bg: Ink::RESET, marks: Marks(0) };

const MODIFIERS: [(Modifier, u16, u16); 5] = [
    (Modifier::BOLD, 1, 22),
    (Modifier::DIM, 2, 22),
    (Modifier::ITALIC, 3, 23),
    (Modifier::UNDERLINED, 4, 24),
    (Modifier::REVERSED, 7, 27),
];

/// The codes that change one style into another, each with a semicolon behind it.
pub(super) fn difference(codes: &mut String, from: Style, to: Style) {
    let (from_marks, to_marks) = (from.marks.modifier(), to.marks.modifier());
    let removed = from_marks - to_marks;
    let mut added = to_marks - from_marks;
    for (modifier, _, off) in MODIFIERS {
        if removed.contains(modifier) {
            decimal(codes, off);
            codes.push(';');
        }
    }
    // One code ends both bold and dim.
    if removed.intersects(Modifier::BOLD | Modifier::DIM) {
        added |= to_marks & (Modifier::BOLD | Modifier::DIM);
    }
    for (modifier, on, _) in MODIFIERS {
        if added.contains(modifier) {
            decimal(codes, on);
            codes.push(';');
        }
    }
    if from.fg != to.fg {
        to.fg.write(codes, 30);
    }
    if from.bg != to.bg {
        to.bg.write(codes, 40);
    }
}

/// Writes a number. Most of what moves the cursor or changes a style is numbers, and formatting takes ten times as long.
pub(super) fn decimal(out: &mut String, number: u16) {
    if number >= 10 {
        decimal(out, number / 10);
    }
    out.push(char::from(b'0' + (number % 10) as u8));
}
