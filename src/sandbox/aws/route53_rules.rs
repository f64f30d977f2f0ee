//! What Route 53 refuses, in its own words.
//!
//! The messages are those that the service answers, so that whoever parses or shows them meets the same text in a
//! rehearsal as on the night. Source: Route 53 API reference, ChangeResourceRecordSets, and answers seen in the field.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::AwsError;
use crate::sandbox::zone::{Alias, RecordSet, RecordType, ZoneStore, is_within};

/// Hosted zones of load balancers by region: (zone id, suffix of the names in it). Elastic Load Balancing endpoints,
/// AWS General Reference.
const ELB_ZONES: &[(&str, &str)] = &[
    ("Z35SXDOTRQ7X7K", ".us-east-1.elb.amazonaws.com."),
    ("Z3AADJGX6KTTL2", ".us-east-2.elb.amazonaws.com."),
    ("Z1H1FL5HABSF5", ".us-west-2.elb.amazonaws.com."),
    ("Z215JYRZR1TBD5", ".eu-central-1.elb.amazonaws.com."),
    ("Z32O12XQLNTSW2", ".eu-west-1.elb.amazonaws.com."),
];

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Create,
    Delete,
    Upsert,
}

/// One change of a batch.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) action: Action,
    pub(super) set: RecordSet,
}

/// Applies a batch to the record sets of a zone, or says everything that is wrong with it; never a part of it.
pub(super) fn apply(
    zones: &ZoneStore,
    zone: (&str, &str),
    sets: &[RecordSet],
    changes: &[Change],
) -> Result<Vec<RecordSet>, AwsError> {
    let mut wrong = Vec::new();
    let mut result = sets.to_vec();
    let mut seen = BTreeSet::new();
    for Change { action, set } in changes {
        if !seen.insert((set.name.clone(), set.rtype, set.set_identifier.clone(), *action == Action::Delete)) {
            wrong.push(format!(
                "The request contains an invalid set of changes for a resource record set '{} {}'",
                set.rtype, set.name
            ));
        }
        if *action != Action::Delete {
            wrong.extend(refuse_set(zones, zone, set));
        }
        wrong.extend(apply_one(&mut result, *action, set).err());
    }
    let names: BTreeSet<&str> = changes.iter().map(|change| change.set.name.as_str()).collect();
    wrong.extend(names.iter().flat_map(|name| refuse_neighbours(&result, zone.1, name)));
    wrong.extend(refuse_apex_loss(&result, zone.1));
    if wrong.is_empty() {
        return Ok(result);
    }
    let mut unique = Vec::new();
    wrong.into_iter().for_each(|message| {
        if !unique.contains(&message) {
            unique.push(message)
        }
    });
    Err(AwsError::bad_request("InvalidChangeBatch", format!("[{}]", unique.join(", "))))
}

fn apply_one(sets: &mut Vec<RecordSet>, action: Action, set: &RecordSet) -> Result<(), String> {
    let position = sets.iter().position(|existing| existing.key() == set.key());
    let identity = || match &set.set_identifier {
        None => format!("[name='{}', type='{}']", set.name, set.rtype),
        Some(id) => format!("[name='{}', type='{}', set identifier='{id}']", set.name, set.rtype),
    };
    match (action, position) {
        (Action::Create, Some(_)) => {
            Err(format!("Tried to create resource record set {} but it already exists", identity()))
        }
        (Action::Delete, None) => {
            Err(format!("Tried to delete resource record set {} but it was not found", identity()))
        }
        (Action::Delete, Some(index)) if !same_content(&sets[index], set) => Err(format!(
            "Tried to delete resource record set {} but the values provided do not match the current values",
            identity()
        )),
        (Action::Delete, Some(index)) => {
            sets.remove(index);
            Ok(())
        }
        (Action::Upsert, Some(index)) => {
            sets[index] = set.clone();
            Ok(())
        }
        (_, None) => {
            sets.push(set.clone());
            Ok(())
        }
    }
}

/// Equal but for the order of the values.
fn same_content(one: &RecordSet, other: &RecordSet) -> bool {
    let values = |set: &RecordSet| set.values.iter().cloned().collect::<BTreeSet<_>>();
    let one_sorted = RecordSet { values: Vec::new(), ..one.clone() };
    let other_sorted = RecordSet { values: Vec::new(), ..other.clone() };
    one_sorted == other_sorted && values(one) == values(other)
}

/// What is wrong with a record set by itself.
fn refuse_set(zones: &ZoneStore, (zone_id, origin): (&str, &str), set: &RecordSet) -> Vec<String> {
    let mut wrong = Vec::new();
    if !is_within(&set.name, origin) {
        wrong.push(format!("RRSet with DNS name {} is not permitted in zone {origin}", set.name));
    }
    if set.rtype == RecordType::CNAME && set.name == origin {
        let name = &set.name;
        wrong.push(format!("RRSet of type CNAME with DNS name {name} is not permitted at apex in zone {origin}"));
    }
    if let Some(alias) = &set.alias {
        wrong.extend(refuse_alias(zones, zone_id, set, alias));
    }
    let mut seen = BTreeSet::new();
    for value in &set.values {
        if !seen.insert(value) {
            wrong.push(format!("Duplicate Resource Record: '{value}'"));
        }
        wrong.extend(refuse_value(set.rtype, value));
    }
    if set.rtype == RecordType::CNAME && set.values.len() > 1 {
        wrong.push(format!("RRSet of type CNAME with DNS name {} may hold only one resource record", set.name));
    }
    wrong
}

fn refuse_alias(zones: &ZoneStore, zone_id: &str, set: &RecordSet, alias: &Alias) -> Option<String> {
    let target = &alias.target;
    let lead = format!(
        "Tried to create an alias that targets {target}, type {} in zone {}, but ",
        set.rtype, alias.hosted_zone_id
    );
    let outside = || Some(format!("{lead}the alias target name does not lie within the target zone"));
    let missing = || Some(format!("{lead}that target was not found"));
    if alias.hosted_zone_id == zone_id {
        let (origin, sets) = zones.api_sets(zone_id)?;
        if !is_within(target, &origin) {
            return outside();
        }
        let found = sets.iter().any(|other| other.name == *target && other.rtype == set.rtype);
        return if found { None } else { missing() };
    }
    let Some((_, suffix)) = ELB_ZONES.iter().find(|(id, _)| *id == alias.hosted_zone_id) else { return missing() };
    if !target.ends_with(suffix) {
        return outside();
    }
    let is_address = matches!(set.rtype, RecordType::A | RecordType::AAAA);
    // A name that was asked for with `dualstack.` in front is the same load balancer.
    let name = target.strip_prefix("dualstack.").unwrap_or(target);
    let found = is_address && !zones.lookup(name, RecordType::A, 0).records.is_empty();
    if found { None } else { missing() }
}

fn refuse_value(rtype: RecordType, value: &str) -> Option<String> {
    let problem = match rtype {
        RecordType::A if value.parse::<Ipv4Addr>().is_err() => {
            "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)"
        }
        RecordType::AAAA if value.parse::<Ipv6Addr>().is_err() => {
            "AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address)"
        }
        RecordType::TXT | RecordType::SPF if !is_quoted(value) => {
            "InvalidCharacterString (Value should be enclosed in quotation marks)"
        }
        RecordType::MX if !is_mx(value) => "MXRRDATANotTwoFields (MX record doesn't have 2 fields)",
        RecordType::CNAME | RecordType::NS | RecordType::PTR if !is_host_name(value) => {
            "UnsupportedCharacter (Value contains unsupported characters)"
        }
        _ => return None,
    };
    Some(format!("Invalid Resource Record: 'FATAL problem: {problem} encountered with '{value}''"))
}

fn is_quoted(value: &str) -> bool {
    value.len() >= 2 && value.starts_with('"') && value.ends_with('"')
}

fn is_mx(value: &str) -> bool {
    value.split_once(' ').is_some_and(|(preference, host)| preference.parse::<u16>().is_ok() && is_host_name(host))
}

fn is_host_name(value: &str) -> bool {
    let fits = |label: &str| !label.is_empty() && label.len() <= 63;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*' | '\\');
    value.len() <= 255 && value.chars().all(allowed) && value.trim_end_matches('.').split('.').all(fits)
}

/// What is wrong with the record sets of one name taken together, after the batch.
fn refuse_neighbours(sets: &[RecordSet], origin: &str, name: &str) -> Vec<String> {
    let here: Vec<&RecordSet> = sets.iter().filter(|set| set.name == name).collect();
    let mut wrong = Vec::new();
    let cnames = here.iter().filter(|set| set.rtype == RecordType::CNAME).count();
    if cnames > 0 && cnames < here.len() {
        wrong.push(format!(
            "RRSet of type CNAME with DNS name {name} is not permitted as it conflicts with other records with the same \
             DNS name in zone {origin}"
        ));
    }
    let types: BTreeSet<RecordType> = here.iter().map(|set| set.rtype).collect();
    for rtype in types {
        let siblings: Vec<&RecordSet> = here.iter().copied().filter(|set| set.rtype == rtype).collect();
        let weighted: Vec<&RecordSet> = siblings.iter().copied().filter(|set| set.weight.is_some()).collect();
        let Some(first) = weighted.first() else { continue };
        let id = first.set_identifier.as_deref().unwrap_or_default();
        let lead = format!("RRSet with DNS name {name}, type {rtype}, SetIdentifier {id} cannot be created as");
        if weighted.len() < siblings.len() {
            wrong.push(format!("{lead} a non-weighted set exists with the same name and type."));
        }
        if weighted.iter().any(|set| set.ttl != first.ttl && set.alias.is_none() && first.alias.is_none()) {
            wrong.push(format!("{lead} weighted sets must contain the same TTL."));
        }
    }
    wrong
}

fn refuse_apex_loss(sets: &[RecordSet], origin: &str) -> Vec<String> {
    let has = |rtype| sets.iter().any(|set| set.name == origin && set.rtype == rtype);
    let mut wrong = Vec::new();
    if !has(RecordType::SOA) {
        wrong.push("A HostedZone must contain exactly one SOA record.".to_owned());
    }
    if !has(RecordType::NS) {
        wrong.push("A HostedZone must contain at least one NS record for the zone itself.".to_owned());
    }
    wrong
}
