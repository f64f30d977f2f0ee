//! Secrets Manager and SSM's Parameter Store (JSON 1.1): names, and nothing behind them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{ACCOUNT, AwsError, REGION, string, strings};
use crate::sandbox::{lock, world::World};

/// Entries of one page at most.
const PAGE: usize = 50;

/// Names by store.
#[derive(Debug)]
pub(in crate::sandbox) struct Secrets {
    secrets: BTreeSet<String>,
    parameters: BTreeSet<String>,
}

impl Default for Secrets {
    /// What the task definitions take, and two settings.
    fn default() -> Self {
        let secrets = ["DATABASE_URL", "REDIS_URL", "SECRET_KEY_BASE", "STRIPE_SECRET_KEY", "SMTP_PASSWORD"];
        let parameters = ["RAILS_ENV", "RAILS_MAX_THREADS"];
        Self {
            secrets: secrets.iter().map(|name| format!("acme-shop/{name}")).collect(),
            parameters: parameters.iter().map(|name| format!("/acme-shop/{name}")).collect(),
        }
    }
}

pub(super) fn serve(world: &World, service: &str, operation: &str, input: &Value) -> Result<Value, AwsError> {
    let mut all = lock(&world.secrets);
    let missing = |code, name: &str| AwsError::bad_request(code, format!("{name} can't be found."));
    match (service, operation) {
        ("secretsmanager", "ListSecrets") => {
            let filters = input.get("Filters").and_then(Value::as_array).into_iter().flatten();
            let prefixes: Vec<_> = filters
                .filter(|filter| string(filter, "Key") == "name")
                .flat_map(|one| strings(one, "Values"))
                .collect();
            let entry = |name: &String| {
                let arn = format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-AbCdEf");
                json!({ "Name": name, "ARN": arn })
            };
            Ok(page(&all.secrets, &prefixes, input, "SecretList", entry))
        }
        ("secretsmanager", "CreateSecret") => {
            all.secrets.insert(string(input, "Name").to_owned());
            Ok(json!({ "Name": string(input, "Name") }))
        }
        ("secretsmanager", "DeleteSecret") => {
            let name = string(input, "SecretId");
            let known = all.secrets.remove(name);
            known.then(|| json!({ "Name": name })).ok_or_else(|| missing("ResourceNotFoundException", name))
        }
        ("ssm", "DescribeParameters") => {
            let filters = input.get("ParameterFilters").and_then(Value::as_array).into_iter().flatten();
            let begins = filters.filter(|filter| string(filter, "Key") == "Name");
            let prefixes: Vec<_> = begins.flat_map(|filter| strings(filter, "Values")).collect();
            let entry = |name: &String| json!({ "Name": name, "Type": "SecureString", "Version": 1 });
            Ok(page(&all.parameters, &prefixes, input, "Parameters", entry))
        }
        ("ssm", "PutParameter") => {
            all.parameters.insert(string(input, "Name").to_owned());
            Ok(json!({ "Version": 1 }))
        }
        ("ssm", "DeleteParameter") => {
            let name = string(input, "Name");
            let known = all.parameters.remove(name);
            known.then(|| json!({})).ok_or_else(|| missing("ParameterNotFound", name))
        }
        (_, other) => {
            let message = format!("The sandbox has no operation {other}");
            Err(AwsError::bad_request("UnknownOperationException", message))
        }
    }
}

/// One page; the token is the last name of the one before.
fn page(
    names: &BTreeSet<String>,
    prefixes: &[String],
    input: &Value,
    list: &str,
    entry: impl Fn(&String) -> Value,
) -> Value {
    let asked = input.get("MaxResults").and_then(Value::as_u64).and_then(|most| usize::try_from(most).ok());
    let most = asked.unwrap_or(PAGE).clamp(1, PAGE);
    let after = string(input, "NextToken");
    let chosen =
        names.iter().filter(|name| prefixes.is_empty() || prefixes.iter().any(|begin| name.starts_with(begin)));
    let rest: Vec<_> = chosen.filter(|name| name.as_str() > after).collect();
    let shown = &rest[..most.min(rest.len())];
    let mut answer = json!({ list: shown.iter().map(|name| entry(name)).collect::<Vec<_>>() });
    if let Some(last) = shown.last().filter(|_| rest.len() > shown.len()) {
        answer["NextToken"] = json!(last);
    }
    answer
}
