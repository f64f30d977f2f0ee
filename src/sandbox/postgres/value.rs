//! Values and their types, and how they travel: as text and in PostgreSQL's binary forms.

use std::{cmp::Ordering, error::Error};

use bytes::{BufMut as _, BytesMut};
use jiff::Timestamp;
use pgwire::{
    api::Type,
    types::{ToSqlText, format::FormatOptions},
};
use tokio_postgres::types::{IsNull, ToSql};

/// Microseconds from the Unix epoch to PostgreSQL's, 2000-01-01.
const PG_EPOCH: i64 = 946_684_800_000_000;

/// A type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int4,
    Int8,
    Oid,
    Numeric,
    Float8,
    Text,
    Name,
    TextArray,
    Lsn,
    Time,
    Interval,
}

impl Kind {
    pub(super) fn wire(self) -> Type {
        match self {
            Self::Bool => Type::BOOL,
            Self::Int4 => Type::INT4,
            Self::Int8 => Type::INT8,
            Self::Oid => Type::OID,
            Self::Numeric => Type::NUMERIC,
            Self::Float8 => Type::FLOAT8,
            Self::Text => Type::TEXT,
            Self::Name => Type::NAME,
            Self::TextArray => Type::TEXT_ARRAY,
            Self::Lsn => Type::PG_LSN,
            Self::Time => Type::TIMESTAMPTZ,
            Self::Interval => Type::INTERVAL,
        }
    }

    /// The type that a cast names.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "bool" | "boolean" => Self::Bool,
            "int" | "int4" | "integer" | "int2" | "smallint" => Self::Int4,
            "int8" | "bigint" | "xid8" => Self::Int8,
            "oid" | "regclass" | "regrole" | "xid" => Self::Oid,
            "numeric" | "decimal" => Self::Numeric,
            "float8" | "double" | "float4" | "real" => Self::Float8,
            "text" | "varchar" | "char" | "bpchar" => Self::Text,
            "name" => Self::Name,
            "text[]" | "name[]" => Self::TextArray,
            "pg_lsn" => Self::Lsn,
            "timestamptz" | "timestamp" => Self::Time,
            "interval" => Self::Interval,
            _ => return None,
        })
    }

    pub(super) const fn is_number(self) -> bool {
        matches!(self, Self::Int4 | Self::Int8 | Self::Oid | Self::Numeric | Self::Float8)
    }
}

/// A value. Intervals are seconds in [`Value::Float`]; every whole number is [`Value::Int`], whatever its width.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// A sum that may not fit the others.
    Big(i128),
    Float(f64),
    Text(String),
    List(Vec<String>),
    Lsn(u64),
    Time(Timestamp),
}

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// From microseconds since the Unix epoch.
    pub(super) fn time(micros: i64) -> Self {
        Timestamp::from_microsecond(micros).map_or(Self::Null, Self::Time)
    }

    pub(super) const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(super) const fn is_true(&self) -> bool {
        matches!(self, Self::Bool(true))
    }

    /// As a number, if it is one.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Big(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// As a whole number, if it is one.
    pub(super) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Big(number) => i64::try_from(*number).ok(),
            Self::Float(number) => Some(number.round() as i64),
            Self::Bool(yes) => Some(i64::from(*yes)),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// As PostgreSQL prints it.
    pub(super) fn print(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bool(yes) => if *yes { "t" } else { "f" }.to_owned(),
            Self::Int(number) => number.to_string(),
            Self::Big(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::List(items) => format!("{{{}}}", items.join(",")),
            Self::Lsn(lsn) => print_lsn(*lsn),
            Self::Time(at) => at.strftime("%Y-%m-%d %H:%M:%S%.f+00").to_string(),
        }
    }

    /// How two values stand to each other; None when one is null or they cannot be compared.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Null, _) | (_, Self::Null) => None,
            (Self::Bool(one), Self::Bool(two)) => Some(one.cmp(two)),
            (Self::Int(one), Self::Int(two)) => Some(one.cmp(two)),
            (Self::Lsn(one), Self::Lsn(two)) => Some(one.cmp(two)),
            (Self::Lsn(one), Self::Text(two)) => Some(one.cmp(&parse_lsn(two)?)),
            (Self::Text(one), Self::Lsn(two)) => Some(parse_lsn(one)?.cmp(two)),
            (Self::Time(one), Self::Time(two)) => Some(one.cmp(two)),
            (Self::Text(one), Self::Text(two)) => Some(one.cmp(two)),
            (Self::List(one), Self::List(two)) => Some(one.cmp(two)),
            (Self::Text(one), Self::Bool(_)) => Self::Bool(truth(one)?).compare(other),
            (Self::Bool(_), Self::Text(two)) => self.compare(&Self::Bool(truth(two)?)),
            (Self::Text(one), _) if self.number().is_none() => Some(one.cmp(&other.print())),
            _ => self.number()?.partial_cmp(&other.number()?),
        }
    }

    /// Cast to a type; None when the value has no such form.
    pub(super) fn cast(self, kind: Kind) -> Option<Self> {
        Some(match (kind, self) {
            (_, Self::Null) => Self::Null,
            (Kind::Text | Kind::Name, Self::Bool(yes)) => Self::text(if yes { "true" } else { "false" }),
            (Kind::Text | Kind::Name, value) => Self::Text(value.print()),
            (Kind::Bool, Self::Text(text)) => Self::Bool(truth(&text)?),
            (Kind::Bool, Self::Int(number)) => Self::Bool(number != 0),
            (Kind::Int4 | Kind::Int8 | Kind::Oid, value) => Self::Int(value.int()?),
            (Kind::Numeric, number @ (Self::Int(_) | Self::Big(_))) => number,
            (Kind::Float8 | Kind::Numeric | Kind::Interval, value) => Self::Float(value.number()?),
            (Kind::Lsn, Self::Text(text)) => Self::Lsn(parse_lsn(&text)?),
            (Kind::Time, Self::Text(text)) => Self::Time(text.parse().ok()?),
            (_, value) => value,
        })
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "t" | "true" | "on" | "yes" | "1" => Some(true),
        "f" | "false" | "off" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// `16/B374D848`: two halves of 32 bits in hexadecimal.
pub(super) fn print_lsn(lsn: u64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xffff_ffff)
}

pub(super) fn parse_lsn(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let half = |text| u32::from_str_radix(text, 16).ok().map(u64::from);
    Some((half(high)? << 32) | half(low)?)
}

/// A row as text: `(1,"two words",)`.
pub(super) fn print_row(values: &[Value]) -> String {
    let field = |value: &Value| {
        let text = value.print();
        let plain = !text.is_empty() && !text.contains([' ', ',', '"', '(', ')', '\\']);
        if plain || value.is_null() { text } else { format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\"\"")) }
    };
    format!("({})", values.iter().map(field).collect::<Vec<_>>().join(","))
}

impl ToSqlText for Value {
    fn to_sql_text(
        &self,
        _: &Type,
        out: &mut BytesMut,
        _: &FormatOptions,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        if self.is_null() {
            return Ok(IsNull::Yes);
        }
        out.put_slice(self.print().as_bytes());
        Ok(IsNull::No)
    }
}

impl ToSql for Value {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match (kind, self) {
            (_, Self::Null) => Ok(IsNull::Yes),
            (&Type::INT4, Self::Int(number)) => i32::try_from(*number)?.to_sql(kind, out),
            (&Type::OID, Self::Int(number)) => u32::try_from(*number)?.to_sql(kind, out),
            (&Type::INT8, Self::Int(number)) => number.to_sql(kind, out),
            (&Type::FLOAT8, value) => value.number().ok_or("not a number")?.to_sql(kind, out),
            (&Type::BOOL, Self::Bool(yes)) => yes.to_sql(kind, out),
            (&Type::PG_LSN, Self::Lsn(lsn)) => {
                out.put_u64(*lsn);
                Ok(IsNull::No)
            }
            (&Type::TIMESTAMPTZ, Self::Time(at)) => {
                out.put_i64(at.as_microsecond() - PG_EPOCH);
                Ok(IsNull::No)
            }
            (&Type::INTERVAL, value) => {
                out.put_i64((value.number().ok_or("not an interval")? * 1e6) as i64);
                out.put_i64(0);
                Ok(IsNull::No)
            }
            (&Type::TEXT_ARRAY, Self::List(items)) => items.to_sql(kind, out),
            (&Type::TEXT | &Type::NAME, value) => value.print().to_sql(kind, out),
            _ => Err(format!("the sandbox has no binary form of {self:?} as {kind}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}
