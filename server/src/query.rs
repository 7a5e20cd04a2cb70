//! Query strings.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::error::Failure;
use crate::json::Schema;

/// The parameters of a request in their order; one may come several times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query {
    parameters: Vec<(String, String)>,
}

impl Query {
    /// Parses what stands behind the question mark.
    ///
    /// # Errors
    /// Text that is not UTF-8 once it is decoded, or more parameters than `most`.
    pub(crate) fn parse(text: &str, most: usize) -> Result<Self, Failure> {
        let parts = text.split('&').filter(|part| !part.is_empty());
        let parameters: Vec<_> = parts.take(most + 1).map(parameter).collect::<Result<_, _>>()?;
        if parameters.len() > most {
            return Err(Failure::bad_request(format!("A query may have at most {most} parameters.")));
        }
        Ok(Self { parameters })
    }

    /// The values of a parameter.
    pub(crate) fn all<'query>(&'query self, name: &'query str) -> impl Iterator<Item = &'query str> {
        self.parameters.iter().filter(move |(key, _)| key == name).map(|(_, value)| &**value)
    }

    /// The value of a parameter, the last one if it came several times.
    pub(crate) fn get<'query>(&'query self, name: &'query str) -> Option<&'query str> {
        self.all(name).last()
    }

    /// All parameters in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Checks the last value of each parameter.
    ///
    /// # Errors
    /// What the schema says.
    pub(crate) fn check(&self, schema: &Schema) -> Result<(), Failure> {
        let parameters = self.iter().map(|(key, value)| (key.to_owned(), Value::String(value.to_owned())));
        let parameters = Value::Object(parameters.collect::<Map<_, _>>());
        schema.check(&parameters).map_err(|error| bad(&error))
    }
}

/// The refusal of a parameter.
pub(crate) fn bad(reason: &str) -> Failure {
    Failure::bad_request(format!("Invalid query string parameters: {reason}"))
}

fn parameter(part: &str) -> Result<(String, String), Failure> {
    let (key, value) = part.split_once('=').unwrap_or((part, ""));
    Ok((decode(key)?, decode(value)?))
}

fn decode(text: &str) -> Result<String, Failure> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(String::from).map_err(|_| bad("they are not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_keep_their_order() {
        let query = Query::parse("name=%e2%98%83+x&a=1&a=2&&flag", 10).unwrap();
        let found: Vec<_> = query.iter().collect();
        assert_eq!(found, [("name", "☃ x"), ("a", "1"), ("a", "2"), ("flag", "")]);
        assert_eq!(query.get("a"), Some("2"));
    }

    #[test]
    fn rubbish_is_refused() {
        assert!(Query::parse("a=%ff", 10).unwrap_err().detail.contains("not UTF-8"));
        assert!(Query::parse("a=1&a=2&a=3", 2).unwrap_err().detail.contains("at most 2"));
    }
}
