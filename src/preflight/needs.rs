//! Which AWS permissions a plan needs, and what for. One list: `cutover iam` writes a policy of it, and the preflight
//! asks IAM about each entry.
//!
//! Every kind of step, runner and metric is matched by name, so that a new one does not compile before somebody has said
//! what it needs.
//!
//! Source: Service Authorization Reference (actions, resource types and condition keys of each service); Route 53
//! Developer Guide, "Using IAM policy conditions for fine-grained access control"; RDS User Guide, "Authorizing access
//! to blue/green deployment operations".

use std::collections::BTreeSet;

use serde::Serialize;

use crate::plan::{Kind, MetricSource, Plan, RdsKind, Record, RunnerSource, SecretStore, Step, TaskSpec};

/// What a permission is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// To look on: what the watches and the previews read.
    Watch,
    /// To look before the window.
    Preflight,
    /// To go forward.
    Forward,
    /// To go back.
    Back,
}

impl Way {
    /// As people read it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Watch => "to watch",
            Self::Preflight => "for the preflight",
            Self::Forward => "to go forward",
            Self::Back => "to roll back",
        }
    }
}

/// One action on some resources.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// What for.
    pub way: Way,
    /// e.g. `route53:ChangeResourceRecordSets`.
    pub action: &'static str,
    /// ARNs, with `*` for what nobody can know before.
    pub resources: BTreeSet<String>,
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// The first that needs it, e.g. ``step `switch-shop` ``.
    pub why: String,
}

/// One entry of a statement's `Condition`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    /// e.g. `StringEquals`.
    pub operator: &'static str,
    /// e.g. `iam:PassedToService`.
    pub key: &'static str,
    /// Any of them.
    pub values: BTreeSet<String>,
}

/// Where the plan's resources are.
#[derive(Debug)]
struct Place<'a> {
    partition: &'static str,
    region: &'a str,
    account: &'a str,
}

impl<'a> Place<'a> {
    fn of(plan: &'a Plan) -> Self {
        let region = plan.aws.region.as_str();
        let partition = match region.split('-').take(2).collect::<Vec<_>>().as_slice() {
            ["cn", ..] => "aws-cn",
            ["us", "gov"] => "aws-us-gov",
            _ => "aws",
        };
        Self { partition, region, account: plan.aws.account.as_deref().unwrap_or("*") }
    }

    fn arn(&self, service: &str, rest: &str) -> String {
        format!("arn:{}:{service}:{}:{}:{rest}", self.partition, self.region, self.account)
    }

    /// An ARN of a service that has no regions.
    fn global(&self, service: &str, account: &str, rest: &str) -> String {
        format!("arn:{}:{service}::{account}:{rest}", self.partition)
    }

    fn zone(&self, id: &str) -> String {
        self.global("route53", "", &format!("hostedzone/{id}"))
    }

    fn rds(&self, kind: &str, id: &str) -> String {
        self.arn("rds", &format!("{kind}:{id}"))
    }

    fn log_group(&self, group: &str) -> String {
        self.arn("logs", &format!("log-group:{group}:*"))
    }

    /// Source: Amazon ECS, condition key `ecs:cluster`.
    fn in_cluster(&self, cluster: &str) -> Condition {
        condition("ArnEquals", "ecs:cluster", [self.cluster(cluster)])
    }

    fn cluster(&self, cluster: &str) -> String {
        if cluster.starts_with("arn:") { cluster.to_owned() } else { self.arn("ecs", &format!("cluster/{cluster}")) }
    }
}

fn condition<const N: usize>(operator: &'static str, key: &'static str, values: [String; N]) -> Condition {
    Condition { operator, key, values: values.into() }
}

/// The last part of an ARN; a name is its own.
fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Gathers needs; one that is there already is not added again.
struct Gathered<'a> {
    plan: &'a Plan,
    place: Place<'a>,
    needs: Vec<Need>,
    why: String,
}

/// Everything that the plan's AWS calls must be allowed to do: watching, looking before the window, going forward, and
/// going back. Sorted by way; what an earlier way needs is not repeated by a later one, but for going back: that it is
/// possible is asked for by itself.
#[must_use]
pub fn needs(plan: &Plan) -> Vec<Need> {
    let mut all = Gathered { plan, place: Place::of(plan), needs: Vec::new(), why: String::new() };
    all.watches();
    all.preflight();
    for step in &plan.steps {
        all.why = format!("step `{}`", step.id);
        all.step(step);
    }
    let mut needs = all.needs;
    needs.sort_by_key(|need| need.way);
    needs
}

impl Gathered<'_> {
    fn add<const N: usize>(&mut self, way: Way, action: &'static str, resources: [String; N]) {
        self.add_if(way, action, resources.into(), Vec::new());
    }

    fn add_if(&mut self, way: Way, action: &'static str, resources: BTreeSet<String>, conditions: Vec<Condition>) {
        let known = self.needs.iter().any(|known| {
            let same = known.action == action && known.resources == resources && known.conditions == conditions;
            same && (known.way == way || (known.way < way && way != Way::Back))
        });
        if !known {
            let why = self.why.clone();
            self.needs.push(Need { way, action, resources, conditions, why });
        }
    }

    fn watches(&mut self) {
        self.why = "the metrics".into();
        if self.plan.metrics.iter().any(|metric| match metric.source {
            MetricSource::Stat { .. } | MetricSource::Ratio { .. } => true,
            MetricSource::Postgres { .. } | MetricSource::Queue { .. } => false,
        }) {
            // No resource types; the namespace condition is for publishing alone.
            self.add(Way::Watch, "cloudwatch:GetMetricData", ["*".into()]);
        }
        for metric in &self.plan.metrics {
            if let MetricSource::Queue { queue } = &metric.source {
                self.queue(queue);
            }
        }
        for runner in &self.plan.runners {
            self.why = "the interlock".into();
            match &runner.source {
                RunnerSource::Ecs { cluster, service } => self.service(cluster, service),
                RunnerSource::Heroku { .. } | RunnerSource::Postgres { .. } => {}
            }
        }
        for record in &self.plan.records {
            self.why = "the records".into();
            let zone = self.place.zone(&record.zone_id);
            self.add(Way::Watch, "route53:ListResourceRecordSets", [zone]);
        }
    }

    /// Asking a queue how deep it is; one that is given by its URL need not be found first.
    fn queue(&mut self, queue: &str) {
        // A URL ends in `ACCOUNT/NAME`.
        let mut parts = queue.rsplit('/');
        let name = parts.next().unwrap_or(queue);
        let account = parts.next().unwrap_or(self.place.account);
        let arn = format!("arn:{}:sqs:{}:{account}:{name}", self.place.partition, self.place.region);
        self.add(Way::Watch, "sqs:GetQueueAttributes", [arn.clone()]);
        if name == queue {
            self.add(Way::Watch, "sqs:GetQueueUrl", [arn]);
        }
    }

    /// Describing a service and what it runs.
    fn service(&mut self, cluster: &str, service: &str) {
        let arn = self.service_arn(cluster, service);
        self.add(Way::Watch, "ecs:DescribeServices", [arn]);
    }

    fn service_arn(&self, cluster: &str, service: &str) -> String {
        if service.starts_with("arn:") {
            return service.to_owned();
        }
        self.place.arn("ecs", &format!("service/{}/{service}", short(cluster)))
    }

    /// Source: IAM, "Testing IAM policies": `SimulatePrincipalPolicy` is itself a permission. Names of secrets are listed
    /// and no value is read: neither action can.
    fn preflight(&mut self) {
        self.why = "the preflight".into();
        let (place, way) = (&self.place, Way::Preflight);
        let principals = ["role/*", "user/*"].map(|rest| place.global("iam", place.account, rest));
        let role = place.global("iam", place.account, "role/*");
        self.add(way, "iam:SimulatePrincipalPolicy", principals);
        self.add(way, "iam:GetRole", [role]);
        let hints = self.plan.preflight.clone().unwrap_or_default();
        let uses_ecs = self.plan.runners.iter().any(|runner| matches!(runner.source, RunnerSource::Ecs { .. }));
        if uses_ecs {
            self.add(way, "ecs:DescribeTaskDefinition", ["*".into()]);
        }
        let asks = |store| uses_ecs || hints.secrets.iter().any(|place| place.store == store);
        for (store, action) in
            [(SecretStore::SecretsManager, "secretsmanager:ListSecrets"), (SecretStore::Ssm, "ssm:DescribeParameters")]
        {
            if asks(store) {
                self.add(way, action, ["*".into()]);
            }
        }
        let groups = &hints.log_groups;
        let mut arns: BTreeSet<_> = groups.iter().map(|group| self.place.log_group(group)).collect();
        if arns.is_empty() && uses_ecs {
            arns.insert(self.place.log_group("*"));
        }
        if !arns.is_empty() {
            self.add_if(way, "logs:FilterLogEvents", arns, Vec::new());
        }
    }

    fn step(&mut self, step: &Step) {
        match &step.kind {
            Kind::DnsLowerTtl { .. } | Kind::DnsSwitch { .. } | Kind::DnsRaiseTtl { .. } => self.records(&step.kind),
            Kind::DnsDrain { .. } => {}
            Kind::EcsScale { cluster, service, .. } => {
                self.service(cluster, service);
                let arn = self.service_arn(cluster, service);
                self.add(Way::Forward, "ecs:UpdateService", [arn.clone()]);
                self.add(Way::Back, "ecs:UpdateService", [arn]);
            }
            Kind::EcsRunTask(spec) => self.task(spec),
            Kind::EcsWaitStable { cluster, services } => {
                services.iter().for_each(|service| self.service(cluster, service));
                self.tasks_of(cluster);
                // No resource types: which target groups the services have is not known before.
                self.add(Way::Watch, "elasticloadbalancing:DescribeTargetHealth", ["*".into()]);
            }
            Kind::Rds(kind) => self.rds(kind),
            // Nothing of AWS.
            Kind::Manual { .. }
            | Kind::CheckSuite { .. }
            | Kind::HerokuMaintenance { .. }
            | Kind::HerokuScale { .. }
            | Kind::PostgresWaitCaughtUp
            | Kind::PostgresFreeze { .. }
            | Kind::PostgresOpen { .. }
            | Kind::PostgresSyncSequences { .. }
            | Kind::PostgresCompare { .. }
            | Kind::Watch { .. }
            | Kind::Exec { .. } => {}
        }
    }

    /// One batch may hold all records of a step in a zone, and Route 53 holds each condition against the whole batch: so
    /// names, types and actions of a zone stand together.
    fn records(&mut self, kind: &Kind) {
        let of_kind = kind.records();
        let records: Vec<_> = self.plan.records.iter().filter(|record| of_kind.contains(&record.id)).collect();
        let zones: BTreeSet<_> = records.iter().map(|record| record.zone_id.as_str()).collect();
        for zone in zones {
            let here: Vec<_> = records.iter().filter(|record| record.zone_id == zone).copied().collect();
            let conditions = conditions(kind, &here);
            for way in [Way::Forward, Way::Back] {
                let zone = BTreeSet::from([self.place.zone(zone)]);
                self.add_if(way, "route53:ChangeResourceRecordSets", zone, conditions.clone());
            }
        }
        // A change has an id that Route 53 chooses.
        let change = self.place.global("route53", "", "change/*");
        self.add(Way::Watch, "route53:GetChange", [change]);
    }

    /// Listing tasks has no resource type that fits: only the cluster can be asked for.
    fn tasks_of(&mut self, cluster: &str) {
        let in_cluster = vec![self.place.in_cluster(cluster)];
        self.add_if(Way::Watch, "ecs:ListTasks", BTreeSet::from(["*".into()]), in_cluster);
        let tasks = self.place.arn("ecs", &format!("task/{}/*", short(cluster)));
        self.add(Way::Watch, "ecs:DescribeTasks", [tasks]);
    }

    fn task(&mut self, spec: &TaskSpec) {
        self.tasks_of(&spec.cluster);
        self.add(Way::Watch, "ecs:DescribeTaskDefinition", ["*".into()]);
        let group = spec.log_group.as_deref().unwrap_or("*");
        let streams = self.place.arn("logs", &format!("log-group:{group}:log-stream:*"));
        self.add(Way::Watch, "logs:GetLogEvents", [streams]);
        let back = spec.undo_command.is_some().then_some(Way::Back);
        for way in [Some(Way::Forward), back].into_iter().flatten() {
            let in_cluster = vec![self.place.in_cluster(&spec.cluster)];
            let definition = self.definition(&spec.definition);
            self.add_if(way, "ecs:RunTask", BTreeSet::from([definition]), in_cluster);
            // A task takes its roles along.
            let to_ecs = condition("StringEquals", "iam:PassedToService", ["ecs-tasks.amazonaws.com".into()]);
            let roles = self.roles();
            self.add_if(way, "iam:PassRole", roles, vec![to_ecs]);
            let tasks = self.place.arn("ecs", &format!("task/{}/*", short(&spec.cluster)));
            self.add(way, "ecs:StopTask", [tasks]);
        }
    }

    fn definition(&self, name: &str) -> String {
        if name.starts_with("arn:") {
            return name.to_owned();
        }
        let revision = if name.contains(':') { "" } else { ":*" };
        self.place.arn("ecs", &format!("task-definition/{name}{revision}"))
    }

    fn roles(&self) -> BTreeSet<String> {
        let named = self.plan.preflight.iter().flat_map(|hints| &hints.task_roles);
        let arn = |name: &str| self.place.global("iam", self.place.account, &format!("role/{name}"));
        let roles: BTreeSet<_> = named.map(|name| arn(name)).collect();
        if roles.is_empty() { BTreeSet::from([arn("*")]) } else { roles }
    }

    fn rds(&mut self, kind: &RdsKind) {
        match kind {
            RdsKind::RestoreSnapshot { instance, snapshot, target, .. } => {
                let (from, to) = (self.place.rds("db", instance), self.place.rds("db", &target.instance));
                let snapshots = self.place.rds("snapshot", snapshot.as_deref().unwrap_or("*"));
                self.add(Way::Watch, "rds:DescribeDBInstances", [from.clone(), to.clone()]);
                self.add(Way::Watch, "rds:DescribeDBSnapshots", [from, self.place.rds("snapshot", "*")]);
                let groups = [
                    // The option group of the snapshot goes along, whatever it is called.
                    self.place.rds("og", "*"),
                    self.place.rds("pg", target.parameter_group.as_deref().unwrap_or("*")),
                    self.place.rds("subgrp", target.subnet_group.as_deref().unwrap_or("*")),
                ];
                let resources = groups.into_iter().chain([to.clone(), snapshots]).collect();
                self.add_if(Way::Forward, "rds:RestoreDBInstanceFromDBSnapshot", resources, Vec::new());
                self.add(Way::Forward, "rds:AddTagsToResource", [to.clone()]);
                self.add(Way::Back, "rds:DeleteDBInstance", [to]);
            }
            RdsKind::Snapshot { instance, prefix } => {
                let (of, called) = (self.place.rds("db", instance), self.place.rds("snapshot", &format!("{prefix}-*")));
                self.add(Way::Watch, "rds:DescribeDBInstances", [of.clone()]);
                self.add(Way::Watch, "rds:DescribeDBSnapshots", [of.clone(), self.place.rds("snapshot", "*")]);
                self.add(Way::Forward, "rds:CreateDBSnapshot", [of, called.clone()]);
                self.add(Way::Forward, "rds:AddTagsToResource", [called]);
            }
            RdsKind::PromoteReplica { replica, .. } => {
                let arn = self.place.rds("db", replica);
                self.add(Way::Watch, "rds:DescribeDBInstances", [arn.clone()]);
                self.add(Way::Watch, "cloudwatch:GetMetricData", ["*".into()]);
                self.add(Way::Forward, "rds:PromoteReadReplica", [arn]);
            }
            RdsKind::Switchover { deployment, .. } => {
                let id = if deployment.starts_with("bgd-") { deployment } else { "*" };
                let (deployments, members) = (self.place.rds("deployment", id), self.place.rds("db", "*"));
                self.add(Way::Watch, "rds:DescribeBlueGreenDeployments", [self.place.rds("deployment", "*")]);
                self.add(Way::Watch, "rds:DescribeDBInstances", [members.clone()]);
                // RDS renames and promotes the members in the caller's name, under names of its own.
                self.add(Way::Forward, "rds:SwitchoverBlueGreenDeployment", [deployments]);
                self.add(Way::Forward, "rds:ModifyDBInstance", [members.clone()]);
                self.add(Way::Forward, "rds:PromoteReadReplica", [members]);
            }
        }
    }
}

/// Route 53's condition keys for what a kind of step does to these records, forward and back.
fn conditions(kind: &Kind, records: &[&Record]) -> Vec<Condition> {
    let mut actions = BTreeSet::new();
    let mut types = BTreeSet::new();
    for record in records {
        let kinds = match kind {
            Kind::DnsSwitch { .. } => vec![record.old.kind, record.new.kind],
            Kind::DnsRaiseTtl { .. } => vec![record.new.kind],
            _ => vec![record.old.kind],
        };
        let staged = matches!(kind, Kind::DnsSwitch { stages, .. } if !stages.is_empty());
        let another = kinds.windows(2).any(|pair| pair[0] != pair[1]);
        if staged || another {
            actions.extend(["CREATE", "DELETE"]);
        }
        if staged || !another {
            actions.insert("UPSERT");
        }
        types.extend(kinds.into_iter().map(|kind| kind.to_string()));
    }
    let list = |key, values| Condition { operator: "ForAllValues:StringEquals", key, values };
    vec![
        list(
            "route53:ChangeResourceRecordSetsNormalizedRecordNames",
            records.iter().map(|record| normalized(record.name())).collect(),
        ),
        list("route53:ChangeResourceRecordSetsRecordTypes", types),
        list("route53:ChangeResourceRecordSetsActions", actions.into_iter().map(str::to_owned).collect()),
    ]
}

/// A name as the condition key has it: lower-case, without the last dot, everything unusual escaped in octal.
fn normalized(name: &str) -> String {
    let usual = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.\\".contains(&byte);
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let each =
        name.bytes().map(|byte| if usual(byte) { char::from(byte).to_string() } else { format!("\\{byte:03o}") });
    each.collect()
}
