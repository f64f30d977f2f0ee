//! The AWS services on one port, told apart as the wire tells them apart: by path, by `x-amz-target`, by the credential
//! scope of the signature.

pub(super) mod cloudwatch;
pub(super) mod ecs;
mod elb;
pub(super) mod iam;
mod logs;
pub(super) mod rds;
pub(super) mod route53;
mod route53_rules;
mod scope;
pub(super) mod secrets;
mod sqs;
mod sts;
mod tasks;
#[cfg(test)]
mod tests;
mod wire;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode},
};
use serde_json::{Value, json};

use self::wire::Xml;
use super::{
    faults::Obstacle,
    http::{self, Call, Dropped, Reply},
    lock,
    world::World,
};

/// The account that everything belongs to.
pub(super) const ACCOUNT: &str = "123456789012";
/// The region of everything that has one.
pub(super) const REGION: &str = "us-east-1";

/// A refusal, in any of the protocols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AwsError {
    status: StatusCode,
    code: String,
    message: String,
}

impl AwsError {
    fn new(status: StatusCode, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into() }
    }

    fn bad_request(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }
}

/// How a request was put, and so how its answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    RestXml,
    Query,
    Json(&'static str),
    Cbor,
}

/// What a request asks for.
struct Asked<'a> {
    service: &'static str,
    operation: String,
    /// The argument in the path, only with [`Protocol::RestXml`].
    path_argument: &'a str,
    protocol: Protocol,
}

/// Answers one request to any service.
pub(super) async fn handle(world: Arc<World>, call: Call) -> Reply {
    let request_id = world.request_id();
    let Some(asked) = recognise(&call) else {
        let error =
            AwsError::new(StatusCode::NOT_FOUND, "UnknownOperationException", "no such operation in the sandbox");
        return Ok(error_response(Protocol::Json("application/x-amz-json-1.1"), "", &error, &request_id));
    };
    let now = world.clock.now();
    let refusal = match world.faults.before(asked.service, &asked.operation, now) {
        Some(Obstacle::Closed) => return Err(Dropped),
        Some(obstacle) => Some(refusal(&obstacle, &asked)),
        None => unsigned(&call).or_else(|| over_rate(&world, &asked)).or_else(|| not_allowed(&world, &asked)),
    };
    if let Some(error) = refusal {
        return Ok(error_response(asked.protocol, asked.service, &error, &request_id));
    }
    let response = match carry_out(&world, &call, &asked, &request_id) {
        Ok(response) => response,
        Err(error) => error_response(asked.protocol, asked.service, &error, &request_id),
    };
    if world.faults.loses_answer(asked.service, &asked.operation, world.clock.now()) {
        return Err(Dropped);
    }
    Ok(response)
}

fn recognise(call: &Call) -> Option<Asked<'_>> {
    if let Some((operation, path_argument)) = route53::operation(call) {
        return Some(Asked {
            service: "route53",
            operation: operation.into(),
            path_argument,
            protocol: Protocol::RestXml,
        });
    }
    let asked = |service, operation: &str, protocol| {
        Some(Asked { service, operation: operation.to_owned(), path_argument: "", protocol })
    };
    if let ["service", _, "operation", operation] = call.segments().as_slice() {
        return asked("cloudwatch", operation, Protocol::Cbor);
    }
    match call.header("x-amz-target").split_once('.') {
        Some(("AmazonEC2ContainerServiceV20141113", operation)) => {
            return asked("ecs", operation, Protocol::Json("application/x-amz-json-1.1"));
        }
        Some(("AmazonSQS", operation)) => {
            return asked("sqs", operation, Protocol::Json("application/x-amz-json-1.0"));
        }
        Some(("Logs_20140328", operation)) => {
            return asked("logs", operation, Protocol::Json("application/x-amz-json-1.1"));
        }
        Some(("secretsmanager", operation)) => {
            return asked("secretsmanager", operation, Protocol::Json("application/x-amz-json-1.1"));
        }
        Some(("AmazonSSM", operation)) => {
            return asked("ssm", operation, Protocol::Json("application/x-amz-json-1.1"));
        }
        Some(("GraniteServiceVersion20100801", operation)) => {
            return asked("cloudwatch", operation, Protocol::Json("application/x-amz-json-1.0"));
        }
        _ => {}
    }
    let body = wire::from_query(std::str::from_utf8(&call.body).ok()?);
    let operation = body.get("Action")?.as_str()?;
    match (body.get("Version")?.as_str()?, operation) {
        ("2010-05-08", _) => asked("iam", operation, Protocol::Query),
        ("2015-12-01", _) => asked("elasticloadbalancing", operation, Protocol::Query),
        ("2011-06-15", _) => asked("sts", operation, Protocol::Query),
        ("2014-10-31", _) => asked("rds", operation, Protocol::Query),
        ("2010-08-01", _) => asked("cloudwatch", operation, Protocol::Query),
        _ => None,
    }
}

fn carry_out(world: &World, call: &Call, asked: &Asked<'_>, request_id: &str) -> Result<Response<Body>, AwsError> {
    if asked.protocol == Protocol::RestXml {
        let body = route53::serve(world, call, (&asked.operation, asked.path_argument), request_id)?;
        return Ok(stamped(http::reply(StatusCode::OK, "text/xml", body), request_id));
    }
    let input = read_input(call, asked.protocol)?;
    let (is_xml, action) = (asked.protocol == Protocol::Query, format!("{}:{}", asked.service, asked.operation));
    if let Some((resources, context)) = scope::of(asked.service, &asked.operation, &input) {
        let iam = lock(&world.iam);
        if let Some(refusal) = resources.iter().find_map(|arn| iam.refusal(&action, Some((arn, &context)), is_xml)) {
            return Err(refusal);
        }
    }
    let output = match asked.service {
        "ecs" => ecs::serve(world, &asked.operation, input, request_id)?,
        "iam" => iam::serve(world, &asked.operation, &input)?,
        "sqs" => sqs::serve(world, &asked.operation, &input)?,
        "elasticloadbalancing" => elb::serve(world, &asked.operation, &input)?,
        "logs" => logs::serve(world, &asked.operation, &input)?,
        "rds" => rds::serve(world, &asked.operation, &input, request_id)?,
        "secretsmanager" | "ssm" => secrets::serve(world, asked.service, &asked.operation, &input)?,
        "sts" => sts::serve(&asked.operation, call)?,
        _ => cloudwatch::serve(world, &asked.operation, input)?,
    };
    Ok(output_response(asked, &output, request_id))
}

fn read_input(call: &Call, protocol: Protocol) -> Result<Value, AwsError> {
    let broken = |error: &dyn std::fmt::Display| AwsError::bad_request("SerializationException", error.to_string());
    match protocol {
        Protocol::Cbor => wire::from_cbor(&call.body).map_err(|error| broken(&error)),
        Protocol::Json(_) if call.body.is_empty() => Ok(json!({})),
        Protocol::Json(_) => serde_json::from_slice(&call.body).map_err(|error| broken(&error)),
        Protocol::Query | Protocol::RestXml => {
            Ok(wire::from_query(std::str::from_utf8(&call.body).map_err(|error| broken(&error))?))
        }
    }
}

fn output_response(asked: &Asked<'_>, output: &Value, request_id: &str) -> Response<Body> {
    let response = match asked.protocol {
        Protocol::Cbor => cbor(StatusCode::OK, output),
        Protocol::Json(content_type) => http::reply(StatusCode::OK, content_type, output.to_string()),
        Protocol::Query | Protocol::RestXml => {
            let operation = &asked.operation;
            let body = Xml::document(&format!("{operation}Response"), namespace(asked.service), |xml| {
                let result = format!("{operation}Result");
                match asked.service {
                    "rds" => xml.named(&result, output),
                    _ => xml.value(&result, output),
                }
                xml.nest("ResponseMetadata", |xml| xml.text("RequestId", request_id));
            });
            http::reply(StatusCode::OK, "text/xml", body)
        }
    };
    stamped(response, request_id)
}

fn namespace(service: &str) -> &'static str {
    match service {
        "iam" => "https://iam.amazonaws.com/doc/2010-05-08/",
        "rds" => "http://rds.amazonaws.com/doc/2014-10-31/",
        "elasticloadbalancing" => "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
        "sts" => "https://sts.amazonaws.com/doc/2011-06-15/",
        _ => "http://monitoring.amazonaws.com/doc/2010-08-01/",
    }
}

fn cbor(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = http::reply(status, "application/cbor", wire::to_cbor(value));
    response.headers_mut().insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    response
}

fn stamped(mut response: Response<Body>, request_id: &str) -> Response<Body> {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

fn error_response(protocol: Protocol, service: &str, error: &AwsError, request_id: &str) -> Response<Body> {
    let body = json!({ "__type": error.code, "message": error.message });
    let response = match protocol {
        Protocol::RestXml => http::reply(error.status, "text/xml", route53::error_document(error, request_id)),
        Protocol::Query => http::reply(error.status, "text/xml", error_document(namespace(service), error, request_id)),
        Protocol::Json(content_type) => http::reply(error.status, content_type, body.to_string()),
        Protocol::Cbor => cbor(error.status, &body),
    };
    let mut response = response;
    // SQS once spoke the query protocol; its clients still go by the codes of that time.
    if service == "sqs" && error.code.ends_with("#QueueDoesNotExist") {
        let code = HeaderValue::from_static("AWS.SimpleQueueService.NonExistentQueue;Sender");
        response.headers_mut().insert("x-amzn-query-error", code);
    }
    stamped(response, request_id)
}

/// An error as the XML protocols write it.
fn error_document(namespace: &str, error: &AwsError, request_id: &str) -> String {
    Xml::document("ErrorResponse", namespace, |xml| {
        xml.nest("Error", |xml| {
            xml.text("Type", if error.status.is_server_error() { "Receiver" } else { "Sender" });
            xml.text("Code", &error.code);
            xml.text("Message", &error.message);
        });
        xml.text("RequestId", request_id);
    })
}

/// The JSON and CBOR services call some errors otherwise than the XML ones.
fn refusal(obstacle: &Obstacle, asked: &Asked<'_>) -> AwsError {
    let is_xml = matches!(asked.protocol, Protocol::RestXml | Protocol::Query);
    match obstacle {
        Obstacle::Throttled(_) if is_xml => AwsError::bad_request("Throttling", "Rate exceeded"),
        Obstacle::Throttled(_) => AwsError::bad_request("ThrottlingException", "Rate exceeded"),
        Obstacle::Error { status, code } => AwsError::new(*status, code, error_message(code)),
        Obstacle::Expired | Obstacle::Closed => {
            let message = "The security token included in the request is expired";
            let (status, code) = if is_xml {
                (StatusCode::FORBIDDEN, "ExpiredToken")
            } else {
                (StatusCode::BAD_REQUEST, "ExpiredTokenException")
            };
            AwsError::new(status, code, message)
        }
    }
}

fn error_message(code: &str) -> &'static str {
    match code {
        "PriorRequestNotComplete" => "The request was rejected because Route 53 was still processing a prior request.",
        _ => "We encountered an internal error. Please try again.",
    }
}

/// Every AWS request carries a signature; whose and whether it is right does not matter here.
fn unsigned(call: &Call) -> Option<AwsError> {
    let is_signed = call.header("authorization").contains("Credential=");
    let error = || {
        AwsError::new(StatusCode::FORBIDDEN, "MissingAuthenticationToken", "Request is missing Authentication Token")
    };
    (!is_signed).then(error)
}

/// Nobody can be forbidden to ask who he is; and whoever attaches policies to the user is somebody else.
fn not_allowed(world: &World, asked: &Asked<'_>) -> Option<AwsError> {
    let attaches = asked.service == "iam" && asked.operation != "SimulatePrincipalPolicy";
    if asked.service == "sts" || attaches {
        return None;
    }
    let is_xml = matches!(asked.protocol, Protocol::RestXml | Protocol::Query);
    lock(&world.iam).refusal(&format!("{}:{}", asked.service, asked.operation), None, is_xml)
}

fn over_rate(world: &World, asked: &Asked<'_>) -> Option<AwsError> {
    let allowed = asked.service != "route53" || lock(&world.route53_rate).take();
    (!allowed).then(|| refusal(&Obstacle::Throttled(None), asked))
}

/// A member of a JSON input as a string; empty when it is missing.
fn string<'a>(input: &'a Value, key: &str) -> &'a str {
    input.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A member of a JSON input as a list of strings.
fn strings(input: &Value, key: &str) -> Vec<String> {
    let items = input.get(key).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Dimensions or filters of a JSON input: `[{"Name": .., "Value": ..}]`.
fn pairs(input: &Value, key: &str) -> BTreeMap<String, Option<String>> {
    let items = input.get(key).and_then(Value::as_array).into_iter().flatten();
    items
        .map(|item| (string(item, "Name").to_owned(), item.get("Value").and_then(Value::as_str).map(str::to_owned)))
        .collect()
}
