//! One-off ECS tasks: what a definition holds, starting one, finding it again, stopping it.
//!
//! Source: Amazon ECS API reference, `RunTask`, `ListTasks`, `DescribeTasks`, `StopTask`, `DescribeTaskDefinition`.

use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, ContainerDefinition, ContainerOverride, DesiredStatus, HealthStatus,
    LaunchType, LogDriver, NetworkConfiguration, Task as WireTask, TaskOverride,
};

use super::{
    clean::clean,
    ecs::{Ecs, short},
    error::{self, Failure, trouble},
};
use crate::{
    plan::Launch,
    run::{Task, TaskLog, Trouble, TroubleKind, started_by},
};

/// `DescribeTasks` takes a hundred at once.
const AT_ONCE: usize = 100;

/// A task definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// `family:revision`.
    pub name: String,
    /// Its containers, at least one.
    pub containers: Vec<Container>,
}

/// A container of a task definition. Values of variables are not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Names of its environment variables, in order.
    pub environment: Vec<String>,
    /// Names of the variables that come out of Secrets Manager or SSM, in order.
    pub secrets: Vec<String>,
    /// The same with where they come from (`valueFrom`): ARN of a secret or parameter, or a parameter's name.
    pub sources: Vec<(String, String)>,
    /// Program and arguments; empty: the image's own.
    pub command: Vec<String>,
    /// It has a health check of its own.
    pub health_check: bool,
    /// Log group and stream prefix of its `awslogs` driver, as far as given.
    pub log: (Option<String>, Option<String>),
}

/// A task as ECS describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its ARN.
    pub arn: String,
    /// `PROVISIONING`, `PENDING`, `RUNNING`, ..., `STOPPED`.
    pub status: String,
    /// `HEALTHY`, `UNHEALTHY` or `UNKNOWN` (no health check, or not asked yet).
    pub health: String,
    /// Why it stopped, in ECS's own words, cleaned; empty: it did not.
    pub reason: String,
    /// Name, exit code and reason of each container.
    pub containers: Vec<(String, Option<i32>, String)>,
}

impl Seen {
    /// It is over.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.status == "STOPPED"
    }

    /// The task's own id, the last part of its ARN and of its log stream.
    #[must_use]
    pub fn id(&self) -> &str {
        short(&self.arn)
    }

    /// The exit code of a container and, where there is none, why.
    ///
    /// # Errors
    /// The container never came to its end (or to its beginning): why.
    pub fn exit(&self, container: &str) -> Result<i32, String> {
        let found = self.containers.iter().find(|(name, _, _)| name == container);
        match found {
            Some((_, Some(code), _)) => Ok(*code),
            Some((_, None, reason)) if !reason.is_empty() => Err(reason.clone()),
            _ if self.reason.is_empty() => Err("it stopped without an exit code".into()),
            _ => Err(self.reason.clone()),
        }
    }
}

impl Ecs {
    /// Describes a task definition; of a family alone, its newest active revision.
    ///
    /// # Errors
    /// The call failed, or the definition is not active (`Unexpected`).
    pub async fn definition(&self, name: &str) -> Result<Definition, Trouble> {
        let call = "ecs:DescribeTaskDefinition";
        let answer = self.read.describe_task_definition().task_definition(name).send().await;
        let answer = answer.map_err(|error| error::aws(call, &error).trouble)?;
        let missing = || trouble(call, TroubleKind::Garbled, "an answer without a definition");
        let found = answer.task_definition().ok_or_else(missing)?;
        let status = found.status().map_or("ACTIVE", |status| status.as_str());
        let name = clean(short(found.task_definition_arn().unwrap_or_default()));
        if status != "ACTIVE" {
            return Err(trouble(call, TroubleKind::Unexpected, &format!("{name} is {status}, not ACTIVE")));
        }
        Ok(Definition { name, containers: found.container_definitions().iter().map(container).collect() })
    }

    /// Starts a task (`RunTask`), in one attempt; gives its ARN. A second call with the same token starts no second one.
    ///
    /// # Errors
    /// See [`Failure`]; no capacity and the like are `Refused` and have started nothing.
    pub async fn run_task(&self, task: &Task, token: &str) -> Result<String, Failure> {
        let call = "ecs:RunTask";
        let mark = started_by(token);
        let container = ContainerOverride::builder().name(&task.container);
        let container = container.set_command(Some(task.command.clone())).build();
        let request = self.act.run_task().cluster(&task.cluster).task_definition(&task.definition).count(1);
        let request = request.launch_type(match task.launch {
            Launch::Fargate => LaunchType::Fargate,
            Launch::Ec2 => LaunchType::Ec2,
        });
        let request = request.set_network_configuration(
            network(task).map_err(|error| Failure::none_sent(call, TroubleKind::Refused, &error))?,
        );
        let request = request.overrides(TaskOverride::builder().container_overrides(container).build());
        let answer = request.started_by(&mark).client_token(&mark).send().await;
        let answer = answer.map_err(|error| error::aws(call, &error))?;
        if let Some(arn) = answer.tasks().first().and_then(|task| task.task_arn()) {
            return Ok(arn.to_owned());
        }
        match answer.failures().first() {
            Some(failure) => {
                let (reason, detail) = (failure.reason().unwrap_or("no reason"), failure.detail().unwrap_or_default());
                Err(Failure::none_sent(call, TroubleKind::Refused, format!("{reason} {detail}").trim()))
            }
            None => Err(Failure::lost(call, TroubleKind::Garbled, "an answer with neither a task nor a failure")),
        }
    }

    /// The task that was started with a token, whether it runs or is over (ECS forgets it an hour later).
    ///
    /// # Errors
    /// A call failed.
    pub async fn started_with(&self, cluster: &str, token: &str) -> Result<Option<Seen>, Trouble> {
        let call = "ecs:ListTasks";
        for status in [DesiredStatus::Running, DesiredStatus::Stopped] {
            let request = self.read.list_tasks().cluster(cluster).started_by(started_by(token));
            let answer = request.desired_status(status).send().await;
            let answer = answer.map_err(|error| error::aws(call, &error).trouble)?;
            if let Some(arn) = answer.task_arns().first() {
                return self.task(cluster, arn).await.map(Some);
            }
        }
        Ok(None)
    }

    /// Describes one task.
    ///
    /// # Errors
    /// The call failed, or ECS does not know the task (any more): `Unexpected`.
    pub async fn task(&self, cluster: &str, arn: &str) -> Result<Seen, Trouble> {
        let found = self.tasks(cluster, &[arn.to_owned()]).await?.pop();
        found.ok_or_else(|| {
            trouble("ecs:DescribeTasks", TroubleKind::Unexpected, &format!("there is no task {}", short(arn)))
        })
    }

    /// The tasks of a service that are wanted to run.
    ///
    /// # Errors
    /// A call failed.
    pub async fn tasks_of(&self, cluster: &str, service: &str) -> Result<Vec<Seen>, Trouble> {
        let call = "ecs:ListTasks";
        let answer = self.read.list_tasks().cluster(cluster).service_name(service).send().await;
        let answer = answer.map_err(|error| error::aws(call, &error).trouble)?;
        self.tasks(cluster, answer.task_arns()).await
    }

    async fn tasks(&self, cluster: &str, arns: &[String]) -> Result<Vec<Seen>, Trouble> {
        let call = "ecs:DescribeTasks";
        let mut all = Vec::new();
        for some in arns.chunks(AT_ONCE) {
            let request = self.read.describe_tasks().cluster(cluster).set_tasks(Some(some.to_vec()));
            let answer = request.send().await.map_err(|error| error::aws(call, &error).trouble)?;
            all.extend(answer.tasks().iter().map(seen));
        }
        Ok(all)
    }

    /// Asks a task to stop (`StopTask`), in one attempt.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn stop_task(&self, cluster: &str, arn: &str, reason: &str) -> Result<(), Failure> {
        let request = self.act.stop_task().cluster(cluster).task(arn).reason(reason);
        request.send().await.map(drop).map_err(|error| error::aws("ecs:StopTask", &error))
    }
}

fn network(task: &Task) -> Result<Option<NetworkConfiguration>, String> {
    if task.subnets.is_empty() {
        return Ok(None);
    }
    let public = if task.public_ip { AssignPublicIp::Enabled } else { AssignPublicIp::Disabled };
    let vpc = AwsVpcConfiguration::builder().set_subnets(Some(task.subnets.clone())).assign_public_ip(public);
    let vpc = vpc.set_security_groups(Some(task.security_groups.clone())).build().map_err(|error| error.to_string())?;
    Ok(Some(NetworkConfiguration::builder().awsvpc_configuration(vpc).build()))
}

fn container(found: &ContainerDefinition) -> Container {
    let options = found.log_configuration().filter(|log| *log.log_driver() == LogDriver::Awslogs);
    let option = |name: &str| options.and_then(|log| log.options()?.get(name).cloned());
    let mut environment: Vec<_> = found.environment().iter().filter_map(|pair| pair.name().map(clean)).collect();
    let mut secrets: Vec<_> = found.secrets().iter().map(|secret| clean(secret.name())).collect();
    environment.sort();
    secrets.sort();
    Container {
        name: clean(found.name().unwrap_or_default()),
        image: clean(found.image().unwrap_or_default()),
        environment,
        secrets,
        sources: found.secrets().iter().map(|one| (clean(one.name()), clean(one.value_from()))).collect(),
        command: found.entry_point().iter().chain(found.command()).map(|word| clean(word)).collect(),
        health_check: found.health_check().is_some(),
        log: (option("awslogs-group"), option("awslogs-stream-prefix")),
    }
}

fn seen(task: &WireTask) -> Seen {
    let text = |text: Option<&str>| clean(text.unwrap_or_default());
    let containers = task.containers().iter().map(|one| (text(one.name()), one.exit_code(), text(one.reason())));
    Seen {
        arn: task.task_arn().unwrap_or_default().to_owned(),
        status: text(task.last_status()),
        health: task.health_status().map_or("UNKNOWN", HealthStatus::as_str).to_owned(),
        reason: text(task.stopped_reason()),
        containers: containers.collect(),
    }
}

impl Container {
    /// Where its lines can be read, in the group that is given or in its own.
    #[must_use]
    pub fn log(&self, group: Option<&str>) -> Option<TaskLog> {
        let (own, prefix) = &self.log;
        Some(TaskLog { group: group.map(str::to_owned).or_else(|| own.clone())?, prefix: prefix.clone()? })
    }
}
