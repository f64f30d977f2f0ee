//! An undo that did not come to its end: what state the world is in, and what finishes it by hand.

use super::{
    by_hand::{ByHand, by_hand},
    change::Change,
    phase::{Direction, Phase},
    state::StepState,
};

/// Where an undo that failed, or whose answer was lost, leaves the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plight {
    /// What is true now, one sentence.
    pub world: String,
    /// What finishes it.
    pub hand: ByHand,
}

impl StepState {
    /// The plight of a step whose undo failed or is in doubt; None: there is none, or nothing to be done by hand.
    #[must_use]
    pub fn plight(&self) -> Option<Plight> {
        if self.direction != Direction::Back || !matches!(self.phase, Phase::Failed | Phase::InDoubt) {
            return None;
        }
        let change = Change::reversal_of(&self.applied)?;
        let hand = by_hand(&change)?;
        let rows = change.rows();
        let side = |end: fn(&super::Row) -> &str| {
            let shown = |row: &super::Row| {
                let value = end(row);
                let value = if value.is_empty() { "(none)" } else { value };
                if row.label.is_empty() { value.to_owned() } else { format!("{} {value}", row.label) }
            };
            rows.iter().map(shown).collect::<Vec<_>>().join(", ")
        };
        let (before, after) = (side(|row| &row.before), side(|row| &row.after));
        let world = match (&change, self.phase) {
            (Change::Command { .. }, Phase::Failed) => "what the step did still stands".to_owned(),
            (Change::Command { .. }, _) => "what the step did may still stand".to_owned(),
            (_, Phase::Failed) => format!("still as the step left it: {before}"),
            _ => format!("either as the step left it ({before}) or as before it ({after})"),
        };
        Some(Plight { world, hand })
    }
}
