//! Reading the log of a storage: from its first object to the newest, and on as it grows.

use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::Timestamp;

use super::{
    super::{
        line::{Flaw, LineError, Tip, decode},
        reader::ReadError,
    },
    Remote, RemoteError, Writer,
    bucket::Object,
};
use crate::run::Event;

/// How many objects are asked for at once.
const AT_ONCE: usize = 32;

/// What the next object was.
#[derive(Debug)]
pub enum Step {
    /// It is not there yet.
    Nothing,
    /// What happened; nothing at all for a heartbeat or a claim.
    Events(Vec<Event>),
    /// The events that were given last do not count: begin again with a new trail.
    Void,
}

/// How far the log was read.
#[derive(Debug)]
pub struct Trail {
    remote: Remote,
    tip: Tip,
    read: u64,
    last: Option<(Writer, Timestamp)>,
    /// The newest object with events: it may turn out to be void.
    told: u64,
    lines: Vec<u8>,
}

impl Trail {
    /// Begins before the first object.
    #[must_use]
    pub fn new(remote: &Remote) -> Self {
        Self { remote: remote.clone(), tip: Tip::start(), read: 0, last: None, told: 0, lines: Vec::new() }
    }

    /// Reads everything that is there now. What was void is left out.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn whole(remote: &Remote) -> Result<(Self, Vec<Event>), RemoteError> {
        let mut objects = Vec::new();
        loop {
            let from = objects.len() as u64 + 1;
            let numbers = from..from + AT_ONCE as u64;
            let found: Vec<_> = futures_util::stream::iter(numbers)
                .map(|number| remote.object(number))
                .buffered(AT_ONCE)
                .collect()
                .await;
            let before = objects.len();
            for object in found {
                match object? {
                    Some(object) => objects.push(object),
                    None => break,
                }
            }
            if objects.len() - before < AT_ONCE {
                break;
            }
        }
        let void: Vec<u64> = objects.iter().flat_map(|object| object.head.void.iter().copied()).collect();
        let (mut trail, mut events) = (Self::new(remote), Vec::new());
        for object in objects {
            if void.contains(&object.head.object) {
                trail.read = object.head.object;
            } else {
                events.extend(trail.take(&object)?);
            }
        }
        Ok((trail, events))
    }

    /// Reads the next object.
    ///
    /// # Errors
    /// See [`RemoteError`]; it can be asked again.
    pub async fn next(&mut self) -> Result<Step, RemoteError> {
        let Some(object) = self.remote.object(self.read + 1).await? else { return Ok(Step::Nothing) };
        if object.head.void.contains(&self.told) {
            return Ok(Step::Void);
        }
        self.take(&object).map(Step::Events)
    }

    fn take(&mut self, object: &Object) -> Result<Vec<Event>, RemoteError> {
        let mut events = Vec::new();
        for line in object.lines.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let event = decode(&mut self.tip, line).map_err(|error| self.wrong(object.head.object, error))?;
            events.push(event);
        }
        if !events.is_empty() {
            self.told = object.head.object;
        }
        self.lines.extend_from_slice(&object.lines);
        self.read = object.head.object;
        self.last = Some((object.head.writer.clone(), object.stored));
        Ok(events)
    }

    fn wrong(&self, number: u64, error: LineError) -> RemoteError {
        let place = self.remote.place(number);
        match error {
            LineError::Short(error) => RemoteError::Flawed { place, flaw: Flaw::Garbled(error) },
            LineError::Flawed(flaw) => RemoteError::Flawed { place, flaw },
            LineError::Newer(found) => {
                RemoteError::Local(ReadError::Newer { path: place.into(), line: self.tip.seq + 1, found })
            }
        }
    }

    /// Number of the newest object that was read.
    #[must_use]
    pub const fn read(&self) -> u64 {
        self.read
    }

    /// Who wrote the newest object.
    #[must_use]
    pub fn writer(&self) -> Option<&Writer> {
        self.last.as_ref().map(|(writer, _)| writer)
    }

    /// How long ago the newest object was stored, by the storage's clock against this machine's.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let (_, stored) = self.last.as_ref()?;
        Some(Duration::try_from(crate::clock::wall_now().duration_since(*stored)).unwrap_or_default())
    }

    /// All lines of the journal so far.
    pub(super) fn lines(&self) -> &[u8] {
        &self.lines
    }
}
