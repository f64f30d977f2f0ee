//! The users: groups of them, each behind resolvers of its own, with connections that stay open.
//!
//! Nothing decides by itself which side gets the load: users go where their resolver's answer leads when they open a
//! connection, and stay there until it closes.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use serde::Serialize;

use super::{
    dns::{DnsHandles, Resolver},
    faults::Side,
    model::approach,
    scenario::{API, UserGroup},
};

/// Where the two origins stand.
pub(super) const OLD_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 10);
pub(super) const NEW_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 10);

/// Where the two databases stand.
pub(super) const OLD_DATABASE: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 20);
pub(super) const NEW_DATABASE: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 20);

/// Caches behind the address of each resolver: a large provider's answers change one cache at a time, not for all users
/// at once, and the shares of weighted record sets come out as their weights say.
const CACHES: usize = 8;

/// Which parts of all requests go where, 0 to 1.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shares {
    pub(super) old: f64,
    pub(super) new: f64,
    /// Of the old side's, those to the shop: only its users place orders, the API's clients read.
    pub(super) old_shop: f64,
    pub(super) new_shop: f64,
}

/// All users.
#[derive(Debug)]
pub(super) struct Users(Vec<Group>);

#[derive(Debug)]
struct Group {
    name: String,
    host: String,
    /// Each resolver's caches, in the order in which resolvers are asked. One cache in each serves an equal part of the
    /// group.
    resolvers: Vec<Vec<Arc<Resolver>>>,
    share: f64,
    /// Seconds.
    keep_alive: f64,
    /// Share of the group's connections that are open to each side; the rest could not connect.
    old: f64,
    new: f64,
}

/// What one group does now, for the state page.
#[derive(Debug, Clone, Serialize)]
pub(super) struct GroupState {
    /// The group's name.
    pub(super) name: String,
    /// Its share of all users, 0 to 1.
    pub(super) share: f64,
    /// Share of its connections to the old side, 0 to 1.
    pub(super) old: f64,
    /// Share of its connections to the new side, 0 to 1.
    pub(super) new: f64,
}

impl Users {
    /// Binds the groups to their resolvers. Resolvers that do not exist are left out, as a mistyped one would be silent.
    pub(super) fn new(groups: &[UserGroup], dns: &DnsHandles) -> Self {
        let total: f64 = groups.iter().map(|group| group.share).sum();
        let group = |(position, group): (usize, &UserGroup)| Group {
            name: group.name.clone(),
            host: group.host.clone(),
            resolvers: group
                .resolvers
                .iter()
                .filter_map(|name| Some(caches(&dns.resolver(name)?, &group.host, position)))
                .collect(),
            share: group.share / total.max(f64::MIN_POSITIVE),
            keep_alive: group.keep_alive.as_secs_f64().max(1.0),
            old: 1.0,
            new: 0.0,
        };
        Self(groups.iter().enumerate().map(group).collect())
    }

    /// Lets `dt` session seconds pass: connections close and open again where DNS leads now. Returns the shares of all
    /// requests that go to the old and to the new side.
    pub(super) fn step(&mut self, dt: f64) -> Shares {
        let mut shares = Shares::default();
        for group in &mut self.0 {
            group.step(dt);
            shares.old += group.share * group.old;
            shares.new += group.share * group.new;
            if group.host != API {
                shares.old_shop += group.share * group.old;
                shares.new_shop += group.share * group.new;
            }
        }
        shares
    }

    pub(super) fn states(&self) -> Vec<GroupState> {
        let state =
            |group: &Group| GroupState { name: group.name.clone(), share: group.share, old: group.old, new: group.new };
        self.0.iter().map(state).collect()
    }
}

/// The resolver that listens and its siblings.
fn caches(resolver: &Arc<Resolver>, host: &str, position: usize) -> Vec<Arc<Resolver>> {
    let names = [host.to_owned()];
    let siblings = (1..CACHES).map(|number| resolver.sibling(&names, position + number * 7));
    std::iter::once(Arc::clone(resolver)).chain(siblings).collect()
}

impl Group {
    fn step(&mut self, dt: f64) {
        let closed = approach(dt, self.keep_alive);
        let part = 1.0 / CACHES as f64;
        let (mut to_old, mut to_new) = (0.0, 0.0);
        for cache in 0..CACHES {
            match self.resolve(cache) {
                Some(Side::Old) => to_old += part,
                Some(Side::New) => to_new += part,
                None => {}
            }
        }
        self.old += (to_old - self.old) * closed;
        self.new += (to_new - self.new) * closed;
    }

    /// Where the users of one cache are led; `None` when nobody answers, or leads elsewhere.
    fn resolve(&self, cache: usize) -> Option<Side> {
        let address = self.resolvers.iter().find_map(|caches| caches.get(cache)?.resolve(&self.host))?;
        match address {
            IpAddr::V4(OLD_ADDRESS) => Some(Side::Old),
            IpAddr::V4(NEW_ADDRESS) => Some(Side::New),
            _ => None,
        }
    }
}
