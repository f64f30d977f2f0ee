//! Small values as people write them: durations, thresholds with units, choices; and the names nearest to a mistyped one.

use std::{fmt::Display, net::IpAddr, net::SocketAddr, ops::RangeInclusive, str::FromStr, time::Duration};

use super::{
    metric::{Threshold, Unit},
    model::Resolver,
};

/// Why a text is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: Some(help.into()) }
    }
}

/// The text in backticks, escaped and short: what an operator wrote may hold anything.
pub(super) fn quote(text: &str) -> String {
    const SHOWN: usize = 60;
    let short: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    let more = if text.chars().nth(SHOWN).is_some() { "..." } else { "" };
    format!("`{}{more}`", short.replace("\\\"", "\"").replace("\\'", "'"))
}

/// The known name nearest to a mistyped one, if any is near enough to be meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = |known: &'a str| (strsim::damerau_levenshtein(name, known), known);
    let limit = name.chars().count().div_ceil(3).max(1);
    known.into_iter().map(near).min().filter(|(distance, _)| *distance <= limit).map(|(_, known)| known)
}

/// "did you mean `x`?", or the list of what is known.
pub(super) fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    const LISTED: usize = 30;
    let known: Vec<_> = known.into_iter().collect();
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "there is none in this plan".to_owned(),
        None => {
            let listed: Vec<_> = known.iter().take(LISTED).map(|name| format!("`{name}`")).collect();
            let more = if known.len() > LISTED { ", ..." } else { "" };
            format!("known here: {}{more}", listed.join(", "))
        }
    }
}

/// One of a few words.
pub(super) fn choice<T: Copy>(what: &str, table: &[(&str, T)], text: &str) -> Result<T, Fault> {
    let found = table.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        Fault::new(format!("{} is not {what}", quote(text)), suggest(text, table.iter().map(|(word, _)| *word)))
    })
}

/// `true` or `false`.
pub(super) fn flag(text: &str) -> Result<bool, Fault> {
    choice("true or false", &[("true", true), ("false", false)], text)
}

/// A whole number within bounds.
pub(super) fn number<T>(bounds: RangeInclusive<T>, text: &str) -> Result<T, Fault>
where
    T: FromStr + PartialOrd + Display,
{
    let found = text.parse().ok().filter(|number| bounds.contains(number));
    found.ok_or_else(|| {
        let (low, high) = (bounds.start(), bounds.end());
        let what = if text.parse::<i128>().is_ok() { "out of bounds" } else { "not a whole number" };
        Fault::new(format!("{} is {what}", quote(text)), format!("write a whole number from {low} to {high}"))
    })
}

/// A name that may be part of a path: lower-case letters, digits and inner dashes, at most 63.
pub(super) fn slug(text: &str) -> Result<String, Fault> {
    let letters = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    let ok = letters && !text.is_empty() && text.len() <= 63 && !text.starts_with('-') && !text.ends_with('-');
    if ok {
        return Ok(text.to_owned());
    }
    let message = format!("{} is not a usable name", quote(text));
    Err(Fault::new(message, "use 1 to 63 lower-case letters, digits and inner dashes, such as `switch-shop`"))
}

/// Text for people: not empty, one line, no control characters.
pub(super) fn words(text: &str) -> Result<String, Fault> {
    if text.trim().is_empty() {
        return Err(Fault::new("this text is empty", "write what a person should read here"));
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(Fault::new("this text holds a control character", "write plain text"));
    }
    Ok(text.trim().to_owned())
}

/// A duration such as `250ms`, `90s`, `5m`, `1h30m`, `14d`.
pub(super) fn duration(text: &str) -> Result<Duration, Fault> {
    duration_of(text).ok_or_else(|| {
        let message = format!("{} is not a duration", quote(text));
        let help = match text.trim().parse::<u64>() {
            Ok(number) => format!("say the unit: `{number}s`, `{number}m` or `{number}h`"),
            Err(_) => "write numbers with units, such as `250ms`, `90s`, `5m`, `1h30m` or `14d`".to_owned(),
        };
        Fault::new(message, help)
    })
}

/// A duration above zero.
pub(super) fn span_of_time(text: &str) -> Result<Duration, Fault> {
    let duration = duration(text)?;
    if duration.is_zero() {
        return Err(Fault::new("this duration is zero", "write a duration above zero, such as `30s`"));
    }
    Ok(duration)
}

fn duration_of(text: &str) -> Option<Duration> {
    const LONGEST_MS: u64 = 400 * 24 * 3_600_000;
    let mut rest = text.trim();
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let tail = tail.trim_start();
        let (unit, tail) = tail.split_at(tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len()));
        let scale = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(scale)?)?;
        rest = tail.trim_start();
    }
    (!text.trim().is_empty() && total <= LONGEST_MS).then(|| Duration::from_millis(total))
}

/// How people write a duration, in the largest units that say it exactly.
pub(super) fn show(duration: Duration) -> String {
    let ms = duration.as_millis();
    let parts = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let mut rest = ms;
    let mut shown = String::new();
    for (scale, unit) in parts {
        if rest >= scale {
            shown += &format!("{}{unit}", rest / scale);
            rest %= scale;
        }
    }
    if shown.is_empty() { "0s".to_owned() } else { shown }
}

/// A guardrail's threshold, checked against the unit of its metric.
pub(super) fn threshold(text: &str, unit: Unit) -> Result<Threshold, Fault> {
    let fault = || Fault::new(format!("{} is not a threshold for this metric", quote(text)), example(unit));
    let split = text.trim().find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.trim().len());
    let (number, suffix) = text.trim().split_at(split);
    let number: f64 = number.parse().map_err(|_| fault())?;
    let suffix: String = suffix.split_whitespace().collect();
    if matches!(suffix.as_str(), "xbaseline" | "×baseline") {
        return if number > 0.0 { Ok(Threshold::Relative(number)) } else { Err(fault()) };
    }
    let scale = scale_of(&suffix, unit).ok_or_else(fault)?;
    let value = number * scale;
    let sane = value.is_finite() && (unit != Unit::Percent || value <= 100.0);
    if sane { Ok(Threshold::Absolute(value)) } else { Err(fault()) }
}

fn scale_of(suffix: &str, unit: Unit) -> Option<f64> {
    let scale = match (unit, suffix) {
        (Unit::Count, "")
        | (Unit::PerSecond, "/s")
        | (Unit::Percent, "%")
        | (Unit::Seconds, "s")
        | (Unit::Bytes, "B") => 1.0,
        (Unit::PerSecond, "/min" | "/m") => 1.0 / 60.0,
        (Unit::Seconds, "us" | "µs") => 1e-6,
        (Unit::Seconds, "ms") => 1e-3,
        (Unit::Seconds, "m" | "min") => 60.0,
        (Unit::Seconds, "h") => 3600.0,
        (Unit::Bytes, "kB") => 1e3,
        (Unit::Bytes, "MB") => 1e6,
        (Unit::Bytes, "GB") => 1e9,
        (Unit::Bytes, "KiB") => 1024.0,
        (Unit::Bytes, "MiB") => 1024.0 * 1024.0,
        (Unit::Bytes, "GiB") => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some(scale)
}

fn example(unit: Unit) -> String {
    let absolute = match unit {
        Unit::Count => "the metric is a count: write a plain number, such as `500`",
        Unit::PerSecond => "the metric is a rate: write `100 /s` or `6000 /min`",
        Unit::Percent => "the metric is in percent: write `2 %` (0 to 100)",
        Unit::Seconds => "the metric is a time: write `250 ms` or `1.5 s`",
        Unit::Bytes => "the metric is in bytes: write `1.5 GiB` or `500 MB`",
    };
    format!("{absolute}, or `3x baseline`")
}

/// A socket address; the port may be left out.
pub(super) fn server(text: &str) -> Result<SocketAddr, Fault> {
    let bare = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    text.parse().or_else(|_| bare()).map_err(|_| {
        let message = format!("{} is not the address of a DNS server", quote(text));
        Fault::new(message, "write an IP address, with a port if it is not 53: `1.1.1.1`, `127.0.0.1:5301`, `[::1]:53`")
    })
}

/// A resolver: `1.1.1.1`, `127.0.0.1:5302` or `office=10.0.0.2:53`.
pub(super) fn resolver(text: &str) -> Result<Resolver, Fault> {
    match text.split_once('=') {
        Some((name, address)) => Ok(Resolver { name: words(name)?, address: server(address.trim())? }),
        None => server(text).map(|address| Resolver { name: text.to_owned(), address }),
    }
}
