//! What must last, and until when: the way back from the end of the window needs it as well.

use std::{collections::BTreeSet, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    apply::ALIAS_TTL,
    event::Expiring,
    phase::Phase,
    price::{point_passed, price, undo_time},
    state::State,
};
use crate::plan::{Class, Kind, Plan, Step};

/// When something ends, as it was seen last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// What ends.
    pub of: Expiring,
    /// The host that shows the certificate; None: it is none, or the journal does not say.
    #[serde(default)]
    pub host: Option<String>,
    /// When; None: it does not end, or does not say.
    pub until: Option<Timestamp>,
}

/// Until when credentials and certificates must last: the end of the window, and the time that going back from there
/// takes. The preflight, the holds, the screen and the status all judge by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needed {
    /// End of the window; of a plan without one, of what its steps are expected to take.
    pub window_end: Timestamp,
    /// Going back from there: the undos of every step that can be undone before the point of no return, and the TTL of
    /// what was switched. Not less than going back now would take.
    pub back: Duration,
    /// Both together.
    pub until: Timestamp,
}

impl Needed {
    /// Whether something that ends then lasts long enough.
    #[must_use]
    pub fn met(&self, until: Option<Timestamp>) -> bool {
        until.is_none_or(|until| until >= self.until)
    }

    /// What is over when something ends then; above 0, or nothing is missing.
    #[must_use]
    pub fn missing(&self, until: Timestamp) -> SignedDuration {
        self.until.duration_since(until)
    }
}

/// Until when everything must last in a session that began then. Before there is one: that begins now, with
/// [`State::default`], in which nothing was rehearsed, measured or skipped.
#[must_use]
pub fn needed(plan: &Plan, state: &State, begun: Timestamp) -> Needed {
    let later = |from: Timestamp, by: Duration| from.checked_add(by).unwrap_or(Timestamp::MAX);
    let window = plan.window.unwrap_or_else(|| plan.steps.iter().map(|step| step.expected).sum());
    let (window_end, back) = (later(begun, window), back_from_the_end(plan, state));
    Needed { window_end, back, until: later(window_end, back) }
}

/// One thing that must last, whether its end was seen yet or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lasting {
    /// What.
    pub of: Expiring,
    /// The host that shows the certificate.
    pub host: Option<String>,
    /// Somebody has looked.
    pub seen: bool,
    /// When it ends; None: it does not, or does not say, or nobody has looked.
    pub until: Option<Timestamp>,
    /// Until when it must last; None: the session has not begun.
    pub needed_until: Option<Timestamp>,
    /// Whether it does; None: nobody knows.
    pub lasts: Option<bool>,
}

/// Everything that must last: the certificates of every host that is checked, per side, and the credentials.
#[must_use]
pub fn lasting(plan: &Plan, state: &State) -> Vec<Lasting> {
    let secure = plan.checks.iter().filter(|check| check.url.starts_with("https:"));
    let hosts: BTreeSet<_> = secure.map(|check| check.host()).collect();
    let certificates = [Expiring::OldCertificate, Expiring::NewCertificate];
    let certificates =
        certificates.into_iter().flat_map(|of| hosts.iter().map(move |host| (of, Some((*host).to_owned()))));
    let heroku = plan.heroku.iter().map(|_| (Expiring::HerokuKey, None));
    let needed = state.session.as_ref().map(|session| needed(plan, state, session.started_at));
    let all = certificates.chain([(Expiring::Credentials, None)]).chain(heroku);
    let told = all.map(|(of, host)| {
        let known = state.endings.iter().find(|known| known.of == of && known.host == host);
        let lasts = known.zip(needed).map(|(known, needed)| needed.met(known.until));
        let until = known.and_then(|known| known.until);
        Lasting { of, host, seen: known.is_some(), until, needed_until: needed.map(|needed| needed.until), lasts }
    });
    told.collect()
}

/// Everything that could be undone at the end of the window. Past the point of no return nothing is, nor once everything
/// has been put back.
fn back_from_the_end(plan: &Plan, state: &State) -> Duration {
    if point_passed(plan, state).is_some() || state.rolled_back {
        return Duration::ZERO;
    }
    let skipped = |step: &&Step| state.step(&step.id).is_some_and(|known| known.phase == Phase::Skipped);
    let until_there = plan.steps.iter().take_while(|step| !step.point_of_no_return);
    let undone: Vec<_> = until_there.filter(|step| has_undo(step) && !skipped(step)).collect();
    let undos: Duration = undone.iter().map(|step| undo_time(plan, state, &step.id)).sum();
    let switched = undone.iter().filter(|step| matches!(step.kind, Kind::DnsSwitch { .. }));
    let records = switched.flat_map(|step| step.kind.records()).filter_map(|id| plan.record(id));
    let ttl = records.map(|record| record.new.ttl.unwrap_or(ALIAS_TTL)).max().unwrap_or_default();
    (undos + Duration::from_secs(ttl.into())).max(price(plan, state, None).total)
}

fn has_undo(step: &Step) -> bool {
    step.kind.class() != Class::ReadOnly && !step.kind.is_final()
}
