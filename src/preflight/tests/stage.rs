//! The sample plan against the sandbox, and each finding staged to fail.

use std::sync::Arc;

use super::{
    super::{
        facts::Facts,
        gather::{Look, Progress, gather},
        judge::judge,
    },
    staged::STAGED,
};
use crate::{
    clock::Clock,
    journal::SessionDir,
    plan::{Plan, load},
    run::{Finding, Standing},
    sandbox::{Ports, Sandbox, SandboxConfig, scenario::Scenario, start},
    world::World,
};

pub(super) struct Stage {
    pub(super) plan: Arc<Plan>,
    pub(super) world: World,
    pub(super) sandbox: Sandbox,
}

impl Stage {
    pub(super) async fn open() -> Self {
        let (clock, scenario) = (Clock::scaled(20.0), Scenario::load("calm").unwrap());
        let sandbox = start(SandboxConfig { clock, scenario, state_dir: None, ports: Ports::default() }).await.unwrap();
        let given = crate::cli::sandbox_variables(sandbox.endpoints(), &SessionDir::new("."));
        let plan =
            load(super::SAMPLE, "acme-shop.toml", "sandbox", &given).unwrap_or_else(|e| panic!("{}", e.render(false)));
        let world = World::connect(&plan, sandbox.endpoints().clock()).await.unwrap();
        Self { plan: Arc::new(plan), world, sandbox }
    }

    pub(super) async fn look(&self, look: Look) -> Facts {
        gather(&self.plan, &self.world, self.world.clock(), look, &Progress::default()).await
    }

    fn iam(&self) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(self.world.aws().act())
    }

    /// The user may do what this policy says, and nothing else.
    pub(super) async fn attach(&self, policy: &serde_json::Value) {
        let put = self.iam().put_user_policy().user_name("sandbox").policy_name("cutover");
        put.policy_document(policy.to_string()).send().await.unwrap();
        let _ = self.iam().delete_user_policy().user_name("sandbox").policy_name("everything").send().await;
    }
}

pub(super) fn wanting(findings: &[Finding]) -> Vec<String> {
    let not_passed = findings.iter().filter(|finding| finding.standing != Standing::Passed);
    not_passed.map(|one| format!("{} {}: {}", one.id, one.standing.word(), one.reason)).collect()
}

#[tokio::test]
async fn the_sandbox_passes_in_all_findings_and_a_quiet_look_in_those_that_stay() {
    let stage = Stage::open().await;
    let whole = judge(&stage.plan, &stage.look(Look::Whole).await);
    assert_eq!(wanting(&whole), Vec::<String>::new());
    let ids: std::collections::BTreeSet<_> = whole.iter().map(|finding| &finding.id).collect();
    assert_eq!(ids.len(), whole.len(), "each id once");
    let resolvers = whole.iter().find(|finding| finding.id == "resolvers").unwrap();
    assert!(resolvers.reason.starts_with("7 of 8 answer") && resolvers.reason.contains("dead"), "{resolvers:?}");
    let quiet = judge(&stage.plan, &stage.look(Look::Quiet { begun: stage.world.clock().now() }).await);
    assert_eq!(wanting(&quiet), Vec::<String>::new());
    let own: Vec<_> = quiet.iter().filter(|finding| !ids.contains(&finding.id)).map(|one| one.id.as_str()).collect();
    assert_eq!(own, ["config-values"], "of its own a quiet look has what is held against the first one");
    assert!(quiet.len() < whole.len() && quiet.iter().any(|finding| finding.id.starts_with("permission:")));
}

#[tokio::test]
async fn what_is_missing_in_the_world_is_found_by_name() {
    let stage = Stage::open().await;
    let config = stage.world.aws().act();
    let secrets = aws_sdk_secretsmanager::Client::new(config);
    secrets.delete_secret().secret_id("acme-shop/STRIPE_SECRET_KEY").send().await.unwrap();
    let findings = judge(&stage.plan, &stage.look(Look::Whole).await);
    let of_web = findings.iter().find(|finding| finding.id == "secrets:web").unwrap();
    assert_eq!(of_web.standing, Standing::ActionRequired);
    assert!(of_web.reason.contains("STRIPE_SECRET_KEY"), "{of_web:?}");
    let all = serde_json::to_string(&findings).unwrap();
    assert!(!all.contains("not-a-secret"), "no value of a config var is ever told");
}

#[tokio::test]
async fn each_finding_can_fail_and_says_why_and_what_to_do() {
    let stage = Stage::open().await;
    let facts = stage.look(Look::Whole).await;
    let good = judge(&stage.plan, &facts);
    let mut staged = std::collections::BTreeSet::new();
    for (title, change, id, standing, words) in STAGED {
        let (mut facts, mut plan) = (facts.clone(), (*stage.plan).clone());
        change(&mut facts, &mut plan);
        let findings = judge(&plan, &facts);
        let failed = findings.iter().find(|one| one.id.starts_with(id) && one.standing == *standing);
        let failed = failed.unwrap_or_else(|| panic!("{title}: {:?}", wanting(&findings)));
        assert!(failed.reason.contains(words), "{title}: {failed:?}");
        assert!(failed.remedy.is_some(), "{title}: {failed:?}");
        staged.insert(failed.id.split(':').next().unwrap().to_owned());
    }
    let topics: std::collections::BTreeSet<_> =
        good.iter().map(|finding| finding.id.split(':').next().unwrap().to_owned()).collect();
    assert_eq!(topics.difference(&staged).collect::<Vec<_>>(), Vec::<&String>::new(), "topics that no test lets fail");
}
