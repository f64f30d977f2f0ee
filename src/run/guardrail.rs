//! Three-valued verdicts: holding, breach, or blind. No data is not green.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::{Bound, Guardrail, Threshold};

/// One measured value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Datum {
    /// Start of the period that it covers, session time.
    pub at: Timestamp,
    /// In the metric's own unit.
    pub value: f64,
}

/// The three values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VerdictKind {
    /// The newest data are on the right side of the threshold.
    Holding,
    /// They have been on the wrong side for the whole of `lasting`.
    Breach,
    /// There is no datum young enough to tell, or no baseline to compare with.
    Blind,
}

/// A verdict with what it rests on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The verdict.
    pub kind: VerdictKind,
    /// The newest value.
    pub value: Option<f64>,
    /// The threshold in the metric's unit, once known.
    pub threshold: Option<f64>,
    /// Age of the newest datum, counted from the end of its period.
    pub age: Option<Duration>,
}

/// Judges one guardrail. `data` is ordered by time; `period` is how long each datum covers.
#[must_use]
pub fn judge(
    guardrail: &Guardrail,
    data: &[Datum],
    period: Duration,
    baseline: Option<f64>,
    now: Timestamp,
) -> Verdict {
    let threshold = match guardrail.threshold {
        Threshold::Absolute(value) => Some(value),
        Threshold::Relative(factor) => baseline.map(|base| base * factor),
    };
    let newest = data.last();
    let age = newest.map(|datum| since(datum.at, now).saturating_sub(period));
    let verdict = |kind| Verdict { kind, value: newest.map(|datum| datum.value), threshold, age };
    let (Some(limit), Some(age_now)) = (threshold, age) else { return verdict(VerdictKind::Blind) };
    // A value that is no number compares with nothing.
    if age_now > guardrail.max_age || newest.is_some_and(|datum| !datum.value.is_finite()) {
        return verdict(VerdictKind::Blind);
    }
    let bad = |value: f64| match guardrail.bound {
        Bound::Above => value > limit,
        Bound::Below => value < limit,
    };
    // The run of bad data that ends with the newest one must cover `lasting`.
    let first_bad = data.iter().rev().take_while(|datum| bad(datum.value)).last();
    let covered = first_bad.zip(newest).map(|(first, last)| since(first.at, last.at) + period);
    let breach = covered.is_some_and(|covered| covered >= guardrail.lasting);
    verdict(if breach { VerdictKind::Breach } else { VerdictKind::Holding })
}

fn since(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or(Duration::ZERO)
}
