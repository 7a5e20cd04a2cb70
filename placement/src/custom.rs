//! Names of custom traits and resource classes.

use crate::ids::TraitId;
use crate::standard::CUSTOM_PREFIX;
use crate::writer::{TopologyError, Writer};

/// The number of traits that an index may have: each change of the fleet copies a table of that
/// length.
pub const MAX_TRAITS: usize = 1 << 16;

/// The rule for custom names, as the end of a sentence about one.
pub const RULE: &str =
    "begins with CUSTOM_, has the characters A-Z, 0-9 and _, and is no longer than 255 characters";

/// Whether a custom trait or resource class can have the name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let rest = name.strip_prefix(CUSTOM_PREFIX);
    name.len() <= 255 && rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_allowed))
}

/// The trait with this name, which is added if it is new.
///
/// # Errors
/// Too many traits.
pub fn trait_named(writer: &mut Writer<'_>, name: &str) -> Result<TraitId, TopologyError> {
    if let Some(known) = writer.topology().find_trait(name) {
        return Ok(known);
    }
    if writer.topology().traits().count() >= MAX_TRAITS {
        return Err(TopologyError::Full { what: "traits", limit: MAX_TRAITS });
    }
    Ok(writer.trait_named(name))
}
