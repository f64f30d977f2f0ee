//! A one-off ECS task as plain data: exactly what would be asked of `RunTask`.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::change::Row;
use crate::plan::{Launch, TaskSpec};

/// A one-off task. Names of environment variables are facts of the preview; values are nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Cluster name.
    pub cluster: String,
    /// `family:revision`.
    pub definition: String,
    /// The container whose command is replaced and whose exit code decides.
    pub container: String,
    /// The image of that container.
    pub image: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Where it runs.
    pub launch: Launch,
    /// Subnet ids; empty: the definition's network mode has none.
    pub subnets: Vec<String>,
    /// Security group ids.
    pub security_groups: Vec<String>,
    /// Whether it gets a public address.
    pub public_ip: bool,
    /// Where its lines can be read.
    pub log: Option<TaskLog>,
    /// The command that puts it back.
    pub undo: Option<Vec<String>>,
    /// This task is the undo.
    pub undoing: bool,
}

/// Where the lines of a task's container go (`awslogs` driver).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLog {
    /// Log group.
    pub group: String,
    /// Stream prefix: the stream is `PREFIX/CONTAINER/TASK-ID`.
    pub prefix: String,
}

impl Task {
    /// The task that a plan asks for, in what its definition was found to hold.
    #[must_use]
    pub fn of(spec: &TaskSpec, definition: &str, (container, image): (&str, &str), log: Option<TaskLog>) -> Self {
        Self {
            cluster: spec.cluster.clone(),
            definition: definition.to_owned(),
            container: container.to_owned(),
            image: image.to_owned(),
            command: spec.command.clone(),
            launch: spec.launch,
            subnets: spec.subnets.clone(),
            security_groups: spec.security_groups.clone(),
            public_ip: spec.public_ip,
            log,
            undo: spec.undo_command.clone(),
            undoing: false,
        }
    }

    /// The task that puts it back; None without an undo command.
    #[must_use]
    pub fn reversed(&self) -> Option<Self> {
        let command = self.undo.clone()?;
        Some(Self { command, undo: Some(self.command.clone()), undoing: !self.undoing, ..self.clone() })
    }

    /// What the gate shows.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let row = |label: &str, value: String| Row::new(label.to_owned(), String::new(), value);
        let mut network = self.subnets.join(" ");
        for group in &self.security_groups {
            network = format!("{network} {group}");
        }
        let address = if self.public_ip { " with a public address" } else { "" };
        let place = match self.launch {
            Launch::Fargate => format!("{} on Fargate", self.cluster),
            Launch::Ec2 => format!("{} on its instances", self.cluster),
        };
        let mut rows = vec![
            row("run", self.command.join(" ")),
            row("task", format!("{} {}", self.definition, self.container)),
            row("image", self.image.clone()),
            row("in", place),
        ];
        if !self.subnets.is_empty() {
            rows.push(row("network", format!("{network}{address}")));
        }
        rows
    }
}

/// What ECS is told about who starts a task, made from the attempt's token: by it a task is found again whose answer was
/// lost. 32 characters, of those that `startedBy` and `clientToken` both take.
///
/// Source: Amazon ECS API reference, `RunTask`.
#[must_use]
pub fn started_by(token: &str) -> String {
    let digest = hex::encode(Sha256::digest(token.as_bytes()));
    format!("cutover-{}", &digest[..24])
}
