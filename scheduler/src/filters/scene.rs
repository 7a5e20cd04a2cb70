//! The inputs of filters and weighers.

use rustc_hash::FxHashMap;

use crate::hosts::{HostRow, HostTable};
use crate::options::Options;
use crate::request_spec::RequestSpec;
use crate::select::AllocationCandidate;

/// A request before a fleet at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The fleet.
    pub hosts: &'a HostTable,
    /// The operator's options.
    pub options: &'a Options,
    /// The request.
    pub request: &'a RequestSpec,
    /// The time in microseconds since 1970.
    pub now: i64,
}

/// Ratios by which NUMATopologyFilter judged a host. They are reported as the host's limits and
/// hold when it is consumed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NumaLimits {
    /// Floating vCPUs for each shared CPU.
    pub cpu_allocation_ratio: f64,
    /// Memory of floating instances, as a multiple of a cell's.
    pub ram_allocation_ratio: f64,
}

/// The findings of filters about hosts while one request is served.
#[derive(Debug, Clone, Default)]
pub struct RequestState {
    candidates: FxHashMap<HostRow, Vec<AllocationCandidate>>,
    left: FxHashMap<HostRow, Vec<usize>>,
    limits: FxHashMap<HostRow, NumaLimits>,
}

impl RequestState {
    /// Gives a host its allocation candidates, in placement's order. It may be none: then the host
    /// is among those that are filtered and weighed, but cannot be claimed. A host that was given
    /// nothing at all is not.
    pub fn give(&mut self, row: HostRow, candidates: Vec<AllocationCandidate>) {
        self.left.insert(row, (0..candidates.len()).collect());
        self.candidates.insert(row, candidates);
    }

    /// The hosts that were given candidates, in order of row.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the rows are sorted")]
    pub fn hosts(&self) -> Vec<HostRow> {
        let mut rows: Vec<HostRow> = self.candidates.keys().copied().collect();
        rows.sort_unstable();
        rows
    }

    /// Whether the host was given candidates, be it none.
    #[must_use]
    pub fn has(&self, row: HostRow) -> bool {
        self.candidates.contains_key(&row)
    }

    /// The allocation candidates of a host.
    #[must_use]
    pub fn candidates(&self, row: HostRow) -> &[AllocationCandidate] {
        self.candidates.get(&row).map_or(&[], Vec::as_slice)
    }

    /// The positions of those that no filter has dropped.
    #[must_use]
    pub fn left(&self, row: HostRow) -> &[usize] {
        self.left.get(&row).map_or(&[], Vec::as_slice)
    }

    /// The first candidate that is left.
    #[must_use]
    pub fn first(&self, row: HostRow) -> Option<&AllocationCandidate> {
        self.candidates(row).get(*self.left(row).first()?)
    }

    /// Forgets what filters found out: all candidates are left again.
    pub fn restore(&mut self) {
        self.limits.clear();
        let candidates = &self.candidates;
        self.left.retain(|row, left| {
            left.clear();
            left.extend(0..candidates.get(row).map_or(0, Vec::len));
            true
        });
    }

    /// The limits of a host, if NUMATopologyFilter set some.
    #[must_use]
    pub fn limits(&self, row: HostRow) -> Option<NumaLimits> {
        self.limits.get(&row).copied()
    }

    pub(super) fn set_limits(&mut self, row: HostRow, limits: NumaLimits) {
        self.limits.insert(row, limits);
    }

    /// A host's candidates, and the positions of those that are left, to shorten.
    pub(super) fn candidates_and_left(&mut self, row: HostRow) -> (&[AllocationCandidate], &mut Vec<usize>) {
        (self.candidates.get(&row).map_or(&[], Vec::as_slice), self.left.entry(row).or_default())
    }
}
