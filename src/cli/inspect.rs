//! `sessions`, `status`, `check` and `journal`: what can be told without a screen.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use color_eyre::eyre::Result;
use serde::Serialize;

use super::{FINE, invalid, process::layout, read_plan, wanting};
use crate::{
    journal::{Reader, SessionDir, print_for_people, print_for_programs, verify},
    plan::{self, EnvironmentKind, PlanErrors},
    run::{self, State, clock_text, holds, price, seat_word},
    session::{Status, recorded, status as look_at},
};

#[derive(Serialize)]
struct SessionRow<'a> {
    session: &'a str,
    plan: &'a str,
    environment: &'a str,
    live: bool,
}

pub(super) fn list(dirs: &[SessionDir], json: bool) -> Result<()> {
    let mut out = io::stdout().lock();
    let rows = dirs.iter().map(|dir| SessionRow {
        session: dir.id(),
        plan: dir.plan(),
        environment: dir.environment(),
        live: dir.lives(),
    });
    if json {
        serde_json::to_writer_pretty(&mut out, &rows.collect::<Vec<_>>())?;
        writeln!(out)?;
        return Ok(());
    }
    for row in rows {
        let live = if row.live { "running" } else { "-" };
        writeln!(out, "{:<24} {:<20} {:<12} {live}", row.session, row.plan, row.environment)?;
    }
    Ok(())
}

#[expect(clippy::unused_async, reason = "all commands are called alike")]
pub(super) async fn sessions(json: bool) -> Result<ExitCode> {
    let dirs = layout()?.list()?;
    if dirs.is_empty() && !json {
        super::say("no sessions yet; `cutover rehearse` begins one");
    }
    list(&dirs, json)?;
    Ok(FINE)
}

pub(super) async fn status(session: Option<&str>, json: bool) -> Result<ExitCode> {
    let dir = layout()?.find(session)?;
    let status = look_at(&dir).await?;
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, &status.summary())?;
        writeln!(out)?;
    } else {
        out.write_all(in_ten_lines(&dir, &status).as_bytes())?;
    }
    Ok(FINE)
}

/// What is true, what is in doubt, and what to do next, for a person who has just logged in.
fn in_ten_lines(dir: &SessionDir, status: &Status) -> String {
    let Status { live, plan, state } = status;
    let settled = state.steps.iter().filter(|step| step.phase.settled()).count();
    let mut lines = vec![
        format!("{}  {}  {}", dir.id(), plan.title, plan.environment.name.to_uppercase()),
        format!("engine   {}", engine_line(*live, state)),
        format!("steps    {settled} of {} settled", state.steps.len()),
    ];
    if let Some(step) = state.current() {
        let reason = step.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        lines.push(format!("at       `{}` is {}{reason}", step.id, state.phase(plan, &step.id).word()));
    }
    if let Some(rollback) = &state.rollback {
        lines.push(format!("ROLLBACK begun by {}: {}", rollback.by, rollback.reason));
    }
    let way_back = price(plan, state, None);
    let total = jiff::SignedDuration::try_from(way_back.total).map(clock_text).unwrap_or_default();
    lines.push(match &way_back.passed {
        Some(step) => format!("back     no way back since `{step}`"),
        None => format!("back     {total}, {} undos", way_back.undos.len()),
    });
    lines.extend(holds(plan, state).into_iter().take(3).map(|hold| format!("hold     {}", hold.text)));
    let people: Vec<_> =
        state.operators.iter().map(|(who, seat)| format!("{} {}", who.name, seat_word(*seat))).collect();
    lines.push(format!("attached {}", if people.is_empty() { "nobody".to_owned() } else { people.join(", ") }));
    lines.push(format!("next     {}", next_line(dir, *live, state)));
    lines.join("\n") + "\n"
}

fn engine_line(live: bool, state: &State) -> String {
    let engine = state.session.as_ref().and_then(|session| session.engine.as_ref());
    match (live, engine) {
        (true, Some((pid, host, version))) => format!("runs, pid {pid} on {host}, version {version}"),
        (true, None) => "runs".into(),
        (false, _) if state.ended => "the session is over".into(),
        (false, _) => "DOES NOT RUN; this is what its journal says".into(),
    }
}

fn next_line(dir: &SessionDir, live: bool, state: &State) -> String {
    let id = dir.id();
    if state.ended {
        return format!("cutover journal {id}");
    }
    let start = if live { "" } else { " (starts the engine again)" };
    format!("cutover join {id} --role driver{start}; cutover journal {id}")
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
    let mut told: Vec<String> = Vec::new();
    for (environment, errors) in found.iter().filter(|(_, errors)| !errors.is_empty()) {
        let text = errors.render(super::colour());
        if !told.contains(&text) {
            if !environment.is_empty() {
                super::say(&format!("in environment `{environment}`:"));
            }
            super::say(&text);
            told.push(text);
        }
    }
    Ok(())
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

pub(super) fn rollback_script(session: Option<&str>) -> Result<ExitCode> {
    let dir = layout()?.find(session)?;
    // Not the engine: this is for when there is none.
    let recorded = recorded(&dir)?;
    io::stdout().lock().write_all(run::rollback_script(&recorded.plan, &recorded.state).as_bytes())?;
    Ok(FINE)
}

/// The chain, and that every event may follow from those before it.
fn verified(dir: &SessionDir) -> Result<ExitCode> {
    let path = dir.journal();
    let report = match verify(&path) {
        Ok(report) => report,
        Err(error) => {
            super::say(&error.to_string());
            return Ok(wanting());
        }
    };
    let mut state = State::default();
    for event in Reader::open(&path)? {
        if let Err(illegal) = state.apply(&event?) {
            super::say(&format!("{}: {illegal}", path.display()));
            return Ok(wanting());
        }
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{}: {} events, {} bytes, chain ends in {}", dir.id(), report.events, report.bytes, report.hash)?;
    if let Some(torn) = report.torn {
        writeln!(out, "a torn tail of {} bytes at {} was never acknowledged", torn.bytes, torn.offset)?;
    }
    Ok(FINE)
}
