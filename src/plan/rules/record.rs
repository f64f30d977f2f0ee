//! One record set: what Route 53 would take.
//!
//! Source: Amazon Route 53 Developer Guide, "Supported DNS record types" and "Values specific for alias records";
//! API reference, `ResourceRecordSet` and `AliasTarget`.

use std::net::{Ipv4Addr, Ipv6Addr};

use toml::Spanned;

use super::super::{
    error::Report,
    raw::{List, RawAlias, RawSet, split},
    record::{Alias, RecordSet, RecordType},
    scalar::{Fault, choice, flag, number, quote},
};

/// Ends of names that an alias may point at (besides names of its own zone).
const AWS_NAMES: [&str; 5] = [
    ".amazonaws.com.",
    ".amazonaws.com.cn.",
    ".cloudfront.net.",
    ".awsglobalaccelerator.com.",
    ".elasticbeanstalk.com.",
];

/// Hosted zones of AWS services: the end of the target's name and the zone id that it must have.
///
/// Source: AWS General Reference, "Elastic Load Balancing endpoints" (application load balancers), "Amazon CloudFront
/// endpoints", "AWS Global Accelerator endpoints".
const AWS_ZONES: [(&str, &str); 11] = [
    (".cloudfront.net.", "Z2FDTNDATAQYW2"),
    (".awsglobalaccelerator.com.", "Z2BJ6XQ5FK7U4H"),
    (".us-east-1.elb.amazonaws.com.", "Z35SXDOTRQ7X7K"),
    (".us-east-2.elb.amazonaws.com.", "Z3AADJGX6KTTL2"),
    (".us-west-1.elb.amazonaws.com.", "Z368ELLRRE2KJ0"),
    (".us-west-2.elb.amazonaws.com.", "Z1H1FL5HABSF5"),
    (".ca-central-1.elb.amazonaws.com.", "ZQSVJUPU6J1EY"),
    (".eu-central-1.elb.amazonaws.com.", "Z215JYRZR1TBD5"),
    (".eu-west-1.elb.amazonaws.com.", "Z32O12XQLNTSW2"),
    (".ap-southeast-1.elb.amazonaws.com.", "Z1LMS91P8CMLE5"),
    (".ap-southeast-2.elb.amazonaws.com.", "Z1GM3OXH4ZPM65"),
];

/// Where a record set stands: what its rules depend on.
pub(super) struct Place<'a> {
    pub(super) name: &'a str,
    pub(super) zone: &'a str,
    /// Which batch writes it: "the switch" or "the way back".
    pub(super) batch: &'a str,
}

/// A TTL as Route 53 takes it, in seconds.
pub(super) fn ttl(text: &str) -> Result<u32, Fault> {
    number(0..=2_147_483_647, text)
        .map_err(|fault| Fault { help: Some("write whole seconds from 0 to 2147483647".to_owned()), ..fault })
}

/// A domain name, lower-case with a trailing dot.
pub(super) fn domain(text: &str) -> Result<String, Fault> {
    let name = text.trim_end_matches('.').to_ascii_lowercase();
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let label = |label: &str| {
        let plain = !label.is_empty() && label.chars().all(letter) && !label.starts_with('-') && !label.ends_with('-');
        plain && label.len() <= 63
    };
    let rest = name.strip_prefix("*.").unwrap_or(&name);
    if name.len() <= 253 && rest.split('.').all(label) && !text.ends_with("..") {
        return Ok(format!("{name}."));
    }
    let message = format!("{} is not a domain name", quote(text));
    Err(Fault::new(message, "write a name such as `shop.example.com`, without scheme and path"))
}

/// A hosted zone id without its `/hostedzone/` prefix.
pub(super) fn zone_id(text: &str) -> Result<String, Fault> {
    let id = text.strip_prefix("/hostedzone/").unwrap_or(text);
    let ok = (2..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if ok && id.starts_with('Z') {
        return Ok(id.to_owned());
    }
    let message = format!("{} is not a hosted zone id", quote(text));
    Err(Fault::new(message, "write the id that Route 53 shows, such as `Z0123456789ABCDEFGHIJ`"))
}

/// The record set that a side's table describes.
pub(super) fn build(place: &Place<'_>, raw: &Spanned<RawSet>, report: &mut Report) -> Option<RecordSet> {
    let set = raw.get_ref();
    let types = [("A", RecordType::A), ("AAAA", RecordType::Aaaa), ("CNAME", RecordType::Cname)];
    let kind = report.read(&set.r#type, |text| choice("a type that this tool moves", &types, text));
    if kind == Some(RecordType::Cname) && place.name == place.zone {
        report
            .error(
                set.r#type.span(),
                format!("a CNAME cannot stand at the apex: Route 53 would refuse {}", place.batch),
            )
            .help("use an A with an alias, or move a name below the apex; without a way back there is no rollback");
    }
    let (ttl, values, alias) = match (&set.alias, &set.value) {
        (Some(alias), None) => (None, Vec::new(), aliased(place, alias, set, kind, report)),
        (None, Some(value)) => (plain_ttl(raw, report), values(place, value, kind, report), None),
        (Some(_), Some(value)) => {
            report.error(value.span(), "a record set has either `value` or `alias`").help("leave one of them out");
            return None;
        }
        (None, None) => {
            report.error(raw.span(), "this record set points nowhere").help("add `ttl` and `value`, or `alias`");
            return None;
        }
    };
    Some(RecordSet { name: place.name.to_owned(), kind: kind?, ttl, values, alias, weighted: None })
}

fn plain_ttl(raw: &Spanned<RawSet>, report: &mut Report) -> Option<u32> {
    match &raw.get_ref().ttl {
        Some(text) => report.read(text, ttl),
        None => {
            report
                .error(raw.span(), "`ttl` is missing here")
                .help("add `ttl = ...` as it stands in the zone, in seconds");
            None
        }
    }
}

fn values(place: &Place<'_>, list: &List, kind: Option<RecordType>, report: &mut Report) -> Vec<String> {
    let items = split(list);
    let mut values: Vec<_> = items
        .iter()
        .filter_map(|item| match kind? {
            RecordType::A => report.read(item, |text| address::<Ipv4Addr>(text, "IPv4")),
            RecordType::Aaaa => report.read(item, |text| address::<Ipv6Addr>(text, "IPv6")),
            _ => report.read(item, domain),
        })
        .collect();
    if items.is_empty() {
        report.error(list.span(), "a record set needs a value").help("write what stands in the zone");
    }
    if kind == Some(RecordType::Cname) {
        one_target(place, list, &values, report);
    }
    values.sort();
    let count = values.len();
    values.dedup();
    if values.len() < count {
        report.error(list.span(), "a value stands twice").help("Route 53 refuses equal values in a set: leave one out");
    }
    values
}

fn one_target(place: &Place<'_>, list: &List, values: &[String], report: &mut Report) {
    if values.len() > 1 {
        report.error(list.span(), "a CNAME has exactly one value").help("write one name");
    }
    if values.first().is_some_and(|value| value == place.name) {
        report.error(list.span(), "this CNAME points at itself").help("write the name of the load balancer or app");
    }
}

fn address<T: std::str::FromStr + ToString>(text: &str, family: &str) -> Result<String, Fault> {
    let parsed = text.parse::<T>().map(|address| address.to_string());
    parsed.map_err(|_| {
        Fault::new(format!("{} is not an {family} address", quote(text)), "the value must fit the record's `type`")
    })
}

fn aliased(
    place: &Place<'_>,
    raw: &RawAlias,
    set: &RawSet,
    kind: Option<RecordType>,
    report: &mut Report,
) -> Option<Alias> {
    if let Some(ttl) = &set.ttl {
        report
            .error(ttl.span(), format!("an alias has no TTL of its own: Route 53 would refuse {}", place.batch))
            .help("leave `ttl` out; resolvers see the target's (60 seconds for a load balancer)");
    }
    if kind == Some(RecordType::Cname) {
        report
            .error(set.r#type.span(), "an alias to an AWS resource is an A or AAAA")
            .help("write `type = \"A\"`, or use `ttl` and `value` for a CNAME");
    }
    let target = report.read(&raw.target, domain);
    let zone_id = report.read(&raw.zone_id, zone_id);
    let evaluate_health = report.read_or(raw.evaluate_health.as_ref(), false, flag);
    let (target, zone_id) = (target?, zone_id?);
    let within = within(&target, place.zone);
    if !within && !AWS_NAMES.iter().any(|end| target.ends_with(end)) {
        report
            .error(raw.target.span(), format!("{} is not an AWS name", quote(&target)))
            .help("an alias points at a load balancer, CloudFront or another AWS name, or at a name of its own zone");
    }
    let expected = AWS_ZONES.iter().find(|(end, _)| target.ends_with(end));
    if let Some((_, expected)) = expected.filter(|(_, expected)| **expected != zone_id) {
        report
            .warning(raw.zone_id.span(), format!("{} is not the hosted zone of this target", quote(&zone_id)))
            .help(format!("application load balancers, CloudFront and accelerators there have `{expected}`"));
    }
    Some(Alias { target, zone_id, evaluate_health })
}

/// Whether a name is the zone's apex or below it; both with trailing dots.
pub(super) fn within(name: &str, zone: &str) -> bool {
    name == zone || name.strip_suffix(zone).is_some_and(|rest| rest.ends_with('.'))
}
