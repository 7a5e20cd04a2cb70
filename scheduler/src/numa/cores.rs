//! How many free threads the cores of a host cell have.

use super::CpuSet;
use smallvec::SmallVec;

/// The dedicated CPUs of a host cell that are not pinned, counted by core.
///
/// Whether pinned vCPUs fit is decided on these counts alone; which CPUs they get is computed only
/// when a host has been chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct FreeCores {
    cpus: usize,
    threads: usize,
    cores_with: SmallVec<[usize; 4]>,
    known: bool,
}

impl FreeCores {
    /// Counts the CPUs of `free` in each of the disjoint `siblings`, one set for each core.
    #[must_use]
    pub fn count(free: &CpuSet, siblings: &[CpuSet]) -> Self {
        let most = siblings.iter().map(CpuSet::len).max();
        let mut cores_with: SmallVec<[usize; 4]> = SmallVec::from_elem(0, most.unwrap_or(0).max(1));
        let mut threads = 0;
        for core in siblings {
            let idle = core.count_common(free);
            threads += idle;
            cores_with.iter_mut().take(idle).for_each(|cores| *cores += 1);
        }
        Self { cpus: free.len(), threads, cores_with, known: most.is_some() }
    }

    /// Free CPUs, whether or not a core is known for them.
    #[must_use]
    pub const fn cpus(&self) -> usize {
        self.cpus
    }

    /// Free CPUs that belong to a known core.
    #[must_use]
    pub const fn threads(&self) -> usize {
        self.threads
    }

    /// Threads of a whole core, free or not; at least 1.
    #[must_use]
    pub(crate) fn threads_per_core(&self) -> usize {
        self.cores_with.len()
    }

    /// Cores with at least this many free threads.
    #[must_use]
    pub(crate) fn cores_with(&self, threads: usize) -> usize {
        threads.checked_sub(1).and_then(|at| self.cores_with.get(at)).copied().unwrap_or(0)
    }

    /// Whether the host reports any sibling sets.
    #[must_use]
    pub(crate) const fn are_known(&self) -> bool {
        self.known
    }
}
