//! What a preflight found, and how much of it stands against going on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Id of the finding about Heroku's newest release, whose mark is what people read.
pub const RELEASE: &str = "heroku-release";

/// One finding. Its id stays the same from look to look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `topic` or `topic:what`, e.g. `permission:ecs:UpdateService`.
    pub id: String,
    /// What was looked at, for people.
    pub title: String,
    /// How it stands.
    pub standing: Standing,
    /// What was seen, or why nothing could be.
    pub reason: String,
    /// What to do about it; None: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// What must stay as the session's first look saw it: a fingerprint by name. Empty: nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fingerprints: BTreeMap<String, String>,
}

/// How a finding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// As it should be.
    Passed,
    /// It could not be looked at: no data is not green.
    Unknown,
    /// Somebody must do something before the window.
    ActionRequired,
}

impl Standing {
    /// As people read it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Unknown => "unknown",
            Self::ActionRequired => "action required",
        }
    }
}

impl Finding {
    /// The same, when a later look could not speak of it.
    #[must_use]
    pub fn not_seen(&self) -> Self {
        let reason = "the newest look could not tell".to_owned();
        Self { standing: Standing::Unknown, reason, remedy: None, ..self.clone() }
    }

    /// A later look, held against this one: what must stay as it was, and did not, is named.
    #[must_use]
    pub fn held_against(&self, newer: &Self) -> Self {
        let newer = newer.clone();
        if self.fingerprints.is_empty() {
            return newer;
        }
        let (then, now) = (self.fingerprints.clone(), &newer.fingerprints);
        let changed = then.iter().filter(|(name, mark)| now.get(*name).is_some_and(|now| now != *mark));
        let changed = changed.map(|(name, _)| format!("{name} has another value"));
        let gone = then.keys().filter(|name| !now.contains_key(*name)).map(|name| format!("{name} is gone"));
        let added = now.keys().filter(|name| !then.contains_key(*name)).map(|name| format!("{name} is new"));
        let told: Vec<_> = changed.chain(gone).chain(added).collect();
        if now.is_empty() || told.is_empty() {
            return Self { fingerprints: then, ..newer };
        }
        if let Some(was) = then.values().next().filter(|_| self.id == RELEASE) {
            let reason = format!("{} was released; it was {was} at the session's first look", newer.reason);
            let remedy = "deploy the same on AWS, migrations too, or put it back (`heroku rollback`)";
            return Self {
                standing: Standing::ActionRequired,
                reason,
                remedy: Some(remedy.into()),
                fingerprints: then,
                ..newer
            };
        }
        let reason = format!("{} since the session's first look", told.join(", "));
        let remedy = "find out who changed it (`heroku releases`), and take it over to AWS or set it back";
        Self { standing: Standing::ActionRequired, reason, remedy: Some(remedy.into()), fingerprints: then, ..newer }
    }

    /// Whether another look at the same thing tells nothing new. What passes may do so for changing numbers.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.standing == other.standing && (self.standing == Standing::Passed || self.reason == other.reason)
    }
}

/// `31 passed, 1 action required`: how many stand how.
#[must_use]
pub fn tally<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> String {
    let mut counts = [0_usize; 3];
    for finding in findings {
        counts[finding.standing as usize] += 1;
    }
    let all = [Standing::Passed, Standing::ActionRequired, Standing::Unknown];
    let told = all.into_iter().map(|standing| (standing, counts[standing as usize]));
    let told = told.filter(|(standing, count)| *count > 0 || *standing == Standing::Passed);
    told.map(|(standing, count)| format!("{count} {}", standing.word())).collect::<Vec<_>>().join(", ")
}
