//! From everywhere there is a way: back to where it began, and on to the end.

use cutover::run::{Direction, What};

use super::{driver, sim::Sim};

/// More moves than any way through the largest plan needs, with every step in three stages.
const ENOUGH: usize = 2000;

/// P7: whatever stands can be put back, unless a point of no return was passed.
pub(crate) fn back(sim: &mut Sim) {
    let passed = cutover::run::point_passed(&sim.plan, &sim.state).is_some();
    if passed || sim.state.steps.iter().all(|step| !step.undoable()) {
        return;
    }
    let (from, rolling) = (sim.events.len(), sim.state.rollback.is_some());
    let found = (0..ENOUGH).any(|_| {
        driver::sensible(sim, Direction::Back, 0);
        sim.pending.is_empty() && sim.state.rollback.is_none() && !sim.state.steps.iter().any(|step| step.undoable())
    });
    // What was in flight forward may have passed the point meanwhile.
    if cutover::run::point_passed(&sim.plan, &sim.state).is_some() {
        return;
    }
    assert!(found, "P7: no way back: {}", sim.story());
    assert!(!sim.tracker.stands(), "P7: rolled back, and yet something stands: {}", sim.story());
    // What was in flight may have failed before anything had to be undone.
    let began = |event: &cutover::run::Event| matches!(event.what, What::RollbackStarted { .. });
    let began = rolling || sim.events[from..].iter().any(began);
    assert_eq!(sim.state.rolled_back, began, "P7: {}", sim.story());
    assert!(sim.world.as_before(&sim.plan), "P7: the world is not as before: {:?}\n{}", sim.world, sim.story());
}

/// No dead end: the plan can be run to its end from everywhere, also after a rollback.
pub(crate) fn to_the_end(sim: &mut Sim) {
    let found = (0..ENOUGH).any(|_| {
        driver::sensible(sim, Direction::Forward, 0);
        sim.state.complete()
    });
    assert!(found, "a dead end: {}", sim.story());
}
