//! What a preflight cannot know by itself: where things are that no step names.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Silence of a log group whose service runs that a preflight finds fault with, unless the plan says otherwise.
pub(super) const LOG_SILENCE: Duration = Duration::from_secs(15 * 60);

/// Hints for the preflight and for the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preflight {
    /// Where a config var has its secret; empty: only what the task definitions name is looked at.
    pub secrets: Vec<SecretPlace>,
    /// Config vars that AWS needs no secret for.
    pub not_secrets: Vec<String>,
    /// Names of the roles that one-off tasks run with; empty: any role of the account may be handed to ECS.
    pub task_roles: Vec<String>,
    /// Log groups that must receive; empty: those that the task definitions name.
    pub log_groups: Vec<String>,
    /// A log group whose service runs and that was silent for longer does not receive.
    pub log_silence: Duration,
}

impl Default for Preflight {
    fn default() -> Self {
        Self {
            secrets: Vec::new(),
            not_secrets: Vec::new(),
            task_roles: Vec::new(),
            log_groups: Vec::new(),
            log_silence: LOG_SILENCE,
        }
    }
}

/// Where secrets are kept: the secret of a config var has the name `prefix` + the var's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SecretPlace {
    /// Which service.
    pub store: SecretStore,
    /// e.g. `acme-shop/`.
    pub prefix: String,
}

/// A service that keeps secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretStore {
    /// AWS Secrets Manager.
    SecretsManager,
    /// SSM Parameter Store.
    Ssm,
}

impl SecretStore {
    /// What people call it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::SecretsManager => "Secrets Manager",
            Self::Ssm => "SSM Parameter Store",
        }
    }
}
