//! Tokens of SQL.

use super::SqlError;

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A word, lower case as PostgreSQL folds it.
    Word(String),
    /// A quoted name, as it stands.
    Name(String),
    Number(String),
    Text(String),
    /// `$1` is 1.
    Parameter(usize),
    Sign(String),
}

/// Longest first.
const SIGNS: &[&str] = &["!~*", "::", "<=", ">=", "<>", "!=", "||", "~*", "!~", "->", ".."];

/// Splits a text into tokens; comments fall away.
///
/// # Errors
/// A string, a quoted name or a comment does not end, or a character belongs to no token.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, SqlError> {
    let mut rest = text;
    let mut all = Vec::new();
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return Ok(all) };
        let (token, length) = if let Some(skipped) = comment(rest)? {
            rest = &rest[skipped..];
            continue;
        } else if first == '\'' || (matches!(first, 'e' | 'E') && rest[1..].starts_with('\'')) {
            let skip = rest.find('\'').unwrap_or_default();
            let (text, length) = enclosed(&rest[skip..], '\'')?;
            (Token::Text(text), skip + length)
        } else if first == '"' {
            let (name, length) = enclosed(rest, '"')?;
            (Token::Name(name), length)
        } else if first.is_ascii_digit() {
            let number = span(rest, |c| c.is_ascii_digit() || c == '.');
            (Token::Number(number.to_owned()), number.len())
        } else if first == '$' && rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
            let digits = span(&rest[1..], |c| c.is_ascii_digit());
            let number = digits.parse().map_err(|_| SqlError::syntax(digits))?;
            (Token::Parameter(number), digits.len() + 1)
        } else if first.is_alphabetic() || first == '_' {
            let word = span(rest, |c| c.is_alphanumeric() || c == '_' || c == '$');
            (Token::Word(word.to_lowercase()), word.len())
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (Token::Sign((*sign).to_owned()), sign.len())
        } else if "(),.;=<>+-*/%[]~:".contains(first) {
            (Token::Sign(first.to_string()), 1)
        } else {
            return Err(SqlError::syntax(&first.to_string()));
        };
        all.push(token);
        rest = &rest[length..];
    }
}

/// The length of the comment that begins here, if one does.
fn comment(text: &str) -> Result<Option<usize>, SqlError> {
    if text.starts_with("--") {
        return Ok(Some(text.find('\n').unwrap_or(text.len())));
    }
    if !text.starts_with("/*") {
        return Ok(None);
    }
    let end = text.find("*/").ok_or_else(|| SqlError::syntax("/*"))?;
    Ok(Some(end + 2))
}

fn span(text: &str, belongs: impl Fn(char) -> bool) -> &str {
    &text[..text.find(|c| !belongs(c)).unwrap_or(text.len())]
}

/// The text between two quotes, doubled ones taken as one, and its length with the quotes.
fn enclosed(text: &str, quote: char) -> Result<(String, usize), SqlError> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != quote {
            out.push(c);
        } else if chars.next_if(|(_, next)| *next == quote).is_some() {
            out.push(quote);
        } else {
            return Ok((out, at + 1));
        }
    }
    Err(SqlError::syntax(&quote.to_string()))
}
