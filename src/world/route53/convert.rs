//! Between Route 53's record sets and the plan's.

use std::net::Ipv6Addr;

use aws_sdk_route53::types::{AliasTarget, Change, ChangeAction, ResourceRecord, ResourceRecordSet, RrType};
use aws_smithy_types::error::operation::BuildError;

use crate::plan::{Action, Alias, OtherType, RecordSet, RecordType, Weighted};

/// A record set as it stands in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The set; its values stand to the letter, so that what is put back is what was there.
    pub set: RecordSet,
    /// What this tool cannot write and so must not touch: a routing policy other than weighted, or a health check.
    pub beyond: Option<&'static str>,
}

impl Found {
    pub(super) fn from_wire(wire: &ResourceRecordSet) -> Self {
        let mut values: Vec<_> = wire.resource_records().iter().map(|record| record.value.clone()).collect();
        values.sort();
        let alias = wire.alias_target.as_ref().map(|alias| Alias {
            target: name(&alias.dns_name),
            zone_id: alias.hosted_zone_id.clone(),
            evaluate_health: alias.evaluate_target_health,
        });
        let weight = wire.weight.and_then(|weight| u8::try_from(weight).ok());
        let set = RecordSet {
            name: name(&wire.name),
            kind: record_type(&wire.r#type),
            ttl: wire.ttl.and_then(|ttl| u32::try_from(ttl).ok()),
            values,
            alias,
            weighted: wire
                .set_identifier
                .clone()
                .zip(weight)
                .map(|(set_identifier, weight)| Weighted { set_identifier, weight }),
        };
        Self { set, beyond: beyond(wire) }
    }
}

fn beyond(wire: &ResourceRecordSet) -> Option<&'static str> {
    let policies = [
        (wire.region.is_some(), "a latency routing policy"),
        (wire.geo_location.is_some(), "a geolocation routing policy"),
        (wire.geo_proximity_location.is_some(), "a geoproximity routing policy"),
        (wire.cidr_routing_config.is_some(), "an IP-based routing policy"),
        (wire.failover.is_some(), "a failover routing policy"),
        (wire.multi_value_answer.is_some(), "a multivalue routing policy"),
        (wire.traffic_policy_instance_id.is_some(), "a traffic policy"),
        (wire.health_check_id.is_some(), "a health check"),
        (wire.set_identifier.is_some() && wire.weight.is_none(), "a routing policy that is not known here"),
    ];
    policies.into_iter().find_map(|(found, what)| found.then_some(what))
}

fn record_type(wire: &RrType) -> RecordType {
    match wire {
        RrType::A => RecordType::A,
        RrType::Aaaa => RecordType::Aaaa,
        RrType::Cname => RecordType::Cname,
        RrType::Ns => RecordType::Other(OtherType::Ns),
        RrType::Soa => RecordType::Other(OtherType::Soa),
        RrType::Mx => RecordType::Other(OtherType::Mx),
        RrType::Txt => RecordType::Other(OtherType::Txt),
        _ => RecordType::Other(OtherType::Else),
    }
}

/// One entry of a batch. A type that is never written has no wire form and fails to build.
pub(super) fn change(action: Action, set: &RecordSet) -> Result<Change, BuildError> {
    let action = match action {
        Action::Delete => ChangeAction::Delete,
        Action::Create => ChangeAction::Create,
        Action::Upsert => ChangeAction::Upsert,
    };
    let kind = match set.kind {
        RecordType::A => Some(RrType::A),
        RecordType::Aaaa => Some(RrType::Aaaa),
        RecordType::Cname => Some(RrType::Cname),
        RecordType::Other(_) => None,
    };
    let values: Result<Vec<_>, _> =
        set.values.iter().map(|value| ResourceRecord::builder().value(value).build()).collect();
    let alias = set.alias.as_ref().map(|alias| {
        let target = AliasTarget::builder().dns_name(&alias.target).hosted_zone_id(&alias.zone_id);
        target.evaluate_target_health(alias.evaluate_health).build()
    });
    let wire = ResourceRecordSet::builder()
        .name(&set.name)
        .set_type(kind)
        .set_ttl(set.ttl.map(i64::from))
        .set_resource_records(Some(values?).filter(|values| !values.is_empty()))
        .set_alias_target(alias.transpose()?)
        .set_set_identifier(set.weighted.as_ref().map(|weighted| weighted.set_identifier.clone()))
        .set_weight(set.weighted.as_ref().map(|weighted| i64::from(weighted.weight)));
    Change::builder().action(action).resource_record_set(wire.build()?).build()
}

/// A name as the plan writes it: lower-case, absolute, with Route 53's `\052` octal escapes read.
///
/// Source: Route 53 developer guide, "DNS domain name format".
pub(super) fn name(wire: &str) -> String {
    let bytes = wire.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len() + 1);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 4).filter(|_| byte == b'\\');
        let value = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        // What would end a label or hide stays escaped, lest two names become one.
        let value = value.filter(|value| value.is_ascii_graphic() && *value != b'.' && *value != b'\\');
        plain.push(value.unwrap_or(byte).to_ascii_lowercase());
        at += if value.is_some() { 4 } else { 1 };
    }
    if plain.last() != Some(&b'.') {
        plain.push(b'.');
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// The same set in one spelling: names in values lower-case and absolute, IPv6 addresses in their short form, sorted.
#[must_use]
pub fn canonical(set: &RecordSet) -> RecordSet {
    let spell = |value: &String| match set.kind {
        RecordType::Cname => name(value),
        RecordType::Aaaa => value.parse::<Ipv6Addr>().map_or_else(|_| value.clone(), |address| address.to_string()),
        _ => value.clone(),
    };
    let mut values: Vec<_> = set.values.iter().map(spell).collect();
    values.sort();
    let alias = set.alias.as_ref().map(|alias| Alias { target: name(&alias.target), ..alias.clone() });
    RecordSet { name: name(&set.name), values, alias, ..set.clone() }
}

/// Whether two lists hold the same sets, in any order and spelling.
#[must_use]
pub fn same(one: &[RecordSet], other: &[RecordSet]) -> bool {
    let sorted = |sets: &[RecordSet]| {
        let mut sets: Vec<_> = sets.iter().map(canonical).collect();
        sets.sort();
        sets
    };
    sorted(one) == sorted(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(kind: RrType, value: &str) -> aws_sdk_route53::types::builders::ResourceRecordSetBuilder {
        let record = ResourceRecord::builder().value(value).build().unwrap();
        ResourceRecordSet::builder().name("\\052.Shop.example.com").r#type(kind).ttl(60).resource_records(record)
    }

    #[test]
    fn names_are_read_as_route_53_writes_them() {
        for (given, read) in [
            ("\\052.example.com.", "*.example.com."),
            ("Shop.Example.COM", "shop.example.com."),
            ("a\\056b.example.com.", "a\\056b.example.com."),
            ("odd\\0", "odd\\0."),
        ] {
            assert_eq!(name(given), read);
        }
    }

    #[test]
    fn what_was_found_goes_back_to_the_letter() {
        let given = wire(RrType::Cname, "Acme.HerokuDNS.com").set_identifier("x").weight(90).build().unwrap();
        let found = Found::from_wire(&given);
        assert_eq!((found.set.name.as_str(), found.beyond), ("*.shop.example.com.", None));
        let sent = change(Action::Delete, &found.set).unwrap().resource_record_set.unwrap();
        assert_eq!(sent.resource_records(), given.resource_records());
        assert_eq!((sent.ttl, sent.weight, sent.set_identifier()), (Some(60), Some(90), Some("x")));
    }

    #[test]
    fn policies_that_cannot_be_written_are_named() {
        let latency = wire(RrType::A, "192.0.2.1").set_identifier("x").region("eu-west-1".into()).build().unwrap();
        assert_eq!(Found::from_wire(&latency).beyond, Some("a latency routing policy"));
        let health = wire(RrType::A, "192.0.2.1").health_check_id("h").build().unwrap();
        assert_eq!(Found::from_wire(&health).beyond, Some("a health check"));
    }

    #[test]
    fn spelling_does_not_make_a_difference() {
        let set = |values: &[&str], kind| RecordSet {
            name: "shop.example.com.".into(),
            kind,
            ttl: Some(60),
            values: values.iter().map(|&value| value.to_owned()).collect(),
            alias: None,
            weighted: None,
        };
        assert!(same(
            &[set(&["ACME.example.com"], RecordType::Cname)],
            &[set(&["acme.example.com."], RecordType::Cname)]
        ));
        assert!(same(&[set(&["2001:DB8:0::1"], RecordType::Aaaa)], &[set(&["2001:db8::1"], RecordType::Aaaa)]));
        assert!(same(&[set(&["2", "1"], RecordType::A)], &[set(&["1", "2"], RecordType::A)]));
        assert!(!same(&[set(&["1"], RecordType::A)], &[set(&["1", "2"], RecordType::A)]));
        assert!(!same(&[], &[set(&["1"], RecordType::A)]));
    }

    #[test]
    fn a_type_that_is_never_written_has_no_wire_form() {
        let found = Found::from_wire(&wire(RrType::Txt, "\"v=spf1\"").build().unwrap());
        assert!(change(Action::Upsert, &found.set).is_err());
    }
}
