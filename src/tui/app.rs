//! The loop: keys before news, news before time; a frame only when something changed and the last one has left.

mod kept;
mod lost;
mod pointer;
mod wake;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crossterm::{
    Command as _,
    clipboard::CopyToClipboard,
    event::{Event, KeyEvent, KeyEventKind},
};
use jiff::Timestamp;
use ratatui::layout::Rect;
use tokio::time::timeout;

use self::{
    kept::Kept,
    wake::{SecondHand, Signals, Wake, at},
};
use super::{
    Exit, Guidance, Options, TuiError,
    alert::{call, worth},
    gate::{BURST, Stroke},
    guide::Guide,
    input::{Batch, Input},
    model::{Lost, Scene, seat, target},
    pace::{self, Pace},
    pane,
    screen::{Screen, Writer},
    sift,
    terminal::{Guard, area},
    ui::{Intent, Overlay, Painted, Ui},
};
use crate::{
    clock::{monotonic, wall_now},
    run::{Request, Seat, outcome},
    session::{Follower, Link, News},
};

/// Events that come faster than this share a frame; keys do not wait.
const FRAME: Duration = Duration::from_millis(100);
/// What is measured is drawn once a second of the session, when the second hand moves; in a session that runs faster
/// than the wall, no more often than [`FASTEST`].
const MEASURED: Duration = Duration::from_secs(1);
/// See [`MEASURED`], wall time.
const FASTEST: Duration = Duration::from_millis(250);
/// An engine that answers within this is not waited for on the screen: the first frame is the cockpit.
const AT_ONCE: Duration = Duration::from_millis(150);
/// How many news are taken in before keys are looked at again.
const MOUTHFUL: usize = 64;
/// A step whose change is not known is asked about again after this.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How long a frame may take to leave when the cockpit ends.
const LAST_FRAME: Duration = Duration::from_millis(300);

/// Everything that one cockpit holds.
pub(super) struct App {
    link: Link,
    options: Options,
    follower: Option<Follower>,
    /// None: the engine is heard.
    lost: Option<Lost>,
    /// When it was heard last, session time; None: never.
    heard: Option<Timestamp>,
    ui: Ui,
    screen: Screen,
    kept: Kept,
    writer: Writer,
    pace: Pace,
    /// What the frame that is being written shows, and the question to the terminal behind it.
    leaving: Option<(Painted, Option<u64>)>,
    /// What frames show that have left but may not have arrived.
    travelling: VecDeque<(Painted, u64)>,
    /// The gate and the decision that the terminal was last asked about.
    asked_about: (Option<u64>, bool),
    /// The lines that were to arrive first.
    first: Rect,
    /// When the next frame is due; None: nothing changed.
    due: Option<Instant>,
    drawn: Instant,
    last_key: Option<Instant>,
    /// A key was pressed, and no frame has left since.
    awaited: bool,
    looked: Option<(crate::plan::StepId, Instant)>,
    /// What goes to the terminal before the next frame.
    ahead: String,
    /// The step that the others were told this person looks at.
    told: Option<crate::plan::StepId>,
    /// The seat that the link knows of.
    sits: Option<Seat>,
    /// What the terminal has called for attention about.
    called: Vec<String>,
}

impl App {
    /// A cockpit on the terminal that the guard holds.
    ///
    /// # Errors
    /// If the terminal cannot be written to.
    pub(super) fn new(link: Link, options: Options) -> Result<Self, TuiError> {
        let writer = Writer::stdout().map_err(TuiError::Terminal)?;
        let now = monotonic();
        let mut ui = Ui::new();
        ui.guide = match options.guide {
            Guidance::Off => Guide::Off,
            Guidance::Offered => Guide::Offered,
            Guidance::On => Guide::Off.toggled(),
        };
        if let Some(note) = &options.note {
            ui.say(note, false, now);
        }
        Ok(Self {
            link,
            options,
            follower: None,
            lost: None,
            heard: None,
            ui,
            screen: Screen::new(area()?),
            kept: Kept::default(),
            writer,
            pace: Pace::asked_at(now),
            leaving: None,
            travelling: VecDeque::new(),
            asked_about: (None, false),
            first: Rect::ZERO,
            due: Some(now + AT_ONCE),
            drawn: now,
            last_key: None,
            awaited: false,
            looked: None,
            ahead: String::new(),
            told: None,
            sits: None,
            called: Vec::new(),
        })
    }

    /// Runs until the person leaves, the session refuses, or the terminal goes.
    ///
    /// # Errors
    /// If the terminal fails.
    pub(super) async fn run(mut self, guard: &Guard) -> Result<Exit, TuiError> {
        let mut input = Input::new().map_err(TuiError::Terminal)?;
        let mut signals = Signals::new().map_err(TuiError::Terminal)?;
        let mut second_hand = SecondHand::new().map_err(TuiError::Terminal)?;
        let exit = loop {
            let wake = self.wait(&mut input, &mut signals, &mut second_hand).await;
            if matches!(wake, Wake::Suspended) {
                self.finish(Some(&mut input)).await;
            }
            let turned = matches!(wake, Wake::News(_)) && second_hand.moves();
            if let Some(exit) = self.handle(wake, guard)? {
                break exit;
            }
            if turned {
                self.tick(monotonic());
            }
            self.draw_if_due();
        };
        self.finish((exit != Exit::Hangup).then_some(&mut input)).await;
        Ok(exit)
    }

    /// Leaves nothing half done at the terminal: the shell has it next. None: nobody is there to answer.
    async fn finish(&mut self, input: Option<&mut Input>) {
        if !self.writer.free() {
            // What is half written would end in the middle of a sequence.
            let _ = timeout(LAST_FRAME, self.writer.drained()).await;
        }
        if let Some(input) = input.filter(|_| self.pace.known()) {
            // The shell would take the terminal's answers for keys.
            let _ = timeout(LAST_FRAME, self.hear_out(input)).await;
        }
    }

    /// Reads what the terminal was asked for.
    async fn hear_out(&mut self, input: &mut Input) {
        while self.pace.awaits() {
            match input.next().await {
                Batch::Answers(answers, _) => (0..answers).for_each(|_| self.pace.answered(monotonic())),
                Batch::Events(_) => {}
                Batch::End => break,
            }
        }
    }

    async fn wait(&mut self, input: &mut Input, signals: &mut Signals, second_hand: &mut SecondHand) -> Wake {
        let now = monotonic();
        let full = self.pace.full(now, self.awaited);
        let patience = self.pace.patience().filter(|_| full);
        let due = self.due.filter(|_| self.writer.free()).and_then(|due| if full { patience } else { Some(due) });
        let deadline = due.into_iter().chain(self.ui.deadline(now)).min();
        tokio::select! {
            biased;
            wake = signals.next() => wake,
            batch = input.next() => Wake::Keys(batch),
            result = self.writer.drained(), if !self.writer.free() => Wake::Written(result),
            () = at(deadline), if deadline.is_some() => Wake::Deadline,
            news = self.link.recv() => Wake::News(news),
            () = second_hand.next() => Wake::Tick,
        }
    }

    fn handle(&mut self, wake: Wake, guard: &Guard) -> Result<Option<Exit>, TuiError> {
        let now = monotonic();
        match wake {
            Wake::Signal(exit) => return Ok(Some(exit)),
            Wake::Keys(Batch::End) => return Ok(Some(Exit::Hangup)),
            Wake::Keys(Batch::Events(events)) => return Ok(self.keys(&events, now)),
            Wake::Keys(Batch::Answers(answers, events)) => {
                (0..answers).for_each(|_| self.pace.answered(now));
                self.arrived(now);
                return Ok(self.keys(&events, now));
            }
            Wake::Suspended | Wake::Continued => {
                if matches!(wake, Wake::Suspended) {
                    guard.suspend();
                }
                guard.retake()?;
                // What was asked before was answered to the shell, or never.
                self.pace = Pace::asked_at(monotonic());
                (self.leaving, self.asked_about) = (None, (None, false));
                self.travelling.clear();
                // The window may have another size by now, and shows what the shell wrote.
                self.screen.resize(area()?);
                self.soon(now);
            }
            Wake::Resized => {
                self.screen.resize(area()?);
                self.soon(now);
            }
            Wake::Written(result) => {
                // A terminal that takes nothing more is gone.
                if result.is_err() {
                    return Ok(Some(Exit::Hangup));
                }
                self.left(now);
            }
            Wake::News(None) => return Ok(Some(Exit::Detached)),
            Wake::News(Some(news)) => return Ok(self.news(news, now)),
            Wake::Deadline => {
                let intents = self.ui.release(now);
                let acted = !intents.is_empty();
                if acted || self.ui.gate.latch().is_some() || self.ui.overlay.is_some() {
                    self.soon(now);
                }
                return Ok(self.act(intents, now));
            }
            Wake::Tick => self.tick(now),
        }
        Ok(None)
    }

    /// The second hand has moved.
    fn tick(&mut self, now: Instant) {
        self.ui.fade(now);
        self.soon_of_time(now);
    }

    /// All keys of one read. More than one at once are a burst; a release is no key.
    fn keys(&mut self, events: &[Event], now: Instant) -> Option<Exit> {
        let pressed =
            |event: &&Event| matches!(event, Event::Key(KeyEvent { kind, .. }) if *kind != KeyEventKind::Release);
        let together = events.iter().filter(pressed).count() > 1;
        for event in events {
            let intents = match event {
                Event::Paste(text) => self.ui.paste(text, now),
                Event::Mouse(mouse) => self.pointed(*mouse, now),
                Event::Key(key) if key.kind != KeyEventKind::Release => {
                    let close = self.last_key.replace(now).is_some_and(|last| now.duration_since(last) < BURST);
                    let stroke = Stroke { key: *key, at: now, alone: !together && !close };
                    self.ui.toast = None;
                    self.ui.stroke(self.follower.as_ref().map(Follower::snapshot), &stroke)
                }
                _ => continue,
            };
            self.soon_of_key(now);
            self.awaited = true;
            if let Some(exit) = self.act(intents, now) {
                return Some(exit);
            }
        }
        None
    }

    fn act(&mut self, intents: Vec<Intent>, now: Instant) -> Option<Exit> {
        for intent in intents {
            match intent {
                Intent::Leave(_) if self.over() => return self.came_to().map(Exit::Over),
                Intent::Leave(Exit::Detached) if self.restart().is_some() => return self.restart().map(Exit::Dead),
                Intent::Leave(exit) => return Some(exit),
                Intent::Redraw => self.screen.invalidate(),
                // All that the shell has started as one command, as its own Ctrl-Z would; we are told by the signal.
                Intent::Suspend => drop(rustix::process::kill_current_process_group(rustix::process::Signal::TSTP)),
                Intent::Copy => self.copy(now),
                Intent::Send(request) => {
                    if let Err(refusal) = self.link.request(request) {
                        self.ui.refused(refusal.0, now);
                    }
                }
            }
            self.soon(now);
        }
        None
    }

    /// Hands what has the focus to the terminal; whether it takes it, it does not say.
    fn copy(&mut self, now: Instant) {
        let Some(snapshot) = self.follower.as_ref().map(Follower::snapshot) else { return };
        let Options { theme, tz, .. } = &self.options;
        let times = (snapshot.clock.at_wall(wall_now()), now);
        let text = pane::value(&Scene::new(snapshot, &self.ui, (*theme, tz), times, None));
        self.ahead.clear();
        // Writing into a string cannot fail.
        let _ = CopyToClipboard::to_clipboard_from(&text).write_ansi(&mut self.ahead);
        let lines = super::text::count(text.lines().count(), "line");
        self.ui.say(format!("{lines} to the clipboard (OSC 52); Y shows them without borders"), false, now);
    }

    /// Has older events read where somebody looks that far back.
    fn look_back(&mut self) {
        let Some(state) = self.follower.as_ref().map(|follower| &follower.snapshot().state) else { return };
        if let Some((before, count)) = sift::wanted(state, &mut self.ui) {
            self.kept = Kept::default();
            if !self.link.past(before, count) {
                self.ui.past.give_up();
            }
        }
    }

    fn came_to(&self) -> Option<String> {
        self.follower.as_ref().map(Follower::snapshot).map(|snapshot| outcome(&snapshot.plan, &snapshot.state))
    }

    fn over(&self) -> bool {
        self.follower.as_ref().is_some_and(|follower| follower.snapshot().state.ended)
    }

    fn news(&mut self, first: News, now: Instant) -> Option<Exit> {
        let mut next = Some(first);
        for _ in 0..MOUTHFUL {
            let Some(news) = next else { break };
            if let Some(exit) = self.one_news(news, now) {
                return Some(exit);
            }
            next = self.link.try_recv();
        }
        if let Some(news) = next
            && let Some(exit) = self.one_news(news, now)
        {
            return Some(exit);
        }
        let changed = self.follower.as_mut().map(Follower::changed).unwrap_or_default();
        if changed.state {
            self.soon(now.max(self.drawn + FRAME));
        } else if changed.telemetry {
            self.measured(now);
        }
        let intents = self.followed(now);
        self.act(intents, now)
    }

    /// Draws what was measured with the next second, which is drawn anyway; earlier only where a second is long.
    fn measured(&mut self, now: Instant) {
        let clock = self.follower.as_ref().map(|follower| follower.snapshot().clock);
        let pace = clock.map_or(MEASURED, |clock| clock.to_wall(MEASURED));
        if pace < MEASURED {
            self.soon(now.max(self.drawn + pace.max(FASTEST)));
        }
    }

    fn one_news(&mut self, news: News, now: Instant) -> Option<Exit> {
        match news {
            News::Up(snapshot) => {
                self.came_up(&snapshot);
                self.follower = Some(Follower::new(snapshot));
                self.looked = None;
                self.soon(now);
                self.told = None;
            }
            // An engine ends with its session.
            News::Down { .. } | News::Refused { .. } if self.over() => return self.came_to().map(Exit::Over),
            News::Down { reason, restart } => self.went_down(reason, restart, now),
            News::Refused { reason } => return Some(Exit::Refused(reason)),
            News::Past(events) => {
                match events {
                    Ok(events) => self.ui.past.take(events),
                    Err(error) => {
                        self.ui.past.give_up();
                        self.ui.refused(error.to_string(), now);
                    }
                }
                self.soon(now);
            }
            News::Message(message) => self.message(message, now),
        }
        None
    }

    /// What follows from the new state: a gate opens or closes here, and the change of the step on the screen is asked for.
    fn followed(&mut self, now: Instant) -> Vec<Intent> {
        let Some(snapshot) = self.follower.as_ref().map(Follower::snapshot) else { return Vec::new() };
        let mut intents = self.ui.follow(snapshot, now);
        let target = target(snapshot, self.ui.pinned);
        if self.told.as_ref() != Some(&target.step) && self.lost.is_none() && self.link.looking(target.step.clone()) {
            self.told = Some(target.step.clone());
        }
        let sits = Some(seat(snapshot)).filter(|seat| self.sits != Some(*seat) && self.lost.is_none());
        self.sits = sits.filter(|seat| self.link.sits(*seat)).or(self.sits);
        let Some(step) = snapshot.state.step(&target.step) else { return intents };
        let unknown = step.preview(target.direction).is_none() && step.trouble.is_none() && !step.phase.in_flight();
        let wanted = unknown && !step.phase.settled() && self.lost.is_none() && seat(snapshot) == Seat::Driver;
        let asked = self.looked.as_ref().is_some_and(|(id, at)| *id == step.id && now.duration_since(*at) < ASK_AGAIN);
        if wanted && !asked && snapshot.state.needs_met(&snapshot.plan, &step.id) {
            self.looked = Some((step.id.clone(), now));
            intents.push(Intent::Send(Request::Look { step: step.id.clone(), direction: target.direction }));
        }
        intents
    }

    fn draw_if_due(&mut self) {
        let now = monotonic();
        self.arrived(now);
        if !self.writer.free() || self.due.is_none_or(|due| due > now) || self.pace.full(now, self.awaited) {
            return;
        }
        self.look_back();
        self.due = None;
        // A bell is worked out with the next second: a key does not wait for it.
        let of_key = std::mem::take(&mut self.awaited);
        self.drawn = now;
        let painted = self.draw(now);
        self.ui.hidden(&painted);
        let room = self.pace.room(now).unwrap_or(usize::MAX);
        let mut frame = std::mem::take(&mut self.ahead).into_bytes();
        let first = lines_of(self.ui.overlay.as_ref(), self.screen.area());
        let (bytes, whole) = self.screen.encode_some(first.union(self.first), room);
        frame.extend(bytes);
        if whole {
            self.first = first;
        } else {
            // The rest goes on its way when there is room for it, as it is then.
            self.keep_nothing();
            self.due = Some(now);
        }
        if let Some(snapshot) = self.follower.as_ref().map(Follower::snapshot).filter(|_| !of_key) {
            frame.extend(call(self.options.alert, &mut self.called, worth(snapshot)));
        }
        let about = (painted.gate, painted.question);
        let decides = whole && about != self.asked_about;
        let question = self.pace.written(frame.len(), decides, now);
        if question.is_some() {
            self.asked_about = about;
            frame.extend(pace::ASK.bytes());
        }
        if !frame.is_empty() {
            self.writer.write(frame);
        }
        self.leaving = whole.then_some((painted, question));
        if self.writer.free() {
            self.left(monotonic());
        }
    }

    /// A frame has left; what it shows counts as seen when the terminal says that it has it, if it says such things.
    fn left(&mut self, now: Instant) {
        let Some((painted, question)) = self.leaving.take() else { return };
        match question.or_else(|| self.pace.awaits().then(|| self.pace.last())) {
            Some(question) if self.pace.known() => self.travelling.push_back((painted, question)),
            _ => {
                self.travelling.clear();
                self.ui.painted(painted, now);
            }
        }
    }

    /// What the terminal has now is seen.
    fn arrived(&mut self, now: Instant) {
        let reached = self.pace.reached();
        while let Some((painted, _)) = self.travelling.pop_front_if(|(_, question)| *question <= reached) {
            self.ui.painted(painted, now);
        }
    }
}

/// Lines that a slow terminal should get first: where a key has opened something in the middle.
fn lines_of(overlay: Option<&Overlay>, area: Rect) -> Rect {
    match overlay {
        None | Some(Overlay::Help(_)) => Rect::ZERO,
        Some(_) => Rect { y: area.height / 3, height: area.height / 3, ..area },
    }
}
