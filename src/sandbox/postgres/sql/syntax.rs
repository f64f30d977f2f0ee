//! What a statement is made of.

use super::super::{
    shape::Shaping,
    value::{Kind, Value},
};

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Statement {
    Query(Query),
    /// `BEGIN`, `START TRANSACTION`.
    Begin,
    /// `COMMIT` or `END` (true), `ROLLBACK` or `ABORT` (false).
    End(bool),
    /// `SET name = value`; None resets.
    Set(String, Option<String>),
    Show(String),
    /// `ALTER ROLE name CONNECTION LIMIT n`; and of a database.
    RoleLimit(String, i64),
    DatabaseLimit(String, i64),
    /// `ALTER ROLE name LOGIN` or `NOLOGIN`.
    RoleLogin(String, bool),
    /// `ALTER ROLE name [NO]SUPERUSER` (true) or `[NO]REPLICATION` (false), and whether it gets it.
    RoleRight(String, bool, bool),
    /// What changes the database's shape.
    Shape(Shaping),
    /// `ALTER DATABASE name SET ...` and `ALTER ROLE name [IN DATABASE name] SET ...`: whose, setting, value or None.
    Default(Whose, String, Option<String>),
    /// `GRANT` (true) or `REVOKE`: privileges, tables (none: all), roles.
    Grants(bool, Vec<String>, Vec<String>, Vec<String>),
    /// `ALTER SUBSCRIPTION name ENABLE` or `DISABLE`.
    Subscription(String, bool),
    /// `INSERT INTO table (columns) VALUES (...) ON CONFLICT (id) DO UPDATE ...`.
    Insert(String, Vec<String>, Vec<Expr>, bool),
}

/// Whose default a setting is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Whose {
    Database,
    /// The role's, everywhere.
    Role(String),
    /// The role's in this database.
    RoleHere(String),
}

/// Selects one below the other, in an order.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Query {
    pub(super) selects: Vec<Select>,
    /// `UNION` without `ALL`.
    pub(super) distinct: bool,
    /// (expression, descending).
    pub(super) order: Vec<(Expr, bool)>,
    pub(super) limit: Option<Expr>,
    pub(super) offset: Option<Expr>,
}

/// One `SELECT`.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Select {
    pub(super) distinct: bool,
    pub(super) items: Vec<Item>,
    pub(super) from: Vec<Join>,
    pub(super) filter: Option<Expr>,
    pub(super) group: Vec<Expr>,
    pub(super) having: Option<Expr>,
}

/// One item of a select list.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Item {
    /// `*` or `t.*`.
    Star(Option<String>),
    Expr(Expr, String),
}

/// One source of rows and how it joins those before it.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Join {
    pub(super) left: bool,
    pub(super) source: Source,
    pub(super) alias: String,
    /// Names given to its columns.
    pub(super) columns: Vec<String>,
    pub(super) on: Option<Expr>,
}

/// Where rows come from.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Source {
    Table(String),
    Query(Box<Query>),
    Function(String, Vec<Expr>),
}

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Expr {
    Value(Value, Kind),
    Parameter(usize),
    Column(Option<String>, String),
    /// Name, arguments, `FILTER (WHERE ...)`. `count(*)` has no argument.
    Call(String, Vec<Expr>, Option<Box<Expr>>),
    Cast(Box<Expr>, Target),
    Not(Box<Expr>),
    Negative(Box<Expr>),
    Binary(String, Box<Expr>, Box<Expr>),
    /// Negated if true.
    IsNull(Box<Expr>, bool),
    In(Box<Expr>, Vec<Expr>, bool),
    InQuery(Box<Expr>, Box<Query>, bool),
    /// Operator, left side, array.
    Any(String, Box<Expr>, Box<Expr>),
    Like(Box<Expr>, Box<Expr>, bool),
    /// (condition, result) pairs and what holds else.
    Case(Vec<(Expr, Expr)>, Option<Box<Expr>>),
    Exists(Box<Query>),
    Scalar(Box<Query>),
    /// `ARRAY(SELECT ...)`.
    Collect(Box<Query>),
    Array(Vec<Expr>),
    Index(Box<Expr>, Box<Expr>),
    Row(Vec<Expr>),
}

/// What a cast leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Target {
    Kind(Kind),
    /// Names of relations and of types become their numbers, and numbers their names.
    Relation,
    Type,
    /// `'x1f'::bit(n)`: hexadecimal digits.
    Bits,
}

impl Expr {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Value(Value::Text(text.into()), Kind::Text)
    }

    /// The name of the column that it makes.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Column(_, name) | Self::Call(name, ..) => name.clone(),
            Self::Cast(inner, _) => match inner.name() {
                name if name == "?column?" => match &**inner {
                    Self::Value(..) => "text".to_owned(),
                    _ => name,
                },
                name => name,
            },
            Self::Case(..) => "case".to_owned(),
            Self::Exists(_) => "exists".to_owned(),
            Self::Collect(_) | Self::Array(_) => "array".to_owned(),
            Self::Row(_) => "row".to_owned(),
            Self::Scalar(query) => match query.selects.first().and_then(|select| select.items.first()) {
                Some(Item::Expr(_, name)) => name.clone(),
                _ => "?column?".to_owned(),
            },
            _ => "?column?".to_owned(),
        }
    }
}
