//! `postgres.sync-sequences`: logical replication carries rows, not sequences. Without this the first insert on the new
//! side fails on a duplicate key.

use std::collections::BTreeMap;

use super::super::{StepContext, done, reversal, single, unexpected, unreadable};
use crate::{
    plan::Side,
    run::{Change, Observation, Outcome, Position, Preview, Trouble},
    world::postgres::Sequence,
};

/// Sequence (`schema.name`) to where it stands.
type Positions = BTreeMap<String, Position>;

pub(in crate::steps) async fn preview(
    context: &StepContext,
    headroom: u64,
    forward: bool,
    applied: &[Change],
) -> Result<Preview, Trouble> {
    let postgres = context.world.postgres()?;
    let new = postgres.side(Side::New).sequences().await?;
    if !forward {
        let Change::Sequences { from: put, to: was } = reversal(applied)? else {
            return Err(unexpected(context, "what was applied is of another kind"));
        };
        let (from, to, stay) = put_back(&new, &put, &was).map_err(|reason| unexpected(context, &reason))?;
        let already = from == to;
        let mut preview = single(Change::Sequences { from, to }, already);
        preview.facts.extend(stay.into_iter().map(|words| ("stays".to_owned(), words)));
        return Ok(preview);
    }
    let old = postgres.side(Side::Old).sequences().await?;
    let (mut from, mut to) = (Positions::new(), Positions::new());
    let mut facts = vec![("sequences".to_owned(), old.len().to_string())];
    for one in &old {
        let name = one.name.to_string();
        if one.increment < 0 {
            facts.push(("left alone".to_owned(), format!("{name} descends")));
            continue;
        }
        let twin = new.iter().find(|twin| twin.name == one.name);
        let twin = twin.ok_or_else(|| unexpected(context, &format!("the new side has no sequence {name}")))?;
        if let Some(target) = target(one, twin, headroom).map_err(|reason| unexpected(context, &reason))? {
            from.insert(name.clone(), twin.at);
            to.insert(name, target);
        }
    }
    let already = from == to;
    let mut preview = single(Change::Sequences { from, to }, already);
    preview.facts.extend(facts);
    Ok(preview)
}

/// Where a sequence of the new side is to stand: `headroom` values beyond what was given out or is in use on either side,
/// never behind where it is. None: nothing was ever given out, and it may stay.
fn target(old: &Sequence, new: &Sequence, headroom: u64) -> Result<Option<Position>, String> {
    let given_out = old.at.called.then_some(old.at.value);
    let Some(used) = [given_out, old.highest, new.highest].into_iter().flatten().max() else { return Ok(None) };
    let ahead = i64::try_from(headroom).unwrap_or(i64::MAX).saturating_mul(old.increment);
    let wanted = used.saturating_add(ahead);
    if wanted > new.max {
        return Err(format!("{}: {used} and {ahead} more is beyond its greatest value {}", old.name, new.max));
    }
    let beyond = new.at.called && new.at.value >= wanted;
    Ok(Some(if beyond { new.at } else { Position { value: wanted, called: true } }))
}

/// Back to what was found, both ends of it; and which sequences stay, in words. One that the new side has used since
/// does: set back, it would give out again what rows have.
fn put_back(now: &[Sequence], put: &Positions, was: &Positions) -> Result<(Positions, Positions, Vec<String>), String> {
    let (mut from, mut to, mut stay) = (Positions::new(), Positions::new(), Vec::new());
    for (name, put) in put {
        let sequence = now.iter().find(|one| one.name.to_string() == *name);
        let sequence = sequence.ok_or_else(|| format!("the new side has no sequence {name}"))?;
        let found = sequence.at;
        let was = was.get(name).copied().unwrap_or(found);
        let used = found.value > put.value;
        if found != *put && found != was && !used {
            return Err(format!("{name} should be at {put} and is at {found}"));
        }
        if used {
            let given_out = (found.value - put.value) / sequence.increment.max(1);
            stay.push(format!("{name}: {given_out} values given out since; set back, it would give them out again"));
        }
        from.insert(name.clone(), found);
        to.insert(name.clone(), if used { found } else { was });
    }
    Ok((from, to, stay))
}

pub(in crate::steps) async fn apply(context: &StepContext, from: &Positions, to: &Positions) -> Outcome {
    let server = match context.world.postgres() {
        Ok(postgres) => postgres.side(Side::New),
        Err(trouble) => return Outcome::Failed { trouble },
    };
    let wanted = to.iter().filter(|(name, position)| from.get(*name) != Some(position));
    match server.set_sequences(wanted).await {
        Ok(set) => done(format!("{set} of {} sequences set", to.len())),
        Err(failure) => failure.outcome(),
    }
}

pub(in crate::steps) async fn observe(context: &StepContext, from: &Positions, to: &Positions) -> Observation {
    let read = async { context.world.postgres()?.side(Side::New).sequences().await };
    match read.await {
        Ok(now) => verdict(&now, from, to),
        Err(trouble) => unreadable(&trouble),
    }
}

/// Done: each stands where it was put or has been used since, and (going forward) none would give out what exists.
fn verdict(now: &[Sequence], from: &Positions, to: &Positions) -> Observation {
    let at = |name: &String| now.iter().find(|one| one.name.to_string() == *name).map(|one| one.at);
    let forward = to.iter().any(|(name, position)| from.get(name).is_some_and(|from| position.value > from.value));
    let reached = |(name, wanted): (&String, &Position)| {
        at(name).is_some_and(|at| at == *wanted || (forward && at.called && at.value > wanted.value))
    };
    if to.iter().all(reached) {
        return match now.iter().find(|one| forward && missed(one)) {
            Some(one) => Observation::Unknown { reason: why(one) },
            None => Observation::Done,
        };
    }
    let seen: Vec<_> = to.keys().filter_map(|name| Some(format!("{name} {}", at(name)?))).collect();
    let seen = seen.join(", ");
    if from.iter().all(|(name, was)| at(name) == Some(*was)) {
        Observation::NotDone { seen }
    } else {
        Observation::Unknown { reason: format!("some are set and some are not: {seen}") }
    }
}

/// The value that it gives out next exists already.
pub(in crate::steps) fn missed(sequence: &Sequence) -> bool {
    sequence.is_missed()
}

/// Why a sequence is missed.
pub(in crate::steps) fn why(sequence: &Sequence) -> String {
    let column = sequence.owner.as_ref().map(|(table, column)| format!("{table}.{column}")).unwrap_or_default();
    let highest = sequence.highest.unwrap_or_default();
    format!("sequence {} is at {}, and {column} has {highest}", sequence.name, sequence.at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::TableName;

    fn sequence(value: i64, called: bool, highest: Option<i64>) -> Sequence {
        let name = |name: &str| TableName { schema: "public".into(), name: name.into() };
        Sequence {
            name: name("orders_id_seq"),
            increment: 1,
            max: 10_000,
            owner: Some((name("orders"), "id".into())),
            at: Position { value, called },
            highest,
        }
    }

    fn called(value: i64) -> Position {
        Position { value, called: true }
    }

    #[test]
    fn a_target_is_beyond_all_that_is_in_use_and_never_behind() {
        for (old, new, expected) in [
            (sequence(500, true, Some(500)), sequence(1, false, Some(480)), Ok(Some(called(600)))),
            // Rows beyond the sequence: somebody wrote ids by hand.
            (sequence(500, true, Some(812)), sequence(1, false, None), Ok(Some(called(912)))),
            (sequence(500, true, None), sequence(700, true, None), Ok(Some(called(700)))),
            (sequence(1, false, None), sequence(1, false, None), Ok(None)),
        ] {
            assert_eq!(target(&old, &new, 100), expected);
        }
        let beyond = target(&sequence(9_950, true, None), &sequence(1, false, None), 100).unwrap_err();
        assert!(beyond.contains("beyond its greatest value 10000"), "{beyond}");
    }

    #[test]
    fn a_missed_sequence_is_never_done() {
        let name = "public.orders_id_seq".to_owned();
        let from = Positions::from([(name.clone(), Position { value: 1, called: false })]);
        let to = Positions::from([(name, called(600))]);
        assert_eq!(verdict(&[sequence(600, true, Some(500))], &from, &to), Observation::Done);
        assert_eq!(verdict(&[sequence(640, true, Some(640))], &from, &to), Observation::Done, "used since");
        assert!(matches!(verdict(&[sequence(1, false, Some(500))], &from, &to), Observation::NotDone { .. }));
        let Observation::Unknown { reason } = verdict(&[sequence(600, true, Some(812))], &from, &to) else {
            panic!("missed");
        };
        assert_eq!(reason, "sequence public.orders_id_seq is at 600, and public.orders.id has 812");
        assert!(matches!(verdict(&[sequence(300, true, Some(1))], &from, &to), Observation::Unknown { .. }));
    }

    #[test]
    fn a_sequence_that_was_used_since_is_not_set_back_and_it_is_said_how_much() {
        let name = "public.orders_id_seq".to_owned();
        let was = Position { value: 1, called: false };
        let (put, before) = (Positions::from([(name.clone(), called(600))]), Positions::from([(name.clone(), was)]));
        let back = |value| put_back(&[sequence(value, true, None)], &put, &before);
        assert_eq!(back(600), Ok((put.clone(), before.clone(), Vec::new())), "unused: to where it was");
        let stays = Positions::from([(name.clone(), called(612))]);
        let words = format!("{name}: 12 values given out since; set back, it would give them out again");
        assert_eq!(back(612), Ok((stays.clone(), stays, vec![words])));
        assert_eq!(back(300), Err(format!("{name} should be at {} and is at {}", called(600), called(300))));
        assert!(put_back(&[], &put, &before).unwrap_err().contains("no sequence"));
    }

    #[test]
    fn the_next_value_decides_whether_it_is_missed() {
        for (at, highest, expected) in [
            (sequence(500, true, Some(500)), 500, false),
            (sequence(500, false, Some(500)), 500, true),
            (sequence(499, true, Some(500)), 500, true),
        ] {
            assert_eq!((at.highest, missed(&at)), (Some(highest), expected), "{at:?}");
        }
        assert!(!missed(&sequence(1, false, None)));
    }
}
