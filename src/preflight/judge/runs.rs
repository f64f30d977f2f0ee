//! What runs: the Heroku app, ECS services and their task definitions, secrets, log groups.

use std::collections::BTreeSet;

use super::{Answer, Facts, finding, passed, read, some, wanting};
use crate::{
    plan::{Kind, Plan, Role, RunnerSource, SecretStore},
    preflight::facts::{HerokuFacts, ServiceFacts},
    run::{Finding, RELEASE, Standing},
    world::{
        logs::Receiving,
        tasks::{Container, Definition},
    },
};

pub(super) fn judge(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    let mut all: Vec<_> = facts.heroku.iter().map(|found| processes(plan, found)).collect();
    all.extend(facts.heroku.iter().flatten().map(|found| scheduler(plan, found)));
    all.extend(facts.heroku.iter().flatten().filter(|found| !found.fingerprints.is_empty()).map(values));
    all.extend(facts.heroku.iter().flatten().map(|found| release(found, facts.begun.is_some())));
    all.extend(facts.services.iter().map(service));
    all.extend(apart(&facts.services));
    for (name, definition) in definitions(facts) {
        let (id, title) = (format!("image:{name}"), format!("Image of {name}"));
        all.push(read(definition, &id, &title, |definition| images(&id, &title, definition)));
    }
    for service in facts.services.iter().filter(|service| service.definition.is_ok()) {
        all.push(health(service));
    }
    all.extend(secrets(plan, facts));
    all.extend(facts.logs.iter().map(|(group, found)| log_group(facts, group, found)));
    all
}

/// Every task definition, by what runs it.
fn definitions(facts: &Facts) -> impl Iterator<Item = (&str, &Answer<Definition>)> {
    let services = facts.services.iter().map(|one| (one.service.as_str(), &one.definition));
    services.chain(facts.tasks.iter().map(|(step, definition)| (step.as_str(), definition)))
}

/// Process types that the plan scales or watches must exist: Heroku refuses to scale others.
fn processes(plan: &Plan, found: &Answer<HerokuFacts>) -> Finding {
    let (id, title) = ("heroku", "Heroku app");
    read(found, id, title, |found| {
        let scaled = plan.steps.iter().filter_map(|step| match &step.kind {
            Kind::HerokuScale { formation, .. } => Some(formation.keys()),
            _ => None,
        });
        let watched = plan.runners.iter().filter_map(|runner| match &runner.source {
            RunnerSource::Heroku { process } => Some(process),
            _ => None,
        });
        let named: BTreeSet<_> = scaled.flatten().chain(watched).collect();
        let missing: Vec<_> = named.into_iter().filter(|name| !found.formation.contains_key(*name)).collect();
        if missing.is_empty() {
            let shown: Vec<_> = found.formation.iter().map(|(name, count)| format!("{name} {count}")).collect();
            return passed(id, title, some(&shown));
        }
        wanting(id, title, format!("it has no process {}", some(&missing)), "correct the plan, or the Procfile")
    })
}

/// An add-on that fails over, or rotates its credentials, changes `DATABASE_URL` by itself; what holds the old value then
/// writes to nowhere.
fn values(found: &HerokuFacts) -> Finding {
    let reason = format!("{} with the values of the session's first look", found.config_vars.len());
    let finding = passed("config-values", "Values of Heroku's config vars", reason);
    Finding { fingerprints: found.fingerprints.clone(), ..finding }
}

/// Somebody who deploys on Heroku in the window brings code, and migrations, that AWS does not have.
fn release(found: &HerokuFacts, begun: bool) -> Finding {
    read(&found.release, RELEASE, "Heroku release", |release| match release {
        None => passed(RELEASE, "Heroku release", "nothing was ever deployed"),
        Some((version, what)) => {
            let finding = passed(RELEASE, "Heroku release", format!("v{version}, {what}"));
            let mark = begun.then(|| ("release".to_owned(), finding.reason.clone()));
            Finding { fingerprints: mark.into_iter().collect(), ..finding }
        }
    })
}

/// Scheduler's jobs have no API: nobody can stop them but a person, and maintenance mode leaves them running.
fn scheduler(plan: &Plan, found: &HerokuFacts) -> Finding {
    let (id, title) = ("scheduler", "Heroku Scheduler");
    let names_it = |item: &String| item.to_lowercase().contains("scheduler");
    let covers = plan.steps.iter().find(|step| match &step.kind {
        Kind::Manual { items } => items.iter().any(names_it),
        _ => false,
    });
    read(&found.addons, id, title, |addons| match covers {
        _ if !addons.contains("scheduler") => passed(id, title, "the app has none"),
        Some(step) => passed(id, title, format!("its jobs have no API: a person ticks them off in `{}`", step.id)),
        None => wanting(
            id,
            title,
            "the app has it, its jobs run on in maintenance mode, and no API shows or stops them",
            "move its jobs, and give the plan a `manual` step with an item that says so (it must name Scheduler)",
        ),
    })
}

fn service(facts: &ServiceFacts) -> Finding {
    let name = format!("{}/{}", facts.cluster, facts.service);
    let (id, title) = (format!("service:{}", facts.service), format!("Service {name}"));
    read(&facts.found, &id, &title, |found| match &found.rollout {
        Some(rollout) if rollout.state == "FAILED" => wanting(
            &id,
            &title,
            format!("its deployment failed: {}", rollout.reason),
            "deploy it anew, or roll it back",
        ),
        Some(rollout) => {
            let definition = &rollout.definition;
            passed(&id, &title, format!("{definition}, {} of {} run", found.running, found.desired))
        }
        None => passed(&id, &title, format!("{} of {} run", found.running, found.desired)),
    })
}

/// Separate task definitions, with commands of their own: who deploys the one must not touch the other.
fn apart(services: &[ServiceFacts]) -> Option<Finding> {
    let (id, title) = ("definitions", "Task definitions apart");
    let known: Vec<_> = services.iter().filter_map(|one| Some((one, one.definition.as_ref().ok()?))).collect();
    if known.len() < 2 {
        return None;
    }
    for (place, (one, definition)) in known.iter().enumerate() {
        for (other, theirs) in known[..place].iter().filter(|(other, _)| other.role != one.role) {
            let pair = format!("{} and {}", other.service, one.service);
            if family(definition) == family(theirs) {
                let reason = format!("{pair} run the same task definition, {}", definition.name);
                return Some(wanting(id, title, reason, "give each a family of its own"));
            }
            if command(definition) == command(theirs) && command(definition).is_some() {
                let reason = format!("{pair} run the same command");
                return Some(wanting(id, title, reason, "give each its own command: two workers would hide as web"));
            }
        }
    }
    let names: Vec<_> = known.iter().map(|(_, definition)| definition.name.as_str()).collect();
    Some(passed(id, title, some(&names)))
}

fn family(definition: &Definition) -> &str {
    definition.name.split(':').next().unwrap_or_default()
}

/// None: the image's own, which cannot be compared.
fn command(definition: &Definition) -> Option<&[String]> {
    let first = definition.containers.first()?;
    Some(first.command.as_slice()).filter(|command| !command.is_empty())
}

/// By digest: what a tag means may change between the rehearsal and the night.
fn images(id: &str, title: &str, definition: &Definition) -> Finding {
    let tagged: Vec<_> = definition.containers.iter().filter(|one| !one.image.contains("@sha256:")).collect();
    match tagged.first() {
        Some(container) => {
            let reason = format!("{} runs {}, by tag", definition.name, container.image);
            wanting(id, title, reason, "register a revision with the image's digest (IMAGE@sha256:...)")
        }
        None => passed(id, title, format!("{}, pinned by digest", definition.name)),
    }
}

fn health(facts: &ServiceFacts) -> Finding {
    let (id, title) = (format!("health:{}", facts.service), format!("Health check of {}", facts.service));
    let Ok(definition) = &facts.definition else { return finding(id, title, Standing::Unknown, "not known") };
    let checked = definition.containers.iter().any(|container| container.health_check);
    let balanced = facts.role == Role::Web && facts.found.as_ref().is_ok_and(|found| found.balanced);
    match (checked, balanced) {
        (true, _) => passed(id, title, format!("{} has one", definition.name)),
        (_, true) => passed(id, title, "its load balancer has one"),
        _ => {
            let reason = format!("{} has none: a task that hangs counts as running", definition.name);
            wanting(id, title, reason, "add a `healthCheck` to the container")
        }
    }
}

/// Every config var of Heroku's must be somewhere on AWS, and what the definitions take must exist.
fn secrets(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    let mut all = Vec::new();
    for (store, prefix, names) in &facts.secrets {
        let (id, title) = (format!("secrets:{}{prefix}", store_word(*store)), format!("Names in {}", store.label()));
        all.push(read(names, &id, &title, |names| passed(&id, &title, format!("{} of `{prefix}`", names.len()))));
    }
    for (name, definition) in definitions(facts) {
        if let Ok(definition) = definition
            && definition.containers.iter().any(|container| !container.sources.is_empty())
        {
            all.push(sources(facts, name, definition));
        }
    }
    if let Some(Ok(heroku)) = &facts.heroku
        && !facts.services.is_empty()
    {
        all.push(config_vars(plan, facts, heroku));
    }
    all
}

const fn store_word(store: SecretStore) -> &'static str {
    match store {
        SecretStore::SecretsManager => "secretsmanager:",
        SecretStore::Ssm => "ssm:",
    }
}

/// Whether a name of a store exists; None: nobody looked there, or it could not be read.
fn exists(facts: &Facts, store: SecretStore, name: &str) -> Option<bool> {
    let looked = facts.secrets.iter().filter(|(of, prefix, _)| *of == store && name.starts_with(prefix.as_str()));
    let mut answer = None;
    for (_, _, names) in looked {
        match names {
            Ok(names) if names.iter().any(|known| is_called(known, name)) => return Some(true),
            Ok(_) => answer = Some(false),
            Err(_) => {}
        }
    }
    answer
}

/// A secret's ARN may end in `-` and six characters that its name has not.
fn is_called(known: &str, named: &str) -> bool {
    let suffix = named.strip_prefix(known).and_then(|rest| rest.strip_prefix('-'));
    known == named || suffix.is_some_and(|rest| rest.len() == 6 && rest.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// Store and name of what a definition's `valueFrom` points at.
///
/// Source: ECS developer guide, "Pass sensitive data to an ECS container": the ARN of a secret (with `:json-key` and
/// more behind it), the ARN of a parameter, or a parameter's name alone.
fn source(value_from: &str) -> (SecretStore, &str) {
    match value_from.split_once(":secret:") {
        Some((_, rest)) => (SecretStore::SecretsManager, rest.split(':').next().unwrap_or(rest)),
        None => match value_from.split_once(":parameter") {
            Some((_, rest)) => (SecretStore::Ssm, rest),
            None => (SecretStore::Ssm, value_from),
        },
    }
}

fn sources(facts: &Facts, name: &str, definition: &Definition) -> Finding {
    let (id, title) = (format!("secrets:{name}"), format!("Secrets of {name}"));
    let all: Vec<_> = definition.containers.iter().flat_map(|container: &Container| &container.sources).collect();
    let known = all.iter().map(|(variable, from)| {
        let (store, name) = source(from);
        // A parameter's ARN leaves out whether its name begins with a slash.
        let found = exists(facts, store, name).max(exists(facts, store, name.trim_start_matches('/')));
        (variable.as_str(), store, found)
    });
    let known: Vec<_> = known.collect();
    let missing: Vec<_> =
        known.iter().filter(|(_, _, found)| *found == Some(false)).map(|(name, _, _)| *name).collect();
    let unseen: Vec<_> = known.iter().filter(|(_, _, found)| found.is_none()).map(|(name, _, _)| *name).collect();
    if !missing.is_empty() {
        let reason = format!("what {} points at for {} does not exist", definition.name, some(&missing));
        return wanting(id, title, reason, "create the secret under that name, or correct the definition");
    }
    if !unseen.is_empty() {
        let reason = format!("nobody looked where {} takes {} from", definition.name, some(&unseen));
        let unknown = finding(id, title, Standing::Unknown, reason);
        return Finding { remedy: Some("add the place to `preflight.secrets`".into()), ..unknown };
    }
    passed(id, title, format!("all {} exist by name", known.len()))
}

fn config_vars(plan: &Plan, facts: &Facts, heroku: &HerokuFacts) -> Finding {
    let (id, title) = ("config-vars", "Config vars of Heroku on AWS");
    let hints = plan.preflight.clone().unwrap_or_default();
    let given = |name: &str| {
        let known = definitions(facts).filter_map(|(_, definition)| definition.as_ref().ok());
        known.flat_map(|definition| &definition.containers).any(|container| {
            let taken = |list: &[String]| list.iter().any(|known| known == name);
            taken(&container.environment) || taken(&container.secrets)
        })
    };
    let stored = |name: &str| {
        let answers = hints.secrets.iter().map(|place| exists(facts, place.store, &format!("{}{name}", place.prefix)));
        answers.max().flatten()
    };
    let needed: Vec<_> = heroku.config_vars.iter().filter(|name| !hints.not_secrets.contains(name)).collect();
    let lost: Vec<_> = needed.iter().filter(|name| !given(name) && stored(name) != Some(true)).collect();
    let unread = facts.secrets.iter().any(|(_, _, names)| names.is_err());
    if lost.is_empty() {
        return passed(id, title, format!("all {} are there by name", needed.len()));
    }
    if unread {
        return finding(id, title, Standing::Unknown, format!("names of secrets could not be read: {}", some(&lost)));
    }
    wanting(
        id,
        title,
        format!("neither a secret nor a variable of a task: {}", some(&lost)),
        "create them, or list what AWS does without in `preflight.not_secrets`",
    )
}

/// A group whose service runs must receive; one whose service waits at 0 must only exist.
fn log_group(facts: &Facts, group: &str, found: &Answer<Receiving>) -> Finding {
    let (id, title) = (format!("logs:{group}"), format!("Log group {group}"));
    let writes = |definition: &Definition| {
        definition.containers.iter().any(|container| container.log.0.as_deref() == Some(group))
    };
    let writers = facts.services.iter().filter(|one| one.definition.as_ref().is_ok_and(writes));
    let running: Vec<_> = writers
        .filter(|one| one.found.as_ref().is_ok_and(|found| found.running > 0))
        .map(|one| one.service.as_str())
        .collect();
    read(found, &id, &title, |found| match (found, running.is_empty()) {
        (Receiving::Missing, _) => {
            wanting(&id, &title, "it does not exist", "create it: tasks that cannot log do not start")
        }
        (Receiving::Yes, _) => passed(&id, &title, "it receives"),
        (Receiving::Silent, true) => passed(&id, &title, "it exists; nothing runs yet that writes to it"),
        (Receiving::Silent, false) => {
            let reason = format!("{} runs, and nothing arrives", some(&running));
            wanting(&id, &title, reason, "see the task's execution role and its `awslogs` options")
        }
    })
}
