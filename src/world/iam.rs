//! IAM: what a principal may do, as IAM itself evaluates it. Nothing is done by asking.
//!
//! Source: IAM API reference (2010-05-08), `SimulatePrincipalPolicy`, `GetRole`.

use aws_sdk_iam::{
    Client,
    types::{ContextEntry, ContextKeyTypeEnum, EvaluationResult, PolicyEvaluationDecisionType as Decided},
};

use super::{
    aws::Aws,
    clean::clean,
    error::{self, trouble},
};
use crate::run::{Trouble, TroubleKind};

/// IAM of the plan's account.
#[derive(Debug)]
pub struct Iam(Client);

/// What is asked about one set of actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// e.g. `ecs:UpdateService`.
    pub actions: Vec<String>,
    /// ARNs without wildcards, or `*` for what has no resources.
    pub resources: Vec<String>,
    /// Condition keys and the values that the request would have.
    pub context: Vec<(String, Vec<String>)>,
}

/// What IAM says of one action on one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The action.
    pub action: String,
    /// The resource.
    pub resource: String,
    /// It is allowed.
    pub allowed: bool,
    /// `allowed`, `explicitDeny` or `implicitDeny`, and who decided it if that was not the principal's own policy.
    pub word: String,
}

impl Iam {
    /// A client of the plan's account. Nothing is called yet.
    #[must_use]
    pub fn new(aws: &Aws) -> Self {
        Self(Client::new(aws.read()))
    }

    /// The ARN of a role with its path, which the ARN of its session leaves out (`GetRole`): those of IAM Identity Center
    /// all have one.
    ///
    /// # Errors
    /// The call failed.
    pub async fn role(&self, name: &str) -> Result<String, Trouble> {
        let call = "iam:GetRole";
        let answer = self.0.get_role().role_name(name).send().await;
        let answer = answer.map_err(|error| error::aws(call, &error).trouble)?;
        let none = || trouble(call, TroubleKind::Garbled, "an answer without a role");
        answer.role().map(|role| clean(role.arn())).ok_or_else(none)
    }

    /// What the policies of a role or user say (`SimulatePrincipalPolicy`), service control policies and permissions
    /// boundaries included; policies of the resources themselves are not.
    ///
    /// # Errors
    /// The call failed, or it left an action out (`Garbled`).
    pub async fn simulate(&self, principal: &str, question: &Question) -> Result<Vec<Decision>, Trouble> {
        let call = "iam:SimulatePrincipalPolicy";
        let request = self.0.simulate_principal_policy().policy_source_arn(principal);
        let request = request.set_action_names(Some(question.actions.clone()));
        let request = request.set_resource_arns(Some(question.resources.clone()));
        let request = request.set_context_entries(Some(question.context.iter().map(entry).collect()));
        let pages = request.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        let results = pages.map_err(|error| error::aws(call, &error).trouble)?;
        let decisions: Vec<_> = results.iter().flat_map(decisions).collect();
        match question.actions.iter().find(|action| !decisions.iter().any(|one| one.action == **action)) {
            Some(action) => Err(trouble(call, TroubleKind::Garbled, &format!("the answer does not speak of {action}"))),
            None => Ok(decisions),
        }
    }
}

fn entry((key, values): &(String, Vec<String>)) -> ContextEntry {
    let list = values.len() > 1 || key.starts_with("route53:");
    let kind = if list { ContextKeyTypeEnum::StringList } else { ContextKeyTypeEnum::String };
    let entry = ContextEntry::builder().context_key_name(key).context_key_type(kind);
    entry.set_context_key_values(Some(values.clone())).build()
}

/// One for each resource: IAM tells them apart in the result itself, or within it.
fn decisions(result: &EvaluationResult) -> Vec<Decision> {
    let action = clean(result.eval_action_name());
    let boundary = result.permissions_boundary_decision_detail().map(|detail| detail.allowed_by_permissions_boundary());
    let organization = result.organizations_decision_detail().map(|detail| detail.allowed_by_organizations());
    let whose = match (boundary, organization) {
        (Some(false), _) => ", by the permissions boundary",
        (_, Some(false)) => ", by a service control policy",
        _ => "",
    };
    let one = |resource: &str, decided: &Decided| Decision {
        action: action.clone(),
        resource: clean(resource),
        allowed: *decided == Decided::Allowed,
        word: format!("{}{whose}", clean(decided.as_str())),
    };
    let each = result.resource_specific_results();
    if each.is_empty() {
        return vec![one(result.eval_resource_name().unwrap_or("*"), result.eval_decision())];
    }
    each.iter().map(|part| one(part.eval_resource_name(), part.eval_resource_decision())).collect()
}
