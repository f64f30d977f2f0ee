//! Who we are, what we may do, and for how long.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Answer, Facts, finding, passed, read, unread, wanting};
use crate::{
    plan::{Plan, Side},
    preflight::{facts::Permission, needs::Way},
    run::{Finding, Needed, Standing, State, Target, needed, side_word},
    world::Caller,
};

pub(super) fn judge(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    let identity = read(&facts.caller, "identity", "AWS identity", |caller| identity(plan, caller));
    let permissions = facts.permissions.iter().map(permission);
    [identity].into_iter().chain(permissions).chain(lasting(plan, facts)).collect()
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

/// Credentials and certificates must outlast the window, and the way back from its very end.
fn lasting(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    // A session that has not begun begins now.
    let needed = needed(plan, &State::default(), facts.begun.unwrap_or(facts.at));
    let mut all = vec![lasts(&needed, &facts.credentials_until, "credentials", "AWS credentials last", LOG_IN)];
    all.extend(facts.heroku_until.iter().map(|until| {
        lasts(
            &needed,
            until,
            "heroku-credentials",
            "Heroku credentials last",
            "log in anew (`heroku login`) before the engine starts",
        )
    }));
    all.extend(certificates(plan, facts).into_iter().map(|((side, host), until)| {
        let (label, word) = (&plan.sides.get(side).label, side_word(side));
        let (id, title) = (format!("certificate:{word}:{host}"), format!("Certificates of {host} on {label} last"));
        lasts(
            &needed,
            &Ok(Some(until)),
            &id,
            &title,
            "renew it before the window: once DNS has left nobody may be able to",
        )
    }));
    all
}

const LOG_IN: &str = "log in anew, or take a role with longer sessions, before the engine starts";

/// The first end of what a host shows on a side, as the checks were shown it.
fn certificates<'a>(plan: &'a Plan, facts: &Facts) -> BTreeMap<(Side, &'a str), Timestamp> {
    let mut first = BTreeMap::new();
    for run in &facts.checks {
        let side = if run.target == Target::New { Side::New } else { Side::Old };
        let check = plan.checks.iter().find(|check| check.id == run.check);
        if let Some((check, until)) = check.zip(run.certificate_until) {
            let known = first.entry((side, check.host())).or_insert(until);
            *known = until.min(*known);
        }
    }
    first
}

fn lasts(needed: &Needed, until: &Answer<Option<Timestamp>>, id: &str, title: &str, remedy: &str) -> Finding {
    let wanted = format!("window and way back end by {}", minute(needed.until));
    match until {
        Err(trouble) => unread(id, title, trouble),
        Ok(None) => passed(id, title, "they name no end: keys that nobody refreshes, or long-lived ones"),
        Ok(Some(until)) if needed.met(Some(*until)) => passed(id, title, format!("until {}; {wanted}", minute(*until))),
        Ok(Some(until)) => {
            let end = minute(*until);
            wanting(
                id,
                title,
                format!("they expire at {end}, before the window and the way back are over ({wanted})"),
                remedy,
            )
        }
    }
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%MZ").to_string()
}
