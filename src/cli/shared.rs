//! Sessions whose journal is in object storage: begun, gone on with on another machine, followed, copied up.

use std::{io::Write as _, process::ExitCode, time::Duration};

use color_eyre::eyre::{Result, WrapErr as _, bail, eyre};

use super::{
    FINE, args,
    find::Place,
    process::{layout, start_engine},
    say,
    screen::{Opening, show},
    wanting,
};
use crate::{
    clock::{Clock, wall_now},
    engine::Setup,
    journal::{
        LayoutError, SessionDir,
        remote::{Identity, Remote, RemoteError, SILENT, Trail, Writer, upload},
    },
    plan::Plan,
    run::{Seat, State},
    session::{Link, watch_remote},
    tui,
};

/// How long a machine may take between making a session and taking its log, wall time.
const BEGINNING: Duration = Duration::from_secs(3);

/// What a look at the storage leads to.
enum Way {
    /// The engine of this directory has the log, or nobody else can have it.
    Ours(SessionDir),
    /// Another machine's engine has it.
    Theirs(Box<Identity>),
    /// There is nothing more to do.
    Over(ExitCode),
}

/// `cutover run --journal URL`.
pub(super) async fn run(url: &str, plan: &Plan, source: &str, screen: &args::Screen) -> Result<ExitCode> {
    let remote = Remote::open(url).await?;
    let way = match remote.identity().await? {
        None => begin(&remote, plan, source).await?,
        Some(identity) => go_on(&remote, identity, plan).await?,
    };
    let dir = match way {
        Way::Over(code) => return Ok(code),
        Way::Theirs(identity) => return follow(&remote, *identity, screen).await,
        Way::Ours(dir) => dir,
    };
    if !dir.lives() {
        start_engine(&dir).await?;
    }
    // Here, because there may be more to look at afterwards.
    let code = Opening::new(Place::Own(dir.clone()), Seat::Driver, true, screen).show().await?;
    // An engine that was taken over from ends; its people go on looking.
    let (trail, _) = Trail::whole(&remote).await?;
    match trail.writer() {
        Some(winner) if winner.id != Writer::of(dir.path())?.id => {
            say(&format!("{winner} has the journal now: this cockpit only looks"));
            match remote.identity().await? {
                Some(identity) => follow(&remote, identity, screen).await,
                None => Ok(code),
            }
        }
        _ => Ok(code),
    }
}

/// A new session; of two machines that begin at once, one does.
async fn begin(remote: &Remote, plan: &Plan, source: &str) -> Result<Way> {
    let dir = layout()?.create(&plan.name, &plan.environment.name, wall_now())?;
    let identity =
        Identity { session: dir.id().to_owned(), plan: plan.clone(), source: source.to_owned(), clock: Clock::real() };
    settle_in(&dir, &identity, remote.url())?;
    match remote.begin(&identity, &Writer::of(dir.path())?).await {
        Ok(()) => Ok(Way::Ours(dir)),
        Err(RemoteError::Taken { session, .. }) => {
            say(&format!("another machine was quicker and began session {session}"));
            // Nothing has run here.
            let _ = std::fs::remove_dir_all(dir.path());
            let identity = remote.identity().await?.ok_or_else(|| eyre!("the session at {} is gone", remote.url()))?;
            go_on(remote, identity, plan).await
        }
        Err(error) => Err(error.into()),
    }
}

/// A session that is there: ours, another machine's, or one whose engine has been silent for long enough.
async fn go_on(remote: &Remote, identity: Identity, plan: &Plan) -> Result<Way> {
    let id = identity.session.clone();
    if identity.plan.hash() != plan.hash() {
        bail!("the plan is not the one that session {id} at {} began with: take another prefix", remote.url());
    }
    let dir = match layout()?.find(Some(&id)) {
        Ok(dir) => Some(dir),
        Err(LayoutError::None(_) | LayoutError::Unknown { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(dir) = dir.as_ref().filter(|dir| dir.lives()) {
        say(&format!("session {id} goes on"));
        return Ok(Way::Ours(dir.clone()));
    }
    let (mut trail, mut events) = Trail::whole(remote).await?;
    if trail.read() == 0 {
        // Begun a moment ago, most likely: whoever did is about to say so.
        tokio::time::sleep(BEGINNING).await;
        (trail, events) = Trail::whole(remote).await?;
    }
    if events.iter().try_fold(State::default(), |mut state, event| state.apply(event).map(|()| state))?.ended {
        say(&format!("session {id} at {} is over; take another prefix for a new one", remote.url()));
        return Ok(Way::Over(wanting()));
    }
    let ours = dir.as_ref().map(|dir| Writer::of(dir.path())).transpose()?;
    match (trail.writer(), dir) {
        (Some(last), Some(dir)) if ours.as_ref().is_some_and(|ours| ours.id == last.id) => {
            say(&format!("session {id} goes on"));
            Ok(Way::Ours(dir))
        }
        (Some(last), _) if trail.age().is_some_and(|age| age < SILENT) => {
            let age = trail.age().unwrap_or_default().as_secs();
            say(&format!("{last} runs session {id}, heard of {age} s ago: this cockpit only looks"));
            Ok(Way::Theirs(Box::new(identity)))
        }
        (_, dir) => {
            if !asked(&id, &trail)? {
                say("not typed: this cockpit only looks");
                return Ok(Way::Theirs(Box::new(identity)));
            }
            take_over(remote, &identity, dir, &trail).await
        }
    }
}

/// The takeover is a person's: the session's name, typed.
fn asked(id: &str, trail: &Trail) -> Result<bool> {
    let silence = trail.age().map_or_else(|| "at no time".to_owned(), |age| format!("{} ago", minutes(age)));
    let last = trail.writer().map_or_else(|| "Nobody".to_owned(), ToString::to_string);
    say(&format!("Session {id}: {last} was last heard of {silence}, and may still be sending what it had begun."));
    say("To take over, first make sure that it is dead. What it left in the air will be observed, not repeated.");
    let mut err = std::io::stderr().lock();
    write!(err, "Type the session's name to take over, or press Enter to look only: ")?;
    err.flush()?;
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    Ok(typed.trim() == id)
}

fn minutes(age: Duration) -> String {
    let seconds = age.as_secs();
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds / 60) }
}

async fn take_over(remote: &Remote, identity: &Identity, dir: Option<SessionDir>, trail: &Trail) -> Result<Way> {
    let dir = match dir {
        Some(dir) => dir,
        None => {
            let dir = layout()?.adopt(&identity.plan.name, &identity.plan.environment.name, &identity.session)?;
            settle_in(&dir, identity, remote.url())?;
            dir
        }
    };
    match remote.claim(trail.read(), &Writer::of(dir.path())?).await {
        Ok(()) => Ok(Way::Ours(dir)),
        Err(RemoteError::Lost(winner)) => {
            say(&format!("{winner} wrote in the meantime: this cockpit only looks"));
            Ok(Way::Theirs(Box::new(identity.clone())))
        }
        Err(error) => Err(error.into()),
    }
}

/// What an engine on this machine needs.
fn settle_in(dir: &SessionDir, identity: &Identity, url: &str) -> Result<()> {
    dir.freeze(&identity.plan, &identity.source)?;
    Setup { clock: identity.clock, journal: Some(url.to_owned()) }.save(dir)?;
    Ok(())
}

/// `cutover join URL`: a viewer without a socket.
pub(super) async fn join(url: &str, screen: &args::Screen) -> Result<ExitCode> {
    let remote = Remote::open(url).await?;
    let Some(identity) = remote.identity().await? else {
        say(&format!("there is no session at {url}"));
        return Ok(wanting());
    };
    follow(&remote, identity, screen).await
}

async fn follow(remote: &Remote, identity: Identity, screen: &args::Screen) -> Result<ExitCode> {
    let id = identity.session.clone();
    let link: Link = watch_remote(remote.clone(), identity);
    let left = format!("no longer looking: the run of {id} goes on without this screen");
    show(link, screen, (tui::Guidance::Off, None), &left).await
}

/// `cutover journal SESSION --copy-to URL`.
pub(super) async fn copy_up(session: Option<&str>, url: &str) -> Result<ExitCode> {
    let dir = layout()?.find(session)?;
    let setup = Setup::load(&dir)?;
    // Held until the copy is complete: nothing is added meanwhile, and no engine goes on without the storage.
    let _lock = dir.lock().wrap_err("an engine runs: end it, or let its machine be the one that goes on")?;
    if let Some(known) = &setup.journal {
        bail!("session {} has its journal in {known} already", dir.id());
    }
    let source =
        std::fs::read_to_string(dir.path().join("plan.toml")).wrap_err("failed to read the plan as written")?;
    let identity = Identity { session: dir.id().to_owned(), plan: dir.frozen()?, source, clock: setup.clock };
    let remote = Remote::open(url).await?;
    let events = upload(&remote, &identity, &Writer::of(dir.path())?, &dir.journal()).await?;
    Setup { journal: Some(url.to_owned()), ..setup }.save(&dir)?;
    say(&format!("{events} events of session {} are at {url}; it goes on there from now on", dir.id()));
    Ok(FINE)
}
