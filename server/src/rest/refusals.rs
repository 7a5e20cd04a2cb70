//! Errors of the index as responses, where several handlers respond alike.

use berth_placement::{Row, TopologyError, Writer};

use crate::error::{Code, Failure};

/// A refusal of the writer that the handler has ruled out before, or that is about the index as a
/// whole.
pub(super) fn unexpected(error: TopologyError) -> Failure {
    match error {
        // The server's own limit, which no client can change.
        TopologyError::Full { .. } => Failure::insufficient_storage(error.to_string()),
        // The provider was removed a moment ago.
        TopologyError::UnknownProvider(_) => Failure::not_found("The resource provider was removed."),
        // Another request changed the provider first.
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
