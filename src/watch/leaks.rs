//! Who writes to the old database while it is closed to the application.
//!
//! A freeze binds the roles that it names; whoever else may write goes on. Cells of the interlock matrix tell of the
//! named roles alone, so this looks for rows instead, as the freeze itself does for its proof. The new database is not
//! looked at: replication writes there.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::task::JoinSet;

use super::task::{Context, Pace, Source, keep_alive};
use crate::{
    plan::{RunnerSource, Side},
    run::{Report, Trouble},
    world::postgres::{Ability, Leak},
};

/// Between two looks.
const PACE: Pace = Pace { session: Duration::from_secs(10), wall: Duration::from_secs(1) };
/// Until counts of rows that were written before are counted, wall time (`PGSTAT_MIN_INTERVAL` is one second).
const SETTLE: Duration = Duration::from_millis(1500);
/// How long a look lasts, wall time.
const LOOK: Duration = Duration::from_secs(2);
/// Looks without a row until a leak is over: who writes now and then has not stopped.
const QUIET: u32 = 3;

/// Starts the loop, where the plan watches the writers of the old database.
pub(super) fn spawn(tasks: &mut JoinSet<()>, context: &Arc<Context>) {
    let old = |source: &RunnerSource| matches!(source, RunnerSource::Postgres { database: Side::Old });
    if context.plan.runners.iter().any(|runner| old(&runner.source)) {
        keep_alive(tasks, context, "postgres:old leaks", Vec::new(), looks);
    }
}

async fn looks(context: Arc<Context>) {
    let (mut source, mut known) = (Source::new("postgres:old leaks", &context), Known::default());
    loop {
        let pause = match look(&context).await {
            Ok(seen) => {
                if let Some(who) = known.take(seen.as_ref()) {
                    context.out.reports([Report::Leak { side: Side::Old, who }]).await;
                }
                source.well().await;
                PACE.wall(context.clock)
            }
            Err(trouble) => source.ill(trouble).await,
        };
        tokio::time::sleep(pause).await;
    }
}

/// What was written while nobody of the application may; None: they may, and rows tell nothing.
async fn look(context: &Context) -> Result<Option<Leak>, Trouble> {
    if !closed(context).await? {
        return Ok(None);
    }
    let leak = context.world.postgres()?.side(Side::Old).leak(SETTLE, LOOK).await?;
    // Opened meanwhile: those rows are the application's.
    Ok(if closed(context).await? { Some(leak) } else { None })
}

async fn closed(context: &Context) -> Result<bool, Trouble> {
    let postgres = context.world.postgres()?;
    let (server, roles) = (postgres.side(Side::Old), &postgres.plan().get(Side::Old).writers);
    let abilities = join_all(roles.iter().map(|role| server.ability(role))).await;
    let abilities = abilities.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(!abilities.iter().any(Ability::may_write))
}

/// The leak as it was told: names that are added are news, counts that rise are not.
#[derive(Debug, Default)]
struct Known {
    who: BTreeSet<String>,
    tables: BTreeSet<String>,
    quiet: u32,
    told: Option<Option<String>>,
}

impl Known {
    /// Takes in a look; gives what is to be told, if it is news.
    fn take(&mut self, seen: Option<&Leak>) -> Option<Option<String>> {
        match seen.filter(|leak| leak.leaks()) {
            Some(leak) => {
                self.quiet = 0;
                self.who.extend(leak.roles.iter().cloned());
                self.tables.extend(leak.rows.keys().cloned());
            }
            None => self.quiet = if seen.is_none() { QUIET } else { self.quiet.saturating_add(1) },
        }
        if self.quiet >= QUIET {
            self.who.clear();
            self.tables.clear();
        }
        let words = self.words();
        let news = self.told.as_ref() != Some(&words);
        news.then(|| self.told.insert(words).clone())
    }

    fn words(&self) -> Option<String> {
        let list = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        match (self.who.is_empty(), self.tables.is_empty()) {
            (true, true) => None,
            (true, false) => Some(format!("somebody writes to {}", list(&self.tables))),
            (false, true) => Some(format!("{} has a transaction that writes", list(&self.who))),
            (false, false) => Some(format!("{} writes to {}", list(&self.who), list(&self.tables))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leak(role: &str, rows: i64) -> Leak {
        let roles = (!role.is_empty()).then(|| role.to_owned()).into_iter().collect();
        let rows = (rows > 0).then(|| ("public.orders".to_owned(), rows)).into_iter().collect();
        Leak { who: Vec::new(), roles, rows, wal: 0 }
    }

    #[test]
    fn a_leak_is_told_once_by_name_and_is_over_after_some_quiet_looks() {
        let mut known = Known::default();
        let none = leak("", 0);
        assert_eq!(known.take(Some(&none)), Some(None), "told at the beginning: an earlier engine may have seen one");
        assert_eq!(known.take(Some(&leak("", 3))), Some(Some("somebody writes to public.orders".into())));
        let named = "reports writes to public.orders";
        assert_eq!(known.take(Some(&leak("reports", 2))), Some(Some(named.into())));
        assert_eq!(known.take(Some(&leak("reports", 7))), None, "more rows are no news");
        assert_eq!(known.take(Some(&none)), None);
        assert_eq!(known.take(Some(&leak("", 1))), None, "who was seen once is not forgotten");
        assert_eq!(
            [known.take(Some(&none)), known.take(Some(&none)), known.take(Some(&none))],
            [None, None, Some(None)]
        );
        known.take(Some(&leak("reports", 2)));
        assert_eq!(known.take(None), Some(None), "opened again: rows are the application's");
    }
}
