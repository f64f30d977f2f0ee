//! Violations that appear from outside: what runs where a step has ended it, and what has gone that no step meant to end.

use cutover::{
    plan::{Role, Side, StepId},
    run::{Cell, Change},
};
use jiff::{SignedDuration, Timestamp};

use super::{Track, Tracker};

/// Watches look every few seconds: until then nobody can tell.
const LATE: SignedDuration = SignedDuration::from_secs(60);

/// Which runner a change moves, and whether it runs afterwards.
fn moves(change: &Change) -> Option<(Side, Role, bool)> {
    let role = |name: &str| if name == "web" { Role::Web } else { Role::Worker };
    match change {
        Change::Maintenance { to, .. } => Some((Side::Old, Role::Web, !to)),
        Change::Formation { to, .. } => to.iter().next().map(|(name, count)| (Side::Old, role(name), *count > 0)),
        Change::Service { service, to, .. } => Some((Side::New, role(service), *to > 0)),
        _ => None,
    }
}

impl Tracker {
    /// What is wrong with the runners for sure, that an act of this step would not mend.
    pub(super) fn wrong_runners(&self, step: &StepId, change: &Change, now: Timestamp) -> Vec<String> {
        let own = moves(change);
        let allowed = |role| self.plan.step(step).unwrap().allow_none.contains(&role);
        let mut wrong = Vec::new();
        for role in [Role::Web, Role::Worker] {
            if !self.known_since(role, now) {
                continue;
            }
            let seen = |side| self.runners.get(&(side, role)).copied();
            let gone = [Side::Old, Side::New].into_iter().all(|side| seen(side) == Some(Cell::Off));
            let starts = own.is_some_and(|(_, theirs, runs)| theirs == role && runs);
            if gone && self.ran.contains(&role) && !self.meant(role) && !starts && !allowed(role) {
                wrong.push(format!("no {role:?} runs"));
            }
            for side in [Side::Old, Side::New] {
                let mended = own.is_some_and(|(there, theirs, _)| (there, theirs) == (side, role));
                if seen(side) == Some(Cell::On) && self.ended_there(side, role) && !mended {
                    wrong.push(format!("{role:?} runs on {side:?}"));
                }
            }
        }
        wrong
    }

    /// The clock may go back.
    pub(super) fn heard_of(&mut self, step: &StepId, at: Timestamp) {
        let moved = self.moved.entry(step.clone()).or_insert(at);
        *moved = at.max(*moved);
    }

    /// Nothing that touches the role is under way or has just been.
    fn known_since(&self, role: Role, now: Timestamp) -> bool {
        self.plan.steps.iter().all(|planned| {
            let track = &self.tracks[&planned.id];
            let parts = track.attempt.iter().flat_map(|attempt| attempt.parts.iter().map(|part| &part.change));
            let known = self.known.iter().filter(|((step, _), _)| *step == planned.id).flat_map(|(_, parts)| parts);
            let changes = track.standing.iter().chain(parts).chain(known.map(|part| &part.change));
            let touches = changes.filter_map(moves).any(|(_, theirs, _)| theirs == role);
            let quiet = self.moved.get(&planned.id).is_none_or(|moved| now.duration_since(*moved) > LATE);
            !(touches || planned.allow_none.contains(&role)) || (quiet && track.attempt.is_none())
        })
    }

    /// The last step in plan order whose effect on the cell stands has ended it.
    fn ended_there(&self, side: Side, role: Role) -> bool {
        let of_cell = |change: &Change| moves(change).filter(|(there, theirs, _)| (*there, *theirs) == (side, role));
        let last =
            self.plan.steps.iter().rev().find_map(|step| self.tracks[&step.id].standing.iter().rev().find_map(of_cell));
        last.is_some_and(|(_, _, runs)| !runs)
    }

    /// The last step that says anything of the role says that it may run nowhere.
    fn meant(&self, role: Role) -> bool {
        let says = |track: &Track, allowed: bool| {
            let effect = track.standing.iter().rev().filter_map(moves).find(|(_, theirs, _)| *theirs == role);
            match effect {
                Some((_, _, runs)) => Some(allowed && !runs),
                None => (allowed && track.settled).then_some(true),
            }
        };
        let steps = self.plan.steps.iter().rev();
        steps.filter_map(|step| says(&self.tracks[&step.id], step.allow_none.contains(&role))).next() == Some(true)
    }
}
