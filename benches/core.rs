//! What the core and one frame cost: `cargo bench --bench core`. Allocations are counted beside the time.

mod support;

use cutover::{
    journal::{Journal, Reader},
    run::{Actor, Ask, Command, Sample, State},
    session::message::{Telemetry, ToCockpit},
    tui::{Depth, Offscreen, Shown, Theme},
};
use divan::{AllocProfiler, Bencher, counter::ItemsCount};
use jiff::tz::TimeZone;

use support::{Session, step, trouble};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

/// How many events the replayed journal has.
const LONG: usize = 100_000;

fn main() {
    divan::main();
}

/// One report of a watch, decided and folded.
#[divan::bench(sample_count = 50)]
fn decide_and_apply(bencher: Bencher<'_, '_>) {
    let Session { snapshot, now, .. } = Session::new();
    let reports = trouble(&snapshot.plan);
    let commands: Vec<_> =
        reports.into_iter().map(|report| Command { at: now, by: Actor::Engine, ask: Ask::Report(report) }).collect();
    let mut state = snapshot.state;
    bencher.counter(ItemsCount::new(commands.len())).bench_local(|| {
        for command in &commands {
            divan::black_box(step(&snapshot.plan, &mut state, command));
        }
    });
}

/// A journal of 100,000 events: read, every hash checked, folded.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn replay(bencher: Bencher<'_, '_>) {
    let directory = std::env::temp_dir().join(format!("cutover-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory for the journal");
    let path = directory.join("journal.jsonl");
    write_journal(&path);
    bencher.counter(ItemsCount::new(LONG)).bench_local(|| {
        let mut state = State::default();
        for event in Reader::open(&path).expect("the journal that was just written") {
            state.apply(&event.expect("a sound line")).expect("it follows");
        }
        assert_eq!(state.seq as usize, LONG);
        state
    });
    let _ = std::fs::remove_dir_all(&directory);
}

fn write_journal(path: &std::path::Path) {
    let mut session = Session::empty();
    let mut events = session.begin();
    let reports = trouble(&session.snapshot.plan);
    for report in reports.iter().cycle() {
        if events.len() >= LONG {
            break;
        }
        events.extend(session.report(report.clone()));
    }
    events.truncate(LONG);
    let mut journal = Journal::create(path).expect("a new journal");
    for chunk in events.chunks(10_000) {
        journal.append(chunk).expect("room for the journal");
    }
}

fn screen() -> Offscreen {
    Offscreen::new((120, 40), Theme::new(Depth::Ansi256, false), TimeZone::UTC)
}

/// A frame after a second of live data: worked out, drawn and encoded.
#[divan::bench(args = [Shown::Cockpit, Shown::Graphs, Shown::Journal, Shown::Help])]
fn frame(bencher: Bencher<'_, '_>, shown: Shown) {
    let mut session = Session::new();
    let mut screen = screen();
    screen.show(shown);
    bencher.bench_local(|| {
        session.tick();
        screen.frame(&session.snapshot, session.now)
    });
}

/// The first frame of a fresh terminal.
#[divan::bench]
fn first_frame(bencher: Bencher<'_, '_>) {
    let session = Session::new();
    bencher.bench_local(|| screen().frame(&session.snapshot, session.now));
}

/// The snapshot that a cockpit gets when it attaches, made into JSON.
#[divan::bench]
fn snapshot_encode(bencher: Bencher<'_, '_>) {
    let message = ToCockpit::Snapshot(Box::new(Session::new().snapshot));
    bencher.bench_local(|| serde_json::to_vec(&message));
}

/// And read again.
#[divan::bench]
fn snapshot_decode(bencher: Bencher<'_, '_>) {
    let json = serde_json::to_vec(&ToCockpit::Snapshot(Box::new(Session::new().snapshot))).expect("it has JSON");
    bencher
        .counter(divan::counter::BytesCount::new(json.len()))
        .bench_local(|| serde_json::from_slice::<ToCockpit>(&json).expect("it was just written"));
}

/// Samples of one second, taken into rings that are full.
#[divan::bench]
fn telemetry_merge(bencher: Bencher<'_, '_>) {
    let mut session = Session::new();
    let samples: Vec<Sample> = (0..30).flat_map(|_| session.pass()).collect();
    let mut telemetry: Telemetry = session.snapshot.telemetry;
    bencher.counter(ItemsCount::new(samples.len())).with_inputs(|| samples.clone()).bench_local_values(|samples| {
        samples.into_iter().for_each(|sample| telemetry.take(sample));
    });
}
