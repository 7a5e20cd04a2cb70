//! Names that clients make up: custom traits and resource classes.

use berth_placement::{TopologyError, TraitId, Writer};

use crate::json::patterns;

/// How many numbers traits may have, removed ones included: every change of the fleet copies a table that long.
const MAX_TRAITS: usize = 1 << 16;

/// What makes a custom name, in words.
pub(crate) const RULE: &str =
    "begins with CUSTOM_, has the characters A-Z, 0-9 and _, and is no longer than 255 characters";

/// Whether it can be the name of a custom trait or resource class.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= 255 && (patterns::CUSTOM.matches)(name)
}

/// The trait with this name, which is added if it is new.
///
/// # Errors
/// Too many traits.
pub(crate) fn trait_named(writer: &mut Writer<'_>, name: &str) -> Result<TraitId, TopologyError> {
    if let Some(known) = writer.topology().find_trait(name) {
        return Ok(known);
    }
    if writer.topology().traits().len() >= MAX_TRAITS {
        return Err(TopologyError::Full { what: "traits", limit: MAX_TRAITS });
    }
    Ok(writer.trait_named(name))
}
