//! `exec`: a command of the operator's, without a shell.

use std::time::Duration;

use super::{StepContext, done, reversal, unexpected};
use crate::{
    plan::{Class, Kind},
    run::{Change, Observation, Outcome, Preview, Trouble, TroubleKind},
    world::{
        command::{Exit, Job, find, run},
        trouble,
    },
};

/// How long an `observe` command may take, wall time.
const OBSERVE: Duration = Duration::from_secs(30);

/// Nothing is run before consent, not even `observe`: a preview only looks whether the programs exist.
pub(super) fn preview(
    context: &StepContext,
    apply: &[String],
    observe: Option<&Vec<String>>,
    undo: Option<&Vec<String>>,
) -> Result<Preview, Trouble> {
    let (argv, observe, undo) = (apply.to_vec(), observe.cloned(), undo.cloned());
    found(context, Change::Command { argv, observe, undo, undoing: false })
}

pub(super) fn preview_back(context: &StepContext, applied: &[Change]) -> Result<Preview, Trouble> {
    found(context, reversal(applied)?)
}

/// A preview of a command whose programs exist.
fn found(context: &StepContext, change: Change) -> Result<Preview, Trouble> {
    let Change::Command { argv, observe, .. } = &change else {
        return Err(unexpected(context, "what was applied is of another kind"));
    };
    let mut facts = Vec::new();
    for (label, argv) in [("program", Some(argv)), ("observed by", observe.as_ref())] {
        let Some(program) = argv.and_then(|argv| argv.first()) else { continue };
        let missing = || unexpected(context, &format!("there is no program `{program}`"));
        facts.push((label.to_owned(), find(program).ok_or_else(missing)?.display().to_string()));
    }
    Ok(Preview { facts, ..Preview::single(change) })
}

/// Exit code 0 is done. Any other may have left something behind, and only the world can tell how much: unless the
/// command only reads, it is in doubt.
pub(super) async fn apply(context: &StepContext, argv: &[String], token: &str) -> Outcome {
    let environment = context.world.environment().clone().with("CUTOVER_TOKEN", token);
    let timeout = context.clock.to_wall(context.step.timeout);
    let job = Job { argv, environment: &environment, timeout };
    let exit = run(job, context.stop.cancelled(), |line| context.output(line)).await;
    let call = argv.first().map_or("exec", String::as_str);
    let failed = |reason: &str| trouble(call, TroubleKind::Refused, reason);
    let reads_only = matches!(context.step.kind, Kind::Exec { class: Class::ReadOnly, .. });
    match exit {
        Ok(Exit::Code(0)) => done("exit code 0"),
        Ok(Exit::Stopped) => Outcome::Stopped,
        Ok(exit) if reads_only => Outcome::Failed { trouble: failed(&words(exit)) },
        Ok(exit) => Outcome::InDoubt { trouble: failed(&words(exit)) },
        Err(error) => Outcome::Failed { trouble: failed(&error.to_string()) },
    }
}

fn words(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("ended by signal {signal}"),
        Exit::TimedOut => "not over in time".into(),
        Exit::Stopped => "stopped".into(),
    }
}

/// Exit 0: as after the step; exit 1: as before it; anything else: nobody knows.
pub(super) async fn observe(context: &StepContext, argv: &[String], undoing: bool) -> Observation {
    let job = Job { argv, environment: context.world.environment(), timeout: OBSERVE };
    let mut last = String::new();
    let exit = run(job, std::future::pending(), |line| last = line).await;
    match exit {
        Ok(Exit::Code(code @ (0 | 1))) if (code == 0) != undoing => Observation::Done,
        Ok(Exit::Code(code @ (0 | 1))) => Observation::NotDone { seen: format!("the observe command says {code}") },
        Ok(exit) => Observation::Unknown { reason: format!("the observe command: {} {last}", words(exit)) },
        Err(error) => Observation::Unknown { reason: error.to_string() },
    }
}
