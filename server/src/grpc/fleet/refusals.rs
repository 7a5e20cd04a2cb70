//! Errors of the fleet as statuses.

use berth_fleet::FleetError;
use tonic::{Code, Status};

use crate::grpc::status::{already_exists, bad_field, not_found, refused, refused_with};

/// Why a call fails: a status, also one for an error of the fleet.
#[derive(Debug)]
pub(crate) struct CallError(Status);

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        Self(status)
    }
}

impl From<CallError> for Status {
    fn from(CallError(status): CallError) -> Self {
        status
    }
}

impl From<FleetError> for CallError {
    fn from(error: FleetError) -> Self {
        Self(match error {
            FleetError::Field { field, problem } => bad_field(field, problem),
            FleetError::NotFound { kind, name } => not_found(kind, &name),
            FleetError::Exists { kind, name } => already_exists(kind, &name),
            FleetError::Precondition { reason, message } => {
                refused(Code::FailedPrecondition, reason, message)
            }
            FleetError::Exhausted { reason, message, counts } => {
                let counts = counts.into_iter().map(|(constraint, hosts)| (constraint, hosts.to_string()));
                refused_with(Code::ResourceExhausted, reason, message, counts)
            }
        })
    }
}
