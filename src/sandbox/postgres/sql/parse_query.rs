//! From tokens to queries.

use super::{
    SqlError,
    parse::Parser,
    syntax::{Expr, Item, Join, Query, Select, Source},
    token::Token,
};
use crate::sandbox::postgres::value::{Kind, Value};

/// Words that end a source or an item, so that they are no aliases.
const RESERVED: &[&str] = &[
    "from",
    "where",
    "group",
    "having",
    "order",
    "limit",
    "offset",
    "union",
    "join",
    "left",
    "inner",
    "cross",
    "on",
    "as",
    "fetch",
    "full",
    "right",
    "natural",
    "using",
    "for",
    "except",
    "intersect",
    "window",
    "and",
    "or",
    "collate",
    "filter",
    "then",
    "else",
    "end",
    "when",
    "is",
    "in",
    "like",
    "between",
    "asc",
    "desc",
    "nulls",
    "not",
];

impl Parser {
    pub(super) fn query(&mut self) -> Result<Query, SqlError> {
        let mut selects = vec![self.select()?];
        let mut distinct = false;
        while self.take("union") {
            distinct |= !self.take("all");
            selects.push(self.select()?);
        }
        let mut order = Vec::new();
        if self.take_all(&["order", "by"]) {
            order = self.list(|parser| {
                let expr = parser.expr()?;
                let descending = parser.take("desc");
                if !descending {
                    let _ = parser.take("asc");
                }
                let _ = parser.take_all(&["nulls", "first"]) || parser.take_all(&["nulls", "last"]);
                Ok((expr, descending))
            })?;
        }
        let limit = if self.take("limit") && !self.take("all") { Some(self.expr()?) } else { None };
        let offset = if self.take("offset") { Some(self.expr()?) } else { None };
        Ok(Query { selects, distinct, order, limit, offset })
    }

    fn select(&mut self) -> Result<Select, SqlError> {
        if self.take("(") {
            let query = self.query()?;
            self.expect(")")?;
            return Ok(from_source(Source::Query(Box::new(query)), "query"));
        }
        if self.take("table") {
            return Ok(from_source(Source::Table(self.qualified()?), "table"));
        }
        if self.is_word("values") {
            return Err(SqlError::unspoken("VALUES"));
        }
        self.expect("select")?;
        let distinct = self.take("distinct");
        if !distinct {
            let _ = self.take("all");
        }
        let items = self.list(Self::item)?;
        let from = if self.take("from") { self.sources()? } else { Vec::new() };
        let filter = if self.take("where") { Some(self.expr()?) } else { None };
        let group = if self.take_all(&["group", "by"]) { self.list(Self::expr)? } else { Vec::new() };
        let having = if self.take("having") { Some(self.expr()?) } else { None };
        Ok(Select { distinct, items, from, filter, group, having })
    }

    fn item(&mut self) -> Result<Item, SqlError> {
        if self.take("*") {
            return Ok(Item::Star(None));
        }
        let is_star = matches!(self.peek_at(1), Some(Token::Sign(dot)) if dot == ".")
            && matches!(self.peek_at(2), Some(Token::Sign(star)) if star == "*");
        if is_star {
            let table = self.name()?;
            self.expect(".")?;
            self.expect("*")?;
            return Ok(Item::Star(Some(table)));
        }
        let expr = self.expr()?;
        let name = self.alias()?.unwrap_or_else(|| expr.name());
        Ok(Item::Expr(expr, name))
    }

    /// An alias, if one comes next.
    fn alias(&mut self) -> Result<Option<String>, SqlError> {
        if self.take("as") {
            return self.name().map(Some);
        }
        match self.peek() {
            Some(Token::Word(word)) if !RESERVED.contains(&word.as_str()) => self.name().map(Some),
            Some(Token::Name(_)) => self.name().map(Some),
            _ => Ok(None),
        }
    }

    fn sources(&mut self) -> Result<Vec<Join>, SqlError> {
        let mut all = vec![self.source(false)?];
        loop {
            let (joins, left, bare) = if self.take(",") || self.take_all(&["cross", "join"]) {
                (true, false, true)
            } else if self.take_all(&["left", "outer", "join"]) || self.take_all(&["left", "join"]) {
                (true, true, false)
            } else {
                (self.take_all(&["inner", "join"]) || self.take("join"), false, false)
            };
            if !joins {
                break;
            }
            let mut join = self.source(left)?;
            if !bare {
                self.expect("on")?;
                join.on = Some(self.expr()?);
            }
            all.push(join);
        }
        let unspoken = ["right", "full", "natural", "using"].into_iter().find(|word| self.is_word(word));
        unspoken.map_or(Ok(all), |word| Err(SqlError::unspoken(&format!("{} joins", word.to_uppercase()))))
    }

    fn source(&mut self, left: bool) -> Result<Join, SqlError> {
        let _ = self.take("lateral");
        let (source, usual) = if self.take("(") {
            let query = self.query()?;
            self.expect(")")?;
            (Source::Query(Box::new(query)), String::new())
        } else {
            let name = self.qualified()?;
            if self.take("(") {
                let arguments = if self.is_sign(")") { Vec::new() } else { self.list(Self::expr)? };
                self.expect(")")?;
                (Source::Function(name.clone(), arguments), name)
            } else {
                (Source::Table(name.clone()), name)
            }
        };
        if self.take_all(&["with", "ordinality"]) {
            return Err(SqlError::unspoken("WITH ORDINALITY"));
        }
        let alias = self.alias()?.unwrap_or(usual);
        let mut columns = Vec::new();
        if self.take("(") {
            columns = self.list(Self::name)?;
            self.expect(")")?;
        }
        Ok(Join { left, source, alias, columns, on: None })
    }
}

/// `SELECT * FROM source`.
fn from_source(source: Source, alias: &str) -> Select {
    let join = Join { left: false, source, alias: alias.to_owned(), columns: Vec::new(), on: None };
    Select {
        distinct: false,
        items: vec![Item::Star(None)],
        from: vec![join],
        filter: None,
        group: Vec::new(),
        having: None,
    }
}

/// A number as it is written.
pub(super) fn number(text: &str) -> Result<Expr, SqlError> {
    if let Ok(whole) = text.parse::<i64>() {
        let kind = if i32::try_from(whole).is_ok() { Kind::Int4 } else { Kind::Int8 };
        return Ok(Expr::Value(Value::Int(whole), kind));
    }
    let number = text.parse().map_err(|_| SqlError::syntax(text))?;
    Ok(Expr::Value(Value::Float(number), Kind::Float8))
}
