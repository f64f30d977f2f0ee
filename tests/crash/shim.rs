//! The test's end of `shim.c`: hears of every write of the journal before it happens, and decides what becomes of it.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::{
        fs::FileExt as _,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    thread,
};

use tempfile::TempDir;

/// What becomes of a write, or of what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// As if nobody had asked.
    Go,
    /// So many bytes reach the file, then the engine dies.
    Kill(u32),
    /// So many bytes reach the file, then the disk is full.
    Full(u32),
    /// An I/O error; after a write it is the fsync that fails.
    Broken,
}

/// Decides about every write of one engine's journal.
pub(crate) trait Fate: Send {
    /// `lines` are about to be written.
    fn writes(&mut self, lines: &[u8]) -> Answer;
    /// What was about to be written is on disk.
    fn synced(&mut self) -> Answer;
}

/// The shim's library, compiled once; the folder goes with the process.
static LIBRARY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();

/// A place where engines ask for their fate.
pub(crate) struct Shim {
    socket: PathBuf,
    clock: fs::File,
    clock_path: PathBuf,
}

impl Shim {
    /// Listens in `folder`; every engine that connects meets `fate`.
    pub(crate) fn listen(folder: &Path, fate: Arc<Mutex<dyn Fate>>) -> Self {
        let socket = folder.join("shim.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        thread::spawn(move || {
            // One engine at a time: the next one connects when the last is dead.
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                // Its end is the engine's.
                let _ = converse(stream, &fate);
            }
        });
        let clock_path = folder.join("clock");
        let clock = fs::File::options().read(true).write(true).create(true).truncate(true).open(&clock_path).unwrap();
        clock.write_all_at(&0_i64.to_ne_bytes(), 0).unwrap();
        Self { socket, clock, clock_path }
    }

    /// Sets the engine's wall clock off by so many seconds, from now on.
    pub(crate) fn set_clock_off(&self, seconds: i64) {
        self.clock.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    /// Puts the shim under a program that is about to start.
    pub(crate) fn under(&self, command: &mut Command) {
        let (_, library) = LIBRARY.get_or_init(compile);
        command
            .env("LD_PRELOAD", library)
            .env("CUTOVER_SHIM", &self.socket)
            .env("CUTOVER_SHIM_CLOCK", &self.clock_path);
    }
}

fn compile() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("shim.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crash/shim.c");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&library).args([source, "-ldl"]);
    let output = cc.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (folder, library)
}

fn converse(mut stream: UnixStream, fate: &Mutex<dyn Fate>) -> io::Result<()> {
    loop {
        let (mut head, mut length) = ([0; 1], [0; 4]);
        stream.read_exact(&mut head)?;
        stream.read_exact(&mut length)?;
        let mut bytes = vec![0; u32::from_ne_bytes(length) as usize];
        stream.read_exact(&mut bytes)?;
        let answer = {
            let mut fate = fate.lock().unwrap_or_else(PoisonError::into_inner);
            if head == *b"w" { fate.writes(&bytes) } else { fate.synced() }
        };
        let (word, count) = match answer {
            Answer::Go => (b'g', 0),
            Answer::Kill(count) => (b'k', count),
            Answer::Full(count) => (b'f', count),
            Answer::Broken => (b'e', 0),
        };
        stream.write_all(&[word])?;
        stream.write_all(&count.to_ne_bytes())?;
    }
}
