//! Every place at which a rehearsal can be cut: before, inside and after every event (after, for what was only seen), and
//! around every call that would change the world. A place is met again and again; it is cut the first time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use cutover::{
    plan::StepId,
    run::{Event, State, StepState, What},
};
use serde_json::Value;

use super::{
    proxy::Loss,
    shim::{Answer, Fate},
};

/// Attempts of a step in one direction that may still be cut: the autopilot leaves the step to a person after five, and
/// a cut may cost one.
const BEARABLE: usize = 4;

/// Which of the places that are met are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// One in so many, by a hash of the place's name: the same ones in every run.
    OneIn(u32),
    /// All those of every so-many-th step, this one first: all shards together are everything. What a cut leads to
    /// belongs to the step that was cut.
    Steps {
        /// From 0.
        shard: u32,
        /// Of how many.
        of: u32,
    },
}

impl Choice {
    fn takes(self, place: &str, owner: &str) -> bool {
        match self {
            Self::OneIn(many) => hash(place).is_multiple_of(many),
            Self::Steps { shard, of } => hash(owner) % of == shard,
        }
    }
}

/// FNV-1a: the same on every machine and in every release of Rust.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The places that were cut, in all rehearsals.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    choice: Choice,
    cut: Arc<Mutex<BTreeSet<String>>>,
}

impl Places {
    pub(crate) fn new(choice: Choice) -> Self {
        Self { choice, cut: Arc::default() }
    }

    fn cut(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of each sort.
    pub(crate) fn count(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for place in self.cut().iter() {
            *counts.entry(place.split(": ").next().unwrap_or_default().to_owned()).or_default() += 1;
        }
        counts
    }

    /// Every place, for people.
    pub(crate) fn all(&self) -> Vec<String> {
        self.cut().iter().cloned().collect()
    }
}

/// A cut that killed an engine, and the last event that its journal held then.
pub(crate) type Proof = (String, u64);

/// One rehearsal's way past the places.
#[derive(Debug)]
pub(crate) struct Cuts {
    places: Places,
    /// What the journal folds to; written and not yet synced events wait in `lines`.
    state: State,
    lines: Vec<Event>,
    /// The answer of this call arrives, and the engine dies before it can write so.
    before_ended: Option<String>,
    /// Cuts that kill the engine that runs.
    deadly: Vec<String>,
    /// Engines that began, and those of them that nothing here had killed before the next began.
    engines: usize,
    pub(crate) died_alone: usize,
    /// Cuts in this rehearsal.
    pub(crate) made: usize,
    /// Of those, the ones that killed an engine.
    pub(crate) proofs: Vec<Proof>,
    left: BTreeSet<String>,
}

impl Cuts {
    pub(crate) fn new(places: &Places) -> Self {
        Self {
            places: places.clone(),
            state: State::default(),
            lines: Vec::new(),
            before_ended: None,
            deadly: Vec::new(),
            engines: 0,
            died_alone: 0,
            made: 0,
            proofs: Vec::new(),
            left: BTreeSet::new(),
        }
    }

    /// A new engine has what its journal holds.
    pub(crate) fn engine_starts(&mut self, state: State) {
        self.died_alone += usize::from(self.engines > 0 && self.deadly.is_empty());
        self.engines += 1;
        self.proofs.extend(self.deadly.drain(..).map(|place| (place, state.seq)));
        self.state = state;
        self.lines.clear();
        self.before_ended = None;
    }

    /// Places that were met and not cut: the step could not bear it, or something else was cut there.
    pub(crate) fn left(&self) -> Vec<String> {
        let cut = self.places.cut();
        self.left.iter().filter(|place| !cut.contains(*place)).cloned().collect()
    }

    /// The first of these places that is to be cut now; the rest wait for another time.
    fn cuts(&mut self, places: impl IntoIterator<Item = (String, bool)>, owner: &str) -> Option<usize> {
        let bearable = busy(&self.state).is_none_or(|step| tries(step) <= BEARABLE);
        let mut first = None;
        for (index, (place, deadly)) in places.into_iter().enumerate() {
            if !self.places.choice.takes(&place, owner) || self.places.cut().contains(&place) {
                continue;
            }
            if first.is_some() || !bearable || self.before_ended.is_some() {
                self.left.insert(place);
            } else if self.places.cut().insert(place.clone()) {
                self.made += 1;
                self.deadly.extend(deadly.then_some(place));
                first = Some(index);
            }
        }
        first
    }

    /// What becomes of a call.
    pub(crate) fn call(&mut self, operation: &str) -> Loss {
        let (at, owner) = (in_flight(&self.state), owner(&self.state));
        let losses = [Loss::Request, Loss::RequestAndEngine, Loss::Answer, Loss::AnswerAndEngine];
        let place = |loss: &str| format!("call {loss}: {operation} of {at}");
        let mut places: Vec<_> = losses
            .iter()
            .map(|loss| (place(&format!("{loss:?}")), [Loss::RequestAndEngine, Loss::AnswerAndEngine].contains(loss)))
            .collect();
        let answered = place("AnsweredAndEngine");
        places.push((answered.clone(), false));
        let cut = self.cuts(places, &owner);
        if cut == Some(losses.len()) {
            self.before_ended = Some(answered);
        }
        cut.and_then(|index| losses.get(index).copied()).unwrap_or(Loss::None)
    }
}

impl Fate for Cuts {
    fn writes(&mut self, lines: &[u8]) -> Answer {
        self.lines.clear();
        let mut from = 0;
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let entry: Value = serde_json::from_slice(line).unwrap();
            let event: Event = serde_json::from_value(entry["event"].clone()).unwrap();
            if matches!(event.what, What::Ended { .. })
                && let Some(place) = self.before_ended.take()
            {
                self.deadly.push(place);
                return Answer::Kill(0);
            }
            // The second event of a write stands in the file when the first does: before it is after the first.
            // What was only seen is cut once it is on disk: before that is after what came before it, for nothing was on
            // its way in between.
            if !watched(&event.what) {
                let (name, owner) = (name(&event, &self.state), owner_of(&event, &self.state));
                let places = ["before", "torn"].map(|sort| (format!("{sort}: {name}"), true));
                if let Some(index) = self.cuts(places, &owner) {
                    return Answer::Kill(u32::try_from(from + index * line.len() / 2).unwrap());
                }
            }
            from += line.len();
            self.lines.push(event);
        }
        Answer::Go
    }

    fn synced(&mut self) -> Answer {
        // A journal is also synced after its torn tail was cut.
        let Some(last) = self.lines.last().cloned() else { return Answer::Go };
        let (name, owner) = (name(&last, &self.state), owner_of(&last, &self.state));
        for event in std::mem::take(&mut self.lines) {
            self.state.apply(&event).unwrap();
        }
        match self.cuts([(format!("after: {name}"), true)], &owner) {
            Some(_) => Answer::Kill(0),
            None => Answer::Go,
        }
    }
}

/// What the watches saw: no step waits for it to be written.
const fn watched(what: &What) -> bool {
    matches!(
        what,
        What::VerdictChanged { .. }
            | What::CheckChanged { .. }
            | What::ResolverChanged { .. }
            | What::RunnerChanged { .. }
            | What::SourceChanged { .. }
    )
}

/// The step that may have something under way.
fn busy(state: &State) -> Option<&StepState> {
    state.steps.iter().find(|step| step.phase.in_flight())
}

/// How often it was tried in the direction it goes, as the autopilot counts.
fn tries(step: &StepState) -> usize {
    step.attempts.iter().rev().take_while(|attempt| attempt.direction == step.direction).count()
}

/// The step that a cut now would belong to.
fn owner(state: &State) -> String {
    let busy = busy(state).map(|step| &step.id);
    let next = || if state.rollback.is_some() { state.next_undo() } else { state.current() };
    let step = busy.or(state.gate.as_ref().map(|gate| &gate.step)).or_else(|| next().map(|step| &step.id));
    step.map_or_else(String::new, StepId::to_string)
}

fn owner_of(event: &Event, state: &State) -> String {
    let what = serde_json::to_value(&event.what).unwrap();
    what["step"].as_str().map_or_else(|| owner(state), str::to_owned)
}

/// Step, direction and part of what may be under way.
fn in_flight(state: &State) -> String {
    busy(state).map_or_else(
        || "nothing in flight".to_owned(),
        |busy| {
            let part = busy.attempt().map_or(0, |attempt| attempt.part);
            format!("{} {:?} part {part}", busy.id, busy.direction)
        },
    )
}

/// What an event is, without what differs from one rehearsal to the next.
fn name(event: &Event, state: &State) -> String {
    const TELLING: [&str; 13] = [
        "step",
        "direction",
        "part",
        "item",
        "done",
        "seat",
        "guardrail",
        "check",
        "target",
        "record",
        "resolver",
        "role",
        "source",
    ];
    let what = serde_json::to_value(&event.what).unwrap();
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut name = word(&what["event"]);
    for key in TELLING.iter().filter(|key| !what[**key].is_null()) {
        name = format!("{name} {}", word(&what[*key]));
    }
    for inner in ["outcome", "observation"].iter().filter_map(|key| what[*key].as_object()) {
        let tag = ["outcome", "observed"].iter().find_map(|key| inner.get(*key));
        name = format!("{name} {}", tag.map_or_else(String::new, word));
    }
    match &event.what {
        // A gate's events do not name their step, and an engine that starts may find anything.
        What::Consented { .. } | What::Disarmed { .. } | What::Typed | What::BaselineCaptured { .. } => {
            let gate = state.gate.as_ref().map(|gate| format!("{} {:?}", gate.step, gate.direction));
            format!("{name} at {}", gate.unwrap_or_default())
        }
        What::EngineStarted { .. } => format!("{name} with {}", in_flight(state)),
        // Who comes and goes does so beside any step: once in each direction.
        _ if what["step"].is_null() && state.rollback.is_some() => format!("{name} in a rollback"),
        _ => name,
    }
}
