//! The one HTTP server of the sandbox: every service and every origin listens through it.
//!
//! It exists because faults need what a framework hides: closing a connection without a word, after the request took
//! effect.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header},
};
use bytes::Bytes;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

/// Larger request bodies are refused: no client of the sandbox sends more.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// A client that does not finish its TLS handshake in this time is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// One request, read whole.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Call {
    /// A header's value, or the empty string.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The path's non-empty segments.
    pub(super) fn segments(&self) -> Vec<&str> {
        self.uri.path().split('/').filter(|segment| !segment.is_empty()).collect()
    }
}

/// The connection closes without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection was dropped by a fault")]
pub(super) struct Dropped;

/// What a handler gives back.
pub(super) type Reply = Result<Response<Body>, Dropped>;

/// Serves until the future is dropped; its connections die with it.
pub(super) async fn serve<H, F>(listener: TcpListener, tls: Option<TlsAcceptor>, handler: H)
where
    H: Fn(Call) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A failed accept (too many files, a client gone already) concerns one client, not the server.
                let Ok((stream, _)) = accepted else { tokio::task::yield_now().await; continue };
                connections.spawn(serve_connection(stream, tls.clone(), handler.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection<H, F>(stream: TcpStream, tls: Option<TlsAcceptor>, handler: H)
where
    H: Fn(Call) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    // Best effort: without it small answers are only slower.
    let _ = stream.set_nodelay(true);
    match tls {
        None => serve_stream(stream, handler).await,
        Some(acceptor) => {
            if let Ok(Ok(stream)) = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                serve_stream(stream, handler).await;
            }
        }
    }
}

async fn serve_stream<S, H, F>(stream: S, handler: H)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Call) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let handler = handler.clone();
        async move {
            let (parts, body) = request.into_parts();
            let Ok(body) = to_bytes(Body::new(body), MAX_BODY).await else {
                return Ok(text(StatusCode::PAYLOAD_TOO_LARGE, "the request body is too large"));
            };
            handler(Call { method: parts.method, uri: parts.uri, headers: parts.headers, body }).await
        }
    });
    // The error is a client that went away or a `Dropped`: both end this connection, which is all there is to do.
    let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
}

/// Binds `address` (port 0: any free port).
pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, super::SandboxError> {
    TcpListener::bind(address).await.map_err(|source| super::SandboxError::Bind { address, source })
}

/// A response with a body of the given type.
pub(super) fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

/// A plain-text response.
pub(super) fn text(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    reply(status, "text/plain; charset=utf-8", body)
}

/// A JSON response.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    let body = serde_json::to_vec(body).expect("the sandbox's own types always serialise");
    reply(status, "application/json", body)
}

/// The same response with `Retry-After`: whole seconds of wall time, at least one.
pub(super) fn retry_after(mut response: Response<Body>, wait: Duration) -> Response<Body> {
    let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
    response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from(seconds));
    response
}

/// Runs a handler that cannot fail over shared state.
pub(super) fn sharing<S, H, F>(state: Arc<S>, handler: H) -> impl Fn(Call) -> F + Clone + Send + Sync + 'static
where
    S: Send + Sync + 'static,
    H: Fn(Arc<S>, Call) -> F + Clone + Send + Sync + 'static,
{
    move |call| handler(state.clone(), call)
}

/// Parses a query string or form body: pairs with percent-encoding undone, in order.
pub(super) fn parse_form(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(key), percent_decode(value))
        })
        .collect()
}

fn percent_decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                hex::decode(digits).map_or(b'?', |value| value[0])
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let pairs = parse_form("Action=Get+It&a%2Eb=%C3%A9&flag");
        let expected = [("Action", "Get It"), ("a.b", "é"), ("flag", "")];
        assert_eq!(pairs, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
}
