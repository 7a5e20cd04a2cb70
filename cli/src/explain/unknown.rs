//! Unknown fields of a JSON document, each with the known field that it resembles.
//!
//! The types of a case ignore fields that they do not know: recordings of Nova contain more. A case
//! that a person writes is different: a misspelt field would silently mean its default.

use std::cell::Cell;
use std::fmt;

use anyhow::{Result, bail};
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

/// Two names that are less alike than this are unrelated.
const LEAST_SIMILARITY: f64 = 0.8;

/// Refuses a document for a `T` if it has a field that the type at its place in `T` does not have.
/// Other errors are left to the caller, which reads the document.
///
/// # Errors
/// The path of the first unknown field, and the known field that it resembles.
pub(super) fn refuse<T: DeserializeOwned>(document: &str) -> Result<()> {
    let Ok(value) = serde_json::from_str(document) else { return Ok(()) };
    let found = Cell::new(None);
    let outcome = serde_path_to_error::deserialize::<_, T>(Fields { value, found: &found });
    let (Err(error), Some(unknown)) = (outcome, found.take()) else { return Ok(()) };
    match error.path().to_string().as_str() {
        "." => bail!("{unknown}"),
        path => bail!("{path}: {unknown}"),
    }
}

/// A field that is unknown where it stands.
struct Unknown {
    field: String,
    known: &'static [&'static str],
}

impl fmt::Display for Unknown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, known } = self;
        write!(out, "there is no field '{field}'; ")?;
        let alike = known.iter().map(|known| (strsim::jaro_winkler(field, known), known));
        let closest = alike.filter(|(similarity, _)| *similarity >= LEAST_SIMILARITY);
        match closest.max_by(|one, other| one.0.total_cmp(&other.0)) {
            Some((_, known)) => write!(out, "did you mean '{known}'?"),
            None => write!(out, "the fields are {}", known.join(", ")),
        }
    }
}

/// A value whose fields are compared with those of the type that is read from it.
struct Fields<'a> {
    value: Value,
    found: &'a Cell<Option<Unknown>>,
}

impl IntoDeserializer<'_, serde_json::Error> for Fields<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let found = self.found;
        match self.value {
            Value::Array(items) => visitor
                .visit_seq(SeqDeserializer::new(items.into_iter().map(|value| Fields { value, found }))),
            Value::Object(fields) => visitor.visit_map(MapDeserializer::new(
                fields.into_iter().map(|(name, value)| (name, Fields { value, found })),
            )),
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.value.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let fields = self.value.as_object().into_iter().flat_map(serde_json::Map::keys);
        let unknown = fields.filter(|field| !known.contains(&field.as_str())).min().cloned();
        if let Some(field) = unknown {
            self.found.set(Some(Unknown { field, known }));
            return Err(Error::custom("unknown field"));
        }
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}
