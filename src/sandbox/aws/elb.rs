//! Elastic Load Balancing v2 (query): the load balancer, its target group, and who is healthy behind it.

use serde_json::{Value, json};

use super::{ACCOUNT, AwsError, REGION};
use crate::sandbox::{LOAD_BALANCER, lock, world::World};

/// The target group of the web service.
pub(super) const TARGET_GROUP: &str =
    "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/acme-shop-web/73e2d6bc24d8a067";

pub(super) fn serve(world: &World, operation: &str, input: &Value) -> Result<Value, AwsError> {
    let balancer = format!("arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/{LOAD_BALANCER}");
    match operation {
        "DescribeLoadBalancers" => Ok(json!({ "LoadBalancers": [{
            "LoadBalancerArn": balancer, "LoadBalancerName": "acme-shop", "DNSName": "alb-1.us-east-1.elb.amazonaws.com",
            "CanonicalHostedZoneId": "Z35SXDOTRQ7X7K", "Scheme": "internet-facing", "Type": "application",
            "State": { "Code": "active" }, "IpAddressType": "ipv4",
        }] })),
        "DescribeTargetGroups" => Ok(json!({ "TargetGroups": [{
            "TargetGroupArn": TARGET_GROUP, "TargetGroupName": "acme-shop-web", "Protocol": "HTTP", "Port": 3000,
            "TargetType": "ip", "HealthCheckPath": "/health", "LoadBalancerArns": [balancer],
        }] })),
        "DescribeTargetHealth" => {
            let group = super::string(input, "TargetGroupArn");
            if group != TARGET_GROUP {
                let message = format!("Target groups '{group}' not found");
                return Err(AwsError::bad_request("TargetGroupNotFound", message));
            }
            let now = world.clock.now();
            let target = |(index, state): (usize, &'static str)| {
                let mut health = json!({ "State": state });
                if state != "healthy" {
                    health["Reason"] = json!(if state == "draining" {
                        "Target.DeregistrationInProgress"
                    } else {
                        "Elb.RegistrationInProgress"
                    });
                }
                json!({ "Target": { "Id": format!("10.0.1.{}", 10 + index), "Port": 3000 }, "TargetHealth": health })
            };
            let states = lock(&world.ecs).targets("web", now);
            Ok(json!({ "TargetHealthDescriptions": states.into_iter().enumerate().map(target).collect::<Vec<_>>() }))
        }
        other => {
            let message = format!("Could not find operation {other} for version 2015-12-01");
            Err(AwsError::bad_request("InvalidAction", message))
        }
    }
}
