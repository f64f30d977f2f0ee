//! What people may ask for.

use super::{Desk, all_ticked, stopped};
use crate::{
    plan::{GateLevel, Kind, StepId},
    run::{
        command::{Refusal, Request},
        conditions::conditions,
        describe::seat_word,
        event::{Seat, What},
        gate::{ConditionId, Evidence, typed_words},
        operator::Operator,
        phase::{Direction, Phase},
        price::point_passed,
        state::StepState,
    },
};

type Decision = Result<Vec<What>, Refusal>;

impl Desk<'_> {
    pub(super) fn request(&self, request: &Request, who: &Operator) -> Decision {
        match request {
            Request::Sit { seat, take } => self.sit(*seat, *take, who),
            Request::Arm { step, direction, seen } => self.arm(step, *direction, seen, who),
            Request::Disarm => {
                self.seated(who)?;
                self.close(&format!("closed by {}", who.name))
                    .map(|event| vec![event])
                    .ok_or_else(|| Refusal::new("no gate is armed"))
            }
            Request::Confirm { gate, seen, typed } => self.confirm(*gate, seen, typed.as_deref(), who),
            Request::Note { text } => Ok(vec![What::Noted { text: said(text, "a note")? }]),
            Request::Hold { reason } => {
                self.seated(who)?;
                Ok(vec![What::HoldRaised { reason: said(reason, "a reason")? }])
            }
            Request::Release => {
                self.seated(who)?;
                self.state.hold.as_ref().ok_or_else(|| Refusal::new("nobody holds the run"))?;
                Ok(vec![What::HoldReleased])
            }
            Request::Look { .. } => Ok(Vec::new()),
            _ => {
                self.driver(who)?;
                self.drive(request, who)
            }
        }
    }

    /// What only the driver may ask for.
    fn drive(&self, request: &Request, who: &Operator) -> Decision {
        match request {
            Request::Stop { step } => self.stop(step),
            Request::Skip { step, reason } => self.skip(step, reason),
            Request::Override { step, condition, typed, reason } => {
                self.override_condition(step, *condition, typed, reason)
            }
            Request::Resolve { step, done, typed, reason } => self.resolve(step, *done, typed, reason),
            Request::Observe { step } => self.in_doubt(step).map(|_| Vec::new()),
            Request::Tick { step, item, done } => self.tick(step, *item, *done),
            Request::BeginRollback { reason } => self.begin_rollback(reason, who),
            Request::EndRollback => self.end_rollback(),
            Request::End => match self.state.steps.iter().find(|step| step.phase.in_flight()) {
                Some(step) if step.phase == Phase::InDoubt => Err(Refusal::new(format!(
                    "the session cannot end: `{}` is in doubt, and that must be decided first",
                    step.id
                ))),
                Some(step) => Err(Refusal::new(format!("the session cannot end: `{}` is under way", step.id))),
                None => Ok(self.close("the session ends").into_iter().chain([What::SessionEnded]).collect()),
            },
            _ => Err(Refusal::new("nothing to decide")),
        }
    }

    fn sit(&self, seat: Seat, take: bool, who: &Operator) -> Decision {
        let allowed = match seat {
            Seat::Viewer => true,
            Seat::Driver => who.may.drive,
            Seat::Confirmer => who.may.confirm,
        };
        if !allowed {
            return Err(Refusal::new(format!("the plan's [access] does not let {} be {}", who.name, seat_word(seat))));
        }
        let kept = self.state.kept_for(self.at).filter(|away| !away.operator.may_be(who));
        if let Some(away) = kept.filter(|_| seat == Seat::Driver && !take) {
            return Err(Refusal::new(format!("{} drove until just now; take over explicitly", away.operator.name)));
        }
        match self.state.driver() {
            Some(driver) if seat == Seat::Driver && driver.conn == who.conn => Err(Refusal::new("you drive already")),
            Some(driver) if seat == Seat::Driver && !take => {
                Err(Refusal::new(format!("{} drives; take over explicitly", driver.name)))
            }
            // A gate belongs to the driver who armed it: a new driver looks for himself.
            driver => {
                let leaves = driver.is_some_and(|driver| driver.conn == who.conn);
                let closed = (leaves || seat == Seat::Driver).then(|| self.close(&self.seat_text(seat, who))).flatten();
                Ok(closed.into_iter().chain([What::SeatTaken { seat }]).collect())
            }
        }
    }

    fn seat_text(&self, seat: Seat, who: &Operator) -> String {
        format!("{} is now {}", who.name, seat_word(seat))
    }

    fn arm(&self, id: &StepId, direction: Direction, seen: &Evidence, who: &Operator) -> Decision {
        self.driver(who)?;
        let state = self.step(id)?;
        let step = self.plan.step(id).ok_or_else(|| Refusal::new(format!("the plan has no step `{id}`")))?;
        if let Some(gate) = self.armed() {
            return Err(Refusal::new(format!("the gate of `{}` is armed already", gate.step)));
        }
        armable(state, direction)?;
        if let Some(obstacle) = self.obstacle(id, direction) {
            return Err(Refusal::new(obstacle));
        }
        let evidence = self.state.evidence(id, direction).ok_or_else(|| Refusal::new("the change is not known yet"))?;
        if evidence != *seen {
            return Err(Refusal::new("what you saw is no longer so: look again"));
        }
        let gate = self.state.gates + 1;
        let level = state.gate_level(step, direction);
        let armed = What::Armed { step: id.clone(), direction, gate, level, evidence };
        let open = level == GateLevel::Start;
        Ok([armed].into_iter().chain(open.then_some(What::Consented { second: None })).collect())
    }

    fn confirm(&self, gate: u64, seen: &Evidence, typed: Option<&str>, who: &Operator) -> Decision {
        let armed = self.armed().filter(|armed| armed.id == gate);
        let armed = armed.ok_or_else(|| Refusal::new("that gate is closed"))?;
        if armed.consented {
            return Err(Refusal::new("that gate is passed already"));
        }
        if let Some(reason) = self.gone_stale(armed) {
            return Ok(vec![What::Disarmed { reason }]);
        }
        if armed.typed {
            return self.second(&armed.by, armed.evidence == *seen, who);
        }
        self.driver(who)?;
        let dwell = self.state.session.as_ref().map_or_else(Default::default, |session| session.dwell);
        let ripe = armed.armed_at.checked_add(dwell).is_ok_and(|ripe| self.at >= ripe);
        let disarm = |reason: String| Ok(vec![What::Disarmed { reason }]);
        if *seen != armed.evidence {
            return disarm("what was on the screen is not what was armed".into());
        }
        if !ripe {
            return disarm("confirmed sooner than it can be read".into());
        }
        if armed.level >= GateLevel::Type {
            let wanted = self
                .plan
                .step(&armed.step)
                .map(|step| typed_words(self.plan, step, armed.direction))
                .unwrap_or_default();
            if typed.map(str::trim) != Some(wanted.as_str()) {
                // What was typed is not repeated: it may be a password that belonged into another window.
                return disarm(format!("what was typed is not `{wanted}`"));
            }
        }
        Ok(vec![if armed.level == GateLevel::Two { What::Typed } else { What::Consented { second: None } }])
    }

    /// The second person of a two-person gate: another login, looking at the same evidence.
    fn second(&self, first: &Operator, same_evidence: bool, who: &Operator) -> Decision {
        if self.seated(who)? != Seat::Confirmer {
            return Err(Refusal::new("a confirmer must confirm this gate"));
        }
        if who.may_be(first) {
            return Err(Refusal::new("the second person must have another login than the first"));
        }
        if !same_evidence {
            return Err(Refusal::new("what you saw is not what was armed: look again"));
        }
        Ok(vec![What::Consented { second: Some(who.clone()) }])
    }

    /// Between two parts the attempt ends here; a part under way is stopped by the engine, which then reports its end.
    fn stop(&self, id: &StepId) -> Decision {
        let step = self.step(id)?;
        let manual = self.plan.step(id).is_some_and(|step| matches!(step.kind, Kind::Manual { .. }));
        match step.phase {
            Phase::Running if step.baking() || manual => Ok(vec![stopped(id.clone())]),
            Phase::Running | Phase::Undoing => Ok(Vec::new()),
            _ => Err(Refusal::new(format!("`{id}` is not under way"))),
        }
    }

    fn skip(&self, id: &StepId, reason: &str) -> Decision {
        let step = self.step(id)?;
        if self.armed().is_some_and(|gate| gate.step == *id) {
            return Err(Refusal::new("close its gate first"));
        }
        if let Some(hold) = &self.state.hold {
            return Err(Refusal::new(format!("{} holds the run: release it first", hold.by)));
        }
        if step.undoable() {
            return Err(Refusal::new("a part of it stands: undo it or try again"));
        }
        match step.phase {
            Phase::Waiting | Phase::Failed | Phase::Undone => {
                Ok(vec![What::Skipped { step: id.clone(), reason: said(reason, "a reason")? }])
            }
            phase => Err(Refusal::new(format!("`{id}` is {}", phase.word()))),
        }
    }

    fn override_condition(&self, id: &StepId, condition: ConditionId, typed: &str, reason: &str) -> Decision {
        self.step(id)?;
        if !condition.overridable() {
            return Err(Refusal::new(format!("`{}` cannot be overridden", condition.word())));
        }
        if typed.trim() != condition.word() {
            return Err(Refusal::new(format!("type `{}` to go past it", condition.word())));
        }
        let all = conditions(self.plan, self.state, id, Direction::Forward, self.at);
        if all.iter().all(|known| known.id != condition || known.holds) {
            return Err(Refusal::new(format!("`{}` does not stand in the way", condition.word())));
        }
        let reason = said(reason, "a reason")?;
        Ok(vec![What::Overridden { step: id.clone(), condition, reason }])
    }

    fn in_doubt(&self, id: &StepId) -> Result<&StepState, Refusal> {
        let step = self.step(id)?;
        let doubted = step.phase == Phase::InDoubt;
        doubted.then_some(step).ok_or_else(|| Refusal::new(format!("`{id}` is {}", step.phase.word())))
    }

    fn resolve(&self, id: &StepId, done: bool, typed: &str, reason: &str) -> Decision {
        self.in_doubt(id)?;
        if typed.trim() != id.0 {
            return Err(Refusal::new(format!("type `{id}` to decide it")));
        }
        Ok(self.wind_up(vec![What::Resolved { step: id.clone(), done, reason: said(reason, "a reason")? }]))
    }

    fn tick(&self, id: &StepId, item: u32, done: bool) -> Decision {
        let step = self.step(id)?;
        let Some(Kind::Manual { items }) = self.plan.step(id).map(|step| &step.kind) else {
            return Err(Refusal::new(format!("`{id}` has nothing to tick")));
        };
        if step.phase != Phase::Running {
            return Err(Refusal::new(format!("`{id}` is {}", self.state.phase(self.plan, id).word())));
        }
        if item as usize >= items.len() {
            return Err(Refusal::new(format!("`{id}` has {} items", items.len())));
        }
        if done == step.ticked.contains(&item) {
            return Err(Refusal::new("it is so already"));
        }
        let mut events = vec![What::Ticked { step: id.clone(), item, done }];
        if done && step.ticked.len() + 1 == items.len() {
            events.extend(all_ticked(id, items.len()));
        }
        Ok(events)
    }

    fn begin_rollback(&self, reason: &str, who: &Operator) -> Decision {
        if self.state.rollback.is_some() {
            return Err(Refusal::new("rolling back already"));
        }
        if let Some(step) = point_passed(self.plan, self.state) {
            return Err(Refusal::new(format!("no way back: `{step}` was the point of no return")));
        }
        if self.state.next_undo().is_none() {
            return Err(Refusal::new("nothing was changed: there is nothing to undo"));
        }
        let closed = self.close(&format!("{} began to roll back", who.name));
        let bakes = self.state.steps.iter().filter(|step| step.baking()).map(|step| stopped(step.id.clone()));
        let started = What::RollbackStarted { reason: said(reason, "a reason")? };
        Ok(closed.into_iter().chain(bakes).chain([started]).collect())
    }

    fn end_rollback(&self) -> Decision {
        if self.state.rollback.is_none() && !self.state.rolled_back {
            return Err(Refusal::new("not rolling back"));
        }
        if let Some(step) = self.state.steps.iter().find(|step| step.phase == Phase::Undoing) {
            return Err(Refusal::new(format!("`{}` is being undone", step.id)));
        }
        let closed = self.close("turned forward again");
        // A rollback that has come to its end is left as well: nothing begins anew by itself.
        let complete = !self.state.rolled_back && self.state.next_undo().is_none();
        Ok(closed.into_iter().chain([What::RollbackEnded { complete }]).collect())
    }
}

/// Whether the step's phase allows an attempt in this direction.
fn armable(step: &StepState, direction: Direction) -> Result<(), Refusal> {
    let allowed = match direction {
        Direction::Forward => {
            matches!(step.phase, Phase::Waiting | Phase::Failed | Phase::Undone | Phase::Skipped)
        }
        Direction::Back => matches!(step.phase, Phase::Done | Phase::Failed | Phase::InDoubt) && step.undoable(),
    };
    if step.phase == Phase::InDoubt && !step.attempt().is_some_and(|attempt| attempt.observed) {
        return Err(Refusal::new(format!("`{}` is in doubt and the world is being read", step.id)));
    }
    if allowed { Ok(()) } else { Err(Refusal::new(format!("`{}` is {}", step.id, step.phase.word()))) }
}

/// What a person must have written.
fn said(text: &str, what: &str) -> Result<String, Refusal> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Refusal::new(format!("write {what}")));
    }
    // A note is a line or two; a pasted log does not belong into the journal.
    Ok(text.chars().filter(|c| !c.is_control()).take(500).collect())
}
