//! What a session came to, for those who leave it.

use super::{Phase, State, clock_text, in_maintenance};

/// One line: how many steps there are in each phase, and how long it took from the first event to the last, in session
/// time; `14 done, 1 undone, 3 not begun, after 1:24:10`.
#[must_use]
pub fn outcome(state: &State) -> String {
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
        line.push_str(&format!("; what {stand} of them changed stands (`cutover rollback-script`)"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::StepId,
        run::{Change, StepState},
    };

    #[test]
    fn what_stands_in_the_world_is_told_to_whoever_leaves_half_way() {
        let mut page = StepState { phase: Phase::Done, ..StepState::new(StepId("page".into())) };
        page.applied = vec![Change::Maintenance { app: "shop".into(), from: false, to: true }];
        let open = StepState::new(StepId("open".into()));
        let told = outcome(&State { steps: vec![page.clone(), open], ..State::default() });
        assert!(told.contains("1 done, 1 not begun; what 1 of them changed stands"), "{told}");
        assert_eq!(outcome(&State { steps: vec![page], ..State::default() }), "1 done");
    }

    #[test]
    fn every_step_is_counted_once_and_what_is_open_stands_out() {
        let step =
            |(place, phase): (usize, &Phase)| StepState { phase: *phase, ..StepState::new(StepId(place.to_string())) };
        let come_to = |phases: &[Phase]| {
            outcome(&State { steps: phases.iter().enumerate().map(step).collect(), ..State::default() })
        };
        assert_eq!(come_to(&[Phase::Done, Phase::Done, Phase::Skipped]), "2 done, 1 skipped");
        let halfway = [Phase::Undone, Phase::InDoubt, Phase::Running, Phase::Undoing, Phase::Ready, Phase::Waiting];
        assert_eq!(come_to(&halfway), "1 undone, 1 IN DOUBT, 2 UNDER WAY, 2 not begun");
    }
}
