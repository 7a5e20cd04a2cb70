//! Names that every Placement server knows from the start.

use berth_placement::standard::{CLASSES, TRAITS};
use berth_placement::{TopologyError, Writer};

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
