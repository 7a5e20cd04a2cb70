//! IoOpsFilter, NumInstancesFilter, and the same with limits of aggregates

use super::{Filter, Reason, RequestState, Scene, Verdict, pass_if};
use crate::hosts::HostRow;
use crate::python::integer_64;

/// A limit for every host, or one that the host's aggregates lower or raise.
struct Limit<'a> {
    scene: &'a Scene<'a>,
    configured: i64,
    /// The aggregate key that overrides it, if aggregates are asked.
    key: Option<&'static str>,
}

impl Limit<'_> {
    fn of(&self, row: HostRow) -> i64 {
        let aggregates = &self.scene.hosts.class(row).aggregates;
        self.key.and_then(|key| aggregates.least(key, integer_64)).unwrap_or(self.configured)
    }
}

/// Passes hosts with fewer I/O operations than `max_io_ops_per_host`.
pub(super) struct IoOpsFilter<'a>(Limit<'a>);

impl<'a> IoOpsFilter<'a> {
    pub(super) const fn new(scene: &'a Scene<'a>) -> Self {
        Self(Limit { scene, configured: scene.options.filter_scheduler.max_io_ops_per_host, key: None })
    }

    /// AggregateIoOpsFilter: the least `max_io_ops_per_host` of the host's aggregates goes before
    /// the option.
    pub(super) const fn by_aggregate(scene: &'a Scene<'a>) -> Self {
        let mut filter = Self::new(scene);
        filter.0.key = Some("max_io_ops_per_host");
        filter
    }
}

impl Filter for IoOpsFilter<'_> {
    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        let found = self.0.scene.hosts.usage().num_io_ops[row.0 as usize];
        let limit = self.0.of(row);
        pass_if(found < limit, || Reason::TooManyIoOps { found, limit })
    }
}

/// Passes hosts with fewer instances than `max_instances_per_host`.
pub(super) struct NumInstancesFilter<'a>(Limit<'a>);

impl<'a> NumInstancesFilter<'a> {
    pub(super) const fn new(scene: &'a Scene<'a>) -> Self {
        Self(Limit { scene, configured: scene.options.filter_scheduler.max_instances_per_host, key: None })
    }

    /// AggregateNumInstancesFilter: the least `max_instances_per_host` of the host's aggregates
    /// goes before the option.
    pub(super) const fn by_aggregate(scene: &'a Scene<'a>) -> Self {
        let mut filter = Self::new(scene);
        filter.0.key = Some("max_instances_per_host");
        filter
    }
}

impl Filter for NumInstancesFilter<'_> {
    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        let found = self.0.scene.hosts.usage().num_instances[row.0 as usize];
        let limit = self.0.of(row);
        pass_if(found < limit, || Reason::TooManyInstances { found, limit })
    }
}
