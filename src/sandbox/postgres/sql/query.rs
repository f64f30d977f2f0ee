//! Runs queries: sources in nested loops, filters, groups, order.

use std::{cmp::Ordering, rc::Rc};

use super::{
    Field, Relation, SqlError, Value,
    eval::{Bound, Env, Evaluation, Scope},
    functions,
    kinds::{self, Shape},
    syntax::{Expr, Item, Join, Query, Select, Source},
};

/// A row and what it is ordered by.
type Ordered = (Vec<Value>, Vec<Value>);

impl Evaluation<'_> {
    /// The rows of a query.
    ///
    /// # Errors
    /// As PostgreSQL refuses it.
    pub(in super::super) fn run(&self, query: &Query) -> Result<Relation, SqlError> {
        self.rows(query, None)
    }

    pub(super) fn rows(&self, query: &Query, parent: Option<&Scope<'_>>) -> Result<Relation, SqlError> {
        let shape = parent.map(Shape::of_scope);
        let fields = kinds::fields(self.view, query, shape.as_ref())?;
        let mut rows: Vec<Ordered> = Vec::new();
        for select in &query.selects {
            // The rows of a union are ordered by what comes out, those of one select also by what went in.
            let order = if query.selects.len() == 1 { query.order.as_slice() } else { &[] };
            rows.extend(self.select(select, order, &fields, parent)?);
        }
        if query.selects.len() > 1 {
            for (row, keys) in &mut rows {
                let key = |(expr, _): &(Expr, bool)| output(expr, &fields).and_then(|at| row.get(at).cloned());
                *keys = query.order.iter().map(|order| key(order).unwrap_or(Value::Null)).collect();
            }
        }
        if query.distinct {
            distinct(&mut rows);
        }
        if !query.order.is_empty() {
            rows.sort_by(|(_, one), (_, two)| in_order(one, two, &query.order));
        }
        let constant = |expr: &Option<Expr>| match expr {
            None => Ok(None),
            Some(expr) => {
                let scope = Scope { env: &[], group: None, parent };
                Ok(self.eval(expr, scope)?.int().and_then(|count| usize::try_from(count).ok()))
            }
        };
        let offset = constant(&query.offset)?.unwrap_or(0);
        let limit = constant(&query.limit)?.unwrap_or(usize::MAX);
        let rows = rows.into_iter().skip(offset).take(limit).map(|(row, _)| row).collect();
        Ok(Relation { fields, rows })
    }

    fn select(
        &self,
        select: &Select,
        order: &[(Expr, bool)],
        fields: &[Field],
        parent: Option<&Scope<'_>>,
    ) -> Result<Vec<Ordered>, SqlError> {
        let mut envs = self.sources(&select.from, parent)?;
        if let Some(filter) = &select.filter {
            let mut kept = Vec::with_capacity(envs.len());
            for env in envs {
                if self.eval(filter, Scope { env: &env, group: None, parent })?.is_true() {
                    kept.push(env);
                }
            }
            envs = kept;
        }
        let mut rows = Vec::new();
        if is_grouped(select) {
            for group in self.groups(select, envs, parent)? {
                let env = group.first().map(Vec::as_slice).unwrap_or_default();
                let scope = Scope { env, group: Some(&group), parent };
                let wanted = select.having.as_ref().map(|having| self.eval(having, scope)).transpose()?;
                if wanted.is_none_or(|wanted| wanted.is_true()) {
                    rows.push(self.output(select, order, fields, scope)?);
                }
            }
        } else {
            for env in &envs {
                rows.push(self.output(select, order, fields, Scope { env, group: None, parent })?);
            }
        }
        if select.distinct {
            distinct(&mut rows);
        }
        Ok(rows)
    }

    /// What the sources bring together.
    fn sources(&self, joins: &[Join], parent: Option<&Scope<'_>>) -> Result<Vec<Env>, SqlError> {
        let mut envs: Vec<Env> = vec![Vec::new()];
        for join in joins {
            let alias: Rc<str> = Rc::from(join.alias.as_str());
            let table = match &join.source {
                Source::Table(name) => Some(self.view.relation(name)?),
                _ => None,
            };
            let table = table.map(shared);
            let mut joined = Vec::new();
            for env in envs {
                let scope = Scope { env: &env, group: None, parent };
                // Anything but a table may look at the rows beside it.
                let (fields, rows) = match &table {
                    Some(table) => table.clone(),
                    None => shared(self.source(join, scope)?),
                };
                let before = joined.len();
                for values in rows.iter() {
                    let bound = Bound { alias: alias.clone(), fields: fields.clone(), values: values.clone() };
                    let mut with: Env = env.clone();
                    with.push(bound);
                    let scope = Scope { env: &with, group: None, parent };
                    let fits = join.on.as_ref().map(|on| self.eval(on, scope)).transpose()?;
                    if fits.is_none_or(|fits| fits.is_true()) {
                        joined.push(with);
                    }
                }
                if join.left && joined.len() == before {
                    let nothing: Rc<[Value]> = vec![Value::Null; fields.len()].into();
                    let mut with = env;
                    with.push(Bound { alias: alias.clone(), fields, values: nothing });
                    joined.push(with);
                }
            }
            envs = joined;
        }
        Ok(envs)
    }

    fn source(&self, join: &Join, scope: Scope<'_>) -> Result<Relation, SqlError> {
        let mut relation = match &join.source {
            Source::Table(name) => self.view.relation(name)?,
            Source::Query(query) => self.rows(query, Some(&scope))?,
            Source::Function(name, arguments) => {
                let values: Vec<_> =
                    arguments.iter().map(|argument| self.eval(argument, scope)).collect::<Result<_, _>>()?;
                let fields = functions::set_fields(name, &join.alias)?;
                Relation { fields, rows: functions::set(self.view, name, &values)? }
            }
        };
        for (field, name) in relation.fields.iter_mut().zip(&join.columns) {
            field.0.clone_from(name);
        }
        Ok(relation)
    }

    fn groups(&self, select: &Select, envs: Vec<Env>, parent: Option<&Scope<'_>>) -> Result<Vec<Vec<Env>>, SqlError> {
        if select.group.is_empty() {
            return Ok(vec![envs]);
        }
        let mut groups: Vec<(Vec<Value>, Vec<Env>)> = Vec::new();
        for env in envs {
            let scope = Scope { env: &env, group: None, parent };
            let key: Vec<Value> =
                select.group.iter().map(|expr| self.eval(grouped(expr, select), scope)).collect::<Result<_, _>>()?;
            match groups.iter_mut().find(|(known, _)| *known == key) {
                Some((_, members)) => members.push(env),
                None => groups.push((key, vec![env])),
            }
        }
        Ok(groups.into_iter().map(|(_, members)| members).collect())
    }

    fn output(
        &self,
        select: &Select,
        order: &[(Expr, bool)],
        fields: &[Field],
        scope: Scope<'_>,
    ) -> Result<Ordered, SqlError> {
        let mut row = Vec::with_capacity(fields.len());
        for item in &select.items {
            match item {
                Item::Expr(expr, _) => row.push(self.eval(expr, scope)?),
                Item::Star(table) => {
                    let wanted = |bound: &&Bound| table.as_ref().is_none_or(|table| *bound.alias == **table);
                    let values = scope.env.iter().filter(wanted).flat_map(|bound| bound.values.iter().cloned());
                    row.extend(values);
                }
            }
        }
        let key = |(expr, _): &(Expr, bool)| match output(expr, fields).and_then(|at| row.get(at)) {
            Some(value) => Ok(value.clone()),
            None => self.eval(expr, scope),
        };
        let keys = order.iter().map(key).collect::<Result<_, _>>()?;
        Ok((row, keys))
    }
}

/// A relation whose rows many environments share.
type Shared = (Rc<[Field]>, Rc<Vec<Rc<[Value]>>>);

fn shared(relation: Relation) -> Shared {
    let rows = relation.rows.into_iter().map(Rc::from).collect();
    (relation.fields.into(), Rc::new(rows))
}

fn is_grouped(select: &Select) -> bool {
    let aggregates = |item: &Item| matches!(item, Item::Expr(expr, _) if functions::has_aggregate(expr));
    !select.group.is_empty() || select.having.is_some() || select.items.iter().any(aggregates)
}

/// What a member of GROUP BY stands for: a position, the name of an output, or itself.
fn grouped<'a>(expr: &'a Expr, select: &'a Select) -> &'a Expr {
    let item = |at: usize| match select.items.get(at) {
        Some(Item::Expr(expr, _)) => Some(expr),
        _ => None,
    };
    match expr {
        Expr::Value(Value::Int(position), _) => usize::try_from(position - 1).ok().and_then(item).unwrap_or(expr),
        _ => expr,
    }
}

/// The output that a member of ORDER BY names, by position or by name.
fn output(expr: &Expr, fields: &[Field]) -> Option<usize> {
    match expr {
        Expr::Value(Value::Int(position), _) => usize::try_from(position - 1).ok(),
        Expr::Column(None, name) => fields.iter().position(|(field, _)| field == name),
        _ => None,
    }
}

fn distinct(rows: &mut Vec<Ordered>) {
    let mut kept: Vec<Ordered> = Vec::new();
    for row in rows.drain(..) {
        if !kept.iter().any(|known| known.0 == row.0) {
            kept.push(row);
        }
    }
    *rows = kept;
}

/// Nothing comes last, or first when descending.
fn in_order(one: &[Value], two: &[Value], order: &[(Expr, bool)]) -> Ordering {
    for ((one, two), (_, descending)) in one.iter().zip(two).zip(order) {
        let ordering = match (one.is_null(), two.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => one.compare(two).unwrap_or(Ordering::Equal),
        };
        let ordering = if *descending { ordering.reverse() } else { ordering };
        if ordering.is_ne() {
            return ordering;
        }
    }
    Ordering::Equal
}
