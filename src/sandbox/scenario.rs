//! Scenarios: what the sandbox's world is like and what goes wrong in it, in TOML.
//!
//! Every field has a default, so that a scenario says only what is special about it. `calm` is all defaults.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};

use super::{SandboxError, dns::Habit, faults::FaultSpec};

/// The live names.
const SHOP: &str = "shop.example.test";
pub(super) const API: &str = "api.example.test";

/// The users when a scenario says nothing else: (group, name, resolvers, share, seconds of keep-alive).
const USUAL_USERS: &[(&str, &str, &[&str], f64, u64)] = &[
    ("homes", SHOP, &["honest"], 0.24, 90),
    ("phones", SHOP, &["honest-2"], 0.20, 60),
    ("offices", SHOP, &["honest-3"], 0.14, 150),
    ("campus", SHOP, &["minimum"], 0.06, 90),
    ("abroad", SHOP, &["slow"], 0.05, 90),
    ("island", SHOP, &["serve-stale"], 0.04, 90),
    ("old-routers", SHOP, &["stubborn"], 0.02, 90),
    ("broken-first", SHOP, &["dead", "honest"], 0.04, 90),
    ("apps", API, &["honest", "honest-2"], 0.10, 60),
    ("apps-abroad", API, &["honest-2"], 0.07, 90),
    ("partners", API, &["honest-3"], 0.04, 600),
];

/// The scenarios that are built in: name and TOML text.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("calm", include_str!("../../config/scenarios/calm.toml")),
    ("error-spike", include_str!("../../config/scenarios/error-spike.toml")),
    ("expired-credentials", include_str!("../../config/scenarios/expired-credentials.toml")),
    ("leaky-freeze", include_str!("../../config/scenarios/leaky-freeze.toml")),
    ("lost-answer", include_str!("../../config/scenarios/lost-answer.toml")),
    ("metrics-gap", include_str!("../../config/scenarios/metrics-gap.toml")),
    ("rate-limits", include_str!("../../config/scenarios/rate-limits.toml")),
    ("replication-stall", include_str!("../../config/scenarios/replication-stall.toml")),
    ("restore-fails", include_str!("../../config/scenarios/restore-fails.toml")),
    ("route53-outage", include_str!("../../config/scenarios/route53-outage.toml")),
    ("slow-change", include_str!("../../config/scenarios/slow-change.toml")),
    ("stubborn-resolver", include_str!("../../config/scenarios/stubborn-resolver.toml")),
    ("throttled-route53", include_str!("../../config/scenarios/throttled-route53.toml")),
];

/// One scenario. All durations are session time and are written with a unit (`"90s"`, `"5m"`, `"1h 30m"`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// One line for people who choose.
    pub about: String,
    /// Seeds all chance in the world; equal seeds give equal noise.
    pub seed: u64,
    /// Names, TTLs and how fast changes spread.
    pub dns: DnsWorld,
    /// How many users there are and what they do.
    pub traffic: Traffic,
    /// Certificates of the two origins.
    pub certificates: Certificates,
    /// What Heroku's API is called with.
    pub heroku: HerokuWorld,
    /// CloudWatch's habits.
    pub metrics: MetricsWorld,
    /// Resolvers that differ from the usual ones, or come on top: name and habit.
    pub resolvers: BTreeMap<String, Habit>,
    /// Who resolves through which resolver.
    pub users: Vec<UserGroup>,
    /// What goes wrong.
    #[serde(rename = "fault")]
    pub faults: Vec<FaultSpec>,
}

/// Names, TTLs and propagation.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DnsWorld {
    /// TTL of the live records before anyone lowered it.
    #[serde(deserialize_with = "duration")]
    pub old_ttl: Duration,
    /// From a change's acceptance until GetChange says INSYNC.
    #[serde(deserialize_with = "duration")]
    pub insync: Duration,
    /// From a change's acceptance until the name servers answer it; at most `insync`.
    #[serde(deserialize_with = "duration")]
    pub served: Duration,
    /// Requests a second that Route 53 allows an account, in wall time; scaled with the session's speed.
    pub requests_per_second: f64,
}

/// The load.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Traffic {
    /// Mean requests a second of all users together.
    pub requests_per_second: f64,
    /// Share of requests that enqueue a job.
    pub job_share: f64,
    /// Requests a second that one Heroku web dyno can serve.
    pub dyno_capacity: f64,
    /// Requests a second that one ECS web task can serve.
    pub task_capacity: f64,
    /// Jobs a second that one worker can run, on either side.
    pub worker_capacity: f64,
}

/// Certificates of the origins, by days from the start until they expire.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Certificates {
    /// Heroku's managed certificate, which is no longer renewed once DNS has left.
    pub old_days: u32,
    /// The load balancer's certificate.
    pub new_days: u32,
}

/// Heroku's API.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HerokuWorld {
    /// Hours from the start until the key ends that it is called with.
    pub key_hours: u32,
}

/// CloudWatch's habits.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsWorld {
    /// From the end of a period until its datapoint can be read.
    #[serde(deserialize_with = "duration")]
    pub delay: Duration,
    /// How much history exists when the sandbox starts.
    #[serde(deserialize_with = "duration")]
    pub history: Duration,
}

/// A group of users behind one resolver.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserGroup {
    /// For the state page.
    pub name: String,
    /// The name that they ask for; `shop.example.test` without it.
    #[serde(default = "shop")]
    pub host: String,
    /// Resolvers by name, asked in order as a stub resolver does; the next one only when the one before is silent.
    pub resolvers: Vec<String>,
    /// Weight among all groups.
    pub share: f64,
    /// How long a connection lives on average: the tail on the old side after a switch.
    #[serde(deserialize_with = "duration")]
    pub keep_alive: Duration,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            about: String::new(),
            seed: 202_247_765,
            dns: DnsWorld::default(),
            traffic: Traffic::default(),
            certificates: Certificates::default(),
            heroku: HerokuWorld::default(),
            metrics: MetricsWorld::default(),
            resolvers: BTreeMap::new(),
            users: usual_users(),
            faults: Vec::new(),
        }
    }
}

fn shop() -> String {
    SHOP.to_owned()
}

fn usual_users() -> Vec<UserGroup> {
    let group = |&(name, host, resolvers, share, keep_alive): &(&str, &str, &[&str], f64, u64)| UserGroup {
        name: name.to_owned(),
        host: host.to_owned(),
        resolvers: resolvers.iter().map(|&resolver| resolver.to_owned()).collect(),
        share,
        keep_alive: Duration::from_secs(keep_alive),
    };
    USUAL_USERS.iter().map(group).collect()
}

impl Default for DnsWorld {
    fn default() -> Self {
        Self {
            old_ttl: Duration::from_secs(1800),
            insync: Duration::from_secs(30),
            served: Duration::from_secs(20),
            requests_per_second: 5.0,
        }
    }
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            requests_per_second: 212.0,
            job_share: 0.03,
            dyno_capacity: 150.0,
            task_capacity: 180.0,
            worker_capacity: 16.0,
        }
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self { old_days: 19, new_days: 300 }
    }
}

impl Default for HerokuWorld {
    fn default() -> Self {
        Self { key_hours: 720 }
    }
}

impl Default for MetricsWorld {
    fn default() -> Self {
        Self { delay: Duration::from_secs(120), history: Duration::from_secs(3600) }
    }
}

impl Scenario {
    /// A built-in scenario by name, or one from a file when `name` ends in `.toml`.
    ///
    /// # Errors
    /// The name is unknown (the error lists the known ones), the file cannot be read, or its text is not a scenario.
    pub fn load(name: &str) -> Result<Self, SandboxError> {
        if Path::new(name).extension().is_some_and(|ending| ending == "toml") {
            let text = std::fs::read_to_string(name)
                .map_err(|source| SandboxError::ReadScenario { path: name.into(), source })?;
            return Self::parse(name, &text);
        }
        let known: BTreeMap<_, _> = BUILT_IN.iter().copied().collect();
        let text = known.get(name).ok_or_else(|| SandboxError::UnknownScenario {
            name: name.to_owned(),
            known: known.keys().copied().collect::<Vec<_>>().join(", "),
        })?;
        Self::parse(name, text)
    }

    /// Parses TOML text; `origin` names it in errors.
    ///
    /// # Errors
    /// The text is not TOML, has an unknown field, or breaks a rule; the error points into the text.
    pub fn parse(origin: &str, text: &str) -> Result<Self, SandboxError> {
        toml::from_str(text).map_err(|source| SandboxError::ParseScenario { origin: origin.to_owned(), source })
    }

    /// What one service allows per wall second at `speed`: a client that keeps session time asks `speed` times as
    /// often. Capped, so that an honest back-off is still rehearsed at high speeds.
    pub(super) fn route53_rate(&self, speed: f64) -> f64 {
        self.dns.requests_per_second * speed.clamp(1.0, 40.0)
    }
}

/// Reads `"90s"`, `"5m"`, `"1h 30m"`.
pub(super) fn duration<'de, D: Deserializer<'de>>(source: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(source)?;
    parse_duration(&text)
        .ok_or_else(|| D::Error::custom(format!("{text:?} is not a duration such as \"90s\" or \"5m\"")))
}

/// Reads an optional duration of the same form.
pub(super) fn optional_duration<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Duration>, D::Error> {
    duration(source).map(Some)
}

fn parse_duration(text: &str) -> Option<Duration> {
    let span: jiff::SignedDuration = text.parse().ok()?;
    Duration::try_from(span).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_scenario_parses_and_says_what_it_is_about() {
        for (name, _) in BUILT_IN {
            assert!(!Scenario::load(name).unwrap().about.is_empty(), "{name}");
        }
    }

    #[test]
    fn the_annotated_scenario_shows_the_defaults() {
        let calm = Scenario::load("calm").unwrap();
        assert_eq!(calm, Scenario { about: calm.about.clone(), ..Scenario::default() });
    }

    #[test]
    fn durations_need_units() {
        assert_eq!(parse_duration("1h 30m"), Some(Duration::from_secs(5400)));
        for wrong in ["90", "soon", "-5s", ""] {
            assert_eq!(parse_duration(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn wrong_scenarios_are_refused_with_their_place() {
        let unknown = Scenario::parse("x.toml", "[dns]\nold_tlt = \"5m\"").unwrap_err();
        assert!(std::error::Error::source(&unknown).unwrap().to_string().contains("line 2"), "{unknown}");
        let missing = Scenario::load("quiet").unwrap_err().to_string();
        assert!(missing.contains("calm, error-spike"), "{missing}");
    }
}
