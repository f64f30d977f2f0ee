//! From TOML text to raw types, gathering every error instead of stopping at the first.
//!
//! serde stops at the first thing it does not understand. [`read`] reports it, cuts the offending entry out of the
//! parsed tree and tries again, so one run tells all. Spans survive, because the tree keeps them.

use std::any::type_name;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, Visitor, value::Error as ValueError},
    forward_to_deserialize_any,
};
use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use super::{
    error::{Report, Span},
    raw::RawStep,
    scalar::suggest,
};

/// Parsed TOML with the place of every key and value.
pub(super) type Tree<'i> = Spanned<DeValue<'i>>;

/// More shape errors than this are not looked for.
const MOST_ERRORS: usize = 200;

/// Parses the text; reports every syntax error and gives None when there is one.
pub(super) fn parse<'i>(source: &'i str, report: &mut Report) -> Option<Tree<'i>> {
    let (table, errors) = DeTable::parse_recoverable(source);
    for error in &errors {
        report.error(error.span().unwrap_or(0..0), error.message());
    }
    let span = table.span();
    errors.is_empty().then(|| Spanned::new(span, DeValue::Table(table.into_inner())))
}

/// Takes some of the root's entries out into a tree of their own.
pub(super) fn take<'i>(tree: &mut Tree<'i>, keys: &[&str]) -> Tree<'i> {
    let mut taken = DeTable::new();
    if let DeValue::Table(root) = tree.get_mut() {
        for key in keys {
            if let Some((key, value)) = root.remove_entry(*key) {
                taken.insert(key, value);
            }
        }
    }
    Spanned::new(tree.span(), DeValue::Table(taken))
}

/// The elements of a root's array of tables.
pub(super) fn items<'a, 'i>(tree: &'a Tree<'i>, section: &str) -> impl Iterator<Item = &'a DeTable<'i>> {
    let array = tree.get_ref().get(section).and_then(|value| value.get_ref().as_array());
    array.into_iter().flat_map(|array| array.iter()).filter_map(|item| item.get_ref().as_table())
}

/// Moves what only a step's kind knows into a table under `kind`: `kind = { "dns.drain" = { records = [..] } }`, which
/// serde reads as an enum without losing places.
pub(super) fn shape_steps(tree: &mut Tree<'_>) {
    let DeValue::Table(root) = tree.get_mut() else { return };
    let Some(DeValue::Array(steps)) = root.get_mut("step").map(Spanned::get_mut) else { return };
    for step in steps.iter_mut() {
        let place = step.span();
        if let DeValue::Table(step) = step.get_mut() {
            shape_step(step, &place);
        }
    }
}

fn shape_step(step: &mut DeTable<'_>, place: &Span) {
    let Some(DeValue::String(kind)) = step.get("kind").map(Spanned::get_ref) else { return };
    let kind = kind.clone();
    let common = fields_of::<RawStep>();
    let mut own = DeTable::new();
    for (key, value) in std::mem::take(step) {
        let target = if common.contains(&key.get_ref().as_ref()) { &mut *step } else { &mut own };
        target.insert(key, value);
    }
    let Some(slot) = step.get_mut("kind") else { return };
    let kind_place = slot.span();
    let mut variant = DeTable::new();
    variant.insert(Spanned::new(kind_place, kind), Spanned::new(place.clone(), DeValue::Table(own)));
    *slot.get_mut() = DeValue::Table(variant);
}

/// Reads a tree as `T`. Every entry that does not fit is reported and left out, an element that lacks something is
/// left out whole. None when nothing readable remains.
pub(super) fn read<T: DeserializeOwned>(mut tree: Tree<'_>, report: &mut Report) -> Option<T> {
    let mut cut = Vec::new();
    for _ in 0..MOST_ERRORS {
        let error = match T::deserialize(toml::de::ValueDeserializer::from(tree.clone())) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let span = error.span().unwrap_or(0..0);
        let message = Message::parse(error.message());
        let echo = matches!(&message, Message::Missing(name) if cut.contains(&(span.clone(), name.clone())));
        if !echo {
            tell(&message, &span, &tree, report);
        }
        let tables_only = matches!(message, Message::Missing(_));
        let (table, name) = remove(&mut tree, &span, tables_only)?;
        if table == tree.span() {
            report.unread.push(name.clone());
        }
        cut.push((table, name));
    }
    None
}

/// What serde says, taken apart.
enum Message {
    Missing(String),
    Unknown { what: &'static str, name: String, known: Vec<String> },
    Other(String),
}

impl Message {
    fn parse(text: &str) -> Self {
        let mut names = text.split('`').skip(1).step_by(2).map(str::to_owned);
        let unknown = [("unknown field `", "field"), ("unknown variant `", "kind of step")];
        if text.starts_with("missing field `") {
            return Self::Missing(names.next().unwrap_or_default());
        }
        match unknown.into_iter().find(|(prefix, _)| text.starts_with(prefix)) {
            Some((_, what)) => Self::Unknown { what, name: names.next().unwrap_or_default(), known: names.collect() },
            None => Self::Other(text.to_owned()),
        }
    }
}

fn tell(message: &Message, span: &Span, tree: &Tree<'_>, report: &mut Report) {
    match message {
        Message::Missing(name) => {
            report.error(span.clone(), format!("`{name}` is missing here")).help(format!("add `{name} = ...`"));
        }
        Message::Unknown { what, name, known } => {
            let common = if in_step(tree, span) { fields_of::<RawStep>() } else { &[] };
            let known: Vec<_> = known.iter().map(String::as_str).chain(common.iter().copied()).collect();
            let help =
                if known.is_empty() { "it knows no field of this kind".to_owned() } else { suggest(name, known) };
            report.error(span.clone(), format!("unknown {what} {}", super::scalar::quote(name))).help(help);
        }
        Message::Other(text) => {
            // serde's words for what TOML calls otherwise.
            let text = text.replace("type: map", "type: table").replace("type: sequence", "type: list");
            let problem = report.error(span.clone(), text.replace("a sequence", "a list"));
            if let Some((name, value)) = section_at(tree, span) {
                let (one, many) = (format!("one table: `[{name}]`"), format!("a list of tables: `[[{name}]]`"));
                problem.help(format!("write it as {}", if value.is_array() { one } else { many }));
            }
        }
    }
}

/// The section of the root that as a whole stands at this place, when it is a table or a list of tables.
fn section_at<'a, 'i>(tree: &'a Tree<'i>, span: &Span) -> Option<(&'a str, &'a DeValue<'i>)> {
    let sections = tree.get_ref().as_table()?.iter();
    let mut hits =
        sections.filter(|(_, value)| value.span() == *span).map(|(key, value)| (key.get_ref(), value.get_ref()));
    let (name, value) = hits.find(|(_, value)| value.is_table() || value.is_array())?;
    Some((name.as_ref(), value))
}

/// Whether the key at this place is one of a step's own kind.
fn in_step(tree: &Tree<'_>, span: &Span) -> bool {
    items(tree, "step").any(|step| {
        let kind = step.get("kind").and_then(|kind| kind.get_ref().as_table());
        let mut own = kind.into_iter().flat_map(|kind| kind.values()).filter_map(|own| own.get_ref().as_table());
        own.any(|own| own.keys().any(|key| key.span() == *span))
    })
}

/// Removes the outermost entry whose key or value stands at this place; tells the table that held it and the name it
/// had there, so that the "missing" that follows from it is known for an echo.
fn remove<'i>(tree: &mut Tree<'i>, place: &Span, tables_only: bool) -> Option<(Span, String)> {
    let own = tree.span();
    let hit = |value: &Tree<'i>| value.span() == *place && (!tables_only || value.get_ref().is_table());
    match tree.get_mut() {
        DeValue::Table(table) => {
            let found = table.iter().find(|(key, value)| (!tables_only && key.span() == *place) || hit(value));
            if let Some(name) = found.map(|(key, _)| key.get_ref().to_string()) {
                table.remove(name.as_str());
                return Some((own, name));
            }
            table.iter_mut().find_map(|(_, value)| remove(value, place, tables_only))
        }
        DeValue::Array(array) => match array.iter().position(hit) {
            Some(at) => {
                let rest =
                    std::mem::replace(array, DeArray::new()).into_iter().enumerate().filter(|(index, _)| *index != at);
                *array = rest.map(|(_, value)| value).collect();
                Some((own, String::new()))
            }
            None => array.iter_mut().find_map(|value| remove(value, place, tables_only)),
        },
        _ => None,
    }
}

/// The field names of a struct or the variants of an enum, as its `Deserialize` announces them.
pub(super) fn fields_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    struct Names<'a>(&'a mut &'static [&'static str]);
    impl<'de> Deserializer<'de> for Names<'_> {
        type Error = ValueError;
        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ValueError> {
            Err(ValueError::custom(format!("failed to learn the names of {}", type_name::<V>())))
        }
        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, ValueError> {
            *self.0 = fields;
            self.deserialize_any(visitor)
        }
        fn deserialize_enum<V: Visitor<'de>>(
            self,
            _: &'static str,
            variants: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, ValueError> {
            *self.0 = variants;
            self.deserialize_any(visitor)
        }
        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map identifier ignored_any
        }
    }
    let mut names: &'static [&'static str] = &[];
    // The error is how the visit ends: nothing is read, only the names are.
    let _ = T::deserialize(Names(&mut names));
    names
}

/// The text of a string value.
pub(super) fn text<'a>(value: Option<&'a Spanned<DeValue<'_>>>) -> Option<(&'a str, Span)> {
    value.and_then(|value| Some((value.get_ref().as_str()?, value.span())))
}
