//! Steps, one by one: their kinds, gates, times.

use std::{collections::BTreeMap, time::Duration};

use super::{
    super::{
        error::Report,
        ids::Section,
        kind::{Kind, Stage},
        model::{Class, GateLevel, Side, Step, StepId},
        raw::{
            Items, List, RawCaughtUp, RawCheckSuite, RawDrain, RawExec, RawHerokuScale, RawKind, RawStep, RawSwitch,
            RawWatch, Text, split,
        },
        rds::RdsKind,
        record::Record,
        scalar::{Fault, choice, duration, flag, number, quote, show, span_of_time, words},
    },
    Context, rds,
    record::ttl,
    tasks,
    world::{ROLES, SIDES, needs_heroku},
};

/// A plan with more steps is a mistake.
const MOST_STEPS: usize = 500;
/// Added to the old TTL: name servers take up to 60 seconds to serve a change after INSYNC was asked for.
const DRAIN_MARGIN: Duration = Duration::from_secs(60);

const GATES: [(&str, GateLevel); 4] =
    [("start", GateLevel::Start), ("confirm", GateLevel::Confirm), ("type", GateLevel::Type), ("two", GateLevel::Two)];
pub(super) const CLASSES: [(&str, Class); 3] =
    [("read-only", Class::ReadOnly), ("reversible", Class::Reversible), ("destructive", Class::Destructive)];

pub(super) fn build(context: &Context<'_>, records: &[Record], report: &mut Report) -> Vec<Step> {
    let raws = &context.raw.step;
    match raws.get(MOST_STEPS) {
        Some(extra) => {
            report
                .error(extra.span(), format!("a plan has at most {MOST_STEPS} steps"))
                .help("split it into two plans");
            return Vec::new();
        }
        None if raws.is_empty() => {
            report.error(0..0, "the plan has no step").help("add `[[step]]` with `id`, `title` and `kind`");
        }
        None => {}
    }
    let mut steps: Vec<Step> = Vec::new();
    for raw in raws {
        let before = steps.last().map(|step| step.id.clone());
        steps.push(step(context, raw.get_ref(), before, records, report));
    }
    steps
}

fn step(context: &Context<'_>, raw: &RawStep, before: Option<StepId>, records: &[Record], report: &mut Report) -> Step {
    let kind = kind(context, raw, report);
    super::database::needs(context, raw, &kind, report);
    let (usual, limit) = times(&kind, records);
    let expected = report.read_or(raw.expected.as_ref(), usual, duration);
    let timeout = report.read_or(raw.timeout.as_ref(), limit.max(expected * 2), span_of_time);
    if let Some(text) = raw.timeout.as_ref().filter(|_| timeout < expected) {
        let message = format!("an attempt is stopped before it can be done: {} are expected", show(expected));
        report.error(text.span(), message).help("raise `timeout` above `expected`");
    }
    if let (Kind::Rds(RdsKind::Switchover { limit, .. }), Some(text)) = (&kind, &raw.timeout)
        && timeout <= *limit
    {
        let message = format!("the attempt is given up while RDS still may switch: it has {}", show(*limit));
        report.error(text.span(), message).help("raise `timeout` above `switchover_timeout`");
    }
    let roles = raw.allow_none.iter().flat_map(split);
    let allow_none = roles.filter_map(|text| report.read(&text, |text| choice("a role", &ROLES, text))).collect();
    Step {
        id: StepId(raw.id.get_ref().as_str().to_owned()),
        title: report.read(&raw.title, words).unwrap_or_default(),
        note: raw.note.as_ref().and_then(|text| report.read(text, words)),
        needs: needs(context, raw, before, report),
        gate: gate(raw, &kind, report),
        expected,
        timeout,
        point_of_no_return: no_return(raw, &kind, report),
        allow_none,
        demands_green: report.read_or(raw.demands_green.as_ref(), false, flag),
        kind,
    }
}

fn needs(context: &Context<'_>, raw: &RawStep, before: Option<StepId>, report: &mut Report) -> Vec<StepId> {
    match &raw.needs {
        None => before.into_iter().collect(),
        Some(list) => {
            let named = split(list);
            let known: Vec<_> =
                named.iter().filter_map(|text| context.ids.refer(Section::Step, text, report)).map(StepId).collect();
            // An unknown one was probably meant to be the step before: the rules on order need not complain as well.
            let guess = before.filter(|_| known.len() < named.len());
            known.into_iter().chain(guess).collect()
        }
    }
}

fn gate(raw: &RawStep, kind: &Kind, report: &mut Report) -> GateLevel {
    let lowest = kind.class().lowest_gate();
    let Some(text) = &raw.gate else { return lowest };
    let Some(gate) = report.read(text, |text| choice("a gate", &GATES, text)) else { return lowest };
    if gate < lowest {
        let class = CLASSES.iter().find(|(_, class)| *class == kind.class()).map_or("", |(name, _)| name);
        let allowed: Vec<_> =
            GATES.iter().filter(|(_, gate)| *gate >= lowest).map(|(name, _)| format!("`{name}`")).collect();
        report
            .error(
                text.span(),
                format!("{} is too low a gate: this `{}` is {class}", quote(text.get_ref().as_str()), kind.name()),
            )
            .help(format!("allowed here: {}", allowed.join(", ")));
    }
    gate
}

/// Whether there is no way back afterwards. What nothing can put back always is such a point.
fn no_return(raw: &RawStep, kind: &Kind, report: &mut Report) -> bool {
    let said = report.read_or(raw.point_of_no_return.as_ref(), kind.is_final(), flag);
    if let Some(text) = raw.point_of_no_return.as_ref().filter(|_| kind.is_final() && !said) {
        report
            .error(text.span(), format!("nothing can put a `{}` back: it is a point of no return", kind.name()))
            .help("leave this out, or write `true`");
    }
    said || kind.is_final()
}

/// Planned duration and time-out of a kind, unless the plan says otherwise.
fn times(kind: &Kind, records: &[Record]) -> (Duration, Duration) {
    let (seconds, minutes) = (Duration::from_secs, |minutes: u64| Duration::from_secs(60 * minutes));
    match kind {
        Kind::Manual { .. } => (minutes(5), minutes(240)),
        Kind::CheckSuite { rounds, .. } => (seconds(10).saturating_mul(*rounds), minutes(5)),
        Kind::DnsLowerTtl { .. } | Kind::DnsRaiseTtl { .. } => (minutes(1), minutes(10)),
        Kind::DnsDrain { records: ids, margin } => {
            let old =
                records.iter().filter(|record| ids.contains(&record.id)).filter_map(|record| record.old.ttl).max();
            let drained = seconds(old.unwrap_or(0).into()) + *margin;
            (drained, drained * 2 + minutes(30))
        }
        Kind::DnsSwitch { stages, .. } => {
            let baked = stages.iter().map(|stage| stage.bake).fold(Duration::ZERO, Duration::saturating_add);
            (minutes(2).saturating_add(baked), minutes(15).saturating_add(baked.saturating_mul(2)))
        }
        Kind::HerokuMaintenance { .. } => (seconds(15), minutes(2)),
        Kind::HerokuScale { .. } => (seconds(30), minutes(5)),
        Kind::EcsScale { .. } => (minutes(2), minutes(10)),
        Kind::EcsRunTask(_) | Kind::EcsWaitStable { .. } => (minutes(2), minutes(20)),
        Kind::PostgresWaitCaughtUp => (minutes(2), minutes(60)),
        Kind::PostgresFreeze { .. } => (seconds(20), minutes(5)),
        Kind::PostgresOpen { .. } => (seconds(10), minutes(2)),
        Kind::PostgresSyncSequences { .. } => (seconds(20), minutes(5)),
        Kind::PostgresCompare { .. } => (minutes(5), minutes(120)),
        Kind::Rds(kind) => rds::times(kind),
        Kind::Watch { lasting, .. } => (*lasting, lasting.saturating_mul(3) + minutes(30)),
        Kind::Exec { .. } => (minutes(1), minutes(10)),
    }
}

fn kind(context: &Context<'_>, step: &RawStep, report: &mut Report) -> Kind {
    match &step.kind {
        RawKind::Manual(raw) => {
            let items: Vec<_> = raw.items.get_ref().iter().filter_map(|item| report.read(item, words)).collect();
            if raw.items.get_ref().is_empty() {
                report.error(raw.items.span(), "there is nothing to tick").help("list what a person must have seen");
            }
            Kind::Manual { items }
        }
        RawKind::CheckSuite(raw) => check_suite(context, raw, report),
        RawKind::DnsLowerTtl(raw) => {
            let records = records(context, &raw.records, report);
            Kind::DnsLowerTtl { records, ttl: report.read(&raw.ttl, ttl).unwrap_or_default() }
        }
        RawKind::DnsDrain(RawDrain { records: list, margin }) => {
            let records = records(context, list, report);
            Kind::DnsDrain { records, margin: report.read_or(margin.as_ref(), DRAIN_MARGIN, duration) }
        }
        RawKind::DnsSwitch(raw) => switch(context, raw, report),
        RawKind::DnsRaiseTtl(raw) => {
            let records = records(context, &raw.records, report);
            Kind::DnsRaiseTtl { records, ttl: report.read(&raw.ttl, ttl).unwrap_or_default() }
        }
        RawKind::HerokuMaintenance(raw) => {
            needs_heroku(context, &raw.on, report);
            Kind::HerokuMaintenance { on: report.read(&raw.on, flag).unwrap_or_default() }
        }
        RawKind::HerokuScale(raw) => heroku_scale(context, raw, report),
        RawKind::EcsScale(raw) => Kind::EcsScale {
            cluster: report.read(&raw.cluster, words).unwrap_or_default(),
            service: report.read(&raw.service, words).unwrap_or_default(),
            desired: report.read(&raw.desired, |text| number(0..=5000, text)).unwrap_or_default(),
        },
        RawKind::EcsRunTask(raw) => tasks::run_task(raw, report),
        RawKind::EcsWaitStable(raw) => tasks::wait_stable(raw, report),
        RawKind::PostgresWaitCaughtUp(RawCaughtUp {}) => Kind::PostgresWaitCaughtUp,
        RawKind::PostgresFreeze(raw) => super::database::freeze(context, raw, report),
        RawKind::PostgresOpen(raw) => super::database::open(context, raw, report),
        RawKind::PostgresSyncSequences(raw) => super::database::sequences(raw, report),
        RawKind::PostgresCompare(raw) => super::database::compare(raw, report),
        RawKind::RdsRestoreSnapshot(raw) => Kind::Rds(rds::restore(raw, report)),
        RawKind::RdsSnapshot(raw) => Kind::Rds(rds::snapshot(raw, step, report)),
        RawKind::RdsPromoteReplica(raw) => Kind::Rds(rds::promote(raw, report)),
        RawKind::RdsSwitchover(raw) => Kind::Rds(rds::switchover(raw, report)),
        RawKind::Watch(raw) => watch(context, raw, report),
        RawKind::Exec(raw) => exec(raw, report),
    }
}

fn records(context: &Context<'_>, list: &List, report: &mut Report) -> Vec<String> {
    let mut records: Vec<String> = Vec::new();
    for text in split(list) {
        let Some(id) = context.ids.refer(Section::Record, &text, report) else { continue };
        if records.contains(&id) {
            report.error(text.span(), format!("record {} is named twice", quote(&id))).help("leave one of them out");
        }
        records.push(id);
    }
    if split(list).is_empty() {
        report.error(list.span(), "this step names no record").help("list the ids of records: `records = [\"shop\"]`");
    }
    records
}

fn check_suite(context: &Context<'_>, raw: &RawCheckSuite, report: &mut Report) -> Kind {
    let checks = match &raw.checks {
        None => context.ids.all(Section::Check).map(str::to_owned).collect(),
        Some(list) => split(list).iter().filter_map(|text| context.ids.refer(Section::Check, text, report)).collect(),
    };
    let sides = match &raw.sides {
        None => vec![Side::New],
        Some(list) => {
            let sides = split(list);
            sides.iter().filter_map(|text| report.read(text, |text| choice("a side", &SIDES, text))).collect()
        }
    };
    for (list, what) in [(&raw.checks, "check"), (&raw.sides, "side")] {
        if let Some(list) = list.as_ref().filter(|list| split(list).is_empty()) {
            let help = "list at least one, or leave this out for all checks on the new side";
            report.error(list.span(), format!("this suite names no {what}")).help(help);
        }
    }
    Kind::CheckSuite { checks, sides, rounds: report.read_or(raw.rounds.as_ref(), 1, |text| number(1..=100, text)) }
}

fn switch(context: &Context<'_>, raw: &RawSwitch, report: &mut Report) -> Kind {
    let records = records(context, &raw.records, report);
    let mut stages: Vec<Stage> = Vec::new();
    for stage in &raw.stages {
        let percent = report.read(&stage.percent, percent);
        let bake = report.read(&stage.bake, span_of_time);
        let (Some(percent), Some(bake)) = (percent, bake) else { continue };
        if let Some(last) = stages.last().filter(|last| last.percent >= percent) {
            report
                .error(stage.percent.span(), format!("stages must rise: {percent} % comes after {} %", last.percent))
                .help("order them from the smallest share of traffic to the largest");
        }
        stages.push(Stage { percent, bake });
    }
    Kind::DnsSwitch { records, stages }
}

/// The share of a stage; a percent sign may stand behind it.
fn percent(text: &str) -> Result<u8, Fault> {
    let bare = text.trim().trim_end_matches('%').trim_end();
    number(1..=99, bare).map_err(|_| {
        let message = format!("{} is not the share of a stage", quote(text));
        Fault::new(message, "write 1 to 99 (percent); the last stage, all of it, follows by itself")
    })
}

fn heroku_scale(context: &Context<'_>, raw: &RawHerokuScale, report: &mut Report) -> Kind {
    let mut formation = BTreeMap::new();
    for (process, quantity) in raw.formation.get_ref() {
        needs_heroku(context, quantity, report);
        let quantity = report.read(quantity, |text| number(0..=1000, text)).unwrap_or_default();
        formation.insert(process.get_ref().clone(), quantity);
    }
    if formation.is_empty() {
        report.error(raw.formation.span(), "this step scales nothing").help("write `formation = { worker = 0 }`");
    }
    let old_side_silent = silence(context, raw.old_side_silent.as_ref(), report).map(|(_, silent)| silent);
    Kind::HerokuScale { formation, old_side_silent }
}

fn watch(context: &Context<'_>, raw: &RawWatch, report: &mut Report) -> Kind {
    let lasting = report.read(&raw.lasting, span_of_time);
    let silent = silence(context, raw.old_side_silent.as_ref(), report);
    if let Some((text, _)) = silent.filter(|(_, silent)| lasting.is_some_and(|lasting| *silent > lasting)) {
        report
            .error(text.span(), "the old side would have to be silent for longer than the watch lasts")
            .help("raise `lasting`, or lower this");
    }
    Kind::Watch { lasting: lasting.unwrap_or_default(), old_side_silent: silent.map(|(_, silent)| silent) }
}

/// How long the old side must have been silent; only requests that are counted can be missed.
fn silence<'a>(context: &Context<'_>, raw: Option<&'a Text>, report: &mut Report) -> Option<(&'a Text, Duration)> {
    let text = raw?;
    let silent = report.read(text, span_of_time)?;
    if context.raw.traffic.is_none() {
        report
            .error(text.span(), "nothing tells whether the old side is silent")
            .help("add `[traffic]` with the metrics of requests at each side");
    }
    Some((text, silent))
}

fn exec(raw: &RawExec, report: &mut Report) -> Kind {
    let mut command = |list: &Option<List>| list.as_ref().map(|list| argv(list, report));
    let (observe, undo) = (command(&raw.observe), command(&raw.undo));
    let apply = argv(&raw.apply, report);
    let class = report.read_or(raw.class.as_ref(), Class::Destructive, |text| choice("a class", &CLASSES, text));
    if class != Class::ReadOnly {
        for (list, name, why) in [
            (&raw.observe, "observe", "an attempt that was interrupted stays in doubt until a person decides"),
            (&raw.undo, "undo", "a rollback cannot put it back"),
        ] {
            if list.is_none() {
                report
                    .warning(raw.apply.span(), format!("without `{name}`, {why}"))
                    .help(format!("add `{name} = [...]`"));
            }
        }
    }
    Kind::Exec { apply, observe, undo, class }
}

/// A program and its arguments, never a shell's text: what is shown at the gate is what runs.
pub(super) fn argv(list: &List, report: &mut Report) -> Vec<String> {
    let items = match list.get_ref() {
        Items::Many(items) => items,
        Items::One(text) => {
            let words: Vec<_> = text.split_whitespace().map(|word| format!("\"{}\"", word.escape_debug())).collect();
            report
                .error(list.span(), "a command is a list of program and arguments, not a line for a shell")
                .help(format!("write `[{}]`", words.join(", ")));
            return Vec::new();
        }
    };
    let argv: Vec<_> = items.iter().map(|item| item.get_ref().as_str().to_owned()).collect();
    if argv.first().is_none_or(|program| program.trim().is_empty()) {
        report.error(list.span(), "this command names no program").help("write `[\"program\", \"argument\"]`");
    }
    if let Some(at) = argv.windows(2).position(|pair| is_shell(&pair[0]) && runs_text(&pair[1])) {
        report
            .error(items[at].span(), "a command that hides in a shell's text cannot be previewed")
            .help("name the program and its arguments themselves, or put the text into a script and name that");
    }
    if let Some(item) = items.iter().find(|item| item.get_ref().as_str().contains('\0')) {
        report.error(item.span(), "an argument cannot hold a NUL").help("leave it out");
    }
    argv
}

fn is_shell(program: &str) -> bool {
    let name = program.rsplit('/').next().unwrap_or(program);
    ["sh", "bash", "dash", "zsh", "ksh", "fish", "csh", "tcsh"].contains(&name)
}

fn runs_text(argument: &str) -> bool {
    argument.starts_with('-') && !argument.starts_with("--") && argument.contains('c')
}

/// The list of a `dns.*` step's records, for errors about them.
pub(super) const fn records_of(raw: &RawKind) -> Option<&List> {
    match raw {
        RawKind::DnsLowerTtl(raw) | RawKind::DnsRaiseTtl(raw) => Some(&raw.records),
        RawKind::DnsDrain(raw) => Some(&raw.records),
        RawKind::DnsSwitch(raw) => Some(&raw.records),
        _ => None,
    }
}

/// The TTL of a step that sets one.
pub(super) const fn ttl_of(raw: &RawKind) -> Option<&Text> {
    match raw {
        RawKind::DnsLowerTtl(raw) | RawKind::DnsRaiseTtl(raw) => Some(&raw.ttl),
        _ => None,
    }
}
