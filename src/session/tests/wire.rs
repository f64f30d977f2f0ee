//! What crosses the socket, for good and for ill.

use std::os::unix::fs::PermissionsExt as _;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};

use super::*;
use crate::session::{
    frame::{TO_ENGINE_MAX, encode},
    hub::{QUEUE, REPLIES},
    message::{PROTOCOL, ToCockpit, ToEngine},
};

fn hello(seat: Seat) -> ToEngine {
    let origin = crate::run::Origin::default();
    ToEngine::Hello { protocol: PROTOCOL, version: "t".into(), seat, autopilot: false, origin }
}

/// Speaks the wire by hand.
struct Raw(UnixStream);

impl Raw {
    async fn open(stage: &Stage) -> Self {
        Self(UnixStream::connect(std::fs::read_link(stage.dir.socket()).unwrap()).await.unwrap())
    }

    async fn attached(stage: &Stage) -> Self {
        let mut raw = Self::open(stage).await;
        raw.say(&hello(Seat::Viewer)).await;
        assert!(matches!(raw.hear().await, Some(ToCockpit::Snapshot(_))));
        raw
    }

    async fn write(&mut self, frame: &[u8]) {
        self.0.write_all(&u32::try_from(frame.len()).unwrap().to_be_bytes()).await.unwrap();
        self.0.write_all(frame).await.unwrap();
    }

    async fn say(&mut self, message: &ToEngine) {
        self.write(&encode(message).unwrap()).await;
    }

    /// None: the engine closed the connection.
    async fn hear(&mut self) -> Option<ToCockpit> {
        let read = async {
            let mut length = [0; 4];
            self.0.read_exact(&mut length).await.ok()?;
            let mut frame = vec![0; u32::from_be_bytes(length) as usize];
            self.0.read_exact(&mut frame).await.ok()?;
            Some(serde_json::from_slice(&frame).unwrap())
        };
        timeout(LIMIT, read).await.unwrap()
    }

    async fn expect_refusal(&mut self, words: &str) {
        loop {
            match self.hear().await {
                Some(ToCockpit::Refused { reason }) => break assert!(reason.contains(words), "{reason}"),
                Some(_) => {}
                None => panic!("closed without a word"),
            }
        }
        assert_eq!(self.hear().await, None);
    }
}

#[tokio::test]
async fn the_socket_is_private_and_goes_with_the_engine() {
    let stage = Stage::new(EnvironmentKind::Production);
    let engine = stage.start();
    let socket = std::fs::read_link(stage.dir.socket()).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&socket), 0o600);
    assert_eq!(mode(socket.parent().unwrap()), 0o700);
    assert!(socket.starts_with(stage.runtime()) && stage.dir.lives());
    engine.hub.close();
    for task in engine.tasks {
        task.abort();
        let _ = task.await;
    }
    assert!(!socket.exists() && !stage.dir.socket().exists());
}

#[test]
#[ignore = "not a test: the other user of another_user_is_refused_before_any_data_flows"]
fn knock_as_another_user() {
    use std::io::{Read as _, Write as _};
    let Some(socket) = std::env::var_os("CUTOVER_TEST_SOCKET") else { return };
    let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    let hello = encode(&ToEngine::Peek { protocol: PROTOCOL, version: "t".into() }).unwrap();
    // The engine may have closed the connection before this is written.
    let _ =
        stream.write_all(&u32::try_from(hello.len()).unwrap().to_be_bytes()).and_then(|()| stream.write_all(&hello));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert_eq!(answer, b"", "another user was answered");
}

/// Only root can play another user; for everyone else `peer::tests` holds the rule.
#[tokio::test]
async fn another_user_is_refused_before_any_data_flows() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let stage = Stage::new(EnvironmentKind::Sandbox);
    let _engine = stage.start();
    let socket = std::fs::read_link(stage.dir.socket()).unwrap();
    // As if somebody had opened the file permissions: the kernel's word must be enough.
    for (path, mode) in [(stage.runtime(), 0o711), (socket.parent().unwrap(), 0o711), (&socket, 0o666)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let knock = |uid| {
        let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "session::tests::wire::knock_as_another_user", "--ignored"]).uid(uid);
        command
            .env("CUTOVER_TEST_SOCKET", &socket)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        command.status()
    };
    assert!(!knock(0).await.unwrap().success(), "root must be answered, or this shows nothing");
    match knock(65_534).await {
        Ok(status) => assert!(status.success(), "another user was answered"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "the test binary is private"),
    }
}

#[tokio::test]
async fn a_directory_that_others_may_enter_is_not_used() {
    let stage = Stage::new(EnvironmentKind::Production);
    let open = stage.runtime().join("cutover");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
    let _engine = stage.start();
    let socket = std::fs::read_link(stage.dir.socket()).unwrap();
    assert!(socket.starts_with(stage.dir.path()), "{}", socket.display());
    stage.join(Seat::Viewer).await;
}

#[tokio::test]
async fn a_path_too_long_for_an_address_is_no_obstacle() {
    let root = tempfile::tempdir().unwrap();
    let deep = root.path().join("x".repeat(120));
    let dir = Layout::at(&deep).create("acme", "rehearsal", wall_now()).unwrap();
    let (hub, inbound) = Hub::new(plan(EnvironmentKind::Sandbox), Clock::real(), State::default());
    let server = Server::bind(&dir, Some(&deep)).unwrap();
    let served = tokio::spawn(server.run(hub.clone()));
    drop(inbound);
    assert_eq!(Client::peek(&dir.socket()).await.unwrap().plan.name, "acme");
    hub.close();
    served.await.unwrap();
}

#[tokio::test]
async fn an_engine_whose_loop_stands_still_is_heard_by_nobody_until_it_turns() {
    let moment = Duration::from_millis(300);
    let stage = Stage::new(EnvironmentKind::Sandbox);
    let engine = stage.start();
    let (mut sender, mut receiver) = stage.join(Seat::Viewer).await.0.split();
    let still = engine.core.lock().await;
    sender.resync().await.unwrap();
    assert!(tokio::time::timeout(moment, receiver.recv()).await.is_err(), "the socket answered for it");
    let socket = stage.dir.socket();
    let mut peek = std::pin::pin!(Client::peek(&socket));
    assert!(tokio::time::timeout(moment, &mut peek).await.is_err(), "the socket answered for it");
    drop(still);
    assert!(matches!(receiver.recv().await.unwrap(), ToCockpit::Snapshot(_)));
    peek.await.unwrap();
}

#[tokio::test]
async fn whoever_comes_back_while_the_engine_stands_still_has_the_seat_again() {
    let moment = Duration::from_millis(200);
    let stage = Stage::new(EnvironmentKind::Production);
    let engine = stage.start();
    let (mut sender, receiver) = stage.join(Seat::Driver).await.0.split();
    let still = engine.core.lock().await;
    // It is asked whether it lives, given up, asked for a seat, and given up once more.
    sender.resync().await.unwrap();
    tokio::time::sleep(moment).await;
    drop((sender, receiver));
    let mut given_up = Raw::open(&stage).await;
    given_up.say(&hello(Seat::Driver)).await;
    tokio::time::sleep(moment).await;
    drop(given_up);
    let goes_on = async {
        tokio::time::sleep(moment).await;
        drop(still);
    };
    let ((_client, follower), ()) = tokio::join!(stage.join(Seat::Driver), goes_on);
    let Snapshot { state, you, .. } = follower.snapshot();
    assert_eq!(state.driver().map(|driver| driver.conn), Some(you.conn), "{:?}", state.operators);
    assert_eq!(state.operators.len(), 1, "who has gone is still there: {:?}", state.operators);
}

#[tokio::test]
async fn another_protocol_is_turned_away_with_a_sentence() {
    let stage = Stage::new(EnvironmentKind::Sandbox);
    let _engine = stage.start();
    let mut raw = Raw::open(&stage).await;
    raw.say(&ToEngine::Hello {
        protocol: 99,
        version: "9\u{1b}[2J".into(),
        seat: Seat::Driver,
        autopilot: false,
        origin: crate::run::Origin::default(),
    })
    .await;
    raw.expect_refusal("speaks 99").await;
    let mut raw = Raw::open(&stage).await;
    raw.say(&ToEngine::Resync).await;
    raw.expect_refusal("must be a hello").await;
}

#[tokio::test]
async fn the_autopilot_enters_a_sandbox_only() {
    for kind in [EnvironmentKind::Production, EnvironmentKind::Staging] {
        let stage = Stage::new(kind);
        let engine = stage.start();
        let entered = Client::connect(&stage.dir.socket(), Seat::Driver, true).await;
        assert!(matches!(entered, Err(ConnectError::Refused(reason)) if reason.contains("needs a person")));
        assert!(engine.state().await.operators.is_empty());
    }
    let stage = Stage::new(EnvironmentKind::Sandbox);
    let _engine = stage.start();
    Client::connect(&stage.dir.socket(), Seat::Driver, true).await.unwrap();
}

#[tokio::test]
async fn garbage_and_oversize_end_the_connection_and_nothing_else() {
    let stage = Stage::new(EnvironmentKind::Sandbox);
    let engine = stage.start();
    let (mut client, mut follower) = stage.join(Seat::Driver).await;
    let mut raw = Raw::open(&stage).await;
    raw.write(b"\xff\x00 not json").await;
    raw.expect_refusal("not understood").await;
    let mut raw = Raw::attached(&stage).await;
    raw.write(b"{\"to_engine\":\"request\",\"id\":1,\"request\":{\"ask\":\"launch\"}}").await;
    raw.expect_refusal("not understood").await;
    let mut raw = Raw::attached(&stage).await;
    raw.0.write_all(&u32::try_from(TO_ENGINE_MAX + 1).unwrap().to_be_bytes()).await.unwrap();
    raw.expect_refusal("cannot be read").await;
    ask(&mut client, &mut follower, Request::Note { text: "still here".into() }).await.unwrap();
    follow(&mut client, &mut follower, |state| state.operators.len() == 1).await;
    assert_eq!(engine.state().await.operators.len(), 1);
}

#[tokio::test]
async fn who_says_no_hello_is_hung_up_on_and_not_refused() {
    let stage = Stage::new(EnvironmentKind::Sandbox);
    let (hub, _inbound) = Hub::new(plan(EnvironmentKind::Sandbox), Clock::real(), State::default());
    let mut server = Server::bind(&stage.dir, Some(stage.runtime())).unwrap();
    server.hello = Duration::from_millis(50);
    let _served = tokio::spawn(server.run(hub));
    let mut raw = Raw::open(&stage).await;
    let mut rest = Vec::new();
    raw.0.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "a cockpit that was only slow would never try again");
}

#[tokio::test]
async fn two_cockpits_see_the_same_and_a_third_joins_into_it() {
    let stage = Stage::new(EnvironmentKind::Production);
    let engine = stage.start();
    let (mut one, mut follows_one) = stage.join(Seat::Driver).await;
    let (mut two, mut follows_two) = stage.join(Seat::Driver).await;
    ask(&mut one, &mut follows_one, Request::Note { text: "bell\u{7}".into() }).await.unwrap();
    engine.hub.sample(Sample::Spent { calls: 7, metrics: 70 });
    let refused = ask(&mut two, &mut follows_two, Request::Skip { step: "call".into(), reason: "x".into() }).await;
    assert!(refused.is_err_and(|refusal| refusal.0.contains("drives")));
    let (mut three, mut follows_three) = stage.join(Seat::Viewer).await;
    let all = |state: &State| state.operators.len() == 3;
    follow(&mut one, &mut follows_one, all).await;
    follow(&mut two, &mut follows_two, all).await;
    follow(&mut three, &mut follows_three, all).await;
    let truth = engine.state().await;
    for follower in [&follows_one, &follows_two, &follows_three] {
        assert_eq!(follower.snapshot().state, truth);
        assert_eq!(follower.snapshot().telemetry.spent, (7, 70));
    }
    let seats: Vec<Seat> = truth.operators.iter().map(|(_, seat)| *seat).collect();
    assert_eq!(seats, [Seat::Driver, Seat::Confirmer, Seat::Viewer]);
    assert!(truth.log.iter().any(|event| event.what == What::Noted { text: "bell\u{fffd}".into() }));
    drop(two);
    follow(&mut one, &mut follows_one, |state| state.operators.len() == 2).await;
}

/// Joins at forty moments of a stream of events and samples: each follower must see every event exactly once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_and_what_follows_have_no_gap_and_no_double() {
    let stage = Stage::new(EnvironmentKind::Sandbox);
    let engine = stage.start();
    let hub = engine.hub.clone();
    let core = Arc::clone(&engine.core);
    let publisher = tokio::spawn(async move {
        for round in 0.. {
            let (source, value) = (format!("source-{}", round % 7), (round % 2 == 0).then(trouble));
            core.lock().await.report(Report::Source { source, trouble: value });
            hub.sample(Sample::Spent { calls: round, metrics: 0 });
            tokio::task::yield_now().await;
        }
    });
    for _ in 0..40 {
        let (mut client, mut follower) = stage.join(Seat::Viewer).await;
        for _ in 0..20 {
            match client.recv().await.unwrap() {
                ToCockpit::Event(event) => {
                    assert_eq!(event.seq, follower.snapshot().state.seq + 1);
                    assert_eq!(follower.take(ToCockpit::Event(event)), Taken::Followed);
                }
                message => assert_ne!(follower.take(message), Taken::Missed),
            }
        }
    }
    publisher.abort();
}

fn trouble() -> Trouble {
    Trouble { call: "x".into(), reason: "y".repeat(2000), kind: TroubleKind::Throttled, next_try: None }
}

#[tokio::test]
async fn a_slow_reader_blocks_nobody_and_wakes_to_a_fresh_snapshot() {
    let stage = Stage::new(EnvironmentKind::Sandbox);
    let engine = stage.start();
    let mut slow = Raw::attached(&stage).await;
    let (mut quick, mut follower) = stage.join(Seat::Viewer).await;
    // Far more than queue and socket buffers hold.
    let rounds = 6 * QUEUE as u64;
    for round in 1..=rounds {
        let value = (round % 2 == 1).then(trouble);
        engine.report(Report::Source { source: "route53".into(), trouble: value }).await;
        if round % 64 == 0 {
            let seq = engine.state().await.seq;
            follow(&mut quick, &mut follower, |state| state.seq == seq).await;
        }
    }
    let truth = engine.state().await;
    let (mut snapshots, mut messages) = (0, 0);
    let mut follower = None::<Follower>;
    while follower.as_ref().is_none_or(|follower| follower.snapshot().state.seq < truth.seq) {
        messages += 1;
        match (slow.hear().await.unwrap(), &mut follower) {
            (ToCockpit::Snapshot(snapshot), _) => {
                snapshots += 1;
                follower = Some(Follower::new(snapshot));
            }
            (message, Some(follower)) => {
                if let ToCockpit::Event(event) = &message {
                    assert_eq!(event.seq, follower.snapshot().state.seq + 1);
                }
                assert_eq!(follower.take(message), Taken::Followed);
            }
            (_, None) => {}
        }
    }
    assert_eq!(follower.unwrap().snapshot().state, truth);
    assert!(snapshots >= 1 && messages < rounds, "{snapshots} snapshots, {messages} messages of {rounds}");
}

#[tokio::test]
async fn replies_survive_a_full_queue_and_are_bounded() {
    let stage = Stage::new(EnvironmentKind::Sandbox);
    let engine = stage.start();
    let mut slow = Raw::attached(&stage).await;
    let asked = 3 * REPLIES as u64;
    for id in 1..=asked {
        slow.say(&ToEngine::Request { id, request: Request::Release }).await;
    }
    for round in 0..2 * QUEUE {
        engine.report(Report::Source { source: "x".into(), trouble: (round % 2 == 0).then(trouble) }).await;
    }
    let mut heard = Vec::new();
    while heard.len() < asked as usize {
        if let ToCockpit::Reply { id, result } = slow.hear().await.unwrap() {
            assert!(result.is_err());
            heard.push(id);
        }
    }
    assert_eq!(heard, (1..=asked).collect::<Vec<_>>());
}

#[tokio::test]
async fn peeking_attaches_nobody_and_a_dead_engine_leaves_its_journal() {
    let stage = Stage::new(EnvironmentKind::Production);
    let engine = stage.start();
    let truth = engine.state().await;
    let live = status(&stage.dir).await.unwrap();
    assert!(live.live && live.state == truth && engine.state().await.seq == truth.seq);
    let json = serde_json::to_value(live.summary()).unwrap();
    assert_eq!((json["steps"][0]["phase"].as_str(), json["current"].as_str()), (Some("ready"), Some("call")));
    engine.crash();
    // The lock goes with the last of its tasks, and with the last child that another test has just begun.
    timeout(LIMIT, async {
        while stage.dir.lives() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    let dead = status(&stage.dir).await.unwrap();
    assert!(!dead.live, "it is said to live");
    assert_eq!(dead.state, truth);
}

/// What the hub hands to a connection, decoded.
async fn due(hub: &Hub, conn: u64) -> Vec<ToCockpit> {
    let frames = timeout(LIMIT, hub.next(conn)).await.unwrap().unwrap();
    frames.iter().map(|frame| serde_json::from_slice(frame).unwrap()).collect()
}

#[tokio::test]
async fn whoever_has_missed_something_gets_a_snapshot_and_only_what_comes_after_it() {
    let (hub, _inbound) = Hub::new(plan(EnvironmentKind::Sandbox), Clock::real(), State::default());
    let publish = |seqs: std::ops::RangeInclusive<u64>| seqs.for_each(|seq| hub.publish(&noted(seq)).unwrap());
    let snapshot_at = |message: &ToCockpit, seq| matches!(message, ToCockpit::Snapshot(s) if s.state.seq == seq);
    publish(1..=2);
    hub.join(Operator::new(1, "op1", 1));
    publish(3..=4);
    let joined = due(&hub, 1).await;
    assert!(joined.len() == 1 && snapshot_at(&joined[0], 4));
    publish(5..=6);
    assert_eq!(due(&hub, 1).await, [5, 6].map(|seq| ToCockpit::Event(Box::new(noted(seq)))));
    hub.reply(1, 9, Ok(()));
    let last = 7 + QUEUE as u64;
    publish(7..=last);
    publish(last + 1..=last + 3);
    let woken = due(&hub, 1).await;
    assert!(woken.len() == 2 && snapshot_at(&woken[0], last + 3), "{} messages", woken.len());
    assert_eq!(woken[1], ToCockpit::Reply { id: 9, result: Ok(()) });
    hub.resync(1);
    publish(last + 4..=last + 4);
    assert!(snapshot_at(&due(&hub, 1).await[0], last + 4));
    publish(last + 5..=last + 5);
    hub.close();
    assert_eq!(due(&hub, 1).await.len(), 1, "what waits is still handed out");
    assert_eq!(hub.next(1).await, None);
}

fn noted(seq: u64) -> Event {
    let what = What::Noted { text: seq.to_string() };
    Event { seq, at: Timestamp::UNIX_EPOCH, by: Actor::Engine, what }
}

#[test]
fn a_snapshot_too_long_for_a_frame_goes_without_measurements() {
    let (hub, _inbound) = Hub::new(plan(EnvironmentKind::Sandbox), Clock::real(), State::default());
    let line = "x".repeat(1024 * 1024);
    for _ in 0..40 {
        hub.sample(Sample::Output { step: "call".into(), attempt: 1, line: line.clone() });
    }
    let frame = hub::encode_snapshot(Box::new(hub.snapshot())).unwrap();
    assert!(frame.len() < 100_000);
    let ToCockpit::Snapshot(snapshot) = serde_json::from_slice(&frame).unwrap() else { panic!("no snapshot") };
    assert_eq!(snapshot.plan, plan(EnvironmentKind::Sandbox));
}

#[test]
fn a_follower_passes_over_what_it_knows_and_notices_what_it_misses() {
    let (hub, _inbound) = Hub::new(plan(EnvironmentKind::Sandbox), Clock::real(), State::default());
    let message = |seq| ToCockpit::Event(Box::new(noted(seq)));
    hub.publish(&noted(1)).unwrap();
    assert!(hub.publish(&noted(3)).is_err());
    let mut follower = Follower::new(Box::new(hub.snapshot()));
    assert!(follower.changed().any() && !follower.changed().any());
    assert_eq!(follower.take(message(1)), Taken::Followed);
    assert!(!follower.changed().any(), "what is known changes nothing");
    assert_eq!(follower.take(message(2)), Taken::Followed);
    assert_eq!(follower.changed(), Changed { state: true, telemetry: false });
    assert_eq!(follower.take(message(4)), Taken::Missed);
    follower.take(ToCockpit::Sample(Sample::Spent { calls: 1, metrics: 1 }));
    assert!(follower.changed().telemetry);
}

#[tokio::test]
async fn who_looks_at_which_step_is_told_to_all_and_to_those_who_come_later() {
    let stage = Stage::new(EnvironmentKind::Sandbox);
    let _engine = stage.start();
    let (ann, _) = stage.join(Seat::Driver).await;
    let (mut bob, mut seen) = stage.join(Seat::Viewer).await;
    let before = seen.snapshot().state.seq;
    let conn = seen.snapshot().state.driver().unwrap().conn;
    let step = seen.snapshot().plan.steps[1].id.clone();
    let (mut sender, _receiver) = ann.split();
    sender.looking("no-such-step".into()).await.unwrap();
    sender.looking(step.clone()).await.unwrap();
    let told = async {
        while seen.snapshot().telemetry.looks_at(conn) != Some(&step) {
            seen.take(bob.recv().await.unwrap());
        }
    };
    timeout(LIMIT, told).await.unwrap();
    let (_carol, later) = stage.join(Seat::Viewer).await;
    assert_eq!(later.snapshot().telemetry.looks_at(conn), Some(&step));
    assert_eq!(later.snapshot().state.seq, before + 1, "looking is journaled");
}
