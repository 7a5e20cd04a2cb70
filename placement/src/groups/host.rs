//! The host of a set of allocations.

use crate::consumers::Allocation;
use crate::ids::Row;
use crate::topology::Topology;

impl Topology {
    /// The host of the allocations: the root of the first provider that does not share. If all
    /// share, the root of the first one.
    #[must_use]
    pub fn host_of(&self, allocations: &[Allocation]) -> Option<Row> {
        let shares = |row: Row| self.sharing().is_some_and(|sharing| sharing.contains(row.0));
        let own = allocations.iter().find(|allocation| !shares(allocation.row)).or(allocations.first())?;
        self.provider(own.row).map(|provider| provider.root)
    }

    /// Whether any of the allocations is in the tree of `host`.
    #[must_use]
    pub fn is_on(&self, host: Row, allocations: &[Allocation]) -> bool {
        let root = |allocation: &Allocation| self.provider(allocation.row).map(|provider| provider.root);
        allocations.iter().any(|allocation| root(allocation) == Some(host))
    }
}
