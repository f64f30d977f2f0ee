//! A change by hand: what a person types when the program cannot run, or when its own undo failed.
//!
//! The commands are those of the AWS CLI (2), the Heroku CLI and psql, for bash. Whoever adds a kind of [`Change`] says
//! here how it is made by hand: the `match` has no wildcard on purpose.

mod rds;

use serde_json::{Value, json};

use super::{
    change::Change,
    database::{Position, access_sql, qualified},
    task::Task,
};
use crate::plan::{Launch, RecordSet, Side, batch};

/// One change by hand. Every field is one command for bash, everything in it quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByHand {
    /// Makes the change. It leads from the change's first end to its second, and fails or does nothing elsewhere.
    pub act: String,
    /// Shows how the world is.
    pub look: Option<String>,
    /// Waits until the change has taken effect. It may use `$answer`, what `act` wrote on its output.
    pub wait: Option<String>,
    /// Making it again when it is made already is refused, by its service and as a whole.
    pub once: bool,
}

/// How a change is made by hand. None: it changes nothing.
#[must_use]
pub fn by_hand(change: &Change) -> Option<ByHand> {
    Some(match change {
        Change::Nothing => return None,
        Change::Records { zone_id, before, after } => records(zone_id, before, after),
        Change::Maintenance { app, to, .. } => {
            let word = if *to { "on" } else { "off" };
            ByHand {
                act: command(&["heroku", &format!("maintenance:{word}"), "--app", app]),
                look: Some(command(&["heroku", "maintenance", "--app", app])),
                wait: None,
                once: false,
            }
        }
        Change::Formation { app, to, .. } => {
            let wanted: Vec<String> = to.iter().map(|(process, quantity)| format!("{process}={quantity}")).collect();
            let wanted = wanted.iter().map(String::as_str);
            let act: Vec<&str> = ["heroku", "ps:scale"].into_iter().chain(wanted).chain(["--app", app]).collect();
            ByHand { act: command(&act), look: Some(command(&["heroku", "ps", "--app", app])), wait: None, once: false }
        }
        Change::Service { cluster, service, to, .. } => self::service(cluster, service, *to),
        Change::Task(task) => self::task(task),
        Change::WriteAccess { side, database, from, to } => {
            let statements = access_sql(database, from, to);
            let words: Vec<_> = statements.iter().map(String::as_str).collect();
            let look = "SELECT grantee, table_schema, table_name, privilege_type FROM information_schema.role_table_grants \
                        WHERE table_schema NOT IN ('pg_catalog', 'information_schema'); \
                        SELECT rolname, rolconnlimit FROM pg_roles; SELECT * FROM pg_db_role_setting";
            ByHand { act: psql(*side, &words), look: Some(psql(*side, &[look])), wait: None, once: false }
        }
        Change::Sequences { from, to } => {
            let moved = to.iter().filter(|(name, position)| from.get(*name) != Some(position));
            // Only where it still stands: what was given out since would be given out again.
            let statement = |(name, position): (&String, &Position)| {
                let (schema, sequence) = name.split_once('.').unwrap_or(("public", name));
                let sequence = qualified(schema, sequence);
                let stands = from.get(name).map_or_else(String::new, |from| {
                    let called = if from.called { "is_called" } else { "NOT is_called" };
                    format!(" FROM {sequence} WHERE last_value = {} AND {called}", from.value)
                });
                let name = sequence.replace('\'', "''");
                format!("SELECT setval('{name}', {}, {}){stands};", position.value, position.called)
            };
            let statements: Vec<_> = moved.map(statement).collect();
            let words: Vec<_> = statements.iter().map(String::as_str).collect();
            let look = "SELECT schemaname, sequencename, last_value FROM pg_sequences";
            ByHand { act: psql(Side::New, &words), look: Some(psql(Side::New, &[look])), wait: None, once: false }
        }
        Change::Rds(change) => rds::by_hand(change),
        Change::Command { argv, observe, .. } => {
            ByHand { act: command(argv), look: observe.as_ref().map(|argv| command(argv)), wait: None, once: true }
        }
    })
}

/// The variable that the script sets to how a side's database is reached.
pub(super) const fn database_variable(side: Side) -> &'static str {
    match side {
        Side::Old => "CUTOVER_OLD_DATABASE",
        Side::New => "CUTOVER_NEW_DATABASE",
    }
}

/// Statements by psql, all or none. The session may write although the database is read-only by default.
fn psql(side: Side, statements: &[&str]) -> String {
    let options = "PGOPTIONS='-c default_transaction_read_only=off'";
    let mut words = vec!["-X", "-v", "ON_ERROR_STOP=1", "--single-transaction"];
    words.extend(statements.iter().flat_map(|statement| ["-c", statement]));
    format!("{options} psql \"${}\" {}", database_variable(side), command(&words))
}

/// Source: Route 53 API reference, `ChangeResourceRecordSets`; a batch is atomic.
fn records(zone_id: &str, before: &[RecordSet], after: &[RecordSet]) -> ByHand {
    let changes: Vec<Value> = batch(before, after)
        .into_iter()
        .map(|(action, set)| json!({ "Action": action, "ResourceRecordSet": set_for_aws(&set) }))
        .collect();
    let batch = json!({ "Changes": changes }).to_string();
    let name = before.iter().chain(after).map(|set| set.name.as_str()).next().unwrap_or_default();
    let zone = ["--hosted-zone-id", zone_id];
    let change = ["aws", "route53", "change-resource-record-sets"];
    let list = ["aws", "route53", "list-resource-record-sets"];
    let answer = ["--change-batch", &batch, "--query", "ChangeInfo.Id", "--output", "text"];
    let from = ["--start-record-name", name, "--max-items", "4"];
    ByHand {
        act: command(&[&change[..], &zone, &answer].concat()),
        look: Some(command(&[&list[..], &zone, &from].concat())),
        wait: Some("aws route53 wait resource-record-sets-changed --id \"$answer\"".to_owned()),
        once: true,
    }
}

/// A record set as `--change-batch` takes it.
fn set_for_aws(set: &RecordSet) -> Value {
    let mut value = json!({ "Name": set.name, "Type": set.kind });
    if let Some(weighted) = &set.weighted {
        value["SetIdentifier"] = json!(weighted.set_identifier);
        value["Weight"] = json!(weighted.weight);
    }
    match &set.alias {
        Some(alias) => {
            value["AliasTarget"] = json!({
                "HostedZoneId": alias.zone_id,
                "DNSName": alias.target,
                "EvaluateTargetHealth": alias.evaluate_health,
            });
        }
        None => {
            value["TTL"] = json!(set.ttl);
            let values: Vec<_> = set.values.iter().map(|value| json!({ "Value": value })).collect();
            value["ResourceRecords"] = json!(values);
        }
    }
    value
}

fn service(cluster: &str, service: &str, desired: u32) -> ByHand {
    let desired = desired.to_string();
    let place = ["--cluster", cluster];
    let update = ["aws", "ecs", "update-service", "--service", service, "--desired-count", &desired];
    let print = ["--query", "service.desiredCount", "--output", "text"];
    let counts = "services[].[desiredCount,runningCount,pendingCount]";
    let describe = ["aws", "ecs", "describe-services", "--services", service, "--query", counts];
    let wait = ["aws", "ecs", "wait", "services-stable", "--services", service];
    ByHand {
        act: command(&[&update[..], &place, &print].concat()),
        look: Some(command(&[&describe[..], &place, &["--output", "text"]].concat())),
        wait: Some(command(&[&wait[..], &place].concat())),
        once: false,
    }
}

/// Source: AWS CLI reference, `ecs run-task`. The exit code of the task's own container decides.
fn task(task: &Task) -> ByHand {
    let overrides = json!({ "containerOverrides": [{ "name": task.container, "command": task.command }] }).to_string();
    let launch = match task.launch {
        Launch::Fargate => "FARGATE",
        Launch::Ec2 => "EC2",
    };
    let public = if task.public_ip { "ENABLED" } else { "DISABLED" };
    let vpc = json!({ "subnets": task.subnets, "securityGroups": task.security_groups, "assignPublicIp": public });
    let network = json!({ "awsvpcConfiguration": vpc }).to_string();
    let place = ["--cluster", &task.cluster];
    let run = ["aws", "ecs", "run-task", "--task-definition", &task.definition, "--launch-type", launch];
    let network: &[&str] = if task.subnets.is_empty() { &[] } else { &["--network-configuration", &network] };
    let print = ["--overrides", &overrides, "--query", "tasks[0].taskArn", "--output", "text"];
    let code = format!("tasks[0].containers[?name==`{}`].exitCode | [0]", task.container);
    let code = command(&["--query", &code, "--output", "text"]);
    let cluster = command(&place);
    let family = task.definition.split(':').next().unwrap_or_default();
    let list = ["aws", "ecs", "list-tasks", "--family", family, "--desired-status", "STOPPED"];
    ByHand {
        act: command(&[&run[..], network, &place, &print].concat()),
        look: Some(command(&[&list[..], &place].concat())),
        wait: Some(format!(
            "aws ecs wait tasks-stopped {cluster} --tasks \"$answer\" && \
             [ \"$(aws ecs describe-tasks {cluster} --tasks \"$answer\" {code})\" = 0 ]"
        )),
        once: false,
    }
}

/// A command for bash from its words.
#[must_use]
pub fn command<S: AsRef<str>>(words: &[S]) -> String {
    words.iter().map(|word| quoted(word.as_ref())).collect::<Vec<_>>().join(" ")
}

/// One word for bash: nothing in it has a meaning.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_no_meaning_for_the_shell() {
        assert_eq!(command(&["rm", "-f", "/tmp/a b"]), "rm -f '/tmp/a b'");
        assert_eq!(command(&["echo", "it's $HOME `x`", ""]), r"echo 'it'\''s $HOME `x`' ''");
        assert_eq!(command(&["a\nb", "*", "~", "[x]"]), "'a\nb' '*' '~' '[x]'");
    }
}
