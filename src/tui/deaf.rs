//! Keys that are still meant for a gate that has closed: the rest of a name is no command.

use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyModifiers};

use super::{gate::Stroke, text};

/// How long the keyboard must be quiet at least, once the screen has told that the gate is closed.
const LEAST: Duration = Duration::from_millis(900);
/// No typist is waited for longer.
const MOST: Duration = Duration::from_secs(2);

/// How fast a person types into a gate: a pause is longer than what lies between two letters.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    last: Option<Instant>,
    longest: Duration,
}

impl Rhythm {
    /// One more letter.
    pub(super) fn beat(&mut self, at: Instant) {
        let gap = self.last.replace(at).map_or(Duration::ZERO, |last| at.duration_since(last));
        self.longest = self.longest.max(gap);
    }

    /// So long without a key, and whoever typed has stopped.
    fn pause(&self) -> Duration {
        (self.longest * 2).clamp(LEAST, MOST)
    }
}

/// What becomes of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It means what it always means.
    Command,
    /// It was for the gate; what to tell the person.
    Ignored(String),
    /// Esc: it ends this and does nothing else.
    Ends,
}

/// Since a gate has closed under somebody's fingers.
#[derive(Debug)]
pub(super) struct Deaf {
    gate: Option<u64>,
    rhythm: Rhythm,
    /// Until when; None: the person cannot have seen yet that the gate is closed.
    until: Option<Instant>,
    ignored: usize,
}

impl Deaf {
    /// The gate with this number has closed.
    pub(super) const fn new(gate: Option<u64>, rhythm: Rhythm) -> Self {
        Self { gate, rhythm, until: None, ignored: 0 }
    }

    /// A frame has arrived that shows this gate, or none.
    pub(super) fn painted(&mut self, gate: Option<u64>, at: Instant) {
        if gate.is_none() || gate != self.gate {
            self.until.get_or_insert(at + self.rhythm.pause());
        }
    }

    /// Takes a key.
    pub(super) fn hear(&mut self, stroke: &Stroke) -> Heard {
        if self.until.is_some_and(|until| stroke.at >= until) || stroke.key.modifiers.contains(KeyModifiers::CONTROL) {
            return Heard::Command;
        }
        // Esc is never part of a name: who presses it means it.
        if stroke.key.code == KeyCode::Esc {
            return Heard::Ends;
        }
        // The way back is open on every screen; what it shows needs a second key.
        if self.gate.is_none() && self.ignored == 0 && stroke.key.code == KeyCode::Char('R') {
            return Heard::Command;
        }
        self.rhythm.beat(stroke.at);
        self.ignored += 1;
        if let Some(until) = &mut self.until {
            *until = (*until).max(stroke.at + self.rhythm.pause());
        }
        let (keys, pause) = (text::count(self.ignored, "key"), self.rhythm.pause().as_secs_f64().ceil());
        let why = if self.gate.is_some() { "the gate has closed" } else { "no gate has opened" };
        Heard::Ignored(format!("{keys} ignored: {why}. A pause of {pause:.0} s or Esc, and keys act again"))
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyEvent;

    use super::*;
    use crate::clock::monotonic;

    fn press(deaf: &mut Deaf, code: KeyCode, at: Instant) -> Heard {
        deaf.hear(&Stroke { key: KeyEvent::new(code, KeyModifiers::NONE), at, alone: true })
    }

    #[test]
    fn it_lasts_until_a_pause_that_is_longer_than_between_two_letters() {
        let start = monotonic();
        let at = |millis| start + Duration::from_millis(millis);
        let mut rhythm = Rhythm::default();
        [0, 800, 1_500].into_iter().for_each(|millis| rhythm.beat(at(millis)));
        let mut deaf = Deaf::new(Some(3), rhythm);
        let letter = KeyCode::Char('h');
        // The link is slow: the frame that shows it closed has not arrived.
        deaf.painted(Some(3), at(4_000));
        assert!(matches!(press(&mut deaf, letter, at(5_000)), Heard::Ignored(_)));
        deaf.painted(None, at(5_100));
        assert!(matches!(press(&mut deaf, letter, at(6_500)), Heard::Ignored(words) if words.starts_with("2 keys")));
        assert!(matches!(press(&mut deaf, letter, at(8_400)), Heard::Ignored(_)));
        assert_eq!(press(&mut deaf, letter, at(10_401)), Heard::Command, "two seconds are a pause for anybody");
    }

    #[test]
    fn who_typed_nothing_waits_for_less_and_escape_and_control_are_meant() {
        let start = monotonic();
        let mut deaf = Deaf::new(None, Rhythm::default());
        assert_eq!(press(&mut deaf, KeyCode::Esc, start), Heard::Ends);
        let key = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(deaf.hear(&Stroke { key, at: start, alone: true }), Heard::Command);
        deaf.painted(None, start);
        assert_eq!(press(&mut deaf, KeyCode::Char('q'), start + LEAST), Heard::Command);
    }
}
