//! Where answers differ.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

/// One answer that is not Nova's.
#[derive(Clone)]
pub struct Difference {
    /// The filter, weigher or field it is about.
    pub part: String,
    /// What differs.
    pub text: String,
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

    /// Notes where the values differ; numbers may differ by a billionth.
    pub(crate) fn expect(&mut self, part: &str, what: &str, expected: &Value, found: &Value) {
        self.compare(part, what, Some(expected), Some(found));
    }

    /// Notes every place below `path` where the values differ, and what only one of them has.
    pub(crate) fn compare(&mut self, part: &str, path: &str, nova: Option<&Value>, ours: Option<&Value>) {
        match (nova, ours) {
            (Some(Value::Object(a)), Some(Value::Object(b))) => {
                for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                    let part = if path == "independent" { key } else { part };
                    self.compare(part, &format!("{path}.{key}"), a.get(key), b.get(key));
                }
            }
            (Some(Value::Array(a)), Some(Value::Array(b))) if has_parts(a, b) => {
                for at in 0..a.len().max(b.len()) {
                    let part = a.get(at).or(b.get(at)).and_then(part_of).unwrap_or(part);
                    self.compare(part, &format!("{path}.{at}"), a.get(at), b.get(at));
                }
            }
            (Some(a), Some(b)) if alike(a, b) => {}
            (nova, ours) => self.push(part, format!("{path}: Nova {}, Berth {}", short(nova), short(ours))),
        }
    }
}

/// Whether lists are better compared item by item: those of objects.
fn has_parts(a: &[Value], b: &[Value]) -> bool {
    a.iter().chain(b).all(Value::is_object)
}

/// The filter or weigher that an entry is about.
fn part_of(entry: &Value) -> Option<&str> {
    entry.get("filter").or(entry.get("weigher"))?.as_str()
}

fn short(value: Option<&Value>) -> String {
    value.map_or("nothing".to_owned(), |value| value.to_string().chars().take(LONGEST).collect())
}

/// Whether values are equal; numbers may differ by a billionth of their size.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i128(), b.as_i128()) {
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
