//! The journal against what really happened: every mutation in the sandbox's ledger belongs to one intent, and every
//! intent took effect once or not at all, as the journal says.

use std::collections::BTreeSet;

use cutover::{
    journal::Reader,
    plan::{RecordSet, Side, batch},
    run::{Access, Change, Event, Grant, Observation, Outcome, RdsChange, What},
    sandbox::ledger::Entry,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::home::Home;

/// One intent that would change the world, and what the journal says became of it.
#[derive(Debug)]
struct Intent {
    at: Timestamp,
    token: String,
    /// What the ledger must show if it took effect.
    facts: BTreeSet<String>,
    /// None: the journal does not say (yet).
    took_effect: Option<bool>,
    /// A task: one that failed or was stopped was started all the same.
    task: bool,
}

/// What was compared.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compared {
    /// Intents that would change the world.
    pub(crate) intents: usize,
    /// Those that took effect.
    pub(crate) acts: usize,
    /// Engines that ran.
    pub(crate) engines: usize,
}

/// Asserts that journal and ledger tell the same story.
pub(crate) fn assert_agreement(home: &Home) -> Compared {
    let events: Vec<Event> = Reader::open(home.session().journal()).unwrap().map(Result::unwrap).collect();
    let intents = intents(&events);
    let ledger = home.ledger();
    let requests = requests(&ledger, &intents);
    let mut used = vec![0; intents.len()];
    for Request { at, owner, facts, .. } in &requests {
        let owner = owner.unwrap_or_else(|| panic!("{facts:?} happened at {at} without any intent"));
        let intent = &intents[owner];
        assert_eq!(*facts, intent.facts, "what happened at {at} is not what {} intended", intent.token);
        used[owner] += 1;
    }
    for (intent, times) in intents.iter().zip(&used) {
        assert!(*times <= 1, "{} was done {times} times", intent.token);
        let said = intent.took_effect.unwrap_or_else(|| panic!("the journal does not say what {} did", intent.token));
        assert!(said || intent.task || *times == 0, "{} was done, and the journal says that it was not", intent.token);
        assert!(!said || *times == 1, "of {} the journal says {said}, and it happened {times} times", intent.token);
    }
    let engines = events.iter().filter(|event| matches!(event.what, What::EngineStarted { .. })).count();
    Compared { intents: intents.len(), acts: requests.len(), engines }
}

fn intents(events: &[Event]) -> Vec<Intent> {
    let mut all: Vec<Intent> = Vec::new();
    // The intent whose outcome comes next; None while a read-only one or a command is on its way.
    let mut open: Option<usize> = None;
    for event in events {
        match &event.what {
            What::Intended { change, token, .. } => {
                open = facts_of(change).map(|facts| {
                    let task = matches!(change, Change::Task(_));
                    all.push(Intent { at: event.at, token: token.clone(), facts, took_effect: None, task });
                    all.len() - 1
                });
            }
            What::Ended { outcome: Outcome::Done { .. }, .. }
            | What::Observed { observation: Observation::Done | Observation::Unfinished { .. }, .. }
            | What::Resolved { done: true, .. } => settle(&mut all, open, true),
            What::Ended { outcome: Outcome::Failed { .. }, .. }
            | What::Observed { observation: Observation::NotDone { .. }, .. }
            | What::Resolved { done: false, .. } => settle(&mut all, open, false),
            _ => {}
        }
    }
    all
}

/// The first word counts: after an act was done, its verification may fail, and the act stays done.
fn settle(all: &mut [Intent], open: Option<usize>, done: bool) {
    if let Some(intent) = open.and_then(|open| all.get_mut(open)) {
        intent.took_effect.get_or_insert(done);
    }
}

/// What the ledger shows of a change; None for what leaves no trace there.
fn facts_of(change: &Change) -> Option<BTreeSet<String>> {
    let facts: Vec<Value> = match change {
        Change::Nothing | Change::Command { .. } => return None,
        Change::Records { zone_id, before, after } => {
            let changes = batch(before, after);
            let rows = changes.iter().map(|(action, set)| record_fact(zone_id, &format!("{action:?}"), set));
            rows.collect()
        }
        Change::Maintenance { app, from, to } => vec![json!(["maintenance", app, from, to])],
        Change::Formation { app, from, to } => {
            let moved = to.iter().filter(|(process, quantity)| from.get(*process) != Some(quantity));
            moved.map(|(name, to)| json!(["quantity", format!("{app}/{name}"), from.get(name), to])).collect()
        }
        Change::Task(task) => {
            vec![json!(["task", format!("{}/{}", task.cluster, task.definition), null, task.command])]
        }
        Change::Service { cluster, service, from, to } => {
            vec![json!(["desiredCount", format!("{cluster}/{service}"), from, to])]
        }
        Change::Rds(change) => vec![rds_fact(change)],
        Change::WriteAccess { side, database, from, to } => access_facts(*side, database, from, to),
        Change::Sequences { from, to } => {
            let moved = to.iter().filter(|(name, position)| from.get(*name) != Some(position));
            moved.map(|(name, to)| json!(["sequence", format!("new/{name}"), from.get(name), to])).collect()
        }
    };
    let facts: BTreeSet<_> = facts.iter().map(Value::to_string).collect();
    // A change whose ends are equal leaves no trace either.
    (!facts.is_empty() && !change.is_settled()).then_some(facts)
}

fn rds_fact(change: &RdsChange) -> Value {
    match change {
        RdsChange::Restored { snapshot, target, to: true, .. } => {
            let made = json!({
                "class": target.class, "parameterGroup": target.parameter_group,
                "securityGroups": target.security_groups, "snapshot": snapshot, "subnetGroup": target.subnet_group,
            });
            json!(["instance", target.instance, null, made])
        }
        RdsChange::Restored { snapshot, target, .. } => json!(["instance", target.instance, snapshot, null]),
        RdsChange::Snapshot { instance, snapshot } => json!(["snapshot", snapshot, null, instance]),
        RdsChange::Promoted { replica, source } => json!(["source", replica, source, null]),
        RdsChange::Switched { deployment, blue, green, .. } => json!(["serves", deployment, blue, green]),
    }
}

/// What the ledger shows of a change of who may write.
fn access_facts(side: Side, database: &str, from: &Access, to: &Access) -> Vec<Value> {
    let side = match side {
        Side::Old => "old",
        Side::New => "new",
    };
    match (from, to) {
        (Access::Grants { grants: from }, Access::Grants { grants: to }) => {
            let fact = |grant: &Grant, given: bool| {
                let target = format!("{side}/{}/{}.{}", grant.role, grant.schema, grant.table);
                json!([grant.privilege, target, !given, given])
            };
            let lost = from.iter().filter(|grant| !to.contains(grant)).map(|grant| fact(grant, false));
            let won = to.iter().filter(|grant| !from.contains(grant)).map(|grant| fact(grant, true));
            lost.chain(won).collect()
        }
        (Access::Limits { limits: from }, Access::Limits { limits: to }) => {
            let moved = to.iter().filter(|(role, limit)| from.get(*role) != Some(limit));
            moved.map(|(role, to)| json!(["connectionLimit", format!("{side}/{role}"), from.get(role), to])).collect()
        }
        (Access::ReadOnly { defaults: from }, Access::ReadOnly { defaults: to }) => {
            let whose = |role: &str| if role.is_empty() { database.to_owned() } else { format!("{database}/{role}") };
            let moved = to.iter().filter(|(role, value)| from.get(*role) != Some(value));
            let setting = "default_transaction_read_only";
            moved.map(|(role, to)| json!([setting, format!("{side}/{}", whose(role)), from.get(role), to])).collect()
        }
        _ => Vec::new(),
    }
}

fn record_fact(zone_id: &str, action: &str, set: &RecordSet) -> Value {
    let alias = set.alias.as_ref().map(|alias| alias.target.clone());
    let weight = set.weighted.as_ref().map(|weighted| (weighted.set_identifier.clone(), weighted.weight));
    json!([zone_id, action.to_uppercase(), set.name, set.ttl, set.values, alias, weight])
}

/// What one request did.
struct Request<'a> {
    id: &'a str,
    at: Timestamp,
    /// One thing acts at a time: what happened belongs to the last intent before it.
    owner: Option<usize>,
    facts: BTreeSet<String>,
}

/// The ledger by request: one call may change several things at once, and one intent sets its sequences one by one.
fn requests<'a>(ledger: &'a [Entry], intents: &[Intent]) -> Vec<Request<'a>> {
    let mut all: Vec<Request> = Vec::new();
    // That a task is stopped is the end of its own intent, and so is the end of a session that of a freeze.
    let counts = |entry: &&Entry| entry.action != "StopTask" && entry.detail.get("terminated").is_none();
    let mut sets = false;
    for entry in ledger.iter().filter(counts) {
        let owner = intents.iter().rposition(|intent| intent.at <= entry.at);
        let facts = entry_facts(entry);
        let next = sets && entry.action == "setval";
        sets = entry.action == "setval";
        match all.last_mut() {
            Some(known) if known.id == entry.request_id || (next && known.owner == owner) => known.facts.extend(facts),
            _ => all.push(Request { id: &entry.request_id, at: entry.at, owner, facts }),
        }
    }
    all
}

fn entry_facts(entry: &Entry) -> BTreeSet<String> {
    let detail = &entry.detail;
    if let Some(changes) = detail["changes"].as_array() {
        return changes.iter().map(|change| change_fact(&entry.target, change).to_string()).collect();
    }
    let (what, moved) = detail.as_object().unwrap().iter().next().unwrap();
    let fact = json!([what, entry.target, moved["from"], moved["to"]]);
    BTreeSet::from([fact.to_string()])
}

fn change_fact(zone_id: &str, change: &Value) -> Value {
    let alias = &change["alias"]["target"];
    let weighted = !change["weight"].is_null();
    let weight = if weighted { json!([change["set_identifier"], change["weight"]]) } else { Value::Null };
    json!([zone_id, change["action"], change["name"], change["ttl"], change["values"], alias, weight])
}
