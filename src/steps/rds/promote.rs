//! `rds.promote-replica`: a read replica becomes an instance of its own. Nothing makes it a replica again.

use std::{collections::BTreeMap, time::Duration};

use jiff::SignedDuration;

use super::{Awaited, Look, StepContext, about, existing, fact, follow, ready, single, unexpected, unreadable};
use crate::{
    plan::{Metric, MetricSource, Side, Unit},
    run::{Change, Datum, Observation, Outcome, Preview, RdsChange, Trouble},
};

/// CloudWatch tells the lag once a minute, some minutes late.
const SPAN: SignedDuration = SignedDuration::from_mins(10);

pub(super) async fn preview(
    context: &StepContext,
    replica: &str,
    max_lag: Option<Duration>,
) -> Result<Preview, Trouble> {
    let instance = ready(context, replica).await?;
    let source = instance.source.clone();
    let change = Change::Rds(RdsChange::Promoted { replica: replica.to_owned(), source: source.clone() });
    let mut preview = single(change, source.is_none());
    preview.facts.push(fact(replica, about(&instance)));
    let Some(source) = source else { return Ok(preview) };
    preview.facts.push(fact("replicates", source));
    let lag = lag(context, replica).await;
    let words = match &lag {
        // Not its age: a preview that says something else every second is news every second.
        Ok(Some(newest)) => format!("{:.1} s at {} UTC", newest.value, newest.at.strftime("%H:%M:%S")),
        Ok(None) => "not known: CloudWatch has no datum".to_owned(),
        Err(trouble) => format!("not known: {}", trouble.reason),
    };
    if let Some(limit) = max_lag {
        let within = lag.is_ok_and(|lag| lag.is_some_and(|newest| newest.value <= limit.as_secs_f64()));
        if !within {
            let limit = limit.as_secs_f64();
            let reason = format!("the lag of {replica} should be at most {limit} s and is {words}");
            return Err(unexpected(context, &reason));
        }
    }
    preview.facts.push(fact("lag", words));
    preview.facts.push(fact("afterwards", "it restarts, and nothing makes it a replica again"));
    Ok(preview)
}

/// The newest lag of a replica, in seconds.
async fn lag(context: &StepContext, replica: &str) -> Result<Option<Datum>, Trouble> {
    let source = MetricSource::Stat {
        namespace: "AWS/RDS".into(),
        name: "ReplicaLag".into(),
        dimensions: BTreeMap::from([("DBInstanceIdentifier".into(), replica.to_owned())]),
        stat: "Maximum".into(),
    };
    let id = "lag".to_owned();
    let (title, graph) = (id.clone(), id.clone());
    let metric = Metric { id, title, graph, side: Side::New, unit: Unit::Seconds, source, period: 60 };
    let now = context.clock.now();
    let fetched = context.world.cloudwatch().fetch(&[metric], now - SPAN, now).await?;
    let newest = fetched.series.get("lag").and_then(|series| series.last()).copied();
    // A replica whose replication is broken reports -1.
    Ok(newest.filter(|datum| datum.value >= 0.0))
}

pub(super) async fn apply(context: &StepContext, replica: &str) -> Outcome {
    if let Err(failure) = context.world.rds().promote(replica).await {
        return failure.outcome();
    }
    follow(context, "rds:PromoteReadReplica", Awaited::Alone(replica)).await
}

pub(super) async fn look(context: &StepContext, replica: &str) -> Result<Look, Trouble> {
    let now = existing(context, replica).await?;
    Ok(match (&now.source, now.status.as_str()) {
        (None, "available") => Look::Done(format!("{replica} stands alone")),
        (_, status) if now.broken() => Look::Broken(format!("{replica} is {status}")),
        (_, status) => Look::Going(status.to_owned(), None),
    })
}

/// What it replicates tells: nothing any more, done; the same as before and nothing under way, not done.
pub(super) async fn observe(context: &StepContext, replica: &str, source: Option<&str>) -> Observation {
    match context.world.rds().instance(replica).await {
        Ok(Some(now)) if now.source.is_none() && now.available() => Observation::Done,
        Ok(Some(now)) if now.available() && now.source.as_deref() == source => {
            Observation::NotDone { seen: format!("{replica} still replicates {}", source.unwrap_or_default()) }
        }
        Ok(Some(now)) => Observation::Unknown {
            reason: format!(
                "{replica} is {} and replicates {}",
                now.status,
                now.source.as_deref().unwrap_or("nothing")
            ),
        },
        Ok(None) => Observation::Unknown { reason: format!("there is no instance {replica}") },
        Err(trouble) => unreadable(&trouble),
    }
}
