//! `postgres.compare`: whether both sides hold the same.
//!
//! Of each table: the number of rows, the greatest key, and a checksum over all columns. A table with more rows than
//! `sample_above` that has an integer key is summed in `ranges` windows of 10,000 keys, spread evenly from the least to
//! the greatest key, the last one at its end, where replication is behind first; its number of rows and greatest key are
//! still those of the whole. Then the schemas (columns, indexes, constraints) and whether a sequence of the new side would
//! give out what exists. While the old side still writes, a comparison shows the lag and nothing else: freeze first.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    time::Duration,
};

use super::{
    super::{StepContext, done},
    about, bytes,
};
use crate::{
    clock::monotonic,
    plan::{Side, TableName},
    run::{Outcome, Trouble, TroubleKind},
    world::{
        postgres::{Column, Digest, Postgres, Server, Session, Table},
        trouble,
    },
};

/// Keys in one window of a sampled table.
const WINDOW: i64 = 10_000;
/// Differences that are told of each kind.
const TOLD: usize = 20;

/// What the step wants.
#[derive(Debug, Clone, Copy)]
pub(in crate::steps) struct Wanted<'a> {
    /// `schema.table`; empty: all.
    pub(in crate::steps) tables: &'a [TableName],
    pub(in crate::steps) sample_above: u64,
    pub(in crate::steps) ranges: u32,
}

pub(in crate::steps) async fn apply(context: &StepContext, wanted: Wanted<'_>) -> Outcome {
    let compared = tokio::select! {
        compared = compare(context, wanted) => compared,
        () = context.stop.cancelled() => return Outcome::Stopped,
    };
    match compared {
        Ok(Compared { differences: 0, summary }) => done(summary),
        Ok(Compared { differences, summary }) => {
            let reason = format!("{differences} differences, see the output; {summary}");
            Outcome::Failed { trouble: trouble("postgres:compare", TroubleKind::Unexpected, &reason) }
        }
        Err(trouble) => Outcome::Failed { trouble },
    }
}

struct Compared {
    differences: usize,
    summary: String,
}

async fn compare(context: &StepContext, wanted: Wanted<'_>) -> Result<Compared, Trouble> {
    let postgres = context.world.postgres()?;
    let (old, new) = (postgres.side(Side::Old), postgres.side(Side::New));
    let mut differences = schemas(context, postgres, wanted.tables).await?;
    let (tables, rows) = contents(context, (old, new), wanted, &mut differences).await?;
    for sequence in new.sequences().await?.iter().filter(|one| super::sequences::missed(one)) {
        differences += 1;
        context.output(format!("missed: {}", super::sequences::why(sequence)));
    }
    let fingerprint = old.schema().await?.fingerprint();
    Ok(Compared { differences, summary: format!("{tables} tables with {rows} rows, schema {fingerprint}") })
}

/// How many differences the schemas have; each is told.
async fn schemas(context: &StepContext, postgres: &Postgres, tables: &[TableName]) -> Result<usize, Trouble> {
    let (old, new) = (postgres.side(Side::Old).schema().await?, postgres.side(Side::New).schema().await?);
    context.output(format!("schema: old {}, new {}", old.fingerprint(), new.fingerprint()));
    if !tables.is_empty() {
        // Of a few tables the schema as a whole is no difference of theirs.
        return Ok(0);
    }
    let (only_old, only_new) = old.differences(&new);
    for (side, lines) in [("old", &only_old), ("new", &only_new)] {
        for line in lines.iter().take(TOLD) {
            context.output(format!("only on the {side} side: {line}"));
        }
        if lines.len() > TOLD {
            context.output(format!("only on the {side} side: {} more", lines.len() - TOLD));
        }
    }
    Ok(only_old.len() + only_new.len())
}

/// Compares table by table; gives how many tables and rows were compared.
async fn contents(
    context: &StepContext,
    (old, new): (&Server, &Server),
    wanted: Wanted<'_>,
    differences: &mut usize,
) -> Result<(usize, i64), Trouble> {
    let named = |table: &Table| {
        let own = |name: &TableName| (&name.schema, &name.name) == (&table.schema, &table.name);
        wanted.tables.is_empty() || wanted.tables.iter().any(own)
    };
    let by_name = |tables: Vec<Table>| -> BTreeMap<String, Table> {
        tables.into_iter().filter(named).map(|table| (table.full_name(), table)).collect()
    };
    let (here, there) = (by_name(old.tables().await?), by_name(new.tables().await?));
    let (old_session, new_session) = (old.compare().await?, new.compare().await?);
    let columns = old.schema().await?.columns;
    let all: BTreeSet<_> = here.keys().chain(there.keys()).cloned().collect();
    let weight = |name: &String| here.get(name).map_or(1, |table| u64::try_from(table.bytes).unwrap_or(0).max(1));
    let total: u64 = all.iter().map(weight).sum();
    let (begun, mut gone, mut rows) = (monotonic(), 0_u64, 0);
    for name in &all {
        context.progress(progress(name, gone, total, begun.elapsed()), Some(share(gone, total)));
        match (here.get(name), there.get(name)) {
            (Some(table), Some(_)) => {
                let pair = Pair { table, columns: columns.get(name).map(Vec::as_slice).unwrap_or_default(), wanted };
                let (old, new) = tokio::try_join!(pair.of(&old_session), pair.of(&new_session))?;
                rows += old.rows;
                if let Some(difference) = old.difference(&new) {
                    *differences += 1;
                    context.output(format!("{name}: {difference}"));
                }
            }
            (one, _) => {
                *differences += 1;
                let side = if one.is_some() { "old" } else { "new" };
                context.output(format!("{name}: only on the {side} side"));
            }
        }
        gone += weight(name);
    }
    Ok((all.len(), rows))
}

#[expect(clippy::cast_precision_loss, reason = "a share for a progress bar")]
fn share(gone: u64, total: u64) -> f64 {
    if total == 0 { 1.0 } else { gone as f64 / total as f64 }
}

fn progress(name: &str, gone: u64, total: u64, elapsed: Duration) -> String {
    let share = share(gone, total);
    let rest = if share > 0.0 { format!(", {}", about(elapsed.mul_f64((1.0 - share) / share))) } else { String::new() };
    format!("{name}: {} of {}{rest}", bytes(gone), bytes(total))
}

/// One table as both sides are asked about it.
struct Pair<'a> {
    table: &'a Table,
    columns: &'a [Column],
    wanted: Wanted<'a>,
}

/// What one side has of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    rows: i64,
    highest: Option<i64>,
    /// By the first key of the range; a whole table is one range.
    digests: Vec<(Option<Range<i64>>, Digest)>,
}

impl Pair<'_> {
    async fn of(&self, session: &Session) -> Result<Content, Trouble> {
        let rows = session.count(self.table).await?;
        let columns: Vec<_> = self.columns.iter().map(|column| column.name.clone()).collect();
        let (mut highest, mut digests) = (None, Vec::new());
        if let Some(key) = &self.table.key {
            highest = session.highest(&self.table.table_name(), key).await?;
        }
        let large = u64::try_from(rows).unwrap_or(0) > self.wanted.sample_above;
        match &self.table.key {
            Some(key) if large => {
                for range in windows(highest.unwrap_or(0), self.wanted.ranges) {
                    let digest = session.digest(self.table, &columns, Some((key, range.clone()))).await?;
                    digests.push((Some(range), digest));
                }
            }
            _ => digests.push((None, session.digest(self.table, &columns, None).await?)),
        }
        Ok(Content { rows, highest, digests })
    }
}

/// `count` windows of keys up to the greatest, spread evenly, the last one at its end. Both sides get the same ones as
/// long as their greatest key is the same; where it is not, that is the difference.
fn windows(highest: i64, count: u32) -> Vec<Range<i64>> {
    let (end, count) = (highest.saturating_add(1), i64::from(count.max(1)));
    let stride = (end / count).max(WINDOW);
    let window = |number: i64| {
        let end = end - number * stride;
        (end > 0).then(|| (end - WINDOW).max(0)..end)
    };
    let mut windows: Vec<_> = (0..count).filter_map(window).collect();
    windows.reverse();
    windows
}

impl Content {
    /// What differs first; None: nothing.
    fn difference(&self, new: &Self) -> Option<String> {
        if self.rows != new.rows {
            return Some(format!("{} rows on the old side, {} on the new", self.rows, new.rows));
        }
        if self.highest != new.highest {
            let show = |value: Option<i64>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
            let (old, new) = (show(self.highest), show(new.highest));
            return Some(format!("the greatest key is {old} on the old side, {new} on the new"));
        }
        let differing = self.digests.iter().zip(&new.digests).find(|(old, new)| old != new);
        differing.map(|((range, _), _)| match range {
            Some(range) => format!("rows with keys from {} to {} differ", range.start, range.end - 1),
            None => "as many rows, and some of them differ".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_spread_and_end_with_the_newest_rows() {
        let ends = |highest, count| -> Vec<_> {
            windows(highest, count).into_iter().map(|window| (window.start, window.end)).collect()
        };
        assert_eq!(ends(99_999, 4), [(15_000, 25_000), (40_000, 50_000), (65_000, 75_000), (90_000, 100_000)]);
        assert_eq!(ends(5, 3), [(0, 6)]);
        assert_eq!(ends(0, 0), [(0, 1)]);
    }

    #[test]
    fn the_first_difference_is_told() {
        let digest = |rows, checksum: &str| Digest { rows, checksum: checksum.into() };
        let content = |rows, highest, checksum: &str| Content {
            rows,
            highest,
            digests: vec![(Some(0..10), digest(rows, checksum))],
        };
        let old = content(2, Some(2), "17");
        assert_eq!(old.difference(&old), None);
        for (new, expected) in [
            (content(3, Some(2), "17"), "2 rows on the old side, 3 on the new"),
            (content(2, Some(3), "17"), "the greatest key is 2 on the old side, 3 on the new"),
            (content(2, Some(2), "18"), "rows with keys from 0 to 9 differ"),
        ] {
            assert_eq!(old.difference(&new).as_deref(), Some(expected));
        }
    }
}
