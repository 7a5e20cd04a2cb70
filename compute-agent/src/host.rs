//! The resources of a host.

use std::collections::BTreeSet;

use berth_api::v1;
use uuid::Uuid;

/// The resources of a host, as surveyed from its hypervisor and disks.
#[derive(Clone, PartialEq, Debug)]
pub struct Facts {
    /// UUID of the host, which is also that of the root of its provider tree.
    pub host_uuid: Uuid,
    /// Description of the hypervisor, for operators.
    pub hypervisor: v1::Hypervisor,
    /// Online CPU threads.
    pub cpus: u32,
    /// Total memory, in MiB.
    pub memory_mb: u32,
    /// Total space for the disks of guests, in GiB.
    pub disk_gb: u32,
    /// Its standard traits.
    pub traits: BTreeSet<String>,
    /// Its NUMA cells: one on a host without NUMA, none if they are unknown.
    pub cells: Vec<Cell>,
    /// PCI devices that guests can be assigned.
    pub pci_devices: Vec<PciDevice>,
}

/// A NUMA cell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cell {
    /// Its number.
    pub id: u32,
    /// Numbers of its threads.
    pub cpus: Vec<u32>,
    /// Its memory, in MiB.
    pub memory_mb: u32,
    /// Its huge pages.
    pub huge_pages: Vec<HugePages>,
}

/// The huge pages of one size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HugePages {
    /// Size of a page in KiB.
    pub size_kib: u32,
    /// Number of pages.
    pub total: u32,
}

impl HugePages {
    /// The memory in all of them, in MiB.
    #[must_use]
    pub fn memory_mb(self) -> u32 {
        let kib = u64::from(self.size_kib) * u64::from(self.total);
        u32::try_from(kib / 1024).unwrap_or(u32::MAX)
    }
}

/// A PCI device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PciDevice {
    /// Such as `0000:81:00.0`.
    pub address: String,
    /// Vendor ID.
    pub vendor: u16,
    /// Product ID.
    pub product: u16,
    /// The NUMA cell it is attached to, if known.
    pub cell: Option<u32>,
}

impl Facts {
    /// A host with nothing but CPUs, memory and disk.
    #[must_use]
    pub fn plain(host_uuid: Uuid, cpus: u32, memory_mb: u32, disk_gb: u32) -> Self {
        Self {
            host_uuid,
            hypervisor: v1::Hypervisor::default(),
            cpus,
            memory_mb,
            disk_gb,
            traits: BTreeSet::new(),
            cells: Vec::new(),
            pci_devices: Vec::new(),
        }
    }
}
