//! Holds the map: the table in `src/lib.rs` is the rule, and every path in `src/` is read against it.
//!
//! Code under `#[cfg(test)]`, and files that only tests see, may join rooms and use dev tools: it is not shipped.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may panic as the test itself")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const LONGEST_FILE: usize = 500;

/// What `plan` and `run` may not know: no clock, no I/O, no async, no screen.
const IMPURE: [&str; 25] = [
    "tokio",
    "tokio_util",
    "futures_util",
    "aws_config",
    "aws_runtime",
    "reqwest",
    "hyper",
    "axum",
    "ratatui",
    "crossterm",
    "hickory_net",
    "hickory_proto",
    "rustix",
    "tracing",
    "std::fs",
    "std::io",
    "std::process",
    "std::thread",
    "std::env",
    "std::time::SystemTime",
    "std::time::Instant",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
];

/// Prefixes of crates that `plan` and `run` may not know.
const IMPURE_FAMILIES: [&str; 2] = ["aws_sdk_", "aws_smithy_"];

#[test]
fn no_room_imports_what_the_table_does_not_allow() {
    let table = table(&read("src/lib.rs"));
    let mut wrong = Vec::new();
    for (path, text) in shipped() {
        let room = room_of(&path);
        if ["lib", "main", "screen"].contains(&room.as_str()) {
            continue;
        }
        let Some(allowed) = table.get(&room) else {
            wrong.push(format!("{}: room `{room}` is not in the table of src/lib.rs", path.display()));
            continue;
        };
        for target in edges(&text, depth(&path)) {
            let known = table.contains_key(&target);
            if known && target != room && !allowed.contains(&target) && !allowed.contains("all") {
                wrong.push(format!("{}: `{room}` may not import `{target}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "the map is broken:\n{}", wrong.join("\n"));
}

#[test]
fn the_table_names_every_room() {
    let table = table(&read("src/lib.rs"));
    let rooms: BTreeSet<_> = shipped().iter().map(|(path, _)| room_of(path)).collect();
    assert!(rooms.contains("run") && rooms.contains("plan"), "no source was found: {rooms:?}");
    assert!(
        table.len() >= 12 && table["run"].len() == 1 && table["plan"].is_empty(),
        "the table was misread: {table:?}"
    );
}

#[test]
fn the_core_is_pure() {
    let pure = shipped().into_iter().filter(|(path, _)| ["plan", "run"].contains(&room_of(path).as_str()));
    let wrong: Vec<_> = pure
        .flat_map(|(path, text)| impure(&text).into_iter().map(move |what| format!("{}: {what}", path.display())))
        .collect();
    assert!(wrong.is_empty(), "`plan` and `run` must stay pure:\n{}", wrong.join("\n"));
}

#[test]
fn no_file_holds_two_ideas() {
    let long: Vec<_> = ["src", "tests", "benches"]
        .iter()
        .flat_map(|folder| rust_files(Path::new(folder)))
        .map(|path| (fs::read_to_string(&path).unwrap().lines().count(), path))
        .filter(|(lines, _)| *lines > LONGEST_FILE)
        .map(|(lines, path)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "more than {LONGEST_FILE} lines:\n{}", long.join("\n"));
}

#[test]
fn the_reader_sees_every_form_of_a_path() {
    let text = r##"
        // use crate::comment;
        /* use crate::block; /* nested */ */
        use crate::{engine, steps::{apply, undo as back}, world::dns};
        fn a<'a>(x: &'a str) -> crate::tui::App { let _ = "crate::text"; let _ = r#"crate::raw"#; let _ = '"'; todo!() }
        use super::super::journal::Entry;
        #[cfg(test)]
        mod tests { use crate::sandbox::World; fn b() { { crate::session::x() } } }
        #[cfg(test)]
        use crate::watch::Gone;
        #[tokio::main]
        async fn main() { std::fs::read("x"); aws_sdk_rds::Client::new(); }
    "##;
    let seen: Vec<_> = edges(&without_tests(text), 2).into_iter().collect();
    assert_eq!(seen, ["engine", "journal", "steps", "tui", "world"]);
    let found = impure(&without_tests(text));
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(impure("use std::{net::SocketAddr, time::Duration};").is_empty());
    assert_eq!(impure("use std::{net::{SocketAddr, TcpStream}, time::{Duration, SystemTime}};").len(), 2);
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("failed to read {path}: {error}"))
}

/// Room to what it may import, from the table in the head of `src/lib.rs`.
fn table(lib: &str) -> BTreeMap<String, BTreeSet<String>> {
    let rows = lib.lines().filter_map(|line| line.strip_prefix("//! | "));
    let cells = rows.map(|row| row.trim_end_matches(" |").split(" | ").collect::<Vec<_>>());
    let room = |cell: &str| cell.trim_matches(|c| "[]`".contains(c)).to_owned();
    cells
        .filter(|cells| cells.len() == 3 && cells[0].contains('`'))
        .map(|cells| {
            let words = cells[2].split(',').map(|word| word.split('(').next().unwrap_or_default().trim());
            // "world" of "plan, run (their plain data), clock"
            let allowed = words.filter(|word| !word.is_empty() && *word != "nothing").map(room).collect();
            (room(cells[0]), allowed)
        })
        .collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    let of = |path: PathBuf| if path.is_dir() { rust_files(&path) } else { vec![path] };
    found.into_iter().flat_map(of).filter(|path| path.extension().is_some_and(|ext| ext == "rs")).collect()
}

/// Every file of `src/` that is shipped, without its test code.
fn shipped() -> Vec<(PathBuf, String)> {
    let files = rust_files(Path::new("src")).into_iter();
    let tests_only = |path: &PathBuf| {
        path.components().any(|part| part.as_os_str().to_str().is_some_and(|name| name.starts_with("tests")))
    };
    files
        .filter(|path| !tests_only(path))
        .map(|path| {
            let text = without_tests(&fs::read_to_string(&path).unwrap());
            (path, text)
        })
        .collect()
}

/// `src/run/decide/mod.rs` belongs to `run`.
fn room_of(path: &Path) -> String {
    let first = path.components().nth(1).unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// How many `super::` lead to the crate's root: 1 for `src/run/mod.rs`, 2 for `src/run/gate.rs`.
fn depth(path: &Path) -> usize {
    let parts = path.components().count() - 1;
    if path.ends_with("mod.rs") { parts - 1 } else { parts }
}

/// First segments below the crate's root of every path in the text.
fn edges(text: &str, depth: usize) -> BTreeSet<String> {
    let paths = paths(text);
    let below_root = |path: &Vec<String>| match path.iter().take_while(|part| *part == "super").count() {
        0 if path[0] == "crate" => path.get(1).cloned(),
        supers if supers == depth => path.get(supers).cloned(),
        _ => None,
    };
    paths.iter().filter_map(below_root).collect()
}

fn impure(text: &str) -> BTreeSet<String> {
    let joined = paths(text).into_iter().map(|path| path.join("::"));
    let bad = |path: &String| {
        let starts = |word: &str| path == word || path.starts_with(&format!("{word}::"));
        IMPURE.iter().any(|word| starts(word)) || IMPURE_FAMILIES.iter().any(|family| path.starts_with(family))
    };
    joined.filter(bad).collect()
}

/// Every path of two or more segments, use trees spread out.
fn paths(text: &str) -> Vec<Vec<String>> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let begins = is_ident(&tokens[at]) && (at == 0 || tokens[at - 1] != "::");
        if begins && tokens.get(at + 1).is_some_and(|next| next == "::") {
            at = tree(&tokens, at, &[], &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one branch of a use tree (or a plain path) from `at`; returns where it ends.
fn tree(tokens: &[String], mut at: usize, stem: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = stem.to_vec();
    while let Some(token) = tokens.get(at) {
        if token == "{" {
            at += 1;
            while tokens.get(at).is_some_and(|token| token != "}") {
                at = if tokens[at] == "," { at + 1 } else { tree(tokens, at, &path, found).max(at + 1) };
            }
            return at + 1;
        }
        if !is_ident(token) && token != "*" {
            break;
        }
        path.push(token.clone());
        at += 1;
        if tokens.get(at).is_some_and(|next| next == "as") {
            at += 2;
        }
        if tokens.get(at).is_none_or(|next| next != "::") {
            break;
        }
        at += 1;
    }
    found.push(path);
    at
}

fn is_ident(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_') && token != "as"
}

/// Identifiers, `::` and single signs; comments, strings, characters and numbers are left out.
fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skip = skipped(rest);
        if skip > 0 {
            rest = &rest[skip..];
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.push(rest[..end].to_owned());
            rest = &rest[end..];
        } else {
            let sign = if rest.starts_with("::") { "::" } else { &rest[..first.len_utf8()] };
            if !first.is_whitespace() {
                found.push(sign.to_owned());
            }
            rest = &rest[sign.len()..];
        }
    }
    found
}

/// How many bytes at the start are a comment, a string or a character.
fn skipped(rest: &str) -> usize {
    let upto = |from: usize, end: &str| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return upto(2, "\n");
    }
    if rest.starts_with("/*") {
        return block(rest);
    }
    let hashes = rest.strip_prefix('r').map_or(0, |raw| raw.len() - raw.trim_start_matches('#').len());
    if rest.starts_with('r') && rest[1 + hashes..].starts_with('"') {
        return upto(2 + hashes, &format!("\"{}", "#".repeat(hashes)));
    }
    if rest.starts_with('"') {
        return quoted(rest);
    }
    // A character, not a lifetime: 'x' or '\n'.
    let mut chars = rest.char_indices().skip(1);
    match (rest.starts_with('\''), chars.next(), chars.next()) {
        (true, Some((_, '\\')), Some((at, _))) => upto(at + 1, "'"),
        (true, Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    rest.len()
}

fn block(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The tokens of a text again, without the item that follows each `#[cfg(test)]`.
fn without_tests(text: &str) -> String {
    let tokens = tokens(text);
    let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if tokens[at..].iter().take(mark.len()).eq(mark.iter()) {
            at = item_end(&tokens, at + mark.len());
        } else {
            kept.push(tokens[at].as_str());
            at += 1;
        }
    }
    kept.join(" ")
}

fn item_end(tokens: &[String], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token.as_str() {
            "{" => depth += 1,
            // The item is the last of a block, such as a field: the block's own end stays.
            "}" if depth == 0 => return at - 1,
            "}" if depth == 1 => break,
            "}" => depth -= 1,
            ";" if depth == 0 => break,
            _ => {}
        }
    }
    at
}
