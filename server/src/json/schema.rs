//! Validation of JSON values, with the error messages of Python's `jsonschema`.
//!
//! It supports what the API's bodies and queries need. Of several errors, the one nearest to the
//! root is reported.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::python::{quoted, shown, shown_text};
use crate::uuids;

/// The schema of a value.
#[derive(Debug, Clone)]
pub(crate) enum Schema {
    Integer { minimum: Option<i64>, maximum: Option<i64> },
    IntegerOrNull,
    Number { maximum: f64 },
    String(Text),
    UuidOrNull,
    Array { items: Box<Self>, at_least_one: bool, unique: bool },
    Object(Object),
}

/// The schema of a string.
#[derive(Debug, Clone, Default)]
pub(crate) struct Text {
    pub(crate) pattern: Option<Pattern>,
    pub(crate) at_least_one: bool,
    pub(crate) longest: Option<usize>,
    pub(crate) uuid: Option<UuidForm>,
    pub(crate) one_of: Option<&'static [&'static str]>,
}

/// How a UUID has to be spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UuidForm {
    /// In any way.
    Any,
    /// With its dashes.
    Dashed,
}

impl UuidForm {
    fn takes(self, text: &str) -> bool {
        match self {
            Self::Any => uuids::read(text).is_some(),
            Self::Dashed => uuids::read_dashed(text).is_some(),
        }
    }
}

/// The schema of an object.
#[derive(Debug, Clone, Default)]
pub(crate) struct Object {
    pub(crate) members: Vec<(&'static str, Schema)>,
    pub(crate) required: Vec<&'static str>,
    /// Members whose names have one of these patterns.
    pub(crate) patterns: Vec<(Pattern, Schema)>,
    /// Whether other members are allowed.
    pub(crate) open: bool,
    pub(crate) at_least_one: bool,
}

/// A regular expression, and a function that does the same.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) text: Cow<'static, str>,
    pub(crate) matches: fn(&str) -> bool,
}

/// An error, and how deep in the value it is.
struct Error {
    depth: usize,
    message: String,
    keyword: &'static str,
    schema_path: String,
    path: String,
}

impl Schema {
    pub(crate) const fn integer() -> Self {
        Self::Integer { minimum: None, maximum: None }
    }

    pub(crate) fn string() -> Self {
        Self::String(Text::default())
    }

    pub(crate) fn uuid() -> Self {
        Self::String(Text { uuid: Some(UuidForm::Any), ..Text::default() })
    }

    pub(crate) fn dashed_uuid() -> Self {
        Self::String(Text { uuid: Some(UuidForm::Dashed), ..Text::default() })
    }

    /// Checks the value.
    ///
    /// # Errors
    /// The problem, and where it is.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        let mut checker = Checker::default();
        checker.check(self, value);
        checker.outcome()
    }
}

impl Object {
    /// Checks an object whose members are strings.
    ///
    /// # Errors
    /// The problem, and where it is.
    pub(crate) fn check(&self, members: &BTreeMap<&str, &str>) -> Result<(), String> {
        let mut checker = Checker::default();
        checker.object(self, members);
        checker.outcome()
    }
}

/// The members of an object, in the order of their names.
trait Members {
    type Member<'a>: Copy
    where
        Self: 'a;

    fn get(&self, name: &str) -> Option<Self::Member<'_>>;

    fn iter(&self) -> impl Iterator<Item = (&str, Self::Member<'_>)>;

    fn check(checker: &mut Checker, schema: &Schema, member: Self::Member<'_>);
}

impl Members for Map<String, Value> {
    type Member<'a> = &'a Value;

    fn get(&self, name: &str) -> Option<&Value> {
        self.get(name)
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.iter().map(|(name, value)| (&**name, value))
    }

    fn check(checker: &mut Checker, schema: &Schema, member: &Value) {
        checker.check(schema, member);
    }
}

impl Members for BTreeMap<&str, &str> {
    type Member<'a>
        = &'a str
    where
        Self: 'a;

    fn get(&self, name: &str) -> Option<&str> {
        self.get(name).copied()
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().map(|(name, value)| (*name, *value))
    }

    fn check(checker: &mut Checker, schema: &Schema, member: &str) {
        match schema {
            Schema::String(text) => checker.text(text, member),
            other => checker.check(other, &Value::String(member.to_owned())),
        }
    }
}

#[derive(Default)]
struct Checker {
    /// The one nearest to the root, and the first of those.
    error: Option<Error>,
    depth: usize,
    schema_path: String,
    path: String,
}

impl Checker {
    fn outcome(self) -> Result<(), String> {
        self.error.map_or(Ok(()), |Error { message, keyword, schema_path, path, .. }| {
            Err(format!(
                "{message}\n\nFailed validating '{keyword}' in schema{schema_path}\n\nOn instance{path}"
            ))
        })
    }

    fn fail(&mut self, keyword: &'static str, message: String) {
        if self.error.as_ref().is_none_or(|known| self.depth < known.depth) {
            let (schema_path, path) = (self.schema_path.clone(), self.path.clone());
            self.error = Some(Error { depth: self.depth, message, keyword, schema_path, path });
        }
    }

    fn check(&mut self, schema: &Schema, value: &Value) {
        match schema {
            Schema::Integer { minimum, maximum } => self.integer(*minimum, *maximum, value),
            Schema::IntegerOrNull if value.is_null() || is_integer(value) => {}
            Schema::IntegerOrNull => {
                self.fail("type", format!("{} is not of type 'integer', 'null'", shown(value)));
            }
            Schema::Number { maximum } => match value.as_f64() {
                None => self.wrong_type("number", value),
                Some(number) if number > *maximum => {
                    self.fail(
                        "maximum",
                        format!("{} is greater than the maximum of {maximum}", shown(value)),
                    );
                }
                Some(_) => {}
            },
            Schema::String(text) => match value.as_str() {
                Some(string) => self.text(text, string),
                None => self.wrong_type("string", value),
            },
            Schema::UuidOrNull => {
                if !value.is_null() && !value.as_str().is_some_and(|text| UuidForm::Any.takes(text)) {
                    self.fail(
                        "anyOf",
                        format!("{} is not valid under any of the given schemas", shown(value)),
                    );
                }
            }
            Schema::Array { items, at_least_one, unique } => match value.as_array() {
                Some(values) => self.array(items, *at_least_one, *unique, values, value),
                None => self.wrong_type("array", value),
            },
            Schema::Object(object) => match value.as_object() {
                Some(members) => self.object(object, members),
                None => self.wrong_type("object", value),
            },
        }
    }

    fn wrong_type(&mut self, wanted: &str, value: &Value) {
        self.fail("type", format!("{} is not of type '{wanted}'", shown(value)));
    }

    fn integer(&mut self, minimum: Option<i64>, maximum: Option<i64>, value: &Value) {
        if !is_integer(value) {
            return self.wrong_type("integer", value);
        }
        let number = integer_of(value);
        if let Some(minimum) = minimum.filter(|&minimum| number < minimum) {
            self.fail("minimum", format!("{} is less than the minimum of {minimum}", shown(value)));
        }
        if let Some(maximum) = maximum.filter(|&maximum| number > maximum) {
            self.fail("maximum", format!("{} is greater than the maximum of {maximum}", shown(value)));
        }
    }

    fn text(&mut self, text: &Text, string: &str) {
        let shown = || shown_text(string);
        // PostgreSQL cannot store it, and an export has to be readable there.
        if string.contains('\0') {
            self.fail("pattern", format!("{} contains a NUL character", shown()));
        }
        if let Some(pattern) = text.pattern.as_ref().filter(|pattern| !(pattern.matches)(string)) {
            self.fail("pattern", format!("{} does not match {}", shown(), quoted(&pattern.text)));
        }
        if text.at_least_one && string.is_empty() {
            self.fail("minLength", "'' should be non-empty".to_owned());
        }
        if text.longest.is_some_and(|longest| string.chars().count() > longest) {
            self.fail("maxLength", format!("{} is too long", shown()));
        }
        if text.uuid.is_some_and(|form| !form.takes(string)) {
            self.fail("format", format!("{} is not a 'uuid'", shown()));
        }
        if let Some(choices) = text.one_of.filter(|choices| !choices.contains(&string)) {
            let choices: Vec<_> = choices.iter().map(|choice| quoted(choice)).collect();
            self.fail("enum", format!("{} is not one of [{}]", shown(), choices.join(", ")));
        }
    }

    fn array(&mut self, items: &Schema, at_least_one: bool, unique: bool, values: &[Value], value: &Value) {
        if at_least_one && values.is_empty() {
            self.fail("minItems", "[] should be non-empty".to_owned());
        }
        if unique && has_duplicates(values) {
            self.fail("uniqueItems", format!("{} has non-unique elements", shown(value)));
        }
        for (place, item) in values.iter().enumerate() {
            self.below("['items']", &format!("[{place}]"), |below| below.check(items, item));
        }
    }

    fn object<M: Members>(&mut self, object: &Object, members: &M) {
        for (name, schema) in &object.members {
            if let Some(member) = members.get(name) {
                let place = format!("[{}]", quoted(name));
                let step = format!("['properties']{place}");
                self.below(&step, &place, |below| M::check(below, schema, member));
            }
        }
        for (pattern, schema) in &object.patterns {
            for (name, member) in members.iter().filter(|(name, _)| (pattern.matches)(name)) {
                let step = format!("['patternProperties'][{}]", quoted(&pattern.text));
                let place = format!("[{}]", quoted(name));
                self.below(&step, &place, |below| M::check(below, schema, member));
            }
        }
        if object.at_least_one && members.iter().next().is_none() {
            self.fail("minProperties", "{} should be non-empty".to_owned());
        }
        for name in object.required.iter().filter(|name| members.get(name).is_none()) {
            self.fail("required", format!("{} is a required property", quoted(name)));
        }
        if !object.open {
            self.unexpected(object, members);
        }
    }

    fn unexpected<M: Members>(&mut self, object: &Object, members: &M) {
        let is_named = |name: &str| object.members.iter().any(|(known, _)| *known == name);
        let has_pattern = |name: &str| object.patterns.iter().any(|(pattern, _)| (pattern.matches)(name));
        let names = members.iter().map(|(name, _)| name);
        let others = names.filter(|name| !is_named(name) && !has_pattern(name));
        const SHOWN: usize = 20;
        let others: Vec<_> = others.take(SHOWN).map(shown_text).collect();
        if others.is_empty() {
            return;
        }
        let (names, several) = (others.join(", "), others.len() > 1);
        let message = if object.patterns.is_empty() {
            let verb = if several { "were" } else { "was" };
            format!("Additional properties are not allowed ({names} {verb} unexpected)")
        } else {
            let verb = if several { "do" } else { "does" };
            let mut patterns: Vec<_> =
                object.patterns.iter().map(|(pattern, _)| quoted(&pattern.text)).collect();
            patterns.sort_unstable();
            format!("{names} {verb} not match any of the regexes: {}", patterns.join(", "))
        };
        self.fail("additionalProperties", message);
    }

    fn below(&mut self, schema_step: &str, step: &str, check: impl FnOnce(&mut Self)) {
        let lengths = (self.schema_path.len(), self.path.len());
        self.schema_path.push_str(schema_step);
        self.path.push_str(step);
        self.depth += 1;
        check(self);
        self.depth -= 1;
        self.schema_path.truncate(lengths.0);
        self.path.truncate(lengths.1);
    }
}

fn has_duplicates(values: &[Value]) -> bool {
    let mut texts: Vec<String> = values.iter().map(Value::to_string).collect();
    texts.sort_unstable();
    texts.windows(2).any(|pair| pair[0] == pair[1])
}

/// Whether the value is a whole number, however it is written.
fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

/// The whole number, held to the range of `i64`.
#[allow(clippy::cast_possible_truncation)] // a float cast saturates
pub(crate) fn integer_of(value: &Value) -> i64 {
    match (value.as_i64(), value.as_u64()) {
        (Some(number), _) => number,
        (None, Some(_)) => i64::MAX,
        (None, None) => value.as_f64().map_or(0, |number| number as i64),
    }
}
