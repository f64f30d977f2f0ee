//! ECS services: how many tasks are wanted and how many run.

use aws_sdk_ecs::Client;

use super::{
    aws::Aws,
    clean::clean,
    error::{self, Failure, trouble},
};
use crate::run::{Trouble, TroubleKind};

/// ECS of the plan's account and region.
#[derive(Debug)]
pub struct Ecs {
    read: Client,
    act: Client,
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
    /// Deployments under way; 1 when none replaces another.
    pub deployments: usize,
    /// The newest event in ECS's own words, cleaned.
    pub event: Option<String>,
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
            deployments: found.deployments().len(),
            event: found.events().first().and_then(|event| event.message()).map(clean),
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

fn count(tasks: i32) -> u32 {
    u32::try_from(tasks).unwrap_or(0)
}
