//! What was found before anything is judged. Plain data: whatever could not be read says why.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::needs::Way;
use crate::{
    plan::{Role, SecretStore, Side},
    run::{CheckSample, Trouble},
    world::{
        Caller,
        ecs::Service,
        iam::Decision,
        logs::Receiving,
        postgres::DatabaseFacts,
        rds::{Instance, Snapshot},
        route53::Found,
        tasks::Definition,
    },
};

/// What was read, or why not.
pub type Answer<T> = Result<T, Trouble>;

/// Everything that was read in one look.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// When, session time.
    pub at: Timestamp,
    /// When the session began, session time; None: it has not.
    pub begun: Option<Timestamp>,
    /// Who we are.
    pub caller: Answer<Caller>,
    /// When the AWS credentials end; None: they do not say.
    pub credentials_until: Answer<Option<Timestamp>>,
    /// When Heroku's key ends; None: it does not, or does not say. None of either: the plan has no app.
    pub heroku_until: Option<Answer<Option<Timestamp>>>,
    /// What may be done.
    pub permissions: Vec<Permission>,
    /// The Heroku app; None: the plan has none.
    pub heroku: Option<Answer<HerokuFacts>>,
    /// One run of each check on each side.
    pub checks: Vec<CheckSample>,
    /// Record id and what stands at its name.
    pub records: Vec<(String, Answer<Vec<Found>>)>,
    /// Name servers.
    pub servers: Vec<ServerFacts>,
    /// Databases.
    pub databases: Vec<(Side, Answer<DatabaseFacts>)>,
    /// Instances that a step works on.
    pub instances: Vec<(String, Answer<Option<Instance>>)>,
    /// Snapshots of an instance that is to be restored.
    pub snapshots: Vec<(String, Answer<Vec<Snapshot>>)>,
    /// ECS services.
    pub services: Vec<ServiceFacts>,
    /// Step id and the task definition that it runs.
    pub tasks: Vec<(String, Answer<Definition>)>,
    /// Names of secrets by store and prefix.
    pub secrets: Vec<(SecretStore, String, Answer<BTreeSet<String>>)>,
    /// Log groups.
    pub logs: Vec<(String, Answer<Receiving>)>,
}

/// What IAM says of one action.
#[derive(Debug, Clone, PartialEq)]
pub struct Permission {
    /// e.g. `ecs:UpdateService`.
    pub action: &'static str,
    /// What for, and who needs it first.
    pub uses: Vec<(Way, String)>,
    /// One decision for each resource.
    pub decisions: Answer<Vec<Decision>>,
}

/// A Heroku app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HerokuFacts {
    /// Names of its config vars.
    pub config_vars: BTreeSet<String>,
    /// Fingerprints of their values; empty: no session to compare them in.
    pub fingerprints: BTreeMap<String, String>,
    /// Dynos by process type.
    pub formation: BTreeMap<String, u32>,
    /// What its add-ons are of.
    pub addons: Answer<BTreeSet<String>>,
    /// Version of its newest release and what made it; None: nothing was ever deployed.
    pub release: Answer<Option<(u32, String)>>,
}

/// A name server that was asked for the SOA of every zone that is its to answer for, and for every record there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// What it is called.
    pub name: String,
    /// It speaks for a zone; else it is one of the plan's resolvers.
    pub authority: bool,
    /// Zone, and how many seconds resolvers may remember that there is nothing at a name of it; None: its SOA does not
    /// tell.
    pub zones: Vec<(String, Answer<Option<u32>>)>,
    /// Record id, and whether it answers for it.
    pub records: Vec<(String, Answer<()>)>,
}

/// An ECS service of a runner.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceFacts {
    /// What it is.
    pub role: Role,
    /// Cluster name.
    pub cluster: String,
    /// Service name.
    pub service: String,
    /// As ECS describes it.
    pub found: Answer<Service>,
    /// The definition that its newest deployment brings.
    pub definition: Answer<Definition>,
}
