//! Record sets and the one batch that leads from some to others.
//!
//! Source: Route 53 API reference, `ResourceRecordSet` and `ChangeResourceRecordSets` (2013-04-01).

use std::fmt;

use serde::{Deserialize, Serialize};

/// A name that moves from the old side to the new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Unique id in the plan.
    pub id: String,
    /// Hosted zone id without the `/hostedzone/` prefix.
    pub zone_id: String,
    /// Zone apex, lower-case, with a trailing dot.
    pub zone_name: String,
    /// What stands there while Heroku serves (a simple record set).
    pub old: RecordSet,
    /// What stands there when AWS serves (a simple record set).
    pub new: RecordSet,
}

impl Record {
    /// The fully qualified name, lower-case, with a trailing dot.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.old.name
    }
}

/// Types that this tool moves or lints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Canonical name.
    Cname,
    /// Any other type: shown and left alone.
    #[serde(untagged)]
    Other(OtherType),
}

/// A type that this tool never writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum OtherType {
    /// Name server.
    Ns,
    /// Start of authority.
    Soa,
    /// Mail exchange.
    Mx,
    /// Text.
    Txt,
    /// Something else.
    Else,
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Other(OtherType::Ns) => "NS",
            Self::Other(OtherType::Soa) => "SOA",
            Self::Other(OtherType::Mx) => "MX",
            Self::Other(OtherType::Txt) => "TXT",
            Self::Other(OtherType::Else) => "?",
        })
    }
}

/// One record set as Route 53 keeps it. Either `ttl` and `values`, or `alias`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordSet {
    /// Fully qualified name, lower-case, with a trailing dot.
    pub name: String,
    /// Record type.
    pub kind: RecordType,
    /// Seconds; None for an alias.
    pub ttl: Option<u32>,
    /// Values, sorted; empty for an alias.
    pub values: Vec<String>,
    /// Alias target.
    pub alias: Option<Alias>,
    /// Weight and set identifier of a weighted sibling.
    pub weighted: Option<Weighted>,
}

/// A Route 53 alias target (`AliasTarget`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Alias {
    /// DNS name of the AWS resource, lower-case, with a trailing dot.
    pub target: String,
    /// Hosted zone id of the AWS resource (not of the record).
    pub zone_id: String,
    /// `EvaluateTargetHealth`.
    pub evaluate_health: bool,
}

/// A weighted sibling's place in its set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Weighted {
    /// `SetIdentifier`, unique among the siblings.
    pub set_identifier: String,
    /// 0 to 255.
    pub weight: u8,
}

impl RecordSet {
    /// What Route 53 identifies a record set by.
    #[must_use]
    pub fn key(&self) -> (&str, RecordType, Option<&str>) {
        (&self.name, self.kind, self.weighted.as_ref().map(|w| w.set_identifier.as_str()))
    }

    /// The same set with another TTL; an alias has none and stays as it is.
    #[must_use]
    pub fn with_ttl(&self, ttl: u32) -> Self {
        let ttl = if self.alias.is_some() { None } else { Some(ttl) };
        Self { ttl, ..self.clone() }
    }

    /// The same set as a weighted sibling.
    #[must_use]
    pub fn with_weight(&self, set_identifier: &str, weight: u8) -> Self {
        let weighted = Some(Weighted { set_identifier: set_identifier.to_owned(), weight });
        Self { weighted, ..self.clone() }
    }

    /// What clients get: the alias target or the values.
    #[must_use]
    pub fn target(&self) -> String {
        self.alias.as_ref().map_or_else(|| self.values.join(" "), |alias| alias.target.clone())
    }
}

impl fmt::Display for RecordSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.alias, self.ttl) {
            (Some(alias), _) => write!(f, "{} ALIAS {}", self.kind, alias.target)?,
            (None, Some(ttl)) => write!(f, "{} {ttl} {}", self.kind, self.values.join(" "))?,
            (None, None) => write!(f, "{} {}", self.kind, self.values.join(" "))?,
        }
        match &self.weighted {
            Some(w) => write!(f, " weight {} ({})", w.weight, w.set_identifier),
            None => Ok(()),
        }
    }
}

/// What one entry of a change batch does (`Change.Action`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Action {
    /// Fails unless exactly this set exists.
    Delete,
    /// Fails if the set exists.
    Create,
    /// Creates or replaces.
    Upsert,
}

/// The one atomic batch that leads from `before` to `after`: deletes first, then creates and upserts.
///
/// A set that is equal on both sides is left out, so the batch touches the named records only.
#[must_use]
pub fn batch(before: &[RecordSet], after: &[RecordSet]) -> Vec<(Action, RecordSet)> {
    let deletes = before.iter().filter(|old| !after.iter().any(|new| new.key() == old.key()));
    let writes = after.iter().filter(|new| !before.contains(new)).map(|new| {
        let exists = before.iter().any(|old| old.key() == new.key());
        (if exists { Action::Upsert } else { Action::Create }, new.clone())
    });
    deletes.map(|old| (Action::Delete, old.clone())).chain(writes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cname(ttl: u32, value: &str) -> RecordSet {
        RecordSet {
            name: "shop.example.test.".into(),
            kind: RecordType::Cname,
            ttl: Some(ttl),
            values: vec![value.into()],
            alias: None,
            weighted: None,
        }
    }

    #[test]
    fn same_key_is_an_upsert_and_equal_sets_are_left_out() {
        let (old, new) = (cname(1800, "a."), cname(60, "a."));
        assert_eq!(batch(std::slice::from_ref(&old), std::slice::from_ref(&new)), [(Action::Upsert, new)]);
        assert_eq!(batch(std::slice::from_ref(&old), std::slice::from_ref(&old)), []);
    }

    #[test]
    fn a_simple_set_becomes_weighted_siblings_in_one_batch() {
        let old = cname(60, "a.");
        let siblings = [old.with_weight("old", 90), cname(60, "b.").with_weight("new", 10)];
        let changes: Vec<_> =
            batch(std::slice::from_ref(&old), &siblings).into_iter().map(|(action, _)| action).collect();
        assert_eq!(changes, [Action::Delete, Action::Create, Action::Create]);
    }

    #[test]
    fn record_types_read_as_route_53_writes_them() {
        for (kind, text) in [(RecordType::Aaaa, "\"AAAA\""), (RecordType::Other(OtherType::Ns), "\"NS\"")] {
            assert_eq!(serde_json::to_string(&kind).unwrap(), text);
            assert_eq!(serde_json::from_str::<RecordType>(text).unwrap(), kind);
        }
    }
}
