//! JSON as the camera's own parser reads it: first of equal keys, keys in any case, numbers cut to int.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

/// A value, reduced to what commands need of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    /// Null, an array: neither number nor text.
    Nothing,
    Bool(bool),
    Number(f64),
    Text(String),
    Object(Fields),
}

/// The members of an object, in the order of the text.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Fields(Vec<(String, Json)>);

impl Json {
    /// The value at the start of `text`; what follows it is ignored, as is a byte order mark before it.
    ///
    /// Invalid UTF-8 is no error within a string, because the camera does not look; it is replaced.
    pub(super) fn leading(text: &[u8]) -> Option<Self> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let text = String::from_utf8_lossy(text);
        // The camera skips every control character between tokens; at the start is where senders leave some.
        let text = text.trim_start_matches(|c: char| c <= ' ');
        Self::deserialize(&mut serde_json::Deserializer::from_str(text)).ok()
    }

    /// As an int: fractions cut off, held within i32; true is 1, anything else 0.
    pub(super) fn int(&self) -> i32 {
        match self {
            Self::Number(number) => *number as i32,
            Self::Bool(true) => 1,
            _ => 0,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn fields(&self) -> Option<&Fields> {
        match self {
            Self::Object(fields) => Some(fields),
            _ => None,
        }
    }
}

impl Fields {
    /// The first member of that name, in any case.
    pub(super) fn get(&self, key: &str) -> Option<&Json> {
        let found = self
            .0
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.map(|(_, value)| value)
    }

    pub(super) fn int(&self, key: &str) -> Option<i32> {
        self.get(key).map(Json::int)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Nothing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        while seq.next_element::<Json>()?.is_some() {}
        Ok(Json::Nothing)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(member) = map.next_entry()? {
            fields.push(member);
        }
        Ok(Json::Object(Fields(fields)))
    }
}

/// Appends a string as python's json module writes it: ASCII alone, all else escaped.
pub(super) fn write_ascii_string(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    write_string(text, out);
    if out[start..].is_ascii() {
        return;
    }
    out.truncate(start);
    let quoted = serde_json::Value::from(text).to_string();
    let mut units = [0; 2];
    for character in quoted.chars() {
        match u8::try_from(character) {
            Ok(byte) if byte.is_ascii() => out.push(byte),
            _ => {
                for unit in character.encode_utf16(&mut units) {
                    out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                }
            }
        }
    }
}

/// Appends a string as the camera writes it: control characters, quotes and backslashes escaped, all else as is.
pub(super) fn write_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string into memory because neither can fail");
}
