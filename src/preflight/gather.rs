//! Asks the world everything that a preflight judges: a thin shell. Only reads; each call has its time, a few at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::{
    facts::{Answer, Facts, HerokuFacts, Permission, ServerFacts, ServiceFacts},
    needs::{Need, needs},
};
use crate::{
    clock::Clock,
    plan::{Kind, OtherType, Plan, Preflight, RdsKind, Record, RecordType, RunnerSource, SecretStore, Side},
    run::{CheckSample, Target, Trouble, TroubleKind},
    world::{
        Caller, World, clean, dns,
        iam::{Iam, Question},
        logs::Receiving,
        secrets::Secrets,
        trouble,
    },
};

/// No call is waited for longer, wall time; the clients' own limits are shorter for most of them.
const LIMIT: Duration = Duration::from_secs(20);
/// Calls at once when a person waits for them.
const AT_ONCE: usize = 8;

/// How far a look is, for whoever waits for it.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<(usize, Vec<String>)>>);

impl Progress {
    /// How many answers there are, and which calls are waited for.
    #[must_use]
    pub fn now(&self) -> (usize, Vec<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut (usize, Vec<String>))) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Which look it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// A person waits for all of it.
    Whole,
    /// During a session that began then: one call at a time, and nothing that the watches and previews look at anyway.
    Quiet {
        /// Session time.
        begun: Timestamp,
    },
}

/// What all questions share.
struct Asker<'a> {
    plan: &'a Plan,
    world: &'a World,
    hints: Preflight,
    gate: Semaphore,
    progress: Progress,
    whole: bool,
    /// When the session began that it is a look of.
    begun: Option<Timestamp>,
}

/// Looks at everything once. Never fails: what could not be read says why in its place.
pub async fn gather(plan: &Plan, world: &World, clock: Clock, look: Look, progress: &Progress) -> Facts {
    let asker = Asker::new(plan, world, look, progress);
    let first = asker.identity();
    let (caller, heroku, checks, records, servers, databases) =
        tokio::join!(first, asker.heroku(), asker.checks(), asker.records(), asker.servers(), asker.databases());
    let (permissions, credentials_until, heroku_until, services, tasks, instances, snapshots, secrets) = tokio::join!(
        asker.permissions(&caller),
        asker.ask("aws:credentials", world.aws().credentials_until()),
        asker.heroku_key(),
        asker.services(),
        asker.tasks(),
        asker.instances(),
        asker.snapshots(),
        asker.secrets()
    );
    let logs = asker.logs(&services, &tasks, clock).await;
    Facts {
        at: clock.now(),
        begun: match look {
            Look::Whole => None,
            Look::Quiet { begun } => Some(begun),
        },
        caller,
        credentials_until,
        heroku_until,
        permissions,
        heroku,
        checks,
        records,
        servers,
        databases,
        instances,
        snapshots,
        services,
        tasks,
        secrets,
        logs,
    }
}

/// What may be done, alone: for a test that asks many times.
#[cfg(test)]
pub(super) async fn permitted(plan: &Plan, world: &World) -> Vec<Permission> {
    let asker = Asker::new(plan, world, Look::Whole, &Progress::default());
    let caller = asker.identity().await;
    asker.permissions(&caller).await
}

impl<'a> Asker<'a> {
    fn new(plan: &'a Plan, world: &'a World, look: Look, progress: &Progress) -> Self {
        let begun = if let Look::Quiet { begun } = look { Some(begun) } else { None };
        let whole = begun.is_none();
        let (hints, progress) = (plan.preflight.clone().unwrap_or_default(), progress.clone());
        let gate = Semaphore::new(if whole { AT_ONCE } else { 1 });
        Self { plan, world, hints, gate, progress, whole, begun }
    }
}

impl Asker<'_> {
    /// One call, when its turn comes, for as long as it may take.
    async fn ask<T>(&self, name: &str, call: impl Future<Output = Answer<T>>) -> Answer<T> {
        let turn = self.gate.acquire().await;
        self.progress.change(|(_, waiting)| waiting.push(name.to_owned()));
        let answer = tokio::time::timeout(LIMIT, call).await;
        self.progress.change(|(done, waiting)| {
            *done += 1;
            if let Some(place) = waiting.iter().position(|known| known == name) {
                waiting.remove(place);
            }
        });
        drop(turn);
        let late = || trouble(name, TroubleKind::Unreachable, &format!("no answer in {} s", LIMIT.as_secs()));
        answer.unwrap_or_else(|_| Err(late()))
    }

    async fn identity(&self) -> Answer<Caller> {
        self.ask("sts:GetCallerIdentity", self.world.aws().caller()).await
    }

    /// What IAM says of every need: those on the same resources under the same conditions in one question.
    async fn permissions(&self, caller: &Answer<Caller>) -> Vec<Permission> {
        let needs = needs(self.plan);
        let iam = Iam::new(self.world.aws());
        let principal = self.principal(&iam, caller).await;
        let mut questions: Vec<Question> = Vec::new();
        for need in &needs {
            let question = asked(need, principal.as_deref().unwrap_or_default());
            match questions
                .iter_mut()
                .find(|known| known.resources == question.resources && known.context == question.context)
            {
                Some(known) if known.actions.contains(&question.actions[0]) => {}
                Some(known) => known.actions.extend(question.actions),
                None => questions.push(question),
            }
        }
        let answers = join_all(questions.iter().map(async |question| match &principal {
            Ok(principal) => self.ask("iam:SimulatePrincipalPolicy", iam.simulate(principal, question)).await,
            Err(trouble) => Err(trouble.clone()),
        }));
        let answers = answers.await;
        let mut permissions: Vec<Permission> = Vec::new();
        for need in &needs {
            let of_need = (need.way, need.why.clone());
            match permissions.iter_mut().find(|known| known.action == need.action) {
                Some(known) => known.uses.push(of_need),
                None => {
                    let decisions = decisions(need.action, &questions, &answers);
                    permissions.push(Permission { action: need.action, uses: vec![of_need], decisions });
                }
            }
        }
        permissions
    }

    /// Whose policies count. Who may not look his role up gets it without a path, which most have not.
    async fn principal(&self, iam: &Iam, caller: &Answer<Caller>) -> Answer<String> {
        let caller = caller.as_ref().map_err(Trouble::clone)?;
        match caller.role() {
            Some(role) => self.ask("iam:GetRole", iam.role(role)).await.or_else(|_| caller.principal()),
            None => caller.principal(),
        }
    }

    async fn heroku(&self) -> Option<Answer<HerokuFacts>> {
        self.plan.heroku.as_ref()?;
        let heroku = match self.world.heroku() {
            Ok(heroku) => heroku,
            Err(trouble) => return Some(Err(trouble)),
        };
        // What a person is shown before a session begins has nothing to be compared with.
        let salt = self.begun.map(|begun| begun.to_string());
        let config_vars = self.ask("heroku:config-vars", heroku.config_vars(salt.as_deref().unwrap_or_default())).await;
        let formation = self.ask("heroku:formation", heroku.formation()).await;
        let addons = self.ask("heroku:addons", heroku.addon_services()).await;
        let release = self.ask("heroku:releases", heroku.release()).await;
        let release = release.map(|release| release.map(|release| (release.version, clean(&release.description))));
        Some(config_vars.and_then(|config_vars| {
            let formation = formation?.into_iter().map(|(name, process)| (name, process.quantity)).collect();
            let names = config_vars.keys().cloned().collect();
            let fingerprints = salt.map(|_| config_vars).unwrap_or_default();
            Ok(HerokuFacts { config_vars: names, fingerprints, formation, addons, release })
        }))
    }

    async fn heroku_key(&self) -> Option<Answer<Option<Timestamp>>> {
        self.plan.heroku.as_ref()?;
        Some(match self.world.heroku() {
            Ok(heroku) => self.ask("heroku:authorizations", heroku.key_until()).await,
            Err(trouble) => Err(trouble),
        })
    }

    /// The watch runs them all the time, once a session has begun.
    async fn checks(&self) -> Vec<CheckSample> {
        let checks = self.plan.checks.iter().filter(|_| self.whole);
        let runs = checks.flat_map(|check| [Target::Old, Target::New].map(|target| (check, target)));
        let runs = runs.map(async |(check, target)| {
            let run = async { Ok(self.world.checker().run(check, target).await) };
            self.ask(&format!("check `{}`", check.id), run).await.ok()
        });
        join_all(runs).await.into_iter().flatten().collect()
    }

    async fn records(&self) -> Vec<(String, Answer<Vec<crate::world::route53::Found>>)> {
        let sets = self.plan.records.iter().map(async |record| {
            let sets = self.world.route53().sets(&record.zone_id, record.name());
            (record.id.clone(), self.ask("route53:ListResourceRecordSets", sets).await)
        });
        join_all(sets).await
    }

    /// Every authoritative server of each zone, and every resolver, is asked for the zone's SOA and for each record: one may
    /// answer for some of them and not for others.
    async fn servers(&self) -> Vec<ServerFacts> {
        let zones: BTreeSet<_> = self.plan.records.iter().map(|record| record.zone_name.as_str()).collect();
        let zones: Vec<_> = zones.into_iter().collect();
        if zones.is_empty() {
            return Vec::new();
        }
        let listed = self.plan.dns.resolvers.iter();
        let mut servers: Vec<_> = listed.map(|one| (one.name.clone(), one.address, false, zones.clone())).collect();
        let mut all = Vec::new();
        for zone in &zones {
            let several = if zones.len() > 1 { format!(" {}", zone.trim_end_matches('.')) } else { String::new() };
            match self.ask(&format!("dns:NS {zone}"), self.world.authority(zone)).await {
                Ok(found) => {
                    servers.extend(
                        found.into_iter().map(|at| (format!("authority {at}{several}"), at, true, vec![*zone])),
                    );
                }
                Err(trouble) => all.push(ServerFacts {
                    name: format!("authority{several}"),
                    authority: true,
                    zones: vec![((*zone).to_owned(), Err(trouble))],
                    records: Vec::new(),
                }),
            }
        }
        let asked = servers.into_iter().map(|(name, at, authority, zones)| self.server(name, at, authority, zones));
        all.extend(join_all(asked).await);
        all
    }

    /// One server, one question after the other. Who is silent twice in a row is not waited for any longer.
    async fn server(&self, name: String, at: SocketAddr, authority: bool, zones: Vec<&str>) -> ServerFacts {
        let call = format!("dns:{name}");
        let mut facts = ServerFacts { name, authority, zones: Vec::new(), records: Vec::new() };
        let mut silent = 0_u8;
        let unheard = || trouble(&call, TroubleKind::Unreachable, "no answer to two questions");
        for zone in &zones {
            let answer = self.ask(&call, negative_ttl(at, zone, authority)).await;
            silent = if is_silence(&answer) { silent + 1 } else { 0 };
            facts.zones.push(((*zone).to_owned(), answer));
        }
        for record in self.plan.records.iter().filter(|record| zones.contains(&record.zone_name.as_str())) {
            let answer =
                if silent < 2 { self.ask(&call, answers(at, record, authority)).await } else { Err(unheard()) };
            silent = if is_silence(&answer) { silent + 1 } else { 0 };
            facts.records.push((record.id.clone(), answer));
        }
        facts
    }

    async fn databases(&self) -> Vec<(Side, Answer<crate::world::postgres::DatabaseFacts>)> {
        if self.plan.databases.is_none() {
            return Vec::new();
        }
        let sides = [(Side::Old, "postgres:old"), (Side::New, "postgres:new")].map(async |(side, name)| {
            let facts = async { self.world.postgres()?.side(side).facts().await };
            (side, self.ask(name, facts).await)
        });
        join_all(sides).await
    }

    async fn instances(&self) -> Vec<(String, Answer<Option<crate::world::rds::Instance>>)> {
        let mut ids: Vec<&String> = Vec::new();
        for step in &self.plan.steps {
            if let Kind::Rds(RdsKind::Snapshot { instance: id, .. } | RdsKind::PromoteReplica { replica: id, .. }) =
                &step.kind
                && !ids.contains(&id)
            {
                ids.push(id);
            }
        }
        let found = ids
            .into_iter()
            .map(async |id| (id.clone(), self.ask("rds:DescribeDBInstances", self.world.rds().instance(id)).await));
        join_all(found).await
    }

    async fn snapshots(&self) -> Vec<(String, Answer<Vec<crate::world::rds::Snapshot>>)> {
        let restored = self.plan.steps.iter().filter_map(|step| match &step.kind {
            Kind::Rds(RdsKind::RestoreSnapshot { instance, .. }) => Some(instance),
            _ => None,
        });
        let found = restored.map(async |instance| {
            (instance.clone(), self.ask("rds:DescribeDBSnapshots", self.world.rds().snapshots(instance)).await)
        });
        join_all(found).await
    }

    async fn services(&self) -> Vec<ServiceFacts> {
        let runners = self.plan.runners.iter().filter_map(|runner| match &runner.source {
            RunnerSource::Ecs { cluster, service } => Some((runner.role, cluster, service)),
            RunnerSource::Heroku { .. } | RunnerSource::Postgres { .. } => None,
        });
        let found = runners.map(async |(role, cluster, service)| {
            let found = self.ask("ecs:DescribeServices", self.world.ecs().service(cluster, service)).await;
            let named = found.clone().and_then(|found| {
                let none = || trouble("ecs:DescribeServices", TroubleKind::Unexpected, "it has no deployment of ECS");
                found.rollout.map(|rollout| rollout.definition).ok_or_else(none)
            });
            let definition = match named {
                Ok(name) => self.ask("ecs:DescribeTaskDefinition", self.world.ecs().definition(&name)).await,
                Err(trouble) => Err(trouble),
            };
            ServiceFacts { role, cluster: cluster.clone(), service: service.clone(), found, definition }
        });
        join_all(found).await
    }

    async fn tasks(&self) -> Vec<(String, Answer<crate::world::tasks::Definition>)> {
        let steps = self.plan.steps.iter().filter_map(|step| match &step.kind {
            Kind::EcsRunTask(spec) => Some((step.id.to_string(), &spec.definition)),
            _ => None,
        });
        let found = steps.map(async |(step, name)| {
            (step, self.ask("ecs:DescribeTaskDefinition", self.world.ecs().definition(name)).await)
        });
        join_all(found).await
    }

    /// What the plan says of secrets, and all that there are where it says nothing.
    async fn secrets(&self) -> Vec<(SecretStore, String, Answer<BTreeSet<String>>)> {
        let runs_on_ecs = self.plan.runners.iter().any(|runner| matches!(runner.source, RunnerSource::Ecs { .. }));
        if !runs_on_ecs && self.hints.secrets.is_empty() {
            return Vec::new();
        }
        let secrets = Secrets::new(self.world.aws());
        let stores = [SecretStore::SecretsManager, SecretStore::Ssm];
        let mut places: Vec<_> = self.hints.secrets.iter().map(|place| (place.store, place.prefix.clone())).collect();
        places.extend(stores.iter().filter(|_| self.hints.secrets.is_empty()).map(|store| (*store, String::new())));
        let names = places.into_iter().map(async |(store, prefix)| {
            let call = match store {
                SecretStore::SecretsManager => "secretsmanager:ListSecrets",
                SecretStore::Ssm => "ssm:DescribeParameters",
            };
            let names = self.ask(call, secrets.names(store, &prefix)).await;
            (store, prefix, names)
        });
        join_all(names).await
    }

    /// The plan's log groups, else those that the definitions name.
    async fn logs(
        &self,
        services: &[ServiceFacts],
        tasks: &[(String, Answer<crate::world::tasks::Definition>)],
        clock: Clock,
    ) -> Vec<(String, Answer<Receiving>)> {
        let mut groups = self.hints.log_groups.clone();
        if groups.is_empty() {
            let definitions = services.iter().filter_map(|service| service.definition.as_ref().ok());
            let definitions = definitions.chain(tasks.iter().filter_map(|(_, definition)| definition.as_ref().ok()));
            let named = definitions.flat_map(|definition| &definition.containers).filter_map(|one| one.log.0.clone());
            groups = named.collect();
            groups.sort();
            groups.dedup();
        }
        let since = clock.now().checked_sub(self.hints.log_silence).unwrap_or(Timestamp::MIN);
        let asked = groups.into_iter().map(async |group| {
            let answer = self.ask("logs:FilterLogEvents", self.world.logs().receives(&group, since)).await;
            (group, answer)
        });
        join_all(asked).await
    }
}

fn is_silence<T>(answer: &Answer<T>) -> bool {
    answer.as_ref().is_err_and(|trouble| trouble.kind == TroubleKind::Unreachable)
}

/// How long resolvers may remember that there is nothing at a name of a zone, as one server tells.
///
/// Source: RFC 2308, section 5, and RFC 9077: the smaller of the SOA's own TTL and its last field.
async fn negative_ttl(server: SocketAddr, zone: &str, authority: bool) -> Answer<Option<u32>> {
    let answer = question(server, zone, RecordType::Other(OtherType::Soa), authority).await?;
    Ok(answer.chain.last().and_then(|soa| {
        let minimum = soa.value.rsplit(' ').next()?.parse().ok()?;
        Some(soa.ttl.min(minimum))
    }))
}

/// Whether a server answers for a record: by its own type, so that nothing behind its name is looked up as well. That
/// there is none of that type is an answer; what stands there is looked at by the watches.
async fn answers(server: SocketAddr, record: &Record, authority: bool) -> Answer<()> {
    question(server, record.name(), record.old.kind, authority).await.map(drop)
}

async fn question(server: SocketAddr, name: &str, kind: RecordType, authority: bool) -> Answer<dns::ProbeAnswer> {
    let options = if authority { dns::ProbeOptions::authority() } else { dns::ProbeOptions::resolver() };
    let call = if matches!(kind, RecordType::Other(_)) { "dns:SOA".to_owned() } else { format!("dns:{kind}") };
    let answer = dns::probe(server, name, kind, options).await;
    let answer = answer.map_err(|error| trouble(&call, TroubleKind::Unreachable, &error.to_string()))?;
    let said = |kind| trouble(&call, kind, &format!("it answers {} for {name}", answer.rcode));
    match answer.rcode {
        dns::Rcode::NoError => Ok(answer),
        // It says that a name does not exist which customers use.
        dns::Rcode::NxDomain => Err(said(TroubleKind::Unexpected)),
        _ => Err(said(TroubleKind::Refused)),
    }
}

/// IAM takes no wildcards: each stands for something that the wildcard means.
fn asked(need: &Need, principal: &str) -> Question {
    let resources = need.resources.iter().map(|arn| match arn.as_str() {
        "*" => "*".to_owned(),
        _ if need.action == "iam:SimulatePrincipalPolicy" => principal.to_owned(),
        arn => arn.replace('*', "preflight"),
    });
    let mut resources: Vec<_> = resources.collect();
    resources.dedup();
    let context = need.conditions.iter().map(|one| (one.key.to_owned(), one.values.iter().cloned().collect()));
    Question { actions: vec![need.action.to_owned()], resources, context: context.collect() }
}

/// All that was said of an action, one decision a resource and refusals first; else why nothing was.
fn decisions(
    action: &str,
    questions: &[Question],
    answers: &[Answer<Vec<crate::world::iam::Decision>>],
) -> Answer<Vec<crate::world::iam::Decision>> {
    let mut all: BTreeMap<(bool, String), crate::world::iam::Decision> = BTreeMap::new();
    let asked = questions.iter().zip(answers).filter(|(question, _)| question.actions.iter().any(|one| one == action));
    for (_, answer) in asked {
        for decision in answer.as_ref().map_err(Trouble::clone)?.iter().filter(|one| one.action == action) {
            all.insert((decision.allowed, decision.resource.clone()), decision.clone());
        }
    }
    Ok(all.into_values().collect())
}
