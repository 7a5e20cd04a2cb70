//! How refusals of the core are told, where several handlers tell the same.

use berth_placement::{ClassId, Refusal, Row, Topology, TopologyError, Writer};

use crate::error::{Code, Failure};

/// The beginning of a conflict over inventories. Nova's functional tests compare it.
pub(super) const CONFLICT: &str = "There was a conflict when trying to complete your request.\n\n ";

/// A refusal of the writer that the handler has ruled out before, or that is about the index as a whole.
pub(super) fn unexpected(error: TopologyError) -> Failure {
    match error {
        // The server's own limit, nothing the client can mend.
        TopologyError::Full { .. } => Failure::insufficient_storage(error.to_string()),
        // The provider was removed a moment ago.
        TopologyError::UnknownProvider(_) => Failure::not_found("The resource provider was removed."),
        // Somebody else was faster.
        TopologyError::Generation { .. } => concurrent_update(&error.to_string()),
        other => Failure::bad_request(other.to_string()),
    }
}

/// The state has changed since the client looked.
pub(super) fn concurrent_update(detail: &str) -> Failure {
    Failure::conflict(detail).code(Code::ConcurrentUpdate)
}

/// Checks the generation that a client gave for a provider.
pub(super) fn expect_generation(writer: &Writer<'_>, row: Row, given: i64) -> Result<(), Failure> {
    let is_right = u64::try_from(given).is_ok_and(|given| writer.expect_generation(row, given).is_ok());
    if is_right {
        return Ok(());
    }
    Err(concurrent_update(
        "Resource provider's generation already changed. Please update the generation and try again.",
    ))
}

pub(crate) fn no_such_class(name: &str) -> String {
    format!("No such resource class {name}.")
}

pub(super) fn no_such_trait(name: &str) -> String {
    format!("No such trait(s): {name}.")
}

/// Why an allocation was refused.
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

pub(crate) fn class_name(topology: &Topology, class: ClassId) -> &str {
    topology.classes().name(class.0.into()).unwrap_or("(deleted)")
}

pub(crate) fn provider_uuid(topology: &Topology, row: Row) -> String {
    topology.provider(row).map_or_else(|| "(deleted)".to_owned(), |provider| provider.uuid.to_string())
}
