//! How long to leave a source alone that is in trouble.

use std::time::Duration;

use crate::run::TroubleKind;

/// After the first failure.
const FIRST: Duration = Duration::from_secs(2);
/// After a throttled call: asking again at once is what it was throttled for.
const THROTTLED: Duration = Duration::from_secs(5);
/// At most, however often it failed: a person waits for the answer.
const LONGEST: Duration = Duration::from_secs(60);

/// The pause after the `failures`th failure in a row, session time: doubled each time up to a minute, less up to a
/// quarter by `jitter` (0 to 1), so that many samplers and engines do not ask in step.
pub(super) fn pause(failures: u32, kind: TroubleKind, jitter: f64) -> Duration {
    let first = if kind == TroubleKind::Throttled { THROTTLED } else { FIRST };
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(LONGEST).mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 4.0)
}

/// From 0 to 1, different each time. The standard library seeds its hash maps from the system's randomness, which is
/// plenty for keeping out of step and saves a dependency.
pub(super) fn jitter() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let bits = RandomState::new().hash_one(0);
    // 32 bits have an exact floating-point form.
    f64::from(u32::try_from(bits >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let seconds = |failures| pause(failures, TroubleKind::Unreachable, 0.0).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 6, 40].map(seconds), [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause(1, TroubleKind::Throttled, 0.0).as_secs(), 5);
    }

    #[test]
    fn jitter_differs_and_stays_in_bounds() {
        let drawn: Vec<_> = (0..100).map(|_| jitter()).collect();
        assert!(drawn.iter().all(|value| (0.0..=1.0).contains(value)));
        assert!(drawn.windows(2).any(|pair| pair[0].to_bits() != pair[1].to_bits()));
    }

    proptest! {
        #[test]
        fn pauses_are_bounded(failures in any::<u32>(), jitter in -1.0f64..2.0) {
            let pause = pause(failures, TroubleKind::Refused, jitter);
            prop_assert!(pause >= Duration::from_millis(1500) && pause <= LONGEST);
        }
    }
}
