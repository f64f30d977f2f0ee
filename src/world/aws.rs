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
    /// environment that somebody refreshes).
    ///
    /// # Errors
    /// There are none, or their provider failed: `Credentials`.
    pub async fn credentials_until(&self) -> Result<Option<Timestamp>, Trouble> {
        let expiry = self.credentials().await?.expiry();
        Ok(expiry.and_then(|expiry| Timestamp::try_from(expiry).ok()))
    }

    /// The account that the credentials belong to (STS `GetCallerIdentity`).
    ///
    /// # Errors
    /// The call failed.
    pub async fn caller_account(&self) -> Result<String, Trouble> {
        let call = "sts:GetCallerIdentity";
        let answer = aws_sdk_sts::Client::new(&self.read).get_caller_identity().send().await;
        let answer = answer.map_err(|error| error::aws(call, &error).trouble)?;
        answer.account.ok_or_else(|| trouble(call, TroubleKind::Garbled, "an answer without an account"))
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
        let found = self.caller_account().await?;
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
