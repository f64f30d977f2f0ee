//! `exec`: a command of the operator's, without a shell.

use std::time::Duration;

use super::{StepContext, done};
use crate::{
    run::{Change, Observation, Outcome, Preview, TroubleKind},
    world::{
        command::{Exit, Job, run},
        trouble,
    },
};

/// How long an `observe` command may take, wall time.
const OBSERVE: Duration = Duration::from_secs(30);

pub(super) fn preview(apply: &[String], observe: Option<&Vec<String>>, undo: Option<&Vec<String>>) -> Preview {
    let (argv, observe, undo) = (apply.to_vec(), observe.cloned(), undo.cloned());
    Preview::single(Change::Command { argv, observe, undo, undoing: false })
}

/// Exit code 0 is done. Any other may have left something behind: the world is asked, if the plan says how.
pub(super) async fn apply(context: &StepContext, argv: &[String], observable: bool, token: &str) -> Outcome {
    let environment = context.world.environment().clone().with("CUTOVER_TOKEN", token);
    let timeout = context.clock.to_wall(context.step.timeout);
    let job = Job { argv, environment: &environment, timeout };
    let exit = run(job, context.stop.cancelled(), |line| context.output(line)).await;
    let call = argv.first().map_or("exec", String::as_str);
    let failed = |reason: &str| trouble(call, TroubleKind::Refused, reason);
    match exit {
        Ok(Exit::Code(0)) => done("exit code 0"),
        Ok(Exit::Stopped) => Outcome::Stopped,
        Ok(exit) if observable => Outcome::InDoubt { trouble: failed(&words(exit)) },
        Ok(Exit::Code(code)) => Outcome::Failed { trouble: failed(&words(Exit::Code(code))) },
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
