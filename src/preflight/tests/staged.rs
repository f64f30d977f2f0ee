//! What is changed of the facts of a good world, and which finding then fails.

use jiff::SignedDuration;

use super::super::facts::Facts;
use crate::{
    plan::{OtherType, Plan, RecordSet, RecordType},
    run::{Standing, TroubleKind},
    world::{route53::Found, trouble},
};

pub(super) type Change = fn(&mut Facts, &mut Plan);

fn gone(call: &str) -> crate::run::Trouble {
    trouble(call, TroubleKind::Unreachable, "no answer in time")
}

/// What is changed, which finding then fails, and how.
pub(super) const STAGED: &[(&str, Change, &str, Standing, &str)] = &[
    (
        "another account",
        |_, plan| plan.aws.account = Some("999999999999".into()),
        "identity",
        Standing::ActionRequired,
        "999999999999",
    ),
    (
        "no answer of STS",
        |facts, _| facts.caller = Err(gone("sts:GetCallerIdentity")),
        "identity",
        Standing::Unknown,
        "no answer",
    ),
    (
        "may not simulate",
        |facts, _| facts.permissions[0].decisions = Err(gone("iam:SimulatePrincipalPolicy")),
        "permission:cloudwatch:GetMetricData",
        Standing::Unknown,
        "nobody can say",
    ),
    (
        "a denied action",
        |facts, _| facts.permissions[0].decisions.as_mut().unwrap()[0].allowed = false,
        "permission:cloudwatch:GetMetricData",
        Standing::ActionRequired,
        "cloudwatch:GetMetricData",
    ),
    (
        "credentials that end early",
        |facts, _| facts.credentials_until = Ok(Some(facts.at + SignedDuration::from_mins(100))),
        "credentials",
        Standing::ActionRequired,
        "expire at",
    ),
    (
        "no credentials",
        |facts, _| facts.credentials_until = Err(trouble("aws:credentials", TroubleKind::Credentials, "none")),
        "credentials",
        Standing::ActionRequired,
        "none",
    ),
    (
        "a key of Heroku's that ends early",
        |facts, _| facts.heroku_until = Some(Ok(Some(facts.at + SignedDuration::from_mins(100)))),
        "heroku-credentials",
        Standing::ActionRequired,
        "expire at",
    ),
    (
        "a certificate that ends early",
        |facts, _| {
            let new = facts.checks.iter_mut().filter(|run| run.target == crate::run::Target::New);
            new.for_each(|run| run.certificate_until = Some(run.at + SignedDuration::from_mins(100)));
        },
        "certificate:new:shop.example.test",
        Standing::ActionRequired,
        "expire at",
    ),
    (
        "a failing check",
        |facts, _| {
            let run = facts
                .checks
                .iter_mut()
                .find(|run| run.check == "cart" && run.target == crate::run::Target::New)
                .unwrap();
            (run.passing, run.reason) = (false, Some("status 500".into()));
        },
        "check:cart:new",
        Standing::ActionRequired,
        "status 500",
    ),
    (
        "a record of somebody else",
        |facts, _| facts.records[0].1.as_mut().unwrap()[0].set.values = vec!["else.test.".into()],
        "record:shop",
        Standing::ActionRequired,
        "else.test.",
    ),
    (
        "a record that cannot be read",
        |facts, _| facts.records[0].1 = Err(gone("route53:ListResourceRecordSets")),
        "record:shop",
        Standing::Unknown,
        "no answer",
    ),
    (
        "a stray address",
        |facts, _| facts.records[0].1.as_mut().unwrap().push(found(RecordType::Aaaa, "2001:db8::1")),
        "record:shop",
        Standing::ActionRequired,
        "AAAA",
    ),
    (
        "a routing policy",
        |facts, _| facts.records[1].1.as_mut().unwrap()[0].beyond = Some("a latency routing policy"),
        "batch:api",
        Standing::ActionRequired,
        "latency",
    ),
    (
        "mail beside the CNAME",
        |facts, _| facts.records[1].1.as_mut().unwrap().push(found(RecordType::Other(OtherType::Mx), "10 mx.test.")),
        "batch:api",
        Standing::ActionRequired,
        "MX",
    ),
    (
        "an apex without a way back",
        |facts, plan| {
            let zone = plan.records[0].zone_name.clone();
            plan.records[0].old.name = zone.clone();
            facts.records[0].1.as_mut().unwrap()[0].set.name = zone;
        },
        "batch:shop",
        Standing::ActionRequired,
        "the way back: a CNAME cannot stand at the zone's apex",
    ),
    (
        "a dead authority",
        |facts, _| facts.servers.last_mut().unwrap().zones[0].1 = Err(gone("dns:SOA")),
        "server:",
        Standing::ActionRequired,
        "no answer",
    ),
    (
        "as many silent resolvers as others",
        |facts, _| facts.servers[..3].iter_mut().for_each(silence),
        "resolvers",
        Standing::ActionRequired,
        "only 4 of 8 answer",
    ),
    (
        "a resolver that denies the zone",
        |facts, _| facts.servers[1].zones[0].1 = Err(trouble("dns:SOA", TroubleKind::Unexpected, "NXDOMAIN")),
        "resolvers",
        Standing::ActionRequired,
        "NXDOMAIN",
    ),
    (
        "no database",
        |facts, _| facts.databases[0].1 = Err(gone("postgres:old")),
        "database:old",
        Standing::Unknown,
        "no answer",
    ),
    ("a standby", |facts, _| db(facts, 1).standby = true, "database:new", Standing::ActionRequired, "standby"),
    (
        "no logical replication",
        |facts, _| db(facts, 0).wal_level = "replica".into(),
        "database:logical",
        Standing::ActionRequired,
        "refuses logical replication",
    ),
    (
        "no slots",
        |facts, _| db(facts, 0).slots = 0,
        "database:logical",
        Standing::ActionRequired,
        "max_replication_slots",
    ),
    (
        "a role that may not replicate",
        |facts, _| (db(facts, 0).replication, db(facts, 0).superuser) = (false, false),
        "database:role",
        Standing::ActionRequired,
        "may not replicate",
    ),
    (
        "a missing primary key",
        |facts, _| db(facts, 0).tables[0].primary_key = false,
        "database:keys",
        Standing::ActionRequired,
        "no primary key",
    ),
    ("an older server", |facts, _| db(facts, 1).version = 120_000, "database:version", Standing::ActionRequired, "12"),
    (
        "an extension that RDS lacks",
        |facts, _| db(facts, 0).extensions.push(extension("timescaledb")),
        "database:extensions",
        Standing::ActionRequired,
        "does not have timescaledb",
    ),
    (
        "a column of one side",
        |facts, _| {
            let schema = &mut db(facts, 0).schema.columns;
            let first = schema.values_mut().next().unwrap();
            first[0].definition = "xml".into();
        },
        "database:schema",
        Standing::ActionRequired,
        "only on the old side",
    ),
    (
        "no instance",
        |facts, _| facts.instances[0].1 = Ok(None),
        "instance:acme-shop",
        Standing::ActionRequired,
        "no such instance",
    ),
    (
        "a broken instance",
        |facts, _| facts.instances[0].1.as_mut().unwrap().as_mut().unwrap().status = "storage-full".into(),
        "instance:acme-shop",
        Standing::ActionRequired,
        "storage-full",
    ),
    (
        "an old snapshot",
        |facts, _| facts.at += SignedDuration::from_hours(72),
        "snapshot:acme-shop",
        Standing::ActionRequired,
        "old",
    ),
    (
        "no snapshot",
        |facts, _| facts.snapshots[0].1 = Ok(Vec::new()),
        "snapshot:acme-shop",
        Standing::ActionRequired,
        "no snapshot",
    ),
    (
        "a process that Heroku has not",
        |facts, _| facts.heroku.as_mut().unwrap().as_mut().unwrap().formation.retain(|name, _| name != "clock"),
        "heroku",
        Standing::ActionRequired,
        "clock",
    ),
    (
        "Scheduler that nobody ticks off",
        |_, plan| plan.steps.retain(|step| !matches!(step.kind, crate::plan::Kind::Manual { .. })),
        "scheduler",
        Standing::ActionRequired,
        "no API",
    ),
    (
        "large objects",
        |facts, _| db(facts, 0).large_objects = 3,
        "database:large-objects",
        Standing::ActionRequired,
        "3 in pg_largeobject",
    ),
    (
        "an unlogged table",
        |facts, _| db(facts, 0).unlogged = vec!["public.carts".into()],
        "database:unlogged",
        Standing::ActionRequired,
        "public.carts",
    ),
    (
        "sequences that nobody sets",
        |_, plan| plan.steps.retain(|step| !matches!(step.kind, crate::plan::Kind::PostgresSyncSequences { .. })),
        "database:sequences",
        Standing::ActionRequired,
        "keys that exist",
    ),
    (
        "a resolver that denies one record",
        |facts, _| {
            facts.servers[1].records[1].1 = Err(trouble("dns:CNAME", TroubleKind::Unexpected, "NXDOMAIN for api"))
        },
        "resolvers",
        Standing::ActionRequired,
        "honest-2 (NXDOMAIN for api)",
    ),
    (
        "resolvers that answer for one record alone",
        |facts, _| facts.servers[..3].iter_mut().for_each(|server| server.records[1].1 = Err(gone("dns:CNAME"))),
        "resolvers",
        Standing::ActionRequired,
        "only 4 of 8 answer for api.example.test: a drain would not end, and no switch could be armed; silent: honest for \
         api.example.test alone (no answer in time), honest-2 for api",
    ),
    (
        "an authority that does not serve one record",
        |facts, _| facts.servers.last_mut().unwrap().records[0].1 = Err(gone("dns:CNAME")),
        "server:authority",
        Standing::ActionRequired,
        "shop.example.test: no answer",
    ),
    (
        "a release that cannot be read",
        |facts, _| facts.heroku.as_mut().unwrap().as_mut().unwrap().release = Err(gone("heroku:releases")),
        "heroku-release",
        Standing::Unknown,
        "no answer",
    ),
    (
        "add-ons that cannot be read",
        |facts, _| facts.heroku.as_mut().unwrap().as_mut().unwrap().addons = Err(gone("heroku:addons")),
        "scheduler",
        Standing::Unknown,
        "no answer",
    ),
    (
        "Heroku away",
        |facts, _| facts.heroku = Some(Err(gone("heroku:formation"))),
        "heroku",
        Standing::Unknown,
        "no answer",
    ),
    (
        "a service that is not there",
        |facts, _| facts.services[1].found = Err(trouble("ecs:DescribeServices", TroubleKind::Unexpected, "MISSING")),
        "service:worker",
        Standing::ActionRequired,
        "MISSING",
    ),
    (
        "a failed deployment",
        |facts, _| facts.services[0].found.as_mut().unwrap().rollout.as_mut().unwrap().state = "FAILED".into(),
        "service:web",
        Standing::ActionRequired,
        "failed",
    ),
    (
        "one definition for two",
        |facts, _| definition(facts, 1).name = "acme-web:42".into(),
        "definitions",
        Standing::ActionRequired,
        "same task definition",
    ),
    (
        "one command for two",
        |facts, _| definition(facts, 1).containers[0].command = definition(facts, 0).containers[0].command.clone(),
        "definitions",
        Standing::ActionRequired,
        "same command",
    ),
    (
        "an image by tag",
        |facts, _| definition(facts, 1).containers[0].image = "acme/shop:latest".into(),
        "image:worker",
        Standing::ActionRequired,
        "by tag",
    ),
    (
        "no health check",
        |facts, _| definition(facts, 2).containers[0].health_check = false,
        "health:scheduler",
        Standing::ActionRequired,
        "has none",
    ),
    (
        "a secret that is not there",
        |facts, _| facts.secrets[0].2.as_mut().unwrap().retain(|name| !name.ends_with("REDIS_URL")),
        "secrets:web",
        Standing::ActionRequired,
        "REDIS_URL",
    ),
    (
        "secrets that may not be listed",
        |facts, _| {
            facts.secrets[0].2 =
                Err(trouble("secretsmanager:ListSecrets", TroubleKind::Credentials, "AccessDeniedException: no"))
        },
        "secrets:secretsmanager:acme-shop/",
        Standing::ActionRequired,
        "secretsmanager:ListSecrets",
    ),
    (
        "a config var without a home",
        |facts, _| facts.heroku.as_mut().unwrap().as_mut().unwrap().config_vars.extend(["NEW_RELIC_KEY".into()]),
        "config-vars",
        Standing::ActionRequired,
        "NEW_RELIC_KEY",
    ),
    (
        "a log group that is not there",
        |facts, _| facts.logs[1].1 = Ok(crate::world::logs::Receiving::Missing),
        "logs:/ecs/acme-worker",
        Standing::ActionRequired,
        "does not exist",
    ),
    (
        "a log group that stays empty",
        |facts, _| facts.logs[0].1 = Ok(crate::world::logs::Receiving::Silent),
        "logs:/ecs/acme-web",
        Standing::ActionRequired,
        "nothing arrives",
    ),
];

fn found(kind: RecordType, value: &str) -> Found {
    let (name, ttl) = ("beside.example.test.".to_owned(), Some(300));
    Found { set: RecordSet { name, kind, ttl, values: vec![value.into()], alias: None, weighted: None }, beyond: None }
}

fn silence(server: &mut crate::preflight::ServerFacts) {
    server.zones[0].1 = Err(gone("dns:SOA"));
    server.records.iter_mut().for_each(|(_, answer)| *answer = Err(gone("dns:CNAME")));
}

fn db(facts: &mut Facts, side: usize) -> &mut crate::world::postgres::DatabaseFacts {
    facts.databases[side].1.as_mut().unwrap()
}

fn definition(facts: &mut Facts, service: usize) -> &mut crate::world::tasks::Definition {
    facts.services[service].definition.as_mut().unwrap()
}

fn extension(name: &str) -> crate::world::postgres::Extension {
    crate::world::postgres::Extension { name: name.into(), version: "1.0".into() }
}
