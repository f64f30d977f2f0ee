//! Elastic Load Balancing v2: who is healthy behind a target group.
//!
//! Source: Elastic Load Balancing API reference (2015-12-01), `DescribeTargetHealth`.

use aws_sdk_elasticloadbalancingv2::{Client, types::TargetHealthStateEnum as State};

use super::{
    aws::Aws,
    clean::clean,
    error::{self},
};
use crate::run::Trouble;

/// Load balancers of the plan's account and region.
#[derive(Debug)]
pub struct Elb(Client);

impl Elb {
    pub(super) fn new(aws: &Aws) -> Self {
        Self(Client::new(aws.read()))
    }

    /// Targets of a group that should serve and do not: `ID state reason`. Those that are on their way out are left out.
    ///
    /// # Errors
    /// The call failed.
    pub async fn ill(&self, target_group: &str) -> Result<Vec<String>, Trouble> {
        let request = self.0.describe_target_health().target_group_arn(target_group);
        let call = "elasticloadbalancing:DescribeTargetHealth";
        let answer = request.send().await.map_err(|error| error::aws(call, &error).trouble)?;
        let mut ill = Vec::new();
        for one in answer.target_health_descriptions() {
            let Some(health) = one.target_health() else { continue };
            match health.state() {
                None | Some(State::Healthy | State::Draining | State::Unused | State::UnhealthyDraining) => {}
                Some(state) => {
                    let id = one.target().and_then(|target| target.id()).unwrap_or_default();
                    let reason = health.reason().map_or("", |reason| reason.as_str());
                    ill.push(clean(&format!("{id} {} {reason}", state.as_str())));
                }
            }
        }
        Ok(ill)
    }
}
