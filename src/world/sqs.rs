//! SQS: how many messages wait, from the queue itself. CloudWatch tells the same some minutes later.
//!
//! Source: Amazon SQS API reference, `GetQueueUrl`, `GetQueueAttributes`.

use std::{collections::BTreeMap, sync::Mutex};

use aws_sdk_sqs::{Client, types::QueueAttributeName};

use super::{
    aws::Aws,
    error::{self, trouble},
    lock,
};
use crate::run::{Trouble, TroubleKind};

/// SQS of the plan's account and region.
#[derive(Debug)]
pub struct Sqs {
    client: Client,
    /// Queue name to its URL, once asked for.
    urls: Mutex<BTreeMap<String, String>>,
}

impl Sqs {
    pub(super) fn new(aws: &Aws) -> Self {
        Self { client: Client::new(aws.read()), urls: Mutex::default() }
    }

    /// Messages that wait to be received (`ApproximateNumberOfMessages`), of a queue by name or URL.
    ///
    /// # Errors
    /// A call failed, or the queue does not exist (`Refused`).
    pub async fn depth(&self, queue: &str) -> Result<f64, Trouble> {
        let call = "sqs:GetQueueAttributes";
        let url = self.url(queue).await?;
        let wanted = QueueAttributeName::ApproximateNumberOfMessages;
        let request = self.client.get_queue_attributes().queue_url(url).attribute_names(wanted.clone());
        let answer = request.send().await.map_err(|error| error::aws(call, &error).trouble)?;
        let depth = answer.attributes().and_then(|all| all.get(&wanted)?.parse::<u32>().ok());
        let missing = || trouble(call, TroubleKind::Garbled, "an answer without the number of messages");
        depth.map(f64::from).ok_or_else(missing)
    }

    async fn url(&self, queue: &str) -> Result<String, Trouble> {
        if queue.starts_with("https://") || queue.starts_with("http://") {
            return Ok(queue.to_owned());
        }
        if let Some(url) = lock(&self.urls).get(queue) {
            return Ok(url.clone());
        }
        let call = "sqs:GetQueueUrl";
        let answer = self.client.get_queue_url().queue_name(queue).send().await;
        let answer = answer.map_err(|error| error::aws(call, &error).trouble)?;
        let url = answer.queue_url().ok_or_else(|| trouble(call, TroubleKind::Garbled, "an answer without a URL"))?;
        lock(&self.urls).insert(queue.to_owned(), url.to_owned());
        Ok(url.to_owned())
    }
}
