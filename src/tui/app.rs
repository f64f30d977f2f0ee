//! The loop: keys before news, news before time; a frame only when something changed and the last one has left.

use std::time::{Duration, Instant};

use crossterm::{
    Command as _,
    clipboard::CopyToClipboard,
    event::{Event, KeyEvent, KeyEventKind},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{sleep_until, timeout},
};

use super::{
    Exit, Guidance, Options, TuiError,
    gate::{BURST, Stroke},
    guide::Guide,
    input::{Batch, Input},
    model::{Scene, seat, target},
    pane,
    screen::{Screen, Writer},
    terminal::{Guard, area},
    ui::{Intent, Painted, Ui},
};
use crate::{
    clock::{monotonic, wall_now},
    run::{Request, Seat},
    session::{Follower, Link, News, Taken},
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
    /// Why the engine cannot be heard.
    lost: Option<String>,
    ui: Ui,
    screen: Screen,
    writer: Writer,
    /// What the frame on its way shows.
    leaving: Option<Painted>,
    /// When the next frame is due; None: nothing changed.
    due: Option<Instant>,
    drawn: Instant,
    last_key: Option<Instant>,
    looked: Option<(crate::plan::StepId, Instant)>,
    /// What goes to the terminal before the next frame.
    ahead: String,
}

/// What woke the loop.
enum Wake {
    Signal(Exit),
    Continued,
    Resized,
    Keys(Batch),
    Written(std::io::Result<()>),
    News(Option<News>),
    Deadline,
    Tick,
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    resize: Signal,
    cont: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            resize: signal(SignalKind::window_change())?,
            cont: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
        })
    }

    async fn next(&mut self) -> Wake {
        tokio::select! {
            _ = self.hangup.recv() => Wake::Signal(Exit::Hangup),
            _ = self.terminate.recv() => Wake::Signal(Exit::Terminated),
            _ = self.interrupt.recv() => Wake::Signal(Exit::Terminated),
            _ = self.resize.recv() => Wake::Resized,
            _ = self.cont.recv() => Wake::Continued,
        }
    }
}

impl App {
    /// A cockpit on the terminal that the guard holds.
    ///
    /// # Errors
    /// If the terminal cannot be written to.
    pub(super) fn new(link: Link, options: Options) -> Result<Self, TuiError> {
        let out = rustix::io::dup(std::io::stdout()).map_err(|error| TuiError::Terminal(error.into()))?;
        let writer = Writer::start(std::fs::File::from(out)).map_err(TuiError::Terminal)?;
        let now = monotonic();
        let mut ui = Ui::new();
        ui.guide = match options.guide {
            Guidance::Off => Guide::Off,
            Guidance::Offered => Guide::Offered,
            Guidance::On => Guide::Off.toggled(),
        };
        Ok(Self {
            link,
            options,
            follower: None,
            lost: None,
            ui,
            screen: Screen::new(area()?),
            writer,
            leaving: None,
            due: Some(now + AT_ONCE),
            drawn: now,
            last_key: None,
            looked: None,
            ahead: String::new(),
        })
    }

    /// Runs until the person leaves, the session refuses, or the terminal goes.
    ///
    /// # Errors
    /// If the terminal fails.
    pub(super) async fn run(mut self, guard: &Guard) -> Result<Exit, TuiError> {
        let mut input = Input::new().map_err(TuiError::Terminal)?;
        let mut signals = Signals::new().map_err(TuiError::Terminal)?;
        let exit = loop {
            let wake = self.wait(&mut input, &mut signals).await;
            if let Some(exit) = self.handle(wake, guard)? {
                break exit;
            }
            self.draw_if_due();
        };
        if !self.writer.free() {
            // What is half written would end in the middle of a sequence.
            let _ = timeout(LAST_FRAME, self.writer.drained()).await;
        }
        Ok(exit)
    }

    async fn wait(&mut self, input: &mut Input, signals: &mut Signals) -> Wake {
        let now = monotonic();
        let due = self.due.filter(|_| self.writer.free());
        let deadline = due.into_iter().chain(self.ui.deadline(now)).min();
        tokio::select! {
            biased;
            wake = signals.next() => wake,
            batch = input.next() => Wake::Keys(batch),
            result = self.writer.drained(), if !self.writer.free() => Wake::Written(result),
            () = at(deadline), if deadline.is_some() => Wake::Deadline,
            news = self.link.recv() => Wake::News(news),
            () = next_second(now) => Wake::Tick,
        }
    }

    fn handle(&mut self, wake: Wake, guard: &Guard) -> Result<Option<Exit>, TuiError> {
        let now = monotonic();
        match wake {
            Wake::Signal(exit) => return Ok(Some(exit)),
            Wake::Keys(Batch::End) => return Ok(Some(Exit::Hangup)),
            Wake::Keys(Batch::Events(events)) => return Ok(self.keys(&events, now)),
            Wake::Continued => {
                guard.retake()?;
                self.screen.invalidate();
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
                if let Some(painted) = self.leaving.take() {
                    self.ui.painted(painted, now);
                }
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
            Wake::Tick => {
                self.ui.fade(now);
                self.soon(now);
            }
        }
        Ok(None)
    }

    fn soon(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// All keys of one read. More than one at once are a burst; a release is no key.
    fn keys(&mut self, events: &[Event], now: Instant) -> Option<Exit> {
        let pressed =
            |event: &&Event| matches!(event, Event::Key(KeyEvent { kind, .. }) if *kind != KeyEventKind::Release);
        let together = events.iter().filter(pressed).count() > 1;
        for event in events {
            let intents = match event {
                Event::Paste(text) => self.ui.paste(text, now),
                Event::Key(key) if key.kind != KeyEventKind::Release => {
                    let close = self.last_key.replace(now).is_some_and(|last| now.duration_since(last) < BURST);
                    let stroke = Stroke { key: *key, at: now, alone: !together && !close };
                    self.ui.toast = None;
                    self.ui.stroke(self.follower.as_ref().map(Follower::snapshot), &stroke)
                }
                _ => continue,
            };
            self.soon(now);
            if let Some(exit) = self.act(intents, now) {
                return Some(exit);
            }
        }
        None
    }

    fn act(&mut self, intents: Vec<Intent>, now: Instant) -> Option<Exit> {
        for intent in intents {
            match intent {
                Intent::Leave(_) if self.over() => return Some(Exit::Over),
                Intent::Leave(exit) => return Some(exit),
                Intent::Redraw => self.screen.invalidate(),
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
        self.ui.say(format!("{lines} to the clipboard (OSC 52); C shows them without borders"), false, now);
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
                self.follower = Some(Follower::new(snapshot));
                self.lost = None;
                self.looked = None;
                self.soon(now);
            }
            News::Down { reason } => {
                self.lost = Some(reason);
                self.ui.gate.close();
                self.soon(now);
            }
            News::Refused { reason } => return Some(Exit::Refused(reason)),
            News::Message(message) => match self.follower.as_mut().map(|follower| follower.take(message)) {
                Some(Taken::Missed) => self.link.resync(),
                Some(Taken::Reply { result: Err(refusal), .. }) => {
                    self.ui.refused(refusal.0, now);
                    self.soon(now);
                }
                Some(Taken::Reply { .. } | Taken::Followed) | None => {}
            },
        }
        None
    }

    /// What follows from the new state: a gate opens or closes here, and the change of the step on the screen is asked for.
    fn followed(&mut self, now: Instant) -> Vec<Intent> {
        let Some(snapshot) = self.follower.as_ref().map(Follower::snapshot) else { return Vec::new() };
        let mut intents = self.ui.follow(snapshot, now);
        let target = target(snapshot, self.ui.pinned);
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
        if !self.writer.free() || self.due.is_none_or(|due| due > now) {
            return;
        }
        self.due = None;
        self.drawn = now;
        let buf = self.screen.blank();
        let Options { theme, tz, .. } = &self.options;
        let painted = match self.follower.as_ref().map(Follower::snapshot) {
            Some(snapshot) => {
                let times = (snapshot.clock.at_wall(wall_now()), now);
                let scene = Scene::new(snapshot, &self.ui, (*theme, tz), times, self.lost.as_deref());
                pane::draw(&scene, buf)
            }
            None => {
                pane::waiting(*theme, self.lost.as_deref(), buf);
                Painted::default()
            }
        };
        let mut frame = std::mem::take(&mut self.ahead).into_bytes();
        frame.extend(self.screen.encode());
        if frame.is_empty() {
            self.ui.painted(painted, now);
        } else {
            self.leaving = Some(painted);
            self.writer.write(frame);
        }
    }
}

/// Sleeps until then; never returns without a time.
async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Sleeps until the second hand of the wall moves.
async fn next_second(now: Instant) {
    let into = Duration::from_nanos(u64::try_from(wall_now().subsec_nanosecond()).unwrap_or(0));
    sleep_until((now + Duration::from_secs(1).saturating_sub(into)).into()).await;
}
