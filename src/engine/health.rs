//! What the watches see, put into the few words that waiting steps ask for.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    plan::{Guardrail, Plan},
    run::{Sample, State, Target, VerdictKind, active, resolvers_agree, verdict_word},
    steps::Health,
};

/// Fewer requests a second than this are nobody: a stray crawler, not a customer.
const SILENT: f64 = 0.05;

/// Remembers since when no request has reached the old side.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// End of the newest period.
    until: Option<Timestamp>,
    /// Start of the first silent period without a louder one after it.
    since: Option<Timestamp>,
    /// The newest period that was not silent.
    loud: Option<Timestamp>,
}

impl Silence {
    /// Takes the old side's request rate out of a sample.
    pub(super) fn hear(&mut self, plan: &Plan, sample: &Sample) {
        let Sample::Metric { metric, data } = sample else { return };
        if plan.traffic.as_ref().is_none_or(|traffic| traffic.old != *metric) {
            return;
        }
        let period = plan.metrics.iter().find(|known| known.id == *metric).map_or(60, |known| known.period);
        for datum in data {
            if datum.value > SILENT {
                self.loud = self.loud.max(Some(datum.at));
            } else if self.since.is_none() {
                self.since = Some(datum.at);
            }
            let end = datum.at.checked_add(jiff::SignedDuration::from_secs(i64::from(period))).ok();
            self.until = self.until.max(end);
        }
        if self.since.is_some_and(|since| self.loud.is_some_and(|loud| loud >= since)) {
            // The silent periods after the loud one begin where it ends.
            let begins =
                self.loud.and_then(|loud| loud.checked_add(jiff::SignedDuration::from_secs(i64::from(period))).ok());
            self.since = begins.filter(|begins| self.until.is_some_and(|until| until > *begins));
        }
    }

    /// How long the old side has been silent, as far as the newest datum tells; no data is not silence.
    fn lasting(&self) -> Option<Duration> {
        let until = self.until?;
        let since = self.since.unwrap_or(until);
        Some(Duration::try_from(until.duration_since(since)).unwrap_or(Duration::ZERO))
    }

    /// Everything that waiting steps ask for.
    pub(super) fn health(&self, plan: &Plan, state: &State) -> Health {
        let records = plan.records.iter().map(|record| record.id.clone());
        Health {
            green: green(plan, state),
            old_side_silent_for: self.lasting(),
            resolvers: records
                .map(|id| {
                    let verdict = resolvers_agree(plan, state, std::slice::from_ref(&id)).map(drop);
                    (id, verdict)
                })
                .collect(),
        }
    }
}

/// Every guardrail that counts holds and every check passes on the new side.
fn green(plan: &Plan, state: &State) -> Result<(), String> {
    let verdict = |g: &Guardrail| state.verdicts.get(&g.id).map_or(VerdictKind::Blind, |verdict| verdict.kind);
    let bad = plan.guardrails.iter().filter(|g| active(state, g)).find(|g| verdict(g) != VerdictKind::Holding);
    if let Some(guardrail) = bad {
        return Err(format!("{} is {}", guardrail.title, verdict_word(verdict(guardrail))));
    }
    let passes = |id: &str| state.check(id, Target::New).is_some_and(|check| check.passing == Some(true));
    match plan.checks.iter().find(|check| !passes(&check.id)) {
        Some(check) => Err(format!("check `{}` does not pass on {}", check.id, plan.sides.new.label)),
        None => Ok(()),
    }
}
