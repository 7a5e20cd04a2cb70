//! The provider tree of a host: its resources as resource providers.
//!
//! ```text
//!   <host>                        VCPU, MEMORY_MB, DISK_GB
//!     <host>_numa_0               VCPU, MEMORY_MB                    only if cells are offered, and there are several
//!       <host>_pages_0_2048       CUSTOM_PAGES_2048_KIB              only if huge pages are offered
//!     <host>_0000:81:00.0         CUSTOM_PCI_8086_1572               only devices that are offered
//! ```
//!
//! A host with one cell is one provider. A child with all resources would add no information, and
//! every request for vCPUs and disk would span two providers. Cells are offered only by option,
//! because an ordinary request then has to fit into one cell, and a larger one has to be split into
//! request groups.

use std::collections::BTreeMap;

use berth_api::v1;
use uuid::Uuid;

use crate::{Cell, Facts, HugePages, PciDevice};

/// The resources of a host that are offered to guests. The defaults are Nova's; the service chooses
/// the ratios.
#[derive(Clone, PartialEq, Debug)]
pub struct Offer {
    /// Allocation ratio of VCPU; None leaves it to the service.
    pub cpu_ratio: Option<f64>,
    /// Allocation ratio of MEMORY_MB; None leaves it to the service.
    pub memory_ratio: Option<f64>,
    /// Allocation ratio of DISK_GB; None leaves it to the service.
    pub disk_ratio: Option<f64>,
    /// Threads reserved for the host.
    pub reserved_cpus: u32,
    /// MiB of memory reserved for the host.
    pub reserved_memory_mb: u32,
    /// GiB of disk reserved for the host.
    pub reserved_disk_gb: u32,
    /// Whether NUMA cells become providers, if there are several.
    pub numa_cells: bool,
    /// Whether huge pages become providers.
    pub huge_pages: bool,
    /// Vendor and product IDs of the PCI devices that become providers.
    pub pci_devices: Vec<(u16, u16)>,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            cpu_ratio: None,
            memory_ratio: None,
            disk_ratio: None,
            reserved_cpus: 0,
            reserved_memory_mb: 512,
            reserved_disk_gb: 0,
            numa_cells: false,
            huge_pages: false,
            pci_devices: Vec::new(),
        }
    }
}

/// A part of a host with its own resource provider.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Part {
    /// A NUMA cell.
    Cell(u32),
    /// The huge pages of one size in a cell.
    Pages {
        /// The number of the cell.
        cell: u32,
        /// The page size, in KiB.
        size_kib: u32,
    },
    /// A PCI device, by its address.
    Device(String),
}

impl Part {
    /// The suffix of the provider's name, which follows the host's name.
    fn suffix(&self) -> String {
        match self {
            Self::Cell(id) => format!("_numa_{id}"),
            Self::Pages { cell, size_kib } => format!("_pages_{cell}_{size_kib}"),
            Self::Device(address) => format!("_{address}"),
        }
    }

    /// All parts of a host, by the UUIDs of their providers.
    #[must_use]
    pub fn all(facts: &Facts) -> BTreeMap<Uuid, Self> {
        let cells = facts.cells.iter().map(|cell| Self::Cell(cell.id));
        let pages = facts.cells.iter().flat_map(|cell| {
            let of_size = |pages: &HugePages| Self::Pages { cell: cell.id, size_kib: pages.size_kib };
            cell.huge_pages.iter().map(of_size)
        });
        let devices = facts.pci_devices.iter().map(|device| Self::Device(device.address.clone()));
        let all = cells.chain(pages).chain(devices);
        all.map(|part| (uuid_of(facts.host_uuid, &part.suffix()), part)).collect()
    }
}

/// A UUID derived from the host's UUID and the part, independent of the host's name.
fn uuid_of(host: Uuid, suffix: &str) -> Uuid {
    Uuid::new_v5(&host, suffix.as_bytes())
}

/// The tree of a host: the root first, parents before their children.
#[must_use]
pub fn provider_tree(host: &str, facts: &Facts, offer: &Offer) -> v1::ProviderTree {
    let mut tree = Tree { host, facts, offer, providers: Vec::new() };
    tree.add_root();
    if tree.has_cells() {
        facts.cells.iter().for_each(|cell| tree.add_cell(cell));
    }
    if offer.huge_pages {
        facts.cells.iter().for_each(|cell| tree.add_pages(cell));
    }
    let is_offered = |device: &&PciDevice| offer.pci_devices.contains(&(device.vendor, device.product));
    facts.pci_devices.iter().filter(is_offered).for_each(|device| tree.add_device(device));
    v1::ProviderTree { providers: tree.providers }
}

struct Tree<'a> {
    host: &'a str,
    facts: &'a Facts,
    offer: &'a Offer,
    providers: Vec<v1::AgentProvider>,
}

impl Tree<'_> {
    fn has_cells(&self) -> bool {
        self.offer.numa_cells && self.facts.cells.len() > 1
    }

    fn add_root(&mut self) {
        let Self { facts, offer, .. } = *self;
        let mut inventories =
            vec![("DISK_GB", inventory(facts.disk_gb, offer.reserved_disk_gb, offer.disk_ratio))];
        if !self.has_cells() {
            let cpus = inventory(facts.cpus, offer.reserved_cpus, offer.cpu_ratio);
            let pages = facts.cells.iter().map(|cell| self.in_offered_pages(cell)).sum();
            let memory_mb = facts.memory_mb.saturating_sub(pages);
            let memory = inventory(memory_mb, offer.reserved_memory_mb, offer.memory_ratio);
            inventories.extend([("VCPU", cpus), ("MEMORY_MB", memory)]);
        }
        let mut traits: Vec<_> = facts.traits.iter().cloned().collect();
        traits.push("COMPUTE_NODE".to_owned());
        let name = self.host.to_owned();
        self.providers.push(provider(facts.host_uuid, name, String::new(), inventories, traits));
    }

    /// The amounts reserved for the host are split evenly over all cells.
    fn add_cell(&mut self, cell: &Cell) {
        let Self { facts, offer, .. } = *self;
        let parts = u32::try_from(facts.cells.len()).unwrap_or(u32::MAX);
        let share = |reserved: u32| reserved.div_ceil(parts);
        let threads = u32::try_from(cell.cpus.len()).unwrap_or(u32::MAX);
        let cpus = inventory(threads, share(offer.reserved_cpus), offer.cpu_ratio);
        let memory_mb = cell.memory_mb.saturating_sub(self.in_offered_pages(cell));
        let memory = inventory(memory_mb, share(offer.reserved_memory_mb), offer.memory_ratio);
        let traits = vec!["HW_NUMA_ROOT".to_owned()];
        let name = self.name(&Part::Cell(cell.id));
        self.add_child(name, self.host, vec![("VCPU", cpus), ("MEMORY_MB", memory)], traits);
    }

    fn add_pages(&mut self, cell: &Cell) {
        for pages in &cell.huge_pages {
            let name = self.name(&Part::Pages { cell: cell.id, size_kib: pages.size_kib });
            let class = format!("CUSTOM_PAGES_{}_KIB", pages.size_kib);
            let parent = self.parent_in(Some(cell.id));
            self.add_child(name, &parent, vec![(&class, inventory(pages.total, 0, Some(1.0)))], Vec::new());
        }
    }

    fn add_device(&mut self, device: &PciDevice) {
        let name = self.name(&Part::Device(device.address.clone()));
        let class = format!("CUSTOM_PCI_{:04X}_{:04X}", device.vendor, device.product);
        let parent = self.parent_in(device.cell);
        let traits = vec!["COMPUTE_MANAGED_PCI_DEVICE".to_owned()];
        self.add_child(name, &parent, vec![(&class, inventory(1, 0, Some(1.0)))], traits);
    }

    /// The parent of a provider in a cell.
    fn parent_in(&self, cell: Option<u32>) -> String {
        match cell {
            Some(id) if self.has_cells() => self.name(&Part::Cell(id)),
            _ => self.host.to_owned(),
        }
    }

    fn name(&self, part: &Part) -> String {
        format!("{}{}", self.host, part.suffix())
    }

    fn in_offered_pages(&self, cell: &Cell) -> u32 {
        if !self.offer.huge_pages {
            return 0;
        }
        cell.huge_pages.iter().map(|pages: &HugePages| pages.memory_mb()).sum()
    }

    fn add_child(
        &mut self,
        name: String,
        parent: &str,
        inventories: Vec<(&str, Option<v1::Inventory>)>,
        traits: Vec<String>,
    ) {
        let parent = if parent == self.host { self.facts.host_uuid } else { self.child_uuid(parent) };
        let uuid = self.child_uuid(&name);
        self.providers.push(provider(uuid, name, parent.to_string(), inventories, traits));
    }

    fn child_uuid(&self, name: &str) -> Uuid {
        uuid_of(self.facts.host_uuid, name.strip_prefix(self.host).unwrap_or(name))
    }
}

fn provider(
    uuid: Uuid,
    name: String,
    parent: String,
    inventories: Vec<(&str, Option<v1::Inventory>)>,
    traits: Vec<String>,
) -> v1::AgentProvider {
    let named = |(class, inventory): (&str, Option<v1::Inventory>)| Some((class.to_owned(), inventory?));
    let inventories = inventories.into_iter().filter_map(named).collect();
    v1::AgentProvider { uuid: uuid.to_string(), name, parent, inventories, traits }
}

/// None for an empty inventory: a total is at least 1.
fn inventory(total: u32, reserved: u32, ratio: Option<f64>) -> Option<v1::Inventory> {
    let reserved = reserved.min(total);
    let allocation_ratio = ratio.unwrap_or(0.0); // 0 leaves it to the service
    let whole =
        v1::Inventory { total, reserved, min_unit: 1, max_unit: total, step_size: 1, allocation_ratio };
    (total > 0).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_with_cells() -> Facts {
        let cell = |id| Cell {
            id,
            cpus: vec![id, id + 2],
            memory_mb: 4096,
            huge_pages: vec![HugePages { size_kib: 2048, total: 512 }],
        };
        let device =
            PciDevice { address: "0000:81:00.0".into(), vendor: 0x8086, product: 0x1572, cell: Some(1) };
        Facts { cells: vec![cell(0), cell(1)], pci_devices: vec![device], ..plain() }
    }

    fn plain() -> Facts {
        Facts::plain(Uuid::from_u128(7), 4, 8192, 100)
    }

    fn inventories(provider: &v1::AgentProvider) -> BTreeMap<&str, (u32, u32)> {
        provider.inventories.iter().map(|(class, i)| (class.as_str(), (i.total, i.reserved))).collect()
    }

    #[test]
    fn a_plain_host_is_one_provider() {
        let tree = provider_tree("h1", &host_with_cells(), &Offer::default());
        let [root] = &tree.providers[..] else { panic!("{tree:?}") };
        assert_eq!((root.name.as_str(), root.parent.as_str()), ("h1", ""));
        assert_eq!(root.uuid, Uuid::from_u128(7).to_string());
        let expected = [("DISK_GB", (100, 0)), ("MEMORY_MB", (8192, 512)), ("VCPU", (4, 0))];
        assert_eq!(inventories(root), BTreeMap::from(expected));
        assert_eq!(root.inventories["VCPU"].allocation_ratio, 0.0);
        assert_eq!(root.inventories["VCPU"].max_unit, 4);
    }

    #[test]
    fn cells_pages_and_devices_become_children_when_offered() {
        let offer = Offer {
            numa_cells: true,
            huge_pages: true,
            pci_devices: vec![(0x8086, 0x1572)],
            reserved_cpus: 1,
            ..Offer::default()
        };
        let tree = provider_tree("h1", &host_with_cells(), &offer);
        let names: Vec<_> = tree.providers.iter().map(|provider| provider.name.as_str()).collect();
        assert_eq!(
            names,
            ["h1", "h1_numa_0", "h1_numa_1", "h1_pages_0_2048", "h1_pages_1_2048", "h1_0000:81:00.0"]
        );
        let [root, cell, _, pages, _, device] = &tree.providers[..] else { panic!() };
        assert_eq!(inventories(root), BTreeMap::from([("DISK_GB", (100, 0))]));
        assert_eq!(inventories(cell), BTreeMap::from([("MEMORY_MB", (3072, 256)), ("VCPU", (2, 1))]));
        assert_eq!(pages.parent, cell.uuid);
        assert_eq!(device.parent, tree.providers[2].uuid);
        assert_eq!(inventories(device), BTreeMap::from([("CUSTOM_PCI_8086_1572", (1, 0))]));
        let parts = Part::all(&host_with_cells());
        let part = |provider: &v1::AgentProvider| parts.get(&provider.uuid.parse().expect("a UUID"));
        assert_eq!(part(cell), Some(&Part::Cell(0)));
        assert_eq!(part(pages), Some(&Part::Pages { cell: 0, size_kib: 2048 }));
        assert_eq!(part(device), Some(&Part::Device("0000:81:00.0".into())));
    }

    #[test]
    fn one_cell_is_no_child_and_parts_keep_their_uuids_when_the_host_is_renamed() {
        let mut facts = host_with_cells();
        facts.cells.truncate(1);
        let offer = Offer { numa_cells: true, huge_pages: true, ..Offer::default() };
        let tree = provider_tree("h1", &facts, &offer);
        assert_eq!(tree.providers.len(), 2);
        assert_eq!(inventories(&tree.providers[0])["MEMORY_MB"], (7168, 512));
        let renamed = provider_tree("other", &facts, &offer);
        assert_eq!(tree.providers[1].uuid, renamed.providers[1].uuid);
    }

    #[test]
    fn what_there_is_nothing_of_has_no_inventory() {
        let facts = Facts { disk_gb: 0, memory_mb: 300, ..plain() };
        let tree = provider_tree("h1", &facts, &Offer::default());
        let expected = [("MEMORY_MB", (300, 300)), ("VCPU", (4, 0))];
        assert_eq!(inventories(&tree.providers[0]), BTreeMap::from(expected));
    }
}
