//! What commands do to this screen, and what they ask of the engine.

use std::time::{Duration, Instant};

use crossterm::event::KeyModifiers;

use super::{Intent, Overlay, RANGES, Ui, Waiting};
use crate::{
    plan::{GateLevel, Kind},
    run::{Direction, Phase, Request, Seat, StepState, conditions},
    session::message::Snapshot,
    tui::{
        Exit,
        form::{About, Decision, Form, Question},
        gate::{Latch, Stroke, Wants, name_of},
        keymap::{CONSENT, Command, Context, View, command, home_of},
        model::{self, Target},
        pane::Pane,
        sift::{self, Kinds},
    },
};

/// Said of letters of which none was a stroke alone.
const PASTED: &str = "many keys at once, as if pasted: nothing was opened, sent or left";

impl Ui {
    /// Where keys have their meaning now.
    pub(in crate::tui) fn contexts(&self) -> &'static [Context] {
        use Context::{Everywhere, Graphs, Journal, List, Step};
        match (self.view, self.focus) {
            (View::Cockpit, Pane::Steps | Pane::Step) => &[Step, List, Everywhere],
            (View::Cockpit, Pane::Graphs) | (View::Graphs, _) => &[Graphs, List, Everywhere],
            (View::Journal, _) => &[Journal, List, Everywhere],
            (View::Checklist, _) => &[Step, List, Everywhere],
            _ => &[List, Everywhere],
        }
    }

    pub(super) fn command(&mut self, snapshot: Option<&Snapshot>, stroke: &Stroke) -> Vec<Intent> {
        let Some(command) = command(&stroke.key, self.contexts()) else {
            let words = if stroke.alone { self.elsewhere(stroke) } else { PASTED.to_owned() };
            self.say(words, !stroke.alone, stroke.at);
            return Vec::new();
        };
        // Control keys are no text.
        let text = !stroke.key.modifiers.contains(KeyModifiers::CONTROL);
        if text && !stroke.alone && command.weighs() {
            self.say(PASTED, true, stroke.at);
            return Vec::new();
        }
        if let Some(words) = self.unheard.as_ref().filter(|_| command.asks()) {
            let script =
                if command == Command::Rollback { "; `cutover rollback-script` tells the way back" } else { "" };
            self.say(format!("{words}{script}"), true, stroke.at);
            return Vec::new();
        }
        match command {
            Command::Detach if text => self.waiting.put(stroke.at, Waiting::Leave(Intent::Leave(Exit::Detached))),
            Command::Detach => return vec![Intent::Leave(Exit::Detached)],
            Command::Redraw => return vec![Intent::Redraw],
            Command::Suspend => return vec![Intent::Suspend],
            Command::Alarms => self.overlay = Some(Overlay::Alarms(0)),
            Command::Guide => self.guide = self.guide.toggled(),
            Command::Copy => return vec![Intent::Copy],
            Command::Plain => self.overlay = Some(Overlay::Plain(0)),
            Command::Kinds => (self.kinds, self.scroll) = (self.kinds.after(), 0),
            Command::Help => self.overlay = Some(Overlay::Help(0)),
            Command::People => self.overlay = Some(Overlay::People),
            Command::Zoom => (self.zoom, self.scroll) = (!self.zoom, 0),
            Command::View(view) => self.enter(view),
            Command::Back => self.back(),
            Command::NextPane => self.focus(self.focus.after()),
            Command::PreviousPane => self.focus(self.focus.before()),
            Command::Wider => self.range = (self.range + 1).min(RANGES.len() - 1),
            Command::Closer => self.range = self.range.saturating_sub(1),
            Command::Whole => self.range = RANGES.len() - 1,
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

    /// What to say of a key that has no meaning here: where it has one.
    fn elsewhere(&self, stroke: &Stroke) -> String {
        let key = name_of(&stroke.key);
        let tab = if self.view == View::Cockpit { "Tab leads" } else { "1 shows the cockpit, Tab leads" };
        match home_of(&stroke.key) {
            Some(Context::Step) => format!("{key} does nothing here, but on a step: {tab} to it"),
            Some(Context::Graphs) => format!("{key} does nothing here, but on graphs: 2 shows them"),
            Some(Context::Journal) => format!("{key} does nothing here, but in the journal: 7 shows it"),
            _ => format!("{key} means nothing here: ? shows the keys"),
        }
    }

    fn enter(&mut self, view: View) {
        self.view = view;
        // Numbers of another moment are for who looks for them.
        self.cross.take_if(|_| !matches!(view, View::Graphs | View::Journal));
        self.guide.saw(view);
        self.zoom = false;
        self.scroll = 0;
    }

    pub(super) fn focus(&mut self, pane: Pane) {
        self.view = View::Cockpit;
        self.cross.take_if(|_| pane != Pane::Graphs);
        self.focus = pane;
        self.scroll = 0;
    }

    fn back(&mut self) {
        if self.cross.take().is_some() {
            return;
        }
        let sifted = self.view == View::Journal && (!self.search.is_empty() || self.kinds != Kinds::All);
        if self.zoom {
            self.zoom = false;
        } else if sifted {
            self.search.clear();
            self.kinds = Kinds::All;
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
            Command::Jump => self.jump(snapshot, stroke.at),
            Command::CrossBack => self.cross = model::cross(snapshot, self.range, self.cross, -1),
            Command::CrossOn => self.cross = model::cross(snapshot, self.range, self.cross, 1),
            Command::PreviousStep => return self.look_at(snapshot, target.index.saturating_sub(1)),
            Command::NextStep => return self.look_at(snapshot, target.index + 1),
            Command::Follow if self.pinned.is_none() => {
                self.say("this is the step that the run is at", false, stroke.at)
            }
            Command::Follow => self.pinned = None,
            Command::Arm => return self.arm(snapshot, &target, stroke),
            Command::Tick => return self.tick(snapshot, &target, stroke),
            Command::Look => return self.look_again(snapshot, &target, stroke.at),
            Command::Note => self.open(About::Note, snapshot),
            Command::Confirmer if model::seat(snapshot) == Seat::Viewer => {
                return vec![Intent::Send(Request::Sit { seat: Seat::Confirmer, take: false })];
            }
            _ => self.ask(snapshot, &target, command, stroke.at),
        }
        Vec::new()
    }

    /// From the journal to the same moment on the graphs: the crosshair there, in the shortest range that shows it.
    fn jump(&mut self, snapshot: &Snapshot, now: Instant) {
        let Some(at) = sift::under_cursor(&snapshot.state, self).map(|event| event.at) else {
            self.say("no event is chosen", false, now);
            return;
        };
        let ago = snapshot.clock.now().duration_since(at).as_secs();
        let fits = |minutes: &u32| *minutes == 0 || i64::from(*minutes) * 50 > ago;
        self.range = RANGES.iter().position(fits).unwrap_or(RANGES.len() - 1).max(1);
        self.enter(View::Graphs);
        self.cross = Some(at);
    }

    fn open(&mut self, about: About, snapshot: &Snapshot) {
        self.overlay = Some(Overlay::Form(Form::new(about, &snapshot.plan.name)));
    }

    fn decide(&mut self, about: Decision) {
        let latch = Latch::new(Wants::Key(CONSENT), Duration::ZERO);
        self.overlay = Some(Overlay::Question(Question { about, latch, scroll: 0 }));
    }

    /// Commands that ask the person something first.
    fn ask(&mut self, snapshot: &Snapshot, target: &Target, command: Command, now: Instant) {
        let state = &snapshot.state;
        let phase = state.step(&target.step).map_or(Phase::Waiting, |step| step.phase);
        let step = target.step.clone();
        let drivers =
            [Command::Skip, Command::Stop, Command::Resolve, Command::Override, Command::Forward].contains(&command);
        if let Some(words) = model::driven(snapshot).filter(|_| drivers) {
            return self.say(words, true, now);
        }
        let seats = [Command::Hold, Command::End].contains(&command);
        if seats && model::seat(snapshot) == Seat::Viewer {
            return self.say("you are a viewer: t takes the driver's seat, T a confirmer's", true, now);
        }
        match command {
            Command::Rollback => {
                self.guide.saw_rollback();
                self.decide(Decision::Rollback(model::rollback_reason(snapshot)));
            }
            Command::Forward if state.rollback.is_some() || state.rolled_back => self.decide(Decision::Forward),
            Command::Forward => self.say("not rolling back", false, now),
            Command::Hold if state.hold.is_some() => self.decide(Decision::Release),
            Command::Hold => self.open(About::Hold, snapshot),
            Command::Seat if state.driver().is_some_and(|driver| driver.conn == snapshot.you.conn) => {
                self.say("you drive already", false, now);
            }
            Command::Seat => self.decide(Decision::Seat),
            Command::Confirmer if model::seat(snapshot) == Seat::Driver => {
                self.say("you drive: another takes the seat", false, now);
            }
            Command::Confirmer => self.say("you are a confirmer already", false, now),
            Command::End => match model::under_way(state) {
                Some(words) => self.say(words, false, now),
                None if state.complete() || state.rolled_back => self.decide(Decision::End),
                None => self.open(About::End, snapshot),
            },
            Command::Skip if state.rollback.is_some() => {
                self.say("nothing is skipped while it is rolled back: F turns forward again", false, now);
            }
            Command::Skip if state.hold.is_some() => self.say("held: h releases it, then s skips", false, now),
            Command::Skip => self.open(About::Skip(step), snapshot),
            Command::Stop if phase.in_flight() => self.decide(Decision::Stop(step)),
            Command::Stop => self.say(format!("{step} is not under way: there is nothing to stop"), false, now),
            Command::Resolve if phase == Phase::InDoubt => self.open(About::Resolve(step), snapshot),
            Command::Resolve => {
                let doubted = state.steps.iter().find(|step| step.phase == Phase::InDoubt);
                let words = doubted.map_or_else(|| "; no step is".to_owned(), |other| format!(", but {} is", other.id));
                self.say(format!("u decides what is in doubt: {step} is not{words}"), false, now);
            }
            Command::Override => {
                let clock = snapshot.clock.now();
                match model::overridable(&conditions(&snapshot.plan, state, &step, target.direction, clock)) {
                    Ok(condition) => self.open(About::Override(step, condition), snapshot),
                    Err(words) => self.say(words, false, now),
                }
            }
            _ => {}
        }
    }

    fn arm(&mut self, snapshot: &Snapshot, target: &Target, stroke: &Stroke) -> Vec<Intent> {
        if self.view != View::Cockpit || (self.zoom && self.focus != Pane::Step) {
            self.enter(View::Cockpit);
            self.focus = Pane::Step;
            return Vec::new();
        }
        // Whoever types the words without having looked up types no commands.
        let step = snapshot.plan.step(&target.step).zip(snapshot.state.step(&target.step));
        let named = step.is_some_and(|(step, state)| state.gate_level(step, target.direction) >= GateLevel::Type);
        if let Some(refusal) = model::unarmable(snapshot, target, snapshot.clock.now()) {
            self.say(refusal, true, stroke.at);
            if named {
                self.deafen(None);
            }
            return self.look_at(snapshot, target.index);
        }
        match self.gate.arm(stroke) {
            Ok(request) => self.waiting.put(stroke.at, Waiting::Arm(request)),
            Err(reason) => {
                self.say(reason, false, stroke.at);
                if named {
                    self.deafen(None);
                }
            }
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
        if step.phase != Phase::Running {
            let word = snapshot.state.phase(&snapshot.plan, &target.step).word();
            self.say(format!("{} is {word}: items are ticked while it runs", target.step), false, stroke.at);
            return Vec::new();
        }
        if !stroke.alone || stroke.key.kind != crossterm::event::KeyEventKind::Press {
            return Vec::new();
        }
        let item = self.item.min(items - 1);
        let number = u32::try_from(item).unwrap_or(u32::MAX);
        let done = !step.ticked.contains(&number);
        if done {
            // To the next one that is open, from the top again after the last: Space there never takes a tick back.
            let open = |at: &usize| *at != item && !u32::try_from(*at).is_ok_and(|at| step.ticked.contains(&at));
            self.item = (item..items).chain(0..item).find(open).unwrap_or(item);
        }
        vec![Intent::Send(Request::Tick { step: target.step.clone(), item: number, done })]
    }

    /// Moves through whatever has the focus.
    pub(super) fn travel(&mut self, snapshot: &Snapshot, target: &Target, command: Command) -> Vec<Intent> {
        let ticking = snapshot.state.step(&target.step).is_some_and(|step| step.phase == Phase::Running);
        let manual = matches!(snapshot.plan.step(&target.step).map(|step| &step.kind), Some(Kind::Manual { .. }));
        if self.contexts().contains(&Context::Graphs) {
            let last = model::graphs(&snapshot.plan).len().saturating_sub(1);
            self.graph = moved(self.graph, command).min(last);
            return Vec::new();
        }
        let paged = !matches!(command, Command::Up | Command::Down);
        // A zoomed step that does not fit is scrolled; its items are still gone through line by line.
        let longer = self.view == View::Cockpit && self.focus == Pane::Step && self.zoom && self.reach > 0;
        if longer && (paged || !(manual && ticking)) {
            self.scroll = moved(self.scroll, command).min(self.reach);
            return Vec::new();
        }
        let steps = self.view == View::Cockpit && matches!(self.focus, Pane::Steps | Pane::Step);
        if steps && self.focus == Pane::Step && manual && ticking {
            let last = model::items(&snapshot.plan, &target.step).len().saturating_sub(1);
            self.item = moved(self.item, command).min(last);
            return Vec::new();
        }
        if steps {
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
        self.scroll = moved(self.scroll, command).min(20_000);
        Vec::new()
    }

    /// Looks at a step; its change is read if it is not known.
    pub(super) fn look_at(&mut self, snapshot: &Snapshot, index: usize) -> Vec<Intent> {
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
}

impl Ui {
    /// Reads the change again, or what the world shows of one in doubt, and says so: mostly nothing else changes.
    fn look_again(&mut self, snapshot: &Snapshot, target: &Target, now: Instant) -> Vec<Intent> {
        let phase = snapshot.state.step(&target.step).map_or(Phase::Waiting, |step| step.phase);
        let (step, direction) = (target.step.clone(), target.direction);
        match (phase, direction) {
            (Phase::InDoubt, _) => {
                if let Some(words) = model::driven(snapshot) {
                    self.say(words, true, now);
                    return Vec::new();
                }
                self.say(format!("looking at the world: did {step} take effect?"), false, now);
                vec![Intent::Send(Request::Observe { step })]
            }
            (Phase::Running | Phase::Verifying | Phase::Undoing, _) => {
                self.say(format!("{step} is {}: it is looked at all the time", phase.word()), false, now);
                Vec::new()
            }
            (Phase::Done | Phase::Skipped, Direction::Forward) => {
                self.say(format!("{step} is {}: there is no change to read", phase.word()), false, now);
                Vec::new()
            }
            (_, Direction::Back) if !snapshot.state.step(&step).is_some_and(StepState::undoable) => {
                self.say(format!("nothing of {step} stands: there is nothing to put back"), false, now);
                Vec::new()
            }
            _ => {
                self.say(format!("reading the exact change of {step} again"), false, now);
                vec![Intent::Send(Request::Look { step, direction })]
            }
        }
    }
}

pub(super) fn moved(at: usize, command: Command) -> usize {
    match command {
        Command::Up => at.saturating_sub(1),
        Command::Down => at + 1,
        Command::PageUp => at.saturating_sub(10),
        Command::PageDown => at + 10,
        Command::First => 0,
        Command::Last => 19_999,
        _ => at,
    }
}
