//! Changes on RDS, with both their ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Row;
use crate::plan::RestoreTarget;

/// One change on RDS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rds", rename_all = "kebab-case")]
pub enum RdsChange {
    /// Whether an instance that is made of a snapshot stands there.
    Restored {
        /// Id of the snapshot, exactly.
        snapshot: String,
        /// The instance.
        target: RestoreTarget,
        /// Before.
        from: bool,
        /// After.
        to: bool,
    },
    /// A manual snapshot. It has no undo: it changes nothing that serves, and a safety copy is worth most when one goes
    /// back. It stays until a person deletes it.
    Snapshot {
        /// The instance.
        instance: String,
        /// Id of the snapshot.
        snapshot: String,
    },
    /// A read replica becomes an instance of its own. Nothing makes it a replica again.
    Promoted {
        /// The replica.
        replica: String,
        /// What it replicates before; None: nothing, it stands alone already.
        source: Option<String>,
    },
    /// A blue/green deployment is switched over. Nothing switches it back.
    Switched {
        /// Identifier of the deployment.
        deployment: String,
        /// What people call it.
        name: String,
        /// Id of the instance that serves before, and that the other is called afterwards.
        blue: String,
        /// Id of the instance that takes over.
        green: String,
        /// RDS puts everything back when it takes longer.
        limit: Duration,
        /// It is switched over already.
        already: bool,
    },
}

impl RdsChange {
    /// The change that puts it back; None where there is none.
    pub(super) fn reversed(&self) -> Option<Self> {
        match self {
            Self::Restored { snapshot, target, from, to } => {
                let (snapshot, target) = (snapshot.clone(), target.clone());
                Some(Self::Restored { snapshot, target, from: *to, to: *from })
            }
            Self::Snapshot { .. } | Self::Promoted { .. } | Self::Switched { .. } => None,
        }
    }

    /// Makes this reversal end where the first of several changes began.
    pub(super) fn end_where_it_began(&mut self, first: &Self) {
        if let (Self::Restored { to, .. }, Self::Restored { from, .. }) = (self, first) {
            *to = *from;
        }
    }

    /// Whether the world is already as wanted.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        match self {
            Self::Restored { from, to, .. } => *from == *to,
            Self::Snapshot { .. } => false,
            Self::Promoted { source, .. } => source.is_none(),
            Self::Switched { already, .. } => *already,
        }
    }

    /// Aligned rows for the gate.
    pub(super) fn rows(&self) -> Vec<Row> {
        let row = |label: &str, before: &str, after: &str| Row::new(label.into(), before.into(), after.into());
        match self {
            Self::Restored { snapshot, target, from, to } => restored(snapshot, target, *from, *to),
            Self::Snapshot { instance, snapshot } => vec![row(&format!("{instance} snapshot"), "", snapshot)],
            Self::Promoted { replica, source } => {
                let before = source.as_ref().map_or_else(|| "stands alone".into(), |id| format!("replica of {id}"));
                vec![row(replica, &before, "stands alone")]
            }
            Self::Switched { name, blue, green, limit, already, .. } => {
                if *already {
                    return vec![row(name, "switched over", "switched over")];
                }
                let after = format!("{green} serves, called {blue}");
                let limit = format!("{} s, else RDS puts it back", limit.as_secs());
                vec![row(name, &format!("{blue} serves"), &after), row("time limit", "", &limit)]
            }
        }
    }
}

fn restored(snapshot: &str, target: &RestoreTarget, from: bool, to: bool) -> Vec<Row> {
    let stands = |stands: bool| if stands { format!("from {snapshot}") } else { String::new() };
    let gone = if from && !to { "deleted, without a final snapshot".to_owned() } else { stands(to) };
    let mut rows = vec![Row::new(target.instance.clone(), stands(from), gone)];
    if to && !from {
        let groups = (!target.security_groups.is_empty()).then(|| target.security_groups.join(", "));
        let options = [
            ("class", &target.class),
            ("subnet group", &target.subnet_group),
            ("parameter group", &target.parameter_group),
            ("security groups", &groups),
        ];
        let given = options.into_iter().filter_map(|(label, value)| Some((label, value.as_ref()?)));
        rows.extend(given.map(|(label, value)| Row::new(label.to_owned(), String::new(), value.clone())));
    }
    rows
}
