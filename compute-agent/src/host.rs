//! What a host has.

use std::collections::BTreeSet;

use berth_api::v1;
use uuid::Uuid;

/// What a host has, as its hypervisor and its disks show it.
#[derive(Clone, PartialEq, Debug)]
pub struct Facts {
    /// The host's UUID, which is that of the root of its provider tree.
    pub host_uuid: Uuid,
    /// Facts for people.
    pub hypervisor: v1::Hypervisor,
    /// Threads of its CPUs that are online.
    pub cpus: u32,
    /// All memory, in MiB.
    pub memory_mb: u32,
    /// All room where disks of guests lie, in GiB.
    pub disk_gb: u32,
    /// Standard traits that are true of it.
    pub traits: BTreeSet<String>,
    /// Its NUMA cells; one for a plain host, none if nothing is known of them.
    pub cells: Vec<Cell>,
    /// PCI devices that could be given to guests.
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
    /// Memory set aside in large pages.
    pub huge_pages: Vec<HugePages>,
}

/// Memory set aside in pages of one size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HugePages {
    /// Size of a page in KiB.
    pub size_kib: u32,
    /// How many there are.
    pub total: u32,
}

impl HugePages {
    /// All of them together, in MiB.
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
    /// The maker's number.
    pub vendor: u16,
    /// The maker's number for the product.
    pub product: u16,
    /// The cell it is attached to, if known.
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
