//! `heroku.maintenance` and `heroku.scale`.

use std::collections::BTreeMap;

use super::{StepContext, back, compare, done, reversal, single, unexpected, unreadable};
use crate::{
    run::{Change, Observation, Outcome, Preview, Trouble},
    world::heroku::Process,
};

pub(super) async fn preview_maintenance(
    context: &StepContext,
    on: bool,
    forward: bool,
    applied: &[Change],
) -> Result<Preview, Trouble> {
    let heroku = context.world.heroku()?;
    let now = heroku.maintenance().await?;
    let (from, to) = match (forward, applied) {
        (true, _) => (now, on),
        (false, applied) => {
            let Change::Maintenance { from, to, .. } = reversal(applied)? else { return Err(other_kind(context)) };
            back(context, &now, (from, to), |on| if *on { "on".into() } else { "off".into() })?
        }
    };
    Ok(single(Change::Maintenance { app: heroku.app().to_owned(), from, to }, from == to))
}

pub(super) async fn apply_maintenance(context: &StepContext, to: bool) -> Outcome {
    let heroku = match context.world.heroku() {
        Ok(heroku) => heroku,
        Err(trouble) => return Outcome::Failed { trouble },
    };
    match heroku.set_maintenance(to).await {
        Ok(()) => done(format!("maintenance mode is {}", if to { "on" } else { "off" })),
        Err(failure) => failure.outcome(),
    }
}

pub(super) async fn observe_maintenance(context: &StepContext, from: bool, to: bool) -> Observation {
    let read = async { context.world.heroku()?.maintenance().await };
    match read.await {
        Ok(now) => compare(&now, &from, &to, format!("maintenance mode is {}", if now { "on" } else { "off" })),
        Err(trouble) => unreadable(&trouble),
    }
}

pub(super) async fn preview_scale(
    context: &StepContext,
    wanted: &BTreeMap<String, u32>,
    forward: bool,
    applied: &[Change],
) -> Result<Preview, Trouble> {
    let heroku = context.world.heroku()?;
    let now = quantities(context, wanted, &heroku.formation().await?)?;
    let (from, to) = if forward {
        (now, wanted.clone())
    } else {
        let Change::Formation { from, to, .. } = reversal(applied)? else { return Err(other_kind(context)) };
        back(context, &now, (from, to), show)?
    };
    let already = from == to;
    Ok(single(Change::Formation { app: heroku.app().to_owned(), from, to }, already))
}

pub(super) async fn apply_scale(context: &StepContext, to: &BTreeMap<String, u32>) -> Outcome {
    let heroku = match context.world.heroku() {
        Ok(heroku) => heroku,
        Err(trouble) => return Outcome::Failed { trouble },
    };
    match heroku.scale(to).await {
        Ok(()) => done(show(to)),
        Err(failure) => failure.outcome(),
    }
}

pub(super) async fn observe_scale(
    context: &StepContext,
    from: &BTreeMap<String, u32>,
    to: &BTreeMap<String, u32>,
) -> Observation {
    let read = async { quantities(context, to, &context.world.heroku()?.formation().await?) };
    match read.await {
        Ok(now) => compare(&now, from, to, show(&now)),
        Err(trouble) => unreadable(&trouble),
    }
}

/// The quantities of the named process types only.
fn quantities(
    context: &StepContext,
    wanted: &BTreeMap<String, u32>,
    formation: &BTreeMap<String, Process>,
) -> Result<BTreeMap<String, u32>, Trouble> {
    let each = wanted.keys().map(|kind| match formation.get(kind) {
        Some(process) => Ok((kind.clone(), process.quantity)),
        None => Err(unexpected(context, &format!("the app has no process type `{kind}`"))),
    });
    each.collect()
}

fn show(quantities: &BTreeMap<String, u32>) -> String {
    let each: Vec<_> = quantities.iter().map(|(kind, quantity)| format!("{kind}={quantity}")).collect();
    each.join(" ")
}

fn other_kind(context: &StepContext) -> Trouble {
    unexpected(context, "what was applied is of another kind")
}
