//! Errors of decisions.

use berth_placement::TransferError;

use crate::filters::FilterFailure;
use crate::weighers::WeighFailure;

/// The reason why no destinations were found. All claims were released.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SelectError {
    /// An instance found no host. The message is Nova's, which its callers show to users.
    #[error("No valid host was found. There are not enough hosts available.")]
    NoValidHost {
        /// The number of instances that had a host.
        placed: usize,
        /// The number of instances.
        wanted: usize,
    },
    /// Concurrent claims invalidated every attempt. There may be capacity: retry the request.
    #[error("{attempts} claims in a row were refused: other requests took the capacity")]
    Outrun {
        /// The number of attempts.
        attempts: usize,
    },
    /// The instances cannot be claimed on any host: for example, one of them has allocations or is
    /// in another server group.
    #[error("the claim was refused: {0}")]
    Refused(#[from] TransferError),
    /// A filter failed on the request.
    #[error(transparent)]
    Filter(#[from] FilterFailure),
    /// A weigher failed on a host.
    #[error(transparent)]
    Weigh(#[from] WeighFailure),
    /// The claimed allocation candidate does not name the providers of a request group.
    #[error("requested_resources: the allocation candidate maps no provider to group {0}")]
    NoMapping(String),
}
