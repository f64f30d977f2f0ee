//! What a plan lets one expect at each of its steps.

use super::{
    kind::Kind,
    metric::Metric,
    model::{Plan, Side, Step, StepId},
    record::RecordSet,
};

impl Plan {
    /// The simple record set that stands when this step is about to run forward and all before it are done: the old
    /// side's, with the TTL of an earlier `dns.lower-ttl`; after an earlier `dns.switch` the new side's.
    ///
    /// None when the plan knows no such step or record.
    #[must_use]
    pub fn expected_before(&self, step: &StepId, record: &str) -> Option<RecordSet> {
        let position = self.position(step)?;
        self.expected_after(record, &self.steps[..position])
    }

    /// The simple record set that stands when all of these steps are done, in this order.
    #[must_use]
    pub fn expected_after(&self, record: &str, done: &[Step]) -> Option<RecordSet> {
        let record = self.record(record)?;
        let naming = done.iter().filter(|step| step.kind.records().contains(&record.id));
        Some(naming.fold(record.old.clone(), |standing, step| match &step.kind {
            Kind::DnsLowerTtl { ttl, .. } | Kind::DnsRaiseTtl { ttl, .. } => standing.with_ttl(*ttl),
            Kind::DnsSwitch { .. } => record.new.clone(),
            _ => standing,
        }))
    }
}

impl Plan {
    /// The metric whose value before the first switch is the baseline of this one: for a metric of the new side the old
    /// side's of the same graph and unit, since the new side has no traffic then; else the metric itself.
    #[must_use]
    pub fn baseline_of(&self, metric: &str) -> Option<&Metric> {
        let own = self.metrics.iter().find(|known| known.id == metric)?;
        let twin = |other: &&Metric| (other.side, &other.graph, other.unit) == (Side::Old, &own.graph, own.unit);
        self.metrics.iter().find(twin).or(Some(own))
    }
}
