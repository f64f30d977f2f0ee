//! Borders that join where they meet.
//!
//! As ratatui's `Block` draws them, but that styles all of its area, and takes each symbol of a border apart to join it
//! with the blank that is there: an eighth of a frame. Here only what meets another line is joined.

use ratatui::{
    buffer::{Buffer, Cell},
    layout::{Margin, Rect},
    style::{Color, Style},
    symbols::{border::Set, merge::MergeStrategy},
    widgets::{Block, Widget as _},
};

/// Draws the borders of an area.
pub(super) fn borders(set: &Set<'_>, style: Style, strategy: MergeStrategy, area: Rect, buf: &mut Buffer) {
    let area = area.intersection(buf.area);
    if area.width < 2 || area.height < 2 {
        let block = Block::bordered().border_set(*set).border_style(style).merge_borders(strategy);
        return block.render(area, buf);
    }
    let pens = Pens { style, strategy };
    let (right, last) = (area.right() - 1, area.bottom() - 1);
    for y in [area.top(), last] {
        let symbols = if y == last {
            [set.bottom_left, set.horizontal_bottom, set.bottom_right]
        } else {
            [set.top_left, set.horizontal_top, set.top_right]
        };
        let [left_corner, between, right_corner] = symbols.map(|symbol| pens.cell(symbol));
        let line = line(buf, y, area.x, right);
        if let [first, middle @ .., end] = line {
            pens.lay(&left_corner, first);
            middle.iter_mut().for_each(|cell| pens.lay(&between, cell));
            pens.lay(&right_corner, end);
        }
    }
    let sides = [(area.x, pens.cell(set.vertical_left)), (right, pens.cell(set.vertical_right))];
    for y in area.inner(Margin::new(0, 1)).rows().map(|row| row.y) {
        for (x, cell) in &sides {
            line(buf, y, *x, *x).iter_mut().for_each(|place| pens.lay(cell, place));
        }
    }
}

/// Empties an area.
pub(super) fn clear(area: Rect, buf: &mut Buffer) {
    let area = area.intersection(buf.area);
    if !area.is_empty() {
        let lines = area.top()..area.bottom();
        lines.for_each(|y| line(buf, y, area.x, area.right() - 1).iter_mut().for_each(Cell::reset));
    }
}

/// The cells of a line from one column to another.
fn line(buf: &mut Buffer, y: u16, from: u16, to: u16) -> &mut [Cell] {
    let start = buf.index_of(from, y);
    &mut buf.content[start..=start + usize::from(to - from)]
}

struct Pens {
    style: Style,
    strategy: MergeStrategy,
}

impl Pens {
    /// A symbol where nothing was.
    fn cell(&self, symbol: &str) -> Cell {
        let mut cell = Cell::EMPTY;
        cell.set_symbol(symbol).set_style(self.style);
        cell
    }

    /// Draws it over what is there.
    fn lay(&self, cell: &Cell, place: &mut Cell) {
        if place.modifier.is_empty() && (place.fg, place.bg) == (Color::Reset, Color::Reset) && place.symbol() == " " {
            place.clone_from(cell);
        } else {
            place.merge_symbol(cell.symbol(), self.strategy).set_style(self.style);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ratatui::{style::Modifier, symbols::border, widgets::Clear};

    use super::*;

    const AREA: Rect = Rect::new(3, 2, 24, 12);

    fn areas() -> impl Strategy<Value = Vec<Rect>> {
        let area = (3u16..27, 2u16..14, 0u16..20, 0u16..10).prop_map(|(x, y, width, height)| Rect {
            x,
            y,
            width: width.min(27 - x),
            height: height.min(14 - y),
        });
        prop::collection::vec(area, 1..8)
    }

    proptest! {
        #[test]
        fn borders_look_as_those_of_a_block(areas in areas(), exact in any::<bool>(), which in 0usize..3) {
            let set = [border::PLAIN, border::DOUBLE, border::THICK][which];
            let strategy = if exact { MergeStrategy::Exact } else { MergeStrategy::Replace };
            let (mut wanted, mut buf) = (Buffer::empty(AREA), Buffer::empty(AREA));
            for (index, area) in areas.iter().enumerate() {
                let style = Style::new().fg(Color::Indexed(u8::try_from(index).unwrap()));
                let style = if index % 2 == 0 { style.add_modifier(Modifier::BOLD) } else { style };
                if index == 3 {
                    Clear.render(*area, &mut wanted);
                    clear(*area, &mut buf);
                }
                let block = Block::bordered().border_set(set).border_style(style).merge_borders(strategy);
                block.render(*area, &mut wanted);
                borders(&set, style, strategy, *area, &mut buf);
            }
            prop_assert_eq!(buf, wanted);
        }
    }
}
