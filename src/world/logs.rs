//! CloudWatch Logs: the lines of one stream, page by page; whether a group receives anything.
//!
//! Source: CloudWatch Logs API reference (2014-03-28), `GetLogEvents`, `FilterLogEvents`.

use aws_sdk_cloudwatchlogs::{Client, error::SdkError, operation::get_log_events::GetLogEventsError};
use jiff::Timestamp;

use super::{
    aws::Aws,
    clean::clean_to,
    error::{self, trouble},
};
use crate::run::{Trouble, TroubleKind};

/// Longer lines are cut: they are for a pane.
const MAX_LINE: usize = 500;
/// Pages that are read at once: a page is up to 10,000 lines.
const MAX_PAGES: usize = 20;

/// CloudWatch Logs of the plan's account and region.
#[derive(Debug)]
pub struct Logs(Client);

/// How far a stream was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place(Option<String>);

/// Whether anything arrives in a log group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receiving {
    /// Yes.
    Yes,
    /// It exists, and nothing arrived.
    Silent,
    /// There is no such group.
    Missing,
}

impl Logs {
    pub(super) fn new(aws: &Aws) -> Self {
        Self(Client::new(aws.read()))
    }

    /// Whether anything arrived in a group since then (`FilterLogEvents`); what it says is not looked at.
    ///
    /// # Errors
    /// A call failed, or its pages do not end (`Garbled`).
    pub async fn receives(&self, group: &str, since: Timestamp) -> Result<Receiving, Trouble> {
        let call = "logs:FilterLogEvents";
        let mut token = None;
        for _ in 0..MAX_PAGES {
            let request = self.0.filter_log_events().log_group_name(group).start_time(since.as_millisecond()).limit(1);
            let page = match request.set_next_token(token).send().await {
                Ok(page) => page,
                Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => {
                    return Ok(Receiving::Missing);
                }
                Err(error) => return Err(error::aws(call, &error).trouble),
            };
            if !page.events().is_empty() {
                return Ok(Receiving::Yes);
            }
            // A page without events is not the last one: the search goes on.
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(Receiving::Silent);
            }
        }
        Err(trouble(call, TroubleKind::Garbled, &format!("the search in {group} does not end")))
    }

    /// The lines of a stream that came since `place`, cleaned, oldest first; moves `place` behind them. A stream that
    /// does not exist (yet) has none.
    ///
    /// # Errors
    /// A call failed; what was read before it is lost to the caller only if nothing was.
    pub async fn lines(&self, group: &str, stream: &str, place: &mut Place) -> Result<Vec<String>, Trouble> {
        let mut lines = Vec::new();
        for _ in 0..MAX_PAGES {
            let request = self.0.get_log_events().log_group_name(group).log_stream_name(stream).start_from_head(true);
            let page = match request.set_next_token(place.0.clone()).send().await {
                Ok(page) => page,
                Err(error) if missing(&error) => return Ok(lines),
                Err(_) if !lines.is_empty() => return Ok(lines),
                Err(error) => return Err(error::aws("logs:GetLogEvents", &error).trouble),
            };
            lines.extend(page.events().iter().filter_map(|event| event.message()).map(|line| clean_to(line, MAX_LINE)));
            let next = page.next_forward_token().map(str::to_owned);
            // At the end of what there is the same token comes back.
            let end = next == place.0 || page.events().is_empty();
            place.0 = next.or(place.0.take());
            if end {
                break;
            }
        }
        Ok(lines)
    }
}

fn missing<R>(error: &SdkError<GetLogEventsError, R>) -> bool {
    error.as_service_error().is_some_and(GetLogEventsError::is_resource_not_found_exception)
}
