//! `sessions`, `check`, `journal` and `rollback-script`: what can be told without a screen.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use color_eyre::eyre::Result;
use serde::Serialize;

use super::{FINE, find::theirs, invalid, process::layout, read_plan, wanting};
use crate::{
    clock::wall_now,
    journal::{Reader, SessionDir, print_for_people, print_for_programs, verify},
    notify,
    plan::{self, EnvironmentKind, PlanErrors},
    run::{self, State},
    session::{Client, ConnectError, Shared, message::Snapshot, recorded},
};

#[derive(Serialize)]
struct SessionRow<'a> {
    session: &'a str,
    /// None: only its engine knows, and that did not say.
    plan: Option<&'a str>,
    environment: Option<&'a str>,
    live: bool,
    /// Where it stands, in a few words; the time of its last event, where no engine runs.
    standing: String,
    /// Another user's; None: this user's own.
    owner: Option<&'a str>,
}

/// Another user's session, and what its engine says.
type Open = (Shared, Result<Box<Snapshot>, ConnectError>);

fn list(dirs: &[SessionDir], open: &[Open], json: bool) -> Result<()> {
    let mut out = io::stdout().lock();
    let own = dirs.iter().map(|dir| SessionRow {
        session: dir.id(),
        plan: Some(dir.plan()),
        environment: Some(dir.environment()),
        live: dir.lives(),
        standing: standing(dir),
        owner: None,
    });
    let others = open.iter().map(|(theirs, said)| SessionRow {
        session: &theirs.session,
        plan: said.as_ref().ok().map(|snapshot| snapshot.plan.name.as_str()),
        environment: said.as_ref().ok().map(|snapshot| snapshot.plan.environment.name.as_str()),
        live: true,
        standing: match said {
            Ok(_) => "running".to_owned(),
            Err(ConnectError::Refused(_)) => "running, of another version".to_owned(),
            Err(_) => "runs, and does not answer".to_owned(),
        },
        owner: Some(&theirs.owner),
    });
    let rows = own.chain(others);
    if json {
        serde_json::to_writer_pretty(&mut out, &rows.collect::<Vec<_>>())?;
        writeln!(out)?;
        return Ok(());
    }
    for row in rows {
        let owner = row.owner.map_or_else(String::new, |owner| format!(" of {owner}"));
        let (plan, environment) = (row.plan.unwrap_or("?"), row.environment.unwrap_or("?"));
        writeln!(out, "{:<24} {plan:<20} {environment:<12} {}{owner}", row.session, row.standing)?;
    }
    Ok(())
}

/// Where a session of this user stands.
fn standing(dir: &SessionDir) -> String {
    let Ok(status) = recorded(dir) else { return "its journal cannot be read: `cutover journal --verify`".to_owned() };
    let state = &status.state;
    if dir.lives() {
        let over = match (state.rolled_back, state.complete()) {
            (true, _) => ", rolled back: Q ends it",
            (false, true) => ", complete: Q ends it",
            (false, false) => "",
        };
        return format!("running{over}");
    }
    // A rehearsal that ran faster than the wall is ahead of it.
    let ahead = state.at.is_some_and(|at| at > wall_now());
    let time = if ahead { "UTC by its own clock" } else { "UTC" };
    let at = state.at.map_or_else(String::new, |at| format!(" {} {time}", at.strftime("%Y-%m-%d %H:%M")));
    match (state.ended, state.rolled_back, state.complete()) {
        (true, true, _) => format!("rolled back, ended{at}"),
        (true, false, true) => format!("complete, ended{at}"),
        (true, false, false) => format!("ended{at}"),
        (false, ..) => format!("no engine since{at}"),
    }
}

pub(super) async fn sessions(json: bool) -> Result<ExitCode> {
    let mut dirs = layout()?.list()?;
    dirs.reverse();
    let mut open = Vec::new();
    for theirs in theirs() {
        // Who is not let in is told nothing, so there is nothing to list.
        let said = Client::peek(&theirs.path).await;
        if said.as_ref().map_or_else(ConnectError::stands, |_| true) {
            open.push((theirs, said));
        }
    }
    if dirs.is_empty() && open.is_empty() && !json {
        super::say("no sessions yet; `cutover rehearse` begins one");
    }
    list(&dirs, &open, json)?;
    Ok(FINE)
}

#[derive(Serialize)]
struct CheckedEnvironment<'a> {
    environment: &'a str,
    problems: &'a PlanErrors,
}

pub(super) fn check(path: &Path, only: Option<&str>, json: bool) -> Result<ExitCode> {
    let Some(source) = read_plan(path) else { return Ok(invalid()) };
    let name = path.display().to_string();
    let environments = match plan::environments(&source, &name) {
        Ok(all) => all,
        Err(errors) => {
            show_problems(&[("", &errors)], json)?;
            return Ok(invalid());
        }
    };
    let names: Vec<&str> = only.map_or_else(|| environments.keys().map(String::as_str).collect(), |one| vec![one]);
    let mut failed = false;
    let mut found = Vec::new();
    for environment in names {
        let sandbox = environments.get(environment) == Some(&EnvironmentKind::Sandbox);
        let given = if sandbox { plan::sandbox_placeholders() } else { Default::default() };
        let problems = match plan::check(&source, &name, environment, &given) {
            Ok(checked) => {
                super::say_unless(json, &format!("{name}: {environment}: {} steps, fine", checked.plan.steps.len()));
                checked.warnings
            }
            Err(errors) => {
                failed = true;
                errors
            }
        };
        found.push((environment, problems));
    }
    show_problems(&found.iter().map(|(name, problems)| (*name, problems)).collect::<Vec<_>>(), json)?;
    Ok(if failed { invalid() } else { FINE })
}

/// The same mistake in several environments is told once to people, and per environment to programs.
fn show_problems(found: &[(&str, &PlanErrors)], json: bool) -> Result<()> {
    if json {
        let rows: Vec<_> =
            found.iter().map(|(environment, errors)| CheckedEnvironment { environment, problems: errors }).collect();
        let mut out = io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, &rows)?;
        writeln!(out)?;
        return Ok(());
    }
    for (environments, text) in alike(found, |errors| errors.render(super::colour())) {
        if !environments.is_empty() {
            super::say(&format!("in {environments}:"));
        }
        super::say(&text);
    }
    Ok(())
}

/// What is said, each once, with the environments of which it is: ``environments `staging` and `production` ``.
fn alike(found: &[(&str, &PlanErrors)], render: impl Fn(&PlanErrors) -> String) -> Vec<(String, String)> {
    let mut told: Vec<(Vec<String>, String)> = Vec::new();
    for (environment, errors) in found.iter().filter(|(_, errors)| !errors.is_empty()) {
        let (name, text) = (format!("`{environment}`"), render(errors));
        match told.iter_mut().find(|(_, known)| *known == text) {
            Some((names, _)) => names.push(name),
            None => told.push((vec![name], text)),
        }
    }
    let names = |names: Vec<String>| match names.as_slice() {
        [one] if one == "``" => String::new(),
        [one] => format!("environment {one}"),
        [all @ .., last] => format!("environments {} and {last}", all.join(", ")),
        [] => String::new(),
    };
    told.into_iter().map(|(all, text)| (names(all), text)).collect()
}

pub(super) fn journal(session: Option<&str>, json: bool, check: bool) -> Result<ExitCode> {
    let dir = layout()?.find(session)?;
    if check {
        return verified(&dir);
    }
    let reader = Reader::open(dir.journal())?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let printed = if json { print_for_programs(reader, &mut out) } else { print_for_people(reader, &mut out) };
    printed?;
    out.flush()?;
    Ok(FINE)
}

pub(super) async fn notify_test(path: &Path, env: &str) -> Result<ExitCode> {
    let Some(source) = read_plan(path) else { return Ok(invalid()) };
    let name = path.display().to_string();
    // No world is asked: where a sandbox would be is of no consequence.
    let plan = match plan::load(&source, &name, env, &plan::sandbox_placeholders()) {
        Ok(plan) => plan,
        Err(errors) => {
            super::say(&errors.render(super::colour()));
            return Ok(invalid());
        }
    };
    let mut failed = false;
    for notify in &plan.notify {
        match notify::send_test(&plan, notify).await {
            Ok(()) => writeln!(io::stdout(), "{}: sent", notify.id)?,
            Err(error) => {
                failed = true;
                super::say(&format!("{}: {error}", notify.id));
            }
        }
    }
    if plan.notify.is_empty() {
        super::say("the plan has no [[notify]]");
    }
    Ok(if failed { wanting() } else { FINE })
}

pub(super) fn rollback_script(session: Option<&str>) -> Result<ExitCode> {
    let dir = layout()?.find(session)?;
    // Not the engine: this is for when there is none.
    let recorded = recorded(&dir)?;
    io::stdout().lock().write_all(run::rollback_script(&recorded.plan, &recorded.state).as_bytes())?;
    Ok(FINE)
}

/// The newest event that an engine's log tells of: it does so only after the event is on disk.
fn last_told(log: &str) -> Option<u64> {
    let number = |line: &str| {
        let (_, told) = line.rsplit_once(" seq=")?;
        let (number, rest) = told.split_once(' ')?;
        rest.starts_with("by=").then(|| number.parse().ok()).flatten()
    };
    log.lines().filter_map(number).max()
}

/// The chain, that every event may follow from those before it, and that it goes as far as the engine's log beside it.
fn verified(dir: &SessionDir) -> Result<ExitCode> {
    // Before the journal: an engine that runs writes to both meanwhile, and to the journal first.
    let told = std::fs::read_to_string(dir.engine_log()).ok().and_then(|log| last_told(&log));
    let path = dir.journal();
    let doubted = |why: &str| {
        super::say(why);
        super::say("NOT SOUND: do not go on with this journal before somebody has looked at it");
        Ok(wanting())
    };
    let report = match verify(&path) {
        Ok(report) => report,
        Err(error) => return doubted(&error.to_string()),
    };
    let mut state = State::default();
    for event in Reader::open(&path)? {
        if let Err(illegal) = state.apply(&event?) {
            return doubted(&format!("{}: {illegal}", path.display()));
        }
    }
    if let Some(told) = told.filter(|told| *told > report.events) {
        return doubted(&format!(
            "{}: it ends with event {}, and the engine's log beside it tells of event {told}: its end was cut off",
            path.display(),
            report.events
        ));
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{}: {} events, {} bytes, chain ends in {}", dir.id(), report.events, report.bytes, report.hash)?;
    if let Some(torn) = report.torn {
        writeln!(
            out,
            "a torn tail of {} bytes at {} was never acknowledged: nothing is lost",
            torn.bytes, torn.offset
        )?;
    }
    writeln!(out, "SOUND: every event follows from those before it, and none is missing")?;
    Ok(FINE)
}

#[cfg(test)]
mod tests {
    use super::{alike, last_told};
    use crate::plan;

    #[test]
    fn the_same_mistake_names_every_environment_that_has_it() {
        let broken = include_str!("../../config/acme-shop.toml").replace("kind = \"watch\"", "kind = \"wach\"");
        let errors = plan::check(&broken, "p.toml", "staging", &Default::default()).unwrap_err();
        let fine = include_str!("../../config/acme-shop.toml");
        let none = plan::check(fine, "p.toml", "sandbox", &plan::sandbox_placeholders()).unwrap().warnings;
        let told = alike(&[("production", &errors), ("sandbox", &none), ("staging", &errors)], |_| "wrong".to_owned());
        assert_eq!(told, [("environments `production` and `staging`".to_owned(), "wrong".to_owned())]);
        assert_eq!(alike(&[("", &errors)], |_| "wrong".to_owned()), [(String::new(), "wrong".to_owned())]);
    }

    #[test]
    fn an_engines_log_tells_how_far_its_journal_went() {
        let log = "2026-11-25T08:26:41Z  INFO cutover::engine::coordinator: a note seq=9 by=me seq=248 by=\"engine\"\n\
                   2026-11-25T08:26:42Z  INFO cutover::engine::coordinator: ann detached seq=250 by=\"ann\"\n\
                   2026-11-25T08:26:43Z ERROR cutover::engine::coordinator: another engine acts: this one ends\n";
        assert_eq!(last_told(log), Some(250));
        assert_eq!(last_told("nothing"), None);
    }
}
