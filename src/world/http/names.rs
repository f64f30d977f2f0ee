//! How checks find addresses: anew, through the plan's resolver, but not twice at one [`MOMENT`].

use std::{
    collections::HashMap,
    error::Error,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Instant,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::MOMENT;
use crate::{
    clock::monotonic,
    world::{dns, lock},
};

/// What all checks look up together.
#[derive(Debug)]
pub(super) struct Names {
    /// None: the system's.
    resolver: Option<SocketAddr>,
    found: Mutex<HashMap<String, (Instant, Vec<IpAddr>)>>,
}

impl Names {
    pub(super) fn new(resolver: Option<SocketAddr>) -> Self {
        Self { resolver, found: Mutex::default() }
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Box<dyn Error + Send + Sync>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let asked = monotonic();
        if let Some((at, addresses)) = lock(&self.found).get(host)
            && asked.duration_since(*at) < MOMENT
        {
            return Ok(addresses.clone());
        }
        let addresses = match self.resolver {
            Some(resolver) => dns::lookup_addresses(resolver, host).await?,
            None => tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect(),
        };
        lock(&self.found).insert(host.to_owned(), (asked, addresses.clone()));
        Ok(addresses)
    }
}

/// How one client finds them.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) names: Arc<Names>,
    /// What is looked up instead of the URL's host, which stays in Host and SNI.
    pub(super) instead: Option<String>,
}

impl Resolve for Lookup {
    fn resolve(&self, name: Name) -> Resolving {
        let host = self.instead.clone().unwrap_or_else(|| name.as_str().to_owned());
        let names = Arc::clone(&self.names);
        Box::pin(async move {
            let found = names.addresses(&host).await?;
            // Port 0: the connector takes the URL's.
            Ok(Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}
