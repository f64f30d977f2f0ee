//! `cutover iam`: the least policy that a plan needs.

use std::{collections::BTreeMap, io::Write as _, process::ExitCode};

use color_eyre::eyre::Result;

use super::{FINE, args, invalid, read_plan, say};
use crate::{
    plan::{self, EnvironmentKind},
    preflight::{JournalPlace, driver, viewer},
};

pub(super) fn iam(args: &args::Iam) -> Result<ExitCode> {
    let Some(source) = read_plan(&args.plan) else { return Ok(invalid()) };
    let name = args.plan.display().to_string();
    let plan = match plan::load(&source, &name, &args.env, &given(&source, &name, &args.env)) {
        Ok(plan) => plan,
        Err(errors) => {
            say(&errors.render(super::colour()));
            return Ok(invalid());
        }
    };
    let journal = match args.journal.as_deref().map(JournalPlace::parse) {
        Some(None) => {
            say("--journal takes s3://BUCKET/PREFIX");
            return Ok(invalid());
        }
        place => place.flatten(),
    };
    let policy = if args.viewer { viewer(&plan, journal.as_ref()) } else { driver(&plan, journal.as_ref()) };
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &policy.document)?;
    writeln!(out)?;
    policy.remarks.iter().for_each(|remark| say(&format!("remark: {remark}")));
    Ok(FINE)
}

/// A sandbox's variables have placeholders as long as none runs.
pub(super) fn given(source: &str, name: &str, environment: &str) -> BTreeMap<String, String> {
    let kinds = plan::environments(source, name).unwrap_or_default();
    if kinds.get(environment) == Some(&EnvironmentKind::Sandbox) {
        plan::sandbox_placeholders()
    } else {
        BTreeMap::new()
    }
}
