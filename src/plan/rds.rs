//! The kinds of step that work on RDS.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::model::Class;

/// What a step does with RDS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rds", rename_all = "kebab-case")]
pub enum RdsKind {
    /// Make a new instance of a snapshot.
    RestoreSnapshot {
        /// The instance that was snapshot.
        instance: String,
        /// Snapshot id; None: the newest one of the instance.
        snapshot: Option<String>,
        /// An older snapshot is refused.
        max_age: Duration,
        /// How the new instance is made.
        target: RestoreTarget,
    },
    /// Take a manual snapshot.
    Snapshot {
        /// The instance.
        instance: String,
        /// The snapshot is called `PREFIX-N` with the first number that is free.
        prefix: String,
    },
    /// Make a read replica an instance of its own. Nothing makes it a replica again.
    PromoteReplica {
        /// The replica.
        replica: String,
        /// A replica that lags further behind, or whose lag cannot be read, is refused; None: the lag is only shown.
        max_lag: Option<Duration>,
    },
    /// Switch a blue/green deployment over. Nothing switches it back.
    Switchover {
        /// Identifier (`bgd-...`) or name of the deployment.
        deployment: String,
        /// RDS puts everything back when it takes longer: 30 to 3600 seconds.
        limit: Duration,
    },
}

/// How an instance is made of a snapshot. None: what the snapshot or the account says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreTarget {
    /// Id of the new instance.
    pub instance: String,
    /// Instance class, e.g. `db.t4g.medium`.
    pub class: Option<String>,
    /// DB subnet group.
    pub subnet_group: Option<String>,
    /// DB parameter group.
    pub parameter_group: Option<String>,
    /// VPC security group ids; empty: the VPC's default.
    pub security_groups: Vec<String>,
}

impl RdsKind {
    /// How the plan file calls it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::RestoreSnapshot { .. } => "rds.restore-snapshot",
            Self::Snapshot { .. } => "rds.snapshot",
            Self::PromoteReplica { .. } => "rds.promote-replica",
            Self::Switchover { .. } => "rds.switchover",
        }
    }

    /// How much harm it can do. A snapshot and a restored copy stand beside what serves.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::RestoreSnapshot { .. } | Self::Snapshot { .. } => Class::Reversible,
            Self::PromoteReplica { .. } | Self::Switchover { .. } => Class::Destructive,
        }
    }

    /// Whether nothing can put it back, so that it is a point of no return whatever the plan says.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::PromoteReplica { .. } | Self::Switchover { .. })
    }

    /// What it does, in a word or two: as the operation of the RDS API is called.
    #[must_use]
    pub const fn act(&self) -> &'static str {
        match self {
            Self::RestoreSnapshot { .. } => "restore",
            Self::Snapshot { .. } => "snapshot",
            Self::PromoteReplica { .. } => "promote",
            Self::Switchover { .. } => "switchover",
        }
    }

    /// What it works on, as a `type` gate asks for it.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::RestoreSnapshot { target, .. } => &target.instance,
            Self::Snapshot { instance, .. } => instance,
            Self::PromoteReplica { replica, .. } => replica,
            Self::Switchover { deployment, .. } => deployment,
        }
    }
}
