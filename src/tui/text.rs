//! Words and numbers as people say them, measured in terminal columns.

use std::{borrow::Cow, time::Duration};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::{plan::Unit, run::clock_text};

/// Columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    single(text).unwrap_or_else(|| UnicodeWidthStr::width(text))
}

/// The columns of a text of which every character fills one by itself; None: it takes a closer look.
///
/// Those are printable ASCII and what lines, bars, graphs and glyphs are drawn with, which is nearly all of a screen.
pub(super) fn single(text: &str) -> Option<usize> {
    if plain(text) {
        return Some(text.len());
    }
    let (mut rest, mut columns) = (text.as_bytes(), 0);
    loop {
        rest = match rest {
            [] => return Some(columns),
            [b' '..=b'~', rest @ ..]
            // The middle dot.
            | [0xc2, 0xb7, rest @ ..]
            // U+2010 to U+2027: dashes and the ellipsis.
            | [0xe2, 0x80, 0x90..=0xa7, rest @ ..]
            // U+2190 to U+21BF: arrows.
            | [0xe2, 0x86, 0x90..=0xbf, rest @ ..]
            // U+2500 to U+25FB: lines, blocks and shapes.
            | [0xe2, 0x94..=0x96, _, rest @ ..] | [0xe2, 0x97, ..=0xbb, rest @ ..]
            // U+2713 to U+2718: ticks and crosses.
            | [0xe2, 0x9c, 0x93..=0x98, rest @ ..]
            // U+2800 to U+28FF: braille.
            | [0xe2, 0xa0..=0xa3, _, rest @ ..] => rest,
            _ => return None,
        };
        columns += 1;
    }
}

/// Printable ASCII, as nearly everything is: a byte is a column, and nothing needs to be looked at closely.
pub(super) fn plain(text: &str) -> bool {
    // To the end in any case: many bytes are looked at together.
    text.bytes().fold(true, |all, byte| all & matches!(byte, b' '..=b'~'))
}

/// The text without what a terminal might obey: control characters and marks that turn the direction of writing.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if single(text).is_none() && text.chars().any(hostile) {
        return Cow::Owned(text.chars().filter(|c| !hostile(*c)).collect());
    }
    Cow::Borrowed(text)
}

fn hostile(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text cut to so many columns, with `ellipsis` (one column) where something is missing.
pub(super) fn fit<'a>(text: &'a str, columns: usize, ellipsis: &str) -> Cow<'a, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut cut = String::with_capacity(columns + 3);
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > columns {
            break;
        }
        cut.push(c);
    }
    if columns > 0 {
        cut.push_str(ellipsis);
    }
    Cow::Owned(cut)
}

/// The text in lines of at most so many columns, broken at spaces where there are any.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<Cow<'_, str>> {
    let single_spaced = || !text.as_bytes().windows(2).any(|two| two == b"  ");
    if plain(text) && single_spaced() {
        wrap_plain(text.trim_matches(' '), columns.max(1))
    } else {
        wrap_any(text, columns).into_iter().map(Cow::Owned).collect()
    }
}

/// The same of printable ASCII with single spaces: each line is a part of the text.
fn wrap_plain(mut rest: &str, columns: usize) -> Vec<Cow<'_, str>> {
    let mut lines = Vec::with_capacity(rest.len() / columns + 1);
    while rest.len() > columns {
        let space = rest.as_bytes()[..=columns].iter().rposition(|byte| *byte == b' ');
        let (line, more) = match space {
            Some(space) => (&rest[..space], &rest[space + 1..]),
            None => rest.split_at(columns),
        };
        lines.push(Cow::Borrowed(line));
        rest = more;
    }
    if !rest.is_empty() {
        lines.push(Cow::Borrowed(rest));
    }
    lines
}

fn wrap_any(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut used) = (String::new(), 0);
    for word in text.split_whitespace() {
        if !line.is_empty() && used + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if !line.is_empty() {
            line.push(' ');
            used += 1;
        }
        for c in word.chars() {
            let more = c.width().unwrap_or(0);
            if used + more > columns.max(1) {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
            // Columns of joined characters are not the sum of each.
            used = width(&line);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// A duration as people read a clock: `45 s`, `12:31`, `1:02:03`.
pub(super) fn clock(duration: Duration) -> String {
    clock_text(SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX))
}

/// A duration in four columns or so: `8 s`, `12 m`, `3 h`, `2 d`.
pub(super) fn brief(duration: Duration) -> String {
    match duration.as_secs() {
        s @ 0..100 => format!("{s} s"),
        s @ 100..6_000 => format!("{} m", s / 60),
        s @ 6_000..360_000 => format!("{} h", s / 3_600),
        s => format!("{} d", s / 86_400),
    }
}

/// How long ago, never negative.
pub(super) fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or(Duration::ZERO)
}

/// The latency of an answer: `74 ms`, `1.2 s`.
pub(super) fn latency(duration: Duration) -> String {
    value(Unit::Seconds, duration.as_secs_f64())
}

/// A measured value with its unit.
pub(super) fn value(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Count => number(value),
        Unit::PerSecond => format!("{}/s", number(value)),
        Unit::Percent => format!("{} %", percent(value)),
        Unit::Seconds if value >= 10.0 => format!("{value:.0} s"),
        Unit::Seconds if value >= 1.0 => format!("{value:.1} s"),
        Unit::Seconds if value > 0.0 && value < 0.000_95 => format!("{:.2} ms", value * 1e3),
        Unit::Seconds => format!("{:.0} ms", value * 1e3),
        Unit::Bytes => bytes(value),
    }
}

/// A value on an axis: the unit is said by the title (`CPU %`), except where the number would be nothing without it.
pub(super) fn axis(unit: Unit, number: f64) -> String {
    let full = value(unit, number);
    full.trim_end_matches("/s").trim_end_matches(" %").to_owned()
}

fn percent(value: f64) -> String {
    match value.abs() {
        v if v >= 10.0 || v == 0.0 => format!("{value:.0}"),
        v if v >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A number in at most five columns.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 9_999_500.0 => format!("{:.0}M", value / 1e6),
        v if v >= 999_500.0 => format!("{:.1}M", value / 1e6),
        v if v >= 99_950.0 => format!("{:.0}k", value / 1e3),
        v if v >= 9_999.5 => format!("{:.1}k", value / 1e3),
        v if v >= 9.95 || v.fract() < 1e-9 => format!("{value:.0}"),
        _ => format!("{value:.1}"),
    }
}

fn bytes(value: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut scaled = value;
    let mut unit = 0;
    while scaled.abs() >= 1024.0 && unit + 1 < units.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && scaled.abs() < 10.0);
    format!("{scaled:.digits$} {}", units[unit])
}

/// Time of day, `02:44:07`.
pub(super) fn time(at: Timestamp, tz: &TimeZone) -> String {
    at.to_zoned(tz.clone()).strftime("%H:%M:%S").to_string()
}

/// Time of day without seconds, `02:44`.
pub(super) fn minute(at: Timestamp, tz: &TimeZone) -> String {
    at.to_zoned(tz.clone()).strftime("%H:%M").to_string()
}

/// Day and time of day, `1 Mar 21:05`.
pub(super) fn day(at: Timestamp, tz: &TimeZone) -> String {
    at.to_zoned(tz.clone()).strftime("%-d %b %H:%M").to_string()
}

/// The zone's short name, `EST`.
pub(super) fn zone(at: Timestamp, tz: &TimeZone) -> String {
    at.to_zoned(tz.clone()).strftime("%Z").to_string()
}

/// `1 step`, `3 steps`.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_people_say_them() {
        for (unit, number, text) in [
            (Unit::Seconds, 0.0741, "74 ms"),
            (Unit::Seconds, 1.234, "1.2 s"),
            (Unit::Seconds, 0.0005, "0.50 ms"),
            (Unit::PerSecond, 212.4, "212/s"),
            (Unit::PerSecond, 0.0, "0/s"),
            (Unit::Percent, 0.02, "0.02 %"),
            (Unit::Percent, 42.4, "42 %"),
            (Unit::Bytes, 1536.0, "1.5 KiB"),
            (Unit::Bytes, 42.0 * 1024.0 * 1024.0 * 1024.0, "42 GiB"),
            (Unit::Count, 12_345.0, "12.3k"),
        ] {
            assert_eq!(value(unit, number), text);
        }
        assert_eq!(clock(Duration::from_secs(3_723)), "1:02:03");
        assert_eq!(brief(Duration::from_secs(150)), "2 m");
    }

    #[test]
    fn wide_characters_are_measured_in_columns() {
        assert_eq!(fit("漢字漢字", 5, "…"), "漢字…");
        assert_eq!(width(&fit("漢字漢字", 4, "…")), 3);
        assert_eq!(fit("plain", 5, "…"), "plain");
        assert_eq!(fit("plain", 4, "…"), "pla…");
        assert_eq!(fit("plain", 0, "…"), "");
    }

    #[test]
    fn lines_break_at_spaces_and_long_words_anywhere() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
    }

    proptest::proptest! {
        #[test]
        fn plain_text_breaks_as_any_other(text in "[ -~]{0,9}( {1,2}[a-z.-]{0,30}){0,6}", columns in 0usize..40) {
            proptest::prop_assert_eq!(wrap(&text, columns), wrap_any(&text, columns));
        }
    }

    #[test]
    fn characters_that_are_not_looked_at_closely_fill_one_column_each() {
        let all = || (' '..='\u{ffff}').filter(|c| single(c.encode_utf8(&mut [0; 4])).is_some());
        assert!(all().count() > 600);
        for c in all() {
            assert_eq!(c.width(), Some(1), "{c:?}");
            assert!(!hostile(c), "{c:?}");
        }
        assert_eq!(single("a─⣿…✔"), Some(5));
        assert_eq!([single("✔\u{fe0f}"), single("漢"), single("\u{1b}"), single("e\u{301}")], [None; 4]);
    }

    #[test]
    fn what_a_terminal_would_obey_is_taken_out() {
        assert_eq!(clean("a\u{1b}[31mb\u{202e}c\u{9b}d"), "a[31mbcd");
        assert!(matches!(clean("fine"), Cow::Borrowed(_)));
    }
}
