//! What the steps leave running, told before anybody starts: never two runners, never none.
//!
//! The plan is walked on the premise that the old side runs everything at first and the new side nothing that must run
//! once. The real world may differ, so these are warnings; the interlock decides while the plan runs.

use std::collections::BTreeMap;

use super::{
    super::{
        error::Report,
        kind::Kind,
        model::{Plan, Role, RunnerSource, Side, Step},
        raw::RawPlan,
        scalar::quote,
    },
    world::ROLES,
};

pub(super) fn apply(plan: &Plan, raw: &RawPlan, report: &mut Report) {
    let mut running: BTreeMap<&RunnerSource, bool> =
        plan.runners.iter().map(|runner| (&runner.source, runner.side == Side::Old)).collect();
    for (step, raw) in plan.steps.iter().zip(&raw.step) {
        let mut touched: Vec<Role> = Vec::new();
        for runner in &plan.runners {
            if let Some(runs) = leaves_running(&step.kind, &runner.source) {
                running.insert(&runner.source, runs);
                touched.push(runner.role);
            }
        }
        for role in Role::ALL.into_iter().filter(|role| role.exclusive() && touched.contains(role)) {
            if let Some((message, help)) = verdict(plan, step, role, &running) {
                report.warning(raw.get_ref().id.span(), message).help(help);
            }
        }
    }
}

/// Whether the runner runs after a step of this kind; None when the step does not touch it. Maintenance mode is left
/// out: it stops the web alone, which may run on both sides.
fn leaves_running(kind: &Kind, runner: &RunnerSource) -> Option<bool> {
    match (kind, runner) {
        (Kind::HerokuScale { formation, .. }, RunnerSource::Heroku { process }) => {
            formation.get(process).map(|quantity| *quantity > 0)
        }
        (Kind::EcsScale { cluster, service, desired }, RunnerSource::Ecs { cluster: theirs, service: name }) => {
            (cluster == theirs && service == name).then_some(*desired > 0)
        }
        (Kind::PostgresFreeze { side, .. }, RunnerSource::Postgres { database }) => (side == database).then_some(false),
        (Kind::PostgresOpen { side, .. }, RunnerSource::Postgres { database }) => (side == database).then_some(true),
        _ => None,
    }
}

fn verdict(plan: &Plan, step: &Step, role: Role, running: &BTreeMap<&RunnerSource, bool>) -> Option<(String, String)> {
    let runs = |side: Side| {
        let of_role = plan.runners.iter().filter(|runner| runner.role == role && runner.side == side);
        of_role.map(|runner| &runner.source).any(|source| running.get(source) == Some(&true))
    };
    let (name, id) = (ROLES.iter().find(|(_, known)| *known == role).map_or("", |(name, _)| name), quote(&step.id.0));
    match (runs(Side::Old), runs(Side::New)) {
        (true, true) => {
            let message = format!("after {id} the {name} would run on both sides");
            Some((message, format!("stop the old side's {name} in an earlier step")))
        }
        (false, false) if !step.allow_none.contains(&role) => {
            let message = format!("after {id} no {name} runs on either side");
            Some((message, format!("if that is meant for a moment, say so: `allow_none = [\"{name}\"]`")))
        }
        _ => None,
    }
}
