//! The app's tables: rows with ids from sequences. A row's columns follow from what is kept of it, so that a replicated
//! row is equal to the last letter.

use super::value::{Kind, Value};

/// Who wrote a row, as the app notes it: side and process.
pub(super) type Writer = &'static str;

/// One row. Its other columns are derived from these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: i64,
    /// Microseconds since the epoch, session time.
    pub(super) at: i64,
    pub(super) by: Writer,
    /// What distinguishes rows of one writer: the digest's minute, a hash.
    pub(super) key: i64,
}

/// One column: name, type, and how a row has it.
pub(super) type Column = (&'static str, Kind, fn(&Row) -> Value);

/// The tables that the app has: (name, columns). The first column is the primary key, owned by a sequence.
pub(super) const TABLES: [(&str, &[Column]); 4] = [
    ("users", &[("id", Kind::Int8, id), ("email", Kind::Text, email), ("created_at", Kind::Time, at)]),
    (
        "orders",
        &[
            ("id", Kind::Int8, id),
            ("user_id", Kind::Int8, user),
            ("total_cents", Kind::Int8, total),
            ("placed_by", Kind::Text, by),
            ("created_at", Kind::Time, at),
        ],
    ),
    (
        "jobs",
        &[("id", Kind::Int8, id), ("kind", Kind::Text, job), ("done_by", Kind::Text, by), ("done_at", Kind::Time, at)],
    ),
    (
        "mails",
        &[
            ("id", Kind::Int8, id),
            ("user_id", Kind::Int8, user),
            ("subject", Kind::Text, subject),
            ("sent_by", Kind::Text, by),
            ("sent_at", Kind::Time, at),
        ],
    ),
];
/// Positions in [`TABLES`].
pub(super) const USERS: usize = 0;
pub(super) const ORDERS: usize = 1;
pub(super) const JOBS: usize = 2;
pub(super) const MAILS: usize = 3;
/// Rows that stand in each table before the world begins.
const SEEDED: [i64; 4] = [1_000, 2_000, 1_500, 500];

fn id(row: &Row) -> Value {
    Value::Int(row.id)
}

fn at(row: &Row) -> Value {
    Value::time(row.at)
}

fn by(row: &Row) -> Value {
    Value::text(row.by)
}

fn email(row: &Row) -> Value {
    Value::text(format!("user-{}@example.test", row.id))
}

fn user(row: &Row) -> Value {
    Value::Int(row.key.rem_euclid(SEEDED[USERS]) + 1)
}

fn total(row: &Row) -> Value {
    Value::Int(500 + row.key.rem_euclid(20_000))
}

fn job(row: &Row) -> Value {
    Value::text(["receipt", "thumbnail", "search-index"][row.key.rem_euclid(3) as usize])
}

fn subject(row: &Row) -> Value {
    Value::text(format!("Digest {}", row.key.div_euclid(SEEDED[USERS])))
}

/// The key of a mail: which digest, and to whom.
pub(super) const fn mail_key(digest: i64, user: i64) -> i64 {
    digest * SEEDED[USERS] + user
}

/// A sequence as PostgreSQL has it: the last value, and whether it was given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sequence {
    pub(super) last: i64,
    pub(super) called: bool,
}

impl Sequence {
    const FRESH: Self = Self { last: 1, called: false };

    /// What `nextval` would give.
    pub(super) const fn peek(self) -> i64 {
        if self.called { self.last + 1 } else { self.last }
    }

    fn next(&mut self) -> i64 {
        *self = Self { last: self.peek(), called: true };
        self.last
    }
}

/// An insert met a row with the same primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Duplicate;

/// One table and the sequence of its primary key.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [Column],
    /// By id, ascending.
    rows: Vec<Row>,
    pub(super) sequence: Sequence,
    /// Rows ever inserted.
    pub(super) inserted: u64,
}

impl Table {
    /// The seeded table. Only where its rows were written was the sequence used: a copy brings rows and no sequences.
    pub(super) fn seeded(position: usize, started: i64, is_copy: bool) -> Self {
        let (name, columns) = TABLES[position];
        let count = SEEDED[position];
        let row = |id: i64| Row {
            id,
            at: started - (count - id + 1) * 3_600_000_000,
            by: "import",
            key: id.wrapping_mul(7_919),
        };
        let used = Sequence { last: count, called: true };
        Self {
            name,
            columns,
            rows: (1..=count).map(row).collect(),
            sequence: if is_copy { Sequence::FRESH } else { used },
            inserted: count as u64,
        }
    }

    /// The sequence's name.
    pub(super) fn sequence_name(&self) -> String {
        format!("{}_id_seq", self.name)
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(super) fn has(&self, id: i64) -> bool {
        self.rows.binary_search_by_key(&id, |row| row.id).is_ok()
    }

    /// Inserts with the sequence's next id. The value is spent even when the row is refused, as sequences do not roll
    /// back.
    pub(super) fn insert(&mut self, at: i64, by: Writer, key: i64) -> Result<Row, Duplicate> {
        let row = Row { id: self.sequence.next(), at, by, key };
        self.put(row).map(|()| row)
    }

    /// Inserts a row as it stands, as replication does: the sequence does not move.
    pub(super) fn put(&mut self, row: Row) -> Result<(), Duplicate> {
        match self.rows.binary_search_by_key(&row.id, |row| row.id) {
            Ok(_) => Err(Duplicate),
            Err(position) => {
                self.rows.insert(position, row);
                self.inserted += 1;
                Ok(())
            }
        }
    }
}
