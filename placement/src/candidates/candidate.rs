//! One allocation candidate.

use smallvec::SmallVec;

use crate::consumers::Allocations;
use crate::ids::Row;

/// A set of allocations that satisfies a query.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// The amounts to allocate, each (provider, class) once, ordered by row and class.
    pub allocations: Allocations,
    /// The providers that serve each group: (position in
    /// [`Query::groups`](crate::candidates::Query::groups), provider), each pair once, in order.
    pub mappings: Mappings,
}

/// Pairs of group and provider; those of a plain request need no heap allocation.
pub type Mappings = SmallVec<[(u32, Row); 3]>;

impl Candidate {
    /// The providers that serve the group at this position.
    pub fn providers(&self, group: usize) -> impl Iterator<Item = Row> {
        let of_group = move |&&(of, _): &&(u32, Row)| of as usize == group;
        let first = self.mappings.partition_point(|&(of, _)| (of as usize) < group);
        self.mappings[first..].iter().take_while(of_group).map(|&(_, row)| row)
    }
}
