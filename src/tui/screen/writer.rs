//! Frames on their way to the terminal.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
};

use rustix::fs::{Mode, OFlags};
use tokio::io::unix::AsyncFd;

/// Writes frames, and never waits for the terminal: one that does not drain keeps neither keys nor signals waiting.
///
/// It holds one frame: the next is drawn only when the last has left, so that frames are dropped rather than queued.
#[derive(Debug)]
pub(in crate::tui) struct Writer {
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
    pub(in crate::tui) fn stdout() -> io::Result<Self> {
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
    pub(in crate::tui) const fn free(&self) -> bool {
        !self.busy
    }

    /// Hands a frame over; only when [`Writer::free`]. It may have left already.
    pub(in crate::tui) fn write(&mut self, frame: Vec<u8>) {
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
    pub(in crate::tui) async fn drained(&mut self) -> io::Result<()> {
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
    use super::*;

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
}
