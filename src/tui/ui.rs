//! What only this screen knows: where the person is and what they are about to decide. A key returns what the loop
//! should do; nothing here acts.

mod commands;

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{
    Exit,
    form::{Form, FormTurn, Question},
    gate::{Gatekeeper, Held, Latch, Ruling, Shown, Stroke, Turn},
    guide::Guide,
    keymap::{Command, Context, View, command},
    pane::Pane,
    sift::Kinds,
};
use crate::{run::Request, session::message::Snapshot};

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
    /// Put what has the focus into the terminal's clipboard.
    Copy,
}

/// What lies over the screen.
#[derive(Debug)]
pub(super) enum Overlay {
    /// The keys; scrolled by so many lines.
    Help(usize),
    /// What has the focus, without borders; scrolled by so many lines.
    Plain(usize),
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
    /// The graph that keys act on, in the order in which graphs are drawn.
    pub(super) graph: usize,
    /// Where graphs are read; None: at their newest datum.
    pub(super) cross: Option<Timestamp>,
    /// Words that lines of the journal must have.
    pub(super) search: String,
    /// Kinds of events that the journal shows.
    pub(super) kinds: Kinds,
    pub(super) guide: Guide,
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
            graph: 0,
            cross: None,
            search: String::new(),
            kinds: Kinds::default(),
            guide: Guide::default(),
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
                self.overlay = scrolled(stroke, at).map(Overlay::Help);
                Vec::new()
            }
            Some(Overlay::Plain(at)) => {
                self.overlay = scrolled(stroke, at).map(Overlay::Plain);
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

    /// The engine refused something.
    pub(super) fn refused(&mut self, reason: String, now: Instant) {
        self.gate.refused();
        self.say(reason, true, now);
    }
}

/// Where an overlay that scrolls stands after a key; None: the key closes it.
fn scrolled(stroke: &Stroke, at: usize) -> Option<usize> {
    match command(&stroke.key, &[Context::List])? {
        Command::Down => Some(at + 1),
        Command::Up => Some(at.saturating_sub(1)),
        Command::PageDown => Some(at + 10),
        Command::PageUp => Some(at.saturating_sub(10)),
        _ => None,
    }
}
