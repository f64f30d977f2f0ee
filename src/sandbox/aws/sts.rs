//! STS (query): who am I.

use serde_json::{Value, json};

use super::{ACCOUNT, AwsError};
use crate::sandbox::http::Call;

pub(super) fn serve(operation: &str, call: &Call) -> Result<Value, AwsError> {
    if operation != "GetCallerIdentity" {
        let message = format!("Could not find operation {operation} for version 2011-06-15");
        return Err(AwsError::bad_request("InvalidAction", message));
    }
    // The access key names the caller, so that two operators' credentials look like two callers.
    let key = call.header("authorization").split("Credential=").nth(1).and_then(|rest| rest.split('/').next());
    let user = key.unwrap_or("sandbox").to_owned();
    Ok(json!({ "Arn": super::iam::user_arn(), "UserId": user, "Account": ACCOUNT }))
}
