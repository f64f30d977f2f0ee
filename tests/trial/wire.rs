//! A TCP link that can be cut or hang.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Mutex,
};

use cutover::clock::wall_now;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// How a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// It carries.
    Up,
    /// Connections break, and new ones break at once.
    Cut,
    /// Nothing arrives, and nobody is told.
    Hangs,
}

/// A link to one address.
pub(crate) struct Wire {
    pub(crate) port: u16,
    line: watch::Sender<Line>,
    /// When it was not up, microseconds by the wall: from, and to.
    outages: Mutex<Vec<(i64, i64)>>,
}

impl Wire {
    pub(crate) async fn to(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (line, seen) = watch::channel(Line::Up);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let seen = seen.clone();
                tokio::spawn(async move {
                    if *seen.borrow() == Line::Cut {
                        return;
                    }
                    if let Ok(far) = TcpStream::connect(upstream).await {
                        carry(near, far, seen).await;
                    }
                });
            }
        });
        Self { port, line, outages: Mutex::default() }
    }

    pub(crate) fn set(&self, line: Line) {
        let before = self.line.send_replace(line);
        let (now, mut outages) = (wall_now().as_microsecond(), self.outages.lock().unwrap());
        match (before, line, outages.last_mut()) {
            (Line::Up, Line::Cut | Line::Hangs, _) => outages.push((now, i64::MAX)),
            (Line::Cut | Line::Hangs, Line::Up, Some((_, until))) => *until = now,
            _ => {}
        }
    }

    pub(crate) fn outages(&self) -> Vec<(i64, i64)> {
        self.outages.lock().unwrap().clone()
    }
}

async fn carry(near: TcpStream, far: TcpStream, mut seen: watch::Receiver<Line>) {
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let (there, back) = (seen.clone(), seen.clone());
    tokio::select! {
        () = async { tokio::join!(pump(near_in, far_out, there), pump(far_in, near_out, back)); } => {}
        _ = seen.wait_for(|line| *line == Line::Cut) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut seen: watch::Receiver<Line>) {
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        let carries = seen.wait_for(|line| *line != Line::Hangs).await.is_ok();
        if !carries || to.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
}
