//! What may happen in a session: mostly a driver who knows what to do, and much noise.

use std::collections::BTreeMap;

use cutover::{
    plan::{Role, Side},
    run::{
        Actor, Answer, Ask, Cell, ConditionId, Direction, Evidence, Observation, Outcome, Report, Request, Seat,
        Target, VerdictKind, typed_words,
    },
};
use proptest::prelude::*;

use super::{
    driver,
    sim::{Luck, Sim},
    world::trouble,
};

/// One move. Numbers are taken modulo what there is, so that any of them means something in any plan.
#[derive(Debug, Clone)]
pub(crate) enum Move {
    /// The driver does the next sensible thing.
    Sensible(Luck),
    /// The driver does so until the run turns.
    Spree(u8),
    Perform(u8, Luck),
    Wait(i64),
    Restart(bool),
    Attach(u8),
    Detach(u8),
    Ask(u8, Wanted),
    Report(Seen),
    LookAround,
}

/// What a person asks for, rightly or wrongly.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    Sit(u8, bool),
    Arm { step: u8, back: bool, right: bool },
    Confirm { gate: u8, right: bool, typed: u8 },
    Disarm,
    Stop(u8),
    Skip(u8),
    Override(u8, u8, bool),
    Resolve(u8, bool, bool),
    Observe(u8),
    Tick(u8, u32, bool),
    Hold,
    Release,
    Note(String),
    Rollback,
    Forward,
    Look(u8, bool),
}

/// What the engine reports, rightly or wrongly.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    Previewed(u8, bool, Luck),
    Reread { step: u8, gate: u8, part: u8 },
    Ended { step: u8, attempt: u8, part: u8, how: u8 },
    Observed { step: u8, attempt: u8, part: u8, how: u8 },
    Runner(bool, u8, u8),
    Verdict(u8, u8),
    Check(bool, u8),
    Resolver(u8, u8, u8),
    Source(bool),
    Leak(bool),
    Baseline,
    Begin,
}

/// Mostly well: three in four acts go right; above 200 the world begins to misbehave.
fn luck() -> impl Strategy<Value = Luck> {
    prop_oneof![3 => Just(0_u8), 1 => 200..=255_u8]
}

pub(crate) fn any() -> impl Strategy<Value = Move> {
    let small = || 0..14_u8;
    prop_oneof![
        60 => luck().prop_map(Move::Sensible),
        1 => (5..60_u8).prop_map(Move::Spree),
        6 => (small(), luck()).prop_map(|(index, luck)| Move::Perform(index, luck)),
        5 => prop_oneof![6 => 0..5_i64, 2 => 30..200_i64, 1 => 1000..10_000_i64, 1 => -4000..0_i64].prop_map(Move::Wait),
        1 => prop::bool::ANY.prop_map(Move::Restart),
        1 => small().prop_map(Move::Attach),
        1 => small().prop_map(Move::Detach),
        20 => (small(), wanted()).prop_map(|(who, wanted)| Move::Ask(who, wanted)),
        12 => seen().prop_map(Move::Report),
        3 => Just(Move::LookAround),
    ]
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let small = || 0..14_u8;
    let flag = || prop::bool::ANY;
    prop_oneof![
        2 => (small(), flag()).prop_map(|(seat, take)| Wanted::Sit(seat, take)),
        6 => (small(), flag(), prop::bool::weighted(0.7))
            .prop_map(|(step, back, right)| Wanted::Arm { step, back, right }),
        12 => (small(), prop::bool::weighted(0.8), small())
            .prop_map(|(gate, right, typed)| Wanted::Confirm { gate, right, typed }),
        1 => Just(Wanted::Disarm),
        2 => small().prop_map(Wanted::Stop),
        1 => small().prop_map(Wanted::Skip),
        2 => (small(), small(), flag()).prop_map(|(step, which, right)| Wanted::Override(step, which, right)),
        2 => (small(), flag(), flag()).prop_map(|(step, done, right)| Wanted::Resolve(step, done, right)),
        1 => small().prop_map(Wanted::Observe),
        2 => (small(), 0..3_u32, flag()).prop_map(|(step, item, done)| Wanted::Tick(step, item, done)),
        1 => Just(Wanted::Hold),
        2 => Just(Wanted::Release),
        1 => "[ -~\\x00-\\x1f]{0,20}".prop_map(Wanted::Note),
        2 => Just(Wanted::Rollback),
        3 => Just(Wanted::Forward),
        1 => (small(), flag()).prop_map(|(step, back)| Wanted::Look(step, back)),
    ]
}

fn seen() -> impl Strategy<Value = Seen> {
    let small = || 0..14_u8;
    let flag = || prop::bool::ANY;
    prop_oneof![
        4 => (small(), flag(), any_luck()).prop_map(|(step, back, luck)| Seen::Previewed(step, back, luck)),
        6 => (small(), 0..3_u8, prop_oneof![2 => Just(0_u8), 1 => 1..3_u8])
            .prop_map(|(step, gate, part)| Seen::Reread { step, gate, part }),
        2 => (small(), 0..3_u8, 0..3_u8, small())
            .prop_map(|(step, attempt, part, how)| Seen::Ended { step, attempt, part, how }),
        2 => (small(), 0..3_u8, 0..3_u8, small())
            .prop_map(|(step, attempt, part, how)| Seen::Observed { step, attempt, part, how }),
        4 => (flag(), small(), small()).prop_map(|(side, role, cell)| Seen::Runner(side, role, cell)),
        3 => (small(), small()).prop_map(|(guardrail, verdict)| Seen::Verdict(guardrail, verdict)),
        2 => (flag(), small()).prop_map(|(target, passing)| Seen::Check(target, passing)),
        2 => (small(), small(), small()).prop_map(|(record, who, answer)| Seen::Resolver(record, who, answer)),
        1 => flag().prop_map(Seen::Source),
        1 => flag().prop_map(Seen::Leak),
        1 => Just(Seen::Baseline),
        1 => Just(Seen::Begin),
    ]
}

fn any_luck() -> impl Strategy<Value = Luck> {
    proptest::num::u8::ANY
}

pub(crate) fn make(sim: &mut Sim, next: &Move) {
    let turn = |sim: &Sim| {
        let back = sim.state.rollback.is_some() || (sim.state.complete() && sim.tracker.stands());
        if back { Direction::Back } else { Direction::Forward }
    };
    match next {
        Move::Sensible(luck) => driver::sensible(sim, turn(sim), *luck),
        Move::Spree(moves) => (0..*moves).for_each(|_| driver::sensible(sim, turn(sim), 0)),
        Move::Perform(index, luck) if !sim.pending.is_empty() => {
            sim.perform(usize::from(*index) % sim.pending.len(), *luck);
        }
        Move::Perform(..) => {}
        Move::Wait(seconds) => sim.wait(*seconds),
        Move::Restart(arrived) => sim.restart(*arrived),
        Move::Attach(number) => {
            sim.attach(
                1000 + u32::from(number % 3),
                [Seat::Viewer, Seat::Driver, Seat::Confirmer][usize::from(number / 5)],
            );
        }
        Move::Detach(who) => {
            let gone = sim.person(*who);
            sim.submit(Actor::Operator(gone), Ask::Report(Report::Detached));
        }
        Move::Ask(who, wanted) => {
            let operator = sim.person(*who);
            let request = request(sim, wanted);
            sim.ask(&operator, request);
        }
        Move::Report(seen) => report(sim, seen),
        Move::LookAround => sim.look_around(),
    }
}

const fn way(back: bool) -> Direction {
    if back { Direction::Back } else { Direction::Forward }
}

fn request(sim: &Sim, wanted: &Wanted) -> Request {
    let reason = || "because".to_owned();
    match wanted {
        Wanted::Sit(seat, take) => {
            let seat = [Seat::Viewer, Seat::Driver, Seat::Confirmer][usize::from(*seat) % 3];
            Request::Sit { seat, take: *take }
        }
        Wanted::Arm { step, back, right } => {
            let (step, direction) = (sim.id(*step), way(*back));
            let seen = sim.state.evidence(&step, direction).filter(|_| *right);
            Request::Arm { step, direction, seen: seen.unwrap_or_else(|| Evidence("0".repeat(64))) }
        }
        Wanted::Confirm { gate, right, typed } => confirm(sim, *gate, *right, *typed),
        Wanted::Disarm => Request::Disarm,
        Wanted::Stop(step) => Request::Stop { step: sim.id(*step) },
        Wanted::Skip(step) => Request::Skip { step: sim.id(*step), reason: reason() },
        Wanted::Override(step, which, right) => {
            let condition = CONDITIONS[usize::from(*which) % CONDITIONS.len()];
            let typed = if *right { condition.word().to_owned() } else { "yes".to_owned() };
            Request::Override { step: sim.id(*step), condition, typed, reason: reason() }
        }
        Wanted::Resolve(step, done, right) => {
            let step = sim.id(*step);
            let typed = if *right { step.0.clone() } else { "yes".to_owned() };
            Request::Resolve { step, done: *done, typed, reason: reason() }
        }
        Wanted::Observe(step) => Request::Observe { step: sim.id(*step) },
        Wanted::Tick(step, item, done) => Request::Tick { step: sim.id(*step), item: *item, done: *done },
        Wanted::Hold => Request::Hold { reason: reason() },
        Wanted::Release => Request::Release,
        Wanted::Note(text) => Request::Note { text: text.clone() },
        Wanted::Rollback => Request::BeginRollback { reason: reason() },
        Wanted::Forward => Request::EndRollback,
        Wanted::Look(step, back) => Request::Look { step: sim.id(*step), direction: way(*back) },
    }
}

const CONDITIONS: [ConditionId; 12] = [
    ConditionId::Needs,
    ConditionId::Hold,
    ConditionId::Alone,
    ConditionId::Preview,
    ConditionId::Drain,
    ConditionId::Resolvers,
    ConditionId::Checks,
    ConditionId::Guardrails,
    ConditionId::Runners,
    ConditionId::Leak,
    ConditionId::Interlock,
    ConditionId::Order,
];

fn confirm(sim: &Sim, gate: u8, right: bool, typed: u8) -> Request {
    let armed = sim.state.gate.as_ref();
    let id = armed.map_or(1, |gate| gate.id);
    // Mostly the armed gate, sometimes the one before or after it.
    let gate = (id + u64::from(gate / 6)).saturating_sub(u64::from(gate == 13) * 3);
    let seen = armed.map(|gate| gate.evidence.clone()).filter(|_| right);
    let name = armed.and_then(|gate| Some(typed_words(&sim.plan, sim.plan.step(&gate.step)?, gate.direction)));
    let typed = match typed % 4 {
        0 => None,
        1 => Some("yes\u{1b}[2J".to_owned()),
        2 => name.map(|name| format!(" {name} ")),
        _ => name,
    };
    Request::Confirm { gate, seen: seen.unwrap_or_else(|| Evidence("0".repeat(64))), typed }
}

fn report(sim: &mut Sim, seen: &Seen) {
    let report = match seen {
        Seen::Previewed(step, back, luck) => return sim.look(&sim.id(*step), way(*back), *luck),
        Seen::Reread { step, gate, part } => {
            // Mostly for the gate that waits for it, as if it had been begun for an earlier one.
            let armed = sim.state.gate.as_ref().filter(|_| *step < 10).map(|gate| gate.step.clone());
            let step = armed.unwrap_or_else(|| sim.id(*step));
            let known = sim.state.step(&step).and_then(|step| step.forward.clone());
            let gate = sim.state.gates.saturating_sub(u64::from(*gate));
            Report::Reread { step, gate, part: u32::from(*part), result: known.ok_or_else(|| trouble("not known")) }
        }
        Seen::Ended { step, attempt, part, how } => {
            let (step, attempt) = numbered(sim, *step, *attempt);
            let outcome = match how % 4 {
                0 => Outcome::Failed { trouble: trouble("no") },
                1 => Outcome::InDoubt { trouble: trouble("lost") },
                _ => return, // An executor does not claim success for what it was not asked to do.
            };
            // Nor does it speak of what it is still doing.
            if !sim.pending.is_empty() {
                return;
            }
            Report::Ended { step, attempt, part: u32::from(*part), outcome }
        }
        Seen::Observed { step, attempt, part, how } => {
            let (step, attempt) = numbered(sim, *step, attempt.saturating_add(1));
            let observation = match how % 3 {
                0 => Observation::Done,
                1 => Observation::NotDone { seen: "nothing".into() },
                _ => Observation::Unknown { reason: "no answer".into() },
            };
            // Of an older attempt: says nothing.
            Report::Observed { step, attempt, part: u32::from(*part), observation }
        }
        seen => watched(sim, seen),
    };
    sim.report(report);
}

/// What watches report.
fn watched(sim: &Sim, seen: &Seen) -> Report {
    let pick = |index: u8, length: usize| usize::from(index) % length;
    match seen {
        Seen::Runner(new, role, cell) => Report::Runner {
            side: if *new { Side::New } else { Side::Old },
            role: [Role::Web, Role::Worker][pick(*role, 2)],
            cell: [Cell::On, Cell::Off, Cell::Unknown][pick(*cell, 3)],
        },
        Seen::Verdict(guardrail, verdict) => Report::Verdict {
            guardrail: sim.plan.guardrails[pick(*guardrail, 3)].id.clone(),
            verdict: [VerdictKind::Holding, VerdictKind::Breach, VerdictKind::Blind][pick(*verdict, 3)],
            value: Some(f64::from(*verdict) / 7.0),
        },
        Seen::Check(live, passing) => Report::Check {
            check: "home".into(),
            target: if *live { Target::Live } else { Target::New },
            passing: [Some(true), Some(false), None][pick(*passing, 3)],
            reason: None,
        },
        Seen::Resolver(record, who, answer) => Report::Resolver {
            record: sim.plan.records[pick(*record, sim.plan.records.len())].id.clone(),
            resolver: sim.plan.dns.resolvers[pick(*who, 3)].name.clone(),
            answer: [Answer::Old, Answer::OldStretched, Answer::New, Answer::Silent][pick(*answer, 4)],
        },
        Seen::Source(bad) => Report::Source { source: "route53".into(), trouble: bad.then(|| trouble("throttled")) },
        Seen::Leak(on) => Report::Leak { side: Side::Old, who: on.then(|| "reports writes to orders".into()) },
        Seen::Baseline => Report::Baseline(BTreeMap::from([("m".to_owned(), 0.1)])),
        Seen::Begin => Report::Begin { session: "again".into(), speed: 1.0 },
        _ => Report::Passed,
    }
}

/// An attempt of a step, counted back from the last one.
fn numbered(sim: &Sim, step: u8, back: u8) -> (cutover::plan::StepId, u32) {
    let step = sim.id(step);
    let attempts = sim.state.step(&step).map_or(0, |step| step.attempts.len());
    (step, u32::try_from(attempts).unwrap().saturating_sub(u32::from(back)))
}
