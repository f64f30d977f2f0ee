//! Where the plan acts: AWS, Heroku, DNS servers, the two sides, what runs where.

use std::net::IpAddr;

use url::{Host, Url};

use super::{
    super::{
        error::{Report, Span},
        ids::Section,
        metric::{Metric, Unit},
        model::{Aws, Dns, EnvironmentKind, Heroku, Role, Runner, RunnerSource, Side, SideInfo, Sides, Traffic},
        raw::{RawRunner, RawSide, Text, split},
        scalar::{Fault, choice, quote, resolver, server, words},
    },
    Context,
};

const IN_SANDBOX: &str = "the sandbox lives on loopback alone: write an address such as `127.0.0.1`, or set the kind of \
                          this environment to `staging`";

pub(super) const SIDES: [(&str, Side); 2] = [("old", Side::Old), ("new", Side::New)];
pub(super) const ROLES: [(&str, Role); 4] =
    [("web", Role::Web), ("worker", Role::Worker), ("cron", Role::Cron), ("writer", Role::Writer)];

impl Context<'_> {
    pub(super) fn sandbox(&self) -> bool {
        self.environment.kind == EnvironmentKind::Sandbox
    }

    pub(super) fn must_be_loopback(&self, text: &Text, loopback: bool, report: &mut Report) {
        if self.sandbox() && !loopback {
            let message = format!("{} is not on loopback", quote(text.get_ref().as_str()));
            report.error(text.span(), message).help(IN_SANDBOX);
        }
    }

    /// A base URL of a service; demanded in the sandbox, where it must be loopback.
    fn endpoint(&self, text: Option<&Text>, table: Span, field: &str, report: &mut Report) -> Option<String> {
        let Some(text) = text else {
            if self.sandbox() {
                report.error(table, format!("a sandbox needs `{field}` here")).help(IN_SANDBOX);
            }
            return None;
        };
        let url = report.read(text, http_url)?;
        self.must_be_loopback(text, url_is_loopback(&url), report);
        Some(text.get_ref().as_str().trim_end_matches('/').to_owned())
    }
}

/// An absolute `http` or `https` URL with a host.
pub(super) fn http_url(text: &str) -> Result<Url, Fault> {
    let fault =
        |message: String| Fault::new(message, "write an absolute URL, such as `https://shop.example.com/health`");
    let url = Url::parse(text).map_err(|error| fault(format!("{} is not a URL: {error}", quote(text))))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(fault(format!("{} is not an http or https URL", quote(text))));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new("this URL holds credentials", "a plan is shown and journaled: leave them out"));
    }
    Ok(url)
}

fn url_is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

pub(super) fn aws(context: &Context<'_>, report: &mut Report) -> Aws {
    let Some(table) = &context.raw.aws else {
        if !report.lost("aws") {
            report.error(0..0, "the plan has no `[aws]`").help("add `[aws]` with `region = \"us-east-1\"`");
        }
        return Aws::default();
    };
    let raw = table.get_ref();
    let account = raw.account.as_ref().and_then(|text| report.read(text, account));
    if context.environment.kind == EnvironmentKind::Production && raw.account.is_none() {
        report
            .warning(raw.region.span(), "production without `aws.account`")
            .help("add `account = \"123456789012\"`, so that credentials of another account are refused");
    }
    Aws {
        region: report.read(&raw.region, region).unwrap_or_default(),
        profile: raw.profile.as_ref().and_then(|text| report.read(text, words)),
        account,
        endpoint: context.endpoint(raw.endpoint.as_ref(), table.span(), "endpoint", report),
    }
}

fn account(text: &str) -> Result<String, Fault> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    let message = format!("{} is not an AWS account id", quote(text));
    Err(Fault::new(message, "write its 12 digits in quotes: `\"012345678901\"`"))
}

fn region(text: &str) -> Result<String, Fault> {
    let parts: Vec<_> = text.split('-').collect();
    let word = |part: &&str| part.len() >= 2 && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let ok = match parts.as_slice() {
        [words @ .., number] => {
            words.len() >= 2
                && words.iter().all(word)
                && number.len() == 1
                && number.bytes().all(|b| b.is_ascii_digit())
        }
        [] => false,
    };
    let message = || format!("{} is not an AWS region", quote(text));
    if ok { Ok(text.to_owned()) } else { Err(Fault::new(message(), "write one such as `us-east-1` or `eu-central-1`")) }
}

pub(super) fn heroku(context: &Context<'_>, report: &mut Report) -> Option<Heroku> {
    let table = context.raw.heroku.as_ref()?;
    let raw = table.get_ref();
    Some(Heroku {
        app: report.read(&raw.app, super::super::scalar::slug).unwrap_or_default(),
        api: context.endpoint(raw.api.as_ref(), table.span(), "api", report),
    })
}

pub(super) fn dns(context: &Context<'_>, report: &mut Report) -> Dns {
    let Some(raw) = &context.raw.dns else {
        if !context.raw.record.is_empty() && !report.lost("dns") {
            report
                .error(0..0, "the plan moves records but has no `[dns]`")
                .help("add `[dns]` with `resolvers = [\"1.1.1.1\", \"8.8.8.8\"]`");
        }
        return Dns::default();
    };
    let mut dns = Dns::default();
    for text in split(&raw.resolvers) {
        let Some(found) = report.read(&text, resolver) else { continue };
        context.must_be_loopback(&text, found.address.ip().is_loopback(), report);
        if dns.resolvers.iter().any(|known| known.name == found.name) {
            let message = format!("resolver {} is listed twice", quote(&found.name));
            report.error(text.span(), message).help("name them apart: `office=10.0.0.2`");
        }
        dns.resolvers.push(found);
    }
    if split(&raw.resolvers).is_empty() {
        report
            .error(raw.resolvers.span(), "no resolver is listed")
            .help("list at least one: `resolvers = [\"1.1.1.1\"]`");
    }
    for text in raw.authority.iter().flat_map(split) {
        let Some(found) = report.read(&text, server) else { continue };
        context.must_be_loopback(&text, found.ip().is_loopback(), report);
        dns.authority.push(found);
    }
    if context.sandbox() && raw.authority.is_none() {
        report.error(raw.resolvers.span(), "a sandbox needs `dns.authority`").help(IN_SANDBOX);
    }
    dns
}

pub(super) fn sides(context: &Context<'_>, report: &mut Report) -> Sides {
    let empty = || SideInfo { label: String::new(), address: String::new() };
    let Some(raw) = &context.raw.sides else {
        if !report.lost("sides") {
            report
                .error(0..0, "the plan has no `[sides.old]` and `[sides.new]`")
                .help("add both, each with `label` and `address`");
        }
        return Sides { old: empty(), new: empty() };
    };
    Sides { old: side(context, &raw.old, report), new: side(context, &raw.new, report) }
}

fn side(context: &Context<'_>, raw: &RawSide, report: &mut Report) -> SideInfo {
    let label = report.read(&raw.label, words).unwrap_or_default();
    let address = report.read(&raw.address, host).unwrap_or_default();
    let loopback = address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if !address.is_empty() {
        context.must_be_loopback(&raw.address, loopback, report);
    }
    SideInfo { label, address }
}

/// A host name or an IP address, without scheme and port.
pub(super) fn host(text: &str) -> Result<String, Fault> {
    if text.parse::<IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    let name = super::record::domain(text).map_err(|_| {
        let message = format!("{} is not a host", quote(text));
        Fault::new(message, "write a host name or an IP address, without scheme and port")
    })?;
    Ok(name.trim_end_matches('.').to_owned())
}

pub(super) fn runners(context: &Context<'_>, report: &mut Report) -> Vec<Runner> {
    let mut runners: Vec<Runner> = Vec::new();
    for raw in &context.raw.runner {
        let Some(runner) = runner(context, raw, report) else { continue };
        if runners.contains(&runner) {
            report.error(raw.span(), "this runner is listed twice").help("leave one of them out");
        }
        runners.push(runner);
    }
    runners
}

fn runner(context: &Context<'_>, raw: &toml::Spanned<RawRunner>, report: &mut Report) -> Option<Runner> {
    let RawRunner { role, side, process, cluster, service, database } = raw.get_ref();
    let role_at = role;
    let role = report.read(role, |text| choice("a role", &ROLES, text));
    let at = side;
    let side = report.read(side, |text| choice("a side", &SIDES, text));
    let source = match (process, cluster, service, database) {
        (Some(process), None, None, None) => {
            needs_heroku(context, process, report);
            RunnerSource::Heroku { process: report.read(process, words)? }
        }
        (None, Some(cluster), Some(service), None) => {
            RunnerSource::Ecs { cluster: report.read(cluster, words)?, service: report.read(service, words)? }
        }
        (None, None, None, Some(database)) => {
            RunnerSource::Postgres { database: super::database::watched(context, database, report)? }
        }
        _ => {
            report
                .error(raw.span(), "nothing says how this runner is observed")
                .help("write `process` for Heroku, or both `cluster` and `service` for ECS, or `database`");
            return None;
        }
    };
    let (role, side) = (role?, side?);
    if (role == Role::Writer) != matches!(source, RunnerSource::Postgres { .. }) {
        report
            .error(role_at.span(), "who may write is observed in a database, and what else runs is not")
            .help("write `role = \"writer\"` together with `database`");
    }
    let home = match source {
        RunnerSource::Heroku { .. } => Side::Old,
        RunnerSource::Ecs { .. } => Side::New,
        RunnerSource::Postgres { database } => database,
    };
    if side != home {
        let what = match source {
            RunnerSource::Heroku { .. } => "a Heroku process",
            RunnerSource::Ecs { .. } => "an ECS service",
            RunnerSource::Postgres { .. } => "this database",
        };
        let side = if home == Side::Old { "old" } else { "new" };
        report.error(at.span(), format!("{what} runs on the {side} side")).help(format!("write `side = \"{side}\"`"));
    }
    Some(Runner { role, side, source })
}

/// Reports at this place that something of Heroku is used without `[heroku]`.
pub(super) fn needs_heroku(context: &Context<'_>, place: &Text, report: &mut Report) {
    if context.raw.heroku.is_none() && !report.lost("heroku") {
        report.error(place.span(), "the plan has no `[heroku]`").help("add `[heroku]` with `app = \"...\"`");
    }
}

pub(super) fn traffic(context: &Context<'_>, metrics: &[Metric], report: &mut Report) -> Option<Traffic> {
    let raw = context.raw.traffic.as_ref()?;
    let mut rate = |text: &Text, side: Side| {
        let id = context.ids.refer(Section::Metric, text, report)?;
        let metric = metrics.iter().find(|metric| metric.id == id)?;
        if metric.side != side {
            let message = format!("metric {} is of the other side", quote(&id));
            report.error(text.span(), message).help("`old` and `new` name a metric of their own side");
        }
        if metric.unit != Unit::PerSecond {
            let message = format!("metric {} is not a rate", quote(&id));
            report.error(text.span(), message).help("name one with `unit = \"per-second\"`");
        }
        Some(id)
    };
    let (old, new) = (rate(&raw.old, Side::Old), rate(&raw.new, Side::New));
    Some(Traffic { old: old?, new: new? })
}
