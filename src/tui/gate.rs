//! Gates at the keyboard: when a key is a person's decision and when it is an accident.
//!
//! A [`Latch`] opens only for the explicit key or the words that say the act, typed by hand, after what it is about has been on the
//! screen long enough to be read. Everything else closes it: a key typed ahead, a paste, a burst, a wrong key. Key repeat
//! counts as nothing. What opens it is [`Held`] for a moment more, because the first key of a paste looks like any other.
//!
//! Only [`Gatekeeper::confirm`] can make the request that passes a gate, and only from an open latch.

use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::{
    plan::{GateLevel, Plan, StepId},
    run::{Direction, Evidence, Gate, Operator, Request, Seat, State, typed_words},
    tui::keymap::CONSENT,
};

/// Keys closer together than this come from a paste or a program, not from fingers.
pub(super) const BURST: Duration = Duration::from_millis(25);
/// What a latch is about must have been on the screen for at least this long.
pub(super) const DWELL: Duration = Duration::from_millis(700);
/// A step must have been on the screen for this long before its gate may be armed.
const LOOK: Duration = Duration::from_millis(300);
/// Enter that follows Enter sooner than this is a key held down.
const REPEAT: Duration = Duration::from_millis(150);
/// So many keys in one burst are a paste, even where a fast typist on a slow link is given the benefit of the doubt.
const SEVERAL: u8 = 3;
/// How long an answer to arming is waited for before keys mean what they always mean.
const PATIENCE: Duration = Duration::from_secs(3);

/// One key press, with what tells a finger from a machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stroke {
    /// The key.
    pub(super) key: KeyEvent,
    /// When it was read.
    pub(super) at: Instant,
    /// No other key came in the same read or within [`BURST`] before it.
    pub(super) alone: bool,
}

impl Stroke {
    /// The key without modifiers other than shift.
    pub(super) fn plain(&self) -> Option<KeyCode> {
        (self.key.modifiers - KeyModifiers::SHIFT).is_empty().then_some(self.key.code)
    }

    fn repeated(&self) -> bool {
        self.key.kind != KeyEventKind::Press
    }
}

/// What opens a latch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wants {
    /// This key.
    Key(char),
    /// This text, letter by letter, then Enter.
    Word(String),
}

/// What a key did to a latch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing, or one letter more.
    Stays,
    /// It is open, once nothing more follows for [`BURST`].
    Opens,
    /// It is closed, and why.
    Closes(String),
}

/// Something that a person must look at and then decide with an explicit key.
#[derive(Debug, Clone)]
pub(super) struct Latch {
    wants: Wants,
    dwell: Duration,
    painted: Option<Instant>,
    typed: String,
    hurried: u8,
}

impl Latch {
    /// A closed latch; `dwell` is wall time.
    pub(super) fn new(wants: Wants, dwell: Duration) -> Self {
        Self { wants, dwell: dwell.max(DWELL), painted: None, typed: String::new(), hurried: 0 }
    }

    /// What opens it.
    pub(super) const fn wants(&self) -> &Wants {
        &self.wants
    }

    /// What has been typed so far.
    pub(super) fn typed(&self) -> &str {
        &self.typed
    }

    /// What it is about is on the screen from now on.
    pub(super) fn paint(&mut self, at: Instant) {
        self.painted.get_or_insert(at);
    }

    /// It is not on the screen any more: the terminal shrank, or something covers it.
    pub(super) const fn hide(&mut self) {
        self.painted = None;
    }

    /// From when on keys count; None while it is not on the screen.
    pub(super) fn ripe_at(&self) -> Option<Instant> {
        self.painted.map(|painted| painted + self.dwell)
    }

    /// Takes one key.
    pub(super) fn stroke(&mut self, stroke: &Stroke) -> Turn {
        if stroke.repeated() {
            return Turn::Stays;
        }
        if stroke.key.code == KeyCode::Esc {
            return Turn::Closes("closed with Esc".into());
        }
        if self.ripe_at().is_none_or(|ripe| stroke.at < ripe) {
            return Turn::Closes(format!("{} was pressed before the change could be read", name_of(&stroke.key)));
        }
        self.hurried = if stroke.alone { 0 } else { self.hurried + 1 };
        match &self.wants {
            Wants::Key(key) if stroke.plain() == Some(KeyCode::Char(*key)) && stroke.alone => Turn::Opens,
            Wants::Key(key) if stroke.plain() == Some(KeyCode::Char(*key)) => Turn::Closes(burst()),
            Wants::Key(key) => Turn::Closes(format!("{} was pressed, not {key}", name_of(&stroke.key))),
            Wants::Word(word) if stroke.plain() == Some(KeyCode::Enter) => self.entered(word, stroke.alone),
            Wants::Word(_) if self.hurried + 1 >= SEVERAL => Turn::Closes(burst()),
            Wants::Word(_) => self.letter(stroke),
        }
    }

    /// Pasted text never counts.
    pub(super) fn paste() -> Turn {
        Turn::Closes("pasted text never counts: type it".into())
    }

    fn entered(&self, word: &str, alone: bool) -> Turn {
        if !alone {
            return Turn::Closes(burst());
        }
        if self.typed == word {
            return Turn::Opens;
        }
        Turn::Closes(format!("typed `{}`, wanted `{word}`", self.typed))
    }

    fn letter(&mut self, stroke: &Stroke) -> Turn {
        match stroke.plain() {
            Some(KeyCode::Char(c)) if self.typed.len() < 256 => {
                self.typed.push(c);
                Turn::Stays
            }
            Some(KeyCode::Backspace) => {
                self.typed.pop();
                Turn::Stays
            }
            _ => Turn::Closes(format!("{} is not part of the name", name_of(&stroke.key))),
        }
    }
}

fn burst() -> String {
    "keys came faster than a person types".into()
}

/// How a key is called.
pub(super) fn name_of(key: &KeyEvent) -> String {
    let code = match key.code {
        KeyCode::Char(' ') => "Space".to_owned(),
        KeyCode::Char(c) => c.to_string(),
        KeyCode::F(number) => format!("F{number}"),
        KeyCode::BackTab => "Shift-Tab".to_owned(),
        code => format!("{code:?}"),
    };
    if key.modifiers.contains(KeyModifiers::CONTROL) { format!("Ctrl-{code}") } else { code }
}

/// A decision that waits until nothing more has followed for [`BURST`].
#[derive(Debug)]
pub(super) struct Held<T> {
    kept: Option<(Instant, T)>,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self { kept: None }
    }
}

impl<T> Held<T> {
    /// Keeps a decision.
    pub(super) fn put(&mut self, at: Instant, decision: T) {
        self.kept = Some((at, decision));
    }

    /// Something followed: the decision is void. True if there was one.
    pub(super) fn disturb(&mut self) -> bool {
        self.kept.take().is_some()
    }

    /// When it will be released.
    pub(super) fn due(&self) -> Option<Instant> {
        self.kept.as_ref().map(|(at, _)| *at + BURST)
    }

    /// Releases the decision once its time has come.
    pub(super) fn release(&mut self, now: Instant) -> Option<T> {
        let ripe = self.due().is_some_and(|due| now >= due);
        if ripe { self.kept.take().map(|(_, decision)| decision) } else { None }
    }
}

/// What the screen showed of a step when it was painted last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    /// The step.
    pub(super) step: StepId,
    /// Forward or back.
    pub(super) direction: Direction,
    /// What its consent would be bound to; None while the change is not known.
    pub(super) evidence: Option<Evidence>,
    /// All of the change was visible.
    pub(super) whole: bool,
}

/// Where the gate stands, as this keyboard sees it.
#[derive(Debug)]
enum Stand {
    /// No gate, or one that is not for this person.
    Idle,
    /// Arming was asked for. `disturbed`: a key followed, so that the gate must close as soon as it opens.
    Asked { at: Instant, disturbed: Option<String> },
    /// A gate waits for this person.
    Open { gate: u64, evidence: Evidence, latch: Latch },
    /// This person passed or closed it; the engine has been told.
    Closing { gate: u64, passed: bool },
}

/// What stands between the keyboard and a gate.
#[derive(Debug)]
pub(super) struct Gatekeeper {
    stand: Stand,
    shown: Option<(Instant, Shown)>,
    entered: Option<Instant>,
    /// How many gates had been armed when the state was looked at last.
    gates: u64,
}

/// What a key meant to the gatekeeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ruling {
    /// No gate is open: the key means what it always means.
    NotMine,
    /// The gate took it.
    Taken,
    /// The gate is to be passed if nothing follows: ask [`Gatekeeper::confirm`].
    Passes,
    /// The gate is to be closed, and why.
    Disarm(String),
}

impl Gatekeeper {
    /// No gate yet.
    pub(super) const fn new() -> Self {
        Self { stand: Stand::Idle, shown: None, entered: None, gates: 0 }
    }

    /// The latch of the gate that waits for this person.
    pub(super) const fn latch(&self) -> Option<&Latch> {
        match &self.stand {
            Stand::Open { latch, .. } => Some(latch),
            _ => None,
        }
    }

    /// The number of the gate that waits for this person.
    pub(super) const fn open(&self) -> Option<u64> {
        match &self.stand {
            Stand::Open { gate, .. } => Some(*gate),
            _ => None,
        }
    }

    /// Follows the state: opens a latch for a gate of this person, forgets a gate that is closed.
    ///
    /// Some: a key was pressed between asking and opening, so the gate must close at once, and why.
    pub(super) fn follow(&mut self, plan: &Plan, state: &State, you: &Operator, dwell: Duration) -> Option<String> {
        // One that opens with Enter alone asks nobody for a key.
        let asks = |gate: &&Gate| !gate.consented && gate.level != GateLevel::Start;
        let gate = state.gate.as_ref().filter(asks).filter(|gate| waits_for(state, you, gate.typed));
        let answered = std::mem::replace(&mut self.gates, state.gates) != state.gates;
        match (&mut self.stand, gate) {
            (Stand::Open { gate: known, .. } | Stand::Closing { gate: known, .. }, Some(gate)) if *known == gate.id => {
            }
            // Until the answer comes. A gate that asks for nothing more has closed again by then.
            (Stand::Asked { .. }, None) if !answered => {}
            (stand, Some(gate)) => {
                let disturbed = match stand {
                    Stand::Asked { disturbed, .. } => disturbed.take(),
                    _ => None,
                };
                if disturbed.is_some() {
                    *stand = Stand::Closing { gate: gate.id, passed: false };
                    return disturbed;
                }
                let named = gate.level >= GateLevel::Type && !gate.typed;
                let word = plan.step(&gate.step).filter(|_| named).map(|step| typed_words(plan, step, gate.direction));
                let latch = Latch::new(word.map_or(Wants::Key(CONSENT), Wants::Word), dwell);
                *stand = Stand::Open { gate: gate.id, evidence: gate.evidence.clone(), latch };
            }
            (stand, None) => *stand = Stand::Idle,
        }
        None
    }

    /// A frame reached the terminal: which step and which gate it showed.
    pub(super) fn paint(&mut self, shown: Option<Shown>, gate: Option<u64>, at: Instant) {
        if let Stand::Open { gate: known, latch, .. } = &mut self.stand {
            if gate == Some(*known) {
                latch.paint(at);
            } else {
                latch.hide();
            }
        }
        self.shown = shown.map(|shown| match self.shown.take() {
            Some((since, before)) if before == shown => (since, shown),
            _ => (at, shown),
        });
    }

    /// The gate is not on the screen any more.
    pub(super) const fn hide(&mut self) {
        if let Stand::Open { latch, .. } = &mut self.stand {
            latch.hide();
        }
    }

    /// The screen has no room for all of the change that was on it last.
    pub(super) fn cramped(&self) -> bool {
        self.shown.as_ref().is_some_and(|(_, shown)| !shown.whole)
    }

    /// The request that arms the step on the screen.
    ///
    /// # Errors
    /// Why it may not be armed, for the person.
    pub(super) fn arm(&mut self, stroke: &Stroke) -> Result<Request, String> {
        let before = self.entered.replace(stroke.at);
        if stroke.repeated() || before.is_some_and(|before| stroke.at.duration_since(before) < REPEAT) {
            return Err("Enter held down counts for nothing".into());
        }
        if !stroke.alone {
            return Err(burst());
        }
        let (since, shown) = self.shown.as_ref().ok_or("look at the step first: its pane is not on the screen")?;
        if stroke.at.duration_since(*since) < LOOK {
            return Err("what is on the screen has just changed: look, then press Enter".into());
        }
        if !shown.whole {
            return Err("not all of the change is on the screen: the step says how to see it".into());
        }
        let seen = shown.evidence.clone().ok_or("the exact change is not known yet")?;
        Ok(Request::Arm { step: shown.step.clone(), direction: shown.direction, seen })
    }

    /// Arming has been asked for.
    pub(super) fn asked(&mut self, at: Instant) {
        self.stand = Stand::Asked { at, disturbed: None };
    }

    /// Arming was refused.
    pub(super) fn refused(&mut self) {
        match &mut self.stand {
            Stand::Asked { .. } => self.stand = Stand::Idle,
            Stand::Closing { passed, .. } => *passed = false,
            Stand::Idle | Stand::Open { .. } => {}
        }
    }

    /// Takes a key.
    pub(super) fn stroke(&mut self, stroke: &Stroke) -> Ruling {
        match &mut self.stand {
            Stand::Idle | Stand::Closing { .. } => Ruling::NotMine,
            Stand::Asked { at, .. } if stroke.at.duration_since(*at) > PATIENCE => {
                self.stand = Stand::Idle;
                Ruling::NotMine
            }
            Stand::Asked { .. } if stroke.repeated() => Ruling::Taken,
            Stand::Asked { disturbed, .. } => {
                *disturbed = Some(format!("{} was pressed before the gate was on the screen", name_of(&stroke.key)));
                Ruling::Taken
            }
            Stand::Open { latch, .. } => match latch.stroke(stroke) {
                Turn::Stays => Ruling::Taken,
                Turn::Opens => Ruling::Passes,
                Turn::Closes(reason) => Ruling::Disarm(reason),
            },
        }
    }

    /// Takes pasted text.
    pub(super) fn paste(&mut self) -> Ruling {
        match &mut self.stand {
            Stand::Idle | Stand::Closing { .. } => Ruling::NotMine,
            Stand::Asked { disturbed, .. } => {
                *disturbed = Some("text was pasted before the gate was on the screen".into());
                Ruling::Taken
            }
            Stand::Open { .. } => match Latch::paste() {
                Turn::Closes(reason) => Ruling::Disarm(reason),
                _ => Ruling::Taken,
            },
        }
    }

    /// Closes the gate here, so that no later key can pass it.
    pub(super) fn close(&mut self) {
        if let Stand::Open { gate, .. } = self.stand {
            self.stand = Stand::Closing { gate, passed: false };
        }
    }

    /// This person's last key passed a gate, and the engine has not answered yet.
    pub(super) const fn passing(&self) -> bool {
        matches!(self.stand, Stand::Closing { passed: true, .. })
    }

    /// Arming was asked for, and the engine has not answered yet.
    pub(super) const fn asking(&self) -> bool {
        matches!(self.stand, Stand::Asked { .. })
    }

    /// The request that passes the open gate. To be called when [`Ruling::Passes`] has stood undisturbed.
    pub(super) fn confirm(&mut self) -> Option<Request> {
        let Stand::Open { gate, evidence, latch } = &self.stand else { return None };
        let typed = match latch.wants() {
            Wants::Key(_) => None,
            Wants::Word(_) => Some(latch.typed().to_owned()),
        };
        let gate = *gate;
        let request = Request::Confirm { gate, seen: evidence.clone(), typed };
        self.stand = Stand::Closing { gate, passed: true };
        Some(request)
    }
}

/// Whether an armed gate waits for this person: the one who armed it, or, once it is typed, a confirmer of another login.
fn waits_for(state: &State, you: &Operator, typed: bool) -> bool {
    let Some(gate) = &state.gate else { return false };
    if !typed {
        return gate.by.conn == you.conn;
    }
    let confirmer = state.seated(Seat::Confirmer).any(|operator| operator.conn == you.conn);
    confirmer && !gate.by.may_be(you)
}
