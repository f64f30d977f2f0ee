//! `Retry-After`: how long a server wants to be left alone.
//!
//! Source: RFC 9110, section 10.2.3 (seconds or an HTTP date), RFC 6585, section 4 (429).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// No server is left alone for longer, wall time: one that lies, or is misconfigured, must not blind the night.
pub(super) const LONGEST: Duration = Duration::from_mins(5);

/// What the headers of an answer ask for, wall time, at most [`LONGEST`]; `now` is the wall clock. None: nothing that can
/// be understood.
pub(crate) fn told_to_wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        // A date that is over asks for nothing.
        Err(_) => {
            let until = rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(until.duration_since(now)).ok()?
        }
    };
    Some(wait.min(LONGEST)).filter(|wait| !wait.is_zero())
}

/// How it is said, e.g. `asked to wait 40 s`.
pub(super) fn words(wait: Duration) -> String {
    format!("asked to wait {}", crate::run::clock_text(SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_understood_and_what_is_absurd_is_bounded() {
        let now: Timestamp = "2026-11-25T02:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("40", Some(40)),
            (" 7 ", Some(7)),
            ("86400", Some(300)),
            ("18446744073709551615", Some(300)),
            ("0", None),
            ("-3", None),
            ("soon", None),
            ("Wed, 25 Nov 2026 02:01:30 GMT", Some(90)),
            ("Wed, 25 Nov 2026 01:59:30 GMT", None),
            ("Fri, 31 Dec 2100 23:59:59 GMT", Some(300)),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(told_to_wait(&headers, now).map(|wait| wait.as_secs()), expected, "{text:?}");
        }
        assert_eq!(told_to_wait(&HeaderMap::new(), now), None);
    }
}
