//! From a drawn buffer to the fewest bytes: what the terminal shows already is not sent again.
//!
//! Rejected: ratatui's `Terminal` with its crossterm backend. It resets the style at the end of every frame and moves
//! the cursor by absolute position only; a clock that ticks then costs three times as much on a bad link.

use std::io;

use ratatui::{buffer::Buffer, layout::Rect};

use super::encode::{Encoder, canonical, unpair};

/// Frames longer than this are wrapped as synchronized output (`CSI ? 2026`); a shorter one arrives whole anyway.
const SYNC_FROM: usize = 200;

/// What the terminal shows, and the encoder of what must change.
#[derive(Debug)]
pub(super) struct Screen {
    shown: Buffer,
    next: Buffer,
    encoder: Encoder,
    stale: bool,
}

impl Screen {
    /// A screen of unknown content.
    pub(super) fn new(area: Rect) -> Self {
        Self { shown: Buffer::empty(area), next: Buffer::empty(area), encoder: Encoder::default(), stale: true }
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
        canonical(&mut self.next);
        let mut out = String::new();
        if std::mem::take(&mut self.stale) {
            out.push_str("\x1b[0m\x1b[2J");
            self.shown.reset();
            self.encoder = Encoder::default();
        }
        unpair(&mut self.shown, &self.next);
        let out = self.encoder.encode(&self.shown, &self.next, out);
        std::mem::swap(&mut self.shown, &mut self.next);
        if out.len() < SYNC_FROM {
            return out.into_bytes();
        }
        [b"\x1b[?2026h", out.as_bytes(), b"\x1b[?2026l"].concat()
    }
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

    /// Column, line, text, colour, and how: bold, reversed, underlined, filled.
    type Piece = (u16, u16, String, u8, u8);

    fn draw(screen: &mut Screen, pieces: &[Piece]) -> Vec<u8> {
        let look = |fg: u8, how: u8| {
            let mut style = Look::new().fg(Color::Indexed(fg));
            for (bit, modifier) in [(1, Modifier::BOLD), (2, Modifier::REVERSED), (4, Modifier::UNDERLINED)] {
                style = if how & bit > 0 { style.add_modifier(modifier) } else { style };
            }
            if how & 8 > 0 { style.bg(Color::Indexed(3)) } else { style }
        };
        let lines: Vec<_> =
            pieces.iter().map(|(x, y, text, fg, how)| (*x, *y, text.as_str(), look(*fg, *how))).collect();
        frame(screen, &lines)
    }

    /// What can be seen of each cell.
    fn seen(parser: &vt100::Parser) -> Vec<String> {
        let cells = (0..AREA.height).flat_map(|y| (0..AREA.width).map(move |x| (y, x)));
        let look = |(y, x)| {
            let cell = parser.screen().cell(y, x).unwrap();
            let text = if cell.contents().trim().is_empty() { "" } else { cell.contents() };
            let marks = (cell.bgcolor(), cell.inverse(), cell.underline());
            let ink = (!text.is_empty() || cell.inverse() || cell.underline()).then(|| (cell.fgcolor(), cell.bold()));
            format!("{text:?} {marks:?} {ink:?}")
        };
        cells.map(look).collect()
    }

    proptest::proptest! {
        #[test]
        fn any_frames_end_as_drawn(
            frames in proptest::collection::vec(
                proptest::collection::vec((0u16..40, 0u16..4, "[ a-c漢]{0,16}", 0u8..4, 0u8..16), 0..8), 1..4),
        ) {
            let size = |number| std::num::NonZero::new(number).unwrap();
            let parser = || vt100::Parser::new(size(AREA.height), size(AREA.width), 0);
            let (mut patched, mut screen) = (parser(), Screen::new(AREA));
            for pieces in &frames {
                let bytes = draw(&mut screen, pieces);
                patched.process(&bytes);
                let (mut whole, mut fresh) = (parser(), Screen::new(AREA));
                whole.process(&draw(&mut fresh, pieces));
                proptest::prop_assert_eq!(seen(&patched), seen(&whole));
                proptest::prop_assert_eq!(draw(&mut screen, pieces), b"");
            }
        }
    }
}
