//! `ecs.run-task` and `ecs.wait-stable`.

use super::{
    super::{
        error::Report,
        kind::{Kind, Launch, TaskSpec},
        model::Class,
        raw::{List, RawRunTask, RawWaitStable, split},
        scalar::{Fault, choice, flag, quote, words},
    },
    steps::{CLASSES, argv},
};

const LAUNCHES: [(&str, Launch); 2] = [("fargate", Launch::Fargate), ("ec2", Launch::Ec2)];

pub(super) fn run_task(raw: &RawRunTask, report: &mut Report) -> Kind {
    let definition = report.read(&raw.definition, definition).unwrap_or_default();
    if !definition.is_empty() && !has_revision(&definition) {
        report
            .warning(raw.definition.span(), format!("{} names no revision", quote(&definition)))
            .help("what runs is its newest revision when the gate is armed; write `family:revision` to know it today");
    }
    let command = argv(&raw.command, report);
    let launch = report.read_or(raw.launch.as_ref(), Launch::Fargate, |text| choice("a launch type", &LAUNCHES, text));
    let subnets = ids(raw.subnets.as_ref(), "subnet", report);
    let public_ip = report.read_or(raw.public_ip.as_ref(), false, flag);
    network(raw, launch, &subnets, report);
    let class = report.read_or(raw.class.as_ref(), Class::Destructive, |text| choice("a class", &CLASSES, text));
    let undo_command = raw.undo_command.as_ref().map(|list| argv(list, report));
    if class != Class::ReadOnly && undo_command.is_none() {
        report
            .warning(raw.command.span(), "without `undo_command`, a rollback leaves what this task did")
            .help("add `undo_command = [...]`, or make sure that the old side can live with it");
    }
    Kind::EcsRunTask(TaskSpec {
        cluster: report.read(&raw.cluster, words).unwrap_or_default(),
        definition,
        container: raw.container.as_ref().and_then(|text| report.read(text, words)),
        command,
        launch,
        subnets,
        security_groups: ids(raw.security_groups.as_ref(), "sg", report),
        public_ip,
        log_group: raw.log_group.as_ref().and_then(|text| report.read(text, words)),
        undo_command,
        class,
    })
}

/// Fargate tasks have an address of their own, so they need a subnet; what is meant for that network means nothing
/// without one.
fn network(raw: &RawRunTask, launch: Launch, subnets: &[String], report: &mut Report) {
    if !subnets.is_empty() || raw.subnets.as_ref().is_some_and(|list| !split(list).is_empty()) {
        return;
    }
    if launch == Launch::Fargate {
        let span = raw.subnets.as_ref().map_or_else(|| raw.definition.span(), toml::Spanned::span);
        report.error(span, "a task on Fargate needs a subnet").help("add `subnets = [\"subnet-...\"]`");
        return;
    }
    let groups = raw.security_groups.as_ref().filter(|list| !split(list).is_empty()).map(toml::Spanned::span);
    for span in groups.into_iter().chain(raw.public_ip.as_ref().map(toml::Spanned::span)) {
        report.error(span, "this means nothing without a subnet").help("add `subnets`, or leave this out");
    }
}

/// Ids such as `subnet-0a1b2c3d`, told apart by their first word.
fn ids(list: Option<&List>, word: &str, report: &mut Report) -> Vec<String> {
    let id = |text: &str| {
        let rest = text.strip_prefix(word).and_then(|rest| rest.strip_prefix('-'));
        let good = rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric()));
        let message = || format!("{} is not the id of one", quote(text));
        if good { Ok(text.to_owned()) } else { Err(Fault::new(message(), format!("write `{word}-...`"))) }
    };
    list.map(split).unwrap_or_default().iter().filter_map(|text| report.read(text, id)).collect()
}

/// `family`, `family:revision`, or the ARN of one.
fn definition(text: &str) -> Result<String, Fault> {
    let help = "write `family:revision`, such as `acme-migrate:42`";
    let fault = || Fault::new(format!("{} is not a task definition", quote(text)), help);
    let name = match text.strip_prefix("arn:") {
        Some(rest) => rest.split_once(":task-definition/").ok_or_else(fault)?.1,
        None => text,
    };
    let (family, revision) = name.split_once(':').map_or((name, None), |(family, revision)| (family, Some(revision)));
    let letters = family.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let counted = revision.is_none_or(|revision| revision.parse::<u32>().is_ok_and(|revision| revision > 0));
    if !family.is_empty() && family.len() <= 255 && letters && counted { Ok(text.to_owned()) } else { Err(fault()) }
}

fn has_revision(definition: &str) -> bool {
    definition.rsplit('/').next().is_some_and(|name| name.contains(':'))
}

pub(super) fn wait_stable(raw: &RawWaitStable, report: &mut Report) -> Kind {
    let services: Vec<_> = split(&raw.services).iter().filter_map(|text| report.read(text, words)).collect();
    if split(&raw.services).is_empty() {
        report.error(raw.services.span(), "this step waits for no service").help("write `services = [\"web\"]`");
    }
    Kind::EcsWaitStable { cluster: report.read(&raw.cluster, words).unwrap_or_default(), services }
}
