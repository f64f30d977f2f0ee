//! From a drawn buffer to the fewest bytes: what the terminal shows already is not sent again.
//!
//! Rejected: ratatui's `Terminal` with its crossterm backend. It resets the style at the end of every frame and moves
//! the cursor by absolute position only; a clock that ticks then costs three times as much on a bad link.

mod writer;

use ratatui::{
    buffer::{Buffer, Cell},
    layout::Rect,
};

pub(super) use self::writer::Writer;
use super::encode::Encoder;

/// Frames longer than this are wrapped as synchronized output (`CSI ? 2026`); a shorter one arrives whole anyway, and
/// of a piece for a slow terminal what has arrived is seen while the rest is on its way.
const SYNC_FROM: usize = 200;

/// What is drawn, and the encoder of what must change for it.
#[derive(Debug)]
pub(super) struct Screen {
    /// As it was drawn last.
    next: Buffer,
    /// The lines of `next` that were drawn; None: all of them.
    drawn: Option<Vec<Rect>>,
    /// What a box lies over, while one does.
    below: Buffer,
    covered: bool,
    encoder: Encoder,
    stale: bool,
}

impl Screen {
    /// A screen of unknown content.
    pub(super) fn new(area: Rect) -> Self {
        Self {
            next: Buffer::empty(area),
            drawn: None,
            below: Buffer::default(),
            covered: false,
            encoder: Encoder::erased(area),
            stale: true,
        }
    }

    /// The whole area.
    pub(super) const fn area(&self) -> Rect {
        self.next.area
    }

    /// Another size; everything is drawn anew.
    pub(super) fn resize(&mut self, area: Rect) {
        *self = Self::new(area);
    }

    /// The terminal may show anything: everything is drawn anew.
    pub(super) fn invalidate(&mut self) {
        self.resize(self.area());
    }

    /// An empty buffer to draw the next frame into.
    pub(super) fn blank(&mut self) -> &mut Buffer {
        (self.drawn, self.covered) = (None, false);
        self.next.reset();
        &mut self.next
    }

    /// A buffer of which these lines are empty, to be drawn anew; the others stay as they were drawn last. Not for a screen
    /// of unknown content.
    pub(super) fn lines(&mut self, lines: Vec<Rect>) -> &mut Buffer {
        for y in lines.iter().flat_map(|area| area.top()..area.bottom()) {
            let start = self.next.index_of(0, y);
            self.next.content[start..][..usize::from(self.next.area.width)].iter_mut().for_each(Cell::reset);
        }
        self.drawn = Some(lines);
        &mut self.next
    }

    /// The buffer as it stands, to draw more into.
    pub(super) const fn drawing(&mut self) -> &mut Buffer {
        &mut self.next
    }

    /// What was drawn is below a box that comes over it now.
    pub(super) fn cover(&mut self) {
        copy(&self.next, &mut self.below);
        self.covered = true;
    }

    /// The buffer as it was drawn last, without the box that lay over it: a box is opened or closed there (`covered`: now
    /// there is one), and nothing else changes. Not for a screen of unknown content.
    pub(super) fn again(&mut self, covered: bool) {
        match (self.covered, covered) {
            (true, false) => std::mem::swap(&mut self.below, &mut self.next),
            (true, true) => copy(&self.below, &mut self.next),
            (false, true) => copy(&self.next, &mut self.below),
            (false, false) => {}
        }
        (self.drawn, self.covered) = (None, covered);
    }

    /// The bytes that bring the terminal from what it shows to what was drawn; empty when nothing changed.
    pub(super) fn encode(&mut self) -> Vec<u8> {
        self.encode_some(Rect::ZERO, usize::MAX).0
    }

    /// The same, but no more lines than fit into `room` bytes (a few at least), those of `first` before others. False:
    /// something is left, and the next frame goes on from there.
    pub(super) fn encode_some(&mut self, first: Rect, room: usize) -> (Vec<u8>, bool) {
        let mut out = String::new();
        if std::mem::take(&mut self.stale) || self.encoder.full() {
            out.push_str("\x1b[0m\x1b[2J");
            self.encoder = Encoder::erased(self.next.area);
            self.drawn = None;
        }
        let whole = self.encoder.encode((&self.next, self.drawn.as_deref()), &mut out, first, room);
        if out.len() < SYNC_FROM || room < usize::MAX {
            return (out.into_bytes(), whole);
        }
        ([b"\x1b[?2026h", out.as_bytes(), b"\x1b[?2026l"].concat(), whole)
    }
}

fn copy(from: &Buffer, to: &mut Buffer) {
    if from.area == to.area {
        to.content.clone_from_slice(&from.content);
    } else {
        to.clone_from(from);
    }
}

#[cfg(test)]
mod tests {
    use ratatui::style::{Color, Modifier, Style as Look};

    use super::*;

    const AREA: Rect = Rect::new(0, 0, 40, 4);

    fn frame(screen: &mut Screen, lines: &[(u16, u16, &str, Look)]) -> Vec<u8> {
        let buf = screen.blank();
        for (x, y, text, style) in lines {
            buf.set_string(*x, *y, *text, *style);
        }
        screen.encode()
    }

    fn feed(parser: &mut vt100::Parser, bytes: &[u8]) -> Vec<String> {
        parser.process(bytes);
        parser.screen().rows(0, AREA.width).collect()
    }

    #[test]
    fn a_terminal_shows_what_was_drawn() {
        let size = |number| std::num::NonZero::new(number).unwrap();
        let mut parser = vt100::Parser::new(size(AREA.height), size(AREA.width), 0);
        let mut screen = Screen::new(AREA);
        let red = Look::new().fg(Color::Red).add_modifier(Modifier::BOLD);
        feed(&mut parser, &frame(&mut screen, &[(2, 0, "hello 漢字 x", red), (38, 1, "ab", Look::new())]));
        let rows = feed(&mut parser, &frame(&mut screen, &[(2, 0, "help! 漢字 y", red), (0, 2, "end", Look::new())]));
        assert_eq!(rows[0], "  help! 漢字 y");
        assert_eq!((rows[1].trim(), rows[2].as_str()), ("", "end"));
        assert!(parser.screen().cell(0, 2).unwrap().bold());
        assert!(!parser.screen().cell(2, 0).unwrap().bold());
    }

    #[test]
    fn nothing_is_sent_when_nothing_changed_and_a_digit_costs_little() {
        let mut screen = Screen::new(AREA);
        let style = Look::new().fg(Color::Rgb(1, 2, 3));
        frame(&mut screen, &[(0, 0, "02:44:07", style)]);
        assert_eq!(frame(&mut screen, &[(0, 0, "02:44:07", style)]), b"");
        let tick = frame(&mut screen, &[(0, 0, "02:44:08", style)]);
        assert!(tick.len() <= 10, "{:?}", String::from_utf8_lossy(&tick));
    }

    #[test]
    fn lines_that_are_not_drawn_anew_stay() {
        let mut screen = Screen::new(AREA);
        let plain = Look::new();
        frame(&mut screen, &[(0, 0, "1 s", plain), (0, 1, "body", plain), (0, 3, "keys", plain)]);
        for (clock, wanted) in [("2 s", "\x1b[H2"), ("2 s", ""), ("3 s", "\r3")] {
            let lines = [0, 3].map(|y| Rect { y, height: 1, ..AREA });
            let buf = screen.lines(lines.to_vec());
            buf.set_string(0, 0, clock, plain);
            buf.set_string(0, 3, "keys", plain);
            assert_eq!(String::from_utf8_lossy(&screen.encode()), wanted);
        }
        assert_eq!(frame(&mut screen, &[(0, 0, "3 s", plain), (0, 1, "body", plain), (0, 3, "keys", plain)]), b"");
    }

    #[test]
    fn what_a_box_lay_over_is_there_again() {
        let mut screen = Screen::new(AREA);
        let plain = Look::new();
        let mut terminal = vt100::Parser::new(4.try_into().unwrap(), 40.try_into().unwrap(), 0);
        terminal.process(&frame(&mut screen, &[(0, 0, "below 漢字 it", plain), (0, 2, "more", plain)]));
        let boxes = [(Some("box"), "below box  it"), (Some("b漢"), "below b漢  it"), (None, "below 漢字 it")];
        for (words, first) in boxes.iter().cycle().take(6) {
            screen.again(words.is_some());
            screen.drawing().set_string(6, 0, words.unwrap_or_default(), plain);
            let rows = feed(&mut terminal, &screen.encode());
            assert_eq!((rows[0].trim_end(), rows[2].trim_end()), (*first, "more"));
        }
    }

    #[test]
    fn ending_dim_keeps_bold() {
        let mut screen = Screen::new(AREA);
        let both = Look::new().add_modifier(Modifier::BOLD | Modifier::DIM);
        let bold = Look::new().add_modifier(Modifier::BOLD);
        let bytes = frame(&mut screen, &[(0, 0, "a", both), (1, 0, "b", bold)]);
        assert!(String::from_utf8_lossy(&bytes).contains("\x1b[;1mb"));
    }

    #[test]
    fn what_looks_the_same_is_not_sent() {
        let mut screen = Screen::new(AREA);
        let red = Look::new().fg(Color::Red).add_modifier(Modifier::BOLD);
        frame(&mut screen, &[(0, 0, "a   b", Look::new()), (0, 1, "   ", red)]);
        let bytes = frame(&mut screen, &[(0, 0, "a", Look::new()), (1, 0, "   ", red), (4, 0, "b", Look::new())]);
        assert_eq!(bytes, b"", "{:?}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn the_cursor_goes_the_shortest_way() {
        let mut screen = Screen::new(AREA);
        let digits = |seconds: &'static str| [(20, 0, seconds, Look::new()), (20, 1, seconds, Look::new())];
        frame(&mut screen, &digits("41 s"));
        assert_eq!(frame(&mut screen, &digits("40 s")), b"\x1b[1;22H0\n\x080");
        let bytes = frame(&mut screen, &[(20, 0, "long enough to go", Look::new())]);
        assert!(bytes.len() < 40, "{:?}", String::from_utf8_lossy(&bytes));
        assert_eq!(frame(&mut screen, &[]), b"\x1b[1;21H\x1b[K");
    }

    #[test]
    fn half_a_wide_character_is_not_left_behind() {
        let pieces = |text: &str, over: Option<u16>| {
            let over = over.map(|x| (x, 1, "漢".to_owned(), 1, 2));
            [(0, 1, text.to_owned(), 0, 2)].into_iter().chain(over).collect::<Vec<Piece>>()
        };
        let mut screen = Screen::new(AREA);
        let size = |number| std::num::NonZero::new(number).unwrap();
        let mut patched = vt100::Parser::new(size(AREA.height), size(AREA.width), 0);
        patched.process(&draw(&mut screen, &pieces("ab漢 漢a", None)));
        patched.process(&draw(&mut screen, &pieces("  漢漢a", Some(5))));
        let mut whole = vt100::Parser::new(size(AREA.height), size(AREA.width), 0);
        whole.process(&draw(&mut Screen::new(AREA), &pieces("  漢漢a", Some(5))));
        assert_eq!(seen(&patched), seen(&whole));
        assert_eq!(patched.screen().rows(0, AREA.width).nth(1).unwrap().trim_end(), "  漢 漢");
    }

    #[test]
    fn what_does_not_fit_follows_and_what_is_wanted_comes_first() {
        let size = |number| std::num::NonZero::new(number).unwrap();
        let area = Rect::new(0, 0, 40, 20);
        let mut parser = vt100::Parser::new(size(area.height), size(area.width), 0);
        let mut screen = Screen::new(area);
        let lines = |screen: &mut Screen| {
            let buf = screen.blank();
            for y in 0..area.height {
                buf.set_string(0, y, format!("line {y} of a long frame"), Look::new());
            }
        };
        lines(&mut screen);
        let (bytes, whole) = screen.encode_some(Rect { y: 10, height: 2, ..area }, 60);
        parser.process(&bytes);
        assert!(!whole && bytes.len() < 120, "{}", bytes.len());
        let shown: Vec<_> = parser.screen().rows(0, area.width).map(|row| !row.is_empty()).collect();
        assert_eq!(shown.iter().filter(|shown| **shown).count(), 2);
        assert!(shown[10] && shown[11]);
        let mut pieces = 0;
        let last = loop {
            lines(&mut screen);
            let (bytes, whole) = screen.encode_some(Rect::ZERO, 60);
            parser.process(&bytes);
            pieces += 1;
            if whole {
                break pieces;
            }
        };
        assert!(last > 3, "{last}");
        let rows: Vec<_> = parser.screen().rows(0, area.width).collect();
        assert_eq!(rows[19], "line 19 of a long frame");
        lines(&mut screen);
        assert_eq!(screen.encode(), b"");
    }

    #[test]
    fn the_title_and_the_last_line_are_there_before_what_lies_between() {
        let area = Rect::new(0, 0, 40, 20);
        let mut parser = vt100::Parser::new(20.try_into().unwrap(), 40.try_into().unwrap(), 0);
        let mut screen = Screen::new(area);
        let buf = screen.blank();
        (0..area.height).for_each(|y| buf.set_string(0, y, format!("line {y} of many"), Look::new()));
        let (bytes, whole) = screen.encode_some(Rect::ZERO, 40);
        parser.process(&bytes);
        let rows = (0..area.height).zip(parser.screen().rows(0, area.width));
        let shown: Vec<_> = rows.filter(|(_, row)| !row.is_empty()).map(|(y, _)| y).collect();
        assert_eq!((shown, whole), (vec![0, 19], false));
    }

    /// Column, line, text, colour, and how: bold, reversed, underlined, filled.
    type Piece = (u16, u16, String, u8, u8);

    /// True: nothing is left.
    fn draw_some(screen: &mut Screen, pieces: &[Piece], room: usize, terminal: &mut vt100::Parser) -> bool {
        put(screen, pieces);
        let (bytes, whole) = screen.encode_some(Rect::ZERO, room);
        terminal.process(&bytes);
        whole
    }

    fn pieces(count: std::ops::Range<usize>) -> impl proptest::strategy::Strategy<Value = Vec<Piece>> {
        proptest::collection::vec((0u16..40, 0u16..4, "[ a-c漢]{0,16}", 0u8..4, 0u8..16), count)
    }

    fn draw(screen: &mut Screen, pieces: &[Piece]) -> Vec<u8> {
        put(screen, pieces);
        screen.encode()
    }

    fn put(screen: &mut Screen, pieces: &[Piece]) {
        let look = |fg: u8, how: u8| {
            let mut style = Look::new().fg(Color::Indexed(fg));
            for (bit, modifier) in [(1, Modifier::BOLD), (2, Modifier::REVERSED), (4, Modifier::UNDERLINED)] {
                style = if how & bit > 0 { style.add_modifier(modifier) } else { style };
            }
            if how & 8 > 0 { style.bg(Color::Indexed(3)) } else { style }
        };
        let buf = screen.blank();
        for (x, y, text, fg, how) in pieces {
            buf.set_string(*x, *y, text, look(*fg, *how));
        }
    }

    /// The second column of a wide character.
    const BEHIND: &str = "behind";

    /// What can be seen of each cell.
    fn seen(parser: &vt100::Parser) -> Vec<String> {
        let cells = (0..AREA.height).flat_map(|y| (0..AREA.width).map(move |x| (y, x)));
        let look = |(y, x)| {
            let cell = parser.screen().cell(y, x).unwrap();
            if cell.is_wide_continuation() {
                return BEHIND.to_owned();
            }
            let text = if cell.contents().trim().is_empty() { "" } else { cell.contents() };
            look(text, (cell.fgcolor(), cell.bgcolor()), (cell.bold(), cell.inverse(), cell.underline()))
        };
        cells.map(look).collect()
    }

    fn look(
        text: &str,
        (fg, bg): (vt100::Color, vt100::Color),
        (bold, inverse, underline): (bool, bool, bool),
    ) -> String {
        let ink = (!text.is_empty() || inverse || underline).then_some((fg, bold));
        format!("{text:?} {bg:?} {inverse} {underline} {ink:?}")
    }

    /// The same of what is drawn, as a terminal without any history would show it.
    fn drawn(screen: &mut Screen, pieces: &[Piece]) -> Vec<String> {
        put(screen, pieces);
        let cells = &screen.next.content;
        let colour = |colour| match colour {
            Color::Indexed(index) => vt100::Color::Idx(index),
            _ => vt100::Color::Default,
        };
        let wide = |at: usize| crate::tui::text::width(cells[at].symbol()) > 1;
        let halved = |at: usize| (at + 1).is_multiple_of(usize::from(AREA.width)) || cells[at + 1].symbol() != " ";
        let look = |at: usize| {
            let cell = &cells[at];
            if at > 0 && wide(at - 1) && !halved(at - 1) {
                return BEHIND.to_owned();
            }
            let text = if wide(at) && halved(at) { "" } else { cell.symbol().trim() };
            let has = |modifier| cell.modifier.contains(modifier);
            let modifiers = (has(Modifier::BOLD), has(Modifier::REVERSED), has(Modifier::UNDERLINED));
            look(text, (colour(cell.fg), colour(cell.bg)), modifiers)
        };
        (0..cells.len()).map(look).collect()
    }

    proptest::proptest! {
        #[test]
        fn any_frames_end_as_drawn(room in 1usize..200, frames in proptest::collection::vec(pieces(0..8), 1..4)) {
            let size = |number| std::num::NonZero::new(number).unwrap();
            let parser = || vt100::Parser::new(size(AREA.height), size(AREA.width), 0);
            let (mut patched, mut screen) = (parser(), Screen::new(AREA));
            for pieces in &frames {
                // Some of another frame may have been sent, of which nothing is left.
                draw_some(&mut screen, &[(3, 2, "ab漢c".to_owned(), 1, 1)], room, &mut patched);
                for _ in 0..=AREA.height {
                    draw_some(&mut screen, pieces, room, &mut patched);
                }
                let (mut whole, mut fresh) = (parser(), Screen::new(AREA));
                whole.process(&draw(&mut fresh, pieces));
                proptest::prop_assert_eq!(seen(&patched), seen(&whole));
                proptest::prop_assert_eq!(draw(&mut screen, pieces), b"");
            }
        }

        /// Frame after frame a piece changes and the others stay, as a night goes by: whenever nothing is left to be
        /// sent, the terminal shows all that was drawn.
        #[test]
        fn frames_of_which_a_piece_changes_end_as_drawn(
            mut frame in pieces(8..9),
            changes in proptest::collection::vec((0usize..8, pieces(1..2), 1usize..120), 1..12),
        ) {
            let size = |number| std::num::NonZero::new(number).unwrap();
            let mut terminal = vt100::Parser::new(size(AREA.height), size(AREA.width), 0);
            let mut screen = Screen::new(AREA);
            for (at, piece, room) in changes {
                frame[at] = piece[0].clone();
                // Not much is sent at once every other time.
                let room = if room < 60 { room } else { usize::MAX };
                if draw_some(&mut screen, &frame, room, &mut terminal) {
                    proptest::prop_assert_eq!(seen(&terminal), drawn(&mut screen, &frame));
                    proptest::prop_assert_eq!(draw(&mut screen, &frame), b"");
                }
            }
        }
    }
}
