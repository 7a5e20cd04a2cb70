//! Query strings.

use percent_encoding::percent_decode_str;

use crate::error::Failure;
use crate::json::schema::Object;
use crate::limits::Limits;

/// The parameters of a request in their order; one may come several times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query {
    parameters: Vec<(String, String)>,
}

impl Query {
    /// Parses what stands behind the question mark.
    ///
    /// # Errors
    /// Text that is not UTF-8 once it is decoded, or more than the limits allow.
    pub(crate) fn parse(text: &str, limits: &Limits) -> Result<Self, Failure> {
        let Limits { query_bytes, query_parameters, query_list_length, .. } = *limits;
        if text.len() > query_bytes {
            return Err(Failure::uri_too_long(format!("A query may have at most {query_bytes} bytes.")));
        }
        // The original's framework takes both for separators.
        let parts = || text.split(['&', ';']).filter(|part| !part.is_empty());
        if parts().count() > query_parameters {
            let reason = format!("A query may have at most {query_parameters} parameters.");
            return Err(Failure::bad_request(reason));
        }
        let parameters: Vec<_> = parts().map(parameter).collect::<Result<_, _>>()?;
        let is_long = |(_, value): &&(String, String)| value.split(',').count() > query_list_length;
        match parameters.iter().find(is_long) {
            Some((name, _)) => Err(bad(&format!("{name} may have at most {query_list_length} values"))),
            None => Ok(Self { parameters }),
        }
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
    /// The error of the schema.
    pub(crate) fn check(&self, schema: &Object) -> Result<(), Failure> {
        schema.check(&self.iter().collect()).map_err(|error| bad(&error))
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
    use crate::json::schema::{Schema, Text};

    #[test]
    fn parameters_are_decoded_and_keep_their_order() {
        let query = Query::parse("name=%e2%98%83+x&a=1&a=2&&flag", &Limits::default()).unwrap();
        let found: Vec<_> = query.iter().collect();
        assert_eq!(found, [("name", "☃ x"), ("a", "1"), ("a", "2"), ("flag", "")]);
        assert_eq!(query.get("a"), Some("2"));
    }

    #[test]
    fn a_semicolon_separates_unless_it_is_encoded() {
        let query = Query::parse("a=1;b=2%3B3&c=4;;d", &Limits::default()).unwrap();
        let found: Vec<_> = query.iter().collect();
        assert_eq!(found, [("a", "1"), ("b", "2;3"), ("c", "4"), ("d", "")]);
    }

    #[test]
    fn rubbish_is_refused() {
        let error = Query::parse("a=%ff", &Limits::default()).unwrap_err();
        assert!(error.detail.contains("not UTF-8"));
    }

    /// As the original, which checks a dictionary.
    #[test]
    fn the_last_value_of_each_parameter_is_checked() {
        let limit = Text { one_of: Some(&["1", "2"]), ..Text::default() };
        let schema = Object { members: vec![("limit", Schema::String(limit))], ..Object::default() };
        let check = |text| Query::parse(text, &Limits::default()).unwrap().check(&schema);
        check("limit=3&limit=2").unwrap();
        let error = check("limit=2&limit=3").unwrap_err();
        assert!(error.detail.contains("'3' is not one of ['1', '2']"), "{error}");
        assert!(error.detail.ends_with("On instance['limit']"), "{error}");
        let error = check("b=1&a=1").unwrap_err();
        assert!(error.detail.contains("('a', 'b' were unexpected)"), "{error}");
    }

    #[test]
    fn each_limit_is_named() {
        let limits =
            Limits { query_bytes: 20, query_parameters: 2, query_list_length: 3, ..Limits::default() };
        let error = |text: &str| Query::parse(text, &limits).unwrap_err();
        assert!(error("a=1&a=2&a=3").detail.contains("at most 2 parameters"));
        assert!(error("a=1,2,3%2c4").detail.contains("a may have at most 3 values"));
        assert!(error("a=1234567890123456789").detail.contains("at most 20 bytes"));
        assert_eq!(error("a=1234567890123456789").status, 414);
        assert!(Query::parse("a=1,2,3&b", &limits).is_ok());
    }
}
