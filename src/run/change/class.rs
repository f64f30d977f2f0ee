//! How much harm a change does, told from its two ends: what puts a harmless step back may be felt by every customer.

use super::{Change, RdsChange};
use crate::plan::{Class, RecordSet};

impl Change {
    /// The lowest class that fits what it does.
    ///
    /// Destructive is what takes something away that serves: maintenance on, a process or service scaled to zero, a
    /// database closed for writing or deleted, a name led elsewhere, what nothing puts back. Of a command and of a task
    /// only the plan knows.
    #[must_use]
    pub fn class(&self) -> Class {
        let takes_away = match self {
            Self::Nothing => return Class::ReadOnly,
            Self::Records { before, after, .. } => targets(before) != targets(after),
            Self::Maintenance { from, to, .. } => *to && !from,
            Self::Formation { from, to, .. } => {
                to.iter().any(|(process, quantity)| *quantity == 0 && from.get(process) != Some(&0))
            }
            Self::Service { from, to, .. } => *to == 0 && *from > 0,
            Self::WriteAccess { from, to, .. } => from.open() && !to.open(),
            Self::Rds(RdsChange::Restored { from, to, .. }) => *from && !to,
            Self::Rds(RdsChange::Promoted { .. } | RdsChange::Switched { .. }) => true,
            Self::Rds(RdsChange::Snapshot { .. }) | Self::Task(_) | Self::Sequences { .. } | Self::Command { .. } => {
                false
            }
        };
        if takes_away { Class::Destructive } else { Class::Reversible }
    }
}

/// Where record sets lead, in their order.
pub(in crate::run) fn targets(sets: &[RecordSet]) -> Vec<String> {
    sets.iter().map(RecordSet::target).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_takes_something_away_is_destructive_whichever_way_one_goes() {
        let maintenance = Change::Maintenance { app: "shop".into(), from: true, to: false };
        let formation = Change::Formation {
            app: "shop".into(),
            from: BTreeMap::from([("web".into(), 2), ("worker".into(), 0)]),
            to: BTreeMap::from([("web".into(), 2), ("worker".into(), 3)]),
        };
        let service = Change::Service { cluster: "c".into(), service: "s".into(), from: 0, to: 2 };
        for change in [maintenance, formation, service] {
            assert_eq!(change.class(), Class::Reversible, "{change:?}");
            let back = change.reversed().unwrap();
            assert_eq!(back.class(), Class::Destructive, "{back:?}");
        }
        let fewer = Change::Service { cluster: "c".into(), service: "s".into(), from: 4, to: 2 };
        assert_eq!(fewer.class(), Class::Reversible);
        assert_eq!(fewer.reversed().unwrap().class(), Class::Reversible);
    }
}
