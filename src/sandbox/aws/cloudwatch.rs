//! CloudWatch: `ListMetrics` and `GetMetricData`, one core for all three of its encodings.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{AwsError, pairs, string};
use crate::sandbox::{
    lock,
    metrics::{MetricId, Metrics, PERIOD, is_statistic},
    world::World,
};

/// Limits of `GetMetricData` (API reference).
const MAX_QUERIES: usize = 500;
const MAX_DATAPOINTS: usize = 100_800;

/// Carries an operation out on the neutral form of its input.
pub(super) fn serve(world: &World, operation: &str, input: Value) -> Result<Value, AwsError> {
    match operation {
        "ListMetrics" => Ok(list_metrics(&lock(&world.metrics), &input)),
        "GetMetricData" => get_metric_data(world, &input),
        other => Err(AwsError::bad_request("InvalidAction", format!("The sandbox has no operation {other}"))),
    }
}

fn list_metrics(metrics: &Metrics, input: &Value) -> Value {
    let wanted = pairs(input, "Dimensions");
    let text_fits = |key, value: &str| input.get(key).and_then(Value::as_str).is_none_or(|wanted| wanted == value);
    let fits = |id: &&MetricId| {
        text_fits("Namespace", &id.namespace)
            && text_fits("MetricName", &id.name)
            && wanted.iter().all(|(name, value)| {
                let found = id.dimensions.iter().find(|(key, _)| key == name);
                found.is_some_and(|(_, found)| value.as_ref().is_none_or(|wanted| wanted == found))
            })
    };
    let metrics: Vec<Value> = metrics.ids().filter(fits).map(metric_json).collect();
    json!({ "Metrics": metrics })
}

fn metric_json(id: &MetricId) -> Value {
    let dimension = |(name, value): &(String, String)| json!({ "Name": name, "Value": value });
    let dimensions: Vec<Value> = id.dimensions.iter().map(dimension).collect();
    json!({ "Namespace": id.namespace, "MetricName": id.name, "Dimensions": dimensions })
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::bad_request("ValidationError", message)
}

/// One query of `GetMetricData`, checked.
struct Query {
    id: String,
    label: String,
    metric: MetricId,
    statistic: String,
    period: i64,
    shown: bool,
}

fn get_metric_data(world: &World, input: &Value) -> Result<Value, AwsError> {
    let queries = input.get("MetricDataQueries").and_then(Value::as_array);
    let queries = queries.ok_or_else(|| invalid("The parameter MetricDataQueries is required."))?;
    if queries.len() > MAX_QUERIES {
        return Err(invalid(format!(
            "The collection MetricDataQueries must not have a size greater than {MAX_QUERIES}."
        )));
    }
    let (start, end) = (time(input, "StartTime")?, time(input, "EndTime")?);
    if start >= end {
        return Err(invalid("The parameter StartTime must be less than the parameter EndTime."));
    }
    let queries = queries.iter().map(read_query).collect::<Result<Vec<Query>, AwsError>>()?;
    let mut seen = BTreeMap::new();
    if let Some(twice) = queries.iter().find(|query| seen.insert(query.id.as_str(), ()).is_some()) {
        return Err(invalid(format!("The values for parameter id in MetricDataQueries are not unique: {}", twice.id)));
    }
    let ascending = string(input, "ScanBy") == "TimestampAscending";
    let metrics = lock(&world.metrics);
    let readable = (world.clock.now(), world.scenario.metrics.delay);
    let mut left = MAX_DATAPOINTS;
    let results = queries.iter().filter(|query| query.shown).map(|query| {
        let points = metrics.read(&query.metric, (start, end), query.period, readable);
        let value =
            |(at, bucket): &(i64, crate::sandbox::metrics::Bucket)| Some((*at, bucket.statistic(&query.statistic)?));
        let mut points: Vec<(i64, f64)> = points.iter().filter_map(value).collect();
        if !ascending {
            points.reverse();
        }
        let complete = points.len() <= left;
        points.truncate(left);
        left -= points.len();
        json!({
            "Id": query.id,
            "Label": query.label,
            "Timestamps": points.iter().map(|(at, _)| *at as f64).collect::<Vec<_>>(),
            "Values": points.iter().map(|(_, value)| *value).collect::<Vec<_>>(),
            "StatusCode": if complete { "Complete" } else { "PartialData" },
        })
    });
    Ok(json!({ "MetricDataResults": results.collect::<Vec<_>>(), "Messages": [] }))
}

fn read_query(query: &Value) -> Result<Query, AwsError> {
    let id = string(query, "Id").to_owned();
    let starts_well = id.starts_with(|c: char| c.is_ascii_lowercase());
    if !starts_well || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(invalid(format!(
            "The value {id} for parameter id is not a valid id: it must begin with a lowercase letter"
        )));
    }
    let stat = query.get("MetricStat").ok_or_else(|| {
        invalid(format!("The query {id} has no MetricStat; the sandbox does not evaluate expressions"))
    })?;
    let metric = stat.get("Metric").unwrap_or(&Value::Null);
    let dimensions = pairs(metric, "Dimensions");
    let dimensions: Vec<(&str, &str)> =
        dimensions.iter().map(|(name, value)| (name.as_str(), value.as_deref().unwrap_or_default())).collect();
    let statistic = string(stat, "Stat").to_owned();
    if !is_statistic(&statistic) {
        return Err(invalid(format!("The value {statistic} for parameter Stat is not a statistic")));
    }
    let period = integer(stat.get("Period")).unwrap_or(0);
    if period < PERIOD || period % PERIOD != 0 {
        return Err(invalid(format!("The parameter Period must be a multiple of {PERIOD}, found {period}")));
    }
    let name = string(metric, "MetricName");
    let label = Some(string(query, "Label")).filter(|label| !label.is_empty()).unwrap_or(name).to_owned();
    let shown = query.get("ReturnData").is_none_or(|shown| *shown != json!(false) && *shown != json!("false"));
    Ok(Query {
        id,
        label,
        metric: MetricId::new(string(metric, "Namespace"), name, &dimensions),
        statistic,
        period,
        shown,
    })
}

/// A number, or a number in a string as the query protocol has it.
fn integer(value: Option<&Value>) -> Option<i64> {
    let value = value?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// Epoch seconds, or ISO 8601 as the query protocol has it.
fn time(input: &Value, key: &str) -> Result<i64, AwsError> {
    let value = input.get(key).unwrap_or(&Value::Null);
    let seconds = value.as_f64().map(|seconds| seconds as i64);
    let iso = || value.as_str()?.parse::<Timestamp>().ok().map(Timestamp::as_second);
    seconds.or_else(iso).ok_or_else(|| invalid(format!("The parameter {key} is required and must be a time")))
}
