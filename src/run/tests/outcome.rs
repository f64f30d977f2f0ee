use super::plan;
use crate::{
    plan::StepId,
    run::{Change, Phase, State, StepState, outcome},
};

#[test]
fn what_stands_in_the_world_is_told_to_whoever_leaves_half_way() {
    let mut page = StepState { phase: Phase::Done, ..StepState::new(StepId("page".into())) };
    page.applied = vec![Change::Maintenance { app: "shop".into(), from: false, to: true }];
    let open = StepState::new(StepId("open".into()));
    let mut plan = plan();
    let halfway = State { steps: vec![page.clone(), open], ..State::default() };
    let told = outcome(&plan, &halfway);
    let stands = "1 done, 1 not begun; what 1 of them changed stands";
    assert_eq!(told, format!("{stands} (`cutover rollback-script`)"));
    assert_eq!(outcome(&plan, &State { steps: vec![page], ..State::default() }), "1 done");
    plan.steps[3].id = "page".into();
    assert_eq!(outcome(&plan, &halfway), format!("{stands} (the point of no return is passed)"));
}

#[test]
fn every_step_is_counted_once_and_what_is_open_stands_out() {
    let step =
        |(place, phase): (usize, &Phase)| StepState { phase: *phase, ..StepState::new(StepId(place.to_string())) };
    let plan = plan();
    let come_to = |phases: &[Phase]| {
        outcome(&plan, &State { steps: phases.iter().enumerate().map(step).collect(), ..State::default() })
    };
    assert_eq!(come_to(&[Phase::Done, Phase::Done, Phase::Skipped]), "2 done, 1 skipped");
    let halfway = [Phase::Undone, Phase::InDoubt, Phase::Running, Phase::Undoing, Phase::Ready, Phase::Waiting];
    assert_eq!(come_to(&halfway), "1 undone, 1 IN DOUBT, 2 UNDER WAY, 2 not begun");
}
