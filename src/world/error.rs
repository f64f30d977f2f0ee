//! What went wrong outside, in the words of a run: which call, why, what kind, and whether it may have taken effect.

use std::{error::Error, fmt};

use aws_credential_types::provider::error::CredentialsError;
use aws_runtime::retries::classifiers::THROTTLING_ERRORS;
use aws_smithy_runtime_api::{
    client::{orchestrator::HttpResponse, result::SdkError},
    http::StatusCode,
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::clean::clean;
use crate::run::{Outcome, Trouble, TroubleKind};

/// A call that did not give what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which call, why, and what kind of trouble.
    pub trouble: Trouble,
    /// It may have taken effect all the same: the request may have arrived and its answer was lost or cannot be
    /// believed. Only for a mutation this matters: it must be observed and never sent again.
    pub in_doubt: bool,
}

impl Failure {
    /// A failure that is known to have had no effect.
    #[must_use]
    pub fn none_sent(call: &str, kind: TroubleKind, reason: &str) -> Self {
        Self { trouble: trouble(call, kind, reason), in_doubt: false }
    }

    /// A failure after which nobody knows.
    #[must_use]
    pub fn lost(call: &str, kind: TroubleKind, reason: &str) -> Self {
        Self { trouble: trouble(call, kind, reason), in_doubt: true }
    }

    /// How an attempt ended whose mutation failed like this.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        if self.in_doubt {
            Outcome::InDoubt { trouble: self.trouble }
        } else {
            Outcome::Failed { trouble: self.trouble }
        }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        failure.trouble
    }
}

/// A trouble with a cleaned reason that is tried again when somebody asks.
#[must_use]
pub fn trouble(call: &str, kind: TroubleKind, reason: &str) -> Trouble {
    Trouble { call: call.to_owned(), reason: clean(reason), kind, next_try: None }
}

/// Codes by which AWS services say that credentials are missing, expired, wrong or not allowed to.
const CREDENTIAL_CODES: [&str; 14] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "NotAuthorized",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
];

/// An AWS call that failed, e.g. `route53:ChangeResourceRecordSets`.
#[must_use]
pub(super) fn aws<E>(call: &str, error: &SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let Some(cause) = find::<CredentialsError>(error) {
        return Failure::none_sent(call, TroubleKind::Credentials, &format!("no credentials: {}", root(cause)));
    }
    match error {
        SdkError::ConstructionFailure(_) => Failure::none_sent(call, TroubleKind::Refused, &root(error)),
        SdkError::TimeoutError(_) => Failure::lost(call, TroubleKind::Unreachable, "no answer in time"),
        SdkError::DispatchFailure(cause) if cause.is_user() => {
            Failure::none_sent(call, TroubleKind::Refused, &root(error))
        }
        SdkError::DispatchFailure(cause) => dispatch(call, error, cause.is_timeout()),
        SdkError::ServiceError(answer) => service(call, answer.raw().status(), error),
        // Without a body that names an error, the status alone says whose fault it was.
        SdkError::ResponseError(answer) if answer.raw().status().is_client_error() => {
            service(call, answer.raw().status(), error)
        }
        SdkError::ResponseError(answer) if !answer.raw().status().is_success() => {
            let status = answer.raw().status();
            let reason =
                format!("status {status}, in words that are not the service's: is something between answering?");
            Failure::lost(call, TroubleKind::Garbled, &reason)
        }
        _ => Failure::lost(call, TroubleKind::Garbled, &format!("an answer that cannot be read: {}", root(error))),
    }
}

/// An answer that names an error.
fn service(call: &str, status: StatusCode, error: &(impl ProvideErrorMetadata + Error)) -> Failure {
    let code = error.code().unwrap_or_default();
    let message = error.message().unwrap_or("no message");
    let reason = if code.is_empty() { format!("status {status}") } else { format!("{code}: {message}") };
    let (client_error, status) = (status.is_client_error(), status.as_u16());
    if THROTTLING_ERRORS.contains(&code) || status == 429 {
        return Failure::none_sent(call, TroubleKind::Throttled, &reason);
    }
    if client_error && (CREDENTIAL_CODES.contains(&code) || matches!(status, 401 | 403)) {
        return Failure::none_sent(call, TroubleKind::Credentials, &reason);
    }
    let kind = if code.is_empty() { TroubleKind::Garbled } else { TroubleKind::Refused };
    if client_error { Failure::none_sent(call, kind, &reason) } else { Failure::lost(call, kind, &reason) }
}

/// A request without an answer. What could not even be connected was not sent.
fn dispatch(call: &str, error: &(dyn Error + 'static), timed_out: bool) -> Failure {
    if find::<hyper_util::client::legacy::Error>(error).is_some_and(hyper_util::client::legacy::Error::is_connect) {
        let reason = if timed_out { "no connection in time".to_owned() } else { root(error) };
        return Failure::none_sent(call, TroubleKind::Unreachable, &reason);
    }
    match find::<hyper::Error>(error) {
        Some(cause) if cause.is_parse() => {
            Failure::lost(call, TroubleKind::Garbled, &format!("an answer that is not HTTP: {cause}"))
        }
        Some(cause) if cause.is_incomplete_message() => {
            Failure::lost(call, TroubleKind::Unreachable, "the connection was closed before an answer came")
        }
        _ if timed_out => Failure::lost(call, TroubleKind::Unreachable, "no answer in time"),
        _ => Failure::lost(call, TroubleKind::Unreachable, &root(error)),
    }
}

/// A call over plain HTTP that got no answer, or one that cannot be read.
#[must_use]
pub(super) fn http(call: &str, error: &reqwest::Error) -> Failure {
    if error.is_builder() {
        return Failure::none_sent(call, TroubleKind::Refused, &root(error));
    }
    if error.is_connect() {
        let reason = if error.is_timeout() { "no connection in time".to_owned() } else { root(error) };
        return Failure::none_sent(call, TroubleKind::Unreachable, &reason);
    }
    if error.is_decode() {
        return Failure::lost(call, TroubleKind::Garbled, &format!("an answer that cannot be read: {}", root(error)));
    }
    dispatch(call, error, error.is_timeout())
}

/// The first error of a type in a chain of sources.
pub(super) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// What the innermost error says: the outer ones only say that something failed.
pub(super) fn root(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (**error).source())
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.trouble.call, self.trouble.reason)
    }
}
