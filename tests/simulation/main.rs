//! The whole of it, simulated: an engine with its journal, two cockpits on a network that loses, doubles and reorders,
//! people who press anything, disks that fill, engines that die in the middle of a write, and a second machine that takes
//! over. One seed decides everything.
//!
//! The log, its writer ([`cutover::engine::Scribe`]), the journal's bytes, the fold and the cockpits' followers are the
//! program's own; time, storage, network and world are the test's. After each step the promises are checked: nothing is
//! sent without a consent and a written intent, nothing twice, by one engine only; who follows and has heard everything
//! sees what the engine sees; and what is on disk folds to what was lived.
//!
//! `CUTOVER_STEPS=5000000 cargo test --release --test simulation` plays longer. A failure prints its seed; the same story
//! is told again with `CUTOVER_SEED=...`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may panic as the test itself")]
#![expect(clippy::print_stderr, reason = "a test says what it counted")]

mod cockpit;
mod disk;
#[path = "../run_properties/driver.rs"]
mod driver;
mod engine;
#[path = "../run_properties/moves.rs"]
mod moves;
#[path = "../run_properties/plans.rs"]
mod plans;
#[path = "../run_properties/sim.rs"]
mod sim;
mod story;
#[path = "../run_properties/tracker/mod.rs"]
mod tracker;
#[path = "../run_properties/ways.rs"]
mod ways;
#[path = "../run_properties/world.rs"]
mod world;

use std::collections::BTreeMap;

use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use self::story::{Dice, Story};

/// The first seed; every episode has the next one.
const FIRST: u64 = 20_261_124;
/// Steps of one story.
const EPISODE: u64 = 3000;
/// What must have happened at least once in so many steps, or the test passes by doing nothing.
const USEFUL: [(&str, u64); 14] = [
    ("acts", 2_000),
    ("done", 2_000),
    ("undone", 4_000),
    ("in_doubt", 4_000),
    ("by_two", 20_000),
    ("crashes", 2_000),
    ("torn", 8_000),
    ("full disks", 2_000),
    ("reports said again", 8_000),
    ("takeovers", 8_000),
    ("writes of a loser refused", 8_000),
    ("messages lost", 500),
    ("messages missed", 2_000),
    ("convergences", 3_000),
];

/// Says which story it was when a test panics.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to tell this story again: CUTOVER_SEED={} cargo test --test simulation", self.0);
        }
    }
}

#[test]
fn engines_die_links_break_and_the_promises_hold() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let mut total = BTreeMap::new();
    if let Some(seed) = number("CUTOVER_SEED") {
        play(seed, &mut total);
        eprintln!("seed {seed}: {total:?}");
        return;
    }
    let (wanted, mut steps, mut seed) = (number("CUTOVER_STEPS").unwrap_or(50_000), 0, FIRST);
    while steps < wanted {
        steps += play(seed, &mut total);
        seed += 1;
    }
    eprintln!("{steps} steps in {} stories: {total:?}", seed - FIRST);
    for (what, every) in USEFUL {
        let found = total.get(what).copied().unwrap_or(0);
        assert!(
            found > 0 && found >= steps / every,
            "the stories prove little: `{what}` {found} times in {steps} steps"
        );
    }
}

/// One story; returns its steps.
fn play(seed: u64, total: &mut BTreeMap<&'static str, u64>) -> u64 {
    let _seed = Seed(seed);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let shape = plans::shape().new_tree(&mut runner).unwrap().current();
    let (moves, mut story) = (moves::any(), Story::begin(plans::plan(&shape), seed));
    for _ in 0..EPISODE {
        story.step(|sim| moves::make(sim, &moves.new_tree(&mut runner).unwrap().current()));
        if story.ended() {
            break;
        }
    }
    story.converge();
    story.count_into(total)
}
