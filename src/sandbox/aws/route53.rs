//! Route 53 (REST-XML, 2013-04-01): zones, record sets, changes that take their time.

use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    AwsError,
    route53_rules::{self, Action, Change},
    wire::{Xml, iso_time},
};
use crate::sandbox::{
    faults::{Trigger, later},
    http::{Call, parse_form},
    lock,
    world::World,
    zone::{Alias, Rcode, RecordSet, RecordType, absolute},
};

const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";
const MAX_ITEMS: usize = 300;

/// The changes that were accepted, newest last.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Changes(Vec<Submitted>);

#[derive(Debug, Clone)]
struct Submitted {
    id: String,
    zone: String,
    version: u64,
    comment: Option<String>,
    submitted: Timestamp,
    /// When the name servers answer it; `None` once they do.
    served: Option<Timestamp>,
    insync: Timestamp,
    announced: bool,
}

/// The operation that a request asks for: its name and the arguments in its path.
pub(super) fn operation(call: &Call) -> Option<(&'static str, &str)> {
    let segments = call.segments();
    match (&call.method, segments.as_slice()) {
        (&Method::GET, ["2013-04-01", "hostedzone"]) => Some(("ListHostedZones", "")),
        (&Method::GET, ["2013-04-01", "hostedzonesbyname"]) => Some(("ListHostedZonesByName", "")),
        (&Method::GET, ["2013-04-01", "hostedzone", id]) => Some(("GetHostedZone", id)),
        (&Method::GET, ["2013-04-01", "hostedzone", id, "rrset"]) => Some(("ListResourceRecordSets", id)),
        (&Method::POST, ["2013-04-01", "hostedzone", id, "rrset"]) => Some(("ChangeResourceRecordSets", id)),
        (&Method::GET, ["2013-04-01", "change", id]) => Some(("GetChange", id)),
        (&Method::GET, ["2013-04-01", "testdnsanswer"]) => Some(("TestDNSAnswer", "")),
        (_, ["2013-04-01", ..]) => Some(("", "")),
        _ => None,
    }
}

/// Carries an operation out; the answer is an XML document.
pub(super) fn serve(
    world: &World,
    call: &Call,
    (name, id): (&str, &str),
    request_id: &str,
) -> Result<String, AwsError> {
    let query = parse_form(call.uri.query().unwrap_or_default());
    let parameter = |wanted: &str| query.iter().find(|(key, _)| key == wanted).map(|(_, value)| value.as_str());
    match name {
        "ListHostedZones" => Ok(list_zones(world)),
        "ListHostedZonesByName" => Ok(list_zones_by_name(world, parameter("dnsname"))),
        "GetHostedZone" => get_zone(world, id),
        "ListResourceRecordSets" => list_sets(world, id, parameter),
        "ChangeResourceRecordSets" => change_sets(world, id, &call.body, request_id),
        "GetChange" => get_change(world, id),
        "TestDNSAnswer" => test_answer(world, parameter),
        _ => {
            let what = format!("{} {}", call.method, call.uri.path());
            Err(AwsError::new(
                StatusCode::NOT_IMPLEMENTED,
                "NotImplemented",
                format!("The sandbox does not serve {what}"),
            ))
        }
    }
}

/// An error as Route 53 writes it.
pub(super) fn error_document(error: &AwsError, request_id: &str) -> String {
    super::error_document(NAMESPACE, error, request_id)
}

/// Serves what has propagated by `now` and announces what became INSYNC.
pub(in crate::sandbox) fn settle(world: &World, now: Timestamp) {
    let mut insync = false;
    for change in &mut lock(&world.changes).0 {
        if change.served.is_some_and(|served| served <= now) {
            change.served = None;
            world.zones.publish(&change.zone, change.version);
        }
        insync |= !std::mem::replace(&mut change.announced, change.insync <= now) && change.insync <= now;
    }
    if insync {
        world.faults.fire(Trigger::Route53Insync, now);
    }
}

fn zone_xml(xml: &mut Xml, (id, origin, count): &(String, String, usize)) {
    xml.nest("HostedZone", |xml| {
        xml.text("Id", format!("/hostedzone/{id}"));
        xml.text("Name", origin);
        xml.text("CallerReference", "sandbox");
        xml.nest("Config", |xml| {
            xml.text("Comment", "made by the sandbox");
            xml.text("PrivateZone", false);
        });
        xml.text("ResourceRecordSetCount", count);
    });
}

fn list_zones(world: &World) -> String {
    Xml::document("ListHostedZonesResponse", NAMESPACE, |xml| {
        xml.nest("HostedZones", |xml| world.zones.hosted_zones().iter().for_each(|zone| zone_xml(xml, zone)));
        xml.text("IsTruncated", false);
        xml.text("MaxItems", 100);
    })
}

fn list_zones_by_name(world: &World, from: Option<&str>) -> String {
    let from = from.map(absolute);
    let after = |origin: &str| from.as_deref().is_none_or(|from| sort_key(origin) >= sort_key(from));
    let zones: Vec<_> = world.zones.hosted_zones().into_iter().filter(|(_, origin, _)| after(origin)).collect();
    Xml::document("ListHostedZonesByNameResponse", NAMESPACE, |xml| {
        xml.nest("HostedZones", |xml| zones.iter().for_each(|zone| zone_xml(xml, zone)));
        if let Some(from) = &from {
            xml.text("DNSName", from);
        }
        xml.text("IsTruncated", false);
        xml.text("MaxItems", 100);
    })
}

fn no_such_zone(id: &str) -> AwsError {
    AwsError::new(StatusCode::NOT_FOUND, "NoSuchHostedZone", format!("No hosted zone found with ID: {id}"))
}

fn get_zone(world: &World, id: &str) -> Result<String, AwsError> {
    let zones = world.zones.hosted_zones();
    let zone = zones.iter().find(|(zone_id, ..)| zone_id == id).ok_or_else(|| no_such_zone(id))?;
    let (_, sets) = world.zones.api_sets(id).ok_or_else(|| no_such_zone(id))?;
    let name_servers = sets.iter().find(|set| set.name == zone.1 && set.rtype == RecordType::NS);
    Ok(Xml::document("GetHostedZoneResponse", NAMESPACE, |xml| {
        zone_xml(xml, zone);
        xml.nest("DelegationSet", |xml| {
            xml.nest("NameServers", |xml| {
                let servers = name_servers.into_iter().flat_map(|set| &set.values);
                servers.for_each(|server| xml.text("NameServer", server.trim_end_matches('.')));
            });
        });
    }))
}

/// Route 53 lists names by their labels from the right.
fn sort_key(name: &str) -> Vec<&str> {
    name.trim_end_matches('.').rsplit('.').collect()
}

fn list_sets<'a>(world: &World, id: &str, parameter: impl Fn(&str) -> Option<&'a str>) -> Result<String, AwsError> {
    let (_, mut sets) = world.zones.api_sets(id).ok_or_else(|| no_such_zone(id))?;
    let order = |name: &str, rtype: &str, set_id: &str| {
        let labels: Vec<String> = sort_key(name).into_iter().map(str::to_owned).collect();
        (labels, rtype.to_owned(), set_id.to_owned())
    };
    let key = |set: &RecordSet| order(&set.name, set.rtype.as_str(), set.set_identifier.as_deref().unwrap_or_default());
    sets.sort_by_key(key);
    if parameter("name").is_none() && parameter("type").is_some() {
        return Err(AwsError::bad_request("InvalidInput", "The Name parameter is required with the Type parameter"));
    }
    if let Some(name) = parameter("name") {
        let name = absolute(&name.replace("\\052", "*"));
        let from = order(&name, parameter("type").unwrap_or_default(), parameter("identifier").unwrap_or_default());
        sets.retain(|set| key(set) >= from);
    }
    let limit: usize = parameter("maxitems").and_then(|items| items.parse().ok()).unwrap_or(100).clamp(1, MAX_ITEMS);
    let next = sets.get(limit).cloned();
    sets.truncate(limit);
    Ok(Xml::document("ListResourceRecordSetsResponse", NAMESPACE, |xml| {
        xml.nest("ResourceRecordSets", |xml| sets.iter().for_each(|set| set_xml(xml, set)));
        xml.text("IsTruncated", next.is_some());
        if let Some(next) = next {
            xml.text("NextRecordName", api_name(&next.name));
            xml.text("NextRecordType", next.rtype);
            next.set_identifier.iter().for_each(|id| xml.text("NextRecordIdentifier", id));
        }
        xml.text("MaxItems", limit);
    }))
}

/// A name as the API writes it: an asterisk is escaped.
fn api_name(name: &str) -> String {
    name.replace('*', "\\052")
}

fn set_xml(xml: &mut Xml, set: &RecordSet) {
    xml.nest("ResourceRecordSet", |xml| {
        xml.text("Name", api_name(&set.name));
        xml.text("Type", set.rtype);
        set.set_identifier.iter().for_each(|id| xml.text("SetIdentifier", id));
        set.weight.iter().for_each(|weight| xml.text("Weight", weight));
        set.ttl.iter().for_each(|ttl| xml.text("TTL", ttl));
        if let Some(alias) = &set.alias {
            xml.nest("AliasTarget", |xml| {
                xml.text("HostedZoneId", &alias.hosted_zone_id);
                xml.text("DNSName", &alias.target);
                xml.text("EvaluateTargetHealth", alias.evaluate_target_health);
            });
        } else {
            xml.nest("ResourceRecords", |xml| {
                set.values.iter().for_each(|value| xml.nest("ResourceRecord", |xml| xml.text("Value", value)));
            });
        }
    });
}

fn change_xml(root: &str, change: &Submitted, now: Timestamp) -> String {
    Xml::document(root, NAMESPACE, |xml| {
        xml.nest("ChangeInfo", |xml| {
            xml.text("Id", format!("/change/{}", change.id));
            xml.text("Status", if change.insync <= now { "INSYNC" } else { "PENDING" });
            xml.text("SubmittedAt", iso_time(change.submitted));
            change.comment.iter().for_each(|comment| xml.text("Comment", comment));
        });
    })
}

fn get_change(world: &World, id: &str) -> Result<String, AwsError> {
    let now = world.clock.now();
    settle(world, now);
    let changes = lock(&world.changes);
    let change = changes.0.iter().find(|change| change.id == id);
    let missing =
        || AwsError::new(StatusCode::NOT_FOUND, "NoSuchChange", format!("Could not find resource with ID: {id}"));
    Ok(change_xml("GetChangeResponse", change.ok_or_else(missing)?, now))
}

/// What the name servers answer now, asked through the API.
fn test_answer<'a>(world: &World, parameter: impl Fn(&str) -> Option<&'a str>) -> Result<String, AwsError> {
    let [zone, name, rtype] =
        ["hostedzoneid", "recordname", "recordtype"].map(|wanted| parameter(wanted).unwrap_or_default());
    let (origin, sets) = world.zones.api_sets(zone).ok_or_else(|| no_such_zone(zone))?;
    let invalid = || AwsError::bad_request("InvalidInput", format!("Invalid record name or type: {name} {rtype}"));
    let record_type: RecordType = rtype.parse().map_err(|()| invalid())?;
    let random = lock(&world.model).noise().next() as u32;
    let answer = world.zones.lookup(name, record_type, random);
    let server = sets.iter().find(|set| set.name == origin && set.rtype == RecordType::NS);
    let code = match answer.rcode {
        Rcode::NoError => "NOERROR",
        Rcode::NxDomain => "NXDOMAIN",
        Rcode::Refused => "REFUSED",
    };
    Ok(Xml::document("TestDNSAnswerResponse", NAMESPACE, |xml| {
        xml.text("Nameserver", server.and_then(|set| set.values.first()).map_or("", |name| name.trim_end_matches('.')));
        xml.text("RecordName", absolute(name));
        xml.text("RecordType", rtype);
        xml.nest("RecordData", |xml| answer.records.iter().for_each(|r| xml.text("RecordDataEntry", &r.value)));
        xml.text("ResponseCode", code);
        xml.text("Protocol", "UDP");
    }))
}

fn change_sets(world: &World, zone_id: &str, body: &[u8], request_id: &str) -> Result<String, AwsError> {
    let malformed =
        |detail: &str| AwsError::bad_request("MalformedInput", format!("Unable to parse request: {detail}"));
    let text = std::str::from_utf8(body).map_err(|error| malformed(&error.to_string()))?;
    let request: request::Root = quick_xml::de::from_str(text).map_err(|error| malformed(&error.to_string()))?;
    let changes = request.change_batch.changes.change.into_iter();
    let changes = changes.map(request::Change::check).collect::<Result<Vec<Change>, AwsError>>()?;
    if changes.is_empty() {
        return Err(AwsError::bad_request("InvalidInput", "Invalid request: the batch holds no changes"));
    }
    if let Some(refusal) = lock(&world.iam).refusal(CHANGE, Some((&zone_arn(zone_id), &conditions(&changes))), true) {
        return Err(refusal);
    }
    let now = world.clock.now();
    settle(world, now);
    // Held until the change is noted: two batches at once never see the same record sets.
    let mut submitted = lock(&world.changes);
    let (origin, sets) = world.zones.api_sets(zone_id).ok_or_else(|| no_such_zone(zone_id))?;
    let result = route53_rules::apply(&world.zones, (zone_id, &origin), &sets, &changes)?;
    let points_elsewhere = destinations(&sets) != destinations(&result);
    let version = world.zones.stage(zone_id, result).ok_or_else(|| no_such_zone(zone_id))?;
    let insync = world.faults.slow_change(now).unwrap_or(world.scenario.dns.insync);
    let change = Submitted {
        id: format!("C0SANDBOX{:012}", submitted.0.len() + 1),
        zone: zone_id.to_owned(),
        version,
        comment: request.change_batch.comment.filter(|comment| !comment.is_empty()),
        submitted: now,
        // The name servers have it shortly before the API says so, also when the whole change is slow.
        served: Some(later(now, world.scenario.dns.served.max(insync.mul_f64(0.8)).min(insync))),
        insync: later(now, insync),
        announced: false,
    };
    let answer = change_xml("ChangeResourceRecordSetsResponse", &change, now);
    let detail = json!({ "change": change.id, "changes": changes.iter().map(change_json).collect::<Vec<_>>() });
    submitted.0.push(change);
    world.ledger.note(now, "route53", "ChangeResourceRecordSets", zone_id, detail, request_id);
    drop(submitted);
    world.faults.fire(Trigger::Route53Change, now);
    if points_elsewhere {
        world.faults.fire(Trigger::Route53Switch, now);
    }
    Ok(answer)
}

/// The permission for a batch.
const CHANGE: &str = "route53:ChangeResourceRecordSets";

fn zone_arn(id: &str) -> String {
    format!("arn:aws:route53:::hostedzone/{id}")
}

/// The condition keys of a batch.
fn conditions(changes: &[Change]) -> super::iam::Context {
    let list = |of: &dyn Fn(&Change) -> String| changes.iter().map(of).collect::<Vec<_>>();
    let key = |name: &str| format!("route53:changeresourcerecordsets{name}");
    [
        (key("normalizedrecordnames"), list(&|change| change.set.name.trim_end_matches('.').replace('*', "\\052"))),
        (key("recordtypes"), list(&|change| change.set.rtype.to_string())),
        (key("actions"), list(&|change| format!("{:?}", change.action).to_uppercase())),
    ]
    .into()
}

/// Where each record set leads, its TTL aside.
fn destinations(sets: &[RecordSet]) -> Vec<RecordSet> {
    let mut sets: Vec<_> = sets.iter().map(|set| RecordSet { ttl: None, ..set.clone() }).collect();
    sets.sort_by(|a, b| a.key().cmp(&b.key()));
    sets
}

fn change_json(change: &Change) -> Value {
    let set = &change.set;
    let alias = set.alias.as_ref().map(|alias| json!({ "target": alias.target, "zone": alias.hosted_zone_id }));
    json!({
        "action": format!("{:?}", change.action).to_uppercase(),
        "name": set.name, "type": set.rtype.as_str(), "ttl": set.ttl, "values": set.values, "alias": alias,
        "weight": set.weight, "set_identifier": set.set_identifier,
    })
}

/// The request as it stands in XML.
mod request {
    use super::{AwsError, Deserialize, RecordSet, RecordType, absolute};

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    pub(super) struct Root {
        pub(super) change_batch: ChangeBatch,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    pub(super) struct ChangeBatch {
        pub(super) comment: Option<String>,
        pub(super) changes: Changes,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    pub(super) struct Changes {
        #[serde(default)]
        pub(super) change: Vec<Change>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    pub(super) struct Change {
        action: String,
        resource_record_set: Set,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Set {
        name: String,
        r#type: String,
        set_identifier: Option<String>,
        weight: Option<u64>,
        #[serde(rename = "TTL")]
        ttl: Option<u32>,
        resource_records: Option<Records>,
        alias_target: Option<Target>,
        region: Option<String>,
        failover: Option<String>,
        multi_value_answer: Option<bool>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Records {
        #[serde(default)]
        resource_record: Vec<Record>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Record {
        value: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Target {
        hosted_zone_id: String,
        #[serde(rename = "DNSName")]
        dns_name: String,
        evaluate_target_health: bool,
    }

    impl Change {
        /// Checks what Route 53 checks before it looks at the zone.
        pub(super) fn check(self) -> Result<super::Change, AwsError> {
            let set = self.resource_record_set;
            let id = set.set_identifier.as_deref().unwrap_or("null");
            let place = format!("[Action={}, Name={}, Type={}, SetIdentifier={id}]", self.action, set.name, set.r#type);
            let invalid = |what: String| {
                AwsError::bad_request("InvalidInput", format!("Invalid request: {what} in Change with {place}"))
            };
            let action = match self.action.as_str() {
                "CREATE" => super::Action::Create,
                "DELETE" => super::Action::Delete,
                "UPSERT" => super::Action::Upsert,
                other => return Err(invalid(format!("Unknown action {other}"))),
            };
            let rtype: RecordType = set.r#type.parse().map_err(|()| invalid(format!("Unknown type {}", set.r#type)))?;
            if set.region.is_some() || set.failover.is_some() || set.multi_value_answer.is_some() {
                return Err(invalid(
                    "Only simple and weighted routing are supported here, found another policy".into(),
                ));
            }
            set.check_policy().map_err(invalid)?;
            let values: Vec<String> =
                set.resource_records.into_iter().flat_map(|all| all.resource_record).map(|one| one.value).collect();
            let plain = set.ttl.is_some() && !values.is_empty();
            let found = match (set.alias_target.is_some(), plain, set.ttl.is_some() || !values.is_empty()) {
                (true, false, false) | (false, true, _) => None,
                (true, ..) => Some("more than one"),
                (false, ..) => Some("none"),
            };
            if let Some(found) = found {
                return Err(invalid(format!(
                    "Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or \
                     TrafficPolicyInstanceId], but found {found}"
                )));
            }
            let alias = set.alias_target.map(|target| super::Alias {
                target: absolute(&target.dns_name),
                hosted_zone_id: target.hosted_zone_id,
                evaluate_target_health: target.evaluate_target_health,
            });
            let name = absolute(&set.name.replace("\\052", "*"));
            let (ttl, weight, set_identifier) = (set.ttl, set.weight, set.set_identifier);
            Ok(super::Change { action, set: RecordSet { name, rtype, ttl, values, alias, weight, set_identifier } })
        }
    }

    impl Set {
        fn check_policy(&self) -> Result<(), String> {
            match (self.weight, &self.set_identifier) {
                (None, Some(_)) => Err("Expected exactly one of [Weight, Region, Failover, GeoLocation, or \
                                        MultiValueAnswer], but found none"
                    .to_owned()),
                (Some(_), None) => Err("Missing field 'SetIdentifier'".to_owned()),
                (Some(weight), Some(_)) if weight > 255 => Err(format!("Weight {weight} is not between 0 and 255")),
                _ => Ok(()),
            }
        }
    }
}
