//! Who may attach beside the engine's own user, and who is told what happens.

use serde::{Deserialize, Serialize};

/// In a list of [`Access`]: every member of the group.
pub const EVERYONE: &str = "*";

/// Which other users of the machine may attach, and to which seats. The engine's own user and root always may: the
/// session's files are theirs. Names are login names of the machine; [`EVERYONE`] is every member of the group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The group that the socket belongs to: whoever is not in it cannot even reach the socket.
    pub group: String,
    /// Who may drive.
    pub drivers: Vec<String>,
    /// Who may confirm two-person gates.
    pub confirmers: Vec<String>,
    /// Who may look; drivers and confirmers may anyway.
    pub viewers: Vec<String>,
}

impl Access {
    /// Whether this login may take the driver's seat.
    #[must_use]
    pub fn may_drive(&self, login: &str) -> bool {
        named(&self.drivers, login)
    }

    /// Whether this login may confirm two-person gates.
    #[must_use]
    pub fn may_confirm(&self, login: &str) -> bool {
        named(&self.confirmers, login)
    }

    /// Whether this login may attach at all.
    #[must_use]
    pub fn may_enter(&self, login: &str) -> bool {
        named(&self.viewers, login) || self.may_drive(login) || self.may_confirm(login)
    }
}

fn named(list: &[String], login: &str) -> bool {
    list.iter().any(|name| name == login || name == EVERYONE)
}

/// Whom to tell what happens: one webhook. Its URL is a secret, so the plan holds only the name of the variable that
/// holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// How it is called in troubles and tests (a slug, unique in the plan).
    pub id: String,
    /// Name of the environment variable that holds the URL.
    pub url_env: String,
    /// What is posted.
    pub format: NotifyFormat,
    /// What is told.
    pub events: Vec<Topic>,
    /// The text, with the fields of [`NOTIFY_FIELDS`] in braces.
    pub template: String,
}

/// What is posted to a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotifyFormat {
    /// `{"text": "..."}`, as Slack's incoming webhooks and everything compatible take it.
    Slack,
    /// An object with every field of [`NOTIFY_FIELDS`], for programs.
    Json,
}

/// What people may want to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// A step began, ended, failed, is in doubt or was skipped.
    Steps,
    /// A two-person gate waits for its second person, or closed.
    Gates,
    /// A person held or released the run.
    Holds,
    /// A guardrail's verdict changed.
    Breaches,
    /// A rollback began or ended.
    Rollback,
    /// Who drives changed; the engine was started again.
    People,
}

impl Topic {
    /// Every topic with the word for it in a plan.
    pub const ALL: [(&'static str, Self); 6] = [
        ("steps", Self::Steps),
        ("gates", Self::Gates),
        ("holds", Self::Holds),
        ("breaches", Self::Breaches),
        ("rollback", Self::Rollback),
        ("people", Self::People),
    ];
}

/// What a template may name: plan, environment, session, topic, what happened, who caused it, when (RFC 3339).
pub const NOTIFY_FIELDS: [&str; 7] = ["plan", "environment", "session", "topic", "text", "by", "time"];

/// The text that is sent unless the plan has another.
pub const NOTIFY_TEMPLATE: &str = "[{plan} {environment}] {text} ({by})";
