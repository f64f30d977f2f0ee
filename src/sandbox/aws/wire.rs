//! The encodings that AWS services speak, to and from one neutral form: [`serde_json::Value`].
//!
//! One core function then serves every client of a service: the Rust SDK (smithy rpc-v2-cbor), newer AWS CLIs (the same,
//! or JSON 1.0) and older ones (query and XML). In the neutral form a time is a number of epoch seconds.

use std::fmt::{Display, Write as _};

use aws_smithy_cbor::{Decoder, Encoder, data::Type, decode::DeserializeError};
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use serde_json::{Map, Number, Value};

use crate::sandbox::http::parse_form;

/// Members that hold times, wherever they stand: the encodings write these differently from other numbers.
const TIMES: &[&str] = &["Timestamps", "Timestamp", "StartTime", "EndTime"];

/// Deeper CBOR than this is refused instead of overflowing the stack.
const MAX_DEPTH: usize = 32;

/// Builds an XML document.
#[derive(Debug, Default)]
pub(super) struct Xml(String);

impl Xml {
    /// A whole document with one root element in a namespace.
    pub(super) fn document(root: &str, namespace: &str, build: impl FnOnce(&mut Self)) -> String {
        let mut xml = Self("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned());
        let _ = write!(xml.0, "<{root} xmlns=\"{namespace}\">");
        build(&mut xml);
        let _ = write!(xml.0, "</{root}>");
        xml.0
    }

    /// An element that holds elements.
    pub(super) fn nest(&mut self, tag: &str, build: impl FnOnce(&mut Self)) {
        let _ = write!(self.0, "<{tag}>");
        build(self);
        let _ = write!(self.0, "</{tag}>");
    }

    /// An element that holds text.
    pub(super) fn text(&mut self, tag: &str, value: impl Display) {
        let value = value.to_string();
        let _ = write!(self.0, "<{tag}>{}</{tag}>", quick_xml::escape::escape(&value));
    }

    /// A neutral value in the query protocol's form: lists as `<member>`, times as ISO 8601.
    pub(super) fn value(&mut self, tag: &str, value: &Value) {
        match value {
            Value::Null => {}
            Value::Object(members) => {
                self.nest(tag, |xml| members.iter().for_each(|(key, value)| xml.value(key, value)))
            }
            Value::Array(items) => self.nest(tag, |xml| {
                for item in items {
                    match item.as_f64().filter(|_| TIMES.contains(&tag)) {
                        Some(time) => xml.text("member", iso(time)),
                        None => xml.value("member", item),
                    }
                }
            }),
            Value::String(text) => self.text(tag, text),
            other => self.text(tag, other),
        }
    }

    /// A neutral value whose lists name their items: `{"Tags": {"Tag": [..]}}` becomes one `<Tag>` for each item.
    pub(super) fn named(&mut self, tag: &str, value: &Value) {
        match value {
            Value::Object(members) => {
                self.nest(tag, |xml| members.iter().for_each(|(key, value)| xml.named(key, value)));
            }
            Value::Array(items) => items.iter().for_each(|item| self.named(tag, item)),
            other => self.value(tag, other),
        }
    }
}

/// Epoch seconds as ISO 8601 with milliseconds, as AWS writes times.
fn iso(seconds: f64) -> String {
    let time = Timestamp::from_millisecond((seconds * 1000.0) as i64).unwrap_or(Timestamp::UNIX_EPOCH);
    iso_time(time)
}

/// A time as AWS writes it in XML.
pub(super) fn iso_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Parses a query-protocol body into the neutral form: `A.member.1.B=x` becomes `{"A": [{"B": "x"}]}`. Every leaf is a
/// string; whoever reads a number reads it from a string too.
pub(super) fn from_query(body: &str) -> Value {
    let mut root = Value::Object(Map::new());
    for (key, value) in parse_form(body) {
        let mut place = &mut root;
        let parts = key.split('.').filter(|part| *part != "member");
        for part in parts {
            place = member(place, part);
        }
        *place = Value::String(value);
    }
    lists(root)
}

fn member<'a>(place: &'a mut Value, key: &str) -> &'a mut Value {
    if !place.is_object() {
        *place = Value::Object(Map::new());
    }
    let members = place.as_object_mut().expect("it was made an object just above");
    members.entry(key).or_insert(Value::Null)
}

/// Turns objects whose keys are all numbers into lists, in the order of the numbers.
fn lists(value: Value) -> Value {
    let Value::Object(members) = value else { return value };
    if members.is_empty() || !members.keys().all(|key| key.parse::<u32>().is_ok()) {
        return Value::Object(members.into_iter().map(|(key, value)| (key, lists(value))).collect());
    }
    let mut items: Vec<(u32, Value)> =
        members.into_iter().filter_map(|(key, value)| Some((key.parse().ok()?, lists(value)))).collect();
    items.sort_by_key(|(position, _)| *position);
    Value::Array(items.into_iter().map(|(_, value)| value).collect())
}

/// Parses CBOR into the neutral form.
pub(super) fn from_cbor(bytes: &[u8]) -> Result<Value, DeserializeError> {
    decode(&mut Decoder::new(bytes), 0)
}

fn decode(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value, DeserializeError> {
    if depth > MAX_DEPTH {
        return Err(DeserializeError::custom("the input is nested too deeply", decoder.position()));
    }
    Ok(match decoder.datatype()? {
        Type::Map | Type::MapIndef => decode_map(decoder, depth)?,
        Type::Array | Type::ArrayIndef => decode_list(decoder, depth)?,
        Type::String | Type::StringIndef => Value::String(decoder.string()?),
        Type::Bool => Value::Bool(decoder.boolean()?),
        Type::Tag => number(decoder.timestamp()?.as_secs_f64()),
        Type::F16 | Type::F32 | Type::F64 => number(decoder.double()?),
        Type::Null | Type::Undefined => {
            decoder.skip()?;
            Value::Null
        }
        _ => Value::from(decoder.long()?),
    })
}

fn decode_map(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value, DeserializeError> {
    let mut members = Map::new();
    let length = decoder.map()?;
    while more(decoder, length, members.len())? {
        let key = decoder.string()?;
        members.insert(key, decode(decoder, depth + 1)?);
    }
    Ok(Value::Object(members))
}

fn decode_list(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value, DeserializeError> {
    let mut items = Vec::new();
    let length = decoder.list()?;
    while more(decoder, length, items.len())? {
        items.push(decode(decoder, depth + 1)?);
    }
    Ok(Value::Array(items))
}

/// Whether a list or map goes on; eats the end mark of one of indefinite length.
fn more(decoder: &mut Decoder<'_>, length: Option<u64>, read: usize) -> Result<bool, DeserializeError> {
    match length {
        Some(length) => Ok((read as u64) < length),
        None if decoder.datatype()? == Type::Break => decoder.skip().map(|()| false),
        None => Ok(true),
    }
}

fn number(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// Writes the neutral form as CBOR.
pub(super) fn to_cbor(value: &Value) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    encode(&mut encoder, value, false);
    encoder.into_writer()
}

fn encode(encoder: &mut Encoder, value: &Value, is_time: bool) {
    match value {
        Value::Null => _ = encoder.null(),
        Value::Bool(value) => _ = encoder.boolean(*value),
        Value::String(text) => _ = encoder.str(text),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (_, Some(seconds)) if is_time => _ = encoder.timestamp(&DateTime::from_secs_f64(seconds)),
            (Some(whole), _) => _ = encoder.long(whole),
            (None, value) => _ = encoder.double(value.unwrap_or(f64::NAN)),
        },
        Value::Array(items) => {
            encoder.array(items.len());
            items.iter().for_each(|item| encode(encoder, item, is_time));
        }
        Value::Object(members) => {
            encoder.begin_map();
            for (key, value) in members {
                encoder.str(key);
                encode(encoder, value, TIMES.contains(&key.as_str()));
            }
            encoder.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn query_bodies_become_trees() {
        let body = "Action=GetMetricData&Q.member.2.Id=b&Q.member.1.Id=a&Q.member.1.Stat.Period=60";
        let expected = json!({"Action": "GetMetricData", "Q": [{"Id": "a", "Stat": {"Period": "60"}}, {"Id": "b"}]});
        assert_eq!(from_query(body), expected);
    }

    #[test]
    fn cbor_goes_there_and_back() {
        let value = json!({"Values": [1.5, 2.0], "Timestamps": [60.0], "Id": "x", "n": 7, "no": null, "yes": true});
        assert_eq!(from_cbor(&to_cbor(&value)).unwrap(), value);
        assert!(from_cbor(&[0x9f; 64]).is_err(), "a list without an end");
        assert!(from_cbor(&[]).is_err());
    }

    #[test]
    fn xml_escapes_and_marks_members_and_times() {
        let value = json!({"Id": "a<b&c", "Timestamps": [60.0], "Values": [1.0]});
        let mut xml = Xml::default();
        xml.value("R", &value);
        let expected = "<R><Id>a&lt;b&amp;c</Id><Timestamps><member>1970-01-01T00:01:00.000Z</member></Timestamps>\
                        <Values><member>1.0</member></Values></R>";
        assert_eq!(xml.0, expected);
    }
}
