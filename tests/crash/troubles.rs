//! What else befalls a machine: a full disk, a disk that fails, a clock set back, a suspend, a swept runtime directory.

use std::{
    fs,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use cutover::{
    clock::monotonic,
    journal::Reader,
    run::{Event, Phase, Request, State, What},
    session::{Client, Follower, Link, News, next_request},
};
use rustix::process::Signal;

use super::{
    home::{Engine, Home, SPEED},
    proxy::{Carrier, Loss},
    shim::{Answer, Fate},
    truth::assert_agreement,
};

/// Nothing takes longer, wall time.
const PATIENCE: Duration = Duration::from_secs(240);
/// How long a disk is in trouble, wall time.
const TROUBLE: Duration = Duration::from_secs(3);

/// A disk that is in trouble for a while, from the first intent of a step on.
#[derive(Default)]
struct Disk {
    /// The step, and whether a write fails or only what follows it.
    of: Option<(&'static str, Answer)>,
    began: Option<Instant>,
    refused: usize,
}

impl Disk {
    fn troubled(&mut self, answer: Answer) -> Answer {
        if self.began.is_some_and(|began| began.elapsed() < TROUBLE) {
            self.refused += 1;
            return answer;
        }
        Answer::Go
    }
}

impl Fate for Disk {
    fn writes(&mut self, lines: &[u8]) -> Answer {
        let Some((step, answer)) = self.of else { return Answer::Go };
        let text = String::from_utf8_lossy(lines);
        if self.began.is_none() && text.contains("\"intended\"") && text.contains(step) {
            self.began = Some(monotonic());
        }
        if answer == Answer::Broken { Answer::Go } else { self.troubled(answer) }
    }

    fn synced(&mut self) -> Answer {
        match self.of {
            Some((_, Answer::Broken)) => self.troubled(Answer::Broken),
            _ => Answer::Go,
        }
    }
}

/// Notes when a call that would change the world went by.
#[derive(Default)]
struct Calls(Mutex<Vec<Instant>>);

impl Carrier for Calls {
    fn carries(&self, _operation: &str) -> Loss {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(monotonic());
        Loss::None
    }

    fn kill(&self) {}
}

/// A session on a disk, and what would change the world.
async fn home(disk: Disk) -> (Home, Arc<Mutex<Disk>>, Arc<Calls>) {
    let (disk, calls) = (Arc::new(Mutex::new(disk)), Arc::new(Calls::default()));
    let theirs = Arc::clone(&calls);
    let home = Home::new(disk.clone(), move |_: Engine| theirs).await;
    (home, disk, calls)
}

/// Somebody who drives as the autopilot does.
struct Driver {
    link: Link,
    follower: Option<Follower>,
    asked: Option<(Request, Instant)>,
}

impl Driver {
    fn at(home: &Home) -> Self {
        Self { link: home.link(drop), follower: None, asked: None }
    }

    /// Drives until the state satisfies.
    async fn drive(&mut self, home: &Home, what: &str, until: impl Fn(&State) -> bool) {
        let begun = monotonic();
        while !self.follower.as_ref().is_some_and(|follower| until(&follower.snapshot().state)) {
            assert!(begun.elapsed() < PATIENCE, "never {what}:\n{}", home.last_words());
            self.ask();
            match tokio::time::timeout(Duration::from_millis(50), self.link.recv()).await {
                Ok(Some(News::Up(snapshot))) => self.follower = Some(Follower::new(snapshot)),
                Ok(Some(News::Message(message))) => drop(self.follower.as_mut().map(|follower| follower.take(message))),
                Ok(Some(News::Down { .. })) => self.follower = None,
                Ok(Some(News::Refused { reason })) => panic!("refused: {reason}"),
                Ok(Some(News::Past(_))) => {}
                Ok(None) => panic!("the link is closed"),
                Err(_) => {}
            }
        }
    }

    fn ask(&mut self) {
        let Some(follower) = &self.follower else { return };
        let snapshot = follower.snapshot();
        let wanted = next_request(&snapshot.plan, &snapshot.state, &snapshot.you, follower.now());
        let new = |request: &Request| {
            self.asked.as_ref().is_none_or(|(asked, at)| asked != request || at.elapsed() > TROUBLE / 6)
        };
        if let Some(request) = wanted.filter(new) {
            self.asked = Some((request.clone(), monotonic()));
            // Too many wait: it is asked again.
            let _ = self.link.request(request);
        }
    }
}

fn is(step: &'static str, phase: Phase) -> impl Fn(&State) -> bool {
    move |state| state.step(&step.into()).unwrap().phase == phase
}

async fn close(mut home: Home, driver: Driver) -> Vec<Event> {
    home.engine.kill();
    home.look().await;
    assert_agreement(&home);
    log_of(home, driver).await
}

/// Ends it and reads its log.
async fn log_of(home: Home, driver: Driver) -> Vec<Event> {
    drop(driver);
    home.engine.kill();
    let events: Vec<Event> = Reader::open(home.session().journal()).unwrap().map(Result::unwrap).collect();
    assert!(events.is_sorted_by_key(|event| event.at), "session time ran backwards");
    home.close().await;
    events
}

fn engines(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event.what, What::EngineStarted { .. })).count()
}

/// An intent that the disk will not take: nothing is sent until it does, and then it is done once.
async fn disk(answer: Answer) {
    let (home, disk, calls) = home(Disk { of: Some(("lower-ttl", answer)), ..Disk::default() }).await;
    let mut driver = Driver::at(&home);
    driver.drive(&home, "the TTL lowered", is("lower-ttl", Phase::Done)).await;
    let (began, refused) = {
        let disk = disk.lock().unwrap_or_else(PoisonError::into_inner);
        (disk.began.unwrap(), disk.refused)
    };
    assert!(refused > 0, "the disk was never in trouble");
    let calls = calls.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // Calls before belong to the steps before.
    let first = calls.into_iter().find(|at| *at >= began).unwrap();
    assert!(first > began + TROUBLE, "something was sent before its intent was on disk");
    let events = close(home, driver).await;
    assert_eq!(engines(&events), 1, "the engine did not outlive it");
    let intents =
        events.iter().filter(|event| matches!(&event.what, What::Intended { step, .. } if *step == "lower-ttl".into()));
    assert_eq!(intents.count(), 1);
}

#[tokio::test]
async fn what_a_full_disk_does_not_take_is_not_done() {
    disk(Answer::Full(40)).await;
}

#[tokio::test]
async fn what_an_fsync_does_not_confirm_is_not_done() {
    disk(Answer::Broken).await;
}

#[tokio::test]
async fn a_clock_set_back_by_an_hour_neither_stops_a_drain_nor_shortens_it() {
    let (home, _, _) = home(Disk::default()).await;
    let mut driver = Driver::at(&home);
    driver.drive(&home, "draining", is("drain", Phase::Running)).await;
    home.shim.set_clock_off(-3600);
    driver.drive(&home, "drained", is("drain", Phase::Done)).await;
    // Nor does it stop the next engine, which knows the time only from the journal.
    // It is behind by as long as nothing was written, and whoever drives has to see that.
    home.engine.signal(Signal::STOP);
    tokio::time::sleep(TROUBLE / 6).await;
    home.engine.kill();
    driver.drive(&home, "frozen", is("freeze", Phase::Done)).await;
    let events = close(home, driver).await;
    assert_eq!(engines(&events), 2);
    assert_drained(&events);
}

#[tokio::test]
async fn a_machine_suspended_for_ten_minutes_in_a_drain_goes_on_where_it_was() {
    let (home, _, _) = home(Disk::default()).await;
    let mut driver = Driver::at(&home);
    driver.drive(&home, "draining", is("drain", Phase::Running)).await;
    home.engine.signal(Signal::STOP);
    tokio::time::sleep(Duration::from_secs_f64(600.0 / SPEED)).await;
    home.engine.signal(Signal::CONT);
    driver.drive(&home, "frozen", is("freeze", Phase::Done)).await;
    let events = close(home, driver).await;
    assert_eq!(engines(&events), 1);
    assert_drained(&events);
    let gap = events.windows(2).map(|pair| pair[1].at.duration_since(pair[0].at)).max().unwrap();
    assert!(gap.as_secs() > 500, "it was not suspended: the longest silence was {gap}");
}

/// The old TTL of five minutes passed between the change and the end of the drain.
fn assert_drained(events: &[Event]) {
    let done = |id: &str| {
        let done = events.iter().find(|event| matches!(&event.what, What::Ended { step, .. } if *step == id.into()));
        done.unwrap_or_else(|| panic!("{id} never ended")).at
    };
    let drained = done("drain").duration_since(done("lower-ttl"));
    assert!(drained.as_secs() >= 300, "drained after {drained}");
    assert!(drained.as_secs() < 3600, "an hour that never passed was waited for: {drained}");
}

#[tokio::test]
async fn a_socket_that_is_swept_away_stands_again_and_nobody_is_thrown_out() {
    let (home, _, _) = home(Disk::default()).await;
    let mut driver = Driver::at(&home);
    driver.drive(&home, "checked", is("smoke", Phase::Done)).await;
    let socket = home.session().socket();
    let target = fs::read_link(&socket).unwrap();
    fs::remove_file(&target).unwrap();
    fs::remove_file(&socket).unwrap();
    let begun = monotonic();
    while Client::peek(&socket).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10), "nobody finds the engine any more");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    driver.drive(&home, "the TTL lowered", is("lower-ttl", Phase::Done)).await;
    let events = close(home, driver).await;
    assert_eq!(engines(&events), 1);
    let attached = events.iter().filter(|event| matches!(event.what, What::Attached { .. })).count();
    assert_eq!(attached, 1, "the cockpit had to attach again");
}

#[tokio::test]
async fn what_was_consented_to_before_a_full_disk_is_read_again_before_it_is_sent() {
    let (home, disk, _) = home(Disk { of: Some(("freeze", Answer::Full(40))), ..Disk::default() }).await;
    let mut driver = Driver::at(&home);
    let full = || disk.lock().unwrap_or_else(PoisonError::into_inner).began.is_some();
    driver.drive(&home, "the disk full", |_| full()).await;
    // Nobody but the one who consented waits for this disk: another does it by hand.
    home.maintenance(true).await;
    driver.drive(&home, "the maintenance page on", is("freeze", Phase::Done)).await;
    // One of the changes of the world is not the engine's.
    let events = log_of(home, driver).await;
    let of = |which: fn(&What) -> bool| events.iter().position(|event| which(&event.what)).unwrap();
    let armed = of(|what| matches!(what, What::Armed { step, .. } if *step == "freeze".into()));
    let intended = of(|what| matches!(what, What::Intended { step, .. } if *step == "freeze".into()));
    let closed = |event: &Event| matches!(event.what, What::Disarmed { .. });
    let between = &events[armed..intended];
    assert!(between.iter().any(closed), "it was sent as it had been read before the disk was full");
}
