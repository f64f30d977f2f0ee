//! `rds.*` steps: identifiers that RDS would take, and times within its bounds.
//!
//! Source: RDS API reference (2014-10-31), the constraints of `DBInstanceIdentifier`, `DBSnapshotIdentifier`,
//! `DBInstanceClass`, `BlueGreenDeploymentIdentifier` and `SwitchoverTimeout`.

use std::time::Duration;

use super::super::{
    error::Report,
    raw::{List, RawRdsPromote, RawRdsRestore, RawRdsSnapshot, RawRdsSwitchover, RawStep, Text, split},
    rds::{RdsKind, RestoreTarget},
    scalar::{Fault, duration, quote, show, span_of_time, words},
};

/// A snapshot that is older says little about the data of tonight.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// What RDS takes as the time-out of a switchover, and what it takes by itself.
const SHORTEST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(3600);
const USUAL: Duration = Duration::from_secs(300);

/// Planned duration and time-out of a kind, unless the plan says otherwise.
pub(super) fn times(kind: &RdsKind) -> (Duration, Duration) {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    match kind {
        RdsKind::RestoreSnapshot { .. } => (minutes(15), minutes(90)),
        RdsKind::Snapshot { .. } => (minutes(5), minutes(60)),
        RdsKind::PromoteReplica { .. } => (minutes(5), minutes(30)),
        // RDS has until then to switch, and after that some time to put everything back.
        RdsKind::Switchover { limit, .. } => (minutes(3).min(*limit), *limit + minutes(10)),
    }
}

pub(super) fn restore(raw: &RawRdsRestore, report: &mut Report) -> RdsKind {
    let instance = report.read(&raw.instance, instance_id).unwrap_or_default();
    let to = report.read(&raw.to, instance_id).unwrap_or_default();
    if !to.is_empty() && to == instance {
        report
            .error(raw.to.span(), format!("{} is the instance itself: a restore makes a new one", quote(&to)))
            .help("name an instance that does not exist yet");
    }
    let mut optional = |text: &Option<Text>, rule: fn(&str) -> Result<String, Fault>| {
        text.as_ref().and_then(|text| report.read(text, rule))
    };
    let snapshot = optional(&raw.snapshot, snapshot_id);
    let target = RestoreTarget {
        instance: to,
        class: optional(&raw.class, instance_class),
        subnet_group: optional(&raw.subnet_group, words),
        parameter_group: optional(&raw.parameter_group, words),
        security_groups: raw.security_groups.as_ref().map_or_else(Vec::new, |list| groups(list, report)),
    };
    let max_age = report.read_or(raw.max_age.as_ref(), MAX_AGE, span_of_time);
    RdsKind::RestoreSnapshot { instance, snapshot, max_age, target }
}

fn groups(list: &List, report: &mut Report) -> Vec<String> {
    let named = split(list);
    if named.is_empty() {
        let help = "list ids such as `sg-0123456789abcdef0`, or leave this out for the VPC's default";
        report.error(list.span(), "this step names no security group").help(help);
    }
    named.iter().filter_map(|text| report.read(text, security_group)).collect()
}

pub(super) fn snapshot(raw: &RawRdsSnapshot, step: &RawStep, report: &mut Report) -> RdsKind {
    let usual = format!("cutover-{}", step.id.get_ref().as_str());
    let instance = report.read(&raw.instance, instance_id).unwrap_or_default();
    RdsKind::Snapshot { instance, prefix: report.read_or(raw.prefix.as_ref(), usual, |text| identifier(text, 240)) }
}

pub(super) fn promote(raw: &RawRdsPromote, report: &mut Report) -> RdsKind {
    let replica = report.read(&raw.replica, instance_id).unwrap_or_default();
    RdsKind::PromoteReplica { replica, max_lag: raw.max_lag.as_ref().and_then(|text| report.read(text, duration)) }
}

pub(super) fn switchover(raw: &RawRdsSwitchover, report: &mut Report) -> RdsKind {
    let deployment = report.read(&raw.deployment, |text| identifier(text, 255)).unwrap_or_default();
    RdsKind::Switchover { deployment, limit: report.read_or(raw.switchover_timeout.as_ref(), USUAL, limit) }
}

fn limit(text: &str) -> Result<Duration, Fault> {
    let limit = span_of_time(text)?;
    if limit < SHORTEST || limit > LONGEST || limit.subsec_nanos() > 0 {
        let message = format!("RDS does not take {} as the time-out of a switchover", show(limit));
        return Err(Fault::new(message, "write whole seconds from `30s` to `1h`"));
    }
    Ok(limit)
}

/// RDS keeps instance ids in lower case, so that another spelling would never be found again.
fn instance_id(text: &str) -> Result<String, Fault> {
    let id = identifier(text, 63)?;
    if id.chars().any(|letter| letter.is_ascii_uppercase()) {
        let help = format!("write {}", quote(&id.to_lowercase()));
        return Err(Fault::new(format!("{} is not in lower case, as RDS keeps ids of instances", quote(&id)), help));
    }
    Ok(id)
}

/// Automated snapshots have a prefix that nobody else may give.
fn snapshot_id(text: &str) -> Result<String, Fault> {
    let bare = ["rds:", "awsbackup:"].iter().find_map(|prefix| text.trim().strip_prefix(prefix));
    identifier(bare.unwrap_or(text), 255).map(|_| text.trim().to_owned())
}

fn identifier(text: &str, longest: usize) -> Result<String, Fault> {
    let id = words(text)?;
    let well = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let begins = id.starts_with(|letter: char| letter.is_ascii_alphabetic());
    if id.len() <= longest && begins && id.chars().all(well) && !id.ends_with('-') && !id.contains("--") {
        return Ok(id);
    }
    let help = format!(
        "1 to {longest} letters, digits and single dashes, the first a letter and the last no dash, such as `acme-shop`"
    );
    Err(Fault::new(format!("RDS does not take {} as an id", quote(&id)), help))
}

fn instance_class(text: &str) -> Result<String, Fault> {
    let class = words(text)?;
    let parts: Vec<_> = class.split('.').collect();
    if parts.len() >= 3 && parts[0] == "db" && parts.iter().all(|part| !part.is_empty()) {
        return Ok(class);
    }
    Err(Fault::new(format!("{} is not an instance class", quote(&class)), "write one such as `db.t4g.medium`"))
}

fn security_group(text: &str) -> Result<String, Fault> {
    let id = words(text)?;
    let rest = id.strip_prefix("sg-").unwrap_or_default();
    if !rest.is_empty() && rest.chars().all(|letter| letter.is_ascii_alphanumeric()) {
        return Ok(id);
    }
    let help = "RDS wants ids and no names: write one such as `sg-0123456789abcdef0`";
    Err(Fault::new(format!("{} is not the id of a security group", quote(&id)), help))
}
