//! What holds the run: what nobody may overlook, gravest first.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    alarm::CREDENTIALS,
    conditions::{breached, clock_text, role_word},
    event::{Expiring, Trouble, TroubleKind},
    interlock::{as_of, doubled, misplaced, missing},
    lasting::{Ending, needed},
    phase::Phase,
    state::{State, StepState},
};
use crate::plan::{Consequence, Plan, Role, Side, StepId};

/// How the sources of synthetic checks begin: `web:CHECK TARGET`.
const CHECKS: &str = "web:";

/// Something that nobody may overlook. A blocking hold keeps every step from going forward; rollback stays open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// What kind.
    pub kind: HoldKind,
    /// What is so and what it means.
    pub text: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// The step it is about.
    pub step: Option<StepId>,
    /// The source that it is about.
    #[serde(default)]
    pub source: Option<String>,
    /// When what it speaks of is tried again by itself, session time.
    #[serde(default)]
    pub next_try: Option<Timestamp>,
    /// Nothing goes forward while it stands.
    pub blocking: bool,
}

impl Hold {
    pub(super) fn new(kind: HoldKind, text: String) -> Self {
        Self { kind, text, since: None, step: None, source: None, next_try: None, blocking: false }
    }

    /// What is tried again by itself: the name of a source, or the id of a step whose change cannot be read.
    #[must_use]
    pub fn retried(&self) -> Option<&str> {
        match self.kind {
            HoldKind::Source => self.source.as_deref(),
            HoldKind::Preview => self.step.as_ref().map(|step| step.0.as_str()),
            _ => None,
        }
    }
}

/// What kind of hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldKind {
    /// Nobody knows whether an attempt took effect.
    Doubt,
    /// Both sides run this role.
    Doubled(Role),
    /// Somebody writes, or something runs, where a step has ended it.
    Stray,
    /// This role has run in this session, runs on no side now, and no step meant it to.
    Missing(Role),
    /// A person holds the run.
    Manual,
    /// A guardrail is in breach.
    Breach,
    /// The exact change of a step cannot be read.
    Preview,
    /// A source of truth cannot be read.
    Source,
    /// Something ends before the window does, or before the way back could be gone.
    Expiry,
    /// The AWS credentials have ended: nothing on AWS can be read or done.
    Credentials,
    /// What must stay as it was has changed.
    Changed,
    /// Guardrails have no fresh data.
    Blind,
}

impl HoldKind {
    /// How the screen calls it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Doubt => "IN DOUBT",
            Self::Doubled(_) => "TWO RUNNERS",
            Self::Stray => "STRAY",
            Self::Missing(_) => "NO RUNNER",
            Self::Manual => "HOLD",
            Self::Breach => "BREACH",
            Self::Preview => "UNREADABLE",
            Self::Source => "TROUBLE",
            Self::Expiry => "EXPIRES",
            Self::Credentials => "CREDENTIALS",
            Self::Changed => "CHANGED",
            Self::Blind => "BLIND",
        }
    }
}

/// Everything that holds the run at a session time, gravest first.
#[must_use]
pub fn holds(plan: &Plan, state: &State, now: Timestamp) -> Vec<Hold> {
    let doubt = state.steps.iter().filter(|step| step.phase == Phase::InDoubt).map(|step| Hold {
        since: step.since,
        step: Some(step.id.clone()),
        blocking: true,
        ..Hold::new(
            HoldKind::Doubt,
            format!("`{}` is in doubt: {}", step.id, step.reason.as_deref().unwrap_or("its answer was lost")),
        )
    });
    let doubled = doubled(plan, state)
        .into_iter()
        .map(|role| Hold { blocking: true, ..Hold::new(HoldKind::Doubled(role), doubled_text(state, role)) });
    let nowhere = missing(plan, state, now)
        .into_iter()
        .map(|role| Hold { blocking: true, ..Hold::new(HoldKind::Missing(role), missing_text(state, role)) });
    let strays = strays(plan, state, now);
    let manual = state.hold.iter().map(|hold| Hold {
        since: Some(hold.at),
        blocking: true,
        ..Hold::new(HoldKind::Manual, format!("held by {}: {}", hold.by, hold.reason))
    });
    let breaches = plan.guardrails.iter().filter(|g| breached(state, g)).map(|guardrail| Hold {
        since: state.verdicts.get(&guardrail.id).map(|verdict| verdict.since),
        blocking: guardrail.consequence != Consequence::Warn,
        ..Hold::new(HoldKind::Breach, format!("guardrail breach: {}", guardrail.title))
    });
    // A step is looked at whenever somebody wants to; before its turn the world is not yet as it expects.
    let previews = state.steps.iter().filter(|step| turn(plan, state, step)).filter_map(|step| {
        let trouble = step.trouble.as_ref()?;
        let text = format!("`{}` cannot be read: {}: {}", step.id, trouble.call, trouble.reason);
        let (step, next_try) = (Some(step.id.clone()), trouble.next_try);
        Some(Hold { step, next_try, ..Hold::new(HoldKind::Preview, text) })
    });
    let expiries = expiries(plan, state);
    doubt
        .chain(doubled)
        .chain(nowhere)
        .chain(strays)
        .chain(manual)
        .chain(breaches)
        .chain(expiries)
        .chain(previews)
        .chain(sources(state))
        .collect()
}

/// Who writes although writes are frozen, and what runs although a step has stopped it.
fn strays<'a>(plan: &'a Plan, state: &'a State, now: Timestamp) -> impl Iterator<Item = Hold> + use<'a> {
    let stray = |text| Hold { blocking: true, ..Hold::new(HoldKind::Stray, text) };
    let leaks = state.leaks.iter().map(move |(side, who)| stray(leak_text(plan, *side, who)));
    let runners = misplaced(plan, state, now).into_iter();
    leaks.chain(runners.map(move |(side, role, step)| stray(stray_text(plan, state, side, role, &step))))
}

/// Somebody writes to a side that is closed to the application.
pub(super) fn leak_text(plan: &Plan, side: Side, who: &str) -> String {
    format!("{who} on {}, where writes are frozen: those rows stay behind", plan.sides.get(side).label)
}

/// A runner is back where a step has ended it.
pub(super) fn stray_text(plan: &Plan, state: &State, side: Side, role: Role, step: &StepId) -> String {
    let (word, label) = (role_word(role), &plan.sides.get(side).label);
    format!("{word} is seen on {label} again, although `{step}` ended it{}", as_of(state, role, &[side]))
}

/// A role that ran is gone.
pub(super) fn missing_text(state: &State, role: Role) -> String {
    let as_of = as_of(state, role, &[Side::Old, Side::New]);
    format!("no {} runs on either side, and no step meant it to{as_of}", role_word(role))
}

fn doubled_text(state: &State, role: Role) -> String {
    format!("two {} runners: one on each side{}", role_word(role), as_of(state, role, &[Side::Old, Side::New]))
}

/// A source and its trouble.
type Troubled<'a> = (&'a str, &'a Trouble);

/// Sources that cannot be read, one each; a server that turns many checks away is one trouble and not many.
fn sources(state: &State) -> Vec<Hold> {
    let mut folded: BTreeMap<_, Vec<Troubled<'_>>> = BTreeMap::new();
    for (source, trouble) in &state.troubles {
        let (of, target) = checked(source).map_or((source.as_str(), ""), |(_, target)| (CHECKS, target));
        folded.entry((of, target, trouble.kind)).or_default().push((source, trouble));
    }
    let hold = |((_, target, _), all): ((&str, &str, TroubleKind), Vec<Troubled<'_>>)| {
        let ((source, trouble), others) = all.split_first()?;
        let said = format!("{}: {}", trouble.call, trouble.reason);
        let text = if others.is_empty() && trouble.call.starts_with(source) {
            said
        } else if others.is_empty() {
            format!("{source}: {said}")
        } else {
            let names = others.iter().filter_map(|(source, _)| Some(checked(source)?.0)).collect::<Vec<_>>().join(", ");
            format!("{CHECKS} {} checks {target}: {said}; and so are {names}", all.len())
        };
        let (source, next_try) = (Some((*source).to_owned()), trouble.next_try);
        Some(Hold { source, next_try, ..Hold::new(HoldKind::Source, text) })
    };
    folded.into_iter().filter_map(hold).collect()
}

/// The check and the target of a source that is one.
fn checked(source: &str) -> Option<(&str, &str)> {
    source.strip_prefix(CHECKS)?.rsplit_once(' ')
}

/// Whether the run waits for this step: what it needs is done, or it is the next to be undone. Rolled back, it waits for
/// none.
#[must_use]
pub fn turn(plan: &Plan, state: &State, step: &StepState) -> bool {
    match &state.rollback {
        None if state.rolled_back => false,
        Some(_) => state.next_undo().is_some_and(|next| next.id == step.id),
        None => step.phase.in_flight() || (!step.phase.settled() && state.needs_met(plan, &step.id)),
    }
}

/// What does not last until the window is over and everything could have been undone after it: the first end of each.
fn expiries(plan: &Plan, state: &State) -> Vec<Hold> {
    let Some(session) = &state.session else { return Vec::new() };
    let needed = needed(plan, state, session.started_at);
    let mut first: BTreeMap<Expiring, (Timestamp, &Ending)> = BTreeMap::new();
    for (ending, until) in state.endings.iter().filter_map(|ending| Some((ending, ending.until?))) {
        let known = first.entry(ending.of).or_insert((until, ending));
        if until < known.0 {
            *known = (until, ending);
        }
    }
    let early = first.into_values().filter(|(until, _)| !needed.met(Some(*until)));
    let told = early.map(|(until, ending)| {
        let what = super::describe::expiring_word(ending.of);
        let host = ending.host.as_ref().map_or_else(String::new, |host| format!(" ({host})"));
        let missing = clock_text(needed.missing(until));
        let text = format!("{what} end {missing} before the window and the way back after it do{host}");
        let source = (ending.of == Expiring::Credentials).then(|| CREDENTIALS.to_owned());
        Hold { source, ..Hold::new(HoldKind::Expiry, text) }
    });
    told.collect()
}
