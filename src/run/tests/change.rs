use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use super::{records, set};
use crate::{
    plan::{RecordSet, Role, Side},
    run::{Cell, Change, Direction, Evidence, Matrix, Part},
};

fn sets() -> impl Strategy<Value = Vec<RecordSet>> {
    let any = (0..4000_u32, "[a-z]{1,4}\\.", prop::option::of(0..=255_u8)).prop_map(|(ttl, value, weight)| {
        let set = set(ttl, &value);
        weight.map_or(set.clone(), |weight| set.with_weight("w", weight))
    });
    prop::collection::vec(any, 0..3)
}

fn counts() -> impl Strategy<Value = BTreeMap<String, u32>> {
    (0..5_u32, 0..5_u32).prop_map(|(web, worker)| BTreeMap::from([("web".into(), web), ("worker".into(), worker)]))
}

/// A chain of states of one thing, each change leading from one to the next.
fn chain() -> impl Strategy<Value = Vec<Change>> {
    let formation = |(from, to)| Change::Formation { app: "a".into(), from, to };
    let service = |(from, to)| Change::Service { cluster: "c".into(), service: "s".into(), from, to };
    let maintenance = |(from, to)| Change::Maintenance { app: "a".into(), from, to };
    prop_oneof![
        prop::collection::vec(sets(), 2..6).prop_map(|all| links(&all, |(a, b)| records(&a, &b))),
        prop::collection::vec(counts(), 2..6).prop_map(move |all| links(&all, formation)),
        prop::collection::vec(0..9_u32, 2..6).prop_map(move |all| links(&all, service)),
        prop::collection::vec(prop::bool::ANY, 2..6).prop_map(move |all| links(&all, maintenance)),
    ]
}

fn links<T: Clone>(states: &[T], change: impl Fn((T, T)) -> Change) -> Vec<Change> {
    states.windows(2).map(|pair| change((pair[0].clone(), pair[1].clone()))).collect()
}

proptest! {
    #[test]
    fn reversed_twice_is_itself(chain in chain()) {
        for change in chain {
            let back = change.reversed().unwrap();
            prop_assert_eq!(back.reversed().unwrap(), change);
        }
    }

    /// What was applied one after the other is put back by one change, from the last end to the first beginning.
    #[test]
    fn a_chain_is_put_back_to_the_letter(chain in chain()) {
        let back = Change::reversal_of(&chain).unwrap();
        let (first, last) = (chain.first().unwrap(), chain.last().unwrap());
        let (start, end) = (first.reversed().unwrap(), last.reversed().unwrap());
        prop_assert_eq!(beginning(&back), beginning(&end));
        prop_assert_eq!(ending(&back), ending(&start));
    }
}

/// What a change finds, as text.
fn beginning(change: &Change) -> String {
    match change {
        Change::Records { before, .. } => format!("{before:?}"),
        Change::Formation { from, .. } => format!("{from:?}"),
        Change::Service { from, .. } => from.to_string(),
        Change::Maintenance { from, .. } => from.to_string(),
        change => panic!("{change:?} has no ends"),
    }
}

fn ending(change: &Change) -> String {
    beginning(&change.reversed().unwrap())
}

#[test]
fn what_changes_nothing_or_has_no_undo_cannot_be_put_back() {
    let command = |undo| Change::Command { argv: vec!["do".into()], observe: None, undo, undoing: false };
    assert_eq!(Change::Nothing.reversed(), None);
    assert_eq!(command(None).reversed(), None);
    assert_eq!(Change::reversal_of(&[]), None);
    assert_eq!(Change::reversal_of(&[command(None)]), None);
    let back = command(Some(vec!["undo".into()])).reversed().unwrap();
    assert!(matches!(back, Change::Command { ref argv, undoing: true, .. } if argv[0] == "undo"));
}

/// Whatever a person sees is in the evidence.
#[test]
fn evidence_differs_if_anything_differs() {
    let part =
        |ttl, bake| Part { change: records(&[set(ttl, "a.")], &[set(60, "b.")]), bake: Duration::from_secs(bake) };
    let matrix = |cell| {
        let mut matrix = Matrix::default();
        matrix.set(Side::Old, Role::Worker, cell);
        matrix
    };
    let of = |plan: &str, step: &str, direction, parts: &[Part], runners: &Matrix| {
        Evidence::of(plan, &step.into(), direction, parts, runners)
    };
    let (on, forward) = (matrix(Cell::On), Direction::Forward);
    let all = [
        of("p", "s", forward, &[part(60, 0)], &on),
        of("q", "s", forward, &[part(60, 0)], &on),
        of("p", "t", forward, &[part(60, 0)], &on),
        of("p", "s", Direction::Back, &[part(60, 0)], &on),
        of("p", "s", forward, &[part(61, 0)], &on),
        of("p", "s", forward, &[part(60, 1)], &on),
        of("p", "s", forward, &[part(60, 0), part(60, 0)], &on),
        of("p", "s", forward, &[], &on),
        of("p", "s", forward, &[part(60, 0)], &matrix(Cell::Off)),
        of("p", "s", forward, &[part(60, 0)], &matrix(Cell::Unknown)),
        of("p", "s", forward, &[part(60, 0)], &Matrix::default()),
        of("ps", "", forward, &[part(60, 0)], &on),
    ];
    let distinct: std::collections::BTreeSet<_> = all.iter().map(|evidence| &evidence.0).collect();
    assert_eq!(distinct.len(), all.len());
    assert_eq!(all[0], of("p", "s", forward, &[part(60, 0)], &on), "the same thing has the same evidence");
    assert_eq!((all[0].0.len(), all[0].short().len()), (64, 8));
}

#[test]
fn rows_say_before_and_after_of_every_name() {
    let change =
        records(&[set(1800, "old.")], &[set(60, "old.").with_weight("o", 90), set(60, "new.").with_weight("n", 10)]);
    let rows: Vec<_> =
        change.rows().into_iter().map(|row| format!("{}|{}|{}", row.label, row.before, row.after)).collect();
    assert_eq!(
        rows,
        ["shop.example.test|CNAME 1800 old.|CNAME 60 old. weight 90 (o)", "||CNAME 60 new. weight 10 (n)"]
    );
}
