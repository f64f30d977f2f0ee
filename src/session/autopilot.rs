//! Drives a rehearsal without a person. The server lets it in where the environment is a sandbox, and nowhere else.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    follower::{Follower, Taken},
    link::{Link, News},
    message::ToCockpit,
};
use crate::{
    clock::monotonic,
    plan::{GateLevel, Kind, Plan, StepId},
    run::{
        ConditionId, Direction, Gate, Operator, Phase, Refusal, Request, Sample, Seat, State, StepState, conditions,
        typed_words,
    },
};

/// How often a step is tried in one direction before the autopilot leaves it to a person.
const TRIES: usize = 5;
/// How long to wait before asking for the same thing again, wall time.
const AGAIN: Duration = Duration::from_millis(400);
/// How often time alone is a reason to look, wall time.
const TICK: Duration = Duration::from_millis(50);

/// What a patient driver would ask for next; None: there is nothing to do but wait, or only a person knows what to do.
///
/// `you` is the connection that asks and `now` the engine's time ([`Follower::now`]).
#[must_use]
pub fn next_request(plan: &Plan, state: &State, you: &Operator, now: Timestamp) -> Option<Request> {
    if state.ended {
        return None;
    }
    match state.driver() {
        None => return Some(Request::Sit { seat: Seat::Driver, take: false }),
        Some(driver) if driver.conn != you.conn => return None,
        Some(_) => {}
    }
    if let Some(gate) = &state.gate {
        return confirm(plan, state, gate, now);
    }
    match &state.rollback {
        None => forward(plan, state, state.current()?, now),
        Some(_) => back(plan, state, now),
    }
}

fn confirm(plan: &Plan, state: &State, gate: &Gate, now: Timestamp) -> Option<Request> {
    let dwell = state.session.as_ref()?.dwell;
    let ripe = gate.armed_at.checked_add(dwell).is_ok_and(|ripe| now >= ripe);
    // A gate that is typed already waits for a second person, and the autopilot is none.
    let open = !gate.consented && !gate.typed;
    let words = || plan.step(&gate.step).map(|step| typed_words(plan, step, gate.direction));
    let typed = (gate.level >= GateLevel::Type).then(words);
    let request = Request::Confirm { gate: gate.id, seen: gate.evidence.clone(), typed: typed.flatten() };
    (ripe && open).then_some(request)
}

fn forward(plan: &Plan, state: &State, step: &StepState, now: Timestamp) -> Option<Request> {
    match (&plan.step(&step.id)?.kind, step.phase) {
        (Kind::Manual { items }, Phase::Running) => Some(tick(step, items.len())),
        (_, Phase::InDoubt) => Some(Request::Observe { step: step.id.clone() }),
        (_, Phase::Waiting | Phase::Failed | Phase::Undone) => arm(plan, state, step, Direction::Forward, now),
        _ => None,
    }
}

fn tick(step: &StepState, items: usize) -> Request {
    let open = (0..).take(items).find(|item| !step.ticked.contains(item));
    // All ticked and still running: the engine died in between. Ticking one again ends it.
    let (item, done) = open.map_or((0, false), |item| (item, true));
    Request::Tick { step: step.id.clone(), item, done }
}

fn back(plan: &Plan, state: &State, now: Timestamp) -> Option<Request> {
    let busy = state.steps.iter().find(|step| step.phase.in_flight());
    match busy {
        Some(step) if step.phase == Phase::InDoubt => Some(Request::Observe { step: step.id.clone() }),
        Some(_) => None,
        None => arm(plan, state, state.next_undo()?, Direction::Back, now),
    }
}

/// Arms what may be armed, having looked at it; a few times at most.
fn arm(plan: &Plan, state: &State, step: &StepState, direction: Direction, now: Timestamp) -> Option<Request> {
    let tries = step.attempts.iter().rev().take_while(|attempt| attempt.direction == direction).count();
    if tries >= TRIES {
        return None;
    }
    let obstacle = obstacle(plan, state, &step.id, direction, now);
    let seen = state.evidence(&step.id, direction);
    let step = step.id.clone();
    match (obstacle, seen) {
        (None, Some(seen)) => Some(Request::Arm { step, direction, seen }),
        (Some((ConditionId::Preview, _)), _) | (None, None) => Some(Request::Look { step, direction }),
        (Some(_), _) => None,
    }
}

fn obstacle(
    plan: &Plan,
    state: &State,
    step: &StepId,
    direction: Direction,
    now: Timestamp,
) -> Option<(ConditionId, String)> {
    let all = conditions(plan, state, step, direction, now);
    let open = all.into_iter().find(|condition| !condition.holds)?;
    Some((open.id, open.detail))
}

/// What the autopilot is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DriveOptions {
    /// After the last step, or before the first point of no return, begin a rollback and drive it to its end.
    pub then_roll_back: bool,
    /// Give up when nothing moved for so long, wall time. A drain or a watch that is under way reports progress.
    pub patience: Duration,
}

/// Why the autopilot gave up.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The engine turned it away, or the link is gone.
    #[error("failed to drive: {0}")]
    Refused(String),
    /// Nothing moved.
    #[error("failed to drive any further: nothing moved for {} s at {at}{}", .after.as_secs(), refusal(.last.as_ref()))]
    Stuck {
        /// How long, wall time.
        after: Duration,
        /// Where the run stands and what it waits for.
        at: String,
        /// What the engine refused last.
        last: Option<Refusal>,
    },
    /// Somebody ended the session.
    #[error("failed to drive to the end: the session is over")]
    Ended,
}

fn refusal(last: Option<&Refusal>) -> String {
    last.map_or_else(String::new, |last| format!("; the last refusal: {last}"))
}

/// Drives until every step is done (and, if asked, undone again). A refusal means: try again later.
///
/// # Errors
/// [`DriveError`] when it cannot go on.
pub async fn drive(link: &mut Link, options: DriveOptions) -> Result<(), DriveError> {
    let mut driver = Driver { options, follower: None, asked: None, waits_for: None, last: None, moved: monotonic() };
    loop {
        if driver.arrived()? {
            return Ok(());
        }
        if driver.moved.elapsed() > driver.options.patience {
            return Err(driver.stuck());
        }
        driver.act(link);
        match tokio::time::timeout(TICK, link.recv()).await {
            Err(_) => {}
            Ok(Some(news)) => driver.hear(link, news)?,
            Ok(None) => return Err(DriveError::Refused("the link is closed".into())),
        }
    }
}

struct Driver {
    options: DriveOptions,
    /// None while not attached.
    follower: Option<Follower>,
    /// What was asked for last, and when.
    asked: Option<(Request, std::time::Instant)>,
    /// The request whose reply has not come.
    waits_for: Option<u64>,
    last: Option<Refusal>,
    moved: std::time::Instant,
}

impl Driver {
    fn arrived(&self) -> Result<bool, DriveError> {
        let Some(follower) = &self.follower else { return Ok(false) };
        let state = &follower.snapshot().state;
        let there = if self.options.then_roll_back { state.rolled_back } else { state.complete() };
        if !there && state.ended { Err(DriveError::Ended) } else { Ok(there) }
    }

    fn act(&mut self, link: &mut Link) {
        if self.waits_for.is_some() {
            return;
        }
        let Some(request) = self.wanted() else { return };
        if self.asked.as_ref().is_some_and(|(asked, at)| *asked == request && at.elapsed() < AGAIN) {
            return;
        }
        self.asked = Some((request.clone(), monotonic()));
        match link.request(request) {
            Ok(id) => self.waits_for = Some(id),
            Err(refusal) => self.last = Some(refusal),
        }
    }

    fn wanted(&self) -> Option<Request> {
        let follower = self.follower.as_ref()?;
        let snapshot = follower.snapshot();
        let state = &snapshot.state;
        let brink = state.current().and_then(|step| snapshot.plan.step(&step.id)).is_some_and(|s| s.point_of_no_return);
        let turn = self.options.then_roll_back && (state.complete() || brink) && state.rollback.is_none();
        let drives = state.driver().is_some_and(|driver| driver.conn == snapshot.you.conn);
        if turn && drives {
            return Some(Request::BeginRollback { reason: "the rehearsal goes back".into() });
        }
        next_request(&snapshot.plan, state, &snapshot.you, follower.now())
    }

    fn hear(&mut self, link: &Link, news: News) -> Result<(), DriveError> {
        match news {
            News::Up(snapshot) => {
                self.follower = Some(Follower::new(snapshot));
                self.asked = None;
                self.moved = monotonic();
            }
            News::Down { reason, .. } => {
                self.follower = None;
                self.last = Some(Refusal(reason));
            }
            News::Refused { reason } => return Err(DriveError::Refused(reason)),
            News::Message(message) => self.follow(link, message),
            // Nobody here asks for it.
            News::Past(_) => {}
        }
        Ok(())
    }

    fn follow(&mut self, link: &Link, message: ToCockpit) {
        let progress = matches!(&message, ToCockpit::Sample(Sample::Progress { .. }));
        let Some(follower) = &mut self.follower else {
            // Not attached: only the link itself speaks, about requests whose answer will not come.
            if let ToCockpit::Reply { id, result } = message {
                self.answered(id, result);
            }
            return;
        };
        let before = standing(&follower.snapshot().state);
        let taken = follower.take(message);
        if progress || before != standing(&follower.snapshot().state) {
            self.moved = monotonic();
        }
        match taken {
            Taken::Followed => {}
            Taken::Missed => link.resync(),
            Taken::Reply { id, result } => self.answered(id, result),
        }
    }

    fn answered(&mut self, id: u64, result: Result<(), Refusal>) {
        self.waits_for.take_if(|waited| *waited == id);
        if let Err(refusal) = result {
            self.last = Some(refusal);
        }
    }

    fn stuck(&self) -> DriveError {
        let at = match &self.follower {
            None => "no connection to the engine".to_owned(),
            Some(follower) => {
                let snapshot = follower.snapshot();
                place(&snapshot.plan, &snapshot.state, follower.now())
            }
        };
        DriveError::Stuck { after: self.options.patience, at, last: self.last.clone() }
    }
}

/// What moves when the run does: phases, attempts and their parts, ticks. Not gates: arming in vain is no progress.
fn standing(state: &State) -> impl PartialEq + use<> {
    let step = |step: &StepState| {
        (step.phase, step.attempts.len(), step.attempt().map(|attempt| attempt.part), step.ticked.len())
    };
    (state.steps.iter().map(step).collect::<Vec<_>>(), state.rollback.is_some())
}

/// Where the run stands and what keeps it there.
fn place(plan: &Plan, state: &State, now: Timestamp) -> String {
    let (step, direction) = match &state.rollback {
        None => (state.current(), Direction::Forward),
        Some(_) => (state.next_undo(), Direction::Back),
    };
    let Some(step) = step else { return "no step".to_owned() };
    let why = obstacle(plan, state, &step.id, direction, now).map(|(id, detail)| format!("{}: {detail}", id.word()));
    let why = step.reason.clone().into_iter().chain(why).collect::<Vec<_>>().join("; ");
    format!("step `{}` ({}; {why})", step.id, state.phase(plan, &step.id).word())
}
