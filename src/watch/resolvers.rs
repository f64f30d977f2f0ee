//! Asks the authority and every resolver for each record that moves.
//!
//! Every pair of record and server is asked every 5 seconds of the session, spread over them, and never more often than
//! every 250 ms by the wall. An answer that would be an accusation (stretched, stale, or neither side) is asked for once
//! more before it is believed.
//!
//! The authority is asked for both address families: an AAAA that was forgotten beside the record that moves keeps the
//! users of that family where they were, and a resolver's A answers would never show it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::{
    classify::{Means, Places, own_ttl},
    propagation::{Authority, Habit, Teller},
    task::{Context, Pace, Source, keep_alive, phase},
};
use crate::{
    plan::{Record, RecordType, Resolver, Side},
    run::{AUTHORITY, Answer, Report, Sample, TroubleKind},
    world::{
        dns::{self, DnsError, ProbeAnswer, ProbeOptions},
        trouble,
    },
};

/// How often each server is asked for each record.
const PROBES: Pace = Pace { session: Duration::from_secs(5), wall: Duration::from_millis(250) };
/// How often the names of both targets are resolved anew.
const PLACES: Pace = Pace { session: Duration::from_secs(30), wall: Duration::from_secs(1) };
/// Before a dubious answer is asked for again: longer than the last second of an honest countdown, and long enough for
/// a resolver that serves stale to fetch the new value (RFC 8767).
const RECHECK: Pace = Pace { session: Duration::from_millis(1200), wall: Duration::from_millis(100) };
/// How long looked-up authoritative servers are good for, in rounds of probes: about ten minutes.
const SERVERS_GOOD: u32 = 120;

type Outcome = Result<ProbeAnswer, DnsError>;

/// One record that moves, as all that ask for it know it.
struct Subject {
    record: Record,
    kind: RecordType,
    /// The other address family, unless another record of the plan moves it.
    other: Option<RecordType>,
    shared: Mutex<Shared>,
}

struct Shared {
    places: Places,
    authority: Authority,
}

impl Subject {
    fn new(record: &Record, context: &Context) -> Self {
        let clock = context.clock;
        let authority = Authority::new(record.old.ttl, PROBES.session(clock), clock.now());
        let shared = Mutex::new(Shared { places: Places::of(record), authority });
        let kind = dns::asked_type(record);
        let other = if kind == RecordType::A { RecordType::Aaaa } else { RecordType::A };
        let moves = |theirs: &Record| theirs.name() == record.name() && dns::asked_type(theirs) == other;
        let other = (!context.plan.records.iter().any(moves)).then_some(other);
        Self { record: record.clone(), kind, other, shared }
    }

    fn with<T>(&self, read: impl FnOnce(&mut Shared) -> T) -> T {
        // Nothing in there is left half-written by a panic.
        read(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn meaning(&self, outcome: &Outcome, dangling: bool) -> Means {
        let Ok(answer) = outcome else { return Means::NoAnswer };
        self.with(|shared| shared.places.meaning(answer, dangling))
    }

    /// What each authoritative server says about one address family, and what that is called.
    async fn hear(&self, servers: &[SocketAddr], kind: RecordType) -> Vec<(Answer, Outcome)> {
        let asked =
            servers.iter().map(|server| dns::probe(*server, self.record.name(), kind, ProbeOptions::authority()));
        let outcomes = join_all(asked).await;
        outcomes.into_iter().map(|outcome| (plainly(self.meaning(&outcome, true)), outcome)).collect()
    }

    /// Remembers what the authority showed.
    fn draw(&self, answer: Answer, outcome: &Outcome, now: Timestamp) {
        let side = match answer {
            Answer::Old => Side::Old,
            Answer::New => Side::New,
            _ => return,
        };
        let ttl = outcome.as_ref().ok().and_then(|said| own_ttl(said, self.record.name()));
        self.with(|shared| shared.authority.see(side, ttl, now));
    }

    /// Resolves the names of both sides through one resolver; false when one of them gave nothing.
    async fn learn(&self, context: &Context, resolver: SocketAddr) -> bool {
        let names =
            self.with(|shared| shared.places.names().map(|(side, name)| (side, name.to_owned())).collect::<Vec<_>>());
        let lookups = names.iter().map(|(_, name)| dns::lookup_addresses(resolver, name));
        let found = join_all(lookups).await;
        let (now, complete) = (context.clock.now(), found.iter().all(Result::is_ok));
        for ((side, _), addresses) in names.iter().zip(found) {
            let addresses = addresses.unwrap_or_default();
            self.with(|shared| shared.places.learn(*side, &addresses, now));
        }
        complete
    }

    fn silent(&self, resolver: &str) -> Vec<Report> {
        vec![self.report(resolver, Answer::Silent)]
    }

    fn report(&self, resolver: &str, answer: Answer) -> Report {
        Report::Resolver { record: self.record.id.clone(), resolver: resolver.to_owned(), answer }
    }

    /// Shows one answer, and tells it when it is news.
    async fn show(&self, context: &Context, resolver: &str, teller: &mut Teller, answer: Answer, outcome: &Outcome) {
        let sample = dns::sample(&self.record.id, resolver, context.clock.now(), answer, outcome);
        context.out.sample(Sample::Probe(sample));
        context.out.reports(self.news(resolver, teller, answer)).await;
    }

    /// Before both targets are known, "neither" is not told: it may only mean that we do not know.
    fn news(&self, resolver: &str, teller: &mut Teller, answer: Answer) -> Option<Report> {
        let news = self.with(|shared| {
            let certain = answer != Answer::Other || shared.places.known();
            certain.then(|| teller.see(answer, &shared.authority)).flatten()
        });
        news.map(|answer| self.report(resolver, answer))
    }
}

/// Starts the probes of all records.
pub(super) fn spawn(tasks: &mut JoinSet<()>, context: &Arc<Context>) {
    let (records, resolvers) = (&context.plan.records, &context.plan.dns.resolvers);
    let count = records.len() * (resolvers.len() + 1);
    for (row, record) in records.iter().enumerate() {
        let subject = Arc::new(Subject::new(record, context));
        let first = row * (resolvers.len() + 1);
        let name = format!("dns:{}", record.id);
        let (known, asked) = (Arc::clone(&subject), Arc::clone(&subject));
        keep_alive(tasks, context, format!("{name}:targets"), Vec::new(), move |context| {
            targets(context, Arc::clone(&known))
        });
        let unknown = subject.silent(AUTHORITY);
        keep_alive(tasks, context, format!("{name}:authority"), unknown, move |context| {
            authority(context, Arc::clone(&asked), phase(first, count))
        });
        for (column, resolver) in resolvers.iter().enumerate() {
            let (subject, resolver) = (Arc::clone(&subject), resolver.clone());
            let place = phase(first + column + 1, count);
            let unknown = subject.silent(&resolver.name);
            keep_alive(tasks, context, format!("{name}:{}", resolver.name), unknown, move |context| {
                resolve(context, Arc::clone(&subject), resolver.clone(), place)
            });
        }
    }
}

/// Keeps the addresses of both sides known, through the first resolver that knows them.
async fn targets(context: Arc<Context>, subject: Arc<Subject>) {
    if subject.with(|shared| shared.places.names().next().is_none()) {
        return;
    }
    let mut source = Source::new(format!("dns:{}:targets", subject.record.id), &context);
    loop {
        let mut complete = false;
        for resolver in &context.plan.dns.resolvers {
            complete = subject.learn(&context, resolver.address).await;
            if complete {
                break;
            }
        }
        let pause = if complete || subject.with(|shared| shared.places.known()) {
            source.well().await;
            PLACES.wall(context.clock)
        } else {
            let reason = format!("no resolver knows an address of both targets of {}", subject.record.name());
            source.ill(trouble("dns:lookup", TroubleKind::Unreachable, &reason)).await
        };
        tokio::time::sleep(pause).await;
    }
}

/// Asks every authoritative server of one record and shows them as one: the side that is furthest behind, because a
/// change is in force only when all of them serve it.
async fn authority(context: Arc<Context>, subject: Arc<Subject>, place: f64) {
    let mut servers = Servers::new(&context, &subject.record);
    let mut teller = Teller::default();
    let mut ticks = PROBES.ticks(context.clock, place).await;
    loop {
        ticks.tick().await;
        let known = servers.known(&context).await;
        let mut answers = subject.hear(known, subject.kind).await;
        let now = context.clock.now();
        answers.iter().for_each(|(answer, outcome)| subject.draw(*answer, outcome, now));
        if let Some(other) = subject.other {
            // That there is nothing of the other family is as it should be.
            let stray = |answer| !matches!(answer, Answer::Negative | Answer::Silent);
            answers.extend(subject.hear(known, other).await.into_iter().filter(|(answer, _)| stray(*answer)));
        }
        answers.sort_by_key(|(answer, _)| behind(*answer));
        match answers.first() {
            Some((answer, outcome)) => subject.show(&context, AUTHORITY, &mut teller, *answer, outcome).await,
            // No server is known, so there is no answer to show.
            None => context.out.reports(subject.news(AUTHORITY, &mut teller, Answer::Silent)).await,
        }
    }
}

/// What a meaning is called without regard to the TTL.
const fn plainly(meaning: Means) -> Answer {
    match meaning {
        Means::Side(Side::Old) => Answer::Old,
        Means::Side(Side::New) => Answer::New,
        Means::Neither => Answer::Other,
        Means::Negative => Answer::Negative,
        Means::NoAnswer => Answer::Silent,
    }
}

/// Smaller is further behind.
const fn behind(answer: Answer) -> u8 {
    match answer {
        Answer::Old | Answer::OldStretched | Answer::OldStale => 0,
        Answer::Negative => 1,
        Answer::Other => 2,
        Answer::New => 3,
        Answer::Silent => 4,
    }
}

/// The authoritative servers of one record's zone: the plan's, or those that the first resolver names.
struct Servers {
    zone: String,
    servers: Vec<SocketAddr>,
    /// Rounds until they are looked up anew.
    good: u32,
    source: Source,
}

impl Servers {
    fn new(context: &Context, record: &Record) -> Self {
        let source = Source::new(format!("dns:{}:servers", record.id), context);
        Self { zone: record.zone_name.clone(), servers: Vec::new(), good: 0, source }
    }

    /// Looked up anew now and then; while that fails, those that were known stay good.
    async fn known(&mut self, context: &Context) -> &[SocketAddr] {
        self.good = self.good.saturating_sub(1);
        if self.good == 0 {
            match context.world.authority(&self.zone).await {
                Ok(servers) => {
                    (self.servers, self.good) = (servers, SERVERS_GOOD);
                    self.source.well().await;
                }
                Err(trouble) => {
                    let pause = self.source.ill(trouble).await;
                    tokio::time::sleep(pause).await;
                }
            }
        }
        &self.servers
    }
}

/// Asks one resolver for one record.
async fn resolve(context: Arc<Context>, subject: Arc<Subject>, resolver: Resolver, place: f64) {
    let mut habit = Habit::default();
    let mut teller = Teller::default();
    let mut ticks = PROBES.ticks(context.clock, place).await;
    loop {
        ticks.tick().await;
        let (mut answer, mut outcome) = look(&context, &subject, &resolver, &mut habit).await;
        if habit.dubious(answer) && !teller.knows(answer) {
            tokio::time::sleep(RECHECK.wall(context.clock)).await;
            (answer, outcome) = look(&context, &subject, &resolver, &mut habit).await;
        }
        subject.show(&context, &resolver.name, &mut teller, answer, &outcome).await;
    }
}

/// One question and what its answer means. When it is neither side, the targets may have got other addresses, or this
/// resolver may be served others than the first: they are looked up through it before that is believed.
async fn look(context: &Context, subject: &Subject, resolver: &Resolver, habit: &mut Habit) -> (Answer, Outcome) {
    let outcome = dns::probe(resolver.address, subject.record.name(), subject.kind, ProbeOptions::resolver()).await;
    let mut meaning = subject.meaning(&outcome, false);
    if meaning == Means::Neither {
        subject.learn(context, resolver.address).await;
        meaning = subject.meaning(&outcome, false);
    }
    let ttl = outcome.as_ref().ok().and_then(|answer| own_ttl(answer, subject.record.name()));
    let now = context.clock.now();
    let answer = match meaning {
        Means::Side(Side::Old) => subject.with(|shared| habit.old(ttl, &shared.authority, now)),
        // A lost packet says nothing about the copy that the resolver holds.
        Means::NoAnswer => Answer::Silent,
        other => {
            habit.other();
            plainly(other)
        }
    };
    (answer, outcome)
}
