//! Whether what stands in the zone is what its name servers answer.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use futures_util::future::join_all;

use super::StepContext;
use crate::{
    plan::{RecordSet, RecordType},
    world::{
        dns::{ProbeAnswer, ProbeOptions, probe},
        route53::canonical,
    },
};

/// How long the name servers may lag behind INSYNC, session time.
const LAG: Duration = Duration::from_secs(60);
/// Between two looks at them, session time.
const LOOK: Duration = Duration::from_secs(5);
/// Looks that are taken whatever the clock says: a fast session leaves little wall time.
const LEAST_LOOKS: u32 = 3;

/// Waits until every authoritative server answers with what stands in the zone after a change.
///
/// # Errors
/// In words: which server answers what, or nothing. No answer is not a good one.
pub(super) async fn served(
    context: &StepContext,
    zone_id: &str,
    before: &[RecordSet],
    after: &[RecordSet],
) -> Result<(), String> {
    let zone = context.plan.records.iter().find(|record| record.zone_id == zone_id).map(|record| &record.zone_name);
    let zone = zone.ok_or_else(|| format!("the plan does not know the zone {zone_id}"))?;
    let found = context.world.authority(zone).await;
    let servers = found.map_err(|trouble| format!("{}: {}", trouble.call, trouble.reason))?;
    let started = context.clock.now();
    let mut looks = 0;
    loop {
        let asked = servers.iter().map(|server| follows(*server, before, after));
        let lagging = join_all(asked).await.into_iter().find_map(Result::err);
        let Some(reason) = lagging else { return Ok(()) };
        looks += 1;
        let waited = Duration::try_from(context.clock.now().duration_since(started)).unwrap_or(LAG);
        if (waited >= LAG && looks >= LEAST_LOOKS) || !context.pause(LOOK).await {
            return Err(format!("the zone has it, but {reason}"));
        }
    }
}

/// Whether one server answers as after the change, for every name and type of it.
async fn follows(server: SocketAddr, before: &[RecordSet], after: &[RecordSet]) -> Result<(), String> {
    let questions: BTreeSet<_> = after.iter().map(|set| (set.name.as_str(), set.kind)).collect();
    for (name, kind) in questions {
        let answer = probe(server, name, kind, ProbeOptions::authority());
        let answer = answer.await.map_err(|error| format!("{server} does not answer: {error}"))?;
        let at = |sets: &[RecordSet]| -> Vec<RecordSet> {
            sets.iter().filter(|set| set.name == name && set.kind == kind).map(canonical).collect()
        };
        if !agrees(&at(before), &at(after), &answer) {
            let shown =
                answer.chain.first().map_or_else(|| format!("{} for {name}", answer.rcode), ToString::to_string);
            return Err(format!("{server} answers {shown}"));
        }
    }
    Ok(())
}

/// Whether an authoritative answer is that of one of the sets of its name and type, TTL included.
///
/// An alias answers with addresses that only AWS knows; they are not those that stood there before.
fn agrees(before: &[RecordSet], after: &[RecordSet], answer: &ProbeAnswer) -> bool {
    let Some(first) = answer.chain.first() else { return false };
    let own = answer.chain.iter().filter(|hop| hop.name == first.name).map(|hop| hop.value.as_str());
    let own: BTreeSet<&str> = own.collect();
    let gives = |set: &RecordSet| set.values.iter().map(String::as_str).collect::<BTreeSet<_>>() == own;
    after.iter().any(|set| match &set.alias {
        Some(_) => first.kind != RecordType::Cname && !before.iter().any(|old| !after.contains(old) && gives(old)),
        None => first.kind == set.kind && gives(set) && Some(first.ttl) == set.ttl,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::Alias,
        world::dns::{Hop, Rcode},
    };

    const NAME: &str = "shop.example.test.";

    fn set(kind: RecordType, ttl: u32, values: &[&str]) -> RecordSet {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        RecordSet { name: NAME.into(), kind, ttl: Some(ttl), values, alias: None, weighted: None }
    }

    fn alias() -> RecordSet {
        let target = "alb-1.us-east-1.elb.amazonaws.com.".to_owned();
        let alias = Alias { target, zone_id: "Z35SXDOTRQ7X7K".into(), evaluate_health: false };
        RecordSet { ttl: None, alias: Some(alias), ..set(RecordType::A, 60, &[]) }
    }

    fn answer(kind: RecordType, ttl: u32, values: &[&str]) -> ProbeAnswer {
        let hop = |&value: &&str| Hop { name: NAME.into(), kind, ttl, value: value.into() };
        ProbeAnswer {
            rcode: Rcode::NoError,
            authoritative: true,
            chain: values.iter().map(hop).collect(),
            elapsed: Duration::ZERO,
            negative_ttl: None,
            via_tcp: false,
        }
    }

    #[test]
    fn a_server_agrees_when_it_gives_one_of_the_new_sets() {
        use RecordType::{A, Cname};
        let (old, new) = (set(Cname, 60, &["acme.herokudns.test."]), set(Cname, 60, &["alb.example.test."]));
        let says =
            |after: &[RecordSet], value: &str| agrees(std::slice::from_ref(&old), after, &answer(Cname, 60, &[value]));
        assert!(says(std::slice::from_ref(&new), "alb.example.test."));
        assert!(!says(std::slice::from_ref(&new), "acme.herokudns.test."));
        assert!(says(&[old.with_weight("a", 90), new.with_weight("b", 10)], "acme.herokudns.test."));
        assert!(!agrees(&[old], &[new], &answer(Cname, 60, &[])), "nothing is not agreement");
        let plain = set(A, 60, &["192.0.2.1"]);
        assert!(agrees(&[], &[alias()], &answer(A, 60, &["192.0.2.7", "192.0.2.8"])));
        assert!(!agrees(&[], &[alias()], &answer(Cname, 60, &["acme.herokudns.test."])));
        assert!(!agrees(&[plain], &[alias()], &answer(A, 60, &["192.0.2.1"])), "still the old one");
    }

    #[test]
    fn a_changed_ttl_must_be_served() {
        let (before, after) = (set(RecordType::A, 1800, &["192.0.2.1"]), set(RecordType::A, 60, &["192.0.2.1"]));
        let says = |ttl| {
            agrees(
                std::slice::from_ref(&before),
                std::slice::from_ref(&after),
                &answer(RecordType::A, ttl, &["192.0.2.1"]),
            )
        };
        assert_eq!((says(1800), says(60)), (false, true));
    }
}
