//! What only this screen knows: where the person is and what they are about to decide. A key returns what the loop
//! should do; nothing here acts.

use std::time::{Duration, Instant};

use super::{
    Exit,
    form::{About, Decision, Form, FormTurn, Question},
    gate::{Gatekeeper, Held, Latch, Ruling, Shown, Stroke, Turn, Wants},
    keymap::{Command, Context, View, command},
    model::{self, Target},
    pane::Pane,
};
use crate::{
    plan::Kind,
    run::{Phase, Request, describe},
    session::message::Snapshot,
};

/// How long a message to the person stays on the screen.
const TOAST: Duration = Duration::from_secs(8);

/// What the loop is to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Intent {
    /// Ask the engine.
    Send(Request),
    /// Leave the screen.
    Leave(Exit),
    /// Draw everything again.
    Redraw,
}

/// What lies over the screen.
#[derive(Debug)]
pub(super) enum Overlay {
    /// The keys; scrolled by so many lines.
    Help(usize),
    /// A form.
    Form(Form),
    /// A decision.
    Question(Question),
}

/// What waits for quiet before it is done.
#[derive(Debug)]
enum Waiting {
    Arm(Request),
    Pass,
    Decide,
}

/// A message to the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Toast {
    /// What.
    pub(super) text: String,
    /// Something was refused.
    pub(super) bad: bool,
    /// Since when.
    pub(super) at: Instant,
}

/// What a frame showed, told by drawing it.
#[derive(Debug, Default)]
pub(super) struct Painted {
    /// The step whose pane was visible.
    pub(super) step: Option<Shown>,
    /// The armed gate that was visible with what it wants.
    pub(super) gate: Option<u64>,
    /// A decision was visible.
    pub(super) question: bool,
}

/// How much time graphs show, minutes of session time; 0: all there is.
pub(super) const RANGES: [u32; 7] = [5, 15, 30, 60, 120, 240, 0];

/// The state of one screen.
#[derive(Debug)]
pub(super) struct Ui {
    pub(super) view: View,
    pub(super) focus: Pane,
    pub(super) zoom: bool,
    /// The step that the person looks at; None: the one that the run is at.
    pub(super) pinned: Option<usize>,
    /// Item of a manual step under the cursor.
    pub(super) item: usize,
    /// Lines scrolled from where the pane rests (lists: from the top; logs: from the end).
    pub(super) scroll: usize,
    /// Index into [`RANGES`].
    pub(super) range: usize,
    /// Words that lines of the journal must have.
    pub(super) search: String,
    pub(super) overlay: Option<Overlay>,
    pub(super) toast: Option<Toast>,
    /// Why this person's last gate closed, said more exactly than the engine can.
    pub(super) disarmed: Option<String>,
    pub(super) gate: Gatekeeper,
    waiting: Held<Waiting>,
}

impl Ui {
    /// The cockpit, following the run.
    pub(super) fn new() -> Self {
        Self {
            view: View::default(),
            focus: Pane::Step,
            zoom: false,
            pinned: None,
            item: 0,
            scroll: 0,
            range: 2,
            search: String::new(),
            overlay: None,
            toast: None,
            disarmed: None,
            gate: Gatekeeper::new(),
            waiting: Held::default(),
        }
    }

    /// Says something to the person.
    pub(super) fn say(&mut self, text: impl Into<String>, bad: bool, at: Instant) {
        self.toast = Some(Toast { text: text.into(), bad, at });
    }

    /// Forgets a message that has been there long enough. True if the screen changes.
    pub(super) fn fade(&mut self, now: Instant) -> bool {
        let old = self.toast.as_ref().is_some_and(|toast| now.duration_since(toast.at) > TOAST);
        if old {
            self.toast = None;
        }
        old
    }

    /// The next moment at which something is decided or changes by itself.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let latch = self.gate.latch().into_iter().chain(self.question().map(|question| &question.latch));
        let ripe = latch.filter_map(Latch::ripe_at).filter(|ripe| *ripe > now);
        self.waiting.due().into_iter().chain(ripe).min()
    }

    const fn question(&self) -> Option<&Question> {
        match &self.overlay {
            Some(Overlay::Question(question)) => Some(question),
            _ => None,
        }
    }

    /// Takes in what the state says about gates.
    pub(super) fn follow(&mut self, snapshot: &Snapshot, now: Instant) -> Vec<Intent> {
        let dwell = snapshot.state.session.as_ref().map_or(Duration::ZERO, |session| session.dwell);
        let dwell = snapshot.clock.to_wall(dwell);
        let disturbed = self.gate.follow(&snapshot.plan, &snapshot.state, &snapshot.you, dwell);
        if snapshot.state.gate.is_some() && disturbed.is_none() && self.gate.latch().is_some() {
            self.disarmed = None;
        }
        disturbed.map(|reason| self.disarm(reason, now)).unwrap_or_default()
    }

    /// Takes in what a frame showed.
    pub(super) fn painted(&mut self, painted: Painted, at: Instant) {
        self.gate.paint(painted.step, painted.gate, at);
        if let Some(Overlay::Question(question)) = &mut self.overlay
            && painted.question
        {
            question.latch.paint(at);
        }
    }

    /// Does what has waited long enough undisturbed.
    pub(super) fn release(&mut self, now: Instant) -> Vec<Intent> {
        match self.waiting.release(now) {
            None => Vec::new(),
            Some(Waiting::Arm(request)) => {
                self.gate.asked(now);
                self.disarmed = None;
                vec![Intent::Send(request)]
            }
            Some(Waiting::Pass) => self.gate.confirm().map(Intent::Send).into_iter().collect(),
            Some(Waiting::Decide) => match self.overlay.take() {
                Some(Overlay::Question(question)) => vec![Intent::Send(question.request())],
                _ => Vec::new(),
            },
        }
    }

    fn disarm(&mut self, reason: String, now: Instant) -> Vec<Intent> {
        self.gate.close();
        self.say(format!("disarmed: {reason}"), true, now);
        self.disarmed = Some(reason);
        vec![Intent::Send(Request::Disarm)]
    }

    /// Takes pasted text.
    pub(super) fn paste(&mut self, text: &str, now: Instant) -> Vec<Intent> {
        self.waiting.disturb();
        match self.gate.paste() {
            Ruling::Disarm(reason) => return self.disarm(reason, now),
            Ruling::Taken | Ruling::Passes => return Vec::new(),
            Ruling::NotMine => {}
        }
        match &mut self.overlay {
            Some(Overlay::Form(form)) => form.paste(text),
            Some(Overlay::Question(_)) => self.drop_question("pasted text never counts".into(), now),
            _ => self.say("pasted text means nothing here", false, now),
        }
        Vec::new()
    }

    /// Takes a key.
    pub(super) fn stroke(&mut self, snapshot: Option<&Snapshot>, stroke: &Stroke) -> Vec<Intent> {
        let disturbed = self.waiting.disturb();
        if disturbed && self.gate.latch().is_some() {
            return self.disarm("more keys followed at once".into(), stroke.at);
        }
        match self.gate.stroke(stroke) {
            Ruling::Disarm(reason) => return self.disarm(reason, stroke.at),
            Ruling::Passes => self.waiting.put(stroke.at, Waiting::Pass),
            Ruling::Taken => {}
            Ruling::NotMine => return self.free_stroke(snapshot, stroke),
        }
        Vec::new()
    }

    /// A key while no gate of this person is open.
    fn free_stroke(&mut self, snapshot: Option<&Snapshot>, stroke: &Stroke) -> Vec<Intent> {
        match self.overlay.take() {
            None => self.command(snapshot, stroke),
            Some(Overlay::Help(at)) => {
                self.overlay = match command(&stroke.key, &[Context::List]) {
                    Some(Command::Down) => Some(Overlay::Help(at + 1)),
                    Some(Command::Up) => Some(Overlay::Help(at.saturating_sub(1))),
                    Some(Command::PageDown) => Some(Overlay::Help(at + 10)),
                    Some(Command::PageUp) => Some(Overlay::Help(at.saturating_sub(10))),
                    _ => None,
                };
                Vec::new()
            }
            Some(Overlay::Form(mut form)) => match form.stroke(stroke) {
                FormTurn::Closes => Vec::new(),
                FormTurn::Submits(Some(request)) => vec![Intent::Send(request)],
                FormTurn::Submits(None) => {
                    self.search = form.text(0);
                    self.scroll = 0;
                    Vec::new()
                }
                FormTurn::Stays => {
                    self.overlay = Some(Overlay::Form(form));
                    Vec::new()
                }
            },
            Some(Overlay::Question(mut question)) => {
                match question.latch.stroke(stroke) {
                    Turn::Closes(reason) => self.drop_question(reason, stroke.at),
                    turn => {
                        if turn == Turn::Opens {
                            self.waiting.put(stroke.at, Waiting::Decide);
                        }
                        self.overlay = Some(Overlay::Question(question));
                    }
                }
                Vec::new()
            }
        }
    }

    fn drop_question(&mut self, reason: String, now: Instant) {
        self.overlay = None;
        self.say(format!("nothing was done: {reason}"), false, now);
    }

    /// Where keys have their meaning now.
    pub(super) fn contexts(&self) -> &'static [Context] {
        use Context::{Everywhere, Graphs, Journal, List, Step};
        match (self.view, self.focus) {
            (View::Cockpit, Pane::Steps | Pane::Step) => &[Step, List, Everywhere],
            (View::Cockpit, Pane::Graphs) | (View::Graphs, _) => &[Graphs, List, Everywhere],
            (View::Journal, _) => &[Journal, List, Everywhere],
            (View::Checklist, _) => &[Step, List, Everywhere],
            _ => &[List, Everywhere],
        }
    }

    fn command(&mut self, snapshot: Option<&Snapshot>, stroke: &Stroke) -> Vec<Intent> {
        let Some(command) = command(&stroke.key, self.contexts()) else { return Vec::new() };
        match command {
            Command::Detach => return vec![Intent::Leave(Exit::Detached)],
            Command::Redraw => return vec![Intent::Redraw],
            Command::Help => self.overlay = Some(Overlay::Help(0)),
            Command::Zoom => self.zoom = !self.zoom,
            Command::View(view) => self.enter(view),
            Command::Back => self.back(),
            Command::NextPane => self.focus(self.focus.after()),
            Command::PreviousPane => self.focus(self.focus.before()),
            Command::Wider => self.range = (self.range + 1).min(RANGES.len() - 1),
            Command::Closer => self.range = self.range.saturating_sub(1),
            Command::Search => self.overlay = Some(Overlay::Form(Form::new(About::Search, ""))),
            _ => {
                let Some(snapshot) = snapshot else {
                    self.say("not attached yet: wait for the engine, or q", false, stroke.at);
                    return Vec::new();
                };
                return self.on_run(snapshot, command, stroke);
            }
        }
        Vec::new()
    }

    fn enter(&mut self, view: View) {
        self.view = view;
        self.zoom = false;
        self.scroll = 0;
    }

    fn focus(&mut self, pane: Pane) {
        self.view = View::Cockpit;
        self.focus = pane;
        self.scroll = 0;
    }

    fn back(&mut self) {
        if self.zoom {
            self.zoom = false;
        } else if !self.search.is_empty() {
            self.search.clear();
        } else {
            self.enter(View::Cockpit);
        }
    }

    /// Commands that look at the run or ask for something.
    fn on_run(&mut self, snapshot: &Snapshot, command: Command, stroke: &Stroke) -> Vec<Intent> {
        let target = model::target(snapshot, self.pinned);
        match command {
            Command::Up | Command::Down | Command::PageUp | Command::PageDown | Command::First | Command::Last => {
                return self.travel(snapshot, &target, command);
            }
            Command::PreviousStep => return self.look_at(snapshot, target.index.saturating_sub(1)),
            Command::NextStep => return self.look_at(snapshot, target.index + 1),
            Command::Follow => self.pinned = None,
            Command::Arm => return self.arm(snapshot, &target, stroke),
            Command::Tick => return self.tick(snapshot, &target, stroke),
            Command::Look => return vec![look_again(snapshot, &target)],
            Command::Note => self.open(About::Note, snapshot),
            _ => self.ask(snapshot, &target, command, stroke.at),
        }
        Vec::new()
    }

    fn open(&mut self, about: About, snapshot: &Snapshot) {
        self.overlay = Some(Overlay::Form(Form::new(about, &snapshot.plan.name)));
    }

    fn decide(&mut self, about: Decision) {
        let latch = Latch::new(Wants::Key('y'), Duration::ZERO);
        self.overlay = Some(Overlay::Question(Question { about, latch }));
    }

    /// Commands that ask the person something first.
    fn ask(&mut self, snapshot: &Snapshot, target: &Target, command: Command, now: Instant) {
        let state = &snapshot.state;
        let phase = state.step(&target.step).map_or(Phase::Waiting, |step| step.phase);
        let step = target.step.clone();
        match command {
            Command::Rollback => {
                self.decide(Decision::Rollback(model::rollback_reason(snapshot)));
            }
            Command::Forward if state.rollback.is_some() => self.decide(Decision::Forward),
            Command::Forward => self.say("not rolling back", false, now),
            Command::Hold if state.hold.is_some() => self.decide(Decision::Release),
            Command::Hold => self.open(About::Hold, snapshot),
            Command::Seat if state.driver().is_some_and(|driver| driver.conn == snapshot.you.conn) => {
                self.say("you drive already", false, now);
            }
            Command::Seat => self.decide(Decision::Seat),
            Command::End if state.complete() || state.rolled_back => self.decide(Decision::End),
            Command::End => self.open(About::End, snapshot),
            Command::Skip => self.open(About::Skip(step), snapshot),
            Command::Stop if phase.in_flight() => self.decide(Decision::Stop(step)),
            Command::Stop => self.say(format!("{step} is not under way"), false, now),
            Command::Resolve if phase == Phase::InDoubt => self.open(About::Resolve(step), snapshot),
            Command::Resolve => self.say(format!("{step} is not in doubt"), false, now),
            Command::Override => match model::overridable(snapshot, target) {
                Some(condition) => self.open(About::Override(step, condition), snapshot),
                None => self.say("nothing here can be overridden", false, now),
            },
            _ => {}
        }
    }

    fn arm(&mut self, snapshot: &Snapshot, target: &Target, stroke: &Stroke) -> Vec<Intent> {
        if self.view != View::Cockpit || (self.zoom && self.focus != Pane::Step) {
            self.enter(View::Cockpit);
            self.focus = Pane::Step;
            return Vec::new();
        }
        if let Some(refusal) = model::unarmable(snapshot, target) {
            self.say(refusal, true, stroke.at);
            return self.look_at(snapshot, target.index);
        }
        match self.gate.arm(stroke) {
            Ok(request) => self.waiting.put(stroke.at, Waiting::Arm(request)),
            Err(reason) => self.say(reason, false, stroke.at),
        }
        Vec::new()
    }

    fn tick(&mut self, snapshot: &Snapshot, target: &Target, stroke: &Stroke) -> Vec<Intent> {
        let Some(step) = snapshot.state.step(&target.step) else { return Vec::new() };
        let items = model::items(&snapshot.plan, &target.step).len();
        if items == 0 {
            self.say("this step has nothing to tick", false, stroke.at);
            return Vec::new();
        }
        if !stroke.alone || stroke.key.kind != crossterm::event::KeyEventKind::Press {
            return Vec::new();
        }
        let item = self.item.min(items - 1);
        let number = u32::try_from(item).unwrap_or(u32::MAX);
        let done = !step.ticked.contains(&number);
        if done && step.phase == Phase::Running {
            self.item = (item + 1).min(items - 1);
        }
        vec![Intent::Send(Request::Tick { step: target.step.clone(), item: number, done })]
    }

    /// Moves through whatever has the focus.
    fn travel(&mut self, snapshot: &Snapshot, target: &Target, command: Command) -> Vec<Intent> {
        let ticking = snapshot.state.step(&target.step).is_some_and(|step| step.phase == Phase::Running);
        let manual = matches!(snapshot.plan.step(&target.step).map(|step| &step.kind), Some(Kind::Manual { .. }));
        let steps = self.view == View::Cockpit && matches!(self.focus, Pane::Steps | Pane::Step);
        if steps && self.focus == Pane::Step && manual && ticking {
            let last = model::items(&snapshot.plan, &target.step).len().saturating_sub(1);
            self.item = moved(self.item, command).min(last);
            return Vec::new();
        }
        if steps || self.view == View::Checklist {
            return self.look_at(snapshot, moved(target.index, command));
        }
        // Logs rest at their end: up goes back in time.
        let upside_down = self.view == View::Journal || (self.view == View::Cockpit && self.focus == Pane::Log);
        let command = match command {
            Command::Up if upside_down => Command::Down,
            Command::Down if upside_down => Command::Up,
            Command::PageUp if upside_down => Command::PageDown,
            Command::PageDown if upside_down => Command::PageUp,
            Command::First if upside_down => Command::Last,
            Command::Last if upside_down => Command::First,
            command => command,
        };
        self.scroll = moved(self.scroll, command).min(10_000);
        Vec::new()
    }

    /// Looks at a step; its change is read if it is not known.
    fn look_at(&mut self, snapshot: &Snapshot, index: usize) -> Vec<Intent> {
        let index = index.min(snapshot.state.steps.len().saturating_sub(1));
        let here = model::target(snapshot, None).index;
        self.pinned = (index != here).then_some(index);
        if model::target(snapshot, None).index != index {
            self.item = 0;
        }
        let target = model::target(snapshot, self.pinned);
        let known = snapshot.state.step(&target.step).is_some_and(|step| step.preview(target.direction).is_some());
        if known {
            return Vec::new();
        }
        vec![Intent::Send(Request::Look { step: target.step, direction: target.direction })]
    }

    /// The engine refused something.
    pub(super) fn refused(&mut self, reason: String, now: Instant) {
        self.gate.refused();
        self.say(reason, true, now);
    }
}

fn moved(at: usize, command: Command) -> usize {
    match command {
        Command::Up => at.saturating_sub(1),
        Command::Down => at + 1,
        Command::PageUp => at.saturating_sub(10),
        Command::PageDown => at + 10,
        Command::First => 0,
        Command::Last => 9_999,
        _ => at,
    }
}

fn look_again(snapshot: &Snapshot, target: &Target) -> Intent {
    let in_doubt = snapshot.state.step(&target.step).is_some_and(|step| step.phase == Phase::InDoubt);
    let step = target.step.clone();
    Intent::Send(if in_doubt { Request::Observe { step } } else { Request::Look { step, direction: target.direction } })
}

/// One line of the log, as it is searched and shown.
pub(super) fn log_line(event: &crate::run::Event) -> String {
    format!("{} {}", event.by.name(), describe(event))
}
