//! A pen that writes into one area of the buffer, line by line, and never beyond it.

use ratatui::{
    buffer::{Buffer, Cell},
    layout::Rect,
    style::Style,
};

use super::{
    text,
    theme::{Glyphs, Role, Theme},
};

/// Writes roles and text from left to right, top to bottom; what does not fit is cut.
pub(super) struct Pen<'a> {
    /// None: it only measures.
    buf: Option<&'a mut Buffer>,
    theme: Theme,
    area: Rect,
    x: u16,
    y: u16,
    /// Lines that are scrolled away above the area.
    hidden: usize,
    /// Something was written that did not fit, or that is scrolled away.
    overflow: bool,
    /// Lines that were finished, those that are not to be seen included.
    row: usize,
    /// Lines up to the last one with anything on it.
    reach: usize,
}

impl<'a> Pen<'a> {
    /// A pen at the first column of the first line of an area.
    pub(super) fn new(buf: &'a mut Buffer, theme: Theme, area: Rect) -> Self {
        let area = area.intersection(buf.area);
        Self { buf: Some(buf), theme, area, x: area.x, y: area.y, hidden: 0, overflow: false, row: 0, reach: 0 }
    }

    /// A pen that writes nowhere: tells how many lines something takes in an area of so many columns.
    pub(super) const fn measuring(theme: Theme, columns: u16) -> Self {
        let area = Rect::new(0, 0, columns, u16::MAX);
        Self { buf: None, theme, area, x: 0, y: 0, hidden: 0, overflow: false, row: 0, reach: 0 }
    }

    /// Lines that were finished.
    pub(super) const fn lines(&self) -> usize {
        (self.y - self.area.y) as usize
    }

    /// A pen that writes nowhere, in an area of this size: tells how many lines there would be to scroll through.
    pub(super) const fn reaching(theme: Theme, area: Rect) -> Self {
        Self { buf: None, theme, area, x: area.x, y: area.y, hidden: 0, overflow: false, row: 0, reach: 0 }
    }

    /// Lines up to the last one with anything on it, whether or not they are to be seen.
    pub(super) const fn reach(&self) -> usize {
        self.reach
    }

    /// A pen whose first lines are scrolled away.
    pub(super) fn scrolled(buf: &'a mut Buffer, theme: Theme, area: Rect, lines: usize) -> Self {
        Self { hidden: lines, ..Self::new(buf, theme, area) }
    }

    /// The symbols of the theme.
    pub(super) const fn glyphs(&self) -> &'static Glyphs {
        self.theme.glyphs
    }

    /// Columns in all.
    pub(super) const fn width(&self) -> usize {
        self.area.width as usize
    }

    /// Columns that are left in this line.
    pub(super) const fn left(&self) -> usize {
        self.area.right().saturating_sub(self.x) as usize
    }

    /// Lines that are left, this one included; the same however far it is scrolled.
    pub(super) const fn room(&self) -> usize {
        (self.area.height as usize).saturating_sub(self.row)
    }

    /// Whether something was written beyond the last line, or is scrolled away.
    pub(super) const fn overflown(&self) -> bool {
        self.overflow
    }

    /// The area from this line on.
    pub(super) const fn rest(&self) -> Rect {
        Rect { y: self.y, height: self.area.bottom().saturating_sub(self.y), ..self.area }
    }

    /// Writes text; an ellipsis shows where it did not fit into the line.
    pub(super) fn put(&mut self, role: Role, words: &str) -> &mut Self {
        let left = self.left();
        if !words.trim_start().is_empty() {
            self.reach = self.row + 1;
        }
        self.overflow |= !words.is_empty() && (self.hidden > 0 || self.y >= self.area.bottom());
        match text::single(words) {
            Some(columns) if columns <= left => self.put_fitted(role, words, columns, lay),
            Some(_) => self.put_fitted(role, &text::fit(words, left, self.theme.glyphs.ellipsis), left, lay),
            None => {
                let words = text::clean(words);
                let fitted = text::fit(&words, left, self.theme.glyphs.ellipsis);
                self.put_fitted(role, &fitted, text::width(&fitted), write)
            }
        }
    }

    /// Writes text of so many columns, which fits into the line.
    fn put_fitted(&mut self, role: Role, words: &str, columns: usize, write: Write) -> &mut Self {
        match &mut self.buf {
            Some(buf) if self.hidden == 0 && self.y < self.area.bottom() => {
                let style = Style::reset().patch(self.theme.style(role));
                self.x = write(buf, (self.x, self.y), words, columns, style);
                self
            }
            _ => self.gap(columns),
        }
    }

    /// Writes text into a column of its own: cut or filled up to so many columns.
    pub(super) fn cell(&mut self, role: Role, words: &str, columns: usize) -> &mut Self {
        let columns = columns.min(self.left());
        let start = self.x;
        if text::single(words).is_some_and(|taken| taken <= columns) {
            self.put(role, words);
        } else {
            let words = text::clean(words);
            let fitted = text::fit(&words, columns, self.theme.glyphs.ellipsis);
            self.put(role, &fitted);
        }
        self.x = start + u16::try_from(columns).unwrap_or(u16::MAX);
        self
    }

    /// As [`Pen::cell`], aligned to the right.
    pub(super) fn cell_right(&mut self, role: Role, words: &str, columns: usize) -> &mut Self {
        let columns = columns.min(self.left());
        if let Some(taken) = text::single(words).filter(|taken| *taken <= columns) {
            return self.gap(columns - taken).put(role, words);
        }
        let words = text::clean(words);
        let fitted = text::fit(&words, columns, self.theme.glyphs.ellipsis);
        self.gap(columns.saturating_sub(text::width(&fitted)));
        self.put(role, &fitted)
    }

    /// Leaves columns free.
    pub(super) fn gap(&mut self, columns: usize) -> &mut Self {
        let columns = u16::try_from(columns).unwrap_or(u16::MAX);
        self.x = self.x.saturating_add(columns).min(self.area.right());
        self
    }

    /// Goes to a column of this line, from 0.
    pub(super) fn column(&mut self, column: usize) -> &mut Self {
        self.x = self.area.x;
        self.gap(column)
    }

    /// Writes at the right end of this line, if there is room behind what stands there.
    pub(super) fn right(&mut self, role: Role, words: &str) -> &mut Self {
        let taken = text::width(words);
        if taken <= self.left() && !words.is_empty() {
            self.column(self.width() - taken).put(role, words);
        }
        self
    }

    /// Goes to the next line.
    pub(super) fn line(&mut self) -> &mut Self {
        self.x = self.area.x;
        self.row += 1;
        if self.hidden > 0 {
            self.hidden -= 1;
        } else {
            self.y = (self.y + 1).min(self.area.bottom());
        }
        self
    }

    /// Writes text over as many lines as it needs, all beginning where the first one does; then goes to the next line.
    pub(super) fn wrapped(&mut self, role: Role, words: &str) -> &mut Self {
        let column = usize::from(self.x - self.area.x);
        for (index, line) in text::wrap(&text::clean(words), self.left()).iter().enumerate() {
            if index > 0 {
                self.line().column(column);
            }
            self.put(role, line);
        }
        self.line()
    }

    /// A bar of so many columns, filled to a fraction; thin, so that bars below each other stay apart.
    pub(super) fn bar(&mut self, role: Role, fraction: f64, columns: usize) -> &mut Self {
        let full = filled(fraction, columns);
        for index in 0..columns {
            let (role, glyph) =
                if index < full { (role, self.theme.glyphs.heavy) } else { (Role::Line, self.theme.glyphs.light) };
            self.put(role, glyph);
        }
        self
    }

    /// Lays a role over columns of this line that are written already.
    pub(super) fn lay(&mut self, role: Role, column: usize, columns: usize) -> &mut Self {
        let x = self.area.x.saturating_add(u16::try_from(column).unwrap_or(u16::MAX));
        let width = u16::try_from(columns).unwrap_or(u16::MAX);
        let line = Rect { x, y: self.y, width, height: u16::from(self.hidden == 0) }.intersection(self.area);
        if let Some(buf) = &mut self.buf {
            buf.set_style(line, self.theme.style(role));
        }
        self
    }
}

/// Writes text of at most so many columns into a line; returns the column behind it. The style says everything about how
/// it looks, whatever was there.
type Write = fn(&mut Buffer, (u16, u16), &str, usize, Style) -> u16;

/// A [`Write`] of any text.
fn write(buf: &mut Buffer, (x, y): (u16, u16), words: &str, columns: usize, style: Style) -> u16 {
    buf.set_stringn(x, y, words, columns, style).0
}

/// A [`Write`] of characters that fill one column each ([`text::single`]), and no more of them than there is room for:
/// nearly everything is so, and need not be searched for characters that are one together.
fn lay(buf: &mut Buffer, (x, y): (u16, u16), words: &str, length: usize, style: Style) -> u16 {
    if length == 0 {
        return x;
    }
    let mut cell = Cell::EMPTY;
    cell.set_style(style);
    let start = buf.index_of(x, y);
    for (to, c) in buf.content[start..][..length].iter_mut().zip(words.chars()) {
        to.set_char(c);
        (to.fg, to.bg, to.modifier) = (cell.fg, cell.bg, cell.modifier);
    }
    x + u16::try_from(length).unwrap_or(u16::MAX)
}

/// How many of so many columns a fraction fills: some for more than nothing, all only for all.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=columns")]
pub(super) fn filled(fraction: f64, columns: usize) -> usize {
    let exact = fraction.clamp(0.0, 1.0) * f64::from(u16::try_from(columns).unwrap_or(u16::MAX));
    let full = exact.round() as usize;
    if fraction > 0.0 && full == 0 {
        return columns.min(1);
    }
    if fraction < 1.0 && full == columns { columns.saturating_sub(1) } else { full }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::Depth;

    #[test]
    fn nothing_is_written_outside_the_area() {
        let mut buf = Buffer::filled(Rect::new(0, 0, 8, 3), ratatui::buffer::Cell::new("."));
        let mut pen = Pen::new(&mut buf, Theme::new(Depth::Mono, false), Rect::new(2, 1, 4, 1));
        pen.put(Role::Text, "abcdef").line().put(Role::Text, "more");
        assert!(pen.overflown());
        assert_eq!(buf, Buffer::with_lines(["........", "..abc…..", "........"]));
    }

    #[test]
    fn plain_text_is_written_as_any_other() {
        let area = Rect::new(0, 0, 9, 2);
        let theme = Theme::new(Depth::Ansi256, false);
        for role in [Role::Text, Role::Strong, Role::BadFill, Role::Dim] {
            let style = Style::reset().patch(theme.style(role));
            for (x, words, columns) in [(0, "plain", 9), (3, "plain text", 6), (8, "x", 1), (9, "x", 0), (2, "", 7)] {
                let under = |buf: &mut Buffer| buf.set_string(0, 1, "under漢漢", theme.style(Role::Production));
                let (mut wanted, mut buf) = (Buffer::empty(area), Buffer::empty(area));
                under(&mut wanted);
                under(&mut buf);
                let (end, _) = wanted.set_stringn(x, 1, words, columns, style);
                let columns = columns.min(words.len());
                assert_eq!(lay(&mut buf, (x, 1), words, columns, style), end, "{words}");
                assert_eq!(buf, wanted, "{words}");
            }
        }
    }

    #[test]
    fn a_bar_is_full_only_when_all_is_there() {
        assert_eq!([0.0, 0.01, 0.5, 0.99, 1.0].map(|f| filled(f, 6)), [0, 1, 3, 5, 6]);
    }
}
