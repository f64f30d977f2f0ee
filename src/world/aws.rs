//! How AWS is reached: region, credentials, endpoint, time-outs, retries.
//!
//! Reads are retried by the SDK. Mutations are sent once: when an answer is lost nobody knows whether the request took
//! effect, and only a look at the world can tell. So there are two configurations, and a client that changes something
//! is built from [`Aws::act`].

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider},
};
use aws_smithy_http_client::tls;
use jiff::Timestamp;

use super::{
    ConnectError,
    clean::clean,
    error::{self, root, trouble},
    lock,
};
use crate::{
    clock::monotonic,
    plan::{EnvironmentKind, Plan},
    run::{Trouble, TroubleKind},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(30);
/// How long loaded credentials are believed before the provider is asked again: some providers call out each time.
const BELIEVED: Duration = Duration::from_secs(60);

/// The key that the sandbox is shown; it opens nothing.
pub(super) const SANDBOX_KEY: (&str, &str) = ("AKIDSANDBOX", "sandbox");

/// Whom credentials belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Twelve digits.
    pub account: String,
    /// As STS names the caller, e.g. `arn:aws:sts::123456789012:assumed-role/cutover/ann`.
    pub arn: String,
}

impl Caller {
    /// The name of the role whose session this is.
    #[must_use]
    pub fn role(&self) -> Option<&str> {
        let (_, rest) = self.arn.split_once(":assumed-role/")?;
        rest.split('/').next()
    }

    /// The user or role whose policies count: a role's session is not one itself. The path of a role is not part of its
    /// session's ARN: one with a path is only found by its name.
    ///
    /// # Errors
    /// The caller has no policies of its own that IAM could evaluate: the account's root, a federated user.
    pub fn principal(&self) -> Result<String, Trouble> {
        let none = |what: &str| trouble("iam:SimulatePrincipalPolicy", TroubleKind::Refused, what);
        let parts: Vec<_> = self.arn.splitn(6, ':').collect();
        let [arn, partition, _, _, account, name] = parts.as_slice() else {
            return Err(none(&format!("{} is no ARN", self.arn)));
        };
        let kinds: Vec<_> = name.split('/').collect();
        match kinds.as_slice() {
            ["user" | "role", ..] => Ok(self.arn.clone()),
            ["assumed-role", role, ..] => Ok(format!("{arn}:{partition}:iam::{account}:role/{role}")),
            ["root"] => Err(none("the account's root may do everything, and should do nothing: use a role")),
            _ => Err(none(&format!("{name} has no policies that IAM could evaluate"))),
        }
    }
}

/// Access to one AWS account.
#[derive(Debug)]
pub struct Aws {
    read: SdkConfig,
    act: SdkConfig,
    account: Option<String>,
    loaded: Mutex<Option<(Instant, Credentials)>>,
    /// Access key id that was seen to belong to the plan's account.
    confirmed: Mutex<Option<String>>,
}

impl Aws {
    pub(super) async fn connect(plan: &Plan) -> Result<Self, ConnectError> {
        let read = match plan.environment.kind {
            EnvironmentKind::Sandbox => sandbox(plan)?,
            EnvironmentKind::Production | EnvironmentKind::Staging => real(plan).await,
        };
        let act = read.to_builder().retry_config(RetryConfig::disabled()).build();
        let account = plan.aws.account.clone();
        Ok(Self { read, act, account, loaded: Mutex::default(), confirmed: Mutex::default() })
    }

    /// For calls that only read: throttled and lost ones are tried again, three times in all.
    #[must_use]
    pub const fn read(&self) -> &SdkConfig {
        &self.read
    }

    /// For calls that change something: one attempt.
    #[must_use]
    pub const fn act(&self) -> &SdkConfig {
        &self.act
    }

    /// When the credentials expire, by the wall clock. None: they do not say (long-lived keys, or keys from the
    /// environment that somebody refreshes), or they renew themselves: that the ones of this hour end says nothing.
    ///
    /// # Errors
    /// There are none, or their provider failed: `Credentials`.
    pub async fn credentials_until(&self) -> Result<Option<Timestamp>, Trouble> {
        let credentials = self.credentials().await?;
        let expiry = credentials.expiry().filter(|_| !renew_themselves(&credentials));
        Ok(expiry.and_then(|expiry| Timestamp::try_from(expiry).ok()))
    }

    /// Whom the credentials belong to (STS `GetCallerIdentity`, which nobody can be forbidden).
    ///
    /// # Errors
    /// The call failed.
    pub async fn caller(&self) -> Result<Caller, Trouble> {
        let call = "sts:GetCallerIdentity";
        let answer = aws_sdk_sts::Client::new(&self.read).get_caller_identity().send().await;
        let answer = answer.map_err(|error| error::aws(call, &error).trouble)?;
        let caller =
            answer.account.zip(answer.arn).map(|(account, arn)| Caller { account: clean(&account), arn: clean(&arn) });
        caller.ok_or_else(|| trouble(call, TroubleKind::Garbled, "an answer without an account"))
    }

    /// Makes sure that the credentials belong to the plan's account, once for each key. Nothing to do when the plan
    /// names none.
    ///
    /// # Errors
    /// The credentials belong to another account (`Credentials`), or the account cannot be read.
    pub async fn confirm_account(&self) -> Result<(), Trouble> {
        let Some(wanted) = &self.account else { return Ok(()) };
        let key = self.credentials().await?.access_key_id().to_owned();
        if lock(&self.confirmed).as_ref() == Some(&key) {
            return Ok(());
        }
        let found = self.caller().await?.account;
        if found != *wanted {
            let reason = format!("these credentials belong to account {found}, the plan wants {wanted}");
            return Err(trouble("sts:GetCallerIdentity", TroubleKind::Credentials, &reason));
        }
        *lock(&self.confirmed) = Some(key);
        Ok(())
    }

    async fn credentials(&self) -> Result<Credentials, Trouble> {
        let known = lock(&self.loaded).clone();
        if let Some((at, credentials)) = known
            && monotonic().duration_since(at) < BELIEVED
        {
            return Ok(credentials);
        }
        let none = |reason: &str| trouble("aws:credentials", TroubleKind::Credentials, reason);
        let provider = self.read.credentials_provider().ok_or_else(|| none("no provider of credentials"))?;
        let limit = tokio::time::timeout(OPERATION_TIMEOUT, provider.provide_credentials()).await;
        let loaded = limit.map_err(|_| none("the provider of credentials gave no answer in time"))?;
        let loaded = loaded.map_err(|error| none(&format!("no credentials: {}", root(&error))))?;
        *lock(&self.loaded) = Some((monotonic(), loaded.clone()));
        Ok(loaded)
    }
}

/// Whether the provider gives others when these end, without a person: an instance's or a container's role, a web
/// identity, a role that is assumed, single sign-on (its session is longer than the keys, and does not say how long). A
/// process may hand out what somebody once logged in for.
fn renew_themselves(credentials: &Credentials) -> bool {
    use aws_credential_types::credential_feature::AwsCredentialFeature as Feature;
    const RENEW: [Feature; 8] = [
        Feature::CredentialsImds,
        Feature::CredentialsHttp,
        Feature::CredentialsEnvVarsStsWebIdToken,
        Feature::CredentialsProfileStsWebIdToken,
        Feature::CredentialsStsAssumeRoleWebId,
        Feature::CredentialsStsAssumeRole,
        Feature::CredentialsProfileSso,
        Feature::CredentialsSso,
    ];
    const LENT: [Feature; 2] = [Feature::CredentialsProcess, Feature::CredentialsProfileProcess];
    let features = credentials.get_property::<Vec<Feature>>().map(Vec::as_slice).unwrap_or_default();
    features.iter().any(|one| RENEW.contains(one)) && !features.iter().any(|one| LENT.contains(one))
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}

async fn real(plan: &Plan) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(plan.aws.region.clone()))
        .timeout_config(timeouts())
        .retry_config(RetryConfig::standard());
    if let Some(profile) = &plan.aws.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(endpoint) = &plan.aws.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    loader.load().await
}

/// Built by hand, so that no environment variable, profile or metadata service is looked at.
fn sandbox(plan: &Plan) -> Result<SdkConfig, ConnectError> {
    let endpoint = super::loopback(plan.aws.endpoint.as_deref())?;
    let credentials = Credentials::new(SANDBOX_KEY.0, SANDBOX_KEY.1, None, None, "sandbox");
    // The SDK's own client takes HTTP_PROXY from the environment; this one does not.
    let direct = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .build_https();
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(plan.aws.region.clone()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .timeout_config(timeouts())
        .retry_config(RetryConfig::standard())
        .endpoint_url(endpoint)
        .http_client(direct);
    Ok(config.build())
}

#[cfg(test)]
mod tests {
    use aws_credential_types::credential_feature::AwsCredentialFeature as Feature;

    use super::*;

    #[test]
    fn what_renews_itself_does_not_end() {
        let of = |features: &[Feature]| {
            let end = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(3600);
            let mut credentials = Credentials::new("AKID", "secret", None, Some(end), "test");
            credentials.get_property_mut_or_default::<Vec<Feature>>().extend_from_slice(features);
            renew_themselves(&credentials)
        };
        assert!(of(&[Feature::CredentialsImds]), "an instance's role");
        assert!(of(&[Feature::CredentialsHttp]), "a container's role");
        assert!(of(&[Feature::CredentialsProfileSso, Feature::CredentialsSso]));
        assert!(of(&[Feature::CredentialsProfileSourceProfile, Feature::CredentialsStsAssumeRole]));
        assert!(!of(&[Feature::CredentialsProfileProcess, Feature::CredentialsProcess]));
        assert!(!of(&[Feature::CredentialsProcess, Feature::CredentialsStsAssumeRole]), "its base may end");
        assert!(!of(&[Feature::CredentialsEnvVars]) && !of(&[]), "somebody gave them, and they end");
    }
}
