//! What type an expression has, before anything is run: what `Describe` asks.

use super::{
    Field, SqlError,
    eval::Scope,
    functions,
    syntax::{Expr, Item, Query, Select, Source, Target},
};
use crate::sandbox::postgres::{catalog::View, value::Kind};

/// The fields of every source in sight, and those of the query around.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    sources: Vec<(String, Vec<Field>)>,
    parent: Option<Box<Shape>>,
}

impl Shape {
    pub(super) fn of_scope(scope: &Scope<'_>) -> Self {
        let sources = scope.env.iter().map(|bound| (bound.alias.to_string(), bound.fields.to_vec())).collect();
        Self { sources, parent: scope.parent.map(|parent| Box::new(Self::of_scope(parent))) }
    }

    fn column(&self, table: Option<&str>, name: &str) -> Option<Kind> {
        let sources = self.sources.iter().filter(|(alias, _)| table.is_none_or(|table| table == alias));
        let mut fields = sources.flat_map(|(_, fields)| fields);
        let found = fields.find(|(field, _)| field == name).map(|(_, kind)| *kind);
        found.or_else(|| self.parent.as_ref()?.column(table, name))
    }
}

/// The columns that a query gives.
///
/// # Errors
/// A relation, a column or a function does not exist.
pub(super) fn fields(view: &View, query: &Query, parent: Option<&Shape>) -> Result<Vec<Field>, SqlError> {
    let first = query.selects.first().ok_or_else(|| SqlError::syntax("UNION"))?;
    of_select(view, first, parent)
}

fn of_select(view: &View, select: &Select, parent: Option<&Shape>) -> Result<Vec<Field>, SqlError> {
    let mut shape = Shape { sources: Vec::new(), parent: parent.cloned().map(Box::new) };
    for join in &select.from {
        let mut fields = match &join.source {
            Source::Table(name) => view.fields(name)?,
            Source::Query(query) => fields(view, query, Some(&shape))?,
            Source::Function(name, _) => functions::set_fields(name, &join.alias)?,
        };
        for (field, name) in fields.iter_mut().zip(&join.columns) {
            field.0.clone_from(name);
        }
        shape.sources.push((join.alias.clone(), fields));
    }
    let mut all = Vec::new();
    for item in &select.items {
        match item {
            Item::Expr(expr, name) => all.push((name.clone(), of(view, expr, &shape)?)),
            Item::Star(table) => {
                let wanted = |source: &&(String, Vec<Field>)| table.as_ref().is_none_or(|table| *table == source.0);
                all.extend(shape.sources.iter().filter(wanted).flat_map(|(_, fields)| fields.clone()));
            }
        }
    }
    Ok(all)
}

fn of(view: &View, expr: &Expr, shape: &Shape) -> Result<Kind, SqlError> {
    let kind = |expr: &Expr| of(view, expr, shape);
    Ok(match expr {
        Expr::Value(_, kind) => *kind,
        Expr::Parameter(_) | Expr::Row(_) => Kind::Text,
        Expr::Column(table, name) => shape.column(table.as_deref(), name).ok_or_else(|| {
            let told = table.as_ref().map_or_else(|| format!("\"{name}\""), |table| format!("{table}.{name}"));
            SqlError::new("42703", format!("column {told} does not exist"))
        })?,
        Expr::Call(name, arguments, _) => {
            let kinds: Vec<_> = arguments.iter().map(kind).collect::<Result<_, _>>()?;
            functions::kind(name, &kinds)?
        }
        Expr::Cast(_, Target::Kind(kind)) => *kind,
        Expr::Cast(_, Target::Bits) => Kind::Int8,
        Expr::Cast(inner, Target::Relation | Target::Type) => {
            if kind(inner)?.is_number() {
                Kind::Text
            } else {
                Kind::Oid
            }
        }
        Expr::Negative(inner) => kind(inner)?,
        Expr::Binary(operator, left, right) => of_operator(operator, kind(left)?, kind(right)?),
        Expr::Case(pairs, otherwise) => {
            let first = pairs.iter().map(|(_, result)| result).chain(otherwise.as_deref());
            let typed = first.into_iter().find(|result| !matches!(result, Expr::Value(value, _) if value.is_null()));
            typed.map_or(Ok(Kind::Text), kind)?
        }
        Expr::Scalar(query) => fields(view, query, Some(shape))?.first().map_or(Kind::Text, |(_, kind)| *kind),
        Expr::Collect(_) | Expr::Array(_) => Kind::TextArray,
        Expr::Index(..) => Kind::Text,
        Expr::Not(_)
        | Expr::IsNull(..)
        | Expr::In(..)
        | Expr::InQuery(..)
        | Expr::Any(..)
        | Expr::Like(..)
        | Expr::Exists(_) => Kind::Bool,
    })
}

fn of_operator(operator: &str, left: Kind, right: Kind) -> Kind {
    match (operator, left, right) {
        ("||", Kind::TextArray, _) => Kind::TextArray,
        ("||", ..) => Kind::Text,
        ("+" | "-" | "*" | "/" | "%", ..) => match (left, right) {
            (Kind::Lsn, Kind::Lsn) => Kind::Numeric,
            (Kind::Time, Kind::Time) => Kind::Interval,
            (Kind::Lsn | Kind::Time | Kind::Interval, _) => left,
            (Kind::Int4, Kind::Int4) => Kind::Int4,
            (Kind::Float8, _) | (_, Kind::Float8) => Kind::Float8,
            (Kind::Numeric, _) | (_, Kind::Numeric) => Kind::Numeric,
            _ => Kind::Int8,
        },
        _ => Kind::Bool,
    }
}

/// The columns of a query that stands alone.
///
/// # Errors
/// As [`fields`].
pub(in super::super) fn describe(view: &View, query: &Query) -> Result<Vec<Field>, SqlError> {
    fields(view, query, None)
}
