//! `rehearse`, `run` and `join`: everything that opens a cockpit.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use color_eyre::eyre::{Result, WrapErr as _, bail, eyre};

use super::{
    FINE, args,
    find::{Place, find},
    invalid,
    process::{connect, layout, sandbox_lives, start_engine, start_sandbox},
    read_plan, say,
    screen::Opening,
    shared, wanting,
};
use crate::{
    clock::{Clock, wall_now},
    engine::Setup,
    journal::{SessionDir, remote::is_remote},
    plan::{self, EnvironmentKind, Plan, PlanErrors},
    run::{Origin, Request, Seat, outcome},
    sandbox::{Endpoints, scenario::Scenario},
    session::{DriveOptions, Link, News, drive, status},
    tui,
};

/// The sample plan, which is also what a rehearsal plays.
const SAMPLE: &str = include_str!("../../config/acme-shop.toml");
const SAMPLE_NAME: &str = "config/acme-shop.toml";
/// The autopilot gives up when nothing moves for so long, wall time.
const AUTOPILOT_PATIENCE: Duration = Duration::from_secs(60);

/// A cockpit needs a terminal: said before anything is started that would be left behind.
fn on_a_terminal() -> Result<()> {
    use std::io::IsTerminal as _;
    let both = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if both { Ok(()) } else { Err(eyre!("the cockpit needs a terminal; without one: rehearse --autopilot --headless")) }
}

pub(super) async fn rehearse(args: &args::Rehearse) -> Result<ExitCode> {
    if !args.headless {
        on_a_terminal()?;
    }
    if let Err(error) = Scenario::load(&args.scenario) {
        say(&error.to_string());
        return Ok(invalid());
    }
    let (source, name) = match &args.plan {
        Some(path) => match read_plan(path) {
            Some(source) => (source, path.display().to_string()),
            None => return Ok(invalid()),
        },
        None => (SAMPLE.to_owned(), SAMPLE_NAME.to_owned()),
    };
    let environment = match sandbox_environment(&source, &name) {
        Ok(environment) => environment,
        Err(errors) => return Ok(refuse(&errors)),
    };
    let draft = match plan::load(&source, &name, &environment, &plan::sandbox_placeholders()) {
        Ok(plan) => plan,
        Err(errors) => return Ok(refuse(&errors)),
    };
    let known = layout()?.list_of(&draft.name, &environment)?;
    if let Some(dir) = known.iter().find(|dir| dir.lives()) {
        return go_on(dir.clone(), args).await;
    }
    if let Some(dir) = known.last().filter(|_| !args.autopilot)
        && left_behind(dir).await
    {
        return go_on(dir.clone(), args).await;
    }
    let guide = guidance(args)?;
    let dir = layout()?.create(&draft.name, &environment, wall_now())?;
    let speed = args.speed.unwrap_or(if args.guided { 60.0 } else { 20.0 });
    let endpoints = start_sandbox(&dir, &args.scenario, speed).await?;
    let mut plan = match plan::load(&source, &name, &environment, &sandbox_variables(&endpoints, &dir)) {
        Ok(plan) => plan,
        Err(errors) => return Ok(refuse(&errors)),
    };
    // Time runs ahead of whoever reads for the first time: no window would hold.
    plan.window = plan.window.filter(|_| !args.guided);
    begin(&dir, &plan, &source, endpoints.clock()).await?;
    if args.autopilot { autopilot(&dir, args).await } else { driving(dir, &args.screen).guided(guide).open().await }
}

/// Whether its engine has died in the middle of it while the sandbox that it is about runs on.
async fn left_behind(dir: &SessionDir) -> bool {
    sandbox_lives(dir) && status(dir).await.is_ok_and(|status| !status.state.ended)
}

/// Two rehearsals of one environment would share its lock and what its commands touch: the one that runs goes on.
async fn go_on(dir: SessionDir, args: &args::Rehearse) -> Result<ExitCode> {
    let id = dir.id().to_owned();
    if args.autopilot {
        bail!("rehearsal {id} runs already: `cutover join {id} --role driver`, and Q there ends it");
    }
    let over = status(&dir).await.is_ok_and(|status| status.state.complete() || status.state.rolled_back);
    let note = if over {
        format!("rehearsal {id} has come to its end: Q there ends it, and the next `rehearse` begins anew")
    } else {
        format!("rehearsal {id} goes on as it was begun, with its own plan, scenario and speed; Q there ends it")
    };
    say(&note);
    let guide = if args.guided { tui::Guidance::On } else { tui::Guidance::Off };
    driving(dir, &args.screen).guided(guide).saying(note).open().await
}

/// A guided rehearsal is offered where nothing has ever run.
fn guidance(args: &args::Rehearse) -> Result<tui::Guidance> {
    let first = || Ok::<_, color_eyre::Report>(layout()?.list()?.is_empty());
    Ok(match (args.guided, args.autopilot) {
        (true, _) => tui::Guidance::On,
        (false, false) if first()? => tui::Guidance::Offered,
        _ => tui::Guidance::Off,
    })
}

fn sandbox_environment(source: &str, name: &str) -> Result<String, PlanErrors> {
    let environments = plan::environments(source, name)?;
    let sandbox = environments.into_iter().find(|(_, kind)| *kind == EnvironmentKind::Sandbox);
    Ok(sandbox.map_or_else(|| "sandbox".to_owned(), |(name, _)| name))
}

/// The `sandbox.*` variables that a running sandbox gives a plan.
#[must_use]
pub fn sandbox_variables(endpoints: &Endpoints, dir: &SessionDir) -> BTreeMap<String, String> {
    let resolvers = endpoints.resolvers.iter().map(|resolver| format!("{}={}", resolver.name, resolver.addr));
    let values = [
        ("authority", endpoints.authority.to_string()),
        ("resolvers", resolvers.collect::<Vec<_>>().join(",")),
        ("old_address", endpoints.old_origin.https.ip().to_string()),
        ("new_address", endpoints.new_origin.https.ip().to_string()),
        ("http_port", endpoints.old_origin.http.port().to_string()),
        ("https_port", endpoints.old_origin.https.port().to_string()),
        ("old_database", endpoints.old_database.address.ip().to_string()),
        ("new_database", endpoints.new_database.address.ip().to_string()),
        ("database_port", endpoints.old_database.address.port().to_string()),
        ("ca_file", endpoints.ca_pem_path.display().to_string()),
        ("aws_endpoint", endpoints.aws_route53.clone()),
        ("heroku_endpoint", endpoints.heroku.clone()),
        ("directory", dir.path().display().to_string()),
    ];
    values.into_iter().map(|(name, value)| (format!("sandbox.{name}"), value)).collect()
}

/// The cockpit of whoever begins a session or goes on with one.
fn driving(dir: SessionDir, screen: &args::Screen) -> Opening {
    Opening::new(Place::Own(dir), Seat::Driver, true, screen)
}

/// Freezes the plan into the session's directory and starts its engine.
async fn begin(dir: &SessionDir, plan: &Plan, source: &str, clock: Clock) -> Result<()> {
    dir.freeze(plan, source)?;
    Setup { clock, journal: None }.save(dir)?;
    start_engine(dir).await
}

pub(super) async fn run(args: &args::Run) -> Result<ExitCode> {
    on_a_terminal()?;
    let Some(source) = read_plan(&args.plan) else { return Ok(invalid()) };
    let name = args.plan.display().to_string();
    let plan = match plan::check(&source, &name, &args.env, &BTreeMap::new()) {
        Ok(checked) => {
            if !checked.warnings.is_empty() {
                say(&checked.warnings.render(super::colour()));
            }
            checked.plan
        }
        Err(errors) => return Ok(refuse(&errors)),
    };
    if plan.environment.kind == EnvironmentKind::Sandbox {
        bail!("`{}` is a sandbox: `cutover rehearse --plan {name}` brings its world along", args.env);
    }
    if let Some(url) = &args.journal {
        return shared::run(url, &plan, &source, &args.screen).await;
    }
    let dir = match unfinished(&plan).await? {
        Some(dir) if !args.new || dir.lives() => {
            same_plan(&dir, &plan)?;
            say(&format!("session {} goes on", dir.id()));
            if !dir.lives() {
                start_engine(&dir).await?;
            }
            dir
        }
        _ => {
            let dir = layout()?.create(&plan.name, &plan.environment.name, wall_now())?;
            begin(&dir, &plan, &source, Clock::real()).await?;
            dir
        }
    };
    driving(dir, &args.screen).open().await
}

/// The newest session of this plan and environment that has not ended.
async fn unfinished(plan: &Plan) -> Result<Option<SessionDir>> {
    let newest = layout()?.list_of(&plan.name, &plan.environment.name)?.pop();
    let Some(dir) = newest else { return Ok(None) };
    let ended = status(&dir).await.map(|status| status.state.ended);
    let ended =
        ended.wrap_err_with(|| format!("failed to read session {}: look at it, or begin with --new", dir.id()))?;
    Ok((!ended).then_some(dir))
}

fn same_plan(dir: &SessionDir, plan: &Plan) -> Result<()> {
    let frozen = dir.frozen()?;
    if frozen.hash() == plan.hash() {
        return Ok(());
    }
    Err(eyre!(
        "the plan has changed since session {id} began with it: go on with the frozen one by `cutover join {id} --role \
         driver`, or begin anew with --new",
        id = dir.id()
    ))
}

pub(super) async fn join(args: &args::Join) -> Result<ExitCode> {
    if let Some(url) = args.session.as_deref().filter(|session| is_remote(session)) {
        on_a_terminal()?;
        return shared::join(url, &args.screen).await;
    }
    let seat = Seat::from(args.role);
    let place = find(args.session.as_deref(), args.socket.as_deref()).await?;
    let opening = |place| Opening::new(place, seat, seat == Seat::Driver, &args.screen);
    let dir = match place {
        Place::Own(dir) => dir,
        theirs @ Place::Theirs(_) => return opening(theirs).open().await,
    };
    // A living engine says itself what there is to say; asking first would take a second snapshot before the first frame.
    if !dir.lives() {
        let id = dir.id();
        if let Some(over) = status(&dir).await.ok().filter(|status| status.state.ended) {
            let came_to = outcome(&over.plan, &over.state);
            say(&format!("session {id} is over: {came_to}; `cutover journal {id}` tells what happened"));
            return Ok(wanting());
        }
        if seat != Seat::Driver {
            say(&format!("the engine of {id} does not run; this starts it again:\n  cutover join {id} --role driver"));
            return Ok(wanting());
        }
    }
    opening(Place::Own(dir)).open().await
}

async fn autopilot(dir: &SessionDir, args: &args::Rehearse) -> Result<ExitCode> {
    let id = dir.id().to_owned();
    say(&format!("session {id}"));
    let theirs = dir.clone();
    let mut link = Link::open(move |_| connect(theirs.clone(), (Seat::Driver, true, Origin::default()), true));
    let options = DriveOptions { then_roll_back: args.and_back, patience: AUTOPILOT_PATIENCE };
    if args.headless {
        let driven = drive(&mut link, options).await;
        end(&mut link).await;
        return match driven {
            Ok(()) => {
                let came_to = if args.and_back { "there and back again" } else { "every step is done" };
                say(&format!("{came_to}; `cutover journal {id}` tells how"));
                Ok(FINE)
            }
            Err(error) => {
                say(&error.to_string());
                Ok(wanting())
            }
        };
    }
    // With a screen: a person watches while the autopilot drives over a link of its own.
    let driving = tokio::spawn(async move { drive(&mut link, options).await });
    let code = Opening::new(Place::Own(dir.clone()), Seat::Viewer, false, &args.screen).show().await;
    driving.abort();
    code
}

/// Ends the session and waits until the engine says so.
async fn end(link: &mut Link) {
    if link.request(Request::End).is_err() {
        return;
    }
    let over = async {
        while let Some(news) = link.recv().await {
            if matches!(news, News::Down { .. } | News::Refused { .. }) {
                break;
            }
        }
    };
    // An engine that does not answer any more has nothing under way: the rehearsal is over either way.
    let _ = tokio::time::timeout(Duration::from_secs(5), over).await;
}

fn refuse(errors: &PlanErrors) -> ExitCode {
    say(&errors.render(super::colour()));
    invalid()
}
