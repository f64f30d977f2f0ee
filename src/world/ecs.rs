//! ECS services: how many tasks are wanted and how many run.

use aws_sdk_ecs::{
    Client,
    types::{Deployment, ServiceEvent},
};

use super::{
    aws::Aws,
    clean::clean,
    error::{self, Failure, trouble},
};
use crate::run::{Trouble, TroubleKind};

/// Events of a service that are looked at: ECS keeps a hundred.
const EVENTS: usize = 20;

/// ECS of the plan's account and region.
#[derive(Debug)]
pub struct Ecs {
    pub(super) read: Client,
    pub(super) act: Client,
}

/// A service as ECS describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Tasks wanted.
    pub desired: u32,
    /// Tasks that run.
    pub running: u32,
    /// Tasks that start.
    pub pending: u32,
    /// It stands behind a load balancer.
    pub balanced: bool,
    /// Deployments under way; 1 when none replaces another.
    pub deployments: usize,
    /// The newest event in ECS's own words, cleaned.
    pub event: Option<String>,
    /// The newest events, oldest first: id and words, cleaned.
    pub events: Vec<(String, String)>,
    /// ARNs of the target groups that it registers its tasks with.
    pub target_groups: Vec<String>,
    /// The deployment that is to stay; None: the service has another controller than ECS.
    pub rollout: Option<Rollout>,
}

/// How far the newest deployment of a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// `family:revision` that it brings.
    pub definition: String,
    /// `IN_PROGRESS`, `COMPLETED` or `FAILED`; empty where ECS does not say.
    pub state: String,
    /// Why it is so, in ECS's own words, cleaned.
    pub reason: String,
    /// Tasks of it that run.
    pub running: u32,
    /// Tasks of it that did not come up.
    pub failed: u32,
}

impl Service {
    /// As many tasks run as are wanted, and none is on its way.
    #[must_use]
    pub const fn settled(&self) -> bool {
        self.running == self.desired && self.pending == 0
    }
}

impl Ecs {
    pub(super) fn new(aws: &Aws) -> Self {
        Self { read: Client::new(aws.read()), act: Client::new(aws.act()) }
    }

    /// Describes one service (`DescribeServices`).
    ///
    /// # Errors
    /// The call failed, or the service does not exist or is not active (`Unexpected`).
    pub async fn service(&self, cluster: &str, service: &str) -> Result<Service, Trouble> {
        let call = "ecs:DescribeServices";
        let answer = self.read.describe_services().cluster(cluster).services(service).send().await;
        let answer = answer.map_err(|error| error::aws(call, &error).trouble)?;
        let found = answer.services().iter().find(|found| found.status() == Some("ACTIVE"));
        let found = found.ok_or_else(|| {
            let status = answer.services().first().and_then(|found| found.status()).unwrap_or("MISSING");
            trouble(call, TroubleKind::Unexpected, &format!("service {cluster}/{service} is {status}, not ACTIVE"))
        })?;
        Ok(Service {
            desired: count(found.desired_count()),
            running: count(found.running_count()),
            pending: count(found.pending_count()),
            balanced: !found.load_balancers().is_empty(),
            deployments: found.deployments().len(),
            event: found.events().first().and_then(|event| event.message()).map(clean),
            events: found.events().iter().take(EVENTS).rev().filter_map(event).collect(),
            target_groups: found
                .load_balancers()
                .iter()
                .filter_map(|one| one.target_group_arn().map(str::to_owned))
                .collect(),
            rollout: found.deployments().iter().find(|one| one.status() == Some("PRIMARY")).map(rollout),
        })
    }

    /// Sets the desired count (`UpdateService`), in one attempt.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn scale(&self, cluster: &str, service: &str, desired: u32) -> Result<(), Failure> {
        let call = "ecs:UpdateService";
        let wanted = i32::try_from(desired)
            .map_err(|_| Failure::none_sent(call, TroubleKind::Refused, "the desired count is too large"))?;
        let request = self.act.update_service().cluster(cluster).service(service).desired_count(wanted);
        let answer = request.send().await.map_err(|error| error::aws(call, &error))?;
        match answer.service().map(|service| service.desired_count()) {
            Some(found) if found == wanted => Ok(()),
            found => {
                let reason = format!("the answer says that {} are desired, not {wanted}", found.unwrap_or_default());
                Err(Failure::lost(call, TroubleKind::Garbled, &reason))
            }
        }
    }
}

fn event(event: &ServiceEvent) -> Option<(String, String)> {
    Some((event.id()?.to_owned(), clean(event.message()?)))
}

fn rollout(deployment: &Deployment) -> Rollout {
    Rollout {
        definition: clean(short(deployment.task_definition().unwrap_or_default())),
        state: deployment.rollout_state().map(|state| state.as_str().to_owned()).unwrap_or_default(),
        reason: clean(deployment.rollout_state_reason().unwrap_or_default()),
        running: count(deployment.running_count()),
        failed: count(deployment.failed_tasks()),
    }
}

/// The last part of an ARN; a name is its own.
pub(super) fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

fn count(tasks: i32) -> u32 {
    u32::try_from(tasks).unwrap_or(0)
}
