//! NUMATopologyFilter and PciPassthroughFilter over 1,000 hosts, for counting instructions:
//!
//! ```text
//! cargo build --release --example numa_pipeline -p berth-scheduler
//! valgrind --tool=callgrind --toggle-collect='*decide*' target/release/examples/numa_pipeline
//! ```
//!
//! Hosts have two cells of 32 CPUs with SMT, 2 MiB pages and a few devices, used to different
//! degrees. The instance wants 8 dedicated CPUs and 8 GiB in 2 MiB pages, on one cell or two, and a
//! device close to them.

use berth_scheduler::numa::{self, CellAllocation, CellLimits, Demand, HostTopology, InstanceTopology};
use berth_scheduler::pci::{self, PciRequest, Pools, ProviderMapping};
use serde_json::{Value, json};

struct Host {
    topology: HostTopology,
    pools: Pools,
    candidates: [ProviderMapping; 1],
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hosts: Vec<Host> = (0..1_000).map(host).collect::<Result<_, _>>()?;
    let device = json!([{ "request_id": "r", "alias_name": "nic", "count": 1, "numa_policy": "required",
        "spec": [{ "vendor_id": "8086", "product_id": "1515", "dev_type": "type-VF" }] }]);
    let devices: Vec<PciRequest> = serde_json::from_value(device)?;
    for cells in [1, 2] {
        let topology = instance(cells)?;
        let demand = Demand {
            topology: Some(&topology),
            devices: &devices,
            needs_threads: false,
            allocation: CellAllocation::Spread,
        };
        let mut left = Vec::new();
        let passing = hosts.iter().filter(|host| decide(host, &demand, &mut left)).count();
        // A report for the reader of the example.
        #[expect(clippy::print_stdout, reason = "an example talks to its reader")]
        {
            println!("{cells} instance cells: {passing} of {} hosts pass", hosts.len());
        }
    }
    Ok(())
}

/// Both filters on one host.
#[inline(never)]
fn decide(host: &Host, demand: &Demand<'_>, left: &mut Vec<usize>) -> bool {
    left.clear();
    left.push(0);
    let limits = CellLimits { cpu_allocation_ratio: 4.0, ram_allocation_ratio: 1.5, network_metadata: None };
    let (cells, pools) = (Some(&host.topology), Some(&host.pools));
    numa::retain_candidates(demand, cells, pools, limits, &host.candidates, left).is_ok()
        && pci::retain_candidates(pools, demand.devices, &host.candidates, left).is_ok()
}

fn host(number: u32) -> Result<Host, serde_json::Error> {
    let cells: Vec<Value> =
        (0..2).map(|cell| host_cell(cell, number.wrapping_mul(2_654_435_761) >> (8 * cell))).collect();
    let pools: Vec<Value> = (0..4).map(|pool| {
        json!({ "vendor_id": "8086", "product_id": if pool < 3 { "1515" } else { "10fb" }, "numa_node": pool % 2,
            "dev_type": "type-VF", "count": (number + pool) % 3, "address": format!("0000:0{pool}:00.0") })
    }).collect();
    Ok(Host {
        topology: serde_json::from_value(json!({ "cells": cells }))?,
        pools: serde_json::from_value(Value::from(pools))?,
        candidates: [ProviderMapping([(String::new(), vec![format!("provider-{number}")])].into())],
    })
}

fn host_cell(number: u32, seed: u32) -> Value {
    let cpus: Vec<u32> = (32 * number..32 * (number + 1)).collect();
    let busy: Vec<u32> = cpus.iter().copied().take(seed as usize % 28).collect();
    let siblings: Vec<&[u32]> = cpus.chunks(2).collect();
    json!({ "id": number, "cpuset": [], "pcpuset": cpus, "pinned_cpus": busy, "siblings": siblings, "socket": number,
        "memory": 131_072, "memory_usage": 4_096 * (seed % 8),
        "mempages": [{ "size_kb": 4, "total": 1_048_576 },
                     { "size_kb": 2_048, "total": 63_488, "used": 2_048 * (seed % 8) }] })
}

fn instance(cells: u32) -> Result<InstanceTopology, serde_json::Error> {
    let share = 8 / cells;
    let cells: Vec<Value> = (0..cells).map(|cell| {
        json!({ "id": cell, "pcpuset": (share * cell..share * (cell + 1)).collect::<Vec<u32>>(), "pagesize": 2_048,
            "memory": 1_024 * share, "cpu_policy": "dedicated" })
    }).collect();
    serde_json::from_value(json!({ "cells": cells }))
}
