//! The engine's own writer of the log, on a disk that fails, on machines that take over from each other.

use std::{cell::RefCell, path::PathBuf, rc::Rc, sync::Arc};

use cutover::{
    clock::Clock,
    engine::{Scribe, SubmitError},
    journal::{AppendError, Journal, Reader},
    plan::Plan,
    run::{Ask, Command, Event, Report, State},
};
use jiff::Timestamp;
use tempfile::TempDir;

use super::{
    disk::Disk,
    sim::{Log, Wrote},
    tracker::{Counts, count},
};

/// Everything that writes.
pub(crate) struct Engines {
    plan: Arc<Plan>,
    pub(crate) disk: Disk,
    folder: TempDir,
    acting: Scribe,
    machine: u32,
    /// Engines that were taken over from and do not know it yet.
    losers: Vec<Scribe>,
    pub(crate) counts: Counts,
}

/// The acting one of them, as a log.
pub(crate) struct Acting(pub(crate) Rc<RefCell<Engines>>);

impl Engines {
    pub(crate) fn begin(plan: &Plan) -> Self {
        let (plan, disk) = (Arc::new(plan.clone()), Disk::new());
        let journal = Journal::on("simulated", disk.of(0));
        let acting = Scribe::new(Arc::clone(&plan), Clock::real(), State::default(), journal);
        let folder = tempfile::Builder::new().tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        Self { plan, disk, folder, acting, machine: 0, losers: Vec::new(), counts: Counts::new() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("journal.jsonl")
    }

    /// What the disk holds, to the last whole line.
    pub(crate) fn read(&self) -> (Vec<Event>, Reader) {
        self.disk.dump(&self.path());
        let mut reader = Reader::open(self.path()).unwrap();
        let events = reader.by_ref().map(Result::unwrap).collect();
        (events, reader)
    }

    /// An engine on `machine` takes up what is on disk.
    fn take_up(&mut self, machine: u32) {
        let (events, reader) = self.read();
        self.disk.cut(reader.bytes());
        let mut state = State::default();
        events.iter().for_each(|event| state.apply(event).unwrap());
        let disk = self.disk.clone();
        let (journal, _) = Journal::resume_on(reader, |_| disk.of(machine)).unwrap();
        let next = Scribe::new(Arc::clone(&self.plan), Clock::real(), state, journal);
        let before = std::mem::replace(&mut self.acting, next);
        if machine != self.machine {
            self.losers.push(before);
            self.losers.truncate(3);
        }
        self.machine = machine;
    }

    /// Another machine takes over. The caller starts its engine.
    pub(crate) fn take_over(&mut self) {
        count(&mut self.counts, "takeovers");
        self.disk.claim(self.machine + 1);
        self.take_up(self.machine + 1);
    }

    /// The state of the engine that acts.
    pub(crate) fn state(&self) -> &State {
        self.acting.state()
    }

    /// An engine that was taken over from still has people who ask it for things: it writes nothing.
    pub(crate) fn loser_tries(&mut self, command: &Command) {
        let Some(loser) = self.losers.last_mut() else { return };
        let before = loser.state().seq;
        assert!(matches!(loser.check(), Err(AppendError::Lost { .. })), "it does not know that it lost");
        match loser.submit_at(command.at, command.by.clone(), command.ask.clone()) {
            Ok(events) => assert!(events.is_empty(), "two engines act: {events:?}"),
            Err(SubmitError::Refused(_)) => {}
            Err(SubmitError::Journal(AppendError::Lost { winner, .. })) => {
                assert_eq!(winner.pid, self.machine, "it names another winner");
                count(&mut self.counts, "writes of a loser refused");
            }
            Err(error) => panic!("{error}"),
        }
        assert_eq!(loser.state().seq, before);
    }
}

impl Log for Acting {
    fn write(&mut self, _plan: &Plan, state: &State, command: &Command) -> Wrote {
        let mut engines = self.0.borrow_mut();
        let engines = &mut *engines;
        assert_eq!(engines.acting.state().seq, state.seq, "what was lived and what was written part ways");
        let result = engines.acting.submit_at(command.at, command.by.clone(), command.ask.clone());
        match result {
            Ok(events) => Wrote::Events(events),
            Err(SubmitError::Refused(refusal)) => {
                assert!(!refusal.0.is_empty());
                Wrote::Refused
            }
            Err(SubmitError::Journal(_)) if engines.disk.dead() => Wrote::Refused,
            Err(SubmitError::Journal(AppendError::Io { .. })) => {
                count(&mut engines.counts, "full disks");
                assert_eq!(engines.acting.state().seq, state.seq, "what was not written happened");
                // The disk has room again, and what the executor saw is not lost. Time passes by itself, and what was
                // read for an act is read again.
                let mut said = engines.acting.catch_up_at(command.at).unwrap();
                let again = |report: &Report| matches!(report, Report::Passed | Report::Reread { .. });
                let report = matches!(&command.ask, Ask::Report(report) if !again(report));
                assert!(said.len() <= 1 && engines.acting.waiting() == 0);
                match said.pop() {
                    Some((_, events)) => {
                        count(&mut engines.counts, "reports said again");
                        Wrote::Events(events)
                    }
                    None => {
                        assert!(!report, "a report was forgotten: {command:?}");
                        Wrote::Refused
                    }
                }
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// A clock that is set back goes on from where it was (see `clock`).
    fn time(&self, at: Timestamp, state: &State) -> Timestamp {
        state.at.map_or(at, |last| last.max(at))
    }

    fn died(&mut self, known: u64) -> Option<Vec<Event>> {
        let mut engines = self.0.borrow_mut();
        if !engines.disk.died() {
            return None;
        }
        count(&mut engines.counts, "crashes");
        let machine = engines.machine;
        engines.take_up(machine);
        let (events, _) = engines.read();
        let survivors: Vec<_> = events.into_iter().filter(|event| event.seq > known).collect();
        Some(survivors)
    }
}
