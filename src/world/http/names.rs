//! How checks find addresses: through the plan's resolver, and each name once for a client, which lasts a
//! [`MOMENT`](super::MOMENT).

use std::{
    collections::HashMap,
    error::Error,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::world::{dns, lock};

/// How one client finds them.
#[derive(Debug)]
pub(super) struct Names {
    /// None: the system's.
    pub(super) resolver: Option<SocketAddr>,
    /// What is looked up instead of the URL's host, which stays in Host and SNI.
    pub(super) instead: Option<String>,
    pub(super) found: Arc<Mutex<HashMap<String, Vec<IpAddr>>>>,
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let host = self.instead.clone().unwrap_or_else(|| name.as_str().to_owned());
        let (resolver, found) = (self.resolver, Arc::clone(&self.found));
        Box::pin(async move {
            let known = lock(&found).get(&host).cloned();
            let addresses = match known {
                Some(addresses) => addresses,
                None => addresses(resolver, &host).await?,
            };
            lock(&found).insert(host, addresses.clone());
            // Port 0: the connector takes the URL's.
            Ok(Box::new(addresses.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}

async fn addresses(resolver: Option<SocketAddr>, host: &str) -> Result<Vec<IpAddr>, Box<dyn Error + Send + Sync>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    match resolver {
        Some(resolver) => Ok(dns::lookup_addresses(resolver, host).await?),
        None => Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()),
    }
}
