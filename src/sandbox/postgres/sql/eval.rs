//! Evaluates expressions over rows.

use std::{cell::RefCell, rc::Rc};

use super::{
    Field, SqlError, Value, functions, operators,
    syntax::{Expr, Target},
};
use crate::sandbox::postgres::{
    catalog::View,
    value::{Kind, print_row},
};

/// What a query does beside answering: carried out once it has been answered.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Effect {
    /// `setval`, `nextval`: position of the table, value, whether it was given out.
    Sequence(usize, i64, bool),
    /// `pg_terminate_backend`.
    Terminate(i32),
    /// `lo_create` (None) and `lo_unlink` of this number.
    LargeObject(Option<i64>),
}

/// One source's present row.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub(super) alias: Rc<str>,
    pub(super) fields: Rc<[Field]>,
    pub(super) values: Rc<[Value]>,
}

/// The present row of every source.
pub(super) type Env = Vec<Bound>;

/// What an expression sees: the present rows, the group that aggregates run over, and the query around.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) env: &'a [Bound],
    pub(super) group: Option<&'a [Env]>,
    pub(super) parent: Option<&'a Scope<'a>>,
}

/// One run of a statement.
#[derive(Debug)]
pub(in super::super) struct Evaluation<'a> {
    pub(in super::super) view: &'a View,
    pub(in super::super) parameters: &'a [Value],
    pub(in super::super) effects: RefCell<Vec<Effect>>,
}

impl<'a> Evaluation<'a> {
    pub(in super::super) const fn new(view: &'a View, parameters: &'a [Value]) -> Self {
        Self { view, parameters, effects: RefCell::new(Vec::new()) }
    }

    /// The value of an expression that no row is needed for.
    ///
    /// # Errors
    /// As PostgreSQL refuses it.
    pub(in super::super) fn constant(&self, expr: &Expr) -> Result<Value, SqlError> {
        self.eval(expr, Scope { env: &[], group: None, parent: None })
    }

    pub(super) fn eval(&self, expr: &Expr, scope: Scope<'_>) -> Result<Value, SqlError> {
        match expr {
            Expr::Value(value, _) => Ok(value.clone()),
            Expr::Parameter(position) => {
                let missing = || SqlError::new("42P02", format!("there is no parameter ${position}"));
                self.parameters.get(position.wrapping_sub(1)).cloned().ok_or_else(missing)
            }
            Expr::Column(table, name) => column(table.as_deref(), name, &scope),
            Expr::Call(name, arguments, filter) => self.call(name, arguments, filter.as_deref(), scope),
            Expr::Cast(inner, target) => self.cast(self.eval(inner, scope)?, *target),
            Expr::Not(inner) => Ok(match self.eval(inner, scope)? {
                Value::Null => Value::Null,
                value => Value::Bool(!value.is_true()),
            }),
            Expr::Negative(inner) => operators::binary("-", &Value::Int(0), &self.eval(inner, scope)?),
            Expr::Binary(operator, left, right) => {
                let left = self.eval(left, scope)?;
                // What the left side decides alone is not asked of the right one.
                match (operator.as_str(), &left) {
                    ("and", Value::Bool(false)) | ("or", Value::Bool(true)) => Ok(left),
                    _ => operators::binary(operator, &left, &self.eval(right, scope)?),
                }
            }
            Expr::IsNull(inner, negated) => Ok(Value::Bool(self.eval(inner, scope)?.is_null() != *negated)),
            Expr::In(..) | Expr::InQuery(..) | Expr::Any(..) => self.membership(expr, scope),
            Expr::Like(text, pattern, negated) => {
                let (text, pattern) = (self.eval(text, scope)?, self.eval(pattern, scope)?);
                let known = !text.is_null() && !pattern.is_null();
                let same = operators::like(&text.print(), &pattern.print());
                Ok(if known { Value::Bool(same != *negated) } else { Value::Null })
            }
            Expr::Case(pairs, otherwise) => self.case(pairs, otherwise.as_deref(), scope),
            Expr::Exists(query) => Ok(Value::Bool(!self.rows(query, Some(&scope))?.rows.is_empty())),
            Expr::Scalar(query) => {
                let rows = self.rows(query, Some(&scope))?.rows;
                Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).unwrap_or(Value::Null))
            }
            Expr::Collect(query) => {
                let rows = self.rows(query, Some(&scope))?.rows;
                Ok(Value::List(rows.iter().filter_map(|row| row.first()).map(Value::print).collect()))
            }
            Expr::Array(items) => {
                let values = items.iter().map(|item| self.eval(item, scope));
                values.map(|value| value.map(|value| value.print())).collect::<Result<_, _>>().map(Value::List)
            }
            Expr::Index(array, index) => self.index(array, index, scope),
            Expr::Row(items) => {
                let values: Vec<_> = items.iter().map(|item| self.eval(item, scope)).collect::<Result<_, _>>()?;
                Ok(Value::Text(print_row(&values)))
            }
        }
    }

    fn membership(&self, expr: &Expr, scope: Scope<'_>) -> Result<Value, SqlError> {
        let (operator, left, candidates, negated) = match expr {
            Expr::In(left, items, negated) => {
                let items: Vec<_> = items.iter().map(|item| self.eval(item, scope)).collect::<Result<_, _>>()?;
                ("=", left, items, *negated)
            }
            Expr::InQuery(left, query, negated) => {
                let rows = self.rows(query, Some(&scope))?.rows;
                ("=", left, rows.into_iter().filter_map(|row| row.into_iter().next()).collect(), *negated)
            }
            Expr::Any(operator, left, array) => match self.eval(array, scope)? {
                Value::List(items) => (operator.as_str(), left, items.into_iter().map(Value::Text).collect(), false),
                Value::Text(text) => {
                    let items = text.trim_matches(['{', '}']).split(',').map(Value::text).collect();
                    (operator.as_str(), left, items, false)
                }
                _ => return Ok(Value::Null),
            },
            _ => return Ok(Value::Null),
        };
        let left = self.eval(left, scope)?;
        let mut found = Value::Bool(false);
        for candidate in &candidates {
            found = operators::binary("or", &found, &operators::binary(operator, &left, candidate)?)?;
        }
        Ok(match found {
            Value::Bool(yes) => Value::Bool(yes != negated),
            other => other,
        })
    }

    fn case(&self, pairs: &[(Expr, Expr)], otherwise: Option<&Expr>, scope: Scope<'_>) -> Result<Value, SqlError> {
        for (condition, result) in pairs {
            if self.eval(condition, scope)?.is_true() {
                return self.eval(result, scope);
            }
        }
        otherwise.map_or(Ok(Value::Null), |otherwise| self.eval(otherwise, scope))
    }

    /// Arrays count from 1; the vectors of the catalogue (`indkey`) from 0.
    fn index(&self, array: &Expr, index: &Expr, scope: Scope<'_>) -> Result<Value, SqlError> {
        let base = i64::from(!matches!(array, Expr::Column(_, name) if name == "indkey"));
        let Value::List(items) = self.eval(array, scope)? else { return Ok(Value::Null) };
        let at = self.eval(index, scope)?.int().and_then(|index| usize::try_from(index - base).ok());
        Ok(at.and_then(|at| items.get(at)).map_or(Value::Null, Value::text))
    }

    fn cast(&self, value: Value, target: Target) -> Result<Value, SqlError> {
        let invalid = |value: &Value, kind: &str| {
            SqlError::new("22P02", format!("invalid input syntax for type {kind}: \"{}\"", value.print()))
        };
        match (target, value) {
            (_, Value::Null) => Ok(Value::Null),
            (Target::Kind(kind), value) => {
                let told = value.clone();
                value.cast(kind).ok_or_else(|| invalid(&told, kind.wire().name()))
            }
            (Target::Bits, value) => {
                let digits = value.print();
                let bits = digits.strip_prefix('x').and_then(|digits| i64::from_str_radix(digits, 16).ok());
                bits.map(Value::Int).ok_or_else(|| invalid(&value, "bit"))
            }
            (Target::Relation, Value::Text(name)) => self.view.relation_oid(&name).map(Value::Int),
            (Target::Relation, value) => Ok(Value::Text(self.view.relation_name(value.int().unwrap_or_default()))),
            (Target::Type, Value::Text(name)) => {
                let kind = Kind::named(&name).ok_or_else(|| invalid(&Value::Text(name), "regtype"))?;
                Ok(Value::Int(i64::from(kind.wire().oid())))
            }
            (Target::Type, value) => Ok(Value::Text(functions::type_name(value.int().unwrap_or_default()))),
        }
    }

    fn call(&self, name: &str, arguments: &[Expr], filter: Option<&Expr>, scope: Scope<'_>) -> Result<Value, SqlError> {
        if functions::is_aggregate(name) {
            let group = scope
                .group
                .ok_or_else(|| SqlError::new("42803", format!("aggregate functions are not allowed here: {name}")))?;
            let mut all = Vec::new();
            for env in group {
                let inner = Scope { env, group: None, parent: scope.parent };
                let counts = filter.map(|filter| self.eval(filter, inner)).transpose()?;
                if counts.is_none_or(|counts| counts.is_true()) {
                    let values: Vec<_> =
                        arguments.iter().map(|argument| self.eval(argument, inner)).collect::<Result<_, _>>()?;
                    all.push(values);
                }
            }
            return functions::aggregate(name, &all);
        }
        if name == "coalesce" {
            for argument in arguments {
                let value = self.eval(argument, scope)?;
                if !value.is_null() {
                    return Ok(value);
                }
            }
            return Ok(Value::Null);
        }
        let values: Vec<_> = arguments.iter().map(|argument| self.eval(argument, scope)).collect::<Result<_, _>>()?;
        functions::call(self, name, &values)
    }
}

/// The value of a column, here or in a query around.
fn column(table: Option<&str>, name: &str, scope: &Scope<'_>) -> Result<Value, SqlError> {
    let mut around = Some(scope);
    while let Some(scope) = around {
        for bound in scope.env.iter().filter(|bound| table.is_none_or(|table| *bound.alias == *table)) {
            if let Some(position) = bound.fields.iter().position(|(field, _)| field == name) {
                return Ok(bound.values[position].clone());
            }
        }
        around = scope.parent;
    }
    let told = table.map_or_else(|| format!("\"{name}\""), |table| format!("{table}.{name}"));
    Err(SqlError::new("42703", format!("column {told} does not exist")))
}
