//! Virtual NUMA cells of instances on NUMA cells of hosts: memory pages, pinned CPUs, affinity of
//! networks and devices.
//!
//! [`Fitting`] looks for host cells, permutation by permutation, in Nova's order. The search
//! changes what is asked for while it runs (see [`Fitting`]); each instance cell's `Trial` holds
//! all of that. [`retain_candidates`] is NUMATopologyFilter for one host, [`consume`] what choosing
//! a host does to it.

mod cell;
mod consume;
mod cores;
mod cpu_set;
mod filter;
mod fit;
mod host;
mod instance;
mod network;
mod packing;
mod pages;
mod permutations;
mod refusal;
mod usage;

pub use consume::{ConsumeFault, NumaConsumer, consume};
pub use cores::FreeCores;
pub use cpu_set::{CpuSet, InvalidCpu};
pub use filter::{Demand, asks_for_threads, retain_candidates};
pub use fit::{CellAllocation, CellLimits, Fitting, Site};
pub use host::{CellUsage, HostCell, HostTopology, InvalidHostCell, NetworkMetadata, Pages};
pub use instance::{
    CpuPolicy, CpuThreadPolicy, EmulatorThreadsPolicy, InstanceCell, InstanceTopology, PageSize,
};
pub use refusal::{CellMisfit, NumaFault, NumaMisfit, NumaRefusal};
pub use usage::UsageFault;
