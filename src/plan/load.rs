//! From the text of a plan file to the validated plan.

use std::collections::BTreeMap;

use super::{
    error::{PlanErrors, Report},
    ids::Ids,
    model::{Environment, EnvironmentKind, Plan},
    raw::{RawHead, RawPlan},
    rules,
    scalar::{choice, quote, slug, suggest},
    tree::{self, parse, read, shape_steps},
    vars::Scope,
};

const KINDS: [(&str, EnvironmentKind); 3] = [
    ("production", EnvironmentKind::Production),
    ("staging", EnvironmentKind::Staging),
    ("sandbox", EnvironmentKind::Sandbox),
];

/// A plan that loaded, and what a person should look at before using it.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The plan.
    pub plan: Plan,
    /// Only warnings; may be empty.
    pub warnings: PlanErrors,
}

/// Loads a plan for one environment.
///
/// `source` is the text of the file, `origin` its name for messages, `given` are variables from outside that win over
/// those of the file (the sandbox's are listed by [`sandbox_placeholders`]).
///
/// # Errors
/// Everything that is wrong with the plan, not only the first; show it with [`PlanErrors::render`].
pub fn load(
    source: &str,
    origin: &str,
    environment: &str,
    given: &BTreeMap<String, String>,
) -> Result<Plan, PlanErrors> {
    check(source, origin, environment, given).map(|checked| checked.plan)
}

/// As [`load`], with the warnings beside the plan.
///
/// # Errors
/// As [`load`]; the warnings are among them.
pub fn check(
    source: &str,
    origin: &str,
    environment: &str,
    given: &BTreeMap<String, String>,
) -> Result<Checked, PlanErrors> {
    let mut report = Report::default();
    let plan = build(source, environment, given, &mut report);
    match plan.filter(|_| !report.failed()) {
        Some(plan) => Ok(Checked { plan, warnings: report.finish(source, origin) }),
        None => Err(report.finish(source, origin)),
    }
}

/// The environments that a plan file knows, by name.
///
/// # Errors
/// When the file is not TOML or its `environments` are not what they should be.
pub fn environments(source: &str, origin: &str) -> Result<BTreeMap<String, EnvironmentKind>, PlanErrors> {
    let mut report = Report::default();
    let head = parse(source, &mut report).and_then(|mut tree| head(&mut tree, &mut report));
    let kinds = head.map(|head| kinds(&head, &mut report)).unwrap_or_default();
    if kinds.is_empty() && !report.failed() {
        let missing = "the plan has no environment: nothing can be run, and nothing was checked";
        report.error(0..0, missing.to_owned()).help("add `[environments.staging]` with `kind = \"staging\"`");
    }
    if report.failed() { Err(report.finish(source, origin)) } else { Ok(kinds) }
}

/// The variables that a running sandbox gives, with placeholders on loopback, so that a plan can be checked offline.
///
/// | name | what it holds |
/// |---|---|
/// | `sandbox.authority` | the authoritative DNS server, `127.0.0.1:5301` |
/// | `sandbox.resolvers` | `name=address:port` joined by commas |
/// | `sandbox.old_address`, `sandbox.new_address` | the address of each side's origin |
/// | `sandbox.http_port`, `sandbox.https_port` | the ports of both origins |
/// | `sandbox.old_database`, `sandbox.new_database` | the address of each side's PostgreSQL |
/// | `sandbox.database_port` | the port of both |
/// | `sandbox.ca_file` | the PEM file that trusts the origins' certificates |
/// | `sandbox.aws_endpoint`, `sandbox.heroku_endpoint` | the base URLs of the APIs |
#[must_use]
pub fn sandbox_placeholders() -> BTreeMap<String, String> {
    let placeholders = [
        ("authority", "127.0.0.1:5301"),
        ("resolvers", "honest=127.0.0.1:5302, stubborn=127.0.0.1:5303"),
        ("old_address", "127.0.0.21"),
        ("new_address", "127.0.0.22"),
        ("http_port", "8080"),
        ("https_port", "8443"),
        ("old_database", "127.0.0.23"),
        ("new_database", "127.0.0.24"),
        ("database_port", "5432"),
        ("ca_file", "sandbox-ca.pem"),
        ("aws_endpoint", "http://127.0.0.1:4566"),
        ("heroku_endpoint", "http://127.0.0.1:4567"),
        ("directory", "session"),
    ];
    placeholders.into_iter().map(|(name, value)| (format!("sandbox.{name}"), value.to_owned())).collect()
}

fn build(source: &str, name: &str, given: &BTreeMap<String, String>, report: &mut Report) -> Option<Plan> {
    let mut tree = parse(source, report)?;
    let head = head(&mut tree, report)?;
    let kinds = kinds(&head, report);
    let Some((place, environment)) = head.environments.iter().find(|(known, _)| known.get_ref() == name) else {
        // One that was written but could not be read has been told about.
        if !report.failed() {
            let help = suggest(name, kinds.keys().map(String::as_str));
            report.error(0..0, format!("the plan has no environment {}", quote(name))).help(help);
        }
        return None;
    };
    // One that cannot be read has been told about; the rest of the plan is looked at all the same.
    let kind = kinds.get(place.get_ref()).copied().unwrap_or(EnvironmentKind::Staging);
    let scope = Scope::new(&[&head.vars, &environment.get_ref().vars], given);
    scope.expand_tree(source, &mut tree, report);
    let ids = Ids::collect(&tree, report);
    shape_steps(&mut tree);
    let raw: RawPlan = read(tree, report)?;
    Some(rules::apply(&raw, &Environment { name: name.to_owned(), kind }, &ids, report))
}

fn head(tree: &mut tree::Tree<'_>, report: &mut Report) -> Option<RawHead> {
    let names = tree::fields_of::<RawHead>();
    read(tree::take(tree, names), report)
}

fn kinds(head: &RawHead, report: &mut Report) -> BTreeMap<String, EnvironmentKind> {
    let mut kinds = BTreeMap::new();
    for (name, environment) in &head.environments {
        if let Err(fault) = slug(name.get_ref()) {
            report.fault(name.span(), fault);
        }
        let kind = report.read(&environment.get_ref().kind, |text| choice("a kind of environment", &KINDS, text));
        kinds.extend(kind.map(|kind| (name.get_ref().clone(), kind)));
    }
    kinds
}
