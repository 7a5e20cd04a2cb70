//! Names that every Placement server knows from the start.

mod classes;
mod traits;

use berth_placement::{TopologyError, Writer};

pub use classes::CLASSES;
pub use traits::TRAITS;

/// What the names of all other traits, resource classes begin with.
pub const CUSTOM_PREFIX: &str = "CUSTOM_";

/// Makes sure that an index knows them.
pub(crate) fn add_to(writer: &mut Writer<'_>) -> Result<(), TopologyError> {
    for class in CLASSES {
        writer.resource_class(class)?;
    }
    for name in TRAITS {
        writer.trait_named(name);
    }
    Ok(())
}
