//! Brings an engine up: lock, replay or begin, sandbox assertions, socket; then the loop until the session ends.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch as cell};

use super::{
    coordinator::{Coordinator, Inputs, Timers},
    executor::{Executor, Job},
    health::{Expiries, Silence},
    rehearsed,
    scribe::{Scribe, SubmitError},
    stall::Stall,
    telemetry::Telemetry,
};
use crate::{
    clock::Clock,
    journal::{
        Journal, JournalError, LayoutError, LockError, ReadError, Reader, SessionDir, host_name,
        remote::{Remote, RemoteError, Replica, Writer},
    },
    notify::Notifier,
    plan::{EnvironmentKind, Kind, Plan, WriteLock},
    run::{Actor, Ask, Event, Illegal, Phase, Report, State, Trouble},
    session::{BindError, Hub, Server, runtime_dir},
    steps::Health,
    watch,
    world::{ConnectError, World},
};

/// How many reports of the executor and the watches may wait for the loop.
const QUEUE: usize = 1024;

/// What an engine needs beside the frozen plan; kept in the session's directory so that any later engine shares it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// The session's clock; real everywhere but in a sandbox.
    pub clock: Clock,
    /// Where the journal is kept beside this machine: `s3://bucket/prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<String>,
}

/// Why an engine did not come up, or went down.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Another engine acts, or the lock cannot be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The session's directory is not as it should be.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The setup cannot be read or written.
    #[error("failed to use the setup {path}")]
    Setup {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal in the storage cannot be taken up.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The journal says what cannot be.
    #[error("failed to replay the journal {path}")]
    Replay {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Illegal,
    },
    /// The frozen plan is not the one that the journal began with.
    #[error("the frozen plan has hash {found}, and the journal was begun with {expected}")]
    PlanChanged {
        /// Of the journal.
        expected: String,
        /// Of the file.
        found: String,
    },
    /// The session is over.
    #[error("session {0} is over")]
    Over(String),
    /// A scaled clock outside a sandbox.
    #[error("the clock of {0} must be the real one: only a sandbox may scale it")]
    ScaledClock(String),
    /// The world cannot be connected.
    #[error(transparent)]
    World(#[from] ConnectError),
    /// The socket cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The first events cannot be written.
    #[error("failed to begin the session")]
    Begin(#[source] SubmitError),
}

impl Setup {
    fn path(dir: &SessionDir) -> PathBuf {
        dir.path().join("setup.json")
    }

    /// Keeps the setup in a session's directory (mode 0600), in place of an earlier one.
    ///
    /// # Errors
    /// [`EngineError::Setup`].
    pub fn save(&self, dir: &SessionDir) -> Result<(), EngineError> {
        let path = Self::path(dir);
        let write = || -> std::io::Result<()> {
            let draft = path.with_extension("tmp");
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.sync_all()?;
            fs::rename(&draft, &path)
        };
        write().map_err(|source| EngineError::Setup { path: path.clone(), source })
    }

    /// The setup of a session.
    ///
    /// # Errors
    /// [`EngineError::Setup`].
    pub fn load(dir: &SessionDir) -> Result<Self, EngineError> {
        let path = Self::path(dir);
        let read = fs::read(&path).and_then(|json| Ok(serde_json::from_slice(&json)?));
        read.map_err(|source| EngineError::Setup { path, source })
    }
}

/// Runs the engine of a session until it ends.
///
/// # Errors
/// See [`EngineError`]; nothing was acted upon.
pub async fn serve(dir: &SessionDir) -> Result<(), EngineError> {
    let lock = dir.lock()?;
    let plan = dir.frozen()?;
    let setup = Setup::load(dir)?;
    if plan.environment.kind != EnvironmentKind::Sandbox && setup.clock.speed() > 1.0 {
        return Err(EngineError::ScaledClock(plan.environment.name));
    }
    let (journal, state) = take_up(dir, &plan, setup.journal.as_deref()).await?;
    let begun = state.session.is_some();
    if let Some(last) = state.at {
        crate::clock::not_before(setup.clock.wall_at(last));
    }
    let world = World::connect(&plan, setup.clock).await?;
    let (hub, people) = Hub::new(plan.clone(), setup.clock, state.clone());
    let server = Server::bind_for(dir, runtime_dir().as_deref(), plan.access.as_ref())?;
    let plan = Arc::new(plan);
    let mut scribe = Scribe::new(Arc::clone(&plan), setup.clock, state, journal);
    let first = first_events(&mut scribe, dir, setup.clock, begun)?;
    for event in &first {
        // The hub was made from the same state a moment ago.
        hub.publish(event).map_err(|source| EngineError::Replay { path: dir.journal(), source })?;
    }
    let serving = tokio::spawn(server.run(hub.clone()));
    let (coordinator, inputs) = assemble(dir, plan, setup.clock, scribe, hub.clone(), world, people);
    coordinator.run(inputs, first).await;
    hub.close();
    // Cockpits that wait for their last frames get them; a panic in there is not worth failing for now.
    let _ = serving.await;
    drop(lock);
    Ok(())
}

/// Databases that an earlier engine made read-only: what it proved is known to no look at the database.
fn tell_what_was_proven(plan: &Plan, state: &State, world: &World) {
    for step in &plan.steps {
        if let Kind::PostgresFreeze { side, method: WriteLock::ReadOnly, roles } = &step.kind
            && state.step(&step.id).is_some_and(|step| step.phase == Phase::Done)
            && let Ok(postgres) = world.postgres()
        {
            postgres.side(*side).was_proven_read_only(roles);
        }
    }
}

fn assemble(
    dir: &SessionDir,
    plan: Arc<Plan>,
    clock: Clock,
    scribe: Scribe,
    hub: Hub,
    world: World,
    people: mpsc::Receiver<crate::session::Inbound>,
) -> (Coordinator, Inputs) {
    let (found, findings) = mpsc::channel(QUEUE);
    let (done, jobs) = mpsc::channel(QUEUE);
    tell_what_was_proven(&plan, scribe.state(), &world);
    let (health, health_seen) = cell::channel(Health::default());
    let (baseline, baseline_seen) = cell::channel(scribe.state().baseline.clone());
    let begun = scribe.state().session.as_ref().map_or_else(|| clock.now(), |session| session.started_at);
    let watches = watch::start(Arc::clone(&plan), world.clone(), clock, found, baseline_seen, begun);
    let executor = Executor::new(Arc::clone(&plan), world, clock, health_seen, done.clone());
    let notifier = Notifier::start(&plan, told_by(done.clone()));
    let telemetry = Telemetry::open(&dir.telemetry());
    let (timers, silence, expiries) = (Timers::default(), Silence::default(), Expiries::default());
    let coordinator = Coordinator {
        plan,
        clock,
        scribe,
        hub,
        executor,
        watches,
        health,
        silence,
        expiries,
        counted: None,
        baseline,
        telemetry,
        notifier,
        timers,
        stall: Stall::new(crate::clock::monotonic()),
    };
    (coordinator, Inputs { people, findings, jobs })
}

/// A webhook that fails is a source in trouble. Told without waiting: when the loop is that far behind, the next failure
/// says it again.
fn told_by(done: mpsc::Sender<Job>) -> impl Fn(&str, Option<Trouble>) + Clone + Send + Sync + 'static {
    move |webhook, trouble| {
        let report = Report::Source { source: format!("notify {webhook}"), trouble };
        let _ = done.try_send(Job::Report(report));
    }
}

/// The journal and what it folds to: a new one, or the one that an earlier engine left, here or on another machine.
async fn take_up(dir: &SessionDir, plan: &Plan, remote: Option<&str>) -> Result<(Journal, State), EngineError> {
    let path = dir.journal();
    let (journal, state) = match remote {
        Some(url) => shared(dir, &path, url).await?,
        None if path.exists() => resume(&path)?,
        None => (Journal::create(&path)?, State::default()),
    };
    if state.ended {
        return Err(EngineError::Over(dir.id().to_owned()));
    }
    let expected = state.session.as_ref().map(|session| session.plan_hash.clone());
    match expected {
        Some(expected) if expected != plan.hash() => Err(EngineError::PlanChanged { expected, found: plan.hash() }),
        _ => Ok((journal, state)),
    }
}

fn resume(path: &Path) -> Result<(Journal, State), EngineError> {
    let mut state = State::default();
    let mut reader = Reader::open(path)?;
    for event in reader.by_ref() {
        state.apply(&event?).map_err(|source| EngineError::Replay { path: path.to_owned(), source })?;
    }
    let (journal, torn) = Journal::resume(reader)?;
    if let Some(torn) = torn {
        tracing::warn!(offset = torn.offset, bytes = torn.bytes, "cut a torn tail of the journal");
    }
    Ok((journal, state))
}

async fn shared(dir: &SessionDir, path: &Path, url: &str) -> Result<(Journal, State), EngineError> {
    let setup = |source| EngineError::Setup { path: dir.path().to_owned(), source };
    let writer = Writer::of(dir.path()).map_err(setup)?;
    let (journal, events) = Replica::take_up(&Remote::open(url).await?, &writer, path).await?;
    let mut state = State::default();
    for event in &events {
        state.apply(event).map_err(|source| EngineError::Replay { path: path.to_owned(), source })?;
    }
    Ok((journal, state))
}

fn first_events(scribe: &mut Scribe, dir: &SessionDir, clock: Clock, begun: bool) -> Result<Vec<Event>, EngineError> {
    let mut events = Vec::new();
    if !begun {
        let begin = Report::Begin { session: dir.id().to_owned(), speed: clock.speed() };
        let rehearsed = rehearsed::newest(dir).map(Report::Rehearsed);
        for report in [begin].into_iter().chain(rehearsed) {
            events.extend(scribe.submit(Actor::Engine, Ask::Report(report)).map_err(EngineError::Begin)?);
        }
    }
    let started =
        Report::Started { pid: std::process::id(), host: host_name(), version: env!("CARGO_PKG_VERSION").to_owned() };
    events.extend(scribe.submit(Actor::Engine, Ask::Report(started)).map_err(EngineError::Begin)?);
    Ok(events)
}
