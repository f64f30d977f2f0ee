//! The part of SQL that is spoken here: queries over catalogues and tables, and the statements that a cutover needs.
//!
//! It is a small evaluator of nested loops, not a list of known statements: a client may ask in its own words, and a
//! person may look around with `psql`. What it does not understand is refused with PostgreSQL's codes and its place.

mod eval;
mod functions;
mod kinds;
mod operators;
mod parse;
mod parse_expr;
mod parse_query;
mod query;
mod syntax;
mod token;

pub(super) use self::{
    eval::{Effect, Evaluation},
    kinds::describe,
    parse::statements,
    syntax::{Expr, Statement, Whose},
};
use super::value::{Kind, Value};

/// A column of a result: its name and type.
pub(super) type Field = (String, Kind);

/// Rows as they stand in a relation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Relation {
    pub(super) fields: Vec<Field>,
    pub(super) rows: Vec<Vec<Value>>,
}

/// Why a statement was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct SqlError {
    /// SQLSTATE.
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl SqlError {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// The text cannot be read.
    pub(super) fn syntax(near: &str) -> Self {
        Self::new("42601", format!("syntax error at or near \"{near}\""))
    }

    /// PostgreSQL knows it and the sandbox does not.
    pub(super) fn unspoken(what: &str) -> Self {
        Self {
            code: "0A000",
            message: format!("the sandbox does not speak this: {what}"),
            hint: Some(
                "It is a model, not a PostgreSQL: it answers queries over its tables and catalogues.".to_owned(),
            ),
        }
    }
}
