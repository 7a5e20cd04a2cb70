//! Virtual NUMA cells of instances on NUMA cells of hosts: memory pages, pinned CPUs, affinity of networks and devices.

mod cores;
mod cpu_set;
mod host;
mod instance;

pub use cores::FreeCores;
pub use cpu_set::{CpuSet, InvalidCpu};
pub use host::{CellUsage, HostCell, HostTopology, InvalidHostCell, NetworkMetadata, Pages};
pub use instance::{
    CpuPolicy, CpuThreadPolicy, EmulatorThreadsPolicy, InstanceCell, InstanceTopology, PageSize,
};
