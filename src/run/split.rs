//! A name that stages of a switch lead to both sides.

use super::{change::Change, state::State};
use crate::plan::{Record, RecordSet};

/// The share of answers that lead to the new side, in percent, by what this session's steps have put into the zone; None:
/// all of them lead to one side.
#[must_use]
pub fn split(state: &State, record: &Record) -> Option<u8> {
    fn own<'a>(change: &'a Change, record: &Record) -> Option<Vec<&'a RecordSet>> {
        let Change::Records { after, .. } = change else { return None };
        let sets: Vec<_> = after.iter().filter(|set| set.name == record.name()).collect();
        (!sets.is_empty()).then_some(sets)
    }
    // Steps act one after the other, in the order of the plan: the last that named it stands.
    let sets =
        state.steps.iter().flat_map(|step| &step.applied).filter_map(|change| own(change, record)).next_back()?;
    let weights = |new: bool| -> u32 {
        let of = sets.iter().filter(|set| (set.target() == record.new.target()) == new);
        of.filter_map(|set| set.weighted.as_ref()).map(|weighted| u32::from(weighted.weight)).sum()
    };
    let (new, old) = (weights(true), weights(false));
    (new > 0 && old > 0).then(|| u8::try_from(100 * new / (new + old)).unwrap_or(100))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{plan::RecordType, run::StepState};

    #[test]
    fn between_the_stages_a_name_leads_to_both_sides_and_before_and_after_to_one() {
        let set = |value: &str| RecordSet {
            name: "api.example.test.".into(),
            kind: RecordType::Cname,
            ttl: Some(60),
            values: vec![value.into()],
            alias: None,
            weighted: None,
        };
        let record = Record {
            id: "api".into(),
            zone_id: "Z1".into(),
            zone_name: "example.test.".into(),
            old: set("old."),
            new: set("new."),
        };
        let (old, new) = (set("old."), set("new."));
        let half = [old.with_weight("o", 90), new.with_weight("n", 30)];
        let change = |before: &[RecordSet], after: &[RecordSet]| Change::Records {
            zone_id: "Z1".into(),
            before: before.to_vec(),
            after: after.to_vec(),
        };
        let stands = |applied: &[Change]| {
            let step = StepState { applied: applied.to_vec(), ..StepState::new("switch".into()) };
            split(&State { steps: vec![step], ..State::default() }, &record)
        };
        let first = change(&[old], &half);
        assert_eq!(stands(&[]), None);
        assert_eq!(stands(std::slice::from_ref(&first)), Some(25));
        assert_eq!(stands(&[first, change(&half, &[new])]), None);
    }
}
