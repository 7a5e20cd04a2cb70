//! A value as Python's JSON reader gives it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::number::float_text;
use super::text::quoted;

/// A value as Python reads it from JSON. It prints as `str()` would print it; a map keeps the order
/// of its keys.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// `None`.
    #[default]
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A float.
    Float(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// A dictionary, in the order of its keys' first appearance.
    Map(Vec<(String, Self)>),
}

impl Value {
    /// The entry of a dictionary; `None` for anything else.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(entries) = self else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Whether Python counts the value as true.
    #[must_use]
    pub(crate) fn is_truthy(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(value) => !value.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(entries) => !entries.is_empty(),
        }
    }

    /// The name of its type in Python.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Text(_) => "str",
            Self::List(_) => "list",
            Self::Map(_) => "dict",
        }
    }

    /// The value as `repr()` prints it.
    #[must_use]
    pub fn repr(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            other => other.to_string(),
        }
    }

    /// A dictionary of these entries. A key that comes again keeps its place and takes the later
    /// value.
    #[must_use]
    pub fn map(entries: impl IntoIterator<Item = (String, Self)>) -> Self {
        let mut map: Vec<(String, Self)> = Vec::new();
        for (key, value) in entries {
            match map.iter_mut().find(|(name, _)| *name == key) {
                Some(entry) => entry.1 = value,
                None => map.push((key, value)),
            }
        }
        Self::Map(map)
    }

    /// The value as JSON text, as `json.dumps` writes it.
    #[must_use]
    pub fn to_json(&self) -> String {
        match self {
            Self::None => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Float(value) if value.is_nan() => "NaN".to_owned(),
            Self::Float(value) if value.is_infinite() => {
                if *value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
            }
            Self::Int(_) | Self::Float(_) => self.to_string(),
            Self::Text(value) => json_quoted(value),
            Self::List(items) => format!("[{}]", joined(items.iter().map(Self::to_json))),
            Self::Map(entries) => {
                let pair =
                    |(key, value): &(String, Self)| format!("{}: {}", json_quoted(key), value.to_json());
                format!("{{{}}}", joined(entries.iter().map(pair)))
            }
        }
    }

    fn write(&self, out: &mut fmt::Formatter<'_>, nested: bool) -> fmt::Result {
        match self {
            Self::None => out.write_str("None"),
            Self::Bool(value) => out.write_str(if *value { "True" } else { "False" }),
            Self::Int(value) => write!(out, "{value}"),
            Self::Float(value) => out.write_str(&float_text(*value)),
            Self::Text(value) if nested => out.write_str(&quoted(value)),
            Self::Text(value) => out.write_str(value),
            Self::List(items) => write_items(out, ["[", "]"], items, |out, item| item.write(out, true)),
            Self::Map(entries) => write_items(out, ["{", "}"], entries, |out, (key, value)| {
                write!(out, "{}: ", quoted(key))?;
                value.write(out, true)
            }),
        }
    }
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// A JSON string in ASCII.
fn json_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out.push('"');
    out
}

fn write_items<T>(
    out: &mut fmt::Formatter<'_>,
    [open, close]: [&str; 2],
    items: &[T],
    write: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    out.write_str(open)?;
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.write_str(", ")?;
        }
        write(out, item)?;
    }
    out.write_str(close)
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(out, false)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number.into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::None)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Value::map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_like_python() {
        let value = Value::map([
            ("cores".to_owned(), Value::Int(4)),
            ("flags".to_owned(), Value::List(vec![Value::Bool(true), Value::from("aes"), Value::None])),
        ]);
        assert_eq!(value.to_string(), "{'cores': 4, 'flags': [True, 'aes', None]}");
        assert_eq!(value.to_json(), r#"{"cores": 4, "flags": [true, "aes", null]}"#);
        assert_eq!(Value::from("é\"").to_json(), r#""\u00e9\"""#);
        assert_eq!(Value::from(16.0).to_string(), "16.0");
    }
}
