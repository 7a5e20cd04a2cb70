//! The error response to a request that cannot be served.

use std::fmt::Display;

use axum::http::StatusCode;

/// A refusal, as the API reports it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {detail}")]
pub struct Failure {
    /// The HTTP status.
    pub status: StatusCode,
    /// The code by which clients distinguish reasons, from microversion 1.23 on.
    pub code: Code,
    /// The message for people.
    pub detail: String,
    /// The methods that are allowed, when the requested one is not among them.
    pub allow: Option<&'static str>,
}

/// The message of an error as a sentence: details of REST are sentences, messages of gRPC are not.
pub(crate) fn sentence(error: &impl Display) -> String {
    let message = error.to_string();
    let mut rest = message.chars();
    rest.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), rest.as_str()))
}

/// The beginning of the detail of a conflict over inventories.
pub(crate) const UPDATE_CONFLICT: &str = "update conflict: ";

/// The codes of errors that clients may want to handle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Code {
    /// Nothing in particular.
    #[default]
    Undefined,
    /// An inventory to be removed has allocations.
    InventoryInUse,
    /// Another client has made a change in the meantime: read again and retry.
    ConcurrentUpdate,
    /// A name or UUID is taken.
    DuplicateName,
    /// A provider to be removed has allocations.
    ProviderInUse,
    /// A provider to be removed has children.
    CannotDeleteParent,
    /// No such provider.
    ProviderNotFound,
    /// A query parameter was given twice.
    DuplicateParameter,
    /// A query parameter has a bad value.
    BadValue,
    /// A query parameter is missing.
    MissingValue,
}

impl Code {
    /// The code as clients see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Undefined => "placement.undefined_code",
            Self::InventoryInUse => "placement.inventory.inuse",
            Self::ConcurrentUpdate => "placement.concurrent_update",
            Self::DuplicateName => "placement.duplicate_name",
            Self::ProviderInUse => "placement.resource_provider.inuse",
            Self::CannotDeleteParent => "placement.resource_provider.cannot_delete_parent",
            Self::ProviderNotFound => "placement.resource_provider.not_found",
            Self::DuplicateParameter => "placement.query.duplicate_key",
            Self::BadValue => "placement.query.bad_value",
            Self::MissingValue => "placement.query.missing_value",
        }
    }
}

impl Failure {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, code: Code::Undefined, detail: detail.into(), allow: None }
    }

    /// The request itself is wrong.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// There is no token.
    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// The service has failed; its log says how.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The request has failed.")
    }

    /// A dependency of the service is unavailable at present.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// The policy refuses the request.
    pub(crate) fn forbidden(rule: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, format!("Policy does not allow {rule} to be performed."))
    }

    /// The resource of the URL does not exist.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// There is nothing at this URL, at least not in this microversion.
    pub(crate) fn no_such_resource() -> Self {
        Self::not_found("The resource could not be found.")
    }

    /// The URL does not know the method.
    pub(crate) fn method_not_allowed(method: &str, allow: Option<&'static str>) -> Self {
        let detail = format!("The method {method} is not allowed for this resource.");
        Self { allow, ..Self::new(StatusCode::METHOD_NOT_ALLOWED, detail) }
    }

    /// The client accepts no media type that the service has.
    pub(crate) fn not_acceptable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, detail)
    }

    /// The request conflicts with the current state.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// The body takes too long to arrive.
    pub(crate) fn too_slow(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, detail)
    }

    /// The body is too long.
    pub(crate) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// The URL is too long.
    pub(crate) fn uri_too_long(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::URI_TOO_LONG, detail)
    }

    /// The body is of another type.
    pub(crate) fn unsupported_media_type(given: &str) -> Self {
        let detail = format!("The media type {given} is not supported, use application/json");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    /// The server has reached a limit of its own.
    pub(crate) fn insufficient_storage(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, detail)
    }

    /// The same refusal with a code.
    pub(crate) fn code(self, code: Code) -> Self {
        Self { code, ..self }
    }
}
