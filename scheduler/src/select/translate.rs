//! Translates allocation candidates into rows and classes of the index.

use berth_placement::{Allocation, Allocations, ConsumerId, Index, Member, Row, Topology, TransferError};
use uuid::Uuid;

use super::{AllocationCandidate, CandidateAllocations};

/// The reason why the index refused a claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexClaimError {
    /// The candidate names a provider that the index does not have.
    #[error("allocations: there is no resource provider {0}")]
    Provider(String),
    /// The candidate names a resource class that the index does not have.
    #[error("allocations.{provider}.resources: there is no resource class {class}")]
    Class {
        /// The provider.
        provider: String,
        /// The class.
        class: String,
    },
    /// The amount exceeds every possible inventory.
    #[error("allocations.{provider}.resources.{class}: {amount} is more than an inventory can have")]
    Amount {
        /// The provider.
        provider: String,
        /// The class.
        class: String,
        /// The requested amount.
        amount: u64,
    },
    /// The candidate allocates nothing.
    #[error("allocations: there are none")]
    Empty,
    /// The index refused.
    #[error(transparent)]
    Refused(#[from] TransferError),
}

/// The allocations of an instance, and its host in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Translated {
    pub(super) consumer: ConsumerId,
    pub(super) host: Row,
    pub(super) allocations: Allocations,
}

impl Translated {
    pub(super) const fn member(&self) -> Member {
        Member::new(self.consumer, self.host)
    }
}

/// Looks up all names of the candidate.
pub(super) fn translate(
    index: &Index,
    consumer: ConsumerId,
    candidate: &AllocationCandidate,
) -> Result<Translated, IndexClaimError> {
    let allocations = allocations(index, candidate)?;
    let host = index.topology().host_of(&allocations).ok_or(IndexClaimError::Empty)?;
    Ok(Translated { consumer, host, allocations })
}

/// The candidate's allocations, in rows and classes of the index.
///
/// # Errors
/// The index lacks a provider or class that the candidate names.
pub fn allocations(index: &Index, candidate: &AllocationCandidate) -> Result<Allocations, IndexClaimError> {
    let named = match &candidate.allocations {
        CandidateAllocations::Rows(rows) => return Ok(rows.clone()),
        CandidateAllocations::Named(named) => named,
    };
    let topology = index.topology();
    let mut allocations = Allocations::new();
    for (provider, of_provider) in named {
        let row = Uuid::parse_str(provider).ok().and_then(|uuid| index.find(uuid));
        let row = row.ok_or_else(|| IndexClaimError::Provider(provider.clone()))?;
        for (class, &amount) in &of_provider.resources {
            allocations.push(allocation(&topology, (provider, row), class, amount)?);
        }
    }
    Ok(allocations)
}

fn allocation(
    topology: &Topology,
    (provider, row): (&String, Row),
    class: &str,
    amount: u64,
) -> Result<Allocation, IndexClaimError> {
    let unknown = || IndexClaimError::Class { provider: provider.clone(), class: class.to_owned() };
    let id = topology.class(class).ok_or_else(unknown)?;
    let too_much =
        |_| IndexClaimError::Amount { provider: provider.clone(), class: class.to_owned(), amount };
    Ok(Allocation { row, class: id, amount: u32::try_from(amount).map_err(too_much)? })
}
