//! How steps follow from each other: references backwards only, and each record's way from lowering to lasting TTL.

use std::{collections::BTreeSet, time::Duration};

use super::{
    super::{
        error::{Report, Span},
        kind::Kind,
        model::{Plan, Step},
        raw::{RawPlan, RawStep, split},
        record::{Record, RecordSet},
        scalar::{quote, show},
    },
    record::ttl,
    steps::{records_of, ttl_of},
};

/// A record that is switched with a higher TTL than this, in seconds, is slow to go back.
const SLOW_TTL: u32 = 300;

pub(super) fn apply(plan: &Plan, raw: &RawPlan, report: &mut Report) {
    if !backwards(plan, raw, report) {
        return;
    }
    let before = ancestors(plan);
    if !all_records_known(plan, raw) {
        return;
    }
    for record in &plan.records {
        Way {
            plan,
            raw,
            before: &before,
            record,
            standing: record.old.clone(),
            last: None,
            lowered: None,
            drained: false,
            switched: false,
        }
        .walk(report);
    }
    window(plan, raw, report);
}

/// Whether every record that a step names is one of the plan: with one unknown, the way of the others is unknown too.
fn all_records_known(plan: &Plan, raw: &RawPlan) -> bool {
    plan.steps.iter().zip(&raw.step).all(|(step, raw)| {
        let named = records_of(&raw.get_ref().kind).map_or(0, |list| split(list).len());
        named == step.kind.records().len()
    })
}

/// Every `needs` points at an earlier step. Returns whether that holds.
fn backwards(plan: &Plan, raw: &RawPlan, report: &mut Report) -> bool {
    let mut holds = true;
    for (position, (step, raw)) in plan.steps.iter().zip(&raw.step).enumerate() {
        for text in raw.get_ref().needs.iter().flat_map(split) {
            let target = plan.steps.iter().position(|other| other.id.0 == text.get_ref().as_str());
            if let Some(target) = target.filter(|target| *target >= position) {
                holds = false;
                let (message, help) = forward(plan, step, &plan.steps[target]);
                report.error(text.span(), message).help(help);
            }
        }
    }
    holds
}

fn forward(plan: &Plan, step: &Step, target: &Step) -> (String, String) {
    if step.id == target.id {
        return ("a step cannot need itself".to_owned(), "name an earlier step".to_owned());
    }
    match path(plan, target, step, &mut BTreeSet::new()) {
        Some(mut ids) => {
            ids.insert(0, step.id.0.clone());
            let circle = ids.join(" -> ");
            (format!("steps need each other in a circle: {circle}"), "take one of these `needs` out".to_owned())
        }
        None => {
            let (id, target) = (quote(&step.id.0), quote(&target.id.0));
            (format!("{id} needs {target}, which comes later"), format!("move {target} before {id}"))
        }
    }
}

/// Step ids from `from` to `to` along `needs`.
fn path(plan: &Plan, from: &Step, to: &Step, seen: &mut BTreeSet<String>) -> Option<Vec<String>> {
    if from.id == to.id {
        return Some(vec![to.id.0.clone()]);
    }
    if !seen.insert(from.id.0.clone()) {
        return None;
    }
    let next = from.needs.iter().filter_map(|id| plan.step(id));
    let mut rest = next.filter_map(|next| path(plan, next, to, seen));
    let mut rest = rest.next()?;
    rest.insert(0, from.id.0.clone());
    Some(rest)
}

/// For each step, the positions of all steps that are surely over when it runs.
fn ancestors(plan: &Plan) -> Vec<BTreeSet<usize>> {
    let mut all: Vec<BTreeSet<usize>> = Vec::new();
    for step in &plan.steps {
        let direct: Vec<_> = step.needs.iter().filter_map(|id| plan.position(id)).collect();
        let inherited = direct.iter().filter_map(|at| all.get(*at)).flatten().copied();
        let set = inherited.chain(direct.iter().copied()).collect();
        all.push(set);
    }
    all
}

/// One record's way through the plan.
struct Way<'a> {
    plan: &'a Plan,
    raw: &'a RawPlan,
    before: &'a [BTreeSet<usize>],
    record: &'a Record,
    standing: RecordSet,
    /// The last step that named the record.
    last: Option<usize>,
    lowered: Option<usize>,
    drained: bool,
    switched: bool,
}

impl Way<'_> {
    fn walk(mut self, report: &mut Report) {
        for (at, (step, raw)) in self.plan.steps.iter().zip(&self.raw.step).enumerate() {
            if !step.kind.records().contains(&self.record.id) {
                continue;
            }
            let raw = raw.get_ref();
            let place = place(raw, &self.record.id);
            self.follows(at, step, &place, report);
            match &step.kind {
                Kind::DnsLowerTtl { .. } => self.lower(at, written_ttl(raw), raw, &place, report),
                Kind::DnsDrain { .. } => self.drain(&place, report),
                Kind::DnsSwitch { stages, .. } => self.switch(!stages.is_empty(), &place, report),
                Kind::DnsRaiseTtl { .. } => self.raise(written_ttl(raw), raw, &place, report),
                _ => {}
            }
            self.last = Some(at);
        }
        self.end(report);
    }

    fn name(&self) -> String {
        quote(&self.record.id)
    }

    /// Two steps that write one record must not run in either order.
    fn follows(&self, at: usize, step: &Step, place: &Span, report: &mut Report) {
        let Some(last) = self.last.filter(|last| !self.before[at].contains(last)) else { return };
        let last = quote(&self.plan.steps[last].id.0);
        report
            .error(
                place.clone(),
                format!("{} and {last} both work on record {}, in no order", quote(&step.id.0), self.name()),
            )
            .help(format!("let {} need {last}, directly or through others", quote(&step.id.0)));
    }

    fn lower(&mut self, at: usize, ttl: Option<u32>, raw: &RawStep, place: &Span, report: &mut Report) {
        match self.standing.ttl {
            None => self.no_ttl(place, report),
            Some(old) if ttl.is_some_and(|ttl| ttl >= old) => {
                let span = ttl_of(&raw.kind).map_or_else(|| place.clone(), toml::Spanned::span);
                report
                    .error(span, format!("this TTL is not lower: record {} has {old}", self.name()))
                    .help("write a lower one, such as 60");
            }
            Some(_) => {}
        }
        self.set_ttl(ttl);
        self.lowered = Some(at);
        self.drained = false;
    }

    fn set_ttl(&mut self, ttl: Option<u32>) {
        if self.standing.alias.is_none() {
            self.standing.ttl = ttl;
        }
    }

    /// Without alias the TTL is only unknown because of an error that was already told.
    fn no_ttl(&self, place: &Span, report: &mut Report) {
        if self.standing.alias.is_none() {
            return;
        }
        report
            .error(place.clone(), format!("record {} is an alias then, which has no TTL of its own", self.name()))
            .help("leave the record out of this step");
    }

    fn drain(&mut self, place: &Span, report: &mut Report) {
        if self.lowered.is_none() {
            report
                .error(place.clone(), format!("nothing to drain: the TTL of record {} was never lowered", self.name()))
                .help("put a `dns.lower-ttl` of the record before this step");
        }
        self.drained = true;
    }

    fn switch(&mut self, staged: bool, place: &Span, report: &mut Report) {
        let name = self.name();
        if self.switched {
            report.error(place.clone(), format!("record {name} is switched twice")).help("leave one of them out");
        }
        match self.standing.ttl {
            _ if self.lowered.is_some() && !self.drained => {
                report
                    .error(place.clone(), format!("record {name} is switched before its old TTL has drained"))
                    .help("put a `dns.drain` of the record between lowering and switching");
            }
            Some(ttl) if self.lowered.is_none() && ttl > SLOW_TTL => {
                let slow = show(Duration::from_secs(ttl.into()));
                report
                    .warning(place.clone(), format!("record {name} is switched with a TTL of {slow}"))
                    .help(format!("resolvers keep either answer for {slow}: lower the TTL and drain it first"));
            }
            _ => {}
        }
        if staged {
            self.siblings(place, report);
        }
        self.standing = self.record.new.clone();
        self.switched = true;
    }

    /// Stages put both sides beside each other as weighted siblings: one type, one TTL.
    fn siblings(&self, place: &Span, report: &mut Report) {
        let (old, new, name) = (&self.standing, &self.record.new, self.name());
        if old.kind != new.kind {
            let message = format!(
                "record {name} cannot move in stages: {} and {} cannot stand beside each other",
                old.kind, new.kind
            );
            report.error(place.clone(), message).help("use the same type on both sides, or leave `stages` out");
        } else if let (Some(old), Some(new)) = (old.ttl, new.ttl)
            && old != new
        {
            report
                .error(
                    place.clone(),
                    format!(
                        "weighted siblings need one TTL: record {name} has {old} before the switch and {new} after it"
                    ),
                )
                .help(format!("lower the old TTL to {new}, or give the new side `ttl = {old}` and raise it later"));
        }
    }

    fn raise(&mut self, ttl: Option<u32>, raw: &RawStep, place: &Span, report: &mut Report) {
        match self.standing.ttl {
            None => self.no_ttl(place, report),
            Some(old) if ttl.is_some_and(|ttl| ttl <= old) => {
                let span = ttl_of(&raw.kind).map_or_else(|| place.clone(), toml::Spanned::span);
                report
                    .error(span, format!("this TTL is not higher: record {} has {old} then", self.name()))
                    .help("write a higher one, or leave the record out of this step");
            }
            Some(_) => {}
        }
        self.set_ttl(ttl);
    }

    fn end(&self, report: &mut Report) {
        if self.switched {
            return;
        }
        let raw = self.raw.record.iter().find(|raw| raw.id.get_ref().as_str() == self.record.id);
        let place = raw.map_or(0..0, |raw| raw.id.span());
        report
            .warning(place, format!("no step switches record {}", self.name()))
            .help("add it to a `dns.switch`, or leave it out of the plan");
    }
}

/// The TTL that a step sets; None after an error was told about it.
fn written_ttl(raw: &RawStep) -> Option<u32> {
    ttl_of(&raw.kind).and_then(|text| ttl(text.get_ref().as_str()).ok())
}

/// Where a step names a record.
fn place(raw: &RawStep, record: &str) -> Span {
    let named = records_of(&raw.kind).into_iter().flat_map(split).find(|text| text.get_ref().as_str() == record);
    named.map_or_else(|| raw.id.span(), |text| text.span())
}

fn window(plan: &Plan, raw: &RawPlan, report: &mut Report) {
    let planned = plan.steps.iter().map(|step| step.expected).fold(Duration::ZERO, Duration::saturating_add);
    let (Some(window), Some(text)) = (plan.window, &raw.window) else { return };
    if planned > window {
        report
            .warning(text.span(), format!("the steps take {} together, longer than the window", show(planned)))
            .help("widen the window, or shorten what is expected; the time that people take comes on top");
    }
}
