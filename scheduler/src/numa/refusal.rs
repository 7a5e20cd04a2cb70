//! Why an instance's cells do not fit a host.

use super::{CpuThreadPolicy, PageSize};
use crate::pci::{PciFault, PciMisfit, PciRefusal};
use std::fmt;

/// Why one instance cell does not fit one host cell. Memory is in MiB.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum CellMisfit {
    /// No pages of a size that was asked for, or too few of them are free.
    #[error("{memory} MiB are not free in {size} pages")]
    Pages {
        /// The size asked for.
        size: PageSize,
        /// Memory wanted.
        memory: i64,
    },
    /// Too little memory.
    #[error("wants {wanted} MiB of memory, there are {available}")]
    Memory {
        /// Memory wanted.
        wanted: i64,
        /// Memory there is for it: the free for pinned instances, all of it otherwise.
        available: i64,
    },
    /// Too few dedicated CPUs, free or not.
    #[error("wants {wanted} dedicated CPUs, the cell has {there}")]
    DedicatedCpus {
        /// CPUs wanted, with those for emulator threads.
        wanted: usize,
        /// CPUs of the cell.
        there: usize,
    },
    /// Too few shared CPUs: an instance does not overcommit against itself.
    #[error("wants {wanted} shared CPUs, the cell has {there}")]
    SharedCpus {
        /// vCPUs wanted.
        wanted: usize,
        /// CPUs of the cell.
        there: usize,
    },
    /// Too few free dedicated CPUs.
    #[error("wants {wanted} dedicated CPUs, {free} are free")]
    FreeCpus {
        /// CPUs wanted, with those for emulator threads.
        wanted: usize,
        /// Free CPUs.
        free: usize,
    },
    /// Enough free CPUs, but not the threads of cores that the policy needs.
    #[error("no {wanted} free CPUs for thread policy {policy}")]
    Threads {
        /// vCPUs to pin.
        wanted: usize,
        /// Their thread policy.
        policy: CpuThreadPolicy,
    },
    /// The host's CPU allocation ratio is exhausted.
    #[error("would use {usage} shared CPUs, the limit is {limit}")]
    CpuLimit {
        /// vCPUs with this instance.
        usage: i64,
        /// CPUs times ratio.
        limit: f64,
    },
    /// The host's RAM allocation ratio is exhausted.
    #[error("would use {usage} MiB, the limit is {limit}")]
    MemoryLimit {
        /// Memory with this instance.
        usage: i64,
        /// Memory times ratio.
        limit: f64,
    },
}

/// Why an instance does not fit a host.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum NumaMisfit {
    /// The host reports no NUMA cells.
    #[error("the host reports no NUMA topology")]
    NoHostTopology,
    /// Thread policy `require` on a host without SMT.
    #[error("thread policy require, but the host's cores have one thread each")]
    NoThreads,
    /// Placement offers nothing on this host.
    #[error("no allocation candidate is left for the host")]
    NoCandidates,
    /// Fewer host cells than instance cells.
    #[error("the instance has {wanted} NUMA cells, the host {there}")]
    TooFewCells {
        /// Cells of the instance.
        wanted: usize,
        /// Cells of the host.
        there: usize,
    },
    /// No permutation of host cells takes every instance cell; an example.
    #[error("instance cell {instance} does not fit host cell {host}: {why}")]
    Cell {
        /// Position of the instance cell.
        instance: usize,
        /// Number of the host cell.
        host: i64,
        /// The rule.
        why: CellMisfit,
    },
    /// The cells fit, but devices are missing or too far away.
    #[error(transparent)]
    Pci(#[from] PciMisfit),
    /// The cells fit, but a network is close to other cells.
    #[error("a requested network is close to other NUMA cells of the host")]
    Network,
}

impl NumaMisfit {
    /// How far the search got: the misfit that came closest is the most useful.
    pub(super) const fn progress(&self) -> u8 {
        match self {
            Self::Network => 2,
            Self::Pci(_) => 1,
            _ => 0,
        }
    }
}

/// Something that cannot be judged. Nova fails the whole scheduling request then, not only the
/// host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumaFault {
    /// Pinning needs to know which CPUs share a core.
    #[error("numa_topology.cells: host cell {0} has dedicated CPUs but no siblings")]
    NoSiblings(i64),
    /// A PCI request that cannot be judged.
    #[error(transparent)]
    Pci(#[from] PciFault),
}

/// Why an instance was not fitted.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum NumaRefusal {
    /// This host does not do.
    #[error(transparent)]
    Misfit(#[from] NumaMisfit),
    /// It cannot be judged.
    #[error(transparent)]
    Fault(#[from] NumaFault),
}

impl From<PciRefusal> for NumaRefusal {
    fn from(refusal: PciRefusal) -> Self {
        match refusal {
            PciRefusal::Misfit(misfit) => Self::Misfit(misfit.into()),
            PciRefusal::Fault(fault) => Self::Fault(fault.into()),
        }
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset | Self::Any => f.write_str("any"),
            Self::Small => f.write_str("small"),
            Self::Large => f.write_str("large"),
            Self::Kib(kib) => write!(f, "{kib} KiB"),
        }
    }
}

impl fmt::Display for CpuThreadPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefer => "prefer",
            Self::Isolate => "isolate",
            Self::Require => "require",
        })
    }
}
