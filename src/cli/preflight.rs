//! `cutover preflight`: a read-only look at the real world, before the window.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use color_eyre::eyre::{Result, WrapErr as _};
use futures_util::future::join_all;
use serde::Serialize;

use super::{FINE, args, invalid, read_plan, say, wanting};
use crate::{
    clock::Clock,
    journal::SessionDir,
    notify::send_test,
    plan::{self, EnvironmentKind, Notify, Plan, PlanErrors},
    preflight::{Look, Progress, gather, judge},
    run::{Finding, Standing, tally},
    sandbox::{self, Ports, Sandbox, SandboxConfig, scenario::Scenario},
    world::World,
};

/// A look that is over sooner needs no news of how far it is.
const QUIET: Duration = Duration::from_secs(1);

/// A webhook is waited for no longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Nothing must be done, but not everything could be looked at.
fn unknown() -> ExitCode {
    ExitCode::from(3)
}

#[derive(Serialize)]
struct Told<'a> {
    plan: &'a str,
    environment: &'a str,
    tally: String,
    findings: &'a [Finding],
}

pub(super) async fn preflight(args: &args::Preflight) -> Result<ExitCode> {
    let Some(source) = read_plan(&args.plan) else { return Ok(invalid()) };
    let name = args.plan.display().to_string();
    let (plan, clock, sandbox) = match open(&source, &name, &args.env).await? {
        Ok(opened) => opened,
        Err(errors) => {
            say(&errors.render(super::colour()));
            return Ok(invalid());
        }
    };
    let world = World::connect(&plan, clock).await?;
    let progress = Progress::default();
    let facts = tokio::select! {
        facts = gather(&plan, &world, clock, Look::Whole, &progress) => facts,
        never = tell(&progress) => match never {},
    };
    let mut findings = judge(&plan, &facts);
    findings.extend(join_all(told(&plan).map(|notify| notified(&plan, notify))).await);
    if let Some(sandbox) = sandbox {
        sandbox.shutdown().await;
    }
    show(&plan, &findings, args.json)?;
    let worst = findings.iter().map(|finding| finding.standing).max();
    Ok(match worst {
        Some(Standing::ActionRequired) => wanting(),
        Some(Standing::Unknown) => unknown(),
        Some(Standing::Passed) | None => FINE,
    })
}

/// The plan and its clock. A sandbox is started for as long as the look takes.
async fn open(
    source: &str,
    name: &str,
    environment: &str,
) -> Result<Result<(Plan, Clock, Option<Sandbox>), PlanErrors>> {
    let kinds = plan::environments(source, name).unwrap_or_default();
    if kinds.get(environment) != Some(&EnvironmentKind::Sandbox) {
        let loaded = plan::load(source, name, environment, &BTreeMap::new());
        return Ok(loaded.map(|plan| (plan, Clock::real(), None)));
    }
    let scenario = Scenario::load("calm").wrap_err("failed to load the scenario")?;
    let config = SandboxConfig { clock: Clock::real(), scenario, state_dir: None, ports: Ports::default() };
    let sandbox = sandbox::start(config).await.wrap_err("failed to start the sandbox")?;
    let given = super::sandbox_variables(sandbox.endpoints(), &SessionDir::new(std::env::temp_dir()));
    let clock = sandbox.endpoints().clock();
    Ok(plan::load(source, name, environment, &given).map(|plan| (plan, clock, Some(sandbox))))
}

/// The webhooks that should hear of it: a sandbox tells nobody, unless a webhook on loopback was set up for it.
fn told(plan: &Plan) -> impl Iterator<Item = &Notify> {
    let sandbox = plan.environment.kind == EnvironmentKind::Sandbox;
    plan.notify.iter().filter(move |notify| !sandbox || std::env::var_os(&notify.url_env).is_some())
}

/// Sends a test message to a webhook: that it is heard of is the only proof that it will be.
async fn notified(plan: &Plan, notify: &Notify) -> Finding {
    let sent = tokio::time::timeout(PATIENCE, send_test(plan, notify)).await;
    let (standing, reason) = match sent {
        Ok(Ok(())) => (Standing::Passed, "a test message was taken".to_owned()),
        Ok(Err(error)) => (Standing::ActionRequired, error.to_string()),
        Err(_) => (Standing::ActionRequired, format!("no answer in {} s", PATIENCE.as_secs())),
    };
    let remedy = "set the variable in the shell that starts the engine, or correct the webhook".to_owned();
    let (id, title) = (format!("notify:{}", notify.id), format!("Notifications to {}", notify.id));
    Finding {
        id,
        title,
        standing,
        reason,
        remedy: (standing != Standing::Passed).then_some(remedy),
        fingerprints: BTreeMap::new(),
    }
}

/// Says how far the look is, until it is over.
async fn tell(progress: &Progress) -> Infallible {
    let mut seconds = tokio::time::interval(QUIET);
    seconds.tick().await;
    loop {
        seconds.tick().await;
        let (done, waiting) = progress.now();
        let waits = waiting.first().map_or_else(String::new, |call| format!(", waiting for {call}"));
        let line = format!("preflight: {done} answers{waits}");
        // On a terminal the line is its own successor.
        if std::io::stderr().is_terminal() {
            let _ = write!(std::io::stderr(), "\r{line:.100}\x1b[K");
        } else {
            say(&line);
        }
    }
}

fn show(plan: &Plan, findings: &[Finding], json: bool) -> Result<()> {
    if std::io::stderr().is_terminal() && !json {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    let mut out = std::io::stdout().lock();
    if json {
        let (plan, environment) = (plan.name.as_str(), plan.environment.name.as_str());
        serde_json::to_writer_pretty(&mut out, &Told { plan, environment, tally: tally(findings), findings })?;
        writeln!(out)?;
        return Ok(());
    }
    for (finding, titles) in folded(findings) {
        let word = match finding.standing {
            Standing::Passed => "passed",
            Standing::Unknown => "UNKNOWN",
            Standing::ActionRequired => "ACTION",
        };
        writeln!(out, "{word:<8} {}: {}", titles.join(", "), finding.reason)?;
        if let Some(remedy) = finding.remedy.as_ref().filter(|_| finding.standing != Standing::Passed) {
            writeln!(out, "         -> {remedy}")?;
        }
    }
    writeln!(out, "{}", tally(findings))?;
    out.flush()?;
    Ok(())
}

/// Findings for people: what must be done comes last, above the prompt, and what is wrong with several things for one
/// reason is said once, with all their titles. (`Permission a`, `Permission b` become `Permission a, b`.)
fn folded(findings: &[Finding]) -> Vec<(&Finding, Vec<&str>)> {
    let mut sorted: Vec<_> = findings.iter().collect();
    sorted.sort_by_key(|finding| finding.standing);
    let mut folded: Vec<(&Finding, Vec<&str>)> = Vec::new();
    for finding in sorted {
        let (kind, rest) = finding.title.split_once(' ').unwrap_or((&finding.title, ""));
        let alike = |(first, _): &&mut (&Finding, Vec<&str>)| {
            let same =
                (first.standing, &first.reason, &first.remedy) == (finding.standing, &finding.reason, &finding.remedy);
            let of_kind = first.title.split(' ').next() == Some(kind);
            same && of_kind && finding.standing != Standing::Passed
        };
        match folded.iter_mut().find(alike) {
            Some((_, titles)) => titles.push(rest),
            None => folded.push((finding, vec![&finding.title])),
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reason_is_said_once_and_what_must_be_done_comes_last() {
        let finding = |title: &str, standing, reason: &str| Finding {
            id: title.to_lowercase(),
            title: title.to_owned(),
            standing,
            reason: reason.to_owned(),
            remedy: None,
            fingerprints: BTreeMap::new(),
        };
        let findings = [
            finding("AWS identity", Standing::ActionRequired, "no credentials"),
            finding("Permission a:B", Standing::Unknown, "no credentials"),
            finding("Permission c:D", Standing::Unknown, "no credentials"),
            finding("Permission e:F", Standing::Unknown, "throttled"),
            finding("Image of web", Standing::Passed, "pinned"),
            finding("Image of worker", Standing::Passed, "pinned"),
        ];
        let told: Vec<_> = folded(&findings).into_iter().map(|(_, titles)| titles.join(", ")).collect();
        let wanted = ["Image of web", "Image of worker", "Permission a:B, c:D", "Permission e:F", "AWS identity"];
        assert_eq!(told, wanted);
    }
}
