//! Allocation candidates: every way in which a query's request groups fit the fleet, found one by one.

mod candidate;
mod query;

pub use candidate::{Candidate, Mappings};
pub use query::{Group, GroupPolicy, Options, Query, Strategy, UnknownName, WorkExceeded};
