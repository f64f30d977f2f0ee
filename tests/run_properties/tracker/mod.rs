//! The promises, told again from commands and events alone: knows nothing of `State`, `decide` or `apply`.

mod acts;
mod gates;
mod runners;

use std::collections::{BTreeMap, BTreeSet};

use cutover::{
    plan::{GateLevel, Plan, Role, Side, StepId},
    run::{
        Actor, Ask, Cell, Change, Command, ConditionId, Direction, Event, Evidence, Operator, Part, Preview, RdsChange,
        Report, Request, Seat, VerdictKind, What,
    },
};
use jiff::Timestamp;

#[derive(Debug, Clone)]
struct Gate {
    id: u64,
    step: StepId,
    direction: Direction,
    level: GateLevel,
    by: Operator,
    at: Timestamp,
    /// Since when it waits for whoever is next: the second person has as long as the first.
    since: Timestamp,
    evidence: Evidence,
    parts: Vec<Part>,
    typed: bool,
    consented: bool,
    /// Something that it rests on has changed since.
    upset: bool,
}

#[derive(Debug, Clone, Default)]
struct Track {
    /// Changes that were sent and not put back, oldest first.
    standing: Vec<Change>,
    /// What was last seen not to have taken effect; it may have been on its way.
    missed: Option<Change>,
    settled: bool,
    done: bool,
    attempt: Option<Attempt>,
    /// Nobody has looked since the answer was lost.
    doubt: bool,
}

impl Track {
    /// A command without an undo cannot be put back, and on RDS only a restored instance can.
    fn undoable(&self) -> bool {
        self.standing.last().is_some_and(|last| match last {
            Change::Command { undo, .. } => undo.is_some(),
            Change::Rds(change) => matches!(change, RdsChange::Restored { .. }),
            _ => true,
        })
    }
}

#[derive(Debug, Clone)]
struct Attempt {
    direction: Direction,
    gate: u64,
    parts: Vec<Part>,
    part: u32,
    /// The part sent last is on its way.
    open: bool,
    bakes_until: Option<Timestamp>,
}

impl Attempt {
    fn acts(&self) -> bool {
        self.parts.iter().any(|part| part.change != Change::Nothing)
    }
}

/// How often things happened.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

pub(crate) fn count(counts: &mut Counts, what: &'static str) {
    *counts.entry(what).or_default() += 1;
}

pub(crate) struct Tracker {
    plan: Plan,
    hash: String,
    seats: BTreeMap<u64, (Operator, Seat)>,
    gate: Option<Gate>,
    known: BTreeMap<(StepId, Direction), Vec<Part>>,
    runners: BTreeMap<(Side, Role), Cell>,
    tracks: BTreeMap<StepId, Track>,
    verdicts: BTreeMap<String, VerdictKind>,
    overridden: BTreeSet<(StepId, ConditionId)>,
    /// Roles that were seen running.
    ran: BTreeSet<Role>,
    /// Somebody writes where writes are frozen.
    leak: bool,
    /// When something was last heard of a step.
    moved: BTreeMap<StepId, Timestamp>,
    /// What each evidence stood for: one hash, one meaning.
    meanings: BTreeMap<String, String>,
    /// And the other way round.
    evidences: BTreeMap<String, String>,
    rolling_back: bool,
    held: bool,
    dwell: std::time::Duration,
    patience: std::time::Duration,
    pub(crate) counts: Counts,
}

impl Tracker {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            plan: plan.clone(),
            hash: String::new(),
            seats: BTreeMap::new(),
            gate: None,
            known: BTreeMap::new(),
            runners: BTreeMap::new(),
            tracks: plan.steps.iter().map(|step| (step.id.clone(), Track::default())).collect(),
            verdicts: BTreeMap::new(),
            overridden: BTreeSet::new(),
            ran: BTreeSet::new(),
            leak: false,
            moved: BTreeMap::new(),
            meanings: BTreeMap::new(),
            evidences: BTreeMap::new(),
            rolling_back: false,
            held: false,
            dwell: std::time::Duration::ZERO,
            patience: std::time::Duration::ZERO,
            counts: Counts::new(),
        }
    }

    /// Takes in what one command led to.
    pub(crate) fn take(&mut self, command: &Command, events: &[Event]) {
        self.events(command, events);
        let open = self.gate.as_ref();
        assert!(open.is_none_or(|gate| !gate.upset), "P2: {open:?} is still armed although what it rests on changed");
        if matches!(command.ask, Ask::Report(Report::Started { .. })) {
            assert!(open.is_none(), "a gate stays armed across an engine's restart");
            let sent = |a: &Attempt| a.open && a.parts[a.part as usize].change != Change::Nothing;
            let lost = self.tracks.iter().find(|(_, track)| track.attempt.as_ref().is_some_and(sent));
            assert!(lost.is_none(), "P4: a new engine believes that {lost:?} is still under way");
        }
    }

    /// The same when only the first of them may have been written: what holds after a command need not hold now.
    pub(crate) fn events(&mut self, command: &Command, events: &[Event]) {
        for (index, event) in events.iter().enumerate() {
            count(&mut self.counts, "events");
            self.event(command, event, index);
        }
    }

    fn event(&mut self, command: &Command, event: &Event, index: usize) {
        match &event.what {
            What::SessionStarted { plan_hash, dwell, patience, .. } => {
                self.hash.clone_from(plan_hash);
                (self.dwell, self.patience) = (*dwell, *patience);
            }
            What::EngineStarted { .. } => {
                self.seats.clear();
                let flying = self.tracks.values().filter(|t| t.attempt.as_ref().is_some_and(|a| a.open && a.acts()));
                if flying.count() > 0 {
                    count(&mut self.counts, "restarts_in_flight");
                }
            }
            What::Attached { seat } | What::SeatTaken { seat } => self.sit(&event.by, *seat),
            What::Detached => drop(self.seats.remove(&operator(&event.by).conn)),
            What::Armed { .. } => self.armed(command, event),
            What::Disarmed { reason } => {
                assert!(!reason.trim().is_empty(), "P2: disarmed without a reason");
                let gate = self.gate.take().expect("a disarmed gate was armed");
                if gate.upset {
                    count(&mut self.counts, "upset");
                }
            }
            What::Typed => self.typed(command, event),
            What::Consented { second } => self.consented(command, event, second.as_ref(), index),
            What::Intended { part: 0, .. } => self.first_part(command, event, index),
            What::Intended { .. } => self.later_part(command, event, index),
            What::Previewed { step, direction, preview } => self.previewed(step, *direction, Some(preview)),
            What::PreviewFailed { step, direction, .. } => self.previewed(step, *direction, None),
            What::RunnerChanged { side, role, cell } => {
                self.runners.insert((*side, *role), *cell);
                self.ran.extend((*cell == Cell::On).then_some(*role));
                self.overridden.retain(|(_, condition)| *condition != ConditionId::Runners);
                self.gate.iter_mut().for_each(|gate| gate.upset = true);
            }
            what => self.progress(what, event.at),
        }
    }

    fn sit(&mut self, actor: &Actor, seat: Seat) {
        let operator = operator(actor);
        if seat == Seat::Driver {
            self.seats
                .values_mut()
                .filter(|(_, seat)| *seat == Seat::Driver)
                .for_each(|(_, seat)| *seat = Seat::Viewer);
        }
        self.seats.insert(operator.conn, (operator.clone(), seat));
        // Once consented to, the act no longer waits for anybody.
        let waiting = self.gate.as_ref().filter(|gate| !gate.consented);
        let theirs = waiting.is_some_and(|gate| seat == Seat::Driver || gate.by.conn == operator.conn);
        assert!(!theirs, "P1: a gate survives its driver");
    }

    fn drives(&self, operator: &Operator) -> bool {
        self.seats.get(&operator.conn).is_some_and(|(_, seat)| *seat == Seat::Driver)
    }

    fn previewed(&mut self, step: &StepId, direction: Direction, preview: Option<&Preview>) {
        let parts = preview.map(|preview| preview.parts.clone());
        let gate = self.gate.as_mut().filter(|gate| gate.step == *step && gate.direction == direction);
        if let Some(gate) = gate {
            gate.upset |= parts.as_ref() != Some(&gate.parts);
        }
        let key = (step.clone(), direction);
        match parts {
            Some(parts) => drop(self.known.insert(key, parts)),
            None => drop(self.known.remove(&key)),
        }
    }

    fn armed(&mut self, command: &Command, event: &Event) {
        let What::Armed { step, direction, gate, level, evidence } = &event.what else { unreachable!() };
        let by = operator(&event.by);
        assert!(self.gate.is_none(), "two gates at once");
        assert!(self.drives(by), "P1: {} armed without the driver's seat", by.name);
        let Ask::Person(Request::Arm { seen, .. }) = &command.ask else { panic!("armed by {command:?}") };
        assert_eq!(seen, evidence, "P1: armed what was not seen");
        let planned = self.plan.step(step).unwrap();
        let parts = self.known.get(&(step.clone(), *direction)).expect("P1: armed although the change is not known");
        assert_eq!(*level, gates::level(planned, *direction, parts), "P1: {step} has another gate than it must");
        assert!(!parts.is_empty());
        assert_eq!(*direction == Direction::Back, self.rolling_back, "forward outside a rollback, back inside");
        if *direction == Direction::Forward {
            let unmet = planned.needs.iter().find(|need| !self.tracks[*need].settled);
            assert!(unmet.is_none(), "{step} was armed before {unmet:?}");
            assert!(!self.held, "{step} was armed although a person holds the run");
        }
        let meaning = format!("{} {step} {direction:?} {parts:?} {:?}", self.hash, self.runners);
        let meant = self.meanings.entry(evidence.0.clone()).or_insert_with(|| meaning.clone());
        assert_eq!(*meant, meaning, "P1: one evidence stands for two things");
        let hash = self.evidences.entry(meaning).or_insert_with(|| evidence.0.clone());
        assert_eq!(*hash, evidence.0, "P1: the same thing has two evidences");
        self.gate = Some(Gate {
            id: *gate,
            step: step.clone(),
            direction: *direction,
            level: *level,
            by: by.clone(),
            at: event.at,
            since: event.at,
            evidence: evidence.clone(),
            parts: parts.clone(),
            typed: false,
            consented: false,
            upset: false,
        });
    }

    /// A confirmation that names the armed gate and its evidence, within its time.
    fn confirmed<'a>(&'a self, command: &'a Command) -> (&'a Gate, Option<&'a str>) {
        let gate = self.gate.as_ref().expect("P1: a confirmation without an armed gate");
        let Ask::Person(Request::Confirm { gate: id, seen, typed }) = &command.ask else {
            panic!("P1: confirmed by {command:?}")
        };
        assert!(*id == gate.id && *seen == gate.evidence, "P1: confirmed another gate, or not what was armed");
        assert!(!gate.upset && !gate.consented);
        assert!(command.at <= gate.since + self.patience, "P1: confirmed after its time");
        (gate, typed.as_deref())
    }

    /// The driver's own key, not sooner than it can be read and with the right words.
    fn first_key(&self, command: &Command, event: &Event) {
        let (gate, typed) = self.confirmed(command);
        let who = operator(&event.by);
        assert!(self.drives(who) && who.conn == gate.by.conn, "P1: {} is not who armed the gate", who.name);
        assert!(event.at >= gate.at + self.dwell, "P1: confirmed sooner than it can be read");
        if gate.level >= GateLevel::Type {
            let wanted = gates::words(self.plan.step(&gate.step).unwrap(), gate.direction);
            assert_eq!(typed.map(str::trim), Some(wanted.as_str()), "P1: wrong words");
        }
    }

    fn typed(&mut self, command: &Command, event: &Event) {
        self.first_key(command, event);
        let gate = self.gate.as_mut().unwrap();
        assert!(gate.level == GateLevel::Two && !gate.typed);
        (gate.typed, gate.since) = (true, event.at);
    }

    fn consented(&mut self, command: &Command, event: &Event, second: Option<&Operator>, index: usize) {
        let level = self.gate.as_ref().expect("P1: consent without a gate").level;
        match level {
            GateLevel::Start => {
                assert!(matches!(command.ask, Ask::Person(Request::Arm { .. })) && index == 1, "P1: not by Enter");
            }
            GateLevel::Confirm | GateLevel::Type => self.first_key(command, event),
            GateLevel::Two => {
                let (gate, _) = self.confirmed(command);
                let who = operator(&event.by);
                assert!(gate.typed, "P1: confirmed before it was typed");
                assert_eq!(second, Some(who));
                assert!(who.uid != gate.by.uid, "P1: one login twice");
                let seat = self.seats.get(&who.conn).map(|(_, seat)| *seat);
                assert_eq!(seat, Some(Seat::Confirmer), "P1: the second person is no confirmer");
                assert!(self.drives(&gate.by), "P1: the first person has left");
                count(&mut self.counts, "by_two");
            }
        }
        self.gate.as_mut().unwrap().consented = true;
    }

    /// Something of this plan can be put back.
    pub(crate) fn stands(&self) -> bool {
        self.tracks.values().any(Track::undoable)
    }
}

fn operator(actor: &Actor) -> &Operator {
    match actor {
        Actor::Operator(operator) => operator,
        Actor::Engine => panic!("a person's event was caused by the engine"),
    }
}
