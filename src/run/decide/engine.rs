//! What the engine's own reports lead to.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{DWELL, Desk, PATIENCE, READABLE, all_ticked, changed_text, ripe};
use crate::{
    plan::{Kind, StepId},
    run::{
        change::{Part, Preview},
        command::{Refusal, Report},
        event::{Actor, Observation, Outcome, Seat, Trouble, TroubleKind, What},
        finding::Finding,
        gate::{Evidence, Gate},
        loss::{awaited_closing, opened_by},
        phase::{Direction, Phase},
        rehearsal::Rehearsal,
        state::{Attempt, StepState},
    },
};

type Decision = Result<Vec<What>, Refusal>;

impl Desk<'_> {
    pub(super) fn report(&self, report: &Report, by: &Actor) -> Decision {
        match report {
            Report::Begin { session, speed } => self.begin(session, *speed),
            Report::Rehearsed(rehearsal) => self.rehearsed(rehearsal),
            Report::Started { pid, host, version } => self.started(*pid, host, version),
            Report::Attached(seat) => Ok(vec![What::Attached { seat: self.free_seat(*seat, by) }]),
            Report::Detached => Ok(self.detached(by)),
            Report::Passed => Ok(self.passed()),
            Report::Stood(lasting) => {
                Ok(self.close(&format!("the engine stood still for {} s", lasting.as_secs())).into_iter().collect())
            }
            Report::Previewed { step, direction, result } => self.previewed(step, *direction, result),
            Report::Reread { step, gate, part, result } => self.reread(step, *gate, *part, result),
            Report::Ended { step, attempt, part, outcome } => self.ended(step, *attempt, *part, outcome),
            Report::Observed { step, attempt, part, observation } => self.observed(step, *attempt, *part, observation),
            Report::Baseline(values) => Ok(self.baseline(values)),
            Report::Preflight(findings) => Ok(self.preflight(findings)),
            _ => Ok(self.watched(report).into_iter().collect()),
        }
    }

    fn begin(&self, session: &str, speed: f64) -> Decision {
        if self.state.session.is_some() {
            return Err(Refusal::new("the session has begun already"));
        }
        let scaled = |seconds: f64, speed: f64| Duration::from_secs_f64(seconds * speed.max(1.0));
        Ok(vec![What::SessionStarted {
            session: session.to_owned(),
            plan: self.plan.name.clone(),
            environment: self.plan.environment.name.clone(),
            plan_hash: self.plan.hash(),
            steps: self.plan.steps.iter().map(|step| step.id.clone()).collect(),
            dwell: scaled(DWELL, speed.min(READABLE)),
            patience: scaled(PATIENCE, speed),
        }])
    }

    /// The measure is taken once, before anything has run: what is foreseen must not jump in the middle of a night.
    fn rehearsed(&self, rehearsal: &Rehearsal) -> Decision {
        let fresh = self.state.rehearsed.is_none() && self.state.steps.iter().all(|step| step.attempts.is_empty());
        if self.state.session.is_none() || !fresh {
            return Err(Refusal::new("a rehearsal is read when a session begins, and only then"));
        }
        Ok(vec![What::Rehearsed(rehearsal.clone())])
    }

    /// A new engine trusts nothing that was only in the old one's memory: an armed gate closes, what was on its way to
    /// the world is in doubt, and what only read is taken up again.
    fn started(&self, pid: u32, host: &str, version: &str) -> Decision {
        self.state.session.as_ref().ok_or_else(|| Refusal::new("there is no session to run"))?;
        let closed = self.close("the engine was started again");
        let engine = What::EngineStarted { pid, host: host.to_owned(), version: version.to_owned() };
        let taken_up = self.state.steps.iter().flat_map(|step| self.take_up(step));
        // An engine may have died between the word that the last undo is done and the word that the rollback is.
        Ok(self.wind_up(closed.into_iter().chain([engine]).chain(taken_up).collect()))
    }

    fn take_up(&self, step: &StepState) -> Vec<What> {
        match self.plan.step(&step.id).map(|step| &step.kind) {
            // The last tick was written, and not what follows from it.
            Some(Kind::Manual { items }) if step.phase == Phase::Running && step.ticked.len() == items.len() => {
                all_ticked(&step.id, items.len()).to_vec()
            }
            Some(Kind::Manual { .. }) => Vec::new(),
            _ => self.doubted(step).into_iter().collect(),
        }
    }

    fn doubted(&self, step: &StepState) -> Option<What> {
        let attempt = step.attempt().filter(|attempt| attempt.in_flight)?;
        if !matches!(step.phase, Phase::Running | Phase::Undoing) {
            return None;
        }
        let reads_only = attempt.parts.get(attempt.part as usize).is_some_and(|part| part.change.is_nothing());
        if reads_only && step.phase == Phase::Running {
            return Some(What::Resumed { step: step.id.clone() });
        }
        let trouble = Trouble {
            call: step.id.to_string(),
            reason: "the engine stopped before the answer was written".into(),
            kind: TroubleKind::Unreachable,
            next_try: None,
        };
        Some(What::Ended { step: step.id.clone(), outcome: Outcome::InDoubt { trouble } })
    }

    /// The best seat that is free and allowed.
    fn free_seat(&self, wanted: Seat, by: &Actor) -> Seat {
        let Actor::Operator(who) = by else { return Seat::Viewer };
        let kept = self.state.kept_for(self.at).is_some_and(|away| !away.operator.may_be(who));
        match wanted {
            Seat::Driver if who.may.drive && self.state.driver().is_none() && !kept => Seat::Driver,
            Seat::Driver | Seat::Confirmer if who.may.confirm => Seat::Confirmer,
            _ => Seat::Viewer,
        }
    }

    fn detached(&self, by: &Actor) -> Vec<What> {
        let Actor::Operator(gone) = by else { return Vec::new() };
        let theirs = self.armed().is_some_and(|gate| gate.by.conn == gone.conn && !gate.consented);
        let closed = theirs.then(|| What::Disarmed { reason: format!("{} went away", gone.name) });
        closed.into_iter().chain([What::Detached]).collect()
    }

    /// Looks at an armed gate again: consent never outlives what it rests on.
    fn passed(&self) -> Vec<What> {
        let Some(gate) = self.armed() else { return Vec::new() };
        self.gone_stale(gate).map(|reason| What::Disarmed { reason }).into_iter().collect()
    }

    /// Why an armed gate may not stay open.
    pub(super) fn gone_stale(&self, gate: &Gate) -> Option<String> {
        if let Some(reason) = self.too_late(gate) {
            return Some(reason);
        }
        if let Some(obstacle) = self.obstacle(&gate.step, gate.direction) {
            return Some(format!("no longer holds: {obstacle}"));
        }
        let evidence = self.state.evidence(&gate.step, gate.direction);
        (evidence.as_ref() != Some(&gate.evidence)).then(|| self.difference(gate))
    }

    /// A gate is open for as long as people can be expected to remember what they saw. Once consented to, the last look
    /// at the world gets as long again, and no longer: consent does not lie in wait.
    fn too_late(&self, gate: &Gate) -> Option<String> {
        let patience = self.state.session.as_ref().map_or(Duration::ZERO, |session| session.patience);
        let (patience, reason) = if gate.consented {
            (patience * 2, "the world could not be read again in time")
        } else {
            (patience, "nobody passed it in time")
        };
        if self.at < gate.armed_at {
            return Some("the clock went back".into());
        }
        let from = gate.typed_at.unwrap_or(gate.armed_at);
        from.checked_add(patience).is_ok_and(|limit| self.at > limit).then(|| reason.into())
    }

    /// Says what is no longer as it was when the gate was armed.
    fn difference(&self, gate: &Gate) -> String {
        let now = self.state.step(&gate.step).and_then(|step| step.preview(gate.direction));
        match now {
            Some(preview) if preview.parts != gate.preview.parts => changed_text(&gate.preview, preview),
            Some(_) => "the runners on the two sides changed".into(),
            None => "the change is no longer known".into(),
        }
    }

    fn previewed(&self, id: &StepId, direction: Direction, result: &Result<Preview, Trouble>) -> Decision {
        let step = self.step(id)?;
        let event = match result {
            Ok(preview) if step.preview(direction) == Some(preview) && step.trouble.is_none() => None,
            Ok(preview) => Some(What::Previewed { step: id.clone(), direction, preview: preview.clone() }),
            Err(trouble) if same_trouble(step.trouble.as_ref(), trouble) => None,
            Err(trouble) => Some(What::PreviewFailed { step: id.clone(), direction, trouble: trouble.clone() }),
        };
        Ok(event.into_iter().collect())
    }

    /// The last look before an act. Only here an intent is born.
    fn reread(&self, id: &StepId, gate: u64, part: u32, result: &Result<Preview, Trouble>) -> Decision {
        let step = self.step(id)?;
        let asked = |armed: &&Gate| part == 0 && armed.id == gate && armed.step == *id && armed.consented;
        if let Some(armed) = self.armed().filter(asked) {
            return Ok(self.first_part(step, armed, result));
        }
        let next = step.attempt().filter(|attempt| attempt.gate == gate && attempt.part + 1 == part);
        match next {
            Some(attempt) if ripe(self.plan, self.state, step, self.at) => Ok(self.next_part(step, attempt, result)),
            _ => Err(Refusal::new("nobody consented to that")),
        }
    }

    fn first_part(&self, step: &StepState, gate: &Gate, result: &Result<Preview, Trouble>) -> Vec<What> {
        let id = &step.id;
        let preview = match result {
            Ok(preview) => preview,
            Err(trouble) => {
                let reason = format!("it could not be read again: {}: {}", trouble.call, trouble.reason);
                let (step, direction, trouble) = (id.clone(), gate.direction, trouble.clone());
                return vec![What::PreviewFailed { step, direction, trouble }, What::Disarmed { reason }];
            }
        };
        let hash = self.state.session.as_ref().map_or("", |session| session.plan_hash.as_str());
        let evidence = Evidence::of(hash, id, gate.direction, &preview.parts, &self.state.runners);
        if evidence != gate.evidence || hash != self.plan.hash() {
            let reason = if preview.parts == gate.preview.parts {
                "the runners or the plan changed".into()
            } else {
                changed_text(&gate.preview, preview)
            };
            let (step, direction, preview) = (id.clone(), gate.direction, preview.clone());
            return vec![What::Previewed { step, direction, preview }, What::Disarmed { reason }];
        }
        if let Some(reason) = self.gone_stale(gate) {
            return vec![What::Disarmed { reason }];
        }
        let number = u32::try_from(step.attempts.len()).unwrap_or(u32::MAX) + 1;
        self.intent(id, gate.direction, number, 0, &gate.preview.parts).into_iter().collect()
    }

    /// The next part goes only if what remains is exactly what was consented to.
    fn next_part(&self, step: &StepState, attempt: &Attempt, result: &Result<Preview, Trouble>) -> Vec<What> {
        let next = attempt.part + 1;
        let consented = attempt.parts.get(next as usize..).unwrap_or_default();
        let trouble = match result {
            Ok(preview) if preview.parts == consented => {
                let intent = self.intent(&step.id, step.direction, attempt.number, next, &attempt.parts);
                return intent.into_iter().collect();
            }
            Ok(_) => Trouble {
                call: step.id.to_string(),
                reason: "what remains is no longer what was consented to: stop the step and arm it again".into(),
                kind: TroubleKind::Unexpected,
                next_try: None,
            },
            Err(trouble) => trouble.clone(),
        };
        if same_trouble(step.trouble.as_ref(), &trouble) {
            return Vec::new();
        }
        vec![What::PreviewFailed { step: step.id.clone(), direction: step.direction, trouble }]
    }

    fn intent(&self, id: &StepId, direction: Direction, attempt: u32, part: u32, parts: &[Part]) -> Option<What> {
        let this = parts.get(part as usize)?;
        let session = self.state.session.as_ref()?;
        let way = if direction == Direction::Forward { "forward" } else { "back" };
        Some(What::Intended {
            step: id.clone(),
            direction,
            attempt,
            part,
            parts: u32::try_from(parts.len()).unwrap_or(u32::MAX),
            bake: this.bake,
            token: format!("{}/{id}/{way}/{attempt}.{part}", session.id),
            change: this.change.clone(),
        })
    }

    fn ended(&self, id: &StepId, attempt: u32, part: u32, outcome: &Outcome) -> Decision {
        let step = self.step(id)?;
        let current = step.attempt().is_some_and(|a| a.number == attempt && a.part == part && a.in_flight);
        if !current || !matches!(step.phase, Phase::Running | Phase::Undoing) {
            return Err(Refusal::new("that attempt is over"));
        }
        Ok(self.wind_up(vec![What::Ended { step: id.clone(), outcome: outcome.clone() }]))
    }

    fn observed(&self, id: &StepId, attempt: u32, part: u32, observation: &Observation) -> Decision {
        let step = self.step(id)?;
        let current = step.attempt().filter(|current| current.number == attempt && current.part == part);
        if current.is_some() && step.may_arrive() {
            let arrived = matches!(observation, Observation::Done | Observation::Unfinished { .. });
            return Ok(arrived.then(|| What::Arrived { step: id.clone() }).into_iter().collect());
        }
        let current = current.filter(|_| matches!(step.phase, Phase::Verifying | Phase::InDoubt));
        let current = current.ok_or_else(|| Refusal::new("nothing is in doubt"))?;
        if let Observation::Unknown { reason } = observation
            && step.phase == Phase::InDoubt
            && current.observed
            && step.reason.as_ref() == Some(reason)
        {
            return Ok(Vec::new());
        }
        Ok(self.wind_up(vec![What::Observed { step: id.clone(), observation: observation.clone() }]))
    }

    fn baseline(&self, values: &BTreeMap<String, f64>) -> Vec<What> {
        if !self.state.baseline.is_empty() || values.is_empty() {
            return Vec::new();
        }
        vec![What::BaselineCaptured { values: values.clone() }]
    }

    /// The first look is written down whole, later ones only where they differ. What a look does not speak of any more
    /// has become unknown: a database that is away tells nothing of its tables.
    fn preflight(&self, found: &[Finding]) -> Vec<What> {
        let known = &self.state.findings;
        if self.state.session.is_none() || found.is_empty() {
            return Vec::new();
        }
        if known.is_empty() {
            return vec![What::PreflightTaken { findings: found.to_vec() }];
        }
        let of = |id: &str| known.iter().find(|finding| finding.id == id);
        let held = found.iter().map(|finding| match of(&finding.id) {
            Some(known) => (known.held_against(finding), Some(known)),
            None => (finding.clone(), None),
        });
        let news = held.filter(|(finding, known)| known.is_none_or(|known| !known.same(finding)));
        let news = news.map(|(finding, known)| (finding, known.map(|known| known.standing)));
        let gone = known.iter().filter(|known| !found.iter().any(|finding| finding.id == known.id));
        let gone = gone.map(|known| (known.not_seen(), Some(known.standing)));
        let gone = gone.filter(|(finding, _)| of(&finding.id).is_some_and(|known| !known.same(finding)));
        news.chain(gone).map(|(finding, was)| What::FindingChanged { finding, was }).collect()
    }

    /// Verdicts are journaled when they change, not when they are repeated.
    fn watched(&self, report: &Report) -> Option<What> {
        match report.clone() {
            Report::Verdict { guardrail, verdict, value } => {
                let known = self.state.verdicts.get(&guardrail).map(|known| known.kind);
                (known != Some(verdict)).then_some(What::VerdictChanged { guardrail, verdict, value })
            }
            Report::Check { check, target, passing, reason } => {
                let known = self.state.check(&check, target).map(|known| known.passing);
                (known != Some(passing)).then_some(What::CheckChanged { check, target, passing, reason })
            }
            Report::Resolver { record, resolver, answer } => {
                let known = self.state.answer(&record, &resolver);
                (known != Some(answer)).then_some(What::ResolverChanged { record, resolver, answer })
            }
            Report::Runner { side, role, cell } => {
                let known = self.state.runners.get(side, role);
                (known != Some(cell)).then_some(What::RunnerChanged { side, role, cell })
            }
            // The act that opens it is written down already. One opening after another counts from the first, also after
            // an undo: what was written in between is still there, and lost with the rest.
            Report::Opening { metric, value } => {
                let known = self.state.opening.as_ref();
                let first = known.is_none_or(|known| known.metric != metric || known.value >= value);
                let first = first && opened_by(self.plan, self.state) == 1;
                (first && value.is_finite()).then_some(What::OpeningCounted { metric, value })
            }
            Report::Closing { metric, value } => (awaited_closing(self.plan, self.state).is_some()
                && value.is_finite())
            .then_some(What::ClosingCounted { metric, value }),
            Report::Leak { side, who } => {
                (self.state.leaks.get(&side) != who.as_ref()).then_some(What::LeakChanged { side, who })
            }
            Report::Silence(lasting) => (self.state.silence != lasting).then_some(What::SilenceChanged { lasting }),
            Report::Expiry { of, host, until } => {
                let known = self.state.endings.iter().find(|known| known.of == of && known.host == host);
                let same = known.is_some_and(|known| same_end(known.until, until));
                (!same).then_some(What::ExpirySeen { of, host, until })
            }
            Report::Source { source, trouble } => {
                let known = self.state.troubles.get(&source);
                let same = match (known, &trouble) {
                    (None, None) => true,
                    (Some(_), Some(trouble)) => same_trouble(known, trouble),
                    _ => false,
                };
                (!same).then_some(What::SourceChanged { source, trouble })
            }
            _ => None,
        }
    }
}

/// The same end: some are told as what is left, in whole seconds, and a moment ago.
fn same_end(known: Option<Timestamp>, new: Option<Timestamp>) -> bool {
    match (known, new) {
        (Some(known), Some(new)) => new.duration_since(known).abs() < SignedDuration::from_mins(1),
        (known, new) => known == new,
    }
}

/// The same trouble, whenever it is tried again.
fn same_trouble(known: Option<&Trouble>, new: &Trouble) -> bool {
    known.is_some_and(|known| known.call == new.call && known.kind == new.kind && known.reason == new.reason)
}
