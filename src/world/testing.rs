//! Servers that misbehave, for tests: real sockets, wrong manners.

use std::{net::SocketAddr, time::Duration};

use crate::plan::{Aws, Dns, Environment, EnvironmentKind, Heroku, Plan, SideInfo, Sides};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

/// How a server treats each request.
#[derive(Debug, Clone)]
pub(crate) enum Manner {
    /// Reads the request and closes the connection.
    Close,
    /// Reads the request and says nothing for this long.
    Silent(Duration),
    /// Answers with these bytes and closes.
    Raw(Vec<u8>),
}

impl Manner {
    /// An HTTP answer.
    pub(crate) fn answer(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Raw(
            format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
                .into(),
        )
    }
}

/// A server on loopback and the requests that it read, in their order.
pub(crate) async fn server(manner: Manner) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (manner, sender) = (manner.clone(), sender.clone());
            tokio::spawn(async move {
                let request = request(&mut socket).await;
                let _unread = sender.send(request);
                match manner {
                    Manner::Close => {}
                    Manner::Silent(time) => tokio::time::sleep(time).await,
                    Manner::Raw(bytes) => {
                        socket.write_all(&bytes).await.unwrap();
                        socket.shutdown().await.unwrap();
                    }
                }
            });
        }
    });
    (address, receiver)
}

/// A loopback address where nothing listens: it is bound until the process ends, so that no other test gets it.
pub(crate) fn nobody() -> SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = socket.local_addr().unwrap();
    std::mem::forget(socket);
    address
}

/// Head and body of one request.
async fn request(socket: &mut TcpStream) -> String {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        match socket.read(&mut buffer).await {
            Ok(count @ 1..) => bytes.extend_from_slice(&buffer[..count]),
            _ => return text,
        }
    }
}

/// A sandbox plan without steps whose services are at an address.
pub(crate) fn plan(address: SocketAddr) -> Plan {
    let side = |label: &str| SideInfo { label: label.to_owned(), address: "127.0.0.1".to_owned() };
    Plan {
        name: "test".into(),
        title: "Test".into(),
        environment: Environment { name: "sandbox".into(), kind: EnvironmentKind::Sandbox },
        window: None,
        aws: Aws { region: "us-east-1".into(), endpoint: Some(format!("http://{address}")), ..Aws::default() },
        databases: None,
        preflight: None,
        heroku: Some(Heroku { app: "acme-shop".into(), api: Some(format!("http://{address}")) }),
        dns: Dns::default(),
        sides: Sides { old: side("Heroku"), new: side("AWS") },
        records: Vec::new(),
        checks: Vec::new(),
        metrics: Vec::new(),
        guardrails: Vec::new(),
        runners: Vec::new(),
        traffic: None,
        access: None,
        notify: Vec::new(),
        steps: Vec::new(),
    }
}
