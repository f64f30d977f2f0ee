//! From a drawn buffer to the fewest bytes: what the terminal shows already is not sent again.
//!
//! Rejected: ratatui's `Terminal` with its crossterm backend. It resets the style at the end of every frame and moves
//! the cursor by absolute position only; a clock that ticks then costs three times as much on a bad link.

use std::{fmt::Write as _, io};

use ratatui::{
    buffer::{Buffer, Cell},
    layout::Rect,
    style::{Color, Modifier},
};

/// Frames longer than this are wrapped as synchronized output (`CSI ? 2026`); a shorter one arrives whole anyway.
const SYNC_FROM: usize = 200;

/// What the terminal shows, and the encoder of what must change.
#[derive(Debug)]
pub(super) struct Screen {
    shown: Buffer,
    next: Buffer,
    pen: Style,
    cursor: Option<(u16, u16)>,
    stale: bool,
}

/// The style that the terminal would write with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Style {
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

const DEFAULT: Style = Style { fg: Color::Reset, bg: Color::Reset, modifier: Modifier::empty() };

impl Screen {
    /// A screen of unknown content.
    pub(super) fn new(area: Rect) -> Self {
        Self { shown: Buffer::empty(area), next: Buffer::empty(area), pen: DEFAULT, cursor: None, stale: true }
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
        self.next.reset();
        &mut self.next
    }

    /// The bytes that bring the terminal from what it shows to what was drawn; empty when nothing changed.
    pub(super) fn encode(&mut self) -> Vec<u8> {
        let mut out = String::new();
        if std::mem::take(&mut self.stale) {
            out.push_str("\x1b[0m\x1b[2J");
            self.shown.reset();
            self.pen = DEFAULT;
            self.cursor = None;
        }
        let (shown, next) = (&self.shown, &self.next);
        let mut terminal = Terminal { out, pen: self.pen, cursor: self.cursor, width: next.area.width };
        for (x, y, cell) in shown.diff_iter(next) {
            terminal.bridge(next, x, y);
            terminal.go(x, y);
            terminal.print(cell);
        }
        (self.pen, self.cursor) = (terminal.pen, terminal.cursor);
        let out = terminal.out;
        std::mem::swap(&mut self.shown, &mut self.next);
        if out.len() < SYNC_FROM {
            return out.into_bytes();
        }
        [b"\x1b[?2026h", out.as_bytes(), b"\x1b[?2026l"].concat()
    }
}

struct Terminal {
    out: String,
    pen: Style,
    cursor: Option<(u16, u16)>,
    width: u16,
}

impl Terminal {
    /// Over a gap of a few unchanged cells of the same style it is cheaper to write them again than to move.
    fn bridge(&mut self, next: &Buffer, x: u16, y: u16) {
        let Some((from, row)) = self.cursor else { return };
        if row != y || from >= x || x - from > 3 {
            return;
        }
        let gap: Vec<&Cell> = (from..x).map(|column| &next[(column, y)]).collect();
        let same = |cell: &&Cell| style_of(cell) == self.pen && cell.symbol().len() == 1;
        if gap.iter().all(same) {
            for cell in gap {
                self.print(cell);
            }
        }
    }

    fn go(&mut self, x: u16, y: u16) {
        match self.cursor {
            Some(at) if at == (x, y) => {}
            Some((from, row)) if row == y && from < x => self.csi(x - from, 'C'),
            Some((column, row)) if x == 0 && y == row + 1 && column > 0 => self.out.push_str("\r\n"),
            _ => {
                let _ = write!(self.out, "\x1b[{};{}H", y + 1, x + 1);
            }
        }
        self.cursor = Some((x, y));
    }

    fn csi(&mut self, number: u16, letter: char) {
        if number == 1 {
            let _ = write!(self.out, "\x1b[{letter}");
        } else {
            let _ = write!(self.out, "\x1b[{number}{letter}");
        }
    }

    fn print(&mut self, cell: &Cell) {
        self.restyle(style_of(cell));
        self.out.push_str(cell.symbol());
        let columns = u16::try_from(super::text::width(cell.symbol()).max(1)).unwrap_or(1);
        // Past the last column a terminal's cursor is wherever it likes.
        self.cursor = self.cursor.map(|(x, y)| (x + columns, y)).filter(|(x, _)| *x < self.width);
    }

    /// Sends only the attributes that differ.
    fn restyle(&mut self, to: Style) {
        let from = self.pen;
        if from == to {
            return;
        }
        self.pen = to;
        if to == DEFAULT {
            self.out.push_str("\x1b[m");
            return;
        }
        let mut codes = String::new();
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
            color(&mut codes, to.fg, 30);
        }
        if from.bg != to.bg {
            color(&mut codes, to.bg, 40);
        }
        let _ = write!(self.out, "\x1b[{}m", codes.trim_end_matches(';'));
    }
}

const MODIFIERS: [(Modifier, u8, u8); 5] = [
    (Modifier::BOLD, 1, 22),
    (Modifier::DIM, 2, 22),
    (Modifier::ITALIC, 3, 23),
    (Modifier::UNDERLINED, 4, 24),
    (Modifier::REVERSED, 7, 27),
];

fn style_of(cell: &Cell) -> Style {
    Style { fg: cell.fg, bg: cell.bg, modifier: cell.modifier }
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

/// A thread that writes frames, so that a terminal that does not drain never keeps keys or signals waiting.
///
/// It holds one frame: the next is drawn only when the last has left, so that frames are dropped rather than queued.
#[derive(Debug)]
pub(super) struct Writer {
    frames: std::sync::mpsc::Sender<Vec<u8>>,
    written: tokio::sync::mpsc::UnboundedReceiver<io::Result<()>>,
    busy: bool,
}

impl Writer {
    /// Starts the thread; it ends with the writer.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(super) fn start(mut out: impl io::Write + Send + 'static) -> io::Result<Self> {
        let (frames, inbox) = std::sync::mpsc::channel::<Vec<u8>>();
        let (done, written) = tokio::sync::mpsc::unbounded_channel();
        std::thread::Builder::new().name("screen".into()).spawn(move || {
            for frame in inbox {
                let result = out.write_all(&frame).and_then(|()| out.flush());
                if done.send(result).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { frames, written, busy: false })
    }

    /// Whether the last frame has left.
    pub(super) const fn free(&self) -> bool {
        !self.busy
    }

    /// Hands a frame over; only when [`Writer::free`].
    pub(super) fn write(&mut self, frame: Vec<u8>) {
        self.busy = self.frames.send(frame).is_ok();
    }

    /// Waits until the frame has left.
    ///
    /// # Errors
    /// If the terminal takes nothing more.
    pub(super) async fn drained(&mut self) -> io::Result<()> {
        let result = self.written.recv().await;
        self.busy = false;
        result.unwrap_or_else(|| Err(io::ErrorKind::BrokenPipe.into()))
    }
}

#[cfg(test)]
mod tests {
    use ratatui::style::Style as Look;

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
    fn ending_dim_keeps_bold() {
        let mut screen = Screen::new(AREA);
        let both = Look::new().add_modifier(Modifier::BOLD | Modifier::DIM);
        let bold = Look::new().add_modifier(Modifier::BOLD);
        let bytes = frame(&mut screen, &[(0, 0, "a", both), (1, 0, "b", bold)]);
        assert!(String::from_utf8_lossy(&bytes).contains("\x1b[22;1mb"));
    }

    proptest::proptest! {
        #[test]
        fn any_two_frames_end_as_drawn(
            first in proptest::collection::vec((0u16..40, 0u16..4, "[ a-c漢]{0,9}", 0u8..4), 0..8),
            second in proptest::collection::vec((0u16..40, 0u16..4, "[ a-c漢]{0,9}", 0u8..4), 0..8),
        ) {
            let size = |number| std::num::NonZero::new(number).unwrap();
            let mut parser = vt100::Parser::new(size(AREA.height), size(AREA.width), 0);
            let mut screen = Screen::new(AREA);
            for lines in [&first, &second] {
                let lines: Vec<_> = lines
                    .iter()
                    .map(|(x, y, text, fg)| (*x, *y, text.as_str(), Look::new().fg(Color::Indexed(*fg))))
                    .collect();
                let bytes = frame(&mut screen, &lines);
                parser.process(&bytes);
            }
            let mut fresh = vt100::Parser::new(size(AREA.height), size(AREA.width), 0);
            let mut whole = Screen::new(AREA);
            let lines: Vec<_> = second
                .iter()
                .map(|(x, y, text, fg)| (*x, *y, text.as_str(), Look::new().fg(Color::Indexed(*fg))))
                .collect();
            fresh.process(&frame(&mut whole, &lines));
            let rows = |parser: &vt100::Parser| -> Vec<String> {
                parser.screen().rows(0, AREA.width).map(|row| row.trim_end().to_owned()).collect()
            };
            proptest::prop_assert_eq!(rows(&parser), rows(&fresh));
        }
    }
}
