//! `kill -9` of the engine, again and again at random moments of a rehearsal there and back: nothing is lost, nothing is
//! done twice.

use std::{fs, thread, time::Duration};

use cutover::clock::monotonic;

use super::{home::Home, truth::assert_agreement};

/// Kills in all.
const KILLS: usize = 50;
/// A rehearsal that is killed over and over must still end, wall time.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long every fourth engine is left alone, on the average: the look whether a freeze holds takes seconds, and engines
/// that never live so long would never get past it.
const LIFE: Duration = Duration::from_secs(12);

#[test]
fn fifty_killed_engines_lose_nothing_and_repeat_nothing() {
    let mut dice = Dice(20_261_124);
    let mut kills = 0;
    let mut acts = 0;
    while kills < KILLS {
        let (killed, done) = rehearsal(&mut dice, KILLS - kills);
        kills += killed;
        acts += done;
    }
    eprintln!("{kills} engines killed, {acts} acts, each done once or known not to be");
}

/// One rehearsal there and back, killed at most so often; how often it was, and how many acts it did.
fn rehearsal(dice: &mut Dice, most: usize) -> (usize, usize) {
    let home = Home::new();
    let mut screen = home.rehearse(&["--autopilot", "--and-back", "--speed", "120"], (120, 40));
    let (records, runners) = (home.record_sets(), home.runners());
    let begun = monotonic();
    let mut killed = 0;
    while !home.status().state.rolled_back {
        assert!(begun.elapsed() < PATIENCE, "stuck after {killed} kills:\n{}", screen.text());
        assert!(!screen.ended(), "the cockpit ended:\n{}", screen.text());
        if killed == most {
            thread::sleep(Duration::from_millis(100));
            continue;
        }
        if dice.below(4) == 0 {
            thread::sleep(LIFE);
        }
        // Half of them as soon as something is about to be sent, half at any moment.
        if dice.below(2) == 0 {
            await_intent(&home, Duration::from_millis(1500));
            thread::sleep(Duration::from_millis(dice.below(60)));
        } else {
            thread::sleep(Duration::from_millis(dice.below(1200)));
        }
        killed += usize::from(home.kill_engine());
    }
    assert_eq!(home.record_sets(), records, "the record sets are not as before");
    assert_eq!(home.runners(), runners, "what runs is not as before");
    home.verify();
    let compared = assert_agreement(&home);
    assert!(compared.engines > killed / 2, "{compared:?} after {killed} kills");
    (killed, compared.acts)
}

/// Waits until the journal grows by an intent, or for so long.
fn await_intent(home: &Home, patience: Duration) {
    let path = home.session().journal();
    let count = || fs::read_to_string(&path).unwrap().matches("\"intended\"").count();
    let (known, begun) = (count(), monotonic());
    while count() == known && begun.elapsed() < patience {
        thread::sleep(Duration::from_millis(2));
    }
}

/// Numbers that are the same in every run (xorshift64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// One of `0..limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
