//! `ecs.run-task`: a command in a one-off ECS task. Its lines are followed, its exit code decides.

use std::time::Duration;

use super::{StepContext, done, reversal, unexpected, unreadable};
use crate::{
    plan::{Class, Kind, TaskSpec},
    run::{Change, Observation, Outcome, Preview, Task, Trouble, TroubleKind},
    world::{
        logs::Place,
        tasks::{Container, Definition, Seen},
        trouble,
    },
};

/// Between two looks, session time.
const LOOK: Duration = Duration::from_secs(5);
/// Lines come to CloudWatch Logs this long after they were written, wall time; read once more after it.
const LATE: Duration = Duration::from_secs(1);
/// How long a task that was asked to stop is waited for, wall time: within the grace that a stopped attempt has.
const FAREWELL: Duration = Duration::from_secs(3);

pub(super) async fn preview(context: &StepContext, spec: &TaskSpec) -> Result<Preview, Trouble> {
    context.world.aws().confirm_account().await?;
    let definition = context.world.ecs().definition(&spec.definition).await?;
    let container = container(context, &definition, spec.container.as_deref())?;
    let log = container.log(spec.log_group.as_deref());
    let task = Task::of(spec, &definition.name, (&container.name, &container.image), log);
    Ok(Preview { facts: facts(&task, container), ..Preview::single(Change::Task(Box::new(task))) })
}

/// The undo runs in the very revision that went forward: a newer one may not have that command.
pub(super) async fn preview_back(context: &StepContext, applied: &[Change]) -> Result<Preview, Trouble> {
    context.world.aws().confirm_account().await?;
    let change = reversal(applied)?;
    let Change::Task(task) = &change else {
        return Err(unexpected(context, "what was applied is of another kind"));
    };
    let definition = context.world.ecs().definition(&task.definition).await?;
    let facts = facts(task, container(context, &definition, Some(&task.container))?);
    Ok(Preview { facts, ..Preview::single(change) })
}

fn container<'a>(
    context: &StepContext,
    definition: &'a Definition,
    wanted: Option<&str>,
) -> Result<&'a Container, Trouble> {
    let names: Vec<_> = definition.containers.iter().map(|one| one.name.as_str()).collect();
    match (wanted, definition.containers.as_slice()) {
        (Some(wanted), all) => all.iter().find(|one| one.name == wanted).ok_or_else(|| {
            unexpected(context, &format!("{} has no container `{wanted}`: {}", definition.name, names.join(", ")))
        }),
        (None, [only]) => Ok(only),
        (None, _) => {
            let reason = format!("{} has several containers, name one: {}", definition.name, names.join(", "));
            Err(unexpected(context, &reason))
        }
    }
}

/// What was read of it. Of variables the names alone.
fn facts(task: &Task, container: &Container) -> Vec<(String, String)> {
    let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(" ") };
    let log = task.log.as_ref().map_or_else(
        || "cannot be followed: no `awslogs` group and stream prefix".to_owned(),
        |log| format!("{} {}/{}/...", log.group, log.prefix, task.container),
    );
    let undo = task.undo.as_ref().map_or_else(
        || "none: a rollback leaves what it did".to_owned(),
        |command| format!("as a task: {}", command.join(" ")),
    );
    [
        ("env names", list(&container.environment)),
        ("secret names", list(&container.secrets)),
        ("lines", log),
        ("undo", undo),
    ]
    .map(|(label, value)| (label.to_owned(), value))
    .into()
}

pub(super) async fn apply(context: &StepContext, task: &Task, token: &str) -> Outcome {
    if let Err(trouble) = context.world.aws().confirm_account().await {
        return Outcome::Failed { trouble };
    }
    let token = match token_for(context, task, token).await {
        Ok(token) => token,
        Err(trouble) => return Outcome::Failed { trouble },
    };
    let arn = match context.world.ecs().run_task(task, &token).await {
        Ok(arn) => arn,
        Err(failure) => return failure.outcome(),
    };
    let mut follow = Follow { context, task, arn, place: Place::default(), told: String::new(), deaf: false };
    context.output(format!("task {} of {}", follow.id(), task.definition));
    loop {
        let seen = context.world.ecs().task(&task.cluster, &follow.arn).await;
        follow.lines().await;
        if let Ok(seen) = seen {
            follow.say(&seen);
            if seen.stopped() {
                tokio::time::sleep(LATE).await;
                follow.lines().await;
                return outcome(context, task, &seen);
            }
        }
        if !context.pause(LOOK).await {
            return follow.stop().await;
        }
    }
}

/// What to start it with: the token of an earlier attempt of which nothing was seen, so that ECS takes what is still on
/// its way there and this for one and the same; the attempt's own where those have failed.
async fn token_for(context: &StepContext, task: &Task, own: &str) -> Result<String, Trouble> {
    for earlier in &context.earlier {
        let seen = context.world.ecs().started_with(&task.cluster, earlier).await?;
        if !seen.is_some_and(|seen| failed(context, task, &seen)) {
            return Ok(earlier.clone());
        }
    }
    Ok(own.to_owned())
}

/// What was started for this attempt, with its own token or with an earlier one.
async fn started(context: &StepContext, task: &Task) -> Result<Option<Seen>, Trouble> {
    let mut found = context.world.ecs().started_with(&task.cluster, &context.token).await?;
    for earlier in context.earlier.iter().rev() {
        if found.is_none() {
            found = context.world.ecs().started_with(&task.cluster, earlier).await?;
            found = found.filter(|seen| !failed(context, task, seen));
        }
    }
    Ok(found)
}

fn failed(context: &StepContext, task: &Task, seen: &Seen) -> bool {
    seen.stopped() && !matches!(end(context, task, seen), End::Well)
}

/// A task under way.
struct Follow<'a> {
    context: &'a StepContext,
    task: &'a Task,
    arn: String,
    place: Place,
    /// The status that was told last.
    told: String,
    /// Its lines cannot be read, and that was said.
    deaf: bool,
}

impl Follow<'_> {
    fn id(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or(&self.arn)
    }

    fn say(&mut self, seen: &Seen) {
        if self.told != seen.status {
            self.told.clone_from(&seen.status);
            self.context.output(format!("-- {}", seen.status));
        }
        self.context.progress(format!("task {} is {}", seen.id(), seen.status), None);
    }

    async fn lines(&mut self) {
        let Some(log) = &self.task.log else { return };
        let stream = format!("{}/{}/{}", log.prefix, self.task.container, self.id());
        match self.context.world.logs().lines(&log.group, &stream, &mut self.place).await {
            Ok(lines) => lines.into_iter().for_each(|line| self.context.output(line)),
            Err(trouble) if !self.deaf => {
                self.deaf = true;
                self.context.output(format!("-- its lines cannot be read: {}: {}", trouble.call, trouble.reason));
            }
            Err(_) => {}
        }
    }

    /// The operator, or the time-out, wants it to stop. What it had done by then stays: the world is observed.
    async fn stop(mut self) -> Outcome {
        let (context, cluster) = (self.context, &self.task.cluster);
        let asked = context.world.ecs().stop_task(cluster, &self.arn, "stopped by the operator of cutover").await;
        match asked {
            Ok(()) => context.output("-- asked to stop"),
            Err(failure) => context.output(format!("-- could not be stopped: {failure}")),
        }
        let waited = async {
            while !context.world.ecs().task(cluster, &self.arn).await.is_ok_and(|seen| seen.stopped()) {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        // It may take longer than anybody waits here: it is observed until it is over.
        let _ = tokio::time::timeout(FAREWELL, waited).await;
        self.lines().await;
        Outcome::Stopped
    }
}

/// How a task that is over ended.
enum End {
    Well,
    /// Nothing of it is to be put back.
    Failed(String),
    /// Part of it may stand, and there is a command that puts it back: a person decides.
    Partly(String),
}

/// The exit code decides. A command that failed half way is not known to have done nothing: where there is a way to put
/// it back, that way stays open.
fn end(context: &StepContext, task: &Task, seen: &Seen) -> End {
    let failed = match seen.exit(&task.container) {
        Ok(0) => return End::Well,
        Ok(code) => format!("exit code {code}"),
        // Without an exit code its command never ran, or was never heard of again.
        Err(reason) => return End::Failed(format!("no exit code: {reason}")),
    };
    let reads_only = matches!(&context.step.kind, Kind::EcsRunTask(spec) if spec.class == Class::ReadOnly);
    if task.undo.is_some() && !task.undoing && !reads_only {
        End::Partly(format!("{failed}: part of what it does may stand"))
    } else {
        End::Failed(failed)
    }
}

fn outcome(context: &StepContext, task: &Task, seen: &Seen) -> Outcome {
    let because = |reason: &str| trouble(&task.definition, TroubleKind::Refused, reason);
    match end(context, task, seen) {
        End::Well => done(format!("{} {}: exit code 0", task.definition, seen.id())),
        End::Failed(reason) => Outcome::Failed { trouble: because(&reason) },
        End::Partly(reason) => Outcome::InDoubt { trouble: because(&reason) },
    }
}

/// Finds the task by the token that it was started with.
pub(super) async fn observe(context: &StepContext, task: &Task, accepted: bool) -> Observation {
    match started(context, task).await {
        // ECS forgets a task an hour after its end; its exit code was seen.
        Ok(None) if accepted => Observation::Done,
        Ok(None) => Observation::NotDone { seen: "no task was started for this attempt".into() },
        Ok(Some(seen)) if seen.stopped() => match end(context, task, &seen) {
            End::Well => Observation::Done,
            End::Failed(seen) => Observation::NotDone { seen },
            End::Partly(reason) => Observation::Unknown { reason },
        },
        Ok(Some(seen)) => Observation::Unknown { reason: format!("task {} is {}", seen.id(), seen.status) },
        Err(trouble) => unreadable(&trouble),
    }
}
