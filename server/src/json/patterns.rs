//! The regular expressions of the API, each with a function that does the same.

use std::borrow::Cow;

use super::schema::Pattern;

const fn pattern(text: &'static str, matches: fn(&str) -> bool) -> Pattern {
    Pattern { text: Cow::Borrowed(text), matches }
}

/// A UUID in its canonical form, more or less.
pub(crate) const UUID: Pattern = pattern("^[0-9a-fA-F-]{36}$", |text| {
    text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
});

/// A resource class.
pub(crate) const CLASS: Pattern = pattern("^[A-Z0-9_]+$", is_upper_name);

/// A custom resource class or trait.
pub(crate) const CUSTOM: Pattern =
    pattern("^CUSTOM_[A-Z0-9_]+$", |text| text.strip_prefix("CUSTOM_").is_some_and(is_upper_name));

/// A consumer type to filter by.
pub(crate) const CONSUMER_TYPE_FILTER: Pattern = pattern("^[A-Z0-9_]+$|^all|^unknown$", |text| {
    is_upper_name(text) || text.starts_with("all") || text == "unknown"
});

/// A positive number.
pub(crate) const POSITIVE: Pattern = pattern("^[1-9][0-9]*$", is_positive);

/// Anything that contains the suffix of a request group.
pub(crate) const GROUP_SUFFIX: Pattern =
    pattern("[a-zA-Z0-9_-]{1,64}", |text| text.bytes().any(is_suffix_character));

fn is_upper_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

fn is_suffix_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

pub(crate) fn is_positive(text: &str) -> bool {
    !text.starts_with('0') && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A suffix as it was before microversion 1.33, or none.
pub(crate) fn is_number_suffix(text: &str) -> bool {
    text.is_empty() || is_positive(text)
}

/// A suffix as it is since microversion 1.33, or none.
pub(crate) fn is_name_suffix(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(is_suffix_character)
}
