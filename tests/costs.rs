//! What must not be spent: bytes over the wire, calls that are billed, memory that grows with the night. Counts only,
//! which are the same on every machine; times stand in `benches/`.

#[path = "../benches/support/metrics.rs"]
mod metrics;
#[path = "../benches/support/mod.rs"]
mod support;

use cutover::{
    clock::Clock,
    sandbox::{Ports, SandboxConfig, scenario::Scenario},
    session::message::ToCockpit,
    tui::{Depth, Offscreen, Shown, Theme},
    world::World,
};
use jiff::{SignedDuration, tz::TimeZone};

use metrics::metrics;
use support::{Session, trouble};

/// How long a session is watched, seconds.
const WATCHED: usize = 120;

fn screen(shown: Shown) -> Offscreen {
    let mut screen = Offscreen::new((120, 40), Theme::new(Depth::Ansi256, false), TimeZone::UTC);
    screen.show(shown);
    screen
}

/// Mean bytes of a second.
fn rate(screen: &mut Offscreen, session: &mut Session, pass: impl Fn(&mut Session)) -> usize {
    screen.frame(&session.snapshot, session.now);
    let second = |_| {
        pass(session);
        screen.frame(&session.snapshot, session.now).len()
    };
    (0..WATCHED).map(second).sum::<usize>() / WATCHED
}

#[test]
fn a_second_of_live_data_fits_through_any_link() {
    let bytes = rate(&mut screen(Shown::Cockpit), &mut Session::new(), |session| drop(session.pass()));
    assert!(bytes <= 700, "{bytes} bytes a second with six graphs, twelve checks and eight resolvers");
}

#[test]
fn a_second_in_which_only_the_clock_ticks_costs_next_to_nothing() {
    let bytes = rate(&mut screen(Shown::Journal), &mut Session::new(), Session::tick);
    assert!(bytes <= 25, "{bytes} bytes a second");
    // In the cockpit ages and TTLs count on as well.
    let bytes = rate(&mut screen(Shown::Cockpit), &mut Session::new(), Session::tick);
    assert!(bytes <= 200, "{bytes} bytes a second");
}

#[test]
fn what_the_terminal_shows_is_not_sent_again() {
    let mut session = Session::new();
    for shown in [Shown::Cockpit, Shown::Graphs, Shown::Journal, Shown::Help] {
        let mut screen = screen(shown);
        screen.frame(&session.snapshot, session.now);
        assert_eq!(screen.frame(&session.snapshot, session.now), b"", "{shown:?}");
        session.pass();
        screen.frame(&session.snapshot, session.now);
        assert_eq!(screen.frame(&session.snapshot, session.now), b"", "{shown:?}");
    }
}

#[test]
fn a_screen_full_fits_into_two_seconds_of_a_bad_link() {
    let session = Session::new();
    let mut screen = screen(Shown::Cockpit);
    let whole = screen.frame(&session.snapshot, session.now).len();
    assert!(whole <= 14_000, "{whole} bytes for the first frame");
    screen.show(Shown::Help);
    let help = screen.frame(&session.snapshot, session.now).len();
    assert!(help <= 4_500, "{help} bytes for the help");
}

#[test]
fn a_cockpit_attaches_with_a_small_snapshot() {
    let session = Session::new();
    let json = serde_json::to_vec(&ToCockpit::Snapshot(Box::new(session.snapshot))).unwrap();
    assert!(json.len() <= 256 * 1024, "{} bytes", json.len());
}

#[test]
fn the_fold_does_not_grow_with_the_log() {
    let mut session = Session::empty();
    session.begin();
    let reports = trouble(&session.snapshot.plan);
    let mut size = |events: u64| {
        for report in reports.iter().cycle() {
            if session.snapshot.state.seq >= events {
                break;
            }
            session.report(report.clone());
        }
        serde_json::to_vec(&session.snapshot.state).unwrap().len()
    };
    let (young, old) = (size(2_000), size(20_000));
    assert!(old <= young + young / 20, "{young} bytes after 2,000 events, {old} after 20,000");
}

#[tokio::test]
async fn five_hundred_metrics_are_one_call() {
    let clock = Clock::real();
    let config =
        SandboxConfig { clock, scenario: Scenario::load("calm").unwrap(), state_dir: None, ports: Ports::default() };
    let sandbox = cutover::sandbox::start(config).await.unwrap();
    let mut plan = support::plan();
    plan.aws.endpoint = Some(sandbox.endpoints().aws_route53.clone());
    let world = World::connect(&plan, clock).await.unwrap();
    let now = clock.now();
    let mut before = (0, 0);
    for (count, calls) in [(1, 1), (499, 1), (500, 1), (501, 2), (1_001, 3)] {
        world.cloudwatch().fetch(&metrics(count), now - SignedDuration::from_mins(5), now).await.unwrap();
        let after = world.cloudwatch().spent();
        assert_eq!((after.0 - before.0, after.1 - before.1), (calls, count as u64), "{count} metrics");
        before = after;
    }
    sandbox.shutdown().await;
}
