//! What was sent, and what became of it.

use std::collections::BTreeSet;

use cutover::{
    plan::{Consequence, Role, Side, StepId},
    run::{
        Ask, Cell, Change, Command, ConditionId, Direction, Event, Observation, Outcome, RdsChange, Report,
        VerdictKind, What,
    },
};
use jiff::Timestamp;

use super::{Attempt, Track, Tracker, count};

impl Tracker {
    pub(super) fn first_part(&mut self, command: &Command, event: &Event, index: usize) {
        let What::Intended { step, direction, parts, change, attempt, .. } = &event.what else { unreachable!() };
        let gate = self.gate.take().expect("P1: an intent without a gate");
        assert!(gate.consented && !gate.upset && gate.step == *step && gate.direction == *direction, "P1: {gate:?}");
        let Ask::Report(Report::Reread { step: read, gate: id, part: 0, result: Ok(preview) }) = &command.ask else {
            panic!("P1: an intent out of {command:?}")
        };
        assert!(index == 0 && read == step && *id == gate.id, "P1: not out of the look that this consent asked for");
        assert_eq!(preview.parts, gate.parts, "P1: what was read again is not what was armed");
        assert!(*change == gate.parts[0].change && *parts as usize == gate.parts.len());
        assert!(*attempt >= 1);
        let others = self.tracks.iter().any(|(id, t)| id != step && t.attempt.as_ref().is_some_and(Attempt::acts));
        assert!(*change == Change::Nothing || !others, "two acts at once");
        assert!(!self.tracks[step].doubt, "P4: {step} acts again before anybody has looked");
        match direction {
            Direction::Forward => self.may_go_forward(step, change, event.at),
            Direction::Back => self.may_go_back(step, change),
        }
        let open =
            Attempt { direction: *direction, gate: gate.id, parts: gate.parts, part: 0, open: true, bakes_until: None };
        self.send(step, open, change, event.at);
    }

    pub(super) fn later_part(&mut self, command: &Command, event: &Event, index: usize) {
        let What::Intended { step, direction, part, change, .. } = &event.what else { unreachable!() };
        let Ask::Report(Report::Reread { gate, part: read, result: Ok(preview), .. }) = &command.ask else {
            panic!("P1b: a part out of {command:?}")
        };
        let track = &self.tracks[step];
        assert!(!track.doubt, "P4: {step} goes on in doubt");
        let attempt = track.attempt.clone().expect("P1b: a part of no attempt");
        assert!(index == 0 && read == part && *gate == attempt.gate && *direction == attempt.direction);
        assert_eq!(*part, attempt.part + 1, "P1b: parts in order");
        let over = attempt.bakes_until.expect("P1b: the part before it is not done");
        assert!(event.at >= over, "P1b: the bake is not over");
        assert_eq!(preview.parts, attempt.parts[*part as usize..], "P1b: what remains is not what was consented to");
        assert_eq!(*change, attempt.parts[*part as usize].change);
        self.may_go_forward(step, change, event.at);
        count(&mut self.counts, "later_parts");
        self.send(step, Attempt { part: *part, open: true, bakes_until: None, ..attempt }, change, event.at);
    }

    fn send(&mut self, step: &StepId, attempt: Attempt, change: &Change, at: Timestamp) {
        self.overridden.retain(|(theirs, _)| theirs != step);
        self.heard_of(step, at);
        let track = self.tracks.get_mut(step).unwrap();
        if *change != Change::Nothing {
            count(&mut self.counts, "acts");
            if attempt.direction == Direction::Forward {
                // Where this one begins as that was to end, it has taken effect after all.
                let missed = track.missed.take().filter(|missed| ends(missed).1 == ends(change).0);
                track.standing.extend(missed);
                track.standing.push(change.clone());
            }
        }
        (track.done, track.settled) = (false, false);
        track.attempt = Some(attempt);
    }

    fn may_go_forward(&mut self, step: &StepId, change: &Change, at: Timestamp) {
        assert!(!self.rolling_back, "forward in a rollback");
        assert!(!self.held, "forward although a person holds the run");
        let bad = self.plan.guardrails.iter().find(|guardrail| {
            let counts = guardrail.after.as_ref().is_none_or(|after| self.tracks.get(after).is_some_and(|t| t.done));
            let breach = self.verdicts.get(&guardrail.id) == Some(&VerdictKind::Breach);
            counts && breach && guardrail.consequence != Consequence::Warn
        });
        let past = |condition| self.overridden.contains(&(step.clone(), condition));
        assert!(bad.is_none() || past(ConditionId::Guardrails), "P8: forward into the breach of {bad:?}");
        let wrong = self.wrong_runners(step, change, at);
        assert!(wrong.is_empty() || past(ConditionId::Runners), "P9: {step} goes forward although {wrong:?}");
        assert!(!self.leak || past(ConditionId::Leak), "P9: {step} goes forward although writes leak");
        let (went_past, leaks) = (!wrong.is_empty(), self.leak);
        let planned = self.plan.step(step).unwrap();
        for (role, none_allowed) in self.touched(change).map(|role| (role, planned.allow_none.contains(&role))) {
            let after = self.both_after(role, change);
            assert!(!(role != Role::Web && after == [Cell::On, Cell::On]), "P9: two {role:?} runners");
            assert!(none_allowed || after != [Cell::Off, Cell::Off], "P9: no {role:?} runner");
        }
        if went_past {
            count(&mut self.counts, "past_runners");
        }
        if leaks {
            count(&mut self.counts, "past_a_leak");
        }
    }

    fn may_go_back(&self, step: &StepId, change: &Change) {
        assert!(self.rolling_back, "P7: back outside a rollback");
        let last = self.plan.steps.iter().rev().find(|step| self.tracks[&step.id].undoable());
        assert_eq!(last.map(|last| &last.id), Some(step), "P7: undos go in reverse");
        let passed = self.plan.steps.iter().find(|step| step.point_of_no_return && self.tracks[&step.id].done);
        assert!(passed.is_none(), "back past the point of no return");
        let first = &self.tracks[step].standing[0];
        assert_eq!(ends(change).1, ends(first).0, "P7: {step} is not put back to the letter");
        for role in self.touched(change) {
            assert!(role == Role::Web || self.both_after(role, change) != [Cell::On, Cell::On], "P9: two {role:?}");
        }
    }

    pub(super) fn touched(&self, change: &Change) -> impl Iterator<Item = Role> + use<> {
        let role = |process: &str| if process == "web" { Role::Web } else { Role::Worker };
        let roles: BTreeSet<_> = match change {
            Change::Maintenance { .. } => BTreeSet::from([Role::Web]),
            Change::Formation { to, .. } => to.keys().map(|process| role(process)).collect(),
            Change::Service { service, .. } => BTreeSet::from([role(service)]),
            _ => BTreeSet::new(),
        };
        roles.into_iter()
    }

    /// Old and new side of a role as observed, with the change's own effect on top.
    fn both_after(&self, role: Role, change: &Change) -> [Cell; 2] {
        let seen = |side| self.runners.get(&(side, role)).copied().unwrap_or(Cell::Off);
        let cell = |on: bool| if on { Cell::On } else { Cell::Off };
        let old = match change {
            Change::Maintenance { to, .. } if role == Role::Web => cell(!to),
            Change::Formation { to, .. } => to.get("worker").map_or(seen(Side::Old), |count| cell(*count > 0)),
            _ => seen(Side::Old),
        };
        let new = match change {
            Change::Service { to, .. } => cell(*to > 0),
            _ => seen(Side::New),
        };
        [old, new]
    }

    pub(super) fn progress(&mut self, what: &What, at: Timestamp) {
        if let What::Ended { step, .. }
        | What::Observed { step, .. }
        | What::Resolved { step, .. }
        | What::Skipped { step, .. } = what
        {
            self.heard_of(step, at);
        }
        match what {
            What::Ended { step, outcome } => self.ended(step, outcome, at),
            What::Observed { step, observation } => self.observed(step, observation, at),
            What::Resolved { step, done, .. } => {
                let seen = String::new();
                self.observed(step, &if *done { Observation::Done } else { Observation::NotDone { seen } }, at);
            }
            What::Skipped { step, .. } => {
                let track = self.tracks.get_mut(step).unwrap();
                assert!(!track.undoable() && track.attempt.is_none(), "{step} was skipped although it stands");
                track.settled = true;
            }
            What::LeakChanged { who, .. } => {
                self.leak = who.is_some();
                self.overridden.retain(|(_, condition)| *condition != ConditionId::Leak);
            }
            What::Overridden { step, condition, reason } => {
                assert!(!reason.is_empty());
                self.overridden.insert((step.clone(), *condition));
                count(&mut self.counts, "overridden");
            }
            What::HoldRaised { .. } => self.held = true,
            What::HoldReleased => self.held = false,
            What::RollbackStarted { .. } => self.rolling_back = true,
            What::RollbackEnded { complete } => {
                self.rolling_back = false;
                let left = self.tracks.iter().find(|(_, track)| track.undoable());
                assert!(!complete || left.is_none(), "P7: rollback is complete although {left:?} stands");
                if *complete {
                    count(&mut self.counts, "rolled_back");
                }
            }
            What::VerdictChanged { guardrail, verdict, .. } => drop(self.verdicts.insert(guardrail.clone(), *verdict)),
            _ => {}
        }
    }

    fn ended(&mut self, step: &StepId, outcome: &Outcome, at: Timestamp) {
        let track = self.tracks.get_mut(step).unwrap();
        let attempt = track.attempt.as_mut().expect("an attempt ended that never began");
        let sent = attempt.parts[attempt.part as usize].change.clone();
        match outcome {
            Outcome::Done { .. } => part_done(track, at, false),
            Outcome::Stopped if !attempt.open || sent == Change::Nothing => {
                track.attempt = None;
                count(&mut self.counts, "failed");
            }
            Outcome::Failed { .. } => {
                drop(not_done(track, &sent));
                count(&mut self.counts, "failed");
            }
            Outcome::Stopped | Outcome::InDoubt { .. } => {
                (track.doubt, attempt.open) = (true, false);
                if sent != Change::Nothing {
                    count(&mut self.counts, "in_doubt");
                }
            }
        }
    }

    fn observed(&mut self, step: &StepId, observation: &Observation, at: Timestamp) {
        let track = self.tracks.get_mut(step).unwrap();
        track.doubt = false;
        let attempt = track.attempt.as_ref().expect("something was observed that never began");
        let sent = attempt.parts[attempt.part as usize].change.clone();
        match (observation, attempt.direction) {
            (Observation::Unknown { .. }, _) => {}
            (Observation::NotDone { .. }, _) => track.missed = not_done(track, &sent),
            (Observation::Unfinished { .. }, _) => track.attempt = None,
            (Observation::Done, Direction::Forward) => {
                part_done(track, at, true);
                if track.done {
                    count(&mut self.counts, "done");
                }
            }
            (Observation::Done, Direction::Back) => {
                *track = Track::default();
                count(&mut self.counts, "undone");
                self.rewind(step, at);
            }
        }
    }

    /// Later steps that only looked have to look again.
    fn rewind(&mut self, undone: &StepId, at: Timestamp) {
        let position = self.plan.position(undone).unwrap();
        let later: Vec<_> = self.plan.steps[position + 1..].iter().map(|step| step.id.clone()).collect();
        for id in later {
            let track = self.tracks.get_mut(&id).unwrap();
            if track.done && track.standing.is_empty() {
                (track.done, track.settled) = (false, false);
                self.heard_of(&id, at);
                count(&mut self.counts, "rewound");
            }
        }
    }
}

/// Returns what does not stand.
fn not_done(track: &mut Track, sent: &Change) -> Option<Change> {
    let direction = track.attempt.take().map(|attempt| attempt.direction);
    let forward = direction == Some(Direction::Forward) && *sent != Change::Nothing;
    if forward { track.standing.pop() } else { None }
}

/// `seen`: the world itself shows it, not only the answer.
fn part_done(track: &mut Track, at: Timestamp, seen: bool) {
    let attempt = track.attempt.as_mut().unwrap();
    let last = attempt.part as usize + 1 == attempt.parts.len();
    attempt.open = false;
    if !last {
        attempt.bakes_until = Some(at + attempt.parts[attempt.part as usize].bake);
    } else if seen {
        track.attempt = None;
        (track.done, track.settled) = (true, true);
    }
}

/// The two ends of a change, in a form in which a later attempt compares with an earlier one.
fn ends(change: &Change) -> (String, String) {
    match change {
        Change::Nothing => (String::new(), String::new()),
        Change::Records { before, after, .. } => (format!("{before:?}"), format!("{after:?}")),
        Change::Maintenance { from, to, .. } => (from.to_string(), to.to_string()),
        Change::Formation { from, to, .. } => (format!("{from:?}"), format!("{to:?}")),
        Change::Service { from, to, .. } => (from.to_string(), to.to_string()),
        Change::Task(task) => (format!("{:?}", task.undo), format!("{:?}", Some(&task.command))),
        Change::WriteAccess { from, to, .. } => (format!("{from:?}"), format!("{to:?}")),
        Change::Sequences { from, to } => (format!("{from:?}"), format!("{to:?}")),
        Change::Rds(RdsChange::Restored { from, to, .. }) => (from.to_string(), to.to_string()),
        Change::Rds(change) => (String::new(), format!("{change:?}")),
        Change::Command { argv, undo, .. } => (format!("{undo:?}"), format!("{:?}", Some(argv))),
    }
}
