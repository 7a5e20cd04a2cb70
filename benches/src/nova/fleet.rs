//! Hosts of different shape and use, in the format of Nova's database.

use berth_traces::rng::{Stream, stream};
use rand::Rng;
use serde_json::{Value, json};

use super::NovaVariant;

/// The number of instances on each host.
const INSTANCES: u32 = 5;
/// The number of CPUs of a NUMA cell.
const CELL_CPUS: u64 = 32;
/// The memory of a NUMA cell in MiB, and the part of it in pages of 2 MiB.
const CELL_MEMORY: u64 = 131_072;
const LARGE_PAGES_MEMORY: u64 = 122_880;
/// The number of members of the server group, at most half the number of hosts.
const MEMBERS: u32 = 50;
const ZONES: usize = 4;

/// The parameters from which hosts and requests are drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fleet {
    pub(super) variant: NovaVariant,
    pub(super) hosts: u32,
    pub(super) seed: u64,
}

impl Fleet {
    /// The hosts, one at a time: a large fleet is never held as JSON.
    pub(super) fn hosts(self) -> impl Iterator<Item = Value> {
        let mut random = stream(self.seed, "nova hosts");
        let mut cells = stream(self.seed, "nova cells");
        (0..self.hosts).map(move |number| {
            let mut host = host(number, &mut random);
            if self.variant == NovaVariant::Numa {
                let nodes = 0..2;
                host["numa_topology"] =
                    json!({"cells": nodes.clone().map(|node| cell(node, &mut cells)).collect::<Vec<_>>()});
                host["pci_pools"] = nodes.map(|node| pool(node, &mut cells)).collect();
            }
            host
        })
    }

    /// One aggregate per availability zone.
    pub(super) fn aggregates(self) -> Value {
        let zone = |zone: usize| {
            let hosts: Vec<String> = (0..self.hosts).skip(zone).step_by(ZONES).map(name).collect();
            json!({"id": zone + 1, "uuid": format!("a0000000-0000-4000-8000-{:012x}", zone + 1),
                "name": format!("zone-{}", zone + 1), "hosts": hosts,
                "metadata": {"availability_zone": format!("az{}", zone + 1)}})
        };
        (0..ZONES).map(zone).collect()
    }

    /// Hosts with a member of the server group, and the members: one in each equal part of the
    /// fleet.
    pub(super) fn members(self) -> (Vec<String>, Vec<String>) {
        let mut random = stream(self.seed, "nova group");
        let part = self.hosts / MEMBERS.min(self.hosts / 2).max(1);
        let parts = (0..MEMBERS).map(|at| at * part).take_while(|first| first + part <= self.hosts);
        let rows: Vec<u32> = parts.map(|first| first + random.random_range(0..part)).collect();
        (rows.iter().copied().map(name).collect(), rows.iter().map(|&row| instance(row, 0)).collect())
    }
}

fn name(number: u32) -> String {
    format!("compute-{number:06}")
}

fn instance(host: u32, number: u32) -> String {
    format!("50000000-0000-4000-8000-{:012x}", u64::from(host) * u64::from(INSTANCES) + u64::from(number))
}

/// A host of one of three shapes with five instances, which always fit. One in a hundred is
/// disabled, one in a hundred has not reported for an hour, and one in a hundred has CPUs of
/// another architecture.
fn host(number: u32, random: &mut Stream) -> Value {
    let (vcpus, memory, disk) =
        pick(random, &[(64, 262_144, 4_000), (64, 524_288, 4_000), (64, 262_144, 8_000)]);
    let sizes: Vec<u64> = (0..INSTANCES).map(|_| pick(random, &[1, 2, 4, 8, 16])).collect();
    let used: u64 = sizes.iter().sum();
    let memory_used: u64 = sizes.iter().map(|size| size * pick(random, &[2_048, 3_072])).sum();
    let disk_used = 20 * used;
    let uuid = format!("10000000-0000-4000-8000-{number:012x}");
    let instances: Vec<Value> = (0..INSTANCES).map(|at| json!({"uuid": instance(number, at)})).collect();
    let busy = if random.random_ratio(1, 10) { random.random_range(1..4) } else { 0 };
    let failed = if random.random_ratio(1, 100) { random.random_range(1..3) } else { 0 };
    let seen = if random.random_ratio(1, 100) { "2026-05-31T23:00:00" } else { "2026-05-31T23:59:50" };
    let arch = if random.random_ratio(1, 100) { "aarch64" } else { "x86_64" };
    json!({
        "host": name(number), "node": name(number), "uuid": uuid,
        "memory_mb": memory, "memory_mb_used": memory_used, "free_ram_mb": memory - memory_used,
        "local_gb": disk, "local_gb_used": disk_used, "free_disk_gb": disk - disk_used,
        "disk_available_least": disk - disk_used - random.random_range(0..40),
        "vcpus": vcpus, "vcpus_used": used, "cpu_allocation_ratio": 4.0,
        "hypervisor_type": "QEMU", "hypervisor_version": pick(random, &[8_002_002, 8_002_002, 6_002_000]),
        "cpu_info": {"arch": arch, "model": "EPYC-Rome", "vendor": "AMD", "features": ["aes", "avx2", "pcid"],
            "topology": {"cells": 2, "sockets": 1, "cores": 16, "threads": 2}},
        "supported_instances": [[arch, "kvm", "hvm"], [arch, "qemu", "hvm"]],
        "stats": {"num_instances": INSTANCES.to_string(), "io_workload": busy.to_string(),
            "failed_builds": failed.to_string()},
        "service": {"disabled": random.random_ratio(1, 100), "last_seen_up": seen},
        "instances": instances,
    })
}

/// A cell whose first cores and pages are used by pinned instances.
fn cell(node: u64, random: &mut Stream) -> Value {
    let cpus: Vec<u64> = (node * CELL_CPUS..(node + 1) * CELL_CPUS).collect();
    let cores: Vec<&[u64]> = cpus.chunks(2).collect();
    let pinned: Vec<u64> = cores[..random.random_range(0..=cores.len())].concat();
    let taken = LARGE_PAGES_MEMORY * pinned.len() as u64 / CELL_CPUS;
    json!({
        "id": node, "socket": 0, "cpuset": cpus, "pcpuset": cpus, "siblings": cores,
        "pinned_cpus": pinned, "cpu_usage": pinned.len(), "memory": CELL_MEMORY, "memory_usage": taken,
        "mempages": [
            {"size_kb": 4, "total": (CELL_MEMORY - LARGE_PAGES_MEMORY) * 256, "used": 0, "reserved": 0},
            {"size_kb": 2_048, "total": LARGE_PAGES_MEMORY / 2, "used": taken / 2, "reserved": 0},
        ],
    })
}

/// Passthrough devices of a cell, some of them in use.
fn pool(node: u64, random: &mut Stream) -> Value {
    json!({"vendor_id": "15b3", "product_id": "1018", "numa_node": node, "count": random.random_range(0..=4),
        "dev_type": "type-PCI", "address": format!("0000:{node:02x}:00.0")})
}

fn pick<T: Copy>(random: &mut Stream, from: &[T]) -> T {
    from[random.random_range(0..from.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Regression test: hosts of 256 GiB had instances of 320 GiB, so a fleet of a thousand could
    /// not be built.
    #[test]
    fn no_host_has_more_in_use_than_it_has() {
        for host in (Fleet { variant: NovaVariant::Numa, hosts: 10_000, seed: 1 }).hosts() {
            for [free, used, total] in [
                ["free_ram_mb", "memory_mb_used", "memory_mb"],
                ["free_disk_gb", "local_gb_used", "local_gb"],
            ] {
                let [free, used, total] = [free, used, total].map(|field| host[field].as_i64().expect(field));
                assert!(free >= 0 && free + used == total, "{host}");
            }
            assert!(host["disk_available_least"].as_i64() > Some(0), "{host}");
        }
    }
}
