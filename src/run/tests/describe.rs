use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{at, records, set};
use crate::{
    plan::{GateLevel, Role, Side, StepId},
    run::{
        Actor, Answer, Cell, ConditionId, Direction, Event, Evidence, Expiring, Finding, Observation, Outcome, Preview,
        Rehearsal, Seat, Standing, Target, Trouble, TroubleKind, VerdictKind, What, describe,
    },
};

fn id() -> StepId {
    "switch".into()
}

fn text() -> String {
    "because".into()
}

fn trouble() -> Trouble {
    Trouble { call: "route53".into(), reason: text(), kind: TroubleKind::Refused, next_try: None }
}

fn finding(standing: Standing) -> Finding {
    Finding {
        id: "image:web".into(),
        title: "Image of web".into(),
        standing,
        reason: text(),
        remedy: Some(text()),
        fingerprints: BTreeMap::new(),
    }
}

fn attempts() -> Vec<What> {
    let change = records(&[set(60, "old.")], &[set(60, "new.")]);
    let step = id();
    let ended = |outcome| What::Ended { step: id(), outcome };
    let observed = |observation| What::Observed { step: id(), observation };
    vec![
        What::Previewed { step: id(), direction: Direction::Forward, preview: Preview::single(change.clone()) },
        What::PreviewFailed { step: id(), direction: Direction::Back, trouble: trouble() },
        What::Intended {
            step,
            direction: Direction::Back,
            attempt: 1,
            part: 0,
            parts: 2,
            bake: Duration::ZERO,
            token: text(),
            change,
        },
        What::Resumed { step: id() },
        ended(Outcome::Done { in_sync: None, summary: text() }),
        ended(Outcome::Failed { trouble: trouble() }),
        ended(Outcome::InDoubt { trouble: trouble() }),
        ended(Outcome::Stopped),
        observed(Observation::Done),
        observed(Observation::NotDone { seen: text() }),
        observed(Observation::Unfinished { left: text() }),
        observed(Observation::Unknown { reason: text() }),
        What::Arrived { step: id() },
    ]
}

fn people() -> Vec<What> {
    let step = id();
    vec![
        What::SessionStarted {
            session: text(),
            plan: text(),
            environment: text(),
            plan_hash: text(),
            steps: vec![id()],
            dwell: Duration::ZERO,
            patience: Duration::ZERO,
        },
        What::EngineStarted { pid: 1, host: text(), version: text() },
        What::Rehearsed(Rehearsal {
            of: text(),
            environment: text(),
            ended_at: at(0),
            forward: [(id(), Duration::from_secs(90))].into(),
            back: BTreeMap::new(),
        }),
        What::Attached { seat: Seat::Driver },
        What::Detached,
        What::SeatTaken { seat: Seat::Viewer },
        What::Armed { step, direction: Direction::Back, gate: 1, level: GateLevel::Two, evidence: Evidence(text()) },
        What::Disarmed { reason: text() },
        What::Typed,
        What::Consented { second: None },
        What::Resolved { step: id(), done: true, reason: text() },
        What::Skipped { step: id(), reason: text() },
        What::Ticked { step: id(), item: 0, done: true },
        What::Overridden { step: id(), condition: ConditionId::Drain, reason: text() },
        What::HoldRaised { reason: text() },
        What::HoldReleased,
        What::Noted { text: text() },
        What::RollbackStarted { reason: text() },
        What::RollbackEnded { complete: true },
        What::SessionEnded,
    ]
}

fn watches() -> Vec<What> {
    vec![
        What::BaselineCaptured { values: [("m".to_owned(), 1.0)].into() },
        What::VerdictChanged { guardrail: text(), verdict: VerdictKind::Blind, value: None },
        What::CheckChanged { check: text(), target: Target::Live, passing: None, reason: None },
        What::ResolverChanged { record: text(), resolver: text(), answer: Answer::Silent },
        What::RunnerChanged { side: Side::Old, role: Role::Cron, cell: Cell::Unknown },
        What::LeakChanged { side: Side::Old, who: Some(text()) },
        What::LeakChanged { side: Side::Old, who: None },
        What::OpeningCounted { metric: text(), value: 1200.0 },
        What::ClosingCounted { metric: text(), value: 1500.0 },
        What::SilenceChanged { lasting: None },
        What::SilenceChanged { lasting: Some(Duration::ZERO) },
        What::SilenceChanged { lasting: Some(Duration::from_secs(300)) },
        What::ExpirySeen { of: Expiring::Credentials, host: None, until: Some(at(60)) },
        What::ExpirySeen { of: Expiring::OldCertificate, host: None, until: None },
        What::SourceChanged { source: text(), trouble: None },
        What::SourceChanged { source: text(), trouble: Some(trouble()) },
        What::PreflightTaken { findings: vec![finding(Standing::Passed), finding(Standing::ActionRequired)] },
        What::FindingChanged { finding: finding(Standing::ActionRequired), was: Some(Standing::Passed) },
        What::FindingChanged { finding: finding(Standing::Passed), was: Some(Standing::Unknown) },
        What::FindingChanged { finding: finding(Standing::Unknown), was: None },
    ]
}

/// The compiler asks here for every new kind of event.
const fn number(what: &What) -> usize {
    match what {
        What::SessionStarted { .. } => 0,
        What::EngineStarted { .. } => 1,
        What::Attached { .. } => 2,
        What::Detached => 3,
        What::SeatTaken { .. } => 4,
        What::Previewed { .. } => 5,
        What::PreviewFailed { .. } => 6,
        What::Armed { .. } => 7,
        What::Disarmed { .. } => 8,
        What::Typed => 9,
        What::Consented { .. } => 10,
        What::Intended { .. } => 11,
        What::Resumed { .. } => 12,
        What::Ended { .. } => 13,
        What::Observed { .. } => 14,
        What::Resolved { .. } => 15,
        What::Skipped { .. } => 16,
        What::Ticked { .. } => 17,
        What::Overridden { .. } => 18,
        What::HoldRaised { .. } => 19,
        What::HoldReleased => 20,
        What::Noted { .. } => 21,
        What::RollbackStarted { .. } => 22,
        What::RollbackEnded { .. } => 23,
        What::BaselineCaptured { .. } => 24,
        What::VerdictChanged { .. } => 25,
        What::CheckChanged { .. } => 26,
        What::ResolverChanged { .. } => 27,
        What::RunnerChanged { .. } => 28,
        What::SourceChanged { .. } => 29,
        What::SessionEnded => 30,
        What::Rehearsed(_) => 31,
        What::PreflightTaken { .. } => 32,
        What::FindingChanged { .. } => 33,
        What::SilenceChanged { .. } => 34,
        What::ExpirySeen { .. } => 35,
        What::LeakChanged { .. } => 36,
        What::OpeningCounted { .. } => 37,
        What::Arrived { .. } => 38,
        What::ClosingCounted { .. } => 39,
    }
}

#[test]
fn every_event_has_words() {
    let all: Vec<_> = people().into_iter().chain(attempts()).chain(watches()).collect();
    let kinds: BTreeSet<_> = all.iter().map(number).collect();
    assert!(kinds.into_iter().eq(0..=39), "an event kind has no example here");
    let said: Vec<_> = all
        .into_iter()
        .map(|what| describe(&Event { seq: 1, at: at(0), by: Actor::Engine, what }))
        .inspect(|words| assert!(!words.trim().is_empty() && !words.contains(char::is_control)))
        .collect();
    insta::assert_snapshot!(said.join("\n"));
}
