//! Reads JSON within bounds, so that a small body cannot become a large tree.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How much a body may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Values, those in lists and objects included.
    pub(crate) values: usize,
    /// Elements of one list, or members of one object.
    pub(crate) list_length: usize,
}

/// How deep lists and objects may lie in each other; the API's own bodies need seven.
const DEEPEST: usize = 32;

/// A body that is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// It is no JSON.
    #[error("Malformed JSON: {0}")]
    Malformed(String),
    /// It is more than may be read.
    #[error("The body has {0}")]
    TooMuch(String),
}

/// Reads a JSON text. Of members with the same name, the last counts.
pub(crate) fn read(text: &[u8], bounds: Bounds) -> Result<Value, Unreadable> {
    let left = Cell::new(bounds.values);
    let mut source = serde_json::Deserializer::from_slice(text);
    let value = Within { bounds, left: &left, depth: 0 }.deserialize(&mut source);
    let value = value.and_then(|value| source.end().map(|()| value));
    value.map_err(|error| match error.is_data() {
        true => Unreadable::TooMuch(error.to_string()),
        false => Unreadable::Malformed(error.to_string()),
    })
}

/// A value that is `depth` lists and objects deep.
#[derive(Clone, Copy)]
struct Within<'a> {
    bounds: Bounds,
    /// How many more values there may be.
    left: &'a Cell<usize>,
    depth: usize,
}

impl Within<'_> {
    /// Counts one value.
    fn count<E: Error>(self) -> Result<(), E> {
        let most = self.bounds.values;
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| E::custom(format_args!("more than {most} values")))?);
        Ok(())
    }

    /// The contents of a list or an object.
    fn below<E: Error>(self) -> Result<Self, E> {
        if self.depth == DEEPEST {
            return Err(E::custom(format_args!("lists and objects more than {DEEPEST} deep")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    fn check_length<E: Error>(self, length: usize) -> Result<(), E> {
        let most = self.bounds.list_length;
        if length > most {
            return Err(E::custom(format_args!("a list or an object of more than {most} elements")));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Within<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        self.count()?;
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Within<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let (below, mut list) = (self.below()?, Vec::new());
        while let Some(element) = elements.next_element_seed(below)? {
            list.push(element);
            self.check_length(list.len())?;
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let (below, mut object) = (self.below()?, Map::new());
        while let Some(name) = members.next_key::<String>()? {
            object.insert(name, members.next_value_seed(below)?);
            self.check_length(object.len())?;
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { values: 10, list_length: 4 };

    fn error(text: &str) -> String {
        read(text.as_bytes(), BOUNDS).unwrap_err().to_string()
    }

    #[test]
    fn what_is_read_is_what_serde_json_reads() {
        for text in [
            r#"{"a": [1, -2, 2.5, 1e300], "b": {"c": null, "d": "\u2603 \n"}}"#,
            r#"{"a": 1, "a": true}"#,
            "123456789012345678901234567890",
            "\"\"",
            "[]",
        ] {
            let right: Value = serde_json::from_str(text).unwrap();
            assert_eq!(read(text.as_bytes(), BOUNDS).unwrap(), right, "{text}");
        }
    }

    #[test]
    fn rubbish_is_malformed() {
        for text in ["", "{", "{}{}", "[1,]", "{\"a\": NaN}", "Infinity", "1e999", "\"\\ud800\"", "nul"] {
            assert!(error(text).starts_with("Malformed JSON: "), "{text}: {}", error(text));
        }
        let invalid = read(b"[\"\xff\"]", BOUNDS).unwrap_err();
        assert!(matches!(invalid, Unreadable::Malformed(_)), "{invalid}");
    }

    #[test]
    fn each_bound_is_named() {
        assert!(error("[1,2,3,4,5]").contains("a list or an object of more than 4 elements"));
        let members = r#"{"a":1,"b":1,"c":1,"d":1,"e":1}"#;
        assert!(error(members).contains("a list or an object of more than 4 elements"));
        assert!(error("[[1,2,3],[1,2,3],[1,2,3]]").contains("more than 10 values"));
        let repeated = format!("{{{}\"a\":0}}", "\"a\":0,".repeat(10));
        assert!(error(&repeated).contains("more than 10 values"));
        let many = Bounds { values: 1_000, ..BOUNDS };
        let nested =
            |depth: usize| read(format!("{}{}", "[".repeat(depth), "]".repeat(depth)).as_bytes(), many);
        assert!(nested(32).is_ok());
        assert!(nested(33).unwrap_err().to_string().contains("more than 32 deep"));
        assert!(nested(500).unwrap_err().to_string().contains("more than 32 deep"));
    }
}
