//! A driver who knows what to do next, forward and back: makes random sessions go somewhere, and proves that from
//! everywhere there is a way.

use cutover::{
    plan::{GateLevel, Kind, StepId},
    run::{ConditionId, Direction, Evidence, Operator, Phase, Request, Seat, conditions, doubled, typed_words},
};

use super::sim::{Luck, Sim};

/// One sensible move towards the end of the plan, or towards its beginning.
pub(crate) fn sensible(sim: &mut Sim, wish: Direction, luck: Luck) {
    let driver = seated(sim);
    if !sim.pending.is_empty() {
        sim.perform(0, luck);
    } else if sim.state.gate.is_some() {
        at_the_gate(sim, &driver, luck);
    } else if let Some((id, phase)) = busy(sim) {
        attend(sim, &driver, &id, phase);
    } else if sim.state.hold.is_some() {
        sim.ask(&driver, Request::Release);
    } else {
        match (wish, sim.state.rollback.is_some()) {
            (Direction::Forward, back) if back || sim.state.rolled_back => drop(sim.ask(&driver, Request::EndRollback)),
            (Direction::Back, false) => {
                sim.ask(&driver, Request::BeginRollback { reason: "it does not work".into() });
            }
            (Direction::Forward, _) => {
                let next = sim.plan.steps.iter().map(|step| &step.id).find(|id| {
                    let settled = sim.state.step(id).unwrap().phase.settled();
                    !settled && sim.state.needs_met(&sim.plan, id)
                });
                if let Some(next) = next.cloned() {
                    arm(sim, &driver, &next, Direction::Forward);
                }
            }
            (Direction::Back, true) => {
                if let Some(next) = sim.state.next_undo().map(|step| step.id.clone()) {
                    arm(sim, &driver, &next, Direction::Back);
                }
            }
        }
    }
}

/// Makes sure that somebody drives and that somebody else can confirm.
fn seated(sim: &mut Sim) -> Operator {
    // Again and again: an engine may die of writing it down.
    while sim.state.driver().is_none() {
        // The seat is kept for whoever drove: that person comes back.
        let uid = sim.state.away.as_ref().map_or(1000, |away| away.operator.uid);
        sim.attach(uid, Seat::Driver);
    }
    let driver = sim.state.driver().unwrap().clone();
    if !sim.state.seated(Seat::Confirmer).any(|other| other.uid != driver.uid) {
        sim.attach(driver.uid + 1, Seat::Confirmer);
    }
    driver
}

fn busy(sim: &Sim) -> Option<(StepId, Phase)> {
    // An attempt in doubt is looked at first, then what waits for a person.
    let of = |wanted: &[Phase]| sim.state.steps.iter().find(|step| wanted.contains(&step.phase));
    let busy = of(&[Phase::InDoubt, Phase::Verifying]).or_else(|| of(&[Phase::Running, Phase::Undoing]))?;
    Some((busy.id.clone(), busy.phase))
}

fn attend(sim: &mut Sim, driver: &Operator, id: &StepId, phase: Phase) {
    let step = sim.state.step(id).unwrap();
    let attempt = step.attempt().unwrap();
    let items = match &sim.plan.step(id).unwrap().kind {
        Kind::Manual { items } => Some(u32::try_from(items.len()).unwrap()),
        _ => None,
    };
    match phase {
        Phase::InDoubt if attempt.observed => {
            let (typed, reason) = (id.0.clone(), "looked at it by hand".to_owned());
            let change = &attempt.parts[attempt.part as usize].change;
            let done = sim.world.observe(change, true) == cutover::run::Observation::Done;
            sim.ask(driver, Request::Resolve { step: id.clone(), done, typed, reason });
        }
        Phase::InDoubt => drop(sim.ask(driver, Request::Observe { step: id.clone() })),
        Phase::Running if step.baking() => {
            sim.look_around();
            let Some(until) = sim.state.step(id).unwrap().attempt().unwrap().baking_until else { return };
            let left = until.duration_since(sim.at).as_secs();
            sim.wait(left.max(0) + 1);
            if sim.pending.is_empty() {
                sim.ask(driver, Request::Stop { step: id.clone() });
            }
        }
        // Where all are ticked an engine has died before it wrote the end: a person takes one back.
        Phase::Running if items.is_some() => {
            let open = (0..items.unwrap_or_default()).find(|item| !step.ticked.contains(item));
            match open {
                Some(item) => sim.ask(driver, Request::Tick { step: id.clone(), item, done: true }),
                None => sim.ask(driver, Request::Tick { step: id.clone(), item: 0, done: false }),
            };
        }
        phase => panic!("`{id}` is {phase:?}, and nothing will ever be heard of it"),
    }
}

/// Presses what the gate asks for; out of luck something like it: too soon, misspelt, of another gate or picture.
fn at_the_gate(sim: &mut Sim, driver: &Operator, luck: Luck) {
    let gate = sim.state.gate.clone().unwrap();
    if gate.consented {
        // Its reread was lost or is late: a person closes it.
        sim.ask(driver, Request::Disarm);
        return;
    }
    let confirm = |typed| Request::Confirm {
        gate: if luck == 201 { gate.id - 1 } else { gate.id },
        seen: if luck == 202 { Evidence(String::new()) } else { gate.evidence.clone() },
        typed,
    };
    if gate.typed {
        let same_login = luck > 230;
        let fits = |(other, seat): &&(Operator, Seat)| {
            (*seat == Seat::Confirmer || luck > 240) && (other.uid == gate.by.uid) == same_login
        };
        let second = sim.state.operators.iter().find(fits).map(|(other, _)| other);
        let second = second.cloned().unwrap_or_else(|| driver.clone());
        sim.ask(&second, confirm(None));
        return;
    }
    if !(203..=210).contains(&luck) {
        sim.wait(1);
    }
    let name = (gate.level >= GateLevel::Type).then(|| match luck {
        211..=220 => "shop".to_owned(),
        _ => typed_words(&sim.plan, sim.plan.step(&gate.step).unwrap(), gate.direction),
    });
    sim.ask(driver, confirm(name));
}

/// Looks, clears away what can be cleared, and arms.
fn arm(sim: &mut Sim, driver: &Operator, id: &StepId, direction: Direction) {
    sim.look(id, direction, 0);
    let all = conditions(&sim.plan, &sim.state, id, direction, sim.at);
    let Some(open) = all.into_iter().find(|condition| !condition.holds) else {
        if let Some(seen) = sim.state.evidence(id, direction) {
            sim.ask(driver, Request::Arm { step: id.clone(), direction, seen });
        }
        return;
    };
    // Now this way, now that: the second of the clock decides.
    let chance = |one_in: i64| sim.at.as_second() % one_in == 0;
    let request = match open.id {
        ConditionId::Drain if chance(2) => return sim.wait(600),
        condition if condition.overridable() && chance(3) => {
            let (typed, reason) = (condition.word().to_owned(), "seen and accepted".to_owned());
            Some(Request::Override { step: id.clone(), condition, typed, reason })
        }
        ConditionId::Hold if !doubled(&sim.plan, &sim.state).is_empty() => {
            // No step of such a plan may end it: a person does, where the way back ends it too.
            sim.look_around();
            if !doubled(&sim.plan, &sim.state).is_empty() {
                sim.world.stop_new_workers();
                sim.look_around();
            }
            return sim.wait(7);
        }
        ConditionId::Interlock if direction == Direction::Forward && chance(5) => {
            Some(Request::Skip { step: id.clone(), reason: "not needed".into() })
        }
        _ => None,
    };
    if !request.is_some_and(|request| sim.ask(driver, request)) {
        sim.look_around();
        sim.wait(7);
    }
}
