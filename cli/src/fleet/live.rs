//! A live fleet as its sources describe it, and the hosts and VMs of a simulation that it makes.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use berth_placement::Inventory;
use berth_traces::{Demands, HostShape, Micros, Pair, Resources, TraceHost, Vm};
use uuid::Uuid;

/// A host that takes no further VMs has this trait.
const DISABLED: &str = "COMPUTE_STATUS_DISABLED";
/// What counts as vCPUs, memory and disk. Pinned and shared CPUs are counted together.
const COUNTED: [&[&str]; 3] = [&["VCPU", "PCPU"], &["MEMORY_MB"], &["DISK_GB"]];

/// A live fleet.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub(super) providers: BTreeMap<Uuid, LiveProvider>,
    pub(super) consumers: BTreeMap<Uuid, LiveConsumer>,
    /// What is known of hosts besides their resource providers, by the UUID of the root provider.
    pub(super) hosts: BTreeMap<Uuid, HostFacts>,
    /// What is known of instances besides their allocations.
    pub(super) instances: BTreeMap<Uuid, InstanceFacts>,
}

/// A resource provider.
#[derive(Debug, Default)]
pub(super) struct LiveProvider {
    pub(super) name: String,
    pub(super) parent: Option<Uuid>,
    pub(super) inventories: BTreeMap<String, Inventory>,
    pub(super) traits: Vec<String>,
}

/// A holder of allocations.
#[derive(Debug, Default)]
pub(super) struct LiveConsumer {
    pub(super) project: String,
    /// Provider, resource class, amount.
    pub(super) holds: Vec<(Uuid, String, u32)>,
    /// When its allocations were written, in microseconds since 1970; 0 if that is not known.
    pub(super) written_at_us: u64,
}

/// What is known of a host besides its resource providers.
#[derive(Debug, Clone, Default)]
pub(super) struct HostFacts {
    /// The name of its service; empty for that of its provider.
    pub(super) name: String,
    pub(super) zone: String,
    pub(super) aggregates: Vec<(String, String)>,
    pub(super) is_disabled: bool,
}

/// What is known of an instance besides its allocations.
#[derive(Debug, Clone, Default)]
pub(super) struct InstanceFacts {
    pub(super) name: String,
    pub(super) flavor: String,
    pub(super) extra_specs: Vec<(String, String)>,
    /// The name or UUID of its server group; empty for none.
    pub(super) group: String,
    pub(super) policy: String,
    /// In microseconds since 1970; 0 if that is not known.
    pub(super) created_at_us: u64,
}

/// Hosts and the VMs on them.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) hosts: Vec<TraceHost>,
    pub(super) vms: Vec<Vm>,
    /// Consumers that hold nothing that counts.
    pub(super) elsewhere: usize,
}

impl Live {
    /// The hosts, by name, and the VMs on them. A VM that holds amounts on several hosts, as while
    /// it moves, counts as one on each. `now_us` is in microseconds since 1970.
    pub(super) fn taken(&self, now_us: u64) -> Result<Taken> {
        let mut trees: BTreeMap<Uuid, Tree> = BTreeMap::new();
        for (uuid, provider) in &self.providers {
            trees.entry(self.root_of(*uuid)?).or_default().add(provider);
        }
        trees.retain(|_, tree| tree.capacity[0] > 0.0);
        let mut hosts: Vec<(Uuid, TraceHost)> =
            trees.iter().map(|(root, tree)| (*root, self.host(*root, tree))).collect();
        hosts.sort_by(|(_, a), (_, b)| a.id.cmp(&b.id));
        if let Some(pair) = hosts.windows(2).find(|pair| pair[0].1.id == pair[1].1.id) {
            bail!("two hosts are named {}", pair[0].1.id);
        }
        let names: BTreeMap<Uuid, &str> = hosts.iter().map(|(root, host)| (*root, &*host.id)).collect();
        let (mut vms, mut elsewhere) = (Vec::new(), 0);
        for (uuid, consumer) in &self.consumers {
            let mut on: BTreeMap<Uuid, [u64; 3]> = BTreeMap::new();
            for (provider, class, amount) in &consumer.holds {
                if let Some(place) = place_of(class).filter(|_| self.providers.contains_key(provider)) {
                    on.entry(self.root_of(*provider)?).or_default()[place] += u64::from(*amount);
                }
            }
            on.retain(|root, amounts| trees.contains_key(root) && (amounts[0] > 0 || amounts[1] > 0));
            elsewhere += usize::from(on.is_empty());
            vms.extend(on.iter().map(|(root, amounts)| self.vm(*uuid, names[root], *amounts, now_us)));
        }
        Ok(Taken { hosts: hosts.into_iter().map(|(_, host)| host).collect(), vms, elsewhere })
    }

    fn root_of(&self, provider: Uuid) -> Result<Uuid> {
        let mut root = provider;
        // A tree is not deeper than it has providers.
        for _ in 0..=self.providers.len() {
            match self.providers.get(&root).and_then(|provider| provider.parent) {
                Some(parent) => root = parent,
                None => return Ok(root),
            }
        }
        bail!("resource provider {provider}: it is its own ancestor")
    }

    fn host(&self, root: Uuid, tree: &Tree) -> TraceHost {
        let facts = self.hosts.get(&root).cloned().unwrap_or_default();
        let provider = self.providers.get(&root).map(|provider| provider.name.as_str()).unwrap_or_default();
        let name = if facts.name.is_empty() { provider } else { &facts.name };
        let mut traits = tree.traits.clone();
        if facts.is_disabled {
            traits.push(DISABLED.to_owned());
        }
        traits.sort_unstable();
        traits.dedup();
        let disk_gb = if tree.has_disk { amount(tree.capacity[2]) } else { HostShape::UNLIMITED_DISK };
        let pair = |(key, value): &(String, String)| -> Pair { (key.as_str().into(), value.as_str().into()) };
        TraceHost {
            zone: facts.zone.as_str().into(),
            aggregates: facts.aggregates.iter().map(pair).collect(),
            traits: traits.iter().map(Into::into).collect(),
            gpus: tree.gpus,
            cpu_ratio_milli: tree.ratio_milli(0),
            memory_ratio_milli: tree.ratio_milli(1),
            ..TraceHost::new(
                name,
                Resources { vcpus: amount(tree.capacity[0]), memory_mb: amount(tree.capacity[1]), disk_gb },
            )
        }
    }

    fn vm(&self, uuid: Uuid, host: &str, amounts: [u64; 3], now_us: u64) -> Vm {
        let none = InstanceFacts::default();
        let facts = self.instances.get(&uuid).unwrap_or(&none);
        let consumer = &self.consumers[&uuid];
        let since = if facts.created_at_us > 0 { facts.created_at_us } else { consumer.written_at_us.max(1) };
        let age_s = if since > 1 { now_us.saturating_sub(since) / Micros::PER_SECOND } else { 0 };
        let mut extra: Vec<Pair> = vec![("age_s".into(), age_s.to_string().into())];
        if !facts.name.is_empty() {
            extra.push(("name".into(), facts.name.as_str().into()));
        }
        let pair = |(key, value): &(String, String)| -> Pair { (key.as_str().into(), value.as_str().into()) };
        let [vcpus, memory_mb, disk_gb] = amounts.map(|amount| u32::try_from(amount).unwrap_or(u32::MAX));
        let flavor = match facts.flavor.as_str() {
            "" => format!("{vcpus}x{memory_mb}"),
            name => name.to_owned(),
        };
        let demands = Demands {
            host: host.into(),
            project: consumer.project.as_str().into(),
            group: facts.group.as_str().into(),
            policy: facts.policy.as_str().into(),
            extra_specs: facts.extra_specs.iter().map(pair).collect(),
            extra,
            ..Demands::default()
        };
        Vm {
            id: uuid.to_string().into(),
            arrival: Micros(0),
            departure: None,
            resources: Resources { vcpus, memory_mb, disk_gb },
            flavor: flavor.into(),
            batch: None,
            demands: Some(Box::new(demands)),
        }
    }
}

/// The sums of a provider tree.
#[derive(Debug, Default)]
struct Tree {
    /// With ratios applied and without what is reserved.
    capacity: [f64; 3],
    /// Without ratios.
    bare: [f64; 3],
    has_disk: bool,
    gpus: u32,
    traits: Vec<String>,
}

impl Tree {
    fn add(&mut self, provider: &LiveProvider) {
        for (class, inventory) in &provider.inventories {
            let bare = f64::from(inventory.total.saturating_sub(inventory.reserved));
            if let Some(place) = place_of(class) {
                self.bare[place] += bare;
                self.capacity[place] += (bare * inventory.allocation_ratio).floor();
                self.has_disk |= place == 2;
            }
            if class == "PGPU" {
                self.gpus += inventory.total;
            }
        }
        self.traits.extend(provider.traits.iter().cloned());
    }

    /// The overcommitment in thousandths; 0 if there is nothing.
    fn ratio_milli(&self, place: usize) -> u32 {
        if self.bare[place] > 0.0 {
            amount((1000.0 * self.capacity[place] / self.bare[place]).round())
        } else {
            0
        }
    }
}

/// Which amount a class counts for.
fn place_of(class: &str) -> Option<usize> {
    COUNTED.iter().position(|classes| classes.contains(&class))
}

/// At most what Placement can record.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the cast saturates
fn amount(amount: f64) -> u32 {
    (amount as u32).min(HostShape::UNLIMITED_DISK)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Uuid = Uuid::from_u128(1);
    const CELL: Uuid = Uuid::from_u128(2);
    const POOL: Uuid = Uuid::from_u128(3);

    fn inventory(total: u32, reserved: u32, allocation_ratio: f64) -> Inventory {
        Inventory { reserved, allocation_ratio, ..Inventory::of(total) }
    }

    fn provider(name: &str, parent: Option<Uuid>, inventories: &[(&str, Inventory)]) -> LiveProvider {
        let inventories = inventories.iter().map(|(class, of)| ((*class).to_owned(), *of)).collect();
        LiveProvider {
            name: name.to_owned(),
            parent,
            inventories,
            traits: vec!["HW_CPU_X86_AVX2".to_owned()],
        }
    }

    fn live() -> Live {
        let memory = inventory(65_536, 4_096, 1.5);
        let cpus = inventory(16, 0, 4.0);
        let mut live = Live::default();
        live.providers
            .insert(HOST, provider("kvm-1", None, &[("VCPU", cpus), ("DISK_GB", inventory(900, 100, 1.0))]));
        live.providers.insert(
            CELL,
            provider("kvm-1_numa0", Some(HOST), &[("MEMORY_MB", memory), ("PCPU", inventory(8, 0, 1.0))]),
        );
        live.providers.insert(POOL, provider("nfs", None, &[("DISK_GB", inventory(10_000, 0, 1.0))]));
        let holds = vec![
            (HOST, "VCPU".to_owned(), 4),
            (CELL, "MEMORY_MB".to_owned(), 2_048),
            (POOL, "DISK_GB".to_owned(), 70),
        ];
        let one = LiveConsumer { project: "shop".to_owned(), holds, written_at_us: 40_000_000 };
        live.consumers.insert(Uuid::from_u128(10), one);
        let disk = LiveConsumer { holds: vec![(POOL, "DISK_GB".to_owned(), 5)], ..LiveConsumer::default() };
        live.consumers.insert(Uuid::from_u128(11), disk);
        live
    }

    #[test]
    fn a_tree_is_a_host_and_its_consumers_are_vms() {
        let mut live = live();
        let taken = live.taken(100_000_000).unwrap();
        assert_eq!((taken.hosts.len(), taken.vms.len(), taken.elsewhere), (1, 1, 1), "the pool is no host");
        let host = &taken.hosts[0];
        assert_eq!(host.capacity, Resources { vcpus: 72, memory_mb: 92_160, disk_gb: 800 });
        assert_eq!(
            (host.id.as_str(), host.cpu_ratio_milli, host.memory_ratio_milli),
            ("kvm-1", 3_000, 1_500)
        );
        assert_eq!(host.traits, ["HW_CPU_X86_AVX2"]);
        let vm = &taken.vms[0];
        let demands = vm.demands.as_deref().unwrap();
        assert_eq!(vm.resources, Resources { vcpus: 4, memory_mb: 2_048, disk_gb: 0 });
        assert_eq!(
            (vm.flavor.as_str(), demands.host.as_str(), demands.project.as_str()),
            ("4x2048", "kvm-1", "shop")
        );
        assert_eq!(demands.extra, [("age_s".into(), "60".into())]);

        // What else is known.
        let facts = HostFacts {
            name: "compute-1".to_owned(),
            zone: "az1".to_owned(),
            aggregates: vec![("ssd".to_owned(), "true".to_owned())],
            is_disabled: true,
        };
        live.hosts.insert(HOST, facts);
        let facts = InstanceFacts {
            name: "web".to_owned(),
            flavor: "m1.small".to_owned(),
            created_at_us: 30_000_000,
            ..InstanceFacts::default()
        };
        live.instances.insert(Uuid::from_u128(10), facts);
        let taken = live.taken(100_000_000).unwrap();
        let (host, vm) = (&taken.hosts[0], &taken.vms[0]);
        assert_eq!((host.id.as_str(), host.zone.as_str()), ("compute-1", "az1"));
        assert_eq!(host.traits, [DISABLED, "HW_CPU_X86_AVX2"]);
        let extra = &vm.demands.as_deref().unwrap().extra;
        assert_eq!(
            (vm.flavor.as_str(), &extra[..]),
            ("m1.small", &[("age_s".into(), "70".into()), ("name".into(), "web".into())][..])
        );
    }

    #[test]
    fn a_vm_that_moves_is_on_both_hosts() {
        let mut live = live();
        let other = Uuid::from_u128(4);
        live.providers.insert(other, provider("kvm-2", None, &[("VCPU", inventory(16, 0, 1.0))]));
        live.consumers.get_mut(&Uuid::from_u128(10)).unwrap().holds.push((other, "VCPU".to_owned(), 8));
        let taken = live.taken(0).unwrap();
        let on: Vec<_> = taken
            .vms
            .iter()
            .map(|vm| (vm.demands.as_deref().unwrap().host.as_str(), vm.resources.vcpus))
            .collect();
        assert_eq!(on, [("kvm-1", 4), ("kvm-2", 8)]);
        // Names of services may collide where those of providers do not.
        for root in [HOST, other] {
            live.hosts.insert(root, HostFacts { name: "same".to_owned(), ..HostFacts::default() });
        }
        assert_eq!(live.taken(0).unwrap_err().to_string(), "two hosts are named same");
    }
}
