//! Queries in JSON: `["and", [">=", "$free_ram_mb", 1024], ["=", "$host", "a"]]`.

use std::cmp::Ordering;

use crate::python::{JsonError, Value};

/// A query that cannot be answered. Kinds of values have their names in Python.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonQueryError {
    /// The hint has several values.
    #[error("more than one query")]
    Several,
    /// The hint is not JSON.
    #[error(transparent)]
    Json(JsonError),
    /// No such operator.
    #[error("{operator} is not an operator")]
    Operator {
        /// The value in its place.
        operator: String,
        /// Whether it could be the key of a dictionary.
        hashable: bool,
    },
    /// Two values without an order.
    #[error("{operator}: {left} and {right} have no order")]
    Unordered {
        /// The comparison.
        operator: String,
        /// The kind of the left value.
        left: &'static str,
        /// The kind of the right value.
        right: &'static str,
    },
    /// Neither a list nor a text.
    #[error("{value} is not a query")]
    NotAQuery {
        /// The value.
        value: String,
        /// Its kind.
        kind: &'static str,
    },
    /// A path leads into a value that has no parts.
    #[error("'{path}' leads into a value without parts")]
    NoParts {
        /// The path.
        path: String,
        /// The kind of the value.
        kind: &'static str,
    },
}

/// Attributes of one host.
pub(super) trait Attributes {
    /// The attribute of this name.
    fn attribute(&self, name: &str) -> Option<Value>;
}

/// Whether the query holds for the host. Of a list of answers, one that is true is enough.
pub(super) fn holds(query: &Value, host: &impl Attributes) -> Result<bool, JsonQueryError> {
    Ok(match answer(query, host)? {
        Value::List(answers) => answers.iter().any(Value::is_truthy),
        other => other.is_truthy(),
    })
}

/// The value of a query: true if it is empty, otherwise what its operator makes of its arguments.
fn answer(query: &Value, host: &impl Attributes) -> Result<Value, JsonQueryError> {
    if !query.is_truthy() {
        return Ok(Value::Bool(true));
    }
    // A text is a list of characters to Python.
    let items = match query {
        Value::List(items) => items.clone(),
        Value::Text(text) => text.chars().map(|c| Value::Text(c.into())).collect(),
        other => return Err(not_a_query(other)),
    };
    let (operator, arguments) = items.split_first().ok_or_else(|| not_a_query(query))?;
    let operator = match operator {
        Value::Text(operator) if OPERATORS.contains(&operator.as_str()) => operator,
        other => return Err(no_operator(other)),
    };
    let mut values = Vec::with_capacity(arguments.len());
    for argument in arguments {
        values.extend(value(argument, host)?);
    }
    apply(operator, &values)
}

fn not_a_query(value: &Value) -> JsonQueryError {
    JsonQueryError::NotAQuery { value: value.to_string(), kind: value.kind() }
}

fn no_operator(value: &Value) -> JsonQueryError {
    let hashable = !matches!(value, Value::List(_) | Value::Map(_));
    JsonQueryError::Operator { operator: value.repr(), hashable }
}

const OPERATORS: [&str; 9] = ["=", "<", ">", "in", "<=", ">=", "not", "or", "and"];

/// The value of an argument; none if it is left out.
fn value(argument: &Value, host: &impl Attributes) -> Result<Option<Value>, JsonQueryError> {
    Ok(match argument {
        Value::List(_) => Some(answer(argument, host)?),
        Value::Text(text) => match text.strip_prefix('$') {
            Some(path) => attribute(path, host)?,
            None => Some(argument.clone()).filter(Value::is_truthy),
        },
        other => Some(other.clone()),
    }
    .filter(|value| *value != Value::None))
}

/// `$stats.key`: an attribute, or a part of one.
fn attribute(path: &str, host: &impl Attributes) -> Result<Option<Value>, JsonQueryError> {
    let mut steps = path.split('.');
    let mut found = steps.next().and_then(|name| host.attribute(name));
    for step in steps {
        found = match found {
            None => None,
            Some(map @ Value::Map(_)) => map.get(step).cloned().filter(|value| *value != Value::None),
            Some(other) => {
                return Err(JsonQueryError::NoParts { path: path.to_owned(), kind: other.kind() });
            }
        };
    }
    Ok(found)
}

fn apply(operator: &str, values: &[Value]) -> Result<Value, JsonQueryError> {
    let truth = match operator {
        "not" => {
            return Ok(Value::List(values.iter().map(|value| Value::Bool(!value.is_truthy())).collect()));
        }
        "and" => values.iter().all(Value::is_truthy),
        "or" => values.iter().any(Value::is_truthy),
        _ => compare(operator, values)?,
    };
    Ok(Value::Bool(truth))
}

/// The first value against each of the others; fewer than two values are never right.
fn compare(operator: &str, values: &[Value]) -> Result<bool, JsonQueryError> {
    let Some((first, others)) = values.split_first().filter(|(_, others)| !others.is_empty()) else {
        return Ok(false);
    };
    let holds: fn(Ordering) -> bool = match operator {
        "=" => return Ok(others.iter().all(|other| equal(first, other))),
        "in" => return Ok(others.iter().any(|other| equal(first, other))),
        "<" => Ordering::is_lt,
        ">" => Ordering::is_gt,
        "<=" => Ordering::is_le,
        _ => Ordering::is_ge,
    };
    let answers: Vec<bool> = others
        .iter()
        .map(|other| order(operator, first, other).map(|order| order.is_some_and(holds)))
        .collect::<Result<_, _>>()?;
    Ok(!answers.contains(&false))
}

/// Python's `==`: numbers and booleans are one kind.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            let has = |(key, value): &(String, Value)| {
                b.iter().any(|(other, found)| other == key && equal(value, found))
            };
            a.len() == b.len() && a.iter().all(has)
        }
        _ => match (number(a), number(b)) {
            (Some(a), Some(b)) => compare_numbers(a, b) == Some(Ordering::Equal),
            _ => a == b,
        },
    }
}

/// Python's order; none between NaN and any number.
fn order(operator: &str, a: &Value, b: &Value) -> Result<Option<Ordering>, JsonQueryError> {
    if let (Some(a), Some(b)) = (number(a), number(b)) {
        return Ok(compare_numbers(a, b));
    }
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.cmp(b))),
        (Value::List(a), Value::List(b)) => order_lists(operator, a, b),
        _ => {
            Err(JsonQueryError::Unordered { operator: operator.to_owned(), left: a.kind(), right: b.kind() })
        }
    }
}

/// The first items that differ decide, then the lengths.
fn order_lists(operator: &str, a: &[Value], b: &[Value]) -> Result<Option<Ordering>, JsonQueryError> {
    match a.iter().zip(b).find(|(a, b)| !equal(a, b)) {
        Some((a, b)) => order(operator, a, b),
        None => Ok(Some(a.len().cmp(&b.len()))),
    }
}

#[derive(Clone, Copy)]
enum Number {
    Whole(i128),
    Float(f64),
}

const fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Bool(truth) => Some(Number::Whole(*truth as i128)),
        Value::Int(number) => Some(Number::Whole(*number)),
        Value::Float(number) => Some(Number::Float(*number)),
        _ => None,
    }
}

fn compare_numbers(a: Number, b: Number) -> Option<Ordering> {
    match (a, b) {
        (Number::Whole(a), Number::Whole(b)) => Some(a.cmp(&b)),
        (Number::Float(a), Number::Float(b)) => a.partial_cmp(&b),
        (Number::Whole(a), Number::Float(b)) => whole_with_float(a, b),
        (Number::Float(a), Number::Whole(b)) => whole_with_float(b, a).map(Ordering::reverse),
    }
}

/// Exact, unlike a comparison of rounded floats.
#[expect(clippy::cast_possible_truncation, reason = "the float is within the range of whole numbers")]
fn whole_with_float(whole: i128, float: f64) -> Option<Ordering> {
    const BEYOND: f64 = 1.0e38;
    if float.is_nan() {
        return None;
    }
    if float.abs() >= BEYOND {
        return 0.0.partial_cmp(&float);
    }
    let floor = float.floor();
    Some(whole.cmp(&(floor as i128)).then(if floor < float { Ordering::Less } else { Ordering::Equal }))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Host;

    impl Attributes for Host {
        fn attribute(&self, name: &str) -> Option<Value> {
            match name {
                "ram" => Some(Value::Int(1024)),
                "stats" => Some(Value::map([("a".to_owned(), Value::from("1"))])),
                _ => None,
            }
        }
    }

    fn ask(query: &str) -> Result<bool, JsonQueryError> {
        holds(&Value::parse(query).expect("JSON"), &Host)
    }

    #[test]
    fn operators_and_attributes() {
        let yes = [
            r#"[">=", "$ram", 1024, 1.5]"#,
            r#"["and", ["=", "$stats.a", "1"], ["not", ["<", "$ram", 5]]]"#,
            r#"["in", true, 5, 1.0]"#,
            "[]",
            r#""""#,
            r#"["not", false, true]"#,
            r#"["<", ["not", true], ["not", false]]"#,
            r#"["and"]"#,
        ];
        let no = [
            r#"["=", "$ram"]"#,
            r#"["=", "$none", 1]"#,
            r#"["or"]"#,
            r#"["<", "$ram", 2000, 5]"#,
            r#""=a""#,
            r#"["not", ["not", true]]"#, // a list with something in it is true
        ];
        assert!(yes.iter().all(|query| ask(query) == Ok(true)), "{:?}", yes.map(ask));
        assert!(no.iter().all(|query| ask(query) == Ok(false)), "{:?}", no.map(ask));
    }

    #[test]
    fn nonsense_is_an_error() {
        for bad in [
            r#"["like", 1, 2]"#,
            r#"["<", 1, "a"]"#,
            "5",
            r#"{"a": 1}"#,
            r#"["=", "$ram.x", 1]"#,
            r#"[[]]"#,
            r#"["<", [1, "a"], [1, "b"]]"#,
        ] {
            assert!(ask(bad).is_err(), "{bad}");
        }
    }
}
