//! Whether an answer passes a check; pure.

use std::{net::IpAddr, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use crate::{plan::Check, world::clean::clean_to};

/// How much of a value of the body is shown.
const SHOWN: usize = 60;

/// What a server answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    pub(super) certificate_until: Option<Timestamp>,
    pub(super) address: Option<IpAddr>,
    /// How long the server wants to be left alone.
    pub(super) wait: Option<Duration>,
}

/// Why an answer does not pass; None: it does. `now` is session time.
pub(super) fn reason(check: &Check, answer: &Answer, latency: Duration, now: Timestamp) -> Option<String> {
    status(check, answer.status)
        .or_else(|| body(check, &answer.body))
        .or_else(|| slow(check, latency))
        .or_else(|| certificate(check, answer.certificate_until, now))
}

fn status(check: &Check, status: u16) -> Option<String> {
    let wanted = || check.status.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ");
    (!check.status.contains(&status)).then(|| format!("status {status}, wanted {}", wanted()))
}

fn body(check: &Check, body: &[u8]) -> Option<String> {
    if let Some(text) = &check.contains
        && !String::from_utf8_lossy(body).contains(text)
    {
        return Some(format!("body lacks {}", shown(&Value::from(text.as_str()))));
    }
    let wanted = check.json.as_ref()?;
    let Ok(found) = serde_json::from_slice::<Value>(body) else { return Some("body is not JSON".to_owned()) };
    let at = clean_to(&wanted.pointer, SHOWN);
    match found.pointer(&wanted.pointer) {
        Some(value) if *value == wanted.equals => None,
        Some(value) => Some(format!("{at} is {}, wanted {}", shown(value), shown(&wanted.equals))),
        None => Some(format!("body has no {at}, wanted {}", shown(&wanted.equals))),
    }
}

fn shown(value: &Value) -> String {
    clean_to(&value.to_string(), SHOWN)
}

fn slow(check: &Check, latency: Duration) -> Option<String> {
    let limit = check.max_latency.filter(|limit| latency > *limit)?;
    Some(format!("slower than {}: {}", span(limit), span(latency)))
}

fn certificate(check: &Check, until: Option<Timestamp>, now: Timestamp) -> Option<String> {
    let (until, wanted) = (until?, check.min_certificate?);
    let left = Duration::try_from(until.duration_since(now)).ok();
    match left {
        None => Some(format!("certificate expired {} ago", span(Duration::try_from(now.duration_since(until)).ok()?))),
        Some(left) if left < wanted => Some(format!("certificate expires in {}", span(left))),
        Some(_) => None,
    }
}

/// A duration in the largest unit in which it is at least 1.
pub(super) fn span(duration: Duration) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    let seconds = duration.as_secs();
    if let Some((size, unit)) = units.into_iter().find(|(size, _)| seconds >= 2 * size || seconds == *size) {
        let count = seconds / size;
        return format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
    }
    match duration.as_millis() {
        millis @ 0..10_000 if millis % 1000 != 0 => format!("{millis} ms"),
        millis => format!("{} s", millis / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::JsonAssertion;

    fn check() -> Check {
        Check {
            id: "health".into(),
            title: "Health".into(),
            url: "https://shop.example.test/health".into(),
            status: vec![200, 204],
            contains: Some("Acme".into()),
            json: Some(JsonAssertion { pointer: "/status".into(), equals: "ok".into() }),
            max_latency: Some(Duration::from_millis(250)),
            min_certificate: Some(Duration::from_secs(7 * 86_400)),
            every: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            ca_file: None,
        }
    }

    fn says(status: u16, body: &str, millis: u64, days: i64) -> Option<String> {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let until = Some(now + jiff::SignedDuration::from_hours(24 * days));
        let answer = Answer { status, body: body.into(), certificate_until: until, address: None, wait: None };
        reason(&check(), &answer, Duration::from_millis(millis), now)
    }

    #[test]
    fn reasons_are_short_and_say_what_was_wanted() {
        let good = r#"{"shop":"Acme","status":"ok"}"#;
        let cases = [
            (says(200, good, 20, 30), None),
            (says(204, good, 250, 7), None),
            (says(503, good, 20, 30), Some("status 503, wanted 200 or 204")),
            (says(200, "{}", 20, 30), Some("body lacks \"Acme\"")),
            (says(200, "Acme", 20, 30), Some("body is not JSON")),
            (says(200, r#"{"shop":"Acme"}"#, 20, 30), Some("body has no /status, wanted \"ok\"")),
            (
                says(200, "{\"shop\":\"Acme\",\"status\":\"de\\u001b[31mgraded\"}", 20, 30),
                Some("/status is \"de\\u001b[31mgraded\", wanted \"ok\""),
            ),
            (says(200, good, 612, 30), Some("slower than 250 ms: 612 ms")),
            (says(200, good, 20, 3), Some("certificate expires in 3 days")),
            (says(200, good, 20, -2), Some("certificate expired 2 days ago")),
        ];
        for (said, expected) in cases {
            assert_eq!(said.as_deref(), expected);
        }
    }

    #[test]
    fn spans_read_as_people_say_them() {
        let cases =
            [(0, "0 s"), (612, "612 ms"), (1500, "1500 ms"), (5000, "5 s"), (60_000, "1 minute"), (90_000, "90 s")];
        for (millis, text) in cases {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
        assert_eq!(span(Duration::from_secs(3 * 86_400 + 5)), "3 days");
    }
}
