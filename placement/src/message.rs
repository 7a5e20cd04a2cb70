//! Errors of the index as messages: the index numbers its providers, classes and traits, and a
//! message names them.

use crate::ids::{ClassId, Row};
use crate::topology::Topology;
use crate::writer::TopologyError;

/// The message of an error, with names and UUIDs in the place of numbers.
#[must_use]
pub fn message_of(topology: &Topology, error: &TopologyError) -> String {
    match error {
        TopologyError::InUse(in_use) => {
            let (class, provider) = (class_name(topology, in_use.class), provider(topology, in_use.row));
            format!("the inventory of {class} on {provider} is in use")
        }
        TopologyError::UnknownProvider(_) => "the resource provider was removed".to_owned(),
        TopologyError::HasChildren(row) => format!("{} has child providers", provider(topology, *row)),
        TopologyError::Loop(row) => format!("{} would stand below itself", provider(topology, *row)),
        TopologyError::ClassInUse(of) => format!("resource class {} is in use", class_name(topology, *of)),
        TopologyError::UnknownClass(_) => "the resource class was removed".to_owned(),
        TopologyError::TraitInUse(of) => {
            let name = topology.traits().name(of.0).unwrap_or("(deleted)");
            format!("trait {name} is in use")
        }
        TopologyError::UnknownTrait(_) => "the trait was removed".to_owned(),
        TopologyError::DuplicateUuid(_)
        | TopologyError::DuplicateName(_)
        | TopologyError::Generation { .. }
        | TopologyError::NameTaken(_)
        | TopologyError::Inventory(_)
        | TopologyError::Full { .. } => error.to_string(),
    }
}

/// The name of a resource class.
#[must_use]
pub fn class_name(topology: &Topology, class: ClassId) -> &str {
    topology.classes().name(class.0.into()).unwrap_or("(deleted)")
}

/// The UUID of a resource provider.
#[must_use]
pub fn provider_uuid(topology: &Topology, row: Row) -> String {
    topology.provider(row).map_or_else(|| "(deleted)".to_owned(), |provider| provider.uuid.to_string())
}

fn provider(topology: &Topology, row: Row) -> String {
    let known = topology.provider(row);
    known.map_or_else(
        || "a removed resource provider".to_owned(),
        |known| format!("resource provider {:?} ({})", known.name, known.uuid),
    )
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::index::Index;
    use crate::ledger::InventoryInUse;

    #[test]
    fn no_message_has_a_number_of_the_index() {
        let index = Index::default();
        let mut writer = index.write();
        let row = writer.add_provider(Uuid::from_u128(7), "host1", None).unwrap();
        let class = writer.resource_class("CUSTOM_GOLD").unwrap();
        let owned = writer.trait_named("CUSTOM_FAST");
        let topology = writer.topology();
        let named = "resource provider \"host1\" (00000000-0000-0000-0000-000000000007)";
        for (error, message) in [
            (
                TopologyError::InUse(InventoryInUse { row, class }),
                format!("the inventory of CUSTOM_GOLD on {named} is in use"),
            ),
            (TopologyError::HasChildren(row), format!("{named} has child providers")),
            (TopologyError::Loop(row), format!("{named} would stand below itself")),
            (TopologyError::ClassInUse(class), "resource class CUSTOM_GOLD is in use".to_owned()),
            (TopologyError::TraitInUse(owned), "trait CUSTOM_FAST is in use".to_owned()),
            (TopologyError::UnknownProvider(row), "the resource provider was removed".to_owned()),
        ] {
            assert_eq!(message_of(topology, &error), message);
        }
    }
}
