//! From facts to findings: pure.

mod data;
mod names;
mod runs;
mod who;

use std::collections::BTreeMap;

use super::facts::{Answer, Facts};
use crate::{
    plan::Plan,
    run::{Finding, Standing, Trouble, TroubleKind},
};

/// Everything that a look found, judged against the plan. The order is that in which a person puts things right: who
/// we are, what we may do, and then the world.
#[must_use]
pub fn judge(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    [who::judge(plan, facts), names::judge(plan, facts), data::judge(plan, facts), runs::judge(plan, facts)].concat()
}

fn finding(id: impl Into<String>, title: impl Into<String>, standing: Standing, reason: impl Into<String>) -> Finding {
    Finding {
        id: id.into(),
        title: title.into(),
        standing,
        reason: reason.into(),
        remedy: None,
        fingerprints: BTreeMap::new(),
    }
}

fn passed(id: impl Into<String>, title: impl Into<String>, reason: impl Into<String>) -> Finding {
    finding(id, title, Standing::Passed, reason)
}

fn wanting(
    id: impl Into<String>,
    title: impl Into<String>,
    reason: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    Finding { remedy: Some(remedy.into()), ..finding(id, title, Standing::ActionRequired, reason) }
}

/// What could not be read. A service that says no is something to act upon; one that does not answer leaves us in the
/// dark.
fn unread(id: impl Into<String>, title: impl Into<String>, trouble: &Trouble) -> Finding {
    let Trouble { call, reason, kind, .. } = trouble;
    let reason = format!("{call}: {reason}");
    // Some servers say no without a word.
    let denied = ["AccessDenied", "UnauthorizedOperation", "not authorized", "status 403"]
        .iter()
        .any(|word| reason.contains(word));
    let aws = !["heroku:", "postgres", "dns:", "aws:", "check"].iter().any(|begin| call.starts_with(begin));
    match kind {
        TroubleKind::Credentials if denied && aws => {
            wanting(id, title, reason, format!("allow {call}: `cutover iam` writes the policy"))
        }
        TroubleKind::Credentials => {
            wanting(id, title, reason, "renew the credentials, in the shell that starts the engine")
        }
        TroubleKind::Unexpected => wanting(id, title, reason, "put it right, or correct the plan"),
        TroubleKind::Throttled | TroubleKind::Unreachable | TroubleKind::Refused | TroubleKind::Garbled => {
            let remedy = "look again; if it stays so, see whether the service can be reached from here";
            Finding { remedy: Some(remedy.into()), ..finding(id, title, Standing::Unknown, reason) }
        }
    }
}

/// What was read, judged; or why it was not.
fn read<T>(answer: &Answer<T>, id: &str, title: &str, judge: impl FnOnce(&T) -> Finding) -> Finding {
    match answer {
        Ok(value) => judge(value),
        Err(trouble) => unread(id, title, trouble),
    }
}

/// `a, b, c and 4 more`.
fn some<T: AsRef<str>>(names: &[T]) -> String {
    const SHOWN: usize = 6;
    let shown: Vec<_> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    let more = names.len().saturating_sub(SHOWN);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}
