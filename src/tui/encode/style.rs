//! Styles, and the codes that change one into another (ECMA-48, section 8.3.117, and xterm's extensions).

use std::fmt::Write as _;

use ratatui::style::{Color, Modifier};

/// The style that the terminal would write with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) fg: Color,
    pub(super) bg: Color,
    pub(super) modifier: Modifier,
}

pub(super) const DEFAULT: Style = Style { fg: Color::Reset, bg: Color::Reset, modifier: Modifier::empty() };

const MODIFIERS: [(Modifier, u8, u8); 5] = [
    (Modifier::BOLD, 1, 22),
    (Modifier::DIM, 2, 22),
    (Modifier::ITALIC, 3, 23),
    (Modifier::UNDERLINED, 4, 24),
    (Modifier::REVERSED, 7, 27),
];

/// The codes that change one style into another, each with a semicolon behind it.
pub(super) fn difference(codes: &mut String, from: Style, to: Style) {
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
