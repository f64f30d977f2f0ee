//! What must be true after a session, whatever befell it.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use cutover::{
    journal::{Reader, verify},
    plan::GateLevel,
    run::{Actor, Event, Operator, State, What},
};

use super::{
    home::Home,
    screen::{Line, Seen as Held, hash},
    stage::Seen,
    truth::assert_agreement,
    weather::Counts,
};

/// What one rehearsal, or all, came to.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    pub(crate) rehearsals: usize,
    counts: Counts,
    engines: usize,
    acts: usize,
    lost: usize,
    /// Gates that two people opened.
    by_two: usize,
    /// Times that one person with two terminals was refused.
    alone: usize,
    /// States that screens held, each compared with the journal's fold.
    compared: usize,
    /// Milliseconds from the beginning of an attempt to connect until the screen held what anybody held then: at an
    /// engine, and at the bucket where no link was down.
    at_engine: Vec<u64>,
    at_bucket: Vec<u64>,
    /// Milliseconds that reading the whole log took beside it.
    read: Vec<u64>,
}

impl Tally {
    pub(crate) fn add(&mut self, mut one: Self) {
        let (all, counts) = (&mut self.counts, one.counts);
        all.engines_killed += counts.engines_killed;
        all.screens_killed += counts.screens_killed;
        all.links_cut += counts.links_cut;
        all.links_hung += counts.links_hung;
        all.takeovers += counts.takeovers;
        all.from_the_living += counts.from_the_living;
        self.rehearsals += one.rehearsals;
        self.engines += one.engines;
        self.acts += one.acts;
        self.lost += one.lost;
        self.by_two += one.by_two;
        self.alone += one.alone;
        self.compared += one.compared;
        self.at_engine.append(&mut one.at_engine);
        self.at_bucket.append(&mut one.at_bucket);
        self.read.append(&mut one.read);
    }

    /// A trial in which nothing happened proves nothing.
    pub(crate) fn hold(&self) {
        let some = self.counts.engines_killed > 0 && self.acts > 0 && self.by_two > 0 && self.compared > 100;
        assert!(some, "too little happened: {self}");
        // The processors are shared with everything else that is tested: the middle one tells of the program. Where the
        // bucket alone takes long for the log, that is what there is to compare with.
        let limit = 1000.max(8 * middle(&self.read));
        for (where_to, all) in [("an engine", &self.at_engine), ("the bucket", &self.at_bucket)] {
            let median = middle(all);
            assert!(
                median <= limit,
                "half of the screens at {where_to} needed more than {median} ms, not {limit}: {self}"
            );
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.counts;
        write!(
            f,
            "{} rehearsals, {} engines ({} killed), {} screens killed, {} links cut, {} hung, {} calls or answers lost, \
             {} takeovers ({} from the living), {} acts each once, {} gates by two people, one person refused {} times, \
             {} states compared",
            self.rehearsals,
            self.engines,
            counts.engines_killed,
            counts.screens_killed,
            counts.links_cut,
            counts.links_hung,
            self.lost,
            counts.takeovers,
            counts.from_the_living,
            self.acts,
            self.by_two,
            self.alone,
            self.compared,
        )?;
        for (where_to, all) in [("an engine", &self.at_engine), ("the bucket", &self.at_bucket)] {
            let within = all.iter().filter(|took| **took <= 1000).count();
            let (middle, most) = (middle(all), all.iter().max().copied().unwrap_or_default());
            write!(
                f,
                "; {} attached to {where_to}: median {middle} ms, at most {most} ms, {within} within 1 s",
                all.len()
            )?;
        }
        write!(f, "; the whole log read in {} ms beside it", middle(&self.read))
    }
}

fn middle(all: &[u64]) -> u64 {
    let mut all = all.to_vec();
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// Asserts what must hold of one rehearsal.
pub(crate) fn of(seen: Seen, counts: Counts) -> Tally {
    let Seen { events, ledger, dirs: [dir, other], logs, outages, read, lost, as_before, moved } = seen;
    // The journal of whoever acted last is the bucket's; the other machine's is where that began to differ, or shorter.
    verify(&dir.journal()).unwrap();
    let ours: Vec<Event> = Reader::open(dir.journal()).unwrap().map(Result::unwrap).collect();
    assert_eq!(ours, events, "the local journal is not the bucket's");
    if other.journal().exists() {
        let theirs: Vec<Event> = Reader::open(other.journal()).unwrap().map_while(Result::ok).collect();
        assert!(events.starts_with(&theirs), "the machine that lost holds what is not in the bucket");
    }
    let compared = assert_agreement(&Home { dir, ledger });
    let (hashes, end) = fold(&events);
    assert!(end.ended);
    let changed = events.iter().any(|event| matches!(event.what, What::Intended { .. }));
    if end.rolled_back || !changed {
        assert!(as_before, "the world is not as before");
    } else {
        assert!(end.complete() && moved, "the rehearsal ended on neither side");
    }
    let screens = screens(&logs);
    let checked = states(&screens, &hashes);
    let (at_engine, at_bucket) = attached(&screens, &outages);
    let refused = |line: &&Line| matches!(&line.what, Held::Refused { reason } if reason.contains("another login"));
    let alone = screens.values().flatten().filter(refused).count();
    let by_two = by_two(&events);
    Tally {
        rehearsals: 1,
        counts,
        engines: compared.engines,
        acts: compared.acts,
        lost,
        by_two,
        alone,
        compared: checked,
        at_engine,
        at_bucket,
        read,
    }
}

/// What the journal folds to after each event.
fn fold(events: &[Event]) -> (BTreeMap<u64, String>, State) {
    let (mut state, mut hashes) = (State::default(), BTreeMap::new());
    for event in events {
        state.apply(event).unwrap();
        hashes.insert(state.seq, hash(&state));
    }
    (hashes, state)
}

/// Each gate for two was typed by one login and confirmed by another; how many there were.
fn by_two(events: &[Event]) -> usize {
    let (mut level, mut typed, mut count) = (GateLevel::Start, None::<Operator>, 0);
    for event in events {
        match (&event.what, &event.by) {
            (What::Armed { level: armed, .. }, _) => (level, typed) = (*armed, None),
            (What::Typed, Actor::Operator(who)) => typed = Some(who.clone()),
            (What::Consented { second }, _) if level == GateLevel::Two => {
                let first = typed.take().unwrap_or_else(|| panic!("passed without anybody typing: {event:?}"));
                let second = second.as_ref().unwrap_or_else(|| panic!("passed by one person alone: {event:?}"));
                assert_ne!(first.uid, second.uid, "passed by one person with two terminals: {event:?}");
                count += 1;
            }
            _ => {}
        }
    }
    count
}

fn screens(logs: &Path) -> BTreeMap<String, Vec<Line>> {
    let read = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        // A screen may have been killed while it wrote.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let files = fs::read_dir(logs).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), read(&path))).collect()
}

/// Every state that any screen ever held is the journal's fold of that moment. How many were compared.
///
/// Who looks on from the bucket may be told what an engine wrote and gave up: the next object says that it is void, and the
/// screen begins again. Such a state must be followed by a beginning, and by the right one.
fn states(screens: &BTreeMap<String, Vec<Line>>, hashes: &BTreeMap<u64, String>) -> usize {
    let mut compared = 0;
    let last = hashes.keys().next_back().copied().unwrap_or_default();
    for (name, lines) in screens {
        let (mut at_engine, mut held, mut void) = (false, 0, None);
        for line in lines {
            match &line.what {
                Held::Up { live } => (at_engine, void) = (*live, None),
                Held::Holds { seq, hash } if hashes.get(seq) == Some(hash) => {
                    assert_eq!(void, None, "{name} went on from a state that nobody else held to event {seq}");
                    (compared, held) = (compared + 1, *seq);
                }
                Held::Holds { seq, .. } => {
                    assert!(!at_engine, "{name} held another state after event {seq} than the engine");
                    void = Some(*seq);
                }
                _ => {}
            }
        }
        assert_eq!((held, void), (last, None), "{name} never came to hold what the others do");
    }
    compared
}

/// A request that met an outage is tried again after so long, microseconds.
const RETRY: i64 = 2_000_000;

/// Milliseconds that each attachment took until the screen held what anybody held when it was up. At the bucket, only
/// where the trial itself left the links alone: what an engine cannot write there, nobody can read there.
fn attached(screens: &BTreeMap<String, Vec<Line>>, outages: &[(i64, i64)]) -> (Vec<u64>, Vec<u64>) {
    let holds = |line: &Line| if let Held::Holds { seq, .. } = line.what { Some((line.at, seq)) } else { None };
    let mut known: Vec<(i64, u64)> = screens.values().flatten().filter_map(holds).collect();
    known.sort_unstable();
    // From here on: the newest event that anybody had heard of by then.
    let mut newest = 0;
    known.iter_mut().for_each(|(_, seq)| (newest, *seq) = (newest.max(*seq), newest.max(*seq)));
    let known_at = |at: i64| known[..known.partition_point(|(when, _)| *when <= at)].last().map(|(_, seq)| *seq);
    let (mut at_engine, mut at_bucket) = (Vec::new(), Vec::new());
    for lines in screens.values() {
        for (index, line) in lines.iter().enumerate() {
            let Held::Up { live } = line.what else { continue };
            let tried = lines[..index].iter().rev().find(|line| !matches!(line.what, Held::Refused { .. }));
            // At the bucket, only the first time is a try of its own: the link comes back by itself.
            let began = tried.filter(|line| matches!(line.what, Held::Tries)).map_or(line.at, |line| line.at);
            let target = known_at(line.at).unwrap_or_default();
            let later = lines[index..].iter().take_while(|line| !matches!(line.what, Held::Down | Held::Tries));
            let Some((then, _)) = later.filter_map(holds).find(|(_, seq)| *seq >= target) else { continue };
            let took = u64::try_from((then - began) / 1000).unwrap_or_default();
            let disturbed = || outages.iter().any(|(from, to)| *from <= then && began <= to.saturating_add(RETRY));
            if live {
                at_engine.push(took);
            } else if !disturbed() {
                at_bucket.push(took);
            }
        }
    }
    (at_engine, at_bucket)
}
