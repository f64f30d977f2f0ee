//! The whole way back as a script for bash, from what was applied and still stands: for when the cockpit cannot run.

use std::fmt::Write as _;

use super::{
    by_hand::{ByHand, by_hand, command, database_variable},
    change::Change,
    loss::ever_opened_at,
    phase::Phase,
    price::{point_passed, price},
    state::{State, StepState},
};
use crate::plan::{Database, DatabaseAddress, Plan, Side, SslMode};

/// How a person goes past the point of no return with the script.
const PAST: &str = "CUTOVER_PAST_NO_RETURN";

/// A value as a connection string takes it: in quotes, with `\\` and `'` escaped (PostgreSQL manual, 34.1.1.1). bash and
/// sed alone, for a password that is known only when the script runs.
const QUOTED: &str = r#"quoted() { printf "'%s'" "$(printf %s "$1" | sed "s/[\\']/\\\\&/g")"; }
"#;

/// A bash script with the undos of everything that stands, the last change first, each with what it puts back.
///
/// It needs nothing of this program: the AWS CLI, the Heroku CLI, psql and what `exec` steps call, with the credentials
/// of its environment. It stops at the first command that fails; its argument is the number of the undo to begin with.
#[must_use]
pub fn rollback_script(plan: &Plan, state: &State) -> String {
    let standing: Vec<_> = state.steps.iter().rev().filter(|step| step.undoable()).collect();
    let mut script = head(plan, state, standing.len());
    settings(plan, &mut script);
    for step in state.steps.iter().rev().filter(|step| !step.applied.is_empty() && !step.undoable()) {
        let _ = writeln!(script, "# `{}` has no undo: what it did stays.\n", step.id);
    }
    for (number, step) in (1..).zip(&standing) {
        if let Some(change) = Change::reversal_of(&step.applied) {
            undo(plan, number, step, &change, &mut script);
        }
    }
    let way_back = price(plan, state, None);
    let closing = if standing.is_empty() {
        "echo 'nothing was changed, or everything is undone: there is nothing to put back'\n".to_owned()
    } else if way_back.ttl.is_zero() {
        "echo 'every undo is done'\n".to_owned()
    } else {
        format!("echo 'every undo is done; caches may hold the new side for {} s more'\n", way_back.ttl.as_secs())
    };
    script + &closing
}

fn head(plan: &Plan, state: &State, undos: usize) -> String {
    let session = state.session.as_ref().map_or("", |session| session.id.as_str());
    let at = state.at.map(|at| at.to_string()).unwrap_or_default();
    let mut head = format!(
        "#!/usr/bin/env bash\n\
         # The way back of {} on {}, by hand: {undos} undos, the last change first.\n\
         # From the journal of session {session} up to event {} ({at}).\n\
         #\n\
         # Before you run it: stop the engine, or hold the run (h). It would see the world change under it.\n\
         # It stops at the first command that fails. To go on with undo N: bash THIS-SCRIPT N\n\
         set -euo pipefail\n\
         from=${{1:-1}}\n\n",
        one_line(&plan.title),
        plan.environment.name,
        state.seq,
    );
    if let Some(at) = state.opening.as_ref().map(|opening| opening.at).or_else(|| ever_opened_at(plan, state)) {
        let new = one_line(&plan.sides.new.label);
        let _ = write!(
            head,
            "# {new} was opened at {at}. What was written there since then is not brought back by what follows: it stays\n\
             # there, and is lost to whoever goes on with the old side. Keep that database until somebody has looked.\n\n"
        );
    }
    if let Some(step) = point_passed(plan, state) {
        let _ = write!(
            head,
            "# `{step}` was the point of no return. What follows puts back what can be put back, and that may do harm.\n\
             if [ \"${{{PAST}:-}}\" != yes ]; then\n  \
               echo 'the point of no return is passed: read this script, then run it with {PAST}=yes' >&2\n  \
               exit 1\n\
             fi\n\n"
        );
    }
    head
}

/// Region, profile, account and endpoints of the plan; credentials come from the environment.
fn settings(plan: &Plan, script: &mut String) {
    let aws = &plan.aws;
    let mut export = |name: &str, value: &str| {
        let _ = writeln!(script, "export {name}={}", command(&[value]));
    };
    if !aws.region.is_empty() {
        export("AWS_DEFAULT_REGION", &aws.region);
        export("AWS_REGION", &aws.region);
    }
    export("AWS_PAGER", "");
    for (name, value) in [("AWS_PROFILE", &aws.profile), ("AWS_ENDPOINT_URL", &aws.endpoint)] {
        if let Some(value) = value {
            export(name, value);
        }
    }
    if let Some(api) = plan.heroku.as_ref().and_then(|heroku| heroku.api.as_ref()) {
        export("HEROKU_HOST", api);
    }
    if plan.databases.is_some() {
        script.push_str(QUOTED);
    }
    for side in [Side::Old, Side::New] {
        if let Some(databases) = &plan.databases {
            let _ = writeln!(script, "{}={}", database_variable(side), connection(databases.get(side)));
        }
    }
    if aws.endpoint.is_some() {
        // Not every service of the AWS CLI heeds the variable: `aws rds` goes to AWS all the same.
        script.push_str("aws() { command aws --endpoint-url \"$AWS_ENDPOINT_URL\" \"$@\"; }\n");
    }
    if let Some(account) = &aws.account {
        let _ = writeln!(
            script,
            "account=$(aws sts get-caller-identity --query Account --output text)\n\
             [ \"$account\" = {account} ] || {{ echo \"these credentials are of account $account, not {account}\" >&2; exit 1; }}"
        );
    }
    script.push('\n');
}

/// How psql reaches a database, as one word of bash; a password comes from the environment when the script runs.
fn connection(database: &Database) -> String {
    let sslmode = match database.sslmode {
        SslMode::Disable => "disable",
        SslMode::Require => "require",
        SslMode::VerifyFull => "verify-full",
    };
    match &database.address {
        DatabaseAddress::Url { env } => format!("\"${env}\""),
        DatabaseAddress::Parts { host, port, name, user, password_env } => {
            let quoted = |value: &str| format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"));
            let mut parts = format!(
                "host={} port={port} dbname={} user={} sslmode={sslmode}",
                quoted(host),
                quoted(name),
                quoted(user)
            );
            if let Some(file) = &database.ca_file {
                let _ = write!(parts, " sslrootcert={}", quoted(&file.display().to_string()));
            }
            let password =
                password_env.as_ref().map(|env| format!("\" password=$(quoted \"${env}\")\"")).unwrap_or_default();
            format!("{}{password}", command(&[parts]))
        }
    }
}

fn undo(plan: &Plan, number: usize, step: &StepState, change: &Change, script: &mut String) {
    let title = plan.step(&step.id).map_or(step.id.0.as_str(), |step| step.title.as_str());
    let in_flight = step.attempt().is_some_and(|attempt| attempt.in_flight);
    let doubted = step.phase == Phase::InDoubt || (in_flight && step.attempt().is_some_and(super::Attempt::acts));
    let _ = writeln!(script, "# --- undo {number}: {} (`{}`, {})", one_line(title), step.id, step.phase.word());
    for row in change.rows() {
        let label = if row.label.is_empty() { "  and" } else { &row.label };
        let _ = writeln!(script, "#     {}: {} -> {}", one_line(label), shown(&row.before), shown(&row.after));
    }
    if matches!(change, Change::Sequences { .. }) {
        script.push_str(
            "#     One that has given out values since then stays: set back, it would give them out again.\n",
        );
    }
    if doubted {
        let reason = step.reason.as_deref().unwrap_or("its answer was lost");
        let _ = writeln!(script, "#     IN DOUBT ({}): perhaps there is nothing to put back.", one_line(reason));
    }
    let _ = writeln!(script, "if [ \"$from\" -le {number} ]; then");
    let _ = writeln!(script, "  echo {}", command(&[format!("undo {number}: {} ({})", one_line(title), step.id)]));
    match by_hand(change) {
        Some(hand) if doubted && hand.once => {
            // The last part of several may not have arrived: then the one before it is what stands.
            let earlier = step.applied.split_last().and_then(|(_, earlier)| Change::reversal_of(earlier));
            tolerant(&hand, change, earlier.as_ref().and_then(by_hand).as_ref(), script);
        }
        Some(hand) => plain(&hand, script),
        None => script.push_str("  :\n"),
    }
    script.push_str("fi\n\n");
}

fn plain(hand: &ByHand, script: &mut String) {
    match &hand.wait {
        Some(wait) => {
            let _ = writeln!(script, "  answer=$({})\n  {wait}", hand.act);
        }
        None => {
            let _ = writeln!(script, "  {}", hand.act);
        }
    }
}

/// What may never have taken effect: a refusal is no failure, and a command is only undone where it is seen to be done.
fn tolerant(hand: &ByHand, change: &Change, earlier: Option<&ByHand>, script: &mut String) {
    let look = hand.look.as_deref().unwrap_or(":");
    if matches!(change, Change::Command { .. }) {
        let _ = writeln!(script, "  if {look}; then {}; else echo 'not done as far as can be seen'; fi", hand.act);
        return;
    }
    for (word, hand) in ["if", "elif"].into_iter().zip([Some(hand), earlier].into_iter().flatten()) {
        let wait = hand.wait.as_deref().unwrap_or(":");
        let _ = writeln!(script, "  {word} answer=$({}); then\n    {wait}", hand.act);
    }
    let _ = writeln!(
        script,
        "  else\n    echo 'refused: it did not take effect, or somebody changed it; look:'\n    {look}\n  fi"
    );
}

/// For a comment: a line break in it would begin a command.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn shown(text: &str) -> String {
    if text.is_empty() { "(none)".to_owned() } else { one_line(text) }
}
