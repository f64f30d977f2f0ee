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
    scenario::UserGroup,
    world::LIVE_NAME,
};

/// Where the two origins stand.
pub(super) const OLD_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 10);
pub(super) const NEW_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 10);

/// All users.
#[derive(Debug)]
pub(super) struct Users(Vec<Group>);

#[derive(Debug)]
struct Group {
    name: String,
    resolvers: Vec<Arc<Resolver>>,
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
        let group = |group: &UserGroup| Group {
            name: group.name.clone(),
            resolvers: group.resolvers.iter().filter_map(|name| dns.resolver(name)).collect(),
            share: group.share / total.max(f64::MIN_POSITIVE),
            keep_alive: group.keep_alive.as_secs_f64().max(1.0),
            old: 1.0,
            new: 0.0,
        };
        Self(groups.iter().map(group).collect())
    }

    /// Lets `dt` session seconds pass: connections close and open again where DNS leads now. Returns the shares of all
    /// requests that go to the old and to the new side.
    pub(super) fn step(&mut self, dt: f64) -> (f64, f64) {
        let mut shares = (0.0, 0.0);
        for group in &mut self.0 {
            group.step(dt);
            shares.0 += group.share * group.old;
            shares.1 += group.share * group.new;
        }
        shares
    }

    pub(super) fn states(&self) -> Vec<GroupState> {
        let state =
            |group: &Group| GroupState { name: group.name.clone(), share: group.share, old: group.old, new: group.new };
        self.0.iter().map(state).collect()
    }
}

impl Group {
    fn step(&mut self, dt: f64) {
        let closed = approach(dt, self.keep_alive);
        let (to_old, to_new) = match self.resolve() {
            Some(Side::Old) => (1.0, 0.0),
            Some(Side::New) => (0.0, 1.0),
            None => (0.0, 0.0),
        };
        self.old += (to_old - self.old) * closed;
        self.new += (to_new - self.new) * closed;
    }

    fn resolve(&self) -> Option<Side> {
        let address = self.resolvers.iter().find_map(|resolver| resolver.resolve(LIVE_NAME))?;
        match address {
            IpAddr::V4(OLD_ADDRESS) => Some(Side::Old),
            IpAddr::V4(NEW_ADDRESS) => Some(Side::New),
            _ => None,
        }
    }
}
