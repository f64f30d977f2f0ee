//! `status`: what is true, what is in doubt, and what to do next, for a person who has just logged in.

use std::{io::Write as _, path::Path, process::ExitCode};

use color_eyre::eyre::Result;

use super::{
    FINE,
    find::{Place, find},
};
use crate::{
    plan::Plan,
    run::{AUTHORITY, Answer, Direction, Phase, State, clock_text, holds, price, seat_word},
    session::{Client, Status, status as look_at},
};

pub(super) async fn status(session: Option<&str>, socket: Option<&Path>, json: bool) -> Result<ExitCode> {
    let (id, status) = match find(session, socket).await? {
        Place::Own(dir) => (dir.id().to_owned(), look_at(&dir).await?),
        Place::Theirs(theirs) => {
            let snapshot = Client::peek(&theirs.path).await?;
            (theirs.session, Status { live: true, plan: snapshot.plan, state: snapshot.state })
        }
    };
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, &status.summary())?;
        writeln!(out)?;
    } else {
        out.write_all(in_ten_lines(&id, &status).as_bytes())?;
    }
    Ok(FINE)
}

/// Ten lines, and one more for each of: a gate that waits, a hold, a driver who is gone.
fn in_ten_lines(id: &str, status: &Status) -> String {
    let Status { live, plan, state } = status;
    let settled = state.steps.iter().filter(|step| step.phase.settled()).count();
    let mut lines = vec![
        format!("{id}  {}  {}", plan.title, plan.environment.name.to_uppercase()),
        format!("engine   {}", engine_line(*live, state)),
        format!("steps    {settled} of {} settled{}", state.steps.len(), at(plan, state)),
        format!("serving  {}", serving(plan, state)),
        format!("doubt    {}", doubt(state)),
    ];
    if let Some(rollback) = &state.rollback {
        lines.push(format!("ROLLBACK begun by {}: {}", rollback.by, rollback.reason));
    }
    lines.push(format!("back     {}", way_back(plan, state)));
    lines.extend(
        holds(plan, state).into_iter().filter(|hold| hold.blocking).take(2).map(|h| format!("hold     {}", h.text)),
    );
    lines.extend(gate(state));
    lines.push(format!("attached {}", people(*live, state)));
    let [first, second] = next(id, *live, plan, state);
    lines.push(format!("next     {first}"));
    lines.push(format!("or       {second}"));
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

fn at(plan: &Plan, state: &State) -> String {
    let Some(step) = state.here() else { return String::new() };
    let reason = step.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    format!("; at `{}`, {}{reason}", step.id, state.phase(plan, &step.id).word())
}

/// Which side the names lead to, by the authoritative servers, and which runners are seen on which side.
fn serving(plan: &Plan, state: &State) -> String {
    let side = |id: &str| match state.answer(id, AUTHORITY) {
        Some(Answer::New) => plan.sides.new.label.clone(),
        Some(Answer::Old | Answer::OldStretched | Answer::OldStale) => plan.sides.old.label.clone(),
        Some(_) => "NEITHER SIDE".to_owned(),
        None => "not known".to_owned(),
    };
    let names = plan.records.iter().map(|record| format!("{} on {}", record.id, side(&record.id)));
    let doubled = state.runners.doubled().map(|role| format!("TWO RUNNERS: {}", crate::run::role_word(role)));
    let all: Vec<_> = names.chain(doubled).collect();
    if all.is_empty() { "the plan moves no name".to_owned() } else { all.join(", ") }
}

fn doubt(state: &State) -> String {
    let doubted: Vec<_> = state
        .steps
        .iter()
        .filter(|step| step.phase == Phase::InDoubt || step.plight().is_some())
        .map(|step| {
            let word = if step.direction == Direction::Back { "the undo of " } else { "" };
            let world = step.plight().map_or_else(String::new, |plight| format!(": {}", plight.world));
            format!("{word}`{}` {}{world}", step.id, step.phase.word())
        })
        .collect();
    if doubted.is_empty() { "nothing".to_owned() } else { doubted.join("; ") }
}

fn way_back(plan: &Plan, state: &State) -> String {
    let way_back = price(plan, state, None);
    let total = jiff::SignedDuration::try_from(way_back.total).map(clock_text).unwrap_or_default();
    match (&way_back.passed, way_back.undos.len()) {
        (Some(step), _) => format!("no way back since `{step}`"),
        (None, 0) if state.rolled_back => "rolled back: every undo is done".to_owned(),
        (None, 0) => "nothing to put back".to_owned(),
        (None, undos) => format!("{total}, {undos} undos"),
    }
}

fn gate(state: &State) -> Option<String> {
    let gate = state.gate.as_ref().filter(|gate| !gate.consented)?;
    let waits = if gate.typed {
        format!("typed by {}, waits for a second login; words: {}", gate.by.name, gate.evidence.words())
    } else {
        format!("armed by {}", gate.by.name)
    };
    Some(format!("gate     `{}` {waits}", gate.step))
}

fn people(live: bool, state: &State) -> String {
    let here = state.operators.iter().filter(|_| live);
    let people: Vec<_> = here.map(|(who, seat)| format!("{} {}", who.name, seat_word(*seat))).collect();
    let gone = state.away.as_ref().filter(|_| state.driver().is_none());
    let gone = gone.map_or_else(String::new, |away| {
        format!("; {} drove until {}", away.operator.name, away.since.strftime("%H:%M:%S UTC"))
    });
    let people = if people.is_empty() { "nobody".to_owned() } else { people.join(", ") };
    format!("{people}{gone}")
}

/// The next two sensible things, with the very commands.
fn next(id: &str, live: bool, plan: &Plan, state: &State) -> [String; 2] {
    let drive = format!("cutover join {id} --role driver");
    let script = format!("cutover rollback-script {id}   # the way back as commands, to read or to run");
    let happened = format!("cutover journal {id}   # what happened");
    let undos = !price(plan, state, None).undos.is_empty();
    if state.ended {
        return [happened, if undos { script } else { "cutover sessions".to_owned() }];
    }
    if let Some(plight) = state.steps.iter().find_map(crate::run::StepState::plight) {
        return [format!("{drive}   # try the undo again"), format!("by hand: {}", plight.hand.act)];
    }
    if !live {
        let starts = format!("{drive}   # starts the engine again: it looks before it acts");
        return [starts, if undos { script } else { happened }];
    }
    if state.steps.iter().any(|step| step.phase == Phase::InDoubt) {
        return [format!("{drive}   # l looks again, u decides"), happened];
    }
    if state.gate.as_ref().is_some_and(|gate| gate.typed && !gate.consented) {
        return [format!("cutover join {id} --role confirmer   # compare the words, then y"), happened];
    }
    match state.driver() {
        None => [format!("{drive}   # nobody drives"), happened],
        Some(_) => [format!("cutover join {id}   # watch"), if undos { script } else { happened }],
    }
}
