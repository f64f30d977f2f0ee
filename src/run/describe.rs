//! One line for people from each event: the log pane, `cutover journal` and notifications read the same words.

use std::time::Duration;

use jiff::SignedDuration;

use super::{
    conditions::{answer_word, clock_text, role_word, verdict_word},
    event::{Actor, Event, Expiring, Observation, Outcome, Seat, Target, What},
    finding::{Standing, tally},
    phase::Direction,
    rehearsal::Rehearsal,
};
use crate::plan::{Side, StepId};

/// What happened, in one line without time and author.
#[must_use]
pub fn describe(event: &Event) -> String {
    match &event.what {
        What::SessionStarted { .. } | What::EngineStarted { .. } | What::SessionEnded => session(&event.what),
        What::Rehearsed(rehearsal) => rehearsed(rehearsal),
        What::Attached { .. } | What::Detached | What::SeatTaken { .. } => people(event),
        What::Previewed { .. } | What::PreviewFailed { .. } => preview(&event.what),
        What::Armed { .. } | What::Disarmed { .. } | What::Typed | What::Consented { .. } => gate(&event.what),
        What::Intended { .. }
        | What::Resumed { .. }
        | What::Ended { .. }
        | What::Observed { .. }
        | What::Arrived { .. } => attempt(&event.what),
        What::Resolved { .. } | What::Skipped { .. } | What::Ticked { .. } | What::Overridden { .. } => {
            person(&event.what)
        }
        What::HoldRaised { .. }
        | What::HoldReleased
        | What::Noted { .. }
        | What::RollbackStarted { .. }
        | What::RollbackEnded { .. } => run(&event.what),
        _ => watch(&event.what),
    }
}

fn session(what: &What) -> String {
    match what {
        What::SessionStarted { session, plan, environment, plan_hash, steps, .. } => {
            let hash = plan_hash.get(..8).unwrap_or(plan_hash);
            format!("session {session} of {plan} on {environment}, {} steps, plan {hash}", steps.len())
        }
        What::EngineStarted { pid, host, version } => format!("engine {version} started, pid {pid} on {host}"),
        _ => "session ended".into(),
    }
}

fn rehearsed(rehearsal: &Rehearsal) -> String {
    let took = clock_text(SignedDuration::try_from(rehearsal.total()).unwrap_or(SignedDuration::MAX));
    let Rehearsal { of, environment, forward, .. } = rehearsal;
    format!("rehearsed on {environment} in session {of}: {} steps ran {took}", forward.len())
}

/// Whether the words of an event begin with who caused it.
#[must_use]
pub const fn names_itself(event: &Event) -> bool {
    matches!(event.what, What::Attached { .. } | What::Detached | What::SeatTaken { .. })
}

/// The step whose attempt an event tells of without saying which way it went, forward or back.
#[must_use]
pub const fn silent_of_direction(event: &Event) -> Option<&StepId> {
    match &event.what {
        What::Ended { step, .. }
        | What::Observed { step, .. }
        | What::Arrived { step }
        | What::Resolved { step, .. } => Some(step),
        _ => None,
    }
}

fn people(event: &Event) -> String {
    let name = match &event.by {
        Actor::Engine => "engine",
        Actor::Operator(operator) => &operator.name,
    };
    match &event.what {
        What::Attached { seat } => format!("{name} attached as {}", seat_word(*seat)),
        What::SeatTaken { seat } => format!("{name} is now {}", seat_word(*seat)),
        _ => format!("{name} detached"),
    }
}

/// How the screen calls a seat.
#[must_use]
pub const fn seat_word(seat: Seat) -> &'static str {
    match seat {
        Seat::Viewer => "viewer",
        Seat::Driver => "driver",
        Seat::Confirmer => "confirmer",
    }
}

const fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::Forward => "",
        Direction::Back => "undo of ",
    }
}

fn preview(what: &What) -> String {
    match what {
        What::Previewed { step, direction, preview } => {
            let rows: Vec<_> = preview.parts.iter().flat_map(|part| part.change.rows()).collect();
            let text = rows.first().map_or_else(
                || "reads only".to_owned(),
                |row| format!("{} {} -> {}", row.label, or_none(&row.before), or_none(&row.after)),
            );
            format!("{}{step}: would change {text}", way(*direction)).replace("would change reads only", "reads only")
        }
        What::PreviewFailed { step, direction, trouble } => {
            format!("{}{step}: cannot be read: {}: {}", way(*direction), trouble.call, trouble.reason)
        }
        _ => String::new(),
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "(none)" } else { text }
}

fn gate(what: &What) -> String {
    match what {
        What::Armed { step, direction, evidence, .. } => {
            format!("{}{step}: armed, evidence {evidence}", way(*direction))
        }
        What::Disarmed { reason } => format!("disarmed: {reason}"),
        What::Typed => "typed; waits for the second person".into(),
        What::Consented { second: Some(second) } => format!("confirmed by {}", second.name),
        _ => "confirmed".into(),
    }
}

fn attempt(what: &What) -> String {
    match what {
        What::Intended { step, direction, attempt, part, parts, change, .. } => {
            let rows = change.rows();
            let what =
                rows.first().map_or_else(String::new, |row| format!(": {} -> {}", row.label, or_none(&row.after)));
            let part = if *parts > 1 { format!(", part {} of {parts}", part + 1) } else { String::new() };
            format!("{}{step}: attempt {attempt}{part}{what}", way(*direction))
        }
        What::Resumed { step } => format!("{step}: taken up again"),
        What::Ended { step, outcome } => match outcome {
            Outcome::Done { summary, .. } => format!("{step}: {summary}"),
            Outcome::Failed { trouble } => format!("{step}: failed: {}: {}", trouble.call, trouble.reason),
            Outcome::InDoubt { trouble } => format!("{step}: IN DOUBT: {}: {}", trouble.call, trouble.reason),
            Outcome::Stopped => format!("{step}: stopped"),
        },
        What::Observed { step, observation } => match observation {
            Observation::Done => format!("{step}: verified"),
            Observation::NotDone { seen } => format!("{step}: not done: {seen}"),
            Observation::Unfinished { left } => format!("{step}: it stands and is not finished: {left}"),
            Observation::Unknown { reason } => format!("{step}: still in doubt: {reason}"),
        },
        What::Arrived { step } => format!("{step}: IT TOOK EFFECT AFTER ALL, after it had been seen not to"),
        _ => String::new(),
    }
}

fn person(what: &What) -> String {
    match what {
        What::Resolved { step, done, reason } => {
            format!("{step}: decided that it {}: {reason}", if *done { "took effect" } else { "did not take effect" })
        }
        What::Skipped { step, reason } => format!("{step}: skipped: {reason}"),
        What::Ticked { step, item, done } => {
            format!("{step}: item {} {}", item + 1, if *done { "ticked" } else { "unticked" })
        }
        What::Overridden { step, condition, reason } => format!("{step}: went past `{}`: {reason}", condition.word()),
        _ => String::new(),
    }
}

fn run(what: &What) -> String {
    match what {
        What::HoldRaised { reason } => format!("HOLD: {reason}"),
        What::HoldReleased => "hold released".into(),
        What::Noted { text } => format!("note: {text}"),
        What::RollbackStarted { reason } => format!("ROLLBACK: {reason}"),
        What::RollbackEnded { complete: true } => "rollback complete: every undo is done".into(),
        _ => "rollback left: forward again".into(),
    }
}

fn watch(what: &What) -> String {
    match what {
        What::BaselineCaptured { values } => format!("baseline of {} metrics captured", values.len()),
        What::VerdictChanged { guardrail, verdict, value } => {
            let value = value.map_or_else(String::new, |value| format!(" at {value:.3}"));
            format!("guardrail {guardrail}: {}{value}", verdict_word(*verdict))
        }
        What::CheckChanged { check, target, passing, reason } => {
            let word = match passing {
                Some(true) => "passes",
                Some(false) => "FAILS",
                None => "is not known",
            };
            let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
            format!("check {check} on {} {word}{reason}", target_word(*target))
        }
        What::ResolverChanged { record, resolver, answer } => {
            format!("{resolver} answers for {record}: {}", answer_word(*answer))
        }
        What::RunnerChanged { side, role, cell } => {
            format!("{} on the {} side: {}", role_word(*role), side_word(*side), cell.word())
        }
        What::OpeningCounted { metric, value } => {
            format!("the new side is being opened: {metric} stands at {value:.0}")
        }
        What::ClosingCounted { metric, value } => {
            format!("the new side is closed again: {metric} stands at {value:.0}")
        }
        What::LeakChanged { side, who: Some(who) } => {
            format!("LEAK: {who}, on the {} side, which is closed to the application", side_word(*side))
        }
        What::LeakChanged { side, who: None } => {
            format!("nobody is seen to write on the {} side any more", side_word(*side))
        }
        What::PreflightTaken { findings } => {
            let open: Vec<_> = findings.iter().filter(|finding| finding.standing != Standing::Passed).collect();
            let first = open.first().map_or_else(String::new, |one| format!("; {}: {}", one.title, one.reason));
            format!("preflight: {}{first}", tally(findings))
        }
        What::FindingChanged { finding, was } => {
            let was = was.filter(|was| *was != finding.standing);
            let was = was.map_or_else(String::new, |was| format!(" (was {})", was.word()));
            let word =
                if finding.standing == Standing::ActionRequired { "ACTION REQUIRED" } else { finding.standing.word() };
            format!("preflight: {}: {word}{was}: {}", finding.title, finding.reason)
        }
        What::SilenceChanged { lasting } => silence(*lasting),
        What::ExpirySeen { of, host, until } => {
            let of_host = host.as_ref().map_or_else(String::new, |host| format!(" of {host}"));
            let end = until.map_or_else(|| "do not say when they end".to_owned(), |until| format!("end at {until:.0}"));
            format!("{}{of_host} {end}", expiring_word(*of))
        }
        What::SourceChanged { source, trouble: Some(trouble) } => {
            format!("{source}: {}: {}", trouble.call, trouble.reason)
        }
        What::SourceChanged { source, trouble: None } => format!("{source}: well again"),
        _ => String::new(),
    }
}

fn silence(lasting: Option<Duration>) -> String {
    match lasting {
        None => "requests at the old side are not measured".into(),
        Some(Duration::ZERO) => "requests reach the old side".into(),
        Some(lasting) => {
            let lasting = SignedDuration::try_from(lasting).map(clock_text).unwrap_or_default();
            format!("no request has reached the old side for {lasting}")
        }
    }
}

/// How the screen calls what ends.
#[must_use]
pub const fn expiring_word(of: Expiring) -> &'static str {
    match of {
        Expiring::Credentials => "the AWS credentials",
        Expiring::HerokuKey => "the Heroku credentials",
        Expiring::OldCertificate => "the old side's certificates",
        Expiring::NewCertificate => "the new side's certificates",
    }
}

/// How the screen calls a target of checks.
#[must_use]
pub const fn target_word(target: Target) -> &'static str {
    match target {
        Target::Live => "live",
        Target::Old => "old",
        Target::New => "new",
    }
}

/// How the screen calls a side when it has no label at hand.
#[must_use]
pub const fn side_word(side: Side) -> &'static str {
    match side {
        Side::Old => "old",
        Side::New => "new",
    }
}
