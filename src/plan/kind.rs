//! The kinds of step and what follows from each: its class and the name that its gate asks for.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    database::{TableName, WriteLock},
    model::{Class, Side},
    rds::RdsKind,
};

/// What a step does. One file in `steps/` serves each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Kind {
    /// A list for a person to tick.
    Manual {
        /// What to tick, at least one.
        items: Vec<String>,
    },
    /// Checks that must pass now, on the named sides directly.
    CheckSuite {
        /// Check ids.
        checks: Vec<String>,
        /// Against which sides, connecting to each side's own address.
        sides: Vec<Side>,
        /// How many times in a row each must pass.
        rounds: u32,
    },
    /// Lower the TTL of records before the window.
    DnsLowerTtl {
        /// Record ids.
        records: Vec<String>,
        /// New TTL in seconds.
        ttl: u32,
    },
    /// Wait until the old TTL has drained, counted from INSYNC, and the resolvers agree.
    DnsDrain {
        /// Record ids.
        records: Vec<String>,
        /// Added to the old TTL.
        margin: Duration,
    },
    /// Point records at the new side.
    DnsSwitch {
        /// Record ids.
        records: Vec<String>,
        /// Weighted stages before the last; empty: all at once.
        stages: Vec<Stage>,
    },
    /// Give records their lasting TTL.
    DnsRaiseTtl {
        /// Record ids, none of them an alias.
        records: Vec<String>,
        /// New TTL in seconds.
        ttl: u32,
    },
    /// Heroku maintenance mode: blocks the web routers only.
    HerokuMaintenance {
        /// On or off.
        on: bool,
    },
    /// Heroku dyno quantities.
    HerokuScale {
        /// Process type to quantity.
        formation: BTreeMap<String, u32>,
        /// No request may have reached the old side for this long before the gate may be armed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        old_side_silent: Option<Duration>,
    },
    /// An ECS service's desired count.
    EcsScale {
        /// Cluster name.
        cluster: String,
        /// Service name.
        service: String,
        /// Desired count.
        desired: u32,
    },
    /// A one-off ECS task: a release command, a migration, a smoke job.
    EcsRunTask(TaskSpec),
    /// Wait until the newest deployment of ECS services has rolled out and all of them are healthy.
    EcsWaitStable {
        /// Cluster name.
        cluster: String,
        /// Service names, at least one.
        services: Vec<String>,
    },
    /// Wait until the new database has everything that the old one had when the step began.
    PostgresWaitCaughtUp,
    /// Take the application's right to write away, end what still runs, and prove that nobody writes.
    PostgresFreeze {
        /// Which database.
        side: Side,
        /// How.
        method: WriteLock,
        /// Whose writes, at least one.
        roles: Vec<String>,
    },
    /// Let the application write. Refused while a sequence would give out what exists.
    PostgresOpen {
        /// Which database.
        side: Side,
        /// How.
        method: WriteLock,
        /// Whose writes, at least one.
        roles: Vec<String>,
    },
    /// Put the new side's sequences beyond everything that is in use.
    PostgresSyncSequences {
        /// How many values beyond.
        headroom: u64,
    },
    /// Compare both databases: rows, keys, checksums, schema, sequences.
    PostgresCompare {
        /// Which tables; empty: all.
        tables: Vec<TableName>,
        /// Tables with more rows are summed by ranges.
        sample_above: u64,
        /// How many ranges.
        ranges: u32,
    },
    /// Something on RDS.
    Rds(RdsKind),
    /// Hold for a time with all guardrails and checks holding.
    Watch {
        /// How long without a break.
        lasting: Duration,
        /// The old side must have been silent for this long at the end.
        old_side_silent: Option<Duration>,
    },
    /// A command without a shell.
    Exec {
        /// Program and arguments.
        apply: Vec<String>,
        /// Tells done (exit 0), not done (exit 1) or unknown (any other).
        observe: Option<Vec<String>>,
        /// Puts it back.
        undo: Option<Vec<String>>,
        /// How much harm it can do.
        class: Class,
    },
}

/// A one-off task as the plan asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Cluster name.
    pub cluster: String,
    /// `family:revision`, or an ARN; a family alone means its newest revision at the time of the preview.
    pub definition: String,
    /// The container whose command is replaced and whose exit code decides; None: the definition has only one.
    pub container: Option<String>,
    /// Program and arguments, in the place of the definition's own.
    pub command: Vec<String>,
    /// Where it runs.
    pub launch: Launch,
    /// Subnet ids (`awsvpc` networking; Fargate has no other).
    pub subnets: Vec<String>,
    /// Security group ids.
    pub security_groups: Vec<String>,
    /// Whether it gets a public address: in a subnet without NAT it cannot pull its image otherwise.
    pub public_ip: bool,
    /// Log group that its lines go to; None: as the definition's `awslogs` options say.
    pub log_group: Option<String>,
    /// A command that puts it back, run as another task of the same definition.
    pub undo_command: Option<Vec<String>>,
    /// How much harm it can do.
    pub class: Class,
}

impl TaskSpec {
    /// The definition's family: what a person calls the task.
    #[must_use]
    pub fn family(&self) -> &str {
        let name = self.definition.rsplit('/').next().unwrap_or(&self.definition);
        name.split(':').next().unwrap_or(name)
    }
}

/// Where a one-off task runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Launch {
    /// Fargate.
    Fargate,
    /// The cluster's own instances.
    Ec2,
}

/// One weighted stage of a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Share of answers that point at the new side, 1 to 99.
    pub percent: u8,
    /// How long to stay there with all guardrails holding.
    pub bake: Duration,
}

impl Kind {
    /// How the plan file calls it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Manual { .. } => "manual",
            Self::CheckSuite { .. } => "check.suite",
            Self::DnsLowerTtl { .. } => "dns.lower-ttl",
            Self::DnsDrain { .. } => "dns.drain",
            Self::DnsSwitch { .. } => "dns.switch",
            Self::DnsRaiseTtl { .. } => "dns.raise-ttl",
            Self::HerokuMaintenance { .. } => "heroku.maintenance",
            Self::HerokuScale { .. } => "heroku.scale",
            Self::EcsScale { .. } => "ecs.scale",
            Self::EcsRunTask(_) => "ecs.run-task",
            Self::EcsWaitStable { .. } => "ecs.wait-stable",
            Self::PostgresWaitCaughtUp => "postgres.wait-caught-up",
            Self::PostgresFreeze { .. } => "postgres.freeze",
            Self::PostgresOpen { .. } => "postgres.open",
            Self::PostgresSyncSequences { .. } => "postgres.sync-sequences",
            Self::PostgresCompare { .. } => "postgres.compare",
            Self::Rds(kind) => kind.name(),
            Self::Watch { .. } => "watch",
            Self::Exec { .. } => "exec",
        }
    }

    /// How much harm it can do going forward.
    ///
    /// Scaling to zero stops work and is destructive; any other count is reversible. Maintenance mode on is a write
    /// freeze that customers see.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::PostgresWaitCaughtUp
            | Self::PostgresCompare { .. }
            | Self::Manual { .. }
            | Self::CheckSuite { .. }
            | Self::DnsDrain { .. }
            | Self::EcsWaitStable { .. }
            | Self::Watch { .. } => Class::ReadOnly,
            Self::PostgresOpen { .. }
            | Self::PostgresSyncSequences { .. }
            | Self::DnsLowerTtl { .. }
            | Self::DnsRaiseTtl { .. }
            | Self::HerokuMaintenance { on: false } => Class::Reversible,
            Self::PostgresFreeze { .. } | Self::DnsSwitch { .. } | Self::HerokuMaintenance { on: true } => {
                Class::Destructive
            }
            Self::HerokuScale { formation, .. } if formation.values().any(|quantity| *quantity == 0) => {
                Class::Destructive
            }
            Self::EcsScale { desired: 0, .. } => Class::Destructive,
            Self::HerokuScale { .. } | Self::EcsScale { .. } => Class::Reversible,
            Self::Exec { class, .. } | Self::EcsRunTask(TaskSpec { class, .. }) => *class,
            Self::Rds(kind) => kind.class(),
        }
    }

    /// Whether it works with `[databases]`.
    #[must_use]
    pub const fn needs_databases(&self) -> bool {
        matches!(
            self,
            Self::PostgresWaitCaughtUp
                | Self::PostgresFreeze { .. }
                | Self::PostgresOpen { .. }
                | Self::PostgresSyncSequences { .. }
                | Self::PostgresCompare { .. }
        )
    }

    /// Whether nothing can put it back: a point of no return, whatever the plan says.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Rds(kind) if kind.is_final())
    }

    /// The record ids it names.
    #[must_use]
    pub fn records(&self) -> &[String] {
        match self {
            Self::DnsLowerTtl { records, .. }
            | Self::DnsDrain { records, .. }
            | Self::DnsSwitch { records, .. }
            | Self::DnsRaiseTtl { records, .. } => records,
            _ => &[],
        }
    }
}
