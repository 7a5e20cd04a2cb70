//! Errors of the index as statuses.

use berth_placement::{Topology, TopologyError};
use tonic::{Code, Status};

use crate::grpc::status::{already_exists, bad_field, not_found, refused, refused_with};
use berth_placement::message::message_of;

/// The refusal of the writer, about the provider with this UUID.
pub(super) fn of_topology(topology: &Topology, error: &TopologyError, uuid: &str) -> Status {
    match error {
        // Somebody else was faster: the client reads again and retries.
        TopologyError::Generation { given, found } => refused_with(
            Code::Aborted,
            "GENERATION_CONFLICT",
            format!("resource provider {uuid} has generation {found}, not {given}"),
            [("expected", given.to_string()), ("found", found.to_string())],
        ),
        // Consumers hold some of it.
        TopologyError::InUse(_) => refused(Code::FailedPrecondition, "IN_USE", message_of(topology, error)),
        TopologyError::HasChildren(_) => {
            let message = format!("resource provider {uuid} has child providers");
            refused(Code::FailedPrecondition, "HAS_CHILDREN", message)
        }
        TopologyError::Loop(_) => below_itself(uuid),
        // Looked up before, and removed a moment ago.
        TopologyError::UnknownProvider(_) => not_found("resource provider", uuid),
        TopologyError::DuplicateName(name) | TopologyError::NameTaken(name) => {
            already_exists("resource provider", name)
        }
        TopologyError::DuplicateUuid(uuid) => already_exists("resource provider", &uuid.to_string()),
        // The service's own limit, nothing the client can mend.
        TopologyError::Full { what, limit } => refused_with(
            Code::ResourceExhausted,
            "FULL",
            error.to_string(),
            [("what", (*what).to_owned()), ("limit", limit.to_string())],
        ),
        TopologyError::Inventory(_) => bad_field("inventories", error.to_string()),
        // Ruled out while the writer is held: names were looked up there.
        TopologyError::ClassInUse(_)
        | TopologyError::TraitInUse(_)
        | TopologyError::UnknownClass(_)
        | TopologyError::UnknownTrait(_) => Status::internal(message_of(topology, error)),
    }
}

/// A provider that is to stand below itself, or below one of its own.
pub(super) fn below_itself(uuid: &str) -> Status {
    let message = format!("resource provider {uuid} would stand below itself");
    refused(Code::FailedPrecondition, "LOOP", message)
}
