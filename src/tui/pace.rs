//! How much may be on its way to the terminal: as much as the link carries at once, and hardly more.
//!
//! Between us and the person lie the buffers of a pseudo-terminal, of a server and of a connection: some 30 KiB, which
//! take four seconds over a link of 8 KiB/s. What is written there can no longer be taken back, and the answer to a key
//! waits behind it. So the terminal is asked from time to time whether it is well (DSR, `CSI 5 n`, which all of the xterm
//! family answer): the answer tells that all before it has arrived, and after how long. From that follow the rate and the
//! delay of the link, and how much keeps it busy. The rest of a frame stays here, where a newer frame takes its place.
//!
//! A terminal that never answers is written to as before; so is one that is near, because it carries any frame at once.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Asks the terminal for a sign of life.
pub(super) const ASK: &str = "\x1b[5n";
/// The terminal's answer.
pub(super) const ANSWER: &[u8] = b"\x1b[0n";

/// It is asked once so many bytes have been written since it was asked last.
const EVERY: usize = 200;
/// From so many bytes on the time that they took tells about the rate.
const TELLING: usize = 600;
/// At so many bytes a second a whole screen takes no longer than a blink: a link that is as fast, or a near terminal that
/// is busy, gets frames whole.
const FAST: f64 = 64.0 * 1024.0;
/// What counts of earlier measurements at each new one.
const FADING: f64 = 0.7;
/// How long a key's answer may wait behind what was written before it.
const QUEUE: Duration = Duration::from_millis(25);
/// The least that may be on its way: a line or two.
const LEAST: usize = 256;
/// An answer that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// One question on its way.
#[derive(Debug)]
struct Asked {
    at: Instant,
    /// Bytes that were on their way, the question included.
    flight: usize,
    /// Bytes written up to here since the question before it.
    bytes: usize,
}

/// What is known of the way to the terminal.
#[derive(Debug, Default)]
pub(super) struct Pace {
    asked: VecDeque<Asked>,
    /// Bytes that were written since it was asked last.
    since: usize,
    /// Questions that it was asked in all, and answered.
    numbers: (u64, u64),
    /// What an answer takes when nothing is before it, seconds; None: it never answered.
    delay: Option<f64>,
    /// When it answered last.
    heard: Option<Instant>,
    /// Bytes that the link carried lately, and the seconds that it took for them; zeros: nothing tells that it is slow.
    carrying: (f64, f64),
}

impl Pace {
    /// It has just been asked, when it was taken over.
    pub(super) fn asked_at(now: Instant) -> Self {
        let mut pace = Self::default();
        pace.ask(now);
        pace
    }

    /// How many bytes the next write should have at most; None: as many as there are.
    pub(super) fn room(&mut self, now: Instant) -> Option<usize> {
        let carried = self.carried(now)?;
        // Some of what the link carries, so that it does not run dry while an answer is on its way.
        Some(carried.saturating_sub(self.flight()).min(carried / 4).max(LEAST))
    }

    /// Whether so little may be written now that it is not worth a frame. The answer to a key (`awaited`) is worth a piece
    /// where all is taken: the terminal would not have it sooner if its own answer were waited for first.
    pub(super) fn full(&mut self, now: Instant, awaited: bool) -> bool {
        let flight = self.flight();
        self.carried(now)
            .is_some_and(|carried| if awaited { carried + LEAST / 4 < flight } else { carried < flight + LEAST })
    }

    /// Bytes that the link carries at once; None: nothing tells.
    fn carried(&mut self, now: Instant) -> Option<usize> {
        if self.asked.front().is_some_and(|asked| now.saturating_duration_since(asked.at) > PATIENCE) {
            self.forget();
        }
        let delay = self.delay.filter(|_| self.carrying.0 > 0.0)?;
        let rate = self.carrying.0 / self.carrying.1;
        if rate > FAST {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is a number of bytes")]
        let carried = (rate * (delay + QUEUE.as_secs_f64())) as usize;
        Some(carried.max(4 * LEAST))
    }

    /// When it is no longer waited for.
    pub(super) fn patience(&self) -> Option<Instant> {
        self.asked.front().map(|asked| asked.at + PATIENCE)
    }

    /// Takes note of bytes that are written now. Some: ask behind them; the question's number. `must`: ask in any case.
    pub(super) fn written(&mut self, bytes: usize, must: bool, now: Instant) -> Option<u64> {
        self.since += bytes;
        if self.since < EVERY && !(must && self.delay.is_some()) {
            return None;
        }
        Some(self.ask(now))
    }

    /// Takes note of a question.
    fn ask(&mut self, now: Instant) -> u64 {
        let bytes = std::mem::take(&mut self.since) + ASK.len();
        let flight = self.flight() + bytes;
        self.asked.push_back(Asked { at: now, flight, bytes });
        self.numbers.0 += 1;
        self.numbers.0
    }

    /// Takes an answer in.
    pub(super) fn answered(&mut self, now: Instant) {
        // One more than was asked: a late answer to what is forgotten, or somebody else's.
        let Some(asked) = self.asked.pop_front() else { return };
        self.numbers.1 += 1;
        let took = now.saturating_duration_since(asked.at).as_secs_f64();
        let before = self.heard.replace(now);
        let Some(known) = self.delay else {
            self.delay = Some(took);
            return;
        };
        // Links change, slowly; behind much else an answer does not tell.
        let delay = took.min(if asked.flight < TELLING { known + (took - known) / 64.0 } else { known });
        self.delay = Some(delay);
        if asked.flight >= TELLING {
            // The link had it from when it came there, or from when it was done with what came before.
            let since = before.map_or(f64::MAX, |before| now.saturating_duration_since(before).as_secs_f64());
            #[expect(clippy::cast_precision_loss, reason = "a few kilobytes")]
            let bytes = asked.bytes as f64;
            let (carried, busy) = self.carrying;
            self.carrying = (carried * FADING + bytes, busy * FADING + (took - delay).min(since).max(1e-5));
        }
    }

    /// The last question that was answered.
    pub(super) const fn reached(&self) -> u64 {
        self.numbers.1
    }

    /// The last question that it was asked.
    pub(super) const fn last(&self) -> u64 {
        self.numbers.0
    }

    /// Whether the terminal answers at all.
    pub(super) const fn known(&self) -> bool {
        self.delay.is_some()
    }

    /// Whether an answer is still to come.
    pub(super) fn awaits(&self) -> bool {
        !self.asked.is_empty()
    }

    /// The terminal does not answer any more: nothing is known of it.
    fn forget(&mut self) {
        let numbers = (self.numbers.0, self.numbers.0);
        *self = Self { numbers, ..Self::default() };
    }

    fn flight(&self) -> usize {
        self.asked.iter().map(|asked| asked.bytes).sum::<usize>() + self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;

    /// A link with a rate and a delay there and back, seconds.
    struct Link {
        pace: Pace,
        now: Instant,
        /// When it has sent all that it holds.
        free: Instant,
        rate: f64,
        delay: f64,
        answers: VecDeque<Instant>,
    }

    impl Link {
        fn new(rate: f64, delay: f64) -> Self {
            let now = monotonic();
            Self { pace: Pace::asked_at(now), now, free: now, rate, delay, answers: VecDeque::new() }
        }

        fn write(&mut self, bytes: u32) {
            self.free = self.free.max(self.now) + Duration::from_secs_f64(f64::from(bytes) / self.rate);
            if self.pace.written(usize::try_from(bytes).unwrap(), false, self.now).is_some() {
                self.answers.push_back(self.free + Duration::from_secs_f64(self.delay));
            }
        }

        fn pass(&mut self, seconds: f64) {
            let until = self.now + Duration::from_secs_f64(seconds);
            while let Some(at) = self.answers.pop_front_if(|at| *at <= until) {
                self.now = at;
                self.pace.answered(at);
            }
            self.now = until;
        }

        fn room(&mut self) -> usize {
            self.pace.room(self.now).unwrap_or(usize::MAX)
        }
    }

    #[test]
    fn what_waits_before_the_answer_to_a_key_is_little() {
        let mut link = Link::new(8192.0, 0.15);
        link.answers.push_back(link.now + Duration::from_millis(150));
        link.write(10_000);
        link.pass(3.0);
        for _ in 0..300 {
            while !link.pace.full(link.now, false) {
                let room = u32::try_from(link.room()).unwrap();
                assert!(room <= 512, "{room} bytes at once");
                link.write(room);
                let queued = link.free.saturating_duration_since(link.now).as_secs_f64();
                assert!(queued < 0.25, "{queued} s");
            }
            link.pass(0.01);
        }
        // And the link is kept busy all the same.
        let idle = link.now.saturating_duration_since(link.free);
        assert!(idle < Duration::from_millis(60), "{idle:?}");
    }

    /// What a key's answer of 256 bytes takes from the press until it has left over a link that is kept busy, seconds:
    /// the median and the most of many presses at any moment of the link's.
    fn answered(awaited: bool) -> (f64, f64) {
        let mut link = Link::new(8192.0, 0.15);
        link.answers.push_back(link.now + Duration::from_millis(150));
        link.write(10_000);
        link.pass(3.0);
        let mut took: Vec<f64> = Vec::new();
        for press in 0..300 {
            for _ in 0..100 + press * 37 % 101 {
                while !link.pace.full(link.now, false) {
                    let room = u32::try_from(link.room()).unwrap();
                    link.write(room);
                }
                link.pass(0.001);
            }
            let pressed = link.now;
            while link.pace.full(link.now, awaited) {
                link.pass(0.001);
            }
            link.write(256);
            took.push(link.free.saturating_duration_since(pressed).as_secs_f64());
        }
        took.sort_by(f64::total_cmp);
        (took[took.len() / 2], took[took.len() - 1])
    }

    #[test]
    fn the_answer_to_a_key_waits_for_no_other_answer() {
        let ((soon, soon_most), (late, late_most)) = (answered(true), answered(false));
        assert!(soon < late - 0.003, "{soon} s, {late} s");
        assert!(soon_most <= late_most, "{soon_most} s, {late_most} s");
    }

    #[test]
    fn a_near_terminal_and_a_far_but_fast_one_take_whole_frames() {
        for (rate, delay) in [(50e6, 0.0002), (1e6, 0.15), (2e6, 0.03)] {
            let mut link = Link::new(rate, delay);
            link.answers.push_back(link.now + Duration::from_secs_f64(delay));
            for bytes in [12_000, 300, 9_000, 700, 2_000, 12_000] {
                assert!(link.room() >= 12_000, "{rate} {delay}: {}", link.room());
                link.write(bytes);
                link.pass(1.0);
            }
        }
    }

    #[test]
    fn a_terminal_that_never_answers_or_stops_to_is_not_waited_for() {
        let mut pace = Pace::default();
        let now = monotonic();
        assert!(pace.written(10_000, true, now).is_some());
        assert_eq!(pace.room(now), None);
        pace.answered(now + Duration::from_secs(1));
        assert!(pace.written(10_000, true, now + Duration::from_secs(1)).is_some());
        pace.answered(now + Duration::from_secs(4));
        assert!(pace.written(100_000, true, now + Duration::from_secs(5)).is_some());
        assert!(pace.full(now + Duration::from_secs(6), true));
        assert!(!pace.full(now + Duration::from_secs(11), false));
        assert!(!pace.awaits());
    }
}
