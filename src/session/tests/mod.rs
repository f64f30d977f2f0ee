//! Real sockets, a real journal and the real `decide`; only the world behind the engine is a stub that agrees.

mod drive;
mod wire;

use std::{path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
};

use super::{message::Snapshot, *};
use crate::{
    clock::{Clock, wall_now},
    journal::{Journal, Layout, Lock, Reader, SessionDir},
    plan::*,
    run::*,
};

/// Everything takes at most this long on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

fn step(id: &str, kind: Kind, needs: &[&str]) -> Step {
    Step {
        id: id.into(),
        title: id.to_owned(),
        note: None,
        gate: kind.class().lowest_gate(),
        kind,
        needs: needs.iter().map(|need| StepId::from(*need)).collect(),
        expected: Duration::from_secs(1),
        timeout: Duration::from_secs(60),
        point_of_no_return: false,
        allow_none: Vec::new(),
        demands_green: false,
    }
}

/// Three steps, one of each lower gate: start, type, confirm.
fn plan(kind: EnvironmentKind) -> Plan {
    let side = |label: &str| SideInfo { label: label.to_owned(), address: "127.0.0.1".to_owned() };
    let scale = Kind::EcsScale { cluster: "shop".into(), service: "web".into(), desired: 2 };
    Plan {
        name: "acme".into(),
        title: "Acme".into(),
        environment: Environment { name: "rehearsal".into(), kind },
        window: None,
        aws: Aws::default(),
        databases: None,
        preflight: None,
        heroku: Some(Heroku { app: "acme-shop".into(), api: None }),
        dns: Dns::default(),
        sides: Sides { old: side("Heroku"), new: side("AWS") },
        records: Vec::new(),
        checks: Vec::new(),
        metrics: Vec::new(),
        guardrails: Vec::new(),
        runners: Vec::new(),
        traffic: None,
        access: None,
        notify: Vec::new(),
        steps: vec![
            step("call", Kind::Manual { items: vec!["phone".into(), "mail".into()] }, &[]),
            step("freeze", Kind::HerokuMaintenance { on: true }, &["call"]),
            step("scale", scale, &["freeze"]),
        ],
    }
}

fn change(kind: &Kind) -> Change {
    match kind {
        Kind::HerokuMaintenance { on } => Change::Maintenance { app: "acme-shop".into(), from: !on, to: *on },
        Kind::EcsScale { cluster, service, desired } => {
            Change::Service { cluster: cluster.clone(), service: service.clone(), from: 0, to: *desired }
        }
        _ => Change::Nothing,
    }
}

/// An engine without a world: every act succeeds at once.
struct Core {
    plan: Plan,
    state: State,
    journal: Journal,
    hub: Hub,
    clock: Clock,
}

impl Core {
    fn decide(&mut self, by: Actor, ask: Ask) -> Result<(), Refusal> {
        let command = Command { at: self.clock.now(), by: by.clone(), ask };
        for what in decide(&self.plan, &self.state, &command)? {
            let event = Event { seq: self.state.seq + 1, at: command.at, by: by.clone(), what };
            self.journal.append(std::slice::from_ref(&event)).unwrap();
            self.state.apply(&event).unwrap();
            self.hub.publish(&event).unwrap();
            if let Some(effect) = effect(&self.plan, &self.state, &event) {
                self.act(effect);
            }
        }
        Ok(())
    }

    fn report(&mut self, report: Report) {
        let _ = self.decide(Actor::Engine, Ask::Report(report));
    }

    fn preview(&self, id: &StepId, direction: Direction) -> Preview {
        let forward = change(&self.plan.step(id).unwrap().kind);
        Preview::single(match direction {
            Direction::Forward => forward,
            Direction::Back => forward.reversed().unwrap_or(Change::Nothing),
        })
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Reread { step, direction, gate, part } => {
                let result = Ok(self.preview(&step, direction));
                self.report(Report::Reread { step, gate, part, result });
            }
            Effect::Apply { step, attempt, part, .. } => {
                let outcome = Outcome::Done { in_sync: None, summary: "done".into() };
                self.report(Report::Ended { step, attempt, part, outcome });
            }
            Effect::Observe { step, attempt, part, .. } => {
                self.report(Report::Observed { step, attempt, part, observation: Observation::Done });
            }
        }
    }

    fn serve(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Attached { reply, .. } if reply.is_closed() => {}
            Inbound::Attached { operator, seat, reply } => {
                let _ = reply.send(self.decide(Actor::Operator(operator), Ask::Report(Report::Attached(seat))));
            }
            Inbound::Detached { operator } => {
                let _ = self.decide(Actor::Operator(operator), Ask::Report(Report::Detached));
            }
            Inbound::Request { operator, request, reply } => {
                let result = self.decide(Actor::Operator(operator), Ask::Person(request.clone()));
                if let (Ok(()), Request::Look { step, direction }) = (&result, request) {
                    let result = Ok(self.preview(&step, direction));
                    self.report(Report::Previewed { step, direction, result });
                }
                let _ = reply.send(result);
            }
            Inbound::Pulse { reply } => {
                let _ = reply.send(Ok(()));
            }
        }
    }
}

/// A session on disk whose engine may be stopped and started again.
struct Stage {
    root: tempfile::TempDir,
    dir: SessionDir,
}

struct Engine {
    hub: Hub,
    core: Arc<Mutex<Core>>,
    tasks: [JoinHandle<()>; 2],
    _lock: Lock,
}

impl Stage {
    fn new(kind: EnvironmentKind) -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = Layout::at(root.path().join("state")).create("acme", "rehearsal", wall_now()).unwrap();
        dir.freeze(&plan(kind), "# as written\n").unwrap();
        Journal::create(dir.journal()).unwrap();
        Self { root, dir }
    }

    fn runtime(&self) -> &Path {
        self.root.path()
    }

    fn start(&self) -> Engine {
        let lock = self.dir.lock().unwrap();
        let plan = self.dir.frozen().unwrap();
        let clock = Clock::real();
        let mut state = State::default();
        let mut reader = Reader::open(self.dir.journal()).unwrap();
        for event in reader.by_ref() {
            state.apply(&event.unwrap()).unwrap();
        }
        let (journal, _) = Journal::resume(reader).unwrap();
        let (hub, inbound) = Hub::new(plan.clone(), clock, state.clone());
        let mut core = Core { plan, state, journal, hub: hub.clone(), clock };
        if core.state.session.is_none() {
            core.report(Report::Begin { session: self.dir.id().to_owned(), speed: 1.0 });
        }
        core.report(Report::Started { pid: std::process::id(), host: "here".into(), version: "test".into() });
        let core = Arc::new(Mutex::new(core));
        let server = Server::bind(&self.dir, Some(self.runtime())).unwrap();
        let tasks = [tokio::spawn(server.run(hub.clone())), tokio::spawn(attend(Arc::clone(&core), inbound))];
        Engine { hub, core, tasks, _lock: lock }
    }

    async fn join(&self, seat: Seat) -> (Client, Follower) {
        let (client, snapshot) = Client::connect(&self.dir.socket(), seat, false).await.unwrap();
        (client, Follower::new(snapshot))
    }
}

async fn attend(core: Arc<Mutex<Core>>, mut inbound: mpsc::Receiver<Inbound>) {
    while let Some(inbound) = inbound.recv().await {
        core.lock().await.serve(inbound);
    }
}

impl Engine {
    /// As a crash: nobody is told, the lock goes.
    fn crash(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }

    async fn report(&self, report: Report) {
        self.core.lock().await.report(report);
    }

    async fn state(&self) -> State {
        self.core.lock().await.state.clone()
    }
}

/// Follows until the state satisfies `until`.
async fn follow(client: &mut Client, follower: &mut Follower, until: impl Fn(&State) -> bool) {
    let catch_up = async {
        while !until(&follower.snapshot().state) {
            let message = client.recv().await.unwrap();
            assert_ne!(follower.take(message), Taken::Missed);
        }
    };
    tokio::time::timeout(LIMIT, catch_up).await.unwrap();
}

/// The answer to one request.
async fn ask(client: &mut Client, follower: &mut Follower, request: Request) -> Result<(), Refusal> {
    let asked = client.send(request).await.unwrap();
    let answer = async {
        loop {
            if let Taken::Reply { id, result } = follower.take(client.recv().await.unwrap()) {
                assert_eq!(id, asked);
                return result;
            }
        }
    };
    tokio::time::timeout(LIMIT, answer).await.unwrap()
}

/// Waits until the engine's state satisfies `until`.
async fn reach(engine: &Engine, until: impl Fn(&State) -> bool) {
    let wait = async {
        while !until(&engine.state().await) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait).await.unwrap();
}
