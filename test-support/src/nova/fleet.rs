//! Random fleets: providers as the index has them, and the hosts among them as Nova knows them.

use berth_placement::{Inventory, Units};
use berth_scheduler::AggregateRecord;
use serde_json::{Value, json};
use uuid::Uuid;

use super::numbers::Numbers;

pub const SHARES: &str = "MISC_SHARES_VIA_AGGREGATE";
pub const GPU: &str = "CUSTOM_GPU";
pub const ZONES: [&str; 3] = ["east", "west", "north"];
const TRAITS: [&str; 5] =
    ["CUSTOM_A", "CUSTOM_B", "HW_CPU_X86_AVX2", "COMPUTE_STATUS_DISABLED", "COMPUTE_IMAGE_TYPE_QCOW2"];

/// What makes candidates more than a host and its amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Every provider is a host.
    Plain,
    /// Hosts have devices below them.
    Devices,
    /// And some take their disk from a pool they share.
    Pools,
    /// And some hosts share their own disk with others.
    Tangled,
}

#[derive(Debug, Clone)]
pub struct Provider {
    pub uuid: Uuid,
    /// The position of the parent.
    pub parent: Option<usize>,
    pub inventories: Vec<(&'static str, Inventory)>,
    pub traits: Vec<&'static str>,
    pub aggregates: Vec<Uuid>,
}

pub struct Fleet {
    pub kind: Kind,
    pub providers: Vec<Provider>,
    /// Hosts by the position of their provider, as Nova's database describes them.
    pub hosts: Vec<(usize, Value)>,
    pub aggregates: Vec<AggregateRecord>,
}

pub fn uuid(kind: u128, number: usize) -> Uuid {
    Uuid::from_u128(kind << 64 | number as u128)
}

pub fn zone(number: usize) -> Uuid {
    uuid(2, number)
}

fn tenant(number: usize) -> Uuid {
    uuid(3, number)
}

fn storage(number: usize) -> Uuid {
    uuid(4, number)
}

impl Fleet {
    pub fn new(kind: Kind, hosts: usize, random: &mut Numbers) -> Self {
        let mut fleet = Self { kind, providers: Vec::new(), hosts: Vec::new(), aggregates: aggregates() };
        if matches!(kind, Kind::Pools | Kind::Tangled) {
            for number in 0..2 {
                let inventories = vec![("DISK_GB", inventory(2_000, random))];
                fleet.add(None, inventories, vec![SHARES], vec![storage(number)]);
            }
        }
        for number in 0..hosts {
            fleet.add_host(number, random);
        }
        fleet
    }

    fn add(
        &mut self,
        parent: Option<usize>,
        inventories: Vec<(&'static str, Inventory)>,
        traits: Vec<&'static str>,
        aggregates: Vec<Uuid>,
    ) -> usize {
        let uuid = uuid(1, self.providers.len());
        self.providers.push(Provider { uuid, parent, inventories, traits, aggregates });
        self.providers.len() - 1
    }

    fn add_host(&mut self, number: usize, random: &mut Numbers) {
        let (vcpus, memory, disk) = random.pick(&[(8, 16_384, 200), (16, 32_768, 400), (4, 8_192, 0)]);
        let mut inventories =
            vec![("VCPU", inventory(vcpus, random)), ("MEMORY_MB", inventory(memory, random))];
        if disk > 0 {
            inventories.push(("DISK_GB", inventory(disk, random)));
        }
        if random.one_in(5) {
            inventories.push(("PCPU", Inventory::of(vcpus)));
        }
        let mut traits: Vec<_> = TRAITS.into_iter().filter(|_| random.one_in(3)).collect();
        if self.kind == Kind::Tangled && random.one_in(6) {
            traits.push(SHARES);
        }
        let aggregates = self.join(number, random);
        let root = self.add(None, inventories, traits, aggregates);
        if self.kind != Kind::Plain {
            for _ in 0..random.below(4) {
                let traits = if random.one_in(2) { vec!["CUSTOM_FAST"] } else { Vec::new() };
                self.add(Some(root), vec![(GPU, Inventory::of(random.pick(&[1, 1, 2])))], traits, Vec::new());
            }
        }
        let record = host_record(number, self.providers[root].uuid, (vcpus, memory, disk), random);
        self.hosts.push((root, record));
    }

    /// The aggregates that the host joins.
    fn join(&mut self, number: usize, random: &mut Numbers) -> Vec<Uuid> {
        let mut joined = Vec::new();
        for aggregate in &mut self.aggregates {
            if random.one_in(3) {
                aggregate.hosts.push(format!("host{number}"));
                joined.push(aggregate.uuid.unwrap());
            }
        }
        if matches!(self.kind, Kind::Pools | Kind::Tangled) && !random.one_in(3) {
            joined.push(storage(random.below(2)));
        }
        joined
    }

    /// A provider and all below it.
    pub fn tree(&self, root: usize) -> Vec<usize> {
        (0..self.providers.len())
            .filter(|&one| one == root || self.providers[one].parent == Some(root))
            .collect()
    }
}

fn inventory(total: u32, random: &mut Numbers) -> Inventory {
    let units = Units {
        min_unit: random.pick(&[1, 1, 1, 2]),
        max_unit: random.pick(&[Inventory::MAX_AMOUNT, Inventory::MAX_AMOUNT, total / 2]).max(2),
        step_size: random.pick(&[1, 1, 1, 2]),
    };
    let reserved = random.pick(&[0, 0, total / 8]);
    Inventory { reserved, units, allocation_ratio: random.pick(&[1.0, 1.0, 1.5]), ..Inventory::of(total) }
}

fn host_record(
    number: usize,
    provider: Uuid,
    (vcpus, memory, disk): (u32, u32, u32),
    random: &mut Numbers,
) -> Value {
    let node = format!("host{number}");
    json!({
        "host": node, "node": node, "uuid": provider.to_string(),
        "vcpus": vcpus, "vcpus_used": random.below(3), "cpu_allocation_ratio": random.pick(&[1.0, 1.5]),
        "memory_mb": memory, "free_ram_mb": memory, "local_gb": disk, "free_disk_gb": disk,
        "hypervisor_type": "QEMU", "hypervisor_version": random.pick(&[6_002_000, 8_000_000]),
        "supported_instances": [[random.pick(&["x86_64", "x86_64", "x86_64", "aarch64"]), "kvm", "hvm"]],
        "stats": {"io_workload": random.below(3).to_string(), "num_instances": "1"},
        "service": {"disabled": random.one_in(15), "last_seen_up": "2026-05-31T23:59:40"},
        "cell_uuid": format!("c0000000-0000-4000-8000-00000000000{}", random.pick(&[1, 1, 2])),
        "instances": [{"uuid": uuid(9, number).to_string()}],
    })
}

/// Of zones, and of tenants that have hosts of their own.
fn aggregates() -> Vec<AggregateRecord> {
    let aggregate = |id: usize, uuid: Uuid, (key, value): (&str, &str)| AggregateRecord {
        id: id as u64,
        uuid: Some(uuid),
        metadata: [(key.to_owned(), value.to_owned())].into(),
        ..AggregateRecord::default()
    };
    let zones =
        (0..).zip(ZONES).map(|(number, name)| aggregate(number, zone(number), ("availability_zone", name)));
    let tenants = (0..2).map(|number| aggregate(10 + number, tenant(number), ("filter_tenant_id", "tenant")));
    let others = (0..1).map(|number| aggregate(20 + number, uuid(5, number), ("trait:CUSTOM_A", "required")));
    zones.chain(tenants).chain(others).collect()
}
