//! The model of both databases, step by step.

use jiff::{SignedDuration, Timestamp};

use super::{
    Databases, Work,
    access::Client,
    change::access,
    link::Link,
    sql::statements,
    table::{MAILS, ORDERS, Sequence},
};
use crate::sandbox::{faults::Side, model::Processes};

const HEROKU: Processes = Processes { web: 2, worker: 1, scheduler: 1, maintenance: false };
const AWS: Processes = Processes { web: 2, worker: 2, scheduler: 1, maintenance: false };
const IDLE: Processes = Processes { web: 2, worker: 0, scheduler: 0, maintenance: false };

struct Time {
    databases: Databases,
    now: Timestamp,
}

impl Time {
    fn new() -> Self {
        Self { databases: Databases::new(Timestamp::UNIX_EPOCH, 7), now: Timestamp::UNIX_EPOCH }
    }

    fn pass(&mut self, seconds: u32, old: (Processes, f64), new: (Processes, f64), stalled: bool) {
        for _ in 0..seconds {
            self.now = self.now.checked_add(SignedDuration::from_secs(1)).unwrap();
            let work = |(processes, orders): (Processes, f64)| Work { processes, orders, jobs: orders };
            self.databases.step(self.now, 1.0, [work(old), work(new)], false, stalled);
        }
    }

    /// Lets the app write on the new side.
    fn open(&mut self) {
        let text = "grant insert on all tables in schema public to acme_app";
        for statement in statements(text).unwrap() {
            access(&mut self.databases.new, &statement).unwrap();
        }
    }

    fn orders(&self, side: Side) -> usize {
        self.databases.of(side).tables[ORDERS].rows().len()
    }
}

#[test]
fn a_missed_sequence_is_a_duplicate_key_at_every_order() {
    let mut time = Time::new();
    time.pass(60, (HEROKU, 8.0), (IDLE, 0.0), false);
    assert!(time.databases.refused_orders(Side::Old).abs() < f64::EPSILON);
    let before = time.orders(Side::New);
    time.pass(30, (HEROKU, 0.0), (AWS, 8.0), false);
    assert!((time.databases.refused_orders(Side::New) - 1.0).abs() < f64::EPSILON, "it is closed");
    time.open();
    time.pass(30, (HEROKU, 0.0), (AWS, 8.0), false);
    assert!((time.databases.refused_orders(Side::New) - 1.0).abs() < f64::EPSILON);
    assert!(time.orders(Side::New) < before + 30, "only what was replicated came");
    let newest = time.databases.new.tables[ORDERS].rows().last().unwrap().id;
    time.databases.new.tables[ORDERS].sequence = Sequence { last: newest + 1000, called: true };
    let before = time.orders(Side::New);
    time.pass(30, (HEROKU, 0.0), (AWS, 8.0), false);
    assert!(time.databases.refused_orders(Side::New).abs() < f64::EPSILON && time.orders(Side::New) > before + 100);
}

#[test]
fn lag_follows_the_load_and_an_idle_database_writes_nothing() {
    let mut time = Time::new();
    let lag = |orders: f64| {
        let mut time = Time::new();
        time.pass(120, (HEROKU, orders), (IDLE, 0.0), false);
        Link::lag_seconds(&time.databases.old, time.now) + time.databases.link.lag_bytes(&time.databases.old) as f64
    };
    assert!(lag(200.0) > 4.0 * lag(8.0));
    time.pass(60, (HEROKU, 8.0), (IDLE, 0.0), false);
    time.pass(400, (IDLE, 0.0), (IDLE, 0.0), false);
    let still = time.databases.old.lsn;
    time.pass(400, (IDLE, 0.0), (IDLE, 0.0), false);
    assert_eq!(time.databases.old.lsn, still);
    assert_eq!(time.databases.link.lag_bytes(&time.databases.old), 0);
    assert_eq!(time.orders(Side::Old), time.orders(Side::New));
}

#[test]
fn two_schedulers_double_the_mails_and_one_does_not() {
    let mut time = Time::new();
    time.pass(600, (HEROKU, 1.0), (IDLE, 0.0), false);
    let one = time.databases.mails;
    assert!(one.sent > 100 && one.doubled == 0, "{one:?}");
    time.open();
    time.databases.new.tables[MAILS].sequence = Sequence { last: 100_000, called: true };
    time.pass(600, (HEROKU, 1.0), (AWS, 0.0), false);
    let two = time.databases.mails;
    // The old side alone sends in this time what it sent before; all that the new side sends comes on top, twice.
    assert!(two.doubled > 100, "{two:?}");
    assert_eq!(two.doubled, two.sent - 2 * one.sent, "{two:?}");
}

#[test]
fn a_row_written_on_the_new_side_too_early_breaks_replication() {
    let mut time = Time::new();
    time.pass(10, (HEROKU, 8.0), (IDLE, 0.0), false);
    let next = time.databases.old.tables[ORDERS].sequence.peek();
    time.databases.new.tables[ORDERS].sequence = Sequence { last: next + 20, called: true };
    time.open();
    time.databases.new.write(Client::Web, ORDERS, time.now, "aws web", 1).unwrap();
    time.pass(60, (HEROKU, 8.0), (IDLE, 0.0), false);
    assert!(time.databases.link.worker.is_none() && time.databases.link.errors > 5);
    assert!(time.databases.link.lag_bytes(&time.databases.old) > 10_000);
}

#[test]
fn a_stall_keeps_every_change_for_later() {
    let mut time = Time::new();
    time.pass(120, (HEROKU, 8.0), (IDLE, 0.0), true);
    assert!(time.orders(Side::Old) > time.orders(Side::New) + 500 && time.databases.link.worker.is_none());
    time.pass(30, (IDLE, 0.0), (IDLE, 0.0), false);
    assert_eq!(time.orders(Side::Old), time.orders(Side::New));
}
