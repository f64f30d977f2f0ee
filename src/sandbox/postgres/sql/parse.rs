//! From tokens to statements.

use super::{
    super::shape::Shaping,
    SqlError,
    syntax::{Expr, Statement, Whose},
    token::{Token, tokens},
};

/// Statements that PostgreSQL knows and the sandbox does not.
const FOREIGN: &[&str] = &[
    "analyze",
    "call",
    "close",
    "cluster",
    "comment",
    "copy",
    "deallocate",
    "declare",
    "delete",
    "discard",
    "do",
    "execute",
    "explain",
    "fetch",
    "listen",
    "load",
    "lock",
    "merge",
    "move",
    "notify",
    "prepare",
    "reindex",
    "release",
    "savepoint",
    "truncate",
    "unlisten",
    "update",
    "vacuum",
    "with",
];

/// A place in a list of tokens.
#[derive(Debug)]
pub(super) struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

/// Reads a text of statements that are parted by semicolons. Each comes with its first words, for errors and tags.
///
/// # Errors
/// The first thing that cannot be understood, with its place.
pub(in super::super) fn statements(text: &str) -> Result<Vec<Statement>, SqlError> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0 };
    let mut all = Vec::new();
    loop {
        while parser.take(";") {}
        if parser.peek().is_none() {
            return Ok(all);
        }
        all.push(parser.statement()?);
        if parser.peek().is_some() && !parser.is_sign(";") {
            return Err(parser.unexpected());
        }
    }
}

impl Parser {
    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    pub(super) fn advance(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    pub(super) fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Token::Sign(text)) if text == sign)
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(text)) if text == word)
    }

    /// Takes a sign or a word if it comes next.
    pub(super) fn take(&mut self, what: &str) -> bool {
        let comes = self.is_sign(what) || self.is_word(what);
        self.at += usize::from(comes);
        comes
    }

    /// Takes several words if they come next, one after the other.
    pub(super) fn take_all(&mut self, words: &[&str]) -> bool {
        let begin = self.at;
        let all = words.iter().all(|word| self.take(word));
        if !all {
            self.at = begin;
        }
        all
    }

    pub(super) fn expect(&mut self, what: &str) -> Result<(), SqlError> {
        if self.take(what) { Ok(()) } else { Err(self.unexpected()) }
    }

    pub(super) fn unexpected(&self) -> SqlError {
        match self.peek() {
            None => SqlError::new("42601", "syntax error at end of input"),
            Some(Token::Word(text) | Token::Name(text) | Token::Number(text) | Token::Sign(text)) => {
                SqlError::syntax(text)
            }
            Some(Token::Text(text)) => SqlError::syntax(&format!("'{text}'")),
            Some(Token::Parameter(number)) => SqlError::syntax(&format!("${number}")),
        }
    }

    /// A name, quoted or not.
    pub(super) fn name(&mut self) -> Result<String, SqlError> {
        match self.peek() {
            Some(Token::Word(name) | Token::Name(name)) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// A name that may stand in its schema; the schema is left out, as names are unique here.
    pub(super) fn qualified(&mut self) -> Result<String, SqlError> {
        let mut name = self.name()?;
        while self.take(".") {
            name = self.name()?;
        }
        Ok(name)
    }

    pub(super) fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T, SqlError>) -> Result<Vec<T>, SqlError> {
        let mut all = vec![item(self)?];
        while self.take(",") {
            all.push(item(self)?);
        }
        Ok(all)
    }

    fn statement(&mut self) -> Result<Statement, SqlError> {
        let Some(Token::Word(first)) = self.peek().cloned() else {
            if self.is_sign("(") {
                return self.query().map(Statement::Query);
            }
            return Err(self.unexpected());
        };
        match first.as_str() {
            "select" | "values" | "table" => self.query().map(Statement::Query),
            "begin" | "start" => {
                self.skip_to_end();
                Ok(Statement::Begin)
            }
            "commit" | "end" | "rollback" | "abort" => {
                self.skip_to_end();
                Ok(Statement::End(matches!(first.as_str(), "commit" | "end")))
            }
            "set" | "reset" => self.set(),
            "show" => {
                self.at += 1;
                Ok(Statement::Show(self.name()?))
            }
            "alter" => self.alter(),
            "create" => self.create(),
            "drop" => self.drop(),
            "grant" | "revoke" => self.grants(),
            "insert" => self.insert(),
            other if FOREIGN.contains(&other) => Err(SqlError::unspoken(&other.to_uppercase())),
            other => Err(SqlError::syntax(other)),
        }
    }

    fn skip_to_end(&mut self) {
        while self.peek().is_some() && !self.is_sign(";") {
            self.at += 1;
        }
    }

    fn set(&mut self) -> Result<Statement, SqlError> {
        let resets = self.take("reset");
        if !resets {
            self.expect("set")?;
            let _ = self.take("session") || self.take("local");
        }
        let name = self.qualified()?;
        let value = if resets { None } else { self.assigned()? };
        Ok(Statement::Set(name, value))
    }

    /// `= value` or `TO value`; `DEFAULT` is None.
    fn assigned(&mut self) -> Result<Option<String>, SqlError> {
        if !self.take("=") {
            self.expect("to")?;
        }
        let negative = self.take("-");
        match self.advance() {
            Some(Token::Word(word)) if word == "default" => Ok(None),
            Some(Token::Word(value) | Token::Name(value) | Token::Text(value)) => Ok(Some(value)),
            Some(Token::Number(value)) => Ok(Some(if negative { format!("-{value}") } else { value })),
            _ => Err(self.unexpected()),
        }
    }

    fn alter(&mut self) -> Result<Statement, SqlError> {
        self.expect("alter")?;
        if self.take("database") {
            let name = self.name()?;
            let _ = self.take("with");
            if self.take_all(&["connection", "limit"]) {
                return Ok(Statement::DatabaseLimit(name, self.whole()?));
            }
            let (setting, value) = self.default()?;
            return Ok(Statement::Default(Whose::Database, setting, value));
        }
        if self.take("subscription") {
            let name = self.name()?;
            let enable = self.take("enable");
            if !enable {
                self.expect("disable")?;
            }
            return Ok(Statement::Subscription(name, enable));
        }
        if self.take("table") {
            return self.alter_table();
        }
        if self.take_all(&["system", "set", "wal_level"]) {
            let value = self.assigned()?.unwrap_or_else(|| "replica".to_owned());
            return Ok(Statement::Shape(Shaping::WalLevel(value)));
        }
        if !self.take("role") && !self.take("user") {
            return Err(SqlError::unspoken("ALTER of anything but ROLE, DATABASE, TABLE, SYSTEM and SUBSCRIPTION"));
        }
        let name = self.name()?;
        let _ = self.take("with");
        for (word, superuser, given) in [
            ("superuser", true, true),
            ("nosuperuser", true, false),
            ("replication", false, true),
            ("noreplication", false, false),
        ] {
            if self.take(word) {
                return Ok(Statement::RoleRight(name, superuser, given));
            }
        }
        if self.take_all(&["connection", "limit"]) {
            return Ok(Statement::RoleLimit(name, self.whole()?));
        }
        if self.is_word("login") || self.is_word("nologin") {
            let login = self.take("login");
            self.at += usize::from(!login);
            return Ok(Statement::RoleLogin(name, login));
        }
        let here = self.take_all(&["in", "database"]);
        if here {
            self.name()?;
        }
        let (setting, value) = self.default()?;
        Ok(Statement::Default(if here { Whose::RoleHere(name) } else { Whose::Role(name) }, setting, value))
    }

    fn alter_table(&mut self) -> Result<Statement, SqlError> {
        let table = self.qualified()?;
        if self.take_all(&["replica", "identity"]) {
            let words = [("default", 'd'), ("full", 'f'), ("nothing", 'n')];
            let known = words.into_iter().find(|(word, _)| self.take(word));
            let (_, identity) = known.ok_or_else(|| self.unexpected())?;
            return Ok(Statement::Shape(Shaping::Identity(table, identity)));
        }
        self.expect("set")?;
        let logged = self.take("logged");
        if !logged {
            self.expect("unlogged")?;
        }
        Ok(Statement::Shape(Shaping::Logged(table, logged)))
    }

    fn create(&mut self) -> Result<Statement, SqlError> {
        self.expect("create")?;
        if self.take("extension") {
            return Ok(Statement::Shape(Shaping::Extension(self.name()?, true)));
        }
        if !self.take("index") {
            return Err(SqlError::unspoken("CREATE of anything but INDEX and EXTENSION"));
        }
        let _ = self.take("concurrently");
        let name = self.name()?;
        self.expect("on")?;
        let table = self.qualified()?;
        self.expect("(")?;
        let column = self.name()?;
        self.expect(")")?;
        Ok(Statement::Shape(Shaping::Index(name, table, column)))
    }

    fn drop(&mut self) -> Result<Statement, SqlError> {
        self.expect("drop")?;
        if self.take("extension") {
            return Ok(Statement::Shape(Shaping::Extension(self.name()?, false)));
        }
        if !self.take("index") {
            return Err(SqlError::unspoken("DROP of anything but INDEX and EXTENSION"));
        }
        let _ = self.take("concurrently");
        Ok(Statement::Shape(Shaping::NoIndex(self.qualified()?)))
    }

    /// `SET setting = value` or `RESET setting`.
    fn default(&mut self) -> Result<(String, Option<String>), SqlError> {
        if self.take("reset") {
            return Ok((self.name()?, None));
        }
        self.expect("set")?;
        let setting = self.name()?;
        Ok((setting, self.assigned()?))
    }

    fn whole(&mut self) -> Result<i64, SqlError> {
        let negative = self.take("-");
        let Some(Token::Number(digits)) = self.advance() else { return Err(self.unexpected()) };
        let number: i64 = digits.parse().map_err(|_| SqlError::syntax(&digits))?;
        Ok(if negative { -number } else { number })
    }

    fn grants(&mut self) -> Result<Statement, SqlError> {
        let gives = self.take("grant");
        if !gives {
            self.expect("revoke")?;
        }
        let privileges = if self.take("all") {
            let _ = self.take("privileges");
            super::super::access::PRIVILEGES.iter().map(|one| (*one).to_owned()).collect()
        } else {
            self.list(|parser| parser.name().map(|name| name.to_uppercase()))?
        };
        if self.is_sign("(") {
            return Err(SqlError::unspoken("privileges on single columns"));
        }
        self.expect("on")?;
        let tables = if self.take_all(&["all", "tables", "in", "schema"]) {
            self.name()?;
            Vec::new()
        } else {
            let _ = self.take("table");
            self.list(Self::qualified)?
        };
        self.expect(if gives { "to" } else { "from" })?;
        let roles = self.list(Self::name)?;
        let _ = self.take_all(&["with", "grant", "option"]) || self.take("cascade") || self.take("restrict");
        Ok(Statement::Grants(gives, privileges, tables, roles))
    }

    fn insert(&mut self) -> Result<Statement, SqlError> {
        self.expect("insert")?;
        self.expect("into")?;
        let table = self.qualified()?;
        self.expect("(")?;
        let columns = self.list(Self::name)?;
        self.expect(")")?;
        self.expect("values")?;
        self.expect("(")?;
        let values: Vec<Expr> = self.list(Self::expr)?;
        self.expect(")")?;
        let upserts = self.take_all(&["on", "conflict"]);
        if upserts {
            self.expect("(")?;
            self.name()?;
            self.expect(")")?;
            if !self.take_all(&["do", "update", "set"]) {
                return Err(SqlError::unspoken("ON CONFLICT without DO UPDATE"));
            }
            self.list(|parser| {
                let column = parser.name()?;
                parser.expect("=")?;
                if !parser.take_all(&["excluded", "."]) || parser.name()? != column {
                    return Err(SqlError::unspoken("DO UPDATE with anything but EXCLUDED of the same column"));
                }
                Ok(())
            })?;
        }
        Ok(Statement::Insert(table, columns, values, upserts))
    }
}
