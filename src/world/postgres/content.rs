//! What stands in the tables: sequences, counts, checksums.

use super::{
    super::error::{Failure, trouble},
    Server, Table,
    session::{Session, boolean, int8, text},
    sql,
};
use crate::{
    plan::TableName,
    run::{Position, Trouble, TroubleKind},
};

/// A sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// Its name.
    pub name: TableName,
    /// What it adds each time; negative: it descends.
    pub increment: i64,
    /// Its greatest value.
    pub max: i64,
    /// The table and column that own it.
    pub owner: Option<(TableName, String)>,
    /// Where it stands.
    pub at: Position,
    /// The greatest value in the column that owns it; None: no owner, or the table is empty.
    pub highest: Option<i64>,
}

impl Sequence {
    /// The value that it gives out next would exist already: an insert would fail on a duplicate key.
    #[must_use]
    pub fn is_missed(&self) -> bool {
        let next = if self.at.called { self.at.value.saturating_add(self.increment) } else { self.at.value };
        self.increment > 0 && self.highest.is_some_and(|highest| next <= highest)
    }
}

/// Count and checksum of a table or of a range of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// Rows.
    pub rows: i64,
    /// Sum of the rows' hashes, as a decimal number.
    pub checksum: String,
}

impl Server {
    /// All sequences, each with where it stands and the greatest value that is in use.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn sequences(&self) -> Result<Vec<Sequence>, Trouble> {
        let (session, what) = (self.read().await?, "sequences");
        let mut found = Vec::new();
        for row in session.rows(what, sql::SEQUENCES, &[]).await? {
            let field = |place| session.get::<String>(what, &row, place);
            let name = TableName { schema: field(0)?, name: field(1)? };
            let (table, column) = (TableName { schema: field(4)?, name: field(5)? }, field(6)?);
            let owner = (!column.is_empty()).then_some((table, column));
            let highest = match &owner {
                Some((table, column)) => session.highest(table, column).await?,
                None => None,
            };
            let (increment, max) = (session.get(what, &row, 2)?, session.get(what, &row, 3)?);
            let at = position(&session, &name).await?;
            found.push(Sequence { name, increment, max, owner, at, highest });
        }
        Ok(found)
    }

    /// Puts sequences where they are wanted, one after the other. Returns how many were set.
    ///
    /// # Errors
    /// One could not be set; those before it are.
    pub async fn set_sequences<'a>(
        &self,
        wanted: impl IntoIterator<Item = (&'a String, &'a Position)> + Send,
    ) -> Result<usize, Failure> {
        let wanted: Vec<_> = wanted.into_iter().collect();
        let session = self.act().await?;
        for (done, (name, position)) in wanted.iter().enumerate() {
            let (schema, sequence) = name.split_once('.').unwrap_or(("public", name));
            let quoted = sql::qualified(schema, sequence);
            let parameters = [text(&quoted), int8(&position.value), boolean(&position.called)];
            let set = session.one("setval", sql::SET_SEQUENCE, &parameters).await;
            // What was set before is set: only a look tells how far it came.
            set.map_err(|failure| Failure { in_doubt: failure.in_doubt || done > 0, ..failure })?;
        }
        Ok(wanted.len())
    }
}

async fn position(session: &Session, name: &TableName) -> Result<Position, Trouble> {
    let what = "sequence";
    let row = session.one(what, &sql::sequence(&name.schema, &name.name), &[]).await?;
    let row = row.ok_or_else(|| trouble(&session.call(what), TroubleKind::Garbled, "no answer"))?;
    Ok(Position { value: session.get(what, &row, 0)?, called: session.get(what, &row, 1)? })
}

impl Session {
    /// The greatest value of an integer column; None: the table is empty.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn highest(&self, table: &TableName, column: &str) -> Result<Option<i64>, Trouble> {
        let row = self.one("max", &sql::max_value(&table.schema, &table.name, column), &[]).await?;
        Ok(row.map(|row| self.get("max", &row, 0)).transpose()?.flatten())
    }

    /// How many rows a table has.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn count(&self, table: &Table) -> Result<i64, Trouble> {
        let row = self.one("count", &sql::count(&table.schema, &table.name), &[]).await?;
        Ok(row.map(|row| self.get("count", &row, 0)).transpose()?.unwrap_or_default())
    }

    /// Count and checksum of a table, or of the rows whose key is in `range` (its end not included).
    ///
    /// # Errors
    /// The statement failed.
    pub async fn digest(
        &self,
        table: &Table,
        columns: &[String],
        range: Option<(&str, std::ops::Range<i64>)>,
    ) -> Result<Digest, Trouble> {
        let what = "checksum";
        let query = sql::checksum(&table.schema, &table.name, columns, range.as_ref().map(|(key, _)| *key));
        let row = match &range {
            Some((_, range)) => self.one(what, &query, &[int8(&range.start), int8(&range.end)]).await?,
            None => self.one(what, &query, &[]).await?,
        };
        let row = row.ok_or_else(|| trouble(&self.call(what), TroubleKind::Garbled, "no answer"))?;
        Ok(Digest { rows: self.get(what, &row, 0)?, checksum: self.get(what, &row, 1)? })
    }
}
