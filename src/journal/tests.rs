//! The promises of the log, on real files and on a storage that fails where it is told to.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::run::{Actor, Event, Operator, VerdictKind, What};

fn event(seq: u64, what: What) -> Event {
    let at = Timestamp::UNIX_EPOCH + SignedDuration::from_millis(i64::try_from(seq).unwrap() * 1_234);
    let by = Actor::Operator(Operator::new(3, "op1", 1000));
    Event { seq, at, by, what }
}

fn note(seq: u64, text: &str) -> Event {
    event(seq, What::Noted { text: text.to_owned() })
}

fn notes(count: u64) -> Vec<Event> {
    (1..=count).map(|seq| note(seq, &format!("note {seq}, \"quoted\", ü\n"))).collect()
}

struct Place {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.jsonl");
    Place { _dir: dir, path }
}

fn written(events: &[Event]) -> Place {
    let place = place();
    Journal::create(&place.path).unwrap().append(events).unwrap();
    place
}

fn read_all(path: &Path) -> Result<Vec<Event>, ReadError> {
    Reader::open(path)?.collect()
}

#[test]
fn what_was_appended_is_replayed() {
    let place = place();
    let events = notes(5);
    let mut journal = Journal::create(&place.path).unwrap();
    journal.append(&events[..1]).unwrap();
    journal.append(&[]).unwrap();
    journal.append(&events[1..4]).unwrap();
    drop(journal);
    let (mut journal, torn) = Journal::resume(Reader::open(&place.path).unwrap()).unwrap();
    assert_eq!((torn, journal.seq()), (None, 4));
    journal.append(&events[4..]).unwrap();
    assert_eq!(read_all(&place.path).unwrap(), events);
    let report = verify(&place.path).unwrap();
    assert_eq!((report.events, report.hash.as_str()), (5, journal.hash()));
    assert_eq!(report.bytes, fs::metadata(&place.path).unwrap().len());
    assert_eq!((report.first, report.last), (Some(events[0].at), Some(events[4].at)));
}

#[test]
fn a_journal_is_begun_only_once_and_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = written(&notes(1));
    assert!(matches!(Journal::create(&place.path), Err(JournalError::Io { .. })));
    assert_eq!(fs::metadata(&place.path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(read_all(&place.path).unwrap().len(), 1);
}

#[test]
fn the_documented_way_to_verify_needs_nothing_of_ours() {
    let place = written(&notes(3));
    let script = r#"while IFS= read -r line; do printf '%s' "${line%,\"hash\":*}" | sha256sum; done < "$1""#;
    let output = std::process::Command::new("bash").args(["-c", script, "-"]).arg(&place.path).output().unwrap();
    let digests = String::from_utf8(output.stdout).unwrap();
    let digests: Vec<&str> = digests.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let text = fs::read_to_string(&place.path).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(digests.len(), 3);
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(line["hash"], digests[index]);
        let zeros = "0".repeat(64);
        assert_eq!(line["prev"], if index == 0 { &zeros } else { digests[index - 1] });
    }
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_the_journal_goes_on() {
    let place = written(&notes(3));
    let whole = fs::read(&place.path).unwrap();
    let good: usize = whole.split_inclusive(|byte| *byte == b'\n').take(2).map(<[u8]>::len).sum();
    for length in good..whole.len() {
        fs::write(&place.path, &whole[..length]).unwrap();
        let expected = (length > good).then_some(Torn { offset: good as u64, bytes: (length - good) as u64 });
        assert_eq!(verify(&place.path).unwrap().torn, expected);
        let (mut journal, torn) = Journal::resume(Reader::open(&place.path).unwrap()).unwrap();
        assert_eq!((torn, journal.seq()), (expected, 2));
        journal.append(&[note(3, "again")]).unwrap();
        assert_eq!(read_all(&place.path).unwrap()[2], note(3, "again"));
    }
}

#[test]
fn half_json_that_ends_with_a_newline_is_torn_only_at_the_very_end() {
    let place = written(&notes(3));
    let text = fs::read_to_string(&place.path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&place.path, format!("{}\n{}\n", lines[0], &lines[1][..100])).unwrap();
    assert_eq!(verify(&place.path).unwrap().torn, Some(Torn { offset: lines[0].len() as u64 + 1, bytes: 101 }));
    fs::write(&place.path, format!("{}\n{}\n{}\n", lines[0], &lines[1][..100], lines[2])).unwrap();
    assert!(matches!(verify(&place.path), Err(ReadError::Flawed { line: 2, flaw: Flaw::Garbled(_), .. })));
}

#[test]
fn any_changed_byte_is_refused_at_its_line() {
    let place = written(&notes(3));
    let whole = fs::read(&place.path).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let second = first + whole[first..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for index in first..second - 1 {
        let mut changed = whole.clone();
        changed[index] ^= 1;
        fs::write(&place.path, &changed).unwrap();
        match verify(&place.path) {
            Err(ReadError::Flawed { line, offset, .. }) => {
                assert_eq!((line, offset), (2, first as u64), "byte {index}")
            }
            // The digit of the version, and the byte that became a newline, are told apart otherwise.
            Err(ReadError::Newer { line: 2, .. }) => {}
            other => panic!("byte {index}: {other:?}"),
        }
    }
}

#[test]
fn removed_swapped_and_doubled_lines_are_refused() {
    let place = written(&notes(4));
    let text = fs::read_to_string(&place.path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for order in [&[0, 2, 3][..], &[0, 2, 1, 3], &[0, 0, 1], &[1]] {
        let text: String = order.iter().map(|index| format!("{}\n", lines[*index])).collect();
        fs::write(&place.path, text).unwrap();
        assert!(matches!(verify(&place.path), Err(ReadError::Flawed { flaw: Flaw::Gap { .. }, .. })), "{order:?}");
    }
    // The same numbers from another journal: only the chain tells.
    let other = written(&(1..=4).map(|seq| note(seq, "other")).collect::<Vec<_>>());
    let other = fs::read_to_string(other.path).unwrap();
    fs::write(&place.path, format!("{}\n{}\n", lines[0], other.lines().nth(1).unwrap())).unwrap();
    assert!(matches!(verify(&place.path), Err(ReadError::Flawed { line: 2, flaw: Flaw::Chain, .. })));
}

#[test]
fn a_newer_version_is_refused_with_both_numbers() {
    let place = written(&notes(1));
    let mut text = fs::read_to_string(&place.path).unwrap();
    text.push_str("{\"v\":7,\"anything\":[]}\n");
    fs::write(&place.path, text).unwrap();
    let error = verify(&place.path).unwrap_err();
    assert!(matches!(error, ReadError::Newer { line: 2, found: 7, .. }));
    assert!(error.to_string().contains("version 7") && error.to_string().contains("up to 1"), "{error}");
}

#[test]
fn an_event_that_cannot_be_read_back_is_never_written() {
    let place = place();
    let mut journal = Journal::create(&place.path).unwrap();
    let nan = What::BaselineCaptured { values: [("p95".to_owned(), f64::NAN)].into() };
    assert!(matches!(journal.append(&[note(1, "a"), event(2, nan)]), Err(AppendError::Unreadable { seq: 2, .. })));
    assert!(matches!(journal.append(&[note(2, "b")]), Err(AppendError::Gap { expected: 1, found: 2, .. })));
    journal.append(&[note(1, "c")]).unwrap();
    assert_eq!(read_all(&place.path).unwrap(), [note(1, "c")]);
}

/// A disk that fails: the next append stores `room` bytes and then errs; `cuts_fail` more cuts fail.
#[derive(Default)]
struct Disk {
    bytes: Vec<u8>,
    room: Option<usize>,
    cuts_fail: u32,
}

struct TestStorage(Arc<Mutex<Disk>>);

impl Storage for TestStorage {
    fn append(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        assert_eq!(disk.bytes.len() as u64, offset, "bytes were left behind the acknowledged end");
        let room = disk.room.take();
        disk.bytes.extend_from_slice(&bytes[..room.unwrap_or(bytes.len()).min(bytes.len())]);
        room.map_or(Ok(()), |_| Err(io::Error::from(io::ErrorKind::StorageFull)))
    }

    fn cut(&mut self, offset: u64) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        if disk.cuts_fail > 0 {
            disk.cuts_fail -= 1;
            return Err(io::Error::other("cut failed"));
        }
        disk.bytes.truncate(usize::try_from(offset).unwrap());
        Ok(())
    }
}

proptest! {
    /// Appends that fail at any byte, with cuts that fail too, leave exactly the acknowledged events.
    #[test]
    fn failed_writes_never_happened(faults in prop::collection::vec((prop::option::of(0_usize..900), 0_u32..3), 1..20)) {
        let disk = Arc::new(Mutex::new(Disk::default()));
        let mut journal = Journal::on("test", Box::new(TestStorage(Arc::clone(&disk))));
        let mut acknowledged = Vec::new();
        for (index, (room, cuts_fail)) in faults.into_iter().enumerate() {
            {
                let mut disk = disk.lock().unwrap();
                disk.room = room;
                disk.cuts_fail = cuts_fail;
            }
            let seq = journal.seq() + 1;
            let events = [note(seq, &format!("try {index}")), note(seq + 1, "and its second half")];
            if journal.append(&events).is_ok() {
                acknowledged.extend(events);
            }
        }
        {
            let mut disk = disk.lock().unwrap();
            disk.room = None;
            disk.cuts_fail = 0;
        }
        let last = note(journal.seq() + 1, "all is well again");
        journal.append(std::slice::from_ref(&last)).unwrap();
        acknowledged.push(last);
        let place = place();
        fs::write(&place.path, &disk.lock().unwrap().bytes).unwrap();
        prop_assert_eq!(read_all(&place.path).unwrap(), acknowledged);
    }

    /// Every finite number is replayed to the last bit.
    #[test]
    fn numbers_survive(value in any::<f64>().prop_filter("finite", |value| value.is_finite())) {
        let verdict = What::VerdictChanged { guardrail: "p95".into(), verdict: VerdictKind::Breach, value: Some(value) };
        let events = [event(1, verdict)];
        prop_assert_eq!(read_all(&written(&events).path).unwrap(), events);
    }
}

#[test]
fn one_engine_at_a_time_and_the_second_learns_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Lock::holder(dir.path()).unwrap(), None);
    let lock = Lock::acquire(dir.path(), "20261123-231015-ab12").unwrap();
    let Err(LockError::Held { holder, .. }) = Lock::acquire(dir.path(), "other") else { panic!("two engines") };
    assert_eq!((holder.pid, holder.session.as_str()), (std::process::id(), "20261123-231015-ab12"));
    assert_eq!(Lock::holder(dir.path()).unwrap(), Some(holder));
    drop(lock);
    assert_eq!(Lock::holder(dir.path()).unwrap(), None);
    Lock::acquire(dir.path(), "other").unwrap();
}

#[test]
#[ignore = "not a test: the process that a_killed_engine_leaves_no_lock_behind kills"]
fn hold_the_lock() {
    let Some(dir) = std::env::var_os("CUTOVER_TEST_LOCK") else { return };
    let _lock = Lock::acquire(Path::new(&dir), "20261123-231015-ab12").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(60));
}

#[test]
fn a_killed_engine_leaves_no_lock_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "journal::tests::hold_the_lock", "--ignored"])
        .env("CUTOVER_TEST_LOCK", dir.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let holder = || Lock::holder(dir.path()).unwrap();
    while holder().is_none_or(|holder| holder.pid != child.id()) {
        assert_eq!(child.try_wait().unwrap(), None, "the holder ended early");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(matches!(Lock::acquire(dir.path(), "other"), Err(LockError::Held { .. })));
    child.kill().unwrap();
    child.wait().unwrap();
    Lock::acquire(dir.path(), "other").unwrap();
}

#[test]
fn printing_shows_a_line_an_event_without_control_characters() {
    let place = written(&[note(1, "look \u{1b}[31mred\u{7}"), note(2, "then")]);
    let mut out = Vec::new();
    print_for_people(Reader::open(&place.path).unwrap(), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.lines().count(), 2);
    assert!(text.starts_with("1970-01-01 00:00:01Z     1  op1        "), "{text}");
    assert!(text.contains("red") && !text.contains(['\u{1b}', '\u{7}']), "{text}");
    let mut out = Vec::new();
    print_for_programs(Reader::open(&place.path).unwrap(), &mut out).unwrap();
    let back: Vec<Event> = serde_json::Deserializer::from_slice(&out).into_iter().map(Result::unwrap).collect();
    assert_eq!(back.len(), 2);
}
