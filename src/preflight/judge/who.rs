//! Who we are, what we may do, and for how long.

use std::time::Duration;

use jiff::Timestamp;

use super::{Facts, finding, passed, read, unread, wanting};
use crate::{
    plan::{Class, Kind, Plan},
    preflight::{facts::Permission, needs::Way},
    run::{Finding, Standing},
    world::Caller,
};

pub(super) fn judge(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    let identity = read(&facts.caller, "identity", "AWS identity", |caller| identity(plan, caller));
    let permissions = facts.permissions.iter().map(permission);
    [identity].into_iter().chain(permissions).chain([credentials(plan, facts)]).collect()
}

fn identity(plan: &Plan, caller: &Caller) -> Finding {
    let Caller { account, arn } = caller;
    let (id, title) = ("identity", "AWS identity");
    match &plan.aws.account {
        Some(wanted) if wanted != account => wanting(
            id,
            title,
            format!("{arn} belongs to account {account}, the plan wants {wanted}"),
            "take the profile or the keys of the plan's account",
        ),
        Some(_) => passed(id, title, format!("{arn}, of the plan's account")),
        None => passed(id, title, format!("{arn}; the plan names no account")),
    }
}

fn permission(permission: &Permission) -> Finding {
    let Permission { action, uses, decisions } = permission;
    let (id, title) = (format!("permission:{action}"), format!("Permission {action}"));
    let ways = ways(uses);
    let decisions = match decisions {
        Ok(decisions) => decisions,
        Err(trouble) => {
            let reason = format!("nobody can say whether it is allowed: {}: {}", trouble.call, trouble.reason);
            let remedy = "allow iam:SimulatePrincipalPolicy, or compare the policy with `cutover iam`";
            return Finding { remedy: Some(remedy.into()), ..finding(id, title, Standing::Unknown, reason) };
        }
    };
    match decisions.iter().find(|decision| !decision.allowed) {
        Some(denied) => wanting(
            id,
            title,
            format!("{action} is {} on {}; needed {ways}", denied.word, denied.resource),
            format!("allow {action}: `cutover iam` writes the policy"),
        ),
        None => passed(id, title, format!("allowed, {ways}")),
    }
}

/// `to go forward (step `restore`) and to roll back (step `restore`)`.
fn ways(uses: &[(Way, String)]) -> String {
    let of =
        |way: Way| uses.iter().find(|(known, _)| *known == way).map(|(way, why)| format!("{} ({why})", way.word()));
    let told: Vec<_> = [Way::Watch, Way::Preflight, Way::Forward, Way::Back].into_iter().filter_map(of).collect();
    told.join(" and ")
}

/// Credentials must outlast the window, and the way back from its very end.
fn credentials(plan: &Plan, facts: &Facts) -> Finding {
    let (id, title) = ("credentials", "AWS credentials last");
    let until = match &facts.credentials_until {
        Ok(until) => until,
        Err(trouble) => return unread(id, title, trouble),
    };
    let Some(until) = until else {
        return passed(id, title, "they name no end: keys that nobody refreshes, or long-lived ones");
    };
    let back = way_back(plan);
    let window = plan.window.unwrap_or_else(|| plan.steps.iter().map(|step| step.expected).sum());
    // The window counts in session time, which outside of a sandbox is the wall's.
    let spent = facts
        .begun
        .map_or(Duration::ZERO, |begun| Duration::try_from(facts.at.duration_since(begun)).unwrap_or(Duration::ZERO));
    let wanted = facts.wall.checked_add(window.saturating_sub(spent) + back).unwrap_or(Timestamp::MAX);
    let (until_text, wanted_text) = (minute(*until), minute(wanted));
    if *until >= wanted {
        return passed(id, title, format!("until {until_text}; window and way back end by {wanted_text}"));
    }
    wanting(
        id,
        title,
        format!("they expire at {until_text}, before the window and the way back are over"),
        "log in anew, or take a role with longer sessions, before the engine starts",
    )
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%MZ").to_string()
}

/// As long as going back from the end may take: what was changed forward, once more.
fn way_back(plan: &Plan) -> Duration {
    let undone = |step: &&crate::plan::Step| {
        step.kind.class() != Class::ReadOnly && !step.kind.is_final() && !matches!(step.kind, Kind::Manual { .. })
    };
    let steps = plan.steps.iter().take_while(|step| !step.point_of_no_return);
    steps.filter(undone).map(|step| step.expected).sum()
}
