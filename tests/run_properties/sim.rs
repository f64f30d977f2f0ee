//! One session played: commands go in, the fold and the tracker see what they lead to, effects come back later.

use cutover::{
    plan::{Plan, Side, StepId},
    run::{
        Actor, Answer, Ask, Change, Command, Direction, Effect, Event, Observation, Operator, Outcome, Preview,
        RdsChange, Report, Request, Seat, State, Target, Trouble, VerdictKind, due, effect, observe, recovery,
    },
};
use jiff::{SignedDuration, Timestamp};

use super::{
    tracker::{Tracker, count},
    world::{World, trouble},
};

/// How the world behaves in one act: 0 is well.
pub(crate) type Luck = u8;

/// What became of a command.
pub(crate) enum Wrote {
    /// It led to these, which are on disk.
    Events(Vec<Event>),
    /// It may not be.
    Refused,
}

/// Decides commands and keeps what they lead to.
pub(crate) trait Log {
    fn write(&mut self, plan: &Plan, state: &State, command: &Command) -> Wrote;

    /// What time it is for the engine when the machine says `at`.
    fn time(&self, at: Timestamp, _state: &State) -> Timestamp {
        at
    }

    /// What reached the disk although the engine died of writing it, if it did: asked after each command.
    fn died(&mut self, _known: u64) -> Option<Vec<Event>> {
        None
    }
}

pub(crate) struct Sim {
    pub(crate) plan: Plan,
    pub(crate) world: World,
    pub(crate) state: State,
    pub(crate) events: Vec<Event>,
    pub(crate) tracker: Tracker,
    /// What the engine was told to do and has not reported yet.
    pub(crate) pending: Vec<Effect>,
    pub(crate) at: Timestamp,
    log: Box<dyn Log>,
    conns: u64,
}

impl Sim {
    pub(crate) fn new(plan: Plan, log: Box<dyn Log>) -> Self {
        let mut sim = Self {
            world: World::new(&plan),
            tracker: Tracker::new(&plan),
            state: State::default(),
            events: Vec::new(),
            pending: Vec::new(),
            at: "2026-01-01T00:00:00Z".parse().unwrap(),
            log,
            conns: 0,
            plan,
        };
        sim.report(Report::Begin { session: "s".into(), speed: 1.0 });
        sim.report(Report::Started { pid: 1, host: "h".into(), version: "v".into() });
        sim.attach(1000, Seat::Driver);
        sim.attach(1001, Seat::Confirmer);
        sim.look_around();
        sim
    }

    /// Decides and folds; None: refused, or not written.
    pub(crate) fn submit(&mut self, by: Actor, ask: Ask) -> Option<usize> {
        self.at = self.log.time(self.at, &self.state);
        let command = Command { at: self.at, by, ask };
        count(&mut self.tracker.counts, "commands");
        let wrote = self.log.write(&self.plan, &self.state, &command);
        if let Some(survivors) = self.log.died(self.state.seq) {
            // What of it is on disk has happened, and nobody did what it asked for.
            self.fold(&command, &survivors);
            self.tracker.events(&command, &survivors);
            self.restart(self.events.len().is_multiple_of(2));
            return None;
        }
        let Wrote::Events(events) = wrote else {
            count(&mut self.tracker.counts, "refused");
            return None;
        };
        self.fold(&command, &events);
        self.tracker.take(&command, &events);
        for event in &events {
            self.pending.extend(effect(&self.plan, &self.state, event));
        }
        assert!(self.state.log.len() <= cutover::run::LOG_LENGTH, "the fold grows with the journal");
        Some(events.len())
    }

    fn fold(&mut self, command: &Command, events: &[Event]) {
        for event in events {
            if let Err(illegal) = self.state.apply(event) {
                panic!("decide and apply disagree: {illegal} at {event:?}\nafter {command:?}");
            }
            self.events.push(event.clone());
        }
    }

    pub(crate) fn report(&mut self, report: Report) {
        self.submit(Actor::Engine, Ask::Report(report));
    }

    /// A person asks, and the engine does what needs no event.
    pub(crate) fn ask(&mut self, who: &Operator, request: Request) -> bool {
        let events = self.submit(Actor::Operator(who.clone()), Ask::Person(request.clone()));
        match (events, request) {
            (Some(_), Request::Observe { step }) => self.pending.extend(observe(&self.state, &step)),
            (Some(_), Request::Look { step, direction }) => self.look(&step, direction, 0),
            (Some(0), Request::Stop { step }) => {
                let sent = |e: &Effect| matches!(e, Effect::Apply { step: theirs, .. } if *theirs == step);
                if let Some(index) = self.pending.iter().position(sent) {
                    self.perform(index, 250);
                }
            }
            _ => {}
        }
        events.is_some()
    }

    pub(crate) fn attach(&mut self, uid: u32, seat: Seat) -> Operator {
        self.conns += 1;
        let operator = Operator::new(self.conns, format!("op{}", self.conns), uid);
        self.submit(Actor::Operator(operator.clone()), Ask::Report(Report::Attached(seat)));
        operator
    }

    /// A person of those attached, by any number.
    pub(crate) fn person(&self, index: u8) -> Operator {
        let known = self.state.operators.get(usize::from(index) % self.state.operators.len().max(1));
        known.map_or_else(|| Operator::new(999, "nobody", 0), |(operator, _)| operator.clone())
    }

    pub(crate) fn id(&self, index: u8) -> StepId {
        self.plan.steps[usize::from(index) % self.plan.steps.len()].id.clone()
    }

    pub(crate) fn wait(&mut self, seconds: i64) {
        self.at += SignedDuration::from_secs(seconds);
        self.report(Report::Passed);
        let due: Vec<_> = due(&self.plan, &self.state, self.at).collect();
        self.pending.extend(due.into_iter().filter(|effect| !self.pending.contains(effect)).collect::<Vec<_>>());
    }

    /// The engine dies and another takes over; what was on its way may have arrived.
    pub(crate) fn restart(&mut self, arrived: bool) {
        for lost in std::mem::take(&mut self.pending) {
            if let (Effect::Apply { change, .. }, true) = (lost, arrived) {
                self.world.send(&change);
            }
        }
        self.report(Report::Started { pid: 2, host: "h".into(), version: "v".into() });
        let unknown: Vec<_> = recovery(&self.state).filter(|effect| !self.pending.contains(effect)).collect();
        self.pending.extend(unknown);
    }

    /// The exact change, as the world says; out of luck: otherwise, or not at all.
    fn preview(&self, id: &StepId, direction: Direction, luck: Luck) -> Result<Preview, Trouble> {
        let step = self.plan.step(id).unwrap();
        let mut preview = match direction {
            Direction::Forward => self.world.forward(&self.plan, step),
            Direction::Back => self.world.back(self.state.step(id).unwrap()),
        };
        match luck {
            // Somebody has changed what stands there.
            200..=225 => preview.parts.iter_mut().for_each(|part| drift(&mut part.change)),
            226..=235 => return Err(trouble("throttled")),
            236..=240 => preview.parts.clear(),
            241..=245 => preview.parts.extend(preview.parts.clone()),
            _ => {}
        }
        Ok(preview)
    }

    pub(crate) fn look(&mut self, id: &StepId, direction: Direction, luck: Luck) {
        let result = self.preview(id, direction, luck);
        self.report(Report::Previewed { step: id.clone(), direction, result });
    }

    /// Does one of the things that the engine was told to do.
    pub(crate) fn perform(&mut self, index: usize, luck: Luck) {
        match self.pending.remove(index) {
            Effect::Reread { step, direction, gate, part } => {
                let result = self.preview(&step, direction, luck);
                self.report(Report::Reread { step, gate, part, result });
            }
            Effect::Apply { step, attempt, part, change, .. } => {
                let outcome = self.apply(&change, luck);
                self.report(Report::Ended { step, attempt, part, outcome });
            }
            Effect::Observe { step, attempt, part, change, accepted } => {
                let observation = match luck {
                    200.. => Observation::Unknown { reason: format!("no answer {}", luck % 3) },
                    _ => match self.world.observe(&change, accepted) {
                        Observation::Done if luck >= 190 => Observation::Unfinished { left: "a rest".into() },
                        seen => seen,
                    },
                };
                self.report(Report::Observed { step, attempt, part, observation });
            }
        }
    }

    fn apply(&mut self, change: &Change, luck: Luck) -> Outcome {
        if !matches!(luck, 200..=215 | 230..=239 | 250..=252) {
            self.world.send(change);
        }
        match luck {
            200..=215 => Outcome::Failed { trouble: trouble("no") },
            216..=239 => Outcome::InDoubt { trouble: trouble("the answer was lost") },
            245.. => Outcome::Stopped,
            _ => Outcome::Done { in_sync: Some(self.at), summary: "accepted".into() },
        }
    }

    /// Everything outside is reported as it is, and all is well.
    pub(crate) fn look_around(&mut self) {
        for (side, role, cell) in self.world.runners() {
            self.report(Report::Runner { side, role, cell });
        }
        self.report(Report::Leak { side: Side::Old, who: None });
        let resolvers: Vec<_> = self.plan.dns.resolvers.iter().map(|resolver| resolver.name.clone()).collect();
        for record in self.plan.records.iter().map(|record| record.id.clone()).collect::<Vec<_>>() {
            for resolver in &resolvers {
                let (record, resolver) = (record.clone(), resolver.clone());
                self.report(Report::Resolver { record, resolver, answer: Answer::Old });
            }
        }
        for guardrail in self.plan.guardrails.iter().map(|guardrail| guardrail.id.clone()).collect::<Vec<_>>() {
            self.report(Report::Verdict { guardrail, verdict: VerdictKind::Holding, value: Some(0.5) });
        }
        for target in [Target::Live, Target::New] {
            let check = self.plan.checks[0].id.clone();
            self.report(Report::Check { check, target, passing: Some(true), reason: None });
        }
    }

    /// Where it stands and how it came there, in short.
    pub(crate) fn story(&self) -> String {
        use std::fmt::Write;
        let mut text = format!("gate {:?}, pending {:?}\n", self.state.gate, self.pending);
        for step in &self.state.steps {
            let (applied, trouble) = (step.applied.len(), &step.trouble);
            let _ = writeln!(text, "{} {:?}, {applied} applied, {:?} {trouble:?}", step.id, step.phase, step.reason);
        }
        for event in self.events.iter().rev().take(25).rev() {
            let _ = writeln!(text, "{} {} {}", event.at, event.by.name(), cutover::run::describe(event));
        }
        text
    }

    /// The log alone says everything: what was written and read again folds to the same state.
    pub(crate) fn replay(&self) {
        let mut state = State::default();
        for event in &self.events {
            let line = serde_json::to_string(event).unwrap();
            let read: Event = serde_json::from_str(&line).unwrap();
            assert_eq!(read, *event);
            state.apply(&read).unwrap();
        }
        assert_eq!(state, self.state, "replay differs from what was lived");
        let snapshot: State = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        assert_eq!(snapshot, state, "a snapshot differs from the state");
    }
}

fn drift(change: &mut Change) {
    match change {
        Change::Records { before, .. } => before.iter_mut().for_each(|set| set.ttl = set.ttl.map(|ttl| ttl + 7)),
        Change::Maintenance { from, .. } => *from = !*from,
        Change::Formation { from, .. } => from.values_mut().for_each(|count| *count += 1),
        Change::Service { from, .. } => *from += 1,
        Change::Task(task) => task.image.push('0'),
        Change::Rds(RdsChange::Restored { snapshot, .. } | RdsChange::Snapshot { snapshot, .. }) => {
            snapshot.push_str("-other");
        }
        Change::Rds(RdsChange::Promoted { source, .. }) => *source = Some("other".into()),
        Change::Rds(_) => {}
        Change::Command { argv, .. } => argv.push("--other".into()),
        Change::Nothing | Change::WriteAccess { .. } | Change::Sequences { .. } => {}
    }
}
