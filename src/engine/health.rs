//! What the watches see, put into the few words that waiting steps ask for.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use crate::{
    plan::{Guardrail, Kind, Plan},
    run::{Expiring, Report, Sample, State, Target, VerdictKind, active, resolvers_agree, verdict_word},
    steps::Health,
};

/// Fewer requests a second than this are nobody: a stray crawler, not a customer.
const SILENT: f64 = 0.05;

/// Data of requests whose newest period ended longer ago than this tell nothing about now: CloudWatch is two minutes late.
const STALE: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);

/// Remembers when the certificates end that the checks were shown, by side and host, then by check.
#[derive(Debug, Default)]
pub(super) struct Expiries(BTreeMap<(Expiring, String), BTreeMap<String, Timestamp>>);

impl Expiries {
    /// Takes the end of a certificate out of a check of one side; says when the first that its host shows there ends.
    pub(super) fn hear(&mut self, plan: &Plan, sample: &Sample) -> Option<Report> {
        let Sample::Check(run) = sample else { return None };
        let of = match run.target {
            Target::Old => Expiring::OldCertificate,
            Target::New => Expiring::NewCertificate,
            Target::Live => return None,
        };
        let until = run.certificate_until?;
        let host = plan.checks.iter().find(|check| check.id == run.check)?.host().to_owned();
        let shown = self.0.entry((of, host.clone())).or_default();
        shown.insert(run.check.clone(), until);
        Some(Report::Expiry { of, host: Some(host), until: shown.values().min().copied() })
    }
}

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

    /// The longest silence that a step of the plan demands and that is fulfilled, else zero. None: the plan does not
    /// measure it, demands none, or there are no fresh data: no data is not silence.
    pub(super) fn fulfilled(&self, plan: &Plan, now: Timestamp) -> Option<Duration> {
        let fresh = self.until.is_some_and(|until| now.duration_since(until) <= STALE);
        let lasting = self.lasting().filter(|_| fresh)?;
        let demanded = plan.steps.iter().filter_map(|step| match step.kind {
            Kind::HerokuScale { old_side_silent, .. } => old_side_silent,
            _ => None,
        });
        let mut demanded = demanded.peekable();
        demanded.peek()?;
        Some(demanded.filter(|wanted| lasting >= *wanted).max().unwrap_or(Duration::ZERO))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{plan, run::CheckSample, run::Datum};

    fn sample(source: &str) -> Plan {
        plan::load(source, "sample", "production", &std::collections::BTreeMap::new()).unwrap()
    }

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_mins(minutes)
    }

    #[test]
    fn silence_is_told_in_the_steps_that_the_plan_demands_and_needs_fresh_data() {
        // The sample's last step on Heroku wants five silent minutes.
        let plan = sample(include_str!("../../config/acme-shop.toml"));
        let mut silence = Silence::default();
        assert_eq!(silence.fulfilled(&plan, at(0)), None, "nothing was measured");
        let hear = |silence: &mut Silence, minute, value| {
            let data = vec![Datum { at: at(minute), value }];
            silence.hear(&plan, &Sample::Metric { metric: "old-requests".into(), data });
        };
        hear(&mut silence, 0, 3.0);
        assert_eq!(silence.fulfilled(&plan, at(3)), Some(Duration::ZERO));
        (1..=4).for_each(|minute| hear(&mut silence, minute, 0.0));
        assert_eq!(silence.fulfilled(&plan, at(7)), Some(Duration::ZERO), "four minutes are not five");
        hear(&mut silence, 5, 0.0);
        assert_eq!(silence.fulfilled(&plan, at(8)), Some(Duration::from_secs(300)));
        assert_eq!(silence.fulfilled(&plan, at(12)), None, "no data is not silence");
        hear(&mut silence, 6, 9.0);
        assert_eq!(silence.fulfilled(&plan, at(9)), Some(Duration::ZERO));
    }

    #[test]
    fn the_first_certificate_of_a_host_is_told_for_each_side() {
        let plan = sample(include_str!("../../config/acme-shop.toml"));
        let mut expiries = Expiries::default();
        let mut hear = |check: &str, target, until| {
            let sample = CheckSample {
                check: check.into(),
                target,
                at: at(0),
                passing: true,
                status: Some(200),
                latency: Duration::ZERO,
                reason: None,
                certificate_until: until,
                served_by: None,
                wait: None,
            };
            expiries.hear(&plan, &Sample::Check(sample))
        };
        let told =
            |of, host: &str, minutes| Some(Report::Expiry { of, host: Some(host.into()), until: Some(at(minutes)) });
        let old = |minutes| told(Expiring::OldCertificate, "shop.example.com", minutes);
        assert_eq!(hear("home", Target::Old, Some(at(90))), old(90));
        assert_eq!(hear("cart", Target::Old, Some(at(60))), old(60), "of two that one host shows the first");
        assert_eq!(hear("home", Target::Old, Some(at(90))), old(60));
        assert_eq!(hear("cart", Target::Old, Some(at(900))), old(90), "it was renewed");
        let api = told(Expiring::OldCertificate, "api.example.com", 5);
        assert_eq!(hear("api-health", Target::Old, Some(at(5))), api, "a host of its own");
        assert_eq!(hear("home", Target::New, Some(at(70))), told(Expiring::NewCertificate, "shop.example.com", 70));
        assert_eq!(hear("home", Target::Live, Some(at(1))), None);
        assert_eq!(hear("plain", Target::New, None), None, "no certificate, no end");
    }
}
