//! What must never be true: two runners of one role, or none that the plan did not mean.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    change::Change,
    state::{State, StepState},
};
use crate::plan::{Plan, Role, Runner, RunnerSource, Side, StepId};

/// One cell of the matrix, from observation and never from what we believe we did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cell {
    /// It runs.
    On,
    /// It does not.
    Off,
    /// It could not be read. Not green.
    #[default]
    Unknown,
}

impl Cell {
    const fn from_running(running: bool) -> Self {
        if running { Self::On } else { Self::Off }
    }

    /// How people call it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Unknown => "unknown",
        }
    }
}

/// web / worker / cron / writer per side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matrix(#[serde(with = "cells")] BTreeMap<(Side, Role), Cell>);

/// A cell of the matrix that could be read, and cannot be any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRead {
    /// Of which side.
    pub side: Side,
    /// Of which role.
    pub role: Role,
    /// What it was: on or off.
    pub was: Cell,
    /// Since when it is unknown.
    pub at: Timestamp,
}

/// JSON has no tuple keys: the matrix is a list of triples on disk.
mod cells {
    use super::{BTreeMap, Cell, Deserialize, Role, Serialize, Side};

    pub(super) fn serialize<S: serde::Serializer>(
        cells: &BTreeMap<(Side, Role), Cell>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let list: Vec<_> = cells.iter().map(|((side, role), cell)| (*side, *role, *cell)).collect();
        list.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<(Side, Role), Cell>, D::Error> {
        let list = Vec::<(Side, Role, Cell)>::deserialize(deserializer)?;
        Ok(list.into_iter().map(|(side, role, cell)| ((side, role), cell)).collect())
    }
}

/// What a change does to the matrix: (side, role, runs afterwards).
#[must_use]
pub fn effects(change: &Change, runners: &[Runner]) -> Vec<(Side, Role, bool)> {
    runners.iter().filter_map(|runner| Some((runner.side, runner.role, leaves_running(change, runner)?))).collect()
}

fn leaves_running(change: &Change, runner: &Runner) -> Option<bool> {
    match (change, &runner.source) {
        (Change::Maintenance { to, .. }, RunnerSource::Heroku { .. }) if runner.role == Role::Web => Some(!to),
        (Change::Formation { to, .. }, RunnerSource::Heroku { process }) => to.get(process).map(|count| *count > 0),
        (Change::Service { cluster, service, to, .. }, RunnerSource::Ecs { cluster: theirs, service: name }) => {
            (cluster == theirs && service == name).then_some(*to > 0)
        }
        (Change::WriteAccess { side, to, .. }, RunnerSource::Postgres { database }) => {
            (side == database).then(|| to.open())
        }
        _ => None,
    }
}

/// How long after a step has moved a runner it may still be seen where it was: watches look every few seconds.
const SEEN_LATE: SignedDuration = SignedDuration::from_secs(60);
/// Or this share of a gate's patience, which grows with the speed of a rehearsal while the pause between two looks does not
/// shrink below half a wall second: three wall seconds.
const LATE_IN_PATIENCE: u32 = 40;

/// Cells of the matrix that a step moves, or has moved so lately that it may not have been seen yet.
fn moving(plan: &Plan, state: &State, now: Timestamp) -> BTreeSet<(Side, Role)> {
    let patience = state.session.as_ref().map_or(Duration::ZERO, |session| session.patience);
    let late = SignedDuration::try_from(patience / LATE_IN_PATIENCE).unwrap_or(SignedDuration::MAX).max(SEEN_LATE);
    let fresh = |step: &&StepState| step.since.is_some_and(|since| now.duration_since(since) <= late);
    let steps = state.steps.iter().filter(|step| step.phase.in_flight() || fresh(step));
    steps.flat_map(|step| touched(plan, step)).collect()
}

/// The cells that a step moves, and those of which the plan says that they may be off after it: people stop things by hand
/// too.
fn touched(plan: &Plan, step: &StepState) -> Vec<(Side, Role)> {
    let parts = step.attempt().into_iter().flat_map(|attempt| attempt.parts.iter().map(|part| &part.change));
    let moved = step.applied.iter().chain(parts).flat_map(|change| effects(change, &plan.runners));
    let allowed = plan.step(&step.id).map_or(&[][..], |step| &step.allow_none).iter();
    let allowed = allowed.flat_map(|role| [(Side::Old, *role), (Side::New, *role)]);
    moved.map(|(side, role, _)| (side, role)).chain(allowed).collect()
}

/// The last step, in plan order, whose effect on a runner stands, and whether that leaves it running.
fn left<'a>(state: &'a State, runner: &Runner) -> Option<(usize, &'a StepState, bool)> {
    state.steps.iter().enumerate().rev().find_map(|(at, step)| {
        let runs = step.applied.iter().rev().find_map(|change| leaves_running(change, runner))?;
        Some((at, step, runs))
    })
}

/// What a cell is, or was when it could be read last: a violation is not over because nobody can see it any more. Still
/// unknown where a step has moved it since.
fn last_known(plan: &Plan, state: &State, side: Side, role: Role) -> Option<Cell> {
    let cell = state.runners.get(side, role);
    let lost =
        state.last_read.iter().find(|lost| cell == Some(Cell::Unknown) && (lost.side, lost.role) == (side, role));
    lost.filter(|lost| !moving(plan, state, lost.at).contains(&(side, role))).map(|lost| lost.was).or(cell)
}

/// Roles that run on both sides although they must not, or did when they could be read last.
#[must_use]
pub fn doubled(plan: &Plan, state: &State) -> Vec<Role> {
    let on = |side, role| last_known(plan, state, side, role) == Some(Cell::On);
    Role::ALL.into_iter().filter(|role| role.exclusive() && on(Side::Old, *role) && on(Side::New, *role)).collect()
}

/// What a sentence on runners has to end with: nothing, unless one of these cells cannot be read any more.
pub(super) fn as_of(state: &State, role: Role, sides: &[Side]) -> &'static str {
    let unknown = |side: &Side| state.runners.get(*side, role) == Some(Cell::Unknown);
    if sides.iter().any(unknown) { " (as read last: it cannot be read now)" } else { "" }
}

/// Runners that are seen although a step has ended them and nothing has started them since, with that step.
#[must_use]
pub fn misplaced(plan: &Plan, state: &State, now: Timestamp) -> Vec<(Side, Role, StepId)> {
    let seen = |(side, role): &(Side, Role)| last_known(plan, state, *side, *role) == Some(Cell::On);
    let cells: BTreeSet<_> = plan.runners.iter().map(|runner| (runner.side, runner.role)).filter(seen).collect();
    if cells.is_empty() {
        return Vec::new();
    }
    let moving = moving(plan, state, now);
    let still = cells.difference(&moving).filter_map(|(side, role)| {
        // A role may have several runners on a side: it has ended there when all of them have.
        let of_cell = plan.runners.iter().filter(|runner| (runner.side, runner.role) == (*side, *role));
        let ends = of_cell.map(|runner| left(state, runner).filter(|(_, _, runs)| !runs));
        let ends = ends.collect::<Option<Vec<_>>>()?;
        let (_, step, _) = ends.into_iter().max_by_key(|(at, _, _)| *at)?;
        Some((*side, *role, step.id.clone()))
    });
    still.collect()
}

/// Roles that have run in this session, are seen on no side, and which no step meant to run nowhere.
///
/// Between the old side's end and the new side's beginning a plan may leave a role without a runner: the step that does so
/// says `allow_none`, and from then on it is meant until a step starts it. What was never read is not missing.
#[must_use]
pub fn missing(plan: &Plan, state: &State, now: Timestamp) -> Vec<Role> {
    let off = |runner: &Runner| last_known(plan, state, runner.side, runner.role) == Some(Cell::Off);
    let watched = |role: Role| plan.runners.iter().filter(move |runner| runner.role == role);
    let nowhere = state.ran.iter().copied().filter(|role| watched(*role).next().is_some() && watched(*role).all(off));
    let nowhere: Vec<_> = nowhere.filter(|role| !meant_nowhere(plan, state, *role)).collect();
    if nowhere.is_empty() {
        return nowhere;
    }
    let moving = moving(plan, state, now);
    nowhere.into_iter().filter(|role| !moving.iter().any(|(_, moved)| moved == role)).collect()
}

/// Whether the last step that says anything of a role, in plan order, says that it may run nowhere: by ending it, by what a
/// person does in it, or by having been skipped because it was so already.
fn meant_nowhere(plan: &Plan, state: &State, role: Role) -> bool {
    let says = |step: &StepState| {
        let allowed = plan.step(&step.id).is_some_and(|step| step.allow_none.contains(&role));
        let effects = step.applied.iter().rev().flat_map(|change| effects(change, &plan.runners));
        match effects.into_iter().find(|(_, theirs, _)| *theirs == role) {
            Some((_, _, runs)) => Some(allowed && !runs),
            None => (allowed && (step.phase.settled() || step.phase.in_flight())).then_some(true),
        }
    };
    state.steps.iter().rev().find_map(says) == Some(true)
}

/// Why an act is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Both sides would run it.
    #[error("it would leave two {} runners, one on each side", super::conditions::role_word(*.0))]
    Two(Role),
    /// Neither side would run it.
    #[error("it would leave no {} runner on either side, and the step does not say `allow_none`", super::conditions::role_word(*.0))]
    None(Role),
    /// The other side cannot be seen.
    #[error("whether the other side runs {} cannot be seen", super::conditions::role_word(*.0))]
    Blind(Role),
}

impl Matrix {
    /// The cell, None when the plan does not watch it.
    #[must_use]
    pub fn get(&self, side: Side, role: Role) -> Option<Cell> {
        self.0.get(&(side, role)).copied()
    }

    /// Sets a cell.
    pub fn set(&mut self, side: Side, role: Role, cell: Cell) {
        self.0.insert((side, role), cell);
    }

    fn both(&self, role: Role) -> (Cell, Cell) {
        let cell = |side| self.get(side, role).unwrap_or(Cell::Off);
        (cell(Side::Old), cell(Side::New))
    }

    /// What would be wrong after these effects, of the roles that the effects touch.
    #[must_use]
    pub fn after(&self, effects: &[(Side, Role, bool)], allow_none: &[Role]) -> Vec<Violation> {
        let mut next = self.clone();
        for (side, role, running) in effects {
            next.set(*side, *role, Cell::from_running(*running));
        }
        let mut roles: Vec<_> = effects.iter().map(|(_, role, _)| *role).collect();
        roles.sort_unstable();
        roles.dedup();
        roles.into_iter().filter_map(|role| next.violation(role, allow_none.contains(&role))).collect()
    }

    fn violation(&self, role: Role, none_allowed: bool) -> Option<Violation> {
        match self.both(role) {
            (Cell::On, Cell::On) if role.exclusive() => Some(Violation::Two(role)),
            (Cell::On, Cell::Unknown) | (Cell::Unknown, Cell::On) if role.exclusive() => Some(Violation::Blind(role)),
            (Cell::Off, Cell::Off) if !none_allowed => Some(Violation::None(role)),
            (Cell::Off, Cell::Unknown) | (Cell::Unknown, Cell::Off) if !none_allowed => Some(Violation::Blind(role)),
            _ => None,
        }
    }
}
