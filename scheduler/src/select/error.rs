//! Why no destinations were found.

use berth_placement::TransferError;

use crate::filters::FilterFailure;
use crate::weighers::WeighFailure;

/// Why no destinations were found. All claims were released.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SelectError {
    /// Some instance found no host. Nova's text, which its callers show to users.
    #[error("No valid host was found. There are not enough hosts available.")]
    NoValidHost {
        /// Instances that had found one.
        placed: usize,
        /// Instances there are.
        wanted: usize,
    },
    /// Others were faster each time the request was decided. There may be capacity: repeat the request.
    #[error("outrun by other requests {attempts} times")]
    Outrun {
        /// How often it was decided.
        attempts: usize,
    },
    /// The instances cannot be claimed anywhere: one of them has allocations already, say, or is in another group.
    #[error("the claim was refused: {0}")]
    Refused(#[from] TransferError),
    /// A filter could not judge the request.
    #[error(transparent)]
    Filter(#[from] FilterFailure),
    /// A weigher could not weigh a host.
    #[error(transparent)]
    Weigh(#[from] WeighFailure),
    /// The claimed allocation candidate does not say which provider serves a request group.
    #[error("requested_resources: the allocation candidate maps no provider to group {0}")]
    NoMapping(String),
}
