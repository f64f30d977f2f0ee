//! Gates: what must hold, what was seen, and what a person must still press.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    change::{Change, Part, Preview},
    interlock::Matrix,
    operator::Operator,
    phase::Direction,
    state::StepState,
};
use crate::plan::{Class, GateLevel, Kind, Plan, Step, StepId};

/// SHA-256 over the plan, the step, the exact change and the interlock matrix: what consent is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Evidence(pub String);

impl Evidence {
    /// The evidence of what a person sees.
    #[must_use]
    pub fn of(plan_hash: &str, step: &StepId, direction: Direction, parts: &[Part], runners: &Matrix) -> Self {
        let seen = serde_json::to_vec(&(plan_hash, step, direction, parts, runners)).unwrap_or_default();
        Self(hex::encode(Sha256::digest(&seen)))
    }

    /// The evidence in a few words, to be read out over the phone: see [`phone_words`].
    #[must_use]
    pub fn words(&self) -> String {
        phone_words(&self.0)
    }

    /// The first eight hex digits: enough to compare at a glance.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

/// How many words stand for an evidence: 4 of 64 are 24 bits. They are not to keep an attacker out, but to tell people
/// who look at different things that they do.
const WORDS: usize = 4;

/// 64 short words that nobody confuses on a bad line: no two begin with the same three letters or rhyme closely.
const PHONE: [&str; 64] = [
    "acorn", "amber", "anchor", "apple", "arrow", "autumn", "bacon", "bamboo", "basket", "beacon", "bishop", "bottle",
    "bridge", "button", "cactus", "candle", "castle", "cherry", "circus", "cobalt", "copper", "cotton", "dragon",
    "dolphin", "eagle", "engine", "falcon", "fiddle", "forest", "garden", "ginger", "guitar", "hammer", "harbour",
    "hazel", "helmet", "honey", "icicle", "island", "jacket", "jungle", "kettle", "ladder", "lemon", "lobster",
    "magnet", "mango", "mirror", "mustard", "needle", "nutmeg", "ocean", "orchid", "pepper", "pirate", "quartz",
    "rabbit", "rocket", "saddle", "silver", "tiger", "velvet", "walnut", "zebra",
];

/// Words for a hash in hex: six bits each, from its beginning. A text that is no such hash has none.
fn phone_words(hex: &str) -> String {
    let bits = hex.get(..WORDS * 6 / 4).and_then(|head| u32::from_str_radix(head, 16).ok());
    let Some(bits) = bits else { return String::new() };
    let word = |at: usize| PHONE[(bits >> (6 * (WORDS - 1 - at))) as usize % PHONE.len()];
    (0..WORDS).map(word).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

/// An armed gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// Unique in the session.
    pub id: u64,
    /// The step.
    pub step: StepId,
    /// Forward or back.
    pub direction: Direction,
    /// What must be done to pass.
    pub level: GateLevel,
    /// What was seen when it was armed.
    pub evidence: Evidence,
    /// The exact change that was seen.
    pub preview: Preview,
    /// Who armed it.
    pub by: Operator,
    /// When it was armed, session time.
    pub armed_at: Timestamp,
    /// A two-person gate whose name has been typed.
    pub typed: bool,
    /// When it was typed: the second person has the whole time limit from then on.
    #[serde(default)]
    pub typed_at: Option<Timestamp>,
    /// Passed: the world is being read once more.
    pub consented: bool,
}

/// What must hold before a gate may be armed, and until the act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConditionId {
    /// The steps that it needs are done or skipped.
    Needs,
    /// Nothing holds the run.
    Hold,
    /// No other attempt is under way.
    Alone,
    /// The exact change is known.
    Preview,
    /// The old TTL has drained.
    Drain,
    /// The resolvers agree.
    Resolvers,
    /// Checks pass on the new side.
    Checks,
    /// No guardrail is in breach or blind.
    Guardrails,
    /// No request has reached the old side for long enough.
    Silence,
    /// No runner is seen where a step has ended it, and none has gone that no step meant to end.
    Runners,
    /// Nobody is seen to write where the application may not any more.
    Leak,
    /// Never two runners, never none.
    Interlock,
    /// Rollback goes in reverse order, and only while rolling back.
    Order,
}

impl ConditionId {
    /// Whether a person may go past it, typed and with a reason.
    #[must_use]
    pub const fn overridable(self) -> bool {
        matches!(
            self,
            Self::Drain
                | Self::Resolvers
                | Self::Checks
                | Self::Guardrails
                | Self::Silence
                | Self::Runners
                | Self::Leak
        )
    }

    /// How the screen calls it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Needs => "steps",
            Self::Hold => "hold",
            Self::Alone => "alone",
            Self::Preview => "change",
            Self::Drain => "drain",
            Self::Resolvers => "resolvers",
            Self::Checks => "checks",
            Self::Guardrails => "guardrails",
            Self::Silence => "silence",
            Self::Runners => "runners",
            Self::Leak => "leak",
            Self::Interlock => "interlock",
            Self::Order => "order",
        }
    }
}

/// One condition as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Which.
    pub id: ConditionId,
    /// It holds, or was overridden.
    pub holds: bool,
    /// A person went past it.
    pub overridden: bool,
    /// A part of what it holds by cannot be seen: it is no green.
    pub blind: bool,
    /// What is so, with the numbers.
    pub detail: String,
}

impl StepState {
    /// How high its gate is. An undo is gated as its step, and higher where what it does is worse: as its preview says,
    /// and before there is one as what was applied says.
    #[must_use]
    pub fn gate_level(&self, step: &Step, direction: Direction) -> GateLevel {
        step.gate.max(self.class(step, direction).lowest_gate())
    }

    /// How much harm it can do: of an undo that of its step or of the change that puts it back, whichever is worse.
    #[must_use]
    pub fn class(&self, step: &Step, direction: Direction) -> Class {
        let back = match (direction, &self.back) {
            (Direction::Forward, _) => None,
            (Direction::Back, Some(preview)) => preview.parts.iter().map(|part| part.change.class()).max(),
            (Direction::Back, None) => Change::reversal_of(&self.applied).map(|change| change.class()),
        };
        back.map_or(step.kind.class(), |back| back.max(step.kind.class()))
    }
}

/// What a `type` gate asks to be typed: the act and what it is done to, so that the words of one gate open no other.
///
/// The act is called as its service calls it, and `stop` where everything is scaled to zero; what it is done to is the
/// first record's name without its last dot, the processes and the app, the service, the task's family, the instance.
/// Other kinds are called by the step's id alone. A point of no return is `for good`. An undo says so, but for
/// maintenance mode, which says how it will be.
#[must_use]
pub fn typed_words(plan: &Plan, step: &Step, direction: Direction) -> String {
    let app = || plan.heroku.as_ref().map_or(step.id.0.as_str(), |heroku| heroku.app.as_str());
    let record = || {
        let record = step.kind.records().first().and_then(|id| plan.record(id));
        record.map_or(step.id.0.as_str(), |record| record.name().trim_end_matches('.'))
    };
    let scale = |serves: bool| if serves { "scale" } else { "stop" };
    let words = match &step.kind {
        Kind::HerokuMaintenance { on } => {
            let mode = if *on == (direction == Direction::Forward) { "on" } else { "off" };
            return format!("maintenance {mode} {}", app());
        }
        Kind::HerokuScale { formation, .. } => {
            let processes: Vec<_> = formation.keys().map(String::as_str).collect();
            format!("{} {} {}", scale(formation.values().any(|count| *count > 0)), processes.join(" "), app())
        }
        Kind::EcsScale { service, desired, .. } => format!("{} {service}", scale(*desired > 0)),
        Kind::EcsRunTask(task) => format!("run {}", task.family()),
        Kind::Rds(kind) => format!("{} {}", kind.act(), kind.subject()),
        Kind::DnsSwitch { .. } => format!("switch {}", record()),
        Kind::DnsLowerTtl { .. } | Kind::DnsRaiseTtl { .. } => format!("ttl {}", record()),
        _ => step.id.0.clone(),
    };
    match direction {
        Direction::Back => format!("undo {words}"),
        Direction::Forward if step.point_of_no_return => format!("{words} for good"),
        Direction::Forward => words,
    }
}
