//! Where a session stands, whether its engine lives or not.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    client::{Client, ConnectError},
    message::Snapshot,
};
use crate::{
    journal::{LayoutError, ReadError, Reader, SessionDir},
    plan::{EnvironmentKind, Plan, StepId},
    run::{self, AUTHORITY, Answer, Change, Direction, Gate, Illegal, Phase, Rollback, Seat, State},
};

/// Why it cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The journal is not believed.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// The events do not fit together.
    #[error("failed to fold the journal of session {session}")]
    Fold {
        /// Session id.
        session: String,
        /// Why.
        #[source]
        source: Illegal,
    },
    /// The session's directory is not whole.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// Plan and state of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// An engine runs it.
    pub live: bool,
    /// And answered; if not, the state is what its journal says.
    pub answered: bool,
    /// The frozen plan.
    pub plan: Plan,
    /// The fold.
    pub state: State,
    /// Session time: the engine's, or that of the last event.
    pub now: Timestamp,
}

/// Asks a session's engine; if there is none, reads its journal. Nobody is attached and nothing is written.
///
/// # Errors
/// [`StatusError`] when there is no engine and the journal or the frozen plan cannot be believed.
pub async fn status(dir: &SessionDir) -> Result<Status, StatusError> {
    match Client::peek(&dir.socket()).await {
        Ok(snapshot) => {
            let Snapshot { plan, state, clock, .. } = *snapshot;
            Ok(Status { live: true, answered: true, plan, state, now: clock.now() })
        }
        Err(error) => {
            if !matches!(error, ConnectError::Unreachable { .. }) {
                tracing::warn!(%error, "the engine did not answer: reading its journal");
            }
            recorded(dir)
        }
    }
}

/// What a session's directory alone says, frozen plan and journal, whether an engine runs it or not.
///
/// # Errors
/// As [`status`].
pub fn recorded(dir: &SessionDir) -> Result<Status, StatusError> {
    let plan = dir.frozen()?;
    let mut state = State::default();
    for event in Reader::open(dir.journal())? {
        let fold = |source| StatusError::Fold { session: dir.id().to_owned(), source };
        state.apply(&event?).map_err(fold)?;
    }
    let now = state.at.unwrap_or(Timestamp::MIN);
    Ok(Status { live: dir.lives(), answered: false, plan, state, now })
}

/// A status for programs: `cutover status --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary<'a> {
    /// Session id; None in an empty journal.
    pub session: Option<&'a str>,
    /// Plan name.
    pub plan: &'a str,
    /// Environment name.
    pub environment: &'a str,
    /// Its kind.
    pub kind: EnvironmentKind,
    /// An engine runs it.
    pub live: bool,
    /// And answered; if not, everything here is what its journal says.
    pub answered: bool,
    /// The last engine: process id, host, version.
    pub engine: Option<&'a (u32, String, String)>,
    /// Number of the last event.
    pub seq: u64,
    /// Session time of the last event.
    pub at: Option<Timestamp>,
    /// All steps are done or skipped.
    pub complete: bool,
    /// A rollback under way.
    pub rollback: Option<&'a Rollback>,
    /// A rollback ran to its end.
    pub rolled_back: bool,
    /// The session is over.
    pub ended: bool,
    /// The step that the run is at.
    pub current: Option<&'a StepId>,
    /// All steps, in plan order.
    pub steps: Vec<StepSummary<'a>>,
    /// The armed gate.
    pub gate: Option<&'a Gate>,
    /// What holds the run and what must be known, gravest first.
    pub holds: Vec<run::Hold>,
    /// When certificates and credentials end, and whether they last until the window is over and the way back after it.
    pub lasting: Vec<run::Lasting>,
    /// What the authoritative servers answer for each record.
    pub records: Vec<RecordSummary<'a>>,
    /// Who is attached: name and seat.
    pub operators: Vec<(&'a str, Seat)>,
}

/// One step for programs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepSummary<'a> {
    /// Its id.
    pub id: &'a StepId,
    /// What people call it.
    pub title: &'a str,
    /// What it does.
    pub kind: &'static str,
    /// Where it stands.
    pub phase: Phase,
    /// Direction of the last attempt.
    pub direction: Direction,
    /// Attempts so far.
    pub attempts: usize,
    /// Why it is failed, in doubt or skipped.
    pub reason: Option<&'a str>,
    /// What it did to the world and what still stands.
    pub applied: &'a [Change],
}

/// One record for programs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordSummary<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its name.
    pub name: &'a str,
    /// What the authority answers; None: not asked yet.
    pub authority: Option<Answer>,
}

impl Status {
    /// The same for programs.
    #[must_use]
    pub fn summary(&self) -> Summary<'_> {
        let Self { live, answered, plan, state, now } = self;
        let session = state.session.as_ref();
        let steps = plan.steps.iter().filter_map(|step| {
            let known = state.step(&step.id)?;
            Some(StepSummary {
                id: &step.id,
                title: &step.title,
                kind: step.kind.name(),
                phase: state.phase(plan, &step.id),
                direction: known.direction,
                attempts: known.attempts.len(),
                reason: known.reason.as_deref(),
                applied: &known.applied,
            })
        });
        let records = plan.records.iter().map(|record| RecordSummary {
            id: &record.id,
            name: record.name(),
            authority: state.answer(&record.id, AUTHORITY),
        });
        Summary {
            session: session.map(|session| session.id.as_str()),
            plan: &plan.name,
            environment: &plan.environment.name,
            kind: plan.environment.kind,
            live: *live,
            answered: *answered,
            engine: session.and_then(|session| session.engine.as_ref()),
            seq: state.seq,
            at: state.at,
            complete: state.complete(),
            rollback: state.rollback.as_ref(),
            rolled_back: state.rolled_back,
            ended: state.ended,
            current: state.here().map(|step| &step.id),
            steps: steps.collect(),
            gate: state.gate.as_ref(),
            holds: run::alarms(plan, state, *now),
            lasting: run::lasting(plan, state),
            records: records.collect(),
            operators: state.operators.iter().map(|(operator, seat)| (operator.name.as_str(), *seat)).collect(),
        }
    }
}
