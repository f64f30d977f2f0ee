//! Databases, instances and snapshots.

use std::time::Duration;

use super::{Facts, passed, read, some, wanting};
use crate::{
    plan::{Kind, Plan, RdsKind, Side},
    run::{Finding, Standing},
    world::{
        postgres::DatabaseFacts,
        rds::{Instance, Snapshot},
    },
};

pub(super) fn judge(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    let mut all = databases(plan, facts);
    all.extend(facts.instances.iter().map(|(id, found)| {
        let title = format!("Instance {id}");
        let begun = facts.begun.is_some();
        read(found, &format!("instance:{id}"), &title, |found| instance(id, found.as_ref(), begun))
    }));
    all.extend(plan.steps.iter().filter_map(|step| match &step.kind {
        Kind::Rds(RdsKind::RestoreSnapshot { instance, snapshot, max_age, .. }) => {
            let (_, found) = facts.snapshots.iter().find(|(of, _)| of == instance)?;
            let title = format!("Snapshot of {instance}");
            Some(read(found, &format!("snapshot:{instance}"), &title, |found| {
                fresh(facts, instance, snapshot.as_deref(), *max_age, found)
            }))
        }
        _ => None,
    }));
    all
}

fn databases(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    let side = |side: Side| facts.databases.iter().find(|(of, _)| *of == side).map(|(_, found)| found);
    let (Some(old), Some(new)) = (side(Side::Old), side(Side::New)) else { return Vec::new() };
    let (old_label, new_label) = (&plan.sides.old.label, &plan.sides.new.label);
    let mut all = Vec::new();
    for (found, word, label) in [(old, "old", old_label), (new, "new", new_label)] {
        let (id, title) = (format!("database:{word}"), format!("Database on {label}"));
        all.push(read(found, &id, &title, |facts| reached(&id, &title, facts)));
    }
    // What cannot be reached has been told; the rest would only repeat it.
    if let Ok(old) = old {
        all.extend([wal_level(old, old_label), replication_role(old, old_label), identity(old, old_label)]);
        all.extend([large_objects(plan, old, old_label), unlogged(plan, old, old_label), sequences(plan, old)]);
    }
    if let (Ok(old), Ok(new)) = (old, new) {
        all.extend([version(old, new), extensions(old, new, new_label), schema(old, new)]);
    }
    all
}

fn reached(id: &str, title: &str, facts: &DatabaseFacts) -> Finding {
    let DatabaseFacts { version, database, role, bytes, .. } = facts;
    let (major, mib) = (version / 10_000, bytes / (1024 * 1024));
    if facts.standby {
        return wanting(id, title, "it is a standby, which takes no writes", "name the primary's address in the plan");
    }
    passed(id, title, format!("PostgreSQL {major}, {database}, {mib} MiB, as {role}"))
}

/// Source: PostgreSQL documentation, "Logical Replication: Configuration Settings".
fn wal_level(old: &DatabaseFacts, label: &str) -> Finding {
    let (id, title) = ("database:logical", format!("Logical replication on {label}"));
    if old.wal_level != "logical" {
        return wanting(
            id,
            title,
            format!("wal_level is {}, so {label} refuses logical replication", old.wal_level),
            "have it set to logical (it needs a restart), or move by a dump in a longer window",
        );
    }
    if old.slots == 0 || old.senders == 0 {
        let reason = format!("max_replication_slots is {}, max_wal_senders is {}", old.slots, old.senders);
        return wanting(id, title, reason, "have both set above 0 (it needs a restart)");
    }
    passed(id, title, format!("wal_level is logical, {} slots, {} senders", old.slots, old.senders))
}

fn replication_role(old: &DatabaseFacts, label: &str) -> Finding {
    let (id, title) = ("database:role", format!("Replication role on {label}"));
    if old.replication || old.superuser {
        return passed(id, title, format!("{} may replicate", old.role));
    }
    let remedy = "grant it (`alter role ... replication`; on RDS `grant rds_replication`), or use a role that may";
    wanting(id, title, format!("{} may not replicate", old.role), remedy)
}

fn identity(old: &DatabaseFacts, label: &str) -> Finding {
    let (id, title) = ("database:keys", format!("Primary keys on {label}"));
    let missing: Vec<_> = old.without_identity().map(crate::world::postgres::Table::full_name).collect();
    if missing.is_empty() {
        return passed(id, title, format!("all {} tables can be replicated", old.tables.len()));
    }
    wanting(
        id,
        title,
        format!("no primary key: {}; once published, updates and deletes there would fail", some(&missing)),
        "add a primary key, or `alter table ... replica identity full`",
    )
}

/// Source: PostgreSQL documentation, "Logical Replication: Restrictions".
fn large_objects(plan: &Plan, old: &DatabaseFacts, label: &str) -> Finding {
    let (id, title) = ("database:large-objects", format!("Large objects on {label}"));
    match (old.large_objects, by_hand(plan, &["large object"])) {
        (0, _) => passed(id, title, "there are none"),
        (count, Some(step)) => passed(id, title, format!("{count}, which a person moves in `{step}`")),
        (count, None) => wanting(
            id,
            title,
            format!("{count} in pg_largeobject, which logical replication does not carry: they would be missing"),
            "move them into a column or to S3 before the window, or give the plan a `manual` step with an item that names \
             large objects: once writes are frozen, `pg_dump --large-objects --section=data` copies them",
        ),
    }
}

/// Source: PostgreSQL documentation, `CREATE PUBLICATION`: unlogged tables cannot be part of one.
fn unlogged(plan: &Plan, old: &DatabaseFacts, label: &str) -> Finding {
    let (id, title) = ("database:unlogged", format!("Unlogged tables on {label}"));
    let left: Vec<_> = old.unlogged.iter().filter(|table| by_hand(plan, &[table.as_str()]).is_none()).collect();
    if left.is_empty() {
        let count = old.unlogged.len();
        let words = if count == 0 { "there are none".to_owned() } else { format!("{count}, which a person moves") };
        return passed(id, title, words);
    }
    wanting(
        id,
        title,
        format!("their rows are not replicated: {}", some(&left)),
        "`alter table ... set logged`, or give the plan a `manual` step with an item that names the table",
    )
}

/// The first PostgreSQL that carries them along is 19. Refused by the opening all the same: better to be known before.
fn sequences(plan: &Plan, old: &DatabaseFacts) -> Finding {
    let (id, title) = ("database:sequences", "Sequences");
    let synced = plan.steps.iter().find(|step| matches!(step.kind, Kind::PostgresSyncSequences { .. }));
    let opens = plan.steps.iter().any(|step| matches!(step.kind, Kind::PostgresOpen { side: Side::New, .. }));
    match synced {
        _ if old.sequences == 0 => passed(id, title, "there are none"),
        Some(step) => passed(id, title, format!("{}, which `{}` sets on the new side", old.sequences, step.id)),
        None if !opens => passed(id, title, format!("{}; the plan does not open the new database", old.sequences)),
        None => wanting(
            id,
            title,
            format!("{} stay where they are on the new side: it would give out keys that exist", old.sequences),
            "give the plan a `postgres.sync-sequences` step before it opens the new database",
        ),
    }
}

/// The manual step with an item in which one of these words stands.
fn by_hand<'a>(plan: &'a Plan, words: &[&str]) -> Option<&'a crate::plan::StepId> {
    let names_it = |item: &String| words.iter().any(|word| item.to_lowercase().contains(&word.to_lowercase()));
    let covers = plan.steps.iter().find(|step| match &step.kind {
        Kind::Manual { items } => items.iter().any(names_it),
        _ => false,
    });
    covers.map(|step| &step.id)
}

fn version(old: &DatabaseFacts, new: &DatabaseFacts) -> Finding {
    let (id, title) = ("database:version", "PostgreSQL versions");
    let (from, to) = (old.version / 10_000, new.version / 10_000);
    if to < from {
        let reason = format!("the new side has {to}, the old one {from}: what is used there may be missing");
        return wanting(id, title, reason, "upgrade the new side first");
    }
    passed(id, title, format!("{from} to {to}"))
}

fn extensions(old: &DatabaseFacts, new: &DatabaseFacts, label: &str) -> Finding {
    let (id, title) = ("database:extensions", format!("Extensions on {label}"));
    let missing = old.missing_on(new);
    let lacking: Vec<_> = missing.iter().filter(|(_, could)| !could).map(|(name, _)| name.as_str()).collect();
    let uninstalled: Vec<_> = missing.iter().map(|(name, _)| name.as_str()).collect();
    if !lacking.is_empty() {
        let reason = format!("{label} does not have {}", some(&lacking));
        return wanting(id, title, reason, "do without them on the old side first, or choose another version");
    }
    if !uninstalled.is_empty() {
        let reason = format!("not installed: {}", some(&uninstalled));
        return wanting(id, title, reason, format!("`create extension {}` on the new side", uninstalled[0]));
    }
    passed(id, title, format!("all {} of the old side are installed", old.extensions.len()))
}

/// DDL is not replicated.
fn schema(old: &DatabaseFacts, new: &DatabaseFacts) -> Finding {
    let (id, title) = ("database:schema", "Schemas");
    let (ours, theirs) = old.schema.differences(&new.schema);
    if ours.is_empty() && theirs.is_empty() {
        return passed(id, title, format!("equal, fingerprint {}", old.schema.fingerprint()));
    }
    let only = |what: &[String], side: &str| (!what.is_empty()).then(|| format!("only {side}: {}", some(what)));
    let told: Vec<_> =
        [only(&ours, "on the old side"), only(&theirs, "on the new side")].into_iter().flatten().collect();
    wanting(id, title, told.join("; "), "apply the same migrations on both sides: DDL is not replicated")
}

/// Once the run has begun its own steps work on it: that an instance is on its way somewhere is no news.
fn instance(id: &str, found: Option<&Instance>, begun: bool) -> Finding {
    let (key, title) = (format!("instance:{id}"), format!("Instance {id}"));
    match found {
        None => wanting(key, title, "there is no such instance", "create it, or correct the plan"),
        Some(found) if found.available() => passed(key, title, format!("available, {}, {}", found.class, found.engine)),
        Some(found) if found.broken() => {
            wanting(key, title, format!("it is {}", found.status), "mend it before the window")
        }
        Some(found) if begun => passed(key, title, format!("it is {}", found.status)),
        Some(found) => super::finding(key, title, Standing::Unknown, format!("it is {}: look again", found.status)),
    }
}

fn fresh(facts: &Facts, instance: &str, wanted: Option<&str>, max_age: Duration, found: &[Snapshot]) -> Finding {
    let (id, title) = (format!("snapshot:{instance}"), format!("Snapshot of {instance}"));
    let usable = found.iter().filter(|one| one.status == "available" && wanted.is_none_or(|id| one.id == id));
    let newest = usable.filter_map(|one| Some((one.created?, one))).max_by_key(|(created, _)| *created);
    let Some((created, newest)) = newest else {
        let what = wanted.map_or_else(|| "no snapshot is available".to_owned(), |id| format!("{id} is not available"));
        return wanting(id, title, what, "take one, or correct the plan");
    };
    // A run that has begun with it does not outdate it; its step refuses one that has become too old.
    let asked = facts.begun.unwrap_or(facts.at);
    let age = Duration::try_from(asked.duration_since(created)).unwrap_or(Duration::ZERO);
    let (age_text, limit) = (hours(age), hours(max_age));
    if age > max_age {
        let reason = format!("{} is {age_text} old, and {limit} is what the plan takes", newest.id);
        return wanting(id, title, reason, "take a newer one before the window, or raise `max_age`");
    }
    passed(id, title, format!("{} is {age_text} old", newest.id))
}

fn hours(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    if minutes < 120 { format!("{minutes} min") } else { format!("{} h", minutes / 60) }
}
