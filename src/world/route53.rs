//! Route 53: the record sets of named names, one atomic batch, and the wait until it is in sync.
//!
//! Source: Route 53 API reference (2013-04-01): `ListResourceRecordSets`, `ChangeResourceRecordSets`, `GetChange`.

mod convert;

use std::time::Duration;

use aws_sdk_route53::{
    Client,
    types::{ChangeBatch, ChangeStatus, RrType},
};
use jiff::Timestamp;

pub use convert::{Found, canonical, same};

use super::{
    aws::Aws,
    error::{self, Failure, trouble},
};
use crate::{
    clock::Clock,
    plan::{Action, RecordSet},
    run::{Trouble, TroubleKind},
};

/// A name has a handful of sets; a listing that goes on longer is not believed.
const MAX_PAGES: usize = 20;
/// `ChangeBatch.Comment` takes this many characters.
const MAX_COMMENT: usize = 256;
/// Session time between two questions for a change's status: the first, and the longest.
const POLLS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));

/// Route 53 of the plan's account.
#[derive(Debug)]
pub struct Route53 {
    read: Client,
    act: Client,
    clock: Clock,
}

impl Route53 {
    pub(super) fn new(aws: &Aws, clock: Clock) -> Self {
        Self { read: Client::new(aws.read()), act: Client::new(aws.act()), clock }
    }

    /// All record sets of one name, whatever their type. `name` is lower-case with a trailing dot.
    ///
    /// Only this name is listed: the request starts at it and the reading ends at the first other name.
    ///
    /// # Errors
    /// The call failed, or its pages do not end (`Garbled`).
    pub async fn sets(&self, zone_id: &str, name: &str) -> Result<Vec<Found>, Trouble> {
        let call = "route53:ListResourceRecordSets";
        let mut found = Vec::new();
        let mut cursor: (String, Option<RrType>, Option<String>) = (name.to_owned(), None, None);
        for _ in 0..MAX_PAGES {
            let (from, kind, identifier) = cursor.clone();
            let request = self.read.list_resource_record_sets().hosted_zone_id(zone_id).start_record_name(from);
            let request = request.set_start_record_type(kind).set_start_record_identifier(identifier).max_items(50);
            let page = request.send().await.map_err(|error| error::aws(call, &error).trouble)?;
            let sets = page.resource_record_sets.iter().map(Found::from_wire);
            let count = page.resource_record_sets.len();
            let before = found.len();
            found.extend(sets.filter(|found: &Found| found.set.name == name));
            let next = page.next_record_name.filter(|next| page.is_truncated && convert::name(next) == name);
            let Some(next) = next.filter(|_| found.len() - before == count) else { return Ok(found) };
            let next = (next, page.next_record_type, page.next_record_identifier);
            if next == cursor {
                break;
            }
            cursor = next;
        }
        Err(trouble(call, TroubleKind::Garbled, &format!("the listing of {name} does not end")))
    }

    /// Sends one atomic batch, once; answers with the id of the change. The comment carries the token, so that the
    /// account's CloudTrail tells which attempt it was.
    ///
    /// # Errors
    /// See [`Failure`]. `PriorRequestNotComplete` is throttling: nothing was applied.
    pub async fn change(&self, zone_id: &str, batch: &[(Action, RecordSet)], token: &str) -> Result<String, Failure> {
        let call = "route53:ChangeResourceRecordSets";
        let own = |error: aws_smithy_types::error::operation::BuildError| {
            Failure::none_sent(call, TroubleKind::Refused, &error.to_string())
        };
        let changes: Result<Vec<_>, _> = batch.iter().map(|(action, set)| convert::change(*action, set)).collect();
        let comment: String = token.chars().take(MAX_COMMENT).collect();
        let batch = ChangeBatch::builder().comment(comment).set_changes(Some(changes.map_err(own)?));
        let batch = batch.build().map_err(own)?;
        let request = self.act.change_resource_record_sets().hosted_zone_id(zone_id).change_batch(batch);
        let answer = request.send().await.map_err(|error| error::aws(call, &error))?;
        let info = answer.change_info.map(|info| info.id.trim_start_matches("/change/").to_owned());
        let lost = || Failure::lost(call, TroubleKind::Garbled, "an answer without the id of the change");
        info.filter(|id| !id.is_empty()).ok_or_else(lost)
    }

    /// Waits until a change is INSYNC at all name servers; answers with when that was seen, in session time.
    ///
    /// A failed question is asked again: the change was accepted, and only the patience (session time) ends the wait.
    /// `progress` hears of each answer: the seconds waited, and why there was none.
    ///
    /// # Errors
    /// The patience ended. The change goes on: in doubt.
    pub async fn in_sync(
        &self,
        change_id: &str,
        patience: Duration,
        mut progress: impl FnMut(Duration, Option<&Trouble>),
    ) -> Result<Timestamp, Failure> {
        let call = "route53:GetChange";
        let started = self.clock.now();
        let mut pause = POLLS.0;
        loop {
            let answer = self.read.get_change().id(change_id).send().await;
            let answer = answer.map_err(|error| error::aws(call, &error).trouble);
            let status = answer.map(|answer| answer.change_info.map(|info| info.status));
            if status == Ok(Some(ChangeStatus::Insync)) {
                return Ok(self.clock.now());
            }
            let waited = Duration::try_from(self.clock.now().duration_since(started)).unwrap_or(Duration::ZERO);
            let trouble = status.err();
            progress(waited, trouble.as_ref());
            if waited >= patience {
                let reason = trouble.map_or_else(|| "still PENDING".to_owned(), |trouble| trouble.reason);
                let reason = format!("accepted, but not INSYNC after {} s: {reason}", patience.as_secs());
                return Err(Failure::lost(call, TroubleKind::Unreachable, &reason));
            }
            self.clock.sleep(pause).await;
            pause = (pause * 3 / 2).min(POLLS.1);
        }
    }
}
