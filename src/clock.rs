//! The only caller of `now()`.
//!
//! Everything else is told the time. A real environment runs on [`Clock::real`]; a rehearsal may run on
//! [`Clock::scaled`], where one second of the wall is `speed` seconds of the session, so that a 60-minute TTL drains in
//! one minute at 60x. The engine, the cockpit and the sandbox of one rehearsal share the same epoch and speed and so
//! agree on what time it is.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Maps the wall clock to session time. Copy it freely: it is three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// Wall-clock instant at which session time and wall time were equal.
    epoch: Timestamp,
    /// Session seconds per wall second; 1.0 in every real environment.
    speed: f64,
}

impl Clock {
    /// The wall clock itself.
    #[must_use]
    pub const fn real() -> Self {
        Self { epoch: Timestamp::UNIX_EPOCH, speed: 1.0 }
    }

    /// A clock that agrees with the wall now and runs `speed` times as fast from here on (`speed` is at least 1).
    #[must_use]
    pub fn scaled(speed: f64) -> Self {
        Self::scaled_from(wall_now(), speed)
    }

    /// A clock that agreed with the wall at `epoch`: how a second process joins a scaled session.
    #[must_use]
    pub const fn scaled_from(epoch: Timestamp, speed: f64) -> Self {
        Self { epoch, speed: speed.max(1.0) }
    }

    /// Session seconds per wall second.
    #[must_use]
    pub const fn speed(&self) -> f64 {
        self.speed
    }

    /// The wall instant at which this clock agreed with the wall.
    #[must_use]
    pub const fn epoch(&self) -> Timestamp {
        self.epoch
    }

    /// Session time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.at_wall(wall_now())
    }

    /// Session time at a given wall instant.
    #[must_use]
    pub fn at_wall(&self, wall: Timestamp) -> Timestamp {
        if self.speed <= 1.0 {
            return wall;
        }
        let elapsed = wall.duration_since(self.epoch).as_secs_f64() * self.speed;
        self.epoch.checked_add(jiff::SignedDuration::from_secs_f64(elapsed)).unwrap_or(Timestamp::MAX)
    }

    /// How long the wall takes for `session` to pass.
    #[must_use]
    pub fn to_wall(&self, session: Duration) -> Duration {
        session.div_f64(self.speed.max(1.0))
    }

    /// How much session time passes in a wall duration.
    #[must_use]
    pub fn to_session(&self, wall: Duration) -> Duration {
        wall.mul_f64(self.speed.max(1.0))
    }

    /// Sleeps for a session duration.
    pub async fn sleep(&self, session: Duration) {
        tokio::time::sleep(self.to_wall(session)).await;
    }
}

/// The wall clock, for what belongs to this machine and not to the session (file names, token expiry).
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place where the clock is read")]
pub fn wall_now() -> Timestamp {
    Timestamp::now()
}

/// A monotonic instant, for latencies and key timing.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place where the clock is read")]
pub fn monotonic() -> std::time::Instant {
    std::time::Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_time_runs_speed_times_as_fast() {
        let epoch: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let clock = Clock::scaled_from(epoch, 60.0);
        let wall: Timestamp = "2026-01-01T00:00:02Z".parse().unwrap();
        assert_eq!(clock.at_wall(wall).to_string(), "2026-01-01T00:02:00Z");
        assert_eq!(clock.to_wall(Duration::from_secs(120)), Duration::from_secs(2));
        assert_eq!(clock.to_session(Duration::from_secs(2)), Duration::from_secs(120));
    }

    #[test]
    fn the_real_clock_is_the_wall() {
        let wall: Timestamp = "2026-01-01T00:00:02Z".parse().unwrap();
        assert_eq!(Clock::real().at_wall(wall), wall);
    }
}
