//! JSON as Python's `json.dumps` writes it: a blank after `,` and `:`, and nothing but ASCII.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// The value as Python would write it.
///
/// # Panics
/// For a map whose keys are no texts: no type of this crate has one.
pub(crate) fn dumps(value: &impl Serialize) -> String {
    let mut out = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut out, Python)).expect("the value is JSON");
    String::from_utf8(out).expect("JSON is UTF-8")
}

struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        if text.is_ascii() {
            return out.write_all(text.as_bytes());
        }
        let mut units = [0; 2];
        text.chars().try_for_each(|letter| match letter {
            letter if letter.is_ascii() => out.write_all(&[letter as u8]),
            letter => {
                letter.encode_utf16(&mut units).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_python() {
        let value = serde_json::json!({"a": [1, "ü", null], "b": {"c": "\u{1f600}\n"}});
        assert_eq!(dumps(&value), r#"{"a": [1, "\u00fc", null], "b": {"c": "\ud83d\ude00\n"}}"#);
    }
}
