//! Stands between the engine and a service of the sandbox, sees every call that would change the world, and loses what a
//! test wants lost.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use hyper::{
    Request, Response,
    body::Incoming,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What becomes of a call that would change the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Loss {
    /// Nothing is lost.
    None,
    /// It never arrives: the connection breaks.
    Request,
    /// It never arrives, and the engine dies.
    RequestAndEngine,
    /// It is carried out, and the connection breaks without an answer.
    Answer,
    /// It is carried out, and the engine dies before it hears of it.
    AnswerAndEngine,
}

/// Decides about calls, and kills.
pub(crate) trait Carrier: Send + Sync {
    /// A call that would change the world is on its way.
    fn carries(&self, operation: &str) -> Loss;
    /// The engine dies now.
    fn kill(&self);
}

/// The connection closes without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection was cut")]
struct Cut;

/// A proxy of a service, on loopback; its address as a URL.
pub(crate) async fn before(upstream: &str, carrier: Arc<dyn Carrier>) -> String {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (upstream, client) = (upstream.to_owned(), reqwest::Client::builder().no_proxy().build().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (upstream, client, carrier) = (upstream.clone(), client.clone(), Arc::clone(&carrier));
            let service = service_fn(move |request| {
                let (upstream, client, carrier) = (upstream.clone(), client.clone(), Arc::clone(&carrier));
                async move { carry(request, &upstream, &client, &*carrier).await }
            });
            tokio::spawn(async move {
                // A connection that ends is all that can go wrong.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    format!("http://{address}")
}

async fn carry(
    request: Request<Incoming>,
    upstream: &str,
    client: &reqwest::Client,
    carrier: &dyn Carrier,
) -> Result<Response<Body>, Cut> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(Body::new(body), usize::MAX).await.map_err(|_| Cut)?;
    let operation = operation(&parts, &body);
    let loss = if changes(&operation) { carrier.carries(&operation) } else { Loss::None };
    match loss {
        Loss::Request => return Err(Cut),
        Loss::RequestAndEngine => {
            carrier.kill();
            return Err(Cut);
        }
        _ => {}
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut headers = parts.headers;
    [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].iter().for_each(|name| drop(headers.remove(name)));
    let sent = client.request(parts.method, format!("{upstream}{path}")).headers(headers).body(body).send().await;
    let answer = sent.map_err(|_| Cut)?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let bytes = answer.bytes().await.map_err(|_| Cut)?;
    match loss {
        Loss::Answer => return Err(Cut),
        Loss::AnswerAndEngine => {
            carrier.kill();
            return Err(Cut);
        }
        _ => {}
    }
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].iter().for_each(|name| drop(response.headers_mut().remove(name)));
    Ok(response)
}

/// `UpdateService`, `POST /2013-04-01/hostedzone/Z/rrset`, `PATCH /apps/acme-shop`.
fn operation(parts: &hyper::http::request::Parts, body: &Bytes) -> String {
    if let Some(target) = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok()) {
        return target.rsplit('.').next().unwrap_or_default().to_owned();
    }
    let path = parts.uri.path();
    if let Some((_, operation)) = path.split_once("/operation/") {
        return operation.to_owned();
    }
    let form = std::str::from_utf8(body).unwrap_or_default();
    let action = form.split('&').find_map(|pair| pair.strip_prefix("Action="));
    action.map_or_else(|| format!("{} {path}", parts.method), str::to_owned)
}

/// Whether a call may change the world: whatever is not known to read.
fn changes(operation: &str) -> bool {
    !["GET ", "HEAD ", "Describe", "Filter", "List", "Get", "Simulate"]
        .iter()
        .any(|reading| operation.starts_with(reading))
}
