//! From tokens to expressions, by precedence: OR, AND, NOT, comparisons, other operators, + and -, * and /, casts.

use super::{
    SqlError,
    parse::Parser,
    parse_query::number,
    syntax::{Expr, Target},
    token::Token,
};
use crate::sandbox::postgres::value::{Kind, Value};

const COMPARISONS: &[&str] = &["=", "<>", "!=", "<", ">", "<=", ">="];
const MATCHES: &[&str] = &["~", "!~", "~*", "!~*"];
/// Words that are calls without parentheses.
const BARE_CALLS: &[&str] =
    &["current_user", "session_user", "current_timestamp", "current_catalog", "current_schema", "user"];

impl Parser {
    pub(super) fn expr(&mut self) -> Result<Expr, SqlError> {
        let mut left = self.conjunction()?;
        while self.take("or") {
            left = binary("or", left, self.conjunction()?);
        }
        Ok(left)
    }

    fn conjunction(&mut self) -> Result<Expr, SqlError> {
        let mut left = self.negation()?;
        while self.take("and") {
            left = binary("and", left, self.negation()?);
        }
        Ok(left)
    }

    fn negation(&mut self) -> Result<Expr, SqlError> {
        if self.take("not") {
            return Ok(Expr::Not(Box::new(self.negation()?)));
        }
        self.predicate()
    }

    fn predicate(&mut self) -> Result<Expr, SqlError> {
        let mut left = self.concatenation()?;
        loop {
            if self.take("is") {
                left = self.is(left)?;
                continue;
            }
            let negated = self.is_word("not") && self.take("not");
            if self.take("in") {
                left = self.within(left, negated)?;
            } else if self.take("like") {
                left = Expr::Like(Box::new(left), Box::new(self.concatenation()?), negated);
            } else if self.take("between") {
                let low = self.concatenation()?;
                self.expect("and")?;
                let high = self.concatenation()?;
                let both = binary("and", binary(">=", left.clone(), low), binary("<=", left, high));
                left = if negated { Expr::Not(Box::new(both)) } else { both };
            } else if negated {
                return Err(self.unexpected());
            } else if let Some(operator) = self.operator(COMPARISONS).or_else(|| self.operator(MATCHES)) {
                left = self.compared(operator, left)?;
            } else {
                return Ok(left);
            }
        }
    }

    fn is(&mut self, left: Expr) -> Result<Expr, SqlError> {
        let negated = self.take("not");
        if self.take("null") {
            return Ok(Expr::IsNull(Box::new(left), negated));
        }
        let wanted = self.take("true");
        if !wanted {
            self.expect("false")?;
        }
        let same = Expr::Call("coalesce".to_owned(), vec![binary("=", left, truth(wanted)), truth(false)], None);
        Ok(if negated { Expr::Not(Box::new(same)) } else { same })
    }

    fn within(&mut self, left: Expr, negated: bool) -> Result<Expr, SqlError> {
        self.expect("(")?;
        let made = if self.is_word("select") {
            Expr::InQuery(Box::new(left), Box::new(self.query()?), negated)
        } else {
            Expr::In(Box::new(left), self.list(Self::expr)?, negated)
        };
        self.expect(")")?;
        Ok(made)
    }

    fn compared(&mut self, operator: String, left: Expr) -> Result<Expr, SqlError> {
        if self.take("any") {
            self.expect("(")?;
            let array = self.expr()?;
            self.expect(")")?;
            return Ok(Expr::Any(operator, Box::new(left), Box::new(array)));
        }
        Ok(binary(&operator, left, self.concatenation()?))
    }

    /// One of these operators, also as `OPERATOR(pg_catalog.~)`.
    fn operator(&mut self, known: &[&str]) -> Option<String> {
        if let Some(Token::Sign(sign)) = self.peek()
            && known.contains(&sign.as_str())
        {
            let sign = sign.clone();
            self.advance();
            return Some(sign);
        }
        let Some(Token::Sign(sign)) = self.peek_at(4).cloned() else { return None };
        let spelt = known.contains(&sign.as_str()) && self.take_all(&["operator", "(", "pg_catalog", "."]);
        spelt.then(|| {
            self.advance();
            self.advance();
            sign
        })
    }

    fn concatenation(&mut self) -> Result<Expr, SqlError> {
        let mut left = self.sum()?;
        while self.take("||") {
            left = binary("||", left, self.sum()?);
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<Expr, SqlError> {
        let mut left = self.product()?;
        while let Some(operator) = self.operator(&["+", "-"]) {
            left = binary(&operator, left, self.product()?);
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Expr, SqlError> {
        let mut left = self.unary()?;
        while let Some(operator) = self.operator(&["*", "/", "%"]) {
            left = binary(&operator, left, self.unary()?);
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, SqlError> {
        if self.take("-") {
            return Ok(Expr::Negative(Box::new(self.unary()?)));
        }
        let mut inner = self.primary()?;
        loop {
            if self.take("::") {
                inner = Expr::Cast(Box::new(inner), self.target()?);
            } else if self.take("[") {
                let index = self.expr()?;
                self.expect("]")?;
                inner = Expr::Index(Box::new(inner), Box::new(index));
            } else if self.take("collate") {
                self.qualified()?;
            } else {
                return Ok(inner);
            }
        }
    }

    /// A type's name.
    fn target(&mut self) -> Result<Target, SqlError> {
        let mut name = self.qualified()?;
        if name == "double" {
            let _ = self.take("precision");
        }
        if name == "timestamp" || name == "character" {
            let _ = self.take_all(&["with", "time", "zone"]) || self.take("varying");
        }
        if self.take("(") {
            self.advance();
            self.expect(")")?;
        }
        if self.take("[") {
            self.expect("]")?;
            name.push_str("[]");
        }
        match name.as_str() {
            "regclass" => Ok(Target::Relation),
            "regtype" => Ok(Target::Type),
            "bit" => Ok(Target::Bits),
            "character" => Ok(Target::Kind(Kind::Text)),
            _ => Kind::named(&name)
                .map(Target::Kind)
                .ok_or_else(|| SqlError::new("42704", format!("type \"{name}\" does not exist"))),
        }
    }

    fn primary(&mut self) -> Result<Expr, SqlError> {
        match self.peek().cloned() {
            Some(Token::Number(text)) => {
                self.advance();
                number(&text)
            }
            Some(Token::Text(text)) => {
                self.advance();
                Ok(Expr::text(text))
            }
            Some(Token::Parameter(position)) => {
                self.advance();
                Ok(Expr::Parameter(position))
            }
            Some(Token::Sign(sign)) if sign == "(" => self.parenthesised(),
            Some(Token::Word(word)) => self.word(&word),
            Some(Token::Name(_)) => self.reference(),
            _ => Err(self.unexpected()),
        }
    }

    fn parenthesised(&mut self) -> Result<Expr, SqlError> {
        self.expect("(")?;
        let inner = if self.is_word("select") {
            Expr::Scalar(Box::new(self.query()?))
        } else {
            let mut all = self.list(Self::expr)?;
            if all.len() == 1 { all.remove(0) } else { Expr::Row(all) }
        };
        self.expect(")")?;
        Ok(inner)
    }

    fn word(&mut self, word: &str) -> Result<Expr, SqlError> {
        match word {
            "null" => self.constant(Value::Null, Kind::Text),
            "true" | "false" => self.constant(Value::Bool(word == "true"), Kind::Bool),
            "case" => self.case(),
            "exists" => {
                self.advance();
                self.expect("(")?;
                let query = self.query()?;
                self.expect(")")?;
                Ok(Expr::Exists(Box::new(query)))
            }
            "array" => self.array(),
            "row" => {
                self.advance();
                self.expect("(")?;
                let all = self.list(Self::expr)?;
                self.expect(")")?;
                Ok(Expr::Row(all))
            }
            "interval" => {
                self.advance();
                let Some(Token::Text(text)) = self.advance() else { return Err(self.unexpected()) };
                Ok(Expr::Value(Value::Float(super::operators::interval(&text)?), Kind::Interval))
            }
            "extract" | "cast" => self.special(word),
            _ if BARE_CALLS.contains(&word) && !matches!(self.peek_at(1), Some(Token::Sign(sign)) if sign == "(") => {
                self.advance();
                Ok(Expr::Call(word.to_owned(), Vec::new(), None))
            }
            _ => self.reference(),
        }
    }

    fn constant(&mut self, value: Value, kind: Kind) -> Result<Expr, SqlError> {
        self.advance();
        Ok(Expr::Value(value, kind))
    }

    /// `EXTRACT(field FROM x)` and `CAST(x AS type)`.
    fn special(&mut self, word: &str) -> Result<Expr, SqlError> {
        self.advance();
        self.expect("(")?;
        let made = if word == "extract" {
            let field = self.name()?;
            self.expect("from")?;
            Expr::Call("extract".to_owned(), vec![Expr::text(field), self.expr()?], None)
        } else {
            let inner = self.expr()?;
            self.expect("as")?;
            Expr::Cast(Box::new(inner), self.target()?)
        };
        self.expect(")")?;
        Ok(made)
    }

    fn case(&mut self) -> Result<Expr, SqlError> {
        self.advance();
        let operand = if self.is_word("when") { None } else { Some(self.expr()?) };
        let mut pairs = Vec::new();
        while self.take("when") {
            let condition = self.expr()?;
            let condition = match &operand {
                Some(operand) => binary("=", operand.clone(), condition),
                None => condition,
            };
            self.expect("then")?;
            pairs.push((condition, self.expr()?));
        }
        let otherwise = if self.take("else") { Some(Box::new(self.expr()?)) } else { None };
        self.expect("end")?;
        Ok(Expr::Case(pairs, otherwise))
    }

    fn array(&mut self) -> Result<Expr, SqlError> {
        self.advance();
        if self.take("(") {
            let query = self.query()?;
            self.expect(")")?;
            return Ok(Expr::Collect(Box::new(query)));
        }
        self.expect("[")?;
        let all = if self.is_sign("]") { Vec::new() } else { self.list(Self::expr)? };
        self.expect("]")?;
        Ok(Expr::Array(all))
    }

    /// A column, `table.column`, or a call.
    fn reference(&mut self) -> Result<Expr, SqlError> {
        let mut parts = vec![self.name()?];
        while self.is_sign(".") {
            self.advance();
            parts.push(self.name()?);
        }
        let name = parts.pop().unwrap_or_default();
        if !self.take("(") {
            return Ok(Expr::Column(parts.pop(), name));
        }
        let _ = self.take("distinct");
        let arguments = if self.take("*") || self.is_sign(")") { Vec::new() } else { self.list(Self::expr)? };
        self.expect(")")?;
        let mut filter = None;
        if self.take("filter") {
            self.expect("(")?;
            self.expect("where")?;
            filter = Some(Box::new(self.expr()?));
            self.expect(")")?;
        }
        Ok(Expr::Call(name, arguments, filter))
    }
}

fn binary(operator: &str, left: Expr, right: Expr) -> Expr {
    Expr::Binary(operator.to_owned(), Box::new(left), Box::new(right))
}

const fn truth(value: bool) -> Expr {
    Expr::Value(Value::Bool(value), Kind::Bool)
}
