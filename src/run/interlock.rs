//! What must never be true: two runners of one role, or none that the plan did not mean.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    change::Change,
    phase::Phase,
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

/// How long after a step has ended a runner it may still be seen: watches look every few seconds.
const SEEN_LATE: SignedDuration = SignedDuration::from_secs(60);

/// Runners that are seen although a step has ended them and nothing has started them since, with that step.
#[must_use]
pub fn misplaced(plan: &Plan, state: &State, now: Timestamp) -> Vec<(Side, Role, StepId)> {
    if state.steps.iter().any(|step| step.phase.in_flight()) {
        return Vec::new();
    }
    let mut meant: BTreeMap<(Side, Role), (bool, &StepState)> = BTreeMap::new();
    for step in state.steps.iter().filter(|step| step.phase == Phase::Done) {
        for (side, role, runs) in step.applied.iter().flat_map(|change| effects(change, &plan.runners)) {
            meant.insert((side, role), (runs, step));
        }
    }
    let long = |step: &StepState| step.since.is_some_and(|since| now.duration_since(since) > SEEN_LATE);
    let seen = |side, role| state.runners.get(side, role) == Some(Cell::On);
    let wrong = meant.into_iter().filter(|((side, role), (runs, step))| !runs && long(step) && seen(*side, *role));
    wrong.map(|((side, role), (_, step))| (side, role, step.id.clone())).collect()
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

    /// Roles that run on both sides now although they must not.
    pub fn doubled(&self) -> impl Iterator<Item = Role> + '_ {
        Role::ALL.into_iter().filter(|role| role.exclusive() && self.both(*role) == (Cell::On, Cell::On))
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
