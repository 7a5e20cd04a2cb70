//! Values as Python shows them: the original's error texts quote them so, and clients match on
//! those.

use std::fmt::Write;

use serde_json::Value;

/// The value in Python's notation, cut when it is long.
pub(super) fn shown(value: &Value) -> String {
    let mut text = String::new();
    show(value, &mut text);
    cut(text)
}

/// [`shown`], of a string.
pub(super) fn shown_text(text: &str) -> String {
    cut(quoted(text))
}

fn cut(mut text: String) -> String {
    const LONGEST: usize = 200;
    if let Some((place, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(place);
        text.push_str("...");
    }
    text
}

fn show(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(number) => write!(out, "{number}").expect("a string takes everything"),
        Value::String(text) => quote(text, out),
        Value::Array(values) => list('[', ']', values.iter(), out, show),
        Value::Object(members) => list('{', '}', members.iter(), out, |(name, value), out| {
            quote(name, out);
            out.push_str(": ");
            show(value, out);
        }),
    }
}

fn list<T>(
    open: char,
    close: char,
    items: impl Iterator<Item = T>,
    out: &mut String,
    show: fn(T, &mut String),
) {
    out.push(open);
    for (place, item) in items.enumerate() {
        if place > 0 {
            out.push_str(", ");
        }
        show(item, out);
    }
    out.push(close);
}

/// A string in quotes: single ones, unless only double ones spare an escape.
fn quote(text: &str, out: &mut String) {
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(mark);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if character == mark => out.extend(['\\', mark]),
            _ => out.push(character),
        }
    }
    out.push(mark);
}

/// A string in Python's notation.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::new();
    quote(text, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_look_as_in_python() {
        let value = serde_json::json!({"a": [1, 2.5, null, true], "b": "it's", "c": "x\ny"});
        assert_eq!(shown(&value), r#"{'a': [1, 2.5, None, True], 'b': "it's", 'c': 'x\ny'}"#);
        assert!(shown(&Value::String("x".repeat(1000))).len() < 300);
    }
}
