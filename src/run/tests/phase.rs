use std::fmt::Write;

use crate::run::{Direction, Phase, Trigger};

const PHASES: [Phase; 12] = [
    Phase::Waiting,
    Phase::Ready,
    Phase::Armed,
    Phase::Accepted,
    Phase::Running,
    Phase::Verifying,
    Phase::Done,
    Phase::Failed,
    Phase::InDoubt,
    Phase::Skipped,
    Phase::Undoing,
    Phase::Undone,
];

const TRIGGERS: [Trigger; 12] = [
    Trigger::Intend(Direction::Forward),
    Trigger::Intend(Direction::Back),
    Trigger::GoOn,
    Trigger::Applied,
    Trigger::Fail,
    Trigger::Doubt,
    Trigger::ObservedDone(Direction::Forward),
    Trigger::ObservedDone(Direction::Back),
    Trigger::ObservedNotDone,
    Trigger::Skip,
    Trigger::Arrived,
    Trigger::Rewind,
];

/// The whole table: a change of it is a decision, and shows in review.
#[test]
fn the_table_of_transitions() {
    let mut table = String::new();
    for phase in PHASES {
        let _ = writeln!(table, "{}", phase.word());
        for trigger in TRIGGERS {
            if let Some(next) = phase.after(trigger) {
                let _ = writeln!(table, "  {trigger:?} -> {}", next.word());
            }
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn views_lead_nowhere_and_nothing_leads_to_them() {
    let views = [Phase::Ready, Phase::Armed, Phase::Accepted];
    for trigger in TRIGGERS {
        assert!(views.iter().all(|view| view.after(trigger).is_none()));
        assert!(PHASES.iter().filter_map(|phase| phase.after(trigger)).all(|next| !views.contains(&next)));
    }
}

#[test]
fn every_phase_in_flight_has_a_way_out_and_is_not_settled() {
    for phase in PHASES.into_iter().filter(|phase| phase.in_flight()) {
        assert!(!phase.settled());
        assert!(
            TRIGGERS.iter().any(|trigger| phase.after(*trigger).is_some_and(|next| !next.in_flight())),
            "{phase:?}"
        );
    }
}
