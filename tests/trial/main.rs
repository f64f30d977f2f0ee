//! The trial: two logins on each of two machines and one bucket run rehearsals together, while engines and screens are
//! killed and links are cut at random. No act is lost or doubled, no gate is passed by one person alone, and every screen
//! comes to hold the same state.
//!
//! | | |
//! |---|---|
//! | `stage` | the world, the bucket, the machines with their users; a session |
//! | `machine` | a machine: its engine and its screens, as processes of other users |
//! | `screen` | what such a screen is: the program's own link and fold, and hands that press the keys |
//! | `wire` | a link that can be cut, or hang |
//! | `weather` | what befalls them, from one seed |
//! | `verdict` | what must be true afterwards |
//!
//! Needs root and what `tests/peers/trial.sh` sets up; that script runs this. `CUTOVER_TRIAL_SECONDS` is how long things
//! go wrong (45), `CUTOVER_TRIAL_SEED` what goes wrong.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic, and so may its helpers")]
#![expect(clippy::print_stdout, reason = "a test says what it counted")]

mod home;
mod machine;
#[path = "../crash/proxy.rs"]
#[expect(dead_code, reason = "engines are killed otherwise here")]
mod proxy;
mod screen;
mod stage;
#[path = "../cockpit/truth.rs"]
mod truth;
mod verdict;
mod weather;
mod wire;

use std::{env, time::Duration};

use cutover::clock::monotonic;

use self::{
    stage::Stage,
    verdict::Tally,
    weather::{Dice, Weather},
};

/// How long things go wrong when nothing else is asked for, seconds.
const SECONDS: u64 = 45;
const SEED: u64 = 20_261_124;

fn main() {
    if let Some(asked) = env::var_os("CUTOVER_TRIAL_SCREEN") {
        return screen::main(&serde_json::from_str(asked.to_str().unwrap()).unwrap());
    }
    let number = |name: &str, usual| env::var(name).map_or(usual, |text| text.parse().unwrap());
    let (seconds, seed) = (number("CUTOVER_TRIAL_SECONDS", SECONDS), number("CUTOVER_TRIAL_SEED", SEED));
    println!("{seconds} s of bad weather, seed {seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let tally = runtime.block_on(trial(Duration::from_secs(seconds), seed));
    println!("{tally}");
}

async fn trial(lasting: Duration, seed: u64) -> Tally {
    stage::make_bucket().await;
    let (begun, mut dice) = (monotonic(), Dice::new(seed));
    let mut tally = Tally::default();
    while tally.rehearsals == 0 || begun.elapsed() < lasting {
        // Every third rehearsal goes to the very end.
        let back = tally.rehearsals % 3 != 2;
        let mut stage = Stage::set(back, tally.rehearsals, dice.next()).await;
        let mut weather = Weather::new(dice.next());
        weather.rage(&mut stage, lasting.saturating_sub(begun.elapsed())).await;
        let seen = stage.clear_up().await;
        let one = verdict::of(seen, weather.counts);
        println!("rehearsal {}: {one}", tally.rehearsals + 1);
        tally.add(one);
        stage.strike().await;
    }
    tally.hold();
    tally
}
