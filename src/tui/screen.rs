//! From a drawn buffer to the fewest bytes: what the terminal shows already is not sent again.
//!
//! Rejected: ratatui's `Terminal` with its crossterm backend. It resets the style at the end of every frame and moves
//! the cursor by absolute position only; a clock that ticks then costs three times as much on a bad link.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
};

use ratatui::{buffer::Buffer, layout::Rect};
use rustix::fs::{Mode, OFlags};
use tokio::io::unix::AsyncFd;

use super::encode::Encoder;

/// Frames longer than this are wrapped as synchronized output (`CSI ? 2026`); a shorter one arrives whole anyway, and
/// of a piece for a slow terminal what has arrived is seen while the rest is on its way.
const SYNC_FROM: usize = 200;

/// What the terminal shows, and the encoder of what must change.
#[derive(Debug)]
pub(super) struct Screen {
    /// As it was drawn, line by line: what is drawn the same again needs no closer look.
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
        self.encode_some(Rect::ZERO, usize::MAX).0
    }

    /// The same, but no more lines than fit into `room` bytes (a few at least), those of `first` before others. False:
    /// something is left, and the next frame goes on from there.
    pub(super) fn encode_some(&mut self, first: Rect, room: usize) -> (Vec<u8>, bool) {
        let mut out = String::new();
        if std::mem::take(&mut self.stale) {
            out.push_str("\x1b[0m\x1b[2J");
            self.shown.reset();
            self.encoder = Encoder::default();
        }
        let whole = self.encoder.encode(&mut self.shown, &mut self.next, &mut out, first, room);
        if out.len() < SYNC_FROM || room < usize::MAX {
            return (out.into_bytes(), whole);
        }
        ([b"\x1b[?2026h", out.as_bytes(), b"\x1b[?2026l"].concat(), whole)
    }
}

/// Writes frames, and never waits for the terminal: one that does not drain keeps neither keys nor signals waiting.
///
/// It holds one frame: the next is drawn only when the last has left, so that frames are dropped rather than queued.
#[derive(Debug)]
pub(super) struct Writer {
    out: Out,
    busy: bool,
}

#[derive(Debug)]
enum Out {
    /// The terminal opened anew: what is set on that descriptor, not to block, the shell does not share.
    Own { fd: OwnedFd, rest: Vec<u8>, failed: Option<io::Error> },
    /// Where it may not be opened (it belongs to somebody else after `su`), a thread waits for it.
    Thread { frames: std::sync::mpsc::Sender<Vec<u8>>, written: tokio::sync::mpsc::UnboundedReceiver<io::Result<()>> },
}

impl Writer {
    /// Writes to the terminal on standard output. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// If it can be written to neither way.
    pub(super) fn stdout() -> io::Result<Self> {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        match rustix::fs::open("/proc/self/fd/1", flags, Mode::empty()) {
            Ok(own) => Ok(Self::own(own)),
            Err(_) => Self::thread(std::fs::File::from(rustix::io::dup(io::stdout())?)),
        }
    }

    /// Writes to a descriptor that does not block.
    const fn own(fd: OwnedFd) -> Self {
        Self { out: Out::Own { fd, rest: Vec::new(), failed: None }, busy: false }
    }

    /// Writes on a thread, which ends with the writer.
    fn thread(mut out: impl io::Write + Send + 'static) -> io::Result<Self> {
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
        Ok(Self { out: Out::Thread { frames, written }, busy: false })
    }

    /// Whether the last frame has left.
    pub(super) const fn free(&self) -> bool {
        !self.busy
    }

    /// Hands a frame over; only when [`Writer::free`]. It may have left already.
    pub(super) fn write(&mut self, frame: Vec<u8>) {
        self.busy = match &mut self.out {
            Out::Own { fd, rest, failed } => {
                *rest = frame;
                match write_some(fd, rest) {
                    Ok(done) => !done,
                    Err(error) => {
                        *failed = Some(error);
                        true
                    }
                }
            }
            Out::Thread { frames, .. } => frames.send(frame).is_ok(),
        };
    }

    /// Waits until the frame has left. Cancel-safe.
    ///
    /// # Errors
    /// If the terminal takes nothing more.
    pub(super) async fn drained(&mut self) -> io::Result<()> {
        let result = match &mut self.out {
            Out::Own { fd, rest, failed } => match failed.take() {
                Some(error) => Err(error),
                None => write_rest(fd, rest).await,
            },
            Out::Thread { written, .. } => {
                written.recv().await.unwrap_or_else(|| Err(io::ErrorKind::BrokenPipe.into()))
            }
        };
        self.busy = false;
        result
    }
}

/// Writes what the terminal takes now; true once nothing is left.
fn write_some(fd: &OwnedFd, rest: &mut Vec<u8>) -> io::Result<bool> {
    while !rest.is_empty() {
        match rustix::io::write(fd, rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => drop(rest.drain(..written)),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// The terminal is watched only as long as it has to be waited for: it would wake us for every frame that it takes.
#[expect(
    deprecated,
    reason = "its successor is unsafe, for types whose descriptor may change; that of what is borrowed does not"
)]
async fn write_rest(fd: &OwnedFd, rest: &mut Vec<u8>) -> io::Result<()> {
    let watched = AsyncFd::with_interest(fd.as_fd(), tokio::io::Interest::WRITABLE)?;
    loop {
        let mut ready = watched.writable().await?;
        if write_some(fd, rest)? {
            return Ok(());
        }
        ready.clear_ready();
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

    #[tokio::test]
    async fn a_frame_that_a_terminal_does_not_take_at_once_leaves_as_it_drains() {
        let (reader, end) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&end, true).unwrap();
        let mut writer = Writer::own(end.into());
        writer.write(b"short".to_vec());
        assert!(writer.free());
        let frame: Vec<u8> = (0..400_000).map(|at: u32| at.to_le_bytes()[0]).collect();
        writer.write(frame.clone());
        assert!(!writer.free(), "a pipe holds less");
        let reading = std::thread::spawn(move || {
            let (mut read, mut reader) = (Vec::new(), reader);
            io::Read::read_to_end(&mut reader, &mut read).unwrap();
            read
        });
        writer.drained().await.unwrap();
        assert!(writer.free());
        drop(writer);
        let read = reading.join().unwrap();
        assert!(read.starts_with(b"short") && read[5..] == frame);
    }

    #[tokio::test]
    async fn a_terminal_that_is_gone_is_told_when_the_frame_is_waited_for() {
        let (reader, end) = io::pipe().unwrap();
        drop(reader);
        let mut writer = Writer::own(end.into());
        writer.write(b"frame".to_vec());
        assert!(!writer.free());
        writer.drained().await.unwrap_err();
        let mut writer = Writer::thread(std::fs::File::open("/dev/null").unwrap()).unwrap();
        writer.write(b"frame".to_vec());
        writer.drained().await.unwrap_err();
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
