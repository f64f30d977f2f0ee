//! Keys from the terminal: read here, not by crossterm's event source.
//!
//! Rejected: `crossterm::event::EventStream`. It reads on a thread of its own, hands keys over one by one, so that a
//! burst can no longer be told from typing, and at a hang-up with SIGHUP ignored (`nohup`) it spins for ever. Here one
//! `read` is one [`Batch`]: what arrived together is known to have arrived together, and the end of the input is an end.

mod mouse;

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyEventState, KeyModifiers};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::{io::unix::AsyncFd, time::timeout_at};

use super::pace;
use crate::clock::monotonic;

/// How long the rest of an escape sequence may take that was cut in two on its way.
///
/// A lone escape is a key at once: who presses it wants out. If it was the beginning of a sequence after all, its rest
/// is still read as one, and nothing of it as letters; what the escape did is to close or to leave, never to begin.
const ESCAPE_PATIENCE: Duration = Duration::from_millis(25);
/// A paste without an end is not kept for ever.
const PASTE_LENGTH: usize = 1 << 20;

/// What one read of the terminal held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Batch {
    /// Keys and pastes, in order.
    Events(Vec<Event>),
    /// So many times the terminal answered that it is well, and this was typed meanwhile.
    Answers(usize, Vec<Event>),
    /// The terminal is gone.
    End,
}

/// The terminal's input side.
#[derive(Debug)]
pub(super) struct Input {
    fd: AsyncFd<OwnedFd>,
    parser: Parser,
    /// Until when the rest of an escape sequence is waited for.
    escape_until: Option<Instant>,
}

impl Input {
    /// Listens to standard input, which must be a terminal in raw mode.
    ///
    /// # Errors
    /// If it cannot be waited for (a file, for instance).
    #[expect(
        deprecated,
        reason = "its successor is unsafe, for types whose descriptor may change; an OwnedFd's does not"
    )]
    pub(super) fn new() -> io::Result<Self> {
        let fd = AsyncFd::with_interest(rustix::io::dup(io::stdin())?, tokio::io::Interest::READABLE)?;
        Ok(Self { fd, parser: Parser::default(), escape_until: None })
    }

    /// The next batch. Safe to drop and call again: nothing is lost between calls.
    pub(super) async fn next(&mut self) -> Batch {
        loop {
            let ready = match self.escape_until.filter(|_| self.parser.pending_escape()) {
                Some(until) => match timeout_at(until.into(), self.fd.readable()).await {
                    Ok(ready) => ready,
                    Err(_) => return Batch::Events(self.parser.give_up_waiting()),
                },
                None => self.fd.readable().await,
            };
            let Ok(mut guard) = ready else { return Batch::End };
            match read_now(guard.get_inner().as_fd()) {
                Ok(Some(bytes)) if bytes.is_empty() => return Batch::End,
                Ok(Some(bytes)) => {
                    let now = monotonic();
                    let soon = self.escape_until.is_some_and(|until| now <= until);
                    let events = self.parser.read(&bytes, soon);
                    self.escape_until = Some(now + ESCAPE_PATIENCE);
                    match std::mem::take(&mut self.parser.answers) {
                        0 if events.is_empty() => {}
                        0 => return Batch::Events(events),
                        answers => return Batch::Answers(answers, events),
                    }
                }
                Ok(None) => guard.clear_ready(),
                Err(_) => return Batch::End,
            }
        }
    }
}

/// Reads what is there, without waiting: None when there is nothing. The descriptor stays in blocking mode, because it
/// is shared with the shell that started us.
fn read_now(fd: BorrowedFd<'_>) -> io::Result<Option<Vec<u8>>> {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    let none = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut fds, Some(&none))? == 0 {
        return Ok(None);
    }
    let mut bytes = vec![0; 4096];
    loop {
        match rustix::io::read(fd, &mut bytes) {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => return Ok(None),
            result => {
                bytes.truncate(result?);
                return Ok(Some(bytes));
            }
        }
    }
}

/// From bytes to events: what xterm, tmux and kitty's protocol send.
#[derive(Debug, Default)]
pub(super) struct Parser {
    held: Vec<u8>,
    paste: Option<Vec<u8>>,
    /// The last bytes were a lone escape, which was told as a key.
    escaped: bool,
    /// Answers to [`pace::ASK`] that were read.
    answers: usize,
}

const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

/// What the beginning of the bytes is.
enum Token {
    /// An event, or nothing of interest, of so many bytes.
    Whole(usize, Option<Event>),
    /// More must be read first.
    Part,
}

impl Parser {
    /// Takes in what one read held. `soon`: it came so soon after the last that it may be the rest of a cut sequence.
    pub(super) fn read(&mut self, bytes: &[u8], soon: bool) -> Vec<Event> {
        let rest = std::mem::take(&mut self.escaped) && soon && matches!(bytes.first(), Some(b'[' | b'O'));
        if rest {
            self.held.push(0x1b);
        }
        let mut events = self.feed(bytes);
        if self.paste.is_none() && self.held == [0x1b] {
            self.escaped = true;
            events.extend(self.give_up_waiting());
        }
        events
    }

    /// Takes bytes in and gives the events that they complete.
    fn feed(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.held.extend_from_slice(bytes);
        let mut events = Vec::new();
        while !self.held.is_empty() {
            if self.paste.is_some() {
                if !self.feed_paste(&mut events) {
                    break;
                }
            } else if self.held.starts_with(pace::ANSWER) {
                self.held.drain(..pace::ANSWER.len());
                self.answers += 1;
            } else if self.held.starts_with(PASTE_BEGIN) {
                self.held.drain(..PASTE_BEGIN.len());
                self.paste = Some(Vec::new());
            } else {
                match token(&self.held) {
                    Token::Whole(length, event) => {
                        self.held.drain(..length);
                        events.extend(event);
                    }
                    Token::Part => break,
                }
            }
        }
        events
    }

    /// Takes the held bytes into the paste; false when its end has not come yet.
    fn feed_paste(&mut self, events: &mut Vec<Event>) -> bool {
        let end = self.held.windows(PASTE_END.len()).position(|window| window == PASTE_END);
        // The last bytes may be the beginning of the end.
        let taken = end.unwrap_or(self.held.len().saturating_sub(PASTE_END.len() - 1));
        let text: Vec<u8> = self.held.drain(..taken).collect();
        let Some(paste) = &mut self.paste else { return true };
        let room = PASTE_LENGTH.saturating_sub(paste.len());
        paste.extend(text.into_iter().take(room));
        if end.is_none() {
            return false;
        }
        self.held.drain(..PASTE_END.len());
        let paste = self.paste.take().unwrap_or_default();
        events.push(Event::Paste(String::from_utf8_lossy(&paste).into_owned()));
        true
    }

    /// Whether the held bytes may be a lone escape key.
    pub(super) fn pending_escape(&self) -> bool {
        self.paste.is_none() && self.held.first() == Some(&0x1b)
    }

    /// Nothing more came: what is held are the keys that it looks like.
    pub(super) fn give_up_waiting(&mut self) -> Vec<Event> {
        let held = std::mem::take(&mut self.held);
        match held.as_slice() {
            [0x1b] => vec![key(KeyCode::Esc, KeyModifiers::NONE)],
            [0x1b, b'[' | b'O'] => vec![key(KeyCode::Char(char::from(held[1])), KeyModifiers::ALT)],
            _ => Vec::new(),
        }
    }
}

fn key(code: KeyCode, modifiers: KeyModifiers) -> Event {
    key_of(code, modifiers, KeyEventKind::Press)
}

fn key_of(code: KeyCode, modifiers: KeyModifiers, kind: KeyEventKind) -> Event {
    Event::Key(KeyEvent { code, modifiers, kind, state: KeyEventState::NONE })
}

fn token(bytes: &[u8]) -> Token {
    match bytes {
        [0x1b, b'[', rest @ ..] => csi(rest),
        [0x1b, b'O', code, ..] => Token::Whole(3, ss3(*code)),
        [0x1b] | [0x1b, b'O'] => Token::Part,
        [0x1b, 0x1b, ..] => Token::Whole(1, Some(key(KeyCode::Esc, KeyModifiers::NONE))),
        // Strings that terminals answer with (DCS, OSC, APC): skipped whole.
        [0x1b, b'P' | b']' | b'_' | b'^', rest @ ..] => string(rest),
        [0x1b, rest @ ..] => match plain(rest) {
            Token::Whole(length, Some(Event::Key(event))) => {
                Token::Whole(length + 1, Some(key(event.code, event.modifiers | KeyModifiers::ALT)))
            }
            Token::Whole(length, event) => Token::Whole(length + 1, event),
            Token::Part => Token::Part,
        },
        _ => plain(bytes),
    }
}

fn string(rest: &[u8]) -> Token {
    let bell = rest.iter().position(|byte| *byte == 0x07).map(|at| at + 1);
    let st = rest.windows(2).position(|two| two == b"\x1b\\").map(|at| at + 2);
    bell.into_iter().chain(st).min().map_or(Token::Part, |length| Token::Whole(length + 2, None))
}

fn plain(bytes: &[u8]) -> Token {
    let Some(&first) = bytes.first() else { return Token::Part };
    let (code, modifiers) = match first {
        b'\r' => (KeyCode::Enter, KeyModifiers::NONE),
        b'\t' => (KeyCode::Tab, KeyModifiers::NONE),
        0x7f | 0x08 => (KeyCode::Backspace, KeyModifiers::NONE),
        0 => (KeyCode::Char(' '), KeyModifiers::CONTROL),
        0x01..=0x1a => (KeyCode::Char(char::from(first - 1 + b'a')), KeyModifiers::CONTROL),
        0x1b..=0x1f => return Token::Whole(1, None),
        0x20..=0x7e => (KeyCode::Char(char::from(first)), shift(char::from(first))),
        _ => return utf8(bytes),
    };
    Token::Whole(1, Some(key(code, modifiers)))
}

fn shift(c: char) -> KeyModifiers {
    if c.is_uppercase() { KeyModifiers::SHIFT } else { KeyModifiers::NONE }
}

fn utf8(bytes: &[u8]) -> Token {
    let length = match bytes[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Token::Whole(1, None),
    };
    if bytes.len() < length {
        let broken = bytes[1..].iter().any(|byte| byte & 0xc0 != 0x80);
        return if broken { Token::Whole(1, None) } else { Token::Part };
    }
    match std::str::from_utf8(&bytes[..length]).ok().and_then(|text| text.chars().next()) {
        Some(c) => Token::Whole(length, Some(key(KeyCode::Char(c), shift(c)))),
        None => Token::Whole(1, None),
    }
}

fn ss3(code: u8) -> Option<Event> {
    let code = match code {
        b'P' => KeyCode::F(1),
        b'Q' => KeyCode::F(2),
        b'R' => KeyCode::F(3),
        b'S' => KeyCode::F(4),
        b'M' => KeyCode::Enter,
        letter => arrow(letter)?,
    };
    Some(key(code, KeyModifiers::NONE))
}

const fn arrow(letter: u8) -> Option<KeyCode> {
    Some(match letter {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'H' => KeyCode::Home,
        b'F' => KeyCode::End,
        _ => return None,
    })
}

/// `ESC [ parameters final`; `rest` begins after the bracket.
fn csi(rest: &[u8]) -> Token {
    let Some(end) = rest.iter().position(|byte| (0x40..=0x7e).contains(byte)) else {
        // A sequence of more than this is none.
        return if rest.len() > 64 { Token::Whole(2, None) } else { Token::Part };
    };
    let parameters = std::str::from_utf8(&rest[..end]).unwrap_or_default();
    let event = match parameters.strip_prefix('<') {
        Some(report) => mouse::event(report, rest[end]),
        None => csi_key(parameters, rest[end]),
    };
    Token::Whole(end + 3, event)
}

/// Parameters are numbers with sub-parameters: `code[:..] ; modifiers[:kind] ; ..`.
fn csi_key(parameters: &str, last: u8) -> Option<Event> {
    let number = |field: usize, part: usize| -> Option<u32> {
        parameters.split(';').nth(field)?.split(':').nth(part)?.parse().ok()
    };
    let modifiers = modifiers(number(1, 0).unwrap_or(1));
    let kind = match number(1, 1) {
        Some(2) => KeyEventKind::Repeat,
        Some(3) => KeyEventKind::Release,
        _ => KeyEventKind::Press,
    };
    let code = match last {
        b'Z' => return Some(key(KeyCode::BackTab, KeyModifiers::SHIFT)),
        b'P' => KeyCode::F(1),
        b'Q' => KeyCode::F(2),
        b'S' => KeyCode::F(4),
        b'~' => tilde(number(0, 0)?)?,
        b'u' => return kitty(number(0, 0)?, number(0, 1).or(number(2, 0)), modifiers, kind),
        letter => arrow(letter)?,
    };
    Some(key_of(code, modifiers, kind))
}

const fn tilde(number: u32) -> Option<KeyCode> {
    Some(match number {
        1 | 7 => KeyCode::Home,
        2 => KeyCode::Insert,
        3 => KeyCode::Delete,
        4 | 8 => KeyCode::End,
        5 => KeyCode::PageUp,
        6 => KeyCode::PageDown,
        #[expect(clippy::cast_possible_truncation, reason = "at most 5")]
        11..=15 => KeyCode::F((number - 10) as u8),
        #[expect(clippy::cast_possible_truncation, reason = "at most 10")]
        17..=21 => KeyCode::F((number - 11) as u8),
        #[expect(clippy::cast_possible_truncation, reason = "at most 12")]
        23..=24 => KeyCode::F((number - 12) as u8),
        _ => return None,
    })
}

/// kitty's keyboard protocol: a code point, what it writes with the modifiers held, modifiers and kind.
fn kitty(code: u32, shifted: Option<u32>, modifiers: KeyModifiers, kind: KeyEventKind) -> Option<Event> {
    let code = match code {
        13 | 57414 => KeyCode::Enter,
        9 if modifiers.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
        9 => KeyCode::Tab,
        27 => KeyCode::Esc,
        127 => KeyCode::Backspace,
        // The private use area holds lone modifiers and media keys.
        57344..=63743 => return None,
        code => {
            let c = char::from_u32(shifted.unwrap_or(code)).filter(|c| !c.is_control())?;
            let upper = modifiers.contains(KeyModifiers::SHIFT) && shifted.is_none();
            KeyCode::Char(if upper { c.to_uppercase().next().unwrap_or(c) } else { c })
        }
    };
    Some(key_of(code, modifiers, kind))
}

fn modifiers(mask: u32) -> KeyModifiers {
    let bits = mask.saturating_sub(1);
    let table =
        [(1, KeyModifiers::SHIFT), (2, KeyModifiers::ALT), (4, KeyModifiers::CONTROL), (8, KeyModifiers::SUPER)];
    table.iter().filter(|(bit, _)| bits & bit != 0).fold(KeyModifiers::NONE, |all, (_, one)| all | *one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(bytes: &[u8]) -> Vec<KeyCode> {
        Parser::default().feed(bytes).into_iter().filter_map(|e| e.as_key_event().map(|k| k.code)).collect()
    }

    #[test]
    fn answers_of_the_terminal_are_counted_and_are_no_keys() {
        let mut parser = Parser::default();
        assert_eq!(parser.read(b"a\x1b[0nb\x1b[0", false).len(), 2);
        assert_eq!(parser.answers, 1);
        assert_eq!(parser.read(b"n\x1b[A", true), [key(KeyCode::Up, KeyModifiers::NONE)]);
        assert_eq!(parser.answers, 2);
    }

    #[test]
    fn keys_of_xterm_and_kitty_are_told() {
        let all = b"aR\r\t\x7f\x1b[A\x1bOB\x1b[1;5C\x1b[Z\x1b[5~\x1b[24~\x1bOP\x1b[13u\x1b[121;1:1u\x1b[27u\xc3\xa9";
        let wanted = [
            KeyCode::Char('a'),
            KeyCode::Char('R'),
            KeyCode::Enter,
            KeyCode::Tab,
            KeyCode::Backspace,
            KeyCode::Up,
            KeyCode::Down,
            KeyCode::Right,
            KeyCode::BackTab,
            KeyCode::PageUp,
            KeyCode::F(12),
            KeyCode::F(1),
            KeyCode::Enter,
            KeyCode::Char('y'),
            KeyCode::Esc,
            KeyCode::Char('é'),
        ];
        assert_eq!(codes(all), wanted);
    }

    #[test]
    fn kitty_tells_press_repeat_and_release() {
        let kinds: Vec<_> = Parser::default()
            .feed(b"\x1b[121u\x1b[121;1:2u\x1b[121;1:3u\x1b[114;2u")
            .into_iter()
            .filter_map(|event| event.as_key_event().map(|key| (key.code, key.kind)))
            .collect();
        let y = KeyCode::Char('y');
        let (press, repeat, release) = (KeyEventKind::Press, KeyEventKind::Repeat, KeyEventKind::Release);
        assert_eq!(kinds, [(y, press), (y, repeat), (y, release), (KeyCode::Char('R'), press)]);
    }

    #[test]
    fn a_paste_is_one_event_however_it_is_cut() {
        let bytes = b"x\x1b[200~y\ryes\x1b[201~z";
        for cut in 0..bytes.len() {
            let mut parser = Parser::default();
            let mut events = parser.feed(&bytes[..cut]);
            events.extend(parser.feed(&bytes[cut..]));
            assert_eq!(events.len(), 3, "cut at {cut}: {events:?}");
            assert_eq!(events[1], Event::Paste("y\ryes".into()));
        }
    }

    #[test]
    fn a_lone_escape_is_a_key_at_once_and_the_rest_of_a_cut_sequence_no_letters() {
        let (esc, up) = (key(KeyCode::Esc, KeyModifiers::NONE), key(KeyCode::Up, KeyModifiers::NONE));
        let mut parser = Parser::default();
        assert_eq!(parser.read(b"\x1b", false), std::slice::from_ref(&esc));
        assert!(!parser.pending_escape());
        assert_eq!(parser.read(b"[A", true), std::slice::from_ref(&up));
        assert_eq!(parser.read(b"x\x1b", true).len(), 2);
        assert_eq!(parser.read(b"[", true), []);
        assert!(parser.pending_escape());
        assert_eq!(parser.read(b"A", true), [up]);
        // Later, and after anything else, a bracket is a bracket.
        assert_eq!(parser.read(b"\x1b", false), [esc]);
        assert_eq!(parser.read(b"[", false), [key(KeyCode::Char('['), KeyModifiers::NONE)]);
        assert_eq!(parser.read(b"[", true), [key(KeyCode::Char('['), KeyModifiers::NONE)]);
    }

    #[test]
    fn an_escape_inside_a_paste_is_none() {
        let mut parser = Parser::default();
        assert_eq!(parser.read(b"\x1b[200~a\x1b", false), []);
        assert_eq!(parser.read(b"[201~", true), [Event::Paste("a".into())]);
    }

    #[test]
    fn answers_of_the_terminal_are_no_keys() {
        assert_eq!(codes(b"\x1b[?62;4c\x1b]11;rgb:00/00/00\x07\x1b[?1u\x1bP>|x\x1b\\q"), [KeyCode::Char('q')]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let mut parser = Parser::default();
            for chunk in bytes.chunks(7) {
                parser.read(chunk, true);
            }
            parser.give_up_waiting();
        }
    }
}
