//! Cockpits, and the program that is nothing but one.
//!
//! A screen is looked at for a whole night, by several people, over links where nothing else is large. The SDKs, which the
//! engine needs, would be most of its memory. So there are two programs of the same library: `cutover`, and
//! `cutover-screen` beside it, which `cutover` becomes (`exec`: same process, terminal and environment) when all that is
//! left to do is to show a session. What the second cannot reach, the linker leaves out of it. Where it is missing, or
//! of another build (`cargo run` makes the first one alone), `cutover` is the screen itself, and nobody sees a difference.

use std::{
    ffi::OsStr,
    io,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, ExitCode},
};

use color_eyre::eyre::{Result, WrapErr as _};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::{
    FINE, args,
    find::Place,
    invalid,
    process::{connect, left_alone, program as engines_program, start_from, take_over},
    runtime, say, wanting,
};
use crate::{
    run::{Origin, Seat},
    session::{Client, ConnectError, Link, origin_here},
    tui,
};

/// Programs of one build understand each other (`build.rs`).
const BUILD: &str = env!("CUTOVER_BUILD");
/// The other program, beside this one.
const SCREEN: &str = "cutover-screen";

/// What a cockpit is opened on: handed over on the command line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Opening {
    place: Place,
    seat: Seat,
    /// An engine that died is started again.
    respawn: bool,
    screen: args::Screen,
    guide: tui::Guidance,
    /// What is said at first.
    note: Option<String>,
    /// Processes that were started for it: their ends are waited for, so that no zombie stays.
    children: Vec<u32>,
}

impl Opening {
    pub(super) fn new(place: Place, seat: Seat, respawn: bool, screen: &args::Screen) -> Self {
        let children = Vec::new();
        Self { place, seat, respawn, screen: screen.clone(), guide: tui::Guidance::Off, note: None, children }
    }

    /// The same, for somebody who is led.
    pub(super) fn guided(self, guide: tui::Guidance) -> Self {
        Self { guide, ..self }
    }

    /// The same, with something to say in the cockpit: what is said before lies behind it.
    pub(super) fn saying(self, note: String) -> Self {
        Self { note: Some(note), ..self }
    }

    /// Opens the cockpit, in the program that is nothing else where there is one. Nothing may be left to do afterwards.
    pub(super) async fn open(mut self) -> Result<ExitCode> {
        let program = engines_program()?;
        let screen = program.with_file_name(SCREEN);
        self.children = left_alone();
        match serde_json::to_string(&self) {
            Ok(opening) if rustix::fs::access(&screen, rustix::fs::Access::EXEC_OK).is_ok() => {
                become_one(&screen, &[BUILD.as_ref(), program.as_ref(), opening.as_ref()])
                    // What has failed may have changed how signals are treated; a new beginning puts that right.
                    .or_else(|_| become_one(&program, &["screen".as_ref(), opening.as_ref()]))
            }
            // A path that is no text.
            _ => self.show().await,
        }
    }

    /// The cockpit in this program, to its end.
    pub(super) async fn show(self) -> Result<ExitCode> {
        if let Place::Theirs(theirs) = &self.place {
            say(&format!("session {} of {}", theirs.session, theirs.owner));
        }
        let origin = origin(&self.screen);
        match self.place {
            Place::Own(dir) => {
                let (id, journal, respawn) = (dir.id().to_owned(), dir.journal(), self.respawn);
                // Who has taken the seat since, drives: after the engine as well. Who has lost it does not take it back.
                let link = Link::open(move |had| {
                    let (seat, respawn) = (had.unwrap_or(self.seat), respawn || had == Some(Seat::Driver));
                    connect(dir.clone(), (seat, false, origin.clone()), respawn)
                });
                // Commands stand on a line of their own: a narrow terminal would break them.
                let left = format!("detached: the run goes on. Come back with\n  cutover join {id} --role driver");
                show(link.with_journal(journal), &self.screen, (self.guide, self.note), &left).await
            }
            Place::Theirs(theirs) => {
                let left = format!("detached: the run goes on. Come back with\n  cutover join {}", theirs.session);
                let restart = format!("as {}: cutover join {} --role driver", theirs.owner, theirs.session);
                let connect = move |had: Option<Seat>| {
                    let seat = had.unwrap_or(self.seat);
                    let (path, origin, restart) = (theirs.path.clone(), origin.clone(), restart.clone());
                    async move {
                        let connected = Client::connect_as(&path, seat, false, origin).await;
                        connected.map_err(|error| match error {
                            // What keeps this login out tells nothing about the engine.
                            ConnectError::Unreachable { source, .. } if nobody_there(&source) => {
                                ConnectError::NotRunning { restart }
                            }
                            error => error,
                        })
                    }
                };
                show(Link::open(connect), &self.screen, (self.guide, self.note), &left).await
            }
        }
    }
}

/// Goes on as another program; returns only if it cannot.
fn become_one<T>(program: &Path, args: &[&OsStr]) -> Result<T> {
    let error = Command::new(program).args(args).exec();
    Err(error).wrap_err_with(|| format!("failed to go on as {}", program.display()))
}

/// `cutover-screen BUILD PROGRAM OPENING`.
pub(super) fn program() -> Result<ExitCode> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let [build, program, opening] = args.as_slice() else {
        say("this is the screen of `cutover`, which starts it: `cutover join` opens one");
        return Ok(invalid());
    };
    if build != BUILD {
        return become_one(program.as_ref(), &["screen".as_ref(), opening]);
    }
    start_from(program.into());
    runtime(0).wrap_err("failed to start the runtime")?.block_on(here(&opening.to_string_lossy()))
}

/// A screen in this program, on what another program was asked to open.
pub(super) async fn here(opening: &str) -> Result<ExitCode> {
    let opening: Opening = serde_json::from_str(opening).wrap_err("failed to read what to open")?;
    take_over(&opening.children);
    opening.show().await
}

fn nobody_there(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}

/// What is known of the person at this terminal. Behind a shared SSH login nothing says who they are: they are asked.
fn origin(screen: &args::Screen) -> Origin {
    use std::io::IsTerminal as _;
    let known = origin_here(screen.name.as_deref());
    if known.claim.is_some() || known.address.is_none() || !std::io::stdin().is_terminal() {
        return known;
    }
    say("your name, for the others (it is shown as claimed; Enter for the login alone):");
    let mut name = String::new();
    match std::io::stdin().read_line(&mut name) {
        Ok(_) => origin_here(Some(&name)),
        Err(_) => known,
    }
}

/// The zone of this machine.
///
/// To find it by its name, jiff reads the names of all zones before, from seventy directories: a tenth of the time until
/// the first frame. Where the link says which file it is, that file is enough.
fn zone() -> TimeZone {
    const HERE: &str = "/etc/localtime";
    let linked = || {
        let link = std::fs::read_link(HERE).ok()?;
        let (_, name) = link.to_str()?.split_once("zoneinfo/")?;
        TimeZone::tzif(name, &std::fs::read(HERE).ok()?).ok()
    };
    let named = std::env::var_os("TZ").is_some();
    (!named).then(linked).flatten().unwrap_or_else(TimeZone::system)
}

/// A screen on a link, to its end; `detached` is said when the person leaves.
pub(super) async fn show(
    link: Link,
    args: &args::Screen,
    (guide, note): (tui::Guidance, Option<String>),
    detached: &str,
) -> Result<ExitCode> {
    let theme = tui::Theme::detect(&args.theme, args.ascii, |name| std::env::var(name).ok());
    let alert = tui::Alert { bell: args.bell, osc9: args.osc9 };
    let tz = zone();
    let options = tui::Options { theme, tz, guide, note, alert, mouse: args.mouse };
    match tui::run(link, options).await? {
        tui::Exit::Detached | tui::Exit::Hangup | tui::Exit::Terminated => {
            say(detached);
            Ok(FINE)
        }
        tui::Exit::Dead(restart) => {
            say(&format!("detached: no engine runs, and nothing goes on until this starts it again:\n  {restart}"));
            Ok(wanting())
        }
        tui::Exit::Over(came_to) => {
            say(&format!("the session is over: {came_to}. What happened: `cutover journal`"));
            Ok(FINE)
        }
        tui::Exit::Refused(reason) => {
            say(&reason);
            Ok(wanting())
        }
    }
}
