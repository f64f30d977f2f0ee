//! The cockpit beside its peers, from the outside: `cargo bench --bench terminal [-- ROUNDS]`.
//!
//! Starts a rehearsal at speed 1 (six graphs, twelve checks, eight resolvers), attaches a cockpit to it again and again
//! in turn with the peers that this machine has, and prints medians, ratios, and whether the budgets hold; the exit code
//! says the latter. CPU is the processes' own, bytes are those that reach the terminal.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a program that measures"
)]

mod pty;

use std::{
    collections::BTreeMap,
    process::ExitCode,
    time::{Duration, Instant},
};

use pty::{Link, Program};

/// How long each phase is observed.
const OBSERVED: Duration = Duration::from_secs(8);
/// How long a rehearsal may take until every check has run: they are spread over half a minute.
const BEGINNING: Duration = Duration::from_secs(90);
/// How long anything may take to appear.
const PATIENCE: Duration = Duration::from_secs(15);
/// Key presses a round.
const PRESSES: (usize, usize) = (20, 8);

/// A program to measure.
struct Subject {
    name: &'static str,
    argv: Vec<String>,
    env: Vec<(String, String)>,
    /// What the first whole frame shows.
    ready: &'static [&'static str],
    /// Keys that bring it where only its clock ticks, and back.
    still: Option<(&'static str, &'static str)>,
    /// Pressed in turn: a key, what must then be on the screen, and whether it must be there or be gone.
    keys: [(&'static str, &'static str, bool); 2],
}

/// What is measured, in the order of the table: name, unit, and our budget.
const FIGURES: [(&str, &str, f64); 8] = [
    ("first frame", "ms", 25.0),
    ("CPU live", "ms/s", 1.5),
    ("CPU still", "ms/s", 0.3),
    ("bytes live", "B/s", 700.0),
    ("bytes still", "B/s", 25.0),
    ("key to paint", "ms", 0.6),
    ("behind 8 KiB/s, 150 ms", "ms", 200.0),
    ("peak memory", "MiB", 9.0),
];

type Figures = BTreeMap<&'static str, Vec<f64>>;

fn main() -> ExitCode {
    let rounds = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(3);
    let state = tempfile::tempdir().expect("a directory for the session");
    let home = state.path().display().to_string();
    let env: Vec<_> = ["XDG_STATE_HOME", "XDG_RUNTIME_DIR"].map(|name| (name.to_owned(), home.clone())).into();
    begin(&env);
    let subjects = subjects(&env);
    let mut measured: BTreeMap<&str, Figures> = BTreeMap::new();
    for round in 0..rounds {
        for subject in &subjects {
            println!("round {} of {rounds}: {}", round + 1, subject.name);
            measure(subject, measured.entry(subject.name).or_default());
        }
    }
    // The engine and the sandbox.
    pty::end(&pty::carrying(&format!("XDG_STATE_HOME={home}")));
    table(&subjects, &measured)
}

/// Starts a rehearsal and leaves its screen.
fn begin(env: &[(String, String)]) {
    let argv = [env!("CARGO_BIN_EXE_cutover"), "rehearse", "--speed", "1"].map(str::to_owned);
    let mut program = Program::start(&argv, env, Link::LOCAL);
    let shown = program.until(BEGINNING, |text| text.contains("12/12 pass"));
    assert!(shown.is_some(), "the rehearsal did not begin:\n{}", program.text());
    program.quit("q");
}

/// Ours, and the peers that are installed.
fn subjects(env: &[(String, String)]) -> Vec<Subject> {
    let ours = Subject {
        name: "cutover",
        argv: [env!("CARGO_BIN_EXE_cutover"), "join"].map(str::to_owned).into(),
        env: env.to_vec(),
        ready: &["Steps", "Checks", "help"],
        still: Some(("7", "1")),
        keys: [("?", "Help", true), ("?", "Help", false)],
    };
    let peer = |name, program: &str, ready, still, keys| Subject {
        name,
        argv: program.split(' ').map(str::to_owned).collect(),
        env: Vec::new(),
        ready,
        still,
        keys,
    };
    let peers = [
        peer("bottom", "btm", &["Processes"], Some(("f", "f")), [("e", "RAM:", false), ("e", "RAM:", true)]),
        peer(
            "htop",
            "htop",
            &["Load average", "F10"],
            Some(("Z", "Z")),
            [("h", "Released under the GNU", true), (" ", "Released under the GNU", false)],
        ),
        peer("btop", "btop", &["cpu", "menu"], None, [("h", "Description:", true), ("h", "Description:", false)]),
        peer(
            "trippy",
            "trip 127.0.0.1",
            &["quit", "Hops"],
            Some(("\u{6}", "\u{6}")),
            [("h", "network diagnostic tool", true), ("h", "network diagnostic tool", false)],
        ),
    ];
    let installed = |subject: &Subject| {
        let path = std::env::var("PATH").unwrap_or_default();
        let found = path.split(':').any(|folder| std::path::Path::new(folder).join(&subject.argv[0]).is_file());
        if !found {
            println!("{} is not installed: left out", subject.name);
        }
        found
    };
    [ours].into_iter().chain(peers.into_iter().filter(installed)).collect()
}

fn measure(subject: &Subject, figures: &mut Figures) {
    let mut put = |name: &'static str, value: f64| figures.entry(name).or_default().push(value);
    let mut program = Program::start(&subject.argv, &subject.env, Link::LOCAL);
    let ready = program.until(PATIENCE, |text| subject.ready.iter().all(|word| text.contains(word)));
    let Some(ready) = ready else {
        println!("{} did not paint its screen", subject.name);
        return program.quit("q");
    };
    put("first frame", millis(ready - program.started));
    program.rest(Duration::from_secs(2));
    let (cpu, bytes) = observe(&mut program);
    put("CPU live", cpu);
    put("bytes live", bytes);
    if let Some((enter, leave)) = subject.still {
        program.press(enter);
        program.rest(Duration::from_secs(1));
        let (cpu, bytes) = observe(&mut program);
        put("CPU still", cpu);
        put("bytes still", bytes);
        program.press(leave);
        program.rest(Duration::from_millis(500));
    }
    put("key to paint", press(&mut program, subject, PRESSES.0));
    put("peak memory", program.peak());
    program.quit("q");
    let mut program = Program::start(&subject.argv, &subject.env, Link::SLOW);
    if program.until(PATIENCE, |text| subject.ready.iter().all(|word| text.contains(word))).is_some() {
        program.rest(Duration::from_secs(4));
        put("behind 8 KiB/s, 150 ms", press(&mut program, subject, PRESSES.1));
    }
    program.quit("q");
}

/// CPU milliseconds and bytes of a second.
fn observe(program: &mut Program) -> (f64, f64) {
    let (cpu, bytes, begun) = (program.cpu(), program.bytes, Instant::now());
    program.rest(OBSERVED);
    let seconds = begun.elapsed().as_secs_f64();
    (millis(program.cpu() - cpu) / seconds, (program.bytes - bytes) as f64 / seconds)
}

/// The median time from a key to its effect on the screen, milliseconds.
fn press(program: &mut Program, subject: &Subject, presses: usize) -> f64 {
    let mut times = Vec::new();
    for turn in 0..presses {
        let (key, words, there) = subject.keys[turn % 2];
        // At any moment of a second, not in step with its clock.
        program.rest(Duration::from_millis(350 + (turn as u64 * 137) % 400));
        let pressed = Instant::now();
        program.press(key);
        match program.until(Duration::from_secs(5), |text| text.contains(words) == there) {
            Some(at) => times.push(millis(at - pressed)),
            None => println!("{}: {key:?} had no effect", subject.name),
        }
    }
    median(&mut times)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn table(subjects: &[Subject], measured: &BTreeMap<&str, Figures>) -> ExitCode {
    let value = |subject: &str, figure: &str| {
        measured.get(subject).and_then(|figures| figures.get(figure)).map(|values| median(&mut values.clone()))
    };
    println!("\n{:<24} {:>9} {:>9}  ", "120x40, medians", "cutover", "budget");
    let mut holds = true;
    for (figure, unit, budget) in FIGURES {
        let ours = value("cutover", figure).unwrap_or(f64::NAN);
        let within = ours <= budget;
        holds &= within;
        print!(
            "{:<24} {ours:>9.2} {budget:>9.2}  {}",
            format!("{figure}, {unit}"),
            if within { "holds" } else { "BROKEN" }
        );
        for peer in &subjects[1..] {
            match value(peer.name, figure) {
                Some(theirs) => print!("   {} {theirs:.2} (x{:.2})", peer.name, ours / theirs),
                None => print!("   {} -", peer.name),
            }
        }
        println!();
    }
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
