//! CloudWatch Logs (JSON 1.1): the lines of tasks. The last page of a search names no further one.

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{ACCOUNT, AwsError, REGION, string, strings, tasks};
use crate::sandbox::{lock, world::World};

/// Events of one page at most.
const PAGE: usize = 10_000;

/// One stream: its name and its lines until now.
type Stream = (String, tasks::Lines);

pub(super) fn serve(world: &World, operation: &str, input: &Value) -> Result<Value, AwsError> {
    let now = world.clock.now();
    if operation == "DescribeLogGroups" {
        return Ok(groups(input));
    }
    let group = string(input, "logGroupName");
    if !tasks::log_groups().any(|known| known == group) {
        let message = "The specified log group does not exist.";
        return Err(AwsError::bad_request("ResourceNotFoundException", message));
    }
    let ecs = lock(&world.ecs);
    let mut all = ecs.jobs.streams(now);
    all.extend(ecs.streams(now));
    drop(ecs);
    let streams: Vec<Stream> =
        all.into_iter().filter(|(of, _, _)| of == group).map(|(_, name, lines)| (name, lines)).collect();
    match operation {
        "DescribeLogStreams" => Ok(describe(group, &streams, input)),
        "GetLogEvents" => get(&streams, input, now),
        "FilterLogEvents" => Ok(filter(&streams, input)),
        other => Err(AwsError::new(
            StatusCode::BAD_REQUEST,
            "UnknownOperationException",
            format!("The sandbox has no operation {other}"),
        )),
    }
}

fn groups(input: &Value) -> Value {
    let prefix = string(input, "logGroupNamePrefix");
    let group = |name: String| {
        json!({
            "logGroupName": name, "arn": format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}:*"),
            "creationTime": 0, "storedBytes": 0, "metricFilterCount": 0, "retentionInDays": 30,
        })
    };
    let all: Vec<_> = tasks::log_groups().filter(|name| name.starts_with(prefix)).map(group).collect();
    json!({ "logGroups": all })
}

fn describe(group: &str, streams: &[Stream], input: &Value) -> Value {
    let prefix = string(input, "logStreamNamePrefix");
    let stream = |(name, lines): &Stream| {
        let times = (lines.first().map(|line| millis(line.0)), lines.last().map(|line| millis(line.0)));
        json!({
            "logStreamName": name, "arn": format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:log-stream:{name}"),
            "firstEventTimestamp": times.0, "lastEventTimestamp": times.1, "lastIngestionTime": times.1, "storedBytes": 0,
        })
    };
    json!({ "logStreams": streams.iter().filter(|(name, _)| name.starts_with(prefix)).map(stream).collect::<Vec<_>>() })
}

/// Tokens are places in the stream: `f/5` comes before its sixth line. The last page gives its own token back.
fn get(streams: &[Stream], input: &Value, now: Timestamp) -> Result<Value, AwsError> {
    let wanted = string(input, "logStreamName");
    let found = streams.iter().find(|(name, _)| name == wanted);
    let (_, lines) = found.ok_or_else(|| {
        AwsError::bad_request("ResourceNotFoundException", "The specified log stream does not exist.")
    })?;
    let token = string(input, "nextToken");
    let limit = input.get("limit").and_then(Value::as_u64).map_or(PAGE, |limit| (limit as usize).clamp(1, PAGE));
    let from_head = input.get("startFromHead").and_then(Value::as_bool) == Some(true);
    let place = |token: &str| token.split_once('/').and_then(|(_, place)| place.parse::<usize>().ok());
    let start = match (token.is_empty(), place(token)) {
        (true, _) if from_head => 0,
        (true, _) => lines.len().saturating_sub(limit),
        (false, Some(place)) if token.starts_with("f/") => place.min(lines.len()),
        (false, Some(place)) if token.starts_with("b/") => place.saturating_sub(limit),
        _ => return Err(AwsError::bad_request("InvalidParameterException", "The specified nextToken is invalid.")),
    };
    let end = (start + limit).min(lines.len());
    let event = |(at, text): &(Timestamp, String)| json!({ "timestamp": millis(*at), "message": text, "ingestionTime": millis(now) });
    let events: Vec<_> = lines[start..end].iter().map(event).collect();
    Ok(json!({
        "events": events, "nextForwardToken": format!("f/{end}"), "nextBackwardToken": format!("b/{start}"),
    }))
}

fn filter(streams: &[Stream], input: &Value) -> Value {
    let (names, prefix) = (strings(input, "logStreamNames"), string(input, "logStreamNamePrefix"));
    let wanted = string(input, "filterPattern").trim_matches('"').to_owned();
    let shown = |name: &String| (names.is_empty() || names.contains(name)) && name.starts_with(prefix);
    let since = input.get("startTime").and_then(Value::as_i64).unwrap_or(0);
    let limit = input.get("limit").and_then(Value::as_u64).map_or(PAGE, |limit| (limit as usize).clamp(1, PAGE));
    let mut events: Vec<(Timestamp, Value)> = Vec::new();
    for (name, lines) in streams.iter().filter(|(name, _)| shown(name)) {
        for (index, (at, text)) in
            lines.iter().enumerate().filter(|(_, (at, text))| millis(*at) >= since && text.contains(&wanted))
        {
            let id = format!("{name}/{index}");
            events.push((
                *at,
                json!({
                    "logStreamName": name, "timestamp": millis(*at), "message": text, "ingestionTime": millis(*at),
                    "eventId": id,
                }),
            ));
        }
    }
    events.sort_by_key(|(at, _)| *at);
    json!({ "events": events.into_iter().take(limit).map(|(_, event)| event).collect::<Vec<_>>(), "searchedLogStreams": [] })
}

fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}
