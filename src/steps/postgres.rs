//! `postgres.*`: who may write, waiting for replication, sequences, comparison.
//!
//! | file | kinds |
//! |---|---|
//! | `access` | `postgres.freeze`, `postgres.open` |
//! | `caught_up` | `postgres.wait-caught-up` |
//! | `sequences` | `postgres.sync-sequences` |
//! | `compare` | `postgres.compare` |

pub(super) mod access;
pub(super) mod caught_up;
pub(super) mod compare;
pub(super) mod sequences;

use std::time::Duration;

/// Bytes as people say them.
fn bytes(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let mut value = count as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// Whole seconds as people say them, for an estimate.
fn about(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 90 { format!("~{seconds} s") } else { format!("~{} min", seconds.div_ceil(60)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_estimates_are_said_as_people_say_them() {
        for (count, expected) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 40, "5.0 TiB")] {
            assert_eq!(bytes(count), expected);
        }
        assert_eq!(about(Duration::from_secs(89)), "~89 s");
        assert_eq!(about(Duration::from_secs(91)), "~2 min");
    }
}
