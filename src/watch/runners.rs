//! Reads what runs where: the cells of the interlock matrix.
//!
//! A cell is what was observed, never what we believe we did. One unreadable round is a lost packet; after two in a row
//! the cells of that source are unknown, and unknown is not green.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::task::JoinSet;

use super::{
    task::{Context, Pace, Source, keep_alive},
    verdict::{FAILURES, Told},
};
use crate::{
    plan::{Role, Runner, RunnerSource, Side},
    run::{Cell, HerokuSample, Report, Sample, Trouble, TroubleKind},
    world::{clean, heroku::Heroku, postgres::Ability, trouble},
};

/// Heroku allows about 75 calls a minute for everything that uses the key; a round is two.
const HEROKU: Pace = Pace { session: Duration::from_secs(10), wall: Duration::from_millis(500) };
/// With fewer calls left the watch asks less often: they are for what a person decides on.
const RESERVE: u32 = 300;
/// And so many times less often.
const SPARING: u32 = 4;
/// The release is read in one of so many rounds.
const RELEASE_EVERY: u32 = 6;
/// A round is one call a service.
const ECS: Pace = Pace { session: Duration::from_secs(5), wall: Duration::from_millis(500) };

/// A round is one statement a role.
const POSTGRES: Pace = Pace { session: Duration::from_secs(5), wall: Duration::from_millis(500) };

/// What one round showed of some runners: each cell, or why it cannot be read.
type Round = Vec<(Runner, Result<Cell, Trouble>)>;

/// Starts the loops that the plan's runners need.
pub(super) fn spawn(tasks: &mut JoinSet<()>, context: &Arc<Context>) {
    let of = |kind: fn(&RunnerSource) -> bool| -> Arc<[Runner]> {
        context.plan.runners.iter().filter(|runner| kind(&runner.source)).cloned().collect()
    };
    let heroku_runners = of(|source| matches!(source, RunnerSource::Heroku { .. }));
    let ecs_runners = of(|source| matches!(source, RunnerSource::Ecs { .. }));
    let writers = of(|source| matches!(source, RunnerSource::Postgres { .. }));
    if !heroku_runners.is_empty() {
        let unknown = unknown(&heroku_runners);
        keep_alive(tasks, context, "heroku:runners", unknown, move |context| heroku(context, heroku_runners.clone()));
    }
    if !ecs_runners.is_empty() {
        let unknown = unknown(&ecs_runners);
        keep_alive(tasks, context, "ecs:runners", unknown, move |context| ecs(context, ecs_runners.clone()));
    }
    // One loop each: a side that is away must not blind the other.
    for writer in writers.iter() {
        let one: Arc<[Runner]> = Arc::new([writer.clone()]);
        let name = source_name(writer.side);
        keep_alive(tasks, context, name, unknown(&one), move |context| postgres(context, one.clone()));
    }
}

const fn source_name(side: Side) -> &'static str {
    match side {
        Side::Old => "postgres:old writers",
        Side::New => "postgres:new writers",
    }
}

async fn postgres(context: Arc<Context>, runners: Arc<[Runner]>) {
    let mut panel = Panel::new(source_name(runners.first().map_or(Side::Old, |runner| runner.side)), &context);
    loop {
        let round = join_all(runners.iter().map(|runner| writer(&context, runner))).await;
        let pause = panel.take(&context, POSTGRES, round).await;
        tokio::time::sleep(pause).await;
    }
}

/// On while any of the application's roles may write: see the rule in [`crate::world::postgres`].
async fn writer(context: &Context, runner: &Runner) -> (Runner, Result<Cell, Trouble>) {
    let read = async {
        let postgres = context.world.postgres()?;
        let roles = &postgres.plan().get(runner.side).writers;
        let abilities = join_all(roles.iter().map(|role| postgres.side(runner.side).ability(role))).await;
        writers_cell(abilities)
    };
    (runner.clone(), read.await)
}

/// One role that may write is a writer, whatever is known of the others; without one, all must be known.
fn writers_cell(abilities: Vec<Result<Ability, Trouble>>) -> Result<Cell, Trouble> {
    if abilities.iter().flatten().any(Ability::may_write) {
        return Ok(Cell::On);
    }
    abilities.into_iter().collect::<Result<Vec<_>, _>>().map(|_| Cell::Off)
}

async fn heroku(context: Arc<Context>, runners: Arc<[Runner]>) {
    let (mut panel, mut rounds) = (Panel::new("heroku", &context), Rounds::default());
    loop {
        let round = heroku_round(&context, &runners, &mut rounds).await;
        let left = context.world.heroku().ok().and_then(Heroku::remaining);
        let pause = panel.take(&context, heroku_pace(left), round).await;
        tokio::time::sleep(pause).await;
    }
}

/// `left`: calls in the rate limit.
fn heroku_pace(left: Option<u32>) -> Pace {
    let times = if left.is_some_and(|left| left < RESERVE) { SPARING } else { 1 };
    Pace { session: HEROKU.session * times, wall: HEROKU.wall * times }
}

/// What is not read in every round.
#[derive(Debug, Default)]
struct Rounds {
    count: u32,
    release: Option<(u32, String)>,
}

async fn heroku_round(context: &Context, runners: &[Runner], rounds: &mut Rounds) -> Round {
    let read = heroku_read(context, rounds).await;
    let cell = |runner: &Runner| match &read {
        Ok((formation, maintenance)) => heroku_cell(runner, formation, *maintenance),
        Err(trouble) => Err(trouble.clone()),
    };
    runners.iter().map(|runner| (runner.clone(), cell(runner))).collect()
}

/// Quantity by process type, and whether maintenance mode is on.
async fn heroku_read(context: &Context, rounds: &mut Rounds) -> Result<(BTreeMap<String, u32>, bool), Trouble> {
    let heroku = context.world.heroku()?;
    let (formation, maintenance) = tokio::try_join!(heroku.formation(), heroku.maintenance())?;
    if rounds.count.is_multiple_of(RELEASE_EVERY) {
        // A release that cannot be read is no reason to call the runners unknown.
        let release = heroku.release().await.ok().flatten();
        rounds.release =
            release.map(|release| (release.version, clean(&release.description))).or(rounds.release.take());
    }
    rounds.count = rounds.count.wrapping_add(1);
    let shown = formation.values().map(|process| (clean(&process.kind), process.quantity, clean(&process.size)));
    context.out.sample(Sample::Heroku(HerokuSample {
        at: context.clock.now(),
        formation: shown.collect(),
        maintenance,
        release: rounds.release.clone(),
        remaining: heroku.remaining(),
    }));
    let quantities = formation.into_iter().map(|(name, process)| (name, process.quantity));
    Ok((quantities.collect(), maintenance))
}

async fn ecs(context: Arc<Context>, runners: Arc<[Runner]>) {
    let mut panel = Panel::new("ecs", &context);
    loop {
        let round = join_all(runners.iter().map(|runner| ecs_one(&context, runner))).await;
        let pause = panel.take(&context, ECS, round).await;
        tokio::time::sleep(pause).await;
    }
}

async fn ecs_one(context: &Context, runner: &Runner) -> (Runner, Result<Cell, Trouble>) {
    let cell = match &runner.source {
        RunnerSource::Ecs { cluster, service } => {
            let found = context.world.ecs().service(cluster, service).await;
            found.map(|found| ecs_cell(found.desired, found.running))
        }
        RunnerSource::Heroku { .. } | RunnerSource::Postgres { .. } => Ok(Cell::Unknown),
    };
    (runner.clone(), cell)
}

/// On when any dyno of the process type is wanted; web only while maintenance mode is off, which keeps all requests
/// from it (workers and the clock run on).
fn heroku_cell(runner: &Runner, formation: &BTreeMap<String, u32>, maintenance: bool) -> Result<Cell, Trouble> {
    let RunnerSource::Heroku { process } = &runner.source else { return Ok(Cell::Unknown) };
    let quantity = formation.get(process).ok_or_else(|| {
        let reason = format!("the app has no process type `{process}`");
        trouble("heroku:formation", TroubleKind::Unexpected, &reason)
    })?;
    let shut = maintenance && runner.role == Role::Web;
    Ok(if *quantity > 0 && !shut { Cell::On } else { Cell::Off })
}

/// On while a task runs or is wanted: a service that is being scaled down still works, one that is being scaled up soon
/// will. For a role that must never run twice both count.
const fn ecs_cell(desired: u32, running: u32) -> Cell {
    if desired > 0 || running > 0 { Cell::On } else { Cell::Off }
}

fn unknown(runners: &[Runner]) -> Vec<Report> {
    runners.iter().map(|runner| report(runner, Cell::Unknown)).collect()
}

const fn report(runner: &Runner, cell: Cell) -> Report {
    Report::Runner { side: runner.side, role: runner.role, cell }
}

/// The cells of a round. A role may have several runners on a side: one that runs is enough for on, off wants all of them.
fn cells(round: Round) -> BTreeMap<(Side, Role), Result<Cell, Trouble>> {
    let mut cells = BTreeMap::new();
    for (runner, read) in round {
        let known = cells.entry((runner.side, runner.role)).or_insert_with(|| read.clone());
        let on = |read: &Result<Cell, Trouble>| *read == Ok(Cell::On);
        if on(&read) || (!on(known) && read.is_err()) {
            *known = read;
        }
    }
    cells
}

/// What has been told of the runners of one source.
struct Panel {
    source: Source,
    told: Told<(Side, Role), Cell>,
    /// Unreadable rounds in a row, by cell.
    misses: BTreeMap<(Side, Role), u32>,
}

impl Panel {
    fn new(name: &str, context: &Context) -> Self {
        Self { source: Source::new(name, context), told: Told::default(), misses: BTreeMap::new() }
    }

    /// Tells what is new in a round, and how long to wait for the next.
    async fn take(&mut self, context: &Context, pace: Pace, round: Round) -> Duration {
        let trouble = round.iter().find_map(|(_, read)| read.clone().err());
        let news: Vec<_> = cells(round).into_iter().filter_map(|(cell, read)| self.news(cell, &read)).collect();
        context.out.reports(news).await;
        match trouble {
            None => {
                self.source.well().await;
                pace.wall(context.clock)
            }
            // The first retry is soon in any case; what is readable is not left alone for longer than twice its pace.
            Some(trouble) => self.source.ill_within(trouble, pace.wall(context.clock) * 2).await,
        }
    }

    fn news(&mut self, key: (Side, Role), read: &Result<Cell, Trouble>) -> Option<Report> {
        let misses = self.misses.entry(key).or_default();
        *misses = if read.is_ok() { 0 } else { misses.saturating_add(1) };
        let cell = match read {
            Ok(cell) => *cell,
            Err(_) if *misses >= FAILURES => Cell::Unknown,
            Err(_) => return None,
        };
        let (side, role) = key;
        self.told.news(key, cell).then_some(Report::Runner { side, role, cell })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heroku_runner(role: Role, process: &str) -> Runner {
        Runner { role, side: Side::Old, source: RunnerSource::Heroku { process: process.into() } }
    }

    #[test]
    fn heroku_cells() {
        let formation = BTreeMap::from([("web".to_owned(), 2), ("worker".to_owned(), 1), ("clock".to_owned(), 0)]);
        for (role, process, maintenance, expected) in [
            (Role::Web, "web", false, Cell::On),
            (Role::Web, "web", true, Cell::Off),
            (Role::Worker, "worker", true, Cell::On),
            (Role::Cron, "clock", false, Cell::Off),
        ] {
            let cell = heroku_cell(&heroku_runner(role, process), &formation, maintenance);
            assert_eq!(cell, Ok(expected), "{process} {maintenance}");
        }
        let missing = heroku_cell(&heroku_runner(Role::Worker, "jobs"), &formation, false).unwrap_err();
        assert_eq!(
            (missing.kind, missing.reason.as_str()),
            (TroubleKind::Unexpected, "the app has no process type `jobs`")
        );
    }

    #[test]
    fn the_last_calls_of_the_rate_limit_are_left_to_people() {
        let every = |left| heroku_pace(left).session.as_secs();
        assert_eq!([None, Some(4499), Some(300), Some(299), Some(0)].map(every), [10, 10, 10, 40, 40]);
    }

    #[test]
    fn two_runners_of_one_role_are_one_cell() {
        let away = || Err(trouble("heroku:formation", TroubleKind::Unreachable, "refused"));
        let fold = |reads: [Result<Cell, Trouble>; 2]| {
            let round = reads.into_iter().map(|read| (heroku_runner(Role::Worker, "worker"), read)).collect();
            cells(round).remove(&(Side::Old, Role::Worker)).unwrap()
        };
        let (on, off) = (|| Ok(Cell::On), || Ok(Cell::Off));
        for reads in [[on(), off()], [off(), on()], [on(), away()], [away(), on()]] {
            assert_eq!(fold(reads), on());
        }
        assert_eq!((fold([off(), off()]), fold([off(), away()]), fold([away(), off()])), (off(), away(), away()));
    }

    #[test]
    fn an_ecs_service_is_on_until_nothing_runs_nor_is_wanted() {
        for (desired, running, expected) in [(0, 0, Cell::Off), (1, 0, Cell::On), (0, 1, Cell::On), (2, 2, Cell::On)] {
            assert_eq!(ecs_cell(desired, running), expected);
        }
    }
}
