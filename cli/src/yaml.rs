//! JSON values as YAML: blocks of maps and lists. Text stands in quotation marks, as in JSON,
//! unless it is a plain word.

use serde_json::Value;

/// A YAML document with the value.
pub(crate) fn text(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Array(values) if !values.is_empty() => list(&mut text, 0, values),
        Value::Object(fields) if !fields.is_empty() => map(&mut text, 0, fields.iter()),
        value => text = format!("{}\n", scalar(value)),
    }
    text
}

fn map<'a>(out: &mut String, indent: usize, fields: impl Iterator<Item = (&'a String, &'a Value)>) {
    for (number, (name, value)) in fields.enumerate() {
        // The first line may stand behind the hyphen of a list.
        if number > 0 || out.is_empty() || out.ends_with('\n') {
            out.push_str(&" ".repeat(indent));
        }
        out.push_str(&word(name));
        out.push(':');
        match value {
            Value::Array(values) if !values.is_empty() => {
                out.push('\n');
                list(out, indent, values);
            }
            Value::Object(fields) if !fields.is_empty() => {
                out.push('\n');
                map(out, indent + 2, fields.iter());
            }
            value => {
                out.push(' ');
                out.push_str(&scalar(value));
                out.push('\n');
            }
        }
    }
}

fn list(out: &mut String, indent: usize, values: &[Value]) {
    for value in values {
        out.push_str(&" ".repeat(indent));
        out.push_str("- ");
        match value {
            Value::Object(fields) if !fields.is_empty() => map(out, indent + 2, fields.iter()),
            // A list in a list stays on its line, as JSON, which is YAML.
            value => {
                out.push_str(&scalar(value));
                out.push('\n');
            }
        }
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => word(text),
        value => value.to_string(),
    }
}

/// Text that reads as text: words such as `no` and what begins with a digit would be something
/// else.
fn word(text: &str) -> String {
    const OTHER: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-./".contains(letter))
        && !OTHER.contains(&&*text.to_lowercase());
    if is_plain { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_blocks() {
        let value = json!([
            {"name": "web-1", "tags": ["a", 1, []], "extra": {"hw:cpu": "no", "deep": {"n": null}}, "none": {}},
            {"name": "3e5", "is_up": true},
        ]);
        let expected = "\
- extra:
    deep:
      \"n\": null
    \"hw:cpu\": \"no\"
  name: web-1
  none: {}
  tags:
  - a
  - 1
  - []
- is_up: true
  name: \"3e5\"
";
        assert_eq!(text(&value), expected);
        assert_eq!(text(&json!([])), "[]\n");
        assert_eq!(text(&json!({"text": "line\nline \u{202e}"})), "text: \"line\\nline \u{202e}\"\n");
    }
}
