//! IAM (query): the policies of the one user, evaluated as IAM documents it.
//!
//! `SimulatePrincipalPolicy` looks at actions, resources and conditions. The calls that read are held against the policies
//! by their action alone, those that change something by their resources and conditions, too (`scope`, `route53`).
//!
//! Source: IAM API reference (2010-05-08); IAM User Guide, "Policy evaluation logic" and "Condition operators".

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{ACCOUNT, AwsError, string, strings};
use crate::sandbox::{lock, world::World};

/// The user that every key belongs to.
pub(super) const USER: &str = "sandbox";

/// Context keys, in lower case, and the request's values.
pub(super) type Context = BTreeMap<String, Vec<String>>;

/// Inline policies of the user, by name.
#[derive(Debug)]
pub(in crate::sandbox) struct Iam(BTreeMap<String, Value>);

impl Default for Iam {
    fn default() -> Self {
        let everything = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
        Self(BTreeMap::from([("everything".to_owned(), json!({ "Statement": [everything] }))]))
    }
}

pub(super) fn user_arn() -> String {
    format!("arn:aws:iam::{ACCOUNT}:user/{USER}")
}

pub(super) fn serve(world: &World, operation: &str, input: &Value) -> Result<Value, AwsError> {
    let mut iam = lock(&world.iam);
    if operation == "SimulatePrincipalPolicy" {
        return iam.simulate(input);
    }
    if string(input, "UserName") != USER {
        return Err(no_such_entity(&format!("The user with name {} cannot be found.", string(input, "UserName"))));
    }
    let name = string(input, "PolicyName").to_owned();
    match operation {
        "PutUserPolicy" => {
            let document = serde_json::from_str(string(input, "PolicyDocument"));
            let malformed = |_| AwsError::bad_request("MalformedPolicyDocument", "Syntax errors in policy.");
            iam.0.insert(name, document.map_err(malformed)?);
            Ok(json!({}))
        }
        "DeleteUserPolicy" => {
            let known = iam.0.remove(&name);
            let missing = || no_such_entity(&format!("The user policy with name {name} cannot be found."));
            known.map(|_| json!({})).ok_or_else(missing)
        }
        "ListUserPolicies" => Ok(json!({ "PolicyNames": iam.0.keys().collect::<Vec<_>>(), "IsTruncated": false })),
        "GetUserPolicy" => {
            let document = iam.0.get(&name).map(Value::to_string);
            let missing = || no_such_entity(&format!("The user policy with name {name} cannot be found."));
            let document = document.ok_or_else(missing)?;
            Ok(json!({ "UserName": USER, "PolicyName": name, "PolicyDocument": document }))
        }
        other => {
            let message = format!("Could not find operation {other} for version 2010-05-08");
            Err(AwsError::bad_request("InvalidAction", message))
        }
    }
}

fn no_such_entity(message: &str) -> AwsError {
    AwsError::new(StatusCode::NOT_FOUND, "NoSuchEntity", message)
}

/// How a request is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Allowed,
    ExplicitDeny,
    ImplicitDeny,
}

impl Iam {
    fn simulate(&self, input: &Value) -> Result<Value, AwsError> {
        let principal = string(input, "PolicySourceArn");
        if principal != user_arn() {
            return Err(no_such_entity(&format!("Entity {principal} does not exist")));
        }
        let resources = match strings(input, "ResourceArns") {
            named if named.is_empty() => vec!["*".to_owned()],
            named => named,
        };
        let entries = input.get("ContextEntries").and_then(Value::as_array).into_iter().flatten();
        let context: Context = entries
            .map(|entry| (string(entry, "ContextKeyName").to_lowercase(), strings(entry, "ContextKeyValues")))
            .collect();
        let mut results = Vec::new();
        for action in strings(input, "ActionNames") {
            for resource in &resources {
                let decision = match self.decide(&action, Some((resource, &context))) {
                    Decision::Allowed => "allowed",
                    Decision::ExplicitDeny => "explicitDeny",
                    Decision::ImplicitDeny => "implicitDeny",
                };
                results.push(json!({
                    "EvalActionName": action, "EvalResourceName": resource, "EvalDecision": decision,
                    "MatchedStatements": [], "MissingContextValues": [],
                }));
            }
        }
        Ok(json!({ "EvaluationResults": results, "IsTruncated": false }))
    }

    /// Without a resource, the action alone decides.
    fn decide(&self, action: &str, request: Option<(&str, &Context)>) -> Decision {
        let statements = self.0.values().flat_map(|policy| each(&policy["Statement"]));
        let matching: Vec<_> = statements.filter(|statement| matches(statement, action, request)).collect();
        match () {
            () if matching.iter().any(|statement| statement["Effect"] == "Deny") => Decision::ExplicitDeny,
            () if matching.is_empty() => Decision::ImplicitDeny,
            () => Decision::Allowed,
        }
    }

    /// The refusal of a call that the policies do not allow.
    pub(super) fn refusal(&self, action: &str, request: Option<(&str, &Context)>, is_xml: bool) -> Option<AwsError> {
        let why = match self.decide(action, request) {
            Decision::Allowed => return None,
            Decision::ExplicitDeny => format!("with an explicit deny in an identity-based policy: {action}"),
            Decision::ImplicitDeny => format!("because no identity-based policy allows the {action} action"),
        };
        let resource = request.map_or_else(String::new, |(resource, _)| format!(" on resource: {resource}"));
        let message = format!("User: {} is not authorized to perform: {action}{resource} {why}", user_arn());
        let (status, code) = match is_xml {
            true => (StatusCode::FORBIDDEN, "AccessDenied"),
            false => (StatusCode::BAD_REQUEST, "AccessDeniedException"),
        };
        Some(AwsError::new(status, code, message))
    }
}

/// One value or a list of them.
fn each(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

fn texts(value: &Value) -> Vec<&str> {
    each(value).into_iter().filter_map(Value::as_str).collect()
}

fn matches(statement: &Value, action: &str, request: Option<(&str, &Context)>) -> bool {
    let action = action.to_lowercase();
    let named = texts(&statement["Action"]).iter().any(|pattern| like(&pattern.to_lowercase(), &action));
    let Some((resource, context)) = request else { return named };
    let on = texts(&statement["Resource"]).iter().any(|pattern| like(pattern, resource));
    let conditions = statement["Condition"].as_object();
    named && on && conditions.into_iter().flatten().all(|(operator, keys)| holds(operator, keys, context))
}

/// Operators on strings and ARNs; a condition with any other never holds.
fn holds(operator: &str, keys: &Value, context: &Context) -> bool {
    let (set, operator) = match operator.split_once(':') {
        Some((set, operator)) => (set, operator),
        None => ("", operator),
    };
    let (operator, if_exists) = match operator.strip_suffix("IfExists") {
        Some(operator) => (operator, true),
        None => (operator, false),
    };
    let fits: fn(&str, &str) -> bool = match operator {
        "StringEquals" => |pattern, value| pattern == value,
        "StringLike" | "ArnEquals" | "ArnLike" => like,
        _ => return false,
    };
    keys.as_object().into_iter().flatten().all(|(key, wanted)| {
        let wanted = texts(wanted);
        let any = |value: &String| wanted.iter().any(|pattern| fits(pattern, value));
        match (context.get(&key.to_lowercase()), set) {
            (None, "ForAllValues") => true,
            (None, _) => if_exists,
            (Some(values), "ForAllValues") => values.iter().all(any),
            (Some(values), _) => values.iter().any(any),
        }
    })
}

/// `*` stands for any text, `?` for one character.
fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, reached)) => {
                    star = Some((at, reached + 1));
                    (p, t) = (at + 1, reached + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(policy: Value, action: &str, resource: &str, context: &[(&str, &[&str])]) -> Decision {
        let iam = Iam(BTreeMap::from([("p".to_owned(), policy)]));
        let context = context.iter().map(|(key, values)| {
            (key.to_lowercase(), values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
        });
        iam.decide(action, Some((resource, &context.collect())))
    }

    #[test]
    fn a_deny_beats_an_allow_and_nothing_is_no() {
        let allow = json!({ "Effect": "Allow", "Action": ["ecs:*"], "Resource": "arn:aws:ecs:*:service/acme/w?b" });
        let deny = json!({ "Effect": "Deny", "Action": "ECS:UpdateService", "Resource": "*" });
        let both = json!({ "Statement": [allow, deny] });
        let one = json!({ "Statement": allow });
        let (web, worker) = ("arn:aws:ecs:us-east-1:1:service/acme/web", "arn:aws:ecs:us-east-1:1:service/acme/worker");
        assert_eq!(decide(one.clone(), "ecs:UpdateService", web, &[]), Decision::Allowed);
        assert_eq!(decide(one.clone(), "ecs:UpdateService", worker, &[]), Decision::ImplicitDeny);
        assert_eq!(decide(one, "rds:DeleteDBInstance", web, &[]), Decision::ImplicitDeny);
        assert_eq!(decide(both, "ecs:UpdateService", web, &[]), Decision::ExplicitDeny);
    }

    #[test]
    fn every_value_of_a_request_must_be_among_those_allowed() {
        let names = json!({ "route53:ChangeResourceRecordSetsNormalizedRecordNames": ["a.test", "b.test"] });
        let policy = json!({ "Statement": [{ "Effect": "Allow", "Action": "route53:ChangeResourceRecordSets",
            "Resource": "*", "Condition": { "ForAllValues:StringEquals": names } }] });
        let key = "route53:changeresourcerecordsetsnormalizedrecordnames";
        let ask = |names: &[&str]| decide(policy.clone(), "route53:ChangeResourceRecordSets", "z", &[(key, names)]);
        assert_eq!([ask(&["a.test"]), ask(&["b.test", "a.test"])], [Decision::Allowed; 2]);
        assert_eq!(ask(&["a.test", "c.test"]), Decision::ImplicitDeny);
    }

    #[test]
    fn a_condition_on_a_key_that_the_request_lacks_does_not_hold() {
        let policy = |operator: &str| {
            json!({ "Statement": [{ "Effect": "Allow", "Action": "iam:PassRole", "Resource": "*",
                "Condition": { operator: { "iam:PassedToService": "ecs-tasks.amazonaws.com" } } }] })
        };
        let ask = |operator, context: &[(&str, &[&str])]| decide(policy(operator), "iam:PassRole", "r", context);
        let to_ecs: &[(&str, &[&str])] = &[("iam:PassedToService", &["ecs-tasks.amazonaws.com"])];
        assert_eq!(ask("StringEquals", to_ecs), Decision::Allowed);
        assert_eq!(ask("StringEquals", &[]), Decision::ImplicitDeny);
        assert_eq!(ask("StringEqualsIfExists", &[]), Decision::Allowed);
        assert_eq!(ask("NumericEquals", to_ecs), Decision::ImplicitDeny, "what is not known is not granted");
    }
}
