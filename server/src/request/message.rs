//! Messages for errors of the index, worded as in Placement.

pub(crate) use berth_placement::message::{class_name, provider_uuid};
use berth_placement::{Refusal, Topology};

/// The message for a refused allocation, worded as in Placement.
pub(crate) fn allocation(refusal: &Refusal, topology: &Topology) -> String {
    let (row, class, what) = match *refusal {
        Refusal::NoInventory { row, class } => {
            return format!(
                "Inventory for '{}' on resource provider '{}' invalid.",
                class_name(topology, class),
                provider_uuid(topology, row)
            );
        }
        Refusal::Units { row, class, .. } => (row, class, "violate inventory constraints"),
        Refusal::Capacity { row, class, .. } => (row, class, "exceed the capacity"),
    };
    format!(
        "Unable to create allocation for '{}' on resource provider '{}'. The requested amount would {what}.",
        class_name(topology, class),
        provider_uuid(topology, row)
    )
}

pub(crate) fn no_such_class(name: &str) -> String {
    format!("No such resource class {name}.")
}

pub(crate) fn no_such_trait(name: &str) -> String {
    format!("No such trait(s): {name}.")
}
