//! Faults that were there once, each with the shortest story that shows it.

use super::{at, plan, records, set};
use crate::{
    plan::{Bound, Consequence, GateLevel, Guardrail, Plan, StepId, Threshold},
    run::{
        Actor, Ask, Change, Command, ConditionId, Direction, Event, Finding, Observation, Operator, Outcome, Part,
        Phase, Preview, Refusal, Report, Request, Seat, Standing, State, Trouble, TroubleKind, VerdictKind, What,
        decide, due, price, typed_words,
    },
};
use std::{collections::BTreeMap, time::Duration};

pub(super) struct Table {
    pub(super) plan: Plan,
    pub(super) state: State,
    pub(super) now: i64,
    gate: u64,
}

fn op(conn: u64) -> Operator {
    Operator::new(conn, format!("op{conn}"), u32::try_from(conn).unwrap())
}

pub(super) fn trouble() -> Trouble {
    Trouble { call: "c".into(), reason: "lost".into(), kind: TroubleKind::Unreachable, next_try: None }
}

pub(super) fn done() -> Outcome {
    Outcome::Done { in_sync: None, summary: "ok".into() }
}

impl Table {
    pub(super) fn new(plan: Plan) -> Self {
        let mut table = Self { plan, state: State::default(), now: 0, gate: 0 };
        table.report(Report::Begin { session: "s".into(), speed: 1.0 });
        table.report(Report::Started { pid: 1, host: "h".into(), version: "v".into() });
        table.submit(Actor::Operator(op(1)), Ask::Report(Report::Attached(Seat::Driver))).unwrap();
        table
    }

    pub(super) fn submit(&mut self, by: Actor, ask: Ask) -> Result<Vec<What>, Refusal> {
        let command = Command { at: at(self.now), by, ask };
        let whats = decide(&self.plan, &self.state, &command)?;
        for what in &whats {
            let event = Event { seq: self.state.seq + 1, at: command.at, by: command.by.clone(), what: what.clone() };
            self.state.apply(&event).unwrap();
        }
        Ok(whats)
    }

    pub(super) fn report(&mut self, report: Report) -> Vec<What> {
        self.submit(Actor::Engine, Ask::Report(report)).unwrap()
    }

    pub(super) fn ask(&mut self, request: Request) -> Result<Vec<What>, Refusal> {
        self.submit(Actor::Operator(op(1)), Ask::Person(request))
    }

    pub(super) fn arm(&mut self, step: &str, direction: Direction, parts: &[Part]) {
        let preview = Preview { parts: parts.to_vec(), facts: Vec::new() };
        self.report(Report::Previewed { step: step.into(), direction, result: Ok(preview) });
        let seen = self.state.evidence(&step.into(), direction).unwrap();
        self.ask(Request::Arm { step: step.into(), direction, seen }).unwrap();
        self.gate = self.state.gates;
    }

    pub(super) fn confirm(&mut self, typed: Option<&str>) -> Result<Vec<What>, Refusal> {
        self.now += 1;
        let gate = self.state.gate.clone().unwrap();
        self.ask(Request::Confirm { gate: gate.id, seen: gate.evidence, typed: typed.map(str::to_owned) })
    }

    pub(super) fn reread(&mut self, step: &str, part: u32, parts: &[Part]) -> Vec<What> {
        let (gate, result) = (self.gate, Ok(Preview { parts: parts.to_vec(), facts: Vec::new() }));
        self.report(Report::Reread { step: step.into(), gate, part, result })
    }

    /// Arms, confirms and reads again: the first part is on its way.
    pub(super) fn start(&mut self, step: &str, direction: Direction, parts: &[Part]) {
        self.arm(step, direction, parts);
        let words = typed_words(&self.plan, self.plan.step(&step.into()).unwrap(), direction);
        self.confirm(Some(&words)).unwrap();
        assert!(matches!(self.reread(step, 0, parts)[..], [What::Intended { .. }]));
    }

    pub(super) fn end(&mut self, step: &str, outcome: Outcome) -> Vec<What> {
        let attempt = self.state.step(&step.into()).unwrap().attempt().unwrap();
        let (attempt, part) = (attempt.number, attempt.part);
        self.report(Report::Ended { step: step.into(), attempt, part, outcome })
    }

    pub(super) fn observe(&mut self, step: &str, attempt: u32, observation: Observation) -> Result<Vec<What>, Refusal> {
        let part = self.state.step(&step.into()).unwrap().attempt().unwrap().part;
        self.submit(Actor::Engine, Ask::Report(Report::Observed { step: step.into(), attempt, part, observation }))
    }

    pub(super) fn phase(&self, step: &str) -> Phase {
        self.state.phase(&self.plan, &step.into())
    }
}

pub(super) fn part(change: Change, bake: u64) -> Part {
    Part { change, bake: Duration::from_secs(bake) }
}

pub(super) fn lower() -> Vec<Part> {
    vec![part(records(&[set(1800, "old.")], &[set(60, "old.")]), 0)]
}

fn raise() -> Vec<Part> {
    vec![part(records(&[set(60, "old.")], &[set(1800, "old.")]), 0)]
}

pub(super) fn stages() -> Vec<Part> {
    let half = [set(60, "old.").with_weight("o", 50), set(60, "new.").with_weight("n", 50)];
    vec![part(records(&[set(60, "old.")], &half), 60), part(records(&half, &[set(60, "new.")]), 0)]
}

/// A plan whose switch needs nothing.
pub(super) fn switch_only() -> Plan {
    let mut plan = plan();
    plan.steps.retain(|step| step.id.0 == "switch");
    plan.steps[0].needs.clear();
    plan
}

#[test]
fn what_was_typed_wrongly_is_not_written_down() {
    let mut table = Table::new(switch_only());
    table.arm("switch", Direction::Forward, &stages());
    let events = table.confirm(Some("hunter2")).unwrap();
    let [What::Disarmed { reason }] = &events[..] else { panic!("{events:?}") };
    assert!(!reason.contains("hunter2") && reason.contains("switch shop.example.test"));
}

#[test]
fn a_gate_does_not_wait_for_the_next_driver() {
    let mut table = Table::new(plan());
    table.arm("lower", Direction::Forward, &lower());
    let events = table.ask(Request::Sit { seat: Seat::Viewer, take: false }).unwrap();
    assert!(matches!(events[..], [What::Disarmed { .. }, What::SeatTaken { .. }]));
}

#[test]
fn a_look_of_an_older_gate_opens_no_newer_one() {
    let mut table = Table::new(plan());
    table.arm("lower", Direction::Forward, &lower());
    table.confirm(None).unwrap();
    table.ask(Request::Disarm).unwrap();
    let older = table.gate;
    table.arm("lower", Direction::Forward, &lower());
    table.confirm(None).unwrap();
    let result = Ok(Preview { parts: lower(), facts: Vec::new() });
    let late = Report::Reread { step: "lower".into(), gate: older, part: 0, result };
    assert!(table.submit(Actor::Engine, Ask::Report(late)).is_err());
    assert!(matches!(table.reread("lower", 0, &lower())[..], [What::Intended { .. }]));
}

#[test]
fn consent_does_not_lie_in_wait() {
    let mut table = Table::new(plan());
    table.arm("lower", Direction::Forward, &lower());
    table.confirm(None).unwrap();
    table.now += 600;
    assert!(matches!(table.reread("lower", 0, &lower())[..], [What::Disarmed { .. }]));
    assert_eq!(table.phase("lower"), Phase::Ready);
}

#[test]
fn a_gate_out_of_patience_cannot_be_confirmed_even_before_the_next_tick() {
    let mut table = Table::new(plan());
    table.arm("lower", Direction::Forward, &lower());
    table.now += 121;
    assert!(matches!(table.confirm(None).unwrap()[..], [What::Disarmed { .. }]));
}

#[test]
fn an_undo_in_doubt_is_not_settled_by_what_was_seen_of_the_act_before_it() {
    let mut table = Table::new(plan());
    table.start("lower", Direction::Forward, &lower());
    table.end("lower", Outcome::InDoubt { trouble: trouble() });
    table.observe("lower", 1, Observation::Unknown { reason: "no answer".into() }).unwrap();
    table.ask(Request::BeginRollback { reason: "enough".into() }).unwrap();
    table.start("lower", Direction::Back, &raise());
    table.end("lower", done());
    assert!(table.observe("lower", 1, Observation::Done).is_err());
    assert_eq!(table.phase("lower"), Phase::Verifying);
    let events = table.observe("lower", 2, Observation::Done).unwrap();
    assert!(matches!(events[..], [What::Observed { .. }, What::RollbackEnded { complete: true }]));
}

#[test]
fn nobody_undoes_what_nobody_has_looked_at() {
    let mut table = Table::new(plan());
    table.start("lower", Direction::Forward, &lower());
    table.end("lower", Outcome::InDoubt { trouble: trouble() });
    table.ask(Request::BeginRollback { reason: "enough".into() }).unwrap();
    let result = Ok(Preview { parts: raise(), facts: Vec::new() });
    table.report(Report::Previewed { step: "lower".into(), direction: Direction::Back, result });
    let seen = table.state.evidence(&"lower".into(), Direction::Back).unwrap();
    let arm = Request::Arm { step: "lower".into(), direction: Direction::Back, seen };
    assert!(table.ask(arm.clone()).unwrap_err().0.contains("in doubt"));
    table.observe("lower", 1, Observation::Unknown { reason: "no answer".into() }).unwrap();
    assert!(table.ask(arm).is_ok());
}

#[test]
fn a_rollback_ends_when_a_person_settles_its_last_undo() {
    let mut table = Table::new(plan());
    table.start("lower", Direction::Forward, &lower());
    table.end("lower", done());
    table.observe("lower", 1, Observation::Done).unwrap();
    table.ask(Request::BeginRollback { reason: "enough".into() }).unwrap();
    table.start("lower", Direction::Back, &raise());
    table.end("lower", Outcome::InDoubt { trouble: trouble() });
    let (step, typed): (StepId, _) = ("lower".into(), "lower".to_owned());
    table.ask(Request::Resolve { step, done: true, typed, reason: "dig says so".into() }).unwrap();
    assert!(table.state.rollback.is_none() && table.state.rolled_back);
    assert_eq!(table.phase("lower"), Phase::Undone);
}

/// Two events that one report leads to are one write, and a machine that loses power may keep the first alone.
#[test]
fn a_rollback_whose_end_was_not_written_ends_when_the_next_engine_starts() {
    let mut table = Table::new(plan());
    table.start("lower", Direction::Forward, &lower());
    table.end("lower", done());
    table.observe("lower", 1, Observation::Done).unwrap();
    table.ask(Request::BeginRollback { reason: "enough".into() }).unwrap();
    table.start("lower", Direction::Back, &raise());
    table.end("lower", done());
    let seen = What::Observed { step: "lower".into(), observation: Observation::Done };
    let torn = Event { seq: table.state.seq + 1, at: at(table.now), by: Actor::Engine, what: seen };
    table.state.apply(&torn).unwrap();
    assert!(table.state.rollback.is_some() && table.state.next_undo().is_none());
    let events = table.report(Report::Started { pid: 2, host: "h".into(), version: "v".into() });
    assert!(matches!(events[..], [What::EngineStarted { .. }, What::RollbackEnded { complete: true }]));
    assert!(table.state.rolled_back);
}

#[test]
fn a_manual_step_whose_last_tick_alone_was_written_ends_when_the_next_engine_starts() {
    let mut plan = plan();
    plan.steps.retain(|step| step.id == "farewell".into());
    plan.steps[0].needs.clear();
    let mut table = Table::new(plan);
    table.start("farewell", Direction::Forward, &[part(Change::Nothing, 0)]);
    let tick = What::Ticked { step: "farewell".into(), item: 0, done: true };
    table.state.apply(&Event { seq: table.state.seq + 1, at: at(table.now), by: Actor::Engine, what: tick }).unwrap();
    assert_eq!(table.phase("farewell"), Phase::Running);
    table.report(Report::Started { pid: 2, host: "h".into(), version: "v".into() });
    assert_eq!(table.phase("farewell"), Phase::Done);
}

#[test]
fn a_stage_that_ends_during_a_rollback_does_not_bake_on() {
    let mut table = Table::new(switch_only());
    table.start("switch", Direction::Forward, &stages());
    table.ask(Request::BeginRollback { reason: "enough".into() }).unwrap();
    table.end("switch", done());
    assert_eq!(table.phase("switch"), Phase::Failed);
    assert!(table.state.step(&"switch".into()).unwrap().undoable());
}

#[test]
fn a_stage_goes_on_only_while_what_guards_it_can_be_seen() {
    let mut plan = switch_only();
    plan.guardrails.push(Guardrail {
        id: "errors".into(),
        title: "5xx".into(),
        metric: "m".into(),
        bound: Bound::Above,
        threshold: Threshold::Absolute(1.0),
        lasting: Duration::from_secs(60),
        max_age: Duration::from_secs(60),
        consequence: Consequence::Hold,
        after: None,
    });
    let mut table = Table::new(plan);
    table.start("switch", Direction::Forward, &stages());
    table.end("switch", done());
    table.now += 61;
    let ripe = |table: &Table| due(&table.plan, &table.state, at(table.now)).count();
    assert_eq!(ripe(&table), 0, "blind");
    let verdict = |verdict| Report::Verdict { guardrail: "errors".into(), verdict, value: None };
    table.report(verdict(VerdictKind::Breach));
    assert_eq!(ripe(&table), 0, "breach");
    table.report(verdict(VerdictKind::Holding));
    assert_eq!(ripe(&table), 1, "holding");
    table.report(verdict(VerdictKind::Blind));
    let (condition, typed) = (ConditionId::Guardrails, "guardrails".to_owned());
    let past = Request::Override { step: "switch".into(), condition, typed, reason: "seen by hand".into() };
    table.ask(past.clone()).unwrap();
    assert_eq!(ripe(&table), 1, "a person went past it");
    table.reread("switch", 1, &stages()[1..]);
    assert!(table.ask(past).is_err(), "and the word counts once");
}

#[test]
fn doubt_and_holds_between_stages_are_nobodys_work() {
    let mut table = Table::new(switch_only());
    table.start("switch", Direction::Forward, &stages());
    table.now += 20;
    table.end("switch", Outcome::InDoubt { trouble: trouble() });
    table.now += 3600;
    let spent = |table: &Table| table.state.step(&"switch".into()).unwrap().spent(at(table.now)).as_secs();
    assert_eq!(spent(&table), 20, "the clock of a step in doubt stands");
    table.observe("switch", 1, Observation::Done).unwrap();
    // A bake of a minute, and ten more that somebody held it.
    table.now += 660;
    table.reread("switch", 1, &stages()[1..]);
    table.now += 30;
    table.end("switch", done());
    table.observe("switch", 1, Observation::Done).unwrap();
    assert_eq!(spent(&table), 20 + 60 + 30);
    let told = price(&table.plan, &table.state, None);
    assert_eq!(told.undo_time, Duration::from_secs(25), "fifty seconds in two parts");
}

#[test]
fn a_switch_that_was_stopped_in_its_bake_goes_back_in_what_its_one_part_took() {
    let mut table = Table::new(switch_only());
    table.start("switch", Direction::Forward, &stages());
    table.now += 20;
    table.end("switch", done());
    table.now += 40;
    table.ask(Request::Stop { step: "switch".into() }).unwrap();
    let told = price(&table.plan, &table.state, None);
    assert_eq!((told.undos.len(), told.undo_time), (1, Duration::from_secs(20)), "not one of the forty it baked");
}

#[test]
fn a_scaling_that_was_tried_twice_goes_back_to_where_it_came_from() {
    let service = |from, to| Change::Service { cluster: "c".into(), service: "worker".into(), from, to };
    let mut table = Table::new({
        let mut plan = plan();
        plan.steps.retain(|step| step.id.0 == "scale");
        plan.steps[0].needs.clear();
        plan
    });
    table.start("scale", Direction::Forward, &[part(service(1, 2), 0)]);
    table.end("scale", done());
    table.observe("scale", 1, Observation::Done).unwrap();
    table.ask(Request::BeginRollback { reason: "enough".into() }).unwrap();
    table.start("scale", Direction::Back, &[part(service(2, 1), 0)]);
    table.end("scale", Outcome::Failed { trouble: trouble() });
    table.ask(Request::EndRollback).unwrap();
    table.start("scale", Direction::Forward, &[part(service(2, 2), 0)]);
    let applied = &table.state.step(&"scale".into()).unwrap().applied;
    assert_eq!(Change::reversal_of(applied), Some(service(2, 1)));
}

#[test]
fn an_engine_without_a_session_and_an_empty_preview_lead_nowhere() {
    let plan = plan();
    let ask = Ask::Report(Report::Started { pid: 1, host: "h".into(), version: "v".into() });
    let command = Command { at: at(0), by: Actor::Engine, ask };
    assert!(decide(&plan, &State::default(), &command).is_err());

    let mut table = Table::new(plan);
    let result = Ok(Preview { parts: Vec::new(), facts: Vec::new() });
    table.report(Report::Previewed { step: "lower".into(), direction: Direction::Forward, result });
    let seen = table.state.evidence(&"lower".into(), Direction::Forward).unwrap();
    assert!(table.ask(Request::Arm { step: "lower".into(), direction: Direction::Forward, seen }).is_err());
}

#[test]
fn the_fold_refuses_an_intent_that_is_not_what_was_consented_to() {
    let mut table = Table::new(plan());
    table.arm("lower", Direction::Forward, &lower());
    table.confirm(None).unwrap();
    assert_eq!(table.state.gate.as_ref().unwrap().level, GateLevel::Confirm);
    let intended = |change: Change| What::Intended {
        step: "lower".into(),
        direction: Direction::Forward,
        attempt: 1,
        part: 0,
        parts: 1,
        bake: Duration::ZERO,
        token: "t".into(),
        change,
    };
    let apply = |change| {
        let event = Event { seq: table.state.seq + 1, at: at(9), by: Actor::Engine, what: intended(change) };
        table.state.clone().apply(&event)
    };
    assert!(apply(raise()[0].change.clone()).is_err());
    assert!(apply(lower()[0].change.clone()).is_ok());
}

#[test]
fn a_preflight_is_written_down_once_and_then_only_where_it_changes() {
    let finding = |id: &str, standing, reason: &str| Finding {
        id: id.into(),
        title: id.into(),
        standing,
        reason: reason.into(),
        remedy: None,
        fingerprints: BTreeMap::new(),
    };
    let mut table = Table::new(plan());
    let first = vec![finding("a", Standing::Passed, "1 ms"), finding("b", Standing::Passed, "fine")];
    assert_eq!(table.report(Report::Preflight(first.clone())), [What::PreflightTaken { findings: first.clone() }]);
    assert_eq!(table.report(Report::Preflight(first.clone())), []);
    let slower = vec![finding("a", Standing::Passed, "2 ms"), first[1].clone()];
    assert_eq!(table.report(Report::Preflight(slower)), [], "what passes may do so for another number");
    let bad = finding("b", Standing::ActionRequired, "expired");
    let changed = What::FindingChanged { finding: bad.clone(), was: Some(Standing::Passed) };
    assert_eq!(table.report(Report::Preflight(vec![first[0].clone(), bad.clone()])), [changed]);
    assert_eq!(table.report(Report::Preflight(vec![first[0].clone(), bad.clone()])), []);
    let other = finding("b", Standing::ActionRequired, "denied");
    let (was, gone) = (Some(Standing::ActionRequired), first[0].not_seen());
    let told = table.report(Report::Preflight(vec![other.clone()]));
    let lost = What::FindingChanged { finding: gone.clone(), was: Some(Standing::Passed) };
    assert_eq!(told, [What::FindingChanged { finding: other.clone(), was }, lost], "no data is not green");
    assert_eq!(table.state.findings, [gone, other.clone()]);
    assert_eq!(table.report(Report::Preflight(vec![other])), [], "and that is told once");
}

#[test]
fn what_must_stay_is_held_against_the_first_look_for_as_long_as_the_session_lasts() {
    let look = |values: &[(&str, &str)]| {
        let finding = Finding {
            id: "config-values".into(),
            title: "Values".into(),
            standing: Standing::Passed,
            reason: "as they were".into(),
            remedy: None,
            fingerprints: values.iter().map(|(name, mark)| ((*name).into(), (*mark).into())).collect(),
        };
        Report::Preflight(vec![finding])
    };
    let mut table = Table::new(plan());
    let first = [("DATABASE_URL", "0a1b"), ("REDIS_URL", "2c3d")];
    table.report(look(&first));
    assert_eq!(table.report(look(&first)), []);
    let mut told = |values: &[(&str, &str)]| match table.report(look(values)).as_slice() {
        [] => None,
        [What::FindingChanged { finding, .. }] => Some((finding.standing, finding.reason.clone())),
        other => panic!("{other:?}"),
    };
    let since = |what: &str| Some((Standing::ActionRequired, format!("{what} since the session's first look")));
    let moved = [("DATABASE_URL", "ffff"), ("REDIS_URL", "2c3d")];
    assert_eq!(told(&moved), since("DATABASE_URL has another value"));
    assert_eq!(told(&moved), None, "told once");
    assert_eq!(
        told(&[("DATABASE_URL", "ffff"), ("NEW_URL", "9999")]),
        since("DATABASE_URL has another value, REDIS_URL is gone, NEW_URL is new")
    );
    assert_eq!(told(&first), Some((Standing::Passed, "as they were".into())), "set back");
    assert_eq!(told(&moved), since("DATABASE_URL has another value"), "the first look is what counts");
}
