//! Destinations for the instances of a request: filter, weigh, choose, claim and consume, once for
//! each instance.
//!
//! [`SelectDestinations`] decides; it claims through [`Claims`] and chooses through [`Chooser`]. An
//! index, a simulation and a comparison with Nova therefore use the same code.

mod alternates;
mod as_one;
mod candidate;
mod chance;
mod chooser;
mod claims;
mod destinations;
mod error;
mod index_claims;
mod order;
mod selection;
mod sorted;
mod translate;

pub use as_one::{ATTEMPTS, DecisionAsOne};
pub(crate) use as_one::{Plan, claim_as_one};
pub use candidate::{AllocationCandidate, CandidateAllocations, ProviderAllocation};
pub use chooser::Chooser;
pub use claims::Claims;
pub use destinations::{Decision, DecisionDetail, SelectDestinations};
pub use error::SelectError;
pub use index_claims::{Claimant, IndexClaims, RefusedClaim};
pub(crate) use order::{HostOrder, LookAtAll, by_driver};
pub use selection::Selection;
pub use sorted::Sorted;
pub(crate) use sorted::{By, draw};
pub use translate::{IndexClaimError, allocations};
