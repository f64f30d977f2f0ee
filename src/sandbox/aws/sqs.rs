//! SQS (JSON 1.0): one queue, as deep as the model says.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{ACCOUNT, AwsError, REGION, string, strings};
use crate::sandbox::{lock, world::World};

/// The one queue.
const QUEUE: &str = "acme-shop-jobs";

pub(super) fn serve(world: &World, operation: &str, input: &Value) -> Result<Value, AwsError> {
    let url = format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{QUEUE}");
    match operation {
        "ListQueues" => Ok(json!({ "QueueUrls": [url] })),
        "GetQueueUrl" if string(input, "QueueName") == QUEUE => Ok(json!({ "QueueUrl": url })),
        "GetQueueAttributes" if string(input, "QueueUrl").rsplit('/').next() == Some(QUEUE) => {
            let depth = lock(&world.model).shared.queue.round().max(0.0) as u64;
            let all = [
                ("ApproximateNumberOfMessages", depth.to_string()),
                ("ApproximateNumberOfMessagesNotVisible", "0".to_owned()),
                ("ApproximateNumberOfMessagesDelayed", "0".to_owned()),
                ("QueueArn", format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{QUEUE}")),
                ("VisibilityTimeout", "30".to_owned()),
            ];
            let wanted = strings(input, "AttributeNames");
            let shown = |name: &str| wanted.iter().any(|one| one == name || one == "All");
            let attributes: serde_json::Map<_, _> = all
                .into_iter()
                .filter(|(name, _)| shown(name))
                .map(|(name, value)| (name.to_owned(), json!(value)))
                .collect();
            Ok(json!({ "Attributes": attributes }))
        }
        "GetQueueUrl" | "GetQueueAttributes" => {
            let message = "The specified queue does not exist.";
            Err(AwsError::bad_request("com.amazonaws.sqs#QueueDoesNotExist", message))
        }
        other => Err(AwsError::new(
            StatusCode::BAD_REQUEST,
            "UnknownOperationException",
            format!("The sandbox has no operation {other}"),
        )),
    }
}
