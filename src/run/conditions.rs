//! What must hold before a gate may be armed and until the act.

use jiff::{SignedDuration, Timestamp};

use super::{
    change::Change,
    event::{Answer, Target},
    gate::{Condition, ConditionId},
    guardrail::VerdictKind,
    hold::{Hold, HoldKind, holds, leak_text, missing_text, stray_text},
    interlock::{Violation, misplaced, missing},
    phase::{Direction, Phase},
    state::{Attempt, State, StepState},
};
use crate::plan::{Consequence, Guardrail, Kind, Plan, Role, Side, Step, StepId};

/// Whether a guardrail counts yet.
#[must_use]
pub fn active(state: &State, guardrail: &Guardrail) -> bool {
    let settled = |id: &StepId| state.step(id).is_some_and(|step| step.phase == Phase::Done);
    guardrail.after.as_ref().is_none_or(settled)
}

/// Whether a guardrail counts and is in breach.
#[must_use]
pub fn breached(state: &State, guardrail: &Guardrail) -> bool {
    active(state, guardrail) && verdict(state, guardrail) == VerdictKind::Breach
}

fn verdict(state: &State, guardrail: &Guardrail) -> VerdictKind {
    state.verdicts.get(&guardrail.id).map_or(VerdictKind::Blind, |verdict| verdict.kind)
}

/// The conditions of a step's gate, in the order in which they are shown.
#[must_use]
pub fn conditions(plan: &Plan, state: &State, id: &StepId, direction: Direction, now: Timestamp) -> Vec<Condition> {
    let Some(step) = plan.step(id) else { return Vec::new() };
    let look = Look { plan, state, step, direction, now };
    let mut list = match direction {
        Direction::Forward => {
            let first = vec![look.not_rolling_back(), look.needs(), look.hold()];
            let seen = look.runners().into_iter().chain(look.leak());
            first.into_iter().chain(seen).chain([look.alone(), look.preview()]).collect()
        }
        Direction::Back => vec![look.order(), look.alone(), look.preview()],
    };
    if direction == Direction::Forward {
        if let Kind::DnsSwitch { .. } = step.kind {
            list.extend([look.drain(), look.resolvers()]);
        }
        list.extend(look.silence());
        if step.demands_green {
            list.push(look.checks());
        }
        list.push(look.guardrails());
    }
    list.extend(look.interlock());
    list.retain(|condition| !(condition.id == ConditionId::Order && condition.holds));
    list
}

struct Look<'a> {
    plan: &'a Plan,
    state: &'a State,
    step: &'a Step,
    direction: Direction,
    now: Timestamp,
}

impl Look<'_> {
    fn condition(&self, id: ConditionId, holds: bool, detail: String) -> Condition {
        let overridden = !holds && self.state.overrides.contains(&(self.step.id.clone(), id));
        Condition { id, holds: holds || overridden, overridden, blind: false, detail }
    }

    /// The change that the gate would consent to, as last read.
    fn change(&self) -> Option<&Change> {
        let parts = &self.state.step(&self.step.id)?.preview(self.direction)?.parts;
        parts.first().map(|part| &part.change)
    }

    fn not_rolling_back(&self) -> Condition {
        let detail = if self.state.rollback.is_some() {
            "rolling back: only undos run"
        } else if self.state.rolled_back {
            "rolled back: F turns forward again"
        } else {
            ""
        };
        self.condition(ConditionId::Order, detail.is_empty(), detail.into())
    }

    fn order(&self) -> Condition {
        let next = self.state.next_undo().map(|step| step.id.clone());
        let passed = super::price::point_passed(self.plan, self.state);
        let detail = match (&self.state.rollback, &next) {
            _ if passed.is_some() => passed.map(|id| format!("`{id}` was the point of no return")).unwrap_or_default(),
            (None, _) => "undos run in a rollback only: press R".into(),
            (Some(_), Some(next)) if *next != self.step.id => format!("`{next}` is undone first"),
            _ => String::new(),
        };
        self.condition(ConditionId::Order, detail.is_empty(), detail)
    }

    fn needs(&self) -> Condition {
        // As the list of steps names them.
        let named = |id: &StepId| {
            let number = self.plan.position(id).map_or(0, |at| at + 1);
            format!("{number} {}", self.plan.step(id).map_or(id.0.as_str(), |step| &step.title))
        };
        let unmet: Vec<_> = self.state.unmet_needs(self.plan, &self.step.id).map(named).collect();
        let detail = if unmet.is_empty() { "all done".into() } else { format!("first {}", unmet.join(", ")) };
        self.condition(ConditionId::Needs, unmet.is_empty(), detail)
    }

    fn hold(&self) -> Condition {
        // What can be overridden has a condition of its own.
        let overridable = |hold: &Hold| matches!(hold.kind, HoldKind::Breach | HoldKind::Stray | HoldKind::Missing(_));
        let all = holds(self.plan, self.state, self.now);
        let holding = all.iter().find(|hold| {
            let own = hold.step.as_ref() == Some(&self.step.id);
            hold.blocking && !own && !overridable(hold) && !self.mends(hold.kind)
        });
        let detail = holding.map_or_else(|| "none".to_owned(), |hold| hold.text.clone());
        self.condition(ConditionId::Hold, holding.is_none(), detail)
    }

    /// A doubled runner does not keep out the step that ends it.
    fn mends(&self, kind: HoldKind) -> bool {
        let HoldKind::Doubled(role) = kind else { return false };
        self.effects().iter().any(|(_, theirs, runs)| *theirs == role && !runs)
    }

    /// Nothing goes forward while a runner is where a step has ended it, or a role has gone that no step meant to end:
    /// except the step that moves that very runner, or of which the plan says that the role may run nowhere after it.
    fn runners(&self) -> Option<Condition> {
        let effects = self.effects();
        let moves = |side: Side, role: Role| effects.iter().any(|(s, r, _)| (*s, *r) == (side, role));
        let starts = |role: Role| effects.iter().any(|(_, r, runs)| *r == role && *runs);
        let gone = missing(self.plan, self.state, self.now).into_iter();
        let gone = gone.filter(|role| !starts(*role) && !self.step.allow_none.contains(role));
        let strays =
            misplaced(self.plan, self.state, self.now).into_iter().filter(|(side, role, _)| !moves(*side, *role));
        let strays =
            strays.map(|(side, role, step)| stray_text(self.plan, self.state, side, role, &step) + ": stop it there");
        let found: Vec<_> = gone.map(|role| missing_text(self.state, role) + ": start it").chain(strays).collect();
        (!found.is_empty()).then(|| self.condition(ConditionId::Runners, false, found.join("; ")))
    }

    fn alone(&self) -> Condition {
        let reads_only = self.change().is_some_and(Change::is_nothing);
        let busy = self.state.steps.iter().find(|other| {
            let same = other.id == self.step.id;
            let acts = other.attempt().is_some_and(Attempt::acts);
            let undoing_doubt = same && self.direction == Direction::Back && other.phase == Phase::InDoubt;
            other.phase.in_flight() && !undoing_doubt && (same || (acts && !reads_only))
        });
        let detail = busy.map_or_else(|| "nothing else acts".to_owned(), |step| format!("`{}` is under way", step.id));
        self.condition(ConditionId::Alone, busy.is_none(), detail)
    }

    fn preview(&self) -> Condition {
        let step = self.state.step(&self.step.id);
        let trouble = step.and_then(|step| step.trouble.as_ref());
        let parts = step.and_then(|step| step.preview(self.direction)).map(|preview| preview.parts.len());
        let (holds, detail) = match (trouble, parts) {
            (Some(trouble), _) => (false, format!("{}: {}", trouble.call, trouble.reason)),
            (None, None) => (false, "not read yet".into()),
            (None, Some(0)) => (false, "it says nothing that could be done".into()),
            // Going back is one change: the reversal of everything that was applied.
            (None, Some(2..)) if self.direction == Direction::Back => (false, "an undo is a single change".into()),
            (None, Some(_)) => (true, "read from the world".into()),
        };
        self.condition(ConditionId::Preview, holds, detail)
    }

    fn drain(&self) -> Condition {
        let records = self.step.kind.records().iter().filter_map(|id| self.plan.record(id));
        let ends = records.filter_map(|record| self.state.drain_of(record)).map(|drain| drain.ends_at()).max();
        match ends {
            Some(ends) if ends > self.now => {
                let left = clock_text(ends.duration_since(self.now));
                self.condition(ConditionId::Drain, false, format!("the old TTL drains for another {left}"))
            }
            Some(_) => self.condition(ConditionId::Drain, true, "the old TTL has drained".into()),
            None => self.condition(ConditionId::Drain, true, "no TTL was lowered in this session".into()),
        }
    }

    fn resolvers(&self) -> Condition {
        // A staged switch that failed or died half way: both answers are right, and it must be possible to go on.
        if self.state.step(&self.step.id).is_some_and(|step| !step.applied.is_empty()) {
            return self.condition(
                ConditionId::Resolvers,
                true,
                "a part of it is switched: both answers are right".into(),
            );
        }
        let verdict = resolvers_agree(self.plan, self.state, self.step.kind.records());
        let agree = verdict.is_ok();
        let (Ok(detail) | Err(detail)) = verdict;
        self.condition(ConditionId::Resolvers, agree, detail)
    }

    /// What still comes to the old side would find nobody there.
    fn silence(&self) -> Option<Condition> {
        let Kind::HerokuScale { old_side_silent: Some(wanted), .. } = &self.step.kind else { return None };
        let text = |duration| SignedDuration::try_from(duration).map(clock_text).unwrap_or_default();
        let (old, wanted_text) = (&self.plan.sides.old.label, text(*wanted));
        let (holds, detail) = match self.state.silence {
            Some(lasting) if lasting >= *wanted => (true, format!("no request at {old} for {wanted_text}")),
            Some(_) => (false, format!("no request may have reached {old} for {wanted_text}, and some did")),
            None => (false, format!("requests at {old} are not measured")),
        };
        Some(self.condition(ConditionId::Silence, holds, detail))
    }

    fn checks(&self) -> Condition {
        let total = self.plan.checks.len();
        let passing = |check: &&crate::plan::Check| {
            self.state.check(&check.id, Target::New).is_some_and(|known| known.passing == Some(true))
        };
        let bad: Vec<_> = self.plan.checks.iter().filter(|c| !passing(c)).map(|c| c.id.as_str()).collect();
        let detail = if bad.is_empty() {
            format!("{total}/{total} pass on {}", self.plan.sides.new.label)
        } else {
            format!("{}/{total} pass on {}; not: {}", total - bad.len(), self.plan.sides.new.label, bad.join(", "))
        };
        self.condition(ConditionId::Checks, bad.is_empty(), detail)
    }

    fn guardrails(&self) -> Condition {
        let counted = || self.plan.guardrails.iter().filter(|g| active(self.state, g));
        let baking = self.state.step(&self.step.id).is_some_and(StepState::baking);
        let bad: Vec<_> = counted()
            .filter(|guardrail| match verdict(self.state, guardrail) {
                VerdictKind::Holding => false,
                VerdictKind::Breach => guardrail.consequence != Consequence::Warn || self.step.demands_green,
                // A stage is stayed at to see that it is well: what cannot be seen is not well.
                VerdictKind::Blind => self.step.demands_green || (baking && guardrail.consequence != Consequence::Warn),
            })
            .map(|g| format!("{} {}", g.title, verdict_word(verdict(self.state, g))))
            .collect();
        let blind = counted().filter(|guardrail| verdict(self.state, guardrail) == VerdictKind::Blind).count();
        let detail = match (bad.is_empty(), blind) {
            (false, _) => bad.join(", "),
            (true, 0) => format!("{} watched", counted().count()),
            // It stands in nobody's way here, and is no green either.
            (true, blind) => format!("{blind} of {} blind, no breach seen", counted().count()),
        };
        Condition { blind: blind > 0, ..self.condition(ConditionId::Guardrails, bad.is_empty(), detail) }
    }

    fn effects(&self) -> Vec<(Side, Role, bool)> {
        self.change().map(|change| super::interlock::effects(change, &self.plan.runners)).unwrap_or_default()
    }

    fn violations(&self) -> Vec<Violation> {
        let mut found = self.state.runners.after(&self.effects(), &self.step.allow_none);
        if self.direction == Direction::Back {
            // Putting back what was there before may leave none for the moment: the next undo brings it back.
            found.retain(|violation| matches!(violation, Violation::Two(_)));
        }
        found
    }

    /// Nothing goes forward while somebody writes where writes are frozen, except what freezes or opens them there.
    fn leak(&self) -> Option<Condition> {
        let effects = self.effects();
        let moves = |side: Side| effects.iter().any(|(s, role, _)| *s == side && *role == Role::Writer);
        let (side, who) = self.state.leaks.iter().find(|(side, _)| !moves(**side))?;
        let opens = effects.iter().any(|(_, role, runs)| *role == Role::Writer && *runs);
        let detail = if opens {
            // Writes that begin on one side while somebody goes on writing to the other: two truths.
            format!("{who} on {}: its rows would never arrive", self.plan.sides.get(*side).label)
        } else {
            leak_text(self.plan, *side, who)
        };
        Some(self.condition(ConditionId::Leak, false, detail))
    }

    fn interlock(&self) -> Option<Condition> {
        if self.effects().is_empty() {
            return None;
        }
        let found: Vec<_> = self.violations().iter().map(ToString::to_string).collect();
        let detail = if found.is_empty() { "one runner each".into() } else { found.join("; ") };
        Some(self.condition(ConditionId::Interlock, found.is_empty(), detail))
    }
}

/// Whether those who were heard may speak for all who were asked: a resolver that never answers tells nothing; half of
/// them silent is blindness.
#[must_use]
pub const fn enough_answer(heard: usize, asked: usize) -> bool {
    heard * 2 > asked || asked == 0
}

/// Whether the resolvers agree on these records (ids), none of them stretching the TTL, and the numbers either way.
///
/// Before the switch the old value is the right one: a resolver that clings to it at TTL 0 is a finding of the panel,
/// while one that stretches the TTL would keep customers on the old side for as long. [`enough_answer`] says how many may
/// be silent.
///
/// # Errors
/// Who does not agree, and how.
pub fn resolvers_agree(plan: &Plan, state: &State, records: &[String]) -> Result<String, String> {
    let asked = plan.dns.resolvers.len() * records.len();
    let answers = || state.answers.iter().filter(|a| records.contains(&a.record));
    let agrees = |answer| matches!(answer, Answer::Old | Answer::OldStale | Answer::Silent);
    let bad = answers().filter(|a| !agrees(a.answer)).map(|a| format!("{} {}", a.resolver, answer_word(a.answer)));
    let bad: Vec<_> = bad.collect();
    let heard = answers().filter(|a| a.resolver != super::AUTHORITY && a.answer != Answer::Silent).count();
    if !bad.is_empty() {
        return Err(bad.join(", "));
    }
    if enough_answer(heard, asked) {
        Ok(format!("{heard} of {asked} answer, all with the old value, none stretches it"))
    } else {
        Err(format!("only {heard} of {asked} answer"))
    }
}

/// How the screen calls a role.
#[must_use]
pub const fn role_word(role: Role) -> &'static str {
    match role {
        Role::Web => "web",
        Role::Worker => "worker",
        Role::Cron => "cron",
        Role::Writer => "writer",
    }
}

/// How the screen calls a verdict.
#[must_use]
pub const fn verdict_word(kind: VerdictKind) -> &'static str {
    match kind {
        VerdictKind::Holding => "within bounds",
        VerdictKind::Breach => "BREACH",
        VerdictKind::Blind => "blind",
    }
}

/// How the screen calls a resolver's answer.
#[must_use]
pub const fn answer_word(answer: Answer) -> &'static str {
    match answer {
        Answer::Old => "old",
        Answer::OldStretched => "old, stretches the TTL",
        Answer::OldStale => "old, stale",
        Answer::New => "new",
        Answer::Other => "neither side",
        Answer::Negative => "negative",
        Answer::Silent => "silent",
    }
}

/// A duration as people read a clock: `45 s`, `12:31`, `1:02:03`.
#[must_use]
pub fn clock_text(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m}:{s:02}"),
        (h, m, s) => format!("{h}:{m:02}:{s:02}"),
    }
}
