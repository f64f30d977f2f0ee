//! What a session came to, for those who leave it.

use super::{Phase, State, clock_text, in_maintenance, point_passed};
use crate::plan::Plan;

/// One line: how many steps there are in each phase, and how long it took from the first event to the last, in session
/// time; `14 done, 1 undone, 3 not begun, after 1:24:10`.
#[must_use]
pub fn outcome(plan: &Plan, state: &State) -> String {
    let count = |wanted: &dyn Fn(Phase) -> bool| state.steps.iter().filter(|step| wanted(step.phase)).count();
    let begun = [Phase::Done, Phase::Skipped, Phase::Undone, Phase::Failed, Phase::InDoubt];
    let resting = |phase| begun.contains(&phase);
    let idle = |phase| matches!(phase, Phase::Waiting | Phase::Ready | Phase::Armed);
    let mut parts: Vec<_> = begun.iter().map(|phase| (count(&|each| each == *phase), phase.word())).collect();
    parts.push((count(&|phase| !resting(phase) && !idle(phase)), "UNDER WAY"));
    parts.push((count(&idle), "not begun"));
    let told = parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
    let mut line = told.collect::<Vec<_>>().join(", ");
    if let Some(taken) = state.session.as_ref().zip(state.at).map(|(session, at)| at.duration_since(session.started_at))
    {
        line.push_str(&format!(", after {}", clock_text(taken)));
    }
    // Whoever leaves did not see what the one who ended it was told.
    if state.at.is_some_and(|at| in_maintenance(state, at)) {
        line.push_str("; THE MAINTENANCE PAGE IS ON");
    }
    let stand = state.steps.iter().filter(|step| step.undoable()).count();
    if stand > 0 && !state.complete() && !state.rolled_back {
        line.push_str(&format!("; what {stand} of them changed stands "));
        line.push_str(match point_passed(plan, state) {
            None => "(`cutover rollback-script`)",
            Some(_) => "(the point of no return is passed)",
        });
    }
    line
}
