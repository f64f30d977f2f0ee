//! A PTY with the program in it: keys go in, a terminal emulator reads what comes out.

use std::{
    io::{Read, Write},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use cutover::clock::monotonic;
use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};

/// Columns and lines.
pub(crate) type Size = (u16, u16);

/// How long anything on the screen is waited for, wall time: generous, because two cores may have a build to do beside.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than two keys of one burst are apart (25 ms), so that each counts as a finger's.
const BETWEEN_KEYS: Duration = Duration::from_millis(45);
pub(crate) const POLL: Duration = Duration::from_millis(20);
/// What is about to be decided is looked at for so long: more than the cockpit wants (700 ms).
pub(crate) const LOOK: Duration = Duration::from_millis(850);

/// What the keys are called that send more than a letter.
pub(crate) mod key {
    pub(crate) const ENTER: &str = "\r";
    pub(crate) const ESC: &str = "\x1b";
    pub(crate) const SPACE: &str = " ";
    /// The second key of a gate and of every question.
    pub(crate) const CONSENT: &str = "e";
}

/// What goes to the program, and whom to tell once it has gone.
type Typed = (Vec<u8>, Option<Sender<()>>);

/// What answers when the terminal is asked whether it is well, as all of the xterm family do; None: it never answers.
struct Well(Option<Sender<Typed>>);

impl vt100::Callbacks for Well {
    fn unhandled_csi(
        &mut self,
        _: &mut vt100::Screen,
        private: Option<u8>,
        _: Option<u8>,
        asked: &[&[u16]],
        last: char,
    ) {
        if (private, asked, last) == (None, &[&[5]], 'n') {
            let _ = self.0.as_ref().map(|keyboard| keyboard.send((b"\x1b[0n".to_vec(), None)));
        }
    }
}

/// Everything that came out of the program.
struct Output {
    emulator: vt100::Parser<Well>,
    /// All bytes, to look for what an emulator does not keep.
    bytes: Vec<u8>,
}

/// The program in its terminal. Dropping it kills the program, as a terminal that is closed.
pub(crate) struct Terminal {
    master: Option<Box<dyn MasterPty + Send>>,
    keyboard: Option<Sender<Typed>>,
    child: Box<dyn Child + Send + Sync>,
    output: Arc<Mutex<Output>>,
    hung_up: Arc<AtomicBool>,
    /// Terminal settings before the program ran.
    settings: String,
}

impl Terminal {
    /// Starts a command in a terminal of this size.
    pub(crate) fn open(mut command: CommandBuilder, (columns, lines): Size) -> Self {
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        command.env("TZ", "UTC");
        let pair = native_pty_system().openpty(pty_size((columns, lines))).unwrap();
        let settings = settings_of(&*pair.master);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let writer = pair.master.take_writer().unwrap();
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let (keyboard, typed) = channel();
        thread::spawn(move || type_on(writer, &typed));
        let well = Well(Some(keyboard.clone()));
        let (rows, cols) = (lines.try_into().unwrap(), columns.try_into().unwrap());
        let emulator = vt100::Parser::new_with_callbacks(rows, cols, 0, well);
        let output = Arc::new(Mutex::new(Output { emulator, bytes: Vec::new() }));
        let hung_up = Arc::new(AtomicBool::new(false));
        let (sink, stop) = (output.clone(), hung_up.clone());
        thread::spawn(move || {
            let mut chunk = [0; 16 * 1024];
            while !stop.load(Ordering::SeqCst) {
                match reader.read(&mut chunk) {
                    Ok(0) | Err(_) => break,
                    Ok(length) => {
                        let mut output = sink.lock().unwrap();
                        output.emulator.process(&chunk[..length]);
                        output.bytes.extend_from_slice(&chunk[..length]);
                    }
                }
            }
        });
        Self { master: Some(pair.master), keyboard: Some(keyboard), child, output, hung_up, settings }
    }

    fn output(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap()
    }

    /// What the screen shows, one line a row.
    pub(crate) fn text(&self) -> String {
        self.output().emulator.screen().contents()
    }

    /// Waits until the screen satisfies.
    pub(crate) fn wait(&self, what: &str, mut satisfies: impl FnMut(&str) -> bool) {
        let begun = monotonic();
        while !satisfies(&self.text()) {
            assert!(begun.elapsed() < PATIENCE, "the screen never showed {what}:\n{}", self.text());
            thread::sleep(POLL);
        }
    }

    /// Waits until the screen shows these words.
    pub(crate) fn wait_for(&self, words: &str) {
        self.wait(words, |text| text.contains(words));
    }

    /// Reads what is about to be decided until the screen no longer asks for that: the cockpit's own clock begins when the
    /// terminal has taken the frame, which is late on a busy machine.
    pub(crate) fn until_read(&self) {
        thread::sleep(LOOK);
        self.wait("that it was read", |text| !text.contains("read it first"));
    }

    /// Sends bytes as they are, all at once. A terminal that is gone takes nothing.
    pub(crate) fn send(&mut self, bytes: &str) {
        if let Some(keyboard) = &self.keyboard {
            let (gone, until_gone) = channel();
            let _ = keyboard.send((bytes.as_bytes().to_vec(), Some(gone)));
            let _ = until_gone.recv();
        }
    }

    /// Presses one key, as a finger does: with quiet before and after.
    pub(crate) fn press(&mut self, key: &str) {
        thread::sleep(BETWEEN_KEYS);
        self.send(key);
        thread::sleep(BETWEEN_KEYS);
    }

    /// Types letter by letter.
    pub(crate) fn type_in(&mut self, text: &str) {
        for letter in text.chars() {
            self.press(letter.encode_utf8(&mut [0; 4]));
        }
    }

    /// Changes the size of the terminal.
    pub(crate) fn resize(&self, (columns, lines): Size) {
        let mut output = self.output();
        output.emulator.screen_mut().set_size(lines.try_into().unwrap(), columns.try_into().unwrap());
        drop(output);
        self.master.as_ref().unwrap().resize(pty_size((columns, lines))).unwrap();
    }

    /// Sends the program a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.child.process_id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// The file of the program that runs now.
    pub(crate) fn program(&self) -> std::path::PathBuf {
        std::fs::read_link(format!("/proc/{}/exe", self.child.process_id().unwrap())).unwrap()
    }

    /// Waits until the program is stopped, as its shell does.
    pub(crate) fn until_stopped(&self) {
        let (pid, begun) = (self.child.process_id().unwrap(), monotonic());
        let stopped = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
        };
        while !stopped() {
            assert!(begun.elapsed() < PATIENCE, "the program is not stopped:\n{}", self.text());
            thread::sleep(POLL);
        }
        // What it wrote last is still on its way through the terminal.
        thread::sleep(Duration::from_millis(200));
    }

    /// What a shell does with the terminal of a program that was stopped under its hands: settings, screen and modes are
    /// to its own liking again.
    pub(crate) fn cook(&self) {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let path = self.master.as_ref().unwrap().tty_name().unwrap();
        let tty = std::fs::File::open(path).unwrap();
        let mut settings = tcgetattr(&tty).unwrap();
        settings.local_modes |= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        tcsetattr(&tty, OptionalActions::Now, &settings).unwrap();
        self.output().emulator.process(b"\x1b[2J\x1b[?1049l\x1b[2J\x1b[?25h\x1b[?2004l$ ");
    }

    /// Waits until the program has the terminal: raw, its own screen, no cursor, pasted text told apart. What it had begun
    /// to draw when it was stopped may come before that.
    pub(crate) fn until_taken(&self) {
        let begun = monotonic();
        while !self.taken() {
            assert!(begun.elapsed() < PATIENCE, "the terminal is not taken again:\n{}", self.text());
            thread::sleep(POLL);
        }
    }

    fn taken(&self) -> bool {
        use rustix::termios::{LocalModes, tcgetattr};
        let path = self.master.as_ref().unwrap().tty_name().unwrap();
        let modes = tcgetattr(std::fs::File::open(path).unwrap()).unwrap().local_modes;
        let output = self.output();
        let screen = output.emulator.screen();
        !modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
            && screen.alternate_screen()
            && screen.hide_cursor()
            && screen.bracketed_paste()
    }

    /// From now on the terminal does not answer.
    pub(crate) fn fall_mute(&self) {
        self.output().emulator.callbacks_mut().0 = None;
    }

    /// Closes the terminal, as a window that is closed: no byte goes in or out any more.
    pub(crate) fn hang_up(&mut self) {
        self.hung_up.store(true, Ordering::SeqCst);
        // The reader holds the terminal open until it reads something more; the clock of the cockpit sees to that.
        self.fall_mute();
        self.keyboard = None;
        self.master = None;
    }

    /// Waits for the program's end.
    pub(crate) fn exit(&mut self) -> ExitStatus {
        let begun = monotonic();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // What it wrote last is still on its way through the terminal.
                thread::sleep(Duration::from_millis(200));
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the program does not end:\n{}", self.text());
            thread::sleep(POLL);
        }
    }

    /// Whether it has ended.
    pub(crate) fn ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Asserts that the terminal is as it was before the program took it.
    pub(crate) fn assert_given_back(&self) {
        let output = self.output();
        let screen = output.emulator.screen();
        assert!(!screen.alternate_screen(), "it is still on the alternate screen");
        assert!(!screen.hide_cursor(), "the cursor is still hidden");
        assert!(!screen.bracketed_paste(), "pasted text is still bracketed");
        let bytes = String::from_utf8_lossy(&output.bytes);
        let (pushed, popped) = (bytes.matches("\x1b[>31u").count(), bytes.matches("\x1b[<u").count());
        assert_eq!(pushed, popped, "the keyboard protocol is pushed {pushed} times and popped {popped} times");
        assert_eq!(settings_of(&**self.master.as_ref().unwrap()), self.settings, "the terminal's settings differ");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes what is typed and what the terminal answers to the program, in this order. Whoever reads the screen never waits
/// for a program that does not read its keys: it may be busy with the screen.
fn type_on(mut keys: Box<dyn Write + Send>, typed: &Receiver<Typed>) {
    for (bytes, gone) in typed {
        let _ = keys.write_all(&bytes).and_then(|()| keys.flush());
        drop(gone);
    }
}

fn pty_size((cols, rows): Size) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

fn settings_of(master: &(dyn MasterPty + Send)) -> String {
    format!("{:?}", master.get_termios().unwrap())
}
