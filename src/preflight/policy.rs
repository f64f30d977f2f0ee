//! A policy as IAM takes it, written from the plan's needs.
//!
//! Source: IAM User Guide, "IAM JSON policy elements reference" and "IAM and AWS STS quotas".

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::needs::{Condition, Need, Way, needs};
use crate::plan::Plan;

/// Characters of a managed policy, white space not counted; an inline policy of a role may have 10,240.
const MANAGED_LIMIT: usize = 6144;

/// Where a session's journal is in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalPlace {
    /// The bucket.
    pub bucket: String,
    /// Keys begin with it; empty: the whole bucket.
    pub prefix: String,
}

impl JournalPlace {
    /// Reads `s3://BUCKET/PREFIX`. None: it is nothing of the kind.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let (bucket, prefix) = url.strip_prefix("s3://")?.split_once('/').unwrap_or((url.strip_prefix("s3://")?, ""));
        let prefix = prefix.trim_matches('/');
        let name = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        let ok = !bucket.is_empty() && bucket.chars().all(name) && !prefix.contains(['*', '?', '"']);
        ok.then(|| Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    fn statements(&self, partition: &str, writes: bool) -> [Statement; 2] {
        let bucket = format!("arn:{partition}:s3:::{}", self.bucket);
        let within = if self.prefix.is_empty() { "*".to_owned() } else { format!("{}/*", self.prefix) };
        let objects = if writes { BTreeSet::from(["s3:GetObject", "s3:PutObject"]) } else { ["s3:GetObject"].into() };
        let listed = Condition { operator: "StringLike", key: "s3:prefix", values: [within.clone()].into() };
        [
            Statement::new(objects, [format!("{bucket}/{within}")].into(), Vec::new()),
            Statement::new(["s3:ListBucket"].into(), [bucket].into(), vec![listed]),
        ]
    }
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Statement {
    actions: BTreeSet<&'static str>,
    resources: BTreeSet<String>,
    conditions: Vec<Condition>,
}

impl Statement {
    const fn new(actions: BTreeSet<&'static str>, resources: BTreeSet<String>, conditions: Vec<Condition>) -> Self {
        Self { actions, resources, conditions }
    }

    fn json(&self, sid: &str) -> Value {
        let mut statement =
            json!({ "Sid": sid, "Effect": "Allow", "Action": self.actions, "Resource": self.resources });
        let mut conditions = Map::new();
        for Condition { operator, key, values } in &self.conditions {
            conditions.entry(*operator).or_insert_with(|| json!({}))[*key] = json!(values);
        }
        if !conditions.is_empty() {
            statement["Condition"] = Value::Object(conditions);
        }
        statement
    }

    fn service(&self) -> &'static str {
        self.actions.first().map_or("", |action| service(action))
    }

    /// Whether it grants everything that the other grants.
    fn covers(&self, other: &Self) -> bool {
        self.actions.is_superset(&other.actions)
            && other.resources.iter().all(|arn| self.resources.iter().any(|pattern| within(pattern, arn)))
            && conditions_cover(&self.conditions, &other.conditions)
    }

    /// Without what it says twice.
    fn pruned(mut self) -> Self {
        let all = self.resources.clone();
        self.resources.retain(|arn| !all.iter().any(|pattern| pattern != arn && within(pattern, arn)));
        self
    }
}

fn service(action: &'static str) -> &'static str {
    action.split_once(':').map_or("", |(service, _)| service)
}

/// Whether an ARN is one of those that a pattern names. The only star of ours stands at the end.
fn within(pattern: &str, arn: &str) -> bool {
    pattern == arn || pattern.strip_suffix('*').is_some_and(|begin| arn.starts_with(begin))
}

/// Ours all list what is allowed: the longer list allows more.
fn conditions_cover(wide: &[Condition], narrow: &[Condition]) -> bool {
    wide.iter().all(|wide| {
        let same = |narrow: &&Condition| narrow.operator == wide.operator && narrow.key == wide.key;
        narrow.iter().find(same).is_some_and(|narrow| wide.values.is_superset(&narrow.values))
    })
}

/// A policy document, and what is to be said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// What IAM takes.
    pub document: Value,
    /// For whom it is meant to be small: what would make it smaller, and its size.
    pub remarks: Vec<String>,
}

/// What whoever starts the engine needs: to watch, to look before the window, to go forward, and to go back.
#[must_use]
pub fn driver(plan: &Plan, journal: Option<&JournalPlace>) -> Policy {
    let needs = needs(plan);
    let mut sections = Vec::new();
    let mut granted: Vec<Statement> = Vec::new();
    for (way, name) in
        [(Way::Watch, "Watch"), (Way::Preflight, "Preflight"), (Way::Forward, "Forward"), (Way::Back, "Back")]
    {
        // What going forward may do, going back may do as well: it stands there once.
        let of_way: Vec<_> = needs.iter().filter(|need| need.way == way).collect();
        let mut fresh = statements(&of_way);
        fresh.retain(|statement| !granted.iter().any(|known| known.covers(statement)));
        granted.extend(fresh.iter().cloned());
        sections.push((name, fresh));
    }
    if let Some(journal) = journal {
        sections.push(("Journal", journal.statements(partition(plan), true).into()));
    }
    document(plan, sections, true)
}

/// What a person needs who only looks: what the watches read, and a journal in S3. Attaching to an engine on the same
/// machine needs nothing of AWS.
#[must_use]
pub fn viewer(plan: &Plan, journal: Option<&JournalPlace>) -> Policy {
    let needs = needs(plan);
    let watch: Vec<_> = needs.iter().filter(|need| need.way == Way::Watch).collect();
    let mut sections = vec![("Watch", statements(&watch))];
    if let Some(journal) = journal {
        sections.push(("Journal", journal.statements(partition(plan), false).into()));
    }
    document(plan, sections, false)
}

fn partition(plan: &Plan) -> &'static str {
    match plan.aws.region.as_str() {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// Needs of a service with the same resources share a statement, then statements with the same actions do: nothing is
/// granted that was not needed, and nothing twice.
fn statements(needs: &[&Need]) -> Vec<Statement> {
    let mut by_resource: Vec<Statement> = Vec::new();
    for need in needs {
        let same = |known: &&mut Statement| {
            known.service() == service(need.action)
                && known.resources == need.resources
                && known.conditions == need.conditions
        };
        match by_resource.iter_mut().find(same) {
            Some(known) => drop(known.actions.insert(need.action)),
            None => {
                by_resource.push(Statement::new([need.action].into(), need.resources.clone(), need.conditions.clone()))
            }
        }
    }
    let mut merged: Vec<Statement> = Vec::new();
    for statement in by_resource {
        let same =
            |known: &&mut Statement| known.actions == statement.actions && known.conditions == statement.conditions;
        match merged.iter_mut().find(same) {
            Some(known) => known.resources.extend(statement.resources),
            None => merged.push(statement),
        }
    }
    let all: Vec<_> = merged.into_iter().map(Statement::pruned).collect();
    let needless = |at: usize| all.iter().enumerate().any(|(other, wide)| other != at && wide.covers(&all[at]));
    all.iter().enumerate().filter(|(at, _)| !needless(*at)).map(|(_, statement)| statement.clone()).collect()
}

fn document(plan: &Plan, sections: Vec<(&str, Vec<Statement>)>, acts: bool) -> Policy {
    let mut all = Vec::new();
    for (name, statements) in sections {
        let mut seen: Vec<&str> = Vec::new();
        for statement in &statements {
            let service = statement.service();
            seen.push(service);
            let number = seen.iter().filter(|known| **known == service).count();
            let number = if number > 1 { number.to_string() } else { String::new() };
            all.push(statement.json(&format!("{name}{}{number}", capital(service))));
        }
    }
    let document = json!({ "Version": "2012-10-17", "Statement": all });
    let remarks = remarks(plan, &document, acts);
    Policy { document, remarks }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

fn remarks(plan: &Plan, document: &Value, acts: bool) -> Vec<String> {
    let text = document.to_string();
    let hints = plan.preflight.clone().unwrap_or_default();
    let mut remarks = Vec::new();
    if plan.aws.account.is_none() && text.contains(":*:") {
        remarks.push("the plan names no account, so its ARNs say `*`: add `aws.account`".to_owned());
    }
    if acts && text.contains("iam:PassRole") && hints.task_roles.is_empty() {
        remarks.push("any role may be handed to ECS: name those of the tasks in `preflight.task_roles`".to_owned());
    }
    if acts && text.contains("logs:FilterLogEvents") && hints.log_groups.is_empty() {
        remarks.push("all log groups may be read: name yours in `preflight.log_groups`".to_owned());
    }
    // JSON of the document has no white space but inside of values, which have none.
    let size = text.chars().count();
    if size > MANAGED_LIMIT {
        remarks.push(format!(
            "{size} characters: a managed policy takes {MANAGED_LIMIT}, an inline policy of a role 10240"
        ));
    }
    remarks
}
