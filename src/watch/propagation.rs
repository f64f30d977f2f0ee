//! The pure half of the DNS panel, second part: what an answer's TTL tells, and which answers are worth a line in the
//! journal.
//!
//! # Honest and not
//! The authority's answers are remembered as sightings: the old value was seen with this TTL, last at this time. A
//! resolver that counts down honestly can at most hold a copy made at the last sighting. Its ceiling is what is left of
//! that TTL, but never less than the authority's present TTL: between two draws of a weighted set the old value may have
//! been served unseen. While the old, long TTL drains after it was lowered, an honest resolver is below this ceiling
//! although it is far above the authority's present TTL, and is called old, not stretching. Above the ceiling it
//! stretches, and goes on doing so for as long as the copy that was seen lives, even when its countdown passes below it;
//! unless the authority is then seen to have raised its TTL, of which the resolver had merely heard first, or the
//! countdown is broken: a resolver that serves expired copies while it fetches (RFC 8767) answers once with a TTL of its
//! own, and has a fresh copy the moment after.
//!
//! While the authority has not been heard for a while, nobody is accused.
//!
//! # What is told
//! An answer is told when two probes in a row agree; the very first at once, if it is no accusation. During the weighted
//! stages of a switch authority and resolvers alternate between the sides by design, a resolver holding each draw for one TTL, so that agreement of a few probes
//! means nothing. Alternation is recognised at the authority (two turns within [`CALM`] draws); until it has been calm
//! for [`CALM`] draws, a resolver's change of side is told only towards the side that the authority has shown in its
//! last [`AGREED`] draws. So a stage of 10 % tells nothing, a stage of 90 % tells the new side once, and the end of the
//! switch tells it where that has not been told. The samples show every single answer all the same.

use jiff::{SignedDuration, Timestamp};

use crate::{plan::Side, run::Answer};

/// Draws of the authority without a turn after which it no longer alternates: at 5 s between probes, 5 minutes.
const CALM: u32 = 60;
/// Equal draws of an alternating authority that make its side the one to be told.
const AGREED: u32 = 12;
/// Probes in a row that must agree.
const STABLE: u32 = 2;
/// Answers with a TTL of 0 in a row that make a resolver stale; one is the last moment of an honest countdown.
const ZEROES: u32 = 2;
/// Clocks and rounding of TTLs.
const SLACK: SignedDuration = SignedDuration::from_secs(2);

/// What the authority has shown of one record.
#[derive(Debug)]
pub(super) struct Authority {
    sightings: Vec<Sighting>,
    /// The latest answer: when, and the TTL of the moving record in it.
    heard: Option<(Timestamp, u32)>,
    /// When its TTL was last seen to have gone up.
    raised: Option<Timestamp>,
    /// How often it is asked: what it may have changed unseen. Session time.
    every: SignedDuration,
    side: Option<Side>,
    /// Draws since the last turn.
    run: u32,
    turned: bool,
    alternating: bool,
}

/// The old value was served with this TTL, last at this time.
#[derive(Debug, Clone, Copy)]
struct Sighting {
    ttl: u32,
    last: Timestamp,
}

impl Authority {
    /// Before anything was seen, the plan's old TTL may be in all caches as of now.
    pub(super) fn new(old_ttl: Option<u32>, every: SignedDuration, now: Timestamp) -> Self {
        let sightings = old_ttl.map(|ttl| Sighting { ttl, last: now }).into_iter().collect();
        Self { sightings, heard: None, raised: None, every, side: None, run: 0, turned: false, alternating: false }
    }

    /// One answer of one authoritative server.
    pub(super) fn see(&mut self, side: Side, ttl: Option<u32>, now: Timestamp) {
        self.draw(side);
        let Some(ttl) = ttl else { return };
        if self.heard.is_some_and(|(_, before)| ttl > before) {
            self.raised = Some(now);
        }
        self.heard = Some((now, ttl));
        let every = self.every;
        let again = |known: &Sighting| side == Side::Old && known.ttl == ttl;
        self.sightings.retain(|known| remaining(*known, now, every) > SignedDuration::ZERO && !again(known));
        if side == Side::Old {
            self.sightings.push(Sighting { ttl, last: now });
        }
    }

    fn draw(&mut self, side: Side) {
        let turn = self.side.is_some_and(|last| last != side);
        if turn {
            self.alternating |= self.turned && self.run < CALM;
            self.turned = true;
        }
        self.run = if turn { 1 } else { self.run.saturating_add(1) };
        self.alternating &= self.run < CALM;
        self.side = Some(side);
    }

    /// The longest TTL with which an honest resolver may still answer the old side; None: nobody can tell.
    fn ceiling(&self, now: Timestamp) -> Option<SignedDuration> {
        let (_, present) = self.heard.filter(|(heard, _)| now.duration_since(*heard) <= self.every * 4 + SLACK)?;
        let left = self.sightings.iter().map(|known| remaining(*known, now, self.every)).max();
        let present = SignedDuration::from_secs(i64::from(present));
        Some(left.map_or(present, |left| left.max(present)) + SLACK)
    }

    /// The old value is served with a TTL of 0, so that 0 says nothing about a resolver.
    fn zero(&self) -> bool {
        self.sightings.iter().any(|known| known.ttl == 0)
    }

    /// A change to this side would be one draw among many.
    fn undecided(&self, side: Side) -> bool {
        self.alternating && !(self.side == Some(side) && self.run >= AGREED)
    }
}

fn remaining(seen: Sighting, now: Timestamp, unseen: SignedDuration) -> SignedDuration {
    SignedDuration::from_secs(i64::from(seen.ttl)) + unseen - now.duration_since(seen.last)
}

/// One resolver's habit with one record.
#[derive(Debug, Default)]
pub(super) struct Habit {
    zeroes: u32,
    stretch: Option<Stretch>,
}

/// A copy above the ceiling.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    found: Timestamp,
    /// When the copy has run out.
    until: Timestamp,
}

impl Habit {
    /// Refines an answer of the old side by its TTL.
    pub(super) fn old(&mut self, ttl: Option<u32>, authority: &Authority, now: Timestamp) -> Answer {
        self.zeroes = if ttl == Some(0) && !authority.zero() { self.zeroes.saturating_add(1) } else { 0 };
        let left = SignedDuration::from_secs(i64::from(ttl.unwrap_or(0)));
        if authority.ceiling(now).is_some_and(|ceiling| left > ceiling) {
            self.stretch = Some(Stretch { found: now, until: now + left + SLACK });
        }
        let valid = |stretch: &Stretch| {
            let lives = now <= stretch.until && left + authority.every + SLACK * 2 >= stretch.until.duration_since(now);
            lives && authority.raised.is_none_or(|at| at < stretch.found)
        };
        self.stretch = self.stretch.filter(valid);
        match self.stretch {
            _ if self.zeroes >= ZEROES => Answer::OldStale,
            Some(_) if ttl.is_some_and(|ttl| ttl > 0) => Answer::OldStretched,
            _ => Answer::Old,
        }
    }

    /// Anything else than the old side: the copy is gone.
    pub(super) fn other(&mut self) {
        *self = Self::default();
    }

    /// Whether the answer just given should be asked for once more before it is believed.
    pub(super) fn dubious(&self, answer: Answer) -> bool {
        self.zeroes > 0 || answer == Answer::OldStretched
    }
}

/// What of one resolver's answers for one record has been told.
#[derive(Debug, Default)]
pub(super) struct Teller {
    told: Option<Answer>,
    candidate: Option<Answer>,
    times: u32,
}

impl Teller {
    /// It is what has been told last.
    pub(super) fn knows(&self, answer: Answer) -> bool {
        self.told == Some(answer)
    }

    /// One answer; Some is news. The very first is told at once, unless it is an accusation or silence, which may be one
    /// lost packet.
    pub(super) fn see(&mut self, answer: Answer, authority: &Authority) -> Option<Answer> {
        self.times = if self.candidate == Some(answer) { self.times.saturating_add(1) } else { 1 };
        self.candidate = Some(answer);
        let harmless = !matches!(answer, Answer::Silent | Answer::OldStretched | Answer::OldStale);
        let first = self.told.is_none() && harmless;
        let turn = side_of(answer).zip(self.told.and_then(side_of)).filter(|(now, before)| now != before);
        let undecided = turn.is_some_and(|(side, _)| authority.undecided(side));
        let news = self.told != Some(answer) && (first || self.times >= STABLE) && !undecided;
        news.then(|| {
            self.told = Some(answer);
            answer
        })
    }
}

const fn side_of(answer: Answer) -> Option<Side> {
    match answer {
        Answer::Old | Answer::OldStretched | Answer::OldStale => Some(Side::Old),
        Answer::New => Some(Side::New),
        Answer::Other | Answer::Negative | Answer::Silent => None,
    }
}

#[cfg(test)]
mod tests;
