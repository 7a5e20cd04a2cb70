//! Bytes in flight: of requests that are arriving, and of responses that clients have not read yet.

use crate::budget::{Budget, Exceeded};

/// The bytes of a head, a gRPC message or a response that are not counted: most are not longer.
pub(crate) const UNCOUNTED: usize = 16 << 10;

/// More bytes would be in flight than one caller or all callers may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the requests that are arriving and the responses of {whose} that were not read yet have more than {most} bytes"
)]
pub(crate) struct TooMuchInFlight {
    whose: &'static str,
    most: usize,
}

impl TooMuchInFlight {
    /// The error for a bound of the budget.
    pub(crate) const fn of(budget: &Budget, exceeded: Exceeded) -> Self {
        let whose = match exceeded {
            Exceeded::Caller => "this caller",
            Exceeded::All => "all callers",
        };
        Self { whose, most: budget.bound(exceeded) }
    }
}
