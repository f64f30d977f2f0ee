//! The plan file as it is written: one struct per table, one field per option, nothing checked yet but the shape.
//!
//! Every scalar is a [`Text`], whatever its TOML type, because any of them may come from a variable
//! (`ttl = "${old_ttl}"`); the rules parse it. `config/acme-shop.toml` shows every field, and a test holds that.

mod database;
mod preflight;
mod rds;

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};
use toml::Spanned;

pub(super) use self::rds::{RawRdsPromote, RawRdsRestore, RawRdsSnapshot, RawRdsSwitchover};
pub(super) use database::*;
pub(super) use preflight::RawPreflight;

/// A scalar as text: a string as it is, a number or boolean as TOML prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scalar(String);

impl Scalar {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A scalar with its place.
pub(super) type Text = Spanned<Scalar>;

/// A list, or one string that stands for a list with commas (so that a variable can hold a list).
#[derive(Debug, Clone)]
pub(super) enum Items {
    One(String),
    Many(Vec<Text>),
}

/// A list with its place.
pub(super) type List = Spanned<Items>;

/// The items of a list, commas split.
pub(super) fn split(list: &List) -> Vec<Text> {
    let place = |text: &str, span| {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(|part| Spanned::new(std::ops::Range::clone(&span), Scalar(part.to_owned()))).collect::<Vec<_>>()
    };
    match list.get_ref() {
        Items::One(text) => place(text, list.span()),
        Items::Many(items) => items.iter().flat_map(|item| place(item.get_ref().as_str(), item.span())).collect(),
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a number or true/false")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.to_owned()))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }
            fn visit_bool<E: Error>(self, flag: bool) -> Result<Scalar, E> {
                Ok(Scalar(flag.to_string()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Items;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Items, E> {
                Ok(Items::One(text.to_owned()))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Items, E> {
                Ok(Items::One(number.to_string()))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Items, E> {
                Ok(Items::One(number.to_string()))
            }
            fn visit_bool<E: Error>(self, flag: bool) -> Result<Items, E> {
                Ok(Items::One(flag.to_string()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Items, A::Error> {
                let mut all = Vec::new();
                while let Some(item) = items.next_element()? {
                    all.push(item);
                }
                Ok(Items::Many(all))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A table whose keys the operator chooses.
pub(super) type Table = BTreeMap<Spanned<String>, Text>;

/// `[environments.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEnvironment {
    pub(super) kind: Text,
    #[serde(default)]
    pub(super) vars: BTreeMap<Spanned<String>, List>,
}

/// What is read before variables can be expanded.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHead {
    #[serde(default)]
    pub(super) vars: BTreeMap<Spanned<String>, List>,
    #[serde(default)]
    pub(super) environments: BTreeMap<Spanned<String>, Spanned<RawEnvironment>>,
}

/// The rest of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPlan {
    pub(super) name: Option<Text>,
    pub(super) title: Option<Text>,
    pub(super) window: Option<Text>,
    pub(super) aws: Option<Spanned<RawAws>>,
    pub(super) heroku: Option<Spanned<RawHeroku>>,
    pub(super) databases: Option<Spanned<RawDatabases>>,
    pub(super) dns: Option<RawDns>,
    pub(super) preflight: Option<RawPreflight>,
    pub(super) sides: Option<RawSides>,
    #[serde(default)]
    pub(super) record: Vec<RawRecord>,
    #[serde(default)]
    pub(super) check: Vec<RawCheck>,
    #[serde(default)]
    pub(super) metric: Vec<Spanned<RawMetric>>,
    #[serde(default)]
    pub(super) guardrail: Vec<Spanned<RawGuardrail>>,
    #[serde(default)]
    pub(super) runner: Vec<Spanned<RawRunner>>,
    pub(super) traffic: Option<RawTraffic>,
    pub(super) access: Option<Spanned<RawAccess>>,
    #[serde(default)]
    pub(super) notify: Vec<RawNotify>,
    #[serde(default)]
    pub(super) step: Vec<Spanned<RawStep>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAws {
    pub(super) region: Text,
    pub(super) profile: Option<Text>,
    pub(super) account: Option<Text>,
    pub(super) endpoint: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAccess {
    pub(super) group: Option<Text>,
    pub(super) drivers: Option<List>,
    pub(super) confirmers: Option<List>,
    pub(super) viewers: Option<List>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNotify {
    pub(super) id: Text,
    pub(super) url_env: Text,
    pub(super) format: Option<Text>,
    pub(super) events: Option<List>,
    pub(super) template: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHeroku {
    pub(super) app: Text,
    pub(super) api: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDns {
    pub(super) resolvers: List,
    pub(super) authority: Option<List>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSides {
    pub(super) old: RawSide,
    pub(super) new: RawSide,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSide {
    pub(super) label: Text,
    pub(super) address: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRecord {
    pub(super) id: Text,
    pub(super) zone: Text,
    pub(super) zone_id: Text,
    pub(super) name: Text,
    pub(super) old: Spanned<RawSet>,
    pub(super) new: Spanned<RawSet>,
}

/// One side's record set: `ttl` and `value`, or `alias`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSet {
    pub(super) r#type: Text,
    pub(super) ttl: Option<Text>,
    pub(super) value: Option<List>,
    pub(super) alias: Option<RawAlias>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAlias {
    pub(super) target: Text,
    pub(super) zone_id: Text,
    pub(super) evaluate_health: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCheck {
    pub(super) id: Text,
    pub(super) title: Option<Text>,
    pub(super) url: Text,
    pub(super) status: Option<List>,
    pub(super) contains: Option<Text>,
    pub(super) json: Option<RawJson>,
    pub(super) max_latency: Option<Text>,
    pub(super) min_certificate: Option<Text>,
    pub(super) every: Option<Text>,
    pub(super) timeout: Option<Text>,
    pub(super) ca_file: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawJson {
    pub(super) pointer: Text,
    pub(super) equals: serde_json::Value,
}

/// `namespace`, `name`, `dimensions` and `stat`, or `of` and `to`, or `postgres`, or `queue`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMetric {
    pub(super) id: Text,
    pub(super) title: Option<Text>,
    pub(super) graph: Option<Text>,
    pub(super) side: Text,
    pub(super) unit: Text,
    pub(super) period: Option<Text>,
    pub(super) namespace: Option<Text>,
    pub(super) name: Option<Text>,
    pub(super) dimensions: Option<Table>,
    pub(super) stat: Option<Text>,
    pub(super) of: Option<Text>,
    pub(super) to: Option<Text>,
    pub(super) postgres: Option<Text>,
    pub(super) queue: Option<Text>,
}

/// `above` or `below`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGuardrail {
    pub(super) id: Text,
    pub(super) title: Option<Text>,
    pub(super) metric: Text,
    pub(super) above: Option<Text>,
    pub(super) below: Option<Text>,
    pub(super) lasting: Option<Text>,
    pub(super) max_age: Option<Text>,
    pub(super) consequence: Option<Text>,
    pub(super) after: Option<Text>,
}

/// `process`, or `cluster` and `service`, or `database`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRunner {
    pub(super) role: Text,
    pub(super) side: Text,
    pub(super) process: Option<Text>,
    pub(super) cluster: Option<Text>,
    pub(super) service: Option<Text>,
    pub(super) database: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTraffic {
    pub(super) old: Text,
    pub(super) new: Text,
}

/// What all steps have in common. In the file, `kind` is a string and the kind's own fields stand beside it;
/// [`super::tree::shape_steps`] moves them into a table of their own, so that each kind refuses what it does not know.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStep {
    pub(super) id: Text,
    pub(super) title: Text,
    pub(super) note: Option<Text>,
    pub(super) kind: RawKind,
    pub(super) needs: Option<List>,
    pub(super) gate: Option<Text>,
    pub(super) expected: Option<Text>,
    pub(super) timeout: Option<Text>,
    pub(super) point_of_no_return: Option<Text>,
    pub(super) allow_none: Option<List>,
    pub(super) demands_green: Option<Text>,
}

/// A step's kind and the fields of that kind.
#[derive(Debug, Deserialize)]
pub(super) enum RawKind {
    #[serde(rename = "manual")]
    Manual(RawManual),
    #[serde(rename = "check.suite")]
    CheckSuite(RawCheckSuite),
    #[serde(rename = "dns.lower-ttl")]
    DnsLowerTtl(RawTtl),
    #[serde(rename = "dns.drain")]
    DnsDrain(RawDrain),
    #[serde(rename = "dns.switch")]
    DnsSwitch(RawSwitch),
    #[serde(rename = "dns.raise-ttl")]
    DnsRaiseTtl(RawTtl),
    #[serde(rename = "heroku.maintenance")]
    HerokuMaintenance(RawMaintenance),
    #[serde(rename = "heroku.scale")]
    HerokuScale(RawHerokuScale),
    #[serde(rename = "ecs.scale")]
    EcsScale(RawEcsScale),
    #[serde(rename = "ecs.run-task")]
    EcsRunTask(Box<RawRunTask>),
    #[serde(rename = "ecs.wait-stable")]
    EcsWaitStable(RawWaitStable),
    #[serde(rename = "postgres.wait-caught-up")]
    PostgresWaitCaughtUp(RawCaughtUp),
    #[serde(rename = "postgres.freeze")]
    PostgresFreeze(RawWriteLock),
    #[serde(rename = "postgres.open")]
    PostgresOpen(RawWriteLock),
    #[serde(rename = "postgres.sync-sequences")]
    PostgresSyncSequences(RawSequences),
    #[serde(rename = "postgres.compare")]
    PostgresCompare(RawCompare),
    #[serde(rename = "rds.restore-snapshot")]
    RdsRestoreSnapshot(RawRdsRestore),
    #[serde(rename = "rds.snapshot")]
    RdsSnapshot(RawRdsSnapshot),
    #[serde(rename = "rds.promote-replica")]
    RdsPromoteReplica(RawRdsPromote),
    #[serde(rename = "rds.switchover")]
    RdsSwitchover(RawRdsSwitchover),
    #[serde(rename = "watch")]
    Watch(RawWatch),
    #[serde(rename = "exec")]
    Exec(RawExec),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawManual {
    pub(super) items: Spanned<Vec<Text>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCheckSuite {
    pub(super) checks: Option<List>,
    pub(super) sides: Option<List>,
    pub(super) rounds: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTtl {
    pub(super) records: List,
    pub(super) ttl: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDrain {
    pub(super) records: List,
    pub(super) margin: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSwitch {
    pub(super) records: List,
    #[serde(default)]
    pub(super) stages: Vec<RawStage>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStage {
    pub(super) percent: Text,
    pub(super) bake: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMaintenance {
    pub(super) on: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHerokuScale {
    pub(super) formation: Spanned<Table>,
    pub(super) old_side_silent: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEcsScale {
    pub(super) cluster: Text,
    pub(super) service: Text,
    pub(super) desired: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRunTask {
    pub(super) cluster: Text,
    pub(super) definition: Text,
    pub(super) container: Option<Text>,
    pub(super) command: List,
    pub(super) launch: Option<Text>,
    pub(super) subnets: Option<List>,
    pub(super) security_groups: Option<List>,
    pub(super) public_ip: Option<Text>,
    pub(super) log_group: Option<Text>,
    pub(super) undo_command: Option<List>,
    pub(super) class: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWaitStable {
    pub(super) cluster: Text,
    pub(super) services: List,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWatch {
    pub(super) lasting: Text,
    pub(super) old_side_silent: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExec {
    pub(super) apply: List,
    pub(super) observe: Option<List>,
    pub(super) undo: Option<List>,
    pub(super) class: Option<Text>,
}
