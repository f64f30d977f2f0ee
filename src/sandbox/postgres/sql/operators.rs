//! Operators, with SQL's three-valued logic.

use std::cmp::Ordering;

use super::{SqlError, Value};

/// Applies an operator of two operands.
///
/// # Errors
/// The operator is not for such operands.
pub(super) fn binary(operator: &str, left: &Value, right: &Value) -> Result<Value, SqlError> {
    match operator {
        "and" | "or" => return Ok(logic(operator == "or", left, right)),
        _ if left.is_null() || right.is_null() => return Ok(Value::Null),
        "||" => return Ok(joined(left, right)),
        "~" | "~*" => return Ok(Value::Bool(matches(&left.print(), &right.print())?)),
        "!~" | "!~*" => return Ok(Value::Bool(!matches(&left.print(), &right.print())?)),
        _ => {}
    }
    let order = |wanted: fn(Ordering) -> bool| {
        let order = left.compare(right).ok_or_else(|| unfit(operator, left, right))?;
        Ok(Value::Bool(wanted(order)))
    };
    match operator {
        "=" => order(Ordering::is_eq),
        "<>" | "!=" => order(Ordering::is_ne),
        "<" => order(Ordering::is_lt),
        ">" => order(Ordering::is_gt),
        "<=" => order(Ordering::is_le),
        ">=" => order(Ordering::is_ge),
        _ => arithmetic(operator, left, right),
    }
}

fn unfit(operator: &str, left: &Value, right: &Value) -> SqlError {
    SqlError::new("42883", format!("operator does not exist: {} {operator} {}", left.print(), right.print()))
}

/// `OR` (true) and `AND`: what is certain wins over what is unknown.
fn logic(is_or: bool, left: &Value, right: &Value) -> Value {
    let sure = Value::Bool(is_or);
    if *left == sure || *right == sure {
        sure
    } else if left.is_null() || right.is_null() {
        Value::Null
    } else {
        Value::Bool(!is_or)
    }
}

fn joined(left: &Value, right: &Value) -> Value {
    match (left, right) {
        (Value::List(one), Value::List(two)) => Value::List(one.iter().chain(two).cloned().collect()),
        _ => Value::Text(left.print() + &right.print()),
    }
}

fn arithmetic(operator: &str, left: &Value, right: &Value) -> Result<Value, SqlError> {
    let unfit = || unfit(operator, left, right);
    let shifted = |span: f64| jiff::SignedDuration::from_secs_f64(if operator == "-" { -span } else { span });
    match (left, right) {
        (Value::Lsn(one), Value::Lsn(two)) if operator == "-" => Ok(Value::Int(*one as i64 - *two as i64)),
        (Value::Lsn(lsn), Value::Int(bytes)) => {
            let bytes = if operator == "-" { -*bytes } else { *bytes };
            Ok(Value::Lsn(lsn.saturating_add_signed(bytes)))
        }
        (Value::Time(one), Value::Time(two)) if operator == "-" => {
            Ok(Value::Float(one.duration_since(*two).as_secs_f64()))
        }
        (Value::Time(at), Value::Float(span)) => at.checked_add(shifted(*span)).map(Value::Time).map_err(|_| unfit()),
        (Value::Int(one), Value::Int(two)) => whole(operator, *one, *two).ok_or_else(unfit),
        _ => {
            let (one, two) = (left.number().ok_or_else(unfit)?, right.number().ok_or_else(unfit)?);
            match operator {
                "+" => Ok(Value::Float(one + two)),
                "-" => Ok(Value::Float(one - two)),
                "*" => Ok(Value::Float(one * two)),
                "/" if two != 0.0 => Ok(Value::Float(one / two)),
                _ => Err(unfit()),
            }
        }
    }
}

fn whole(operator: &str, one: i64, two: i64) -> Option<Value> {
    let result = match operator {
        "+" => one.checked_add(two),
        "-" => one.checked_sub(two),
        "*" => one.checked_mul(two),
        "/" => one.checked_div(two),
        "%" => one.checked_rem(two),
        _ => None,
    };
    result.map(Value::Int)
}

/// `LIKE`: `%` is any text, `_` any character, `\` takes the next one as it is.
pub(super) fn like(text: &str, pattern: &str) -> bool {
    let mut pattern = pattern.chars();
    match pattern.next() {
        None => text.is_empty(),
        Some('%') => {
            let rest = pattern.as_str();
            text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| like(&text[at..], rest))
        }
        Some(first) => {
            let wanted = if first == '\\' { pattern.next() } else { Some(first) };
            let mut chars = text.chars();
            let met = chars.next();
            let same = met.is_some() && (met == wanted || first == '_');
            same && like(chars.as_str(), pattern.as_str())
        }
    }
}

/// The patterns that `psql` makes of names: `^(orders)$`, `^(ord.*)$`, `^pg_toast`.
fn matches(text: &str, pattern: &str) -> Result<bool, SqlError> {
    let open = !pattern.ends_with('$');
    let Some(body) = pattern.strip_prefix('^') else {
        return Err(SqlError::unspoken("patterns that do not begin with ^"));
    };
    let body = body.strip_suffix('$').unwrap_or(body);
    let body = body.strip_prefix('(').and_then(|body| body.strip_suffix(')')).unwrap_or(body);
    let escaped = body.replace('\\', "").replace('%', "\\%").replace('_', "\\_").replace(".*", "%").replace('.', "_");
    if escaped.contains(['(', '[', '+', '|', '?', '*']) {
        return Err(SqlError::unspoken(&format!("the pattern {pattern}")));
    }
    Ok(like(text, &if open { format!("{escaped}%") } else { escaped }))
}

/// `5 minutes`, `1 day`, `10s` as seconds.
pub(super) fn interval(text: &str) -> Result<f64, SqlError> {
    let wrong = || SqlError::new("22007", format!("invalid input syntax for type interval: \"{text}\""));
    let split = text.find(|c: char| c.is_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(split);
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    let seconds = match unit.trim().trim_end_matches('s') {
        "" | "sec" | "second" => 1.0,
        "m" | "min" | "minute" => 60.0,
        "h" | "hour" => 3600.0,
        "d" | "day" => 86_400.0,
        _ => return Err(wrong()),
    };
    Ok(number * seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_knows_its_wildcards() {
        for (text, pattern, same) in [
            ("default_transaction_read_only=on", "default_transaction_read_only=%", true),
            ("orders", "ord_rs", true),
            ("orders", "ord", false),
            ("a_b", "a\\_b", true),
            ("axb", "a\\_b", false),
            ("", "%", true),
        ] {
            assert_eq!(like(text, pattern), same, "{text} {pattern}");
        }
    }

    #[test]
    fn psqls_patterns_match_names() {
        assert!(matches("orders", "^(orders)$").unwrap() && !matches("orders", "^(order)$").unwrap());
        assert!(matches("orders", "^(ord.*)$").unwrap() && matches("pg_toast_1", "^pg_toast").unwrap());
        assert!(matches("orders", "^(a|b)$").is_err());
    }

    #[test]
    fn what_is_unknown_stays_so_unless_the_rest_decides() {
        let (yes, no) = (Value::Bool(true), Value::Bool(false));
        assert_eq!(binary("or", &Value::Null, &yes).unwrap(), yes);
        assert_eq!(binary("and", &Value::Null, &no).unwrap(), no);
        assert!(binary("and", &Value::Null, &yes).unwrap().is_null());
        assert!(binary("=", &Value::Null, &Value::Int(1)).unwrap().is_null());
    }

    #[test]
    fn intervals_are_seconds() {
        assert!((interval("5 minutes").unwrap() - 300.0).abs() < 1e-9);
        assert!(interval("soon").is_err());
    }
}
