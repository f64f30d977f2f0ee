//! Names of secrets in Secrets Manager and in SSM's Parameter Store. Neither call can give a value.
//!
//! Source: Secrets Manager API reference (2017-10-17), `ListSecrets`; Systems Manager API reference (2014-11-06),
//! `DescribeParameters`.

use std::collections::BTreeSet;

use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType};
use aws_sdk_ssm::types::ParameterStringFilter;

use super::{
    aws::Aws,
    clean::clean,
    error::{self, trouble},
};
use crate::{
    plan::SecretStore,
    run::{Trouble, TroubleKind},
};

/// Both stores of the plan's account and region.
#[derive(Debug)]
pub struct Secrets {
    manager: aws_sdk_secretsmanager::Client,
    parameters: aws_sdk_ssm::Client,
}

impl Secrets {
    /// Clients of both. Nothing is called yet.
    #[must_use]
    pub fn new(aws: &Aws) -> Self {
        Self {
            manager: aws_sdk_secretsmanager::Client::new(aws.read()),
            parameters: aws_sdk_ssm::Client::new(aws.read()),
        }
    }

    /// The names in a store that begin with `prefix`; with an empty one, all.
    ///
    /// # Errors
    /// A call failed.
    pub async fn names(&self, store: SecretStore, prefix: &str) -> Result<BTreeSet<String>, Trouble> {
        let found = match store {
            SecretStore::SecretsManager => self.secrets(prefix).await?,
            SecretStore::Ssm => self.parameters(prefix).await?,
        };
        // The service's own filter takes words apart; only what really begins so counts.
        Ok(found.into_iter().filter(|name| name.starts_with(prefix)).collect())
    }

    async fn secrets(&self, prefix: &str) -> Result<Vec<String>, Trouble> {
        let mut request = self.manager.list_secrets();
        if !prefix.is_empty() {
            request = request.filters(Filter::builder().key(FilterNameStringType::Name).values(prefix).build());
        }
        let pages = request.into_paginator().send().collect::<Result<Vec<_>, _>>().await;
        let found = pages.map_err(|error| error::aws("secretsmanager:ListSecrets", &error).trouble)?;
        Ok(found.iter().flat_map(|page| page.secret_list()).filter_map(|secret| secret.name().map(clean)).collect())
    }

    async fn parameters(&self, prefix: &str) -> Result<Vec<String>, Trouble> {
        let call = "ssm:DescribeParameters";
        let mut request = self.parameters.describe_parameters();
        if !prefix.is_empty() {
            let filter = ParameterStringFilter::builder().key("Name").option("BeginsWith").values(prefix).build();
            let filter = filter.map_err(|error| trouble(call, TroubleKind::Refused, &error.to_string()))?;
            request = request.parameter_filters(filter);
        }
        let pages = request.into_paginator().send().collect::<Result<Vec<_>, _>>().await;
        let found = pages.map_err(|error| error::aws(call, &error).trouble)?;
        Ok(found
            .iter()
            .flat_map(|page| page.parameters())
            .filter_map(|parameter| parameter.name().map(clean))
            .collect())
    }
}
