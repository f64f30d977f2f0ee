//! The exact change that a step would make, as plain data: what the gate shows is what is sent.
//!
//! A [`Change`] holds both ends, so that undo, observation and display all follow from it: undo is the change reversed,
//! and the world is *done* when it equals `after` and *not done* when it equals `before`.

pub(super) mod class;
mod rds;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

pub use self::rds::RdsChange;
use super::{
    database::{Access, Position},
    task::Task,
};
use crate::plan::{RecordSet, Side};

/// One change of the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// Reads only.
    Nothing,
    /// Record sets of one zone, in one atomic batch ([`crate::plan::batch`]).
    Records {
        /// Hosted zone id.
        zone_id: String,
        /// What stands there before, all sets of every named name and moved type.
        before: Vec<RecordSet>,
        /// What stands there after.
        after: Vec<RecordSet>,
    },
    /// Heroku maintenance mode.
    Maintenance {
        /// App name.
        app: String,
        /// Before.
        from: bool,
        /// After.
        to: bool,
    },
    /// Heroku dyno quantities of the named process types.
    Formation {
        /// App name.
        app: String,
        /// Before.
        from: BTreeMap<String, u32>,
        /// After.
        to: BTreeMap<String, u32>,
    },
    /// An ECS service's desired count.
    Service {
        /// Cluster name.
        cluster: String,
        /// Service name.
        service: String,
        /// Before.
        from: u32,
        /// After.
        to: u32,
    },
    /// A one-off ECS task.
    Task(Box<Task>),
    /// Who may write a database.
    WriteAccess {
        /// Which database.
        side: Side,
        /// Its own name.
        database: String,
        /// Before.
        from: Access,
        /// After.
        to: Access,
    },
    /// Where sequences of the new side's database stand.
    Sequences {
        /// Before, by `schema.name`.
        from: BTreeMap<String, Position>,
        /// After.
        to: BTreeMap<String, Position>,
    },
    /// Something on RDS.
    Rds(RdsChange),
    /// A command without a shell.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
        /// Tells done (exit 0), not done (exit 1), unknown (any other).
        observe: Option<Vec<String>>,
        /// Puts it back.
        undo: Option<Vec<String>>,
        /// This command is the undo: what `observe` calls done is then not done.
        undoing: bool,
    },
}

impl Change {
    /// The change that puts it back. None when there is none: nothing was changed, or a command has no undo.
    #[must_use]
    pub fn reversed(&self) -> Option<Self> {
        Some(match self {
            Self::Nothing => return None,
            Self::Records { zone_id, before, after } => {
                Self::Records { zone_id: zone_id.clone(), before: after.clone(), after: before.clone() }
            }
            Self::Maintenance { app, from, to } => Self::Maintenance { app: app.clone(), from: *to, to: *from },
            Self::Formation { app, from, to } => {
                Self::Formation { app: app.clone(), from: to.clone(), to: from.clone() }
            }
            Self::Service { cluster, service, from, to } => {
                Self::Service { cluster: cluster.clone(), service: service.clone(), from: *to, to: *from }
            }
            Self::Task(task) => Self::Task(Box::new(task.reversed()?)),
            Self::WriteAccess { side, database, from, to } => {
                Self::WriteAccess { side: *side, database: database.clone(), from: to.clone(), to: from.clone() }
            }
            Self::Sequences { from, to } => Self::Sequences { from: to.clone(), to: from.clone() },
            Self::Rds(change) => Self::Rds(change.reversed()?),
            Self::Command { argv, observe, undo, undoing } => Self::Command {
                argv: undo.clone()?,
                observe: observe.clone(),
                undo: Some(argv.clone()),
                undoing: !undoing,
            },
        })
    }

    /// The one change that puts back several applied one after the other (the stages of a switch, a second attempt):
    /// from how the last one left the world to how the first one found it.
    #[must_use]
    pub fn reversal_of(applied: &[Self]) -> Option<Self> {
        let mut back = applied.last()?.reversed()?;
        match (applied.first()?, &mut back) {
            (Self::Records { before, .. }, Self::Records { after, .. }) => after.clone_from(before),
            (Self::Maintenance { from, .. }, Self::Maintenance { to, .. }) => *to = *from,
            (Self::Formation { from, .. }, Self::Formation { to, .. }) => to.clone_from(from),
            (Self::Service { from, .. }, Self::Service { to, .. }) => *to = *from,
            (Self::WriteAccess { from, .. }, Self::WriteAccess { to, .. }) => to.clone_from(from),
            (Self::Sequences { from, .. }, Self::Sequences { to, .. }) => to.clone_from(from),
            (Self::Rds(first), Self::Rds(back)) => back.end_where_it_began(first),
            _ => {}
        }
        Some(back)
    }

    /// Whether it begins as an earlier change of its step was to end.
    #[must_use]
    pub fn begins_after(&self, earlier: &Self) -> bool {
        match (earlier, self) {
            (Self::Records { after, .. }, Self::Records { before, .. }) => after == before,
            (Self::Maintenance { to, .. }, Self::Maintenance { from, .. }) => to == from,
            (Self::Formation { to, .. }, Self::Formation { from, .. }) => to == from,
            (Self::Service { to, .. }, Self::Service { from, .. }) => to == from,
            (Self::WriteAccess { to, .. }, Self::WriteAccess { from, .. }) => to == from,
            (Self::Sequences { to, .. }, Self::Sequences { from, .. }) => to == from,
            (Self::Rds(_), Self::Rds(change)) => change.is_settled(),
            _ => false,
        }
    }

    /// Whether its two ends are equal: the world is already as wanted, and nothing is to be sent. A database that is closed
    /// is never settled: sessions that its closing did not reach are still to be ended.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        match self {
            Self::Nothing | Self::Task(_) | Self::Command { .. } => false,
            Self::Records { before, after, .. } => before == after,
            Self::Maintenance { from, to, .. } => from == to,
            Self::Formation { from, to, .. } => from == to,
            Self::Service { from, to, .. } => from == to,
            Self::WriteAccess { from, to, .. } => from == to && to.open(),
            Self::Sequences { from, to } => from == to,
            Self::Rds(change) => change.is_settled(),
        }
    }

    /// Whether AWS is asked for it.
    #[must_use]
    pub const fn is_at_aws(&self) -> bool {
        match self {
            Self::Records { .. } | Self::Service { .. } | Self::Task(_) | Self::Rds(_) => true,
            Self::Nothing
            | Self::Maintenance { .. }
            | Self::Formation { .. }
            | Self::WriteAccess { .. }
            | Self::Sequences { .. }
            | Self::Command { .. } => false,
        }
    }

    /// Whether it reads only.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// Aligned rows for the gate: label, before, after.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Records { before, after, .. } => record_rows(before, after),
            Self::Maintenance { app, from, to } => {
                vec![Row::new(format!("{app} maintenance"), on_off(*from), on_off(*to))]
            }
            Self::Formation { from, to, .. } => to
                .iter()
                .map(|(process, quantity)| {
                    let before = from.get(process).map_or_else(|| "-".to_owned(), u32::to_string);
                    Row::new(format!("{process} dynos"), before, quantity.to_string())
                })
                .collect(),
            Self::Service { cluster, service, from, to } => {
                vec![Row::new(format!("{cluster}/{service} tasks"), from.to_string(), to.to_string())]
            }
            Self::Task(task) => task.rows(),
            Self::WriteAccess { from, to, .. } => joined_rows(&from.rows(), &to.rows()),
            Self::Sequences { from, to } => {
                let text = |all: &BTreeMap<String, Position>| -> BTreeMap<String, String> {
                    all.iter().map(|(name, position)| (name.clone(), position.to_string())).collect()
                };
                joined_rows(&text(from), &text(to))
            }
            Self::Rds(change) => change.rows(),
            Self::Command { argv, .. } => vec![Row::new("run".to_owned(), String::new(), argv.join(" "))],
        }
    }
}

/// What differs between the two ends; of very many the rest is counted.
fn joined_rows(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<Row> {
    const SHOWN: usize = 24;
    let mut labels: Vec<_> =
        before.keys().chain(after.keys()).filter(|label| before.get(*label) != after.get(*label)).collect();
    labels.sort_unstable();
    labels.dedup();
    let cell = |side: &BTreeMap<String, String>, label: &String| side.get(label).cloned().unwrap_or_default();
    let row = |label: &&String| Row::new((*label).clone(), cell(before, label), cell(after, label));
    let mut rows: Vec<_> = labels.iter().take(SHOWN).map(row).collect();
    if let Some(more) = labels.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        rows.push(Row::new(format!("and {more} more"), String::new(), String::new()));
    }
    rows
}

fn on_off(on: bool) -> String {
    if on { "on".to_owned() } else { "off".to_owned() }
}

fn record_rows(before: &[RecordSet], after: &[RecordSet]) -> Vec<Row> {
    let mut names: Vec<&str> = before.iter().chain(after).map(|set| set.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let side = |sets: &[RecordSet], name: &str| -> Vec<String> {
        sets.iter().filter(|set| set.name == name).map(ToString::to_string).collect()
    };
    names
        .iter()
        .flat_map(|name| {
            let (old, new) = (side(before, name), side(after, name));
            (0..old.len().max(new.len())).map(move |index| {
                let label = if index == 0 { name.trim_end_matches('.').to_owned() } else { String::new() };
                let cell = |cells: &[String]| cells.get(index).cloned().unwrap_or_default();
                Row::new(label, cell(&old), cell(&new))
            })
        })
        .collect()
}

/// One aligned line of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// What changes.
    pub label: String,
    /// Before; empty: nothing.
    pub before: String,
    /// After; empty: nothing.
    pub after: String,
}

impl Row {
    pub(super) const fn new(label: String, before: String, after: String) -> Self {
        Self { label, before, after }
    }
}

/// One part of an attempt: a change, and how long to stay there before the next part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What is sent.
    pub change: Change,
    /// How long to stay there, with all guardrails holding, before the next part.
    pub bake: Duration,
}

/// The exact change of a whole attempt, read from the world as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// What remains to be done, at least one part.
    pub parts: Vec<Part>,
    /// What was read, for the pane: label and value. Not part of the evidence.
    pub facts: Vec<(String, String)>,
}

impl Preview {
    /// A preview of a single change.
    #[must_use]
    pub fn single(change: Change) -> Self {
        Self { parts: vec![Part { change, bake: Duration::ZERO }], facts: Vec::new() }
    }

    /// Whether every part reads only.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.parts.iter().all(|part| part.change.is_nothing())
    }
}

/// Which side a record set serves from, told from the plan's two ends.
#[must_use]
pub fn side_of(record: &crate::plan::Record, target: &str) -> Option<Side> {
    let same = |set: &RecordSet| set.target().trim_end_matches('.').eq_ignore_ascii_case(target.trim_end_matches('.'));
    if same(&record.new) {
        Some(Side::New)
    } else if same(&record.old) {
        Some(Side::Old)
    } else {
        None
    }
}
