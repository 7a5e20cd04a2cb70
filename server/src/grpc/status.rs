//! Errors as gRPC statuses, with details that programs can read.

use berth_api::v1;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, ErrorInfo, StatusExt};

/// The domain of all reasons.
const DOMAIN: &str = "berth";

/// The name of a code, as the specification of gRPC writes it.
pub(crate) const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// A field of the request is wrong; `what` says how, as in `has to be a UUID`.
pub(crate) fn bad_field(field: impl Into<String>, what: impl Into<String>) -> Status {
    let (field, what) = (field.into(), what.into());
    let message = format!("{field}: {what}");
    let details = ErrorDetails::with_bad_request_violation(field, what);
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// There is no such thing; `kind` is its type, as in `resource provider`.
pub(crate) fn not_found(kind: &str, name: &str) -> Status {
    about(Code::NotFound, kind, name, format!("there is no {kind} {name}"))
}

/// There is such a thing already.
pub(crate) fn already_exists(kind: &str, name: &str) -> Status {
    about(Code::AlreadyExists, kind, name, format!("there is a {kind} {name} already"))
}

fn about(code: Code, kind: &str, name: &str, message: String) -> Status {
    let details = ErrorDetails::with_resource_info(kind, name, "", &message);
    Status::with_error_details(code, message, details)
}

/// The present state does not allow it. Programs distinguish reasons by `reason`, such as `IN_USE`.
pub(crate) fn refused(code: Code, reason: &str, message: impl Into<String>) -> Status {
    refused_with(code, reason, message, None::<(String, String)>)
}

/// [`refused`], with facts that programs may want.
pub(crate) fn refused_with(
    code: Code,
    reason: &str,
    message: impl Into<String>,
    facts: impl IntoIterator<Item = (impl Into<String>, String)>,
) -> Status {
    let mut info = ErrorInfo::new(reason, DOMAIN, <[(String, String); 0]>::default());
    info.metadata.extend(facts.into_iter().map(|(name, value)| (name.into(), value)));
    Status::with_error_details_vec(code, message, vec![info.into()])
}

/// The error of one message of a stream.
pub(crate) fn failure(status: &Status) -> v1::Failure {
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    v1::Failure { code: status.code().into(), message: status.message().to_owned(), reason }
}
