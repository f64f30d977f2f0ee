//! A screen: a process of its user, with the program's own link and fold. What it holds after each event is written down
//! with the time; a driver's hands press what the autopilot would, a confirmer's confirm what another person typed.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use cutover::{
    clock::{monotonic, wall_now},
    journal::remote::Remote,
    plan::GateLevel,
    run::{Direction, Phase, Refusal, Request, Seat, State, point_passed},
    session::{Client, Follower, Link, News, Taken, message::Snapshot, next_request, watch_remote},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The same thing is not asked for again within this time.
const AGAIN: Duration = Duration::from_millis(700);
/// How long a second person reads what the first has typed.
const READING: Duration = Duration::from_secs(1);
/// Nothing was asked for and nothing came of it for so long: what the autopilot leaves to a person is tried again.
const PATIENCE: Duration = Duration::from_secs(8);

/// What a screen process is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Task {
    /// A socket, or a place in the bucket.
    pub(crate) way: String,
    /// None: it only looks.
    pub(crate) seat: Option<Seat>,
    /// Where it writes down what it holds.
    pub(crate) log: PathBuf,
    /// It stands there when it is time to go home: the driver begins a rollback.
    pub(crate) turn: PathBuf,
    /// Goes back at the first point of no return.
    pub(crate) back: bool,
    /// Confirms at once what was typed, without reading it.
    pub(crate) eager: bool,
}

/// One line of a screen's log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Microseconds of the machine's clock.
    pub(crate) at: i64,
    pub(crate) what: Seen,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Seen {
    /// It set out to connect; the last one before `Up` succeeded.
    Tries,
    /// Attached: to an engine that lives, or to the bucket.
    Up { live: bool },
    /// The connection is gone.
    Down,
    /// It holds the state after this event.
    Holds { seq: u64, hash: String },
    /// The engine refused.
    Refused { reason: String },
}

/// What a state is, in short.
pub(crate) fn hash(state: &State) -> String {
    hex::encode(&Sha256::digest(serde_json::to_vec(state).unwrap())[..8])
}

pub(crate) fn main(task: &Task) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Screen::open(task).run());
}

struct Log(fs::File);

impl Log {
    fn at(path: &Path) -> Self {
        Self(fs::File::options().create(true).append(true).open(path).unwrap())
    }

    fn say(&mut self, what: Seen) {
        let line = Line { at: wall_now().as_microsecond(), what };
        // In one piece: several lives of a screen write to one file, one after the other.
        let mut text = serde_json::to_string(&line).unwrap();
        text.push('\n');
        self.0.write_all(text.as_bytes()).unwrap();
    }
}

struct Screen<'a> {
    task: &'a Task,
    log: Log,
    follower: Option<Follower>,
    asked: Option<(Request, Instant)>,
    moved: (u64, Instant),
    /// The gate that waits for a second person, and since when it is on this screen.
    typed: Option<(u64, Instant)>,
}

impl<'a> Screen<'a> {
    fn open(task: &'a Task) -> Self {
        Self { task, log: Log::at(&task.log), follower: None, asked: None, moved: (0, monotonic()), typed: None }
    }

    async fn run(mut self) {
        let mut link = self.link().await;
        loop {
            match tokio::time::timeout(Duration::from_millis(50), link.recv()).await {
                Ok(Some(News::Up(snapshot))) => self.up(snapshot),
                Ok(Some(News::Message(message))) => {
                    let Some(follower) = &mut self.follower else { continue };
                    let before = follower.snapshot().state.seq;
                    match follower.take(message) {
                        Taken::Missed => link.resync(),
                        Taken::Reply { result: Err(Refusal(reason)), .. } => self.log.say(Seen::Refused { reason }),
                        Taken::Reply { .. } | Taken::Followed => {}
                    }
                    self.tell_from(before);
                }
                Ok(Some(News::Down { .. })) => {
                    self.follower = None;
                    self.log.say(Seen::Down);
                }
                // Refused, or over: whoever watches this process begins another.
                Ok(Some(News::Refused { .. }) | None) => return,
                // Nobody here looks back.
                Ok(Some(News::Past(_))) | Err(_) => {}
            }
            self.press(&mut link);
        }
    }

    async fn link(&mut self) -> Link {
        let Some(seat) = self.task.seat else {
            self.log.say(Seen::Tries);
            loop {
                if let Some(link) = follow(&self.task.way).await {
                    return link;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let (way, log) = (PathBuf::from(&self.task.way), self.task.log.clone());
        Link::open(move |_| {
            Log::at(&log).say(Seen::Tries);
            let way = way.clone();
            async move { Client::connect(&way, seat, false).await }
        })
    }

    fn up(&mut self, snapshot: Box<Snapshot>) {
        self.log.say(Seen::Up { live: self.task.seat.is_some() });
        self.follower = Some(Follower::new(snapshot));
        self.asked = None;
        self.moved.1 = monotonic();
        self.tell_from(0);
    }

    fn tell_from(&mut self, before: u64) {
        let Some(state) = self.follower.as_ref().map(|follower| &follower.snapshot().state) else { return };
        if state.seq != before {
            let (seq, hash) = (state.seq, hash(state));
            self.log.say(Seen::Holds { seq, hash });
        }
    }

    fn press(&mut self, link: &mut Link) {
        let Some(follower) = &self.follower else { return };
        let snapshot = follower.snapshot();
        let typed = snapshot.state.gate.as_ref().filter(|gate| gate.typed).map(|gate| gate.id);
        if self.typed.map(|(gate, _)| gate) != typed {
            self.typed = typed.map(|gate| (gate, monotonic()));
        }
        let read = self.task.eager || self.typed.is_some_and(|(_, since)| since.elapsed() > READING);
        let wanted = match self.task.seat {
            Some(Seat::Driver) => self.drive(snapshot, follower.now()),
            Some(Seat::Confirmer) => confirm(&snapshot.state).filter(|_| read),
            _ => None,
        };
        let done = progress(&snapshot.state);
        if done != self.moved.0 {
            self.moved = (done, monotonic());
        }
        let Some(request) = wanted else { return };
        if self.asked.as_ref().is_none_or(|(asked, at)| *asked != request || at.elapsed() > AGAIN) {
            self.asked = Some((request.clone(), monotonic()));
            // Too many wait: it is asked again.
            let _ = link.request(request);
        }
    }

    fn drive(&self, snapshot: &Snapshot, now: Timestamp) -> Option<Request> {
        let (plan, state) = (&snapshot.plan, &snapshot.state);
        let drives = state.driver().is_some_and(|driver| driver.conn == snapshot.you.conn);
        if drives && !state.ended && state.steps.iter().all(|step| !step.phase.in_flight()) {
            if state.rolled_back || state.complete() {
                return Some(Request::End);
            }
            let brink = state.current().and_then(|step| plan.step(&step.id)).is_some_and(|s| s.point_of_no_return);
            let home = (self.task.back && brink) || self.task.turn.exists();
            if home && state.rollback.is_none() && point_passed(plan, state).is_none() {
                let reason = "the rehearsal goes back".to_owned();
                return Some(state.next_undo().map_or(Request::End, |_| Request::BeginRollback { reason }));
            }
        }
        let wanted = next_request(plan, state, &snapshot.you, now);
        // Who drove until just now is not asked: they are on the other machine, or dead.
        let refused = matches!(self.asked, Some((Request::Sit { .. }, _)));
        let take = |request| match request {
            Request::Sit { seat, .. } => Request::Sit { seat, take: refused },
            other => other,
        };
        wanted.map(take).or_else(|| drives.then(|| self.insist(state)).flatten())
    }

    /// What a person would do after the autopilot gave up on a step: look again, and arm it once more.
    fn insist(&self, state: &State) -> Option<Request> {
        let idle = state.gate.is_none() && state.steps.iter().all(|step| !step.phase.in_flight());
        if !idle || self.moved.1.elapsed() < PATIENCE {
            return None;
        }
        let (step, direction) = match &state.rollback {
            None => (state.current()?, Direction::Forward),
            Some(_) => (state.next_undo()?, Direction::Back),
        };
        let step = step.id.clone();
        Some(match state.evidence(&step, direction) {
            Some(seen) if self.asked_to_look(&step) => Request::Arm { step, direction, seen },
            _ => Request::Look { step, direction },
        })
    }

    fn asked_to_look(&self, step: &cutover::plan::StepId) -> bool {
        matches!(&self.asked, Some((Request::Look { step: looked, .. }, _)) if looked == step)
    }
}

/// A gate that another typed; whether it may be this person's to confirm is for the engine to say.
fn confirm(state: &State) -> Option<Request> {
    let gate = state.gate.as_ref().filter(|gate| gate.level == GateLevel::Two && gate.typed && !gate.consented)?;
    Some(Request::Confirm { gate: gate.id, seen: gate.evidence.clone(), typed: None })
}

/// Grows as the run goes on.
fn progress(state: &State) -> u64 {
    let phases = state.steps.iter().filter(|step| matches!(step.phase, Phase::Done | Phase::Undone)).count();
    let attempts: usize = state.steps.iter().map(|step| step.attempts.len()).sum();
    (phases * 1000 + attempts) as u64
}

async fn follow(url: &str) -> Option<Link> {
    let remote = Remote::open(url).await.ok()?;
    let identity = remote.identity().await.ok()??;
    Some(watch_remote(remote, identity))
}
