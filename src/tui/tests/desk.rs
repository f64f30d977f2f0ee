//! A keyboard and a screen in front of the real `decide`, on one simulated clock.

use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::SignedDuration;

use crate::{
    clock::monotonic,
    run::{Actor, Ask, Command, Event, Report, Request, What, decide},
    session::message::Snapshot,
    tui::{
        fixture::{Fixture, ann},
        gate::{BURST, Shown, Stroke},
        model::target,
        ui::{Intent, Painted, Ui},
    },
};

/// A screen and an engine that decides as the real one does, on one simulated clock.
pub(super) struct Desk {
    pub(super) fixture: Fixture,
    pub(super) at: Instant,
    pub(super) sent: Vec<Request>,
    pub(super) last: Option<Instant>,
    pub(super) shown: Option<(u64, usize, Shown)>,
}

impl Desk {
    pub(super) fn new(step: &str) -> Self {
        let mut fixture = Fixture::new("sandbox");
        // What is decided is held against the real plan.
        let hash = fixture.snapshot.plan.hash();
        fixture.snapshot.state.session.as_mut().unwrap().plan_hash = hash;
        fixture.to(step);
        fixture.agree();
        let mut desk = Self { fixture, at: monotonic(), sent: Vec::new(), last: None, shown: None };
        desk.rest(1_000);
        desk
    }

    pub(super) const fn snapshot(&self) -> &Snapshot {
        &self.fixture.snapshot
    }

    /// Time passes; what waited for quiet is released; the screen is painted.
    pub(super) fn rest(&mut self, milliseconds: u64) {
        let end = self.at + Duration::from_millis(milliseconds);
        self.paint();
        while let Some(due) = self.fixture.ui.deadline(self.at).filter(|due| *due <= end) {
            self.pass(due.duration_since(self.at));
            let intents = self.fixture.ui.release(self.at);
            self.act(intents);
            self.paint();
        }
        self.pass(end.duration_since(self.at));
        let intents = self.fixture.ui.release(self.at);
        self.act(intents);
        self.paint();
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.at += time;
        self.fixture.now += SignedDuration::try_from(time).unwrap();
    }

    /// As if a frame had reached the terminal; the step's pane is taken to be visible whole.
    pub(super) fn paint(&mut self) {
        let snapshot = &self.fixture.snapshot;
        let target = target(snapshot, self.fixture.ui.pinned);
        let known = self.shown.take().filter(|(seq, index, _)| *seq == snapshot.state.seq && *index == target.index);
        let shown = known.map_or_else(
            || Shown {
                evidence: snapshot.state.evidence(&target.step, target.direction),
                step: target.step.clone(),
                direction: target.direction,
                whole: true,
            },
            |(_, _, shown)| shown,
        );
        self.shown = Some((snapshot.state.seq, target.index, shown.clone()));
        let covered = self.fixture.ui.overlay.is_some();
        let painted = Painted {
            step: (!covered).then_some(shown),
            gate: snapshot.state.gate.as_ref().filter(|_| !covered).map(|gate| gate.id),
            question: true,
            reach: None,
        };
        self.fixture.ui.painted(painted, self.at);
    }

    pub(super) fn press(&mut self, code: KeyCode) {
        let key = KeyEvent::new(code, KeyModifiers::NONE);
        let close = self.last.replace(self.at).is_some_and(|last| self.at.duration_since(last) < BURST);
        self.stroke(&Stroke { key, at: self.at, alone: !close });
    }

    pub(super) fn stroke(&mut self, stroke: &Stroke) {
        let intents = self.fixture.ui.stroke(Some(&self.fixture.snapshot), stroke);
        self.act(intents);
    }

    pub(super) fn paste(&mut self, text: &str) {
        let intents = self.fixture.ui.paste(text, self.at);
        self.act(intents);
    }

    pub(super) fn act(&mut self, intents: Vec<Intent>) {
        for intent in intents {
            match intent {
                Intent::Send(request) => self.ask(request),
                Intent::Leave(_) => self.fixture.ui = Ui::new(),
                Intent::Redraw | Intent::Copy | Intent::Suspend => {}
            }
        }
    }

    /// What the engine would do with a request.
    pub(super) fn ask(&mut self, request: Request) {
        self.sent.push(request.clone());
        let by = Actor::Operator(ann());
        match self.decide(by.clone(), Ask::Person(request)) {
            Ok(events) => self.apply(&by, events),
            Err(refusal) => self.fixture.ui.refused(refusal.0, self.at),
        }
        let intents = self.fixture.ui.follow(&self.fixture.snapshot, self.at);
        self.act(intents);
    }

    pub(super) fn decide(&self, by: Actor, ask: Ask) -> Result<Vec<What>, crate::run::Refusal> {
        let Snapshot { plan, state, .. } = self.snapshot();
        decide(plan, state, &Command { at: self.fixture.now, by, ask })
    }

    pub(super) fn apply(&mut self, by: &Actor, events: Vec<What>) {
        for what in events {
            let state = &mut self.fixture.snapshot.state;
            let event = Event { seq: state.seq + 1, at: self.fixture.now, by: by.clone(), what };
            state.apply(&event).unwrap();
        }
    }

    /// What the engine does once a gate is passed: it reads the world again.
    pub(super) fn reread(&mut self) {
        let Some(gate) = self.snapshot().state.gate.clone().filter(|gate| gate.consented) else { return };
        let report = Report::Reread { step: gate.step.clone(), gate: gate.id, part: 0, result: Ok(gate.preview) };
        let events = self.decide(Actor::Engine, Ask::Report(report)).unwrap();
        self.apply(&Actor::Engine, events);
    }

    pub(super) fn passed(&self) -> bool {
        self.sent.iter().any(|request| matches!(request, Request::Confirm { .. }))
    }

    pub(super) fn armed(&self) -> bool {
        self.snapshot().state.gate.is_some()
    }

    /// Why the last gate closed, as the screen says it.
    pub(super) fn slip(&self) -> String {
        self.fixture.ui.disarmed.clone().unwrap_or_default()
    }

    pub(super) fn arm(&mut self) {
        self.press(KeyCode::Enter);
        self.rest(60);
        assert!(self.armed(), "{:?}", self.fixture.ui.toast);
    }

    pub(super) fn write(&mut self, word: &str, gap: u64) {
        for c in word.chars() {
            self.press(KeyCode::Char(c));
            self.rest(gap);
        }
    }
}
