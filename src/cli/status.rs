//! `status`: what is true, what is in doubt, and what to do next, for a person who has just logged in.

use std::{io::Write as _, path::Path, pin::pin, process::ExitCode, time::Duration};

use color_eyre::eyre::Result;
use jiff::Timestamp;
use tokio::time::timeout;

use super::{
    FINE,
    find::{Place, find},
};
use crate::{
    plan::{GateLevel, Kind, Plan, StepId},
    run::{
        AUTHORITY, Answer, ConditionId, Direction, Phase, State, alarms, clock_text, conditions, forecast, price,
        seat_word, written,
    },
    session::{Client, Status, status as look_at},
    tui::CONSENT,
};

/// What takes longer is said to, wall time.
const SOON: Duration = Duration::from_secs(1);

pub(super) async fn status(session: Option<&str>, socket: Option<&Path>, json: bool) -> Result<ExitCode> {
    let (id, status) = match find(session, socket).await? {
        Place::Own(dir) => (dir.id().to_owned(), patiently(look_at(&dir)).await?),
        Place::Theirs(theirs) => {
            let snapshot = patiently(Client::peek(&theirs.path)).await?;
            (
                theirs.session,
                Status {
                    live: true,
                    answered: true,
                    plan: snapshot.plan,
                    state: snapshot.state,
                    now: snapshot.clock.now(),
                },
            )
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

/// Says that an engine takes long to answer, and waits on.
async fn patiently<T>(answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    match timeout(SOON, &mut answer).await {
        Ok(answer) => answer,
        Err(_) => {
            super::say("the engine does not answer yet: waiting for it, 10 s at most");
            answer.await
        }
    }
}

/// Ten lines, and one more for each of: a window, an alarm, a gate that waits, a driver who is gone.
fn in_ten_lines(id: &str, status: &Status) -> String {
    let Status { live, answered, plan, state, now } = status;
    let settled = state.steps.iter().filter(|step| step.phase.settled()).count();
    let mut lines = vec![
        format!("{id}  {}  {}", plan.title, plan.environment.name.to_uppercase()),
        format!("engine   {}", engine_line(status)),
        format!("steps    {settled} of {} settled{}", state.steps.len(), at(plan, state, *now)),
        format!("serving  {}", serving(plan, state, *now)),
        format!("doubt    {}", doubt(state)),
    ];
    if let Some(rollback) = &state.rollback {
        lines.push(format!("ROLLBACK begun by {}: {}", rollback.by, rollback.reason));
    }
    lines.push(format!("back     {}", way_back(plan, state)));
    lines.extend(window(plan, state, *now));
    lines.extend(alarms(plan, state, *now).into_iter().filter(|_| !state.ended).map(|hold| {
        let label = if hold.blocking { "hold" } else { "alarm" };
        format!("{label:<9}{}: {}", hold.kind.word(), hold.text)
    }));
    lines.extend(gate(state));
    lines.push(format!("attached {}", people(*live, state)));
    let still = *live && !answered && !state.ended;
    let [first, second] = if still { once_it_answers(id) } else { next(id, *live, plan, state, *now) };
    lines.push(format!("next     {first}"));
    lines.push(format!("or       {second}"));
    lines.join("\n") + "\n"
}

fn engine_line(status: &Status) -> String {
    let Status { live, answered, state, now, .. } = status;
    let as_of = now.strftime("%H:%M:%S UTC");
    let engine = state.session.as_ref().and_then(|session| session.engine.as_ref());
    let named = engine.map_or_else(String::new, |(pid, host, version)| {
        let before = state.session.as_ref().map_or(0, |session| session.engines.saturating_sub(1));
        let again = if before == 0 { String::new() } else { format!(", after {before} that died or were stopped") };
        format!(", pid {pid} on {host}, version {version}{again}")
    });
    match (live, answered) {
        (true, true) => format!("runs{named}"),
        (true, false) => format!("RUNS, AND DOES NOT ANSWER{named}; this is what its journal says, up to {as_of}"),
        (false, _) if state.ended => "the session is over".into(),
        (false, _) => format!("DOES NOT RUN; this is what its journal says, up to {as_of}"),
    }
}

/// The step that the run is at: the one under way, the undo that is next, or the next one forward.
fn at(plan: &Plan, state: &State, now: Timestamp) -> String {
    let Some(step) = state.here() else { return String::new() };
    let reason = step.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    match state.phase(plan, &step.id) {
        Phase::Done if state.rollback.is_some() => format!("; next the undo of `{}`", step.id),
        Phase::Ready if locked(plan, state, &step.id, now) => format!("; at `{}`, locked", step.id),
        phase => format!("; at `{}`, {}{reason}", step.id, phase.word()),
    }
}

/// Whether something that must hold before a step does not; that its change was not read yet is no such thing.
fn locked(plan: &Plan, state: &State, id: &StepId, now: Timestamp) -> bool {
    let all = conditions(plan, state, id, Direction::Forward, now);
    all.iter().any(|condition| !condition.holds && condition.id != ConditionId::Preview)
}

/// Which side the names lead to, by the authoritative servers, and which runners are seen on which side.
fn serving(plan: &Plan, state: &State, now: Timestamp) -> String {
    let side = |id: &str| match state.answer(id, AUTHORITY) {
        Some(Answer::New) => plan.sides.new.label.clone(),
        Some(Answer::Old | Answer::OldStretched | Answer::OldStale) => plan.sides.old.label.clone(),
        Some(_) => "NEITHER SIDE".to_owned(),
        None => "not known".to_owned(),
    };
    let names = plan.records.iter().map(|record| match crate::run::split(state, record) {
        // The authority answers now one, now the other.
        Some(share) => format!("{} SPLIT, {share} % on {}", record.id, plan.sides.new.label),
        None => format!("{} on {}", record.id, side(&record.id)),
    });
    let doubled = crate::run::doubled(plan, state)
        .into_iter()
        .map(|role| format!("TWO RUNNERS: {}", crate::run::role_word(role)));
    let closed = crate::run::in_maintenance(state, now);
    let closed = closed.then(|| format!("MAINTENANCE PAGE ON at {}", plan.sides.old.label));
    let all: Vec<_> = names.chain(doubled).chain(closed).collect();
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
        (None, 1) => format!("{total}, 1 undo{}", lost_by_it(plan, state)),
        (None, undos) => format!("{total}, {undos} undos{}", lost_by_it(plan, state)),
    }
}

/// How much of the window is left, and what still fits it; None: the plan has none, or it does not matter any more.
fn window(plan: &Plan, state: &State, now: Timestamp) -> Option<String> {
    let over = state.ended || state.complete() || state.rolled_back || state.session.is_none();
    let way_back = price(plan, state, None);
    let forecast = forecast(plan, state, &way_back, now);
    let end = forecast.window_end.filter(|_| !over)?;
    let left = end.duration_since(now);
    let minute = |at: Timestamp| at.strftime("%H:%M UTC");
    let mut line = match left.is_negative() {
        true => format!("window   OVER by {}, since {}", clock_text(left.abs()), minute(end)),
        false => format!("window   {} left, until {}", clock_text(left), minute(end)),
    };
    if state.rollback.is_none() {
        line += &format!("; the rest ends at {} if nobody waits", minute(forecast.finish));
    }
    let abort = forecast.latest_abort.filter(|_| !left.is_negative() && way_back.passed.is_none());
    if let Some(abort) = abort.filter(|_| !way_back.undos.is_empty() && state.rollback.is_none()) {
        line += &format!(", latest abort {}{}", minute(abort), if abort < now { " PASSED" } else { "" });
    }
    Some(line)
}

/// That something is lost by going back; how much of it, only those know who count.
fn lost_by_it(plan: &Plan, state: &State) -> String {
    let Some(written) = written(plan, state, |_| &[]) else { return String::new() };
    let what = if written.rows { "rows" } else { "data" };
    format!(
        "; loses {what} written on {} since {} (the screen counts them)",
        plan.sides.new.label,
        written.since.strftime("%H:%M:%S UTC")
    )
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

/// While an engine runs and does not answer: nothing that is pressed reaches it.
fn once_it_answers(id: &str) -> [String; 2] {
    [
        format!("cutover status {id}   # again; its engine was stopped, or waits for its disk, and takes no key"),
        format!("cutover journal {id}   # what happened"),
    ]
}

/// The next two sensible things, with the very commands.
fn next(id: &str, live: bool, plan: &Plan, state: &State, now: Timestamp) -> [String; 2] {
    let drive = format!("cutover join {id} --role driver");
    let script = format!("cutover rollback-script {id}   # the way back as commands, to read or to run");
    let happened = format!("cutover journal {id}   # what happened");
    let way_back = price(plan, state, None);
    let undos = !way_back.undos.is_empty() && way_back.passed.is_none();
    if state.ended {
        return [happened, if undos { script } else { "cutover sessions".to_owned() }];
    }
    if let Some(plight) = state.steps.iter().find_map(crate::run::StepState::plight) {
        return [format!("{drive}   # try the undo again"), format!("by hand: {}", plight.hand.act)];
    }
    if !live {
        let starts = format!(
            "{drive}   # starts the engine again, which looks before it acts; there {}",
            keys(plan, state, now)
        );
        return [starts, if undos { script } else { happened }];
    }
    if state.steps.iter().any(|step| step.phase == Phase::InDoubt) {
        return [format!("{drive}   # there {}", keys(plan, state, now)), happened];
    }
    if state.gate.as_ref().is_some_and(|gate| gate.typed && !gate.consented) {
        return [format!("cutover join {id} --role confirmer   # compare the words, then {CONSENT}"), happened];
    }
    let keys = keys(plan, state, now);
    let then = match (undos, &state.rollback) {
        (true, None) => format!("R there tells what going back costs; {script}"),
        (true, Some(_)) => script,
        (false, _) => happened,
    };
    match state.driver() {
        None => [format!("{drive}   # nobody drives; there {keys}"), then],
        Some(driver) => {
            [format!("{drive}   # there t takes the seat of {}, who drives; then {keys}", driver.name), then]
        }
    }
}

/// What the driver presses next, and on which step.
fn keys(plan: &Plan, state: &State, now: Timestamp) -> String {
    if state.rolled_back {
        return "Q ends the session, F turns forward again".to_owned();
    }
    if state.complete() {
        return "Q ends the session".to_owned();
    }
    let Some(here) = state.here() else { return "? shows the keys".to_owned() };
    let number = plan.position(&here.id).map_or(0, |index| index + 1);
    let name = format!("step {number}, {}", here.id);
    if let Some(gate) = state.gate.as_ref().filter(|gate| gate.step == here.id) {
        let waits = match (gate.consented, gate.level) {
            (true, _) => "is passed: it begins",
            (false, GateLevel::Type | GateLevel::Two) if !gate.typed => "waits for its words",
            (false, GateLevel::Two) => "waits for the second person",
            (false, _) => "waits for its second key",
        };
        return format!("the gate of {name} {waits}");
    }
    if state.hold.is_some() && state.rollback.is_none() {
        return format!("h releases the hold before {name}");
    }
    let direction = if state.rollback.is_some() { Direction::Back } else { Direction::Forward };
    let what = if direction == Direction::Back { "the undo of " } else { "" };
    let second = match plan.step(&here.id).map(|step| here.gate_level(step, direction)) {
        Some(GateLevel::Start) => String::new(),
        Some(GateLevel::Confirm) => format!(", then {CONSENT}"),
        _ => ", then the words that it asks for".to_owned(),
    };
    let manual = plan.step(&here.id).is_some_and(|step| matches!(step.kind, Kind::Manual { .. }));
    match here.phase {
        Phase::InDoubt => format!("l looks again at {name}, u decides"),
        Phase::Running if manual => format!("Space ticks the items of {name}"),
        Phase::Running | Phase::Undoing | Phase::Verifying => format!("{name} is {}; x stops it", here.phase.word()),
        _ => {
            let open = conditions(plan, state, &here.id, direction, now).into_iter();
            let open = open.filter(|condition| condition.id != ConditionId::Preview).find(|condition| !condition.holds);
            match open {
                Some(open) => format!("{what}{name} waits: {}", open.detail),
                None if second.is_empty() => format!("Enter starts {what}{name}"),
                None => format!("Enter arms {what}{name}{second}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::{StepId, load, sandbox_placeholders},
        run::{Actor, Event, Operator, Seat, StepState, What},
    };

    fn told(live: bool, change: impl Fn(&mut State)) -> [String; 2] {
        let source = include_str!("../../config/acme-shop.toml");
        let plan = load(source, "acme-shop.toml", "sandbox", &sandbox_placeholders()).unwrap();
        let steps = plan.steps.iter().map(|step| StepState::new(step.id.clone())).collect();
        let mut state = State { steps, ..State::default() };
        change(&mut state);
        next("20260308-020000-abcd", live, &plan, &state, state.at.unwrap_or_default())
    }

    fn settled(state: &mut State, before: &str) {
        let before = StepId::from(before);
        state.steps.iter_mut().take_while(|step| step.id != before).for_each(|step| step.phase = Phase::Done);
    }

    #[test]
    fn what_comes_next_is_a_command_and_a_key_on_a_step() {
        let [first, second] = told(true, |_| ());
        let join = "cutover join 20260308-020000-abcd --role driver   # ";
        assert_eq!(first, format!("{join}nobody drives; there Enter starts step 1, aws-ready"));
        assert!(second.starts_with("cutover journal "), "{second}");
        let drives = |state: &mut State| {
            let by = Actor::Operator(Operator::new(1, "ann", 1000));
            let at = jiff::Timestamp::UNIX_EPOCH;
            state.apply(&Event { seq: 1, at, by, what: What::Attached { seat: Seat::Driver } }).unwrap();
            settled(state, "lock-deploys");
        };
        let [first, _] = told(true, drives);
        assert!(first.starts_with(&format!("{join}there t takes the seat of ann, who drives; then Enter arms ")));
        assert!(first.ends_with("lock-deploys, then e"), "{first}");
        let [first, _] = told(false, |state| {
            state.steps[0].phase = Phase::Running;
        });
        assert!(
            first.contains("starts the engine again") && first.ends_with("Space ticks the items of step 1, aws-ready")
        );
        let [first, _] = told(true, |state| state.steps[2].phase = Phase::InDoubt);
        assert!(first.contains("# there l looks again at step 3, ") && first.ends_with(", u decides"), "{first}");
    }
}
