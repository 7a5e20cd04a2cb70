//! Allocation candidates: every way in which a query's request groups fit the fleet, found one at a
//! time.
//!
//! `docs/candidates.md` describes the search and argues why its cost stays bounded.

mod anchors;
mod assignment;
mod bits;
mod candidate;
mod expansion;
mod matching;
mod need;
mod order;
mod plan;
mod query;
mod restrictions;
mod rows;
mod scope;
mod search;
mod summaries;
mod tree_query;
mod work;

pub use candidate::{Candidate, Mappings};
pub use query::{Query, QueryGroup, RequestGroupPolicy, SearchOptions, Strategy, UnknownName, WorkExceeded};
pub use search::Candidates;
pub use summaries::{ClassSummary, ProviderSummary};
pub use tree_query::{TreeCandidates, TreeQuery};
pub use work::Stop;
