//! What the loop waits for.

use std::time::{Duration, Instant};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep_until,
};

use super::super::{Exit, input::Batch};
use crate::{clock::wall_now, session::News};

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

/// Sleeps until the second hand of the wall moves.
pub(super) async fn next_second(now: Instant) {
    let into = Duration::from_nanos(u64::try_from(wall_now().subsec_nanosecond()).unwrap_or(0));
    sleep_until((now + Duration::from_secs(1).saturating_sub(into)).into()).await;
}
