//! What every resolver answers for every record that moves, and for how long it may go on doing so.

use jiff::Timestamp;
use ratatui::{buffer::Buffer, layout::Rect};

use super::{Pane, Pen, Role, Rolled, Scene, frame, framed, padded, rolled, scrolled_by, text, word};
use crate::{
    plan::Record,
    run::{AUTHORITY, Answer, ProbeSample, split},
    tui::model::remaining,
};

/// Lines with every record by itself, and with records beside each other.
pub(super) fn lines(scene: &Scene<'_>) -> (usize, usize) {
    let resolvers = scene.plan().dns.resolvers.len() + 1;
    let drains = drains(scene).len();
    (scene.plan().records.len() * (resolvers + 1) + drains, resolvers + 1 + drains)
}

pub(super) fn render(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) -> Rolled {
    let right = [word(tally_role(scene), tally(scene))];
    let inside = frame(scene, Pane::Dns, area, &[word(Role::Text, "DNS / TTL")], &right, buf);
    rolled(scene, padded(inside), scrolled_by(scene, Pane::Dns), buf, |pen| {
        if scene.plan().records.is_empty() {
            pen.put(Role::Dim, "the plan moves no [[record]]").line();
        } else if pen.room() >= lines(scene).0 || scene.ui.zoom {
            list(scene, pen);
        } else {
            grid(scene, pen);
        }
        for words in drains(scene) {
            pen.put(Role::Warn, &words).line();
        }
    })
}

/// Every resolver on a line of its own, record by record.
fn list(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    for record in &scene.plan().records {
        pen.put(Role::Strong, record.name().trim_end_matches('.')).line();
        for resolver in resolvers(scene) {
            let left = pen.gap(1).cell(Role::Text, resolver, 12).left();
            cell(scene, pen, record, resolver, left);
            pen.line();
        }
    }
}

/// A line for each resolver, records beside each other.
fn grid(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    let records = columns(scene, pen.width());
    let name = if pen.width() > 44 { 12 } else { 9 };
    let each = pen.width().saturating_sub(name + 1) / records.len().max(1);
    pen.gap(name + 1);
    for record in &records {
        pen.cell(Role::Strong, &record.id, each);
    }
    pen.line();
    for resolver in resolvers(scene) {
        pen.cell(Role::Text, resolver, name).gap(1);
        for record in &records {
            let left = pen.left().min(each);
            cell(scene, pen, record, resolver, left.saturating_sub(1));
            pen.gap(1);
        }
        pen.line();
    }
}

/// As many records as there is room for, those of the step that is looked at first.
fn columns<'a>(scene: &Scene<'a>, width: usize) -> Vec<&'a Record> {
    let plan = scene.plan();
    let named = plan.step(&scene.target.step).map_or(&[][..], |step| step.kind.records());
    let mut records: Vec<&Record> = plan.records.iter().collect();
    records.sort_by_key(|record| !named.contains(&record.id));
    records.truncate((width / 16).max(1));
    records.sort_by_key(|record| plan.records.iter().position(|known| known.id == record.id));
    records
}

/// The authority, then every resolver.
fn resolvers<'a>(scene: &Scene<'a>) -> impl Iterator<Item = &'a str> {
    [AUTHORITY].into_iter().chain(scene.plan().dns.resolvers.iter().map(|resolver| resolver.name.as_str()))
}

/// How an answer is drawn: its side, and what is remarkable about it.
fn reading<'a>(scene: &Scene<'a>, answer: Answer) -> (Role, &'a str, Option<&'static str>) {
    let sides = &scene.plan().sides;
    match answer {
        Answer::Old => (Role::Old, &sides.old.label, None),
        Answer::OldStretched => (Role::Old, &sides.old.label, Some("stretches")),
        Answer::OldStale => (Role::Old, &sides.old.label, Some("stale")),
        Answer::New => (Role::New, &sides.new.label, None),
        Answer::Other => (Role::Bad, "neither", Some("wrong")),
        Answer::Negative => (Role::Bad, "none", Some("negative")),
        Answer::Silent => (Role::Warn, "silent", Some("no answer")),
    }
}

/// Side, remaining TTL counted down by our own clock, and a bar of it; or a finding.
fn cell(scene: &Scene<'_>, pen: &mut Pen<'_>, record: &Record, resolver: &str, columns: usize) {
    let Some(probe) = scene.telemetry().probe(&record.id, resolver) else {
        pen.cell(Role::Dim, "not asked yet", columns);
        return;
    };
    let (role, side, finding) = reading(scene, probe.answer);
    let sides = &scene.plan().sides;
    let longest = text::width(&sides.old.label).max(text::width(&sides.new.label)).min(10);
    let label = (longest + 1).min(columns);
    pen.cell(role, side, label);
    let left = columns - label;
    if let Some(finding) = finding.filter(|_| left < 10) {
        // Too narrow for the word: a sign at the TTL, which the help explains.
        let short = match (probe.answer, probe.ttl) {
            (Answer::OldStretched, Some(ttl)) => format!("{}+", ttl_text(now_ttl(probe, ttl, scene.now))),
            (Answer::Silent, _) => String::new(),
            _ => finding.to_owned(),
        };
        pen.cell_right(Role::Warn, &short, 6.min(left)).gap(left.saturating_sub(6));
        return;
    }
    if let Some(finding) = finding {
        let ttl = probe.ttl.map(|ttl| ttl_text(now_ttl(probe, ttl, scene.now))).filter(|_| left > 14);
        pen.cell(Role::Warn, &format!("{finding} {}", ttl.unwrap_or_default()), left);
        return;
    }
    let Some(ttl) = probe.ttl else {
        pen.cell(Role::Dim, &probe.rcode, left);
        return;
    };
    let ttl = now_ttl(probe, ttl, scene.now);
    pen.cell_right(Role::Text, &ttl_text(ttl), 5.min(left));
    let bar = left.saturating_sub(6);
    if resolver == AUTHORITY || bar < 2 {
        pen.gap(left.saturating_sub(5));
        return;
    }
    pen.gap(1).bar(role, f64::from(ttl) / f64::from(full_ttl(scene, record, probe).max(1)), bar);
}

/// The authority's TTL stands still, a resolver's counts down.
fn now_ttl(probe: &ProbeSample, ttl: u32, now: Timestamp) -> u32 {
    if probe.resolver == AUTHORITY { ttl } else { remaining(ttl, probe.at, now) }
}

/// What a resolver may hold at most: what the authority gives, or what it gave before if that is what the answer still has.
fn full_ttl(scene: &Scene<'_>, record: &Record, probe: &ProbeSample) -> u32 {
    let (held, authority) = (probe.ttl, scene.telemetry().probe(&record.id, AUTHORITY).and_then(|probe| probe.ttl));
    let drain = scene.state().drain_of(record).filter(|_| held > authority);
    held.into_iter().chain(authority).chain(drain.map(|drain| drain.old_ttl)).max().unwrap_or(1)
}

/// A TTL in five columns: `41 s`, `24:13`, `2 h`.
fn ttl_text(seconds: u32) -> String {
    match seconds {
        0..100 => format!("{seconds} s"),
        100..6_000 => format!("{}:{:02}", seconds / 60, seconds % 60),
        _ => text::brief(std::time::Duration::from_secs(u64::from(seconds))),
    }
}

/// What still drains by what stands in the zone; a step that waits for it adds its margin and asks the resolvers.
fn drains(scene: &Scene<'_>) -> Vec<String> {
    let records = scene.plan().records.iter();
    let open = records.filter_map(|record| {
        let ends = scene.state().drain_of(record)?.ends_at();
        (ends > scene.now).then(|| (record.id.as_str(), text::since(scene.now, ends)))
    });
    let mut open: Vec<_> = open.collect();
    open.sort_by_key(|(_, left)| std::cmp::Reverse(*left));
    let names: Vec<_> = open.iter().map(|(name, _)| *name).collect();
    let longest = open.first().map(|(_, left)| format!("zone: {} drained in {}", names.join(", "), text::clock(*left)));
    let new = &scene.plan().sides.new.label;
    let share =
        |record: &Record| Some(format!("zone: {} SPLIT, {} % to {new}", record.id, split(scene.state(), record)?));
    scene.plan().records.iter().filter_map(share).chain(longest).collect()
}

fn tally(scene: &Scene<'_>) -> String {
    let (new, all) = on_new(scene);
    format!("{new}/{all} on {}", scene.plan().sides.new.label)
}

/// How many of the resolvers' answers lead to the new side.
fn on_new(scene: &Scene<'_>) -> (usize, usize) {
    let asked = scene.plan().dns.resolvers.len() * scene.plan().records.len();
    let new = scene.telemetry().probes.iter().filter(|p| p.resolver != AUTHORITY && p.answer == Answer::New).count();
    (new, asked)
}

fn tally_role(scene: &Scene<'_>) -> Role {
    match on_new(scene) {
        (0, _) => Role::Old,
        (new, all) if new == all => Role::New,
        _ => Role::Warn,
    }
}

pub(super) fn render_all(scene: &Scene<'_>, area: Rect, buf: &mut Buffer) -> Rolled {
    let right = [word(tally_role(scene), tally(scene))];
    let inside = framed(scene, area, &[word(Role::Text, "DNS / TTL")], &right, buf);
    rolled(scene, padded(inside), scene.ui.scroll, buf, |pen| {
        for record in &scene.plan().records {
            pen.put(Role::Strong, record.name().trim_end_matches('.')).put(Role::Dim, "  plan: ");
            pen.put(Role::Old, &record.old.to_string()).gap(1).put(Role::Dim, scene.theme.glyphs.arrow).gap(1);
            pen.put(Role::New, &record.new.to_string()).line();
            drain_line(scene, pen, record);
            pen.cell(Role::Dim, "  asked", 18).cell(Role::Dim, "answers", 10).cell_right(Role::Dim, "TTL", 6).gap(2);
            pen.cell(Role::Dim, "", 14).cell_right(Role::Dim, "chain", 6).gap(2).cell(Role::Dim, "code", 12);
            pen.cell_right(Role::Dim, "took", 7).cell_right(Role::Dim, "ago", 6).gap(2).put(Role::Dim, "hops").line();
            for resolver in resolvers(scene) {
                row(scene, pen, record, resolver);
            }
            pen.line();
        }
    })
}

fn drain_line(scene: &Scene<'_>, pen: &mut Pen<'_>, record: &Record) {
    let Some(drain) = scene.state().drain_of(record) else { return };
    let ends = drain.ends_at();
    let in_sync = text::time(drain.in_sync, scene.tz);
    let words = format!("  INSYNC {in_sync}, old TTL {} s, new TTL {} s: ", drain.old_ttl, drain.new_ttl);
    pen.put(Role::Dim, &words);
    if let Some(share) = split(scene.state(), record) {
        let (old, new) = (&scene.plan().sides.old.label, &scene.plan().sides.new.label);
        pen.put(Role::Warn, &format!("SPLIT: {share} % of the answers to {new}, the rest to {old}")).line();
    } else if ends > scene.now {
        pen.put(Role::Warn, &format!("drains until {}, another ", text::time(ends, scene.tz)));
        pen.put(Role::Warn, &text::clock(text::since(scene.now, ends))).line();
    } else {
        pen.put(Role::Good, &format!("{} drained at {}", scene.theme.glyphs.done, text::time(ends, scene.tz))).line();
    }
}

fn row(scene: &Scene<'_>, pen: &mut Pen<'_>, record: &Record, resolver: &str) {
    pen.gap(2).cell(if resolver == AUTHORITY { Role::Strong } else { Role::Text }, resolver, 16);
    let Some(probe) = scene.telemetry().probe(&record.id, resolver) else {
        pen.put(Role::Dim, "not asked yet").line();
        return;
    };
    let (role, side, finding) = reading(scene, probe.answer);
    let ttl = probe.ttl.map(|ttl| now_ttl(probe, ttl, scene.now));
    pen.cell(role, side, 10).cell_right(Role::Text, &ttl.map_or_else(String::new, ttl_text), 6).gap(2);
    match (finding, ttl) {
        (Some(finding), _) => pen.cell(Role::Warn, finding, 14),
        (None, Some(ttl)) => {
            pen.bar(role, f64::from(ttl) / f64::from(full_ttl(scene, record, probe).max(1)), 12).gap(2)
        }
        (None, None) => pen.gap(14),
    };
    let chain = probe.chain_ttl.map(|ttl| ttl_text(now_ttl(probe, ttl, scene.now))).unwrap_or_default();
    let code = if probe.authoritative { format!("{} aa", probe.rcode) } else { probe.rcode.clone() };
    let code_role = if probe.rcode == "NOERROR" { Role::Dim } else { Role::Bad };
    pen.cell_right(Role::Dim, &chain, 6).gap(2).cell(code_role, &code, 12);
    // Who does not answer took no time.
    let took = if probe.elapsed.is_zero() { String::new() } else { text::latency(probe.elapsed) };
    pen.cell_right(Role::Dim, &took, 7);
    pen.cell_right(Role::Dim, &text::brief(text::since(probe.at, scene.now)), 6).gap(2);
    let hops = if probe.chain.is_empty() { probe.target.clone() } else { probe.chain.join("  ") };
    pen.put(Role::Dim, &hops).line();
}

pub(super) fn strip(scene: &Scene<'_>, pen: &mut Pen<'_>) {
    pen.put(tally_role(scene), &tally(scene)).gap(2);
    for words in drains(scene) {
        pen.put(Role::Warn, &words).gap(2);
    }
    let odd = scene.telemetry().probes.iter().filter_map(|probe| {
        let (_, side, finding) = reading(scene, probe.answer);
        let word = if probe.answer == Answer::Silent { side } else { finding? };
        Some(format!("{} {word}", probe.resolver))
    });
    let mut odd: Vec<_> = odd.collect();
    odd.dedup();
    pen.put(Role::Dim, &odd.join(", "));
}
