//! What only this screen knows: where the person is and what they are about to decide. A key returns what the loop
//! should do; nothing here acts.

mod commands;
mod pointer;

use std::time::{Duration, Instant};

use crossterm::event::KeyCode;
use jiff::Timestamp;

use super::{
    Exit,
    deaf::{Deaf, Heard, Rhythm},
    form::{Decision, Form, FormTurn, Question},
    gate::{Gatekeeper, Held, Latch, Ruling, Shown, Stroke, Turn},
    guide::Guide,
    keymap::{CONSENT, Context, View, command},
    model::barred,
    pane::Pane,
    sift::{Kinds, Past},
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
    /// Give the terminal to the shell until it is continued.
    Suspend,
    /// Put what has the focus into the terminal's clipboard.
    Copy,
}

/// What lies over the screen.
#[derive(Debug)]
pub(super) enum Overlay {
    /// The keys; scrolled by so many lines.
    Help(usize),
    /// Who is attached.
    People,
    /// What has the focus, without borders; scrolled by so many lines.
    Plain(usize),
    /// Every banner in full; scrolled by so many lines.
    Alarms(usize),
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
    /// To leave: what follows at once would be typed into a shell.
    Leave(Intent),
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
#[derive(Debug, Clone, Default)]
pub(super) struct Painted {
    /// The step whose pane was visible.
    pub(super) step: Option<Shown>,
    /// The armed gate that was visible with what it wants.
    pub(super) gate: Option<u64>,
    /// A decision was visible.
    pub(super) question: bool,
    /// How many lines what the keys scroll can be scrolled; None: it sees to that itself.
    pub(super) reach: Option<usize>,
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
    /// How far what has the focus could be scrolled when it was painted last.
    pub(super) reach: usize,
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
    /// What it shows that the state does not keep.
    pub(super) past: Past,
    pub(super) guide: Guide,
    pub(super) overlay: Option<Overlay>,
    pub(super) toast: Option<Toast>,
    /// Why this person's last gate closed, said more exactly than the engine can.
    pub(super) disarmed: Option<String>,
    pub(super) gate: Gatekeeper,
    /// The connection that drove when the state was looked at last; the outer None: it was not looked at yet.
    driver: Option<Option<u64>>,
    waiting: Held<Waiting>,
    /// Why nothing can be asked of the engine.
    unheard: Option<String>,
    /// Keys are still meant for a gate that has closed.
    deaf: Option<Deaf>,
    /// How the person types into the gate that is open.
    rhythm: Rhythm,
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
            reach: 0,
            range: 2,
            graph: 0,
            cross: None,
            search: String::new(),
            kinds: Kinds::default(),
            past: Past::default(),
            guide: Guide::default(),
            overlay: None,
            toast: None,
            disarmed: None,
            gate: Gatekeeper::new(),
            driver: None,
            waiting: Held::default(),
            unheard: None,
            deaf: None,
            rhythm: Rhythm::default(),
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
        let drives = snapshot.state.driver().map(|driver| driver.conn);
        let news = match self.driver {
            None => super::model::seat_found(snapshot),
            Some(before) => super::model::seat_news(snapshot, before),
        };
        if let Some(text) = news {
            self.say(text, true, now);
        }
        self.driver = Some(drives);
        if let Some(Overlay::Question(question)) = &self.overlay
            && let Some(reason) = question.outlived(&snapshot.state, &snapshot.you)
        {
            self.drop_question(reason, now);
        }
        let open = self.gate.open();
        let disturbed = self.gate.follow(&snapshot.plan, &snapshot.state, &snapshot.you, dwell);
        if open.is_some() && self.gate.open().is_none() {
            self.deafen(open);
        }
        if snapshot.state.gate.is_some() && disturbed.is_none() && self.gate.latch().is_some() {
            self.disarmed = None;
        }
        disturbed.map(|reason| self.disarm(reason, now)).unwrap_or_default()
    }

    /// Takes in what a frame showed.
    pub(super) fn painted(&mut self, painted: Painted, at: Instant) {
        if let Some(deaf) = &mut self.deaf {
            deaf.painted(painted.gate, at);
        }
        self.gate.paint(painted.step, painted.gate, at);
        self.reach = painted.reach.unwrap_or_default();
        // Nobody scrolls beyond the end, to scroll back in vain.
        if let Some(reach) = painted.reach {
            match &mut self.overlay {
                Some(Overlay::Help(at) | Overlay::Plain(at) | Overlay::Alarms(at)) => *at = reach.min(*at),
                Some(Overlay::Question(question)) => question.scroll = reach.min(question.scroll),
                Some(_) => {}
                None => self.scroll = reach.min(self.scroll),
            }
        }
        if let Some(Overlay::Question(question)) = &mut self.overlay {
            if painted.question {
                question.latch.paint(at);
            } else {
                question.latch.hide();
            }
        }
    }

    /// Takes in what a frame that has not arrived yet takes away.
    pub(super) const fn hidden(&mut self, painted: &Painted) {
        if painted.gate.is_none() {
            self.gate.hide();
        }
        if let Some(Overlay::Question(question)) = &mut self.overlay
            && !painted.question
        {
            question.latch.hide();
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
            Some(Waiting::Leave(intent)) => vec![intent],
            Some(Waiting::Pass) => self.gate.confirm().map(Intent::Send).into_iter().collect(),
            Some(Waiting::Decide) => match self.overlay.take() {
                Some(Overlay::Question(question)) => {
                    if matches!(question.about, Decision::Rollback(_)) {
                        // Where the first undo waits to be armed.
                        self.focus(Pane::Step);
                        self.pinned = None;
                    }
                    vec![Intent::Send(question.request())]
                }
                _ => Vec::new(),
            },
        }
    }

    /// What is typed on is no command, until whoever types has seen that the gate is closed.
    pub(in crate::tui) fn deafen(&mut self, gate: Option<u64>) {
        self.deaf = Some(Deaf::new(gate, std::mem::take(&mut self.rhythm)));
    }

    /// The engine cannot be heard, and what to say to whoever asks it for something: no key passes a gate any more.
    pub(super) fn lost(&mut self, words: String) {
        self.unheard = Some(words);
        if let Some(gate) = self.gate.open() {
            self.gate.close();
            self.deafen(Some(gate));
        }
    }

    /// It can be heard.
    pub(super) fn heard(&mut self) {
        self.unheard = None;
    }

    fn disarm(&mut self, reason: String, now: Instant) -> Vec<Intent> {
        let gate = self.gate.open();
        self.gate.close();
        self.deafen(gate);
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
        match self.deaf.as_mut().map(|deaf| deaf.hear(stroke)) {
            Some(Heard::Ignored(words)) => {
                self.say(words, true, stroke.at);
                return Vec::new();
            }
            Some(Heard::Ends) => {
                self.deaf = None;
                return Vec::new();
            }
            Some(Heard::Command) => self.deaf = None,
            None => {}
        }
        let disturbed = self.waiting.disturb();
        if disturbed && self.gate.latch().is_some() {
            return self.disarm("more keys followed at once".into(), stroke.at);
        }
        if self.gate.open().is_some() {
            self.rhythm.beat(stroke.at);
        } else {
            self.rhythm = Rhythm::default();
        }
        match self.gate.stroke(stroke) {
            Ruling::Disarm(reason) => {
                let intents = self.disarm(reason, stroke.at);
                if stroke.key.code == KeyCode::Esc {
                    self.deaf = None;
                }
                return intents;
            }
            Ruling::Passes => self.waiting.put(stroke.at, Waiting::Pass),
            Ruling::Taken => {}
            Ruling::NotMine => return self.free_stroke(snapshot, stroke),
        }
        Vec::new()
    }

    /// A key while no gate of this person is open.
    fn free_stroke(&mut self, snapshot: Option<&Snapshot>, stroke: &Stroke) -> Vec<Intent> {
        match self.overlay.take() {
            None if stroke.key.code == KeyCode::Esc && snapshot.and_then(super::model::withdraws).is_some() => {
                let intents = self.disarm("withdrawn with Esc".into(), stroke.at);
                self.deaf = None;
                intents
            }
            None => self.command(snapshot, stroke),
            Some(Overlay::People) => Vec::new(),
            Some(Overlay::Help(at)) => {
                self.overlay = scrolled(stroke, at).map(Overlay::Help);
                Vec::new()
            }
            Some(Overlay::Plain(at)) => {
                self.overlay = scrolled(stroke, at).map(Overlay::Plain);
                Vec::new()
            }
            Some(Overlay::Alarms(at)) => {
                self.overlay = scrolled(stroke, at).map(Overlay::Alarms);
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
            Some(Overlay::Question(mut question)) if scrolls(stroke) => {
                question.scroll = scrolled(stroke, question.scroll).unwrap_or_default();
                self.overlay = Some(Overlay::Question(question));
                Vec::new()
            }
            Some(Overlay::Question(question)) => {
                self.decided(snapshot, question, stroke);
                Vec::new()
            }
        }
    }

    /// A key on a decision.
    fn decided(&mut self, snapshot: Option<&Snapshot>, mut question: Question, stroke: &Stroke) {
        let barred = snapshot.filter(|_| matches!(question.about, Decision::Rollback(_))).and_then(barred);
        match (question.latch.stroke(stroke), barred) {
            (_, Some(reason)) if stroke.plain() == Some(KeyCode::Char(CONSENT)) => {
                self.drop_question(reason, stroke.at)
            }
            (Turn::Closes(reason), _) => self.drop_question(reason, stroke.at),
            (turn, _) => {
                if turn == Turn::Opens {
                    self.waiting.put(stroke.at, Waiting::Decide);
                }
                self.overlay = Some(Overlay::Question(question));
            }
        }
    }

    fn drop_question(&mut self, reason: String, now: Instant) {
        self.overlay = None;
        self.say(format!("nothing was done: {reason}"), false, now);
    }

    /// The engine refused something.
    pub(super) fn refused(&mut self, reason: String, now: Instant) {
        // Whoever types the words without having looked up types no commands.
        if self.gate.asking() {
            self.deafen(None);
        }
        self.gate.refused();
        self.say(reason, true, now);
    }
}

/// Keys that scroll a decision and are nobody's answer to it: no letters.
const fn scrolls(stroke: &Stroke) -> bool {
    use KeyCode::{Down, End, Home, PageDown, PageUp, Up};
    matches!(stroke.key.code, Up | Down | PageUp | PageDown | Home | End)
}

/// Where an overlay that scrolls stands after a key; None: the key closes it.
fn scrolled(stroke: &Stroke, at: usize) -> Option<usize> {
    let command = command(&stroke.key, &[Context::List])?;
    Some(commands::moved(at, command))
}
