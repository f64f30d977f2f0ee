//! A program on a terminal of its own, played by us: what it writes is time-stamped and interpreted, also as it would
//! arrive over a bad link.

use std::{
    io::{Read as _, Write as _},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Columns and lines of every measurement.
pub(crate) const SIZE: (u16, u16) = (120, 40);
/// Asks whether a terminal is well (DSR).
const ASK: &[u8] = b"\x1b[5n";
/// What a packet of the simulated link carries, bytes.
const PACKET: usize = 64;
/// The send buffer of the simulated link, bytes: Linux's default at the beginning of a connection.
const BUFFER: f64 = 16.0 * 1024.0;

/// How bytes reach the person.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    /// Bytes a second; None: at once.
    pub(crate) rate: Option<f64>,
    /// Each way.
    pub(crate) delay: Duration,
}

impl Link {
    /// No link in between.
    pub(crate) const LOCAL: Self = Self { rate: None, delay: Duration::ZERO };
    /// 8 KiB a second and 150 ms there and back.
    pub(crate) const SLOW: Self = Self { rate: Some(8.0 * 1024.0), delay: Duration::from_millis(75) };
}

/// A running program and the screen that it has painted.
pub(crate) struct Program {
    child: Box<dyn Child + Send + Sync>,
    _master: Box<dyn MasterPty + Send>,
    /// What goes to the program, and when.
    keys: Sender<(Instant, Vec<u8>)>,
    /// The last bytes that arrived: a question may be cut in two.
    tail: Vec<u8>,
    packets: Receiver<(Instant, Vec<u8>)>,
    screen: vt100::Parser,
    link: Link,
    pub(crate) started: Instant,
    /// Bytes that have arrived.
    pub(crate) bytes: usize,
}

impl Program {
    /// Starts a program with variables added to the environment.
    pub(crate) fn start(argv: &[String], env: &[(String, String)], link: Link) -> Self {
        let size = PtySize { cols: SIZE.0, rows: SIZE.1, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(&argv[0]);
        command.args(&argv[1..]);
        command.env("TERM", "xterm-256color");
        command.env("LC_ALL", "C.UTF-8");
        for (name, value) in env {
            command.env(name, value);
        }
        let mut reader = pair.master.try_clone_reader().expect("a reader of the terminal");
        let mut writer = pair.master.take_writer().expect("a writer to the terminal");
        let (keys, pressed) = channel::<(Instant, Vec<u8>)>();
        thread::spawn(move || {
            for (due, bytes) in pressed {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                // It fails when the program has ended.
                let _ = writer.write_all(&bytes).and_then(|()| writer.flush());
            }
        });
        let (sender, packets) = channel();
        let started = Instant::now();
        let child = pair.slave.spawn_command(command).expect("the program starts");
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            let mut free_at = Instant::now();
            while let Ok(length @ 1..) = reader.read(&mut chunk) {
                let now = Instant::now();
                let Some(rate) = link.rate else {
                    if sender.send((now, chunk[..length].to_vec())).is_err() {
                        return;
                    }
                    continue;
                };
                for packet in chunk[..length].chunks(PACKET) {
                    free_at = free_at.max(now) + Duration::from_secs_f64(packet.len() as f64 / rate);
                    if sender.send((free_at + link.delay, packet.to_vec())).is_err() {
                        return;
                    }
                }
                // The far end is not read from while the send buffer is full.
                thread::sleep(
                    (free_at - Instant::now().min(free_at)).saturating_sub(Duration::from_secs_f64(BUFFER / rate)),
                );
            }
        });
        let size = |number| std::num::NonZero::new(number).expect("not 0");
        let screen = vt100::Parser::new(size(SIZE.1), size(SIZE.0), 0);
        Self { child, _master: pair.master, keys, tail: Vec::new(), packets, screen, link, started, bytes: 0 }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.process_id().expect("a process")
    }

    pub(crate) fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// Takes in what arrives until the screen is so; tells when it was. None: not within the time.
    pub(crate) fn until(&mut self, patience: Duration, so: impl Fn(&str) -> bool) -> Option<Instant> {
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.packets.recv_timeout(left) {
                Ok((at, bytes)) => {
                    thread::sleep(at.saturating_duration_since(Instant::now()));
                    self.bytes += bytes.len();
                    self.screen.process(&bytes);
                    self.answer(&bytes, at);
                    if so(&self.text()) {
                        return Some(at);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Answers the question whether the terminal is well, after the way back. A packet may end within one.
    fn answer(&mut self, bytes: &[u8], at: Instant) {
        self.tail.extend_from_slice(bytes);
        let asked = self.tail.windows(ASK.len()).filter(|window| *window == ASK).count();
        let kept = if self.tail.ends_with(ASK) { 0 } else { self.tail.len().min(ASK.len() - 1) };
        self.tail.drain(..self.tail.len() - kept);
        for _ in 0..asked {
            let _ = self.keys.send((at + self.link.delay, b"\x1b[0n".to_vec()));
        }
    }

    /// Lets time pass.
    pub(crate) fn rest(&mut self, duration: Duration) {
        let _ = self.until(duration, |_| false);
    }

    /// Presses keys; they take their time to the far end.
    pub(crate) fn press(&mut self, keys: &str) {
        let _ = self.keys.send((Instant::now() + self.link.delay, keys.as_bytes().to_vec()));
    }

    /// CPU time of all threads so far.
    pub(crate) fn cpu(&self) -> Duration {
        cpu(self.pid())
    }

    /// The most memory that it ever had, MiB.
    pub(crate) fn peak(&self) -> f64 {
        status(self.pid(), "VmHWM") / 1024.0
    }

    /// Ends it.
    pub(crate) fn quit(mut self, keys: &str) {
        self.press(keys);
        self.rest(Duration::from_millis(300));
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of all threads of a process so far, exact to a microsecond or so (`/proc/PID/task/*/schedstat`).
pub(crate) fn cpu(pid: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let spent = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(spent.sum())
}

/// A number of `/proc/PID/status`, KiB.
pub(crate) fn status(pid: u32, name: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

/// Processes that carry a variable in their environment, ourselves apart.
pub(crate) fn carrying(mark: &str) -> Vec<u32> {
    let carries = |pid: &u32| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|process| process.file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid != std::process::id()).filter(carries).collect()
}

/// Ends processes that we have started.
pub(crate) fn end(pids: &[u32]) {
    let known = pids.iter().filter_map(|pid| rustix::process::Pid::from_raw(i32::try_from(*pid).ok()?));
    for pid in known {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}
