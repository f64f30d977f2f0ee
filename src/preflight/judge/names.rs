//! Names and what is behind them: checks on both sides, records, batches, name servers.

use super::{Facts, finding, passed, read, some, wanting};
use crate::{
    plan::{Plan, Record, RecordSet, RecordType},
    preflight::facts::ServerFacts,
    run::{CheckSample, Finding, Standing, Target, Trouble, TroubleKind, enough_answer},
    world::route53::{Found, canonical},
};

pub(super) fn judge(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    let checks = facts.checks.iter().map(|run| check(plan, run));
    let records = facts.records.iter().filter_map(|(id, sets)| Some((plan.record(id)?, sets)));
    let records = records.flat_map(|(record, sets)| {
        let (id, title) = (format!("record:{}", record.id), format!("Record {}", name_of(record)));
        let stands = read(sets, &id, &title, |sets| stands(plan, record, sets, facts.begun.is_some()));
        let (id, title) = (format!("batch:{}", record.id), format!("Batches of {}", name_of(record)));
        [stands, read(sets, &id, &title, |sets| batches(plan, record, sets))]
    });
    let authorities = facts.servers.iter().filter(|server| server.authority).map(|server| authority(plan, server));
    checks.chain(records).chain(authorities).chain(resolvers(plan, facts)).collect()
}

fn check(plan: &Plan, run: &CheckSample) -> Finding {
    let check = plan.checks.iter().find(|check| check.id == run.check);
    let (side, word) = match run.target {
        Target::New => (&plan.sides.new.label, "new"),
        Target::Old | Target::Live => (&plan.sides.old.label, "old"),
    };
    let title = format!("Check {} on {side}", check.map_or(run.check.as_str(), |check| check.title.as_str()));
    let id = format!("check:{}:{word}", run.check);
    if run.passing {
        let status = run.status.map_or_else(String::new, |status| format!("status {status}, "));
        return passed(id, title, format!("{status}{} ms", run.latency.as_millis()));
    }
    let reason = run.reason.clone().unwrap_or_else(|| "it fails".into());
    wanting(id, title, reason, format!("mend it on the {word} side before the window"))
}

/// A change is in force only when every server of the zone serves it. What they say of names that are not there matters
/// should one ever be gone for a moment: the cutover changes a name in one batch, so that none is.
fn authority(plan: &Plan, server: &ServerFacts) -> Finding {
    let (id, title) = (format!("server:{}", server.name), format!("Name server {}", server.name));
    let remedy = "reach it from here, or correct `dns.authority`";
    if let Some(trouble) = server.zones.iter().find_map(|(_, answer)| answer.as_ref().err()) {
        return wanting(id, title, trouble.reason.clone(), remedy);
    }
    if let Some((record, trouble)) = unanswered(server).next() {
        return wanting(id, title, format!("{}: {}", named(plan, record), trouble.reason), remedy);
    }
    match server.zones.iter().find_map(|(_, answer)| answer.clone().ok().flatten()) {
        Some(seconds) => passed(id, title, format!("it answers; that a name is gone is remembered for {seconds} s")),
        None => passed(id, title, "it answers"),
    }
}

/// Records that a server does not answer for.
fn unanswered(server: &ServerFacts) -> impl Iterator<Item = (&str, &Trouble)> {
    server.records.iter().filter_map(|(record, answer)| Some((record.as_str(), answer.as_ref().err()?)))
}

fn named<'a>(plan: &'a Plan, record: &'a str) -> &'a str {
    plan.record(record).map_or(record, name_of)
}

/// Judged as a run judges them: some may be silent, and half of them are too many, for each record by itself. One that
/// denies a name never agrees.
fn resolvers(plan: &Plan, facts: &Facts) -> Option<Finding> {
    let (id, title) = ("resolvers", "Resolvers");
    let asked: Vec<_> = facts.servers.iter().filter(|server| !server.authority).collect();
    let all = asked.len();
    let remedy = "reach them from here, or take them out of `dns.resolvers`";
    let denies = asked.iter().flat_map(|server| {
        let zones = server.zones.iter().filter_map(|(_, answer)| answer.as_ref().err());
        let troubles = zones.chain(unanswered(server).map(|(_, trouble)| trouble));
        let denied = troubles.filter(|trouble| trouble.kind == TroubleKind::Unexpected);
        denied.map(|trouble| format!("{} ({})", server.name, trouble.reason)).take(1)
    });
    let denies: Vec<_> = denies.collect();
    let silent: Vec<_> = asked.iter().filter_map(|server| silence(plan, server)).collect();
    let unheard = |record: &str| asked.iter().filter(|server| unanswered(server).any(|(id, _)| id == record)).count();
    let worst = plan.records.iter().map(|record| (all - unheard(&record.id), name_of(record))).min()?;
    let (heard, record) = worst;
    (all > 0).then(|| match () {
        () if !denies.is_empty() => wanting(id, title, format!("not of one mind: {}", some(&denies)), remedy),
        () if silent.is_empty() => passed(id, title, format!("all {all} answer for every record")),
        () if enough_answer(heard, all) => {
            passed(id, title, format!("{heard} of {all} answer, which is enough; silent: {}", some(&silent)))
        }
        () => {
            let blind = "a drain would not end, and no switch could be armed";
            let reason = format!("only {heard} of {all} answer for {record}: {blind}; silent: {}", some(&silent));
            wanting(id, title, reason, remedy)
        }
    })
}

/// What a resolver does not answer: everything, or the records that are named; None: it answers.
fn silence(plan: &Plan, server: &ServerFacts) -> Option<String> {
    let silent: Vec<_> = unanswered(server).collect();
    let of_zone = server.zones.iter().find_map(|(zone, answer)| Some((zone, answer.as_ref().err()?)));
    let records: Vec<_> = silent.iter().map(|(record, _)| named(plan, record)).collect();
    let why = |trouble: &Trouble| format!("({})", trouble.reason);
    match (silent.first(), of_zone) {
        (Some((_, trouble)), _) if silent.len() < server.records.len() => {
            Some(format!("{} for {} alone {}", server.name, some(&records), why(trouble)))
        }
        (Some(_), Some((_, trouble))) => Some(format!("{} {}", server.name, why(trouble))),
        (Some((_, trouble)), None) => Some(format!("{} {}", server.name, why(trouble))),
        (None, Some((zone, trouble))) => {
            Some(format!("{} for the zone {} alone {}", server.name, zone.trim_end_matches('.'), why(trouble)))
        }
        (None, None) => None,
    }
}

fn name_of(record: &Record) -> &str {
    record.name().trim_end_matches('.')
}

fn show(sets: &[&RecordSet]) -> String {
    if sets.is_empty() {
        return "nothing".into();
    }
    sets.iter().map(|set| set.to_string()).collect::<Vec<_>>().join("; ")
}

/// What stands at the record's name of the types that it has before or after its move, and all that is there beside.
fn sorted<'a>(plan: &Plan, record: &Record, sets: &'a [Found]) -> (Vec<&'a RecordSet>, Vec<&'a RecordSet>) {
    let own = [record.old.kind, record.new.kind];
    let of_another = |kind: RecordType| {
        let same_name = plan.records.iter().filter(|other| other.id != record.id && other.name() == record.name());
        same_name.flat_map(|other| [other.old.kind, other.new.kind]).any(|theirs| theirs == kind)
    };
    let (mine, rest): (Vec<_>, Vec<_>) = sets.iter().map(|found| &found.set).partition(|set| own.contains(&set.kind));
    (mine, rest.into_iter().filter(|set| !of_another(set.kind)).collect())
}

/// The same target, whatever the TTL and the weight.
fn leads_to(set: &RecordSet, wanted: &RecordSet) -> bool {
    let (set, wanted) = (canonical(set), canonical(wanted));
    set.kind == wanted.kind && set.values == wanted.values && set.alias == wanted.alias
}

fn stands(plan: &Plan, record: &Record, sets: &[Found], begun: bool) -> Finding {
    let (id, title) = (format!("record:{}", record.id), format!("Record {}", name_of(record)));
    let (mine, rest) = sorted(plan, record, sets);
    let old = |set: &&RecordSet| leads_to(set, &record.old);
    let new = |set: &&RecordSet| leads_to(set, &record.new);
    // Once the session runs the record may be anywhere on its way.
    let expected = match begun {
        false => mine.len() == 1 && mine[0].weighted.is_none() && old(&mine[0]),
        true => !mine.is_empty() && mine.iter().all(|set| old(set) || new(set)),
    };
    if !expected {
        let found = show(&mine);
        let remedy = if mine.iter().all(new) && !mine.is_empty() {
            "it is on the new side already: take the record out of the plan, or put it back"
        } else {
            "correct the record in the zone or in the plan: `old` is what stands there today"
        };
        return wanting(id, title, format!("the plan expects {}, and there is {found}", record.old), remedy);
    }
    let stray = rest.iter().find(|set| matches!(set.kind, RecordType::A | RecordType::Aaaa));
    if let Some(stray) = stray {
        let reason = format!("{stray} stands beside it and would stay on the old side");
        return wanting(id, title, reason, "move it, too: add a `[[record]]` for that type");
    }
    let ttl = mine[0].ttl.filter(|ttl| Some(*ttl) != record.old.ttl && !begun);
    match ttl {
        Some(ttl) => {
            let planned = record.old.ttl.unwrap_or_default();
            passed(id, title, format!("as expected; its TTL is {ttl} s, the plan says {planned} s"))
        }
        None => passed(id, title, if begun { "as the run leaves it" } else { "as the plan expects it" }),
    }
}

/// Whether Route 53 would take the switch, and the way back, beside everything that stands at the name.
fn batches(plan: &Plan, record: &Record, sets: &[Found]) -> Finding {
    let (id, title) = (format!("batch:{}", record.id), format!("Batches of {}", name_of(record)));
    if let Some(found) = sets.iter().find(|found| found.beyond.is_some()) {
        let what = found.beyond.unwrap_or_default();
        let reason = format!("{} has {what}, which could not be put back", found.set.kind);
        return wanting(id, title, reason, "leave it to its owner, or make a simple record of it");
    }
    let (mine, rest) = sorted(plan, record, sets);
    let forward: Vec<_> = rest.iter().copied().chain([&record.new]).collect();
    // Once it has moved, what stood there before comes back.
    let moved = mine.iter().any(|set| leads_to(set, &record.new));
    let back: Vec<_> = if mine.is_empty() || moved {
        rest.iter().copied().chain([&record.old]).collect()
    } else {
        rest.iter().copied().chain(mine.iter().copied()).collect()
    };
    for (sets, what) in [(forward, "the switch"), (back, "the way back")] {
        if let Err(why) = acceptable(&record.zone_name, &sets) {
            let reason = format!("Route 53 would refuse {what}: {why}");
            return wanting(id, title, reason, "correct the zone or the plan before the window");
        }
    }
    if sets.is_empty() {
        return finding(
            id,
            title,
            Standing::Unknown,
            "nothing stands at this name, so nothing can be said of a way back",
        );
    }
    passed(id, title, "the switch and the way back would be accepted")
}

/// What Route 53 lets stand at one name.
///
/// Source: Route 53 Developer Guide, "Supported DNS record types" (CNAME) and "Values specific for weighted records".
fn acceptable(apex: &str, sets: &[&RecordSet]) -> Result<(), String> {
    let cname = sets.iter().find(|set| set.kind == RecordType::Cname);
    if let Some(cname) = cname {
        if cname.name == apex {
            return Err("a CNAME cannot stand at the zone's apex".into());
        }
        if let Some(beside) = sets.iter().find(|set| set.kind != RecordType::Cname) {
            return Err(format!("a CNAME cannot stand beside {} {}", beside.kind, beside.target()));
        }
    }
    for (place, set) in sets.iter().enumerate() {
        for other in sets[..place].iter().filter(|other| other.kind == set.kind) {
            if set.weighted.is_some() != other.weighted.is_some() {
                return Err(format!("a weighted and a simple {} cannot stand together", set.kind));
            }
            if set.key() == other.key() {
                return Err(format!("{} would stand there twice", set.kind));
            }
            if set.ttl != other.ttl {
                return Err(format!("weighted {} records need one TTL", set.kind));
            }
        }
    }
    Ok(())
}
