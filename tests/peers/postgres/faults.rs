//! What goes wrong: leaks, a stalled apply, a lost connection, replication that dies quietly.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use cutover::{
    clock::Clock,
    plan::{Role, Side},
    run::{Access, Cell, Change, Observation, Outcome, Report, Sample, VerdictKind},
    steps, watch,
    world::World,
};
use tokio::sync::mpsc;

use crate::{
    quick,
    stage::{Stage, client, cut, ports},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_freeze_that_leaks_names_who_still_writes_and_where() {
    let stage = Stage::new("leaks", quick(), None).await;
    let role = stage.role("reports");
    stage.old.batch_execute(&format!("grant insert on orders to {role}")).await.unwrap();
    let reports = client(stage.ports.old, stage.name, &role).await;
    let leak = tokio::spawn(async move {
        loop {
            reports.execute("insert into orders (item) values ('leak')", &[]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let preview = stage.preview("revoke", &[]).await;
    let warned = preview.facts.iter().any(|(label, value)| label == "would leak" && value.contains(&role));
    assert!(warned, "the preview names the role before the freeze: {:?}", preview.facts);
    let change = preview.parts[0].change.clone();
    let outcome = steps::apply(&stage.context("revoke"), &change, "token").await;
    let Outcome::InDoubt { trouble } = outcome else { panic!("{outcome:?}") };
    assert!(trouble.reason.contains(&role) && trouble.reason.contains("public.orders +"), "{}", trouble.reason);
    let seen = steps::observe(&stage.context("revoke"), &change, false).await;
    assert!(matches!(&seen, Observation::Unknown { reason } if reason.contains(&role)), "{seen:?}");
    leak.abort();
    let _ = leak.await;
    let seen = steps::observe(&stage.context("revoke"), &change, false).await;
    assert_eq!(seen, Observation::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_apply_is_told_from_a_lag_and_passes_when_it_is_mended() {
    let stage = Stage::new("stalls", quick(), None).await;
    stage.new.execute("insert into orders (id, item) values (1, 'rogue')", &[]).await.unwrap();
    stage.old.execute("insert into orders (item) select 'x' from generate_series(1, 1000)", &[]).await.unwrap();
    let stage = Arc::new(stage);
    let waiting = {
        let stage = Arc::clone(&stage);
        tokio::spawn(async move { steps::apply(&stage.context("caught-up"), &Change::Nothing, "token").await })
    };
    stage
        .until("the stall is told", || async {
            stage.told().iter().any(|line| line.starts_with("stalled: ") && line.contains("errors of applying"))
        })
        .await;
    assert!(!waiting.is_finished());
    stage.new.execute("delete from orders where item = 'rogue'", &[]).await.unwrap();
    let outcome = tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap();
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?} {:?}", stage.told());
    assert_eq!(crate::items(&stage.new).await.len(), 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lost_in_a_freeze_is_in_doubt_observed_and_not_repeated() {
    let ports = ports();
    let (port, switch) = cut::relay(ports.old, "REVOKE").await;
    let stage = Stage::new("lost", quick(), Some(port)).await;
    let before = stage.access().await;
    let change = stage.preview("revoke", &[]).await.parts[0].change.clone();
    switch.store(cut::BEFORE, Ordering::SeqCst);
    let outcome = steps::apply(&stage.context("revoke"), &change, "token").await;
    assert!(matches!(outcome, Outcome::InDoubt { .. }), "{outcome:?}");
    assert_eq!(stage.access().await, before);
    let seen = steps::observe(&stage.context("revoke"), &change, false).await;
    assert!(matches!(seen, Observation::NotDone { .. }), "{seen:?}");
    switch.store(cut::AFTER, Ordering::SeqCst);
    let outcome = steps::apply(&stage.context("revoke"), &change, "token").await;
    assert!(matches!(outcome, Outcome::InDoubt { .. }), "{outcome:?}");
    assert_ne!(stage.access().await, before);
    let seen = steps::observe(&stage.context("revoke"), &change, false).await;
    assert_eq!(seen, Observation::Done);
    switch.store(cut::OFF, Ordering::SeqCst);
    stage.run("revoke", &[change]).await;
    assert_eq!(stage.access().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_freeze_whose_answer_is_lost_is_not_done_while_an_older_session_may_write() {
    let ports = ports();
    let (port, switch) = cut::relay(ports.old, "ALTER").await;
    let stage = Stage::new("idle", quick(), Some(port)).await;
    let (before, role) = (stage.access().await, stage.role("shop"));
    let may_write = async |world: &World| {
        let ability = world.postgres().unwrap().side(Side::Old).ability(&role).await.unwrap();
        ability.may_write()
    };
    for step in ["read-only", "limit"] {
        let idle = stage.shop().await;
        let change = stage.preview(step, &[]).await.parts[0].change.clone();
        switch.store(cut::AFTER, Ordering::SeqCst);
        let outcome = steps::apply(&stage.context(step), &change, "token").await;
        assert!(matches!(outcome, Outcome::InDoubt { .. }), "{step}: {outcome:?}");
        switch.store(cut::OFF, Ordering::SeqCst);
        assert_ne!(stage.access().await, before, "{step}");
        let seen = steps::observe(&stage.context(step), &change, false).await;
        let named = format!("{role} (1 session)");
        assert!(matches!(&seen, Observation::Unfinished { left } if left.contains(&named)), "{step}: {seen:?}");
        assert!(may_write(&stage.world).await, "{step}: it is a writer of the interlock");
        idle.execute("insert into orders (item) values ('it may indeed')", &[]).await.unwrap();
        // The next attempt finds the access as wanted, and does the rest.
        let rest = stage.preview(step, &[]).await.parts[0].change.clone();
        let outcome = steps::apply(&stage.context(step), &rest, "token").await;
        assert!(matches!(outcome, Outcome::Done { .. }), "{step}: {outcome:?}");
        assert!(idle.execute("insert into orders (item) values ('late')", &[]).await.is_err(), "{step}");
        // A pool that comes back is bound by the default.
        let pool = if step == "read-only" { Some(stage.shop().await) } else { None };
        assert_eq!(steps::observe(&stage.context(step), &rest, true).await, Observation::Done, "{step}");
        assert!(!may_write(&stage.world).await, "{step}");
        if let Some(pool) = pool {
            pool.execute("insert into orders (item) values ('late')", &[]).await.unwrap_err();
            // Another engine cannot see how old it is, unless the log says what was proven.
            let other = World::connect(&stage.plan, quick()).await.unwrap();
            assert!(may_write(&other).await);
            let other = World::connect(&stage.plan, quick()).await.unwrap();
            other.postgres().unwrap().side(Side::Old).was_proven_read_only(std::slice::from_ref(&role));
            assert!(!may_write(&other).await);
        }
        stage.run(step, &[change, rest]).await;
        assert_eq!(stage.access().await, before, "{step}: back to where the first attempt found it");
    }
}

/// What the watches have said so far, and say until something holds.
struct Heard {
    findings: mpsc::Receiver<watch::Finding>,
}

impl Heard {
    async fn until<T>(&mut self, what: &str, take: impl Fn(&watch::Finding) -> Option<T>) -> T {
        let mut all = Vec::new();
        let wait = async {
            while let Some(finding) = self.findings.recv().await {
                if let Some(found) = take(&finding) {
                    return found;
                }
                all.push(format!("{finding:?}"));
            }
            panic!("{what}: the watches ended")
        };
        let heard = tokio::time::timeout(Duration::from_secs(60), wait).await;
        heard.unwrap_or_else(|_| panic!("{what}: not heard within a minute: {all:#?}"))
    }

    async fn writer(&mut self, side: Side, wanted: Cell) {
        let is = |finding: &watch::Finding| match finding {
            watch::Finding::Report(Report::Runner { side: told, role: Role::Writer, cell }) => {
                (*told == side && *cell == wanted).then_some(())
            }
            _ => None,
        };
        self.until(&format!("writer {side:?} {wanted:?}"), is).await;
    }

    async fn verdict(&mut self, wanted: VerdictKind) {
        let is = |finding: &watch::Finding| match finding {
            watch::Finding::Report(Report::Verdict { verdict, .. }) => (*verdict == wanted).then_some(()),
            _ => None,
        };
        self.until(&format!("verdict {wanted:?}"), is).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lag_of_nothing_turns_blind_when_replication_dies_quietly() {
    let stage = Stage::new("quiet", Clock::real(), None).await;
    let (out, findings) = mpsc::channel(4096);
    let (_keep, baseline) = tokio::sync::watch::channel(std::collections::BTreeMap::new());
    let _watches = watch::start(
        Arc::clone(&stage.plan),
        stage.world.clone(),
        stage.world.clock(),
        out,
        baseline,
        stage.world.clock().now(),
    );
    let mut heard = Heard { findings };
    heard.verdict(VerdictKind::Holding).await;
    let lag = |finding: &watch::Finding| match finding {
        watch::Finding::Sample(Sample::Metric { metric, data }) if metric == "lag" => Some(data[0].value),
        _ => None,
    };
    let caught_up = heard.until("a lag", lag).await;
    assert!(caught_up < 1e6, "{caught_up}");
    stage.new.batch_execute("alter subscription quiet disable").await.unwrap();
    let trouble = |finding: &watch::Finding| match finding {
        watch::Finding::Report(Report::Source { source, trouble: Some(trouble) })
            if source == "postgres:replication" =>
        {
            Some(trouble.reason.clone())
        }
        _ => None,
    };
    let reason = heard.until("what is dead", trouble).await;
    assert!(reason.contains("the subscription is disabled"), "{reason}");
    heard.verdict(VerdictKind::Blind).await;
    stage.new.batch_execute("alter subscription quiet enable").await.unwrap();
    heard.verdict(VerdictKind::Holding).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_writers_of_the_interlock_are_what_may_be_written_and_not_what_we_did() {
    let stage = Stage::new("interlock", Clock::real(), None).await;
    let (out, findings) = mpsc::channel(4096);
    let (_keep, baseline) = tokio::sync::watch::channel(std::collections::BTreeMap::new());
    let _watches = watch::start(
        Arc::clone(&stage.plan),
        stage.world.clone(),
        stage.world.clock(),
        out,
        baseline,
        stage.world.clock().now(),
    );
    let mut heard = Heard { findings };
    heard.writer(Side::Old, Cell::On).await;
    let frozen = stage.run("revoke", &[]).await;
    heard.writer(Side::Old, Cell::Off).await;
    // Somebody else opens it behind our back: by a group that the role inherits from.
    let group = format!("grant {}_reports to {}_shop", stage.name, stage.name);
    let admin = client(stage.ports.old, "postgres", "postgres").await;
    admin.batch_execute(&group).await.unwrap();
    stage.old.batch_execute(&format!("grant insert on orders to {}", stage.role("reports"))).await.unwrap();
    heard.writer(Side::Old, Cell::On).await;
    stage.old.batch_execute(&format!("revoke insert on orders from {}", stage.role("reports"))).await.unwrap();
    heard.writer(Side::Old, Cell::Off).await;
    let Change::WriteAccess { from: Access::Grants { grants }, .. } = &frozen else { panic!("{frozen:?}") };
    assert_eq!(grants.len(), 6, "insert, update and delete on two tables");
    let effects = cutover::run::runner_effects(&frozen, &stage.plan.runners);
    assert_eq!(effects, [(Side::Old, Role::Writer, false)]);
}
