//! The terminal is always given back: after quit, error, panic and signals.

use std::{
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use ratatui::layout::Rect;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::TuiError;

/// Alternate screen, cursor hidden, bracketed paste, and all of kitty's keyboard protocol where the terminal knows it
/// (so that repeat and release can be told); others ignore it. Then the first question of [`super::pace`].
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[>31u\x1b[5n";
/// Presses of buttons and the wheel, in SGR mode.
const MOUSE: &str = "\x1b[?1000h\x1b[?1006h";
/// Takes back the keyboard protocol that was entered last.
const POP: &str = "\x1b[<u";
/// The reverse, and the end of whatever a broken-off frame left open (synchronized output, styles). The alternate screen is
/// left empty: a tmux (3.3a) that has grown since copies its long lines over what was there before.
const LEAVE: &str = "\x1b[?2026l\x1b[<u\x1b[?1006l\x1b[?1000l\x1b[?2004l\x1b[0m\x1b[2J\x1b[?25h\x1b[?1049l";

/// Whether the terminal is ours, so that it is given back once.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Holds the terminal; dropping it gives the terminal back.
#[derive(Debug)]
pub(super) struct Guard {
    mouse: bool,
}

impl Guard {
    /// Takes the terminal over, with its mouse or without.
    ///
    /// # Errors
    /// If standard input or output is no terminal, or it does not obey.
    pub(super) fn take(mouse: bool) -> Result<Self, TuiError> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(TuiError::NoTerminal);
        }
        hook_panics();
        enable_raw_mode().map_err(TuiError::Terminal)?;
        TAKEN.store(true, Ordering::SeqCst);
        let guard = Self { mouse };
        guard.enter().map_err(TuiError::Terminal)?;
        Ok(guard)
    }

    fn enter(&self) -> io::Result<()> {
        send(ENTER)?;
        if self.mouse { send(MOUSE) } else { Ok(()) }
    }

    /// Gives it to the shell and stops; returns when the shell continues us (`fg`).
    pub(super) fn suspend(&self) {
        give_back();
        // The signal that nothing can hold up: what the shell waits for to take over.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
    }

    /// Takes it over again after the shell had it (stopped and continued).
    ///
    /// Whoever stopped us by SIGSTOP left us no moment to give it back, and the shell has set it to its own liking since:
    /// raw mode is left first, because it is not entered where it is believed to be on, and the keyboard protocol is
    /// popped, so that it is pushed as often as it will be popped.
    pub(super) fn retake(&self) -> Result<(), TuiError> {
        if TAKEN.swap(true, Ordering::SeqCst) {
            disable_raw_mode().and_then(|()| send(POP)).map_err(TuiError::Terminal)?;
        }
        enable_raw_mode().and_then(|()| self.enter()).map_err(TuiError::Terminal)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        give_back();
    }
}

/// The size in columns and lines.
///
/// # Errors
/// If the terminal does not say.
pub(super) fn area() -> Result<Rect, TuiError> {
    let (width, height) = crossterm::terminal::size().map_err(TuiError::Terminal)?;
    Ok(Rect::new(0, 0, width, height))
}

fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // The terminal may be gone already; then there is nothing to give back. One that takes nothing (Ctrl-S) must not
        // keep us from ending.
        if writable() {
            let _ = send(LEAVE);
        }
        let _ = disable_raw_mode();
    }
}

fn writable() -> bool {
    let out = io::stdout();
    let mut fds = [PollFd::new(&out, PollFlags::OUT)];
    let patience = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };
    poll(&mut fds, Some(&patience)).is_ok_and(|ready| ready > 0)
}

fn send(codes: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(codes.as_bytes())?;
    out.flush()
}

/// A panic on any thread gives the terminal back before its message is printed.
fn hook_panics() {
    static HOOKED: std::sync::Once = std::sync::Once::new();
    HOOKED.call_once(|| {
        let printed = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            give_back();
            printed(info);
        }));
    });
}
