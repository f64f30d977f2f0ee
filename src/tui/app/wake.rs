//! What the loop waits for.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    signal::unix::{Signal, SignalKind, signal},
    time::sleep_until,
};

use super::super::{Exit, input::Batch};
use crate::{
    clock::{monotonic, until_the_second_turns},
    session::News,
};

/// So long after the second has turned the hand moves by itself: the engine tells what it measured just then, and a cockpit
/// that hears of both at once wakes for both at once.
const GRACE: Duration = Duration::from_millis(4);

/// What woke the loop.
pub(super) enum Wake {
    Signal(Exit),
    Suspended,
    Continued,
    Resized,
    Keys(Batch),
    Written(std::io::Result<()>),
    News(Option<News>),
    Deadline,
    Tick,
}

/// What the system tells a process.
pub(super) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    resize: Signal,
    stop: Signal,
    cont: Signal,
}

impl Signals {
    /// Listens to all of them.
    ///
    /// # Errors
    /// If one cannot be listened to.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            resize: signal(SignalKind::window_change())?,
            stop: signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?,
            cont: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
        })
    }

    /// The next one. Cancel-safe.
    pub(super) async fn next(&mut self) -> Wake {
        tokio::select! {
            _ = self.hangup.recv() => Wake::Signal(Exit::Hangup),
            _ = self.terminate.recv() => Wake::Signal(Exit::Terminated),
            _ = self.interrupt.recv() => Wake::Signal(Exit::Terminated),
            _ = self.resize.recv() => Wake::Resized,
            _ = self.stop.recv() => Wake::Suspended,
            _ = self.cont.recv() => Wake::Continued,
        }
    }
}

/// Sleeps until then; never returns without a time.
pub(super) async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// The second hand of the wall.
///
/// A timer of the kernel's, not tokio's: for one of those the loop wakes twice, first when it comes within reach and then
/// when it is due, and once more when it is set. That was half of what a cockpit costs in which only the clock ticks.
pub(super) struct SecondHand {
    timer: AsyncFd<OwnedFd>,
    /// When the second turns that it is set for.
    set: Option<Instant>,
}

impl SecondHand {
    /// It begins to move with the first [`Self::next`].
    ///
    /// # Errors
    /// If the system has no timer for us.
    #[expect(
        deprecated,
        reason = "its successor is unsafe, for types whose descriptor may change; an OwnedFd's does not"
    )]
    pub(super) fn new() -> std::io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Self { timer: AsyncFd::with_interest(timer, Interest::READABLE)?, set: None })
    }

    /// Waits until it moves. Cancel-safe.
    ///
    /// The wall's clock is looked at for each second anew: it may be set, and the machine may sleep.
    pub(super) async fn next(&mut self) {
        if self.set.is_none() {
            let left = until_the_second_turns();
            let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
            let value = Timespec::try_from(left + GRACE).unwrap_or(zero);
            let once = Itimerspec { it_interval: zero, it_value: value };
            let set = timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &once).is_ok();
            self.set = set.then(|| monotonic() + left);
        }
        // Setting it anew takes back that it has run out: it need not be read.
        match self.timer.readable().await {
            Ok(mut ready) => ready.clear_ready(),
            // The runtime ends.
            Err(_) => std::future::pending().await,
        }
        self.set = None;
    }

    /// Whether the second has turned that it is set for; then it has moved, and is set for the next one.
    pub(super) fn moves(&mut self) -> bool {
        self.set.take_if(|turns| monotonic() >= *turns).is_some()
    }
}
