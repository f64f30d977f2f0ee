//! The rules: from raw types to the validated plan. One small function each, errors with a place and a way out.

mod database;
mod effects;
mod order;
mod people;
mod preflight;
mod rds;
mod record;
mod records;
mod steps;
mod tasks;
mod watches;
mod world;

use super::{
    error::Report,
    ids::Ids,
    model::{Environment, Plan},
    raw::RawPlan,
    scalar::{slug, span_of_time, words},
};

/// What most rules need to know.
struct Context<'a> {
    ids: &'a Ids,
    environment: &'a Environment,
    raw: &'a RawPlan,
}

/// Applies every rule. The plan is only meaningful when the report holds no error.
pub(super) fn apply(raw: &RawPlan, environment: &Environment, ids: &Ids, report: &mut Report) -> Plan {
    let context = Context { ids, environment, raw };
    for (name, text) in [("name", &raw.name), ("title", &raw.title)] {
        if text.is_none() && !report.lost(name) {
            report.error(0..0, format!("the plan has no `{name}`")).help(format!("add `{name} = \"...\"` at the top"));
        }
    }
    let records = records::build(&context, report);
    let checks = watches::checks(&context, report);
    let metrics = watches::metrics(&context, report);
    let guardrails = watches::guardrails(&context, &metrics, report);
    let runners = world::runners(&context, report);
    let traffic = world::traffic(&context, &metrics, report);
    let steps = steps::build(&context, &records, report);
    let plan = Plan {
        name: report.read_or(raw.name.as_ref(), String::new(), slug),
        title: report.read_or(raw.title.as_ref(), String::new(), words),
        environment: environment.clone(),
        window: raw.window.as_ref().and_then(|text| report.read(text, span_of_time)),
        aws: world::aws(&context, report),
        heroku: world::heroku(&context, report),
        databases: database::databases(&context, report),
        dns: world::dns(&context, report),
        preflight: preflight::preflight(&context, report),
        sides: world::sides(&context, report),
        records,
        checks,
        metrics,
        guardrails,
        runners,
        traffic,
        access: people::access(&context, report),
        notify: people::notify(&context, report),
        steps,
    };
    // These look at how parts fit together; with a part missing they would only repeat its error in other words.
    if plan.steps.len() == ids.all(super::ids::Section::Step).count() && plan.records.len() == raw.record.len() {
        order::apply(&plan, raw, report);
        if !report.failed() {
            effects::apply(&plan, raw, report);
        }
    }
    plan
}
