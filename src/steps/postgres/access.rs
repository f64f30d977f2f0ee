//! `postgres.freeze` and `postgres.open`: who may write, changed all at once, proven, and put back to the letter.
//!
//! A freeze is three things: the change of access in one transaction, the end of the sessions that it does not reach, and
//! the proof that nobody writes any more. A freeze that stands and leaks is in doubt: the database is frozen and the
//! screen says who still writes, until nobody does or a person decides. One that stands while sessions live which it did
//! not reach (its answer was lost, and with it the moment to end them) is not finished: the next attempt ends them.

use std::time::Duration;

use super::super::{StepContext, back, done, reversal, single, unexpected, unreadable};
use crate::{
    plan::{Side, WriteLock},
    run::{Access, Change, Grant, Observation, Outcome, Preview, Trouble, TroubleKind},
    world::{
        postgres::{Sequence, Server},
        trouble,
    },
};

/// How long transactions that had written before their privileges were taken may take to end by themselves, wall time.
const GRACE: Duration = Duration::from_secs(2);
/// Until counts of rows that were written before are counted, wall time (`PGSTAT_MIN_INTERVAL` is one second).
const SETTLE: Duration = Duration::from_millis(1500);
/// How long nobody may write for a proof, wall time.
const PROOF: Duration = Duration::from_secs(2);
/// How often sessions that come back at once are ended again.
const ROUNDS: u32 = 5;

/// What a step of this kind wants.
#[derive(Debug, Clone, Copy)]
pub(in crate::steps) struct Wanted<'a> {
    pub(in crate::steps) side: Side,
    pub(in crate::steps) method: WriteLock,
    pub(in crate::steps) roles: &'a [String],
    /// Writes are to be possible afterwards.
    pub(in crate::steps) open: bool,
}

pub(in crate::steps) async fn preview(
    context: &StepContext,
    wanted: Wanted<'_>,
    forward: bool,
    applied: &[Change],
) -> Result<Preview, Trouble> {
    let server = context.world.postgres()?.side(wanted.side);
    let now = server.access(wanted.method, wanted.roles).await?;
    let (from, to) = if forward {
        let to = if wanted.open { opened(server, &now, wanted.roles).await? } else { closed(&now) };
        (now, to)
    } else {
        let Change::WriteAccess { from, to, .. } = reversal(applied)? else {
            return Err(unexpected(context, "what was applied is of another kind"));
        };
        back(context, &now, (from, to), show)?
    };
    if forward && wanted.open {
        sequences_are_ahead(context, server).await?;
    }
    let database = server.database().await?;
    let already = from == to;
    let change = Change::WriteAccess { side: wanted.side, database, from, to };
    let settled = change.is_settled();
    let mut preview = single(change, settled);
    if already && !settled {
        let words = "sessions that may still write are ended, and that nobody writes is proven";
        preview.facts.push(("already so".to_owned(), words.to_owned()));
    }
    if forward && !wanted.open {
        preview.facts.extend(bystanders(server, wanted.roles).await?);
    }
    if !forward && wanted.side == Side::Old {
        preview.facts.extend(ids_given_out(context).await);
    }
    Ok(preview)
}

/// Nobody of whom the access tells may write.
fn closed(now: &Access) -> Access {
    match now {
        Access::Grants { .. } => Access::Grants { grants: Vec::new() },
        Access::Limits { limits } => Access::Limits { limits: limits.keys().map(|role| (role.clone(), 0)).collect() },
        Access::ReadOnly { defaults } => {
            let on = |role: &String| (role.clone(), Some("on".to_owned()));
            Access::ReadOnly { defaults: defaults.keys().map(on).collect() }
        }
    }
}

/// Everybody of whom the access tells may write; what they could do before stays.
async fn opened(server: &Server, now: &Access, roles: &[String]) -> Result<Access, Trouble> {
    Ok(match now {
        Access::Grants { grants } => {
            let Access::Grants { grants: usual } = server.usual_grants(roles).await? else { return Ok(now.clone()) };
            let key = |grant: &Grant| Grant { grantable: false, ..grant.clone() };
            let missing = usual.into_iter().filter(|one| !grants.iter().any(|known| key(known) == *one));
            let mut all: Vec<_> = grants.iter().cloned().chain(missing).collect();
            all.sort();
            Access::Grants { grants: all }
        }
        Access::Limits { limits } => {
            let lift = |(role, limit): (&String, &i64)| (role.clone(), if *limit == 0 { -1 } else { *limit });
            Access::Limits { limits: limits.iter().map(lift).collect() }
        }
        Access::ReadOnly { defaults } => {
            let off = |role: &String| (role.clone(), Some("off".to_owned()));
            Access::ReadOnly { defaults: defaults.keys().map(off).collect() }
        }
    })
}

fn show(access: &Access) -> String {
    let rows: Vec<_> = access.rows().into_iter().map(|(label, value)| format!("{label}: {value}")).collect();
    if rows.is_empty() { "no privilege that writes".to_owned() } else { rows.join("; ") }
}

/// Writes are not opened onto sequences that would give out what exists already.
async fn sequences_are_ahead(context: &StepContext, server: &Server) -> Result<(), Trouble> {
    let missed = server.sequences().await?.into_iter().find(super::super::postgres::sequences::missed);
    match missed {
        Some(sequence) => {
            let reason = format!("{}: run postgres.sync-sequences first", super::sequences::why(&sequence));
            Err(unexpected(context, &reason))
        }
        None => Ok(()),
    }
}

/// What the old side will give out a second time when it goes on: replication to the new side stops at the first of them.
/// The price of going back; whoever does not want to pay it sets the sequences first.
async fn ids_given_out(context: &StepContext) -> Vec<(String, String)> {
    let read = async {
        let postgres = context.world.postgres()?;
        let (old, new) = tokio::try_join!(postgres.side(Side::Old).sequences(), postgres.side(Side::New).sequences())?;
        Ok::<_, Trouble>(collisions(&old, &new))
    };
    // That it cannot be known is no reason to keep anybody from going back.
    read.await.unwrap_or_else(|trouble| {
        let words =
            format!("not known whether the new side used ids that the old one gives out again: {}", trouble.reason);
        vec![("ids".to_owned(), words)]
    })
}

/// Sequences of the old side whose next value stands in the new side's table already.
fn collisions(old: &[Sequence], new: &[Sequence]) -> Vec<(String, String)> {
    let collides = |ours: &Sequence| {
        let theirs = new.iter().find(|theirs| theirs.name == ours.name)?;
        let seen = Sequence { highest: theirs.highest, ..ours.clone() };
        let highest = theirs.highest.filter(|_| seen.is_missed())?;
        let words = format!(
            "{} is at {} and the new side has rows up to {highest}: replication to it stops at the first id given out twice; to keep it, first run on the old side: SELECT setval('{}', {highest})",
            ours.name, ours.at, ours.name
        );
        Some(("ids".to_owned(), words))
    };
    old.iter().filter_map(collides).collect()
}

/// Who is connected, and who may go on writing although the freeze does not name it. Not how many: a preview that differs
/// each time it is read would fill the journal.
async fn bystanders(server: &Server, roles: &[String]) -> Result<Vec<(String, String)>, Trouble> {
    let mut facts = Vec::new();
    for one in server.sessions().await? {
        let named = roles.contains(&one.role);
        let may = !named && server.ability(&one.role).await.is_ok_and(|ability| ability.may_write());
        let label = if may { "would leak" } else { "connected" };
        facts.push((label.to_owned(), format!("{} ({})", one.role, one.application)));
    }
    Ok(facts)
}

pub(in crate::steps) async fn apply(
    context: &StepContext,
    side: Side,
    (method, roles): (WriteLock, &[String]),
    from: &Access,
    to: &Access,
) -> Outcome {
    let server = match context.world.postgres() {
        Ok(postgres) => postgres.side(side),
        Err(trouble) => return Outcome::Failed { trouble },
    };
    context.progress("changing access", Some(0.1));
    if let Err(failure) = server.change_access(from, to).await {
        return failure.outcome();
    }
    // From here on the change may stand: what fails leaves the attempt in doubt, and the world is observed.
    let in_doubt = |trouble: Trouble| Outcome::InDoubt { trouble };
    // To revoke what one did not grant is a warning of PostgreSQL and no error.
    match server.access(method, roles).await {
        Ok(now) if now == *to => {}
        Ok(now) => {
            let reason = format!("it was taken, and it is not so: {}", show(&now));
            return in_doubt(trouble("postgres:access", TroubleKind::Refused, &reason));
        }
        Err(trouble) => return in_doubt(trouble),
    }
    if to.open() {
        return done(format!("writes are open: {}", summary(to)));
    }
    let word = if from == to { "access was so already" } else { "access changed" };
    context.output(format!("{word}: {}", summary(to)));
    context.progress("ending what still runs", Some(0.3));
    let ended = match end(context, server, to, roles).await {
        Ok(ended) => ended,
        Err(trouble) => return in_doubt(trouble),
    };
    context.progress(format!("{ended} sessions ended; watching whether anybody writes"), Some(0.6));
    match server.leak(SETTLE, PROOF).await {
        Ok(leak) if leak.leaks() => {
            let reason = format!("the freeze leaks: {}", leak.words());
            context.output(reason.clone());
            in_doubt(trouble("postgres:proof", TroubleKind::Unexpected, &reason))
        }
        Ok(leak) => {
            let seconds = PROOF.as_secs();
            done(format!("{}; {ended} sessions ended; no row in {seconds} s, WAL +{} B", summary(to), leak.wal))
        }
        Err(trouble) => in_doubt(trouble),
    }
}

fn summary(access: &Access) -> String {
    match access {
        Access::Grants { grants } if grants.is_empty() => "privileges revoked".to_owned(),
        Access::Grants { grants } => format!("{} privileges granted", grants.len()),
        Access::Limits { .. } | Access::ReadOnly { .. } => show(access),
    }
}

/// Ends the sessions that the change does not reach; returns how many.
///
/// Revoked privileges reach every session at its next statement: only a transaction that has written already may still
/// commit, and gets a moment to do so. A connection limit and a default reach new sessions only. A pool that comes back
/// at once is ended again, a few times; under a read-only default its new sessions cannot write and may stay.
async fn end(context: &StepContext, server: &Server, to: &Access, roles: &[String]) -> Result<i64, Trouble> {
    let writing = matches!(to, Access::Grants { .. });
    if writing {
        tokio::time::sleep(GRACE).await;
    }
    let mut total = 0;
    for round in 0..ROUNDS {
        let mut ended = 0;
        for role in leftovers(server, to, roles).await? {
            let here = server.end_sessions(&role, writing).await.map_err(Trouble::from)?;
            if here > 0 {
                context.output(format!("{role}: {here} sessions ended"));
            }
            ended += here;
        }
        total += ended;
        if ended == 0 || (round > 0 && matches!(to, Access::ReadOnly { .. })) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    match left(server, to, roles).await? {
        None => Ok(total),
        Some(left) => Err(trouble("postgres:sessions", TroubleKind::Unexpected, &left)),
    }
}

/// Whose sessions are to end: the named roles', or of a read-only database everybody's.
async fn leftovers(server: &Server, to: &Access, roles: &[String]) -> Result<Vec<String>, Trouble> {
    if !matches!(to, Access::ReadOnly { defaults } if defaults.contains_key("")) {
        return Ok(roles.to_vec());
    }
    let mut everybody: Vec<_> = server.sessions().await?.into_iter().map(|one| one.role).collect();
    everybody.dedup();
    Ok(everybody)
}

/// The sessions that the change did not reach and that may still write, for people. None: there are none.
///
/// Revoked privileges reach every session; what a transaction has written before, the proof sees.
async fn left(server: &Server, to: &Access, roles: &[String]) -> Result<Option<String>, Trouble> {
    if matches!(to, Access::Grants { .. }) {
        return Ok(None);
    }
    let mut left = Vec::new();
    for role in leftovers(server, to, roles).await? {
        match server.ability(&role).await?.runs_on() {
            0 => {}
            1 => left.push(format!("{role} (1 session)")),
            more => left.push(format!("{role} ({more} sessions)")),
        }
    }
    Ok((!left.is_empty()).then(|| format!("may still write, from before it: {}", left.join(", "))))
}

pub(in crate::steps) async fn observe(
    context: &StepContext,
    side: Side,
    (method, roles): (WriteLock, &[String]),
    from: &Access,
    to: &Access,
) -> Observation {
    let read = async {
        let server = context.world.postgres()?.side(side);
        Ok::<_, Trouble>((server, server.access(method, roles).await?))
    };
    let (server, now) = match read.await {
        Ok(read) => read,
        Err(trouble) => return unreadable(&trouble),
    };
    if now != *to {
        let seen = show(&now);
        return if now == *from {
            Observation::NotDone { seen }
        } else {
            Observation::Unknown { reason: format!("neither as before nor as after: {seen}") }
        };
    }
    if to.open() {
        return Observation::Done;
    }
    match left(server, to, roles).await {
        Ok(None) => {}
        Ok(Some(left)) => return Observation::Unfinished { left },
        Err(trouble) => return unreadable(&trouble),
    }
    match server.leak(SETTLE, PROOF).await {
        Ok(leak) if leak.leaks() => {
            Observation::Unknown { reason: format!("frozen, and the freeze leaks: {}", leak.words()) }
        }
        Ok(_) => Observation::Done,
        Err(trouble) => unreadable(&trouble),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn ids_that_the_new_side_used_are_told_before_the_old_one_goes_on() {
        let name = |name: &str| crate::plan::TableName { schema: "public".into(), name: name.into() };
        let sequence = |value, highest| Sequence {
            name: name("orders_id_seq"),
            increment: 1,
            max: 10_000,
            owner: Some((name("orders"), "id".into())),
            at: crate::run::Position { value, called: true },
            highest,
        };
        // 12 orders were written on the new side after the switch.
        let told = collisions(&[sequence(500, Some(500))], &[sequence(1500, Some(1512))]);
        assert_eq!(told.len(), 1);
        assert!(told[0].1.contains("rows up to 1512") && told[0].1.contains("setval('public.orders_id_seq', 1512)"));
        assert_eq!(
            collisions(&[sequence(500, Some(500))], &[sequence(1500, Some(500))]),
            [],
            "nothing was written there"
        );
        assert_eq!(collisions(&[sequence(500, None)], &[]), []);
    }

    #[test]
    fn closing_keeps_whom_it_is_about() {
        let limits = Access::Limits { limits: BTreeMap::from([("shop".to_owned(), 20), ("jobs".to_owned(), -1)]) };
        assert_eq!(
            closed(&limits),
            Access::Limits { limits: BTreeMap::from([("shop".to_owned(), 0), ("jobs".to_owned(), 0)]) }
        );
        let defaults = Access::ReadOnly { defaults: BTreeMap::from([(String::new(), None)]) };
        assert!(defaults.open() && !closed(&defaults).open());
        assert_eq!(show(&closed(&defaults)), "database read-only default: on");
    }
}
