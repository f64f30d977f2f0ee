//! What people are told of everything that stands against the run: what holds it, and what does not but must be known.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    conditions::active,
    event::Trouble,
    finding::Standing,
    guardrail::VerdictKind,
    hold::{Hold, HoldKind, holds, turn},
    state::State,
};
use crate::plan::{EnvironmentKind, Guardrail, Plan};

/// The source that tells when the AWS credentials end.
pub(super) const CREDENTIALS: &str = "aws";

/// How the reason of a call begins that AWS turned away because the credentials are none any more: its error codes, and
/// what is said where their provider gave none.
const ENDED: [&str; 6] = [
    "no credentials",
    "ExpiredToken",
    "RequestExpired",
    "InvalidClientTokenId",
    "MissingAuthenticationToken",
    "UnrecognizedClientException",
];

/// Everything that nobody may overlook, gravest first. Calls that fail for one cause, credentials that have ended, are one
/// alarm with its remedy; what else they would raise is named in it.
#[must_use]
pub fn alarms(plan: &Plan, state: &State, now: Timestamp) -> Vec<Hold> {
    let lesser = |hold: &Hold| matches!(hold.kind, HoldKind::Expiry | HoldKind::Preview | HoldKind::Source);
    let (lesser, grave): (Vec<_>, Vec<_>) = holds(plan, state, now).into_iter().partition(lesser);
    let ended = credentials(plan, state);
    let named = |hold: &Hold| match hold.kind {
        HoldKind::Expiry => hold.source.as_deref() == Some(CREDENTIALS),
        _ => trouble_of(state, hold).is_some_and(has_ended),
    };
    let lesser = lesser.into_iter().filter(|hold| ended.is_none() || !named(hold));
    grave.into_iter().chain(ended.clone()).chain(changed(state)).chain(lesser).chain(blind(plan, state)).collect()
}

fn trouble_of<'a>(state: &'a State, hold: &Hold) -> Option<&'a Trouble> {
    match hold.kind {
        HoldKind::Source => state.troubles.get(hold.source.as_ref()?),
        HoldKind::Preview => state.step(hold.step.as_ref()?)?.trouble.as_ref(),
        _ => None,
    }
}

fn has_ended(trouble: &Trouble) -> bool {
    ENDED.iter().any(|code| trouble.reason.starts_with(code))
}

/// The AWS credentials have ended: what gives new ones, and which calls fail until then.
fn credentials(plan: &Plan, state: &State) -> Option<Hold> {
    let previews = state.steps.iter().filter(|step| turn(plan, state, step));
    let all = state.troubles.values().chain(previews.filter_map(|step| step.trouble.as_ref()));
    let failing: Vec<_> = all.filter(|trouble| has_ended(trouble)).collect();
    let reason = &failing.first()?.reason;
    let calls: BTreeSet<_> = failing.iter().map(|trouble| trouble.call.as_str()).collect();
    let calls = calls.into_iter().collect::<Vec<_>>().join(", ");
    let code = reason.split(':').next().unwrap_or(reason);
    let text = format!("ended ({code}): {}; until then fail: {calls}", remedy(plan, state, reason));
    Some(Hold::new(HoldKind::Credentials, text))
}

/// What gives new ones. Where their provider has none, somebody must log in there, and the engine asks it again by itself;
/// what was given to the engine once and is refused now, only another engine can be given anew.
fn remedy(plan: &Plan, state: &State, reason: &str) -> String {
    let login = match &plan.aws.profile {
        Some(profile) => format!("`aws sso login --profile {profile}`"),
        None => "`aws sso login`".to_owned(),
    };
    let session = state.session.as_ref();
    let engine = session.and_then(|session| Some((&session.id, session.engine.as_ref()?.0)));
    match engine {
        _ if plan.environment.kind == EnvironmentKind::Sandbox => {
            format!("in a real night {login}, or an engine with new keys")
        }
        Some((id, pid)) if !reason.starts_with("no credentials") => {
            format!("q, and in a shell with new keys `kill {pid}; cutover join {id} --role driver`")
        }
        _ => format!("{login}, or whatever they come from, and they are taken by themselves"),
    }
}

/// What must stay as the session's first look saw it, and has not: a `DATABASE_URL` that fails over takes the writes along.
fn changed(state: &State) -> impl Iterator<Item = Hold> {
    let changed =
        |finding: &&super::Finding| !finding.fingerprints.is_empty() && finding.standing == Standing::ActionRequired;
    state.findings.iter().filter(changed).map(|finding| {
        let remedy = finding.remedy.as_ref().map_or_else(String::new, |remedy| format!(": {remedy}"));
        Hold::new(HoldKind::Changed, format!("{}{remedy}", finding.reason))
    })
}

/// Guardrails that cannot tell, all in one.
fn blind(plan: &Plan, state: &State) -> Option<Hold> {
    let cannot_tell = |guardrail: &&Guardrail| {
        let verdict = state.verdicts.get(&guardrail.id).map(|verdict| verdict.kind);
        active(state, guardrail) && verdict == Some(VerdictKind::Blind)
    };
    let names: Vec<_> = plan.guardrails.iter().filter(cannot_tell).map(|g| g.title.as_str()).collect();
    let text = format!("no fresh data for {}: not green", names.join(", "));
    (!names.is_empty()).then(|| Hold::new(HoldKind::Blind, text))
}
