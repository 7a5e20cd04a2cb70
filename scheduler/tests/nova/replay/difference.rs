//! Where answers differ.

use std::fmt;

use serde_json::Value;

/// One answer that is not Nova's.
pub(crate) struct Difference {
    /// The filter, weigher or step it is about.
    pub(crate) part: String,
    /// What differs.
    pub(crate) text: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.part, self.text)
    }
}

/// A list of them that grows while comparing.
#[derive(Default)]
pub(crate) struct Differences {
    pub(crate) found: Vec<Difference>,
}

/// Longer answers are cut: they are for reading.
const LONGEST: usize = 400;

impl Differences {
    pub(crate) fn push(&mut self, part: impl Into<String>, text: impl Into<String>) {
        self.found.push(Difference { part: part.into(), text: text.into() });
    }

    /// Notes a difference unless the values are equal; numbers may differ by a billionth.
    pub(crate) fn expect(&mut self, part: &str, what: &str, expected: &Value, found: &Value) {
        if !alike(expected, found) {
            let short = |value: &Value| value.to_string().chars().take(LONGEST).collect::<String>();
            self.push(part, format!("{what}: Nova {}, Berth {}", short(expected), short(found)));
        }
    }
}

/// Whether values are equal; numbers may differ by a billionth of their size.
pub(crate) fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a == b,
            _ => a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| close(a, b)),
        },
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| alike(value, other)))
        }
        _ => a == b,
    }
}

fn close(a: f64, b: f64) -> bool {
    const TOLERANCE: f64 = 1e-9;
    a == b || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
}
