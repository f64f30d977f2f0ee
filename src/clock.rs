//! The only caller of `now()`.
//!
//! Everything else is told the time. A real environment runs on [`Clock::real`]; a rehearsal may run on
//! [`Clock::scaled`], where one second of the wall is `speed` seconds of the session, so that a 60-minute TTL drains in
//! one minute at 60x. The engine, the cockpit and the sandbox of one rehearsal share the same epoch and speed and so
//! agree on what time it is.

//! **It never runs backwards.** When the machine's clock is set back while a process runs (a wrong date that NTP mends,
//! a restored virtual machine), that process goes on at the pace of the monotonic clock from where it was, until the
//! machine's clock has caught up. An engine that takes up a journal goes on from its last event in the same way
//! ([`not_before`]): a drain would otherwise wait an hour longer for an hour set back, and no gate could be opened in
//! it. Forwards it follows the machine, which may have been suspended.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A clock that is behind by more than this was set back; by less, it is being adjusted.
const SLEW: SignedDuration = SignedDuration::from_millis(500);
/// See [`Clock::fresh`].
const FRESH: Duration = Duration::from_secs(6);

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
        self.epoch.checked_add(SignedDuration::from_secs_f64(elapsed)).unwrap_or(Timestamp::MAX)
    }

    /// The wall instant at which it is this session time.
    #[must_use]
    pub fn wall_at(&self, session: Timestamp) -> Timestamp {
        if self.speed <= 1.0 {
            return session;
        }
        let elapsed = session.duration_since(self.epoch).as_secs_f64() / self.speed;
        self.epoch.checked_add(SignedDuration::from_secs_f64(elapsed)).unwrap_or(Timestamp::MAX)
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

    /// How long a measured value counts, session time: as long as asked for, and in a rehearsal that runs faster
    /// for some seconds by the wall at least: whoever measures does not run faster.
    #[must_use]
    pub fn fresh(&self, asked: Duration) -> Duration {
        if self.speed > 1.0 { asked.max(self.to_session(FRESH)) } else { asked }
    }

    /// Sleeps for a session duration.
    pub async fn sleep(&self, session: Duration) {
        tokio::time::sleep(self.to_wall(session)).await;
    }
}

/// The latest wall time that this process has told, and when by the monotonic clock.
static TOLD: Mutex<Option<(Timestamp, Instant)>> = Mutex::new(None);

/// The wall clock, for what belongs to this machine and not to the session (file names, token expiry).
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place where the clock is read")]
pub fn wall_now() -> Timestamp {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let now = steady(*told, (Timestamp::now(), monotonic()));
    *told = Some(now);
    now.0
}

/// This process tells no wall time before `wall` from here on: what it takes up has lived until then.
pub fn not_before(wall: Timestamp) {
    let now = wall_now();
    if wall > now {
        *TOLD.lock().unwrap_or_else(PoisonError::into_inner) = Some((wall, monotonic()));
    }
}

/// What to tell at `machine` (the machine's clock, the monotonic clock), having told `told`.
fn steady(told: Option<(Timestamp, Instant)>, machine: (Timestamp, Instant)) -> (Timestamp, Instant) {
    let Some((last, then)) = told else { return machine };
    let passed = SignedDuration::try_from(machine.1.saturating_duration_since(then)).unwrap_or_default();
    let due = last.checked_add(passed).unwrap_or(last);
    // Within what NTP slews and two clocks differ by, the machine is right; but never back.
    let set_back = due.duration_since(machine.0) > SLEW;
    (if set_back { due } else { machine.0.max(last) }, machine.1)
}

/// How long the wall's clock takes until its next second begins: more than nothing, at most one second.
#[must_use]
pub fn until_the_second_turns() -> std::time::Duration {
    const SECOND: std::time::Duration = std::time::Duration::from_secs(1);
    let into = u64::try_from(wall_now().subsec_nanosecond()).unwrap_or(0);
    SECOND.saturating_sub(std::time::Duration::from_nanos(into))
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
    fn a_second_turns_within_a_second() {
        let (before, left, after) = (wall_now(), until_the_second_turns(), wall_now());
        assert!(!left.is_zero() && left <= Duration::from_secs(1), "{left:?}");
        // A whole second lies where it was to turn, seen from before it was asked and from after.
        let whole = Timestamp::from_second((after + left).as_second()).unwrap();
        assert!((before + left..=after + left).contains(&whole), "{before} {left:?} {after}");
    }

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
    fn a_value_counts_as_long_as_asked_for_unless_time_runs_too_fast_for_whoever_measures() {
        let minute = Duration::from_secs(60);
        assert_eq!(Clock::real().fresh(minute), minute);
        let fast = Clock::scaled(120.0);
        assert_eq!(fast.fresh(minute), fast.to_session(FRESH));
        assert_eq!(fast.fresh(minute * 60), minute * 60);
    }

    #[test]
    fn a_clock_set_back_goes_on_at_its_pace_and_one_set_forward_is_followed() {
        let noon: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let (start, second) = (monotonic(), Duration::from_secs(1));
        let at = |seconds: i64| noon.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        let told = Some((noon, start));
        assert_eq!(steady(None, (noon, start)).0, noon);
        assert_eq!(steady(told, (at(1), start + second)).0, at(1));
        assert_eq!(steady(told, (at(-3600), start + 5 * second)).0, at(5), "set back by an hour");
        assert_eq!(steady(Some((at(5), start)), (at(-3594), start + second)).0, at(6), "and still");
        assert_eq!(steady(told, (at(600), start + second)).0, at(600), "suspended for ten minutes");
        let slewed = noon.checked_sub(SignedDuration::from_millis(200)).unwrap();
        assert_eq!(steady(told, (slewed, start)).0, noon, "never back, not even a little");
    }

    #[test]
    fn session_and_wall_time_lead_to_each_other() {
        let epoch: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let session: Timestamp = "2026-01-01T00:02:00Z".parse().unwrap();
        for clock in [Clock::scaled_from(epoch, 60.0), Clock::real()] {
            assert_eq!(clock.at_wall(clock.wall_at(session)), session);
        }
    }

    #[test]
    fn the_real_clock_is_the_wall() {
        let wall: Timestamp = "2026-01-01T00:00:02Z".parse().unwrap();
        assert_eq!(Clock::real().at_wall(wall), wall);
    }
}
