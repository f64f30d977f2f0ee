//! Rehearsals there and back, and to the very end, until every place at which one can be cut was cut.
//!
//! A plain run cuts one place in [`PLAIN`]. Everything, in one command:
//!
//! ```text
//! CUTOVER_CRASH_SHARD=1/1 cargo test --test crash everywhere -- --nocapture
//! ```
//!
//! `CUTOVER_CRASH_SHARD=2/4` cuts everything of the second of four shares of the steps, for four machines.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use cutover::{
    clock::monotonic,
    journal::Reader,
    run::{Event, What},
    session::{DriveOptions, drive},
};

use super::{
    home::{Engine, Home},
    points::{Choice, Cuts, Places, Proof},
    proxy::{Carrier, Loss},
    truth::assert_agreement,
};

/// Nothing moves for so long, wall time: stuck. Long, because everything may be built beside.
const PATIENCE: Duration = Duration::from_secs(600);
/// Rehearsals at once: the first goes to the very end, the others there and back.
const LANES: usize = 3;
/// More rounds than any lane needs.
const ROUNDS: usize = 40;
/// One place in so many is cut when nothing else is asked for.
const PLAIN: u32 = 12;

struct Scissors {
    cuts: Arc<Mutex<Cuts>>,
    engine: Engine,
}

impl Carrier for Scissors {
    fn carries(&self, operation: &str) -> Loss {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner).call(operation)
    }

    fn kill(&self) {
        self.engine.kill();
    }
}

/// What rehearsals came to.
#[derive(Default)]
struct Tally {
    rehearsals: usize,
    cuts: usize,
    killed: usize,
    acts: usize,
    left: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.rehearsals += other.rehearsals;
        self.cuts += other.cuts;
        self.killed += other.killed;
        self.acts += other.acts;
        self.left.extend(other.left.iter().cloned());
    }
}

#[test]
fn cut_at_every_event_and_around_every_call_each_act_happens_once() {
    let asked = std::env::var("CUTOVER_CRASH_SHARD").ok();
    let choice = asked.as_deref().map_or(Choice::OneIn(PLAIN), shard);
    match choice {
        Choice::OneIn(many) => eprintln!(
            "one place in {many}, chosen by a hash of its name; CUTOVER_CRASH_SHARD=1/1 cuts every place that is met"
        ),
        Choice::Steps { shard, of } => eprintln!("every place of share {} of {of} of the steps", shard + 1),
    }
    let (places, begun) = (Places::new(choice), monotonic());
    let lanes = if asked.is_some() { LANES } else { 2 };
    let mut tally = Tally::default();
    thread::scope(|scope| {
        let run = |lane| {
            let places = places.clone();
            scope.spawn(move || run_lane(lane, &places, choice))
        };
        let running: Vec<_> = (0..lanes).map(run).collect();
        running.into_iter().for_each(|lane| tally.add(&lane.join().unwrap()));
    });
    let Tally { rehearsals, cuts, killed, acts, left } = tally;
    let (counts, seconds) = (places.count(), begun.elapsed().as_secs());
    eprintln!(
        "{cuts} places cut ({counts:?}), {killed} engines killed for them, in {rehearsals} rehearsals, {acts} acts, {seconds} s"
    );
    if std::env::var_os("CUTOVER_SHOW_PLACES").is_some() {
        places.all().iter().for_each(|place| eprintln!("{place}"));
    }
    assert!(cuts >= 30, "only {cuts} places were cut");
    assert!(asked.is_none() || left.is_empty(), "met, and never again to be cut: {left:#?}");
}

fn shard(text: &str) -> Choice {
    let parsed = text.split_once('/').and_then(|(shard, of)| Some((shard.parse::<u32>().ok()?, of.parse().ok()?)));
    match parsed {
        Some((shard, of)) if (1..=of).contains(&shard) => Choice::Steps { shard: shard - 1, of },
        _ => panic!("CUTOVER_CRASH_SHARD is `{text}`, and should be like 2/4"),
    }
}

/// Rehearses until nothing is left to cut, or once if not everything is asked for.
fn run_lane(lane: usize, places: &Places, choice: Choice) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut tally = Tally::default();
    for round in 1..=ROUNDS {
        let begun = monotonic();
        let one = runtime.block_on(rehearsal(lane > 0, places));
        let seconds = begun.elapsed().as_secs();
        eprintln!("lane {lane}, rehearsal {round}: {} cuts, {} left, {seconds} s", one.cuts, one.left.len());
        tally.left.clear();
        tally.add(&one);
        // What was met and nothing could be cut of is not met by one more rehearsal either.
        if one.left.is_empty() || one.cuts == 0 || matches!(choice, Choice::OneIn(_)) {
            return tally;
        }
    }
    panic!("lane {lane} finds ever more places");
}

async fn rehearsal(back: bool, places: &Places) -> Tally {
    let cuts = Arc::new(Mutex::new(Cuts::new(places)));
    let theirs = Arc::clone(&cuts);
    let carrier = move |engine| -> Arc<dyn Carrier> { Arc::new(Scissors { cuts: theirs, engine }) };
    let mut home = Home::new(cuts.clone(), carrier).await;
    let told = Arc::clone(&cuts);
    let mut link = home.link(move |state| told.lock().unwrap_or_else(PoisonError::into_inner).engine_starts(state));
    let driven = drive(&mut link, DriveOptions { then_roll_back: back, patience: PATIENCE }).await;
    driven.unwrap_or_else(|error| panic!("{error}\n{}", home.last_words()));
    if back {
        home.assert_as_before().await;
    } else {
        home.assert_moved().await;
    }
    home.end(&mut link, PATIENCE).await;
    drop(link);
    home.look().await;
    let compared = assert_agreement(&home);
    cutover::journal::verify(&home.session().journal()).unwrap();
    let events: Vec<Event> = Reader::open(home.session().journal()).unwrap().map(Result::unwrap).collect();
    home.close().await;
    let cuts = cuts.lock().unwrap_or_else(PoisonError::into_inner);
    cuts.proofs.iter().for_each(|proof| assert_proven(&events, proof));
    assert_eq!(cuts.died_alone, 0, "an engine died that nobody killed");
    Tally { rehearsals: 1, cuts: cuts.made, killed: cuts.proofs.len(), acts: compared.acts, left: cuts.left() }
}

/// The journal shows that the engine died there: what comes next is the start of another.
fn assert_proven(events: &[Event], (place, last): &Proof) {
    let started = |what: &What| matches!(what, What::EngineStarted { .. });
    let starting = |what: &What| {
        matches!(what, What::SessionStarted { .. } | What::Rehearsed(_) | What::Disarmed { .. }) || started(what)
    };
    let after = events.iter().filter(|event| event.seq > *last);
    let mut start = after.take_while(|event| starting(&event.what));
    // The session's end may be the last word.
    let ended = events.last().is_some_and(|event| event.seq == *last);
    assert!(ended || start.any(|event| started(&event.what)), "nothing shows that the engine died at `{place}`");
}
