//! What is watched: checks, metrics, guardrails.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use toml::Spanned;

use super::{
    super::{
        database::DatabaseMeasure,
        error::Report,
        ids::Section,
        metric::{Bound, Consequence, Guardrail, Metric, MetricSource, Unit},
        model::{Check, JsonAssertion, StepId},
        raw::{RawCheck, RawGuardrail, RawJson, RawMetric, Text, split},
        scalar::{Fault, choice, number, quote, show, span_of_time, threshold, words},
    },
    Context,
    world::{SIDES, http_url},
};

const CHECK_EVERY: Duration = Duration::from_secs(10);
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
const METRIC_PERIOD: u32 = 60;
/// How often a database is asked, in seconds.
const DATABASE_PERIOD: u32 = 10;
const GUARDRAIL_LASTING: Duration = Duration::from_secs(120);
const GUARDRAIL_MAX_AGE: Duration = Duration::from_secs(180);

const UNITS: [(&str, Unit); 5] = [
    ("count", Unit::Count),
    ("per-second", Unit::PerSecond),
    ("percent", Unit::Percent),
    ("seconds", Unit::Seconds),
    ("bytes", Unit::Bytes),
];

fn id(text: &Text) -> String {
    text.get_ref().as_str().to_owned()
}

pub(super) fn checks(context: &Context<'_>, report: &mut Report) -> Vec<Check> {
    context.raw.check.iter().map(|raw| check(raw, report)).collect()
}

fn check(raw: &RawCheck, report: &mut Report) -> Check {
    let url = report.read(&raw.url, http_url);
    if let (Some(url), Some(text)) = (&url, &raw.min_certificate)
        && url.scheme() == "http"
    {
        report.error(text.span(), "a plain http URL has no certificate").help("write an https URL, or leave this out");
    }
    let mut time = |text: &Option<Text>| text.as_ref().and_then(|text| report.read(text, span_of_time));
    let (max_latency, min_certificate) = (time(&raw.max_latency), time(&raw.min_certificate));
    let (every, timeout) = (time(&raw.every).unwrap_or(CHECK_EVERY), time(&raw.timeout).unwrap_or(CHECK_TIMEOUT));
    if let (Some(latency), Some(text)) = (max_latency, &raw.max_latency)
        && latency > timeout
    {
        let message = format!("slower than this is never seen: a request ends after {}", show(timeout));
        report.error(text.span(), message).help("lower `max_latency`, or raise `timeout`");
    }
    let statuses = raw.status.as_ref().map(split).unwrap_or_default();
    let mut status: Vec<_> =
        statuses.iter().filter_map(|text| report.read(text, |text| number(100..=599, text))).collect();
    if statuses.is_empty() {
        status.push(200);
    }
    Check {
        id: id(&raw.id),
        title: report.read_or(raw.title.as_ref(), id(&raw.id), words),
        // As written: the parser's spelling may differ, and people search for what they wrote.
        url: raw.url.get_ref().as_str().to_owned(),
        status,
        contains: raw.contains.as_ref().and_then(|text| report.read(text, words)),
        json: raw.json.as_ref().map(|raw| assertion(raw, report)),
        max_latency,
        min_certificate,
        every,
        timeout,
        ca_file: raw.ca_file.as_ref().and_then(|text| report.read(text, words)).map(PathBuf::from),
    }
}

fn assertion(raw: &RawJson, report: &mut Report) -> JsonAssertion {
    JsonAssertion { pointer: report.read(&raw.pointer, pointer).unwrap_or_default(), equals: raw.equals.clone() }
}

/// A JSON pointer (RFC 6901): empty, or parts that each begin with a slash; `~` only as `~0` or `~1`.
fn pointer(text: &str) -> Result<String, Fault> {
    let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if escapes && (text.is_empty() || text.starts_with('/')) {
        return Ok(text.to_owned());
    }
    let message = format!("{} is not a JSON pointer", quote(text));
    Err(Fault::new(message, "write a path with leading slashes, such as `/status` or `/queues/0/depth` (RFC 6901)"))
}

pub(super) fn metrics(context: &Context<'_>, report: &mut Report) -> Vec<Metric> {
    let metrics: Vec<_> = context.raw.metric.iter().filter_map(|raw| metric(context, raw, report)).collect();
    for raw in &context.raw.metric {
        let raw = raw.get_ref();
        if let Some(metric) = metrics.iter().find(|metric| metric.id == id(&raw.id)) {
            sensible_unit(metric, raw, report);
            for part in [&raw.of, &raw.to].into_iter().flatten() {
                ratio_part(metric, part, &metrics, report);
            }
        }
    }
    metrics
}

fn metric(context: &Context<'_>, raw: &Spanned<RawMetric>, report: &mut Report) -> Option<Metric> {
    let source = source(context, raw, report);
    let raw = raw.get_ref();
    let side = report.read(&raw.side, |text| choice("a side", &SIDES, text));
    let unit = report.read(&raw.unit, |text| choice("a unit", &UNITS, text));
    Some(Metric {
        id: id(&raw.id),
        title: report.read_or(raw.title.as_ref(), id(&raw.id), words),
        graph: report.read_or(raw.graph.as_ref(), id(&raw.id), words),
        side: side?,
        unit: unit?,
        period: match &source {
            Some(MetricSource::Postgres { .. }) => {
                report.read_or(raw.period.as_ref(), DATABASE_PERIOD, |text| number(1..=3600, text))
            }
            _ => report.read_or(raw.period.as_ref(), METRIC_PERIOD, period),
        },
        source: source?,
    })
}

/// A period that CloudWatch takes, in seconds.
fn period(text: &str) -> Result<u32, Fault> {
    let help = "write 1, 5, 10, 20, 30 or a multiple of 60 (seconds)";
    let seconds = number(1..=86_400, text).map_err(|fault| Fault { help: Some(help.to_owned()), ..fault })?;
    if seconds % 60 == 0 || [1, 5, 10, 20, 30].contains(&seconds) {
        return Ok(seconds);
    }
    Err(Fault::new(format!("CloudWatch has no period of {seconds} seconds"), help))
}

fn source(context: &Context<'_>, raw: &Spanned<RawMetric>, report: &mut Report) -> Option<MetricSource> {
    let RawMetric { namespace, name, dimensions, stat, of, to, postgres, queue, .. } = raw.get_ref();
    match (postgres, queue, namespace, name, stat, of, to) {
        (Some(text), None, None, None, None, None, None) => {
            return Some(MetricSource::Postgres { postgres: super::database::measure(context, text, report)? });
        }
        (None, Some(queue), None, None, None, None, None) => {
            return Some(MetricSource::Queue { queue: report.read(queue, words)? });
        }
        _ => {}
    }
    match (namespace, name, stat, of.as_ref().filter(|_| queue.is_none()), to) {
        (Some(namespace), Some(name), Some(stat), None, None) => {
            let (namespace, name) = (report.read(namespace, words), report.read(name, words));
            let stat = report.read(stat, statistic);
            let mut pairs = BTreeMap::new();
            for (key, value) in dimensions.iter().flatten() {
                pairs.insert(key.get_ref().clone(), report.read(value, words)?);
            }
            Some(MetricSource::Stat { namespace: namespace?, name: name?, dimensions: pairs, stat: stat? })
        }
        (None, None, None, Some(of), Some(to)) => {
            let of = context.ids.refer(Section::Metric, of, report);
            let to = context.ids.refer(Section::Metric, to, report);
            Some(MetricSource::Ratio { of: of?, to: to? })
        }
        _ => {
            report
                .error(raw.span(), "nothing says where this metric comes from")
                .help("write `namespace`, `name`, `dimensions` and `stat`, `of` and `to` for the share of one metric in another, or one of `postgres` and `queue` alone");
            None
        }
    }
}

/// A statistic of CloudWatch: `Sum`, `p95`, `tm99`, ...
fn statistic(text: &str) -> Result<String, Fault> {
    const PLAIN: [&str; 5] = ["Sum", "Average", "Minimum", "Maximum", "SampleCount"];
    let percentile = ["tm", "wm", "tc", "ts", "p"].into_iter().find_map(|prefix| text.strip_prefix(prefix));
    let in_range = |text: &str| text.parse::<f64>().is_ok_and(|value| (0.0..=100.0).contains(&value));
    if PLAIN.contains(&text) || percentile.is_some_and(in_range) {
        return Ok(text.to_owned());
    }
    let help = match super::super::scalar::nearest(text, PLAIN) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "write `Sum`, `Average`, `Minimum`, `Maximum`, `SampleCount` or a percentile such as `p95`".to_owned(),
    };
    Err(Fault::new(format!("{} is not a statistic of CloudWatch", quote(text)), help))
}

fn sensible_unit(metric: &Metric, raw: &RawMetric, report: &mut Report) {
    match (&metric.source, metric.unit) {
        (MetricSource::Queue { .. }, unit) if unit != Unit::Count => {
            report.error(raw.unit.span(), "the messages of a queue are counted").help("write `count`");
        }
        (MetricSource::Ratio { .. }, unit) if unit != Unit::Percent => {
            report.error(raw.unit.span(), "the share of one metric in another is a percentage").help("write `percent`");
        }
        (MetricSource::Stat { stat, .. }, Unit::PerSecond) if !matches!(stat.as_str(), "Sum" | "SampleCount") => {
            report
                .error(raw.unit.span(), format!("a rate needs a sum, and this is {}", quote(stat)))
                .help("write `stat = \"Sum\"`: the sum over a period is divided by the period");
        }
        (MetricSource::Postgres { postgres }, unit) => {
            let (right, word) = match postgres {
                DatabaseMeasure::LagBytes | DatabaseMeasure::WrittenBytes => (Unit::Bytes, "bytes"),
                DatabaseMeasure::LagSeconds => (Unit::Seconds, "seconds"),
                DatabaseMeasure::WrittenRows => (Unit::Count, "count"),
            };
            if unit != right {
                let message = format!("this is measured in {}", if right == Unit::Count { "rows" } else { word });
                report.error(raw.unit.span(), message).help(format!("write `unit = \"{word}\"`"));
            }
        }
        _ => {}
    }
}

fn ratio_part(metric: &Metric, text: &Text, metrics: &[Metric], report: &mut Report) {
    let Some(part) = metrics.iter().find(|part| part.id == text.get_ref().as_str()) else { return };
    let sum = matches!(&part.source, MetricSource::Stat { stat, .. } if stat == "Sum" || stat == "SampleCount");
    if !sum {
        report
            .error(text.span(), format!("metric {} is not a sum", quote(&part.id)))
            .help("a share is one sum in another: name metrics with `stat = \"Sum\"`");
    } else if part.period != metric.period {
        let message =
            format!("metric {} has a period of {} s, this one of {} s", quote(&part.id), part.period, metric.period);
        report.error(text.span(), message).help("give both the same `period`");
    } else if part.side != metric.side {
        report
            .error(text.span(), format!("metric {} is of the other side", quote(&part.id)))
            .help("a share is of one side alone");
    }
}

pub(super) fn guardrails(context: &Context<'_>, metrics: &[Metric], report: &mut Report) -> Vec<Guardrail> {
    context.raw.guardrail.iter().filter_map(|raw| guardrail(context, raw, metrics, report)).collect()
}

fn guardrail(
    context: &Context<'_>,
    raw: &Spanned<RawGuardrail>,
    metrics: &[Metric],
    report: &mut Report,
) -> Option<Guardrail> {
    const CONSEQUENCES: [(&str, Consequence); 3] =
        [("warn", Consequence::Warn), ("hold", Consequence::Hold), ("propose-rollback", Consequence::ProposeRollback)];
    let place = raw.span();
    let raw = raw.get_ref();
    let metric = context.ids.refer(Section::Metric, &raw.metric, report);
    let unit = metric.as_ref().and_then(|id| metrics.iter().find(|metric| metric.id == *id)).map(|metric| metric.unit);
    let bound = match (&raw.above, &raw.below) {
        (Some(above), None) => Some((Bound::Above, above)),
        (None, Some(below)) => Some((Bound::Below, below)),
        _ => {
            report.error(place, "a guardrail has one bound").help("write `above = ...` or `below = ...`");
            None
        }
    };
    let limit = match (bound, unit) {
        (Some((_, text)), Some(unit)) => report.read(text, |text| threshold(text, unit)),
        _ => None,
    };
    let lasting = report.read_or(raw.lasting.as_ref(), GUARDRAIL_LASTING, super::super::scalar::duration);
    let max_age = report.read_or(raw.max_age.as_ref(), GUARDRAIL_MAX_AGE, span_of_time);
    let consequence = report
        .read_or(raw.consequence.as_ref(), Consequence::Warn, |text| choice("a consequence", &CONSEQUENCES, text));
    let after = raw.after.as_ref().and_then(|text| context.ids.refer(Section::Step, text, report));
    Some(Guardrail {
        id: id(&raw.id),
        title: report.read_or(raw.title.as_ref(), id(&raw.id), words),
        metric: metric?,
        bound: bound?.0,
        threshold: limit?,
        lasting,
        max_age,
        consequence,
        after: after.map(StepId),
    })
}
