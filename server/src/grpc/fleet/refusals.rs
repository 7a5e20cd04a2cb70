//! Refusals of a fleet as statuses.

use tonic::{Code, Status};

use crate::fleet::FleetError;
use crate::grpc::status::{already_exists, bad_field, not_found, refused, refused_with};

impl From<FleetError> for Status {
    fn from(error: FleetError) -> Self {
        match error {
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
        }
    }
}
