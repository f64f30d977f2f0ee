//! Two machines on one storage, here a folder behind the real client: who writes, who loses, and what counts.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use super::{bucket::on_loopback, *};
use crate::{
    journal::{AppendError, Journal, Reader, verify},
    plan,
    run::{Actor, Event, What},
};

struct Machine {
    folder: TempDir,
    writer: Writer,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::of(folder.path()).unwrap();
        assert_eq!(Writer::of(folder.path()).unwrap().id, writer.id, "a directory is always the same");
        Self { folder, writer }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("journal.jsonl")
    }

    async fn take_up(&self, remote: &Remote) -> Result<(Journal, Vec<Event>), RemoteError> {
        Replica::take_up(remote, &self.writer, &self.path()).await
    }
}

fn note(seq: u64, text: &str) -> Event {
    let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::try_from(seq).unwrap());
    Event { seq, at, by: Actor::Engine, what: What::Noted { text: text.to_owned() } }
}

fn identity() -> Identity {
    let source = include_str!("../../../config/acme-shop.toml");
    let plan = plan::load(source, "acme-shop.toml", "sandbox", &plan::sandbox_placeholders()).unwrap();
    Identity { session: "20261124-220000-ab12".into(), plan, source: source.to_owned(), clock: Clock::real() }
}

async fn storage() -> (TempDir, Remote) {
    let folder = tempfile::tempdir().unwrap();
    let remote = Remote::open(&format!("file://{}", folder.path().display())).await.unwrap();
    (folder, remote)
}

fn events(path: &Path) -> Vec<Event> {
    Reader::open(path).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn of_two_that_begin_at_once_one_does() {
    let (_folder, remote) = storage().await;
    let (one, two) = (Machine::new(), Machine::new());
    assert_eq!(remote.identity().await.unwrap(), None);
    let (mine, other) = (identity(), Identity { session: "20261124-220000-cd34".into(), ..identity() });
    let (first, second) = tokio::join!(remote.begin(&mine, &one.writer), remote.begin(&other, &two.writer));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    let lost = first.err().or(second.err()).unwrap();
    assert!(matches!(lost, RemoteError::Taken { .. }), "{lost}");
    let (winner, loser) = if remote.identity().await.unwrap().unwrap() == other { (two, one) } else { (one, two) };
    let (mut journal, known) = winner.take_up(&remote).await.unwrap();
    assert!(known.is_empty());
    journal.append(&[note(1, "first")]).unwrap();
    let error = loser.take_up(&remote).await.unwrap_err();
    assert!(matches!(&error, RemoteError::Lost(who) if who.id == winner.writer.id), "{error}");
}

#[tokio::test]
async fn what_is_taken_over_goes_on_elsewhere_and_the_first_engine_writes_nothing_more() {
    let (_folder, remote) = storage().await;
    let (one, two) = (Machine::new(), Machine::new());
    remote.begin(&identity(), &one.writer).await.unwrap();
    let (mut first, _) = one.take_up(&remote).await.unwrap();
    first.append(&[note(1, "a"), note(2, "b")]).unwrap();

    let (seen, _) = Trail::whole(&remote).await.unwrap();
    assert_eq!(seen.writer().map(|writer| &writer.id), Some(&one.writer.id));
    assert!(seen.age().unwrap() < SILENT);
    // What the person saw is not the newest any more: no takeover.
    first.append(&[note(3, "c")]).unwrap();
    let error = remote.claim(seen.read(), &two.writer).await.unwrap_err();
    assert!(matches!(&error, RemoteError::Lost(who) if who.id == one.writer.id), "{error}");

    let (seen, _) = Trail::whole(&remote).await.unwrap();
    remote.claim(seen.read(), &two.writer).await.unwrap();
    let (mut second, known) = two.take_up(&remote).await.unwrap();
    assert_eq!(known, [note(1, "a"), note(2, "b"), note(3, "c")]);
    second.append(&[note(4, "d")]).unwrap();
    first.check().unwrap();
    for _ in 0..2 {
        let error = first.append(&[note(4, "mine")]).unwrap_err();
        assert!(matches!(&error, AppendError::Lost { winner, .. } if winner.id == two.writer.id), "{error}");
        assert!(first.check().is_err(), "it knows without asking");
    }
    assert_eq!(events(&two.path()).len(), 4, "the second machine's copy is whole");
    assert_eq!(events(&one.path()), events(&two.path())[..3], "the first machine's copy ends where it lost");
    // Back again: the first machine takes up what the second wrote.
    let (seen, _) = Trail::whole(&remote).await.unwrap();
    remote.claim(seen.read(), &one.writer).await.unwrap();
    let (mut again, _) = one.take_up(&remote).await.unwrap();
    again.append(&[note(5, "e")]).unwrap();
    assert_eq!(events(&one.path())[..4], events(&two.path()));
    assert!(second.append(&[note(5, "late")]).is_err());
}

/// A write whose answer was lost and that the engine gave up turns up later, in the place of the next one.
#[tokio::test]
async fn what_was_given_up_and_turns_up_later_does_not_count() {
    let (_folder, remote) = storage().await;
    let one = Machine::new();
    remote.begin(&identity(), &one.writer).await.unwrap();
    let (mut journal, _) = one.take_up(&remote).await.unwrap();
    journal.append(&[note(1, "a")]).unwrap();
    let (mut follower, told) = Trail::whole(&remote).await.unwrap();
    assert_eq!(told, [note(1, "a")]);

    let elsewhere = Machine::new();
    let mut late = Journal::create(elsewhere.path()).unwrap();
    late.append(&[note(1, "a"), note(2, "given up")]).unwrap();
    let lines = std::fs::read(elsewhere.path()).unwrap();
    let start = lines.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    remote.write_lines(follower.read() + 1, &one.writer, &lines[start..]).await.unwrap();
    assert!(matches!(follower.next().await.unwrap(), Step::Events(told) if told == [note(2, "given up")]));
    assert!(matches!(follower.next().await.unwrap(), Step::Nothing));

    journal.append(&[note(2, "what happened instead")]).unwrap();
    assert!(matches!(follower.next().await.unwrap(), Step::Void), "who was told of it begins again");
    let (_, told) = Trail::whole(&remote).await.unwrap();
    assert_eq!(told, [note(1, "a"), note(2, "what happened instead")]);
    assert_eq!(told, events(&one.path()));
    journal.append(&[note(3, "c")]).unwrap();
    drop(journal);
    let (_, known) = one.take_up(&remote).await.unwrap();
    assert_eq!(known.len(), 3, "and an engine that takes it up knows the same");
}

/// If the engine dies before it can say so, the write counts: the next engine finds it and observes what came of it.
#[tokio::test]
async fn what_nobody_declared_void_counts() {
    let (_folder, remote) = storage().await;
    let (one, two) = (Machine::new(), Machine::new());
    remote.begin(&identity(), &one.writer).await.unwrap();
    let (mut journal, _) = one.take_up(&remote).await.unwrap();
    journal.append(&[note(1, "a")]).unwrap();
    let (seen, _) = Trail::whole(&remote).await.unwrap();
    let mut other = Journal::create(two.path()).unwrap();
    other.append(&[note(1, "a"), note(2, "in the air")]).unwrap();
    let lines = std::fs::read(two.path()).unwrap();
    let start = lines.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    remote.write_lines(seen.read() + 1, &one.writer, &lines[start..]).await.unwrap();
    drop(journal);
    let (mut journal, known) = one.take_up(&remote).await.unwrap();
    assert_eq!(known, [note(1, "a"), note(2, "in the air")]);
    journal.append(&[note(3, "after it")]).unwrap();
    assert_eq!(verify(&one.path()).unwrap().events, 3);
}

#[tokio::test]
async fn a_local_copy_is_completed_and_one_that_tells_another_story_is_refused() {
    let (_folder, remote) = storage().await;
    let one = Machine::new();
    remote.begin(&identity(), &one.writer).await.unwrap();
    let (mut journal, _) = one.take_up(&remote).await.unwrap();
    journal.append(&[note(1, "a"), note(2, "b")]).unwrap();
    drop(journal);
    let whole = std::fs::read(one.path()).unwrap();
    for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
        std::fs::write(one.path(), &whole[..cut]).unwrap();
        one.take_up(&remote).await.unwrap();
        assert_eq!(std::fs::read(one.path()).unwrap(), whole, "cut at {cut}");
    }
    std::fs::remove_file(one.path()).unwrap();
    Journal::create(one.path()).unwrap().append(&[note(1, "another story")]).unwrap();
    let error = one.take_up(&remote).await.unwrap_err();
    assert!(matches!(error, RemoteError::Diverged(_)), "{error}");
}

#[tokio::test]
async fn a_local_journal_is_copied_up_once_and_goes_on_there() {
    let (_folder, remote) = storage().await;
    let (one, two) = (Machine::new(), Machine::new());
    Journal::create(one.path()).unwrap().append(&[note(1, "a"), note(2, "b")]).unwrap();
    for _ in 0..2 {
        // The second time is a copy that was interrupted and is asked for again.
        assert_eq!(upload(&remote, &identity(), &one.writer, &one.path()).await.unwrap(), 2);
    }
    let (mut journal, known) = one.take_up(&remote).await.unwrap();
    assert_eq!(known.len(), 2);
    journal.append(&[note(3, "c")]).unwrap();
    let other = Identity { session: "20261124-220000-cd34".into(), ..identity() };
    let error = upload(&remote, &other, &two.writer, &one.path()).await.unwrap_err();
    assert!(matches!(error, RemoteError::Taken { .. }), "{error}");
}

/// The storage goes away while an engine runs: nothing is written, nothing reaches the local copy, and then it goes on.
#[tokio::test]
async fn without_the_storage_nothing_is_written_anywhere() {
    let (folder, remote) = storage().await;
    let one = Machine::new();
    remote.begin(&identity(), &one.writer).await.unwrap();
    let (mut journal, _) = one.take_up(&remote).await.unwrap();
    journal.append(&[note(1, "a")]).unwrap();
    let (log, away) = (folder.path().join("log"), folder.path().join("away"));
    std::fs::rename(&log, &away).unwrap();
    // A file in its place: what is to be made below it cannot be.
    std::fs::write(&log, "").unwrap();
    let error = journal.append(&[note(2, "b")]).unwrap_err();
    assert!(matches!(error, AppendError::Io { .. }), "{error}");
    assert_eq!(events(&one.path()), [note(1, "a")]);
    std::fs::remove_file(&log).unwrap();
    std::fs::rename(&away, &log).unwrap();
    let begun = crate::clock::monotonic();
    while journal.append(&[note(2, "b, later")]).is_err() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "it never comes back");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(events(&one.path()).len(), 2);
}

#[tokio::test]
async fn places_are_named_by_url_and_plain_http_stays_on_loopback() {
    for wrong in ["https://bucket/prefix", "s3:///prefix", "bucket/prefix", "file://host/folder"] {
        assert!(Remote::open(wrong).await.is_err(), "{wrong}");
    }
    assert!(is_remote("s3://bucket/prefix") && is_remote("file:///srv/cutover") && !is_remote("20261124-220000-ab12"));
    assert!(on_loopback("http://127.0.0.1:4566") && on_loopback("http://[::1]:1") && on_loopback("http://localhost:1"));
    assert!(!on_loopback("http://s3.example.com") && !on_loopback("http://10.0.0.1"));
}
