//! Keeps what was measured in `telemetry.jsonl`, one sample a line, for the report. Lossy: it never holds the engine up.

use std::{
    fs::OpenOptions,
    io::{BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::Duration,
};

use crate::run::Sample;

/// How many samples wait for the disk before further ones are dropped.
const QUEUE: usize = 1024;
/// How long a sample waits in memory for others, wall time: the thread wakes once for all of them.
const GATHER: Duration = Duration::from_millis(250);

/// A writer on a thread of its own.
#[derive(Debug)]
pub(super) struct Telemetry(Option<SyncSender<Sample>>);

impl Telemetry {
    /// Appends to a file (mode 0600). Without the file the engine works all the same and says so in its log.
    pub(super) fn open(path: &Path) -> Self {
        let file = match OpenOptions::new().create(true).append(true).mode(0o600).open(path) {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "measurements are not kept");
                return Self(None);
            }
        };
        let (sender, receiver) = sync_channel(QUEUE);
        let writer = std::thread::Builder::new().name("telemetry".into());
        let spawned = writer.spawn(move || write_all(&receiver, BufWriter::new(file)));
        Self(spawned.is_ok().then_some(sender))
    }

    /// Keeps a sample, or drops it when the disk is slow.
    pub(super) fn write(&self, sample: &Sample) {
        if let Some(sender) = &self.0 {
            // Full: this stream may lose what the journal may not.
            let _ = sender.try_send(sample.clone());
        }
    }
}

fn write_all(samples: &Receiver<Sample>, mut file: BufWriter<std::fs::File>) {
    let mut failing = false;
    while let Ok(first) = samples.recv() {
        std::thread::sleep(GATHER);
        let result = [first].into_iter().chain(samples.try_iter()).try_for_each(|sample| write(&mut file, &sample));
        let result = result.and_then(|()| file.flush());
        if let Err(error) = &result
            && !failing
        {
            tracing::warn!(%error, "measurements are not kept");
        }
        failing = result.is_err();
    }
}

fn write(file: &mut BufWriter<std::fs::File>, sample: &Sample) -> std::io::Result<()> {
    serde_json::to_writer(&mut *file, sample)?;
    file.write_all(b"\n")
}
