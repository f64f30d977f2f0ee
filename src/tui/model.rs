//! What a frame is drawn from: the snapshot, this screen's own state, and what follows from both, worked out once.

use std::{
    cell::OnceCell,
    time::{Duration, Instant},
};

use jiff::{Timestamp, tz::TimeZone};

use super::{
    theme::Theme,
    ui::{RANGES, Ui},
};
use crate::{
    plan::{Bound, Class, GateLevel, Kind, Plan, Step, StepId},
    run::{
        Answer, Condition, ConditionId, Direction, Forecast, Gate, Hold, HoldKind, Outcome, Phase, Price, Seat,
        StepState, alarms, conditions, forecast, holds, price, written,
    },
    session::message::{Snapshot, Telemetry},
};

/// The step that the person looks at, and which way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// Position in the plan.
    pub(super) index: usize,
    /// Its id.
    pub(super) step: StepId,
    /// Forward, or back while rolling back.
    pub(super) direction: Direction,
}

/// The engine cannot be heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    /// Why.
    pub(super) reason: String,
    /// When it was heard last, session time: what is shown is as of then.
    pub(super) since: Timestamp,
    /// The command that starts it again; None: it runs, or is started by itself.
    pub(super) restart: Option<String>,
}

impl Lost {
    /// Why nothing can be asked of the engine.
    pub(super) fn words(&self) -> String {
        match &self.restart {
            Some(restart) => format!("no engine: {restart} starts it"),
            None => "the engine cannot be heard: it is tried again by itself".to_owned(),
        }
    }
}

/// Everything that panes read.
pub(super) struct Scene<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) ui: &'a Ui,
    pub(super) theme: Theme,
    pub(super) tz: &'a TimeZone,
    /// Session time of the frame; while the engine cannot be heard, when it was heard last.
    pub(super) now: Timestamp,
    /// Monotonic time of the frame.
    pub(super) instant: Instant,
    /// None: the engine is heard.
    pub(super) lost: Option<&'a Lost>,
    pub(super) target: Target,
    worked_out: WorkedOut,
}

/// What follows from a snapshot at a time, worked out when something that shows it is drawn: a box over the cockpit shows
/// little of it.
#[derive(Default)]
struct WorkedOut {
    conditions: OnceCell<Vec<Condition>>,
    holds: OnceCell<Vec<Hold>>,
    price: OnceCell<Price>,
    forecast: OnceCell<Forecast>,
}

impl<'a> Scene<'a> {
    /// A snapshot, looked at by a person at a time.
    pub(super) fn new(
        snapshot: &'a Snapshot,
        ui: &'a Ui,
        (theme, tz): (Theme, &'a TimeZone),
        (now, instant): (Timestamp, Instant),
        lost: Option<&'a Lost>,
    ) -> Self {
        let now = lost.map_or(now, |lost| lost.since);
        let target = target(snapshot, ui.pinned);
        Self { snapshot, ui, theme, tz, now, instant, lost, target, worked_out: WorkedOut::default() }
    }

    /// What the gate of the target asks of the world.
    pub(super) fn conditions(&self) -> &[Condition] {
        let Target { step, direction, .. } = &self.target;
        let work_out = || conditions(self.plan(), self.state(), step, *direction, self.now);
        self.worked_out.conditions.get_or_init(work_out)
    }

    /// Everything that stands against the run.
    pub(super) fn holds(&self) -> &[Hold] {
        self.worked_out.holds.get_or_init(|| {
            let mut holds = alarms(self.plan(), self.state(), self.now);
            for hold in &mut holds {
                // The log says when a trouble began and its first next try; the later ones are only told.
                let told = hold.retried().and_then(|of| self.telemetry().next_tries.get(of)).copied();
                hold.next_try = told.max(hold.next_try);
            }
            holds
        })
    }

    /// What going back takes now.
    pub(super) fn price(&self) -> &Price {
        self.worked_out.price.get_or_init(|| {
            let data = |metric: &str| self.telemetry().metrics.get(metric).map(Vec::as_slice).unwrap_or_default();
            let written = written(self.plan(), self.state(), data);
            Price { written, ..price(self.plan(), self.state(), cached_ttl(self.telemetry(), self.now)) }
        })
    }

    /// When it will be over, and until when one may still go back.
    pub(super) fn forecast(&self) -> &Forecast {
        self.worked_out.forecast.get_or_init(|| forecast(self.plan(), self.state(), self.price(), self.now))
    }

    /// The plan.
    pub(super) const fn plan(&self) -> &'a Plan {
        &self.snapshot.plan
    }

    /// The fold.
    pub(super) const fn state(&self) -> &'a crate::run::State {
        &self.snapshot.state
    }

    /// How high the gate of a step is, the way that the person looks at.
    pub(super) fn gate_level(&self, step: &Step) -> GateLevel {
        self.state().step(&step.id).map_or(step.gate, |state| state.gate_level(step, self.target.direction))
    }

    /// How much harm a step can do, the way that the person looks at.
    pub(super) fn class(&self, step: &Step) -> Class {
        self.state().step(&step.id).map_or(step.kind.class(), |state| state.class(step, self.target.direction))
    }

    /// What was measured.
    pub(super) const fn telemetry(&self) -> &'a Telemetry {
        &self.snapshot.telemetry
    }

    /// What to call where a step stands: ready is what can be armed.
    pub(super) fn standing(&self, step: &StepId, phase: Phase) -> &'static str {
        let open = |condition: &Condition| !condition.holds && condition.id != ConditionId::Preview;
        let last = self.state().step(step).and_then(StepState::attempt);
        if phase == Phase::Failed && last.is_some_and(|last| last.outcome == Some(Outcome::Stopped)) {
            return "stopped";
        }
        if phase != Phase::Ready || self.state().rollback.is_some() {
            return phase.word();
        }
        if self.state().hold.is_some() {
            return "HELD";
        }
        let locked = conditions(self.plan(), self.state(), step, Direction::Forward, self.now).iter().any(open);
        if locked { "locked" } else { phase.word() }
    }

    /// Where a step stands.
    pub(super) fn phase(&self, step: &StepId) -> Phase {
        self.state().phase(self.plan(), step)
    }
}

/// The step that the person looks at: the pinned one, else the one that the run is at.
pub(super) fn target(snapshot: &Snapshot, pinned: Option<usize>) -> Target {
    let state = &snapshot.state;
    let here = state.here().or_else(|| state.steps.last());
    let here = here.and_then(|step| snapshot.plan.position(&step.id)).unwrap_or(0);
    let index = pinned.unwrap_or(here).min(state.steps.len().saturating_sub(1));
    let known = state.steps.get(index);
    let rolling = state.rollback.is_some();
    let back = known.is_some_and(|step| rolling && (step.undoable() || step.direction == Direction::Back));
    Target {
        index,
        step: known.map_or_else(|| StepId(String::new()), |step| step.id.clone()),
        direction: if back { Direction::Back } else { Direction::Forward },
    }
}

/// Why the session cannot end now, before somebody types its name for nothing.
pub(super) fn under_way(state: &crate::run::State) -> Option<String> {
    let step = state.steps.iter().find(|step| step.phase.in_flight())?;
    Some(if step.phase == Phase::InDoubt {
        format!("the session cannot end: {} is in doubt, and u there decides it first", step.id)
    } else {
        format!("the session cannot end: {} is under way; x there stops it", step.id)
    })
}

/// Why the gate of a step may not be armed by this person now.
pub(super) fn unarmable(snapshot: &Snapshot, target: &Target, now: Timestamp) -> Option<String> {
    let state = &snapshot.state;
    let phase = state.phase(&snapshot.plan, &target.step);
    if state.ended {
        return Some("the session is over".into());
    }
    if let Some(gate) = &state.gate {
        return Some(format!("the gate of {} is armed by {}", gate.step, gate.by.name));
    }
    if phase.in_flight() && (target.direction == Direction::Forward || phase != Phase::InDoubt) {
        return Some(format!("{} is {}", target.step, phase.word()));
    }
    if target.direction == Direction::Forward && phase == Phase::Done {
        return Some(format!("{} is done", target.step));
    }
    if let Some(words) = driven(snapshot) {
        return Some(words);
    }
    let all = conditions(&snapshot.plan, state, &target.step, target.direction, now);
    let open = all.into_iter().find(|condition| !condition.holds)?;
    Some(format!("locked: {}: {}", open.id.word(), open.detail))
}

/// Why this person may not do what the driver does; None: they drive.
pub(super) fn driven(snapshot: &Snapshot) -> Option<String> {
    match snapshot.state.driver() {
        Some(driver) if driver.conn == snapshot.you.conn => None,
        Some(driver) => Some(format!("{} drives: t takes the seat", driver.name)),
        None => Some("nobody drives: t takes the seat".into()),
    }
}

/// Why this person cannot begin to roll back; None: they can.
pub(super) fn barred(snapshot: &Snapshot) -> Option<String> {
    let way_back = price(&snapshot.plan, &snapshot.state, None);
    match way_back.passed {
        _ if snapshot.state.rollback.is_some() => Some("it is rolled back already".into()),
        Some(step) => Some(format!("there is no way back since {step}")),
        None if way_back.undos.is_empty() => Some("there is nothing to put back".into()),
        None => driven(snapshot),
    }
}

/// The first condition that does not hold and that a person may go past.
///
/// # Errors
/// There is none, or another stands in the way that nobody goes past: to go past this one would be in vain.
pub(super) fn overridable(conditions: &[Condition]) -> Result<ConditionId, String> {
    let open = || conditions.iter().filter(|condition| !condition.holds);
    let first = open().find(|condition| condition.id.overridable());
    let first = first.ok_or("nothing here can be overridden")?;
    let firm = [ConditionId::Needs, ConditionId::Order, ConditionId::Hold, ConditionId::Interlock];
    match open().find(|condition| firm.contains(&condition.id)) {
        Some(stands) => Err(format!("nobody goes past this: {}: {}", stands.id.word(), stands.detail)),
        None => Ok(first.id),
    }
}

/// What is to be ticked in a step.
pub(super) fn items<'a>(plan: &'a Plan, step: &StepId) -> &'a [String] {
    match plan.step(step).map(|step| &step.kind) {
        Some(Kind::Manual { items }) => items,
        _ => &[],
    }
}

/// The remaining TTL of a probe's answer by now, seconds: resolvers count down between our questions.
pub(super) fn remaining(ttl: u32, asked: Timestamp, now: Timestamp) -> u32 {
    let passed = u32::try_from(super::text::since(asked, now).as_secs()).unwrap_or(u32::MAX);
    ttl.saturating_sub(passed)
}

/// The longest TTL that a resolver was seen to hold of the new side.
fn cached_ttl(telemetry: &Telemetry, now: Timestamp) -> Option<u32> {
    let new = telemetry.probes.iter().filter(|probe| probe.answer == Answer::New);
    new.filter_map(|probe| Some(remaining(probe.ttl?, probe.at, now))).max()
}

/// The names of all graphs, those with an upper limit first: what rises there hurts.
pub(super) fn graphs(plan: &Plan) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for metric in &plan.metrics {
        if !names.contains(&metric.graph.as_str()) {
            names.push(&metric.graph);
        }
    }
    let guarded = |name: &str| {
        let own = |metric: &&crate::plan::Metric| metric.graph == name;
        plan.metrics
            .iter()
            .filter(own)
            .any(|metric| plan.guardrails.iter().any(|g| g.metric == metric.id && g.bound == Bound::Above))
    };
    names.sort_by_key(|name| !guarded(name));
    names
}

/// How much time graphs show: a range of [`RANGES`], or everything there is.
pub(super) fn span(snapshot: &Snapshot, range: usize, now: Timestamp) -> Duration {
    let minutes = RANGES.get(range).copied().unwrap_or(30);
    if minutes > 0 {
        return Duration::from_secs(u64::from(minutes) * 60);
    }
    let first = snapshot.telemetry.metrics.values().filter_map(|data| data.first()).map(|datum| datum.at).min();
    first.map_or(Duration::from_secs(1_800), |first| super::text::since(first, now).max(Duration::from_secs(300)))
}

/// The crosshair after a step of a sixtieth of the time shown (and not less than a datum) to the left (-1) or right (1);
/// None once it would leave now.
pub(super) fn cross(snapshot: &Snapshot, range: usize, at: Option<Timestamp>, steps: i64) -> Option<Timestamp> {
    let now = snapshot.clock.now();
    let period = snapshot.plan.metrics.iter().map(|metric| i64::from(metric.period)).min().unwrap_or(60).max(1);
    let span = span(snapshot, range, now);
    let long = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    let step = (long / 60).max(period).div_euclid(period) * period;
    let whole = |second: i64| second.div_euclid(period) * period;
    let last = whole(now.as_second());
    let first = whole(now.as_second() - long) + period;
    // It begins where there is something to read, if there is.
    let newest = snapshot.telemetry.metrics.values().filter_map(|data| data.last()).map(|datum| datum.at.as_second());
    let newest = newest.max().map(whole).filter(|newest| *newest >= first && steps < 0);
    let from = at.map_or(newest.map_or(last, |newest| (newest + step).min(last)), |at| whole(at.as_second()));
    let to = from.saturating_add(step.saturating_mul(steps)).max(first);
    (to <= last).then(|| Timestamp::from_second(to).ok()).flatten()
}

/// The seat of this cockpit.
pub(super) fn seat(snapshot: &Snapshot) -> Seat {
    let mine = snapshot.state.operators.iter().find(|(operator, _)| operator.conn == snapshot.you.conn);
    mine.map_or(Seat::Viewer, |(_, seat)| *seat)
}

/// Why one rolls back: what went wrong in the world, or the operator's own decision. That something cannot be read is no
/// reason that anybody gave.
pub(super) fn rollback_reason(snapshot: &Snapshot) -> String {
    let holds = holds(&snapshot.plan, &snapshot.state, snapshot.clock.now());
    let wrong =
        |hold: &&Hold| !matches!(hold.kind, HoldKind::Manual | HoldKind::Preview | HoldKind::Source | HoldKind::Expiry);
    holds.iter().find(wrong).map_or_else(|| format!("decided by {}", snapshot.you.name), |hold| hold.text.clone())
}

/// The gate that this person alone, or one of a few, can pass now: typed by the driver, it waits for a second login.
pub(super) fn asks(snapshot: &Snapshot) -> Option<&Gate> {
    let gate = snapshot.state.gate.as_ref().filter(|gate| gate.typed && !gate.consented)?;
    (seat(snapshot) == Seat::Confirmer && !gate.by.may_be(&snapshot.you)).then_some(gate)
}

/// The gate that this person has typed and that waits for somebody else: theirs to withdraw.
pub(super) fn withdraws(snapshot: &Snapshot) -> Option<&Gate> {
    let gate = snapshot.state.gate.as_ref().filter(|gate| gate.typed && !gate.consented)?;
    (gate.by.conn == snapshot.you.conn).then_some(gate)
}

/// What is to be said when this cockpit no longer drives although its person did nothing; `drove` is who drove before.
pub(super) fn seat_news(snapshot: &Snapshot, drove: Option<u64>) -> Option<String> {
    let (you, driver) = (snapshot.you.conn, snapshot.state.driver()?);
    (drove == Some(you) && driver.conn != you).then(|| format!("{} has taken over: you are a viewer now", driver.name))
}

/// What a person hears who came to drive and does not, as a screen begins.
pub(super) fn seat_found(snapshot: &Snapshot) -> Option<String> {
    let driver = snapshot.state.driver().filter(|driver| driver.conn != snapshot.you.conn)?;
    let confirms = seat(snapshot) == Seat::Confirmer;
    confirms.then(|| format!("{} drives, and you are a confirmer; t takes the driver's seat", driver.name))
}

/// Who could confirm the gate that waits: those who sit there already, else what would bring somebody.
pub(super) fn second_persons(snapshot: &Snapshot, gate: &Gate) -> String {
    let fit = snapshot.state.seated(Seat::Confirmer).filter(|who| !who.may_be(&gate.by));
    let names: Vec<_> = fit.map(|who| who.name.as_str()).collect();
    if !names.is_empty() {
        return format!("waits for {}", names.join(" or "));
    }
    let named = snapshot.plan.access.as_ref().map(|access| access.confirmers.join(", ")).unwrap_or_default();
    let whom = if named.is_empty() { "another login".to_owned() } else { format!("one of {named}") };
    format!("no confirmer is attached: {whom}, with `cutover join --role confirmer`")
}
